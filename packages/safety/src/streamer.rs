//! From chunks and joint states to windows: one decision a tick.

pub mod config;

use crate::limits::Limits;
use crate::motion::State;
use crate::planner::{JointKind, JointPlanner};
use crate::window::{Draft, VerifiedWindow, Violation, seal};
use config::{ControllerSpec, SetupError, StreamConfig};
use efm_core::{ActionChunk, JointNames, JointSample, Stamp};
use efm_schedule::{Accepted, ChunkRefusal, Reference, ReferenceLimits, ReferenceStatus, Scheduler};

/// States kept from before the window, so that measurements can be compared with what was commanded at their time.
const HISTORY: usize = 60;

/// Why motion was brought to rest.
#[derive(Debug, Clone, PartialEq)]
pub enum StopReason {
    /// The last step of the last chunk is over and no new chunk came.
    Exhausted,
    /// [`TrajectoryStreamer::cancel`].
    Cancelled,
    /// [`TrajectoryStreamer::stop`]; latched.
    Requested,
    /// Disarmed while moving.
    Disarmed,
    /// There is no joint state.
    JointStateMissing,
    /// The joint state is too old.
    JointStateStale {
        /// Seconds.
        age_s: f64,
    },
    /// A measured position is too far from the commanded one; latched.
    Tracking {
        /// Place of the joint in the limits' order.
        joint: usize,
        /// Radians or metres.
        error: f64,
    },
    /// The clock went backwards or leapt.
    ClockJump {
        /// Seconds between the two ticks.
        step_s: f64,
    },
    /// A window failed its check: a mistake in this package; latched, and nothing was sent.
    Internal(Violation),
}

impl StopReason {
    /// Whether it lasts until [`TrajectoryStreamer::resume`].
    pub fn is_latched(&self) -> bool {
        matches!(self, Self::Requested | Self::Tracking { .. } | Self::Internal(_))
    }

    /// Whether a new chunk may be followed before rest is reached.
    fn may_continue(&self) -> bool {
        matches!(self, Self::Exhausted | Self::Cancelled)
    }
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exhausted => f.write_str("the last action chunk is over and no new one came"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Requested => f.write_str("stopped on request; call resume"),
            Self::Disarmed => f.write_str("disarmed"),
            Self::JointStateMissing => f.write_str("there is no joint state"),
            Self::JointStateStale { age_s } => write!(f, "the joint state is {age_s:.3} s old"),
            Self::Tracking { joint, error } => {
                write!(f, "joint {joint} is {error:.4} from where it was commanded to be; call resume")
            }
            Self::ClockJump { step_s } => write!(f, "the clock moved by {step_s:.3} s between two ticks"),
            Self::Internal(violation) => write!(f, "internal error, nothing was sent: {violation}; call resume"),
        }
    }
}

/// Why nothing is sent.
#[derive(Debug, Clone, PartialEq)]
pub enum IdleReason {
    /// Not armed.
    Disarmed,
    /// Stopped until [`TrajectoryStreamer::resume`].
    Latched(StopReason),
    /// At rest, and no chunk waits. Carries why the last motion ended, if there was one.
    NoChunk(Option<StopReason>),
    /// A chunk waits, but there is no joint state.
    JointStateMissing,
    /// A chunk waits, but the joint state is too old.
    JointStateStale {
        /// Seconds.
        age_s: f64,
    },
    /// A chunk waits, but the joint state has another number of joints or a value that is no number.
    JointStateInvalid,
    /// A chunk waits, but the robot still moves.
    NotAtRest {
        /// Place of the joint in the limits' order.
        joint: usize,
        /// Measured, rad/s or m/s.
        speed: f64,
    },
    /// A chunk waits, but the robot stands outside its position limits.
    OutsideLimits {
        /// Place of the joint in the limits' order.
        joint: usize,
        /// Measured.
        position: f64,
    },
}

/// Why a chunk is not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OfferRefusal {
    /// Not armed: chunks are proposals only.
    #[error("not armed")]
    Disarmed,
    /// Stopped, until rest is reached or [`TrajectoryStreamer::resume`] is called.
    #[error("stopped: {0}")]
    Stopped(StopReason),
    /// The chunk itself.
    #[error(transparent)]
    Chunk(#[from] ChunkRefusal),
}

