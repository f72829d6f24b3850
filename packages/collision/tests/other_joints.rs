//! Joints of the robot that nobody here moves: bodies are where they are told to be, and only what matters is asked for.
#![allow(clippy::unwrap_used)]

use efm_collision::{
    AllowedMatrix, Checker, CollisionModel, CollisionOptions, Obstacles, Operation, SceneAttached, SceneDiff,
    SceneObject, ScenePose, Solid, SolidKind,
};
use efm_core::JointNames;
use efm_robot::{RobotModel, Srdf};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const READY: [f64; 7] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4];

fn panda() -> RobotModel {
    RobotModel::load(format!("{ROOT}/urdf/panda.urdf")).unwrap()
}

/// The arm alone is given: the hand has a driver of its own, and its second finger follows the first.
fn arm(cell: &str) -> CollisionModel {
    let robot = panda();
    let srdf = Srdf::load(format!("{ROOT}/urdf/panda.srdf"), &robot).unwrap();
    let joints = JointNames::new((1..=7).map(|i| format!("panda_joint{i}"))).unwrap();
    CollisionModel::new(&robot, Some(&srdf), &joints, &Obstacles::parse(cell).unwrap(), &CollisionOptions::default())
        .unwrap()
}

/// A thin post, of which an open finger, at the ready pose, is in the way: the fingers open along y, 0.04 m at most.
const POST: &str = "
collision_objects:
  - id: post
    primitives: [{type: box, dimensions: [0.01, 0.01, 0.1]}]
    primitive_poses: [{position: [0.306891, -0.044, 0.44]}]
";

fn clearance(model: &CollisionModel) -> (f64, String) {
    let found = Checker::new(model).clearance(model, &READY);
    let (a, b) = model.pair_names(found.pair);
    (found.distance, format!("{a} {b}"))
}

#[test]
fn a_finger_with_its_own_driver_is_where_it_is_told_and_the_one_that_follows_it_too() {
    let mut model = arm(POST);
    assert_eq!(model.others(), ["panda_finger_joint1"]);
    assert!(model.asks_for(0) && !model.knows(0));
    let far = clearance(&model).0;
    model.place_others(&[Some(0.04)]);
    assert!(model.knows(0));
    let (near, names) = clearance(&model);
    println!("closed {:.1} mm, open {:.1} mm: {names}", 1e3 * far, 1e3 * near);
    assert!(far > 0.015 && near <= 0.0 && names.contains("post"), "{far} {near} {names}");
    assert!(Checker::new(&model).begin(&model, &READY).is_err());
    // On the other side stands the one that follows.
    let mut mirrored = arm(&POST.replace("-0.044", "0.044"));
    mirrored.place_others(&[Some(0.04)]);
    let (other, mirrored_names) = clearance(&mirrored);
    assert!((other - near).abs() < 1e-3 && mirrored_names != names, "{other} {near} {mirrored_names} {names}");
    // The same as with the joint among the given ones.
    let robot = panda();
    let srdf = Srdf::load(format!("{ROOT}/urdf/panda.srdf"), &robot).unwrap();
    let all =
        JointNames::new((1..=7).map(|i| format!("panda_joint{i}")).chain(["panda_finger_joint1".into()])).unwrap();
    let cell = Obstacles::parse(POST).unwrap();
    let given = CollisionModel::new(&robot, Some(&srdf), &all, &cell, &CollisionOptions::default()).unwrap();
    assert!(given.others().is_empty());
    for open in [0.0, 0.013, 0.025, 0.04] {
        model.place_others(&[Some(open)]);
        let q: Vec<f64> = READY.iter().copied().chain([open]).collect();
        assert!((clearance(&model).0 - Checker::new(&given).clearance(&given, &q).distance).abs() < 1e-9);
    }
    // What is lost stays where it was, and is not known.
    model.place_others(&[None]);
    assert!(!model.knows(0) && clearance(&model).0 == near);
    model.place_others(&[Some(f64::NAN)]);
    assert!(!model.knows(0) && clearance(&model).0 == near);
}

