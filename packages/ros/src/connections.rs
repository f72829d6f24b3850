//! Whether a node's publishers and subscriptions are matched with those of others on their topic. What is not is silent without an error, so it
//! is told on `/diagnostics`, by name, and logged once.
//!
//! The middleware says that it happened (rcl's events of incompatible QoS), but not with whom; the graph says with whom. A type that differs
//! is seen on the graph only.

use crate::graph::{Endpoint, Graph};
use crate::raw::RawQos;
use crate::{Level, Task};
use r2r_rcl as rcl;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The graph is looked at once in so many seconds, where the middleware says nothing.
const LOOK_EVERY: u32 = 5;

/// What a node has on a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ours {
    Publisher,
    Subscription,
}

/// The middleware's count of those that a publisher or a subscription was not matched with.
pub(crate) struct Refused(Mutex<Option<Box<rcl::rcl_event_t>>>);

// SAFETY: rcl permits to take events from any one thread; the lock sees to that.
unsafe impl Send for Refused {}
// SAFETY: as above.
unsafe impl Sync for Refused {}

impl Refused {
    pub fn of_publisher(publisher: &rcl::rcl_publisher_t) -> Self {
        let kind = rcl::rcl_publisher_event_type_t::RCL_PUBLISHER_OFFERED_INCOMPATIBLE_QOS;
        // SAFETY: the publisher is initialised, and the event is ended before it.
        Self::of(|event| unsafe { rcl::rcl_publisher_event_init(event, publisher, kind) })
    }

    pub fn of_subscription(subscription: &rcl::rcl_subscription_t) -> Self {
        let kind = rcl::rcl_subscription_event_type_t::RCL_SUBSCRIPTION_REQUESTED_INCOMPATIBLE_QOS;
        // SAFETY: the subscription is initialised, and the event is ended before it.
        Self::of(|event| unsafe { rcl::rcl_subscription_event_init(event, subscription, kind) })
    }

    /// Where the middleware has no such event, the graph alone tells.
    fn of(init: impl FnOnce(*mut rcl::rcl_event_t) -> rcl::rcl_ret_t) -> Self {
        // SAFETY: returns a plain value.
        let mut event = Box::new(unsafe { rcl::rcl_get_zero_initialized_event() });
        let made = init(event.as_mut()) == rcl::RCL_RET_OK as rcl::rcl_ret_t;
        if !made {
            // SAFETY: forgets a text.
            unsafe { rcl::rcutils_reset_error() };
        }
        Self(Mutex::new(made.then_some(event)))
    }

    /// How many there were so far.
    fn count(&self) -> i32 {
        let event = lock(&self.0);
        let Some(event) = event.as_ref() else { return 0 };
        // SAFETY: the event is initialised; rcl writes a plain value of the event's kind.
        unsafe {
            let mut status = std::mem::zeroed::<Counted>();
            if rcl::rcl_take_event(event.as_ref(), (&raw mut status).cast()) == rcl::RCL_RET_OK as rcl::rcl_ret_t {
                return status.total;
            }
            rcl::rcutils_reset_error();
        }
        0
    }

    fn close(&self) {
        if let Some(mut event) = lock(&self.0).take() {
            // SAFETY: it was initialised and is not used again.
            unsafe { rcl::rcl_event_fini(event.as_mut()) };
        }
    }
}

/// `rmw_qos_incompatible_event_status_t`, its policy as the plain number that C has.
#[repr(C)]
struct Counted {
    total: i32,
    change: i32,
    policy: u32,
}

const _: () = assert!(size_of::<Counted>() == size_of::<rcl::rmw_qos_incompatible_event_status_t>());

/// A publisher or a subscription of a node.
pub(crate) struct Connection {
    topic: String,
    ours: Ours,
    refused: Refused,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("topic", &self.topic).field("ours", &self.ours).finish_non_exhaustive()
    }
}

impl Connection {
    /// Before what it belongs to ends.
    pub fn close(&self) {
        self.refused.close();
    }
}

/// A node's publishers and subscriptions. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    graph: Graph,
    node: String,
    all: Arc<Mutex<Vec<Arc<Connection>>>>,
}

impl Connections {
    pub fn new(graph: Graph) -> Self {
        Self { graph, node: String::new(), all: Arc::default() }
    }

    /// Of a node with this full name.
    pub fn of(&mut self, node: String) {
        self.node = node;
    }

    pub fn add(&self, topic: String, ours: Ours, refused: Refused) -> Arc<Connection> {
        let connection = Arc::new(Connection { topic, ours, refused });
        lock(&self.all).push(connection.clone());
        connection
    }

