//! rosbag2 bags, written and read without ROS: MCAP both ways, and sqlite3 as it is found.
//!
//! [`BagWriter`] makes a folder that `ros2 bag`, and the Python packages `rosbags` and `mcap-ros2-support`, read;
//! [`BagReader`] reads such folders, those of rosbag2's older sqlite3 storage, and single files of either, message by message. Messages travel as CDR ([`cdr`]); the handful of
//! standard types that the suite uses have plain structs in [`msgs`]. `trajectory_msgs/msg/JointTrajectory` is
//! [`efm_core::Trajectory`] itself.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let tmp = tempfile::tempdir()?;
//! # let folder = tmp.path().join("episode");
//! use efm_bag::{BagOptions, BagReader, BagWriter, msgs::StringMsg};
//! use efm_core::Stamp;
//!
//! let mut bag = BagWriter::create(&folder, BagOptions::default())?;
//! bag.write("instruction", &StringMsg::new("put the red cube left"), Stamp::from_nanos(1))?;
//! bag.finish()?;
//!
//! let mut reader = BagReader::open(&folder)?;
//! while let Some(message) = reader.next_message()? {
//!     if message.topic_is("instruction") {
//!         assert_eq!(message.decode::<StringMsg>()?.data, "put the red cube left");
//!     }
//! }
//! # Ok(()) }
//! ```

pub mod contents;
mod damage;
mod db_file;
pub mod error;
mod files;
pub mod inspect;
mod mcap_file;
pub mod offered;
pub mod plot;
pub mod qos;
pub mod reader;
mod reserve;
pub mod select;
mod stamps;
mod storage;
pub mod timeline;
mod unpack;
pub mod writer;

pub use damage::{Damage, Place};
/// What lies in a bag: messages as bytes, their types and definitions.
pub use efm_wire::{CdrError, Decode, Definition, Definitions, Encode, RosType, cdr, definitions, msgs, schema};
pub use error::BagError;
pub use offered::{Liveliness, OfferedQos};
pub use qos::{Durability, Qos, Reliability};
pub use reader::{BagMessage, BagReader};
pub use writer::{BagOptions, BagSummary, BagWriter, Compression};
