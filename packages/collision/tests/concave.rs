//! Concave meshes: what is free beside them stays free, what is inside is found, and parts that were kept are those that would be made.
#![allow(clippy::unwrap_used)]

use efm_collision::{Checker, CollisionModel, CollisionObject, CollisionOptions, Obstacles};
use efm_core::JointNames;
use efm_robot::{Primitive, RobotModel, Shape};
use nalgebra::{Isometry3, Vector3};
use proptest::prelude::*;
use std::fmt::Write;
use std::path::Path;

/// A body of some shape on three slides, in the frame of the root.
fn probe(shape: &str) -> RobotModel {
    let mut urdf = "<robot name='r'><link name='root'/>".to_owned();
    for (parent, child, axis) in [("root", "x", "1 0 0"), ("x", "y", "0 1 0"), ("y", "z", "0 0 1")] {
        let body = if child == "z" { shape } else { "" };
        write!(
            urdf,
            "<link name='{child}'>{body}</link><joint name='to_{child}' type='prismatic'><parent link='{parent}'/><child link='{child}'/>\
             <axis xyz='{axis}'/><limit lower='-2' upper='2' velocity='1' effort='1'/></joint>"
        )
        .unwrap();
    }
    RobotModel::from_urdf(&(urdf + "</robot>")).unwrap()
}

/// Boxes by their lowest and highest corners, as one OBJ: closed, wound outwards.
fn boxes(boxes: &[([f64; 3], [f64; 3])]) -> String {
    let mut obj = String::new();
    for (low, high) in boxes {
        for corner in 0..8 {
            let side = |axis: usize| if corner >> axis & 1 == 0 { low[axis] } else { high[axis] };
            writeln!(obj, "v {} {} {}", side(0), side(1), side(2)).unwrap();
        }
    }
    for number in 0..boxes.len() {
        for [a, b, c, d] in [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]] {
            let [a, b, c, d] = [a, b, c, d].map(|i| 8 * number + i + 1);
            writeln!(obj, "f {a} {b} {c}\nf {a} {c} {d}").unwrap();
        }
    }
    obj
}

/// A channel, open to the top, 20 cm long: walls of 2 cm, a gap of 10 cm that is 8 cm deep.
fn channel() -> String {
    boxes(&[
        ([-0.1, -0.07, 0.0], [0.1, 0.07, 0.02]),
        ([-0.1, -0.07, 0.0], [0.1, -0.05, 0.1]),
        ([-0.1, 0.05, 0.0], [0.1, 0.07, 0.1]),
    ])
}

fn cell(file: &Path) -> Obstacles {
    let shape = Shape::Mesh { filename: file.display().to_string(), scale: Vector3::repeat(1.0) };
    let shapes = vec![Primitive { origin: Isometry3::identity(), shape, colour: None }];
    let object = CollisionObject { id: "thing".to_owned(), shapes, ..CollisionObject::default() };
    Obstacles { objects: vec![object], ..Obstacles::default() }
}

fn model(robot: &RobotModel, file: &Path, options: CollisionOptions) -> CollisionModel {
    let joints = JointNames::new(["to_x", "to_y", "to_z"]).unwrap();
    CollisionModel::new(robot, None, &joints, &cell(file), &options).unwrap()
}

const BALL: &str = "<collision><geometry><sphere radius='0.02'/></geometry></collision>";

fn distance(model: &CollisionModel, at: [f64; 3]) -> f64 {
    Checker::new(model).clearance(model, &at).distance
}

