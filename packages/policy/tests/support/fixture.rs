//! Copies of the tiny packages of `tests/data`, to be spoilt.

#![allow(clippy::unwrap_used, dead_code)]

use efm_core::JointNames;
use efm_policy::{PackageError, Policy, PolicyPackage, RuntimeOptions};
use efm_robot::{LimitSet, RobotModel};
use serde_yaml::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Once;

/// Tests run outside of the project's environment too, where the library lies in the project's own folder.
pub fn onnxruntime() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.efm/lib/libonnxruntime.so");
        if std::env::var_os(efm_policy::LIBRARY_VARIABLE).is_none() && own.exists() {
            efm_policy::use_library(&own).unwrap();
        }
    });
}

pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// Names of the tiny packages, sorted: those made for the gantry.
pub fn fixtures() -> Vec<String> {
    let entries = std::fs::read_dir(data()).unwrap().map(|entry| entry.unwrap());
    let packages = entries.filter(|entry| entry.path().join("policy.yaml").is_file());
    let names = packages.map(|entry| entry.file_name().into_string().unwrap());
    // Those of LeRobot are for other robots.
    let mut found: Vec<String> = names.filter(|name| !name.starts_with("lerobot_")).collect();
    found.sort();
    assert!(found.len() >= 6, "{found:?}");
    found
}

pub fn gantry() -> RobotModel {
    RobotModel::load(data().join("gantry.urdf")).unwrap()
}

pub fn limits(robot: &RobotModel, joints: &[&str]) -> LimitSet {
    let mut yaml = String::from("joint_limits:\n");
    for joint in joints {
        writeln!(
            yaml,
            "  {joint}: {{has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, max_jerk: 50.0}}"
        )
        .unwrap();
    }
    LimitSet::from_model_and_yaml(robot, &yaml, &JointNames::new(joints.iter().copied()).unwrap()).unwrap()
}

pub const JOINTS: [&str; 4] = ["slide_x", "slide_y", "slide_z", "finger"];

/// A copy of a package (and of the encoder) in a folder of its own.
pub struct Fixture {
    root: tempfile::TempDir,
    pub folder: PathBuf,
}

impl Fixture {
    pub fn new(name: &str) -> Self {
        onnxruntime();
        let fixture = Self::of(&data().join(name), |_| true);
        copy(&data().join("encoders/tiny"), &fixture.encoder(), |_| true);
        fixture
    }

    /// Files of a package elsewhere.
    pub fn of(package: &Path, wanted: impl Fn(&str) -> bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(package.file_name().unwrap());
        copy(package, &folder, wanted);
        Self { root, folder }
    }

    pub fn encoder(&self) -> PathBuf {
        self.root.path().join("encoders/tiny")
    }

    /// Changes the manifest through its YAML tree.
    pub fn edit(self, change: impl FnOnce(&mut Value)) -> Self {
        edit_yaml(&self.folder.join("policy.yaml"), change);
        self
    }

    /// Replaces a graph by an odd one, with the hash that belongs to it.
    pub fn swap_graph(self, role: &str, odd: &str) -> Self {
        let bytes = std::fs::read(data().join("odd").join(odd)).unwrap();
        std::fs::write(self.folder.join(format!("{role}.onnx")), &bytes).unwrap();
        self.edit(|m| m["graphs"][role]["sha256"] = sha256(&bytes).into())
    }

    /// Changes the golden file and its hash.
    pub fn edit_golden(self, change: impl FnOnce(&mut serde_json::Value)) -> Self {
        let file = self.folder.join("golden.json");
        let mut golden = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        change(&mut golden);
        let bytes = serde_json::to_vec(&golden).unwrap();
        std::fs::write(&file, &bytes).unwrap();
        self.edit(|m| m["golden"]["sha256"] = sha256(&bytes).into())
    }

    /// Without what golden files of before have not got.
    pub fn old(self) -> Self {
        self.edit_golden(|golden| {
            for part in ["cameras", "outgoing"] {
                golden.as_object_mut().unwrap().remove(part);
            }
        })
    }

    pub fn load(&self) -> Result<PolicyPackage, PackageError> {
        PolicyPackage::load(&self.folder, &[])
    }

    /// The message of the refusal.
    pub fn refusal(&self) -> String {
        match self.load() {
            Ok(_) => panic!("the package was accepted"),
            Err(e) => e.to_string(),
        }
    }

    pub fn open(&self) -> Policy {
        let robot = gantry();
        let limits = limits(&robot, &JOINTS);
        Policy::open(self.load().unwrap(), &robot, &limits, RuntimeOptions::default()).unwrap()
    }
}

fn copy(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if wanted(&entry.file_name().to_string_lossy()) {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

pub fn edit_yaml(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut tree: Value = serde_yaml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    change(&mut tree);
    std::fs::write(file, serde_yaml::to_string(&tree).unwrap()).unwrap();
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Fails unless the message holds every part.
#[track_caller]
pub fn names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "'{part}' is not in: {message}");
    }
}
