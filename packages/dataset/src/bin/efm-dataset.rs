//! `efm dataset`: makes a LeRobotDataset of rosbags.

use clap::{Parser, ValueEnum};
use efm_dataset::align::AskedRule;
use efm_dataset::clock::Clock;
use efm_dataset::convert::{BagSummary, reasons};
use efm_dataset::layout::{AskedAction, EpisodeBy};
use efm_dataset::{DatasetError, Options, Progress, Summary, convert};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Makes a LeRobotDataset (format v3.0) of rosbags: pictures, joint positions, commands and instructions, aligned by their header stamps.
///
/// See docs/dataset.md for what becomes of what.
#[derive(Parser)]
#[command(name = "efm-dataset", version)]
struct Args {
    /// Bag folders or single files, in the order of the episodes.
    #[arg(required = true, value_name = "BAG")]
    bags: Vec<PathBuf>,
    /// New folder for the data set. It is DIR.part until it is whole.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A camera: becomes observation.images.NAME. May be given several times; the first is the frame clock [default: all topics of pictures of the
    /// first bag, in the order of their names].
    #[arg(long = "camera", value_name = "NAME=TOPIC", value_parser = pair)]
    cameras: Vec<(String, String)>,
    /// Topic of sensor_msgs/JointState.
    #[arg(long, value_name = "TOPIC", default_value = "joint_states")]
    joint_states: String,
    /// Joints of observation.state and action, in this order [default: those that are both measured and commanded, as the commands order them].
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    joints: Option<Vec<String>>,
    /// What the action of a frame is.
    #[arg(long, value_enum, default_value = "commands")]
    action: ActionArg,
    /// Topic of trajectory_msgs/JointTrajectory for --action commands. May be given several times [default: all whose names end in
    /// joint_trajectory, or else action_chunk].
    #[arg(long = "commands", value_name = "TOPIC")]
    commands: Vec<String>,
    /// How long after its frame an action is to be reached, in seconds [default: one period].
    #[arg(long, value_name = "S")]
    action_lead: Option<f64>,
    /// Topic of std_msgs/String with the instruction; an empty one takes it back.
    #[arg(long, value_name = "TOPIC", default_value = "instruction")]
    instruction: String,
    /// This sentence for all frames, whatever the bags say.
    #[arg(long, value_name = "TEXT")]
    task: Option<String>,
    /// Topic of std_msgs/String with JSON that says what became of goals: becomes next.success [default: goal_status, or else task_status].
    #[arg(long, value_name = "TOPIC")]
    outcome: Option<String>,
    /// What begins an episode, besides a gap.
    #[arg(long, value_enum, default_value = "instruction")]
    episode: EpisodeArg,
    /// Only episodes that succeeded.
    #[arg(long)]
    only_success: bool,
    /// Frames a second, a whole number [default: what the first camera gives].
    #[arg(long, value_name = "N")]
    fps: Option<u32>,
    /// The moments of frames: the stamps of the first camera, or equally spaced.
    #[arg(long, value_enum, default_value = "camera")]
    clock: ClockArg,
    /// How messages of a topic are chosen: hold (the newest not after the moment) or nearest, and how far away they may be. May be given several
    /// times [default: nearest within half a period for cameras, hold of one period for joint states, hold of 1 s for commands].
    #[arg(long = "rule", value_name = "TOPIC=hold|nearest[:S]", value_parser = rule)]
    rules: Vec<(String, AskedRule)>,
    /// Episodes of fewer frames are left out.
    #[arg(long, value_name = "N", default_value_t = 10)]
    min_frames: u32,
    /// What LeRobot is to call the robot.
    #[arg(long, value_name = "NAME")]
    robot_type: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ActionArg {
    /// What the controllers were told to have reached one period later.
    Commands,
    /// Where the joints were one period later.
    Measured,
}

#[derive(Clone, Copy, ValueEnum)]
enum EpisodeArg {
    /// Every new instruction.
    Instruction,
    /// Only a new bag.
    Bag,
}

#[derive(Clone, Copy, ValueEnum)]
enum ClockArg {
    /// Stamps of the first camera.
    Camera,
    /// Equally spaced from its first picture on.
    Grid,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=TOPIC")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn rule(text: &str) -> Result<(String, AskedRule), String> {
    let (topic, rule) = pair(text).map_err(|_| "expected TOPIC=hold or TOPIC=nearest, with or without :SECONDS")?;
    Ok((topic, rule.parse()?))
}

impl Args {
    fn options(&self) -> Result<Options, DatasetError> {
        let action = match self.action {
            ActionArg::Commands => AskedAction::Commands(self.commands.clone()),
            ActionArg::Measured if self.commands.is_empty() => AskedAction::Measured,
            ActionArg::Measured => {
                return Err(DatasetError::Options("--commands has no meaning with --action measured".into()));
            }
        };
        if let Some(lead) = self.action_lead.filter(|lead| !(0.0..=10.0).contains(lead)) {
            return Err(DatasetError::Options(format!("--action-lead {lead}: expected 0 to 10 s")));
        }
        Ok(Options {
            cameras: self.cameras.clone(),
            joint_states: self.joint_states.clone(),
            joints: self.joints.clone(),
            action,
            lead_s: self.action_lead,
            instruction: self.instruction.clone(),
            task: self.task.clone(),
            outcome: self.outcome.clone(),
            episode: match self.episode {
                EpisodeArg::Instruction => EpisodeBy::Instruction,
                EpisodeArg::Bag => EpisodeBy::Bag,
            },
            only_success: self.only_success,
            fps: self.fps,
            clock: match self.clock {
                ClockArg::Camera => Clock::Camera,
                ClockArg::Grid => Clock::Grid,
            },
            rules: self.rules.clone(),
            min_frames: self.min_frames,
            robot_type: self.robot_type.clone(),
        })
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut shown = Shown::new();
    let done = args.options().and_then(|options| convert(&args.bags, &args.out, &options, &mut |now| shown.show(now)));
    shown.end();
    match done {
        Ok(summary) => {
            tell(&summary, &args);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("efm-dataset: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Progress on the error stream: one line that changes on a terminal, a line every ten seconds elsewhere.
struct Shown {
    terminal: bool,
    every: Duration,
    last: Option<Instant>,
}

impl Shown {
    fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            terminal,
            every: if terminal { Duration::from_millis(200) } else { Duration::from_secs(10) },
            last: None,
        }
    }

    fn show(&mut self, progress: Progress) {
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < self.every) {
            return;
        }
        self.last = Some(now);
        let text = match progress {
            Progress::Surveying { bag, bags, path } => format!("bag {} of {bags}: {}", bag + 1, path.display()),
            Progress::Writing { frame, frames } => format!("frame {frame} of {frames}"),
        };
        if self.terminal {
            eprint!("\r\x1b[K{text}");
        } else {
            eprintln!("{text}");
        }
    }

    fn end(&self) {
        if self.terminal && self.last.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

fn tell(summary: &Summary, args: &Args) {
    let written = summary.written;
    println!(
        "{}: {} episodes, {} frames at {} fps, {} tasks",
        args.out.display(),
        written.episodes,
        written.frames,
        summary.layout.fps,
        written.tasks
    );
    println!("joints: {}", summary.layout.joints.as_slice().join(", "));
    if !summary.joints_left_out.is_empty() {
        println!("joints left out: {}", summary.joints_left_out.join(", "));
    }
    for (topic, rule) in summary.layout.rules() {
        println!("{topic}: {rule} s");
    }
    println!("action: {:.4} s after its frame", summary.layout.lead_s);
    for BagSummary { bag, moments, frames, episodes, dropped, notes } in &summary.bags {
        println!("{bag}: {frames} of {moments} frames in {episodes} episodes; left out: {}", reasons(dropped));
        notes.iter().for_each(|note| println!("{bag}: {note}"));
    }
}
