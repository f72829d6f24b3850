//! The messages of one sqlite3 file, rosbag2's storage until Humble: what is damaged is left out and told, and what comes after it is read.
//!
//! The tables (rosbag2_storage_sqlite3, `sqlite_storage.cpp`): `topics` and `messages` since ever, `offered_qos_profiles` since Foxy,
//! `message_definitions` and type hashes since Iron (schema version 4). What is read goes by the columns that are there, not by the version.
//!
//! A database from elsewhere is a program as well as data, so only plain tables of it are read, row by row in the order of their ids, and what a step
//! may cost is bounded. Its indexes are not used: a damaged one would hide messages.

use crate::damage::{Damages, Place};
use crate::error::BagError;
use crate::reader::BagMessage;
use crate::unpack::MAX_RECORD;
use efm_core::Stamp;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a database begins with.
pub(crate) const MAGIC: &[u8] = b"SQLite format 3\0";
/// Thousands of steps of SQLite's machine that one query may take. The largest here, a batch, takes some ten.
const MAX_STEPS: u64 = 4096;
/// Rows that are read with one query, and the bytes after which it ends early.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 4 << 20;
/// Topics and definitions of a database, and bytes of all their texts.
const MAX_TOPICS: usize = 1 << 16;
const MAX_TEXTS: usize = 64 << 20;
/// Messages that are put in order where they do not lie so, at 16 bytes each.
const MAX_SORTED: usize = 1 << 24;

/// Damaged places that are stepped over, plus one for each row that was read: pages may be damaged so that each of 2^63 ids would have to be tried.
const MAX_BREAKS: u64 = 1000;

/// How reading goes on behind damage.
#[derive(Default)]
struct Progress {
    rows: u64,
    breaks: u64,
    /// Damaged places since the last row.
    in_a_row: u32,
}

impl Progress {
    fn rows(&mut self, count: u64) {
        if count > 0 {
            self.rows += count;
            self.in_a_row = 0;
        }
    }

    /// Notes a damaged place; returns the step to try first behind it, if any.
    fn step(&mut self) -> Option<i64> {
        self.breaks += 1;
        let step = 1_i64.checked_shl(self.in_a_row).filter(|step| *step > 0);
        self.in_a_row += 1;
        step.filter(|_| self.breaks <= MAX_BREAKS + self.rows)
    }
}

/// Messages of a table, in order of time.
enum Order {
    /// As they lie: the next ones have ids above.
    Stored { above: i64 },
    /// Time and id of those that are left, the next one last.
    Sorted(Vec<(i64, i64)>),
}

/// One database, read from its beginning. Memory stays at the size of some messages where they lie in order of time, else it grows by 16 bytes for
/// each.
pub(crate) struct DbFile {
    db: Connection,
    /// As the user knows it.
    shown: PathBuf,
    topics: HashMap<i64, Arc<mcap::Channel<'static>>>,
    order: Order,
    progress: Progress,
    ready: VecDeque<(Place, BagMessage)>,
    ended: bool,
    steps: Arc<AtomicU64>,
    /// Whether it ends before its last page, or its recorder was killed.
    pub truncated: bool,
    /// What could not be read.
    pub damages: Damages,
}

/// Why rows cannot be read.
enum Broken {
    /// SQLite says so.
    Sql(rusqlite::Error),
    /// The ids do not go up, as they must.
    Order,
}

impl From<rusqlite::Error> for Broken {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sql(error) if code(error) == Some(ErrorCode::TooBig) => {
                write!(f, "a message has more than {MAX_RECORD} bytes")
            }
            Self::Sql(error) => write!(f, "{error}"),
            Self::Order => write!(f, "its ids are not in order"),
        }
    }
}

impl DbFile {
    /// Opens a database that lies at `path` and is known as `shown`. `file` is the same, at its beginning.
    ///
    /// # Errors
    /// When it cannot be read, or has not the tables of a bag.
    pub fn open(shown: &Path, path: &Path, file: &mut File) -> Result<Self, BagError> {
        let mut damages = Damages::default();
        let cut = is_cut(file).map_err(|source| BagError::Io { path: shown.to_owned(), source })?;
        let (journal, killed) = journal(shown, path, &mut damages);
        let (db, steps) = connect(path, journal).map_err(|e| not_read(shown, &e))?;
        let mut this = Self {
            db,
            shown: shown.to_owned(),
            topics: HashMap::new(),
            order: Order::Stored { above: i64::MIN },
            progress: Progress::default(),
            ready: VecDeque::new(),
            ended: false,
            steps,
            truncated: cut || killed,
            damages,
        };
        this.read_topics()?;
        this.put_in_order();
        Ok(this)
    }

