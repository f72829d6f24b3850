//! Joints of the robot that are not among the controllers': where they stand is told, or nothing moves.
#![allow(clippy::unwrap_used)]

use efm_collision::{Checker, CollisionModel, CollisionOptions, Obstacles};
use efm_core::{ActionChunk, JointLimits, JointNames, JointSample, Stamp};
use efm_robot::{RobotModel, Srdf};
use efm_safety::{
    Activity, CollisionSpace, ControllerSpec, IdleReason, Intrusion, Limits, StopReason, StreamConfig, Surroundings,
    Tick, Tool, ToolBounds, TrajectoryStreamer, Workspace,
};
use nalgebra::Point3;
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

const D_MIN: f64 = 0.01;
const READY: [f64; 7] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4];
/// Beside the closed left finger, 27 mm away, and inside the open one.
const POST: &str = "
collision_objects:
  - id: post
    primitives: [{type: box, dimensions: [0.01, 0.01, 0.1]}]
    primitive_poses: [{position: [0.306891, -0.044, 0.44]}]
";
const NOTHING: &str = "collision_objects: []";

fn panda() -> RobotModel {
    RobotModel::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../../urdf/panda.urdf")).unwrap()
}

fn arm() -> JointNames {
    JointNames::new((1..=7).map(|i| format!("panda_joint{i}"))).unwrap()
}

/// The arm without its hand, which has a driver of its own.
fn bodies(obstacles: &str) -> CollisionModel {
    let model = panda();
    let srdf = Srdf::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../../urdf/panda.srdf"), &model).unwrap();
    let options = CollisionOptions { clearance: D_MIN, ..CollisionOptions::default() };
    CollisionModel::new(&model, Some(&srdf), &arm(), &Obstacles::parse(obstacles).unwrap(), &options).unwrap()
}

fn at(tick: i64) -> Stamp {
    Stamp::from_nanos(1_700_000_000_000_000_000 + tick * 10_000_000)
}

/// A streamer before an ideal robot, whose other joints are told as `others` says.
struct Cell {
    streamer: TrajectoryStreamer,
    place: Vec<f64>,
    tick: i64,
    others: Vec<Option<f64>>,
    went: Vec<Vec<f64>>,
}

impl Cell {
    fn new(around: Surroundings, joints: &JointNames, home: &[f64], config: StreamConfig) -> Self {
        let all = JointLimits { lower: -3.1, upper: 3.8, velocity: 2.0, acceleration: 6.0, jerk: 100.0 };
        let limits = Limits::new(joints.clone(), &vec![all; joints.len()]).unwrap();
        let controllers = vec![ControllerSpec { name: "all".into(), joints: joints.clone() }];
        let mut streamer = TrajectoryStreamer::within(around, limits, controllers, config).unwrap();
        streamer.arm(true, at(0));
        let others = vec![None; streamer.other_joints().len()];
        let mut cell = Self { streamer, place: home.to_vec(), tick: 0, others, went: Vec::new() };
        (0..15).for_each(|_| drop(cell.tick()));
        cell
    }

    fn panda(obstacles: &str) -> Self {
        let around = Surroundings { space: Some(Box::new(CollisionSpace::new(bodies(obstacles), None))), tool: None };
        Self::new(around, &arm(), &READY, StreamConfig::default())
    }

    fn offer(&mut self, wanted: impl Fn(f64) -> Vec<f64>) {
        let t = self.tick as f64 * 0.01;
        let rows = (1..=20).flat_map(|k| wanted(t + 0.1 * f64::from(k))).collect();
        let chunk = ActionChunk::new(at(self.tick), 0.1, self.streamer.joints().clone(), rows).unwrap();
        let _ = self.streamer.offer_chunk(&chunk, at(self.tick));
    }

    fn tick(&mut self) -> Result<Activity, Option<IdleReason>> {
        let now = at(self.tick);
        self.tick += 1;
        let sample = JointSample { stamp: now, positions: self.place.clone(), velocities: vec![0.0; self.place.len()] };
        self.streamer.place_other_joints(&self.others);
        match self.streamer.tick(now, Some((&sample, 0.0))) {
            Tick::Send(out) => {
                self.place.copy_from_slice(out.windows[0].positions(1));
                self.went.push(self.place.clone());
                Ok(out.activity)
            }
            Tick::Idle(reason) => Err(Some(reason)),
            Tick::Hold => Err(None),
        }
    }

