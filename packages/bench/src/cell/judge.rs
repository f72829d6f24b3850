//! The judge that does not simulate: the robot's collision shapes, placed by its kinematics, measured by parry.

use crate::cell::scene::{Obstacle, Solid};
use anyhow::{Context, Result};
use efm_core::JointNames;
use efm_robot::{RobotModel, Shape as LinkShape, Srdf, TreeKinematics};
use nalgebra::{Isometry3, UnitQuaternion, Vector3};
use parry3d_f64::math::{Pose, Rotation, Vector};
use parry3d_f64::query;
use parry3d_f64::shape::{Ball, Cuboid, Cylinder, HalfSpace, Segment, Shape};

/// A core that is rounded by a radius.
struct Body {
    /// Place of the link; none for what stands in the cell.
    link: Option<usize>,
    name: String,
    origin: Isometry3<f64>,
    shape: Box<dyn Shape>,
    radius: f64,
    /// Radius of a ball around its origin that holds it; infinite for the table.
    bound: f64,
}

/// Two names that are near each other, and by how much; 0 where they overlap (rounded shapes: below 0).
#[derive(Debug, Clone, PartialEq)]
pub struct Closest {
    /// Metres; the horizon of the question where nothing is nearer.
    pub distance: f64,
    /// Which pair, if any is nearer than the horizon.
    pub pair: Option<usize>,
}

/// See the module. Pairs that the SRDF disables and declared contacts are left out.
pub struct Judge {
    tree: TreeKinematics,
    poses: Vec<Isometry3<f64>>,
    placed: Vec<Isometry3<f64>>,
    bodies: Vec<Body>,
    robot: usize,
    pairs: Vec<(usize, usize)>,
    own_pairs: usize,
    disabled: Vec<(String, String)>,
}

fn core(shape: &LinkShape) -> Option<(Box<dyn Shape>, f64, f64)> {
    Some(match shape {
        LinkShape::Capsule { radius, length } => {
            let end = Vector::new(0.0, 0.0, length / 2.0);
            (Box::new(Segment::new(-end, end)), *radius, length / 2.0 + radius)
        }
        LinkShape::Sphere { radius } => (Box::new(Ball::new(*radius)), 0.0, *radius),
        LinkShape::Box { size } => {
            let half = size / 2.0;
            (Box::new(Cuboid::new(Vector::new(half.x, half.y, half.z))), 0.0, half.norm())
        }
        LinkShape::Cylinder { radius, length } => {
            (Box::new(Cylinder::new(length / 2.0, *radius)), 0.0, radius.hypot(length / 2.0))
        }
        LinkShape::Mesh { .. } => return None,
    })
}

/// Parry's cylinders lie along y.
fn upright(shape: &LinkShape, origin: &Isometry3<f64>) -> Isometry3<f64> {
    let turn = UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::FRAC_PI_2);
    if matches!(shape, LinkShape::Cylinder { .. }) { origin * turn } else { *origin }
}

fn pose(at: &Isometry3<f64>) -> Pose {
    let (t, q) = (at.translation.vector, at.rotation.coords);
    Pose::from_parts(Vector::new(t.x, t.y, t.z), Rotation::from_xyzw(q.x, q.y, q.z, q.w))
}

impl Judge {
    /// The robot alone, and the table below it.
    ///
    /// # Errors
    /// A joint that the robot does not have, or a mesh.
    pub fn new(model: &RobotModel, srdf: &Srdf, joints: &JointNames) -> Result<Self> {
        let tree = TreeKinematics::new(model, joints).map_err(|name| anyhow::anyhow!("no joint '{name}'"))?;
        let mut bodies = Vec::new();
        for (link, l) in model.links().iter().enumerate() {
            for c in &l.collisions {
                let (shape, radius, bound) = core(&c.shape).context("the robot has a mesh")?;
                let origin = upright(&c.shape, &c.origin);
                bodies.push(Body { link: Some(link), name: l.name.clone(), origin, shape, radius, bound });
            }
        }
        let disabled = srdf.disabled_pairs().iter().map(|p| (p.link1.clone(), p.link2.clone())).collect();
        let robot = bodies.len();
        let poses = vec![Isometry3::identity(); tree.links()];
        let mut made = Self { tree, poses, placed: vec![], bodies, robot, pairs: vec![], own_pairs: 0, disabled };
        for a in 0..robot {
            for b in a + 1..robot {
                if made.bodies[a].link != made.bodies[b].link && !made.declared(a, b) {
                    made.pairs.push((a, b));
                }
            }
        }
        made.own_pairs = made.pairs.len();
        made.placed = vec![Isometry3::identity(); robot];
        made.set_obstacles(&[]);
        Ok(made)
    }

