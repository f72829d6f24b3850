//! From rosbags to a LeRobotDataset (format v3.0), without ROS and without Python.
//!
//! A bag is read twice. The first reading ([`survey`]) notes the stamps of what comes into question; from those alone it is decided which message
//! becomes a part of which frame ([`clock`], [`align`], [`command`], [`plan`]), so all that can be refused is refused before anything is written. The
//! second reading ([`convert`]) unpacks the messages that are needed, and a frame is written ([`lerobot`]) as soon as its messages are there.
//!
//! ```no_run
//! use efm_dataset::{Options, convert};
//! # fn main() -> Result<(), efm_dataset::DatasetError> {
//! let summary = convert(&["monday".into(), "tuesday".into()], "pick_and_place".as_ref(), &Options::default(), &mut |_| {})?;
//! println!("{} episodes", summary.written.episodes);
//! # Ok(()) }
//! ```

pub mod align;
pub mod clock;
pub mod command;
pub mod convert;
pub mod error;
pub mod layout;
pub mod lerobot;
pub mod picture;
pub mod plan;
pub mod stats;
pub mod survey;
pub mod table;

pub use convert::{Progress, Summary, convert};
pub use error::DatasetError;
pub use layout::Options;
