//! Reading bags.

use crate::cdr::{Decode, RosType};
use crate::damage::{Damage, Damages};
use crate::error::BagError;
use crate::files;
use crate::schema;
use crate::storage::Storage;
use crate::unpack;
use efm_core::Stamp;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A message of a bag, its bytes owned. The same whatever the bag is stored as.
#[derive(Debug, Clone)]
pub struct BagMessage {
    channel: Arc<mcap::Channel<'static>>,
    log_time: Stamp,
    publish_time: Stamp,
    data: Vec<u8>,
}

impl BagMessage {
    pub(crate) fn new(
        channel: Arc<mcap::Channel<'static>>,
        log_time: Stamp,
        publish_time: Stamp,
        data: Vec<u8>,
    ) -> Self {
        Self { channel, log_time, publish_time, data }
    }

    /// What it says of its topic, without its bytes.
    pub(crate) fn without_data(&self) -> Self {
        Self { data: Vec::new(), channel: Arc::clone(&self.channel), ..*self }
    }

    /// As it was before rosbag2 compressed it.
    pub(crate) fn unpacked(mut self, declared: bool) -> Result<Self, String> {
        self.data = unpack::message(self.data, &self.channel.message_encoding, declared)?;
        Ok(self)
    }

    /// Topic as recorded, usually with a leading `/`.
    pub fn topic(&self) -> &str {
        &self.channel.topic
    }

    /// Whether it came over this topic; a leading `/` makes no difference.
    pub fn topic_is(&self, name: &str) -> bool {
        self.topic().trim_start_matches('/') == name.trim_start_matches('/')
    }

    /// `package/msg/Type`; empty when the bag does not say.
    pub fn type_name(&self) -> &str {
        self.channel.schema.as_ref().map_or("", |s| &s.name)
    }

    /// The definition of the type, with those that it needs: what the bag carries, else (old sqlite3 bags) what is built in for the standard
    /// types, else nothing.
    pub fn schema_text(&self) -> Cow<'_, str> {
        match self.channel.schema.as_ref().map_or(&[][..], |s| &s.data) {
            [] => schema::schema_text(self.type_name()).unwrap_or_default().into(),
            text => String::from_utf8_lossy(text),
        }
    }

    /// What the definition is written in: `ros2msg`, or `ros2idl` for types that were made from IDL; empty where there is none.
    pub fn schema_encoding(&self) -> &str {
        match self.channel.schema.as_ref() {
            Some(schema) if !schema.data.is_empty() => &schema.encoding,
            _ if schema::type_info(self.type_name()).is_some() => "ros2msg",
            _ => "",
        }
    }

    /// REP 2011 hash of the type; empty when the bag does not say.
    pub fn type_hash(&self) -> &str {
        self.channel.metadata.get("topic_type_hash").map_or("", String::as_str)
    }

    /// When it was recorded.
    pub fn log_time(&self) -> Stamp {
        self.log_time
    }

    /// When it was published, as whoever recorded it knew; in sqlite3 bags when it was recorded.
    pub fn publish_time(&self) -> Stamp {
        self.publish_time
    }

    /// The profiles that its publishers offered, in rosbag2's YAML; empty when the bag does not say.
    pub fn offered_qos(&self) -> &str {
        self.channel.metadata.get("offered_qos_profiles").map_or("", String::as_str)
    }

    /// The CDR bytes, encapsulation header included.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// What the bytes are written in: `cdr`, where ROS 2 recorded them.
    pub fn encoding(&self) -> &str {
        &self.channel.message_encoding
    }

    pub(crate) fn check_encoding(&self) -> Result<(), BagError> {
        if self.encoding() == "cdr" {
            return Ok(());
        }
        Err(BagError::Encoding { topic: self.topic().to_owned(), encoding: self.encoding().to_owned() })
    }

    /// Reads the bytes as a message.
    ///
    /// # Errors
    /// When it is of another type or malformed.
    pub fn decode<'a, M: Decode<'a> + RosType>(&'a self) -> Result<M, BagError> {
        self.check_encoding()?;
        if self.type_name() != M::TYPE {
            return Err(BagError::WrongType {
                topic: self.topic().to_owned(),
                has: self.type_name().to_owned(),
                wanted: M::TYPE,
            });
        }
        M::from_cdr(self.data()).map_err(|source| BagError::Malformed { topic: self.topic().to_owned(), source })
    }
}

/// Reads the messages of a bag in the order of its files, one by one: MCAP and sqlite3, not compressed or with zstd by chunk, message or file.
/// Memory stays at the size of a chunk (sqlite3 files whose messages do not lie in order of time cost 16 bytes for each of them); a compressed file is
/// unpacked into a temporary one while it is read.
///
/// A bag whose writer was killed is read as far as it was written; [`Self::truncated`] tells. What is damaged is left out, and what comes after
/// it is read; [`Self::damages`] tells. Also an iterator.
pub struct BagReader {
    files: VecDeque<PathBuf>,
    packed_messages: bool,
    current: Option<Storage>,
    truncated: bool,
    damages: Damages,
}

impl std::fmt::Debug for BagReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BagReader").field("files", &self.files).finish_non_exhaustive()
    }
}

impl BagReader {
    /// Opens a bag folder (with or without `metadata.yaml`) or a single file of one.
    ///
    /// # Errors
    /// When there is no such file, a file is a link out of the folder, or the bag is of another storage or compression.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BagError> {
        let mut damages = Damages::default();
        let files = files::of(path.as_ref(), &mut damages)?;
        let mut reader = Self {
            files: files.paths.into(),
            packed_messages: files.packed_messages,
            current: None,
            truncated: false,
            damages,
        };
        // So that a file that is none of a bag is reported now.
        reader.advance()?;
        Ok(reader)
    }

    /// Whether a file ended in the middle: the recorder was killed. Known once the messages of that file are over.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// What could not be read of the files that are over, the first hundred; see [`Self::damaged`] for how many there were.
    pub fn damages(&self) -> &[Damage] {
        self.damages.told()
    }

    /// How many records could not be read of the files that are over.
    pub fn damaged(&self) -> u64 {
        self.damages.count()
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// When a file cannot be read or is none of a bag; the next call goes on with the next file.
    pub fn next_message(&mut self) -> Result<Option<BagMessage>, BagError> {
        loop {
            let Some(file) = &mut self.current else {
                if self.files.is_empty() {
                    return Ok(None);
                }
                self.advance()?;
                continue;
            };
            match file.next() {
                Ok(Some(message)) => return Ok(Some(message)),
                Ok(None) => self.advance()?,
                Err(error) => {
                    self.close();
                    return Err(error);
                }
            }
        }
    }

    fn close(&mut self) {
        if let Some(over) = self.current.take().map(Storage::close) {
            self.truncated |= over.truncated;
            self.damages.append(over.damages);
        }
    }

    /// Closes the current file and opens the next.
    fn advance(&mut self) -> Result<(), BagError> {
        self.close();
        if let Some(path) = self.files.pop_front() {
            self.current = Some(Storage::open(&path, self.packed_messages)?);
        }
        Ok(())
    }
}

impl Iterator for BagReader {
    type Item = Result<BagMessage, BagError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_message().transpose()
    }
}
