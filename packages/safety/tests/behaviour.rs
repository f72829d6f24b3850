//! What the streamer does in each situation that it knows.
#![allow(clippy::unwrap_used)]

#[path = "support/panda.rs"]
mod panda;

use efm_core::{ActionChunk, JointSample, Stamp};
use efm_safety::{Activity, IdleReason, OfferRefusal, StopReason, StreamConfig, Tick, TrajectoryStreamer};
use efm_schedule::ChunkRefusal;
use panda::*;

/// Owned copy of what a tick said.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Idle(IdleReason),
    Hold,
    Send { activity: Activity, chunk: Option<Stamp>, row: usize },
}

struct Cell {
    streamer: TrajectoryStreamer,
    recorder: Recorder,
    tick: i64,
}

impl Cell {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: StreamConfig) -> Self {
        let mut streamer = streamer_with(limits(), config);
        streamer.arm(true, at(0.0));
        Self { streamer, recorder: Recorder::new(), tick: 0 }
    }

    fn now(&self) -> Stamp {
        Stamp::from_nanos(T0 + self.tick * PERIOD)
    }

    fn seconds(&self) -> f64 {
        self.tick as f64 * 0.01
    }

    fn offer(&mut self, chunk: &ActionChunk) {
        self.streamer.offer_chunk(chunk, self.now()).unwrap();
    }

    /// The robot stands where it was commanded.
    fn measured(&self) -> JointSample {
        sample(self.now(), &self.recorder.position(self.now(), &HOME))
    }

    fn tick(&mut self) -> Said {
        let measured = self.measured();
        self.tick_with(Some((&measured, 0.002)))
    }

    fn tick_with(&mut self, measured: Option<(&JointSample, f64)>) -> Said {
        let now = self.now();
        let said = match self.streamer.tick(now, measured) {
            Tick::Send(out) => {
                self.recorder.take(now, &out);
                Said::Send { activity: out.activity, chunk: out.execution.chunk, row: out.execution.row }
            }
            Tick::Hold => Said::Hold,
            Tick::Idle(reason) => {
                self.recorder.finish();
                self.recorder.new_motion();
                Said::Idle(reason)
            }
        };
        self.tick += 1;
        said
    }

    fn run(&mut self, ticks: usize) -> Said {
        (1..ticks).for_each(|_| {
            self.tick();
        });
        self.tick()
    }

    /// Ticks with the robot standing somewhere, until what is said is no waiting for states that agree; what that is.
    fn wait_at(&mut self, stands: &[f64; 8]) -> Said {
        for _ in 0..200 {
            let measured = sample(self.now(), stands);
            match self.tick_with(Some((&measured, 0.0))) {
                Said::Idle(IdleReason::Unconfirmed(_) | IdleReason::Contradiction(_)) => {}
                said => return said,
            }
        }
        panic!("it waits for ever");
    }

    /// Ticks until nothing is sent; how many that took, and why.
    fn run_out(&mut self) -> (usize, IdleReason) {
        for n in 0..1000 {
            if let Said::Idle(reason) = self.tick() {
                return (n, reason);
            }
        }
        panic!("it never falls silent");
    }

    fn joint(&self, j: usize) -> Vec<f64> {
        self.recorder.followed.iter().map(|f| f.1[j]).collect()
    }
}

fn home_but(joint: usize, value: f64) -> [f64; 8] {
    let mut q = HOME;
    q[joint] = value;
    q
}

/// Joint 1 at a constant speed from time 0, the rest at home.
fn moving(speed: f64) -> impl Fn(f64) -> [f64; 8] {
    move |t| home_but(0, speed * t)
}

#[test]
fn disarmed_it_sends_nothing_and_takes_nothing() {
    let mut cell = Cell::new();
    cell.streamer.arm(false, at(0.0));
    let refused = cell.streamer.offer_chunk(&chunk_of(0.0, 16, 0.1, moving(0.3)), at(0.0));
    assert_eq!(refused, Err(OfferRefusal::Disarmed));
    assert_eq!(cell.run(50), Said::Idle(IdleReason::Disarmed));
    assert_eq!(cell.recorder.sent, 0);
}

