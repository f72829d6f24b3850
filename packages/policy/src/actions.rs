//! From a policy's numbers to joint positions.

use crate::manifest::{ActionSpace, Manifest, Reference, Rpy};
use efm_core::JointNames;
use efm_robot::{Chain, IkError, IkSettings, InverseKinematics, LimitSet};
use nalgebra::{Isometry3, Translation3, UnitQuaternion};

/// Why actions are not joint positions.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// No joint positions put the tool where the policy wants it. The whole chunk is refused: a part of it would end anywhere.
    #[error("row {row} of the chunk is out of reach (tool at [{:.3}, {:.3}, {:.3}] m): {source}", at[0], at[1], at[2])]
    Unreachable {
        /// Row of the chunk.
        row: usize,
        /// Wanted position of the tool centre in the base link, metres.
        at: [f64; 3],
        /// From the solver.
        source: IkError,
    },
}

/// Turns rows of un-normalised actions into positions of the robot's joints.
#[derive(Debug)]
pub struct ActionDecoder {
    space: Space,
    columns: usize,
    joints: usize,
    /// Place of the gripper joint in the robot's joints, its column, whether relative, and its limits.
    gripper: Option<Gripper>,
}

#[derive(Debug)]
struct Gripper {
    joint: usize,
    column: usize,
    reference: Reference,
    lower: f64,
    upper: f64,
}

#[derive(Debug)]
enum Space {
    Joints(Vec<Reference>),
    EndEffector(Box<EndEffector>),
}

#[derive(Debug)]
struct EndEffector {
    ik: InverseKinematics,
    /// Place of each joint of the chain in the robot's joints.
    chain: Vec<usize>,
    /// Columns of x, y, z and whether they are relative.
    position: [(usize, Reference); 3],
    /// Columns of roll, pitch, yaw where the policy gives them.
    rotation: [Option<usize>; 3],
    /// Held otherwise.
    held: [f64; 3],
    seed: Vec<f64>,
    solution: Vec<f64>,
}

impl ActionDecoder {
    /// For a checked manifest that fits the robot of `chain`. `rest` is in the order of the robot's joints, radians or metres.
    ///
    /// # Errors
    /// When `limits` lack a joint, or the arm cannot be solved.
    pub fn new(
        manifest: &Manifest,
        joints: &JointNames,
        chain: &Chain,
        limits: &LimitSet,
        rest: &[f64],
    ) -> Result<Self, IkError> {
        let action = &manifest.action;
        let column = |name: &str| action.names.iter().position(|n| n == name);
        let limits_of = |name: &str| {
            let joint = limits.names.index_of(name).and_then(|place| limits.joint(place));
            joint.ok_or_else(|| IkError::NoLimits(name.to_owned()))
        };
        let mut gripper = None;
        if let Some(name) = &action.gripper_joint {
            let wanted = match action.space {
                ActionSpace::JointPosition => column(name),
                ActionSpace::EndEffector => column("gripper"),
            };
            if let (Some(column), Some(joint)) = (wanted, joints.index_of(name)) {
                let limit = limits_of(name)?;
                let (lower, upper) = (limit.lower, limit.upper);
                gripper = Some(Gripper { joint, column, reference: action.reference[column], lower, upper });
            }
        }
        let space = match action.space {
            ActionSpace::JointPosition => Space::Joints(action.reference.clone()),
            ActionSpace::EndEffector => {
                let places: Vec<usize> = chain.joint_names().iter().filter_map(|n| joints.index_of(n)).collect();
                let rest: Vec<f64> = places.iter().map(|p| rest[*p]).collect();
                let position = ["x", "y", "z"].map(|axis| {
                    let column = column(axis).unwrap_or(0); // present: checked with the manifest
                    (column, action.reference[column])
                });
                let Rpy { roll, pitch, yaw } = action.orientation.unwrap_or(Rpy { roll: 0.0, pitch: 0.0, yaw: 0.0 });
                let dof = chain.dof();
                Space::EndEffector(Box::new(EndEffector {
                    ik: InverseKinematics::new(chain.clone(), limits, &rest, IkSettings::default())?,
                    chain: places,
                    position,
                    rotation: ["roll", "pitch", "yaw"].map(column),
                    held: [roll, pitch, yaw],
                    seed: vec![0.0; dof],
                    solution: vec![0.0; dof],
                }))
            }
        };
        Ok(Self { space, columns: action.names.len(), joints: joints.len(), gripper })
    }

    /// Writes joint positions, row-major `[horizon x joints]`, of un-normalised `actions`, row-major `[horizon x columns]`.
    /// Joints that the policy does not move stay where they were measured. Inverse kinematics starts each row from the row before
    /// it, the first from the measured joints. Panics when `measured` has fewer joints than the robot.
    ///
    /// # Errors
    /// When a row is out of reach.
    pub fn decode(&mut self, actions: &[f64], measured: &[f64], positions: &mut Vec<f64>) -> Result<(), ActionError> {
        positions.clear();
        if let Space::EndEffector(tool) = &mut self.space {
            tool.seed.iter_mut().zip(&tool.chain).for_each(|(seed, place)| *seed = measured[*place]);
        }
        let start = match &self.space {
            Space::EndEffector(tool) => tool.ik.chain().fk(&tool.seed).translation.vector,
            Space::Joints(_) => Default::default(),
        };
        for (row, action) in actions.chunks_exact(self.columns).enumerate() {
            let from = positions.len();
            positions.extend_from_slice(measured);
            let target = &mut positions[from..from + self.joints];
            match &mut self.space {
                Space::Joints(references) => {
                    for ((target, value), reference) in target.iter_mut().zip(action).zip(references) {
                        *target = value + if *reference == Reference::Relative { *target } else { 0.0 };
                    }
                }
                Space::EndEffector(tool) => {
                    let mut at = [0.0; 3];
                    for (axis, (column, reference)) in tool.position.iter().enumerate() {
                        let origin = if *reference == Reference::Relative { start[axis] } else { 0.0 };
                        at[axis] = origin + action[*column];
                    }
                    let angle = |i: usize| tool.rotation[i].map_or(tool.held[i], |column| action[column]);
                    let rotation = UnitQuaternion::from_euler_angles(angle(0), angle(1), angle(2));
                    let pose = Isometry3::from_parts(Translation3::from(at), rotation);
                    tool.ik
                        .solve(&pose, &tool.seed, &mut tool.solution)
                        .map_err(|source| ActionError::Unreachable { row, at, source })?;
                    tool.seed.copy_from_slice(&tool.solution);
                    for (place, value) in tool.chain.iter().zip(&tool.solution) {
                        target[*place] = *value;
                    }
                }
            }
            if let Some(g) = &self.gripper {
                let origin = if g.reference == Reference::Relative { measured[g.joint] } else { 0.0 };
                target[g.joint] = (origin + action[g.column]).clamp(g.lower, g.upper);
            }
        }
        Ok(())
    }
}
