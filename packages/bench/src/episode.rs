//! One episode: the filter and the rules compared with it, on the same stream.

use crate::arm::Bounds;
use crate::checker::{Checker, Command};
use crate::counting::allocations;
use crate::meter::Meter;
use crate::rivals::{RIVALS, Rival};
use crate::stimulus::{EPISODE, Event, Fault, SCENARIOS, Stimulus};
use crate::tally::{Found, Measured, Quantity};
use efm_core::{JointSample, Stamp, Trajectory};
use efm_safety::{IdleReason, StopReason, Tick, TrajectoryStreamer};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Counts of an episode.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Place in [`SCENARIOS`].
    pub scenario: usize,
    /// Whether it had the Panda's limits.
    pub panda: bool,
    /// The filter.
    pub filter: Measured,
    /// The rules compared, in the order of [`RIVALS`].
    pub rivals: Vec<Measured>,
}

/// Noise of a joint, the same for every rule.
pub fn noise((seed, size): (u64, f64), joint: usize) -> f64 {
    if size == 0.0 {
        return 0.0;
    }
    let bits = crate::rng::episode_seed(seed, joint as u64);
    size * ((bits >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
}

/// The filter, with what it sends and the judge of it.
pub struct Filtered {
    streamer: TrajectoryStreamer,
    /// The judge.
    pub checker: Checker,
    messages: Vec<Trajectory>,
    sample: JointSample,
    time: crate::histogram::Histogram,
}

/// What a tick of the filter came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It sent messages.
    Sent,
    /// It sent nothing, as what it sent before holds.
    Held,
    /// It sent nothing.
    Nothing,
}

impl Filtered {
    /// For a robot.
    ///
    /// # Errors
    /// When the filter refuses the limits or settings.
    pub fn new(stimulus: &Stimulus) -> anyhow::Result<Self> {
        let arm = &stimulus.arm;
        let n = arm.bounds.len();
        Ok(Self {
            streamer: arm.streamer()?,
            checker: Checker::new(arm, crate::stimulus::T0),
            messages: vec![Trajectory::default(); arm.controllers.len()],
            sample: JointSample { stamp: Stamp::ZERO, positions: vec![0.0; n], velocities: vec![0.0; n] },
            time: crate::histogram::Histogram::default(),
        })
    }

    /// The messages last sent.
    pub fn messages(&self) -> &[Trajectory] {
        &self.messages
    }

    /// Plays an event.
    pub fn event(&mut self, event: &Event, meter: &mut Meter) -> Said {
        let now = Stamp::from_nanos(event.now);
        self.checker.advance(event.now, event.passed, meter);
        for command in &event.commands {
            match command {
                Command::Arm(armed) => self.streamer.arm(*armed, now),
                Command::Stop => self.streamer.stop(now),
                Command::Resume => self.streamer.resume(),
                Command::Cancel => self.streamer.cancel(now),
                Command::Forget => self.streamer.forget_rest(),
            }
            self.checker.command(*command);
        }
        if let Some(raw) = &event.chunk {
            let taken = raw.to_chunk().is_ok_and(|chunk| self.streamer.offer_chunk(&chunk, now).is_ok());
            meter.tally.chunks[usize::from(!taken)] += 1;
        }
        let age = self.measure(event);
        let measured = age.map(|age| (&self.sample, age));

        let allocated = allocations();
        let start = Instant::now();
        let said = self.streamer.tick(now, measured);
        let nanos = start.elapsed().as_nanos() as u64;
        meter.tally.allocations += allocations() - allocated;
        let outcome = match said {
            Tick::Send(out) => {
                for (window, message) in out.windows.iter().zip(&mut self.messages) {
                    window.write_to(message);
                }
                self.time.add(nanos);
                self.checker.published(&self.messages, measured, meter);
                Said::Sent
            }
            Tick::Hold => Said::Held,
            Tick::Idle(reason) => {
                if let IdleReason::Latched(StopReason::Internal(violation)) = reason
                    && !self.checker.is_silent()
                {
                    self.checker.internal(violation.to_string(), meter);
                }
                self.checker.quiet();
                Said::Nothing
            }
        };
        meter.close();
        outcome
    }

    /// Fills in the measured state; its age, if there is one.
    fn measure(&mut self, event: &Event) -> Option<f64> {
        let n = self.sample.velocities.len().max(self.sample.positions.len());
        self.sample.positions.resize(n, 0.0);
        self.sample.velocities.resize(n, 0.0);
        let follower = self.checker.follower();
        let (then, before) = (follower.earlier(event.lag), follower.earlier(event.lag + 1));
        for j in 0..n {
            self.sample.positions[j] = then[j] + noise(event.noise, j);
            self.sample.velocities[j] = (then[j] - before[j]) * 1.0e3;
        }
        let mut age = event.lag as f64 * 1.0e-3;
        self.sample.stamp = Stamp::from_nanos(event.now).offset_seconds(-age);
        match event.fault {
            Fault::None => {}
            Fault::Missing => return None,
            Fault::Old(by) => age = by,
            Fault::Position(j, value) => self.sample.positions[j] = value,
            Fault::Off(j, by) => self.sample.positions[j] += by,
            Fault::Velocity(j, value) => self.sample.velocities[j] = value,
            Fault::Short => {
                self.sample.positions.pop();
            }
            Fault::Stamp(by) => self.sample.stamp = self.sample.stamp.offset_nanos(by),
        }
        Some(age)
    }
}

/// Plays an episode. `loud` prints each violation as it is found.
///
/// # Errors
/// When no robot that the filter takes comes out of the seed.
pub fn play(seed: u64, panda: &Bounds, loud: bool) -> anyhow::Result<Outcome> {
    let mut stimulus = Stimulus::new(seed, panda);
    let scenario = stimulus.scenario;
    let bounds = stimulus.arm.bounds.clone();
    let mut rivals: Vec<Rival> =
        (0..RIVALS.len()).map(|which| Rival::new(which, &bounds, &stimulus.arm.start, seed, scenario.name)).collect();
    let mut filtered = Filtered::new(&stimulus)?;
    let mut meter = Meter::new(seed, scenario.name);
    meter.loud = loud;
    let mut seconds = 0.0;
    let mut broken = false;
    for tick in 0..EPISODE {
        let event = stimulus.advance();
        seconds += event.passed as f64 * 1.0e-9;
        if broken {
            meter.close();
        } else if let Err(panic) = catch_unwind(AssertUnwindSafe(|| filtered.event(event, &mut meter))) {
            let what = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                .unwrap_or_default();
            meter.tally.violations[Quantity::Panic as usize] += 1;
            let scenario = scenario.name.to_owned();
            meter.tally.found.push(Found { seed, scenario, tick, quantity: Quantity::Panic, what });
            meter.close();
            broken = true;
        }
        for rival in &mut rivals {
            rival.event(event, seconds, &bounds);
        }
    }
    let place = SCENARIOS.iter().position(|s| s.name == scenario.name).unwrap_or(0);
    Ok(Outcome {
        scenario: place,
        panda: stimulus.panda,
        filter: Measured { tally: meter.tally, time: filtered.time },
        rivals: rivals.into_iter().map(|r| Measured { tally: r.meter.tally, time: r.time }).collect(),
    })
}
