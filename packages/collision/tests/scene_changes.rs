//! The cell's file and its changes at run time: what becomes of them, and what is refused.
#![allow(clippy::unwrap_used)]

use efm_collision::{
    AllowedMatrix, Checker, CollisionError, CollisionModel, CollisionOptions, Obstacles, Operation, SceneAttached,
    SceneDiff, SceneMesh, SceneObject, ScenePose, Solid, SolidKind,
};
use efm_core::JointNames;
use efm_robot::{Primitive, RobotModel, Shape, Srdf};
use nalgebra::Isometry3;
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};
use std::slice::from_ref;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const READY: [f64; 8] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4, 0.035];

fn model(cell: &Obstacles) -> CollisionModel {
    let robot = RobotModel::load(format!("{ROOT}/urdf/panda.urdf")).unwrap();
    let srdf = Srdf::load(format!("{ROOT}/urdf/panda.srdf"), &robot).unwrap();
    let joints = JointNames::new(srdf.group("panda_arm_hand").unwrap().joints.clone()).unwrap();
    CollisionModel::new(&robot, Some(&srdf), &joints, cell, &CollisionOptions::default()).unwrap()
}

fn has(model: &CollisionModel, a: &str, b: &str) -> bool {
    (0..model.pairs()).map(|i| model.pair_names(i)).any(|pair| pair == (a, b) || pair == (b, a))
}

fn solid(kind: SolidKind, dimensions: &[f64]) -> Solid {
    Solid { kind, dimensions: dimensions.to_vec() }
}

fn at(x: f64, y: f64, z: f64) -> ScenePose {
    ScenePose { position: [x, y, z], ..ScenePose::default() }
}

fn cube(id: &str, pose: ScenePose) -> SceneObject {
    SceneObject {
        id: id.to_owned(),
        pose,
        primitives: vec![solid(SolidKind::Box, &[0.04, 0.04, 0.04])],
        primitive_poses: vec![ScenePose::default()],
        ..SceneObject::default()
    }
}

fn diff() -> SceneDiff {
    SceneDiff { is_diff: true, robot_state_is_diff: true, ..SceneDiff::default() }
}

fn change(objects: Vec<(SceneObject, Operation)>) -> SceneDiff {
    SceneDiff { objects, ..diff() }
}

/// Distance of the closest pair of which one is `id`.
fn clearance_of(model: &CollisionModel, id: &str) -> f64 {
    // Everything else far away: only its own pairs count.
    let mut least = f64::INFINITY;
    let mut alone = model.clone();
    for other in model.obstacles().iter().filter(|object| object.id != id) {
        alone.remove_obstacle(&other.id);
    }
    let mut checker = Checker::new(&alone);
    let found = checker.clearance(&alone, &READY);
    if alone.pair_names(found.pair).0 == id || alone.pair_names(found.pair).1 == id {
        least = found.distance;
    }
    least
}

#[test]
fn objects_are_added_moved_extended_and_removed() {
    let mut model = model(&Obstacles::default());
    let pairs = model.pairs();
    change(vec![(cube("red_cube", at(0.42, 0.0, 0.6)), Operation::Add)]).apply(&mut model, &READY).unwrap();
    assert!(has(&model, "panda_hand", "red_cube"));
    let near = clearance_of(&model, "red_cube");
    assert!(near < 0.1, "{near}");
    // Moved by 20 mm away along x, it is about that much farther.
    change(vec![(
        SceneObject { id: "red_cube".into(), pose: at(0.44, 0.0, 0.6), ..SceneObject::default() },
        Operation::Move,
    )])
    .apply(&mut model, &READY)
    .unwrap();
    let far = clearance_of(&model, "red_cube");
    assert!((far - near - 0.02).abs() < 0.005, "{near} {far}");
    // A second shape where it was before.
    change(vec![(cube("red_cube", at(0.42, 0.0, 0.6)), Operation::Append)]).apply(&mut model, &READY).unwrap();
    assert_eq!(clearance_of(&model, "red_cube"), near);
    assert_eq!(model.obstacles()[0].shapes.len(), 2);
    // Moving takes both along.
    change(vec![(
        SceneObject { id: "red_cube".into(), pose: at(0.46, 0.0, 0.6), ..SceneObject::default() },
        Operation::Move,
    )])
    .apply(&mut model, &READY)
    .unwrap();
    assert!((clearance_of(&model, "red_cube") - far).abs() < 1e-9);
    change(vec![(SceneObject { id: "red_cube".into(), ..SceneObject::default() }, Operation::Remove)])
        .apply(&mut model, &READY)
        .unwrap();
    assert_eq!(model.pairs(), pairs);
    // To remove what is not there is no error.
    change(vec![(SceneObject { id: "red_cube".into(), ..SceneObject::default() }, Operation::Remove)])
        .apply(&mut model, &READY)
        .unwrap();
}

