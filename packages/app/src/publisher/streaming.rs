//! What `trajectory_publisher` does, without its topics: everything that happens to it comes in as an [`Event`] with its time, what it sends goes to an
//! [`Outlet`]. The node feeds it from ROS and notes the events in its trace; the replay feeds it the trace. So both come to the same bits.

use crate::Failure;
pub use crate::cell::Files;
use crate::cell::{Cell, CellPlan};
use crate::publisher::description::Described;
use crate::publisher::goal_change::{Change, GoalChange};
use crate::publisher::motion_report::Phase;
use crate::publisher::sole_sender::SoleSender;
use crate::publisher::streaming_params::{TaskRule, on_new_goal, task_limits, task_rules, tightest};
use crate::reasons::{self, refused, wrong};
use efm_config::Params;
use efm_core::{
    ActionChunk, ChunkError, JointNames, JointSample, Reason, SenderId, Stamp, Trajectory, TrajectoryChunkError,
};
use efm_safety::{
    Contradiction, ControllerFault, ControllerSpec, Execution, IdleReason, Monitor, OtherJoints, PlanReport,
    StopReason, TaskLimits, Tick, TrajectoryStreamer, Untold, VerifiedWindow, codes,
};
use efm_schedule::MotionNow;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What the streamer lacks before the first description.
pub fn no_robot() -> Reason {
    wrong(reasons::NO_ROBOT_DESCRIPTION, "no robot_description yet", "")
}

/// Whether that is what it lacks.
fn is_no_robot(why: &Reason) -> bool {
    why.code == reasons::NO_ROBOT_DESCRIPTION
}

/// The joints that a tick relies on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured<'a> {
    /// Header stamp of the newest message in it, ns.
    pub stamp: i64,
    /// Age of the oldest joint in it, s.
    pub age: f64,
    /// rad or m, in the order of the controllers' joints.
    pub positions: Cow<'a, [f64]>,
    /// rad/s or m/s.
    pub velocities: Cow<'a, [f64]>,
    /// When each joint was measured, ns; empty: all at `stamp`.
    #[serde(default, skip_serializing_if = "<[i64]>::is_empty")]
    pub stamps: Cow<'a, [i64]>,
    /// Which joints come from one source (the same number); empty: all of them.
    #[serde(default, skip_serializing_if = "<[usize]>::is_empty")]
    pub sources: Cow<'a, [usize]>,
    /// Whether somebody tells the speeds of all joints.
    #[serde(default = "yes", skip_serializing_if = "is_so")]
    pub velocity_told: bool,
    /// What was contradictory in the messages since the last tick.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contradiction: Option<Contradiction>,
}

/// Traces from before it was told: as it was taken to be.
fn yes() -> bool {
    true
}

/// In JSON what is no number is null: whoever sends that on a topic must not make a trace that cannot be read.
fn or_nan<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

// serde hands over a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_so(said: &bool) -> bool {
    *said
}

// serde hands over a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_not_so(said: &bool) -> bool {
    !*said
}

