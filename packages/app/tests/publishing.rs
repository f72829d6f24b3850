//! The publisher of trajectories whole, with a host that remembers what it was told: what comes to it, what it makes of that, and what is said of it.
#![allow(clippy::unwrap_used)]

#[path = "support/graph.rs"]
mod graph;
#[path = "support/scene_writer.rs"]
mod scene_writer;

#[path = "support/gantry.rs"]
mod gantry;

use efm_app::Failure;
use efm_app::cell::CellPlan;
use efm_app::publisher::emergency::KeptStop;
use efm_app::publisher::publishing::{At, Host, JOINT_STATES, Line, Publishing};
use efm_app::publisher::scene_feed::{Outcome, SceneFeed};
use efm_app::publisher::streaming::{Event, Files, Outlet, Streaming};
use efm_app::publisher::streaming_params;
use efm_config::Params;
use efm_core::{Level, Reason, SenderId, Stamp, Trajectory, TrajectoryPoint};
use efm_safety::{Execution, TaskLimits, VerifiedWindow, bounds};
use efm_schedule::{Mode, OnNewGoal};
use gantry::{JOINTS, MS, at};
use graph::{Graph, Said};
use scene_writer::{Object, Scene};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

const START: [f64; 4] = [0.0, 0.0, 0.3, 0.02];
const READY: [f64; 7] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4];
const POLICY: SenderId = SenderId([1; 16]);
const DRIVER: SenderId = SenderId([2; 16]);
const OTHER: SenderId = SenderId([3; 16]);
const BUTTON: SenderId = SenderId([4; 16]);
const DESCRIBER: SenderId = SenderId([5; 16]);
const SRDF: &str = r#"<robot name="gantry"><group name="x"><joint name="slide_x"/></group></robot>"#;

/// Every parameter that a test does not care for.
fn with(ours: &Value, theirs: &Value) -> BTreeMap<String, Value> {
    let mut all: BTreeMap<String, Value> = serde_json::from_value(ours.clone()).unwrap();
    for (name, value) in theirs.as_object().unwrap() {
        match value {
            Value::Null => drop(all.remove(name)),
            value => drop(all.insert(name.clone(), value.clone())),
        }
    }
    all
}

fn gantry_params(params: &Value) -> Params {
    let ours = json!({
        "joint_limits_file": "limits.yaml", "controllers.gantry": JOINTS, "gripper_joints": ["finger"],
        "check_collisions": false, "armed_at_start": true,
    });
    Params::from_json(streaming_params::specs(), &with(&ours, params)).unwrap()
}

