//! Recording: which topics, what is asked of their publishers, a bounded queue, and a thread that writes the bag, all without ROS;
//! executable `recorder` brings the messages.

pub mod bag;
pub mod follow;
pub mod jpeg;
pub mod params;
pub mod queue;
pub mod selection;
pub mod subscriptions;

pub use bag::{BagOfTopics, Ended, RecordError, RecordOptions, Status, TopicId};
pub use follow::Follow;
pub use selection::{Asked, Selection};
