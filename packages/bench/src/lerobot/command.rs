//! `efm-bench lerobot`.

use crate::driven::command;
use crate::image::command::Blocks;
use crate::image::scene;
use crate::lerobot::ours::{Ours, Seen, bare};
use crate::lerobot::theirs::{SCRIPT, Theirs, finish, offline};
use crate::lerobot::{Recorded, report};
use crate::rng::{Rng, episode_seed};
use crate::usage::memory_mb;
use anyhow::{Context, Result, bail};
use efm_core::reading;
use efm_harness::planner::RobotFiles;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// By how much an action may differ from LeRobot's, as docs/lerobot.md has it for the importer; rad or m.
pub const AGREE: f64 = 1e-4;
/// Observations, one after the other: a camera does not send the same bytes again.
const OBSERVATIONS: u64 = 2;
/// Of the Panda, for the policy that is made here.
const JOINTS: &str =
    "panda_joint1,panda_joint2,panda_joint3,panda_joint4,panda_joint5,panda_joint6,panda_joint7,panda_finger_joint1";
/// Of those.
const UNITS: &str = "rad,rad,rad,rad,rad,rad,rad,m";

/// Options of `efm-bench lerobot`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Few chunks: shows that it works.
    #[arg(long)]
    pub quick: bool,
    /// Python interpreter with LeRobot 0.4.4 and torch, as `./efm import` makes one in .efm/import.
    #[arg(long, required_unless_present = "once")]
    pub python: Option<PathBuf>,
    /// LeRobot checkpoint of type act [default: one with random weights, made once]
    #[arg(long, value_name = "DIR", requires = "package")]
    pub checkpoint: Option<PathBuf>,
    /// What `./efm import lerobot` made of it, in LeRobot's units.
    #[arg(long, value_name = "DIR")]
    pub package: Option<PathBuf>,
    /// Robot of the package, a URDF [default: the shipped Panda]
    #[arg(long, value_name = "URDF")]
    pub robot: Option<PathBuf>,
    /// Limits of its joints [default: those of the shipped Panda]
    #[arg(long, value_name = "YAML")]
    pub joint_limits: Option<PathBuf>,
    /// Threads for torch and for ONNX Runtime each.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Where the checkpoint and its package are made and kept [default: .efm/benchmarks/lerobot below --root]
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Writes the part of the report here.
    #[arg(long, value_name = "FILE.json")]
    pub section: Option<PathBuf>,
    /// Ours alone, on these observations, each once: what is started to see how long a start takes.
    #[arg(long, hide = true, requires = "package")]
    pub once: Option<PathBuf>,
}

/// One of the two, measured.
#[derive(Debug, Clone, Default)]
pub struct Side {
    /// From the observation to the action, round by round.
    pub whole: Blocks,
    /// The network alone.
    pub bare: Blocks,
    /// Milliseconds that each chunk took more than the network alone behind it.
    pub more_ms: Vec<f64>,
    /// As `whole`, around a network that does nothing.
    pub hollow: Blocks,
    /// Of those, milliseconds in which the pictures were brought to the policy's size (ours only).
    pub resized_ms: Vec<f64>,
    /// Proportional memory of the process after a few chunks, MB.
    pub memory_mb: f64,
    /// Seconds from the start of the process to its first action.
    pub first_s: f64,
}

impl Side {
    fn add(&mut self, (whole, bare): (Vec<u64>, Vec<u64>)) {
        self.more_ms.extend(whole.iter().zip(&bare).map(|(whole, bare)| (*whole as f64 - *bare as f64) * 1e-6));
        self.whole.push(whole);
        self.bare.push(bare);
    }
}

