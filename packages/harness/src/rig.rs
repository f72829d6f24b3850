//! One simulated cell with the real streamer in front of its controllers, driven step by step.
//!
//! The order of things within a step is that of the graph: joint states are measured, the streamer ticks on its 10 ms grid and
//! its windows reach the controllers at once, then physics moves on.

use crate::flow::Flow;
use crate::planner::{PlanError, RobotFiles, chunk_joints};
use crate::unfiltered::Unfiltered;
use efm_collision::{CollisionError, CollisionModel, CollisionOptions, Obstacles};
use efm_core::{ActionChunk, JointNames, JointNamesError, JointSample, Stamp, Trajectory};
use efm_robot::{LimitSet, RobotModel, Srdf, SrdfError};
use efm_safety::{
    Activity, CollisionSpace, ControllerSpec, IdleReason, Limits, LimitsError, OfferRefusal, SetupError, StreamConfig,
    Surroundings, Tick, TrajectoryStreamer,
};
use efm_schedule::{Mode, Scheduler, SchedulerConfig, SchedulerError, Seam};
use efm_sim::cell::{ARM_CONTROLLER, HAND_CONTROLLER};
use efm_sim::world::{ARM_JOINTS, FINGER_JOINTS, STEP_NANOS};
use efm_sim::{Cell, CellError, CommandRefusal, Scene, WorldFiles};

/// Time of the start of every episode. Not zero: a zero stamp means "no stamp" in ROS.
pub const START: Stamp = Stamp::from_nanos(1_000_000_000);

