//! What a bag holds for a data set: the first of two readings. Of each message that comes into question only stamps are kept, some 24 to 40
//! bytes; pictures and points are read again when they are needed.

use crate::DatasetError;
use crate::align::Stamped;
use crate::command::{Command, Span};
use efm_bag::msgs::{CompressedImage, Image, ImageView, JointState, StringMsg};
use efm_bag::{BagError, BagMessage, BagReader, RosType};
use efm_core::{JointNames, Stamp, Trajectory};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Clocks of recorder and stamps that differ by more than this are two clocks (simulated time, say), not one that is late.
const ONE_CLOCK_S: f64 = 60.0;
/// Pictures whose stamps go back by more than this did not only overtake each other.
const SET_BACK_S: f64 = 1.0;
/// Different lists of joints on one topic of joint states.
const MAX_NAME_LISTS: usize = 64;

/// Messages that could not be used: how many, and what was wrong with the first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unusable {
    /// How many.
    pub count: u64,
    /// Of the first.
    pub problem: String,
}

impl Unusable {
    fn add(&mut self, problem: impl Into<String>) {
        if self.count == 0 {
            self.problem = problem.into();
        }
        self.count += 1;
    }
}

/// A topic of pictures.
#[derive(Debug, Clone, Default)]
pub struct Pictures {
    /// In the order of their stamps.
    pub stamped: Vec<Stamped>,
    /// Width and height of the first, in pixels.
    pub size: Option<(u32, u32)>,
    /// Those without a stamp or of the wrong shape.
    pub unusable: Unusable,
    /// What makes the topic useless, if anything: a size that changes, a clock that was set back.
    pub fault: Option<String>,
    decoder: Box<efm_vision::Decoder>,
}

/// A topic of joint states.
#[derive(Debug, Clone, Default)]
pub struct JointStates {
    /// The lists of names that occur.
    pub names: Vec<Vec<String>>,
    /// In the order of their stamps, with the place of their list of names.
    pub stamped: Vec<(Stamped, usize)>,
    /// Those without a stamp, or whose numbers are no positions.
    pub unusable: Unusable,
}

impl JointStates {
    /// Those that hold all of `joints`, in order.
    pub fn with(&self, joints: &JointNames) -> Vec<Stamped> {
        let holds: Vec<bool> = self.names.iter().map(|names| joints.places_in(names).is_ok()).collect();
        self.stamped.iter().filter(|(_, list)| holds.get(*list) == Some(&true)).map(|(stamped, _)| *stamped).collect()
    }
}

/// A topic of joint trajectories.
#[derive(Debug, Clone, Default)]
pub struct Commands {
    /// The joints of the first message.
    pub joints: Vec<String>,
    /// In order.
    pub spans: Vec<Span>,
    /// Those that have no stamp and begin when they come, by their place in the bag.
    pub unstamped: Vec<u32>,
    /// Those that are no trajectories of these joints.
    pub unusable: Unusable,
}

/// A topic, by what it can be used for.
#[derive(Debug, Clone)]
pub enum Topic {
    /// `sensor_msgs/Image` or `sensor_msgs/CompressedImage`.
    Pictures(Pictures),
    /// `sensor_msgs/JointState`.
    JointStates(JointStates),
    /// `trajectory_msgs/JointTrajectory`.
    Commands(Commands),
    /// Something else; its type.
    Other(String),
}

/// What was said about a goal: by the time at which it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// When.
    pub at: Stamp,
    /// About which sentence.
    pub task: String,
    /// Whether it was done.
    pub success: bool,
}

/// Topics of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextTopics {
    /// The sentence in force.
    pub instruction: String,
    /// What became of it; the first of these that a bag has.
    pub outcome: Vec<String>,
}

/// What a bag holds.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Which bag.
    pub bag: PathBuf,
    /// By name, without a leading `/`.
    pub topics: BTreeMap<String, Topic>,
    /// Sentences in the order of their times; an empty one means that there is none from then on.
    pub instructions: Vec<(Stamp, String)>,
    /// What was said about them, in order, by the place of its topic among those that may tell.
    reports: BTreeMap<usize, Vec<Report>>,
    /// What is taken off log times to compare them with stamps, in nanoseconds: zero unless the two are different clocks.
    pub log_ahead: i64,
    /// Records that could not be read.
    pub damaged: u64,
    /// Whether a file ends in the middle.
    pub truncated: bool,
    /// Files that could not be read on, with the reason.
    pub unreadable: Vec<String>,
}

