//! A serial chain: forward kinematics and the geometric Jacobian.

use crate::model::{JointKind, RobotModel, UrdfLimit, motion};
use efm_core::{JointNames, JointNamesError};
use nalgebra::{Isometry3, Matrix6xX, Unit, Vector3, Vector6};

/// Why there is no chain between two links.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChainError {
    /// A link does not exist.
    #[error("link '{0}' does not exist in the robot description")]
    UnknownLink(String),
    /// The tip does not hang below the base.
    #[error("link '{tip}' is not below link '{base}' in the tree of the robot")]
    NotBelow {
        /// The wanted base.
        base: String,
        /// The wanted tip.
        tip: String,
    },
    /// The chain cannot move.
    #[error("no joint between '{base}' and '{tip}' moves")]
    Rigid {
        /// The wanted base.
        base: String,
        /// The wanted tip.
        tip: String,
    },
    /// A joint of the chain follows another joint.
    #[error("joint '{0}' between base and tip follows another joint; a chain's joints must move on their own")]
    Mimic(String),
    /// Something between base and tip moves, but nothing that is planned.
    #[error("none of the controllers' joints moves link '{tip}'")]
    NothingPlanned {
        /// The wanted tip.
        tip: String,
    },
    /// The names of the joints are no set (excluded by the checks of the model).
    #[error(transparent)]
    Names(#[from] JointNamesError),
}

/// A moving joint and the rigid part before it.
#[derive(Debug, Clone)]
struct Segment {
    /// From the frame after the joint before (or the base) to this joint's frame.
    before: Isometry3<f64>,
    prismatic: bool,
    kind: JointKind,
    axis: Unit<Vector3<f64>>,
}

/// The joints between a base link and a tip link, flattened: fixed joints are folded into their neighbours.
#[derive(Debug, Clone)]
pub struct Chain {
    base: String,
    tip: String,
    names: JointNames,
    limits: Vec<UrdfLimit>,
    segments: Vec<Segment>,
    /// From the last joint's frame to the tip.
    after: Isometry3<f64>,
}

impl Chain {
    /// The chain from `base` down to `tip`.
    ///
    /// # Errors
    /// When a link does not exist, the tip is not below the base, nothing between them moves, or a joint between them follows another.
    pub fn new(model: &RobotModel, base: &str, tip: &str) -> Result<Self, ChainError> {
        for link in [base, tip] {
            if model.link(link).is_none() {
                return Err(ChainError::UnknownLink(link.to_owned()));
            }
        }
        let (base, tip) = (base.to_owned(), tip.to_owned());
        let Some(way) = model.joints_between(&base, &tip) else { return Err(ChainError::NotBelow { base, tip }) };
        let (mut names, mut limits, mut segments) = (Vec::new(), Vec::new(), Vec::new());
        let mut rigid = Isometry3::identity();
        for joint in way {
            rigid *= joint.origin;
            if joint.kind == JointKind::Fixed {
                continue;
            }
            if joint.mimic.is_some() {
                return Err(ChainError::Mimic(joint.name.clone()));
            }
            names.push(joint.name.clone());
            limits.push(joint.limit);
            let prismatic = joint.kind == JointKind::Prismatic;
            segments.push(Segment { before: rigid, prismatic, kind: joint.kind, axis: joint.axis });
            rigid = Isometry3::identity();
        }
        if names.is_empty() {
            return Err(ChainError::Rigid { base, tip });
        }
        Ok(Self { base, tip, names: JointNames::new(names)?, limits, segments, after: rigid })
    }

    /// The link whose frame all results are in.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The link that is placed.
    pub fn tip(&self) -> &str {
        &self.tip
    }

    /// The moving joints, nearest to the base first: the order of `q` everywhere here.
    pub fn joint_names(&self) -> &JointNames {
        &self.names
    }

    /// How many joints move.
    pub fn dof(&self) -> usize {
        self.segments.len()
    }

    /// The joints' limits as the URDF gives them; [`crate::LimitSet`] has the complete ones.
    pub fn urdf_limits(&self) -> &[UrdfLimit] {
        &self.limits
    }

    /// Pose of the tip in the base frame at positions `q` (radians or metres). Allocates nothing.
    ///
    /// # Panics
    /// When `q` has another length than [`Chain::dof`].
    pub fn fk(&self, q: &[f64]) -> Isometry3<f64> {
        assert_eq!(q.len(), self.dof(), "one position a joint");
        let mut pose = Isometry3::identity();
        for (segment, &position) in self.segments.iter().zip(q) {
            pose = pose * segment.before * motion(segment.kind, &segment.axis, position);
        }
        pose * self.after
    }

