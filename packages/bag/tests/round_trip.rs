//! Bags written here are read back as they were, damaged ones as far as they go.
#![allow(clippy::unwrap_used)]

use efm_bag::cdr::{Decode, Encode};
use efm_bag::msgs::*;
use efm_bag::{BagError, BagOptions, BagReader, BagWriter, Compression, Durability, Qos, Reliability, RosType};
use efm_core::{JointNames, JointSample, Stamp, Trajectory, TrajectoryPoint};
use proptest::prelude::*;
use std::path::Path;

const MS: i64 = 1_000_000;

fn header() -> Header {
    Header::new(Stamp::from_sec_nanosec(1_700_000_000, 123_456_789), "front_optical")
}

fn image() -> Image {
    let data = (0..4 * 3 * 3).map(|i| i as u8).collect();
    Image { header: header(), height: 3, width: 4, encoding: "rgb8".into(), is_bigendian: 0, step: 12, data }
}

fn camera_info() -> CameraInfo {
    let mut info = CameraInfo::pinhole(header(), 640, 480, [600.0, 601.0], [320.5, 240.5]);
    info.roi = RegionOfInterest { x_offset: 1, y_offset: 2, height: 3, width: 4, do_rectify: true };
    info
}

fn joint_state() -> JointState {
    JointState {
        header: Header::new(Stamp::from_nanos(-1), ""),
        name: vec!["panda_joint1".into(), "größe".into()],
        position: vec![0.1, -0.2],
        velocity: vec![f64::NAN, f64::INFINITY],
        effort: vec![],
    }
}

fn trajectory() -> Trajectory {
    let point = |t, velocities: &[f64]| TrajectoryPoint {
        positions: vec![1.0, 2.0],
        velocities: velocities.to_vec(),
        time_from_start: t,
        ..Default::default()
    };
    Trajectory {
        stamp: Stamp::from_nanos(1_700_000_000_000_000_001),
        frame_id: String::new(),
        joint_names: vec!["a".into(), "bcd".into()],
        points: vec![point(-MS, &[0.5, 0.25]), point(1_500 * MS, &[])],
    }
}

fn diagnostics() -> DiagnosticArray {
    DiagnosticArray {
        header: header(),
        status: vec![
            DiagnosticStatus {
                level: 3,
                name: "vla_inference: policy".into(),
                message: "stale".into(),
                hardware_id: "panda".into(),
                values: vec![("age".into(), "0.5".into()), ("k".into(), String::new())],
            },
            DiagnosticStatus::default(),
        ],
    }
}

fn compressed() -> CompressedImage {
    CompressedImage { header: header(), format: "jpeg".into(), data: vec![0xff, 0xd8, 0xff] }
}

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

/// `tests/jazzy_cdr.txt` holds what ROS 2 Jazzy's own `rclpy.serialization.serialize_message` (Fast CDR) makes of the same
/// messages. Fast CDR leaves padding uninitialised, here it is zero, and it may append some bytes (see [`Decode::from_cdr`]);
/// nothing else may differ.
#[test]
fn messages_are_byte_for_byte_what_ros_writes() {
    fn check<M: Encode + for<'a> Decode<'a>>(name: &str, message: M) {
        let line = include_str!("jazzy_cdr.txt").lines().find_map(|l| l.strip_prefix(&format!("{name} "))).unwrap();
        let theirs: Vec<u8> =
            (0..line.len() / 2).map(|i| u8::from_str_radix(&line[2 * i..2 * i + 2], 16).unwrap()).collect();
        let ours = message.to_cdr();
        assert!(ours.len() <= theirs.len(), "{name}: {} bytes, not {}", ours.len(), theirs.len());
        for (at, (our, their)) in ours.iter().zip(&theirs).enumerate() {
            assert!(our == their || *our == 0, "{name}: byte {at} is {our}, not {their}");
        }
        assert_eq!(M::from_cdr(&theirs).unwrap().to_cdr(), ours, "{name}: more than padding differs");
    }
    check("string", StringMsg::new("lege den roten Würfel nach links"));
    check("image", image());
    check("compressed_image", compressed());
    check("camera_info", camera_info());
    check("joint_state", joint_state());
    check("joint_trajectory", trajectory());
    check("diagnostic_array", diagnostics());
    check("clock", Clock { clock: Stamp::from_sec_nanosec(5, 6) });
    check("header", header());
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

#[test]
fn joint_samples_travel_as_joint_states() {
    let joints = JointNames::new(["a", "b"]).unwrap();
    let sample = JointSample { stamp: Stamp::from_nanos(3), positions: vec![1.0, 2.0], velocities: vec![0.1, 0.2] };
    let message = JointState::from_sample(&joints, &sample);
    let back = JointState::from_cdr(&message.to_cdr()).unwrap().pick(&joints).unwrap();
    assert_eq!(back, sample);
}

fn any_trajectory() -> impl Strategy<Value = Trajectory> {
    let floats = || prop::collection::vec(any::<f64>().prop_filter("comparable", |v| !v.is_nan()), 0..5);
    let duration = i64::from(i32::MIN) * 1_000_000_000..(i64::from(i32::MAX) + 1) * 1_000_000_000;
    let point = (floats(), floats(), floats(), floats(), duration.clone()).prop_map(
        |(positions, velocities, accelerations, effort, time_from_start)| TrajectoryPoint {
            positions,
            velocities,
            accelerations,
            effort,
            time_from_start,
        },
    );
    (duration, ".{0,9}", prop::collection::vec(".{0,9}", 0..4), prop::collection::vec(point, 0..4)).prop_map(
        |(stamp, frame_id, joint_names, points)| Trajectory {
            stamp: Stamp::from_nanos(stamp),
            frame_id,
            joint_names,
            points,
        },
    )
}

/// Reads bytes as every type; the results do not matter, that there are results does.
fn read_as_everything(bytes: &[u8]) {
    let _ = StringMsg::from_cdr(bytes);
    let _ = Image::from_cdr(bytes);
    let _ = CompressedImage::from_cdr(bytes);
    let _ = CameraInfo::from_cdr(bytes);
    let _ = JointState::from_cdr(bytes);
    let _ = Trajectory::from_cdr(bytes);
    let _ = DiagnosticArray::from_cdr(bytes);
    let _ = Clock::from_cdr(bytes);
    let _ = Header::from_cdr(bytes);
}

fn mutate(bytes: &mut Vec<u8>, edits: &[(prop::sample::Index, u8)], cut: Option<prop::sample::Index>) {
    for (at, value) in edits {
        let at = at.index(bytes.len());
        bytes[at] = *value;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len()));
    }
}

proptest! {
    #[test]
    fn any_trajectory_survives_the_trip(message in any_trajectory()) {
        prop_assert_eq!(Trajectory::from_cdr(&message.to_cdr()).unwrap(), message);
    }

    #[test]
    fn a_message_cut_short_is_refused(message in any_trajectory(), cut in any::<prop::sample::Index>()) {
        let bytes = message.to_cdr();
        prop_assert!(Trajectory::from_cdr(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn no_mutation_of_a_message_makes_a_decoder_panic(
        which in 0..6usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = match which {
            0 => image().to_cdr(),
            1 => camera_info().to_cdr(),
            2 => joint_state().to_cdr(),
            3 => trajectory().to_cdr(),
            4 => diagnostics().to_cdr(),
            _ => compressed().to_cdr(),
        };
        mutate(&mut bytes, &edits, cut);
        read_as_everything(&bytes);
    }

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
