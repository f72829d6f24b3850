//! From chunks and joint states to windows: one decision a tick.

pub mod config;
mod gap;
mod hold;
mod watch;

use crate::limits::Limits;
use crate::measured::{Belief, BeliefConfig, Contradiction, Doubt, Frozen, Measured, way};
use crate::monitor::{Heard, Latch, Monitor, Occasion, Untold, Watch};
use crate::motion::State;
use crate::plan::{Plan, PlanReport, ToolOnPath};
use crate::planner::{JointKind, JointPlanner};
use crate::progress::{PathLimit, Progress};
use crate::sent::Sent;
use crate::space::{Intrusion, Space, Tool};
use crate::tracking::Follows;
use crate::window::{Draft, VerifiedWindow, Violation, seal, unseal};
use config::{ControllerSpec, SetupError, StreamConfig};
use efm_core::figure::Figure;
use efm_core::{ActionChunk, JointLimits, JointNames, JointSample, Reason, Stamp};
use efm_schedule::{Accepted, ChunkRefusal, ReferenceStatus, Scheduler};
use gap::Gaps;
use hold::Hold;

/// States kept from before the window, so that measurements can be compared with what was commanded at their time.
const HISTORY: usize = 60;
/// Periods that a motion rests before it begins: so much later its first window may leave, before which the controllers have none.
const START_DELAY: usize = 2;
/// Seconds that a window is under way from here to the controllers, and a fifth of what is committed at most.
const UNDER_WAY: f64 = 0.005;
/// Of the spread of positions that counts as rest: the shortest time that creeping may take, seconds.
const MIN_AGREEMENT_S: f64 = 0.02;
/// How far, in parts of its range, a hand may be from where it was when it was ours, to be held as before.
const SAME_GRIP: f64 = 0.05;

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
    /// There is no joint state. A gap: latched where it lasts, or comes again and again (see [`StreamConfig::max_joint_state_gap_s`]).
    JointStateMissing,
    /// The joint state is too old; a gap as well.
    JointStateStale {
        /// Seconds.
        age_s: f64,
    },
    /// The joint state has another number of joints, or a value that is no number; latched.
    JointStateInvalid,
    /// It is not known any more where a joint stands that nobody here moves, but on which it depends what comes close; a gap as well.
    OtherJointLost {
        /// Place of the joint in [`TrajectoryStreamer::other_joints`].
        other: usize,
    },
    /// A measured position is too far from the commanded one; latched.
    Tracking {
        /// Place of the joint in the limits' order.
        joint: usize,
        /// Radians or metres.
        error: f64,
    },
    /// What is measured cannot be true; latched.
    Contradiction(Contradiction),
    /// The clock went backwards or leapt.
    ClockJump {
        /// Seconds between the two ticks.
        step_s: f64,
    },
    /// Chunks in a row that nobody could follow: no numbers, absurd ones, other joints, other sizes or times; latched.
    BadChunks {
        /// How many.
        count: u32,
    },
    /// A controller is missing, refuses or does not follow; latched.
    Controller {
        /// Which, in the order of the controllers.
        controller: usize,
        /// What is wrong with it.
        fault: ControllerFault,
    },
    /// A controller that told its state does not any more. The next chunk is followed once it does again, where the robot is where it was commanded.
    Silent {
        /// Which, in the order of the controllers.
        controller: usize,
        /// For how long, when that was noticed.
        seconds: f64,
        /// Whether it speaks again.
        over: bool,
    },
    /// The emergency stop: nothing is sent any more; ends only by arming again.
    Emergency,
    /// A [`Monitor`] says so; latched or not, as it says.
    Monitor {
        /// Its name.
        monitor: &'static str,
        /// Why.
        reason: Reason,
        /// Whether it is latched.
        latch: Latch,
    },
    /// A window failed its check: a mistake in this package; latched, and nothing was sent.
    Internal(Violation),
}

/// What can be wrong with a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControllerFault {
    /// Nobody listens to its topic.
    Missing,
    /// It does not take what it is sent: its own state does not follow.
    NotFollowing,
    /// Its robot stands still while it is commanded on, as with one that was switched off.
    StandsStill,
    /// Somebody else commands it as well.
    Contested,
}

impl std::fmt::Display for ControllerFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "is not there: nobody listens to its trajectories",
            Self::NotFollowing => "does not follow what it is sent: it refuses it, or stands still",
            Self::StandsStill => {
                "seems to be switched off: its joints stand still while they are commanded on; it is now sent to where they stand"
            }
            Self::Contested => "is commanded by somebody else as well",
        })
    }
}

impl StopReason {
    /// Whether it lasts until [`TrajectoryStreamer::resume`] (an emergency: until armed again) in any case. A gap does in some:
    /// [`TrajectoryStreamer::latched`] tells.
    pub fn is_latched(&self) -> bool {
        !self.is_gap()
            && !matches!(
                self,
                Self::Exhausted
                    | Self::Cancelled
                    | Self::Disarmed
                    | Self::ClockJump { .. }
                    | Self::Silent { .. }
                    | Self::Monitor { latch: Latch::UntilRest, .. }
            )
    }

    /// Whether it is that something was not told for a while, which may end by itself.
    pub fn is_gap(&self) -> bool {
        matches!(self, Self::JointStateMissing | Self::JointStateStale { .. } | Self::OtherJointLost { .. })
    }

    /// Whether a new chunk may be followed before rest is reached.
    fn may_continue(&self) -> bool {
        matches!(self, Self::Exhausted | Self::Cancelled | Self::Silent { over: true, .. })
    }
}

impl StopReason {
    /// In words, with the names of joints, other joints and controllers.
    pub fn in_words(&self, names: &Names<'_>) -> String {
        match self {
            Self::Exhausted => "the last action chunk is over and no new one came".to_owned(),
            Self::Cancelled => "cancelled".to_owned(),
            Self::Requested => "stopped on request; call resume".to_owned(),
            Self::Disarmed => "disarmed".to_owned(),
            Self::JointStateMissing => "there is no joint state".to_owned(),
            Self::JointStateStale { age_s } => format!("the joint state is {age_s:.3} s old"),
            Self::JointStateInvalid => "the joint state cannot be read; call resume".to_owned(),
            Self::OtherJointLost { other } => {
                format!("nobody tells any more where {} stands", names.other(*other))
            }
            Self::Tracking { joint, error } => format!(
                "{} is {:.4} from where it was commanded to be; call resume",
                names.joint(*joint),
                Figure(*error)
            ),
            Self::Contradiction(contradiction) => {
                let joint = names.joints.get(contradiction.joint()).map_or("?", String::as_str);
                format!("{}; call resume", contradiction.in_words(joint, |sender| format!("publisher {sender}")))
            }
            Self::ClockJump { step_s } => format!("the clock moved by {:.3} s between two ticks", Figure(*step_s)),
            Self::BadChunks { count } => format!("{count} action chunks in a row could not be used; call resume"),
            Self::Controller { controller, fault } => format!("{} {fault}; call resume", names.controller(*controller)),
            Self::Silent { controller, seconds, .. } => format!(
                "{} told its state and is silent for {seconds:.3} s: was it deactivated?",
                names.controller(*controller)
            ),
            Self::Monitor { monitor, reason, latch: Latch::UntilResume } => {
                format!("monitor '{monitor}': {}; call resume", reason.in_words())
            }
            Self::Monitor { monitor, reason, .. } => format!("monitor '{monitor}': {}", reason.in_words()),
            Self::Emergency => "emergency stop; arm again when it is safe".to_owned(),
            Self::Internal(violation) => format!("internal error, nothing was sent: {violation}; call resume"),
        }
    }
}

