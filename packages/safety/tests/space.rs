//! Where the robot may not be, it does not go, and it gets as near as it may.
#![allow(clippy::unwrap_used)]

#[path = "support/panda.rs"]
mod panda;

use efm_collision::{Checker, CollisionModel, CollisionOptions, Obstacles};
use efm_core::Stamp;
use efm_robot::{RobotModel, Srdf};
use efm_safety::{
    Activity, CollisionSpace, ControllerSpec, Intrusion, Limits, PathLimit, StreamConfig, Surroundings, TaskLimits,
    Tick, Tool, ToolBounds, TrajectoryStreamer, Workspace,
};
use nalgebra::Point3;
use panda::*;

const D_MIN: f64 = 0.02;

fn model() -> RobotModel {
    RobotModel::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../../urdf/panda.urdf")).unwrap()
}

fn bodies(obstacles: &str) -> CollisionModel {
    let model = model();
    let srdf = Srdf::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../../urdf/panda.srdf"), &model).unwrap();
    let options = CollisionOptions { clearance: D_MIN, ..CollisionOptions::default() };
    CollisionModel::new(&model, Some(&srdf), &names(), &Obstacles::parse(obstacles).unwrap(), &options).unwrap()
}

const WALL: &str = "
collision_objects:
  - id: wall
    frame_id: world
    primitives: [{type: box, dimensions: [1.0, 0.1, 2.0]}]
    primitive_poses: [{position: [0.5, 0.33, 0.5], orientation: [0, 0, 0, 1]}]
";
const NOTHING: &str = "collision_objects: []";

fn streamer(obstacles: &str, bounds: Option<(Option<Workspace>, f64)>, config: StreamConfig) -> TrajectoryStreamer {
    let tool = || Tool::new(&model(), "panda_hand", &names()).unwrap();
    let max_speed = bounds.map_or(f64::INFINITY, |b| b.1);
    let bounds = bounds.map(|(workspace, max_speed)| ToolBounds { tool: tool(), workspace, max_speed });
    let space = CollisionSpace::new(bodies(obstacles), bounds);
    let controllers = vec![ControllerSpec { name: "all".into(), joints: names() }];
    let config = StreamConfig { max_tool_speed: max_speed, ..config };
    let around = Surroundings { space: Some(Box::new(space)), tool: Some(tool()) };
    let mut streamer = TrajectoryStreamer::within(around, limits(), controllers, config).unwrap();
    watch(&mut streamer);
    streamer.arm(true, at(0.0));
    streamer
}

/// A run of the streamer before an ideal robot.
struct Run {
    streamer: TrajectoryStreamer,
    place: [f64; 8],
    tick: i64,
    /// What was commanded, every 10 ms.
    went: Vec<[f64; 8]>,
}

impl Run {
    fn new(streamer: TrajectoryStreamer) -> Self {
        Self { streamer, place: HOME, tick: 0, went: Vec::new() }
    }

    fn now(&self) -> Stamp {
        Stamp::from_nanos(T0 + self.tick * PERIOD)
    }

    fn seconds(&self) -> f64 {
        self.tick as f64 * 0.01
    }

    fn offer(&mut self, wanted: impl Fn(f64) -> [f64; 8]) {
        let chunk = chunk_of(self.seconds(), 16, 0.1, wanted);
        self.streamer.offer_chunk(&chunk, self.now()).unwrap();
    }

    fn tick(&mut self) -> Option<(Activity, efm_safety::PlanReport)> {
        let now = self.now();
        self.tick += 1;
        match self.streamer.tick(now, Some((&sample(now, &self.place), 0.0))) {
            Tick::Send(out) => {
                self.place.copy_from_slice(out.windows[0].positions(1));
                self.went.push(self.place);
                Some((out.activity.clone(), out.report))
            }
            Tick::Idle(_) | Tick::Hold => None,
        }
    }

    /// Chunks again and again.
    fn go(&mut self, seconds: f64, wanted: impl Fn(f64) -> [f64; 8]) -> Vec<(Activity, efm_safety::PlanReport)> {
        let ticks = (seconds / 0.01) as i64;
        (0..ticks)
            .filter_map(|k| {
                if k % 20 == 0 {
                    self.offer(&wanted);
                }
                self.tick()
            })
            .collect()
    }
}