#[test]
fn a_chunk_is_followed_to_its_end_then_rest_then_silence() {
    let mut cell = Cell::new();
    assert_eq!(cell.tick(), Said::Idle(IdleReason::NoChunk(None)));
    let chunk = chunk_of(cell.seconds(), 10, 0.1, moving(0.3));
    cell.offer(&chunk);
    let said = cell.tick();
    assert_eq!(said, Said::Send { activity: Activity::Following, chunk: Some(chunk.observed_at()), row: 0 });
    // Row 4 is due 0.5 s after the observation.
    let said = cell.run(46);
    assert_eq!(said, Said::Send { activity: Activity::Following, chunk: Some(chunk.observed_at()), row: 4 });
    let (_, reason) = cell.run_out();
    assert_eq!(reason, IdleReason::NoChunk(Some(StopReason::Exhausted)));
    let end = *cell.joint(0).last().unwrap();
    // It arrives with 0.3 rad/s and stops behind the last row, at 0.3 * 1.01 rad.
    assert!((0.3..0.34).contains(&end), "{end}");
    let sent = cell.recorder.sent;
    cell.run(100);
    assert_eq!(cell.recorder.sent, sent, "it speaks again without a new chunk");
}

#[test]
fn on_an_old_observation_it_slows_down_along_the_chunk_and_the_motion_ends() {
    let mut cell = Cell::with(StreamConfig { max_observation_age_s: 0.35, ..config() });
    // Curved, so that slowing down leaves something for the joints to catch up with.
    let sway = |t: f64| home_but(0, 0.4 * (1.0 - (1.5 * t).cos()));
    for step in 0..5 {
        let from = 0.2 * f64::from(step);
        cell.offer(&chunk_of(cell.seconds(), 8, 0.1, move |t| sway(from + t)));
        cell.run(20);
    }
    // The last one was observed 0.2 s ago and ends in 0.6 s.
    let (ticks, reason) = cell.run_out();
    assert_eq!(reason, IdleReason::NoChunk(Some(StopReason::Exhausted)));
    assert!((55..85).contains(&ticks), "{ticks}");
    let sent = cell.recorder.sent;
    cell.run(100);
    assert_eq!(cell.recorder.sent, sent, "it speaks again without a new chunk");
    // A new one is followed.
    cell.offer(&chunk_of(cell.seconds(), 8, 0.1, |t| home_but(0, 0.3 * t)));
    assert!(matches!(cell.run(5), Said::Send { activity: Activity::Following, .. }));
}

/// Ten ticks a point: between points nothing is sent unless it is new, and what is new is sent at once.
#[test]
fn more_ticks_than_points_bring_chunks_and_stops_sooner_and_no_more_messages() {
    let (mut cell, mut sent, mut answered, mut stops) = (Cell::new(), 0, None, None);
    let mut stamps = std::collections::HashSet::new();
    for fine in 0..2000_i64 {
        let now = at(fine as f64 * 1e-3);
        // From rest, and between two points.
        let offered = fine < 1500 && (fine % 200 == 3 || fine == 0);
        if offered {
            let chunk = chunk_of(fine as f64 * 1e-3, 16, 0.1, moving(0.3));
            cell.streamer.offer_chunk(&chunk, now).unwrap();
        }
        if fine == 1507 {
            cell.streamer.stop(now);
        }
        let measured = sample(now, &cell.recorder.position(now, &HOME));
        match cell.streamer.tick(now, Some((&measured, 0.002))) {
            Tick::Send(out) => {
                cell.recorder.take(now, &out);
                sent += 1;
                stamps.insert(out.windows[0].stamp());
                if offered && out.execution.chunk == Some(now) {
                    answered = Some(fine);
                }
                if stops.is_none() && matches!(out.activity, Activity::Stopping(StopReason::Requested)) {
                    stops = Some(fine);
                }
            }
            Tick::Hold => assert!(!offered, "a chunk waits for a point"),
            Tick::Idle(_) => assert!(fine > 1600),
        }
    }
    assert_eq!(answered, Some(1403), "each chunk is in the message of its own tick");
    assert_eq!(stops, Some(1507), "and so is the stop");
    // One message a point; beside them one for each of the chunks between points and for the stop.
    assert_eq!(sent, stamps.len() + 8 + 1);
    cell.recorder.finish();
}