    fn declared(&self, a: usize, b: usize) -> bool {
        is_declared(&self.disabled, &self.bodies[a].name, &self.bodies[b].name)
    }

    /// Puts other obstacles into the cell.
    pub fn set_obstacles(&mut self, obstacles: &[Obstacle]) {
        self.bodies.truncate(self.robot);
        self.pairs.truncate(self.own_pairs);
        self.placed.truncate(self.robot);
        self.bodies.push(Body {
            link: None,
            name: super::scene::TABLE.to_owned(),
            origin: Isometry3::identity(),
            shape: Box::new(HalfSpace::new(Vector::Z)),
            radius: 0.0,
            bound: f64::INFINITY,
        });
        for o in obstacles {
            let shape = match o.solid {
                Solid::Box { size } => LinkShape::Box { size: Vector3::from(size) },
                Solid::Sphere { radius } => LinkShape::Sphere { radius },
                Solid::Cylinder { radius, length } => LinkShape::Cylinder { radius, length },
                Solid::Capsule { radius, length } => LinkShape::Capsule { radius, length },
            };
            if let Some((core, radius, bound)) = core(&shape) {
                let origin = upright(&shape, &o.pose);
                self.bodies.push(Body { link: None, name: o.name.clone(), origin, shape: core, radius, bound });
            }
        }
        for b in self.robot..self.bodies.len() {
            self.placed.push(self.bodies[b].origin);
            for a in 0..self.robot {
                // The first link stands still.
                if self.bodies[a].link != Some(0) && !self.declared(a, b) {
                    self.pairs.push((a, b));
                }
            }
        }
    }

    /// The smallest distance at a configuration (in the order of the joints), if it is below `horizon`, metres.
    pub fn closest(&mut self, q: &[f64], horizon: f64) -> Closest {
        self.among(q, horizon, 0)
    }

    /// The same to what stands in the cell only.
    pub fn to_cell(&mut self, q: &[f64], horizon: f64) -> Closest {
        self.among(q, horizon, self.own_pairs)
    }

    fn among(&mut self, q: &[f64], horizon: f64, first: usize) -> Closest {
        self.tree.link_poses(q, &mut self.poses);
        for (body, placed) in self.bodies[..self.robot].iter().zip(&mut self.placed) {
            if let Some(link) = body.link {
                *placed = self.poses[link] * body.origin;
            }
        }
        let mut best = Closest { distance: horizon, pair: None };
        for (i, (a, b)) in self.pairs.iter().enumerate().skip(first) {
            let (one, other) = (&self.bodies[*a], &self.bodies[*b]);
            let (at, there) = (&self.placed[*a], &self.placed[*b]);
            let apart = if other.bound.is_finite() {
                (at.translation.vector - there.translation.vector).norm() - one.bound - other.bound
            } else {
                at.translation.vector.z - one.bound
            };
            if apart >= best.distance {
                continue;
            }
            let cores = query::distance(&pose(at), &*one.shape, &pose(there), &*other.shape);
            // Every kind of shape here is supported; what is not would be an overlap.
            let distance = cores.map_or(0.0, |d| d.distance) - one.radius - other.radius;
            if distance < best.distance {
                best = Closest { distance, pair: Some(i) };
            }
        }
        best
    }

    /// Names of a pair.
    pub fn names(&self, pair: usize) -> (&str, &str) {
        let (a, b) = self.pairs[pair];
        (&self.bodies[a].name, &self.bodies[b].name)
    }
}

/// Whether two bodies may touch: pairs that the SRDF disables. Nothing is grasped here, so no contact is declared.
pub fn is_declared(disabled: &[(String, String)], a: &str, b: &str) -> bool {
    a == b || disabled.iter().any(|(c, d)| (c == a && d == b) || (c == b && d == a))
}
