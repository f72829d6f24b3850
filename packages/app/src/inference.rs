//! What `vla_inference` decides: what is looked at, when, and what is proposed for it, and by whom.

pub mod best_of;
pub mod brain;
pub mod engine;
pub mod execution;
pub mod frozen;
pub mod inference_params;
pub mod local;
pub mod pairing;
pub mod picture_ring;
pub mod proposer;
pub mod proposers;
pub mod replan;
pub mod trial;
