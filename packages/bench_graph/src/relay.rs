//! The floor: processes that pass on what comes with nothing between, and the model with nothing around it.

use crate::messages::{
    IMAGE, JOINT_STATE, JOINTS, POSTURE, TRAJECTORY, known, picture, set_stamp, stamp_of, trajectory,
};
use crate::robot::now;
use anyhow::{Context, Result};
use efm_app::cores::run_in_real_time;
use efm_bench::tick::play::thread_nanos;
use efm_bench::usage::memory_mb;
use efm_core::Stamp;
use efm_policy::{BareGraphs, EncoderPackage, LanguageSpec, PolicyPackage, RuntimeOptions, SentenceEncoder};
use efm_ros::raw::{PublisherId, RawNode, RawQos};
use efm_ros::time::after;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a relay stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Place {
    /// Pictures in, smaller pictures out.
    Camera,
    /// Pictures in, the model, a chunk out.
    Inference,
    /// A chunk in, a trajectory a controller out.
    Publisher,
}

/// Options of a relay.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What it stands for.
    place: Place,
    /// Policy package.
    #[arg(long)]
    policy: PathBuf,
    /// Folders with text encoders.
    #[arg(long)]
    models: Vec<PathBuf>,
    /// Where what was measured is written at the end.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Options of the load.
#[derive(Debug, Clone, clap::Args)]
pub struct Saturate {
    /// Policy package.
    #[arg(long)]
    policy: PathBuf,
    /// Folders with text encoders.
    #[arg(long)]
    models: Vec<PathBuf>,
}

/// What the relay with the model has measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Bare {
    /// Stamp of the observation, ns, and seconds that the model took.
    pub runs: Vec<(i64, f64)>,
    /// CPU seconds of all those runs, on the thread that asked.
    pub cpu: f64,
    /// Proportional memory that ONNX Runtime, the graphs and the text encoder take, MB.
    pub memory: f64,
}

static OVER: AtomicBool = AtomicBool::new(false);

extern "C" fn end(_: libc::c_int) {
    OVER.store(true, Ordering::SeqCst);
}

/// Whether the end was asked for.
pub fn is_over() -> bool {
    OVER.load(Ordering::SeqCst)
}

/// Asks this process's own loops for the end.
pub fn ask_for_the_end() {
    OVER.store(true, Ordering::SeqCst);
}

/// Has SIGINT and SIGTERM ask for the end.
pub fn heed_signals() {
    // SAFETY: the handler sets a flag and does nothing else.
    unsafe {
        libc::signal(libc::SIGINT, end as *const () as libc::sighandler_t);
        libc::signal(libc::SIGTERM, end as *const () as libc::sighandler_t);
    }
}

fn open(policy: &std::path::Path, models: &[PathBuf]) -> Result<(PolicyPackage, BareGraphs)> {
    let package = PolicyPackage::load(policy, models)?;
    let graphs = BareGraphs::open(&package, RuntimeOptions::default())?
        .context("the policy has no single pass and no encode and step: the floor cannot run it")?;
    Ok((package, graphs))
}

/// Runs a model on every core until the end is asked for.
///
/// # Errors
/// When the package cannot be run.
pub fn saturate(args: &Saturate) -> Result<()> {
    heed_signals();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = Vec::new();
    for _ in 0..cores {
        let (_, mut graphs) = open(&args.policy, &args.models)?;
        threads.push(std::thread::spawn(move || -> Result<()> {
            while !is_over() {
                graphs.run()?;
            }
            Ok(())
        }));
    }
    println!("saturated");
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a thread of the load panicked"))??;
    }
    Ok(())
}

