//! Success, judged from the true state.

use super::{OBJECTS, OTHERS_MAY_MOVE, ObjectKind, Scene, TARGET_RADIUS};
use crate::World;

/// Slower than this counts as at rest, m/s.
const STILL: f64 = 0.005;
/// Slower than this counts as at rest, rad/s.
const STILL_TURN: f64 = 0.1;
/// How long it must be at rest and let go, s.
const REST_SECONDS: f64 = 0.5;
/// How far above its standing height an object may be, m.
const ON_TABLE: f64 = 0.005;
/// Least cosine between an object's axis and the vertical.
const UPRIGHT: f64 = 0.97;

/// What still keeps an episode from success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Another object was moved by 3 cm or more. Final.
    OtherMoved(ObjectKind),
    /// The object is not within 4 cm of its target.
    NotThere,
    /// The object is tilted, or not on the table (or the plate, where that is the target).
    NotStanding,
    /// A finger touches the object.
    NotReleased,
    /// Not yet at rest for half a second.
    NotAtRest,
}

/// State of an episode.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// `None` on success.
    pub failure: Option<Failure>,
    /// Distance of the object from its target in the plane, m.
    pub distance: f64,
    /// Largest way that another object has moved from its start, m, so far.
    pub others_moved: f64,
}

impl Verdict {
    /// Whether nothing can make it a success any more.
    pub fn is_final(&self) -> bool {
        matches!(self.failure, Some(Failure::OtherMoved(_)))
    }

    /// Done.
    pub fn success(&self) -> bool {
        self.failure.is_none()
    }
}

/// Watches one episode. Feed it with [`Self::update`] after each step, or at least at 50 Hz.
#[derive(Debug, Clone)]
pub struct Referee {
    object: ObjectKind,
    target: [f64; 2],
    support: f64,
    starts: [Option<[f64; 2]>; OBJECTS],
    others: [f64; OBJECTS],
    resting_since: Option<i64>,
}

impl Referee {
    /// For an episode that starts as `scene`.
    pub fn new(scene: &Scene) -> Self {
        Self {
            object: scene.task.object(),
            target: scene.target(),
            support: scene.task.support(),
            starts: scene.objects.map(|p| p.map(|p| [p.x, p.y])),
            others: [0.0; OBJECTS],
            resting_since: None,
        }
    }

    /// Looks at the world and judges.
    pub fn update(&mut self, world: &World) -> Verdict {
        for kind in ObjectKind::ALL.into_iter().filter(|k| *k != self.object) {
            let Some([x, y]) = self.starts[kind.index()] else { continue };
            let at = world.object_pose(kind).position;
            let way = (at.x - x).hypot(at.y - y);
            self.others[kind.index()] = self.others[kind.index()].max(way);
        }
        let pose = world.object_pose(self.object);
        let speed = world.object_velocity(self.object);
        let distance = (pose.position.x - self.target[0]).hypot(pose.position.y - self.target[1]);
        let upright = (pose.rotation * nalgebra::Vector3::z()).z >= UPRIGHT;
        let on_table = (pose.position.z - self.object.rest_height() - self.support).abs() <= ON_TABLE;
        let touched = world.finger_touches(self.object);
        let still = speed.linear.norm() <= STILL && speed.angular.norm() <= STILL_TURN;
        let now = world.time_nanos();
        if still && !touched {
            self.resting_since.get_or_insert(now);
        } else {
            self.resting_since = None;
        }
        let rested = self.resting_since.is_some_and(|t| (now - t) as f64 * 1e-9 >= REST_SECONDS);
        let moved = ObjectKind::ALL.into_iter().find(|k| self.others[k.index()] >= OTHERS_MAY_MOVE);
        let failure = if let Some(kind) = moved {
            Some(Failure::OtherMoved(kind))
        } else if distance > TARGET_RADIUS {
            Some(Failure::NotThere)
        } else if !(upright && on_table) {
            Some(Failure::NotStanding)
        } else if touched {
            Some(Failure::NotReleased)
        } else if !rested {
            Some(Failure::NotAtRest)
        } else {
            None
        };
        Verdict { failure, distance, others_moved: self.others.iter().copied().fold(0.0, f64::max) }
    }
}
