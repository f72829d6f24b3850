//! A node on the graph and what it has there: publishers, subscriptions, services.
//!
//! They are rcl's, without r2r's node around them. That one waits with a wait set of all entities, which is put together anew for every
//! message (a fifth of a millisecond for a node with twenty entities), and has a queue of ten that loses the newest. Here the middleware
//! calls back as soon as there is news, on its own receiving thread; that thread takes the message and hands it over. Nobody spins.

use crate::arguments::sayings;
use crate::bounds::{self, Unread};
use crate::connections::{Connection, Connections, Ours, Refused};
use crate::everyone::Copies;
use crate::graph::{Graph, NodeOnGraph};
use crate::qos::{Hearing, Way};
use crate::type_support::TypeSupports;
use efm_config::given::{Given, Sayings};
use efm_core::SenderId;
use r2r::{QosProfile, WrappedServiceTypeSupport, WrappedTypesupport};
use r2r_rcl as rcl;
use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// ROS refused something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} '{name}': {reason}")]
pub struct RosError {
    what: &'static str,
    name: String,
    reason: String,
}

impl RosError {
    pub(crate) fn new(what: &'static str, name: &str, reason: impl Into<String>) -> Self {
        Self { what, name: name.to_owned(), reason: reason.into() }
    }

    /// The middleware's own words.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

pub(crate) const OK: rcl::rcl_ret_t = rcl::RCL_RET_OK as rcl::rcl_ret_t;
const GONE: &str = "the node is gone";

/// What rcl says of its last error on this thread, which is forgotten by that.
pub(crate) fn rcl_error() -> String {
    // SAFETY: returns a text by value that ends with a zero.
    unsafe {
        let text = rcl::rcutils_get_error_string();
        rcl::rcutils_reset_error();
        CStr::from_ptr(text.str_.as_ptr()).to_string_lossy().into_owned()
    }
}

pub(crate) fn check(code: rcl::rcl_ret_t, what: &'static str, name: &str) -> Result<(), RosError> {
    if code == OK {
        return Ok(());
    }
    Err(RosError::new(what, name, rcl_error()))
}

pub(crate) fn c_string(what: &'static str, name: &str) -> Result<CString, RosError> {
    CString::new(name).map_err(|_| RosError::new(what, name, "a zero byte cannot be in a name"))
}

/// A text of rcl's; empty for none.
///
/// # Safety
/// `text` is null or a C string.
pub(crate) unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Initialises a context with arguments; rcl's code where it refuses, and its words in [`rcl_error`].
///
/// # Safety
/// The arguments are C strings, which rcl copies.
pub(crate) unsafe fn begin(args: &[*const c_char]) -> Result<Box<rcl::rcl_context_t>, rcl::rcl_ret_t> {
    let told = |code| if code == OK { Ok(()) } else { Err(code) };
    let number = c_int::try_from(args.len()).unwrap_or(0);
    // SAFETY: rcl's own order of initialisation, with pointers to live values; for no arguments it wants no list.
    unsafe {
        let list = if args.is_empty() { std::ptr::null() } else { args.as_ptr() };
        let mut context = Box::new(rcl::rcl_get_zero_initialized_context());
        let mut options = rcl::rcl_get_zero_initialized_init_options();
        told(rcl::rcl_init_options_init(&raw mut options, rcl::rcutils_get_default_allocator()))?;
        let begun = rcl::rcl_init(number, list, &raw const options, context.as_mut());
        rcl::rcl_init_options_fini(&raw mut options);
        told(begun)?;
        Ok(context)
    }
}

/// Bytes as rcl wants to have a message that it only reads.
pub(crate) fn message_of(cdr: &[u8]) -> rcl::rcl_serialized_message_t {
    rcl::rcl_serialized_message_t {
        buffer: cdr.as_ptr().cast_mut(),
        buffer_length: cdr.len(),
        buffer_capacity: cdr.len(),
        // SAFETY: returns a plain value.
        allocator: unsafe { rcl::rcutils_get_default_allocator() },
    }
}

/// What the process has in ROS: one participant, whose nodes speak to each other without leaving the process.
pub(crate) struct Context(Mutex<Box<rcl::rcl_context_t>>, Sayings);

// SAFETY: rcl's context may be used from any thread; what is not safe at once (making and ending nodes) is done under the lock.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    /// Begins, with the process's arguments (remappings, parameters, log levels).
    ///
    /// # Errors
    /// In rcl's words: an unreadable parameter file, a malformed remapping. In ours: a parameter file without a node.
    pub fn create(args: impl IntoIterator<Item = String>) -> Result<Arc<Self>, RosError> {
        let what = "ROS refuses";
        let words: Vec<String> = args.into_iter().collect();
        let args = words.iter().map(|arg| c_string(what, arg)).collect::<Result<Vec<_>, _>>()?;
        let pointers: Vec<*const c_char> = args.iter().map(|arg| arg.as_ptr()).collect();
        // SAFETY: the arguments live, and end with a zero each.
        let begun = unsafe { begin(&pointers) };
        let mut context = begun.map_err(|_| RosError::new(what, "the arguments", rcl_error()))?;
        // SAFETY: the context is initialised; it is ended once.
        unsafe {
            let allocator = rcl::rcutils_get_default_allocator();
            let logs = rcl::rcl_logging_configure(&raw const context.global_arguments, &raw const allocator);
            match check(logs, what, "the log levels").and_then(|()| sayings(&words)) {
                Ok(sayings) => Ok(Arc::new(Self(Mutex::new(context), sayings))),
                Err(error) => {
                    rcl::rcl_shutdown(context.as_mut());
                    rcl::rcl_context_fini(context.as_mut());
                    Err(error)
                }
            }
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let context = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: it was initialised, and its nodes are gone: each has a share of this.
        unsafe {
            rcl::rcl_shutdown(context.as_mut());
            rcl::rcl_context_fini(context.as_mut());
        }
    }
}

/// Ends what a node has, once.
trait Entity: Send + Sync {
    /// Waits until whoever hears it reliably has all that it sent, until then at most.
    fn deliver(&self, _until: Instant) {}

