//! Which numbers a parameter takes.

/// Numbers from one to another, and perhaps zero, which then means something else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    pub(crate) least: f64,
    /// Whether `least` itself is too little.
    pub above: bool,
    pub(crate) most: f64,
    /// What zero means, where it stands for itself.
    pub zero: Option<&'static str>,
}

impl Range {
    pub(crate) fn contains(&self, value: f64) -> bool {
        let enough = if self.above { value > self.least } else { value >= self.least };
        enough && value <= self.most || value == 0.0 && self.zero.is_some()
    }

    /// The same for whole numbers, to the last digit of large ones.
    pub(crate) fn contains_whole(&self, value: i64) -> bool {
        let (least, most, value) = (self.least.ceil() as i128, self.most.floor() as i128, i128::from(value));
        let enough = if self.above { value as f64 > self.least } else { value >= least };
        enough && value <= most || value == 0 && self.zero.is_some()
    }

    /// Whether its ends say all of it.
    pub fn is_plain(&self) -> bool {
        !self.above && self.zero.is_none()
    }

    /// The least and the greatest number, as tools are told of them.
    pub fn ends(&self) -> (f64, f64) {
        if self.zero.is_some() { (self.least.min(0.0), self.most.max(0.0)) } else { (self.least, self.most) }
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Range { least, most, .. } = self;
        match (self.above, self.zero) {
            (false, Some(meaning)) if *least == 0.0 => return write!(f, "from 0 ({meaning}) to {most}"),
            (true, _) => write!(f, "above {least} and at most {most}")?,
            (false, _) => write!(f, "from {least} to {most}")?,
        }
        self.zero.map_or(Ok(()), |meaning| write!(f, ", or 0 ({meaning})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_zero_are_in_it_as_it_says() {
        let plain = Range { least: 0.5, above: false, most: 2.0, zero: None };
        assert!(plain.contains(0.5) && plain.contains(2.0));
        for out in [0.5_f64.next_down(), 2.0_f64.next_up(), 0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!plain.contains(out), "{out}");
        }
        let open = Range { least: 0.0, above: true, zero: Some("off"), ..plain };
        assert!(open.contains(f64::MIN_POSITIVE) && open.contains(0.0) && !open.contains(-f64::MIN_POSITIVE));
        assert!(!Range { zero: None, ..open }.contains(0.0));
        assert_eq!(plain.to_string(), "from 0.5 to 2");
        let large = Range { least: -9_007_199_254_740_992.0, above: false, most: 9_007_199_254_740_992.0, zero: None };
        for end in [1_i64 << 53, -(1_i64 << 53)] {
            assert!(large.contains_whole(end) && !large.contains_whole(end + end.signum()), "{end}");
        }
        assert_eq!(open.to_string(), "above 0 and at most 2, or 0 (off)");
        assert_eq!(Range { least: 0.0, zero: Some("off"), ..plain }.to_string(), "from 0 (off) to 2");
        assert_eq!(Range { zero: Some("off"), ..plain }.ends(), (0.0, 2.0));
    }
}
