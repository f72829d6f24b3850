//! The gantry of the tests: three slides and a finger, described in `packages/policy/tests/data`.
#![allow(dead_code)]

use efm_app::publisher::publishing::At;
use efm_app::publisher::streaming::Files;
use efm_core::Stamp;
use std::collections::BTreeMap;
use std::path::PathBuf;

pub const MS: i64 = 1_000_000;
pub const JOINTS: [&str; 4] = ["slide_x", "slide_y", "slide_z", "finger"];
/// Limits of a joint where a test does not care for them.
pub const LIMIT: &str = "{has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, max_jerk: 50.0}";

/// Its description.
pub fn urdf() -> String {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/data");
    std::fs::read_to_string(data.join("gantry.urdf")).unwrap()
}

/// The files of a publisher for it, with the same limits for each joint.
pub fn files(limit: &str) -> Files {
    let limits = JOINTS.map(|joint| format!("  {joint}: {limit}\n")).concat();
    Files::from_record(&BTreeMap::from([("joint_limits_file".to_owned(), format!("joint_limits:\n{limits}"))]))
}

/// A moment at which ROS time and the time of receipt are the same.
pub fn at(now: i64) -> At {
    At { now: Stamp::from_nanos(now), received: now as f64 * 1e-9 }
}
