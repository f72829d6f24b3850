//! The messages of one MCAP file, record by record: what is damaged is left out and told, and what comes after it is read.
//!
//! Format: the MCAP specification (mcap.dev/spec). The `mcap` crate parses the records; what is done here is what its readers do not: go on
//! behind a chunk that is broken, and bound what a chunk may become when it is decompressed.

use crate::error::BagError;
use mcap::read::ChannelAccumulator;
use mcap::records::{ChunkHeader, Record, op};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Largest record, and largest content of a chunk, that is taken into memory, in bytes.
pub const MAX_RECORD: u64 = 256 << 20;
/// How much a chunk may grow when it is decompressed, beyond its first MiB. Video of one colour is at some 1000.
const MAX_GROWTH: u64 = 4096;
/// Damages that are told one by one.
pub const TOLD: usize = 100;

/// Something in a file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Which file.
    pub file: PathBuf,
    /// Byte of the record in it.
    pub at: u64,
    /// What is wrong, and what that costs.
    pub what: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {}: {}", self.file.display(), self.at, self.what)
    }
}

/// One file, read from its beginning. Memory stays at the size of a chunk.
pub struct McapFile {
    path: PathBuf,
    file: BufReader<File>,
    at: u64,
    len: u64,
    known: ChannelAccumulator<'static>,
    ready: VecDeque<mcap::Message<'static>>,
    body: Vec<u8>,
    ended: bool,
    /// Whether it ends before its footer.
    pub truncated: bool,
    /// What could not be read, the first [`TOLD`].
    pub damages: Vec<Damage>,
    /// How much could not be read.
    pub damaged: u64,
}

impl McapFile {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read or is no MCAP file.
    pub fn open(path: &Path) -> Result<Self, BagError> {
        let io = |source| BagError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let found = file.metadata().map_err(io)?;
        if !found.is_file() {
            return Err(BagError::NotABag(path.to_owned()));
        }
        let mut this = Self {
            path: path.to_owned(),
            file: BufReader::with_capacity(1 << 16, file),
            at: 0,
            len: found.len(),
            known: ChannelAccumulator::default(),
            ready: VecDeque::new(),
            body: Vec::new(),
            ended: false,
            truncated: false,
            damages: Vec::new(),
            damaged: 0,
        };
        if this.len < mcap::MAGIC.len() as u64 {
            // Killed before anything reached the disk.
            (this.truncated, this.ended) = (true, true);
            return Ok(this);
        }
        let mut magic = [0; mcap::MAGIC.len()];
        this.file.read_exact(&mut magic).map_err(io)?;
        this.at = magic.len() as u64;
        if magic != *mcap::MAGIC {
            return Err(BagError::Mcap { path: path.to_owned(), source: mcap::McapError::BadMagic });
        }
        Ok(this)
    }

