//! Limits of a joint: the one type for them, from the robot's files to the filter.

/// The limits of one joint, all of them known. Radians (or metres) and seconds. Nothing is checked here: who limits something by them does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JointLimits {
    /// Lowest position, radians or metres; minus infinity for a continuous joint without any.
    pub lower: f64,
    /// Highest position, radians or metres; plus infinity for a continuous joint without any.
    pub upper: f64,
    /// Highest speed, a second; positive.
    pub velocity: f64,
    /// Highest acceleration, a second squared; positive.
    pub acceleration: f64,
    /// Highest jerk, a second cubed; positive.
    pub jerk: f64,
}

impl JointLimits {
    /// A part of velocity, acceleration and jerk.
    #[must_use]
    pub fn shared(&self, part: f64) -> Self {
        Self { velocity: part * self.velocity, acceleration: part * self.acceleration, jerk: part * self.jerk, ..*self }
    }

    /// Whether the joint may be at more than one place, and neither end is NaN.
    pub fn is_range(&self) -> bool {
        self.lower < self.upper
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: JointLimits = JointLimits { lower: -1.0, upper: 2.0, velocity: 3.0, acceleration: 4.0, jerk: 5.0 };

    #[test]
    fn a_share_of_limits_leaves_the_range_as_it_is() {
        let half = JointLimits { lower: -1.0, upper: 2.0, velocity: 1.5, acceleration: 2.0, jerk: 2.5 };
        assert_eq!(WHOLE.shared(0.5), half);
    }

    #[test]
    fn a_range_has_two_ends_that_are_numbers_in_their_order() {
        assert!(WHOLE.is_range() && JointLimits { upper: f64::INFINITY, ..WHOLE }.is_range());
        for (lower, upper) in [(0.5, 0.5), (0.5, 0.4), (f64::NAN, 1.0), (-1.0, f64::NAN)] {
            assert!(!JointLimits { lower, upper, ..WHOLE }.is_range(), "{lower} {upper}");
        }
    }
}
