//! Monitors of another crate, before the publisher of trajectories: what they say is told, is done again by a replay, and goes on with another description.
#![allow(clippy::unwrap_used)]

#[path = "support/gantry.rs"]
mod gantry;

use efm_app::Failure;
use efm_app::publisher::motion_report::{Around, Phase, SlowBy, explain};
use efm_app::publisher::streaming::{Event, Measured, Outlet, Streaming, Ticked};
use efm_app::publisher::streaming_params;
use efm_config::Params;
use efm_core::{Level, Reason, SenderId, Stamp, Trajectory, TrajectoryPoint};
use efm_safety::{Execution, IdleReason, Latch, Moment, Monitor, Occasion, StopReason, Verdict, VerifiedWindow};
use gantry::{JOINTS, MS, urdf};
use serde_json::json;
use std::borrow::Cow;

/// Says what a function says; how often it was asked in motion is what it knows.
struct Says {
    say: fn(usize, &Moment<'_>) -> Verdict,
    asked: usize,
}

impl Monitor for Says {
    fn name(&self) -> &'static str {
        "says"
    }

    fn judge(&mut self, moment: &Moment<'_>) -> Verdict {
        self.asked += usize::from(moment.moves());
        (self.say)(self.asked, moment)
    }
}

fn hot() -> Reason {
    Reason::new("motor_hot", Level::Error, "the motor of joint 'slide_x' is hot", "let it cool down")
}

/// The robot is where the last window put it.
#[derive(Default)]
struct Sent {
    windows: Vec<(i64, Vec<Vec<u64>>)>,
    at: Vec<f64>,
}

