//! The emergency stop beyond its moment: kept in a file, so that one that only a dead process had heard still holds after a restart; and its
//! heartbeat, without which nothing moves.

use crate::reasons::{self, refused};
use crate::state_file::{self, try_out, write_whole};
use efm_core::Reason;
use efm_core::reading;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const PARAMETER: &str = "emergency_stop_file";

/// An emergency stop that is kept in a file until the robot is armed.
#[derive(Debug, Default)]
pub struct KeptStop {
    /// None: nothing is kept.
    path: Option<PathBuf>,
    /// What is wrong with it.
    trouble: Option<String>,
}

impl KeptStop {
    /// As the parameter `emergency_stop_file` of the node `full_name` says; `variable` looks into the environment. What is wrong is found out
    /// now, not when it matters.
    pub fn new(setting: &str, full_name: &str, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let mut kept = Self::default();
        match state_file::named(setting, full_name, "estop", variable) {
            Ok(path) => kept.path = path,
            Err(why) => {
                kept.trouble = Some(format!(
                    "{why}, so an emergency stop does not outlive this process; name a file by the parameter '{PARAMETER}'"
                ));
            }
        }
        if let Some(path) = &kept.path {
            kept.trouble = try_out(path).err().map(|error| unwritable(path, &error));
        }
        kept
    }

    /// The stop that was kept, in words. A file that cannot be read may hold one.
    pub fn read(&mut self) -> Option<String> {
        let path = self.path.as_deref()?;
        match reading::text(path, reading::SETTINGS) {
            Ok(text) => {
                let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
                let (when, why) = (value("when:").unwrap_or("before"), value("why:").unwrap_or("nobody knows why"));
                Some(format!("{why}; {when}, kept in '{}'", path.display()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let trouble = format!("parameter '{PARAMETER}': cannot read '{}': {error}", path.display());
                self.trouble = Some(trouble.clone());
                Some(format!("there may be one from before: {trouble}"))
            }
        }
    }

    /// Keeps a stop: all of it or nothing, whatever happens meanwhile.
    pub fn keep(&mut self, why: &str) {
        let Some(path) = self.path.as_deref() else { return };
        let when = utc(SystemTime::now());
        let why = why.replace('\n', " ");
        let text = format!(
            "An emergency stop of embodied_fm's trajectory_publisher. It holds until ~/arm is called, which removes this file.\nwhen: {when}\nwhy: {why}\n"
        );
        self.trouble = write_whole(path, &text).err().map(|error| unwritable(path, &error));
        self.log();
    }

    /// The robot is armed: the stop is over.
    pub fn forget(&mut self) {
        let Some(path) = self.path.as_deref() else { return };
        self.trouble = match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Some(format!(
                "parameter '{PARAMETER}': cannot remove '{}': {error}; after a restart the stop will hold again",
                path.display()
            )),
            _ => try_out(path).err().map(|error| unwritable(path, &error)),
        };
        self.log();
    }

    /// What is wrong with the file, where something is.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Where it is kept.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn log(&self) {
        if let Some(trouble) = &self.trouble {
            log::error!("{trouble}");
        }
    }
}

/// "2026-11-30 17:21:57 UTC". A clock that was never set stands before 1970, which is told as 1970.
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March, so that a leap day is the last day of one. In 400 of them there are 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // March is 0. Five months have 153 days, from March and from August on.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

fn unwritable(path: &Path, error: &io::Error) -> String {
    format!(
        "parameter '{PARAMETER}': cannot write '{}': {error}; an emergency stop does not outlive this process",
        path.display()
    )
}

/// What says from time to time that the emergency stop could be heard. Times of receipt in seconds.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// s; none: not asked for.
    limit: Option<f64>,
    heard: Option<f64>,
    /// Silence before the first is counted from here.
    from: f64,
}

impl Heartbeat {
    /// `limit` seconds may pass without one; 0: any.
    pub fn new(limit: f64, now: f64) -> Self {
        Self { limit: (limit > 0.0).then_some(limit), heard: None, from: now }
    }

    /// A message of the topic came, whatever it says.
    pub fn heard(&mut self, at: f64) {
        self.heard = Some(at);
    }

    /// For how long there was none, s, where that is too long.
    pub fn silence(&mut self, now: f64) -> Option<f64> {
        let limit = self.limit?;
        let last = self.heard.unwrap_or(self.from);
        if now < last {
            // Simulated time went back.
            (self.heard, self.from) = (self.heard.map(|_| now), now);
        }
        Some(now - last).filter(|silent| *silent > limit)
    }

