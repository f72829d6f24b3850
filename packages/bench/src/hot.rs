//! The paths that run all the time, each as a small piece of work that is the same every time: `efm-bench hot`. What is counted under valgrind, see
//! [`crate::instructions`].

use crate::growth::schedule::{EVERY, Scheduled};
use crate::tick::play::{Pace, Stream, play};
use crate::tick::robot::Robot;
use anyhow::{Context, Result};
use efm_bag::msgs::JointState;
use efm_bag::{BagOptions, BagWriter, Compression};
use efm_core::{JointNames, JointSample, Stamp};
use efm_harness::planner::RobotFiles;
use efm_policy::{ActionDecoder, Manifest, fill_normal};
use efm_robot::{Chain, LimitSet, RobotModel};
use efm_schedule::Mode;
use efm_vision::{Decoder, ImageView, Layout, Normalization, ResizeMode, Resizer, to_tensor};
use image::codecs::jpeg::JpegEncoder;
use std::path::Path;

/// Options of `efm-bench hot`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Which path: as `efm-bench instructions` names it.
    pub name: String,
    /// How often.
    #[arg(long, default_value_t = 1)]
    pub calls: u64,
}

/// A path that runs all the time.
pub struct HotPath {
    /// Name, as in the baseline.
    pub name: &'static str,
    /// What one call does.
    pub what: &'static str,
    /// Calls that are counted: enough that what happens now and then is in the mean, and few enough for valgrind.
    pub calls: u64,
    work: fn(&Path, u64) -> Result<()>,
}

/// All of them.
pub const PATHS: [HotPath; 8] = [
    HotPath {
        name: "safety_tick",
        what: "safety tick at 100 Hz, the Panda (7 joints and the finger) over its table, smooth chunks at 5 Hz",
        calls: 400,
        work: |root, calls| safety_tick(root, Stream::Smooth, calls),
    },
    HotPath {
        name: "safety_tick_hostile",
        what: "the same, from one end of the joints' ranges to the other",
        calls: 200,
        work: |root, calls| safety_tick(root, Stream::Hostile, calls),
    },
    HotPath {
        name: "schedule_tick",
        what: "reference of 8 joints at 100 Hz, blend, chunks of 16 rows",
        calls: 2000,
        work: |root, calls| schedule(root, calls, false),
    },
    HotPath {
        name: "schedule_chunk",
        what: "taking a chunk of 16 rows and putting it in use, blend",
        calls: 100,
        work: |root, calls| schedule(root, calls, true),
    },
    HotPath { name: "image_raw", what: "rgb8 640x480 to the tensor of 224x224, stretched", calls: 3, work: image_raw },
    HotPath { name: "image_jpeg", what: "JPEG 640x480 unpacked and resized to 224x224", calls: 3, work: image_jpeg },
    HotPath {
        name: "policy_own",
        what: "panda_tabletop_flow without its graphs: two pictures and the state normalised, noise, 16 rows of actions by inverse kinematics",
        calls: 10,
        work: policy_own,
    },
    HotPath {
        name: "bag_write",
        what: "a joint state of 8 joints as CDR into a bag, uncompressed",
        calls: 1200,
        work: bag_write,
    },
];

/// Does one of the paths so many times, and says which processor it sees.
///
/// # Errors
/// When there is no such path, or its files cannot be read.
pub fn bench(root: &Path, args: &Args) -> Result<bool> {
    let names = || PATHS.iter().map(|path| path.name).collect::<Vec<_>>().join(", ");
    let path = PATHS.iter().find(|path| path.name == args.name);
    let path = path.with_context(|| format!("there is no hot path '{}'; there are {}", args.name, names()))?;
    (path.work)(root, args.calls)?;
    println!("{CPU_PREFIX}{}", processor());
    Ok(true)
}

/// What is before [`processor`] in the output of `efm-bench hot`.
pub const CPU_PREFIX: &str = "processor: ";

