//! The nodes ([`nodes`]), and what of them is worth testing without a graph. A node reads parameters, wires topics and calls what is here
//! and in the ROS-free packages; the executables in `src/bin` only run them.

pub mod camera;
pub mod controller_watch;
pub mod cores;
pub mod description;
pub mod emergency;
pub mod engine;
pub mod execution;
pub mod filter_state;
pub mod goal_change;
pub mod goals;
pub mod inference_params;
pub mod motion_report;
pub mod nodes;
pub mod pairing;
pub mod param_rules;
pub mod picture_ring;
pub mod planning_scene;
pub mod punctual;
pub mod replan;
pub mod scene_feed;
pub mod scene_keeper;
pub mod seldom;
pub mod senders;
pub mod sole_sender;
pub mod streaming;
pub mod streaming_params;
pub mod surroundings;
pub mod trace;
pub mod voice;
pub mod wiring;
