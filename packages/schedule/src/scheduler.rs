//! Which chunk is in use, and what it asks for at a time.

use crate::ensemble::Ensemble;
use crate::mode::Mode;
use crate::rows::{Place, Rows};
use crate::seam::{self, SEAM_STEP, Seam};
use crate::{MAX_POSITION, MAX_STEP, MIN_STEP};
use efm_core::figure::{Brief, Figure};
use efm_core::{ActionChunk, JointLimits, JointNames, Stamp};
use std::f64::consts::TAU;

/// [`SchedulerConfig::blend_s`] at least, seconds.
pub const LEAST_BLEND_S: f64 = 1.0e-3;

/// How chunks are taken and blended.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerConfig {
    /// Oldest observation, in seconds, whose chunk is still taken.
    pub max_chunk_age_s: f64,
    /// How far, in seconds, a chunk's observation may lie in the future (clocks of two machines differ).
    pub future_tolerance_s: f64,
    /// Shortest time, in seconds, in which a new chunk is blended over what was followed.
    pub blend_s: f64,
    /// Longest blending time, in seconds: where the reference's limits ask for more, it is cut here.
    pub max_blend_s: f64,
    /// Joints (grippers) whose rows are joined by straight lines and taken over without blending.
    pub straight_joints: Vec<String>,
    /// How one chunk follows another.
    pub mode: Mode,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            max_chunk_age_s: 1.0,
            future_tolerance_s: 0.05,
            blend_s: 0.15,
            max_blend_s: 0.6,
            straight_joints: Vec::new(),
            mode: Mode::default(),
        }
    }
}

/// Why a scheduler cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SchedulerError {
    /// A time of the configuration is not usable.
    #[error("the scheduler's {field} is {value} s; it must be a finite number, at least {least}")]
    Time {
        /// Name of the field.
        field: &'static str,
        /// What it was.
        value: f64,
        /// Smallest allowed.
        least: f64,
    },
    /// A straight joint is not among the joints.
    #[error("the scheduler is told to treat '{0}' as a gripper, which is not among its joints")]
    UnknownJoint(String),
    /// The weights of temporal ensembling.
    #[error("the decay of temporal ensembling's weights is {0}; it must be a finite number, at least 0")]
    Decay(f64),
    /// The limits have another number of joints, one is not positive, or a position range is empty.
    #[error("the reference limits must be {0} each: position ranges, and positive velocities, accelerations and jerks")]
    Limits(usize),
}

/// Why a chunk is not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChunkRefusal {
    /// The chunk lacks a joint.
    #[error("the chunk lacks joint '{0}'")]
    MissingJoint(String),
    /// The chunk moves a joint that is not followed.
    #[error("the chunk moves joint '{}', which is not configured", Brief(.0))]
    UnknownJoint(String),
    /// Made from an observation that is too old.
    #[error("the chunk was made from an observation {age_s:.3} s old; at most {max_s:.3} s are allowed")]
    TooOld {
        /// Age.
        age_s: f64,
        /// Bound.
        max_s: f64,
    },
    /// Made from an observation of the future.
    #[error(
        "the chunk's observation lies {ahead_s:.3} s in the future; at most {max_s:.3} s are allowed (do the clocks agree?)"
    )]
    FromTheFuture {
        /// How far ahead.
        ahead_s: f64,
        /// Bound.
        max_s: f64,
    },
    /// Not newer than the chunk in use.
    #[error("the chunk's observation is {behind_s:.3} s older than that of the chunk in use (0: the same)")]
    NotNewer {
        /// How much older.
        behind_s: f64,
    },
    /// Made from an observation before the last cancel or stop.
    #[error("the chunk was made from an observation before the last cancel or stop")]
    BeforeClear,
    /// All its rows are over.
    #[error("the chunk's last step was due {late_s:.3} s ago")]
    Elapsed {
        /// How long ago.
        late_s: f64,
    },
    /// Its step time is not usable.
    #[error("the chunk's step time is {} s; it must lie between {MIN_STEP} and {MAX_STEP} s", Figure(*.0))]
    StepTime(f64),
    /// A row holds a position that no joint reaches.
    #[error("the chunk's step {step} wants joint '{joint}' at {}, which no joint reaches", Figure(*.value))]
    Absurd {
        /// Row.
        step: usize,
        /// Joint.
        joint: String,
        /// What it was.
        value: f64,
    },
}

