//! What is known of goals beyond the life of the process that took them: which was the last, and which was active. So ids do not repeat, and a goal that
//! nobody keeps any more is told to have ended.

use crate::state_file::{self, try_out, write_whole};
use efm_core::goal::{MAX_GOAL_BYTES, Sentence};
use efm_core::reading;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

const PARAMETER: &str = "goal_file";
/// No file of ours is longer: every byte of a sentence may be escaped.
const LONGEST: u64 = 8 * MAX_GOAL_BYTES as u64;

/// The goal that was active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// Its id.
    pub id: u64,
    /// Its sentence.
    pub goal: String,
}

/// What is in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// The goal that was accepted last.
    last: u64,
    active: Option<Orphan>,
}

/// The file of a node, or none.
#[derive(Debug, Default)]
pub struct KeptGoals {
    path: Option<PathBuf>,
    /// What is in it.
    known: Known,
    /// What is wrong with it.
    trouble: Option<String>,
}

impl KeptGoals {
    /// As the parameter `goal_file` of the node `full_name` says, with what a process before this one has put into it; `variable` looks into the
    /// environment. Where nothing is kept, or it cannot be read, ids begin at `seconds`, which are those since 1970: no goal of before has such a one.
    pub fn read(setting: &str, full_name: &str, seconds: u64, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let mut kept = Self::default();
        match state_file::named(setting, full_name, "goals", variable) {
            Ok(path) => kept.path = path,
            Err(why) => kept.trouble = Some(format!("{why}; name a file by '{PARAMETER}'")),
        }
        kept.known.last = seconds;
        let Some(path) = &kept.path else { return kept };
        match known(path) {
            Ok(Some(known)) => kept.known = known,
            Ok(None) => kept.known.last = 0,
            Err(error) => kept.trouble = Some(format!("cannot read '{}': {error}", path.display())),
        }
        if let Err(error) = try_out(path) {
            // The next process will know no more than this one does.
            kept.known.last = kept.known.last.max(seconds);
            kept.trouble = Some(format!("cannot write '{}': {error}", path.display()));
        }
        kept
    }

    /// The last id that was given away.
    pub fn last(&self) -> u64 {
        self.known.last
    }

    /// The goal that was active when it was written.
    pub fn active(&self) -> Option<&Orphan> {
        self.known.active.as_ref()
    }

    /// How it is now. Written where that is news, whole or not at all.
    pub fn keep(&mut self, last: u64, active: Option<(u64, &str)>) {
        let same = |known: &Option<Orphan>| known.as_ref().map(|goal| goal.id) == active.map(|(id, _)| id);
        if last == self.known.last && same(&self.known.active) {
            return;
        }
        self.known = Known { last, active: active.map(|(id, goal)| Orphan { id, goal: goal.to_owned() }) };
        let Some(path) = &self.path else { return };
        // Numbers and a string always have a JSON form.
        let text = serde_json::to_string(&self.known).unwrap_or_default();
        let problem = |error| format!("cannot write '{}': {error}", path.display());
        self.trouble = write_whole(path, &text).err().map(problem);
    }

    /// What is wrong with the file, where something is.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.as_ref().map(|trouble| {
            format!(
                "parameter '{PARAMETER}': {trouble}; a goal that is active when this process dies will not be told of"
            )
        })
    }
}

/// What a file holds; nothing where there is none.
fn known(path: &Path) -> io::Result<Option<Known>> {
    let wrong = |words: &str| io::Error::new(io::ErrorKind::InvalidData, words.to_owned());
    let text = match reading::text(path, LONGEST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let known: Known = serde_json::from_str(&text).map_err(|_| wrong("it was not written by goal_intake"))?;
    if known.active.as_ref().is_some_and(|goal| Sentence::new(&goal.goal).is_err() || goal.id > known.last) {
        return Err(wrong("it was not written by goal_intake"));
    }
    Ok(Some(known))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::state_file::AUTO;

    const NOW: u64 = 1_796_000_000;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("efm_goals_{}_{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    fn read(path: &Path) -> KeptGoals {
        KeptGoals::read(path.to_str().unwrap(), "/goal_intake", NOW, |_| None)
    }

    #[test]
    fn what_was_active_is_known_after_a_death_and_ids_go_on() {
        let path = folder("death").join("it.goals");
        let mut kept = read(&path);
        assert_eq!((kept.last(), kept.active(), kept.trouble()), (0, None, None));
        kept.keep(1, Some((1, "push \"it\"")));
        let again = read(&path);
        assert_eq!((again.last(), again.active().unwrap().goal.as_str()), (1, "push \"it\""));
        kept.keep(7, None);
        let again = read(&path);
        assert_eq!((again.last(), again.active()), (7, None));
    }

    #[test]
    fn each_robot_of_each_domain_has_a_file_of_its_own() {
        let home = folder("robots");
        let at = |name: &str, domain: &'static str| {
            let home = home.clone();
            KeptGoals::read(AUTO, name, NOW, move |variable| match variable {
                "XDG_STATE_HOME" => Some(home.clone().into()),
                "ROS_DOMAIN_ID" => Some(domain.into()),
                _ => None,
            })
        };
        at("/left/goal_intake", "0").keep(3, None);
        assert_eq!(at("/left/goal_intake", "0").last(), 3);
        assert_eq!((at("/right/goal_intake", "0").last(), at("/left/goal_intake", "1").last()), (0, 0));
    }

    #[test]
    fn where_nothing_is_kept_no_id_comes_again_either() {
        let none = KeptGoals::read("", "/goal_intake", NOW, |_| None);
        assert_eq!((none.last(), none.trouble()), (NOW, None));
        let homeless = KeptGoals::read(AUTO, "/goal_intake", NOW, |_| None);
        assert_eq!(homeless.last(), NOW);
        assert!(homeless.trouble().unwrap().contains("goal_file"));
    }

    #[test]
    fn a_file_that_is_none_or_not_ours_is_told_and_ids_do_not_begin_anew() {
        let folder = folder("strange");
        std::fs::create_dir_all(folder.join("a_folder")).unwrap();
        for (name, text) in [
            ("half", r#"{"last": 4, "active": {"id": 4, "go"#.to_owned()),
            ("strange", "goal: 4".to_owned()),
            ("huge", format!(r#"{{"last": 4, "active": {{"id": 4, "goal": "{}"}}}}"#, "x".repeat(100_000))),
            ("later", r#"{"last": 4, "active": {"id": 9, "goal": "push it"}}"#.to_owned()),
            ("control", r#"{"last": 4, "active": {"id": 4, "goal": "push\u0007it"}}"#.to_owned()),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
            let mut kept = read(&folder.join(name));
            assert_eq!((kept.last(), kept.active()), (NOW, None), "{name}");
            assert!(kept.trouble().unwrap().contains(name));
            // It mends itself with the next goal.
            kept.keep(NOW + 1, None);
            assert_eq!((kept.trouble(), read(&folder.join(name)).last()), (None, NOW + 1));
        }
        let kept = read(&folder.join("a_folder"));
        assert!(kept.last() == NOW && kept.trouble().is_some());
    }
}
