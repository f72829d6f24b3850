//! Messages as bytes, of every type that is installed: what a recorder takes and a player gives.
//!
//! r2r hands over raw messages too, but only of types that were compiled in, without their time of publication, and through a queue of
//! ten that loses the newest without a word. So a [`RawNode`] talks to rcl itself, with type supports that are loaded from the installed
//! message packages. It is a node of its own in a context of its own, used from one thread.

use crate::bounds;
use crate::entities::{Buffer, RosError, begin, message_of, rcl_error, text_of};
use crate::graph::{Endpoint, Side, endpoints};
use crate::type_support::{NoTypeSupport, TypeSupports};
use efm_core::{SenderId, Stamp};
use r2r_rcl as rcl;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::time::{Duration, Instant};

/// Messages of one subscription that are taken before the others have their turn.
const TURN: usize = 64;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum RawError {
    /// rcl refused something.
    #[error("{what} '{name}': {reason}")]
    Rcl {
        /// What was tried.
        what: &'static str,
        /// With which topic or node.
        name: String,
        /// rcl's message.
        reason: String,
    },
    /// As of a node's entities.
    #[error(transparent)]
    Ros(#[from] RosError),
    /// The message package is not installed, or has no such type.
    #[error(transparent)]
    NoTypeSupport(#[from] NoTypeSupport),
    /// A zero byte.
    #[error("'{0}' cannot be a name")]
    Name(String),
}

/// A policy that a publisher offers or a subscriber asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawQos {
    /// Whether lost messages are sent again.
    pub reliable: bool,
    /// Whether late subscribers get old messages.
    pub transient_local: bool,
    /// Messages kept; 0 where the middleware does not tell.
    pub depth: usize,
    /// Longest time between messages; none: not bounded.
    pub deadline: Option<Duration>,
    /// Age at which a message is no longer delivered; none: not bounded.
    pub lifespan: Option<Duration>,
    /// Whether the publisher itself shows that it lives.
    pub manual_liveliness: bool,
    /// Time after which a silent publisher counts as gone; none: not bounded.
    pub lease: Option<Duration>,
}

impl RawQos {
    /// Without bounds on time.
    pub const fn new(reliable: bool, transient_local: bool, depth: usize) -> Self {
        Self { reliable, transient_local, depth, deadline: None, lifespan: None, manual_liveliness: false, lease: None }
    }

    pub(crate) fn from_rmw(qos: &rcl::rmw_qos_profile_t) -> Self {
        use rcl::{
            rmw_qos_durability_policy_t as D, rmw_qos_liveliness_policy_t as L, rmw_qos_reliability_policy_t as R,
        };
        Self {
            reliable: qos.reliability != R::RMW_QOS_POLICY_RELIABILITY_BEST_EFFORT,
            transient_local: qos.durability == D::RMW_QOS_POLICY_DURABILITY_TRANSIENT_LOCAL,
            depth: qos.depth,
            deadline: bounded(&qos.deadline),
            lifespan: bounded(&qos.lifespan),
            manual_liveliness: qos.liveliness == L::RMW_QOS_POLICY_LIVELINESS_MANUAL_BY_TOPIC,
            lease: bounded(&qos.liveliness_lease_duration),
        }
    }

    fn to_rmw(self) -> rcl::rmw_qos_profile_t {
        use rcl::{
            rmw_qos_durability_policy_t as D, rmw_qos_history_policy_t as H, rmw_qos_liveliness_policy_t as L,
            rmw_qos_reliability_policy_t as R,
        };
        rcl::rmw_qos_profile_t {
            history: H::RMW_QOS_POLICY_HISTORY_KEEP_LAST,
            depth: self.depth.max(1),
            reliability: if self.reliable {
                R::RMW_QOS_POLICY_RELIABILITY_RELIABLE
            } else {
                R::RMW_QOS_POLICY_RELIABILITY_BEST_EFFORT
            },
            durability: if self.transient_local {
                D::RMW_QOS_POLICY_DURABILITY_TRANSIENT_LOCAL
            } else {
                D::RMW_QOS_POLICY_DURABILITY_VOLATILE
            },
            deadline: rmw_time(self.deadline),
            lifespan: rmw_time(self.lifespan),
            liveliness: if self.manual_liveliness {
                L::RMW_QOS_POLICY_LIVELINESS_MANUAL_BY_TOPIC
            } else {
                L::RMW_QOS_POLICY_LIVELINESS_AUTOMATIC
            },
            liveliness_lease_duration: rmw_time(self.lease),
            avoid_ros_namespace_conventions: false,
        }
    }
}

/// Zero is rmw's "not said"; middlewares write "infinite" as 68 years or more.
fn bounded(time: &rcl::rmw_time_s) -> Option<Duration> {
    let zero = (time.sec, time.nsec) == (0, 0);
    (!zero && time.sec < 0x7fff_ffff)
        .then(|| Duration::from_secs(time.sec).saturating_add(Duration::from_nanos(time.nsec)))
}

fn rmw_time(time: Option<Duration>) -> rcl::rmw_time_s {
    time.map_or(rcl::rmw_time_s { sec: 0, nsec: 0 }, |t| rcl::rmw_time_s {
        sec: t.as_secs(),
        nsec: u64::from(t.subsec_nanos()),
    })
}

/// A message that was taken.
#[derive(Debug, Clone, Copy)]
pub struct Taken<'a> {
    /// CDR, with the encapsulation header.
    pub bytes: &'a [u8],
    /// When it was published, in the wall time of the publisher's machine; none where the middleware does not tell.
    pub published: Option<Stamp>,
    /// When the middleware received it, in wall time; none where it does not tell.
    pub received: Option<Stamp>,
    /// The publisher that it came from.
    pub sender: SenderId,
}

