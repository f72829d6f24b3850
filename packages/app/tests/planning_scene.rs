//! Planning scenes from their bytes to the geometry that the filter checks, and what happens where one cannot be followed.
#![allow(clippy::unwrap_used)]

#[path = "support/scene_writer.rs"]
mod scene_writer;

use efm_app::publisher::planning_scene::{Change, PlanningScene};
use efm_app::publisher::scene_feed::{self, SceneFeed};
use efm_app::publisher::scene_keeper::SceneKeeper;
use efm_collision::{CollisionModel, CollisionOptions, Obstacles, Operation, ScenePose, SolidKind};
use efm_core::Level;
use efm_core::{JointLimits, JointNames};
use efm_robot::{RobotModel, Srdf};
use efm_safety::{CollisionSpace, ControllerSpec, Limits, StreamConfig, Surroundings, TrajectoryStreamer};
use efm_wire::Decode;
use nalgebra::Vector3;
use proptest::prelude::*;
use scene_writer::{Object, Scene, at};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};
use std::time::Duration;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const WHOLE: &[u8] = include_bytes!("data/whole_scene.cdr");
const CHANGE: &[u8] = include_bytes!("data/small_change.cdr");
const READY: [f64; 8] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4, 0.035];

/// A table of the cell's own.
const FILE: &str = "
collision_objects:
  - id: table
    primitives: [{type: box, dimensions: [0.8, 1.2, 0.05]}]
    primitive_poses: [{position: [0.5, 0.0, -0.5]}]
";

fn model() -> CollisionModel {
    model_in(FILE)
}

fn model_in(cell: &str) -> CollisionModel {
    let robot = RobotModel::load(format!("{ROOT}/urdf/panda.urdf")).unwrap();
    let srdf = Srdf::load(format!("{ROOT}/urdf/panda.srdf"), &robot).unwrap();
    let joints = JointNames::new(srdf.group("panda_arm_hand").unwrap().joints.clone()).unwrap();
    let cell = Obstacles::parse(cell).unwrap();
    CollisionModel::new(&robot, Some(&srdf), &joints, &cell, &CollisionOptions::default()).unwrap()
}

fn keeper() -> SceneKeeper {
    let mut keeper = SceneKeeper::default();
    keeper.robot(model());
    keeper
}

fn tell(keeper: &mut SceneKeeper, scene: &Scene) {
    keeper.scene(scene.to_cdr(), READY.to_vec(), Vec::new());
}

fn names(keeper: &SceneKeeper) -> Vec<String> {
    keeper.model().unwrap().obstacles().iter().map(|object| object.id.clone()).collect()
}

/// Where the first shape of an obstacle stands, in the root's frame.
fn place(keeper: &SceneKeeper, id: &str) -> Vector3<f64> {
    let model = keeper.model().unwrap();
    let object = model.obstacles().iter().find(|object| object.id == id).unwrap();
    (object.pose * object.shapes[0].origin).translation.vector
}

fn trouble(keeper: &SceneKeeper) -> String {
    keeper.status().trouble.map_or_else(String::new, |why| why.in_words())
}

fn near(a: Vector3<f64>, b: [f64; 3]) -> bool {
    (a - Vector3::from(b)).norm() < 1e-9
}

#[test]
fn a_scene_that_somebody_else_wrote_is_read_whole() {
    let scene = PlanningScene::from_cdr(WHOLE).unwrap();
    assert!(!scene.is_diff && !scene.robot_state_is_diff && scene.octomap && !scene.padded);
    let frame = &scene.frames[0];
    assert_eq!((frame.name.as_str(), frame.parent.as_str(), scene.frames.len()), ("map", "world", 1));
    assert_eq!(frame.pose.position, [-0.5, 0.25, 0.0]);
    assert_eq!(scene.allowed.entry_names, ["panda_leftfinger", "can"]);
    assert_eq!(scene.allowed.entry_values, [[false, true], [true, false]]);
    assert_eq!(scene.allowed.default_entry_names, ["floor"]);
    assert_eq!(scene.allowed.default_entry_values, [false]);
    let [Change::Held(tool), Change::Object(shelf, add), Change::Object(floor, _), _, Change::Object(can, _)] =
        scene.changes.as_slice()
    else {
        panic!("{:?}", scene.changes)
    };
    assert_eq!((tool.link_name.as_str(), tool.object.id.as_str()), ("panda_hand", "tool"));
    assert_eq!(tool.touch_links, ["panda_leftfinger", "panda_rightfinger"]);
    // An only shape's pose and its object's are the same to the one who looks, but not to a later move.
    assert_eq!(tool.object.pose.position, [0.0, 0.0, 0.15]);
    assert_eq!((shelf.id.as_str(), shelf.frame_id.as_str(), *add), ("shelf", "panda_link0", Operation::Add));
    assert_eq!(shelf.pose.position, [0.6, -0.4, 0.2]);
    let half = 0.5_f64.sqrt();
    assert!((shelf.pose.orientation[2] - half).abs() < 1e-15 && (shelf.pose.orientation[3] - half).abs() < 1e-15);
    let kinds: Vec<SolidKind> = shelf.primitives.iter().map(|solid| solid.kind).collect();
    assert_eq!(kinds, [SolidKind::Box, SolidKind::Sphere, SolidKind::Cylinder, SolidKind::Cone]);
    assert_eq!(shelf.primitives[0].dimensions, [0.4, 0.02, 0.3]);
    assert_eq!(shelf.primitive_poses[3].position, [0.0, 0.0, 0.1]);
    assert_eq!((shelf.meshes.len(), shelf.mesh_poses[0].position), (1, [0.0, 0.0, 0.3]));
    assert_eq!((floor.planes[0], floor.primitives.len()), ([0.0, 0.0, 1.0, 0.7], 0));
    assert_eq!((can.pose.position, can.primitive_poses[0]), ([0.4, 0.3, 0.06], ScenePose::default()));
}