#[test]
fn a_far_goal_is_reached_in_near_optimal_time_without_overshoot() {
    let mut cell = Cell::new();
    // The same far place again and again, as a policy that wants to be there at once.
    let mut arrived = None;
    for _ in 0..400 {
        if cell.tick % 20 == 0 {
            let chunk = chunk_of(cell.seconds(), 16, 0.1, |_| home_but(0, 1.0));
            cell.offer(&chunk);
        }
        let seconds = cell.seconds();
        cell.tick();
        let p = cell.recorder.position(cell.now(), &HOME)[0];
        if arrived.is_none() && (p - 1.0).abs() < 1e-3 {
            arrived = Some(seconds);
        }
    }
    let highest = cell.joint(0).into_iter().fold(f64::MIN, f64::max);
    println!("1 rad in {:.2} s, overshoot {:.2} mrad", arrived.unwrap(), (highest - 1.0) * 1e3);
    // Time-optimal with a velocity of 2.1, acceleration of 7.1 and jerk of 142: 0.81 s, after 0.05 s of commitment.
    assert!(arrived.unwrap() < 1.3, "{arrived:?}");
    // The blends from one chunk into the next are the path, and a blend out of fast motion swings over its end a little.
    assert!(highest < 1.02, "{highest}");
}

#[test]
fn a_reference_that_drives_into_a_limit_ends_inside_it_without_chatter() {
    let mut cell = Cell::new();
    for _ in 0..600 {
        if cell.tick % 20 == 0 {
            let now = cell.seconds();
            cell.offer(&chunk_of(now, 16, 0.1, moving(1.0)));
        }
        cell.tick();
    }
    let p = cell.joint(0);
    let highest = p.iter().copied().fold(f64::MIN, f64::max);
    assert!(highest <= 2.8973 + 1e-8, "{highest}");
    assert!(highest > 2.8973 - 0.02, "it stays {} short of the limit", 2.8973 - highest);
    let end = &p[p.len() - 100..];
    let reversals = cell.recorder.followed.windows(2).filter(|w| w[0].2[0] > 1e-3 && w[1].2[0] < -1e-3).count();
    assert!(end.iter().all(|x| (x - end[0]).abs() < 1e-3), "it does not rest at the limit");
    assert!(reversals <= 1, "{reversals} reversals at the limit");
}

/// A cell in fast motion.
fn fast() -> Cell {
    let mut cell = Cell::new();
    cell.offer(&chunk_of(0.0, 16, 0.1, moving(0.5)));
    cell.run(60);
    let speed = cell.recorder.followed.last().unwrap().2[0];
    assert!(speed > 0.45, "{speed}");
    cell
}

#[test]
fn a_lost_joint_state_brings_rest_and_no_new_start_until_it_is_back() {
    let mut cell = fast();
    let said = cell.tick_with(None);
    assert!(matches!(said, Said::Send { activity: Activity::Stopping(StopReason::JointStateMissing), .. }), "{said:?}");
    let refused = cell.streamer.offer_chunk(&chunk_of(0.6, 16, 0.1, moving(0.5)), cell.now());
    assert_eq!(refused, Err(OfferRefusal::Stopped(StopReason::JointStateMissing)));
    let mut ticks = 0;
    while !matches!(cell.tick_with(None), Said::Idle(_)) {
        ticks += 1;
    }
    assert!(ticks < 25, "{ticks} ticks to rest from 0.5 rad/s");
    assert!(cell.recorder.followed.last().unwrap().2.iter().all(|v| *v == 0.0));
    // It lasts: it stays so until somebody has looked.
    let latched = Said::Idle(IdleReason::Latched(StopReason::JointStateMissing));
    let at_rest = (0..60).position(|_| cell.tick_with(None) == latched).unwrap();
    assert!((48..50).contains(&(ticks + at_rest + 2)), "{ticks} {at_rest}");
    let refused = cell.streamer.offer_chunk(&chunk_of(cell.seconds(), 16, 0.1, |_| HOME), cell.now());
    assert_eq!(refused, Err(OfferRefusal::Stopped(StopReason::JointStateMissing)));
    assert_eq!(cell.tick(), latched);
    cell.streamer.resume();
    // A chunk waits, but nobody knows where the robot is.
    let chunk = chunk_of(cell.seconds(), 16, 0.1, |_| HOME);
    cell.offer(&chunk);
    assert_eq!(cell.tick_with(None), Said::Idle(IdleReason::JointStateMissing));
    let old = cell.measured();
    assert_eq!(cell.tick_with(Some((&old, 0.3))), Said::Idle(IdleReason::JointStateStale { age_s: 0.3 }));
    let mut bad = cell.measured();
    bad.positions[3] = f64::NAN;
    assert_eq!(cell.tick_with(Some((&bad, 0.0))), Said::Idle(IdleReason::JointStateInvalid));
    let stands = cell.recorder.position(cell.now(), &HOME);
    assert!(matches!(cell.wait_at(&stands), Said::Send { .. }));
}

impl Cell {
    /// No joint state for so many ticks.
    fn gap(&mut self, ticks: usize) {
        (0..ticks).for_each(|_| drop(self.tick_with(None)));
    }

