//! Joint names and measured joint states.

use crate::Stamp;
use crate::figure::Brief;
use std::collections::HashSet;
use std::sync::Arc;

/// Names of joints in a fixed order, without repetition. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JointNames(Arc<[String]>);

/// Why a list of names is not a joint set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JointNamesError {
    /// The list is empty.
    #[error("the list of joints is empty")]
    Empty,
    /// A name is an empty string.
    #[error("joint {0} of the list has an empty name")]
    Unnamed(usize),
    /// A name stands twice.
    #[error("joint '{}' is listed twice", Brief(.0))]
    Duplicate(String),
}

impl JointNames {
    /// Checks the names and keeps their order.
    ///
    /// # Errors
    /// When the list is empty, or a name is empty or repeated.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self, JointNamesError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.is_empty() {
            return Err(JointNamesError::Empty);
        }
        // Messages bring what lists they like: a hundred thousand names take no longer than it takes to read them.
        let mut seen = HashSet::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            if name.is_empty() {
                return Err(JointNamesError::Unnamed(i));
            }
            if !seen.insert(name.as_str()) {
                return Err(JointNamesError::Duplicate(name.clone()));
            }
        }
        Ok(Self(names.into()))
    }

    /// How many joints.
    #[allow(clippy::len_without_is_empty)] // never empty, by construction
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The names in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The names as a slice.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Place of a joint in this order.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|n| n == name)
    }

    /// For each joint of `self`, its place in `names`: how to read a message whose joints come in another order.
    ///
    /// # Errors
    /// The first joint of `self` that `names` lacks.
    pub fn places_in(&self, names: &[String]) -> Result<Vec<usize>, String> {
        self.iter().map(|joint| names.iter().position(|n| n == joint).ok_or_else(|| joint.to_owned())).collect()
    }
}

/// A measured (or commanded) joint state at one time, in the order of some [`JointNames`].
#[derive(Debug, Clone, PartialEq)]
pub struct JointSample {
    /// When it was measured.
    pub stamp: Stamp,
    /// Radians or metres, one a joint.
    pub positions: Vec<f64>,
    /// Radians or metres a second, one a joint.
    pub velocities: Vec<f64>,
}

/// Why a joint state message cannot be read for a joint set.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JointSampleError {
    /// A needed joint is not in the message.
    #[error("joint '{}' is missing from the joint state", Brief(.0))]
    MissingJoint(String),
    /// The message's arrays have different lengths.
    #[error("the joint state names {names} joints but carries {positions} positions")]
    Sizes {
        /// Number of names.
        names: usize,
        /// Number of positions.
        positions: usize,
    },
    /// A value is NaN or infinite.
    #[error("the joint state's {field} of joint '{}' is {value}, not a finite number", Brief(.joint))]
    NotFinite {
        /// "position" or "velocity".
        field: &'static str,
        /// Which joint.
        joint: String,
        /// What it was.
        value: f64,
    },
}

impl JointSample {
    /// Picks the joints of `wanted` out of a message that may carry more of them, in any order. Velocities that the message
    /// does not carry, or that are NaN (the driver does not know them), are read as zero.
    ///
    /// # Errors
    /// When a wanted joint is missing, sizes disagree, a wanted position is not finite, or a wanted velocity is infinite.
    pub fn pick(
        wanted: &JointNames,
        stamp: Stamp,
        names: &[String],
        positions: &[f64],
        velocities: &[f64],
    ) -> Result<Self, JointSampleError> {
        if names.len() != positions.len() {
            return Err(JointSampleError::Sizes { names: names.len(), positions: positions.len() });
        }
        let places = wanted.places_in(names).map_err(JointSampleError::MissingJoint)?;
        let finite = |field, value: f64, place: usize| {
            if value.is_finite() {
                Ok(value)
            } else {
                Err(JointSampleError::NotFinite { field, joint: names[place].clone(), value })
            }
        };
        let mut sample =
            Self { stamp, positions: Vec::with_capacity(places.len()), velocities: Vec::with_capacity(places.len()) };
        for place in places {
            sample.positions.push(finite("position", positions[place], place)?);
            let told = velocities.get(place).copied().filter(|velocity| !velocity.is_nan());
            sample.velocities.push(finite("velocity", told.unwrap_or(0.0), place)?);
        }
        Ok(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: &[&str]) -> Vec<String> {
        n.iter().map(|s| s.to_string()).collect()
    }

    #[test]
    fn a_reordered_joint_state_with_extra_joints_is_read_by_name() {
        let arm = JointNames::new(["a", "b"]).unwrap();
        let sample =
            JointSample::pick(&arm, Stamp::ZERO, &names(&["x", "b", "a"]), &[9.0, 2.0, 1.0], &[0.0, 0.2, 0.1]).unwrap();
        assert_eq!(sample.positions, [1.0, 2.0]);
        assert_eq!(sample.velocities, [0.1, 0.2]);
    }

    #[test]
    fn a_missing_or_non_finite_joint_is_named() {
        let arm = JointNames::new(["a", "b"]).unwrap();
        let missing = JointSample::pick(&arm, Stamp::ZERO, &names(&["a"]), &[1.0], &[]).unwrap_err();
        assert_eq!(missing, JointSampleError::MissingJoint("b".into()));
        let nan = JointSample::pick(&arm, Stamp::ZERO, &names(&["a", "b"]), &[1.0, f64::NAN], &[]).unwrap_err();
        assert!(nan.to_string().contains("position of joint 'b'"), "{nan}");
    }

    #[test]
    fn a_velocity_that_is_nan_is_not_told_as_one_that_is_missing() {
        let arm = JointNames::new(["a", "b"]).unwrap();
        for (velocities, expected) in [
            (&[][..], [0.0, 0.0]),
            (&[f64::NAN, f64::NAN], [0.0, 0.0]),
            (&[0.5, f64::NAN], [0.5, 0.0]),
            (&[0.5], [0.5, 0.0]),
        ] {
            let sample = JointSample::pick(&arm, Stamp::ZERO, &names(&["a", "b"]), &[1.0, 2.0], velocities).unwrap();
            assert_eq!(sample.velocities, expected);
        }
        let error = JointSample::pick(&arm, Stamp::ZERO, &names(&["a", "b"]), &[1.0, 2.0], &[0.0, f64::INFINITY]);
        assert!(error.unwrap_err().to_string().contains("velocity of joint 'b' is inf"));
    }

    #[test]
    fn a_repeated_or_empty_name_is_refused() {
        assert_eq!(JointNames::new(["a", "a"]), Err(JointNamesError::Duplicate("a".into())));
        assert_eq!(JointNames::new(["a", ""]), Err(JointNamesError::Unnamed(1)));
        assert_eq!(JointNames::new(Vec::<String>::new()), Err(JointNamesError::Empty));
    }
}
