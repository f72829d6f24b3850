//! From bags to a data set.

use crate::DatasetError;
use crate::clock::Clock;
use crate::command::Command;
use crate::layout::{Action, AskedAction, EpisodeBy, Layout, Options, commands_of};
use crate::lerobot::{Camera, DatasetWriter, Description, FORMAT, Frame, Picture, Written, pretty};
use crate::picture::PictureMaker;
use crate::plan::{NOTHING, Part, Plan};
use crate::survey::{Survey, Topic};
use efm_bag::msgs::JointState;
use efm_bag::{BagMessage, BagReader};
use efm_core::{JointNames, Trajectory};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A bag is looked through, the first of two times.
    Surveying {
        /// Counts from 0.
        bag: usize,
        /// How many bags there are.
        bags: usize,
        /// Which one.
        path: &'a Path,
    },
    /// A frame was written.
    Writing {
        /// Frames so far.
        frame: u64,
        /// Of so many.
        frames: u64,
    },
}

/// What a bag gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BagSummary {
    /// Name of the bag, without the folders above it.
    pub bag: String,
    /// Moments of the frame clock.
    pub moments: u64,
    /// Frames that were written.
    pub frames: u64,
    /// Episodes that were written.
    pub episodes: u64,
    /// Moments that gave no frame, by the reason.
    pub dropped: BTreeMap<String, u64>,
    /// What else is to be known of it.
    pub notes: Vec<String>,
}

/// What became of it all.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// What was written.
    pub written: Written,
    /// How it was put together.
    pub layout: Layout,
    /// Of each bag.
    pub bags: Vec<BagSummary>,
    /// Joints that are measured or commanded, but are not in the data set.
    pub joints_left_out: Vec<String>,
}

/// An episode, for those who want to find it in its bag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct EpisodeNote {
    episode_index: u64,
    bag: String,
    first_stamp_ns: i64,
    last_stamp_ns: i64,
    frames: u64,
    success: Option<bool>,
}