/// What the motion that is sent is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum Activity {
    /// Following a chunk.
    Following,
    /// Coming to rest.
    Stopping(StopReason),
}

/// What is committed but not yet executed, for those upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution {
    /// Observation time of the chunk in use; None after a stop.
    pub chunk: Option<Stamp>,
    /// Row of that chunk that is due next at the time of the tick; the last one when the chunk is over.
    pub row: usize,
    /// From here on a new chunk takes effect.
    pub committed_until: Stamp,
}

/// What is to be published now: one window a controller, all with the same stamp.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// In the order of the controllers.
    pub windows: &'a [VerifiedWindow],
    /// What the motion is doing.
    pub activity: Activity,
    /// What is committed.
    pub execution: Execution,
}

/// The decision of one tick.
#[derive(Debug)]
pub enum Tick<'a> {
    /// Publish nothing.
    Idle(IdleReason),
    /// Publish these windows.
    Send(Outgoing<'a>),
}

/// A motion from rest to rest, on one time axis.
#[derive(Debug)]
struct Motion {
    /// Time of grid index 0.
    axis: Stamp,
    /// Grid index of the planners' first state.
    base: i64,
    /// Grid index of the first point sent last.
    first: i64,
    stop: Option<StopReason>,
    /// Whether the stop has been planned.
    stop_planned: bool,
    /// Nothing was sent yet.
    fresh: bool,
}

/// Streams trajectory windows for the controllers of one robot. See the crate's documentation for what it promises.
pub struct TrajectoryStreamer {
    limits: Limits,
    config: StreamConfig,
    scheduler: Scheduler,
    planners: Vec<JointPlanner>,
    drafts: Vec<Draft>,
    sent: Vec<VerifiedWindow>,
    period: i64,
    /// Points from the first of a window that are final.
    committed: i64,
    /// Points from the first of a window that come before the stop tail.
    window: i64,
    armed: bool,
    latched: Option<StopReason>,
    last_stop: Option<StopReason>,
    last_tick: Option<Stamp>,
    motion: Option<Motion>,
    /// Where the last motion ended, while that is known to hold.
    rest: Vec<f64>,
    rest_known: bool,
}

impl TrajectoryStreamer {
    /// A streamer that is disarmed and idle. Joint vectors (chunks aside, which carry names) are in the order of `limits`.
    ///
    /// # Errors
    /// When a setting is out of range, or the controllers do not move each joint exactly once.
    pub fn new(limits: Limits, controllers: Vec<ControllerSpec>, config: StreamConfig) -> Result<Self, SetupError> {
        config.check()?;
        let joints = limits.joints().clone();
        check_controllers(&joints, &controllers)?;
        let mut kinds = vec![JointKind::Arm; joints.len()];
        for name in &config.gripper_joints {
            let place = joints.index_of(name).ok_or_else(|| SetupError::UnknownGripper(name.clone()))?;
            kinds[place] = JointKind::Gripper;
        }

        let mut schedule = config.schedule.clone();
        schedule.straight_joints.clone_from(&config.gripper_joints);
        // Half of what following may use: the other half is for the motion that the chunk itself asks for.
        let half = |values: &[f64]| values.iter().map(|v| 0.5 * config.share * v).collect();
        let blend = ReferenceLimits {
            min_position: limits.min_position().to_vec(),
            max_position: limits.max_position().to_vec(),
            velocity: half(limits.velocity()),
            acceleration: half(limits.acceleration()),
            jerk: half(limits.jerk()),
        };
        let scheduler = Scheduler::new(joints.clone(), schedule, Some(blend))?;

        let dt = config.period_s;
        let steps = |seconds: f64| (seconds / dt - 1.0e-6).ceil() as i64;
        let lead = dt + config.clock_skew_s;
        let (committed, window) = (steps(lead + config.committed_s), steps(lead + config.window_s));
        let window = window.max(committed + 1);
        let room = HISTORY + window as usize + 128;
        let planners: Vec<JointPlanner> = (0..joints.len())
            .map(|j| JointPlanner::new(kinds[j], limits.of(j), config.share, config.bandwidth, dt, room))
            .collect();
        let period = (dt * 1.0e9).round() as i64;
        let longest = (0..joints.len()).map(|j| crate::motion::longest_stop(dt, &limits.of(j))).max().unwrap_or(0);
        let drafts: Vec<Draft> = controllers
            .into_iter()
            .map(|c| {
                let places: Vec<usize> = c.joints.iter().filter_map(|n| joints.index_of(n)).collect();
                let room = (window as usize + longest + 64) * places.len();
                Draft {
                    controller: c.name,
                    jerk_limited: places.iter().map(|p| kinds[*p] == JointKind::Arm).collect(),
                    places,
                    joints: c.joints,
                    stamp: Stamp::ZERO,
                    period,
                    committed: committed as usize + 1,
                    positions: Vec::with_capacity(room),
                    velocities: Vec::with_capacity(room),
                }
            })
            .collect();
        let sent = drafts
            .iter()
            .map(|draft| {
                let mut window = draft.clone();
                window.positions.reserve_exact(draft.positions.capacity());
                window.velocities.reserve_exact(draft.velocities.capacity());
                VerifiedWindow::from_empty(window)
            })
            .collect();
        let rest = vec![0.0; joints.len()];
        Ok(Self {
            limits,
            config,
            scheduler,
            planners,
            drafts,
            sent,
            period,
            committed,
            window,
            armed: false,
            latched: None,
            last_stop: None,
            last_tick: None,
            motion: None,
            rest,
            rest_known: false,
        })
    }

