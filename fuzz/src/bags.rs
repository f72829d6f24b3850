//! Bags of strangers: MCAP files, sqlite3 databases, compressed ones, and what `metadata.yaml` says of them.

use efm_bag::inspect::{Expectations, inspect};
use efm_bag::select::{Selection, copy};
use efm_bag::{BagOptions, BagReader, Compression};
use std::fs::write;

/// The first byte says what the rest is: a file by itself, one whose bag says that its messages are compressed, or `metadata.yaml`. Whatever can be read
/// makes a whole bag.
pub fn bags(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let folder = tempfile::tempdir().expect("a folder for the bag");
    let (bag, whole) = (folder.path().join("bag"), folder.path().join("whole"));
    std::fs::create_dir(&bag).expect("the folder is new");
    let (yaml, file) = (bag.join("metadata.yaml"), bag.join("bag_0.mcap"));
    match kind % 3 {
        0 => write(&file, bytes),
        1 => write(
            yaml,
            "rosbag2_bagfile_information: {storage_identifier: mcap, relative_file_paths: [bag_0.mcap], compression_mode: message, \
             compression_format: zstd}",
        )
        .and_then(|()| write(&file, bytes)),
        _ => write(yaml, bytes).and_then(|()| write(&file, [])),
    }
    .expect("a file that is new");
    let Ok(report) = inspect(&bag, &Expectations::default()) else { return };
    let read: u64 = report.topics.iter().map(|topic| topic.messages).sum();
    let options = BagOptions { compression: Compression::None, ..BagOptions::default() };
    let copied = copy(&bag, &whole, &Selection::default(), options).expect("what is read can be written");
    let left_out: u64 = copied.left_out.values().map(|(_, count)| count).sum();
    assert_eq!(copied.summary.messages + left_out, read);
    let mut reader = BagReader::open(&whole).expect("what was written is a bag");
    let mut again = 0;
    while reader.next_message().expect("what was written can be read").is_some() {
        again += 1;
    }
    assert_eq!((again, reader.damaged(), reader.truncated()), (copied.summary.messages, 0, false));
}
