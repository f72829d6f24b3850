//! What cameras and strangers send that means harm, or was damaged: generated, each with its kind. Each is answered in words within bounds of time and
//! memory, and a good one goes through afterwards, in the same process.
//!
//! Messages stop at a node's bound of bytes (`efm_ros::bounds`) before anything reads them; so these are as large as they may be.
#![allow(clippy::unwrap_used)]

#[path = "support/gantry.rs"]
mod gantry;
#[path = "support/graph.rs"]
mod graph;
#[path = "support/meter.rs"]
mod meter;
#[path = "support/scene_writer.rs"]
mod scene_writer;

use efm_app::Failure;
use efm_app::camera::CameraStream;
use efm_app::camera::ingest::{self, Ingest};
use efm_app::goals::GoalDesk;
use efm_app::goals::Status;
use efm_app::goals::arm::{ArmWatch, Line as HealthLine};
use efm_app::goals::intake::{self, Intake};
use efm_app::goals::kept::KeptGoals;
use efm_app::publisher::emergency::KeptStop;
use efm_app::publisher::publishing::{At, Line, Publishing};
use efm_app::publisher::scene_feed::{Outcome, SceneFeed};
use efm_app::publisher::streaming::{Files, Streaming};
use efm_app::publisher::streaming_params;
use efm_app::trace::{Asked, PassedOn};
use efm_config::Params;
use efm_core::freshness::FreshnessBounds;
use efm_core::{ActionChunk, Level, SenderId, Stamp, Trajectory, TrajectoryPoint};
use efm_vision::ResizeMode;
use efm_wire::cdr::{CdrWriter, Encode};
use efm_wire::msgs::{CompressedImage, Header, Image};
use gantry::{MS, at};
use graph::Graph;
use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use meter::{Dice, Meter};
use scene_writer::{Object, Scene};
use serde_json::json;
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};
use std::io::Cursor;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

// ---- 7: pictures

const SECOND: i64 = 1_000_000_000;
const CAMERA: SenderId = SenderId([1; 16]);
const OTHER: SenderId = SenderId([2; 16]);
const WIDTH: usize = 96;
const HEIGHT: usize = 72;

/// Where a camera's pictures go.
#[derive(Default)]
struct Lens {
    now: i64,
    passed: usize,
    said: Vec<String>,
}

impl ingest::Host for Lens {
    fn now(&self) -> Stamp {
        Stamp::from_nanos(self.now)
    }

    fn pass_on(&mut self, picture: &Image) -> Result<(), Failure> {
        assert_eq!(picture.data.len(), 32 * 24 * 3);
        self.said.push(picture.header.frame_id.clone());
        self.passed += 1;
        Ok(())
    }

    fn notes(&self) -> bool {
        false
    }

    fn note(&mut self, _: &PassedOn<'_>) {}

    fn report(&mut self, _: Level, text: String, values: Vec<(String, String)>) {
        self.said.push(text);
        self.said.extend(values.into_iter().map(|(_, value)| value));
    }

    fn log(&mut self, _: log::Level, line: &str) {
        self.said.push(line.to_owned());
    }
}

/// What a camera shows at a moment: some noise, and something that moves.
fn scene(number: usize, channels: usize) -> Vec<u8> {
    let mut dice = Dice(number as u64 + 9);
    let mut pixels = Vec::with_capacity(WIDTH * HEIGHT * channels);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            for c in 0..channels {
                let block = if (x / 24 + y / 20) % 2 == 0 { 60 } else { 0 };
                let moving = (10 + number % 60..20 + number % 60).contains(&x) && (30..50).contains(&y);
                let base = if moving { 200 } else { 40 + x * 100 / WIDTH + y * (20 + 10 * c) / HEIGHT + block };
                pixels.push((base + dice.roll(5)) as u8);
            }
        }
    }
    pixels
}

fn jpeg(number: usize, colours: ColorType, progressive: bool, restart: u16) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 85);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_progressive(progressive);
    encoder.set_restart_interval(restart);
    let channels = match colours {
        ColorType::Luma => 1,
        ColorType::Cmyk => 4,
        _ => 3,
    };
    encoder.encode(&scene(number, channels), WIDTH as u16, HEIGHT as u16, colours).unwrap();
    file
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn png(number: usize) -> Vec<u8> {
    let picture = RgbImage::from_raw(WIDTH as u32, HEIGHT as u32, scene(number, 3)).unwrap();
    encoded(picture, ImageFormat::Png)
}

fn raw(number: usize) -> Image {
    let (width, height) = (WIDTH as u32, HEIGHT as u32);
    let encoding = "rgb8".into();
    Image { encoding, width, height, step: width * 3, data: scene(number, 3), ..Image::default() }
}

/// Where the frame of a JPEG is told: marker, length, precision, height, width.
fn frame_of(file: &[u8]) -> usize {
    file.windows(2).position(|pair| matches!(pair, [0xff, 0xc0 | 0xc2])).unwrap()
}

/// Where the data of its scan begin.
fn scan_of(file: &[u8]) -> usize {
    let at = file.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    at + 2 + usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]))
}

/// A chunk of a PNG, with its checksum right.
fn png_chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in kind.iter().chain(data) {
        crc ^= u32::from(*byte);
        (0..8).for_each(|_| crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()));
    }
    [&(data.len() as u32).to_be_bytes(), kind, data, &(!crc).to_be_bytes()].concat()
}

