//! Joint states from whoever publishes them, brought together for the joints of one robot.
//!
//! A robot's joints may come from several publishers (arm and hand), in any order, with joints of others among them. Each source keeps its own
//! history by its own stamps, every joint is aged by itself (one that vanishes is found and named even while the others go on), and every joint belongs to
//! one sender: another one that speaks of it at the same time is found out.

use super::flaw::{Flaw, Malformed};
use super::history::History;
use super::pace::Pace;
use super::{Contradiction, is_jump, way};
use efm_core::{JointNames, JointSample, SenderId, Stamp};

/// Seconds within which two senders of a joint count as speaking at the same time.
const INTERLEAVED: f64 = 0.5;
/// Silence after which another sender may speak for a joint, seconds, unless the one before is slow.
const SILENT: f64 = 0.1;
/// Two senders that agree at rest do so within this, radians or metres.
const AGREE: f64 = 0.002;
/// How late one of them may tell what the other tells, seconds.
const LATE: f64 = 0.06;
/// Velocities that nobody tells are taken over at least so many seconds.
const OVER: f64 = 0.04;
/// Senders of a joint that are remembered.
const VOICES: usize = 4;
/// Sources that are remembered: a stranger who makes up names fills nothing.
const SOURCES: usize = 16;

/// For so long after its last message a sender is told of whose messages are left out, seconds.
const TOLD_FOR: f64 = 1.0;

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
    #[error(
        "joint_states carry no stamp; let their driver stamp them, or set the parameter 'joint_state_stamps' to 'receipt' to take the time at which \
         they come"
    )]
    Unstamped,
    /// A joint is usually told so seldom that it would be missed again and again.
    #[error(
        "joint '{joint}' is told in joint_states every {:.2} s only, and its state may be {:.2} s old; let its driver publish more often, \
         or set the parameter '{parameter}' to {:.2} or more", .every, .allowed, .needs
    )]
    Slow {
        /// Which.
        joint: String,
        /// Its usual interval, seconds.
        every: f64,
        /// How old its state may be, seconds.
        allowed: f64,
        /// The parameter that would have to be raised.
        parameter: &'static str,
        /// To how much at least, seconds.
        needs: f64,
    },
    /// The newest message of who tells a joint cannot be read.
    #[error("{}", .what.in_words(.joint, |sender| format!("sender {sender}")))]
    Malformed {
        /// The joint that it is about, by name.
        joint: String,
        /// What is wrong, and whose it is.
        what: Malformed,
    },
}

impl JointTrouble {
    /// In words; `sender` names who sent something.
    pub fn in_words(&self, sender: impl Fn(SenderId) -> String) -> String {
        match self {
            Self::Malformed { joint, what } => what.in_words(joint, sender),
            other => other.to_string(),
        }
    }
}

/// How old joint states may be beyond what is usual.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Allowance {
    /// Of a source whose messages usually come slowly: three of its usual intervals, up to this, seconds. 0: no more than of any other.
    pub slow_s: f64,
    /// Joints of a hand, and how old their states may be, seconds: what holds something is not where it is commanded anyway.
    pub hands: (Vec<String>, f64),
    /// Stamps are times of receipt: what was measured apart may come together.
    pub on_receipt: bool,
}

/// Two senders of one joint whose values agree: one of them should not speak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Twin {
    /// Place of the joint.
    pub joint: usize,
    /// Both.
    pub senders: (SenderId, SenderId),
}

/// Joint states that may be relied on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fresh<'a> {
    /// The newest of every joint, in the order of the wanted names, with the newest of their stamps.
    pub sample: &'a JointSample,
    /// When each was measured.
    pub stamps: &'a [Stamp],
    /// Which of them come from one source.
    pub sources: &'a [usize],
    /// Whether all velocities are told, but those of hands; else some come from differences.
    pub velocity_told: bool,
    /// Age in seconds of the oldest: since receipt or since its stamp, whichever is longer. Of what may be older than others, as its source is slow or it is
    /// a hand's, so much less.
    pub age_s: f64,
    /// The same as it is, whatever it may be.
    pub oldest_s: f64,
}

/// What one sender says in messages with the same names.
#[derive(Debug, Clone)]
struct Source {
    sender: SenderId,
    names: Vec<String>,
    /// For each wanted joint in it: its place among the wanted, and in the message.
    places: Vec<(usize, usize)>,
    history: History,
    /// Seconds on the caller's clock of receipts.
    received: f64,
    /// How often it speaks.
    pace: Pace,
    unstamped: bool,
    /// Positions of the message before.
    last: Vec<Option<f64>>,
}

