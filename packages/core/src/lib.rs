//! The vocabulary that every part of `embodied_fm` shares: ROS time, joint sets, joint samples, limits and action chunks.
//!
//! Nothing here knows ROS or a clock, and only [`reading`] opens files. Angles are radians, prismatic joints metres, durations seconds unless a name
//! says nanoseconds.

pub mod child;
pub mod chunk;
pub mod figure;
pub mod freshness;
pub mod goal;
pub mod health;
pub mod joints;
pub mod limited;
pub mod limits;
pub mod percentiles;
pub mod reading;
pub mod reason;
pub mod registry;
pub mod sender;
pub mod stamp;
pub mod trajectory;
pub mod words;

pub use chunk::{ActionChunk, ChunkError, TrajectoryChunkError};
pub use health::Level;
pub use joints::{JointNames, JointNamesError, JointSample, JointSampleError};
pub use limits::JointLimits;
pub use reason::{Code, Reason, Text};
pub use registry::{RegisterError, Registry, UnknownName};
pub use sender::SenderId;
pub use stamp::Stamp;
pub use trajectory::{Trajectory, TrajectoryPoint};
