//! Records the judge's bag `scene_change` (test/judge): the publisher's own logic in an ideal cell, without a graph, as nobody here has moveit_msgs.
//!
//!     cargo run -p efm_replay --example record_scene_change      # in the repository's root
//!
//! A planning scene puts a pillar in the arm's way while it moves, another one takes it away.
#![allow(clippy::unwrap_used)]

#[path = "../../app/tests/support/scene_writer.rs"]
mod scene_writer;

use efm_app::publisher::planning_scene::PlanningScene;
use efm_app::publisher::streaming::{Event, Files, Measured, Streaming};
use efm_app::publisher::{scene_keeper::SceneKeeper, streaming_params};
use efm_app::trace::{self, Setup};
use efm_bag::msgs::{DiagnosticArray, DiagnosticStatus, Header};
use efm_bag::{BagOptions, BagWriter, Compression, Definition};
use efm_config::Params;
use efm_core::{SenderId, Stamp, Trajectory, TrajectoryPoint};
use efm_replay::safety::Collected;
use scene_writer::{Object, Scene, at};
use serde_json::json;
use std::borrow::Cow;
use std::path::Path;

const MS: i64 = 1_000_000;
const TICK: i64 = 10 * MS;
const BEGIN: i64 = 1_000_000 * MS;
const SENDER: SenderId = SenderId([7; 16]);
const HOME: [f64; 8] = [0.0, -0.6, 0.0, -2.2, 0.0, 1.6, 0.785, 0.04];
/// rad/s of joint 1.
const SPEED: f64 = -0.4;
const TOPIC: &str = "planning_scene";

/// The robot, the publisher's logic, and the scenes' thread in one.
struct Cell {
    streaming: Streaming,
    keeper: SceneKeeper,
    outlet: Collected,
    events: Vec<Event<'static>>,
    now: i64,
    at: Vec<f64>,
}

impl Cell {
    fn on(&mut self, event: Event<'static>) {
        self.streaming.on(&event).unwrap();
        self.events.push(event);
    }

    /// What the keeper knows is taken over, as the node does it.
    fn take(&mut self) {
        self.events.push(Event::SceneTaken);
        let known = self.keeper.model().unwrap();
        let space = self.streaming.streamer_mut().unwrap().space_mut().unwrap().as_collision_space().unwrap();
        space.change(|model| model.clone_from(known));
    }

    fn describe(&mut self, urdf: String) {
        self.on(Event::Description { now: self.now, urdf: urdf.into() });
        let space = self.streaming.streamer_mut().unwrap().space_mut().unwrap().as_collision_space().unwrap();
        self.keeper.robot(space.model().clone());
        let trouble = Some("the planning scene is being put together".into());
        self.on(Event::Surroundings { now: self.now, trouble });
        self.take();
        self.on(Event::Surroundings { now: self.now, trouble: None });
    }

    fn scene(&mut self, bytes: Vec<u8>) {
        self.keeper.scene(bytes, self.at.clone(), Vec::new());
        assert_eq!(self.keeper.status().trouble, None);
        self.take();
    }

    fn propose(&mut self) -> Trajectory {
        let observed = self.now - 30 * MS;
        let row = |k: i64| {
            let mut positions = self.at.clone();
            positions[0] += SPEED * 0.1 * k as f64;
            TrajectoryPoint { positions, time_from_start: 100 * MS * k, ..TrajectoryPoint::default() }
        };
        let chunk = Trajectory {
            stamp: Stamp::from_nanos(observed),
            joint_names: self.streaming.joints().as_slice().to_vec(),
            points: (1..=8).map(row).collect(),
            ..Trajectory::default()
        };
        let _ = self.streaming.on_chunk(&chunk, SENDER, Stamp::from_nanos(self.now));
        self.events.push(Event::Chunk { now: self.now, stamp: observed, sender: SENDER });
        chunk
    }

    fn tick(&mut self) {
        let joints = Measured {
            stamp: self.now - 2 * MS,
            age: 0.002,
            positions: Cow::Owned(self.at.clone()),
            velocities: vec![0.0; 8].into(),
            stamps: Cow::Borrowed(&[]),
            sources: Cow::Borrowed(&[]),
            velocity_told: true,
            contradiction: None,
        };
        self.streaming.tick(Stamp::from_nanos(self.now), Some(&joints), &[], &mut self.outlet).unwrap();
        self.events.push(Event::Tick {
            now: self.now,
            joints: Some(joints),
            others: Cow::default(),
            unreadable: false,
        });
        let follow =
            |(_, sent): &(String, Vec<Trajectory>)| sent.last().map(|window| window.points[0].positions.clone());
        if let Some(at) = self.outlet.commands.iter().map(follow).collect::<Option<Vec<_>>>() {
            self.at = at.concat();
        }
        self.now += TICK;
    }
}

