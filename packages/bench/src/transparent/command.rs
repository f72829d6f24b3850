//! `efm-bench transparent`.

use crate::arm::deployed_panda;
use crate::run::parallel;
use crate::transparent::compare::{SHIFT, Totals, Trace};
use crate::transparent::limiter::limited;
use crate::transparent::run::{play, replay};
use anyhow::{Context, Result};
use efm_harness::planner::RobotFiles;
use efm_sim::Split;
use serde_json::json;
use std::path::PathBuf;

/// Part of the ticks of jerk-limited demonstrations that may differ.
pub const ALLOWED: f64 = 0.01;

/// Options of `efm-bench transparent`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How many scenes of each split.
    #[arg(long, default_value_t = 25)]
    pub seeds: u64,
    /// Writes the results here.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// How many threads; all cores by default.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Parts of the limits at which demonstrations are made jerk-limited; the first decides. By default what the filter lets a path ask for, what
    /// it uses itself, and less.
    #[arg(long, value_delimiter = ',', default_value = "0.92,0.8,0.6")]
    pub shares: Vec<f64>,
}

/// What is done with the expert's motion before filter and reference get it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    /// Nothing: the expert in the loop.
    Raw,
    /// The chunks of that loop, joined, are made jerk-limited at a part of the limits; rows of so many ticks.
    Limited(f64, usize),
    /// What the filter commanded in that loop: jerk-limited as the robot did it.
    Executed(usize),
}

impl Mode {
    fn name(self) -> String {
        match self {
            Self::Raw => "the expert as it is".to_owned(),
            Self::Limited(share, stride) => {
                format!("jerk-limited at {share} of the limits, rows of {} ms", 10 * stride)
            }
            Self::Executed(stride) => format!("as the robot did it, rows of {} ms", 10 * stride),
        }
    }
}

/// Does what the options say; whether jerk-limited demonstrations pass.
///
/// # Errors
/// When a demonstration cannot be played, or the results cannot be written.
pub fn bench(files: &RobotFiles, args: &Args) -> Result<bool> {
    let deployed = deployed_panda(files)?;
    let (limits, config) = (deployed.cell().limits().clone(), deployed.cell().config().clone());
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let decides = args.shares.first().map(|share| Mode::Limited(*share, 2));
    let mut modes = vec![Mode::Raw];
    modes.extend(args.shares.iter().map(|share| Mode::Limited(*share, 1)));
    modes.extend(args.shares.first().map(|share| Mode::Limited(*share, 2)));
    modes.extend(args.shares.first().map(|share| Mode::Limited(*share, 10)));
    modes.extend([Mode::Executed(2), Mode::Executed(10)]);
    let (mut results, mut decisive) = (Vec::new(), Totals::default());
    for split in [Split::Train, Split::Heldout] {
        let first = split.seeds().start;
        let raw = parallel(args.seeds, threads, |i| {
            play(&deployed, files, first + i).with_context(|| format!("seed {}", first + i))
        })?;
        let raw = raw.into_iter().collect::<Result<Vec<Trace>>>()?;
        for mode in modes.iter().copied() {
            let (mut totals, mut joined) = (Totals::default(), Totals::default());
            for trace in parallel(args.seeds, threads, |i| {
                let seen = &raw[i as usize];
                match mode {
                    Mode::Raw => Ok(seen.clone()),
                    Mode::Limited(share, stride) => {
                        replay(&deployed, &limited(&seen.joined, config.period_s, &limits, share)?, stride)
                    }
                    Mode::Executed(stride) => replay(&deployed, &seen.commanded, stride),
                }
                .with_context(|| format!("seed {}, {}", first + i, mode.name()))
            })? {
                let trace = trace?;
                totals.add(&trace, &limits, config.period_s);
                joined.add_joined(&trace, &limits, config.period_s);
                if Some(mode) == decides {
                    decisive.add(&trace, &limits, config.period_s);
                }
            }
            let name = mode.name();
            let (best, d) = (totals.best(), totals.differences());
            println!(
                "{}: {name}: {} episodes ({} done), {} ticks",
                split.name(),
                totals.episodes,
                totals.successes,
                totals.ticks[best]
            );
            println!(
                "  {:.2} % differ by more than 1 mrad (shifted by {} ticks; unshifted {:.2} %); mrad: p50 {:.3}, p99 {:.2}, max {:.2}",
                1e2 * totals.share(best),
                best as i64 - SHIFT as i64,
                1e2 * totals.share(SHIFT),
                d.p50,
                d.p99,
                d.max
            );
            let (slot, d) = (joined.best(), joined.differences());
            println!(
                "  joined where the filter may join them: {:.2} % (shifted by {}; unshifted {:.2} %); mrad: p50 {:.3}, p99 {:.2}, max {:.2}",
                1e2 * joined.share(slot),
                slot as i64 - SHIFT as i64,
                1e2 * joined.share(SHIFT),
                d.p50,
                d.p99,
                d.max
            );
            println!(
                "  beyond the limits in {:.2} % of the ticks (velocity {:.2}, acceleration {:.2}, jerk {:.2}), joined so {:.2} %; slowed down in {:.2} %, by \
                 velocity, acceleration, jerk, rejoining, space, other: {:?}; refused by the space: {}",
                1e2 * totals.share_beyond(3),
                1e2 * totals.share_beyond(0),
                1e2 * totals.share_beyond(1),
                1e2 * totals.share_beyond(2),
                1e2 * joined.share_beyond(3),
                1e2 * totals.share_slowed(),
                totals.slowed,
                totals.refused
            );
            results.push(json!({ "split": split.name(), "demonstrations": name, "result": totals.to_json(), "joined": joined.to_json() }));
        }
    }
    let share = decisive.share(decisive.best());
    println!(
        "jerk-limited demonstrations: {:.2} % of the ticks differ; at most {:.0} % may",
        1e2 * share,
        1e2 * ALLOWED
    );
    if let Some(file) = &args.json {
        let all = json!({ "share": share, "allowed": ALLOWED, "all": decisive.to_json(), "modes": results });
        std::fs::write(file, serde_json::to_string_pretty(&all)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(share <= ALLOWED)
}
