//! Limits of a set of joints.

use efm_core::JointNames;

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
    /// Checks and keeps limits; every list in the order of `joints`. A position limit may be infinite; all other limits are positive and finite. A joint
    /// without any position limit counts as one that turns on without end; see [`Self::turning`].
    ///
    /// # Errors
    /// When sizes disagree, a range is empty, or a limit is not positive and finite.
    pub fn new(
        joints: JointNames,
        min_position: Vec<f64>,
        max_position: Vec<f64>,
        velocity: Vec<f64>,
        acceleration: Vec<f64>,
        jerk: Vec<f64>,
    ) -> Result<Self, LimitsError> {
        let lists = [
            ("min_position", &min_position),
            ("max_position", &max_position),
            ("velocity", &velocity),
            ("acceleration", &acceleration),
            ("jerk", &jerk),
        ];
        for (field, values) in lists {
            if values.len() != joints.len() {
                return Err(LimitsError::Size { field, joints: joints.len(), given: values.len() });
            }
        }
        for (i, name) in joints.iter().enumerate() {
            let (min, max) = (min_position[i], max_position[i]);
            if min.is_nan() || max.is_nan() || min >= max {
                return Err(LimitsError::Range { joint: name.to_owned(), min, max });
            }
            for (field, values) in &lists[2..] {
                let value = values[i];
                if !(value.is_finite() && value > 0.0) {
                    return Err(LimitsError::NotPositive { field, joint: name.to_owned(), value });
                }
            }
        }
        let ends = min_position.iter().zip(&max_position);
        let continuous = ends.map(|(min, max)| min.is_infinite() && max.is_infinite()).collect();
        Ok(Self { joints, min_position, max_position, velocity, acceleration, jerk, continuous })
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

    /// The limits of one joint.
    pub(crate) fn of(&self, joint: usize) -> JointLimits {
        JointLimits {
            min: self.min_position[joint],
            max: self.max_position[joint],
            velocity: self.velocity[joint],
            acceleration: self.acceleration[joint],
            jerk: self.jerk[joint],
        }
    }
}

/// Whether a value is above a limit; what is no number is above every limit.
pub(crate) fn exceeds(value: f64, limit: f64) -> bool {
    value.is_nan() || value > limit
}

/// The limits of one joint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct JointLimits {
    pub min: f64,
    pub max: f64,
    pub velocity: f64,
    pub acceleration: f64,
    pub jerk: f64,
}

impl JointLimits {
    /// A part of velocity, acceleration and jerk.
    pub fn shared(&self, part: f64) -> Self {
        Self { velocity: part * self.velocity, acceleration: part * self.acceleration, jerk: part * self.jerk, ..*self }
    }
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
        let (low, high) = (vec![-1.5, 0.0], vec![2.5, 0.04]);
        let limits = Limits::new(joints.clone(), low, high, vec![2.0, 3.0], vec![4.0, 5.0], vec![6.0, 7.0]);
        let limits = limits.expect("they are sound");
        assert_eq!(limits.joints(), &joints);
        assert_eq!((limits.min_position(), limits.max_position()), (&[-1.5, 0.0][..], &[2.5, 0.04][..]));
        assert_eq!(
            (limits.velocity(), limits.acceleration(), limits.jerk()),
            (&[2.0, 3.0][..], &[4.0, 5.0][..], &[6.0, 7.0][..])
        );
        let second = JointLimits { min: 0.0, max: 0.04, velocity: 3.0, acceleration: 5.0, jerk: 7.0 };
        assert_eq!(limits.of(1), second);
    }

    #[test]
    fn a_share_of_limits_leaves_the_range_as_it_is() {
        let whole = JointLimits { min: -1.0, max: 2.0, velocity: 3.0, acceleration: 4.0, jerk: 5.0 };
        let half = JointLimits { min: -1.0, max: 2.0, velocity: 1.5, acceleration: 2.0, jerk: 2.5 };
        assert_eq!(whole.shared(0.5), half);
    }
}
