//! The worked example of a package: what the exporter's own run gave, to be repeated here.

use crate::encoder::Embedding;
use crate::families::GoldenTokens;
use crate::files;
use crate::goal::Goal;
use crate::manifest::{LanguageSpec, Manifest};
use crate::outgoing::{self, CameraPicture, Outgoing};
use efm_core::reading::said_by_parser;
use nalgebra::Isometry3;
use serde_json::{Map, Value};
use std::fmt;

/// Inputs and results of one run by the exporter.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    /// The goal.
    pub sentence: String,
    /// The same, as the exporter had it.
    pub goal: Goal,
    /// What was seen, the oldest first: as many as `observation.history` says; for one that remembers one for each chunk of an episode's beginning.
    pub frames: Vec<Frame>,
    /// The sample that it starts from, row-major in the shape of [`Manifest::sample_shape`], then the fresh noise of each step that draws any;
    /// empty where nothing is sampled.
    pub noise: Vec<f32>,
    /// Outputs of `encode`, in the manifest's order; empty for a single pass. None: left out by the exporter, as it is too large.
    pub context: Vec<Option<Vec<f32>>>,
    /// Action tokens, in their order; empty for policies that have none.
    pub tokens: Vec<i64>,
    /// Un-normalised actions before references and inverse kinematics, row-major `[horizon x actions]`; for one that remembers chunk after chunk.
    pub actions: Vec<f64>,
    /// Pose of the tool in the base link at each of [`Self::frames`], by the exporter's own kinematics. Empty: not given.
    pub observed_tools: Vec<Isometry3<f64>>,
    /// A picture at the camera's own size, one a camera in the manifest's order. None: not given.
    pub cameras: Vec<Option<CameraPicture>>,
    /// The actions as they go out. None: not given.
    pub outgoing: Option<Outgoing>,
}

/// One observation of a worked example.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// One rgb8 picture a camera, in the manifest's order, at the policy's size.
    pub images: Vec<Vec<u8>>,
    /// Measured joint positions, in robot order.
    pub joints: Vec<f64>,
}

/// Chunks that the worked example of a policy that remembers must have: the first does not show that its state is carried, the second not that it is
/// carried on.
const LEAST_CHUNKS: usize = 3;
/// Most of them: what is not bounded would be run whatever it takes.
const MOST_CHUNKS: usize = 1000;
/// Largest size of what is a position, an angle or a time: whatever robot it is, more metres, radians or seconds are no measurement.
const MOST_SIZE: f64 = 1e6;

impl Golden {
    /// The present observation.
    pub fn newest(&self) -> &Frame {
        // Never empty: a history has one observation at least.
        &self.frames[self.frames.len() - 1]
    }

    /// Posture that inverse kinematics leans to. One of the training data serves where none is given.
    pub(crate) fn rest<'a>(&'a self, manifest: &'a Manifest) -> &'a [f64] {
        manifest.action.rest_posture.as_deref().unwrap_or(&self.newest().joints)
    }
}

/// What is wrong with a golden file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GoldenError {
    /// Not a JSON object.
    #[error("is not a JSON object: {0}")]
    Json(String),
    /// A field is missing or of another form.
    #[error("field '{field}' {problem}")]
    Field {
        /// Which.
        field: String,
        /// What is wrong.
        problem: String,
    },
}

/// How far a run here is from the exporter's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parity {
    /// Largest difference of the outputs of `encode`; 0 for a single pass.
    pub context_max_abs: f64,
    /// Action tokens that differ.
    pub tokens_wrong: usize,
    /// Largest difference of the un-normalised actions, metres or radians.
    pub actions_max_abs: f64,
    /// Cosine of the angle between the embeddings of the sentence here and there; for a policy that reads tokens 1 where they are the same, else 0.
    pub embedding_cosine: f64,
}

impl Parity {
    /// Largest difference allowed from the sentence embedding on.
    pub const MAX_ABS: f64 = 1e-4;
    /// Least cosine allowed for the sentence encoder.
    pub const MIN_COSINE: f64 = 0.999;

