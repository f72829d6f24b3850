//! MoveIt's `.scene` files, and cells of which several things are wrong.
#![allow(clippy::unwrap_used)]

use efm_collision::{CollisionModel, CollisionOptions, MeshFiles, Obstacles};
use efm_core::JointNames;
use efm_robot::{RobotModel, Shape, Srdf};
use nalgebra::Vector3;
use proptest::prelude::*;

/// As MoveIt wrote them before objects had poses, and as it does since.
const OLD: &str = "foobar_scene\n* foo\n1\nbox\n2.58 1.36 0.31\n1.49257 1.00222 0.170051\n0 0 4.16377e-05 1\n0 0 1 0.3\n\
                   * bar of two\n2\ncylinder\n0.02 0.5\n0.45 0.49 0.35\n0 0 0 1\n1 0 0 1\nsphere\n0.1\n1 2 3\n0 0 0 1\n0 0 0 0\n.\n";
const NEW: &str = "scene\n* table\n1 0 0\n0 0 0.70710678 0.70710678\n3\nbox\n0.4 0.2 0.1\n1 0 0\n0 0 0 1\n0 0 0 0\n\
                   cone\n0.1 0.3\n0 0 0\n0 0 0 1\n0 0 0 0\nmesh\n4 2\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n0 1 2\n0 1 3\n0 0 5\n0 0 0 1\n0 0 0 0\n\
                   1\ncorner\n0 0 0\n0 0 0 1\n* wall\n0 0 0\n0 0 0 1\n1\nplane\n0 0 1 0.5\n0 0 0\n0 0 0 1\n0 0 0 0\n0\n.\n";

#[test]
fn moveits_old_and_new_scene_files_are_read() {
    let old = Obstacles::parse(OLD).unwrap();
    assert_eq!(old.objects.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(), ["foo", "bar of two"]);
    assert_eq!(old.objects[0].shapes[0].shape, Shape::Box { size: Vector3::new(2.58, 1.36, 0.31) });
    assert_eq!(old.objects[0].shapes[0].origin.translation.vector, Vector3::new(1.49257, 1.00222, 0.170051));
    assert_eq!(old.objects[1].shapes[0].shape, Shape::Cylinder { radius: 0.02, length: 0.5 });
    assert_eq!(old.objects[1].shapes[1].shape, Shape::Sphere { radius: 0.1 });
    let new = Obstacles::parse(NEW).unwrap();
    let table = &new.objects[0];
    let at = (table.pose * table.shapes[0].origin).translation.vector;
    assert!((at - Vector3::new(1.0, 1.0, 0.0)).norm() < 1e-6, "shapes are placed in their object: {at}");
    assert_eq!(table.shapes[1].shape, Shape::Cylinder { radius: 0.1, length: 0.3 });
    assert_eq!((table.meshes[0].points.len(), table.meshes[0].origin.translation.z), (4, 5.0));
    assert_eq!((new.objects[1].planes.len(), new.objects[1].planes[0].offset), (1, 0.5));
    assert!(Obstacles::parse("(noname)+\n.\n").unwrap().objects.is_empty());
    assert_eq!(Obstacles::parse(&NEW.replace('\n', "\r\n")).unwrap(), new);
}

#[test]
fn all_objects_that_are_wrong_in_a_scene_file_are_told_with_their_lines() {
    let text = "scene\n* a\n1\nbox\n1 1\n0 0 0\n0 0 0 1\n0 0 0 0\n* b\n1\npyramid\n1 1\n* c\n1\nsphere\n-1\n0 0 0\n0 0 0 1\n0 0 0 0\n\
                * d\n1\nbox\n1 1 1\n0 0 0\n0 0 0 5\n0 0 0 0\n* e\n9999999\n* f\n1\nsphere\nwide\n* g\n1\nsphere\n1\n0 0 0\n0 0 0 1\n0 0 0 0\n";
    let error = Obstacles::parse(text).unwrap_err().to_string();
    for said in [
        "object 'a': line",
        "object 'b': line 11: shape 'pyramid' is not read",
        "object 'c': primitives[0]: dimensions [-1.0]",
        "object 'd': primitive_poses[0]: orientation",
        "object 'e': line 28: the number of its shapes is 9999999",
        "object 'f': line 32: 'wide' stands where a radius (m) is wanted",
        "does not end with a line '.'",
    ] {
        assert!(error.contains(said), "'{error}' should say '{said}'");
    }
    assert!(!error.contains("'g'"), "{error}");
}

