//! control_msgs/JointTrajectoryControllerState from its bytes: what a joint_trajectory_controller says of itself.
//!
//! Read here rather than by r2r's types, so that everything below is built and tested where nobody has control_msgs. Only the beginning is read, which
//! Humble and Jazzy share: in the place of `reference`, older versions have `desired`, which is the same.

use crate::cdr::{CdrError, CdrReader, Decode, RosType};
use efm_core::Stamp;

/// What of the message matters here.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ControllerState {
    /// The time that the reference is for.
    pub stamp: Stamp,
    /// Joints, in the order of the reference.
    pub joint_names: Vec<String>,
    /// Positions that the controller wants now, by what it has taken of what it was sent.
    pub reference: Vec<f64>,
}

impl ControllerState {
    /// Its ROS type.
    pub const TYPE: &'static str = "control_msgs/msg/JointTrajectoryControllerState";
}

impl RosType for ControllerState {
    const TYPE: &'static str = Self::TYPE;
}

impl<'a> Decode<'a> for ControllerState {
    fn decode(input: &mut CdrReader<'a>) -> Result<Self, CdrError> {
        let stamp = input.field("header").stamp()?;
        input.str()?;
        let joint_names = input.field("joint_names").strings()?;
        let reference = input.field("reference.positions").f64_sequence()?;
        Ok(Self { stamp, joint_names, reference })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Written by rosbags, read back by mcap_ros2: `tests/data/make_controller_state.py`.
    const STATE: &[u8] = include_bytes!("../tests/data/controller_state.cdr");

    #[test]
    fn the_reference_of_a_message_by_others_is_read_with_its_time_and_joints() {
        let state = ControllerState::from_cdr(STATE).unwrap();
        assert_eq!(state.stamp, Stamp::from_nanos(12_000_000_345));
        assert_eq!(state.joint_names, ["panda_joint1", "panda_joint2", "panda_joint3"]);
        assert_eq!(state.reference, [0.25, -1.5, 3.0e-7]);
    }

    #[test]
    fn a_message_that_ends_early_is_an_error_that_names_the_field() {
        let error = ControllerState::from_cdr(&STATE[..90]).unwrap_err();
        assert_eq!(error.field, "reference.positions", "{error}");
        assert!((0..60).all(|n| ControllerState::from_cdr(&STATE[..n]).is_err()));
    }
}
