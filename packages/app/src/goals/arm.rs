//! Whether anything can move for a goal, from what the others say of their health.

use crate::goals::Hold;
use crate::reasons;
use crate::silence::Silence;
use efm_core::Level;
use efm_core::reading::{beginning, wrong_name};
use efm_safety::codes;
use std::collections::BTreeMap;

/// Tasks that tell whether a goal is worked for: of `trajectory_publisher`, and of `vla_inference`.
const TASKS: [&str; 2] = ["motion", "policy"];
/// What is no error, as somebody wants it so, and keeps the arm where it is all the same.
const WANTED: [&str; 3] = [codes::DISARMED, reasons::GOAL_OF_ANOTHER, reasons::INFERENCE_DISABLED];
/// Tenths of a second for which trouble must last before it is told: what ends by itself is not worth a word.
const LASTS: u32 = 5;
/// Seconds of silence after which a node counts as dead. It speaks once a second.
const DEAD_S: f64 = 4.0;
/// Tasks that are looked after at most: who floods `/diagnostics` with names is not remembered.
const MOST: usize = 16;
/// Characters of a text that are kept.
const LONGEST: usize = 400;

/// A line of `/diagnostics`, as it is of interest here.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// "node: task", the node with its namespace where it has one.
    pub name: &'a str,
    /// 0 to 3, as in diagnostic_msgs.
    pub level: u8,
    /// What it says.
    pub message: &'a str,
    /// Value `code`.
    pub code: &'a str,
    /// Value `remedy`.
    pub remedy: &'a str,
}

#[derive(Debug)]
struct Task {
    hold: Option<Hold>,
    /// Tenths of a second for which there has been one.
    lasts: u32,
    silence: Silence,
}

/// Follows what the nodes of one robot say.
#[derive(Debug)]
pub struct ArmWatch {
    /// Before the node's name; empty where nodes have no namespace.
    namespace: String,
    tasks: BTreeMap<String, Task>,
}

impl ArmWatch {
    /// Beside a node of this full name: those of its namespace are listened to.
    pub fn beside(full_name: &str) -> Self {
        let namespace = full_name.rsplit_once('/').map_or("", |(namespace, _)| namespace);
        Self { namespace: namespace.to_owned(), tasks: BTreeMap::new() }
    }

    /// Whether a line is of a task of this robot that is listened to.
    fn is_ours(&self, name: &str) -> bool {
        let Some((node, task)) = name.rsplit_once(": ").filter(|_| wrong_name(name).is_none()) else { return false };
        let namespace = node.rsplit_once('/').map_or("", |(namespace, _)| namespace);
        namespace == self.namespace && TASKS.contains(&task)
    }

    /// A line came.
    pub fn hear(&mut self, line: Line<'_>) {
        if !self.is_ours(line.name) || (self.tasks.len() >= MOST && !self.tasks.contains_key(line.name)) {
            return;
        }
        let held = line.level >= Level::Error as u8 || WANTED.contains(&line.code);
        let cut = |text: &str| beginning(text, LONGEST);
        let task = self.tasks.entry(line.name.to_owned()).or_insert_with(|| Task {
            hold: None,
            lasts: 0,
            silence: Silence::of(DEAD_S),
        });
        task.silence.heard();
        task.hold = held.then(|| Hold { code: cut(line.code), words: cut(line.message), remedy: cut(line.remedy) });
        if !held {
            task.lasts = 0;
        }
    }

    /// A tenth of a second passes.
    pub fn tick(&mut self) {
        for (name, task) in &mut self.tasks {
            if task.silence.tick() {
                let node = name.rsplit_once(": ").map_or(name.as_str(), |(node, _)| node);
                let words = format!("{node} has not been heard on /diagnostics for {DEAD_S} s");
                let remedy = "start it again, then give the goal again where nothing moves".to_owned();
                let (words, code) = (format!("{words}; {remedy}"), reasons::SILENT.to_owned());
                task.hold = Some(Hold { code, words, remedy });
            }
            if task.hold.is_some() {
                task.lasts = task.lasts.saturating_add(1);
            }
        }
    }

