//! Flow matching in two phases (pi0, SmolVLA): `encode` sees the observation once, `step` is evaluated many times.
//!
//! Training draws x_t = t * noise + (1 - t) * actions and regresses v = noise - actions, so following v backwards in time leads from
//! noise to actions. Here, as in openpi's `sample_actions`, by Euler's method: x += dt * v(x, t), dt = -1/steps, t = 1 - k/steps.

use super::{Graph, ObservationTensors, RunError, output, zeros};
use crate::package::PolicyPackage;
use crate::runtime::{RuntimeError, RuntimeOptions};
use ort::value::Tensor;

#[derive(Debug)]
pub(crate) struct FlowMatching {
    pub(super) observation: ObservationTensors,
    encode: Graph,
    step: Graph,
    steps: usize,
    /// Names of the outputs of `encode`.
    context: Vec<String>,
    /// Names of the sample, the time and the velocity in `step`.
    names: [String; 3],
    x: Tensor<f32>,
    t: Tensor<f32>,
}

impl FlowMatching {
    pub(super) fn open(package: &PolicyPackage, steps: usize, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let manifest = &package.manifest;
        let encode = Graph::open(package, "encode", options)?;
        let step = Graph::open(package, "step", options)?;
        let failed = |source| RuntimeError::Graph { graph: step.file.clone(), source };
        let spec = &manifest.graphs["step"];
        let (observation, x, t) = (|| {
            let chunk = [1, manifest.action.horizon as i64, manifest.action_len() as i64];
            Ok((ObservationTensors::new(manifest)?, zeros(&chunk)?, zeros(&[1])?))
        })()
        .map_err(failed)?;
        Ok(Self {
            observation,
            encode,
            steps,
            context: manifest.graphs["encode"].outputs.clone(),
            names: [spec.inputs[0].clone(), spec.inputs[1].clone(), spec.outputs[0].clone()],
            x,
            t,
            step,
        })
    }

    /// `noise` is x at t = 1. Copies the context when asked to.
    pub(super) fn run(
        &mut self,
        noise: &[f32],
        actions: &mut [f32],
        trace: Option<&mut Vec<Vec<f32>>>,
    ) -> Result<(), RunError> {
        let file = self.encode.file.clone();
        let context = self.encode.run(self.observation.inputs())?;
        let missing = |name: &str| RunError::Output { graph: file.clone(), problem: format!("no output '{name}'") };
        if let Some(trace) = trace {
            trace.clear();
            for name in &self.context {
                let value = context.get(name).ok_or_else(|| missing(name))?;
                let (_, values) = value
                    .try_extract_tensor::<f32>()
                    .map_err(|source| RuntimeError::Graph { graph: file.clone(), source })?;
                trace.push(values.to_vec());
            }
        }

        let [x_name, t_name, v_name] = &self.names;
        let file = self.step.file.clone();
        self.x.extract_tensor_mut().1.copy_from_slice(noise);
        let dt = -1.0 / self.steps as f32;
        for k in 0..self.steps {
            // From k and not by adding up dt, so that the last time is not off by the sum of its roundings.
            self.t.extract_tensor_mut().1[0] = 1.0 - k as f32 / self.steps as f32;
            let mut inputs: super::Inputs<'_> =
                vec![(x_name.as_str().into(), (&self.x).into()), (t_name.as_str().into(), (&self.t).into())];
            for name in &self.context {
                inputs.push((name.as_str().into(), context.get(name).ok_or_else(|| missing(name))?.into()));
            }
            let outputs = self.step.run(inputs)?;
            let v = output(&file, &outputs, v_name, actions.len())?;
            for (x, v) in self.x.extract_tensor_mut().1.iter_mut().zip(v) {
                *x += dt * v;
            }
        }
        actions.copy_from_slice(self.x.extract_tensor().1);
        Ok(())
    }
}
