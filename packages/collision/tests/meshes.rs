//! Meshes become convex bodies that contain them, and files that cannot be read are named.
#![allow(clippy::unwrap_used)]

use efm_collision::{Checker, CollisionModel, CollisionObject, CollisionOptions, MeshFiles, Obstacles, PointMesh};
use efm_core::JointNames;
use efm_robot::{Primitive, RobotModel, Shape};
use nalgebra::{Isometry3, Vector3};
use parry3d_f64::math::{Pose, Vector};
use parry3d_f64::query;
use parry3d_f64::shape::{Ball, ConvexPolyhedron};
use proptest::prelude::*;
use std::path::Path;

/// A ball of 20 mm on a slide along x, from -2 to 2 m.
fn slide(mesh: &str) -> RobotModel {
    RobotModel::from_urdf(&format!(
        "<robot name='r'><link name='rail'/><link name='ball'><collision><geometry>{mesh}</geometry></collision></link>\
         <joint name='x' type='prismatic'><parent link='rail'/><child link='ball'/><axis xyz='1 0 0'/>\
         <limit lower='-2' upper='2' velocity='1' effort='1'/></joint></robot>"
    ))
    .unwrap()
}

fn checked(robot: &RobotModel, cell: &Obstacles, files: MeshFiles) -> Result<CollisionModel, String> {
    let options = CollisionOptions { mesh_files: files, ..CollisionOptions::default() };
    let joints = JointNames::new(["x"]).unwrap();
    CollisionModel::new(robot, None, &joints, cell, &options).map_err(|error| error.to_string())
}

const BALL: &str = "<sphere radius='0.02'/>";

/// A tetrahedron with its tip at x = 0.1.
const OBJ: &str = "v 0.1 0 0\nv 0 0.1 0\nv 0 -0.1 0\nv 0 0 0.2\nf 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 3 4\n";

fn ascii_stl() -> String {
    let corners = [[0.1, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, -0.1, 0.0], [0.0, 0.0, 0.2]];
    let mut text = "solid tip\n".to_owned();
    for face in [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]] {
        text += "facet normal 0 0 0\nouter loop\n";
        for [x, y, z] in face.map(|i: usize| corners[i]) {
            text += &format!("vertex {x} {y} {z}\n");
        }
        text += "endloop\nendfacet\n";
    }
    text + "endsolid tip\n"
}

fn mesh_object(resource: &str, scale: f64) -> Obstacles {
    let shape = Shape::Mesh { filename: resource.to_owned(), scale: Vector3::repeat(scale) };
    let shapes = vec![Primitive { origin: Isometry3::identity(), shape, colour: None }];
    let object = CollisionObject { id: "tip".to_owned(), shapes, ..CollisionObject::default() };
    Obstacles { objects: vec![object], ..Obstacles::default() }
}

#[test]
fn meshes_of_both_formats_are_found_by_package_path_and_scaled() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tip.obj"), OBJ).unwrap();
    std::fs::write(folder.path().join("tip.stl"), ascii_stl()).unwrap();
    let root = folder.path().to_owned();
    let files = MeshFiles::new(move |name: &str| {
        name.strip_prefix("package://parts/").map(|rest| root.join(rest)).ok_or_else(|| "which package?".to_owned())
    });
    for (file, scale) in [("tip.obj", 1.0), ("tip.stl", 1.0), ("tip.stl", 2.0)] {
        let cell = mesh_object(&format!("package://parts/{file}"), scale);
        let model = checked(&slide(BALL), &cell, files.clone()).unwrap();
        let found = Checker::new(&model).clearance(&model, &[0.5]).distance;
        assert!((found - (0.5 - 0.1 * scale - 0.02)).abs() < 1e-6, "{file} {scale}: {found}");
    }
    // A link's mesh too, by the same way.
    let robot = slide("<mesh filename='package://parts/tip.obj'/>");
    let wall = "collision_objects: [{id: wall, planes: [{coef: [-1, 0, 0, 1]}], plane_poses: [{position: [0, 0, 0]}]}]";
    let model = checked(&robot, &Obstacles::parse(wall).unwrap(), files).unwrap();
    let found = Checker::new(&model).clearance(&model, &[0.5]).distance;
    assert!((found - 0.4).abs() < 1e-6, "{found}");
}

#[test]
fn a_mesh_that_cannot_be_read_is_named_with_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("broken.stl"), "solid\nfacet nonsense").unwrap();
    std::fs::write(path("empty.obj"), "# nothing\n").unwrap();
    std::fs::write(path("nan.obj"), OBJ.replace("0.1 0 0", "nan 0 0")).unwrap();
    for (file, said) in [
        (path("missing.stl"), "missing.stl"),
        (path("broken.stl"), "broken.stl"),
        (path("empty.obj"), "no vertices"),
        (path("nan.obj"), "not finite"),
        (path("arm.step"), "STL, OBJ, Collada"),
        ("package://arm/link.stl".to_owned(), "'package://' cannot be looked up"),
    ] {
        let robot = slide(&format!("<mesh filename='{file}'/>"));
        let message = checked(&robot, &Obstacles::default(), MeshFiles::default()).unwrap_err();
        assert!(message.starts_with("link 'ball': mesh '") && message.contains(said), "{message}");
    }
    let message = checked(&slide(BALL), &mesh_object(&path("missing.obj"), 1.0), MeshFiles::default()).unwrap_err();
    assert!(message.contains("object 'tip'"), "{message}");
    assert!(!Path::new(&path("missing.obj")).exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_body_of_a_mesh_contains_it_and_is_larger_by_little(
        cloud in prop::collection::vec(prop::array::uniform3(-1.0..1.0_f64), 8..200), round in any::<bool>(), x in 0.3..1.0_f64
    ) {
        // A cloud in a box or, where nearly every point is a corner of the hull, on a ball.
        let points: Vec<Vector3<f64>> = cloud
            .iter()
            .map(|p| Vector3::from(*p))
            .filter(|p| p.norm() > 0.1)
            .map(|p| if round { p.normalize() * 0.12 } else { p * 0.15 })
            .collect();
        prop_assume!(points.len() > 5);
        let mesh = PointMesh { origin: Isometry3::translation(0.0, 0.01, 0.0), points: points.clone() };
        let object = CollisionObject { id: "cloud".to_owned(), meshes: vec![mesh], ..CollisionObject::default() };
        let cell = Obstacles { objects: vec![object], ..Obstacles::default() };
        let model = checked(&slide(BALL), &cell, MeshFiles::default()).unwrap();
        let found = Checker::new(&model).clearance(&model, &[x]).distance;
        let corners: Vec<Vector> = points.iter().map(|p| Vector::new(p.x, p.y, p.z)).collect();
        let Some(hull) = ConvexPolyhedron::from_convex_hull(&corners) else { return Ok(()) };
        let (at, there) = (Pose::translation(0.0, 0.01, 0.0), Pose::translation(x, 0.0, 0.0));
        let truth = query::distance(&at, &hull, &there, &Ball::new(0.02)).unwrap().distance;
        prop_assume!(truth > 0.0);
        let tolerance = model.options().mesh_tolerance;
        prop_assert!(found <= truth + 1e-8 && found >= truth - tolerance - 1e-8, "{found} {truth}");
    }
}
