//! A controller that was switched off for a moment: it keeps its subscription, tells nothing, and goes to the newest window in one step when it
//! comes back.
#![allow(clippy::unwrap_used, clippy::needless_range_loop)]

#[path = "support/followers.rs"]
mod followers;
#[path = "support/panda.rs"]
mod panda;

use efm_core::{JointSample, Stamp};
use efm_safety::{
    Activity, ControllerFault, IdleReason, Measured, Silence, StopReason, Tick, TrajectoryStreamer, Voice,
};
use followers::Followers;
use panda::*;
use std::collections::VecDeque;

const MS: i64 = 1_000_000;

/// What a robot is like.
#[derive(Debug, Clone, Copy)]
struct Kind {
    /// Seconds that it is behind its controller.
    lag_s: f64,
    /// Of its encoders, radians; 0: the same to the last bit when it stands.
    noise: f64,
    /// Whether speeds are told.
    speeds: bool,
    /// Milliseconds between controller states; 0: none is told.
    state_ms: i64,
}

const PLAIN: Kind = Kind { lag_s: 0.0, noise: 0.0, speeds: true, state_ms: 0 };

/// A robot whose controllers can be switched off.
struct Rig {
    streamer: TrajectoryStreamer,
    followers: Followers,
    kind: Kind,
    now: i64,
    silence: Silence,
    /// Where the robot is, and where it was commanded to be, for its lag.
    robot: Vec<f64>,
    before: Vec<f64>,
    commanded: VecDeque<Vec<f64>>,
    on: bool,
    repeats: Option<JointSample>,
    seed: u64,
    /// What was decided last.
    stopping: Option<StopReason>,
    holding: bool,
    idle: Option<IdleReason>,
    /// When something was first found, after the controller was switched off, ms.
    found: Option<i64>,
    off_at: i64,
    /// Ticks in the past second whose chunks are offered.
    speed: f64,
    chunks: bool,
    /// How far joint 2 hangs below where its controller wants it, radians.
    sag: f64,
}

impl Rig {
    fn new(kind: Kind) -> Self {
        let mut streamer = streamer();
        streamer.arm(true, at(0.0));
        let now = at(0.0);
        for k in 0..12 {
            let now = now.offset_seconds(0.01 * f64::from(k));
            assert!(matches!(streamer.tick(now, Some((&sample(now, &HOME), 0.0))), Tick::Idle(_)));
        }
        let now = T0 + 110 * MS;
        let mut followers = Followers::new(limits(), vec![(0..7).collect(), vec![FINGER]], &HOME, now);
        // With noise the first motion begins a little beside where the robot is.
        followers.strict = kind.noise == 0.0;
        Self {
            streamer,
            followers,
            kind,
            now,
            silence: Silence::default(),
            robot: HOME.to_vec(),
            before: HOME.to_vec(),
            commanded: VecDeque::new(),
            on: true,
            repeats: None,
            seed: 1,
            stopping: None,
            holding: false,
            idle: None,
            found: None,
            off_at: 0,
            speed: 0.8,
            chunks: true,
            sag: 0.0,
        }
    }