    /// So many ticks, with a chunk for every twentieth; what was said last.
    fn go(&mut self, ticks: i64, wanted: impl Fn(f64) -> Vec<f64>) -> Result<Activity, Option<IdleReason>> {
        let mut said = Err(None);
        for k in 0..ticks {
            if k % 20 == 0 {
                self.offer(&wanted);
            }
            said = self.tick();
        }
        said
    }

    fn idle(&mut self) -> IdleReason {
        self.go(40, |_| READY.to_vec()).unwrap_err().unwrap()
    }
}

fn turned(angle: f64) -> Vec<f64> {
    let mut q = READY;
    q[0] += angle;
    q.to_vec()
}

#[test]
fn nothing_moves_before_a_finger_with_its_own_driver_is_told_and_then_it_is_where_it_is_told() {
    let mut cell = Cell::panda(POST);
    assert_eq!(cell.streamer.other_joints(), ["panda_finger_joint1"]);
    assert!(cell.streamer.asks_for_other_joint(0));
    assert_eq!(cell.idle(), IdleReason::OtherJointUnknown { other: 0 });
    assert_eq!(cell.streamer.unknown_other_joint(), Some(0));
    // Neither is what is no number.
    cell.others = vec![Some(f64::NAN)];
    assert_eq!(cell.idle(), IdleReason::OtherJointUnknown { other: 0 });
    // Open: the post stands in the finger.
    cell.others = vec![Some(0.04)];
    let reason = cell.idle();
    let IdleReason::Space(intrusion @ Intrusion::TooClose { .. }) = reason else { panic!("{reason:?}") };
    let words = cell.streamer.describe(&intrusion);
    assert!(words.contains("'post'") && words.contains("panda_leftfinger"), "{words}");
    assert!(cell.went.is_empty());
    // Half open there is room enough to get away, but to turn the finger into the post there is none.
    cell.others = vec![Some(0.01)];
    cell.go(150, |_| turned(-0.3)).unwrap();
    let near = bodies(POST);
    let mut near = (near.clone(), Checker::new(&near));
    near.0.place_others(&[Some(0.01)]);
    let least = cell.went.iter().map(|q| near.1.clearance(&near.0, q).distance).fold(f64::INFINITY, f64::min);
    assert!((D_MIN - 1e-6..D_MIN + 0.01).contains(&least), "{least}");
    // Closed: it moves.
    let mut cell = Cell::panda(POST);
    cell.others = vec![Some(0.0)];
    assert_eq!(cell.go(60, |_| turned(0.2)), Ok(Activity::Following));
    assert!(cell.place[0] > 0.1);
}

#[test]
fn a_finger_that_opens_on_the_way_is_stopped_before_what_it_would_hit() {
    // The hand is turned so that the fingers open towards the arm and away from it: turned by 0.3 the closed finger passes the post by more than it has
    // to, the open one does not.
    let across = |angle: f64| {
        let mut q = turned(angle);
        q[6] -= FRAC_PI_2;
        q
    };
    let there = {
        let model = bodies(NOTHING);
        let mut checker = Checker::new(&model);
        checker.clearance(&model, &across(0.3));
        let finger = panda().link_index("panda_leftfinger").unwrap();
        *checker.link_pose(finger) * Point3::new(0.0, 0.052, 0.045)
    };
    let post = format!(
        "collision_objects: [{{id: post, primitives: [{{type: sphere, dimensions: [0.01]}}], primitive_poses: [{{position: [{}, {}, {}]}}]}}]",
        there.x, there.y, there.z
    );
    let passes = |opens: bool| {
        let space = CollisionSpace::new(bodies(&post), None);
        let around = Surroundings { space: Some(Box::new(space)), tool: None };
        let mut cell = Cell::new(around, &arm(), &across(0.0), StreamConfig::default());
        cell.others = vec![Some(0.0)];
        let wanted = |t: f64| across((0.3 * (t - 0.2)).clamp(0.0, 0.8));
        cell.go(40, wanted).unwrap();
        let began = cell.went.len();
        assert!(began > 0 && cell.place[0] < 0.2, "{}", cell.place[0]);
        if opens {
            cell.others = vec![Some(0.04)];
        }
        let said = cell.go(350, wanted);
        let mut model = bodies(&post);
        model.place_others(&cell.others);
        let mut checker = Checker::new(&model);
        let least =
            cell.went[began..].iter().map(|q| checker.clearance(&model, q).distance).fold(f64::INFINITY, f64::min);
        (cell.place[0], least, said)
    };
    let (turned, least, _) = passes(false);
    assert!(turned > 0.7 && least > D_MIN - 1e-6, "{turned} {least}");
    let (stood, least, said) = passes(true);
    assert!(matches!(said, Ok(Activity::Blocked(Intrusion::TooClose { .. }))), "{said:?}");
    assert!(stood < 0.3 && (D_MIN - 1e-6..D_MIN + 0.01).contains(&least), "{stood} {least}");
}

