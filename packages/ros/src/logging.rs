//! The `log` macros, spoken through ROS's own logging: console in ROS's format, log file, `/rosout`, and what `--ros-args --log-level` says.
//!
//! Since Jazzy it is the client library that makes a node's publisher on `/rosout`. Ours is a publisher as any other, not the one of rcl's log handler:
//! so a node that ends waits until its last words, which are why it ends, are taken, and threads need no lock of the whole process to log.

use crate::entities::RosError;
use crate::{Publisher, qos};
use efm_core::reading::shown;
use log::{LevelFilter, Log, Metadata, Record};
use r2r::LogSeverity;
use r2r::builtin_interfaces::msg::Time;
use r2r::rcl_interfaces::msg::Log as LogMessage;
use r2r_rcl as rcl;
use std::cell::RefCell;
use std::ffi::{CString, c_int};
use std::sync::{PoisonError, RwLock};

thread_local! {
    /// As whom this thread speaks, where several nodes share a process.
    static NAME: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The nodes of this process that are heard on `/rosout`, by their loggers' names.
static HEARD: RwLock<Vec<(String, Publisher<LogMessage>)>> = RwLock::new(Vec::new());

struct RosLog {
    logger: String,
}

/// What is said, as it may be shown.
fn line_of(args: &std::fmt::Arguments<'_>) -> String {
    shown(args.to_string())
}

impl Log for RosLog {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        // r2r's own chatter (full queues, parameters) is of no use to anybody who runs a robot.
        if !self.enabled(record.metadata()) || (record.target().starts_with("r2r") && record.level() > log::Level::Warn)
        {
            return;
        }
        let (severity, level) = match record.level() {
            log::Level::Error => (LogSeverity::Error, LogMessage::ERROR as u8),
            log::Level::Warn => (LogSeverity::Warn, LogMessage::WARN as u8),
            log::Level::Info => (LogSeverity::Info, LogMessage::INFO as u8),
            log::Level::Debug | log::Level::Trace => (LogSeverity::Debug, LogMessage::DEBUG as u8),
        };
        // A text from outside may carry NUL, which ends a C string and would panic on the way, signs that a terminal obeys, or have no end.
        let text = line_of(record.args());
        let (file, line) = (record.file().unwrap_or(""), record.line().unwrap_or(0));
        NAME.with_borrow(|name| {
            let logger = name.as_ref().unwrap_or(&self.logger);
            r2r::log(&text, logger, file, line, severity);
            tell_everybody(logger, level, text, record);
        });
    }

    fn flush(&self) {}
}

/// Says it on `/rosout`. A thread that speaks for the whole process speaks there for its first node.
fn tell_everybody(logger: &str, level: u8, msg: String, record: &Record) {
    let heard = HEARD.read().unwrap_or_else(PoisonError::into_inner);
    let Some((_, publisher)) = heard.iter().find(|(name, _)| name == logger).or_else(|| heard.first()) else { return };
    if !is_enabled(logger, level) {
        return;
    }
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let message = LogMessage {
        // The wall clock's, as rcl has it, also under `use_sim_time`.
        stamp: Time { sec: (nanos / 1_000_000_000) as i32, nanosec: (nanos % 1_000_000_000) as u32 },
        level,
        name: logger.to_owned(),
        msg,
        file: record.file().unwrap_or("").to_owned(),
        function: record.module_path().unwrap_or("").to_owned(),
        line: record.line().unwrap_or(0),
    };
    // Where that fails the node is gone, and the console has it.
    let _ = publisher.publish(&message);
}

/// Whether `--log-level` lets this logger say so much: rcl's own answer, which the console follows.
fn is_enabled(logger: &str, level: u8) -> bool {
    let Ok(logger) = CString::new(logger) else { return false };
    // SAFETY: the name lives, and ends with a zero.
    unsafe { rcl::rcutils_logging_logger_is_enabled_for(logger.as_ptr(), c_int::from(level)) }
}

