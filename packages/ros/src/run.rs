//! The life of a node's process, from its arguments to its exit code.

use crate::entities::{Bytes, Context, Entities, PublisherHandle, Request, RosError};
use crate::graph::{Endpoint, Graph};
use crate::latest::{LatestFeed, QueueFeed};
use crate::qos::Hearing;
use crate::written::WrittenAs;
use crate::{
    Diagnostics, Latest, Params, Received, RosClock, Shutdown, Spec, alarm, bounds, connections, logging, params, qos,
    time, types,
};
use efm_core::SenderId;
use efm_wire::{CdrOf, RosType};
use futures::Stream;
use r2r::{QosProfile, WrappedServiceTypeSupport, WrappedTypesupport};
use std::marker::PhantomData;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Any error that ends a node.
pub type NodeError = Box<dyn std::error::Error + Send + Sync>;

/// So long at most a node that ends waits until its last words are taken by who hears them.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// A process that has not ended this long after it was asked to is ended by force. `ros2 launch` and people expect 2 s.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Messages that may wait where each one counts.
const QUEUE: usize = 256;
/// Requests of a service that may wait.
const REQUESTS: usize = 64;

/// Publishes messages of one topic. Cheap to clone, may be used from any thread.
#[derive(Debug)]
pub struct Publisher<T: WrappedTypesupport> {
    inner: Arc<PublisherHandle>,
    of: PhantomData<fn(T)>,
}

impl<T: WrappedTypesupport> Clone for Publisher<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), of: PhantomData }
    }
}

impl<T: WrappedTypesupport + 'static> Publisher<T> {
    pub(crate) fn on(entities: &mut Entities, topic: &str, qos: QosProfile) -> Result<Self, RosError> {
        Ok(Self { inner: entities.advertise::<T>(topic, qos)?, of: PhantomData })
    }

    /// Publishes.
    ///
    /// # Errors
    /// When ROS refuses, which it does once the node is gone.
    pub fn publish(&self, msg: &T) -> Result<(), RosError> {
        self.inner.publish(msg)
    }

    /// Publishes a message that is CDR already: without the way over a message of C's, which allocates for every list in it. Another type than the
    /// topic's does not compile:
    ///
    /// ```compile_fail,E0277
    /// # use efm_ros::{Publisher, r2r::trajectory_msgs::msg::JointTrajectory};
    /// fn send(to: &Publisher<JointTrajectory>, cdr: &efm_wire::CdrOf<efm_wire::msgs::StringMsg>) {
    ///     to.publish_cdr(cdr).unwrap();
    /// }
    /// ```
    ///
    /// ```
    /// # use efm_ros::{Publisher, r2r::trajectory_msgs::msg::JointTrajectory};
    /// fn send(to: &Publisher<JointTrajectory>, cdr: &efm_wire::CdrOf<efm_core::Trajectory>) {
    ///     to.publish_cdr(cdr).unwrap();
    /// }
    /// ```
    ///
    /// # Errors
    /// When ROS refuses, which it does once the node is gone.
    pub fn publish_cdr<W: RosType>(&self, cdr: &CdrOf<W>) -> Result<(), RosError>
    where
        T: WrittenAs<W>,
    {
        self.inner.publish_bytes(cdr.bytes())
    }

    /// What its messages carry ([`Received::sender`]), so that one can tell oneself from others.
    pub fn sender(&self) -> SenderId {
        self.inner.sender()
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> usize {
        self.inner.subscribers()
    }
}

type Farewell = Box<dyn FnOnce() + Send>;

/// A node that is being set up: all entities are created here, before it spins.
pub struct Node {
    entities: Entities,
    name: String,
    full_name: String,
    params: Params,
    clock: RosClock,
    diagnostics: Diagnostics,
    shutdown: Shutdown,
    farewells: Vec<Farewell>,
    patience: Duration,
    shares_process: bool,
}

impl Node {
    /// The node's name, without its namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node's name with its namespace.
    pub fn full_name(&self) -> &str {
        &self.full_name
    }

    /// Its parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Its clock.
    pub fn clock(&self) -> &RosClock {
        &self.clock
    }

    /// Its health.
    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    /// A look at the graph: who else publishes and subscribes. For later as well; cheap to clone.
    pub fn graph(&self) -> &Graph {
        self.entities.graph()
    }

    /// The publishers of a topic, see [`Graph::publishers_of`].
    pub fn publishers_of(&self, topic: &str) -> Vec<Endpoint> {
        self.graph().publishers_of(topic)
    }

