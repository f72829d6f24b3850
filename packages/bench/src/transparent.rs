//! Whether the filter is transparent: what it makes of the expert's demonstrations, against what the same chunks mean without it.
//! `./efm bench transparent`.

pub mod command;
pub mod compare;
pub mod limiter;
pub mod run;

pub use command::{Args, bench};
