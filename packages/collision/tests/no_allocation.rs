//! A check does not allocate and is the same to the bit. Only this thread's allocations are counted: the test harness has threads of its own.
#![allow(clippy::unwrap_used)]

use efm_collision::{Checker, CollisionModel, CollisionOptions, Obstacles};
use efm_core::JointNames;
use efm_robot::{Primitive, RobotModel, Shape, Srdf};
use nalgebra::{Isometry3, Vector3};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn allocations() -> usize {
    ALLOCATIONS.with(Cell::get)
}

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const READY: [f64; 8] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4, 0.035];

/// Free motions, refused ones, ones that need halving; a held cylinder so that the iterative distances are among them.
fn run(model: &CollisionModel) -> (Vec<u64>, usize, usize) {
    let mut checker = Checker::new(model);
    let mut said = Vec::with_capacity(100_000);
    let (mut accepted, mut refused, mut seed) = (0, 0, 7_u64);
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f64 / (1_u64 << 24) as f64 * 2.0 - 1.0
    };
    for _ in 0..400 {
        let mut q = READY;
        q.iter_mut().take(7).for_each(|q| *q += random());
        let speed: [f64; 8] = std::array::from_fn(|j| random() * if j < 7 { 0.05 } else { 1e-4 });
        let before = allocations();
        said.push(checker.clearance(model, &q).distance.to_bits());
        if let Ok(begin) = checker.begin(model, &q) {
            said.push(begin.distance.to_bits());
            for _ in 0..30 {
                let next: [f64; 8] = std::array::from_fn(|j| q[j] + speed[j]);
                match checker.advance(model, &next, &speed.map(f64::abs)) {
                    Ok(bound) => {
                        said.push(bound.distance.to_bits());
                        accepted += 1;
                    }
                    Err(stop) => {
                        said.push(stop.clearance.to_bits());
                        refused += 1;
                        break;
                    }
                }
                q = next;
            }
        }
        assert_eq!(allocations(), before, "a check allocated");
    }
    (said, accepted, refused)
}

#[test]
fn a_check_does_not_allocate_and_is_the_same_to_the_bit() {
    let robot = RobotModel::load(format!("{ROOT}/urdf/panda.urdf")).unwrap();
    let srdf = Srdf::load(format!("{ROOT}/urdf/panda.srdf"), &robot).unwrap();
    let joints = JointNames::new(srdf.group("panda_arm_hand").unwrap().joints.clone()).unwrap();
    let cell = Obstacles::load(format!("{ROOT}/config/panda_obstacles.yaml")).unwrap();
    let mut model = CollisionModel::new(&robot, Some(&srdf), &joints, &cell, &CollisionOptions::default()).unwrap();
    let part = |shape: Shape| Primitive { origin: Isometry3::translation(0.0, 0.0, 0.16), shape, colour: None };
    let held = [
        part(Shape::Cylinder { radius: 0.02, length: 0.1 }),
        part(Shape::Box { size: Vector3::new(0.03, 0.05, 0.02) }),
    ];
    let touch = ["panda_leftfinger", "panda_rightfinger"].map(String::from);
    model.attach("panda_hand", "tool", &held, &touch).unwrap();
    let first = run(&model);
    assert!(first.1 > 2000 && first.2 > 50, "{} {}", first.1, first.2);
    assert_eq!(first, run(&model));
    assert_eq!(first, run(&model.clone()), "a copy of the model is the same model");
}

#[test]
fn placing_joints_that_are_not_given_does_not_allocate_and_leaves_the_same_as_a_model_made_there() {
    let robot = RobotModel::load(format!("{ROOT}/urdf/panda.urdf")).unwrap();
    let srdf = Srdf::load(format!("{ROOT}/urdf/panda.srdf"), &robot).unwrap();
    let joints = JointNames::new((1..=7).map(|i| format!("panda_joint{i}"))).unwrap();
    let cell = Obstacles::load(format!("{ROOT}/config/panda_obstacles.yaml")).unwrap();
    let mut model = CollisionModel::new(&robot, Some(&srdf), &joints, &cell, &CollisionOptions::default()).unwrap();
    let mut checker = Checker::new(&model);
    for k in 0..200_u32 {
        let open = 0.04 * f64::from(k * 37 % 101) / 101.0;
        let q: [f64; 7] = std::array::from_fn(|j| READY[j] + 0.3 * f64::sin(f64::from(k) * (1.0 + j as f64)));
        let before = allocations();
        model.place_others(&[Some(open)]);
        checker.resume(&model, &q).ok();
        let said = checker.clearance(&model, &q);
        assert_eq!(allocations(), before, "placing allocated");
        let mut there = CollisionModel::new(&robot, Some(&srdf), &joints, &cell, &CollisionOptions::default()).unwrap();
        there.place_others(&[Some(open)]);
        assert_eq!(Checker::new(&there).clearance(&there, &q).distance.to_bits(), said.distance.to_bits());
    }
}