/// What code that picks its instructions by processor (libc, memchr, the JPEG decoder) can see: valgrind shows at most AVX2, and less on an older
/// machine.
fn processor() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        match (std::is_x86_feature_detected!("avx512f"), std::is_x86_feature_detected!("avx2")) {
            (true, _) => "avx512",
            (false, true) => "avx2",
            (false, false) => "sse",
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    "as the architecture"
}

/// Does some work. Callgrind is told to count between the begin and the end of this very function, by its name, and nothing else.
#[inline(never)]
pub fn counted_by_callgrind<T>(work: impl FnOnce() -> T) -> T {
    std::hint::black_box(work())
}

/// The pattern by which callgrind finds [`counted_by_callgrind`], whatever was made of its name.
pub const COUNTED: &str = "*counted_by_callgrind*";

fn safety_tick(root: &Path, stream: Stream, calls: u64) -> Result<()> {
    let robot = Robot::panda(&RobotFiles::under(root))?;
    // No boxes: what is shipped.
    let cell = robot.cell(0, 7)?;
    // There the tick is what is counted.
    let played =
        play(&robot, Some(&cell.bodies), Pace { period_s: 0.01, ticks: 1 }, (stream, 1, calls as usize), |_, _, _| ())?;
    anyhow::ensure!(played.sent > 0, "the filter sent nothing");
    Ok(())
}

fn schedule(root: &Path, calls: u64, of_chunks: bool) -> Result<()> {
    let robot = Robot::panda(&RobotFiles::under(root))?;
    let mut scheduled = Scheduled::new(&robot, Mode::Blend, 16)?;
    let ticks = if of_chunks { calls as usize * EVERY } else { calls as usize };
    let mut active = true;
    for first in (0..ticks).step_by(EVERY) {
        let chunk = scheduled.chunk(first)?;
        scheduled.look(first);
        let mut taken = || scheduled.offer(&chunk, first).and_then(|()| scheduled.take_over(first));
        if of_chunks { counted_by_callgrind(taken) } else { taken() }?;
        let mut follow = || (first..first + EVERY).for_each(|tick| active &= scheduled.tick(tick));
        if of_chunks { follow() } else { counted_by_callgrind(follow) }
    }
    anyhow::ensure!(active, "the scheduler has no reference");
    Ok(())
}

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
const SIDE: u32 = 224;

/// Slopes, edges and noise, row-major rgb8.
fn picture() -> Vec<u8> {
    let mut noise = 1_u32;
    let mut pixels = Vec::with_capacity((WIDTH * HEIGHT * 3) as usize);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let edge = if (x / 80 + y / 60) % 2 == 0 { 60 } else { 0 };
            pixels
                .extend([x * 180 / WIDTH + edge, y * 180 / HEIGHT + edge, 90 + edge + (noise >> 27)].map(|v| v as u8));
        }
    }
    pixels
}

fn image_raw(_: &Path, calls: u64) -> Result<()> {
    let pixels = picture();
    let view = ImageView::rgb8(WIDTH, HEIGHT, &pixels)?;
    let mut resizer = Resizer::new(SIDE, SIDE, ResizeMode::Stretch)?;
    let mut small = vec![0; resizer.output_len()];
    let mut tensor = vec![0.0; small.len()];
    // The first picture fills the tables and buffers that the others find.
    resizer.resize(&view, &mut small)?;
    for _ in 0..calls {
        counted_by_callgrind(|| {
            resizer.resize(&view, &mut small)?;
            to_tensor(&small, Layout::Nchw, &Normalization::CENTRED, &mut tensor)
        })?;
    }
    Ok(())
}

fn image_jpeg(_: &Path, calls: u64) -> Result<()> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 90).encode(&picture(), WIDTH, HEIGHT, image::ExtendedColorType::Rgb8)?;
    let (mut decoder, mut resizer) = (Decoder::new(), Resizer::new(SIDE, SIDE, ResizeMode::Stretch)?);
    let mut small = vec![0; resizer.output_len()];
    let mut once = || resizer.resize(&decoder.decode("rgb8; jpeg compressed bgr8", &jpeg)?, &mut small);
    once()?;
    for _ in 0..calls {
        counted_by_callgrind(&mut once)?;
    }
    Ok(())
}

