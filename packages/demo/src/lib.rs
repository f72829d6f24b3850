//! Brings the graph up as separate processes, gives it goals in words, and tells what became of them.
//!
//! | module | holds | knows ROS |
//! |---|---|---|
//! | [`busy`] | how busy this machine is, and how fast simulated time may run | no |
//! | [`graph`], [`plan`] | `config/graph.yaml`, and what is to be started | no |
//! | [`processes`] | the running processes | no |
//! | [`seen`], [`episode`] | what was heard from the graph, and the verdict on a goal | no |
//! | [`wander`] | random motion in the place of a policy's | no |
//! | [`film`], [`tell`], [`clock`] | pictures, tables and JSON, names of folders | no |
//! | [`stage`] | subscriptions, services, the recording | yes |
//! | [`show`] | the sequence of a demo or evaluation | yes |

pub mod busy;
pub mod clock;
pub mod episode;
pub mod film;
pub mod graph;
pub mod plan;
pub mod processes;
pub mod record;
pub mod seen;
pub mod show;
pub mod stage;
pub mod tell;
pub mod wander;
