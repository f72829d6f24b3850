//! Bags that were broken: as much as is readable is read, the rest is told, and memory stays bounded.
#![allow(clippy::unwrap_used)]

use efm_bag::inspect::{Expectations, inspect};
use efm_bag::msgs::{DiagnosticArray, DiagnosticStatus, Header, JointState, StringMsg};
use efm_bag::select::{Selection, copy};
use efm_bag::{BagError, BagOptions, BagReader, BagWriter, Compression, Qos};
use efm_core::Stamp;
use std::path::{Path, PathBuf};
use std::time::Duration;

const MS: i64 = 1_000_000;

fn joints(at: Stamp, value: f64) -> JointState {
    JointState {
        header: Header::new(at, ""),
        name: vec!["a".into()],
        position: vec![value],
        velocity: vec![],
        effort: vec![],
    }
}

/// 100 joint states 10 ms apart in chunks of 100 ms, and an instruction, latched, at the beginning.
fn write(dir: &Path, options: BagOptions) {
    let mut bag = BagWriter::create(dir, BagOptions { chunk_duration: Duration::from_millis(100), ..options }).unwrap();
    bag.write("instruction", &StringMsg::new("go"), at(0)).unwrap();
    for i in 0..100 {
        bag.write("joint_states", &joints(at(10 * i), i as f64), at(10 * i)).unwrap();
    }
    bag.finish().unwrap();
}

fn at(ms: i64) -> Stamp {
    Stamp::from_nanos(1_700_000_000_000 * MS + ms * MS)
}

fn positions(bag: &Path) -> (Vec<i64>, BagReader) {
    let mut reader = BagReader::open(bag).unwrap();
    let mut values = Vec::new();
    while let Some(message) = reader.next_message().unwrap() {
        if message.topic_is("joint_states") {
            values.push(message.decode::<JointState>().unwrap().position[0] as i64);
        }
    }
    (values, reader)
}

fn bag(options: BagOptions) -> (tempfile::TempDir, PathBuf) {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("bag");
    write(&dir, options);
    (tmp, dir)
}

/// Where the records of a kind begin.
fn records(bytes: &[u8], opcode: u8) -> Vec<usize> {
    let (mut found, mut at) = (Vec::new(), 8);
    while at + 9 <= bytes.len() {
        let length = u64::from_le_bytes(bytes[at + 1..at + 9].try_into().unwrap()) as usize;
        if bytes[at] == opcode {
            found.push(at);
        }
        at += 9 + length;
    }
    found
}

#[test]
fn a_flipped_bit_costs_the_chunk_that_it_is_in_and_no_other() {
    for compression in [Compression::None, Compression::Zstd(1)] {
        let (_tmp, dir) = bag(BagOptions { compression, ..BagOptions::default() });
        let file = dir.join("bag_0.mcap");
        let mut bytes = std::fs::read(&file).unwrap();
        let chunks = records(&bytes, 6);
        assert!(chunks.len() >= 9, "{}", chunks.len());
        // In the middle of what the fifth chunk holds.
        let middle = (chunks[4] + chunks[5]) / 2;
        bytes[middle] ^= 0x10;
        std::fs::write(&file, &bytes).unwrap();
        let (values, reader) = positions(&dir);
        assert_eq!(values, (0..40).chain(50..100).collect::<Vec<i64>>(), "{compression:?}");
        assert_eq!((reader.damaged(), reader.damages().len(), reader.truncated()), (1, 1, false));
        let told = reader.damages()[0].to_string();
        assert!(told.contains("bag_0.mcap") && told.contains("chunk"), "{told}");
    }
}

#[test]
fn a_bag_that_ends_in_the_middle_is_told_and_made_whole() {
    let (tmp, dir) = bag(BagOptions::default());
    let file = dir.join("bag_0.mcap");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..records(&bytes, 6)[6] + 50]).unwrap();
    std::fs::remove_file(dir.join("metadata.yaml")).unwrap();
    let report = inspect(&dir, &Expectations::default()).unwrap();
    assert!(report.truncated && report.problems[0].contains("efm bag repair"), "{:?}", report.problems);

    let whole = tmp.path().join("whole");
    let copied = copy(&dir, &whole, &Selection::default(), BagOptions::default()).unwrap();
    assert_eq!((copied.summary.messages, copied.truncated), (61, true));
    let report = inspect(&whole, &Expectations::default()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(positions(&whole).0, (0..60).collect::<Vec<i64>>());
    // What the old one said of profiles is still there.
    let yaml = std::fs::read_to_string(whole.join("metadata.yaml")).unwrap();
    assert!(yaml.contains("transient_local"), "{yaml}");
    assert!(matches!(copy(&dir, &whole, &Selection::default(), BagOptions::default()), Err(BagError::Exists(_))));
}

