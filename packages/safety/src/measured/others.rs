//! Where the joints stand that nobody here moves: from joint states, or declared.
//!
//! Each is aged by itself. What is told of one is believed as it comes (nothing here knows what it can do), but for what is no number or too far from
//! zero, two senders that speak of it at the same time and do not agree, and what contradicts a declaration. A message that carries no positions says
//! nothing, and no number of one sender takes the word from another that tells one.

use super::flaw::FARTHEST;
use super::pace::Pace;
use super::way;
use efm_core::figure::Figure;
use efm_core::{SenderId, Stamp};
use std::collections::BTreeMap;

/// Seconds within which two senders of a joint count as speaking at the same time.
const INTERLEAVED: f64 = 0.5;
/// What two senders of a joint, or a sender and a declaration, may differ by, radians or metres.
const AGREE: f64 = 0.005;

/// Why it is not known where a joint stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OtherTrouble {
    /// Nobody has told it.
    Missing,
    /// Told once, not any more since so many seconds.
    Gone(f64),
    /// Its stamp is so many seconds in the past.
    Old(f64),
    /// Its stamp is so many seconds in the future.
    Future(f64),
    /// It has no stamp.
    Unstamped,
    /// It is told so seldom that it would be missed again and again, seconds: its usual interval, how old it may be, and how old it would have to be allowed
    /// to be.
    Slow {
        /// Usual interval.
        every: f64,
        /// How old it may be.
        allowed: f64,
        /// How old it would have to be allowed to be.
        needs: f64,
    },
    /// What is told is no number, or too far from zero.
    NoPosition {
        /// What is told, radians or metres.
        position: f64,
        /// Who says so.
        sender: SenderId,
    },
    /// Two senders tell different positions, radians or metres.
    Senders {
        /// What each says.
        positions: (f64, f64),
        /// Who says so.
        senders: (SenderId, SenderId),
    },
    /// It is declared to be fixed, and told to be elsewhere, radians or metres.
    NotFixed {
        /// Where it is declared to be.
        declared: f64,
        /// Where it is told to be.
        told: f64,
    },
}

impl OtherTrouble {
    /// In words, with the joint's name; `sender` names who sent something.
    pub fn in_words(&self, joint: &str, sender: impl Fn(SenderId) -> String) -> String {
        match self {
            Self::Missing => format!(
                "joint '{joint}' is missing from joint_states: no controller moves it, but what it moves must not be hit, so nothing may \
                 move before it is told (parameter 'fixed_joints' is for joints that nobody tells)"
            ),
            Self::Gone(seconds) => {
                format!("joint '{joint}', which no controller moves, is missing from joint_states since {seconds:.2} s")
            }
            Self::Old(seconds) => {
                format!("joint '{joint}', which no controller moves, is stamped {seconds:.2} s in the past")
            }
            Self::Future(seconds) => {
                format!(
                    "joint '{joint}', which no controller moves, is stamped {seconds:.2} s in the future; check the clocks"
                )
            }
            Self::Unstamped => {
                format!(
                    "joint '{joint}', which no controller moves, is told in joint_states without a stamp; let its driver stamp it, or set the \
                     parameter 'joint_state_stamps' to 'receipt' to take the time at which it comes"
                )
            }
            Self::Slow { every, allowed, needs } => format!(
                "joint '{joint}', which no controller moves, is told in joint_states every {every:.2} s only, and may be {allowed:.2} s old; let its \
                 driver publish more often, or set the parameter 'max_joint_state_age' to {needs:.2} or more"
            ),
            Self::NoPosition { position, sender: who } => format!(
                "joint_states of {} carry position {position:?} of joint '{joint}', which no controller moves; it must be a finite number within \
                 {FARTHEST:.0e} rad or m of zero",
                sender(*who)
            ),
            Self::Senders { positions: (a, b), senders: (one, other) } => format!(
                "two nodes publish joint '{joint}', which no controller moves: {} says {:.4}, {} says {:.4}; only one may",
                sender(*one),
                Figure(*a),
                sender(*other),
                Figure(*b)
            ),
            Self::NotFixed { declared, told } => format!(
                "joint '{joint}' is at {:.4} by joint_states and fixed at {declared:.4} by the parameter 'fixed_joints'; take it out of \
                 there, or mend who publishes it",
                Figure(*told)
            ),
        }
    }
}

