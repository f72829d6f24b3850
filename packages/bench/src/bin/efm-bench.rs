//! `efm-bench`: measures the safety filter, and what policies cost.

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use efm_bench::rng::episode_seed;
use efm_bench::stimulus::Stimulus;
use efm_bench::{
    arm, cell, counting, episode, evaluation, growth, hot, image, instructions, kill, lerobot, page, policy, report,
    run, tick, transparent,
};
use efm_harness::planner::RobotFiles;
use efm_safety::StreamConfig;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Measures the safety filter, and what policies cost.
#[derive(Parser)]
#[command(name = "efm-bench", version)]
struct Args {
    /// Folder with urdf/ and config/.
    #[arg(long, default_value = ".", global = true)]
    root: PathBuf,
    /// Evaluates this parameter file of your nodes, over config/panda.yaml. Again: further ones. For safety, kill, cell, tick and transparent.
    #[arg(long, global = true, value_name = "FILE")]
    params: Vec<PathBuf>,
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
        /// Plays episodes of the scenario with this name only.
        #[arg(long)]
        scenario: Option<String>,
    },
    /// The publisher dies at random moments of sane streams. Fails unless the arm is at rest on the published tail in time, always.
    Kill {
        /// How many deaths in motion.
        #[arg(long, default_value_t = 10_000)]
        runs: u64,
        /// How many threads; all cores by default.
        #[arg(long)]
        threads: Option<usize>,
        /// Seed of the run.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Writes the results here.
        #[arg(long)]
        json: Option<PathBuf>,
        /// `window_s` of the filter [default: as shipped]
        #[arg(long)]
        window: Option<f64>,
        /// `committed_s` of the filter [default: as shipped]
        #[arg(long)]
        committed: Option<f64>,
        /// Each robot has a window of its own at random, up to 0.15 s, which alone is longer than some may take.
        #[arg(long, conflicts_with_all = ["window", "committed"])]
        own_windows: bool,
        /// Only robots with the Panda's limits, which otherwise are a quarter.
        #[arg(long = "panda")]
        panda_only: bool,
        /// The death of this seed only.
        #[arg(long)]
        death: Option<u64>,
    },
    /// Random goals among random obstacles. Fails on a contact that is not declared.
    Cell(cell::Args),
    /// How long a tick takes. Fails on an allocation, on any difference between repetitions, and where 99.9 % of the ticks at 1 kHz are too long.
    Tick(tick::Args),
    /// The expert's demonstrations through the filter. Fails where more than 1 % of the ticks of jerk-limited ones differ by more than 1 mrad.
    Transparent(transparent::Args),
    /// How fast policies are evaluated, over threads.
    Evaluation(evaluation::Args),
    /// Puts the parts that others wrote by --section on one page. Fails where something was not reached.
    Page(page::Args),
    /// What a policy's chunk costs beside the calls to ONNX Runtime. Fails where that is more than 3 % of them and more than 0.3 ms.
    Policy(policy::Args),
    /// From a camera's message to the policy's tensor, beside OpenCV and Pillow. Fails where their pictures are others than ours.
    Image(image::Args),
    /// From an observation to an action, beside LeRobot's own loop on the same policy. Fails where the two act differently.
    Lerobot(lerobot::Args),
    /// What a call costs as its work grows: joints, pairs of bodies, rows of a chunk. Fails where a stated target is missed.
    Growth(growth::Args),
    /// Instructions of the hot paths, counted by valgrind, beside the baseline.
    Instructions(instructions::Args),
    /// A hot path and nothing else: what `instructions` runs under valgrind.
    Hot(hot::Args),
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
    let files = RobotFiles::under(&args.root).with_parameters(&args.params);
    let reads_them = matches!(
        args.what,
        What::Safety { .. } | What::Kill { .. } | What::Cell(_) | What::Tick(_) | What::Transparent(_)
    );
    if !args.params.is_empty() && !reads_them {
        bail!("--params: this part reads no parameters of nodes; safety, kill, cell, tick and transparent do");
    }
    let panda = arm::panda_of(&files)?;
    let threads =
        |wanted: Option<usize>| wanted.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    match args.what {
        What::Cell(options) => cell::command::bench(&files, &options),
        What::Evaluation(options) => evaluation::bench(&args.root, &options),
        What::Page(options) => page::write(&options),
        What::Image(options) => image::bench(&options),
        What::Lerobot(options) => lerobot::bench(&args.root, &options),
        What::Policy(options) => policy::bench(&args.root, &options),
        What::Growth(options) => growth::bench(&args.root, &options),
        What::Instructions(options) => instructions::bench(&args.root, &options),
        What::Hot(options) => hot::bench(&args.root, &options),
        What::Tick(options) => tick::bench(&files, &options),
        What::Transparent(options) => transparent::bench(&files, &options),
        What::Safety { ticks, long, threads: wanted, seed, resume, json, episode, scenario } => {
            // A panic of the filter is a finding; its message is in the table.
            std::panic::set_hook(Box::new(|_| ()));
            if let Some(seed) = episode {
                return one(seed, &panda, scenario.as_deref());
            }
            let ticks = if long { 100_000_000 } else { ticks };
            let build = run::build();
            let mut totals = match &resume {
                Some(file) => run::Totals::load(file, seed, build)?,
                None => run::Totals::new(seed, build),
            };
            let scenario = scenario.as_deref();
            let episodes = run::episodes_for(ticks);
            let (start, before) = (Instant::now(), totals.filter.tally.ticks);
            let mut told = Instant::now();
            run::run(&mut totals, episodes, threads(wanted), &panda, scenario, resume.as_deref(), |t| {
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
        What::Kill { runs, threads: wanted, seed, json, window, committed, own_windows, panda_only, death } => {
            let shipped = StreamConfig::default();
            let settings = kill::Settings {
                window_s: (!own_windows).then_some(window.unwrap_or(shipped.window_s)),
                committed_s: (!own_windows).then_some(committed.unwrap_or(shipped.committed_s)),
                panda_only,
            };
            let mut deaths = Vec::new();
            if let Some(seed) = death {
                deaths.extend(kill::die(seed, &panda, settings)?);
            }
            let mut next = 0;
            while death.is_none() && (deaths.len() as u64) < runs {
                let batch = (runs - deaths.len() as u64).min(500);
                for result in run::parallel(batch, threads(wanted), |i| {
                    let seed = episode_seed(seed, next + i);
                    kill::die(seed, &panda, settings).with_context(|| format!("--death {seed}"))
                })? {
                    deaths.extend(result?);
                }
                next += batch;
                eprintln!("{} of {runs} deaths", deaths.len());
            }
            let summary = kill::summary(&deaths);
            print!("{}", kill::table(&summary));
            if let Some(file) = json {
                std::fs::write(&file, serde_json::to_string_pretty(&summary)? + "\n")
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
            Ok(deaths.iter().all(kill::Death::is_good))
        }
    }
}

fn one(seed: u64, panda: &arm::Panda, scenario: Option<&str>) -> Result<bool> {
    let stimulus = Stimulus::of_seed(seed, scenario, panda)?;
    println!("{:#?}\n{:?}", stimulus.arm.config, stimulus.arm.bounds);
    let outcome = episode::play(seed, scenario, panda, true)?;
    let text = serde_json::to_string_pretty(&report::measured(&outcome.filter))?;
    println!("scenario {}, Panda: {}\n{text}", efm_bench::stimulus::SCENARIOS[outcome.scenario].name, outcome.panda);
    Ok(outcome.filter.tally.total() == 0)
}
