//! The manifest of a policy package, which comes from whoever trained the policy.

use efm_policy::{Golden, Manifest};
use std::path::Path;

/// A manifest that was accepted can be relied on: its lengths agree, its numbers are of use, and its files lie beside it.
pub fn manifest(data: &[u8]) {
    let Ok(manifest) = Manifest::parse(&String::from_utf8_lossy(data), Path::new("policy.yaml")) else { return };
    let joints = manifest.joints().expect("names were checked").len();
    assert_eq!(manifest.state_len(), joints + manifest.observation.state.end_effector.len());
    assert!((1..=manifest.action.horizon).contains(&manifest.execution.replan_steps));
    assert!(manifest.chunk_seconds().is_finite() && manifest.chunk_seconds() > 0.0);
    for (len, normalization) in [
        (manifest.state_len(), &manifest.observation.state.normalization),
        (manifest.action_len(), &manifest.action.normalization),
    ] {
        for i in 0..len {
            // What is not a number here would be a motion.
            assert!(!normalization.apply(i, 0.5).is_nan() && !normalization.undo(i, 0.5).is_nan());
        }
    }
    for image in &manifest.observation.images {
        assert_eq!(image.shape().iter().product::<i64>(), image.len() as i64);
    }
    for graph in manifest.graphs.values() {
        assert_eq!(Path::new(&graph.file).components().count(), 1, "{}", graph.file);
    }
    // The worked example is read against it.
    let _ = Golden::parse(data, &manifest);
}
