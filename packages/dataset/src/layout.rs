//! What the data set will hold, decided from the first bag and the options, and whether other bags hold it too.

use crate::DatasetError;
use crate::align::{AskedRule, Choice, Rule};
use crate::clock::{Clock, SAME_RATE, usual_period_s, whole_fps};
use crate::survey::{Commands, Pictures, Survey, TextTopics, Topic, bare};
use efm_core::JointNames;

/// What the action of a frame is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedAction {
    /// What the controllers were told, on these topics; empty: all topics that end in `/joint_trajectory`, or else `action_chunk`.
    Commands(Vec<String>),
    /// Where the joints were.
    Measured,
}

/// What begins an episode, besides a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EpisodeBy {
    /// A new instruction.
    #[default]
    Instruction,
    /// Only a new bag: an episode may hold several instructions.
    Bag,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Name and topic of each camera, the first of which is the clock; empty: all topics of pictures of the first bag.
    pub cameras: Vec<(String, String)>,
    /// Topic of joint states.
    pub joint_states: String,
    /// Joints of state and action; none: those that are both measured and commanded.
    pub joints: Option<Vec<String>>,
    /// What the action is.
    pub action: AskedAction,
    /// How long after the frame's moment the action is to be reached, in seconds; none: one period.
    pub lead_s: Option<f64>,
    /// Topic of instructions.
    pub instruction: String,
    /// The sentence of all frames, in place of the topic's.
    pub task: Option<String>,
    /// Topic that says what became of goals; none: `goal_status`, or else `task_status`.
    pub outcome: Option<String>,
    /// What begins an episode.
    pub episode: EpisodeBy,
    /// Whether only what succeeded is kept.
    pub only_success: bool,
    /// Frames a second; none: what the first camera gives.
    pub fps: Option<u32>,
    /// Where the moments of frames come from.
    pub clock: Clock,
    /// Rules of topics, in place of the usual ones.
    pub rules: Vec<(String, AskedRule)>,
    /// Episodes of fewer frames are left out.
    pub min_frames: u32,
    /// What LeRobot calls the robot.
    pub robot_type: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cameras: Vec::new(),
            joint_states: "joint_states".into(),
            joints: None,
            action: AskedAction::Commands(Vec::new()),
            lead_s: None,
            instruction: "instruction".into(),
            task: None,
            outcome: None,
            episode: EpisodeBy::default(),
            only_success: false,
            fps: None,
            clock: Clock::default(),
            rules: Vec::new(),
            min_frames: 10,
            robot_type: None,
        }
    }
}

/// Controllers are trusted for so long to hold what they were last told, in seconds.
const COMMAND_HOLD_S: f64 = 1.0;

/// A camera of the data set.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraTopic {
    /// What follows `observation.images.`.
    pub name: String,
    /// Topic.
    pub topic: String,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// How its pictures are chosen.
    pub rule: Rule,
}

/// A topic of commands of the data set.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandTopic {
    /// Topic.
    pub topic: String,
    /// The joints that are taken from it.
    pub joints: JointNames,
    /// Their places in the action.
    pub places: Vec<usize>,
    /// How long a command is held after its last point.
    pub rule: Rule,
}

/// Where the action comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Topics of commands, each for joints of its own.
    Commands(Vec<CommandTopic>),
    /// The joint states, by this rule.
    Measured(Rule),
}

/// What every bag must hold, and how it is put together.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The cameras; the first is the clock.
    pub cameras: Vec<CameraTopic>,
    /// Joints of state and action.
    pub joints: JointNames,
    /// Topic of joint states.
    pub joint_states: String,
    /// How they are chosen.
    pub state_rule: Rule,
    /// Where the action comes from.
    pub action: Action,
    /// How long after the frame's moment the action is to be reached, in seconds.
    pub lead_s: f64,
    /// Frames a second.
    pub fps: u32,
    /// Whether the first bag says what became of goals.
    pub success: bool,
}

