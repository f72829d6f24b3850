//! `efm-policy`: looks at policy packages.

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use efm_harness::agent::policy_folder;
use efm_policy::{Policy, Setup, check};
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
        /// Robot description (URDF, not xacro) [default: urdf/panda.urdf of this suite]
        #[arg(long, value_name = "FILE")]
        robot: Option<PathBuf>,
        /// Joint limits in the format of MoveIt's joint_limits.yaml [default: config/joint_limits.yaml of this suite]
        #[arg(long, value_name = "FILE")]
        joint_limits: Option<PathBuf>,
        /// A camera that the robot has; may be given several times. Without any, cameras are not compared.
        #[arg(long, value_name = "NAME")]
        camera: Vec<String>,
    },
}

fn main() -> Result<ExitCode> {
    env_logger::init();
    let args = Args::parse();
    let Command::Check { package, robot, joint_limits, camera } = args.command;
    // What is not there is told by its manifest's name.
    let folder = policy_folder(&package, &args.root).unwrap_or_else(|_| PathBuf::from(&package));
    let urdf = robot.unwrap_or_else(|| args.root.join("urdf/panda.urdf"));
    let model = RobotModel::load(&urdf).with_context(|| format!("--robot {}", urdf.display()))?;
    let joint_limits = joint_limits.unwrap_or_else(|| args.root.join("config/joint_limits.yaml"));
    let setup = Setup {
        robot: &model,
        joint_limits: &joint_limits,
        cameras: (!camera.is_empty()).then_some(camera.as_slice()),
    };
    let found = check(&folder, &[args.root.join("models")], Some(setup));
    for fact in &found.facts {
        println!("  {fact}");
    }
    if let Some(parity) = &found.parity {
        let far = parity.actions_max_abs.max(parity.context_max_abs);
        println!("  repeats its exporter's run to {far:.1e}");
    }
    if let Some(mut policy) = found.policy {
        println!("  {}", speed(&mut policy)?);
    }
    if found.problems.is_empty() {
        println!("{} will run on {}", name_of(&folder), urdf.display());
        return Ok(ExitCode::SUCCESS);
    }
    for problem in &found.problems {
        println!("MISSING: {problem}");
    }
    println!("{} will not run on {}", name_of(&folder), urdf.display());
    Ok(ExitCode::FAILURE)
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
    // The first one warms up.
    let seconds = (0..5).map(|_| time(policy)).collect::<Result<Vec<f64>, _>>()?;
    let best = seconds.into_iter().fold(f64::INFINITY, f64::min);
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
