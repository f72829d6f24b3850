//! What could not be read of a bag.

use std::path::{Path, PathBuf};

/// Damages that are told one by one.
pub(crate) const TOLD: usize = 100;

/// Where in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// A record of an MCAP file that begins at this byte.
    Byte(u64),
    /// A row of the table `messages` of a database.
    Row(i64),
}

/// Something in a file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Which file.
    pub file: PathBuf,
    /// Where in it.
    pub at: Place,
    /// What is wrong, and what that costs.
    pub what: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.at {
            Place::File => write!(f, "{}: {}", self.file.display(), self.what),
            Place::Byte(at) => write!(f, "{} at byte {at}: {}", self.file.display(), self.what),
            Place::Row(row) => write!(f, "{} at message {row}: {}", self.file.display(), self.what),
        }
    }
}

/// The damages of a file or a bag. Memory is bounded however many there are.
#[derive(Debug, Default)]
pub(crate) struct Damages {
    told: Vec<Damage>,
    count: u64,
}

impl Damages {
    pub fn tell(&mut self, file: &Path, at: Place, what: impl Into<String>) {
        self.count += 1;
        if self.told.len() < TOLD {
            let damage = Damage { file: file.to_owned(), at, what: what.into() };
            log::warn!("{damage}");
            self.told.push(damage);
        }
    }

    /// Takes over those of a file that is over.
    pub fn append(&mut self, other: Self) {
        self.count += other.count;
        let room = TOLD.saturating_sub(self.told.len());
        self.told.extend(other.told.into_iter().take(room));
    }

    /// The first [`TOLD`].
    pub fn told(&self) -> &[Damage] {
        &self.told
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }
}
