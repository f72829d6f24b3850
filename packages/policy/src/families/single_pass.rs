//! Observation in, chunk out: behaviour cloning by regression, ACT, and anything whose sampling is inside its graph.

use super::parts::{Graph, ObservationTensors, TensorProblem, Tensors, output, wires};
use super::{Bare, Family, FieldProblem, Prefix, RunError, Runner, Section, Trace};
use crate::manifest::Manifest;
use crate::package::PolicyPackage;
use crate::runtime::{RuntimeError, RuntimeOptions};
use serde::Deserialize;

/// One graph, one run: there is nothing to say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinglePassSpec {}

impl Section for SinglePassSpec {
    const TYPE: &'static str = "single_pass";
}

impl Family for SinglePassSpec {
    fn graphs(&self) -> &'static [&'static str] {
        &["policy"]
    }

    fn check(&self, _manifest: &Manifest) -> Result<(), FieldProblem> {
        Ok(())
    }

    fn wires(&self, manifest: &Manifest) -> Result<(), FieldProblem> {
        wires::observes(manifest, "policy", [])?;
        wires::gives(manifest, "policy", "one tensor", &[])
    }

    fn tensors(&self, tensors: &mut Tensors<'_>) -> Result<(), TensorProblem> {
        tensors.output("policy", &tensors.manifest().graphs["policy"].outputs[0], "float32", tensors.chunk());
        tensors.observation("policy");
        Ok(())
    }

    fn describe(&self) -> String {
        "one pass of its graph".to_owned()
    }

    fn bare(&self) -> Option<Bare> {
        Some(Bare { once: "policy", then: None })
    }

    fn open(&self, package: &PolicyPackage, options: RuntimeOptions) -> Result<Box<dyn Runner>, RuntimeError> {
        Ok(Box::new(SinglePass::open(package, options)?))
    }
}

#[derive(Debug)]
struct SinglePass {
    observation: ObservationTensors,
    policy: Graph,
    order: Vec<usize>,
    actions: String,
}

impl SinglePass {
    fn open(package: &PolicyPackage, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let policy = Graph::open(package, "policy", options)?;
        let observation = ObservationTensors::new(&package.manifest)?;
        let actions = package.manifest.graphs["policy"].outputs[0].clone();
        let order = policy.order(&observation.names());
        Ok(Self { observation, order, policy, actions })
    }
}

impl Runner for SinglePass {
    fn observation(&mut self) -> &mut ObservationTensors {
        &mut self.observation
    }

    fn run(
        &mut self,
        _noise: &[f32],
        _prefix: Option<Prefix<'_>>,
        actions: &mut [f32],
        _trace: Option<&mut Trace>,
    ) -> Result<(), RunError> {
        let inputs = self.observation.ordered(&self.order);
        let (file, outputs) = self.policy.run(&inputs)?;
        actions.copy_from_slice(output(file, &outputs, &self.actions, actions.len())?);
        Ok(())
    }
}
