//! What `vla_inference` decides: what is looked at, when, and what the policy proposes for it.

pub mod brain;
pub mod engine;
pub mod execution;
pub mod inference_params;
pub mod pairing;
pub mod picture_ring;
pub mod replan;
