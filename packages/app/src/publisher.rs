//! What `trajectory_publisher` decides: which chunk is followed, what is sent to the controllers, and why nothing moves.

pub mod controller_watch;
pub mod description;
pub mod emergency;
pub mod filter_state;
pub mod goal_change;
pub mod motion_report;
pub mod planning_scene;
pub mod publishing;
pub mod scene_feed;
pub mod scene_keeper;
pub mod sole_sender;
pub mod steady;
pub mod streaming;
pub mod streaming_params;