    /// With a new chunk every 50 ms: whether one is followed within a second.
    fn goes_on(&mut self) -> bool {
        (0..100).any(|k| {
            if k % 5 == 0 {
                let p = self.recorder.position(self.now(), &HOME)[0];
                let from = self.seconds();
                let _ = self
                    .streamer
                    .offer_chunk(&chunk_of(from, 16, 0.1, |t| home_but(0, p + 0.3 * (t - from))), self.now());
            }
            matches!(self.tick(), Said::Send { activity: Activity::Following, .. })
        })
    }
}

#[test]
fn a_gap_that_ends_by_itself_ends_with_the_next_chunk_from_rest() {
    // Over before it rests, and after; one that only tells old states.
    for ticks in [1, 5, 20, 45] {
        let mut cell = fast();
        cell.gap(ticks);
        assert_eq!(cell.streamer.latched(), None, "{ticks}");
        let stopped = cell.streamer.is_streaming();
        assert_eq!(stopped, ticks < 25, "{ticks}");
        let before = cell.recorder.followed.len();
        assert!(cell.goes_on(), "{ticks}");
        // From rest, and not on the fly.
        assert!(
            cell.recorder.followed[before..].iter().any(|(_, _, v)| v.iter().all(|v| *v == 0.0)) || !stopped,
            "{ticks}"
        );
    }
    let mut cell = fast();
    for _ in 0..15 {
        let old = cell.measured();
        let said = cell.tick_with(Some((&old, 0.11)));
        assert!(
            matches!(said, Said::Send { activity: Activity::Stopping(StopReason::JointStateStale { .. }), .. }),
            "{said:?}"
        );
    }
    assert!(cell.goes_on());
}

#[test]
fn a_gap_that_lasts_is_latched_in_motion_and_at_rest_and_the_bound_can_be_set() {
    for (bound, ticks, latched) in
        [(0.5, 48, false), (0.5, 52, true), (0.1, 9, false), (0.1, 12, true), (2.0, 190, false), (0.0, 1, true)]
    {
        let mut cell = Cell::with(StreamConfig { max_joint_state_gap_s: bound, ..config() });
        cell.offer(&chunk_of(0.0, 16, 0.1, moving(0.5)));
        cell.run(60);
        cell.gap(ticks);
        assert_eq!(cell.streamer.latched().is_some(), latched, "{bound} {ticks}");
        assert_eq!(cell.goes_on(), !latched, "{bound} {ticks}");
    }
}

#[test]
fn gaps_that_come_again_and_again_are_latched_and_it_counts_anew_after_resume_and_after_a_while() {
    let mut cell = fast();
    for nth in 1..3 {
        cell.gap(3);
        assert!(cell.goes_on(), "{nth}");
    }
    cell.gap(3);
    assert!(!cell.goes_on());
    assert_eq!(cell.streamer.latched(), Some(&StopReason::JointStateMissing));
    cell.streamer.resume();
    for nth in 1..3 {
        assert!(cell.goes_on(), "{nth}");
        cell.gap(3);
    }
    assert!(cell.goes_on());
    // Ten seconds later it is not the third.
    cell.run(1000);
    assert!(cell.goes_on());
    cell.gap(3);
    assert!(cell.goes_on());
}

#[test]
fn after_a_gap_nothing_begins_where_the_robot_is_not_where_it_was_commanded() {
    // It stopped somewhere else meanwhile: seen while it comes to rest, or once it rests.
    for (ticks, off) in [(10, 0.3), (45, 0.3), (45, -0.08)] {
        let mut cell = fast();
        cell.gap(ticks);
        let mut stands = cell.recorder.position(cell.now(), &HOME);
        stands[2] += off;
        let mut sent_after_rest = 0;
        for k in 0..200 {
            if k % 5 == 0 {
                let _ = cell.streamer.offer_chunk(&chunk_of(cell.seconds(), 16, 0.1, |_| stands), cell.now());
            }
            let measured = sample(cell.now(), &stands);
            let said = cell.tick_with(Some((&measured, 0.0)));
            sent_after_rest += usize::from(matches!(said, Said::Send { activity: Activity::Following, .. }));
        }
        assert_eq!(sent_after_rest, 0, "{ticks} {off}");
        let measured = sample(cell.now(), &stands);
        let said = cell.tick_with(Some((&measured, 0.0)));
        assert!(
            matches!(
                said,
                Said::Idle(IdleReason::Latched(StopReason::Tracking { .. }) | IdleReason::Elsewhere { joint: 2, .. })
            ),
            "{said:?}"
        );
    }
}