    fn damage(&mut self, at: u64, what: impl Into<String>) {
        self.damaged += 1;
        if self.damages.len() < TOLD {
            let damage = Damage { file: self.path.clone(), at, what: what.into() };
            log::warn!("{damage}");
            self.damages.push(damage);
        }
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn next(&mut self) -> Result<Option<mcap::Message<'static>>, BagError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            if self.ended {
                return Ok(None);
            }
            self.record()?;
        }
    }

    /// Reads a record.
    fn record(&mut self) -> Result<(), BagError> {
        const HEAD: u64 = 9;
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| BagError::Io { path, source }
        };
        let (at, left) = (self.at, self.len.saturating_sub(self.at));
        if left < HEAD {
            (self.truncated, self.ended) = (true, true);
            return Ok(());
        }
        let mut head = [0; HEAD as usize];
        self.file.read_exact(&mut head).map_err(io(&self.path))?;
        let (opcode, length) =
            (head[0], u64::from_le_bytes([head[1], head[2], head[3], head[4], head[5], head[6], head[7], head[8]]));
        // A file system may have kept room that was never written to.
        let never_written = opcode == 0 && length == 0;
        if never_written || length > left - HEAD {
            (self.truncated, self.ended) = (true, true);
            return Ok(());
        }
        self.at += HEAD + length;
        let wanted = matches!(opcode, op::SCHEMA | op::CHANNEL | op::MESSAGE | op::CHUNK | op::FOOTER);
        if !wanted || length > MAX_RECORD {
            if wanted {
                self.damage(at, format!("a record of {length} bytes is left out; at most {MAX_RECORD} are read"));
            }
            let by = i64::try_from(length).unwrap_or(i64::MAX);
            return self.file.seek_relative(by).map_err(io(&self.path));
        }
        self.body.clear();
        self.body.resize(length as usize, 0);
        self.file.read_exact(&mut self.body).map_err(io(&self.path))?;
        let body = std::mem::take(&mut self.body);
        match opcode {
            op::FOOTER => self.ended = true,
            op::CHUNK => self.chunk(at, &body),
            _ => {
                if let Err(what) = take(&mut self.known, &mut self.ready, opcode, &body) {
                    self.damage(at, what);
                }
            }
        }
        self.body = body;
        Ok(())
    }

    /// All messages of a chunk, or none: what does not have its checksum may hold anything.
    fn chunk(&mut self, at: u64, body: &[u8]) {
        let content = match mcap::parse_record(op::CHUNK, body) {
            Ok(Record::Chunk { header, data }) => decompressed(&header, &data),
            Ok(_) => return,
            Err(error) => Err(error.to_string()),
        };
        let content = match content {
            Ok(content) => content,
            Err(what) => return self.damage(at, format!("a chunk is left out: {what}")),
        };
        let mut rest = content.as_slice();
        while let [opcode, a, b, c, d, e, f, g, h, tail @ ..] = rest {
            let length = u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            let Some((record, tail)) = usize::try_from(length).ok().and_then(|length| tail.split_at_checked(length))
            else {
                return self
                    .damage(at, format!("the rest of a chunk is left out: a record of {length} bytes does not fit"));
            };
            if let Err(what) = take(&mut self.known, &mut self.ready, *opcode, record) {
                self.damage(at, what);
            }
            rest = tail;
        }
        if !rest.is_empty() {
            self.damage(at, "a chunk ends within a record");
        }
    }
}

/// Takes in a record that is no container.
fn take(
    known: &mut ChannelAccumulator<'static>,
    ready: &mut VecDeque<mcap::Message<'static>>,
    opcode: u8,
    body: &[u8],
) -> Result<(), String> {
    if !matches!(opcode, op::SCHEMA | op::CHANNEL | op::MESSAGE) {
        return Ok(());
    }
    match mcap::parse_record(opcode, body).map_err(|e| format!("a record is left out: {e}"))? {
        Record::Schema { header, data } => {
            known.add_schema_from_slice(header, &data).map_err(|e| format!("a message definition is left out: {e}"))
        }
        Record::Channel(channel) => known.add_channel(channel).map_err(|e| format!("a topic is left out: {e}")),
        Record::Message { header, data } => {
            let channel = known.get(header.channel_id).ok_or_else(|| {
                format!("a message is left out: topic {} is not described before it", header.channel_id)
            })?;
            ready.push_back(mcap::Message {
                channel,
                sequence: header.sequence,
                log_time: header.log_time,
                publish_time: header.publish_time,
                data: data.into_owned().into(),
            });
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What a chunk holds, checked.
fn decompressed(header: &ChunkHeader, data: &[u8]) -> Result<Vec<u8>, String> {
    let (size, stored) = (header.uncompressed_size, data.len() as u64);
    if size > MAX_RECORD || size > (1 << 20) + stored.saturating_mul(MAX_GROWTH) {
        return Err(format!("it says that its {stored} bytes become {size}"));
    }
    let mut content = Vec::with_capacity(size as usize);
    // One byte more than it says, to see whether there is more.
    let limit = size + 1;
    let read = match header.compression.as_str() {
        "" => data.take(limit).read_to_end(&mut content),
        "zstd" => zstd::stream::read::Decoder::new(data).and_then(|d| d.take(limit).read_to_end(&mut content)),
        "lz4" => lz4::Decoder::new(data).and_then(|d| d.take(limit).read_to_end(&mut content)),
        other => return Err(format!("its compression is '{other}'; there are zstd, lz4 and none")),
    };
    read.map_err(|e| e.to_string())?;
    if content.len() as u64 != size {
        return Err(format!("it says that it holds {size} bytes, but holds {}", content.len()));
    }
    // Zero: not told.
    let (told, found) = (header.uncompressed_crc, crc32fast::hash(&content));
    if told != 0 && told != found {
        return Err(format!("its checksum is {found:08x}, not {told:08x}"));
    }
    Ok(content)
}