/// What places are called.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names<'a> {
    /// Joints, in the order of the limits.
    pub joints: &'a [String],
    /// Joints that nobody here moves, in the order of [`TrajectoryStreamer::other_joints`].
    pub others: &'a [String],
    /// Controllers, in their order.
    pub controllers: &'a [String],
}

impl Names<'_> {
    fn named(what: &str, names: &[String], place: usize) -> String {
        names.get(place).map_or_else(|| format!("{what} ?"), |name| format!("{what} '{name}'"))
    }

    /// A joint.
    pub fn joint(&self, place: usize) -> String {
        Self::named("joint", self.joints, place)
    }

    /// One that nobody here moves.
    pub fn other(&self, place: usize) -> String {
        Self::named("joint", self.others, place)
    }

    /// A controller.
    pub fn controller(&self, place: usize) -> String {
        Self::named("controller", self.controllers, place)
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
    /// A chunk waits, but nobody tells where a joint stands that nobody here moves, and on which it depends what comes close.
    OtherJointUnknown {
        /// Place of the joint in [`TrajectoryStreamer::other_joints`].
        other: usize,
    },
    /// A chunk waits, but what is measured cannot be true.
    Contradiction(Contradiction),
    /// A chunk waits, but measured states do not agree with each other for long enough yet, or never came to rest.
    Unconfirmed(Doubt),
    /// A chunk waits, but the robot stands elsewhere than where it was left and held since. [`TrajectoryStreamer::resume`] lets a motion begin where it
    /// stands.
    Elsewhere {
        /// Place of the joint in the limits' order.
        joint: usize,
        /// Where it is measured, radians or metres.
        measured: f64,
        /// Where the last motion ended.
        held: f64,
    },
    /// A chunk waits, but the controllers may still move along a window that was left alone.
    Settling,
    /// A chunk waits, but the robot still moves.
    NotAtRest {
        /// Place of the joint in the limits' order.
        joint: usize,
        /// Measured, rad/s or m/s.
        speed: f64,
    },
    /// A chunk waits, but a controller that told its state does not any more.
    ControllerSilent {
        /// Which, in the order of the controllers.
        controller: usize,
        /// For how long, when that was noticed.
        seconds: f64,
    },
    /// A chunk waits, but the robot may not move from where it stands.
    Space(Intrusion),
    /// A chunk waits, but a [`Monitor`] does not let a motion begin.
    Monitor {
        /// Its name.
        monitor: &'static str,
        /// Why.
        reason: Reason,
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
#[derive(Debug, Clone, PartialEq)]
pub enum OfferRefusal {
    /// Not armed: chunks are proposals only.
    Disarmed,
    /// Stopped, until rest is reached or [`TrajectoryStreamer::resume`] is called.
    Stopped(StopReason),
    /// The chunk itself.
    Chunk(ChunkRefusal),
    /// A [`Monitor`] refuses it.
    Monitor {
        /// Its name.
        monitor: &'static str,
        /// Why.
        reason: Reason,
    },
}

impl OfferRefusal {
    /// In words, with the names of joints and controllers.
    pub fn in_words(&self, names: &Names<'_>) -> String {
        match self {
            Self::Disarmed => "not armed".to_owned(),
            Self::Stopped(reason) => format!("stopped: {}", reason.in_words(names)),
            Self::Chunk(refusal) => refusal.to_string(),
            Self::Monitor { monitor, reason } => format!("monitor '{monitor}': {}", reason.in_words()),
        }
    }
}

impl From<ChunkRefusal> for OfferRefusal {
    fn from(refusal: ChunkRefusal) -> Self {
        Self::Chunk(refusal)
    }
}

/// What the motion that is sent is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum Activity {
    /// Following a chunk.
    Following,
    /// What the chunk wants next leads where the robot may not be: the last verified motion is followed, to rest.
    Blocked(Intrusion),
    /// Coming to rest.
    Stopping(StopReason),
    /// At rest. What is sent rests where the robot stands, as it did not do what it was sent: whatever controls it again shall find nothing to leap to.
    /// Why, until that is resumed.
    Holding(Option<StopReason>),
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
    /// By how many nanoseconds the chunk's rows are due later than it meant them to be, because the arm is slowed down: now, and at
    /// `committed_until`.
    pub behind: (i64, i64),
}

impl Execution {
    /// The time that the chunk meant for what is executed at `at`: what is left of it then are the rows that it has later. Between now and
    /// the end of what is committed; what lies outside is as late as the nearer end.
    pub fn on_chunk(&self, at: Stamp, now: Stamp) -> Stamp {
        let (begin, end) = self.behind;
        let whole = self.committed_until.seconds_since(now);
        let part = if whole > 0.0 { (at.seconds_since(now) / whole).clamp(0.0, 1.0) } else { 1.0 };
        at.offset_nanos(-(begin + (part * (end - begin) as f64).round() as i64))
    }
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
    /// How the path is followed.
    pub report: PlanReport,
    /// By then they have to have left. Later the controllers may be on a part of what they have that these windows change, and would be thrown
    /// back: they are not sent, and [`TrajectoryStreamer::not_sent`] is told.
    pub leave_by: Stamp,
}

/// The decision of one tick.
#[derive(Debug)]
pub enum Tick<'a> {
    /// Publish nothing.
    Idle(IdleReason),
    /// Publish these windows.
    Send(Outgoing<'a>),
    /// Publish nothing: what was sent last is what there is to say. Between two times of the grid, unless a chunk or a stop came.
    Hold,
}

/// What planning came to in a tick.
enum Planned {
    /// The motion is over.
    Over,
    /// Nothing has changed since the last window.
    Same,
    /// There is a window to send.
    New,
}

/// A motion from rest to rest.
#[derive(Debug)]
struct Motion {
    /// Grid index of the first point sent last.
    first: i64,
    stop: Option<StopReason>,
    /// Whether the stop has been planned.
    stop_planned: bool,
    /// Nothing was sent yet.
    fresh: bool,
    /// Up to this grid index it rests before it begins.
    rests_to: i64,
}

/// Limits of one task, within those of the robot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TaskLimits {
    /// Part of the path's own speed, 0 to 1.
    pub speed_scale: f64,
    /// m/s; infinite for what the robot may.
    pub max_tool_speed: f64,
}