#[test]
fn what_somebody_else_wrote_stands_where_it_says() {
    let mut keeper = keeper();
    keeper.scene(WHOLE.to_vec(), READY.to_vec(), Vec::new());
    assert_eq!(trouble(&keeper), "");
    assert!(keeper.status().octomap);
    assert_eq!(names(&keeper), ["table", "shelf", "floor", "crate", "can"]);
    // In the frame "map", half a metre behind the root and a quarter beside it.
    assert!(near(place(&keeper, "crate"), [-0.5, 0.25, 0.05]), "{}", place(&keeper, "crate"));
    assert!(near(place(&keeper, "can"), [0.4, 0.3, 0.06]));
    // Turned by a quarter: 0.1 along y is -0.1 along x.
    let model = keeper.model().unwrap();
    let shelf = model.obstacles().iter().find(|object| object.id == "shelf").unwrap();
    let cylinder = (shelf.pose * shelf.shapes[2].origin).translation.vector;
    assert!(near(cylinder, [0.5, -0.4, 0.2]), "{cylinder}");
    assert_eq!((shelf.shapes.len(), shelf.meshes[0].points.len()), (4, 4));
    assert_eq!(model.attached().iter().map(|held| held.id.as_str()).collect::<Vec<_>>(), ["tool"]);
    let pair =
        |a: &str, b: &str| (0..model.pairs()).map(|i| model.pair_names(i)).any(|pair| pair == (a, b) || pair == (b, a));
    assert!(pair("panda_hand", "can") && !pair("panda_leftfinger", "can"), "the matrix says so");
    assert!(pair("tool", "table") && !pair("tool", "panda_leftfinger"));

    keeper.scene(CHANGE.to_vec(), READY.to_vec(), Vec::new());
    assert_eq!(trouble(&keeper), "");
    assert_eq!(names(&keeper), ["table", "floor", "crate", "can"]);
    // The pose of an object that has one shape is that shape's place, wherever the message had put it.
    assert!(near(place(&keeper, "can"), [0.5, 0.3, 0.06]), "{}", place(&keeper, "can"));
    assert_eq!(keeper.model().unwrap().attached().len(), 1);
}

#[test]
fn our_writer_and_somebody_elses_agree() {
    let theirs = PlanningScene::from_cdr(CHANGE).unwrap();
    let can = Object { operation: 3, ..Object::new("can", "panda_link0").posed(at(0.5, 0.3, 0.06)) };
    let shelf = Object { operation: 1, ..Object::new("shelf", "panda_link0") };
    let ours = Scene { objects: vec![shelf, can], ..Scene::diff() };
    assert_eq!(PlanningScene::from_cdr(&ours.to_cdr()).unwrap(), theirs);
}