/// One of a node's subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(u64);

struct Subscription {
    id: SubscriptionId,
    topic: String,
    // In a box, as the wait set keeps its address.
    handle: Box<rcl::rcl_subscription_t>,
}

/// Topics of a node, with their types.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeTopics {
    /// What it publishes.
    pub says: BTreeMap<String, Vec<String>>,
    /// What it subscribes to.
    pub hears: BTreeMap<String, Vec<String>>,
}

/// rcl's question about a node's publishers, or its subscriptions.
type AskNode = unsafe extern "C" fn(
    *const rcl::rcl_node_t,
    *mut rcl::rcl_allocator_t,
    bool,
    *const std::ffi::c_char,
    *const std::ffi::c_char,
    *mut rcl::rcl_names_and_types_t,
) -> rcl::rcl_ret_t;

/// A publisher of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublisherId(usize);

/// A node that takes and gives messages as bytes.
pub struct RawNode {
    // Both in boxes: rcl keeps their addresses.
    context: Box<rcl::rcl_context_t>,
    node: Box<rcl::rcl_node_t>,
    wait_set: rcl::rcl_wait_set_t,
    /// Whether the wait set has room for exactly the subscriptions that there are.
    fits: bool,
    subscriptions: Vec<Subscription>,
    publishers: Vec<rcl::rcl_publisher_t>,
    types: TypeSupports,
    buffer: Buffer,
    next_id: u64,
}

// SAFETY: rcl's objects may be used from any one thread at a time; `&mut self` sees to that.
unsafe impl Send for RawNode {}

impl std::fmt::Debug for RawNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawNode").field("subscriptions", &self.subscriptions.len()).finish_non_exhaustive()
    }
}

fn check(code: rcl::rcl_ret_t, what: &'static str, name: &str) -> Result<(), RawError> {
    if code == rcl::RCL_RET_OK as rcl::rcl_ret_t {
        return Ok(());
    }
    Err(refused(code, what, name))
}

fn refused(code: rcl::rcl_ret_t, what: &'static str, name: &str) -> RawError {
    RawError::Rcl { what, name: name.to_owned(), reason: format!("{} (code {code})", rcl_error()) }
}

fn c_string(text: &str) -> Result<CString, RawError> {
    CString::new(text).map_err(|_| RawError::Name(text.to_owned()))
}

impl RawNode {
    /// Makes a node. Command line arguments (remappings, parameters) have no effect on it.
    ///
    /// # Errors
    /// When rcl refuses the name or there is no middleware.
    pub fn create(name: &str, namespace: &str) -> Result<Self, RawError> {
        let (c_name, c_namespace) = (c_string(name)?, c_string(namespace)?);
        // SAFETY: rcl's own order of initialisation, with pointers to live, zero-initialised values.
        unsafe {
            let mut context = begin(&[]).map_err(|code| refused(code, "cannot initialise", name))?;

            let mut node = Box::new(rcl::rcl_get_zero_initialized_node());
            let mut options = rcl::rcl_node_get_default_options();
            // The process has a node that logs.
            options.enable_rosout = false;
            let made = rcl::rcl_node_init(
                node.as_mut(),
                c_name.as_ptr(),
                c_namespace.as_ptr(),
                context.as_mut(),
                &raw const options,
            );
            if let Err(error) = check(made, "cannot create node", name) {
                rcl::rcl_shutdown(context.as_mut());
                rcl::rcl_context_fini(context.as_mut());
                return Err(error);
            }
            Ok(Self {
                context,
                node,
                wait_set: rcl::rcl_get_zero_initialized_wait_set(),
                fits: false,
                subscriptions: Vec::new(),
                publishers: Vec::new(),
                types: TypeSupports::default(),
                buffer: Buffer::of_at_most(usize::MAX),
                next_id: 0,
            })
        }
    }