impl Options {
    /// The topics of texts to read from a bag.
    pub fn texts(&self) -> TextTopics {
        let outcome = match &self.outcome {
            Some(topic) => vec![topic.clone()],
            None => vec!["goal_status".into(), "task_status".into()],
        };
        TextTopics { instruction: self.instruction.clone(), outcome }
    }

    fn rule(&self, topic: &str, usual: Rule) -> Rule {
        let asked = self.rules.iter().rev().find(|(name, _)| bare(name) == bare(topic)).map(|(_, rule)| *rule);
        asked.map_or(usual, |asked| Rule { choice: asked.choice, within_s: asked.within_s.unwrap_or(usual.within_s) })
    }
}

impl Layout {
    /// Decides it from the first bag.
    ///
    /// # Errors
    /// When the bag lacks what is needed, or the options fit neither each other nor the bag.
    pub fn decide(options: &Options, first: &Survey) -> Result<Self, DatasetError> {
        let cameras = choose_cameras(options, first)?;
        let (_, clock_topic) = &cameras[0];
        let clock = pictures_of(first, clock_topic)?;
        let measured_s = usual_period_s(&clock.stamped).ok_or_else(|| {
            first.topic_error(clock_topic, "it has fewer than two pictures with header stamps, so no rate is known")
        })?;
        let fps = match options.fps {
            Some(0) => return Err(DatasetError::Options("--fps must be at least 1".into())),
            Some(fps) => fps,
            None => whole_fps(measured_s).ok_or_else(|| {
                first.topic_error(
                    clock_topic,
                    format!(
                        "its pictures come {:.2} times a second, which is not a whole number as LeRobot's fps; give --fps with a lower one",
                        1.0 / measured_s
                    ),
                )
            })?,
        };
        let period = 1.0 / f64::from(fps);
        let camera = |(name, topic): &(String, String)| -> Result<CameraTopic, DatasetError> {
            let pictures = pictures_of(first, topic)?;
            let Some(size) = pictures.size else {
                return Err(first.topic_error(topic, format!("no usable picture: {}", pictures.unusable.problem)));
            };
            let rule = options.rule(topic, Rule::nearest(0.5 * period));
            Ok(CameraTopic { name: name.clone(), topic: topic.clone(), size, rule })
        };
        let cameras_chosen = cameras.iter().map(camera).collect::<Result<Vec<_>, _>>()?;
        let (joints, action) = choose_joints(options, first, period)?;
        let lead_s = options.lead_s.unwrap_or(period);
        let layout = Self {
            cameras: cameras_chosen,
            joints,
            joint_states: bare(&options.joint_states).to_owned(),
            state_rule: options.rule(&options.joint_states, Rule::hold(period)),
            action,
            lead_s,
            fps,
            success: first.reports().is_some(),
        };
        layout.known_rules(options)?;
        layout.check(options, first)?;
        Ok(layout)
    }

    /// One period, in seconds.
    pub fn period_s(&self) -> f64 {
        1.0 / f64::from(self.fps)
    }

    /// Each topic that is aligned, with its rule, in words.
    pub fn rules(&self) -> Vec<(&str, String)> {
        let mut rules: Vec<(&str, String)> =
            self.cameras.iter().map(|camera| (camera.topic.as_str(), camera.rule.to_string())).collect();
        rules.push((&self.joint_states, self.state_rule.to_string()));
        if let Action::Commands(topics) = &self.action {
            rules.extend(topics.iter().map(|topic| (topic.topic.as_str(), topic.rule.to_string())));
        }
        rules
    }

