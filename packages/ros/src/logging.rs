//! The `log` macros, spoken through ROS's own logging: console in ROS's format, log file, and what `--ros-args --log-level` says.

use log::{LevelFilter, Log, Metadata, Record};
use r2r::LogSeverity;
use std::cell::RefCell;

thread_local! {
    /// As whom this thread speaks, where several nodes share a process.
    static NAME: RefCell<Option<String>> = const { RefCell::new(None) };
}

struct RosLog {
    logger: String,
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
        let severity = match record.level() {
            log::Level::Error => LogSeverity::Error,
            log::Level::Warn => LogSeverity::Warn,
            log::Level::Info => LogSeverity::Info,
            log::Level::Debug | log::Level::Trace => LogSeverity::Debug,
        };
        // A text from outside may carry NUL, which ends a C string and would panic on the way.
        let text = record.args().to_string().replace('\0', "\\0");
        let (file, line) = (record.file().unwrap_or(""), record.line().unwrap_or(0));
        NAME.with_borrow(|name| r2r::log(&text, name.as_ref().unwrap_or(&self.logger), file, line, severity));
    }

    fn flush(&self) {}
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
    fn a_level_for_this_node_beats_the_one_for_all_and_others_do_not_matter() {
        assert_eq!(of("sim --ros-args"), LevelFilter::Info);
        assert_eq!(of("sim --ros-args --log-level WARN"), LevelFilter::Warn);
        assert_eq!(of("sim --ros-args --log-level sim:=debug --log-level warn"), LevelFilter::Debug);
        assert_eq!(of("sim --ros-args --log-level cell.sim:=error"), LevelFilter::Error);
        assert_eq!(of("sim --ros-args --log-level other:=debug"), LevelFilter::Info);
    }
}