#[test]
fn a_state_that_cannot_be_read_is_no_gap() {
    let mut cell = fast();
    let mut bad = cell.measured();
    bad.positions[3] = f64::NAN;
    let said = cell.tick_with(Some((&bad, 0.0)));
    assert!(matches!(said, Said::Send { activity: Activity::Stopping(StopReason::JointStateInvalid), .. }), "{said:?}");
    assert_eq!(cell.streamer.latched(), Some(&StopReason::JointStateInvalid));
    assert!(!cell.goes_on());
}

#[test]
fn an_emergency_stop_in_a_gap_that_lasts_keeps_both() {
    let mut cell = fast();
    cell.gap(3);
    cell.streamer.emergency_stop();
    cell.gap(60);
    assert_eq!(cell.streamer.latched(), Some(&StopReason::Emergency));
    cell.streamer.arm(true, cell.now());
    assert_eq!(cell.streamer.latched(), Some(&StopReason::JointStateMissing));
}

#[test]
fn a_robot_that_does_not_follow_is_stopped_until_resume() {
    let mut cell = Cell::new();
    cell.offer(&chunk_of(0.0, 16, 0.1, moving(0.5)));
    cell.run(60);
    // It drifts off, as a joint can.
    let mut drift = 0.0;
    let said = loop {
        drift += 0.02;
        let mut off = cell.measured();
        off.positions[4] += drift;
        let said = cell.tick_with(Some((&off, 0.0)));
        if !matches!(said, Said::Send { activity: Activity::Following, .. }) {
            break said;
        }
    };
    let Said::Send { activity: Activity::Stopping(StopReason::Tracking { joint: 4, error }), .. } = said else {
        panic!("{said:?}")
    };
    assert!((error - drift).abs() < 1e-6 && drift < 0.225, "{error}");
    let (_, reason) = cell.run_out();
    assert!(matches!(reason, IdleReason::Latched(StopReason::Tracking { .. })), "{reason:?}");
    let chunk = chunk_of(cell.seconds(), 16, 0.1, |_| HOME);
    assert!(matches!(cell.streamer.offer_chunk(&chunk, cell.now()), Err(OfferRefusal::Stopped(_))));
    cell.streamer.resume();
    cell.offer(&chunk);
    let stands = cell.recorder.position(cell.now(), &HOME);
    assert!(matches!(cell.wait_at(&stands), Said::Send { activity: Activity::Following, .. }));
}

#[test]
fn a_robot_that_lags_and_reports_late_is_not_mistaken_for_one_that_does_not_follow() {
    let mut cell = Cell::new();
    for tick in 0..200 {
        if cell.tick % 20 == 0 {
            let now = cell.seconds();
            cell.offer(&chunk_of(now, 16, 0.1, moving(1.0)));
        }
        // The measurement is 80 ms old, and says so.
        let then = cell.now().offset_seconds(-0.08);
        let late = sample(then, &cell.recorder.position(then, &HOME));
        let said = cell.tick_with(Some((&late, 0.08)));
        // States from before those that were seen first are no further witnesses.
        let waits = tick < 20 && matches!(said, Said::Idle(IdleReason::Unconfirmed(_)));
        assert!(waits || matches!(said, Said::Send { activity: Activity::Following, .. }), "{said:?}");
    }
}

#[test]
fn stop_cancel_and_disarm_all_end_in_rest_and_differ_in_what_may_follow() {
    let speed = |cell: &Cell| cell.recorder.followed.last().unwrap().2[0];
    let running = || {
        let mut cell = Cell::new();
        cell.offer(&chunk_of(0.0, 16, 0.1, moving(0.5)));
        cell.run(60);
        assert!(speed(&cell) > 0.45);
        cell
    };

    let mut cell = running();
    cell.streamer.stop(cell.now());
    let (ticks, reason) = cell.run_out();
    assert!(ticks < 25 && reason == IdleReason::Latched(StopReason::Requested), "{ticks} {reason:?}");
    assert_eq!(speed(&cell), 0.0);

    let mut cell = running();
    cell.streamer.arm(false, cell.now());
    let (ticks, reason) = cell.run_out();
    assert!(ticks < 25 && reason == IdleReason::Disarmed, "{ticks} {reason:?}");
    assert_eq!(speed(&cell), 0.0);

    let mut cell = running();
    cell.streamer.cancel(cell.now());
    let old = chunk_of(0.55, 16, 0.1, moving(0.5));
    let refused = cell.streamer.offer_chunk(&old, cell.now());
    assert_eq!(refused, Err(OfferRefusal::Chunk(ChunkRefusal::BeforeClear)));
    assert!(matches!(cell.tick(), Said::Send { activity: Activity::Stopping(StopReason::Cancelled), .. }));
    // A newer one is followed from where the robot is, without a stop between.
    let chunk = chunk_of(cell.seconds(), 16, 0.1, moving(0.5));
    cell.offer(&chunk);
    assert!(matches!(cell.tick(), Said::Send { activity: Activity::Following, .. }));
    let sent = cell.recorder.sent;
    cell.run(50);
    assert_eq!(cell.recorder.sent, sent + 50);
    assert!(cell.recorder.followed.iter().skip(60).all(|f| f.2[0] > 0.05), "it stopped in between");
    cell.streamer.cancel(cell.now());
    let (ticks, reason) = cell.run_out();
    assert!(ticks < 25 && reason == IdleReason::NoChunk(Some(StopReason::Cancelled)), "{ticks} {reason:?}");
}