#[test]
fn a_scene_that_is_no_diff_replaces_everything() {
    let mut model = model(&Obstacles::load(format!("{ROOT}/config/panda_obstacles.yaml")).unwrap());
    let whole = SceneDiff { is_diff: false, ..change(vec![(cube("blue_cube", at(0.5, 0.3, 0.0)), Operation::Add)]) };
    whole.apply(&mut model, &READY).unwrap();
    assert_eq!(model.obstacles().iter().map(|object| object.id.as_str()).collect::<Vec<_>>(), ["blue_cube"]);
}

#[test]
fn an_object_in_the_frame_of_a_moving_link_stands_where_the_link_is_now() {
    let mut model = model(&Obstacles::default());
    let object = SceneObject { frame_id: "panda_hand".into(), ..cube("tray", at(0.0, 0.0, 0.3)) };
    change(vec![(object, Operation::Add)]).apply(&mut model, &READY).unwrap();
    let robot = RobotModel::load(format!("{ROOT}/urdf/panda.urdf")).unwrap();
    let mut checker = Checker::new(&model);
    checker.clearance(&model, &READY);
    let hand = checker.link_pose(robot.link_index("panda_hand").unwrap());
    let expected = hand * Isometry3::translation(0.0, 0.0, 0.3);
    let found = model.obstacles()[0].pose * model.obstacles()[0].shapes[0].origin;
    assert!((expected.translation.vector - found.translation.vector).norm() < 1e-12);
}

#[test]
fn what_is_picked_up_leaves_the_cell_moves_with_the_hand_and_comes_back_where_it_is_put() {
    let mut model = model(&Obstacles::default());
    change(vec![(cube("red_cube", at(0.3069, 0.0, 0.486)), Operation::Add)]).apply(&mut model, &READY).unwrap();
    assert!(has(&model, "panda_leftfinger", "red_cube"));
    let touch_links: Vec<String> = ["panda_leftfinger", "panda_rightfinger"].map(String::from).into();
    let take = SceneAttached {
        link_name: "panda_hand".into(),
        object: SceneObject { id: "red_cube".into(), ..SceneObject::default() },
        operation: Operation::Add,
        touch_links,
    };
    SceneDiff { attached: vec![take], ..diff() }.apply(&mut model, &READY).unwrap();
    assert!(model.obstacles().is_empty() && model.attached().len() == 1);
    assert!(!has(&model, "panda_leftfinger", "red_cube") && !has(&model, "panda_hand", "red_cube"));
    assert!(has(&model, "panda_link0", "red_cube") && has(&model, "panda_link5", "red_cube"));
    // Held, it is checked against the cell.
    change(vec![(cube("post", at(0.5, 0.3, 0.4)), Operation::Add)]).apply(&mut model, &READY).unwrap();
    assert!(has(&model, "red_cube", "post"));
    // Put down a quarter turn further.
    let mut turned = READY;
    turned[0] = std::f64::consts::FRAC_PI_2;
    let put = SceneAttached {
        object: SceneObject { id: "red_cube".into(), ..SceneObject::default() },
        operation: Operation::Remove,
        ..SceneAttached::default()
    };
    SceneDiff { attached: vec![put], ..diff() }.apply(&mut model, &turned).unwrap();
    assert!(model.attached().is_empty());
    let object = model.obstacles().iter().find(|object| object.id == "red_cube").unwrap();
    let place = (object.pose * object.shapes[0].origin).translation.vector;
    assert!((place - nalgebra::Vector3::new(0.0, 0.3069, 0.486)).norm() < 1e-9, "{place}");
}

