//! A bag along time, in as many steps as a picture has columns: joints, chunks, interventions of the safety filter, instructions, cameras.
//!
//! However long the bag is, memory stays at the size of the picture.

use crate::error::BagError;
use crate::inspect::{Expectations, inspect};
use crate::msgs::{CompressedImage, ImageView, JointState, StringMsg};
use crate::reader::{BagMessage, BagReader};
use efm_core::{Stamp, Trajectory};
use std::collections::BTreeMap;
use std::path::Path;

/// Joints, cameras and instructions that are drawn; a bag may name more.
const MAX_JOINTS: usize = 32;
const MAX_CAMERAS: usize = 8;
const MAX_INSTRUCTIONS: usize = 200;
/// Chunks that are drawn one by one; of more, every second, fourth, ...
const MAX_CHUNKS: usize = 1200;
/// Thumbnails of a camera, and pixels of their longer side.
const THUMBNAILS: usize = 10;
const THUMBNAIL: u32 = 92;
/// A stamp that is further from its log time than this, in seconds, is of another clock: then the log time stands for it.
const SAME_CLOCK_S: f64 = 30.0;

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Window {
    /// From so many seconds after the first message on; none: from the beginning.
    pub from_s: Option<f64>,
    /// Until so many seconds after the first message; none: to the end.
    pub to_s: Option<f64>,
}

/// Smallest, largest and last value within a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub low: f64,
    pub high: f64,
    pub last: f64,
}

impl Range {
    fn note(slot: &mut Option<Self>, value: f64) {
        if !value.is_finite() {
            return;
        }
        match slot {
            None => *slot = Some(Self { low: value, high: value, last: value }),
            Some(range) => {
                *range = Self { low: range.low.min(value), high: range.high.max(value), last: value };
            }
        }
    }
}

/// A joint: values by step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Joint {
    pub name: String,
    pub measured: Vec<Option<Range>>,
    pub commanded: Vec<Option<Range>>,
}

/// An action chunk. Seconds after the beginning of the window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Chunk {
    /// When its observation was made.
    pub observed: f64,
    /// When it came.
    pub came: f64,
    /// When its last point is due.
    pub ends: f64,
}

/// What the safety filter did within a step: the worst of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Filtered {
    /// Part of the planned speed that was left, 0 to 1.
    pub rate: f64,
    /// By what it was limited then: a number of `filter_state`.
    pub limited_by: u8,
    /// Whether a plan was refused.
    pub blocked: bool,
    /// Whether motion was not allowed.
    pub disarmed: bool,
}

/// A camera.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Camera {
    pub topic: String,
    pub frames: u64,
    /// Median interval between frames in seconds.
    pub usual_s: f64,
    /// Longest interval that ends in a step, in seconds.
    pub intervals: Vec<Option<f64>>,
    /// Second of the window, width, height, PNG.
    pub thumbnails: Vec<(f64, u32, u32, Vec<u8>)>,
    /// Pauses of more than two and a half intervals: how many, and the longest in seconds.
    pub gaps: u64,
    pub longest_s: f64,
}

/// A bag along time.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    pub(crate) seconds: f64,
    pub(crate) begin: Stamp,
    pub(crate) joints: Vec<Joint>,
    pub(crate) chunks: Vec<Chunk>,
    /// Of how many the chunks are those that are drawn.
    pub(crate) all_chunks: u64,
    /// None where the bag has no `filter_state`.
    pub(crate) filter: Option<Vec<Option<Filtered>>>,
    /// Messages of it in which the arm was slowed down, and all.
    pub(crate) slowed: (u64, u64),
    pub(crate) instructions: Vec<(f64, String)>,
    pub(crate) cameras: Vec<Camera>,
    /// Messages that are not what their type says.
    pub(crate) malformed: u64,
    /// What is wrong with the bag.
    pub(crate) problems: Vec<String>,
}

/// Where seconds are in steps.
#[derive(Clone, Copy)]
struct Steps {
    begin: Stamp,
    seconds: f64,
    count: usize,
}