/// A camera, with widths and heights in pixels.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Sizes {
    /// Its name.
    pub name: String,
    /// What it sends.
    pub sent: (u32, u32),
    /// What the policy sees.
    pub seen: (u32, u32),
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// LeRobot's loop.
    pub theirs: Side,
    /// Our runtime.
    pub ours: Side,
    /// Of LeRobot's interpreter and libraries.
    pub versions: BTreeMap<String, String>,
    /// Threads of each.
    pub threads: usize,
    /// Rounds that count, and chunks of each: with the network, and with none.
    pub rounds: (usize, usize, usize),
    /// In the policy's order.
    pub cameras: Vec<Sizes>,
    /// Joints, and rows of a chunk.
    pub chunk: (usize, usize),
    /// MB of the graphs' files.
    pub graphs_mb: f64,
    /// By how much the two differ at most in an action.
    pub difference: f64,
    /// By how much an action changes at least with other pictures and joints.
    pub moved: f64,
    /// Whether the checkpoint was made here, with random weights.
    pub random: bool,
}

/// Does what the options say. Not reached is nothing: it fails instead.
///
/// # Errors
/// When LeRobot's loop or ours cannot be run, their actions differ, or a file cannot be written.
pub fn bench(root: &Path, args: &Args) -> Result<bool> {
    let root = &std::path::absolute(root)?;
    let shipped = RobotFiles::under(root);
    let robot = RobotFiles {
        urdf: args.robot.clone().unwrap_or(shipped.urdf.clone()),
        joint_limits: args.joint_limits.clone().unwrap_or(shipped.joint_limits.clone()),
        ..shipped
    };
    if let (Some(file), Some(package)) = (&args.once, &args.package) {
        return once(file, package, &robot, args.threads);
    }
    let python = args.python.as_deref().context("--python is wanted")?;
    let (checkpoint, package) = match (&args.checkpoint, &args.package) {
        (Some(checkpoint), Some(package)) => (checkpoint.clone(), package.clone()),
        (None, None) => prepare(python, root, &args.folder.clone().unwrap_or(root.join(".efm/benchmarks/lerobot")))?,
        _ => bail!("--checkpoint and --package belong together"),
    };
    let scratch = tempfile::tempdir()?;
    let hollow = scratch.path().join("hollow");
    let arguments = ["hollow".as_ref(), package.as_os_str(), hollow.as_os_str()];
    finish(offline(command(python, SCRIPT, arguments, 1), root), "the package around a network that does nothing")?;
    let mut found = measure(args, root, &robot, python, &checkpoint, &package, scratch.path())?;
    found.random = args.checkpoint.is_none();
    report::section(&found).deliver(args.section.as_deref())
}

