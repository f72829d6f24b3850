//! Clearance of a robot to itself and to its cell, at one configuration and along a whole motion.
//!
//! * [`CollisionModel`]: the bodies of the robot (from its URDF), of what it holds and of what stands around it, and the pairs of them that are
//!   kept apart (without what the SRDF disables and what may touch by declaration). Built once.
//! * [`Checker`]: scratch space of one thread. [`Checker::clearance`] is the smallest distance at a configuration; [`Checker::begin`] and
//!   [`Checker::advance`] follow a motion step by step and bound the distances from below between the steps too.
//! * [`Obstacles`]: the cell, from a YAML file in the words of MoveIt's planning scene. [`SceneDiff`]: its changes at run time, as a planning scene
//!   message carries them.
//!
//! Lengths are metres, poses those of frames in the root link's frame. Nothing here knows ROS, a clock or a thread. Checks do not allocate and are
//! deterministic to the bit.

mod body;
mod cache;
pub mod checker;
pub mod convex;
mod distance;
pub mod error;
mod gjk;
mod kinematics;
pub mod mesh;
mod mesh_file;
pub mod model;
pub mod obstacles;
pub mod sampled;
pub mod scene;
pub mod scene_diff;
mod scene_file;
mod sweep;

pub use checker::{Checker, Clearance, TooClose, Touching};
pub use convex::{ConvexPart, Fit};
pub use error::CollisionError;
pub use mesh::MeshFiles;
pub use model::{CollisionModel, CollisionOptions};
pub use obstacles::{AttachedObject, CollisionObject, Obstacles, Plane, PointMesh};
pub use sampled::{Meeting, SampledPair, Sampling, sampled_pairs};
pub use scene::{SceneMesh, SceneObject, ScenePose, Solid, SolidKind};
pub use scene_diff::{AllowedMatrix, Operation, SceneAttached, SceneDiff};
