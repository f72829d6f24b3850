//! The Panda in its cell: which pairs are checked, and which motions are refused.
#![allow(clippy::unwrap_used)]

use efm_collision::{Checker, CollisionModel, CollisionObject, CollisionOptions, Obstacles};
use efm_core::JointNames;
use efm_robot::{Primitive, RobotModel, Shape, Srdf};
use nalgebra::{Isometry3, Vector3};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const READY: [f64; 8] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4, 0.035];

fn panda() -> (RobotModel, Srdf, JointNames) {
    let model = RobotModel::load(format!("{ROOT}/urdf/panda.urdf")).unwrap();
    let srdf = Srdf::load(format!("{ROOT}/urdf/panda.srdf"), &model).unwrap();
    let joints = JointNames::new(srdf.group("panda_arm_hand").unwrap().joints.clone()).unwrap();
    (model, srdf, joints)
}

fn cell() -> Obstacles {
    Obstacles::load(format!("{ROOT}/config/panda_obstacles.yaml")).unwrap()
}

fn checked(obstacles: &Obstacles, options: &CollisionOptions) -> CollisionModel {
    let (model, srdf, joints) = panda();
    CollisionModel::new(&model, Some(&srdf), &joints, obstacles, options).unwrap()
}

fn names(model: &CollisionModel) -> Vec<(String, String)> {
    (0..model.pairs()).map(|i| model.pair_names(i)).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

fn has(model: &CollisionModel, a: &str, b: &str) -> bool {
    names(model).iter().any(|(c, d)| (c == a && d == b) || (c == b && d == a))
}

/// Goes straight in steps of 10 ms at this share of 2 rad/s.
fn sweep(
    model: &CollisionModel,
    checker: &mut Checker,
    from: &[f64],
    to: &[f64],
) -> Result<f64, (String, String, f64)> {
    let say = |stop: efm_collision::TooClose| {
        let (a, b) = model.pair_names(stop.pair);
        (a.to_owned(), b.to_owned(), stop.clearance)
    };
    let mut least = checker.begin(model, from).map_err(say)?.distance;
    let far = from.iter().zip(to).map(|(a, b)| (b - a).abs()).fold(0.0, f64::max);
    let steps = (far / 0.02).ceil().max(1.0) as usize;
    let travel: Vec<f64> = from.iter().zip(to).map(|(a, b)| (b - a).abs() / steps as f64).collect();
    for k in 1..=steps {
        let q: Vec<f64> = from.iter().zip(to).map(|(a, b)| a + (b - a) * k as f64 / steps as f64).collect();
        least = least.min(checker.advance(model, &q, &travel).map_err(say)?.distance);
    }
    Ok(least)
}

#[test]
fn neighbours_and_disabled_pairs_are_left_out_and_the_rest_is_checked() {
    let (_, srdf, _) = panda();
    let model = checked(&cell(), &CollisionOptions::default());
    for (a, b) in names(&model) {
        assert!(!srdf.is_disabled(&a, &b), "{a} {b}");
    }
    assert!(has(&model, "panda_link0", "panda_hand") && has(&model, "panda_link1", "panda_link7"));
    assert!(has(&model, "panda_hand", "table") && has(&model, "panda_link5", "table"));
    assert!(!has(&model, "panda_leftfinger", "table"), "a declared contact");
    assert!(!has(&model, "panda_link0", "table"), "neither moves");
    println!("pairs of bodies: {} among {} bodies", model.pairs(), model.bodies());
    let mut checker = Checker::new(&model);
    let home = checker.clearance(&model, &READY);
    println!("clearance at the ready pose: {:.4} m, {:?}", home.distance, model.pair_names(home.pair));
    assert!(home.distance > 0.02, "{home:?}");
}

#[test]
fn without_an_srdf_only_neighbours_are_left_out() {
    let (robot, _, joints) = panda();
    let model =
        CollisionModel::new(&robot, None, &joints, &Obstacles::default(), &CollisionOptions::default()).unwrap();
    assert!(has(&model, "panda_link0", "panda_link2") && !has(&model, "panda_link0", "panda_link1"));
    assert!(!has(&model, "panda_hand", "panda_link7"), "they do not move relative to each other");
    assert!(!has(&model, "panda_hand", "panda_link6"), "joined by one joint, the hand being welded to link 7");
    assert!(has(&model, "panda_leftfinger", "panda_rightfinger"));
}

#[test]
fn a_motion_into_the_table_is_refused_and_one_above_it_is_not() {
    let model = checked(&cell(), &CollisionOptions::default());
    let mut checker = Checker::new(&model);
    let mut down = READY;
    down[1] = 1.2;
    let (a, b, _) = sweep(&model, &mut checker, &READY, &down).unwrap_err();
    assert!(b == "table", "{a} {b}");
    let mut aside = READY;
    aside[0] = 1.0;
    let least = sweep(&model, &mut checker, &READY, &aside).unwrap();
    let still = checker.clearance(&model, &READY).distance;
    assert!(
        least > still - 2e-3 && least <= still + 1e-9,
        "turning about the first axis changes nothing: {least} {still}"
    );
}

#[test]
fn a_thin_obstacle_between_two_free_configurations_is_seen() {
    let mut model = checked(&cell(), &CollisionOptions::default());
    let shape = Shape::Box { size: Vector3::new(0.2, 0.0005, 0.2) };
    let mut turned = READY;
    turned[0] = 1.2;
    let mut checker = Checker::new(&model);
    let blade = |angle: f64| Primitive {
        origin: Isometry3::rotation(Vector3::z() * angle) * Isometry3::translation(0.307, 0.0, 0.45),
        shape: shape.clone(),
        colour: None,
    };
    assert!(sweep(&model, &mut checker, &READY, &turned).is_ok());
    let object = CollisionObject { id: "blade".to_owned(), shapes: vec![blade(0.6)], ..CollisionObject::default() };
    model.set_obstacle(object).unwrap();
    checker.fit(&model);
    // In one step that jumps over it, both ends free.
    assert!(checker.clearance(&model, &turned).distance > 0.01);
    checker.begin(&model, &READY).unwrap();
    let travel = [1.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let stop = checker.advance(&model, &turned, &travel).unwrap_err();
    assert_eq!(model.pair_names(stop.pair).1, "blade");
    assert!(model.remove_obstacle("blade"));
    checker.begin(&model, &READY).unwrap();
    checker.advance(&model, &turned, &travel).unwrap();
}

#[test]
fn a_motion_that_begins_too_close_may_leave_but_not_come_closer() {
    let options = CollisionOptions { clearance: 0.03, ..CollisionOptions::default() };
    let mut model = checked(&cell(), &options);
    let mut checker = Checker::new(&model);
    checker.clearance(&model, &READY);
    let (robot, ..) = panda();
    let hand = *checker.link_pose(robot.link_index("panda_hand").unwrap());
    // A wall 20 mm beside the hand's ball (radius 33 mm, 65 mm aside of the wrist's axis).
    let ball = hand * nalgebra::Point3::new(0.0, 0.065, 0.033);
    let side = ball.y.signum();
    let yaml = format!(
        "collision_objects: [{{id: wall, primitives: [{{type: box, dimensions: [0.2, 0.02, 0.2]}}], \
         primitive_poses: [{{position: [{}, {}, {}]}}]}}]",
        ball.x,
        ball.y + side * (0.033 + 0.02 + 0.01),
        ball.z
    );
    model.replace_obstacles(&Obstacles::parse(&yaml).unwrap()).unwrap();
    let begin = checker.begin(&model, &READY).unwrap();
    assert!((begin.distance - 0.02).abs() < 1e-3, "{begin:?}");
    let (mut away, mut towards) = (READY, READY);
    away[0] = -side * 0.3;
    towards[0] = side * 0.02;
    sweep(&model, &mut checker, &READY, &away).unwrap();
    let (_, b, _) = sweep(&model, &mut checker, &READY, &towards).unwrap_err();
    assert_eq!(b, "wall");
    // Once beyond, it may not come back in.
    let (_, b, _) = sweep(&model, &mut checker, &away, &READY).unwrap_err();
    assert_eq!(b, "wall");
}

#[test]
fn a_number_that_is_not_finite_is_refused() {
    let model = checked(&cell(), &CollisionOptions::default());
    let mut checker = Checker::new(&model);
    let mut broken = READY;
    broken[3] = f64::NAN;
    assert_eq!(checker.clearance(&model, &broken).distance, f64::NEG_INFINITY);
    assert!(checker.begin(&model, &broken).is_err());
    checker.begin(&model, &READY).unwrap();
    assert!(checker.advance(&model, &broken, &[0.1; 8]).is_err());
    assert!(checker.advance(&model, &READY, &[0.1; 8]).is_err(), "a refused step ends the sweep");
    checker.begin(&model, &READY).unwrap();
    assert!(checker.advance(&model, &READY, &[f64::NAN; 8]).is_err());
}