    /// What is not matched with what we have, in words.
    fn unmatched(&self) -> BTreeSet<String> {
        let topics: BTreeSet<(String, Ours)> = lock(&self.all).iter().map(|c| (c.topic.clone(), c.ours)).collect();
        let mut found = BTreeSet::new();
        for (topic, ours) in topics {
            let (publishers, subscriptions) = (self.graph.publishers_of(&topic), self.graph.subscriptions_of(&topic));
            found.extend(match ours {
                Ours::Subscription => {
                    let mine: Vec<_> = subscriptions.iter().filter(|s| s.node == self.node).collect();
                    unheard(&topic, &publishers, &mine)
                }
                Ours::Publisher => {
                    let mine: Vec<_> = publishers.iter().filter(|p| p.node == self.node).collect();
                    unreached(&topic, &mine, &subscriptions)
                }
            });
        }
        found
    }

    fn refused(&self) -> i64 {
        let all = lock(&self.all).clone();
        all.iter().map(|connection| i64::from(connection.refused.count())).sum()
    }
}

/// Publishers of a topic of which none of our subscriptions hears anything.
fn unheard(topic: &str, publishers: &[Endpoint], ours: &[&Endpoint]) -> Vec<String> {
    let mut found = Vec::new();
    for publisher in publishers {
        let why = ours.iter().map(|own| differences(publisher, own)).min_by_key(Vec::len).unwrap_or_default();
        if !why.is_empty() {
            let (who, why) = (called(publisher), why.join(", "));
            found.push(format!("'{topic}': nothing is heard of {who}: {why}"));
        }
    }
    found
}

/// Nodes that subscribe to a topic, none of whose subscriptions hears us.
fn unreached(topic: &str, ours: &[&Endpoint], subscriptions: &[Endpoint]) -> Vec<String> {
    let mut found = Vec::new();
    let nodes: BTreeSet<&str> = subscriptions.iter().map(|s| s.node.as_str()).collect();
    for node in nodes {
        let its: Vec<_> = subscriptions.iter().filter(|s| s.node == node).collect();
        let pairs = its.iter().flat_map(|its| ours.iter().map(|own| (differences(own, its), *its)));
        if let Some((why, its)) = pairs.min_by_key(|(why, _)| why.len())
            && !why.is_empty()
        {
            let (who, why) = (called(its), why.join(", "));
            found.push(format!("'{topic}': {who} does not hear this node: {why}"));
        }
    }
    found
}

fn called(endpoint: &Endpoint) -> String {
    if endpoint.node.is_empty() { "an unnamed node".to_owned() } else { format!("node '{}'", endpoint.node) }
}

/// Why a publisher and a subscription are not matched, in words; empty where they are.
fn differences(offers: &Endpoint, asks: &Endpoint) -> Vec<String> {
    if offers.type_name != asks.type_name && !offers.type_name.is_empty() && !asks.type_name.is_empty() {
        return vec![format!("it is {} here and {} there", asks.type_name, offers.type_name)];
    }
    policies(&offers.qos, &asks.qos)
}

fn policies(offers: &RawQos, asks: &RawQos) -> Vec<String> {
    let mut found = Vec::new();
    let mut wrong = |policy: &str, asked: &str, offered: &str| {
        found.push(format!("policy {policy}: the publisher offers {offered}, the subscription asks for {asked}"));
    };
    if asks.reliable && !offers.reliable {
        wrong("reliability", "reliable", "best effort");
    }
    if asks.transient_local && !offers.transient_local {
        wrong("durability", "transient local", "volatile");
    }
    let seconds =
        |time: Option<std::time::Duration>| time.map_or("none".to_owned(), |t| format!("{} s", t.as_secs_f64()));
    let looser = |offered: Option<std::time::Duration>, asked: Option<std::time::Duration>| {
        asked.is_some_and(|asked| offered.is_none_or(|offered| offered > asked))
    };
    if looser(offers.deadline, asks.deadline) {
        wrong("deadline", &seconds(asks.deadline), &seconds(offers.deadline));
    }
    if asks.manual_liveliness && !offers.manual_liveliness {
        wrong("liveliness", "manual by topic", "automatic");
    }
    if looser(offers.lease, asks.lease) {
        wrong("liveliness lease", &seconds(asks.lease), &seconds(offers.lease));
    }
    found
}

/// Looks from time to time, and tells.
pub(crate) struct Watch {
    connections: Connections,
    refused: i64,
    seconds: u32,
    /// Of the last look.
    seen: BTreeSet<String>,
    told: BTreeSet<String>,
    logged: BTreeSet<String>,
}