    fn random(&mut self) -> f64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) as f64 / (1u64 << 31) as f64 * 2.0 - 1.0
    }

    /// A millisecond of the robot.
    fn moves(&mut self) -> Result<(), String> {
        self.now += MS;
        self.before.copy_from_slice(&self.robot);
        if self.on {
            self.followers.until(self.now)?;
            self.commanded.push_back(self.followers.positions());
            while self.commanded.len() > 1 + (self.kind.lag_s * 1e3) as usize {
                self.commanded.pop_front();
            }
            self.robot.copy_from_slice(&self.commanded[0]);
            self.robot[1] += self.sag;
            if self.kind.state_ms > 0 && self.now / MS % self.kind.state_ms == 0 {
                let spoke = self.silence.heard(Stamp::from_nanos(self.now));
                if spoke == Some(Voice::Speaks) {
                    self.streamer.controller_speaks(0);
                }
            }
        } else {
            // The hand's controller goes on.
            self.followers.until_without(self.now, 0)?;
            self.robot[FINGER] = self.followers.positions()[FINGER];
        }
        Ok(())
    }

    fn wave(&self, t: f64) -> [f64; 8] {
        std::array::from_fn(|j| {
            HOME[j]
                + if j == FINGER {
                    0.01
                } else {
                    0.35 * (self.speed / 0.35 * t + j as f64).sin() - 0.35 * (j as f64).sin()
                }
        })
    }

    fn tick(&mut self) -> Result<(), String> {
        for _ in 0..10 {
            self.moves()?;
        }
        let now = Stamp::from_nanos(self.now);
        if let Some(Voice::Silent { silent_s, .. }) = self.silence.tick(now, 0.01) {
            self.streamer.controller_silent(0, silent_s, now);
        }
        let t = (self.now - T0) as f64 * 1e-9;
        if self.chunks && self.now / MS % 100 == 0 {
            let chunk = chunk_of(t, 16, 0.05, |t| self.wave(t - 0.2));
            let _ = self.streamer.offer_chunk(&chunk, now);
        }
        let noise: Vec<f64> = (0..8).map(|_| self.kind.noise * self.random()).collect();
        let mut told = sample(now, &self.robot);
        for j in 0..8 {
            told.positions[j] += noise[j];
            told.velocities[j] = (self.robot[j] - self.before[j]) * 1e3;
        }
        if let Some(repeats) = &self.repeats {
            told = JointSample { stamp: now, ..repeats.clone() };
        }
        if !self.kind.speeds && self.repeats.is_some() {
            told.velocities.fill(0.0);
        }
        let measured = Measured { velocity_told: self.kind.speeds, ..Measured::from((&told, 0.0)) };
        self.stopping = None;
        self.holding = false;
        self.idle = None;
        match self.streamer.tick(now, Some(measured)) {
            Tick::Send(out) => {
                match &out.activity {
                    Activity::Stopping(reason) => self.stopping = Some(reason.clone()),
                    Activity::Holding(_) => self.holding = true,
                    _ => {}
                }
                for (place, window) in out.windows.iter().enumerate() {
                    self.followers.take(place, window, self.now);
                }
            }
            Tick::Hold => {}
            Tick::Idle(reason) => self.idle = Some(reason),
        }
        let held =
            matches!(self.streamer.latched(), Some(StopReason::Controller { fault: ControllerFault::StandsStill, .. }));
        if held && self.found.is_none() {
            self.found = Some((self.now - self.off_at) / MS);
        }
        Ok(())
    }

    fn ticks(&mut self, n: usize) -> Result<(), String> {
        (0..n).try_for_each(|_| self.tick())
    }

    fn switch_off(&mut self) {
        self.on = false;
        // Its own end is no leap of ours.
        self.followers.strict = false;
        self.off_at = self.now;
    }

    /// How far the newest window is from the robot now: so far it leaps, in one step.
    fn leap(&mut self) -> f64 {
        let wanted = self.followers.wanted(0, self.now);
        (0..7).map(|j| (wanted[j] - self.robot[j]).abs()).fold(0.0, f64::max)
    }

    /// It comes back and goes to the newest window in one step.
    fn switch_on(&mut self) {
        self.on = true;
        let now = self.now;
        self.followers.jump(0, now);
        self.followers.strict = self.kind.noise == 0.0;
        self.commanded.clear();
    }
}

/// Moves, is off from a moment on for so many ms, and returns: the leap, and when it was found.
fn off_for(kind: Kind, moving: usize, off_ms: i64, speed: f64) -> (f64, Option<i64>) {
    let mut rig = Rig::new(kind);
    rig.speed = speed;
    rig.ticks(moving).unwrap();
    assert!(rig.streamer.is_streaming() && rig.streamer.latched().is_none(), "{:?}", rig.streamer.latched());
    // Somewhere between two ticks.
    for _ in 0..moving % 10 {
        rig.moves().unwrap();
    }
    rig.switch_off();
    let until = rig.now + off_ms * MS;
    while rig.now + 10 * MS <= until {
        rig.tick().unwrap();
    }
    while rig.now < until {
        rig.moves().unwrap();
    }
    (rig.leap(), rig.found)
}

/// What a joint may do in one update of 500 Hz, twenty updates of which are no leap to speak of.
const NO_LEAP: f64 = 1.05 * 2.175 * 0.002;

#[test]
fn a_controller_that_comes_back_after_it_was_found_off_finds_nothing_to_leap_to() {
    println!("robot, off for ms, moments, found, found after ms (most), leap in rad: found, not found");
    let state = |state_ms, kind: Kind| Kind { state_ms, ..kind };
    let noisy = Kind { noise: 2e-4, ..PLAIN };
    let slow = Kind { lag_s: 0.03, ..PLAIN };
    for (name, kind) in [
        ("without controller_state", PLAIN),
        ("without, noisy encoders", noisy),
        ("without, 30 ms behind", slow),
        ("controller_state at 250 Hz", state(4, PLAIN)),
        ("controller_state at 50 Hz", state(20, PLAIN)),
        ("at 50 Hz, noisy, 30 ms behind", state(20, Kind { lag_s: 0.03, ..noisy })),
    ] {
        for off_ms in [20, 30, 40, 60, 100, 300, 1000] {
            let (mut found, mut latest, mut worst_found, mut worst) = (0, 0, 0.0f64, 0.0f64);
            let moments = 6;
            for k in 0..moments {
                let (leap, seen) = off_for(kind, 203 + 17 * k, off_ms, 0.8);
                match seen {
                    Some(after) => {
                        found += 1;
                        latest = latest.max(after);
                        worst_found = worst_found.max(leap);
                        assert!(leap <= NO_LEAP, "{name}: off for {off_ms} ms from moment {k}: {leap}");
                    }
                    None => worst = worst.max(leap),
                }
            }
            println!("{name}, {off_ms}, {moments}, {found}, {latest}, {worst_found:.4}, {worst:.4}");
            if off_ms >= 300 {
                assert_eq!(found, moments, "{name}: off for {off_ms} ms");
            }
        }
    }
}

