//! What happens to a filter in an episode: a pure function of the seed, the same for every rule that is compared.

use crate::arm::{Arm, Odd, Panda, panda, random};
use crate::checker::Command;
use crate::chunks::{Curve, RawChunk, Shape, rows};
use crate::rng::Rng;
use crate::told::{Kind, Message, Senses};
use efm_safety::StreamConfig;
use std::f64::consts::{PI, TAU};

/// Ticks of an episode.
pub const EPISODE: u64 = 4000;
/// Time of the first tick.
pub const T0: i64 = 1_700_000_000_000_000_000;

/// A kind of episode. Probabilities are by tick, or by chunk where it says so.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Name, as in the output.
    pub name: &'static str,
    shapes: &'static [Shape],
    odd: Odd,
    /// Ticks in the time of a point.
    ticks: i64,
    /// Ticks between chunks, smallest and largest.
    every: (usize, usize),
    /// Unusual step times, by chunk.
    steps: f64,
    /// Unusual stamps, by chunk.
    stamps: f64,
    /// Wrong names, sizes, orders, by chunk.
    malformed: f64,
    commands: f64,
    /// The clock leaps.
    leaps: f64,
    /// Part of the period by which ticks are early or late.
    jitter: f64,
    /// Gaps of up to a second.
    gaps: f64,
    /// The measured state is missing, old, wrong or no number.
    faults: f64,
    /// Milliseconds of lag of the measured state, at most.
    lag: usize,
    /// Noise of the measured positions, radians or metres.
    noise: f64,
    /// Joint states come as messages of their sources, in the way of a real robot, and these are the lies among them.
    told: Option<&'static [Kind]>,
    /// Drivers and policies that wrap what turns on without end; some joints do.
    wraps: bool,
    /// Somebody moves the resting robot by hand.
    hands: f64,
    /// The robot stands outside of its position limits at first, or is moved there.
    outside: bool,
    /// What is decided on leaves late.
    pauses: f64,
}

impl Scenario {
    /// Whether joint states come as messages.
    pub fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// Whether the shorter way round is always plain, so that it can be judged.
    pub fn goes_around(&self) -> bool {
        self.wraps && self.shapes == [Shape::Smooth]
    }
}

const CALM: Scenario = Scenario {
    name: "smooth",
    shapes: &[Shape::Smooth],
    odd: Odd::No,
    ticks: 1,
    every: (5, 40),
    steps: 0.0,
    stamps: 0.0,
    malformed: 0.0,
    commands: 0.0,
    leaps: 0.0,
    jitter: 0.0,
    gaps: 0.0,
    faults: 0.0,
    lag: 20,
    noise: 1.0e-4,
    told: None,
    wraps: false,
    hands: 0.0,
    outside: false,
    pauses: 0.0,
};

/// A healthy robot as it tells of itself, with somebody who stops, disarms and resumes.
const TOLD: Scenario = Scenario {
    name: "told",
    shapes: &[Shape::Smooth, Shape::Walk, Shape::Step],
    every: (5, 30),
    commands: 0.003,
    jitter: 0.1,
    told: Some(&[]),
    ..CALM
};

/// So many of the scenarios, the first ones, are given the robot's state as it is (but for faults); in the others it is told by messages.
const GIVEN: usize = 20;