    /// The topics that somebody publishes or subscribes to, with their types.
    ///
    /// # Errors
    /// When rcl cannot tell.
    pub fn topics(&self) -> Result<BTreeMap<String, Vec<String>>, RawError> {
        let mut found = BTreeMap::new();
        // SAFETY: the list is initialised, filled by rcl, read within its length and freed.
        unsafe {
            let mut allocator = rcl::rcutils_get_default_allocator();
            let mut list = rcl::rmw_get_zero_initialized_names_and_types();
            let code = rcl::rcl_get_topic_names_and_types(self.node.as_ref(), &raw mut allocator, false, &raw mut list);
            check(code, "cannot list", "topics")?;
            for i in 0..list.names.size {
                let types = &*list.types.add(i);
                let types = (0..types.size).map(|k| text_of(*types.data.add(k))).collect();
                found.insert(text_of(*list.names.data.add(i)), types);
            }
            rcl::rmw_names_and_types_fini(&raw mut list);
        }
        Ok(found)
    }

    /// The topics that another node, by its full name, publishes and subscribes to, by their full names; `None` where it is not on the graph.
    ///
    /// # Errors
    /// When the name cannot be one.
    pub fn topics_of(&self, node: &str) -> Result<Option<NodeTopics>, RawError> {
        let (namespace, name) = node.rsplit_once('/').unwrap_or(("", node));
        let namespace = c_string(if namespace.is_empty() { "/" } else { namespace })?;
        let name = c_string(name)?;
        let ask = |ask: AskNode| {
            let mut found = BTreeMap::new();
            // SAFETY: the list is initialised, filled by rcl, read within its length and freed.
            unsafe {
                let mut allocator = rcl::rcutils_get_default_allocator();
                let mut list = rcl::rmw_get_zero_initialized_names_and_types();
                let (name, namespace) = (name.as_ptr(), namespace.as_ptr());
                let code = ask(self.node.as_ref(), &raw mut allocator, false, name, namespace, &raw mut list);
                if code != rcl::RCL_RET_OK as rcl::rcl_ret_t {
                    // It is not there (any more).
                    rcl_error();
                    return None;
                }
                for i in 0..list.names.size {
                    let types = &*list.types.add(i);
                    let types = (0..types.size).map(|k| text_of(*types.data.add(k))).collect();
                    found.insert(text_of(*list.names.data.add(i)), types);
                }
                rcl::rmw_names_and_types_fini(&raw mut list);
            }
            Some(found)
        };
        let says = ask(rcl::rcl_get_publisher_names_and_types_by_node);
        let hears = ask(rcl::rcl_get_subscriber_names_and_types_by_node);
        Ok(says.zip(hears).map(|(says, hears)| NodeTopics { says, hears }))
    }

    /// The publishers of a topic by its full name.
    ///
    /// # Errors
    /// When rcl cannot tell.
    pub fn offers(&self, topic: &str) -> Result<Vec<Endpoint>, RawError> {
        // SAFETY: the node is initialised.
        Ok(unsafe { endpoints(self.node.as_ref(), topic, Side::Publishers) }?)
    }