#[test]
fn a_joint_that_is_lost_on_the_way_stops_the_arm_and_is_named_and_for_good_where_it_lasts() {
    let mut cell = Cell::panda(NOTHING);
    cell.others = vec![Some(0.02)];
    let wanted = |t: f64| turned((0.5 * t).sin());
    assert_eq!(cell.go(60, wanted), Ok(Activity::Following));
    cell.others = vec![None];
    let said = cell.tick();
    assert_eq!(said, Ok(Activity::Stopping(StopReason::OtherJointLost { other: 0 })));
    // It is back: once it rests, the next chunk is followed.
    cell.others = vec![Some(0.02)];
    let mut ticks = 0;
    while cell.tick().is_ok() {
        ticks += 1;
        assert!(ticks < 100);
    }
    assert_eq!(cell.go(60, wanted), Ok(Activity::Following));
    cell.others = vec![None];
    (0..70).for_each(|_| drop(cell.tick()));
    cell.others = vec![Some(0.02)];
    let latched = IdleReason::Latched(StopReason::OtherJointLost { other: 0 });
    assert_eq!(cell.go(40, wanted), Err(Some(latched)));
    cell.others = vec![None];
    cell.streamer.resume();
    assert_eq!(cell.go(40, wanted), Err(Some(IdleReason::OtherJointUnknown { other: 0 })));
    cell.others = vec![Some(0.02)];
    cell.go(60, wanted).unwrap();
    // Another number of joints than there are is no knowledge.
    cell.others = vec![Some(0.02), Some(0.0)];
    assert_eq!(cell.tick(), Ok(Activity::Stopping(StopReason::OtherJointLost { other: 0 })));
}

/// A rail under an arm of two joints with a swivel between them that nobody here moves, and a camera mast beside it that turns.
const RAIL: &str = "<robot name='r'><link name='root'/><link name='sled'/>
  <link name='upper'><collision><origin xyz='0.2 0 0'/><geometry><box size='0.3 0.04 0.04'/></geometry></collision></link>
  <link name='swivel'/>
  <link name='lower'><collision><origin xyz='0.2 0 0'/><geometry><box size='0.3 0.04 0.04'/></geometry></collision></link>
  <link name='mast'/><link name='tcp'/>
  <link name='camera'><collision><origin xyz='0.25 0 0'/><geometry><box size='0.5 0.02 0.02'/></geometry></collision></link>
  <joint name='rail' type='prismatic'><parent link='root'/><child link='sled'/><axis xyz='0 1 0'/><limit lower='-2' upper='2' velocity='1' effort='1'/></joint>
  <joint name='shoulder' type='continuous'><parent link='sled'/><child link='upper'/><axis xyz='0 0 1'/></joint>
  <joint name='swivel' type='continuous'><parent link='upper'/><child link='swivel'/><origin xyz='0.4 0 0'/><axis xyz='0 1 0'/></joint>
  <joint name='elbow' type='continuous'><parent link='swivel'/><child link='lower'/><axis xyz='0 0 1'/></joint>
  <joint name='tcp' type='fixed'><parent link='lower'/><child link='tcp'/><origin xyz='0.4 0 0'/></joint>
  <joint name='post' type='fixed'><parent link='sled'/><child link='mast'/><origin xyz='0 0.7 0'/></joint>
  <joint name='pan' type='continuous'><parent link='mast'/><child link='camera'/><axis xyz='0 0 1'/></joint>
  <joint name='wheel' type='continuous'><parent link='root'/><child link='wheel'/><axis xyz='0 0 1'/></joint><link name='wheel'/>