/// A damaged or absurd file: its kind, what its message says that it is, and whether it must not be passed on.
fn spoilt_file(kind: usize, number: usize, dice: &mut Dice) -> (&'static str, String, Vec<u8>, bool) {
    let whole = match dice.roll(4) {
        0 => jpeg(number, ColorType::Rgb, true, 0),
        1 => jpeg(number, ColorType::Rgb, false, 5),
        _ => jpeg(number, ColorType::Rgb, false, 0),
    };
    let begin = scan_of(&whole);
    let within = |dice: &mut Dice| begin + dice.roll(whole.len() - 2 - begin);
    let jpeg_text = || "jpeg".to_owned();
    match kind {
        0 => ("JPEG cut", jpeg_text(), whole[..1 + dice.roll(whole.len() - 1)].to_vec(), true),
        1 => {
            let cut = within(dice);
            ("JPEG cut and closed", jpeg_text(), [&whole[..cut], &[0xff, 0xd9]].concat(), true)
        }
        2 => {
            let mut file = whole.clone();
            (0..20).for_each(|_| {
                let at = within(dice);
                file[at] ^= 1 << dice.roll(8);
            });
            // What hits values only is not seen; see `efm_vision`'s own tests for how rare that is.
            ("JPEG, bits flipped", jpeg_text(), file, false)
        }
        3 => {
            let (mut file, at) = (whole.clone(), frame_of(&whole) + 5);
            let (height, width) =
                dice.of(&[(144u16, 96u16), (72, 192), (36, 96), (65_535, 65_535), (0, 96), (72, 0), (8192, 8192)]);
            file[at..at + 2].copy_from_slice(&height.to_be_bytes());
            file[at + 2..at + 4].copy_from_slice(&width.to_be_bytes());
            ("JPEG, header of another size", jpeg_text(), file, true)
        }
        4 => ("JPEG, CMYK", jpeg_text(), jpeg(number, ColorType::Cmyk, dice.roll(2) == 0, 0), true),
        5 => {
            let (mut file, at) = (whole.clone(), frame_of(&whole) + 4);
            file[at] = dice.of(&[12, 16, 0, 255]);
            ("JPEG of 12 bits", jpeg_text(), file, true)
        }
        6 => {
            // The same scan again and again.
            let file = jpeg(number, ColorType::Rgb, true, 0);
            let at = file.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
            let scan = &file[at..file.len() - 2];
            ("JPEG of many scans", jpeg_text(), [&file[..at], &scan.repeat(3000), &[0xff, 0xd9]].concat(), true)
        }
        7 => ("JPEG, grey", jpeg_text(), jpeg(number, ColorType::Luma, false, 0), true),
        8 => {
            let mut file = whole[..2].to_vec();
            (0..500).for_each(|_| file.extend([&[0xff, 0xe1, 0xff, 0xff][..], &[7; 65_533]].concat()));
            file.extend(&whole[2..]);
            ("JPEG with 32 MB of comments", jpeg_text(), file, false)
        }
        9 => {
            let file = png(number);
            ("PNG cut", "png".into(), file[..9 + dice.roll(file.len() - 10)].to_vec(), true)
        }
        10 => {
            let mut file = png(number);
            let at = 29 + dice.roll(file.len() - 50);
            file[at] ^= 1 << dice.roll(8);
            ("PNG, a bit flipped", "png".into(), file, true)
        }
        11 => {
            let (width, height) = dice.of(&[(u32::MAX, 1u32), (8192, 8192), (0, 0), (65_535, 65_535), (7000, 7000)]);
            let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
            let zeros = encoded(GrayImage::new(64, 64), ImageFormat::Png);
            let data = &zeros[33..];
            ("PNG of another size", "png".into(), [&zeros[..8], &png_chunk(b"IHDR", &header), data].concat(), true)
        }
        12 => {
            // Unpacked a thousand times as large as it is.
            let side = 4000;
            ("PNG bomb", "png".into(), encoded(GrayImage::new(side, side), ImageFormat::Png), true)
        }
        13 => {
            let deep: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(96, 72, Luma([7000]));
            ("PNG of 16 bits", "png".into(), encoded(deep, ImageFormat::Png), true)
        }
        14 => {
            let file = png(number);
            let text = png_chunk(b"zTXt", &[&b"a\0\0"[..], &vec![0x5a; 30 << 20]].concat());
            ("PNG with 30 MB of text", "png".into(), [&file[..33], &text, &file[33..]].concat(), false)
        }
        15 => {
            let bytes = (0..dice.roll(1 << 20)).map(|_| dice.roll(256) as u8).collect();
            ("any bytes", dice.of(&["jpeg", "png", "", "rgb8; jpeg compressed bgr8"]).to_owned(), bytes, true)
        }
        16 => {
            let begin =
                dice.of(&[&b"GIF89a"[..], b"RIFF", b"BM", b"II*\0", b"MM\0*", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]);
            ("only the beginning of a file", "jpeg".into(), begin.repeat(1 + dice.roll(3)), true)
        }
        17 => {
            let format = dice.of(&["\u{202e}gepj", "jpeg\0", "\u{1b}[2Jjpeg", "16UC1; compressedDepth png"]);
            let format = if dice.roll(2) == 0 { "f".repeat(20 << 20) } else { format.to_owned() };
            ("a format that is none", format, whole[..whole.len() / 2].to_vec(), true)
        }
        _ => {
            let mut file = whole.clone();
            // A table of codes, or of quantization, that is none.
            let at = file.windows(2).position(|pair| pair == dice.of(&[[0xff, 0xc4], [0xff, 0xdb]])).unwrap();
            file[at + 2..at + 4].copy_from_slice(&dice.of(&[[0u8, 0], [0, 2], [0xff, 0xff], [0, 5]]));
            ("JPEG, tables of another length", jpeg_text(), file, true)
        }
    }
}
const FILES: usize = 19;

/// A raw picture that is none, or not the camera's.
fn spoilt_raw(kind: usize, number: usize, dice: &mut Dice) -> (&'static str, Image, bool) {
    let mut picture = raw(number);
    match kind {
        0 => {
            picture.data.truncate(dice.roll(picture.data.len()));
            ("raw, cut", picture, true)
        }
        1 => {
            (picture.width, picture.height, picture.step) = dice.of(&[
                (u32::MAX, u32::MAX, u32::MAX),
                (1 << 20, 1 << 20, 3 << 20),
                (0, 72, 0),
                (96, 0, 288),
                (96, 144, 288),
            ]);
            ("raw, absurd size", picture, true)
        }
        2 => {
            picture.step = dice.of(&[0, 1, 287, u32::MAX, 1 << 31]);
            ("raw, wrong step", picture, true)
        }
        3 => {
            let strange =
                ["rgb9", "", "bayer_rggb32", "\u{202e}8bgr", "rgb8\0", "16UC9", "mono8", "32FC1", "yuv420", "8UC4"];
            picture.encoding = dice.of(&strange).to_owned();
            ("raw, wrong encoding", picture, true)
        }
        4 => {
            picture.encoding = "e".repeat(30 << 20);
            ("raw, endless encoding", picture, true)
        }
        5 => {
            (picture.encoding, picture.step) = ("mono8".into(), 96);
            picture.data = scene(number, 1);
            ("raw, grey", picture, true)
        }
        6 => {
            picture.header.frame_id = if dice.roll(2) == 0 {
                "f".repeat(30 << 20)
            } else {
                dice.of(&["\u{202e}tnorf", "a\u{1b}[2J", "a\nb"]).to_owned()
            };
            ("raw, a frame that is no name", picture, true)
        }
        _ => {
            // As large as a picture may be.
            let side = 4600;
            (picture.width, picture.height, picture.step) = (side, side, side * 3);
            picture.data = vec![7; (side * side * 3) as usize];
            ("raw, 64 MB", picture, true)
        }
    }
}
const RAWS: usize = 8;

