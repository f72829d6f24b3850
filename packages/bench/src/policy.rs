//! What our own code around the model costs: a chunk of a policy, beside nothing but the calls to ONNX Runtime that it makes.

use crate::counting::allocations;
use crate::tick::play::thread_nanos;
use anyhow::{Context, Result};
use efm_core::{JointSample, Stamp};
use efm_harness::agent::policy_folder;
use efm_harness::planner::RobotFiles;
use efm_policy::{BareGraphs, Observation, Policy, PolicyPackage, RuntimeOptions};
use efm_robot::{LimitSet, RobotModel};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What may be spent beside the model: this part of its time, or this many milliseconds, whichever is more.
const ALLOWED: (f64, f64) = (0.03, 0.3);

/// Options of `efm-bench policy`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Policy package of two phases (flow matching or diffusion): a folder, or a name in models/.
    #[arg(long, default_value = "panda_tabletop_flow")]
    pub policy: String,
    /// How many chunks.
    #[arg(long, default_value_t = 500)]
    pub chunks: usize,
    /// Writes the results here.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// What a policy's chunks took, turn by turn with its graphs alone.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The package.
    pub folder: PathBuf,
    /// Cameras that it looks through.
    pub cameras: usize,
    /// Milliseconds of each chunk.
    pub chunk_ms: Vec<f64>,
    /// Milliseconds of each turn of nothing but its graphs.
    pub graphs_ms: Vec<f64>,
    /// Milliseconds of thread CPU time of each turn of nothing but its graphs.
    pub graphs_cpu_ms: Vec<f64>,
    /// Milliseconds of thread CPU time that each chunk took more than the turn of its graphs behind it.
    pub own_cpu_ms: Vec<f64>,
    /// Allocations of a chunk.
    pub chunk_allocations: u64,
    /// Allocations of the graphs alone.
    pub graphs_allocations: u64,
}

impl Measured {
    /// Milliseconds of a chunk beside the graphs, by the medians.
    pub fn overhead_ms(&self) -> f64 {
        quantiles(&self.chunk_ms).0 - quantiles(&self.graphs_ms).0
    }
}

/// Milliseconds that may be spent beside graphs that take so many.
pub fn allowed_ms(graphs_ms: f64) -> f64 {
    (ALLOWED.0 * graphs_ms).max(ALLOWED.1)
}

/// Measures so many chunks of a policy: a folder, or a name in models/ below `root`.
///
/// # Errors
/// When the package cannot be run, or has other graphs than `encode` and `step`.
pub fn measure(root: &Path, policy: &str, chunks: usize) -> Result<Measured> {
    let folder = policy_folder(policy, root)?;
    let package = PolicyPackage::load(&folder, &[root.join("models")])?;
    let files = RobotFiles::under(root);
    let robot = RobotModel::load(&files.urdf)?;
    let limits = LimitSet::load(&robot, &files.joint_limits, &package.manifest().joints()?)?;
    let mut bare = BareGraphs::open(&package, RuntimeOptions::default())?
        .context("--policy: only packages with graphs encode and step are compared")?;
    let mut policy = Policy::open(package, &robot, &limits, RuntimeOptions::default())?;
    let golden = policy.package().golden().clone();
    let goal = policy.embed(&golden.sentence)?;
    let cameras: Vec<String> = policy.manifest().cameras().map(str::to_owned).collect();
    let images: Vec<(&str, &[u8])> =
        cameras.iter().map(String::as_str).zip(golden.newest().images.iter().map(Vec::as_slice)).collect();
    let joints = JointSample {
        stamp: Stamp::ZERO,
        velocities: vec![0.0; golden.newest().joints.len()],
        positions: golden.newest().joints.clone(),
    };
    let observation = Observation { stamp: Stamp::ZERO, images: &images, joints: &joints, earlier: &[] };

    let (mut chunk_ms, mut graphs_ms) = (Vec::new(), Vec::new());
    let (mut graphs_cpu_ms, mut own_cpu_ms) = (Vec::new(), Vec::new());
    let (mut chunk_allocations, mut graphs_allocations) = (0, 0);
    const WARM_UP: usize = 20;
    for chunk in 0..chunks + WARM_UP {
        let (before, began, cpu) = (allocations(), Instant::now(), thread_nanos());
        policy.act(&observation, &goal, chunk as u64)?;
        let (cpu, took, allocated) =
            (thread_nanos() - cpu, began.elapsed().as_secs_f64() * 1e3, allocations() - before);
        let (before, began, bare_cpu) = (allocations(), Instant::now(), thread_nanos());
        bare.run()?;
        let (bare_cpu, bare_took, bare_allocated) =
            (thread_nanos() - bare_cpu, began.elapsed().as_secs_f64() * 1e3, allocations() - before);
        if chunk >= WARM_UP {
            chunk_ms.push(took);
            graphs_ms.push(bare_took);
            graphs_cpu_ms.push(bare_cpu as f64 * 1e-6);
            own_cpu_ms.push((cpu as f64 - bare_cpu as f64) * 1e-6);
            (chunk_allocations, graphs_allocations) = (allocated, bare_allocated);
        }
    }
    Ok(Measured {
        folder,
        cameras: cameras.len(),
        chunk_ms,
        graphs_ms,
        graphs_cpu_ms,
        own_cpu_ms,
        chunk_allocations,
        graphs_allocations,
    })
}

/// Does what the options say; whether the overhead is allowed.
///
/// # Errors
/// When the package cannot be run, or the results cannot be written.
pub fn bench(root: &Path, args: &Args) -> Result<bool> {
    let m = measure(root, &args.policy, args.chunks)?;
    let (ours, alone) = (quantiles(&m.chunk_ms), quantiles(&m.graphs_ms));
    let (overhead, allowed) = (m.overhead_ms(), allowed_ms(alone.0));
    let holds = overhead <= allowed;
    println!("{}, {} chunks, turn by turn on one thread:", m.folder.display(), args.chunks);
    println!("  the graphs alone   p50 {:.3} ms  p99 {:.3} ms  {} allocations", alone.0, alone.1, m.graphs_allocations);
    println!("  a chunk            p50 {:.3} ms  p99 {:.3} ms  {} allocations", ours.0, ours.1, m.chunk_allocations);
    println!(
        "  our own part: {overhead:.3} ms = {:.1} % of the graphs' (allowed {allowed:.3} ms){}",
        100.0 * overhead / alone.0,
        if holds { "" } else { ": TOO MUCH" }
    );
    if let Some(file) = &args.json {
        let document = json!({
            "policy": args.policy, "chunks": args.chunks, "overhead_ms": overhead, "overhead_share": overhead / alone.0,
            "graphs_ms": {"p50": alone.0, "p99": alone.1}, "chunk_ms": {"p50": ours.0, "p99": ours.1},
            "allocations": {"graphs": m.graphs_allocations, "chunk": m.chunk_allocations},
        });
        std::fs::write(file, serde_json::to_string_pretty(&document)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(holds)
}

/// Median and 99th percentile; zeros where there are none.
pub fn quantiles(values: &[f64]) -> (f64, f64) {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = |part: f64| values.get((values.len() as f64 * part) as usize).or(values.last()).copied().unwrap_or(0.0);
    (at(0.5), at(0.99))
}
