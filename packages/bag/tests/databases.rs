//! sqlite3 bags and compressed ones, whole and broken: as much as is readable is read, the rest is told.
#![allow(clippy::unwrap_used)]

use efm_bag::inspect::{Expectations, inspect};
use efm_bag::msgs::StringMsg;
use efm_bag::select::{Selection, copy};
use efm_bag::{BagError, BagOptions, BagReader, BagWriter, Compression, Encode, Place};
use efm_core::Stamp;
use rusqlite::{Connection, params};
use std::io::Write;
use std::path::{Path, PathBuf};

const BEGIN: i64 = 1_700_000_000_000_000_000;

/// Tables as rosbag2 made them: 1 before Foxy, 2 since Foxy, 3 since Humble, 4 since Iron.
fn tables(path: &Path, version: u32) -> Connection {
    let db = Connection::open(path).unwrap();
    let qos = if version >= 2 { ", offered_qos_profiles TEXT NOT NULL" } else { "" };
    let hash = if version >= 4 { ", type_description_hash TEXT NOT NULL" } else { "" };
    db.execute_batch(&format!(
        "PRAGMA page_size=1024;
         CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, serialization_format TEXT NOT NULL{qos}{hash});
         CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL, data BLOB NOT NULL);
         CREATE INDEX timestamp_idx ON messages (timestamp ASC);"
    ))
    .unwrap();
    if version >= 3 {
        db.execute_batch(&format!(
            "CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);
             INSERT INTO schema VALUES ({version}, 'rolling');"
        ))
        .unwrap();
    }
    if version >= 4 {
        db.execute_batch(
            "CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT NOT NULL, encoding TEXT NOT NULL,
                 encoded_message_definition TEXT NOT NULL, type_description_hash TEXT NOT NULL);
             INSERT INTO message_definitions VALUES (1, 'std_msgs/msg/String', 'ros2msg', '# as recorded\nstring data', 'RIHS01_1');",
        )
        .unwrap();
    }
    topic(&db, version, 1, "/instruction", "std_msgs/msg/String");
    db
}

fn topic(db: &Connection, version: u32, id: i64, name: &str, kind: &str) {
    // As Humble writes it.
    let infinite = "\n    sec: 9223372036\n    nsec: 854775807";
    let qos = format!(
        "- history: 1\n  depth: 1\n  reliability: 1\n  durability: 1\n  deadline:{infinite}\n  lifespan:{infinite}\n  liveliness: 1\n  \
         liveliness_lease_duration:{infinite}\n  avoid_ros_namespace_conventions: false"
    );
    match version {
        1 => db.execute("INSERT INTO topics VALUES (?1, ?2, ?3, 'cdr')", params![id, name, kind]),
        2 | 3 => db.execute("INSERT INTO topics VALUES (?1, ?2, ?3, 'cdr', ?4)", params![id, name, kind, qos]),
        _ => db.execute("INSERT INTO topics VALUES (?1, ?2, ?3, 'cdr', ?4, 'RIHS01_1')", params![id, name, kind, qos]),
    }
    .unwrap();
}

fn cdr(i: i64) -> Vec<u8> {
    StringMsg::new(format!("message {i:04}")).to_cdr()
}

fn insert(db: &Connection, topic: i64, time: i64, data: &[u8]) {
    db.execute(
        "INSERT INTO messages(topic_id, timestamp, data) VALUES (?1, ?2, ?3)",
        params![topic, BEGIN + time, data],
    )
    .unwrap();
}

/// A database of a thousand messages, a nanosecond apart.
fn thousand(dir: &Path, version: u32) -> PathBuf {
    let path = dir.join("bag_0.db3");
    let db = tables(&path, version);
    db.execute_batch("BEGIN").unwrap();
    (0..1000).for_each(|i| insert(&db, 1, i, &cdr(i)));
    db.execute_batch("COMMIT").unwrap();
    path
}