    /// Whether the run here counts as the same.
    pub fn holds(&self) -> bool {
        self.context_max_abs <= Self::MAX_ABS
            && self.tokens_wrong == 0
            && self.actions_max_abs <= Self::MAX_ABS
            && self.embedding_cosine >= Self::MIN_COSINE
    }
}

impl fmt::Display for Parity {
    /// How far it is off, with what would be allowed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the context differs by {:.1e} and the actions by {:.1e} (at most {:.0e}), {} tokens are others, the sentence's embedding (or tokens) has \
             cosine {:.4} (at least {})",
            self.context_max_abs,
            self.actions_max_abs,
            Self::MAX_ABS,
            self.tokens_wrong,
            self.embedding_cosine,
            Self::MIN_COSINE,
        )
    }
}

impl Golden {
    /// Reads the JSON and compares its lengths with the manifest. Keys: `sentence`, `joints`, `actions`, the tensor name of each image; `text` (the
    /// embedding) or `input_ids` (the tokens) where the policy listens; for what is sampled `noise`; the name of each output of `encode` (null:
    /// left out); for action tokens `tokens`; optional `observed_tools`, `cameras` and `outgoing`. With a history, pictures and joints are those of all its observations, the oldest first; for a
    /// policy that remembers pictures, joints and actions are those of the first chunks of an episode, one after another.
    ///
    /// # Errors
    /// Naming the field.
    pub fn parse(json: &[u8], manifest: &Manifest) -> Result<Self, GoldenError> {
        let fields: Map<String, Value> =
            serde_json::from_slice(files::unmarked(json)).map_err(|e| GoldenError::Json(said_by_parser(&e)))?;
        let (chunk, sample) = (manifest.action.horizon * manifest.action_len(), manifest.sample_len());
        let floats = |name: &str, len: Option<usize>| numbers(&fields, name, len);
        let singles = |name: &str, len| {
            let values = floats(name, len)?;
            match values.iter().find(|value| !(**value as f32).is_finite()) {
                Some(value) => Err(field(name, format!("holds {}, too large for a float32", shown(*value)))),
                None => Ok(values.into_iter().map(|value| value as f32).collect::<Vec<f32>>()),
            }
        };

        let family = &manifest.runner;
        let chunks = if family.remembers() {
            let (values, most) = (floats("actions", None)?.len(), MOST_CHUNKS * chunk);
            if values % chunk != 0 || !(LEAST_CHUNKS * chunk..=most).contains(&values) {
                let problem = format!(
                    "has {values} numbers; expected those of {LEAST_CHUNKS} to {MOST_CHUNKS} chunks of {chunk}, one after another"
                );
                return Err(field("actions", problem));
            }
            values / chunk
        } else {
            1
        };
        // A policy has a history or a state, not both.
        let history = chunks * manifest.observation.history;
        let mut frames = vec![Frame { images: Vec::new(), joints: Vec::new() }; history];
        for image in &manifest.observation.images {
            let values = floats(&image.tensor, Some(history * image.len()))?;
            if let Some(v) = values.iter().find(|v| v.fract() != 0.0 || !(0.0..=255.0).contains(*v)) {
                return Err(field(&image.tensor, format!("holds {v}; expected integers from 0 to 255")));
            }
            for (frame, values) in frames.iter_mut().zip(values.chunks(image.len())) {
                frame.images.push(values.iter().map(|v| *v as u8).collect());
            }
        }
        let joints = sizes(&fields, "joints", Some(history * manifest.robot.joints.len()))?;
        for (frame, values) in frames.iter_mut().zip(joints.chunks(manifest.robot.joints.len())) {
            frame.joints = values.to_vec();
        }
        let noise = match family.noise_len(sample) {
            0 => Vec::new(),
            len => singles("noise", Some(len))?,
        };
        let shape = family.golden();
        let mut context = Vec::new();
        for name in shape.context.and_then(|role| manifest.graphs.get(role)).map_or(&[][..], |graph| &graph.outputs) {
            // Left out on purpose is something else than forgotten.
            let left_out = matches!(fields.get(name), Some(Value::Null));
            context.push(if left_out { None } else { Some(singles(name, None)?) });
        }
        let tokens = match shape.tokens {
            None => Vec::new(),
            Some(GoldenTokens { count, below, below_field }) => {
                ids("tokens", floats("tokens", Some(count))?, below as f64, below_field)?
            }
        };
        let sentence = match fields.get("sentence") {
            Some(Value::String(text)) if !text.trim().is_empty() => text.clone(),
            _ => return Err(field("sentence", "is missing or not a text".into())),
        };
        let goal = match &manifest.observation.language {
            None => Goal::Unheard,
            Some(LanguageSpec::Embedding { encoder, .. }) => {
                let values = singles("text", Some(encoder.dim))?;
                Goal::Embedding(Embedding::new(values).map_err(|e| field("text", format!("is {e}")))?)
            }
            Some(LanguageSpec::Tokens(spec)) => {
                let values = floats("input_ids", None)?;
                if !(1..=spec.max_tokens).contains(&values.len()) {
                    let problem =
                        format!("has {} numbers; expected 1 to max_tokens ({})", values.len(), spec.max_tokens);
                    return Err(field("input_ids", problem));
                }
                Goal::Tokens(ids("input_ids", values, f64::from(u32::MAX), "4294967295")?)
            }
        };
        let actions = sizes(&fields, "actions", Some(chunks * chunk))?;
        let observed_tools = outgoing::observed_tools(&fields, manifest, history)?;
        let cameras = outgoing::pictures(&fields, manifest)?;
        let outgoing = outgoing::outgoing(&fields, manifest, chunks)?;
        Ok(Self { sentence, goal, frames, noise, context, tokens, actions, observed_tools, cameras, outgoing })
    }
}

