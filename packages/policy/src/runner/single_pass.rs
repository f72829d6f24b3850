//! Observation in, chunk out: behaviour cloning by regression, ACT, and anything whose sampling is inside its graph.

use super::{Graph, ObservationTensors, RunError, output};
use crate::package::PolicyPackage;
use crate::runtime::{RuntimeError, RuntimeOptions};

#[derive(Debug)]
pub(crate) struct SinglePass {
    pub(super) observation: ObservationTensors,
    policy: Graph,
    actions: String,
}

impl SinglePass {
    pub(super) fn open(package: &PolicyPackage, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let policy = Graph::open(package, "policy", options)?;
        let observation = ObservationTensors::new(&package.manifest)
            .map_err(|source| RuntimeError::Graph { graph: policy.file.clone(), source })?;
        let actions = package.manifest.graphs["policy"].outputs[0].clone();
        Ok(Self { observation, policy, actions })
    }

    pub(super) fn run(&mut self, actions: &mut [f32]) -> Result<(), RunError> {
        let file = self.policy.file.clone();
        let outputs = self.policy.run(self.observation.inputs())?;
        actions.copy_from_slice(output(&file, &outputs, &self.actions, actions.len())?);
        Ok(())
    }
}