fn read(path: &Path) -> (Vec<i64>, BagReader) {
    let mut reader = BagReader::open(path).unwrap();
    let mut numbers = Vec::new();
    while let Some(message) = reader.next_message().unwrap() {
        let text = message.decode::<StringMsg>().unwrap().data;
        let number: i64 = text.strip_prefix("message ").unwrap().parse().unwrap();
        assert_eq!((message.log_time().nanos(), message.publish_time()), (BEGIN + number, message.log_time()));
        numbers.push(number);
    }
    (numbers, reader)
}

fn all() -> Vec<i64> {
    (0..1000).collect()
}

#[test]
fn databases_of_all_versions_are_read_and_sliced() {
    for version in 1..=4 {
        let tmp = tempfile::tempdir().unwrap();
        let path = thousand(tmp.path(), version);
        let (numbers, reader) = read(&path);
        assert_eq!((numbers, reader.damaged(), reader.truncated()), (all(), 0, false), "version {version}");
        let first = BagReader::open(&path).unwrap().next_message().unwrap().unwrap();
        assert_eq!(
            (first.topic(), first.type_name(), first.schema_encoding()),
            ("/instruction", "std_msgs/msg/String", "ros2msg")
        );
        // Old ones carry no definitions: those of standard types are known.
        let expected = if version < 4 { "string data\n" } else { "# as recorded\nstring data" };
        assert_eq!(first.schema_text(), expected, "version {version}");
        assert_eq!(first.offered_qos().contains("durability: 1"), version >= 2);

        let part = tmp.path().join("part");
        let selection = Selection { from_s: Some(1.0e-7), to_s: Some(2.0e-7), topics: vec!["instruction".into()] };
        let copied = copy(&path, &part, &selection, BagOptions::default()).unwrap();
        // Latched topics begin with what was known by then.
        let latched: u64 = if version >= 2 { 1 } else { 0 };
        assert_eq!(copied.summary.messages, 101 + latched, "version {version}");
        let yaml = std::fs::read_to_string(part.join("metadata.yaml")).unwrap();
        // What was a number then is a word now.
        assert!(yaml.contains("durability: transient_local") && !yaml.contains("durability: 1"), "{yaml}");
    }
}

#[test]
fn messages_come_in_order_of_time_however_they_lie() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("bag_0.db3");
    let db = tables(&path, 3);
    db.execute_batch("BEGIN").unwrap();
    (0..1000).map(|i| i * 7 % 1000).for_each(|i| insert(&db, 1, i, &cdr(i)));
    db.execute_batch("COMMIT").unwrap();
    let (numbers, reader) = read(&path);
    assert_eq!((numbers, reader.damaged()), (all(), 0));
    assert_eq!(inspect(&path, &Expectations::default()).unwrap().out_of_order, 0);
}

#[test]
fn a_database_that_ends_in_the_middle_is_read_as_far_as_it_goes_and_made_whole() {
    let tmp = tempfile::tempdir().unwrap();
    let path = thousand(tmp.path(), 4);
    let bytes = std::fs::read(&path).unwrap();
    for keep in [bytes.len() / 2, bytes.len() * 3 / 4, bytes.len() - 1024] {
        std::fs::write(&path, &bytes[..keep / 1024 * 1024 + 100]).unwrap();
        let (numbers, reader) = read(&path);
        assert!(reader.truncated(), "{keep}");
        assert!(numbers.len() > 1000 * keep / bytes.len() * 3 / 4, "{} of {keep}", numbers.len());
        assert!(numbers.is_sorted(), "{numbers:?}");
        let whole = tmp.path().join(format!("whole_{keep}"));
        let copied = copy(&path, &whole, &Selection::default(), BagOptions::default()).unwrap();
        assert_eq!((copied.summary.messages, copied.truncated), (numbers.len() as u64, true));
        assert_eq!(read(&whole).0, numbers);
    }
}

