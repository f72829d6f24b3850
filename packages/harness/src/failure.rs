//! What went wrong in an episode, in a category that a person understands.
//!
//! The referee says what keeps an episode from success at its end; an observer of the whole episode adds how it came to that:
//! whether the right object was ever touched, whether it was lifted, how near its target it came.

use efm_sim::World;
use efm_sim::tasks::{Failure, ObjectKind, Scene, TARGET_RADIUS, Task, Verdict};
use serde::{Deserialize, Serialize};

/// An object that rose by this was lifted, m.
pub const LIFTED: f64 = 0.03;
/// An object that ended nearer than this to its target (but not within the target's radius) was a near miss, m.
pub const NEAR: f64 = 0.08;

/// Why an episode failed. The order is that of a task's course: the earlier, the less was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Another object was moved by 3 cm or more while the right one had not been touched.
    WrongObject,
    /// The right object was never touched.
    NotReached,
    /// The right object was touched, but neither lifted nor brought near its target.
    NotMovedThere,
    /// The right object had been touched; then another one was moved by 3 cm or more.
    BumpedAnother,
    /// It is where another goal wants it: well done, but not what was asked.
    WrongPlace,
    /// It was lifted and lies elsewhere.
    LeftElsewhere,
    /// It ended less than 8 cm from its target, not in it.
    CloseButNotIn,
    /// It came to the target, but lies tilted, or not on what it shall stand on.
    FellOver,
    /// It is in the target and was not let go.
    NotReleased,
    /// The arm was stopped for good: it was pressed against something and not where it was commanded to be.
    Stopped,
    /// Time was up while it was held or still moved.
    TimeUp,
    /// Something else than the task: the goal was refused, the scene was reset by somebody.
    Other,
}

impl Category {
    /// All, in order.
    pub const ALL: [Category; 12] = [
        Category::WrongObject,
        Category::NotReached,
        Category::NotMovedThere,
        Category::BumpedAnother,
        Category::WrongPlace,
        Category::LeftElsewhere,
        Category::CloseButNotIn,
        Category::FellOver,
        Category::NotReleased,
        Category::Stopped,
        Category::TimeUp,
        Category::Other,
    ];

    /// For people: what it did.
    pub fn words(self) -> &'static str {
        match self {
            Category::WrongObject => "moved the wrong object",
            Category::NotReached => "did not reach the object",
            Category::NotMovedThere => "touched the object, did not move it there",
            Category::BumpedAnother => "knocked another object aside",
            Category::WrongPlace => "brought it to the place of another goal",
            Category::LeftElsewhere => "lifted it, left it elsewhere",
            Category::CloseButNotIn => "close, but not in",
            Category::FellOver => "tilted or not standing where it should",
            Category::NotReleased => "did not let go",
            Category::Stopped => "pressed against something and was stopped",
            Category::TimeUp => "time was up on the way",
            Category::Other => "something else",
        }
    }
}

/// How the task's object is at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Glimpse {
    /// Whether a finger touches it.
    pub touched: bool,
    /// How far above its start it is, m.
    pub rise: f64,
    /// From its target in the plane, m.
    pub distance: f64,
    /// Whether it is where another goal wants it ([`misplaced`]).
    pub misplaced: bool,
}

/// Whether the task's object, now at `at` (m, in the plane), is at the target of another goal for it, and did not start there.
pub fn misplaced(scene: &Scene, at: [f64; 2]) -> bool {
    let near = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]) <= TARGET_RADIUS;
    let Some(start) = scene.placement(scene.task.object()).map(|p| [p.x, p.y]) else { return false };
    let others = Task::all().filter(|task| task.object() == scene.task.object() && *task != scene.task);
    let mut targets = others.map(|task| task.target(start, scene.plate));
    !near(at, scene.target()) && targets.any(|target| near(at, target) && !near(start, target))
}

/// What was seen of an episode so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    /// Whether a finger touched the object, ever.
    pub touched: bool,
    /// Whether one does now.
    pub touches: bool,
    /// Highest above its start, m.
    pub highest: f64,
    /// Nearest to its target, m.
    pub closest: f64,
    /// Whether it is now where another goal wants it.
    pub misplaced: bool,
    /// Whether the streamer stopped the arm for good.
    pub stopped: bool,
}

