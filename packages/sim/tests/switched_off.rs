//! The filter and the model of the real controller, which is deactivated in motion for a moment and comes back.
//!
//! An inactive controller keeps its subscription. What becomes of what it is sent meanwhile differs from version to version: either it is not looked at, and the
//! first window after the return is taken up, or the newest one is there at the return. Both are tried. Either way it goes there in one update, and whether that
//! is a leap is up to what it is sent.
#![allow(clippy::unwrap_used)]

#[path = "../../safety/tests/support/panda.rs"]
mod panda;

use efm_core::{Stamp, Trajectory};
use efm_safety::{ControllerFault, Measured, Silence, StopReason, Tick, TrajectoryStreamer, Voice};
use efm_sim::jtc::{JointTrajectoryController, JtcConfig};
use panda::*;

const MS: i64 = 1_000_000;
const UPDATE: i64 = 2 * MS;
/// A leap is a step beyond this part of a limit.
const LEAP: f64 = 1.05;

struct Rig {
    streamer: TrajectoryStreamer,
    arm: JointTrajectoryController,
    hand: JointTrajectoryController,
    silence: Silence,
    now: i64,
    on: bool,
    /// Whether what an inactive controller is sent is there when it returns.
    keeps: bool,
    newest: Option<Trajectory>,
    state_ms: i64,
    robot: [f64; 8],
    before: [[f64; 8]; 2],
    /// Largest speed and acceleration of the followed reference since the return, in parts of the limits; and its largest step, rad.
    worst: (f64, f64),
    step: f64,
    found: bool,
    said: String,
    ticks: u64,
}

impl Rig {
    fn new(keeps: bool, state_ms: i64) -> Self {
        let mut streamer = streamer();
        streamer.arm(true, at(0.0));
        for k in 0..12 {
            let now = at(0.01 * f64::from(k));
            assert!(matches!(streamer.tick(now, Some((&sample(now, &HOME), 0.0))), Tick::Idle(_)));
        }
        let controller = |names: &[String]| {
            JointTrajectoryController::new(JtcConfig::new(efm_core::JointNames::new(names.iter().cloned()).unwrap()))
        };
        let names = names();
        let (mut arm, mut hand) = (controller(&names.as_slice()[..7]), controller(&names.as_slice()[7..]));
        arm.reset(&HOME[..7]);
        hand.reset(&HOME[7..]);
        Self {
            streamer,
            arm,
            hand,
            silence: Silence::default(),
            now: T0 + 110 * MS,
            on: true,
            keeps,
            newest: None,
            state_ms,
            robot: HOME,
            before: [HOME; 2],
            worst: (0.0, 0.0),
            step: 0.0,
            found: false,
            said: String::new(),
            ticks: 0,
        }
    }

    fn update(&mut self) {
        self.now += UPDATE;
        let now = Stamp::from_nanos(self.now);
        self.before = [self.before[1], self.robot];
        if self.on {
            self.robot[..7].copy_from_slice(&self.arm.update(now).positions);
            if self.state_ms > 0 && self.now / MS % self.state_ms == 0 && self.silence.heard(now).is_some() {
                self.streamer.controller_speaks(0);
            }
        }
        self.robot[7] = self.hand.update(now).positions[0];
        let (h, limits) = (UPDATE as f64 * 1e-9, limits());
        for j in 0..7 {
            let [a, b, c] = [self.before[0][j], self.before[1][j], self.robot[j]];
            self.step = self.step.max((c - b).abs());
            self.worst.0 = self.worst.0.max((c - b).abs() / h / limits.velocity()[j]);
            self.worst.1 = self.worst.1.max((c - 2.0 * b + a).abs() / (h * h) / limits.acceleration()[j]);
        }
    }