/// The last that a sender said of a joint.
#[derive(Debug, Clone, Copy)]
struct Voice {
    sender: SenderId,
    position: f64,
    /// Received.
    at: f64,
}

/// Two senders that speak of a joint at the same time.
#[derive(Debug, Clone, Copy)]
struct Both {
    /// The last time.
    at: f64,
    contradiction: Contradiction,
    differs: bool,
}

/// Who speaks for a joint.
#[derive(Debug, Clone, Copy, Default)]
struct Owner {
    /// Place of the source, and of the joint in it.
    source: Option<(usize, usize)>,
    /// Who spoke of it last, the newest at the end.
    voices: [Option<Voice>; VOICES],
    both: Option<Both>,
    /// Who has the word, or would have it, sent this last, and it cannot be read.
    malformed: Option<Malformed>,
}

impl Owner {
    fn hear(&mut self, voice: Voice) {
        let others = self.voices.iter().flatten().filter(|other| other.sender != voice.sender);
        let (mut voices, mut known) = ([None; VOICES], 0);
        // With too many of them the oldest goes.
        for other in others.clone().skip((others.count() + 1).saturating_sub(VOICES)) {
            voices[known] = Some(*other);
            known += 1;
        }
        voices[known] = Some(voice);
        self.voices = voices;
    }
}

/// Merges joint states. Joints keep the order of the wanted names.
#[derive(Debug, Clone)]
pub struct JointFeed {
    wanted: JointNames,
    span: f64,
    sources: Vec<Source>,
    owners: Vec<Owner>,
    sample: JointSample,
    stamps: Vec<Stamp>,
    source_of: Vec<usize>,
    velocity: Vec<f64>,
    continuous: Vec<bool>,
    /// By joint: how much older its state may be at most, seconds: of a slow source; and of a hand in any case.
    slow: f64,
    hands: Vec<Option<f64>>,
    on_receipt: bool,
    newest: Option<f64>,
    /// The last that could not be read of one who has not the word for its joint, and when it came.
    left_out: Option<(Malformed, f64)>,
    jump: Option<Contradiction>,
}

impl JointFeed {
    /// For these joints. `span` seconds of history are kept for [`Self::at`], at least a fifth of a second.
    pub fn new(wanted: JointNames, span: f64) -> Self {
        let n = wanted.len();
        let sample = JointSample { stamp: Stamp::ZERO, positions: vec![0.0; n], velocities: vec![0.0; n] };
        Self {
            wanted,
            span: span.max(0.2),
            sources: Vec::new(),
            owners: vec![Owner::default(); n],
            sample,
            stamps: vec![Stamp::ZERO; n],
            source_of: vec![0; n],
            velocity: vec![f64::INFINITY; n],
            continuous: vec![false; n],
            slow: 0.0,
            hands: vec![None; n],
            on_receipt: false,
            newest: None,
            left_out: None,
            jump: None,
        }
    }

    /// The joints.
    pub fn wanted(&self) -> &JointNames {
        &self.wanted
    }

    /// With what may be older than is usual.
    #[must_use]
    pub fn allowing(mut self, allowance: &Allowance) -> Self {
        let (names, age_s) = &allowance.hands;
        self.slow = allowance.slow_s;
        self.on_receipt = allowance.on_receipt;
        self.hands = self.wanted.iter().map(|name| names.iter().any(|hand| hand == name).then_some(*age_s)).collect();
        self
    }

    /// How old a joint's state may be usually, and at most where its source is slow.
    fn bounds(&self, joint: usize, max_age: f64) -> (f64, f64) {
        let usually = self.hands[joint].map_or(max_age, |hand| hand.max(max_age));
        (usually, usually.max(self.slow))
    }

    /// How old a joint's state may be.
    fn allowed(&self, joint: usize, max_age: f64) -> f64 {
        let (usually, most) = self.bounds(joint, max_age);
        let source = self.owners[joint].source.map(|(source, _)| &self.sources[source]);
        source.map_or(usually, |source| source.pace.allowed(usually, most))
    }

