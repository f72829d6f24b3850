//! What stands in the cell, where the arm begins and where it is sent.

use crate::cell::judge::Judge;
use crate::cell::policy::ARM;
use crate::rng::Rng;
use efm_safety::Limits;
use efm_sim::world::{FixedBody, FixedShape};
use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};
use std::fmt::Write;

/// Name of the table, as in `config/panda_obstacles.yaml`.
pub const TABLE: &str = "table";
/// The arm's ready pose.
pub const READY: [f64; ARM] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4];
/// How much farther than the least distance obstacles stand from the start, metres.
const ROOM: f64 = 0.02;

/// The form of an obstacle; cylinders and capsules along z. Metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Solid {
    /// Full edges.
    Box {
        /// Along x, y and z.
        size: [f64; 3],
    },
    /// A ball.
    Sphere {
        /// Radius.
        radius: f64,
    },
    /// Flat-ended.
    Cylinder {
        /// Radius.
        radius: f64,
        /// Height.
        length: f64,
    },
    /// Round-ended.
    Capsule {
        /// Radius.
        radius: f64,
        /// Between the centres of the caps.
        length: f64,
    },
}

/// An obstacle.
#[derive(Debug, Clone, PartialEq)]
pub struct Obstacle {
    /// Its name.
    pub name: String,
    /// Form.
    pub solid: Solid,
    /// In the frame of the robot's root.
    pub pose: Isometry3<f64>,
}

impl Obstacle {
    fn random(number: usize, rng: &mut Rng) -> Self {
        let mut edge = || rng.scale(0.03, 0.4);
        let sizes = [edge(), edge(), edge()];
        let solid = match rng.below(4) {
            0 => Solid::Box { size: sizes },
            1 => Solid::Sphere { radius: sizes[0] / 2.0 },
            2 => Solid::Cylinder { radius: sizes[0] / 2.0, length: sizes[1] },
            _ => Solid::Capsule { radius: sizes[0].min(sizes[1]) / 2.0, length: sizes[0].max(sizes[1]) },
        };
        // In the arm's reach around the shoulder, in all directions that are not deep in the table.
        let (reach, turn) = (rng.between(0.2, 0.95), rng.between(-std::f64::consts::PI, std::f64::consts::PI));
        let up = rng.between(-0.45, 0.95);
        let flat = (1.0 - up * up).sqrt() * reach;
        let at = Translation3::new(flat * turn.cos(), flat * turn.sin(), 0.333 + up * reach);
        let q = Quaternion::new(
            rng.between(-1.0, 1.0),
            rng.between(-1.0, 1.0),
            rng.between(-1.0, 1.0),
            rng.between(-1.0, 1.0),
        );
        let rotation = UnitQuaternion::try_new(q, 1e-3).unwrap_or_default();
        Self { name: format!("obstacle_{number}"), solid, pose: Isometry3::from_parts(at, rotation) }
    }

    /// As MuJoCo takes it.
    pub fn fixed(&self) -> FixedBody {
        let shape = match self.solid {
            Solid::Box { size } => FixedShape::Box { half: size.map(|s| s / 2.0) },
            Solid::Sphere { radius } => FixedShape::Sphere { radius },
            Solid::Cylinder { radius, length } => FixedShape::Cylinder { radius, half_length: length / 2.0 },
            Solid::Capsule { radius, length } => FixedShape::Capsule { radius, half_length: length / 2.0 },
        };
        let q = self.pose.rotation;
        FixedBody {
            name: self.name.clone(),
            shape,
            position: self.pose.translation.vector.into(),
            rotation: [q.w, q.i, q.j, q.k],
        }
    }
}

/// The table, as MuJoCo takes it.
pub fn table() -> FixedBody {
    FixedBody { name: TABLE.to_owned(), shape: FixedShape::Plane, position: [0.0; 3], rotation: [1.0, 0.0, 0.0, 0.0] }
}

