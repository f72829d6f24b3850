//! Words for the log, however often there is a reason for them.

/// Says something once a second at most.
#[derive(Debug, Clone, Default)]
pub struct Seldom {
    /// Seconds on the caller's clock.
    said: Option<f64>,
    unsaid: u64,
}

impl Seldom {
    /// What to say now, at `now` seconds of a clock that only goes forward: the words, and how often there was a reason for some since they were said last.
    pub fn say(&mut self, now: f64, words: impl FnOnce() -> String) -> Option<String> {
        if self.said.is_some_and(|said| now - said < 1.0) {
            self.unsaid += 1;
            return None;
        }
        self.said = Some(now);
        match std::mem::take(&mut self.unsaid) {
            0 => Some(words()),
            more => Some(format!("{} (and {more} times before)", words())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_line_a_second_that_counts_it() {
        let mut seldom = Seldom::default();
        let said: Vec<String> =
            (0..3000).filter_map(|k| seldom.say(0.001 * f64::from(k), || format!("value {k}"))).collect();
        assert_eq!(said, ["value 0", "value 1000 (and 999 times before)", "value 2000 (and 999 times before)"]);
        // After a pause there is nothing to count.
        assert_eq!(seldom.say(9.0, || "again".to_owned()).as_deref(), Some("again (and 999 times before)"));
        assert_eq!(seldom.say(10.5, || "again".to_owned()).as_deref(), Some("again"));
    }
}
