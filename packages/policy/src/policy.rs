//! A policy that runs: observation and goal in, action chunk out.

use crate::actions::{ActionDecoder, ActionError};
use crate::conversion::{ConversionMismatch, ConversionReport, compare_conversion};
use crate::encoder::{EncoderError, SentenceError};
use crate::families::{Prefix, RunError, Runner, Trace};
use crate::goal::{Goal, Listener};
use crate::golden::{Parity, max_abs_difference};
use crate::manifest::{ActionSpace, LanguageSpec, Manifest, Reference};
use crate::package::{PolicyPackage, RobotMismatch};
use crate::ranges::{RangeMismatch, RangeProblem};
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
    /// Its numbers are no positions of the robot's joints.
    #[error(transparent)]
    Ranges(#[from] RangeMismatch),
    /// It is not converted as its exporter did.
    #[error("the worked example does not come out as its exporter had it: {0}")]
    Conversion(#[from] ConversionMismatch),
    /// The arm of the robot cannot be solved.
    #[error("the policy's end-effector actions cannot be solved on this robot: {0}")]
    Kinematics(#[from] IkError),
    /// Its sentence encoder or tokenizer cannot be opened.
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
    /// The goal was made for another policy.
    #[error("the goal is {found} with {len} values; expected, as the manifest says, {expected}")]
    Goal {
        /// What was given.
        found: &'static str,
        /// Its length.
        len: usize,
        /// What the manifest says.
        expected: String,
    },
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
    /// Those before it, `action.step` apart, the newest last, for a policy that looks at more than one. Where there are fewer than it looks at, the
    /// oldest (or this one) stands for those that lack, as at the start of an episode. Theirs are not looked at.
    pub earlier: &'a [Observation<'a>],
}

/// What a new chunk is to continue: the actions of the chunk in use, shifted so that their row 0 is that of the new one.
#[derive(Debug, Clone, Copy)]
pub struct Guide<'a> {
    /// Un-normalised actions before inverse kinematics, row-major `[horizon x actions]`, with relative ones counted from the observation of the new
    /// chunk (see [`Policy::rebase`]). What stands in rows of weight zero does not matter.
    pub actions: &'a [f64],
    /// One a row, 0 to 1: 1 for what the robot does while the policy thinks, then falling to 0.
    pub weights: &'a [f64],
}

/// A package opened for a robot. Not shared between threads; the same inputs give the same chunk, bit by bit, on the same machine (for a policy
/// that remembers: the same inputs since [`Policy::reset`]).
#[derive(Debug)]
pub struct Policy {
    package: PolicyPackage,
    joints: JointNames,
    chain: Chain,
    /// Place of each joint of the chain in `joints`.
    chain_places: Vec<usize>,
    images: Vec<Normalization>,
    listener: Listener,
    runner: Box<dyn Runner>,
    decoder: ActionDecoder,
    scratch: Scratch,
    /// What would be refused of joints that the package names in `robot.ranges_not_compared`.
    waived: Vec<RangeProblem>,
    /// What its golden file does not show, and what is odd.
    remarks: Vec<String>,
    /// What the worked example did not use when it was run.
    idle: Vec<String>,
}

