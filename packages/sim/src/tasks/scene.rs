//! A scene: drawn from a seed, the same for ever.

use super::{FAR_LINE_X, Look, OBJECTS, ObjectKind, Split, Task, sentences};
use rand::{Rng, SeedableRng, seq::IndexedRandom, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

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
    /// The split of the seed.
    pub split: Split,
    /// Start of the arm, rad.
    pub joints: [f64; 7],
    /// Start of each finger, m.
    pub finger: f64,
    /// In the order of [`ObjectKind::ALL`]; `None`: not there. What is there beside the task's object distracts.
    pub objects: [Option<Placement>; OBJECTS],
    /// Centre of the plate, m.
    pub plate: [f64; 2],
    /// What is asked.
    pub task: Task,
    /// How it is asked.
    pub sentence: String,
    /// How it looks.
    pub look: Look,
}

const X: Range<f64> = 0.38..0.56;
const Y: Range<f64> = -0.19..0.19;
const YAW: f64 = 20.0 * std::f64::consts::PI / 180.0;
/// Smallest distance between two centres, m: room for an open gripper.
const APART: f64 = 0.11;
/// The same between an object and the plate, m.
const PLATE_APART: f64 = 0.12;
/// Half the width of the lane that a push needs free, m: the hand is 20 cm wide above, the fingers 5 cm below.
const LANE: f64 = 0.085;
/// How far the lane reaches behind the object, m.
const LANE_BEHIND: f64 = 0.11;
const JITTER: f64 = 0.04;
/// How many objects there are, the task's included.
const CROWD: std::ops::RangeInclusive<usize> = 3..=4;

impl Scene {
    /// Draws the scene of a seed. A seed beyond the last split counts as one of the last.
    pub fn sample(seed: u64) -> Self {
        let split = Split::of(seed).unwrap_or(Split::Shifted);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let tasks: Vec<Task> = Task::all().filter(|t| t.is_novel() == (split == Split::Novel)).collect();
        let task = tasks[rng.random_range(0..tasks.len())];
        let joints = READY.map(|q| q + rng.random_range(-JITTER..JITTER));
        let (objects, plate) = loop {
            if let Some(placed) = place(&mut rng, task) {
                break placed;
            }
        };
        let sentence = sentences(task, split).choose(&mut rng).cloned().unwrap_or_default();
        let look = Look::sample(&mut rng, split);
        Self { seed, split, joints, finger: 0.04, objects, plate, task, sentence, look }
    }

    /// Where an object starts; `None` when it is not there.
    pub fn placement(&self, kind: ObjectKind) -> Option<Placement> {
        self.objects[kind.index()]
    }

    /// The objects that are there.
    pub fn present(&self) -> impl Iterator<Item = (ObjectKind, Placement)> + '_ {
        ObjectKind::ALL.into_iter().filter_map(|kind| Some((kind, self.placement(kind)?)))
    }

    /// Where the task's object shall end, m in the plane.
    pub fn target(&self) -> [f64; 2] {
        // The task's object is always there; the plate is the only target that does not depend on it or is fixed.
        let start = self.placement(self.task.object()).map_or(self.plate, |p| [p.x, p.y]);
        self.task.target(start, self.plate)
    }
}

type Placed = ([Option<Placement>; OBJECTS], [f64; 2]);