    fn close(&self, node: *mut rcl::rcl_node_t);
}

/// A node with its entities.
pub(crate) struct Entities {
    /// From a box: rcl keeps its address. A pointer, because who looks at the graph has it as well.
    node: NonNull<rcl::rcl_node_t>,
    graph: Graph,
    connections: Connections,
    unread: Unread,
    /// In the order of their making.
    entities: Vec<Arc<dyn Entity>>,
    types: TypeSupports,
    context: Arc<Context>,
}

// SAFETY: rcl's node may be used from any one thread at a time; `&mut self` sees to that.
unsafe impl Send for Entities {}

impl Entities {
    /// Makes a node; arguments may give it another name and namespace.
    ///
    /// # Errors
    /// When rcl refuses the name or there is no middleware.
    pub fn create(context: Arc<Context>, name: &str) -> Result<Self, RosError> {
        let what = "cannot create node";
        let (c_name, root) = (c_string(what, name)?, c_string(what, "")?);
        // SAFETY: returns a plain value.
        let mut node = Box::new(unsafe { rcl::rcl_get_zero_initialized_node() });
        {
            let mut context = lock(&context.0);
            // SAFETY: the context lives at least as long as the node, at the same address.
            unsafe {
                let options = rcl::rcl_node_get_default_options();
                let made = rcl::rcl_node_init(
                    node.as_mut(),
                    c_name.as_ptr(),
                    root.as_ptr(),
                    context.as_mut(),
                    &raw const options,
                );
                check(made, what, name)?;
            }
        }
        let node = NonNull::from(Box::leak(node));
        let graph = Graph(Arc::new(NodeOnGraph(RwLock::new(Some(node)))));
        let mut all = Self {
            node,
            connections: Connections::new(graph.clone()),
            graph,
            unread: Unread::default(),
            entities: Vec::new(),
            types: TypeSupports::default(),
            context,
        };
        all.connections.of(all.full_name());
        Ok(all)
    }

    /// Its name.
    pub fn name(&self) -> String {
        // SAFETY: the node is initialised; the text is its own.
        unsafe { text_of(rcl::rcl_node_get_name(self.node.as_ptr())) }
    }

    /// Its name with its namespace.
    pub fn full_name(&self) -> String {
        // SAFETY: as above.
        unsafe { text_of(rcl::rcl_node_get_fully_qualified_name(self.node.as_ptr())) }
    }

    /// As whom it logs: its name with its namespace, joined by dots.
    pub fn logger(&self) -> String {
        // SAFETY: as above.
        unsafe { text_of(rcl::rcl_node_get_logger_name(self.node.as_ptr())) }
    }

    /// A look at the graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Its publishers and subscriptions, to see whether they are matched with those of others.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// What came and was not read.
    pub fn unread(&self) -> &Unread {
        &self.unread
    }

    /// The parameters that the arguments give this node: of files and of `-p`. Of two with the same name the later one holds.
    pub fn parameters(&self) -> Vec<Given> {
        let full_name = self.full_name();
        let missed = self.context.1.missed(&full_name);
        if !missed.is_empty() {
            let name = self.name();
            log::warn!(
                "the parameters of '{}' are not for this node, which is '{full_name}'; write that, or '/**/{name}'",
                missed.join("', '")
            );
        }
        self.context.1.to(&full_name)
    }

