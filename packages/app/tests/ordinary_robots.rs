//! Robots as they are bought: whose joint states come slowly, by several drivers, without speeds, without stamps, or not for a while. Driven as the node drives
//! it, from joint states and chunks to windows.
#![allow(clippy::unwrap_used)]

#[path = "support/gantry.rs"]
mod gantry;

use efm_app::Failure;
use efm_app::joint_states::Stamps;
use efm_app::publisher::emergency::KeptStop;
use efm_app::publisher::motion_report::Phase;
use efm_app::publisher::publishing::{At, Host, Line, Publishing};
use efm_app::publisher::streaming::{Event, Outlet, Streaming};
use efm_app::publisher::streaming_params;
use efm_config::Params;
use efm_core::{Level, SenderId, Stamp, Trajectory, TrajectoryPoint};
use efm_safety::{Execution, IdleReason, StopReason, VerifiedWindow};
use gantry::{JOINTS, MS, at};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const HOME: [f64; 4] = [0.0, 0.0, 0.3, 0.02];
const POLICY: SenderId = SenderId([1; 16]);
const ARM: SenderId = SenderId([2; 16]);
const HAND: SenderId = SenderId([3; 16]);

/// Where windows go: a robot that follows them to the letter.
struct Graph {
    now: i64,
    windows: Vec<Option<VerifiedWindow>>,
    at: [f64; 4],
    speed: [f64; 4],
    /// The last words of each line, as errors are told.
    told: BTreeMap<&'static str, (Level, String)>,
}

impl Graph {
    fn follow(&mut self) {
        let mut joint = 0;
        for (window, joints) in self.windows.iter().zip([3, 1]) {
            if let Some(window) = window {
                let into = self.now - window.stamp().nanos();
                let last = window.len() - 1;
                let next = (0..window.len()).find(|k| window.time_from_start(*k) > into).unwrap_or(last);
                let before = next.saturating_sub(1);
                let (t0, t1) = (window.time_from_start(before), window.time_from_start(next));
                let part = if t1 > t0 { ((into - t0) as f64 / (t1 - t0) as f64).clamp(0.0, 1.0) } else { 1.0 };
                for j in 0..joints {
                    let between = |a: f64, b: f64| a + part * (b - a);
                    self.at[joint + j] = between(window.positions(before)[j], window.positions(next)[j]);
                    self.speed[joint + j] = between(window.velocities(before)[j], window.velocities(next)[j]);
                }
            }
            joint += joints;
        }
    }
}

impl Outlet for Graph {
    fn send(&mut self, windows: &[VerifiedWindow], _: Stamp) -> Result<usize, Failure> {
        self.windows = windows.iter().cloned().map(Some).collect();
        Ok(windows.len())
    }

    fn tell(&mut self, _: &Execution, _: &[VerifiedWindow]) -> Result<(), Failure> {
        Ok(())
    }

