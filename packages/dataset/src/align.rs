//! Which message of a topic belongs to a moment.
//!
//! Messages are told apart by their header stamps alone; when they were recorded plays no part, as that depends on the load of the machine that
//! recorded them.

use efm_core::Stamp;
use std::fmt;
use std::str::FromStr;

/// A message of a topic: its stamp, and its place among the topic's messages in the bag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamped {
    /// Of its header.
    pub stamp: Stamp,
    /// Counts the messages of the topic from 0, in the order of the bag.
    pub ordinal: u32,
}

/// How a message is chosen for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The newest whose stamp is not after the moment: what a robot could have known.
    Hold,
    /// The one whose stamp is nearest to the moment, before or after; of two, the earlier.
    Nearest,
}

/// A [`Choice`], and how far from the moment the message may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// How it is chosen.
    pub choice: Choice,
    /// Greatest distance of its stamp from the moment, in seconds; infinite: any.
    pub within_s: f64,
}

/// Why a moment has no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// None comes into question: none before the moment, or none at all.
    None,
    /// There is one, but too far away.
    TooFar,
}

impl Rule {
    /// `hold`, with a greatest age in seconds.
    pub const fn hold(within_s: f64) -> Self {
        Self { choice: Choice::Hold, within_s }
    }

    /// `nearest`, with a greatest distance in seconds.
    pub const fn nearest(within_s: f64) -> Self {
        Self { choice: Choice::Nearest, within_s }
    }

    /// Whether a distance in nanoseconds is allowed.
    pub fn allows(&self, nanos: i64) -> bool {
        nanos as f64 * 1e-9 <= self.within_s
    }

    /// The message for a moment. `messages` are in the order of their stamps; of equal stamps the last recorded counts.
    ///
    /// # Errors
    /// When there is none.
    pub fn pick(&self, messages: &[Stamped], at: Stamp) -> Result<Stamped, Missing> {
        let after = messages.partition_point(|message| message.stamp <= at);
        let before = after.checked_sub(1).map(|i| messages[i]);
        let next = messages.get(after).copied();
        let found = match (self.choice, before, next) {
            (Choice::Hold, before, _) => before,
            (Choice::Nearest, Some(before), Some(next)) => {
                Some(if at.nanos_since(before.stamp) <= next.stamp.nanos_since(at) { before } else { next })
            }
            (Choice::Nearest, before, next) => before.or(next),
        }
        .ok_or(Missing::None)?;
        if self.allows(at.nanos_since(found.stamp).abs()) { Ok(found) } else { Err(Missing::TooFar) }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let choice = match self.choice {
            Choice::Hold => "hold",
            Choice::Nearest => "nearest",
        };
        write!(f, "{choice}:{}", self.within_s)
    }
}

/// What was asked for on the command line: `hold` or `nearest`, with or without `:SECONDS`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AskedRule {
    /// How.
    pub choice: Choice,
    /// Greatest distance in seconds, where one was given.
    pub within_s: Option<f64>,
}

impl FromStr for AskedRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (choice, within) = text.split_once(':').map_or((text, None), |(choice, within)| (choice, Some(within)));
        let choice = match choice {
            "hold" => Choice::Hold,
            "nearest" => Choice::Nearest,
            other => return Err(format!("'{other}' is no rule; there are hold and nearest")),
        };
        let seconds = |text: &str| {
            let seconds = text.parse::<f64>().ok().filter(|s| *s >= 0.0);
            seconds.ok_or_else(|| format!("'{text}' is not a number of seconds (or inf)"))
        };
        Ok(Self { choice, within_s: within.map(seconds).transpose()? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn messages(nanos: &[i64]) -> Vec<Stamped> {
        let mut all: Vec<_> = nanos
            .iter()
            .enumerate()
            .map(|(i, t)| Stamped { stamp: Stamp::from_nanos(*t), ordinal: i as u32 })
            .collect();
        all.sort();
        all
    }

    fn picked(rule: Rule, nanos: &[i64], at: i64) -> Result<i64, Missing> {
        rule.pick(&messages(nanos), Stamp::from_nanos(at)).map(|m| m.stamp.nanos())
    }

    #[test]
    fn hold_takes_the_newest_that_is_not_after_the_moment_and_not_too_old() {
        let rule = Rule::hold(5e-9);
        assert_eq!(picked(rule, &[10, 20, 30], 20), Ok(20));
        assert_eq!(picked(rule, &[10, 20, 30], 25), Ok(20));
        assert_eq!(picked(rule, &[10, 20, 30], 26), Err(Missing::TooFar));
        assert_eq!(picked(rule, &[10, 20, 30], 9), Err(Missing::None));
        assert_eq!(picked(Rule::hold(f64::INFINITY), &[10], 1_000_000_000_000), Ok(10));
    }

    #[test]
    fn nearest_looks_both_ways_and_of_two_takes_the_earlier() {
        let rule = Rule::nearest(5e-9);
        assert_eq!(picked(rule, &[10, 20], 15), Ok(10));
        assert_eq!(picked(rule, &[10, 20], 16), Ok(20));
        assert_eq!(picked(rule, &[10, 20], 5), Ok(10));
        assert_eq!(picked(rule, &[10, 20], 4), Err(Missing::TooFar));
        assert_eq!(picked(rule, &[], 4), Err(Missing::None));
    }

    #[test]
    fn of_equal_stamps_the_last_recorded_counts() {
        let found = Rule::hold(1.0).pick(&messages(&[10, 10, 10]), Stamp::from_nanos(11)).unwrap();
        assert_eq!(found.ordinal, 2);
    }

    #[test]
    fn a_rule_is_read_with_and_without_its_seconds_and_nonsense_is_refused() {
        assert_eq!("hold:inf".parse(), Ok(AskedRule { choice: Choice::Hold, within_s: Some(f64::INFINITY) }));
        assert_eq!("nearest".parse(), Ok(AskedRule { choice: Choice::Nearest, within_s: None }));
        for nonsense in ["newest", "hold:-1", "hold:NaN", "hold:soon", ""] {
            assert!(nonsense.parse::<AskedRule>().is_err(), "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn a_rule_finds_what_looking_at_every_message_finds(
            nanos in proptest::collection::vec(0..200i64, 0..30), at in 0..200i64, within in 0..60i64, hold in any::<bool>(),
        ) {
            let within_s = within as f64 * 1e-9;
            let rule = if hold { Rule::hold(within_s) } else { Rule::nearest(within_s) };
            let all = nanos.iter().filter(|t| !hold || **t <= at).map(|t| ((at - t).abs(), *t));
            let expected = all.min().map(|(distance, t)| (distance <= within).then_some(t));
            let found = picked(rule, &nanos, at);
            match expected {
                None => prop_assert_eq!(found, Err(Missing::None)),
                Some(None) => prop_assert_eq!(found, Err(Missing::TooFar)),
                Some(Some(t)) => prop_assert_eq!(found, Ok(t)),
            }
        }
    }
}
