//! From action chunks to one continuous reference.
//!
//! A policy proposes chunks: coarse rows of joint positions, late, overlapping and never quite in agreement. [`Scheduler`] turns
//! them into a reference that is smooth up to acceleration: rows are joined by a twice differentiable spline, rows whose time is
//! over are dropped, and a new chunk is blended in from the state that is followed at the first moment that is still open.
//!
//! How one chunk follows another is a [`Mode`]; how long the policy takes is counted in actions by [`DelayEstimator`], and
//! [`RtcPlan`] says what it is told of the chunk that goes on meanwhile. [`GoalSwitch`] is the rule for a new instruction.
//!
//! Nothing here knows limits of the robot as a safety matter, a clock or ROS: time is passed in.

mod delay;
mod ensemble;
mod goal;
mod mode;
mod rows;
mod rtc;
mod scheduler;
mod seam;

pub use delay::{DelayConfig, DelayError, DelayEstimator, consumed};
pub use ensemble::MAX_ENSEMBLE;
pub use goal::{Duty, GoalId, GoalRefusal, GoalSwitch, MotionNow, OnNewGoal, UnknownRule};
pub use mode::{ACT_DECAY, Mode, UnknownMode};
pub use rtc::{Decay, Guide, RawChunk, RtcError, RtcPlan, prefix_weights};
pub use scheduler::{
    Accepted, ChunkRefusal, LEAST_BLEND_S, Moment, Reference, ReferenceStatus, Scheduler, SchedulerConfig,
    SchedulerError,
};
pub use seam::{SEAM_STEP, Seam};

/// Largest joint position, in radians or metres, that a chunk may hold: no joint of a robot gets there, and beyond it arithmetic
/// on hostile numbers could overflow.
pub const MAX_POSITION: f64 = 1.0e3;
/// Shortest time between the rows of a chunk, in seconds.
pub const MIN_STEP: f64 = 1.0e-3;
/// Longest time between the rows of a chunk, in seconds.
pub const MAX_STEP: f64 = 10.0;
