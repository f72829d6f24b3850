//! Distance of two bodies, in closed form where there is one.
//!
//! Exact up to rounding for every pair of capsules, spheres, boxes, hulls and half-spaces; with a cylinder a lower bound within
//! 1e-7 m. Inside, the depth along the best of a few directions: exact for boxes, capsules against boxes and half-spaces.

use crate::body::{Kind, Seen};
use crate::gjk;
use nalgebra::Vector3;

/// How far two bodies are apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gap {
    /// Metres; negative inside.
    pub distance: f64,
    /// Unit vector from the first towards the second, along which they are apart by `distance`.
    pub normal: Vector3<f64>,
}

impl Gap {
    fn flipped(self) -> Self {
        Self { normal: -self.normal, ..self }
    }
}

/// See the module.
pub(crate) fn gap(a: Seen<'_>, b: Seen<'_>) -> Gap {
    let rounding = a.body.radius + b.body.radius;
    let core = match (a.body.kind, b.body.kind) {
        (Kind::HalfSpace, Kind::HalfSpace) => return Gap { distance: f64::INFINITY, normal: Vector3::z() },
        (_, Kind::HalfSpace) => return over_plane(a, b),
        (Kind::HalfSpace, _) => return over_plane(b, a).flipped(),
        (Kind::Segment, Kind::Segment) => segments(a, b),
        (Kind::Segment, Kind::Box) => segment_and_box(a, b),
        (Kind::Box, Kind::Segment) => segment_and_box(b, a).map(Gap::flipped),
        _ => {
            let found = gjk::core_distance(a, b);
            (found.lower > 0.0).then_some(Gap { distance: found.lower, normal: found.normal })
        }
    };
    match core {
        Some(core) => Gap { distance: core.distance - rounding, ..core },
        None => overlap(a, b),
    }
}

fn over_plane(a: Seen<'_>, plane: Seen<'_>) -> Gap {
    let normal = -plane.placed.half;
    Gap { distance: plane.placed.centre.dot(&normal) - a.reach(&normal), normal }
}

/// From the difference of the nearest points, first to second. `None` where they meet.
fn apart(difference: Vector3<f64>) -> Option<Gap> {
    let distance = difference.norm();
    (distance > 1e-12).then(|| Gap { distance, normal: difference / distance })
}

/// Nearest points of two segments (Ericson, Real-Time Collision Detection, 5.1.9, with the parameters running from -1 to 1).
fn segments(a: Seen<'_>, b: Seen<'_>) -> Option<Gap> {
    let (h, k) = (&a.placed.half, &b.placed.half);
    let from = a.placed.centre - b.placed.centre;
    let (hh, kk, hk) = (h.norm_squared(), k.norm_squared(), h.dot(k));
    let (hr, kr) = (h.dot(&from), k.dot(&from));
    let on_a = |t: f64| if hh > 0.0 { ((hk * t - hr) / hh).clamp(-1.0, 1.0) } else { 0.0 };
    let on_b = |s: f64| if kk > 0.0 { ((hk * s + kr) / kk).clamp(-1.0, 1.0) } else { 0.0 };
    let between = |s: f64, t: f64| k * t - h * s - from;
    let cross = hh * kk - hk * hk;
    if cross > 1e-12 * hh * kk {
        let s = ((hk * kr - hr * kk) / cross).clamp(-1.0, 1.0);
        let t = (hk * s + kr) / kk;
        return if t.abs() <= 1.0 {
            apart(between(s, t))
        } else {
            let t = t.clamp(-1.0, 1.0);
            apart(between(on_a(t), t))
        };
    }
    // Parallel, or one is a point: the nearest points include an end.
    let ends = [(-1.0, on_b(-1.0)), (1.0, on_b(1.0)), (on_a(-1.0), -1.0), (on_a(1.0), 1.0)];
    let ends = ends.map(|(s, t)| between(s, t));
    let nearest = ends.iter().min_by(|one, other| one.norm_squared().total_cmp(&other.norm_squared()));
    nearest.and_then(|nearest| apart(*nearest))
}

/// Half the derivative of the squared distance from a box to the points of a segment grows along it and is straight between the places where
/// the segment crosses the planes of the box's faces: the sign change is found between those.
fn segment_and_box(segment: Seen<'_>, block: Seen<'_>) -> Option<Gap> {
    let axes = &block.placed.rotation;
    let centre = axes.tr_mul(&(segment.placed.centre - block.placed.centre));
    let along = axes.tr_mul(&segment.placed.half);
    let half = &block.body.size;
    let outside = |t: f64| (centre + along * t).zip_map(half, |x, h| x - x.clamp(-h, h));
    let slope = |t: f64| along.dot(&outside(t));
    let (mut low, mut high) = ((-1.0, slope(-1.0)), (1.0, slope(1.0)));
    let t = if low.1 >= 0.0 {
        -1.0
    } else if high.1 <= 0.0 {
        1.0
    } else {
        for i in 0..3 {
            if along[i] == 0.0 {
                continue;
            }
            for face in [-half[i], half[i]] {
                let t = (face - centre[i]) / along[i];
                if low.0 < t && t < high.0 {
                    let there = slope(t);
                    if there < 0.0 { low = (t, there) } else { high = (t, there) }
                }
            }
        }
        low.0 + (high.0 - low.0) * (-low.1 / (high.1 - low.1))
    };
    apart(-(axes * outside(t)))
}

/// The cores overlap: the least depth along a few directions, roundings included. Always negative.
fn overlap(a: Seen<'_>, b: Seen<'_>) -> Gap {
    let mut best = Gap { distance: f64::NEG_INFINITY, normal: Vector3::z() };
    let mut attempt = |direction: Vector3<f64>| {
        let length = direction.norm();
        if length > 1e-9 {
            for normal in [direction / length, -direction / length] {
                let distance = -b.reach(&-normal) - a.reach(&normal);
                if distance > best.distance {
                    best = Gap { distance, normal };
                }
            }
        }
    };
    let axes = |seen: &Seen<'_>| match seen.body.kind {
        Kind::Segment => {
            let half = seen.placed.half;
            [half.normalize(), half.cross(&Vector3::x()), half.cross(&Vector3::y())]
                .map(|v| if v.x.is_finite() { v } else { Vector3::zeros() })
        }
        _ => [0, 1, 2].map(|i| seen.placed.rotation.column(i).into_owned()),
    };
    let (of_a, of_b) = (axes(&a), axes(&b));
    attempt(b.placed.centre - a.placed.centre);
    for one in &of_a {
        attempt(*one);
        for other in &of_b {
            attempt(one.cross(other));
        }
    }
    for other in &of_b {
        attempt(*other);
    }
    // Rounding must not make two bodies that meet look apart.
    Gap { distance: best.distance.min(-1e-12), ..best }
}
