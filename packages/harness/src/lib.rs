//! The whole loop in one process, without ROS: simulated cell, streamer, policy or expert, recorder.
//!
//! What runs here are the same libraries as in the nodes, driven by simulated time: faster than real time, and bit-identical for
//! the same seed.
//!
//! An evaluation: [`evaluate`] runs who acts ([`agent`]) on the scenes of a split, with its [`control`]s, episode by
//! [`episode`]; [`failure`] says what went wrong in one; [`report`] sums up (JSON), and [`page`] and [`strip`] show it.
//! How motion flows from chunk to chunk when the policy is slow is measured by [`flow`] and drawn by [`curves`].

pub mod agent;
pub mod batch;
pub mod control;
pub mod curves;
pub mod deployed;
pub mod episode;
pub mod evaluate;
pub mod failure;
pub mod flow;
pub mod leaks;
pub mod page;
pub mod planner;
pub mod random;
pub mod recorder;
pub mod report;
pub mod rig;
pub mod stats;
pub mod strip;
pub mod unfiltered;
