//! From the graph file and the launch arguments to what is started: the same as `launch/bringup.launch.py`.

use crate::graph::{Defaults, Graph, Process, When, reference};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The launch arguments, with the names that the launch file gives them.
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments {
    /// Namespace of all nodes and relative topics; empty: none.
    pub namespace: String,
    /// Whether the simulator is started.
    pub sim: bool,
    /// Folder of the policy package. None: beside the simulator the graph file's, without it whatever the parameter file names.
    pub policy: Option<String>,
    /// Parameter file whose values replace those of the suite's own.
    pub params_file: Option<PathBuf>,
    /// Whether time comes from `/clock`.
    pub use_sim_time: bool,
    /// Simulated seconds a second, where time comes from `/clock`.
    pub real_time_factor: f64,
    /// Log level of all nodes.
    pub log_level: String,
}

impl Arguments {
    /// With the defaults of a graph file.
    pub fn new(defaults: &Defaults) -> Self {
        Self {
            namespace: String::new(),
            sim: defaults.sim,
            policy: None,
            params_file: None,
            use_sim_time: defaults.use_sim_time,
            real_time_factor: defaults.real_time_factor,
            log_level: "info".to_owned(),
        }
    }

    /// None for what nobody gives.
    fn value(&self, defaults: &Defaults, value: &Value) -> Option<Value> {
        let policy = || self.policy.as_ref().or(self.sim.then_some(&defaults.policy));
        Some(match reference(value) {
            Some("sim") => self.sim.into(),
            Some("use_sim_time") => self.use_sim_time.into(),
            Some("real_time_factor") => self.real_time_factor.into(),
            Some("policy") => match policy()?.as_str() {
                // The launch file cannot tell these words from truth values, so neither do we.
                word @ ("true" | "false") => (word == "true").into(),
                policy => policy.into(),
            },
            _ => value.clone(),
        })
    }
}

/// Where parameters come from; later ones win.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Parameters {
    /// A parameter file.
    File(PathBuf),
    /// Single parameters.
    Single(BTreeMap<String, Value>),
}

/// A process that is to be started.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planned {
    /// Name of the executable.
    pub executable: String,
    /// Name of its node.
    pub name: String,
    /// Its namespace; empty: none.
    pub namespace: String,
    /// Its parameters.
    pub parameters: Vec<Parameters>,
    /// Its remapped names.
    pub remappings: BTreeMap<String, String>,
    /// Its log level.
    pub log_level: String,
    /// Whether a launch system may start it again after its death. The demo never does: a death is a failure.
    pub respawn: bool,
}

/// What is started, in the order of the graph file. `root` is the folder above that of the graph file.
pub fn plan(graph: &Graph, root: &Path, arguments: &Arguments) -> Vec<Planned> {
    let wanted = graph.processes.iter().filter(|p| is_wanted(p.when, arguments.sim));
    wanted.map(|p| planned(p, &graph.defaults, root, arguments)).collect()
}

fn is_wanted(when: When, sim: bool) -> bool {
    match when {
        When::Always => true,
        When::Sim => sim,
        When::Robot => !sim,
        // The demo records by itself.
        When::Record => false,
    }
}

fn planned(process: &Process, defaults: &Defaults, root: &Path, arguments: &Arguments) -> Planned {
    let of_sim = process.sim_params.iter().filter(|_| arguments.sim);
    let files = of_sim.chain(&process.params);
    let mut parameters: Vec<_> = files.map(|file| Parameters::File(root.join(file))).collect();
    parameters.extend(arguments.params_file.clone().map(Parameters::File));
    let mut single: BTreeMap<_, _> = process
        .set
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), arguments.value(defaults, value)?)))
        .collect();
    if process.sim_time {
        single.insert("use_sim_time".to_owned(), arguments.use_sim_time.into());
    }
    if !single.is_empty() {
        parameters.push(Parameters::Single(single));
    }
    Planned {
        executable: process.executable.clone(),
        name: process.name.clone(),
        namespace: arguments.namespace.clone(),
        parameters,
        remappings: process.remappings.clone(),
        log_level: arguments.log_level.clone(),
        respawn: process.respawn,
    }
}