impl Default for TaskLimits {
    fn default() -> Self {
        Self { speed_scale: 1.0, max_tool_speed: f64::INFINITY }
    }
}

/// What the streamer knows of the robot's surroundings.
#[derive(Default)]
pub struct Surroundings {
    /// Judges where motions lead; without one, only limits of joints are kept.
    pub space: Option<Box<dyn Space>>,
    /// The tool whose speed is limited by [`StreamConfig::max_tool_speed`].
    pub tool: Option<Tool>,
}

/// Streams trajectory windows for the controllers of one robot. See the crate's documentation for what it promises.
pub struct TrajectoryStreamer {
    limits: Limits,
    /// The same, where a joint that began outside of its positions may still be.
    allowed: Limits,
    /// Whether a joint may be outside.
    outside: bool,
    config: StreamConfig,
    scheduler: Scheduler,
    plan: Plan,
    drafts: Vec<Draft>,
    /// Names of the controllers, in their order.
    controllers: Vec<String>,
    sent: Vec<VerifiedWindow>,
    /// What of the plan the controllers have.
    given: Sent,
    /// Points from the first of a window that are final.
    committed: i64,
    /// Points from the first of a window that come before the stop tail.
    window: i64,
    /// Points that a window has at least.
    least_points: usize,
    armed: bool,
    latched: Option<StopReason>,
    /// By joint: where it stood after the last motion, once that was known; and when that was looked at last.
    left: Vec<Option<f64>>,
    left_at: Option<Stamp>,
    /// What is latched besides, while an emergency stop is: arming ends that, and not this.
    latched_beneath: Option<StopReason>,
    last_stop: Option<StopReason>,
    last_tick: Option<Stamp>,
    /// Until then the newest joint state may be one from before a leap of the clock: too old, but no sign of a lost robot.
    resync_until: Option<Stamp>,
    motion: Option<Motion>,
    /// Where the last motion ended, while that is known to hold.
    rest: Vec<f64>,
    rest_known: bool,
    /// The same before the last motion began, with `rest_known`, `grip_known` and `held`.
    rest_before: (Vec<f64>, [bool; 3]),
    /// Nobody else may have moved the robot since the last motion ended.
    held: bool,
    /// Whether where a gripper was sent last is known, and where it was measured while it was ours.
    grip_known: bool,
    grip_seen: Vec<f64>,
    belief: Belief,
    frozen: Frozen,
    gaps: Gaps,
    hold: Hold,
    /// Until then the controllers may still move along a window that was left alone.
    settled_at: Option<Stamp>,
    begin_at: Vec<f64>,
    /// Where the other joints stand, as far as it is known.
    others: Vec<Option<f64>>,
    speed_scale: f64,
    task: TaskLimits,
    bad_chunks: u32,
    /// The shipped ones, so many, then those that were added.
    monitors: Vec<Watch>,
    shipped: usize,
    /// The state of the last tick that could be relied on, and its age and time: for who is asked between two ticks.
    seen: (JointSample, Result<f64, Untold>, Stamp),
    /// A monitor that slows down what is sent, and to which part of its own speed.
    slowed: Option<(f64, &'static str)>,
}

impl TrajectoryStreamer {
    /// A streamer that is disarmed and idle. Joint vectors (chunks aside, which carry names) are in the order of `limits`.
    ///
    /// # Errors
    /// When a setting is out of range, or the controllers do not move each joint exactly once.
    pub fn new(limits: Limits, controllers: Vec<ControllerSpec>, config: StreamConfig) -> Result<Self, SetupError> {
        Self::within(Surroundings::default(), limits, controllers, config)
    }

