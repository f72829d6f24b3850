//! How long a check takes: `cargo build --workspace --example collision_timing && target/debug/examples/collision_timing`.
//!
//! The Panda over its table among random boxes: one configuration (forward kinematics and all pairs), the same pairs by parry, and one step of
//! a motion, checked between its ends too. Medians over many configurations; the ratio is from the same run.
#![allow(clippy::unwrap_used)] // An example: what is wrong with its files ends it.

use efm_collision::{Checker, CollisionModel, CollisionObject, CollisionOptions, Obstacles};
use efm_core::JointNames;
use efm_robot::{Primitive, RobotModel, Shape, Srdf, TreeKinematics};
use nalgebra::{Isometry3, Vector3};
use parry3d_f64::math::{Pose, Rotation, Vector};
use parry3d_f64::query;
use parry3d_f64::shape::{Capsule, Cuboid, HalfSpace, SharedShape};
use std::hint::black_box;
use std::time::Instant;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const CONFIGURATIONS: usize = 400;
/// Steps of 10 ms a motion, as long as a stop.
const STEPS: usize = 30;

struct Random(u64);

impl Random {
    fn next(&mut self, low: f64, high: f64) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + (high - low) * (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn main() {
    let robot = RobotModel::load(format!("{ROOT}/urdf/panda.urdf")).unwrap();
    let srdf = Srdf::load(format!("{ROOT}/urdf/panda.srdf"), &robot).unwrap();
    let joints = JointNames::new(srdf.group("panda_arm_hand").unwrap().joints.clone()).unwrap();
    println!(
        "{:>6} {:>6} | {:>14} {:>9} {:>6} | {:>14} {:>12} {:>14}",
        "boxes", "pairs", "configuration", "parry", "ratio", "a step", "30 steps", "slowest of 400"
    );
    for boxes in [0, 4, 8, 16, 32, 64] {
        let mut random = Random(7);
        let mut cell = Obstacles::load(format!("{ROOT}/config/panda_obstacles.yaml")).unwrap();
        for i in 0..boxes {
            let (angle, radius) = (random.next(-3.1, 3.1), random.next(0.5, 0.9));
            let origin = Isometry3::translation(radius * angle.cos(), radius * angle.sin(), random.next(0.0, 0.9))
                * Isometry3::rotation(Vector3::new(random.next(-2.0, 2.0), random.next(-2.0, 2.0), 0.0));
            let size = Vector3::from_fn(|_, _| random.next(0.03, 0.12));
            let shapes = vec![Primitive { origin, shape: Shape::Box { size }, colour: None }];
            cell.objects.push(CollisionObject { id: format!("box{i}"), shapes, ..CollisionObject::default() });
        }
        let model = CollisionModel::new(&robot, Some(&srdf), &joints, &cell, &CollisionOptions::default()).unwrap();
        let mut checker = Checker::new(&model);
        let within = |random: &mut Random| -> Vec<f64> {
            let bounds = joints.iter().map(|name| robot.joint(name).unwrap().limit);
            bounds.map(|limit| random.next(limit.lower.unwrap(), limit.upper.unwrap())).collect()
        };
        // Configurations without contact, as those of a verified motion are.
        let mut configurations = Vec::new();
        while configurations.len() < CONFIGURATIONS {
            let q = within(&mut random);
            if checker.clearance(&model, &q).distance > 0.02 {
                configurations.push(q);
            }
        }
        let ours = median(configurations.iter().map(|q| timed(20, || checker.clearance(&model, q))).collect());
        let reference = Reference::new(&robot, &cell, &model, &joints);
        let mut scratch = vec![Isometry3::identity(); robot.links().len()];
        let theirs = median(configurations.iter().map(|q| timed(2, || reference.clearance(q, &mut scratch))).collect());

        let (mut steps, mut motions) = (Vec::new(), Vec::new());
        for q in &configurations {
            let speed: Vec<f64> = (0..8).map(|j| random.next(-1.0, 1.0) * if j < 7 { 2.0 } else { 0.02 }).collect();
            let travel: Vec<f64> = speed.iter().map(|v| v.abs() * 0.01).collect();
            let path: Vec<Vec<f64>> =
                (0..=STEPS).map(|k| q.iter().zip(&speed).map(|(q, v)| q + v * 0.01 * k as f64).collect()).collect();
            // Until it is refused or at its end; the least of some runs is free of what else the machine does.
            let mut done = 0;
            let motion = timed(7, || {
                checker.begin(&model, &path[0]).unwrap();
                done = path[1..].iter().take_while(|next| checker.advance(&model, next, &travel).is_ok()).count();
            });
            motions.push(motion);
            if done == STEPS {
                steps.push(motion / STEPS as f64);
            }
        }
        steps.sort_by(f64::total_cmp);
        motions.sort_by(f64::total_cmp);
        println!(
            "{boxes:>6} {:>6} | {ours:>11.2} us {theirs:>6.1} us {:>6.1} | {:>11.2} us {:>9.2} us {:>11.1} us",
            model.pairs(),
            theirs / ours,
            steps[steps.len() / 2],
            motions[motions.len() / 2],
            motions[motions.len() - 1]
        );
    }
}

/// Microseconds of one call, the least of `times`.
fn timed<T>(times: usize, mut call: impl FnMut() -> T) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..times {
        let start = Instant::now();
        black_box(call());
        least = least.min(start.elapsed().as_secs_f64() * 1e6);
    }
    least
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The same pairs by parry's distance queries.
struct Reference {
    tree: TreeKinematics,
    shapes: Vec<(usize, Isometry3<f64>, SharedShape, String)>,
    pairs: Vec<(usize, usize)>,
}

fn to_parry(pose: &Isometry3<f64>) -> Pose {
    let (t, q) = (pose.translation.vector, pose.rotation.coords);
    Pose::from_parts(Vector::new(t.x, t.y, t.z), Rotation::from_xyzw(q.x, q.y, q.z, q.w))
}

impl Reference {
    fn new(robot: &RobotModel, cell: &Obstacles, model: &CollisionModel, joints: &JointNames) -> Self {
        let root = robot.link_index(&robot.root().name).unwrap();
        let mut shapes = Vec::new();
        let mut add = |link: usize, primitive: &Primitive, name: &str| {
            let shape = match &primitive.shape {
                Shape::Capsule { radius, length } => SharedShape::new(Capsule::new_z(length / 2.0, *radius)),
                Shape::Box { size } => SharedShape::new(Cuboid::new(Vector::new(size.x, size.y, size.z) / 2.0)),
                other => panic!("{other:?} is not in this cell"),
            };
            shapes.push((link, primitive.origin, shape, name.to_owned()));
        };
        for (i, link) in robot.links().iter().enumerate() {
            link.collisions.iter().for_each(|shape| add(i, shape, &link.name));
        }
        for object in &cell.objects {
            object.shapes.iter().for_each(|shape| add(root, shape, &object.id));
        }
        shapes.push((root, Isometry3::identity(), SharedShape::new(HalfSpace::new(Vector::Z)), "table".to_owned()));
        let checked: std::collections::HashSet<(String, String)> = (0..model.pairs())
            .map(|i| model.pair_names(i))
            .flat_map(|(a, b)| [(a.to_owned(), b.to_owned()), (b.to_owned(), a.to_owned())])
            .collect();
        let mut pairs = Vec::new();
        for a in 0..shapes.len() {
            for b in a + 1..shapes.len() {
                if checked.contains(&(shapes[a].3.clone(), shapes[b].3.clone())) {
                    pairs.push((a, b));
                }
            }
        }
        assert_eq!(pairs.len(), model.pairs());
        Self { tree: TreeKinematics::new(robot, joints).unwrap(), shapes, pairs }
    }

    fn clearance(&self, q: &[f64], poses: &mut [Isometry3<f64>]) -> f64 {
        self.tree.link_poses(q, poses);
        let placed: Vec<Pose> = self.shapes.iter().map(|(link, at, ..)| to_parry(&(poses[*link] * at))).collect();
        let distance = |&(a, b): &(usize, usize)| {
            let (one, other) = (&self.shapes[a].2, &self.shapes[b].2);
            query::distance(&placed[a], &**one, &placed[b], &**other).unwrap().distance
        };
        self.pairs.iter().map(distance).fold(f64::INFINITY, f64::min)
    }
}
