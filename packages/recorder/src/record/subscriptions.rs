//! The recorder's subscriptions: topics are looked for all the time, and each is subscribed to so that all of its publishers are heard.

use super::{Asked, BagOfTopics, Follow, Selection, TopicId};
use efm_bag::{Definitions, Durability, Liveliness, OfferedQos, Qos, Reliability};
use efm_core::Stamp;
use efm_ros::raw::{RawError, RawNode, RawQos, SubscriptionId};
use efm_ros::{Endpoint, RosClock};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// It cannot be woken, so this bounds how fast a recorder ends.
const SPIN: Duration = Duration::from_millis(50);

/// What is heard, and what cannot be: for whoever tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Topics that are recorded.
    pub topics: usize,
    /// Topics that are wanted and cannot be recorded, with the reason.
    pub refused: BTreeMap<String, String>,
    /// Topics that were asked for by name and have no publisher yet.
    pub missing: Vec<String>,
    /// Nodes whose topics are to be recorded and that are not there yet.
    pub absent: Vec<String>,
    /// What such a node needs and nobody publishes: topic and node.
    pub silent: Vec<(String, String)>,
}

/// Takes messages and hands them to the bag.
pub struct Subscriptions {
    node: RawNode,
    selection: Selection,
    follow: Follow,
    definitions: Definitions,
    recording: BagOfTopics,
    clock: RosClock,
    topics: BTreeMap<String, Topic>,
    /// By subscription.
    ids: HashMap<SubscriptionId, TopicId>,
    heard: Arc<Mutex<Heard>>,
    looked: Option<Instant>,
}

impl std::fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscriptions").field("topics", &self.topics.len()).finish_non_exhaustive()
    }
}

enum Topic {
    Recorded { id: TopicId, subscription: SubscriptionId, type_name: String, asked: Asked },
    Refused(String),
}

impl Subscriptions {
    /// Makes the node that listens.
    ///
    /// # Errors
    /// When ROS refuses it.
    pub fn new(
        name: &str,
        namespace: &str,
        (selection, follow): (Selection, Follow),
        recording: BagOfTopics,
        clock: RosClock,
    ) -> Result<Self, RawError> {
        Ok(Self {
            node: RawNode::create(name, namespace)?,
            selection,
            follow,
            definitions: Definitions::installed(),
            recording,
            clock,
            topics: BTreeMap::new(),
            ids: HashMap::new(),
            heard: Arc::default(),
            looked: None,
        })
    }

    /// What is heard, kept up to date.
    pub fn heard(&self) -> Arc<Mutex<Heard>> {
        self.heard.clone()
    }

    /// Takes messages until `over` or until the recording ends by itself.
    ///
    /// # Errors
    /// When ROS fails.
    pub fn run(mut self, over: impl Fn() -> bool) -> Result<(), RawError> {
        while !over() && self.recording.ended().is_none() {
            // Under simulation nothing can be dated before the first /clock; latched messages come whenever one subscribes.
            if self.clock.is_simulated() && self.clock.now() == Stamp::default() {
                std::thread::sleep(SPIN);
                continue;
            }
            if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
                self.look()?;
                self.looked = Some(Instant::now());
            }
            let (ids, recording, clock) = (&self.ids, &self.recording, &self.clock);
            self.node.spin(SPIN, |subscription, taken| {
                let Some(&topic) = ids.get(&subscription) else { return };
                // Under simulation the publishers' wall time would not fit to the time of receipt.
                let (received, published) = if clock.is_simulated() {
                    (clock.now(), clock.now())
                } else {
                    let received = taken.received.unwrap_or_else(|| clock.now());
                    (received, taken.published.unwrap_or(received))
                };
                recording.put(topic, taken.bytes, received, published);
            })?;
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), RawError> {
        for node in self.follow.nodes().to_vec() {
            if let Some(topics) = self.node.topics_of(&node)? {
                self.follow.see(&node, &topics.says, &topics.hears);
            }
        }
        let wanted =
            |name: &str| self.selection.wants(name) || self.follow.wants(name) && !self.selection.leaves_out(name);
        let names: Vec<String> = self.node.topics()?.into_keys().filter(|name| wanted(name)).collect();
        let silent = self.follow.silent(|topic| self.node.offers(topic).is_ok_and(|offers| !offers.is_empty()));
        for name in names {
            let offers = self.node.offers(&name)?;
            if !offers.is_empty() {
                self.consider(&name, &offers);
            }
        }
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.topics = self.ids.len();
        heard.missing =
            self.selection.named().iter().filter(|name| !self.topics.contains_key(*name)).cloned().collect();
        heard.absent = self.follow.absent();
        heard.silent = silent;
        heard.refused = self
            .topics
            .iter()
            .filter_map(|(name, topic)| match topic {
                Topic::Refused(reason) => Some((name.clone(), reason.clone())),
                Topic::Recorded { .. } => None,
            })
            .collect();
        Ok(())
    }

