//! One episode: the filter and the rules compared with it, on the same stream.

use crate::arm::Panda;
use crate::checker::{Checker, Command};
use crate::counting::allocations;
use crate::meter::Meter;
use crate::rivals::{RIVALS, Rival};
use crate::rng::Rng;
use crate::robot::Robot;
use crate::stimulus::{EPISODE, Event, Fault, SCENARIOS, Stimulus};
use crate::tally::{Found, Measured, Quantity};
use crate::told::{Form, Message, Velocities};
use efm_core::{JointSample, SenderId, Stamp, Trajectory};
use efm_safety::{Contradiction, IdleReason, JointFeed, StopReason, Tick, TrajectoryStreamer};
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
    /// Where joint states come as messages.
    ears: Option<Ears>,
    /// Whether ways round are judged.
    around: bool,
    endless: Vec<bool>,
    /// Why nothing was sent, and whether that asks for somebody.
    why: Option<IdleReason>,
    /// The same, as it was told last.
    why_before: Option<IdleReason>,
    asks: bool,
    told: Vec<(usize, f64)>,
}

/// What stands between messages and the filter, as in the node; and somebody who looks after the robot.
struct Ears {
    feed: JointFeed,
    names: Vec<String>,
    /// What the sources last told of each joint: positions and velocities.
    last: Vec<f64>,
    last_velocity: Vec<f64>,
    operator: Operator,
    positions: Vec<f64>,
    velocities: Vec<f64>,
    spoken: Vec<String>,
    heard: Vec<(usize, f64)>,
    /// Seconds that it might have moved and did not, since nothing spoke against it.
    waits: f64,
    /// Until then (nanoseconds of the filter's clock) the chunk that was taken last has something to say.
    chunk_until: i64,
    /// How often somebody let it go on since it moved or was lied about.
    vain: u32,
}

impl Ears {
    /// Makes a message of what it says, and gives it to the feed. What can be heard of it is in `heard` then.
    fn take_in(&mut self, message: &Message, checker: &Checker, endless: &[bool], now: i64) {
        let n = message.says.len();
        self.positions.clear();
        self.velocities.clear();
        self.heard.clear();
        self.spoken.clear();
        for (joint, say) in &message.says {
            let truth = checker.truth(*joint, message.measured);
            let earlier = checker.truth(*joint, message.measured - 2_000_000);
            let told = message.position(*joint, *say, truth, self.last[*joint], endless[*joint]);
            self.positions.push(told);
            let velocity = if message.is_repeating() { self.last_velocity[*joint] } else { (truth - earlier) / 2.0e-3 };
            self.velocities.push(velocity);
            self.spoken.push(self.names[*joint].clone());
            self.heard.push((*joint, told));
            if !message.is_strange() {
                (self.last[*joint], self.last_velocity[*joint]) = (told, velocity);
            }
        }
        match message.velocities {
            Velocities::Told => {}
            Velocities::Not => self.velocities.clear(),
            Velocities::Nan => self.velocities.fill(f64::NAN),
            Velocities::Zero => self.velocities.fill(0.0),
        }
        let age = checker.received() - message.measured;
        let mut stamp = Stamp::from_nanos(now.saturating_sub(age).saturating_add(message.stamp_off));
        match message.form {
            Form::Sound => {}
            Form::Short => drop(self.positions.pop()),
            Form::Nan => self.positions[n / 2] = f64::NAN,
            Form::Unstamped => stamp = Stamp::ZERO,
            Form::Twice => {
                self.spoken.push(self.spoken[0].clone());
                self.positions.push(self.positions[0]);
            }
        }
        if message.form != Form::Sound {
            self.heard.clear();
        }
        let received = message.received as f64 * 1.0e-9;
        self.feed.update(message.sender, stamp, &self.spoken, &self.positions, &self.velocities, received);
    }
}

/// Arms what was disarmed, and resumes what asks for it: when the lies are over, as a rule.
struct Operator {
    rng: Rng,
    /// In so many seconds.
    acts: Option<f64>,
    /// Whether this one waits for the truth.
    patient: bool,
}