</robot>";

fn on_rail(obstacles: &str, bounds: Option<(Option<Workspace>, f64)>) -> Cell {
    let robot = RobotModel::from_urdf(RAIL).unwrap();
    let joints = JointNames::new(["shoulder", "elbow"]).unwrap();
    let obstacles = Obstacles::parse(obstacles).unwrap();
    let model = CollisionModel::new(&robot, None, &joints, &obstacles, &CollisionOptions::default()).unwrap();
    let tool = || Tool::new(&robot, "tcp", &joints).unwrap();
    let max_tool_speed = bounds.map_or(f64::INFINITY, |b| b.1);
    let bounds = bounds.map(|(workspace, max_speed)| ToolBounds { tool: tool(), workspace, max_speed });
    let around = Surroundings { space: Some(Box::new(CollisionSpace::new(model, bounds))), tool: Some(tool()) };
    let config = StreamConfig { max_tool_speed, ..StreamConfig::default() };
    Cell::new(around, &joints, &[0.0, 0.0], config)
}

fn stand(cell: &mut Cell, told: &[(&str, f64)]) {
    let one = |name: &String| told.iter().find(|(other, _)| other == name).map(|(_, position)| *position);
    cell.others = cell.streamer.other_joints().iter().map(one).collect();
}

fn unknown(said: Result<Activity, Option<IdleReason>>, cell: &Cell) -> Option<String> {
    match said {
        Err(Some(IdleReason::OtherJointUnknown { other })) => Some(cell.streamer.other_joints()[other].clone()),
        _ => None,
    }
}

#[test]
fn each_joint_that_matters_is_asked_for_and_no_other() {
    let (still, wall) = (
        |_: f64| vec![0.1, 0.1],
        "collision_objects: [{id: wall, primitives: [{type: box, dimensions: [2, 0.1, 2]}], primitive_poses: [{position: [0, -1, 0]}]}]",
    );
    // The rail carries all that can collide; wheels carry nothing.
    let mut cell = on_rail(NOTHING, None);
    stand(&mut cell, &[]);
    for (missing, told) in [("pan", &[("swivel", 0.0)][..]), ("swivel", &[("pan", 0.0)])] {
        stand(&mut cell, told);
        assert_eq!(unknown(cell.go(25, still), &cell).as_deref(), Some(missing));
    }
    stand(&mut cell, &[("swivel", 0.0), ("pan", 1.5)]);
    cell.go(40, still).unwrap();
    // A wall comes, which is not on the rail: now the rail matters, in motion too.
    let walls = Obstacles::parse(wall).unwrap();
    let space = cell.streamer.space_mut().unwrap().as_collision_space().unwrap();
    space.change(|model| model.replace_obstacles(&walls)).unwrap();
    let said = cell.tick();
    let Ok(Activity::Stopping(StopReason::OtherJointLost { other })) = said else { panic!("{said:?}") };
    assert_eq!(cell.streamer.other_joints()[other], "rail");
    // A bounded workspace asks for it as well, a limited speed does not.
    let (all, box_of) = (Some(("swivel", 0.0)), |y: f64| Workspace {
        min: Point3::new(-2.0, -2.0, -2.0),
        max: Point3::new(2.0, y, 2.0),
    });
    for (bounds, asks) in [((Some(box_of(2.0)), 5.0), true), ((None, 0.25), false)] {
        let mut cell = on_rail(NOTHING, Some(bounds));
        let told: Vec<(&str, f64)> = all.into_iter().chain([("pan", 1.5)]).collect();
        stand(&mut cell, &told);
        assert_eq!(unknown(cell.go(40, still), &cell).as_deref(), asks.then_some("rail"));
    }
}

