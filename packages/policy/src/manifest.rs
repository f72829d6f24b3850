//! `policy.yaml`: what a policy needs from a robot, and how its graphs are fed and read.
//!
//! Reading a manifest touches no graph and needs no ONNX Runtime: `camera_ingest` learns the cameras and sizes from it.
//! The format is described in `docs/policy_package.md`.

use crate::families::RunnerSpec;
use crate::files;
use crate::names;
use crate::normalize::VectorNormalization;
use efm_core::reading::listed;
use efm_core::words::{Lexicon, ListError, Names};
use efm_core::{ActionChunk, JointNames};
use efm_vision::{Filter, Fit, Layout, MAX_SIDE, Normalization, Pad, ResizeMode};
use nalgebra::Vector3;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Name of the manifest in its folder.
pub const MANIFEST_FILE: &str = "policy.yaml";

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not YAML of the right form: a key is missing, unknown inside a section, or of another type.
    #[error("{}: {problem}", file.display())]
    Form {
        /// Which file.
        file: PathBuf,
        /// What the parser says; names the field and line.
        problem: String,
    },
    /// A field holds a value that cannot be.
    #[error("{}: {field}: {problem}", file.display())]
    Field {
        /// Which file.
        file: PathBuf,
        /// Path of the field, as in `action.horizon`.
        field: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// A checked manifest. Every value in it is within its range, and the lengths of its lists agree with each other.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Manifest {
    /// Format and version: `policy_package/1.x`.
    pub schema: String,
    /// Who it is.
    pub policy: PolicyInfo,
    /// What it expects of the robot.
    pub robot: RobotContract,
    /// What it sees.
    pub observation: ObservationSpec,
    /// What it gives.
    pub action: ActionSpec,
    /// How it is run.
    pub runner: RunnerSpec,
    /// The ONNX graphs by role. Which roles there are says the family ([`Family::graphs`](crate::families::Family::graphs)).
    pub graphs: BTreeMap<String, GraphSpec>,
    /// How its chunks are executed.
    pub execution: ExecutionSpec,
    /// One worked example.
    pub golden: FileSpec,
    /// What it knows by name. None: sentences are not compared with anything.
    #[serde(default)]
    pub vocabulary: Option<VocabularySpec>,
}

/// What a policy was trained to be told, so that what it was not is refused before it moves anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VocabularySpec {
    /// Things that it handles, each with other names for it.
    #[serde(default)]
    pub objects: Names,
    /// What it can be asked for, each with other words for it. A sentence names an object or a goal, or is refused.
    #[serde(default)]
    pub goals: Names,
    /// What it does, each with other words for it. Only told, never asked for: many sentences have no verb.
    #[serde(default)]
    pub verbs: Names,
    /// Whether it understands what it is told not to do.
    #[serde(default)]
    pub negations: Negations,
}

/// What becomes of sentences that say what not to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Negations {
    /// They are refused: most policies do what is negated.
    #[default]
    Refused,
    /// They are passed on: the policy was trained on them.
    Understood,
}

impl VocabularySpec {
    /// As sentences are compared with it.
    fn lexicon(&self) -> Result<Lexicon, ListError> {
        Lexicon::new(&self.objects, &self.goals, &self.verbs, self.negations == Negations::Understood)
    }
}

/// Name, version and family of a policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(missing_docs)] // the names say it
pub struct PolicyInfo {
    pub name: String,
    pub version: String,
    pub family: String,
    #[serde(default)]
    pub license: String,
    #[serde(default)]
    pub description: String,
}

/// The robot that a policy was made for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobotContract {
    /// Order of every joint vector of the package.
    pub joints: Vec<String>,
    /// Unit of each joint.
    pub units: Vec<JointUnit>,
    /// Frame of end-effector positions.
    pub base_link: String,
    /// The tool centre.
    pub tip_link: String,
    /// Joints (or columns of the actions) whose numbers are right although they look wrong: they are not compared with the limits. Told at each
    /// activation.
    #[serde(default)]
    pub ranges_not_compared: Vec<String>,
}

/// Unit of a joint position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum JointUnit {
    /// Radians: revolute and continuous joints.
    #[serde(rename = "rad")]
    Radian,
    /// Metres: prismatic joints.
    #[serde(rename = "m")]
    Metre,
}

impl std::fmt::Display for JointUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Radian => "rad",
            Self::Metre => "m",
        })
    }
}