/// A name without leading `/`.
pub(crate) fn bare(topic: &str) -> &str {
    topic.trim_start_matches('/')
}

/// The reports that a text holds, as `goal_intake` (`goal`, `state`) and the simulator's referee (`instruction`, `success`) write them.
fn report(text: &str, at: Stamp) -> Option<Report> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Text {
        Goal { goal: String, state: String },
        Task { instruction: String, success: bool },
    }
    let (task, success) = match serde_json::from_str(text).ok()? {
        Text::Goal { goal, state } => {
            match state.as_str() {
                "succeeded" => (goal, true),
                "cancelled" | "replaced" | "timed_out" => (goal, false),
                // Accepted or active: nothing came of it yet. A refused one was never in force.
                _ => return None,
            }
        }
        // A task that is not done may be yet: the last report of a sentence counts.
        Text::Task { instruction, success } => (instruction, success),
    };
    Some(Report { at, task, success })
}

impl Survey {
    /// Reads a bag from end to end.
    ///
    /// # Errors
    /// When there is no bag. What is damaged inside is left out and counted.
    pub fn of(bag: &Path, texts: &TextTopics) -> Result<Self, DatasetError> {
        let mut reader = BagReader::open(bag).map_err(|source| DatasetError::Bag { bag: bag.to_owned(), source })?;
        let mut survey = Self {
            bag: bag.to_owned(),
            topics: BTreeMap::new(),
            instructions: Vec::new(),
            reports: BTreeMap::new(),
            log_ahead: 0,
            damaged: 0,
            truncated: false,
            unreadable: Vec::new(),
        };
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        let mut ages: Vec<i64> = Vec::new();
        loop {
            let message = match reader.next_message() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => {
                    survey.unreadable.push(error.to_string());
                    continue;
                }
            };
            let topic = bare(message.topic());
            let ordinal = match counts.get_mut(topic) {
                Some(count) => {
                    *count += 1;
                    *count
                }
                None => {
                    counts.insert(topic.to_owned(), 0);
                    let kind = Topic::of_type(message.type_name());
                    survey.topics.insert(topic.to_owned(), kind);
                    0
                }
            };
            if message.type_name() == StringMsg::TYPE {
                survey.read_text(&message, texts);
                continue;
            }
            let Some(facts) = survey.topics.get_mut(topic) else { continue };
            if let Some(stamp) = facts.see(&message, ordinal) {
                ages.push(message.log_time().nanos_since(stamp));
            }
        }
        survey.damaged = reader.damaged();
        survey.truncated = reader.truncated();
        // The median: a few stamps may be wrong.
        let middle = ages.len() / 2;
        let age = if ages.is_empty() { 0 } else { *ages.select_nth_unstable(middle).1 };
        survey.log_ahead = if (age as f64 * 1e-9).abs() > ONE_CLOCK_S { age } else { 0 };
        survey.settle();
        Ok(survey)
    }

    fn read_text(&mut self, message: &BagMessage, texts: &TextTopics) {
        let at = message.log_time();
        if message.topic_is(&texts.instruction) {
            if let Ok(text) = message.decode::<StringMsg>() {
                self.instructions.push((at, text.data.trim().to_owned()));
            }
        } else if let Some(place) = texts.outcome.iter().position(|topic| message.topic_is(topic)) {
            let reports = self.reports.entry(place).or_default();
            reports.extend(message.decode::<StringMsg>().ok().and_then(|text| report(&text.data, at)));
        }
    }

    /// Puts everything in the order of its time, and log times into the clock of the stamps.
    fn settle(&mut self) {
        let ahead = self.log_ahead;
        for topic in self.topics.values_mut() {
            match topic {
                Topic::Pictures(pictures) => pictures.stamped.sort_unstable(),
                Topic::JointStates(states) => states.stamped.sort_unstable(),
                Topic::Commands(commands) => {
                    for span in &mut commands.spans {
                        if commands.unstamped.binary_search(&span.ordinal).is_ok() {
                            for at in [&mut span.start, &mut span.first, &mut span.last] {
                                *at = at.offset_nanos(-ahead);
                            }
                        }
                    }
                    commands.spans.sort_unstable();
                }
                Topic::Other(_) => {}
            }
        }
        for (at, _) in &mut self.instructions {
            *at = at.offset_nanos(-ahead);
        }
        self.instructions.sort_by_key(|(at, _)| *at);
        for report in self.reports.values_mut().flatten() {
            report.at = report.at.offset_nanos(-ahead);
        }
    }

    /// What was said about goals, in order; none: there is no such topic.
    pub fn reports(&self) -> Option<&[Report]> {
        self.reports.values().next().map(Vec::as_slice)
    }

    /// When a message without a stamp was recorded, in the clock of the stamps.
    pub fn recorded(&self, message: &BagMessage) -> Stamp {
        message.log_time().offset_nanos(-self.log_ahead)
    }

    /// The start of a trajectory.
    pub(crate) fn start_of(&self, message: &BagMessage, trajectory: &Trajectory) -> Stamp {
        if trajectory.stamp == Stamp::ZERO { self.recorded(message) } else { trajectory.stamp }
    }

    /// An error about a topic of this bag.
    pub(crate) fn topic_error(&self, topic: &str, problem: impl Into<String>) -> DatasetError {
        DatasetError::Topic { bag: self.bag.clone(), topic: topic.to_owned(), problem: problem.into() }
    }

    /// An error about this bag.
    pub(crate) fn unfit(&self, problem: impl Into<String>) -> DatasetError {
        DatasetError::Unfit { bag: self.bag.clone(), problem: problem.into() }
    }

    /// Names of the topics of a kind, for messages.
    pub(crate) fn names_of(&self, kind: impl Fn(&Topic) -> bool) -> Vec<&str> {
        self.topics.iter().filter(|(_, topic)| kind(topic)).map(|(name, _)| name.as_str()).collect()
    }
}

