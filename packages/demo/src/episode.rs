//! One goal, from being given to its verdict: bookkeeping without ROS.

use efm_core::Stamp;
use efm_harness::failure::{Category, Glimpse, Observed, category, misplaced};
use efm_harness::report::{EpisodeOutcome, Quantiles};
use efm_sim::tasks::{Failure, OTHERS_MAY_MOVE, TIME_LIMIT};
use efm_sim::{ObjectKind, Scene};
use serde::Deserialize;

/// What the simulator says on `task_status`; other fields are left alone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TaskStatus {
    /// Seed of the scene.
    pub seed: u64,
    /// The sentence that belongs to it.
    pub instruction: String,
    /// Whether it is done.
    pub success: bool,
    /// What still keeps it from success.
    #[serde(default)]
    pub detail: String,
    /// Of the object to its target, m.
    #[serde(default)]
    pub distance: f64,
    /// How far any other object was moved, m.
    #[serde(default)]
    pub others_moved: f64,
    /// Whether a finger touches the task's object.
    #[serde(default)]
    pub touched: bool,
    /// Of the object above where it stands at rest, m.
    #[serde(default)]
    pub height: f64,
    /// Of the object in the plane, m.
    #[serde(default)]
    pub position: Option<[f64; 2]>,
    /// Simulated seconds since the reset.
    pub elapsed: f64,
}

/// What `goal_intake` says on `goal_status`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GoalStatus {
    /// Counts accepted goals; none for a refused one.
    pub id: Option<u64>,
    /// The sentence, perhaps shortened.
    pub goal: String,
    /// accepted, active, succeeded, cancelled, replaced, timed_out or refused.
    pub state: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// How an episode ended.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// Whether the referee saw success.
    pub success: bool,
    /// What went wrong; none on success.
    pub failure: Option<Category>,
    /// Why not, in words; empty on success.
    pub reason: String,
    /// Simulated seconds from the goal to the end.
    pub seconds: f64,
}

impl End {
    /// A failure that is not the task's.
    pub fn failure(reason: impl Into<String>, seconds: f64) -> Self {
        Self { success: false, failure: Some(Category::Other), reason: reason.into(), seconds }
    }
}

/// Judges by what the simulator says, with the rules of the in-process evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Judge {
    scene: Scene,
    /// `elapsed` when the goal was given.
    given_at: f64,
    time_limit: f64,
    observed: Observed,
}

impl Judge {
    /// For a goal that was given when the scene was `given_at` simulated seconds old.
    pub fn new(scene: Scene, given_at: f64) -> Self {
        Self { scene, given_at, time_limit: TIME_LIMIT, observed: Observed::default() }
    }

    /// The end, if this is one. Every status must be shown: what was seen on the way says what went wrong.
    pub fn verdict(&mut self, status: &TaskStatus) -> Option<End> {
        let seconds = (status.elapsed - self.given_at).max(0.0);
        if status.seed != self.scene.seed {
            return Some(End::failure(format!("somebody else has reset the scene to seed {}", status.seed), seconds));
        }
        if status.success {
            return Some(End { success: true, failure: None, reason: String::new(), seconds });
        }
        self.observed.see(Glimpse {
            touched: status.touched,
            rise: status.height,
            distance: status.distance,
            misplaced: status.position.is_some_and(|at| misplaced(&self.scene, at)),
        });
        let (failure, reason) = if status.others_moved >= OTHERS_MAY_MOVE {
            // Which one does not matter to the category.
            let moved = 1000.0 * status.others_moved;
            (Failure::OtherMoved(ObjectKind::RedCube), format!("another object was moved by {moved:.0} mm"))
        } else if seconds >= self.time_limit {
            (missing(status), format!("time was up: {}", what_is_missing(status)))
        } else {
            return None;
        };
        let failure = category(Some(failure), status.distance, &self.observed);
        Some(End { success: false, failure, reason, seconds })
    }
}