/// Keeps every core awake until the end is asked for: a core that sleeps (above all a virtual machine's, which its host takes away meanwhile) wakes
/// up late by milliseconds, whoever is to run. Robots' computers are set up not to (`idle=poll`, `/dev/cpu_dma_latency`).
///
/// # Errors
/// When the operating system refuses the priority below all others.
pub fn keep_awake() -> Result<()> {
    heed_signals();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads a value of our own. The threads below inherit it.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const param) } != 0 {
        return Err(std::io::Error::last_os_error()).context("SCHED_IDLE is refused");
    }
    let threads: Vec<_> = (0..cores)
        .map(|_| {
            std::thread::spawn(|| {
                while !is_over() {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a thread that keeps a core awake panicked"))?;
    }
    Ok(())
}

/// Relays until the end is asked for.
///
/// # Errors
/// When the package cannot be run, or the middleware refuses something.
pub fn run(args: &Args) -> Result<()> {
    heed_signals();
    let mut node = RawNode::create(&format!("floor_{:?}", args.place).to_lowercase(), "/")?;
    match args.place {
        Place::Camera => camera(args, &mut node),
        Place::Inference => inference(args, &mut node),
        Place::Publisher => publisher(&mut node),
    }
}

const LOSSY: RawQos = RawQos::new(false, false, 1);
const RELIABLE: RawQos = RawQos::new(true, false, 1);
const SPIN: Duration = Duration::from_millis(100);
/// As trajectory_publisher's `realtime_priority`.
const REALTIME: i32 = 40;

fn camera(args: &Args, node: &mut RawNode) -> Result<()> {
    let package = PolicyPackage::load(&args.policy, &args.models)?;
    let mut ways = HashMap::new();
    for image in &package.manifest().observation.images {
        let from = node.subscribe(&format!("/{}/image_raw", image.name), IMAGE, LOSSY)?;
        let to = node.advertise(&format!("/observation/{}/image", image.name), IMAGE, RELIABLE)?;
        ways.insert(from, (to, picture(image.width, image.height)));
    }
    let mut due = Vec::new();
    while !is_over() {
        node.spin(SPIN, |from, taken| due.extend(stamp_of(taken.bytes).map(|stamp| (from, stamp))))?;
        for (from, stamp) in due.drain(..) {
            if let Some((to, message)) = ways.get_mut(&from) {
                set_stamp(message, stamp);
                node.publish(*to, message)?;
            }
        }
    }
    Ok(())
}

fn inference(args: &Args, node: &mut RawNode) -> Result<()> {
    let before = memory_mb(std::process::id())?;
    let (package, mut graphs) = open(&args.policy, &args.models)?;
    graphs.run()?;
    // The sentence's encoder stays in memory as well.
    let mut encoder = match &package.manifest().observation.language {
        Some(LanguageSpec::Embedding { encoder, .. }) => {
            Some(SentenceEncoder::open(&EncoderPackage::find(encoder, &args.models)?, RuntimeOptions::default())?)
        }
        _ => None,
    };
    if let Some(encoder) = &mut encoder {
        encoder.embed("put the red cube on the plate")?;
    }
    let mut bare = Bare { memory: memory_mb(std::process::id())? - before, ..Bare::default() };
    let manifest = package.manifest();
    let period = manifest.execution.replan_steps as f64 * manifest.action.step;
    let mut newest = HashMap::new();
    for image in &manifest.observation.images {
        newest.insert(node.subscribe(&format!("/observation/{}/image", image.name), IMAGE, LOSSY)?, Stamp::ZERO);
    }
    let to = node.advertise("/action_chunk", TRAJECTORY, RELIABLE)?;
    let step = manifest.action.step;
    let mut chunk = trajectory(&JOINTS, &POSTURE, manifest.action.horizon, step, step, false, |_| 0.0);
    let mut last = Stamp::ZERO;
    while !is_over() {
        node.spin(SPIN, |from, taken| {
            if let (Some(stamp), Some(newest)) = (stamp_of(taken.bytes), newest.get_mut(&from)) {
                *newest = stamp;
            }
        })?;
        let Some(&stamp) = newest.values().min() else { continue };
        if newest.values().any(|&other| other != stamp) || stamp.seconds_since(last) < period - 1e-3 {
            continue;
        }
        last = stamp;
        let (began, cpu) = (Instant::now(), thread_nanos());
        graphs.run()?;
        bare.runs.push((stamp.nanos(), began.elapsed().as_secs_f64()));
        bare.cpu += (thread_nanos() - cpu) as f64 * 1e-9;
        set_stamp(&mut chunk, stamp);
        node.publish(to, &chunk)?;
    }
    if let Some(out) = &args.out {
        std::fs::write(out, serde_json::to_string(&bare)?)
            .with_context(|| format!("cannot write {}", out.display()))?;
    }
    Ok(())
}

/// Points of a window of ours in slow motion.
const POINTS: usize = 26;

/// What trajectory_publisher sends to arm and hand, and where.
fn windows(node: &mut RawNode) -> Result<[(PublisherId, Vec<u8>); 2]> {
    let arm = node.advertise("/panda_arm_controller/joint_trajectory", TRAJECTORY, RELIABLE)?;
    let hand = node.advertise("/panda_hand_controller/joint_trajectory", TRAJECTORY, RELIABLE)?;
    Ok([
        (arm, trajectory(&JOINTS[..7], &POSTURE[..7], POINTS, 0.0, 0.01, true, |_| 0.0)),
        (hand, trajectory(&JOINTS[7..], &POSTURE[7..], POINTS, 0.0, 0.01, true, |_| 0.0)),
    ])
}

/// Publishes trajectories on a grid of `rate` a second and does nothing else, in real time where that is permitted.
///
/// # Errors
/// When the middleware refuses something.
pub fn beat(rate: f64) -> Result<()> {
    heed_signals();
    let mut node = RawNode::create("floor_beat", "/")?;
    let mut windows = windows(&mut node)?;
    if let Err(error) = run_in_real_time(REALTIME, true) {
        eprintln!("without real-time priority: {error}");
    }
    let period = Duration::from_secs_f64(1.0 / rate);
    let mut next = Instant::now();
    while !is_over() {
        let now = now();
        for (to, message) in &mut windows {
            set_stamp(message, now);
            node.publish(*to, message)?;
        }
        next = after(next, Instant::now(), period);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn publisher(node: &mut RawNode) -> Result<()> {
    node.subscribe("/action_chunk", TRAJECTORY, RELIABLE)?;
    let mut windows = windows(node)?;
    let told = node.advertise("/trajectory_publisher/filter_state", JOINT_STATE, RELIABLE)?;
    let mut due = Vec::new();
    while !is_over() {
        node.spin(SPIN, |_, taken| due.extend(stamp_of(taken.bytes)))?;
        for stamp in due.drain(..) {
            let now = now();
            for (to, message) in &mut windows {
                set_stamp(message, now);
                node.publish(*to, message)?;
            }
            node.publish(told, &known(now, now.seconds_since(stamp)))?;
        }
    }
    Ok(())
}
