//! The robots that are timed, and cells with a wanted number of pairs around them.

use crate::arm::deployed_panda;
use crate::rng::Rng;
use anyhow::{Context, Result, bail};
use efm_collision::{Checker, CollisionModel, CollisionObject, CollisionOptions, Obstacles};
use efm_core::{JointLimits, JointNames};
use efm_harness::planner::RobotFiles;
use efm_robot::{Primitive, RobotModel, Shape, Srdf};
use efm_safety::{CollisionSpace, ControllerSpec, Limits, StreamConfig, Surroundings, TrajectoryStreamer};
use nalgebra::{Isometry3, Vector3};
use std::fmt::Write;

/// Boxes are at least this far from the smooth motion, metres: that one shall not be slowed down.
const ASIDE: f64 = 0.05;

/// A robot with all that its filter needs but the cell.
pub struct Robot {
    /// Kinematics and bodies.
    pub model: RobotModel,
    /// Which pairs are not checked.
    pub srdf: Srdf,
    /// All joints that are commanded, in the order of the limits.
    pub limits: Limits,
    /// Where a stream begins, and about which the smooth motion goes.
    pub home: Vec<f64>,
    /// What stands there in any case.
    pub obstacles: Obstacles,
    controllers: Vec<ControllerSpec>,
    config: StreamConfig,
    gripper: Option<usize>,
}

/// A cell: its obstacles as the judge reads them, and as the filter does.
pub struct Cell {
    /// What stands there.
    pub obstacles: Obstacles,
    /// For the filter.
    pub bodies: CollisionModel,
}

impl Robot {
    /// The Panda over its table, as its nodes' parameters have it: seven joints and the finger.
    ///
    /// # Errors
    /// When a file cannot be read or does not fit, or the parameters are those of another robot.
    pub fn panda(files: &RobotFiles) -> Result<Self> {
        let deployed = deployed_panda(files)?;
        let (cell, semantics) = (deployed.cell(), deployed.semantics().context("no SRDF is named")?);
        Ok(Self {
            srdf: Srdf::parse(semantics, cell.model())?,
            obstacles: deployed.obstacles()?,
            controllers: cell.controllers().to_vec(),
            limits: cell.limits().clone(),
            home: vec![0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785, 0.02],
            gripper: Some(7),
            model: cell.model().clone(),
            config: cell.config().clone(),
        })
    }

    /// A chain of `joints` links, 0.8 m in all, that turn about z and y by turns.
    ///
    /// # Errors
    /// Never for a positive number of joints.
    pub fn chain(joints: usize) -> Result<Self> {
        let (length, radius) = (0.8 / joints as f64, 0.03);
        let mut urdf = String::from("<robot name='chain'><link name='l0'/>");
        let mut srdf = String::from("<robot name='chain'>");
        for i in 1..=joints {
            let axis = if i % 2 == 1 { "0 1 0" } else { "0 0 1" };
            let above = if i == 1 { 0.1 } else { length };
            let sphere = |z: f64| {
                format!(
                    "<collision><origin xyz='0 0 {z}'/><geometry><sphere radius='{radius}'/></geometry></collision>"
                )
            };
            write!(
                urdf,
                "<link name='l{i}'><collision><origin xyz='0 0 {}'/><geometry><cylinder radius='{radius}' \
                 length='{length}'/></geometry></collision>{}{}</link><joint name='j{i}' type='revolute'><parent link='l{}'/>\
                 <child link='l{i}'/><origin xyz='0 0 {above}'/><axis xyz='{axis}'/><limit lower='-2.8' upper='2.8' \
                 velocity='2.2' effort='50'/></joint>",
                0.5 * length,
                sphere(0.0),
                sphere(length),
                i - 1
            )?;
            // Neighbours overlap where the links are short.
            for j in 1..i {
                if ((i - j - 1) as f64) * length < 3.0 * radius {
                    write!(srdf, "<disable_collisions link1='l{j}' link2='l{i}' reason='Adjacent'/>")?;
                }
            }
        }
        let model = RobotModel::from_urdf(&(urdf + "</robot>"))?;
        let srdf = Srdf::parse(&(srdf + "</robot>"), &model)?;
        let names = JointNames::new((1..=joints).map(|i| format!("j{i}")))?;
        let all = JointLimits { lower: -2.8, upper: 2.8, velocity: 2.2, acceleration: 6.0, jerk: 120.0 };
        Ok(Self {
            controllers: vec![ControllerSpec { name: "controller".into(), joints: names.clone() }],
            limits: Limits::new(names, &vec![all; joints])?,
            home: (0..joints).map(|j| if j % 4 == 0 { 0.2 } else { -0.1 }).collect(),
            obstacles: Obstacles::default(),
            config: StreamConfig::default(),
            gripper: None,
            model,
            srdf,
        })
    }

