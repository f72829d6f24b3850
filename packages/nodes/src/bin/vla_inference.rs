//! The node `efm_nodes::nodes::vla_inference` as an executable.

fn main() -> std::process::ExitCode {
    efm_nodes::nodes::vla_inference::plan().run()
}