impl Default for Observed {
    fn default() -> Self {
        Self { touched: false, touches: false, highest: 0.0, closest: f64::INFINITY, misplaced: false, stopped: false }
    }
}

impl Observed {
    /// Takes in the next moment.
    pub fn see(&mut self, now: Glimpse) {
        self.touched |= now.touched;
        self.touches = now.touched;
        self.highest = self.highest.max(now.rise);
        self.closest = self.closest.min(now.distance);
        self.misplaced = now.misplaced;
    }
}

/// Watches the task's object in the simulated world.
#[derive(Debug, Clone)]
pub struct Observer {
    scene: Scene,
    object: ObjectKind,
    start: f64,
    observed: Observed,
}

impl Observer {
    /// For an episode that starts as `world` is now.
    pub fn new(world: &World, scene: &Scene) -> Self {
        let object = scene.task.object();
        let start = world.object_pose(object).position.z;
        Self { scene: scene.clone(), object, start, observed: Observed::default() }
    }

    /// Looks. Every 10 or 20 ms is enough.
    pub fn look(&mut self, world: &World, verdict: &Verdict) {
        let at = world.object_pose(self.object).position;
        self.observed.see(Glimpse {
            touched: world.finger_touches(self.object),
            rise: at.z - self.start,
            distance: verdict.distance,
            misplaced: misplaced(&self.scene, [at.x, at.y]),
        });
    }

    /// The streamer stopped the arm for good.
    pub fn stopped(&mut self) {
        self.observed.stopped = true;
    }

    /// What was seen.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }
}

