//! `config/graph.yaml`: the processes of the graph. The launch file reads the same file.

use efm_config::{file, is_for};
use efm_core::reading;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The launch arguments that a value may refer to as `$(name)`.
pub const ARGUMENTS: [&str; 5] = ["sim", "use_sim_time", "real_time_factor", "policy", "images"];

/// The whole file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// Values of the launch arguments where nobody gives others.
    pub defaults: Defaults,
    /// What is started.
    pub processes: Vec<Process>,
    /// Topics that a recording holds; `*` stands for one part of a name.
    #[serde(default)]
    pub record: Vec<String>,
}

/// Values of the launch arguments where nobody gives others.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Whether the simulator is started.
    pub sim: bool,
    /// Whether time comes from `/clock`.
    pub use_sim_time: bool,
    /// Simulated seconds a second, where time comes from `/clock`.
    #[serde(default = "real_time")]
    pub real_time_factor: f64,
    /// Folder of the policy package, beside the simulator: it is one for the simulator's robot.
    pub policy: String,
}

/// When a process is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// In any case.
    Always,
    /// Only beside the simulator.
    Sim,
    /// Only without the simulator.
    Robot,
    /// Only where a recording is asked for.
    Record,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Name of its node.
    pub name: String,
    /// Name of the executable.
    pub executable: String,
    /// When it is started.
    pub when: When,
    /// Parameter files, relative to the folder above that of the graph file.
    #[serde(default)]
    pub params: Vec<String>,
    /// As `params`, before them, only beside the simulator: what belongs to the simulator's robot.
    #[serde(default)]
    pub sim_params: Vec<String>,
    /// Single parameters. A text `$(name)` stands for a launch argument.
    #[serde(default)]
    pub set: BTreeMap<String, serde_json::Value>,
    /// Remapped names.
    #[serde(default)]
    pub remappings: BTreeMap<String, String>,
    /// Whether it takes `use_sim_time`.
    #[serde(default = "yes")]
    pub sim_time: bool,
    /// Whether a launch system may start it again after its death.
    #[serde(default = "yes")]
    pub respawn: bool,
    /// Whether a launch system may put it into one process with others.
    #[serde(default)]
    pub compose: bool,
}

fn real_time() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

/// Why a graph file is refused.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// It cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not YAML, or a field is missing, unknown or of another type.
    #[error("{}: {source}", file.display())]
    Yaml {
        /// Which file.
        file: PathBuf,
        /// What is wrong where.
        source: serde_yaml::Error,
    },
    /// Its content does not make sense.
    #[error("{}: {problem}", file.display())]
    Content {
        /// Which file.
        file: PathBuf,
        /// What is wrong where.
        problem: String,
    },
}

impl Graph {
    /// Reads and checks a graph file.
    ///
    /// # Errors
    /// Naming the file and the field.
    pub fn read(file: &Path) -> Result<Self, GraphError> {
        let text = reading::text(file, reading::SETTINGS)
            .map_err(|source| GraphError::Read { file: file.to_owned(), source })?;
        Self::parse(&text, file)
    }

    /// Checks the text of a graph file; `file` is its name in messages.
    ///
    /// # Errors
    /// Naming the file and the field.
    pub fn parse(text: &str, file: &Path) -> Result<Self, GraphError> {
        let graph: Self =
            serde_yaml::from_str(text).map_err(|source| GraphError::Yaml { file: file.to_owned(), source })?;
        graph.check().map_err(|problem| GraphError::Content { file: file.to_owned(), problem })?;
        Ok(graph)
    }

    /// Topics that a recording beside the simulator holds, by name: those of types that are at hand there. Names with `*` are those of the
    /// controllers and cameras in the parameter files that its processes read; relative ones lie in `root`.
    ///
    /// # Errors
    /// Naming the parameter file.
    pub fn recorded(&self, root: &Path) -> Result<Vec<String>, GraphError> {
        let mut all = Vec::new();
        for topic in &self.record {
            match topic.split_once('*') {
                None => all.push(topic.clone()),
                Some((before, behind)) => {
                    let (executable, parameter) = named_by(topic);
                    let names = self.names(root, executable, parameter)?;
                    all.extend(names.iter().map(|name| format!("{before}{name}{behind}")));
                }
            }
        }
        all.retain(|topic| message_type(topic).is_some());
        Ok(all)
    }

    /// What a parameter of a process names in its parameter files.
    fn names(&self, root: &Path, executable: &str, parameter: &str) -> Result<Vec<String>, GraphError> {
        let mut said = file::Said::new();
        for process in self.processes.iter().filter(|process| process.executable == executable) {
            for params in process.sim_params.iter().chain(&process.params) {
                let path = root.join(params);
                let text = reading::text(&path, reading::SETTINGS)
                    .map_err(|source| GraphError::Read { file: path.clone(), source })?;
                let all = file::read(&text).map_err(|problem| GraphError::Content { file: path, problem })?;
                for (_, values) in all.into_iter().filter(|(key, _)| is_for(key, &format!("/{}", process.name))) {
                    values.into_iter().for_each(|(name, value)| drop(file::put(&mut said, &name, value)));
                }
            }
        }
        // A list, or lists under names of their own.
        let listed = said.get(parameter).and_then(|value| value.as_array()).into_iter().flatten();
        let under = said.keys().filter_map(|name| name.strip_prefix(parameter)?.strip_prefix('.'));
        Ok(listed.filter_map(|name| name.as_str()).chain(under).map(str::to_owned).collect())
    }

