//! Writing bags.

use crate::cdr::{CdrWriter, Encode};
use crate::definitions::Definition;
use crate::reserve::{FullDisk, Reserved};
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
    /// Bytes after which the next file of the bag is begun. Default: never.
    pub max_file_bytes: Option<u64>,
    /// Log time after which the next file of the bag is begun. Default: never.
    pub max_file_duration: Option<Duration>,
    /// Bytes of the disk that are set aside while the bag is written, so that it can be completed when the disk is full. Default: 0.
    pub reserve_bytes: u64,
    /// ROS distribution to note.
    pub ros_distro: String,
}

impl Default for BagOptions {
    fn default() -> Self {
        Self {
            compression: Compression::Zstd(1),
            chunk_size: 1 << 20,
            chunk_duration: Duration::from_secs(2),
            max_file_bytes: None,
            max_file_duration: None,
            reserve_bytes: 0,
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
    /// Bytes of the `.mcap` files.
    pub bytes: u64,
}

struct Topic {
    /// In the current file; none before its first message there.
    channel: Option<u16>,
    /// Its place in lists.
    place: usize,
    type_name: String,
    schema: String,
    /// What the schema is written in.
    encoding: String,
    /// REP 2011; empty where it is not known.
    hash: String,
    /// rosbag2's YAML.
    qos: String,
    messages: u32,
}

/// A file of the bag.
struct BagFile {
    name: String,
    messages: u64,
    span: Option<(Stamp, Stamp)>,
}

impl BagFile {
    fn new(bag: &str, number: usize) -> Self {
        Self { name: format!("{bag}_{number}.mcap"), messages: 0, span: None }
    }

    fn note(&mut self, at: Stamp) {
        self.messages += 1;
        self.span = Some(self.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }
}

type Sink = BufWriter<Reserved>;

/// Writes a bag: a folder with `<folder name>_0.mcap` (and further ones, where files are bounded) and, once finished, `metadata.yaml`.
///
/// Topic names are noted fully qualified, as rosbag2 does: a `/` is put before a relative name. A bag whose process was
/// killed lacks `metadata.yaml` and the last unclosed chunk; [`crate::BagReader`] (and `ros2 bag reindex`) read it. Dropping
/// a writer finishes its bag, errors then go to the log.
pub struct BagWriter {
    dir: PathBuf,
    name: String,
    /// The last one is written.
    files: Vec<BagFile>,
    /// Taken when a file is completed.
    mcap: Option<mcap::Writer<Sink>>,
    options: BagOptions,
    /// By name without the leading `/`.
    topics: HashMap<String, Topic>,
    /// Profiles that were asked for, in YAML.
    qos: HashMap<String, String>,
    scratch: CdrWriter,
    chunk_bytes: usize,
    chunk_started: Option<Stamp>,
    /// Of the current file, as far as chunks are closed.
    file_bytes: u64,
    file_started: Option<Stamp>,
    /// Bytes of the files that are complete.
    bytes: u64,
    /// Set aside for the end.
    full: FullDisk,
    /// rosbag2's custom data.
    notes: BTreeMap<String, String>,
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
        let full = FullDisk::set_aside(&dir, options.reserve_bytes)
            .map_err(|source| BagError::Io { path: dir.clone(), source })?;
        let mut bag = Self {
            dir,
            name,
            files: Vec::new(),
            mcap: None,
            options,
            topics: HashMap::new(),
            qos: HashMap::new(),
            scratch: CdrWriter::new(),
            chunk_bytes: 0,
            chunk_started: None,
            file_bytes: 0,
            file_started: None,
            bytes: 0,
            full,
            notes: BTreeMap::new(),
        };
        bag.begin_file()?;
        Ok(bag)
    }

    fn begin_file(&mut self) -> Result<(), BagError> {
        let next = BagFile::new(&self.name, self.files.len());
        let path = self.dir.join(&next.name);
        let file = File::create_new(&path).map_err(|source| BagError::Io { path: path.clone(), source })?;
        let (compression, level) = match self.options.compression {
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
            .create(BufWriter::with_capacity(1 << 16, Reserved::new(file, self.full.clone())))
            .map_err(|source| BagError::Mcap { path, source })?;
        self.mcap = Some(mcap);
        self.files.push(next);
        self.topics.values_mut().for_each(|topic| topic.channel = None);
        (self.file_bytes, self.file_started) = (0, None);
        (self.chunk_bytes, self.chunk_started) = (0, None);
        Ok(())
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Notes another profile for a topic than [`Qos::for_topic`]; before its first message, later ones change nothing.
    pub fn set_qos(&mut self, topic: &str, qos: Qos) {
        self.set_qos_yaml(topic, qos.to_yaml(""));
    }

    /// As [`Self::set_qos`], in rosbag2's own YAML, as another bag has it (a list of profiles).
    pub fn set_qos_yaml(&mut self, topic: &str, qos: String) {
        self.qos.insert(topic.trim_start_matches('/').to_owned(), qos);
    }

    /// Notes something about the bag as a whole in its `custom_data`. Whatever was noted under the same key is replaced.
    pub fn note(&mut self, key: &str, value: impl Into<String>) {
        self.notes.insert(key.to_owned(), value.into());
    }

    /// Whether the disk was full once: what was set aside is in use, and the bag should be finished.
    pub fn disk_was_full(&self) -> bool {
        self.full.happened()
    }

    /// Writes a message as the middleware handed it over: CDR, encapsulation header included. The definition may be empty; readers then
    /// know the bytes but not the fields.
    ///
    /// # Errors
    /// As [`Self::write`], and when the bytes are too short for CDR.
    pub fn write_recorded(
        &mut self,
        topic: &str,
        definition: &Definition,
        cdr: &[u8],
        log_time: Stamp,
        publish_time: Stamp,
    ) -> Result<(), BagError> {
        crate::cdr::CdrReader::new(cdr, "recorded message")
            .map_err(|source| BagError::Malformed { topic: topic.to_owned(), source })?;
        let mut header = self.channel(topic, &definition.name, Source::Definition(definition), log_time)?;
        header.publish_time = u64::try_from(publish_time.nanos()).unwrap_or(header.log_time);
        self.append(header, cdr, log_time)
    }

    /// Writes a message of another bag as it is: bytes, type and its definition, times, and the profiles that were offered.
    ///
    /// # Errors
    /// As [`Self::write_raw`], but a definition may be missing as it was there.
    pub fn copy(&mut self, message: &crate::BagMessage) -> Result<(), BagError> {
        self.copy_at(message, message.log_time())
    }

    /// As [`Self::copy`], as if it had been recorded at another time.
    ///
    /// # Errors
    /// As [`Self::copy`].
    pub fn copy_at(&mut self, message: &crate::BagMessage, at: Stamp) -> Result<(), BagError> {
        let topic = message.topic();
        let key = topic.strip_prefix('/').unwrap_or(topic);
        if !self.topics.contains_key(key)
            && let Some(yaml) = crate::qos::in_version_9(message.offered_qos())
        {
            self.set_qos_yaml(key, yaml);
        }
        message.check_encoding()?;
        let mut header = self.channel(topic, message.type_name(), Source::Found(message), at)?;
        header.publish_time = u64::try_from(message.publish_time().nanos()).unwrap_or(header.log_time);
        self.append(header, message.data(), at)
    }

    /// Writes a message. `log_time` is when it was received (or published).
    ///
    /// # Errors
    /// When the topic has no valid name or another type, the time is negative, or the file cannot be written.
    pub fn write<M: Encode>(&mut self, topic: &str, message: &M, log_time: Stamp) -> Result<(), BagError> {
        let channel = self.channel(topic, M::TYPE, Source::BuiltIn, log_time)?;
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
        let channel = self.channel(topic, type_name, Source::Text(schema_text), log_time)?;
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

    /// The channel of a topic, made at its first message in each file.
    fn channel(
        &mut self,
        topic: &str,
        type_name: &str,
        source: Source<'_>,
        log_time: Stamp,
    ) -> Result<MessageHeader, BagError> {
        let Ok(time) = u64::try_from(log_time.nanos()) else {
            return Err(BagError::NegativeTime { topic: topic.to_owned(), nanos: log_time.nanos() });
        };
        let key = topic.strip_prefix('/').unwrap_or(topic);
        if !self.topics.contains_key(key) {
            let made = self.new_topic(key, type_name, source)?;
            self.topics.insert(key.to_owned(), made);
        }
        self.next_file_if_due(log_time)?;
        let Some(known) = self.topics.get_mut(key) else { unreachable!("inserted above") };
        if known.type_name != type_name {
            return Err(BagError::TypeChanged {
                topic: topic.to_owned(),
                had: known.type_name.clone(),
                got: type_name.to_owned(),
            });
        }
        known.messages += 1;
        let (begun, sequence) = (known.channel, known.messages);
        let channel_id = match begun {
            Some(channel) => channel,
            None => self.begin_channel(key)?,
        };
        Ok(MessageHeader { channel_id, sequence, log_time: time, publish_time: time })
    }

    /// Describes a topic in the current file.
    fn begin_channel(&mut self, key: &str) -> Result<u16, BagError> {
        let topic = &self.topics[key];
        let (type_name, schema, encoding) = (topic.type_name.clone(), topic.schema.clone(), topic.encoding.clone());
        let notes = BTreeMap::from([
            ("offered_qos_profiles".to_owned(), topic.qos.clone()),
            ("topic_type_hash".to_owned(), topic.hash.clone()),
        ]);
        let channel = self.on_mcap(|mcap| {
            let schema = mcap.add_schema(&type_name, &encoding, schema.as_bytes())?;
            mcap.add_channel(schema, &format!("/{key}"), "cdr", &notes)
        })?;
        if let Some(topic) = self.topics.get_mut(key) {
            topic.channel = Some(channel);
        }
        Ok(channel)
    }

    fn new_topic(&self, key: &str, type_name: &str, source: Source<'_>) -> Result<Topic, BagError> {
        if !is_topic(key) {
            return Err(BagError::Topic(key.to_owned()));
        }
        if !is_type_name(type_name) {
            return Err(BagError::TypeName { topic: key.to_owned(), type_name: type_name.to_owned() });
        }
        let known = || type_info(type_name).map_or("", |known| known.hash).to_owned();
        let ros2msg = "ros2msg".to_owned();
        let (schema, encoding, hash) = match source {
            Source::Definition(definition) => (definition.text.clone(), ros2msg, definition.hash.clone()),
            Source::Text(text) if !text.trim().is_empty() => (text.to_owned(), ros2msg, known()),
            Source::Text(_) | Source::BuiltIn => {
                let text = schema_text(type_name)
                    .ok_or_else(|| BagError::NoDefinition { topic: key.to_owned(), type_name: type_name.to_owned() })?;
                (text, ros2msg, known())
            }
            Source::Found(message) => {
                let hash = if message.type_hash().is_empty() { known() } else { message.type_hash().to_owned() };
                (message.schema_text().into_owned(), message.schema_encoding().to_owned(), hash)
            }
        };
        let qos = self.qos.get(key).cloned().unwrap_or_else(|| Qos::for_topic(key).to_yaml(""));
        let (place, type_name) = (self.topics.len(), type_name.to_owned());
        Ok(Topic { channel: None, place, type_name, schema, encoding, hash, qos, messages: 0 })
    }

    /// Begins the next file where the current one is full.
    fn next_file_if_due(&mut self, log_time: Stamp) -> Result<(), BagError> {
        let started = *self.file_started.get_or_insert(log_time);
        let lasted = u128::from(log_time.nanos_since(started).unsigned_abs());
        let too_long = self.options.max_file_duration.is_some_and(|most| lasted >= most.as_nanos());
        if !(too_long || self.options.max_file_bytes.is_some_and(|most| self.file_bytes >= most)) {
            return Ok(());
        }
        if self.files.last().is_none_or(|file| file.messages == 0) {
            return Ok(());
        }
        self.complete_file(None)?;
        self.begin_file()?;
        self.file_started = Some(log_time);
        Ok(())
    }

    fn append(&mut self, header: MessageHeader, data: &[u8], log_time: Stamp) -> Result<(), BagError> {
        let started = *self.chunk_started.get_or_insert(log_time);
        let waited = log_time.nanos_since(started).unsigned_abs();
        if self.chunk_bytes >= self.options.chunk_size || u128::from(waited) >= self.options.chunk_duration.as_nanos() {
            self.flush()?;
            self.chunk_started = Some(log_time);
            if self.options.max_file_bytes.is_some() {
                let path = self.path();
                self.file_bytes = std::fs::metadata(&path).map_err(|source| BagError::Io { path, source })?.len();
            }
        }
        self.on_mcap(|mcap| mcap.write_to_known_channel(&header, data))?;
        self.chunk_bytes += data.len();
        if let Some(file) = self.files.last_mut() {
            file.note(log_time);
        }
        Ok(())
    }

    /// Only ever fails to find the writer after [`Self::complete`], which no public method survives.
    fn on_mcap<T>(&mut self, work: impl FnOnce(&mut mcap::Writer<Sink>) -> mcap::McapResult<T>) -> Result<T, BagError> {
        let writer = self.mcap.as_mut().ok_or(mcap::McapError::AttemptedWriteAfterFailure);
        writer.and_then(work).map_err(|source| match source {
            // What the system said, and not that it happened while something was compressed.
            mcap::McapError::Io(source) => BagError::Io { path: self.path(), source },
            source => BagError::Mcap { path: self.path(), source },
        })
    }

    /// Gives the bag up: what was written of it is removed, and the folder with it unless it is to be kept.
    ///
    /// # Errors
    /// When something stays.
    pub(crate) fn discard(mut self, keep_folder: bool) -> std::io::Result<()> {
        // Dropped by hand, because it would be completed otherwise.
        drop(self.mcap.take().map(mcap::Writer::into_inner));
        for file in std::mem::take(&mut self.files) {
            std::fs::remove_file(self.dir.join(file.name))?;
        }
        let part = self.dir.join("metadata.yaml.part");
        if part.exists() {
            std::fs::remove_file(part)?;
        }
        if keep_folder { Ok(()) } else { std::fs::remove_dir(&self.dir) }
    }

    /// Of the file that is written.
    fn path(&self) -> PathBuf {
        self.dir.join(self.files.last().map_or("", |file| file.name.as_str()))
    }

    fn complete_file(&mut self, note: Option<&mcap::records::Metadata>) -> Result<(), BagError> {
        let ended = self.on_mcap(|mcap| {
            note.map_or(Ok(()), |note| mcap.write_metadata(note))?;
            mcap.finish()
        });
        // The file is flushed by hand, because dropping it would swallow a full disk.
        let flushed = match self.mcap.take().map(mcap::Writer::into_inner) {
            None => Ok(()),
            Some(mut sink) => sink.flush(),
        };
        ended?;
        let path = self.path();
        let length = flushed.and_then(|()| std::fs::metadata(&path));
        self.bytes += length.map_err(|source| BagError::Io { path, source })?.len();
        Ok(())
    }

    pub(crate) fn complete(&mut self) -> Result<BagSummary, BagError> {
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
        self.complete_file(Some(&note))?;
        let yaml = self.dir.join("metadata.yaml");
        let part = self.dir.join("metadata.yaml.part");
        std::fs::write(&part, text).map_err(io(&part))?;
        std::fs::rename(&part, &yaml).map_err(io(&yaml))?;
        Ok(BagSummary {
            dir: self.dir.clone(),
            messages: self.topics.values().map(|t| u64::from(t.messages)).sum(),
            span: self.span().unwrap_or_default(),
            bytes: self.bytes,
        })
    }

    /// Smallest and largest log time.
    fn span(&self) -> Option<(Stamp, Stamp)> {
        let spans = self.files.iter().filter_map(|file| file.span);
        spans.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)))
    }

    /// `metadata.yaml` in rosbag2's version 9 (Jazzy).
    fn metadata(&self) -> String {
        let (first, last) = self.span().unwrap_or_default();
        let (start, length) = (first.nanos(), last.nanos_since(first));
        let messages: u64 = self.topics.values().map(|t| u64::from(t.messages)).sum();
        let mut topics: Vec<_> = self.topics.iter().collect();
        topics.sort_by_key(|(_, t)| t.place);
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
            let qos: String = topic.qos.lines().map(|line| format!("          {line}\n")).collect();
            text.push_str(&format!(
                "    - topic_metadata:\n        name: /{name}\n        type: {type_name}\n        \
                 serialization_format: cdr\n        offered_qos_profiles:\n{qos}        \
                 type_description_hash: {hash}\n      message_count: {count}\n",
                type_name = topic.type_name,
                hash = json_string(&topic.hash),
                count = topic.messages,
            ));
        }
        text.push_str("  compression_format: \"\"\n  compression_mode: \"\"\n  relative_file_paths:\n");
        for file in &self.files {
            // JSON strings are YAML strings; names of folders may hold anything.
            text.push_str(&format!("    - {}\n", json_string(&file.name)));
        }
        text.push_str("  files:\n");
        for file in &self.files {
            let (first, last) = file.span.unwrap_or_default();
            text.push_str(&format!(
                "    - path: {name}\n      starting_time:\n        nanoseconds_since_epoch: {start}\n      duration:\n        \
                 nanoseconds: {length}\n      message_count: {messages}\n",
                name = json_string(&file.name),
                start = first.nanos(),
                length = last.nanos_since(first),
                messages = file.messages,
            ));
        }
        text.push_str(if self.notes.is_empty() { "  custom_data: ~\n" } else { "  custom_data:\n" });
        for (key, value) in &self.notes {
            text.push_str(&format!("    {}: {}\n", json_string(key), json_string(value)));
        }
        text.push_str(&format!("  ros_distro: {}\n", json_string(&self.options.ros_distro)));
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

/// Where the definition of a topic's type comes from.
enum Source<'a> {
    /// [`crate::schema`].
    BuiltIn,
    /// This text; where it is empty, [`crate::schema`].
    Text(&'a str),
    /// This, whatever it says.
    Definition(&'a Definition),
    /// The bag that is copied from says so, or does not say: old ones carry none, and then the copy has none either.
    Found(&'a crate::BagMessage),
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