/// A rail under everything, an arm of one joint, a tool changer of two joints at its end that nobody here moves, a camera that looks about on a mast
/// beside the arm, a follower of the camera's joint, wheels, and an antenna without a shape.
const CELL: &str = "<robot name='r'><link name='root'/>
  <link name='sled'><collision><geometry><box size='0.2 0.2 0.1'/></geometry></collision></link>
  <link name='arm'><collision><origin xyz='0.3 0 0'/><geometry><box size='0.6 0.04 0.04'/></geometry></collision></link>
  <link name='swivel'/>
  <link name='blade'><collision><origin xyz='0.15 0 0'/><geometry><box size='0.3 0.02 0.02'/></geometry></collision></link>
  <link name='mast'/>
  <link name='camera'><collision><origin xyz='0.2 0 0'/><geometry><box size='0.4 0.02 0.02'/></geometry></collision></link>
  <link name='flap'><collision><origin xyz='0.1 0 0'/><geometry><box size='0.2 0.02 0.02'/></geometry></collision></link>
  <link name='wheel'><collision><geometry><sphere radius='0.05'/></geometry></collision></link>
  <link name='antenna'/>
  <joint name='rail' type='prismatic'><parent link='root'/><child link='sled'/><axis xyz='0 1 0'/><limit lower='-2' upper='2' velocity='1' effort='1'/></joint>
  <joint name='turn' type='continuous'><parent link='sled'/><child link='arm'/><origin xyz='0 0 0.3'/><axis xyz='0 0 1'/></joint>
  <joint name='swivel' type='continuous'><parent link='arm'/><child link='swivel'/><origin xyz='0.62 0 0'/><axis xyz='1 0 0'/></joint>
  <joint name='tilt' type='revolute'><parent link='swivel'/><child link='blade'/><axis xyz='0 1 0'/><limit lower='-2' upper='2' velocity='1' effort='1'/></joint>
  <joint name='stand' type='fixed'><parent link='sled'/><child link='mast'/><origin xyz='0 0.8 0.3'/></joint>
  <joint name='pan' type='continuous'><parent link='mast'/><child link='camera'/><axis xyz='0 0 1'/></joint>
  <joint name='flap' type='continuous'><parent link='mast'/><child link='flap'/><origin xyz='0.5 0 0'/><axis xyz='0 0 1'/><mimic joint='pan' multiplier='-1'/></joint>
  <joint name='wheel' type='continuous'><parent link='root'/><child link='wheel'/><origin xyz='0 0 -0.5'/><axis xyz='0 1 0'/></joint>
  <joint name='antenna' type='continuous'><parent link='arm'/><child link='antenna'/><axis xyz='0 1 0'/></joint>
</robot>";

fn cell(obstacles: &str, allowed: &[(&str, &str)]) -> CollisionModel {
    let robot = RobotModel::from_urdf(CELL).unwrap();
    let joints = JointNames::new(["turn"]).unwrap();
    let allowed = allowed.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let options = CollisionOptions { allowed, ..CollisionOptions::default() };
    CollisionModel::new(&robot, None, &joints, &Obstacles::parse(obstacles).unwrap(), &options).unwrap()
}

const NOTHING: &str = "collision_objects: []";
const WHEELLESS: [(&str, &str); 2] = [("wheel", "arm"), ("wheel", "blade")];

fn asked(model: &CollisionModel) -> Vec<&str> {
    let others = model.others().iter().enumerate();
    let mut names: Vec<&str> = others.filter(|(i, _)| model.asks_for(*i)).map(|(_, name)| name.as_str()).collect();
    names.sort_unstable();
    names
}

/// Says where some stand, the rest at 0.
fn place(model: &mut CollisionModel, stand: &[(&str, f64)]) {
    let one = |name: &String| Some(stand.iter().find(|(other, _)| other == name).map_or(0.0, |(_, p)| *p));
    let positions: Vec<Option<f64>> = model.others().iter().map(one).collect();
    model.place_others(&positions);
}

fn least(model: &CollisionModel, turn: f64) -> f64 {
    Checker::new(model).clearance(model, &[turn]).distance
}

#[test]
fn only_joints_on_which_a_checked_distance_depends_are_asked_for() {
    // The wheel hangs on the root and not on the rail; what no joint that is given moves against each other is not checked.
    assert_eq!(asked(&cell(NOTHING, &[])), ["pan", "rail", "swivel", "tilt", "wheel"]);
    // Nobody minds the wheels: then the rail, too, carries all that is left.
    assert_eq!(asked(&cell(NOTHING, &WHEELLESS)), ["pan", "swivel", "tilt"]);
    let blind = [("camera", "arm"), ("camera", "blade"), ("flap", "arm"), ("flap", "blade")];
    let allowed: Vec<_> = WHEELLESS.into_iter().chain(blind).collect();
    assert_eq!(asked(&cell(NOTHING, &allowed)), ["swivel", "tilt"]);
    // As soon as something stands in the world, and not on the sled, the rail matters again.
    let post = |frame: &str| {
        format!(
            "collision_objects: [{{id: post, frame_id: {frame}, primitives: [{{type: sphere, dimensions: [0.1]}}], primitive_poses: [{{position: [0.3, 0.3, 0.3]}}]}}]"
        )
    };
    assert_eq!(asked(&cell(&post("sled"), &allowed)), ["swivel", "tilt"]);
    let mut model = cell(NOTHING, &allowed);
    model.replace_obstacles(&Obstacles::parse(&post("world")).unwrap()).unwrap();
    assert_eq!(asked(&model), ["rail", "swivel", "tilt"]);
    assert!(model.remove_obstacle("post"));
    assert_eq!(asked(&model), ["swivel", "tilt"]);
}

