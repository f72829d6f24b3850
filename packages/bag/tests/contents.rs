//! What `efm bag check` finds inside of messages, and what it does not call broken.
#![allow(clippy::unwrap_used)]

use efm_bag::inspect::{Expectations, inspect};
use efm_bag::msgs::{CompressedImage, Header, Image, JointState, StringMsg};
use efm_bag::{BagOptions, BagWriter};
use efm_core::{Stamp, Trajectory, TrajectoryPoint};

const MS: i64 = 1_000_000;

fn at(ms: i64) -> Stamp {
    Stamp::from_nanos(1_700_000_000_000 * MS + ms * MS)
}

fn joints(ms: i64, value: f64) -> JointState {
    let (header, name) = (Header::new(at(ms), ""), vec!["a".to_owned(), "b".to_owned()]);
    // What a joint_state_broadcaster writes where the hardware does not tell.
    JointState { header, name, position: vec![value, 0.1], velocity: vec![f64::NAN; 2], effort: vec![f64::NAN; 2] }
}

fn picture(ms: i64, level: u8) -> Image {
    let data = vec![level; 48];
    Image {
        header: Header::new(at(ms), "cam"),
        width: 4,
        height: 4,
        step: 12,
        encoding: "rgb8".into(),
        is_bigendian: 0,
        data,
    }
}

fn path(ms: i64) -> Trajectory {
    let point = |i: i64| TrajectoryPoint {
        positions: vec![0.1 * i as f64; 2],
        time_from_start: i * 10 * MS,
        ..TrajectoryPoint::default()
    };
    let joint_names = vec!["a".to_owned(), "b".to_owned()];
    Trajectory { stamp: at(ms), frame_id: String::new(), joint_names, points: (1..4).map(point).collect() }
}

fn jpeg(ms: i64, cut: usize) -> CompressedImage {
    let mut data = Vec::new();
    let pixels: Vec<u8> = (0..64 * 48 * 3).map(|i| (i * 7 % 250) as u8).collect();
    image::codecs::jpeg::JpegEncoder::new(&mut data).encode(&pixels, 64, 48, image::ExtendedColorType::Rgb8).unwrap();
    data.truncate(data.len() - data.len() * cut / 100);
    CompressedImage { header: Header::new(at(ms), "cam"), format: "jpeg".into(), data }
}

/// The problems of a bag.
fn problems(write: impl FnOnce(&mut BagWriter)) -> String {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("bag");
    let mut bag = BagWriter::create(&dir, BagOptions::default()).unwrap();
    write(&mut bag);
    bag.finish().unwrap();
    inspect(&dir, &Expectations { contents: true, ..Expectations::default() }).unwrap().problems.join("\n")
}

#[test]
fn a_healthy_run_has_no_problems_although_goals_and_commands_pause_and_a_scene_at_rest_repeats_itself() {
    let found = problems(|bag| {
        let (mut level, mut angle) = (0, 0.0);
        for ms in (0..20_000).step_by(10) {
            // From 5 to 8 s and from 12 to 15 s the arm moves.
            let moves = (5000..8000).contains(&ms) || (12_000..15_000).contains(&ms);
            angle += if moves { 1e-3 } else { 0.0 };
            bag.write("joint_states", &joints(ms, angle), at(ms)).unwrap();
            let clearance = if ms < 300 { f64::NAN } else { 0.2 };
            bag.write("trajectory_publisher/filter_state", &joints(ms, clearance), at(ms)).unwrap();
            if moves {
                bag.write("arm/joint_trajectory", &path(ms), at(ms)).unwrap();
            }
            if moves && ms % 330 == 0 {
                bag.write("action_chunk", &path(ms), at(ms)).unwrap();
            }
            if ms % 30 == 0 {
                level = if moves { (level + 1) % 250 } else { level };
                bag.write("front/image_raw", &picture(ms, level), at(ms)).unwrap();
            }
            for (when, text) in [(3000, "one"), (3100, "two"), (3200, "three"), (11_000, "four"), (18_000, "five")] {
                if ms == when {
                    bag.write("goal", &StringMsg::new(text), at(ms)).unwrap();
                    bag.write("goal_status", &StringMsg::new(text), at(ms)).unwrap();
                }
            }
        }
    });
    assert_eq!(found, "");
}

#[test]
fn what_comes_all_the_time_has_gaps_and_what_has_no_usual_interval_has_none() {
    let found = problems(|bag| {
        for i in 0..200i64 {
            let ms = 10 * i + if i >= 100 { 2000 } else { 0 };
            bag.write("joint_states", &joints(ms, 0.0), at(ms)).unwrap();
            // A sensor that speaks at odd times.
            let odd = i * i;
            bag.write("door/joint_states", &joints(odd, 0.0), at(odd)).unwrap();
        }
    });
    assert!(found.contains("'/joint_states' pauses 1 times") && !found.contains("door"), "{found}");
}

