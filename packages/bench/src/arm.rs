//! Robots to test with: their limits, controllers and the settings of the stream.

use crate::rng::Rng;
use anyhow::{Result, bail};
use efm_core::{JointLimits, JointNames};
use efm_harness::deployed::Deployed;
use efm_harness::planner::{RobotFiles, chunk_joints};
use efm_safety::{ControllerSpec, Limits, StreamConfig, TrajectoryStreamer};

/// Limits as loaded, in one order of joints. What the checker knows of the robot.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    /// Joint names.
    pub names: Vec<String>,
    /// Lowest positions, radians or metres; may be minus infinity.
    pub min: Vec<f64>,
    /// Highest positions; may be infinite.
    pub max: Vec<f64>,
    /// Highest speeds, a second.
    pub velocity: Vec<f64>,
    /// Highest accelerations, a second squared.
    pub acceleration: Vec<f64>,
    /// Highest jerks, a second cubed.
    pub jerk: Vec<f64>,
    /// Grippers: limited in velocity and acceleration only.
    pub gripper: Vec<bool>,
}

impl Bounds {
    /// Number of joints.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The same joint by joint, as the filter takes it.
    pub fn limits(&self) -> Vec<JointLimits> {
        let of = |j: usize| JointLimits {
            lower: self.min[j],
            upper: self.max[j],
            velocity: self.velocity[j],
            acceleration: self.acceleration[j],
            jerk: self.jerk[j],
        };
        (0..self.len()).map(of).collect()
    }

    /// A bound, in seconds, on the time that the slowest joint needs to stop from its top speed at full acceleration.
    pub fn longest_stop(&self) -> f64 {
        let of = |j: usize| self.velocity[j] / self.acceleration[j] + 2.0 * self.acceleration[j] / self.jerk[j];
        (0..self.len()).map(of).fold(0.0, f64::max)
    }

    /// Whether a joint turns on without end.
    pub fn is_continuous(&self, joint: usize) -> bool {
        self.min[joint].is_infinite() && self.max[joint].is_infinite()
    }

    /// A position within the limits: `part` from 0 (lowest) to 1; joints without position limits within 3 of zero.
    pub fn position(&self, joint: usize, part: f64) -> f64 {
        let (low, high) = self.range(joint);
        (low + part * (high - low)).clamp(low, high)
    }

    /// The position limits, or 3 around zero where there are none.
    pub fn range(&self, joint: usize) -> (f64, f64) {
        if self.min[joint].is_finite() && self.max[joint].is_finite() {
            (self.min[joint], self.max[joint])
        } else {
            (-3.0, 3.0)
        }
    }
}

/// A robot with its controllers, settings and starting pose.
#[derive(Debug, Clone)]
pub struct Arm {
    /// Limits.
    pub bounds: Bounds,
    /// Name and joints (places in the bounds, in the order of the controller's messages).
    pub controllers: Vec<(String, Vec<usize>)>,
    /// Settings of the filter.
    pub config: StreamConfig,
    /// Where the robot stands at first.
    pub start: Vec<f64>,
}

/// How unusual random limits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    /// As of robots.
    No,
    /// Very different from joint to joint; accelerations and jerks that are reached within a step.
    Mixed,
    /// Ranges of millimetres, starts on a limit.
    Tiny,
}

/// The Panda as its nodes' parameters have it.
///
/// # Errors
/// When a file cannot be read or does not fit, or the parameters are those of another robot: the motions of the bench are the Panda's.
pub fn deployed_panda(files: &RobotFiles) -> Result<Deployed> {
    let deployed = Deployed::read(files)?;
    let (joints, wanted) = (deployed.cell().limits().joints(), chunk_joints()?);
    if *joints != wanted {
        bail!(
            "the parameters are those of another robot: the bench plays motions of the Panda, whose joints, in this order, are {}; the controllers have {}",
            wanted.as_slice().join(", "),
            joints.as_slice().join(", ")
        );
    }
    Ok(deployed)
}

/// The Panda that is tested with.
#[derive(Debug, Clone)]
pub struct Panda {
    /// Its limits.
    pub bounds: Bounds,
    /// Settings of the filter, where a parameter file is evaluated; else those of the shipped ones that matter here take turns.
    pub config: Option<StreamConfig>,
}

/// The Panda, from its files and its nodes' parameters.
///
/// # Errors
/// As [`deployed_panda`].
pub fn panda_of(files: &RobotFiles) -> Result<Panda> {
    let deployed = deployed_panda(files)?;
    let limits = deployed.cell().limits();
    let shipped = files.parameters.len() < 2;
    let bounds = Bounds {
        names: limits.joints().as_slice().to_vec(),
        min: limits.min_position().to_vec(),
        max: limits.max_position().to_vec(),
        velocity: limits.velocity().to_vec(),
        acceleration: limits.acceleration().to_vec(),
        jerk: limits.jerk().to_vec(),
        gripper: limits.joints().iter().map(|name| name.contains("finger")).collect(),
    };
    Ok(Panda { bounds, config: (!shipped).then(|| deployed.cell().config().clone()) })
}

