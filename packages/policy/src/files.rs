//! Files that must be as they were when the package was made.

use crate::external::has_external_data;
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
    /// A device or a folder, or larger than a graph can be.
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

/// What a file of a package may be at most, bytes: no ONNX graph in one file is larger (protobuf's own limit).
const LARGEST: u64 = 1 << 31;

/// The bytes of a file, if they have this hash.
pub(crate) fn read_checked(folder: &Path, name: &str, sha256: &str) -> Result<Vec<u8>, FileError> {
    let file = folder.join(name);
    let failed = |source| FileError::Read { file: file.clone(), source };
    let about = std::fs::metadata(&file).map_err(failed)?;
    let unusable = |problem: String| FileError::NotUsable { file: file.clone(), problem };
    if !about.is_file() {
        return Err(unusable("is not a file".into()));
    }
    if about.len() > LARGEST {
        return Err(unusable(format!("has {} bytes; at most {LARGEST} are read", about.len())));
    }
    let bytes = std::fs::read(&file).map_err(failed)?;
    let found = hash(&bytes);
    if found != sha256 {
        return Err(FileError::Changed { file, expected: sha256.to_owned(), found });
    }
    Ok(bytes)
}

/// The bytes of an ONNX graph, if they have this hash and hold all of its weights.
pub(crate) fn read_graph(folder: &Path, name: &str, sha256: &str) -> Result<Vec<u8>, FileError> {
    let bytes = read_checked(folder, name, sha256)?;
    if has_external_data(&bytes) {
        let problem = "keeps weights in another file, which has no hash here; expected one file that holds them all";
        return Err(FileError::NotUsable { file: folder.join(name), problem: problem.to_owned() });
    }
    Ok(bytes)
}

/// The sha256 of bytes, as 64 lowercase hexadecimal digits.
pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