/// The obstacles as a file that the filter reads (`config/panda_obstacles.yaml` tells of the format).
pub fn yaml(obstacles: &[Obstacle]) -> String {
    let mut out = "collision_objects:\n".to_owned();
    for o in obstacles {
        let (kind, dimensions) = match o.solid {
            Solid::Box { size } => ("box", size.to_vec()),
            Solid::Sphere { radius } => ("sphere", vec![radius]),
            Solid::Cylinder { radius, length } => ("cylinder", vec![length, radius]),
            Solid::Capsule { radius, length } => ("capsule", vec![length, radius]),
        };
        let (t, q) = (o.pose.translation.vector, o.pose.rotation);
        let _ = writeln!(
            out,
            "  - id: {}\n    frame_id: world\n    primitives: [{{type: {kind}, dimensions: {dimensions:?}}}]\n    \
             primitive_poses: [{{position: [{:?}, {:?}, {:?}], orientation: [{:?}, {:?}, {:?}, {:?}]}}]",
            o.name, t.x, t.y, t.z, q.i, q.j, q.k, q.w
        );
    }
    if obstacles.is_empty() {
        out = "collision_objects: []\n".to_owned();
    }
    out
}

/// Where the arm is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// Positions of the arm, radians.
    pub q: [f64; ARM],
    /// Position of a finger, metres.
    pub finger: f64,
    /// The next goal comes when so much of the expert's time is over; none: when this one is reached or given up.
    pub left_at: Option<f64>,
    /// Seconds from there to the next goal.
    pub pause_s: f64,
}

/// A cell with a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Least distance that the filter keeps, metres.
    pub d_min: f64,
    /// What stands there.
    pub obstacles: Vec<Obstacle>,
    /// Where the arm begins.
    pub start: [f64; ARM],
    /// Position of a finger at the start, metres.
    pub finger: f64,
    /// Where it is sent, one after the other.
    pub goals: Vec<Goal>,
}

/// Positions anywhere within the limits, a little less.
fn anywhere(limits: &Limits, rng: &mut Rng) -> [f64; ARM] {
    std::array::from_fn(|j| {
        let (low, high) = (limits.min_position()[j], limits.max_position()[j]);
        rng.between(low + 0.01 * (high - low), high - 0.01 * (high - low))
    })
}

fn with_finger(q: &[f64; ARM], finger: f64) -> [f64; ARM + 1] {
    std::array::from_fn(|j| if j < ARM { q[j] } else { finger })
}

impl Scene {
    /// Draws one. The judge is left with its obstacles.
    pub fn random(limits: &Limits, judge: &mut Judge, rng: &mut Rng) -> Self {
        let d_min = rng.pick(&[0.01, 0.02, 0.03]);
        let wide = limits.max_position()[ARM];
        let finger = rng.between(0.0, wide);
        judge.set_obstacles(&[]);
        let mut start = if rng.chance(0.3) { READY } else { anywhere(limits, rng) };
        let fits = |judge: &mut Judge, q: &[f64; ARM]| {
            let q = with_finger(q, finger);
            judge.closest(&q, 1.0).distance >= d_min + 0.005 && judge.to_cell(&q, 1.0).distance >= d_min + ROOM
        };
        while !fits(judge, &start) {
            start = anywhere(limits, rng);
        }
        let count = 1 + rng.below(6);
        let mut obstacles: Vec<Obstacle> = Vec::with_capacity(count);
        while obstacles.len() < count {
            let candidate = Obstacle::random(obstacles.len(), rng);
            judge.set_obstacles(std::slice::from_ref(&candidate));
            // The table is part of the cell: the start keeps its distance from that as well.
            if judge.to_cell(&with_finger(&start, finger), 1.0).distance >= d_min + ROOM {
                obstacles.push(candidate);
            }
        }
        judge.set_obstacles(&obstacles);
        let goals = (0..1 + rng.below(4))
            .map(|_| {
                let finger = if rng.chance(0.3) { rng.between(0.0, wide) } else { finger };
                let mut q = anywhere(limits, rng);
                // Two of three where the arm may be, whatever lies between; the others anywhere.
                if rng.chance(0.67) {
                    for _ in 0..200 {
                        if judge.closest(&with_finger(&q, finger), 1.0).distance > d_min {
                            break;
                        }
                        q = anywhere(limits, rng);
                    }
                }
                let left_at = rng.chance(0.2).then(|| rng.between(0.15, 0.9));
                Goal { q, finger, left_at, pause_s: rng.between(0.0, 0.3) }
            })
            .collect();
        Self { d_min, obstacles, start, finger, goals }
    }
}
