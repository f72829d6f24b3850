//! `efm-bench cell`.

use crate::cell::play::{Robot, Settings, play};
use crate::cell::totals::Totals;
use crate::rng::episode_seed;
use crate::run::parallel;
use anyhow::{Context, Result};
use efm_harness::planner::RobotFiles;
use std::path::PathBuf;
use std::time::Instant;

/// One run in so many has physics.
pub const PHYSICS_EVERY: u64 = 10;

/// Options of `efm-bench cell`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How many runs; every tenth has physics.
    #[arg(long, default_value_t = 10_000)]
    pub runs: u64,
    /// How many threads; all cores by default.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Seed of the whole.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Writes the results here.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Plays the run of this seed only, and tells what happens.
    #[arg(long)]
    pub run: Option<u64>,
    /// With --run: with physics.
    #[arg(long)]
    pub physics: bool,
    /// Part of the joints' limits that the expert uses; as much as the filter may by default.
    #[arg(long)]
    pub share: Option<f64>,
    /// The filter does not know the obstacles: what the judges see then.
    #[arg(long)]
    pub blind: bool,
}

/// Plays the runs `first` to `first + count - 1` of a seed.
///
/// # Errors
/// When a run cannot be played; its seed is named.
pub fn batch(
    robot: &Robot,
    seed: u64,
    (first, count): (u64, u64),
    threads: usize,
    settings: Settings,
    totals: &mut Totals,
) -> Result<()> {
    for outcome in parallel(count, threads, |i| {
        let (number, seed) = (first + i, episode_seed(seed, first + i));
        let settings = Settings { physics: number % PHYSICS_EVERY == 0, tell: false, ..settings };
        play(seed, robot, settings).with_context(|| format!("--run {seed}"))
    })? {
        totals.add(outcome?);
    }
    Ok(())
}

/// Does what the options say; whether nothing touched.
///
/// # Errors
/// When a run cannot be played, or the results cannot be written.
pub fn bench(files: &RobotFiles, args: &Args) -> Result<bool> {
    let robot = Robot::load(files)?;
    let mut totals = Totals::new();
    let settings = Settings { physics: args.physics, space: !args.blind, share: args.share, tell: true };
    if let Some(seed) = args.run {
        totals.add(play(seed, &robot, settings)?);
        print!("{}", totals.table());
        return Ok(totals.touches() == 0);
    }
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let (begun, mut told) = (Instant::now(), Instant::now());
    while totals.runs < args.runs {
        let count = (args.runs - totals.runs).min(40);
        batch(&robot, args.seed, (totals.runs, count), threads, settings, &mut totals)?;
        if told.elapsed().as_secs() >= 10 || totals.runs >= args.runs {
            told = Instant::now();
            eprintln!(
                "{} of {} runs, {:.1} a second; {} undeclared contacts, {} needless of {} judged goals",
                totals.runs,
                args.runs,
                totals.runs as f64 / begun.elapsed().as_secs_f64(),
                totals.touches(),
                totals.needless,
                totals.judged
            );
        }
    }
    print!("{}", totals.table());
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_string_pretty(&totals.to_json(args.seed))? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(totals.touches() == 0)
}
