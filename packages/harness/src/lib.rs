//! The whole loop in one process, without ROS: simulated cell, streamer, policy or expert, recorder.
//!
//! What runs here are the same libraries as in the nodes, driven by simulated time: faster than real time, and bit-identical for
//! the same seed.

pub mod agent;
pub mod batch;
pub mod episode;
pub mod planner;
pub mod recorder;
pub mod report;
pub mod rig;
pub mod stats;
