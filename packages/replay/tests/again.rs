//! Runs that are recorded here, without a graph, by the logic of the nodes itself, and done again from their bags.
#![allow(clippy::unwrap_used)]

use efm_app::inference::engine::{Answer, Job, Sight, Worker};
use efm_app::inference::inference_params;
use efm_app::publisher::streaming::{Event, Files, Measured, Streaming};
use efm_app::publisher::streaming_params;
use efm_app::trace::{self, Inferred, Look, Seen, SeenPicture, Setup};
use efm_bag::msgs::{DiagnosticArray, DiagnosticStatus, Header, Image};
use efm_bag::{BagOptions, BagWriter};
use efm_config::Params;
use efm_core::{JointSample, SenderId, Stamp, Trajectory, TrajectoryPoint};
use efm_policy::Provider;
use efm_replay::compare::Comparison;
use efm_replay::policy::{How, think};
use efm_replay::recorded::Recorded;
use efm_replay::safety::{Collected, Filtered, filter};
use efm_robot::LimitsFile;
use efm_schedule::Mode;
use serde::Serialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const MS: i64 = 1_000_000;
const SENDER: SenderId = SenderId([7; 16]);
const BEGIN: i64 = 1_000_000 * MS;
const JOINTS: [&str; 4] = ["slide_x", "slide_y", "slide_z", "finger"];

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/data")
}

fn urdf() -> String {
    std::fs::read_to_string(data().join("gantry.urdf")).unwrap()
}

fn limits(jerk: f64) -> String {
    let limit =
        format!("{{has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, max_jerk: {jerk}}}");
    format!("joint_limits:\n{}", JOINTS.map(|joint| format!("  {joint}: {limit}\n")).concat())
}

fn params(value: Value) -> BTreeMap<String, Value> {
    serde_json::from_value(value).unwrap()
}

/// A message of a trace with all of its events.
fn told(node: &str, sequence: u64, setup: Option<&Setup>, events: &[impl Serialize]) -> DiagnosticArray {
    let events: String = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    let mut values = vec![
        ("format".to_owned(), trace::FORMAT.to_owned()),
        ("sequence".to_owned(), sequence.to_string()),
        ("events".to_owned(), events),
    ];
    values.extend(setup.map(|setup| ("setup".to_owned(), serde_json::to_string(setup).unwrap())));
    let status = DiagnosticStatus { name: format!("/{node}"), values, ..DiagnosticStatus::default() };
    DiagnosticArray { header: Header::default(), status: vec![status] }
}

/// Half a second of motion, as a policy might propose it.
fn chunk(stamp: i64, from: f64) -> Trajectory {
    let point = |k: i64| TrajectoryPoint {
        positions: vec![from + 0.004 * k as f64, 0.1 * (0.1 * k as f64).sin(), 0.3, 0.02],
        time_from_start: 20 * MS * (k + 1),
        ..TrajectoryPoint::default()
    };
    Trajectory {
        stamp: Stamp::from_nanos(stamp),
        joint_names: JOINTS.map(str::to_owned).to_vec(),
        points: (0..25).map(point).collect(),
        ..Trajectory::default()
    }
}

struct Run {
    setup: Setup,
    events: Vec<Event<'static>>,
    chunks: Vec<Trajectory>,
    commands: Vec<(String, Vec<Trajectory>)>,
}

/// A robot that is where it was commanded to be, and two chunks.
fn streamed() -> Run {
    let setup = Setup {
        node: "trajectory_publisher".into(),
        params: params(json!({
            "joint_limits_file": "limits.yaml", "controllers.gantry": JOINTS, "check_collisions": false, "armed_at_start": true, "mode": "blend",
        })),
        files: BTreeMap::from([("joint_limits_file".to_owned(), limits(50.0))]),
        ..Setup::default()
    };
    let node = Params::from_json(streaming_params::specs(), &setup.params).unwrap();
    let mut streaming = Streaming::new(&node, &Files::from_record(&setup.files)).unwrap();
    let mut outlet = Collected::of(&streaming);
    let mut events = Vec::new();
    let mut on = |event: Event<'static>, streaming: &mut Streaming| {
        streaming.on(&event).unwrap();
        events.push(event);
    };
    on(Event::Description { now: BEGIN, urdf: urdf().into() }, &mut streaming);
    on(Event::Listeners { now: BEGIN, listening: vec![true].into() }, &mut streaming);
    on(Event::Instruction { now: BEGIN, text: "go".into() }, &mut streaming);
    let (mut chunks, mut at) = (Vec::new(), vec![0.0, 0.0, 0.3, 0.02]);
    for tick in 1..100 {
        // Ticks of a real clock: not quite every 10 ms.
        let now = BEGIN + 10 * MS * tick + (tick * 7919) % 100_000;
        if tick == 3 || tick == 20 {
            let proposed = chunk(now - 30 * MS, at[0]);
            let verdict = streaming.on_chunk(&proposed, SENDER, Stamp::from_nanos(now));
            assert_eq!(verdict, Ok(()));
            events.push(Event::Chunk { now, stamp: proposed.stamp.nanos(), sender: SENDER });
            chunks.push(proposed);
        }
        let joints = Measured {
            stamp: now - 2 * MS,
            age: 0.002,
            positions: Cow::Owned(at.clone()),
            velocities: vec![0.0; 4].into(),
            stamps: Cow::Borrowed(&[]),
            sources: Cow::Borrowed(&[]),
            velocity_told: true,
            contradiction: None,
        };
        streaming.tick(Stamp::from_nanos(now), Some(&joints), &[], &mut outlet).unwrap();
        events.push(Event::Tick { now, joints: Some(joints), others: Cow::default(), unreadable: false });
        if let Some(sent) = outlet.commands[0].1.last() {
            at.clone_from(&sent.points[0].positions);
        }
    }
    Run { setup, events, chunks, commands: outlet.commands }
}