    fn check(&self) -> Result<(), String> {
        if self.processes.is_empty() {
            return Err("processes: there are none".to_owned());
        }
        let mut names = BTreeSet::new();
        for (i, process) in self.processes.iter().enumerate() {
            let at = format!("processes[{i}]");
            let (name, executable) = (&process.name, &process.executable);
            if !is_node_name(name) {
                return Err(format!(
                    "{at}.name: '{name}' is not a node name (letters, digits and '_', not starting with a digit)"
                ));
            }
            if !names.insert(name) {
                return Err(format!("{at}.name: '{name}' was there before; every process needs a name of its own"));
            }
            if executable.is_empty() || executable.contains(['/', '\0']) {
                return Err(format!("{at}.executable: '{executable}' is not the name of an executable (no folder)"));
            }
            for (parameter, value) in &process.set {
                if let Some(argument) = reference(value)
                    && !ARGUMENTS.contains(&argument)
                {
                    return Err(format!(
                        "{at}.set.{parameter}: there is no launch argument '{argument}'; one of: {}",
                        ARGUMENTS.join(", ")
                    ));
                }
                if value.is_null() || value.is_object() {
                    return Err(format!("{at}.set.{parameter}: a parameter is a boolean, a number, a text or a list"));
                }
            }
        }
        for (i, topic) in self.record.iter().enumerate() {
            let recorder = topic.rsplit('/').next().is_some_and(|last| RECORDER_ONLY.contains(&last));
            if message_type(topic).is_none() && !recorder {
                return Err(format!(
                    "record[{i}]: it is not known what messages '{topic}' carries; known are, by the last part: {}",
                    TYPES.iter().flat_map(|(_, names)| names.iter().copied()).collect::<Vec<_>>().join(", ")
                ));
            }
        }
        Ok(())
    }
}

/// By which executable and parameter the `*` of a recorded topic is told.
fn named_by(topic: &str) -> (&'static str, &'static str) {
    if topic.starts_with("observation/") { ("sim", "cameras") } else { ("trajectory_publisher", "controllers") }
}

/// The launch argument that a value stands for.
pub fn reference(value: &serde_json::Value) -> Option<&str> {
    value.as_str()?.strip_prefix("$(")?.strip_suffix(')')
}

fn is_node_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What topics carry, by the last part of their names.
const TYPES: [(&str, &[&str]); 10] = [
    ("std_msgs/msg/Bool", &["emergency_stop"]),
    ("std_msgs/msg/Float64", &["speed_scale"]),
    ("std_msgs/msg/String", &["goal", "instruction", "goal_status", "task_status", "robot_description"]),
    ("sensor_msgs/msg/JointState", &["joint_states", "filter_state"]),
    ("sensor_msgs/msg/Image", &["image", "image_raw"]),
    ("sensor_msgs/msg/CompressedImage", &["compressed"]),
    ("sensor_msgs/msg/CameraInfo", &["camera_info"]),
    ("trajectory_msgs/msg/JointTrajectory", &["action_chunk", "execution_state", "joint_trajectory"]),
    ("diagnostic_msgs/msg/DiagnosticArray", &["diagnostics", "trace"]),
    ("rosgraph_msgs/msg/Clock", &["clock"]),
];

/// Those that only `recorder` records, which asks the publishers what they are: their types are not everywhere.
const RECORDER_ONLY: [&str; 3] = ["controller_state", "planning_scene", "rosout"];

/// The message type of a topic of the suite, by the last part of its name; `None` when it has no convention.
pub fn message_type(topic: &str) -> Option<&'static str> {
    let last = topic.rsplit('/').next()?;
    TYPES.iter().find(|(_, names)| names.contains(&last)).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GOOD: &str = "
defaults: {sim: true, use_sim_time: false, policy: models/p}
processes:
  - {name: sim, executable: sim, when: sim, set: {publish_clock: $(use_sim_time)}, sim_time: false, respawn: false}
  - {name: arm, executable: trajectory_publisher, when: always, params: [a.yaml], remappings: {joint_states: /js}}