    /// As [`Self::new`], for a robot in known surroundings.
    ///
    /// # Errors
    /// As [`Self::new`], and when the tool's speed is limited but there is no tool.
    pub fn within(
        surroundings: Surroundings,
        limits: Limits,
        controllers: Vec<ControllerSpec>,
        config: StreamConfig,
    ) -> Result<Self, SetupError> {
        config.check()?;
        if config.max_tool_speed.is_finite() && surroundings.tool.is_none() {
            return Err(SetupError::NoTool(config.max_tool_speed));
        }
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
        let scheduler = Scheduler::new(joints.clone(), schedule, Some(limits.shared(0.5 * config.share)))?
            .turning(limits.continuous());
        let belief = Belief::new(
            limits.velocity(),
            limits.continuous(),
            BeliefConfig {
                agreement_s: config.start_agreement_s,
                after_jump_s: config.start_agreement_after_jump_s,
                // At rest it may creep as fast as rest allows, for as long as states have to agree.
                spread: config.max_start_speed * config.start_agreement_s.max(MIN_AGREEMENT_S),
                gap_s: 2.0 * config.max_joint_state_age_s,
            },
        );
        let frozen = Frozen::new(limits.continuous());

        let dt = config.period_s;
        let steps = |seconds: f64| (seconds / dt - 1.0e-6).ceil() as i64;
        let lead = dt + config.clock_skew_s;
        let (committed, window) = (steps(lead + config.committed_s), steps(lead + config.window_s));
        let window = window.max(committed + 1);
        let history = HISTORY + steps(config.schedule.max_chunk_age_s + config.max_joint_state_age_s) as usize;
        let room = history + window as usize + 256;
        let on_path: Vec<(usize, JointLimits)> = (0..joints.len())
            .filter(|j| kinds[*j] == JointKind::Arm)
            .map(|j| (j, limits.of(j).shared(config.share)))
            .collect();
        let brake = crate::progress::longest_brake(on_path.iter().map(|(_, l)| l), dt);
        let planners: Vec<JointPlanner> = (0..joints.len())
            .map(|j| JointPlanner::new(kinds[j], limits.of(j), config.share, config.bandwidth, dt, room, brake))
            .collect();
        let progress = Progress::new(on_path, config.max_tool_speed, dt, room);
        let tool = surroundings.tool.map(ToolOnPath::new);
        let plan = Plan::new(planners, progress, surroundings.space, tool, dt);
        let period = (dt * 1.0e9).round() as i64;
        let least_points = steps(lead + config.least_window_s) as usize + 1;
        let longest = (0..joints.len()).map(|j| crate::motion::longest_stop(dt, &limits.of(j))).max().unwrap_or(0);
        let room = window as usize + longest + brake + least_points + 64;
        let given = Sent::new(joints.len(), room);
        let names = controllers.iter().map(|controller| controller.name.clone()).collect();
        let drafts: Vec<Draft> = controllers
            .into_iter()
            .map(|c| {
                let places: Vec<usize> = c.joints.iter().filter_map(|n| joints.index_of(n)).collect();
                let room = room * places.len();
                Draft {
                    controller: c.name,
                    jerk_limited: places.iter().map(|p| kinds[*p] == JointKind::Arm).collect(),
                    places,
                    joints: c.joints,
                    stamp: Stamp::ZERO,
                    period,
                    committed: committed as usize + 1,
                    given: false,
                    stands: false,
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
        let begin_at = rest.clone();
        let rest_before = (rest.clone(), [false; 3]);
        let follows = Follows::new(limits.velocity(), limits.continuous(), config.max_tracking_error);
        let hold = Hold::new(&drafts, |joint| kinds[joint] == JointKind::Arm, follows, joints.len());
        let others = vec![None; plan.others().len()];
        let monitors = crate::monitors::shipped(&config);
        let nowhere = JointSample { stamp: Stamp::ZERO, positions: rest.clone(), velocities: rest.clone() };
        Ok(Self {
            allowed: limits.clone(),
            outside: false,
            belief,
            frozen,
            gaps: Gaps::default(),
            hold,
            held: false,
            grip_known: false,
            grip_seen: rest.clone(),
            limits,
            config,
            scheduler,
            plan,
            drafts,
            controllers: names,
            sent,
            given,
            committed,
            window,
            least_points,
            armed: false,
            latched: None,
            left: vec![None; rest.len()],
            left_at: None,
            latched_beneath: None,
            last_stop: None,
            last_tick: None,
            resync_until: None,
            motion: None,
            rest,
            rest_known: false,
            rest_before,
            settled_at: None,
            begin_at,
            others,
            speed_scale: 1.0,
            task: TaskLimits::default(),
            bad_chunks: 0,
            shipped: monitors.len(),
            monitors,
            seen: (nowhere, Err(Untold::Missing), Stamp::ZERO),
            slowed: None,
        })
    }

    /// The joints, in the order of measured states.
    pub fn joints(&self) -> &JointNames {
        self.limits.joints()
    }

    /// What places in reasons are called.
    pub fn names(&self) -> Names<'_> {
        Names { joints: self.limits.joints().as_slice(), others: self.plan.others(), controllers: &self.controllers }
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

    /// What is latched beside an emergency stop, or without one, until [`Self::resume`].
    pub fn latched_until_resume(&self) -> Option<&StopReason> {
        self.latched_beneath.as_ref().or(self.latched.as_ref().filter(|reason| **reason != StopReason::Emergency))
    }

    /// What chunks became, to look at: the reference before any filter.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// How the path was followed last.
    pub fn report(&self) -> &PlanReport {
        self.plan.report()
    }

    /// What an intrusion is, in words.
    pub fn describe(&self, intrusion: &Intrusion) -> String {
        self.plan.space().map_or_else(|| intrusion.to_string(), |space| space.describe(intrusion))
    }

    /// The space that motions are judged by, to tell it of changes. What is planned already was verified before the change; the next
    /// tick judges anew.
    pub fn space_mut(&mut self) -> Option<&mut Box<dyn Space>> {
        self.plan.space_mut()
    }

    /// Joints of the robot that nobody here moves: their positions are inputs, [`Self::place_other_joints`]. Empty where nothing is known of
    /// the surroundings.
    pub fn other_joints(&self) -> &[String] {
        self.plan.others()
    }

    /// Whether nothing may move while it is not known where one of the other joints, by its place, stands. May change with the surroundings.
    pub fn asks_for_other_joint(&self, other: usize) -> bool {
        self.plan.asks_for(other)
    }

    /// The first of the other joints that is asked for and not known.
    pub fn unknown_other_joint(&self) -> Option<usize> {
        (0..self.others.len()).find(|other| self.others[*other].is_none() && self.plan.asks_for(*other))
    }

    /// Says where the other joints stand, in their order, radians or metres; `None` (and what is no finite number): that is not known, or too old to
    /// be relied on. Another number of them than there are joints: none is known. To be called before each tick. What is planned already was
    /// verified with these joints where they stood; what comes next is judged by where they are now, as after a change of the surroundings. While
    /// one that is asked for is not known, no motion begins, and one under way is stopped for good.
    pub fn place_other_joints(&mut self, positions: &[Option<f64>]) {
        if self.others.is_empty() {
            return;
        }
        let complete = positions.len() == self.others.len();
        for (place, other) in self.others.iter_mut().enumerate() {
            *other = positions.get(place).copied().flatten().filter(|p| complete && p.is_finite());
        }
        self.plan.place_others(&self.others);
    }

    /// Part of the path's own speed that is allowed.
    pub fn speed_scale(&self) -> f64 {
        self.speed_scale
    }

    /// Sets the speed scale, 0 to 1. For the operator; what watches the robot calls [`Self::lower_speed_scale`].
    ///
    /// # Errors
    /// When it is not a number from 0 to 1.
    pub fn set_speed_scale(&mut self, scale: f64) -> Result<(), SetupError> {
        if !(0.0..=1.0).contains(&scale) {
            return Err(SetupError::Value { field: "speed_scale", value: scale, least: 0.0, most: 1.0 });
        }
        self.speed_scale = scale;
        Ok(())
    }

    /// Sets the limits of the task that is about to be done, which hold from the next step on; they tighten what holds anyway.
    ///
    /// # Errors
    /// When the scale is not a number from 0 to 1, the speed is not positive, or it is limited and there is no tool.
    pub fn set_task_limits(&mut self, task: TaskLimits) -> Result<(), SetupError> {
        let (scale, speed) = (task.speed_scale, task.max_tool_speed);
        if !(0.0..=1.0).contains(&scale) {
            return Err(SetupError::Value { field: "speed_scale", value: scale, least: 0.0, most: 1.0 });
        }
        if speed.is_nan() || speed <= 0.0 {
            return Err(SetupError::Value { field: "max_tool_speed", value: speed, least: 0.0, most: f64::INFINITY });
        }
        if speed.is_finite() && !self.plan.has_tool() {
            return Err(SetupError::NoTool(speed));
        }
        self.task = task;
        self.plan.limit_tool(speed.min(self.config.max_tool_speed));
        Ok(())
    }

    /// The limits of the task that is done.
    pub fn task_limits(&self) -> TaskLimits {
        self.task
    }

    /// Lowers the speed scale; a higher one than it is changes nothing.
    ///
    /// # Errors
    /// When it is not a number from 0 to 1.
    pub fn lower_speed_scale(&mut self, scale: f64) -> Result<(), SetupError> {
        let before = self.speed_scale;
        self.set_speed_scale(scale)?;
        self.speed_scale = scale.min(before);
        Ok(())
    }

    /// Allows or forbids motion. Disarming while moving brings the robot to rest along the stop tail, then nothing is sent. Arming ends
    /// an emergency stop: motion then begins at the measured pose.
    pub fn arm(&mut self, armed: bool, now: Stamp) {
        if self.armed && !armed {
            self.begin_stop(StopReason::Disarmed, now);
        }
        if armed && self.latched == Some(StopReason::Emergency) {
            self.latched = self.latched_beneath.take();
        }
        if armed != self.armed {
            // While disarmed anything may have moved the robot.
            self.held = false;
            self.gaps.looked_at();
            if self.motion.is_none() {
                self.hold.end();
            }
            self.belief.looked_at();
        }
        self.armed = armed;
    }

    /// The emergency stop: the plan is dropped at once and nothing more is sent, for something else stops the robot. Disarms. [`Self::arm`] ends it;
    /// what was or is latched besides still waits for [`Self::resume`].
    pub fn emergency_stop(&mut self) {
        self.scheduler.reset();
        self.leave_alone(self.last_tick.unwrap_or(Stamp::ZERO));
        self.let_go();
        self.armed = false;
        if let Some(before) = self.latched.replace(StopReason::Emergency)
            && before != StopReason::Emergency
        {
            self.latched_beneath = Some(before);
        }
        self.last_stop = Some(StopReason::Emergency);
    }

    /// A controller (in the order of the controllers) has failed: all come to rest, whatever the others do.
    pub fn controller_failed(&mut self, controller: usize, fault: ControllerFault, now: Stamp) {
        self.begin_stop(StopReason::Controller { controller, fault }, now);
    }

    /// Somebody else commands a controller as well: the plan is dropped at once and nothing more is sent, since every window would throw the
    /// robot back from where the other one leads it. Controllers that nobody else commands come to rest along their last window.
    pub fn contested(&mut self, controller: usize, now: Stamp) {
        let reason = StopReason::Controller { controller, fault: ControllerFault::Contested };
        self.begin_stop(reason.clone(), now);
        self.scheduler.reset();
        if self.leave_alone(now) {
            self.last_stop = Some(reason);
        }
        self.forget_rest();
    }

    /// A chunk came that nobody could follow: a value of it is no number, or names, sizes or times are none. Some in a row stop the robot: the policy is
    /// broken.
    pub fn reject_chunk(&mut self, now: Stamp) {
        self.bad_chunks = self.bad_chunks.saturating_add(1);
        if self.bad_chunks >= self.config.max_bad_chunks {
            self.begin_stop(StopReason::BadChunks { count: self.bad_chunks }, now);
        }
    }

    /// Brings the robot to rest and takes no chunk until [`Self::resume`].
    pub fn stop(&mut self, now: Stamp) {
        self.begin_stop(StopReason::Requested, now);
    }

    /// Ends a latched stop, but an emergency stop. Motion begins again from rest, with the next chunk; where the robot may have gone
    /// elsewhere, from the measured pose.
    pub fn resume(&mut self) {
        self.latched_beneath = None;
        if self.latched != Some(StopReason::Emergency) {
            self.latched = None;
            self.bad_chunks = 0;
            self.held = false;
            self.gaps.looked_at();
        }
    }

    /// Something else may have moved the robot, its hand included.
    fn let_go(&mut self) {
        self.rest_known = false;
        self.held = false;
        self.hold.end();
    }

    /// Brings the robot to rest and forgets all chunks; a chunk from a newer observation is followed at once.
    pub fn cancel(&mut self, now: Stamp) {
        self.begin_stop(StopReason::Cancelled, now);
    }

    /// Forgets where the last motion ended: the next one begins at the measured pose of every joint. To be called when something
    /// else may have moved the robot, as a simulator's reset. A hand that is still where it was keeps what it was sent last: it may hold something.
    pub fn forget_rest(&mut self) {
        self.let_go();
    }

    /// The windows of the last tick did not leave, but for those of the first `left` controllers. The plan is again what the controllers have, and goes
    /// on from there at the next tick; where they have nothing of this motion, it has not begun, and the chunk waits.
    pub fn not_sent(&mut self, left: usize) {
        let Some(motion) = &mut self.motion else { return };
        if left >= self.drafts.len() {
            return;
        }
        let first_of_all = self.given.is_first();
        let (with, without) = self.drafts.split_at_mut(left);
        let begun = self.given.take_back(|joint| with.iter().any(|draft| draft.places.contains(&joint)));
        unseal(without, &mut self.sent[left..], first_of_all);
        if begun {
            self.plan.go_back(&self.given);
            motion.stop_planned = false;
            return;
        }
        self.motion = None;
        self.scheduler.put_back();
        self.rest.copy_from_slice(&self.rest_before.0);
        [self.rest_known, self.grip_known, self.held] = self.rest_before.1;
    }

    /// Something else moves the robot from here on: the plan is dropped at once, nothing more of it is sent, and the next motion begins at the measured
    /// pose. Not to be called while the controllers shall follow what they have.
    pub fn withdraw(&mut self, now: Stamp) {
        self.scheduler.reset();
        self.leave_alone(now);
        self.let_go();
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
        if let Err(refusal) = self.scheduler.check(chunk, now) {
            if refusal.is_nonsense() {
                self.reject_chunk(now);
            }
            return Err(refusal.into());
        }
        self.ask_about(chunk, now)?;
        let accepted = self.scheduler.offer(chunk, now)?;
        self.bad_chunks = 0;
        Ok(accepted)
    }

    fn begin_stop(&mut self, reason: StopReason, now: Stamp) {
        let latches = reason.is_latched() || self.gap_latches(&reason, now);
        // The path stays, to brake on.
        self.scheduler.retire(now);
        if let Some(motion) = &mut self.motion {
            // A stop under way is not made weaker.
            if motion.stop.as_ref().is_none_or(|before| before.may_continue()) {
                motion.stop = Some(reason.clone());
            }
        }
        if latches {
            self.latch(reason);
        }
    }

    fn latch(&mut self, reason: StopReason) {
        if self.latched == Some(StopReason::Emergency) && reason != StopReason::Emergency {
            self.latched_beneath.get_or_insert(reason);
        } else if self.latched.is_none() {
            self.latched = Some(reason);
        }
    }

    /// Decides what is sent now. To be called every period, and once more after each missed one at the latest. It may be called more often, up
    /// to a thousand times a second whatever the period: then the robot is watched, and chunks and stops take effect, at that rate, and
    /// between the times of the grid nothing is sent but what is new.
    ///
    /// `measured` is the newest joint state in the limits' order.
    pub fn tick<'m>(&mut self, now: Stamp, measured: Option<impl Into<Measured<'m>>>) -> Tick<'_> {
        self.tick_told(now, measured.map(Into::into).ok_or(Untold::Missing))
    }

    /// As [`Self::tick`], where it is told why there is no joint state to rely on.
    pub fn tick_told(&mut self, now: Stamp, measured: Result<Measured<'_>, Untold>) -> Tick<'_> {
        self.watch_clock(now);
        let state = self.usable(measured);
        self.watch_gap(now, &state);
        let contradiction = state.as_ref().ok().and_then(|measured| self.belief.see(now, measured));
        self.note_seen(now, state.as_ref());
        let believed = if self.motion.is_some() {
            self.watch_robot(now, state.as_ref().ok(), contradiction)
        } else {
            let begun = self.start(now, state, contradiction);
            if let Err(reason) = begun {
                // (Asked first, as what is sent borrows all of this.)
                return if self.hold.any() && self.armed {
                    self.send_hold(now, state.ok()).unwrap_or(Tick::Idle(reason))
                } else {
                    Tick::Idle(reason)
                };
            }
            // Of what has just begun there is nothing to be seen yet.
            false
        };
        let pace = self.watch_motion(now, state, believed);
        match self.plan(now, pace) {
            Planned::Over => Tick::Idle(self.idle_reason()),
            Planned::Same => Tick::Hold,
            Planned::New => self.send(now),
        }
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
            self.belief.clear();
            self.gaps.clock_went_back(now);
            self.let_go();
            // A time of the old clock means nothing any more.
            self.settled_at = self.settled_at.map(|at| now.offset_nanos(at.nanos_since(before)));
            if self.leave_alone(now) {
                self.last_stop = Some(StopReason::ClockJump { step_s });
            }
        } else if step_s > self.config.period_s + self.config.max_clock_jump_s {
            self.scheduler.retire(now);
            self.gaps.clock_leapt(now);
            self.resync_until = Some(now.offset_seconds(self.config.max_joint_state_age_s + self.config.period_s));
            if let Some(motion) = &mut self.motion {
                // The controllers were alone with the last window, and so is the plan: both go on together, to a stop.
                motion.stop = Some(StopReason::ClockJump { step_s });
            }
        }
    }

    /// Drops the plan in mid motion. The controllers go on along the last window: nothing may begin before its end.
    fn leave_alone(&mut self, now: Stamp) -> bool {
        let Some(motion) = self.motion.take() else { return false };
        self.remember_grip();
        let left = (self.plan.sent_to() - motion.first + 1).max(self.least_points as i64);
        self.settled_at = Some(now.offset_seconds(left as f64 * self.config.period_s));
        true
    }

    fn usable<'a>(&self, measured: Result<Measured<'a>, Untold>) -> Result<Measured<'a>, Untold> {
        let measured = measured?;
        let (sample, age_s) = (measured.sample, measured.age_s);
        let n = self.limits.joints().len();
        let finite = |values: &[f64]| values.len() == n && values.iter().all(|v| v.is_finite());
        if !(finite(&sample.positions) && finite(&sample.velocities)) {
            return Err(Untold::Invalid);
        }
        if age_s.is_nan() || age_s > self.config.max_joint_state_age_s {
            return Err(Untold::Stale { age_s });
        }
        Ok(measured)
    }