/// Writes the data set `out` from bags.
///
/// All bags are looked through before anything is written, so that a bag that does not fit is found at once. Memory holds the stamps of one bag, the
/// messages that wait for others of their frame, and a row group.
///
/// # Errors
/// When a bag cannot be read, does not fit the others or the options, or nothing can be written.
pub fn convert(
    bags: &[PathBuf],
    out: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, DatasetError> {
    let texts = options.texts();
    let first = bags.first().ok_or(DatasetError::NoBag)?;
    if out.symlink_metadata().is_ok() {
        return Err(DatasetError::Exists(out.to_owned()));
    }
    progress(Progress::Surveying { bag: 0, bags: bags.len(), path: first });
    let mut survey = Survey::of(first, &texts)?;
    let layout = Layout::decide(options, &survey)?;
    let joints_left_out = left_out(&layout, &survey);
    let mut plan = Plan::of(&layout, options, &survey)?;
    let (mut frames, mut dropped) = (plan.written(), plan.dropped.clone());
    for (i, bag) in bags.iter().enumerate().skip(1) {
        progress(Progress::Surveying { bag: i, bags: bags.len(), path: bag });
        let survey = Survey::of(bag, &texts)?;
        layout.check(options, &survey)?;
        let plan = Plan::of(&layout, options, &survey)?;
        frames += plan.written();
        plan.dropped.into_iter().for_each(|(reason, count)| *dropped.entry(reason).or_default() += count);
    }
    if frames == 0 {
        return Err(DatasetError::Nothing { bags: bags.len(), why: reasons(&dropped) });
    }

    let mut writer = DatasetWriter::create(out, describe(&layout, options))?;
    let (mut summaries, mut notes, mut done) = (Vec::new(), Vec::new(), 0);
    for (i, bag) in bags.iter().enumerate() {
        if i > 0 {
            // Read again rather than kept: a thousand bags are not to be in memory at once.
            survey = Survey::of(bag, &texts)?;
            plan = Plan::of(&layout, options, &survey)?;
        }
        let begun = notes.len() as u64;
        note_episodes(&plan, bag, &mut notes);
        Pass::new(&layout, &plan, &survey).run(&mut writer, &mut || {
            done += 1;
            progress(Progress::Writing { frame: done, frames });
        })?;
        summaries.push(summary_of(&layout, &plan, &survey, notes.len() as u64 - begun));
    }
    let about = about(&layout, options, &summaries, &notes);
    let written = writer.finish(&[("meta/embodied_fm.json", about)])?;
    Ok(Summary { written, layout, bags: summaries, joints_left_out })
}

/// Reasons with their counts, in words.
pub fn reasons(dropped: &BTreeMap<String, u64>) -> String {
    if dropped.is_empty() {
        return "nothing".into();
    }
    dropped.iter().map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>().join("; ")
}

fn describe(layout: &Layout, options: &Options) -> Description {
    let camera = |camera: &crate::layout::CameraTopic| Camera {
        name: camera.name.clone(),
        width: camera.size.0,
        height: camera.size.1,
    };
    Description {
        fps: layout.fps,
        robot_type: options.robot_type.clone(),
        joints: layout.joints.as_slice().to_vec(),
        cameras: layout.cameras.iter().map(camera).collect(),
        success: layout.success,
    }
}

fn name_of(bag: &Path) -> String {
    bag.file_name().map_or_else(|| bag.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn note_episodes(plan: &Plan, bag: &Path, notes: &mut Vec<EpisodeNote>) {
    for episode in &plan.episodes {
        let frames = &plan.frames[episode.frames.clone()];
        let stamp = |frame: Option<&crate::plan::PlannedFrame>| frame.map_or(0, |frame| frame.at.nanos());
        notes.push(EpisodeNote {
            episode_index: notes.len() as u64,
            bag: name_of(bag),
            first_stamp_ns: stamp(frames.first()),
            last_stamp_ns: stamp(frames.last()),
            frames: frames.len() as u64,
            success: episode.success,
        });
    }
}

/// Joints that somebody may miss.
fn left_out(layout: &Layout, survey: &Survey) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    if let Some(Topic::JointStates(states)) = survey.topics.get(&layout.joint_states) {
        all.extend(states.names.iter().flatten().cloned());
    }
    if let Action::Commands(topics) = &layout.action {
        all.extend(topics.iter().filter_map(|t| commands_of(survey, &t.topic).ok()).flat_map(|c| c.joints.clone()));
    }
    let mut out: Vec<String> = Vec::new();
    for joint in all {
        if layout.joints.index_of(&joint).is_none() && !out.contains(&joint) {
            out.push(joint);
        }
    }
    out
}

fn summary_of(layout: &Layout, plan: &Plan, survey: &Survey, episodes: u64) -> BagSummary {
    let mut notes = survey.unreadable.clone();
    if survey.truncated {
        notes.push("a file ends in the middle; what came before was used".into());
    }
    if survey.damaged > 0 {
        notes.push(format!("{} damaged records were left out", survey.damaged));
    }
    if survey.log_ahead != 0 {
        notes.push(format!(
            "the recorder's clock is {:.3} s ahead of the stamps; messages without a stamp were moved by that",
            survey.log_ahead as f64 * 1e-9
        ));
    }
    if let Some(slow) = plan.slow.filter(|slow| slow.abs() > 0.002) {
        let (more, percent) = (if slow > 0.0 { "longer" } else { "shorter" }, 100.0 * slow.abs());
        notes.push(format!(
            "its camera runs at its own rate: the time between frames is {percent:.1} % {more} than 1/{} s",
            layout.fps
        ));
    }
    for (name, _) in layout.rules() {
        let Some(topic) = survey.topics.get(name) else { continue };
        let unusable = match topic {
            Topic::Pictures(pictures) => &pictures.unusable,
            Topic::JointStates(states) => &states.unusable,
            Topic::Commands(commands) => &commands.unusable,
            Topic::Other(_) => continue,
        };
        if unusable.count > 0 {
            notes.push(format!("{name}: {} messages cannot be used, the first: {}", unusable.count, unusable.problem));
        }
    }
    BagSummary {
        bag: name_of(&survey.bag),
        moments: plan.ticks,
        frames: plan.written(),
        episodes,
        dropped: plan.dropped.clone(),
        notes,
    }
}

/// `meta/embodied_fm.json`: what LeRobot's own files have no place for.
fn about(layout: &Layout, options: &Options, bags: &[BagSummary], episodes: &[EpisodeNote]) -> String {
    #[derive(Serialize)]
    struct About<'a> {
        made_by: String,
        lerobot_format: &'static str,
        frame_clock: &'static str,
        fps: u32,
        alignment: BTreeMap<&'a str, String>,
        action: &'static str,
        action_lead_s: f64,
        episodes_by: &'static str,
        bags: &'a [BagSummary],
        episodes: &'a [EpisodeNote],
    }
    pretty(&About {
        made_by: format!("embodied_fm {}", env!("CARGO_PKG_VERSION")),
        lerobot_format: FORMAT,
        frame_clock: match options.clock {
            Clock::Camera => "camera",
            Clock::Grid => "grid",
        },
        fps: layout.fps,
        alignment: layout.rules().into_iter().collect(),
        action: match options.action {
            AskedAction::Commands(_) => "commands",
            AskedAction::Measured => "measured",
        },
        action_lead_s: layout.lead_s,
        episodes_by: match options.episode {
            EpisodeBy::Instruction => "instruction",
            EpisodeBy::Bag => "bag",
        },
        bags,
        episodes,
    })
}

/// A message, as far as frames need it.
enum Loaded {
    Picture(Picture),
    State(Vec<f32>),
    Command(Command),
}

/// A topic in the second reading. Messages are named by their place among those of the topic.
struct Source<'a> {
    topic: &'a str,
    /// What its messages are for.
    part: Part,
    /// Messages so far.
    count: u32,
    /// The last frame that needs a message.
    needed: HashMap<u32, usize>,
    /// Those that were read and are needed yet.
    loaded: HashMap<u32, Loaded>,
}

