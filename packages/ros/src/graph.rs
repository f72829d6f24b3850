//! Who is on the graph: the publishers and subscriptions of a topic, with the names of their nodes and the identifiers that their messages carry.

use crate::entities::{RosError, c_string, check, text_of};
use crate::raw::{RawQos, hash_text};
use efm_core::SenderId;
use r2r_rcl as rcl;
use std::ptr::NonNull;
use std::sync::{Arc, PoisonError, RwLock};

/// What rmw calls a node whose name has not come yet, or that is no node of ROS's.
const NO_NAME: &str = "_NODE_NAME_UNKNOWN_";

/// A publisher or a subscription that was found on the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name of its node with the namespace; empty where it is not known (yet).
    pub node: String,
    /// Its identifier; of a publisher, what its messages carry ([`crate::Received::sender`]).
    pub sender: SenderId,
    /// `package/msg/Type`.
    pub type_name: String,
    /// REP 2011 hash of its type; none where the middleware does not tell.
    pub type_hash: Option<String>,
    /// What it offers or asks for.
    pub qos: RawQos,
}

/// Which side of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Publishers,
    Subscriptions,
}

/// The node as its graph needs it; empty once the node is gone.
pub(crate) struct NodeOnGraph(pub RwLock<Option<NonNull<rcl::rcl_node_t>>>);

// SAFETY: rcl permits to ask a node about the graph from several threads at once; it is ended under the lock's exclusive side.
unsafe impl Send for NodeOnGraph {}
// SAFETY: as above.
unsafe impl Sync for NodeOnGraph {}

/// A look at the graph from a node. Cheap to clone, may be used from any thread, and after the node's end: then nobody is found.
///
/// Each question allocates and takes a lock of the middleware's: some ten microseconds, so not for control ticks.
#[derive(Clone)]
pub struct Graph(pub(crate) Arc<NodeOnGraph>);

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").finish_non_exhaustive()
    }
}

impl Graph {
    /// The publishers of a topic. Its name is expanded and remapped as the node's own topics are.
    pub fn publishers_of(&self, topic: &str) -> Vec<Endpoint> {
        self.ask(topic, Side::Publishers)
    }

    /// The subscriptions of a topic. Its name is expanded and remapped as the node's own topics are.
    pub fn subscriptions_of(&self, topic: &str) -> Vec<Endpoint> {
        self.ask(topic, Side::Subscriptions)
    }

    /// The publisher of a topic that a message came from, in words: `node '/teleop'`, or its identifier where it is not on the graph (any
    /// more).
    pub fn name_of(&self, topic: &str, sender: SenderId) -> String {
        match self.node_of(topic, sender) {
            Some(node) => format!("node '{node}'"),
            None if sender == SenderId::UNKNOWN => "an unknown node".to_owned(),
            None => format!("a node that is not on the graph (publisher {sender})"),
        }
    }

    /// The node whose publisher of a topic a message came from, with its namespace; `None` where it is not on the graph. It may be there later: a
    /// publisher is found before the name of its node is.
    pub fn node_of(&self, topic: &str, sender: SenderId) -> Option<String> {
        let mut publishers = self.publishers_of(topic).into_iter();
        let found = publishers.find(|publisher| publisher.sender == sender && !publisher.node.is_empty());
        found.map(|publisher| publisher.node)
    }

    /// A topic's full name, expanded and remapped as the node's own topics are; as it is where that fails.
    pub fn full_name(&self, topic: &str) -> String {
        let node = self.0.0.read().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the node lives while the lock is held.
        node.and_then(|node| unsafe { resolved(node.as_ptr(), topic, false) }.ok()).unwrap_or_else(|| topic.to_owned())
    }

    /// Whether the user gave a topic another name by remapping.
    pub fn is_remapped(&self, topic: &str) -> bool {
        let node = self.0.0.read().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: as above.
        node.is_some_and(|node| unsafe {
            resolved(node.as_ptr(), topic, false).ok() != resolved(node.as_ptr(), topic, true).ok()
        })
    }

