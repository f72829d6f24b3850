//! A robot's cell, from its files and parameters to a streamer: the one builder of nodes, evaluation, replay and bench.

use crate::Failure;
use crate::publisher::description::Described;
use crate::publisher::streaming_params::stream_config;
use crate::setup::{description_file, joint_limits};
use crate::surroundings::{Around, around, check_fixed, fixed_joints, named_file};
use efm_collision::{CollisionModel, Obstacles};
use efm_config::Params;
use efm_core::JointNames;
use efm_core::reading::all_told;
use efm_robot::{LimitSet, LimitsFile, RobotModel, Srdf};
use efm_safety::{ControllerSpec, Limits, StreamConfig, TrajectoryStreamer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The files that parameters name, as text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Files {
    /// `joint_limits_file`.
    pub joint_limits: String,
    /// `obstacles_file`, where one is named.
    pub obstacles: Option<String>,
    /// `robot_description_semantic_file`, where one is named.
    pub semantics: Option<String>,
}

const LIMITS: &str = "joint_limits_file";
const OBSTACLES: &str = "obstacles_file";
const SEMANTICS: &str = "robot_description_semantic_file";

impl Files {
    /// Reads the files that the parameters name.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn read(params: &Params) -> Result<Self, Failure> {
        Ok(Self {
            joint_limits: named_file(params, LIMITS)?.unwrap_or_default(),
            obstacles: named_file(params, OBSTACLES)?,
            semantics: named_file(params, SEMANTICS)?,
        })
    }

    /// As a record of the node's start has them.
    pub fn by_parameter(&self) -> BTreeMap<String, String> {
        let Self { joint_limits, obstacles, semantics } = self.clone();
        let files = [(LIMITS, Some(joint_limits)), (OBSTACLES, obstacles), (SEMANTICS, semantics)];
        files.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?))).collect()
    }

    /// From such a record.
    pub fn from_record(files: &BTreeMap<String, String>) -> Self {
        let text = |name| files.get(name).cloned();
        Self { joint_limits: text(LIMITS).unwrap_or_default(), obstacles: text(OBSTACLES), semantics: text(SEMANTICS) }
    }
}

/// What parameters and the files that they name say of a cell, before its robot is described.
#[derive(Debug, Clone)]
pub struct CellPlan {
    limits: LimitsFile,
    joints: JointNames,
    controllers: Vec<ControllerSpec>,
    config: StreamConfig,
    obstacles: Obstacles,
    /// Joints that are declared to be fixed.
    fixed: BTreeMap<String, f64>,
    params: Params,
}

impl CellPlan {
    /// From the parameters of `trajectory_publisher` and the files that they name.
    ///
    /// # Errors
    /// When a parameter or a file is wrong: which one, and why.
    pub fn new(params: &Params, files: &Files) -> Result<Self, Failure> {
        let limits = joint_limits(params, &files.joint_limits);
        let obstacles = obstacles(params, files);
        // What is wrong with one file does not hide what is wrong with the others.
        let (limits, obstacles) = match (limits, obstacles) {
            (Ok(limits), Ok(obstacles)) => (limits, obstacles),
            (limits, obstacles) => {
                let described = wrong_descriptions(params, files);
                return Err(match (limits, obstacles, described.is_empty()) {
                    (Err(one), Ok(_), true) => one.into(),
                    (Ok(_), Err(one), true) => one.into(),
                    (limits, obstacles, _) => {
                        let mut wrong: Vec<String> =
                            limits.err().map(|reason| reason.to_string()).into_iter().collect();
                        wrong.extend(obstacles.err());
                        wrong.extend(described);
                        all_told(&wrong).into()
                    }
                });
            }
        };
        let mut controllers = Vec::new();
        for (name, joints) in params.lists("controllers") {
            let joints = JointNames::new(joints).map_err(|e| format!("parameter 'controllers.{name}': {e}"))?;
            controllers.push(ControllerSpec { name, joints });
        }
        let joints = JointNames::new(controllers.iter().flat_map(|c| c.joints.iter().map(str::to_owned)))
            .map_err(|e| format!("parameter 'controllers': {e}"))?;
        let (config, fixed) = (stream_config(params), fixed_joints(params)?);
        Ok(Self { limits, joints, controllers, config, obstacles, fixed, params: params.clone() })
    }

    /// All joints, in the order of the controllers.
    pub fn joints(&self) -> &JointNames {
        &self.joints
    }

    /// The controllers.
    pub fn controllers(&self) -> &[ControllerSpec] {
        &self.controllers
    }

    /// Joints that are declared to be fixed, rad or m.
    pub fn fixed(&self) -> &BTreeMap<String, f64> {
        &self.fixed
    }

