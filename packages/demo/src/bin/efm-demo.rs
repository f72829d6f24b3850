//! `efm-demo`: the graph as separate processes, goals in words, a table of what became of them, a recording and pictures.

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use efm_core::reading;
use efm_demo::busy::{Busy, LOOK, Speed};
use efm_demo::clock;
use efm_demo::film::{film, strip};
use efm_demo::graph::Graph;
use efm_demo::plan::{Arguments, Planned, plan};
use efm_demo::processes::Processes;
use efm_demo::record::Recorder;
use efm_demo::show::{PROPOSER, Played, Programme};
use efm_demo::stage::Stage;
use efm_demo::tell::{GraphReport, table};
use efm_harness::agent::policy_folder;
use efm_harness::control::Control;
use efm_harness::page;
use efm_harness::planner::RobotFiles;
use efm_harness::report::Subject;
use efm_policy::{MANIFEST_FILE, Manifest};
use efm_ros::Shutdown;
use efm_sim::tasks::Split;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Episodes whose every picture is in the film.
const FILMED: usize = 3;
/// Exit code after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

/// Brings up the graph with the simulator, gives it goals in words, and shows what became of them.
///
/// Exit code 0 exactly when at least 70 % of the goals succeeded (with --evaluate: when all episodes were run). Leaves a
/// recording, pictures and a report in .efm/demo, and the logs of all processes in .efm/log/demo.
#[derive(Parser)]
#[command(name = "efm-demo", version)]
struct Args {
    /// Number of goals; 10, or 100 with --evaluate.
    #[arg(long, visible_alias = "goals", value_name = "N")]
    episodes: Option<usize>,
    /// Where the scenes come from: heldout, novel, paraphrase, shifted (never trained on), or train.
    #[arg(long, default_value_t = Split::Heldout)]
    split: Split,
    /// Place of the first scene in its split.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// With --evaluate, a control instead: shuffled (each scene gets another one's sentence, and is judged by its own), random
    /// (in the place of vla_inference somebody proposes random motion), or nothing (no goal is given at all).
    #[arg(long, requires = "evaluate")]
    control: Option<Control>,
    /// Only measure: no recording and no pictures unless asked for, and exit code 0 whatever the share of successes.
    #[arg(long)]
    evaluate: bool,
    /// Writes the report here too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Makes a page in this folder: index.html. (Film strips come from in-process runs: ./efm eval without --graph.)
    #[arg(long, value_name = "DIR", requires = "evaluate")]
    report: Option<PathBuf>,
    /// Policy package. A relative folder is looked for from here, in the repository and in its models.
    #[arg(long, value_name = "DIR")]
    policy: Option<String>,
    /// Parameter file whose values replace those of the suite's own.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// Folder of the recording; it must not exist.
    #[arg(long, value_name = "DIR")]
    bag: Option<PathBuf>,
    /// Where the strip of pictures goes (.png), or the film (.gif).
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Simulated seconds a second, at most 1, which is the wall's time. Without it a demo measures how busy this machine is, and slows simulated time down
    /// where the graph would not keep up; --evaluate keeps to the wall's.
    #[arg(long, value_name = "F", value_parser = factor, allow_negative_numbers = true)]
    real_time_factor: Option<f64>,
    /// Log level of all nodes.
    #[arg(long, default_value = "info", value_parser = ["debug", "info", "warn", "error", "fatal"])]
    log_level: String,
    /// Prints what would be started as JSON, and starts nothing.
    #[arg(long)]
    print_plan: bool,
    /// With --print-plan: as the launch argument of this name.
    #[arg(long, requires = "print_plan")]
    sim: Option<bool>,
    /// With --print-plan: as the launch argument of this name.
    #[arg(long, requires = "print_plan")]
    use_sim_time: Option<bool>,
    /// With --print-plan: as the launch argument of this name.
    #[arg(long, requires = "print_plan")]
    namespace: Option<String>,
}

/// A real-time factor on the command line.
fn factor(text: &str) -> Result<f64, String> {
    let factor: f64 = text.parse().map_err(|_| "a number is wanted".to_owned())?;
    match (0.01..=1.0).contains(&factor) {
        true => Ok(factor),
        false => Err("it lies between 0.01 and 1".to_owned()),
    }
}

