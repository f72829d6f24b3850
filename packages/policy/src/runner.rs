//! How the graphs of a family are run. One module a family, all behind [`Runner`].
//!
//! A runner owns its sessions and its input tensors; it takes normalised inputs and gives normalised actions, and knows nothing of
//! robots, units or cameras.

mod action_tokens;
mod diffusion;
mod encode;
mod flow_matching;
mod recurrent;
mod single_pass;
mod stepper;

use crate::goal::Goal;
use crate::manifest::{LanguageSpec, Manifest, RunnerSpec};
use crate::package::PolicyPackage;
use crate::runtime::{self, RuntimeError, RuntimeOptions};
use action_tokens::ActionTokens;
use diffusion::Diffusion;
use flow_matching::FlowMatching;
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::{Outlet, Tensor};
use recurrent::Recurrent;
use single_pass::SinglePass;
use smallvec::SmallVec;
use std::fmt::Debug;

pub(crate) use diffusion::z_values;

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

/// What a run went through, for comparison with another runtime.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Trace {
    /// Outputs of `encode`, in the manifest's order; empty for a single pass.
    pub context: Vec<Vec<f32>>,
    /// Action tokens, in their order; empty for all others.
    pub tokens: Vec<i64>,
}

/// Normalised actions that a new chunk is to continue, row-major in the shape of the sample, and how much each of its rows counts, 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prefix<'a> {
    pub actions: &'a [f32],
    pub weights: &'a [f32],
}

/// The way a family of policies is run.
pub(crate) trait Runner: Debug + Send {
    /// Input tensors of the graph that sees the observation, to be filled before [`Self::run`].
    fn observation(&mut self) -> &mut ObservationTensors;

    /// Values of noise that a run takes: the sample that it starts from, row-major, then the fresh noise of its steps.
    fn noise_len(&self) -> usize {
        0
    }

    /// Whether a chunk can be made to continue another; otherwise `prefix` is not looked at.
    fn can_continue(&self) -> bool {
        false
    }

    /// Forgets what was carried from run to run.
    fn reset(&mut self) {}

    /// Runs on the observation and writes normalised actions, row-major, in the shape of the sample ([`Manifest::sample_shape`]).
    fn run(
        &mut self,
        noise: &[f32],
        prefix: Option<Prefix<'_>>,
        actions: &mut [f32],
        trace: Option<&mut Trace>,
    ) -> Result<(), RunError>;
}

/// The runner that a manifest asks for.
pub(crate) fn open(package: &PolicyPackage, options: RuntimeOptions) -> Result<Box<dyn Runner>, RuntimeError> {
    Ok(match &package.manifest.runner {
        RunnerSpec::SinglePass {} => Box::new(SinglePass::open(package, options)?),
        RunnerSpec::FlowMatching { steps, .. } => Box::new(FlowMatching::open(package, *steps, options)?),
        RunnerSpec::Diffusion(spec) => Box::new(Diffusion::open(package, spec, options)?),
        RunnerSpec::ActionTokens(spec) => Box::new(ActionTokens::open(package, spec, options)?),
        RunnerSpec::Recurrent(spec) => Box::new(Recurrent::open(package, spec, options)?),
    })
}

/// The tensors that an observation and a goal fill, made once.
#[derive(Debug)]
pub(crate) struct ObservationTensors {
    /// One a camera, in the manifest's order.
    images: Vec<(String, Tensor<f32>)>,
    state: (String, Tensor<f32>),
    language: LanguageTensors,
}

/// What a goal fills.
#[derive(Debug)]
enum LanguageTensors {
    None,
    Embedding(String, Tensor<f32>),
    Tokens { input_ids: (String, Tensor<i64>), attention_mask: (String, Tensor<i64>), pad_id: i64 },
}

impl ObservationTensors {
    fn new(manifest: &Manifest) -> ort::Result<Self> {
        let spec = &manifest.observation;
        let images = spec
            .images
            .iter()
            .map(|image| Ok((image.tensor.clone(), zeros(&manifest.observed_shape(&image.shape()))?)))
            .collect::<ort::Result<_>>()?;
        let language = match &spec.language {
            None => LanguageTensors::None,
            Some(LanguageSpec::Embedding { tensor, encoder }) => {
                LanguageTensors::Embedding(tensor.clone(), zeros(&[1, encoder.dim as i64])?)
            }
            Some(LanguageSpec::Tokens(spec)) => {
                let places = || Tensor::from_array(([1, spec.max_tokens as i64], vec![0i64; spec.max_tokens]));
                LanguageTensors::Tokens {
                    input_ids: (spec.input_ids.clone(), places()?),
                    attention_mask: (spec.attention_mask.clone(), places()?),
                    pad_id: spec.pad_id,
                }
            }
        };
        let state = zeros(&manifest.observed_shape(&[manifest.state_len() as i64]))?;
        Ok(Self { images, state: (spec.state.tensor.clone(), state), language })
    }