#[test]
fn bytes_that_end_early_are_refused_wherever_they_end() {
    for bytes in [WHOLE, CHANGE] {
        for end in 0..bytes.len() {
            let error = PlanningScene::from_cdr(&bytes[..end]).unwrap_err().to_string();
            assert!(error.contains("malformed moveit_msgs/msg/PlanningScene: field '"), "{error}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_bring_it_down(flips in prop::collection::vec((0..WHOLE.len(), any::<u8>()), 1..6), whole: bool) {
        let mut bytes = if whole { WHOLE } else { CHANGE }.to_vec();
        for (place, value) in flips {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        let _ = PlanningScene::from_cdr(&bytes);
    }
}

#[test]
fn scenes_that_were_damaged_on_the_way_never_panic_and_never_pass_for_nothing() {
    let mut first = keeper();
    first.scene(WHOLE.to_vec(), READY.to_vec(), Vec::new());
    // Every byte by itself would take a while; a third of them reach every field.
    for i in (4..WHOLE.len()).step_by(3) {
        let mut bytes = WHOLE.to_vec();
        bytes[i] ^= 0xff;
        let mut keeper = keeper();
        keeper.scene(bytes, READY.to_vec(), Vec::new());
        let known = keeper.model().unwrap();
        let lost = known.obstacles().len() + known.attached().len() < 6;
        let removed = known.obstacles().len() == 4; // an operation became another
        assert!(!lost || removed || keeper.status().trouble.is_some(), "byte {i}: {:?}", names(&keeper));
    }
}

#[test]
fn an_object_in_an_unknown_frame_is_named_with_its_frame_and_the_others_are_placed() {
    let mut keeper = keeper();
    let lost = Object::cube("pallet", "agv").posed(at(0.5, 0.0, 0.0));
    let scene = Scene { objects: vec![lost, Object::cube("post", "world").posed(at(0.3, 0.3, 0.5))], ..Scene::diff() };
    tell(&mut keeper, &scene);
    let text = trouble(&keeper);
    assert!(text.contains("'pallet'") && text.contains("'agv'") && text.contains("fixed_frame_transforms"), "{text}");
    assert_eq!(names(&keeper), ["table", "post"]);
    // Whatever else comes, it is still there.
    tell(&mut keeper, &Scene { objects: vec![Object::cube("post", "").posed(at(0.4, 0.3, 0.5))], ..Scene::diff() });
    let moved = Object { operation: 3, ..Object::new("pallet", "world").posed(at(1.0, 0.0, 0.0)) };
    tell(&mut keeper, &Scene { objects: vec![moved], ..Scene::diff() });
    assert!(trouble(&keeper).contains("'pallet'"), "a move tells where it is, not what");

    // Each of these ends it.
    let frames = vec![("agv".into(), "world".into(), at(0.5, 0.5, 0.0))];
    let again = vec![Object::cube("pallet", "agv").posed(at(0.5, 0.0, 0.0))];
    let gone = vec![Object { operation: 1, ..Object::new("pallet", "") }];
    for end in [
        Scene { objects: again, frames, ..Scene::diff() },
        Scene { objects: gone, ..Scene::diff() },
        Scene { objects: vec![Object { operation: 1, ..Object::new("", "") }], ..Scene::diff() },
        Scene::default(),
    ] {
        tell(&mut keeper, &scene);
        keeper.robot(model());
        assert!(trouble(&keeper).contains("'pallet'"), "a new robot description does not end it");
        tell(&mut keeper, &end);
        assert_eq!(trouble(&keeper), "");
        // For the next.
        tell(&mut keeper, &Scene::default());
    }
}

#[test]
fn frames_in_frames_are_followed_and_circles_are_refused() {
    let mut keeper = keeper();
    let frames = vec![
        ("map".into(), "panda_link0".into(), at(1.0, 0.0, 0.0)),
        ("station".into(), "map".into(), at(0.0, 1.0, 0.0)),
        ("a".into(), "b".into(), at(0.0, 0.0, 0.0)),
        ("b".into(), "a".into(), at(0.0, 0.0, 0.0)),
    ];
    let there = Object::cube("box", "station").posed(at(0.0, 0.0, 1.0));
    tell(&mut keeper, &Scene { objects: vec![there], frames, ..Scene::diff() });
    assert_eq!(trouble(&keeper), "");
    assert!(near(place(&keeper, "box"), [1.0, 1.0, 1.0]));
    // Frames are remembered, as MoveIt does.
    tell(&mut keeper, &Scene { objects: vec![Object::cube("other", "map")], ..Scene::diff() });
    assert!(near(place(&keeper, "other"), [1.0, 0.0, 0.0]));
    tell(&mut keeper, &Scene { objects: vec![Object::cube("lost", "a")], ..Scene::diff() });
    assert!(trouble(&keeper).contains("'lost'") && trouble(&keeper).contains("'a'"), "{}", trouble(&keeper));
}

#[test]
fn what_is_not_understood_is_told_by_object_and_field() {
    let with = |object: Object| {
        let mut keeper = keeper();
        tell(&mut keeper, &Scene { objects: vec![Object::cube("box", "")], ..Scene::diff() });
        tell(&mut keeper, &Scene { objects: vec![object], ..Scene::diff() });
        assert!(names(&keeper).contains(&"box".to_owned()));
        trouble(&keeper)
    };
    let cube = || Object::cube("box", "");
    let bad = |change: fn(&mut Object)| {
        let mut object = cube();
        change(&mut object);
        with(object)
    };
    for (text, wanted) in [
        (bad(|o| o.primitives[0].0 = 5), "primitives[0]: type 5"),
        (bad(|o| o.primitives[0].1 = vec![0.1]), "dimensions [0.1]"),
        (bad(|o| o.primitives[0].1[0] = f64::NAN), "primitives[0]"),
        (bad(|o| o.operation = 9), "operation 9"),
        (bad(|o| o.poses.push(at(0.0, 0.0, 0.0))), "primitive_poses"),
        (bad(|o| o.pose[3] = 2.0), "pose"),
        (bad(|o| o.primitives.clear()), "primitive_poses"),
    ] {
        assert!(text.contains("'box'") && text.contains(wanted), "'{wanted}' is not in '{text}'");
    }
    let stranger = Object { operation: 3, ..Object::new("stranger", "") };
    assert!(with(stranger).contains("'stranger' does not exist"));
    let shapes = Object { operation: 3, poses: vec![at(0.0, 0.0, 1.0)], ..Object::new("box", "") };
    assert!(with(shapes).contains("move the object by its pose"));
    let clash = Object::cube("panda_hand", "");
    assert!(with(clash).contains("used twice"));
}

#[test]
fn poses_are_taken_as_moveit_takes_them() {
    let mut keeper = keeper();
    let mut unset = Object::cube("unset", "").posed([0.3, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0]);
    unset.poses.clear();
    let mut shown = Object::cube("shown", "");
    shown.poses = vec![at(0.4, 0.0, 0.9)];
    tell(&mut keeper, &Scene { objects: vec![unset, shown.clone()], ..Scene::diff() });
    assert_eq!(trouble(&keeper), "");
    assert!(near(place(&keeper, "unset"), [0.3, 0.0, 0.9]) && near(place(&keeper, "shown"), [0.4, 0.0, 0.9]));
    let moved = Object { operation: 3, ..Object::new("shown", "").posed(at(0.5, 0.0, 0.9)) };
    tell(&mut keeper, &Scene { objects: vec![moved], ..Scene::diff() });
    assert!(near(place(&keeper, "shown"), [0.5, 0.0, 0.9]));
    // With its shapes, a move is as good as adding it again.
    shown.operation = 3;
    shown.poses = vec![at(0.6, 0.0, 0.9)];
    tell(&mut keeper, &Scene { objects: vec![shown], ..Scene::diff() });
    assert!(near(place(&keeper, "shown"), [0.6, 0.0, 0.9]));
}

#[test]
fn the_cells_own_obstacles_stay_until_they_are_named() {
    let mut keeper = keeper();
    tell(&mut keeper, &Scene { objects: vec![Object::cube("a", "")], ..Scene::default() });
    assert_eq!(names(&keeper), ["table", "a"]);
    tell(&mut keeper, &Scene { objects: vec![Object { operation: 1, ..Object::new("", "") }], ..Scene::diff() });
    assert_eq!(names(&keeper), ["table"]);
    tell(&mut keeper, &Scene { objects: vec![Object { operation: 1, ..Object::new("table", "") }], ..Scene::diff() });
    assert!(names(&keeper).is_empty());
}

/// A corner of a box, as a mesh of one triangle.
const CORNER: [[f64; 3]; 4] = [[0.0; 3], [0.1, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 0.1]];

#[test]
fn a_move_with_shapes_of_any_kind_is_what_it_shows_and_one_of_single_shapes_is_not_understood() {
    let bare = || Object { operation: 3, ..Object::new("thing", "panda_link0").posed(at(0.6, 0.0, 0.9)) };
    let solid = || (1, vec![0.1; 3]);
    let with = |solids: usize, meshes: usize, planes: usize| Object {
        primitives: vec![solid(); solids],
        meshes: vec![CORNER.to_vec(); meshes],
        planes: vec![[0.0, 0.0, 1.0, 1.0]; planes],
        ..bare()
    };
    for (solids, meshes, planes) in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 1, 0), (1, 2, 1), (0, 2, 1)] {
        let (mut keeper, case) = (keeper(), format!("{solids} {meshes} {planes}"));
        tell(&mut keeper, &Scene { objects: vec![with(solids, meshes, planes)], ..Scene::diff() });
        assert_eq!(trouble(&keeper), "", "{case}");
        let model = keeper.model().unwrap();
        let thing = model.obstacles().iter().find(|object| object.id == "thing").unwrap();
        assert_eq!((thing.shapes.len(), thing.meshes.len(), thing.planes.len()), (solids, meshes, planes), "{case}");
    }
    for (solids, meshes, planes) in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 1, 0), (1, 2, 1), (0, 2, 1)] {
        let mut keeper = keeper();
        tell(
            &mut keeper,
            &Scene { objects: vec![Object::cube("thing", "panda_link0").posed(at(0.6, 0.0, 0.9))], ..Scene::diff() },
        );
        let places = |number: usize| vec![at(0.0, 0.0, 0.1); number];
        let moved = Object { poses: places(solids), mesh_poses: places(meshes), plane_poses: places(planes), ..bare() };
        tell(&mut keeper, &Scene { objects: vec![moved], ..Scene::diff() });
        let told = trouble(&keeper);
        assert!(told.contains("'thing'") && told.contains("single shapes"), "{solids} {meshes} {planes}: {told}");
    }
}