impl Steps {
    fn second(&self, at: Stamp) -> f64 {
        at.seconds_since(self.begin)
    }

    fn step(&self, second: f64) -> Option<usize> {
        let step = second * self.count as f64 / self.seconds;
        (step >= 0.0 && second <= self.seconds).then(|| (step as usize).min(self.count - 1))
    }
}

impl Timeline {
    /// Reads a bag, twice: what there is, then the values.
    ///
    /// # Errors
    /// When there is no bag, or no message in the window.
    pub fn read(path: &Path, window: &Window, steps: usize) -> Result<Self, BagError> {
        let report = inspect(path, &Expectations::default())?;
        let whole = report.span.1.seconds_since(report.span.0);
        let from = window.from_s.unwrap_or(0.0).clamp(0.0, whole);
        let to = window.to_s.unwrap_or(whole).clamp(0.0, whole);
        if report.topics.is_empty() || from > to {
            return Err(BagError::NothingToDraw(path.to_owned()));
        }
        let begin = report.span.0.offset_seconds(from);
        // A single moment is a picture too.
        let steps = Steps { begin, seconds: (to - from).max(1.0e-3), count: steps.max(1) };
        let cameras = report
            .topics
            .iter()
            .filter(|t| matches!(t.type_name.as_str(), "sensor_msgs/msg/Image" | "sensor_msgs/msg/CompressedImage"))
            .take(MAX_CAMERAS)
            .map(|topic| {
                let camera = Camera {
                    topic: topic.name.clone(),
                    frames: 0,
                    usual_s: topic.intervals.map_or(0.0, |i| i.0),
                    intervals: vec![None; steps.count],
                    thumbnails: Vec::new(),
                    gaps: 0,
                    longest_s: 0.0,
                };
                (topic.name.clone(), (camera, None))
            })
            .collect();
        let mut drawing = Drawing {
            steps,
            joints: Vec::new(),
            places: BTreeMap::new(),
            chunks: Vec::new(),
            all_chunks: 0,
            stride: 1,
            filter: None,
            slowed: (0, 0),
            instructions: Vec::new(),
            cameras,
            malformed: 0,
        };
        let mut reader = BagReader::open(path)?;
        loop {
            match reader.next_message() {
                Ok(Some(message)) => drawing.malformed += u64::from(drawing.see(&message).is_err()),
                Ok(None) => break,
                // The report has it already.
                Err(_) => {}
            }
        }
        Ok(Self {
            seconds: steps.seconds,
            begin,
            joints: drawing.joints,
            chunks: drawing.chunks,
            all_chunks: drawing.all_chunks,
            filter: drawing.filter,
            slowed: drawing.slowed,
            instructions: drawing.instructions,
            cameras: drawing.cameras.into_values().map(|(camera, _)| camera).collect(),
            malformed: drawing.malformed,
            problems: report.problems,
        })
    }
}

struct Drawing {
    steps: Steps,
    joints: Vec<Joint>,
    /// Of joints in their list, by name.
    places: BTreeMap<String, usize>,
    chunks: Vec<Chunk>,
    all_chunks: u64,
    /// One of so many chunks is kept.
    stride: u64,
    filter: Option<Vec<Option<Filtered>>>,
    slowed: (u64, u64),
    instructions: Vec<(f64, String)>,
    /// With the second of the last frame.
    cameras: BTreeMap<String, (Camera, Option<f64>)>,
    malformed: u64,
}

