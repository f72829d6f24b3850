//! What a call costs as its work grows: the safety tick over joints and pairs of bodies, the scheduler over the rows of a chunk, and what a policy
//! costs beside its model. `./efm bench growth`.
//!
//! Others use the machine too. All sizes are measured in turn, round by round, so that a bad moment hits all of them; of each quantile the least
//! over the rounds is told, and how far the rounds were apart.

pub mod command;
pub mod policy;
pub mod safety;
pub mod schedule;
pub mod series;
pub mod slope;

pub use command::{Args, bench};
