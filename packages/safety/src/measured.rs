//! What is measured of the robot, and whether it can be believed.
//!
//! Joint states are what somebody says. [`JointFeed`] brings together what all senders say, message by message; [`Belief`] holds what comes of it, tick by
//! tick, against itself, against what joints can do, and against what was commanded. Nothing here knows ROS or a clock.

mod belief;
mod feed;
mod flaw;
mod frozen;
mod history;
mod others;
mod pace;

pub use belief::Doubt;
pub(crate) use belief::{Belief, BeliefConfig};
use efm_core::{JointSample, SenderId, Stamp};
pub use feed::{Allowance, Fresh, JointFeed, JointTrouble, Twin};
pub use flaw::{Flaw, Malformed};
pub(crate) use frozen::Frozen;
pub use others::{OtherJoints, OtherTrouble};
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};

/// What a tick relies on. Joint vectors are in the order of the limits.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    /// Positions and velocities (told or, where nobody tells them, from differences), with the stamp of the newest.
    pub sample: &'a JointSample,
    /// Age in seconds of the oldest joint in it, since its receipt or its stamp, whichever is longer.
    pub age_s: f64,
    /// When each joint was measured, where its source says so; else the sample's stamp holds for all.
    pub stamps: Option<&'a [Stamp]>,
    /// Which joints come from one source: the same number, the same source. None: all of them do.
    pub sources: Option<&'a [usize]>,
    /// Whether somebody tells the speeds of all joints; else they come from differences.
    pub velocity_told: bool,
    /// What was contradictory in the messages since the last tick.
    pub contradiction: Option<&'a Contradiction>,
}

impl<'a> From<(&'a JointSample, f64)> for Measured<'a> {
    fn from((sample, age_s): (&'a JointSample, f64)) -> Self {
        Self { sample, age_s, stamps: None, sources: None, velocity_told: true, contradiction: None }
    }
}

impl Measured<'_> {
    /// When a joint was measured.
    pub fn stamp_of(&self, joint: usize) -> Stamp {
        self.stamps.and_then(|stamps| stamps.get(joint).copied()).unwrap_or(self.sample.stamp)
    }

    /// Which source a joint comes from.
    pub fn source_of(&self, joint: usize) -> usize {
        self.sources.and_then(|sources| sources.get(joint).copied()).unwrap_or(0)
    }
}

/// When a joint was measured. The stamp says best, unless it makes no sense.
pub(crate) fn measured_at(now: Stamp, measured: &Measured<'_>, joint: usize) -> Stamp {
    let stamp = measured.stamp_of(joint);
    let by_age = now.offset_seconds(-measured.age_s.max(0.0));
    if (0.0..=0.5).contains(&now.seconds_since(stamp)) { stamp } else { by_age }
}

/// Joint states that cannot all be true. Joints are places in the order of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contradiction {
    /// A joint was somewhere else than it can have come to since the message before.
    Jump {
        /// Which.
        joint: usize,
        /// Before, radians or metres.
        from: f64,
        /// After.
        to: f64,
        /// Seconds between both.
        seconds: f64,
    },
    /// Two senders tell different positions of one joint.
    Senders {
        /// Which.
        joint: usize,
        /// What each says, radians or metres.
        positions: (f64, f64),
        /// Who says so.
        senders: (SenderId, SenderId),
    },
    /// Positions stay equal to the last bit, or come back to what they were, under fresh stamps, while the command goes on.
    Frozen {
        /// The joint whose command went farthest.
        joint: usize,
        /// What is told, radians or metres.
        position: f64,
        /// How far its command has gone on meanwhile.
        moved: f64,
        /// Several states are told again, and not one.
        looped: bool,
    },
}

impl Contradiction {
    /// The joint.
    pub fn joint(&self) -> usize {
        match self {
            Self::Jump { joint, .. } | Self::Senders { joint, .. } | Self::Frozen { joint, .. } => *joint,
        }
    }

    /// In words, with the joint's name; `sender` names who sent something.
    pub fn in_words(&self, joint: &str, sender: impl Fn(SenderId) -> String) -> String {
        match self {
            Self::Jump { from, to, seconds, .. } => format!(
                "joint_states have joint '{joint}' at {from:.4} and {:.0} ms later at {to:.4}, which it cannot do",
                1.0e3 * seconds
            ),
            Self::Senders { positions: (a, b), senders: (one, other), .. } => format!(
                "two nodes publish joint '{joint}': {} says {a:.4}, {} says {b:.4}; only one may",
                sender(*one),
                sender(*other)
            ),
            Self::Frozen { moved, looped: true, .. } => format!(
                "joint_states are frozen: the positions of joint '{joint}' come again, to the last bit, while its command went on by \
                 {moved:.3}"
            ),
            Self::Frozen { position, moved, .. } => format!(
                "joint_states are frozen: joint '{joint}' stays at {position:.4} to the last bit, while its command went on by \
                 {moved:.3}"
            ),
        }
    }
}

/// The way from `from` to `to`, radians or metres; of a joint that turns on without end the shorter way round.
pub fn way(continuous: bool, from: f64, to: f64) -> f64 {
    let way = to - from;
    if continuous && way.abs() > PI { way - TAU * (way / TAU).round() } else { way }
}

/// Whether a joint that may be as fast as `velocity` (rad/s or m/s) cannot have come this way in so many seconds. Stamps of drivers jitter by
/// some milliseconds, encoders are noisy, and a joint that is pushed may be a little faster than it may be commanded to be.
pub(crate) fn is_jump(way: f64, seconds: f64, velocity: f64) -> bool {
    /// Seconds that stamps may be off.
    const JITTER: f64 = 0.01;
    /// Radians or metres.
    const NOISE: f64 = 0.005;
    way.abs() > 1.5 * velocity * (seconds.max(0.0) + JITTER) + NOISE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_of_a_joint_without_end_is_the_shorter_way_round() {
        assert!((way(true, 3.1, -3.1) - 0.083_185_307).abs() < 1e-8);
        assert!((way(true, 7.0 * TAU + 0.1, 0.2) - 0.1).abs() < 1e-9);
        assert_eq!((way(false, 3.1, -3.1), way(true, 0.5, 1.0)), (-6.2, 0.5));
    }

    #[test]
    fn a_jump_is_what_no_joint_can_do_whatever_the_jitter() {
        assert!(!is_jump(0.02, 0.01, 2.0) && !is_jump(0.03, 0.0, 2.0) && is_jump(0.3, 0.01, 2.0));
        assert!(!is_jump(0.3, 0.1, 2.0));
    }

    #[test]
    fn a_contradiction_names_the_joint_and_says_both_values() {
        let jump = Contradiction::Jump { joint: 1, from: 0.1, to: 1.1, seconds: 0.01 };
        let words = jump.in_words("elbow", |_| String::new());
        assert!(words.contains("'elbow'") && words.contains("0.1000") && words.contains("1.1000"), "{words}");
        let senders = (SenderId([1; 16]), SenderId([2; 16]));
        let two = Contradiction::Senders { joint: 0, positions: (0.5, 1.5), senders };
        let words = two.in_words("wrist", |sender| format!("/node{}", sender.0[0]));
        assert!(words.contains("/node1 says 0.5000") && words.contains("/node2 says 1.5000"), "{words}");
    }
}