    /// A rule for a topic that is not used is a mistake.
    fn known_rules(&self, options: &Options) -> Result<(), DatasetError> {
        let used = self.rules();
        for (topic, rule) in &options.rules {
            if !used.iter().any(|(name, _)| *name == bare(topic)) {
                let names: Vec<&str> = used.iter().map(|(name, _)| *name).collect();
                return Err(DatasetError::Options(format!(
                    "--rule {topic}: that topic is not used; used are {}",
                    names.join(", ")
                )));
            }
            let command =
                matches!(&self.action, Action::Commands(topics) if topics.iter().any(|t| t.topic == bare(topic)));
            if command && rule.choice == Choice::Nearest {
                return Err(DatasetError::Options(format!("--rule {topic}: commands are held; only hold is possible")));
            }
        }
        Ok(())
    }

    /// Whether a bag holds all of it.
    ///
    /// # Errors
    /// What it lacks, by topic.
    pub fn check(&self, options: &Options, survey: &Survey) -> Result<(), DatasetError> {
        for camera in &self.cameras {
            let pictures = pictures_of(survey, &camera.topic)?;
            let (width, height) = camera.size;
            match pictures.size {
                None => {
                    let problem = format!("no usable picture: {}", pictures.unusable.problem);
                    return Err(survey.topic_error(&camera.topic, problem));
                }
                Some(size) if size != camera.size => {
                    return Err(survey.topic_error(
                        &camera.topic,
                        format!(
                            "its pictures have {}x{} pixels, those of the first bag {width}x{height}; all of a camera must be of one size",
                            size.0, size.1
                        ),
                    ));
                }
                Some(_) => {}
            }
            if let Some(fault) = &pictures.fault {
                return Err(survey.topic_error(&camera.topic, fault.as_str()));
            }
        }
        self.check_rate(options, survey)?;
        self.check_joints(survey)?;
        if let Action::Commands(topics) = &self.action {
            for topic in topics {
                let commands = commands_of(survey, &topic.topic)?;
                if let Err(joint) = topic.joints.places_in(&commands.joints) {
                    return Err(survey.topic_error(
                        &topic.topic,
                        format!("joint '{joint}' is not commanded; it commands {}", list(&commands.joints)),
                    ));
                }
                if commands.spans.is_empty() {
                    let problem = format!("no usable trajectory: {}", commands.unusable.problem);
                    return Err(survey.topic_error(&topic.topic, problem));
                }
            }
        }
        if options.task.is_none() && survey.instructions.iter().all(|(_, text)| text.is_empty()) {
            let there = if survey.instructions.is_empty() { "no message" } else { "only empty messages" };
            return Err(survey.topic_error(
                &options.instruction,
                format!("{there}: LeRobot wants a task for each frame; give --task \"...\", or --instruction with another topic"),
            ));
        }
        Ok(())
    }

    fn check_rate(&self, options: &Options, survey: &Survey) -> Result<(), DatasetError> {
        let clock = &self.cameras[0].topic;
        let rate = usual_period_s(&pictures_of(survey, clock)?.stamped).map(|period| 1.0 / period);
        let slow =
            rate.filter(|rate| options.clock == Clock::Camera && *rate < (1.0 - SAME_RATE) * f64::from(self.fps));
        slow.map_or(Ok(()), |rate| {
            Err(survey.topic_error(
                clock,
                format!(
                    "its pictures come {rate:.2} times a second, fewer than the {} frames that are wanted; give a lower --fps, or --clock grid \
                     with --rule {clock}=hold:SECONDS to repeat pictures",
                    self.fps
                ),
            ))
        })
    }

    fn check_joints(&self, survey: &Survey) -> Result<(), DatasetError> {
        let topic = &self.joint_states;
        let Some(Topic::JointStates(states)) = survey.topics.get(topic.as_str()) else {
            let problem = format!(
                "no sensor_msgs/JointState there; such topics are {}; give --joint-states",
                list(&survey.names_of(|t| matches!(t, Topic::JointStates(_))))
            );
            return Err(survey.topic_error(topic, problem));
        };
        if states.with(&self.joints).is_empty() {
            let all = |joint: &&str| !states.names.iter().flatten().any(|name| name == joint);
            let problem = match (self.joints.iter().find(all), states.names.is_empty()) {
                (_, true) => format!("no usable joint state: {}", states.unusable.problem),
                (Some(joint), _) => {
                    format!("joint '{joint}' is not measured; measured are {}", list(&states.names.concat()))
                }
                (None, _) => "no message holds all joints at once; they must come together".to_owned(),
            };
            return Err(survey.topic_error(topic, problem));
        }
        Ok(())
    }
}