    /// Why the robot must not be armed, where that is so: it would stop at once.
    pub fn forbids(&mut self, now: f64) -> Option<Reason> {
        let limit = self.limit?;
        if self.heard.is_some() && self.silence(now).is_none() {
            return None;
        }
        let since = self.heard.map_or("was never heard".to_owned(), |at| format!("is silent for {:.1} s", now - at));
        let remedy = format!("it must be heard every {limit} s (parameter 'emergency_stop_heartbeat')");
        Some(refused(reasons::HEARTBEAT_SILENT, format!("emergency_stop {since}"), remedy))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::state_file::AUTO;
    use std::time::Duration;

    fn nothing(_: &str) -> Option<OsString> {
        None
    }

    fn at(path: &Path) -> KeptStop {
        KeptStop::new(path.to_str().unwrap(), "/arm", nothing)
    }

    #[test]
    fn the_time_of_the_note_is_that_of_the_calendar() {
        // Of `date -u -d @SECONDS`.
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_709_164_800, "2024-02-29 00:00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (1_735_689_600, "2025-01-01 00:00:00 UTC"),
            (1_796_059_317, "2026-11-30 17:21:57 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
        assert_eq!(utc(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01 00:00:00 UTC");
        // Each day of 800 years is the one after the day before it.
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..292_194u64 {
            let time = utc(UNIX_EPOCH + Duration::from_secs(days * 86_400 + 3_661));
            assert_eq!(time, format!("{year:04}-{month:02}-{day:02} 01:01:01 UTC"));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, 28 + i32::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
            (day, month) = if day == length { (1, month + 1) } else { (day + 1, month) };
            (month, year) = if month == 13 { (1, year + 1) } else { (month, year) };
        }
    }

    #[test]
    fn a_stop_outlives_the_process_until_the_robot_is_armed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/of/it.estop");
        let mut kept = at(&path);
        assert_eq!((kept.read(), kept.trouble()), (None, None));
        kept.keep("topic emergency_stop,\nnode '/button'");
        let why = at(&path).read().unwrap();
        assert!(why.contains("node '/button'") && why.contains("UTC") && why.contains("it.estop"), "{why}");
        let only: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(only.len(), 1, "no draft is left");
        let mut next = at(&path);
        next.forget();
        assert_eq!((next.trouble(), at(&path).read()), (None, None));
        next.forget();
        assert_eq!(next.trouble(), None, "twice is no trouble");
    }

    #[test]
    fn what_cannot_be_read_may_be_a_stop_and_is_told() {
        let dir = tempfile::tempdir().unwrap();
        // A folder stands there: neither read nor written.
        let mut kept = at(dir.path());
        assert!(kept.trouble().unwrap().contains("cannot write"), "{kept:?}");
        let why = kept.read().unwrap();
        assert!(why.contains("cannot read") && why.contains("emergency_stop_file"), "{why}");
        // Half a file, or one of somebody else's.
        for text in ["", "\u{0}\u{0}", "when: yesterday"] {
            let path = dir.path().join("half");
            fs::write(&path, text).unwrap();
            assert!(at(&path).read().unwrap().contains("nobody knows why"));
        }
        fs::write(dir.path().join("bytes"), [0xff, 0xfe]).unwrap();
        assert!(at(&dir.path().join("bytes")).read().unwrap().contains("cannot read"));
    }

    #[test]
    fn what_cannot_be_written_is_told_at_the_start_and_again_when_it_matters() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        // A file stands where the folder should be.
        let mut kept = at(&file.join("it.estop"));
        assert!(kept.trouble().unwrap().contains("cannot write"), "{kept:?}");
        kept.keep("why");
        assert!(kept.trouble().unwrap().contains("does not outlive"), "{kept:?}");
        fs::remove_file(&file).unwrap();
        kept.keep("why");
        assert_eq!(kept.trouble(), None, "once it can be written again, it is");
        assert!(kept.read().is_some());
        // What is there and cannot be removed holds again after a restart.
        let mut folder = at(dir.path());
        folder.forget();
        assert!(folder.trouble().unwrap().contains("hold again"), "{folder:?}");
    }

    #[test]
    fn silence_of_the_heartbeat_counts_from_the_start_and_forbids_arming() {
        let mut beat = Heartbeat::new(0.5, 10.0);
        assert!(beat.silence(10.4).is_none() && beat.silence(10.6).is_some());
        assert!(beat.forbids(10.1).unwrap().text.contains("never heard"));
        beat.heard(11.0);
        assert!(beat.silence(11.5).is_none() && beat.forbids(11.5).is_none());
        let why = beat.forbids(12.0).unwrap().in_words();
        assert!(why.contains("1.0 s") && why.contains("emergency_stop_heartbeat"), "{why}");
        // Simulated time goes back.
        assert!(beat.silence(3.0).is_none() && beat.silence(3.4).is_none() && beat.silence(3.6).is_some());
        let mut none = Heartbeat::new(0.0, 0.0);
        assert!(none.silence(1e9).is_none() && none.forbids(1e9).is_none());
    }

    #[test]
    fn without_a_place_for_the_file_that_is_told_and_switched_off_nothing_is() {
        let mut nowhere = KeptStop::new(AUTO, "/a", nothing);
        assert!(nowhere.trouble().unwrap().contains("HOME") && nowhere.read().is_none());
        nowhere.keep("why");
        assert!(nowhere.trouble().is_some(), "it stays told");
        let mut off = KeptStop::new("", "/a", nothing);
        off.keep("why");
        assert!(off.trouble().is_none() && off.read().is_none());
    }
}
