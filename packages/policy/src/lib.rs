//! Policy packages: reading them, refusing what does not fit, and running what does.
//!
//! A package is a folder: a manifest (`policy.yaml`), ONNX graphs, one worked example. The format is described in
//! `docs/policy_package.md`. The way through this crate:
//!
//! 1. [`Manifest::read`] is enough to know cameras and sizes; it needs no ONNX Runtime.
//! 2. [`PolicyPackage::load`] reads everything into memory and compares it: hashes, the graphs' real tensors, the worked example,
//!    the sentence encoder (found by hash). [`PolicyPackage::check_robot`] and [`PolicyPackage::check_cameras`] compare it with a
//!    set-up. Every refusal names its culprit.
//! 3. [`Policy::open`] makes the sessions. [`Policy::embed`] turns a sentence into a [`Goal`], once a goal;
//!    [`Policy::act`] turns an [`Observation`] into an `ActionChunk` of joint positions.
//! 4. [`Policy::verify_golden`] repeats the exporter's own run.
//!
//! Inputs of inference are exactly images, measured joints and the sentence. Sessions run sequentially with a fixed number of
//! threads, noise comes from a seed, and nothing reads a clock: the same observation, goal and seed give the same chunk.
//!
//! ONNX Runtime is a shared library, found through the environment variable [`LIBRARY_VARIABLE`] when the first graph is read.

mod actions;
mod bare;
mod check;
mod chunking;
mod conversion;
mod described;
mod encoder;
pub mod families;
mod files;
mod goal;
mod golden;
mod graph_file;
mod idle;
pub mod imagine;
mod manifest;
mod names;
mod noise;
mod normalize;
mod operators;
mod outgoing;
mod package;
mod pictures;
mod policy;
mod ranges;
mod runtime;
mod spread;

pub use actions::{ActionDecoder, ActionError};
pub use bare::BareGraphs;
pub use check::{Check, Setup, check, check_with};
pub use chunking::{Chunking, GuidedPolicy};
pub use conversion::{ConversionMismatch, ConversionProblem, ConversionReport, compare_conversion};
pub use encoder::{
    ENCODER_FILE, Embedding, EncoderError, EncoderManifest, EncoderPackage, GoldenSentence, MAX_SENTENCE_BYTES,
    SentenceEncoder, SentenceError,
};
pub use families::{RunError, RunnerSpec};
pub use files::FileError;
pub use goal::Goal;
pub use golden::{Frame, Golden, GoldenError, Parity};
pub use manifest::{
    ActionSpace, ActionSpec, Axis, CameraSpec, EncoderRef, ExecutionSpec, FileSpec, GraphSpec, ImageSpec, JointUnit,
    LanguageSpec, MANIFEST_FILE, Manifest, ManifestError, Negations, ObservationSpec, PolicyInfo, Reference,
    RobotContract, Rpy, StateSpec, TokensSpec, VocabularySpec,
};
pub use noise::fill_normal;
pub use normalize::{EpsRule, VectorNormalization};
pub use operators::Operators;
pub use outgoing::{CameraPicture, Outgoing};
pub use package::{
    CameraMismatch, LoadOptions, PackageError, PolicyPackage, RobotMismatch, check_cameras, check_robot,
};
pub use policy::{Guide, Observation, OpenError, Policy, PolicyError};
pub use ranges::{RangeMismatch, RangeProblem, RangeReport, compare_ranges};
pub use runtime::{LIBRARY_VARIABLE, Provider, RuntimeError, RuntimeOptions, TensorSpec, load_library, use_library};
