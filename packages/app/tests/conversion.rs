//! Activation: a package whose conversions are not its exporter's is refused, and one that cannot show it is active with remarks.

#![allow(clippy::unwrap_used)]

use efm_app::inference::engine::{Answer, Job, Opened, Setup, Worker};
use efm_app::inference::proposers;
use efm_app::reasons;
use efm_core::Reason;
use efm_policy::{Operators, Provider, imagine};
use efm_robot::LimitsFile;
use efm_schedule::Mode;
use std::path::{Path, PathBuf};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/data")
}

/// Opens a copy of a tiny package of the gantry with another text in its manifest, as `vla_inference` does; `parts` says whether its golden file has
/// those that show conversions.
fn open(package: &str, change: (&str, &str), parts: bool) -> Result<Opened, Reason> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.efm/lib/libonnxruntime.so");
    if std::env::var_os(efm_policy::LIBRARY_VARIABLE).is_none() && library.exists() {
        efm_policy::use_library(&library).unwrap();
    }
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(package);
    std::fs::create_dir(&folder).unwrap();
    for entry in std::fs::read_dir(data().join(package)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    let text = std::fs::read_to_string(folder.join("policy.yaml")).unwrap();
    assert!(text.contains(change.0), "{}", change.0);
    let mut text = text.replacen(change.0, change.1, 1);
    if !parts {
        let golden = std::fs::read_to_string(folder.join("golden.json")).unwrap();
        // They stand last.
        let (before, _) = golden.split_once(", \"cameras\"").unwrap();
        let without = format!("{before}}}\n");
        text = text.replace(&hash(&golden), &hash(&without));
        std::fs::write(folder.join("golden.json"), without).unwrap();
    }
    std::fs::write(folder.join("policy.yaml"), text).unwrap();
    let limit = "{has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, max_jerk: 50.0}";
    let joints = ["slide_x", "slide_y", "slide_z", "finger"].map(|joint| format!("  {joint}: {limit}\n")).concat();
    let setup = Setup {
        folder,
        models_path: vec![data()],
        cameras: Vec::new(),
        limits: LimitsFile::parse(&format!("joint_limits:\n{joints}"), "test").unwrap(),
        threads: 1,
        provider: Provider::Cpu,
        mode: Mode::Blend,
        proposer: proposers::named("policy").unwrap(),
        candidates: 1,
        world_model: imagine::named("kinematic").unwrap(),
        operators: Operators::default(),
        trial: None,
        cores: None,
    };
    let urdf = std::fs::read_to_string(data().join("gantry.urdf")).unwrap();
    match Worker::default().work(&setup, Job::Open(urdf)) {
        Answer::Opened(opened) => opened,
        other => panic!("{other:?}"),
    }
}

fn hash(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

const SAME: (&str, &str) = ("horizon: 3", "horizon: 3");

#[test]
fn a_package_that_is_not_converted_as_its_exporter_did_is_refused_at_activation() {
    for (change, words) in [
        (("- relative\n  - relative\n  - absolute", "- absolute\n  - relative\n  - absolute"), "action.reference"),
        (("- absolute\n  - absolute\n  orient", "- absolute\n  - relative\n  orient"), "gripper absolute"),
        (("yaw: 0.0", "yaw: 0.2"), "action.orientation"),
        (("step: 0.1", "step: 0.033"), "action.step"),
        (("resize: stretch", "resize: pad"), "observation.images[0].resize"),
        (("replan_steps: 2", "replan_steps: 3"), "execution.replan_steps"),
    ] {
        let refused = open("flow", change, true).unwrap_err();
        assert_eq!(refused.code, reasons::POLICY_DOES_NOT_FIT);
        assert!(refused.in_words().contains(words), "{change:?}: {}", refused.in_words());
        // As a package of before could not show it, it is open; and said not to be checked.
        let remarks = open("flow", change, false).unwrap().remarks.join("; ");
        assert!(remarks.contains("NOT CHECKED: the chunk as it goes out"), "{remarks}");
    }
    // Its sample has a dozen numbers only.
    let remarks = open("flow", SAME, true).unwrap().remarks;
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    assert!(remarks[0].starts_with("NOT CHECKED: runner.noise_scale"), "{remarks:?}");
    let remarks = open("flow", SAME, false).unwrap().remarks;
    assert_eq!(remarks.len(), 3);
    assert!(remarks[0].contains("camera 'front'") && remarks[0].contains("docs/policy_package.md"), "{remarks:?}");
}

/// Nothing of a chunk is left while the next one is made.
#[test]
fn a_whole_horizon_between_looks_is_remarked_at_activation() {
    let old = open("flow", ("replan_steps: 2", "replan_steps: 3"), false).unwrap();
    assert!(old.remarks.iter().any(|remark| remark.contains("comes to rest between chunks")), "{:?}", old.remarks);
}
