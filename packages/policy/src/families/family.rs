//! What a family of policies is to the rest of the house.

use super::parts::{TensorProblem, Tensors};
use super::runner::Runner;
use crate::manifest::Manifest;
use crate::package::PolicyPackage;
use crate::runtime::{RuntimeError, RuntimeOptions};
use serde::de::DeserializeOwned;
use std::any::Any;
use std::fmt::Debug;

/// A family as a manifest asks for it: the values of its `runner` section, and all that follows from them.
///
/// In the order in which a package is read: the manifest ([`Self::check`], [`Self::graphs`], [`Self::wires`]), the graphs themselves
/// ([`Self::tensors`]), the worked example ([`Self::noise_len`], [`Self::golden`]), then [`Self::open`]. What has a default is what a family needs
/// not say.
pub trait Family: Debug + Send + Sync + Any {
    /// Roles of its graphs, each a key of the manifest's `graphs`: exactly these must be there. May be none.
    fn graphs(&self) -> &'static [&'static str];

    /// Whether the values of the section can be, in themselves and with the rest of the manifest, whose graphs are not checked yet.
    ///
    /// # Errors
    /// Naming the field and what would be right.
    fn check(&self, manifest: &Manifest) -> Result<(), FieldProblem>;

    /// Whether the tensors that the manifest lists for its graphs fit together; all roles are there. See [`parts::wires`](super::parts::wires).
    ///
    /// # Errors
    /// Naming the field and what would be right.
    fn wires(&self, manifest: &Manifest) -> Result<(), FieldProblem>;

    /// Tells what the tensors of its graphs must be, to be compared with what they are.
    ///
    /// # Errors
    /// Where a graph's own shape cannot be.
    fn tensors(&self, tensors: &mut Tensors<'_>) -> Result<(), TensorProblem>;

    /// Values of noise that a run takes, for a sample of `sample` values ([`Manifest::sample_len`]): the sample that it starts from, row-major,
    /// then the fresh noise of its steps.
    fn noise_len(&self, sample: usize) -> usize {
        let _ = sample;
        0
    }

    /// Fills the noise of a run, which has [`Self::noise_len`] values, from a seed: for the same seed the same.
    fn draw(&self, seed: u64, sample: usize, noise: &mut [f32]) {
        let _ = (seed, sample, noise);
    }

    /// Standard deviation of the sample that a run starts from, the first values of its noise; its field is `runner.noise_scale`. None: it has no such
    /// field.
    fn noise_scale(&self) -> Option<f64> {
        None
    }

    /// What its worked example holds beside what all have.
    fn golden(&self) -> GoldenShape {
        GoldenShape::default()
    }

    /// Whether a chunk depends on what was seen in those before it, since [`Runner::reset`]. Its worked example is then an episode's beginning, and it
    /// looks at one observation at a time.
    fn remembers(&self) -> bool {
        false
    }

    /// Whether a chunk can be made to continue another (real-time chunking); otherwise [`Runner::run`] is given no prefix to look at.
    fn continues(&self) -> bool {
        false
    }

    /// How it is run, in words: "is run by ...".
    fn describe(&self) -> String;

    /// Its graphs with nothing around them, where its runs are that simple.
    fn bare(&self) -> Option<Bare> {
        None
    }

    /// Makes its sessions and tensors.
    ///
    /// # Errors
    /// From ONNX Runtime.
    fn open(&self, package: &PolicyPackage, options: RuntimeOptions) -> Result<Box<dyn Runner>, RuntimeError>;
}

/// A [`Family`] that a manifest can name: what [`register`](super::register) takes.
pub trait Section: Family + DeserializeOwned + PartialEq {
    /// Its `runner.type`, in snake case.
    const TYPE: &'static str;
}

/// A field of a manifest that holds what cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// Path of the field, as in `runner.steps`.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl FieldProblem {
    /// Of a field of the section itself, by its name there.
    pub fn of(field: &str, problem: impl Into<String>) -> Self {
        Self { field: format!("runner.{field}"), problem: problem.into() }
    }
}

impl From<(String, String)> for FieldProblem {
    fn from((field, problem): (String, String)) -> Self {
        Self { field, problem }
    }
}

impl From<FieldProblem> for (String, String) {
    fn from(FieldProblem { field, problem }: FieldProblem) -> Self {
        (field, problem)
    }
}

/// What a worked example holds beside sentence, pictures, joints, noise and actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GoldenShape {
    /// Role of the graph whose outputs it holds by their names, for comparison with [`Trace::context`](super::Trace::context).
    pub context: Option<&'static str>,
    /// The `tokens`, for comparison with [`Trace::tokens`](super::Trace::tokens).
    pub tokens: Option<GoldenTokens>,
}

/// Tokens of a worked example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoldenTokens {
    /// How many.
    pub count: usize,
    /// All ids are below this.
    pub below: usize,
    /// Field of the manifest that says so.
    pub below_field: &'static str,
}

/// A run of graphs with nothing around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bare {
    /// Role of the graph that is run once, on the observation.
    pub once: &'static str,
    /// Role of the one that is then run on its outputs, and how often.
    pub then: Option<(&'static str, usize)>,
}
