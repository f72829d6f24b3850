//! A family of policies that proposes to stay: every row of a chunk is the pose that was measured. It has no graph.
//!
//! Added by `efm_policy::families::register::<HoldSpec>()` where a program starts; a family of this repository stands in
//! `packages/policy/src/families/` instead and has its line in `registry.rs`. Its fixture is `tests/data/hold/`.

use efm_policy::families::parts::{ObservationTensors, TensorProblem, Tensors};
use efm_policy::families::{Family, FieldProblem, Prefix, RunError, Runner, Section, Trace};
use efm_policy::{ActionSpace, Manifest, PolicyPackage, Reference, RuntimeError, RuntimeOptions, VectorNormalization};
use serde::Deserialize;

/// `runner: {type: hold}`: there is nothing to say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldSpec {}

impl Section for HoldSpec {
    const TYPE: &'static str = "hold";
}

impl Family for HoldSpec {
    fn graphs(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self, manifest: &Manifest) -> Result<(), FieldProblem> {
        if manifest.action.space != ActionSpace::JointPosition {
            let problem = "is end_effector; expected joint_position, as hold proposes joints";
            return Err(FieldProblem { field: "action.space".into(), problem: problem.into() });
        }
        Ok(())
    }

    fn wires(&self, _manifest: &Manifest) -> Result<(), FieldProblem> {
        Ok(())
    }

    fn tensors(&self, _tensors: &mut Tensors<'_>) -> Result<(), TensorProblem> {
        Ok(())
    }

    fn describe(&self) -> String {
        "staying where it is".to_owned()
    }

    fn open(&self, package: &PolicyPackage, _options: RuntimeOptions) -> Result<Box<dyn Runner>, RuntimeError> {
        let manifest = package.manifest();
        Ok(Box::new(Hold {
            observation: ObservationTensors::new(manifest)?,
            state: manifest.observation.state.normalization.clone(),
            state_len: manifest.state_len(),
            action: manifest.action.normalization.clone(),
            reference: manifest.action.reference.clone(),
            columns: manifest.sample_shape().1,
        }))
    }
}

#[derive(Debug)]
struct Hold {
    observation: ObservationTensors,
    state: VectorNormalization,
    state_len: usize,
    action: VectorNormalization,
    /// One a joint.
    reference: Vec<Reference>,
    /// Those of the joints, then those that mean nothing.
    columns: usize,
}

impl Runner for Hold {
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
        // With a history the present observation is the last.
        let seen = self.observation.state();
        let now = &seen[seen.len() - self.state_len..];
        actions.fill(0.0);
        for row in actions.chunks_exact_mut(self.columns) {
            for (joint, (out, reference)) in row.iter_mut().zip(&self.reference).enumerate() {
                // A state begins with the joints. What counts from the observation stays at zero.
                let to = match reference {
                    Reference::Absolute => self.state.undo(joint, f64::from(now[joint])),
                    Reference::Relative => 0.0,
                };
                *out = self.action.apply(joint, to) as f32;
            }
        }
        Ok(())
    }
}
