//! Reading bags.

use crate::cdr::{Decode, RosType};
use crate::error::BagError;
use efm_core::Stamp;
use mcap::sans_io::LinearReaderOptions;
use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Largest record taken from a file, in bytes. A damaged length must not reserve all memory.
const MAX_RECORD: usize = 256 << 20;

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
/// A bag whose writer was killed is read as far as it was written; [`Self::truncated`] tells. Also an iterator.
pub struct BagReader {
    files: VecDeque<PathBuf>,
    current: Option<(PathBuf, mcap::io::MessageReader<BufReader<File>>)>,
    truncated: bool,
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
        if files.is_empty() {
            return Err(BagError::NotABag(path.to_path_buf()));
        }
        let mut reader = Self { files: files.into(), current: None, truncated: false };
        // So that a missing file is reported now.
        reader.advance()?;
        Ok(reader)
    }

    /// Whether a file ended in the middle: the recorder was killed. Known once the messages of that file are over.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// When a file is damaged. Its other messages are then skipped.
    pub fn next_message(&mut self) -> Result<Option<BagMessage>, BagError> {
        loop {
            let Some((path, reader)) = &mut self.current else { return Ok(None) };
            match reader.next() {
                Some(Ok(message)) => return Ok(Some(BagMessage(message))),
                Some(Err(mcap::McapError::UnexpectedEof)) => {
                    self.truncated = true;
                    self.advance()?;
                }
                Some(Err(source)) => {
                    let error = BagError::Mcap { path: path.clone(), source };
                    self.advance()?;
                    return Err(error);
                }
                None => self.advance()?,
            }
        }
    }

    fn advance(&mut self) -> Result<(), BagError> {
        self.current = None;
        if let Some(path) = self.files.pop_front() {
            let file = File::open(&path).map_err(|source| BagError::Io { path: path.clone(), source })?;
            let options = LinearReaderOptions::default()
                // Checked before a message is handed out.
                .with_prevalidate_chunk_crcs(true)
                .with_record_length_limit(MAX_RECORD);
            let reader = mcap::io::MessageReader::new_with_options(BufReader::with_capacity(1 << 16, file), options);
            self.current = Some((path, reader));
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
