//! The diagnostics task `motion` has the code of what the arm does, and that of the last refused chunk.
#![allow(clippy::unwrap_used)]

#[path = "support/gantry.rs"]
mod gantry;

use efm_app::Failure;
use efm_app::publisher::emergency::KeptStop;
use efm_app::publisher::publishing::{At, Host, Line, Publishing};
use efm_app::publisher::streaming::{Event, Outlet, Streaming};
use efm_app::publisher::streaming_params;
use efm_config::Params;
use efm_core::{Level, SenderId, Stamp, Trajectory, TrajectoryPoint};
use efm_safety::{Execution, VerifiedWindow};
use gantry::{JOINTS, MS, at};
use serde_json::json;
use std::collections::BTreeMap;

const POLICY: SenderId = SenderId([1; 16]);
const DRIVER: SenderId = SenderId([2; 16]);
const DESK: SenderId = SenderId([3; 16]);
const ANOTHER_DESK: SenderId = SenderId([4; 16]);

/// Keeps what is said of the motion.
#[derive(Default)]
struct Heard {
    now: i64,
    clock_silence: Option<f64>,
    motion: Option<(Level, BTreeMap<String, String>)>,
}

impl Outlet for Heard {
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

impl Host for Heard {
    fn at(&self) -> At {
        at(self.now)
    }

    fn note(&mut self, _: &Event<'_>) {}

    fn listening(&self, listening: &mut Vec<bool>) {
        listening.clear();
        listening.push(true);
    }

    fn clock_silence(&self) -> Option<f64> {
        self.clock_silence
    }

    fn report(&mut self, line: Line, level: Level, _: String, values: Vec<(String, String)>) {
        if matches!(line, Line::Motion) {
            self.motion = Some((level, values.into_iter().collect()));
        }
    }
}

struct Rig {
    publisher: Publishing,
    heard: Heard,
}

impl Rig {
    fn new() -> Self {
        Self::with(0.0)
    }

    fn with(instruction_heartbeat: f64) -> Self {
        let params = json!({
            "joint_limits_file": "limits.yaml", "controllers.gantry": JOINTS, "check_collisions": false,
            "armed_at_start": false, "emergency_stop_heartbeat": 0.5,
            "instruction_heartbeat": instruction_heartbeat,
        });
        let params = Params::from_json(streaming_params::specs(), &serde_json::from_value(params).unwrap()).unwrap();
        let streaming = Streaming::new(&params, &gantry::files(gantry::LIMIT)).unwrap();
        let heard = Heard { now: 1_000_000 * MS, ..Heard::default() };
        let publisher = Publishing::new(streaming, &params, at(heard.now), KeptStop::default(), false, None);
        Self { publisher, heard }
    }

    fn describe(&mut self) {
        let urdf = gantry::urdf();
        let now = at(self.heard.now);
        self.publisher.on_description(&mut self.heard, now, &urdf, SenderId::UNKNOWN).unwrap();
    }

    /// Half a second of decisions, with joint states or without.
    fn wait(&mut self, measured: bool) {
        for _ in 0..50 {
            self.heard.now += 10 * MS;
            let now = at(self.heard.now);
            if measured {
                let names = JOINTS.map(str::to_owned);
                let (positions, velocities) = ([0.0, 0.0, 0.3, 0.02], [0.0; 4]);
                self.publisher.on_joint_states(DRIVER, now.now, &names, &positions, &velocities, now.received);
            }
            self.publisher.on_emergency(&mut self.heard, now, false, DRIVER).unwrap();
            self.publisher.tick(&mut self.heard, now).unwrap();
        }
    }

    fn chunk(&mut self) -> Result<(), efm_core::Reason> {
        let point = |k: i64| TrajectoryPoint {
            positions: vec![0.0, 0.0, 0.3, 0.02],
            time_from_start: 20 * MS * (k + 1),
            ..TrajectoryPoint::default()
        };
        let chunk = Trajectory {
            stamp: Stamp::from_nanos(self.heard.now - 10 * MS),
            joint_names: JOINTS.map(str::to_owned).to_vec(),
            points: (0..50).map(point).collect(),
            ..Trajectory::default()
        };
        let now = at(self.heard.now);
        self.publisher.on_chunk(&mut self.heard, now, &chunk, POLICY)
    }

    fn arm(&mut self) -> Result<String, efm_core::Reason> {
        let now = at(self.heard.now);
        self.publisher.arm(&mut self.heard, now, true)
    }