/// All kinds of episodes.
pub const SCENARIOS: &[Scenario] = &[
    CALM,
    Scenario { name: "walk", shapes: &[Shape::Walk, Shape::Ramp], ..CALM },
    Scenario { name: "white", shapes: &[Shape::White], every: (1, 40), ..CALM },
    Scenario { name: "bang_bang", shapes: &[Shape::BangBang], every: (5, 60), ..CALM },
    Scenario { name: "alternating", shapes: &[Shape::Alternating], every: (5, 60), ..CALM },
    Scenario { name: "steps", shapes: &[Shape::Step, Shape::Hold, Shape::Ramp], every: (3, 60), ..CALM },
    Scenario {
        name: "jumps",
        shapes: &[Shape::Beyond, Shape::Step, Shape::White, Shape::Smooth],
        every: (1, 30),
        gaps: 0.001,
        ..CALM
    },
    Scenario {
        name: "not_numbers",
        shapes: &[Shape::Odd, Shape::Odd, Shape::Smooth, Shape::Walk],
        every: (1, 20),
        ..CALM
    },
    Scenario { name: "malformed", shapes: &[Shape::Smooth, Shape::Walk], malformed: 0.5, every: (2, 20), ..CALM },
    Scenario {
        name: "step_times",
        shapes: &[Shape::Smooth, Shape::Walk, Shape::White, Shape::Step],
        steps: 0.7,
        ..CALM
    },
    Scenario {
        name: "stamps",
        shapes: &[Shape::Smooth, Shape::Walk, Shape::Step],
        stamps: 0.5,
        every: (1, 20),
        ..CALM
    },
    Scenario {
        name: "clock",
        shapes: &[Shape::Smooth, Shape::Step, Shape::Walk],
        leaps: 0.004,
        jitter: 0.2,
        every: (1, 20),
        ..CALM
    },
    Scenario {
        name: "late",
        shapes: &[Shape::Smooth, Shape::Walk, Shape::Step, Shape::BangBang],
        jitter: 0.9,
        gaps: 0.02,
        lag: 60,
        ..CALM
    },
    Scenario {
        name: "edges",
        shapes: &[Shape::Edge, Shape::BangBang, Shape::Beyond, Shape::Ramp],
        odd: Odd::Tiny,
        every: (1, 40),
        ..CALM
    },
    Scenario {
        name: "odd_limits",
        shapes: &[Shape::Smooth, Shape::White, Shape::BangBang, Shape::Step, Shape::Ramp],
        odd: Odd::Mixed,
        every: (1, 40),
        ..CALM
    },
    Scenario {
        name: "every_tick",
        shapes: &[Shape::White, Shape::Step, Shape::BangBang, Shape::Walk, Shape::Smooth, Shape::Edge],
        every: (1, 1),
        ..CALM
    },
    Scenario {
        name: "between_points",
        shapes: &[Shape::White, Shape::Step, Shape::BangBang, Shape::Walk, Shape::Smooth, Shape::Edge],
        ticks: 10,
        every: (1, 200),
        commands: 0.001,
        jitter: 0.5,
        faults: 0.0005,
        lag: 60,
        ..CALM
    },
    Scenario {
        name: "commands",
        shapes: &[Shape::Smooth, Shape::Walk, Shape::Step],
        commands: 0.02,
        every: (1, 20),
        ..CALM
    },
    Scenario {
        name: "measured",
        shapes: &[Shape::Smooth, Shape::Walk, Shape::Step],
        faults: 0.01,
        lag: 95,
        noise: 3.0e-3,
        every: (1, 20),
        ..CALM
    },
    Scenario {
        name: "everything",
        shapes: &[
            Shape::Smooth,
            Shape::Walk,
            Shape::White,
            Shape::BangBang,
            Shape::Alternating,
            Shape::Step,
            Shape::Ramp,
            Shape::Beyond,
            Shape::Edge,
            Shape::Odd,
            Shape::Hold,
        ],
        ticks: 1,
        odd: Odd::Mixed,
        every: (1, 50),
        steps: 0.1,
        stamps: 0.05,
        malformed: 0.05,
        commands: 0.005,
        leaps: 0.0005,
        jitter: 0.4,
        gaps: 0.002,
        faults: 0.002,
        lag: 60,
        noise: 1.0e-3,
        ..CALM
    },
    TOLD,
    Scenario { name: "false", told: Some(&[Kind::Off]), ..TOLD },
    Scenario { name: "always_false", told: Some(&[Kind::Always]), ..TOLD },
    Scenario { name: "contradictory", told: Some(&[Kind::InTurn, Kind::Drift]), ..TOLD },
    Scenario { name: "two_senders", told: Some(&[Kind::Twin]), ..TOLD },
    Scenario { name: "frozen", told: Some(&[Kind::Frozen]), hands: 0.002, ..TOLD },
    Scenario { name: "repeated", told: Some(&[Kind::Repeated, Kind::Replay]), ..TOLD },
    Scenario { name: "wrapped", shapes: &[Shape::Smooth], told: Some(&[Kind::Turns]), wraps: true, ..TOLD },
    Scenario { name: "told_late", told: Some(&[Kind::Late, Kind::Replay]), ..TOLD },
    Scenario { name: "told_early", told: Some(&[Kind::Early]), ..TOLD },
    Scenario { name: "partial", told: Some(&[Kind::Partial]), ..TOLD },
    Scenario { name: "missing", told: Some(&[Kind::Missing]), ..TOLD },
    Scenario {
        name: "outside",
        shapes: &[Shape::Smooth, Shape::Walk, Shape::Edge, Shape::BangBang],
        told: Some(&[Kind::Beyond]),
        hands: 0.002,
        outside: true,
        ..TOLD
    },
    Scenario { name: "by_hand", told: Some(&[Kind::Velocities]), hands: 0.006, ..TOLD },
    Scenario { name: "sent_late", pauses: 0.02, ..TOLD },
    Scenario { name: "lies", told: Some(&Kind::PASSING), hands: 0.001, ..TOLD },
    Scenario {
        name: "all_of_it",
        shapes: &[
            Shape::Smooth,
            Shape::Walk,
            Shape::White,
            Shape::BangBang,
            Shape::Step,
            Shape::Ramp,
            Shape::Edge,
            Shape::Odd,
        ],
        odd: Odd::Mixed,
        every: (1, 50),
        steps: 0.05,
        stamps: 0.05,
        malformed: 0.05,
        commands: 0.005,
        leaps: 0.0003,
        jitter: 0.4,
        gaps: 0.001,
        pauses: 0.003,
        told: Some(&Kind::PASSING),
        wraps: true,
        hands: 0.001,
        outside: true,
        ..CALM
    },
];