    /// The wish to end, for loops on threads of their own and for those who end the node themselves.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Does `last` when the end was asked for, while publishers still work. It must not take long.
    pub fn on_shutdown(&mut self, last: impl FnOnce() + Send + 'static) {
        self.farewells.push(Box::new(last));
    }

    /// Grants the end so much time before the process is ended by force, for what is worth more than a quick end.
    pub fn be_patient(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Whether other nodes run in this process: what is set for the process (cores, priorities) is set for them as well.
    pub fn shares_process(&self) -> bool {
        self.shares_process
    }

    /// Does `work` beside the main work, until it ends by itself or the node does.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(work);
    }

    /// Subscribes and keeps the latest message.
    ///
    /// # Errors
    /// When ROS refuses, as for a malformed name.
    pub fn latest<T>(&mut self, topic: &str, hearing: impl Into<Hearing>) -> Result<Latest<T>, RosError>
    where
        T: WrappedTypesupport + Send + Sync + 'static,
    {
        let (mut feed, latest, clock) = self.slot();
        self.entities.subscribe::<T>(topic, hearing, move |msg, sender, _| {
            feed.put_from(msg, sender, &clock);
        })?;
        Ok(latest)
    }

    /// As [`Self::latest`], the message as it came: for large ones, which nobody wants to have copied, and for types that need not be there.
    ///
    /// # Errors
    /// When ROS refuses, as for a malformed name, or the message package of `type_name` ("package/msg/Type") is not installed.
    pub fn latest_bytes(
        &mut self,
        topic: &str,
        type_name: &str,
        hearing: impl Into<Hearing>,
    ) -> Result<Latest<Bytes>, RosError> {
        let (mut feed, latest, clock) = self.slot();
        self.entities.subscribe_bytes(topic, type_name, hearing, move |bytes, sender, _| {
            feed.put_from(bytes, sender, &clock);
        })?;
        Ok(latest)
    }

    fn slot<T>(&self) -> (LatestFeed<T>, Latest<T>, RosClock) {
        let (feed, latest) = Latest::slot();
        (feed, latest, self.clock.clone())
    }

    /// Subscribes and keeps every message in a queue, for topics on which each one counts.
    ///
    /// # Errors
    /// When ROS refuses, as for a malformed name.
    pub fn every<T>(
        &mut self,
        topic: &str,
        hearing: impl Into<Hearing>,
    ) -> Result<mpsc::Receiver<Received<T>>, RosError>
    where
        T: WrappedTypesupport + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(QUEUE);
        self.every_into(topic, hearing, &sender, |msg: T| msg)?;
        Ok(receiver)
    }

    /// As [`Self::every`], into a queue that several topics may share, each message turned by `turn` on receipt.
    ///
    /// # Errors
    /// When ROS refuses, as for a malformed name.
    pub fn every_into<T, U>(
        &mut self,
        topic: &str,
        hearing: impl Into<Hearing>,
        queue: &mpsc::Sender<Received<U>>,
        mut turn: impl FnMut(T) -> U + Send + 'static,
    ) -> Result<(), RosError>
    where
        T: WrappedTypesupport + 'static,
        U: Send + 'static,
    {
        let mut feed = QueueFeed::new(queue.clone(), self.clock.clone(), topic);
        self.entities.subscribe::<T>(topic, hearing, move |msg, sender, bytes| feed.put(turn(msg), sender, bytes))
    }

    /// As [`Self::every_into`], the messages as they came, for types that need not be there: `false` where the message package of `type_name`
    /// ("package/msg/Type") is not installed.
    ///
    /// # Errors
    /// When ROS refuses, as for a malformed name.
    pub fn every_bytes_into<U: Send + 'static>(
        &mut self,
        topic: &str,
        type_name: &str,
        hearing: impl Into<Hearing>,
        queue: &mpsc::Sender<Received<U>>,
        mut turn: impl FnMut(Bytes) -> U + Send + 'static,
    ) -> Result<bool, RosError> {
        if !self.entities.knows(type_name) {
            return Ok(false);
        }
        let mut feed = QueueFeed::new(queue.clone(), self.clock.clone(), topic);
        let each = move |bytes, sender, number| feed.put(turn(bytes), sender, number);
        self.entities.subscribe_bytes(topic, type_name, hearing, each)?;
        Ok(true)
    }

    /// Subscribes to who sends, whatever it is. `each` is called on the thread that received a message, so it must be short and must not wait.
    ///
    /// # Errors
    /// When ROS refuses, as for a malformed name.
    pub fn senders<T: WrappedTypesupport>(
        &mut self,
        topic: &str,
        hearing: impl Into<Hearing>,
        each: impl FnMut(SenderId) + Send + 'static,
    ) -> Result<(), RosError> {
        self.entities.subscribe_to_senders::<T>(topic, hearing, each)
    }

    /// Advertises a topic.
    ///
    /// # Errors
    /// When ROS refuses, as for a malformed name.
    pub fn publisher<T: WrappedTypesupport + 'static>(
        &mut self,
        topic: &str,
        qos: QosProfile,
    ) -> Result<Publisher<T>, RosError> {
        Publisher::on(&mut self.entities, topic, qos)
    }

    /// Offers a service; every request wants its `respond`.
    ///
    /// # Errors
    /// When ROS refuses, as for a malformed name.
    pub fn service<S: WrappedServiceTypeSupport + 'static>(
        &mut self,
        name: &str,
    ) -> Result<impl Stream<Item = Request<S>> + Unpin + Send + use<S>, RosError>
    where
        S::Request: Send,
    {
        let (mut sender, requests) = futures::channel::mpsc::channel(REQUESTS);
        let service = name.to_owned();
        // rcl expands '~' itself.
        self.entities.offer::<S>(name, qos::service(), move |request| {
            // Where nobody answers any more the node is ending.
            if sender.try_send(request).is_err_and(|error| error.is_full()) {
                log::warn!("service '{service}': a request is not answered: {REQUESTS} are waiting already");
            }
        })?;
        Ok(requests)
    }
}