#[test]
fn a_damaged_page_costs_what_is_on_it_and_no_more() {
    let tmp = tempfile::tempdir().unwrap();
    let path = thousand(tmp.path(), 4);
    let bytes = std::fs::read(&path).unwrap();
    let needle = b"message 0500";
    let at = bytes.windows(needle.len()).position(|w| w == needle).unwrap();
    let mut broken = bytes.clone();
    broken[at / 1024 * 1024..][..1024].fill(0xa5);
    std::fs::write(&path, &broken).unwrap();
    let (numbers, reader) = read(&path);
    let lost: Vec<i64> = all().into_iter().filter(|n| !numbers.contains(n)).collect();
    assert!(lost.contains(&500) && lost.len() < 40, "{lost:?}");
    assert!(lost.windows(2).all(|pair| pair[1] == pair[0] + 1), "{lost:?}");
    let told = &reader.damages()[0];
    assert_eq!((told.at, reader.damages().len()), (Place::Row(lost[0] + 1), 1), "{told}");
    assert!(told.to_string().contains("bag_0.db3 at message") && told.what.contains("malformed"), "{told}");
}

#[test]
fn any_flipped_bit_ends_in_messages_or_words() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("bag_0.db3");
    let db = tables(&path, 4);
    (0..60).for_each(|i| insert(&db, 1, i, &cdr(i)));
    drop(db);
    let bytes = std::fs::read(&path).unwrap();
    // Every structure of the head, and a sample of the rest.
    for at in (0..200).chain((200..bytes.len()).step_by(37)) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, &flipped).unwrap();
        match BagReader::open(&path) {
            Ok(reader) => assert!(reader.map_while(Result::ok).count() <= 60, "bit in byte {at}"),
            Err(error) => assert!(error.to_string().contains("bag_0.db3"), "{error}"),
        }
    }
}

#[test]
fn databases_that_are_no_bags_and_such_that_compute_are_refused_by_name() {
    let endless = "CREATE VIEW messages AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n)
                   SELECT 1 AS topic_id, i AS timestamp, zeroblob(100000000) AS data FROM n";
    let computed = "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER,
                    data BLOB GENERATED ALWAYS AS (zeroblob(200000000)) VIRTUAL)";
    for (table, words) in [
        ("", "no table 'messages'"),
        (endless, "no table 'messages'"),
        ("CREATE VIRTUAL TABLE messages USING fts5(topic_id, timestamp, data)", "no table 'messages'"),
        (computed, "no plain column 'data'"),
        ("CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, data BLOB)", "no plain column 'timestamp'"),
        ("CREATE TABLE messages(topic_id, timestamp, data, _rowid_)", "column '_rowid_'"),
    ] {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("x.db3");
        let db = tables(&path, 2);
        db.execute_batch(&format!("DROP TABLE messages; {table}")).unwrap();
        drop(db);
        let error = BagReader::open(&path).unwrap_err().to_string();
        assert!(error.contains("x.db3") && error.contains(words), "{error}");
    }
}

#[test]
fn rows_that_are_no_messages_are_left_out_and_told() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("bag_0.db3");
    let db = tables(&path, 2);
    insert(&db, 1, 0, &cdr(0));
    insert(&db, 9, 1, &cdr(1));
    db.execute("INSERT INTO messages VALUES (10, 1, ?1, 'text')", [BEGIN + 2]).unwrap();
    db.execute("INSERT INTO messages VALUES (11, 1, 'noon', ?1)", [cdr(3)]).unwrap();
    insert(&db, 1, 4, &cdr(4));
    // A zstd frame of some KB that becomes 100 MiB.
    let bomb = zstd::encode_all(std::io::Read::take(std::io::repeat(0), 100 << 20), 3).unwrap();
    insert(&db, 1, 5, &bomb);
    insert(&db, 1, 6, &cdr(6));
    drop(db);
    let (numbers, reader) = read(&path);
    assert_eq!((numbers, reader.damaged()), (vec![0, 4, 6], 4));
    let told: String = reader.damages().iter().map(|d| format!("{d}\n")).collect();
    for words in ["no topic with id 9", "at message 10", "at message 11", "become more than"] {
        assert!(told.contains(words), "{words} in {told}");
    }
}

