//! Which joints move which links, and how far a body reaches from each of their axes.

use crate::body::{Body, Kind, Placed, Seen};
use efm_core::JointNames;
use efm_robot::{JointKind, RobotModel, other_joints};
use nalgebra::{Isometry3, Vector3};

/// A joint that moves with the given positions, by itself or as a follower.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    /// The link that it carries; its frame has its origin on the axis.
    pub child: usize,
    /// Turns (lever times angle) or slides.
    pub turns: bool,
    /// Unit vector in the child's frame.
    pub direction: Vector3<f64>,
    /// Place of the position that drives it, and how: `multiplier * q[place] + offset`.
    pub place: usize,
    pub multiplier: f64,
    pub offset: f64,
    /// The next axis towards the root.
    pub above: Option<usize>,
    /// Farthest from 0 that a sliding joint may be for the constant levers to hold; infinite where it has no limits.
    pub extent: f64,
}

/// A sliding joint at its limit may stand a little beyond, and its travel is an upper bound.
const BEYOND_LIMIT: f64 = 0.02;

/// The moving axes and, for every link, the last of them that moves it.
#[derive(Debug, Clone)]
pub(crate) struct Axes {
    pub axes: Vec<Axis>,
    /// By link. Links with the same entry do not move relative to each other; `None`: they stand with the root.
    pub of_link: Vec<Option<usize>>,
    /// By link: the first link of those that are joined to it by fixed joints only.
    welded: Vec<usize>,
    /// By link: its parent.
    parents: Vec<Option<usize>>,
    /// By link: the joints between it and the root that stand where another than the given positions says, and the place of that one among
    /// the others ([`efm_robot::other_joints`]).
    others: Vec<Vec<(String, usize)>>,
}

impl Axes {
    pub fn new(model: &RobotModel, names: &JointNames) -> Self {
        let links = model.links().len();
        let others = other_joints(model, names);
        let mut this = Self {
            axes: Vec::new(),
            of_link: vec![None; links],
            welded: (0..links).collect(),
            parents: vec![None; links],
            others: vec![Vec::new(); links],
        };
        for joint in model.joints_root_first() {
            this.parents[joint.child] = Some(joint.parent);
            let above = this.of_link[joint.parent];
            this.of_link[joint.child] = above;
            this.others[joint.child] = this.others[joint.parent].clone();
            if joint.kind == JointKind::Fixed {
                this.welded[joint.child] = this.welded[joint.parent];
                continue;
            }
            let (leader, multiplier, offset) = match &joint.mimic {
                Some(mimic) => (mimic.joint.as_str(), mimic.multiplier, mimic.offset),
                None => (joint.name.as_str(), 1.0, 0.0),
            };
            let Some(place) = names.index_of(leader) else {
                let other = others.iter().position(|other| other == leader);
                this.others[joint.child].extend(other.map(|other| (joint.name.clone(), other)));
                continue;
            };
            let turns = joint.kind != JointKind::Prismatic;
            let extent = match (joint.limit.lower, joint.limit.upper) {
                (Some(lower), Some(upper)) => lower.abs().max(upper.abs()) + BEYOND_LIMIT,
                _ => f64::INFINITY,
            };
            let direction = joint.axis.into_inner();
            this.of_link[joint.child] = Some(this.axes.len());
            this.axes.push(Axis { child: joint.child, turns, direction, place, multiplier, offset, above, extent });
        }
        this
    }

    /// Whether two links are joined by one joint, links that are welded together counted as one.
    pub fn adjacent(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.welded[a], self.welded[b]);
        let carried_by = |link: usize| self.parents[link].map(|parent| self.welded[parent]);
        a == b || carried_by(a) == Some(b) || carried_by(b) == Some(a)
    }

    /// The axes that move a link, nearest first.
    pub fn chain(&self, link: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.of_link[link], |&axis| self.axes[axis].above)
    }

    /// For two links: how many axes move the one and not the other, and the converse, and the link in whose frame this is all that moves.
    pub fn apart(&self, a: usize, b: usize, root: usize) -> (usize, usize, usize) {
        for (i, one) in self.chain(a).enumerate() {
            if let Some(j) = self.chain(b).position(|other| other == one) {
                return (i, j, self.axes[one].child);
            }
        }
        (self.chain(a).count(), self.chain(b).count(), root)
    }

    /// Whether a link moves with any of the other joints.
    pub fn is_carried(&self, link: usize) -> bool {
        !self.others[link].is_empty()
    }

    /// The others that carry a link, root first; one that several joints follow may come several times.
    pub fn carriers(&self, link: usize) -> impl Iterator<Item = usize> {
        self.others[link].iter().map(|(_, other)| *other)
    }

    /// The others on which it depends how two links stand to each other.
    pub fn others_between(&self, a: usize, b: usize) -> impl Iterator<Item = usize> {
        // The same joints carry both as far as they have the same way from the root.
        let (a, b) = (&self.others[a], &self.others[b]);
        let shared = a.iter().zip(b).take_while(|(one, other)| one.0 == other.0).count();
        a[shared..].iter().chain(&b[shared..]).map(|(_, other)| *other)
    }

    /// For each axis of the chain of a body's link, nearest first, what is handed to `give`: an upper bound of the distance from the axis to any
    /// point of the body in every configuration whose sliding joints are within their limits. 1 for a sliding axis. `poses` are those of all links
    /// at 0, with the other joints where they stand: these do not move within a step.
    pub fn levers(
        &self,
        body: &Body,
        points: &[Vector3<f64>],
        poses: &[Isometry3<f64>],
        mut give: impl FnMut(usize, f64),
    ) {
        let pose = &poses[body.link];
        let mut placed = Placed { centre: Vector3::zeros(), half: Vector3::zeros(), rotation: body.rotation };
        body.place(pose.rotation.to_rotation_matrix().matrix(), &pose.translation.vector, &mut placed);
        let seen = Seen { body, placed: &placed, points };
        // Reach: of the body from the origin of the axis below.
        let mut below: Option<(usize, f64)> = None;
        for axis in self.chain(body.link) {
            let Axis { child, turns, direction, offset, extent, .. } = self.axes[axis];
            let origin = poses[child].translation.vector;
            let direction = poses[child].rotation * direction;
            let (lever, mut reach) = match below {
                None => (seen.lever(&origin, &direction), farthest(&seen, &origin)),
                Some((lower, reach)) => {
                    let step = poses[lower].translation.vector - origin;
                    (direction.cross(&step).norm() + reach, step.norm() + reach)
                }
            };
            give(axis, if turns { lever } else { 1.0 });
            if !turns {
                // Seen from above, its own origin moves; at 0 it stood at its offset.
                reach += extent + offset.abs();
            }
            below = Some((child, reach));
        }
    }
}

fn farthest(seen: &Seen<'_>, point: &Vector3<f64>) -> f64 {
    let off = seen.placed.centre - point;
    match seen.body.kind {
        Kind::Segment => (off + seen.placed.half).norm().max((off - seen.placed.half).norm()) + seen.body.radius,
        _ => off.norm() + seen.body.bound,
    }
}
