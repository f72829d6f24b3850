//! The promises of the stream, under arbitrary chunks, timings and interruptions.
#![allow(clippy::unwrap_used)]

#[path = "support/panda.rs"]
mod panda;

use efm_core::{ActionChunk, JointNames};
use efm_safety::{IdleReason, OfferRefusal, StopReason, Tick, TrajectoryStreamer};
use panda::*;
use proptest::prelude::*;

/// The shape of a chunk, hostile or not.
#[derive(Debug, Clone)]
enum Shape {
    /// Every row somewhere, up to this far from home.
    Scattered(f64),
    /// A straight line with this speed.
    Ramp(f64),
    /// To and fro by this much.
    Zigzag(f64),
    /// One place.
    Hold(f64),
    /// A number that no joint reaches.
    Absurd(f64),
}

#[derive(Debug, Clone)]
enum Event {
    Ticks(usize),
    /// A tick this many microseconds late.
    Late(i64),
    Chunk {
        shape: Shape,
        rows: usize,
        step: f64,
        age: f64,
        seed: u64,
    },
    Cancel,
    Stop,
    Resume,
    Arm(bool),
    /// Ticks without a joint state.
    Blind(usize),
    /// The robot is this far from where it should be, for one tick.
    Bumped(f64),
    ClockBack(i64),
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        (0.0..4.0f64).prop_map(Shape::Scattered),
        (-6.0..6.0f64).prop_map(Shape::Ramp),
        (0.0..1.0f64).prop_map(Shape::Zigzag),
        (-4.0..4.0f64).prop_map(Shape::Hold),
        prop_oneof![Just(1e300), Just(-1e300), Just(f64::MAX), Just(1e4)].prop_map(Shape::Absurd),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let chunk = (
        shape(),
        1..20usize,
        prop_oneof![Just(0.1), Just(0.02), Just(0.001), Just(0.5), Just(1e-9), Just(1e300)],
        -0.2..0.6f64,
        any::<u64>(),
    );
    prop_oneof![
        6 => (1..60usize).prop_map(Event::Ticks),
        2 => (0..200_000i64).prop_map(Event::Late),
        6 => chunk.prop_map(|(shape, rows, step, age, seed)| Event::Chunk { shape, rows, step, age, seed }),
        1 => Just(Event::Cancel),
        1 => Just(Event::Stop),
        2 => Just(Event::Resume),
        1 => any::<bool>().prop_map(Event::Arm),
        1 => Just(Event::Arm(true)),
        1 => (1..20usize).prop_map(Event::Blind),
        1 => (0.0..0.5f64).prop_map(Event::Bumped),
        1 => (1..2_000_000_000i64).prop_map(Event::ClockBack),
    ]
}

fn make(shape: &Shape, rows: usize, step: f64, observed: f64, seed: u64) -> ActionChunk {
    let mut state = seed | 1;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 31) as f64 * 2.0 - 1.0
    };
    let mut values = Vec::new();
    for k in 0..rows {
        for (j, home) in HOME.iter().enumerate() {
            let scale = if j == FINGER { 0.02 } else { 1.0 };
            values.push(match shape {
                Shape::Scattered(far) => home + scale * far * random(),
                Shape::Ramp(speed) => home + scale * speed * step.min(1.0) * k as f64,
                Shape::Zigzag(far) => home + scale * far * if k % 2 == 0 { 1.0 } else { -1.0 },
                Shape::Hold(far) => home + scale * far,
                Shape::Absurd(value) => {
                    if k == rows / 2 {
                        *value
                    } else {
                        *home
                    }
                }
            });
        }
    }
    ActionChunk::new(at(observed), step, names(), values).unwrap()
}

struct Run {
    streamer: TrajectoryStreamer,
    recorder: Recorder,
    nanos: i64,
    /// Something was taken since the last time that nothing was sent.
    offered: bool,
    idle: bool,
}