#[test]
fn two_others_one_behind_the_other_bring_the_blade_where_both_say() {
    let floor =
        "collision_objects: [{id: floor, planes: [{coef: [0, 0, 1, 0]}], plane_poses: [{position: [0, 0, 0]}]}]";
    let mut model = cell(floor, &[("sled", "floor"), ("wheel", "floor"), ("wheel", "arm"), ("wheel", "blade")]);
    place(&mut model, &[]);
    assert!((least(&model, 0.0) - 0.28).abs() < 1e-6, "{}", least(&model, 0.0));
    // Down to the floor by its tip: 0.3 below the arm.
    place(&mut model, &[("tilt", FRAC_PI_2)]);
    assert!(least(&model, 0.0) <= 0.0 + 1e-9, "{}", least(&model, 0.0));
    // Half way round it points up, and a quarter to the side.
    place(&mut model, &[("tilt", FRAC_PI_2), ("swivel", std::f64::consts::PI)]);
    assert!((least(&model, 0.0) - 0.28).abs() < 1e-6, "{}", least(&model, 0.0));
    place(&mut model, &[("tilt", FRAC_PI_2), ("swivel", FRAC_PI_2)]);
    assert!((least(&model, 0.0) - 0.28).abs() < 1e-6, "{}", least(&model, 0.0));
}

#[test]
fn a_rail_moves_the_whole_arm_and_a_camera_above_gets_in_its_way() {
    let wall = "collision_objects: [{id: wall, primitives: [{type: box, dimensions: [2, 0.1, 2]}], primitive_poses: [{position: [0, -1, 0]}]}]";
    let mut model = cell(wall, &WHEELLESS);
    place(&mut model, &[]);
    let before = least(&model, 0.0);
    place(&mut model, &[("rail", -0.5)]);
    assert!(before > 0.5 && (least(&model, 0.0) - 0.43).abs() < 1e-6, "{before} {}", least(&model, 0.0));
    place(&mut model, &[("rail", -0.9)]);
    assert!(least(&model, 0.0) < 0.031, "{}", least(&model, 0.0));
    // The camera turns back over the arm: 0.4 m of it from a mast 0.8 m to the side, whatever the rail does.
    for rail in [0.0, 1.3] {
        place(&mut model, &[("rail", rail), ("pan", FRAC_PI_2)]);
        let aside = least(&model, 1.2);
        place(&mut model, &[("rail", rail), ("pan", -1.1)]);
        let over = least(&model, 1.2);
        assert!(over <= 0.0 && aside > 0.02, "{aside} {over}");
    }
}

#[test]
fn a_follower_of_another_joint_is_moved_by_it() {
    let mut model = cell(NOTHING, &WHEELLESS);
    // The flap hangs 0.5 m before the camera's mast and turns the other way.
    let pair = |model: &CollisionModel| {
        let mut checker = Checker::new(model);
        let found = checker.clearance(model, &[0.7]);
        let (a, b) = model.pair_names(found.pair);
        (found.distance, a == "flap" || b == "flap")
    };
    place(&mut model, &[("pan", 1.2)]);
    let (near, flap) = pair(&model);
    assert!(flap && near < 0.1, "{near}");
    place(&mut model, &[("pan", -1.2)]);
    assert!(!pair(&model).1, "it turns away");
}

