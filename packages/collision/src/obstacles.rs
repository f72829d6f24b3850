//! What stands in the cell, and the file that says so.

use crate::error::{CollisionError, kept};
use crate::scene::{SceneMesh, SceneObject, ScenePose, Solid};
use crate::scene_file;
use efm_core::reading;
use efm_robot::Primitive;
use nalgebra::{Isometry3, Unit, Vector3};
use serde::Deserialize;
use serde_yaml::Value;
use std::path::Path;

/// A half-space: solid where `normal . x + offset < 0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plane {
    /// Points to the free side.
    pub normal: Unit<Vector3<f64>>,
    /// Metres.
    pub offset: f64,
}

impl Plane {
    /// The same plane, given in a frame that has this pose, in the frame of that pose.
    pub fn moved(&self, pose: &Isometry3<f64>) -> Self {
        let normal = pose.rotation * self.normal;
        Self { normal, offset: self.offset - normal.dot(&pose.translation.vector) }
    }
}

/// Vertices of a mesh in their place; checked as their convex hull.
#[derive(Debug, Clone, PartialEq)]
pub struct PointMesh {
    /// Pose of the vertices' frame.
    pub origin: Isometry3<f64>,
    /// Metres.
    pub points: Vec<Vector3<f64>>,
}

/// A thing that stands in the cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CollisionObject {
    /// Its name; links, held objects and obstacles share one space of names.
    pub id: String,
    /// The link that it is placed in: the root (also "" and "world") or one that does not move relative to it.
    pub frame_id: String,
    /// Pose of the object in that frame.
    pub pose: Isometry3<f64>,
    /// Primitives and mesh files, in the object's frame.
    pub shapes: Vec<Primitive>,
    /// Half-spaces, in the object's frame.
    pub planes: Vec<Plane>,
    /// Meshes given by their vertices, in the object's frame.
    pub meshes: Vec<PointMesh>,
}

impl CollisionObject {
    /// Adds the shapes of another, whose frame has this pose in the frame of this one.
    pub(crate) fn append(&mut self, other: &Self, pose: &Isometry3<f64>) {
        let moved = |shape: &Primitive| Primitive { origin: pose * shape.origin, ..shape.clone() };
        self.shapes.extend(other.shapes.iter().map(moved));
        let moved = |mesh: &PointMesh| PointMesh { origin: pose * mesh.origin, ..mesh.clone() };
        self.meshes.extend(other.meshes.iter().map(moved));
        self.planes.extend(other.planes.iter().map(|plane| plane.moved(pose)));
    }
}

/// A thing that a link holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AttachedObject {
    /// The link that it moves with.
    pub link: String,
    /// Its name.
    pub id: String,
    /// Pose of the object in the link's frame.
    pub pose: Isometry3<f64>,
    /// Primitives and mesh files, in the object's frame.
    pub shapes: Vec<Primitive>,
    /// Meshes given by their vertices, in the object's frame.
    pub meshes: Vec<PointMesh>,
    /// Links that it may touch.
    pub touch_links: Vec<String>,
}