/// The Panda, at rest somewhere.
pub fn panda(robot: &Panda, rng: &mut Rng, odd: Odd) -> Arm {
    let bounds = &robot.bounds;
    let config = StreamConfig { gripper_joints: vec!["panda_finger_joint1".into()], ..StreamConfig::default() };
    // One half with the default, one half as in config/panda.yaml.
    let config = if rng.chance(0.5) { StreamConfig { max_clock_jump_s: 0.1, ..config } } else { config };
    let config = robot.config.clone().unwrap_or(config);
    let start = (0..8).map(|j| start(bounds, j, rng, odd)).collect();
    let controllers =
        vec![("panda_arm_controller".to_owned(), (0..7).collect()), ("panda_hand_controller".to_owned(), vec![7])];
    Arm { bounds: bounds.clone(), controllers, config, start }
}

fn start(bounds: &Bounds, joint: usize, rng: &mut Rng, odd: Odd) -> f64 {
    let edge = if odd == Odd::No { 0.02 } else { 0.4 };
    let part = if rng.chance(edge) { rng.pick(&[0.0, 1.0]) } else { rng.between(0.05, 0.95) };
    bounds.position(joint, part)
}

/// A robot with random limits, 1 to 14 joints and one or two controllers.
pub fn random(rng: &mut Rng, odd: Odd) -> Arm {
    let joints = 1 + rng.below(14);
    let mut b = Bounds {
        names: (0..joints).map(|j| format!("joint_{j}")).collect(),
        min: vec![],
        max: vec![],
        velocity: vec![],
        acceleration: vec![],
        jerk: vec![],
        gripper: vec![false; joints],
    };
    if joints > 1 && rng.chance(0.5) {
        b.gripper[joints - 1] = true;
    }
    for joint in 0..joints {
        // Prismatic axes and grippers live in metres.
        let size = if b.gripper[joint] || rng.chance(0.15) { 0.05 } else { 1.0 };
        let (v, to_v, to_a) = match odd {
            Odd::Mixed => (rng.scale(0.01, 15.0), rng.scale(0.005, 1.2), rng.scale(0.001, 0.4)),
            _ => (rng.scale(0.3, 4.0), rng.scale(0.08, 0.8), rng.scale(0.01, 0.15)),
        };
        let (velocity, acceleration, jerk) = (v * size, v * size / to_v, v * size / to_v / to_a);
        let width = match odd {
            Odd::Tiny => rng.scale(0.002, 0.1),
            _ => rng.scale(0.3, 7.0),
        } * size.max(0.5);
        let middle = rng.between(-1.5, 1.5) * size;
        let unlimited = odd != Odd::Tiny && !b.gripper[joint] && rng.chance(0.1);
        b.min.push(if unlimited { f64::NEG_INFINITY } else { middle - 0.5 * width });
        b.max.push(if unlimited { f64::INFINITY } else { middle + 0.5 * width });
        b.velocity.push(velocity);
        b.acceleration.push(acceleration);
        b.jerk.push(jerk);
    }
    let order = rng.order(joints);
    let cut = if joints > 1 && rng.chance(0.5) { 1 + rng.below(joints - 1) } else { joints };
    let (first, second) = order.split_at(cut);
    let controllers = [("first", first), ("second", second)]
        .into_iter()
        .filter(|(_, joints)| !joints.is_empty())
        .map(|(name, joints)| (name.to_owned(), joints.to_vec()))
        .collect();

    let gripper_joints = (0..joints).filter(|j| b.gripper[*j]).map(|j| b.names[j].clone()).collect();
    let mut config = StreamConfig { gripper_joints, ..StreamConfig::default() };
    if rng.chance(0.4) {
        config.period_s = rng.pick(&[0.005, 0.01, 0.01, 0.02]);
        config.window_s *= rng.pick(&[1.0, 1.0, 1.5, 2.5]);
        config.committed_s = f64::max(rng.pick(&[0.02, 0.03, 0.05, 0.08]), 1.5 * config.period_s);
        config.clock_skew_s = rng.pick(&[0.0, 0.0, 0.002, 0.013]);
        config.share = rng.pick(&[0.5, 0.9, 0.95, 0.99]);
        config.bandwidth = rng.between(2.0, 45.0);
        config.max_clock_jump_s = rng.pick(&[0.02, 0.05, 0.2]);
    }
    let start = (0..joints).map(|j| start(&b, j, rng, odd)).collect();
    Arm { bounds: b, controllers, config, start }
}

impl Arm {
    /// The filter for it.
    ///
    /// # Errors
    /// When the filter refuses the limits or settings.
    pub fn streamer(&self) -> Result<TrajectoryStreamer> {
        let b = &self.bounds;
        let limits = Limits::new(JointNames::new(b.names.clone())?, &b.limits())?;
        let controllers = self
            .controllers
            .iter()
            .map(|(name, places)| {
                let joints = JointNames::new(places.iter().map(|p| b.names[*p].clone()))?;
                Ok(ControllerSpec { name: name.clone(), joints })
            })
            .collect::<Result<_>>()?;
        Ok(TrajectoryStreamer::new(limits, controllers, self.config.clone())?)
    }
}
