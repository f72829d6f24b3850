//! Straight paths of the tool.

use crate::ik::{IkError, InverseKinematics};
use nalgebra::{Isometry3, Translation3, UnitQuaternion};
use std::f64::consts::PI;

/// Why a straight path cannot be followed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PathError {
    /// A pose on the way has no solution next to the one before.
    #[error("the straight path fails at {:.0} % of the way: {source}", share * 100.0)]
    Unreachable {
        /// How far along the path, 0 to 1.
        share: f64,
        /// What the solver said.
        source: IkError,
    },
    /// Two poses next to each other need joint positions that are far apart.
    #[error("the straight path needs a jump of joint '{joint}' by {jump:.3} at {:.0} % of the way (at most {allowed} is allowed)", share * 100.0)]
    Jump {
        /// How far along the path, 0 to 1.
        share: f64,
        /// Which joint.
        joint: String,
        /// How far it would jump, radians or metres.
        jump: f64,
        /// How far it may go between two points.
        allowed: f64,
    },
    /// The spacing is not a positive number.
    #[error("the spacing of the path is {0}; it must be finite and above 0")]
    Spacing(f64),
}

/// Largest motion of a joint between two points of a straight path, radians or metres.
const LARGEST_JUMP: f64 = 0.5;

/// Most points of a path: a spacing far too fine must not fill the memory.
const MOST_POINTS: usize = 100_000;

/// Rotation of a tool that points straight down (its z axis is -z of the base) and is turned by `yaw` radians about the vertical:
/// at 0 its x axis is the base's x axis.
pub fn tool_down(yaw: f64) -> UnitQuaternion<f64> {
    UnitQuaternion::from_euler_angles(PI, 0.0, yaw)
}

/// Joint positions along the straight line of the tool from where `start` puts it to `target` (poses in the base frame of the solver's
/// chain), a point at most every `spacing` metres, or every `spacing` radians of rotation; the rotation goes the shortest way at
/// constant rate. The first row is `start` itself; each further one is solved from the one before. This is geometry: it has no times.
///
/// # Errors
/// When a pose on the way cannot be reached from the one before, a joint would jump, or the spacing is not positive.
pub fn straight_path(
    solver: &mut InverseKinematics,
    start: &[f64],
    target: &Isometry3<f64>,
    spacing: f64,
) -> Result<Vec<Vec<f64>>, PathError> {
    if !(spacing.is_finite() && spacing > 0.0) {
        return Err(PathError::Spacing(spacing));
    }
    let n = solver.chain().dof();
    if start.len() != n {
        let source = IkError::Size { what: "the start", wanted: n, found: start.len() };
        return Err(PathError::Unreachable { share: 0.0, source });
    }
    let from = solver.chain().fk(start);
    let distance = (target.translation.vector - from.translation.vector).norm();
    let turn = (target.rotation * from.rotation.inverse()).scaled_axis();
    let steps = (distance.max(turn.norm()) / spacing).ceil().max(1.0);
    // A target that is not finite gives no number of steps; one step lets the solver refuse it by name.
    let steps = if steps.is_finite() { (steps as usize).min(MOST_POINTS) } else { 1 };

    let mut rows = Vec::with_capacity(steps + 1);
    rows.push(start.to_vec());
    let mut seed = start.to_vec();
    for i in 1..=steps {
        let share = i as f64 / steps as f64;
        let translation = from.translation.vector.lerp(&target.translation.vector, share);
        let rotation = UnitQuaternion::from_scaled_axis(turn * share) * from.rotation;
        let pose = Isometry3::from_parts(Translation3::from(translation), rotation);
        let mut q = vec![0.0; n];
        solver.solve(&pose, &seed, &mut q).map_err(|source| PathError::Unreachable { share, source })?;
        for (name, (new, old)) in solver.chain().joint_names().iter().zip(q.iter().zip(&seed)) {
            let jump = (new - old).abs();
            if jump > LARGEST_JUMP {
                return Err(PathError::Jump { share, joint: name.to_owned(), jump, allowed: LARGEST_JUMP });
            }
        }
        seed.copy_from_slice(&q);
        rows.push(q);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chain, IkSettings, LimitSet, RobotModel};
    use proptest::prelude::*;
    use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};
    use std::sync::LazyLock;

    const READY: [f64; 7] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4];

    /// Read once: parsing a URDF takes longer than thousands of solutions.
    static SOLVER: LazyLock<InverseKinematics> = LazyLock::new(|| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let panda = RobotModel::load(format!("{root}/urdf/panda.urdf")).unwrap();
        let chain = Chain::new(&panda, "panda_link0", "panda_hand_tcp").unwrap();
        let limits = LimitSet::load(&panda, format!("{root}/config/joint_limits.yaml"), chain.joint_names()).unwrap();
        InverseKinematics::new(chain, &limits, &READY, IkSettings::default()).unwrap()
    });

    fn solver() -> InverseKinematics {
        SOLVER.clone()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_tool_stays_on_the_line_and_no_joint_jumps(
            x in 0.35..0.6, y in -0.25..0.25, z in 0.02..0.4, yaw in -0.5..0.5,
        ) {
            let mut solver = solver();
            let start = solver.chain().fk(&READY);
            let target = Isometry3::from_parts(Translation3::new(x, y, z), tool_down(yaw));
            let path = straight_path(&mut solver, &READY, &target, 0.005).unwrap();
            prop_assert_eq!(&path[0][..], &READY[..]);
            let along = (target.translation.vector - start.translation.vector).normalize();
            for pair in path.windows(2) {
                let tool = solver.chain().fk(&pair[1]).translation.vector - start.translation.vector;
                prop_assert!((tool - along * tool.dot(&along)).norm() < 2e-5);
                for (a, b) in pair[0].iter().zip(&pair[1]) {
                    prop_assert!((a - b).abs() < 0.06, "{} in one step of 5 mm", (a - b).abs());
                }
            }
            let end = solver.chain().fk(&path[path.len() - 1]);
            prop_assert!((end.translation.vector - target.translation.vector).norm() < 2e-5);
        }
    }

    #[test]
    fn a_path_out_of_reach_says_how_far_it_comes() {
        let mut solver = solver();
        let target = Isometry3::from_parts(Translation3::new(1.5, 0.0, 0.3), tool_down(0.0));
        let error = straight_path(&mut solver, &READY, &target, 0.01).unwrap_err();
        let PathError::Unreachable { share, .. } = error else { panic!("{error}") };
        assert!((0.2..0.6).contains(&share), "{share}");
        let nan = Isometry3::translation(f64::NAN, 0.0, 0.0);
        let error = straight_path(&mut solver, &READY, &nan, 0.01).unwrap_err();
        assert!(error.to_string().contains("target is not finite"), "{error}");
        assert_eq!(straight_path(&mut solver, &READY, &target, 0.0), Err(PathError::Spacing(0.0)));
    }

    #[test]
    fn a_tool_that_points_down_points_down() {
        for yaw in [-1.0, 0.0, 0.7] {
            let z = tool_down(yaw) * nalgebra::Vector3::z();
            assert!((z + nalgebra::Vector3::z()).norm() < 1e-12);
            let x = tool_down(yaw) * nalgebra::Vector3::x();
            assert!((x.y.atan2(x.x) - yaw).abs() < 1e-12);
        }
    }
}