    /// Looks at the robot while it moves. Whether what is measured tells how well it does what it is sent.
    fn watch_robot(&mut self, now: Stamp, state: Option<&Measured<'_>>, contradiction: Option<Contradiction>) -> bool {
        let Some(measured) = state else { return false };
        if self.watch_following(now, measured) {
            // It stands where its states say, and is held there.
            self.see_grip(measured);
            return false;
        }
        let (plan, belief, planners) = (&self.plan, &self.belief, self.plan.planners());
        let frozen = self.frozen.see(
            measured,
            |joint, at| plan.position_at(joint, at),
            |joint| belief.step(joint),
            |joint| planners[joint].kind() == JointKind::Arm,
        );
        self.see_grip(measured);
        // What tells true speeds of zero is alive: how far it is off is the measure then.
        let frozen = frozen.filter(|_| !self.hold.halted(measured.velocity_told));
        if let Some(frozen) = frozen {
            self.belief.repeats(frozen);
        }
        let Some(contradiction) = contradiction.or(frozen) else { return true };
        self.stop_off_command(StopReason::Contradiction(contradiction), now);
        false
    }

    /// What is measured is not what was commanded, or not to be believed: it comes to rest.
    fn stop_off_command(&mut self, reason: StopReason, now: Stamp) {
        if self.motion.as_ref().and_then(|motion| motion.stop.as_ref()).is_none_or(StopReason::may_continue) {
            self.note_who_stands();
        }
        self.begin_stop(reason, now);
    }