#[test]
fn the_matrix_allows_and_forbids_by_name_and_never_checks_neighbours() {
    let mut model = model(&Obstacles::parse("allowed_collisions: [[panda_hand, red_cube]]").unwrap());
    change(vec![(cube("red_cube", at(0.5, 0.0, 0.0)), Operation::Add)]).apply(&mut model, &READY).unwrap();
    assert!(!has(&model, "panda_hand", "red_cube") && has(&model, "panda_link7", "red_cube"));
    let names = ["panda_hand", "panda_link1", "panda_link0", "red_cube", "panda_link3"].map(String::from);
    let mut values = vec![vec![false; 5]; 5];
    (values[1][3], values[3][1]) = (true, true);
    let allowed = AllowedMatrix { entry_names: names.into(), entry_values: values, ..AllowedMatrix::default() };
    SceneDiff { allowed: allowed.clone(), ..diff() }.apply(&mut model, &READY).unwrap();
    assert!(has(&model, "panda_hand", "red_cube"), "the matrix contradicts the declared contact");
    assert!(!has(&model, "panda_link1", "red_cube"));
    assert!(has(&model, "panda_link0", "panda_link3"), "the matrix contradicts the SRDF");
    assert!(!has(&model, "panda_link0", "panda_link1"), "neighbours");
    // An empty matrix says nothing; a default allows what is not mentioned.
    diff().apply(&mut model, &READY).unwrap();
    assert!(has(&model, "panda_hand", "red_cube"));
    let allowed = AllowedMatrix {
        default_entry_names: vec!["red_cube".into()],
        default_entry_values: vec![true],
        ..AllowedMatrix::default()
    };
    SceneDiff { allowed, ..diff() }.apply(&mut model, &READY).unwrap();
    assert!(!has(&model, "panda_link7", "red_cube"));
    // A matrix that is not one.
    let allowed = AllowedMatrix { entry_names: vec!["a".into()], ..AllowedMatrix::default() };
    assert!(SceneDiff { allowed, ..diff() }.apply(&mut model, &READY).is_err());
}

#[test]
fn a_change_with_an_error_changes_nothing_and_names_it() {
    let mut model = model(&Obstacles::default());
    let (pairs, good) = (model.pairs(), cube("good", at(0.5, 0.0, 0.0)));
    let wrong = |object: SceneObject, operation: Operation, model: &mut CollisionModel| {
        let both = change(vec![(good.clone(), Operation::Add), (object, operation)]);
        both.apply(model, &READY).unwrap_err().to_string()
    };
    let base = cube("bad", at(0.5, 0.0, 0.0));
    let nan = SceneObject { pose: at(f64::NAN, 0.0, 0.0), ..base.clone() };
    let flat = SceneObject { primitives: vec![solid(SolidKind::Box, &[0.1, 0.1])], ..base.clone() };
    let lost = SceneObject { frame_id: "shelf".into(), ..base.clone() };
    let poses = SceneObject { primitive_poses: vec![], ..base.clone() };
    let empty = SceneObject { id: "bad".into(), ..SceneObject::default() };
    let mesh = SceneObject {
        meshes: vec![SceneMesh::Vertices(vec![])],
        mesh_poses: vec![ScenePose::default()],
        ..empty.clone()
    };
    for (object, operation, said) in [
        (nan, Operation::Add, "object 'bad': pose"),
        (flat, Operation::Add, "object 'bad': primitives[0]: dimensions [0.1, 0.1] of a box"),
        (lost, Operation::Add, "'shelf' does not exist"),
        (poses, Operation::Add, "primitive_poses: 0 poses are given for 1"),
        (empty, Operation::Add, "neither a shape nor a plane"),
        (mesh, Operation::Add, "meshes[0]"),
        (base.clone(), Operation::Move, "object 'bad' does not exist"),
        (SceneObject { id: "panda_hand".into(), ..base }, Operation::Add, "used twice"),
    ] {
        let message = wrong(object, operation, &mut model);
        assert!(message.contains(said), "'{message}' should say '{said}'");
        assert!(model.obstacles().is_empty() && model.pairs() == pairs);
    }
}