/// Buffers that are reused from observation to observation.
#[derive(Debug, Default)]
struct Scratch {
    chain: Vec<f64>,
    state: Vec<f64>,
    noise: Vec<f32>,
    prefix: Vec<f32>,
    weights: Vec<f32>,
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
        let ranges = package.ranges(robot);
        if !ranges.problems.is_empty() {
            return Err(RangeMismatch(ranges.problems).into());
        }
        let manifest = &package.manifest;
        let joints = manifest.joints()?;
        let chain = Chain::new(robot, &manifest.robot.base_link, &manifest.robot.tip_link)?;
        let chain_places = chain.joint_names().iter().filter_map(|n| joints.index_of(n)).collect();
        let images = manifest.observation.images.iter().map(|i| i.normalization()).collect::<Result<_, _>>()?;
        let decoder = ActionDecoder::new(manifest, &joints, &chain, limits, package.golden.rest(manifest))?;
        let conversion = compare_conversion(manifest, &package.golden, Some((robot, limits)));
        if !conversion.problems.is_empty() {
            return Err(ConversionMismatch(conversion.problems).into());
        }
        let listener = Listener::open(&package.language, manifest, &package.folder, options)?;
        let runner = manifest.runner.open(&package, options)?;
        let chunk = manifest.action.horizon * manifest.action_len();
        let scratch = Scratch {
            chain: vec![0.0; chain.dof()],
            state: Vec::with_capacity(manifest.observation.history * manifest.state_len()),
            noise: vec![0.0; manifest.runner.noise_len(manifest.sample_len())],
            prefix: vec![0.0; manifest.sample_len()],
            weights: vec![0.0; manifest.sample_shape().0],
            normalized: vec![0.0; manifest.sample_len()],
            actions: vec![0.0; chunk],
        };
        let policy = Self {
            joints,
            chain,
            chain_places,
            images,
            listener,
            runner,
            decoder,
            scratch,
            waived: ranges.waived,
            remarks: told(&conversion),
            idle: Vec::new(),
            package,
        };
        for sentence in policy.not_compared().iter().chain(&policy.remarks) {
            log::warn!("policy {}: {sentence}", policy.manifest().policy.name);
        }
        Ok(policy)
    }

    /// What the package says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.package.manifest
    }

    /// What its package keeps from being compared with the robot's limits, one sentence a joint; to be told whenever it is activated.
    pub fn not_compared(&self) -> Vec<String> {
        let told = |joint: &String| match self.waived.iter().find(|problem| problem.joint == *joint) {
            Some(problem) => format!("robot.ranges_not_compared lets it pass: {problem}"),
            None => format!("joint '{joint}': its numbers are not compared (robot.ranges_not_compared)"),
        };
        self.package.manifest.robot.ranges_not_compared.iter().map(told).collect()
    }

    /// What could not be checked of its conversions, as its golden file does not show it, and what is odd, one sentence each; to be told whenever it
    /// is activated. None: all of them were.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// What the worked example does not show, as its networks went ways that do not use it, one sentence each; known after [`Self::verify_golden`].
    pub fn not_used(&self) -> &[String] {
        &self.idle
    }

    /// Why the worked example does not come out as its exporter's run did; nothing where it does.
    pub fn mismatch(&self, parity: &Parity) -> Option<String> {
        if parity.holds() {
            return None;
        }
        let (manifest, golden) = (self.manifest(), &self.package.golden);
        let differs = parity.context_max_abs > Parity::MAX_ABS || parity.actions_max_abs > Parity::MAX_ABS;
        let unknown = golden.observed_tools.is_empty() && !manifest.observation.state.end_effector.is_empty();
        let hint = if differs && unknown {
            "; the likely cause is the robot description: the state holds the tool's position, which differs by description (calibrated ones by 0.01 \
             to some mm), and the golden file does not say where its exporter had the tool (observed_tools, docs/policy_package.md)"
        } else {
            ""
        };
        Some(format!("{parity}{hint}"))
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
    pub fn embed(&mut self, sentence: &str) -> Result<Goal, SentenceError> {
        self.listener.hear(sentence)
    }

    /// Begins anew: a policy that remembers forgets. To be called where an episode or a goal begins; does nothing to others.
    pub fn reset(&mut self) {
        self.runner.reset();
    }

    /// The chunk for an observation and a goal: row k is due (k + 1) steps after the observation. `noise_seed` chooses among what a
    /// policy that samples might do; it does nothing to others.
    ///
    /// # Errors
    /// When the observation does not fit the manifest, the network gives something that is not finite, or a row is out of reach.
    pub fn act(
        &mut self,
        observation: &Observation<'_>,
        goal: &Goal,
        noise_seed: u64,
    ) -> Result<ActionChunk, PolicyError> {
        self.act_guided(observation, goal, noise_seed, None)
    }

    /// As [`Self::act`], but the chunk continues another; see [`Self::can_continue`].
    ///
    /// # Errors
    /// As [`Self::act`], and when the guide has another size than a chunk or a value that counts is not finite.
    pub fn act_guided(
        &mut self,
        observation: &Observation<'_>,
        goal: &Goal,
        noise_seed: u64,
        guide: Option<Guide<'_>>,
    ) -> Result<ActionChunk, PolicyError> {
        let measured = &observation.joints.positions;
        self.scratch.state.clear();
        let history = self.package.manifest.observation.history;
        for place in 0..history {
            // The newest earlier one stands at the last place but one; where there is none, the oldest known.
            let back = history - 1 - place;
            let seen = match back.min(observation.earlier.len()) {
                0 => observation,
                back => &observation.earlier[observation.earlier.len() - back],
            };
            self.measure(&seen.joints.positions)?;
            for camera in 0..self.package.manifest.observation.images.len() {
                let name = &self.package.manifest.observation.images[camera].name;
                let picture = seen.images.iter().find(|(n, _)| n == name);
                let (_, picture) = picture.ok_or_else(|| PolicyError::NoImage(name.clone()))?;
                self.set_image(camera, place, picture)?;
            }
        }
        self.set_state()?;
        self.set_goal(goal)?;
        self.draw(noise_seed);
        let guided = match guide {
            Some(guide) => self.set_guide(guide)? && self.can_continue(),
            None => false,
        };
        self.run(guided, None)?;
        let mut positions = Vec::with_capacity(self.package.manifest.action.horizon * self.joints.len());
        self.decoder.decode(&self.scratch.actions, measured, &mut positions)?;
        Ok(ActionChunk::new(observation.stamp, self.package.manifest.action.step, self.joints.clone(), positions)?)
    }

    /// Un-normalised actions before references and inverse kinematics, row-major `[horizon x actions]`.
    ///
    /// `images` holds one rgb8 picture a camera in the manifest's order, `state` the un-normalised state vector (joints, then tool
    /// centre), with a history each that of all its observations, the oldest first; `noise` the sample at t = 1 (its rows and columns are those of
    /// [`Manifest::sample_shape`]), then the fresh noise of each step that draws any (for a single pass anything, also nothing).
    ///
    /// # Errors
    /// When a length does not fit the manifest, or a value is not finite.
    pub fn infer_raw(
        &mut self,
        images: &[&[u8]],
        state: &[f64],
        goal: &Goal,
        noise: &[f32],
    ) -> Result<Vec<f64>, PolicyError> {
        self.infer(images, state, goal, noise, None)?;
        Ok(self.scratch.actions.clone())
    }

    /// Repeats the package's worked example and says how far the result is from the exporter's. The actions are computed from the
    /// exporter's own embedding or tokens, so that the quantised sentence encoder is judged apart from the policy, and where the golden file has them
    /// from the exporter's own positions of the tool, so that the robot description is (which is compared when the package is opened). What the policy
    /// remembers is forgotten before and after.
    ///
    /// # Errors
    /// When the example cannot be run.
    pub fn verify_golden(&mut self) -> Result<Parity, PolicyError> {
        let golden = self.package.golden.clone();
        let embedding_cosine = self.embed(&golden.sentence)?.cosine(&golden.goal);
        let cameras = self.package.manifest.observation.images.len();
        let mut trace = Trace::default();
        let mut actions = Vec::with_capacity(golden.actions.len());
        let history = self.package.manifest.observation.history;
        let mut cut = false;
        self.reset();
        for (chunk, frames) in golden.frames.chunks(history).enumerate() {
            self.scratch.state.clear();
            for (place, frame) in frames.iter().enumerate() {
                self.measure(&frame.joints)?;
                if let Some(tool) = golden.observed_tools.get(chunk * history + place) {
                    let axes = &self.package.manifest.observation.state.end_effector;
                    let from = self.scratch.state.len() - axes.len();
                    self.scratch.state.truncate(from);
                    self.scratch.state.extend(axes.iter().map(|axis| axis.of(&tool.translation.vector)));
                }
            }
            let state = self.scratch.state.clone();
            let (one, normalization) =
                (self.package.manifest.state_len(), &self.package.manifest.observation.state.normalization);
            cut |= state.iter().enumerate().any(|(i, value)| normalization.cuts(i % one, *value));
            let of = |camera: usize| frames.iter().flat_map(move |f| f.images[camera].iter().copied()).collect();
            let images: Vec<Vec<u8>> = (0..cameras).map(of).collect();
            let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
            self.infer(&images, &state, &golden.goal, &golden.noise, Some(&mut trace))?;
            actions.extend_from_slice(&self.scratch.actions);
        }
        self.reset();
        self.idle = self.unused(&trace, cut);
        let context = trace.context;
        let mut context_max_abs = if context.len() == golden.context.len() { 0.0 } else { f64::INFINITY };
        for (a, b) in context.iter().zip(&golden.context) {
            let Some(b) = b else { continue };
            let difference = max_abs_difference(a.iter().map(|v| f64::from(*v)), b.iter().map(|v| f64::from(*v)));
            context_max_abs = f64::max(context_max_abs, difference);
        }
        let actions_max_abs = max_abs_difference(actions.iter().copied(), golden.actions.iter().copied());
        let same = trace.tokens.iter().zip(&golden.tokens).filter(|(a, b)| a == b).count();
        let tokens_wrong = trace.tokens.len().max(golden.tokens.len()) - same;
        Ok(Parity { context_max_abs, tokens_wrong, actions_max_abs, embedding_cosine })
    }

    /// What of the manifest the worked example did not use.
    fn unused(&self, trace: &Trace, state_cut: bool) -> Vec<String> {
        let mut fields = trace.idle.clone();
        if self.package.manifest.observation.state.normalization.clips() && !state_cut {
            fields.push("observation.state.normalization.clip");
        }
        let told = |field| format!("{field}: nothing is cut in the worked example; take one in which something is");
        fields.into_iter().map(told).collect()
    }

    /// Whether a chunk can be made to continue another; otherwise a guide is not looked at.
    pub fn can_continue(&self) -> bool {
        self.package.manifest.runner.continues()
    }

    /// Un-normalised actions of the last chunk, before references and inverse kinematics, row-major `[horizon x actions]`.
    pub fn last_actions(&self) -> &[f64] {
        &self.scratch.actions
    }

    /// Makes actions that count from the observation with the joints at `from` count from that with the joints at `to` (both in the order of
    /// [`Self::joints`]). Absolute ones stay. Panics when there are fewer joints, or no whole rows.
    pub fn rebase(&self, actions: &mut [f64], from: &[f64], to: &[f64]) {
        let spec = &self.package.manifest.action;
        let columns = spec.names.len();
        let tools = || (self.tool_at(from).translation.vector, self.tool_at(to).translation.vector);
        let gripper = spec.gripper_joint.as_deref().and_then(|joint| self.joints.index_of(joint));
        let shift: Vec<f64> = match spec.space {
            ActionSpace::JointPosition => (0..columns).map(|j| from[j] - to[j]).collect(),
            ActionSpace::EndEffector => {
                let (before, after) = tools();
                let of = |name: &str| match name {
                    "x" => before.x - after.x,
                    "y" => before.y - after.y,
                    "z" => before.z - after.z,
                    "gripper" => gripper.map_or(0.0, |joint| from[joint] - to[joint]),
                    // Rotations are never relative.
                    _ => 0.0,
                };
                spec.names.iter().map(|name| of(name)).collect()
            }
        };
        for row in actions.chunks_exact_mut(columns) {
            for ((value, shift), reference) in row.iter_mut().zip(&shift).zip(&spec.reference) {
                if *reference == Reference::Relative {
                    *value += shift;
                }
            }
        }
    }

    fn infer(
        &mut self,
        images: &[&[u8]],
        state: &[f64],
        goal: &Goal,
        noise: &[f32],
        trace: Option<&mut Trace>,
    ) -> Result<(), PolicyError> {
        let manifest = &self.package.manifest;
        length("the list of pictures", images.len(), manifest.observation.images.len())?;
        let history = manifest.observation.history;
        length("the state", state.len(), history * manifest.state_len())?;
        if !self.scratch.noise.is_empty() {
            length("the noise", noise.len(), self.scratch.noise.len())?;
            if let Some(i) = noise.iter().position(|v| !v.is_finite()) {
                let (place, value) = (i.to_string(), f64::from(noise[i]));
                return Err(PolicyError::InputNotFinite { what: "the noise at", place, value });
            }
            self.scratch.noise.copy_from_slice(noise);
        }
        for (camera, pictures) in images.iter().enumerate() {
            // Of each as much as one picture has; what is too short or too long is named as that.
            let one = self.package.manifest.observation.images[camera].len();
            for place in 0..history {
                let end = if place + 1 == history { pictures.len() } else { (place + 1) * one };
                self.set_image(camera, place, pictures.get(place * one..end).unwrap_or_default())?;
            }
        }
        self.scratch.state.clear();
        self.scratch.state.extend_from_slice(state);
        self.set_state()?;
        self.set_goal(goal)?;
        self.run(false, trace)
    }

    /// Fills the noise of a run from a seed.
    fn draw(&mut self, seed: u64) {
        let Scratch { noise, normalized, .. } = &mut self.scratch;
        self.package.manifest.runner.draw(seed, normalized.len(), noise);
    }

    /// Normalises what the chunk is to continue. False where nothing of it counts.
    fn set_guide(&mut self, guide: Guide<'_>) -> Result<bool, PolicyError> {
        let Scratch { prefix, weights, .. } = &mut self.scratch;
        let spec = &self.package.manifest.action;
        let columns = spec.names.len();
        length("the guide", guide.actions.len(), spec.horizon * columns)?;
        length("the weights of the guide", guide.weights.len(), spec.horizon)?;
        // Rows that are past are left free, and columns that mean nothing are drawn to what they were filled up with in training.
        weights.fill(0.0);
        prefix.fill(0.0);
        let wide = columns + spec.pad_columns;
        let rows = weights.iter_mut().zip(prefix.chunks_exact_mut(wide)).skip(spec.skip_rows);
        for (row, (weight, (out, prefix))) in guide.weights.iter().zip(rows).enumerate() {
            if !(0.0..=1.0).contains(weight) {
                let place = row.to_string();
                return Err(PolicyError::InputNotFinite {
                    what: "the weight of the guide's row",
                    place,
                    value: *weight,
                });
            }
            *out = *weight as f32;
            for (column, place) in prefix.iter_mut().enumerate().take(columns) {
                let value = guide.actions[row * columns + column];
                let normalized = if *weight > 0.0 { spec.normalization.apply(column, value) as f32 } else { 0.0 };
                if !normalized.is_finite() {
                    let place = format!("'{}' in row {row}", spec.names[column]);
                    return Err(PolicyError::InputNotFinite { what: "the guide's", place, value });
                }
                *place = normalized;
            }
        }
        Ok(weights.iter().any(|weight| *weight > 0.0))
    }

    /// Adds the state vector of measured joints: the joints, then the tool centre in the base link.
    fn measure(&mut self, measured: &[f64]) -> Result<(), PolicyError> {
        length("the joint state", measured.len(), self.joints.len())?;
        let state = &mut self.scratch.state;
        state.extend_from_slice(measured);
        for (q, place) in self.scratch.chain.iter_mut().zip(&self.chain_places) {
            *q = measured[*place];
        }
        let tool = self.chain.fk(&self.scratch.chain).translation.vector;
        for axis in &self.package.manifest.observation.state.end_effector {
            state.push(axis.of(&tool));
        }
        Ok(())
    }

    /// Writes a picture to its place in the history, the oldest first.
    fn set_image(&mut self, camera: usize, place: usize, picture: &[u8]) -> Result<(), PolicyError> {
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
        let one = spec.len();
        let tensor = &mut self.runner.observation().image_mut(camera)[place * one..(place + 1) * one];
        Ok(to_tensor(picture, spec.layout, &self.images[camera], tensor)?)
    }

    /// Normalises the state vectors into their tensor.
    fn set_state(&mut self) -> Result<(), PolicyError> {
        let normalization = &self.package.manifest.observation.state.normalization;
        let tensor = self.runner.observation().state_mut();
        let one = self.package.manifest.state_len();
        for (i, (value, out)) in self.scratch.state.iter().zip(tensor).enumerate() {
            let i = i % one;
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

    fn set_goal(&mut self, goal: &Goal) -> Result<(), PolicyError> {
        if self.runner.observation().set_goal(goal) {
            return Ok(());
        }
        let found = match goal {
            Goal::Embedding(_) => "an embedding",
            Goal::Tokens(_) => "tokens",
            Goal::Unheard => "nothing",
        };
        let expected = match &self.package.manifest.observation.language {
            None => "nothing".to_owned(),
            Some(LanguageSpec::Embedding { encoder, .. }) => format!("an embedding with {} values", encoder.dim),
            Some(LanguageSpec::Tokens(spec)) => format!("at most {} tokens", spec.max_tokens),
        };
        Err(PolicyError::Goal { found, len: goal.len(), expected })
    }

    /// Runs the graphs and un-normalises what they give into `scratch.actions`.
    fn run(&mut self, guided: bool, trace: Option<&mut Trace>) -> Result<(), PolicyError> {
        let Scratch { noise, prefix, weights, normalized, actions, .. } = &mut self.scratch;
        let prefix = guided.then_some(Prefix { actions: prefix, weights });
        self.runner.run(noise, prefix, normalized, trace)?;
        let spec = &self.package.manifest.action;
        let columns = spec.names.len();
        let rows = normalized.chunks_exact(columns + spec.pad_columns).skip(spec.skip_rows);
        let values = rows.flat_map(|row| &row[..columns]);
        for (i, (value, out)) in values.zip(actions).enumerate() {
            let (row, column) = (i / columns, i % columns);
            *out = spec.normalization.undo(column, f64::from(*value));
            if !out.is_finite() {
                return Err(PolicyError::NotFinite { row, name: spec.names[column].clone(), value: f64::from(*value) });
            }
        }
        Ok(())
    }
}

/// What a report says that is no refusal.
fn told(report: &ConversionReport) -> Vec<String> {
    let not_checked = report.not_checked.iter().map(|sentence| format!("NOT CHECKED: {sentence}"));
    not_checked.chain(report.warnings.iter().cloned()).collect()
}

fn length(what: &'static str, found: usize, expected: usize) -> Result<(), PolicyError> {
    if found == expected { Ok(()) } else { Err(PolicyError::Length { what, found, expected }) }
}