impl Drawing {
    fn see(&mut self, message: &BagMessage) -> Result<(), BagError> {
        let last = message.topic().rsplit('/').next().unwrap_or("");
        match (message.type_name(), last) {
            ("sensor_msgs/msg/JointState", "joint_states") => self.measured(&message.decode()?, message.log_time()),
            ("sensor_msgs/msg/JointState", "filter_state") => self.filtered(&message.decode()?, message.log_time()),
            ("trajectory_msgs/msg/JointTrajectory", "action_chunk") => {
                self.chunk(&message.decode()?, message.log_time())
            }
            ("trajectory_msgs/msg/JointTrajectory", "joint_trajectory") => {
                self.commanded(&message.decode()?, message.log_time());
            }
            ("std_msgs/msg/String", "instruction") => self.instruction(message.decode()?, message.log_time()),
            ("sensor_msgs/msg/Image", _) if self.frame(message.topic(), message.log_time()) => {
                let image: ImageView = message.decode()?;
                self.thumbnail(message, pixels(&image));
            }
            ("sensor_msgs/msg/CompressedImage", _) if self.frame(message.topic(), message.log_time()) => {
                let image: CompressedImage = message.decode()?;
                self.thumbnail(message, uncompressed(&image.data));
            }
            _ => {}
        }
        Ok(())
    }

    /// Second of a stamp, or of the log time where the stamp is of another clock.
    fn second(&self, stamp: Stamp, log: Stamp) -> f64 {
        let near = stamp.seconds_since(log).abs() < SAME_CLOCK_S;
        self.steps.second(if near { stamp } else { log })
    }