/// What a policy sees.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservationSpec {
    /// One a camera.
    pub images: Vec<ImageSpec>,
    /// Measured joints and tool centre.
    pub state: StateSpec,
    /// The goal. None: a policy that knows one task and does it whatever it is told.
    #[serde(default)]
    pub language: Option<LanguageSpec>,
    /// Observations that it looks at, [`ActionSpec::step`] apart: the present one and those before it. With more than one, pictures and state
    /// have one more axis after that of the batch, the oldest first.
    #[serde(default = "one_row")]
    pub history: usize,
}

/// One camera's picture.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// Camera name: the picture comes on `observation/<name>/image`.
    pub name: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Always `rgb8`.
    pub encoding: String,
    /// How a camera of another shape is fitted.
    pub resize: ResizeMode,
    /// How pixels are interpolated.
    #[serde(default)]
    pub filter: Filter,
    /// The border, where `resize` is `pad`; without it, black on both sides.
    #[serde(default)]
    pub pad: Option<Pad>,
    /// Order of the axes.
    pub layout: Layout,
    /// Subtracted from value/255, by channel.
    pub mean: [f32; 3],
    /// Divides, by channel.
    pub std: [f32; 3],
    /// Name of the graph's input.
    pub tensor: String,
    /// What the camera was like whose pictures it was trained with, where that is known.
    #[serde(default)]
    pub camera: Option<CameraSpec>,
}

/// What the camera was like whose pictures a policy was trained with: what is given is compared with the one that is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraSpec {
    /// Of its pictures as they came, before they were brought to the policy's size, pixels.
    pub width: Option<u32>,
    /// As `width`.
    pub height: Option<u32>,
    /// Whether its lens's distortion was taken out of them.
    pub rectified: Option<bool>,
    /// The part of the sensor that they show: left, top, width and height, pixels of the sensor.
    pub crop: Option<[u32; 4]>,
    /// Pixels of the sensor to one of theirs, across and down.
    pub binning: Option<[u32; 2]>,
}

impl CameraSpec {
    /// Field and what is wrong with it.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let sides = [("width", self.width), ("height", self.height)];
        if let Some((field, side)) = sides
            .into_iter()
            .find_map(|(field, side)| Some((field, side.filter(|side| !(1..=MAX_SIDE).contains(side))?)))
        {
            return Err((field, format!("is {side}; expected 1 to {MAX_SIDE} pixels")));
        }
        if let Some(crop @ [_, _, width, height]) = self.crop
            && (width == 0 || height == 0)
        {
            return Err(("crop", format!("is {crop:?}; expected left, top, width and height, the last two above 0")));
        }
        if let Some(binning) = self.binning
            && binning.contains(&0)
        {
            return Err((
                "binning",
                format!("is {binning:?}; expected two numbers above 0, 1 where nothing is binned"),
            ));
        }
        Ok(())
    }
}

impl ImageSpec {
    /// Shape of one picture in the tensor, without batch and history.
    pub fn shape(&self) -> [i64; 3] {
        let (w, h) = (i64::from(self.width), i64::from(self.height));
        match self.layout {
            Layout::Nchw => [3, h, w],
            Layout::Nhwc => [h, w, 3],
        }
    }

    /// Bytes of the rgb8 picture, and values of the tensor.
    pub fn len(&self) -> usize {
        self.width as usize * self.height as usize * 3
    }

    /// Never: sizes are at least one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How a camera's picture is brought to this size.
    pub fn fit(&self) -> Fit {
        Fit { mode: self.resize, filter: self.filter, pad: self.pad.unwrap_or_default() }
    }

    /// Checked already when the manifest was read.
    pub(crate) fn normalization(&self) -> Result<Normalization, efm_vision::VisionError> {
        Normalization::new(self.mean, self.std)
    }
}

/// The measured state: joints in robot order, then the tool centre.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateSpec {
    /// Name of the graph's input.
    pub tensor: String,
    /// Which coordinates of the tool centre in the base link follow the joints.
    #[serde(default)]
    pub end_effector: Vec<Axis>,
    /// Applied to the whole vector.
    pub normalization: VectorNormalization,
}

/// A coordinate of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Axis {
    X,
    Y,
    Z,
}

impl Axis {
    /// This coordinate of a position.
    pub(crate) fn of(self, at: &Vector3<f64>) -> f64 {
        match self {
            Self::X => at.x,
            Self::Y => at.y,
            Self::Z => at.z,
        }
    }
}

