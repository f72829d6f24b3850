//! Who is believed by the publisher of trajectories, without a graph: others that command, two that propose, the emergency stop before there is a
//! robot, and descriptions that come while armed.
#![allow(clippy::unwrap_used)]

#[path = "support/gantry.rs"]
mod gantry;

use efm_app::Failure;
use efm_app::publisher::motion_report::Phase;
use efm_app::publisher::streaming::{Event, Measured, Outlet, Streaming, Ticked};
use efm_app::publisher::streaming_params;
use efm_config::Params;
use efm_core::{Reason, SenderId, Stamp, Trajectory, TrajectoryPoint};
use efm_safety::{ControllerFault, Execution, IdleReason, StopReason, VerifiedWindow};
use gantry::{JOINTS, MS, urdf};
use serde_json::json;
use std::borrow::Cow;

const A: SenderId = SenderId([1; 16]);
const B: SenderId = SenderId([2; 16]);

/// The robot is where the last window put it.
#[derive(Default)]
struct Sent {
    windows: usize,
    at: Vec<f64>,
}

impl Outlet for Sent {
    fn send(&mut self, windows: &[VerifiedWindow], _: Stamp) -> Result<usize, Failure> {
        self.windows += 1;
        self.at = windows[0].positions(0).to_vec();
        Ok(windows.len())
    }

    fn tell(&mut self, _: &Execution, _: &[VerifiedWindow]) -> Result<(), Failure> {
        Ok(())
    }

