//! `efm-policy`: looks at policy packages.

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use efm_app::bounded::{self, Bounds, Broken};
use efm_config::files::Packages;
use efm_core::reading::{self, shown};
use efm_harness::agent::policy_folder;
use efm_policy::{LoadOptions, Manifest, Operators, Policy, PolicyPackage, Setup, check_with};
use efm_robot::RobotModel;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Looks at policy packages.
#[derive(Parser)]
#[command(name = "efm-policy", version)]
struct Args {
    /// Folder with urdf/, config/ and models/.
    #[arg(long, default_value = ".", global = true)]
    root: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Says whether a package will run on a robot, and what is missing; fails where it will not
    Check {
        /// Policy package: a folder, or a name in models/
        package: String,
        /// Robot description: URDF, or xacro where the program xacro is installed; package://NAME/path as well [default: urdf/panda.urdf of this suite]
        #[arg(long, value_name = "FILE")]
        robot: Option<PathBuf>,
        /// Joint limits in the format of MoveIt's joint_limits.yaml [default: config/joint_limits.yaml of this suite]
        #[arg(long, value_name = "FILE")]
        joint_limits: Option<PathBuf>,
        /// Where a package lies that package:// names; may be given several times
        #[arg(long = "package", value_name = "NAME=DIR")]
        packages: Vec<String>,
        /// A camera that the robot has; may be given several times. Without any, cameras are not compared.
        #[arg(long, value_name = "NAME")]
        camera: Vec<String>,
        /// An operator of ONNX that the graphs may have besides those that end by themselves (Loop, or domain:name; * for any)
        #[arg(long, value_name = "NAME")]
        allow_operator: Vec<String>,
        /// Memory that the check may take, MB [default: three times the size of the package's files, and 1 GiB]
        #[arg(long, value_name = "MB", default_value_t = 0, hide_default_value = true)]
        memory: u64,
        /// Processor time that the check may take, s [default: 6, and 1 for each 20 MiB]
        #[arg(long, value_name = "S", default_value_t = 0, hide_default_value = true)]
        cpu_time: u64,
        /// Time that the check may take, s [default: 9, and 1 for each 10 MiB]
        #[arg(long, value_name = "S", default_value_t = 0, hide_default_value = true)]
        time: u64,
    },
}

/// What raises the bounds of memory, processor time and time.
const RAISED_BY: [&str; 3] = ["--memory", "--cpu-time", "--time"];

fn main() -> Result<ExitCode> {
    let heeded = bounded::heed();
    env_logger::init();
    if let Some((arguments, bounds)) = heeded {
        // ONNX Runtime itself is no part of what is looked at. That it is not there is told when it is looked for again.
        let _ = efm_policy::load_library();
        bounds.confine();
        let arguments = std::iter::once("efm-policy".into()).chain(arguments);
        let looked = look(Args::parse_from(arguments), &bounds);
        let fits = looked.unwrap_or_else(|error| {
            eprintln!("Error: {}", shown(format!("{error:#}")));
            false
        });
        bounded::leave(if fits { 0 } else { 1 });
    }
    let args = Args::parse();
    let Command::Check { package, memory, cpu_time, time, .. } = &args.command;
    let folder = folder_of(package, &args.root);
    let search = [args.root.join("models")];
    // What is wrong with it is told by the check.
    let size = Manifest::read(&folder).map_or(0, |manifest| PolicyPackage::size_of(&folder, &manifest, &search));
    let bounds = Bounds::of_files(size).or(*memory, *cpu_time, *time);
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let why = match bounded::run(&bounds, &arguments, Vec::new(), false) {
        Ok(done) if done.status.success() => return Ok(ExitCode::SUCCESS),
        Ok(_) => return Ok(ExitCode::FAILURE),
        Err(broken) => broken.in_words(&bounds, RAISED_BY),
    };
    println!("MISSING: it was looked at in a process of its own: {why}");
    println!("{} will not run", name_of(&folder));
    Ok(ExitCode::FAILURE)
}