/// The second reading of a bag: messages are unpacked as they come, and a frame is written as soon as all of its messages are there.
struct Pass<'a> {
    layout: &'a Layout,
    plan: &'a Plan,
    survey: &'a Survey,
    parts: Vec<Part>,
    /// Cameras, joint states, commands.
    sources: Vec<Source<'a>>,
    pictures: PictureMaker,
    /// Room for a frame.
    action: Vec<f32>,
    sampled: Vec<f64>,
}

impl<'a> Pass<'a> {
    fn new(layout: &'a Layout, plan: &'a Plan, survey: &'a Survey) -> Self {
        let source =
            |topic: &'a str, part| Source { topic, part, count: 0, needed: HashMap::new(), loaded: HashMap::new() };
        let cameras = layout.cameras.iter().enumerate().map(|(i, camera)| source(&camera.topic, Part::Picture(i)));
        let mut sources: Vec<_> = cameras.collect();
        sources.push(source(&layout.joint_states, Part::State));
        if let Action::Commands(topics) = &layout.action {
            sources.extend(topics.iter().enumerate().map(|(i, topic)| source(&topic.topic, Part::Command(i))));
        }
        let mut pass = Self {
            layout,
            plan,
            survey,
            parts: Part::of(layout),
            sources,
            pictures: PictureMaker::default(),
            action: vec![0.0; layout.joints.len()],
            sampled: Vec::new(),
        };
        for frame in plan.episodes.iter().flat_map(|episode| episode.frames.clone()) {
            for (part, ordinal) in pass.parts.iter().zip(plan.parts(frame)).filter(|(_, ordinal)| **ordinal != NOTHING)
            {
                pass.sources[place(layout, *part)].needed.insert(*ordinal, frame);
            }
        }
        pass
    }

    fn run(&mut self, writer: &mut DatasetWriter, written: &mut dyn FnMut()) -> Result<(), DatasetError> {
        let mut reader = BagReader::open(&self.survey.bag)
            .map_err(|source| DatasetError::Bag { bag: self.survey.bag.clone(), source })?;
        for episode in &self.plan.episodes {
            writer.begin_episode(episode.frames.len() as u64)?;
            for frame in episode.frames.clone() {
                while !self.ready(frame) {
                    match reader.next_message() {
                        Ok(Some(message)) => self.read(&message)?,
                        Ok(None) => {
                            let problem = "it holds fewer messages when read again; was it being recorded meanwhile?";
                            return Err(self.survey.unfit(problem));
                        }
                        // The first reading noted it.
                        Err(_) => {}
                    }
                }
                self.write(frame, writer)?;
                self.forget(frame);
                written();
            }
        }
        Ok(())
    }

