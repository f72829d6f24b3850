//! The nodes of the suite, each as a plan that runs by itself or with others in one process.

pub mod camera_ingest;
pub mod goal_intake;
pub mod trajectory_publisher;
pub mod vla_inference;