/// The checkpoint with random weights and its package, made where they are not there yet.
fn prepare(python: &Path, root: &Path, folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let (checkpoint, package, made_by) = (folder.join("checkpoint"), folder.join("package"), folder.join("made_by.py"));
    if reading::text(&made_by, reading::REPORT).is_ok_and(|text| text == SCRIPT.text) {
        return Ok((checkpoint, package));
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let make = command(python, SCRIPT, ["make".as_ref(), checkpoint.as_os_str()], 1);
    finish(offline(make, root), "a checkpoint with random weights, once (half a minute)")?;
    let mut import = Command::new(python);
    import.args(["-m", "importers.lerobot"]).arg(&checkpoint).arg("--out").arg(&package);
    import.args(["--robot-joints", JOINTS, "--units", UNITS, "--fps", "30"]);
    import.args(["--base-link", "panda_link0", "--tip-link", "panda_hand_tcp"]);
    finish(offline(import, root), "its package, once (a minute)")?;
    std::fs::write(&made_by, SCRIPT.text).with_context(|| format!("cannot write {}", made_by.display()))?;
    Ok((checkpoint, package))
}

/// Observations of these cameras and so many joints, in files of a folder.
fn record(folder: &Path, cameras: &[(u32, u32)], joints: usize) -> Result<Vec<Recorded>> {
    let one = |k: u64| {
        let image = |(camera, (width, height)): (usize, &(u32, u32))| {
            let file = folder.join(format!("picture_{k}_{camera}"));
            std::fs::write(&file, scene::rgb8(*width, *height, episode_seed(11 + camera as u64, k)))
                .with_context(|| format!("cannot write {}", file.display()))?;
            Ok(file)
        };
        let images = cameras.iter().enumerate().map(image).collect::<Result<_>>()?;
        let mut rng = Rng::new(episode_seed(10, k));
        Ok(Recorded { images, joints: (0..joints).map(|_| rng.between(-0.4, 0.8)).collect() })
    };
    (0..OBSERVATIONS).map(one).collect()
}

/// Ours in a process of its own: a line where the first action is there, and one with the memory behind the last.
fn once(file: &Path, package: &Path, robot: &RobotFiles, threads: usize) -> Result<bool> {
    let text = reading::text(file, reading::REPORT).with_context(|| format!("cannot read {}", file.display()))?;
    let recorded: Vec<Recorded> = serde_json::from_str(&text)?;
    let mut ours = Ours::open(package, robot, None, threads)?;
    for (k, recorded) in recorded.iter().enumerate() {
        ours.action(&Seen::read(recorded)?)?;
        if k == 0 {
            println!("acted");
        }
    }
    println!("{}", memory_mb(std::process::id())?);
    Ok(true)
}

/// Seconds to the first action of ours in a process of its own, and its memory in MB after one chunk of each observation.
fn start(root: &Path, args: &Args, robot: &RobotFiles, package: &Path, file: &Path) -> Result<(f64, f64)> {
    let options: [(&str, OsString); 5] = [
        ("--once", file.into()),
        ("--package", package.into()),
        ("--robot", robot.urdf.clone().into()),
        ("--joint-limits", robot.joint_limits.clone().into()),
        ("--threads", args.threads.to_string().into()),
    ];
    let program = std::env::current_exe().context("which program is this?")?;
    let begun = Instant::now();
    let mut child = Command::new(program);
    child.arg("--root").arg(root).arg("lerobot");
    for (name, value) in options {
        child.arg(name).arg(value);
    }
    let mut child = child.stdout(Stdio::piped()).spawn().context("ours cannot be started")?;
    let mut lines = BufReader::new(child.stdout.take().context("a process without output")?).lines();
    let mut line = || lines.next().transpose().map(Option::unwrap_or_default);
    let first = line()?;
    let first_s = begun.elapsed().as_secs_f64();
    let memory = line()?;
    child.wait()?;
    if first != "acted" {
        bail!("ours, started alone, ended without an action");
    }
    Ok((first_s, memory.parse().with_context(|| format!("ours, started alone, has the memory '{memory}'"))?))
}

fn measure(
    args: &Args,
    root: &Path,
    robot: &RobotFiles,
    python: &Path,
    checkpoint: &Path,
    package: &Path,
    scratch: &Path,
) -> Result<Found> {
    eprintln!("LeRobot's loop starts");
    let begun = Instant::now();
    let mut theirs = Theirs::start(python, root, checkpoint, args.threads)?;
    let opened = begun.elapsed();
    let ready = theirs.ready().clone();
    let recorded = record(scratch, &ready.cameras, ready.joints)?;
    let begun = Instant::now();
    theirs.actions(&recorded[..1])?;
    let mut found = Found { versions: ready.versions.clone(), threads: args.threads, ..Found::default() };
    // What was made in between is not its work.
    found.theirs.first_s = (opened + begun.elapsed()).as_secs_f64();
    let expected = theirs.actions(&recorded)?;
    found.theirs.memory_mb = theirs.memory_mb()?;

    eprintln!("ours starts");
    let file = scratch.join("observations.json");
    std::fs::write(&file, serde_json::to_string(&recorded)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    (found.ours.first_s, found.ours.memory_mb) = start(root, args, robot, package, &file)?;
    let mut ours = Ours::open(package, robot, Some(&ready.cameras), args.threads)?;
    let mut hollow = Ours::open(&scratch.join("hollow"), robot, Some(&ready.cameras), args.threads)?;
    let mut graphs = bare(package, args.threads)?;
    found.cameras = ours.cameras().collect();
    found.chunk = (ready.joints, ours.horizon());
    found.graphs_mb = graphs_mb(package)?;
    let seen: Vec<Seen> = recorded.iter().map(Seen::read).collect::<Result<_>>()?;
    let actions: Vec<Vec<f64>> = seen.iter().map(|seen| ours.action(seen)).collect::<Result<_>>()?;
    (found.difference, found.moved) = compare(&actions, &expected)?;

    let (rounds, count, hollow_count) = if args.quick { (3, 1, 20) } else { (7, 3, 60) };
    found.rounds = (rounds, count, hollow_count);
    // All that did not run yet warms up.
    graphs.run()?;
    for seen in seen.iter().cycle().take(hollow_count) {
        hollow.time(seen)?;
    }
    theirs.run(hollow_count, true)?;
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        let (mut whole, mut alone) = (Vec::new(), Vec::new());
        for seen in seen.iter().cycle().take(count) {
            whole.push(ours.time(seen)?);
            let begun = Instant::now();
            graphs.run()?;
            alone.push(begun.elapsed().as_nanos() as u64);
        }
        found.ours.add((whole, alone));
        found.theirs.add(theirs.run(count, false)?);
        let mut nothing = Vec::new();
        for seen in seen.iter().cycle().take(hollow_count) {
            nothing.push(hollow.time(seen)?);
            found.ours.resized_ms.push(hollow.resized().as_secs_f64() * 1e3);
        }
        found.ours.hollow.push(nothing);
        found.theirs.hollow.push(theirs.run(hollow_count, true)?.0);
    }
    Ok(found)
}

fn graphs_mb(package: &Path) -> Result<f64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(package).with_context(|| format!("cannot read {}", package.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains(".onnx") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes as f64 * 1e-6)
}

/// By how much actions differ at most from those that are expected, and by how much those of two observations differ at least.
fn compare(actions: &[Vec<f64>], expected: &[Vec<f64>]) -> Result<(f64, f64)> {
    // A NaN is as far as can be.
    let far = |d: f64| if d.is_nan() { f64::INFINITY } else { d.abs() };
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| far(a - b)).fold(0.0, f64::max);
    let mut difference = 0.0f64;
    for (k, (ours, theirs)) in actions.iter().zip(expected).enumerate() {
        if ours.len() != theirs.len() {
            bail!("an action of {} values, LeRobot's has {}", ours.len(), theirs.len());
        }
        let found = apart(ours, theirs);
        if found > AGREE {
            bail!(
                "observation {k}: our first action differs from LeRobot's by {found:.1e}, at most {AGREE:.0e} is allowed (is the package of this checkpoint, \
                 in its units?): ours {ours:?}, LeRobot's {theirs:?}; times would say nothing"
            );
        }
        difference = difference.max(found);
    }
    let moved = expected.windows(2).map(|two| apart(&two[0], &two[1])).fold(f64::INFINITY, f64::min);
    if moved < 10.0 * AGREE {
        bail!(
            "actions differ by no more than {moved:.1e} from observation to observation: that they agree says nothing"
        );
    }
    Ok((difference, moved))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn actions_that_agree_on_nothing_or_not_at_all_are_refused() {
        let expected = [vec![0.1, 0.2], vec![0.3, 0.1]];
        let near = [vec![0.1, 0.2 + 5e-5], vec![0.3, 0.1]];
        let (difference, moved) = compare(&near, &expected).unwrap();
        assert!((difference - 5e-5).abs() < 1e-9 && (moved - 0.2).abs() < 1e-9);
        let message = |ours: &[Vec<f64>], theirs: &[Vec<f64>]| compare(ours, theirs).unwrap_err().to_string();
        assert!(message(&[vec![0.1, 0.21], vec![0.3, 0.1]], &expected).contains("observation 0: our first action"));
        assert!(message(&[vec![0.1, 0.2], vec![f64::NAN, 0.1]], &expected).contains("observation 1"));
        assert!(message(&[vec![0.1]], &expected).contains("1 values, LeRobot's has 2"));
        assert!(message(&[vec![0.1], vec![0.1]], &[vec![0.1], vec![0.1]]).contains("says nothing"));
    }

    #[test]
    fn a_chunk_is_compared_with_the_network_behind_it() {
        let mut side = Side::default();
        side.add((vec![5_000_000, 9_000_000], vec![4_000_000, 9_500_000]));
        assert_eq!(side.more_ms, [1.0, -0.5]);
    }
}
