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

/// A list of profiles as any version of rosbag2 writes it, in the words of metadata version 9: before, policies were numbers. `None` when it is no such
/// list.
pub(crate) fn in_version_9(yaml: &str) -> Option<String> {
    let profiles: Vec<Profile> = serde_yaml::from_str(yaml).ok().filter(|list: &Vec<_>| !list.is_empty())?;
    let mut text = String::new();
    for p in profiles {
        let policy = |policy: &Policy, names: &[&str]| match policy {
            Policy::Number(n) => names.get(usize::from(*n)).copied().unwrap_or("unknown").to_owned(),
            Policy::Name(name) if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => name.clone(),
            Policy::Name(_) => "unknown".to_owned(),
        };
        // rmw/types.h.
        let history = policy(&p.history, &["system_default", "keep_last", "keep_all"]);
        let reliability =
            policy(&p.reliability, &["system_default", "reliable", "best_effort", "unknown", "best_available"]);
        let durability =
            policy(&p.durability, &["system_default", "transient_local", "volatile", "unknown", "best_available"]);
        let liveliness = policy(
            &p.liveliness,
            &["system_default", "automatic", "manual_by_node", "manual_by_topic", "unknown", "best_available"],
        );
        let time = |t: &Time| format!("\n    sec: {}\n    nsec: {}", t.sec, t.nsec);
        text.push_str(&format!(
            "- history: {history}\n  depth: {}\n  reliability: {reliability}\n  durability: {durability}\n  deadline:{}\n  \
             lifespan:{}\n  liveliness: {liveliness}\n  liveliness_lease_duration:{}\n  avoid_ros_namespace_conventions: {}\n",
            p.depth,
            time(&p.deadline),
            time(&p.lifespan),
            time(&p.liveliness_lease_duration),
            p.avoid_ros_namespace_conventions,
        ));
    }
    Some(text)
}

#[derive(serde::Deserialize)]
struct Profile {
    history: Policy,
    depth: i64,
    reliability: Policy,
    durability: Policy,
    deadline: Time,
    lifespan: Time,
    liveliness: Policy,
    liveliness_lease_duration: Time,
    avoid_ros_namespace_conventions: bool,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Policy {
    Number(u8),
    Name(String),
}

#[derive(serde::Deserialize)]
struct Time {
    sec: u64,
    nsec: u64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn profiles_of_old_bags_are_told_in_words_and_new_ones_as_they_are() {
        let new = Qos::LATCHED.to_yaml("");
        assert_eq!(in_version_9(&new).unwrap(), new);
        let old = new
            .replace("keep_last", "1")
            .replace("transient_local", "1")
            .replace("reliability: reliable", "reliability: 1")
            .replace("automatic", "1");
        assert!(!old.contains("keep_last") && old.contains("reliability: 1"), "{old}");
        assert_eq!(in_version_9(&old).unwrap(), new);
        let two = Qos::CLOCK.to_yaml("") + &Qos::DEFAULT.to_yaml("");
        assert_eq!(in_version_9(&two).unwrap(), two);
    }

    #[test]
    fn what_is_no_list_of_profiles_is_not_taken_over() {
        for text in ["", "[]", "- history: 1\n", "{", "a: b"] {
            assert_eq!(in_version_9(text), None, "{text}");
        }
        let odd = Qos::DEFAULT.to_yaml("").replace("automatic", "\"x: [\"");
        assert!(in_version_9(&odd).unwrap().contains("liveliness: unknown"));
    }
}
