//! Two bags whose every number is known by a formula; `importers/dataset/sample.py` has the same formulas in Python.
//!
//! 10 pictures a second of two cameras, joint states 3 ms beside them, commands in two streams, everything recorded late and so out of order. In the
//! first bag picture 12 of the front camera is missing. In the second the instruction is taken back at picture 12, after success, and another one
//! is given, which fails.
#![allow(dead_code, clippy::unwrap_used)] // each test uses its part

use efm_bag::msgs::{Header, Image, JointState, StringMsg};
use efm_bag::{BagOptions, BagWriter};
use efm_core::{Stamp, Trajectory, TrajectoryPoint};
use std::path::{Path, PathBuf};

pub const START_S: i32 = 1_700_000_000;
/// Of `observation.state` and `action`.
pub const JOINTS: [&str; 3] = ["a", "b", "g"];
/// Name, width, height and encoding of the cameras.
pub const CAMERAS: [(&str, u32, u32, &str); 2] = [("front", 12, 8, "rgb8"), ("wrist", 8, 6, "bgr8")];

pub fn at(ms: i64) -> Stamp {
    Stamp::from_sec_nanosec(START_S, 0).offset_nanos(ms * 1_000_000)
}

/// Measured position of a joint.
pub fn measured(joint: usize, ms: i64) -> f64 {
    0.1 * (joint + 1) as f64 + 0.0002 * (joint + 1) as f64 * ms as f64
}

/// Commanded position of a joint.
pub fn commanded(joint: usize, ms: i64) -> f64 {
    0.25 + measured(joint, ms)
}

/// A colour of a pixel, 0 to 250.
pub fn level(camera: usize, picture: i64, x: u32, y: u32, colour: usize) -> u8 {
    ((i64::from(x) * 7 + i64::from(y) * 13 + colour as i64 * 29 + picture * 5 + camera as i64 * 101) % 251) as u8
}

/// The pixels of a picture, red, green and blue.
pub fn rgb(camera: usize, picture: i64) -> Vec<u8> {
    let (_, width, height, _) = CAMERAS[camera];
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    pixels.flat_map(|(x, y)| (0..3).map(move |c| level(camera, picture, x, y, c))).collect()
}

pub fn image(camera: usize, picture: i64) -> Image {
    let (name, width, height, encoding) = CAMERAS[camera];
    let mut data = rgb(camera, picture);
    if encoding == "bgr8" {
        data.chunks_exact_mut(3).for_each(<[u8]>::reverse);
    }
    Image {
        header: Header::new(at(100 * picture), name),
        width,
        height,
        encoding: encoding.into(),
        step: 3 * width,
        data,
        is_bigendian: 0,
    }
}

pub fn joint_state(ms: i64) -> JointState {
    JointState {
        header: Header::new(at(ms), ""),
        name: ["g", "extra", "b", "a"].map(str::to_owned).into(),
        position: vec![measured(2, ms), 9.0, measured(1, ms), measured(0, ms)],
        ..Default::default()
    }
}

/// Of joints by their places in [`JOINTS`]: three points 100 ms apart.
pub fn command(joints: &[usize], ms: i64) -> Trajectory {
    let point = |after: i64| TrajectoryPoint {
        positions: joints.iter().map(|joint| commanded(*joint, ms + after)).collect(),
        time_from_start: after * 1_000_000,
        ..Default::default()
    };
    Trajectory {
        stamp: at(ms),
        joint_names: joints.iter().map(|joint| JOINTS[*joint].to_owned()).collect(),
        points: [0, 100, 200].map(point).into(),
        ..Default::default()
    }
}

/// What a bag holds, to be written in the order of the times of recording.
pub enum Message {
    Image(Image),
    State(JointState),
    Command(Trajectory),
    Text(String),
    Compressed(efm_bag::msgs::CompressedImage),
}

/// Messages with topic and time of recording in milliseconds.
pub type Messages = Vec<(i64, &'static str, Message)>;

/// All of a bag but its texts: `pictures` pictures.
pub fn stream(pictures: i64) -> Messages {
    let mut all = Messages::new();
    for picture in 0..pictures {
        // Recorded 40 and 90 ms after they were taken: later than joint states and commands of later stamps.
        all.push((100 * picture + 40, "/observation/front/image", Message::Image(image(0, picture))));
        all.push((100 * picture + 90, "/observation/wrist/image", Message::Image(image(1, picture))));
    }
    for ms in (-97..100 * pictures + 200).step_by(20) {
        all.push((ms + 2, "/joint_states", Message::State(joint_state(ms))));
    }
    for ms in (-100..100 * pictures + 200).step_by(50) {
        all.push((ms + 1, "/arm/joint_trajectory", Message::Command(command(&[1, 0], ms))));
        all.push((ms + 1, "/hand/joint_trajectory", Message::Command(command(&[2], ms))));
    }
    all
}

pub fn text(ms: i64, topic: &'static str, text: &str) -> (i64, &'static str, Message) {
    (ms, topic, Message::Text(text.to_owned()))
}

pub fn write(folder: &Path, mut messages: Messages) -> PathBuf {
    messages.sort_by_key(|(ms, _, _)| *ms);
    let mut bag = BagWriter::create(folder, BagOptions::default()).unwrap();
    for (ms, topic, message) in messages {
        match message {
            Message::Image(m) => bag.write(topic, &m, at(ms)),
            Message::State(m) => bag.write(topic, &m, at(ms)),
            Message::Command(m) => bag.write(topic, &m, at(ms)),
            Message::Text(m) => bag.write(topic, &StringMsg::new(m), at(ms)),
            Message::Compressed(m) => bag.write(topic, &m, at(ms)),
        }
        .unwrap();
    }
    bag.finish().unwrap();
    folder.to_owned()
}

fn goal(goal: &str, state: &str) -> String {
    format!(r#"{{"id": 1, "goal": "{goal}", "state": "{state}", "reason": ""}}"#)
}

/// The first bag.
pub fn first() -> Messages {
    let mut all = stream(25);
    all.retain(|(ms, topic, _)| *topic != "/observation/front/image" || *ms != 1240);
    all.push(text(-150, "/instruction", ""));
    all.push(text(-140, "/instruction", "stack the cube"));
    all.push(text(-139, "/goal_status", &goal("stack the cube", "active")));
    all
}

/// The second bag.
pub fn second() -> Messages {
    let mut all = stream(30);
    all.push(text(-140, "/instruction", "push the ball"));
    all.push(text(1150, "/instruction", ""));
    all.push(text(1151, "/goal_status", &goal("push the ball", "succeeded")));
    all.push(text(1250, "/instruction", "push the ball away"));
    all.push(text(2950, "/goal_status", &goal("push the ball away", "timed_out")));
    all
}

/// An episode that must come out: its bag, first and last picture, sentence, and whether its last frame is a success.
pub const EPISODES: [(usize, i64, i64, &str, bool); 4] = [
    (0, 0, 11, "stack the cube", false),
    (0, 13, 24, "stack the cube", false),
    (1, 0, 11, "push the ball", true),
    (1, 13, 29, "push the ball away", false),
];
