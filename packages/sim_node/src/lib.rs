//! What of node `sim` is worth testing without a graph.

pub mod pace;
pub mod params;
