//! Files that must be as they were when the package was made.

use crate::graph_file;
use crate::operators::Operators;
use efm_core::reading;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Why a file of a package was refused.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Missing or unreadable.
    #[error("{}: {source}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It lies elsewhere, or is no graph that is taken.
    #[error("{}: {problem}", file.display())]
    NotUsable {
        /// Which file.
        file: PathBuf,
        /// What it is.
        problem: String,
    },
    /// Not the bytes that the manifest was written for.
    #[error("{}: has changed: its sha256 is {found}, the manifest expects {expected}", file.display())]
    Changed {
        /// Which file.
        file: PathBuf,
        /// In the manifest.
        expected: String,
        /// Of the file.
        found: String,
    },
}

/// What an ONNX graph in one file may be at most, bytes: protobuf's own limit.
const GRAPH: u64 = 1 << 31;
/// What a worked example or a tokenizer may be at most, bytes. Read as JSON it takes ten times that.
pub(crate) const JSON: u64 = 96 << 20;

/// The bytes of a file that lies in a folder, not only by name: a link that leads out of it is refused.
pub(crate) fn read_inside(folder: &Path, name: &str, most: u64) -> std::io::Result<Vec<u8>> {
    let file = folder.join(name);
    let (place, home) = (file.canonicalize()?, folder.canonicalize()?);
    if place.parent() != Some(&home) {
        let problem =
            format!("is a link to '{}', outside of its package; put the file itself there (cp -L)", place.display());
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, problem));
    }
    reading::bytes(file, most)
}

/// The text of a file as of [`read_inside`].
pub(crate) fn read_settings(folder: &Path, name: &str) -> std::io::Result<String> {
    let no_text = |error: std::string::FromUtf8Error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    String::from_utf8(read_inside(folder, name, reading::SETTINGS)?).map_err(no_text)
}

/// The bytes of a file of at most so many, if they have this hash.
pub(crate) fn read_checked(folder: &Path, name: &str, sha256: &str, most: u64) -> Result<Vec<u8>, FileError> {
    let file = folder.join(name);
    let bytes = read_inside(folder, name, most).map_err(|source| FileError::Read { file: file.clone(), source })?;
    let found = hash(&bytes);
    if found != sha256 {
        return Err(FileError::Changed { file, expected: sha256.to_owned(), found });
    }
    Ok(bytes)
}

/// The bytes of an ONNX graph, if they have this hash, hold all of its weights and ask for operators only that it may have.
pub(crate) fn read_graph(folder: &Path, name: &str, sha256: &str, allowed: &Operators) -> Result<Vec<u8>, FileError> {
    let bytes = read_checked(folder, name, sha256, GRAPH)?;
    graph_file::check(&bytes, allowed).map_err(|problem| FileError::NotUsable { file: folder.join(name), problem })?;
    Ok(bytes)
}

/// JSON without the byte order mark that some writers put before a text in UTF-8.
pub(crate) fn unmarked(json: &[u8]) -> &[u8] {
    json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json)
}

/// Bytes of the files of these names beside each other; none where one is missing.
pub(crate) fn size(folder: &Path, names: &[&str]) -> u64 {
    names.iter().filter_map(|name| Some(std::fs::metadata(folder.join(name)).ok()?.len())).sum()
}

/// The sha256 of bytes, as 64 lowercase hexadecimal digits.
pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
