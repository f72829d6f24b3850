//! Packages and what is said of their conversions.

#![allow(clippy::unwrap_used, dead_code)]

use crate::fixture::{self, Fixture, names};
use efm_policy::{Check, ConversionReport, Golden, Manifest, PolicyPackage, Setup, check, compare_conversion};
use efm_robot::{LimitSet, LimitsFile, RobotModel};
use serde_yaml::Value;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub static PANDA: LazyLock<String> =
    LazyLock::new(|| std::fs::read_to_string(repository().join("urdf/panda.urdf")).unwrap());

pub fn panda() -> RobotModel {
    RobotModel::from_urdf(&PANDA).unwrap()
}

pub fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// A copy of a shipped package, without the graphs.
pub fn shipped(name: &str) -> Fixture {
    Fixture::of(&repository().join("models").join(name), |file| !file.ends_with(".onnx"))
}

/// A copy of one with all of it.
pub fn whole() -> Fixture {
    fixture::onnxruntime();
    Fixture::of(&repository().join("models/panda_tabletop_flow"), |_| true)
}

/// What is said of the conversions of a package, for a robot with these limits.
pub fn report(fixture: &Fixture, robot: &RobotModel, limits: &LimitsFile) -> ConversionReport {
    let manifest = Manifest::read(&fixture.folder).unwrap();
    let golden = Golden::parse(&std::fs::read(fixture.folder.join("golden.json")).unwrap(), &manifest).unwrap();
    let limits = LimitSet::new(robot, limits, &manifest.joints().unwrap()).unwrap();
    compare_conversion(&manifest, &golden, Some((robot, &limits)))
}

pub fn of_panda(fixture: &Fixture, robot: &RobotModel) -> ConversionReport {
    report(fixture, robot, &LimitsFile::load(repository().join("config/joint_limits.yaml")).unwrap())
}

/// Of a package of the gantry.
pub fn of_gantry(fixture: &Fixture) -> ConversionReport {
    let limit = "{has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, max_jerk: 50.0}";
    let joints = fixture::JOINTS.map(|joint| format!("  {joint}: {limit}\n")).concat();
    let limits = LimitsFile::parse(&format!("joint_limits:\n{joints}"), "test").unwrap();
    report(fixture, &fixture::gantry(), &limits)
}

/// What `./efm policy check` says, and whether the package can be opened: both must agree.
pub fn checked(fixture: &Fixture, robot: &RobotModel, limits: &Path) -> Check {
    let search = [repository().join("models")];
    let found = check(&fixture.folder, &search, Some(Setup { robot, joint_limits: limits, cameras: None }));
    if let Ok(package) = PolicyPackage::load(&fixture.folder, &search) {
        let joints = package.manifest().joints().unwrap();
        let limits = LimitSet::load(robot, limits, &joints).unwrap();
        let opened = efm_policy::Policy::open(package, robot, &limits, efm_policy::RuntimeOptions::default());
        match opened {
            Ok(policy) => {
                assert_eq!(found.problems, [""; 0]);
                let said = policy.remarks().join("; ");
                found.not_checked.iter().chain(&found.warnings).for_each(|sentence| names(&said, &[sentence]));
                assert_eq!(policy.remarks().len(), found.not_checked.len() + found.warnings.len());
            }
            Err(error) => {
                let error = error.to_string();
                assert!(found.problems.iter().any(|problem| error.contains(problem)), "{error}: {:?}", found.problems);
            }
        }
    }
    found
}

/// One problem, whose field it is, and what its text names.
#[track_caller]
pub fn one(report: &ConversionReport, field: &str, parts: &[&str]) {
    let said: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    println!("{}", said.join("\n"));
    assert_eq!(report.problems.iter().map(|problem| problem.field.as_str()).collect::<Vec<_>>(), [field], "{said:?}");
    names(&said[0], parts);
}
