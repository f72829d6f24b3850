//! Poses of all links of a robot at once.

use crate::model::{JointKind, RobotModel, motion};
use efm_core::JointNames;
use nalgebra::{Isometry3, Unit, Vector3};

/// Where a joint's position comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    /// Always the same.
    Constant(f64),
    /// `multiplier * q[place] + offset`.
    Given { place: usize, multiplier: f64, offset: f64 },
}

#[derive(Debug, Clone)]
struct Step {
    parent: usize,
    child: usize,
    origin: Isometry3<f64>,
    kind: JointKind,
    axis: Unit<Vector3<f64>>,
    source: Source,
}

/// Forward kinematics of the whole tree for a fixed order of joints. Joints that follow others are placed by them.
#[derive(Debug, Clone)]
pub struct TreeKinematics {
    steps: Vec<Step>,
    root: usize,
    links: usize,
    joints: usize,
}

impl TreeKinematics {
    /// Prepares the tree for positions in the order of `names`. A joint of the robot that is not listed stays at 0 (moved into its
    /// position limits if they exclude 0).
    ///
    /// # Errors
    /// The first name that is not an active joint of the robot.
    pub fn new(model: &RobotModel, names: &JointNames) -> Result<Self, String> {
        if let Some(unknown) = names.iter().find(|name| model.joint(name).is_none_or(|joint| !joint.is_active())) {
            return Err(unknown.to_owned());
        }
        let at_rest = |name: &str| {
            let limit = model.joint(name).map(|joint| joint.limit).unwrap_or_default();
            0.0_f64.max(limit.lower.unwrap_or(f64::NEG_INFINITY)).min(limit.upper.unwrap_or(f64::INFINITY))
        };
        let steps = model
            .joints_root_first()
            .map(|joint| {
                let (leader, multiplier, offset) = match &joint.mimic {
                    Some(mimic) => (mimic.joint.as_str(), mimic.multiplier, mimic.offset),
                    None => (joint.name.as_str(), 1.0, 0.0),
                };
                let source = match names.index_of(leader) {
                    Some(place) => Source::Given { place, multiplier, offset },
                    None => Source::Constant(multiplier * at_rest(leader) + offset),
                };
                let (parent, child) = (joint.parent, joint.child);
                Step { parent, child, origin: joint.origin, kind: joint.kind, axis: joint.axis, source }
            })
            .collect();
        let root = model.link_index(&model.root().name).unwrap_or_default();
        Ok(Self { steps, root, links: model.links().len(), joints: names.len() })
    }

    /// How many links [`TreeKinematics::link_poses`] fills in.
    pub fn links(&self) -> usize {
        self.links
    }

    /// Poses of all links in the frame of the root link, in the order of [`RobotModel::links`]. Allocates nothing.
    ///
    /// # Panics
    /// When `q` or `poses` has another length than the joints and links.
    pub fn link_poses(&self, q: &[f64], poses: &mut [Isometry3<f64>]) {
        assert_eq!(q.len(), self.joints, "one position a joint");
        assert_eq!(poses.len(), self.links, "one pose a link");
        poses[self.root] = Isometry3::identity();
        for step in &self.steps {
            let position = match step.source {
                Source::Constant(value) => value,
                Source::Given { place, multiplier, offset } => multiplier * q[place] + offset,
            };
            poses[step.child] = poses[step.parent] * step.origin * motion(step.kind, &step.axis, position);
        }
    }
}
