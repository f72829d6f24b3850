//! The node `efm_nodes::nodes::camera_ingest` as an executable.

fn main() -> std::process::ExitCode {
    efm_nodes::nodes::camera_ingest::plan().run()
}
