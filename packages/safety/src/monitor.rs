//! The door for monitors: what watches a motion, and may slow it down, refuse it or stop it, and never move anything.
//!
//! A [`Monitor`] is asked when a chunk is offered, when a motion could begin, and in every tick of a motion. What it says is worked on by the filter, which stays
//! last: a stop is the verified stop, a lower speed is planned like any other, and no window leaves that the filter has not checked. Whatever a monitor
//! says, nothing gets faster than it would be without it.
//!
//! The shipped ones, and the list to which one is added, are in `monitors.rs`; [`TrajectoryStreamer::add_monitors`](crate::TrajectoryStreamer::add_monitors)
//! takes those of another crate.

use crate::limits::Limits;
use crate::measured::{Measured, measured_at, way};
use crate::plan::Plan;
use crate::planner::JointKind;
use crate::progress::PathLimit;
use crate::streamer::{IdleReason, StopReason};
use crate::tracking::Follows;
use efm_core::{ActionChunk, JointNames, Level, Reason, Stamp};

/// What watches a motion.
///
/// It sees what a [`Moment`] has and nothing else: no clock, no file, no random numbers. Then a recorded run replays to the same bits. A tick does not allocate: a
/// reason is best made once, in the monitor's constructor; copies of it are free.
pub trait Monitor {
    /// What it is called, in reports: in `snake_case`, as `"joint_speed"`.
    fn name(&self) -> &'static str;

    /// What it says of a moment. Should it panic, that is a latched stop.
    fn judge(&mut self, moment: &Moment<'_>) -> Verdict;
}

/// What a monitor says.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nothing is wrong.
    Go,
    /// The path is run through at this part of its own speed at most, 0 to 1, for as long as it is said. Above 1 it is 1, below 0 it is 0; what is no number is
    /// a latched stop, as nobody knows what it was to be. Says nothing about a chunk that is offered.
    Slow(f64),
    /// The chunk that is offered is not taken; a motion that could begin does not, and its chunk waits. Of a motion that is under way, of which there is nothing
    /// to refuse any more, it is a stop that is not latched.
    Refuse(Reason),
    /// The arm comes to rest by the verified stop. An offered chunk is not taken. Where nothing moves, a stop that is not latched is a refusal.
    Stop(Reason, Latch),
    /// As [`Self::Stop`], for what the filter has a type for.
    StopFor(Cause),
}

/// Whether a stop lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latch {
    /// Until `~/resume`: somebody has to look first.
    UntilResume,
    /// Once at rest, the next chunk is followed.
    UntilRest,
}

/// A stop for a reason that the filter has a type for.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause(pub(crate) StopReason);

/// What a monitor is asked about.
#[derive(Debug, Clone, Copy)]
pub enum Occasion<'a> {
    /// A chunk is offered, which the filter would take: its joints are those of the robot, its time and its numbers are usable.
    Offer(&'a ActionChunk),
    /// A chunk waits, and all else allows a motion to begin now.
    Start,
    /// A motion is under way, or has just begun.
    Motion,
}

/// Why there is no measured state to rely on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Untold {
    /// There is none.
    Missing,
    /// It has another number of joints or a value that is no number.
    Invalid,
    /// It is too old.
    Stale {
        /// Seconds.
        age_s: f64,
    },
}

impl From<Untold> for IdleReason {
    fn from(untold: Untold) -> Self {
        match untold {
            Untold::Missing => Self::JointStateMissing,
            Untold::Invalid => Self::JointStateInvalid,
            Untold::Stale { age_s } => Self::JointStateStale { age_s },
        }
    }
}

/// The chunk that is followed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InUse {
    /// When it was observed.
    pub observed: Stamp,
    /// When its last row is due, in plan time.
    pub ends: Stamp,
}

/// How well a joint does what it is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tracked {
    /// How far it was from where it was commanded to be when it was measured, radians or metres.
    pub error: f64,
    /// How far it may be, by what was seen of it.
    pub bound: f64,
}

/// What is known in a moment. Joints are places in the order of the limits; radians and metres.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// Time of the tick or of the offer.
    pub now: Stamp,
    /// What is asked about.
    pub occasion: Occasion<'a>,
    /// Names of the joints.
    pub joints: &'a JointNames,
    /// The newest measured state that may be relied on. At an offer: that of the last tick, without stamps by joint.
    pub measured: Result<Measured<'a>, Untold>,
    /// The chunk that is followed; none after a stop began.
    pub chunk: Option<InUse>,
    /// Part of the path's own speed at which it is run through now.
    pub rate: f64,
    /// Why the motion comes to rest, where it does.
    pub stopping: Option<&'a StopReason>,
    /// A joint that nobody here moves, on which it depends what comes close, and of which nobody tells where it stands: its place in
    /// [`TrajectoryStreamer::other_joints`](crate::TrajectoryStreamer::other_joints).
    pub lost_other_joint: Option<usize>,
    /// The clock has leapt a moment ago: what is measured may still be from before, and too old.
    pub after_a_leap: bool,
    pub(crate) limits: &'a Limits,
    /// Of the motion that is under way.
    pub(crate) plan: Option<&'a Plan>,
    /// Where what is measured is to be held against it.
    pub(crate) follows: Option<&'a Follows>,
}

