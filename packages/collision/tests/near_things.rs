//! How close the checker lets motions pass and leave: needless stops count.
#![allow(clippy::unwrap_used)]

use efm_collision::{Checker, CollisionModel, CollisionOptions, Obstacles, TooClose};
use efm_core::JointNames;
use efm_robot::{RobotModel, Srdf};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const READY: [f64; 8] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4, 0.035];
/// d_min.
const WANTED: f64 = 0.01;

/// The Panda with its fingers over a floor at this height.
fn over_floor(height: f64) -> CollisionModel {
    let robot = RobotModel::load(format!("{ROOT}/urdf/panda.urdf")).unwrap();
    let srdf = Srdf::load(format!("{ROOT}/urdf/panda.srdf"), &robot).unwrap();
    let joints = JointNames::new(srdf.group("panda_arm_hand").unwrap().joints.clone()).unwrap();
    // A slab under the tool that the rest of the arm does not reach.
    let slab = format!(
        "collision_objects: [{{id: slab, primitives: [{{type: box, dimensions: [1.0, 3.0, 0.1]}}], \
         primitive_poses: [{{position: [0.7, 0, {}]}}]}}]",
        height - 0.05
    );
    let options = CollisionOptions { clearance: WANTED, ..CollisionOptions::default() };
    CollisionModel::new(&robot, Some(&srdf), &joints, &Obstacles::parse(&slab).unwrap(), &options).unwrap()
}

/// Height of the slab that is `gap` below the fingers in the ready pose.
fn floor_below(gap: f64) -> f64 {
    let far = over_floor(0.0);
    let mut checker = Checker::new(&far);
    let robot = RobotModel::load(format!("{ROOT}/urdf/panda.urdf")).unwrap();
    checker.clearance(&far, &READY);
    let finger = checker.link_pose(robot.link_index("panda_leftfinger").unwrap());
    // The pads end 54 mm from the finger's origin, along its z axis, which points down here.
    (finger * nalgebra::Point3::new(0.0, 0.0, 0.054)).z - gap
}

/// The travel that a planner knows: no joint is faster, changing its speed by at most 7.5 rad/s2.
fn travel(from: &[f64], to: &[f64], h: f64) -> Vec<f64> {
    from.iter().zip(to).map(|(a, b)| if a == b { 0.0 } else { (b - a).abs() + 7.5 * h * h / 2.0 }).collect()
}

/// Follows `at` in steps of `h` seconds until `end`.
fn follow(
    model: &CollisionModel,
    checker: &mut Checker,
    h: f64,
    end: f64,
    at: impl Fn(f64) -> [f64; 8],
) -> Result<f64, TooClose> {
    let mut last = at(0.0);
    let mut least = checker.begin(model, &last)?.distance;
    for k in 1..=(end / h).round() as usize {
        let next = at(k as f64 * h);
        let deviation =
            travel(&last, &next, h).iter().map(|t| if *t == 0.0 { 0.0 } else { 7.5 * h * h / 8.0 }).collect::<Vec<_>>();
        least = least.min(checker.advance_within(model, &next, &travel(&last, &next, h), &deviation)?.distance);
        last = next;
    }
    Ok(least)
}

fn turned(angle: f64) -> [f64; 8] {
    let mut q = READY;
    q[0] = angle;
    q
}

#[test]
fn a_fast_motion_along_a_surface_passes_a_millimetre_above_what_must_be_kept() {
    let model = over_floor(floor_below(WANTED + 0.001));
    let mut checker = Checker::new(&model);
    // The whole arm turns at its full speed, 0.7 m/s at the tool.
    let least = follow(&model, &mut checker, 0.01, 0.5, |t| turned(-0.5 + 2.175 * t)).unwrap();
    assert!((WANTED..WANTED + 0.001).contains(&least), "{least}");
    let lower = over_floor(floor_below(WANTED - 0.0002));
    assert!(
        follow(&lower, &mut checker, 0.01, 0.5, |t| turned(-0.5 + 2.175 * t)).is_ok(),
        "it began inside and does not come closer"
    );
    let plain: Vec<f64> = travel(&turned(0.0), &turned(0.02), 0.01);
    checker.begin(&model, &turned(0.0)).unwrap();
    checker.advance(&model, &turned(0.02), &plain).unwrap();
}