    /// The next message and where it lies; `None` at the end. What cannot be read is left out and told by [`Self::damages`].
    pub fn next(&mut self) -> Option<(Place, BagMessage)> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            if self.ended {
                return None;
            }
            match &mut self.order {
                Order::Stored { above } => {
                    let above = *above;
                    self.batch(above);
                }
                Order::Sorted(left) => {
                    let mut left = std::mem::take(left);
                    self.fetch(&mut left);
                    self.ended = left.is_empty();
                    self.order = Order::Sorted(left);
                }
            }
        }
    }

    fn tell(&mut self, row: i64, what: impl Into<String>) {
        self.damages.tell(&self.shown, Place::Row(row), what);
    }

    fn grant_steps(&self) {
        self.steps.store(MAX_STEPS, Ordering::Relaxed);
    }

    /// The next rows of those that lie in order of time.
    fn batch(&mut self, above: i64) {
        self.grant_steps();
        let mut rows = Vec::new();
        let mut last = above;
        let read = self.read_rows(above, &mut last, &mut rows);
        self.progress.rows(rows.len() as u64);
        for (id, row) in rows {
            self.take(id, row);
        }
        match read {
            Ok(true) => self.ended = true,
            Ok(false) => self.order = Order::Stored { above: last },
            Err(broken) => match self.progress.step().and_then(|step| self.next_readable(last, step)) {
                Some(next) => {
                    self.tell(last.saturating_add(1), format!("messages up to {next} are left out: {broken}"));
                    self.order = Order::Stored { above: next };
                }
                None => {
                    self.tell(last.saturating_add(1), format!("all further messages are left out: {broken}"));
                    self.ended = true;
                }
            },
        }
    }

    /// Reads rows with ids above one; returns whether the table is over.
    fn read_rows(&self, above: i64, last: &mut i64, rows: &mut Vec<(i64, Row)>) -> Result<bool, Broken> {
        let mut statement = self.db.prepare(
            "SELECT _rowid_, topic_id, timestamp, data FROM messages WHERE _rowid_ > ?1 ORDER BY _rowid_ LIMIT ?2",
        )?;
        let mut found = statement.query((above, BATCH as i64))?;
        let (mut count, mut bytes) = (0, 0);
        while let Some(row) = found.next()? {
            let id: i64 = row.get(0)?;
            if id <= *last {
                return Err(Broken::Order);
            }
            let row = Row::of(row, 1)?;
            (*last, count, bytes) = (id, count + 1, bytes + row.data.len());
            rows.push((id, row));
            if bytes >= BATCH_BYTES {
                return Ok(false);
            }
        }
        Ok(count < BATCH)
    }

    /// An id above which rows can be read again, as near as it can be found: steps that double, then halving.
    fn next_readable(&self, after: i64, mut step: i64) -> Option<i64> {
        let mut broken = after.checked_add(step - 1)?;
        let mut readable = loop {
            let at = after.checked_add(step)?;
            if self.can_read_above(at) {
                break at;
            }
            broken = at;
            step = step.checked_mul(2)?;
        };
        while readable - broken > 1 {
            let middle = broken + (readable - broken) / 2;
            if self.can_read_above(middle) {
                readable = middle;
            } else {
                broken = middle;
            }
        }
        Some(readable)
    }

    fn can_read_above(&self, id: i64) -> bool {
        self.grant_steps();
        let read = || -> Result<bool, rusqlite::Error> {
            let mut statement =
                self.db.prepare("SELECT _rowid_, data FROM messages WHERE _rowid_ > ?1 ORDER BY _rowid_ LIMIT 1")?;
            let mut rows = statement.query([id])?;
            rows.next()?.map_or(Ok(true), |row| Ok(row.get::<_, i64>(0)? > id))
        };
        read().unwrap_or(false)
    }

    /// The next rows of those that were put in order: some from the end of the list.
    fn fetch(&mut self, left: &mut Vec<(i64, i64)>) {
        let mut rows = Vec::new();
        self.grant_steps();
        let mut read = || -> Result<(), rusqlite::Error> {
            let mut statement = self.db.prepare("SELECT topic_id, timestamp, data FROM messages WHERE _rowid_ = ?1")?;
            let mut bytes = 0;
            while rows.len() < BATCH && bytes < BATCH_BYTES {
                let Some((_, id)) = left.pop() else { break };
                let row = statement
                    .query([id])
                    .and_then(|mut found| found.next()?.map_or(Ok(Row::default()), |row| Row::of(row, 0)));
                bytes += row.as_ref().map_or(0, |row| row.data.len());
                rows.push((id, row));
            }
            Ok(())
        };
        if let Err(error) = read() {
            let what = format!("{} messages are left out: {error}", left.len());
            self.damages.tell(&self.shown, Place::File, what);
            left.clear();
        }
        for (id, row) in rows {
            match row {
                Ok(row) => self.take(id, row),
                Err(error) => self.tell(id, format!("a message is left out: {}", Broken::Sql(error))),
            }
        }
    }

    fn take(&mut self, id: i64, row: Row) {
        let Row { topic, time, data, whole } = row;
        if !whole {
            return self
                .tell(id, "a message is left out: topic_id, timestamp and data are not two integers and a blob");
        }
        let Some(channel) = self.topics.get(&topic) else {
            return self.tell(id, format!("a message is left out: there is no topic with id {topic}"));
        };
        let time = Stamp::from_nanos(time);
        self.ready.push_back((Place::Row(id), BagMessage::new(Arc::clone(channel), time, time, data)));
    }

    /// Finds out whether messages lie in order of time, and puts them in order where they do not.
    fn put_in_order(&mut self) {
        let (mut in_order, mut count, mut before) = (true, 0_usize, i64::MIN);
        self.scan(false, |_, time| {
            in_order &= time >= before;
            before = time;
            count += 1;
        });
        if in_order {
            return;
        }
        if count > MAX_SORTED {
            let what = format!(
                "{count} messages do not lie in order of time, more than the {MAX_SORTED} that are put in order"
            );
            return self.damages.tell(&self.shown, Place::File, what);
        }
        let mut order = Vec::with_capacity(count);
        self.scan(true, |id, time| order.push((time, id)));
        order.sort_unstable_by(|a, b| b.cmp(a));
        self.order = Order::Sorted(order);
    }

    /// Id and time of all rows, without their data.
    fn scan(&mut self, tell: bool, mut see: impl FnMut(i64, i64)) {
        let mut above = i64::MIN;
        let mut progress = Progress::default();
        loop {
            self.grant_steps();
            let mut last = above;
            let mut seen = 0;
            let mut read = || -> Result<bool, Broken> {
                let mut statement = self.db.prepare(
                    "SELECT _rowid_, timestamp FROM messages WHERE _rowid_ > ?1 ORDER BY _rowid_ LIMIT 4096",
                )?;
                let mut rows = statement.query([above])?;
                let mut count = 0;
                while let Some(row) = rows.next()? {
                    let id: i64 = row.get(0)?;
                    if id <= last {
                        return Err(Broken::Order);
                    }
                    (last, count, seen) = (id, count + 1, seen + 1);
                    // What is no number is told when the row is read.
                    see(id, row.get_ref(1)?.as_i64().unwrap_or(i64::MIN));
                }
                Ok(count < 4096)
            };
            let read = read();
            progress.rows(seen);
            match read {
                Ok(true) => return,
                Ok(false) => above = last,
                Err(broken) => {
                    let next = progress.step().and_then(|step| self.next_readable(last, step));
                    if tell {
                        let upto =
                            next.map_or("all further messages".to_owned(), |next| format!("messages up to {next}"));
                        self.tell(last.saturating_add(1), format!("{upto} are left out: {broken}"));
                    }
                    let Some(next) = next else { return };
                    above = next;
                }
            }
        }
    }

    fn read_topics(&mut self) -> Result<(), BagError> {
        self.grant_steps();
        let schema = |problem: String| BagError::Database { path: self.shown.clone(), problem };
        let columns_of = |table: &str| columns(&self.db, table).map_err(|e| not_read(&self.shown, &e));
        for (table, wanted) in [
            ("topics", &["id", "name", "type", "serialization_format"][..]),
            ("messages", &["topic_id", "timestamp", "data"]),
        ] {
            let Some(has) = columns_of(table)? else {
                return Err(schema(format!("there is no table '{table}', so it is no rosbag2 database")));
            };
            if let Some(missing) = wanted.iter().find(|name| !has.iter().any(|has| has == *name)) {
                return Err(schema(format!("table '{table}' has no plain column '{missing}', as rosbag2's has")));
            }
            if has.iter().any(|name| name.eq_ignore_ascii_case("_rowid_")) {
                return Err(schema(format!("table '{table}' has a column '_rowid_', which rosbag2's has not")));
            }
        }
        let topic_columns = columns_of("topics")?.unwrap_or_default();
        let definition_columns = columns_of("message_definitions")?.unwrap_or_default();
        let or_nothing = |columns: &[String], name: &'static str| {
            if columns.iter().any(|has| has == name) { name } else { "''" }
        };
        let mut room = MAX_TEXTS;
        // Topics of a type share what is known of it.
        let mut types: BTreeMap<String, Arc<mcap::Schema<'static>>> = BTreeMap::new();
        let query = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions";
        if ["topic_type", "encoding", "encoded_message_definition"]
            .iter()
            .all(|c| definition_columns.iter().any(|d| d == c))
            && let Err(error) = texts(&self.db, query, 3, &mut room, |_, mut texts| {
                let (text, encoding) = (texts.pop().unwrap_or_default(), texts.pop().unwrap_or_default());
                let name = texts.pop().unwrap_or_default();
                let schema = mcap::Schema { id: 1, name: name.clone(), encoding, data: text.into_bytes().into() };
                types.insert(name, Arc::new(schema));
            })
        {
            self.damages.tell(&self.shown, Place::File, format!("message definitions are left out: {error}"));
        }
        self.grant_steps();
        let query = format!(
            "SELECT name, type, serialization_format, {}, {}, id FROM topics",
            or_nothing(&topic_columns, "offered_qos_profiles"),
            or_nothing(&topic_columns, "type_description_hash")
        );
        let mut topics = HashMap::new();
        let read = texts(&self.db, &query, 5, &mut room, |id, texts| {
            let Ok([name, kind, format, qos, hash]) = <[String; 5]>::try_from(texts) else { return };
            let number = u16::try_from(topics.len() + 1).unwrap_or(u16::MAX);
            let schema = types.entry(kind.clone()).or_insert_with(|| {
                Arc::new(mcap::Schema { id: 1, name: kind, encoding: String::new(), data: Vec::new().into() })
            });
            let metadata = [("offered_qos_profiles", qos), ("topic_type_hash", hash)];
            let channel = mcap::Channel {
                id: number,
                topic: name,
                schema: Some(Arc::clone(schema)),
                message_encoding: format,
                metadata: metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            };
            topics.insert(id, Arc::new(channel));
        });
        self.topics = topics;
        if let Err(error) = read {
            self.damages.tell(&self.shown, Place::File, format!("topics are left out: {error}"));
        }
        Ok(())
    }
}