    /// Subscribes; each message is handed over with its sender on the thread that received it, so `each` must be short and must not wait.
    ///
    /// # Errors
    /// When rcl refuses, as for a malformed name.
    pub fn subscribe<T>(
        &mut self,
        topic: &str,
        hearing: impl Into<Hearing>,
        each: impl FnMut(T, SenderId, usize) + Send + 'static,
    ) -> Result<(), RosError>
    where
        T: WrappedTypesupport + 'static,
    {
        let hearing = hearing.into();
        self.hear(topic, T::get_ts(), &hearing, each, |shared| {
            // Used for each message again: what they hold is taken over by the next.
            let native = Native::<T>::new(topic)?;
            let mut buffer = Buffer::of_at_most(hearing.most);
            Ok(move |subscription| {
                // As bytes first, whose number is known before anything is made of them.
                let info = match buffer.take(subscription) {
                    Taken::Message(info) => info,
                    other => return shared.not_read(&other),
                };
                let message = native.get();
                // SAFETY: rmw fills a message of the subscription's type from bytes that it only reads; nobody else has it.
                let code = unsafe { rcl::rmw_deserialize(&raw const buffer.bytes, T::get_ts(), message.cast()) };
                if code != OK as rcl::rmw_ret_t {
                    // SAFETY: forgets a text.
                    unsafe { rcl::rcutils_reset_error() };
                    shared.unread.malformed(&shared.topic);
                    return true;
                }
                // SAFETY: it was filled.
                shared.came(&info, buffer.bytes().len(), || T::from_native(unsafe { &*message }));
                true
            })
        })
    }

    /// As [`Self::subscribe`], the messages as they came.
    ///
    /// # Errors
    /// When rcl refuses, as for a malformed name, or the message package of `type_name` ("package/msg/Type") is not installed.
    pub fn subscribe_bytes(
        &mut self,
        topic: &str,
        type_name: &str,
        hearing: impl Into<Hearing>,
        each: impl FnMut(Bytes, SenderId, usize) + Send + 'static,
    ) -> Result<(), RosError> {
        let support =
            self.types.of(type_name).map_err(|e| RosError::new("cannot subscribe to", topic, e.to_string()))?;
        let hearing = hearing.into();
        let spare = Arc::new(Spare { buffers: Mutex::default(), most: hearing.most });
        self.hear(topic, support, &hearing, each, |shared| {
            let spare = spare.clone();
            Ok(move |subscription| {
                let mut bytes = Spare::take(&spare);
                match bytes.buffer.take(subscription) {
                    Taken::Message(info) => shared.came(&info, bytes.len(), || bytes),
                    other => return shared.not_read(&other),
                }
                true
            })
        })
    }

    /// Subscribes to who sends, whatever it is: each message's sender is handed over as by [`Self::subscribe`].
    ///
    /// # Errors
    /// When rcl refuses, as for a malformed name.
    pub fn subscribe_to_senders<T: WrappedTypesupport>(
        &mut self,
        topic: &str,
        hearing: impl Into<Hearing>,
        mut each: impl FnMut(SenderId) + Send + 'static,
    ) -> Result<(), RosError> {
        self.hear(
            topic,
            T::get_ts(),
            &hearing.into(),
            move |(), sender, _| each(sender),
            |shared| {
                // As it came: nobody reads it, so nothing is made of it, and however large it is it has a sender. The memory is used for each again.
                let mut buffer = Buffer::of_at_most(usize::MAX);
                Ok(move |subscription| {
                    let Taken::Message(info) = buffer.take(subscription) else { return false };
                    buffer.keep_at_most(bounds::MESSAGE);
                    shared.came(&info, 0, || ());
                    true
                })
            },
        )
    }

    /// Makes the subscriptions by which a topic is heard. `taker` makes what takes a message, if there is one, and hands it over.
    fn hear<M, E, F>(
        &mut self,
        topic: &str,
        support: *const rcl::rosidl_message_type_support_t,
        hearing: &Hearing,
        each: E,
        mut taker: impl FnMut(Shared<M, E>) -> Result<F, RosError>,
    ) -> Result<(), RosError>
    where
        E: FnMut(M, SenderId, usize),
        F: FnMut(*const rcl::rcl_subscription_t) -> bool + Send + 'static,
    {
        let copies = match &hearing.way {
            Way::As(_) => None,
            Way::Everyone { order, .. } => Some(Copies::new(*order)),
        };
        let with = Arc::new(Mutex::new((copies, each)));
        for (way, qos) in hearing.subscriptions().into_iter().enumerate() {
            let shared = Shared {
                with: with.clone(),
                way,
                topic: topic.to_owned(),
                most: hearing.most,
                unread: self.unread.clone(),
                of: PhantomData,
            };
            self.listen(topic, support, qos, way == 0, taker(shared)?)?;
        }
        Ok(())
    }

