//! Reading bags.

use crate::cdr::{Decode, RosType};
use crate::error::BagError;
use crate::mcap_file::{Damage, McapFile, TOLD};
use efm_core::Stamp;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// A message of a bag, its bytes owned.
#[derive(Debug, Clone)]
pub struct BagMessage(mcap::Message<'static>);

impl BagMessage {
    /// Topic as recorded, usually with a leading `/`.
    pub fn topic(&self) -> &str {
        &self.0.channel.topic
    }

    /// Whether it came over this topic; a leading `/` makes no difference.
    pub fn topic_is(&self, name: &str) -> bool {
        self.topic().trim_start_matches('/') == name.trim_start_matches('/')
    }

    /// `package/msg/Type`; empty when the bag does not say.
    pub fn type_name(&self) -> &str {
        self.0.channel.schema.as_ref().map_or("", |s| &s.name)
    }

    /// The definition of the type that the bag carries, with those that it needs.
    pub fn schema_text(&self) -> &str {
        self.0.channel.schema.as_ref().map_or("", |s| std::str::from_utf8(&s.data).unwrap_or(""))
    }

    /// When it was recorded.
    pub fn log_time(&self) -> Stamp {
        Stamp::from_nanos(i64::try_from(self.0.log_time).unwrap_or(i64::MAX))
    }

    /// When it was published, as whoever recorded it knew.
    pub fn publish_time(&self) -> Stamp {
        Stamp::from_nanos(i64::try_from(self.0.publish_time).unwrap_or(i64::MAX))
    }

    /// The profiles that its publishers offered, in rosbag2's YAML; empty when the bag does not say.
    pub fn offered_qos(&self) -> &str {
        self.0.channel.metadata.get("offered_qos_profiles").map_or("", String::as_str)
    }

    /// The CDR bytes, encapsulation header included.
    pub fn data(&self) -> &[u8] {
        &self.0.data
    }

    /// Reads the bytes as a message.
    ///
    /// # Errors
    /// When it is of another type or malformed.
    pub fn decode<'a, M: Decode<'a> + RosType>(&'a self) -> Result<M, BagError> {
        if self.0.channel.message_encoding != "cdr" {
            return Err(BagError::Encoding {
                topic: self.topic().to_owned(),
                encoding: self.0.channel.message_encoding.clone(),
            });
        }
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

/// Reads the messages of a bag in the order of its files, one by one. Memory stays at the size of a chunk.
///
/// A bag whose writer was killed is read as far as it was written; [`Self::truncated`] tells. What is damaged is left out, and what comes after
/// it is read; [`Self::damages`] tells. Also an iterator.
pub struct BagReader {
    files: VecDeque<PathBuf>,
    current: Option<McapFile>,
    truncated: bool,
    damages: Vec<Damage>,
    damaged: u64,
}

impl std::fmt::Debug for BagReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BagReader").field("files", &self.files).finish_non_exhaustive()
    }
}

impl BagReader {
    /// Opens a bag folder (with or without `metadata.yaml`) or a single `.mcap` file.
    ///
    /// # Errors
    /// When there is no such file, or `metadata.yaml` is malformed or of another storage.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BagError> {
        let path = path.as_ref();
        let files = if path.is_dir() { files_of(path)? } else { vec![path.to_path_buf()] };
        if path.is_dir() {
            files.iter().try_for_each(|file| stays_in(path, file))?;
        }
        if files.is_empty() {
            return Err(BagError::NotABag(path.to_path_buf()));
        }
        let mut reader = Self { files: files.into(), current: None, truncated: false, damages: Vec::new(), damaged: 0 };
        // So that a missing file is reported now.
        reader.advance()?;
        Ok(reader)
    }

    /// Whether a file ended in the middle: the recorder was killed. Known once the messages of that file are over.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// What could not be read of the files that are over, the first hundred; see [`Self::damaged`] for how many there were.
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    /// How many records could not be read of the files that are over.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// When a file cannot be read or is none of a bag; the next call goes on with the next file.
    pub fn next_message(&mut self) -> Result<Option<BagMessage>, BagError> {
        loop {
            let Some(file) = &mut self.current else { return Ok(None) };
            match file.next() {
                Ok(Some(message)) => return Ok(Some(BagMessage(message))),
                Ok(None) => self.advance()?,
                Err(error) => {
                    self.advance()?;
                    return Err(error);
                }
            }
        }
    }

    fn advance(&mut self) -> Result<(), BagError> {
        if let Some(over) = self.current.take() {
            self.truncated |= over.truncated;
            self.damaged += over.damaged;
            let room = TOLD.saturating_sub(self.damages.len());
            self.damages.extend(over.damages.into_iter().take(room));
        }
        if let Some(path) = self.files.pop_front() {
            self.current = Some(McapFile::open(&path)?);
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

/// A bag of a stranger must not make us read something else: its files lie in its folder.
fn stays_in(dir: &Path, file: &Path) -> Result<(), BagError> {
    let io = |path: &Path, source| BagError::Io { path: path.to_owned(), source };
    let target = file.canonicalize().map_err(|e| io(file, e))?;
    let dir = dir.canonicalize().map_err(|e| io(dir, e))?;
    if target.starts_with(&dir) { Ok(()) } else { Err(BagError::LinksOut { path: file.to_owned(), target }) }
}

/// The `.mcap` files of a folder, in order.
fn files_of(dir: &Path) -> Result<Vec<PathBuf>, BagError> {
    let yaml = dir.join("metadata.yaml");
    match std::fs::read_to_string(&yaml) {
        Ok(text) => files_in_metadata(dir, &text).map_err(|problem| BagError::Metadata { path: yaml, problem }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let io = |source| BagError::Io { path: dir.to_path_buf(), source };
            let mut files = Vec::new();
            for entry in std::fs::read_dir(dir).map_err(io)? {
                let path = entry.map_err(io)?.path();
                if path.extension().is_some_and(|e| e == "mcap") {
                    files.push(path);
                }
            }
            // `bag_10` after `bag_9`.
            files.sort_by_key(|p| (p.as_os_str().len(), p.clone()));
            Ok(files)
        }
        Err(source) => Err(BagError::Io { path: yaml, source }),
    }
}

fn files_in_metadata(dir: &Path, text: &str) -> Result<Vec<PathBuf>, String> {
    #[derive(serde::Deserialize)]
    struct Root {
        rosbag2_bagfile_information: Information,
    }
    #[derive(serde::Deserialize)]
    struct Information {
        storage_identifier: String,
        relative_file_paths: Vec<String>,
        #[serde(default)]
        compression_mode: String,
    }
    let information = serde_yaml::from_str::<Root>(text).map_err(|e| e.to_string())?.rosbag2_bagfile_information;
    if information.storage_identifier != "mcap" {
        return Err(format!(
            "the bag's storage is '{}'; only mcap is read (`ros2 bag convert` makes one)",
            information.storage_identifier
        ));
    }
    if !matches!(information.compression_mode.to_lowercase().as_str(), "" | "none") {
        return Err(format!(
            "the bag is compressed by {}; only MCAP's own chunk compression is read",
            information.compression_mode
        ));
    }
    information
        .relative_file_paths
        .into_iter()
        .map(|name| {
            // Old rosbag2 versions noted the folder's name too; anything else outside the folder is no part of the bag.
            match Path::new(&name).file_name() {
                Some(file) => Ok(dir.join(file)),
                None => Err(format!("relative_file_paths: '{name}' names no file")),
            }
        })
        .collect()
}
