//! The quality of service of every kind of topic, in one place.
//!
//! A subscriber that asks for more than the publisher offers hears nothing, without an error. So inputs from other people's
//! parts ask for the least that serves, and outputs offer the most.

use r2r::QosProfile;

/// Camera images in: best effort, so that every camera matches; only fresh frames matter.
pub const fn image_input() -> QosProfile {
    QosProfile::sensor_data()
}

/// Camera images in from a camera whose link loses frames otherwise: reliable. The camera must offer it.
pub const fn image_input_reliable() -> QosProfile {
    QosProfile::default().keep_last(5)
}

/// Images out: reliable, so that every subscriber matches.
pub const fn image_output() -> QosProfile {
    QosProfile::default().keep_last(5)
}

/// Measured joint states in: best effort, so that every driver and broadcaster matches; only fresh ones matter, and one that is lost is
/// followed by the next. More than one at once: arm and hand may have their own.
pub const fn joint_states_input() -> QosProfile {
    QosProfile::sensor_data().keep_last(10)
}

/// Measured joint states out: reliable, so that every subscriber matches.
pub const fn joint_states_output() -> QosProfile {
    QosProfile::default().keep_last(10)
}

/// What controllers tell of themselves: best effort, so that all of them are heard; only the newest matter.
pub const fn controller_state() -> QosProfile {
    QosProfile::sensor_data()
}

/// Trajectories, action chunks, execution states: reliable, volatile. An old one is worse than none, so nothing is kept.
pub const fn trajectory() -> QosProfile {
    QosProfile::default().keep_last(1)
}

/// What happens once and must not be lost: goals, reports.
pub const fn event() -> QosProfile {
    QosProfile::default().keep_last(10)
}

/// What holds until it changes: the instruction, `robot_description`, `robot_description_semantic`. Late joiners get the last one.
pub const fn latched() -> QosProfile {
    QosProfile::default().keep_last(1).transient_local()
}

/// `/clock`: best effort, only the newest.
pub const fn clock() -> QosProfile {
    QosProfile::default().keep_last(1).best_effort()
}

/// `/diagnostics`: only the newest.
pub const fn diagnostics() -> QosProfile {
    QosProfile::default().keep_last(1)
}

/// Services.
pub const fn service() -> QosProfile {
    QosProfile::services_default()
}

/// `parameter_events`, as every ROS node has it.
pub const fn parameter_events() -> QosProfile {
    QosProfile::parameter_events()
}