/// A camera under fire.
struct Shooting {
    ingest: Ingest,
    lens: Lens,
    compressed: bool,
    number: usize,
}

impl Shooting {
    fn new(compressed: bool) -> Self {
        let bounds = FreshnessBounds { max_silence: 1.0, max_age: 1.0, max_future: 0.05 };
        let stream = CameraStream::new("front", 32, 24, ResizeMode::Stretch, bounds).unwrap();
        let lens = Lens { now: 5 * SECOND, ..Lens::default() };
        let mut this = Self { ingest: Ingest::new(stream, compressed, 0.0), lens, compressed, number: 0 };
        (0..8).for_each(|_| assert!(this.good(), "{:?}", this.lens.said));
        this
    }

    /// Shows a message 33 ms later. Whether it was passed on.
    fn show(&mut self, message: &[u8], sender: SenderId) -> bool {
        let before = self.lens.passed;
        let now = Stamp::from_nanos(self.lens.now);
        self.ingest.on_message(&mut self.lens, message, sender, now).unwrap();
        self.lens.now += 33 * MS;
        self.lens.passed > before
    }

    fn header(&self) -> Header {
        Header::new(Stamp::from_nanos(self.lens.now), "lens")
    }

    fn file(&mut self, format: &str, data: Vec<u8>) -> Vec<u8> {
        CompressedImage { header: self.header(), format: format.to_owned(), data }.to_cdr()
    }

    fn good_message(&mut self) -> Vec<u8> {
        self.number += 1;
        if self.compressed {
            let data = jpeg(self.number, ColorType::Rgb, false, 0);
            return self.file("jpeg", data);
        }
        Image { header: self.header(), ..raw(self.number) }.to_cdr()
    }

    fn good(&mut self) -> bool {
        let message = self.good_message();
        self.show(&message, CAMERA)
    }

    /// Good ones come until they are passed on: somebody else may have spoken a moment ago.
    fn recovers(&mut self) -> bool {
        (0..60).any(|_| self.good()) && (0..5).all(|_| self.good())
    }
}

fn pictures(meter: &mut Meter, rounds: usize) {
    let mut dice = Dice(7);
    let (mut files, mut raws) = (Shooting::new(true), Shooting::new(false));
    for round in 0..rounds {
        for kind in 0..FILES {
            let (what, format, data, refused) = spoilt_file(kind, files.number + 1, &mut dice);
            let message = files.file(&format, data);
            meter.case(7, what, || {
                let passed = files.show(&message, CAMERA);
                let said = std::mem::take(&mut files.lens.said);
                if passed && refused { Err(format!("is passed on ({round})")) } else { Ok(said) }
            });
            meter.holds(what, files.recovers());
        }
        for kind in 0..RAWS {
            let (what, mut picture, refused) = spoilt_raw(kind, raws.number + 1, &mut dice);
            picture.header.stamp = raws.header().stamp;
            if picture.header.frame_id.is_empty() {
                picture.header.frame_id = "lens".into();
            }
            let message = picture.to_cdr();
            meter.case(7, what, || {
                let passed = raws.show(&message, CAMERA);
                let said = std::mem::take(&mut raws.lens.said);
                if passed && refused { Err(format!("is passed on ({round})")) } else { Ok(said) }
            });
            meter.holds(what, raws.recovers());
        }
        for camera in [&mut files, &mut raws] {
            // The message itself is cut, or its counts are another's.
            let mut message = camera.good_message();
            let what = dice.of(&["a message that is cut", "a message with other bytes", "a message of nothing"]);
            match what {
                "a message that is cut" => message.truncate(dice.roll(message.len())),
                "a message of nothing" => message.clear(),
                _ => {
                    let at = dice.roll(60.min(message.len()));
                    message[at] = dice.of(&[0xff, 0x7f, 0x80]);
                }
            }
            meter.case(7, what, || {
                camera.show(&message, CAMERA);
                Ok(std::mem::take(&mut camera.lens.said))
            });
            meter.holds(what, camera.recovers());
            let what = "two cameras in turns";
            meter.case(7, what, || {
                let mut passed = 0;
                for k in 0..30 {
                    let message = camera.good_message();
                    passed += usize::from(camera.show(&message, if k % 2 == 0 { OTHER } else { CAMERA }));
                }
                let said = std::mem::take(&mut camera.lens.said);
                if passed > 4 { Err(format!("{passed} of 30 are passed on")) } else { Ok(said) }
            });
            camera.lens.now += 2 * SECOND;
            meter.holds(what, camera.recovers());
        }
    }
}

// ---- 13: messages

const POLICY: SenderId = SenderId([3; 16]);
const DRIVER: SenderId = SenderId([4; 16]);
const STRANGER: SenderId = SenderId([5; 16]);
/// What nodes read at most: `efm_ros::bounds`.
const WORDS: usize = 64 << 10;
const MESSAGE: usize = 1 << 20;
const DESCRIPTION: usize = 16 << 20;
const SCENE: usize = 16 << 20;

