//! The nodes of the suite, each as a plan that runs by itself or with others in one process.

use efm_ros::{Plan, Spec};

pub mod camera_ingest;
pub mod goal_intake;
pub mod trajectory_publisher;
pub mod vla_inference;

/// A node of the list.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// Of the node and of its executable.
    pub name: &'static str,
    /// The node.
    pub plan: fn() -> Plan,
    /// Its parameters.
    pub specs: fn() -> Vec<Spec>,
}

/// All nodes of this crate. A new one is one line here: `composed`, `docs/parameters.md`, `config/parameters` and the tests are made of this list.
pub const NODES: &[Listed] = &[
    Listed { name: "camera_ingest", plan: camera_ingest::plan, specs: camera_ingest::specs },
    Listed { name: "goal_intake", plan: goal_intake::plan, specs: goal_intake::specs },
    Listed { name: "vla_inference", plan: vla_inference::plan, specs: vla_inference::specs },
    Listed { name: "trajectory_publisher", plan: trajectory_publisher::plan, specs: trajectory_publisher::specs },
];