/// What happens to a publisher of trajectories; times in nanoseconds. In the order in which it is worked on, this determines what is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event<'a> {
    /// Time to decide.
    Tick {
        /// Time.
        now: i64,
        /// None: none that may be relied on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        joints: Option<Measured<'a>>,
        /// Where the robot's other joints stand, in the order of [`TrajectoryStreamer::other_joints`]; None: not known.
        #[serde(default, skip_serializing_if = "<[Option<f64>]>::is_empty")]
        others: Cow<'a, [Option<f64>]>,
        /// Joints are told, but what is told cannot be read: no silence that may end by itself.
        #[serde(default, skip_serializing_if = "is_not_so")]
        unreadable: bool,
    },
    /// An action chunk came; the chunk itself goes with the event.
    Chunk {
        /// Time.
        now: i64,
        /// Its observation's.
        stamp: i64,
        /// Who sent it.
        #[serde(default, skip_serializing_if = "is_unknown")]
        sender: SenderId,
    },
    /// A sender of chunks is not there any more.
    ChunkSenderGone {
        /// It.
        sender: SenderId,
    },
    /// Somebody else sends to a controller.
    OtherCommands {
        /// Time.
        now: i64,
        /// Place of the controller.
        controller: usize,
        /// Who, and on which topic, in words.
        by: Cow<'a, str>,
    },
    /// An instruction came.
    Instruction {
        /// Time.
        now: i64,
        /// Empty: no goal any more.
        text: Cow<'a, str>,
    },
    /// For which controllers somebody listens has changed.
    Listeners {
        /// Time.
        now: i64,
        /// One a controller.
        listening: Cow<'a, [bool]>,
    },
    /// A controller's own reference is not what it was sent.
    NotFollowing {
        /// Time.
        now: i64,
        /// Place of the controller.
        controller: usize,
    },
    /// A controller that told its state does not any more, or does.
    Silent {
        /// Time.
        now: i64,
        /// Place of the controller.
        controller: usize,
        /// For so many seconds; none: it speaks, for the first time or again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// What the last tick decided was not sent, or not all of it: a pause came between, and it would have come too late.
    NotSent {
        /// Time.
        now: i64,
        /// So many controllers, the first ones, got theirs.
        left: usize,
    },
    /// The emergency stop was asked for.
    EmergencyStop,
    /// The topic `speed_scale`.
    LowerSpeedScale(#[serde(deserialize_with = "or_nan")] f64),
    /// The parameter `speed_scale`.
    SpeedScale(#[serde(deserialize_with = "or_nan")] f64),
    /// Whether a goal of somebody else runs on a controller.
    Goal {
        /// Time.
        now: i64,
        /// Place of the controller.
        controller: usize,
        /// Whether one does.
        active: bool,
    },
    /// The service `~/arm`.
    Arm {
        /// Time.
        now: i64,
        /// Or disarm.
        armed: bool,
    },
    /// The service `~/stop`.
    Stop {
        /// Time.
        now: i64,
    },
    /// The service `~/resume`.
    Resume,
    /// A robot description came.
    Description {
        /// Time.
        now: i64,
        /// URDF.
        urdf: Cow<'a, str>,
    },
    /// A semantic robot description came.
    Semantics {
        /// Time.
        now: i64,
        /// SRDF.
        srdf: Cow<'a, str>,
    },
    /// What stands around is not known (`trouble`), or is again.
    Surroundings {
        /// Time.
        now: i64,
        /// What is not known.
        trouble: Option<Cow<'a, str>>,
    },
    /// The geometry of a planning scene was taken over. It is not in the event.
    SceneTaken,
}

fn is_unknown(sender: &SenderId) -> bool {
    *sender == SenderId::UNKNOWN
}

/// After so long without another one's commands a controller is ours again, s.
const CONTESTED_S: f64 = 1.0;

/// Where what is decided goes.
pub trait Outlet {
    /// Windows for the controllers, in their order, all with one stamp. What cannot leave by a time does not leave at all. Returns how many have
    /// left, the first ones.
    ///
    /// # Errors
    /// When they cannot be sent.
    fn send(&mut self, windows: &[VerifiedWindow], leave_by: Stamp) -> Result<usize, Failure>;

    /// What of the chunk is committed.
    ///
    /// # Errors
    /// When it cannot be told.
    fn tell(&mut self, execution: &Execution, windows: &[VerifiedWindow]) -> Result<(), Failure>;

    /// No chunk is followed any more.
    ///
    /// # Errors
    /// When it cannot be told.
    fn rest(&mut self) -> Result<(), Failure>;
}

/// What came of a tick.
#[derive(Debug)]
// Made and taken apart within a tick: a box would be an allocation.
#[allow(clippy::large_enum_variant)]
pub enum Ticked {
    /// Nothing was to be decided: between two points.
    Held,
    /// What the arm is doing.
    Decided {
        /// In a word.
        phase: Phase,
        /// The chunk that is followed from now on, where that is another one than before.
        news: Option<Stamp>,
        /// How the path is followed, where windows were sent.
        report: Option<PlanReport>,
        /// Seconds from an instruction until a chunk for it is followed, where this is the first.
        instruction_to_motion: Option<f64>,
        /// How many windows have left, where not all have: then [`Event::NotSent`] is to follow.
        late: Option<usize>,
    },
}

/// What a streamer is made of once the robot is known.
struct Maker {
    plan: CellPlan,
    urdf: Option<String>,
    srdf: Option<String>,
    /// All that is wrong with the description or does not fit it.
    wrong: String,
    /// The cell of the descriptions that made it.
    known: Option<(String, Option<String>, Cell)>,
    /// As set last, by parameter or topic.
    speed_scale: f64,
}

impl Maker {
    fn streamer(&mut self) -> Result<(TrajectoryStreamer, Described), Reason> {
        let Some(urdf) = self.urdf.clone() else { return Err(no_robot()) };
        self.wrong.clear();
        self.streamer_of(&urdf).map_err(|error| {
            self.wrong = error.to_string();
            wrong(reasons::DESCRIPTION_DOES_NOT_FIT, reasons::in_passing(&self.wrong), "")
        })
    }

    fn streamer_of(&mut self, urdf: &str) -> Result<(TrajectoryStreamer, Described), Failure> {
        let is_known = |known: &&(String, Option<String>, Cell)| known.0 == urdf && known.1 == self.srdf;
        let cell = match self.known.as_ref().filter(is_known) {
            Some((_, _, cell)) => cell.clone(),
            None => self.plan.of(urdf, self.srdf.as_deref())?,
        };
        let mut streamer = cell.streamer()?;
        streamer.set_speed_scale(self.speed_scale)?;
        let described = cell.described(&mut streamer);
        Ok((streamer, described))
    }
}

/// Descriptions that are left aside.
#[derive(Debug, Default)]
struct Waiting {
    urdf: Option<String>,
    srdf: Option<String>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.urdf.is_none() && self.srdf.is_none()
    }
}

/// The publisher of trajectories between two events.
pub struct Streaming {
    maker: Maker,
    streamer: Result<TrajectoryStreamer, Reason>,
    /// Monitors that were added, while there is no streamer that has them.
    monitors: Vec<Box<dyn Monitor + Send>>,
    task_rules: Vec<TaskRule>,
    goal: GoalChange,
    armed: bool,
    /// How old joints may be that are usually told slowly, s.
    slow_s: f64,
    /// Whether the emergency stop holds.
    emergency: bool,
    /// Whose chunks are taken.
    chunks_of: SoleSender,
    /// By controller: when somebody else sent to it last, and who.
    contested: Vec<Option<(Stamp, String)>>,
    described: Option<Described>,
    /// Descriptions that came while armed: they hold once it is disarmed and at rest.
    waiting: Waiting,
    /// What has become another robot with the last description, for who tells of it.
    redescribed: Option<String>,
    /// The controllers, and whether a goal of somebody else runs on them.
    owners: Vec<(String, bool)>,
    listening: Vec<bool>,
    trouble: Option<String>,
    /// The chunk that was told of last.
    told: Option<Stamp>,
    /// The same before the last tick that sent something.
    told_before: Option<Stamp>,
    /// So that a tick allocates nothing.
    sample: JointSample,
    stamps: Vec<Stamp>,
}

impl Streaming {
    /// From the node's parameters and the files that they name.
    ///
    /// # Errors
    /// When a parameter or a file is wrong: which one, and why.
    pub fn new(params: &Params, files: &Files) -> Result<Self, Failure> {
        let plan = CellPlan::new(params, files)?;
        let (controllers, n) = (plan.controllers(), plan.joints().len());
        Ok(Self {
            owners: controllers.iter().map(|c| (c.name.clone(), false)).collect(),
            listening: vec![false; controllers.len()],
            task_rules: task_rules(params)?,
            goal: GoalChange::new(on_new_goal(params)),
            armed: params.bool("armed_at_start"),
            slow_s: params.double("max_slow_joint_state_age"),
            emergency: false,
            chunks_of: SoleSender::default(),
            contested: vec![None; controllers.len()],
            described: None,
            waiting: Waiting::default(),
            redescribed: None,
            maker: Maker {
                plan,
                urdf: None,
                srdf: files.semantics.clone(),
                wrong: String::new(),
                known: None,
                speed_scale: params.double("speed_scale"),
            },
            streamer: Err(no_robot()),
            monitors: Vec::new(),
            trouble: None,
            told: None,
            told_before: None,
            stamps: Vec::with_capacity(n),
            sample: JointSample {
                stamp: Stamp::ZERO,
                positions: Vec::with_capacity(n),
                velocities: Vec::with_capacity(n),
            },
        })
    }

    /// Adds monitors to those that every robot has. Another description of the robot makes another filter: they go on in that, with what they know. A replay
    /// comes to the same only with the same monitors.
    #[must_use]
    pub fn watched_by(mut self, monitors: Vec<Box<dyn Monitor + Send>>) -> Self {
        match &mut self.streamer {
            Ok(streamer) => streamer.add_monitors(monitors),
            Err(_) => self.monitors.extend(monitors),
        }
        self
    }

    /// Begins with a robot that is known: `cell` is what its parameters and these descriptions make, so that it need not be made again.
    #[must_use]
    pub fn in_cell(mut self, cell: Cell, urdf: &str) -> Self {
        self.maker.known = Some((urdf.to_owned(), self.maker.srdf.clone(), cell));
        self
    }

    /// All joints, in the order of the controllers.
    pub fn joints(&self) -> &JointNames {
        self.maker.plan.joints()
    }

    /// The controllers.
    pub fn controllers(&self) -> &[ControllerSpec] {
        self.maker.plan.controllers()
    }

    /// The filter, or why there is none.
    pub fn streamer(&self) -> Result<&TrajectoryStreamer, &Reason> {
        self.streamer.as_ref()
    }

    /// The filter, for planning scenes.
    pub fn streamer_mut(&mut self) -> Option<&mut TrajectoryStreamer> {
        self.streamer.as_mut().ok()
    }

    /// What is told, or declared, of the robot's other joints from now on.
    pub fn other_joints(&self) -> OtherJoints {
        let names = self.streamer().map_or(&[][..], TrajectoryStreamer::other_joints);
        OtherJoints::new(names, self.maker.plan.fixed()).allowing(self.slow_s)
    }

    /// The first of the other joints that is asked for and was not known in the last tick, by its place.
    pub fn unknown_other_joint(&self) -> Option<usize> {
        self.streamer().ok().and_then(TrajectoryStreamer::unknown_other_joint)
    }

    /// Whether a goal of somebody else runs on a controller.
    pub fn is_owned(&self) -> bool {
        self.owner().is_some()
    }

    /// Whether motion is allowed.
    pub fn armed(&self) -> bool {
        self.armed
    }

    /// The part of the policy's own speed that is set.
    pub fn speed_scale(&self) -> f64 {
        self.maker.speed_scale
    }

    /// For which controllers somebody listens.
    pub fn listening(&self) -> &[bool] {
        &self.listening
    }

    /// Whether this robot description changes nothing: it is the one that there is, or that waits.
    pub fn is_described_by(&self, urdf: &str) -> bool {
        self.waiting.urdf.as_ref().or(self.maker.urdf.as_ref()).is_some_and(|newest| newest == urdf)
    }

    /// Whether this semantic description changes nothing: it is the one that there is, or that waits.
    pub fn is_explained_by(&self, srdf: &str) -> bool {
        self.waiting.srdf.as_ref().or(self.maker.srdf.as_ref()).is_some_and(|newest| newest == srdf)
    }

    /// Whether a robot description and a semantic one wait for the robot to be disarmed and at rest.
    pub fn description_waits(&self) -> (bool, bool) {
        (self.waiting.urdf.is_some(), self.waiting.srdf.is_some())
    }

    /// What is known of the robot, in words.
    pub fn described(&self) -> Option<String> {
        self.described.as_ref().map(Described::words)
    }

    /// What of the robot's files is left out or taken otherwise than it is written, and what is likely a mistake: a sentence each.
    pub fn description_notes(&self) -> &[String] {
        self.described.as_ref().map(Described::notes).unwrap_or_default()
    }

    /// All that is wrong with the robot's files, however long; empty where nothing is.
    pub fn description_wrong(&self) -> &str {
        &self.maker.wrong
    }

    /// What has become another robot since the last call, in words, where a description was taken.
    pub fn take_redescribed(&mut self) -> Option<String> {
        self.redescribed.take()
    }

    /// Whose chunks are taken, and when one of them came last.
    pub fn chunks_of(&self) -> Option<(SenderId, Stamp)> {
        self.chunks_of.held().zip(self.chunks_of.heard_at())
    }

    /// Whether the emergency stop holds.
    pub fn is_emergency(&self) -> bool {
        self.emergency
    }

    /// Whether somebody else's command is a reason to stop: it is armed, and nothing has stopped it yet.
    pub fn heeds_others(&self) -> bool {
        self.armed && self.streamer.as_ref().is_ok_and(|streamer| streamer.latched().is_none())
    }

    /// What is wrong with a controller that nobody listens for, where there is one.
    pub fn missing(&self) -> Option<String> {
        self.listening.iter().position(|listening| !listening).map(|controller| self.missing_words(controller))
    }

    fn missing_words(&self, controller: usize) -> String {
        format!("nobody listens to '{}/joint_trajectory': is the controller active?", self.owners[controller].0)
    }

    /// Works on an event other than [`Event::Tick`] and [`Event::Chunk`]. Returns what there is to say to who asked.
    ///
    /// # Errors
    /// Why what was asked for is not done.
    pub fn on(&mut self, event: &Event<'_>) -> Result<String, Reason> {
        let at = Stamp::from_nanos;
        match event {
            Event::Tick { .. } | Event::Chunk { .. } | Event::SceneTaken => {}
            Event::Instruction { now, text } => self.on_instruction(text, at(*now)),
            Event::Listeners { now, listening } => {
                self.listening.clear();
                self.listening.extend_from_slice(listening);
                self.watch_listeners(at(*now));
            }
            Event::NotFollowing { now, controller } => {
                if let Ok(streamer) = &mut self.streamer {
                    streamer.controller_failed(*controller, ControllerFault::NotFollowing, at(*now));
                }
            }
            Event::Silent { now, controller, seconds } => {
                if let Ok(streamer) = &mut self.streamer {
                    match seconds {
                        Some(seconds) => streamer.controller_silent(*controller, *seconds, at(*now)),
                        None => streamer.controller_speaks(*controller),
                    }
                }
            }
            Event::NotSent { left, .. } => {
                // Whoever listens to `execution_state` was not told of it either.
                self.told = self.told_before;
                if let Ok(streamer) = &mut self.streamer {
                    streamer.not_sent(*left);
                }
            }
            Event::ChunkSenderGone { sender } => self.chunks_of.gone(*sender),
            Event::OtherCommands { now, controller, by } => self.on_other(*controller, by, at(*now)),
            Event::EmergencyStop => {
                self.emergency = true;
                if let Ok(streamer) = &mut self.streamer {
                    streamer.emergency_stop();
                }
                self.armed = false;
            }
            Event::LowerSpeedScale(scale) => return self.lower_speed_scale(*scale),
            Event::SpeedScale(scale) => {
                if let Ok(streamer) = &mut self.streamer {
                    streamer.set_speed_scale(*scale).map_err(|e| refused(reasons::SPEED_SCALE, e.to_string(), ""))?;
                }
                self.maker.speed_scale = *scale;
            }
            Event::Goal { now, controller, active } => self.on_goal(*controller, *active, at(*now)),
            Event::Arm { now, armed } => return self.arm(*armed, at(*now)),
            Event::Stop { now } => {
                if let Ok(streamer) = &mut self.streamer {
                    streamer.stop(at(*now));
                }
                return Ok("stopping; ~/resume ends it".to_owned());
            }
            Event::Resume => {
                let streamer = self.streamer.as_mut().map_err(|why| why.clone())?;
                let was = match streamer.latched() {
                    None => "nothing was stopped".to_owned(),
                    Some(StopReason::Controller { controller, fault }) => {
                        let name = self.owners.get(*controller).map_or("a controller", |(name, _)| name.as_str());
                        format!("{name} {fault}; the next motion begins where the robot stands")
                    }
                    Some(reason) => reason.in_words(&streamer.names()),
                };
                streamer.resume();
                return Ok(format!("resumed, from where the robot stands; before: {was}"));
            }
            Event::Description { now, urdf } => {
                if self.maker.urdf.as_deref() == Some(urdf) {
                    self.waiting.urdf = None;
                    return Ok("the robot description is the one that there was".to_owned());
                }
                let first = self.maker.urdf.is_none();
                self.waiting.urdf = Some(urdf.clone().into_owned());
                return self.describe(first, at(*now));
            }
            Event::Semantics { now, srdf } => {
                if self.maker.srdf.as_deref() == Some(srdf) {
                    self.waiting.srdf = None;
                    return Ok("the semantic robot description is the one that there was".to_owned());
                }
                let first = self.maker.srdf.is_none();
                self.waiting.srdf = Some(srdf.clone().into_owned());
                return self.describe(first, at(*now));
            }
            Event::Surroundings { now, trouble } => {
                self.trouble = trouble.as_ref().map(|t| t.clone().into_owned());
                if let (Some(_), Ok(streamer)) = (&self.trouble, &mut self.streamer) {
                    streamer.cancel(at(*now));
                }
            }
        }
        Ok(String::new())
    }

    /// A chunk came. One sender is held to; what others propose is not even looked at.
    ///
    /// # Errors
    /// When it is not followed: why.
    pub fn on_chunk(&mut self, message: &Trajectory, sender: SenderId, now: Stamp) -> Result<(), Reason> {
        self.chunks_of.admits(sender, now).map_err(|held| {
            let words = format!("the chunks of publisher {held} are followed, this one is of publisher {sender}");
            refused(reasons::CHUNK_OF_ANOTHER_SENDER, words, "")
        })?;
        let taken = self.propose(message, now);
        self.chunks_of.heard(sender, now, taken.is_ok());
        taken
    }

    fn propose(&mut self, message: &Trajectory, now: Stamp) -> Result<(), Reason> {
        let chunk = ActionChunk::from_trajectory(message).map_err(|error| {
            let not_finite = matches!(error, TrajectoryChunkError::Chunk(ChunkError::NotFinite { .. }));
            // A message with nothing in it proposes nothing.
            let says_nothing = message.points.is_empty() && message.joint_names.is_empty();
            if !says_nothing && let Ok(streamer) = &mut self.streamer {
                streamer.reject_chunk(now);
            }
            let code = if not_finite { reasons::CHUNK_NOT_FINITE } else { reasons::CHUNK_MALFORMED };
            refused(code, error.to_string(), "")
        })?;
        let motion = self.motion_now();
        self.goal.admit(chunk.observed_at(), motion, now)?;
        if let Some(owner) = self.owner() {
            let words = format!("a goal of somebody else is active on {owner}");
            return Err(refused(reasons::GOAL_OF_ANOTHER, words, ""));
        }
        if let Some(missing) = self.missing() {
            return Err(refused(codes::CONTROLLER_MISSING, missing, ""));
        }
        if let Some(by) = self.contested(now) {
            return Err(refused(codes::CONTROLLER_CONTESTED, by.to_owned(), ""));
        }
        if let Some(trouble) = &self.trouble {
            return Err(refused(reasons::SURROUNDINGS_UNKNOWN, trouble.clone(), ""));
        }
        let streamer = self.streamer.as_mut().map_err(|why| why.clone())?;
        let taken = streamer.offer_chunk(&chunk, now);
        taken.map(|_| ()).map_err(|refusal| reasons::not_taken(&refusal, &streamer.names()))
    }

    /// Decides. `others` is where the robot's other joints stand. Allocates nothing.
    ///
    /// # Errors
    /// When the outlet refuses.
    pub fn tick(
        &mut self,
        now: Stamp,
        joints: Option<&Measured<'_>>,
        others: &[Option<f64>],
        outlet: &mut impl Outlet,
    ) -> Result<Ticked, Failure> {
        self.tick_told(now, joints.ok_or(Untold::Missing), others, outlet)
    }

    /// The same, where it is told why there are no joints to rely on.
    ///
    /// # Errors
    /// When the outlet refuses.
    pub fn tick_told(
        &mut self,
        now: Stamp,
        joints: Result<&Measured<'_>, Untold>,
        others: &[Option<f64>],
        outlet: &mut impl Outlet,
    ) -> Result<Ticked, Failure> {
        self.watch_listeners(now);
        if !self.waiting.is_empty() && self.may_be_redescribed() {
            self.take_descriptions(now);
        }
        let motion = self.motion_now();
        if self.goal.must_stop(motion, now)
            && let Ok(streamer) = &mut self.streamer
        {
            streamer.cancel(now);
        }
        let measured = joints.map(|joints| {
            self.sample.stamp = Stamp::from_nanos(joints.stamp);
            self.sample.positions.clear();
            self.sample.positions.extend_from_slice(&joints.positions);
            self.sample.velocities.clear();
            self.sample.velocities.extend_from_slice(&joints.velocities);
            self.stamps.clear();
            self.stamps.extend(joints.stamps.iter().map(|stamp| Stamp::from_nanos(*stamp)));
            efm_safety::Measured {
                sample: &self.sample,
                age_s: joints.age,
                stamps: Some(self.stamps.as_slice()).filter(|stamps| !stamps.is_empty()),
                sources: Some(&*joints.sources).filter(|sources| !sources.is_empty()),
                velocity_told: joints.velocity_told,
                contradiction: joints.contradiction.as_ref(),
            }
        });
        let owner = self.owners.iter().find(|(_, owned)| *owned).map(|(name, _)| name);
        let (mut news, mut followed, mut late) = (None, None, None);
        let phase = match &mut self.streamer {
            Err(why) => Phase::NoRobot(why.clone()),
            Ok(streamer) => {
                streamer.place_other_joints(others);
                match (owner, &streamer.tick_told(now, measured)) {
                    (Some(owner), _) => Phase::Owned(owner.clone()),
                    // Nothing new.
                    (None, Tick::Hold) => return Ok(Ticked::Held),
                    (None, Tick::Idle(reason)) => {
                        if self.told.take().is_some() {
                            outlet.rest()?;
                        }
                        Phase::Idle(reason.clone())
                    }
                    (None, Tick::Send(outgoing)) => {
                        let left = outlet.send(outgoing.windows, outgoing.leave_by)?;
                        if left == outgoing.windows.len() {
                            outlet.tell(&outgoing.execution, outgoing.windows)?;
                        } else {
                            late = Some(left);
                        }
                        self.told_before = self.told;
                        let chunk = outgoing.execution.chunk;
                        news = chunk.filter(|_| self.told != chunk);
                        self.told = chunk;
                        followed = Some(outgoing.report);
                        Phase::of(&outgoing.activity)
                    }
                }
            }
        };
        let instruction_to_motion = news.and_then(|chunk| self.goal.follows(chunk, now));
        if instruction_to_motion.is_some() {
            // The one before is over, and what it asked for.
            self.limit_task(now);
        }
        Ok(Ticked::Decided { phase, news, report: followed, instruction_to_motion, late })
    }

    /// What must not wait for a chunk: a controller that has gone while others move.
    fn watch_listeners(&mut self, now: Stamp) {
        let missing = self.listening.iter().position(|listening| !listening);
        let (Some(controller), Ok(streamer)) = (missing, &mut self.streamer) else { return };
        if streamer.is_streaming() {
            streamer.controller_failed(controller, ControllerFault::Missing, now);
        } else if streamer.scheduler().has_pending() {
            // What was taken while it was there does not begin without it.
            streamer.cancel(now);
        }
    }

    /// Somebody else sends to a controller: while the robot is ours, that stops it.
    fn on_other(&mut self, controller: usize, by: &str, now: Stamp) {
        let Some(last) = self.contested.get_mut(controller) else { return };
        *last = Some((now, by.to_owned()));
        if let Ok(streamer) = &mut self.streamer
            && (self.armed || streamer.is_streaming())
        {
            streamer.contested(controller, now);
        }
    }

    /// Who else has sent to a controller a moment ago.
    fn contested(&self, now: Stamp) -> Option<&str> {
        let lately = |at: &Stamp| (0.0..=CONTESTED_S).contains(&now.seconds_since(*at));
        self.contested.iter().flatten().find(|(at, _)| lately(at)).map(|(_, by)| by.as_str())
    }

    fn lower_speed_scale(&mut self, scale: f64) -> Result<String, Reason> {
        let Ok(streamer) = &mut self.streamer else { return Ok(String::new()) };
        let before = streamer.speed_scale();
        streamer.lower_speed_scale(scale).map_err(|e| refused(reasons::SPEED_SCALE, e.to_string(), ""))?;
        if streamer.speed_scale() < before {
            self.maker.speed_scale = scale;
        }
        Ok(String::new())
    }

    /// The motion, as the rule for a new instruction has to know it.
    fn motion_now(&self) -> MotionNow {
        let streamer = self.streamer.as_ref().ok();
        MotionNow {
            ends_at: streamer.and_then(|s| s.scheduler().ends_at()),
            at_rest: !streamer.is_some_and(TrajectoryStreamer::is_streaming),
        }
    }

    fn on_instruction(&mut self, text: &str, now: Stamp) {
        let change = self.goal.ask(text, self.motion_now(), now);
        if change == Change::Same {
            return;
        }
        if change == Change::Anew
            && let Ok(streamer) = &mut self.streamer
        {
            streamer.cancel(now);
        }
        self.limit_task(now);
    }

    /// What the instruction asks to be careful with; of two that are under way the more careful.
    fn care(&self) -> TaskLimits {
        let under_way = [self.goal.text(), self.goal.before()].into_iter().flatten();
        under_way.map(|text| task_limits(&self.task_rules, text)).reduce(tightest).unwrap_or_default()
    }

    fn limit_task(&mut self, now: Stamp) {
        let limits = self.care();
        let Ok(streamer) = &mut self.streamer else { return };
        if let Err(error) = streamer.set_task_limits(limits) {
            log::error!("parameter 'task_limits': {error}; the arm is stopped");
            streamer.stop(now);
        }
    }

    /// Whose goal runs on a controller.
    fn owner(&self) -> Option<&str> {
        self.owners.iter().find(|(_, owned)| *owned).map(|(name, _)| name.as_str())
    }

    fn on_goal(&mut self, controller: usize, active: bool, now: Stamp) {
        let before = self.owner().is_some();
        if let Some((_, owned)) = self.owners.get_mut(controller) {
            *owned = active;
        }
        let after = self.owner().is_some();
        let Ok(streamer) = &mut self.streamer else { return };
        if after && !before {
            // From here on the plan is void: nothing of it is published, not even when the other is done within its stop, and the robot will
            // stand elsewhere afterwards.
            streamer.arm(false, now);
            streamer.withdraw(now);
        } else if before && !after {
            streamer.forget_rest();
            streamer.arm(self.armed, now);
        }
    }

    fn arm(&mut self, armed: bool, now: Stamp) -> Result<String, Reason> {
        if armed && !self.waiting.is_empty() && self.may_be_redescribed() {
            self.take_descriptions(now);
        }
        let owned = self.owner().is_some();
        let streamer = self.streamer.as_mut().map_err(|why| why.clone())?;
        if armed && !self.armed {
            // While disarmed anything may have moved the robot.
            streamer.forget_rest();
        }
        self.armed = armed;
        self.emergency &= !armed;
        streamer.arm(armed && !owned, now);
        Ok(if armed { "armed" } else { "disarmed" }.to_owned())
    }

    /// Whether another description may take the place of the one that there is: what was checked with the old one is over then.
    fn may_be_redescribed(&self) -> bool {
        !self.armed && !self.streamer.as_ref().is_ok_and(|streamer| streamer.is_streaming())
    }

    /// After a description has come: a first one holds as soon as nothing moves, another one once the robot is disarmed too.
    fn describe(&mut self, first: bool, now: Stamp) -> Result<String, Reason> {
        let moves = self.streamer.as_ref().is_ok_and(|streamer| streamer.is_streaming());
        if self.may_be_redescribed() || self.streamer.is_err() || (first && !moves) {
            self.take_descriptions(now);
            return Ok(String::new());
        }
        Err(refused(
            reasons::DESCRIPTION_WAITS,
            "another robot description is not taken while armed",
            "it holds once the robot is disarmed and at rest, if it is still the newest then",
        ))
    }

    fn take_descriptions(&mut self, now: Stamp) {
        let Waiting { urdf, srdf } = std::mem::take(&mut self.waiting);
        self.maker.urdf = urdf.or(self.maker.urdf.take());
        self.maker.srdf = srdf.or(self.maker.srdf.take());
        let before = self.described.take();
        self.make(now);
        self.redescribed = match (&self.streamer, &before, &self.described) {
            (Err(why), ..) if is_no_robot(why) => None,
            (Err(why), ..) => Some(format!("it does not fit: {why}")),
            (Ok(_), Some(before), Some(after)) => Some(before.changes_to(after)),
            (Ok(_), ..) => self.described(),
        };
    }

    /// After a description has come.
    fn make(&mut self, now: Stamp) {
        let latched = self.streamer.as_ref().is_ok_and(|before| before.latched_until_resume().is_some());
        if let Ok(before) = &mut self.streamer {
            self.monitors = before.take_monitors();
        }
        self.streamer = match self.maker.streamer() {
            Ok((streamer, described)) => {
                self.described = Some(described);
                Ok(streamer)
            }
            Err(why) => Err(why),
        };
        let limits = self.care();
        if let Ok(streamer) = &mut self.streamer
            && let Err(error) = streamer.set_task_limits(limits)
        {
            self.streamer = Err(wrong(reasons::TASK_LIMITS, format!("parameter 'task_limits': {error}"), ""));
        }
        match &mut self.streamer {
            Ok(streamer) => {
                streamer.add_monitors(std::mem::take(&mut self.monitors));
                // Another description is no reason to go on after a stop.
                if latched {
                    streamer.stop(now);
                }
                if self.emergency {
                    streamer.emergency_stop();
                }
                streamer.arm(self.armed, now);
            }
            Err(why) if is_no_robot(why) => {}
            Err(error) => log::error!("the robot description does not fit: {error}"),
        }
    }

    /// What is in the way, by name, while something is.
    pub fn obstacle(&self, phase: &Phase) -> Option<String> {
        match (&self.streamer, phase) {
            (Ok(streamer), Phase::Blocked(intrusion) | Phase::Idle(IdleReason::Space(intrusion))) => {
                Some(streamer.describe(intrusion))
            }
            _ => None,
        }
    }
}
