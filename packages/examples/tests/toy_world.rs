//! The toy world model: a joint goes as far as its speed and its range let it.
#![allow(clippy::unwrap_used)]

use efm_core::{JointLimits, JointNames, JointSample, Stamp};
use efm_examples::toy_world::Clamped;
use efm_policy::Observation;
use efm_policy::imagine::{Belief, Imagine, Named, Space};

fn space() -> Space {
    let limits = JointLimits { lower: -1.0, upper: 1.0, velocity: 2.0, acceleration: 5.0, jerk: 50.0 };
    let slow = JointLimits { velocity: 0.5, ..limits };
    Space { joints: JointNames::new(["fast", "slow"]).unwrap(), limits: vec![limits, slow], step: 0.1 }
}

#[test]
fn joints_go_as_far_as_speed_and_range_let_them_and_what_is_left_undone_counts() {
    let mut world = Clamped::new(&space()).unwrap();
    let measured = JointSample { stamp: Stamp::ZERO, positions: vec![0.0, 0.98], velocities: vec![] };
    let observation = Observation { stamp: Stamp::ZERO, images: &[], joints: &measured, earlier: &[] };
    let now = world.observe(None, &observation).unwrap();
    assert_eq!(now.joints, measured.positions);
    // The fast one arrives; the slow one would come 0.05 far, but its range ends 0.02 ahead.
    let next = world.step(&now, &[0.2, 1.5]).unwrap();
    assert_eq!(next.belief.joints, [0.2, 1.0]);
    assert!((next.value.unwrap() + 0.5).abs() < 1e-12);
    assert_eq!((next.end, next.spread), (None, None));
    let far = world.step(&next.belief, &[1.0, 0.0]).unwrap();
    assert_eq!(far.belief.joints, [0.4, 0.95]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let few = Space { limits: space().limits[..1].to_vec(), ..space() };
    assert!(Clamped::new(&few).unwrap_err().text.contains("1 limits for 2 joints"));
    let mut world = Clamped::new(&space()).unwrap();
    let belief = Belief { joints: vec![0.0, 0.0], latent: vec![] };
    for action in [vec![], vec![0.0], vec![0.0; 3]] {
        assert_eq!(world.step(&belief, &action).unwrap_err().code, "world_model_values");
    }
}