record: [goal, observation/front/image]
";

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    #[test]
    fn another_robots_controllers_and_cameras_are_recorded_by_the_names_of_its_parameters() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("sim.yaml", "/**/sim: {ros__parameters: {cameras: [head]}}\n");
        let arm = "/**/arm: {ros__parameters: {controllers: {/ur/scaled: [pan], left/hand: [grip]}}}\nother: {ros__parameters: {controllers: {no: [a]}}}";
        write("arm.yaml", arm);
        let text = GOOD.replace("when: sim,", "when: sim, sim_params: [sim.yaml],").replace("a.yaml", "arm.yaml");
        let text = text.replace(
            "record: [goal, ",
            "record: [goal, '*/joint_trajectory', '*/controller_state', observation/*/image, ",
        );
        let graph = Graph::parse(&text, Path::new("graph.yaml")).unwrap();
        let recorded = graph.recorded(dir.path()).unwrap();
        let expected = [
            "goal",
            "/ur/scaled/joint_trajectory",
            "left/hand/joint_trajectory",
            "observation/head/image",
            "observation/front/image",
        ];
        assert_eq!(recorded, expected);
        write("arm.yaml", "[1]");
        let error = graph.recorded(dir.path()).unwrap_err().to_string();
        assert!(error.contains("arm.yaml"), "{error}");
    }

    fn refusal(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        Graph::parse(&GOOD.replacen(from, to, 1), Path::new("graph.yaml")).unwrap_err().to_string()
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let graph = Graph::parse(GOOD, Path::new("graph.yaml")).unwrap();
        let [sim, arm] = &graph.processes[..] else { panic!("{graph:?}") };
        assert!(!sim.sim_time && !sim.respawn && sim.params.is_empty() && sim.remappings.is_empty());
        assert!(arm.sim_time && arm.respawn && arm.set.is_empty());
        assert_eq!(reference(&sim.set["publish_clock"]), Some("use_sim_time"));
    }

    #[test]
    fn the_graph_of_this_repository_is_taken() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/graph.yaml");
        let graph = Graph::read(&file).unwrap();
        let names: Vec<_> = graph.processes.iter().map(|p| p.name.as_str()).collect();
        // Every topic with a star has the names that the parameters give it.
        let recorded = graph.recorded(&root()).unwrap();
        assert!(recorded.iter().all(|topic| !topic.contains('*')), "{recorded:?}");
        for topic in [
            "observation/front/image",
            "observation/wrist/image",
            "panda_arm_controller/joint_trajectory",
            "panda_hand_controller/joint_trajectory",
        ] {
            assert!(recorded.iter().any(|name| name == topic), "{topic}: {recorded:?}");
        }
        assert!(names.contains(&"sim") && names.contains(&"trajectory_publisher"), "{names:?}");
    }

    #[test]
    fn what_a_post_mortem_asks_for_first_is_recorded() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/graph.yaml");
        let graph = Graph::read(&file).unwrap();
        for topic in [
            "/diagnostics",
            "/rosout",
            "*/controller_state",
            "planning_scene",
            "emergency_stop",
            "speed_scale",
            "robot_description",
            "trajectory_publisher/trace",
        ] {
            assert!(graph.record.iter().any(|recorded| recorded == topic), "{topic}");
        }
        let here = graph.recorded(&root()).unwrap();
        for topic in ["/diagnostics", "emergency_stop", "speed_scale", "robot_description"] {
            assert!(here.iter().any(|recorded| recorded == topic), "{topic} beside the simulator: {here:?}");
        }
    }

    #[test]
    fn bad_input_is_refused_with_file_and_field() {
        for (from, to, words) in [
            ("when: always", "when: sometimes", &["processes[1].when", "sometimes", "robot"][..]),
            ("executable: sim,", "", &["processes[0]", "executable"]),
            ("executable: sim,", "executable: ../sim,", &["processes[0].executable", "'../sim'"]),
            ("name: arm", "name: sim", &["processes[1].name", "'sim' was there before"]),
            ("name: arm", "name: my arm", &["processes[1].name", "'my arm'"]),
            ("$(use_sim_time)", "$(use_simtime)", &["set.publish_clock", "'use_simtime'", "use_sim_time"]),
            ("$(use_sim_time)", "{a: 1}", &["set.publish_clock", "list"]),
            ("remappings:", "remaps:", &["processes[1]", "remaps", "remappings"]),
            ("sim: true,", "sim: maybe,", &["defaults.sim", "maybe"]),
            ("record: [goal,", "record: [wishes,", &["record[0]", "'wishes'", "instruction"]),
            ("record: [goal,", "record: [a/*/wishes,", &["record[0]", "'a/*/wishes'"]),
            ("processes:", "processes: []\nothers:", &["others"]),
        ] {
            let text = refusal(from, to);
            assert!(text.starts_with("graph.yaml: "), "{text}");
            assert!(words.iter().all(|word| text.contains(word)), "{text} should name {words:?}");
        }
        let missing = Graph::read(Path::new("/no/such/graph.yaml")).unwrap_err().to_string();
        assert!(missing.starts_with("/no/such/graph.yaml: "), "{missing}");
    }

    #[test]
    fn types_are_known_by_the_last_part_of_a_name() {
        assert_eq!(message_type("panda_arm_controller/joint_trajectory"), Some("trajectory_msgs/msg/JointTrajectory"));
        assert_eq!(message_type("/diagnostics"), Some("diagnostic_msgs/msg/DiagnosticArray"));
        assert_eq!(message_type("observation/front/pictures"), None);
        for (name, _) in TYPES {
            assert!(efm_bag::schema::type_info(name).is_some(), "{name} can be recorded");
        }
    }
}