/// How a policy is told its goal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RawLanguage")]
pub enum LanguageSpec {
    /// As a vector, made by an encoder that is shared by policies.
    Embedding {
        /// Name of the graph's input, float32 `[1, dim]`.
        tensor: String,
        /// Which encoder made the embeddings of the training data.
        encoder: EncoderRef,
    },
    /// As tokens, which the policy's own graph reads.
    Tokens(TokensSpec),
}

impl LanguageSpec {
    /// Names of the graph's inputs.
    pub fn tensors(&self) -> Vec<&str> {
        match self {
            Self::Embedding { tensor, .. } => vec![tensor],
            Self::Tokens(spec) => vec![&spec.input_ids, &spec.attention_mask],
        }
    }
}

/// How a sentence becomes the tokens of a policy. Both tensors are int64 `[1, max_tokens]`, filled from the left.
#[derive(Debug, Clone, PartialEq)]
pub struct TokensSpec {
    /// In the format of the `tokenizers` library, beside the manifest.
    pub tokenizer: FileSpec,
    /// Name of the graph's input for the ids.
    pub input_ids: String,
    /// Name of the graph's input that says what is of the sentence (1) and what only fills up (0).
    pub attention_mask: String,
    /// Longer sentences are cut at the end, special tokens included.
    pub max_tokens: usize,
    /// Id that fills up.
    pub pad_id: i64,
    /// Put behind sentences that do not end with it: what the training data had, as a line feed (PaliGemma, SmolVLA).
    pub suffix: String,
}

/// The keys of [`LanguageSpec`], all of both forms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLanguage {
    tensor: Option<String>,
    encoder: Option<EncoderRef>,
    tokenizer: Option<FileSpec>,
    input_ids: Option<String>,
    attention_mask: Option<String>,
    max_tokens: Option<usize>,
    pad_id: Option<i64>,
    suffix: Option<String>,
}

impl TryFrom<RawLanguage> for LanguageSpec {
    type Error = String;

    fn try_from(raw: RawLanguage) -> Result<Self, String> {
        // The parser names only the section around it.
        Self::of(raw).map_err(|problem| format!("language: {problem}"))
    }
}

impl LanguageSpec {
    fn of(raw: RawLanguage) -> Result<Self, String> {
        fn needed<T>(value: Option<T>, field: &str, with: &str) -> Result<T, String> {
            value.ok_or_else(|| format!("missing field `{field}`, which goes with `{with}`"))
        }
        let RawLanguage { tensor, encoder, tokenizer, input_ids, attention_mask, max_tokens, pad_id, suffix } = raw;
        match (encoder, tokenizer) {
            (Some(_), Some(_)) => Err("has `encoder` and `tokenizer`; expected one of them".to_owned()),
            (None, None) => {
                Err("missing field `encoder` (the goal as a vector) or `tokenizer` (the goal as tokens)".to_owned())
            }
            (Some(encoder), None) => {
                let others = [
                    ("input_ids", input_ids.is_some()),
                    ("attention_mask", attention_mask.is_some()),
                    ("max_tokens", max_tokens.is_some()),
                    ("pad_id", pad_id.is_some()),
                    ("suffix", suffix.is_some()),
                ];
                if let Some((field, _)) = others.iter().find(|(_, given)| *given) {
                    return Err(format!("`{field}` goes with `tokenizer`, not with `encoder`"));
                }
                Ok(Self::Embedding { tensor: needed(tensor, "tensor", "encoder")?, encoder })
            }
            (None, Some(tokenizer)) => {
                if tensor.is_some() {
                    return Err("`tensor` goes with `encoder`; with `tokenizer` there are `input_ids` and \
                                `attention_mask`"
                        .to_owned());
                }
                Ok(Self::Tokens(TokensSpec {
                    tokenizer,
                    input_ids: needed(input_ids, "input_ids", "tokenizer")?,
                    attention_mask: needed(attention_mask, "attention_mask", "tokenizer")?,
                    max_tokens: needed(max_tokens, "max_tokens", "tokenizer")?,
                    pad_id: needed(pad_id, "pad_id", "tokenizer")?,
                    suffix: suffix.unwrap_or_default(),
                }))
            }
        }
    }
}

/// A sentence encoder, found by the hash of its model file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderRef {
    /// For people.
    pub name: String,
    /// Of its model file.
    pub sha256: String,
    /// Length of an embedding.
    pub dim: usize,
}