    /// Why nothing moves, where that lasts. Of several reasons that of the arm.
    pub fn hold(&self) -> Option<&Hold> {
        let lasting = |task: &&str| {
            let end = format!(": {task}");
            let known = self.tasks.iter().find(|(name, known)| name.ends_with(&end) && known.lasts >= LASTS);
            known.and_then(|(_, known)| known.hold.as_ref())
        };
        TASKS.iter().find_map(lasting)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn line<'a>(name: &'a str, level: u8, code: &'a str) -> Line<'a> {
        Line { name, level, message: "at rest: it is so; call ~/resume", code, remedy: "call ~/resume" }
    }

    fn after(watch: &mut ArmWatch, tenths: u32) -> Option<String> {
        (0..tenths).for_each(|_| watch.tick());
        watch.hold().map(|hold| hold.code.clone())
    }

    #[test]
    fn what_keeps_the_arm_where_it_is_is_told_once_it_lasts_and_is_over_at_once() {
        for (level, code, name) in [
            (2, "tracking", "trajectory_publisher: motion"),
            (2, "emergency_stop", "arm: motion"),
            (1, codes::DISARMED, "trajectory_publisher: motion"),
            (1, reasons::INFERENCE_DISABLED, "vla_inference: policy"),
            (3, reasons::IMAGE_MISSING, "vla_inference: policy"),
        ] {
            let mut watch = ArmWatch::beside("/goal_intake");
            watch.hear(line(name, level, code));
            assert_eq!(after(&mut watch, LASTS - 1), None, "{code}");
            assert_eq!(after(&mut watch, 1).as_deref(), Some(code));
            assert_eq!(watch.hold().unwrap().remedy, "call ~/resume");
            watch.hear(line(name, 0, "following"));
            assert_eq!(after(&mut watch, 1), None, "{code}");
        }
    }

    #[test]
    fn a_moment_of_trouble_and_a_warning_are_not_told() {
        let mut watch = ArmWatch::beside("/goal_intake");
        for _ in 0..20 {
            watch.hear(line("trajectory_publisher: motion", 2, "no_newer_chunk"));
            assert_eq!(after(&mut watch, 2), None);
            watch.hear(line("trajectory_publisher: motion", 0, "following"));
            assert_eq!(after(&mut watch, 2), None);
        }
        watch.hear(line("trajectory_publisher: motion", 1, "obstacle"));
        assert_eq!(after(&mut watch, 20), None);
    }

    #[test]
    fn another_robot_on_the_domain_and_other_tasks_say_nothing_of_this_one() {
        let mut watch = ArmWatch::beside("/left/goal_intake");
        for name in [
            "trajectory_publisher: motion",
            "/right/trajectory_publisher: motion",
            "/left/more/trajectory_publisher: motion",
            "/left/trajectory_publisher: senders",
            "/left/trajectory_publisher",
            "motion",
        ] {
            watch.hear(line(name, 2, "tracking"));
        }
        assert_eq!(after(&mut watch, 30), None);
        watch.hear(line("/left/trajectory_publisher: motion", 2, "tracking"));
        assert_eq!(after(&mut watch, LASTS).as_deref(), Some("tracking"));
    }

    #[test]
    fn of_arm_and_policy_the_arm_is_told_and_one_that_dies_is_told_too() {
        let mut watch = ArmWatch::beside("/goal_intake");
        watch.hear(line("a_policy: policy", 2, "no_policy_open"));
        watch.hear(line("trajectory_publisher: motion", 2, "tracking"));
        assert_eq!(after(&mut watch, LASTS).as_deref(), Some("tracking"));
        watch.hear(line("a_policy: policy", 0, "proposing"));
        watch.hear(line("trajectory_publisher: motion", 0, "following"));
        for _ in 0..4 {
            watch.hear(line("a_policy: policy", 0, "proposing"));
            assert_eq!(after(&mut watch, 9).as_deref(), None);
        }
        // Silent for longer than it may be, the other one for less.
        assert_eq!(after(&mut watch, 9).as_deref(), Some(reasons::SILENT));
        assert!(watch.hold().unwrap().words.contains("trajectory_publisher"));
        watch.hear(line("trajectory_publisher: motion", 0, "following"));
        assert_eq!(after(&mut watch, 1), None);
    }

    #[test]
    fn a_flood_of_names_and_of_words_is_not_kept() {
        let mut watch = ArmWatch::beside("/goal_intake");
        let (long, names): (String, Vec<String>) =
            ("x".repeat(1 << 20), (0..1000).map(|n| format!("n{n}: motion")).collect());
        for name in &names {
            watch.hear(Line { name, level: 2, message: &long, code: &long, remedy: &long });
        }
        assert_eq!(watch.tasks.len(), MOST);
        after(&mut watch, LASTS);
        assert!(watch.hold().unwrap().words.chars().count() <= LONGEST + 3);
    }
}