/// The category of an episode that is over; `None` for a success. `failure` and `distance` are the referee's last words.
pub fn category(failure: Option<Failure>, distance: f64, observed: &Observed) -> Option<Category> {
    let lifted = observed.highest >= LIFTED;
    Some(match failure? {
        Failure::OtherMoved(_) if observed.touched => Category::BumpedAnother,
        Failure::OtherMoved(_) => Category::WrongObject,
        _ if observed.stopped => Category::Stopped,
        Failure::NotThere if !observed.touched => Category::NotReached,
        Failure::NotThere if observed.misplaced => Category::WrongPlace,
        // Whoever still holds or pushes it might have got there.
        Failure::NotThere if observed.touches && lifted => Category::TimeUp,
        Failure::NotThere if distance < NEAR => Category::CloseButNotIn,
        Failure::NotThere if lifted => Category::LeftElsewhere,
        Failure::NotThere => Category::NotMovedThere,
        Failure::NotStanding if observed.touches => Category::TimeUp,
        Failure::NotStanding => Category::FellOver,
        Failure::NotReleased => Category::NotReleased,
        Failure::NotAtRest => Category::TimeUp,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(glimpses: &[(bool, f64, f64)]) -> Observed {
        let mut observed = Observed::default();
        for (touched, rise, distance) in glimpses {
            observed.see(Glimpse { touched: *touched, rise: *rise, distance: *distance, misplaced: false });
        }
        observed
    }

    /// The category of an episode that ended with `failure`; its last distance is the last seen.
    fn of(failure: Failure, glimpses: &[(bool, f64, f64)]) -> Category {
        let distance = glimpses.last().map_or(0.3, |g| g.2);
        category(Some(failure), distance, &seen(glimpses)).unwrap_or(Category::Other)
    }

    #[test]
    fn a_success_has_no_category() {
        assert_eq!(category(None, 0.0, &Observed::default()), None);
    }

    #[test]
    fn an_object_that_was_never_touched_was_not_reached() {
        assert_eq!(of(Failure::NotThere, &[]), Category::NotReached);
        // Even when it happens to stand near its target.
        assert_eq!(of(Failure::NotThere, &[(false, 0.0, 0.07)]), Category::NotReached);
    }

    #[test]
    fn another_object_that_was_moved_was_mistaken_before_the_right_one_was_touched_and_knocked_after() {
        let other = Failure::OtherMoved(ObjectKind::RedCube);
        assert_eq!(of(other, &[(false, 0.0, 0.3)]), Category::WrongObject);
        assert_eq!(of(other, &[(true, 0.0, 0.3), (false, 0.0, 0.3)]), Category::BumpedAnother);
    }

    #[test]
    fn what_was_lifted_and_let_go_far_away_was_left_elsewhere() {
        assert_eq!(of(Failure::NotThere, &[(true, 0.10, 0.2), (false, 0.0, 0.2)]), Category::LeftElsewhere);
        assert_eq!(of(Failure::NotThere, &[(true, 0.01, 0.3), (false, 0.0, 0.3)]), Category::NotMovedThere);
    }

    #[test]
    fn what_was_brought_where_another_goal_wants_it_was_misunderstood_not_mishandled() {
        let misplaced = Observed { misplaced: true, ..seen(&[(true, 0.10, 0.2), (false, 0.0, 0.56)]) };
        assert_eq!(category(Some(Failure::NotThere), 0.56, &misplaced), Some(Category::WrongPlace));
    }

    #[test]
    fn a_place_is_wrong_only_when_it_is_another_goals_and_not_where_the_object_stood() {
        for scene in (1_000_000_000..1_000_000_200).map(Scene::sample) {
            let start = scene.placement(scene.task.object()).map(|p| [p.x, p.y]).unwrap_or_default();
            assert!(!misplaced(&scene, start) && !misplaced(&scene, scene.target()), "{scene:?}");
            for task in Task::all().filter(|t| t.object() == scene.task.object() && *t != scene.task) {
                let target = task.target(start, scene.plate);
                let apart = (target[0] - scene.target()[0]).hypot(target[1] - scene.target()[1]) > TARGET_RADIUS;
                let moved = (target[0] - start[0]).hypot(target[1] - start[1]) > TARGET_RADIUS;
                assert_eq!(misplaced(&scene, target), apart && moved, "{scene:?}");
            }
        }
    }

    #[test]
    fn near_the_target_is_a_near_miss_whether_it_was_lifted_or_pushed() {
        assert_eq!(of(Failure::NotThere, &[(true, 0.10, 0.2), (false, 0.0, 0.079)]), Category::CloseButNotIn);
        assert_eq!(of(Failure::NotThere, &[(true, 0.0, 0.2), (false, 0.0, 0.05)]), Category::CloseButNotIn);
    }

    #[test]
    fn whoever_still_carries_it_ran_out_of_time() {
        assert_eq!(of(Failure::NotThere, &[(true, 0.10, 0.2)]), Category::TimeUp);
        assert_eq!(of(Failure::NotStanding, &[(true, 0.10, 0.02)]), Category::TimeUp);
        assert_eq!(of(Failure::NotAtRest, &[(false, 0.10, 0.02)]), Category::TimeUp);
    }

    #[test]
    fn in_the_target_it_may_lie_or_be_held() {
        assert_eq!(of(Failure::NotStanding, &[(true, 0.1, 0.02), (false, 0.0, 0.02)]), Category::FellOver);
        assert_eq!(of(Failure::NotReleased, &[(true, 0.1, 0.02)]), Category::NotReleased);
    }

    #[test]
    fn an_arm_that_was_stopped_for_good_could_do_no_more() {
        let stopped = Observed { stopped: true, ..seen(&[(true, 0.0, 0.3)]) };
        assert_eq!(category(Some(Failure::NotThere), 0.3, &stopped), Some(Category::Stopped));
        let other = Failure::OtherMoved(ObjectKind::RedCube);
        assert_eq!(category(Some(other), 0.3, &stopped), Some(Category::BumpedAnother));
        assert_eq!(category(None, 0.0, &stopped), None);
    }

    #[test]
    fn every_category_has_words_and_a_key_of_its_own() {
        let words: std::collections::BTreeSet<_> = Category::ALL.iter().map(|c| c.words()).collect();
        let keys: std::collections::BTreeSet<_> =
            Category::ALL.iter().map(|c| serde_json::to_string(c).unwrap_or_default()).collect();
        assert_eq!((words.len(), keys.len()), (Category::ALL.len(), Category::ALL.len()));
    }
}