    /// Whether the message package of a type ("package/msg/Type") is installed.
    pub fn knows(&mut self, type_name: &str) -> bool {
        self.types.of(type_name).is_ok()
    }

    /// Makes a subscription. `take` takes one message, if there is one, and hands it over. Of several on one topic the one that asks for the
    /// least is matched with every publisher, or none is.
    fn listen(
        &mut self,
        topic: &str,
        support: *const rcl::rosidl_message_type_support_t,
        qos: QosProfile,
        asks_least: bool,
        take: impl FnMut(*const rcl::rcl_subscription_t) -> bool + Send + 'static,
    ) -> Result<(), RosError> {
        let what = "cannot subscribe to";
        let name = c_string(what, topic)?;
        // SAFETY: node and type support outlive the subscription, which stays where it is; the callback's data outlives the callback.
        unsafe {
            let mut handle = Box::new(rcl::rcl_get_zero_initialized_subscription());
            let mut options = rcl::rcl_subscription_get_default_options();
            options.qos = qos.into();
            let node = self.node.as_ptr();
            check(
                rcl::rcl_subscription_init(handle.as_mut(), node, support, name.as_ptr(), &raw const options),
                what,
                topic,
            )?;
            let news = News::new(&raw const *handle, take);
            let refused = Refused::of_subscription(&handle);
            let name = text_of(rcl::rcl_subscription_get_topic_name(handle.as_ref()));
            let connection = asks_least.then(|| self.connections.add(name, Ours::Subscription, refused));
            let subscription = Arc::new(Subscription { handle: Mutex::new(Some(handle)), news, connection });
            let (told, data) = (Some(News::<rcl::rcl_subscription_t>::came as Callback), subscription.news.data());
            let handle = subscription.news.of;
            check(rcl::rcl_subscription_set_on_new_message_callback(handle, told, data), what, topic)?;
            subscription.news.look();
            self.entities.push(subscription);
        }
        Ok(())
    }

    /// Advertises a topic.
    ///
    /// # Errors
    /// When rcl refuses, as for a malformed name.
    pub fn advertise<T: WrappedTypesupport>(
        &mut self,
        topic: &str,
        qos: QosProfile,
    ) -> Result<Arc<PublisherHandle>, RosError> {
        let what = "cannot advertise";
        let name = c_string(what, topic)?;
        // SAFETY: returns a plain value.
        let mut handle = Box::new(unsafe { rcl::rcl_get_zero_initialized_publisher() });
        // SAFETY: node and type support outlive the publisher, which stays where it is.
        unsafe {
            let mut options = rcl::rcl_publisher_get_default_options();
            options.qos = qos.into();
            let node = self.node.as_ptr();
            let made = rcl::rcl_publisher_init(handle.as_mut(), node, T::get_ts(), name.as_ptr(), &raw const options);
            check(made, what, topic)?;
        }
        let sender = gid_of(&handle);
        // SAFETY: the publisher is initialised; the name is its own.
        let name = unsafe { text_of(rcl::rcl_publisher_get_topic_name(handle.as_ref())) };
        let connection = self.connections.add(name, Ours::Publisher, Refused::of_publisher(&handle));
        let publisher = Arc::new(PublisherHandle {
            handle: RwLock::new(Some(handle)),
            topic: topic.to_owned(),
            sender,
            connection,
        });
        self.entities.push(publisher.clone());
        Ok(publisher)
    }