/// What a node does, once it is set up.
type Work = Pin<Box<dyn Future<Output = Result<(), NodeError>>>>;
/// Sets a node up.
type Build = Box<dyn FnOnce(&mut Node) -> Result<Work, NodeError> + Send>;

/// A node that can be run: by itself ([`Plan::run`]), or with others in one process ([`run_together`]).
pub struct Plan {
    name: &'static str,
    specs: Vec<Spec>,
    build: Build,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Plan {
    /// A node with its parameters. `build` creates the entities and returns the work.
    pub fn new<B, W>(name: &'static str, specs: Vec<Spec>, build: B) -> Self
    where
        B: FnOnce(&mut Node) -> Result<W, NodeError> + Send + 'static,
        W: Future<Output = Result<(), NodeError>> + 'static,
    {
        Self { name, specs, build: Box::new(|node| Ok(Box::pin(build(node)?))) }
    }

    /// Runs it until SIGINT or SIGTERM, or until its work ends.
    ///
    /// Exit code 0 after a signal or when the work ends well; 1 with a message for everything else: wrong parameters (all of them, by
    /// name), `build` or the work failing, a panic in any thread. `--help` shows the parameters.
    pub fn run(self) -> ExitCode {
        let name = self.name;
        if let Some(code) = heed_arguments(name, &format!("{name}: a ROS 2 node of embodied_fm."), name, &[], &[&self])
        {
            return code;
        }
        process(name, vec![self])
    }
}

/// Runs a node as [`Plan::run`] does.
pub fn run<B, W>(name: &'static str, specs: Vec<Spec>, build: B) -> ExitCode
where
    B: FnOnce(&mut Node) -> Result<W, NodeError> + Send + 'static,
    W: Future<Output = Result<(), NodeError>> + 'static,
{
    Plan::new(name, specs, build).run()
}

/// Runs those of `plans` that the arguments name in one process, as `executable`: the same nodes with the same topics, which share a
/// participant of the middleware. When one ends, all do. A parameter that is given for all nodes is for those that have it.
///
/// Exit codes as of [`Plan::run`].
pub fn run_together(executable: &'static str, plans: Vec<Plan>) -> ExitCode {
    let names: Vec<_> = plans.iter().map(|plan| plan.name).collect();
    let title = format!(
        "{executable}: several ROS 2 nodes of embodied_fm in one process.\n\nNodes: {}. A name or a namespace for one of them: -r NODE:__node:=NAME; \
         a parameter: -p NODE:NAME:=VALUE, or -p NAME:=VALUE for all that have it.",
        names.join(", ")
    );
    let usage = format!("{executable} NODE NODE...");
    if let Some(code) = heed_arguments(executable, &title, &usage, &names, &plans.iter().collect::<Vec<_>>()) {
        return code;
    }
    let wanted: Vec<_> = own_arguments().collect();
    let chosen: Vec<_> = plans.into_iter().filter(|plan| wanted.iter().any(|name| name == plan.name)).collect();
    if chosen.is_empty() {
        eprintln!("{executable}: no node is named; there are: {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    process(executable, chosen)
}

/// Arguments that are not ROS's.
fn own_arguments() -> impl Iterator<Item = String> {
    // `__...` are remains of ROS 1 style launchers, which rcl ignores as well.
    std::env::args().skip(1).take_while(|arg| arg != "--ros-args").filter(|arg| !arg.starts_with("__"))
}

/// Shows help, or says what is wrong with the arguments; `None` when there is neither.
fn heed_arguments(
    executable: &str,
    title: &str,
    usage: &str,
    known: &[&'static str],
    plans: &[&Plan],
) -> Option<ExitCode> {
    for arg in own_arguments() {
        if arg == "--help" || arg == "-h" {
            println!(
                "{title}\n\nusage: {usage} [--ros-args -p NAME:=VALUE --params-file FILE -r FROM:=TO --log-level LEVEL]\n"
            );
            for plan in plans {
                let whose = if plans.len() == 1 { String::new() } else { format!(" of {}", plan.name) };
                print!(
                    "Parameters{whose} (read at the start unless marked dynamic):\n{}",
                    Params::describe(&plan.specs)
                );
            }
            return Some(ExitCode::SUCCESS);
        }
        if !known.contains(&arg.as_str()) {
            let nodes = if known.is_empty() { String::new() } else { format!(" (nodes: {})", known.join(", ")) };
            eprintln!(
                "{executable}: unknown argument '{arg}'{nodes}; ROS arguments stand after --ros-args, --help shows the parameters"
            );
            return Some(ExitCode::FAILURE);
        }
    }
    None
}

fn process(executable: &str, plans: Vec<Plan>) -> ExitCode {
    match live(executable, plans) {
        Ok(code) => code,
        Err(error) => {
            tell(executable, &error);
            ExitCode::FAILURE
        }
    }
}

fn tell(name: &str, error: &NodeError) {
    error.to_string().lines().for_each(|line| log::error!("{line}"));
    // Before the node has its name there is no logger.
    if log::max_level() == log::LevelFilter::Off {
        eprintln!("{name}: {error}");
    }
}

/// What the nodes of a process share.
struct Process {
    context: Arc<Context>,
    shutdown: Shutdown,
    runtime: tokio::runtime::Handle,
    failed: Arc<AtomicBool>,
    executable: String,
    /// Declared by any of the nodes.
    specs: Vec<Spec>,
    several: bool,
}

fn live(executable: &str, plans: Vec<Plan>) -> Result<ExitCode, NodeError> {
    r2r::assert_compiled_with_use_sim_time_support!();
    // For what runs beside: parameters, diagnostics.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let guard = runtime.enter();
    let shutdown = Shutdown::default();
    shutdown.on_signals()?;
    let process = Arc::new(Process {
        context: Context::create(std::env::args())?,
        shutdown: shutdown.clone(),
        runtime: runtime.handle().clone(),
        failed: Arc::default(),
        executable: executable.to_owned(),
        specs: plans.iter().flat_map(|plan| plan.specs.clone()).collect(),
        several: plans.len() > 1,
    });
    end_on_panic(&process);
    let mut plans = plans.into_iter();
    let first = plans.next();
    let mut threads = Vec::new();
    for plan in plans {
        let process = process.clone();
        threads.push(std::thread::Builder::new().name(plan.name.to_owned()).spawn(move || be(plan, &process))?);
    }
    if let Some(plan) = first {
        be(plan, &process);
    }
    for thread in threads {
        // A panic was told and counted.
        let _ = thread.join();
    }
    drop(guard);
    runtime.shutdown_timeout(Duration::from_millis(200));
    let failed = process.failed.load(Ordering::SeqCst);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The life of a node, on its thread. However it ends, the others end as well.
fn be(plan: Plan, process: &Process) {
    let _guard = process.runtime.enter();
    let name = plan.name;
    if let Err(error) = be_a_node(plan, process) {
        tell(name, &error);
        process.failed.store(true, Ordering::SeqCst);
    }
    process.shutdown.request();
}

fn be_a_node(plan: Plan, process: &Process) -> Result<(), NodeError> {
    let mut entities = Entities::create(process.context.clone(), plan.name)?;
    let (name, logger) = (entities.name(), entities.logger()); // may have been remapped
    let level = logging::level_from_args(&name, std::env::args());
    logging::init(if process.several { &process.executable } else { &logger }, level);
    logging::speak_as(&logger);
    let on_rosout = logging::OnRosout::begin(&mut entities)?;

    let overrides = efm_config::given::overrides(entities.parameters(), &plan.specs, &process.specs);
    let params = Params::new(plan.specs, &overrides).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;

    // Whoever makes the time (a simulator) tells what it tells by the same.
    let makes_time = params.get("publish_clock") == Some(efm_config::Value::Bool(true));
    let (clock, feed) = if params.bool("use_sim_time") || makes_time {
        let (clock, feed) = RosClock::simulated();
        (clock, Some(feed))
    } else {
        (RosClock::wall(), None)
    };
    let shutdown = process.shutdown.clone();
    let mut node = Node {
        full_name: entities.full_name(),
        diagnostics: Diagnostics::of(&entities.full_name()),
        shutdown: shutdown.clone(),
        farewells: Vec::new(),
        patience: PATIENCE,
        shares_process: process.several,
        entities,
        name,
        params,
        clock,
    };
    if let Some(feed) = feed {
        feed_clock(&mut node, feed)?;
    }
    params::serve(&mut node)?;
    publish_diagnostics(&mut node)?;
    watch_connections(&node);
    let work = (plan.build)(&mut node)?;
    // All its topics are there: rcl keeps their types in a table that nobody else may write to now.
    types::serve(&mut node)?;

    let outcome = alarm::block_on(async {
        tokio::select! {
            biased;
            () = shutdown.wait() => Ok(()),
            outcome = work => outcome,
        }
    });
    let Node { entities, farewells, patience, .. } = node;
    let failed = outcome.is_err() || process.failed.load(Ordering::SeqCst);
    if let Err(error) = &outcome {
        log::error!("{error}");
        process.failed.store(true, Ordering::SeqCst);
    }
    force_the_end_after(patience, if failed { 1 } else { 0 });
    for farewell in farewells {
        farewell();
    }
    shutdown.request();
    entities.wait_for_delivery(LAST_WORDS);
    drop(on_rosout);
    drop(entities);
    Ok(())
}

/// A panic in any thread or task ends the process with code 1, instead of leaving half of it at work.
fn end_on_panic(process: &Process) {
    let (shutdown, failed) = (process.shutdown.clone(), process.failed.clone());
    std::panic::set_hook(Box::new(move |info| {
        log::error!("{info}");
        failed.store(true, Ordering::SeqCst);
        shutdown.request();
    }));
}

fn feed_clock(node: &mut Node, feed: time::ClockFeed) -> Result<(), RosError> {
    node.entities.subscribe::<r2r::rosgraph_msgs::msg::Clock>("/clock", qos::clock(), move |msg, _, _| {
        feed.set(crate::convert::stamp(&msg.clock));
    })
}

fn publish_diagnostics(node: &mut Node) -> Result<(), RosError> {
    let publisher = node.publisher("/diagnostics", qos::diagnostics())?;
    let (diagnostics, clock) = (node.diagnostics.clone(), node.clock.clone());
    tokio::spawn(async move {
        // Wall time on purpose: health must be told also while /clock stands still.
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = second.tick() => {}
                () = diagnostics.level_changed() => {}
            }
            if publisher.publish(&diagnostics.message(clock.now())).is_err() {
                break; // the node is gone
            }
        }
    });
    Ok(())
}

/// Tells of publishers and subscriptions that are not matched with others on their topic, and of messages that were not read.
fn watch_connections(node: &Node) {
    let task = node.diagnostics.task("connections");
    let connections = node.entities.connections().clone();
    let mut unread = bounds::Watch::new(node.entities.unread().clone());
    let diagnostics = node.diagnostics.clone();
    tokio::spawn(async move {
        let mut watch = connections::Watch::new(connections);
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            second.tick().await;
            watch.look(&task);
            unread.look(|| diagnostics.task("inputs"));
        }
    });
}

fn force_the_end_after(patience: Duration, code: i32) {
    std::thread::spawn(move || {
        std::thread::sleep(patience);
        eprintln!("some work did not end within {patience:?}; the process ends without it");
        // Not `exit`: it runs what libraries have for the end, and the middleware's may be what hangs.
        // SAFETY: `_exit` takes a plain number and does not return.
        unsafe { libc::_exit(code) }
    });
}