    /// Where the smooth motion is at a time, seconds.
    pub fn smooth(&self, t: f64, joint: usize) -> f64 {
        if Some(joint) == self.gripper {
            return self.home[joint];
        }
        // All joints of a robot together move its end by about as much, however many there are.
        let size = (1.4 / self.home.len() as f64).min(0.25);
        self.home[joint] + size * (1.0 - ((1.2 + 0.15 * (joint % 7) as f64) * t).cos())
    }

    /// Whether a joint is a gripper's.
    pub fn is_gripper(&self, joint: usize) -> bool {
        self.gripper == Some(joint)
    }

    /// The cell with so many boxes that about `pairs` are checked: what stands there in any case, and random boxes beside the smooth
    /// motion.
    ///
    /// # Errors
    /// When no room is found for them.
    pub fn cell(&self, pairs: usize, seed: u64) -> Result<Cell> {
        let names = self.limits.joints();
        let build = |obstacles: &Obstacles| {
            CollisionModel::new(&self.model, Some(&self.srdf), names, obstacles, &CollisionOptions::default())
        };
        let poses: Vec<Vec<f64>> =
            (0..150).map(|k| (0..names.len()).map(|j| self.smooth(0.2 * f64::from(k), j)).collect()).collect();
        let mut rng = Rng::new(seed);
        let mut obstacles = self.obstacles.clone();
        let mut bodies = build(&obstacles)?;
        for attempt in 0..20_000 {
            let before = pairs.abs_diff(bodies.pairs());
            let (angle, radius) = (rng.between(-3.1, 3.1), rng.between(0.35, 0.9));
            let origin = Isometry3::translation(radius * angle.cos(), radius * angle.sin(), rng.between(0.0, 0.9))
                * Isometry3::rotation(Vector3::new(rng.between(-2.0, 2.0), rng.between(-2.0, 2.0), 0.0));
            let size = Vector3::from_fn(|_, _| rng.between(0.03, 0.12));
            let shapes = vec![Primitive { origin, shape: Shape::Box { size }, colour: None }];
            let mut more = obstacles.clone();
            more.objects.push(CollisionObject { id: format!("box{attempt}"), shapes, ..CollisionObject::default() });
            let wider = build(&more)?;
            if pairs.abs_diff(wider.pairs()) >= before {
                return Ok(Cell { obstacles, bodies });
            }
            let mut checker = Checker::new(&wider);
            if poses.iter().all(|q| checker.clearance(&wider, q).distance > ASIDE) {
                (obstacles, bodies) = (more, wider);
            }
        }
        bail!("no room for {pairs} pairs: {} were found", bodies.pairs())
    }

    /// Its filter, armed at the time 0 of a stream; without bodies it keeps the limits of joints only.
    ///
    /// # Errors
    /// When the filter refuses the period.
    pub fn streamer(&self, bodies: Option<&CollisionModel>, period_s: f64) -> Result<TrajectoryStreamer> {
        let config = StreamConfig { period_s, ..self.config.clone() };
        let space = bodies.map(|b| Box::new(CollisionSpace::new(b.clone(), None)) as Box<dyn efm_safety::Space>);
        let around = Surroundings { space, tool: None };
        Ok(TrajectoryStreamer::within(around, self.limits.clone(), self.controllers.clone(), config)?)
    }

    /// Place of each controller's columns in the limits.
    pub fn columns(&self) -> Vec<Vec<usize>> {
        let place = |name: &str| self.limits.joints().index_of(name);
        self.controllers.iter().map(|c| c.joints.iter().filter_map(place).collect()).collect()
    }

    /// A random pose within the limits, the gripper at home.
    pub fn pose(&self, rng: &mut Rng) -> Vec<f64> {
        let (low, high) = (self.limits.min_position(), self.limits.max_position());
        let at = |j: usize| if self.is_gripper(j) { self.home[j] } else { rng.between(low[j], high[j]) };
        (0..self.home.len()).map(at).collect()
    }
}