    /// The geometric Jacobian at `q`, column by column, and the pose of the tip. Allocates nothing.
    ///
    /// A column is the velocity of the tip per unit velocity of its joint, in the base frame: rows 0 to 2 the linear velocity of the
    /// tip's origin (m/s), rows 3 to 5 the angular velocity (rad/s). For a revolute joint with axis a through o: (a x (p - o), a);
    /// for a prismatic one: (a, 0).
    ///
    /// # Panics
    /// When `q` or `columns` has another length than [`Chain::dof`].
    pub fn jacobian_into(&self, q: &[f64], columns: &mut [Vector6<f64>]) -> Isometry3<f64> {
        assert_eq!(q.len(), self.dof(), "one position a joint");
        assert_eq!(columns.len(), self.dof(), "one column a joint");
        // First pass: each joint's origin and axis; second, once the tip is known: the columns themselves.
        let mut pose = Isometry3::identity();
        for ((segment, &position), column) in self.segments.iter().zip(q).zip(columns.iter_mut()) {
            pose *= segment.before;
            column.fixed_rows_mut::<3>(0).copy_from(&pose.translation.vector);
            column.fixed_rows_mut::<3>(3).copy_from(&(pose.rotation * segment.axis.into_inner()));
            pose *= motion(segment.kind, &segment.axis, position);
        }
        let tip = pose * self.after;
        for (segment, column) in self.segments.iter().zip(columns) {
            let origin: Vector3<f64> = column.fixed_rows::<3>(0).into_owned();
            let axis: Vector3<f64> = column.fixed_rows::<3>(3).into_owned();
            if segment.prismatic {
                column.fixed_rows_mut::<3>(0).copy_from(&axis);
                column.fixed_rows_mut::<3>(3).fill(0.0);
            } else {
                column.fixed_rows_mut::<3>(0).copy_from(&axis.cross(&(tip.translation.vector - origin)));
            }
        }
        tip
    }

    /// [`Chain::jacobian_into`] as a fresh 6 x [`Chain::dof`] matrix.
    ///
    /// # Panics
    /// When `q` has another length than [`Chain::dof`].
    pub fn jacobian(&self, q: &[f64]) -> Matrix6xX<f64> {
        let mut columns = vec![Vector6::zeros(); self.dof()];
        self.jacobian_into(q, &mut columns);
        Matrix6xX::from_columns(&columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::TreeKinematics;
    use approx::assert_relative_eq;
    use nalgebra::{Matrix4, UnitQuaternion};
    use proptest::prelude::*;
    use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};
    use std::sync::LazyLock;

    const READY: [f64; 7] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4];

    /// Read once: parsing a URDF takes longer than thousands of poses.
    static PANDA: LazyLock<RobotModel> =
        LazyLock::new(|| RobotModel::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../../urdf/panda.urdf")).unwrap());

    fn panda() -> &'static RobotModel {
        &PANDA
    }

    fn arm(tip: &str) -> Chain {
        Chain::new(panda(), "panda_link0", tip).unwrap()
    }

    /// Franka's published table in Craig's convention, independent of the URDF: rows of (a, d, alpha), then the flange.
    fn flange_by_denavit_hartenberg(q: &[f64]) -> Matrix4<f64> {
        let table = [
            (0.0, 0.333, 0.0),
            (0.0, 0.0, -FRAC_PI_2),
            (0.0, 0.316, FRAC_PI_2),
            (0.0825, 0.0, FRAC_PI_2),
            (-0.0825, 0.384, -FRAC_PI_2),
            (0.0, 0.0, FRAC_PI_2),
            (0.088, 0.0, FRAC_PI_2),
            (0.0, 0.107, 0.0),
        ];
        let mut pose = Matrix4::identity();
        for (i, (a, d, alpha)) in table.into_iter().enumerate() {
            let theta = q.get(i).copied().unwrap_or(0.0);
            let ((st, ct), (sa, ca)) = (theta.sin_cos(), f64::sin_cos(alpha));
            #[rustfmt::skip]
            let step = Matrix4::new(
                ct, -st, 0.0, a,
                st * ca, ct * ca, -sa, -d * sa,
                st * sa, ct * sa, ca, d * ca,
                0.0, 0.0, 0.0, 1.0,
            );
            pose *= step;
        }
        pose
    }

    /// Any posture within the Panda's position limits.
    fn posture() -> impl Strategy<Value = Vec<f64>> {
        let ranges: Vec<_> =
            arm("panda_link8").urdf_limits().iter().map(|limit| limit.lower.unwrap()..=limit.upper.unwrap()).collect();
        ranges
    }