/// Smallest clearance to anything, as another checker measures it.
fn least_clearance(obstacles: &str, went: &[[f64; 8]]) -> f64 {
    let bodies = bodies(obstacles);
    let mut checker = Checker::new(&bodies);
    went.iter().map(|q| checker.clearance(&bodies, q).distance).fold(f64::INFINITY, f64::min)
}

fn turned(angle: f64) -> [f64; 8] {
    let mut q = HOME;
    q[0] = angle;
    q
}

#[test]
fn it_stops_before_a_wall_as_near_as_it_may_and_goes_on_when_told_otherwise() {
    let mut run = Run::new(streamer(WALL, None, config()));
    // Joint 1 turns at 1 rad/s into the wall.
    let said = run.go(3.0, |t| turned(t.min(1.5)));
    assert!(said.iter().any(|(a, _)| matches!(a, Activity::Blocked(Intrusion::TooClose { .. }))));
    let least = least_clearance(WALL, &run.went);
    assert!(least >= D_MIN - 1e-6, "{least}");
    assert!(least <= D_MIN + 0.015, "it stays {least} away");
    let intrusion = said.iter().rev().find_map(|(_, r)| r.refused).unwrap();
    assert!(run.streamer.describe(&intrusion).contains("'wall'"), "{}", run.streamer.describe(&intrusion));
    // It stopped on the path: no other joint moved.
    for q in &run.went {
        let beside = (1..7).map(|j| (q[j] - HOME[j]).abs()).fold(0.0, f64::max);
        assert!(beside < 1e-6, "{q:?}");
    }
    let stood = run.place[0];
    run.go(2.0, |_| turned(0.0));
    assert!(run.place[0].abs() < 0.01, "it does not come back from {stood}: {}", run.place[0]);
}

#[test]
fn a_wall_that_comes_while_it_moves_stops_it_before_it_and_one_that_goes_lets_it_on() {
    let mut run = Run::new(streamer(NOTHING, None, config()));
    let wanted = |t: f64| turned((0.5 * t).min(1.2));
    run.go(0.6, wanted);
    let began = run.place[0];
    assert!(began > 0.05 && run.streamer.is_streaming());
    let cell = |run: &mut Run, obstacles: &str| {
        let space = run.streamer.space_mut().unwrap().as_collision_space().unwrap();
        space.change(|model| *model = bodies(obstacles));
    };
    cell(&mut run, WALL);
    let said = run.go(3.0, wanted);
    assert!(said.iter().any(|(a, _)| matches!(a, Activity::Blocked(Intrusion::TooClose { .. }))));
    let least = least_clearance(WALL, &run.went);
    assert!((D_MIN - 1e-6..D_MIN + 0.015).contains(&least), "{least}");
    let stood = run.place[0];
    assert!(stood > began && stood < 1.0, "{stood}");
    cell(&mut run, NOTHING);
    run.go(3.0, wanted);
    assert!((run.place[0] - 1.2).abs() < 0.01, "{}", run.place[0]);
}

#[test]
fn a_wall_that_comes_too_close_for_any_stop_leaves_it_on_the_one_that_was_verified() {
    let mut run = Run::new(streamer(NOTHING, None, config()));
    let wanted = |t: f64| turned((0.8 * t).min(1.5));
    // Up to where the wall will be.
    while run.place[0] < 0.5 {
        if run.tick % 20 == 0 {
            run.offer(wanted);
        }
        run.tick();
    }
    let near = bodies(WALL);
    let before = Checker::new(&near).clearance(&near, &run.place).distance;
    run.streamer.space_mut().unwrap().as_collision_space().unwrap().change(|model| *model = near);
    run.go(0.3, wanted);
    let stood = run.place[0];
    run.go(1.0, wanted);
    let least = least_clearance(WALL, &run.went);
    println!("{:.1} mm away when the wall came, {:.1} mm at least", 1e3 * before, 1e3 * least);
    // The stop that was verified before takes it within the clearance; from there on it comes no closer than a step's play.
    assert!(before > D_MIN && least < D_MIN && least > 0.005, "{before} {least}");
    assert!((run.place[0] - stood).abs() < 2e-3, "{stood} {}", run.place[0]);
    run.go(2.0, |_| turned(0.0));
    assert!(run.place[0].abs() < 0.01, "it does not get away: {}", run.place[0]);
}