#[test]
fn what_is_removed_by_its_name_is_that_and_nothing_else() {
    let mut keeper = keeper();
    let cubes = ["left", "middle", "right"].map(|id| Object::cube(id, "panda_link0").posed(at(0.6, 0.0, 0.9)));
    tell(&mut keeper, &Scene { objects: cubes.to_vec(), ..Scene::diff() });
    tell(&mut keeper, &Scene { objects: vec![Object { operation: 1, ..Object::new("middle", "") }], ..Scene::diff() });
    assert_eq!(names(&keeper), ["table", "left", "right"]);
    assert_eq!(trouble(&keeper), "");
}

#[test]
fn an_allowed_collision_matrix_that_cannot_be_is_told_and_a_sound_one_mends_it() {
    let mut keeper = keeper();
    let allowed = ["panda_link0", "table"].map(str::to_owned).to_vec();
    tell(&mut keeper, &Scene { allowed: allowed.clone(), ..Scene::diff() });
    assert_eq!(trouble(&keeper), "");
    // Beside a change that cannot be made, so that the matrix is tried by itself.
    let lost = || Object { operation: 3, ..Object::new("nobody", "panda_link0") };
    tell(&mut keeper, &Scene { objects: vec![lost()], allowed, rows_missing: 1, ..Scene::diff() });
    let told = trouble(&keeper);
    assert!(told.contains("matrix") || told.contains("entry"), "{told}");
    tell(
        &mut keeper,
        &Scene {
            objects: vec![Object { operation: 1, ..Object::new("nobody", "") }],
            allowed: vec!["table".into()],
            ..Scene::diff()
        },
    );
    assert_eq!(trouble(&keeper), "");
}