const URDF: &str = "<robot name='r'><link name='a'><collision><geometry><mesh filename='gone.stl'/></geometry></collision></link>\
    <link name='b'><collision><geometry><mesh filename='away.dae'/></geometry></collision><collision><geometry><sphere radius='0.1'/></geometry></collision></link>\
    <joint name='j' type='continuous'><parent link='a'/><child link='b'/></joint></robot>";

#[test]
fn all_that_is_wrong_with_a_robot_and_its_cell_is_told() {
    let cell = "collision_objects:\n\
        - {id: one, primitives: [{type: box, dimensions: [1, 1]}], primitive_poses: [{position: [0, 0, .nan]}]}\n\
        - {id: two, primitives: [{type: ball, dimensions: [1]}], primitive_poses: [{position: [0, 0, 0]}]}\n\
        - {id: three, planes: [{coef: [0, 0, 0, 1]}], plane_poses: [{position: [0, 0, 0]}, {position: [0, 0, 0]}]}\n\
        attached_collision_objects:\n- {link_name: b, object: {id: four, planes: [{coef: [0, 0, 1, 1]}], plane_poses: [{position: [0, 0, 0]}]}}\n";
    let error = Obstacles::parse(cell).unwrap_err().to_string();
    for said in [
        "'one': primitives[0]",
        "'one': primitive_poses[0]",
        "'two'",
        "ball",
        "'three': plane_poses",
        "'three': planes[0]",
        "'four'",
    ] {
        assert!(error.contains(said), "'{error}' should say '{said}'");
    }
    let cell = "collision_objects:\n\
        - {id: table, frame_id: desk, primitives: [{type: sphere, dimensions: [1]}], primitive_poses: [{position: [0, 0, 0]}]}\n\
        - {id: ball, frame_id: b, primitives: [{type: sphere, dimensions: [1]}], primitive_poses: [{position: [0, 0, 0]}]}\n\
        - {id: nothing}\n\
        attached_collision_objects:\n- {link_name: hand, touch_links: [finger], object: {id: cup, primitives: [{type: sphere, dimensions: [1]}], primitive_poses: [{position: [0, 0, 0]}]}}\n";
    let (robot, joints) = (RobotModel::from_urdf(URDF).unwrap(), JointNames::new(["j"]).unwrap());
    let error =
        CollisionModel::new(&robot, None, &joints, &Obstacles::parse(cell).unwrap(), &CollisionOptions::default());
    let error = error.unwrap_err().to_string();
    for said in [
        "link 'a': mesh 'gone.stl'",
        "link 'b': mesh 'away.dae'",
        "link 'desk'",
        "object 'ball' stands in frame 'b'",
        "object 'nothing'",
        "'hand'",
        "'finger'",
    ] {
        assert!(error.contains(said), "'{error}' should say '{said}'");
    }
}

