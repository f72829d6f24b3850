//! The robot as everything else sees it: its description, its kinematics, its limits and its shape.
//!
//! * [`RobotModel`]: a URDF as a checked tree of links and joints, with inertials and collision primitives;
//!   [`TreeKinematics`] places all its links, [`TipKinematics`] one of them.
//! * [`Chain`]: the flat serial chain between two links, with forward kinematics and the geometric Jacobian;
//!   [`InverseKinematics`] inverts it, and [`straight_path`] follows a straight line of the tip.
//! * [`LimitSet`]: position, velocity, acceleration and jerk limits in the order of some joint set; the tightest source wins, and a
//!   limit that nobody states is an error, never "unlimited".
//! * [`Srdf`]: groups, named states and the pairs of links that need no collision check.
//!
//! Lengths are metres, angles radians, times seconds. A pose is that of the named frame in the base frame it is asked for.
//! Nothing here knows ROS, a clock or a thread; the kinematics allocate nothing per call.

pub mod chain;
pub mod ik;
pub mod limits;
pub mod model;
pub mod path;
pub mod shape;
pub mod srdf;
pub mod tip;
pub mod tree;
mod written;
pub mod xml;

pub use chain::{Chain, ChainError};
pub use ik::{IkError, IkReport, IkSettings, InverseKinematics};
pub use limits::{LimitError, LimitSet, LimitsFile, MissingLimit};
pub use model::{Inertial, Joint, JointKind, Link, Mimic, ModelError, RobotModel, UrdfLimit};
pub use path::{PathError, straight_path, tool_down};
pub use shape::{Primitive, Shape};
pub use srdf::{DisabledPair, Group, GroupState, Srdf, SrdfError, VirtualJoint};
pub use tip::TipKinematics;
pub use tree::{TreeKinematics, other_joints};
