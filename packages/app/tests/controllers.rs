//! What controllers tell of themselves (`controller_state`), from its bytes to what the arm does: one that does not follow stops the arm, one that falls
//! silent holds it, one that does as it is told is left alone.
#![allow(clippy::unwrap_used)]

#[path = "support/gantry.rs"]
mod gantry;
#[path = "support/graph.rs"]
mod graph;

use efm_app::publisher::emergency::KeptStop;
use efm_app::publisher::publishing::{Line, Publishing};
use efm_app::publisher::streaming::Streaming;
use efm_app::publisher::streaming_params;
use efm_config::Params;
use efm_core::{Level, SenderId, Stamp, Trajectory, TrajectoryPoint};
use gantry::{JOINTS, MS, at};
use graph::Graph;
use serde_json::json;

const START: [f64; 4] = [0.0, 0.0, 0.3, 0.02];
const POLICY: SenderId = SenderId([1; 16]);
const DRIVER: SenderId = SenderId([2; 16]);

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
type Tells<'a> = &'a mut dyn FnMut(&Graph) -> Option<Vec<f64>>;

struct Rig {
    publisher: Publishing,
    graph: Graph,
}

impl Rig {
    /// Armed, with a robot that was seen for half a second.
    fn new() -> Self {
        let params = json!({
            "joint_limits_file": "limits.yaml", "controllers.gantry": JOINTS, "check_collisions": false,
            "armed_at_start": true, "max_reference_error": 0.01,
        });
        let params = Params::from_json(streaming_params::specs(), &serde_json::from_value(params).unwrap()).unwrap();
        let streaming = Streaming::new(&params, &gantry::files(gantry::LIMIT)).unwrap();
        let graph = Graph { now: 1_000_000 * MS, start: START.to_vec(), listening: vec![true], ..Graph::default() };
        let publisher = Publishing::new(streaming, &params, at(graph.now), KeptStop::default(), true, None);
        let mut rig = Self { publisher, graph };
        let urdf = gantry::urdf();
        let now = at(rig.graph.now);
        rig.publisher.on_description(&mut rig.graph, now, &urdf, SenderId::UNKNOWN).unwrap();
        rig.ticks(50, false, &mut |graph| Some(graph.place()));
        rig
    }

    /// So many ticks of 10 ms of a robot that is where its controller is sent. If it `moves`, a chunk every tenth goes on with the
    /// motion along x.
    fn ticks(&mut self, number: i64, moves: bool, tells: Tells<'_>) {
        for k in 0..number {
            self.graph.now += 10 * MS;
            let now = at(self.graph.now);
            let names = JOINTS.map(str::to_owned);
            let positions = self.graph.place();
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
        let from = self.graph.place()[0];
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
        self.graph.line(Line::Motion).2["code"].as_str()
    }
}

#[test]
fn a_controller_that_does_as_it_is_told_is_left_alone() {
    let mut rig = Rig::new();
    rig.ticks(100, true, &mut |graph| Some(graph.place()));
    assert_eq!(rig.code(), "following", "{:?}", rig.graph.line(Line::Motion));
    assert!(rig.graph.place()[0] > 0.03, "it moves");
    assert_eq!(rig.graph.count("not_following"), 0, "{:?}", rig.graph.events);
}

#[test]
fn a_controller_whose_reference_stands_still_stops_the_arm_and_is_named() {
    let mut rig = Rig::new();
    rig.ticks(60, true, &mut |graph| Some(graph.place()));
    let held = rig.graph.place();
    rig.ticks(60, true, &mut |_| Some(held.clone()));
    let (level, text, _) = rig.graph.line(Line::Motion).clone();
    assert_eq!(level, Level::Error, "{text}");
    assert!(text.contains("gantry") && text.contains("'slide_x'") && text.contains("~/resume"), "{text}");
    let stopped = rig.graph.place()[0];
    rig.ticks(50, true, &mut |graph| Some(graph.place()));
    assert_eq!(rig.graph.place()[0], stopped, "it is latched");
}

#[test]
fn that_no_goal_runs_said_again_and_again_hides_no_controller_that_stands_still() {
    let mut rig = Rig::new();
    rig.ticks(60, true, &mut |graph| Some(graph.place()));
    let held = rig.graph.place();
    for _ in 0..60 {
        let now = at(rig.graph.now);
        rig.publisher.on_goal(&mut rig.graph, now, 0, false).unwrap();
        rig.ticks(1, true, &mut |_| Some(held.clone()));
    }
    let now = at(rig.graph.now);
    rig.publisher.every_tenth(&mut rig.graph, now).unwrap();
    assert_eq!(rig.code(), "controller_not_following", "{:?}", rig.graph.line(Line::Motion));
}

#[test]
fn a_controller_that_falls_silent_in_motion_is_not_sent_on() {
    let mut rig = Rig::new();
    rig.ticks(60, true, &mut |graph| Some(graph.place()));
    let before = rig.graph.place()[0];
    rig.ticks(100, true, &mut |_| None);
    assert!(rig.graph.newest("silent")["seconds"].is_f64(), "{:?}", rig.graph.events);
    assert_ne!(rig.code(), "following");
    assert!(rig.graph.place()[0] - before < 0.05, "it came to rest");
}

#[test]
fn a_state_that_cannot_be_read_or_of_no_controller_of_ours_changes_nothing() {
    let mut rig = Rig::new();
    rig.ticks(30, true, &mut |graph| Some(graph.place()));
    let (now, whole) = (at(rig.graph.now), state(rig.graph.now, &JOINTS, &[9.0; 4]));
    for (controller, bytes) in [(0, &whole[..20]), (0, &[]), (7, &whole[..])] {
        rig.publisher.on_controller_state(&mut rig.graph, now, controller, bytes).unwrap();
    }
    rig.ticks(50, true, &mut |graph| Some(graph.place()));
    assert_eq!(rig.code(), "following", "{:?}", rig.graph.line(Line::Motion));
}

#[test]
fn somebody_elses_goal_voids_the_plan_and_after_it_the_next_chunk_is_followed() {
    let mut rig = Rig::new();
    let follows: Tells<'_> = &mut |graph| Some(graph.place());
    rig.ticks(60, true, follows);
    let sent = rig.graph.sent;
    for active in [true, false] {
        let now = at(rig.graph.now);
        rig.publisher.on_goal(&mut rig.graph, now, 0, active).unwrap();
        // Its chunk has most of a second left, and the goal was over in a twentieth.
        rig.ticks(5, false, &mut |graph| Some(graph.place()));
        assert_eq!(rig.graph.sent, sent, "active: {active}");
    }
    rig.ticks(150, true, &mut |graph| Some(graph.place()));
    assert!(rig.graph.sent > sent + 50, "{} {sent}", rig.graph.sent);
    assert_eq!(rig.code(), "following", "{:?}", rig.graph.line(Line::Motion));
}