#[test]
fn a_chunk_that_says_it_becomes_huge_is_left_out_before_any_memory_is_taken() {
    let (_tmp, dir) = bag(BagOptions::default());
    let file = dir.join("bag_0.mcap");
    let mut bytes = std::fs::read(&file).unwrap();
    let chunk = records(&bytes, 6)[2];
    // Its head: start and end time, then the size.
    for (size, words) in [(1_u64 << 40, "become"), (100 << 20, "become"), (1_000_000, "holds")] {
        bytes[chunk + 9 + 16..chunk + 9 + 24].copy_from_slice(&size.to_le_bytes());
        std::fs::write(&file, &bytes).unwrap();
        let (values, reader) = positions(&dir);
        assert_eq!(values.len(), 90, "{size}");
        assert!(reader.damages()[0].what.contains(words), "{}", reader.damages()[0]);
    }
}

#[test]
fn files_that_hold_nothing_are_no_reason_to_fail_and_those_that_are_none_are_named() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("empty.mcap");
    std::fs::write(&file, []).unwrap();
    let mut reader = BagReader::open(&file).unwrap();
    assert!(reader.next_message().unwrap().is_none() && reader.truncated());
    // Room that was kept for the file and never written to.
    let (_tmp, dir) = bag(BagOptions::default());
    let path = dir.join("bag_0.mcap");
    let bytes = std::fs::read(&path).unwrap();
    let kept = records(&bytes, 6)[3];
    std::fs::write(&path, [&bytes[..kept], &vec![0; 1 << 16]].concat()).unwrap();
    let (values, reader) = positions(&dir);
    assert_eq!((values.len(), reader.truncated(), reader.damaged()), (30, true, 0));
    let error = BagReader::open(tmp.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("none"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_bag_is_not_followed() {
    let (tmp, dir) = bag(BagOptions::default());
    let outside = tmp.path().join("outside.mcap");
    std::fs::rename(dir.join("bag_0.mcap"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, dir.join("bag_0.mcap")).unwrap();
    for _ in 0..2 {
        let error = BagReader::open(&dir).unwrap_err().to_string();
        assert!(error.contains("bag_0.mcap") && error.contains("outside"), "{error}");
        // Without metadata.yaml the folder is looked through.
        let _ = std::fs::remove_file(dir.join("metadata.yaml"));
    }
    // A link to a bag that somebody names himself is his business.
    std::os::unix::fs::symlink(&outside, tmp.path().join("link.mcap")).unwrap();
    assert!(BagReader::open(tmp.path().join("link.mcap")).is_ok());
}

#[test]
fn files_are_bounded_by_time_and_by_size_and_read_as_one_bag() {
    let (_tmp, by_time) =
        bag(BagOptions { max_file_duration: Some(Duration::from_millis(300)), ..BagOptions::default() });
    let (_tmp2, by_size) =
        bag(BagOptions { max_file_bytes: Some(2_000), compression: Compression::None, ..BagOptions::default() });
    for (dir, least) in [(by_time, 4), (by_size, 3)] {
        let files = std::fs::read_dir(&dir).unwrap().count() - 1;
        assert!(files >= least, "{files}");
        assert_eq!(positions(&dir).0, (0..100).collect::<Vec<i64>>());
        let report = inspect(&dir, &Expectations::default()).unwrap();
        assert!(report.problems.is_empty() && report.out_of_order == 0, "{:?}", report.problems);
        let yaml = std::fs::read_to_string(dir.join("metadata.yaml")).unwrap();
        assert!(yaml.contains("bag_1.mcap") && yaml.contains("message_count: 101"), "{yaml}");
        // Each file says for itself what is in it.
        let mut alone = BagReader::open(dir.join("bag_1.mcap")).unwrap();
        assert_eq!(alone.next_message().unwrap().unwrap().type_name(), "sensor_msgs/msg/JointState");
    }
}

#[test]
fn a_slice_begins_with_what_was_known_by_then() {
    let (tmp, dir) = bag(BagOptions::default());
    let part = tmp.path().join("part");
    let selection = Selection { from_s: Some(0.5), to_s: Some(0.6), topics: vec![] };
    let copied = copy(&dir, &part, &selection, BagOptions::default()).unwrap();
    assert_eq!(copied.summary.messages, 12);
    let first = BagReader::open(&part).unwrap().next_message().unwrap().unwrap();
    assert_eq!((first.topic(), first.log_time()), ("/instruction", at(500)));
    assert_eq!(positions(&part).0, (50..=60).collect::<Vec<i64>>());
    let selection = Selection { topics: vec!["joint_state".into()], ..Selection::default() };
    let error = copy(&dir, &tmp.path().join("none"), &selection, BagOptions::default()).unwrap_err().to_string();
    assert!(error.contains("'joint_state'"), "{error}");
}

#[test]
fn gaps_steps_back_and_stamps_of_the_future_are_found_and_missing_topics_named() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("bag");
    let mut bag = BagWriter::create(&dir, BagOptions::default()).unwrap();
    bag.set_qos("joint_states", Qos::DEFAULT);
    for i in 0..200 {
        // A second and a half is missing, one stamp goes back, one lies ahead.
        let log = at(10 * i + if i >= 100 { 1500 } else { 0 });
        let stamp = match i {
            50 => log.offset_nanos(-40 * MS),
            70 => log.offset_nanos(300 * MS),
            _ => log.offset_nanos(-3 * MS),
        };
        bag.write("joint_states", &joints(stamp, 0.0), log).unwrap();
    }
    bag.finish().unwrap();
    let expected =
        Expectations { topics: vec!["/joint_states".into(), "instruction".into()], ..Expectations::default() };
    let report = inspect(&dir, &expected).unwrap();
    let all = report.problems.join("\n");
    for words in [
        "'instruction' has no message",
        "pauses 1 times",
        "longest 1.51 s at 0.99 s",
        "go back 2 times",
        "0.300 s in the future",
    ] {
        assert!(all.contains(words), "{words} in {all}");
    }
    let topic = &report.topics[0];
    assert_eq!((topic.messages, topic.age.map(|a| (1e3 * a.0).round())), (200, Some(3.0)));
}

#[test]
fn senders_that_share_a_topic_may_overtake_each_other_and_each_is_held_to_its_own_clock() {
    let tmp = tempfile::tempdir().unwrap();
    let told = |set_back: bool| {
        let dir = tmp.path().join(format!("{set_back}"));
        let mut bag = BagWriter::create(&dir, BagOptions::default()).unwrap();
        for i in 0..200 {
            let log = at(10 * i);
            let (gripper, late) = (i % 2 == 1, log.offset_nanos(-80 * MS));
            let back = if set_back && i >= 101 { 500 * MS } else { 0 };
            let mut state = joints(if gripper { late } else { log }.offset_nanos(-back), i as f64);
            state.name[0] = if gripper { "finger" } else { "shoulder" }.to_owned();
            bag.write("joint_states", &state, log).unwrap();
            let name = if gripper { "sim: physics" } else { "camera_ingest: front" }.to_owned();
            let status =
                DiagnosticStatus { level: 0, name, message: "well".into(), hardware_id: "".into(), values: vec![] };
            let array = DiagnosticArray { header: Header::new(state.header.stamp, ""), status: vec![status] };
            bag.write("/diagnostics", &array, log).unwrap();
        }
        bag.finish().unwrap();
        let report = inspect(&dir, &Expectations::default()).unwrap();
        report.problems.into_iter().filter(|problem| problem.contains("go back")).collect::<Vec<_>>()
    };
    assert!(told(false).is_empty(), "{:?}", told(false));
    let all = told(true);
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all.iter().all(|problem| problem.contains("go back 2 times, by up to 0.480 s")), "{all:?}");
}

/// What is said of the stamps of joint states at 100 Hz, by the message's number and its log time.
fn told_of_stamps(stamp: impl Fn(i64, Stamp) -> Stamp) -> Vec<String> {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("bag");
    let mut bag = BagWriter::create(&dir, BagOptions::default()).unwrap();
    for i in 0..100 {
        let log = at(10 * i);
        bag.write("joint_states", &joints(stamp(i, log), 0.01 * i as f64), log).unwrap();
    }
    bag.finish().unwrap();
    inspect(&dir, &Expectations::default()).unwrap().problems
}

#[test]
fn a_clock_that_stands_and_stamps_that_are_missing_are_told() {
    assert!(told_of_stamps(|_, log| log).is_empty());
    let all = told_of_stamps(|_, _| at(0));
    assert!(matches!(&all[..], [one] if one.contains("99 of 100 header stamps") && one.contains("/clock")), "{all:?}");
    // A driver that stamps at half its rate is none.
    assert!(told_of_stamps(|i, log| if i % 2 == 1 { log.offset_nanos(-10 * MS) } else { log }).is_empty());
    let all = told_of_stamps(|_, _| Stamp::ZERO);
    assert!(matches!(&all[..], [one] if one.contains("100 of 100 messages have no header stamp")), "{all:?}");
    let all = told_of_stamps(|i, log| if i == 40 { Stamp::ZERO } else { log });
    assert!(matches!(&all[..], [one] if one.contains("1 of 100 messages have no header stamp")), "{all:?}");
    // A simulated clock that begins at zero is right; so is nothing that begins without a stamp on another clock.
    assert!(told_of_stamps(|i, _| Stamp::from_nanos(10 * MS * i)).is_empty());
    let all = told_of_stamps(|i, log| if i == 0 { Stamp::ZERO } else { log });
    assert!(matches!(&all[..], [one] if one.contains("1 of 100 messages have no header stamp")), "{all:?}");
}

#[test]
fn stamps_that_are_no_times_are_told_with_their_field() {
    let tmp = tempfile::tempdir().unwrap();
    for (bytes, words) in [
        ([0xff_u8, 0xff, 0xff, 0xff, 0, 0, 0, 0], "sec -1, which is before 1970, the first of 100"),
        ([1, 0, 0, 0, 0x00, 0x28, 0x6b, 0xee], "nanosec 4000000000, which is below 1000000000"),
    ] {
        let dir = tmp.path().join(format!("{}", bytes[0]));
        let mut bag = BagWriter::create(&dir, BagOptions::default()).unwrap();
        for i in 0..100 {
            let mut data = efm_bag::Encode::to_cdr(&joints(at(10 * i), 1.0)).to_vec();
            data[4..12].copy_from_slice(&bytes);
            bag.write_raw("joint_states", "sensor_msgs/msg/JointState", "", &data, at(10 * i)).unwrap();
        }
        bag.finish().unwrap();
        let all = inspect(&dir, &Expectations::default()).unwrap().problems;
        assert!(matches!(&all[..], [one] if one.contains(words)), "{words}: {all:?}");
    }
}

#[test]
fn a_file_without_its_footer_or_its_index_has_all_its_messages() {
    let (_tmp, dir) = bag(BagOptions::default());
    let file = dir.join("bag_0.mcap");
    let bytes = std::fs::read(&file).unwrap();
    let (end, footer) = (records(&bytes, 15)[0], records(&bytes, 2)[0]);
    for keep in [footer, end, end + 3] {
        std::fs::write(&file, &bytes[..keep]).unwrap();
        let (values, reader) = positions(&dir);
        assert_eq!((values.len(), reader.truncated(), reader.damaged()), (100, true, 0), "{keep} of {}", bytes.len());
    }
}

#[test]
fn definitions_that_are_none_do_not_keep_messages_from_being_read() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("odd.mcap");
    let mut mcap = mcap::Writer::new(std::fs::File::create(&path).unwrap()).unwrap();
    let schemas = [
        mcap.add_schema("sensor_msgs/msg/JointState", "ros2msg", &[0xff, 0xfe, 0]).unwrap(),
        mcap.add_schema("sensor_msgs/msg/Image", "ros2msg", b"this is = no [definition").unwrap(),
        mcap.add_schema("lab msgs//Force", "ros2idl", b"").unwrap(),
    ];
    let data = efm_bag::Encode::to_cdr(&joints(at(0), 1.0));
    for (schema, topic) in schemas.into_iter().zip(["/bytes", "/other", "/unknown"]) {
        let id = mcap.add_channel(schema, topic, "cdr", &Default::default()).unwrap();
        let header = mcap::records::MessageHeader { channel_id: id, sequence: 0, log_time: 1, publish_time: 1 };
        mcap.write_to_known_channel(&header, &data).unwrap();
    }
    mcap.finish().unwrap();
    let messages: Vec<_> = BagReader::open(&path).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(messages[0].decode::<JointState>().unwrap().position, [1.0]);
    // What it is said to be is not what it is.
    let error = messages[1].decode::<efm_bag::msgs::Image>().unwrap_err().to_string();
    assert!(error.contains("/other") && error.contains("Image"), "{error}");
    let error = messages[2].decode::<JointState>().unwrap_err().to_string();
    assert!(error.contains("lab msgs//Force") && error.contains("JointState"), "{error}");
    let copied = copy(&path, &tmp.path().join("whole"), &Selection::default(), BagOptions::default()).unwrap();
    assert_eq!((copied.summary.messages, copied.left_out["/unknown"].1), (2, 1));
}
