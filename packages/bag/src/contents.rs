//! What is wrong inside of messages: bytes that are none of their type, numbers that are none, pictures that are damaged or do not change.
//!
//! Of types that are not known here nothing is said.

use crate::cdr::{Decode, RosType};
use crate::msgs::{CompressedImageView, Image, ImageView, JointState, StringMsg};
use crate::reader::BagMessage;
use efm_core::{Stamp, Trajectory};
use efm_vision::{Decoder, VisionError};
use std::collections::BTreeMap;

/// Motion of a joint during which a camera's picture may stay the same to the bit, rad or m.
const UNSEEN: f64 = 0.1;
/// Pictures come later than joints by up to so much, s.
const LATE: f64 = 0.3;
/// Kinds of wrong messages that are told of a topic.
const KINDS: usize = 8;
/// Joints whose positions are kept.
const JOINTS: usize = 1000;

/// Messages of a topic that are wrong in one way.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrong {
    /// What is wrong, of the first.
    pub what: String,
    /// How many.
    pub count: u64,
    /// Log time of the first.
    pub at: Stamp,
}

/// The last picture of a topic.
#[derive(Debug, Default)]
struct Picture {
    /// Encoding or format, width, height.
    shape: Option<(String, u32, u32)>,
    crc: u32,
    since: Stamp,
    /// Joints when it was new.
    joints: BTreeMap<String, f64>,
    /// Since when joints are seen to move, and the picture does not.
    unmoved: Option<Stamp>,
    decoder: Decoder,
}

/// Looks into messages, one after the other, in the order of the bag.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// By topic, then by kind.
    found: BTreeMap<String, BTreeMap<&'static str, Wrong>>,
    pictures: BTreeMap<String, Picture>,
    joints: BTreeMap<String, f64>,
}

impl Contents {
    /// Looks into a message.
    pub fn look(&mut self, message: &BagMessage) {
        if message.encoding() != "cdr" {
            return;
        }
        for (kind, what) in self.wrong_with(message) {
            let kinds = self.found.entry(message.topic().to_owned()).or_default();
            if kinds.len() < KINDS || kinds.contains_key(kind) {
                let first = || Wrong { what, count: 0, at: message.log_time() };
                kinds.entry(kind).or_insert_with(first).count += 1;
            }
        }
    }

    /// What was found of a topic.
    pub fn of(&mut self, topic: &str) -> Vec<Wrong> {
        self.found.remove(topic).unwrap_or_default().into_values().collect()
    }

    fn wrong_with(&mut self, message: &BagMessage) -> Vec<(&'static str, String)> {
        match message.type_name() {
            Image::TYPE => decoded::<ImageView>(message, |image| self.raw(message, &image)),
            "sensor_msgs/msg/CompressedImage" => {
                decoded::<CompressedImageView>(message, |image| self.compressed(message, &image))
            }
            JointState::TYPE => decoded::<JointState>(message, |state| self.state(message, &state)),
            Trajectory::TYPE => decoded::<Trajectory>(message, |path| trajectory(&path)),
            StringMsg::TYPE => decoded::<StringMsg>(message, |_| Vec::new()),
            _ if message.data().len() < 4 => vec![("short", "it is too short for any message".to_owned())],
            _ => Vec::new(),
        }
    }

    fn raw(&mut self, message: &BagMessage, image: &ImageView<'_>) -> Vec<(&'static str, String)> {
        let ImageView { encoding, width, height, step, data, .. } = *image;
        match efm_vision::ImageView::new(encoding, width, height, step, data) {
            Ok(_) => {}
            // What is no picture for us may be a good message: depth, mosaics. Only its size is looked at.
            Err(VisionError::Encoding { .. }) => {
                let expected = u64::from(step) * u64::from(height);
                if (data.len() as u64) < expected {
                    return vec![("picture", format!("it carries {} bytes of {expected}", data.len()))];
                }
            }
            Err(error) => return vec![("picture", error.to_string())],
        }
        self.changes(message, encoding, (width, height), data)
    }

    fn compressed(&mut self, message: &BagMessage, image: &CompressedImageView<'_>) -> Vec<(&'static str, String)> {
        let kind = |name: &str| image.format.to_ascii_lowercase().contains(name);
        let known = image.data.starts_with(&[0xff, 0xd8]) || image.data.starts_with(b"\x89PNG");
        let depth = kind("compresseddepth");
        if depth || !known && !kind("jpeg") && !kind("jpg") && !kind("png") {
            return Vec::new();
        }
        let picture = self.pictures.entry(message.topic().to_owned()).or_default();
        let size = match picture.decoder.check(image.format, image.data) {
            Ok(size) => size,
            Err(error) if error.is_damage() => return vec![("picture", error.to_string())],
            // Whole, but of a kind that is not unpacked here.
            Err(_) => return Vec::new(),
        };
        self.changes(message, image.format, size, image.data)
    }

