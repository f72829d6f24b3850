//! The node `efm_examples_ros::toy_node` as an executable. It begins with `efm-` so that no robot installs it.

fn main() -> std::process::ExitCode {
    efm_examples_ros::toy_node::plan().run()
}