#[test]
fn types_that_nobody_defines_are_kept_without_a_definition_and_impossible_topics_left_out() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("bag_0.db3");
    let db = tables(&path, 2);
    topic(&db, 2, 2, "/force", "lab_msgs/msg/Force");
    topic(&db, 2, 3, "/no topic", "std_msgs/msg/String");
    topic(&db, 2, 4, "/old_type", "lab_msgs/Force");
    for (i, topic) in [1, 2, 3, 4, 2].into_iter().enumerate() {
        insert(&db, topic, i as i64, &cdr(i as i64));
    }
    insert(&db, 1, -BEGIN - 5, &cdr(0));
    drop(db);
    let whole = tmp.path().join("whole");
    let copied = copy(&path, &whole, &Selection::default(), BagOptions::default()).unwrap();
    assert_eq!(copied.summary.messages, 3);
    let left_out: Vec<&str> = copied.left_out.keys().map(String::as_str).collect();
    assert_eq!(left_out, ["/instruction", "/no topic", "/old_type"]);
    assert!(copied.left_out["/instruction"].0.contains("before the epoch"), "{:?}", copied.left_out);
    let report = inspect(&whole, &Expectations::default()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    let force = &report.topics[0];
    assert_eq!((force.name.as_str(), force.type_name.as_str(), force.messages), ("/force", "lab_msgs/msg/Force", 2));
    assert_eq!(force.definition, "");
}

#[test]
fn what_a_killed_recorder_had_not_yet_moved_into_its_database_is_read_too() {
    let tmp = tempfile::tempdir().unwrap();
    let (lab, bag) = (tmp.path().join("lab"), tmp.path().join("bag"));
    std::fs::create_dir(&lab).unwrap();
    std::fs::create_dir(&bag).unwrap();
    let source = lab.join("bag_0.db3");
    let db = tables(&source, 4);
    db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;").unwrap();
    (0..50).for_each(|i| insert(&db, 1, i, &cdr(i)));
    // As they lie on the disk while the recorder runs.
    let (path, log) = (bag.join("bag_0.db3"), bag.join("bag_0.db3-wal"));
    std::fs::copy(&source, &path).unwrap();
    std::fs::copy(lab.join("bag_0.db3-wal"), &log).unwrap();
    let before = std::fs::read(&path).unwrap();
    let (numbers, reader) = read(&path);
    assert_eq!((numbers, reader.truncated()), ((0..50).collect(), true));
    assert_eq!(std::fs::read(&path).unwrap(), before, "the bag was changed");
    // A link might lead anywhere: it is not followed.
    #[cfg(unix)]
    {
        let away = tmp.path().join("away");
        std::fs::rename(&log, &away).unwrap();
        std::os::unix::fs::symlink(&away, &log).unwrap();
        let read = BagReader::open(&path).map(|reader| reader.count());
        assert_eq!(read.unwrap_or_default(), 0);
    }
}

#[test]
fn a_database_that_holds_nothing_yet_is_no_reason_to_fail() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("bag_0.db3");
    for cut in [0, 7] {
        std::fs::write(&path, &b"SQLite format 3\0"[..cut]).unwrap();
        let mut reader = BagReader::open(&path).unwrap();
        assert!(reader.next_message().unwrap().is_none() && reader.truncated());
        std::fs::remove_file(&path).unwrap();
    }
    drop(tables(&path, 3));
    let mut reader = BagReader::open(&path).unwrap();
    assert!(reader.next_message().unwrap().is_none() && !reader.truncated());
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_bag_is_not_followed_whatever_it_leads_to() {
    for name in ["bag_0.db3", "bag_0.db3.zstd", "bag_0.mcap.zstd", "metadata.yaml"] {
        let tmp = tempfile::tempdir().unwrap();
        let outside = thousand(tmp.path(), 3);
        let bag = tmp.path().join("bag");
        std::fs::create_dir(&bag).unwrap();
        std::os::unix::fs::symlink(&outside, bag.join(name)).unwrap();
        let error = BagReader::open(&bag).unwrap_err();
        assert!(matches!(error, BagError::LinksOut { .. }), "{name}: {error}");
    }
}