impl ChunkRefusal {
    /// Whether nobody could follow such a chunk, whenever it came: it is no chunk for this robot, or for any. The others came at the wrong time.
    pub fn is_nonsense(&self) -> bool {
        match self {
            Self::MissingJoint(_) | Self::UnknownJoint(_) | Self::StepTime(_) | Self::Absurd { .. } => true,
            Self::TooOld { .. }
            | Self::FromTheFuture { .. }
            | Self::NotNewer { .. }
            | Self::BeforeClear
            | Self::Elapsed { .. } => false,
        }
    }
}

/// A chunk that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The chunk's observation time, which identifies it.
    pub chunk: Stamp,
    /// First row that was not over when it was offered.
    pub first_row: usize,
    /// Whether its joints came in another order than the scheduler's.
    pub reordered: bool,
}

/// Desired state of one joint: radians or metres, and their derivatives by seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reference {
    /// Position.
    pub position: f64,
    /// Velocity.
    pub velocity: f64,
    /// Acceleration.
    pub acceleration: f64,
}

/// Whether there is a reference at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceStatus {
    /// Yes.
    Active {
        /// Observation time of the chunk.
        chunk: Stamp,
        /// Row that is due next.
        row: usize,
    },
    /// The last row of the chunk in use is over: come to rest.
    Exhausted,
    /// No chunk is in use: be at rest.
    Idle,
}

/// What is left of the difference between the state that was followed and the new chunk: a quintic that begins with the
/// difference in position, velocity and acceleration, and ends with none after `duration` seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Fade {
    position: f64,
    velocity: f64,
    acceleration: f64,
}

impl Fade {
    /// The quintic at a moment: see [`Fading`].
    fn at(&self, now: &Fading) -> Reference {
        let (velocity, acceleration) = self.rates(now);
        Reference { position: self.of(now, &now.position), velocity, acceleration }
    }

    /// Its velocity and acceleration.
    fn rates(&self, now: &Fading) -> (f64, f64) {
        let duration = now.duration;
        (self.of(now, &now.velocity) / duration, self.of(now, &now.acceleration) / (duration * duration))
    }

    fn of(&self, now: &Fading, [by_p, by_v, by_a]: &[f64; 3]) -> f64 {
        let (v, a) = (self.velocity * now.duration, 0.5 * self.acceleration * now.duration * now.duration);
        self.position * by_p + v * by_v + a * by_a
    }

    /// Whether a fade of this duration stays within limits (bounds of the quintic's derivatives, term by term).
    fn fits(&self, duration: f64, velocity: f64, acceleration: f64, jerk: f64) -> bool {
        let (p, v, a, t) = (self.position.abs(), self.velocity.abs(), self.acceleration.abs(), duration);
        1.875 * p / t + v <= velocity.max(v * 1.000_001)
            && 5.774 * p / (t * t) + 3.95 * v / t <= acceleration
            && 60.0 * p / (t * t * t) + 36.0 * v / (t * t) + 9.0 * a / t <= jerk
    }
}

/// What the differences in position, velocity and acceleration, scaled with the duration, add at a moment of the fade; the same for all joints.
///
/// With s = t / T: `dp (1 - 10 s^3 + 15 s^4 - 6 s^5) + dv T (s - 6 s^3 + 8 s^4 - 3 s^5) + da T^2 / 2 (s^2 - 3 s^3 + 3 s^4 -
/// s^5)`, the Hermite quintic whose far end is zero up to acceleration.
#[derive(Debug, Clone, Copy)]
struct Fading {
    duration: f64,
    position: [f64; 3],
    velocity: [f64; 3],
    acceleration: [f64; 3],
}

