//! ROS 2 messages as bytes, without ROS: how they travel, and how they lie in bags.
//!
//! Messages are CDR ([`cdr`]). The handful of standard types that the suite uses have plain structs in [`msgs`];
//! `trajectory_msgs/msg/JointTrajectory` is [`efm_core::Trajectory`] itself. What others define is read as far as it matters
//! ([`controller_state`]). [`schema`] and [`definitions`] know what a bag says about a type.
//!
//! ```
//! # fn main() -> Result<(), efm_wire::CdrError> {
//! use efm_wire::{Decode, Encode, msgs::StringMsg};
//!
//! let bytes = StringMsg::new("put the red cube left").to_cdr();
//! assert_eq!(StringMsg::from_cdr(&bytes)?.data, "put the red cube left");
//! # Ok(()) }
//! ```

pub mod cdr;
pub mod cdr_of;
pub mod controller_state;
pub mod definitions;
pub mod msgs;
pub mod schema;

pub use cdr::{CdrError, Decode, Encode, RosType};
pub use cdr_of::{CdrOf, PointView};
pub use definitions::{Definition, Definitions};
