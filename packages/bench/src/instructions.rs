//! How many instructions a call of a hot path takes, counted by valgrind and compared with what it was: `./efm bench instructions`.
//!
//! Times are too noisy to show that something got 5 % dearer; instructions are the same again to a few in a million. They are those of one
//! compiler for one architecture, so the baseline says which, and is not compared with another. Code that picks its way by processor sees
//! the one that valgrind shows, which has AVX2 at most; the baseline says that too. libc's own code (copies, sines, memory) is counted as well: where
//! another libc counts more, that is told.

pub mod baseline;
pub mod command;
pub mod valgrind;

pub use command::{Args, bench};