/// Why a rig could not be made or went wrong.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// Robot files.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Joint names.
    #[error(transparent)]
    Names(#[from] JointNamesError),
    /// Limits.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// SRDF.
    #[error(transparent)]
    Srdf(#[from] SrdfError),
    /// Obstacles.
    #[error(transparent)]
    Collision(#[from] CollisionError),
    /// Streamer.
    #[error(transparent)]
    Streamer(#[from] SetupError),
    /// Scheduler of the comparison without a filter.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// Cell.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// A verified window was refused by a controller: a mistake of ours.
    #[error("a verified window was refused: {0}")]
    Command(#[from] CommandRefusal),
}

/// The limits of the chunk's joints from the robot's files.
///
/// # Errors
/// When a file cannot be read or a limit is missing.
pub fn limits(files: &RobotFiles) -> Result<Limits, RigError> {
    let model = RobotModel::load(&files.urdf).map_err(PlanError::from)?;
    let set = LimitSet::load(&model, &files.joint_limits, &chunk_joints()?).map_err(PlanError::from)?;
    let limits = Limits::new(set.names, &set.joints)?;
    Ok(limits.turning(set.continuous)?)
}

/// The bodies of robot and cell that are kept apart, as in the shipped parameter file.
///
/// # Errors
/// When a file cannot be read or does not fit.
pub fn bodies(files: &RobotFiles) -> Result<CollisionModel, RigError> {
    let model = RobotModel::load(&files.urdf).map_err(PlanError::from)?;
    let srdf = Srdf::load(&files.srdf, &model)?;
    let obstacles = Obstacles::load(&files.obstacles)?;
    Ok(CollisionModel::new(&model, Some(&srdf), &chunk_joints()?, &obstacles, &CollisionOptions::default())?)
}

/// The controllers of the Panda and the streamer's defaults. The shipped parameter file has these too, but for `max_clock_jump` (0.1 s, for busy
/// machines), which makes no difference here: no tick is late.
///
/// # Errors
/// When a setting is out of range.
pub fn streamer(limits: Limits, bodies: CollisionModel) -> Result<TrajectoryStreamer, RigError> {
    streamer_in(Mode::default(), limits, bodies)
}

/// As [`streamer`], with a choice of how one chunk follows another.
///
/// # Errors
/// As [`streamer`].
pub fn streamer_in(mode: Mode, limits: Limits, bodies: CollisionModel) -> Result<TrajectoryStreamer, RigError> {
    let controllers = vec![
        ControllerSpec { name: ARM_CONTROLLER.to_owned(), joints: JointNames::new(ARM_JOINTS)? },
        ControllerSpec { name: HAND_CONTROLLER.to_owned(), joints: JointNames::new([FINGER_JOINTS[0]])? },
    ];
    let schedule = SchedulerConfig { mode, ..SchedulerConfig::default() };
    let config =
        StreamConfig { gripper_joints: vec![FINGER_JOINTS[0].to_owned()], schedule, ..StreamConfig::default() };
    let around = Surroundings { space: Some(Box::new(CollisionSpace::new(bodies, None))), tool: None };
    Ok(TrajectoryStreamer::within(around, limits, controllers, config)?)
}

/// What stands between chunks and controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// The safety filter, as on a robot.
    #[default]
    Whole,
    /// Nothing but the joining of chunks: what the filter is compared with. Only ever in simulation.
    Off,
}

enum Follower {
    Filtered(Box<TrajectoryStreamer>),
    Unfiltered(Box<Unfiltered>),
}

/// Cell and streamer.
pub struct Rig {
    cell: Cell,
    follower: Follower,
    filter: Filter,
    mode: Mode,
    flow: Flow,
    seam: Option<Seam>,
    limits: Limits,
    bodies: CollisionModel,
    sample: JointSample,
    message: Trajectory,
    period_nanos: i64,
}

impl Rig {
    /// Makes both from the robot's files, in `scene`, armed.
    ///
    /// # Errors
    /// When a file cannot be read or does not fit.
    pub fn new(files: &RobotFiles, scene: Scene) -> Result<Self, RigError> {
        Self::with(files, scene, Filter::Whole)
    }

    /// As [`Rig::new`], with a choice of what stands between chunks and controllers.
    ///
    /// # Errors
    /// As [`Rig::new`].
    pub fn with(files: &RobotFiles, scene: Scene, filter: Filter) -> Result<Self, RigError> {
        Self::scheduled(files, scene, filter, Mode::default())
    }

    /// As [`Rig::with`], with a choice of how one chunk follows another.
    ///
    /// # Errors
    /// As [`Rig::new`].
    pub fn scheduled(files: &RobotFiles, scene: Scene, filter: Filter, mode: Mode) -> Result<Self, RigError> {
        let (limits, bodies) = (limits(files)?, bodies(files)?);
        let cell = Cell::new(&WorldFiles { urdf: files.urdf.clone() }, scene, START)?;
        let period_nanos = (StreamConfig::default().period_s * 1e9).round() as i64;
        let sample = JointSample { stamp: START, positions: vec![0.0; 8], velocities: vec![0.0; 8] };
        let follower = Self::follower(filter, mode, &limits, &bodies)?;
        let (flow, seam, message) = (Flow::default(), None, Trajectory::default());
        Ok(Self { cell, follower, filter, mode, flow, seam, limits, bodies, sample, message, period_nanos })
    }

    fn follower(filter: Filter, mode: Mode, limits: &Limits, bodies: &CollisionModel) -> Result<Follower, RigError> {
        Ok(match filter {
            Filter::Whole => {
                let mut streamer = streamer_in(mode, limits.clone(), bodies.clone())?;
                streamer.arm(true, START);
                Follower::Filtered(Box::new(streamer))
            }
            Filter::Off => Follower::Unfiltered(Box::new(Unfiltered::scheduled(limits.joints().clone(), mode)?)),
        })
    }

    /// Starts the next episode: everything as new, so that an episode does not depend on those before it.
    ///
    /// # Errors
    /// Never for limits and settings that worked once.
    pub fn reset(&mut self, scene: Scene) -> Result<(), RigError> {
        self.cell.reset(scene, START);
        self.follower = Self::follower(self.filter, self.mode, &self.limits, &self.bodies)?;
        self.flow = Flow::default();
        self.seam = None;
        Ok(())
    }

    /// How one chunk follows another.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What the ticks since the last reset saw; forgets it.
    pub fn take_flow(&mut self) -> Flow {
        self.flow.take()
    }

    pub(crate) fn flow_mut(&mut self) -> &mut Flow {
        &mut self.flow
    }

    /// The seam of the last step, if a chunk took over from another one in it.
    pub fn seam(&self) -> Option<&Seam> {
        self.seam.as_ref()
    }

    /// The scheduler: the reference before any filter.
    pub fn scheduler(&self) -> &Scheduler {
        match &self.follower {
            Follower::Filtered(streamer) => streamer.scheduler(),
            Follower::Unfiltered(follower) => follower.scheduler(),
        }
    }

    /// Whether the arm rests and nothing is sent.
    pub fn at_rest(&self) -> bool {
        match &self.follower {
            Follower::Filtered(streamer) => !streamer.is_streaming(),
            Follower::Unfiltered(follower) => follower.scheduler().in_use().is_none(),
        }
    }

    /// Brings the arm to rest and forgets all chunks (without a filter: abruptly).
    pub fn cancel(&mut self) {
        let now = self.cell.now();
        match &mut self.follower {
            Follower::Filtered(streamer) => streamer.cancel(now),
            Follower::Unfiltered(follower) => follower.cancel(now),
        }
    }

    /// Plan time: the clock, less what the filter has slowed the path down by.
    pub fn plan_time(&self) -> Stamp {
        let lag_s = match &self.follower {
            Follower::Filtered(streamer) if streamer.is_streaming() => streamer.report().lag_s,
            _ => 0.0,
        };
        self.cell.now().offset_seconds(-lag_s)
    }

    /// The cell, to look at.
    pub fn cell(&self) -> &Cell {
        &self.cell
    }

    /// The cell, to draw pictures.
    pub fn cell_mut(&mut self) -> &mut Cell {
        &mut self.cell
    }

    /// The measured state of the chunk's joints, now.
    pub fn measured(&mut self) -> &JointSample {
        let state = self.cell.world().joint_state();
        self.sample.stamp = self.cell.now();
        self.sample.positions.copy_from_slice(&state.positions[..8]);
        self.sample.velocities.copy_from_slice(&state.velocities[..8]);
        &self.sample
    }

    /// Hands a chunk to the streamer.
    ///
    /// # Errors
    /// When it refuses.
    pub fn offer(&mut self, chunk: &ActionChunk) -> Result<(), OfferRefusal> {
        let now = self.cell.now();
        self.flow.step = chunk.step();
        match &mut self.follower {
            Follower::Filtered(streamer) => streamer.offer_chunk(chunk, now).map(|_| ()),
            Follower::Unfiltered(follower) => Ok(follower.offer(chunk, now)?),
        }
    }

    /// One physics step, with a tick of the streamer before it when one is due. Returns what the tick did, in words, when the arm
    /// is not following a chunk.
    ///
    /// # Errors
    /// When a controller refuses a verified window.
    pub fn step(&mut self) -> Result<Option<IdleReason>, RigError> {
        let mut idle = None;
        self.seam = None;
        if self.cell.world().time_nanos() % self.period_nanos < STEP_NANOS {
            self.measured();
            let now = self.cell.now();
            match &mut self.follower {
                Follower::Filtered(streamer) => {
                    let tick = streamer.tick(now, Some((&self.sample, 0.0)));
                    self.flow.filtered(&tick);
                    match tick {
                        Tick::Send(outgoing) => {
                            if let Activity::Stopping(reason) = &outgoing.activity {
                                log::debug!("{:.2} s: coming to rest: {reason}", self.cell.elapsed());
                            }
                            for window in outgoing.windows {
                                window.write_to(&mut self.message);
                                self.cell.command(window.controller(), &self.message)?;
                            }
                        }
                        Tick::Idle(reason) => idle = Some(reason),
                        Tick::Hold => {}
                    }
                    self.seam = self.flow.scheduled(streamer.scheduler());
                }
                Follower::Unfiltered(follower) => {
                    follower.tick(now, &self.sample.positions);
                    self.flow.unfiltered(follower.scheduler().status(now));
                    self.seam = self.flow.scheduled(follower.scheduler());
                    for (controller, joints) in [(ARM_CONTROLLER, 0..7), (HAND_CONTROLLER, 7..8)] {
                        if follower.write(now, joints, &mut self.message) {
                            self.cell.command(controller, &self.message)?;
                        }
                    }
                }
            }
        }
        self.cell.step();
        Ok(idle)
    }
}