    #[test]
    fn the_ready_pose_is_where_franka_puts_it() {
        let flange = arm("panda_link8").fk(&READY);
        // (0.3069, 0, 0.5903) is the end effector (flange) of the ready pose.
        assert_relative_eq!(flange.translation.vector, Vector3::new(0.306891, 0.0, 0.590282), epsilon = 1e-6);
        let tcp = arm("panda_hand_tcp").fk(&READY);
        assert_relative_eq!(tcp.translation.vector, Vector3::new(0.306891, 0.0, 0.486882), epsilon = 1e-6);
        // The hand points straight down with its y axis, along which the fingers open, to the robot's right.
        let down = UnitQuaternion::from_euler_angles(PI, 0.0, 0.0);
        assert!(tcp.rotation.angle_to(&down) < 1e-9);
    }

    #[test]
    fn a_chain_that_cannot_be_is_refused_by_name() {
        let panda = panda();
        let chain = |base, tip| Chain::new(panda, base, tip).unwrap_err();
        assert_eq!(chain("panda_link0", "elbow"), ChainError::UnknownLink("elbow".into()));
        assert!(matches!(chain("panda_hand", "panda_link0"), ChainError::NotBelow { .. }));
        assert!(matches!(chain("panda_link8", "panda_hand_tcp"), ChainError::Rigid { .. }));
        assert_eq!(chain("panda_link0", "panda_rightfinger"), ChainError::Mimic("panda_finger_joint2".into()));
    }

    #[test]
    fn a_prismatic_joint_moves_its_tip_along_the_axis() {
        let finger = arm("panda_leftfinger");
        assert_eq!(finger.dof(), 8);
        let mut q = READY.to_vec();
        q.push(0.0);
        let closed = finger.fk(&q);
        q[7] = 0.03;
        let opened = finger.fk(&q);
        assert_relative_eq!(
            opened.translation.vector - closed.translation.vector,
            Vector3::new(0.0, -0.03, 0.0),
            epsilon = 1e-9
        );
    }

    proptest! {
        #[test]
        fn forward_kinematics_agrees_with_the_published_table(q in posture()) {
            let ours = arm("panda_link8").fk(&q).to_homogeneous();
            prop_assert!((ours - flange_by_denavit_hartenberg(&q)).abs().max() < 1e-9);
        }

        #[test]
        fn the_jacobian_is_the_derivative_of_the_pose(q in posture(), finger in 0.0..0.04) {
            let chain = arm("panda_leftfinger");
            let q: Vec<f64> = q.into_iter().chain([finger]).collect();
            let jacobian = chain.jacobian(&q);
            const H: f64 = 1e-6;
            for joint in 0..chain.dof() {
                let (mut less, mut more) = (q.clone(), q.clone());
                less[joint] -= H;
                more[joint] += H;
                let (less, more) = (chain.fk(&less), chain.fk(&more));
                let linear = (more.translation.vector - less.translation.vector) / (2.0 * H);
                let angular = (more.rotation * less.rotation.inverse()).scaled_axis() / (2.0 * H);
                prop_assert!((jacobian.fixed_view::<3, 1>(0, joint) - linear).norm() < 1e-6);
                prop_assert!((jacobian.fixed_view::<3, 1>(3, joint) - angular).norm() < 1e-6);
            }
        }

        #[test]
        fn the_tree_places_every_link_where_its_chain_does(q in posture(), finger in 0.0..0.04) {
            let panda = panda();
            let mut names: Vec<String> = (1..=7).map(|i| format!("panda_joint{i}")).collect();
            names.push("panda_finger_joint1".to_owned());
            let tree = TreeKinematics::new(panda, &JointNames::new(names).unwrap()).unwrap();
            let q: Vec<f64> = q.into_iter().chain([finger]).collect();
            let mut poses = vec![Isometry3::identity(); tree.links()];
            tree.link_poses(&q, &mut poses);
            let place = |link: &str| poses[panda.link_index(link).unwrap()];
            for link in ["panda_link4", "panda_hand_tcp", "panda_leftfinger"] {
                let chain = Chain::new(panda, "panda_link0", link).unwrap();
                let error = place(link).translation.vector - chain.fk(&q[..chain.dof()]).translation.vector;
                prop_assert!(error.norm() < 1e-12);
            }
            // The follower opens as far to the other side.
            let hand = place("panda_hand");
            let right = hand.inverse() * place("panda_rightfinger");
            prop_assert!((right.translation.vector - Vector3::new(0.0, -finger, 0.0584)).norm() < 1e-12);
        }
    }
}