impl Watch {
    pub fn new(connections: Connections) -> Self {
        Self {
            connections,
            refused: 0,
            seconds: 0,
            seen: BTreeSet::new(),
            told: BTreeSet::new(),
            logged: BTreeSet::new(),
        }
    }

    /// To be called once a second.
    pub fn look(&mut self, task: &Task) {
        let refused = self.connections.refused();
        let news = refused != self.refused;
        self.refused = refused;
        if news || !self.seen.is_empty() || self.seconds.is_multiple_of(LOOK_EVERY) {
            let found = self.connections.unmatched();
            // Seen twice: of a node that has just come the graph may know a part of its subscriptions only.
            self.told = found.intersection(&self.seen).cloned().collect();
            self.seen = found;
        }
        self.seconds = self.seconds.wrapping_add(1);
        for line in &self.told {
            if self.logged.insert(line.clone()) {
                log::warn!("topic {line}");
            }
        }
        let values = [("not matched", self.told.len().to_string()), ("refused by the middleware", refused.to_string())];
        if self.told.is_empty() {
            task.report(Level::Ok, "every publisher and subscription on this node's topics is matched", values);
        } else {
            let lines: Vec<_> = self.told.iter().cloned().collect();
            task.report(Level::Warn, lines.join("; "), values);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use efm_core::SenderId;
    use std::time::Duration;

    fn end(node: &str, qos: RawQos) -> Endpoint {
        let type_name = "std_msgs/msg/Bool".to_owned();
        Endpoint { node: node.to_owned(), sender: SenderId::UNKNOWN, type_name, type_hash: None, qos }
    }

    const LEAST: RawQos = RawQos::new(false, false, 1);
    const RELIABLE: RawQos = RawQos::new(true, false, 1);
    const LATCHED: RawQos = RawQos::new(true, true, 1);

    #[test]
    fn a_publisher_that_one_subscription_of_several_hears_is_heard() {
        let ours = [end("/us", LEAST), end("/us", RELIABLE), end("/us", LATCHED)];
        let ours: Vec<_> = ours.iter().collect();
        let theirs = [end("/a", LEAST), end("/b", RELIABLE), end("/c", LATCHED), end("", RawQos::new(false, true, 1))];
        assert_eq!(unheard("/stop", &theirs, &ours), Vec::<String>::new());
        let found = unheard("/stop", &theirs, &ours[2..]);
        assert_eq!(found.len(), 3);
        assert!(found[0].contains("'/stop'") && found[0].contains("node '/a'"), "{found:?}");
        assert!(found[0].contains("reliability") && found[0].contains("durability"), "{found:?}");
        assert!(found[1].contains("'/b'") && !found[1].contains("reliability"), "{found:?}");
        assert!(found[2].contains("an unnamed node") && !found[2].contains("durability"), "{found:?}");
    }

    #[test]
    fn a_node_that_hears_us_by_one_of_its_subscriptions_hears_us() {
        let (ours, theirs) = (end("/us", RELIABLE), [end("/a", LATCHED), end("/a", LEAST), end("/b", LATCHED)]);
        let found = unreached("/plan", &[&ours], &theirs);
        assert!(found.len() == 1 && found[0].contains("'/b'") && found[0].contains("durability"), "{found:?}");
    }

    #[test]
    fn another_type_deadlines_and_liveliness_are_told_too() {
        let other = Endpoint { type_name: "std_msgs/msg/String".to_owned(), ..end("/a", LATCHED) };
        let found = differences(&other, &end("/us", LEAST));
        assert!(found[0].contains("std_msgs/msg/String") && found[0].contains("std_msgs/msg/Bool"), "{found:?}");
        let (ms, asks) = (Duration::from_millis, RawQos { deadline: Some(Duration::from_millis(20)), ..LEAST });
        assert!(policies(&LEAST, &asks)[0].contains("deadline"));
        assert!(policies(&RawQos { deadline: Some(ms(50)), ..LEAST }, &asks)[0].contains("0.05 s"));
        assert!(policies(&RawQos { deadline: Some(ms(20)), ..LEAST }, &asks).is_empty());
        let asks = RawQos { manual_liveliness: true, lease: Some(ms(100)), ..LEAST };
        let found = policies(&LEAST, &asks);
        assert!(found.len() == 2 && found.iter().all(|line| line.contains("liveliness")), "{found:?}");
        assert!(policies(&asks, &LEAST).is_empty(), "more than asked for is no trouble");
    }
}
