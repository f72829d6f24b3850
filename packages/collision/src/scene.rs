//! Objects as MoveIt's planning scene describes them, before they are checked.

use crate::error::{CollisionError, kept};
use crate::obstacles::{CollisionObject, Plane, PointMesh};
use efm_core::reading::wrong_name;
use efm_robot::{Primitive, Shape};
use nalgebra::{Isometry3, Quaternion, Translation3, Unit, UnitQuaternion, Vector3};
use serde::Deserialize;

/// A pose (geometry_msgs/Pose).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenePose {
    /// x, y, z in metres.
    pub position: [f64; 3],
    /// Quaternion x, y, z, w.
    #[serde(default = "upright")]
    pub orientation: [f64; 4],
}

fn upright() -> [f64; 4] {
    [0.0, 0.0, 0.0, 1.0]
}

impl Default for ScenePose {
    fn default() -> Self {
        Self { position: [0.0; 3], orientation: upright() }
    }
}

impl ScenePose {
    /// # Errors
    /// A number that is not finite, or an orientation that is no unit quaternion within 1 %.
    pub fn isometry(&self) -> Result<Isometry3<f64>, String> {
        if !self.position.iter().chain(&self.orientation).all(|v| v.is_finite()) {
            return Err(format!("position {:?} and orientation {:?} must be finite", self.position, self.orientation));
        }
        let [x, y, z, w] = self.orientation;
        let orientation = Quaternion::new(w, x, y, z);
        if (orientation.norm() - 1.0).abs() > 0.01 {
            return Err(format!("orientation {:?} must be a unit quaternion x, y, z, w", self.orientation));
        }
        let [x, y, z] = self.position;
        Ok(Isometry3::from_parts(Translation3::new(x, y, z), UnitQuaternion::from_quaternion(orientation)))
    }
}

/// What a primitive is (the constants of shape_msgs/SolidPrimitive).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SolidKind {
    /// x, y, z edges. `BOX`, 1.
    Box,
    /// Radius. `SPHERE`, 2.
    Sphere,
    /// Height, radius. `CYLINDER`, 3.
    Cylinder,
    /// Height, radius; checked as the cylinder around it. `CONE`, 4.
    Cone,
    /// Distance of the centres of the caps, radius. Of ours: a message cannot say it.
    Capsule,
}

impl SolidKind {
    /// From the number that a message carries. `None` for a prism (5) and what does not exist.
    pub fn from_message(kind: u8) -> Option<Self> {
        [Self::Box, Self::Sphere, Self::Cylinder, Self::Cone].get(usize::from(kind).checked_sub(1)?).copied()
    }
}

/// A primitive (shape_msgs/SolidPrimitive).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Solid {
    /// Which.
    #[serde(rename = "type")]
    pub kind: SolidKind,
    /// Metres; how many and in which order depends on the kind.
    pub dimensions: Vec<f64>,
}

impl Solid {
    /// # Errors
    /// A wrong number of dimensions, or one that is not finite and positive.
    pub fn shape(&self) -> Result<Shape, String> {
        let (names, dimensions) = match self.kind {
            SolidKind::Box => ("x, y, z", 3),
            SolidKind::Sphere => ("radius", 1),
            SolidKind::Cylinder | SolidKind::Cone => ("height, radius", 2),
            SolidKind::Capsule => ("length, radius", 2),
        };
        let right = self.dimensions.len() == dimensions && self.dimensions.iter().all(|d| d.is_finite() && *d > 0.0);
        match (self.kind, self.dimensions.as_slice()) {
            (SolidKind::Box, &[x, y, z]) if right => Ok(Shape::Box { size: Vector3::new(x, y, z) }),
            (SolidKind::Sphere, &[radius]) if right => Ok(Shape::Sphere { radius }),
            (SolidKind::Cylinder | SolidKind::Cone, &[length, radius]) if right => {
                Ok(Shape::Cylinder { radius, length })
            }
            (SolidKind::Capsule, &[length, radius]) if right => Ok(Shape::Capsule { radius, length }),
            (kind, given) => {
                let kind = format!("{kind:?}").to_lowercase();
                Err(format!("dimensions {given:?} of a {kind} must be {dimensions} finite positive numbers: {names}"))
            }
        }
    }
}

/// A mesh: inline (shape_msgs/Mesh) or a file.
#[derive(Debug, Clone, PartialEq)]
pub enum SceneMesh {
    /// Vertices in metres; the triangles do not matter to a convex hull.
    Vertices(Vec<[f64; 3]>),
    /// Name of a file and scale along x, y, z.
    File {
        /// As [`crate::MeshFiles`] understands it.
        resource: String,
        /// 1 keeps the size.
        scale: [f64; 3],
    },
}