#[test]
fn late_ticks_are_caught_up_and_a_leap_of_the_clock_ends_in_rest() {
    let mut cell = Cell::new();
    cell.offer(&chunk_of(0.0, 16, 0.1, moving(0.5)));
    cell.run(40);
    cell.tick += 4; // 40 ms late
    let said = cell.tick();
    assert!(matches!(said, Said::Send { activity: Activity::Following, .. }), "{said:?}");
    let before = cell.recorder.sent;
    cell.tick += 12; // a gap of 130 ms
    let said = cell.tick();
    assert!(matches!(said, Said::Send { activity: Activity::Stopping(StopReason::ClockJump { .. }), .. }), "{said:?}");
    let (ticks, reason) = cell.run_out();
    assert!(matches!(reason, IdleReason::NoChunk(Some(StopReason::ClockJump { .. }))), "{reason:?}");
    assert!(ticks < 25, "{ticks} ticks to rest");
    assert!(cell.recorder.sent > before);

    // An hour at once: there is nothing left to say.
    cell.offer(&chunk_of(cell.seconds(), 16, 0.1, |_| HOME));
    cell.run(30);
    cell.tick += 360_000;
    assert!(matches!(cell.tick(), Said::Idle(IdleReason::NoChunk(Some(StopReason::ClockJump { .. })))));
}

#[test]
fn after_a_leap_of_the_clock_a_joint_state_from_before_it_is_no_lost_robot_but_silence_is() {
    for joints_come_back in [true, false] {
        let mut cell = Cell::new();
        cell.offer(&chunk_of(cell.seconds(), 16, 0.1, moving(2.0)));
        cell.run(60);
        let before = cell.measured();
        cell.tick += 15;
        // The clock was heard first.
        let said = cell.tick_with(Some((&before, 0.16)));
        assert!(
            matches!(said, Said::Send { activity: Activity::Stopping(StopReason::ClockJump { .. }), .. }),
            "{said:?}"
        );
        assert_eq!(cell.streamer.latched(), None);
        for _ in 0..55 {
            if joints_come_back {
                cell.tick();
            } else {
                cell.tick_with(None);
            }
        }
        let lost = cell.streamer.latched() == Some(&StopReason::JointStateMissing);
        assert_eq!(lost, !joints_come_back);
    }
}

#[test]
fn a_clock_that_goes_back_silences_it_and_the_next_motion_begins_at_the_measured_pose() {
    let mut cell = Cell::new();
    cell.offer(&chunk_of(0.0, 16, 0.1, moving(0.5)));
    cell.run(80);
    cell.tick -= 30;
    assert!(matches!(cell.tick(), Said::Idle(IdleReason::NoChunk(Some(StopReason::ClockJump { .. })))));
    let mut elsewhere = HOME;
    elsewhere[0] = 0.9;
    elsewhere[7] = 0.033;
    cell.recorder = Recorder::new();
    let chunk = chunk_of(cell.seconds(), 16, 0.1, |_| elsewhere);
    cell.offer(&chunk);
    // What was sent last may still be followed: not before it is over.
    let there = sample(cell.now(), &elsewhere);
    assert_eq!(cell.tick_with(Some((&there, 0.0))), Said::Idle(IdleReason::Settling));
    cell.tick += 40;
    let there = sample(cell.now(), &elsewhere);
    cell.tick_with(Some((&there, 0.0)));
    cell.offer(&chunk_of(cell.seconds(), 16, 0.1, |_| elsewhere));
    assert!(matches!(cell.wait_at(&elsewhere), Said::Send { .. }));
    assert_eq!(cell.recorder.followed[0].1, elsewhere);
}

