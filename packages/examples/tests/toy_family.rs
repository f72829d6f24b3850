//! A family that is added from outside runs like one of the house: its manifest is read, its package checked and opened, its chunks made, its worked
//! example repeated.
#![allow(clippy::unwrap_used)]

use efm_core::{JointNames, JointSample, Stamp};
use efm_examples::toy_family::HoldSpec;
use efm_policy::families::{names, register};
use efm_policy::{Goal, MANIFEST_FILE, Manifest, Observation, Policy, PolicyPackage, RuntimeOptions};
use efm_robot::{LimitSet, RobotModel};
use std::path::{Path, PathBuf};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Tests run outside of the project's environment too, where the library lies in the project's own folder.
fn onnxruntime() {
    let own = here("../../.efm/lib/libonnxruntime.so");
    if std::env::var_os(efm_policy::LIBRARY_VARIABLE).is_none() && own.exists() {
        efm_policy::use_library(&own).unwrap();
    }
}

/// One test, as what is added stays added: before it the name is unknown.
#[test]
fn a_family_of_another_crate_is_known_from_its_one_line_on_and_runs_from_manifest_to_golden() {
    onnxruntime();
    let folder = here("tests/data/hold");
    let text = std::fs::read_to_string(folder.join(MANIFEST_FILE)).unwrap();
    let unknown = Manifest::read(&folder).unwrap_err().to_string();
    for part in ["policy.yaml: runner.type: unknown variant `hold`", "`single_pass`", "`recurrent`"] {
        assert!(unknown.contains(part), "{unknown}");
    }

    register::<HoldSpec>().unwrap();

    // Twice is as good as once.
    register::<HoldSpec>().unwrap();
    assert_eq!(names().iter().filter(|name| **name == "hold").count(), 1);
    let manifest = Manifest::read(&folder).unwrap();
    assert_eq!(manifest.runner.section::<HoldSpec>(), Some(&HoldSpec {}));
    assert_eq!(manifest, Manifest::parse(&text, Path::new("again")).unwrap());

    // What does not fit is refused by name: its own section, its own rule, a graph that it does not have.
    let refused = |from: &str, to: &str, parts: &[&str]| {
        assert!(text.contains(from));
        let error = Manifest::parse(&text.replace(from, to), Path::new(MANIFEST_FILE)).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    refused("{type: hold}", "{type: hold, firmly: true}", &["runner", "`firmly`"]);
    let graph = "graphs: {policy: {file: a.onnx, sha256: a, inputs: [a], outputs: [b]}}";
    refused("graphs: {}", graph, &["graphs.policy", "not used"]);
    let tool = "space: end_effector\n  orientation: {roll: 0, pitch: 0, yaw: 0}\n  names: [x, y, z, gripper]";
    refused(
        "space: joint_position\n  names: [slide_x, slide_y, slide_z, finger]",
        tool,
        &["action.space", "joint_position"],
    );

    let robot = RobotModel::load(here("../policy/tests/data/gantry.urdf")).unwrap();
    let joints = JointNames::new(manifest.robot.joints.clone()).unwrap();
    let limits: String = (joints.iter())
        .map(|joint| format!("  {joint}: {{has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, max_jerk: 50.0}}\n"))
        .collect();
    let limits = LimitSet::from_model_and_yaml(&robot, &format!("joint_limits:\n{limits}"), &joints).unwrap();
    let facts = efm_policy::check(&folder, &[], None);
    assert!(facts.problems.is_empty() && facts.facts.join("\n").contains("is run by staying where it is; cannot"));
    let package = PolicyPackage::load(&folder, &[]).unwrap();
    let mut policy = Policy::open(package, &robot, &limits, RuntimeOptions::default()).unwrap();
    let parity = policy.verify_golden().unwrap();
    assert!(parity.holds() && parity.actions_max_abs < 1e-6, "{parity:?}");

    for pose in [[0.1, -0.2, 0.3, 0.03], [-0.3, 0.4, 0.9, 0.0]] {
        let measured = JointSample { stamp: Stamp::ZERO, positions: pose.to_vec(), velocities: Vec::new() };
        let observation = Observation { stamp: Stamp::ZERO, images: &[], joints: &measured, earlier: &[] };
        let goal = policy.embed("stay").unwrap();
        assert_eq!(goal, Goal::Unheard);
        let chunk = policy.act(&observation, &goal, 7).unwrap();
        assert_eq!(chunk.horizon(), 3);
        for (row, joint) in (0..3).flat_map(|row| (0..4).map(move |joint| (row, joint))) {
            assert!((chunk.row(row)[joint] - pose[joint]).abs() < 1e-6, "{chunk:?}");
        }
    }
}
