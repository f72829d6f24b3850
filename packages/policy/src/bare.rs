//! The graphs of a package with nothing around them: what the runtime is measured against.

use crate::manifest::RunnerSpec;
use crate::package::PolicyPackage;
use crate::runner::{Graph, Inputs, zeros};
use crate::runtime::{self, RuntimeError, RuntimeOptions};
use ort::value::Tensor;

/// `encode` once and `step` as often as the runner does, on inputs that mean nothing. Not for robots.
#[derive(Debug)]
pub struct BareGraphs {
    encode: Graph,
    step: Graph,
    context: Vec<String>,
    observed: Vec<(String, Tensor<f32>)>,
    stepped: Vec<(String, Tensor<f32>)>,
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
            RunnerSpec::SinglePass {} | RunnerSpec::ActionTokens(_) => return Ok(None),
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
            inputs.map(tensor).collect::<ort::Result<Vec<_>>>().map_err(|source| graph.failed(source))
        };
        let (observed, stepped) = (tensors(&encode)?, tensors(&step)?);
        Ok(Some(Self { encode, step, context, observed, stepped, steps }))
    }

    /// Runs them once.
    ///
    /// # Errors
    /// From ONNX Runtime.
    pub fn run(&mut self) -> Result<(), RuntimeError> {
        fn inputs(tensors: &[(String, Tensor<f32>)]) -> Inputs<'_> {
            tensors.iter().map(|(name, tensor)| (name.as_str().into(), tensor.into())).collect()
        }
        let Graph { file, session } = &mut self.encode;
        let context = session
            .run(inputs(&self.observed))
            .map_err(|source| RuntimeError::Graph { graph: file.clone(), source })?;
        for _ in 0..self.steps {
            let mut given = inputs(&self.stepped);
            given
                .extend(self.context.iter().filter_map(|name| Some((name.as_str().into(), context.get(name)?.into()))));
            let Graph { file, session } = &mut self.step;
            session.run(given).map_err(|source| RuntimeError::Graph { graph: file.clone(), source })?;
        }
        Ok(())
    }
}
