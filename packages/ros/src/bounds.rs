//! How many bytes a message may have that a node reads. What is larger is dropped as it was received: it is not parsed, copied, kept or traced, and told
//! on `/diagnostics` and in the log.
//!
//! How many messages a history keeps is bounded by their number in ROS's quality of service; of bytes the middleware knows no bound. So histories of inputs
//! are short, what waits in a node is bounded in bytes as well ([`WAITING`]), and what a node keeps to tell latecomers is (the trace).

use crate::Task;
use efm_core::Level;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A number, a switch.
pub const SMALL: usize = 4 << 10;
/// What people say: a goal, an instruction, a report.
pub const WORDS: usize = 64 << 10;
/// Anything of which nothing else is said: joint states, the health of nodes.
pub const MESSAGE: usize = 1 << 20;
/// A trajectory: a thousand points of a hundred joints.
pub const TRAJECTORY: usize = 4 << 20;
/// A description of a robot.
pub const DESCRIPTION: usize = 16 << 20;
/// A planning scene, with meshes.
pub const SCENE: usize = 16 << 20;
/// A picture: 4096x4096 of red, green and blue.
pub const PICTURE: usize = 64 << 20;
/// What may wait in a queue of a node, all messages together.
pub const WAITING: usize = 64 << 20;
/// What a request may hold in texts and lists.
pub const REQUEST: usize = 256 << 10;

/// What was not read, of all topics of a node. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unread(Arc<Mutex<BTreeMap<String, Missed>>>);

/// What of a topic was not read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Missed {
    /// Larger ones, by each of the subscriptions that a topic is heard by: quick ones lose some.
    large: [u64; 3],
    /// Bytes of the last of them.
    last: usize,
    most: usize,
    /// That are no messages of their type.
    malformed: u64,
}

impl Unread {
    fn change(&self, topic: &str, change: impl FnOnce(&mut Missed)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(topic) {
            all.insert(topic.to_owned(), Missed::default());
        }
        all.get_mut(topic).map(change);
    }

    /// One of so many bytes, where so many are read at most.
    pub fn too_large(&self, topic: &str, way: usize, bytes: usize, most: usize) {
        self.change(topic, |missed| {
            if let Some(count) = missed.large.get_mut(way) {
                *count += 1;
            }
            (missed.last, missed.most) = (bytes, most);
        });
    }

    /// One whose bytes are no message.
    pub fn malformed(&self, topic: &str) {
        self.change(topic, |missed| missed.malformed += 1);
    }

    /// In words, by topic.
    pub fn told(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |(topic, Missed { large, last, most, malformed }): (&String, &Missed)| {
            let mut parts = Vec::new();
            let large = large.iter().max().copied().unwrap_or_default();
            if large > 0 {
                parts.push(format!(
                    "{large} messages were too large to be read, the last with {last} bytes (at most {most})"
                ));
            }
            if *malformed > 0 {
                parts.push(format!("{malformed} messages were no messages of its type"));
            }
            format!("'{topic}': {}", parts.join("; "))
        };
        all.iter().map(line).collect()
    }
}

/// Looks for which what was not read is a warning.
const WARNS: u32 = 5;

/// Tells of what was not read.
pub(crate) struct Watch {
    unread: Unread,
    before: Vec<String>,
    /// Looks for which it goes on warning.
    warns: u32,
    task: Option<Task>,
}

impl Watch {
    pub fn new(unread: Unread) -> Self {
        Self { unread, before: Vec::new(), warns: 0, task: None }
    }

    /// To be called once a second. There is a line on `/diagnostics` from the first message on that was not read; it warns while there are more, and for
    /// [`WARNS`] looks: whoever reads once a second must not miss it.
    pub fn look(&mut self, task: impl FnOnce() -> Task) {
        let told = self.unread.told();
        if told.is_empty() {
            return;
        }
        let news = told.iter().filter(|line| !self.before.contains(line));
        news.clone().for_each(|line| log::warn!("topic {line}"));
        self.warns = if news.count() > 0 { WARNS } else { self.warns.saturating_sub(1) };
        let level = if self.warns > 0 { Level::Warn } else { Level::Ok };
        self.task.get_or_insert_with(task).report(level, told.join("; "), [("", ""); 0]);
        self.before = told;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_is_a_warning_for_long_enough_to_be_seen() {
        let (unread, all) = (Unread::default(), crate::Diagnostics::of("/n"));
        let mut watch = Watch::new(unread.clone());
        let look = |watch: &mut Watch| {
            watch.look(|| all.task("inputs"));
            let message = all.message(efm_core::Stamp::ZERO);
            message.status.first().map(|status| status.level)
        };
        assert_eq!(look(&mut watch), None);
        unread.too_large("goal", 0, 70_000, WORDS);
        let levels: Vec<_> = (0..7).map(|_| look(&mut watch)).collect();
        assert_eq!(levels, [Some(1), Some(1), Some(1), Some(1), Some(1), Some(0), Some(0)]);
        unread.malformed("goal");
        assert_eq!(look(&mut watch), Some(1));
    }

    #[test]
    fn what_was_not_read_is_counted_by_topic() {
        let unread = Unread::default();
        assert!(unread.told().is_empty());
        unread.too_large("goal", 1, 100_000_000, WORDS);
        unread.too_large("goal", 0, 70_000, WORDS);
        unread.too_large("goal", 1, 70_000, WORDS);
        unread.malformed("instruction");
        let told = unread.told();
        assert_eq!(told[0], "'goal': 2 messages were too large to be read, the last with 70000 bytes (at most 65536)");
        assert_eq!(told[1], "'instruction': 1 messages were no messages of its type");
    }
}