/// Routes the `log` macros of this process to ROS under the node's logger name. The first call wins.
pub fn init(logger: &str, level: LevelFilter) {
    if log::set_boxed_logger(Box::new(RosLog { logger: logger.to_owned() })).is_ok() {
        log::set_max_level(level);
    }
}

/// From now on this thread speaks as `logger`.
pub fn speak_as(logger: &str) {
    NAME.set(Some(logger.to_owned()));
}

/// A node whose log is on `/rosout` as long as this lives.
#[derive(Debug)]
pub(crate) struct OnRosout(String);

impl OnRosout {
    /// From now on, unless `--disable-rosout-logs` forbids it.
    ///
    /// # Errors
    /// When ROS refuses.
    pub(crate) fn begin(entities: &mut crate::entities::Entities) -> Result<Option<Self>, RosError> {
        // SAFETY: looks at a plain value that the initialisation set.
        if !unsafe { rcl::rcl_logging_rosout_enabled() } {
            return Ok(None);
        }
        let publisher = Publisher::on(entities, "/rosout", qos::rosout())?;
        let logger = entities.logger();
        HEARD.write().unwrap_or_else(PoisonError::into_inner).push((logger.clone(), publisher));
        Ok(Some(Self(logger)))
    }
}

impl Drop for OnRosout {
    fn drop(&mut self) {
        HEARD.write().unwrap_or_else(PoisonError::into_inner).retain(|(logger, _)| *logger != self.0);
    }
}

/// The level that `--ros-args --log-level [logger:=]LEVEL` asks for this node, `Info` without one. ROS itself filters by the same
/// arguments; this spares the formatting of what would be thrown away.
pub fn level_from_args(node: &str, args: impl IntoIterator<Item = String>) -> LevelFilter {
    let mut args = args.into_iter();
    let (mut everywhere, mut here) = (None, None);
    while let Some(arg) = args.next() {
        if arg != "--log-level" {
            continue;
        }
        let Some(rule) = args.next() else { break };
        match rule.split_once(":=") {
            None => everywhere = level(&rule),
            Some((logger, word)) if logger == node || logger.ends_with(&format!(".{node}")) => here = level(word),
            Some(_) => {}
        }
    }
    here.or(everywhere).unwrap_or(LevelFilter::Info)
}

fn level(word: &str) -> Option<LevelFilter> {
    match word.to_ascii_lowercase().as_str() {
        "debug" => Some(LevelFilter::Debug),
        "info" => Some(LevelFilter::Info),
        "warn" => Some(LevelFilter::Warn),
        "error" | "fatal" => Some(LevelFilter::Error),
        _ => None, // rcl refuses the argument itself, with its own message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(args: &str) -> LevelFilter {
        level_from_args("sim", args.split(' ').map(str::to_owned))
    }

    #[test]
    fn what_a_terminal_would_obey_and_what_has_no_end_is_written_out_and_cut() {
        let said = ["a\u{1b}[2Jb", "a\u{202e}b", "a\0b", "a\u{7}", &"x".repeat(9 << 20)]
            .map(|text| line_of(&format_args!("goal '{text}'")));
        assert!(
            said.iter().all(|line| efm_core::reading::hidden(line, true).is_none() && line.len() < 20_000),
            "{:?}",
            &said[..4]
        );
        assert_eq!(
            (said[0].as_str(), line_of(&format_args!("arm\nöl\t1")).as_str()),
            ("goal 'a\\u{1b}[2Jb'", "arm\nöl\t1")
        );
    }

    #[test]
    fn a_level_for_this_node_beats_the_one_for_all_and_others_do_not_matter() {
        assert_eq!(of("sim --ros-args"), LevelFilter::Info);
        assert_eq!(of("sim --ros-args --log-level WARN"), LevelFilter::Warn);
        assert_eq!(of("sim --ros-args --log-level sim:=debug --log-level warn"), LevelFilter::Debug);
        assert_eq!(of("sim --ros-args --log-level cell.sim:=error"), LevelFilter::Error);
        assert_eq!(of("sim --ros-args --log-level other:=debug"), LevelFilter::Info);
    }
}
