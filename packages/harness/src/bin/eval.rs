//! `efm-eval`: runs many episodes in one process, without ROS, and says how often policies succeed, and where they fail.

use anyhow::{Context, Result, bail};
use clap::Parser;
use efm_harness::control::Control;
use efm_harness::curves;
use efm_harness::deployed::Deployed;
use efm_harness::episode::{EpisodeOptions, NewGoal};
use efm_harness::evaluate::{Actor, Plan, Progress, Settings, evaluate, first_seed};
use efm_harness::page;
use efm_harness::planner::RobotFiles;
use efm_harness::report::{Document, EpisodeOutcome, Run, Subject, command_line};
use efm_harness::rig::Filter;
use efm_harness::strip::{self, Strip};
use efm_schedule::{Mode, OnNewGoal};
use efm_sim::tasks::Split;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Runs policies in the simulator, in this process, faster than real time and the same for the same seed.
///
/// Two policies are compared on the same scenes. With --graph (see ./efm eval --graph --help) a policy is measured through the
/// running graph instead; --from makes a page of what either has written.
#[derive(Parser)]
#[command(name = "efm-eval", version)]
struct Args {
    /// Policy package (a folder, or a name in models/), or "nothing", "random" or "expert". May be given several times.
    #[arg(long, value_name = "DIR")]
    policy: Vec<String>,
    /// Where the scenes come from: heldout, novel, paraphrase or shifted (never trained on), all (these four), or train. May be
    /// given several times. [default: heldout]
    #[arg(long, value_name = "NAME")]
    split: Vec<String>,
    /// How many episodes of each split.
    #[arg(long, default_value_t = 100, value_name = "N")]
    episodes: usize,
    /// Place of the first scene in its split.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Adds the controls: shuffled (each episode gets another one's sentence, and is judged by its own), random and nothing.
    #[arg(long)]
    controls: bool,
    /// Runs only this control of the policy: nothing, random or shuffled. May be given several times.
    #[arg(long, conflicts_with = "controls")]
    control: Vec<Control>,
    /// Writes what was found here too; the file grows run by run.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Makes a page in this folder: index.html, and film strips beside it.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Takes what --json wrote instead of running anything; may be given several times. Film strips need --policy too.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["split", "controls", "control", "json"])]
    from: Vec<PathBuf>,
    /// Draws curves over the latency here (SVG), a line a mode, of the runs with --latency-ms or --mode.
    #[arg(long, value_name = "FILE")]
    curves: Option<PathBuf>,
    /// Film strips of failures for each policy and split.
    #[arg(long, default_value_t = 3, value_name = "N")]
    strips: usize,
    /// Threads; every one simulates on its own.
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
    jobs: usize,
    /// Simulated milliseconds from an observation until its chunk reaches the streamer.
    #[arg(long, default_value_t = 60)]
    delay_ms: u64,
    /// As --delay-ms, of a policy that thinks of one thing at a time: it looks again when its last chunk has come, or after its replan
    /// period, whichever is later, and the arm moves on meanwhile. Measures how motion flows from chunk to chunk.
    #[arg(long, value_name = "L", conflicts_with_all = ["delay_ms", "from"])]
    latency_ms: Option<u64>,
    /// How one chunk follows another: blend, fifo, temporal_ensemble or rtc. Measures as --latency-ms does. [default: as the
    /// parameters have it]
    #[arg(long, conflicts_with_all = ["delay_ms", "from"])]
    mode: Option<Mode>,
    /// Gives each episode another one's sentence first, and its own after --new-goal-at seconds; what happens to the motion then: blend,
    /// finish_chunk or stop_first. Measures as --latency-ms does, and the time from instruction to motion.
    #[arg(long, value_name = "RULE", conflicts_with_all = ["delay_ms", "from", "controls", "control"])]
    on_new_goal: Option<OnNewGoal>,
    /// See --on-new-goal.
    #[arg(long, default_value_t = 2.0, value_name = "S", requires = "on_new_goal")]
    new_goal_at: f64,
    /// Evaluates this parameter file of your nodes (limits, clearance, mode, on_new_goal, ...), over config/panda.yaml, which is what is evaluated
    /// otherwise. Again: further ones, later ones over earlier ones.
    #[arg(long, value_name = "FILE")]
    params: Vec<PathBuf>,
    /// Sends chunks to the controllers without the safety filter, to see what the filter costs.
    #[arg(long)]
    unfiltered: bool,
    /// Folder with urdf/, config/ and models/.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

fn main() -> Result<()> {
    env_logger::init();
    let args = Args::parse();
    check_outputs(&args)?;
    let files = RobotFiles::under(&args.root).with_parameters(&args.params);
    let deployed = Deployed::read(&files)?;
    let settings = Settings {
        files,
        models: args.root.join("models"),
        episodes: args.episodes,
        jobs: args.jobs.max(1),
        options: options(&args, &deployed),
        filter: if args.unfiltered { Filter::Off } else { Filter::Whole },
    };
    let actors = actors(&args, &settings)?;
    let document = if args.from.is_empty() {
        run(&args, &settings, &actors)?
    } else {
        let document = Document::read(&args.from)?;
        for run in &document.runs {
            println!("{}", run.summary());
        }
        document
    };
    for comparison in &document.comparisons {
        println!("{}", comparison.in_words());
    }
    if let Some(file) = &args.curves {
        let drawing =
            curves::svg(&document).context("--curves: no run was measured; run with --latency-ms or --mode")?;
        std::fs::write(file, drawing).with_context(|| format!("cannot write {}", file.display()))?;
        println!("curves: {}", file.display());
    }
    if let Some(folder) = &args.report {
        let strips = strips(&args, &settings, &actors, &document, folder)?;
        let file = folder.join("index.html");
        std::fs::write(&file, page::html(&document, &strips))
            .with_context(|| format!("cannot write {}", file.display()))?;
        println!("report: {}", file.display());
    }
    Ok(())
}

fn options(args: &Args, deployed: &Deployed) -> EpisodeOptions {
    let measured = args.latency_ms.is_some() || args.mode.is_some() || args.on_new_goal.is_some();
    EpisodeOptions {
        delay: Duration::from_millis(if measured { args.latency_ms.unwrap_or(0) } else { args.delay_ms }),
        mode: args.mode.unwrap_or(deployed.mode()),
        one_at_a_time: measured,
        new_goal: args.on_new_goal.map(|rule| NewGoal { at: args.new_goal_at, rule }),
        ..EpisodeOptions::default()
    }
}

/// What cannot be written is told before the work, not after it.
fn check_outputs(args: &Args) -> Result<()> {
    for (option, file) in [("--json", &args.json), ("--curves", &args.curves)] {
        if let Some(folder) = file.as_deref().and_then(Path::parent)
            && !folder.as_os_str().is_empty()
            && !folder.is_dir()
        {
            bail!("{option}: there is no folder {}", folder.display());
        }
    }
    if let Some(folder) = &args.report {
        std::fs::create_dir_all(folder).with_context(|| format!("--report: cannot make {}", folder.display()))?;
    }
    if args.episodes == 0 {
        bail!("--episodes: at least one");
    }
    if !args.from.is_empty() && args.report.is_none() && args.curves.is_none() {
        bail!("--from: says nothing new without --report DIR or --curves FILE");
    }
    Ok(())
}

/// Somebody who acts, with the name and the hash that reports have.
type Known = (Actor, String, Option<String>);

fn actors(args: &Args, settings: &Settings) -> Result<Vec<Known>> {
    let shipped = ["models/panda_tabletop_flow".to_owned()];
    // A page of what was found before needs a policy only for pictures.
    let named = if args.policy.is_empty() && args.from.is_empty() { &shipped[..] } else { &args.policy };
    let mut actors: Vec<Known> = Vec::new();
    for name in named {
        let actor = Actor::named(name, &args.root)?;
        let (policy, hash) =
            actor.identity(&settings.files, &settings.models).with_context(|| format!("policy package '{name}'"))?;
        let policy = if args.unfiltered { format!("{policy} (without the safety filter)") } else { policy };
        if actors.iter().any(|(_, p, h)| (p, h) == (&policy, &hash)) {
            bail!("--policy: '{name}' is given twice ({policy})");
        }
        actors.push((actor, policy, hash));
    }
    Ok(actors)
}

fn splits(args: &Args) -> Result<Vec<Split>> {
    let mut splits = Vec::new();
    for name in &args.split {
        match name.as_str() {
            "all" => splits.extend(Split::EVALUATION),
            name => splits.push(name.parse()?),
        }
    }
    if splits.is_empty() {
        splits.push(Split::Heldout);
    }
    let mut seen = std::collections::BTreeSet::new();
    splits.retain(|split| seen.insert(*split));
    Ok(splits)
}

/// What is to be run: each policy on each split, with its controls. Controls that do not depend on the policy are run once.
fn plans(args: &Args, actors: &[Known]) -> Result<Vec<Plan>> {
    let mut plans: Vec<Plan> = Vec::new();
    let controls: &[Control] = if args.controls { &Control::ALL } else { &args.control };
    for split in splits(args)? {
        first_seed(split, args.seed, args.episodes)?;
        let mut add = |actor: &Actor, policy: &str, hash: Option<&str>, control: Option<Control>| {
            let subject = Subject {
                policy: policy.to_owned(),
                policy_sha256: hash.map(str::to_owned),
                split,
                control,
                how: "in-process".to_owned(),
                seed: args.seed,
            };
            let plan = Plan { actor: actor.clone(), subject };
            if !plans.contains(&plan) {
                plans.push(plan);
            }
        };
        for (actor, policy, hash) in actors {
            let hash = hash.as_deref();
            if args.control.is_empty() || actor.control().is_some() {
                add(actor, policy, hash, actor.control());
            }
            for control in controls {
                match control {
                    Control::Nothing => add(&Actor::Nothing, "nothing", None, Some(Control::Nothing)),
                    Control::Random => add(&Actor::Random, "random", None, Some(Control::Random)),
                    // Others do not listen anyway.
                    Control::Shuffled if matches!(actor, Actor::Package(_)) => {
                        add(actor, policy, hash, Some(Control::Shuffled));
                    }
                    Control::Shuffled => {}
                }
            }
        }
    }
    if plans.is_empty() {
        bail!("--control shuffled: only a policy package listens to sentences");
    }
    Ok(plans)
}

fn run(args: &Args, settings: &Settings, actors: &[Known]) -> Result<Document> {
    let plans = plans(args, actors)?;
    let terminal = std::io::stderr().is_terminal();
    let mut last = Instant::now();
    let mut written = 0;
    let mut trouble = None;
    let mut told = |progress: &Progress, over: &[Run]| {
        if terminal || progress.run_over || last.elapsed() > Duration::from_secs(20) {
            last = Instant::now();
            show(progress, terminal);
        }
        // What is finished is kept even if the rest never is.
        if let Some(file) = args.json.as_deref().filter(|_| over.len() > written) {
            written = over.len();
            let document = Document::new(command_line(), over.to_vec());
            trouble = document.write(file).with_context(|| format!("cannot write {}", file.display())).err();
        }
    };
    let runs = evaluate(settings, &plans, &mut told)?;
    if terminal {
        eprintln!();
    }
    for run in &runs {
        if run.control.is_none() {
            print!("{}", run.breakdown());
        }
        println!("{}", run.summary());
    }
    let document = Document::new(command_line(), runs);
    if let Some(file) = &args.json {
        document.write(file).with_context(|| format!("cannot write {}", file.display()))?;
    }
    trouble.map_or(Ok(document), Err)
}

fn show(progress: &Progress, terminal: bool) {
    let Progress { done, total, run, of_run: (n, successes), seconds_left, .. } = progress;
    let left = match seconds_left {
        s if *s >= 90.0 => format!("{:.0} min", s / 60.0),
        s => format!("{s:.0} s"),
    };
    let line = format!("{done}/{total} episodes, {left} left; {run}: {successes} of {n} succeeded");
    if terminal {
        eprint!("\r{line:<76}");
        let _ = std::io::stderr().flush();
    } else {
        eprintln!("{line}");
    }
}

/// Film strips of everything that was run in-process by a policy that is here.
fn strips(
    args: &Args,
    settings: &Settings,
    actors: &[Known],
    document: &Document,
    folder: &Path,
) -> Result<Vec<Strip>> {
    let mut wanted: Vec<(Plan, usize, usize, EpisodeOutcome)> = Vec::new();
    for (place, run) in document.runs.iter().enumerate() {
        let known = actors.iter().find(|(_, policy, hash)| (policy, hash) == (&run.policy, &run.policy_sha256));
        let (Some((actor, ..)), None, "in-process") = (known, run.control, run.how.as_str()) else { continue };
        let subject = Subject {
            policy: run.policy.clone(),
            policy_sha256: run.policy_sha256.clone(),
            split: run.split.parse()?,
            control: run.control,
            how: run.how.clone(),
            seed: run.seed,
        };
        for episode in strip::worth_a_look(run, args.strips) {
            let plan = Plan { actor: actor.clone(), subject: subject.clone() };
            wanted.push((plan, place, episode, run.outcomes[episode].clone()));
        }
    }
    if !wanted.is_empty() {
        eprintln!("film strips of {} episodes ...", wanted.len());
    }
    Ok(strip::film(settings, &wanted, folder, &|_| {})?)
}
