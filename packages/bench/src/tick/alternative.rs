//! What the filter's check is compared with: every configuration of a window, every pair, by parry's distance.
//!
//! It is what one writes first, and it says less: nothing is looked at between two points.

use crate::tick::robot::{Cell, Robot};
use anyhow::{Context, Result, bail};
use efm_robot::{Primitive, Shape, TreeKinematics};
use efm_safety::VerifiedWindow;
use nalgebra::Isometry3;
use parry3d_f64::math::{Pose, Rotation, Vector};
use parry3d_f64::query;
use parry3d_f64::shape::{Ball, Capsule, Cuboid, HalfSpace, SharedShape};
use std::collections::HashSet;

struct Body {
    link: usize,
    origin: Isometry3<f64>,
    shape: SharedShape,
    name: String,
}

/// The pairs that the filter checks.
pub struct ByParry {
    tree: TreeKinematics,
    bodies: Vec<Body>,
    pairs: Vec<(usize, usize)>,
    columns: Vec<Vec<usize>>,
    poses: Vec<Isometry3<f64>>,
    placed: Vec<Pose>,
    q: Vec<f64>,
}

fn pose(at: &Isometry3<f64>) -> Pose {
    let (t, q) = (at.translation.vector, at.rotation.coords);
    Pose::from_parts(Vector::new(t.x, t.y, t.z), Rotation::from_xyzw(q.x, q.y, q.z, q.w))
}

impl ByParry {
    /// Of a robot in a cell.
    ///
    /// # Errors
    /// When there is a shape that it does not know, or its pairs are not those of the filter.
    pub fn new(robot: &Robot, cell: &Cell) -> Result<Self> {
        let root = robot.model.link_index(&robot.model.root().name).context("no root")?;
        let mut bodies = Vec::new();
        let mut add = |link: usize, p: &Primitive, name: &str| -> Result<()> {
            let shape = match &p.shape {
                Shape::Capsule { radius, length } => SharedShape::new(Capsule::new_z(length / 2.0, *radius)),
                Shape::Sphere { radius } => SharedShape::new(Ball::new(*radius)),
                Shape::Box { size } => SharedShape::new(Cuboid::new(Vector::new(size.x, size.y, size.z) / 2.0)),
                other => bail!("'{name}': {other:?} is not compared"),
            };
            bodies.push(Body { link, origin: p.origin, shape, name: name.to_owned() });
            Ok(())
        };
        for (i, link) in robot.model.links().iter().enumerate() {
            link.collisions.iter().try_for_each(|p| add(i, p, &link.name))?;
        }
        for object in &cell.obstacles.objects {
            object.shapes.iter().try_for_each(|p| add(root, p, &object.id))?;
        }
        for object in cell.obstacles.objects.iter().filter(|o| !o.planes.is_empty()) {
            // The table: the one plane of the shipped cell is z = 0.
            let shape = SharedShape::new(HalfSpace::new(Vector::Z));
            bodies.push(Body { link: root, origin: Isometry3::identity(), shape, name: object.id.clone() });
        }
        let checked: HashSet<(&str, &str)> =
            (0..cell.bodies.pairs()).map(|i| cell.bodies.pair_names(i)).flat_map(|(a, b)| [(a, b), (b, a)]).collect();
        let both = |a: usize| (a + 1..bodies.len()).map(move |b| (a, b));
        let pairs: Vec<(usize, usize)> = (0..bodies.len())
            .flat_map(both)
            .filter(|(a, b)| checked.contains(&(bodies[*a].name.as_str(), bodies[*b].name.as_str())))
            .collect();
        if pairs.len() != cell.bodies.pairs() {
            bail!("{} pairs where the filter has {}", pairs.len(), cell.bodies.pairs());
        }
        let tree = TreeKinematics::new(&robot.model, robot.limits.joints())
            .map_err(|name| anyhow::anyhow!("no joint '{name}'"))?;
        let poses = vec![Isometry3::identity(); tree.links()];
        let placed = bodies.iter().map(|b| pose(&b.origin)).collect();
        Ok(Self { tree, pairs, columns: robot.columns(), poses, placed, q: robot.home.clone(), bodies })
    }

    /// Smallest distance at all points of the windows of a tick, metres.
    ///
    /// # Errors
    /// When parry does not know a pair of shapes.
    pub fn least(&mut self, windows: &[VerifiedWindow]) -> Result<f64> {
        let mut least = f64::INFINITY;
        for k in 0..windows.first().map_or(0, VerifiedWindow::len) {
            for (window, columns) in windows.iter().zip(&self.columns) {
                for (column, joint) in columns.iter().enumerate() {
                    self.q[*joint] = window.positions(k)[column];
                }
            }
            self.tree.link_poses(&self.q, &mut self.poses);
            for (body, placed) in self.bodies.iter().zip(&mut self.placed) {
                *placed = pose(&(self.poses[body.link] * body.origin));
            }
            for (a, b) in &self.pairs {
                let (one, other) = (&self.bodies[*a].shape, &self.bodies[*b].shape);
                let found = query::distance(&self.placed[*a], &**one, &self.placed[*b], &**other)?.distance;
                least = least.min(found);
            }
        }
        Ok(least)
    }
}