#[test]
fn a_malformed_message_holds_until_a_whole_scene_comes() {
    let mut keeper = keeper();
    keeper.scene(CHANGE[..100].to_vec(), READY.to_vec(), Vec::new());
    assert!(trouble(&keeper).contains("malformed moveit_msgs/msg/PlanningScene"), "{}", trouble(&keeper));
    tell(&mut keeper, &Scene::diff());
    assert!(trouble(&keeper).contains("malformed"), "nobody knows what it held");
    tell(&mut keeper, &Scene::default());
    assert_eq!(trouble(&keeper), "");
}

#[test]
fn what_came_before_a_new_description_holds_after_it() {
    let mut keeper = SceneKeeper::default();
    tell(&mut keeper, &Scene { objects: vec![Object::cube("a", "")], ..Scene::default() });
    tell(&mut keeper, &Scene { objects: vec![Object::cube("b", "")], ..Scene::diff() });
    assert!(keeper.model().is_none());
    keeper.robot(model());
    keeper.robot(model());
    assert_eq!(names(&keeper), ["table", "a", "b"]);
    // Not for ever: then somebody has to say it again.
    for i in 0..1200 {
        let object = Object { operation: 3, ..Object::new("b", "").posed(at(0.0, 0.0, 1.0 + f64::from(i) * 1e-3)) };
        tell(&mut keeper, &Scene { objects: vec![object], ..Scene::diff() });
    }
    assert_eq!((trouble(&keeper).as_str(), names(&keeper).len()), ("", 3));
    keeper.robot(model());
    assert!(trouble(&keeper).contains("whole scene"), "{}", trouble(&keeper));
}

#[test]
fn a_thousand_messages_are_kept_and_64_mb() {
    let mut keeper = SceneKeeper::default();
    for i in 0..1000 {
        tell(&mut keeper, &Scene { objects: vec![Object::cube(&format!("box {}", i % 7), "")], ..Scene::diff() });
    }
    keeper.robot(model());
    assert_eq!((trouble(&keeper).as_str(), names(&keeper).len()), ("", 8));
    tell(&mut keeper, &Scene::diff());
    keeper.robot(model());
    assert!(trouble(&keeper).contains("not kept"), "{}", trouble(&keeper));
    // What cannot be read counts as well: it has its bytes.
    let mut keeper = SceneKeeper::default();
    for _ in 0..2 {
        keeper.scene(vec![0xff; 32 << 20], READY.to_vec(), Vec::new());
    }
    keeper.robot(model());
    assert!(trouble(&keeper).contains("malformed"), "{}", trouble(&keeper));
    keeper.scene(vec![0xff], READY.to_vec(), Vec::new());
    keeper.robot(model());
    assert!(trouble(&keeper).contains("not kept"), "{}", trouble(&keeper));
    tell(&mut keeper, &Scene::default());
    assert_eq!(trouble(&keeper), "", "a whole scene says it all");
}

#[test]
fn how_many_more_cannot_be_followed_is_told() {
    let mut keeper = keeper();
    let lost = |number: usize| (0..number).map(|i| Object::cube(&format!("box {i}"), "agv")).collect();
    tell(&mut keeper, &Scene { objects: lost(1), ..Scene::diff() });
    assert!(!trouble(&keeper).contains("more"), "{}", trouble(&keeper));
    tell(&mut keeper, &Scene { objects: lost(3), ..Scene::diff() });
    assert!(trouble(&keeper).contains("(and 2 more)"), "{}", trouble(&keeper));
}

#[test]
fn where_the_joints_are_not_known_nothing_is_placed() {
    for positions in [READY[..7].to_vec(), [&READY[..7], &[f64::NAN]].concat()] {
        let mut keeper = keeper();
        let scene = Scene { objects: vec![Object::cube("post", "panda_hand")], ..Scene::diff() };
        keeper.scene(scene.to_cdr(), positions, Vec::new());
        assert!(trouble(&keeper).contains("joint positions"), "{}", trouble(&keeper));
        assert_eq!(names(&keeper), ["table"]);
    }
}

#[test]
fn what_is_held_and_what_stands_around_are_whole_or_a_change_each_by_itself() {
    let held = |keeper: &SceneKeeper| -> Vec<String> {
        keeper.model().unwrap().attached().iter().map(|held| held.id.clone()).collect()
    };
    let mut keeper = keeper();
    let tool = ("panda_hand".to_owned(), Object::cube("tool", "panda_hand").posed(at(0.0, 0.0, 0.2)));
    tell(&mut keeper, &Scene { held: vec![tool], objects: vec![Object::cube("a", "")], ..Scene::default() });
    assert_eq!((trouble(&keeper).as_str(), held(&keeper), names(&keeper).len()), ("", vec!["tool".to_owned()], 2));
    // A change, whose robot state calls itself whole.
    tell(&mut keeper, &Scene { objects: vec![Object::cube("b", "")], is_diff: true, ..Scene::default() });
    assert_eq!(names(&keeper), ["table", "a", "b"]);
    // A whole scene, whose robot state is a change.
    tell(&mut keeper, &Scene { objects: vec![Object::cube("c", "")], is_diff: false, ..Scene::diff() });
    assert_eq!((held(&keeper), names(&keeper)), (vec!["tool".to_owned()], vec!["table".to_owned(), "c".to_owned()]));
    tell(&mut keeper, &Scene::default());
    assert_eq!((held(&keeper).len(), names(&keeper).len()), (0, 1));
}

