//! What the streamer believes of the robot: joint states that lie at a start, in motion, and about one joint only.
#![allow(clippy::unwrap_used)]

#[path = "support/panda.rs"]
mod panda;

use efm_core::{JointLimits, JointNames, JointSample, Stamp};
use efm_safety::{
    Activity, Contradiction, ControllerSpec, IdleReason, Limits, Measured, StopReason, StreamConfig, Tick,
    TrajectoryStreamer,
};
use panda::*;
use std::f64::consts::{PI, TAU};

/// A robot that follows its windows to the letter, and somebody who tells of it what he likes.
struct Cell {
    streamer: TrajectoryStreamer,
    truth: [f64; 8],
    tick: i64,
    /// Each pose that was commanded for the time of a tick.
    went: Vec<[f64; 8]>,
    plan: Vec<(Stamp, [f64; 8])>,
    said: Option<Result<Activity, IdleReason>>,
    /// Whether somebody tells speeds.
    speeds_told: bool,
}

impl Cell {
    fn new() -> Self {
        let mut streamer = streamer();
        streamer.arm(true, at(0.0));
        Self { streamer, truth: HOME, tick: 0, went: Vec::new(), plan: Vec::new(), said: None, speeds_told: true }
    }

    fn now(&self) -> Stamp {
        Stamp::from_nanos(T0 + self.tick * PERIOD)
    }

    fn seconds(&self) -> f64 {
        self.tick as f64 * 0.01
    }

    fn offer(&mut self, wanted: impl Fn(f64) -> [f64; 8]) {
        let chunk = chunk_of(self.seconds(), 16, 0.1, wanted);
        let _ = self.streamer.offer_chunk(&chunk, self.now());
    }

    fn speeds(&self) -> Vec<f64> {
        let n = self.went.len();
        let back = |k: usize| self.went.get(n.wrapping_sub(k)).unwrap_or(&HOME);
        if n < 2 { vec![0.0; 8] } else { back(1).iter().zip(back(2)).map(|(a, b)| (a - b) / 0.01).collect() }
    }

    /// A tick, with what is told of the robot.
    fn tick(&mut self, told: &JointSample) {
        let now = self.now();
        if let Some((_, q)) = self.plan.iter().rev().find(|(due, _)| *due <= now) {
            self.truth = *q;
        }
        self.went.push(self.truth);
        self.tick += 1;
        let measured = Measured { velocity_told: self.speeds_told, ..Measured::from((told, 0.0)) };
        self.said = Some(match self.streamer.tick(now, Some(measured)) {
            Tick::Send(out) => {
                let stamp = out.windows[0].stamp();
                self.plan = (0..out.windows[0].len())
                    .map(|k| {
                        let mut q = [0.0; 8];
                        q[..7].copy_from_slice(out.windows[0].positions(k));
                        q[7] = out.windows[1].positions(k)[0];
                        (stamp.offset_nanos(out.windows[0].time_from_start(k)), q)
                    })
                    .collect();
                Ok(out.activity)
            }
            Tick::Hold => return,
            Tick::Idle(reason) => Err(reason),
        });
    }

    /// Ticks for so long, with chunks that want `wanted`; `lie` changes what is told.
    fn run(&mut self, seconds: f64, wanted: impl Fn(f64) -> [f64; 8], lie: impl Fn(f64, &mut JointSample)) {
        let end = self.tick + (seconds / 0.01).round() as i64;
        while self.tick < end {
            if self.tick % 20 == 0 {
                self.offer(&wanted);
            }
            let mut told = sample(self.now(), &self.truth);
            told.velocities = self.speeds();
            lie(self.seconds(), &mut told);
            self.tick(&told);
        }
    }

    /// The largest step that a joint of the arm made between two ticks.
    fn largest_step(&self) -> f64 {
        let steps = self.went.windows(2).flat_map(|two| (0..7).map(move |j| (two[1][j] - two[0][j]).abs()));
        steps.fold(0.0, f64::max)
    }

    fn idle(&self) -> &IdleReason {
        self.said.as_ref().unwrap().as_ref().unwrap_err()
    }

