//! A policy that runs: observation and goal in, action chunk out.

use crate::actions::{ActionDecoder, ActionError};
use crate::encoder::{Embedding, EncoderError, SentenceEncoder, SentenceError};
use crate::golden::{Parity, max_abs_difference};
use crate::manifest::{Axis, Manifest, RunnerSpec};
use crate::noise::fill_normal;
use crate::package::{PolicyPackage, RobotMismatch};
use crate::runner::{RunError, Runner};
use crate::runtime::{RuntimeError, RuntimeOptions};
use efm_core::{ActionChunk, ChunkError, JointNames, JointNamesError, JointSample, Stamp};
use efm_robot::{Chain, ChainError, IkError, LimitSet, RobotModel};
use efm_vision::{Normalization, VisionError, to_tensor};

/// Why a package cannot be run on a robot.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It does not fit the robot.
    #[error(transparent)]
    Robot(#[from] RobotMismatch),
    /// The arm of the robot cannot be solved.
    #[error("the policy's end-effector actions cannot be solved on this robot: {0}")]
    Kinematics(#[from] IkError),
    /// Its sentence encoder cannot be opened.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// Excluded by the checks of the manifest.
    #[error("{0}")]
    Image(#[from] VisionError),
    /// Excluded by the checks of the manifest.
    #[error("robot.joints: {0}")]
    Joints(#[from] JointNamesError),
}

impl From<ChainError> for OpenError {
    fn from(error: ChainError) -> Self {
        Self::Robot(error.into())
    }
}

/// Why there is no chunk for an observation.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A camera's picture is not in the observation.
    #[error("the observation lacks the picture of camera '{0}'")]
    NoImage(String),
    /// A camera's picture has another size than the policy's.
    #[error("the picture of camera '{camera}' has {found} bytes; expected {width}x{height} rgb8 ({expected} bytes)")]
    ImageSize {
        /// Which.
        camera: String,
        /// Bytes that came.
        found: usize,
        /// Bytes of the right size.
        expected: usize,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// A vector has another length than the manifest says.
    #[error("{what} has {found} values; expected {expected}")]
    Length {
        /// Which vector.
        what: &'static str,
        /// Values that came.
        found: usize,
        /// Values that the manifest says.
        expected: usize,
    },
    /// An input is NaN or infinite.
    #[error("{what} {place} is {value}, not a finite number")]
    InputNotFinite {
        /// Which vector.
        what: &'static str,
        /// Joint or place.
        place: String,
        /// What it was.
        value: f64,
    },
    /// The network gave NaN or infinity.
    #[error("the policy gave {value} for '{name}' in row {row}, not a finite number; the chunk is refused")]
    NotFinite {
        /// Row of the chunk.
        row: usize,
        /// Column.
        name: String,
        /// What it was.
        value: f64,
    },
    /// Out of reach.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// The graphs did not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The picture cannot be normalised.
    #[error(transparent)]
    Image(#[from] VisionError),
    /// Excluded by the checks before it.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The golden sentence has no embedding.
    #[error("the golden sentence: {0}")]
    Sentence(#[from] SentenceError),
}

/// What a policy looks at, all of one moment.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// When it was: the time the chunk counts from.
    pub stamp: Stamp,
    /// Pictures by camera name: rgb8 at the policy's size, row-major without padding. More cameras than needed do no harm.
    pub images: &'a [(&'a str, &'a [u8])],
    /// Measured joints in the order of [`Policy::joints`].
    pub joints: &'a JointSample,
}

/// A package opened for a robot. Not shared between threads; the same inputs give the same chunk, bit by bit, on the same machine.
#[derive(Debug)]
pub struct Policy {
    package: PolicyPackage,
    joints: JointNames,
    chain: Chain,
    /// Place of each joint of the chain in `joints`.
    chain_places: Vec<usize>,
    images: Vec<Normalization>,
    encoder: SentenceEncoder,
    runner: Runner,
    decoder: ActionDecoder,
    scratch: Scratch,
}

/// Buffers that are reused from observation to observation.
#[derive(Debug, Default)]
struct Scratch {
    chain: Vec<f64>,
    state: Vec<f64>,
    noise: Vec<f32>,
    normalized: Vec<f32>,
    actions: Vec<f64>,
}

impl Policy {
    /// Checks the package against the robot and makes its sessions. `limits` must cover all joints of the package: inverse kinematics
    /// and gripper commands stay within them.
    ///
    /// # Errors
    /// Naming what does not fit.
    pub fn open(
        package: PolicyPackage,
        robot: &RobotModel,
        limits: &LimitSet,
        options: RuntimeOptions,
    ) -> Result<Self, OpenError> {
        package.check_robot(robot)?;
        let manifest = &package.manifest;
        let joints = manifest.joints()?;
        let chain = Chain::new(robot, &manifest.robot.base_link, &manifest.robot.tip_link)?;
        let chain_places = chain.joint_names().iter().filter_map(|n| joints.index_of(n)).collect();
        let images = manifest.observation.images.iter().map(|i| i.normalization()).collect::<Result<_, _>>()?;
        // A posture of the training data serves where none is given.
        let rest = manifest.action.rest_posture.as_ref().unwrap_or(&package.golden.joints);
        let decoder = ActionDecoder::new(manifest, &joints, &chain, limits, rest)?;
        let encoder = SentenceEncoder::open(&package.encoder, options)?;
        let runner = Runner::open(&package, options)?;
        let chunk = manifest.action.horizon * manifest.action_len();
        let scratch = Scratch {
            chain: vec![0.0; chain.dof()],
            state: Vec::with_capacity(manifest.state_len()),
            noise: vec![0.0; chunk],
            normalized: vec![0.0; chunk],
            actions: vec![0.0; chunk],
        };
        Ok(Self { joints, chain, chain_places, images, encoder, runner, decoder, scratch, package })
    }

    /// What the package says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.package.manifest
    }

    /// The package that this was opened from.
    pub fn package(&self) -> &PolicyPackage {
        &self.package
    }

    /// Joints of observations and chunks, in order.
    pub fn joints(&self) -> &JointNames {
        &self.joints
    }

    /// Pose of the tool centre in the base frame with the joints at `positions` (in the order of [`Self::joints`]). Panics when
    /// there are fewer.
    pub fn tool_at(&self, positions: &[f64]) -> nalgebra::Isometry3<f64> {
        let chain: Vec<f64> = self.chain_places.iter().map(|place| positions[*place]).collect();
        self.chain.fk(&chain)
    }

    /// What a sentence means to this policy.
    ///
    /// # Errors
    /// When it is empty or absurdly long.
    pub fn embed(&mut self, sentence: &str) -> Result<Embedding, SentenceError> {
        self.encoder.embed(sentence)
    }

    /// The chunk for an observation and a goal: row k is due (k + 1) steps after the observation. `noise_seed` chooses among what a
    /// flow-matching policy might do; it does nothing to others.
    ///
    /// # Errors
    /// When the observation does not fit the manifest, the network gives something that is not finite, or a row is out of reach.
    pub fn act(
        &mut self,
        observation: &Observation<'_>,
        goal: &Embedding,
        noise_seed: u64,
    ) -> Result<ActionChunk, PolicyError> {
        let measured = &observation.joints.positions;
        self.measure(measured)?;
        for camera in 0..self.package.manifest.observation.images.len() {
            let name = &self.package.manifest.observation.images[camera].name;
            let picture = observation.images.iter().find(|(n, _)| n == name);
            let (_, picture) = picture.ok_or_else(|| PolicyError::NoImage(name.clone()))?;
            self.set_image(camera, picture)?;
        }
        self.set_state()?;
        self.set_goal(goal)?;
        let scale = match self.package.manifest.runner {
            RunnerSpec::FlowMatching { noise_scale, .. } => noise_scale,
            RunnerSpec::SinglePass {} => 0.0,
        };
        fill_normal(noise_seed, scale, &mut self.scratch.noise);
        self.run(None)?;
        let mut positions = Vec::with_capacity(self.package.manifest.action.horizon * self.joints.len());
        self.decoder.decode(&self.scratch.actions, measured, &mut positions)?;
        Ok(ActionChunk::new(observation.stamp, self.package.manifest.action.step, self.joints.clone(), positions)?)
    }

    /// Un-normalised actions before references and inverse kinematics, row-major `[horizon x actions]`.
    ///
    /// `images` holds one rgb8 picture a camera in the manifest's order, `state` the un-normalised state vector (joints, then tool
    /// centre), `noise` the sample at t = 1, row-major `[horizon x actions]` (for a single pass anything, also nothing).
    ///
    /// # Errors
    /// When a length does not fit the manifest, or a value is not finite.
    pub fn infer_raw(
        &mut self,
        images: &[&[u8]],
        state: &[f64],
        goal: &Embedding,
        noise: &[f32],
    ) -> Result<Vec<f64>, PolicyError> {
        self.infer(images, state, goal, noise, None)?;
        Ok(self.scratch.actions.clone())
    }

    /// Repeats the package's worked example and says how far the result is from the exporter's. The actions are computed from the
    /// exporter's own embedding, so that the quantised sentence encoder is judged apart from the policy.
    ///
    /// # Errors
    /// When the example cannot be run.
    pub fn verify_golden(&mut self) -> Result<Parity, PolicyError> {
        let golden = self.package.golden.clone();
        let text = Embedding::new(golden.text)?;
        let embedding_cosine = self.embed(&golden.sentence)?.cosine(&text);
        self.measure(&golden.joints)?;
        let state = self.scratch.state.clone();
        let images: Vec<&[u8]> = golden.images.iter().map(Vec::as_slice).collect();
        let mut context = Vec::new();
        self.infer(&images, &state, &text, &golden.noise, Some(&mut context))?;
        let mut context_max_abs = if context.len() == golden.context.len() { 0.0 } else { f64::INFINITY };
        for (a, b) in context.iter().zip(&golden.context) {
            let difference = max_abs_difference(a.iter().map(|v| f64::from(*v)), b.iter().map(|v| f64::from(*v)));
            context_max_abs = f64::max(context_max_abs, difference);
        }
        let actions_max_abs = max_abs_difference(self.scratch.actions.iter().copied(), golden.actions.iter().copied());
        Ok(Parity { context_max_abs, actions_max_abs, embedding_cosine })
    }

    fn infer(
        &mut self,
        images: &[&[u8]],
        state: &[f64],
        goal: &Embedding,
        noise: &[f32],
        trace: Option<&mut Vec<Vec<f32>>>,
    ) -> Result<(), PolicyError> {
        let manifest = &self.package.manifest;
        length("the list of pictures", images.len(), manifest.observation.images.len())?;
        length("the state", state.len(), manifest.state_len())?;
        if let RunnerSpec::FlowMatching { .. } = manifest.runner {
            length("the noise", noise.len(), self.scratch.noise.len())?;
            if let Some(i) = noise.iter().position(|v| !v.is_finite()) {
                let (place, value) = (i.to_string(), f64::from(noise[i]));
                return Err(PolicyError::InputNotFinite { what: "the noise at", place, value });
            }
            self.scratch.noise.copy_from_slice(noise);
        }
        for (camera, picture) in images.iter().enumerate() {
            self.set_image(camera, picture)?;
        }
        self.scratch.state.clear();
        self.scratch.state.extend_from_slice(state);
        self.set_state()?;
        self.set_goal(goal)?;
        self.run(trace)
    }

    /// Makes the state vector of measured joints: the joints, then the tool centre in the base link.
    fn measure(&mut self, measured: &[f64]) -> Result<(), PolicyError> {
        length("the joint state", measured.len(), self.joints.len())?;
        let state = &mut self.scratch.state;
        state.clear();
        state.extend_from_slice(measured);
        for (q, place) in self.scratch.chain.iter_mut().zip(&self.chain_places) {
            *q = measured[*place];
        }
        let tool = self.chain.fk(&self.scratch.chain).translation.vector;
        for axis in &self.package.manifest.observation.state.end_effector {
            state.push(match axis {
                Axis::X => tool.x,
                Axis::Y => tool.y,
                Axis::Z => tool.z,
            });
        }
        Ok(())
    }

    fn set_image(&mut self, camera: usize, picture: &[u8]) -> Result<(), PolicyError> {
        let spec = &self.package.manifest.observation.images[camera];
        if picture.len() != spec.len() {
            return Err(PolicyError::ImageSize {
                camera: spec.name.clone(),
                found: picture.len(),
                expected: spec.len(),
                width: spec.width,
                height: spec.height,
            });
        }
        let tensor = self.runner.observation().image_mut(camera);
        Ok(to_tensor(picture, spec.layout, &self.images[camera], tensor)?)
    }

    /// Normalises the state vector into its tensor.
    fn set_state(&mut self) -> Result<(), PolicyError> {
        let normalization = &self.package.manifest.observation.state.normalization;
        let tensor = self.runner.observation().state_mut();
        for (i, (value, out)) in self.scratch.state.iter().zip(tensor).enumerate() {
            *out = normalization.apply(i, *value) as f32;
            if !out.is_finite() {
                let place = match self.joints.as_slice().get(i) {
                    Some(joint) => format!("of joint '{joint}'"),
                    None => "of the tool centre".to_owned(),
                };
                return Err(PolicyError::InputNotFinite { what: "the measured position", place, value: *value });
            }
        }
        Ok(())
    }

    fn set_goal(&mut self, goal: &Embedding) -> Result<(), PolicyError> {
        let tensor = self.runner.observation().text_mut();
        length("the goal's embedding", goal.values().len(), tensor.len())?;
        tensor.copy_from_slice(goal.values());
        Ok(())
    }

    /// Runs the graphs and un-normalises what they give into `scratch.actions`.
    fn run(&mut self, trace: Option<&mut Vec<Vec<f32>>>) -> Result<(), PolicyError> {
        let Scratch { noise, normalized, actions, .. } = &mut self.scratch;
        self.runner.run(noise, normalized, trace)?;
        let spec = &self.package.manifest.action;
        let columns = spec.names.len();
        for (i, (value, out)) in normalized.iter().zip(actions).enumerate() {
            let (row, column) = (i / columns, i % columns);
            *out = spec.normalization.undo(column, f64::from(*value));
            if !out.is_finite() {
                return Err(PolicyError::NotFinite { row, name: spec.names[column].clone(), value: f64::from(*value) });
            }
        }
        Ok(())
    }
}

fn length(what: &'static str, found: usize, expected: usize) -> Result<(), PolicyError> {
    if found == expected { Ok(()) } else { Err(PolicyError::Length { what, found, expected }) }
}