    /// Offers a service; each request is handed over on the thread that received it, so `each` must be short and must not wait.
    ///
    /// # Errors
    /// When rcl refuses, as for a malformed name.
    pub fn offer<S>(
        &mut self,
        service: &str,
        qos: QosProfile,
        mut each: impl FnMut(Request<S>) + Send + 'static,
    ) -> Result<(), RosError>
    where
        S: WrappedServiceTypeSupport + 'static,
    {
        let what = "cannot offer service";
        let name = c_string(what, service)?;
        // SAFETY: node and type support outlive the service, which stays where it is; the callback's data outlives the callback.
        unsafe {
            let mut handle = Box::new(rcl::rcl_get_zero_initialized_service());
            let mut options = rcl::rcl_service_get_default_options();
            options.qos = qos.into();
            let node = self.node.as_ptr();
            check(
                rcl::rcl_service_init(handle.as_mut(), node, S::get_ts(), name.as_ptr(), &raw const options),
                what,
                service,
            )?;
            let address = &raw const *handle;
            let replies = Arc::new(Replies(RwLock::new(Some(handle)), service.to_owned()));
            let (to, name) = (replies.clone(), service.to_owned());
            let news = News::new(address, move |service| {
                // Made for each: nobody bounds a request's size, so what one of them took is not kept.
                let Ok(native) = Native::<S::Request>::new(&name) else { return false };
                let mut id = std::mem::zeroed::<rcl::rmw_request_id_t>();
                let code = rcl::rcl_take_request(service, &raw mut id, native.get().cast());
                if code != OK {
                    rcl::rcutils_reset_error();
                    return false;
                }
                each(Request { message: S::Request::from_native(&*native.get()), id, replies: to.clone() });
                true
            });
            let service_of_node = Arc::new(Service { replies, news });
            let (told, data) = (Some(News::<rcl::rcl_service_t>::came as Callback), service_of_node.news.data());
            check(rcl::rcl_service_set_on_new_request_callback(address, told, data), what, service)?;
            service_of_node.news.look();
            self.entities.push(service_of_node);
        }
        Ok(())
    }
}

impl Entities {
    /// Waits until every reliable subscriber has all that was published, `timeout` at most: what is on its way is lost with the node.
    pub fn wait_for_delivery(&self, timeout: Duration) {
        let until = Instant::now() + timeout;
        for entity in &self.entities {
            entity.deliver(until);
        }
    }
}

impl Drop for Entities {
    /// Takes the node off the graph. Publishers and requests that somebody still has are refused from now on.
    fn drop(&mut self) {
        for entity in self.entities.drain(..).rev() {
            entity.close(self.node.as_ptr());
        }
        *self.graph.0.0.write().unwrap_or_else(PoisonError::into_inner) = None;
        let _context = lock(&self.context.0);
        // SAFETY: it was initialised and came from a box; its entities are gone, and nobody looks at the graph with it any more.
        unsafe {
            rcl::rcl_node_fini(self.node.as_ptr());
            drop(Box::from_raw(self.node.as_ptr()));
        }
    }
}

/// What the subscriptions of one topic share: who the messages are for.
struct Shared<M, E> {
    /// Copies, where there are several subscriptions.
    with: Arc<Mutex<(Option<Copies>, E)>>,
    way: usize,
    topic: String,
    most: usize,
    unread: Unread,
    of: PhantomData<fn(M)>,
}

impl<M, E: FnMut(M, SenderId, usize)> Shared<M, E> {
    /// What was not taken; whether there may be more.
    fn not_read(&self, taken: &Taken) -> bool {
        let Taken::TooLarge(bytes) = taken else { return false };
        self.unread.too_large(&self.topic, self.way, *bytes, self.most);
        true
    }

    /// A message of so many bytes came, which is made only if it is wanted.
    fn came(&self, info: &rcl::rmw_message_info_t, bytes: usize, message: impl FnOnce() -> M) {
        let sender = SenderId(info.publisher_gid.data);
        // For a moment at most: by each subscription messages come one at a time.
        let mut with = lock(&self.with);
        let (copies, each) = &mut *with;
        if copies.as_mut().is_none_or(|copies| copies.counts(self.way, sender, number_of(info))) {
            each(message(), sender, bytes);
        }
    }
}

/// What counts the messages of a sender: its own count, or the time where the middleware has no count; 0 where it has neither.
fn number_of(info: &rcl::rmw_message_info_t) -> u64 {
    match info.publication_sequence_number {
        0 | u64::MAX => u64::try_from(info.source_timestamp).unwrap_or(0),
        number => number,
    }
}

/// What came of looking for a message.
enum Taken {
    Message(rcl::rmw_message_info_t),
    /// One of so many bytes, which is gone.
    TooLarge(usize),
    Nothing,
}

/// A message as C has it.
pub(crate) struct Native<T: WrappedTypesupport>(*mut T::CStruct);

// SAFETY: plain memory that one owner has.
unsafe impl<T: WrappedTypesupport> Send for Native<T> {}

impl<T: WrappedTypesupport> Native<T> {
    pub(crate) fn new(name: &str) -> Result<Self, RosError> {
        let message = T::create_msg();
        if message.is_null() {
            return Err(RosError::new("no memory for", name, "a message cannot be made"));
        }
        Ok(Self(message))
    }

    pub(crate) fn get(&self) -> *mut T::CStruct {
        self.0
    }
}

impl<T: WrappedTypesupport> Drop for Native<T> {
    fn drop(&mut self) {
        T::destroy_msg(self.0);
    }
}

type Callback = unsafe extern "C" fn(*const c_void, usize);

/// Takes what came, on the thread that is told of it; on one at a time.
struct News<H> {
    of: *const H,
    /// How often somebody was told since nobody takes.
    told: AtomicUsize,
    take: UnsafeCell<Box<dyn FnMut(*const H) -> bool + Send>>,
}

// SAFETY: `take` is used by the one thread that found `told` at zero; rcl permits to take from any one thread.
unsafe impl<H> Send for News<H> {}
// SAFETY: as above.
unsafe impl<H> Sync for News<H> {}

impl<H> News<H> {
    fn new(of: *const H, take: impl FnMut(*const H) -> bool + Send + 'static) -> Self {
        Self { of, told: AtomicUsize::new(0), take: UnsafeCell::new(Box::new(take)) }
    }

