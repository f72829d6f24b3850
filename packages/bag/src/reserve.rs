//! Space that is set aside on the disk of a bag, so that the bag can be completed when the disk is full.

use std::fs::File;
use std::io::{Error, ErrorKind, Result, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What is set aside. It is given up at the first write that finds the disk full.
#[derive(Debug, Clone)]
pub(crate) struct FullDisk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    aside: Mutex<Option<File>>,
    happened: AtomicBool,
}

impl FullDisk {
    /// Sets aside so many bytes on the disk of a folder. The file has no name, so nothing of it is left when the process dies.
    pub(crate) fn set_aside(dir: &Path, bytes: u64) -> Result<Self> {
        let aside = if bytes == 0 { None } else { Some(allocate(dir, bytes)?) };
        Ok(Self(Arc::new(Inner { aside: Mutex::new(aside), happened: AtomicBool::new(false) })))
    }

    /// Whether a write found the disk full.
    pub(crate) fn happened(&self) -> bool {
        self.0.happened.load(Ordering::Relaxed)
    }

    /// Gives the space up; whether there was any left to give.
    fn give_up(&self) -> bool {
        self.0.happened.store(true, Ordering::Relaxed);
        self.0.aside.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}

fn allocate(dir: &Path, bytes: u64) -> Result<File> {
    let path = dir.join(".reserve");
    let file = File::create_new(&path)?;
    std::fs::remove_file(&path)?;
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(file),
        // A file system that cannot: zeros take the same space.
        Err(rustix::io::Errno::OPNOTSUPP) => {
            std::io::copy(&mut std::io::Read::take(std::io::repeat(0), bytes), &mut &file)?;
            Ok(file)
        }
        Err(error) => Err(error.into()),
    }
}

/// A file that is written with what was set aside behind it.
#[derive(Debug)]
pub(crate) struct Reserved {
    file: File,
    full: FullDisk,
}

impl Reserved {
    pub(crate) fn new(file: File, full: FullDisk) -> Self {
        Self { file, full }
    }
}

impl Write for Reserved {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self.file.write(bytes) {
            Err(error) if is_full(&error) && self.full.give_up() => self.file.write(bytes),
            outcome => outcome,
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}

fn is_full(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

impl std::io::Seek for Reserved {
    fn seek(&mut self, to: std::io::SeekFrom) -> Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_set_aside_is_given_once_and_leaves_no_file() {
        let tmp = tempfile::tempdir().unwrap();
        let full = FullDisk::set_aside(tmp.path(), 1 << 16).unwrap();
        assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 0);
        assert!(!full.happened());
        assert!(full.give_up() && full.happened());
        assert!(!full.give_up(), "there is nothing left to give");
    }

    #[test]
    fn a_full_device_is_told() {
        let full = FullDisk::set_aside(std::env::temp_dir().as_path(), 0).unwrap();
        let device = File::options().write(true).open("/dev/full").unwrap();
        let error = Reserved::new(device, full.clone()).write(b"message").unwrap_err();
        assert!(is_full(&error) && full.happened());
    }
}