    /// Of the robot that `urdf` describes, and `srdf` where there is one.
    ///
    /// # Errors
    /// When a description or a parameter does not fit the robot: which one, and why.
    pub fn of(&self, urdf: &str, srdf: Option<&str>) -> Result<Cell, Failure> {
        let whose = whose(&self.params);
        let model = match RobotModel::from_urdf(urdf) {
            Ok(model) => model,
            Err(error) => {
                let mut wrong = vec![format!("{whose}{error}")];
                wrong.extend(wrong_semantics(&self.params, srdf, None));
                return Err(all_told(&wrong).into());
            }
        };
        // All that does not fit is told, and not only the first of it.
        let mut wrong: Vec<Failure> = Vec::new();
        let mut keep = |error: Failure| wrong.push(error);
        check_fixed(&self.fixed, &model, &self.joints).map_err(Into::into).unwrap_or_else(&mut keep);
        let set = LimitSet::new(&model, &self.limits, &self.joints).map_err(|error| keep(error.into())).ok();
        let around = around(&model, srdf, &self.joints, &self.obstacles, &self.params).map_err(keep).ok();
        let (set, around) = match (set, around, wrong.len()) {
            (Some(set), Some(around), 0) => (set, around),
            (_, _, 1) => return Err(wrong.remove(0)),
            _ => return Err(all_told(&wrong).into()),
        };
        let mut notes: Vec<String> = model.notes().iter().map(|note| format!("{whose}{note}")).collect();
        notes.extend_from_slice(&set.notes);
        notes.extend_from_slice(&around.notes);
        for note in &notes {
            log::warn!("{note}");
        }
        let limits = Limits::new(set.names, &set.joints)?.turning(set.continuous)?;
        Ok(Cell {
            notes,
            model: Arc::new(model),
            limits,
            around,
            controllers: self.controllers.clone(),
            config: self.config.clone(),
        })
    }
}

/// In front of what is said of the robot description: its file, where one is named.
fn whose(params: &Params) -> String {
    let file = params.text("robot_description_file");
    if file.is_empty() { file } else { format!("'{file}': ") }
}

fn obstacles(params: &Params, files: &Files) -> Result<Obstacles, String> {
    let read = files.obstacles.as_deref().map_or(Ok(Obstacles::default()), Obstacles::parse);
    read.map_err(|e| format!("parameter '{OBSTACLES}' ('{}'): {e}", params.text(OBSTACLES)))
}

/// What is wrong with a semantic description, where there is one: by itself, where the robot is not known.
fn wrong_semantics(params: &Params, srdf: Option<&str>, model: Option<&RobotModel>) -> Option<String> {
    let nobody = RobotModel::from_urdf("<robot name='nobody'><link name='nothing'/></robot>").ok();
    let wrong = Srdf::parse(srdf?, model.or(nobody.as_ref())?).err()?;
    Some(format!("SRDF '{}': {wrong}", params.text(SEMANTICS)))
}

/// What is wrong with descriptions that are files, for who is told that other files are wrong.
fn wrong_descriptions(params: &Params, files: &Files) -> Vec<String> {
    let urdf = match description_file(params) {
        Ok(urdf) => urdf.map(|urdf| RobotModel::from_urdf(&urdf).map_err(|error| format!("{}{error}", whose(params)))),
        Err(error) => Some(Err(error.to_string())),
    };
    let model = urdf.as_ref().and_then(|urdf| urdf.as_ref().ok());
    let semantics = wrong_semantics(params, files.semantics.as_deref(), model);
    let limits = model.and_then(|model| {
        let joints = params.lists("controllers").into_iter().flat_map(|(_, joints)| joints);
        let (joints, limits) = (JointNames::new(joints).ok()?, joint_limits(params, &files.joint_limits).ok()?);
        LimitSet::new(model, &limits, &joints).err().map(|error| error.to_string())
    });
    urdf.and_then(Result::err).into_iter().chain(semantics).chain(limits).collect()
}

/// A cell with its robot: makes streamers, all alike.
#[derive(Debug, Clone)]
pub struct Cell {
    notes: Vec<String>,
    model: Arc<RobotModel>,
    limits: Limits,
    around: Around,
    controllers: Vec<ControllerSpec>,
    config: StreamConfig,
}

impl Cell {
    /// The robot.
    pub fn model(&self) -> &RobotModel {
        &self.model
    }

    /// What of its files is left out or taken otherwise than it is written, and what is likely a mistake: a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Of all joints, in the order of the controllers.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The bodies that are kept apart; none where that is not checked.
    pub fn bodies(&self) -> Option<&CollisionModel> {
        self.around.bodies.as_ref()
    }

    /// The controllers.
    pub fn controllers(&self) -> &[ControllerSpec] {
        &self.controllers
    }

    /// Planning and streaming.
    pub fn config(&self) -> &StreamConfig {
        &self.config
    }

    /// The same with other settings of planning and streaming.
    #[must_use]
    pub fn with_config(mut self, config: StreamConfig) -> Self {
        self.config = config;
        self
    }

    /// The same with other bodies; none: not checked.
    #[must_use]
    pub fn with_bodies(mut self, bodies: Option<CollisionModel>) -> Self {
        self.around.bodies = bodies;
        self
    }

    /// A streamer, disarmed.
    ///
    /// # Errors
    /// When settings are out of range.
    pub fn streamer(&self) -> Result<TrajectoryStreamer, Failure> {
        let (around, limits) = (self.around.surroundings(), self.limits.clone());
        Ok(TrajectoryStreamer::within(around, limits, self.controllers.clone(), self.config.clone())?)
    }

    /// What motions rely on of the description; `streamer` is one of this cell.
    pub(crate) fn described(&self, streamer: &mut TrajectoryStreamer) -> Described {
        Described::of(&self.model, streamer).noting(&self.notes)
    }
}
