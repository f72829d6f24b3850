//! The world that judges collisions sees them, and its bodies do not act before they touch.
#![allow(clippy::unwrap_used)]

use efm_sim::WorldFiles;
use efm_sim::world::{FixedBody, FixedShape, ObstacleWorld};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

const READY: [f64; 7] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4];

fn world(bodies: &[FixedBody], apart: &[(String, String)]) -> ObstacleWorld {
    let files = WorldFiles { urdf: concat!(env!("CARGO_MANIFEST_DIR"), "/../../urdf/panda.urdf").into() };
    ObstacleWorld::new(&files, bodies, apart, 0.03).unwrap()
}

/// A wall whose face is at this x, in front of the ready hand.
fn wall(face: f64) -> FixedBody {
    FixedBody {
        name: "wall".to_owned(),
        shape: FixedShape::Box { half: [0.05, 0.5, 1.0] },
        position: [face + 0.05, 0.0, 0.0],
        rotation: [1.0, 0.0, 0.0, 0.0],
    }
}

fn nearest(world: &ObstacleWorld, body: &str) -> f64 {
    world.near().filter(|n| n.a == body || n.b == body).map(|n| n.distance).fold(f64::INFINITY, f64::min)
}

#[test]
fn what_is_near_is_listed_with_its_distance_and_pushes_only_where_it_overlaps() {
    let mut far = world(&[wall(0.9)], &[]);
    far.reset(&READY, 0.02);
    assert_eq!(nearest(&far, "wall"), f64::INFINITY);
    // Where the arm ends: move the wall until it is listed, then by what is left.
    let face = (0..120).map(|k| 0.7 - 0.005 * f64::from(k)).find(|face| {
        let mut world = world(&[wall(*face)], &[]);
        world.place(&READY, 0.02);
        nearest(&world, "wall") < 0.03
    });
    let face = face.unwrap();
    let mut near = world(&[wall(face)], &[]);
    near.reset(&READY, 0.02);
    let distance = nearest(&near, "wall");
    assert!(distance > 0.02 && distance <= 0.03, "{distance}");
    let mut free = world(&[], &[]);
    free.reset(&READY, 0.02);
    for _ in 0..200 {
        near.step();
        free.step();
    }
    assert_eq!(near.joint_state(), free.joint_state(), "a body that is only near acts");
    let mut closer = world(&[wall(face - 0.01)], &[]);
    closer.place(&READY, 0.02);
    assert!((nearest(&closer, "wall") - (distance - 0.01)).abs() < 1e-9);
    let mut inside = world(&[wall(face - distance - 0.004)], &[]);
    inside.reset(&READY, 0.02);
    assert!((nearest(&inside, "wall") + 0.004).abs() < 1e-6, "{}", nearest(&inside, "wall"));
    for _ in 0..200 {
        inside.step();
    }
    assert_ne!(inside.joint_state().positions, free.joint_state().positions);
}

#[test]
fn the_arm_that_folds_into_itself_is_listed_and_named_pairs_are_not() {
    let folded = [0.0, 0.0, 0.0, -3.05, 0.0, 0.0, 0.785];
    let touching = |apart: &[(String, String)]| -> Vec<(String, String)> {
        let mut world = world(&[], apart);
        world.place(&folded, 0.02);
        world.near().filter(|n| n.distance < 0.0).map(|n| (n.a.to_owned(), n.b.to_owned())).collect()
    };
    let pairs = touching(&[]);
    assert!(!pairs.is_empty());
    assert_eq!(touching(&pairs), []);
}
