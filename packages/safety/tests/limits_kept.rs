//! Limits are checked once, where they come in, and are then what was given.
#![allow(clippy::unwrap_used)]

use efm_core::{JointLimits, JointNames};
use efm_safety::{Limits, LimitsError};

const SECOND: JointLimits = JointLimits { lower: -2.0, upper: 2.0, velocity: 4.0, acceleration: 6.0, jerk: 8.0 };

/// Of two joints; the second one is as given.
fn limits_with(second: JointLimits) -> Result<Limits, LimitsError> {
    let first = JointLimits { lower: -1.0, upper: 1.0, velocity: 3.0, acceleration: 5.0, jerk: 7.0 };
    Limits::new(JointNames::new(["a", "b"]).unwrap(), &[first, second])
}

#[test]
fn limits_are_what_was_given() {
    let limits = limits_with(SECOND).unwrap();
    assert_eq!(limits.joints(), &JointNames::new(["a", "b"]).unwrap());
    let read = [limits.min_position(), limits.max_position(), limits.velocity(), limits.acceleration(), limits.jerk()];
    assert_eq!(read, [&[-1.0, -2.0][..], &[1.0, 2.0], &[3.0, 4.0], &[5.0, 6.0], &[7.0, 8.0]]);
    assert_eq!(limits.of(1), SECOND);
}

#[test]
fn more_or_fewer_limits_than_joints_are_refused() {
    for given in [0, 1, 3] {
        let error = Limits::new(JointNames::new(["a", "b"]).unwrap(), &vec![SECOND; given]).unwrap_err();
        assert_eq!(error, LimitsError::Size { field: "limits", joints: 2, given });
    }
}

#[test]
fn a_range_that_is_none_is_named() {
    for (min, max) in [(0.5, 0.5), (0.5, 0.4), (f64::NAN, 1.0), (-1.0, f64::NAN), (f64::INFINITY, f64::INFINITY)] {
        let error = limits_with(JointLimits { lower: min, upper: max, ..SECOND }).unwrap_err();
        assert!(matches!(&error, LimitsError::Range { joint, .. } if joint == "b"), "{error}");
        assert!(error.to_string().contains(&format!("from {min} to {max}")), "{error}");
    }
}

#[test]
fn a_continuous_joint_has_no_range() {
    for (min, max) in [(f64::NEG_INFINITY, f64::INFINITY), (-1.0, f64::INFINITY), (f64::NEG_INFINITY, 1.0)] {
        let limits = limits_with(JointLimits { lower: min, upper: max, ..SECOND }).unwrap();
        assert_eq!((limits.min_position()[1], limits.max_position()[1]), (min, max));
    }
}

#[test]
fn a_limit_that_is_no_positive_finite_number_is_named() {
    let with = |field: &str, value: f64| match field {
        "velocity" => JointLimits { velocity: value, ..SECOND },
        "acceleration" => JointLimits { acceleration: value, ..SECOND },
        _ => JointLimits { jerk: value, ..SECOND },
    };
    for field in ["velocity", "acceleration", "jerk"] {
        for value in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = limits_with(with(field, value)).unwrap_err();
            let LimitsError::NotPositive { field: named, joint, value: given } = &error else { panic!("{error}") };
            assert_eq!((*named, joint.as_str()), (field, "b"));
            assert_eq!(given.to_bits(), value.to_bits());
        }
        // However small, it is a limit.
        assert!(limits_with(with(field, f64::MIN_POSITIVE)).is_ok());
    }
}