/// Whole turns apart is the same; what is no number, or too far from zero to tell turns, agrees with nothing.
fn agree(one: f64, other: f64) -> bool {
    one.abs().max(other.abs()) <= FARTHEST && way(true, one, other).abs() <= AGREE
}

/// The last that was told of a joint.
#[derive(Debug, Clone, Copy)]
struct Told {
    sender: SenderId,
    position: f64,
    stamp: Stamp,
    /// Seconds on the caller's clock of receipts.
    received: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Joint {
    declared: Option<f64>,
    told: Option<Told>,
    /// What another sender than the last said last.
    before: Option<Told>,
    /// Two senders did not agree, and when.
    both: Option<(OtherTrouble, f64)>,
    /// How often it is told.
    pace: Pace,
}

impl Told {
    fn is_position(&self) -> bool {
        self.position.is_finite() && self.position.abs() <= FARTHEST
    }
}

impl Joint {
    fn hear(&mut self, told: Told) {
        let tells = |last: Told| last.is_position() && told.received - last.received < INTERLEAVED;
        if !told.is_position() && self.told.is_some_and(|last| last.sender != told.sender && tells(last)) {
            return;
        }
        self.pace.heard(told.received);
        if let Some(last) = self.told.replace(told)
            && last.sender != told.sender
        {
            // The one before speaks again: it was not its end that brought the other.
            let speaks_again = |b: Told| b.sender == told.sender && told.received - b.received < INTERLEAVED;
            if self.before.is_some_and(speaks_again) && !agree(last.position, told.position) {
                let (positions, senders) = ((last.position, told.position), (last.sender, told.sender));
                self.both = Some((OtherTrouble::Senders { positions, senders }, told.received));
            }
            self.before = Some(last);
        }
    }

    fn look(&self, now: Stamp, received_now: f64, ages: (f64, f64), max_future: f64) -> Result<f64, OtherTrouble> {
        let (max_age, slow) = (self.pace.allowed(ages.0, ages.0.max(ages.1)), ages.0.max(ages.1));
        if let Some((trouble, at)) = self.both
            && received_now - at < INTERLEAVED
        {
            return Err(trouble);
        }
        if let Some(declared) = self.declared {
            // However old: what is fixed is where it was told to be last.
            return match self.told.map(|told| told.position) {
                Some(told) if !agree(told, declared) => Err(OtherTrouble::NotFixed { declared, told }),
                _ => Ok(declared),
            };
        }
        let told = self.told.ok_or(OtherTrouble::Missing)?;
        if let Some((every, needs)) = self.pace.too_slow(ages.0, slow) {
            return Err(OtherTrouble::Slow { every, allowed: max_age, needs });
        }
        let since = received_now - told.received;
        if since.is_nan() || since > max_age {
            return Err(OtherTrouble::Gone(since));
        }
        if !told.is_position() {
            return Err(OtherTrouble::NoPosition { position: told.position, sender: told.sender });
        }
        if told.stamp == Stamp::ZERO {
            return Err(OtherTrouble::Unstamped);
        }
        let age = now.seconds_since(told.stamp);
        if age > max_age {
            return Err(OtherTrouble::Old(age));
        }
        if -age > max_future {
            return Err(OtherTrouble::Future(-age));
        }
        Ok(told.position)
    }
}

/// What is known of the joints of a robot that nobody here moves. They keep the order of their names.
#[derive(Debug, Clone, Default)]
pub struct OtherJoints {
    names: Vec<String>,
    joints: Vec<Joint>,
    /// The last messages' names and, for each of them, its place here.
    heard: Vec<(Vec<String>, Vec<Option<usize>>)>,
    positions: Vec<Option<f64>>,
    troubles: Vec<Option<OtherTrouble>>,
    /// How old what usually comes slowly may be at most, seconds.
    slow: f64,
}

/// Different messages whose names are remembered.
const HEARD: usize = 8;

impl OtherJoints {
    /// For these joints, of which some are declared to be fixed: where they stand, radians or metres. Other names in there mean nothing.
    pub fn new(names: &[String], fixed: &BTreeMap<String, f64>) -> Self {
        let joints = names.iter().map(|name| Joint { declared: fixed.get(name).copied(), ..Joint::default() });
        Self {
            names: names.to_vec(),
            joints: joints.collect(),
            heard: Vec::new(),
            positions: vec![None; names.len()],
            troubles: vec![Some(OtherTrouble::Missing); names.len()],
            slow: 0.0,
        }
    }

