//! Several nodes in one process, with one participant of the middleware: `composed camera_ingest goal_intake vla_inference --ros-args ...`.

use efm_nodes::nodes::{camera_ingest, goal_intake, trajectory_publisher, vla_inference};

fn main() -> std::process::ExitCode {
    let plans = vec![camera_ingest::plan(), goal_intake::plan(), vla_inference::plan(), trajectory_publisher::plan()];
    efm_ros::run_together("composed", plans)
}