#[test]
fn each_of_the_cells_own_obstacles_is_put_back_but_what_the_robot_holds() {
    let cell = format!("{FILE}{}", FILE.replace("collision_objects:\n", "").replace("table", "shelf"));
    let mut keeper = SceneKeeper::default();
    keeper.robot(model_in(&cell));
    let all_gone = || vec![Object { operation: 1, ..Object::new("", "") }];
    tell(&mut keeper, &Scene { objects: all_gone(), ..Scene::diff() });
    assert_eq!(names(&keeper), ["table", "shelf"]);
    let taken = ("panda_hand".to_owned(), Object::new("shelf", "panda_hand"));
    tell(&mut keeper, &Scene { held: vec![taken], ..Scene::diff() });
    assert_eq!((trouble(&keeper).as_str(), names(&keeper)), ("", vec!["table".to_owned()]));
    tell(&mut keeper, &Scene { objects: all_gone(), ..Scene::diff() });
    assert_eq!((names(&keeper), keeper.model().unwrap().attached().len()), (vec!["table".to_owned()], 1));
    tell(&mut keeper, &Scene::default());
    assert_eq!(names(&keeper).len(), 2);
}

#[test]
fn a_move_ends_what_a_move_left_open_and_nothing_else() {
    let add = |frame: &str| Object::cube("post", frame);
    let shift = |frame: &str| Object { operation: 3, ..Object::new("post", frame).posed(at(0.0, 0.0, 1.0)) };
    for (lost, open) in [
        (vec![shift("agv")], false),
        (vec![add("agv")], true),
        (vec![add("agv"), shift("agv")], true),
        (vec![shift("agv"), add("agv")], true),
    ] {
        let mut keeper = keeper();
        tell(&mut keeper, &Scene { objects: vec![add("")], ..Scene::diff() });
        for object in lost {
            tell(&mut keeper, &Scene { objects: vec![object], ..Scene::diff() });
            assert!(trouble(&keeper).contains("'post'"));
        }
        tell(&mut keeper, &Scene { objects: vec![shift("")], ..Scene::diff() });
        assert_eq!(trouble(&keeper).contains("'post'"), open, "{}", trouble(&keeper));
        tell(&mut keeper, &Scene { objects: vec![add("")], ..Scene::diff() });
        assert_eq!(trouble(&keeper), "");
    }
}

#[test]
fn what_is_held_and_not_known_is_known_once_it_is_held_anew_or_put_down_and_removed() {
    let hold = |frame: &str| ("panda_hand".to_owned(), Object::cube("cup", frame).posed(at(0.0, 0.0, 0.3)));
    let put_down = || ("panda_hand".to_owned(), Object { operation: 1, ..Object::new("cup", "") });
    let gone = || Scene { objects: vec![Object { operation: 1, ..Object::new("cup", "") }], ..Scene::diff() };
    let lost = || {
        let mut keeper = keeper();
        tell(&mut keeper, &Scene { held: vec![hold("panda_hand")], ..Scene::diff() });
        assert_eq!(trouble(&keeper), "");
        tell(&mut keeper, &Scene { held: vec![hold("agv")], ..Scene::diff() });
        assert!(trouble(&keeper).contains("'cup'"));
        keeper
    };
    let mut again = lost();
    tell(&mut again, &Scene { held: vec![hold("panda_hand")], ..Scene::diff() });
    assert_eq!(trouble(&again), "");
    // One more shape does not say what the others are.
    let mut more = lost();
    let (link, shape) = hold("panda_hand");
    tell(&mut more, &Scene { held: vec![(link, Object { operation: 2, ..shape })], ..Scene::diff() });
    tell(&mut more, &gone());
    assert!(trouble(&more).contains("'cup'"));
    // What stands around is not what is held.
    let mut there = lost();
    tell(&mut there, &gone());
    assert!(trouble(&there).contains("'cup'"));
    tell(&mut there, &Scene { held: vec![put_down()], ..Scene::diff() });
    assert!(trouble(&there).contains("'cup'"), "it stands somewhere now");
    tell(&mut there, &gone());
    assert_eq!(trouble(&there), "");
}

#[test]
fn padded_links_are_told_until_a_whole_scene_has_none() {
    let mut keeper = keeper();
    let padding = |value: f64| vec![("panda_hand".to_owned(), value), ("panda_link7".to_owned(), 0.0)];
    tell(&mut keeper, &Scene { padding: padding(0.0), ..Scene::diff() });
    assert!(!keeper.status().padded);
    tell(&mut keeper, &Scene { padding: padding(-0.01), ..Scene::diff() });
    assert!(!keeper.status().padded, "a smaller link is the safe side of it");
    tell(&mut keeper, &Scene { padding: padding(0.01), ..Scene::diff() });
    assert!(keeper.status().padded);
    tell(&mut keeper, &Scene::diff());
    assert!(keeper.status().padded);
    tell(&mut keeper, &Scene::default());
    assert!(!keeper.status().padded);
}