    /// With what usually comes slowly allowed to be as old as three of its usual intervals, up to `slow_s` seconds.
    #[must_use]
    pub fn allowing(self, slow_s: f64) -> Self {
        Self { slow: slow_s, ..self }
    }

    /// The joints.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Where a joint is declared to be fixed, by its place, radians or metres.
    pub fn fixed(&self, joint: usize) -> Option<f64> {
        self.joints.get(joint).and_then(|joint| joint.declared)
    }

    /// Takes a message of a sender, received at `received` seconds of a clock that only goes forward. One with another number of positions than of names
    /// is left out.
    pub fn update(&mut self, sender: SenderId, stamp: Stamp, names: &[String], positions: &[f64], received: f64) {
        if self.names.is_empty() || names.len() != positions.len() {
            return;
        }
        // The same publishers send the same names: look them up once.
        let known = self.heard.iter().position(|(heard, _)| heard == names).unwrap_or_else(|| {
            if self.heard.len() == HEARD {
                self.heard.remove(0);
            }
            let places = names.iter().map(|name| self.names.iter().position(|other| other == name)).collect();
            self.heard.push((names.to_vec(), places));
            self.heard.len() - 1
        });
        for (place, position) in self.heard[known].1.iter().zip(positions) {
            if let Some(place) = *place {
                self.joints[place].hear(Told { sender, position: *position, stamp, received });
            }
        }
    }

    /// Where they stand now, as far as that may be relied on: `max_age` and `max_future` are the bounds in seconds, `now` the time that stamps
    /// are judged by and `received_now` the time of receipts. Allocates nothing.
    pub fn look(&mut self, now: Stamp, received_now: f64, max_age: f64, max_future: f64) -> &[Option<f64>] {
        let ages = (max_age, self.slow);
        let known = self.joints.iter().map(|joint| joint.look(now, received_now, ages, max_future));
        for ((position, trouble), known) in self.positions.iter_mut().zip(&mut self.troubles).zip(known) {
            (*position, *trouble) = (known.ok(), known.err());
        }
        &self.positions
    }

    /// What [`Self::look`] found last.
    pub fn positions(&self) -> &[Option<f64>] {
        &self.positions
    }

    /// Why it was not known, at the last [`Self::look`], where a joint stands, by its place.
    pub fn trouble(&self, joint: usize) -> Option<OtherTrouble> {
        self.troubles.get(joint).copied().flatten()
    }

