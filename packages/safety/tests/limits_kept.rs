//! Limits are checked once, where they come in, and are then what was given.
#![allow(clippy::unwrap_used)]

use efm_core::JointNames;
use efm_safety::{Limits, LimitsError};

const FIELDS: [&str; 5] = ["min_position", "max_position", "velocity", "acceleration", "jerk"];

fn lists() -> [Vec<f64>; 5] {
    [vec![-1.0, -2.0], vec![1.0, 2.0], vec![3.0, 4.0], vec![5.0, 6.0], vec![7.0, 8.0]]
}

fn limits_of(lists: [Vec<f64>; 5]) -> Result<Limits, LimitsError> {
    let [min, max, velocity, acceleration, jerk] = lists;
    Limits::new(JointNames::new(["a", "b"]).unwrap(), min, max, velocity, acceleration, jerk)
}

#[test]
fn limits_are_what_was_given() {
    let limits = limits_of(lists()).unwrap();
    assert_eq!(limits.joints(), &JointNames::new(["a", "b"]).unwrap());
    let read = [limits.min_position(), limits.max_position(), limits.velocity(), limits.acceleration(), limits.jerk()];
    assert_eq!(read.map(<[f64]>::to_vec), lists());
}

#[test]
fn a_list_of_another_length_is_named() {
    for (place, field) in FIELDS.into_iter().enumerate() {
        for given in [0, 1, 3] {
            let mut lists = lists();
            lists[place].resize(given, 1.0);
            assert_eq!(limits_of(lists).unwrap_err(), LimitsError::Size { field, joints: 2, given });
        }
    }
}

#[test]
fn a_range_that_is_none_is_named() {
    for (min, max) in [(0.5, 0.5), (0.5, 0.4), (f64::NAN, 1.0), (-1.0, f64::NAN), (f64::INFINITY, f64::INFINITY)] {
        let mut lists = lists();
        (lists[0][1], lists[1][1]) = (min, max);
        let error = limits_of(lists).unwrap_err();
        assert!(matches!(&error, LimitsError::Range { joint, .. } if joint == "b"), "{error}");
        assert!(error.to_string().contains(&format!("from {min} to {max}")), "{error}");
    }
}

#[test]
fn a_continuous_joint_has_no_range() {
    for (min, max) in [(f64::NEG_INFINITY, f64::INFINITY), (-1.0, f64::INFINITY), (f64::NEG_INFINITY, 1.0)] {
        let mut lists = lists();
        (lists[0][1], lists[1][1]) = (min, max);
        let limits = limits_of(lists).unwrap();
        assert_eq!((limits.min_position()[1], limits.max_position()[1]), (min, max));
    }
}

#[test]
fn a_limit_that_is_no_positive_finite_number_is_named() {
    for (place, field) in FIELDS.into_iter().enumerate().skip(2) {
        for value in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut lists = lists();
            lists[place][1] = value;
            let error = limits_of(lists).unwrap_err();
            let LimitsError::NotPositive { field: named, joint, value: given } = &error else { panic!("{error}") };
            assert_eq!((*named, joint.as_str()), (field, "b"));
            assert_eq!(given.to_bits(), value.to_bits());
        }
        // However small, it is a limit.
        let mut lists = lists();
        lists[place][1] = f64::MIN_POSITIVE;
        assert!(limits_of(lists).is_ok());
    }
}
