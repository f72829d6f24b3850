//! Health, as diagnostics tell it.

/// The code of a task that is silent for longer than it promised.
pub const SILENT: &str = "silent";

/// Level of a task's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok = 0,
    /// Works, but somebody should look.
    Warn = 1,
    /// Does not do its work.
    Error = 2,
    /// Has not been heard of for too long.
    Stale = 3,
}