#[test]
fn a_path_that_is_clear_is_not_disturbed_by_what_stands_beside_it() {
    let wanted = |t: f64| {
        let mut q = HOME;
        q[0] = -0.6 * (1.0 - (1.5 * t).cos());
        q[3] = HOME[3] + 0.2 * (1.0 - (2.0 * t).cos());
        q
    };
    let mut free = Run::new(streamer(NOTHING, None, config()));
    let mut beside = Run::new(streamer(WALL, None, config()));
    free.go(4.0, wanted);
    let said = beside.go(4.0, wanted);
    assert_eq!(free.went, beside.went);
    assert!(said.iter().all(|(a, r)| *a == Activity::Following && r.rate == 1.0));
}

#[test]
fn the_arm_does_not_hit_itself() {
    let mut run = Run::new(streamer(NOTHING, None, config()));
    // The forearm folds back and the wrist turns the hand into the arm.
    run.go(4.0, |_| [0.0, 1.5, 0.0, -3.0, 0.0, 0.1, 0.785, 0.02]);
    let least = least_clearance(NOTHING, &run.went);
    assert!(least >= D_MIN - 1e-6, "{least}");
}

#[test]
fn the_tool_keeps_its_speed_and_its_workspace_by_slowing_down_on_the_path() {
    let wanted = |t: f64| turned(-(1.2 * t).sin());
    let limit = 0.25;
    let mut run = Run::new(streamer(NOTHING, Some((None, limit)), config()));
    let said = run.go(5.0, wanted);
    let tool = Tool::new(&model(), "panda_hand", &names()).unwrap();
    let points: Vec<Point3<f64>> = run.went.iter().map(|q| tool.at(|j| q[j])).collect();
    let fastest = points.windows(2).map(|w| (w[1] - w[0]).norm() / 0.01).fold(0.0, f64::max);
    assert!(fastest <= limit * (1.0 + 1e-6), "{fastest}");
    assert!(fastest > 0.9 * limit, "{fastest}");
    assert!(said.iter().any(|(_, r)| r.limited == Some(PathLimit::ToolSpeed)));

    let reach = points[0].coords.norm();
    let wall = Workspace { min: Point3::new(-1.0, -0.2, 0.0), max: Point3::new(1.0, 0.2, reach) };
    let mut run = Run::new(streamer(NOTHING, Some((Some(wall), 10.0)), config()));
    let said = run.go(5.0, wanted);
    let farthest = run.went.iter().map(|q| wall.outside(&tool.at(|j| q[j]))).fold(f64::MIN, f64::max);
    assert!(farthest <= 1e-5, "{farthest}");
    assert!(farthest > -0.01, "it stays {farthest} inside");
    assert!(said.iter().any(|(a, _)| matches!(a, Activity::Blocked(Intrusion::OutsideWorkspace { .. }))));
}

#[test]
fn a_task_may_ask_for_less_and_never_gets_more() {
    let fastest = |task: TaskLimits, max: f64| {
        let mut run = Run::new(streamer(NOTHING, Some((None, max)), config()));
        run.streamer.set_task_limits(task).unwrap();
        run.go(4.0, |t| turned(-(1.2 * t).sin()));
        let tool = Tool::new(&model(), "panda_hand", &names()).unwrap();
        let points: Vec<Point3<f64>> = run.went.iter().map(|q| tool.at(|j| q[j])).collect();
        points.windows(2).map(|w| (w[1] - w[0]).norm() / 0.01).fold(0.0, f64::max)
    };
    let slow = fastest(TaskLimits { max_tool_speed: 0.1, ..TaskLimits::default() }, 0.25);
    assert!((0.09..=0.1).contains(&slow), "{slow}");
    let all = fastest(TaskLimits { max_tool_speed: 5.0, ..TaskLimits::default() }, 0.25);
    assert!((0.225..=0.25 * (1.0 + 1e-6)).contains(&all), "{all}");
    let half = fastest(TaskLimits { speed_scale: 0.2, ..TaskLimits::default() }, 10.0);
    let whole = fastest(TaskLimits::default(), 10.0);
    assert!(half < 0.5 * whole, "{half} {whole}");
}

