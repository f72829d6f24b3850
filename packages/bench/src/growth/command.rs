//! `efm-bench growth`.

use crate::growth::policy::Policies;
use crate::growth::safety;
use crate::growth::schedule;
use crate::growth::series::{Group, Grown, Measured};
use crate::section::{Section, Target};
use crate::tick::command::{LIMIT_US, PAIRS};
use crate::tick::robot::Robot;
use anyhow::Result;
use efm_harness::planner::RobotFiles;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Options of `efm-bench growth`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// In less than 40 s: fewer rounds, ticks and chunks.
    #[arg(long)]
    pub quick: bool,
    /// Writes the results here, as a part of the report.
    #[arg(long)]
    pub section: Option<PathBuf>,
}

/// How much is measured.
struct Effort {
    rounds: u64,
    ticks: usize,
    fast_rounds: u64,
    fast_ticks: usize,
    scheduled: usize,
    policy: usize,
}

const QUICK: Effort = Effort { rounds: 3, ticks: 500, fast_rounds: 15, fast_ticks: 4000, scheduled: 200, policy: 90 };
const FULL: Effort =
    Effort { rounds: 10, ticks: 2000, fast_rounds: 40, fast_ticks: 8000, scheduled: 1000, policy: 450 };

/// Does what the options say; whether what was to be reached was.
///
/// # Errors
/// When a file or a policy package cannot be read, or the results cannot be written.
pub fn bench(root: &Path, args: &Args) -> Result<bool> {
    let section = measure(root, if args.quick { &QUICK } else { &FULL })?;
    section.deliver(args.section.as_deref())
}

fn measure(root: &Path, effort: &Effort) -> Result<Section> {
    let ([alone, among], pandas, panda) =
        (safety::chains()?, safety::pandas(root)?, Robot::panda(&RobotFiles::under(root))?);
    let ticks = effort.ticks;
    let ticking = [
        safety::over_joints("Safety tick over joints, limits of joints only", &alone, ticks),
        safety::over_joints("Safety tick over joints, about 300 pairs of bodies", &among, ticks),
        safety::over_pairs("Safety tick of the Panda over pairs of bodies", &pandas, ticks),
    ];
    let fast = safety::at_one_kilohertz("Safety tick of the Panda at 1 kHz", &pandas, PAIRS, effort.fast_ticks);
    let clock = schedule::clock_nanos();
    let scheduling = schedule::groups(&panda, effort.scheduled, clock);
    let grown = |groups: Vec<Group<'_>>| -> Result<Vec<Grown>> {
        groups.into_iter().map(|group| group.measure(effort.rounds)).collect()
    };
    let (ticking, fast, scheduling) =
        (grown(ticking.into())?, fast.measure(effort.fast_rounds)?, grown(scheduling.into())?);
    let policies = Policies::measure(root, effort.policy)?;

    let longest = fast.cases().iter().map(|case| case.each().p999).fold(0.0, f64::max);
    let mut targets = vec![
        Target {
            asked: format!(
                "99.9 % of the safety ticks at 1 kHz within {LIMIT_US:.0} us, with about {PAIRS} pairs, each tick at its least"
            ),
            measured: format!(
                "{longest:.0} us (the longest of smooth, hostile, blocked; {} rounds)",
                effort.fast_rounds
            ),
            met: longest <= LIMIT_US,
        },
        none("safety tick", ticking.iter().chain([&fast]).flat_map(Grown::cases)),
        // Taking a chunk is what may allocate.
        none("scheduler tick, and none in putting a chunk in use", scheduling[..2].iter().flat_map(Grown::cases)),
    ];
    targets.extend(policies.targets());

    let groups = || ticking.iter().chain([&fast]).chain(&scheduling);
    let is_grown = |grown: &&Grown| {
        grown.to_json()["exponents"].as_array().is_some_and(|all| all.iter().any(|e| !e["p50"].is_null()))
    };
    let mut tables: Vec<_> = groups()
        .flat_map(|grown| {
            let [times, exponents] = grown.tables();
            std::iter::once(times).chain(is_grown(&grown).then_some(exponents))
        })
        .collect();
    tables.push(policies.table());
    Ok(Section {
        name: "growth".into(),
        title: "What a call costs as its work grows".into(),
        text: text(effort, clock),
        targets,
        tables,
        plots: groups().filter(is_grown).map(Grown::plot).collect(),
        figures: json!({ "groups": groups().map(Grown::to_json).collect::<Value>(), "policies": policies.to_json() }),
    })
}

fn none<'a>(what: &str, cases: impl Iterator<Item = &'a Measured>) -> Target {
    let most = cases.map(Measured::allocations).fold(0.0, f64::max);
    Target { asked: format!("no allocation in a {what}"), measured: format!("at most {most} a call"), met: most == 0.0 }
}

fn text(effort: &Effort, clock: u64) -> String {
    format!(
        "All sizes in turn, {} rounds. Of each quantile the least over the rounds; *spread* is by how much the worst round is above it. The exponent is \
         the slope of the logarithm of the time over that of the size (1: as the size), in brackets the least and the greatest of single rounds.\n\n\
         The safety tick is `TrajectoryStreamer::tick` at 100 Hz as shipped, {} ticks a round, thread CPU time (reading that clock is in it): *smooth* \
         sinusoids with a chunk every 0.2 s, *hostile* from one end of every joint's range to the other with a chunk every third tick. Chains are 0.8 m \
         long whatever the number of their joints; 28 joints have some 280 pairs among themselves, so all chains get boxes until they have about 300. The \
         Panda (seven joints and the finger) has its SRDF, its table and boxes. The ticks at 1 kHz are those of `./efm bench tick`, {} rounds.\n\n\
         A tick of the scheduler is `Scheduler::reference` of eight joints at 100 Hz, the mean of 20 in a row, for one takes about as long as reading the \
         clock; *putting in use* is `take_over`, *taking* is `offer`; {} chunks a round, rows 0.1 s apart, a chunk every 0.2 s. Thread CPU time, less the \
         {clock} ns that reading the clock takes. `rtc` is `blend` to the scheduler: what is special about it is in the policy.\n\n\
         A policy's own part is `Policy::act` less a run of its graphs alone behind it, in thread CPU time, {} turns on one thread. Over the number of \
         cameras nothing can be said: every shipped package looks through two.",
        effort.rounds, effort.ticks, effort.fast_rounds, effort.scheduled, effort.policy
    )
}