    /// Subscribes to a topic by its full name.
    ///
    /// # Errors
    /// When the type is not installed or rcl refuses.
    pub fn subscribe(&mut self, topic: &str, type_name: &str, qos: RawQos) -> Result<SubscriptionId, RawError> {
        let support = self.types.of(type_name)?;
        let name = c_string(topic)?;
        // SAFETY: node and type support outlive the subscription; its address stays the same.
        let handle = unsafe {
            let mut handle = Box::new(rcl::rcl_get_zero_initialized_subscription());
            let mut options = rcl::rcl_subscription_get_default_options();
            options.qos = qos.to_rmw();
            let code = rcl::rcl_subscription_init(
                handle.as_mut(),
                self.node.as_mut(),
                support,
                name.as_ptr(),
                &raw const options,
            );
            check(code, "cannot subscribe to", topic)?;
            handle
        };
        self.next_id += 1;
        let id = SubscriptionId(self.next_id);
        self.subscriptions.push(Subscription { id, topic: topic.to_owned(), handle });
        self.fits = false;
        Ok(id)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {
        if let Some(at) = self.subscriptions.iter().position(|s| s.id == id) {
            let mut gone = self.subscriptions.swap_remove(at);
            self.fits = false;
            // SAFETY: it was made with this node and is not used again.
            unsafe { rcl::rcl_subscription_fini(gone.handle.as_mut(), self.node.as_mut()) };
        }
    }

    /// Waits for messages, `timeout` at most, and hands over all that are there.
    ///
    /// # Errors
    /// When rcl cannot wait or take.
    pub fn spin(
        &mut self,
        timeout: Duration,
        mut taken: impl FnMut(SubscriptionId, Taken<'_>),
    ) -> Result<(), RawError> {
        if self.subscriptions.is_empty() {
            std::thread::sleep(timeout);
            return Ok(());
        }
        let nanos = i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
        // SAFETY: the wait set holds addresses of subscriptions that live throughout this call.
        unsafe {
            self.fill_wait_set()?;
            let code = rcl::rcl_wait(&raw mut self.wait_set, nanos);
            if code == rcl::RCL_RET_TIMEOUT as rcl::rcl_ret_t {
                rcl::rcutils_reset_error();
                return Ok(());
            }
            check(code, "cannot wait for", "messages")?;
        }
        for i in 0..self.subscriptions.len() {
            // SAFETY: the wait set has as many places; what has nothing to take was set to null.
            if unsafe { *self.wait_set.subscriptions.add(i) }.is_null() {
                continue;
            }
            self.take(i, &mut taken)?;
        }
        Ok(())
    }

    /// # Safety
    /// Whoever waits must not end subscriptions in between.
    unsafe fn fill_wait_set(&mut self) -> Result<(), RawError> {
        // SAFETY: the wait set belongs to this context; subscriptions are initialised.
        unsafe {
            if !self.fits {
                rcl::rcl_wait_set_fini(&raw mut self.wait_set);
                self.wait_set = rcl::rcl_get_zero_initialized_wait_set();
                let allocator = rcl::rcutils_get_default_allocator();
                let number = self.subscriptions.len();
                let code = rcl::rcl_wait_set_init(
                    &raw mut self.wait_set,
                    number,
                    0,
                    0,
                    0,
                    0,
                    0,
                    self.context.as_mut(),
                    allocator,
                );
                check(code, "cannot wait for", "messages")?;
                self.fits = true;
            }
            check(rcl::rcl_wait_set_clear(&raw mut self.wait_set), "cannot wait for", "messages")?;
            for subscription in &self.subscriptions {
                let code = rcl::rcl_wait_set_add_subscription(
                    &raw mut self.wait_set,
                    subscription.handle.as_ref(),
                    std::ptr::null_mut(),
                );
                check(code, "cannot wait for", &subscription.topic)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, at: usize, taken: &mut impl FnMut(SubscriptionId, Taken<'_>)) -> Result<(), RawError> {
        let subscription = &self.subscriptions[at];
        for _ in 0..TURN {
            // SAFETY: the buffer is initialised and grows as rcl needs it; its content is read before the next message.
            unsafe {
                let mut info = rcl::rmw_get_zero_initialized_message_info();
                let code = rcl::rcl_take_serialized_message(
                    subscription.handle.as_ref(),
                    &raw mut self.buffer.bytes,
                    &raw mut info,
                    std::ptr::null_mut(),
                );
                if code == rcl::RCL_RET_SUBSCRIPTION_TAKE_FAILED as rcl::rcl_ret_t {
                    rcl::rcutils_reset_error();
                    return Ok(());
                }
                check(code, "cannot take a message of", &subscription.topic)?;
                let stamp = |nanos: i64| (nanos > 0).then(|| Stamp::from_nanos(nanos));
                let message = Taken {
                    bytes: self.buffer.bytes(),
                    published: stamp(info.source_timestamp),
                    received: stamp(info.received_timestamp),
                    sender: SenderId(info.publisher_gid.data),
                };
                taken(subscription.id, message);
                // What is recorded has no bound of its own; what waits to be written has one.
                self.buffer.keep_at_most(bounds::PICTURE);
            }
        }
        Ok(())
    }

    /// Advertises a topic by its full name.
    ///
    /// # Errors
    /// When the type is not installed or rcl refuses.
    pub fn advertise(&mut self, topic: &str, type_name: &str, qos: RawQos) -> Result<PublisherId, RawError> {
        let support = self.types.of(type_name)?;
        let name = c_string(topic)?;
        // SAFETY: node and type support outlive the publisher, which may be moved: it is a pointer to what rcl keeps of it.
        unsafe {
            let mut handle = rcl::rcl_get_zero_initialized_publisher();
            let mut options = rcl::rcl_publisher_get_default_options();
            options.qos = qos.to_rmw();
            let code = rcl::rcl_publisher_init(
                &raw mut handle,
                self.node.as_ref(),
                support,
                name.as_ptr(),
                &raw const options,
            );
            check(code, "cannot advertise", topic)?;
            self.publishers.push(handle);
        }
        Ok(PublisherId(self.publishers.len() - 1))
    }

    /// Publishes a message: CDR with its encapsulation header.
    ///
    /// # Errors
    /// When rcl refuses.
    pub fn publish(&self, publisher: PublisherId, cdr: &[u8]) -> Result<(), RawError> {
        let handle = self.publisher(publisher)?;
        let message = message_of(cdr);
        // SAFETY: rcl only reads the bytes, and keeps nothing of them.
        let code = unsafe { rcl::rcl_publish_serialized_message(handle, &raw const message, std::ptr::null_mut()) };
        check(code, "cannot publish", "a message")
    }

    /// Whether the middleware lends messages of a publisher's type, which then go to other processes without being copied.
    ///
    /// # Errors
    /// When there is no such publisher.
    pub fn can_loan(&self, publisher: PublisherId) -> Result<bool, RawError> {
        let handle = self.publisher(publisher)?;
        // SAFETY: the publisher lives as long as the node.
        let can = unsafe { rcl::rcl_publisher_can_loan_messages(handle) };
        // Where it cannot, rcl leaves the reason behind.
        // SAFETY: a state of this thread's.
        unsafe { rcl::rcutils_reset_error() };
        Ok(can)
    }

    /// How many subscriptions a publisher has found.
    ///
    /// # Errors
    /// When there is no such publisher, or rcl cannot tell.
    pub fn subscriptions_of(&self, publisher: PublisherId) -> Result<usize, RawError> {
        let handle = self.publisher(publisher)?;
        let mut number = 0;
        // SAFETY: the publisher lives as long as the node; rcl writes one number.
        let code = unsafe { rcl::rcl_publisher_get_subscription_count(handle, &raw mut number) };
        check(code, "cannot count the subscriptions of", "a publisher")?;
        Ok(number)
    }

    fn publisher(&self, id: PublisherId) -> Result<&rcl::rcl_publisher_t, RawError> {
        self.publishers.get(id.0).ok_or_else(|| RawError::Name(format!("publisher {}", id.0)))
    }

    /// Waits until every reliable subscriber has all that was published, `timeout` at most: what is on its way is lost with the node.
    pub fn wait_for_delivery(&self, timeout: Duration) {
        let end = Instant::now() + timeout;
        for publisher in &self.publishers {
            let left = end.saturating_duration_since(Instant::now());
            // SAFETY: the publisher lives as long as the node.
            unsafe {
                let nanos = i64::try_from(left.as_nanos()).unwrap_or(i64::MAX);
                if rcl::rcl_publisher_wait_for_all_acked(publisher, nanos) != rcl::RCL_RET_OK as rcl::rcl_ret_t {
                    rcl::rcutils_reset_error();
                }
            }
        }
    }
}

impl Drop for RawNode {
    fn drop(&mut self) {
        // SAFETY: everything is ended once, in the opposite order of its making.
        unsafe {
            rcl::rcl_wait_set_fini(&raw mut self.wait_set);
            for subscription in &mut self.subscriptions {
                rcl::rcl_subscription_fini(subscription.handle.as_mut(), self.node.as_mut());
            }
            for publisher in &mut self.publishers {
                rcl::rcl_publisher_fini(publisher, self.node.as_mut());
            }
            rcl::rcl_node_fini(self.node.as_mut());
            rcl::rcl_shutdown(self.context.as_mut());
            rcl::rcl_context_fini(self.context.as_mut());
        }
    }
}

pub(crate) fn hash_text(hash: &rcl::rosidl_type_hash_t) -> Option<String> {
    (hash.version == 1).then(|| {
        let digits: String = hash.value.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("RIHS01_{digits}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_without_bound_are_told_from_bounded_ones() {
        let time = |sec, nsec| bounded(&rcl::rmw_time_s { sec, nsec });
        assert_eq!(time(0, 0), None);
        assert_eq!(time(9_223_372_036, 854_775_807), None);
        assert_eq!(time(2_147_483_647, 4_294_967_295), None);
        assert_eq!(time(1, 500_000_000), Some(Duration::from_millis(1500)));
    }
}