    /// Subscribes to a topic, or anew where its publishers offer less than before.
    fn consider(&mut self, name: &str, offers: &[Endpoint]) {
        let profiles: Vec<OfferedQos> = distinct(offers.iter().map(|offer| offered(offer.qos)));
        match self.topics.get(name) {
            None => {}
            Some(Topic::Refused(_)) => return,
            Some(Topic::Recorded { id, subscription, type_name, asked }) => {
                let now = Asked::of(&profiles, type_name);
                // More than was asked for need not be asked for: nothing is missed.
                let less = asked.reliable && !now.reliable || asked.transient_local && !now.transient_local;
                if !less {
                    return;
                }
                log::warn!("'{name}' has a publisher that offers less than the others; it is subscribed to anew");
                let (id, old, type_name) = (*id, *subscription, type_name.clone());
                self.node.unsubscribe(old);
                self.ids.remove(&old);
                self.subscribe(name, &type_name, now, |_| id);
                return;
            }
        }
        let Some(first) = offers.first() else { return };
        if let Some(other) = offers.iter().find(|offer| offer.type_name != first.type_name) {
            let reason = format!("it has publishers of {} and of {}", first.type_name, other.type_name);
            self.refuse(name, reason);
            return;
        }
        let asked = Asked::of(&profiles, &first.type_name);
        let definition = self.definitions.find(&first.type_name, first.type_hash.as_deref());
        self.subscribe(name, &first.type_name, asked, |recording| {
            if definition.text.is_empty() {
                log::warn!("'{name}': the definition of {} is not installed; it is recorded without", definition.name);
            }
            recording.add_topic(name, definition, &profiles)
        });
    }

    fn subscribe(&mut self, name: &str, type_name: &str, asked: Asked, topic: impl FnOnce(&BagOfTopics) -> TopicId) {
        let qos = RawQos::new(asked.reliable, asked.transient_local, asked.depth);
        match self.node.subscribe(name, type_name, qos) {
            Ok(subscription) => {
                let id = topic(&self.recording);
                self.ids.insert(subscription, id);
                let type_name = type_name.to_owned();
                self.topics.insert(name.to_owned(), Topic::Recorded { id, subscription, type_name, asked });
            }
            Err(error) => self.refuse(name, error.to_string()),
        }
    }

    fn refuse(&mut self, name: &str, reason: String) {
        log::warn!("'{name}' is not recorded: {reason}");
        self.topics.insert(name.to_owned(), Topic::Refused(reason));
    }
}

fn distinct(profiles: impl Iterator<Item = OfferedQos>) -> Vec<OfferedQos> {
    profiles.fold(Vec::new(), |mut all, profile| {
        if !all.contains(&profile) {
            all.push(profile);
        }
        all
    })
}

/// As a bag notes it.
pub fn offered(qos: RawQos) -> OfferedQos {
    OfferedQos {
        qos: Qos {
            reliability: if qos.reliable { Reliability::Reliable } else { Reliability::BestEffort },
            durability: if qos.transient_local { Durability::TransientLocal } else { Durability::Volatile },
            depth: u32::try_from(qos.depth).unwrap_or(u32::MAX),
        },
        deadline: qos.deadline,
        lifespan: qos.lifespan,
        liveliness: if qos.manual_liveliness { Liveliness::ManualByTopic } else { Liveliness::Automatic },
        lease: qos.lease,
    }
}

/// As a publisher offers it. Where a bag does not tell how much was kept, ten messages are, as ROS does by default.
pub fn to_offer(profile: OfferedQos) -> RawQos {
    let depth = match profile.qos.depth {
        0 => 10,
        depth => depth as usize,
    };
    RawQos {
        deadline: profile.deadline,
        lifespan: profile.lifespan,
        manual_liveliness: profile.liveliness == Liveliness::ManualByTopic,
        lease: profile.lease,
        ..RawQos::new(
            profile.qos.reliability == Reliability::Reliable,
            profile.qos.durability == Durability::TransientLocal,
            depth,
        )
    }
}
