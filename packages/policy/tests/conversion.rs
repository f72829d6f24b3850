//! Errors of conversion: what a golden file shows of references, kinematics, times and pictures, and what it does not.

#![allow(clippy::unwrap_used)]

#[path = "support/fixture.rs"]
mod fixture;

use efm_core::JointNames;
use efm_policy::{ActionDecoder, PolicyPackage};
use efm_robot::{Chain, LimitSet, RobotModel};
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn measure() {
    fixture::onnxruntime();
    let robot = RobotModel::load(repository().join("urdf/panda.urdf")).unwrap();
    for name in ["chunk", "diffusion", "flow", "tokens"] {
        let package = PolicyPackage::load(&repository().join(format!("models/panda_tabletop_{name}")), &[]).unwrap();
        let manifest = package.manifest();
        let joints = JointNames::new(manifest.robot.joints.clone()).unwrap();
        let limits = LimitSet::load(&robot, repository().join("config/joint_limits.yaml"), &joints).unwrap();
        let chain = Chain::new(&robot, &manifest.robot.base_link, &manifest.robot.tip_link).unwrap();
        let rest = manifest.action.rest_posture.clone().unwrap();
        let mut decoder = ActionDecoder::new(manifest, &joints, &chain, &limits, &rest).unwrap();
        let mut rows = Vec::new();
        decoder.decode(&package.golden().actions, &package.golden().newest().joints, &mut rows).unwrap();
        let given = package.golden().outgoing.as_ref().unwrap();
        for (row, (a, b)) in rows.chunks(8).zip(given.joints.chunks(8)).enumerate() {
            let (p, q) = (chain.fk(&a[..7]), chain.fk(&b[..7]));
            let d = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            println!("{name} {row}: tool {:.2e} m {:.2e} rad, joints {d:.2e}", (p.translation.vector - q.translation.vector).norm(), p.rotation.angle_to(&q.rotation));
        }
        let report = efm_policy::compare_conversion(manifest, package.golden(), Some((&robot, &limits)));
        println!("{report:#?}");
    }
}
