//! Proposers that are chosen by name, with the tiny policies of efm_policy's tests.
#![allow(clippy::unwrap_used)]

use efm_app::inference::engine::{Acted, Answer, Job, Setup, Sight, Worker};
use efm_app::inference::{inference_params, proposers};
use efm_config::Params;
use efm_core::{ActionChunk, JointSample, Reason, Stamp};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const LIMIT: &str = "{has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, max_jerk: 50.0}";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/data")
}

/// As `vla_inference` sets it up.
fn setup(policy: &str, given: Value) -> Result<Setup, String> {
    let mut all = json!({"policy": policy, "joint_limits_file": "limits.yaml", "models_path": [data()]});
    all.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
    let params = Params::from_json(inference_params::specs(), &serde_json::from_value(all).unwrap());
    let params = params.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let joints = ["slide_x", "slide_y", "slide_z", "finger"].map(|joint| format!("  {joint}: {LIMIT}\n")).concat();
    Setup::new(&params, data().join(policy), &format!("joint_limits:\n{joints}")).map_err(|why| why.in_words())
}

/// Opened and told a goal.
fn worker(setup: &Setup) -> Result<Worker, Reason> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.efm/lib/libonnxruntime.so");
    if std::env::var_os(efm_policy::LIBRARY_VARIABLE).is_none() && library.exists() {
        efm_policy::use_library(&library).unwrap();
    }
    let mut worker = Worker::default();
    let urdf = std::fs::read_to_string(data().join("gantry.urdf")).unwrap();
    let Answer::Opened(opened) = worker.work(setup, Job::Open(urdf)) else { panic!("another answer") };
    opened?;
    let told = worker.work(setup, Job::Embed("pick the red cube".into()));
    assert!(matches!(told, Answer::Embedded(_, Ok(()))), "{told:?}");
    Ok(worker)
}

fn chunk(worker: &mut Worker, noise_seed: u64) -> ActionChunk {
    let joints = JointSample { stamp: Stamp::ZERO, positions: vec![0.1, -0.2, 0.3, 0.03], velocities: vec![0.0; 4] };
    let pictures = vec![("front".to_owned(), vec![7; 24])];
    let (earlier, following, delay) = (vec![], None, None);
    let Acted { chunk, .. } =
        worker.act(&Sight { stamp: Stamp::ZERO, pictures, joints, earlier, noise_seed, following, delay }).unwrap();
    chunk
}

/// How far the joints go, each at its own speed in the gantry's description.
fn travel(chunk: &ActionChunk) -> f64 {
    let urdf = std::fs::read_to_string(data().join("gantry.urdf")).unwrap();
    let robot = efm_robot::RobotModel::from_urdf(&urdf).unwrap();
    let speed = |joint: &str| robot.joint(joint).unwrap().limit.velocity.unwrap();
    let speeds: Vec<f64> = chunk.joints().iter().map(speed).collect();
    let mut from = vec![0.1, -0.2, 0.3, 0.03];
    let mut seconds = 0.0;
    for row in 0..chunk.horizon() {
        let to = chunk.row(row).to_vec();
        seconds += to.iter().zip(&from).zip(&speeds).map(|((to, from), speed)| (to - from).abs() / speed).sum::<f64>();
        from = to;
    }
    seconds
}

#[test]
fn the_best_of_one_is_the_policys_and_that_of_more_moves_the_joints_no_further() {
    let mut policy = worker(&setup("flow", json!({})).unwrap()).unwrap();
    let mut one = worker(&setup("flow", json!({"proposer": "best_of", "candidates": 1})).unwrap()).unwrap();
    let mut four = worker(&setup("flow", json!({"proposer": "best_of", "candidates": 4})).unwrap()).unwrap();
    let mut others = 0;
    for seed in 0..20 {
        let (plain, chosen) = (chunk(&mut policy, seed), chunk(&mut four, seed));
        assert_eq!(chunk(&mut one, seed), plain);
        assert!(travel(&chosen) <= travel(&plain) + 1e-9, "seed {seed}");
        others += usize::from(chosen != plain);
        // The same look again, the same chunk.
        assert_eq!(chunk(&mut four, seed), chosen);
    }
    assert!(others > 5, "only {others} were others than the first");
}

#[test]
fn a_proposer_that_does_not_go_with_the_policy_is_refused_when_it_is_opened() {
    for (policy, given, words) in [("recurrent", json!({}), "remembers"), ("flow", json!({"mode": "rtc"}), "mode rtc")]
    {
        let mut given = given;
        given["proposer"] = json!("best_of");
        let refused = worker(&setup(policy, given).unwrap()).err().unwrap();
        assert!(refused.text.contains("proposer 'best_of'") && refused.text.contains(words), "{refused}");
        assert_eq!((refused.code, &*refused.remedy), ("proposer_does_not_fit", "set parameter 'proposer' to policy"));
    }
    // What cannot be guided is blended in this mode, and can be chosen from.
    assert!(worker(&setup("single", json!({"mode": "rtc", "proposer": "best_of"})).unwrap()).is_ok());
}

#[test]
fn names_that_are_none_are_refused_with_those_that_there_are() {
    assert_eq!(proposers::names(), ["policy", "best_of"]);
    for (given, words) in [
        (json!({"proposer": "polcy"}), "'proposer' is 'polcy'; it must be one of: policy, best_of"),
        (json!({"world_model": "physics"}), "'world_model' is 'physics'; it must be one of: kinematic"),
        (json!({"candidates": 0}), "'candidates' is 0; it must be from 1 to 64"),
    ] {
        let refused = setup("flow", given).unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
    assert!(proposers::named("polcy").unwrap_err().to_string().contains("there are: policy, best_of"));
}
