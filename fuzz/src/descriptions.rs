//! Files that describe the robot and its cell.

use efm_collision::{Checker, CollisionModel, CollisionOptions, MeshFiles, Obstacles};
use efm_core::JointNames;
use efm_robot::{Chain, JointKind, LimitSet, LimitsFile, RobotModel, Srdf, TreeKinematics};
use efm_safety::Limits;
use nalgebra::Isometry3;
use std::sync::LazyLock;

/// A robot with continuous, revolute and prismatic joints and followers.
static ROBOT: LazyLock<RobotModel> = LazyLock::new(|| {
    let urdf = include_str!("../../packages/safety/tests/robots/coupled_gripper.urdf");
    RobotModel::from_urdf(urdf).expect("the fixture is a robot")
});

fn active(model: &RobotModel) -> Option<JointNames> {
    JointNames::new(model.joints_root_first().filter(|j| j.is_active()).map(|j| j.name.clone())).ok()
}

/// No mesh is looked up: a fuzzer must not read what it likes.
fn options() -> CollisionOptions {
    let mesh_files = MeshFiles::new(|name| Err(format!("'{name}' is not looked up")));
    CollisionOptions { mesh_files, ..CollisionOptions::default() }
}

/// A model that was accepted can be used: everything in it is finite, and so is what follows from it.
pub fn urdf(data: &[u8]) {
    let Ok(model) = RobotModel::from_urdf(&String::from_utf8_lossy(data)) else { return };
    let Some(names) = active(&model) else { return };
    for joint in model.joints() {
        assert!((joint.axis.norm() - 1.0).abs() < 1e-9, "{joint:?}");
        assert!(joint.damping >= 0.0 && joint.damping.is_finite());
        for limit in [joint.limit.lower, joint.limit.upper, joint.limit.velocity, joint.limit.effort] {
            assert!(limit.is_none_or(f64::is_finite), "{joint:?}");
        }
    }
    let tree = TreeKinematics::new(&model, &names).expect("they are its own active joints");
    let mut poses = vec![Isometry3::identity(); tree.links()];
    let q = vec![0.3; names.len()];
    tree.link_poses(&q, &mut poses);
    for (pose, link) in poses.iter().zip(model.links()) {
        let finite = pose.translation.vector.iter().chain(pose.rotation.coords.iter()).all(|v| v.is_finite());
        assert!(finite, "{}: {pose:?}", link.name);
        if let Ok(chain) = Chain::new(&model, &model.root().name, &link.name) {
            let tip = chain.fk(&vec![0.3; chain.dof()]);
            assert!(tip.translation.vector.iter().all(|v| v.is_finite()));
        }
    }
    if model.links().iter().map(|l| l.collisions.len()).sum::<usize>() < 40 {
        clear(&model, None, &names, &Obstacles::default(), &q);
    }
    let rates = names.iter().map(|n| {
        let range = model.joint(n).is_some_and(|j| j.kind != JointKind::Continuous);
        let positions = if range { ", min_position: -3, max_position: 3" } else { "" };
        format!("\n  ? {n:?}\n  : {{max_velocity: 1, max_acceleration: 1, max_jerk: 1{positions}}}")
    });
    let yaml = format!("joint_limits:{}", rates.collect::<String>());
    if let Ok(file) = LimitsFile::parse(&yaml, "limits") {
        within(&model, &file, &names);
    }
}

/// A semantic description that was accepted names only what exists.
pub fn srdf(data: &[u8]) {
    let Ok(srdf) = Srdf::parse(&String::from_utf8_lossy(data), &ROBOT) else { return };
    for group in srdf.groups() {
        assert!(group.joints.iter().all(|joint| ROBOT.joint(joint).is_some_and(|j| j.is_active())));
    }
    for state in srdf.states() {
        assert!(srdf.group(&state.group).is_some() && state.positions.iter().all(|(_, value)| value.is_finite()));
    }
    for pair in srdf.disabled_pairs() {
        assert!(srdf.is_disabled(&pair.link2, &pair.link1));
    }
    if let Some(names) = active(&ROBOT) {
        clear(&ROBOT, Some(&srdf), &names, &Obstacles::default(), &[0.0, 0.2, 0.9, 0.02]);
    }
}

/// Limits that were accepted are limits.
pub fn limits(data: &[u8]) {
    let Some(names) = active(&ROBOT) else { return };
    let Ok(file) = LimitsFile::parse(&String::from_utf8_lossy(data), "limits") else { return };
    within(&ROBOT, &file, &names);
    within(&ROBOT, &file.with_default_jerk(1.0), &names);
}

/// Obstacles that were accepted can be looked at.
pub fn obstacles(data: &[u8]) {
    let Ok(obstacles) = Obstacles::parse(&String::from_utf8_lossy(data)) else { return };
    // More than this is slow, not wrong.
    if obstacles.objects.len() + obstacles.attached.len() < 20
        && let Some(names) = active(&ROBOT)
    {
        clear(&ROBOT, None, &names, &obstacles, &[0.0, 0.2, 0.9, 0.02]);
    }
}

fn within(model: &RobotModel, file: &LimitsFile, names: &JointNames) {
    let Ok(set) = LimitSet::new(model, file, names) else { return };
    let limits = Limits::new(set.names, &set.joints);
    limits.expect("limits that were accepted are limits of the filter too");
}

fn clear(model: &RobotModel, srdf: Option<&Srdf>, names: &JointNames, obstacles: &Obstacles, q: &[f64]) {
    let Ok(bodies) = CollisionModel::new(model, srdf, names, obstacles, &options()) else { return };
    let mut checker = Checker::new(&bodies);
    let here = checker.clearance(&bodies, q).distance;
    assert!(!here.is_nan(), "{here}");
    if let Ok(begun) = checker.begin(&bodies, q) {
        assert!(begun.distance > 0.0);
        let there: Vec<f64> = q.iter().map(|v| v + 0.01).collect();
        let travel = vec![0.011; q.len()];
        if let Ok(on_the_way) = checker.advance(&bodies, &there, &travel) {
            let end = checker.clearance(&bodies, &there).distance;
            assert!(on_the_way.distance <= end + 1e-6, "{} {end}", on_the_way.distance);
        }
    }
}