pub(crate) fn pictures_of<'a>(survey: &'a Survey, topic: &str) -> Result<&'a Pictures, DatasetError> {
    match survey.topics.get(bare(topic)) {
        Some(Topic::Pictures(pictures)) => Ok(pictures),
        Some(_) => Err(survey.topic_error(topic, "it holds no sensor_msgs/Image or CompressedImage")),
        None => {
            let there = list(&survey.names_of(|topic| matches!(topic, Topic::Pictures(_))));
            Err(survey
                .topic_error(topic, format!("no message; topics of pictures are {there}; give --camera NAME=TOPIC")))
        }
    }
}

pub(crate) fn commands_of<'a>(survey: &'a Survey, topic: &str) -> Result<&'a Commands, DatasetError> {
    match survey.topics.get(bare(topic)) {
        Some(Topic::Commands(commands)) => Ok(commands),
        Some(_) => Err(survey.topic_error(topic, "it holds no trajectory_msgs/JointTrajectory")),
        None => {
            let there = list(&survey.names_of(|topic| matches!(topic, Topic::Commands(_))));
            Err(survey.topic_error(
                topic,
                format!("no message; topics of trajectories are {there}; give --commands TOPIC or --action measured"),
            ))
        }
    }
}

fn list<S: AsRef<str>>(names: &[S]) -> String {
    if names.is_empty() { "none".into() } else { names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ") }
}

/// `observation/front/image` is the camera `front`, `camera/color/image_raw/compressed` is `camera_color`.
fn camera_name(topic: &str) -> String {
    let mut parts: Vec<&str> = topic.split('/').filter(|part| !part.is_empty()).collect();
    while parts.len() > 1 && parts.last().is_some_and(|last| *last == "compressed" || last.starts_with("image")) {
        parts.pop();
    }
    if parts.len() > 1 && parts[0] == "observation" {
        parts.remove(0);
    }
    parts.join("_")
}

fn choose_cameras(options: &Options, first: &Survey) -> Result<Vec<(String, String)>, DatasetError> {
    let cameras: Vec<(String, String)> = if options.cameras.is_empty() {
        let topics = first.names_of(|topic| matches!(topic, Topic::Pictures(_)));
        topics.into_iter().map(|topic| (camera_name(topic), topic.to_owned())).collect()
    } else {
        options.cameras.iter().map(|(name, topic)| (name.clone(), bare(topic).to_owned())).collect()
    };
    if cameras.is_empty() {
        return Err(first.unfit("it has no topic of sensor_msgs/Image or sensor_msgs/CompressedImage, so no cameras"));
    }
    for (i, (name, topic)) in cameras.iter().enumerate() {
        if name.is_empty() || name.contains('/') {
            return Err(DatasetError::Options(format!(
                "camera '{name}' of topic {topic}: a name has no '/' and is not empty"
            )));
        }
        if cameras[..i].iter().any(|(_, before)| before == topic) {
            return Err(DatasetError::Options(format!("topic {topic} is given as two cameras")));
        }
        if let Some((_, other)) = cameras[..i].iter().find(|(before, _)| before == name) {
            return Err(DatasetError::Options(format!(
                "topics {other} and {topic} would both be camera '{name}'; choose by --camera NAME=TOPIC"
            )));
        }
    }
    Ok(cameras)
}

/// The joints, and where their actions come from.
fn choose_joints(options: &Options, first: &Survey, period: f64) -> Result<(JointNames, Action), DatasetError> {
    let topic = bare(&options.joint_states);
    let Some(Topic::JointStates(states)) = first.topics.get(topic) else {
        let there = list(&first.names_of(|t| matches!(t, Topic::JointStates(_))));
        return Err(first.topic_error(
            topic,
            format!("no sensor_msgs/JointState there; such topics are {there}; give --joint-states"),
        ));
    };
    // The longest list: where several publishers share the topic, the others are parts of the robot.
    let measured = states
        .names
        .iter()
        .max_by_key(|names| names.len())
        .ok_or_else(|| first.topic_error(topic, format!("no usable joint state: {}", states.unusable.problem)))?;
    let names = |names: Vec<String>| {
        JointNames::new(names).map_err(|error| DatasetError::Options(format!("--joints: {error}")))
    };
    let topics = match &options.action {
        AskedAction::Measured => {
            let joints = names(options.joints.clone().unwrap_or_else(|| measured.clone()))?;
            // The state one period later: as often before as after it, so that trembling stamps do no harm.
            return Ok((joints, Action::Measured(Rule::nearest(0.5 * period))));
        }
        AskedAction::Commands(topics) if topics.is_empty() => {
            let all = first.names_of(|topic| matches!(topic, Topic::Commands(_)));
            let mut found: Vec<String> =
                all.iter().filter(|name| name.ends_with("joint_trajectory")).map(|name| (*name).to_owned()).collect();
            if found.is_empty() && all.contains(&"action_chunk") {
                found.push("action_chunk".into());
            }
            if found.is_empty() {
                return Err(first.unfit(format!(
                    "no topic of commands ends in joint_trajectory; topics of trajectories are {}; give --commands TOPIC or --action measured",
                    list(&all)
                )));
            }
            found
        }
        AskedAction::Commands(topics) => topics.iter().map(|topic| bare(topic).to_owned()).collect(),
    };
    let mut commanded: Vec<(String, Vec<String>)> = Vec::new();
    for topic in topics {
        let joints = commands_of(first, &topic)?.joints.clone();
        let taken = |joint: &String| commanded.iter().any(|(_, joints)| joints.contains(joint));
        if let Some(joint) = joints.iter().find(|joint| taken(joint)) {
            return Err(first.topic_error(
                &topic,
                format!("joint '{joint}' is commanded by another topic too; choose by --commands TOPIC"),
            ));
        }
        commanded.push((topic, joints));
    }
    let joints = match &options.joints {
        Some(joints) => names(joints.clone())?,
        None => {
            let both = commanded.iter().flat_map(|(_, joints)| joints).filter(|joint| measured.contains(joint));
            let both: Vec<String> = both.cloned().collect();
            if both.is_empty() {
                return Err(
                    first.topic_error(topic, "none of the measured joints is commanded; give --action measured")
                );
            }
            names(both)?
        }
    };
    if let Some(joint) = joints.iter().find(|j| !commanded.iter().any(|(_, joints)| joints.iter().any(|n| n == j))) {
        return Err(first.unfit(format!(
            "joint '{joint}' is not commanded on {}; give --commands TOPIC, or --action measured",
            list(&commanded.iter().map(|(topic, _)| topic).collect::<Vec<_>>())
        )));
    }
    let mut topics = Vec::new();
    for (topic, of) in &commanded {
        let places: Vec<usize> = (0..joints.len()).filter(|i| of.contains(&joints.as_slice()[*i])).collect();
        // A topic that commands none of them is not needed.
        if let Ok(own) = JointNames::new(places.iter().map(|i| joints.as_slice()[*i].as_str())) {
            let rule = options.rule(topic, Rule::hold(COMMAND_HOLD_S));
            topics.push(CommandTopic { topic: topic.clone(), joints: own, places, rule });
        }
    }
    Ok((joints, Action::Commands(topics)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_called_by_the_part_of_its_topic_that_tells_it_from_others() {
        let names = ["observation/front/image", "camera/color/image_raw", "wrist_cam/image_raw/compressed", "image"];
        assert_eq!(names.map(camera_name), ["front", "camera_color", "wrist_cam", "image"]);
    }
}