    fn moved(&self) -> bool {
        (self.truth[0] - HOME[0]).abs() > 0.05
    }
}

fn home_but(joint: usize, value: f64) -> [f64; 8] {
    let mut q = HOME;
    q[joint] = value;
    q
}

fn turn(t: f64) -> [f64; 8] {
    home_but(0, (0.2 * t).min(0.6))
}

/// A step at the velocity limit, and some.
const STEP: f64 = 0.027;

#[test]
fn one_false_state_at_a_start_never_becomes_the_first_window() {
    for by in [0.006, 0.02, 0.049, 0.3, 1.0, -2.0] {
        for lies in 1..9 {
            for at in 0..14 {
                let mut cell = Cell::new();
                // After arming, nothing is known of where the robot was held.
                cell.run(2.0, turn, |t, told| {
                    let k = (t / 0.01).round() as i32;
                    if (at..at + lies).contains(&k) {
                        told.positions[1] += by;
                    }
                });
                assert!(cell.largest_step() < STEP, "{by} {lies} {at}: {}", cell.largest_step());
                assert!(cell.went.iter().all(|q| (q[1] - HOME[1]).abs() < 0.005), "{by} {lies} {at}");
                if by.abs() < 0.3 || at == 0 {
                    continue;
                }
                // The lie is over, and it moves: at once, or when it was asked to.
                cell.streamer.resume();
                cell.run(2.0, turn, |_, _| {});
                assert!(cell.moved(), "{by} {lies} {at}: {:?}", cell.said);
            }
        }
    }
}

#[test]
fn a_false_state_while_the_robot_is_held_is_named_and_over_when_it_is_over() {
    let mut cell = Cell::new();
    cell.run(3.0, |t| home_but(0, (0.2 * t).min(0.3)), |_, _| {});
    cell.streamer.cancel(cell.now());
    cell.run(1.0, |_| home_but(0, 0.3), |_, _| {});
    assert!((cell.truth[0] - 0.3).abs() < 0.01);
    cell.streamer.cancel(cell.now());
    while cell.streamer.is_streaming() {
        let told = sample(cell.now(), &cell.truth);
        cell.tick(&told);
    }
    // For as long as the lie lasts: longer than any agreement.
    let rests = cell.truth;
    cell.run(3.0, |_| HOME, |_, told| told.positions[2] += 0.3);
    assert!(matches!(cell.idle(), IdleReason::Elsewhere { joint: 2, .. }), "{:?}", cell.said);
    assert_eq!(cell.truth, rests);
    cell.run(3.0, |_| HOME, |_, _| {});
    assert!(cell.truth[0].abs() < 0.01 && cell.largest_step() < STEP, "{:?}", cell.said);
}

#[test]
fn a_robot_that_was_moved_by_hand_begins_where_it_stands_once_somebody_said_so() {
    for disarms in [false, true] {
        let mut cell = Cell::new();
        cell.run(1.0, |_| HOME, |_, _| {});
        cell.streamer.cancel(cell.now());
        cell.run(1.0, |_| HOME, |_, _| {});
        if disarms {
            cell.streamer.arm(false, cell.now());
            cell.run(0.5, |_| HOME, |_, _| {});
        }
        // By hand, at 0.5 rad/s.
        let from = cell.tick;
        cell.plan.clear();
        while cell.tick < from + 60 {
            cell.truth[3] += 0.005;
            let told = sample(cell.now(), &cell.truth);
            cell.tick(&told);
        }
        let stands = cell.truth;
        cell.run(0.5, |_| stands, |_, _| {});
        if disarms {
            cell.streamer.forget_rest();
            cell.streamer.arm(true, cell.now());
        } else {
            cell.streamer.resume();
        }
        cell.run(0.5, |_| stands, |_, _| {});
        assert!(cell.streamer.is_streaming(), "{disarms}: {:?}", cell.said);
        assert!(cell.plan.iter().all(|(_, q)| (0..7).all(|j| (q[j] - stands[j]).abs() < 1e-6)), "{disarms}");
    }
}