/// One try to choose and place objects and plate; `None` when it does not work out.
fn place(rng: &mut ChaCha8Rng, task: Task) -> Option<Placed> {
    let mut kinds: Vec<ObjectKind> = ObjectKind::ALL.into_iter().filter(|k| *k != task.object()).collect();
    kinds.shuffle(rng);
    kinds.truncate(rng.random_range(CROWD) - 1);
    kinds.push(task.object());
    // So that the place does not depend on being the task's object.
    kinds.shuffle(rng);
    let plate = [rng.random_range(X), rng.random_range(Y)];
    let mut placed: Vec<(ObjectKind, Placement)> = Vec::new();
    for kind in kinds {
        let at = (0..20).find_map(|_| {
            let at = Placement { x: rng.random_range(X), y: rng.random_range(Y), yaw: rng.random_range(-YAW..YAW) };
            let clear = (at.x - plate[0]).hypot(at.y - plate[1]) >= PLATE_APART
                && placed.iter().all(|(_, p)| (p.x - at.x).hypot(p.y - at.y) >= APART);
            clear.then_some(at)
        })?;
        placed.push((kind, at));
    }
    if let Task::Push { object } = task {
        let pushed = placed.iter().find(|(k, _)| *k == object)?.1;
        let lane = pushed.x - LANE_BEHIND..FAR_LINE_X + 0.06;
        let inside = |x: f64, y: f64, half: f64| lane.contains(&x) && (y - pushed.y).abs() < half;
        let blocked = placed.iter().any(|(k, p)| *k != object && inside(p.x, p.y, LANE))
            // The fingers go low: neither over the plate's edge nor over it with the object.
            || inside(plate[0], plate[1], super::PLATE_RADIUS + 0.05);
        if blocked {
            return None;
        }
    }
    let mut objects = [None; OBJECTS];
    for (kind, at) in placed {
        objects[kind.index()] = Some(at);
    }
    Some((objects, plate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashSet};

    fn some(split: Split, n: u64) -> impl Iterator<Item = Scene> {
        (split.seeds().start..).take(n as usize).map(Scene::sample)
    }

    #[test]
    fn a_seed_always_gives_the_same_scene() {
        for split in Split::ALL {
            for seed in (split.seeds().start..).take(20) {
                assert_eq!(Scene::sample(seed), Scene::sample(seed));
            }
        }
        assert_ne!(Scene::sample(1).objects, Scene::sample(2).objects);
    }

    #[test]
    fn objects_stand_apart_and_within_reach_and_the_tasks_own_is_among_them() {
        for scene in Split::ALL.into_iter().flat_map(|s| some(s, 400)) {
            let all: Vec<_> = scene.present().collect();
            assert!(CROWD.contains(&all.len()) && scene.placement(scene.task.object()).is_some(), "{scene:?}");
            for (i, (_, a)) in all.iter().enumerate() {
                assert!(X.contains(&a.x) && Y.contains(&a.y) && a.yaw.abs() <= YAW, "{scene:?}");
                assert!((a.x - scene.plate[0]).hypot(a.y - scene.plate[1]) >= PLATE_APART, "{scene:?}");
                for (_, b) in &all[..i] {
                    assert!((a.x - b.x).hypot(a.y - b.y) >= APART, "{scene:?}");
                }
            }
        }
    }

    #[test]
    fn no_task_is_done_before_it_begins() {
        for scene in Split::ALL.into_iter().flat_map(|s| some(s, 400)) {
            let (at, to) = (scene.placement(scene.task.object()).unwrap(), scene.target());
            assert!((at.x - to[0]).hypot(at.y - to[1]) > super::super::TARGET_RADIUS + 0.01, "{scene:?}");
        }
    }

    #[test]
    fn every_split_has_the_combinations_and_the_words_that_are_its_own_about_equally_often() {
        for split in Split::ALL {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for scene in some(split, 2400) {
                assert_eq!(scene.task.is_novel(), split == Split::Novel, "{scene:?}");
                let paraphrased = sentences(scene.task, Split::Paraphrase).contains(&scene.sentence);
                let trained = sentences(scene.task, Split::Train).contains(&scene.sentence);
                assert_eq!((paraphrased, trained), (split == Split::Paraphrase, split != Split::Paraphrase));
                *counts.entry(scene.task.name()).or_default() += 1;
            }
            let kinds = if split == Split::Novel { 8 } else { 24 };
            assert_eq!(counts.len(), kinds);
            let even = 2400 / kinds;
            assert!(counts.values().all(|n| (even * 6 / 10..even * 14 / 10).contains(n)), "{counts:?}");
        }
    }

    #[test]
    fn splits_share_no_scene() {
        let mut seen = HashSet::new();
        for scene in Split::ALL.into_iter().flat_map(|s| some(s, 300)) {
            assert!(seen.insert(scene.joints.map(f64::to_bits)), "{scene:?}");
        }
    }
}