#[test]
fn one_that_goes_off_while_the_lag_is_not_known_yet_is_found_late_and_held_all_the_same() {
    // In the first motion of a node's life: by then it may be a tracking error. (States that stay to the last bit are frozen ones then, for all one knows.)
    let noisy = Kind { noise: 2e-5, ..PLAIN };
    for (name, kind) in [("noisy", noisy), ("noisy, no speeds", Kind { speeds: false, ..noisy })] {
        for moving in [22, 27, 33, 40, 52] {
            for speed in [0.5, 0.8, 1.5] {
                let (leap, _) = off_for(kind, moving, 1500, speed);
                assert!(leap <= NO_LEAP, "{name}, off after {moving}, {speed}: {leap}");
            }
        }
    }
}

#[test]
fn without_speeds_and_controller_states_repeated_states_are_no_robot_that_stands() {
    // Repeated while the robot moves on: to hold it where it was would make it leap.
    for speeds in [false, true] {
        let mut rig = Rig::new(Kind { speeds, ..PLAIN });
        rig.ticks(230).unwrap();
        let mut told = sample(at(0.0), &rig.robot);
        if speeds {
            told.velocities = (0..8).map(|j| (rig.robot[j] - rig.before[j]) * 1e3).collect();
        }
        rig.repeats = Some(told);
        rig.ticks(100).unwrap();
        assert!(rig.found.is_none() && !rig.streamer.is_streaming(), "{speeds} {:?}", rig.streamer.latched());
        assert!(matches!(rig.streamer.latched(), Some(StopReason::Contradiction(_) | StopReason::Tracking { .. })));
    }
}

#[test]
fn it_is_held_where_it_stands_and_goes_on_from_there_after_resume() {
    let mut rig = Rig::new(PLAIN);
    rig.ticks(230).unwrap();
    rig.switch_off();
    rig.ticks(100).unwrap();
    assert!(rig.holding, "{:?} {:?}", rig.idle, rig.stopping);
    let words = rig.streamer.latched().unwrap().in_words(&rig.streamer.names());
    assert!(words.contains("switched off") && words.contains("resume"), "{words}");
    assert!(rig.leap() == 0.0);
    // Without resume nothing begins, whether it is back or not.
    rig.switch_on();
    rig.ticks(100).unwrap();
    assert!(rig.holding && rig.streamer.latched().is_some());
    rig.streamer.resume();
    let before = rig.followers.travelled();
    rig.ticks(200).unwrap();
    assert!(rig.streamer.is_streaming() && rig.followers.travelled() - before > 0.5);
}

#[test]
fn a_robot_that_sags_under_what_it_is_held_by_is_not_followed_down() {
    // Its controller is back, and tells nothing of it: a hold that followed the robot would let it sink, step by step.
    for sag in [0.02, 0.05, 0.06, 0.1, 0.3] {
        let mut rig = Rig::new(PLAIN);
        rig.ticks(230).unwrap();
        rig.switch_off();
        rig.ticks(100).unwrap();
        assert!(rig.holding, "{:?} {:?}", rig.idle, rig.stopping);
        rig.switch_on();
        let held = rig.followers.wanted(0, rig.now);
        rig.sag = -sag;
        for _ in 0..300 {
            rig.tick().unwrap();
            assert_eq!(rig.followers.wanted(0, rig.now), held, "{sag}");
        }
    }
}

#[test]
fn what_is_moved_by_hand_while_its_controller_is_silent_is_held_where_it_is_then() {
    let mut rig = Rig::new(Kind { state_ms: 20, ..PLAIN });
    rig.ticks(230).unwrap();
    rig.switch_off();
    rig.ticks(60).unwrap();
    for _ in 0..100 {
        rig.robot[2] += 0.002;
        rig.tick().unwrap();
    }
    rig.tick().unwrap();
    assert!(rig.holding && rig.leap() < 1e-12, "{}", rig.leap());
    rig.switch_on();
    rig.ticks(10).unwrap();
}

