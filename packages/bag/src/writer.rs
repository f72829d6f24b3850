//! Writing bags.

use crate::cdr::{CdrWriter, Encode};
use crate::schema::{schema_text, type_info};
use crate::{BagError, Qos};
use efm_core::Stamp;
use mcap::records::MessageHeader;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How the chunks of a bag are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// zstd at a level from 1 (fast) to 22 (small).
    Zstd(u32),
}

/// How a bag is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BagOptions {
    /// Compression of the chunks. Default: zstd, level 1.
    pub compression: Compression,
    /// Uncompressed bytes after which a chunk is closed. Default: 1 MiB.
    pub chunk_size: usize,
    /// Log time after which a chunk is closed although it is not full: at most so much is lost when the process is killed.
    /// Default: 2 s.
    pub chunk_duration: Duration,
    /// ROS distribution to note.
    pub ros_distro: String,
}

impl Default for BagOptions {
    fn default() -> Self {
        Self {
            compression: Compression::Zstd(1),
            chunk_size: 1 << 20,
            chunk_duration: Duration::from_secs(2),
            ros_distro: "jazzy".to_owned(),
        }
    }
}

/// What a finished bag holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BagSummary {
    /// The folder.
    pub dir: PathBuf,
    /// Number of messages.
    pub messages: u64,
    /// Smallest and largest log time; both zero when there are no messages.
    pub span: (Stamp, Stamp),
    /// Bytes of the `.mcap` file.
    pub bytes: u64,
}

struct Topic {
    channel: u16,
    type_name: String,
    qos: Qos,
    messages: u32,
}

/// Writes a bag: a folder with `<folder name>_0.mcap` and, once finished, `metadata.yaml`.
///
/// Topic names are noted fully qualified, as rosbag2 does: a `/` is put before a relative name. A bag whose process was
/// killed lacks `metadata.yaml` and the last unclosed chunk; [`crate::BagReader`] (and `ros2 bag reindex`) read it. Dropping
/// a writer finishes its bag, errors then go to the log.
pub struct BagWriter {
    dir: PathBuf,
    file_name: String,
    /// Taken when the bag is completed.
    mcap: Option<mcap::Writer<BufWriter<File>>>,
    options: BagOptions,
    /// By name without the leading `/`.
    topics: HashMap<String, Topic>,
    qos: HashMap<String, Qos>,
    scratch: CdrWriter,
    chunk_bytes: usize,
    chunk_started: Option<Stamp>,
    span: Option<(Stamp, Stamp)>,
}

impl std::fmt::Debug for BagWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BagWriter").field("dir", &self.dir).field("topics", &self.topics.len()).finish_non_exhaustive()
    }
}

