//! The processes at both ends of a way that pictures take: one publishes as a camera does, the other has only to have the bytes.

use crate::messages::{COMPRESSED_IMAGE, IMAGE, picture, set_stamp, stamp_of};
use crate::relay::{ask_for_the_end, heed_signals, is_over};
use crate::robot::{CAMERA_RATE, now};
use anyhow::{Context, Result};
use efm_bench::tick::play::thread_nanos;
use efm_core::reading;
use efm_recorder::record::jpeg::Jpeg;
use efm_ros::raw::{RawNode, RawQos};
use efm_vision::Decoder;
use efm_wire::cdr::Decode;
use efm_wire::msgs::CompressedImage;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Pictures after which an end has warmed up.
const WARM: usize = 30;
/// Of which nothing is unbounded, so that a middleware that lends messages at all lends it.
const POSE: &str = "geometry_msgs/msg/Pose";

/// Which end of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum End {
    /// Publishes.
    Publisher,
    /// Subscribes.
    Subscriber,
    /// One process that does both, on two threads with a node each.
    Both,
}

/// Options of an end.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Which end.
    end: End,
    /// Columns of the picture.
    #[arg(long)]
    width: u32,
    /// Rows of the picture.
    #[arg(long)]
    height: u32,
    /// Pictures go as JPEG of this quality.
    #[arg(long)]
    jpeg: Option<u8>,
    /// The subscriber has lost pictures sent again.
    #[arg(long)]
    reliable: bool,
    /// Folder for what was measured, which is written at the end.
    #[arg(long)]
    out: PathBuf,
}

/// What encoding or decoding a picture took; zero where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Seconds.
    pub wall: f64,
    /// Seconds on a core.
    pub cpu: f64,
}

impl Work {
    fn of<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Self)> {
        let (began, cpu) = (Instant::now(), thread_nanos());
        let done = work()?;
        let cpu = (thread_nanos() - cpu) as f64 * 1e-9;
        Ok((done, Self { wall: began.elapsed().as_secs_f64(), cpu }))
    }
}

/// What the publisher has done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sent {
    /// Time just before publication, which is also the picture's stamp, ns; the encoding before it.
    pub pictures: Vec<(i64, Work)>,
    /// Of the message.
    pub bytes: usize,
    /// Whether rcl says that messages of its type can be loaned.
    pub loans: bool,
    /// Whether it says so of a type of which nothing is unbounded.
    pub loans_bounded: bool,
}

/// What the subscriber has got.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Got {
    /// Stamp, ns; time at which the bytes were there, ns; the decoding after it.
    pub pictures: Vec<(i64, i64, Work)>,
}

/// Whether an end has warmed up: the publisher has sent pictures to somebody, the subscriber has got some.
pub fn is_warm(out: &Path, end: End) -> bool {
    file(out, end, "warm").exists()
}

/// What an end has written when it ended: [`Sent`] or [`Got`].
///
/// # Errors
/// When it has not.
pub fn written<T: DeserializeOwned>(out: &Path, end: End) -> Result<T> {
    let file = file(out, end, "json");
    let text = reading::text(&file, reading::REPORT).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}: not what an end writes", file.display()))
}

fn file(out: &Path, end: End, kind: &str) -> PathBuf {
    out.join(format!("{end:?}.{kind}").to_lowercase())
}

fn write(out: &Path, end: End, kind: &str, text: &str) -> Result<()> {
    let file = file(out, end, kind);
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Publishes or subscribes until the end is asked for.
///
/// # Errors
/// When the middleware refuses something, a picture cannot be decoded, or a file cannot be written.
pub fn run(args: &Args) -> Result<()> {
    heed_signals();
    // Who ends for whatever reason takes the other with it.
    let ending = |end: fn(&Args) -> Result<()>| {
        let done = end(args);
        ask_for_the_end();
        done
    };
    match args.end {
        End::Publisher => publish(args),
        End::Subscriber => subscribe(args),
        End::Both => std::thread::scope(|threads| {
            let subscriber = threads.spawn(|| ending(subscribe));
            let published = ending(publish);
            subscriber.join().map_err(|_| anyhow::anyhow!("the subscriber panicked"))?.and(published)
        }),
    }
}

fn topic(args: &Args) -> (&'static str, &'static str) {
    match args.jpeg {
        Some(_) => ("/bench/image_raw/compressed", COMPRESSED_IMAGE),
        None => ("/bench/image_raw", IMAGE),
    }
}

fn publish(args: &Args) -> Result<()> {
    let mut node = RawNode::create("bench_camera", "/")?;
    let (topic, type_name) = topic(args);
    let bounded = node.advertise("/bench/pose", POSE, RawQos::new(true, false, 2))?;
    let to = node.advertise(topic, type_name, RawQos::new(true, false, 2))?;
    let mut sent = Sent { loans: node.can_loan(to)?, loans_bounded: node.can_loan(bounded)?, ..Sent::default() };
    let raw = picture(args.width, args.height);
    let mut jpeg = args.jpeg.map(Jpeg::new);
    let mut message = raw.clone();
    let (mut due, mut to_somebody) = (Instant::now(), 0);
    while !is_over() {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        // What was missed is not made up for: that would be a burst that no camera makes.
        due = (due + Duration::from_secs_f64(1.0 / CAMERA_RATE)).max(Instant::now());
        let ((), encoding) = match &mut jpeg {
            Some(jpeg) => Work::of(|| {
                message.clear();
                message.extend_from_slice(jpeg.compress(&raw).context("the picture cannot be a JPEG")?);
                Ok(())
            })?,
            None => ((), Work::default()),
        };
        let stamp = now();
        set_stamp(&mut message, stamp);
        node.publish(to, &message)?;
        sent.pictures.push((stamp.nanos(), encoding));
        if to_somebody < WARM && node.subscriptions_of(to)? > 0 {
            to_somebody += 1;
            if to_somebody == WARM {
                write(&args.out, End::Publisher, "warm", "")?;
            }
        }
    }
    sent.bytes = message.len();
    write(&args.out, End::Publisher, "json", &serde_json::to_string(&sent)?)
}

fn subscribe(args: &Args) -> Result<()> {
    let mut node = RawNode::create("bench_eye", "/")?;
    let (topic, type_name) = topic(args);
    // As many as sensor data's profile keeps.
    node.subscribe(topic, type_name, RawQos::new(args.reliable, false, 5))?;
    let (mut got, mut decoder) = (Got::default(), Decoder::new());
    while !is_over() {
        let mut wrong = None;
        node.spin(Duration::from_millis(100), |_, taken| {
            let here = now();
            let decode = || -> Result<()> {
                let image = CompressedImage::from_cdr(taken.bytes)?;
                decoder.decode(&image.format, &image.data)?;
                Ok(())
            };
            let decoding = if args.jpeg.is_some() { Work::of(decode) } else { Ok(((), Work::default())) };
            match (stamp_of(taken.bytes), decoding) {
                (Some(stamp), Ok(((), decoding))) => got.pictures.push((stamp.nanos(), here.nanos(), decoding)),
                (_, Err(error)) => wrong = Some(error),
                (None, _) => wrong = Some(anyhow::anyhow!("a message has no stamp")),
            }
            if got.pictures.len() == WARM && wrong.is_none() {
                wrong = write(&args.out, End::Subscriber, "warm", "").err();
            }
        })?;
        if let Some(error) = wrong {
            return Err(error);
        }
    }
    write(&args.out, End::Subscriber, "json", &serde_json::to_string(&got)?)
}