/// A text that nobody should say, of so many bytes at most.
fn text(kind: usize, most: usize, dice: &mut Dice) -> (&'static str, String) {
    let fill = |piece: &str| piece.repeat(most / piece.len());
    match kind {
        0 => ("endless words", fill("pick the red cube ")),
        1 => ("zero bytes", fill("\0")),
        2 => ("marks of direction", fill("\u{202e}pick\u{2066}")),
        3 => ("what does not show", fill("\u{200b}\u{feff}")),
        4 => ("marks upon marks", format!("e{}", "\u{301}".repeat(most / 2 - 1))),
        5 => ("ends of lines", fill("\n")),
        6 => ("escapes of terminals", fill("\u{1b}[2J")),
        7 => ("brackets in brackets", fill("[")),
        8 => ("objects in objects", fill("{\"instruction\":")),
        9 => ("one endless word", fill("a")),
        10 => ("signs of every alphabet", fill("\u{10ffff}\u{1f600}ж中")),
        11 => ("negations", fill("don't ")),
        12 => ("spaces", fill(" ")),
        13 => {
            let number = dice.of(&["1e400", "-0", "NaN", "99999999999999999999999999"]);
            (
                "numbers that are none",
                format!("{{\"instruction\": \"pick\", \"success\": {number}, \"time\": {number}}}"),
            )
        }
        14 => (
            "twice the same key",
            format!("{{{}\"instruction\": \"b\"}}", "\"instruction\": \"a\", ".repeat(most / 30)),
        ),
        15 => ("a mark of byte order", "\u{feff}pick the red cube".to_owned()),
        16 => ("apostrophes", fill("'")),
        17 => ("stop, and stop again", fill("stop stop stop, ")),
        _ => ("alternating letters", fill("аa")),
    }
}
const TEXTS: usize = 19;

#[derive(Default)]
struct Desk {
    now: i64,
    said: Vec<String>,
    active: bool,
}

impl intake::Host for Desk {
    fn now(&self) -> Stamp {
        Stamp::from_nanos(self.now)
    }

    fn steady(&self) -> Stamp {
        Stamp::from_nanos(self.now)
    }

    fn note(&mut self, event: &Asked<'_>) {
        let noted = serde_json::to_string(event).unwrap();
        assert!(noted.len() < 2 * WORDS, "{} bytes", noted.len());
    }

    fn instruct(&mut self, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    fn tell(&mut self, status: &Status) -> Result<(), Failure> {
        self.active = status.state == "active";
        self.said.push(status.json());
        Ok(())
    }

    fn report(&mut self, _: Level, text: String, values: Vec<(String, String)>) {
        self.said.push(text);
        self.said.extend(values.into_iter().map(|(_, value)| value));
    }

    fn log(&mut self, level: log::Level, line: &str) {
        if level < log::Level::Debug {
            self.said.push(line.to_owned());
        }
    }
}

fn goals(meter: &mut Meter) {
    let mut dice = Dice(13);
    let mut intake = Intake::new(GoalDesk::new(60.0), KeptGoals::default(), ArmWatch::beside("/goal_intake"));
    let mut desk = Desk { now: SECOND, ..Desk::default() };
    for kind in 0..TEXTS {
        let (what, said) = text(kind, WORDS - 100, &mut dice);
        for topic in ["goal", "task_status", "/diagnostics"] {
            meter.case(13, &format!("{topic}: {what}"), || {
                desk.now += SECOND;
                let received = Stamp::from_nanos(desk.now);
                match topic {
                    "goal" => intake.on_goal(&mut desk, &said).unwrap(),
                    "task_status" => intake.on_task_status(&mut desk, &said, received).unwrap(),
                    _ => {
                        let name = dice.of(&["trajectory_publisher: motion", said.as_str()]);
                        let line = HealthLine { name, level: 2, message: &said, code: &said, remedy: &said };
                        intake.on_health(line);
                    }
                }
                (0..10).for_each(|_| intake.every_tenth(&mut desk).unwrap());
                intake.tick(&mut desk).unwrap();
                Ok(std::mem::take(&mut desk.said))
            });
            let fine = |name| HealthLine { name, level: 0, message: "fine", code: "at_rest", remedy: "" };
            intake.on_health(fine("trajectory_publisher: motion"));
            intake.cancel(&mut desk).unwrap();
            intake.on_goal(&mut desk, "pick the red cube").unwrap();
            (0..10).for_each(|_| intake.every_tenth(&mut desk).unwrap());
            meter.holds(&format!("{topic}: {what}"), desk.active);
            desk.said.clear();
        }
    }
}

const READY: [f64; 8] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4, 0.035];

