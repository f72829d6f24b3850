//! Messages as bytes, made once and stamped again and again: whoever measures must cost little.

use efm_core::Stamp;
use efm_wire::cdr::{CdrWriter, Encode};
use efm_wire::msgs::{Header, ImageView, JointState};

/// `sensor_msgs/msg/Image`.
pub const IMAGE: &str = "sensor_msgs/msg/Image";
/// `sensor_msgs/msg/CompressedImage`.
pub const COMPRESSED_IMAGE: &str = "sensor_msgs/msg/CompressedImage";
/// `sensor_msgs/msg/JointState`.
pub const JOINT_STATE: &str = "sensor_msgs/msg/JointState";
/// `trajectory_msgs/msg/JointTrajectory`.
pub const TRAJECTORY: &str = "trajectory_msgs/msg/JointTrajectory";
/// `std_msgs/msg/String`.
pub const TEXT: &str = "std_msgs/msg/String";
/// `diagnostic_msgs/msg/DiagnosticArray`.
pub const DIAGNOSTICS: &str = "diagnostic_msgs/msg/DiagnosticArray";

/// Joints of the Panda as the policies name them, without the second finger.
pub const JOINTS: [&str; 8] = [
    "panda_joint1",
    "panda_joint2",
    "panda_joint3",
    "panda_joint4",
    "panda_joint5",
    "panda_joint6",
    "panda_joint7",
    "panda_finger_joint1",
];
/// Where the stand-in stands, rad and m.
pub const POSTURE: [f64; 8] = [0.0, -0.6, 0.0, -2.2, 0.0, 1.6, 0.785, 0.04];

/// The stamp of a message that begins with a header.
pub fn stamp_of(cdr: &[u8]) -> Option<Stamp> {
    let field = |at: usize| cdr.get(at..at + 4)?.try_into().ok();
    let (sec, nanos) = (i32::from_le_bytes(field(4)?), u32::from_le_bytes(field(8)?));
    Some(Stamp::from_nanos(i64::from(sec) * 1_000_000_000 + i64::from(nanos)))
}

/// Gives a message that begins with a header another stamp.
pub fn set_stamp(cdr: &mut [u8], stamp: Stamp) {
    let nanos = stamp.nanos();
    let sec = i32::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(i32::MAX);
    cdr[4..8].copy_from_slice(&sec.to_le_bytes());
    cdr[8..12].copy_from_slice(&(nanos.rem_euclid(1_000_000_000) as u32).to_le_bytes());
}

/// A picture, rgb8, with something in it.
pub fn picture(width: u32, height: u32) -> Vec<u8> {
    let data: Vec<u8> = (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| [x / 3, y / 2, (x * y) >> 9]))
        .map(|value| (value & 255) as u8)
        .collect();
    ImageView::rgb8(Stamp::ZERO, "camera", width, height, &data).to_cdr()
}

/// The stand-in's joints, at rest.
pub fn joint_state() -> Vec<u8> {
    let (mut name, mut position) = (JOINTS.map(str::to_owned).to_vec(), POSTURE.to_vec());
    name.push("panda_finger_joint2".to_owned());
    position.push(POSTURE[7]);
    let velocity = vec![0.0; name.len()];
    JointState { header: Header::new(Stamp::ZERO, ""), name, position, velocity, effort: Vec::new() }.to_cdr()
}

/// `filter_state` with nothing in it but the age of the newest chunk's observation, s.
pub fn known(now: Stamp, age: f64) -> Vec<u8> {
    JointState {
        header: Header::new(now, ""),
        name: vec!["chunk_age_s".to_owned()],
        position: vec![age],
        ..JointState::default()
    }
    .to_cdr()
}

/// A trajectory of `joints` with so many points, `step` seconds apart from the first at `first`: joint 1 as `turn` says of the point's time,
/// the others where the stand-in is.
pub fn trajectory(
    joints: &[&str],
    at: &[f64],
    points: usize,
    first: f64,
    step: f64,
    velocities: bool,
    turn: impl Fn(f64) -> f64,
) -> Vec<u8> {
    let mut out = CdrWriter::new();
    out.stamp(Stamp::ZERO);
    out.string("");
    out.strings(&joints.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
    out.count(points);
    let zeros = vec![0.0; at.len()];
    let mut positions = at.to_vec();
    for k in 0..points {
        let time = first + step * k as f64;
        positions[0] = at[0] + turn(time);
        out.f64_sequence(&positions);
        out.f64_sequence(if velocities { &zeros } else { &[] });
        out.f64_sequence(&[]);
        out.f64_sequence(&[]);
        let nanos = (time * 1e9).round() as i64;
        out.stamp(Stamp::from_nanos(nanos));
    }
    out.into_bytes()
}