    /// Unpacks a message if a frame needs it.
    fn read(&mut self, message: &BagMessage) -> Result<(), DatasetError> {
        let Some(source) = self.sources.iter_mut().find(|source| message.topic_is(source.topic)) else { return Ok(()) };
        let ordinal = source.count;
        source.count += 1;
        if !source.needed.contains_key(&ordinal) {
            return Ok(());
        }
        let loaded = match (source.part, &self.layout.action) {
            (Part::Picture(i), _) => self.pictures.make(message, self.layout.cameras[i].size).map(Loaded::Picture),
            (Part::Command(i), Action::Commands(topics)) => {
                command(message, &topics[i].joints, self.survey).map(Loaded::Command)
            }
            _ => state(message, &self.layout.joints).map(Loaded::State),
        };
        let loaded = loaded.map_err(|problem| {
            self.survey.topic_error(source.topic, format!("message {ordinal} of the topic (from 0): {problem}"))
        })?;
        source.loaded.insert(ordinal, loaded);
        Ok(())
    }

    fn ready(&self, frame: usize) -> bool {
        self.parts.iter().zip(self.plan.parts(frame)).all(|(part, ordinal)| {
            *ordinal == NOTHING || self.sources[place(self.layout, *part)].loaded.contains_key(ordinal)
        })
    }

    fn write(&mut self, frame: usize, writer: &mut DatasetWriter) -> Result<(), DatasetError> {
        let planned = self.plan.frames[frame];
        let due = planned.at.offset_seconds(self.layout.lead_s);
        let mut pictures = Vec::with_capacity(self.layout.cameras.len());
        let mut measured: &[f32] = &[];
        let mut next: Option<&Command> = None;
        // Backwards, so that a command comes after the one that it replaced.
        for (part, ordinal) in self.parts.iter().zip(self.plan.parts(frame)).rev() {
            match (part, self.sources[place(self.layout, *part)].loaded.get(ordinal)) {
                (Part::Picture(_), Some(Loaded::Picture(picture))) => pictures.push(picture),
                (Part::State, Some(Loaded::State(state))) => measured = state,
                (Part::NextState, Some(Loaded::State(state))) => self.action.copy_from_slice(state),
                (Part::CommandBefore(_), Some(Loaded::Command(command))) => next = Some(command),
                (Part::Command(i), Some(Loaded::Command(command))) => {
                    let Action::Commands(topics) = &self.layout.action else { continue };
                    self.sampled.resize(topics[*i].places.len(), 0.0);
                    command.sample(due, next.take(), &mut self.sampled);
                    for (place, value) in topics[*i].places.iter().zip(&self.sampled) {
                        self.action[*place] = *value as f32;
                    }
                }
                _ => {}
            }
        }
        pictures.reverse();
        writer.add_frame(&Frame {
            stamp: planned.at,
            state: measured,
            action: &self.action,
            pictures: &pictures,
            task: &self.plan.tasks[planned.task as usize],
            success: planned.success,
        })
    }

    /// Lets go of the messages that no later frame needs.
    fn forget(&mut self, frame: usize) {
        for (part, ordinal) in self.parts.iter().zip(self.plan.parts(frame)) {
            let source = &mut self.sources[place(self.layout, *part)];
            if source.needed.get(ordinal) == Some(&frame) {
                source.needed.remove(ordinal);
                source.loaded.remove(ordinal);
            }
        }
    }
}

/// The place of a part's topic among the sources.
fn place(layout: &Layout, part: Part) -> usize {
    match part {
        Part::Picture(i) => i,
        Part::State | Part::NextState => layout.cameras.len(),
        Part::Command(i) | Part::CommandBefore(i) => layout.cameras.len() + 1 + i,
    }
}

fn state(message: &BagMessage, joints: &JointNames) -> Result<Vec<f32>, String> {
    let state: JointState = message.decode().map_err(|e: efm_bag::BagError| e.to_string())?;
    let sample = JointState { velocity: Vec::new(), ..state }.pick(joints).map_err(|e| e.to_string())?;
    Ok(sample.positions.iter().map(|position| *position as f32).collect())
}

fn command(message: &BagMessage, joints: &JointNames, survey: &Survey) -> Result<Command, String> {
    let trajectory: Trajectory = message.decode().map_err(|e: efm_bag::BagError| e.to_string())?;
    Command::new(&trajectory, joints, survey.start_of(message, &trajectory))
}