    fn rest(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Host for Graph {
    fn at(&self) -> At {
        at(self.now)
    }

    fn note(&mut self, event: &Event<'_>) {
        // Whatever is traced can be read back.
        let text = serde_json::to_string(event).unwrap();
        let back: Event<'static> = serde_json::from_str(&text).unwrap();
        assert_eq!(&back, event, "{text}");
    }

    fn listening(&self, listening: &mut Vec<bool>) {
        listening.clear();
        listening.extend([true, true]);
    }

    fn report(&mut self, line: Line, level: Level, text: String, _: Vec<(String, String)>) {
        let name = match line {
            Line::Motion => "motion",
            Line::JointStates => "joint_states",
            _ => return,
        };
        self.told.insert(name, (level, text));
    }
}

/// What tells of the robot: every so many ms, as the robot was then.
#[derive(Debug, Clone)]
struct Driver {
    sender: SenderId,
    joints: std::ops::Range<usize>,
    every: i64,
    stamped: bool,
    velocities: fn(f64) -> Option<f64>,
    /// How far positions are off by turns, m.
    noise: f64,
    next: i64,
}

fn told(v: f64) -> Option<f64> {
    Some(v)
}

fn driver(sender: SenderId, joints: std::ops::Range<usize>, every: i64) -> Driver {
    Driver { sender, joints, every, stamped: true, velocities: told, noise: 0.0, next: 0 }
}

struct Cell {
    publisher: Publishing,
    graph: Graph,
    drivers: Vec<Driver>,
    stamps: Stamps,
    /// Joint states do not come until then.
    silent_until: i64,
    ticks: i64,
    chunks: i64,
    phases: Vec<String>,
}

const BEGIN: i64 = 1_000_000 * MS;

impl Cell {
    fn new(drivers: &[Driver], set: &Value) -> Self {
        let limit = "{has_velocity_limits: true, max_velocity: 0.5, has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, \
                     max_jerk: 100.0}";
        let mut params = json!({
            "joint_limits_file": "limits.yaml", "controllers.arm": &JOINTS[..3], "controllers.hand": &JOINTS[3..],
            "gripper_joints": ["finger"], "check_collisions": false, "armed_at_start": true,
        });
        params.as_object_mut().unwrap().extend(set.as_object().unwrap().clone());
        let params = Params::from_json(streaming_params::specs(), &serde_json::from_value(params).unwrap()).unwrap();
        let streaming = Streaming::new(&params, &gantry::files(limit)).unwrap();
        let graph = Graph { now: BEGIN, windows: vec![None, None], at: HOME, speed: [0.0; 4], told: BTreeMap::new() };
        let publisher = Publishing::new(streaming, &params, at(BEGIN), KeptStop::default(), false, None);
        let drivers = drivers.iter().cloned().map(|d| Driver { next: BEGIN, ..d }).collect();
        let mut cell = Self {
            publisher,
            graph,
            drivers,
            stamps: Stamps::of(&params),
            silent_until: 0,
            ticks: 0,
            chunks: 0,
            phases: Vec::new(),
        };
        let urdf = gantry::urdf();
        cell.publisher.on_description(&mut cell.graph, at(BEGIN), &urdf, SenderId::UNKNOWN).unwrap();
        cell
    }

    /// 10 ms on; a chunk each 0.2 s that sways.
    fn tick(&mut self) {
        for _ in 0..2 {
            self.graph.now += 5 * MS;
            self.graph.follow();
            self.tell();
        }
        let now = at(self.graph.now);
        self.ticks += 1;
        if self.ticks % 20 == 0 {
            let t = (self.graph.now - BEGIN) as f64 * 1e-9;
            let point = |k: i64| {
                let later = t + 0.1 * (k + 1) as f64;
                TrajectoryPoint {
                    positions: vec![0.2 * (1.5 * later).sin(), HOME[1], HOME[2], HOME[3]],
                    time_from_start: 100 * MS * (k + 1),
                    ..TrajectoryPoint::default()
                }
            };
            let chunk = Trajectory {
                stamp: now.now,
                joint_names: JOINTS.map(str::to_owned).to_vec(),
                points: (0..16).map(point).collect(),
                ..Trajectory::default()
            };
            self.chunks += i64::from(self.publisher.on_chunk(&mut self.graph, now, &chunk, POLICY).is_ok());
        }
        self.publisher.tick(&mut self.graph, now).unwrap();
        let said = match self.publisher.phase() {
            Phase::Following => "follows",
            Phase::Stopping(reason) => reason.code(),
            Phase::Idle(IdleReason::Latched(_)) => "latched",
            Phase::Idle(_) => "rests",
            other => panic!("{other:?}"),
        };
        if self.phases.last().is_none_or(|last| last != said) {
            self.phases.push(said.to_owned());
        }
        if self.ticks % 10 == 0 {
            self.publisher.every_tenth(&mut self.graph, now).unwrap();
        }
    }

    fn tell(&mut self) {
        let now = self.graph.now;
        for driver in &mut self.drivers {
            if driver.next > now {
                continue;
            }
            driver.next += driver.every * MS;
            if now < self.silent_until {
                continue;
            }
            let names: Vec<String> = JOINTS[driver.joints.clone()].iter().map(|name| (*name).to_owned()).collect();
            let velocities: Vec<f64> =
                self.graph.speed[driver.joints.clone()].iter().filter_map(|v| (driver.velocities)(*v)).collect();
            let header = if driver.stamped { Stamp::from_nanos(now) } else { Stamp::ZERO };
            let stamp = self.stamps.measured_at(header, Stamp::from_nanos(now));
            let (mut positions, nth) = (self.graph.at[driver.joints.clone()].to_vec(), now / (driver.every * MS));
            for (j, position) in positions.iter_mut().enumerate() {
                // Neither even nor the same for all joints.
                let turn = (nth * 7 + j as i64 * 3) % 11 - 5;
                *position += driver.noise * turn as f64 / 5.0;
            }
            self.publisher.on_joint_states(driver.sender, stamp, &names, &positions, &velocities, now as f64 * 1e-9);
        }
    }

    fn run(&mut self, seconds: f64) -> &mut Self {
        (0..(100.0 * seconds) as usize).for_each(|_| self.tick());
        self
    }

    fn said(&self, line: &str) -> String {
        self.graph.told[line].1.clone()
    }

    fn latched(&self) -> Option<&StopReason> {
        self.publisher.streaming().streamer().unwrap().latched()
    }
}

#[test]
fn ordinary_robots_begin_to_move_and_go_on_for_as_long_as_nothing_is_lost() {
    let all = 0..4;
    let receipt = json!({"joint_state_stamps": "receipt"});
    let usual = json!({});
    let nan: fn(f64) -> Option<f64> = |_| Some(f64::NAN);
    let none: fn(f64) -> Option<f64> = |_| None;
    let driver = |every: i64| driver(ARM, all.clone(), every);
    let split = |arm: i64, hand: i64| vec![self::driver(ARM, 0..3, arm), self::driver(HAND, 3..4, hand)];
    for (what, drivers, set) in [
        ("100 Hz", vec![driver(10)], &usual),
        ("speeds that are NaN", vec![Driver { velocities: nan, ..driver(10) }], &usual),
        ("no speeds", vec![Driver { velocities: none, ..driver(10) }], &usual),
        ("NaN at 10 Hz", vec![Driver { velocities: nan, ..driver(100) }], &usual),
        ("no speeds, and noise", vec![Driver { velocities: none, noise: 0.0022, ..driver(10) }], &usual),
        ("NaN, and noise", vec![Driver { velocities: nan, noise: 0.0022, ..driver(20) }], &usual),
        ("20 Hz", vec![driver(50)], &usual),
        ("10 Hz", vec![driver(100)], &usual),
        ("8 Hz", vec![driver(125)], &usual),
        ("5 Hz", vec![driver(200)], &usual),
        ("a hand at 10 Hz", split(10, 100), &usual),
        ("a hand at 2 Hz", split(10, 500), &usual),
        ("an arm at 10 Hz beside a hand at 100 Hz", split(100, 10), &usual),
        ("both slow", split(100, 330), &usual),
        (
            "a hand whose speed is NaN",
            vec![self::driver(ARM, 0..3, 10), Driver { velocities: nan, ..self::driver(HAND, 3..4, 10) }],
            &usual,
        ),
        ("no stamps", vec![Driver { stamped: false, ..driver(10) }], &receipt),
        ("no stamps, NaN, 10 Hz", vec![Driver { stamped: false, velocities: nan, ..driver(100) }], &receipt),
    ] {
        let mut cell = Cell::new(&drivers, set);
        cell.run(12.0);
        assert_eq!(cell.phases, ["rests", "follows"], "{what}: {:?}", cell.graph.told);
        assert!(cell.chunks > 55, "{what}: {}", cell.chunks);
        assert_eq!(cell.graph.told["joint_states"].0, Level::Ok, "{what}: {}", cell.said("joint_states"));
    }
}

#[test]
fn what_cannot_be_allowed_for_is_told_with_the_parameter_to_set_and_nothing_begins() {
    let usual = json!({});
    for (what, driver, set, parameter) in [
        ("2 Hz", driver(ARM, 0..4, 500), &usual, "'max_joint_state_age' to 1.50"),
        ("1 Hz", driver(ARM, 0..4, 1000), &usual, "'max_joint_state_age' to 3.00"),
        (
            "10 Hz where it is forbidden",
            driver(ARM, 0..4, 100),
            &json!({"max_slow_joint_state_age": 0.0}),
            "'max_joint_state_age' to 0.30",
        ),
        ("no stamps", Driver { stamped: false, ..driver(ARM, 0..4, 10) }, &usual, "'joint_state_stamps' to 'receipt'"),
    ] {
        let mut cell = Cell::new(std::slice::from_ref(&driver), set);
        cell.run(8.0);
        let said = cell.said("joint_states");
        assert!(said.contains(parameter), "{what}: {said}");
        assert!(cell.said("motion").contains(parameter), "{what}: {}", cell.said("motion"));
        assert_eq!((cell.phases.as_slice(), cell.latched()), (&["rests".to_owned()][..], None), "{what}");
        if what == "2 Hz" || what == "1 Hz" {
            // As it says.
            let mut cell = Cell::new(&[driver], &json!({"max_joint_state_age": 3.0}));
            cell.run(12.0);
            assert_eq!(cell.phases, ["rests", "follows"], "{what}");
        }
    }
}

#[test]
fn a_gap_that_ends_by_itself_ends_with_the_next_chunk_and_one_that_lasts_or_comes_again_does_not() {
    let mut cell = Cell::new(&[driver(ARM, 0..4, 10)], &json!({}));
    cell.run(3.0);
    for nth in [1, 2] {
        cell.silent_until = cell.graph.now + 300 * MS;
        cell.run(0.2);
        let said = cell.said("motion");
        assert!(
            said.contains("joint_states are silent") && said.contains("next action chunk is followed"),
            "{nth}: {said}"
        );
        cell.run(2.0);
        assert_eq!(cell.phases.last().unwrap(), "follows", "{nth}");
    }
    assert_eq!(cell.latched(), None);
    // The third within ten seconds.
    cell.silent_until = cell.graph.now + 300 * MS;
    cell.run(3.0);
    assert_eq!(cell.latched(), Some(&StopReason::JointStateMissing));
    assert!(cell.said("motion").contains("~/resume"), "{}", cell.said("motion"));
    cell.publisher.resume(&mut cell.graph).unwrap();
    cell.run(11.0);
    assert_eq!(cell.phases.last().unwrap(), "follows");
    // One that lasts.
    cell.silent_until = cell.graph.now + 700 * MS;
    cell.run(3.0);
    assert_eq!(cell.phases.last().unwrap(), "latched");
}

#[test]
fn a_message_that_cannot_be_read_is_no_gap() {
    let mut cell = Cell::new(&[driver(ARM, 0..4, 10)], &json!({}));
    cell.run(3.0);
    let (names, now) = (JOINTS.map(str::to_owned), at(cell.graph.now));
    cell.publisher.on_joint_states(ARM, now.now, &names, &[0.0, f64::NAN, 0.3, 0.02], &[], now.received);
    cell.publisher.tick(&mut cell.graph, now).unwrap();
    cell.run(2.0);
    assert_eq!(cell.latched(), Some(&StopReason::JointStateInvalid));
    assert!(cell.said("motion").contains("~/resume"), "{}", cell.said("motion"));
    cell.publisher.resume(&mut cell.graph).unwrap();
    cell.run(2.0);
    assert_eq!(cell.phases.last().unwrap(), "follows");
}

#[test]
fn chunks_that_nobody_could_follow_stop_it_in_a_row_and_are_told_in_short_with_what_was_wrong() {
    let good = |now: At| Trajectory {
        stamp: now.now,
        joint_names: JOINTS.map(str::to_owned).to_vec(),
        points: (0..16)
            .map(|k| TrajectoryPoint {
                positions: HOME.to_vec(),
                time_from_start: 100 * MS * (k + 1),
                ..TrajectoryPoint::default()
            })
            .collect(),
        ..Trajectory::default()
    };
    type Spoil = fn(&mut Trajectory);
    let kinds: [(&str, Spoil, &str); 9] = [
        ("1e300", |c| c.points[3].positions[1] = 1e300, "1e300"),
        ("-f64::MAX", |c| c.points[3].positions[1] = -f64::MAX, "e308"),
        ("NaN", |c| c.points[3].positions[1] = f64::NAN, "NaN"),
        ("foreign names", |c| c.joint_names = (0..4).map(|k| format!("ur_joint{k}")).collect(), "'ur_joint0'"),
        ("a name of a million letters", |c| c.joint_names[2] = "x".repeat(1_000_000), "xxx..."),
        ("a joint twice", |c| c.joint_names[1] = c.joint_names[0].clone(), "'slide_x' is listed twice"),
        ("a position too few", |c| c.points[5].positions.truncate(3), "3 positions for 4 joints"),
        ("no points", |c| c.points.clear(), "no steps"),
        ("times that go back", |c| c.points[5].time_from_start = 0, "point 5"),
    ];
    for (what, spoil, why) in kinds {
        let mut cell = Cell::new(&[driver(ARM, 0..4, 10)], &json!({}));
        cell.run(1.01);
        assert_eq!(cell.phases, ["rests", "follows"], "{what}");
        for nth in 1..=3 {
            assert_eq!(cell.latched(), None, "{what}, before the {nth}.");
            let now = at(cell.graph.now);
            let mut chunk = good(now);
            spoil(&mut chunk);
            let refused = cell.publisher.on_chunk(&mut cell.graph, now, &chunk, POLICY).unwrap_err();
            let words = refused.text.to_string();
            assert!(words.len() < 300 && words.contains(why), "{what}: {words}");
            cell.run(0.02);
        }
        assert_eq!(cell.latched(), Some(&StopReason::BadChunks { count: 3 }), "{what}");
        cell.run(1.0);
        let said = cell.said("motion");
        assert!(
            said.contains("3 action chunks in a row") && said.contains(why) && said.contains("~/resume"),
            "{what}: {said}"
        );
        assert!(said.len() < 500, "{what}: {said}");
        cell.publisher.resume(&mut cell.graph).unwrap();
        cell.run(1.0);
        assert_eq!(cell.phases.last().unwrap(), "follows", "{what}");
    }
}

#[test]
fn a_hundred_thousand_names_take_no_time() {
    let mut cell = Cell::new(&[driver(ARM, 0..4, 10)], &json!({}));
    cell.run(1.0);
    let now = at(cell.graph.now);
    let chunk = Trajectory {
        stamp: now.now,
        joint_names: (0..100_000).map(|k| format!("joint_of_somebody_{k}")).collect(),
        points: Vec::new(),
        ..Trajectory::default()
    };
    let begun = std::time::Instant::now();
    assert!(cell.publisher.on_chunk(&mut cell.graph, now, &chunk, POLICY).is_err());
    assert!(begun.elapsed().as_secs_f64() < 5.0, "{:?}", begun.elapsed());
}

#[test]
fn what_is_told_of_a_stop_names_joints_and_not_their_places() {
    let mut cell = Cell::new(&[driver(ARM, 0..4, 10)], &json!({"max_tracking_error": 0.02}));
    cell.run(3.0);
    // The third joint is pushed off.
    for k in 0..20 {
        let (names, now) = (JOINTS.map(str::to_owned), cell.graph.now + k * 10 * MS);
        let mut positions = cell.graph.at;
        positions[2] += 0.004 * (k + 1) as f64;
        cell.publisher.on_joint_states(ARM, at(now).now, &names, &positions, &[], at(now).received);
        cell.graph.now = now;
        cell.publisher.tick(&mut cell.graph, at(now)).unwrap();
    }
    assert!(matches!(cell.latched(), Some(StopReason::Tracking { joint: 2, .. })), "{:?}", cell.latched());
    let now = at(cell.graph.now);
    let chunk = Trajectory { joint_names: JOINTS.map(str::to_owned).to_vec(), stamp: now.now, ..Trajectory::default() };
    let point = TrajectoryPoint { positions: HOME.to_vec(), time_from_start: 100 * MS, ..TrajectoryPoint::default() };
    let chunk = Trajectory { points: vec![point], ..chunk };
    let refused = cell.publisher.on_chunk(&mut cell.graph, now, &chunk, POLICY).unwrap_err();
    cell.publisher.every_tenth(&mut cell.graph, now).unwrap();
    let resumed = cell.publisher.resume(&mut cell.graph).unwrap();
    for words in [refused.text.to_string(), cell.said("motion"), resumed] {
        assert!(words.contains("'slide_z'") && !words.contains("joint 2"), "{words}");
    }
}