    fn tick(&mut self) {
        for _ in 0..5 {
            self.update();
        }
        let now = Stamp::from_nanos(self.now);
        if let Some(Voice::Silent { silent_s, .. }) = self.silence.tick(now, 0.01) {
            self.streamer.controller_silent(0, silent_s, now);
        }
        self.ticks += 1;
        if self.ticks.is_multiple_of(10) {
            let t = (self.now - T0) as f64 * 1e-9;
            let wave = |t: f64| {
                std::array::from_fn(|j| {
                    let phase = 0.9 * j as f64;
                    HOME[j] + if j == FINGER { 0.01 } else { 0.4 * ((2.8 * (t - 0.3) + phase).sin() - phase.sin()) }
                })
            };
            let _ = self.streamer.offer_chunk(&chunk_of(t, 16, 0.05, wave), now);
        }
        let mut told = sample(now, &self.robot);
        for j in 0..8 {
            told.velocities[j] = (self.robot[j] - self.before[1][j]) / (UPDATE as f64 * 1e-9);
        }
        let tick = self.streamer.tick(now, Some(Measured::from((&told, 0.0))));
        self.said = match &tick {
            Tick::Send(out) => format!("{:?}", out.activity),
            other => format!("{other:?}"),
        };
        if let Tick::Send(out) = tick {
            let window = out.windows[0].to_trajectory();
            if self.on {
                self.arm.accept(&window, now).unwrap();
            } else {
                self.newest = Some(window);
            }
            self.hand.accept(&out.windows[1].to_trajectory(), now).unwrap();
        }
        self.found |= matches!(
            self.streamer.latched(),
            Some(StopReason::Controller { controller: 0, fault: ControllerFault::StandsStill })
        );
    }

    /// Back at a time.
    fn switch_on(&mut self) {
        self.on = true;
        self.arm.reset(&self.robot[..7]);
        if let Some(newest) = self.newest.take().filter(|_| self.keeps) {
            // One that is over is not looked at when it comes; this one came before.
            let _ = self.arm.accept(&newest, newest.stamp);
        }
        // The robot stood.
        self.before = [self.robot; 2];
        (self.worst, self.step) = ((0.0, 0.0), 0.0);
    }
}

/// Moves until a moment, is off for a while and returns.
fn return_after(keeps: bool, state_ms: i64, moment: i64, off_ms: i64) -> Rig {
    let mut rig = Rig::new(keeps, state_ms);
    let updates = |rig: &mut Rig, until: i64| {
        while rig.now < until {
            if rig.now + 5 * UPDATE <= until { rig.tick() } else { rig.update() }
        }
    };
    let off_at = rig.now + moment * MS;
    updates(&mut rig, off_at);
    assert!(rig.streamer.is_streaming() && rig.streamer.latched().is_none());
    assert!(rig.worst.0 <= LEAP && rig.worst.1 <= LEAP, "it moves as it may: {:?}", rig.worst);
    rig.on = false;
    let back = rig.now + off_ms * MS;
    updates(&mut rig, back);
    rig.switch_on();
    let until = rig.now + 300 * MS;
    updates(&mut rig, until);
    rig
}

#[test]
fn a_controller_that_returns_leaps_nowhere_once_it_was_found_off() {
    println!(
        "controller_state, newest kept, off for ms: found of moments; largest step in 2 ms where not found, mrad; speed, acceleration in parts of limits"
    );
    let mut seed = 7u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as f64 / (1u64 << 31) as f64
    };
    for state_ms in [0, 4, 20] {
        for keeps in [false, true] {
            for off_ms in [20, 30, 40, 60, 80, 100, 200, 300, 1000, 3000] {
                let (moments, mut found, mut missed) = (6, 0, (0.0f64, 0.0f64, 0.0f64));
                for _ in 0..moments {
                    // On the grid of updates, between ticks.
                    let moment = 1500 + 2 * (750.0 * random()) as i64;
                    let rig = return_after(keeps, state_ms, moment, off_ms);
                    if rig.found {
                        found += 1;
                    }
                    let leapt = rig.worst.0 > LEAP || rig.worst.1 > LEAP;
                    if leapt {
                        missed = (missed.0.max(rig.step), missed.1.max(rig.worst.0), missed.2.max(rig.worst.1));
                    }
                    // Three periods at 50 Hz, less what the last state is old when it is switched off.
                    assert!(!leapt || off_ms < 60, "off for {off_ms} ms at {moment}: {:?}", rig.worst);
                }
                println!(
                    "{state_ms} ms, {keeps}, {off_ms}: {found} of {moments}; {:.1}; {:.1}, {:.0}",
                    1e3 * missed.0,
                    missed.1,
                    missed.2
                );
            }
        }
    }
}

#[test]
fn after_resume_it_goes_on_from_where_it_stands_within_the_limits() {
    for (keeps, state_ms) in [(false, 0), (true, 0), (true, 20)] {
        let mut rig = return_after(keeps, state_ms, 1764, 400);
        assert!(rig.found);
        rig.streamer.resume();
        for _ in 0..200 {
            rig.tick();
        }
        assert!(rig.streamer.is_streaming() && rig.step > 1e-4, "{keeps}, {state_ms} ms: {}", rig.said);
        assert!(rig.worst.0 <= LEAP && rig.worst.1 <= LEAP, "{:?}", rig.worst);
    }
}
