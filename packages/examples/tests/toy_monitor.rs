//! A filter that the toy monitor watches, before a robot of one joint that goes where it is sent.
#![allow(clippy::unwrap_used)]

use efm_core::{ActionChunk, JointLimits, JointNames, JointSample, Stamp};
use efm_examples::toy_monitor::ToyMonitor;
use efm_safety::{
    Activity, ControllerSpec, IdleReason, Latch, Limits, Moment, Monitor, PathLimit, StopReason, StreamConfig, Tick,
    TrajectoryStreamer, Verdict,
};

/// What became of a second of motion at 0.8 rad/s.
struct Ran {
    /// Where the joint was, tick by tick, rad.
    went: Vec<f64>,
    limits: Vec<PathLimit>,
    stopping: Option<StopReason>,
    idle: Option<IdleReason>,
}

/// `pushed`: what is measured besides the speed that is commanded, rad/s, between 0.5 s and 0.6 s.
fn run(monitors: Vec<Box<dyn Monitor + Send>>, pushed: f64) -> Ran {
    let joints = JointNames::new(["joint"]).unwrap();
    let limits = JointLimits { lower: -3.0, upper: 3.0, velocity: 2.0, acceleration: 5.0, jerk: 100.0 };
    let limits = Limits::new(joints.clone(), &[limits]).unwrap();
    let controllers = vec![ControllerSpec { name: "arm".into(), joints: joints.clone() }];
    let mut streamer = TrajectoryStreamer::new(limits, controllers, StreamConfig::default()).unwrap();
    streamer.add_monitors(monitors);
    let at = |tick: i64| Stamp::from_nanos(1_000_000_000_000 + tick * 10_000_000);
    streamer.arm(true, at(0));
    let mut ran = Ran { went: Vec::new(), limits: Vec::new(), stopping: None, idle: None };
    let (mut place, mut speed) = (0.0, 0.0);
    for tick in 0..300 {
        let now = at(tick);
        if tick == 20 {
            let rows = (1..=20).map(|k| 0.8 * 0.05 * f64::from(k)).collect();
            streamer.offer_chunk(&ActionChunk::new(now, 0.05, joints.clone(), rows).unwrap(), now).unwrap();
        }
        let push = if (50..60).contains(&tick) { pushed } else { 0.0 };
        let measured = JointSample { stamp: now, positions: vec![place], velocities: vec![speed + push] };
        match streamer.tick(now, Some((&measured, 0.0))) {
            Tick::Send(out) => {
                (place, speed) = (out.windows[0].positions(1)[0], out.windows[0].velocities(1)[0]);
                ran.limits.extend(out.report.limited);
                if let Activity::Stopping(reason) = out.activity {
                    ran.stopping.get_or_insert(reason);
                }
            }
            Tick::Idle(reason) => ran.idle = Some(reason),
            Tick::Hold => {}
        }
        ran.went.push(place);
    }
    ran
}

fn toy(fast: f64) -> Vec<Box<dyn Monitor + Send>> {
    vec![Box::new(ToyMonitor::new(fast))]
}

#[test]
fn it_slows_down_where_a_joint_is_fast() {
    let (free, slow) = (run(Vec::new(), 0.0), run(toy(0.45), 0.0));
    assert!(slow.limits.contains(&PathLimit::Monitor("toy")) && !free.limits.contains(&PathLimit::Monitor("toy")));
    let behind = free.went.iter().zip(&slow.went).map(|(free, slow)| free - slow).fold(0.0, f64::max);
    assert!(behind > 0.1, "{behind}");
    // Where nothing is that fast it is as without.
    assert_eq!(run(toy(10.0), 0.0).went, free.went);
}

#[test]
fn it_stops_where_a_joint_is_too_fast_and_says_what_to_do() {
    let stopped = run(toy(1.0), 5.0);
    let Some(IdleReason::Latched(StopReason::Monitor { monitor, reason, latch })) = stopped.idle else {
        panic!("{:?}", stopped.idle)
    };
    assert_eq!((monitor, reason.code, latch), ("toy", "joint_too_fast", Latch::UntilResume));
    assert_eq!(reason.in_words(), "a joint moves at more than 2 a second; look at who moves it");
    assert!(stopped.went[299] < run(Vec::new(), 0.0).went[299]);
}

/// Says what a function says, from when the joint has gone 0.1 rad.
struct Broken(fn() -> Verdict, bool);

impl Monitor for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn judge(&mut self, moment: &Moment<'_>) -> Verdict {
        self.1 |= moment.commanded(0, moment.now).is_some_and(|position| position > 0.1);
        if self.1 { (self.0)() } else { Verdict::Go }
    }
}

#[test]
fn one_that_is_broken_makes_nothing_faster() {
    let free = run(Vec::new(), 0.0);
    // Above 1 is 1.
    assert_eq!(run(vec![Box::new(Broken(|| Verdict::Slow(2.0), false))], 0.0).went, free.went);
    // What is no number, and a panic, are a latched stop.
    let broken: [fn() -> Verdict; 2] = [|| Verdict::Slow(f64::NAN), || panic!("on purpose")];
    for say in broken {
        let ran = run(vec![Box::new(Broken(say, false))], 0.0);
        assert!(matches!(ran.stopping, Some(StopReason::Monitor { monitor: "broken", .. })));
        assert!(matches!(ran.idle, Some(IdleReason::Latched(StopReason::Monitor { .. }))));
        assert!(ran.went[299] > 0.1 && ran.went[299] < free.went[299]);
        assert!(ran.went.iter().zip(&free.went).all(|(with, without)| *with <= without + 1e-12));
    }
}