/// How the measured state is wrong in a tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// It is right.
    None,
    /// There is none.
    Missing,
    /// It says that it is this old, in seconds.
    Old(f64),
    /// A joint's position is this.
    Position(usize, f64),
    /// A joint's position is off by this.
    Off(usize, f64),
    /// A joint's velocity is this.
    Velocity(usize, f64),
    /// It has a joint less.
    Short,
    /// Its stamp is off by this, in nanoseconds.
    Stamp(i64),
}

/// What happens before and at a tick.
#[derive(Debug, Clone)]
pub struct Event {
    /// The clock of controllers and filter.
    pub now: i64,
    /// Nanoseconds that really passed since the last tick.
    pub passed: i64,
    /// Asked for before the tick.
    pub commands: Vec<Command>,
    /// Offered before the tick.
    pub chunk: Option<RawChunk>,
    /// What is wrong with the measured state.
    pub fault: Fault,
    /// Milliseconds by which it is late.
    pub lag: usize,
    /// Its noise: seed of the tick, size.
    pub noise: (u64, f64),
    /// What came of joint states since the last tick, where they are told by messages; then fault, lag and noise mean nothing.
    pub told: Option<Vec<Message>>,
    /// Whether some of what is told is not so.
    pub lying: bool,
    /// By how much a hand moves joints that rest, since the last tick.
    pub hand: Vec<(usize, f64)>,
    /// By how many nanoseconds what is decided on leaves later.
    pub late: i64,
    /// Which controller's message is the first to be late, modulo their number.
    pub late_from: usize,
}

/// The events of an episode.
#[derive(Debug)]
pub struct Stimulus {
    /// The robot.
    pub arm: Arm,
    /// Kind of the episode.
    pub scenario: &'static Scenario,
    /// Whether it is the Panda.
    pub panda: bool,
    rng: Rng,
    event: Event,
    seconds: f64,
    curve: Curve,
    at: Vec<f64>,
    next_chunk: usize,
    every: usize,
    step: f64,
    count: usize,
    fault_for: usize,
    age: f64,
    last_observed: i64,
    senses: Option<Senses>,
    /// A hand that moves joints: by how much a second, and for how many ticks.
    hand: (Vec<(usize, f64)>, usize),
    received: i64,
    /// Milliseconds by which the robot is behind its command.
    pub behind: f64,
    /// What a gripper holds, at which width.
    pub holds: Vec<(usize, f64)>,
    /// Seed of whoever looks after it.
    pub operator: u64,
}

impl Stimulus {
    /// The episode of a seed. Every fourth is the Panda's.
    pub fn new(seed: u64, robot: &Panda) -> Self {
        let mut rng = Rng::new(seed);
        // Every other one is about what is told of the robot.
        let (given, told) = SCENARIOS.split_at(GIVEN);
        let among = if seed.is_multiple_of(2) { given } else { told };
        let scenario = &among[rng.below(among.len())];
        Self::of(scenario, rng, robot)
    }

    /// An episode without anything that does not belong to a healthy robot, for the kill test.
    pub fn sane(seed: u64, robot: &Panda) -> Self {
        const SANE: &[Scenario] = &[
            CALM,
            Scenario { name: "walk", shapes: &[Shape::Walk, Shape::Ramp], ..CALM },
            Scenario { name: "steps", shapes: &[Shape::Step], every: (5, 60), ..CALM },
        ];
        let mut rng = Rng::new(seed);
        let scenario = &SANE[rng.below(SANE.len())];
        Self::of(scenario, rng, robot)
    }