#[test]
fn a_jump_in_motion_is_a_latched_stop_that_names_the_joint() {
    for (joint, by) in [(0, 0.2), (3, -0.1), (6, 5.0)] {
        let mut cell = Cell::new();
        cell.run(1.0, turn, |_, _| {});
        let from = cell.seconds();
        cell.run(2.0, turn, |t, told| {
            if t < from + 0.005 {
                told.positions[joint] += by;
            }
        });
        let IdleReason::Latched(StopReason::Contradiction(Contradiction::Jump { joint: found, .. })) = cell.idle()
        else {
            panic!("{:?}", cell.said)
        };
        assert_eq!(*found, joint);
        cell.streamer.resume();
        cell.run(3.0, turn, |_, _| {});
        assert!(cell.streamer.is_streaming() && cell.largest_step() < STEP, "{:?}", cell.said);
    }
}

#[test]
fn outside_of_its_limits_it_begins_where_it_stands_and_comes_in() {
    // Upper limit of joint 6 (place 5): 3.7525, of joint 1: 2.8973.
    for beyond in [1.0e-6, 1.0e-4, 0.01, 0.049] {
        for (joint, limit) in [(5, 3.7525 + beyond), (0, 2.8973 + beyond), (1, -1.7628 - beyond)] {
            let mut cell = Cell::new();
            let mut streamer = streamer();
            streamer.arm(true, at(0.0));
            cell.streamer = streamer;
            cell.truth = home_but(joint, limit);
            let inside = home_but(joint, limit - 0.5 * limit.signum());
            cell.run(4.0, |_| inside, |_, _| {});
            let way: Vec<f64> = cell.went.iter().map(|q| q[joint] * limit.signum()).collect();
            assert_eq!(way[0], limit.abs());
            // Farther out it never goes, and once in it stays in.
            let edge = limit.abs() - beyond;
            let outward = way.windows(2).filter(|two| two[1] > edge + 1e-9).map(|two| two[1] - two[0]);
            assert!(outward.fold(0.0, f64::max) < 1e-9, "{joint} {beyond}: it goes back out");
            let accelerations = way.windows(3).map(|w| ((w[2] - 2.0 * w[1] + w[0]) / 1.0e-4).abs());
            assert!(accelerations.fold(0.0, f64::max) < 10.0 && cell.largest_step() < STEP, "{joint} {beyond}");
            assert!((cell.truth[joint] - inside[joint]).abs() < 0.01, "{joint} {beyond}: {:?}", cell.said);
        }
    }
    let mut cell = Cell::new();
    cell.truth = home_but(5, 3.7525 + 0.2);
    cell.run(1.0, |_| HOME, |_, _| {});
    assert!(matches!(cell.idle(), IdleReason::OutsideLimits { joint: 5, .. }), "{:?}", cell.said);
}

#[test]
fn outside_of_its_limits_it_comes_in_even_where_the_policy_swings_out_and_back() {
    // Upper limit of joint 6 (place 5): 3.7525.
    let (joint, edge) = (5, 3.7525);
    for (beyond, swing, pace) in [(0.049, 0.04, 6.0), (0.049, 0.2, 2.0), (1.0e-3, 0.1, 4.0), (0.03, 0.0, 1.0)] {
        let mut cell = Cell::new();
        cell.truth = home_but(joint, edge + beyond);
        cell.run(4.0, |t| home_but(joint, edge + beyond + swing * (pace * t).sin()), |_, _| {});
        let way: Vec<f64> = cell.went.iter().map(|q| q[joint]).collect();
        let outward = way.windows(2).filter(|two| two[1] > edge + 1e-8).map(|two| two[1] - two[0]);
        let most = outward.fold(0.0, f64::max);
        assert!(most < 1e-9, "{beyond} {swing}: it goes out again by {most:.1e}");
        assert!(*way.last().unwrap() < edge + 1e-8, "{beyond} {swing}: it stays outside at {:?}", way.last());
    }
}

