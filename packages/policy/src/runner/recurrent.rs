//! Observation and state in, chunk and next state out: recurrent policies, and the base for world models whose state is a belief.
//!
//! Each run is one step of the state. It is zero after [`Runner::reset`], and the graph is told by `reset` (1, else 0) where it has such an input,
//! as DreamerV3's `is_first`.

use super::{Graph, ObservationTensors, Prefix, RunError, Runner, Trace, output, zeros};
use crate::manifest::RecurrentSpec;
use crate::package::{PolicyPackage, carried_shape};
use crate::runtime::{self, RuntimeError, RuntimeOptions};
use ort::value::Tensor;

#[derive(Debug)]
pub(crate) struct Recurrent {
    observation: ObservationTensors,
    policy: Graph,
    /// Its inputs in turn, by their places among the observation, the state and `reset`.
    order: Vec<usize>,
    actions: String,
    state: Vec<Carried>,
    /// 1 in the first run of an episode.
    first: Option<Tensor<f32>>,
}

/// A tensor that is carried from run to run.
#[derive(Debug)]
struct Carried {
    now: Tensor<f32>,
    /// Output that it is next.
    next: String,
}

impl Recurrent {
    pub(super) fn open(
        package: &PolicyPackage,
        spec: &RecurrentSpec,
        options: RuntimeOptions,
    ) -> Result<Self, RuntimeError> {
        let policy = Graph::open(package, "policy", options)?;
        let failed = |source| policy.failed(source);
        let observation = ObservationTensors::new(&package.manifest).map_err(failed)?;
        let actions = package.manifest.graphs["policy"].outputs[0].clone();
        let (inputs, _) = runtime::signature(&policy.session);
        let state = spec.state.iter().map(|binding| {
            // The package was checked to have it.
            let shape = carried_shape(&inputs, &binding.input).unwrap_or_default();
            Ok(Carried { now: zeros(&shape)?, next: binding.output.clone() })
        });
        let state = state.collect::<ort::Result<_>>().map_err(failed)?;
        let first = spec.reset.as_ref().map(|_| zeros(&[1])).transpose().map_err(failed)?;
        let carried = spec.state.iter().map(|binding| &binding.input).chain(&spec.reset).map(String::as_str);
        let names: Vec<&str> = observation.names().into_iter().chain(carried).collect();
        let order = policy.order(&names);
        let mut this = Self { observation, order, actions, state, first, policy };
        this.reset();
        Ok(this)
    }
}

impl Runner for Recurrent {
    fn observation(&mut self) -> &mut ObservationTensors {
        &mut self.observation
    }

    fn reset(&mut self) {
        for carried in &mut self.state {
            carried.now.extract_tensor_mut().1.fill(0.0);
        }
        if let Some(first) = &mut self.first {
            first.extract_tensor_mut().1.fill(1.0);
        }
    }

    fn run(
        &mut self,
        _noise: &[f32],
        _prefix: Option<Prefix<'_>>,
        actions: &mut [f32],
        _trace: Option<&mut Trace>,
    ) -> Result<(), RunError> {
        let Self { observation, policy, order, actions: name, state, first } = self;
        let carried = state.iter().map(|carried| &carried.now).chain(&*first).map(Into::into);
        let inputs = observation.ordered_with(carried, order);
        let (file, outputs) = policy.run(&inputs)?;
        drop(inputs);
        actions.copy_from_slice(output(file, &outputs, name, actions.len())?);
        // All of it or nothing: a state that is half old and half new, or no number, would spoil every chunk that follows.
        for Carried { now, next } in &*state {
            let values = output(file, &outputs, next, now.extract_tensor().1.len())?;
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                let problem = format!("{value} in its state '{next}', which is left as it was");
                return Err(RunError::Output { graph: file.to_owned(), problem });
            }
        }
        for Carried { now, next } in state {
            let now = now.extract_tensor_mut().1;
            now.copy_from_slice(output(file, &outputs, next, now.len())?);
        }
        if let Some(first) = first {
            first.extract_tensor_mut().1.fill(0.0);
        }
        Ok(())
    }
}
