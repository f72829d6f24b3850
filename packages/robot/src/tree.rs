//! Poses of all links of a robot at once.

use crate::model::{Joint, JointKind, RobotModel, motion};
use efm_core::JointNames;
use nalgebra::{Isometry3, Unit, Vector3};

/// Where a joint's position comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Source {
    /// Fixed: it has none.
    None,
    /// `multiplier * q[place] + offset`.
    Given { place: usize, multiplier: f64, offset: f64 },
    /// The same of the joint at this place of the others.
    Other { place: usize, multiplier: f64, offset: f64 },
}

impl Source {
    /// For positions in the order of `names`, and of the others.
    pub fn of(joint: &Joint, names: &JointNames, others: &[String]) -> Self {
        if joint.kind == JointKind::Fixed {
            return Self::None;
        }
        let (leader, multiplier, offset) = match &joint.mimic {
            Some(mimic) => (mimic.joint.as_str(), mimic.multiplier, mimic.offset),
            None => (joint.name.as_str(), 1.0, 0.0),
        };
        match (names.index_of(leader), others.iter().position(|other| other == leader)) {
            (Some(place), _) => Self::Given { place, multiplier, offset },
            (None, Some(place)) => Self::Other { place, multiplier, offset },
            // A leader is an active joint, so it is among the one or the other.
            (None, None) => Self::None,
        }
    }
}

/// The joints of a robot that have a position of their own and are not among `joints`, nearest to the root first: what the others
/// move with, and nobody here moves.
pub fn other_joints(model: &RobotModel, joints: &JointNames) -> Vec<String> {
    let others = model.joints_root_first().filter(|joint| joint.is_active() && joints.index_of(&joint.name).is_none());
    others.map(|joint| joint.name.clone()).collect()
}

/// Where a joint is taken to stand before it is told: at 0, moved into its limits.
pub(crate) fn at_rest(model: &RobotModel, joint: &str) -> f64 {
    let limit = model.joint(joint).map(|joint| joint.limit).unwrap_or_default();
    0.0_f64.max(limit.lower.unwrap_or(f64::NEG_INFINITY)).min(limit.upper.unwrap_or(f64::INFINITY))
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
    others: Vec<String>,
    /// Where the others stand.
    stand: Vec<f64>,
}

impl TreeKinematics {
    /// Prepares the tree for positions in the order of `names`. A joint of the robot that is not listed stands at 0 (moved into its
    /// position limits if they exclude 0) until [`TreeKinematics::place_other`] says where.
    ///
    /// # Errors
    /// The first name that is not an active joint of the robot.
    pub fn new(model: &RobotModel, names: &JointNames) -> Result<Self, String> {
        if let Some(unknown) = names.iter().find(|name| model.joint(name).is_none_or(|joint| !joint.is_active())) {
            return Err(unknown.to_owned());
        }
        let others = other_joints(model, names);
        let steps = model
            .joints_root_first()
            .map(|joint| {
                let (parent, child, source) = (joint.parent, joint.child, Source::of(joint, names, &others));
                Step { parent, child, origin: joint.origin, kind: joint.kind, axis: joint.axis, source }
            })
            .collect();
        let root = model.link_index(&model.root().name).unwrap_or_default();
        let stand = others.iter().map(|other| at_rest(model, other)).collect();
        Ok(Self { steps, root, links: model.links().len(), joints: names.len(), others, stand })
    }

    /// The joints that are not listed: see [`other_joints`].
    pub fn others(&self) -> &[String] {
        &self.others
    }

    /// Where one of the others is taken to stand, radians or metres.
    ///
    /// # Panics
    /// When there is no such place among them.
    pub fn other(&self, place: usize) -> f64 {
        self.stand[place]
    }

    /// Says where one of the others stands, radians or metres.
    ///
    /// # Panics
    /// As [`TreeKinematics::other`].
    pub fn place_other(&mut self, place: usize, position: f64) {
        self.stand[place] = position;
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
                Source::None => 0.0,
                Source::Given { place, multiplier, offset } => multiplier * q[place] + offset,
                Source::Other { place, multiplier, offset } => multiplier * self.stand[place] + offset,
            };
            poses[step.child] = poses[step.parent] * step.origin * motion(step.kind, &step.axis, position);
        }
    }
}