/// One joint without end.
fn wheel() -> TrajectoryStreamer {
    let joints = JointNames::new(["wheel"]).unwrap();
    let one =
        JointLimits { lower: f64::NEG_INFINITY, upper: f64::INFINITY, velocity: 2.0, acceleration: 8.0, jerk: 100.0 };
    let limits = Limits::new(joints.clone(), &[one]).unwrap();
    let controllers = vec![ControllerSpec { name: "wheels".into(), joints }];
    let mut streamer = TrajectoryStreamer::new(limits, controllers, StreamConfig::default()).unwrap();
    streamer.arm(true, at(0.0));
    streamer
}

fn wrapped(angle: f64) -> f64 {
    angle - TAU * (angle / TAU).round()
}

#[test]
fn a_joint_without_end_goes_the_short_way_over_the_seam_whatever_driver_and_policy_say() {
    for (driver_wraps, policy_wraps, from, speed) in [
        (true, true, 3.0, 0.5),
        (true, false, 3.0, 0.5),
        (false, true, 3.0, 0.5),
        (true, true, -3.0, -0.5),
        (false, true, 40.0, 0.7),
        (true, false, PI - 1.0e-9, 1.0),
    ] {
        let mut streamer = wheel();
        let told = |angle: f64| if driver_wraps { wrapped(angle) } else { angle };
        // It rests for two seconds within, and turns over the seam again.
        let path = |t: f64| from + speed * (t.min(4.0) + (t - 6.0).max(0.0));
        let (mut truth, mut plan, mut went): (f64, Vec<(Stamp, f64)>, _) = (from, Vec::new(), Vec::new());
        for k in -20..1200 {
            let (t, now) = (0.01 * f64::from(k), at(0.01 * f64::from(k)));
            if let Some((_, q)) = plan.iter().rev().find(|(due, _)| *due <= now) {
                truth = *q;
            }
            went.push(truth);
            if k >= 0 && k % 20 == 0 {
                let rows = (1..=10).map(|i| path((t + 0.1 * f64::from(i) - 0.5).max(0.0)));
                let rows = rows.map(|q| if policy_wraps { wrapped(q) } else { q }).collect();
                let joints = JointNames::new(["wheel"]).unwrap();
                let _ = streamer.offer_chunk(&efm_core::ActionChunk::new(now, 0.1, joints, rows).unwrap(), now);
            }
            let sample = JointSample { stamp: now, positions: vec![told(truth)], velocities: vec![0.0] };
            let still = went.windows(2).last().is_none_or(|two| (two[1] - two[0]).abs() < 1e-5);
            let sample = JointSample { velocities: vec![if still { 0.0 } else { speed }], ..sample };
            if let Tick::Send(out) = streamer.tick(now, Some((&sample, 0.0))) {
                let window = &out.windows[0];
                plan = (0..window.len())
                    .map(|k| (window.stamp().offset_nanos(window.time_from_start(k)), window.positions(k)[0]))
                    .collect();
            }
        }
        let case = format!("{driver_wraps} {policy_wraps} {from} {speed}");
        let step = went.windows(2).map(|two| wrapped(two[1] - two[0]).abs()).fold(0.0, f64::max);
        assert!(step < 0.021, "{case}: a step of {step}");
        // Never back, and where it should be.
        let back = went.windows(2).map(|two| (two[0] - two[1]) * speed.signum()).fold(0.0, f64::max);
        assert!(back < 5e-3, "{case}: {back}");
        assert!(wrapped(truth - path(11.0)).abs() < 0.5, "{case}: {truth} {:?}", streamer.latched());
        assert!(streamer.latched().is_none(), "{case}: {:?}", streamer.latched());
    }
}

