//! The families of policies: how each is asked for in a manifest, checked, and run.
//!
//! A family is one file here and one line in the list of [`registry`](self::register): its section of the manifest (a serde struct that is a
//! [`Family`]) and its [`Runner`]. Nothing outside of this module knows which families there are. What several share stands in [`parts`]. A crate
//! of its own can add a family with [`register`]; `packages/examples/src/toy_family.rs` does.

pub mod action_tokens;
pub mod diffusion;
mod family;
pub mod flow_matching;
pub mod parts;
pub mod recurrent;
mod registry;
mod runner;
pub mod single_pass;

pub use family::{Bare, Family, FieldProblem, GoldenShape, GoldenTokens, Section};
/// The version that sessions and tensors are of.
pub use ort;
pub use registry::{RegisterError, RunnerSpec, names, register};
pub use runner::{Prefix, RunError, Runner, Trace};