    /// Why a joint is told too seldom, where it is.
    fn too_slow(&self, joint: usize, max_age: f64) -> Option<JointTrouble> {
        let (usually, most) = self.bounds(joint, max_age);
        let (source, _) = self.owners[joint].source?;
        let pace = &self.sources[source].pace;
        let (every, needs) = pace.too_slow(usually, most)?;
        let parameter = if self.hands[joint].is_some() { "max_gripper_state_age" } else { "max_joint_state_age" };
        Some(JointTrouble::Slow {
            joint: self.name(joint),
            every,
            allowed: pace.allowed(usually, most),
            parameter,
            needs,
        })
    }

    /// What the joints can do: velocity limits (rad/s or m/s), and which turn on without end. Until then no jump is one.
    pub fn bound(&mut self, velocity: &[f64], continuous: &[bool]) {
        if velocity.len() == self.wanted.len() && continuous.len() == self.wanted.len() {
            self.velocity.copy_from_slice(velocity);
            self.continuous.copy_from_slice(continuous);
        }
    }

    /// Takes a message of a sender, received at `received` seconds of a clock that only goes forward. One that names no joint of ours, or that
    /// carries no positions (legal: velocities or efforts only), says nothing. One that cannot be read (another number of positions than of names,
    /// positions that are no numbers or too far from zero, a joint twice) is left out; it counts against those of its joints that its sender has the
    /// word for, and against those that nobody has. Velocities that are missing or NaN are not told. Returns whether the message told any of the wanted joints.
    pub fn update(
        &mut self,
        sender: SenderId,
        stamp: Stamp,
        names: &[String],
        positions: &[f64],
        velocities: &[f64],
        received: f64,
    ) -> bool {
        self.newest = Some(received);
        if positions.is_empty() {
            return false;
        }
        let source = match self.source(sender, names) {
            Ok(source) => source,
            Err(joint) => {
                self.leave_out(Malformed { joint, flaw: Flaw::Twice, sender }, names, received);
                return false;
            }
        };
        let places = &self.sources[source].places;
        let Some((first, _)) = places.first() else { return false };
        let flaw = if names.len() != positions.len() {
            Some((*first, Flaw::Sizes { names: names.len(), positions: positions.len() }))
        } else {
            places.iter().find_map(|(joint, place)| {
                let velocity = velocities.get(*place).copied().unwrap_or(0.0);
                Some((*joint, Flaw::of(positions[*place], velocity)?))
            })
        };
        if let Some((joint, flaw)) = flaw {
            self.leave_out(Malformed { joint, flaw, sender }, names, received);
            return false;
        }
        let told = &mut self.sources[source];
        told.received = received;
        told.pace.heard(received);
        told.history.comes_every(told.pace.usual().unwrap_or(0.0));
        told.unstamped = stamp == Stamp::ZERO;
        let before = told.history.newest();
        for (k, last) in told.last.iter_mut().enumerate() {
            *last = told.history.position(k);
        }
        let places = &told.places;
        let taken = told.history.push(
            stamp,
            places.iter().map(|(_, place)| positions[*place]),
            places.iter().map(|(_, place)| velocities.get(*place).copied().unwrap_or(f64::NAN)),
        );
        for k in 0..self.sources[source].places.len() {
            let (joint, place) = self.sources[source].places[k];
            let position = positions[place];
            if self.claim(joint, source, k, position, received)
                && taken
                && let (Some(before), Some(from)) = (before, self.sources[source].last[k])
            {
                let (apart, by) = (stamp.seconds_since(before), way(self.continuous[joint], from, position));
                let usual = self.sources[source].pace.usual().filter(|_| self.on_receipt).unwrap_or(0.0);
                let seconds = apart.max(usual);
                if apart >= 0.0 && is_jump(by, seconds, self.velocity[joint]) && self.jump.is_none() {
                    self.jump = Some(Contradiction::Jump { joint, from, to: position, seconds });
                }
            }
        }
        true
    }

    /// A message cannot be read: it counts against its sender's joints.
    fn leave_out(&mut self, what: Malformed, names: &[String], received: f64) {
        for joint in names.iter().filter_map(|name| self.wanted.index_of(name)) {
            let owner = &mut self.owners[joint];
            if owner.source.is_none_or(|(source, _)| self.sources[source].sender == what.sender) {
                owner.malformed = Some(what);
            } else if joint == what.joint {
                self.left_out = Some((what, received));
            }
        }
    }

