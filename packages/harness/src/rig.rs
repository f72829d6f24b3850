//! One simulated cell with the publisher of trajectories in front of its controllers, driven step by step.
//!
//! The publisher is the node's ([`Publishing`]), from the node's parameters ([`Deployed`]). The order of things within a step is that of the graph: joint
//! states are measured, the publisher ticks on its grid (10 ms) and its windows reach the controllers at once, then physics moves on.

use crate::deployed::{DeployError, Deployed};
use crate::flow::Flow;
use crate::planner::{PlanError, RobotFiles};
use crate::unfiltered::Unfiltered;
use efm_app::Failure;
use efm_app::inference::execution::ExecutionFeed;
use efm_app::publisher::emergency::KeptStop;
use efm_app::publisher::motion_report::Phase;
use efm_app::publisher::publishing::{At, Host, Publishing};
use efm_app::publisher::streaming::{Event, Outlet};
use efm_app::reasons;
use efm_core::{ActionChunk, JointSample, Reason, SenderId, Stamp, Trajectory};
use efm_safety::{Execution, IdleReason, Names, OfferRefusal, StopReason, TrajectoryStreamer, VerifiedWindow};
use efm_schedule::{Mode, OnNewGoal, Scheduler, SchedulerError};
use efm_sim::cell::{ARM_CONTROLLER, HAND_CONTROLLER};
use efm_sim::world::{ARM_JOINTS, FINGER_JOINTS, STEP_NANOS};
use efm_sim::{Cell, CellError, CommandRefusal, Scene, WorldFiles};

/// Time of the start of every episode. Not zero: a zero stamp means "no stamp" in ROS.
pub const START: Stamp = Stamp::from_nanos(1_000_000_000);
/// Who tells joint states, and who sends chunks: one of each.
const DRIVER: SenderId = SenderId([1; 16]);
const POLICY: SenderId = SenderId([2; 16]);

/// Why a rig could not be made or went wrong.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// Robot files.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Parameters.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// Scheduler of the comparison without a filter.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// Cell.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// A controller refused what the filter is compared with.
    #[error("a window was refused: {0}")]
    Command(#[from] CommandRefusal),
    /// The publisher: a verified window was refused by a controller, which is a mistake of ours, or it cannot begin.
    #[error("{0}")]
    Publisher(String),
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
    Filtered(Box<Publishing>),
    Unfiltered(Box<Unfiltered>),
}

impl Follower {
    fn streamer(&self) -> Option<&TrajectoryStreamer> {
        match self {
            Self::Filtered(publisher) => publisher.streaming().streamer().ok(),
            Self::Unfiltered(_) => None,
        }
    }

    /// The reference before any filter.
    fn scheduler(&self) -> Option<&Scheduler> {
        match self {
            Self::Filtered(_) => self.streamer().map(TrajectoryStreamer::scheduler),
            Self::Unfiltered(follower) => Some(follower.scheduler()),
        }
    }
}

/// The simulated cell, as the publisher meets it, and what is seen of it there.
struct Stage {
    cell: Cell,
    message: Trajectory,
    flow: Flow,
    execution: ExecutionFeed,
    controllers: usize,
}

impl Outlet for Stage {
    fn send(&mut self, windows: &[VerifiedWindow], _: Stamp) -> Result<usize, Failure> {
        for window in windows {
            window.write_to(&mut self.message);
            self.cell
                .command(window.controller(), &self.message)
                .map_err(|refusal| format!("a verified window was refused: {refusal}"))?;
        }
        Ok(windows.len())
    }

    fn tell(&mut self, execution: &Execution, windows: &[VerifiedWindow]) -> Result<(), Failure> {
        self.execution.told(execution, windows, self.cell.now());
        Ok(())
    }

    fn rest(&mut self) -> Result<(), Failure> {
        self.execution.heard(None, [], self.cell.now());
        Ok(())
    }
}

impl Host for Stage {
    fn at(&self) -> At {
        at(self.cell.now())
    }

