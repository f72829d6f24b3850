//! What decides, without ROS: events with their times come in, decisions go out. Nodes, evaluation, replay and bench drive the same objects.
//!
//! [`publisher`] streams chunks to controllers; [`inference`] has a policy propose them; [`goals`] takes instructions in; [`camera`] and
//! [`efm_vision`] make pictures what a policy sees. [`trace`] is the record from which a run is done again.

pub mod bounded;
pub mod camera;
pub mod cell;
pub mod cores;
pub mod goals;
pub mod inference;
pub mod joint_states;
pub mod param_rules;
pub mod publisher;
pub mod reasons;
pub mod seldom;
pub mod setup;
pub mod silence;
pub mod state_file;
pub mod supervisor;
pub mod surroundings;
pub mod trace;

/// Why something cannot go on, of any kind, in words.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