    /// Forgets what was told, as after a step of the clock.
    pub fn clear(&mut self) {
        for joint in &mut self.joints {
            *joint = Joint { declared: joint.declared, ..Joint::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ONE: SenderId = SenderId([1; 16]);
    const TWO: SenderId = SenderId([2; 16]);

    fn at(seconds: f64) -> Stamp {
        Stamp::ZERO.offset_seconds(seconds)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn joints(fixed: &[(&str, f64)]) -> OtherJoints {
        let fixed = fixed.iter().map(|(name, position)| ((*name).to_owned(), *position)).collect();
        OtherJoints::new(&names(&["rail", "pan"]), &fixed)
    }

    fn look(joints: &mut OtherJoints, now: f64) -> Vec<Option<f64>> {
        joints.look(at(now), now, 0.1, 0.05).to_vec()
    }

    fn words(joints: &OtherJoints, joint: usize) -> String {
        let trouble = joints.trouble(joint).unwrap();
        trouble.in_words(&joints.names()[joint], |sender| format!("/node{}", sender.0[0]))
    }

    #[test]
    fn each_joint_is_known_while_somebody_tells_it() {
        let mut all = joints(&[]);
        assert_eq!(look(&mut all, 1.0), [None, None]);
        assert!(words(&all, 0).contains("'rail' is missing from joint_states"), "{}", words(&all, 0));
        all.update(ONE, at(1.0), &names(&["elbow", "pan"]), &[9.0, 0.5], 1.0);
        all.update(TWO, at(1.05), &names(&["rail"]), &[-0.2], 1.05);
        assert_eq!(look(&mut all, 1.08), [Some(-0.2), Some(0.5)]);
        assert_eq!((all.trouble(0), all.trouble(1)), (None, None));
        assert_eq!(look(&mut all, 1.13), [Some(-0.2), None]);
        assert!(words(&all, 1).contains("'pan'") && words(&all, 1).contains("since 0.13 s"), "{}", words(&all, 1));
        // A message that does not fit its names says nothing.
        all.update(ONE, at(1.13), &names(&["elbow", "pan"]), &[9.0], 1.13);
        assert_eq!(look(&mut all, 1.13), [Some(-0.2), None]);
    }

    #[test]
    fn what_is_no_number_and_what_carries_no_time_of_now_is_not_believed() {
        let mut all = joints(&[]);
        let both = names(&["rail", "pan"]);
        for (stamp, said) in [(at(4.0), "in the past"), (at(6.0), "in the future"), (Stamp::ZERO, "without a stamp")] {
            all.update(ONE, stamp, &both, &[0.1, 0.2], 5.0);
            assert_eq!(look(&mut all, 5.0), [None, None]);
            assert!(words(&all, 0).contains("'rail'") && words(&all, 0).contains(said), "{}", words(&all, 0));
        }
        all.update(ONE, at(5.0), &both, &[f64::NAN, 0.2], 5.0);
        assert_eq!(look(&mut all, 5.0), [None, Some(0.2)]);
        assert!(words(&all, 0).contains("NaN") && words(&all, 0).contains("/node1"), "{}", words(&all, 0));
        all.update(ONE, at(5.01), &both, &[f64::INFINITY, 0.2], 5.01);
        assert_eq!(look(&mut all, 5.01), [None, Some(0.2)]);
        all.update(ONE, at(5.02), &both, &[0.3, 0.2], 5.02);
        assert_eq!(look(&mut all, 5.02), [Some(0.3), Some(0.2)]);
        all.clear();
        assert_eq!(look(&mut all, 5.02), [None, None]);
    }

    #[test]
    fn who_tells_no_position_takes_the_word_from_nobody_and_is_named_where_it_has_it() {
        let rail = names(&["rail", "pan"]);
        for (what, positions) in
            [("NaN", &[f64::NAN, 0.2][..]), ("inf", &[f64::INFINITY, 0.2]), ("far", &[1.0e300, 0.2]), ("none", &[])]
        {
            let mut all = joints(&[]);
            all.update(TWO, at(0.99), &rail, positions, 0.99);
            assert_eq!(look(&mut all, 0.99)[0], None, "{what}");
            for k in 0..20 {
                let now = 1.0 + 0.02 * f64::from(k);
                all.update(ONE, at(now), &rail, &[0.1, 0.2], now);
                assert_eq!(look(&mut all, now), [Some(0.1), Some(0.2)], "{what}");
                all.update(TWO, at(now), &rail, positions, now + 0.01);
                assert_eq!(look(&mut all, now + 0.01), [Some(0.1), Some(0.2)], "{what}");
            }
            // Nobody else tells it any more.
            for k in 0..30 {
                let now = 1.4 + 0.02 * f64::from(k);
                all.update(TWO, at(now), &rail, positions, now);
            }
            assert_eq!(look(&mut all, 1.98)[0], None, "{what}");
            let said = words(&all, 0);
            assert!(said.len() < 200 && (said.contains("/node2") || positions.is_empty()), "{said}");
        }
    }

    #[test]
    fn two_senders_that_do_not_agree_are_named_and_one_that_takes_over_is_none() {
        let mut all = joints(&[]);
        let rail = names(&["rail"]);
        all.update(ONE, at(1.0), &rail, &[0.1], 1.0);
        all.update(TWO, at(1.02), &rail, &[0.9], 1.02);
        // A driver that was started anew, perhaps.
        assert_eq!(look(&mut all, 1.02)[0], Some(0.9));
        all.update(ONE, at(1.04), &rail, &[0.1], 1.04);
        assert_eq!(look(&mut all, 1.04)[0], None);
        let said = words(&all, 0);
        assert!(said.contains("/node2 says 0.9000") && said.contains("/node1 says 0.1000"), "{said}");
        // It lasts while both speak, and half a second beyond.
        for k in 0..30 {
            let now = 1.04 + 0.02 * f64::from(k);
            all.update(TWO, at(now), &rail, &[0.9], now);
            if k < 20 {
                all.update(ONE, at(now), &rail, &[0.1], now);
                assert_eq!(look(&mut all, now)[0], None, "{now}");
            }
        }
        all.update(TWO, at(2.0), &rail, &[0.9], 2.0);
        assert_eq!(look(&mut all, 2.0)[0], Some(0.9));
        // Who agrees, whole turns apart, may be two.
        for k in 0..10 {
            let now = 3.0 + 0.02 * f64::from(k);
            all.update(TWO, at(now), &rail, &[0.9], now);
            all.update(ONE, at(now), &rail, &[0.902 + std::f64::consts::TAU], now);
            assert!(look(&mut all, now)[0].is_some());
        }
    }

    #[test]
    fn what_is_declared_to_be_fixed_is_there_unless_somebody_says_otherwise() {
        let mut all = joints(&[("rail", 0.3), ("nothing", 1.0)]);
        assert_eq!(look(&mut all, 1.0), [Some(0.3), None]);
        assert_eq!((all.fixed(0), all.fixed(1)), (Some(0.3), None));
        all.update(ONE, at(1.0), &names(&["rail"]), &[0.302], 1.0);
        assert_eq!(look(&mut all, 9.0), [Some(0.3), None]);
        all.update(ONE, at(9.0), &names(&["rail"]), &[0.0], 9.0);
        // Told once and never again: it is there.
        assert_eq!(look(&mut all, 20.0), [None, None]);
        let said = words(&all, 0);
        assert!(said.contains("0.0000") && said.contains("0.3000") && said.contains("fixed_joints"), "{said}");
    }

    #[test]
    fn one_that_comes_slowly_is_known_all_the_time_within_a_bound_and_beyond_it_what_to_set_is_told() {
        for (every, known) in [(0.1, true), (0.2, true), (0.5, false), (1.0, false)] {
            let mut all = joints(&[]).allowing(0.35);
            let (mut seen, mut looks, mut next) = (0, 0, 0.0);
            for k in 0..1000 {
                let now = 0.01 * f64::from(k) + 0.004;
                if now >= next {
                    next += every;
                    all.update(ONE, at(now), &names(&["rail"]), &[0.1], now);
                }
                if now > 5.0 {
                    looks += 1;
                    seen += usize::from(look(&mut all, now)[0].is_some());
                }
            }
            assert_eq!(seen, if known { looks } else { 0 }, "{every}");
            if !known {
                let said = words(&all, 0);
                assert!(said.contains("'rail'") && said.contains("max_joint_state_age"), "{said}");
            }
        }
    }

    #[test]
    fn whatever_is_told_reads_short() {
        let mut all = joints(&[("rail", 0.3)]);
        all.update(ONE, at(1.0), &names(&["rail"]), &[1.0e300], 1.0);
        look(&mut all, 1.0);
        let said = words(&all, 0);
        assert!(said.len() < 200 && said.contains("1.0000e300"), "{said}");
    }
}
