//! What is told of joints that no controller moves decides, is traced, and decides the same again.
#![allow(clippy::unwrap_used)]

use efm_app::Failure;
use efm_app::publisher::motion_report::Phase;
use efm_app::publisher::streaming::{Event, Files, Measured, Outlet, Streaming, Ticked};
use efm_app::publisher::streaming_params;
use efm_config::Params;
use efm_core::{SenderId, Stamp, Trajectory, TrajectoryPoint};
use efm_safety::{Execution, IdleReason, StopReason, VerifiedWindow};
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const READY: [f64; 7] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4];
const BEGIN: i64 = 1_700_000_000_000_000_000;
const MS: i64 = 1_000_000;
const SENDER: SenderId = SenderId([7; 16]);

fn text(path: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/{path}")).unwrap()
}

fn arm() -> Vec<String> {
    (1..=7).map(|i| format!("panda_joint{i}")).collect()
}

/// A Panda whose hand is no controller's.
fn streaming() -> Streaming {
    let params = BTreeMap::from([
        ("joint_limits_file".to_owned(), json!("limits.yaml")),
        ("controllers.arm".to_owned(), json!(arm())),
        ("armed_at_start".to_owned(), json!(true)),
        ("obstacles_file".to_owned(), json!("cell.yaml")),
    ]);
    let params = Params::from_json(streaming_params::specs(), &params).unwrap();
    let files = Files {
        joint_limits: text("config/joint_limits.yaml"),
        obstacles: Some(text("config/panda_obstacles.yaml")),
        semantics: Some(text("urdf/panda.srdf")),
    };
    let mut streaming = Streaming::new(&params, &files).unwrap();
    for event in beginning() {
        streaming.on(&event).unwrap();
    }
    assert_eq!(streaming.other_joints().names(), ["panda_finger_joint1"]);
    streaming
}

fn beginning() -> [Event<'static>; 3] {
    [
        Event::Description { now: BEGIN, urdf: text("urdf/panda.urdf").into() },
        Event::Listeners { now: BEGIN, listening: vec![true].into() },
        Event::Instruction { now: BEGIN, text: "go".into() },
    ]
}

/// The last window, and all of them as bits.
#[derive(Default)]
struct Sent {
    next: Option<Vec<f64>>,
    bits: Vec<u64>,
}

impl Outlet for Sent {
    fn send(&mut self, windows: &[VerifiedWindow], _: Stamp) -> Result<usize, Failure> {
        self.next = Some(windows[0].positions(1).to_vec());
        self.bits.extend((0..windows[0].len()).flat_map(|k| windows[0].positions(k)).map(|p| p.to_bits()));
        Ok(windows.len())
    }

    fn tell(&mut self, _: &Execution, _: &[VerifiedWindow]) -> Result<(), Failure> {
        Ok(())
    }

    fn rest(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

fn chunk(stamp: i64) -> Trajectory {
    let t = (stamp - BEGIN) as f64 * 1e-9;
    let point = |k: i64| {
        let mut positions = READY.to_vec();
        positions[0] += 0.4 * (0.8 * (t + 0.1 * (k + 1) as f64)).sin();
        TrajectoryPoint { positions, time_from_start: 100 * MS * (k + 1), ..TrajectoryPoint::default() }
    };
    Trajectory {
        stamp: Stamp::from_nanos(stamp),
        joint_names: arm(),
        points: (0..16).map(point).collect(),
        ..Trajectory::default()
    }
}

/// Three seconds in which the finger is at first unknown, then moves, then is lost. What was said in each tick, and the events.
fn run() -> (Vec<Phase>, Vec<Event<'static>>, Sent) {
    let (mut streaming, mut sent) = (streaming(), Sent::default());
    let (mut phases, mut events, mut at) = (Vec::new(), Vec::new(), READY.to_vec());
    for tick in 1..300 {
        let now = BEGIN + 10 * MS * tick;
        if tick % 20 == 10 {
            let message = chunk(now);
            let _ = streaming.on_chunk(&message, SENDER, Stamp::from_nanos(now));
            events.push(Event::Chunk { now, stamp: now, sender: SENDER });
        }
        let joints = Measured {
            stamp: now - MS,
            age: 0.001,
            positions: Cow::Owned(at.clone()),
            velocities: vec![0.0; 7].into(),
            stamps: Cow::default(),
            sources: Cow::default(),
            velocity_told: true,
            contradiction: None,
        };
        let finger = match tick {
            ..60 => None,
            60..220 => Some(0.02 + 0.02 * (0.1 * tick as f64).sin()),
            _ => None,
        };
        let event = Event::Tick { now, joints: Some(joints), others: vec![finger].into(), unreadable: false };
        let Event::Tick { joints, others, .. } = &event else { unreachable!() };
        if let Ticked::Decided { phase, .. } =
            streaming.tick(Stamp::from_nanos(now), joints.as_ref(), others, &mut sent).unwrap()
        {
            phases.push(phase);
        }
        if let Some(next) = sent.next.take() {
            at = next;
        }
        events.push(event);
    }
    (phases, events, sent)
}

#[test]
fn it_waits_for_the_finger_moves_with_it_and_stops_without_it() {
    let (phases, _, sent) = run();
    let place = |wanted: &Phase| phases.iter().position(|phase| phase == wanted).unwrap();
    let waits = place(&Phase::Idle(IdleReason::OtherJointUnknown { other: 0 }));
    let moves = place(&Phase::Following);
    let lost = place(&Phase::Stopping(StopReason::OtherJointLost { other: 0 }));
    assert!(waits < moves && moves + 100 < lost && !sent.bits.is_empty());
    assert_eq!(phases[moves - 1], Phase::Idle(IdleReason::OtherJointUnknown { other: 0 }));
    assert_eq!(phases.last(), Some(&Phase::Idle(IdleReason::Latched(StopReason::OtherJointLost { other: 0 }))));
}

#[test]
fn from_its_trace_the_same_comes_out_to_the_bit_and_old_traces_are_read() {
    let (_, events, sent) = run();
    let trace: Vec<String> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    let (mut streaming, mut again) = (streaming(), Sent::default());
    for line in &trace {
        match serde_json::from_str::<Event<'static>>(line).unwrap() {
            Event::Tick { now, joints, others, .. } => {
                drop(streaming.tick(Stamp::from_nanos(now), joints.as_ref(), &others, &mut again).unwrap());
            }
            Event::Chunk { now, stamp, sender } => {
                let message = chunk(stamp);
                let _ = streaming.on_chunk(&message, sender, Stamp::from_nanos(now));
            }
            other => drop(streaming.on(&other).unwrap()),
        }
    }
    assert!(sent.bits.len() > 1000 && sent.bits == again.bits);
    // Where there are none nothing is noted, as it was before there were any.
    let tick = Event::Tick { now: 5, joints: None, others: Cow::default(), unreadable: false };
    assert_eq!(serde_json::to_string(&tick).unwrap(), r#"{"tick":{"now":5}}"#);
    assert_eq!(serde_json::from_str::<Event<'static>>(r#"{"tick":{"now":5}}"#).unwrap(), tick);
}
