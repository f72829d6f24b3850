//! The parameters that the nodes would have: what is evaluated is what is deployed.

use crate::planner::RobotFiles;
use efm_app::cell::{Cell, CellPlan, Files};
use efm_app::inference::inference_params;
use efm_app::publisher::streaming::Streaming;
use efm_app::publisher::streaming_params;
use efm_collision::{CollisionError, Obstacles};
use efm_config::file::{self, Said};
use efm_config::{Params, Spec, files};
use efm_core::reading;
use efm_schedule::{Mode, OnNewGoal};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Why the nodes would not start with these files, or would do nothing.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A file cannot be read.
    #[error("cannot read '{}': {source}", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A parameter file is none.
    #[error("{}: {what}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Parameters of a node are wrong, or do not fit the robot.
    #[error("parameters of '{node}' ({}): {what}", files.join(", "))]
    Params {
        /// Which.
        node: &'static str,
        /// From which files.
        files: Vec<String>,
        /// What is wrong.
        what: String,
    },
}

/// Parameters that name files.
const NAMES_A_FILE: [&str; 3] = ["joint_limits_file", "obstacles_file", "robot_description_semantic_file"];
const PUBLISHER: &str = "trajectory_publisher";
const INFERENCE: &str = "vla_inference";

/// What is said of a node in the parameter files of a robot, later files over earlier ones; the files that it names from the robot's root.
fn said_to(node: &str, robot: &RobotFiles, specs: &[Spec]) -> Result<Said, DeployError> {
    let mut said = Said::new();
    for path in &robot.parameters {
        let text = read(path)?;
        let wrong = |what| DeployError::File { file: path.clone(), what };
        file::put_all(&mut said, &text, &format!("/{node}"), specs).map_err(wrong)?;
    }
    for name in NAMES_A_FILE {
        if let Some(Value::String(named)) = said.get_mut(name)
            && !named.is_empty()
        {
            let below = robot.root.join(&*named);
            let found = if below.is_file() { below } else { files::find(named) };
            *named = found.display().to_string();
        }
    }
    Ok(said)
}

/// The text of one of a robot's files.
pub(crate) fn read(path: &Path) -> Result<String, DeployError> {
    reading::text(path, reading::SETTINGS).map_err(|source| DeployError::Read { file: path.to_owned(), source })
}

/// A publisher of trajectories as the parameter files of a robot make it, with its robot: as many of them, all alike, as are wanted.
#[derive(Debug, Clone)]
pub struct Deployed {
    said: Said,
    params: Params,
    texts: Files,
    urdf: String,
    cell: Cell,
    files: Vec<String>,
}

impl Deployed {
    /// From the files of a robot.
    ///
    /// # Errors
    /// When a file cannot be read, a parameter is wrong, or something does not fit the robot: which, and why.
    pub fn read(robot: &RobotFiles) -> Result<Self, DeployError> {
        let specs = streaming_params::specs();
        let mut said = said_to(PUBLISHER, robot, &specs)?;
        // Where its meshes are looked for.
        file::put(&mut said, "robot_description_file", Value::from(robot.urdf.display().to_string()));
        let files: Vec<String> = robot.parameters.iter().map(|file| file.display().to_string()).collect();
        let wrong = |what: String| DeployError::Params { node: PUBLISHER, files: files.clone(), what };
        let params = file::params(&said, specs).map_err(wrong)?;
        let texts = Files::read(&params).map_err(|e| wrong(e.to_string()))?;
        let urdf = read(&robot.urdf)?;
        let cell = CellPlan::new(&params, &texts).and_then(|plan| plan.of(&urdf, texts.semantics.as_deref()));
        let cell = cell.map_err(|e| wrong(e.to_string()))?;
        Ok(Self { said, params, texts, urdf, cell, files })
    }

    /// The same, but for how one chunk follows another and what becomes of the motion with a new instruction.
    ///
    /// # Errors
    /// Never for modes and rules of ours.
    pub fn with(&self, mode: Mode, rule: OnNewGoal) -> Result<Self, DeployError> {
        let mut said = self.said.clone();
        file::put(&mut said, "mode", Value::from(mode.name()));
        if let Mode::TemporalEnsemble { m } = mode {
            file::put(&mut said, "ensemble_decay", Value::from(m));
        }
        file::put(&mut said, "on_new_goal", Value::from(rule.name()));
        let wrong = |what: String| DeployError::Params { node: PUBLISHER, files: self.files.clone(), what };
        let params = file::params(&said, streaming_params::specs()).map_err(wrong)?;
        let cell = self.cell.clone().with_config(streaming_params::stream_config(&params));
        Ok(Self { said, params, cell, ..self.clone() })
    }

    /// The parameters of `trajectory_publisher`.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The robot with its surroundings.
    pub fn cell(&self) -> &Cell {
        &self.cell
    }

    /// Text of the semantic description, where one is named.
    pub fn semantics(&self) -> Option<&str> {
        self.texts.semantics.as_deref()
    }

    /// The obstacles that are named; none where no file is.
    ///
    /// # Errors
    /// Never, as they were read once.
    pub fn obstacles(&self) -> Result<Obstacles, CollisionError> {
        self.texts.obstacles.as_deref().map_or(Ok(Obstacles::default()), Obstacles::parse)
    }

    /// Text of the robot description.
    pub fn urdf(&self) -> &str {
        &self.urdf
    }

    /// How one chunk follows another.
    pub fn mode(&self) -> Mode {
        self.cell.config().schedule.mode
    }

    /// What becomes of the motion with a new instruction.
    pub fn on_new_goal(&self) -> OnNewGoal {
        streaming_params::on_new_goal(&self.params)
    }

    /// What works on events, before its robot is described.
    ///
    /// # Errors
    /// Never, as it was made once.
    pub fn streaming(&self) -> Result<Streaming, DeployError> {
        let wrong = |e: efm_app::Failure| DeployError::Params {
            node: PUBLISHER,
            files: self.files.clone(),
            what: e.to_string(),
        };
        let streaming = Streaming::new(&self.params, &self.texts).map_err(wrong)?;
        Ok(streaming.in_cell(self.cell.clone(), &self.urdf))
    }
}

/// The parameters of `vla_inference` from the files of a robot, for the policy package in `folder`; encoders are looked for in `models` too.
///
/// # Errors
/// When a file cannot be read, or a parameter is wrong: which, and why.
pub fn inference(robot: &RobotFiles, folder: &Path, models: &[PathBuf]) -> Result<Params, DeployError> {
    let specs = inference_params::specs();
    let mut said = said_to(INFERENCE, robot, &specs)?;
    file::put(&mut said, "policy", Value::from(folder.display().to_string()));
    if !models.is_empty() && !said.contains_key("models_path") {
        let models: Vec<String> = models.iter().map(|path| path.display().to_string()).collect();
        file::put(&mut said, "models_path", Value::from(models));
    }
    let files = robot.parameters.iter().map(|file| file.display().to_string()).collect();
    file::params(&said, specs).map_err(|what| DeployError::Params { node: INFERENCE, files, what })
}
