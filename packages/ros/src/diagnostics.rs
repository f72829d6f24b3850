//! `/diagnostics`: once a second, and at once when a level changes.

use efm_core::health::SILENT;
use efm_core::reading::shown;
use efm_core::{Level, Stamp};
use r2r::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus, KeyValue};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

#[derive(Debug)]
struct State {
    name: String,
    level: Level,
    message: String,
    values: Vec<(String, String)>,
    reported: Instant,
    stale_after: Option<Duration>,
    was_stale: bool,
}

#[derive(Debug)]
struct Inner {
    node: String,
    hardware_id: String,
    tasks: Mutex<Vec<State>>,
    level_changed: Notify,
}

impl Inner {
    fn tasks(&self) -> MutexGuard<'_, Vec<State>> {
        // States are replaced whole, so one that a panicking thread left behind is still a state.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The health of a node: what its tasks reported last. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Diagnostics(Arc<Inner>);

/// One task's line in the diagnostics ("node: task"). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Task {
    inner: Arc<Inner>,
    index: usize,
}

impl Diagnostics {
    /// For a node that works for the hardware `hardware_id` (which should not be empty).
    pub fn new(node: &str, hardware_id: &str) -> Self {
        Self(Arc::new(Inner {
            node: node.to_owned(),
            hardware_id: hardware_id.to_owned(),
            tasks: Mutex::default(),
            level_changed: Notify::new(),
        }))
    }

    /// For a node of this name, with its namespace: "/left/eye". Robots that share a domain have namespaces; so nodes in one are told by their whole name,
    /// and the namespace is the hardware. Without one it is the plain name, and the suite.
    pub fn of(full_name: &str) -> Self {
        match full_name.trim_start_matches('/').rsplit_once('/') {
            Some((namespace, _)) => Self::new(full_name, namespace),
            None => Self::new(full_name.trim_start_matches('/'), "embodied_fm"),
        }
    }

    /// A task that has not reported yet: stale until it does.
    pub fn task(&self, name: &str) -> Task {
        let mut tasks = self.0.tasks();
        tasks.push(State {
            name: format!("{}: {name}", self.0.node),
            level: Level::Stale,
            message: "nothing was reported yet".to_owned(),
            values: Vec::new(),
            reported: Instant::now(),
            stale_after: None,
            was_stale: false,
        });
        Task { inner: self.0.clone(), index: tasks.len() - 1 }
    }

    /// The message as of now. A task that has been silent for longer than it promised is stale.
    pub fn message(&self, stamp: Stamp) -> DiagnosticArray {
        let mut tasks = self.0.tasks();
        let status = tasks.iter_mut().map(|task| {
            let silent = task.reported.elapsed();
            task.was_stale = task.stale_after.is_some_and(|limit| silent > limit);
            let (level, message) = if task.was_stale {
                (Level::Stale, format!("silent for {:.1} s; last: {}", silent.as_secs_f64(), task.message))
            } else {
                (task.level, task.message.clone())
            };
            // A task that has never been well says more than that it is silent.
            let silenced = |key: &str| task.was_stale && task.level != Level::Stale && key == "code";
            let value = |(key, value): &(String, String)| {
                let value = if silenced(key) { SILENT } else { value };
                KeyValue { key: key.clone(), value: value.to_owned() }
            };
            DiagnosticStatus {
                level: level as u8,
                name: task.name.clone(),
                message,
                hardware_id: self.0.hardware_id.clone(),
                values: task.values.iter().map(value).collect(),
            }
        });
        DiagnosticArray { status: status.collect(), header: crate::convert::header(stamp, "") }
    }

    /// Resolves when a task's level has changed since the last call.
    pub async fn level_changed(&self) {
        self.0.level_changed.notified().await;
    }
}

impl Task {
    /// From now on this task is stale when it does not report for so long.
    #[must_use]
    pub fn stale_after(self, limit: Duration) -> Self {
        self.inner.tasks()[self.index].stale_after = Some(limit);
        self
    }