    /// The episode of a seed, of the scenario with this name where one is named.
    ///
    /// # Errors
    /// When there is no such scenario.
    pub fn of_seed(seed: u64, name: Option<&str>, robot: &Panda) -> anyhow::Result<Self> {
        let Some(name) = name else { return Ok(Self::new(seed, robot)) };
        let Some(scenario) = SCENARIOS.iter().find(|s| s.name == name) else {
            let known: Vec<&str> = SCENARIOS.iter().map(|s| s.name).collect();
            anyhow::bail!("there is no scenario '{name}'; there are {}", known.join(", "));
        };
        Ok(Self::of(scenario, Rng::new(seed), robot))
    }

    fn of(scenario: &'static Scenario, mut rng: Rng, robot: &Panda) -> Self {
        let is_panda = rng.chance(0.25);
        let arm = if is_panda { panda(robot, &mut rng, scenario.odd) } else { random(&mut rng, scenario.odd) };
        let mut arm = arm;
        if scenario.wraps {
            endless(&mut arm, &mut rng);
        }
        if scenario.outside {
            stand_outside(&mut arm, &mut rng);
        }
        if arm.streamer().is_err() {
            // Settings that the filter rightly refuses.
            arm.config = StreamConfig { gripper_joints: arm.config.gripper_joints, ..StreamConfig::default() };
        }
        let mut curve = Curve::new(&arm.bounds, &arm.start, &mut rng);
        if scenario.wraps {
            curve.go_on(&arm.bounds, &mut rng);
        }
        let senses = scenario.told.map(|kinds| Senses::new(&arm, kinds, scenario.wraps, &mut rng));
        let mut holds = vec![];
        if scenario.told.is_some() {
            for j in (0..arm.bounds.len()).filter(|j| arm.bounds.gripper[*j]) {
                if rng.chance(0.3) {
                    holds.push((j, arm.bounds.position(j, rng.unit())));
                }
            }
        }
        let behind = if scenario.told.is_some() { rng.pick(&[0.0, 2.0, 8.0, 20.0]) } else { 0.0 };
        let every = scenario.every.0 + rng.below(scenario.every.1 - scenario.every.0 + 1);
        let step = rng.pick(&[0.02, 0.05, 0.1, 0.1, 0.2]);
        let count = rng.pick(&[4, 8, 16, 16, 30]);
        let lag = rng.below(scenario.lag + 1);
        let noise = if rng.chance(0.3) { 0.0 } else { scenario.noise * rng.unit() };
        Self {
            at: arm.start.clone(),
            event: Event {
                now: T0,
                passed: 0,
                commands: vec![],
                chunk: None,
                fault: Fault::None,
                lag,
                noise: (0, noise),
                told: None,
                lying: false,
                hand: vec![],
                late: 0,
                late_from: 0,
            },
            seconds: 0.0,
            curve,
            next_chunk: 1,
            every,
            step,
            count,
            fault_for: 0,
            age: rng.pick(&[0.0, 0.03, 0.06, 0.1]),
            last_observed: i64::MIN,
            senses,
            hand: (vec![], 0),
            received: 0,
            behind,
            holds,
            operator: if scenario.told.is_some() { rng.bits() } else { 0 },
            arm,
            scenario,
            panda: is_panda,
            rng,
        }
    }

    /// What happens next.
    pub fn advance(&mut self) -> &Event {
        let first = self.event.passed == 0 && self.seconds == 0.0;
        self.event.commands.clear();
        self.event.chunk = None;
        if first {
            self.event.commands.push(Command::Arm(true));
        }
        self.time(first);
        self.commands();
        self.chunk();
        self.measured();
        self.told();
        &self.event
    }

