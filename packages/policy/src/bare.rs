//! The graphs of a package with nothing around them: what the runtime is measured against.

use crate::families::parts::{Graph, Inputs, zeros};
use crate::families::{Bare, RunError};
use crate::package::PolicyPackage;
use crate::runtime::{self, RuntimeError, RuntimeOptions};
use ort::value::Tensor;

/// One graph once, and where its family has one the next as often as its runner does, on inputs that mean nothing. Not for robots.
#[derive(Debug)]
pub struct BareGraphs {
    encode: Graph,
    step: Option<Graph>,
    context: Vec<String>,
    observed: Vec<Tensor<f32>>,
    stepped: Vec<Tensor<f32>>,
    /// Inputs of `step` in turn, by their places among `stepped` and `context`.
    order: Vec<usize>,
    steps: usize,
}

impl BareGraphs {
    /// The graphs of a package, where its family can be run so; None for others. They are opened as the runtime opens them.
    ///
    /// # Errors
    /// From ONNX Runtime.
    pub fn open(package: &PolicyPackage, options: RuntimeOptions) -> Result<Option<Self>, RuntimeError> {
        let Some(Bare { once, then }) = package.manifest.runner.bare() else { return Ok(None) };
        let encode = Graph::open(package, once, options)?;
        let step = then.map(|(role, _)| Graph::open(package, role, options)).transpose()?;
        let steps = then.map_or(0, |(_, steps)| steps);
        let context = package.manifest.graphs[once].outputs.clone();
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
        let (_, observed) = tensors(&encode)?;
        let (names, stepped) = step.as_ref().map_or(Ok(Default::default()), tensors)?;
        let given: Vec<_> = names.iter().chain(&context).map(String::as_str).collect();
        let order = step.as_ref().map_or(Vec::new(), |step| step.order(&given));
        Ok(Some(Self { encode, step, context, observed, stepped, order, steps }))
    }

    /// Runs them once.
    ///
    /// # Errors
    /// From ONNX Runtime.
    pub fn run(&mut self) -> Result<(), RunError> {
        let inputs: Inputs<'_> = self.observed.iter().map(|tensor| tensor.into()).collect();
        let (_, context) = self.encode.run(&inputs)?;
        let Some(step) = &mut self.step else { return Ok(()) };
        for _ in 0..self.steps {
            let mut inputs = Inputs::new();
            for place in &self.order {
                match place.checked_sub(self.stepped.len()) {
                    None => inputs.push((&self.stepped[*place]).into()),
                    Some(place) => inputs.extend(context.get(&self.context[place]).map(Into::into)),
                }
            }
            step.run(&inputs)?;
        }
        Ok(())
    }
}