#[test]
fn a_held_object_joins_the_robot_until_it_is_detached() {
    let mut model = model(&Obstacles::load(format!("{ROOT}/config/panda_obstacles.yaml")).unwrap());
    let (mut checker, pairs) = (Checker::new(&model), model.pairs());
    let before = checker.clearance(&model, &READY);
    // A rod that hangs down from the tool almost to the table.
    let rod = Primitive {
        origin: Isometry3::translation(0.0, 0.0, 0.35),
        shape: Shape::Cylinder { radius: 0.01, length: 0.45 },
        colour: None,
    };
    let touch: Vec<String> = ["panda_leftfinger", "panda_rightfinger"].map(String::from).into();
    model.attach("panda_hand", "rod", from_ref(&rod), &touch).unwrap();
    let after = checker.clearance(&model, &READY);
    assert_eq!(model.pair_names(after.pair), ("rod", "table"));
    assert!(after.distance < before.distance - 0.02 && after.distance > 0.0, "{after:?}");
    assert!(model.attach("panda_elbow", "rod", from_ref(&rod), &[]).unwrap_err().to_string().contains("panda_elbow"));
    assert!(
        model.attach("panda_hand", "rod", &[rod], &["finger".to_owned()]).unwrap_err().to_string().contains("finger")
    );
    assert!(matches!(model.attach("panda_hand", "rod", &[], &[]), Err(CollisionError::Shape { .. })));
    assert!(model.detach("rod") && !model.detach("rod"));
    assert_eq!((model.pairs(), checker.clearance(&model, &READY)), (pairs, before));
}

#[test]
fn a_file_of_obstacles_is_read_as_written() {
    let text = "
collision_objects:
  - id: shelf
    frame_id: panda_link0
    pose: {position: [0.0, 1.0, 0.0]}
    primitives:
      - {type: box, dimensions: [0.1, 0.2, 0.3]}
      - {type: sphere, dimensions: [0.05]}
      - {type: cylinder, dimensions: [0.3, 0.02]}
      - {type: cone, dimensions: [0.3, 0.02]}
      - {type: capsule, dimensions: [0.3, 0.02]}
    primitive_poses:
      - {position: [0.5, 0, 0], orientation: [0, 0, 0.7071068, 0.7071068]}
      - {position: [0, 0, 0]}
      - {position: [0, 0, 0]}
      - {position: [0, 0, 0]}
      - {position: [0, 0, 0]}
  - id: floor
    planes: [{coef: [0, 0, 2, 1]}]
    plane_poses: [{position: [0, 0, -0.2]}]
attached_collision_objects:
  - link_name: panda_hand
    object: {id: camera, primitives: [{type: box, dimensions: [0.1, 0.03, 0.03]}], primitive_poses: [{position: [0.07, 0, 0]}]}
    touch_links: [panda_link7]
allowed_collisions: [[panda_leftfinger, floor]]
";
    let cell = Obstacles::parse(text).unwrap();
    let shelf = &cell.objects[0];
    assert_eq!(shelf.shapes[2].shape, Shape::Cylinder { radius: 0.02, length: 0.3 });
    assert_eq!(shelf.shapes[4].shape, Shape::Capsule { radius: 0.02, length: 0.3 });
    assert_eq!((shelf.pose * shelf.shapes[0].origin).translation.vector.as_slice(), [0.5, 1.0, 0.0]);
    let model = model(&cell);
    assert!(has(&model, "panda_hand", "shelf") && has(&model, "camera", "floor"));
    assert!(!has(&model, "camera", "panda_link7") && !has(&model, "panda_leftfinger", "floor"));
    // z = -0.2 - 1/2: the plane moved with its pose, its coefficients made a unit normal.
    let mut only_floor = model.clone();
    only_floor.remove_obstacle("shelf");
    assert!((only_floor.obstacles()[0].planes[0].offset - 0.7).abs() < 1e-12);
    assert_eq!(Obstacles::parse("# nothing\n").unwrap(), Obstacles::default());
}