/// Writes the bag; of the trace's three messages the second where `whole`.
fn bag_of(run: &Run, dir: &Path, whole: bool) -> PathBuf {
    let bag = dir.join(if whole { "whole" } else { "gap" });
    let mut writer = BagWriter::create(&bag, BagOptions::default()).unwrap();
    let at = Stamp::from_nanos(BEGIN);
    let third = run.events.len() / 3;
    for (sequence, events) in
        [&run.events[..third], &run.events[third..2 * third], &run.events[2 * third..]].into_iter().enumerate()
    {
        if sequence != 1 || whole {
            let setup = (sequence == 0).then_some(&run.setup);
            let message = told("trajectory_publisher", sequence as u64, setup, events);
            writer.write("trajectory_publisher/trace", &message, at).unwrap();
        }
    }
    run.chunks.iter().for_each(|chunk| writer.write("action_chunk", chunk, at).unwrap());
    run.commands[0].1.iter().for_each(|command| writer.write("gantry/joint_trajectory", command, at).unwrap());
    writer.finish().unwrap();
    bag
}

fn again(recorded: &Recorded, change: impl FnOnce(&mut Setup)) -> (Filtered, Comparison) {
    let trace = recorded.streaming.as_ref().unwrap();
    let mut setup = trace.setup.clone();
    change(&mut setup);
    let params = Params::from_json(streaming_params::specs(), &setup.params).unwrap();
    let chunks = |stamp: i64| recorded.chunks.get(&stamp).cloned();
    let filtered = filter(trace, &params, &Files::from_record(&setup.files), &[], chunks).unwrap();
    let mut comparison = Comparison::default();
    comparison.add("gantry", &recorded.commands["gantry"], &filtered.commands[0].1, filtered.span, 0.0);
    (filtered, comparison)
}

#[test]
fn every_command_comes_out_to_the_last_bit() {
    let dir = tempfile::tempdir().unwrap();
    let recorded = Recorded::read(&bag_of(&streamed(), dir.path(), true)).unwrap();
    let (filtered, comparison) = again(&recorded, |_| {});
    assert!(comparison.commands > 50 && comparison.holds(), "{comparison:?}");
    assert!(filtered.problems.is_empty() && filtered.verdicts.values().all(Result::is_ok));
}

#[test]
fn another_limit_makes_other_commands_and_says_which_joint() {
    let dir = tempfile::tempdir().unwrap();
    let recorded = Recorded::read(&bag_of(&streamed(), dir.path(), true)).unwrap();
    let (_, comparison) = again(&recorded, |setup| {
        setup.files.insert("joint_limits_file".into(), limits(5.0));
    });
    assert!(!comparison.holds() && comparison.joints["slide_x"].by > 1e-4, "{comparison:?}");
    assert_eq!(comparison.first.unwrap().what, "gantry");
}

#[test]
fn a_part_of_the_trace_that_the_recorder_missed_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let recorded = Recorded::read(&bag_of(&streamed(), dir.path(), false)).unwrap();
    let (filtered, comparison) = again(&recorded, |_| {});
    assert!(!comparison.holds());
    assert!(filtered.problems[0].contains("messages 1 to 1"), "{:?}", filtered.problems);
}