/// What still keeps an episode from success, as the referee calls it.
fn missing(status: &TaskStatus) -> Failure {
    match status.detail.as_str() {
        "NotStanding" => Failure::NotStanding,
        "NotReleased" => Failure::NotReleased,
        "NotAtRest" => Failure::NotAtRest,
        _ => Failure::NotThere,
    }
}

/// What still keeps an episode from success, in words.
fn what_is_missing(status: &TaskStatus) -> String {
    match status.detail.as_str() {
        "NotThere" | "" => format!("{:.0} mm from the target", 1000.0 * status.distance),
        "NotStanding" => "tilted or not on the table".to_owned(),
        "NotReleased" => "not let go".to_owned(),
        "NotAtRest" => "not at rest yet".to_owned(),
        other => other.to_owned(),
    }
}

/// The latency from observation to command: from an observation's stamp to the first word that its chunk is being executed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Latencies {
    told: Stamp,
    values_ms: Vec<f64>,
}

impl Latencies {
    /// `execution_state` was received at `now` with this stamp: that of the chunk's observation, or zero at rest.
    pub fn execution(&mut self, chunk: Stamp, now: Stamp) {
        if chunk != Stamp::ZERO && chunk > self.told {
            self.told = chunk;
            self.values_ms.push(now.nanos_since(chunk) as f64 / 1e6);
        }
    }

    /// All so far, ms; forgets them.
    pub fn take(&mut self) -> Vec<f64> {
        std::mem::take(&mut self.values_ms)
    }
}

/// An episode that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// As the reports of every evaluation have it.
    pub outcome: EpisodeOutcome,
    /// From observation to command, ms.
    pub latencies_ms: Vec<f64>,
}

impl Done {
    /// Of a scene, the sentence that was given where it is not the scene's own, its end and what was measured. The physical state
    /// is not known outside of the simulator, so it has no hash.
    pub fn new(scene: &Scene, told: Option<&str>, end: End, latencies_ms: Vec<f64>) -> Self {
        let outcome = EpisodeOutcome {
            success: end.success,
            failure: end.failure,
            reason: end.reason,
            seconds: end.seconds,
            latency_ms: Quantiles::of(&mut latencies_ms.clone()),
            ..EpisodeOutcome::of(scene, told)
        };
        Self { outcome, latencies_ms }
    }

    /// Quantiles of its latency; none when nothing was executed.
    pub fn latency(&self) -> Option<Quantiles> {
        self.outcome.latency_ms
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn status(change: impl FnOnce(&mut TaskStatus)) -> TaskStatus {
        let text = r#"{"seed": 7, "instruction": "push it", "success": false, "detail": "NotThere", "distance": 0.312,
            "others_moved": 0.001, "elapsed": 10.0, "kind": "push"}"#;
        let mut status: TaskStatus = serde_json::from_str(text).unwrap();
        change(&mut status);
        status
    }

    #[test]
    fn an_episode_ends_by_success_by_moving_others_or_by_time() {
        let mut judge = Judge::new(Scene::sample(7), 2.0);
        assert_eq!(judge.verdict(&status(|_| {})), None);
        let success = judge.verdict(&status(|s| s.success = true)).unwrap();
        assert_eq!(success, End { success: true, failure: None, reason: String::new(), seconds: 8.0 });
        let moved = judge.verdict(&status(|s| s.others_moved = 0.045)).unwrap();
        assert!(!moved.success && moved.reason.contains("45 mm"), "{moved:?}");
        assert_eq!(moved.failure, Some(Category::WrongObject));
        assert_eq!(judge.verdict(&status(|s| s.elapsed = 2.0 + TIME_LIMIT - 0.1)), None);
        let late = judge.verdict(&status(|s| s.elapsed = 2.0 + TIME_LIMIT)).unwrap();
        assert!(!late.success && late.reason.contains("time was up") && late.reason.contains("312 mm"), "{late:?}");
        let released = judge.verdict(&status(|s| (s.elapsed, s.detail) = (99.0, "NotReleased".into()))).unwrap();
        assert!(released.reason.contains("not let go"), "{released:?}");
        assert_eq!(released.failure, Some(Category::NotReleased));
    }