    /// Reports. `values` are shown beside the message. Returns whether the level is another one than before.
    pub fn report<K: Into<String>, V: ToString>(
        &self,
        level: Level,
        message: impl Into<String>,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> bool {
        // What came from elsewhere may be in them.
        let values = values.into_iter().map(|(k, v)| (k.into(), shown(v.to_string()))).collect();
        let changed = {
            let mut tasks = self.inner.tasks();
            let task = &mut tasks[self.index];
            let changed = task.level != level || task.was_stale;
            task.was_stale = false;
            (task.level, task.message, task.values) = (level, shown(message.into()), values);
            task.reported = Instant::now();
            changed
        };
        if changed {
            self.inner.level_changed.notify_one();
        }
        changed
    }

    /// Reports [`Level::Ok`] without values.
    pub fn ok(&self, message: impl Into<String>) -> bool {
        self.report(Level::Ok, message, [("", ""); 0])
    }

    /// Reports [`Level::Warn`] without values.
    pub fn warn(&self, message: impl Into<String>) -> bool {
        self.report(Level::Warn, message, [("", ""); 0])
    }

    /// Reports [`Level::Error`] without values.
    pub fn error(&self, message: impl Into<String>) -> bool {
        self.report(Level::Error, message, [("", ""); 0])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_task_is_stale_until_it_reports_and_again_when_it_falls_silent() {
        let health = Diagnostics::new("sim", "panda");
        let task = health.task("physics");
        let status = |health: &Diagnostics| health.message(Stamp::ZERO).status.remove(0);
        assert_eq!(status(&health).level, 3);
        task.report(Level::Warn, "slow", [("rate", 41.5)]);
        let now = status(&health);
        assert_eq!((now.level, now.name.as_str(), now.message.as_str()), (1, "sim: physics", "slow"));
        assert_eq!((now.hardware_id.as_str(), now.values[0].value.as_str()), ("panda", "41.5"));
        let _task = task.stale_after(Duration::ZERO);
        let now = status(&health);
        assert_eq!(now.level, 3);
        assert!(now.message.starts_with("silent for") && now.message.ends_with("slow"), "{}", now.message);
    }

    #[test]
    fn a_task_that_falls_silent_has_the_code_of_silence_unless_it_never_was_well() {
        for (level, code) in [(Level::Ok, "silent"), (Level::Error, "silent"), (Level::Stale, "image_missing")] {
            let health = Diagnostics::new("eye", "panda");
            let task = health.task("camera");
            let told = |health: &Diagnostics| health.message(Stamp::ZERO).status.remove(0).values.remove(0).value;
            task.report(level, "it is so", [("code", "image_missing"), ("images", "3")]);
            assert_eq!(told(&health), "image_missing");
            let _task = task.stale_after(Duration::ZERO);
            assert_eq!(told(&health), code);
        }
    }

    #[test]
    fn robots_that_share_a_domain_are_told_apart() {
        for (full, name, hardware) in [
            ("/eye", "eye: camera", "embodied_fm"),
            ("/left/eye", "/left/eye: camera", "left"),
            ("/right/eye", "/right/eye: camera", "right"),
            ("/cell1/left/eye", "/cell1/left/eye: camera", "cell1/left"),
        ] {
            let health = Diagnostics::of(full);
            health.task("camera").ok("it sees");
            let told = health.message(Stamp::ZERO).status.remove(0);
            assert_eq!((told.name.as_str(), told.hardware_id.as_str()), (name, hardware));
        }
    }

    #[tokio::test]
    async fn only_a_changed_level_asks_to_be_published_at_once() {
        let health = Diagnostics::new("sim", "panda");
        let task = health.task("physics");
        assert!(task.ok("running"));
        assert!(health.level_changed().now_or_never().is_some());
        assert!(!task.ok("still running"));
        assert!(health.level_changed().now_or_never().is_none());
        assert!(task.error("gone"));
        assert!(health.level_changed().now_or_never().is_some());
    }
}
