//! What controllers tell of themselves (`controller_state`), from its bytes to what the arm does: one that does not follow stops the arm, one that falls
//! silent holds it, one that does as it is told is left alone.
#![allow(clippy::unwrap_used)]

use efm_app::Failure;
use efm_app::publisher::emergency::KeptStop;
use efm_app::publisher::publishing::{At, Host, Line, Publishing};
use efm_app::publisher::streaming::{Event, Files, Outlet, Streaming};
use efm_app::publisher::streaming_params;
use efm_config::Params;
use efm_core::{Level, SenderId, Stamp, Trajectory, TrajectoryPoint};
use efm_safety::{Execution, VerifiedWindow};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

const MS: i64 = 1_000_000;
const JOINTS: [&str; 4] = ["slide_x", "slide_y", "slide_z", "finger"];
const START: [f64; 4] = [0.0, 0.0, 0.3, 0.02];
const POLICY: SenderId = SenderId([1; 16]);
const DRIVER: SenderId = SenderId([2; 16]);

/// The newest windows, and what is said of the motion.
#[derive(Default)]
struct Graph {
    now: i64,
    window: Option<VerifiedWindow>,
    windows: usize,
    events: Vec<String>,
    motion: Option<(Level, String, BTreeMap<String, String>)>,
}

impl Outlet for Graph {
    fn send(&mut self, windows: &[VerifiedWindow], _: Stamp) -> Result<usize, Failure> {
        self.window = Some(windows[0].clone());
        self.windows += 1;
        Ok(windows.len())
    }

    fn tell(&mut self, _: &Execution, _: &[VerifiedWindow]) -> Result<(), Failure> {
        Ok(())
    }

