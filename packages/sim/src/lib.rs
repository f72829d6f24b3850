//! The simulated cell, without ROS: a MuJoCo world completed from the robot's own URDF, cameras, tasks with a referee, and a
//! scripted expert.
//!
//! Everything here is deterministic: the same seed gives bit-identical motion on the same machine. Time is the world's own.
//!
//! - [`World`]: physics in steps of [`world::STEP_NANOS`], joint targets in, joint state and images out.
//! - [`Scene`]: what stands on the table and what is asked, drawn from a seed. [`Referee`]: whether it was done.
//! - [`Cell`]: the world with the two controllers that a real cell has; what the `sim` node and the in-process loop drive.
//! - [`Expert`]: from the true state to the next [`expert::HORIZON`] tool positions.

pub mod cell;
pub mod expert;
pub mod jtc;
pub mod tasks;
pub mod world;

pub use cell::{Cell, CellError, CommandRefusal};
pub use expert::{Expert, ExpertView, Rollout};
pub use tasks::{ObjectKind, Referee, Scene, Split, Task, Verdict, Zone};
pub use world::{Camera, World, WorldError, WorldFiles};