#[test]
fn frozen_states_under_fresh_stamps_are_found_within_a_twentieth_of_a_radian() {
    for told_velocities in [true, false] {
        let mut cell = Cell::new();
        cell.run(1.0, turn, |_, _| {});
        let (at, frozen) = (cell.truth[0], sample(cell.now(), &cell.truth));
        let speeds = cell.speeds();
        // (Who told true speeds and then tells that nothing moves tells of a robot that stands: `switched_off.rs`.)
        cell.speeds_told = told_velocities;
        cell.run(3.0, turn, |_, told| {
            told.positions.clone_from(&frozen.positions);
            told.velocities = if told_velocities { speeds.clone() } else { vec![0.0; 8] };
        });
        let IdleReason::Latched(StopReason::Contradiction(Contradiction::Frozen { joint: 0, .. })) = cell.idle() else {
            panic!("{:?}", cell.said)
        };
        // What is found after 0.05 rad, and the stop.
        assert!(cell.truth[0] - at < 0.08, "{}", cell.truth[0] - at);
        // Somebody resumes while they are frozen: nothing that begins there would be true.
        cell.streamer.resume();
        let stood = cell.truth;
        cell.run(2.0, turn, |_, told| told.positions.clone_from(&frozen.positions));
        if (stood[0] - frozen.positions[0]).abs() > 0.05 {
            assert_eq!(cell.truth, stood);
        }
        cell.run(3.0, turn, |_, _| {});
        cell.streamer.resume();
        cell.run(3.0, turn, |_, _| {});
        assert!(cell.largest_step() < STEP && (cell.truth[0] - 0.6).abs() < 0.01, "{:?} {}", cell.said, cell.truth[0]);
    }
}

#[test]
fn an_arm_that_is_being_moved_is_not_at_rest_even_if_its_velocities_say_so() {
    let mut cell = Cell::new();
    for k in 0..120 {
        cell.truth[2] += 0.003;
        if k > 20 && k % 20 == 0 {
            cell.offer(|_| HOME);
        }
        let told = sample(cell.now(), &cell.truth);
        cell.tick(&told);
    }
    assert!(!cell.streamer.is_streaming());
    assert!(matches!(cell.idle(), IdleReason::Unconfirmed(doubt) if doubt.joint == 2), "{:?}", cell.said);
}

#[test]
fn a_hand_keeps_its_grip_through_faults_of_the_arm() {
    // It holds something of 15 mm, commanded to 0; then a joint of the arm jumps, drifts off, or everything is lost.
    for fault in 0..4 {
        let mut cell = Cell::new();
        let grip = |t: f64| {
            let mut q = turn(t);
            q[FINGER] = 0.0;
            q
        };
        let holding = |told: &mut JointSample| told.positions[FINGER] = told.positions[FINGER].max(0.015);
        cell.run(2.0, grip, |_, told| holding(told));
        assert!(cell.truth[FINGER] < 1e-9);
        let from = cell.seconds();
        cell.run(1.5, grip, |t, told| {
            holding(told);
            match fault {
                0 if t < from + 0.05 => told.positions[1] += 0.4,
                1 => told.positions[1] += (0.5 * (t - from)).min(0.3),
                2 if t < from + 0.1 => told.positions[1] = f64::NAN,
                _ => {}
            }
        });
        let drift = if fault == 1 { 0.3 } else { 0.0 };
        if fault == 3 {
            cell.streamer.stop(cell.now());
            cell.run(1.0, grip, |_, told| holding(told));
        }
        assert!(!cell.streamer.is_streaming(), "{fault}");
        cell.truth[1] += drift;
        cell.plan.clear();
        cell.streamer.resume();
        cell.run(2.0, grip, |_, told| holding(told));
        assert!(cell.streamer.is_streaming(), "{fault}: {:?}", cell.said);
        let lowest = cell.went[(from * 100.0) as usize..].iter().map(|q| q[FINGER]).fold(0.0, f64::max);
        assert!(lowest < 1e-9, "{fault}: the hand was opened to {lowest}");
    }
}