    fn data(&self) -> *const c_void {
        std::ptr::from_ref(self).cast()
    }

    /// The middleware's callback.
    unsafe extern "C" fn came(data: *const c_void, _number: usize) {
        // SAFETY: `data` is from `data()`, and the callback is taken back before this goes.
        let news = unsafe { &*data.cast::<Self>() };
        // A panic must not cross into C. It was told and has asked for the end; nothing is taken any more.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| news.look()));
    }

    /// Takes all that is there, unless another thread does: that one looks again. Nobody waits, so that it does not matter what locks of
    /// the middleware are held.
    fn look(&self) {
        if self.told.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let mut seen = 1;
        loop {
            // SAFETY: only one thread is here at a time, see `told`.
            let take = unsafe { &mut *self.take.get() };
            while take(self.of) {}
            match self.told.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(more) => seen = more,
            }
        }
    }
}

struct Subscription {
    handle: Mutex<Option<Box<rcl::rcl_subscription_t>>>,
    news: News<rcl::rcl_subscription_t>,
    connection: Option<Arc<Connection>>,
}

// SAFETY: rcl's handle is used by whoever takes, and ended under the lock after the callback was taken back.
unsafe impl Send for Subscription {}
// SAFETY: as above.
unsafe impl Sync for Subscription {}

impl Entity for Subscription {
    fn close(&self, node: *mut rcl::rcl_node_t) {
        if let Some(connection) = &self.connection {
            connection.close();
        }
        if let Some(mut handle) = lock(&self.handle).take() {
            // SAFETY: made with this node. Taking the callback back waits for one that runs.
            unsafe {
                rcl::rcl_subscription_set_on_new_message_callback(handle.as_ref(), None, std::ptr::null());
                rcl::rcl_subscription_fini(handle.as_mut(), node);
            }
        }
    }
}

/// A publisher of a node.
#[derive(Debug)]
pub(crate) struct PublisherHandle {
    handle: RwLock<Option<Box<rcl::rcl_publisher_t>>>,
    topic: String,
    sender: SenderId,
    connection: Arc<Connection>,
}

/// What a publisher's messages carry.
fn gid_of(publisher: &rcl::rcl_publisher_t) -> SenderId {
    let mut gid = rcl::rmw_gid_t { implementation_identifier: std::ptr::null(), data: [0; 16] };
    // SAFETY: the publisher is initialised; rmw writes a plain value.
    let code = unsafe { rcl::rmw_get_gid_for_publisher(rcl::rcl_publisher_get_rmw_handle(publisher), &raw mut gid) };
    if code == OK {
        return SenderId(gid.data);
    }
    // SAFETY: forgets a text.
    unsafe { rcl::rcutils_reset_error() };
    SenderId::UNKNOWN
}

// SAFETY: rcl permits to publish from several threads at once; it is ended under the lock's exclusive side.
unsafe impl Send for PublisherHandle {}
// SAFETY: as above.
unsafe impl Sync for PublisherHandle {}

impl Entity for PublisherHandle {
    fn deliver(&self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        // 0 would not wait, less than 0 for ever.
        let nanos = i64::try_from(left.as_nanos()).unwrap_or(i64::MAX).max(1);
        // SAFETY: the handle is a publisher; to wait changes nothing of it.
        let waited = self.with(|handle| unsafe { rcl::rcl_publisher_wait_for_all_acked(handle, nanos) });
        if waited.is_ok_and(|code| code != OK) {
            // SAFETY: forgets a text.
            unsafe { rcl::rcutils_reset_error() };
        }
    }

    fn close(&self, node: *mut rcl::rcl_node_t) {
        self.connection.close();
        if let Some(mut handle) = self.handle.write().unwrap_or_else(PoisonError::into_inner).take() {
            // SAFETY: made with this node, and nobody publishes.
            unsafe { rcl::rcl_publisher_fini(handle.as_mut(), node) };
        }
    }
}

