//! Playing a bag: what is published, under which name and profile, and when. Without ROS and without a clock; the executable `efm-play` does it.

use efm_bag::{BagError, BagReader, OfferedQos};
use efm_core::Stamp;
use efm_core::reading;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// A topic of a bag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayedTopic {
    /// `package/msg/Type`.
    pub type_name: String,
    /// What the player offers: as much as each of the recorded publishers did; reliable and volatile where the bag does not say.
    pub offered: Option<OfferedQos>,
}

/// What a bag holds, before it is played.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// By name.
    pub topics: BTreeMap<String, PlayedTopic>,
    /// First and last log time.
    pub span: Option<(Stamp, Stamp)>,
}

impl Contents {
    /// From the bag's `metadata.yaml`; where there is none that is understood (a killed recorder, a single file), by reading the bag through.
    ///
    /// # Errors
    /// When the bag cannot be read.
    pub fn of(bag: &Path) -> Result<Self, BagError> {
        let text = reading::text(bag.join("metadata.yaml"), reading::REPORT).ok();
        match text.as_deref().and_then(Self::from_metadata) {
            Some(contents) => Ok(contents),
            None => Self::by_reading(bag),
        }
    }

    fn from_metadata(text: &str) -> Option<Self> {
        let information = serde_yaml::from_str::<Root>(text).ok()?.rosbag2_bagfile_information;
        let first = Stamp::from_nanos(information.starting_time.nanoseconds_since_epoch);
        let last = Stamp::from_nanos(first.nanos().checked_add(information.duration.nanoseconds)?);
        let topics = information.topics_with_message_count.into_iter().map(|entry| {
            let topic = entry.topic_metadata;
            let yaml = match topic.offered_qos_profiles {
                // Before metadata version 9 the list was a text.
                serde_yaml::Value::String(text) => text,
                list => serde_yaml::to_string(&list).ok()?,
            };
            let profiles = OfferedQos::list_from_yaml(&yaml).ok()?;
            let offered = OfferedQos::most_demanding(&profiles);
            Some((topic.name, PlayedTopic { type_name: topic.r#type, offered }))
        });
        let topics = topics.collect::<Option<BTreeMap<_, _>>>()?;
        Some(Self { topics, span: (information.message_count > 0).then_some((first, last)) })
    }

    fn by_reading(bag: &Path) -> Result<Self, BagError> {
        let mut contents = Self::default();
        let mut reader = BagReader::open(bag)?;
        while let Some(message) = reader.next_message()? {
            let at = message.log_time();
            contents.span = Some(contents.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
            if !contents.topics.contains_key(message.topic()) {
                let profiles = OfferedQos::list_from_yaml(message.offered_qos()).unwrap_or_default();
                let offered = OfferedQos::most_demanding(&profiles);
                let topic = PlayedTopic { type_name: message.type_name().to_owned(), offered };
                contents.topics.insert(message.topic().to_owned(), topic);
            }
        }
        Ok(contents)
    }
}

#[derive(Deserialize)]
struct Root {
    rosbag2_bagfile_information: Information,
}

#[derive(Deserialize)]
struct Information {
    starting_time: Start,
    duration: Length,
    message_count: u64,
    topics_with_message_count: Vec<Counted>,
}

#[derive(Deserialize)]
struct Start {
    nanoseconds_since_epoch: i64,
}

#[derive(Deserialize)]
struct Length {
    nanoseconds: i64,
}

#[derive(Deserialize)]
struct Counted {
    topic_metadata: TopicMetadata,
}

#[derive(Deserialize)]
struct TopicMetadata {
    name: String,
    r#type: String,
    #[serde(default)]
    offered_qos_profiles: serde_yaml::Value,
}

/// Whether a topic is what a robot's sensors say, by its type and its name: that may be played beside other nodes. Goals, commands, chunks, stops,
/// what nodes answer, and whatever cannot be told are not: played onto a graph with a robot, they move it.
pub fn is_input(name: &str, type_name: &str) -> bool {
    /// Parts of names of what is wanted of a robot, though it has a sensor's type, and of what our nodes tell.
    const NOT: [&str; 12] = [
        "command",
        "commands",
        "cmd",
        "goal",
        "target",
        "targets",
        "desired",
        "reference",
        "setpoint",
        "filter_state",
        "state_command",
        "teleop",
    ];
    let package = type_name.split('/').next().unwrap_or_default();
    let kind = type_name.rsplit('/').next().unwrap_or_default();
    let sensors = match package {
        // Buttons and what they make vibrate are no measurements.
        "sensor_msgs" => !matches!(kind, "Joy" | "JoyFeedback" | "JoyFeedbackArray"),
        "tf2_msgs" => kind == "TFMessage",
        "std_msgs" => name.rsplit('/').next() == Some("robot_description"),
        _ => false,
    };
    let parts = || name.split('/').map(|part| part.trim_start_matches('_'));
    sensors
        && !parts().any(|part| {
            NOT.contains(&part) || part.ends_with("_command") || part.ends_with("_commands") || part.ends_with("_cmd")
        })
}

/// Other names for topics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remaps(Vec<(String, String)>);

impl Remaps {
    /// From texts `from:=to`. A name without a leading `/` gets one.
    ///
    /// # Errors
    /// The text that is none.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let absolute = |name: &str| format!("/{}", name.trim_start_matches('/'));
        let parsed = texts.iter().map(|text| match text.split_once(":=") {
            Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok((absolute(from), absolute(to))),
            _ => Err(format!("--remap {text}: a remapping is from:=to, as in /front/image:=/camera/image")),
        });
        Ok(Self(parsed.collect::<Result<_, _>>()?))
    }

    /// The name under which a topic is published.
    pub fn name<'a>(&'a self, topic: &'a str) -> &'a str {
        self.0.iter().find(|(from, _)| from == topic).map_or(topic, |(_, to)| to)
    }
}

/// Log time against the time that plays: both begin together, and log time runs `rate` times as fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    first: Stamp,
    rate: f64,
}

impl Pace {
    /// Begins at a log time. The rate is positive.
    pub fn new(first: Stamp, rate: f64) -> Self {
        Self { first, rate }
    }

    /// How long after the beginning a message is due; at once where it lies before.
    pub fn due(&self, at: Stamp) -> Duration {
        let nanos = at.nanos_since(self.first).max(0) as f64 / self.rate;
        Duration::from_nanos(nanos as u64)
    }

    /// What time it is in the bag.
    pub fn now(&self, since_beginning: Duration) -> Stamp {
        let nanos = since_beginning.as_nanos() as f64 * self.rate;
        Stamp::from_nanos(self.first.nanos().saturating_add(nanos as i64))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_bag::{BagOptions, BagWriter, Qos, msgs::StringMsg};

    #[test]
    fn a_bag_tells_the_same_with_and_without_its_metadata() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("bag");
        let mut bag = BagWriter::create(&dir, BagOptions::default()).unwrap();
        bag.set_qos("instruction", Qos::LATCHED);
        bag.set_qos("goal", Qos::CLOCK);
        bag.write("instruction", &StringMsg::new("put"), Stamp::from_nanos(5)).unwrap();
        bag.write("goal", &StringMsg::new("put"), Stamp::from_nanos(9)).unwrap();
        bag.finish().unwrap();
        let with = Contents::of(&dir).unwrap();
        std::fs::remove_file(dir.join("metadata.yaml")).unwrap();
        assert_eq!(Contents::of(&dir).unwrap(), with);
        assert_eq!(with.topics["/instruction"].offered.unwrap().qos, Qos::LATCHED);
        assert_eq!(with.topics["/goal"].type_name, "std_msgs/msg/String");
        assert_eq!(with.span, Some((Stamp::from_nanos(5), Stamp::from_nanos(9))));
    }

    #[test]
    fn profiles_that_are_a_text_are_read_as_older_bags_have_them() {
        let text = "rosbag2_bagfile_information:\n  starting_time: {nanoseconds_since_epoch: 7}\n  duration: {nanoseconds: 3}\n  \
                    message_count: 1\n  topics_with_message_count:\n    - topic_metadata:\n        name: /goal\n        type: std_msgs/msg/String\n        \
                    offered_qos_profiles: \"- reliability: 2\\n  durability: 1\\n\"\n";
        let contents = Contents::from_metadata(text).unwrap();
        let qos = contents.topics["/goal"].offered.unwrap().qos;
        assert_eq!(qos, Qos { durability: efm_bag::Durability::TransientLocal, depth: 0, ..Qos::CLOCK });
    }

    #[test]
    fn what_sensors_say_is_an_input_and_what_moves_stops_or_answers_is_none() {
        for (name, kind) in [
            ("/joint_states", "sensor_msgs/msg/JointState"),
            ("/cell/joint_states", "sensor_msgs/msg/JointState"),
            ("/front/image_raw", "sensor_msgs/msg/Image"),
            ("/observation/front/image", "sensor_msgs/msg/Image"),
            ("/front/image_raw/compressed", "sensor_msgs/msg/CompressedImage"),
            ("/front/camera_info", "sensor_msgs/msg/CameraInfo"),
            ("/tf_static", "tf2_msgs/msg/TFMessage"),
            ("/robot_description", "std_msgs/msg/String"),
        ] {
            assert!(is_input(name, kind), "{name}");
        }
        for (name, kind) in [
            ("/goal", "std_msgs/msg/String"),
            ("/instruction", "std_msgs/msg/String"),
            ("/cancel_goal", "std_msgs/msg/Empty"),
            ("/action_chunk", "trajectory_msgs/msg/JointTrajectory"),
            ("/arm_controller/joint_trajectory", "trajectory_msgs/msg/JointTrajectory"),
            ("/emergency_stop", "std_msgs/msg/Bool"),
            ("/speed_scale", "std_msgs/msg/Float64"),
            ("/planning_scene", "moveit_msgs/msg/PlanningScene"),
            ("/cmd_vel", "geometry_msgs/msg/Twist"),
            ("/forward_position_controller/commands", "std_msgs/msg/Float64MultiArray"),
            ("/joint_command", "sensor_msgs/msg/JointState"),
            ("/arm/desired/joint_states", "sensor_msgs/msg/JointState"),
            ("/trajectory_publisher/filter_state", "sensor_msgs/msg/JointState"),
            ("/joy", "sensor_msgs/msg/Joy"),
            ("/arm/_action/status", "action_msgs/msg/GoalStatusArray"),
            ("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray"),
            ("/clock", "rosgraph_msgs/msg/Clock"),
            ("/something", "lab_msgs/msg/Something"),
            ("/untyped", ""),
        ] {
            assert!(!is_input(name, kind), "{name}");
        }
    }

    #[test]
    fn remapping_knows_names_with_and_without_a_leading_slash() {
        let remaps = Remaps::parse(&["front/image:=/camera".to_owned()]).unwrap();
        assert_eq!((remaps.name("/front/image"), remaps.name("/other")), ("/camera", "/other"));
        for wrong in ["a=b", ":=b", "a:="] {
            assert!(Remaps::parse(&[wrong.to_owned()]).unwrap_err().contains(wrong));
        }
    }

    #[test]
    fn time_in_the_bag_runs_at_the_rate_and_what_lies_before_is_due_at_once() {
        let pace = Pace::new(Stamp::from_nanos(1_000_000_000), 2.0);
        assert_eq!(pace.due(Stamp::from_nanos(2_000_000_000)), Duration::from_millis(500));
        assert_eq!(pace.due(Stamp::from_nanos(3)), Duration::ZERO);
        assert_eq!(pace.now(Duration::from_millis(500)), Stamp::from_nanos(2_000_000_000));
    }
}
