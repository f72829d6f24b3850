//! What several families are made of.

mod bindings;
mod encode;
mod graph;
mod observation;
mod stepper;
mod tensors;
pub mod wires;

pub use bindings::{CacheBinding, check_bindings};
pub(crate) use bindings::{cache_shape, carried_shape};
pub use encode::{Context, Encode};
pub use graph::{Graph, Inputs, output, zeros};
pub use observation::ObservationTensors;
pub use stepper::Stepper;
pub use tensors::{TensorProblem, Tensors};

/// Standard deviation of noise where a manifest does not say.
pub(super) fn one() -> f64 {
    1.0
}