#[test]
fn what_is_wrong_in_a_file_of_obstacles_is_named() {
    let object = |inner: &str| format!("collision_objects: [{{id: shelf, {inner}}}]");
    let boxed = "primitives: [{type: box, dimensions: [1, 1, 1]}]";
    for (text, said) in [
        ("obstacles: []".to_owned(), "unknown field `obstacles`"),
        (object("colour: red"), "object 'shelf': unknown field `colour`"),
        (object("primitives: [{type: prism, dimensions: [1]}]"), "object 'shelf'"),
        (object("primitives: [{type: box, dimensions: [1, 1]}], primitive_poses: [{position: [0, 0, 0]}]"), "primitives[0]: dimensions [1.0, 1.0] of a box must be 3"),
        (object("primitives: [{type: sphere, dimensions: [-1]}], primitive_poses: [{position: [0, 0, 0]}]"), "finite positive numbers: radius"),
        (object(boxed), "primitive_poses: 0 poses are given for 1"),
        (object(&format!("{boxed}, primitive_poses: [{{orientation: [0, 0, 0, 1]}}]")), "missing field `position`"),
        (object(&format!("{boxed}, primitive_poses: [{{position: [0, .nan, 0]}}]")), "primitive_poses[0]"),
        (object(&format!("{boxed}, primitive_poses: [{{position: [0, 0, 0], orientation: [0, 0, 0, 0]}}]")), "unit quaternion"),
        (object("planes: [{coef: [0, 0, 0, 1]}], plane_poses: [{position: [0, 0, 0]}]"), "planes[0]"),
        ("collision_objects: [{primitives: []}]".to_owned(), "collision_objects[0]: missing field `id`"),
        ("attached_collision_objects: [{link_name: hand, object: {id: a, planes: [{coef: [0, 0, 1, 0]}], plane_poses: [{position: [0, 0, 0]}]}}]".to_owned(), "object 'a': planes"),
        ("attached_collision_objects: [{object: {id: a}}]".to_owned(), "missing field `link_name`"),
        ("allowed_collisions: [[a]]".to_owned(), "allowed_collisions"),
    ] {
        let message = Obstacles::parse(&text).unwrap_err().to_string();
        assert!(message.contains(said), "'{message}' should say '{said}'");
    }
    let message = Obstacles::load("/nowhere/cell.yaml").unwrap_err().to_string();
    assert!(message.contains("/nowhere/cell.yaml"), "{message}");
}

#[test]
fn an_obstacle_in_a_moving_frame_and_a_wrong_option_are_refused_by_name() {
    let robot = RobotModel::load(format!("{ROOT}/urdf/panda.urdf")).unwrap();
    let joints = JointNames::new(["panda_joint1"]).unwrap();
    let build = |text: &str, options: &CollisionOptions, joints: &JointNames| {
        let cell = Obstacles::parse(text).unwrap();
        CollisionModel::new(&robot, None, joints, &cell, options).unwrap_err().to_string()
    };
    let text = |frame: &str| {
        format!(
            "collision_objects: [{{id: a, frame_id: {frame}, primitives: [{{type: sphere, dimensions: [1]}}], primitive_poses: [{{position: [0, 0, 0]}}]}}]"
        )
    };
    let plain = CollisionOptions::default();
    let message = build(&text("panda_hand"), &plain, &joints);
    assert!(message.contains("object 'a'") && message.contains("'panda_hand', which moves"), "{message}");
    assert!(build(&text("moon"), &plain, &joints).contains("'moon' does not exist"));
    for options in [
        CollisionOptions { clearance: f64::NAN, ..plain.clone() },
        CollisionOptions { clearance: -0.1, ..plain.clone() },
        CollisionOptions { resolution: 0.0, ..plain.clone() },
    ] {
        assert!(build("{}", &options, &joints).starts_with("collision option '"));
    }
    let elbow = JointNames::new(["elbow"]).unwrap();
    assert!(build("{}", &plain, &elbow).contains("'elbow' is not an active joint"));
    let allowed = vec![("panda_hand".to_owned(), "red_cbue".to_owned())];
    let options = CollisionOptions { allowed, ..plain };
    let model = CollisionModel::new(&robot, None, &joints, &Obstacles::default(), &options).unwrap();
    assert_eq!(model.unknown_names(), ["red_cbue"]);
}
