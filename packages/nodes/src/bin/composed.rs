//! Several nodes in one process, with one participant of the middleware: `composed camera_ingest goal_intake vla_inference --ros-args ...`.

use efm_nodes::nodes::NODES;

fn main() -> std::process::ExitCode {
    efm_ros::run_together("composed", NODES.iter().map(|node| (node.plan)()).collect())
}