impl Planned {
    /// The command line after the executable, as the launch system writes it too.
    pub fn command_line(&self) -> Vec<String> {
        let mut line = vec!["--ros-args".to_owned(), "--log-level".to_owned(), self.log_level.clone()];
        let mut option = |flag: &str, value: String| line.extend([flag.to_owned(), value]);
        option("-r", format!("__node:={}", self.name));
        if !self.namespace.is_empty() {
            option("-r", format!("__ns:=/{}", self.namespace.trim_start_matches('/')));
        }
        for parameters in &self.parameters {
            match parameters {
                Parameters::File(file) => option("--params-file", file.display().to_string()),
                // ROS reads the value as YAML, of which JSON is a part: a quoted text stays a text.
                Parameters::Single(values) => {
                    values.iter().for_each(|(name, value)| option("-p", format!("{name}:={value}")));
                }
            }
        }
        self.remappings.iter().for_each(|(from, to)| option("-r", format!("{from}:={to}")));
        line
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn graph() -> Graph {
        let text = "
defaults: {sim: true, use_sim_time: false, policy: models/p}
processes:
  - {name: sim, executable: simulate, when: sim, params: [config/a.yaml], set: {publish_clock: $(use_sim_time)}, sim_time: false}
  - {name: eye, executable: look, when: always, sim_params: [config/s.yaml], set: {policy: $(policy), moves: $(sim), rate: 5}, remappings: {a: b}}
  - {name: driver, executable: drive, when: robot, params: [x.yaml, y.yaml], sim_time: false}
";
        Graph::parse(text, Path::new("graph.yaml")).unwrap()
    }

    fn names(planned: &[Planned]) -> Vec<&str> {
        planned.iter().map(|p| p.name.as_str()).collect()
    }

    #[test]
    fn the_simulator_and_the_robots_driver_exclude_each_other() {
        let graph = graph();
        let mut arguments = Arguments::new(&graph.defaults);
        assert_eq!(names(&plan(&graph, Path::new("/r"), &arguments)), ["sim", "eye"]);
        arguments.sim = false;
        assert_eq!(names(&plan(&graph, Path::new("/r"), &arguments)), ["eye", "driver"]);
    }

    #[test]
    fn arguments_reach_the_parameters_with_their_types() {
        let graph = graph();
        let arguments =
            Arguments { use_sim_time: true, policy: Some("my models/p".into()), ..Arguments::new(&graph.defaults) };
        let planned = plan(&graph, Path::new("/r"), &arguments);
        let json = serde_json::to_value(&planned).unwrap();
        assert_eq!(json[0]["parameters"], serde_json::json!(["/r/config/a.yaml", {"publish_clock": true}]));
        assert_eq!(
            json[1]["parameters"],
            serde_json::json!(["/r/config/s.yaml", {"policy": "my models/p", "moves": true, "rate": 5, "use_sim_time": true}])
        );
    }

    #[test]
    fn the_users_parameter_file_comes_after_the_suites_own_and_before_single_values() {
        let graph = graph();
        let arguments =
            Arguments { params_file: Some("/my.yaml".into()), sim: false, ..Arguments::new(&graph.defaults) };
        let planned = plan(&graph, Path::new("/r"), &arguments);
        let files = ["/r/x.yaml", "/r/y.yaml", "/my.yaml"].map(|f| Parameters::File(f.into()));
        assert_eq!(planned[1].parameters, files);
        // What belongs to the simulator's robot is nobody else's, the policy not either.
        assert_eq!(planned[0].parameters[0], files[2]);
        assert!(matches!(&planned[0].parameters[1], Parameters::Single(values) if !values.contains_key("policy")));
        assert!(matches!(&planned[0].parameters[1], Parameters::Single(values) if values["moves"] == false));
    }

    #[test]
    fn the_command_line_is_what_ros_reads() {
        let graph = graph();
        let arguments = Arguments { namespace: "cell".into(), ..Arguments::new(&graph.defaults) };
        let line = plan(&graph, Path::new("/r"), &arguments)[1].command_line().join(" ");
        assert_eq!(
            line,
            "--ros-args --log-level info -r __node:=eye -r __ns:=/cell --params-file /r/config/s.yaml -p moves:=true -p policy:=\"models/p\" \
             -p rate:=5 -p use_sim_time:=false -r a:=b"
        );
    }
}