/// One whose first joint is slower.
fn slower_gantry() -> String {
    gantry::urdf().replacen(r#"velocity="1.0""#, r#"velocity="0.5""#, 1)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

struct Rig {
    publisher: Publishing,
    graph: Graph,
    joints: Vec<String>,
    /// Who tells where the joints are.
    driver: SenderId,
    /// Whether joint states come.
    measured: bool,
    /// Joint states of others: who, which joint, where it is, and how old they are, ns.
    besides: Vec<(SenderId, &'static str, f64, i64)>,
    /// Somebody holds the robot here, whatever it is sent.
    held: Option<Vec<f64>>,
    outcomes: Option<UnboundedReceiver<Outcome>>,
    /// Where the robot was in each tick.
    track: Vec<Vec<f64>>,
    /// A joint of another driver, whose states are so many ticks old.
    slow: Option<(usize, usize)>,
}

impl Rig {
    fn of(streaming: Streaming, params: &Params, start: &[f64], kept: KeptStop, scenes: bool) -> Self {
        let (feed, outcomes) = if scenes { Some(SceneFeed::start()).unzip() } else { (None, None) };
        let listening = vec![true; streaming.controllers().len()];
        let graph = Graph { now: 1_000_000 * MS, start: start.to_vec(), listening, ..Graph::default() };
        let joints = streaming.joints().as_slice().to_vec();
        let publisher = Publishing::new(streaming, params, at(graph.now), kept, false, feed);
        let (driver, besides, held) = (DRIVER, Vec::new(), None);
        let (track, slow) = (Vec::new(), None);
        Self { publisher, graph, joints, driver, measured: true, besides, held, outcomes, track, slow }
    }

    /// The gantry before anybody described it.
    fn unknown(params: &Value, kept: KeptStop) -> Self {
        let params = gantry_params(params);
        let streaming = Streaming::new(&params, &gantry::files(gantry::LIMIT)).unwrap();
        Self::of(streaming, &params, &START, kept, false)
    }

    /// The gantry, which was seen for half a second.
    fn new(params: &Value) -> Self {
        Self::unknown(params, KeptStop::default()).seen()
    }

    /// The gantry, moving.
    fn moving(params: &Value) -> Self {
        let mut rig = Self::new(params);
        rig.go(50);
        assert_eq!(rig.code(), "following", "{:?}", rig.graph.line(Line::Motion));
        rig
    }

    /// A Panda whose hand is no controller's, before anybody described it.
    fn panda(scenes: bool) -> Self {
        let arm: Vec<String> = (1..=7).map(|i| format!("panda_joint{i}")).collect();
        let ours = json!({
            "joint_limits_file": "limits.yaml", "controllers.arm": arm, "armed_at_start": true,
            "obstacles_file": "cell.yaml",
        });
        let params = Params::from_json(streaming_params::specs(), &with(&ours, &json!({}))).unwrap();
        let files = Files {
            joint_limits: text("config/joint_limits.yaml"),
            obstacles: Some(text("config/panda_obstacles.yaml")),
            semantics: Some(text("urdf/panda.srdf")),
        };
        let streaming = Streaming::new(&params, &files).unwrap();
        Self::of(streaming, &params, &READY, KeptStop::default(), scenes)
    }

    fn seen(mut self) -> Self {
        self.describe(&gantry::urdf(), SenderId::UNKNOWN);
        self.wait(50);
        self
    }

    fn now(&self) -> At {
        at(self.graph.now)
    }

    fn describe(&mut self, urdf: &str, by: SenderId) {
        let now = self.now();
        self.publisher.on_description(&mut self.graph, now, urdf, by).unwrap();
    }

    fn explain(&mut self, srdf: &str, by: SenderId) {
        let now = self.now();
        self.publisher.on_semantics(&mut self.graph, now, srdf, by).unwrap();
    }

    fn hear(&mut self, sender: SenderId, names: &[String], positions: &[f64], age: i64) {
        let (stamp, received) = (Stamp::from_nanos(self.graph.now - age), self.now().received);
        let still = vec![0.0; positions.len()];
        self.publisher.on_joint_states(sender, stamp, names, positions, &still, received);
    }

    /// The next tick, 10 ms later. Whether anything was decided.
    fn step(&mut self) -> bool {
        self.graph.now += 10 * MS;
        if self.measured {
            let place = self.held.clone().unwrap_or_else(|| self.graph.place());
            self.track.push(place.clone());
            let (driver, mut joints, mut fresh) = (self.driver, self.joints.clone(), place);
            if let Some((joint, ticks)) = self.slow {
                let then = self.track[self.track.len().saturating_sub(1 + ticks)][joint];
                self.hear(OTHER, &[joints.remove(joint)], &[then], 10 * MS * i64::try_from(ticks).unwrap());
                fresh.remove(joint);
            }
            self.hear(driver, &joints, &fresh, 0);
        }
        for (sender, joint, position, age) in self.besides.clone() {
            self.hear(sender, &[joint.to_owned()], &[position], age);
        }
        let now = self.now();
        self.publisher.tick(&mut self.graph, now).unwrap()
    }

    fn tell(&mut self) {
        let now = self.now();
        self.publisher.every_tenth(&mut self.graph, now).unwrap();
    }

    /// So many ticks, with a report every tenth and at the end.
    fn wait(&mut self, ticks: usize) {
        for k in 0..ticks {
            self.step();
            if k % 10 == 9 || k + 1 == ticks {
                self.tell();
            }
        }
    }

    /// So many ticks with a chunk every tenth.
    fn go(&mut self, ticks: usize) {
        for k in 0..ticks {
            if k % 10 == 0 {
                let _ = self.chunk(POLICY);
            }
            self.wait(1);
        }
    }

    /// The motion goes on along the first joint.
    fn chunk(&mut self, sender: SenderId) -> Result<(), Reason> {
        let from = self.held.clone().unwrap_or_else(|| self.graph.place());
        self.chunk_from(sender, &from)
    }

    fn chunk_from(&mut self, sender: SenderId, from: &[f64]) -> Result<(), Reason> {
        let point = |k: i64| {
            let mut positions = from.to_vec();
            positions[0] += 0.1 * 0.02 * (k + 1) as f64;
            TrajectoryPoint { positions, time_from_start: 20 * MS * (k + 1), ..TrajectoryPoint::default() }
        };
        let chunk = Trajectory {
            stamp: Stamp::from_nanos(self.graph.now - 10 * MS),
            joint_names: self.joints.clone(),
            points: (0..50).map(point).collect(),
            ..Trajectory::default()
        };
        let now = self.now();
        self.publisher.on_chunk(&mut self.graph, now, &chunk, sender)
    }

    fn arm(&mut self, armed: bool) -> Result<String, Reason> {
        let now = self.now();
        self.publisher.arm(&mut self.graph, now, armed)
    }

    fn press(&mut self, stop: bool, sender: SenderId) {
        let now = self.now();
        self.publisher.on_emergency(&mut self.graph, now, stop, sender).unwrap();
    }

    fn instruct(&mut self, text: &str) {
        let now = self.now();
        self.publisher.on_instruction(&mut self.graph, now, text).unwrap();
    }

    fn goal(&mut self, controller: usize, active: bool) {
        let now = self.now();
        self.publisher.on_goal(&mut self.graph, now, controller, active).unwrap();
    }

    fn lower(&mut self, scale: f64) {
        let now = self.now();
        self.publisher.lower_speed_scale(&mut self.graph, now, scale);
    }

    fn scene(&mut self, scene: &Scene) {
        let now = self.now();
        self.publisher.on_scene(&mut self.graph, now, scene.to_cdr()).unwrap();
    }

    /// Takes over the next that the thread of the planning scene has made.
    fn put_together(&mut self) {
        let until = Instant::now() + Duration::from_secs(20);
        let outcome = loop {
            match self.outcomes.as_mut().unwrap().try_recv() {
                Ok(outcome) => break outcome,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let now = self.now();
        self.publisher.on_surroundings(&mut self.graph, now, outcome).unwrap();
        self.tell();
    }

    fn line(&self, line: Line) -> Said {
        self.graph.line(line).clone()
    }

    fn code(&self) -> String {
        self.value("code")
    }

    fn words(&self) -> String {
        self.line(Line::Motion).1
    }

    fn value(&self, name: &str) -> String {
        self.line(Line::Motion).2.get(name).cloned().unwrap_or_default()
    }
}

fn kept_in(path: &Path) -> KeptStop {
    KeptStop::new(path.to_str().unwrap(), "/arm", |_| None)
}

// ---- motion, and what is told of it

#[test]
fn what_is_decided_goes_to_the_host_and_what_is_over_is_told_once() {
    let mut rig = Rig::new(&json!({}));
    assert_eq!((rig.graph.sent, rig.graph.told, rig.graph.rested), (0, 0, 0));
    rig.go(30);
    assert!(rig.graph.sent > 20 && rig.graph.told == rig.graph.sent && rig.graph.rested == 0);
    assert!(rig.graph.place()[0] > 0.01);
    // The chunk comes to its end.
    rig.wait(200);
    assert_eq!(rig.graph.rested, 1);
    let sent = rig.graph.sent;
    rig.wait(20);
    assert_eq!((rig.graph.sent, rig.graph.rested), (sent, 1));
}

#[test]
fn a_change_of_what_the_arm_does_is_told_in_its_tick_and_nothing_is_told_in_others() {
    let mut rig = Rig::new(&json!({}));
    rig.chunk(POLICY).unwrap();
    let (mut changes, mut idle) = (0, 0);
    for _ in 0..40 {
        let (phase, reports) = (rig.publisher.phase().clone(), rig.graph.reports());
        rig.step();
        let changed = !rig.publisher.phase().is_like(&phase);
        assert_eq!(rig.graph.reports() - reports, usize::from(changed), "{phase:?}, {:?}", rig.publisher.phase());
        if changed { changes += 1 } else { idle += 1 }
    }
    assert!(changes >= 1 && idle >= 30);
}

#[test]
fn chunks_are_counted_and_each_that_is_followed_has_a_latency() {
    let mut rig = Rig::new(&json!({}));
    rig.go(40);
    let value = |rig: &Rig, name: &str| rig.value(name);
    assert_eq!((value(&rig, "chunks taken"), value(&rig, "chunks refused")), ("4".to_owned(), "0".to_owned()));
    assert_eq!(value(&rig, "observation to command count"), "4");
    assert_eq!(value(&rig, "armed"), "true");
    rig.arm(false).unwrap();
    assert!(rig.chunk(POLICY).is_err() && rig.chunk(POLICY).is_err());
    rig.wait(1);
    assert_eq!((value(&rig, "chunks taken"), value(&rig, "chunks refused")), ("4".to_owned(), "2".to_owned()));
    assert_eq!(value(&rig, "last refusal code"), "disarmed");
    assert_eq!(value(&rig, "armed"), "false");
}

#[test]
fn windows_that_would_leave_too_late_are_counted_told_once_and_not_taken_for_sent() {
    let mut rig = Rig::moving(&json!({}));
    let (told, place) = (rig.graph.told, rig.graph.place()[0]);
    for _ in 0..3 {
        rig.graph.late = Some(0);
        assert!(!rig.step(), "nothing was decided");
    }
    assert_eq!((rig.graph.count("not_sent"), rig.graph.told), (3, told));
    rig.tell();
    assert_eq!(rig.value("held back, too late to send"), "3");
    let (level, text, _) = rig.line(Line::Motion);
    assert!(level >= Level::Warn && text.contains("3 windows"), "{text}");
    rig.tell();
    assert!(!rig.words().contains("windows"), "{}", rig.words());
    assert_eq!(rig.value("held back, too late to send"), "3");
    rig.go(30);
    assert_eq!(rig.code(), "following");
    assert!(rig.graph.place()[0] > place);
}

#[test]
fn who_looks_for_tracking_finds_each_joint_but_those_of_the_gripper() {
    let rig = Rig::moving(&json!({}));
    let tracking = rig.value("may be off its command by");
    for joint in &JOINTS[..3] {
        assert!(tracking.contains(joint), "{tracking}");
    }
    assert!(!tracking.contains("finger"), "{tracking}");
    let filter = rig.graph.filter.clone().unwrap();
    let value = |name: &str| filter.position[filter.name.iter().position(|known| known == name).unwrap()];
    assert_eq!((value("armed"), value("controllers"), value("speed_scale")), (1.0, 1.0, 1.0));
    assert!(value("joint_state_age_s") < 0.011 && value("chunk_age_s") < 0.12);
}

#[test]
fn a_clock_that_stands_still_is_told_beyond_a_second() {
    let mut rig = Rig::moving(&json!({}));
    for (silence, code) in [(0.5, "following"), (1.0, "following"), (1.1, "clock_silent")] {
        rig.graph.clock_silence = Some(silence);
        rig.tell();
        assert_eq!(rig.code(), code, "{silence}");
    }
    assert_eq!(rig.line(Line::Motion).0, Level::Error);
}

// ---- emergency stop

#[test]
fn an_emergency_stop_by_topic_stops_at_once_and_says_who_it_was_until_it_is_armed_again() {
    let mut rig = Rig::moving(&json!({}));
    rig.graph.nodes.insert(BUTTON, "/button".to_owned());
    rig.graph.publishers = vec!["/button".to_owned(), "/door".to_owned()];
    rig.press(false, BUTTON);
    assert_eq!(rig.graph.count("emergency_stop"), 0, "it is only a sign of life");
    rig.press(true, BUTTON);
    let (level, text, values) = rig.line(Line::EmergencyStop);
    assert!(level == Level::Error && text.contains("node '/button'") && text.contains("/door"), "{text}");
    assert_eq!(values["publishers"], "2");
    let sent = rig.graph.sent;
    rig.wait(20);
    assert_eq!((rig.code().as_str(), rig.graph.sent), ("emergency_stop", sent));
    assert!(rig.words().contains("node '/button'"), "{}", rig.words());
    assert_eq!(rig.value("armed"), "false");
    assert!(rig.chunk(POLICY).is_err());
    // It says so as long as it is pressed: once is enough, and who was first is told.
    rig.press(true, OTHER);
    rig.wait(10);
    assert_eq!(rig.graph.count("emergency_stop"), 1);
    assert!(rig.line(Line::EmergencyStop).1.contains("node '/button'"));
    rig.arm(true).unwrap();
    rig.wait(10);
    assert_eq!(rig.line(Line::EmergencyStop).0, Level::Ok);
    rig.go(60);
    assert_eq!(rig.code(), "following", "{}", rig.words());
}

#[test]
fn an_emergency_stop_is_heard_while_disarmed_too() {
    let mut rig = Rig::new(&json!({"armed_at_start": false}));
    rig.press(true, BUTTON);
    rig.wait(1);
    assert_eq!((rig.graph.count("emergency_stop"), rig.code().as_str()), (1, "emergency_stop"));
    assert!(rig.publisher.streaming().is_emergency());
}

#[test]
fn an_emergency_stop_by_service_says_why_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stop");
    let mut rig = Rig::unknown(&json!({}), kept_in(&path)).seen();
    rig.go(30);
    let (level, text, values) = rig.line(Line::EmergencyStop);
    assert!(level == Level::Ok && text.contains("nobody publishes"), "{text}");
    assert_eq!(values["kept in"], path.display().to_string());
    let now = rig.now();
    rig.publisher.emergency(&mut rig.graph, now, "the fence is open").unwrap();
    assert!(rig.line(Line::EmergencyStop).1.contains("the fence is open"));
    assert!(std::fs::read_to_string(&path).unwrap().contains("the fence is open"));
    let sent = rig.graph.sent;
    rig.wait(10);
    assert_eq!((rig.code().as_str(), rig.graph.sent), ("emergency_stop", sent));
    rig.arm(true).unwrap();
    assert!(!path.exists());
}

#[test]
fn an_emergency_stop_from_before_a_restart_holds_and_one_that_was_not_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stop");
    kept_in(&path).keep("the fence was open");
    let mut rig = Rig::unknown(&json!({}), kept_in(&path));
    rig.publisher.emergency_from_before(&mut rig.graph).unwrap();
    let mut rig = rig.seen();
    assert_eq!((rig.code().as_str(), rig.value("armed").as_str()), ("emergency_stop", "false"));
    assert!(rig.words().contains("the fence was open"), "{}", rig.words());
    assert!(rig.chunk(POLICY).is_err());
    rig.arm(true).unwrap();
    let mut rig = Rig::unknown(&json!({}), kept_in(&path));
    rig.publisher.emergency_from_before(&mut rig.graph).unwrap();
    let rig = rig.seen();
    assert_eq!((rig.graph.count("emergency_stop"), rig.value("armed").as_str()), (0, "true"));
}

#[test]
fn a_stop_that_cannot_be_kept_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::unknown(&json!({}), kept_in(folder.path())).seen();
    let (level, text, _) = rig.line(Line::EmergencyStop);
    assert!(level == Level::Warn && text.contains("emergency_stop_file"), "{text}");
}

#[test]
fn without_its_heartbeat_the_arm_stops_and_cannot_be_armed() {
    let mut rig = Rig::new(&json!({"emergency_stop_heartbeat": 0.5, "armed_at_start": false}));
    assert_eq!(rig.arm(true).unwrap_err().code, "heartbeat_silent");
    assert_eq!(rig.line(Line::EmergencyStop).0, Level::Error);
    rig.press(false, BUTTON);
    rig.arm(true).unwrap();
    for _ in 0..6 {
        rig.press(false, BUTTON);
        rig.go(20);
    }
    assert_eq!((rig.code().as_str(), rig.graph.count("emergency_stop")), ("following", 0));
    rig.go(29);
    assert_eq!(rig.graph.count("emergency_stop"), 0, "not yet half a second");
    rig.go(10);
    assert_eq!(rig.graph.count("emergency_stop"), 1);
    assert!(rig.words().contains("emergency_stop is silent"), "{}", rig.words());
    // While disarmed nothing is stopped for it.
    rig.wait(60);
    assert_eq!(rig.graph.count("emergency_stop"), 1);
}

// ---- who is whom

#[test]
fn who_pressed_is_named_as_soon_as_its_node_is_known() {
    let mut rig = Rig::moving(&json!({}));
    rig.press(true, BUTTON);
    rig.tell();
    assert!(rig.line(Line::EmergencyStop).1.contains(&format!("publisher {BUTTON}")));
    rig.graph.nodes.insert(BUTTON, "/button".to_owned());
    rig.tell();
    rig.wait(1);
    assert!(rig.line(Line::EmergencyStop).1.contains("node '/button'"));
    assert!(rig.words().contains("node '/button'") && !rig.words().contains("publisher"), "{}", rig.words());
    rig.graph.asked.set(0);
    rig.tell();
    assert_eq!(rig.graph.asked.get(), 0, "it is known now");
}

#[test]
fn who_is_known_is_not_looked_for_again_and_of_many_strangers_a_few_are() {
    let mut rig = Rig::new(&json!({}));
    rig.graph.nodes.insert(BUTTON, "/button".to_owned());
    rig.press(true, BUTTON);
    rig.press(true, SenderId::UNKNOWN);
    rig.arm(true).unwrap();
    rig.press(true, SenderId::UNKNOWN);
    rig.graph.asked.set(0);
    rig.tell();
    assert_eq!(rig.graph.asked.get(), 0);
    for k in 100..140 {
        rig.arm(true).unwrap();
        rig.press(true, SenderId([k; 16]));
    }
    rig.graph.asked.set(0);
    rig.tell();
    assert_eq!(rig.graph.asked.get(), 16);
}

#[test]
fn two_that_tell_of_one_joint_are_named_at_once_or_later() {
    let mut rig = Rig::moving(&json!({}));
    rig.graph.nodes.insert(DRIVER, "/driver".to_owned());
    rig.besides = vec![(OTHER, "slide_x", -0.4, 0)];
    rig.go(50);
    let (level, text, _) = rig.line(Line::Motion);
    assert!(level == Level::Error && text.contains("slide_x"), "{text}");
    assert!(text.contains("node '/driver'") && text.contains(&format!("publisher {OTHER}")), "{text}");
    assert_eq!(rig.code(), "joint_state_two_senders", "{text}");
    rig.graph.nodes.insert(OTHER, "/ghost".to_owned());
    rig.wait(2);
    let text = rig.words();
    assert!(text.contains("node '/driver'") && text.contains("node '/ghost'"), "{text}");
}

#[test]
fn two_that_agree_are_told_of_too() {
    let mut rig = Rig::new(&json!({}));
    rig.graph.nodes.insert(DRIVER, "/driver".to_owned());
    rig.besides = vec![(OTHER, "slide_x", 0.0, 0)];
    rig.wait(50);
    let (level, text, _) = rig.line(Line::JointStates);
    assert!(level == Level::Warn && text.contains("node '/driver'") && text.contains("'slide_x'"), "{text}");
}

#[test]
fn a_host_that_knows_nobody_is_served_all_the_same() {
    /// What every host has to know, and no more.
    #[derive(Default)]
    struct Plain(Vec<(Line, Level, String, String)>);
    impl Outlet for Plain {
        fn send(&mut self, windows: &[VerifiedWindow], _: Stamp) -> Result<usize, Failure> {
            Ok(windows.len())
        }
        fn tell(&mut self, _: &Execution, _: &[VerifiedWindow]) -> Result<(), Failure> {
            Ok(())
        }
        fn rest(&mut self) -> Result<(), Failure> {
            Ok(())
        }
    }
    impl Host for Plain {
        fn at(&self) -> At {
            at(1_000_000 * MS)
        }
        fn note(&mut self, _: &Event<'_>) {}
        fn listening(&self, listening: &mut Vec<bool>) {
            listening.clear();
            listening.push(true);
        }
        fn report(&mut self, line: Line, level: Level, text: String, values: Vec<(String, String)>) {
            let publishers = values.into_iter().find(|(name, _)| name == "publishers").unwrap_or_default().1;
            self.0.push((line, level, text, publishers));
        }
    }
    let mut rig = Rig::new(&json!({}));
    let mut plain = Plain::default();
    let now = rig.now();
    rig.publisher.tick(&mut plain, now).unwrap();
    rig.publisher.every_tenth(&mut plain, now).unwrap();
    let said = |plain: &Plain, line: Line| plain.0.iter().rev().find(|said| said.0 == line).unwrap().clone();
    let (_, level, text, publishers) = said(&plain, Line::EmergencyStop);
    assert_eq!((level, publishers.as_str()), (Level::Ok, "0"));
    assert!(text.contains("nobody publishes"), "{text}");
    // The sender of chunks that is held to may be there.
    rig.chunk(POLICY).unwrap();
    rig.graph.now += 1_200 * MS;
    rig.chunk(POLICY).unwrap();
    rig.graph.now += 1_500 * MS;
    let now = rig.now();
    rig.publisher.every_tenth(&mut plain, now).unwrap();
    let point = TrajectoryPoint { positions: START.to_vec(), time_from_start: 20 * MS, ..TrajectoryPoint::default() };
    let chunk =
        Trajectory { stamp: now.now, joint_names: rig.joints.clone(), points: vec![point; 1], ..Trajectory::default() };
    let refused = rig.publisher.on_chunk(&mut plain, now, &chunk, OTHER).unwrap_err();
    assert_eq!(refused.code, "chunk_of_another_sender");
    assert!(refused.text.contains(&POLICY.to_string()) && refused.text.contains(&OTHER.to_string()), "{refused}");
    // Who pressed cannot be named better than by what it is.
    rig.publisher.on_emergency(&mut plain, now, true, BUTTON).unwrap();
    rig.publisher.every_tenth(&mut plain, now).unwrap();
    let (_, _, text, _) = said(&plain, Line::EmergencyStop);
    assert!(text.contains(&BUTTON.to_string()), "{text}");
}

// ---- others

#[test]
fn others_that_command_stop_the_arm_and_are_told() {
    let mut rig = Rig::moving(&json!({}));
    assert_eq!(rig.graph.heeded.last(), Some(&true), "each of them matters now");
    rig.graph.others.push_back((0, "node '/teach' sends to gantry/joint_trajectory".to_owned()));
    rig.go(60);
    assert_eq!(rig.graph.count("other_commands"), 1);
    assert_eq!(rig.code(), "controller_contested", "{}", rig.words());
    assert!(rig.words().contains("node '/teach'"), "{}", rig.words());
    assert_eq!(rig.graph.heeded.last(), Some(&false), "it is stopped already");
    let now = rig.now();
    assert!(rig.publisher.resume(&mut rig.graph).unwrap().contains("resumed"));
    assert_eq!(rig.now(), now);
    rig.wait(100);
    rig.go(50);
    assert_eq!(rig.code(), "following", "{}", rig.words());
    rig.arm(false).unwrap();
    rig.wait(1);
    assert_eq!(rig.graph.heeded.last(), Some(&false), "disarmed, anybody may");
}

#[test]
fn a_stop_says_so_and_ends_by_resume_only() {
    let mut rig = Rig::moving(&json!({}));
    let now = rig.now();
    assert!(rig.publisher.stop(&mut rig.graph, now).unwrap().contains("~/resume"));
    rig.go(60);
    assert_eq!(rig.code(), "stop_requested");
    assert!(rig.publisher.resume(&mut rig.graph).unwrap().contains("before:"));
    rig.go(60);
    assert_eq!(rig.code(), "following", "{}", rig.words());
    let mut unknown = Rig::unknown(&json!({}), KeptStop::default());
    assert_eq!(unknown.publisher.resume(&mut unknown.graph).unwrap_err().code, "no_robot_description");
}

#[test]
fn a_goal_of_somebody_else_has_the_arm_until_it_ends() {
    let two = json!({"controllers.gantry": null, "controllers.arm": JOINTS[..3], "controllers.hand": JOINTS[3..]});
    let mut rig = Rig::moving(&two);
    // That nothing runs is no news.
    rig.goal(0, false);
    rig.go(30);
    assert_eq!(rig.code(), "following");
    rig.goal(0, true);
    assert!(rig.publisher.streaming().is_owned());
    rig.go(30);
    assert_eq!(rig.code(), "goal_of_another", "{}", rig.words());
    assert!(rig.words().contains("arm/follow_joint_trajectory"), "{}", rig.words());
    let sent = rig.graph.sent;
    rig.goal(1, true);
    rig.goal(0, false);
    rig.go(30);
    assert_eq!((rig.code().as_str(), rig.graph.sent), ("goal_of_another", sent), "the other one's goes on");
    assert_eq!(rig.chunk(POLICY).unwrap_err().code, "goal_of_another");
    rig.goal(1, false);
    assert!(!rig.publisher.streaming().is_owned());
    rig.go(60);
    assert_eq!(rig.code(), "following", "{}", rig.words());
}

#[test]
fn a_goal_that_ends_while_disarmed_does_not_arm() {
    let mut rig = Rig::new(&json!({"armed_at_start": false}));
    rig.goal(0, true);
    rig.goal(0, false);
    rig.go(20);
    assert_eq!(rig.code(), "disarmed");
}

#[test]
fn a_controller_that_has_gone_is_told_by_its_name_and_nothing_moves() {
    let mut rig = Rig::moving(&json!({}));
    let listeners = rig.graph.count("listeners");
    rig.graph.listening = vec![false];
    rig.go(60);
    assert_eq!(rig.graph.count("listeners"), listeners + 1, "once");
    assert_eq!(rig.code(), "controller_missing", "{}", rig.words());
    assert!(rig.words().contains("'gantry/joint_trajectory'"), "{}", rig.words());
    assert_eq!(rig.graph.filter.as_ref().unwrap().position[9], 0.0);
    assert!(rig.chunk(POLICY).is_err());
    rig.graph.listening = vec![true];
    rig.publisher.resume(&mut rig.graph).unwrap();
    rig.go(80);
    assert_eq!(rig.code(), "following", "{}", rig.words());
}

// ---- whose chunks

#[test]
fn another_sender_of_chunks_is_refused_by_name_until_the_first_is_silent_or_gone() {
    let mut rig = Rig::new(&json!({}));
    for _ in 0..4 {
        rig.chunk(POLICY).unwrap();
        rig.wait(60);
    }
    rig.chunk(POLICY).unwrap();
    let refused = rig.chunk(OTHER).unwrap_err();
    assert_eq!(refused.code, "chunk_of_another_sender");
    assert!(refused.text.contains(&POLICY.to_string()) && refused.text.contains(&OTHER.to_string()), "{refused}");
    rig.wait(1);
    assert_eq!(rig.value("last refusal code"), "chunk_of_another_sender");
    // One that is not on the graph, but spoke within a second.
    rig.graph.policy_is_gone = true;
    rig.wait(99);
    assert_eq!((rig.graph.count("chunk_sender_gone"), rig.chunk(OTHER).is_err()), (0, true));
    rig.graph.policy_is_gone = false;
    rig.wait(20);
    assert_eq!((rig.graph.count("chunk_sender_gone"), rig.chunk(OTHER).is_err()), (0, true), "it is slow");
    rig.graph.policy_is_gone = true;
    rig.wait(10);
    assert_eq!(rig.graph.count("chunk_sender_gone"), 1);
    rig.chunk(OTHER).unwrap();
}

#[test]
fn after_two_chunks_a_slow_sender_is_given_three_of_its_intervals() {
    let mut rig = Rig::new(&json!({}));
    rig.chunk(POLICY).unwrap();
    rig.wait(90);
    rig.chunk(POLICY).unwrap();
    rig.wait(250);
    assert_eq!(rig.chunk(OTHER).unwrap_err().code, "chunk_of_another_sender");
    rig.wait(30);
    rig.chunk(OTHER).unwrap();
}

#[test]
fn a_sender_that_nobody_can_tell_is_never_taken_for_gone() {
    let mut rig = Rig::new(&json!({}));
    rig.chunk(SenderId::UNKNOWN).unwrap();
    rig.graph.policy_is_gone = true;
    rig.wait(150);
    assert_eq!(rig.graph.count("chunk_sender_gone"), 0);
}

#[test]
fn a_refusal_of_ones_own_chunk_says_what_is_wrong_with_it() {
    let mut rig = Rig::moving(&json!({}));
    rig.graph.now -= 5_000 * MS;
    let old = rig.chunk(POLICY).unwrap_err();
    assert_ne!(old.code, "chunk_of_another_sender", "{old}");
}

// ---- speed scale, instruction

#[test]
fn the_topic_lowers_the_speed_and_never_raises_it() {
    let mut rig = Rig::new(&json!({}));
    rig.lower(0.5);
    assert_eq!((rig.graph.speed_scales.as_slice(), rig.publisher.streaming().speed_scale()), (&[0.5][..], 0.5));
    for (value, traced) in [(0.8, 2), (0.5, 3), (f64::NAN, 4), (2.0, 5), (-1.0, 6)] {
        rig.lower(value);
        assert_eq!((rig.graph.speed_scales.len(), rig.publisher.streaming().speed_scale()), (1, 0.5), "{value}");
        assert_eq!(rig.graph.count("lower_speed_scale"), traced);
    }
    rig.wait(1);
    assert_eq!(rig.value("speed scale"), "0.50");
    // What was lowered stays so with another robot.
    rig.arm(false).unwrap();
    rig.describe(&slower_gantry(), DESCRIBER);
    rig.wait(1);
    assert_eq!(rig.value("speed scale"), "0.50");
    rig.publisher.set_speed_scale(&mut rig.graph, 0.75).unwrap();
    rig.wait(1);
    assert_eq!(rig.value("speed scale"), "0.75");
    assert!(rig.publisher.set_speed_scale(&mut rig.graph, 1.5).is_err());
    rig.lower(0.0);
    rig.arm(true).unwrap();
    rig.go(60);
    assert_eq!(rig.graph.speed_scales, [0.5, 0.0]);
    let (level, text, _) = rig.line(Line::Motion);
    assert!(level == Level::Warn && text.contains("speed_scale"), "{text}");
    assert_eq!(rig.code(), "following_slowly", "{text}");
}

#[test]
fn a_task_has_its_limits_as_long_as_it_is_asked_for() {
    let mut rig = Rig::new(&json!({"task_limits.careful": ["pour", "speed_scale=0.0"]}));
    rig.instruct("Pour the water");
    rig.go(60);
    assert_eq!(rig.code(), "following_slowly", "{}", rig.words());
    assert!(rig.words().contains("task_limits"), "{}", rig.words());
    assert_eq!(rig.graph.place()[0], 0.0);
    // Over once a chunk for the next one is followed.
    rig.instruct("push the cup");
    rig.go(60);
    assert_eq!(rig.code(), "following", "{}", rig.words());
    assert!(rig.graph.place()[0] > 0.0);
    // The same once more is nothing new.
    rig.instruct("push the cup");
    rig.go(20);
    assert_eq!(rig.code(), "following");
}

#[test]
fn without_a_goal_it_comes_to_rest_and_the_next_ones_time_to_motion_is_told() {
    let mut rig = Rig::new(&json!({}));
    rig.instruct("push the cup");
    rig.go(60);
    assert_eq!(rig.graph.instruction_followed.len(), 1);
    assert!((0.0..0.2).contains(&rig.graph.instruction_followed[0]), "{:?}", rig.graph.instruction_followed);
    rig.instruct("");
    rig.go(60);
    assert_eq!(rig.code(), "no_goal", "{}", rig.words());
    let place = rig.graph.place();
    rig.go(20);
    assert_eq!(rig.graph.place(), place);
    rig.instruct("push it back");
    rig.go(60);
    assert_eq!((rig.code().as_str(), rig.graph.instruction_followed.len()), ("following", 2));
    let told = rig.line(Line::Motion).2;
    assert!(told.keys().any(|name| name.starts_with("instruction to motion")), "{told:?}");
}

#[test]
fn a_new_goal_stops_first_where_that_is_asked_for() {
    let mut rig = Rig::new(&json!({"on_new_goal": "stop_first"}));
    rig.instruct("push the cup");
    rig.go(60);
    rig.instruct("push the cup");
    rig.step();
    rig.tell();
    assert_eq!(rig.code(), "following", "it is the same goal");
    rig.instruct("push the can");
    rig.step();
    rig.tell();
    assert_ne!(rig.code(), "following");
    rig.go(60);
    assert_eq!(rig.code(), "following", "{}", rig.words());
}

// ---- joint states

#[test]
fn joint_states_that_are_lost_are_told_in_their_tick_even_at_rest() {
    let mut rig = Rig::new(&json!({"armed_at_start": false}));
    assert_eq!(rig.line(Line::JointStates).0, Level::Ok);
    rig.measured = false;
    let mut ticks = 0;
    while rig.line(Line::JointStates).0 == Level::Ok {
        rig.step();
        ticks += 1;
        assert!(ticks < 30, "nobody says it");
    }
    assert!(rig.line(Line::JointStates).1.contains("silent"));
    let reports = rig.graph.reports();
    for _ in 0..10 {
        rig.step();
    }
    assert_eq!(rig.graph.reports(), reports, "it is told");
    rig.measured = true;
    for _ in 0..30 {
        rig.step();
    }
    assert_eq!((rig.line(Line::JointStates).0, rig.graph.reports()), (Level::Ok, reports + 1));
}

#[test]
fn the_first_word_of_what_was_lost_is_kept_until_it_moves_again() {
    let mut rig = Rig::moving(&json!({}));
    // First one joint, then all.
    let joints = rig.joints.clone();
    rig.joints.remove(1);
    rig.driver = OTHER;
    rig.measured = false;
    for _ in 0..15 {
        let place = rig.graph.place();
        rig.hear(
            DRIVER,
            &[joints[0].clone(), joints[2].clone(), joints[3].clone()],
            &[place[0], place[2], place[3]],
            0,
        );
        rig.step();
    }
    rig.wait(150);
    (rig.joints, rig.driver, rig.measured) = (joints, DRIVER, true);
    rig.wait(30);
    let first = rig.words();
    assert!(first.contains("slide_y"), "{first}");
    rig.publisher.resume(&mut rig.graph).unwrap();
    rig.go(80);
    assert_eq!(rig.code(), "following", "{}", rig.words());
    // The next time it is something else.
    rig.measured = false;
    rig.wait(150);
    rig.measured = true;
    rig.wait(30);
    let second = rig.words();
    assert!(!second.contains("slide_y") && second.contains("silent"), "{second}");
}

#[test]
fn stamps_and_sources_are_traced_where_joints_come_from_more_than_one() {
    let mut rig = Rig::new(&json!({}));
    let traced = |rig: &Rig| rig.graph.newest("tick")["joints"].clone();
    assert!(traced(&rig).get("stamps").is_none() && traced(&rig).get("sources").is_none(), "{}", traced(&rig));
    // The finger has a driver of its own, which is a little later.
    let joints = std::mem::take(&mut rig.joints);
    rig.joints = joints[..3].to_vec();
    rig.graph.start.truncate(3);
    rig.besides = vec![(OTHER, "finger", 0.02, 4 * MS)];
    rig.wait(40);
    let joints = traced(&rig);
    assert_eq!(joints["stamps"].as_array().unwrap().len(), 4, "{joints}");
    let sources = joints["sources"].as_array().unwrap();
    assert!(sources[0] == sources[2] && sources[2] != sources[3], "{joints}");
    rig.besides = vec![(OTHER, "finger", 0.02, 0)];
    rig.wait(20);
    let joints = traced(&rig);
    assert!(joints.get("stamps").is_none() && joints.get("sources").is_some(), "{joints}");
}

#[test]
fn a_joint_that_is_told_late_is_compared_with_where_it_was_to_be_then() {
    let mut rig = Rig::new(&json!({"max_tracking_error": 0.003}));
    rig.slow = Some((0, 6));
    rig.go(150);
    assert_eq!(rig.code(), "following", "{}", rig.words());
    assert!(rig.graph.place()[0] > 0.08);
}

#[test]
fn a_driver_that_repeats_itself_is_not_believed_because_another_one_lives() {
    let mut rig = Rig::new(&json!({}));
    rig.slow = Some((3, 0));
    rig.go(50);
    assert_eq!(rig.code(), "following", "{}", rig.words());
    rig.held = Some(rig.graph.place());
    for _ in 0..15 {
        // What it proposes does not depend on what is told.
        let from = rig.graph.place();
        let _ = rig.chunk_from(POLICY, &from);
        rig.wait(10);
    }
    assert_eq!(rig.code(), "joint_state_frozen", "{}", rig.words());
    rig.publisher.resume(&mut rig.graph).unwrap();
    let sent = rig.graph.sent;
    for k in 0..60 {
        // Only the hand moves a little.
        rig.held.as_mut().unwrap()[3] = 0.02 + 1e-4 * f64::from(k % 2);
        rig.go(1);
    }
    assert_eq!((rig.code().as_str(), rig.graph.sent), ("joint_state_frozen", sent), "{}", rig.words());
}

#[test]
fn a_jump_that_the_joint_cannot_do_is_found() {
    let mut rig = Rig::moving(&json!({}));
    let mut place = rig.graph.place();
    place[1] += 0.1;
    rig.held = Some(place);
    rig.step();
    rig.tell();
    assert!(rig.words().contains("slide_y"), "{}", rig.words());
    assert!(!rig.graph.newest("tick")["joints"]["contradiction"].is_null());
}

#[test]
fn armed_anew_it_begins_where_it_was_put_and_armed_all_the_time_it_does_not() {
    let mut rig = Rig::moving(&json!({}));
    rig.wait(200);
    rig.arm(false).unwrap();
    rig.wait(20);
    let mut place = rig.graph.place();
    place[1] += 0.15;
    let put = |rig: &mut Rig, place: &[f64]| {
        // Carried there slowly, then left alone.
        let from = rig.held.clone().unwrap_or_else(|| rig.graph.place());
        for k in 1..=100 {
            let share = f64::from(k) / 100.0;
            rig.held = Some(from.iter().zip(place).map(|(a, b)| a + share * (b - a)).collect());
            rig.wait(1);
        }
        rig.wait(100);
    };
    put(&mut rig, &place);
    rig.arm(true).unwrap();
    rig.chunk(POLICY).unwrap();
    rig.wait(1);
    rig.held = None;
    rig.go(40);
    assert_eq!(rig.code(), "following", "{}", rig.words());
    // Now it is moved while armed.
    rig.wait(200);
    place[1] -= 0.15;
    put(&mut rig, &place);
    rig.arm(true).unwrap();
    // Nor is it news that nobody's goal runs.
    rig.goal(0, false);
    rig.go(30);
    assert_ne!(rig.code(), "following", "{}", rig.words());
}

// ---- descriptions

#[test]
fn who_described_the_robot_is_told_where_it_is_another_one() {
    let mut rig = Rig::unknown(&json!({}), KeptStop::default());
    rig.tell();
    let (level, text, _) = rig.line(Line::RobotDescription);
    assert!(level == Level::Warn && text.contains("no robot_description yet"), "{text}");
    let mut rig = rig.seen();
    let (level, text, _) = rig.line(Line::RobotDescription);
    assert!(level == Level::Ok && text.contains("4 of them moved"), "{text}");
    rig.describe(&gantry::urdf(), OTHER);
    assert_eq!(rig.graph.count("description"), 1, "the same once more");
    // To arm it again makes no other robot of it.
    rig.arm(true).unwrap();
    rig.arm(false).unwrap();
    rig.arm(true).unwrap();
    rig.wait(1);
    assert_eq!(rig.line(Line::RobotDescription).0, Level::Ok);
}

#[test]
fn another_description_waits_while_armed_and_in_motion_and_is_told_then() {
    let mut rig = Rig::moving(&json!({}));
    rig.graph.nodes.insert(DESCRIBER, "/describer".to_owned());
    rig.describe(&slower_gantry(), DESCRIBER);
    rig.go(20);
    let (level, text, _) = rig.line(Line::RobotDescription);
    assert!(level == Level::Warn && text.contains("robot_description of node '/describer'"), "{text}");
    assert!(text.contains("disarmed and at rest"), "{text}");
    assert_eq!(rig.publisher.streaming().description_waits(), (true, false));
    // It comes to rest first.
    rig.arm(false).unwrap();
    assert_eq!(rig.publisher.streaming().description_waits(), (true, false));
    rig.wait(60);
    assert_eq!(rig.publisher.streaming().description_waits(), (false, false));
    let (level, text, _) = rig.line(Line::RobotDescription);
    assert!(level == Level::Warn && text.contains("described by node '/describer'"), "{text}");
    assert!(text.contains("'slide_x'") && !text.contains("not taken"), "{text}");
    rig.arm(true).unwrap();
    rig.wait(1);
    assert_eq!(rig.line(Line::RobotDescription).0, Level::Ok);
    let velocity = rig.publisher.streaming().streamer().unwrap().limits().velocity()[0];
    assert_eq!(velocity, 0.5);
}

#[test]
fn who_sent_the_description_that_was_waited_for_is_told_whoever_spoke_meanwhile() {
    let mut rig = Rig::new(&json!({}));
    for (sender, node) in [(DESCRIBER, "/describer"), (OTHER, "/other"), (POLICY, "/policy")] {
        rig.graph.nodes.insert(sender, node.to_owned());
    }
    rig.explain(SRDF, DESCRIBER);
    rig.explain(&SRDF.replace("slide_x", "slide_y"), OTHER);
    rig.describe(&slower_gantry(), DESCRIBER);
    // Back to the semantic one that there is.
    rig.explain(SRDF, POLICY);
    assert_eq!(rig.publisher.streaming().description_waits(), (true, false));
    rig.arm(false).unwrap();
    rig.wait(60);
    let text = rig.line(Line::RobotDescription).1;
    assert!(text.contains("described by node '/describer'"), "{text}");
}

#[test]
fn the_description_that_there_is_ends_the_wait_for_another() {
    let mut rig = Rig::moving(&json!({}));
    rig.describe(&slower_gantry(), DESCRIBER);
    rig.describe(&gantry::urdf(), DESCRIBER);
    rig.wait(1);
    assert_eq!(rig.publisher.streaming().description_waits(), (false, false));
    assert_eq!(rig.line(Line::RobotDescription).0, Level::Ok);
}

#[test]
fn one_that_does_not_fit_gives_way_to_one_that_does_even_while_armed() {
    let mut rig = Rig::unknown(&json!({}), KeptStop::default());
    rig.describe(&gantry::urdf().replace("slide_z", "lift"), DESCRIBER);
    rig.wait(1);
    assert_eq!(rig.code(), "description_does_not_fit");
    assert!(rig.line(Line::RobotDescription).1.contains("slide_z"), "{:?}", rig.line(Line::RobotDescription));
    let mut rig = rig.seen();
    rig.go(50);
    assert_eq!(rig.code(), "following", "{}", rig.words());
}

#[test]
fn semantics_are_taken_before_and_after_the_description_and_once() {
    let mut early = Rig::unknown(&json!({}), KeptStop::default());
    early.explain(SRDF, DESCRIBER);
    early.wait(1);
    let (level, text, _) = early.line(Line::RobotDescription);
    assert!(level == Level::Warn && !text.contains("does not fit"), "{text}");
    assert!(early.publisher.streaming().is_explained_by(SRDF));
    assert_eq!(early.seen().line(Line::RobotDescription).0, Level::Ok);

    // Armed, at rest: a first one takes no other one's place.
    let mut rig = Rig::new(&json!({}));
    assert!(!rig.publisher.streaming().is_explained_by(SRDF));
    rig.explain(SRDF, DESCRIBER);
    assert!(rig.publisher.streaming().is_explained_by(SRDF));
    assert_eq!(rig.publisher.streaming().description_waits(), (false, false));
    rig.explain(SRDF, DESCRIBER);
    assert_eq!(rig.graph.count("semantics"), 1);
    let other = SRDF.replace("slide_x", "slide_y");
    rig.explain(&other, DESCRIBER);
    rig.wait(1);
    assert_eq!(rig.publisher.streaming().description_waits(), (false, true));
    let text = rig.line(Line::RobotDescription).1;
    assert!(text.contains("robot_description_semantic of publisher"), "{text}");
    // Back to the one that there is.
    rig.explain(SRDF, DESCRIBER);
    rig.wait(1);
    assert_eq!(rig.publisher.streaming().description_waits(), (false, false));
    assert!(!rig.line(Line::RobotDescription).1.contains("not taken"));
    // In motion the first one waits, too.
    let mut moving = Rig::moving(&json!({}));
    moving.explain(SRDF, DESCRIBER);
    assert_eq!(moving.publisher.streaming().description_waits(), (false, true));
}

#[test]
fn a_cell_that_is_known_is_that_of_its_descriptions_only() {
    let params = gantry_params(&json!({}));
    let urdf = slower_gantry();
    let cell = CellPlan::new(&params, &gantry::files(gantry::LIMIT)).unwrap().of(&urdf, None).unwrap();
    // Told to be of another text, so that it can be seen where it is used.
    let made_for = |described: &str, explained: Option<&str>| {
        let mut streaming =
            Streaming::new(&params, &gantry::files(gantry::LIMIT)).unwrap().in_cell(cell.clone(), &gantry::urdf());
        if let Some(srdf) = explained {
            streaming.on(&Event::Semantics { now: 1, srdf: srdf.into() }).unwrap();
        }
        streaming.on(&Event::Description { now: 1, urdf: described.into() }).unwrap();
        streaming.streamer().unwrap().limits().velocity()[0]
    };
    assert_eq!(made_for(&gantry::urdf(), None), 0.5, "the known one");
    assert_eq!(made_for(&format!("{}\n", gantry::urdf()), None), 1.0);
    assert_eq!(made_for(&gantry::urdf(), Some(SRDF)), 1.0);
}

// ---- surroundings

#[test]
fn joints_that_no_controller_moves_are_waited_for_and_told_with_their_values() {
    let mut rig = Rig::panda(false);
    rig.describe(&text("urdf/panda.urdf"), SenderId::UNKNOWN);
    rig.go(60);
    let (level, words, values) = rig.line(Line::JointStates);
    assert!(level == Level::Error && words.contains("'panda_finger_joint1'"), "{words}");
    assert_eq!(values["other joint 'panda_finger_joint1'"], "?");
    assert_eq!(rig.value("code"), "other_joint_unknown", "{}", rig.words());
    rig.besides = vec![(OTHER, "panda_finger_joint1", 0.03, 0)];
    rig.go(80);
    let (level, words, values) = rig.line(Line::JointStates);
    assert_eq!((level, values["other joint 'panda_finger_joint1'"].as_str()), (Level::Ok, "0.0300"), "{words}");
    assert_eq!(rig.code(), "following", "{}", rig.words());
    assert_eq!(rig.graph.newest("tick")["others"], json!([0.03]));
    rig.besides.clear();
    rig.wait(60);
    assert_eq!(rig.line(Line::JointStates).0, Level::Error);
    assert!(rig.words().contains("'panda_finger_joint1'"), "{}", rig.words());
}

#[test]
fn what_stands_around_is_waited_for_taken_over_and_named() {
    let mut rig = Rig::panda(true);
    rig.besides = vec![(OTHER, "panda_finger_joint1", 0.03, 0)];
    rig.describe(&text("urdf/panda.urdf"), SenderId::UNKNOWN);
    rig.wait(1);
    assert_eq!(rig.line(Line::Surroundings).0, Level::Error, "{:?}", rig.line(Line::Surroundings));
    assert_eq!(rig.chunk(POLICY).unwrap_err().code, "surroundings_unknown");
    assert_eq!(rig.graph.count("surroundings"), 1);
    rig.put_together();
    assert_eq!((rig.graph.count("surroundings"), rig.graph.count("scene_taken")), (2, 1));
    let own: usize = rig.line(Line::Surroundings).2["obstacles"].parse().unwrap();
    rig.go(80);
    assert_eq!(rig.code(), "following", "{}", rig.words());

    // Where it is not known what is there, it stops.
    let lost = Object::cube("pallet", "agv");
    rig.scene(&Scene { objects: vec![lost], ..Scene::diff() });
    rig.put_together();
    rig.go(60);
    assert_eq!(rig.code(), "surroundings_unknown", "{}", rig.words());
    assert!(rig.words().contains("'pallet'") && rig.line(Line::Surroundings).1.contains("'pallet'"));
    let taken = rig.graph.count("scene_taken");

    // A post in the hand's place: known, named, and in the way.
    let gone = Object { operation: 1, ..Object::new("pallet", "") };
    let post = Object::cube("post", "panda_hand");
    rig.scene(&Scene { objects: vec![gone, post], ..Scene::diff() });
    rig.put_together();
    assert_eq!(rig.graph.count("scene_taken"), taken + 1);
    assert_eq!(rig.line(Line::Surroundings).2["obstacles"], (own + 1).to_string());
    rig.go(60);
    assert_eq!(rig.code(), "obstacle", "{}", rig.words());
    assert!(rig.words().contains("post"), "{}", rig.words());

    // Another robot: its surroundings are put together anew.
    rig.arm(false).unwrap();
    rig.wait(60);
    rig.describe(&format!("{}\n", text("urdf/panda.urdf")), SenderId::UNKNOWN);
    assert_eq!(rig.line(Line::Surroundings).0, Level::Error);
    rig.put_together();
    assert_eq!(rig.line(Line::Surroundings).2["obstacles"], (own + 1).to_string());
}

#[test]
fn where_nobody_listens_to_planning_scenes_they_change_nothing() {
    let mut rig = Rig::moving(&json!({}));
    rig.scene(&Scene { objects: vec![Object::cube("pallet", "agv")], ..Scene::diff() });
    rig.go(20);
    assert_eq!((rig.code().as_str(), rig.line(Line::Surroundings).0), ("following", Level::Ok));
    assert_eq!(rig.line(Line::Surroundings).2["planning_scene listened to"], "false");
}

// ---- traces

#[test]
fn what_is_traced_is_read_back_and_what_old_traces_lack_is_what_it_was_then() {
    let tick = |rest: &str| {
        let text = format!(
            r#"{{"tick":{{"now":5,"joints":{{"stamp":4,"age":0.001,"positions":[1.0],"velocities":[0.0]{rest}}}}}}}"#
        );
        let event: Event<'static> = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), text, "no more, and no less");
        let Event::Tick { joints: Some(joints), .. } = event else { panic!("{text}") };
        joints
    };
    assert!(tick("").velocity_told);
    assert!(!tick(r#","velocity_told":false"#).velocity_told);
    assert_eq!(tick(r#","stamps":[3]"#).stamps.as_ref(), [3]);
    let chunk = Event::Chunk { now: 2, stamp: 1, sender: POLICY };
    let text = serde_json::to_string(&chunk).unwrap();
    assert_eq!(serde_json::from_str::<Event<'static>>(&text).unwrap(), chunk);
    let unknown = Event::Chunk { now: 2, stamp: 1, sender: SenderId::UNKNOWN };
    assert_eq!(serde_json::to_string(&unknown).unwrap(), r#"{"chunk":{"now":2,"stamp":1}}"#);
    let unreadable = r#"{"tick":{"now":5,"unreadable":true}}"#;
    let event: Event<'static> = serde_json::from_str(unreadable).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), unreadable);
    assert_eq!(JOINT_STATES, "joint_states");
}

// ---- parameters

#[test]
fn each_parameter_of_the_filter_reaches_it() {
    let params = gantry_params(&json!({
        "rate": 50.0, "ticks_per_point": 4, "window": 0.11, "committed": 0.05, "clock_skew": 0.012,
        "max_joint_state_age": 0.13, "max_joint_state_gap": 0.7, "max_tracking_error": 0.14, "max_start_error": 0.015,
        "max_start_speed": 0.016, "max_clock_jump": 0.017, "limit_share": 0.9, "max_observation_age": 1.8,
        "max_bad_chunks": 7, "max_tool_speed": 0.19, "tool_link": "tool", "mode": "temporal_ensemble",
        "ensemble_decay": 0.2, "max_chunk_age": 2.1, "max_future": 0.022, "blend_time": 0.23,
    }));
    assert_eq!(streaming_params::tick_period(&params), Duration::from_millis(5));
    let config = streaming_params::stream_config(&params);
    for (is, set) in [
        (config.period_s, 0.02),
        (config.window_s, 0.11),
        (config.committed_s, 0.05),
        (config.clock_skew_s, 0.012),
        (config.max_joint_state_age_s, 0.13),
        (config.max_joint_state_gap_s, 0.7),
        (config.max_tracking_error, 0.14),
        (config.max_start_error, 0.015),
        (config.max_start_speed, 0.016),
        (config.max_clock_jump_s, 0.017),
        (config.share, 0.9),
        (config.max_observation_age_s, 1.8),
        (f64::from(config.max_bad_chunks), 7.0),
        (config.max_tool_speed, 0.19),
        (config.schedule.max_chunk_age_s, 2.1),
        (config.schedule.future_tolerance_s, 0.022),
        (config.schedule.blend_s, 0.23),
    ] {
        assert_eq!(is, set);
    }
    assert_eq!(config.gripper_joints, ["finger"]);
    assert_eq!(config.schedule.mode, Mode::TemporalEnsemble { m: 0.2 });
    assert!(config.schedule.max_blend_s >= 0.23);
    let mode = |name: &str| streaming_params::stream_config(&gantry_params(&json!({ "mode": name }))).schedule.mode;
    assert_ne!(mode("blend"), mode("fifo"));
}

#[test]
fn rules_for_goals_and_tasks_are_those_of_the_parameters() {
    let rule = |name: &str| streaming_params::on_new_goal(&gantry_params(&json!({ "on_new_goal": name })));
    assert_eq!(rule("stop_first"), OnNewGoal::StopFirst);
    assert_ne!(rule("finish_chunk"), rule("blend"));
    let params = gantry_params(&json!({"task_limits.careful": ["pour", "speed_scale=0.3"]}));
    let rules = streaming_params::task_rules(&params).unwrap();
    let limits = |said: &str| streaming_params::task_limits(&rules, said).speed_scale;
    assert_eq!((limits("pour it"), limits("push it")), (0.3, TaskLimits::default().speed_scale));
}

#[test]
fn the_rate_goes_from_the_longest_period_to_the_shortest() {
    let takes = |rate: f64| {
        let params = json!({"rate": rate, "committed": 0.1, "window": 0.2, "controllers.gantry": JOINTS, "joint_limits_file": "a.yaml"});
        Params::from_json(streaming_params::specs(), &with(&json!({}), &params)).is_ok()
    };
    let (shortest, longest) = bounds::PERIOD_S;
    assert!(takes(1.0 / longest) && takes(1.0 / shortest));
    assert!(!takes(0.99 / longest) && !takes(1.01 / shortest));
}