/// What a policy's numbers mean.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionSpec {
    /// Tool positions or joint positions.
    pub space: ActionSpace,
    /// One a column.
    pub names: Vec<String>,
    /// Unit of each column.
    pub units: Vec<JointUnit>,
    /// What each column counts from.
    pub reference: Vec<Reference>,
    /// Held where the policy gives no orientation (end-effector space).
    #[serde(default)]
    pub orientation: Option<Rpy>,
    /// Posture that inverse kinematics leans to where the arm has freedom left, in the order of `robot.joints`; without it, that of
    /// the golden example.
    #[serde(default)]
    pub rest_posture: Option<Vec<f64>>,
    /// Joint that the column `gripper` moves.
    #[serde(default)]
    pub gripper_joint: Option<String>,
    /// Rows of a chunk.
    pub horizon: usize,
    /// Rows that the graphs give before the first of the chunk, for times that are past: a policy that looks at n observations and gives actions
    /// from the oldest on (Diffusion Policy) has n - 1. They are sampled with the others and then dropped.
    #[serde(default)]
    pub skip_rows: usize,
    /// Columns of the graphs behind those of [`Self::names`], which mean nothing on this robot (SmolVLA, pi0: actions are filled up with zeros to
    /// the width of all robots). They are sampled with the others and then dropped; what a chunk is to continue counts as zero in them.
    #[serde(default)]
    pub pad_columns: usize,
    /// Seconds between rows.
    pub step: f64,
    /// Undone on each row.
    pub normalization: VectorNormalization,
}

/// Space of the actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionSpace {
    /// Pose of the tool centre in the base link, then the gripper.
    EndEffector,
    /// Positions of all joints of the robot.
    JointPosition,
}

/// What an action counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reference {
    /// The value measured at the observation; the same for all rows of a chunk.
    Relative,
    /// Zero.
    Absolute,
}

/// Orientation of the tool in the base link: roll about x, then pitch about y, then yaw about z, all fixed axes (URDF's).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Rpy {
    pub roll: f64,
    pub pitch: f64,
    pub yaw: f64,
}

fn one_row() -> usize {
    1
}

/// One ONNX graph.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphSpec {
    /// Beside the manifest.
    pub file: String,
    /// Of the file.
    pub sha256: String,
    /// Names of all its inputs.
    pub inputs: Vec<String>,
    /// Names of the outputs that are read.
    pub outputs: Vec<String>,
}

/// A file that must be as it was.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Beside the manifest.
    pub file: String,
    /// Of the file.
    pub sha256: String,
}

/// How chunks are executed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionSpec {
    /// Rows that are executed before the policy looks again.
    pub replan_steps: usize,
}

impl Manifest {
    /// Reads and checks `policy.yaml` in a folder.
    ///
    /// # Errors
    /// Naming the file and the field.
    pub fn read(folder: &Path) -> Result<Self, ManifestError> {
        let file = folder.join(MANIFEST_FILE);
        let text = files::read_settings(folder, MANIFEST_FILE)
            .map_err(|source| ManifestError::Read { file: file.clone(), source })?;
        Self::parse(&text, &file)
    }