impl Fading {
    /// At `t` seconds of `duration`; none when it is over.
    fn new(t: f64, duration: f64) -> Option<Self> {
        if t >= duration {
            return None;
        }
        let s = (t / duration).max(0.0);
        let (s2, s3, s4, s5) = (s * s, s * s * s, s * s * s * s, s * s * s * s * s);
        Some(Self {
            duration,
            position: [
                1.0 - 10.0 * s3 + 15.0 * s4 - 6.0 * s5,
                s - 6.0 * s3 + 8.0 * s4 - 3.0 * s5,
                s2 - 3.0 * s3 + 3.0 * s4 - s5,
            ],
            velocity: [
                -30.0 * s2 + 60.0 * s3 - 30.0 * s4,
                1.0 - 18.0 * s2 + 32.0 * s3 - 15.0 * s4,
                2.0 * s - 9.0 * s2 + 12.0 * s3 - 5.0 * s4,
            ],
            acceleration: [
                -60.0 * s + 180.0 * s2 - 120.0 * s3,
                -36.0 * s + 96.0 * s2 - 60.0 * s3,
                2.0 - 18.0 * s + 36.0 * s2 - 20.0 * s3,
            ],
        })
    }
}

/// The whole turns in a difference of angles, so that less than half a turn is left of it.
fn whole_turns(difference: f64) -> f64 {
    TAU * (difference / TAU).round()
}

/// A time, looked up once for all joints: see [`Scheduler::moment`].
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    place: Option<Place>,
    fading: Option<Fading>,
}

/// Takes chunks and answers what is wanted at a time. Time is passed in; nothing allocates but [`Self::offer`].
#[derive(Debug)]
pub struct Scheduler {
    joints: JointNames,
    config: SchedulerConfig,
    straight: Vec<bool>,
    /// Joints that turn on without end.
    continuous: Vec<bool>,
    limits: Option<Vec<JointLimits>>,
    current: Option<Rows>,
    pending: Option<Rows>,
    cleared_at: Option<Stamp>,
    fades: Vec<Fade>,
    blend_start: Stamp,
    blend_duration: f64,
    /// How far the plan was behind the clock when the chunk in use was observed, nanoseconds.
    lag: i64,
    /// The chunk in use only says where the path to brake on leads.
    retired: bool,
    /// The chunk that waits, and its predecessors, where they are averaged.
    unmixed: Option<Rows>,
    ensemble: Ensemble,
    /// The last change from one chunk to the next, and how many there were.
    seam: Option<Seam>,
    seams: u64,
    /// What was followed before it, and where the chunk before it was at that time.
    before: Vec<Reference>,
    proposed: Vec<f64>,
    /// Why the last chunk that was taken was not put in use after all, and how many were not.
    dropped: Option<ChunkRefusal>,
    drops: u64,
}

impl Scheduler {
    /// A scheduler without a chunk. `limits` stretch blends that would ask too much of the robot; without them every blend takes
    /// `blend_s`.
    ///
    /// # Errors
    /// When a time is not usable, a straight joint is unknown, or the limits do not fit the joints.
    pub fn new(
        joints: JointNames,
        config: SchedulerConfig,
        limits: Option<Vec<JointLimits>>,
    ) -> Result<Self, SchedulerError> {
        for (field, value, least) in [
            ("max_chunk_age_s", config.max_chunk_age_s, 1.0e-3),
            ("future_tolerance_s", config.future_tolerance_s, 0.0),
            ("blend_s", config.blend_s, LEAST_BLEND_S),
            ("max_blend_s", config.max_blend_s, config.blend_s),
        ] {
            if !(value.is_finite() && value >= least) {
                return Err(SchedulerError::Time { field, value, least });
            }
        }
        config.mode.check()?;
        let mut straight = vec![false; joints.len()];
        for name in &config.straight_joints {
            let place = joints.index_of(name).ok_or_else(|| SchedulerError::UnknownJoint(name.clone()))?;
            straight[place] = true;
        }
        if let Some(limits) = &limits {
            // A position range of one place is one: the joint stays there.
            let sound =
                |l: &JointLimits| l.lower <= l.upper && l.velocity > 0.0 && l.acceleration > 0.0 && l.jerk > 0.0;
            if limits.len() != joints.len() || !limits.iter().all(sound) {
                return Err(SchedulerError::Limits(joints.len()));
            }
        }
        let fades = vec![Fade::default(); joints.len()];
        let before = vec![Reference::default(); joints.len()];
        let proposed = vec![0.0; joints.len()];
        let blend_duration = config.blend_s;
        let continuous = vec![false; joints.len()];
        Ok(Self {
            joints,
            config,
            straight,
            continuous,
            limits,
            current: None,
            pending: None,
            cleared_at: None,
            fades,
            blend_start: Stamp::ZERO,
            blend_duration,
            lag: 0,
            retired: false,
            unmixed: None,
            ensemble: Ensemble::new(),
            seam: None,
            seams: 0,
            before,
            proposed,
            dropped: None,
            drops: 0,
        })
    }