#[test]
fn one_joint_that_stands_elsewhere_makes_the_whole_arm_begin_where_it_is_measured() {
    // All joints of the arm are off a little; the fifth by more than a start may be, or by less.
    for (off, begins_at_rest) in [(0.2, false), (0.03, true)] {
        let mut cell = Cell::new();
        cell.offer(&chunk_of(0.0, 10, 0.1, moving(0.3)));
        cell.run_out();
        let rest = cell.recorder.position(cell.now(), &HOME);
        let mut stands = rest;
        stands.iter_mut().take(7).for_each(|p| *p += 0.02);
        stands[4] = rest[4] + off;
        let chunk = chunk_of(cell.seconds(), 16, 0.1, |_| rest);
        cell.offer(&chunk);
        if !begins_at_rest {
            // Nobody let go of it, so it cannot be there.
            let said = cell.wait_at(&stands);
            let Said::Idle(IdleReason::Elsewhere { joint: 4, measured, held }) = said else { panic!("{said:?}") };
            assert!((measured - held - 0.2).abs() < 1e-9);
            cell.streamer.resume();
        }
        assert!(matches!(cell.wait_at(&stands), Said::Send { .. }));
        // What is commanded from the first tick on.
        let began = cell.recorder.position(cell.now(), &HOME);
        let expected = if begins_at_rest { rest } else { stands };
        let off = began.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-9, "{began:?}");
    }
}

#[test]
fn it_starts_only_from_rest_and_inside_the_limits() {
    let mut cell = Cell::new();
    cell.offer(&chunk_of(0.0, 16, 0.1, |_| HOME));
    let mut moving = cell.measured();
    moving.velocities[2] = 0.2;
    assert_eq!(cell.tick_with(Some((&moving, 0.0))), Said::Idle(IdleReason::NotAtRest { joint: 2, speed: 0.2 }));
    let mut outside = cell.measured();
    outside.positions[1] = 1.9;
    let stands: [f64; 8] = outside.positions.try_into().unwrap();
    assert_eq!(cell.wait_at(&stands), Said::Idle(IdleReason::OutsideLimits { joint: 1, position: 1.9 }));
    // A sensor's offset at a stop is allowed: the finger begins at -0.1 mm, and comes in.
    let closed = home_but(FINGER, -1e-4);
    assert!(matches!(cell.wait_at(&closed), Said::Send { .. }));
    assert_eq!(cell.recorder.followed[0].1[FINGER], -1e-4);
    cell.run(50);
    assert!(cell.joint(FINGER).windows(2).all(|two| two[1] >= two[0]) && cell.measured().positions[FINGER] >= 0.0);
}

#[test]
fn a_hand_that_holds_something_does_not_let_go_between_two_motions() {
    // Holding, the fingers are farther from their command than an arm may be at the start.
    let mut cell = Cell::with(StreamConfig { max_start_error: 0.01, ..config() });
    let closed = home_but(FINGER, 0.0);
    cell.offer(&chunk_of(0.0, 10, 0.1, |_| closed));
    // The fingers stop at 15 mm, on the object; the command goes on to 0.
    let mut holding = HOME;
    holding[FINGER] = 0.015;
    let hold = |cell: &mut Cell| {
        let measured = sample(cell.now(), &holding);
        cell.tick_with(Some((&measured, 0.0)))
    };
    while matches!(hold(&mut cell), Said::Send { .. }) {}
    assert!(cell.recorder.followed.last().unwrap().1[FINGER] < 1e-9);
    let from = cell.recorder.followed.len();
    let chunk = chunk_of(cell.seconds(), 10, 0.1, |_| closed);
    cell.offer(&chunk);
    while matches!(hold(&mut cell), Said::Send { .. }) {}
    assert!(cell.recorder.followed.len() > from + 50);
    assert!(cell.recorder.followed[from..].iter().all(|f| f.1[FINGER] < 1e-9), "the fingers opened");
}

#[test]
fn the_gripper_moves_as_fast_as_it_may() {
    let mut cell = Cell::new();
    cell.offer(&chunk_of(0.0, 16, 0.1, |_| home_but(FINGER, 0.04)));
    cell.run(80);
    let reached = cell.recorder.followed.iter().find(|f| f.1[FINGER] > 0.04 - 1e-4).unwrap().0 as f64 * 1e-9;
    println!("20 mm in {reached:.3} s");
    // 0.2 s at 0.095 m/s, 0.1 s for both ramps.
    assert!(reached < 0.36, "{reached}");
}