#[test]
fn what_hangs_on_a_link_that_others_move_follows_it_and_where_it_is_must_be_known() {
    let mut model = cell(NOTHING, &WHEELLESS);
    let ball = |id: &str, frame: &str, at: [f64; 3]| SceneObject {
        id: id.into(),
        frame_id: frame.into(),
        primitives: vec![Solid { kind: SolidKind::Sphere, dimensions: vec![0.05] }],
        primitive_poses: vec![ScenePose { position: at, ..ScenePose::default() }],
        ..SceneObject::default()
    };
    let add = |object: SceneObject| SceneDiff {
        is_diff: true,
        robot_state_is_diff: true,
        objects: vec![(object, Operation::Add)],
        ..SceneDiff::default()
    };
    let place_of = |model: &CollisionModel, id: &str| {
        let object = model.obstacles().iter().find(|o| o.id == id).unwrap();
        (object.pose * object.shapes[0].origin).translation.vector
    };
    // Refused by name while nobody knows.
    let refused = add(ball("cup", "camera", [0.3, 0.0, 0.0])).apply(&mut model, &[0.0]).unwrap_err().to_string();
    assert!(refused.contains("'cup'") && refused.contains("'camera'") && refused.contains("'rail'"), "{refused}");
    // Nobody knows either where the camera is on the rail, but where it is to the flap would need the pan alone.
    let held = |link: &str, frame: &str| SceneDiff {
        is_diff: true,
        robot_state_is_diff: true,
        attached: vec![SceneAttached {
            link_name: link.into(),
            object: ball("lamp", frame, [0.3, 0.0, 0.0]),
            operation: Operation::Add,
            touch_links: vec!["camera".into(), "flap".into()],
        }],
        ..SceneDiff::default()
    };
    let refused = held("flap", "camera").apply(&mut model, &[0.0]).unwrap_err().to_string();
    assert!(refused.contains("'pan'"), "{refused}");
    held("camera", "camera").apply(&mut model, &[0.0]).unwrap();
    assert_eq!(model.attached().len(), 1);
    place(&mut model, &[("rail", 0.25), ("pan", FRAC_PI_2)]);
    add(ball("cup", "camera", [0.3, 0.0, 0.0])).apply(&mut model, &[0.0]).unwrap();
    assert!((place_of(&model, "cup") - nalgebra::Vector3::new(0.0, 0.25 + 0.8 + 0.3, 0.3)).norm() < 1e-12);
    // What the camera holds follows it over the arm.
    let before = least(&model, 1.2);
    place(&mut model, &[("rail", 0.25), ("pan", -1.2)]);
    let after = least(&model, 1.2);
    assert!(after < 0.05 && after < before, "{before} {after}");
    let down = SceneDiff {
        is_diff: true,
        robot_state_is_diff: true,
        attached: vec![SceneAttached {
            object: SceneObject { id: "lamp".into(), ..SceneObject::default() },
            operation: Operation::Remove,
            ..SceneAttached::default()
        }],
        allowed: AllowedMatrix::default(),
        ..SceneDiff::default()
    };
    let mut lost = model.clone();
    lost.place_others(&vec![None; lost.others().len()]);
    assert!(down.apply(&mut lost, &[0.0]).unwrap_err().to_string().contains("'lamp'"));
    down.apply(&mut model, &[0.0]).unwrap();
    let (sin, cos) = (-1.2_f64).sin_cos();
    assert!((place_of(&model, "lamp") - nalgebra::Vector3::new(0.3 * cos, 1.05 + 0.3 * sin, 0.3)).norm() < 1e-12);
}

#[test]
fn an_obstacle_of_the_file_on_a_link_that_others_move_goes_with_it() {
    let tray = "collision_objects: [{id: tray, frame_id: camera, primitives: [{type: sphere, dimensions: [0.1]}], primitive_poses: [{position: [0.5, 0, 0]}]}]";
    let mut model = cell(tray, &WHEELLESS);
    assert!(asked(&model).contains(&"pan"));
    place(&mut model, &[("pan", FRAC_PI_2)]);
    let away = least(&model, 0.3);
    place(&mut model, &[("pan", -FRAC_PI_2)]);
    let near = least(&model, 0.3);
    assert!(near < 0.2 && near < away, "{away} {near}");
}

#[test]
fn small_changes_are_left_and_the_rest_of_a_sweep_is_refused_after_a_great_one() {
    let mut model = arm(POST);
    model.place_others(&[Some(0.01)]);
    let mut checker = Checker::new(&model);
    checker.begin(&model, &READY).unwrap();
    let next: Vec<f64> = READY.iter().map(|q| q + 1e-3).collect();
    model.place_others(&[Some(0.010_005)]);
    checker.advance(&model, &next, &[1e-3; 7]).unwrap();
    let known = clearance(&model).0;
    // Small changes do not add up unseen.
    for k in 0..10 {
        model.place_others(&[Some(0.010_005 + 5e-6 * f64::from(k))]);
    }
    assert!((known - clearance(&model).0).abs() > 3e-5);
    assert!(checker.advance(&model, &READY, &[1e-3; 7]).is_err());
    checker.resume(&model, &next).unwrap();
    checker.advance(&model, &READY, &[1e-3; 7]).unwrap();
}