    /// What hands do, and what is told of it.
    fn told(&mut self) {
        self.received += self.event.passed;
        let Some(senses) = &mut self.senses else { return };
        let (s, rng, b) = (self.scenario, &mut self.rng, &self.arm.bounds);
        let mut messages = self.event.told.take().unwrap_or_default();
        senses.advance(self.received, &mut messages);
        self.event.told = Some(messages);
        self.event.lying = senses.is_lying(self.received);
        self.event.hand.clear();
        if self.hand.1 > 0 {
            self.hand.1 -= 1;
            let seconds = self.event.passed.min(40_000_000) as f64 * 1.0e-9;
            self.event.hand.extend(self.hand.0.iter().map(|(joint, speed)| (*joint, speed * seconds)));
        } else if rng.chance(s.hands) {
            self.hand.1 = 1 + rng.below(100);
            self.hand.0.clear();
            for _ in 0..1 + rng.below(3) {
                let joint = rng.below(b.len());
                if !b.gripper[joint] {
                    self.hand.0.push((joint, rng.sign() * rng.scale(0.01, 0.5) * b.velocity[joint]));
                }
            }
        }
        self.event.late = 0;
        if rng.chance(s.pauses) {
            self.event.late = (rng.scale(1.0e-3, 0.15) * 1.0e9) as i64;
            self.event.late_from = if rng.chance(0.7) { 0 } else { rng.below(3) };
        }
    }

    fn time(&mut self, first: bool) {
        let (s, rng) = (self.scenario, &mut self.rng);
        let period = (self.arm.config.period_s * 1.0e9).round() as i64;
        let mut passed = period;
        passed /= s.ticks;
        if s.jitter > 0.0 {
            passed += (s.jitter * rng.between(-1.0, 1.0) * passed as f64) as i64;
        }
        if rng.chance(s.gaps) {
            passed += (rng.scale(1.0e-3, 1.0) * 1.0e9) as i64;
        }
        // Whoever waits to send does not tick.
        passed = passed.max(1).max(self.event.late + 1);
        let mut now = self.event.now.saturating_add(passed);
        if rng.chance(s.leaps) {
            let by = (rng.scale(1.0e-3, 3.0e3) * 1.0e9) as i64;
            now = match rng.below(12) {
                0 => self.event.now,
                1 => T0 - 7_000_000_000,
                2 => 1_000_000_000,
                3 => now.saturating_add(1 << 60),
                4..=7 => now.saturating_sub(by),
                _ => now.saturating_add(by),
            };
            // Room to go on for.
            now = now.clamp(1_000_000_000, i64::MAX / 2);
        }
        if first {
            (passed, now) = (1, T0);
        }
        (self.event.passed, self.event.now) = (passed, now);
        self.seconds += passed as f64 * 1.0e-9;
    }

    fn commands(&mut self) {
        let (s, rng) = (self.scenario, &mut self.rng);
        let list = &mut self.event.commands;
        if rng.chance(s.commands) {
            list.push(match rng.below(8) {
                0 => Command::Arm(false),
                1 => Command::Stop,
                2 | 3 => Command::Cancel,
                4 => Command::Forget,
                5 => Command::Arm(true),
                _ => Command::Resume,
            });
        }
        if s.told.is_some() {
            // The operator looks after the rest; see `episode`.
            return;
        }
        // Somebody sets things right again before long.
        if rng.chance(0.04) {
            list.push(Command::Resume);
        }
        if rng.chance(0.02) {
            list.push(Command::Arm(true));
        }
    }

    fn chunk(&mut self) {
        let (s, rng) = (self.scenario, &mut self.rng);
        self.next_chunk = self.next_chunk.saturating_sub(1);
        if self.next_chunk > 0 {
            return;
        }
        self.next_chunk = self.every;
        if rng.chance(0.02) {
            // A pause, so that it comes to rest; or another rhythm.
            self.next_chunk = rng.below(300);
            self.every = s.every.0 + rng.below(s.every.1 - s.every.0 + 1);
        }
        let mut step = self.step;
        if rng.chance(s.steps) {
            const STEPS: [f64; 16] = [
                1.0e-3,
                1.001e-3,
                9.99e-4,
                2.0e-3,
                5.0e-3,
                0.5,
                1.0,
                9.9,
                10.0,
                10.1,
                1.0e-9,
                1.0e-300,
                1.0e300,
                0.0,
                -0.1,
                f64::NAN,
            ];
            step = rng.pick(&STEPS);
        }
        let mut observed = self.event.now.saturating_sub((self.age * 1.0e9) as i64);
        if rng.chance(s.stamps) {
            observed = match rng.below(10) {
                0 => 0,
                1 => i64::MIN,
                2 => i64::MAX,
                3 => self.last_observed,
                4 => self.last_observed.saturating_add(1),
                5 => self.event.now.saturating_add(rng.pick(&[1, 49_000_000, 50_000_001, 3_600_000_000_000])),
                6 => self.event.now.saturating_sub(rng.pick(&[999_999_999, 1_000_000_001, 86_400_000_000_000])),
                _ => self.event.now.saturating_sub((rng.between(-0.1, 1.2) * 1.0e9) as i64),
            };
        }
        let shape = rng.pick(s.shapes);
        let count = if rng.chance(0.1) { 1 + rng.below(60) } else { self.count };
        let from = self.seconds - self.age;
        let b = &self.arm.bounds;
        let mut positions = rows(shape, b, &self.curve, &mut self.at, from, step, count, rng);
        if s.wraps && rng.chance(0.5) {
            for (k, position) in positions.iter_mut().enumerate().filter(|(k, _)| b.is_continuous(k % b.len())) {
                let _ = k;
                *position -= TAU * ((*position + PI) / TAU).floor();
            }
        }
        let mut names = b.names.clone();
        if rng.chance(s.malformed) {
            malform(&mut names, &mut positions, rng);
        }
        self.last_observed = observed;
        self.event.chunk = Some(RawChunk { observed_at: observed, step, names, positions });
    }