#[test]
fn numbers_that_are_none_are_told_with_topic_joint_time_and_count() {
    let found = problems(|bag| {
        for i in 0..50 {
            let value = if i >= 40 { f64::NAN } else { 0.0 };
            bag.write("joint_states", &joints(10 * i, value), at(10 * i)).unwrap();
            let mut wrong = path(10 * i);
            if i == 7 {
                wrong.points[2].velocities = vec![0.0, f64::INFINITY];
                wrong.points[1].positions.pop();
                wrong.points[2].time_from_start = 0;
            }
            bag.write("action_chunk", &wrong, at(10 * i)).unwrap();
        }
    });
    for words in [
        "'/joint_states': at 0.40 s: the position of joint 'a' is NaN, the first of 10 such messages",
        "'/action_chunk': at 0.07 s: point 2: one of its velocities is inf, of joint 'b'",
        "point 1 has 1 positions for 2 joints",
        "point 2 is not later than the one before it",
    ] {
        assert!(found.contains(words), "{words} in {found}");
    }
    assert_eq!(found.lines().count(), 4, "{found}");
}

#[test]
fn pictures_that_are_damaged_cut_or_of_another_size_are_told() {
    let found = problems(|bag| {
        for i in 0..20 {
            let ms = 33 * i;
            bag.write("front/image/compressed", &jpeg(ms, if i >= 15 { 50 } else { 0 }), at(ms)).unwrap();
            let mut raw = picture(ms, i as u8);
            if i == 3 {
                raw.data.truncate(20);
            }
            if i == 4 {
                (raw.width, raw.step, raw.data) = (2, 6, vec![1; 24]);
            }
            bag.write("wrist/image", &raw, at(ms)).unwrap();
        }
    });
    for words in [
        "'/front/image/compressed': at 0.50 s:",
        "the first of 5 such messages",
        "'/wrist/image': at 0.10 s: the image carries 20 bytes, expected 48",
        "at 0.13 s: it is rgb8 2x4, the first one rgb8 4x4",
    ] {
        assert!(found.contains(words), "{words} in {found}");
    }
    assert_eq!(found.lines().count(), 3, "{found}");
}

#[test]
fn a_camera_that_is_frozen_while_the_arm_moves_is_told() {
    let found = problems(|bag| {
        for i in 0..100 {
            let ms = 30 * i;
            bag.write("joint_states", &joints(ms, 0.01 * i as f64), at(ms)).unwrap();
            bag.write("front/image", &picture(ms, i.min(50) as u8), at(ms)).unwrap();
        }
    });
    assert!(found.contains("'/front/image'") && found.contains("frozen camera") && found.contains("'a'"), "{found}");
}

#[test]
fn bytes_that_are_none_of_their_type_are_told_and_types_that_nobody_knows_are_let_be() {
    let found = problems(|bag| {
        for i in 0..3 {
            let stamp = at(10 * i);
            bag.write_raw("joint_states", "sensor_msgs/msg/JointState", "", &[0, 1, 0, 0, 9, 9], stamp).unwrap();
            bag.write_raw("force", "lab_msgs/msg/Force", "float64 newton\n", &[0, 1, 0, 0, 9, 9], stamp).unwrap();
        }
    });
    assert!(found.contains("'/joint_states': at 0.00 s:") && found.contains("the first of 3 such messages"), "{found}");
    assert!(!found.contains("force"), "{found}");
}

#[test]
fn a_missing_metadata_file_and_one_that_counts_otherwise_are_told() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("bag");
    let mut bag = BagWriter::create(&dir, BagOptions::default()).unwrap();
    for i in 0..5 {
        bag.write("goal", &StringMsg::new("go"), at(i)).unwrap();
    }
    bag.finish().unwrap();
    let yaml = dir.join("metadata.yaml");
    let problems = || inspect(&dir, &Expectations::default()).unwrap().problems.join("\n");
    assert_eq!(problems(), "");
    let text = std::fs::read_to_string(&yaml).unwrap();
    std::fs::write(&yaml, text.replacen("message_count: 5", "message_count: 7", 1)).unwrap();
    assert!(problems().contains("counts 7 messages; there are 5"), "{}", problems());
    std::fs::remove_file(&yaml).unwrap();
    assert!(problems().contains("metadata.yaml is missing"), "{}", problems());
}