    // What is done again is done by its seed.
    fn note(&mut self, _: &Event<'_>) {}

    fn listening(&self, listening: &mut Vec<bool>) {
        listening.clear();
        listening.resize(self.controllers, true);
    }

    fn instruction_followed(&mut self, seconds: f64) {
        self.flow.instruction_to_motion = Some(seconds);
    }
}

/// In simulation receipts are timed by its clock.
fn at(now: Stamp) -> At {
    At { now, received: now.nanos() as f64 * 1e-9 }
}

/// Cell and publisher.
pub struct Rig {
    stage: Stage,
    follower: Follower,
    filter: Filter,
    deployed: Deployed,
    names: Vec<String>,
    sample: JointSample,
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
        Self::of(&Deployed::read(files)?, files, scene, filter)
    }

    /// As [`Rig::with`], with a choice of how one chunk follows another.
    ///
    /// # Errors
    /// As [`Rig::new`].
    pub fn scheduled(files: &RobotFiles, scene: Scene, filter: Filter, mode: Mode) -> Result<Self, RigError> {
        let deployed = Deployed::read(files)?;
        let rule = deployed.on_new_goal();
        Self::of(&deployed.with(mode, rule)?, files, scene, filter)
    }

    /// As [`Rig::with`], with the publisher that is deployed.
    ///
    /// # Errors
    /// When the world cannot be made, or the publisher cannot begin in it.
    pub fn of(deployed: &Deployed, files: &RobotFiles, scene: Scene, filter: Filter) -> Result<Self, RigError> {
        let mut stage = Stage {
            cell: Cell::new(&WorldFiles { urdf: files.urdf.clone() }, scene, START)?,
            message: Trajectory::default(),
            flow: Flow::default(),
            execution: ExecutionFeed::default(),
            controllers: deployed.cell().controllers().len(),
        };
        // As the simulator tells them.
        let names = ARM_JOINTS.into_iter().chain(FINGER_JOINTS).map(str::to_owned).collect();
        let n = deployed.cell().limits().joints().len();
        let sample = JointSample { stamp: START, positions: vec![0.0; n], velocities: vec![0.0; n] };
        let follower = Self::follower(filter, deployed, &mut stage)?;
        let period_nanos = (1e9 * deployed.cell().config().period_s).round() as i64;
        Ok(Self { stage, follower, filter, deployed: deployed.clone(), names, sample, period_nanos })
    }

    fn follower(filter: Filter, deployed: &Deployed, stage: &mut Stage) -> Result<Follower, RigError> {
        if filter == Filter::Off {
            let joints = deployed.cell().limits().joints().clone();
            return Ok(Follower::Unfiltered(Box::new(Unfiltered::scheduled(joints, deployed.mode())?)));
        }
        let streaming = deployed.streaming()?;
        let mut publisher = Publishing::new(streaming, deployed.params(), at(START), KeptStop::default(), false, None);
        publisher
            .on_description(stage, at(START), deployed.urdf(), SenderId::UNKNOWN)
            .and_then(|()| publisher.every_tenth(stage, at(START)))
            .and_then(|()| publisher.arm(stage, at(START), true).map(drop))
            .map_err(|why| RigError::Publisher(why.to_string()))?;
        Ok(Follower::Filtered(Box::new(publisher)))
    }

    /// Starts the next episode: everything as new, so that an episode does not depend on those before it.
    ///
    /// # Errors
    /// Never for limits and settings that worked once.
    pub fn reset(&mut self, scene: Scene) -> Result<(), RigError> {
        self.stage.cell.reset(scene, START);
        (self.stage.flow, self.stage.execution) = (Flow::default(), ExecutionFeed::default());
        self.follower = Self::follower(self.filter, &self.deployed, &mut self.stage)?;
        Ok(())
    }

    /// From the next episode on: what becomes of the motion with a new instruction.
    ///
    /// # Errors
    /// Never.
    pub fn on_new_goal(&mut self, rule: OnNewGoal) -> Result<(), RigError> {
        if self.deployed.on_new_goal() != rule {
            self.deployed = self.deployed.with(self.mode(), rule)?;
        }
        Ok(())
    }

    /// How one chunk follows another.
    pub fn mode(&self) -> Mode {
        self.deployed.mode()
    }

    /// What the ticks since the last reset saw; forgets it.
    pub fn take_flow(&mut self) -> Flow {
        self.stage.flow.take()
    }

