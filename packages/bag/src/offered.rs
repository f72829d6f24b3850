//! The profiles that publishers offered, as rosbag2 notes them: the YAML in a bag's metadata, both ways.

use crate::{Durability, Qos, Reliability};
use serde::Deserialize;
use std::time::Duration;

/// How a publisher shows that it is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveliness {
    /// The middleware does it.
    Automatic,
    /// The publisher does it itself.
    ManualByTopic,
}

/// A profile as a publisher offered it. Times that are not bounded are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferedQos {
    /// Reliability, durability and depth. Depth 0: the middleware does not tell how much the publisher keeps (Fast DDS does not).
    pub qos: Qos,
    /// Longest time between two messages.
    pub deadline: Option<Duration>,
    /// Age after which a message is no longer delivered.
    pub lifespan: Option<Duration>,
    /// Liveliness.
    pub liveliness: Liveliness,
    /// Time after which a silent publisher counts as gone.
    pub lease: Option<Duration>,
}

impl From<Qos> for OfferedQos {
    fn from(qos: Qos) -> Self {
        Self { qos, deadline: None, lifespan: None, liveliness: Liveliness::Automatic, lease: None }
    }
}

/// RMW_DURATION_INFINITE, and what stands for it in profiles that were never filled in.
const INFINITE: (u64, u64) = (9_223_372_036, 854_775_807);
const UNSET: (u64, u64) = (0, 0);

impl OfferedQos {
    /// rosbag2's YAML list of these profiles (metadata version 9).
    pub fn list_to_yaml(profiles: &[OfferedQos]) -> String {
        profiles.iter().map(|profile| profile.to_yaml("")).collect()
    }

    /// Reads rosbag2's YAML list, also that of older versions, which have numbers for names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn list_from_yaml(yaml: &str) -> Result<Vec<OfferedQos>, String> {
        if yaml.trim().is_empty() {
            return Ok(Vec::new());
        }
        let profiles: Vec<Profile> = serde_yaml::from_str(yaml).map_err(|error| error.to_string())?;
        Ok(profiles.into_iter().map(Profile::offered).collect())
    }

    /// What a single publisher offers in the place of several: as much as each of them did, so that whoever heard any of them hears it.
    /// `None` when there were none.
    pub fn most_demanding(profiles: &[OfferedQos]) -> Option<OfferedQos> {
        profiles.iter().copied().reduce(|a, b| OfferedQos {
            qos: Qos {
                reliability: if [a, b].iter().any(|p| p.qos.reliability == Reliability::Reliable) {
                    Reliability::Reliable
                } else {
                    Reliability::BestEffort
                },
                durability: if [a, b].iter().any(|p| p.qos.durability == Durability::TransientLocal) {
                    Durability::TransientLocal
                } else {
                    Durability::Volatile
                },
                // Of several latched publishers each one's messages are kept.
                depth: if a.qos.depth == 0 || b.qos.depth == 0 { 0 } else { a.qos.depth.saturating_add(b.qos.depth) },
            },
            deadline: shorter(a.deadline, b.deadline),
            // A message must not vanish earlier than any publisher's did.
            lifespan: a.lifespan.zip(b.lifespan).map(|(a, b)| a.max(b)),
            liveliness: if a.liveliness == b.liveliness { a.liveliness } else { Liveliness::ManualByTopic },
            lease: shorter(a.lease, b.lease),
        })
    }

    /// One element of the list, `indent` before every line.
    pub(crate) fn to_yaml(self, indent: &str) -> String {
        let reliability = match self.qos.reliability {
            Reliability::Reliable => "reliable",
            Reliability::BestEffort => "best_effort",
        };
        let durability = match self.qos.durability {
            Durability::Volatile => "volatile",
            Durability::TransientLocal => "transient_local",
        };
        let liveliness = match self.liveliness {
            Liveliness::Automatic => "automatic",
            Liveliness::ManualByTopic => "manual_by_topic",
        };
        let history = if self.qos.depth == 0 { "unknown" } else { "keep_last" };
        let time = |time: Option<Duration>| {
            let (sec, nsec) = time.map_or(INFINITE, |t| (t.as_secs(), u64::from(t.subsec_nanos())));
            format!("\n{indent}    sec: {sec}\n{indent}    nsec: {nsec}")
        };
        format!(
            "{indent}- history: {history}\n{indent}  depth: {depth}\n{indent}  reliability: {reliability}\n\
             {indent}  durability: {durability}\n{indent}  deadline:{deadline}\n{indent}  lifespan:{lifespan}\n\
             {indent}  liveliness: {liveliness}\n{indent}  liveliness_lease_duration:{lease}\n\
             {indent}  avoid_ros_namespace_conventions: false\n",
            depth = self.qos.depth,
            deadline = time(self.deadline),
            lifespan = time(self.lifespan),
            lease = time(self.lease),
        )
    }
}

fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

/// As it is written. Anything that is not said or not known is taken as ROS's default.
#[derive(Deserialize)]
struct Profile {
    #[serde(default)]
    history: Word,
    #[serde(default)]
    depth: i64,
    #[serde(default)]
    reliability: Word,
    #[serde(default)]
    durability: Word,
    #[serde(default)]
    deadline: Time,
    #[serde(default)]
    lifespan: Time,
    #[serde(default)]
    liveliness: Word,
    #[serde(default)]
    liveliness_lease_duration: Time,
}

