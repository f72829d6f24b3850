//! The expert as a source of action chunks: from its rollout of tool positions to joint positions.

use efm_core::{ActionChunk, ChunkError, JointNames, JointNamesError, Stamp};
use efm_robot::{
    Chain, ChainError, IkError, IkSettings, InverseKinematics, LimitError, LimitSet, ModelError, RobotModel, tool_down,
};
use efm_sim::expert::{HORIZON, STEP};
use efm_sim::world::{ARM_JOINTS, FINGER_JOINTS};
use efm_sim::{Expert, ExpertView, Scene, World, expert::Rollout, tasks::READY};
use nalgebra::{Isometry3, Translation3, Vector3};
use std::path::{Path, PathBuf};

/// Where the robot's files are.
#[derive(Debug, Clone)]
pub struct RobotFiles {
    /// URDF.
    pub urdf: PathBuf,
    /// Acceleration and jerk limits.
    pub joint_limits: PathBuf,
    /// SRDF: the pairs of links that may be close.
    pub srdf: PathBuf,
    /// Obstacles of the cell.
    pub obstacles: PathBuf,
    /// Parameter files of the nodes, later ones over earlier ones.
    pub parameters: Vec<PathBuf>,
    /// What these name lies below it, or where the nodes look for it.
    pub root: PathBuf,
}

impl RobotFiles {
    /// The shipped Panda, in a checkout or an installed share folder.
    pub fn under(root: &Path) -> Self {
        Self {
            urdf: root.join("urdf/panda.urdf"),
            joint_limits: root.join("config/joint_limits.yaml"),
            srdf: root.join("urdf/panda.srdf"),
            obstacles: root.join("config/panda_obstacles.yaml"),
            parameters: vec![root.join("config/panda.yaml")],
            root: root.to_owned(),
        }
    }
}

impl RobotFiles {
    /// The same with further parameter files of the nodes, over the robot's own.
    #[must_use]
    pub fn with_parameters(mut self, files: &[PathBuf]) -> Self {
        self.parameters.extend_from_slice(files);
        self
    }
}

/// Why a planner could not be made, or a plan could not be turned into joint positions.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Robot description.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Limits.
    #[error(transparent)]
    Limits(#[from] LimitError),
    /// Kinematic chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Joint names.
    #[error(transparent)]
    Names(#[from] JointNamesError),
    /// A row is out of reach.
    #[error("row {row} of the expert's plan, tool at {tool:?}, is out of reach: {source}")]
    Unreachable {
        /// Row.
        row: usize,
        /// Tool position, metres in the base frame.
        tool: [f64; 3],
        /// Why.
        source: IkError,
    },
    /// The solver could not be made.
    #[error(transparent)]
    Ik(#[from] IkError),
    /// Not a chunk.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
}

/// The joints that every chunk of this suite's Panda carries: seven of the arm, then the finger.
///
/// # Errors
/// Never for these names; the type says so because joint sets are checked.
pub fn chunk_joints() -> Result<JointNames, JointNamesError> {
    JointNames::new(ARM_JOINTS.into_iter().chain([FINGER_JOINTS[0]]))
}

/// Turns tool positions, the tool pointing down, into a chunk of joint positions.
pub(crate) struct ToolRows {
    ik: InverseKinematics,
    joints: JointNames,
}

impl ToolRows {
    /// Reads the robot's files.
    ///
    /// # Errors
    /// When a file cannot be read or lacks something.
    pub(crate) fn new(files: &RobotFiles) -> Result<Self, PlanError> {
        let model = RobotModel::load(&files.urdf)?;
        let chain = Chain::new(&model, "panda_link0", "panda_hand_tcp")?;
        let limits = LimitSet::load(&model, &files.joint_limits, chain.joint_names())?;
        let ik = InverseKinematics::new(chain, &limits, &READY, IkSettings::default())?;
        Ok(Self { ik, joints: chunk_joints()? })
    }

    /// Where the tool is at these positions of the arm, m in the base frame.
    pub(crate) fn tool_at(&self, arm: &[f64; 7]) -> Vector3<f64> {
        self.ik.chain().fk(arm).translation.vector
    }

    /// A chunk of rows `step` seconds apart, each a tool position (m in the base frame) and a finger position (m); `arm` is where
    /// the arm is measured, from which the solver starts.
    ///
    /// # Errors
    /// When a row is out of reach.
    pub(crate) fn chunk(
        &mut self,
        mut arm: [f64; 7],
        stamp: Stamp,
        step: f64,
        rows: impl ExactSizeIterator<Item = (Vector3<f64>, f64)>,
    ) -> Result<ActionChunk, PlanError> {
        let mut values = Vec::with_capacity(rows.len() * 8);
        let down = tool_down(0.0);
        for (row, (tool, finger)) in rows.enumerate() {
            let target = Isometry3::from_parts(Translation3::from(tool), down);
            let mut q = [0.0; 7];
            self.ik.solve(&target, &arm, &mut q).map_err(|source| PlanError::Unreachable {
                row,
                tool: tool.into(),
                source,
            })?;
            values.extend_from_slice(&q);
            values.push(finger);
            arm = q;
        }
        Ok(ActionChunk::new(stamp, step, self.joints.clone(), values)?)
    }
}

/// Plans chunks with the scripted expert.
pub struct ExpertPlanner {
    expert: Expert,
    rows: ToolRows,
}

impl ExpertPlanner {
    /// Reads the robot's files.
    ///
    /// # Errors
    /// When a file cannot be read or lacks something.
    pub fn new(files: &RobotFiles) -> Result<Self, PlanError> {
        Ok(Self { expert: Expert::new(), rows: ToolRows::new(files)? })
    }

    /// What the expert would do from the world's true state.
    pub fn rollout(&mut self, world: &World, scene: &Scene) -> Rollout {
        self.expert.plan(&ExpertView::of(world, scene))
    }

    /// A rollout as joint positions; `shift(k)` is added to the tool position of row `k`, metres in the base frame.
    ///
    /// # Errors
    /// When a row is out of reach.
    pub fn to_chunk(
        &mut self,
        rollout: &Rollout,
        world: &World,
        stamp: Stamp,
        shift: impl Fn(usize) -> Vector3<f64>,
    ) -> Result<ActionChunk, PlanError> {
        let mut arm = [0.0; 7];
        arm.copy_from_slice(&world.joint_state().positions[..7]);
        let rows = (0..HORIZON).map(|row| (Vector3::from(rollout.tool[row]) + shift(row), rollout.finger[row]));
        self.rows.chunk(arm, stamp, STEP, rows)
    }
}