#[test]
fn what_comes_in_the_frame_of_a_finger_that_no_controller_moves_stands_where_the_finger_is() {
    let robot = RobotModel::load(format!("{ROOT}/urdf/panda.urdf")).unwrap();
    let arm = JointNames::new((1..=7).map(|i| format!("panda_joint{i}"))).unwrap();
    let cell = Obstacles::parse(FILE).unwrap();
    let model = CollisionModel::new(&robot, None, &arm, &cell, &CollisionOptions::default()).unwrap();
    let mut keeper = SceneKeeper::default();
    keeper.robot(model);
    let post = Scene { objects: vec![Object::cube("post", "panda_leftfinger")], ..Scene::diff() }.to_cdr();
    let mut place_at = |finger: Option<f64>| {
        keeper.scene(post.clone(), READY[..7].to_vec(), vec![finger]);
        (trouble(&keeper), finger.map(|_| place(&keeper, "post")))
    };
    let (unknown, _) = place_at(None);
    assert!(unknown.contains("'post'") && unknown.contains("'panda_finger_joint1'"), "{unknown}");
    let (closed, open) = (place_at(Some(0.0)), place_at(Some(0.03)));
    assert_eq!((closed.0.as_str(), open.0.as_str()), ("", ""));
    assert!(near(open.1.unwrap() - closed.1.unwrap(), [0.0, -0.03, 0.0]));
}

fn streamer() -> TrajectoryStreamer {
    let model = model();
    let joints = model.joints().clone();
    let all = JointLimits { lower: -3.0, upper: 3.0, velocity: 1.0, acceleration: 5.0, jerk: 50.0 };
    let limits = Limits::new(joints.clone(), &vec![all; joints.len()]).unwrap();
    let space = CollisionSpace::new(model, None);
    let around = Surroundings { space: Some(Box::new(space)), tool: None };
    let controllers = vec![ControllerSpec { name: "all".into(), joints }];
    TrajectoryStreamer::within(around, limits, controllers, StreamConfig::default()).unwrap()
}

fn value(values: &[(String, String)], name: &str) -> String {
    values.iter().find(|(key, _)| key == name).unwrap().1.clone()
}

#[tokio::test]
async fn the_control_loop_takes_over_what_the_thread_made_and_waits_while_it_does_not_know() {
    let (mut feed, mut outcomes) = SceneFeed::start();
    let mut streamer = streamer();
    assert_eq!(feed.trouble(), None, "nobody has said anything");
    let blocking = Object::cube("pallet", "agv").posed(at(0.5, 0.0, 0.0));
    feed.came(Scene { objects: vec![blocking, Object::cube("post", "")], ..Scene::diff() }.to_cdr());
    feed.pass_on(Some(&READY), &[]);
    assert!(feed.trouble().unwrap().text.contains("waits"), "there is no robot yet");
    feed.robot(&mut streamer);
    feed.pass_on(None, &[]);
    assert!(feed.trouble().unwrap().text.contains("joint_states"));
    feed.pass_on(Some(&READY), &[]);
    assert!(feed.trouble().is_some(), "nothing is known before the thread has answered");
    for _ in 0..2 {
        let outcome = tokio::time::timeout(Duration::from_secs(20), outcomes.recv()).await.unwrap().unwrap();
        feed.take_over(outcome, &mut streamer);
    }
    let (level, text, values) = scene_feed::explain(Some(&mut streamer), Some(&feed));
    assert!(level == Level::Error && text.contains("'pallet'") && text.contains("'agv'"), "{text}");
    assert_eq!(value(&values, "obstacles"), "2");

    feed.came(Scene { objects: vec![Object { operation: 1, ..Object::new("pallet", "") }], ..Scene::diff() }.to_cdr());
    feed.pass_on(Some(&READY), &[]);
    let outcome = tokio::time::timeout(Duration::from_secs(20), outcomes.recv()).await.unwrap().unwrap();
    feed.take_over(outcome, &mut streamer);
    assert_eq!(feed.trouble(), None);
    let (level, _, values) = scene_feed::explain(Some(&mut streamer), Some(&feed));
    assert_eq!((level, value(&values, "held objects").as_str()), (Level::Ok, "0"));

    // Another streamer (a new description): what came of the one before is nothing to it.
    feed.came(Scene { objects: vec![Object::cube("late", "")], ..Scene::diff() }.to_cdr());
    feed.pass_on(Some(&READY), &[]);
    let mut fresh = self::streamer();
    feed.robot(&mut fresh);
    let late = tokio::time::timeout(Duration::from_secs(20), outcomes.recv()).await.unwrap().unwrap();
    feed.take_over(late, &mut fresh);
    assert!(feed.trouble().is_some());
    let outcome = tokio::time::timeout(Duration::from_secs(20), outcomes.recv()).await.unwrap().unwrap();
    feed.take_over(outcome, &mut fresh);
    let (_, _, values) = scene_feed::explain(Some(&mut fresh), Some(&feed));
    assert_eq!((feed.trouble(), value(&values, "obstacles").as_str()), (None, "3"));
}