/// A compressed bag of each storage, with the names that rosbag2 gives.
fn packed(dir: &Path) -> Vec<PathBuf> {
    let database = thousand(dir, 4);
    let plain = dir.join("plain");
    let options = BagOptions { chunk_size: 2048, compression: Compression::None, ..BagOptions::default() };
    let mut bag = BagWriter::create(&plain, options).unwrap();
    for i in 0..1000 {
        bag.write("instruction", &StringMsg::new(format!("message {i:04}")), Stamp::from_nanos(BEGIN + i)).unwrap();
    }
    bag.finish().unwrap();
    [("db3", database), ("mcap", plain.join("plain_0.mcap"))]
        .map(|(kind, file)| {
            let bag = dir.join(kind);
            std::fs::create_dir(&bag).unwrap();
            let name = format!("bag_0.{kind}.zstd");
            // In blocks, as larger files have them.
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            for block in std::fs::read(file).unwrap().chunks(4096) {
                encoder.write_all(block).unwrap();
                encoder.flush().unwrap();
            }
            std::fs::write(bag.join(&name), encoder.finish().unwrap()).unwrap();
            let storage = if kind == "db3" { "sqlite3" } else { kind };
            std::fs::write(
                bag.join("metadata.yaml"),
                format!(
                    "rosbag2_bagfile_information: {{version: 5, storage_identifier: {storage}, compression_mode: FILE, \
                     compression_format: zstd, relative_file_paths: [{name}]}}"
                ),
            )
            .unwrap();
            bag.join(name)
        })
        .to_vec()
}

#[test]
fn a_compressed_file_is_read_in_its_bag_by_itself_and_without_metadata() {
    let tmp = tempfile::tempdir().unwrap();
    for file in packed(tmp.path()) {
        let bag = file.parent().unwrap();
        assert_eq!(read(bag).0, all());
        assert_eq!(read(&file).0, all());
        std::fs::remove_file(bag.join("metadata.yaml")).unwrap();
        assert_eq!(read(bag).0, all());
    }
}

#[test]
fn a_compressed_file_that_is_cut_or_damaged_is_read_as_far_as_it_unpacks() {
    let tmp = tempfile::tempdir().unwrap();
    for file in packed(tmp.path()) {
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() * 3 / 4]).unwrap();
        let (numbers, reader) = read(&file);
        assert!(reader.truncated() && numbers.len() > 400, "{}: {}", file.display(), numbers.len());
        let mut flipped = bytes.clone();
        let at = bytes.len() / 2;
        flipped[at..at + 8].fill(0xff);
        std::fs::write(&file, &flipped).unwrap();
        let (numbers, reader) = read(&file);
        assert!(reader.damaged() > 0 && numbers.len() > 200, "{}: {}", file.display(), numbers.len());
        assert!(reader.damages()[0].to_string().contains("bag_0"), "{}", reader.damages()[0]);
    }
}

#[test]
fn a_file_that_is_listed_but_lost_is_told_and_the_others_are_read() {
    let tmp = tempfile::tempdir().unwrap();
    thousand(tmp.path(), 3);
    let list = |files: &str| {
        let text =
            format!("rosbag2_bagfile_information: {{storage_identifier: sqlite3, relative_file_paths: [{files}]}}");
        std::fs::write(tmp.path().join("metadata.yaml"), text).unwrap();
    };
    list("lost_0.db3, bag/bag_0.db3");
    let (numbers, reader) = read(tmp.path());
    assert_eq!((numbers, reader.damaged()), (all(), 1));
    assert!(reader.damages()[0].to_string().contains("lost_0.db3"), "{}", reader.damages()[0]);
    list("lost_0.db3");
    assert!(matches!(BagReader::open(tmp.path()), Err(BagError::Io { .. })));
}

#[test]
fn a_metadata_file_that_is_cut_or_nonsense_is_told_and_the_folder_looked_through() {
    let tmp = tempfile::tempdir().unwrap();
    thousand(tmp.path(), 3);
    for text in ["", "rosbag2_bagfile_information:\n  version: 5\n  storage_id", "\u{0}\u{1}", "[]"] {
        std::fs::write(tmp.path().join("metadata.yaml"), text).unwrap();
        let (numbers, reader) = read(tmp.path());
        assert_eq!((numbers, reader.damaged()), (all(), 1), "{text}");
        assert!(reader.damages()[0].to_string().contains("metadata.yaml"), "{}", reader.damages()[0]);
    }
}
