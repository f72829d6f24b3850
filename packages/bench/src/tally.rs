//! What was counted.

use crate::histogram::Histogram;
use serde::{Deserialize, Serialize};

/// What can be violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// A position limit.
    Position,
    /// A velocity limit.
    Velocity,
    /// An acceleration limit.
    Acceleration,
    /// A jerk limit, or an acceleration that jumps.
    Jerk,
    /// NaN or infinite numbers in a message.
    NotFinite,
    /// A window that does not end at rest.
    NotAtRest,
    /// A stamp in the future, too old, or not the same for all controllers.
    Stamp,
    /// A committed point that changed.
    Overlap,
    /// A message that a controller refuses: names, sizes, times, over already.
    Refused,
    /// Motion while disarmed or stopped.
    Disarmed,
    /// A motion that begins elsewhere than where the robot rests.
    Start,
    /// The filter refused its own plan.
    Internal,
    /// A panic.
    Panic,
    /// A window that left late and changes what was followed by then.
    Late,
    /// A joint without end that goes the long way round.
    Round,
    /// No motion within two seconds after a lie has ended, or after the `resume` that was asked for.
    Stuck,
}

impl Quantity {
    /// All of them, in order.
    pub const ALL: [Quantity; 16] = [
        Self::Position,
        Self::Velocity,
        Self::Acceleration,
        Self::Jerk,
        Self::NotFinite,
        Self::NotAtRest,
        Self::Stamp,
        Self::Overlap,
        Self::Refused,
        Self::Disarmed,
        Self::Start,
        Self::Internal,
        Self::Panic,
        Self::Late,
        Self::Round,
        Self::Stuck,
    ];
    /// Those with a limit, whose excess is measured.
    pub const LIMITED: usize = 4;

    /// Name, as in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Position => "position",
            Self::Velocity => "velocity",
            Self::Acceleration => "acceleration",
            Self::Jerk => "jerk",
            Self::NotFinite => "not_finite",
            Self::NotAtRest => "not_at_rest",
            Self::Stamp => "stamp",
            Self::Overlap => "overlap",
            Self::Refused => "refused",
            Self::Disarmed => "disarmed",
            Self::Start => "start",
            Self::Internal => "internal",
            Self::Panic => "panic",
            Self::Late => "late",
            Self::Round => "long_way_round",
            Self::Stuck => "does_not_come_back",
        }
    }
}

/// A violation, with what is needed to see it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Seed of the episode.
    pub seed: u64,
    /// Its scenario.
    pub scenario: String,
    /// Tick of the episode.
    pub tick: u64,
    /// What was violated.
    pub quantity: Quantity,
    /// In words.
    pub what: String,
}

/// Counts of one rule over some episodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Ticks (calls of the rule).
    pub ticks: u64,
    /// Ticks that sent something.
    pub sent: u64,
    /// Ticks with a violation, by quantity.
    pub violations: Vec<u64>,
    /// Largest excess over a limit, relative to it (positions: to the range); -1 where nothing moved.
    #[serde(with = "bits")]
    pub max_excess: Vec<f64>,
    /// Heap allocations within ticks.
    pub allocations: u64,
    /// Motions begun.
    pub starts: u64,
    /// Those of them that began at a false pose which could not be known to be false.
    pub unknowable: u64,
    /// Largest step of the command at such a beginning, radians or metres (modulo a turn of a joint without end).
    #[serde(with = "bits_of_one")]
    pub start_step: f64,
    /// Chunks taken and refused.
    pub chunks: [u64; 2],
    /// The first violations.
    pub found: Vec<Found>,
}

/// Numbers in a checkpoint to the last bit: decimal ones are read a bit off.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        values.iter().map(|v| v.to_bits()).collect::<Vec<u64>>().serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<u64>::deserialize(from)?.into_iter().map(f64::from_bits).collect())
    }
}

/// The same for one number.
mod bits_of_one {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        value.to_bits().serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<f64, D::Error> {
        Ok(f64::from_bits(u64::deserialize(from)?))
    }
}

/// How many violations are told in words.
pub const TOLD: usize = 10;
/// And how many of the same quantity.
pub const TOLD_OF_EACH: usize = 3;

impl Default for Tally {
    fn default() -> Self {
        Self {
            ticks: 0,
            sent: 0,
            violations: vec![0; Quantity::ALL.len()],
            max_excess: vec![-1.0; Quantity::LIMITED],
            allocations: 0,
            starts: 0,
            unknowable: 0,
            start_step: 0.0,
            chunks: [0; 2],
            found: Vec::new(),
        }
    }
}

impl Tally {
    /// Takes in another one, which comes after this one.
    pub fn merge(&mut self, other: &Self) {
        self.ticks += other.ticks;
        self.sent += other.sent;
        for (mine, theirs) in self.violations.iter_mut().zip(&other.violations) {
            *mine += theirs;
        }
        for (mine, theirs) in self.max_excess.iter_mut().zip(&other.max_excess) {
            *mine = mine.max(*theirs);
        }
        self.allocations += other.allocations;
        self.starts += other.starts;
        self.unknowable += other.unknowable;
        self.start_step = self.start_step.max(other.start_step);
        for (mine, theirs) in self.chunks.iter_mut().zip(&other.chunks) {
            *mine += theirs;
        }
        for found in &other.found {
            let same = self.found.iter().filter(|f| f.quantity == found.quantity).count();
            if self.found.len() < TOLD && same < TOLD_OF_EACH {
                self.found.push(found.clone());
            }
        }
    }

    /// All violations.
    pub fn total(&self) -> u64 {
        self.violations.iter().sum()
    }

    /// The largest excess of any quantity; 0 when no limit was exceeded.
    pub fn worst_excess(&self) -> f64 {
        self.max_excess.iter().copied().fold(0.0, f64::max)
    }
}

/// Counts and times of one rule.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Counts.
    pub tally: Tally,
    /// How long the ticks took that sent something.
    pub time: Histogram,
}

impl Measured {
    /// Takes in another one, which comes after this one.
    pub fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        self.time.merge(&other.time);
    }
}
