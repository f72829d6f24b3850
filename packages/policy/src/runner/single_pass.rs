//! Observation in, chunk out: behaviour cloning by regression, ACT, and anything whose sampling is inside its graph.

use super::{Graph, ObservationTensors, Prefix, RunError, Runner, Trace, output};
use crate::package::PolicyPackage;
use crate::runtime::{RuntimeError, RuntimeOptions};

#[derive(Debug)]
pub(crate) struct SinglePass {
    observation: ObservationTensors,
    policy: Graph,
    order: Vec<usize>,
    actions: String,
}

impl SinglePass {
    pub(super) fn open(package: &PolicyPackage, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let policy = Graph::open(package, "policy", options)?;
        let observation = ObservationTensors::new(&package.manifest).map_err(|source| policy.failed(source))?;
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
