//! Files that must be as they were when the package was made.

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

/// The bytes of a file, if they have this hash.
pub(crate) fn read_checked(folder: &Path, name: &str, sha256: &str) -> Result<Vec<u8>, FileError> {
    let file = folder.join(name);
    let bytes = std::fs::read(&file).map_err(|source| FileError::Read { file: file.clone(), source })?;
    let found = hash(&bytes);
    if found != sha256 {
        return Err(FileError::Changed { file, expected: sha256.to_owned(), found });
    }
    Ok(bytes)
}

/// The sha256 of bytes, as 64 lowercase hexadecimal digits.
pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