    /// Lets rcl do something with the node, which lives meanwhile; `None` once it is gone.
    pub(crate) fn with_node<R>(&self, act: impl FnOnce(*mut rcl::rcl_node_t) -> R) -> Option<R> {
        let node = self.0.0.read().unwrap_or_else(PoisonError::into_inner);
        node.map(|node| act(node.as_ptr()))
    }

    fn ask(&self, topic: &str, side: Side) -> Vec<Endpoint> {
        let node = self.0.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(node) = *node else { return Vec::new() };
        // SAFETY: the node lives while the lock is held.
        let found =
            unsafe { resolved(node.as_ptr(), topic, false).and_then(|name| endpoints(node.as_ptr(), &name, side)) };
        found.unwrap_or_else(|error| {
            log::debug!("{error}");
            Vec::new()
        })
    }
}

/// A topic's full name; where it is only expanded, as it is without remappings.
///
/// # Safety
/// The node is initialised.
unsafe fn resolved(node: *const rcl::rcl_node_t, topic: &str, only_expand: bool) -> Result<String, RosError> {
    let what = "cannot expand the topic name";
    let name = c_string(what, topic)?;
    // SAFETY: the caller's promise; rcl returns a text of the allocator's, which is freed.
    unsafe {
        let allocator = rcl::rcutils_get_default_allocator();
        let mut full = std::ptr::null_mut();
        let name = name.as_ptr();
        check(rcl::rcl_node_resolve_name(node, name, allocator, false, only_expand, &raw mut full), what, topic)?;
        let text = text_of(full);
        if let Some(free) = allocator.deallocate {
            free(full.cast(), allocator.state);
        }
        Ok(text)
    }
}

/// The publishers or subscriptions of a topic by its full name.
///
/// # Errors
/// When rcl cannot tell.
///
/// # Safety
/// The node is initialised.
pub(crate) unsafe fn endpoints(
    node: *const rcl::rcl_node_t,
    topic: &str,
    side: Side,
) -> Result<Vec<Endpoint>, RosError> {
    let what = match side {
        Side::Publishers => "cannot list the publishers of",
        Side::Subscriptions => "cannot list the subscriptions of",
    };
    let name = c_string(what, topic)?;
    // SAFETY: the caller's promise; the list is initialised, filled by rcl, read within its length and freed.
    unsafe {
        let mut allocator = rcl::rcutils_get_default_allocator();
        let mut list = rcl::rmw_get_zero_initialized_topic_endpoint_info_array();
        let code = match side {
            Side::Publishers => {
                rcl::rcl_get_publishers_info_by_topic(node, &raw mut allocator, name.as_ptr(), false, &raw mut list)
            }
            Side::Subscriptions => {
                rcl::rcl_get_subscriptions_info_by_topic(node, &raw mut allocator, name.as_ptr(), false, &raw mut list)
            }
        };
        let told = check(code, what, topic);
        let found = (0..if told.is_ok() { list.size } else { 0 }).map(|i| {
            let info = &*list.info_array.add(i);
            Endpoint {
                node: node_name(&text_of(info.node_namespace), &text_of(info.node_name)),
                sender: SenderId(info.endpoint_gid),
                type_name: text_of(info.topic_type),
                type_hash: hash_text(&info.topic_type_hash),
                qos: RawQos::from_rmw(&info.qos_profile),
            }
        });
        let found = found.collect();
        rcl::rmw_topic_endpoint_info_array_fini(&raw mut list, &raw mut allocator);
        told.map(|()| found)
    }
}

fn node_name(namespace: &str, name: &str) -> String {
    match name {
        "" | NO_NAME => String::new(),
        name => format!("{}/{name}", namespace.trim_end_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_name_has_its_namespace_and_is_empty_where_it_is_not_known() {
        assert_eq!(node_name("/", "driver"), "/driver");
        assert_eq!(node_name("/left/arm", "driver"), "/left/arm/driver");
        assert_eq!(node_name("_NODE_NAMESPACE_UNKNOWN_", NO_NAME), "");
        assert_eq!(node_name("", ""), "");
    }
}
