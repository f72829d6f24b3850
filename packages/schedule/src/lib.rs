//! From action chunks to one continuous reference.
//!
//! A policy proposes chunks: coarse rows of joint positions, late, overlapping and never quite in agreement. [`Scheduler`] turns
//! them into a reference that is smooth up to acceleration: rows are joined by a twice differentiable spline, rows whose time is
//! over are dropped, and a new chunk is blended in from the state that is followed at the first moment that is still open.
//!
//! Nothing here knows limits of the robot as a safety matter, a clock or ROS: time is passed in.

mod rows;
mod scheduler;

pub use scheduler::{
    Accepted, ChunkRefusal, Moment, Reference, ReferenceLimits, ReferenceStatus, Scheduler, SchedulerConfig,
    SchedulerError,
};

/// Largest joint position, in radians or metres, that a chunk may hold: no joint of a robot gets there, and beyond it arithmetic
/// on hostile numbers could overflow.
pub const MAX_POSITION: f64 = 1.0e3;
/// Shortest time between the rows of a chunk, in seconds.
pub const MIN_STEP: f64 = 1.0e-3;
/// Longest time between the rows of a chunk, in seconds.
pub const MAX_STEP: f64 = 10.0;