    /// Where a sender's messages with these names are kept; or the joint that they name twice.
    fn source(&mut self, sender: SenderId, names: &[String]) -> Result<usize, usize> {
        if let Some(at) = self.sources.iter().position(|s| s.sender == sender && s.names == names) {
            return Ok(at);
        }
        let mut places = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let Some(joint) = self.wanted.index_of(name) else { continue };
            if places.iter().any(|(before, _)| *before == joint) {
                return Err(joint);
            }
            places.push((joint, place));
        }
        let history = History::new(places.len(), self.span);
        let (last, received) = (vec![None; places.len()], f64::NEG_INFINITY);
        let (pace, unstamped) = (Pace::default(), false);
        let made = Source { sender, names: names.to_vec(), places, history, received, pace, unstamped, last };
        if self.sources.len() < SOURCES {
            self.sources.push(made);
            return Ok(self.sources.len() - 1);
        }
        // The one that was silent for longest makes room.
        let at =
            (0..SOURCES).min_by(|a, b| self.sources[*a].received.total_cmp(&self.sources[*b].received)).unwrap_or(0);
        for owner in &mut self.owners {
            owner.source = owner.source.filter(|(source, _)| *source != at);
        }
        // (A joint that it spoke for is missing until somebody else does.)
        self.sources[at] = made;
        Ok(at)
    }

    /// A source speaks of a joint. The sender that spoke for it before has the word as long as it speaks. Whether this is the next word of the same source.
    fn claim(&mut self, joint: usize, source: usize, place: usize, position: f64, received: f64) -> bool {
        let sender = self.sources[source].sender;
        let continuous = self.continuous[joint];
        let owner = &mut self.owners[joint];
        // One spoke, another one did, and now the first speaks again: they speak at the same time.
        let own = owner.voices.iter().flatten().find(|voice| voice.sender == sender).map(|voice| voice.at);
        let others = owner.voices.iter().flatten().filter(|voice| voice.sender != sender);
        let between =
            own.filter(|own| received - own <= INTERLEAVED).and_then(|own| others.rev().find(|v| v.at >= own));
        if let Some(other) = between {
            let speed = owner.source.map_or(0.0, |(held, place)| {
                self.sources[held].history.velocity(place, OVER, |a, b| way(continuous, a, b)).abs()
            });
            // What moves may be told a little later by one of them.
            let differs =
                way(continuous, other.position, position).abs() > AGREE + (received - other.at + LATE) * speed;
            let contradiction = Contradiction::Senders {
                joint,
                positions: (position, other.position),
                senders: (sender, other.sender),
            };
            // That they differed is not forgotten as soon as their ways cross.
            if differs || owner.both.is_none_or(|both| !both.differs || received - both.at > INTERLEAVED) {
                owner.both = Some(Both { at: received, contradiction, differs });
            }
        }
        owner.hear(Voice { sender, position, at: received });
        if let Some((held, _)) = owner.source
            && self.sources[held].sender != sender
            && received - self.sources[held].received <= self.sources[held].pace.allowed(SILENT, SILENT.max(self.slow))
        {
            return false;
        }
        owner.malformed = None;
        // Else another message of the same sender, or a sender that was started anew.
        owner.source.replace((source, place)).is_some_and(|(held, _)| held == source)
    }

    /// The joints, and how old they are.
    ///
    /// # Errors
    /// When a joint was never seen or is not fresh: `max_age` and `max_future` are the bounds in seconds, `now` the time that stamps
    /// are judged by and `received_now` the time of receipts.
    pub fn fresh(
        &mut self,
        now: Stamp,
        received_now: f64,
        max_age: f64,
        max_future: f64,
    ) -> Result<Fresh<'_>, JointTrouble> {
        let silent = received_now - self.newest.ok_or(JointTrouble::Nothing)?;
        if silent > max_age {
            let n = self.wanted.len();
            if let Some(slow) = (0..n).find_map(|joint| self.too_slow(joint, max_age)) {
                return Err(slow);
            }
            if (0..n).any(|joint| self.owners[joint].source.is_none() || silent > self.allowed(joint, max_age)) {
                return Err(JointTrouble::Silent(silent));
            }
        }
        if let Some(what) = self.owners.iter().find_map(|owner| owner.malformed) {
            return Err(JointTrouble::Malformed { joint: self.name(what.joint), what });
        }
        let (mut oldest, mut counted, mut newest, mut velocity_told) = (0.0f64, 0.0f64, None::<Stamp>, true);
        for (joint, name) in self.wanted.iter().enumerate() {
            let allowed = self.allowed(joint, max_age);
            let missing = || JointTrouble::Missing(name.to_owned());
            let (source, place) = self.owners[joint].source.ok_or_else(missing)?;
            let told = &self.sources[source];
            let since = received_now - told.received;
            if let Some(slow) = self.too_slow(joint, max_age) {
                return Err(slow);
            }
            if since > allowed {
                return Err(JointTrouble::Gone { joint: name.to_owned(), seconds: since });
            }
            if told.unstamped {
                return Err(JointTrouble::Unstamped);
            }
            let stamp = told.history.newest().ok_or_else(missing)?;
            let age = now.seconds_since(stamp);
            if age > allowed {
                return Err(JointTrouble::Old(age));
            }
            if -age > max_future {
                return Err(JointTrouble::Future(-age));
            }
            oldest = oldest.max(since).max(age);
            counted = counted.max((since.max(age) - (allowed - max_age)).min(max_age));
            newest = newest.max(Some(stamp));
            self.stamps[joint] = stamp;
            self.source_of[joint] = source;
            self.sample.positions[joint] = told.history.position(place).ok_or_else(missing)?;
            let continuous = self.continuous[joint];
            velocity_told &= self.hands[joint].is_some() || told.history.tells_velocity(place);
            self.sample.velocities[joint] = told.history.velocity(place, OVER, |a, b| way(continuous, a, b));
        }
        self.sample.stamp = newest.unwrap_or(Stamp::ZERO);
        let (stamps, sources) = (&self.stamps, &self.source_of);
        Ok(Fresh { sample: &self.sample, stamps, sources, velocity_told, age_s: counted, oldest_s: oldest })
    }

    /// What was contradictory since this was asked last: a jump within the messages of one sender, or two senders of one joint that speak at
    /// the same time and do not agree (as long as they do).
    pub fn contradiction(&mut self, received_now: f64) -> Option<Contradiction> {
        let jump = self.jump.take();
        let mut both = self.owners.iter().filter_map(|owner| owner.both);
        both.find(|both| both.differs && received_now - both.at <= INTERLEAVED).map(|both| both.contradiction).or(jump)
    }

    /// What was left out just now, since it cannot be read, of a sender that is not the one who tells the joint: no harm is done, but it should not send
    /// that. With the name of the joint.
    pub fn left_out(&self, received_now: f64) -> Option<JointTrouble> {
        let (what, _) = self.left_out.filter(|(_, at)| received_now - at <= TOLD_FOR)?;
        Some(JointTrouble::Malformed { joint: self.name(what.joint), what })
    }

    fn name(&self, joint: usize) -> String {
        self.wanted.as_slice().get(joint).cloned().unwrap_or_default()
    }

    /// Two senders that tell the same joint the same, where there are two.
    pub fn twin(&self, received_now: f64) -> Option<Twin> {
        self.owners.iter().enumerate().find_map(|(joint, owner)| match owner.both {
            Some(Both { at, contradiction: Contradiction::Senders { senders, .. }, differs: false })
                if received_now - at <= 2.0 * INTERLEAVED =>
            {
                Some(Twin { joint, senders })
            }
            _ => None,
        })
    }

    /// The joints at a time: each by its own source's stamps, between two states on the straight line, outside of the history (or in a gap) the
    /// nearest state as it is. None while a joint was never seen.
    pub fn at(&self, stamp: Stamp) -> Option<JointSample> {
        let n = self.wanted.len();
        let mut sample = JointSample { stamp, positions: Vec::with_capacity(n), velocities: Vec::with_capacity(n) };
        for (joint, owner) in self.owners.iter().enumerate() {
            let (source, place) = owner.source?;
            let continuous = self.continuous[joint];
            let (position, velocity) =
                self.sources[source].history.at(place, stamp, OVER, |a, b| way(continuous, a, b))?;
            sample.positions.push(position);
            sample.velocities.push(velocity);
        }
        Some(sample)
    }

    /// Forgets everything, as after a step of the clock.
    pub fn clear(&mut self) {
        self.sources.iter_mut().for_each(|source| source.history.clear());
        self.owners.fill(Owner::default());
        self.newest = None;
        self.left_out = None;
        self.jump = None;
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
