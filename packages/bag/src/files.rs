//! Which files a bag is made of.

use crate::damage::{Damages, Place};
use crate::error::BagError;
use crate::storage;
use efm_core::reading;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest `metadata.yaml` that is read, in bytes. Those of long bags with many files are at some hundred KB.
const MAX_METADATA: u64 = 16 << 20;

/// The files of a bag, in order.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub paths: Vec<PathBuf>,
    /// Whether the bag says that its messages are compressed one by one.
    pub packed_messages: bool,
}

/// Of a folder, or of a single file.
///
/// # Errors
/// When there is none, one is a link to the outside, or the bag is of a storage or compression that is not known.
pub(crate) fn of(path: &Path, damages: &mut Damages) -> Result<Files, BagError> {
    if !path.is_dir() {
        return Ok(Files { paths: vec![path.to_owned()], packed_messages: false });
    }
    let yaml = path.join("metadata.yaml");
    let listed = match read(path, &yaml)? {
        None => None,
        Some(text) => match serde_yaml::from_str::<Root>(&text) {
            Ok(root) => Some(root.information),
            Err(error) => {
                damages.tell(&yaml, Place::File, format!("left out, the folder is looked through instead: {error}"));
                None
            }
        },
    };
    let mut files = match listed {
        Some(information) => {
            listed_files(path, information).map_err(|problem| BagError::Metadata { path: yaml, problem })?
        }
        None => Files { paths: found(path)?, packed_messages: false },
    };
    let mut there = Vec::new();
    let mut lost = None;
    for file in std::mem::take(&mut files.paths) {
        match file.canonicalize() {
            Ok(target) => {
                stays_in(path, &file, target)?;
                there.push(file);
            }
            Err(error) => {
                storage::missing(damages, &file, &error);
                lost.get_or_insert((file, error));
            }
        }
    }
    match lost {
        Some((path, source)) if there.is_empty() => Err(BagError::Io { path, source }),
        _ if there.is_empty() => Err(BagError::NotABag(path.to_owned())),
        _ => Ok(Files { paths: there, ..files }),
    }
}

/// `metadata.yaml`, where there is one.
fn read(dir: &Path, yaml: &Path) -> Result<Option<String>, BagError> {
    let io = |source| BagError::Io { path: yaml.to_owned(), source };
    let target = match yaml.canonicalize() {
        Ok(target) => target,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    stays_in(dir, yaml, target)?;
    let mut bytes = Vec::new();
    let file = reading::open(yaml, u64::MAX).map_err(io)?;
    file.take(MAX_METADATA + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_METADATA {
        let problem = format!("it is larger than {MAX_METADATA} bytes");
        return Err(BagError::Metadata { path: yaml.to_owned(), problem });
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The messages that `metadata.yaml` counts, where there is one that can be read.
pub(crate) fn message_count(dir: &Path) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Counted {
        rosbag2_bagfile_information: Count,
    }
    #[derive(serde::Deserialize)]
    struct Count {
        message_count: u64,
    }
    let text = read(dir, &dir.join("metadata.yaml")).ok()??;
    Some(serde_yaml::from_str::<Counted>(&text).ok()?.rosbag2_bagfile_information.message_count)
}

/// A bag of a stranger must not make us read something else: its files lie in its folder.
fn stays_in(dir: &Path, file: &Path, target: PathBuf) -> Result<(), BagError> {
    let dir = dir.canonicalize().map_err(|source| BagError::Io { path: dir.to_owned(), source })?;
    if target.starts_with(&dir) { Ok(()) } else { Err(BagError::LinksOut { path: file.to_owned(), target }) }
}

/// The bag files of a folder without `metadata.yaml`.
fn found(dir: &Path) -> Result<Vec<PathBuf>, BagError> {
    let io = |source| BagError::Io { path: dir.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if [".mcap", ".db3", ".mcap.zstd", ".db3.zstd"].iter().any(|end| name.ends_with(end)) {
            files.push(path);
        }
    }
    // `bag_10` after `bag_9`.
    files.sort_by_key(|p| (p.as_os_str().len(), p.clone()));
    Ok(files)
}

#[derive(serde::Deserialize)]
struct Root {
    #[serde(rename = "rosbag2_bagfile_information")]
    information: Information,
}

#[derive(serde::Deserialize)]
struct Information {
    storage_identifier: String,
    relative_file_paths: Vec<String>,
    #[serde(default)]
    compression_format: String,
    #[serde(default)]
    compression_mode: String,
}

fn listed_files(dir: &Path, information: Information) -> Result<Files, String> {
    let storage = information.storage_identifier;
    if !matches!(storage.as_str(), "mcap" | "sqlite3") {
        return Err(format!("storage_identifier: '{storage}' is not read; mcap and sqlite3 are"));
    }
    let mode = information.compression_mode.to_lowercase();
    let packed_messages = match mode.as_str() {
        "" | "none" | "storage" | "file" => false,
        "message" => true,
        _ => return Err(format!("compression_mode: '{mode}' is not read; none, file and message are")),
    };
    let format = information.compression_format.to_lowercase();
    if matches!(mode.as_str(), "file" | "message") && format != "zstd" {
        return Err(format!("compression_format: '{format}' is not read; zstd is"));
    }
    let (mut paths, mut seen) = (Vec::new(), BTreeSet::new());
    for name in information.relative_file_paths {
        // Old rosbag2 versions noted the folder's name too; anything else outside the folder is no part of the bag.
        let Some(file) = Path::new(&name).file_name() else {
            return Err(format!("relative_file_paths: '{name}' names no file"));
        };
        let path = dir.join(file);
        if seen.insert(path.clone()) {
            paths.push(path);
        }
    }
    Ok(Files { paths, packed_messages })
}
