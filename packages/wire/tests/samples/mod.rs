//! One message of every type, and what is done to their bytes; the tests of bags (`packages/bag/tests/round_trip.rs`) write the same ones.

use efm_core::{Stamp, Trajectory, TrajectoryPoint};
use efm_wire::Decode;
use efm_wire::msgs::*;
use proptest::prelude::*;

pub const MS: i64 = 1_000_000;

pub fn header() -> Header {
    Header::new(Stamp::from_sec_nanosec(1_700_000_000, 123_456_789), "front_optical")
}

pub fn image() -> Image {
    let data = (0..4 * 3 * 3).map(|i| i as u8).collect();
    Image { header: header(), height: 3, width: 4, encoding: "rgb8".into(), is_bigendian: 0, step: 12, data }
}

pub fn camera_info() -> CameraInfo {
    let mut info = CameraInfo::pinhole(header(), 640, 480, [600.0, 601.0], [320.5, 240.5]);
    info.roi = RegionOfInterest { x_offset: 1, y_offset: 2, height: 3, width: 4, do_rectify: true };
    info
}

pub fn joint_state() -> JointState {
    JointState {
        header: Header::new(Stamp::from_nanos(-1), ""),
        name: vec!["panda_joint1".into(), "größe".into()],
        position: vec![0.1, -0.2],
        velocity: vec![f64::NAN, f64::INFINITY],
        effort: vec![],
    }
}

pub fn trajectory() -> Trajectory {
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

pub fn diagnostics() -> DiagnosticArray {
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

pub fn compressed() -> CompressedImage {
    CompressedImage { header: header(), format: "jpeg".into(), data: vec![0xff, 0xd8, 0xff] }
}

/// Reads bytes as every type; the results do not matter, that there are results does.
pub fn read_as_everything(bytes: &[u8]) {
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

pub fn mutate(bytes: &mut Vec<u8>, edits: &[(prop::sample::Index, u8)], cut: Option<prop::sample::Index>) {
    for (at, value) in edits {
        let at = at.index(bytes.len());
        bytes[at] = *value;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len()));
    }
}