impl Topic {
    fn of_type(type_name: &str) -> Self {
        match type_name {
            Image::TYPE | CompressedImage::TYPE => Self::Pictures(Pictures::default()),
            JointState::TYPE => Self::JointStates(JointStates::default()),
            Trajectory::TYPE => Self::Commands(Commands::default()),
            other => Self::Other(other.to_owned()),
        }
    }

    /// Notes a message, and says when what is in it was measured, if it does.
    fn see(&mut self, message: &BagMessage, ordinal: u32) -> Option<Stamp> {
        match self {
            Self::Pictures(pictures) => pictures.see(message, ordinal),
            Self::JointStates(states) => states.see(message, ordinal),
            // Trajectories may begin in the future: their stamps say nothing of how late the recorder was.
            Self::Commands(commands) => {
                commands.see(message, ordinal);
                None
            }
            Self::Other(_) => None,
        }
    }
}

impl Pictures {
    fn see(&mut self, message: &BagMessage, ordinal: u32) -> Option<Stamp> {
        let (stamp, size) = match Self::look(message, &mut self.decoder) {
            Ok(seen) => seen,
            Err(problem) => {
                self.unusable.add(problem);
                return None;
            }
        };
        if stamp == Stamp::ZERO {
            self.unusable.add("its header has no stamp");
            return None;
        }
        let (width, height) = *self.size.get_or_insert(size);
        if size != (width, height) && self.fault.is_none() {
            self.fault = Some(format!(
                "its pictures change from {width}x{height} to {}x{} pixels; all pictures of a camera must be of one size",
                size.0, size.1
            ));
        }
        // In the order of stamps what was recorded before and after would be mixed.
        if let Some(back) = self.stamped.last().map(|last| last.stamp.seconds_since(stamp)).filter(|s| *s > SET_BACK_S)
            && self.fault.is_none()
        {
            self.fault = Some(format!(
                "its stamps go back by {back:.3} s at message {ordinal} (from 0): the clock was set back; cut the bag in two there \
                 (`efm bag slice`)"
            ));
        }
        self.stamped.push(Stamped { stamp, ordinal });
        Some(stamp)
    }