/// What is not there is told by its manifest's name.
fn folder_of(package: &str, root: &Path) -> PathBuf {
    policy_folder(package, root).unwrap_or_else(|_| PathBuf::from(package))
}

/// Looks at a package, within bounds, and says whether it will run.
fn look(args: Args, bounds: &Bounds) -> Result<bool> {
    let Command::Check { package, robot, joint_limits, packages, camera, allow_operator, .. } = args.command;
    let folder = folder_of(&package, &args.root);
    let operators =
        Operators::also(&allow_operator).map_err(|problem| anyhow::anyhow!("--allow-operator: {problem}"))?;
    let options = LoadOptions { operators, hash: None };
    let urdf = robot.unwrap_or_else(|| args.root.join("urdf/panda.urdf"));
    let of_robot = || format!("--robot {}", urdf.display());
    let packages = Packages::new(&packages).map_err(|problem| anyhow::anyhow!("--package: {problem}"))?;
    let text = packages.text(&urdf.display().to_string(), reading::DESCRIPTION, &[]);
    let (text, _) = text.map_err(anyhow::Error::msg).with_context(of_robot)?;
    let model = RobotModel::from_urdf(&text).with_context(of_robot)?;
    let joint_limits = joint_limits.unwrap_or_else(|| args.root.join("config/joint_limits.yaml"));
    let setup = Setup {
        robot: &model,
        joint_limits: &joint_limits,
        cameras: (!camera.is_empty()).then_some(camera.as_slice()),
    };
    let found = check_with(&folder, &[args.root.join("models")], Some(setup), &options);
    for fact in &found.facts {
        println!("  {}", shown(fact.clone()));
    }
    if let Some(parity) = &found.parity {
        let far = parity.actions_max_abs.max(parity.context_max_abs);
        println!("  repeats its exporter's run to {far:.1e}");
    }
    if let Some(mut policy) = found.policy {
        println!("  {}", speed(&mut policy)?);
    }
    for warning in &found.warnings {
        println!("WARNING: {}", shown(warning.clone()));
    }
    for sentence in &found.not_checked {
        println!("NOT CHECKED: {}", shown(sentence.clone()));
    }
    if found.problems.is_empty() {
        let (name, urdf) = (name_of(&folder), urdf.display());
        match found.not_checked.len() {
            0 => println!("{name} will run on {urdf}"),
            n => println!(
                "{name} will run on {urdf}, as far as its golden file shows: {n} of its conversions were not checked"
            ),
        }
        return Ok(true);
    }
    for problem in &found.problems {
        println!("MISSING: {}", shown(problem.clone()));
        if bounded::is_about_memory(problem) {
            println!("MISSING: {}", Broken::Memory.in_words(bounds, RAISED_BY));
        }
    }
    println!("{} will not run on {}", name_of(&folder), urdf.display());
    Ok(false)
}

fn name_of(folder: &Path) -> String {
    folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// How long a chunk takes here, with the worked example.
fn speed(policy: &mut Policy) -> Result<String> {
    let time = |policy: &mut Policy| {
        let began = Instant::now();
        policy.verify_golden().map(|_| began.elapsed().as_secs_f64())
    };
    // The first one warms up. Slow ones are not run five times: the bounds of the check are for one.
    let began = Instant::now();
    let mut best = f64::INFINITY;
    for round in 0..5 {
        if round > 0 && began.elapsed().as_secs_f64() > 1.0 {
            break;
        }
        best = best.min(time(policy)?);
    }
    let execution = policy.manifest().execution.replan_steps as f64 * policy.manifest().action.step;
    let verdict = if best < execution {
        "in time for its replanning".to_owned()
    } else {
        format!(
            "LATER than it replans (every {execution:.2} s): use --mode rtc or temporal_ensemble, or a faster machine"
        )
    };
    Ok(format!("a chunk, sentence and all, takes {:.1} ms here on one thread: {verdict}", 1e3 * best))
}