impl PublisherHandle {
    fn with<R>(&self, act: impl FnOnce(&rcl::rcl_publisher_t) -> R) -> Result<R, RosError> {
        match self.handle.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(handle) => Ok(act(handle)),
            None => Err(RosError::new("cannot publish on", &self.topic, GONE)),
        }
    }

    /// Publishes a message.
    ///
    /// # Errors
    /// When rcl refuses, or the node is gone.
    pub fn publish<T: WrappedTypesupport>(&self, message: &T) -> Result<(), RosError> {
        let native = Native::<T>::new(&self.topic)?;
        // SAFETY: a message of the publisher's type, which rcl only reads.
        let code = self.with(|handle| unsafe {
            message.copy_to_native(&mut *native.get());
            rcl::rcl_publish(handle, native.get().cast(), std::ptr::null_mut())
        })?;
        check(code, "cannot publish on", &self.topic)
    }

    /// Publishes a message as CDR with its encapsulation header.
    ///
    /// # Errors
    /// When rcl refuses, or the node is gone.
    pub fn publish_bytes(&self, cdr: &[u8]) -> Result<(), RosError> {
        let message = message_of(cdr);
        // SAFETY: rcl only reads the bytes, and keeps nothing of them.
        let code = self.with(|handle| unsafe {
            rcl::rcl_publish_serialized_message(handle, &raw const message, std::ptr::null_mut())
        })?;
        check(code, "cannot publish on", &self.topic)
    }

    /// What its messages carry.
    pub fn sender(&self) -> SenderId {
        self.sender
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> usize {
        let mut number = 0;
        // SAFETY: rcl writes a number.
        let told = self.with(|handle| unsafe { rcl::rcl_publisher_get_subscription_count(handle, &raw mut number) });
        match told {
            Ok(OK) => number,
            _ => 0,
        }
    }
}

/// Where answers go.
struct Replies(RwLock<Option<Box<rcl::rcl_service_t>>>, String);

// SAFETY: rcl permits to take requests and to answer at once; it is ended under the lock's exclusive side.
unsafe impl Send for Replies {}
// SAFETY: as above.
unsafe impl Sync for Replies {}

struct Service {
    replies: Arc<Replies>,
    news: News<rcl::rcl_service_t>,
}

impl Entity for Service {
    fn close(&self, node: *mut rcl::rcl_node_t) {
        // SAFETY: it lives until it is taken below. Taking the callback back waits for one that runs, which may want to look at the lock.
        unsafe { rcl::rcl_service_set_on_new_request_callback(self.news.of, None, std::ptr::null()) };
        if let Some(mut handle) = self.replies.0.write().unwrap_or_else(PoisonError::into_inner).take() {
            // SAFETY: made with this node, and nobody answers.
            unsafe { rcl::rcl_service_fini(handle.as_mut(), node) };
        }
    }
}

/// So long an answer is tried to be sent to a client that cannot hear it yet.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// A request of a service, which wants its [`respond`](Self::respond).
pub struct Request<S: WrappedServiceTypeSupport> {
    /// What is asked.
    pub message: S::Request,
    pub(crate) id: rcl::rmw_request_id_t,
    replies: Arc<Replies>,
}

// SAFETY: the id is a plain value.
unsafe impl<S: WrappedServiceTypeSupport> Send for Request<S> where S::Request: Send {}

impl<S: WrappedServiceTypeSupport> Request<S> {
    /// Answers. A client that the middleware does not see yet (it asks as soon as it sees the service, and a busy machine has the other way round
    /// later) is answered as soon as it does, within [`ANSWERED_WITHIN`].
    ///
    /// # Errors
    /// When rcl refuses, as once the client is gone, or the node is gone.
    pub fn respond(mut self, response: S::Response) -> Result<(), RosError>
    where
        S::Response: Send + 'static,
    {
        if Answered::Yes == self.replies.send::<S>(&mut self.id, &response)? {
            return Ok(());
        }
        let (replies, mut id) = (self.replies.clone(), self.id);
        // rmw waits a moment each time, which nobody else shall.
        std::thread::spawn(move || {
            let end = Instant::now() + ANSWERED_WITHIN;
            while Instant::now() < end {
                match replies.send::<S>(&mut id, &response) {
                    Ok(Answered::Yes) => return,
                    Ok(Answered::NotYet) => std::thread::sleep(Duration::from_millis(10)),
                    Err(error) => return log::debug!("{error}"),
                }
            }
            log::warn!("service '{}': an answer was not heard: its client asks, but does not listen", replies.1);
        });
        Ok(())
    }
}

/// Whether an answer is on its way.
#[derive(PartialEq, Eq)]
enum Answered {
    Yes,
    /// The client is known, but not yet whom it listens to.
    NotYet,
}

impl Replies {
    fn send<S: WrappedServiceTypeSupport>(
        &self,
        id: &mut rcl::rmw_request_id_t,
        response: &S::Response,
    ) -> Result<Answered, RosError> {
        let (what, name) = ("cannot answer", &self.1);
        let native = Native::<S::Response>::new(name)?;
        let service = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(service) = service.as_ref() else { return Err(RosError::new(what, name, GONE)) };
        // SAFETY: a message of the service's type, which rcl only reads.
        let code = unsafe {
            response.copy_to_native(&mut *native.get());
            rcl::rcl_send_response(service.as_ref(), id, native.get().cast())
        };
        if code == rcl::RCL_RET_TIMEOUT as rcl::rcl_ret_t {
            // SAFETY: forgets a text.
            unsafe { rcl::rcutils_reset_error() };
            return Ok(Answered::NotYet);
        }
        check(code, what, name).map(|()| Answered::Yes)
    }
}