/// What a row of `messages` holds.
#[derive(Default)]
struct Row {
    topic: i64,
    time: i64,
    data: Vec<u8>,
    /// Whether the columns are of their types.
    whole: bool,
}

impl Row {
    /// From its columns, the topic's first.
    fn of(row: &rusqlite::Row<'_>, first: usize) -> Result<Self, rusqlite::Error> {
        let (topic, time) = (row.get_ref(first)?, row.get_ref(first + 1)?);
        Ok(match (topic, time, row.get_ref(first + 2)?) {
            (ValueRef::Integer(topic), ValueRef::Integer(time), ValueRef::Blob(data)) => {
                Self { topic, time, data: data.to_vec(), whole: true }
            }
            _ => Self::default(),
        })
    }
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

fn not_read(shown: &Path, error: &rusqlite::Error) -> BagError {
    let problem = match code(error) {
        Some(ErrorCode::OperationInterrupted) => "its tables are nested without end".to_owned(),
        _ => error.to_string(),
    };
    BagError::Database { path: shown.to_owned(), problem }
}

/// Whether a database ends before its last page, by its own head (sqlite.org/fileformat.html, 1.3).
fn is_cut(file: &mut File) -> std::io::Result<bool> {
    let length = file.metadata()?.len();
    let mut head = Vec::with_capacity(100);
    file.take(100).read_to_end(&mut head)?;
    let word = |at: usize| head.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    let (Some(pages), Some(changes), Some(valid)) = (word(28), word(24), word(92)) else { return Ok(true) };
    let page = match (head[16], head[17]) {
        (0, 1) => 65_536,
        (high, low) => u64::from(high) << 8 | u64::from(low),
    };
    Ok(changes == valid && u64::from(pages) * page > length)
}

/// How to open a database beside which its recorder left a journal, and whether it did.
fn journal(shown: &Path, path: &Path, damages: &mut Damages) -> (&'static str, bool) {
    let beside = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        // No link: it might lead out of the bag.
        std::fs::symlink_metadata(name).is_ok_and(|found| found.is_file() && found.len() > 0)
    };
    if beside("-wal") {
        return ("mode=ro", true);
    }
    if beside("-journal") {
        let what =
            "its recorder was killed while it wrote: the messages of its last transaction may be missing or damaged";
        damages.tell(shown, Place::File, what);
        return ("immutable=1", true);
    }
    // Nothing beside the file is looked at or made, also where the folder can be written.
    ("immutable=1", false)
}

