//! Joint trajectories as they travel: the plain form of a `trajectory_msgs/JointTrajectory`.

use crate::Stamp;

/// A joint trajectory message. Unlike [`crate::ActionChunk`] it promises nothing: it may come from anywhere.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trajectory {
    /// Start of the time axis; [`Stamp::ZERO`] means "when received".
    pub stamp: Stamp,
    /// Frame of the header; joint trajectories rarely need one.
    pub frame_id: String,
    /// Joints, in the order of the columns of the points.
    pub joint_names: Vec<String>,
    /// The points, in the order of their times.
    pub points: Vec<TrajectoryPoint>,
}

/// One point of a [`Trajectory`]. An empty array means that the quantity is not given.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrajectoryPoint {
    /// Radians or metres.
    pub positions: Vec<f64>,
    /// Radians or metres a second.
    pub velocities: Vec<f64>,
    /// Radians or metres a second squared.
    pub accelerations: Vec<f64>,
    /// Newton metres or newtons.
    pub effort: Vec<f64>,
    /// Nanoseconds after the trajectory's stamp.
    pub time_from_start: i64,
}
