//! What was said about the robot, as anybody could hear it: whether a false pose could have been known to be false.
//!
//! The rule, which asks nothing of the filter. What is told of a joint cannot be known to be false where
//!
//! - everything that was told of it for half a second (or since the first message, for a tenth at least) is one place, up to creeping, by one
//!   sender; or everything that was told for a tenth of a second, where no leap that the joint cannot do came before it within half a
//!   second: then it may as well have been moved there;
//! - and it was not seen, in a motion, to stay equal to the last bit while its command went on, unless somebody has armed anew since, or it has told
//!   something else.

use efm_core::SenderId;
use std::collections::VecDeque;
use std::f64::consts::{PI, TAU};

/// Seconds after which one place that was told is believed: after a leap, and without one.
const AFTER_LEAP: f64 = 0.5;
const WITHOUT: f64 = 0.1;
/// Messages that may be missing at the edges of these times, seconds.
const EDGE: f64 = 0.012;
/// How far apart what is told of one place may be, radians or metres.
const ONE_PLACE: f64 = 0.01;

/// The way between two places of a joint; the shorter one round of a joint that turns on without end.
pub fn way(continuous: bool, from: f64, to: f64) -> f64 {
    let way = to - from;
    if continuous && way.abs() > PI { way - TAU * (way / TAU).round() } else { way }
}

#[derive(Debug, Clone, Copy)]
struct Word {
    received: i64,
    measured: i64,
    told: f64,
    sender: SenderId,
    leap: bool,
}

#[derive(Debug, Clone, Default)]
struct Joint {
    words: VecDeque<Word>,
    /// Whether it was told of for longer than is remembered.
    older: bool,
    /// What was commanded when its source last changed.
    commanded: f64,
    frozen: bool,
}

/// What was told of every joint.
#[derive(Debug, Clone)]
pub struct Hearing {
    joints: Vec<Joint>,
    velocity: Vec<f64>,
    continuous: Vec<bool>,
}

impl Hearing {
    /// Of joints with these velocity limits.
    pub fn new(velocity: &[f64], continuous: Vec<bool>) -> Self {
        Self { joints: vec![Joint::default(); velocity.len()], velocity: velocity.to_vec(), continuous }
    }

    /// A message: joints and what it tells of them; times in nanoseconds on the clock of receipts.
    pub fn hear(&mut self, sender: SenderId, measured: i64, received: i64, told: &[(usize, f64)], command: &[f64]) {
        let same = told.iter().all(|(joint, told)| {
            let mine = self.joints[*joint].words.iter().rev().find(|word| word.sender == sender);
            mine.is_some_and(|word| word.told.to_bits() == told.to_bits())
        });
        for (place, told) in told {
            let (velocity, continuous) = (self.velocity[*place], self.continuous[*place]);
            let joint = &mut self.joints[*place];
            if !same {
                (joint.commanded, joint.frozen) = (command[*place], false);
            } else if (command[*place] - joint.commanded).abs() > 0.06 + 0.1 * velocity {
                joint.frozen = true;
            }
            let leap = joint.words.back().is_some_and(|last| {
                let seconds = |from: i64, to: i64| (to - from).max(0) as f64 * 1.0e-9;
                let had = seconds(last.measured, measured).min(seconds(last.received, received) + 0.1);
                way(continuous, last.told, *told).abs() > 1.5 * velocity * (had + 0.01) + 0.005
            });
            while joint.words.front().is_some_and(|word| received - word.received > 700_000_000) {
                joint.words.pop_front();
                joint.older = true;
            }
            joint.words.push_back(Word { received, measured, told: *told, sender, leap });
        }
    }

    /// Somebody has looked at the robot, and armed.
    pub fn armed(&mut self) {
        self.joints.iter_mut().for_each(|joint| joint.frozen = false);
    }

    /// Seconds since a joint was last told of, or since that was measured, whichever is longer; infinite where it never was.
    pub fn age(&self, joint: usize, now: i64) -> f64 {
        let of = |word: &Word| (now - word.received.min(word.measured)) as f64 * 1.0e-9;
        self.joints[joint].words.iter().map(of).fold(f64::INFINITY, f64::min)
    }

    /// Whether nothing speaks against a joint being at `place`; see the module.
    pub fn is_credible(&self, joint: usize, place: f64, now: i64) -> bool {
        let (continuous, joint) = (self.continuous[joint], &self.joints[joint]);
        let within = |seconds: f64| {
            let from = now - (seconds * 1.0e9) as i64;
            joint.words.iter().filter(move |word| word.received >= from)
        };
        let one_sender = |seconds: f64| {
            let mut senders = within(seconds).map(|word| word.sender);
            let first = senders.next();
            senders.all(|sender| Some(sender) == first)
        };
        let one_place = |seconds: f64| {
            within(seconds).count() >= 4
                && within(seconds).all(|word| way(continuous, place, word.told).abs() <= ONE_PLACE)
        };
        let leaps = within(AFTER_LEAP - EDGE).any(|word| word.leap);
        let lasts = joint.older
            || joint.words.front().is_some_and(|word| (now - word.received) as f64 * 1.0e-9 >= WITHOUT - EDGE);
        let believed = one_place(AFTER_LEAP - EDGE) || (!leaps && one_place(WITHOUT - EDGE));
        !joint.frozen && lasts && believed && one_sender(AFTER_LEAP - EDGE)
    }
}
