//! Messages written here are read back as they were, and are byte for byte those of ROS; damaged ones are refused.
#![allow(clippy::unwrap_used)]

mod samples;

use efm_core::{JointNames, JointSample, Stamp, Trajectory, TrajectoryPoint};
use efm_wire::msgs::*;
use efm_wire::{Decode, Encode};
use proptest::prelude::*;
use samples::*;

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
}
