//! A scene: drawn from a seed, the same for ever.

use super::{FAR_LINE_X, ObjectKind, Task, templates};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// Seeds of scenes that policies may be trained on.
pub const TRAIN_SEEDS: Range<u64> = 0..1_000_000_000;
/// Seeds of scenes that nothing is ever trained or tuned on.
pub const EVAL_SEEDS: Range<u64> = 1_000_000_000..2_000_000_000;

/// The arm's ready pose, rad: tool pointing down at about (0.31, 0, 0.49), fingers opening along y.
pub const READY: [f64; 7] = [
    0.0,
    -std::f64::consts::FRAC_PI_4,
    0.0,
    -3.0 * std::f64::consts::FRAC_PI_4,
    0.0,
    std::f64::consts::FRAC_PI_2,
    std::f64::consts::FRAC_PI_4,
];

/// Where an object stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// m.
    pub x: f64,
    /// m.
    pub y: f64,
    /// About the vertical, rad.
    pub yaw: f64,
}

/// The start of an episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Where it came from.
    pub seed: u64,
    /// Start of the arm, rad.
    pub joints: [f64; 7],
    /// Start of each finger, m.
    pub finger: f64,
    /// In the order of [`ObjectKind::ALL`].
    pub objects: [Placement; 4],
    /// What is asked.
    pub task: Task,
    /// How it is asked.
    pub sentence: String,
}

const X: Range<f64> = 0.38..0.54;
const Y: Range<f64> = -0.17..0.17;
const YAW: f64 = 15.0 * std::f64::consts::PI / 180.0;
/// Smallest distance between two centres, m: room for an open gripper.
const APART: f64 = 0.12;
/// Half the width of the lane that a push needs free, m: the hand is 20 cm wide above, the fingers 5 cm below.
const LANE: f64 = 0.085;
/// How far the lane reaches behind the object, m.
const LANE_BEHIND: f64 = 0.11;
const JITTER: f64 = 0.03;

impl Scene {
    /// Draws the scene of a seed.
    pub fn sample(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let tasks: [Task; 12] = {
            let mut all = Task::all();
            std::array::from_fn(|_| all.next().unwrap_or(Task::Push { object: ObjectKind::RedCube }))
        };
        let task = tasks[rng.random_range(0..tasks.len())];
        let joints = READY.map(|q| q + rng.random_range(-JITTER..JITTER));
        let objects = loop {
            if let Some(objects) = place(&mut rng, task) {
                break objects;
            }
        };
        let sentence = templates(task).choose(&mut rng).cloned().unwrap_or_default();
        Self { seed, joints, finger: 0.04, objects, task, sentence }
    }

    /// Where an object starts.
    pub fn placement(&self, kind: ObjectKind) -> Placement {
        self.objects[kind.index()]
    }

    /// Where the task's object shall end, m in the plane.
    pub fn target(&self) -> [f64; 2] {
        let start = self.placement(self.task.object());
        self.task.target([start.x, start.y])
    }
}

/// One try to place four objects; `None` when it does not work out.
fn place(rng: &mut ChaCha8Rng, task: Task) -> Option<[Placement; 4]> {
    let mut placed = [Placement { x: 0.0, y: 0.0, yaw: 0.0 }; 4];
    for i in 0..4 {
        let found = (0..20).find_map(|_| {
            let at = Placement { x: rng.random_range(X), y: rng.random_range(Y), yaw: rng.random_range(-YAW..YAW) };
            placed[..i].iter().all(|p| (p.x - at.x).hypot(p.y - at.y) >= APART).then_some(at)
        });
        placed[i] = found?;
    }
    if let Task::Push { object } = task {
        let pushed = placed[object.index()];
        let lane = pushed.x - LANE_BEHIND..FAR_LINE_X + 0.06;
        let blocked = ObjectKind::ALL.into_iter().filter(|k| *k != object).any(|k| {
            let p = placed[k.index()];
            lane.contains(&p.x) && (p.y - pushed.y).abs() < LANE
        });
        if blocked {
            return None;
        }
    }
    Some(placed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_seed_always_gives_the_same_scene() {
        for seed in 0..50 {
            assert_eq!(Scene::sample(seed), Scene::sample(seed));
        }
        assert_ne!(Scene::sample(1).objects, Scene::sample(2).objects);
    }

    #[test]
    fn objects_stand_apart_and_within_reach() {
        for seed in 0..1000 {
            let scene = Scene::sample(seed);
            for (i, a) in scene.objects.iter().enumerate() {
                assert!(X.contains(&a.x) && Y.contains(&a.y) && a.yaw.abs() <= YAW, "{scene:?}");
                for b in &scene.objects[..i] {
                    assert!((a.x - b.x).hypot(a.y - b.y) >= APART, "{scene:?}");
                }
            }
        }
    }

    #[test]
    fn every_task_is_drawn_about_as_often() {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for seed in 0..2400 {
            *counts.entry(Scene::sample(seed).task.name()).or_default() += 1;
        }
        assert_eq!(counts.len(), 12);
        assert!(counts.values().all(|n| (140..=260).contains(n)), "{counts:?}");
    }

    #[test]
    fn training_and_evaluation_share_no_seed() {
        const { assert!(TRAIN_SEEDS.end <= EVAL_SEEDS.start) };
    }
}