    /// Where the hand is while it is ours.
    fn see_grip(&mut self, measured: &Measured<'_>) {
        for (joint, planner) in self.plan.planners().iter().enumerate() {
            if planner.kind() == JointKind::Gripper {
                self.grip_seen[joint] = measured.sample.positions[joint];
            }
        }
    }

    /// A motion is dropped: the hand goes on to where it was sent.
    fn remember_grip(&mut self) {
        let end = self.plan.sent_to();
        for (joint, planner) in self.plan.planners().iter().enumerate() {
            if planner.kind() == JointKind::Gripper {
                self.rest[joint] = self.plan.sent_state(joint, end).p;
            }
        }
        self.grip_known = true;
    }

    /// Where the robot stands while nothing moves it: what creeps is followed, as it settles or warms up; what is moved is not.
    fn see_rest(&mut self, now: Stamp) {
        /// Radians or metres a second.
        const CREEPS: f64 = 0.5e-3;
        let passed = self.left_at.replace(now).map_or(0.0, |before| now.seconds_since(before).clamp(0.0, 1.0));
        for (joint, left) in self.left.iter_mut().enumerate() {
            let Some(rests) = self.belief.rests_at(joint) else { continue };
            let from = left.get_or_insert(rests);
            *from += way(self.limits.continuous()[joint], *from, rests).clamp(-CREEPS * passed, CREEPS * passed);
        }
    }

    /// Whether a joint of the arm stands farther from its command than it stood after the last motion: somebody moved it. How far it is from there says
    /// less: it sags under a load, and its controller holds it so; and one that comes closer settles.
    fn was_moved(&self, joint: usize) -> bool {
        /// Radians or metres; or steps of its encoder.
        const MOVED: (f64, f64) = (0.005, 1.2);
        let (Some(left), Some(rests)) = (self.left[joint], self.belief.rests_at(joint)) else { return false };
        let off = |at: f64| way(self.limits.continuous()[joint], self.rest[joint], at).abs();
        off(rests) > off(left) + MOVED.0.max(MOVED.1 * self.belief.step(joint))
    }