fn main() {
    let arm: Vec<String> = (1..=7).map(|k| format!("panda_joint{k}")).collect();
    let params = serde_json::from_value(json!({
        "joint_limits_file": "config/joint_limits.yaml",
        "controllers.panda_arm_controller": arm,
        "controllers.panda_hand_controller": ["panda_finger_joint1"],
        "gripper_joints": ["panda_finger_joint1"],
        "robot_description_semantic_file": "urdf/panda.srdf",
        "obstacles_file": "config/panda_obstacles.yaml",
        "armed_at_start": true,
    }))
    .unwrap();
    let node = Params::from_json(streaming_params::specs(), &params).unwrap();
    let files = Files::read(&node).unwrap();
    let setup = Setup { node: "trajectory_publisher".into(), params, files: files.by_parameter(), ..Setup::default() };
    let streaming = Streaming::new(&node, &files).unwrap();
    let outlet = Collected::of(&streaming);
    let (keeper, events) = (SceneKeeper::default(), Vec::new());
    let mut cell = Cell { streaming, keeper, outlet, events, now: BEGIN, at: HOME.to_vec() };
    cell.describe(std::fs::read_to_string("urdf/panda.urdf").unwrap());
    cell.on(Event::Listeners { now: BEGIN, listening: vec![true, true].into() });
    cell.on(Event::Instruction { now: BEGIN, text: "go".into() });

    let box_ = |operation| Object {
        primitives: vec![(1, vec![0.06, 0.06, 1.2])],
        poses: vec![at(0.0, 0.0, 0.0)],
        operation,
        ..Object::new("pillar", "world").posed(at(0.226, -0.285, 0.6))
    };
    let scene = |operation| Scene { objects: vec![box_(operation)], ..Scene::diff() }.to_cdr();
    let (mut chunks, mut scenes) = (Vec::new(), Vec::new());
    for tick in 0..250 {
        if tick % 20 == 5 {
            chunks.push(cell.propose());
        }
        // moveit_msgs/CollisionObject: 0 adds, 1 removes.
        if let Some(operation) =
            [(70, 0), (180, 1)].iter().find(|(when, _)| *when == tick).map(|(_, operation)| *operation)
        {
            scenes.push(scene(operation));
            cell.scene(scenes[scenes.len() - 1].clone());
        }
        cell.tick();
    }

    let folder = tempfile::tempdir().unwrap();
    let options = BagOptions { compression: Compression::Zstd(19), ..BagOptions::default() };
    let mut writer = BagWriter::create(folder.path().join("bag"), options).unwrap();
    let begin = Stamp::from_nanos(BEGIN);
    let events: String = cell.events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    let values = [
        ("format", trace::FORMAT),
        ("sequence", "0"),
        ("events", &events),
        ("setup", &serde_json::to_string(&setup).unwrap()),
    ];
    let values = values.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let status = DiagnosticStatus { name: "/trajectory_publisher".into(), values, ..DiagnosticStatus::default() };
    let array = DiagnosticArray { header: Header::default(), status: vec![status] };
    writer.write("trajectory_publisher/trace", &array, begin).unwrap();
    let definition = Definition { name: PlanningScene::TYPE.to_owned(), text: String::new(), hash: String::new() };
    for scene in &scenes {
        writer.write_recorded(TOPIC, &definition, scene, begin, begin).unwrap();
    }
    chunks.iter().for_each(|chunk| writer.write("action_chunk", chunk, chunk.stamp).unwrap());
    for (controller, sent) in &cell.outlet.commands {
        let topic = format!("{controller}/joint_trajectory");
        sent.iter().for_each(|window| writer.write(&topic, window, window.stamp).unwrap());
    }
    let summary = writer.finish().unwrap();
    let to = Path::new("test/judge/bags/scene_change.mcap");
    std::fs::copy(folder.path().join("bag/bag_0.mcap"), to).unwrap();
    println!("{}: {} messages, {} kB", to.display(), summary.messages, summary.bytes / 1000);
}
