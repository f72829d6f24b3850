//! zstd from strangers: what it may become is bounded before any memory or disk is taken.

use crate::damage::{Damages, Place};
use crate::error::BagError;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

/// Largest record, largest content of a chunk and largest message that is taken into memory, in bytes.
pub(crate) const MAX_RECORD: u64 = 256 << 20;
/// How much a chunk may grow when it is decompressed, beyond its first MiB. Video of one colour is at some 1000.
const MAX_GROWTH: u64 = 4096;
/// How much a message may grow, beyond its first 64 MiB: an image of one colour by itself becomes 10,000 times as large.
const MAX_MESSAGE_GROWTH: u64 = 64;
const SMALL_MESSAGE: u64 = 64 << 20;
/// How much a whole file may grow on the disk, beyond its first 256 MiB.
const MAX_FILE_GROWTH: u64 = 1024;
const SMALL_FILE: u64 = 256 << 20;
/// What a zstd frame begins with.
pub(crate) const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The most that `stored` bytes of a chunk may become.
pub(crate) fn most(stored: u64) -> u64 {
    MAX_RECORD.min((1 << 20) + stored.saturating_mul(MAX_GROWTH))
}

/// The bytes of a message as they were before rosbag2 compressed it. A bag that lost its `metadata.yaml` does not say whether it did, but the bytes
/// do: CDR begins with a zero. `declared`: the bag says that all its messages are compressed.
pub(crate) fn message(data: Vec<u8>, encoding: &str, declared: bool) -> Result<Vec<u8>, String> {
    if data.starts_with(ZSTD_MAGIC) && (declared || encoding == "cdr") {
        let limit = MAX_RECORD.min(SMALL_MESSAGE + MAX_MESSAGE_GROWTH * data.len() as u64);
        let mut plain = Vec::new();
        let decoder = zstd::stream::read::Decoder::new(data.as_slice());
        // One byte more, to see whether there is more.
        let read = decoder.and_then(|d| d.take(limit + 1).read_to_end(&mut plain));
        read.map_err(|e| format!("a message is left out: its zstd frame is damaged ({e})"))?;
        if plain.len() as u64 > limit {
            let stored = data.len();
            return Err(format!("a message is left out: its {stored} bytes become more than {limit}"));
        }
        return Ok(plain);
    }
    if declared {
        return Err("a message is left out: it is not compressed with zstd as metadata.yaml says".to_owned());
    }
    Ok(data)
}

/// A compressed file, unpacked into one that vanishes with its handle. What comes before damage is there; whether the frame ended early is returned.
pub(crate) fn file(
    path: &Path,
    packed: File,
    damages: &mut Damages,
) -> Result<(tempfile::NamedTempFile, bool), BagError> {
    let io = |source| BagError::Io { path: path.to_owned(), source };
    let stored = packed.metadata().map_err(io)?.len();
    let limit = SMALL_FILE.saturating_add(stored.saturating_mul(MAX_FILE_GROWTH));
    let temporary = tempfile::Builder::new().prefix("efm-bag-").tempfile();
    let mut temporary =
        temporary.map_err(|source| BagError::Unpack { path: path.to_owned(), to: std::env::temp_dir(), source })?;
    let to = temporary.path().to_owned();
    let write = |source| BagError::Unpack { path: path.to_owned(), to: to.clone(), source };
    let mut decoder = zstd::stream::read::Decoder::new(BufReader::new(packed)).map_err(io)?;
    let mut out = BufWriter::with_capacity(1 << 16, temporary.as_file_mut());
    // A read that meets damage gives back nothing, not even what comes before it: so little at a time.
    let mut block = [0; 4096];
    let (mut written, mut truncated) = (0_u64, false);
    loop {
        let n = match decoder.read(&mut block) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                truncated = true;
                break;
            }
            Err(error) => {
                damages.tell(path, Place::File, format!("its zstd stream is damaged after {written} bytes ({error})"));
                break;
            }
        };
        let room = usize::try_from(limit - written).unwrap_or(usize::MAX);
        out.write_all(&block[..n.min(room)]).map_err(write)?;
        written += n.min(room) as u64;
        if n > room {
            let what = format!("its {stored} bytes become more than {limit}; the rest is left out");
            damages.tell(path, Place::File, what);
            break;
        }
    }
    out.flush().map_err(write)?;
    drop(out);
    temporary.rewind().map_err(write)?;
    Ok((temporary, truncated))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_message_is_unpacked_where_its_bytes_or_its_bag_say_that_it_is_packed() {
        let cdr = vec![0, 1, 0, 0, 7, 7, 7, 7];
        let packed = zstd::encode_all(cdr.as_slice(), 1).unwrap();
        for declared in [true, false] {
            assert_eq!(message(packed.clone(), "cdr", declared).unwrap(), cdr);
        }
        assert_eq!(message(cdr.clone(), "cdr", false).unwrap(), cdr);
        assert_eq!(message(packed.clone(), "json", false).unwrap(), packed);
        assert!(message(cdr, "cdr", true).unwrap_err().contains("metadata.yaml"));
        assert!(message(packed[..packed.len() - 3].to_vec(), "cdr", true).unwrap_err().contains("zstd"));
    }

    #[test]
    fn a_message_that_becomes_huge_is_left_out() {
        let bomb = zstd::encode_all(std::io::repeat(0).take(100 << 20), 3).unwrap();
        assert!(bomb.len() < 10_000, "{}", bomb.len());
        let error = message(bomb, "cdr", true).unwrap_err();
        assert!(error.contains("more than"), "{error}");
        // A black image is none.
        let black = zstd::encode_all(std::io::repeat(0).take(25 << 20), 3).unwrap();
        assert_eq!(message(black, "cdr", true).unwrap().len(), 25 << 20);
    }

    #[test]
    fn a_file_that_becomes_huge_is_cut_and_told() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("bomb.mcap.zstd");
        std::fs::write(&path, zstd::encode_all(std::io::repeat(0).take(400 << 20), 3).unwrap()).unwrap();
        let mut damages = Damages::default();
        let (unpacked, truncated) = file(&path, File::open(&path).unwrap(), &mut damages).unwrap();
        let length = unpacked.as_file().metadata().unwrap().len();
        assert!(!truncated && ((256 << 20)..(300 << 20)).contains(&length), "{length}");
        assert!(damages.told()[0].what.contains("become more than"), "{:?}", damages.told());
        let gone = unpacked.path().to_owned();
        drop(unpacked);
        assert!(!gone.exists());
    }
}
