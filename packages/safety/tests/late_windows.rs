//! Pauses: before a tick, and between a decision and its sending. What the controllers follow never leaps.
#![allow(clippy::unwrap_used)]

#[path = "support/followers.rs"]
mod followers;
#[path = "support/panda.rs"]
mod panda;

use efm_core::Stamp;
use efm_safety::{StreamConfig, Tick, TrajectoryStreamer};
use followers::Followers;
use panda::*;
use proptest::prelude::*;

const MS: i64 = 1_000_000;

/// What happens between one tick and the next.
#[derive(Debug, Clone)]
struct Turn {
    /// Nanoseconds of a pause before the tick, between the decision and the first window, and between two windows.
    before: i64,
    sending: i64,
    between: i64,
    /// A chunk comes: somewhere else, so far away.
    chunk: Option<(u64, f64)>,
    /// The operator: cancel, stop, resume, slow down.
    asked: u8,
}

fn pause() -> impl Strategy<Value = i64> {
    prop_oneof![20 => 0..3 * MS, 3 => 3 * MS..40 * MS, 2 => 20 * MS..300 * MS]
}

fn turn() -> impl Strategy<Value = Turn> {
    let between = prop_oneof![12 => 0..MS / 10, 1 => 0..60 * MS];
    let chunk = prop_oneof![6 => Just(None), 1 => (any::<u64>(), 0.0..2.0f64).prop_map(Some)];
    (pause(), pause(), between, chunk, 0..200u8).prop_map(|(before, sending, between, chunk, asked)| Turn {
        before,
        sending,
        between,
        chunk,
        asked,
    })
}

/// What became of a run.
#[derive(Debug, Default)]
struct Outcome {
    sent: usize,
    late: usize,
    half: usize,
    moved: f64,
}

struct Run {
    streamer: TrajectoryStreamer,
    followers: Followers,
    now: i64,
    outcome: Outcome,
    /// Whether late windows are held back.
    heeds: bool,
}

impl Run {
    fn new(streamer: TrajectoryStreamer, heeds: bool) -> Self {
        let limits = streamer.limits().clone();
        let places = vec![(0..7).collect(), vec![FINGER]];
        Self {
            streamer,
            followers: Followers::new(limits, places, &HOME, T0),
            now: T0,
            outcome: Outcome::default(),
            heeds,
        }
    }

