//! A proposer and a world model that are added from outside are chosen by the parameters of `vla_inference` and run as those of the house do.
#![allow(clippy::unwrap_used)]

use efm_app::inference::engine::{Answer, Job, Setup, Sight, Worker};
use efm_app::inference::{inference_params, proposers};
use efm_config::Params;
use efm_core::{JointSample, Stamp};
use efm_examples::toy_proposer::Stay;
use efm_examples::toy_world::Clamped;
use efm_policy::imagine;
use serde_json::json;
use std::path::{Path, PathBuf};

const LIMIT: &str = "{has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, max_jerk: 50.0}";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/data")
}

/// As the node sets it up.
fn setup(proposer: &str, world_model: &str) -> Result<Setup, String> {
    let given = json!({
        "policy": "flow", "joint_limits_file": "limits.yaml", "models_path": [fixtures()],
        "proposer": proposer, "world_model": world_model,
    });
    let params = Params::from_json(inference_params::specs(), &serde_json::from_value(given).unwrap());
    let params = params.map_err(|errors| errors[0].to_string())?;
    let joints = ["slide_x", "slide_y", "slide_z", "finger"].map(|joint| format!("  {joint}: {LIMIT}\n")).concat();
    Setup::new(&params, fixtures().join("flow"), &format!("joint_limits:\n{joints}")).map_err(|why| why.in_words())
}

fn sight(positions: &[f64]) -> Sight {
    let joints = JointSample { stamp: Stamp::ZERO, positions: positions.to_vec(), velocities: vec![0.0; 4] };
    let (stamp, pictures) = (Stamp::from_nanos(7), vec![("front".to_owned(), vec![7; 24])]);
    Sight { stamp, pictures, joints, earlier: vec![], noise_seed: 0, following: None, delay: None }
}

/// One test, as what is added stays added: before it the names are unknown.
#[test]
fn what_another_crate_adds_is_chosen_by_its_name_from_then_on() {
    let unknown = setup("stay", "kinematic").unwrap_err();
    assert!(unknown.contains("'proposer' is 'stay'; it must be one of: policy, best_of"), "{unknown}");
    let unknown = setup("policy", "clamped").unwrap_err();
    assert!(unknown.contains("'world_model' is 'clamped'; it must be one of: kinematic"), "{unknown}");

    proposers::register::<Stay>().unwrap();
    imagine::register::<Clamped>().unwrap();

    // Twice is as good as once.
    proposers::register::<Stay>().unwrap();
    assert_eq!(proposers::names(), ["policy", "best_of", "stay"]);
    assert_eq!(imagine::names(), ["kinematic", "clamped"]);

    let staying = setup("stay", "kinematic").unwrap();
    let mut worker = Worker::default();
    let urdf = std::fs::read_to_string(fixtures().join("gantry.urdf")).unwrap();
    let act = |worker: &mut Worker, positions: &[f64]| worker.act(&sight(positions)).map_err(|e| e.to_string());
    assert!(act(&mut worker, &[0.0; 4]).unwrap_err().contains("no policy is open"));
    assert!(
        matches!(worker.work(&staying, Job::Open("<robot".into())), Answer::Opened(Err(e)) if e.text.contains("robot_description"))
    );
    assert!(matches!(worker.work(&staying, Job::Open(urdf)), Answer::Opened(Ok(opened)) if opened.name == "stay"));
    assert!(act(&mut worker, &[0.0; 4]).unwrap_err().contains("no embedded instruction"));
    assert!(matches!(worker.work(&staying, Job::Embed("stay".into())), Answer::Embedded(_, Ok(()))));
    for pose in [[0.1, -0.2, 0.3, 0.03], [-0.3, 0.4, 0.9, 0.0]] {
        let chunk = act(&mut worker, &pose).unwrap().chunk;
        assert_eq!((chunk.observed_at(), chunk.joints().as_slice()[3].as_str()), (Stamp::from_nanos(7), "finger"));
        assert!(chunk.horizon() > 1 && (0..chunk.horizon()).all(|row| chunk.row(row) == pose), "{chunk:?}");
    }
    // What is no chunk is a reason, and the next look is another.
    assert!(act(&mut worker, &[0.1; 3]).is_err());
    assert!(act(&mut worker, &[0.1, f64::NAN, 0.0, 0.0]).unwrap_err().contains("finite"));
    assert!(act(&mut worker, &[0.0; 4]).is_ok());
}