#[test]
fn lowering_onto_a_surface_is_stopped_within_a_millimetre_of_what_must_be_kept() {
    let model = over_floor(floor_below(0.05));
    let mut checker = Checker::new(&model);
    let low = |t: f64| {
        let mut q = READY;
        (q[1], q[3]) = (READY[1] + 0.3 * t, READY[3] - 0.1 * t);
        q
    };
    let mut last = low(0.0);
    checker.begin(&model, &last).unwrap();
    let stop = (1..1000).find_map(|k| {
        let next = low(f64::from(k) * 0.01);
        let stop = checker
            .advance(&model, &next, &next.iter().zip(&last).map(|(a, b)| (a - b).abs()).collect::<Vec<_>>())
            .err();
        if stop.is_none() {
            last = next;
        }
        stop
    });
    assert!(stop.unwrap().clearance < WANTED);
    let reached = checker.clearance(&model, &last).distance;
    // One step is 1.5 mm down.
    assert!((WANTED..WANTED + 0.0025).contains(&reached), "{reached}");
}

#[test]
fn from_inside_the_arm_leaves_at_once_from_rest_and_slides_along() {
    for gap in
        [0.0005, 0.002, 0.009, WANTED - 1e-6, WANTED, WANTED + 1e-4, WANTED + 2.5e-4, WANTED + 2.6e-4, WANTED + 4e-4]
    {
        let model = over_floor(floor_below(gap));
        // Up with growing speed: jerk 75 rad/s3 from rest, in steps of 1 and of 10 ms.
        let up = |t: f64| {
            let mut q = READY;
            q[1] -= 75.0 * t.powi(3) / 6.0;
            q
        };
        for h in [0.001, 0.01] {
            let mut checker = Checker::new(&model);
            follow(&model, &mut checker, h, 0.2, up).unwrap_or_else(|stop| panic!("{gap} {h} {stop:?}"));
        }
        // Down is refused from the start.
        let down = |t: f64| {
            let mut q = READY;
            q[1] += 75.0 * t.powi(3) / 6.0;
            q
        };
        assert!(follow(&model, &mut Checker::new(&model), 0.01, 0.2, down).is_err(), "{gap}");
        // Along the surface.
        let along = |t: f64| turned(75.0 * t.powi(3) / 6.0);
        follow(&model, &mut Checker::new(&model), 0.01, 0.1, along).unwrap_or_else(|stop| panic!("{gap} {stop:?}"));
    }
}

#[test]
fn beginning_again_and_again_does_not_let_the_arm_creep_closer() {
    for gap in [0.005, WANTED + 3e-4] {
        let model = over_floor(floor_below(gap));
        let mut checker = Checker::new(&model);
        let first = checker.begin(&model, &READY).unwrap().distance;
        let mut q = READY;
        for _ in 0..2000 {
            // Each step is closer by some micrometres, less than the slack.
            let mut next = q;
            next[1] += 2e-5;
            let step: Vec<f64> = next.iter().zip(&q).map(|(a, b)| (a - b).abs()).collect();
            checker.begin(&model, &q).unwrap();
            if checker.advance(&model, &next, &step).is_ok() {
                q = next;
            }
        }
        let now = checker.clearance(&model, &q).distance;
        // Within rounding.
        assert!(now >= first.min(WANTED + model.options().slack) - 1e-6, "{first} {now}");
        // Moved closer by hand, it is taken from there.
        q[1] += 0.002;
        assert!(checker.begin(&model, &q).unwrap().distance < first - model.options().slack);
    }
}

/// The travel of a step of the second joint alone.
fn second(travel: f64) -> [f64; 8] {
    let mut all = [0.0; 8];
    all[1] = travel;
    all
}