    /// How bad it is, the code, and that of the last refusal.
    fn told(&mut self) -> (Level, String, String) {
        let now = at(self.heard.now);
        self.publisher.every_tenth(&mut self.heard, now).unwrap();
        let (level, values) = self.heard.motion.clone().unwrap();
        (level, values["code"].clone(), values["last refusal code"].clone())
    }
}

fn is(level: Level, code: &str, refusal: &str) -> (Level, String, String) {
    (level, code.to_owned(), refusal.to_owned())
}

#[test]
fn the_diagnostics_have_the_code_of_why_nothing_moves_and_of_the_last_refusal() {
    let mut rig = Rig::new();
    assert_eq!(rig.arm().unwrap_err().code, "heartbeat_silent");
    assert_eq!(rig.told(), is(Level::Error, "no_robot_description", ""));
    rig.describe();
    rig.wait(true);
    assert_eq!(rig.told(), is(Level::Warn, "disarmed", ""));
    assert_eq!(rig.chunk().unwrap_err().code, "disarmed");
    assert_eq!(rig.told().2, "disarmed");
    rig.arm().unwrap();
    rig.wait(true);
    assert_eq!(rig.told(), is(Level::Ok, "chunks_refused", "disarmed"));
    rig.chunk().unwrap();
    rig.wait(true);
    assert_eq!(rig.told(), is(Level::Ok, "following", ""));
    // It does not know where it is any more.
    rig.wait(false);
    assert_eq!(rig.told(), is(Level::Error, "joint_state_missing", ""));
    rig.heard.clock_silence = Some(2.0);
    assert_eq!(rig.told().1, "clock_silent");
}

impl Rig {
    /// Follows a chunk for an instruction.
    fn moves(instruction_heartbeat: f64) -> Self {
        let mut rig = Self::with(instruction_heartbeat);
        rig.describe();
        rig.wait(true);
        rig.arm().unwrap();
        rig.wait(true);
        rig.ask("push it");
        rig.wait(true);
        rig.chunk().unwrap();
        rig.wait(true);
        assert_eq!(rig.told().1, "following");
        rig
    }

    fn beat(&mut self, alive: bool, desk: SenderId) {
        let now = at(self.heard.now);
        self.publisher.on_instruction_heartbeat(&mut self.heard, now, alive, desk).unwrap();
    }

    fn ask(&mut self, text: &str) {
        let now = at(self.heard.now);
        self.publisher.on_instruction(&mut self.heard, now, text).unwrap();
    }

    /// So many tenths of a second pass for who watches over the others. What is told at their end.
    fn tenths(&mut self, number: usize) -> String {
        (0..number).map(|_| self.told().1).last().unwrap()
    }
}

#[test]
fn a_supervisor_that_dies_takes_its_instruction_with_it_and_its_return_ends_that() {
    let mut rig = Rig::moves(2.0);
    rig.beat(true, DESK);
    assert_eq!(rig.tenths(19), "following");
    rig.told();
    rig.wait(true);
    assert_eq!(rig.told(), is(Level::Error, "supervisor_silent", ""));
    let values = rig.heard.motion.clone().unwrap().1;
    assert!(values["remedy"].contains("goal_intake"), "{values:?}");
    assert_eq!(rig.chunk().unwrap_err().code, "no_goal", "what is proposed for it is not followed");
    rig.beat(true, ANOTHER_DESK);
    rig.ask("");
    assert_eq!(rig.told(), is(Level::Ok, "no_goal", "no_goal"));
    rig.ask("push it");
    rig.wait(true);
    rig.chunk().unwrap();
    rig.wait(true);
    assert_eq!(rig.told().1, "following");
}

#[test]
fn a_supervisor_that_was_only_kept_waiting_has_its_instruction_followed_again() {
    let mut rig = Rig::moves(2.0);
    rig.beat(true, DESK);
    rig.tenths(30);
    rig.wait(true);
    assert_eq!(rig.told().1, "supervisor_silent");
    rig.beat(true, DESK);
    rig.wait(true);
    rig.chunk().unwrap();
    rig.wait(true);
    assert_eq!(rig.told().1, "following");
}

#[test]
fn a_supervisor_that_is_heard_that_never_was_that_ends_in_order_or_that_is_not_asked_for_stops_nothing() {
    let mut heard = Rig::moves(2.0);
    for _ in 0..20 {
        heard.beat(true, DESK);
        assert_eq!(heard.tenths(10), "following");
    }
    let mut never = Rig::moves(2.0);
    assert_eq!(never.tenths(200), "following", "who tells instructions by other means need not beat");
    let mut ended = Rig::moves(2.0);
    ended.beat(true, DESK);
    ended.beat(false, DESK);
    assert_eq!(ended.tenths(200), "following", "its last word is the empty instruction, which was not said here");
    let mut off = Rig::moves(0.0);
    off.beat(true, DESK);
    assert_eq!(off.tenths(200), "following");
}

#[test]
fn an_emergency_stop_and_a_stop_on_request_are_told_by_their_codes() {
    let mut rig = Rig::new();
    rig.describe();
    rig.wait(true);
    rig.arm().unwrap();
    let now = at(rig.heard.now);
    rig.publisher.stop(&mut rig.heard, now).unwrap();
    rig.wait(true);
    assert_eq!(rig.told().1, "stop_requested");
    assert_eq!(rig.chunk().unwrap_err().code, "stop_requested");
    let now = at(rig.heard.now);
    rig.publisher.on_emergency(&mut rig.heard, now, true, DRIVER).unwrap();
    rig.wait(true);
    assert_eq!(rig.told().1, "emergency_stop");
}