    fn measured(&mut self) {
        let (s, rng, n) = (self.scenario, &mut self.rng, self.arm.bounds.len());
        self.event.noise.0 = rng.bits();
        if self.fault_for > 0 {
            self.fault_for -= 1;
            return;
        }
        self.event.fault = Fault::None;
        if rng.chance(s.faults) {
            let joint = rng.below(n);
            const NONE: [f64; 5] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0e300, -1.0e300];
            self.event.fault = match rng.below(10) {
                0 => Fault::Missing,
                1 => Fault::Old(rng.pick(&[0.05, 0.099, 0.1, 0.101, 0.3, 10.0, f64::NAN, f64::INFINITY, -1.0])),
                2 => Fault::Position(joint, rng.pick(&NONE)),
                3 => Fault::Velocity(joint, rng.pick(&NONE)),
                4 => Fault::Short,
                5 => Fault::Stamp(rng.pick(&[i64::MIN, i64::MAX, 400_000_000, -400_000_000, 30_000_000, 0])),
                6 => Fault::Velocity(joint, rng.between(-1.0, 1.0)),
                7 => Fault::Off(joint, rng.between(-0.06, 0.06)),
                8 => Fault::Off(joint, rng.between(-0.3, 0.3)),
                _ => Fault::Off(joint, rng.between(-30.0, 30.0)),
            };
            self.fault_for = rng.pick(&[0, 0, 1, 5, 60]);
        }
    }
}

/// Some joints of an arm turn on without end.
fn endless(arm: &mut Arm, rng: &mut Rng) {
    for j in (0..arm.bounds.len()).filter(|j| !arm.bounds.gripper[*j]) {
        if j == 0 || rng.chance(0.4) {
            (arm.bounds.min[j], arm.bounds.max[j]) = (f64::NEG_INFINITY, f64::INFINITY);
            arm.start[j] = rng.between(-PI, PI);
        }
    }
}

/// The robot stands outside of its position limits.
fn stand_outside(arm: &mut Arm, rng: &mut Rng) {
    if rng.chance(0.3) {
        return;
    }
    let by = rng.scale(1.0e-6, 0.2);
    let one = rng.below(arm.bounds.len());
    for j in 0..arm.bounds.len() {
        let (min, max) = (arm.bounds.min[j], arm.bounds.max[j]);
        if (j == one || rng.chance(0.2)) && !arm.bounds.gripper[j] && min.is_finite() && max.is_finite() {
            arm.start[j] = if rng.chance(0.5) { max + by } else { min - by };
        }
    }
}

fn malform(names: &mut Vec<String>, positions: &mut Vec<f64>, rng: &mut Rng) {
    let n = names.len();
    match rng.below(8) {
        0 => {
            positions.pop();
        }
        1 => positions.clear(),
        2 => positions.push(0.3),
        3 => {
            names.pop();
        }
        4 => names.push("elbow_of_somebody_else".into()),
        5 => names[rng.below(n)] = "elbow_of_somebody_else".into(),
        6 => names[rng.below(n)] = names[0].clone(),
        // Another order, with the columns to match: to be taken.
        _ => {
            let order = rng.order(n);
            *names = order.iter().map(|j| names[*j].clone()).collect();
            for row in positions.chunks_mut(n) {
                let old = row.to_vec();
                row.iter_mut().zip(&order).for_each(|(x, j)| *x = old[*j]);
            }
        }
    }
}