    /// With which joints turn on without end (one a joint; with another number nothing changes): the rows of a chunk are then taken to the equivalents,
    /// whole turns apart, that are nearest to each other, and the chunk to the one that is nearest to what it follows.
    pub fn turning(mut self, continuous: &[bool]) -> Self {
        if continuous.len() == self.continuous.len() {
            self.continuous.copy_from_slice(continuous);
        }
        self
    }

    /// The joints, in the order of every vector here.
    pub fn joints(&self) -> &JointNames {
        &self.joints
    }

    /// Takes a chunk, which waits until [`Self::take_over`] puts it in use. A refused chunk changes nothing.
    ///
    /// # Errors
    /// When its joints are not exactly the scheduler's (in whatever order), its observation is too old, from the future, from
    /// before the last clear or not newer than that of the last chunk taken, all its rows are over, or its numbers are absurd.
    pub fn offer(&mut self, chunk: &ActionChunk, now: Stamp) -> Result<Accepted, ChunkRefusal> {
        let places = self.places_of(chunk, now)?;
        let (n, step, last) = (places.len(), chunk.step(), chunk.ends_at());
        let mut positions: Vec<f64> = Vec::with_capacity(chunk.positions().len());
        for k in 0..chunk.horizon() {
            let row = chunk.row(k);
            for (joint, place) in places.iter().enumerate() {
                let (min, max) =
                    self.limits.as_ref().map_or((-MAX_POSITION, MAX_POSITION), |l| (l[joint].lower, l[joint].upper));
                positions.push(row[*place].clamp(min, max));
            }
        }
        for joint in (0..n).filter(|joint| self.continuous[*joint]) {
            let limits = self.limits.as_ref();
            let (min, max) = limits.map_or((-MAX_POSITION, MAX_POSITION), |l| (l[joint].lower, l[joint].upper));
            for k in 1..chunk.horizon() {
                // The shorter way round, where the limits allow it.
                let (wanted, before) = (chunk.row(k)[places[joint]], positions[(k - 1) * n + joint]);
                let nearest = wanted - whole_turns(wanted - before);
                let wanted = if (min..=max).contains(&nearest) { nearest } else { wanted };
                positions[k * n + joint] = wanted.clamp(min, max);
            }
        }
        let rows = Rows::new(chunk.observed_at(), chunk.time_of(0), last, step, &self.straight, positions);
        debug_assert!(rows.is_finite());
        let accepted = Accepted {
            chunk: chunk.observed_at(),
            first_row: if self.config.mode == Mode::Fifo { 0 } else { rows.row_at(now) },
            reordered: places.iter().enumerate().any(|(i, p)| i != *p),
        };
        self.unmixed = matches!(self.config.mode, Mode::TemporalEnsemble { .. }).then(|| rows.clone());
        self.pending = Some(rows);
        Ok(accepted)
    }

    /// Whether [`Self::offer`] would take a chunk.
    ///
    /// # Errors
    /// As that.
    pub fn check(&self, chunk: &ActionChunk, now: Stamp) -> Result<(), ChunkRefusal> {
        self.places_of(chunk, now).map(drop)
    }