/// a - b - c - d, a ball on each; joints turn about z.
fn four(srdf: &str) -> Vec<(String, String)> {
    let link = |name: &str| {
        format!("<link name='{name}'><collision><geometry><sphere radius='0.1'/></geometry></collision></link>")
    };
    let joint = |name: &str, parent: &str, child: &str| {
        format!(
            "<joint name='{name}' type='continuous'><origin xyz='1 0 0'/><parent link='{parent}'/><child link='{child}'/></joint>"
        )
    };
    let links: String = ["a", "b", "c", "d"].map(link).concat();
    let urdf = format!(
        "<robot name='r'>{links}{}{}{}</robot>",
        joint("i", "a", "b"),
        joint("j", "b", "c"),
        joint("k", "c", "d")
    );
    let robot = RobotModel::from_urdf(&urdf).unwrap();
    let srdf = Srdf::parse(&format!("<robot name='r'>{srdf}</robot>"), &robot).unwrap();
    let cell = Obstacles::parse("s\n* box\n1\nsphere\n0.1\n9 9 9\n0 0 0 1\n0 0 0 0\n.\n").unwrap();
    let joints = JointNames::new(["i", "j", "k"]).unwrap();
    let model = CollisionModel::new(&robot, Some(&srdf), &joints, &cell, &CollisionOptions::default()).unwrap();
    let mut pairs: Vec<(String, String)> = (0..model.pairs())
        .map(|pair| {
            let (one, other) = model.pair_names(pair);
            if one < other { (one.to_owned(), other.to_owned()) } else { (other.to_owned(), one.to_owned()) }
        })
        .collect();
    pairs.sort();
    pairs
}

#[test]
fn links_that_the_srdf_leaves_unchecked_are_checked_where_it_says_so() {
    let pairs = |srdf: &str| four(srdf).iter().map(|(a, b)| format!("{a}-{b}")).collect::<Vec<_>>().join(" ");
    assert_eq!(pairs(""), "a-c a-d b-box b-d box-c box-d");
    // As MoveIt 2: a default of the link, for what stands around as well.
    assert_eq!(pairs("<disable_default_collisions link='d'/>"), "a-c b-box box-c");
    assert_eq!(
        pairs("<disable_default_collisions link='d'/><enable_collisions link1='d' link2='a'/>"),
        "a-c a-d b-box box-c"
    );
    assert_eq!(pairs("<enable_collisions link1='c' link2='b'/>"), "a-c a-d b-box b-c b-d box-c box-d");
    // Disabled goes before enabled.
    assert_eq!(
        pairs("<enable_collisions link1='d' link2='a'/><disable_collisions link1='a' link2='d'/>"),
        "a-c b-box b-d box-c box-d"
    );
}

#[test]
fn a_mesh_that_is_likely_in_millimetres_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arm.obj");
    std::fs::write(&path, "v 0 0 0\nv 200 0 0\nv 0 50 0\nv 0 0 30\nf 1 2 3\nf 1 2 4\n").unwrap();
    let urdf = "<robot name='r'><link name='a'/><link name='b'><collision><geometry><mesh filename='arm.obj'/></geometry></collision></link>\
        <joint name='j' type='continuous'><parent link='a'/><child link='b'/></joint></robot>";
    let options =
        CollisionOptions { mesh_files: MeshFiles::new(move |_| Ok(path.clone())), ..CollisionOptions::default() };
    let joints = JointNames::new(["j"]).unwrap();
    let of = |urdf: &str| {
        let robot = RobotModel::from_urdf(urdf).unwrap();
        let model = CollisionModel::new(&robot, None, &joints, &Obstacles::default(), &options).unwrap();
        model.notes().collect::<Vec<_>>().join("\n")
    };
    let notes = of(urdf);
    assert!(notes.contains("link 'b': mesh 'arm.obj'") && notes.contains("millimetres"), "{notes}");
    assert_eq!(of(&urdf.replace("<mesh", "<mesh scale='0.001 0.001 0.001'")), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_the_reader_of_scenes_panic(
        changes in prop::collection::vec((0..NEW.len(), "[ -~\n]{0,3}"), 0..8),
        any in "(s\n)?[*. 0-9a-z\n-]{0,200}",
    ) {
        let mut text = NEW.to_owned();
        for (at, piece) in changes {
            let at = at.min(text.len());
            text.replace_range(at..(at + piece.len()).min(text.len()), &piece);
        }
        let _ = Obstacles::parse(&text);
        let _ = Obstacles::parse(&any);
    }
}