#[test]
fn between_the_walls_of_a_channel_is_room_which_its_hull_denies() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("channel.obj");
    std::fs::write(&file, channel()).unwrap();
    let robot = probe(BALL);
    let hull = model(&robot, &file, CollisionOptions { mesh_parts: 1, ..CollisionOptions::default() });
    let cut = model(&robot, &file, CollisionOptions::default());
    assert!(distance(&hull, [0.0, 0.0, 0.06]) < 0.0);
    // The middle of the gap, nearer to the left wall, nearer to the floor; above; outside.
    for (at, truth) in [
        ([0.0, 0.0, 0.07], 0.03),
        ([0.05, 0.02, 0.08], 0.01),
        ([0.0, 0.0, 0.05], 0.01),
        ([0.0, 0.0, 0.17], 0.05_f64.hypot(0.07) - 0.02),
        ([0.0, -0.12, 0.05], 0.03),
    ] {
        let found = distance(&cut, at);
        assert!(found <= truth + 1e-6 && found > truth - 3e-3, "at {at:?}: {found}, in truth {truth}");
    }
    let (name, fit) = cut.mesh_fits().next().unwrap();
    assert!(name.ends_with("channel.obj") && (2..=12).contains(&fit.parts), "{fit:?}");
    assert!(fit.off_most < 4e-3 && fit.inflation < 1.1e-3, "{fit:?}");
    // And told of the hull: the floor of the gap lies 8 cm below it.
    let (_, fit) = hull.mesh_fits().next().unwrap();
    assert!(fit.parts == 1 && (0.04..0.06).contains(&fit.off_most), "{fit:?}");
}

#[test]
fn all_that_touch_are_told_once_each_with_their_depth() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("channel.obj");
    std::fs::write(&file, channel()).unwrap();
    let robot = probe(BALL);
    let mut model = model(&robot, &file, CollisionOptions::default());
    let block = "collision_objects: [{id: block, primitives: [{type: box, dimensions: [0.1, 0.1, 0.1]}], \
                 primitive_poses: [{position: [0, 0.1, 0.05]}]}]";
    model.set_obstacle(Obstacles::parse(block).unwrap().objects[0].clone()).unwrap();
    let mut checker = Checker::new(&model);
    // In the right wall, 10 mm from the face of the block that stands in it too.
    checker.begin(&model, &[0.0, 0.06, 0.05]).unwrap_err();
    let touching = checker.touching(&model);
    let told: Vec<_> = touching.iter().map(|t| (t.a.as_str(), t.b.as_str())).collect();
    assert_eq!(told.len(), 2, "{touching:?}");
    assert!(told.contains(&("z", "thing")) && told.contains(&("z", "block")), "{touching:?}");
    assert!(touching[0].depth >= touching[1].depth && touching.iter().all(|t| t.depth > 0.0), "{touching:?}");
    checker.begin(&model, &[0.0, 0.0, 0.07]).unwrap();
    assert!(checker.touching(&model).is_empty());
}

#[test]
fn kept_parts_are_those_that_are_made_and_what_does_not_fit_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (file, kept) = (folder.path().join("channel.obj"), folder.path().join("kept/here"));
    std::fs::write(&file, channel()).unwrap();
    let robot = probe(BALL);
    let options = CollisionOptions { mesh_cache: Some(kept.clone()), ..CollisionOptions::default() };
    let at = [[0.0, 0.0, 0.07], [0.05, 0.02, 0.08], [0.3, 0.2, 0.1], [0.0, 0.06, 0.02]];
    let look = |options: &CollisionOptions| {
        let model = model(&robot, &file, options.clone());
        at.map(|at| distance(&model, at).to_bits())
    };
    let files = || {
        let mut names: Vec<_> = std::fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    };
    let made = look(&CollisionOptions::default());
    assert_eq!((look(&options), look(&options), files().len()), (made, made, 1));
    // Cut, changed, of another mesh: none of it is believed.
    let whole = std::fs::read(&files()[0]).unwrap();
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    for bytes in [&whole[..middle], &changed, b""] {
        std::fs::write(&files()[0], bytes).unwrap();
        assert_eq!(look(&options), made);
        assert_eq!(std::fs::read(&files()[0]).unwrap(), whole);
    }
    let name = files()[0].clone();
    std::fs::write(&file, boxes(&[([-0.1, -0.07, 0.0], [0.1, 0.07, 0.3])])).unwrap();
    let _ = look(&options);
    let other = files().into_iter().find(|file| *file != name).unwrap();
    std::fs::copy(&other, &name).unwrap();
    std::fs::write(&file, channel()).unwrap();
    assert_eq!(look(&options), made);
    // A folder that cannot be made is done without.
    let nowhere = CollisionOptions { mesh_cache: Some(file.join("kept")), ..CollisionOptions::default() };
    assert_eq!(look(&nowhere), made);
}

