//! Quality of service of a recorded topic, as a bag notes it, so that a player offers what the recorded publisher offered.

/// Whether lost samples are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reliability {
    /// They are.
    Reliable,
    /// They are not.
    BestEffort,
}

/// Whether late subscribers get old samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// They do not.
    Volatile,
    /// They get the last ones.
    TransientLocal,
}

/// The profile of a publisher. History is "keep last"; for deadline, lifespan and lease see [`crate::OfferedQos`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Qos {
    /// Reliability.
    pub reliability: Reliability,
    /// Durability.
    pub durability: Durability,
    /// Samples kept.
    pub depth: u32,
}

impl Qos {
    /// Reliable and volatile, the last ten: ROS's default.
    pub const DEFAULT: Qos = Qos { reliability: Reliability::Reliable, durability: Durability::Volatile, depth: 10 };
    /// Reliable, the last one kept for late subscribers.
    pub const LATCHED: Qos =
        Qos { reliability: Reliability::Reliable, durability: Durability::TransientLocal, depth: 1 };
    /// The newest or nothing: `/clock`.
    pub const CLOCK: Qos = Qos { reliability: Reliability::BestEffort, durability: Durability::Volatile, depth: 1 };

    /// What the suite's convention is for a topic, by the last part of its name.
    pub fn for_topic(topic: &str) -> Qos {
        match topic.rsplit('/').next() {
            Some("instruction" | "robot_description" | "robot_description_semantic" | "tf_static") => Self::LATCHED,
            Some("clock") => Self::CLOCK,
            _ => Self::DEFAULT,
        }
    }

    /// As one element of rosbag2's YAML list of offered profiles, `indent` before every line.
    pub(crate) fn to_yaml(self, indent: &str) -> String {
        crate::OfferedQos::from(self).to_yaml(indent)
    }
}
