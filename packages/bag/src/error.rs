//! What can go wrong with a bag.

use std::path::PathBuf;

/// Why a bag could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BagError {
    /// The folder for a new bag already holds something.
    #[error("{0} already exists and is not an empty folder; a bag is written to a new folder")]
    Exists(PathBuf),
    /// No bag there.
    #[error("{0} is neither a file of a bag (MCAP or sqlite3) nor a folder with one")]
    NotABag(PathBuf),
    /// A file of a bag is a link to one outside of its folder.
    #[error("{path} is a link to {target}, outside of the bag; give that file by itself")]
    LinksOut {
        /// Which file.
        path: PathBuf,
        /// What it links to.
        target: PathBuf,
    },
    /// A file of this name is not written.
    #[error("{path}: {problem}")]
    Name {
        /// Which name.
        path: PathBuf,
        /// What would be right.
        problem: &'static str,
    },
    /// A file operation failed.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The container is damaged, or could not be written.
    #[error("{path}: {source}")]
    Mcap {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: mcap::McapError,
    },
    /// A database is damaged as a whole, or not rosbag2's.
    #[error("{path}: {problem}")]
    Database {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A compressed file could not be unpacked to be read.
    #[error("{path} cannot be unpacked to {to}: {source}; TMPDIR names another place")]
    Unpack {
        /// Which file.
        path: PathBuf,
        /// The temporary file, or the folder for it.
        to: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `metadata.yaml` is not rosbag2's.
    #[error("{path}: {problem}")]
    Metadata {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Not a topic name.
    #[error("'{0}' is not a topic name (letters, digits, '_' and single '/', no part starting with a digit)")]
    Topic(String),
    /// Not a message type name.
    #[error("topic '{topic}': '{type_name}' is not a message type name (package/msg/Type)")]
    TypeName {
        /// Topic.
        topic: String,
        /// What was given.
        type_name: String,
    },
    /// Two types on one topic.
    #[error("topic '{topic}' was recorded as {had}; a message of type {got} cannot follow")]
    TypeChanged {
        /// Topic.
        topic: String,
        /// Its type.
        had: String,
        /// The other one.
        got: String,
    },
    /// No definition was given for a type that is not built in.
    #[error("topic '{topic}': the definition of {type_name} is not built in; give its text")]
    NoDefinition {
        /// Topic.
        topic: String,
        /// Type.
        type_name: String,
    },
    /// A bag counts nanoseconds since the epoch without a sign.
    #[error("topic '{topic}': log time {nanos} ns lies before the epoch")]
    NegativeTime {
        /// Topic.
        topic: String,
        /// The time.
        nanos: i64,
    },
    /// Bytes that cannot be a message.
    #[error("topic '{topic}' holds {encoding} messages; only cdr is read")]
    Encoding {
        /// Topic.
        topic: String,
        /// What it says.
        encoding: String,
    },
    /// A drawing was asked for.
    #[error("{0} has no message in the time that is to be drawn")]
    NothingToDraw(PathBuf),
    /// A topic was asked for.
    #[error("{path} has no message on topic '{topic}'")]
    NoTopic {
        /// Which bag.
        path: PathBuf,
        /// Which topic.
        topic: String,
    },
    /// Asked to read a message as another type.
    #[error("topic '{topic}' holds {has} messages, not {wanted}")]
    WrongType {
        /// Topic.
        topic: String,
        /// What it holds.
        has: String,
        /// What was asked for.
        wanted: &'static str,
    },
    /// The bytes of a message are not of its type.
    #[error("topic '{topic}': {source}")]
    Malformed {
        /// Topic.
        topic: String,
        /// What is wrong.
        source: crate::CdrError,
    },
}