impl Run {
    fn new() -> Self {
        Self::with(streamer())
    }

    fn with(streamer: TrajectoryStreamer) -> Self {
        let mut recorder = Recorder::new();
        recorder.limits = streamer.limits().clone();
        let mut run = Self { streamer, recorder, nanos: 0, offered: false, idle: true };
        run.tick(0.0, true);
        run
    }

    fn tick(&mut self, offset: f64, seen: bool) {
        let now = at(self.nanos as f64 * 1e-9);
        let mut position = self.recorder.position(now, &HOME);
        position[2] += offset;
        let measured = sample(now, &position);
        let armed = self.streamer.is_armed();
        match self.streamer.tick(now, seen.then_some((&measured, 0.002))) {
            Tick::Send(out) => {
                assert!(!self.idle || (armed && self.offered), "a message out of nothing");
                if self.idle {
                    for (start, stands) in out.windows[0].positions(0).iter().zip(&position) {
                        assert!((start - stands).abs() <= 0.05 + 1e-9, "a joint starts at {start}");
                    }
                }
                self.recorder.take(now, &out);
                self.idle = false;
                self.offered = false;
            }
            Tick::Hold => {}
            Tick::Idle(reason) => {
                let broken = matches!(reason, IdleReason::Latched(StopReason::Internal(_)));
                assert!(!broken, "{reason:?}");
                if !self.idle {
                    self.recorder.finish();
                    self.recorder.new_motion();
                }
                self.idle = true;
            }
        }
    }

