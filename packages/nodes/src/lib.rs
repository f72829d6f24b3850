//! What of the executables is worth testing without a graph. Each node's `main` is in `src/bin`: it reads parameters, wires topics
//! and calls what is here and in the ROS-free packages.

pub mod goals;
pub mod joint_ring;
pub mod percentiles;