    fn rest(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

struct Rig {
    streaming: Streaming,
    sent: Sent,
    now: i64,
}

impl Rig {
    fn new(armed: bool) -> Self {
        let params = json!({
            "joint_limits_file": "limits.yaml", "controllers.gantry": JOINTS, "check_collisions": false, "armed_at_start": armed,
        });
        let params = Params::from_json(streaming_params::specs(), &serde_json::from_value(params).unwrap()).unwrap();
        let streaming = Streaming::new(&params, &gantry::files(gantry::LIMIT)).unwrap();
        let sent = Sent { windows: 0, at: vec![0.0, 0.0, 0.3, 0.02] };
        let mut rig = Self { streaming, sent, now: 1_000_000 * MS };
        rig.on(Event::Listeners { now: rig.now, listening: vec![true].into() }).unwrap();
        rig
    }

    /// With a robot, and joint states for as long as a start needs.
    fn ready(armed: bool) -> Self {
        let mut rig = Self::new(armed);
        rig.describe(&urdf()).unwrap();
        rig.ticks(40);
        rig
    }

    /// Through its text: what is traced is what is done again.
    fn on(&mut self, event: Event<'_>) -> Result<String, Reason> {
        let text = serde_json::to_string(&event).unwrap();
        self.streaming.on(&serde_json::from_str(&text).unwrap())
    }

    fn describe(&mut self, text: &str) -> Result<String, Reason> {
        self.on(Event::Description { now: self.now, urdf: Cow::Borrowed(text) })
    }

    fn arm(&mut self, armed: bool) {
        self.on(Event::Arm { now: self.now, armed }).unwrap();
    }

    fn other(&mut self) {
        let by = Cow::Borrowed("node '/teleop' sends on '/gantry/joint_trajectory' too");
        self.on(Event::OtherCommands { now: self.now, controller: 0, by }).unwrap();
    }

    /// So many decisions; the last, and how many windows they brought.
    fn ticks(&mut self, number: usize) -> (Option<Phase>, usize) {
        let (before, mut last) = (self.sent.windows, None);
        for _ in 0..number {
            self.now += 10 * MS;
            let joints = Measured {
                stamp: self.now - 2 * MS,
                age: 0.002,
                positions: Cow::Owned(self.sent.at.clone()),
                velocities: vec![0.0; 4].into(),
                stamps: Cow::default(),
                sources: Cow::default(),
                velocity_told: true,
                contradiction: None,
            };
            let ticked = self.streaming.tick(Stamp::from_nanos(self.now), Some(&joints), &[], &mut self.sent).unwrap();
            if let Ticked::Decided { phase, .. } = ticked {
                last = Some(phase);
            }
        }
        (last, self.sent.windows - before)
    }

    /// A second of motion from where the robot is.
    fn chunk(&mut self, sender: SenderId, by: f64) -> Result<(), Reason> {
        let from = self.sent.at.clone();
        let point = |k: i64| TrajectoryPoint {
            positions: vec![from[0] + by * (k + 1) as f64 / 50.0, from[1], from[2], from[3]],
            time_from_start: 20 * MS * (k + 1),
            ..TrajectoryPoint::default()
        };
        let chunk = Trajectory {
            stamp: Stamp::from_nanos(self.now - 10 * MS),
            joint_names: JOINTS.map(str::to_owned).to_vec(),
            points: (0..50).map(point).collect(),
            ..Trajectory::default()
        };
        self.streaming.on_chunk(&chunk, sender, Stamp::from_nanos(self.now))
    }
}

fn contested(phase: Option<Phase>) -> bool {
    let latched = |reason: &StopReason| {
        matches!(reason, StopReason::Controller { controller: 0, fault: ControllerFault::Contested })
    };
    matches!(phase, Some(Phase::Idle(IdleReason::Latched(reason))) if latched(&reason))
}

#[test]
fn another_that_commands_ends_all_sending_at_once_until_resume_and_a_second_of_silence() {
    let mut rig = Rig::ready(true);
    rig.chunk(A, 0.05).unwrap();
    assert!(rig.ticks(20).1 > 15);
    rig.other();
    let (phase, windows) = rig.ticks(100);
    assert!(contested(phase) && windows == 0, "not one window more: each would throw the robot back");
    rig.on(Event::Resume).unwrap();
    rig.other();
    assert!(contested(rig.ticks(1).0), "it still sends");
    rig.on(Event::Resume).unwrap();
    rig.ticks(90);
    assert!(rig.chunk(A, 0.05).unwrap_err().text.contains("'/teleop'"));
    rig.ticks(20);
    rig.chunk(A, 0.05).unwrap();
    assert!(rig.ticks(20).1 > 10);
}

#[test]
fn another_that_commands_stops_a_robot_at_rest_that_is_armed_and_delays_one_that_is_not() {
    let mut rig = Rig::ready(true);
    rig.other();
    assert!(contested(rig.ticks(1).0));
    let mut rig = Rig::ready(false);
    rig.other();
    rig.arm(true);
    assert!(rig.chunk(A, 0.05).unwrap_err().text.contains("'/teleop'"));
    assert!(!contested(rig.ticks(101).0), "nothing of ours was at stake");
    rig.ticks(40);
    rig.chunk(A, 0.05).unwrap();
}

#[test]
fn chunks_of_a_second_sender_are_not_looked_at_and_its_broken_ones_stop_nobody() {
    let mut rig = Rig::ready(true);
    rig.chunk(A, 0.05).unwrap();
    for _ in 0..10 {
        rig.ticks(5);
        assert!(rig.chunk(B, -0.05).is_err() && rig.chunk(B, f64::NAN).is_err());
        rig.chunk(A, 0.05).unwrap();
    }
    assert!(rig.sent.at[0] > 0.0 && rig.ticks(10).1 > 5);
    assert_eq!(rig.streaming.chunks_of().unwrap().0, A);
    // Its silence, or its end.
    rig.ticks(102);
    rig.chunk(B, -0.05).unwrap();
    assert!(rig.chunk(A, 0.05).is_err());
    rig.on(Event::ChunkSenderGone { sender: B }).unwrap();
    rig.ticks(1);
    rig.chunk(A, 0.05).unwrap();
}

#[test]
fn an_emergency_stop_before_there_is_a_robot_holds_once_there_is_one_until_it_is_armed() {
    let mut rig = Rig::new(true);
    rig.on(Event::EmergencyStop).unwrap();
    rig.describe(&urdf()).unwrap();
    let emergency =
        |phase: Option<Phase>| matches!(phase, Some(Phase::Idle(IdleReason::Latched(StopReason::Emergency))));
    assert!(emergency(rig.ticks(40).0) && rig.streaming.is_emergency() && !rig.streaming.armed());
    rig.on(Event::Resume).unwrap();
    assert!(emergency(rig.ticks(1).0) && rig.chunk(A, 0.05).is_err());
    // Another description is no reason to forget it either.
    rig.describe(&urdf().replace("<robot", "<!-- x --><robot")).unwrap();
    assert!(emergency(rig.ticks(1).0));
    rig.arm(true);
    rig.ticks(40);
    rig.chunk(A, 0.05).unwrap();
    assert!(!rig.streaming.is_emergency() && rig.ticks(20).1 > 10);
}

#[test]
fn another_description_waits_until_the_robot_is_disarmed_and_at_rest_and_only_the_newest_counts() {
    let mut rig = Rig::ready(true);
    assert!(rig.streaming.take_redescribed().is_some());
    let slower = |velocity: &str| {
        let text = urdf();
        let at = text.find("velocity=\"").unwrap() + 10;
        let end = at + text[at..].find('"').unwrap();
        format!("{}{velocity}{}", &text[..at], &text[end..])
    };
    let limit = |rig: &Rig| rig.streaming.streamer().unwrap().limits().velocity()[0];
    let before = limit(&rig);
    rig.chunk(A, 0.05).unwrap();
    rig.ticks(10);
    assert!(rig.describe(&slower("0.011")).unwrap_err().text.contains("while armed"));
    assert!(rig.describe(&slower("0.012")).is_err());
    assert!(rig.streaming.is_described_by(&slower("0.012")), "the same once more is no news");
    // Back to what holds: nothing waits any more.
    assert!(rig.describe(&urdf()).is_ok() && rig.streaming.description_waits() == (false, false));
    assert!(rig.describe(&slower("0.013")).is_err());
    rig.ticks(5);
    assert_eq!((limit(&rig), rig.streaming.take_redescribed()), (before, None));
    // Disarmed in motion: it holds at rest, not on the way.
    rig.arm(false);
    assert!(rig.ticks(1).1 == 1 && limit(&rig) == before);
    rig.ticks(100);
    assert_eq!(limit(&rig), 0.013);
    let told = rig.streaming.take_redescribed().unwrap();
    assert!(told.contains("1 joint with other limits: 'slide_x'"), "{told}");
    // Disarmed, it is taken at once; one that does not fit is no robot.
    rig.describe(&slower("0.014")).unwrap();
    assert_eq!(limit(&rig), 0.014);
    rig.describe("<robot name=\"other\"><link name=\"base\"/></robot>").unwrap();
    assert!(rig.streaming.take_redescribed().unwrap().contains("does not fit"));
    assert!(rig.on(Event::Arm { now: rig.now, armed: true }).is_err());
}

#[test]
fn a_description_that_waits_is_taken_before_the_robot_is_armed_again() {
    let mut rig = Rig::ready(true);
    let other = urdf().replace("<robot", "<!-- other --><robot");
    assert!(rig.describe(&other).is_err());
    rig.arm(false);
    rig.arm(true);
    assert!(rig.streaming.is_described_by(&other) && rig.streaming.description_waits() == (false, false));
}

#[test]
fn a_trace_from_before_senders_were_noted_is_read() {
    let event: Event<'_> = serde_json::from_str(r#"{"chunk":{"now":9,"stamp":3}}"#).unwrap();
    assert_eq!(event, Event::Chunk { now: 9, stamp: 3, sender: SenderId::UNKNOWN });
    assert_eq!(serde_json::to_string(&event).unwrap(), r#"{"chunk":{"now":9,"stamp":3}}"#);
}

/// A chunk for the robot as it stands, with one value changed by `change`.
fn offered(rig: &mut Rig, sender: SenderId, change: impl FnOnce(&mut Trajectory)) -> Result<(), Reason> {
    let at = rig.sent.at.clone();
    let point = |k: i64| TrajectoryPoint {
        positions: at.clone(),
        time_from_start: 20 * MS * (k + 1),
        ..TrajectoryPoint::default()
    };
    let mut chunk = Trajectory {
        stamp: Stamp::from_nanos(rig.now - 10 * MS),
        joint_names: JOINTS.map(str::to_owned).to_vec(),
        points: (0..50).map(point).collect(),
        ..Trajectory::default()
    };
    change(&mut chunk);
    rig.streaming.on_chunk(&chunk, sender, Stamp::from_nanos(rig.now))
}

#[test]
fn every_refused_chunk_has_the_code_of_its_cause() {
    let refused = |rig: &mut Rig, change: fn(&mut Trajectory)| offered(rig, A, change).unwrap_err().code;
    let same = |_: &mut Trajectory| {};
    assert_eq!(refused(&mut Rig::new(true), same), "no_robot_description");
    assert_eq!(refused(&mut Rig::ready(false), same), "disarmed");

    let mut rig = Rig::ready(true);
    assert_eq!(refused(&mut rig, |chunk| chunk.points[3].positions[1] = f64::NAN), "chunk_not_finite");
    assert_eq!(refused(&mut rig, |chunk| chunk.points.clear()), "chunk_malformed");
    assert_eq!(refused(&mut rig, |chunk| chunk.joint_names[0] = "thumb".to_owned()), "chunk_joint_unknown");
    // Three in a row that nobody could follow: that is a stop, with a code of its own.
    assert_eq!(refused(&mut rig, same), "bad_chunks");
    // So many rows are no look ahead; as many as are taken are.
    let mut rig = Rig::ready(true);
    let rows = |rig: &mut Rig, count: usize| {
        offered(rig, A, |chunk| {
            let first = chunk.points[0].clone();
            let point = |k: i64| TrajectoryPoint { time_from_start: MS * (k + 1), ..first.clone() };
            chunk.points = (0..count as i64).map(point).collect();
        })
    };
    for count in [1001, 20_000] {
        let reason = rows(&mut rig, count).unwrap_err();
        assert_eq!(reason.code, "chunk_malformed");
        let words = format!("the action chunk has {count} rows (points); at most 1000 are taken");
        assert!(reason.in_words().contains(&words), "{}", reason.in_words());
    }
    assert_eq!(rows(&mut rig, 1000), Ok(()));
    let mut rig = Rig::ready(true);
    assert_eq!(refused(&mut rig, |chunk| chunk.stamp = chunk.stamp.offset_nanos(-9_000 * MS)), "chunk_too_old");
    assert_eq!(refused(&mut rig, |chunk| chunk.stamp = chunk.stamp.offset_nanos(9_000 * MS)), "chunk_from_the_future");
    assert_eq!(offered(&mut rig, A, same), Ok(()));
    assert_eq!(offered(&mut rig, B, same).unwrap_err().code, "chunk_of_another_sender");
    assert_eq!(refused(&mut rig, same), "chunk_not_newer");

    let cases: [(&str, Event<'_>); 5] = [
        ("goal_of_another", Event::Goal { now: rig.now, controller: 0, active: true }),
        ("controller_missing", Event::Listeners { now: rig.now, listening: vec![false].into() }),
        ("surroundings_unknown", Event::Surroundings { now: rig.now, trouble: Some("frame 'agv' is unknown".into()) }),
        ("no_goal", Event::Instruction { now: rig.now, text: "".into() }),
        ("stop_requested", Event::Stop { now: rig.now }),
    ];
    for (code, event) in cases {
        let mut rig = Rig::ready(true);
        rig.on(event).unwrap();
        assert_eq!(refused(&mut rig, same), code);
    }
}

#[test]
fn what_is_asked_for_and_not_done_has_the_code_of_its_cause() {
    let mut rig = Rig::new(true);
    assert_eq!(rig.on(Event::Resume).unwrap_err().code, "no_robot_description");
    let without = rig.describe("<robot name='none'><link name='a'/></robot>");
    assert_eq!(without, Ok(String::new()), "it is taken, and told of by the filter that there is not");
    assert_eq!(rig.on(Event::Arm { now: rig.now, armed: true }).unwrap_err().code, "description_does_not_fit");
    let mut rig = Rig::ready(true);
    let other = urdf().replacen("<robot", "<!-- another --><robot", 1);
    assert_eq!(rig.describe(&other).unwrap_err().code, "description_waits");
    assert_eq!(rig.on(Event::SpeedScale(1.5)).unwrap_err().code, "speed_scale");
    for wrong in [-0.5, f64::NAN, f64::INFINITY] {
        assert_eq!(rig.on(Event::LowerSpeedScale(wrong)).unwrap_err().code, "speed_scale", "{wrong}");
    }
}