#[test]
fn whatever_slows_it_down_it_stays_on_the_path() {
    // A path known in closed form, run through at changing speed scales, stops included.
    let path = |t: f64| {
        let mut q = HOME;
        for (j, q) in q.iter_mut().enumerate().take(7) {
            *q += 0.25 * (1.0 - ((1.0 + 0.2 * j as f64) * t).cos());
        }
        q
    };
    let mut run = Run::new(streamer(NOTHING, None, config()));
    let chunk = chunk_of(0.0, 60, 0.1, path);
    let mut config_age = run.streamer.config().clone();
    config_age.max_observation_age_s = 60.0;
    run = Run::new(streamer(NOTHING, None, config_age));
    run.streamer.offer_chunk(&chunk, at(0.0)).unwrap();
    let (mut least, mut most) = (1.0_f64, 0.0_f64);
    for k in 0..1200 {
        if k % 50 == 25 {
            let scale = [1.0, 0.3, 0.0, 0.6, 0.05][(k / 50) as usize % 5];
            run.streamer.set_speed_scale(scale).unwrap();
        }
        if let Some((_, report)) = run.tick() {
            (least, most) = (least.min(report.rate), most.max(report.rate));
            assert!(report.deviation <= 5e-3);
        }
    }
    assert!(least == 0.0 && most == 1.0, "{least} {most}");
    // Independent of what it says itself: the nearest point of the path, after the blend at its start.
    let fine: Vec<[f64; 8]> = (0..6000).map(|i| path(f64::from(i) * 1e-3)).collect();
    let distance = |q: &[f64; 8], p: &[f64; 8]| (0..7).map(|j| (q[j] - p[j]).abs()).fold(0.0, f64::max);
    let mut worst = 0.0_f64;
    for q in &run.went[30..] {
        worst = worst.max(fine.iter().map(|p| distance(q, p)).fold(f64::INFINITY, f64::min));
    }
    println!("farthest from the path: {:.3} mrad", 1e3 * worst);
    assert!(worst <= 5e-3, "{worst}");
    assert!(run.went.len() > 1000);
}

#[test]
fn limits_that_a_path_breaks_are_kept_by_slowing_down_on_it() {
    // Four times as fast as joint 2 may.
    let path = |t: f64| {
        let mut q = HOME;
        q[1] += 0.5 * (1.0 - (6.0 * t).cos());
        q[3] -= 0.2 * (1.0 - (6.0 * t).cos());
        q
    };
    let config = StreamConfig { max_observation_age_s: 60.0, ..config() };
    let slow = Limits::clone(&limits());
    let mut run = Run::new(streamer(NOTHING, None, config));
    let chunk = chunk_of(0.0, 100, 0.02, path);
    run.streamer.offer_chunk(&chunk, at(0.0)).unwrap();
    let mut limited = std::collections::BTreeSet::new();
    for _ in 0..800 {
        if let Some((_, report)) = run.tick() {
            limited.extend(report.limited.map(|l| format!("{l:?}")));
        }
    }
    println!("{limited:?}");
    assert!(limited.iter().any(|l| l.contains("joint: 1")), "{limited:?}");
    let peak = run.went.windows(2).map(|w| (w[1][1] - w[0][1]).abs() / 0.01).fold(0.0, f64::max);
    assert!(peak <= slow.velocity()[1], "{peak}");
    assert!(peak > 0.5, "{peak}");
    // q2 and q4 stay in the proportion that the path has: it is the same curve.
    let off = run.went[40..]
        .iter()
        .map(|q| (0.2 * (q[1] - HOME[1]) + 0.5 * (q[3] - HOME[3])).abs() / 0.5)
        .fold(0.0, f64::max);
    println!("off the path by {:.3} mrad", 1e3 * off);
    assert!(off <= 5e-3, "{off}");
}
