//! Observation and state in, chunk and next state out: recurrent policies, and the base for world models whose state is a belief.
//!
//! Each run is one step of the state. It is zero after [`Runner::reset`], and the graph is told by `reset` (1, else 0) where it has such an input,
//! as DreamerV3's `is_first`.

use super::parts::{
    CacheBinding, Graph, ObservationTensors, TensorProblem, Tensors, carried_shape, check_bindings, output, wires,
    zeros,
};
use super::{Family, FieldProblem, Prefix, RunError, Runner, Section, Trace};
use crate::manifest::Manifest;
use crate::package::PolicyPackage;
use crate::runtime::{self, RuntimeError, RuntimeOptions};
use ort::value::Tensor;
use serde::Deserialize;

/// What a recurrent policy carries from chunk to chunk.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecurrentSpec {
    /// What each output becomes an input of for the next chunk; zero for the first of an episode. float32 of a fixed shape.
    pub state: Vec<CacheBinding>,
    /// Input, float32 `[1]`, that is 1 for the first chunk of an episode, else 0.
    #[serde(default)]
    pub reset: Option<String>,
}

impl RecurrentSpec {
    /// Inputs of the graph beside the observation: the state, then `reset`.
    fn inputs(&self) -> impl Iterator<Item = &str> {
        self.state.iter().map(|binding| &binding.input).chain(&self.reset).map(String::as_str)
    }
}

impl Section for RecurrentSpec {
    const TYPE: &'static str = "recurrent";
}

impl Family for RecurrentSpec {
    fn graphs(&self) -> &'static [&'static str] {
        &["policy"]
    }

    fn check(&self, manifest: &Manifest) -> Result<(), FieldProblem> {
        if self.state.is_empty() {
            return Err(FieldProblem::of("state", "is empty; a policy without a state is a single_pass"));
        }
        check_bindings("state", &self.state)?;
        let observation = manifest.observation_tensors();
        if let Some(name) = self.inputs().find(|name| observation.contains(name)) {
            return Err(FieldProblem::of("state", format!("'{name}' is a tensor of the observation too")));
        }
        if let Some(reset) = self.reset.as_ref().filter(|reset| self.state.iter().any(|b| b.input == **reset)) {
            return Err(FieldProblem::of("reset", format!("'{reset}' is an input of the state too")));
        }
        Ok(())
    }

    fn wires(&self, manifest: &Manifest) -> Result<(), FieldProblem> {
        wires::observes(manifest, "policy", self.inputs())?;
        wires::gives(manifest, "policy", "the actions, then the outputs of the state", &self.state)
    }

    fn tensors(&self, tensors: &mut Tensors<'_>) -> Result<(), TensorProblem> {
        tensors.output("policy", &tensors.manifest().graphs["policy"].outputs[0], "float32", tensors.chunk());
        for binding in &self.state {
            let shape = carried_shape(tensors.inputs_of("policy"), &binding.input)
                .map_err(|problem| TensorProblem { role: "policy", problem })?;
            tensors.input("policy", &binding.input, "float32", shape.clone());
            tensors.output("policy", &binding.output, "float32", shape);
        }
        if let Some(reset) = &self.reset {
            tensors.input("policy", reset, "float32", vec![1]);
        }
        tensors.observation("policy");
        Ok(())
    }

    fn remembers(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        "one pass of its graph, which remembers what it saw since the goal began".to_owned()
    }

    fn open(&self, package: &PolicyPackage, options: RuntimeOptions) -> Result<Box<dyn Runner>, RuntimeError> {
        Ok(Box::new(Recurrent::open(package, self, options)?))
    }
}

#[derive(Debug)]
struct Recurrent {
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
    fn open(package: &PolicyPackage, spec: &RecurrentSpec, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let policy = Graph::open(package, "policy", options)?;
        let failed = |source| policy.failed(source);
        let observation = ObservationTensors::new(&package.manifest)?;
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