fn connect(path: &Path, how: &str) -> Result<(Connection, Arc<AtomicU64>), rusqlite::Error> {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut uri = String::from("file:");
    for byte in absolute.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(format!("{uri}?{how}"), flags)?;
    db.set_limit(Limit::SQLITE_LIMIT_LENGTH, i32::try_from(MAX_RECORD).unwrap_or(i32::MAX))?;
    let steps = Arc::new(AtomicU64::new(MAX_STEPS));
    let left = Arc::clone(&steps);
    let spent = move || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err();
    db.progress_handler(1000, Some(spent))?;
    // `writable_schema` lets a file be read that ends before its last page; nothing is written, the file is open for reading only.
    db.execute_batch(
        "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA writable_schema=ON;",
    )?;
    Ok((db, steps))
}

/// The plain columns of a plain table: no view, no virtual table, nothing that is computed. `None` where there is no such table.
fn columns(db: &Connection, table: &str) -> Result<Option<Vec<String>>, rusqlite::Error> {
    let mut statement = db.prepare("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 LIMIT 1")?;
    let mut rows = statement.query([table])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let sql = row.get_ref(0)?.as_bytes().unwrap_or_default();
    let is_plain = sql.get(..13).is_some_and(|begin| begin.eq_ignore_ascii_case(b"CREATE TABLE "));
    if !is_plain {
        return Ok(None);
    }
    let mut statement = db.prepare("SELECT name, hidden FROM pragma_table_xinfo(?1) LIMIT 1000")?;
    let mut rows = statement.query([table])?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? == 0 {
            names.push(row.get(0)?);
        }
    }
    Ok(Some(names))
}

/// Rows of texts with an integer behind them, as many as there is room for.
fn texts(
    db: &Connection,
    query: &str,
    count: usize,
    room: &mut usize,
    mut see: impl FnMut(i64, Vec<String>),
) -> Result<(), String> {
    let mut read = || -> Result<Option<String>, rusqlite::Error> {
        let mut statement = db.prepare(&format!("{query} LIMIT {MAX_TOPICS}"))?;
        let has_id = statement.column_count() > count;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut texts = Vec::with_capacity(count);
            for column in 0..count {
                let bytes = row.get_ref(column)?.as_bytes().unwrap_or_default();
                let Some(left) = room.checked_sub(bytes.len()) else {
                    return Ok(Some(format!("their texts have more than {MAX_TEXTS} bytes")));
                };
                *room = left;
                texts.push(String::from_utf8_lossy(bytes).into_owned());
            }
            let id = if has_id { row.get_ref(count)?.as_i64().unwrap_or_default() } else { 0 };
            see(id, texts);
        }
        Ok(None)
    };
    match read() {
        Ok(None) => Ok(()),
        Ok(Some(problem)) => Err(problem),
        Err(error) => Err(error.to_string()),
    }
}