/// Each takes a third of a second; more with PROPTEST_CASES.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12)
}

fn some_boxes() -> impl Strategy<Value = Vec<([f64; 3], [f64; 3])>> {
    let one = (prop::array::uniform3(-0.15..0.1_f64), prop::array::uniform3(0.01..0.2_f64));
    let one = one.prop_map(|(low, size)| (low, [0, 1, 2].map(|i| low[i] + size[i])));
    prop::collection::vec(one, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// Whatever the mesh: a box of 5 mm anywhere inside of it is found. (A speck on its surface, too.)
    #[test]
    fn what_is_inside_is_found(parts in some_boxes(), places in prop::collection::vec((any::<prop::sample::Index>(), prop::array::uniform3(0.0..=1.0_f64)), 60)) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("some.obj");
        std::fs::write(&file, boxes(&parts)).unwrap();
        let speck = model(&probe("<collision><geometry><sphere radius='1e-6'/></geometry></collision>"), &file, CollisionOptions::default());
        let block = model(&probe("<collision><geometry><box size='0.005 0.005 0.005'/></geometry></collision>"), &file, CollisionOptions::default());
        let (mut specks, mut blocks) = (Checker::new(&speck), Checker::new(&block));
        for (which, share) in places {
            let (low, high) = parts[which.index(parts.len())];
            let at = |margin: f64| [0, 1, 2].map(|i| low[i] + margin + (high[i] - low[i] - 2.0 * margin) * share[i]);
            prop_assert!(blocks.clearance(&block, &at(0.0025)).distance <= 0.0, "a box at {:?}", at(0.0025));
            // One of the faces.
            let mut on_face = at(0.0);
            let axis = which.index(3);
            on_face[axis] = if share[axis] < 0.5 { low[axis] } else { high[axis] };
            prop_assert!(specks.clearance(&speck, &on_face).distance <= 0.0, "on the surface at {on_face:?}");
        }
    }

    /// Triangles of no shape at all, flat ones, single ones, points: a body that contains them, and no panic.
    #[test]
    fn any_triangles_are_contained(
        points in prop::collection::vec(prop::array::uniform3(prop_oneof![-0.2..0.2_f64, Just(0.0), Just(1e-9), Just(0.1)]), 1..30),
        faces in prop::collection::vec(prop::array::uniform3(any::<prop::sample::Index>()), 0..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("some.obj");
        let mut obj = String::new();
        points.iter().for_each(|[x, y, z]| writeln!(obj, "v {x} {y} {z}").unwrap());
        for face in &faces {
            let [a, b, c] = face.each_ref().map(|i| i.index(points.len()) + 1);
            writeln!(obj, "f {a} {b} {c}").unwrap();
        }
        std::fs::write(&file, obj).unwrap();
        let joints = JointNames::new(["to_x", "to_y", "to_z"]).unwrap();
        let robot = probe("<collision><geometry><sphere radius='1e-6'/></geometry></collision>");
        let Ok(model) = CollisionModel::new(&robot, None, &joints, &cell(&file), &CollisionOptions::default()) else { return Ok(()) };
        let mut checker = Checker::new(&model);
        for face in &faces {
            let [a, b, c] = face.each_ref().map(|i| Vector3::from(points[i.index(points.len())]));
            for place in [a, b, c, (a + b) / 2.0, (a + b + c) / 3.0] {
                let found = checker.clearance(&model, place.as_slice()).distance;
                prop_assert!(found <= 1e-6, "{place:?}: {found}");
            }
        }
    }
}