    /// The joints, in the order of measured states.
    pub fn joints(&self) -> &JointNames {
        self.limits.joints()
    }

    /// The limits that are kept.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The settings.
    pub fn config(&self) -> &StreamConfig {
        &self.config
    }

    /// Whether motion is allowed.
    pub fn is_armed(&self) -> bool {
        self.armed
    }

    /// Whether windows are being sent.
    pub fn is_streaming(&self) -> bool {
        self.motion.is_some()
    }

    /// Why motion is blocked until [`Self::resume`], if it is.
    pub fn latched(&self) -> Option<&StopReason> {
        self.latched.as_ref()
    }

    /// Allows or forbids motion. Disarming while moving brings the robot to rest along the stop tail, then nothing is sent.
    pub fn arm(&mut self, armed: bool, now: Stamp) {
        if self.armed && !armed {
            self.begin_stop(StopReason::Disarmed, now);
        }
        self.armed = armed;
    }

    /// Brings the robot to rest and takes no chunk until [`Self::resume`].
    pub fn stop(&mut self, now: Stamp) {
        self.begin_stop(StopReason::Requested, now);
    }

    /// Ends a latched stop. Motion begins again from rest, with the next chunk.
    pub fn resume(&mut self) {
        self.latched = None;
    }

    /// Brings the robot to rest and forgets all chunks; a chunk from a newer observation is followed at once.
    pub fn cancel(&mut self, now: Stamp) {
        self.begin_stop(StopReason::Cancelled, now);
    }

    /// Forgets where the last motion ended: the next one begins at the measured pose of every joint. To be called when something
    /// else may have moved the robot, as a simulator's reset.
    pub fn forget_rest(&mut self) {
        self.rest_known = false;
    }

    /// Offers a chunk. It takes effect at the first moment that is not committed.
    ///
    /// # Errors
    /// When motion is not allowed, a stop is under way, or the chunk is refused. Nothing is changed by a refused chunk.
    pub fn offer_chunk(&mut self, chunk: &ActionChunk, now: Stamp) -> Result<Accepted, OfferRefusal> {
        if !self.armed {
            return Err(OfferRefusal::Disarmed);
        }
        if let Some(reason) = &self.latched {
            return Err(OfferRefusal::Stopped(reason.clone()));
        }
        if let Some(reason) = self.motion.as_ref().and_then(|m| m.stop.as_ref()).filter(|r| !r.may_continue()) {
            return Err(OfferRefusal::Stopped(reason.clone()));
        }
        Ok(self.scheduler.offer(chunk, now)?)
    }

    fn begin_stop(&mut self, reason: StopReason, now: Stamp) {
        self.scheduler.clear(now);
        if let Some(motion) = &mut self.motion {
            // A stop under way is not made weaker.
            if motion.stop.as_ref().is_none_or(|before| before.may_continue()) {
                motion.stop = Some(reason.clone());
            }
        }
        if reason.is_latched() && self.latched.is_none() {
            self.latched = Some(reason);
        }
    }

