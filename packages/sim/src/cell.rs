//! A robot cell in one piece: the world, and the two controllers that a real cell runs on its ros2_control side.
//!
//! Both the `sim` node and the in-process loop drive this type, so that a policy meets the same controllers in both.

use crate::jtc::{JointTrajectoryController, JtcConfig, Refusal};
use crate::world::{ARM_JOINTS, FINGER_JOINTS, STEP_NANOS, World, WorldError, WorldFiles};
use crate::{Referee, Scene, Verdict};
use efm_core::{JointNames, Stamp, Trajectory};

/// Name of the arm's controller, as in MoveIt's Panda set-up.
pub const ARM_CONTROLLER: &str = "panda_arm_controller";
/// Name of the hand's controller.
pub const HAND_CONTROLLER: &str = "panda_hand_controller";

/// Why a command was not taken.
#[derive(Debug, thiserror::Error)]
pub enum CommandRefusal {
    /// No such controller.
    #[error("there is no controller '{0}'; there are {ARM_CONTROLLER} and {HAND_CONTROLLER}")]
    UnknownController(String),
    /// The controller refused.
    #[error("{controller}: {refusal}")]
    Refused {
        /// Which one.
        controller: &'static str,
        /// Why.
        refusal: Refusal,
    },
}

/// World, controllers, referee, and the clock that ties them to ROS time.
pub struct Cell {
    world: World,
    arm: JointTrajectoryController,
    hand: JointTrajectoryController,
    scene: Scene,
    referee: Referee,
    verdict: Verdict,
    start: Stamp,
}

impl Cell {
    /// Makes the cell and puts it into `scene` at time `start`.
    ///
    /// # Errors
    /// When the world cannot be made from its files.
    pub fn new(files: &WorldFiles, scene: Scene, start: Stamp) -> Result<Self, CellError> {
        let mut world = World::new(files)?;
        let config = |joints: &[&'static str]| -> Result<JtcConfig, CellError> {
            Ok(JtcConfig::new(JointNames::new(joints.iter().copied())?))
        };
        let arm = JointTrajectoryController::new(config(&ARM_JOINTS)?);
        let hand = JointTrajectoryController::new(config(&FINGER_JOINTS[..1])?);
        world.reset(&scene);
        let mut referee = Referee::new(&scene);
        let verdict = referee.update(&world);
        let mut cell = Self { world, arm, hand, scene, referee, verdict, start };
        cell.settle_controllers();
        Ok(cell)
    }

    /// Puts everything where `scene` says; time starts anew at `start`. Running trajectories are dropped.
    pub fn reset(&mut self, scene: Scene, start: Stamp) {
        self.world.reset(&scene);
        self.referee = Referee::new(&scene);
        self.verdict = self.referee.update(&self.world);
        self.scene = scene;
        self.start = start;
        self.settle_controllers();
    }

    fn settle_controllers(&mut self) {
        self.arm.reset(&self.scene.joints);
        self.hand.reset(&[self.scene.finger]);
    }

    /// The time now.
    pub fn now(&self) -> Stamp {
        self.start.offset_nanos(self.world.time_nanos())
    }

    /// Moves the cell's time axis so that now is `now`, without touching the physics: for a simulator that fell behind wall time.
    /// Running trajectories keep their absolute stamps.
    pub fn set_now(&mut self, now: Stamp) {
        self.start = now.offset_nanos(-self.world.time_nanos());
    }

    /// A trajectory message to a controller.
    ///
    /// # Errors
    /// When there is no such controller or it refuses; nothing changes then.
    pub fn command(&mut self, controller: &str, trajectory: &Trajectory) -> Result<(), CommandRefusal> {
        let now = self.now();
        let (name, target) = match controller {
            ARM_CONTROLLER => (ARM_CONTROLLER, &mut self.arm),
            HAND_CONTROLLER => (HAND_CONTROLLER, &mut self.hand),
            other => return Err(CommandRefusal::UnknownController(other.to_owned())),
        };
        target.accept(trajectory, now).map_err(|refusal| CommandRefusal::Refused { controller: name, refusal })
    }

    /// One physics step: both controllers update, then the world moves by [`STEP_NANOS`].
    pub fn step(&mut self) {
        let now = self.now();
        let desired = self.arm.update(now);
        let (mut positions, mut velocities) = ([0.0; 7], [0.0; 7]);
        positions.copy_from_slice(&desired.positions);
        velocities.copy_from_slice(&desired.velocities);
        // A real arm's servo does not take a non-finite command either; the last one stands.
        if positions.iter().chain(&velocities).all(|v| v.is_finite()) {
            self.world.set_arm_target(&positions, &velocities);
        }
        let finger = self.hand.update(now).positions[0];
        if finger.is_finite() {
            self.world.set_finger_target(finger);
        }
        self.world.step();
        // The referee wants at least 50 Hz; every fifth step is 100 Hz.
        if self.world.time_nanos() % (5 * STEP_NANOS) == 0 {
            self.verdict = self.referee.update(&self.world);
        }
    }

    /// The world, to look at.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The world, to draw pictures (drawing needs `&mut`).
    pub fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    /// How the episode started.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// How the task stands.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Seconds since the last reset.
    pub fn elapsed(&self) -> f64 {
        self.world.time_nanos() as f64 * 1e-9
    }
}

/// Why a cell could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    /// The world.
    #[error(transparent)]
    World(#[from] WorldError),
    /// Joint names.
    #[error(transparent)]
    Joints(#[from] efm_core::JointNamesError),
}
