//! The distances of this package against those of parry, an independent implementation.

#![allow(clippy::unwrap_used, dead_code)]

#[path = "../src/body.rs"]
mod body;
#[path = "../src/distance.rs"]
mod distance;
#[path = "../src/gjk.rs"]
mod gjk;

use body::{Body, Kind, Placed, Seen};
use distance::gap;
use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion, Vector3};
use parry3d_f64::math::{Pose, Rotation, Vector};
use parry3d_f64::query;
use parry3d_f64::shape::{ConvexPolyhedron, Cuboid, Cylinder, HalfSpace, Segment, Shape};
use proptest::prelude::*;

/// A body with the points of its hull, and the same core for parry.
struct Twin {
    body: Body,
    placed: Placed,
    points: Vec<Vector3<f64>>,
    shape: Box<dyn Shape>,
    pose: Pose,
}

impl Twin {
    fn seen(&self) -> Seen<'_> {
        Seen { body: &self.body, placed: &self.placed, points: &self.points }
    }
}

#[derive(Debug, Clone)]
struct Plan {
    kind: u8,
    pose: Isometry3<f64>,
    size: [f64; 3],
    radius: f64,
    points: Vec<Vector3<f64>>,
}

fn to_parry(v: &Vector3<f64>) -> Vector {
    Vector::new(v.x, v.y, v.z)
}

fn twin(plan: &Plan) -> Twin {
    let Plan { kind, pose, size: [x, y, z], radius, points } = plan;
    let points: Vec<Vector3<f64>> = points.iter().map(|p| p.component_mul(&Vector3::new(*x, *y, *z))).collect();
    let at = |rotation: UnitQuaternion<f64>| {
        let q = (pose.rotation * rotation).coords;
        Pose::from_parts(to_parry(&pose.translation.vector), Rotation::from_xyzw(q.x, q.y, q.z, q.w))
    };
    let straight = at(UnitQuaternion::identity());
    let (body, shape, pose): (Body, Box<dyn Shape>, Pose) = match kind {
        0 => {
            let ends = [-*x, *x].map(|z| Vector::new(0.0, 0.0, z));
            (Body::segment(0, pose, *x, *radius), Box::new(Segment::new(ends[0], ends[1])), straight)
        }
        1 => {
            let half = Vector3::new(*x, *y, *z);
            (Body::cuboid(0, pose, half, *radius), Box::new(Cuboid::new(to_parry(&half))), straight)
        }
        2 => {
            // Parry's cylinders lie along y.
            let turned = at(UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::FRAC_PI_2));
            (Body::cylinder(0, pose, *x, *y, *radius), Box::new(Cylinder::new(*y, *x)), turned)
        }
        3 => {
            let corners: Vec<Vector> = points.iter().map(to_parry).collect();
            let hull = ConvexPolyhedron::from_convex_hull(&corners).unwrap();
            (Body::hull(0, pose, &points, 0..points.len(), *radius), Box::new(hull), straight)
        }
        4 => (Body::segment(0, pose, 0.0, *radius), Box::new(Segment::new(Vector::ZERO, Vector::ZERO)), straight),
        _ => {
            let normal = pose.rotation * Vector3::z();
            let body = Body::half_space(0, pose.translation.vector, normal);
            (body, Box::new(HalfSpace::new(Vector::Z)), straight)
        }
    };
    let placed = body.placed_at_root();
    Twin { body, placed, points, shape, pose }
}

fn plan(kinds: impl Strategy<Value = u8>) -> impl Strategy<Value = Plan> {
    let place = (prop::array::uniform3(-0.6..0.6_f64), prop::array::uniform4(-1.0..1.0_f64));
    let turned = prop_oneof![4 => Just(true), 1 => Just(false)];
    let points = prop::collection::vec(prop::array::uniform3(-1.0..1.0_f64).prop_map(Vector3::from), 6..30);
    (kinds, place, prop::array::uniform3(0.005..0.4_f64), 0.0..0.1_f64, points, turned).prop_map(
        |(kind, ([x, y, z], [i, j, k, w]), size, radius, points, turned)| {
            // Parallel edges and faces in one case of five.
            let q = if turned { Quaternion::new(w, i, j, k) } else { Quaternion::identity() };
            let rotation = UnitQuaternion::try_new(q, 0.01).unwrap_or_default();
            Plan { kind, pose: Isometry3::from_parts(Translation3::new(x, y, z), rotation), size, radius, points }
        },
    )
}

/// Distance by parry: of the cores, less the roundings. Zero where the cores overlap.
fn reference(a: &Twin, b: &Twin) -> f64 {
    query::distance(&a.pose, &*a.shape, &b.pose, &*b.shape).unwrap().distance
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn the_distance_is_parrys(one in plan(0..5_u8), other in plan(0..6_u8)) {
        let (a, b) = (twin(&one), twin(&other));
        let found = gap(a.seen(), b.seen());
        let core = reference(&a, &b);
        let rounding = one.radius + if other.kind == 5 { 0.0 } else { other.radius };
        let round = a.body.kind == Kind::Cylinder || b.body.kind == Kind::Cylinder;
        if core > 1e-6 {
            // Parry may stop tens of micrometres above the distance of a round side; how tight ours is there, its own upper bound (the distance
            // of two points of the bodies) tells.
            let below = if round { 1e-4 } else { 1e-9 };
            if round {
                let certain = gjk::core_distance(a.seen(), b.seen());
                prop_assert!(other.kind == 5 || certain.upper - certain.lower < 2e-7, "{certain:?}");
            }
            let error = found.distance - (core - rounding);
            prop_assert!((-below..=1e-9).contains(&error), "{error:e} at {core}");
        } else {
            prop_assert!(found.distance <= 1e-6 - rounding, "{} where the cores meet", found.distance);
        }
        // The normal is of length 1 and the bodies are apart by that much along it.
        prop_assert!((found.normal.norm() - 1.0).abs() < 1e-9);
        let (one, other) = (a.seen(), b.seen());
        let along = -other.reach(&-found.normal) - one.reach(&found.normal);
        prop_assert!((along - found.distance).abs() < 1e-9, "{along} {}", found.distance);
        // In the other order it is the same.
        let back = gap(other, one);
        let tolerance = if round { 2e-7 } else { 1e-9 };
        prop_assert!((back.distance - found.distance).abs() < tolerance);
    }

    #[test]
    fn the_depth_of_boxes_and_capsules_in_each_other_is_the_least_way_out(
        mut one in plan(0..2_u8), mut other in plan(1..2_u8), shift in prop::array::uniform3(-0.05..0.05_f64)
    ) {
        (one.radius, other.radius) = (0.0, 0.0);
        one.pose.translation.vector = other.pose.translation.vector + Vector3::from(shift);
        let (a, b) = (twin(&one), twin(&other));
        let found = gap(a.seen(), b.seen());
        prop_assume!(reference(&a, &b) == 0.0);
        let contact = query::contact(&a.pose, &*a.shape, &b.pose, &*b.shape, 0.0).unwrap();
        prop_assert!(found.distance < 0.0);
        if let Some(contact) = contact {
            // Parry's depth can be less than what its own direction takes; the direction is what is compared.
            let normal = Vector3::new(contact.normal1.x, contact.normal1.y, contact.normal1.z);
            let way_out = -b.seen().reach(&-normal) - a.seen().reach(&normal);
            prop_assert!(found.distance >= way_out - 1e-9, "{} {way_out}", found.distance);
        }
    }
}
