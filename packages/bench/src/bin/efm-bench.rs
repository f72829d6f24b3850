//! `efm-bench`: measures the safety filter.

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use efm_bench::{arm, counting, episode, report, run};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Measures the safety filter.
#[derive(Parser)]
#[command(name = "efm-bench", version)]
struct Args {
    /// Folder with urdf/ and config/.
    #[arg(long, default_value = ".", global = true)]
    root: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Adversarial ticks, judged from the published messages alone; other rules on the same streams. Fails on any violation.
    Safety {
        /// How many ticks of the filter.
        #[arg(long, default_value_t = 10_000_000)]
        ticks: u64,
        /// 1e8 ticks.
        #[arg(long, conflicts_with = "ticks")]
        long: bool,
        /// How many threads; all cores by default.
        #[arg(long)]
        threads: Option<usize>,
        /// Seed of the run.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Checkpoint, written after every batch of episodes; goes on from there if it exists.
        #[arg(long)]
        resume: Option<PathBuf>,
        /// Writes the results here.
        #[arg(long)]
        json: Option<PathBuf>,
        /// Plays the episode of this seed only, and tells every violation.
        #[arg(long)]
        episode: Option<u64>,
    },
}

fn main() -> ExitCode {
    match bench(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("efm-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn bench(args: Args) -> Result<bool> {
    let panda = arm::panda_bounds(&args.root)?;
    match args.what {
        What::Safety { ticks, long, threads, seed, resume, json, episode } => {
            // A panic of the filter is a finding; its message is in the table.
            std::panic::set_hook(Box::new(|_| ()));
            if let Some(seed) = episode {
                return one(seed, &panda);
            }
            let ticks = if long { 100_000_000 } else { ticks };
            let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
            let build = run::build();
            let mut totals = match &resume {
                Some(file) => run::Totals::load(file, seed, build)?,
                None => run::Totals::new(seed, build),
            };
            let episodes = run::episodes_for(ticks);
            let (start, before) = (Instant::now(), totals.filter.tally.ticks);
            let mut told = Instant::now();
            run::run(&mut totals, episodes, threads, &panda, resume.as_deref(), |t| {
                if told.elapsed().as_secs() >= 5 || t.episodes >= episodes {
                    told = Instant::now();
                    let rate = (t.filter.tally.ticks - before) as f64 / start.elapsed().as_secs_f64();
                    eprintln!(
                        "{:.2}e6 of {:.2}e6 ticks, {rate:.0} a second, {} violations",
                        t.filter.tally.ticks as f64 * 1e-6,
                        ticks as f64 * 1e-6,
                        t.filter.tally.total()
                    );
                }
            })?;
            print!("{}", report::table(&totals));
            if let Some(file) = json {
                std::fs::write(&file, serde_json::to_string_pretty(&report::to_json(&totals))? + "\n")
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
            Ok(totals.filter.tally.total() == 0)
        }
    }
}

fn one(seed: u64, panda: &arm::Bounds) -> Result<bool> {
    let outcome = episode::play(seed, panda, true)?;
    let text = serde_json::to_string_pretty(&report::measured(&outcome.filter))?;
    println!("scenario {}, Panda: {}\n{text}", efm_bench::stimulus::SCENARIOS[outcome.scenario].name, outcome.panda);
    Ok(outcome.filter.tally.total() == 0)
}