    /// Stamp and size. A picture that is damaged must be known before frames are planned with it.
    fn look(message: &BagMessage, decoder: &mut efm_vision::Decoder) -> Result<(Stamp, (u32, u32)), String> {
        let words = |error: BagError| error.to_string();
        if message.type_name() == Image::TYPE {
            let view = message.decode::<ImageView>().map_err(words)?;
            efm_vision::ImageView::new(view.encoding, view.width, view.height, view.step, view.data)
                .map_err(|e| e.to_string())?;
            return Ok((view.stamp, (view.width, view.height)));
        }
        let image = message.decode::<CompressedImage>().map_err(words)?;
        let size = decoder.check(&image.format, &image.data).map_err(|e| e.to_string())?;
        Ok((image.header.stamp, size))
    }
}

impl JointStates {
    fn see(&mut self, message: &BagMessage, ordinal: u32) -> Option<Stamp> {
        let state = match message.decode::<JointState>() {
            Ok(state) => state,
            Err(error) => {
                self.unusable.add(error.to_string());
                return None;
            }
        };
        if state.header.stamp == Stamp::ZERO {
            self.unusable.add("its header has no stamp");
            return None;
        }
        // Velocities and efforts are not used, and may be what they like.
        let checked =
            JointNames::new(state.name.iter().map(String::as_str)).map_err(|e| e.to_string()).and_then(|all| {
                JointState { velocity: Vec::new(), ..state.clone() }.pick(&all).map(drop).map_err(|e| e.to_string())
            });
        if let Err(problem) = checked {
            self.unusable.add(problem);
            return Some(state.header.stamp);
        }
        let stamped = Stamped { stamp: state.header.stamp, ordinal };
        let list = self.names.iter().position(|names| *names == state.name);
        match list {
            Some(list) => self.stamped.push((stamped, list)),
            None if self.names.len() < MAX_NAME_LISTS => {
                self.names.push(state.name);
                self.stamped.push((stamped, self.names.len() - 1));
            }
            None => self.unusable.add(format!("the topic has more than {MAX_NAME_LISTS} lists of joints")),
        }
        Some(stamped.stamp)
    }
}

impl Commands {
    fn see(&mut self, message: &BagMessage, ordinal: u32) {
        let trajectory = match message.decode::<Trajectory>() {
            Ok(trajectory) => trajectory,
            Err(error) => return self.unusable.add(error.to_string()),
        };
        let stamp = Some(trajectory.stamp).filter(|stamp| *stamp != Stamp::ZERO);
        if self.joints.is_empty() {
            self.joints.clone_from(&trajectory.joint_names);
        }
        let start = stamp.unwrap_or(message.log_time());
        let command = JointNames::new(self.joints.iter().map(String::as_str))
            .map_err(|e| e.to_string())
            .and_then(|joints| Command::new(&trajectory, &joints, start));
        match command {
            Ok(command) => {
                self.spans.push(command.span(ordinal));
                if stamp.is_none() {
                    self.unstamped.push(ordinal);
                }
            }
            Err(problem) => self.unusable.add(problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_goal_is_read_from_the_desk_and_from_the_referee() {
        let read = |text: &str| report(text, Stamp::ZERO).map(|r| (r.task, r.success));
        let goal = |state: &str| format!(r#"{{"id": 1, "goal": "lift it", "state": "{state}", "reason": ""}}"#);
        assert_eq!(read(&goal("succeeded")), Some(("lift it".into(), true)));
        assert_eq!(read(&goal("timed_out")), Some(("lift it".into(), false)));
        assert_eq!((read(&goal("active")), read(&goal("refused"))), (None, None));
        let task = r#"{"seed": 3, "instruction": "lift it", "success": true, "elapsed": 2.5}"#;
        assert_eq!(read(task), Some(("lift it".into(), true)));
        assert_eq!((read("{}"), read("no JSON")), (None, None));
    }
}