#[test]
fn a_hand_that_was_opened_while_disarmed_is_not_thrown_shut() {
    let mut cell = Cell::new();
    cell.run(2.0, |_| home_but(FINGER, 0.0), |_, _| {});
    assert!(cell.truth[FINGER] < 1e-9);
    cell.streamer.arm(false, cell.now());
    cell.run(1.0, |_| HOME, |_, _| {});
    cell.plan.clear();
    cell.truth[FINGER] = 0.04;
    cell.run(0.5, |_| HOME, |_, _| {});
    cell.streamer.forget_rest();
    cell.streamer.arm(true, cell.now());
    cell.run(0.5, |_| home_but(FINGER, 0.04), |_, _| {});
    assert!(cell.streamer.is_streaming() && cell.plan.iter().all(|(_, q)| q[FINGER] > 0.039), "{:?}", cell.said);
}

#[test]
fn tracking_is_by_each_joints_own_stamps() {
    // The hand's joint states come 80 ms late: that is no tracking error of the arm, and the arm's stamps are its own.
    let mut streamer = streamer();
    streamer.arm(true, at(0.0));
    let mut plan: Vec<(Stamp, Vec<f64>)> = Vec::new();
    let mut stopped = None;
    for k in 0..300 {
        let (t, now) = (0.01 * f64::from(k), at(0.01 * f64::from(k)));
        if k % 20 == 0 {
            let _ = streamer.offer_chunk(&chunk_of(t, 16, 0.1, |t| home_but(0, 1.5 * t.min(1.5))), now);
        }
        let place =
            |then: Stamp| plan.iter().rev().find(|(due, _)| *due <= then).map_or(HOME.to_vec(), |p| p.1.clone());
        // Joint 1 is told late, by 90 ms, under a stamp that says so; the others' stamps are fresh.
        let mut positions = place(now);
        let late = now.offset_seconds(-0.09);
        positions[0] = place(late)[0];
        let mut stamps = vec![now; 8];
        stamps[0] = late;
        let told = JointSample { stamp: now, positions, velocities: vec![0.0; 8] };
        let measured = Measured { stamps: Some(&stamps), ..Measured::from((&told, 0.09)) };
        match streamer.tick(now, Some(measured)) {
            Tick::Send(out) => {
                for k in 0..out.windows[0].len() {
                    let due = out.windows[0].stamp().offset_nanos(out.windows[0].time_from_start(k));
                    let mut q = out.windows[0].positions(k).to_vec();
                    q.extend(out.windows[1].positions(k));
                    plan.retain(|(at, _)| *at != due);
                    plan.push((due, q));
                }
                plan.sort_by_key(|(at, _)| *at);
                if let Activity::Stopping(reason @ StopReason::Tracking { .. }) = out.activity {
                    stopped = Some(reason);
                }
            }
            Tick::Hold | Tick::Idle(_) => {}
        }
    }
    assert_eq!(stopped, None);
    assert!(plan.last().unwrap().1[0] > 1.0);
}

/// To and fro, at up to 0.9 rad/s.
fn sweep(t: f64) -> [f64; 8] {
    home_but(0, 0.6 * (1.5 * (t - 0.3).max(0.0)).sin())
}

#[test]
fn states_that_were_found_not_to_tell_where_the_robot_is_do_not_tell_where_it_stands() {
    // Each under fresh stamps, from a moment in mid motion on, while the robot follows: a window that rested where they say would throw it back.
    type Lie = fn(f64, f64, [f64; 2]) -> [f64; 2];
    let lies: [(&str, Lie); 4] = [
        ("mirrored", |_, from, [p, v]| [2.0 * from - p, -v]),
        ("creeps, and says that it moves", |_, from, [p, v]| [from + 0.05 * (p - from), v]),
        ("jitters in place, and says that it moves", |t, from, [_, v]| [from + 2e-5 * (1e3 * t).sin(), v]),
        ("drifts", |since, _, [p, v]| [p - 0.4 * since, v - 0.4]),
    ];
    for (name, lie) in lies {
        for begins in [2.0, 2.13, 2.31] {
            let mut cell = Cell::new();
            cell.run(begins, sweep, |_, _| {});
            let from = cell.truth[0];
            cell.run(3.0, sweep, |t, told| {
                let [p, v] = lie(t - begins, from, [told.positions[0], told.velocities[0]]);
                (told.positions[0], told.velocities[0]) = (p, v);
            });
            assert!(cell.largest_step() < STEP, "{name} {begins}: {} {:?}", cell.largest_step(), cell.said);
            assert!(cell.streamer.latched().is_some(), "{name} {begins}: {:?}", cell.said);
        }
    }
}