/// A policy's name, or its number in bags of ROS before Jazzy.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Word {
    Number(i64),
    Name(String),
    #[default]
    Missing,
}

impl Word {
    fn is(&self, number: i64, name: &str) -> bool {
        match self {
            Word::Number(n) => *n == number,
            Word::Name(text) => text == name,
            Word::Missing => false,
        }
    }
}

#[derive(Deserialize, Default)]
struct Time {
    #[serde(default)]
    sec: u64,
    #[serde(default)]
    nsec: u64,
}

impl Time {
    fn bounded(&self) -> Option<Duration> {
        let time = (self.sec, self.nsec);
        // Middlewares write "infinite" as 68 years or more.
        (time != UNSET && self.sec < 0x7fff_ffff)
            .then(|| Duration::from_secs(self.sec).saturating_add(Duration::from_nanos(self.nsec)))
    }
}

impl Profile {
    fn offered(self) -> OfferedQos {
        // Numbers are those of rmw/types.h.
        let known = self.history.is(1, "keep_last");
        OfferedQos {
            qos: Qos {
                reliability: if self.reliability.is(2, "best_effort") {
                    Reliability::BestEffort
                } else {
                    Reliability::Reliable
                },
                durability: if self.durability.is(1, "transient_local") {
                    Durability::TransientLocal
                } else {
                    Durability::Volatile
                },
                depth: if known { u32::try_from(self.depth.max(0)).unwrap_or(u32::MAX) } else { 0 },
            },
            deadline: self.deadline.bounded(),
            lifespan: self.lifespan.bounded(),
            liveliness: if self.liveliness.is(3, "manual_by_topic") {
                Liveliness::ManualByTopic
            } else {
                Liveliness::Automatic
            },
            lease: self.liveliness_lease_duration.bounded(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn any_time() -> impl Strategy<Value = Option<Duration>> {
        prop::option::of((1u64..1_000_000).prop_map(Duration::from_millis))
    }

    prop_compose! {
        fn any_profile()(
            reliable in any::<bool>(),
            latched in any::<bool>(),
            depth in 0u32..5000,
            deadline in any_time(),
            lifespan in any_time(),
            manual in any::<bool>(),
            lease in any_time(),
        ) -> OfferedQos {
            OfferedQos {
                qos: Qos {
                    reliability: if reliable { Reliability::Reliable } else { Reliability::BestEffort },
                    durability: if latched { Durability::TransientLocal } else { Durability::Volatile },
                    depth,
                },
                deadline,
                lifespan,
                liveliness: if manual { Liveliness::ManualByTopic } else { Liveliness::Automatic },
                lease,
            }
        }
    }

    proptest! {
        #[test]
        fn profiles_come_back_as_they_were_written(profiles in prop::collection::vec(any_profile(), 0..4)) {
            let yaml = OfferedQos::list_to_yaml(&profiles);
            prop_assert_eq!(OfferedQos::list_from_yaml(&yaml).unwrap(), profiles);
        }

        #[test]
        fn one_publisher_for_several_offers_what_each_of_them_did(profiles in prop::collection::vec(any_profile(), 1..4)) {
            let one = OfferedQos::most_demanding(&profiles).unwrap();
            for profile in profiles {
                prop_assert!(one.qos.reliability == Reliability::Reliable || profile.qos.reliability == Reliability::BestEffort);
                prop_assert!(one.qos.durability == Durability::TransientLocal || profile.qos.durability == Durability::Volatile);
                prop_assert!(profile.deadline.is_none_or(|d| one.deadline.is_some_and(|o| o <= d)));
                prop_assert!(profile.lease.is_none_or(|d| one.lease.is_some_and(|o| o <= d)));
                prop_assert!(one.qos.depth == 0 || one.qos.depth >= profile.qos.depth);
            }
        }
    }

    #[test]
    fn numbers_of_older_bags_are_understood() {
        let yaml = "- history: 1\n  depth: 7\n  reliability: 2\n  durability: 1\n  deadline:\n    sec: 2147483647\n    nsec: 4294967295\n  \
                    lifespan:\n    sec: 0\n    nsec: 0\n  liveliness: 1\n  liveliness_lease_duration:\n    sec: 3\n    nsec: 5\n  \
                    avoid_ros_namespace_conventions: false\n";
        let [profile] = OfferedQos::list_from_yaml(yaml).unwrap()[..] else { panic!() };
        let qos = Qos { reliability: Reliability::BestEffort, durability: Durability::TransientLocal, depth: 7 };
        assert_eq!(profile, OfferedQos { lease: Some(Duration::new(3, 5)), ..OfferedQos::from(qos) });
    }

    #[test]
    fn what_is_no_list_of_profiles_is_refused() {
        assert!(OfferedQos::list_from_yaml("- depth: [many]\n").is_err());
        assert_eq!(OfferedQos::list_from_yaml(" \n").unwrap(), []);
    }
}
