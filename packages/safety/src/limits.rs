//! Limits of a set of joints.

use efm_core::{JointLimits, JointNames};

/// Position, velocity, acceleration and jerk limits, one a joint. Radians (or metres) and seconds. Checked by construction.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    joints: JointNames,
    min_position: Vec<f64>,
    max_position: Vec<f64>,
    velocity: Vec<f64>,
    acceleration: Vec<f64>,
    jerk: Vec<f64>,
    continuous: Vec<bool>,
}

/// Why numbers are not limits.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LimitsError {
    /// A list is shorter or longer than the list of joints.
    #[error("there are {joints} joints but {given} values of {field}")]
    Size {
        /// Which list.
        field: &'static str,
        /// Number of joints.
        joints: usize,
        /// Number of values.
        given: usize,
    },
    /// A limit is not a positive finite number.
    #[error("the {field} limit of joint '{joint}' is {value}; it must be a positive finite number")]
    NotPositive {
        /// Which limit.
        field: &'static str,
        /// Which joint.
        joint: String,
        /// What it was.
        value: f64,
    },
    /// The position range is empty or not a number.
    #[error("joint '{joint}' may move from {min} to {max}, which is no range")]
    Range {
        /// Which joint.
        joint: String,
        /// Lower end.
        min: f64,
        /// Upper end.
        max: f64,
    },
}

impl Limits {
    /// Checks and keeps limits, in the order of `joints`. A position limit may be infinite; all other limits are positive and finite. A joint
    /// without any position limit counts as one that turns on without end; see [`Self::turning`].
    ///
    /// # Errors
    /// When there are more or fewer than joints, a range is empty, or a limit is not positive and finite.
    pub fn new(joints: JointNames, limits: &[JointLimits]) -> Result<Self, LimitsError> {
        if limits.len() != joints.len() {
            return Err(LimitsError::Size { field: "limits", joints: joints.len(), given: limits.len() });
        }
        for (name, limit) in joints.iter().zip(limits) {
            if !limit.is_range() {
                return Err(LimitsError::Range { joint: name.to_owned(), min: limit.lower, max: limit.upper });
            }
            let rates = [("velocity", limit.velocity), ("acceleration", limit.acceleration), ("jerk", limit.jerk)];
            for (field, value) in rates {
                if !(value.is_finite() && value > 0.0) {
                    return Err(LimitsError::NotPositive { field, joint: name.to_owned(), value });
                }
            }
        }
        let all = |of: fn(&JointLimits) -> f64| limits.iter().map(of).collect();
        Ok(Self {
            joints,
            min_position: all(|l| l.lower),
            max_position: all(|l| l.upper),
            velocity: all(|l| l.velocity),
            acceleration: all(|l| l.acceleration),
            jerk: all(|l| l.jerk),
            continuous: limits.iter().map(|l| l.lower.is_infinite() && l.upper.is_infinite()).collect(),
        })
    }

    /// With which joints turn on without end (one a joint): positions that are whole turns apart are the same place of them.
    ///
    /// # Errors
    /// When there are more or fewer than joints.
    pub fn turning(mut self, continuous: Vec<bool>) -> Result<Self, LimitsError> {
        if continuous.len() != self.joints.len() {
            let (joints, given) = (self.joints.len(), continuous.len());
            return Err(LimitsError::Size { field: "continuous", joints, given });
        }
        self.continuous = continuous;
        Ok(self)
    }

    /// Which joints turn on without end.
    pub fn continuous(&self) -> &[bool] {
        &self.continuous
    }

    /// Whether a joint's position is at most so far outside of its range.
    pub(crate) fn is_near(&self, joint: usize, position: f64, by: f64) -> bool {
        position >= self.min_position[joint] - by && position <= self.max_position[joint] + by
    }

    /// Lets a joint be where it is: widens its positions to include one, or takes that back (None) to what `whole` has.
    pub(crate) fn include(&mut self, joint: usize, range: Option<(f64, f64)>, whole: &Self) {
        let (min, max) = (whole.min_position[joint], whole.max_position[joint]);
        let (low, high) = range.unwrap_or((min, max));
        (self.min_position[joint], self.max_position[joint]) = (min.min(low), max.max(high));
    }

    /// The joints, in the order of every list.
    pub fn joints(&self) -> &JointNames {
        &self.joints
    }

    /// Lower position limits.
    pub fn min_position(&self) -> &[f64] {
        &self.min_position
    }

    /// Upper position limits.
    pub fn max_position(&self) -> &[f64] {
        &self.max_position
    }

    /// Velocity limits (the same in both directions).
    pub fn velocity(&self) -> &[f64] {
        &self.velocity
    }

    /// Acceleration limits.
    pub fn acceleration(&self) -> &[f64] {
        &self.acceleration
    }

    /// Jerk limits.
    pub fn jerk(&self) -> &[f64] {
        &self.jerk
    }

    /// The limits of the joint at a place of the order.
    ///
    /// # Panics
    /// When there is no such place.
    pub fn of(&self, joint: usize) -> JointLimits {
        JointLimits {
            lower: self.min_position[joint],
            upper: self.max_position[joint],
            velocity: self.velocity[joint],
            acceleration: self.acceleration[joint],
            jerk: self.jerk[joint],
        }
    }

    /// The limits of each joint, with a part of velocity, acceleration and jerk.
    pub fn shared(&self, part: f64) -> Vec<JointLimits> {
        (0..self.joints.len()).map(|joint| self.of(joint).shared(part)).collect()
    }
}

/// Whether a value is above a limit; what is no number is above every limit.
pub(crate) fn exceeds(value: f64, limit: f64) -> bool {
    value.is_nan() || value > limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_above_every_limit() {
        assert!(exceeds(f64::NAN, f64::INFINITY) && exceeds(f64::INFINITY, 1.0) && exceeds(1.0_f64.next_up(), 1.0));
        assert!(!exceeds(1.0, 1.0) && !exceeds(-2.0, 1.0));
    }

    #[test]
    fn limits_are_given_back_as_they_were_made_each_in_its_place() {
        let joints = JointNames::new(["a", "b"]).expect("names");
        let first = JointLimits { lower: -1.5, upper: 2.5, velocity: 2.0, acceleration: 4.0, jerk: 6.0 };
        let second = JointLimits { lower: 0.0, upper: 0.04, velocity: 3.0, acceleration: 5.0, jerk: 7.0 };
        let limits = Limits::new(joints.clone(), &[first, second]);
        let limits = limits.expect("they are sound");
        assert_eq!(limits.joints(), &joints);
        assert_eq!((limits.min_position(), limits.max_position()), (&[-1.5, 0.0][..], &[2.5, 0.04][..]));
        assert_eq!(
            (limits.velocity(), limits.acceleration(), limits.jerk()),
            (&[2.0, 3.0][..], &[4.0, 5.0][..], &[6.0, 7.0][..])
        );
        assert_eq!((limits.of(0), limits.of(1)), (first, second));
        assert_eq!(limits.shared(0.5), [first.shared(0.5), second.shared(0.5)]);
    }
}