/// After a motion that ended: somebody pushes joint 1 by so much, after ~/stop and ~/resume or while it is held. Where the next motion begins, from where
/// it stands; none where it does not begin.
fn pushed(by: f64, let_go: bool) -> Option<f64> {
    let mut cell = Cell::new();
    cell.run(1.5, turn, |_, _| {});
    if let_go {
        cell.streamer.stop(cell.now());
    }
    // Chunks end, and so does the motion; it stands for a while.
    for _ in 0..350 {
        let told = sample(cell.now(), &cell.truth);
        cell.tick(&told);
    }
    cell.plan.clear();
    cell.truth[0] += by;
    if let_go {
        cell.streamer.resume();
    }
    let stands = cell.truth[0];
    for _ in 0..60 {
        let told = sample(cell.now(), &cell.truth);
        cell.tick(&told);
        cell.plan.clear();
    }
    let begun = cell.tick;
    cell.offer(|t| home_but(0, stands + 0.1 * (t - 0.01 * begun as f64)));
    for _ in 0..3 {
        let told = sample(cell.now(), &cell.truth);
        cell.tick(&told);
        if let Some((_, first)) = cell.plan.first() {
            return Some(first[0] - stands);
        }
    }
    assert!(matches!(cell.idle(), IdleReason::Elsewhere { joint: 0, .. }), "{by} {let_go}: {:?}", cell.said);
    None
}

#[test]
fn a_robot_that_was_pushed_at_rest_by_however_little_begins_where_it_stands_or_not_at_all() {
    for by in [-0.048, -0.01, 0.006, 0.02, 0.03, 0.045] {
        let begins = pushed(by, true).expect("it was resumed");
        assert!(begins.abs() < 1e-6, "pushed by {by}, it begins {begins} from there");
        assert_eq!(pushed(by, false), None, "{by}: it was held");
    }
    // Not at all: where the controllers hold it.
    for let_go in [true, false] {
        assert!(pushed(0.0, let_go).is_some());
    }
}

#[test]
fn a_robot_that_hangs_from_its_command_or_creeps_is_one_that_nobody_has_moved() {
    let mut cell = Cell::new();
    cell.run(1.5, turn, |_, _| {});
    let hangs = |since: f64| 0.02 + 0.0003 * since;
    for k in 0..1500 {
        let mut told = sample(cell.now(), &cell.truth);
        told.positions[1] += hangs(0.01 * f64::from(k));
        cell.tick(&told);
    }
    let commanded = cell.truth;
    cell.offer(|t| home_but(0, 0.2 * (t - 16.0).max(0.0)));
    for _ in 0..10 {
        let mut told = sample(cell.now(), &cell.truth);
        told.positions[1] += hangs(15.0);
        cell.tick(&told);
    }
    assert!(cell.said.as_ref().unwrap().is_ok(), "{:?}", cell.said);
    assert!((cell.truth[1] - commanded[1]).abs() < 1e-6, "it begins where the controllers hold it");
}

#[test]
fn nothing_begins_on_states_that_have_ended() {
    for silent in 1..10 {
        let mut cell = Cell::new();
        let last = sample(cell.now(), &HOME);
        for _ in 0..30 {
            let told = sample(cell.now(), &cell.truth);
            cell.tick(&told);
        }
        let last = JointSample { stamp: cell.now().offset_seconds(-0.01), ..last };
        for _ in 0..silent {
            cell.tick(&last);
        }
        cell.offer(turn);
        cell.tick(&last);
        // Three of its periods, and what a busy machine does.
        if silent >= 5 {
            assert!(matches!(cell.idle(), IdleReason::JointStateStale { .. }), "{silent}: {:?}", cell.said);
        } else {
            assert!(cell.said.as_ref().unwrap().is_ok(), "{silent}: {:?}", cell.said);
        }
    }
}
