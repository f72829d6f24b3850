//! Bags written here are read back as they were, damaged ones as far as they go.
#![allow(clippy::unwrap_used)]

#[path = "../../wire/tests/samples/mod.rs"]
mod samples;

use efm_bag::msgs::*;
use efm_bag::{BagError, BagOptions, BagReader, BagWriter, Compression, Durability, Encode, Qos, Reliability, RosType};
use efm_core::{Stamp, Trajectory};
use proptest::prelude::*;
use samples::*;
use std::path::Path;

fn write_one_of_each(dir: &Path, options: BagOptions) {
    let mut bag = BagWriter::create(dir, options).unwrap();
    let t = |ms: i64| Stamp::from_nanos(1_700_000_000_000_000_000 + ms * MS);
    bag.write("instruction", &StringMsg::new("lege den roten Würfel nach links"), t(0)).unwrap();
    bag.write("observation/front/image", &image(), t(1)).unwrap();
    bag.write("observation/front/image", &image().view(), t(2)).unwrap();
    bag.write("observation/front/compressed", &compressed(), t(3)).unwrap();
    bag.write("front/camera_info", &camera_info(), t(4)).unwrap();
    bag.write("joint_states", &joint_state(), t(5)).unwrap();
    bag.write("action_chunk", &trajectory(), t(6)).unwrap();
    bag.write("/diagnostics", &diagnostics(), t(7)).unwrap();
    bag.write("/clock", &Clock { clock: t(8) }, t(8)).unwrap();
    bag.write("header", &header(), t(9)).unwrap();
    let summary = bag.finish().unwrap();
    assert_eq!((summary.messages, summary.span), (10, (t(0), t(9))));
}

#[test]
fn every_message_type_comes_back_as_it_was_written() {
    for compression in [Compression::None, Compression::Zstd(1), Compression::Zstd(9)] {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("some bag \"quoted\"");
        write_one_of_each(&dir, BagOptions { compression, ..Default::default() });
        let messages: Vec<_> = BagReader::open(&dir).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(messages.len(), 10);
        assert_eq!(messages[0].topic(), "/instruction");
        assert!(messages[0].topic_is("instruction"));
        assert_eq!(messages[0].decode::<StringMsg>().unwrap().data, "lege den roten Würfel nach links");
        assert_eq!(messages[1].decode::<Image>().unwrap(), image());
        assert_eq!(messages[2].decode::<ImageView>().unwrap(), image().view());
        assert_eq!(messages[3].decode::<CompressedImage>().unwrap(), compressed());
        assert_eq!(messages[4].decode::<CameraInfo>().unwrap(), camera_info());
        let state: JointState = messages[5].decode().unwrap();
        assert!(state.velocity[0].is_nan() && state.velocity[1] == f64::INFINITY);
        assert_eq!((state.header, state.name), (joint_state().header, joint_state().name));
        assert_eq!(messages[6].decode::<Trajectory>().unwrap(), trajectory());
        assert_eq!(messages[7].decode::<DiagnosticArray>().unwrap(), diagnostics());
        assert_eq!(messages[8].log_time(), messages[8].decode::<Clock>().unwrap().clock);
        assert_eq!(messages[9].decode::<Header>().unwrap(), header());
        assert!(messages[6].schema_text().contains("MSG: trajectory_msgs/JointTrajectoryPoint"));
    }
}

#[test]
fn the_folder_says_what_rosbag2_wants_to_know() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("episode");
    let mut bag = BagWriter::create(&dir, BagOptions::default()).unwrap();
    bag.set_qos("/camera", Qos { reliability: Reliability::BestEffort, durability: Durability::Volatile, depth: 5 });
    bag.write("instruction", &StringMsg::new("a"), Stamp::from_nanos(10)).unwrap();
    bag.write("camera", &image(), Stamp::from_nanos(30)).unwrap();
    bag.finish().unwrap();
    let text = std::fs::read_to_string(dir.join("metadata.yaml")).unwrap();
    let yaml: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let info = &yaml["rosbag2_bagfile_information"];
    assert_eq!(info["version"], 9);
    assert_eq!(info["duration"]["nanoseconds"], 20);
    assert_eq!(info["relative_file_paths"][0], "episode_0.mcap");
    let topics = &info["topics_with_message_count"];
    assert_eq!(topics[0]["topic_metadata"]["name"], "/instruction");
    let qos = |i: usize| &topics[i]["topic_metadata"]["offered_qos_profiles"][0];
    assert_eq!(qos(0)["durability"], "transient_local");
    assert_eq!(qos(1)["reliability"], "best_effort");
    assert_eq!(qos(1)["depth"], 5);
}

#[test]
fn a_recorder_can_pass_on_bytes_and_definitions_that_it_does_not_know() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("raw");
    let mut bag = BagWriter::create(&dir, BagOptions::default()).unwrap();
    let bytes = [0, 1, 0, 0, 42];
    bag.write_raw("odd", "my_msgs/msg/Odd", "uint8 x\n", &bytes, Stamp::from_nanos(1)).unwrap();
    bag.write_raw("text", StringMsg::TYPE, "", &StringMsg::new("x").to_cdr(), Stamp::from_nanos(2)).unwrap();
    let error = bag.write_raw("other", "my_msgs/msg/Other", "", &bytes, Stamp::ZERO).unwrap_err();
    assert!(matches!(error, BagError::NoDefinition { .. }), "{error}");
    let error = bag.write_raw("other", StringMsg::TYPE, "", &[1, 2], Stamp::ZERO).unwrap_err();
    assert!(matches!(error, BagError::Malformed { .. }), "{error}");
    bag.finish().unwrap();
    let messages: Vec<_> = BagReader::open(&dir).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!((messages[0].data(), messages[0].type_name()), (&bytes[..], "my_msgs/msg/Odd"));
    assert_eq!(messages[0].schema_text(), "uint8 x\n");
    assert_eq!(messages[1].decode::<StringMsg>().unwrap().data, "x");
    assert!(matches!(messages[0].decode::<StringMsg>(), Err(BagError::WrongType { .. })));
}

