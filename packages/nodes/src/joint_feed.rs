//! Joint states from whoever publishes them, brought together for the joints of one robot.
//!
//! A robot's joints may come from several publishers (arm and hand), in any order, with joints of others among them. Every joint is
//! aged by itself, so that one that vanishes from the messages is found and named even while the others go on.

use efm_core::{JointNames, JointSample, Stamp};

/// What is known of one joint.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    stamp: Stamp,
    /// Seconds on the caller's clock of receipts.
    received: f64,
}

/// What is wrong with the joint states. Displays with the joint's name.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JointTrouble {
    /// Nothing came.
    #[error("no joint_states were received yet")]
    Nothing,
    /// Messages come, without this joint.
    #[error("joint '{0}' is missing from joint_states")]
    Missing(String),
    /// Came once, not any more.
    #[error("joint '{joint}' is missing from joint_states since {seconds:.2} s")]
    Gone {
        /// Which.
        joint: String,
        /// Since when.
        seconds: f64,
    },
    /// Nothing comes any more.
    #[error("joint_states are silent for {0:.2} s")]
    Silent(f64),
    /// Old stamps on new messages.
    #[error("joint_states are stamped {0:.2} s in the past")]
    Old(f64),
    /// Stamps from the future.
    #[error("joint_states are stamped {0:.2} s in the future; check the clocks of both machines")]
    Future(f64),
    /// No stamps.
    #[error("joint_states carry no stamp")]
    Unstamped,
    /// The newest message was malformed.
    #[error("{0}")]
    Malformed(String),
}

/// Merges joint states. Joints keep the order of the wanted names.
#[derive(Debug, Clone)]
pub struct JointFeed {
    wanted: JointNames,
    seen: Vec<Option<Seen>>,
    sample: JointSample,
    /// The last message's names and, for each of them, its place in `wanted`.
    names: Vec<String>,
    places: Vec<Option<usize>>,
    newest: Option<Seen>,
    malformed: Option<String>,
}

impl JointFeed {
    /// For these joints.
    pub fn new(wanted: JointNames) -> Self {
        let n = wanted.len();
        let sample = JointSample { stamp: Stamp::ZERO, positions: vec![0.0; n], velocities: vec![0.0; n] };
        Self {
            wanted,
            seen: vec![None; n],
            sample,
            names: Vec::new(),
            places: Vec::new(),
            newest: None,
            malformed: None,
        }
    }

    /// The joints.
    pub fn wanted(&self) -> &JointNames {
        &self.wanted
    }

    /// Takes a message, received at `received` seconds of a clock that only goes forward. What is malformed in it (sizes, values
    /// that are no numbers) is left out and remembered; joints that carry no velocity are taken to rest. Returns whether the
    /// message held any of the wanted joints.
    pub fn update(
        &mut self,
        stamp: Stamp,
        names: &[String],
        positions: &[f64],
        velocities: &[f64],
        received: f64,
    ) -> bool {
        let seen = Seen { stamp, received };
        self.newest = Some(seen);
        if names.len() != positions.len() {
            self.malformed =
                Some(format!("joint_states name {} joints but carry {} positions", names.len(), positions.len()));
            return false;
        }
        // The same publisher sends the same names: look them up once.
        if self.names != names {
            self.names = names.to_vec();
            self.places = names.iter().map(|name| self.wanted.index_of(name)).collect();
        }
        let (mut held, mut malformed) = (false, None);
        for (i, place) in self.places.iter().enumerate() {
            let Some(place) = *place else { continue };
            let (position, velocity) = (positions[i], velocities.get(i).copied().unwrap_or(0.0));
            if !(position.is_finite() && velocity.is_finite()) {
                malformed = Some(format!(
                    "joint_states carry position {position} and velocity {velocity} of joint '{}'; both must be finite numbers",
                    names[i]
                ));
                continue;
            }
            self.sample.positions[place] = position;
            self.sample.velocities[place] = velocity;
            self.seen[place] = Some(seen);
            held = true;
        }
        if held || malformed.is_some() {
            self.malformed = malformed;
        }
        if held {
            self.sample.stamp = stamp;
        }
        held
    }