/// A plan that comes a little closer and goes away again is given up at its lowest point for another one of the kind, and so on.
#[test]
fn taking_up_a_plan_where_it_is_lowest_again_and_again_does_not_let_the_arm_creep_closer() {
    for gap in [0.005, WANTED + 4e-4] {
        let model = over_floor(floor_below(gap));
        let slack = model.options().slack;
        let mut checker = Checker::new(&model);
        let first = checker.begin(&model, &READY).unwrap().distance;
        let lowered = |q: &[f64; 8], by: f64| {
            let mut q = *q;
            q[1] += by;
            q
        };
        let (mut low, mut verified) = (READY, 0);
        for _ in 0..200 {
            // 0.1 mm down, 2 mm up.
            let (lower, away) = (lowered(&low, 2e-4), lowered(&low, -4e-3));
            checker.resume(&model, &low).unwrap();
            let good = checker.advance(&model, &lower, &second(2e-4)).is_ok()
                && checker.advance(&model, &away, &second(4.2e-3 + 1e-12)).is_ok();
            if good {
                verified += 1;
                checker.resume(&model, &away).unwrap();
                low = lower;
            }
        }
        let now = checker.clearance(&model, &low).distance;
        assert!(now >= first.min(WANTED + slack) - 1e-6, "{first} {now} after {verified}");
        // Such plans there were, where there was room for them.
        assert_eq!(verified > 0, gap > WANTED + slack + 1e-4, "{verified}");
    }
}

/// What was stopped as close as it may be leaves, and moves along, with the jerk and the steps of a filter: the needless stops were there.
#[test]
fn what_came_to_rest_at_its_limit_has_room_to_leave_at_full_jerk() {
    let model = over_floor(floor_below(0.05));
    let mut checker = Checker::new(&model);
    let low = |t: f64| {
        let mut q = READY;
        (q[1], q[3]) = (READY[1] + 0.3 * t, READY[3] - 0.1 * t);
        q
    };
    // Down in ever smaller steps to what can be reached.
    let (mut at, mut step) = (0.0, 0.01);
    checker.begin(&model, &low(at)).unwrap();
    while step > 1e-9 {
        let travel: Vec<f64> = low(at + step).iter().zip(low(at)).map(|(a, b)| (a - b).abs()).collect();
        checker.resume(&model, &low(at)).unwrap();
        if checker.advance(&model, &low(at + step), &travel).is_ok() { at += step } else { step /= 2.0 }
    }
    let rest = low(at);
    let reached = checker.clearance(&model, &rest).distance;
    let limit = WANTED + model.options().slack;
    assert!((limit - 1e-5..limit + 1e-5).contains(&reached), "{reached}");
    // 75 rad/s3 in steps of 20 ms, up or around.
    let h = 0.02;
    for leaves in [true, false] {
        checker.begin(&model, &rest).unwrap();
        let way = |t: f64| {
            let mut q = rest;
            q[if leaves { 1 } else { 0 }] -= 75.0 * t.powi(3) / 6.0;
            q
        };
        for k in 0..5 {
            let (from, to) = (f64::from(k) * h, f64::from(k + 1) * h);
            let (last, next) = (way(from), way(to));
            let moving = |j: usize, value: f64| if last[j] == next[j] { 0.0 } else { value };
            let travel: Vec<f64> = (0..8).map(|j| moving(j, 37.5 * to * to * h)).collect();
            let deviation: Vec<f64> = (0..8).map(|j| moving(j, 75.0 * to * h * h / 8.0)).collect();
            let said = checker.advance_within(&model, &next, &travel, &deviation);
            assert!(said.is_ok(), "leaves {leaves}, step {k}: {said:?}");
            assert!(said.unwrap().distance >= WANTED);
        }
    }
}

/// After a change of the model nothing is remembered: what is near where the sweep is taken up is taken from there.
#[test]
fn a_sweep_is_taken_up_beside_an_obstacle_that_has_come() {
    let lowered = |by: f64| {
        let mut q = READY;
        q[1] += by;
        q
    };
    for gap in [0.004, WANTED + 1e-4, WANTED + 4e-4] {
        let mut checker = Checker::new(&over_floor(floor_below(0.3)));
        let model = over_floor(floor_below(gap));
        checker.resume(&model, &READY).unwrap();
        checker.advance(&model, &lowered(-1e-3), &second(1e-3)).unwrap();
        checker.resume(&model, &READY).unwrap();
        assert!(checker.advance(&model, &lowered(1e-3), &second(1e-3)).is_err(), "{gap}");
        // It comes nearer all the same, on a stop that was verified before: from there it may leave.
        checker.resume(&model, &lowered(4e-3)).unwrap();
        checker.advance(&model, &lowered(3e-3), &second(1e-3)).unwrap();
    }
}
