//! The monitors that every robot has, one file each. To add one: a file here, a line in [`shipped`], and a test that drives a streamer with it.
//!
//! What is not here, and why. A clock that goes back or leaps (`watch_clock` of the streamer) is no verdict: the time axis of the plan is moved or dropped before
//! anything else is looked at. Contradictory joint states, and a robot that stands still (`streamer/hold.rs`), change what the filter believes and where it
//! holds the robot; a monitor may do neither. Controllers, operators and bad chunks are events between two ticks.

mod freshness;
mod joint_states;
mod other_joints;
mod tracking;

use crate::monitor::Watch;
use crate::progress::PathLimit;
use crate::streamer::config::StreamConfig;

/// All of them, in the order in which they are asked: of two reasons to stop, the first is told.
pub(crate) fn shipped(config: &StreamConfig) -> Vec<Watch> {
    let stale = PathLimit::StaleObservation;
    vec![
        Watch::of(Box::new(joint_states::JointStates)),
        Watch::of(Box::new(tracking::Tracking)),
        Watch::of(Box::new(other_joints::OtherJoints)),
        Watch::of(Box::new(freshness::Freshness::new(config.max_observation_age_s))).limited_by(stale),
    ]
}