#[test]
fn bad_chunks_change_nothing() {
    let follow = |disturb: bool| {
        let mut cell = Cell::with(StreamConfig { max_bad_chunks: 1000, ..config() });
        cell.offer(&chunk_of(0.0, 16, 0.1, moving(0.3)));
        for _ in 0..150 {
            if disturb {
                let t = cell.seconds();
                for bad in [
                    chunk_of(t, 16, 0.1, |_| home_but(0, 1e300)),
                    chunk_of(t - 5.0, 16, 0.1, moving(0.3)),
                    chunk_of(t + 1.0, 16, 0.1, moving(0.3)),
                    chunk_of(t, 16, 1e-12, moving(0.3)),
                    chunk_of(t, 16, 1e280, |_| HOME),
                ] {
                    assert!(matches!(cell.streamer.offer_chunk(&bad, cell.now()), Err(OfferRefusal::Chunk(_))));
                }
            }
            cell.tick();
        }
        cell.recorder.followed
    };
    assert_eq!(follow(true), follow(false));
}

#[test]
fn chunks_in_a_row_that_nobody_could_follow_stop_the_robot_and_those_that_come_at_the_wrong_time_do_not() {
    let other = |names: Vec<String>, t: f64| {
        let n = names.len();
        ActionChunk::new(at(t), 0.1, efm_core::JointNames::new(names).unwrap(), vec![0.0; 16 * n]).unwrap()
    };
    let foreign = || (0..8).map(|k| format!("ur_joint{k}")).collect::<Vec<_>>();
    let fewer = || names().iter().take(7).map(str::to_owned).collect::<Vec<_>>();
    type Bad = Box<dyn Fn(f64) -> ActionChunk>;
    let kinds: Vec<(&str, Bad, bool)> = vec![
        ("absurd", Box::new(|t| chunk_of(t, 16, 0.1, |_| home_but(0, 1e300))), true),
        (
            "absurd at the end",
            Box::new(|t| chunk_of(t, 16, 0.1, move |at| home_but(3, if at > t + 1.5 { -2e3 } else { 0.0 }))),
            true,
        ),
        ("other joints", Box::new(move |t| other(foreign(), t)), true),
        ("too few joints", Box::new(move |t| other(fewer(), t)), true),
        ("steps of nothing", Box::new(|t| chunk_of(t, 16, 1e-12, moving(0.3))), true),
        ("steps for ever", Box::new(|t| chunk_of(t, 16, 1e280, |_| HOME)), true),
        ("old", Box::new(|t| chunk_of(t - 5.0, 16, 0.1, moving(0.3))), false),
        ("of the future", Box::new(|t| chunk_of(t + 1.0, 16, 0.1, moving(0.3))), false),
        ("over", Box::new(|t| chunk_of(t - 0.5, 2, 0.1, moving(0.3))), false),
        ("again", Box::new(|_| chunk_of(0.0, 16, 0.1, moving(0.3))), false),
    ];
    for (what, bad, stops) in &kinds {
        let mut cell = Cell::new();
        cell.offer(&chunk_of(0.0, 16, 0.1, moving(0.3)));
        cell.run(60);
        for nth in 1..=3 {
            let t = cell.seconds();
            let refusal = cell.streamer.offer_chunk(&bad(t), cell.now()).unwrap_err();
            assert!(refusal.in_words(&cell.streamer.names()).len() < 200, "{what}");
            assert_eq!(cell.streamer.latched().is_some(), *stops && nth == 3, "{what}, the {nth}.");
            cell.run(5);
        }
        if *stops {
            assert_eq!(cell.streamer.latched(), Some(&StopReason::BadChunks { count: 3 }), "{what}");
            cell.run_out();
            cell.streamer.resume();
            let t = cell.seconds();
            cell.offer(&chunk_of(t, 16, 0.1, |_| HOME));
        }
    }
    // A good one in between, and it counts anew.
    let mut cell = Cell::new();
    for k in 0..12 {
        let t = cell.seconds();
        let chunk = chunk_of(t, 16, 0.1, |_| home_but(0, if k % 3 == 2 { 0.0 } else { 1e300 }));
        assert_eq!(cell.streamer.offer_chunk(&chunk, cell.now()).is_ok(), k % 3 == 2);
        cell.run(5);
    }
    assert_eq!(cell.streamer.latched(), None);
}
