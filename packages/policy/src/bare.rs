//! The graphs of a package with nothing around them: what the runtime is measured against.

use crate::manifest::RunnerSpec;
use crate::package::PolicyPackage;
use crate::runner::{Graph, Inputs, RunError, zeros};
use crate::runtime::{self, RuntimeError, RuntimeOptions};
use ort::value::Tensor;

/// `encode` once and `step` as often as the runner does, on inputs that mean nothing. Not for robots.
#[derive(Debug)]
pub struct BareGraphs {
    encode: Graph,
    step: Graph,
    context: Vec<String>,
    observed: Vec<Tensor<f32>>,
    stepped: Vec<Tensor<f32>>,
    /// Inputs of `step` in turn, by their places among `stepped` and `context`.
    order: Vec<usize>,
    steps: usize,
}

impl BareGraphs {
    /// The graphs of a package that has these two; None for others. They are opened as the runtime opens them.
    ///
    /// # Errors
    /// From ONNX Runtime.
    pub fn open(package: &PolicyPackage, options: RuntimeOptions) -> Result<Option<Self>, RuntimeError> {
        let steps = match &package.manifest.runner {
            RunnerSpec::FlowMatching { steps, .. } => *steps,
            RunnerSpec::Diffusion(spec) => spec.steps,
            RunnerSpec::SinglePass {} | RunnerSpec::ActionTokens(_) | RunnerSpec::Recurrent(_) => return Ok(None),
        };
        let (encode, step) = (Graph::open(package, "encode", options)?, Graph::open(package, "step", options)?);
        let context = package.manifest.graphs["encode"].outputs.clone();
        let tensors = |graph: &Graph| {
            let inputs =
                runtime::signature(&graph.session).0.into_iter().filter(|input| !context.contains(&input.name));
            let tensor = |input: runtime::TensorSpec| {
                let mut tensor = zeros(&input.shape)?;
                tensor.extract_tensor_mut().1.fill(0.3);
                Ok((input.name, tensor))
            };
            let tensors: ort::Result<(Vec<String>, Vec<_>)> = inputs.map(tensor).collect();
            tensors.map_err(|source| graph.failed(source))
        };
        let ((_, observed), (names, stepped)) = (tensors(&encode)?, tensors(&step)?);
        let order = step.order(&names.iter().chain(&context).map(String::as_str).collect::<Vec<_>>());
        Ok(Some(Self { encode, step, context, observed, stepped, order, steps }))
    }

    /// Runs them once.
    ///
    /// # Errors
    /// From ONNX Runtime.
    pub fn run(&mut self) -> Result<(), RunError> {
        let inputs: Inputs<'_> = self.observed.iter().map(|tensor| tensor.into()).collect();
        let (_, context) = self.encode.run(&inputs)?;
        for _ in 0..self.steps {
            let mut inputs = Inputs::new();
            for place in &self.order {
                match place.checked_sub(self.stepped.len()) {
                    None => inputs.push((&self.stepped[*place]).into()),
                    Some(place) => inputs.extend(context.get(&self.context[place]).map(Into::into)),
                }
            }
            self.step.run(&inputs)?;
        }
        Ok(())
    }
}