    /// The joints and the age in seconds of the oldest of them: since receipt or since its stamp, whichever is longer.
    ///
    /// # Errors
    /// When a joint was never seen or is not fresh: `max_age` and `max_future` are the bounds in seconds, `now` the time that stamps
    /// are judged by and `received_now` the time of receipts.
    pub fn fresh(
        &self,
        now: Stamp,
        received_now: f64,
        max_age: f64,
        max_future: f64,
    ) -> Result<(&JointSample, f64), JointTrouble> {
        let newest = self.newest.ok_or(JointTrouble::Nothing)?;
        let silent = received_now - newest.received;
        if silent > max_age {
            return Err(JointTrouble::Silent(silent));
        }
        if let Some(malformed) = &self.malformed {
            return Err(JointTrouble::Malformed(malformed.clone()));
        }
        let mut oldest = 0.0f64;
        for (name, seen) in self.wanted.iter().zip(&self.seen) {
            let seen = seen.ok_or_else(|| JointTrouble::Missing(name.to_owned()))?;
            let since = received_now - seen.received;
            if since > max_age {
                return Err(JointTrouble::Gone { joint: name.to_owned(), seconds: since });
            }
            if seen.stamp == Stamp::ZERO {
                return Err(JointTrouble::Unstamped);
            }
            let age = now.seconds_since(seen.stamp);
            if age > max_age {
                return Err(JointTrouble::Old(age));
            }
            if -age > max_future {
                return Err(JointTrouble::Future(-age));
            }
            oldest = oldest.max(since).max(age);
        }
        Ok((&self.sample, oldest))
    }

    /// Forgets everything, as after a step of the clock.
    pub fn clear(&mut self) {
        self.seen.fill(None);
        self.newest = None;
        self.malformed = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(n: &[&str]) -> Vec<String> {
        n.iter().map(|s| s.to_string()).collect()
    }

    fn at(seconds: f64) -> Stamp {
        Stamp::ZERO.offset_seconds(seconds)
    }

    fn feed() -> JointFeed {
        JointFeed::new(JointNames::new(["a", "b"]).unwrap())
    }

    #[test]
    fn joints_of_two_publishers_in_any_order_become_one_sample() {
        let mut feed = feed();
        assert_eq!(feed.fresh(at(1.0), 1.0, 0.1, 0.05), Err(JointTrouble::Nothing));
        assert!(feed.update(at(1.0), &names(&["x", "b"]), &[9.0, 2.0], &[0.0, 0.5], 1.0));
        assert_eq!(feed.fresh(at(1.0), 1.0, 0.1, 0.05), Err(JointTrouble::Missing("a".into())));
        assert!(feed.update(at(1.02), &names(&["a"]), &[1.0], &[], 1.03));
        let (sample, age) = feed.fresh(at(1.03), 1.03, 0.1, 0.05).unwrap();
        assert_eq!((sample.positions.as_slice(), sample.velocities.as_slice()), (&[1.0, 2.0][..], &[0.0, 0.5][..]));
        assert!((age - 0.03).abs() < 1e-9, "{age}");
        assert!(!feed.update(at(1.03), &names(&["x"]), &[9.0], &[], 1.03));
    }

    #[test]
    fn a_joint_that_vanishes_while_others_go_on_is_named() {
        let mut feed = feed();
        feed.update(at(1.0), &names(&["a", "b"]), &[1.0, 2.0], &[], 1.0);
        feed.update(at(1.2), &names(&["a"]), &[1.0], &[], 1.2);
        let trouble = feed.fresh(at(1.2), 1.2, 0.1, 0.05).unwrap_err().to_string();
        assert!(trouble.contains("'b'") && trouble.contains("missing"), "{trouble}");
        assert!(matches!(feed.fresh(at(1.5), 1.5, 0.1, 0.05), Err(JointTrouble::Silent(_))));
    }

    #[test]
    fn old_future_and_missing_stamps_are_told_apart() {
        let mut feed = feed();
        let both = names(&["a", "b"]);
        feed.update(at(1.0), &both, &[1.0, 2.0], &[], 5.0);
        assert!(matches!(feed.fresh(at(5.0), 5.0, 0.1, 0.05), Err(JointTrouble::Old(_))));
        feed.update(at(9.0), &both, &[1.0, 2.0], &[], 5.0);
        assert!(matches!(feed.fresh(at(5.0), 5.0, 0.1, 0.05), Err(JointTrouble::Future(_))));
        feed.update(Stamp::ZERO, &both, &[1.0, 2.0], &[], 5.0);
        assert_eq!(feed.fresh(at(5.0), 5.0, 0.1, 0.05), Err(JointTrouble::Unstamped));
    }

    #[test]
    fn what_is_not_a_number_is_not_taken_and_the_joint_is_named_until_a_good_message_comes() {
        let mut feed = feed();
        let both = names(&["a", "b"]);
        feed.update(at(1.0), &both, &[1.0, 2.0], &[], 1.0);
        feed.update(at(1.01), &both, &[1.0, f64::NAN], &[], 1.01);
        let trouble = feed.fresh(at(1.01), 1.01, 0.1, 0.05).unwrap_err().to_string();
        assert!(trouble.contains("'b'"), "{trouble}");
        feed.update(at(1.02), &both, &[1.0], &[], 1.02);
        assert!(matches!(feed.fresh(at(1.02), 1.02, 0.1, 0.05), Err(JointTrouble::Malformed(_))));
        feed.update(at(1.03), &both, &[1.0, 2.5], &[], 1.03);
        assert_eq!(feed.fresh(at(1.03), 1.03, 0.1, 0.05).unwrap().0.positions, [1.0, 2.5]);
    }
}
