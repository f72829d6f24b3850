//! The node `efm_nodes::nodes::goal_intake` as an executable.

fn main() -> std::process::ExitCode {
    efm_nodes::nodes::goal_intake::plan().run()
}
