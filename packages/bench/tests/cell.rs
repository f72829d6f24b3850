//! Among random obstacles nothing is touched, and the judges would see it.
#![allow(clippy::unwrap_used)]

use efm_bench::cell::command::batch;
use efm_bench::cell::judge::{Judge, is_declared};
use efm_bench::cell::play::{Robot, Settings, play};
use efm_bench::cell::scene::{Obstacle, Scene, table};
use efm_bench::cell::totals::Totals;
use efm_bench::histogram::Histogram;
use efm_bench::rng::{Rng, episode_seed};
use efm_core::JointNames;
use efm_harness::planner::RobotFiles;
use efm_robot::{LimitSet, RobotModel, Srdf};
use efm_safety::Limits;
use efm_sim::WorldFiles;
use efm_sim::world::ObstacleWorld;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn runs(first: u64, count: u64, settings: Settings) -> Totals {
    let mut totals = Totals::new();
    batch(&Robot::load(&RobotFiles::under(root())).unwrap(), 7, (first, count), 2, settings, &mut totals).unwrap();
    print!("{}", totals.table());
    totals
}

#[test]
fn nothing_is_touched_among_random_obstacles_and_clear_goals_are_reached() {
    let totals = runs(0, 20, Settings::default());
    assert_eq!((totals.runs, totals.physics), (20, 2));
    assert_eq!(totals.touches(), 0);
    // What the filter calls the least distance is kept at what it commands, but for the play that it says it takes.
    assert!(totals.least[3] > -1e-3, "{}", totals.least[3]);
    assert!(totals.refused > 0, "nothing was ever in the way");
    assert!(totals.judged > 5 && totals.reached > 5);
}

/// Here a joint once fell 0.23 rad behind its command, and the next motion began at a pose of commanded and measured joints, 0.3 mm above the table,
/// where neither had been.
#[test]
fn the_run_in_which_the_command_once_came_close_keeps_its_distance() {
    let seed = 12_452_570_552_336_878_723;
    let run = play(
        seed,
        &Robot::load(&RobotFiles::under(root())).unwrap(),
        Settings { physics: true, ..Settings::default() },
    )
    .unwrap();
    assert!(run.contacts.is_empty() && run.least_spare > -1e-5, "{}", run.least_spare);
}

#[test]
fn without_its_space_the_filter_lets_the_arm_touch_and_every_judge_sees_it() {
    let blind = Settings { space: false, ..Settings::default() };
    let totals = runs(1, 9, blind);
    let [_, command, parry] = totals.contacts;
    assert!(command > 0 && parry > 0, "{:?}", totals.contacts);
    assert!(totals.least[1] < 0.0 && totals.least[2] <= 0.0);
    let robot = Robot::load(&RobotFiles::under(root())).unwrap();
    let touched = (0..20).any(|i| {
        let run = play(episode_seed(7, i), &robot, Settings { physics: true, ..blind }).unwrap();
        run.contacts.iter().any(|c| c.judge == "mujoco" && c.distance < 0.0)
    });
    assert!(touched, "with physics nothing was touched");
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let robot = Robot::load(&RobotFiles::under(root())).unwrap();
    for physics in [false, true] {
        let once = || {
            let mut out = play(episode_seed(7, 3), &robot, Settings { physics, ..Settings::default() }).unwrap();
            out.time = Histogram::default();
            out
        };
        assert_eq!(once(), once());
    }
}

#[test]
fn the_judges_measure_the_same_distances() {
    let model = RobotModel::load(root().join("urdf/panda.urdf")).unwrap();
    let srdf = Srdf::load(root().join("urdf/panda.srdf"), &model).unwrap();
    let joints = JointNames::new((1..=7).map(|i| format!("panda_joint{i}")).chain(["panda_finger_joint1".to_owned()]));
    let joints = joints.unwrap();
    let set = LimitSet::load(&model, root().join("config/joint_limits.yaml"), &joints).unwrap();
    let limits = Limits::new(set.names, &set.joints).unwrap();
    let disabled: Vec<_> = srdf.disabled_pairs().iter().map(|p| (p.link1.clone(), p.link2.clone())).collect();
    let mut judge = Judge::new(&model, &srdf, &joints).unwrap();
    let files = WorldFiles { urdf: root().join("urdf/panda.urdf") };
    let (mut rng, mut compared) = (Rng::new(5), 0);
    for _ in 0..12 {
        let scene = Scene::random(&limits, &mut judge, &mut rng);
        let bodies: Vec<_> = std::iter::once(table()).chain(scene.obstacles.iter().map(Obstacle::fixed)).collect();
        let mut world = ObstacleWorld::new(&files, &bodies, &disabled, 0.05).unwrap();
        for _ in 0..60 {
            let q: [f64; 8] = std::array::from_fn(|j| rng.between(limits.min_position()[j], limits.max_position()[j]));
            let mut arm = [0.0; 7];
            arm.copy_from_slice(&q[..7]);
            world.place(&arm, q[7]);
            let near = world.near().filter(|n| !is_declared(&disabled, n.a, n.b));
            let theirs = near.map(|n| n.distance).fold(0.05, f64::min);
            let ours = judge.closest(&q, 0.05).distance;
            // Inside each other, depths are measured differently.
            if theirs > 0.0 || ours > 0.0 {
                assert!((theirs - ours).abs() < 2e-4, "MuJoCo {theirs}, parry {ours} at {q:?}");
                compared += usize::from(ours < 0.05);
            } else {
                assert!(theirs <= 1e-9 && ours <= 1e-9);
            }
        }
    }
    assert!(compared > 30, "{compared}");
}