    /// Begins a motion from rest if a chunk waits and everything allows it.
    fn start(
        &mut self,
        now: Stamp,
        state: Result<Measured<'_>, Untold>,
        contradiction: Option<Contradiction>,
    ) -> Result<(), IdleReason> {
        if let (Ok(measured), true) = (&state, self.held) {
            self.see_grip(measured);
        }
        self.see_rest(now);
        if !self.armed || self.latched.is_some() || !self.scheduler.has_pending() {
            return Err(self.idle_reason());
        }
        let measured = state?;
        let sample = measured.sample;
        // It may have been moved since, while it would still do for a motion under way.
        if let Some(age_s) = self.belief.quiet(now) {
            return Err(IdleReason::JointStateStale { age_s });
        }
        if let Some(other) = self.unknown_other_joint() {
            return Err(IdleReason::OtherJointUnknown { other });
        }
        if self.settled_at.is_some_and(|at| now < at) {
            return Err(IdleReason::Settling);
        }
        self.settled_at = None;
        if let Some((controller, seconds)) = self.hold.silent() {
            return Err(IdleReason::ControllerSilent { controller, seconds });
        }
        if let Some(contradiction) = contradiction {
            return Err(IdleReason::Contradiction(contradiction));
        }
        let arm = |planner: &JointPlanner| planner.kind() == JointKind::Arm;
        for (joint, planner) in self.plan.planners().iter().enumerate() {
            let speed = sample.velocities[joint].abs();
            // Speeds that nobody tells are differences of positions, and an encoder's noise within 40 ms looks like one: states that lie together for long
            // enough say better that a joint rests.
            let rests = !measured.velocity_told && self.belief.doubt(joint).is_none();
            if arm(planner) && !rests && speed > self.config.max_start_speed {
                return Err(IdleReason::NotAtRest { joint, speed });
            }
        }
        // Begin where the controllers hold the robot: that is where the last motion ended, unless the robot stands elsewhere. A
        // hand that holds something never stands where it is commanded, and must not let go. One joint that stands elsewhere puts the whole arm
        // elsewhere: some joints as commanded and others as measured are a pose that neither plan nor robot ever had, close to anything.
        let continuous = self.limits.continuous();
        let off = |joint: usize, from: f64| way(continuous[joint], from, sample.positions[joint]).abs();
        let near = |joint: usize| off(joint, self.rest[joint]) <= self.config.max_start_error && !self.was_moved(joint);
        let elsewhere = self
            .plan
            .planners()
            .iter()
            .enumerate()
            .find(|(joint, planner)| arm(planner) && !near(*joint))
            .map(|(joint, _)| joint);
        if let (Some(joint), true) = (elsewhere, self.held && self.rest_known) {
            // Nobody let go of it: either this is no state of it, or something is wrong with the robot.
            let (measured, held) = (sample.positions[joint], self.rest[joint]);
            return Err(IdleReason::Elsewhere { joint, measured, held });
        }
        // Nothing that it cannot have done, and yet elsewhere than it stood: that is believed as after a jump.
        let pushed = |joint: &usize| self.rest_known && self.was_moved(*joint) && arm(&self.plan.planners()[*joint]);
        if let Some(doubt) =
            (0..sample.positions.len()).filter(pushed).find_map(|joint| self.belief.doubt_as_after_jump(joint))
        {
            return Err(IdleReason::Unconfirmed(doubt));
        }
        let there = self.rest_known && elsewhere.is_none();
        for (joint, planner) in self.plan.planners().iter().enumerate() {
            // Refused as a whole or not at all: where one joint cannot start, the others keep what is known of them.
            let measured = sample.positions[joint];
            let gripper = planner.kind() == JointKind::Gripper;
            let (min, max) = (self.limits.min_position()[joint], self.limits.max_position()[joint]);
            let kept = if gripper {
                let same = SAME_GRIP * (max - min);
                self.grip_known && (self.held || self.rest_known || off(joint, self.grip_seen[joint]) <= same)
            } else {
                there
            };
            // What a joint's motion does not begin on, it need not agree on: a hand may close on something meanwhile.
            if let (Some(doubt), true) = (self.belief.doubt(joint), !(gripper && kept)) {
                return Err(IdleReason::Unconfirmed(doubt));
            }
            if let (Some(stuck), false) = (self.belief.stuck(joint), kept) {
                return Err(IdleReason::Contradiction(stuck));
            }
            let position = if kept { self.rest[joint] } else { measured };
            let beyond = (min - position).max(position - max);
            // A hand that somebody forced open comes in as well; what is several of its ranges away is no hand.
            let allowed = self.config.max_start_error.max(if gripper { 2.0 * (max - min) } else { 0.0 });
            if beyond > allowed {
                return Err(IdleReason::OutsideLimits { joint, position: measured });
            }
            self.begin_at[joint] = position;
        }
        // A joint that stands outside of its positions begins there, and comes in.
        self.outside = false;
        for joint in 0..self.begin_at.len() {
            let position = self.begin_at[joint];
            self.allowed.include(joint, Some((position, position)), &self.limits);
            let (min, max) = (self.allowed.min_position()[joint], self.allowed.max_position()[joint]);
            self.outside |= min != self.limits.min_position()[joint] || max != self.limits.max_position()[joint];
        }

        let lead = self.config.period_s + self.config.clock_skew_s;
        let axis = now.offset_seconds(-lead);
        let resting = 2 + START_DELAY + (self.config.clock_skew_s / self.config.period_s).ceil() as usize;
        let (rate, _) = self.may_begin(now, measured)?;
        self.plan.restart(axis, &self.begin_at, resting, rate).map_err(IdleReason::Space)?;
        if !self.plan.take_over(&mut self.scheduler, rate) {
            return Err(self.idle_reason());
        }
        self.rest_before.0.copy_from_slice(&self.rest);
        self.rest_before.1 = [self.rest_known, self.grip_known, self.held];
        self.rest.copy_from_slice(&self.begin_at);
        self.rest_known = true;
        self.grip_known = true;
        self.held = true;
        self.frozen.restart();
        self.hold.end();
        self.left.fill(None);
        self.last_stop = None;
        self.given.forget();
        let rests_to = resting as i64 - 1;
        self.motion = Some(Motion { first: 0, stop: None, stop_planned: false, fresh: true, rests_to });
        Ok(())
    }