fn file(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// An arm under fire.
struct Arm {
    publisher: Publishing,
    graph: Graph,
    joints: Vec<String>,
    outcomes: UnboundedReceiver<Outcome>,
}

impl Arm {
    fn new() -> Self {
        let arm: Vec<String> = (1..=7).map(|i| format!("panda_joint{i}")).collect();
        let parameters = json!({
            "joint_limits_file": "limits.yaml", "controllers.arm": arm, "controllers.hand": ["panda_finger_joint1"],
            "gripper_joints": ["panda_finger_joint1"], "armed_at_start": true, "obstacles_file": "cell.yaml",
        });
        let params =
            Params::from_json(streaming_params::specs(), &serde_json::from_value(parameters).unwrap()).unwrap();
        let files = Files {
            joint_limits: file("config/joint_limits.yaml"),
            obstacles: Some(file("config/panda_obstacles.yaml")),
            semantics: None,
        };
        let streaming = Streaming::new(&params, &files).unwrap();
        let (feed, outcomes) = SceneFeed::start();
        let graph = Graph { now: 1_000_000 * MS, start: READY.to_vec(), listening: vec![true; 2], ..Graph::default() };
        let joints = streaming.joints().as_slice().to_vec();
        let publisher = Publishing::new(streaming, &params, at(graph.now), KeptStop::default(), false, Some(feed));
        let mut this = Self { publisher, graph, joints, outcomes };
        this.well_described();
        this.wait(60);
        this
    }

    fn well_described(&mut self) {
        let now = at(self.graph.now);
        self.publisher.on_semantics(&mut self.graph, now, &file("urdf/panda.srdf"), DRIVER).unwrap();
        let now = at(self.graph.now);
        self.publisher.on_description(&mut self.graph, now, &file("urdf/panda.urdf"), DRIVER).unwrap();
        self.put_together(0);
    }

    /// Takes over what the thread of the planning scene makes: so much at least, and what else comes.
    fn put_together(&mut self, mut at_least: usize) {
        let until = Instant::now() + Duration::from_secs(120);
        let mut quiet = 0;
        while (quiet < 5 || at_least > 0) && Instant::now() < until {
            match self.outcomes.try_recv() {
                Ok(outcome) => {
                    let now = at(self.graph.now);
                    self.publisher.on_surroundings(&mut self.graph, now, outcome).unwrap();
                    (quiet, at_least) = (0, at_least.saturating_sub(1));
                }
                Err(_) => {
                    // Whether something is still to come is told by what is said of it.
                    let waits = self.surroundings().contains("being put together");
                    quiet = if waits { 0 } else { quiet + 1 };
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            let now = at(self.graph.now);
            self.publisher.every_tenth(&mut self.graph, now).unwrap();
        }
    }

    fn surroundings(&self) -> String {
        let line = self.graph.lines.iter().rev().find(|(line, _)| *line == Line::Surroundings);
        line.map_or_else(String::new, |(_, said)| said.1.clone())
    }

    fn hear(&mut self, sender: SenderId, names: &[String], positions: &[f64]) {
        let (stamp, received) = (Stamp::from_nanos(self.graph.now), at(self.graph.now).received);
        self.publisher.on_joint_states(sender, stamp, names, positions, &vec![0.0; positions.len()], received);
    }

    /// Where it is now.
    fn tell(&mut self) {
        let (joints, mut place) = (self.joints.clone(), self.graph.place());
        place.truncate(joints.len());
        self.hear(DRIVER, &joints, &place);
    }

    /// So many ticks of 10 ms.
    fn wait(&mut self, ticks: usize) {
        for k in 0..ticks {
            self.graph.now += 10 * MS;
            self.tell();
            let now = at(self.graph.now);
            self.publisher.tick(&mut self.graph, now).unwrap();
            if k % 10 == 9 || k + 1 == ticks {
                self.publisher.every_tenth(&mut self.graph, now).unwrap();
            }
        }
    }

    fn chunk(&mut self, change: impl FnOnce(&mut Trajectory)) {
        let from = self.graph.place();
        let point = |k: i64| {
            let mut positions = from.clone();
            positions[6] += 0.05 * 0.02 * (k + 1) as f64 * if self.graph.now / SECOND % 2 == 0 { 1.0 } else { -1.0 };
            TrajectoryPoint { positions, time_from_start: 20 * MS * (k + 1), ..TrajectoryPoint::default() }
        };
        let mut chunk = Trajectory {
            stamp: Stamp::from_nanos(self.graph.now - 10 * MS),
            joint_names: self.joints.clone(),
            points: (0..30).map(point).collect(),
            ..Trajectory::default()
        };
        change(&mut chunk);
        let now = at(self.graph.now);
        let _ = self.publisher.on_chunk(&mut self.graph, now, &chunk, POLICY);
    }

    /// Told disarmed and at rest, so that it is looked at, and for long enough that it was.
    fn is_told_at_rest(&mut self, tell: impl FnOnce(&mut Publishing, &mut Graph, At)) {
        let now = at(self.graph.now);
        let _ = self.publisher.arm(&mut self.graph, now, false);
        self.wait(3);
        let now = at(self.graph.now);
        tell(&mut self.publisher, &mut self.graph, now);
        self.wait(12);
        self.put_together(0);
    }

    /// What was said since.
    fn said(&mut self) -> Vec<String> {
        self.graph.events.clear();
        let lines = std::mem::take(&mut self.graph.lines).into_iter();
        lines.flat_map(|(_, (_, text, values))| std::iter::once(text).chain(values.into_values())).collect()
    }

    /// Whether it still moves, once it is told that all is well.
    fn moves(&mut self) -> bool {
        self.graph.now += 3 * SECOND;
        self.wait(120);
        let now = at(self.graph.now);
        let _ = self.publisher.arm(&mut self.graph, now, false);
        self.wait(2);
        self.well_described();
        self.scene(Scene::default().to_cdr());
        self.wait(5);
        let now = at(self.graph.now);
        let _ = self.publisher.resume(&mut self.graph);
        let _ = self.publisher.arm(&mut self.graph, now, true);
        self.wait(60);
        let (from, sent) = (self.graph.place()[6], self.graph.sent);
        for _ in 0..4 {
            self.chunk(|_| {});
            self.wait(10);
        }
        let moved = (self.graph.place()[6] - from).abs() > 1e-3 && self.graph.sent > sent;
        if !moved {
            for (line, said) in self.graph.lines.iter().rev().take(6) {
                println!("{line:?}: {said:?}");
            }
        }
        self.said();
        moved
    }

    fn scene(&mut self, bytes: Vec<u8>) {
        self.tell();
        let now = at(self.graph.now);
        self.publisher.on_scene(&mut self.graph, now, bytes).unwrap();
        let now = at(self.graph.now);
        self.publisher.every_tenth(&mut self.graph, now).unwrap();
        self.put_together(1);
    }
}

/// A name that is none.
fn name(dice: &mut Dice) -> String {
    match dice.roll(6) {
        0 => "n".repeat(MESSAGE / 4),
        1 => "panda\u{202e}1tnioj".to_owned(),
        2 => "a\0b".to_owned(),
        3 => "\u{1b}[2J".to_owned(),
        4 => String::new(),
        _ => "\u{200b}panda_joint1".to_owned(),
    }
}

fn joint_states(meter: &mut Meter, arm: &mut Arm, dice: &mut Dice) {
    for kind in 0..10 {
        let joints = arm.joints.clone();
        let (what, names, positions) = match kind {
            0 => ("a hundred thousand joints", (0..100_000).map(|k| format!("j{k}")).collect(), vec![0.1; 100_000]),
            1 => ("the same joint again and again", vec![joints[0].clone(); 60_000], vec![0.1; 60_000]),
            2 => ("joints without a name", vec![String::new(); 100_000], vec![0.1; 100_000]),
            3 => ("a name that is none", [name(dice)].into_iter().chain(joints).collect(), vec![0.1; 9]),
            4 => ("positions that are none", joints, vec![dice.of(&[f64::NAN, f64::INFINITY, 1e300, -1e300]); 8]),
            5 => ("fewer positions than names", joints, vec![0.1; dice.roll(7)]),
            6 => ("more positions than names", joints, vec![0.1; 130_000]),
            7 => ("nothing", Vec::new(), Vec::new()),
            8 => ("names and no positions", vec![name(dice); 3], Vec::new()),
            _ => ("somewhere else", joints, READY.map(|q| q + 0.5).to_vec()),
        };
        let what = format!("joint_states: {what}");
        meter.case(13, &what, || {
            for k in 0..20 {
                arm.graph.now += 10 * MS;
                arm.hear(if k % 2 == 0 { STRANGER } else { DRIVER }, &names, &positions);
                let now = at(arm.graph.now);
                arm.publisher.tick(&mut arm.graph, now).unwrap();
                if k % 10 == 9 {
                    arm.publisher.every_tenth(&mut arm.graph, now).unwrap();
                }
            }
            Ok(arm.said())
        });
        meter.holds(&what, arm.moves());
    }
}

fn chunks(meter: &mut Meter, arm: &mut Arm, dice: &mut Dice) {
    for kind in 0..14 {
        let what = [
            "a hundred thousand points",
            "a hundred thousand joints",
            "names that are none",
            "positions that are none",
            "times that are none",
            "no points",
            "points of other sizes",
            "a stamp of the future",
            "a stamp of nothing",
            "the same joint twice",
            "a frame without an end",
            "speeds that are none",
            "as many points as are taken where it stands, a millisecond apart",
            "a point more than are taken",
        ][kind];
        let what = format!("action_chunk: {what}");
        meter.case(13, &what, || {
            for _ in 0..4 {
                let (strange, value) = (name(dice), dice.of(&[f64::NAN, f64::INFINITY, 1e300, -1e9]));
                let time = dice.of(&[i64::MIN, i64::MAX, -1, 0]);
                arm.chunk(|chunk| match kind {
                    0 => {
                        let first = chunk.points[0].clone();
                        chunk.points = (0..100_000)
                            .map(|k| TrajectoryPoint { time_from_start: 20 * MS * (k + 1), ..first.clone() })
                            .collect();
                    }
                    1 => {
                        chunk.joint_names = (0..100_000).map(|k| format!("j{k}")).collect();
                        chunk.points.iter_mut().for_each(|point| point.positions = vec![0.1; 100_000]);
                    }
                    2 => chunk.joint_names[2] = strange,
                    3 => chunk.points[3].positions[1] = value,
                    4 => chunk.points[3].time_from_start = time,
                    5 => chunk.points.clear(),
                    6 => chunk.points[4].positions.truncate(2),
                    7 => chunk.stamp = Stamp::from_nanos(i64::MAX),
                    8 => chunk.stamp = Stamp::ZERO,
                    9 => chunk.joint_names[1] = chunk.joint_names[0].clone(),
                    10 => chunk.frame_id = "f".repeat(4 << 20),
                    11 => chunk.points[3].velocities = vec![value; 8],
                    _ => {
                        let first = chunk.points[0].clone();
                        let point = |k: i64| TrajectoryPoint { time_from_start: MS * (k + 1), ..first.clone() };
                        let most = ActionChunk::MOST_ROWS as i64;
                        chunk.points = (0..most + i64::from(kind == 13)).map(point).collect();
                    }
                });
                arm.wait(5);
            }
            Ok(arm.said())
        });
        meter.holds(&what, arm.moves());
    }
}

fn descriptions(meter: &mut Meter, arm: &mut Arm, dice: &mut Dice) {
    let good = file("urdf/panda.urdf");
    let chain = |count: usize| -> String {
        let joint = |k| {
            format!(
                "<link name='l{k}'/><joint name='j{k}' type='revolute'><parent link='l{k}'/><child link='l{}'/><axis xyz='0 0 1'/>\
                 <limit lower='-1' upper='1' velocity='1' effort='1'/></joint>",
                k + 1
            )
        };
        format!("<robot name='r'><link name='l{count}'/>{}</robot>", (0..count).map(joint).collect::<String>())
    };
    let entities = (0..20).fold("<!DOCTYPE r [<!ENTITY a0 'aaaaaaaaaa'>".to_owned(), |text, k| {
        format!("{text}<!ENTITY a{} '{}'>", k + 1, format!("&a{k};").repeat(10))
    }) + "]><robot name='&a20;'/>";
    let external = "<!DOCTYPE r [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><robot name='&x;'/>".to_owned();
    let collision = |inner: &str| {
        good.replacen("</link>", &format!("<collision><geometry>{inner}</geometry></collision></link>"), 1)
    };
    let first_limit = |of: &str, to: &str| {
        let at = good.find(of).unwrap();
        let end = at + of.len() + good[at + of.len()..].find('"').unwrap();
        format!("{}{of}{to}{}", &good[..at], &good[end..])
    };
    let all: Vec<(&str, String)> = vec![
        ("brackets", "<".repeat(DESCRIPTION - 100)),
        ("a hundred thousand joints", chain(100_000)),
        ("a thousand joints", chain(999)),
        ("elements in elements", format!("{}{}", "<robot>".repeat(100_000), "</robot>".repeat(100_000))),
        ("entities of entities", entities),
        ("an entity of a file", external),
        ("zero bytes", good.replacen("panda_joint1", "panda\0joint1", 1)),
        ("a name that shows as another", good.replacen("panda_joint1", "panda\u{202e}1tnioj", 1)),
        ("an endless name", good.replacen("panda_joint1", &"n".repeat(10 << 20), 1)),
        ("a limit that is no number", first_limit("upper=\"", dice.of(&["NaN", "inf", "1e400", "", "0x10", "1,5"]))),
        ("a velocity that is no number", first_limit("velocity=\"", dice.of(&["NaN", "inf", "1e400", "-1", "1e308"]))),
        ("a mark of byte order", format!("\u{feff}{good}")),
        ("half of it", good[..good.len() / 2].to_owned()),
        ("a mesh without an end", collision("<mesh filename='file:///dev/zero'/>")),
        ("a mesh outside", collision("<mesh filename='package://../../../../etc/passwd'/>")),
        ("a box that is none", collision("<box size='1e400 NaN -1'/>")),
        ("a sphere as large as the world", collision("<sphere radius='1e300'/>")),
        (
            "two thousand boxes",
            collision(&"<box size='0.1 0.1 0.1'/></geometry></collision><collision><geometry>".repeat(2000)),
        ),
        (
            "attributes without an end",
            format!("<robot {}/>", (0..100_000).map(|k| format!("a{k}='1' ")).collect::<String>()),
        ),
        ("a circle of joints", {
            let joint = |name: &str, a: &str, b: &str| {
                format!("<joint name='{name}' type='fixed'><parent link='{a}'/><child link='{b}'/></joint>")
            };
            format!(
                "<robot name='r'><link name='a'/><link name='b'/>{}{}</robot>",
                joint("x", "a", "b"),
                joint("y", "b", "a")
            )
        }),
        ("nothing", String::new()),
    ];
    for (what, urdf) in all {
        let what = format!("robot_description: {what}");
        meter.case(13, &what, || {
            arm.is_told_at_rest(|publisher, graph, now| publisher.on_description(graph, now, &urdf, STRANGER).unwrap());
            Ok(arm.said())
        });
        meter.holds(&what, arm.moves());
    }
    let group = |k: usize, inner: &str| format!("<group name='g{k}'>{inner}</group>");
    let srdfs: Vec<(&str, String)> = vec![
        (
            "groups in a circle",
            format!("<robot name='panda'>{}{}</robot>", group(0, "<group name='g1'/>"), group(1, "<group name='g0'/>")),
        ),
        ("groups of groups of groups", {
            let groups: String =
                (1..40).map(|k| group(k, &format!("<group name='g{0}'/><group name='g{0}'/>", k - 1))).collect();
            format!("<robot name='panda'>{}{groups}</robot>", group(0, "<joint name='panda_joint1'/>"))
        }),
        ("a hundred thousand pairs", {
            let pairs = "<disable_collisions link1='panda_link0' link2='panda_link1' reason='x'/>".repeat(100_000);
            format!("<robot name='panda'>{pairs}</robot>")
        }),
        ("brackets", "<".repeat(DESCRIPTION - 100)),
        (
            "a name that shows as another",
            "<robot name='panda'><group name='\u{202e}a'><joint name='x'/></group></robot>".into(),
        ),
        ("an endless name", format!("<robot name='panda'><group name='{}'/></robot>", "g".repeat(10 << 20))),
    ];
    for (what, srdf) in srdfs {
        let what = format!("robot_description_semantic: {what}");
        meter.case(13, &what, || {
            arm.is_told_at_rest(|publisher, graph, now| publisher.on_semantics(graph, now, &srdf, STRANGER).unwrap());
            Ok(arm.said())
        });
        meter.holds(&what, arm.moves());
    }
}

fn boxes(count: usize, pose: impl Fn(usize) -> scene_writer::Pose) -> Vec<Object> {
    (0..count).map(|k| Object::cube(&format!("b{k}"), "world").posed(pose(k))).collect()
}

fn spread(k: usize) -> scene_writer::Pose {
    scene_writer::at(2.0 + (k % 100) as f64, (k / 100 % 100) as f64, (k / 10_000) as f64)
}

fn scenes(meter: &mut Meter, arm: &mut Arm, dice: &mut Dice) {
    let whole = Scene { objects: boxes(3, spread), ..Scene::default() }.to_cdr();
    let object = |pose: scene_writer::Pose| Scene { objects: boxes(1, |_| pose), ..Scene::default() }.to_cdr();
    let named = |id: &str| Scene { objects: vec![Object::cube(id, "world")], ..Scene::default() }.to_cdr();
    let mesh = |count: usize| {
        let vertex = |k: usize| [3.0 + (k as f64 * 0.1).sin(), (k as f64 * 0.37).cos(), 1.0 + (k as f64 * 0.01).sin()];
        let object = Object { meshes: vec![(0..count).map(vertex).collect()], ..Object::new("m", "world") };
        Scene { objects: vec![object], ..Scene::default() }.to_cdr()
    };
    let counted = |count: u32| {
        let mut out = CdrWriter::new();
        out.string("");
        (0..12).for_each(|_| out.u32(count));
        out.bytes().to_vec()
    };
    let frames = (0..60_000).map(|k| (format!("f{k}"), format!("f{}", (k + 1) % 60_000), spread(k))).collect();
    let in_circle = Object { frame: "f0".into(), ..Object::cube("c", "f0") };
    let held = (0..20_000).map(|k| ("panda_hand".to_owned(), Object::cube(&format!("h{k}"), "panda_hand"))).collect();
    let all: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("any bytes", (0..dice.roll(1 << 20)).map(|_| dice.roll(256) as u8).collect()),
        ("cut", whole[..dice.roll(whole.len())].to_vec()),
        ("counts without an end", counted(u32::MAX)),
        ("counts as large as the message", counted(1 << 24)),
        ("a thousand boxes", Scene { objects: boxes(1000, spread), ..Scene::default() }.to_cdr()),
        ("ten thousand boxes", Scene { objects: boxes(10_000, spread), ..Scene::default() }.to_cdr()),
        ("as many boxes as there is room for", Scene { objects: boxes(55_000, spread), ..Scene::default() }.to_cdr()),
        ("an object of ten thousand boxes", {
            let object = Object {
                primitives: vec![(1, vec![0.04; 3]); 10_000],
                poses: (0..10_000).map(spread).collect(),
                ..Object::new("o", "world")
            };
            Scene { objects: vec![object], ..Scene::default() }.to_cdr()
        }),
        ("far away", object(scene_writer::at(1e300, -1e300, 1e300))),
        ("nowhere", object(scene_writer::at(f64::NAN, f64::INFINITY, 0.0))),
        ("without an orientation", object([2.0, 0.0, 0.0, 1e-300, 0.0, 0.0, 0.0])),
        ("a mesh of as many corners as there is room for", mesh(600_000)),
        ("a mesh of many corners", mesh(100_000)),
        ("a hundred meshes", {
            let vertex =
                |k: usize| [3.0 + (k as f64 * 0.1).sin(), (k as f64 * 0.37).cos(), 1.0 + (k as f64 * 0.01).sin()];
            let vertices: Vec<[f64; 3]> = (0..6000).map(vertex).collect();
            let objects = (0..100).map(|k| {
                Object { meshes: vec![vertices.clone()], ..Object::new(&format!("m{k}"), "world") }.posed(spread(k))
            });
            Scene { objects: objects.collect(), ..Scene::default() }.to_cdr()
        }),
        ("frames in a circle", Scene { frames, objects: vec![in_circle], ..Scene::default() }.to_cdr()),
        ("twenty thousand things in the hand", Scene { held, ..Scene::default() }.to_cdr()),
        ("a name that is none", named(&name(dice))),
        ("an endless name", named(&"x".repeat(SCENE - 1000))),
        ("objects in no frame", {
            let objects = (0..40_000).map(|k| Object::cube(&format!("o{k}"), "nowhere")).collect();
            Scene { objects, ..Scene::default() }.to_cdr()
        }),
        (
            "a frame without an end",
            Scene { objects: vec![Object::cube("o", &"f".repeat(10 << 20))], ..Scene::default() }.to_cdr(),
        ),
        ("sizes that are none", {
            let sizes = dice.of(&[f64::NAN, f64::INFINITY, 1e300, -1.0]);
            let object =
                Object { primitives: vec![(1, vec![sizes; 3])], poses: vec![spread(0)], ..Object::new("o", "world") };
            Scene { objects: vec![object], ..Scene::default() }.to_cdr()
        }),
        ("sizes without an end", {
            let object = Object {
                primitives: vec![(1, vec![0.1; 1_000_000])],
                poses: vec![spread(0)],
                ..Object::new("o", "world")
            };
            Scene { objects: vec![object], ..Scene::default() }.to_cdr()
        }),
        ("who may touch whom, of everybody", {
            Scene { allowed: (0..3900).map(|k| format!("n{k}")).collect(), ..Scene::diff() }.to_cdr()
        }),
        ("more and more that is nowhere", {
            let objects = (0..4000).map(|k| Object::cube(&format!("more{k}"), "nowhere")).collect();
            Scene { objects, ..Scene::diff() }.to_cdr()
        }),
        ("one that is wrong among many", {
            let mut objects = boxes(1900, spread);
            objects[1000].primitives[0].1 = vec![-1.0; 3];
            Scene { objects, ..Scene::default() }.to_cdr()
        }),
        (
            "padding without an end",
            Scene { padding: vec![("panda_link1".into(), 1e300); 100_000], ..Scene::diff() }.to_cdr(),
        ),
    ];
    for (what, bytes) in all {
        assert!(bytes.len() <= SCENE, "{what}: {} bytes", bytes.len());
        let what = format!("planning_scene: {what}");
        meter.case(13, &what, || {
            arm.scene(bytes);
            // And what that means for the ticks.
            arm.chunk(|_| {});
            arm.wait(10);
            Ok(arm.said())
        });
        meter.holds(&what, arm.moves());
    }
    let what = "planning_scene: one after the other, before the robot is known";
    meter.case(13, what, || {
        let feed = SceneFeed::start();
        let (mut feed, outcomes) = feed;
        for _ in 0..300 {
            feed.came(vec![0; SCENE]);
        }
        drop(outcomes);
        Ok(feed.trouble().map(|reason| reason.in_words()).into_iter().collect())
    });
    let what = "planning_scene: faster than they can be put together";
    meter.case(13, what, || {
        let large = mesh(100_000);
        for _ in 0..400 {
            arm.tell();
            let now = at(arm.graph.now);
            arm.publisher.on_scene(&mut arm.graph, now, large.clone()).unwrap();
        }
        Ok(arm.said())
    });
    arm.put_together(1);
    std::thread::sleep(Duration::from_secs(2));
    arm.put_together(0);
    meter.holds(what, arm.moves());
}

fn others(meter: &mut Meter, arm: &mut Arm, dice: &mut Dice) {
    for kind in 0..TEXTS {
        let (what, said) = text(kind, WORDS - 100, dice);
        let what = format!("instruction: {what}");
        meter.case(13, &what, || {
            let now = at(arm.graph.now);
            arm.publisher.on_instruction(&mut arm.graph, now, &said).unwrap();
            arm.wait(10);
            Ok(arm.said())
        });
    }
    for kind in 0..4 {
        let bytes = match kind {
            0 => Vec::new(),
            1 => (0..dice.roll(MESSAGE)).map(|_| dice.roll(256) as u8).collect(),
            2 => [&[0, 1, 0, 0][..], &vec![0xff; MESSAGE]].concat(),
            _ => vec![0; MESSAGE],
        };
        meter.case(13, "controller_state: any bytes", || {
            for place in [0, 1, 0, 1] {
                let now = at(arm.graph.now);
                arm.publisher.on_controller_state(&mut arm.graph, now, place, &bytes).unwrap();
                arm.wait(3);
            }
            Ok(arm.said())
        });
    }
    meter.holds("instructions and controller_state", arm.moves());
}

/// All of them; those of `rounds` above one are other ones of the same kinds.
fn all(rounds: usize) {
    let mut meter = Meter::default();
    pictures(&mut meter, rounds);
    goals(&mut meter);
    let mut arm = Arm::new();
    assert!(arm.moves());
    let mut dice = Dice(1300);
    for _ in 0..rounds {
        joint_states(&mut meter, &mut arm, &mut dice);
        chunks(&mut meter, &mut arm, &mut dice);
        descriptions(&mut meter, &mut arm, &mut dice);
        others(&mut meter, &mut arm, &mut dice);
        scenes(&mut meter, &mut arm, &mut dice);
    }
    meter.verdict();
}

#[test]
fn what_cameras_and_strangers_send_is_answered() {
    all(1);
}

#[test]
#[ignore = "a minute; `./efm test --full` runs it"]
fn what_they_send_again_and_again_is_answered() {
    all(4);
}