    /// Checks the text of a manifest; `file` is its name in messages. Unknown top-level keys (and `training`) are let be.
    ///
    /// # Errors
    /// Naming the file and the field.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ManifestError> {
        let manifest: Self = names::read(text, file)?;
        manifest.check().map_err(|(field, problem)| ManifestError::Field { file: file.to_owned(), field, problem })?;
        Ok(manifest)
    }

    /// The joints in the package's order.
    pub fn joints(&self) -> Result<JointNames, efm_core::JointNamesError> {
        JointNames::new(self.robot.joints.iter().cloned())
    }

    /// Shape of a tensor that holds the history of something of this shape: batch, then (where it looks at more than one) observations.
    pub(crate) fn observed_shape(&self, of: &[i64]) -> Vec<i64> {
        let history = (self.observation.history > 1).then_some(self.observation.history as i64);
        [1].into_iter().chain(history).chain(of.iter().copied()).collect()
    }

    /// Rows and columns of what the graphs sample or give: those of a chunk and what is dropped.
    pub fn sample_shape(&self) -> (usize, usize) {
        (self.action.skip_rows + self.action.horizon, self.action_len() + self.action.pad_columns)
    }

    /// Values of what the graphs sample or give.
    pub fn sample_len(&self) -> usize {
        let (rows, columns) = self.sample_shape();
        rows * columns
    }

    /// Length of the state vector of one observation.
    pub fn state_len(&self) -> usize {
        self.robot.joints.len() + self.observation.state.end_effector.len()
    }

    /// Columns of an action.
    pub fn action_len(&self) -> usize {
        self.action.names.len()
    }

    /// Names of the cameras, in the manifest's order.
    pub fn cameras(&self) -> impl Iterator<Item = &str> {
        self.observation.images.iter().map(|image| image.name.as_str())
    }

    /// What sentences are compared with. None: nothing.
    pub fn lexicon(&self) -> Option<Lexicon> {
        // Checked when the manifest was read.
        self.vocabulary.as_ref()?.lexicon().ok()
    }

    /// Seconds that one chunk covers.
    pub fn chunk_seconds(&self) -> f64 {
        self.action.horizon as f64 * self.action.step
    }

    fn check(&self) -> Result<(), (String, String)> {
        let wrong = |field: &str, problem: String| Err((field.to_owned(), problem));
        if !self.schema.strip_prefix("policy_package/").is_some_and(|v| v == "1" || v.starts_with("1.")) {
            return wrong("schema", format!("'{}' is not a known format; expected policy_package/1.0", self.schema));
        }
        if self.policy.name.is_empty() {
            return wrong("policy.name", "is empty".into());
        }
        self.check_robot()?;
        self.check_observation()?;
        self.check_action()?;
        self.check_runner()?;
        if let Some(Err(problem)) = self.vocabulary.as_ref().map(VocabularySpec::lexicon) {
            return wrong("vocabulary", problem.to_string());
        }
        check_file("golden", &self.golden.file, &self.golden.sha256)
    }

    fn check_robot(&self) -> Result<(), (String, String)> {
        let robot = &self.robot;
        if let Err(e) = self.joints() {
            return Err(("robot.joints".into(), e.to_string()));
        }
        same_length("robot.units", robot.units.len(), "robot.joints", robot.joints.len())?;
        for (field, link) in [("robot.base_link", &robot.base_link), ("robot.tip_link", &robot.tip_link)] {
            if link.is_empty() {
                return Err((field.into(), "is empty".into()));
            }
        }
        for (place, name) in robot.ranges_not_compared.iter().enumerate() {
            let field = || format!("robot.ranges_not_compared[{place}]");
            if !robot.joints.contains(name) && !self.action.names.contains(name) {
                return Err((field(), format!("'{name}' is neither in robot.joints nor in action.names")));
            }
            if robot.ranges_not_compared[..place].contains(name) {
                return Err((field(), format!("'{name}' is named twice")));
            }
        }
        Ok(())
    }

    fn check_observation(&self) -> Result<(), (String, String)> {
        let observation = &self.observation;
        let mut names = BTreeSet::new();
        let mut tensors = BTreeSet::from([observation.state.tensor.as_str()]);
        if !(1..=16).contains(&observation.history) {
            let problem = format!("is {}; expected 1 to 16 observations", observation.history);
            return Err(("observation.history".into(), problem));
        }
        for tensor in observation.language.iter().flat_map(LanguageSpec::tensors) {
            if !tensors.insert(tensor) {
                return Err(("observation.language".into(), format!("tensor '{tensor}' is used twice")));
            }
        }
        for (i, image) in observation.images.iter().enumerate() {
            let at = |field: &str| format!("observation.images[{i}].{field}");
            let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if image.name.is_empty() || !image.name.chars().all(valid) || image.name.starts_with(char::is_numeric) {
                let problem = format!("'{}' cannot be part of a topic name (letters, digits and _)", image.name);
                return Err((at("name"), problem));
            }
            if !names.insert(&image.name) {
                return Err((at("name"), format!("camera '{}' is listed twice", image.name)));
            }
            if !tensors.insert(&image.tensor) {
                return Err((at("tensor"), format!("tensor '{}' is used twice", image.tensor)));
            }
            for (field, side) in [("width", image.width), ("height", image.height)] {
                if !(1..=MAX_SIDE).contains(&side) {
                    return Err((at(field), format!("is {side}; expected 1 to {MAX_SIDE} pixels")));
                }
            }
            if image.encoding != "rgb8" {
                return Err((at("encoding"), format!("is '{}'; only rgb8 is supported", image.encoding)));
            }
            if image.pad.is_some() && image.resize != ResizeMode::Pad {
                return Err((at("pad"), "is given, but resize is not pad".into()));
            }
            image.normalization().map_err(|e| (at("mean/std"), e.to_string()))?;
            if let Some(camera) = &image.camera {
                camera.check().map_err(|(field, problem)| (at(&format!("camera.{field}")), problem))?;
            }
        }
        let state = &observation.state;
        if (1..state.end_effector.len()).any(|i| state.end_effector[..i].contains(&state.end_effector[i])) {
            return Err(("observation.state.end_effector".into(), "names an axis twice".into()));
        }
        state.normalization.check("observation.state.normalization", self.state_len())?;
        match &observation.language {
            Some(LanguageSpec::Embedding { encoder, .. }) => {
                check_hash("observation.language.encoder.sha256", &encoder.sha256)?;
                if !(1..=65_536).contains(&encoder.dim) {
                    return Err(("observation.language.encoder.dim".into(), "must be 1 to 65536".into()));
                }
            }
            Some(LanguageSpec::Tokens(spec)) => {
                check_file("observation.language.tokenizer", &spec.tokenizer.file, &spec.tokenizer.sha256)?;
                if !(1..=8192).contains(&spec.max_tokens) {
                    let problem = format!("is {}; expected 1 to 8192", spec.max_tokens);
                    return Err(("observation.language.max_tokens".into(), problem));
                }
                if spec.pad_id < 0 {
                    let problem = format!("is {}; expected an id, not negative", spec.pad_id);
                    return Err(("observation.language.pad_id".into(), problem));
                }
            }
            None => {}
        }
        Ok(())
    }

    fn check_action(&self) -> Result<(), (String, String)> {
        let action = &self.action;
        let wrong = |field: &str, problem: String| Err((format!("action.{field}"), problem));
        let n = action.names.len();
        if n == 0 {
            return wrong("names", "is empty".into());
        }
        same_length("action.units", action.units.len(), "action.names", n)?;
        same_length("action.reference", action.reference.len(), "action.names", n)?;
        if let Some(rest) = &action.rest_posture {
            same_length("action.rest_posture", rest.len(), "robot.joints", self.robot.joints.len())?;
            if !rest.iter().all(|v| v.is_finite()) {
                return wrong("rest_posture", "is not finite".into());
            }
        }
        if let Some(joint) = &action.gripper_joint
            && !self.robot.joints.contains(joint)
        {
            return wrong("gripper_joint", format!("'{joint}' is not in robot.joints"));
        }
        match action.space {
            ActionSpace::JointPosition => {
                if action.names != self.robot.joints {
                    let problem = format!(
                        "{} is not robot.joints in the same order ({}), as joint_position needs",
                        listed(&action.names, "nothing"),
                        listed(&self.robot.joints, "none"),
                    );
                    return wrong("names", problem);
                }
                if action.units != self.robot.units {
                    return wrong("units", "differ from robot.units".into());
                }
            }
            ActionSpace::EndEffector => self.check_end_effector()?,
        }
        if !(1..=ActionChunk::MOST_ROWS).contains(&action.horizon) {
            let most = ActionChunk::MOST_ROWS;
            return wrong("horizon", format!("is {}; expected 1 to {most} rows", action.horizon));
        }
        for (field, extra) in [("skip_rows", action.skip_rows), ("pad_columns", action.pad_columns)] {
            if extra > 1000 {
                return wrong(field, format!("is {extra}; expected 0 to 1000"));
            }
        }
        if !(action.step.is_finite() && (1e-3..=10.0).contains(&action.step)) {
            return wrong("step", format!("is {} s; expected 0.001 to 10 s", action.step));
        }
        action.normalization.check("action.normalization", n)?;
        if !(1..=action.horizon).contains(&self.execution.replan_steps) {
            let problem = format!("is {}; expected 1 to the horizon ({})", self.execution.replan_steps, action.horizon);
            return Err(("execution.replan_steps".into(), problem));
        }
        Ok(())
    }

    fn check_end_effector(&self) -> Result<(), (String, String)> {
        const ORDER: [&str; 7] = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"];
        let action = &self.action;
        let wrong = |field: &str, problem: String| Err((format!("action.{field}"), problem));
        let mut last = None;
        for (i, name) in action.names.iter().enumerate() {
            let Some(place) = ORDER.iter().position(|known| known == name) else {
                return wrong("names", format!("'{name}' is not one of {}", ORDER.join(", ")));
            };
            if last >= Some(place) {
                return wrong("names", format!("'{name}' stands out of the order {}", ORDER.join(", ")));
            }
            last = Some(place);
            let rotation = (3..6).contains(&place);
            let gripper_unit = || {
                let joint = action.gripper_joint.as_ref()?;
                self.robot.units.get(self.robot.joints.iter().position(|j| j == joint)?).copied()
            };
            let unit = match place {
                0..3 => JointUnit::Metre,
                3..6 => JointUnit::Radian,
                _ => match gripper_unit() {
                    Some(unit) => unit,
                    None => return wrong("gripper_joint", "is missing, but action.names has 'gripper'".into()),
                },
            };
            if action.units[i] != unit {
                return wrong("units", format!("'{name}' is in {}; expected {unit}", action.units[i]));
            }
            if rotation && action.reference[i] == Reference::Relative {
                return wrong("reference", format!("'{name}' must be absolute (relative rotations are not supported)"));
            }
        }
        for axis in ["x", "y", "z"] {
            if !action.names.iter().any(|n| n == axis) {
                return wrong("names", format!("'{axis}' is missing; end_effector needs x, y and z"));
            }
        }
        match action.orientation {
            None if ["roll", "pitch", "yaw"].iter().any(|r| !action.names.iter().any(|n| n == r)) => {
                wrong("orientation", "is missing, but action.names does not give roll, pitch and yaw".into())
            }
            Some(Rpy { roll, pitch, yaw }) if ![roll, pitch, yaw].iter().all(|v| v.is_finite()) => {
                wrong("orientation", "is not finite".into())
            }
            _ => Ok(()),
        }
    }

    fn check_runner(&self) -> Result<(), (String, String)> {
        let family = &self.runner;
        family.check(self)?;
        if family.remembers() && self.observation.history > 1 {
            let problem =
                format!("is more than 1, but runner.type is {}, which remembers by its state", self.runner.name());
            return Err(("observation.history".into(), problem));
        }
        let roles = family.graphs();
        for role in roles {
            if !self.graphs.contains_key(*role) {
                return Err((format!("graphs.{role}"), "is missing".into()));
            }
        }
        for (role, graph) in &self.graphs {
            if !roles.contains(&role.as_str()) {
                return Err((format!("graphs.{role}"), format!("is not used by this runner; expected {roles:?}")));
            }
            check_file(&format!("graphs.{role}"), &graph.file, &graph.sha256)?;
            if graph.inputs.is_empty() || graph.outputs.is_empty() {
                return Err((format!("graphs.{role}"), "has no inputs or no outputs".into()));
            }
            let unique: BTreeSet<_> = graph.inputs.iter().chain(&graph.outputs).collect();
            if unique.len() != graph.inputs.len() + graph.outputs.len() {
                return Err((format!("graphs.{role}"), "lists a tensor twice".into()));
            }
        }
        Ok(family.wires(self)?)
    }

    /// Names of the tensors that an observation fills: cameras in order, state, language.
    pub fn observation_tensors(&self) -> Vec<&str> {
        let o = &self.observation;
        let images = o.images.iter().map(|image| image.tensor.as_str());
        let language = o.language.iter().flat_map(LanguageSpec::tensors);
        images.chain([o.state.tensor.as_str()]).chain(language).collect()
    }
}

fn same_length(field: &str, found: usize, of: &str, expected: usize) -> Result<(), (String, String)> {
    if found == expected {
        return Ok(());
    }
    Err((field.into(), format!("has {found} entries, but {of} has {expected}")))
}

pub(crate) fn check_hash(field: &str, hash: &str) -> Result<(), (String, String)> {
    if hash.len() == 64 && hash.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
        return Ok(());
    }
    Err((field.into(), format!("'{hash}' is not a sha256 (64 lowercase hexadecimal digits)")))
}

/// A file must lie in the package's own folder: a package from elsewhere is not to name other files of this machine.
pub(crate) fn check_file(field: &str, file: &str, sha256: &str) -> Result<(), (String, String)> {
    let mut parts = Path::new(file).components();
    let plain = matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(_)), None));
    if !plain {
        return Err((format!("{field}.file"), format!("'{file}' is not the name of a file beside the manifest")));
    }
    check_hash(&format!("{field}.sha256"), sha256)
}