impl Outlet for Sent {
    fn send(&mut self, windows: &[VerifiedWindow], _: Stamp) -> Result<usize, Failure> {
        let bits = |k| windows[0].positions(k).iter().map(|p: &f64| p.to_bits()).collect();
        self.windows.push((windows[0].stamp().nanos(), (0..windows[0].len()).map(bits).collect()));
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

/// What is traced, and the chunk that goes with it.
type Traced = Vec<(String, Option<Trajectory>)>;

struct Rig {
    streaming: Streaming,
    sent: Sent,
    now: i64,
    traced: Traced,
}

impl Rig {
    fn bare(say: fn(usize, &Moment<'_>) -> Verdict) -> Self {
        let params = json!({
            "joint_limits_file": "limits.yaml", "controllers.gantry": JOINTS, "check_collisions": false, "armed_at_start": true,
        });
        let params = Params::from_json(streaming_params::specs(), &serde_json::from_value(params).unwrap()).unwrap();
        let streaming = Streaming::new(&params, &gantry::files(gantry::LIMIT)).unwrap();
        let streaming = streaming.watched_by(vec![Box::new(Says { say, asked: 0 })]);
        let sent = Sent { windows: Vec::new(), at: vec![0.0, 0.0, 0.3, 0.02] };
        Self { streaming, sent, now: 1_000_000 * MS, traced: Vec::new() }
    }

    fn new(say: fn(usize, &Moment<'_>) -> Verdict) -> Self {
        let mut rig = Self::bare(say);
        rig.on(&Event::Listeners { now: rig.now, listening: vec![true].into() }).unwrap();
        rig.on(&Event::Description { now: rig.now, urdf: urdf().into() }).unwrap();
        rig.ticks(40);
        rig
    }

    /// It is traced, and done as the trace has it.
    fn on(&mut self, event: &Event<'_>) -> Result<String, Reason> {
        let text = serde_json::to_string(event).unwrap();
        self.traced.push((text.clone(), None));
        self.streaming.on(&serde_json::from_str(&text).unwrap())
    }

    fn tick(&mut self, now: i64, joints: &Measured<'_>) -> Option<Phase> {
        match self.streaming.tick(Stamp::from_nanos(now), Some(joints), &[], &mut self.sent).unwrap() {
            Ticked::Decided { phase, .. } => Some(phase),
            Ticked::Held => None,
        }
    }

    /// So many decisions; the last.
    fn ticks(&mut self, number: usize) -> Option<Phase> {
        let mut last = None;
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
            let event =
                Event::Tick { now: self.now, joints: Some(joints.clone()), others: Cow::default(), unreadable: false };
            self.traced.push((serde_json::to_string(&event).unwrap(), None));
            last = self.tick(self.now, &joints).or(last);
        }
        last
    }

    /// A second of motion from where the robot is.
    fn chunk(&mut self) -> Result<(), Reason> {
        let from = self.sent.at.clone();
        let point = |k: i64| TrajectoryPoint {
            positions: vec![from[0] + 0.2 * (k + 1) as f64 / 50.0, from[1], from[2], from[3]],
            time_from_start: 20 * MS * (k + 1),
            ..TrajectoryPoint::default()
        };
        let chunk = Trajectory {
            stamp: Stamp::from_nanos(self.now - 10 * MS),
            joint_names: JOINTS.map(str::to_owned).to_vec(),
            points: (0..50).map(point).collect(),
            ..Trajectory::default()
        };
        let sender = SenderId([1; 16]);
        let event = Event::Chunk { now: self.now, stamp: chunk.stamp.nanos(), sender };
        self.traced.push((serde_json::to_string(&event).unwrap(), Some(chunk.clone())));
        self.streaming.on_chunk(&chunk, sender, Stamp::from_nanos(self.now))
    }

    fn words(&self, phase: Option<Phase>) -> (Level, String) {
        let slow = self.streaming.streamer().ok().and_then(SlowBy::now);
        let around = Around { slow, chunk_silence: Some(0.1), ..Around::default() };
        let said = explain(&phase.unwrap(), &around, self.streaming.joints());
        (said.severity, said.in_words())
    }

    /// What a run was, once more from its trace; what was sent then.
    fn again(traced: &Traced, say: fn(usize, &Moment<'_>) -> Verdict) -> Vec<(i64, Vec<Vec<u64>>)> {
        let mut rig = Self::bare(say);
        for (text, chunk) in traced {
            match serde_json::from_str(text).unwrap() {
                Event::Tick { now, joints, .. } => drop(rig.tick(now, &joints.unwrap())),
                Event::Chunk { now, sender, .. } => {
                    let _ = rig.streaming.on_chunk(chunk.as_ref().unwrap(), sender, Stamp::from_nanos(now));
                }
                event => drop(rig.streaming.on(&event)),
            }
        }
        rig.sent.windows
    }
}

#[test]
fn a_refused_chunk_is_refused_in_the_monitors_words() {
    let mut rig = Rig::new(|_, moment| match moment.occasion {
        Occasion::Offer(_) => Verdict::Refuse(hot()),
        _ => Verdict::Go,
    });
    let refused = rig.chunk().unwrap_err();
    assert_eq!(refused.code, "motor_hot");
    assert_eq!(&*refused.text, "monitor 'says': the motor of joint 'slide_x' is hot");
    assert_eq!(&*refused.remedy, "let it cool down");
}

#[test]
fn a_latched_stop_says_who_why_what_to_do_and_the_way_out() {
    let mut rig = Rig::new(|asked, moment| match moment.occasion {
        Occasion::Motion if asked == 20 => Verdict::Stop(hot(), Latch::UntilResume),
        _ => Verdict::Go,
    });
    rig.chunk().unwrap();
    let phase = rig.ticks(20);
    let words = "monitor 'says': the motor of joint 'slide_x' is hot; let it cool down; call ~/resume when it is safe";
    assert_eq!(rig.words(phase), (Level::Warn, format!("coming to rest: {words}")));
    let phase = rig.ticks(100);
    assert!(matches!(phase, Some(Phase::Idle(IdleReason::Latched(StopReason::Monitor { .. })))));
    assert_eq!(rig.words(phase), (Level::Error, format!("at rest: {words}")));
    assert!(rig.chunk().unwrap_err().text.contains("the motor of joint 'slide_x' is hot"));
    let said = rig.on(&Event::Resume).unwrap();
    assert!(said.contains("the motor of joint 'slide_x' is hot"), "{said}");
    rig.ticks(20);
    rig.chunk().unwrap();
    assert_eq!(rig.ticks(5), Some(Phase::Following));
}

#[test]
fn what_lets_no_motion_begin_and_what_slows_one_to_nothing_is_told() {
    let mut rig = Rig::new(|asked, moment| match moment.occasion {
        Occasion::Start if moment.now < Stamp::from_nanos(1_000_500 * MS) => Verdict::Refuse(hot()),
        Occasion::Motion if asked < 60 => Verdict::Slow(0.0),
        Occasion::Motion if asked == 100 => Verdict::Stop(hot(), Latch::UntilRest),
        _ => Verdict::Go,
    });
    rig.chunk().unwrap();
    let phase = rig.ticks(5);
    let words = "at rest: monitor 'says' lets no motion begin: the motor of joint 'slide_x' is hot; let it cool down";
    assert_eq!(rig.words(phase), (Level::Error, words.to_owned()));
    let phase = rig.ticks(20);
    let words = "following action chunks, but nothing moves: monitor 'says' allows 0.0 of its speed; it goes on when that allows more";
    assert_eq!(rig.words(phase), (Level::Warn, words.to_owned()));
    for _ in 0..40 {
        rig.ticks(5);
        let _ = rig.chunk();
    }
    let phase = rig.ticks(300);
    assert!(matches!(phase, Some(Phase::Idle(IdleReason::NoChunk(_)))), "{phase:?}");
}

#[test]
fn two_monitors_or_two_reasons_of_one_are_told_apart_and_figures_are_not() {
    let stop = |monitor, code, text: &str| {
        let reason = Reason::new(code, Level::Error, text.to_owned(), "");
        Phase::Idle(IdleReason::Latched(StopReason::Monitor { monitor, reason, latch: Latch::UntilResume }))
    };
    let one = stop("a", "hot", "it is 81 degrees hot");
    assert!(one.is_like(&stop("a", "hot", "it is 82 degrees hot")));
    assert!(!one.is_like(&stop("b", "hot", "it is 81 degrees hot")) && !one.is_like(&stop("a", "wet", "it is wet")));
    let waits = |monitor| {
        Phase::Idle(IdleReason::Monitor { monitor, reason: Reason::new("hot", Level::Error, "it is hot", "") })
    };
    assert!(waits("a").is_like(&waits("a")) && !waits("a").is_like(&waits("b")) && !waits("a").is_like(&one));
}

#[test]
fn another_description_keeps_the_monitors_with_what_they_know() {
    let mut rig = Rig::new(|asked, _| if asked > 30 { Verdict::Refuse(hot()) } else { Verdict::Go });
    rig.chunk().unwrap();
    rig.ticks(200);
    assert!(rig.chunk().is_err());
    rig.on(&Event::Arm { now: rig.now, armed: false }).unwrap();
    rig.ticks(10);
    // One that does not fit, and then another that does.
    let _ = rig.on(&Event::Description { now: rig.now, urdf: "<robot name='none'><link name='a'/></robot>".into() });
    assert!(rig.streaming.streamer().is_err());
    let other = urdf().replace("<robot", "<!-- another --><robot");
    rig.on(&Event::Description { now: rig.now, urdf: other.into() }).unwrap();
    rig.ticks(40);
    rig.on(&Event::Arm { now: rig.now, armed: true }).unwrap();
    rig.ticks(40);
    assert!(rig.chunk().unwrap_err().text.starts_with("monitor 'says'"));
}

#[test]
fn a_replay_with_the_same_monitors_comes_to_the_same_bits_and_without_them_to_others() {
    let says: fn(usize, &Moment<'_>) -> Verdict = |asked, moment| match (asked % 200, moment.occasion) {
        (0, Occasion::Offer(_)) if asked > 0 => Verdict::Refuse(hot()),
        (90, Occasion::Motion) => Verdict::Stop(hot(), Latch::UntilRest),
        (20..80, Occasion::Motion) => Verdict::Slow(0.3),
        _ => Verdict::Go,
    };
    let mut rig = Rig::new(says);
    for _ in 0..30 {
        let _ = rig.chunk();
        rig.ticks(20);
    }
    assert!(rig.sent.windows.len() > 200);
    assert!(Rig::again(&rig.traced, says) == rig.sent.windows);
    assert!(Rig::again(&rig.traced, |_, _| Verdict::Go) != rig.sent.windows);
}
