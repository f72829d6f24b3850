//! Where one link is, as it hangs on joints that are planned and on others.

use crate::chain::ChainError;
use crate::model::{JointKind, RobotModel, motion};
use crate::tree::{Source, at_rest, other_joints};
use efm_core::JointNames;
use nalgebra::{Isometry3, Unit, Vector3};

/// A moving joint and the rigid part before it.
#[derive(Debug, Clone)]
struct Segment {
    before: Isometry3<f64>,
    kind: JointKind,
    axis: Unit<Vector3<f64>>,
    source: Source,
}

/// Forward kinematics of one link for a fixed order of joints. Unlike on a [`crate::Chain`], there may be followers on the way to it, and joints
/// that are not listed: these stand where [`TipKinematics::place_other`] says.
#[derive(Debug, Clone)]
pub struct TipKinematics {
    segments: Vec<Segment>,
    /// From the last joint's frame to the tip.
    after: Isometry3<f64>,
    others: Vec<String>,
    stand: Vec<f64>,
}

impl TipKinematics {
    /// The link `tip` seen from the root of the robot, for positions in the order of `names`.
    ///
    /// # Errors
    /// When there is no such link, or none of the listed joints moves it.
    pub fn new(model: &RobotModel, tip: &str, names: &JointNames) -> Result<Self, ChainError> {
        let way =
            model.joints_between(&model.root().name, tip).ok_or_else(|| ChainError::UnknownLink(tip.to_owned()))?;
        let others = other_joints(model, names);
        let mut segments = Vec::new();
        let mut rigid = Isometry3::identity();
        for joint in way {
            rigid *= joint.origin;
            if joint.kind != JointKind::Fixed {
                let source = Source::of(joint, names, &others);
                segments.push(Segment { before: rigid, kind: joint.kind, axis: joint.axis, source });
                rigid = Isometry3::identity();
            }
        }
        if !segments.iter().any(|segment| matches!(segment.source, Source::Given { .. })) {
            return Err(ChainError::NothingPlanned { tip: tip.to_owned() });
        }
        let stand = others.iter().map(|other| at_rest(model, other)).collect();
        Ok(Self { segments, after: rigid, others, stand })
    }

    /// The joints of the robot that are not listed: see [`crate::other_joints`].
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
    /// When there is no such place among them.
    pub fn place_other(&mut self, place: usize, position: f64) {
        self.stand[place] = position;
    }

    /// Whether the link's pose depends on one of the others.
    pub fn hangs_on(&self, other: usize) -> bool {
        Self::on_way(&self.segments, other)
    }

    /// Whether its speed does, when that joint stands: not where it only carries the whole of what moves.
    pub fn is_bent_by(&self, other: usize) -> bool {
        let planned = self.segments.iter().position(|segment| matches!(segment.source, Source::Given { .. }));
        Self::on_way(&self.segments[planned.unwrap_or(0)..], other)
    }

    fn on_way(segments: &[Segment], other: usize) -> bool {
        segments.iter().any(|segment| matches!(segment.source, Source::Other { place, .. } if place == other))
    }

