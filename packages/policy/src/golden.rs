//! The worked example of a package: what the exporter's own run gave, to be repeated here.

use crate::manifest::{Manifest, RunnerSpec};
use crate::runner::z_values;
use serde_json::{Map, Value};

/// Inputs and results of one run by the exporter.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    /// The goal.
    pub sentence: String,
    /// Its embedding, as the exporter had it.
    pub text: Vec<f32>,
    /// One rgb8 picture a camera, in the manifest's order, at the policy's size.
    pub images: Vec<Vec<u8>>,
    /// Measured joint positions, in robot order.
    pub joints: Vec<f64>,
    /// The sample that it starts from, row-major `[horizon x actions]`, then the fresh noise of each step that draws any; empty where nothing is
    /// sampled.
    pub noise: Vec<f32>,
    /// Outputs of `encode`, in the manifest's order; empty for a single pass.
    pub context: Vec<Vec<f32>>,
    /// Action tokens, in their order; empty for policies that have none.
    pub tokens: Vec<i64>,
    /// Un-normalised actions before references and inverse kinematics, row-major `[horizon x actions]`.
    pub actions: Vec<f64>,
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
    /// Cosine of the angle between the embeddings of the sentence here and there.
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

impl Golden {
    /// Reads the JSON and compares its lengths with the manifest. Keys: `sentence`, `text`, `joints`, `actions`, the tensor name
    /// of each image; for what is sampled `noise`; the name of each output of `encode`; for action tokens `tokens`.
    ///
    /// # Errors
    /// Naming the field.
    pub fn parse(json: &[u8], manifest: &Manifest) -> Result<Self, GoldenError> {
        let fields: Map<String, Value> = serde_json::from_slice(json).map_err(|e| GoldenError::Json(e.to_string()))?;
        let chunk = manifest.action.horizon * manifest.action_len();
        let floats = |name: &str, len: Option<usize>| numbers(&fields, name, len);
        let singles = |name: &str, len| Ok(floats(name, len)?.into_iter().map(|v| v as f32).collect::<Vec<f32>>());

        let mut images = Vec::new();
        for image in &manifest.observation.images {
            let values = floats(&image.tensor, Some(image.len()))?;
            if let Some(v) = values.iter().find(|v| v.fract() != 0.0 || !(0.0..=255.0).contains(*v)) {
                return Err(field(&image.tensor, format!("holds {v}; expected integers from 0 to 255")));
            }
            images.push(values.into_iter().map(|v| v as u8).collect());
        }
        let noise = match &manifest.runner {
            RunnerSpec::FlowMatching { .. } => singles("noise", Some(chunk))?,
            RunnerSpec::Diffusion(spec) => singles("noise", Some(chunk + z_values(spec, chunk)))?,
            RunnerSpec::SinglePass {} | RunnerSpec::ActionTokens(_) => Vec::new(),
        };
        let mut context = Vec::new();
        for name in manifest.graphs.get("encode").map_or(&[][..], |encode| &encode.outputs) {
            context.push(singles(name, None)?);
        }
        let mut tokens = Vec::new();
        if let RunnerSpec::ActionTokens(spec) = &manifest.runner {
            for value in floats("tokens", Some(spec.tokens))? {
                if value.fract() != 0.0 || !(0.0..spec.vocab as f64).contains(&value) {
                    return Err(field("tokens", format!("holds {value}; expected ids below runner.vocab")));
                }
                tokens.push(value as i64);
            }
        }
        let sentence = match fields.get("sentence") {
            Some(Value::String(text)) if !text.trim().is_empty() => text.clone(),
            _ => return Err(field("sentence", "is missing or not a text".into())),
        };
        Ok(Self {
            sentence,
            text: singles("text", Some(manifest.observation.language.encoder.dim))?,
            images,
            joints: floats("joints", Some(manifest.robot.joints.len()))?,
            noise,
            context,
            tokens,
            actions: floats("actions", Some(chunk))?,
        })
    }
}

fn field(name: &str, problem: String) -> GoldenError {
    GoldenError::Field { field: name.to_owned(), problem }
}

/// Numbers of a field, flattened: nested lists are read row by row.
fn numbers(fields: &Map<String, Value>, name: &str, len: Option<usize>) -> Result<Vec<f64>, GoldenError> {
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
