//! Whether somebody who speaks regularly has fallen silent.

/// Tenths of a second in a second.
const TENTHS: f64 = 10.0;

/// Counts tenths of a second of silence of somebody who was heard once. As it counts the turns of who listens, a machine that keeps that one waiting
/// makes nobody silent; and no clock that is set does.
#[derive(Debug, Clone)]
pub struct Silence {
    /// Tenths of a second that may pass; none: any number.
    limit: Option<u32>,
    /// Since it was heard last; none before.
    silent: Option<u32>,
}

impl Silence {
    /// `limit` seconds may pass; 0: any.
    pub fn of(limit: f64) -> Self {
        Self { limit: (limit > 0.0).then_some((limit * TENTHS).ceil() as u32), silent: None }
    }

    /// It was heard.
    pub fn heard(&mut self) {
        self.silent = Some(0);
    }

    /// It ends as it should: nobody waits for it any more.
    pub fn forget(&mut self) {
        self.silent = None;
    }

    /// A tenth of a second passes. Whether it falls silent now: that is told once, until it was heard again.
    pub fn tick(&mut self) -> bool {
        let (Some(limit), Some(silent)) = (self.limit, &mut self.silent) else { return false };
        let before = *silent;
        *silent = silent.saturating_add(1);
        before < limit && *silent >= limit
    }

    /// Whether it has fallen silent.
    pub fn is_over(&self) -> bool {
        self.limit.zip(self.silent).is_some_and(|(limit, silent)| silent >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_heard_and_is_not_any_more_is_told_of_once() {
        let mut silence = Silence::of(0.5);
        assert!((0..100).all(|_| !silence.tick()), "nobody was ever there");
        for _ in 0..2 {
            silence.heard();
            let told: Vec<usize> = (1..100).filter(|_| silence.tick()).collect();
            assert_eq!(told, [5]);
            assert!(silence.is_over());
        }
        silence.heard();
        assert!(!silence.is_over());
        silence.forget();
        assert!((0..100).all(|_| !silence.tick()) && !silence.is_over(), "it said that it ends");
    }

    #[test]
    fn who_speaks_in_time_never_is_and_where_nothing_is_asked_for_nobody_is() {
        let mut silence = Silence::of(0.5);
        for _ in 0..50 {
            silence.heard();
            assert!((0..4).all(|_| !silence.tick()));
        }
        let mut off = Silence::of(0.0);
        off.heard();
        assert!((0..1000).all(|_| !off.tick()) && !off.is_over());
    }
}