/// An object (moveit_msgs/CollisionObject), not checked yet. Every list of shapes has a list of poses of the same length, which are relative to
/// `pose`, which is relative to the frame.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SceneObject {
    /// Its name.
    pub id: String,
    /// A link; the root where it is empty or "world".
    pub frame_id: String,
    /// Pose of the object in the frame.
    pub pose: ScenePose,
    /// Primitives.
    pub primitives: Vec<Solid>,
    /// Their poses.
    pub primitive_poses: Vec<ScenePose>,
    /// Meshes, checked as their convex hulls.
    pub meshes: Vec<SceneMesh>,
    /// Their poses.
    pub mesh_poses: Vec<ScenePose>,
    /// a, b, c, d: solid where a x + b y + c z + d < 0, so the normal points to the free side.
    pub planes: Vec<[f64; 4]>,
    /// Their poses.
    pub plane_poses: Vec<ScenePose>,
}

impl SceneObject {
    /// Checks everything that can be checked without the robot.
    ///
    /// # Errors
    /// All that is wrong, with the object and the field.
    pub fn check(&self) -> Result<CollisionObject, CollisionError> {
        if let Some(problem) = wrong_name(&self.id) {
            return Err(CollisionError::Entry { place: "the id of an object".to_owned(), problem });
        }
        let wrong = |field: &str, problem: String| CollisionError::Entry {
            place: format!("object '{}': {field}", self.id),
            problem,
        };
        let mut all = Vec::new();
        if self.id.is_empty() {
            all.push(wrong("id", "it is empty; give the object a name".to_owned()));
        }
        let lengths = |field: &str, shapes: usize, poses: usize| {
            let problem = || format!("{poses} poses are given for {shapes}; give one each");
            if shapes == poses { Ok(()) } else { Err(wrong(field, problem())) }
        };
        for (field, shapes, poses) in [
            ("primitive_poses", self.primitives.len(), self.primitive_poses.len()),
            ("mesh_poses", self.meshes.len(), self.mesh_poses.len()),
            ("plane_poses", self.planes.len(), self.plane_poses.len()),
        ] {
            kept(lengths(field, shapes, poses), &mut all);
        }
        let whole = self.pose.isometry().map_err(|problem| wrong("pose", problem));
        let whole = kept(whole, &mut all).unwrap_or_default();
        let pose = |field: &str, i: usize, pose: &ScenePose| {
            pose.isometry().map_err(|problem| wrong(&format!("{field}[{i}]"), problem))
        };
        let (id, frame_id) = (self.id.clone(), self.frame_id.clone());
        let mut object = CollisionObject { id, frame_id, pose: whole, ..CollisionObject::default() };
        for (i, (solid, at)) in self.primitives.iter().zip(&self.primitive_poses).enumerate() {
            let shape = solid.shape().map_err(|problem| wrong(&format!("primitives[{i}]"), problem));
            if let (Some(shape), Some(origin)) = (kept(shape, &mut all), kept(pose("primitive_poses", i, at), &mut all))
            {
                object.shapes.push(Primitive { origin, shape, colour: None });
            }
        }
        for (i, (mesh, at)) in self.meshes.iter().zip(&self.mesh_poses).enumerate() {
            let Some(origin) = kept(pose("mesh_poses", i, at), &mut all) else { continue };
            match mesh {
                SceneMesh::File { resource, scale } => {
                    let shape = Shape::Mesh { filename: resource.clone(), scale: Vector3::from(*scale) };
                    object.shapes.push(Primitive { origin, shape, colour: None });
                }
                SceneMesh::Vertices(vertices) => {
                    if vertices.is_empty() || !vertices.iter().flatten().all(|v| v.is_finite()) {
                        let problem = "a mesh needs vertices, all finite".to_owned();
                        all.push(wrong(&format!("meshes[{i}]"), problem));
                        continue;
                    }
                    let points = vertices.iter().map(|v| Vector3::from(*v)).collect();
                    object.meshes.push(PointMesh { origin, points });
                }
            }
        }
        for (i, (coef, at)) in self.planes.iter().zip(&self.plane_poses).enumerate() {
            let Some(origin) = kept(pose("plane_poses", i, at), &mut all) else { continue };
            let [a, b, c, d] = *coef;
            let normal = Vector3::new(a, b, c);
            let plane = match Unit::try_new_and_get(normal, 1e-9) {
                Some((normal, length)) if coef.iter().all(|v| v.is_finite()) => Plane { normal, offset: d / length },
                _ => {
                    let problem = format!("coef {coef:?} must be finite, and a, b, c a direction");
                    all.push(wrong(&format!("planes[{i}]"), problem));
                    continue;
                }
            };
            object.planes.push(plane.moved(&origin));
        }
        CollisionError::all(all)?;
        Ok(object)
    }
}
