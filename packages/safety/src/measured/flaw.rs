//! Joint states that cannot be read, and whose they are.

use efm_core::SenderId;

/// Farthest from zero that a position is believed, radians or metres.
///
/// Numbers of 64 bits are 1.2e-10 apart there. At 1 kHz that is up to 2.4e-4 rad/s2 and 0.5 rad/s3 of rounding in what a controller makes of the
/// positions that it is sent: less than a thousandth of what any arm is limited to. Both grow with the distance: ten thousand times as far, a step by one last
/// bit is as much as an arm's limits. No joint comes this far by itself: it would turn for days, one way.
pub const FARTHEST: f64 = 1.0e6;

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flaw {
    /// Other numbers of names and positions.
    Sizes {
        /// How many names.
        names: usize,
        /// How many positions.
        positions: usize,
    },
    /// The joint is in it twice.
    Twice,
    /// No numbers.
    NotFinite {
        /// Radians or metres.
        position: f64,
        /// A second.
        velocity: f64,
    },
    /// So far from zero that a position has no place for small steps, radians or metres.
    TooFar(f64),
}

impl Flaw {
    /// What is wrong with a position and a velocity (NaN: not told) of a joint.
    pub fn of(position: f64, velocity: f64) -> Option<Self> {
        if !position.is_finite() || velocity.is_infinite() {
            Some(Self::NotFinite { position, velocity })
        } else {
            (position.abs() > FARTHEST).then_some(Self::TooFar(position))
        }
    }
}

/// A message of joint states that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Malformed {
    /// Place of the joint that it is about, or of the first in the message.
    pub joint: usize,
    /// What is wrong.
    pub flaw: Flaw,
    /// Whose it is.
    pub sender: SenderId,
}

impl Malformed {
    /// In words, with the joint's name; `sender` names who sent something.
    pub fn in_words(&self, joint: &str, sender: impl Fn(SenderId) -> String) -> String {
        let who = sender(self.sender);
        match self.flaw {
            Flaw::Sizes { names, positions } => format!(
                "joint_states of {who} name {names} joints, '{joint}' among them, but carry {positions} positions; they must be as many, or none"
            ),
            Flaw::Twice => format!("joint_states of {who} name joint '{joint}' twice in one message"),
            Flaw::NotFinite { position, velocity } if position.is_finite() => {
                format!(
                    "joint_states of {who} carry velocity {velocity} of joint '{joint}'; it must be a finite number"
                )
            }
            Flaw::NotFinite { position, .. } => {
                format!(
                    "joint_states of {who} carry position {position} of joint '{joint}'; it must be a finite number"
                )
            }
            Flaw::TooFar(position) => format!(
                "joint_states of {who} have joint '{joint}' at {position:.3e}: numbers are {:.0e} apart there, which is too coarse to move by; it must \
                 be within {FARTHEST:.0e} rad or m of zero, so let the driver count its turns anew",
                position.abs() * f64::EPSILON
            ),
        }
    }
}