    fn rest(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

fn at(now: i64) -> At {
    At { now: Stamp::from_nanos(now), received: now as f64 * 1e-9 }
}

impl Host for Graph {
    fn at(&self) -> At {
        at(self.now)
    }

    fn note(&mut self, event: &Event<'_>) {
        let event = serde_json::to_value(event).unwrap();
        let kind = event.as_object().and_then(|event| event.keys().next().cloned());
        self.events.extend(kind.or_else(|| event.as_str().map(str::to_owned)));
    }

    fn listening(&self, listening: &mut Vec<bool>) {
        listening.clear();
        listening.push(true);
    }

    fn clock_silence(&self) -> Option<f64> {
        None
    }

    fn report(&mut self, line: Line, level: Level, text: String, values: Vec<(String, String)>) {
        if matches!(line, Line::Motion) {
            self.motion = Some((level, text, values.into_iter().collect()));
        }
    }
}

impl Graph {
    /// Where the controller is sent to at a time, by the newest window.
    fn sent(&self, at: i64) -> [f64; 4] {
        let Some(window) = &self.window else { return START };
        let times: Vec<i64> = (0..window.len()).map(|k| window.stamp().nanos() + window.time_from_start(k)).collect();
        let k = times.partition_point(|time| *time <= at).clamp(1, times.len() - 1);
        let share = ((at - times[k - 1]) as f64 / (times[k] - times[k - 1]) as f64).clamp(0.0, 1.0);
        std::array::from_fn(|j| {
            let (a, b) = (window.positions(k - 1)[j], window.positions(k)[j]);
            a + share * (b - a)
        })
    }
}

/// control_msgs/JointTrajectoryControllerState, as far as it is read, in little-endian CDR.
fn state(stamp: i64, names: &[&str], reference: &[f64]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(i32::try_from(stamp / 1_000_000_000).unwrap().to_le_bytes());
    body.extend(u32::try_from(stamp % 1_000_000_000).unwrap().to_le_bytes());
    let text = |body: &mut Vec<u8>, text: &str| {
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(u32::try_from(text.len() + 1).unwrap().to_le_bytes());
        body.extend(text.bytes());
        body.push(0);
    };
    let number = |body: &mut Vec<u8>, number: usize| {
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(u32::try_from(number).unwrap().to_le_bytes());
    };
    text(&mut body, "base");
    number(&mut body, names.len());
    names.iter().for_each(|name| text(&mut body, name));
    number(&mut body, reference.len());
    body.resize(body.len().next_multiple_of(8), 0);
    reference.iter().for_each(|value| body.extend(value.to_le_bytes()));
    [&[0, 1, 0, 0], body.as_slice()].concat()
}

/// The reference that the controller tells in a tick; nothing where it is silent.
type Tells<'a> = &'a mut dyn FnMut(&Graph) -> Option<[f64; 4]>;

struct Rig {
    publisher: Publishing,
    graph: Graph,
}

impl Rig {
    /// Armed, with a robot that was seen for half a second.
    fn new() -> Self {
        let limit = "{has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, max_jerk: 50.0}";
        let limits = JOINTS.map(|joint| format!("  {joint}: {limit}\n")).concat();
        let files = BTreeMap::from([("joint_limits_file".to_owned(), format!("joint_limits:\n{limits}"))]);
        let params = json!({
            "joint_limits_file": "limits.yaml", "controllers.gantry": JOINTS, "check_collisions": false,
            "armed_at_start": true, "max_reference_error": 0.01,
        });
        let params = Params::from_json(streaming_params::specs(), &serde_json::from_value(params).unwrap()).unwrap();
        let streaming = Streaming::new(&params, &Files::from_record(&files)).unwrap();
        let graph = Graph { now: 1_000_000 * MS, ..Graph::default() };
        let publisher = Publishing::new(streaming, &params, at(graph.now), KeptStop::default(), true, None);
        let mut rig = Self { publisher, graph };
        let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/data");
        let urdf = std::fs::read_to_string(data.join("gantry.urdf")).unwrap();
        let now = at(rig.graph.now);
        rig.publisher.on_description(&mut rig.graph, now, &urdf, SenderId::UNKNOWN).unwrap();
        rig.ticks(50, false, &mut |graph| Some(graph.sent(graph.now)));
        rig
    }

    /// So many ticks of 10 ms of a robot that is where its controller is sent. If it `moves`, a chunk every tenth goes on with the
    /// motion along x.
    fn ticks(&mut self, number: i64, moves: bool, tells: Tells<'_>) {
        for k in 0..number {
            self.graph.now += 10 * MS;
            let now = at(self.graph.now);
            let names = JOINTS.map(str::to_owned);
            let positions = self.graph.sent(self.graph.now);
            self.publisher.on_joint_states(DRIVER, now.now, &names, &positions, &[0.0; 4], now.received);
            if let Some(reference) = tells(&self.graph) {
                let bytes = state(self.graph.now, &JOINTS, &reference);
                self.publisher.on_controller_state(&mut self.graph, now, 0, &bytes).unwrap();
            }
            if moves && k % 10 == 0 {
                let _ = self.chunk();
            }
            self.publisher.tick(&mut self.graph, now).unwrap();
            if k % 10 == 9 {
                self.publisher.every_tenth(&mut self.graph, now).unwrap();
            }
        }
    }

    fn chunk(&mut self) -> Result<(), efm_core::Reason> {
        let from = self.graph.sent(self.graph.now)[0];
        let point = |k: i64| TrajectoryPoint {
            positions: vec![from + 0.1 * 0.02 * (k + 1) as f64, START[1], START[2], START[3]],
            time_from_start: 20 * MS * (k + 1),
            ..TrajectoryPoint::default()
        };
        let chunk = Trajectory {
            stamp: Stamp::from_nanos(self.graph.now - 10 * MS),
            joint_names: JOINTS.map(str::to_owned).to_vec(),
            points: (0..50).map(point).collect(),
            ..Trajectory::default()
        };
        let now = at(self.graph.now);
        self.publisher.on_chunk(&mut self.graph, now, &chunk, POLICY)
    }

    fn code(&self) -> &str {
        self.graph.motion.as_ref().unwrap().2["code"].as_str()
    }
}

#[test]
fn a_controller_that_does_as_it_is_told_is_left_alone() {
    let mut rig = Rig::new();
    rig.ticks(100, true, &mut |graph| Some(graph.sent(graph.now)));
    assert_eq!(rig.code(), "following", "{:?}", rig.graph.motion);
    assert!(rig.graph.sent(rig.graph.now)[0] > 0.03, "it moves");
    assert!(!rig.graph.events.iter().any(|event| event.contains("ollowing")), "{:?}", rig.graph.events);
}

#[test]
fn a_controller_whose_reference_stands_still_stops_the_arm_and_is_named() {
    let mut rig = Rig::new();
    rig.ticks(60, true, &mut |graph| Some(graph.sent(graph.now)));
    let held = rig.graph.sent(rig.graph.now);
    rig.ticks(60, true, &mut |_| Some(held));
    let (level, text, _) = rig.graph.motion.clone().unwrap();
    assert_eq!(level, Level::Error, "{text}");
    assert!(text.contains("gantry") && text.contains("'slide_x'") && text.contains("~/resume"), "{text}");
    let stopped = rig.graph.sent(rig.graph.now)[0];
    rig.ticks(50, true, &mut |graph| Some(graph.sent(graph.now)));
    assert_eq!(rig.graph.sent(rig.graph.now)[0], stopped, "it is latched");
}

#[test]
fn that_no_goal_runs_said_again_and_again_hides_no_controller_that_stands_still() {
    let mut rig = Rig::new();
    rig.ticks(60, true, &mut |graph| Some(graph.sent(graph.now)));
    let held = rig.graph.sent(rig.graph.now);
    for _ in 0..60 {
        let now = at(rig.graph.now);
        rig.publisher.on_goal(&mut rig.graph, now, 0, false).unwrap();
        rig.ticks(1, true, &mut |_| Some(held));
    }
    let now = at(rig.graph.now);
    rig.publisher.every_tenth(&mut rig.graph, now).unwrap();
    assert_eq!(rig.code(), "controller_not_following", "{:?}", rig.graph.motion);
}

#[test]
fn a_controller_that_falls_silent_in_motion_is_not_sent_on() {
    let mut rig = Rig::new();
    rig.ticks(60, true, &mut |graph| Some(graph.sent(graph.now)));
    let before = rig.graph.sent(rig.graph.now)[0];
    rig.ticks(100, true, &mut |_| None);
    assert!(rig.graph.events.iter().any(|event| event.to_lowercase().contains("silent")), "{:?}", rig.graph.events);
    assert_ne!(rig.code(), "following");
    assert!(rig.graph.sent(rig.graph.now)[0] - before < 0.05, "it came to rest");
}

#[test]
fn a_state_that_cannot_be_read_or_of_no_controller_of_ours_changes_nothing() {
    let mut rig = Rig::new();
    rig.ticks(30, true, &mut |graph| Some(graph.sent(graph.now)));
    let (now, whole) = (at(rig.graph.now), state(rig.graph.now, &JOINTS, &[9.0; 4]));
    for (controller, bytes) in [(0, &whole[..20]), (0, &[]), (7, &whole[..])] {
        rig.publisher.on_controller_state(&mut rig.graph, now, controller, bytes).unwrap();
    }
    rig.ticks(50, true, &mut |graph| Some(graph.sent(graph.now)));
    assert_eq!(rig.code(), "following", "{:?}", rig.graph.motion);
}

#[test]
fn somebody_elses_goal_voids_the_plan_and_after_it_the_next_chunk_is_followed() {
    let mut rig = Rig::new();
    let follows: Tells<'_> = &mut |graph| Some(graph.sent(graph.now));
    rig.ticks(60, true, follows);
    let sent = rig.graph.windows;
    for active in [true, false] {
        let now = at(rig.graph.now);
        rig.publisher.on_goal(&mut rig.graph, now, 0, active).unwrap();
        // Its chunk has most of a second left, and the goal was over in a twentieth.
        rig.ticks(5, false, &mut |graph| Some(graph.sent(graph.now)));
        assert_eq!(rig.graph.windows, sent, "active: {active}");
    }
    rig.ticks(150, true, &mut |graph| Some(graph.sent(graph.now)));
    assert!(rig.graph.windows > sent + 50, "{} {sent}", rig.graph.windows);
    assert_eq!(rig.code(), "following", "{:?}", rig.graph.motion);
}
