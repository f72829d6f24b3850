//! The messages of one MCAP file, record by record: what is damaged is left out and told, and what comes after it is read.
//!
//! Format: the MCAP specification (mcap.dev/spec). The `mcap` crate parses the records; what is done here is what its readers do not: go on
//! behind a chunk that is broken, and bound what a chunk may become when it is decompressed.

use crate::damage::{Damages, Place};
use crate::error::BagError;
use crate::reader::BagMessage;
use crate::unpack::{MAX_RECORD, most};
use efm_core::Stamp;
use mcap::read::ChannelAccumulator;
use mcap::records::{ChunkHeader, Record, op};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// One file, read from its beginning. Memory stays at the size of a chunk.
pub struct McapFile {
    path: PathBuf,
    file: BufReader<File>,
    at: u64,
    len: u64,
    known: ChannelAccumulator<'static>,
    ready: VecDeque<(Place, BagMessage)>,
    body: Vec<u8>,
    ended: bool,
    /// Whether it ends before its footer.
    pub truncated: bool,
    /// What could not be read.
    pub damages: Damages,
}

impl McapFile {
    /// Reads a file from its beginning; `path` is what it is known as.
    ///
    /// # Errors
    /// When it cannot be read or is no MCAP file.
    pub fn open(path: &Path, file: File) -> Result<Self, BagError> {
        let io = |source| BagError::Io { path: path.to_owned(), source };
        let found = file.metadata().map_err(io)?;
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
            damages: Damages::default(),
        };
        let mut magic = [0; mcap::MAGIC.len()];
        let whole = this.len >= magic.len() as u64;
        if whole {
            this.file.read_exact(&mut magic).map_err(io)?;
        }
        this.at = magic.len() as u64;
        if magic != *mcap::MAGIC {
            return Err(BagError::Mcap { path: path.to_owned(), source: mcap::McapError::BadMagic });
        }
        Ok(this)
    }

    fn damage(&mut self, at: u64, what: impl Into<String>) {
        self.damages.tell(&self.path, Place::Byte(at), what);
    }

    /// The next message and where it (or its chunk) lies; `None` at the end.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn next(&mut self) -> Result<Option<(Place, BagMessage)>, BagError> {
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
                if let Err(what) = take(&mut self.known, &mut self.ready, at, opcode, &body) {
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
            if let Err(what) = take(&mut self.known, &mut self.ready, at, *opcode, record) {
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
    ready: &mut VecDeque<(Place, BagMessage)>,
    at: u64,
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
            let stamp = |time| Stamp::from_nanos(i64::try_from(time).unwrap_or(i64::MAX));
            let message =
                BagMessage::new(channel, stamp(header.log_time), stamp(header.publish_time), data.into_owned());
            ready.push_back((Place::Byte(at), message));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What a chunk holds, checked.
fn decompressed(header: &ChunkHeader, data: &[u8]) -> Result<Vec<u8>, String> {
    let (size, stored) = (header.uncompressed_size, data.len() as u64);
    if size > most(stored) {
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