/// What `Policy::act` does before and after the graphs, in its order.
fn policy_own(root: &Path, calls: u64) -> Result<()> {
    let manifest = Manifest::read(&root.join("models/panda_tabletop_flow"))?;
    let robot = RobotModel::load(root.join("urdf/panda.urdf")).context("urdf/panda.urdf")?;
    let joints = manifest.joints()?;
    let limits = LimitSet::load(&robot, root.join("config/joint_limits.yaml"), &joints)?;
    let chain = Chain::new(&robot, &manifest.robot.base_link, &manifest.robot.tip_link)?;
    let measured =
        manifest.action.rest_posture.clone().context("panda_tabletop_flow: action.rest_posture is missing")?;
    let mut decoder = ActionDecoder::new(&manifest, &joints, &chain, &limits, &measured)?;
    let cameras = &manifest.observation.images;
    let pictures: Vec<Vec<u8>> = cameras.iter().map(|camera| picture()[..camera.len()].to_vec()).collect();
    let mut tensors: Vec<Vec<f32>> = cameras.iter().map(|camera| vec![0.0; camera.len()]).collect();
    let mut state = vec![0.0; manifest.state_len()];
    let mut noise = vec![0.0; manifest.sample_len()];
    let columns = manifest.action_len();
    let (mut actions, mut positions) = (vec![0.0; manifest.action.horizon * columns], Vec::new());
    let q = &measured[..chain.dof()];
    for call in 0..calls {
        counted_by_callgrind(|| {
            for ((camera, pixels), tensor) in cameras.iter().zip(&pictures).zip(&mut tensors) {
                to_tensor(pixels, camera.layout, &Normalization::new(camera.mean, camera.std)?, tensor)?;
            }
            let tool = chain.fk(q).translation.vector;
            for (i, (value, out)) in measured.iter().chain(tool.as_slice()).zip(&mut state).enumerate() {
                *out = manifest.observation.state.normalization.apply(i, *value) as f32;
            }
            fill_normal(call, 1.0, &mut noise);
            for (i, action) in actions.iter_mut().enumerate() {
                // A way that every arm can go: a few centimetres, straight on.
                let wanted = 0.5 * (i / columns) as f64 / manifest.action.horizon as f64;
                *action = manifest.action.normalization.undo(i % columns, wanted);
            }
            anyhow::Ok(decoder.decode(&actions, &measured, &mut positions)?)
        })?;
    }
    Ok(())
}

fn bag_write(_: &Path, calls: u64) -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder for a bag")?;
    let options = BagOptions { compression: Compression::None, chunk_size: 1 << 16, ..BagOptions::default() };
    let mut bag = BagWriter::create(folder.path().join("bag"), options)?;
    let joints = JointNames::new((1..=8).map(|i| format!("panda_joint{i}")))?;
    let sample = |call: u64| JointSample {
        stamp: Stamp::from_nanos(1 + call as i64 * 1_000_000),
        positions: vec![0.1; 8],
        velocities: vec![0.0; 8],
    };
    // The first message brings its topic and its definition.
    for call in 0..=calls {
        let (message, at) = (JointState::from_sample(&joints, &sample(call)), sample(call).stamp);
        let mut write = || bag.write("joint_states", &message, at);
        if call == 0 { write() } else { counted_by_callgrind(write) }?;
    }
    bag.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_path_can_be_gone_and_another_is_refused_by_its_name() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        for path in &PATHS {
            assert!(bench(root, &Args { name: path.name.into(), calls: 2 }).unwrap(), "{}", path.name);
        }
        let error = bench(root, &Args { name: "cold".into(), calls: 1 }).unwrap_err().to_string();
        assert!(error.contains("'cold'") && error.contains("safety_tick"), "{error}");
    }
}
