//! Keys of a manifest that do nothing where they stand: told, as whoever wrote them thought that they do something.
//!
//! A key that is unknown is refused, as most are misspellings. These are known, and packages that run rightly have them (LeRobot's importer once wrote
//! `unnormalize_eps` for states), so they are no refusals.

use crate::manifest::{ActionSpace, Manifest};

/// One sentence a key.
pub(crate) fn keys(manifest: &Manifest) -> Vec<String> {
    let (state, action) = (&manifest.observation.state, &manifest.action);
    let solves = action.space == ActionSpace::EndEffector;
    let named = |name: &str| action.names.iter().any(|known| known == name);
    let mut found: Vec<(&str, &str)> = Vec::new();
    if state.normalization.unnormalize_eps().is_some() {
        found.push(("observation.state.normalization.unnormalize_eps", "a state is normalised and never brought back"));
    }
    // What a chunk is to continue is normalised, and cut there.
    if action.normalization.clips() && !manifest.runner.continues() {
        found.push(("action.normalization.clip", "actions are not cut on the way back from the networks"));
    }
    if action.orientation.is_some() {
        if !solves {
            found.push(("action.orientation", "with space joint_position no tool is turned"));
        } else if ["roll", "pitch", "yaw"].into_iter().all(named) {
            found.push(("action.orientation", "action.names gives roll, pitch and yaw"));
        }
    }
    if action.rest_posture.is_some() && !solves {
        found.push(("action.rest_posture", "with space joint_position no inverse kinematics leans anywhere"));
    }
    if action.gripper_joint.is_some() && solves && !named("gripper") {
        found.push(("action.gripper_joint", "action.names has no 'gripper'"));
    }
    found.into_iter().map(|(key, why)| format!("{key} does nothing here: {why}; take it out")).collect()
}