pub(crate) fn field(name: &str, problem: String) -> GoldenError {
    GoldenError::Field { field: name.to_owned(), problem }
}

/// Numbers of a field as ids below a limit.
fn ids(name: &str, values: Vec<f64>, limit: f64, limit_name: &str) -> Result<Vec<i64>, GoldenError> {
    match values.iter().find(|value| value.fract() != 0.0 || !(0.0..limit).contains(*value)) {
        Some(value) => Err(field(name, format!("holds {value}; expected ids below {limit_name}"))),
        None => Ok(values.into_iter().map(|value| value as i64).collect()),
    }
}

/// A number as it is told: those that would take hundreds of digits by their order of magnitude.
fn shown(value: f64) -> String {
    if value.abs() < 1e15 { value.to_string() } else { format!("{value:e}") }
}

/// As [`numbers`], of positions, angles or times: m, rad or s.
pub(crate) fn sizes(fields: &Map<String, Value>, name: &str, len: Option<usize>) -> Result<Vec<f64>, GoldenError> {
    let values = numbers(fields, name, len)?;
    match values.iter().find(|value| value.abs() > MOST_SIZE) {
        Some(value) => {
            Err(field(name, format!("holds {}; expected metres, radians or seconds up to {MOST_SIZE}", shown(*value))))
        }
        None => Ok(values),
    }
}

/// Numbers of a field, flattened: nested lists are read row by row.
pub(crate) fn numbers(fields: &Map<String, Value>, name: &str, len: Option<usize>) -> Result<Vec<f64>, GoldenError> {
    fn flatten(value: &Value, out: &mut Vec<f64>) -> bool {
        match value {
            Value::Array(items) => items.iter().all(|item| flatten(item, out)),
            Value::Number(number) => match number.as_f64().filter(|v| v.is_finite()) {
                Some(v) => {
                    out.push(v);
                    true
                }
                None => false,
            },
            _ => false,
        }
    }
    let value = fields.get(name).ok_or_else(|| field(name, "is missing".into()))?;
    let mut out = Vec::new();
    if !value.is_array() || !flatten(value, &mut out) {
        return Err(field(name, "is not a list of finite numbers".into()));
    }
    match len {
        Some(len) if out.len() != len => Err(field(name, format!("has {} numbers; expected {len}", out.len()))),
        _ => Ok(out),
    }
}

/// Largest absolute difference; infinite when the lengths differ or a value is not a number.
pub(crate) fn max_abs_difference(a: impl ExactSizeIterator<Item = f64>, b: impl ExactSizeIterator<Item = f64>) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    a.zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |max, d| {
        if d <= max {
            max
        } else if d.is_nan() {
            f64::INFINITY
        } else {
            d
        }
    })
}
