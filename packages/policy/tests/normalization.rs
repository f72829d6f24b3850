//! Normalisations against vectors computed from their published formulas: `make_normalization_vectors.py` names the sources.
#![allow(clippy::unwrap_used)]

use efm_policy::VectorNormalization;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    normalization: VectorNormalization,
    physical: Vec<Vec<f64>>,
    normalized: Vec<Vec<f64>>,
    given: Vec<Vec<f64>>,
    unnormalized: Vec<Vec<f64>>,
}

/// Four roundings of float64 apart at most: the published formulas multiply and divide in different orders.
fn assert_same(name: &str, found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= 4.0 * f64::EPSILON * expected.abs().max(1.0),
        "{name}: {found} and not {expected}"
    );
}

#[test]
fn the_published_normalisations_are_met_to_the_last_bits_both_ways() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/normalization.json");
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        let n = &case.normalization;
        for (rows, expected) in [(&case.physical, &case.normalized), (&case.given, &case.unnormalized)] {
            assert_eq!((rows.len(), expected.len()), (4, 4), "{}", case.name);
        }
        for (row, expected) in case.physical.iter().zip(&case.normalized) {
            for (i, (value, expected)) in row.iter().zip(expected).enumerate() {
                assert_same(&format!("{}, column {i} of {row:?} normalised", case.name), n.apply(i, *value), *expected);
            }
        }
        for (row, expected) in case.given.iter().zip(&case.unnormalized) {
            for (i, (value, expected)) in row.iter().zip(expected).enumerate() {
                assert_same(&format!("{}, column {i} of {row:?} back", case.name), n.undo(i, *value), *expected);
            }
        }
    }
}