#[test]
fn a_silence_of_a_controller_that_follows_goes_on_with_the_next_chunk() {
    let mut rig = Rig::new(Kind { state_ms: 20, ..PLAIN });
    rig.ticks(230).unwrap();
    // It tells nothing for 0.2 s, and follows.
    rig.kind.state_ms = 0;
    rig.ticks(10).unwrap();
    assert!(matches!(rig.stopping, Some(StopReason::Silent { controller: 0, .. })), "{:?}", rig.stopping);
    rig.ticks(90).unwrap();
    assert!(matches!(rig.idle, Some(IdleReason::ControllerSilent { controller: 0, .. })), "{:?}", rig.idle);
    assert!(rig.streamer.latched().is_none() && !rig.streamer.is_streaming());
    rig.kind.state_ms = 20;
    rig.ticks(40).unwrap();
    assert!(rig.streamer.is_streaming() && rig.streamer.latched().is_none() && rig.stopping.is_none());
    // A short one: the next chunk is followed before it is at rest.
    rig.ticks(100).unwrap();
    rig.kind.state_ms = 0;
    rig.ticks(9).unwrap();
    assert!(matches!(rig.stopping, Some(StopReason::Silent { .. })), "{:?}", rig.stopping);
    rig.kind.state_ms = 20;
    for _ in 0..25 {
        rig.tick().unwrap();
        assert!(rig.idle.is_none(), "{:?}", rig.idle);
    }
    assert!(rig.stopping.is_none());
}

#[test]
fn a_robot_that_follows_is_never_taken_for_one_that_stands() {
    for (lag_s, noise, speed, speeds) in [
        (0.0, 0.0, 0.8, true),
        (0.08, 0.0, 0.8, true),
        (0.05, 1e-3, 0.8, false),
        (0.02, 1.5e-3, 0.3, false),
        (0.0, 2e-3, 0.05, true),
        (0.12, 1e-4, 0.2, true),
    ] {
        let mut rig = Rig::new(Kind { lag_s, noise, speeds, state_ms: 0 });
        rig.speed = speed;
        for k in 0..40 {
            rig.ticks(40).unwrap();
            // It stops and starts again, now and then.
            rig.chunks = k % 5 != 4;
            assert!(rig.streamer.latched().is_none(), "{lag_s} {noise} {speed}: {:?}", rig.streamer.latched());
        }
        let tracking = rig.streamer.tracking(1);
        println!("lag {lag_s}, noise {noise}, speed {speed}: {tracking:?}");
        if speed > 0.2 {
            assert!((tracking.lag_s.unwrap() - lag_s).abs() < 0.02, "{tracking:?}");
        }
    }
}

#[test]
fn a_robot_with_backlash_and_stiction_is_not_taken_for_one_that_stands() {
    let mut rig = Rig::new(PLAIN);
    rig.speed = 0.3;
    // Each joint stays where it is until its command is 0.03 rad away, and is then drawn along.
    let mut told = HOME.to_vec();
    for _ in 0..1500 {
        for j in 0..7 {
            let slack = rig.robot[j] - told[j];
            if slack.abs() > 0.03 {
                told[j] += slack - 0.03 * slack.signum();
            }
        }
        let mut seen = sample(at(0.0), &told);
        seen.positions[FINGER] = rig.robot[FINGER];
        rig.repeats = Some(seen);
        rig.tick().unwrap();
        assert!(rig.streamer.latched().is_none(), "{:?}", rig.streamer.latched());
    }
}

#[test]
fn the_bound_is_wide_at_first_then_as_tight_as_the_lag_allows_and_a_robot_that_leaves_it_is_stopped() {
    let mut rig = Rig::new(Kind { noise: 1e-4, ..PLAIN });
    assert_eq!(rig.streamer.tracking(0).bound, 0.2);
    rig.ticks(300).unwrap();
    let bound = rig.streamer.tracking(0).bound;
    assert!((0.1..0.13).contains(&bound), "{bound}");
    let mut slow = Rig::new(Kind { lag_s: 0.05, noise: 1e-4, ..PLAIN });
    slow.ticks(300).unwrap();
    let of_slow = slow.streamer.tracking(0).bound;
    assert!(of_slow > bound + 0.05 && of_slow <= 0.2, "{of_slow}");
    // It drifts away from its command: less than what was allowed before.
    for k in 0..90 {
        let mut told = sample(at(0.0), &rig.robot);
        told.positions[1] += 0.006 * f64::from(k);
        rig.repeats = Some(told);
        rig.tick().unwrap();
    }
    let latched = rig.streamer.latched().cloned();
    assert!(matches!(latched, Some(StopReason::Tracking { joint: 1, error }) if error < 0.16), "{latched:?}");
}
