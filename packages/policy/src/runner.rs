//! How the graphs of a family are run. One module a family.
//!
//! A runner owns its sessions and its input tensors; it takes normalised inputs and gives normalised actions, and knows nothing of
//! robots, units or cameras.

mod flow_matching;
mod single_pass;

use crate::manifest::{Manifest, RunnerSpec};
use crate::package::PolicyPackage;
use crate::runtime::{self, RuntimeError, RuntimeOptions};
use flow_matching::FlowMatching;
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::Tensor;
use single_pass::SinglePass;
use std::borrow::Cow;

/// Why a run of the graphs gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// An output is missing or has another number of values than its graph said.
    #[error("graph {graph} gave {problem}")]
    Output {
        /// File.
        graph: String,
        /// What came.
        problem: String,
    },
}

/// The runner that a manifest asks for.
#[derive(Debug)]
pub(crate) enum Runner {
    SinglePass(SinglePass),
    FlowMatching(FlowMatching),
}

impl Runner {
    pub(crate) fn open(package: &PolicyPackage, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        Ok(match package.manifest.runner {
            RunnerSpec::SinglePass {} => Self::SinglePass(SinglePass::open(package, options)?),
            RunnerSpec::FlowMatching { steps, .. } => Self::FlowMatching(FlowMatching::open(package, steps, options)?),
        })
    }

    /// Input tensors of the graph that sees the observation, to be filled before [`Self::run`].
    pub(crate) fn observation(&mut self) -> &mut ObservationTensors {
        match self {
            Self::SinglePass(runner) => &mut runner.observation,
            Self::FlowMatching(runner) => &mut runner.observation,
        }
    }

    /// Runs on the observation and writes normalised actions, row-major `[horizon x actions]`. `noise` is the sample at t = 1
    /// (not looked at by a single pass). `trace` receives the outputs of `encode`, for comparison with another runtime.
    pub(crate) fn run(
        &mut self,
        noise: &[f32],
        actions: &mut [f32],
        trace: Option<&mut Vec<Vec<f32>>>,
    ) -> Result<(), RunError> {
        match self {
            Self::SinglePass(runner) => runner.run(actions),
            Self::FlowMatching(runner) => runner.run(noise, actions, trace),
        }
    }
}

/// The tensors that an observation fills, made once.
#[derive(Debug)]
pub(crate) struct ObservationTensors {
    /// One a camera, in the manifest's order.
    images: Vec<(String, Tensor<f32>)>,
    state: (String, Tensor<f32>),
    text: (String, Tensor<f32>),
}

impl ObservationTensors {
    fn new(manifest: &Manifest) -> ort::Result<Self> {
        let spec = &manifest.observation;
        let images = spec
            .images
            .iter()
            .map(|image| Ok((image.tensor.clone(), zeros(&image.shape())?)))
            .collect::<ort::Result<_>>()?;
        Ok(Self {
            images,
            state: (spec.state.tensor.clone(), zeros(&[1, manifest.state_len() as i64])?),
            text: (spec.language.tensor.clone(), zeros(&[1, spec.language.encoder.dim as i64])?),
        })
    }

    /// Values of a camera's tensor, by its place in the manifest.
    pub(crate) fn image_mut(&mut self, camera: usize) -> &mut [f32] {
        self.images[camera].1.extract_tensor_mut().1
    }

    /// Values of the state tensor.
    pub(crate) fn state_mut(&mut self) -> &mut [f32] {
        self.state.1.extract_tensor_mut().1
    }

    /// Values of the language tensor.
    pub(crate) fn text_mut(&mut self) -> &mut [f32] {
        self.text.1.extract_tensor_mut().1
    }

    fn inputs(&self) -> Inputs<'_> {
        self.images.iter().chain([&self.state, &self.text]).map(|(name, t)| (name.as_str().into(), t.into())).collect()
    }
}

type Inputs<'a> = Vec<(Cow<'a, str>, SessionInputValue<'a>)>;

fn zeros(shape: &[i64]) -> ort::Result<Tensor<f32>> {
    let len = shape.iter().product::<i64>().max(0) as usize;
    Tensor::from_array((shape.to_vec(), vec![0f32; len]))
}

/// A session with the name of its file, for messages.
#[derive(Debug)]
struct Graph {
    file: String,
    session: Session,
}

impl Graph {
    fn open(package: &PolicyPackage, role: &str, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let file = package.folder.join(&package.manifest.graphs[role].file);
        let session = runtime::session(&package.graphs[role], &file, options, true)?;
        Ok(Self { file: file.display().to_string(), session })
    }

    fn run(&mut self, inputs: Inputs<'_>) -> Result<SessionOutputs<'_>, RunError> {
        let Self { file, session } = self;
        session.run(inputs).map_err(|source| RuntimeError::Graph { graph: file.clone(), source }.into())
    }
}

/// Values of one output, of a known number.
fn output<'a>(file: &str, outputs: &'a SessionOutputs<'_>, name: &str, len: usize) -> Result<&'a [f32], RunError> {
    let wrong = |problem| RunError::Output { graph: file.to_owned(), problem };
    let value = outputs.get(name).ok_or_else(|| wrong(format!("no output '{name}'")))?;
    let (_, values) =
        value.try_extract_tensor::<f32>().map_err(|source| RuntimeError::Graph { graph: file.to_owned(), source })?;
    if values.len() != len {
        return Err(wrong(format!("{} values in '{name}'; expected {len}", values.len())));
    }
    Ok(values)
}