    /// The places of our joints in a chunk that may be taken.
    fn places_of(&self, chunk: &ActionChunk, now: Stamp) -> Result<Vec<usize>, ChunkRefusal> {
        let theirs = chunk.joints();
        if let Some(extra) = theirs.iter().find(|j| self.joints.index_of(j).is_none()) {
            return Err(ChunkRefusal::UnknownJoint(extra.to_owned()));
        }
        let places = self.joints.places_in(theirs.as_slice()).map_err(ChunkRefusal::MissingJoint)?;

        let age_s = now.seconds_since(chunk.observed_at());
        if -age_s > self.config.future_tolerance_s {
            return Err(ChunkRefusal::FromTheFuture { ahead_s: -age_s, max_s: self.config.future_tolerance_s });
        }
        if age_s > self.config.max_chunk_age_s {
            return Err(ChunkRefusal::TooOld { age_s, max_s: self.config.max_chunk_age_s });
        }
        let in_use = self.current.as_ref().filter(|_| !self.retired);
        if let Some(last) = self.pending.as_ref().or(in_use) {
            let behind_s = last.observed_at.seconds_since(chunk.observed_at());
            if behind_s >= 0.0 {
                return Err(ChunkRefusal::NotNewer { behind_s });
            }
        }
        if self.cleared_at.is_some_and(|cleared| chunk.observed_at() < cleared) {
            return Err(ChunkRefusal::BeforeClear);
        }
        let step = chunk.step();
        if !(MIN_STEP..=MAX_STEP).contains(&step) {
            return Err(ChunkRefusal::StepTime(step));
        }
        let last = chunk.ends_at();
        // In a queue no row is over before it was followed.
        if last < now && self.config.mode != Mode::Fifo {
            return Err(ChunkRefusal::Elapsed { late_s: now.seconds_since(last) });
        }
        let n = theirs.len();
        if let Some(i) = chunk.positions().iter().position(|v| !v.is_finite() || v.abs() > MAX_POSITION) {
            let (step, joint, value) = (i / n, theirs.as_slice()[i % n].clone(), chunk.positions()[i]);
            return Err(ChunkRefusal::Absurd { step, joint, value });
        }
        Ok(places)
    }