fn main() -> ExitCode {
    let began = Instant::now();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match run(&Args::parse(), began) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("efm-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, began: Instant) -> Result<ExitCode> {
    let (root, bin) = places()?;
    let graph = Graph::read(&root.join("config/graph.yaml"))?;
    let speed = if args.print_plan { Speed::Real } else { speed(args)? };
    let mut planned = plan(&graph, &root, &arguments(args, &graph, speed));
    if args.control == Some(Control::Random) {
        planned.retain(|process| process.name != PROPOSER);
    }
    if args.print_plan {
        println!("{}", serde_json::to_string_pretty(&planned)?);
        return Ok(ExitCode::SUCCESS);
    }
    // The demo moves whatever listens, and resets it at will: that must never be a real robot.
    if std::env::var("ROS_AUTOMATIC_DISCOVERY_RANGE").as_deref() != Ok("LOCALHOST") {
        bail!(
            "it would talk to other machines; start it by './efm demo', or set ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST"
        );
    }
    if let Some(file) = args.params.as_deref().filter(|file| !file.is_file()) {
        bail!("--params: there is no file {}", file.display());
    }
    check_outputs(args)?;
    let episodes = args.episodes.unwrap_or(if args.evaluate { 100 } else { 10 });
    efm_harness::evaluate::first_seed(args.split, args.seed, episodes)?;
    let named = args.policy.as_deref().unwrap_or(&graph.defaults.policy);
    // Who is not given a goal does nothing, whichever policy it is; and chance is no policy.
    let (who, hash) = match (identity(named, &root)?, args.control) {
        (_, Some(control @ (Control::Nothing | Control::Random))) => (control.name().to_owned(), None),
        ((name, hash), Some(Control::Shuffled) | None) => (name, Some(hash)),
    };

    let home = std::env::var_os("EFM_HOME").map_or_else(|| root.join(".efm"), PathBuf::from);
    std::fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    let lock = home.join("demo.lock");
    let lock = File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
    if lock.try_lock().is_err() {
        bail!("another demo or evaluation of this folder is running; they would disturb each other");
    }
    let kind = if args.evaluate { "eval" } else { "demo" };
    let name = clock::folder_name(clock::now());
    let (folder, log) = (home.join(kind).join(&name), home.join("log").join(kind).join(&name));
    for folder in [&folder, &log] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let filmed = !args.evaluate || args.picture.is_some();
    let programme = Programme {
        nodes: planned.iter().map(|process| process.name.clone()).collect(),
        episodes,
        split: args.split,
        seed: args.seed,
        control: args.control,
        robot: RobotFiles::under(&root),
        filmed: filmed.then_some(FILMED),
        speed,
        began,
    };
    let bag = args.bag.clone().or_else(|| (!args.evaluate).then(|| folder.join("bag")));
    println!("policy {who}, {episodes} goals; logs of the processes: {}", log.display());

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // The processes must be started from this thread: they end when it does.
    let ended = runtime.block_on(live(&programme, &planned, &bin, &log, &graph.recorded(&root)?, bag.as_deref()))?;

    let any = !ended.played.done.is_empty();
    // A hundred rows have been read as they came.
    if any && !args.evaluate {
        println!("\n{}", table(&ended.played.done));
    }
    let subject = Subject {
        policy: who,
        policy_sha256: hash,
        split: args.split,
        control: args.control,
        how: "graph".to_owned(),
        seed: args.seed,
    };
    let mut report = GraphReport::new(subject, &ended.played);
    if let Some(summary) = ended.recorded {
        let seconds = summary.span.1.seconds_since(summary.span.0);
        let megabytes = summary.bytes as f64 * 1e-6;
        println!(
            "recorded {} messages in {seconds:.0} s ({megabytes:.0} MB): {}",
            summary.messages,
            summary.dir.display()
        );
        report.bag = Some(summary.dir);
    }
    if programme.filmed.is_some() && !ended.played.scenes.is_empty() {
        report.pictures = pictures(&ended.played, args.picture.as_deref(), &folder)?;
        report.pictures.iter().for_each(|file| println!("pictures: {}", file.display()));
    }
    if any {
        if args.evaluate {
            print!("\n{}", report.run().breakdown());
        }
        println!("{}", report.run().summary());
    }
    for process in &ended.unkind {
        eprintln!("efm-demo: {process}");
    }
    match ended.outcome {
        Err(Ending::Interrupted) => return Ok(ExitCode::from(INTERRUPTED)),
        Err(Ending::Broken(error)) => return Err(error),
        Ok(()) => {}
    }
    for file in [Some(folder.join("report.json")), args.json.clone()].into_iter().flatten() {
        report.write(&file).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(folder) = &args.report {
        let file = folder.join("index.html");
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&file, page::html(&report.document(), &[])))
            .with_context(|| format!("cannot write {}", file.display()))?;
        println!("report: {}", file.display());
    }
    let good = args.evaluate || report.is_success(episodes);
    if !good {
        eprintln!("efm-demo: fewer than 70 % of the goals succeeded");
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Why a show ended before its end.
enum Ending {
    /// Somebody asked for it.
    Interrupted,
    /// Something does not work.
    Broken(anyhow::Error),
}

struct Ended {
    outcome: Result<(), Ending>,
    played: Played,
    recorded: Option<efm_bag::BagSummary>,
    unkind: Vec<String>,
}

/// From the start of the processes to their end.
async fn live(
    programme: &Programme,
    planned: &[Planned],
    bin: &Path,
    log: &Path,
    record: &[String],
    bag: Option<&Path>,
) -> Result<Ended> {
    let shutdown = Shutdown::default();
    shutdown.on_signals().context("cannot take over signals")?;
    let (recorder, ear) = match bag.map(Recorder::start).transpose()? {
        Some((recorder, ear)) => (Some(recorder), Some(ear)),
        None => (None, None),
    };
    let mut processes = Processes::start(planned, bin, log)?;
    let stage = Stage::enter(
        record,
        ear,
        programme.filmed.is_some(),
        programme.control == Some(Control::Random),
        programme.speed,
    )?;
    let mut played = Played::default();
    let outcome = tokio::select! {
        biased;
        () = shutdown.wait() => Err(Ending::Interrupted),
        error = death(&mut processes) => Err(Ending::Broken(error)),
        outcome = programme.play(&stage, &mut played) => outcome.map_err(Ending::Broken),
    };
    let unkind = processes.stop();
    drop(stage);
    let recorded = recorder.map(Recorder::finish).transpose().context("the recording is not complete")?;
    Ok(Ended { outcome, played, recorded, unkind })
}

/// Waits for the death of a process.
async fn death(processes: &mut Processes) -> anyhow::Error {
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tick.tick().await;
        if let Err(error) = processes.check() {
            return error.into();
        }
    }
}

/// How fast the graph's time runs, which is told where it is not the wall's.
fn speed(args: &Args) -> Result<Speed> {
    let (speed, busy) = match args.real_time_factor {
        Some(1.0) => (Speed::Real, None),
        Some(factor) => (Speed::Slowed(factor), None),
        // What is measured shall be the graph at its own pace.
        None if args.evaluate => (Speed::Real, None),
        None => {
            let busy = Busy::measure(LOOK);
            (busy.speed().map_err(anyhow::Error::msg)?, Some(busy))
        }
    };
    if let Speed::Slowed(factor) = speed {
        let why = busy.and_then(|busy| busy.told(speed));
        println!("{}", why.unwrap_or_else(|| format!("simulated time runs at {factor:.2} of real time, as asked for")));
        println!("(seconds and latencies are those of simulated time)");
    }
    Ok(speed)
}

fn arguments(args: &Args, graph: &Graph, speed: Speed) -> Arguments {
    let mut arguments = Arguments::new(&graph.defaults);
    if args.print_plan {
        arguments.sim = args.sim.unwrap_or(arguments.sim);
        arguments.use_sim_time = args.use_sim_time.unwrap_or(arguments.use_sim_time);
        arguments.namespace = args.namespace.clone().unwrap_or_default();
        arguments.real_time_factor = args.real_time_factor.unwrap_or(arguments.real_time_factor);
    } else {
        // Its own simulator, in wall time unless that is slowed.
        (arguments.sim, arguments.use_sim_time) = (true, speed != Speed::Real);
        arguments.real_time_factor = speed.factor();
    }
    arguments.policy.clone_from(&args.policy);
    arguments.params_file.clone_from(&args.params);
    arguments.log_level.clone_from(&args.log_level);
    arguments
}

/// The repository (or `share/embodied_fm`), and where the executables are.
fn places() -> Result<(PathBuf, PathBuf)> {
    let exe = std::env::current_exe().context("cannot tell where this program lies")?;
    let bin = exe.parent().context("this program lies in no folder")?.to_owned();
    let given = std::env::var_os("EFM_ROOT").map(PathBuf::from);
    let upwards = exe.ancestors().skip(1).flat_map(|up| [up.to_owned(), up.join("share/embodied_fm")]);
    let root = given.into_iter().chain(upwards).find(|root| root.join("config/graph.yaml").is_file());
    Ok((root.context("config/graph.yaml is not found; set EFM_ROOT to the repository")?, bin))
}

/// Name and version of a policy, and the hash of its manifest.
fn identity(named: &str, root: &Path) -> Result<(String, String)> {
    let folder = policy_folder(named, root)?;
    let manifest = Manifest::read(&folder)?;
    let hash = Sha256::digest(reading::bytes(folder.join(MANIFEST_FILE), reading::SETTINGS)?);
    let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((format!("{} {}", manifest.policy.name, manifest.policy.version), hash))
}

/// What cannot be written is told before the work, not after it.
fn check_outputs(args: &Args) -> Result<()> {
    if let Some(file) = args.picture.as_deref().filter(|file| !ends_in(file, "png") && !ends_in(file, "gif")) {
        bail!("--picture: {} ends neither in .png nor in .gif", file.display());
    }
    for (option, file) in [("--json", &args.json), ("--picture", &args.picture)] {
        if let Some(file) = file
            && let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
        {
            bail!("{option}: there is no folder {}", folder.display());
        }
    }
    Ok(())
}

fn ends_in(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension))
}

/// Writes strip and film.
fn pictures(played: &Played, wanted: Option<&Path>, folder: &Path) -> Result<Vec<PathBuf>> {
    let wanted = |extension: &str| wanted.filter(|file| ends_in(file, extension)).map(Path::to_owned);
    let png = wanted("png").unwrap_or_else(|| folder.join("strip.png"));
    let gif = wanted("gif").unwrap_or_else(|| folder.join("film.gif"));
    strip(&played.scenes).save(&png).with_context(|| format!("cannot write {}", png.display()))?;
    let scenes = &played.scenes[..played.scenes.len().min(FILMED)];
    film(scenes, &gif).with_context(|| format!("cannot write {}", gif.display()))?;
    Ok(vec![png, gif])
}