    /// A joint that began outside of its positions may not go back out.
    fn come_in(&mut self, first: i64) {
        if !self.outside {
            return;
        }
        self.outside = false;
        for joint in 0..self.begin_at.len() {
            self.allowed.include(joint, Some(self.plan.extent(joint, first)), &self.limits);
            let (min, max) = (self.allowed.min_position()[joint], self.allowed.max_position()[joint]);
            self.outside |= min != self.limits.min_position()[joint] || max != self.limits.max_position()[joint];
        }
    }

    /// Brings the plan up to now.
    fn plan(&mut self, now: Stamp, (rate, why): (f64, PathLimit)) -> Planned {
        let Some(motion) = &mut self.motion else { return Planned::Over };
        let lead = self.config.period_s + self.config.clock_skew_s;
        let period = (self.config.period_s * 1.0e9).round() as i64;
        // Nearest grid time, so that a tick a little early or late still moves on by one.
        let elapsed = now.offset_seconds(-lead).nanos_since(self.plan.axis());
        let first = ((elapsed + period / 2).div_euclid(period)).max(motion.first);

        let committed = first + self.committed;
        if !motion.fresh {
            self.plan.left_alone_until(committed);
        }

        // Over: nothing more is wanted, and rest is reached by now.
        let wants_more = motion.stop.as_ref().is_none_or(|r| r.may_continue()) && self.scheduler.has_pending();
        let active = |scheduler: &Scheduler, plan: &Plan| {
            matches!(scheduler.status(plan.plan_time()), ReferenceStatus::Active { .. })
        };
        // A chunk that is slowed down to nothing because its observation is old will never be over by itself, and following it creeps
        // for ever: it ends here, by a stop like any other.
        if rate == 0.0 && why == PathLimit::StaleObservation && motion.stop.is_none() {
            motion.stop = Some(StopReason::Exhausted);
        }
        let followed = motion.stop.is_none() && active(&self.scheduler, &self.plan);
        if self.plan.rests_from() <= first && !wants_more && !followed && !motion.fresh {
            for (joint, planner) in self.plan.planners().iter().enumerate() {
                self.rest[joint] = planner.at(usize::MAX).p;
            }
            let reason = motion.stop.take().unwrap_or(StopReason::Exhausted);
            self.rest_where_held();
            // The controllers hold it there; a robot that stands elsewhere is found at the next start.
            self.rest_known = true;
            self.grip_known = true;
            self.last_stop = Some(reason);
            self.motion = None;
            return Planned::Over;
        }
        let stops = motion.stop.is_some() && !motion.stop_planned;
        if first == motion.first && !motion.fresh && !wants_more && !stops {
            return Planned::Same;
        }

        motion.first = first;
        let fresh = motion.fresh;
        if !fresh {
            self.come_in(first);
        }
        let Some(motion) = &mut self.motion else { return Planned::Over };
        // Until when a chunk's observation, or a measurement, may still be looked up.
        let history = self.config.schedule.max_chunk_age_s + self.config.max_joint_state_age_s;
        self.plan.forget_before(first - HISTORY as i64 - (history / self.config.period_s) as i64);

        // What is final by now.
        if !motion.fresh {
            self.plan.follow_way_out(committed);
        }
        if wants_more {
            // The end of what is final is where a new path begins.
            self.plan.keep(committed);
            if self.plan.take_over(&mut self.scheduler, rate) {
                motion.stop = None;
                motion.stop_planned = false;
            }
        }
        if motion.stop.is_some() && !motion.stop_planned {
            motion.stop_planned = true;
            self.plan.keep(committed);
            self.plan.stop(&self.scheduler);
        }

        let needed = first + self.window;
        if motion.stop.is_none() && active(&self.scheduler, &self.plan) {
            self.plan.follow(needed, &self.scheduler, rate, Some(why));
        }
        self.plan.follow_way_out(needed);
        self.plan.part();
        Planned::New
    }

    /// Writes the windows, checks them and hands them out.
    fn send(&mut self, now: Stamp) -> Tick<'_> {
        let Some(motion) = &mut self.motion else { return Tick::Idle(self.idle_reason()) };
        let stamp = self.plan.time_of(motion.first);
        let (from, least) = (motion.first, self.least_points as i64);
        // They agree with what the controllers have up to there: with the window before, and before the first one with rest.
        let agrees_to = if motion.fresh { motion.rests_to } else { from + self.committed };
        let under_way = UNDER_WAY.min(0.2 * self.config.committed_s);
        let leave_by = self.plan.time_of(agrees_to).offset_seconds(-under_way);
        self.given.begin(from);
        let points = (self.plan.sent_to() - from + 1).max(least);
        for (controller, draft) in self.drafts.iter_mut().enumerate() {
            draft.clear();
            draft.stamp = stamp;
            draft.stands = self.hold.holds(controller);
            for k in from..from + points {
                for place in &draft.places {
                    let state = match draft.stands {
                        true => State::rest(self.hold.at(*place)),
                        false => self.plan.sent_state(*place, k),
                    };
                    self.given.push(*place, state);
                    draft.positions.push(state.p);
                    // No negative zero: the last velocity is 0, in every notation.
                    draft.velocities.push(state.v + 0.0);
                }
            }
        }
        if let Err(violation) = seal(&mut self.drafts, &mut self.sent, &self.allowed, motion.fresh) {
            // The last window that left ends at rest: the controllers are safe with it.
            self.leave_alone(now);
            self.let_go();
            self.begin_stop(StopReason::Internal(violation), now);
            return Tick::Idle(self.idle_reason());
        }
        motion.fresh = false;
        let committed_until = self.plan.time_of(motion.first + self.committed);
        let lag = self.plan.lag_at(now);
        let status = self.scheduler.status(now.offset_nanos(-lag));
        let report = *self.plan.report();
        let activity = match (&motion.stop, status, report.refused) {
            (Some(reason), ..) => Activity::Stopping(reason.clone()),
            (None, ReferenceStatus::Active { .. }, Some(intrusion)) => Activity::Blocked(intrusion),
            (None, ReferenceStatus::Active { .. }, None) => Activity::Following,
            (None, ..) => Activity::Stopping(StopReason::Exhausted),
        };
        let (chunk, row) = match (status, self.scheduler.in_use()) {
            (ReferenceStatus::Active { chunk, row }, _) => (Some(chunk), row),
            (_, Some((chunk, rows))) => (Some(chunk), rows - 1),
            _ => (None, 0),
        };
        // Rows are timed in plan time as it was at the chunk's observation.
        let (old, there) = (self.scheduler.lag(), self.plan.lag_at(committed_until));
        let execution = Execution { chunk, row, committed_until, behind: (lag - old, there - old) };
        Tick::Send(Outgoing { windows: &self.sent, activity, execution, report, leave_by })
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