#[test]
fn mistakes_are_refused_and_leave_the_bag_usable() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("bag");
    let mut bag = BagWriter::create(&dir, BagOptions::default()).unwrap();
    let text = StringMsg::new("x");
    for topic in ["", "/", "a b", "a//b", "a/", "1a", "a:\n  b"] {
        assert!(matches!(bag.write(topic, &text, Stamp::ZERO), Err(BagError::Topic(_))), "'{topic}'");
    }
    bag.write("a", &text, Stamp::ZERO).unwrap();
    assert!(matches!(bag.write("/a", &Clock::default(), Stamp::ZERO), Err(BagError::TypeChanged { .. })));
    assert!(matches!(bag.write("a", &text, Stamp::from_nanos(-1)), Err(BagError::NegativeTime { .. })));
    assert_eq!(bag.finish().unwrap().messages, 1);
    assert_eq!(BagReader::open(&dir).unwrap().count(), 1);
    assert!(matches!(BagWriter::create(&dir, BagOptions::default()), Err(BagError::Exists(_))));
}

#[test]
fn what_was_flushed_is_readable_when_the_process_is_killed() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("killed");
    let options = BagOptions { chunk_duration: std::time::Duration::from_millis(100), ..Default::default() };
    let mut bag = BagWriter::create(&dir, options).unwrap();
    for i in 0..25 {
        bag.write("a", &StringMsg::new(i.to_string()), Stamp::from_nanos(i * 10 * MS)).unwrap();
    }
    // The destructor never runs, as after SIGKILL: what is in buffers is lost.
    std::mem::forget(bag);
    assert!(!dir.join("metadata.yaml").exists());
    let mut reader = BagReader::open(&dir).unwrap();
    let texts: Vec<String> = reader.by_ref().map(|m| m.unwrap().decode::<StringMsg>().unwrap().data).collect();
    assert_eq!(texts, (0..20).map(|i| i.to_string()).collect::<Vec<_>>());
    assert!(reader.truncated());
}

#[test]
fn a_bag_without_messages_is_a_bag() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("empty");
    drop(BagWriter::create(&dir, BagOptions::default()).unwrap());
    let mut reader = BagReader::open(&dir).unwrap();
    assert!(reader.next_message().unwrap().is_none());
    assert!(!reader.truncated());
}

#[test]
fn folders_and_files_that_are_no_bags_are_named() {
    let tmp = tempfile::tempdir().unwrap();
    assert!(matches!(BagReader::open(tmp.path()), Err(BagError::NotABag(_))));
    assert!(matches!(BagReader::open(tmp.path().join("nothing.mcap")), Err(BagError::Io { .. })));
    for (text, words) in [
        ("storage_identifier: rosbag_v2", "storage_identifier: 'rosbag_v2' is not read"),
        ("storage_identifier: mcap, compression_mode: FILE, compression_format: lz4", "compression_format: 'lz4'"),
        ("storage_identifier: mcap, compression_mode: page", "compression_mode: 'page'"),
    ] {
        let text = format!("rosbag2_bagfile_information: {{{text}, relative_file_paths: [x.bag]}}");
        std::fs::write(tmp.path().join("metadata.yaml"), text).unwrap();
        let error = BagReader::open(tmp.path()).unwrap_err().to_string();
        assert!(error.contains("metadata.yaml") && error.contains(words), "{error}");
    }
    let database = tmp.path().join("noise.db3");
    std::fs::write(&database, [7; 100]).unwrap();
    let error = BagReader::open(&database).unwrap_err().to_string();
    assert!(error.contains("noise.db3") && error.contains("sqlite3"), "{error}");
    let file = tmp.path().join("noise.mcap");
    std::fs::write(&file, [7; 100]).unwrap();
    let error = BagReader::open(&file).unwrap_err();
    assert!(matches!(error, BagError::Mcap { .. }), "{error}");
}

proptest! {
    #[test]
    fn no_mutation_of_a_bag_makes_the_reader_panic_or_go_on_for_ever(
        compressed in any::<bool>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("bag");
        let compression = if compressed { Compression::Zstd(1) } else { Compression::None };
        write_one_of_each(&dir, BagOptions { compression, ..Default::default() });
        let file = dir.join("bag_0.mcap");
        let mut bytes = std::fs::read(&file).unwrap();
        mutate(&mut bytes, &edits, cut);
        std::fs::write(&file, &bytes).unwrap();
        let mut seen = 0;
        // A broken magic is refused at once.
        for message in BagReader::open(&dir).into_iter().flatten().flatten() {
            read_as_everything(message.data());
            seen += 1;
        }
        prop_assert!(seen <= 10);
    }
}
