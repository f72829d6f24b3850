//! A policy that looks back runs offline: what it is shown is what was seen and measured then. Its family is the test's own: it proposes to go where
//! the oldest observation was.
#![allow(clippy::unwrap_used)]

use efm_core::Stamp;
use efm_harness::agent::{Agent, PolicyAgent};
use efm_harness::planner::{ExpertPlanner, RobotFiles};
use efm_harness::rig::Rig;
use efm_policy::families::parts::{ObservationTensors, TensorProblem, Tensors};
use efm_policy::families::{Family, FieldProblem, Prefix, RunError, Runner, Section, Trace, register};
use efm_policy::{Manifest, PolicyPackage, RuntimeError, RuntimeOptions};
use efm_schedule::Mode;
use efm_sim::Scene;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const HISTORY: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct WayBack {}

impl Section for WayBack {
    const TYPE: &'static str = "way_back";
}

impl Family for WayBack {
    fn graphs(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self, _: &Manifest) -> Result<(), FieldProblem> {
        Ok(())
    }

    fn wires(&self, _: &Manifest) -> Result<(), FieldProblem> {
        Ok(())
    }

    fn tensors(&self, _: &mut Tensors<'_>) -> Result<(), TensorProblem> {
        Ok(())
    }

    fn describe(&self) -> String {
        "going back".to_owned()
    }

    fn open(&self, package: &PolicyPackage, _: RuntimeOptions) -> Result<Box<dyn Runner>, RuntimeError> {
        Ok(Box::new(GoesBack { observation: ObservationTensors::new(package.manifest())? }))
    }
}

#[derive(Debug)]
struct GoesBack {
    observation: ObservationTensors,
}

impl Runner for GoesBack {
    fn observation(&mut self) -> &mut ObservationTensors {
        &mut self.observation
    }

    fn run(
        &mut self,
        _: &[f32],
        _: Option<Prefix<'_>>,
        actions: &mut [f32],
        _: Option<&mut Trace>,
    ) -> Result<(), RunError> {
        // Neither states nor actions are scaled.
        let oldest = &self.observation.state()[..8];
        actions.chunks_exact_mut(8).for_each(|row| row.copy_from_slice(oldest));
        Ok(())
    }
}

fn package(folder: &Path) {
    let joints: Vec<String> =
        (1..=7).map(|j| format!("panda_joint{j}")).chain(["panda_finger_joint1".into()]).collect();
    let joints = joints.join(", ");
    let pose = "[0.0, -0.8, 0.0, -2.3, 0.0, 1.5, 0.8, 0.03]";
    let all = [pose; HISTORY].join(", ").replace(['[', ']'], "");
    let golden = format!("{{\"sentence\": \"back\", \"joints\": [{all}], \"actions\": [{pose}, {pose}]}}");
    let hash: String = Sha256::digest(&golden).iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(folder.join("golden.json"), golden).unwrap();
    let plain = "{kind: mean_std, mean: [0, 0, 0, 0, 0, 0, 0, 0], std: [1, 1, 1, 1, 1, 1, 1, 1], eps: 0}";
    let units = "[rad, rad, rad, rad, rad, rad, rad, m]";
    let absolute = ["absolute"; 8].join(", ");
    let text = format!(
        "schema: policy_package/1.0
policy: {{name: way_back, version: 0.0.1, family: way_back, license: Apache-2.0, description: A test.}}
robot: {{joints: [{joints}], units: {units}, base_link: panda_link0, tip_link: panda_hand_tcp}}
observation:
  images: []
  state: {{tensor: state, normalization: {plain}}}
  history: {HISTORY}
action:
  space: joint_position
  names: [{joints}]
  units: {units}
  reference: [{absolute}]
  gripper_joint: panda_finger_joint1
  horizon: 2
  step: 0.1
  normalization: {plain}
runner: {{type: way_back}}
graphs: {{}}
execution: {{replan_steps: 2}}
golden: {{file: golden.json, sha256: {hash}}}
"
    );
    std::fs::write(folder.join("policy.yaml"), text).unwrap();
}

#[test]
fn a_policy_is_shown_what_was_measured_as_long_ago_as_it_looks_back() {
    let library = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.efm/lib/libonnxruntime.so");
    if std::env::var_os(efm_policy::LIBRARY_VARIABLE).is_none() && library.exists() {
        efm_policy::use_library(&library).unwrap();
    }
    register::<WayBack>().unwrap();
    let folder = tempfile::tempdir().unwrap();
    package(folder.path());
    let files = RobotFiles::under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    let mut rig = Rig::new(&files, Scene::sample(7)).unwrap();
    let mut back = Agent::Policy(Box::new(PolicyAgent::open(folder.path(), &[], &files, Mode::Blend).unwrap()));
    let mut expert = Agent::Expert(Box::new(ExpertPlanner::new(&files).unwrap()));
    let scene = Scene::sample(7);
    rig.reset(scene.clone()).unwrap();
    back.begin(&scene).unwrap();
    assert!(back.looks_back() && !expert.looks_back());
    let mut measured: Vec<(Stamp, Vec<f64>)> = Vec::new();
    let (mut compared, mut farthest) = (0, 0.0_f64);
    for step in 0..1000 {
        if step % 100 == 0
            && let Some(chunk) = expert.act(&mut rig).unwrap()
        {
            rig.offer(&chunk).unwrap();
        }
        // As cameras do: every 34 ms.
        if step % 17 == 0 {
            back.remember(&mut rig).unwrap();
            measured.push((rig.cell().now(), rig.measured().positions.clone()));
        }
        if step > 300 && step % 100 == 0 {
            let now = rig.cell().now();
            let then = now.offset_seconds(-0.3);
            let off = |at: &Stamp| at.seconds_since(then).abs();
            let (_, wanted) = measured.iter().min_by(|(a, _), (b, _)| off(a).total_cmp(&off(b))).unwrap();
            let chunk = back.act(&mut rig).unwrap().unwrap();
            for (joint, wanted) in wanted.iter().enumerate() {
                assert!((chunk.row(0)[joint] - wanted).abs() < 1e-6, "step {step}, joint {joint}: {chunk:?}, {wanted}");
            }
            let is = rig.measured().positions.clone();
            farthest = is.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(farthest, f64::max);
            compared += 1;
        }
        rig.step().unwrap();
    }
    assert!(compared > 5 && farthest > 0.05, "it did not move: {compared} {farthest}");
    // With the next episode nothing of before is left: what is missing is made up for by the oldest there is.
    rig.reset(scene.clone()).unwrap();
    back.begin(&scene).unwrap();
    let (chunk, is) = (back.act(&mut rig).unwrap().unwrap(), rig.measured().positions.clone());
    assert!(chunk.row(0).iter().zip(&is).all(|(a, b)| (a - b).abs() < 1e-6), "{chunk:?} {is:?}");
}