impl BagWriter {
    /// Starts a bag in a new folder (parents are made, an empty one is taken).
    ///
    /// # Errors
    /// When the folder holds something already or cannot be written.
    pub fn create(dir: impl AsRef<Path>, options: BagOptions) -> Result<Self, BagError> {
        let dir = dir.as_ref().to_path_buf();
        std::fs::create_dir_all(&dir).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => BagError::Exists(dir.clone()),
            _ => BagError::Io { path: dir.clone(), source },
        })?;
        let mut entries = std::fs::read_dir(&dir).map_err(|source| BagError::Io { path: dir.clone(), source })?;
        if entries.next().is_some() {
            return Err(BagError::Exists(dir));
        }
        let name = dir
            .canonicalize()
            .ok()
            .and_then(|d| d.file_name().map(|n| n.to_string_lossy().into_owned()))
            .unwrap_or_else(|| "bag".to_owned());
        let file_name = format!("{name}_0.mcap");
        let path = dir.join(&file_name);
        let file = File::create(&path).map_err(|source| BagError::Io { path: path.clone(), source })?;
        let (compression, level) = match options.compression {
            Compression::None => (None, 0),
            Compression::Zstd(level) => (Some(mcap::Compression::Zstd), level.clamp(1, 22)),
        };
        let mcap = mcap::WriteOptions::new()
            .profile("ros2")
            .library(concat!("efm_bag/", env!("CARGO_PKG_VERSION")))
            .compression(compression)
            .compression_level(level)
            // A second thread a bag buys nothing at these sizes.
            .compression_threads(0)
            // Chunks are closed below, by size and by time.
            .chunk_size(None)
            // A chunk reaches the file whole or not at all: nothing half-written is left when the process is killed.
            .disable_seeking(true)
            .create(BufWriter::with_capacity(1 << 16, file))
            .map_err(|source| BagError::Mcap { path, source })?;
        Ok(Self {
            dir,
            file_name,
            mcap: Some(mcap),
            options,
            topics: HashMap::new(),
            qos: HashMap::new(),
            scratch: CdrWriter::new(),
            chunk_bytes: 0,
            chunk_started: None,
            span: None,
        })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Notes another profile for a topic than [`Qos::for_topic`]; only before its first message.
    pub fn set_qos(&mut self, topic: &str, qos: Qos) {
        self.qos.insert(topic.trim_start_matches('/').to_owned(), qos);
    }

    /// Writes a message. `log_time` is when it was received (or published).
    ///
    /// # Errors
    /// When the topic has no valid name or another type, the time is negative, or the file cannot be written.
    pub fn write<M: Encode>(&mut self, topic: &str, message: &M, log_time: Stamp) -> Result<(), BagError> {
        let channel = self.channel(topic, M::TYPE, None, log_time)?;
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.restart();
        message.encode(&mut scratch);
        let written = self.append(channel, scratch.bytes(), log_time);
        self.scratch = scratch;
        written
    }

    /// Writes a message that is CDR already, encapsulation header included. `schema_text` is the complete `ros2msg` definition
    /// of the type; it may be empty for the types of [`crate::schema`].
    ///
    /// # Errors
    /// As [`Self::write`], and when the definition is missing or the bytes are too short for CDR.
    pub fn write_raw(
        &mut self,
        topic: &str,
        type_name: &str,
        schema_text: &str,
        cdr: &[u8],
        log_time: Stamp,
    ) -> Result<(), BagError> {
        crate::cdr::CdrReader::new(cdr, "raw message")
            .map_err(|source| BagError::Malformed { topic: topic.to_owned(), source })?;
        let channel = self.channel(topic, type_name, Some(schema_text), log_time)?;
        self.append(channel, cdr, log_time)
    }

    /// Closes the current chunk and hands everything to the operating system.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> Result<(), BagError> {
        self.chunk_bytes = 0;
        self.chunk_started = None;
        self.on_mcap(mcap::Writer::flush)
    }

    /// Completes the bag.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(mut self) -> Result<BagSummary, BagError> {
        self.complete()
    }

    /// The channel of a topic, made at its first message.
    fn channel(
        &mut self,
        topic: &str,
        type_name: &str,
        text: Option<&str>,
        log_time: Stamp,
    ) -> Result<MessageHeader, BagError> {
        let Ok(time) = u64::try_from(log_time.nanos()) else {
            return Err(BagError::NegativeTime { topic: topic.to_owned(), nanos: log_time.nanos() });
        };
        let key = topic.strip_prefix('/').unwrap_or(topic);
        if !self.topics.contains_key(key) {
            let made = self.make_channel(key, type_name, text)?;
            self.topics.insert(key.to_owned(), made);
        }
        let Some(known) = self.topics.get_mut(key) else { unreachable!("inserted above") };
        if known.type_name != type_name {
            return Err(BagError::TypeChanged {
                topic: topic.to_owned(),
                had: known.type_name.clone(),
                got: type_name.to_owned(),
            });
        }
        known.messages += 1;
        Ok(MessageHeader { channel_id: known.channel, sequence: known.messages, log_time: time, publish_time: time })
    }

    fn make_channel(&mut self, key: &str, type_name: &str, text: Option<&str>) -> Result<Topic, BagError> {
        if !is_topic(key) {
            return Err(BagError::Topic(key.to_owned()));
        }
        if !is_type_name(type_name) {
            return Err(BagError::TypeName { topic: key.to_owned(), type_name: type_name.to_owned() });
        }
        let text = match text {
            Some(text) if !text.trim().is_empty() => text.to_owned(),
            _ => schema_text(type_name)
                .ok_or_else(|| BagError::NoDefinition { topic: key.to_owned(), type_name: type_name.to_owned() })?,
        };
        let qos = self.qos.get(key).copied().unwrap_or_else(|| Qos::for_topic(key));
        let notes = BTreeMap::from([
            ("offered_qos_profiles".to_owned(), qos.to_yaml("")),
            ("topic_type_hash".to_owned(), hash_of(type_name).to_owned()),
        ]);
        let channel = self.on_mcap(|mcap| {
            let schema = mcap.add_schema(type_name, "ros2msg", text.as_bytes())?;
            mcap.add_channel(schema, &format!("/{key}"), "cdr", &notes)
        })?;
        Ok(Topic { channel, type_name: type_name.to_owned(), qos, messages: 0 })
    }

    fn append(&mut self, header: MessageHeader, data: &[u8], log_time: Stamp) -> Result<(), BagError> {
        let started = *self.chunk_started.get_or_insert(log_time);
        let waited = log_time.nanos_since(started).unsigned_abs();
        if self.chunk_bytes >= self.options.chunk_size || u128::from(waited) >= self.options.chunk_duration.as_nanos() {
            self.flush()?;
            self.chunk_started = Some(log_time);
        }
        self.on_mcap(|mcap| mcap.write_to_known_channel(&header, data))?;
        self.chunk_bytes += data.len();
        self.span = Some(match self.span {
            None => (log_time, log_time),
            Some((first, last)) => (first.min(log_time), last.max(log_time)),
        });
        Ok(())
    }

    /// Only ever fails to find the writer after [`Self::complete`], which no public method survives.
    fn on_mcap<T>(
        &mut self,
        work: impl FnOnce(&mut mcap::Writer<BufWriter<File>>) -> mcap::McapResult<T>,
    ) -> Result<T, BagError> {
        let writer = self.mcap.as_mut().ok_or(mcap::McapError::AttemptedWriteAfterFailure);
        writer.and_then(work).map_err(|source| BagError::Mcap { path: self.dir.join(&self.file_name), source })
    }

    fn complete(&mut self) -> Result<BagSummary, BagError> {
        let path = self.dir.join(&self.file_name);
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |source| BagError::Io { path, source }
        };
        // rosbag2 keeps the same text inside the file, so that the file alone is a bag too.
        let text = self.metadata();
        let note = mcap::records::Metadata {
            name: "rosbag2".to_owned(),
            metadata: BTreeMap::from([("serialized_metadata".to_owned(), text.clone())]),
        };
        let ended = self.on_mcap(|mcap| {
            mcap.write_metadata(&note)?;
            mcap.finish()
        });
        // The file is flushed by hand, because dropping it would swallow a full disk.
        let flushed = self.mcap.take().map_or(Ok(()), |mcap| mcap.into_inner().flush());
        ended?;
        flushed.map_err(io(&path))?;
        let yaml = self.dir.join("metadata.yaml");
        let part = self.dir.join("metadata.yaml.part");
        std::fs::write(&part, text).map_err(io(&part))?;
        std::fs::rename(&part, &yaml).map_err(io(&yaml))?;
        let bytes = std::fs::metadata(&path).map_err(io(&path))?.len();
        Ok(BagSummary {
            dir: self.dir.clone(),
            messages: self.topics.values().map(|t| u64::from(t.messages)).sum(),
            span: self.span.unwrap_or_default(),
            bytes,
        })
    }

    /// `metadata.yaml` in rosbag2's version 9 (Jazzy).
    fn metadata(&self) -> String {
        let (first, last) = self.span.unwrap_or_default();
        let (start, length) = (first.nanos(), last.nanos_since(first));
        let messages: u64 = self.topics.values().map(|t| u64::from(t.messages)).sum();
        // JSON strings are YAML strings; names of folders may hold anything.
        let file = json_string(&self.file_name);
        let mut topics: Vec<_> = self.topics.iter().collect();
        topics.sort_by_key(|(_, t)| t.channel);
        let mut text = format!(
            "rosbag2_bagfile_information:\n  version: 9\n  storage_identifier: mcap\n  duration:\n    \
             nanoseconds: {length}\n  starting_time:\n    nanoseconds_since_epoch: {start}\n  \
             message_count: {messages}\n"
        );
        text.push_str(if topics.is_empty() {
            "  topics_with_message_count: []\n"
        } else {
            "  topics_with_message_count:\n"
        });
        for (name, topic) in topics {
            text.push_str(&format!(
                "    - topic_metadata:\n        name: /{name}\n        type: {type_name}\n        \
                 serialization_format: cdr\n        offered_qos_profiles:\n{qos}        \
                 type_description_hash: \"{hash}\"\n      message_count: {count}\n",
                type_name = topic.type_name,
                qos = topic.qos.to_yaml("          "),
                hash = hash_of(&topic.type_name),
                count = topic.messages,
            ));
        }
        text.push_str(&format!(
            "  compression_format: \"\"\n  compression_mode: \"\"\n  relative_file_paths:\n    - {file}\n  files:\n    \
             - path: {file}\n      starting_time:\n        nanoseconds_since_epoch: {start}\n      duration:\n        \
             nanoseconds: {length}\n      message_count: {messages}\n  custom_data: ~\n  ros_distro: {distro}\n",
            distro = json_string(&self.options.ros_distro),
        ));
        text
    }
}

impl Drop for BagWriter {
    fn drop(&mut self) {
        if self.mcap.is_some()
            && let Err(error) = self.complete()
        {
            log::error!("bag was not completed: {error}");
        }
    }
}

fn hash_of(type_name: &str) -> &'static str {
    type_info(type_name).map_or("", |t| t.hash)
}

/// `name`, relative: parts of letters, digits and underscores that start with no digit.
fn is_topic(name: &str) -> bool {
    name.split('/').all(|part| {
        part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && part.bytes().next().is_some_and(|b| !b.is_ascii_digit())
    })
}

fn is_type_name(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    parts.len() == 3 && parts[1] == "msg" && is_topic(name)
}

fn json_string(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
