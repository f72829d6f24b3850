//! The node `efm_nodes::nodes::trajectory_publisher` as an executable.

fn main() -> std::process::ExitCode {
    efm_nodes::nodes::trajectory_publisher::plan().run()
}
