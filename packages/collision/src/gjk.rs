//! Distance of two convex cores that have no closed form, by the algorithm of Gilbert, Johnson and Keerthi (1988).
//!
//! What is returned is always a lower bound, however the iteration ends: the separation along the best direction met so far. For
//! polytopes it equals the distance up to rounding; with a cylinder's round side it is within [`TOLERANCE`].

use crate::body::{Kind, Seen};
use nalgebra::Vector3;

/// With a round side the iteration stops when the bound is this close to the distance, metres.
const TOLERANCE: f64 = 1e-7;
const MOST_STEPS: usize = 48;

/// What is known of the distance of two cores, their roundings left out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CoreDistance {
    /// Not more than the distance; zero or less where they overlap.
    pub lower: f64,
    /// Not less than the distance.
    pub upper: f64,
    /// Unit direction from the first to the second along which they are separated by `lower`.
    pub normal: Vector3<f64>,
}

/// See the module.
pub(crate) fn core_distance(a: Seen<'_>, b: Seen<'_>) -> CoreDistance {
    let round = a.body.kind == Kind::Cylinder || b.body.kind == Kind::Cylinder;
    let tolerance = if round { TOLERANCE } else { 1e-12 };
    let mut best = CoreDistance { lower: f64::NEG_INFINITY, upper: f64::INFINITY, normal: Vector3::x() };
    let start = b.placed.centre - a.placed.centre;
    let mut nearest = if start.norm_squared() > 0.0 { start } else { Vector3::x() };
    let mut simplex = Simplex::default();
    for _ in 0..MOST_STEPS {
        let length = nearest.norm();
        // Points of `b` minus points of `a`: the origin is in there exactly when they overlap.
        let extreme = b.support(&-nearest) - a.support(&nearest);
        let bound = extreme.dot(&nearest) / length;
        if bound > best.lower {
            (best.lower, best.normal) = (bound, nearest / length);
        }
        // Before the first corner `nearest` is only a direction, not a distance. Rounding may stop all progress.
        if simplex.count > 0 {
            let stuck = length >= best.upper;
            best.upper = best.upper.min(length);
            if stuck || length - best.lower <= tolerance || simplex.holds(&extreme) {
                break;
            }
        }
        simplex.push(extreme);
        match simplex.reduce() {
            Some(point) if point.norm_squared() > 1e-24 => nearest = point,
            _ => {
                (best.lower, best.upper) = (best.lower.min(0.0), 0.0);
                break;
            }
        }
    }
    best
}

#[derive(Default)]
struct Simplex {
    points: [Vector3<f64>; 4],
    count: usize,
}

impl Simplex {
    fn push(&mut self, point: Vector3<f64>) {
        // `reduce` leaves three at most.
        self.points[self.count.min(3)] = point;
        self.count = (self.count + 1).min(4);
    }

    fn holds(&self, point: &Vector3<f64>) -> bool {
        self.points[..self.count].iter().any(|p| p == point)
    }

    fn keep(&mut self, kept: &[Vector3<f64>]) {
        self.points[..kept.len()].copy_from_slice(kept);
        self.count = kept.len();
    }

    /// The point nearest to the origin; keeps only the corners that span it. `None` when the origin is inside.
    fn reduce(&mut self) -> Option<Vector3<f64>> {
        let [a, b, c, d] = self.points;
        let (nearest, kept, count) = match self.count {
            1 => (a, [a; 3], 1),
            2 => on_segment(a, b),
            3 => on_triangle(a, b, c),
            _ => {
                let mut best: Option<(Vector3<f64>, [Vector3<f64>; 3], usize)> = None;
                for (p, q, r, opposite) in [(a, b, c, d), (a, c, d, b), (a, d, b, c), (b, d, c, a)] {
                    let normal = (q - p).cross(&(r - p));
                    let (origin_side, inner_side) = (-p.dot(&normal), (opposite - p).dot(&normal));
                    // A flat tetrahedron has no inside.
                    let flat = inner_side.abs() <= 1e-14 * normal.norm() * (opposite - p).norm();
                    if flat || origin_side * inner_side < 0.0 {
                        let found = on_triangle(p, q, r);
                        if best.is_none_or(|(n, ..)| found.0.norm_squared() < n.norm_squared()) {
                            best = Some(found);
                        }
                    }
                }
                best?
            }
        };
        self.keep(&kept[..count]);
        Some(nearest)
    }
}

type Feature = (Vector3<f64>, [Vector3<f64>; 3], usize);

fn on_segment(a: Vector3<f64>, b: Vector3<f64>) -> Feature {
    let along = b - a;
    let (t, whole) = (-a.dot(&along), along.norm_squared());
    if t <= 0.0 || whole <= 0.0 {
        (a, [a; 3], 1)
    } else if t >= whole {
        (b, [b; 3], 1)
    } else {
        (a + along * (t / whole), [a, b, b], 2)
    }
}

/// By the regions of the triangle's corners, edges and face (Ericson, Real-Time Collision Detection, 5.1.5), for the origin.
fn on_triangle(a: Vector3<f64>, b: Vector3<f64>, c: Vector3<f64>) -> Feature {
    let (ab, ac) = (b - a, c - a);
    let (d1, d2) = (-ab.dot(&a), -ac.dot(&a));
    if d1 <= 0.0 && d2 <= 0.0 {
        return (a, [a; 3], 1);
    }
    let (d3, d4) = (-ab.dot(&b), -ac.dot(&b));
    if d3 >= 0.0 && d4 <= d3 {
        return (b, [b; 3], 1);
    }
    let vc = d1 * d4 - d3 * d2;
    if vc <= 0.0 && d1 >= 0.0 && d3 <= 0.0 {
        return on_segment(a, b);
    }
    let (d5, d6) = (-ab.dot(&c), -ac.dot(&c));
    if d6 >= 0.0 && d5 <= d6 {
        return (c, [c; 3], 1);
    }
    let vb = d5 * d2 - d1 * d6;
    if vb <= 0.0 && d2 >= 0.0 && d6 <= 0.0 {
        return on_segment(a, c);
    }
    let va = d3 * d6 - d5 * d4;
    if va <= 0.0 && d4 - d3 >= 0.0 && d5 - d6 >= 0.0 {
        return on_segment(b, c);
    }
    // The foot on the plane, by its normal: more exact than the weights when the triangle is thin.
    let normal = ab.cross(&ac);
    let squared = normal.norm_squared();
    if squared > 0.0 {
        (normal * (a.dot(&normal) / squared), [a, b, c], 3)
    } else {
        [on_segment(a, b), on_segment(b, c), on_segment(a, c)]
            .into_iter()
            .min_by(|one, other| one.0.norm_squared().total_cmp(&other.0.norm_squared()))
            .unwrap_or((a, [a; 3], 1))
    }
}