    /// Decides what is sent now. To be called every period, and once more after each missed one at the latest.
    ///
    /// `measured` is the newest joint state in the limits' order and its age in seconds (of receipt or of measurement, whichever is
    /// larger).
    pub fn tick(&mut self, now: Stamp, measured: Option<(&JointSample, f64)>) -> Tick<'_> {
        self.watch_clock(now);
        let state = self.usable(measured);
        if self.motion.is_some() {
            self.watch_robot(now, state);
        } else if let Err(reason) = self.start(now, state) {
            return Tick::Idle(reason);
        }
        if !self.plan(now) {
            return Tick::Idle(self.idle_reason());
        }
        self.send(now)
    }

    fn idle_reason(&self) -> IdleReason {
        match (&self.latched, self.armed) {
            (Some(reason), _) => IdleReason::Latched(reason.clone()),
            (None, false) => IdleReason::Disarmed,
            (None, true) => IdleReason::NoChunk(self.last_stop.clone()),
        }
    }

    fn watch_clock(&mut self, now: Stamp) {
        let Some(before) = self.last_tick.replace(now) else { return };
        let step_s = now.seconds_since(before);
        if step_s < 0.0 {
            // The controllers' clock went back as well: the axis means nothing any more, and whatever is sent may be in their
            // future. Cease; they hold what they have.
            self.scheduler.reset();
            self.rest_known = false;
            if self.motion.take().is_some() {
                self.last_stop = Some(StopReason::ClockJump { step_s });
            }
        } else if step_s > self.config.period_s + self.config.max_clock_jump_s {
            self.scheduler.clear(now);
            if let Some(motion) = &mut self.motion {
                // The controllers were alone with the last window, and so is the plan: both go on together, to a stop.
                motion.stop = Some(StopReason::ClockJump { step_s });
            }
        }
    }

    fn usable<'a>(&self, measured: Option<(&'a JointSample, f64)>) -> Result<(&'a JointSample, f64), IdleReason> {
        let (sample, age_s) = measured.ok_or(IdleReason::JointStateMissing)?;
        let n = self.planners.len();
        let finite = |values: &[f64]| values.len() == n && values.iter().all(|v| v.is_finite());
        if !(finite(&sample.positions) && finite(&sample.velocities)) {
            return Err(IdleReason::JointStateInvalid);
        }
        if age_s.is_nan() || age_s > self.config.max_joint_state_age_s {
            return Err(IdleReason::JointStateStale { age_s });
        }
        Ok((sample, age_s))
    }

    fn watch_robot(&mut self, now: Stamp, state: Result<(&JointSample, f64), IdleReason>) {
        let reason = match state {
            Err(IdleReason::JointStateStale { age_s }) => StopReason::JointStateStale { age_s },
            Err(_) => StopReason::JointStateMissing,
            Ok((sample, age_s)) => match self.tracking_error(now, sample, age_s) {
                Some((joint, error)) if error > self.config.max_tracking_error => StopReason::Tracking { joint, error },
                _ => return,
            },
        };
        self.begin_stop(reason, now);
    }

    /// The joint that is farthest from where it was commanded to be when it was measured, and how far.
    fn tracking_error(&self, now: Stamp, sample: &JointSample, age_s: f64) -> Option<(usize, f64)> {
        let motion = self.motion.as_ref()?;
        // The stamp says best when it was measured, unless it makes no sense.
        let by_age = now.offset_seconds(-age_s.max(0.0));
        let lag = now.seconds_since(sample.stamp);
        let at = if (0.0..=0.5).contains(&lag) { sample.stamp } else { by_age };
        let place = (at.seconds_since(motion.axis) / self.config.period_s - motion.base as f64).max(0.0);
        let (k, part) = (place.floor() as usize, place.fract());
        let mut worst = None;
        for (joint, planner) in self.planners.iter().enumerate() {
            if planner.kind() == JointKind::Gripper {
                // A hand that holds something is meant not to get where it is commanded.
                continue;
            }
            let (a, b) = (planner.at(k).p, planner.at(k + 1).p);
            let error = (a + (b - a) * part - sample.positions[joint]).abs();
            if worst.is_none_or(|(_, e)| error > e) {
                worst = Some((joint, error));
            }
        }
        worst
    }

    /// Begins a motion from rest if a chunk waits and everything allows it.
    fn start(&mut self, now: Stamp, state: Result<(&JointSample, f64), IdleReason>) -> Result<(), IdleReason> {
        if !self.armed || self.latched.is_some() || !self.scheduler.has_pending() {
            return Err(self.idle_reason());
        }
        let (sample, _) = state?;
        for (joint, planner) in self.planners.iter().enumerate() {
            let speed = sample.velocities[joint].abs();
            if planner.kind() == JointKind::Arm && speed > self.config.max_start_speed {
                return Err(IdleReason::NotAtRest { joint, speed });
            }
        }
        // Begin where the controllers hold the robot: that is where the last motion ended, unless the robot stands elsewhere. A
        // hand that holds something never stands where it is commanded, and must not let go.
        for (joint, planner) in self.planners.iter().enumerate() {
            let measured = sample.positions[joint];
            let gripper = planner.kind() == JointKind::Gripper;
            let near = (measured - self.rest[joint]).abs() <= self.config.max_start_error;
            let wanted = if self.rest_known && (gripper || near) { self.rest[joint] } else { measured };
            let position = wanted.clamp(planner.limits().min, planner.limits().max);
            if !gripper && (position - wanted).abs() > self.config.max_start_error {
                self.rest_known = false;
                return Err(IdleReason::OutsideLimits { joint, position: measured });
            }
            self.rest[joint] = position;
        }
        self.rest_known = true;

        let lead = self.config.period_s + self.config.clock_skew_s;
        let axis = now.offset_seconds(-lead);
        let resting = 2 + (self.config.clock_skew_s / self.config.period_s).ceil() as usize;
        for (planner, position) in self.planners.iter_mut().zip(&self.rest) {
            planner.restart(*position, resting);
        }
        let motion = Motion { axis, base: 0, first: 0, stop: None, stop_planned: false, fresh: true };
        let from = axis.offset_nanos(self.period * (resting as i64 - 1));
        let rest = &self.rest;
        if !self.scheduler.take_over(from, |joint| Reference { position: rest[joint], ..Reference::default() }) {
            return Err(self.idle_reason());
        }
        self.last_stop = None;
        self.motion = Some(motion);
        Ok(())
    }

    /// Brings the plan up to now. False when the motion is over.
    fn plan(&mut self, now: Stamp) -> bool {
        let Some(motion) = &mut self.motion else { return false };
        let period = self.period;
        let lead = self.config.period_s + self.config.clock_skew_s;
        // Nearest grid time, so that a tick a little early or late still moves on by one.
        let elapsed = now.offset_seconds(-lead).nanos_since(motion.axis);
        let first = ((elapsed + period / 2).div_euclid(period)).max(motion.first);
        let time_of = |index: i64| motion.axis.offset_nanos(index.saturating_mul(period));

        // Over: nothing more is wanted, and rest is reached by now.
        let end = motion.base + self.planners.iter().map(JointPlanner::rests_from).max().unwrap_or(0) as i64;
        let wants_more = motion.stop.as_ref().is_none_or(|r| r.may_continue()) && self.scheduler.has_pending();
        let planned_to = motion.base + self.planners[0].planned() as i64 - 1;
        let followed = motion.stop.is_none()
            && matches!(self.scheduler.status(time_of(planned_to + 1)), ReferenceStatus::Active { .. });
        if end <= first + 1 && !wants_more && !followed && !motion.fresh {
            for (joint, planner) in self.planners.iter().enumerate() {
                self.rest[joint] = planner.at(usize::MAX).p;
            }
            self.last_stop = Some(motion.stop.take().unwrap_or(StopReason::Exhausted));
            self.rest_known = true;
            self.motion = None;
            return false;
        }

        motion.first = first;
        let old = (first - HISTORY as i64 - motion.base).clamp(0, planned_to - motion.base);
        for planner in &mut self.planners {
            planner.forget(old as usize);
        }
        motion.base += old;

        // What is final by now.
        let committed = first + self.committed;
        let keep = (committed + 1 - motion.base) as usize;
        while self.planners[0].planned() < keep {
            self.planners.iter_mut().for_each(JointPlanner::follow_way_out);
        }
        if wants_more {
            let planners = &self.planners;
            let state = |joint: usize| {
                let State { p, v, a } = planners[joint].at(keep - 1);
                Reference { position: p, velocity: v, acceleration: a }
            };
            if self.scheduler.take_over(time_of(committed), state) {
                motion.stop = None;
                motion.stop_planned = false;
                self.planners.iter_mut().for_each(|p| p.keep(keep));
            }
        }
        if motion.stop.is_some() && !motion.stop_planned {
            motion.stop_planned = true;
            self.planners.iter_mut().for_each(|p| p.keep(keep));
        }

        let needed = (first + self.window + 1 - motion.base) as usize;
        for index in self.planners[0].planned()..needed {
            let last = motion.base + index as i64 - 1;
            let active = motion.stop.is_none()
                && matches!(self.scheduler.status(time_of(last + 1)), ReferenceStatus::Active { .. });
            let scheduler = &self.scheduler;
            for (joint, planner) in self.planners.iter_mut().enumerate() {
                if active {
                    let from = time_of(last);
                    planner.follow(|t| scheduler.of_joint(joint, from.offset_seconds(t)).unwrap_or_default());
                } else {
                    planner.brake();
                }
            }
        }
        true
    }

    /// Writes the windows, checks them and hands them out.
    fn send(&mut self, now: Stamp) -> Tick<'_> {
        let Some(motion) = &mut self.motion else { return Tick::Idle(self.idle_reason()) };
        let stamp = motion.axis.offset_nanos(motion.first * self.period);
        let from = (motion.first - motion.base) as usize;
        let to_rest = self.planners.iter().map(JointPlanner::len_to_rest).max().unwrap_or(0);
        let points = to_rest.saturating_sub(from).max(self.window as usize + 1);
        for draft in &mut self.drafts {
            draft.clear();
            draft.stamp = stamp;
            for k in from..from + points {
                for place in &draft.places {
                    let state = self.planners[*place].at(k);
                    draft.positions.push(state.p);
                    // No negative zero: the last velocity is 0, in every notation.
                    draft.velocities.push(state.v + 0.0);
                }
            }
        }
        if let Err(violation) = seal(&mut self.drafts, &mut self.sent, &self.limits, motion.fresh) {
            // The last window that left ends at rest: the controllers are safe with it.
            self.motion = None;
            self.rest_known = false;
            self.begin_stop(StopReason::Internal(violation), now);
            return Tick::Idle(self.idle_reason());
        }
        motion.fresh = false;
        let committed_until = motion.axis.offset_nanos((motion.first + self.committed) * self.period);
        let status = self.scheduler.status(now);
        let activity = match (&motion.stop, status) {
            (Some(reason), _) => Activity::Stopping(reason.clone()),
            (None, ReferenceStatus::Active { .. }) => Activity::Following,
            (None, _) => Activity::Stopping(StopReason::Exhausted),
        };
        let (chunk, row) = match (status, self.scheduler.in_use()) {
            (ReferenceStatus::Active { chunk, row }, _) => (Some(chunk), row),
            (_, Some((chunk, rows))) => (Some(chunk), rows - 1),
            _ => (None, 0),
        };
        let execution = Execution { chunk, row, committed_until };
        Tick::Send(Outgoing { windows: &self.sent, activity, execution })
    }
}

fn check_controllers(joints: &JointNames, controllers: &[ControllerSpec]) -> Result<(), SetupError> {
    if controllers.is_empty() {
        return Err(SetupError::NoController);
    }
    let mut owners = vec![0; joints.len()];
    for (i, controller) in controllers.iter().enumerate() {
        if controllers[..i].iter().any(|c| c.name == controller.name) {
            return Err(SetupError::ControllerTwice(controller.name.clone()));
        }
        for name in controller.joints.iter() {
            let place = joints
                .index_of(name)
                .ok_or_else(|| SetupError::NoLimits { controller: controller.name.clone(), joint: name.to_owned() })?;
            owners[place] += 1;
        }
    }
    match (owners.iter().position(|n| *n == 0), owners.iter().position(|n| *n > 1)) {
        (Some(j), _) => Err(SetupError::NoControllerFor(joints.as_slice()[j].clone())),
        (None, Some(j)) => Err(SetupError::TwoControllersFor(joints.as_slice()[j].clone())),
        (None, None) => Ok(()),
    }
}