/// What the policy looked at: five times, with a picture that is recorded where `keeps` it.
fn thought(dir: &Path, keeps: impl Fn(usize) -> bool, alters: impl Fn(usize) -> bool) -> PathBuf {
    let library = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.efm/lib/libonnxruntime.so");
    if std::env::var_os(efm_policy::LIBRARY_VARIABLE).is_none() && library.exists() {
        efm_policy::use_library(&library).unwrap();
    }
    let folder = data().join("recurrent");
    let engine = efm_app::inference::engine::Setup {
        folder: folder.clone(),
        models_path: vec![data()],
        cameras: Vec::new(),
        limits: LimitsFile::parse(&limits(50.0), "limits.yaml").unwrap(),
        threads: 1,
        provider: Provider::Cpu,
        mode: Mode::Blend,
        proposer: efm_app::inference::proposers::named("policy").unwrap(),
        candidates: 1,
        world_model: efm_policy::imagine::named("kinematic").unwrap(),
        operators: efm_policy::Operators::default(),
        trial: None,
        cores: None,
    };
    let mut worker = Worker::default();
    let Answer::Opened(Ok(opened)) = worker.work(&engine, Job::Open(urdf())) else { panic!("the policy opens") };
    worker.work(&engine, Job::Embed("pick the red cube".into()));
    let mut events = vec![
        Inferred::Open { urdf: urdf().into() },
        Inferred::Opened { policy: Ok(opened.hash) },
        Inferred::Embed { sentence: "pick the red cube".into() },
    ];
    let bag = dir.join("bag");
    let mut writer = BagWriter::create(&bag, BagOptions::default()).unwrap();
    for k in 0..5 {
        let stamp = BEGIN + 100 * MS * k as i64;
        let pixels = vec![7 + k as u8; 18];
        let positions = vec![0.1, -0.2, 0.3, 0.03];
        let seen = Seen {
            stamp,
            pictures: vec![SeenPicture { camera: "front".into(), stamp, crc: trace::crc(&pixels) }],
            positions: positions.clone(),
            velocities: vec![0.0; 4],
        };
        events.push(Inferred::Act(Box::new(Look {
            now: stamp + 5 * MS,
            stamp,
            seen,
            earlier: Vec::new(),
            noise_seed: k as u64,
            following: None,
            delay: None,
        })));
        let joints = JointSample { stamp: Stamp::from_nanos(stamp), positions, velocities: vec![0.0; 4] };
        let job = Job::Act(Sight {
            stamp: Stamp::from_nanos(stamp),
            pictures: vec![("front".into(), pixels.clone())],
            joints,
            earlier: Vec::new(),
            noise_seed: k as u64,
            following: None,
            delay: None,
        });
        let Answer::Acted(Ok(acted)) = worker.work(&engine, job) else { panic!("there is a chunk") };
        events.push(Inferred::Acted { now: stamp + 9 * MS, seconds: acted.seconds, outcome: Ok(true) });
        let at = Stamp::from_nanos(stamp + MS);
        if keeps(k) {
            let data = if alters(k) { vec![0; 18] } else { pixels };
            let header = Header::new(Stamp::from_nanos(stamp), "front");
            let image = Image { header, height: 2, width: 3, encoding: "rgb8".into(), is_bigendian: 0, step: 9, data };
            writer.write("observation/front/image", &image, at).unwrap();
        }
        let message = acted.chunk.to_trajectory("front");
        writer.write("action_chunk", &message, Stamp::from_nanos(stamp + 9 * MS)).unwrap();
    }
    let setup = Setup {
        node: "vla_inference".into(),
        params: params(json!({
            "policy": folder.display().to_string(), "models_path": [data().display().to_string()], "joint_limits_file": "limits.yaml",
        })),
        files: BTreeMap::from([("joint_limits_file".to_owned(), limits(50.0))]),
        ..Setup::default()
    };
    writer
        .write("vla_inference/trace", &told("vla_inference", 0, Some(&setup), &events), Stamp::from_nanos(BEGIN))
        .unwrap();
    writer.finish().unwrap();
    bag
}

fn thought_again(bag: &Path) -> (efm_replay::policy::Thought, Comparison) {
    let recorded = Recorded::read(bag).unwrap();
    let trace = recorded.inference.as_ref().unwrap();
    let params = Params::from_json(inference_params::specs(), &trace.setup.params).unwrap();
    let thought = think(&recorded, trace, &trace.setup.files, &params, &How::default()).unwrap();
    let mut comparison = Comparison::default();
    let (then, now): (Vec<_>, Vec<_>) =
        (recorded.chunks.values().cloned().collect(), thought.chunks.values().cloned().collect());
    comparison.add("action_chunk", &then, &now, None, 0.0);
    (thought, comparison)
}

#[test]
fn a_policy_that_remembers_thinks_the_same_again() {
    let dir = tempfile::tempdir().unwrap();
    let (thought, comparison) = thought_again(&thought(dir.path(), |_| true, |_| false));
    assert!(comparison.commands == 5 && comparison.holds(), "{comparison:?}");
    assert!(thought.problems.is_empty() && thought.other_package.is_empty(), "{:?}", thought.problems);
    assert_eq!((thought.pictures, thought.found), (5, 5));
}

#[test]
fn a_picture_that_is_gone_or_another_one_is_named() {
    for (keeps, alters, said) in [(false, false, "is not in the bag"), (true, true, "is not what the policy saw")] {
        let dir = tempfile::tempdir().unwrap();
        let (thought, comparison) = thought_again(&thought(dir.path(), |k| k != 3 || keeps, |k| k == 3 && alters));
        assert_eq!(thought.problems.len(), 1, "{:?}", thought.problems);
        let problem = &thought.problems[0];
        assert!(
            problem.contains("observation/front/image") && problem.contains(said) && problem.contains("1000.3"),
            "{problem}"
        );
        assert!(!comparison.holds());
    }
}