    /// Whether a chunk waits to be put in use.
    pub fn has_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Puts the waiting chunk in use from time `at` on, where the robot is commanded to be in the states `followed` (one a joint,
    /// in order). From there the reference starts in exactly these states and runs smoothly into the chunk.
    ///
    /// Returns false, and leaves everything as it is but drops the waiting chunk, when all its rows are over at `at` or its
    /// observation is too old by then; false also when none waits.
    pub fn take_over(&mut self, at: Stamp, followed: impl Fn(usize) -> Reference) -> bool {
        self.take_over_late(at, |_| 0, followed)
    }

    /// As [`Self::take_over`], where the robot was slowed down: every time here is then *plan time*, which runs no faster than the
    /// clock. `lag` says by how many nanoseconds plan time was behind the clock at an observation; a chunk means its rows to follow
    /// the state that was observed, so its row times are counted in plan time from there.
    pub fn take_over_late(
        &mut self,
        at: Stamp,
        lag: impl FnOnce(Stamp) -> i64,
        followed: impl Fn(usize) -> Reference,
    ) -> bool {
        let Some(mut rows) = self.pending.take() else { return false };
        let mut unmixed = self.unmixed.take();
        let mut lag = lag(rows.observed_at);
        let start = at;
        let at = at.offset_nanos(lag);
        let age_s = at.seconds_since(rows.observed_at);
        let max_s = self.config.max_chunk_age_s + self.config.blend_s;
        let fifo = self.config.mode == Mode::Fifo;
        let late = if age_s > max_s {
            Some(ChunkRefusal::TooOld { age_s, max_s })
        } else {
            (at >= rows.last && !fifo).then(|| ChunkRefusal::Elapsed { late_s: at.seconds_since(rows.last) })
        };
        if late.is_some() {
            self.dropped = late;
            self.drops += 1;
            return false;
        }
        if fifo {
            rows.begin_at(start);
            lag = 0;
        }
        for joint in (0..self.joints.len()).filter(|joint| self.continuous[*joint]) {
            let place = rows.place(at);
            let by = -whole_turns(rows.at(joint, self.straight[joint], &place).position - followed(joint).position);
            let (min, max) =
                self.limits.as_ref().map_or((f64::NEG_INFINITY, f64::INFINITY), |l| (l[joint].lower, l[joint].upper));
            if by != 0.0 && rows.fits(joint, by, min, max) {
                rows.turn(joint, by);
                if let Some(unmixed) = &mut unmixed {
                    unmixed.turn(joint, by);
                }
            }
        }
        if let (Mode::TemporalEnsemble { m }, Some(unmixed)) = (self.config.mode, unmixed) {
            self.ensemble.add(unmixed, lag, start, m, &self.straight, &mut rows);
        }
        let replaces = self.current.is_some() && !self.retired;
        if replaces {
            self.look_back(start, &followed);
        }
        self.lag = lag;
        self.retired = false;
        self.current = Some(rows);
        self.blend_from(start, &followed);
        if replaces {
            self.seam = Some(self.seam_at(start, age_s));
            self.seams += 1;
        }
        true
    }

    /// The chunk in use waits again: nothing that follows it was sent. A newer one that waits already stays.
    pub fn put_back(&mut self) {
        if self.retired || self.pending.is_some() {
            return;
        }
        self.pending = self.current.take();
    }

    /// Keeps the states in which the reference is left at `at` (plan time). Where it is blended, a path begins in the states `followed`; where it
    /// is not, it is what the old chunk has, as long as that lasts.
    fn look_back(&mut self, at: Stamp, followed: &impl Fn(usize) -> Reference) {
        let moment = self.moment(at);
        let lasts = matches!(self.status(at), ReferenceStatus::Active { .. });
        for joint in 0..self.joints.len() {
            let (rows, place) = (self.current.as_ref(), moment.place.as_ref());
            let old =
                rows.zip(place).filter(|_| lasts).map(|(rows, place)| rows.at(joint, self.straight[joint], place));
            let before = old.filter(|_| !self.config.mode.blends()).unwrap_or_else(|| followed(joint));
            self.proposed[joint] = old.map_or(before.position, |old| old.position);
            self.before[joint] = before;
        }
    }

    /// What the change to the chunk in use, which was just made at `at` (plan time), is to whoever follows the reference.
    fn seam_at(&self, at: Stamp, delay_s: f64) -> Seam {
        let mut seam = Seam { at, delay_s, gap: 0.0, jump: 0.0, jerk: 0.0 };
        let Some(rows) = &self.current else { return seam };
        let moments = [0.0, 1.0, 2.0].map(|k| self.moment(at.offset_seconds(k * SEAM_STEP)));
        let place = rows.place(at.offset_nanos(self.lag));
        for joint in (0..self.joints.len()).filter(|joint| !self.straight[*joint]) {
            let before = self.before[joint];
            let after = moments.map(|m| self.of_joint_at(joint, &m).unwrap_or_default().position);
            seam.gap = seam.gap.max((rows.at(joint, false, &place).position - self.proposed[joint]).abs());
            seam.jump = seam.jump.max((after[0] - before.position).abs());
            seam.jerk = seam.jerk.max(seam::jerk(before, after));
        }
        seam
    }

    /// How many chunks took over from another one, and the last time that one did.
    pub fn seams(&self) -> (u64, Option<&Seam>) {
        (self.seams, self.seam.as_ref())
    }

    /// How many chunks were taken but came too late to be put in use, and why the last of them was not.
    pub fn dropped(&self) -> (u64, Option<&ChunkRefusal>) {
        (self.drops, self.dropped.as_ref())
    }

    /// Lets the path into the chunk in use begin anew at `at` (plan time), in the states `followed`. Does nothing in modes that do not
    /// blend.
    pub fn blend_from(&mut self, at: Stamp, followed: impl Fn(usize) -> Reference) {
        let Some(rows) = &self.current else { return };
        if !self.config.mode.blends() {
            // No fade was ever begun.
            return;
        }
        let place = rows.place(at.offset_nanos(self.lag));
        let mut duration = self.config.blend_s;
        for joint in 0..self.joints.len() {
            if self.straight[joint] {
                continue;
            }
            let (from, to) = (followed(joint), rows.at(joint, false, &place));
            let fade = Fade {
                position: from.position - to.position,
                velocity: from.velocity - to.velocity,
                acceleration: from.acceleration - to.acceleration,
            };
            self.fades[joint] = fade;
            if let Some(limits) = &self.limits {
                let JointLimits { velocity, acceleration, jerk, .. } = limits[joint];
                let fits = |t| fade.fits(t, velocity, acceleration, jerk);
                while duration < self.config.max_blend_s && !fits(duration) {
                    duration = (duration * 1.1).min(self.config.max_blend_s);
                }
            }
        }
        self.blend_start = at;
        self.blend_duration = duration;
    }

    /// Forgets all chunks: nothing made from an observation before `now` is taken any more.
    pub fn clear(&mut self, now: Stamp) {
        self.current = None;
        self.pending = None;
        self.ensemble.clear();
        self.cleared_at = Some(now);
    }

    /// As [`Self::clear`], but [`Self::of_joint`] still tells where the chunk in use led, so that a stop can brake along it.
    pub fn retire(&mut self, now: Stamp) {
        self.retired = true;
        self.pending = None;
        self.ensemble.clear();
        self.cleared_at = Some(now);
    }

    /// Forgets all chunks and all times, after the clock was set.
    pub fn reset(&mut self) {
        self.current = None;
        self.pending = None;
        self.ensemble.clear();
        self.cleared_at = None;
    }

    /// The chunk in use (or used last): its observation time and number of rows.
    pub fn in_use(&self) -> Option<(Stamp, usize)> {
        self.current.as_ref().filter(|_| !self.retired).map(|rows| (rows.observed_at, rows.len()))
    }

    /// How many nanoseconds plan time was behind the clock when the chunk in use was observed: its rows are due so much earlier in plan time
    /// than by their stamps.
    pub fn lag(&self) -> i64 {
        self.lag
    }

    /// When the last row of the chunk in use is due (plan time).
    pub fn ends_at(&self) -> Option<Stamp> {
        self.current.as_ref().filter(|_| !self.retired).map(|rows| rows.last.offset_nanos(-self.lag))
    }

    /// Whether there is a reference at a time.
    pub fn status(&self, at: Stamp) -> ReferenceStatus {
        let at = at.offset_nanos(self.lag);
        match self.current.as_ref().filter(|_| !self.retired) {
            None => ReferenceStatus::Idle,
            Some(rows) if at > rows.last => ReferenceStatus::Exhausted,
            Some(rows) => ReferenceStatus::Active { chunk: rows.observed_at, row: rows.row_at(at) },
        }
    }

    /// Writes the desired positions and velocities at a time, in the order of the joints, and says whether there are any; where
    /// not, the slices are left alone. Panics when the slices have another length than the joints.
    pub fn reference(&self, at: Stamp, positions: &mut [f64], velocities: &mut [f64]) -> ReferenceStatus {
        assert!(positions.len() == self.joints.len() && velocities.len() == self.joints.len());
        let status = self.status(at);
        if let ReferenceStatus::Active { .. } = status {
            for joint in 0..self.joints.len() {
                if let Some(state) = self.of_joint(joint, at) {
                    positions[joint] = state.position;
                    velocities[joint] = state.velocity;
                }
            }
        }
        status
    }

    /// Desired state of one joint; after the last row a gripper rests there, any other joint runs out with the velocity that it
    /// has. None without a chunk.
    pub fn of_joint(&self, joint: usize, at: Stamp) -> Option<Reference> {
        self.of_joint_at(joint, &self.moment(at))
    }

    /// Looks up a time, for [`Self::of_joint_at`]. It means nothing any more after the next chunk is in use.
    pub fn moment(&self, at: Stamp) -> Moment {
        let place = self.current.as_ref().map(|rows| rows.place(at.offset_nanos(self.lag)));
        Moment { place, fading: Fading::new(at.seconds_since(self.blend_start), self.blend_duration) }
    }

    /// Velocity and acceleration of [`Self::of_joint_at`] for a joint that is blended; it takes half the time.
    pub fn rates_at(&self, joint: usize, moment: &Moment) -> Option<(f64, f64)> {
        let (rows, place) = (self.current.as_ref()?, moment.place.as_ref()?);
        if self.straight[joint] {
            return self.of_joint_at(joint, moment).map(|at| (at.velocity, at.acceleration));
        }
        let (velocity, acceleration) = rows.rates(joint, place);
        let Some(fading) = &moment.fading else { return Some((velocity, acceleration)) };
        let (v, a) = self.fades[joint].rates(fading);
        Some((velocity + v, acceleration + a))
    }

    /// As [`Self::of_joint`], at a time that was looked up.
    pub fn of_joint_at(&self, joint: usize, moment: &Moment) -> Option<Reference> {
        let (rows, place) = (self.current.as_ref()?, moment.place.as_ref()?);
        let to = rows.at(joint, self.straight[joint], place);
        let Some(fading) = moment.fading.as_ref().filter(|_| !self.straight[joint]) else { return Some(to) };
        let fade = self.fades[joint].at(fading);
        Some(Reference {
            position: to.position + fade.position,
            velocity: to.velocity + fade.velocity,
            acceleration: to.acceleration + fade.acceleration,
        })
    }
}