    fn apply(&mut self, event: &Event) {
        let now = at(self.nanos as f64 * 1e-9);
        match event {
            Event::Ticks(n) => {
                for _ in 0..*n {
                    self.nanos += PERIOD;
                    self.tick(0.0, true);
                }
            }
            Event::Late(micros) => {
                self.nanos += PERIOD + micros * 1000;
                self.tick(0.0, true);
            }
            Event::Chunk { shape, rows, step, age, seed } => {
                let chunk = make(shape, *rows, *step, self.nanos as f64 * 1e-9 - age, *seed);
                match self.streamer.offer_chunk(&chunk, now) {
                    Ok(_) => {
                        assert!(!matches!(shape, Shape::Absurd(_)), "an absurd chunk was taken");
                        self.offered = true;
                    }
                    Err(OfferRefusal::Disarmed) => assert!(!self.streamer.is_armed()),
                    Err(_) => {}
                }
            }
            Event::Cancel => self.streamer.cancel(now),
            Event::Stop => self.streamer.stop(now),
            Event::Resume => self.streamer.resume(),
            Event::Arm(armed) => self.streamer.arm(*armed, now),
            Event::Blind(n) => {
                for _ in 0..*n {
                    self.nanos += PERIOD;
                    self.tick(0.0, false);
                }
            }
            Event::Bumped(far) => {
                self.nanos += PERIOD;
                self.tick(*far, true);
            }
            Event::ClockBack(nanos) => {
                self.nanos -= nanos;
                self.tick(0.0, true);
                assert!(self.idle, "sent in spite of a clock that went back");
                self.offered = false;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_window_keeps_every_promise(events in prop::collection::vec(event(), 1..40)) {
        let mut run = Run::new();
        run.streamer.arm(true, at(0.0));
        for event in &events {
            run.apply(event);
        }
        // Left alone, it comes to rest and falls silent.
        run.apply(&Event::Cancel);
        run.apply(&Event::Ticks(400));
        prop_assert!(run.idle);
    }

    /// Robots far quicker and far slower than a Panda; jerks that build up full acceleration within a step.
    #[test]
    fn every_promise_holds_whatever_the_limits(
        events in prop::collection::vec(event(), 1..20),
        velocity in -1.0..0.3f64,
        acceleration in -1.0..0.5f64,
        jerk in -1.0..2.0f64,
    ) {
        let limits = scaled_limits(10f64.powf(velocity), 10f64.powf(acceleration), 10f64.powf(jerk));
        let mut run = Run::with(streamer_with(limits, config()));
        run.streamer.arm(true, at(0.0));
        for event in &events {
            run.apply(event);
        }
        run.apply(&Event::Cancel);
        run.apply(&Event::Ticks(3000));
        prop_assert!(run.idle);
    }

    #[test]
    fn nothing_is_sent_before_arming(events in prop::collection::vec(event(), 1..20)) {
        let mut run = Run::new();
        for event in events.iter().filter(|e| !matches!(e, Event::Arm(_))) {
            run.apply(event);
        }
        prop_assert_eq!(run.recorder.sent, 0);
    }

    #[test]
    fn the_order_of_a_chunks_joints_does_not_matter(seed: u64, far in 0.0..0.5f64, order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle()) {
        let plain = make(&Shape::Scattered(far), 10, 0.1, 0.0, seed);
        let joints = JointNames::new(order.iter().map(|j| names().as_slice()[*j].clone())).unwrap();
        let shuffled = (0..10).flat_map(|k| order.iter().map(move |j| (k, *j))).map(|(k, j)| plain.row(k)[j]).collect();
        let shuffled = ActionChunk::new(at(0.0), 0.1, joints, shuffled).unwrap();
        let follow = |chunk: &ActionChunk| {
            let mut run = Run::new();
            run.streamer.arm(true, at(0.0));
            run.streamer.offer_chunk(chunk, at(0.0)).unwrap();
            run.offered = true;
            run.apply(&Event::Ticks(200));
            run.recorder.followed
        };
        let followed = follow(&plain);
        prop_assert!(followed.len() > 100);
        prop_assert_eq!(followed, follow(&shuffled));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Other periods, horizons and skews: here the crate's own verifier is the judge.
    #[test]
    fn every_promise_holds_whatever_the_grid(
        period in prop_oneof![Just(0.002), Just(0.005), Just(0.0125), Just(0.02)],
        committed in 0.03..0.1f64,
        skew in 0.0..0.02f64,
        seed: u64,
        far in 0.0..2.0f64,
    ) {
        let config = efm_safety::StreamConfig {
            period_s: period, committed_s: committed, clock_skew_s: skew, ..config()
        };
        let mut streamer = streamer_with(limits(), config);
        streamer.arm(true, at(0.0));
        let mut place = HOME;
        let mut sent = 0;
        for tick in 0..(3.0 / period) as i64 {
            let t = tick as f64 * period;
            if tick % 25 == 0 && t < 1.5 {
                let chunk = make(&Shape::Scattered(far), 16, 0.1, t, seed.wrapping_add(tick as u64));
                streamer.offer_chunk(&chunk, at(t)).unwrap();
            }
            match streamer.tick(at(t), Some((&sample(at(t), &place), 0.0))) {
                Tick::Send(out) => {
                    let stamp = out.windows[0].stamp();
                    let age = at(t).seconds_since(stamp);
                    prop_assert!(age >= 0.5 * period + skew - 1e-9 && age <= 1.5 * period + skew + 1e-9, "{age}");
                    let last = out.windows[0].len() - 1;
                    let reach = out.windows[0].time_from_start(last) as f64 * 1e-9 - age;
                    prop_assert!(reach >= 0.2 - 0.5 * period - 1e-9, "{reach}");
                    place[..7].copy_from_slice(out.windows[0].positions(1));
                    place[7] = out.windows[1].positions(1)[0];
                    sent += 1;
                }
                Tick::Idle(IdleReason::NoChunk(Some(StopReason::Exhausted))) => prop_assert!(t > 2.0),
                Tick::Idle(reason) => prop_assert!(false, "{reason:?} at {t}"),
                Tick::Hold => prop_assert!(false, "ticks are a period apart"),
            }
        }
        prop_assert!(sent > 100);
    }
}
