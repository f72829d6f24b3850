//! Which message of r2r is which of `efm_wire`: both are generated or written from one definition, so their CDR is the same.

use efm_core::Trajectory;
use efm_wire::RosType;
use efm_wire::msgs::{Image, JointState};
use r2r::{WrappedTypesupport, sensor_msgs, trajectory_msgs};

/// A message of r2r whose CDR is that of `W`.
#[diagnostic::on_unimplemented(
    message = "a publisher of `{Self}` does not send the CDR of `{W}`",
    note = "where both are the same ROS type, say so in packages/ros/src/written.rs; a test compares them"
)]
pub trait WrittenAs<W: RosType>: WrappedTypesupport {}

/// Declares pairs; and for the test, their names and type supports.
macro_rules! written_as {
    ($($native:ty => $wire:ty;)*) => {
        $(impl WrittenAs<$wire> for $native {})*

        /// The ROS type of each, and whose type support the publisher of r2r's has.
        #[cfg(test)]
        fn pairs() -> Vec<(&'static str, usize)> {
            vec![$((<$wire as RosType>::TYPE, <$native as WrappedTypesupport>::get_ts() as *const _ as usize)),*]
        }
    };
}

written_as! {
    trajectory_msgs::msg::JointTrajectory => Trajectory;
    sensor_msgs::msg::Image => Image;
    sensor_msgs::msg::JointState => JointState;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::type_support::TypeSupports;

    #[test]
    fn both_of_a_pair_are_one_ros_type() {
        let mut supports = TypeSupports::default();
        for (name, native) in pairs() {
            assert_eq!(supports.of(name).unwrap() as usize, native, "{name}");
        }
    }
}
