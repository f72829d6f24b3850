//! How long a tick of the whole filter takes, what it allocates, and whether it does the same again. `./efm bench tick`.
//!
//! Others use the machine too. A stream is the same work every time, so it is played several times: of each quantile the least over the
//! repetitions is told, beside it the quantiles of each tick's own least. Thread CPU time does not count what others do with our core; caches and
//! clock rates that they spoil are in it all the same.

pub mod alternative;
pub mod command;
pub mod play;
pub mod quantiles;
pub mod robot;

pub use command::{Args, bench};
