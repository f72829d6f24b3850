//! From an observation to an action: our runtime beside LeRobot's own loop, on the same policy. `efm-bench lerobot`.
//!
//! Both get pictures as a driver hands them over and the joints, and make a whole chunk each time. Ours is the code of the nodes: `camera_ingest`'s
//! resizing, then `vla_inference`'s policy; between the two nodes lies a message, which `overhead` measures and this does not. Theirs are LeRobot's
//! own functions in the order of its `record_loop`. Their first actions must agree, or nothing is measured.
//!
//! What lies around the network is small beside it, and lost in its noise. So it is measured twice: as what a chunk takes longer than the network
//! alone right behind it, and around a network that does nothing.

pub mod command;
pub mod ours;
pub mod report;
pub mod theirs;

pub use command::{Args, bench};

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// An observation, in files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recorded {
    /// Raw rgb8 of the cameras, in the policy's order.
    pub images: Vec<PathBuf>,
    /// In the policy's order and units (rad or m).
    pub joints: Vec<f64>,
}
