//! How the graphs of a family are run.

use super::parts::ObservationTensors;
use crate::runtime::RuntimeError;
use std::fmt::Debug;

/// Why a run of the graphs gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// An output is missing or has another number of values than its graph said.
    #[error("graph {graph} gave {problem}")]
    Output {
        /// File.
        graph: String,
        /// What came.
        problem: String,
    },
}

/// What a run went through, for comparison with another runtime.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trace {
    /// Outputs of `encode`, in the manifest's order; empty for a single pass.
    pub context: Vec<Vec<f32>>,
    /// Action tokens, in their order; empty for all others.
    pub tokens: Vec<i64>,
    /// Fields of the manifest that did nothing in this run, though they might in another.
    pub idle: Vec<&'static str>,
}

/// Normalised actions that a new chunk is to continue, row-major in the shape of the sample, and how much each of its rows counts, 0 to 1.
#[derive(Debug, Clone, Copy)]
pub struct Prefix<'a> {
    /// In the shape of the sample.
    pub actions: &'a [f32],
    /// One a row.
    pub weights: &'a [f32],
}

impl Prefix<'_> {
    /// Writes rows of weight one as they were: what the robot does meanwhile is not to be changed by roundings.
    pub fn keep_frozen(&self, actions: &mut [f32]) {
        let columns = actions.len() / self.weights.len();
        let rows = actions.chunks_mut(columns).zip(self.actions.chunks(columns)).zip(self.weights);
        for ((row, frozen), _) in rows.filter(|(_, weight)| **weight >= 1.0) {
            row.copy_from_slice(frozen);
        }
    }
}

/// The way a family of policies is run. A runner owns its sessions and its input tensors; it takes normalised inputs and gives normalised actions, and
/// knows nothing of robots, units or cameras.
pub trait Runner: Debug + Send {
    /// Input tensors of the graph that sees the observation, to be filled before [`Self::run`].
    fn observation(&mut self) -> &mut ObservationTensors;

    /// Forgets what was carried from run to run.
    fn reset(&mut self) {}

    /// Runs on the observation and writes normalised actions, row-major, in the shape of the sample
    /// ([`Manifest::sample_shape`](crate::Manifest::sample_shape)). `noise` has the values that its family asks for
    /// ([`Family::noise_len`](super::Family::noise_len)); `prefix` is given only where its family can continue another chunk.
    ///
    /// # Errors
    /// When there are no actions to be had.
    fn run(
        &mut self,
        noise: &[f32],
        prefix: Option<Prefix<'_>>,
        actions: &mut [f32],
        trace: Option<&mut Trace>,
    ) -> Result<(), RunError>;
}