#[test]
fn a_workspace_holds_for_the_tool_wherever_a_rail_has_carried_it() {
    let high = 0.5;
    let walls = Workspace { min: Point3::new(-2.0, -2.0, -2.0), max: Point3::new(2.0, high, 2.0) };
    let reach = |rail: f64, swivel: f64| {
        let mut cell = on_rail(NOTHING, Some((Some(walls), 10.0)));
        stand(&mut cell, &[("rail", rail), ("swivel", swivel), ("pan", 1.5)]);
        cell.go(300, |t| vec![(0.5 * (t - 0.3)).clamp(0.0, 1.2), 0.0]).unwrap();
        rail + (0.4 + 0.4 * swivel.cos()) * cell.place[0].sin()
    };
    for (rail, swivel) in [(0.0, 0.0), (0.2, 0.0), (0.1, 1.0), (0.2, 1.0)] {
        let high_up = reach(rail, swivel);
        assert!(high_up <= high + 1e-5 && high_up > high - 0.02, "{rail} {swivel}: {high_up}");
    }
    // Beyond it already: it may come back.
    let mut cell = on_rail(NOTHING, Some((Some(walls), 10.0)));
    stand(&mut cell, &[("rail", 0.7), ("swivel", 0.0), ("pan", 1.5)]);
    cell.go(200, |t| vec![(-0.5 * (t - 0.3)).clamp(-0.5, 0.0), 0.0]).unwrap();
    assert!(cell.place[0] < -0.45);
}

#[test]
fn a_limited_speed_of_the_tool_is_kept_with_a_joint_on_the_way_to_it_that_is_bent() {
    let fastest = |swivel: f64| {
        let mut cell = on_rail(NOTHING, Some((None, 0.2)));
        stand(&mut cell, &[("swivel", swivel), ("pan", 1.5)]);
        cell.go(200, |t| vec![-(1.0 - (2.0 * (t - 0.2).max(0.0)).cos()), 0.0]).unwrap();
        let radius = 0.4 + 0.4 * swivel.cos();
        let angle = cell.went.windows(2).map(|w| (w[1][0] - w[0][0]).abs() / 0.01).fold(0.0, f64::max);
        radius * angle
    };
    for swivel in [0.0, 1.0, 1.5] {
        let speed = fastest(swivel);
        assert!(speed <= 0.2 * (1.0 + 1e-6), "{swivel}: {speed}");
        assert!(speed > 0.15, "{swivel}: {speed}");
    }
}

#[test]
fn a_camera_that_turns_in_front_of_the_arm_stops_it_and_it_goes_on_when_it_turns_away() {
    let mut cell = on_rail(NOTHING, None);
    let away = [("swivel", 0.0), ("pan", FRAC_PI_2)];
    stand(&mut cell, &away);
    let wanted = |t: f64| vec![(0.5 * (t - 0.3)).clamp(0.0, 1.0), 0.0];
    cell.go(60, wanted).unwrap();
    stand(&mut cell, &[("swivel", 0.0), ("pan", -0.8)]);
    let said = cell.go(200, wanted);
    assert!(matches!(said, Ok(Activity::Blocked(Intrusion::TooClose { .. }))), "{said:?}");
    let stood = cell.place[0];
    assert!(stood < 0.9);
    stand(&mut cell, &away);
    cell.go(200, wanted).unwrap();
    assert!((cell.place[0] - 1.0).abs() < 1e-3, "{stood} {}", cell.place[0]);
}

#[test]
fn where_they_jitter_nothing_comes_closer_than_it_may() {
    // Noise of an encoder, in every tick, and an arm that is pushed against the post for ten seconds.
    let mut cell = Cell::panda(POST);
    let mut seed = 7_u64;
    let mut model = bodies(POST);
    model.place_others(&[Some(0.010_1)]);
    let mut checker = Checker::new(&model);
    let mut least = f64::INFINITY;
    for k in 0..1000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        cell.others = vec![Some(0.01 + 1e-4 * (seed >> 40) as f64 / (1_u64 << 24) as f64)];
        if k % 20 == 0 {
            let push = if k % 200 < 150 { -0.3 } else { 0.0 };
            cell.offer(|_| turned(push));
        }
        let _ = cell.tick();
        least = least.min(checker.clearance(&model, &cell.place).distance);
    }
    println!("{:.3} mm at least, of {:.1}", 1e3 * least, 1e3 * D_MIN);
    assert!(cell.went.len() > 500 && least < D_MIN + 0.003, "{least}");
    // What the noise itself moves, and no more, however often.
    assert!(least > D_MIN - 2.5e-4, "{least}");
}
