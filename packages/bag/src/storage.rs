//! One file of a bag, whatever it is stored as. Its first bytes say what it is, not its name.

use crate::damage::{Damages, Place};
use crate::db_file::{self, DbFile};
use crate::error::BagError;
use crate::mcap_file::McapFile;
use crate::reader::BagMessage;
use crate::unpack::{self, ZSTD_MAGIC};
use efm_core::reading;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

/// What is known of a file that is over.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Whether it ends in the middle.
    pub truncated: bool,
    /// What could not be read.
    pub damages: Damages,
}

/// A file of a bag that is being read.
pub(crate) struct Storage {
    path: PathBuf,
    kind: Kind,
    packed_messages: bool,
    /// Of what is around the messages: the compressed file, the compressed message.
    told: Told,
    /// What it was unpacked into; removed when the file has been read.
    _unpacked: Option<tempfile::TempPath>,
}

enum Kind {
    Mcap(Box<McapFile>),
    Db(Box<DbFile>),
    /// The recorder was killed before anything reached the disk.
    Nothing,
}

impl Storage {
    /// Opens a file. `packed_messages`: the bag says that its messages are compressed one by one.
    ///
    /// # Errors
    /// When it cannot be read, or is no file of a bag.
    pub fn open(path: &Path, packed_messages: bool) -> Result<Self, BagError> {
        let io = |source| BagError::Io { path: path.to_owned(), source };
        let mut file = match reading::open(path, u64::MAX) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::IsADirectory) => {
                return Err(BagError::NotABag(path.to_owned()));
            }
            Err(error) => return Err(io(error)),
        };
        let mut told = Told::default();
        let mut head = head(&mut file).map_err(io)?;
        let mut unpacked = None;
        if head.starts_with(ZSTD_MAGIC) {
            let (temporary, truncated) = unpack::file(path, file, &mut told.damages)?;
            told.truncated = truncated;
            let (inner, inner_path) = temporary.into_parts();
            file = inner;
            head = self::head(&mut file).map_err(io)?;
            unpacked = Some(inner_path);
        }
        let kind = if head.starts_with(db_file::MAGIC) {
            Kind::Db(Box::new(DbFile::open(path, unpacked.as_deref().unwrap_or(path), &mut file)?))
        } else if is_beginning(&head) {
            told.truncated = true;
            Kind::Nothing
        } else if head.starts_with(mcap::MAGIC) || !path.to_string_lossy().contains(".db3") {
            // This one says by itself what is wrong with the first bytes.
            Kind::Mcap(Box::new(McapFile::open(path, file)?))
        } else {
            return Err(BagError::Database {
                path: path.to_owned(),
                problem: "its first bytes are not those of an sqlite3 database".to_owned(),
            });
        };
        Ok(Self { path: path.to_owned(), kind, packed_messages, told, _unpacked: unpacked })
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn next(&mut self) -> Result<Option<BagMessage>, BagError> {
        loop {
            let found = match &mut self.kind {
                Kind::Mcap(file) => file.next()?,
                Kind::Db(file) => file.next(),
                Kind::Nothing => None,
            };
            let Some((at, message)) = found else { return Ok(None) };
            // One by one: unpacked, those of a chunk might fill the memory.
            match message.unpacked(self.packed_messages) {
                Ok(message) => return Ok(Some(message)),
                Err(what) => self.told.damages.tell(&self.path, at, what),
            }
        }
    }

    /// What there is to tell of it.
    pub fn close(self) -> Told {
        let mut told = self.told;
        let (truncated, damages) = match self.kind {
            Kind::Mcap(file) => (file.truncated, file.damages),
            Kind::Db(file) => (file.truncated, file.damages),
            Kind::Nothing => (false, Damages::default()),
        };
        told.truncated |= truncated;
        told.damages.append(damages);
        told
    }
}

/// The first bytes; the file stands at its beginning again.
fn head(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(16);
    file.take(16).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head)
}

/// Whether a file was cut within what tells its kind.
fn is_beginning(head: &[u8]) -> bool {
    [db_file::MAGIC, mcap::MAGIC, ZSTD_MAGIC].iter().any(|magic| head.len() < magic.len() && magic.starts_with(head))
}

/// For messages that say why a file that is listed is left out.
pub(crate) fn missing(damages: &mut Damages, path: &Path, error: &std::io::Error) {
    let what = if error.kind() == ErrorKind::NotFound {
        "metadata.yaml lists this file, but it is not there".to_owned()
    } else {
        format!("the file is left out: {error}")
    };
    damages.tell(path, Place::File, what);
}