    /// Pose in the frame of the root link when the listed joint j stands at `position(j)`. Allocates nothing.
    pub fn pose(&self, position: impl Fn(usize) -> f64) -> Isometry3<f64> {
        let mut pose = Isometry3::identity();
        for segment in &self.segments {
            let position = match segment.source {
                Source::None => 0.0,
                Source::Given { place, multiplier, offset } => multiplier * position(place) + offset,
                Source::Other { place, multiplier, offset } => multiplier * self.stand[place] + offset,
            };
            pose = pose * segment.before * motion(segment.kind, &segment.axis, position);
        }
        pose * self.after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::TreeKinematics;

    /// A rail, an arm of two joints, a wrist with its own driver between them, and a follower of it at the end.
    const URDF: &str = "<robot name='r'><link name='root'/><link name='sled'/><link name='upper'/><link name='wrist'/><link name='lower'/>\
        <link name='tip'/><link name='mast'/>\
        <joint name='rail' type='prismatic'><parent link='root'/><child link='sled'/><axis xyz='0 1 0'/><limit lower='0.5' upper='2' velocity='1' effort='1'/></joint>\
        <joint name='shoulder' type='continuous'><parent link='sled'/><child link='upper'/><origin xyz='0 0 0.3'/><axis xyz='0 0 1'/></joint>\
        <joint name='driver' type='continuous'><parent link='upper'/><child link='wrist'/><origin xyz='0.4 0 0'/><axis xyz='0 1 0'/></joint>\
        <joint name='elbow' type='continuous'><parent link='wrist'/><child link='lower'/><origin xyz='0.3 0 0'/><axis xyz='0 0 1'/></joint>\
        <joint name='follower' type='continuous'><parent link='lower'/><child link='tip'/><origin xyz='0.2 0 0'/><axis xyz='1 0 0'/><mimic joint='driver' multiplier='-0.5' offset='0.1'/></joint>\
        <joint name='pan' type='continuous'><parent link='root'/><child link='mast'/><axis xyz='0 0 1'/></joint></robot>";

    #[test]
    fn a_tip_behind_joints_that_are_not_planned_is_where_the_tree_has_it() {
        let robot = RobotModel::from_urdf(URDF).unwrap();
        let planned = JointNames::new(["shoulder", "elbow"]).unwrap();
        let mut tip = TipKinematics::new(&robot, "tip", &planned).unwrap();
        let mut tree = TreeKinematics::new(&robot, &planned).unwrap();
        assert_eq!(tip.others(), tree.others());
        let place = |name: &str| tree.others().iter().position(|other| other == name).unwrap();
        let (rail, driver, pan) = (place("rail"), place("driver"), place("pan"));
        // At 0, moved into the limits.
        assert_eq!((tree.other(rail), tree.other(driver)), (0.5, 0.0));
        assert!(tip.hangs_on(rail) && tip.hangs_on(driver) && !tip.hangs_on(pan));
        assert!(!tip.is_bent_by(rail) && tip.is_bent_by(driver));
        for (at, q) in [([0.7, 0.3], [0.1, -0.4]), ([1.9, -2.0], [1.0, 2.0])] {
            for (other, position) in [rail, driver].into_iter().zip(at) {
                tip.place_other(other, position);
                tree.place_other(other, position);
            }
            let mut poses = vec![Isometry3::identity(); tree.links()];
            tree.link_poses(&q, &mut poses);
            let wanted = poses[robot.link_index("tip").unwrap()];
            let pose = tip.pose(|j| q[j]);
            assert!((pose.translation.vector - wanted.translation.vector).norm() < 1e-12);
            assert!(pose.rotation.angle_to(&wanted.rotation) < 1e-7);
            // The same with all joints listed.
            let all = JointNames::new(["shoulder", "elbow", "rail", "driver"]).unwrap();
            let given = TreeKinematics::new(&robot, &all).unwrap();
            given.link_poses(&[q[0], q[1], at[0], at[1]], &mut poses);
            assert!(
                (poses[robot.link_index("tip").unwrap()].translation.vector - pose.translation.vector).norm() < 1e-12
            );
        }
    }

    #[test]
    fn a_tip_that_nothing_planned_moves_is_refused() {
        let robot = RobotModel::from_urdf(URDF).unwrap();
        let planned = JointNames::new(["shoulder", "elbow"]).unwrap();
        let refused = |tip: &str| TipKinematics::new(&robot, tip, &planned).unwrap_err();
        assert_eq!(refused("mast"), ChainError::NothingPlanned { tip: "mast".into() });
        assert_eq!(refused("root"), ChainError::NothingPlanned { tip: "root".into() });
        assert_eq!(refused("nose"), ChainError::UnknownLink("nose".into()));
    }
}
