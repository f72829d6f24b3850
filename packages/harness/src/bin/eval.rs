//! `efm-eval`: runs many episodes in one process, without ROS, and says how often the policy succeeds.

use anyhow::{Context, Result};
use clap::Parser;
use efm_harness::agent::{Agent, PolicyAgent};
use efm_harness::episode::{self, EpisodeOptions};
use efm_harness::planner::{ExpertPlanner, RobotFiles};
use efm_harness::report::{EpisodeOutcome, Quantiles, Report};
use efm_harness::rig::Rig;
use efm_sim::Scene;
use efm_sim::tasks::EVAL_SEEDS;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Runs a policy in the simulator, in this process, faster than real time and the same for the same seed.
#[derive(Parser)]
#[command(name = "efm-eval", version)]
struct Args {
    /// Policy package, or "nothing" or "expert".
    #[arg(long, default_value = "models/panda_tabletop_flow")]
    policy: String,
    /// How many episodes.
    #[arg(long, default_value_t = 100)]
    episodes: usize,
    /// Seed of the first; the scenes are those of the evaluation seeds (never trained on), counted from here.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Scenes of the training seeds instead: to look at the policy, not to judge it.
    #[arg(long)]
    training_scenes: bool,
    /// Writes the report here too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Threads; every one simulates on its own.
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
    jobs: usize,
    /// Simulated milliseconds from an observation until its chunk reaches the streamer.
    #[arg(long, default_value_t = 60)]
    delay_ms: u64,
    /// Folder with urdf/, config/ and models/.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

fn main() -> Result<()> {
    env_logger::init();
    let args = Args::parse();
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let done: Mutex<Done> = Mutex::default();
    let identity = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..args.jobs.max(1)).map(|_| scope.spawn(|| work(&args, &next, &done, began))).collect();
        let mut identity = None;
        for worker in workers {
            identity = worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??.or(identity);
        }
        anyhow::Ok(identity)
    })?;
    let mut done = done.into_inner().unwrap_or_default();
    done.outcomes.sort_by_key(|o| o.seed);
    let simulated: f64 = done.outcomes.iter().map(|o| o.seconds).sum();
    let name = identity.as_ref().map_or_else(|| args.policy.clone(), |(name, _)| name.clone());
    let mut report = Report::new(name, "in-process", args.seed, done.outcomes);
    report.policy_sha256 = identity.map(|(_, hash)| hash);
    report.latency_ms = Quantiles::of(&mut done.inference);
    report.times_real_time = Some(simulated / done.busy.max(1e-9));
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    println!("{}{}", report.breakdown(), report.summary());
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[derive(Default)]
struct Done {
    outcomes: Vec<EpisodeOutcome>,
    inference: Vec<f64>,
    /// Seconds that workers spent in episodes, added up.
    busy: f64,
}

fn work(args: &Args, next: &AtomicUsize, done: &Mutex<Done>, began: Instant) -> Result<Option<(String, String)>> {
    let files = RobotFiles::under(&args.root);
    let (mut agent, identity) = match args.policy.as_str() {
        "nothing" => (Agent::Nothing, None),
        "expert" => (Agent::Expert(Box::new(ExpertPlanner::new(&files)?)), None),
        folder => {
            let agent = PolicyAgent::open(folder.as_ref(), &[args.root.join("models")], &files)
                .with_context(|| format!("policy package '{folder}'"))?;
            let identity = agent.identity();
            (Agent::Policy(Box::new(agent)), Some(identity))
        }
    };
    let options = EpisodeOptions { delay: Duration::from_millis(args.delay_ms), ..EpisodeOptions::default() };
    let first = if args.training_scenes { 0 } else { EVAL_SEEDS.start } + args.seed;
    let mut rig = Rig::new(&files, Scene::sample(first))?;
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= args.episodes {
            return Ok(identity);
        }
        let started = Instant::now();
        let outcome = episode::run(&mut rig, &mut agent, Scene::sample(first + index as u64), options)?;
        let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        done.busy += started.elapsed().as_secs_f64();
        done.outcomes.push(outcome);
        done.inference.append(&mut agent.take_inference_times());
        let (n, successes) = (done.outcomes.len(), done.outcomes.iter().filter(|o| o.success).count());
        let left = began.elapsed().as_secs_f64() / n as f64 * (args.episodes - n) as f64;
        if std::io::stderr().is_terminal() {
            eprint!("\r{n}/{} episodes, {successes} succeeded, {left:.0} s left   ", args.episodes);
            let _ = std::io::stderr().flush();
        } else if n.is_multiple_of(50) {
            eprintln!("{n}/{} episodes, {successes} succeeded, {left:.0} s left", args.episodes);
        }
    }
}