    fn joint(&mut self, name: &str) -> Option<&mut Joint> {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None if self.joints.len() >= MAX_JOINTS => return None,
            None => {
                let none = vec![None; self.steps.count];
                self.joints.push(Joint { name: name.to_owned(), measured: none.clone(), commanded: none });
                self.places.insert(name.to_owned(), self.joints.len() - 1);
                self.joints.len() - 1
            }
        };
        self.joints.get_mut(place)
    }

    fn measured(&mut self, state: &JointState, log: Stamp) {
        let second = self.second(state.header.stamp, log);
        let Some(step) = self.steps.step(second) else { return };
        for (name, value) in state.name.iter().zip(&state.position) {
            if let Some(joint) = self.joint(name) {
                Range::note(&mut joint.measured[step], *value);
            }
        }
    }

    /// Of a window that is sent to a controller, its first point: the next window replaces the rest.
    fn commanded(&mut self, window: &Trajectory, log: Stamp) {
        let Some(point) = window.points.first() else { return };
        let second = self.second(window.stamp.offset_nanos(point.time_from_start), log);
        let Some(step) = self.steps.step(second) else { return };
        for (name, value) in window.joint_names.iter().zip(&point.positions) {
            if let Some(joint) = self.joint(name) {
                Range::note(&mut joint.commanded[step], *value);
            }
        }
    }

    fn chunk(&mut self, chunk: &Trajectory, log: Stamp) {
        let (observed, came) = (self.second(chunk.stamp, log), self.steps.second(log));
        let horizon = chunk.points.last().map_or(0, |p| p.time_from_start) as f64 * 1.0e-9;
        let ends = observed + horizon;
        if came < 0.0 || observed > self.steps.seconds || !ends.is_finite() {
            return;
        }
        if self.all_chunks.is_multiple_of(self.stride) {
            self.chunks.push(Chunk { observed, came, ends });
            if self.chunks.len() > MAX_CHUNKS {
                let mut place = 0;
                self.chunks.retain(|_| {
                    place += 1;
                    place % 2 == 1
                });
                self.stride *= 2;
            }
        }
        self.all_chunks += 1;
    }

    fn filtered(&mut self, state: &JointState, log: Stamp) {
        let Some(step) = self.steps.step(self.second(state.header.stamp, log)) else { return };
        let value = |name: &str| {
            let place = state.name.iter().position(|has| has == name)?;
            state.position.get(place).copied().filter(|value| value.is_finite())
        };
        let now = Filtered {
            rate: value("rate").unwrap_or(1.0).clamp(0.0, 1.0),
            limited_by: value("limited_by").unwrap_or(0.0) as u8,
            blocked: value("blocked").is_some_and(|v| v != 0.0),
            disarmed: value("armed") == Some(0.0),
        };
        self.slowed = (self.slowed.0 + u64::from(now.limited_by != 0), self.slowed.1 + 1);
        let count = self.steps.count;
        let slot = &mut self.filter.get_or_insert_with(|| vec![None; count])[step];
        *slot = Some(slot.map_or(now, |before| {
            let worst = if now.rate < before.rate || before.limited_by == 0 { now } else { before };
            Filtered { blocked: now.blocked || before.blocked, disarmed: now.disarmed || before.disarmed, ..worst }
        }));
    }

    fn instruction(&mut self, text: StringMsg, log: Stamp) {
        let second = self.steps.second(log);
        let again = self.instructions.last().is_some_and(|(_, before)| *before == text.data);
        if second > self.steps.seconds || again {
            return;
        }
        if second < 0.0 {
            // What was asked for when the window begins.
            self.instructions.clear();
        }
        if self.instructions.len() < MAX_INSTRUCTIONS {
            self.instructions.push((second.max(0.0), text.data));
        }
    }

    /// Notes a frame; returns whether a thumbnail is due.
    fn frame(&mut self, topic: &str, log: Stamp) -> bool {
        let second = self.steps.second(log);
        let (Some((camera, before)), Some(step)) = (self.cameras.get_mut(topic), self.steps.step(second)) else {
            return false;
        };
        camera.frames += 1;
        if let Some(interval) = before.map(|before| second - before) {
            let slot = &mut camera.intervals[step];
            *slot = Some(slot.map_or(interval, |longest| longest.max(interval)));
            camera.longest_s = camera.longest_s.max(interval);
            camera.gaps += u64::from(interval > 2.5 * camera.usual_s);
        }
        *before = Some(second);
        let due = camera.thumbnails.len() as f64 * self.steps.seconds / THUMBNAILS as f64;
        camera.thumbnails.len() < THUMBNAILS && second >= due
    }

    fn thumbnail(&mut self, message: &BagMessage, image: Option<image::RgbImage>) {
        let Some(image) = image.filter(|image| image.width() > 0 && image.height() > 0) else {
            self.malformed += 1;
            return;
        };
        let scale = f64::from(THUMBNAIL) / f64::from(image.width().max(image.height()));
        let size = |side: u32| ((f64::from(side) * scale.min(1.0)).round() as u32).max(1);
        let small = image::imageops::thumbnail(&image, size(image.width()), size(image.height()));
        let mut png = std::io::Cursor::new(Vec::new());
        let second = self.steps.second(message.log_time());
        if small.write_to(&mut png, image::ImageFormat::Png).is_ok()
            && let Some((camera, _)) = self.cameras.get_mut(message.topic())
        {
            camera.thumbnails.push((second, small.width(), small.height(), png.into_inner()));
        }
    }
}

/// Pixels of an image message; `None` when its sizes do not fit, or its encoding is not one of a picture.
fn pixels(image: &ImageView<'_>) -> Option<image::RgbImage> {
    // More bytes than the rows have are nobody's business here.
    let format = efm_vision::Formats::new().get(image.encoding)?;
    let bytes = usize::try_from(format.byte_rows(image.height).checked_mul(image.step.into())?).ok()?;
    let data = image.data.get(..bytes)?;
    let view = efm_vision::ImageView::with_format(format, image.width, image.height, image.step, data).ok()?;
    let mut rgb = Vec::new();
    // The data bounds the size of what is made here.
    view.with_big_endian(image.is_bigendian != 0).to_rgb8(&mut rgb);
    image::RgbImage::from_raw(image.width, image.height, rgb)
}

/// A JPEG or PNG, unless it becomes too large.
fn uncompressed(data: &[u8]) -> Option<image::RgbImage> {
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(8192);
    limits.max_image_height = Some(8192);
    limits.max_alloc = Some(256 << 20);
    let mut reader = image::ImageReader::new(std::io::Cursor::new(data)).with_guessed_format().ok()?;
    reader.limits(limits);
    Some(reader.decode().ok()?.into_rgb8())
}