impl Moment<'_> {
    /// Whether a motion is under way.
    pub fn moves(&self) -> bool {
        self.plan.is_some()
    }

    /// The limits that the filter keeps.
    pub fn limits(&self) -> &Limits {
        self.limits
    }

    /// Where a joint is commanded to be at a time: of a motion that is under way, from half a second before now to its planned end.
    pub fn commanded(&self, joint: usize, at: Stamp) -> Option<f64> {
        self.plan.filter(|plan| joint < plan.planners().len()).map(|plan| plan.position_at(joint, at))
    }

    /// How well a joint does what it is sent. None where nothing moves or has just begun, where what is measured is contradictory, while the robot is held
    /// where it stands, and for a hand: one that holds something is meant not to get where it is commanded.
    pub fn tracked(&self, joint: usize) -> Option<Tracked> {
        let (Some(plan), Some(follows), Ok(measured)) = (self.plan, self.follows, &self.measured) else { return None };
        if plan.planners().get(joint)?.kind() == JointKind::Gripper {
            return None;
        }
        let at = measured_at(self.now, measured, joint);
        let continuous = self.limits.continuous()[joint];
        let error = way(continuous, plan.position_at(joint, at), measured.sample.positions[joint]).abs();
        Some(Tracked { error, bound: follows.of(joint).bound })
    }
}

/// A monitor, and what is known of it.
pub(crate) struct Watch {
    name: &'static str,
    /// What the arm is limited by while this slows it down.
    limit: PathLimit,
    monitor: Box<dyn Monitor + Send>,
}

impl Watch {
    /// Of a monitor.
    pub fn of(monitor: Box<dyn Monitor + Send>) -> Self {
        let name = monitor.name();
        Self { name, limit: PathLimit::Monitor(name), monitor }
    }

    /// It slows down for what the filter has a limit of its own for.
    pub fn limited_by(self, limit: PathLimit) -> Self {
        Self { limit, ..self }
    }

    /// The monitor itself.
    pub fn into_monitor(self) -> Box<dyn Monitor + Send> {
        self.monitor
    }
}

/// What all monitors say of a moment, together.
#[derive(Debug)]
pub(crate) struct Heard {
    /// How fast the path may be run through, and what keeps it below 1.
    pub pace: (f64, PathLimit),
    /// The first who refuses.
    pub refuse: Option<(&'static str, Reason)>,
    /// The first stop, and the first that is latched.
    pub stop: Option<StopReason>,
    pub latch: Option<StopReason>,
}

impl Heard {
    /// Before anybody is asked.
    pub fn nothing(pace: (f64, PathLimit)) -> Self {
        Self { pace, refuse: None, stop: None, latch: None }
    }

    /// Asks one more.
    pub fn ask(&mut self, watch: &mut Watch, moment: &Moment<'_>) {
        let Watch { name, limit, monitor } = watch;
        let name = *name;
        // A monitor that is broken in itself stops the arm; it does not take the node with it.
        let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| monitor.judge(moment)));
        let verdict = said.unwrap_or_else(|_| Verdict::Stop(panicked(), Latch::UntilResume));
        match (verdict, moment.occasion) {
            (Verdict::Go, _) => {}
            (Verdict::Slow(rate), _) if rate.is_nan() => self.stop(name, no_number(), Latch::UntilResume),
            (Verdict::Slow(rate), _) => {
                let rate = rate.max(0.0);
                if rate < self.pace.0 {
                    self.pace = (rate, *limit);
                }
            }
            (Verdict::Refuse(reason), Occasion::Motion) => self.stop(name, reason, Latch::UntilRest),
            (Verdict::Refuse(reason), _) => drop(self.refuse.get_or_insert((name, reason))),
            (Verdict::Stop(reason, Latch::UntilRest), Occasion::Offer(_) | Occasion::Start) if !moment.moves() => {
                self.refuse.get_or_insert((name, reason));
            }
            (Verdict::Stop(reason, latch), _) => self.stop(name, reason, latch),
            (Verdict::StopFor(Cause(reason)), _) => self.stop_for(reason),
        }
    }

    fn stop(&mut self, monitor: &'static str, reason: Reason, latch: Latch) {
        self.stop_for(StopReason::Monitor { monitor, reason, latch });
    }

    fn stop_for(&mut self, reason: StopReason) {
        if self.latch.is_none() && reason.is_latched() {
            self.latch = Some(reason.clone());
        }
        self.stop.get_or_insert(reason);
    }
}

fn panicked() -> Reason {
    Reason::new("monitor_panicked", Level::Error, "it panicked", "look at the log for where")
}

fn no_number() -> Reason {
    Reason::new("monitor_no_number", Level::Error, "the speed that it asks for is no number", "mend it")
}
