//! Toys that keep the doors open: what a robot's team may add from a crate of its own, each as small as it can be, in one file. `CONTRIBUTING.md` has the steps.

pub mod toy_family;
pub mod toy_format;
pub mod toy_monitor;
pub mod toy_proposer;
pub mod toy_world;