    /// Whether a picture is as those before it where it must be, and another one where it must be.
    fn changes(
        &mut self,
        message: &BagMessage,
        encoding: &str,
        (width, height): (u32, u32),
        data: &[u8],
    ) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        let joints = &self.joints;
        let picture = self.pictures.entry(message.topic().to_owned()).or_default();
        let (before, w, h) = picture.shape.get_or_insert_with(|| (shorten(encoding), width, height));
        if (*w, *h) != (width, height) || *before != shorten(encoding) {
            let now = shorten(encoding);
            wrong.push(("shape", format!("it is {now} {width}x{height}, the first one {before} {w}x{h}")));
        }
        let crc = crc32fast::hash(data);
        if crc != picture.crc || picture.since == Stamp::default() {
            (picture.crc, picture.since, picture.unmoved) = (crc, message.log_time(), None);
            picture.joints.clone_from(joints);
            return wrong;
        }
        let moved = picture.joints.iter().filter_map(|(name, was)| Some((name, (joints.get(name)? - was).abs())));
        let moved = moved.max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((name, by)) = moved.filter(|(_, by)| *by > UNSEEN || picture.unmoved.is_some()) {
            let seen = *picture.unmoved.get_or_insert(message.log_time());
            if message.log_time().seconds_since(seen) < LATE {
                return wrong;
            }
            let span = message.log_time().seconds_since(picture.since);
            wrong.push((
                "frozen",
                format!(
                    "it is the same to the bit as {span:.2} s before, while joint '{}' moved by {by:.2}: a frozen camera",
                    shorten(name)
                ),
            ));
        }
        wrong
    }

    fn state(&mut self, message: &BagMessage, state: &JointState) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        let names = state.name.len();
        for (what, values) in [("position", &state.position), ("velocity", &state.velocity), ("effort", &state.effort)]
        {
            // An empty list means that it is not told, and NaN the same of one joint, but no position.
            if !values.is_empty() && values.len() != names {
                wrong.push(("lengths", format!("it has {} values of {what} for {names} joints", values.len())));
            }
        }
        // What the filter tells of itself has this type too, and NaN for what it does not know.
        let told = message.topic().ends_with("filter_state");
        let mut positions = state.name.iter().zip(&state.position).filter(|_| !told);
        if let Some((name, value)) = positions.find(|(_, value)| !value.is_finite()) {
            wrong.push(("position", format!("the position of joint '{}' is {value}", shorten(name))));
        }
        if message.topic().ends_with("joint_states") {
            for (name, value) in state.name.iter().zip(&state.position) {
                if self.joints.len() < JOINTS || self.joints.contains_key(name) {
                    self.joints.insert(name.clone(), *value);
                }
            }
        }
        wrong
    }
}

/// Looks into a message of a known type, or says why it is none.
fn decoded<'a, M: Decode<'a> + RosType>(
    message: &'a BagMessage,
    look: impl FnOnce(M) -> Vec<(&'static str, String)>,
) -> Vec<(&'static str, String)> {
    match message.decode::<M>() {
        Ok(read) => look(read),
        Err(error) => vec![("bytes", error.to_string())],
    }
}

fn trajectory(path: &Trajectory) -> Vec<(&'static str, String)> {
    let joints = path.joint_names.len();
    let mut wrong = Vec::new();
    for (i, point) in path.points.iter().enumerate() {
        for (what, values) in [
            ("positions", &point.positions),
            ("velocities", &point.velocities),
            ("accelerations", &point.accelerations),
        ] {
            if !values.is_empty() && values.len() != joints {
                wrong.push(("lengths", format!("point {i} has {} {what} for {joints} joints", values.len())));
            }
            if let Some(place) = values.iter().position(|value| !value.is_finite()) {
                let joint = path.joint_names.get(place).map_or_else(|| "?".to_owned(), |name| shorten(name));
                wrong
                    .push(("finite", format!("point {i}: one of its {what} is {}, of joint '{joint}'", values[place])));
            }
        }
    }
    let back = path.points.windows(2).position(|pair| pair[1].time_from_start <= pair[0].time_from_start);
    if let Some(i) = back {
        wrong.push(("times", format!("point {} is not later than the one before it", i + 1)));
    }
    // A message counts once for each kind.
    let mut kinds = Vec::new();
    wrong.retain(|(kind, _)| {
        !kinds.contains(kind) && {
            kinds.push(*kind);
            true
        }
    });
    wrong
}

fn shorten(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}
