//! What is evaluated is what is deployed: a team's own parameter file changes what the rig does as it changes the node, and is refused as the node
//! refuses it.
#![allow(clippy::unwrap_used)]

use efm_harness::agent::Agent;
use efm_harness::deployed::Deployed;
use efm_harness::planner::{ExpertPlanner, RobotFiles};
use efm_harness::rig::Rig;
use efm_schedule::{Mode, OnNewGoal};
use efm_sim::Scene;
use std::path::Path;

/// The Panda with a further parameter file of this text; the folder is to be kept.
fn files(text: &str) -> (RobotFiles, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.yaml");
    std::fs::write(&file, text).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    (RobotFiles::under(&root).with_parameters(&[file]), folder)
}

/// How far the second joint has come in two seconds of the expert's, rad.
fn travel(text: &str) -> f64 {
    let (files, _folder) = files(text);
    let mut rig = Rig::new(&files, Scene::sample(7)).unwrap();
    let mut expert = Agent::Expert(Box::new(ExpertPlanner::new(&files).unwrap()));
    let (from, mut travel) = (rig.measured().positions.clone(), 0.0_f64);
    for step in 0..1000 {
        if step % 100 == 0
            && let Some(chunk) = expert.act(&mut rig).unwrap()
        {
            rig.offer(&chunk).unwrap();
        }
        rig.step().unwrap();
        let now = &rig.measured().positions;
        travel = now.iter().zip(&from).map(|(a, b)| (a - b).abs()).fold(travel, f64::max);
    }
    travel
}

#[test]
fn a_parameter_file_holds_in_the_rig_as_on_the_robot() {
    let usual = travel("/**: {ros__parameters: {use_sim_time: true}}");
    assert!(usual > 0.2, "{usual}");
    let slow = travel("/**/trajectory_publisher: {ros__parameters: {speed_scale: 0.2}}");
    assert!(slow < 0.5 * usual && slow > 0.02, "{slow} {usual}");
    let still = travel("/trajectory_publisher: {ros__parameters: {speed_scale: 0.0}}");
    assert!(still < 0.01, "{still}");
    // For another node it says nothing to this one.
    assert_eq!(travel("/vla_inference: {ros__parameters: {threads: 1}}"), usual);
}

#[test]
fn modes_rules_and_limits_are_those_of_the_file() {
    let text = "/trajectory_publisher: {ros__parameters: {mode: temporal_ensemble, ensemble_decay: 0.5, on_new_goal: stop_first, \
                max_clock_jump: 0.2, check_collisions: false}}";
    let (files, _folder) = files(text);
    let deployed = Deployed::read(&files).unwrap();
    assert_eq!(deployed.mode(), Mode::TemporalEnsemble { m: 0.5 });
    assert_eq!(deployed.on_new_goal(), OnNewGoal::StopFirst);
    assert_eq!(deployed.cell().config().max_clock_jump_s, 0.2);
    assert!(deployed.cell().bodies().is_none());
    // The shipped file holds where this one says nothing.
    assert_eq!(deployed.cell().config().gripper_joints, ["panda_finger_joint1"]);
    let other = deployed.with(Mode::Fifo, OnNewGoal::Blend).unwrap();
    assert_eq!((other.mode(), other.on_new_goal()), (Mode::Fifo, OnNewGoal::Blend));
    assert_eq!(other.cell().config().max_clock_jump_s, 0.2);
}

#[test]
fn what_the_node_refuses_is_refused_by_name() {
    for (text, words) in [
        ("/trajectory_publisher: {ros__parameters: {speed_scal: 0.2}}", &["speed_scal", "speed_scale"][..]),
        ("/trajectory_publisher: {ros__parameters: {committed: 0.0}}", &["committed", "0.0"]),
        (
            "/trajectory_publisher: {ros__parameters: {obstacles_file: no/such.yaml}}",
            &["obstacles_file", "no/such.yaml"],
        ),
        (
            "/trajectory_publisher: {ros__parameters: {tool_link: nobody, max_tool_speed: 0.2}}",
            &["tool_link", "nobody"],
        ),
        (
            "/left/trajectory_publisher: {ros__parameters: {speed_scale: 0.2}}",
            &["'/left/trajectory_publisher' is not for"],
        ),
        ("speed_scale: 0.2", &["mine.yaml", "ros__parameters"]),
        ("a: [", &["mine.yaml"]),
    ] {
        let (files, _folder) = files(text);
        let error = Deployed::read(&files).map(drop).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
    }
    let (mut files, _folder) = files("/a: {ros__parameters: {}}");
    files.parameters.push("no/such.yaml".into());
    assert!(Deployed::read(&files).map(drop).unwrap_err().to_string().contains("no/such.yaml"));
}
