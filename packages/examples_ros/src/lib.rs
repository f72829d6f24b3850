//! The toy node. `CONTRIBUTING.md` has the steps.

pub mod toy_node;