    /// Values of a camera's tensor, by its place in the manifest.
    pub(crate) fn image_mut(&mut self, camera: usize) -> &mut [f32] {
        self.images[camera].1.extract_tensor_mut().1
    }

    /// Values of the state tensor.
    pub(crate) fn state_mut(&mut self) -> &mut [f32] {
        self.state.1.extract_tensor_mut().1
    }

    /// Writes a goal into its tensors. False when it is of another kind or size than the policy's.
    pub(crate) fn set_goal(&mut self, goal: &Goal) -> bool {
        match (&mut self.language, goal) {
            (LanguageTensors::None, Goal::Unheard) => true,
            (LanguageTensors::Embedding(_, tensor), Goal::Embedding(embedding)) => {
                let values = tensor.extract_tensor_mut().1;
                let fits = values.len() == embedding.values().len();
                if fits {
                    values.copy_from_slice(embedding.values());
                }
                fits
            }
            (LanguageTensors::Tokens { input_ids, attention_mask, pad_id }, Goal::Tokens(ids)) => {
                let (places, mask) = (input_ids.1.extract_tensor_mut().1, attention_mask.1.extract_tensor_mut().1);
                if ids.len() > places.len() {
                    return false;
                }
                places.fill(*pad_id);
                places[..ids.len()].copy_from_slice(ids);
                mask.fill(0);
                mask[..ids.len()].fill(1);
                true
            }
            _ => false,
        }
    }

    /// The tensors with their names.
    fn named(&self) -> SmallVec<[(&str, SessionInputValue<'_>); 16]> {
        let mut named: SmallVec<[(&str, SessionInputValue<'_>); 16]> = SmallVec::new();
        for (name, tensor) in self.images.iter().chain([&self.state]) {
            named.push((name, tensor.into()));
        }
        match &self.language {
            LanguageTensors::None => {}
            LanguageTensors::Embedding(name, tensor) => named.push((name, tensor.into())),
            LanguageTensors::Tokens { input_ids, attention_mask, .. } => {
                named.push((&input_ids.0, (&input_ids.1).into()));
                named.push((&attention_mask.0, (&attention_mask.1).into()));
            }
        }
        named
    }

    /// Names of the tensors.
    fn names(&self) -> Vec<&str> {
        self.named().into_iter().map(|(name, _)| name).collect()
    }

    /// The tensors in another order, by their places in [`Self::names`].
    fn ordered(&self, order: &[usize]) -> Inputs<'_> {
        self.ordered_with([], order)
    }

    /// The tensors and more of them in another order, by their places in [`Self::names`] and after it.
    fn ordered_with<'a>(
        &'a self,
        more: impl IntoIterator<Item = SessionInputValue<'a>>,
        order: &[usize],
    ) -> Inputs<'a> {
        let own = self.named().into_iter().map(|(_, tensor)| tensor);
        let mut named: SmallVec<[Option<SessionInputValue<'a>>; 16]> = own.chain(more).map(Some).collect();
        order.iter().filter_map(|place| named.get_mut(*place)?.take()).collect()
    }
}

/// Inputs of a graph in its own order; few enough to need no allocation.
pub(crate) type Inputs<'a> = SmallVec<[SessionInputValue<'a>; 16]>;

pub(crate) fn zeros(shape: &[i64]) -> ort::Result<Tensor<f32>> {
    let len = shape.iter().product::<i64>().max(0) as usize;
    Tensor::from_array((shape.to_vec(), vec![0f32; len]))
}

/// A session with the name of its file, for messages.
#[derive(Debug)]
pub(crate) struct Graph {
    pub file: String,
    pub session: Session,
}

impl Graph {
    pub fn open(package: &PolicyPackage, role: &str, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let file = package.folder.join(&package.manifest.graphs[role].file);
        let session = runtime::session(&package.graphs[role], &file, options, true)?;
        Ok(Self { file: file.display().to_string(), session })
    }

    pub fn failed(&self, source: ort::Error) -> RuntimeError {
        RuntimeError::Graph { graph: self.file.clone(), source }
    }

    /// For each of its inputs in turn, the place of its name in `names`. The package was checked to have no others.
    pub fn order(&self, names: &[&str]) -> Vec<usize> {
        let place = |input: &Outlet| names.iter().position(|name| *name == input.name());
        self.session.inputs().iter().filter_map(place).collect()
    }

    /// Runs on inputs in the order of [`Self::order`]; gives its file, for messages, and its outputs.
    pub fn run(&mut self, inputs: &[SessionInputValue<'_>]) -> Result<(&str, SessionOutputs<'_>), RunError> {
        let Self { file, session } = self;
        match session.run(inputs) {
            Ok(outputs) => Ok((file, outputs)),
            Err(source) => Err(RuntimeError::Graph { graph: file.clone(), source }.into()),
        }
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