impl<S: WrappedServiceTypeSupport> std::fmt::Debug for Request<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("message", &self.message).finish_non_exhaustive()
    }
}

/// Buffers that messages came in, to be used again.
struct Spare {
    buffers: Mutex<Vec<Buffer>>,
    /// Bytes of a message at most.
    most: usize,
}

/// Memory that rcl writes messages into: it grows as rcl needs it, up to a bound.
pub(crate) struct Buffer {
    pub bytes: rcl::rcl_serialized_message_t,
    bound: Box<Bound>,
}

/// What a buffer's allocator knows.
struct Bound {
    most: usize,
    /// What was asked for beyond it.
    refused: AtomicUsize,
}

// SAFETY: plain memory that one owner has.
unsafe impl Send for Buffer {}

/// Most buffers that are kept; more are in use only while somebody lags.
const SPARE: usize = 4;

impl Spare {
    fn take(this: &Arc<Self>) -> Bytes {
        let buffer = lock(&this.buffers).pop().unwrap_or_else(|| Buffer::of_at_most(this.most));
        Bytes { buffer, home: this.clone() }
    }
}

/// Grants what is within the bound of the buffer whose allocator this is.
unsafe extern "C" fn grow(memory: *mut c_void, bytes: usize, state: *mut c_void) -> *mut c_void {
    // SAFETY: the state of a buffer's allocator is its bound, in a box; the memory is from here.
    unsafe {
        let bound = &*state.cast::<Bound>();
        if bytes > bound.most {
            bound.refused.store(bytes, Ordering::Relaxed);
            return std::ptr::null_mut();
        }
        libc::realloc(memory, bytes)
    }
}

impl Buffer {
    /// It grows as rcl needs it, but not beyond so many bytes.
    pub fn of_at_most(most: usize) -> Self {
        let bound = Box::new(Bound { most, refused: AtomicUsize::new(0) });
        // SAFETY: returns plain values. The default allocator is that of C's library, as `grow` is; the bound stays where it is.
        unsafe {
            let mut bytes = rcl::rcutils_get_zero_initialized_uint8_array();
            bytes.allocator = rcl::rcutils_get_default_allocator();
            bytes.allocator.reallocate = Some(grow);
            bytes.allocator.state = std::ptr::from_ref(bound.as_ref()).cast_mut().cast();
            Self { bytes, bound }
        }
    }

    /// Takes a message, if there is one.
    fn take(&mut self, subscription: *const rcl::rcl_subscription_t) -> Taken {
        self.bound.refused.store(0, Ordering::Relaxed);
        // SAFETY: the subscription is initialised by who hands it over; the buffer is initialised and grows as rcl needs it.
        unsafe {
            let mut info = rcl::rmw_get_zero_initialized_message_info();
            let code = rcl::rcl_take_serialized_message(
                subscription,
                &raw mut self.bytes,
                &raw mut info,
                std::ptr::null_mut(),
            );
            if code == OK {
                return Taken::Message(info);
            }
            rcl::rcutils_reset_error();
        }
        match self.bound.refused.load(Ordering::Relaxed) {
            0 => Taken::Nothing,
            bytes => Taken::TooLarge(bytes),
        }
    }

    /// Gives memory back where it is more than that.
    pub fn keep_at_most(&mut self, bytes: usize) {
        if self.bytes.buffer_capacity > bytes {
            *self = Self::of_at_most(self.bound.most);
        }
    }

    /// What rcl wrote last.
    pub fn bytes(&self) -> &[u8] {
        if self.bytes.buffer.is_null() {
            return &[];
        }
        // SAFETY: rcl wrote so many bytes.
        unsafe { std::slice::from_raw_parts(self.bytes.buffer, self.bytes.buffer_length) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: made by its own allocator, or empty.
        unsafe { rcl::rcutils_uint8_array_fini(&raw mut self.bytes) };
    }
}

/// A message as it came: CDR with its encapsulation header. Its memory is used again for a later message.
pub struct Bytes {
    buffer: Buffer,
    home: Arc<Spare>,
}

// SAFETY: plain memory that one owner has.
unsafe impl Send for Bytes {}
// SAFETY: it is only read.
unsafe impl Sync for Bytes {}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.bytes()
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({})", self.len())
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        let buffer = std::mem::replace(&mut self.buffer, Buffer::of_at_most(0));
        let mut home = lock(&self.home.buffers);
        if home.len() < SPARE {
            home.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests;
