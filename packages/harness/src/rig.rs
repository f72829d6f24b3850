//! One simulated cell with the real streamer in front of its controllers, driven step by step.
//!
//! The order of things within a step is that of the graph: joint states are measured, the streamer ticks on its 10 ms grid and
//! its windows reach the controllers at once, then physics moves on.

use crate::planner::{PlanError, RobotFiles, chunk_joints};
use crate::unfiltered::Unfiltered;
use efm_collision::{CollisionError, CollisionModel, CollisionOptions, Obstacles};
use efm_core::{ActionChunk, JointNames, JointNamesError, JointSample, Stamp, Trajectory};
use efm_robot::{LimitSet, RobotModel, Srdf, SrdfError};
use efm_safety::{
    Activity, CollisionSpace, ControllerSpec, IdleReason, Limits, LimitsError, OfferRefusal, SetupError, StreamConfig,
    Surroundings, Tick, TrajectoryStreamer,
};
use efm_schedule::SchedulerError;
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
    Ok(Limits::new(set.names, set.lower, set.upper, set.velocity, set.acceleration, set.jerk)?)
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

/// The controllers of the Panda and the settings that the shipped parameter file has.
///
/// # Errors
/// When a setting is out of range.
pub fn streamer(limits: Limits, bodies: CollisionModel) -> Result<TrajectoryStreamer, RigError> {
    let controllers = vec![
        ControllerSpec { name: ARM_CONTROLLER.to_owned(), joints: JointNames::new(ARM_JOINTS)? },
        ControllerSpec { name: HAND_CONTROLLER.to_owned(), joints: JointNames::new([FINGER_JOINTS[0]])? },
    ];
    let config = StreamConfig { gripper_joints: vec![FINGER_JOINTS[0].to_owned()], ..StreamConfig::default() };
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
        let (limits, bodies) = (limits(files)?, bodies(files)?);
        let cell = Cell::new(&WorldFiles { urdf: files.urdf.clone() }, scene, START)?;
        let period_nanos = (StreamConfig::default().period_s * 1e9).round() as i64;
        let sample = JointSample { stamp: START, positions: vec![0.0; 8], velocities: vec![0.0; 8] };
        let follower = Self::follower(filter, &limits, &bodies)?;
        Ok(Self { cell, follower, filter, limits, bodies, sample, message: Trajectory::default(), period_nanos })
    }

    fn follower(filter: Filter, limits: &Limits, bodies: &CollisionModel) -> Result<Follower, RigError> {
        Ok(match filter {
            Filter::Whole => {
                let mut streamer = streamer(limits.clone(), bodies.clone())?;
                streamer.arm(true, START);
                Follower::Filtered(Box::new(streamer))
            }
            Filter::Off => Follower::Unfiltered(Box::new(Unfiltered::new(limits.joints().clone())?)),
        })
    }

    /// Starts the next episode: everything as new, so that an episode does not depend on those before it.
    ///
    /// # Errors
    /// Never for limits and settings that worked once.
    pub fn reset(&mut self, scene: Scene) -> Result<(), RigError> {
        self.cell.reset(scene, START);
        self.follower = Self::follower(self.filter, &self.limits, &self.bodies)?;
        Ok(())
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
        if self.cell.world().time_nanos() % self.period_nanos < STEP_NANOS {
            self.measured();
            let now = self.cell.now();
            match &mut self.follower {
                Follower::Filtered(streamer) => match streamer.tick(now, Some((&self.sample, 0.0))) {
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
                },
                Follower::Unfiltered(follower) => {
                    follower.tick(now, &self.sample.positions);
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