impl Operator {
    /// Time passes; whether to act. `asked`: somebody has to do something, `lying`: and what is told is not so.
    fn watch(&mut self, asked: bool, lying: bool, seconds: f64) -> bool {
        if !asked {
            self.acts = None;
            return false;
        }
        let Some(acts) = &mut self.acts else {
            self.acts = Some(self.rng.scale(0.02, 1.0));
            self.patient = self.rng.chance(0.8);
            return false;
        };
        *acts -= seconds;
        if *acts > 0.0 || (self.patient && lying) {
            return false;
        }
        self.acts = None;
        true
    }
}

/// Stamps may be so much in the future, seconds: as the node has it.
const MAX_FUTURE: f64 = 0.05;
/// Within so many seconds a robot moves again.
const BACK: f64 = 2.0;
/// And after so many times that somebody let it.
const VAIN: u32 = 6;
/// Noise and steps of what is told, at most, radians or metres.
const NOISE: f64 = 1.5e-3;

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
        let mut checker = Checker::new(arm, crate::stimulus::T0);
        let mut streamer = arm.streamer()?;
        // As joint_trajectory_controllers do: without it a source that froze at rest says the same as a robot whose controller was switched off.
        (0..arm.controllers.len()).for_each(|controller| streamer.controller_speaks(controller));
        let endless: Vec<bool> = (0..n).map(|j| arm.bounds.is_continuous(j)).collect();
        let ears = stimulus.scenario.is_told().then(|| {
            let mut feed = JointFeed::new(streamer.joints().clone(), 0.0);
            feed.bound(streamer.limits().velocity(), streamer.limits().continuous());
            checker.robot = Robot::new(n, stimulus.behind);
            stimulus.holds.iter().for_each(|(joint, width)| checker.robot.hold(*joint, Some(*width)));
            Ears {
                feed,
                names: arm.bounds.names.clone(),
                last: arm.start.clone(),
                last_velocity: vec![0.0; n],
                operator: Operator { rng: Rng::new(stimulus.operator), acts: None, patient: true },
                positions: vec![],
                velocities: vec![],
                spoken: vec![],
                heard: vec![],
                waits: 0.0,
                chunk_until: i64::MIN,
                vain: 0,
            }
        });
        Ok(Self {
            streamer,
            checker,
            messages: vec![Trajectory::default(); arm.controllers.len()],
            sample: JointSample { stamp: Stamp::ZERO, positions: vec![0.0; n], velocities: vec![0.0; n] },
            time: crate::histogram::Histogram::default(),
            ears,
            around: stimulus.scenario.goes_around(),
            endless,
            why: None,
            why_before: None,
            asks: false,
            told: vec![],
        })
    }

    /// The messages last sent.
    pub fn messages(&self) -> &[Trajectory] {
        &self.messages
    }

    fn command(&mut self, command: Command, now: Stamp) {
        match command {
            Command::Arm(armed) => self.streamer.arm(armed, now),
            Command::Stop => self.streamer.stop(now),
            Command::Resume => self.streamer.resume(),
            Command::Cancel => self.streamer.cancel(now),
            Command::Forget => self.streamer.forget_rest(),
        }
        self.checker.command(command);
    }

    /// Plays an event.
    pub fn event(&mut self, event: &Event, meter: &mut Meter) -> Said {
        let now = Stamp::from_nanos(event.now);
        let before = self.checker.received();
        self.checker.advance(event.now, event.passed, meter);
        if !self.streamer.is_streaming() {
            self.checker.robot.push(self.checker.received(), before, &event.hand);
        }
        for command in &event.commands {
            self.command(*command, now);
        }
        if let Some(raw) = &event.chunk {
            let taken = raw.to_chunk().is_ok_and(|chunk| self.streamer.offer_chunk(&chunk, now).is_ok());
            meter.tally.chunks[usize::from(!taken)] += 1;
            if meter.loud && self.why.is_some() {
                let (age, seconds) = (event.now.saturating_sub(raw.observed_at), raw.step);
                println!(
                    "tick {}: a chunk, taken: {taken}, {age} ns old, rows of {seconds} s, {} numbers",
                    meter.tally.ticks,
                    raw.positions.len()
                );
            }
            if let (true, true, Some(rows)) = (taken, self.around, raw.rows(self.checker.bounds())) {
                self.checker.asked(&rows);
            }
            if let (true, Some(ears)) = (taken, &mut self.ears) {
                let rows = raw.positions.len() / raw.names.len().max(1);
                // What was seen too long ago begins no motion.
                let says_s = (raw.step * rows as f64).min(self.streamer.config().max_observation_age_s);
                ears.chunk_until = raw.observed_at.saturating_add((says_s * 1.0e9) as i64);
            }
        }
        let said = match &event.told {
            Some(messages) => self.hear(event, messages, meter),
            None => {
                let age = self.measure(event);
                let nothing = JointSample { stamp: Stamp::ZERO, positions: vec![], velocities: vec![] };
                let sample = std::mem::replace(&mut self.sample, nothing);
                let said = self.decide(event, age.map(|age| (&sample, age)), meter);
                self.sample = sample;
                said
            }
        };
        meter.close();
        said
    }

    /// Takes messages as the node does, ticks, and looks after the robot.
    fn hear(&mut self, event: &Event, messages: &[Message], meter: &mut Meter) -> Said {
        let Some(mut ears) = self.ears.take() else { return Said::Nothing };
        let (now, received) = (Stamp::from_nanos(event.now), self.checker.received());
        for message in messages {
            ears.take_in(message, &self.checker, &self.endless, event.now);
            if !ears.heard.is_empty() {
                let measured = message.measured + message.stamp_off;
                self.checker.heard(message.sender, measured, message.received, &ears.heard);
            }
        }
        let received_s = received as f64 * 1.0e-9;
        let contradiction = ears.feed.contradiction(received_s);
        let max_age = self.streamer.config().max_joint_state_age_s;
        let fresh = ears.feed.fresh(now, received_s, max_age, MAX_FUTURE).ok();
        let measured = fresh.map(|fresh| efm_safety::Measured {
            sample: fresh.sample,
            age_s: fresh.age_s,
            stamps: Some(fresh.stamps),
            sources: Some(fresh.sources),
            velocity_told: fresh.velocity_told,
            contradiction: contradiction.as_ref(),
        });
        let said = self.decide(event, measured, meter);
        self.look_after(&mut ears, event, said, meter);
        self.ears = Some(ears);
        said
    }

    /// Somebody looks after the robot, and whether it moves when it can.
    fn look_after(&mut self, ears: &mut Ears, event: &Event, said: Said, meter: &mut Meter) {
        let seconds = event.passed as f64 * 1.0e-9;
        let now = Stamp::from_nanos(event.now);
        let asked = !self.streamer.is_armed() || self.streamer.latched().is_some() || self.asks;
        let acts = ears.operator.watch(asked, event.lying, seconds);
        if acts {
            let frozen = matches!(self.why, Some(IdleReason::Contradiction(Contradiction::Frozen { .. })));
            let command = match (self.streamer.is_armed(), frozen && ears.vain > 1) {
                (false, _) => Command::Arm(true),
                (true, false) => Command::Resume,
                // What repeats itself may be the truth: whoever has looked says so by arming anew.
                (true, true) => Command::Arm(false),
            };
            self.command(command, now);
            ears.vain += 1;
        }
        let moves = said != Said::Nothing;
        if moves || event.lying || !event.commands.is_empty() || !event.hand.is_empty() {
            ears.vain = 0;
        }
        let n = self.endless.len();
        let near = self.streamer.config().max_start_error - 2.0 * NOISE;
        let received = self.checker.received();
        let outside = (0..n).any(|j| {
            let (b, p) = (self.checker.bounds(), self.checker.truth(j, received));
            !b.gripper[j] && (b.min[j] - p).max(p - b.max[j]) > near
        });
        let disturbed = moves
            || event.lying
            || asked
            || acts
            || outside
            || seconds > 0.1
            || !event.commands.is_empty()
            || !event.hand.is_empty();
        if asked || seconds > 0.1 || !event.commands.is_empty() {
            // A stop forgets what was taken before it.
            ears.chunk_until = i64::MIN;
        }
        // Only what has something to say for a while makes it move.
        let wanted = ears.chunk_until.saturating_sub(event.now) > 150_000_000;
        ears.waits = match (disturbed, wanted) {
            (true, _) => 0.0,
            (false, true) => ears.waits + seconds,
            (false, false) => ears.waits,
        };
        if ears.waits > BACK || ears.vain > VAIN {
            let (waits, vain, why) = (ears.waits, ears.vain, &self.why);
            meter.violate(Quantity::Stuck, || format!("no motion for {waits:.2} s, {vain} times asked for: {why:?}"));
            // Told once.
            (ears.waits, ears.vain) = (f64::NEG_INFINITY, 0);
        }
    }

    /// Ticks, and has the judge look at what comes of it.
    fn decide<'m>(
        &mut self,
        event: &Event,
        measured: Option<impl Into<efm_safety::Measured<'m>>>,
        meter: &mut Meter,
    ) -> Said {
        let allocated = allocations();
        let start = Instant::now();
        let said = self.streamer.tick(Stamp::from_nanos(event.now), measured);
        let nanos = start.elapsed().as_nanos() as u64;
        meter.tally.allocations += allocations() - allocated;
        self.asks = false;
        self.why = None;
        match said {
            Tick::Send(out) => {
                let leave_by = out.leave_by.nanos();
                for (window, message) in out.windows.iter().zip(&mut self.messages) {
                    window.write_to(message);
                }
                self.time.add(nanos);
                let (late, all) = (event.late, self.messages.len());
                // A pause before the first is sent, or between two.
                let before = if late > 0 { event.late_from % all } else { all };
                if before > 0 {
                    self.checker.published(&self.messages[..before], event.now, meter);
                }
                if late > 0 {
                    self.checker.wait(late, meter);
                }
                if before == all {
                    Said::Sent
                } else if event.now.saturating_add(late) <= leave_by {
                    self.checker.published(&self.messages, event.now, meter);
                    Said::Sent
                } else {
                    // As the node does.
                    self.streamer.not_sent(before);
                    Said::Held
                }
            }
            Tick::Hold => Said::Held,
            Tick::Idle(reason) => {
                if let IdleReason::Latched(StopReason::Internal(violation)) = &reason
                    && !self.checker.is_silent()
                {
                    self.checker.internal(violation.to_string(), meter);
                }
                self.checker.quiet();
                self.asks = matches!(
                    reason,
                    IdleReason::Elsewhere { .. } | IdleReason::Contradiction(Contradiction::Frozen { .. })
                );
                if meter.loud && self.why_before.as_ref() != Some(&reason) {
                    println!("tick {}: nothing is sent: {reason:?}", meter.tally.ticks);
                    self.why_before = Some(reason.clone());
                }
                self.why = Some(reason);
                Said::Nothing
            }
        }
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
        let sample = &self.sample;
        if age <= self.streamer.config().max_joint_state_age_s && sample.positions.iter().all(|p| p.is_finite()) {
            let received = self.checker.received();
            self.told.clear();
            self.told.extend(sample.positions.iter().copied().enumerate());
            self.checker.heard(SenderId::UNKNOWN, received - (age * 1.0e9) as i64, received, &self.told);
        }
        Some(age)
    }
}

/// Plays an episode, of the scenario with this name where one is named. `loud` prints each violation as it is found.
///
/// # Errors
/// When no robot that the filter takes comes out of the seed, or there is no such scenario.
pub fn play(seed: u64, scenario: Option<&str>, panda: &Panda, loud: bool) -> anyhow::Result<Outcome> {
    let mut stimulus = Stimulus::of_seed(seed, scenario, panda)?;
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