/// The cell: obstacles, what the robot holds at the start, and declared contacts.
///
/// The file speaks MoveIt's language (moveit_msgs/CollisionObject, AttachedCollisionObject, the allowed pairs of an
/// AllowedCollisionMatrix):
///
/// ```yaml
/// collision_objects:
///   - id: table
///     frame_id: world                                   # the robot's root (as here), or a link that no given joint moves
///     primitives: [{type: box, dimensions: [0.8, 1.2, 0.05]}]   # box, sphere, cylinder, cone, capsule
///     primitive_poses: [{position: [0.5, 0.0, -0.025], orientation: [0, 0, 0, 1]}]
///   - id: floor
///     planes: [{coef: [0, 0, 1, 0.7]}]                   # solid where a x + b y + c z + d < 0
///     plane_poses: [{position: [0, 0, 0]}]
/// attached_collision_objects:
///   - link_name: panda_hand
///     object: {id: camera, primitives: [...], primitive_poses: [...]}   # in the link's frame
///     touch_links: [panda_link7]
/// allowed_collisions: [[panda_leftfinger, table]]
/// ```
///
/// MoveIt's own `.scene` files (rviz's "Export Scene Geometry as Text") are read as well, the old form and the new one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Obstacles {
    /// What stands in the cell.
    pub objects: Vec<CollisionObject>,
    /// What the robot holds.
    pub attached: Vec<AttachedObject>,
    /// Pairs of names that may touch.
    pub allowed: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    collision_objects: Vec<Value>,
    #[serde(default)]
    attached_collision_objects: Vec<Value>,
    #[serde(default)]
    allowed_collisions: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawObject {
    id: String,
    #[serde(default)]
    frame_id: String,
    #[serde(default)]
    pose: ScenePose,
    #[serde(default)]
    primitives: Vec<Solid>,
    #[serde(default)]
    primitive_poses: Vec<ScenePose>,
    #[serde(default)]
    meshes: Vec<RawMesh>,
    #[serde(default)]
    mesh_poses: Vec<ScenePose>,
    #[serde(default)]
    planes: Vec<RawPlane>,
    #[serde(default)]
    plane_poses: Vec<ScenePose>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMesh {
    resource: String,
    #[serde(default = "full_size")]
    scale: [f64; 3],
}

fn full_size() -> [f64; 3] {
    [1.0; 3]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlane {
    coef: [f64; 4],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAttached {
    link_name: String,
    object: Value,
    #[serde(default)]
    touch_links: Vec<String>,
}

impl Obstacles {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or as [`Obstacles::parse`]; the file is named.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, CollisionError> {
        let path = path.as_ref();
        let file = |problem: String| CollisionError::File { path: path.display().to_string(), problem };
        let text = reading::text(path, reading::SETTINGS).map_err(|error| file(format!("cannot be read: {error}")))?;
        Self::parse(&text).map_err(|error| file(error.to_string()))
    }

    /// Reads the text of a file. Links are looked up later, by [`crate::CollisionModel::new`].
    ///
    /// # Errors
    /// A field that does not exist or is missing, a number that is not finite, a wrong number of dimensions or poses: all of them, with object and field
    /// (of a `.scene` file with the line).
    pub fn parse(text: &str) -> Result<Self, CollisionError> {
        let place = || "file of obstacles".to_owned();
        let whole = |error: serde_yaml::Error| CollisionError::Entry {
            place: place(),
            problem: format!(
                "{}; wanted: collision_objects, attached_collision_objects and allowed_collisions in YAML, or a .scene file of MoveIt's",
                reading::said_by_parser(&error)
            ),
        };
        if scene_file::is_one(text) {
            return Ok(Self { objects: scene_file::read(text)?, ..Self::default() });
        }
        if let Some(problem) = reading::too_many_brackets(text) {
            return Err(CollisionError::Entry { place: place(), problem });
        }
        // A file of comments only is an empty cell.
        let raw: Option<RawFile> = serde_yaml::from_str(text).map_err(whole)?;
        let Some(raw) = raw else { return Ok(Self::default()) };
        let mut this = Self { allowed: raw.allowed_collisions, ..Self::default() };
        let mut wrong = Vec::new();
        for (i, value) in raw.collision_objects.into_iter().enumerate() {
            let object = read_object(value, &format!("collision_objects[{i}]")).and_then(|object| object.check());
            this.objects.extend(kept(object, &mut wrong));
        }
        for (i, value) in raw.attached_collision_objects.into_iter().enumerate() {
            let attached = read_attached(value, &format!("attached_collision_objects[{i}]"));
            this.attached.extend(kept(attached, &mut wrong));
        }
        CollisionError::all(wrong)?;
        Ok(this)
    }
}

fn read_attached(value: Value, place: &str) -> Result<AttachedObject, CollisionError> {
    let raw: RawAttached = serde_yaml::from_value(value)
        .map_err(|error| CollisionError::Entry { place: place.to_owned(), problem: reading::said_by_parser(&error) })?;
    let object = read_object(raw.object, &format!("{place}.object"))?.check()?;
    let wrong =
        |problem: &str| CollisionError::Entry { place: format!("object '{}'", object.id), problem: problem.to_owned() };
    if !object.frame_id.is_empty() && object.frame_id != raw.link_name {
        return Err(wrong("frame_id: a held object is placed in the frame of its link_name; leave it out"));
    }
    if !object.planes.is_empty() {
        return Err(wrong("planes: a held object has an end; give primitives or meshes"));
    }
    Ok(AttachedObject {
        link: raw.link_name,
        id: object.id,
        pose: object.pose,
        shapes: object.shapes,
        meshes: object.meshes,
        touch_links: raw.touch_links,
    })
}

/// Errors name the object by its id where it has one.
fn read_object(value: Value, place: &str) -> Result<SceneObject, CollisionError> {
    let id = value.get("id").and_then(Value::as_str).map(|id| format!("object '{id}'"));
    let raw: RawObject = serde_yaml::from_value(value).map_err(|error| CollisionError::Entry {
        place: id.unwrap_or_else(|| place.to_owned()),
        problem: reading::said_by_parser(&error),
    })?;
    let mesh = |mesh: RawMesh| SceneMesh::File { resource: mesh.resource, scale: mesh.scale };
    Ok(SceneObject {
        id: raw.id,
        frame_id: raw.frame_id,
        pose: raw.pose,
        primitives: raw.primitives,
        primitive_poses: raw.primitive_poses,
        meshes: raw.meshes.into_iter().map(mesh).collect(),
        mesh_poses: raw.mesh_poses,
        planes: raw.planes.into_iter().map(|plane| plane.coef).collect(),
        plane_poses: raw.plane_poses,
    })
}