    /// What is followed, as those hear who propose.
    pub fn execution(&mut self) -> &mut ExecutionFeed {
        &mut self.stage.execution
    }

    /// The stop that lasts until somebody ends it, if there is one.
    pub fn latched(&self) -> Option<&StopReason> {
        self.follower.streamer()?.latched()
    }

    /// Tells the instruction (empty: none), as the topic does. Without a filter nobody listens.
    ///
    /// # Errors
    /// Never, but for a mistake of ours.
    pub fn instruct(&mut self, text: &str) -> Result<(), RigError> {
        let Self { stage, follower: Follower::Filtered(publisher), .. } = self else { return Ok(()) };
        let now = stage.at();
        publisher.on_instruction(stage, now, text).map_err(|why| RigError::Publisher(why.to_string()))
    }

    /// The cell, to look at.
    pub fn cell(&self) -> &Cell {
        &self.stage.cell
    }

    /// The cell, to draw pictures.
    pub fn cell_mut(&mut self) -> &mut Cell {
        &mut self.stage.cell
    }

    /// The measured state of the controlled joints, now, in the order of the controllers.
    pub fn measured(&mut self) -> &JointSample {
        let state = self.stage.cell.world().joint_state();
        self.sample.stamp = self.stage.cell.now();
        let joints = self.deployed.cell().limits().joints();
        for (place, joint) in joints.iter().enumerate() {
            if let Some(at) = self.names.iter().position(|name| name == joint) {
                self.sample.positions[place] = state.positions[at];
                self.sample.velocities[place] = state.velocities[at];
            }
        }
        &self.sample
    }

    /// Hands a chunk to the publisher.
    ///
    /// # Errors
    /// When it is not followed: why.
    pub fn offer(&mut self, chunk: &ActionChunk) -> Result<(), Reason> {
        let Self { stage, follower, .. } = self;
        stage.flow.step = chunk.step();
        let now = stage.at();
        match follower {
            Follower::Filtered(publisher) => publisher.on_chunk(stage, now, &chunk.to_trajectory(""), POLICY),
            Follower::Unfiltered(follower) => follower
                .offer(chunk, now.now)
                .map_err(|refusal| reasons::not_taken(&OfferRefusal::Chunk(refusal), &Names::default())),
        }
    }

    /// One physics step, with a tick of the publisher before it when one is due. Returns what the tick did, in words, when the arm
    /// is not following a chunk.
    ///
    /// # Errors
    /// When a controller refuses a verified window.
    pub fn step(&mut self) -> Result<Option<IdleReason>, RigError> {
        let mut idle = None;
        if self.stage.cell.world().time_nanos() % self.period_nanos < STEP_NANOS {
            if matches!(self.follower, Follower::Unfiltered(_)) {
                self.measured();
            }
            let Self { stage, follower, names, sample, .. } = self;
            let now = stage.at();
            match follower {
                Follower::Filtered(publisher) => {
                    let state = stage.cell.world().joint_state();
                    publisher.on_joint_states(
                        DRIVER,
                        now.now,
                        names,
                        &state.positions,
                        &state.velocities,
                        now.received,
                    );
                    let decided = publisher.tick(stage, now).map_err(|e| RigError::Publisher(e.to_string()))?;
                    let phase = decided.then(|| publisher.phase());
                    stage.flow.filtered(phase);
                    match phase {
                        Some(Phase::Idle(reason)) => idle = Some(reason.clone()),
                        Some(Phase::Stopping(reason)) => {
                            log::debug!("{:.2} s: coming to rest: {}", stage.cell.elapsed(), reason.code());
                        }
                        _ => {}
                    }
                }
                Follower::Unfiltered(follower) => {
                    follower.tick(now.now, &sample.positions);
                    stage.flow.unfiltered(follower.scheduler().status(now.now));
                    for (controller, joints) in [(ARM_CONTROLLER, 0..7), (HAND_CONTROLLER, 7..8)] {
                        if follower.write(now.now, joints, &mut stage.message) {
                            stage.cell.command(controller, &stage.message)?;
                        }
                    }
                }
            }
            if let Some(scheduler) = follower.scheduler() {
                stage.flow.scheduled(scheduler);
            }
        }
        self.stage.cell.step();
        Ok(idle)
    }
}