    #[test]
    fn what_was_seen_on_the_way_says_what_went_wrong() {
        let late = |s: &mut TaskStatus| s.elapsed = TIME_LIMIT;
        let of = |before: &[TaskStatus]| {
            let mut judge = Judge::new(Scene::sample(7), 0.0);
            before.iter().for_each(|status| assert_eq!(judge.verdict(status), None));
            judge.verdict(&status(late)).unwrap().failure.unwrap()
        };
        assert_eq!(of(&[]), Category::NotReached);
        assert_eq!(of(&[status(|s| s.touched = true)]), Category::NotMovedThere);
        assert_eq!(of(&[status(|s| (s.touched, s.height) = (true, 0.08))]), Category::LeftElsewhere);
        let scene = Scene::sample(7);
        let other = efm_sim::Zone::ALL.map(|zone| zone.centre()).into_iter().find(|at| *at != scene.target()).unwrap();
        let mut judge = Judge::new(scene, 0.0);
        assert_eq!(judge.verdict(&status(|s| s.touched = true)), None);
        let end = judge.verdict(&status(|s| (s.position, s.elapsed) = (Some(other), TIME_LIMIT))).unwrap();
        assert_eq!(end.failure, Some(Category::WrongPlace));
    }

    #[test]
    fn a_scene_that_somebody_else_has_reset_is_no_success() {
        let end = Judge::new(Scene::sample(7), 0.0).verdict(&status(|s| (s.seed, s.success) = (8, true))).unwrap();
        assert!(!end.success && end.reason.contains("seed 8"), "{end:?}");
        assert_eq!(end.failure, Some(Category::Other));
    }

    #[test]
    fn a_success_in_the_last_moment_counts() {
        let end = Judge::new(Scene::sample(7), 0.0)
            .verdict(&status(|s| (s.elapsed, s.success) = (TIME_LIMIT, true)))
            .unwrap();
        assert!(end.success);
    }

    #[test]
    fn latency_is_counted_once_a_chunk_and_not_at_rest() {
        let ms = |ms: i64| Stamp::from_nanos(ms * 1_000_000);
        let mut latencies = Latencies::default();
        for (chunk, now) in [(0, 1000), (1000, 1070), (1000, 1080), (1100, 1190), (0, 1200), (1100, 1300), (1200, 1250)]
        {
            latencies.execution(ms(chunk), ms(now));
        }
        assert_eq!(latencies.take(), [70.0, 90.0, 50.0]);
        assert!(latencies.take().is_empty());
    }

    #[test]
    fn what_is_reported_names_the_scene_and_its_object() {
        let scene = Scene::sample(1_000_000_003);
        let done = Done::new(&scene, None, End::failure("time was up", 25.0), vec![50.0, 70.0, 60.0]);
        assert_eq!((done.outcome.seed, done.outcome.goal.as_str()), (scene.seed, scene.sentence.as_str()));
        assert_eq!(done.outcome.object, scene.task.object().words());
        assert_eq!(done.latency().unwrap().p50, 60.0);
        assert_eq!(Done::new(&scene, None, End::failure("", 0.0), vec![]).latency(), None);
    }

    #[test]
    fn another_sentence_is_reported_beside_the_scenes_own() {
        let scene = Scene::sample(1_000_000_003);
        let done = Done::new(&scene, Some("push the moon"), End::failure("", 25.0), vec![]);
        assert_eq!(done.outcome.goal, "push the moon");
        assert_eq!(done.outcome.original_goal.as_deref(), Some(scene.sentence.as_str()));
    }
}