    fn turn(&mut self, turn: &Turn) -> Result<(), String> {
        self.now += PERIOD + turn.before;
        let now = Stamp::from_nanos(self.now);
        match turn.asked {
            0 => self.streamer.cancel(now),
            1 => self.streamer.stop(now),
            2 => self.streamer.set_speed_scale(0.3).unwrap(),
            3 => self.streamer.set_speed_scale(1.0).unwrap(),
            4..30 => self.streamer.resume(),
            _ => {}
        }
        if let Some((seed, far)) = turn.chunk {
            let mut state = seed | 1;
            let mut random = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as f64 / (1u64 << 31) as f64 * 2.0 - 1.0
            };
            let goal: [f64; 8] = std::array::from_fn(|j| far * random() * if j == FINGER { 0.02 } else { 1.0 });
            let t = (self.now - T0) as f64 * 1e-9;
            let chunk =
                chunk_of(t - 0.05, 16, 0.1, |at| std::array::from_fn(|j| HOME[j] + goal[j] * (3.0 * (at - t)).sin()));
            let _ = self.streamer.offer_chunk(&chunk, now);
        }
        self.followers.until(self.now)?;
        let measured = sample(now, &self.followers.positions());
        match self.streamer.tick(now, Some((&measured, 0.001))) {
            Tick::Send(out) => {
                let mut at = self.now + turn.sending;
                let mut left = 0;
                for (place, window) in out.windows.iter().enumerate() {
                    if self.heeds && at > out.leave_by.nanos() {
                        break;
                    }
                    self.followers.until(at)?;
                    self.followers.take(place, window, at);
                    left += 1;
                    at += turn.between;
                }
                let all = out.windows.len();
                self.now = at;
                self.outcome.sent += left;
                if left < all {
                    self.streamer.not_sent(left);
                    self.outcome.late += 1;
                    self.outcome.half += usize::from(left > 0);
                }
            }
            Tick::Hold => {}
            Tick::Idle(reason) => {
                let broken = matches!(reason, efm_safety::IdleReason::Latched(efm_safety::StopReason::Internal(_)));
                if broken {
                    return Err(format!("{reason:?}"));
                }
            }
        }
        self.outcome.moved = self.followers.travelled();
        Ok(())
    }

    fn play(mut self, turns: &[Turn]) -> Result<Outcome, String> {
        self.streamer.arm(true, Stamp::from_nanos(self.now));
        for turn in turns {
            self.turn(turn)?;
        }
        self.followers.until(self.now + 2_000 * MS)?;
        Ok(self.outcome)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_pause_makes_what_is_followed_leap(turns in prop::collection::vec(turn(), 50..400)) {
        let outcome = Run::new(streamer(), true).play(&turns);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }

    /// Robots far quicker and far slower than a Panda, and other horizons.
    #[test]
    fn nor_does_it_with_other_limits_and_horizons(
        turns in prop::collection::vec(turn(), 50..200),
        velocity in -1.0..0.3f64,
        acceleration in -1.0..0.5f64,
        jerk in -1.0..2.0f64,
        committed in 0.015..0.1f64,
        skew in 0.0..0.02f64,
    ) {
        let limits = scaled_limits(10f64.powf(velocity), 10f64.powf(acceleration), 10f64.powf(jerk));
        let config = StreamConfig { committed_s: committed, clock_skew_s: skew, ..config() };
        let outcome = Run::new(streamer_with(limits, config), true).play(&turns);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
}

/// Chunks that lead to and fro, every 0.15 s.
fn busy(turns: usize, pause: impl Fn(usize) -> (i64, i64, i64)) -> Vec<Turn> {
    (0..turns)
        .map(|k| {
            let (before, sending, between) = pause(k);
            let chunk = (k % 15 == 0).then_some((k as u64 * 7919 + 1, 1.0));
            Turn { before, sending, between, chunk, asked: 255 }
        })
        .collect()
}

#[test]
fn what_is_late_and_sent_all_the_same_makes_it_leap() {
    let turns = busy(600, |k| (0, if k % 40 == 31 { 110 * MS } else { MS }, 0));
    assert!(Run::new(streamer(), false).play(&turns).is_err());
    let outcome = Run::new(streamer(), true).play(&turns).unwrap();
    assert!(outcome.late == 15 && outcome.sent > 900 && outcome.moved > 3.0, "{outcome:?}");
}

#[test]
fn a_window_that_is_late_on_every_other_tick_leaves_the_motion_going() {
    let turns = busy(600, |k| (0, if k % 2 == 1 { 38 * MS } else { MS }, 0));
    let outcome = Run::new(streamer(), true).play(&turns).unwrap();
    assert!(outcome.late > 250 && outcome.moved > 3.0, "{outcome:?}");
}

#[test]
fn a_pause_between_the_two_controllers_holds_only_the_second_back() {
    let turns = busy(600, |k| (0, 0, if k % 10 == 3 { 45 * MS } else { 0 }));
    let outcome = Run::new(streamer(), true).play(&turns).unwrap();
    assert!(outcome.half > 50 && outcome.half == outcome.late && outcome.moved > 3.0, "{outcome:?}");
}

#[test]
fn a_first_window_that_is_late_is_as_if_the_motion_had_not_begun_and_the_chunk_waits() {
    let mut run = Run::new(streamer(), true);
    run.streamer.arm(true, Stamp::from_nanos(run.now));
    let chunk = chunk_of(0.0, 16, 0.1, |t| std::array::from_fn(|j| HOME[j] + if j == 0 { 0.3 * t } else { 0.0 }));
    run.streamer.offer_chunk(&chunk, at(0.0)).unwrap();
    let quiet = Turn { before: 0, sending: 0, between: 0, chunk: None, asked: 255 };
    for _ in 0..5 {
        run.turn(&Turn { sending: 40 * MS, ..quiet.clone() }).unwrap();
        assert!(!run.streamer.is_streaming() && run.outcome.sent == 0 && run.streamer.scheduler().has_pending());
    }
    // The first controller only: it has begun, and the second one follows.
    run.turn(&Turn { between: 40 * MS, ..quiet.clone() }).unwrap();
    assert!(run.streamer.is_streaming() && run.outcome.half == 1);
    for _ in 0..300 {
        run.turn(&quiet).unwrap();
    }
    // It slows down to its end, as its observation is old by then.
    assert!((0.3..0.49).contains(&(run.followers.positions()[0] - HOME[0])), "{:?}", run.followers.positions());
    assert_eq!(run.outcome.late, 6);
}

#[test]
fn a_stop_whose_window_was_late_is_planned_again() {
    let mut run = Run::new(streamer(), true);
    run.streamer.arm(true, Stamp::from_nanos(run.now));
    let quiet = Turn { before: 0, sending: 0, between: 0, chunk: None, asked: 255 };
    for turn in busy(40, |_| (0, 0, 0)) {
        run.turn(&turn).unwrap();
    }
    run.turn(&Turn { asked: 1, sending: 35 * MS, ..quiet.clone() }).unwrap();
    let before = run.outcome.moved;
    for _ in 0..150 {
        run.turn(&quiet).unwrap();
    }
    assert!(
        !run.streamer.is_streaming() && run.outcome.late == 1 && run.outcome.moved - before < 1.0,
        "{:?}",
        run.outcome
    );
}
