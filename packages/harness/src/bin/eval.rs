//! `efm-eval`.
fn main() {}