#[test]
#[ignore = "a measurement: how long a change takes"]
fn how_long_a_change_takes() {
    let mut scene = Scene::default();
    for i in 0..50 {
        scene.objects.push(Object::cube(&format!("box {i}"), "").posed(at(1.0, f64::from(i), 0.0)));
    }
    for vertices in [0_u32, 1000, 10_000] {
        let mut mesh = Object::new("mesh", "");
        let point = |i: u32| {
            let (a, b) = (f64::from(i) * 2.4, f64::from(i) / f64::from(vertices) * 2.0 - 1.0);
            let r = (1.0 - b * b).sqrt();
            [0.3 * r * a.cos(), 0.3 * r * a.sin(), 0.3 * b]
        };
        if vertices > 0 {
            mesh.meshes = vec![(0..vertices).map(point).collect()];
            scene.objects.retain(|object| object.id != "mesh");
            scene.objects.push(mesh.posed(at(2.0, 0.0, 0.0)));
        }
        let bytes = scene.to_cdr();
        let mut keeper = keeper();
        let begun = std::time::Instant::now();
        let _ = PlanningScene::from_cdr(&bytes).unwrap();
        let read = begun.elapsed();
        keeper.scene(bytes, READY.to_vec(), Vec::new());
        assert_eq!(trouble(&keeper), "");
        let all = begun.elapsed() - read;
        let begun = std::time::Instant::now();
        let moved = Object { operation: 3, ..Object::new("box 7", "").posed(at(1.5, 0.0, 0.0)) };
        tell(&mut keeper, &Scene { objects: vec![moved], ..Scene::diff() });
        let change = begun.elapsed();
        println!(
            "50 boxes, a mesh of {vertices} vertices: read in {read:?}, all in {all:?}, a box moved in {change:?}"
        );
    }
}

#[test]
fn a_scene_of_more_than_can_be_followed_is_told_and_a_whole_scene_mends_it() {
    let boxes =
        |count: usize| (0..count).map(|k| Object::cube(&format!("b{k}"), "world").posed(at(2.0 + k as f64, 0.0, 0.0)));
    let many = Object {
        primitives: vec![(1, vec![0.04; 3]); 3000],
        poses: vec![at(3.0, 0.0, 0.0); 3000],
        ..Object::new("many", "world")
    };
    let frames = (0..2000).map(|k| (format!("f{k}"), "world".to_owned(), at(0.0, 0.0, 0.0))).collect();
    let wholes = [
        (Scene { objects: boxes(2001).collect(), ..Scene::default() }, "2001 shapes; at most 2000"),
        (Scene { objects: vec![many], ..Scene::default() }, "3000 shapes; at most 2000"),
        (Scene { objects: boxes(6000).collect(), ..Scene::default() }, "6000 changes of objects; at most 5000"),
        (Scene { held: boxes(2500).map(|b| ("panda_hand".into(), b)).collect(), ..Scene::default() }, "2500 shapes"),
        (Scene { frames, ..Scene::default() }, "2000 fixed_frame_transforms; at most 1000"),
        (
            Scene { allowed: (0..1000).map(|k| format!("n{k}")).collect(), ..Scene::diff() },
            "1000 names in its allowed_collision_matrix",
        ),
    ];
    let mut keeper = keeper();
    for (scene, said) in wholes {
        tell(&mut keeper, &scene);
        assert!(trouble(&keeper).contains(said), "{}", trouble(&keeper));
        tell(&mut keeper, &Scene { objects: boxes(3).collect(), ..Scene::default() });
        assert_eq!((trouble(&keeper), names(&keeper).len()), (String::new(), 4));
    }
    // Bit by bit, too.
    for k in 0..3 {
        let objects = boxes(700).map(|b| Object { id: format!("{}_{k}", b.id), ..b }).collect();
        tell(&mut keeper, &Scene { objects, ..Scene::diff() });
    }
    assert!(trouble(&keeper).contains("shapes; at most 2000"), "{}", trouble(&keeper));
}

#[test]
fn troubles_are_counted_up_to_a_bound_and_told_within_one() {
    let mut keeper = keeper();
    for round in 0..3 {
        let objects = (0..900).map(|k| Object::cube(&format!("o{round}_{k}"), &"f".repeat(10_000))).collect();
        tell(&mut keeper, &Scene { objects, ..Scene::diff() });
    }
    let told = trouble(&keeper);
    assert!(told.len() < 600 && told.contains("(and 1000 more)"), "{told}");
    tell(&mut keeper, &Scene::default());
    assert_eq!(trouble(&keeper), "");
}

#[test]
fn of_many_changes_those_that_can_be_made_are_made() {
    let mut objects: Vec<Object> =
        (0..300).map(|k| Object::cube(&format!("b{k}"), "world").posed(at(2.0 + k as f64, 0.0, 0.0))).collect();
    for bad in [0, 7, 8, 150, 299] {
        objects[bad].primitives[0].1 = vec![-1.0; 3];
    }
    // Halfway all are removed, which the cell's own table survives.
    objects.insert(100, Object { operation: 1, ..Object::new("", "world") });
    let mut keeper = keeper();
    tell(&mut keeper, &Scene { objects, ..Scene::default() });
    let known = names(&keeper);
    assert!(known.contains(&"table".to_owned()) && !known.contains(&"b50".to_owned()), "{known:?}");
    assert_eq!(known.len(), 1 + 200 - 2);
    assert!(trouble(&keeper).contains("(and 1 more)"), "{}", trouble(&keeper));
}

#[test]
fn scenes_that_wait_are_bounded_in_bytes_and_those_lost_are_told() {
    let (mut feed, _outcomes) = SceneFeed::start();
    for _ in 0..200 {
        feed.came(vec![0; 1 << 20]);
    }
    assert!(feed.trouble().is_some_and(|why| why.in_words().contains("waits")));
    assert!(feed.waiting_bytes() <= 64 << 20, "{}", feed.waiting_bytes());
}
