//! The life of a node's process, from its arguments to its exit code.

use crate::{Diagnostics, Latest, Params, Received, RosClock, Shutdown, Spec, latest, logging, params, qos, time};
use futures::Stream;
use r2r::{QosProfile, ServiceRequest, WrappedServiceTypeSupport, WrappedTypesupport};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Any error that ends a node.
pub type NodeError = Box<dyn std::error::Error + Send + Sync>;

/// Longest wait of the spinning thread. It cannot be woken, so this bounds how fast a node ends.
const SPIN: Duration = Duration::from_millis(50);
/// A process that has not ended this long after it was asked to is ended by force. `ros2 launch` and people expect 2 s.
const PATIENCE: Duration = Duration::from_millis(1500);

/// ROS refused something.
#[derive(Debug, thiserror::Error)]
#[error("{what} '{name}': {source}")]
pub struct RosError {
    what: &'static str,
    name: String,
    source: r2r::Error,
}

fn refused(what: &'static str, name: &str) -> impl FnOnce(r2r::Error) -> RosError {
    move |source| RosError { what, name: name.to_owned(), source }
}

/// Publishes messages of one topic. Cheap to clone, may be used from any thread.
#[derive(Debug)]
pub struct Publisher<T: WrappedTypesupport> {
    // r2r's publisher is Send but not Sync.
    inner: Arc<Mutex<r2r::Publisher<T>>>,
    topic: Arc<str>,
}

impl<T: WrappedTypesupport> Clone for Publisher<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), topic: self.topic.clone() }
    }
}

impl<T: WrappedTypesupport + 'static> Publisher<T> {
    /// Publishes.
    ///
    /// # Errors
    /// When ROS refuses, which it does once the node is gone.
    pub fn publish(&self, msg: &T) -> Result<(), RosError> {
        let publisher = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        publisher.publish(msg).map_err(refused("cannot publish on", &self.topic))
    }

    /// How many subscribers there are in other processes.
    pub fn subscribers(&self) -> usize {
        let publisher = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        publisher.get_inter_process_subscription_count().unwrap_or(0)
    }
}

type Farewell = Box<dyn FnOnce() + Send>;

/// A node that is being set up: all entities are created here, before it spins.
pub struct Node {
    ros: r2r::Node,
    name: String,
    full_name: String,
    params: Params,
    clock: RosClock,
    diagnostics: Diagnostics,
    shutdown: Shutdown,
    farewells: Vec<Farewell>,
    patience: Duration,
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

    /// Does `work` beside the main work, until it ends by itself or the node does.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(work);
    }

    /// Subscribes and keeps the latest message.
    ///
    /// # Errors
    /// When ROS refuses, as for a malformed name.
    pub fn latest<T>(&mut self, topic: &str, qos: QosProfile) -> Result<Latest<T>, RosError>
    where
        T: WrappedTypesupport + Send + Sync + 'static,
    {
        self.latest_map(topic, qos, Some)
    }

    /// Subscribes, turns each message on receipt, and keeps the latest result; `None` drops a message. `turn` runs on the
    /// shared runtime, so it must be short.
    ///
    /// # Errors
    /// When ROS refuses, as for a malformed name.
    pub fn latest_map<T, U>(
        &mut self,
        topic: &str,
        qos: QosProfile,
        turn: impl FnMut(T) -> Option<U> + Send + 'static,
    ) -> Result<Latest<U>, RosError>
    where
        T: WrappedTypesupport + Send + 'static,
        U: Send + Sync + 'static,
    {
        let stream = self.ros.subscribe::<T>(topic, qos).map_err(refused("cannot subscribe to", topic))?;
        Ok(latest::drain_latest(stream, self.clock.clone(), turn))
    }

    /// Subscribes and keeps every message in a queue, for topics on which each one counts.
    ///
    /// # Errors
    /// When ROS refuses, as for a malformed name.
    pub fn every<T>(&mut self, topic: &str, qos: QosProfile) -> Result<mpsc::Receiver<Received<T>>, RosError>
    where
        T: WrappedTypesupport + Send + 'static,
    {
        let stream = self.ros.subscribe::<T>(topic, qos).map_err(refused("cannot subscribe to", topic))?;
        Ok(latest::drain_every(stream, self.clock.clone(), topic.to_owned(), 256))
    }

    /// As [`Self::every`], the messages as they came (CDR), for types that need not be there: `None` where this was built without the
    /// message package of `type_name` ("package/msg/Type").
    ///
    /// # Errors
    /// When ROS refuses, as for a malformed name.
    pub fn every_raw(
        &mut self,
        topic: &str,
        type_name: &str,
        qos: QosProfile,
    ) -> Result<Option<mpsc::Receiver<Received<Vec<u8>>>>, RosError> {
        match self.ros.subscribe_raw(topic, type_name, qos) {
            Ok(stream) => Ok(Some(latest::drain_every(stream, self.clock.clone(), topic.to_owned(), 256))),
            Err(r2r::Error::InvalidMessageType { .. }) => Ok(None),
            Err(error) => Err(refused("cannot subscribe to", topic)(error)),
        }
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
        let publisher = self.ros.create_publisher::<T>(topic, qos).map_err(refused("cannot advertise", topic))?;
        Ok(Publisher { inner: Arc::new(Mutex::new(publisher)), topic: topic.into() })
    }

    /// Offers a service; every request wants its `respond`.
    ///
    /// # Errors
    /// When ROS refuses, as for a malformed name.
    pub fn service<S: WrappedServiceTypeSupport + 'static>(
        &mut self,
        name: &str,
    ) -> Result<impl Stream<Item = ServiceRequest<S>> + Unpin + Send + use<S>, RosError> {
        // rcl expands '~' itself.
        self.ros.create_service::<S>(name, qos::service()).map_err(refused("cannot offer service", name))
    }

    /// r2r's node, for what has no place here.
    pub fn ros(&mut self) -> &mut r2r::Node {
        &mut self.ros
    }
}

/// Runs a node until SIGINT or SIGTERM, or until its work ends. `build` creates the entities and returns the work.
///
/// Exit code 0 after a signal or when the work ends well; 1 with a message for everything else: wrong parameters (all of them, by
/// name), `build` or the work failing, a panic in any thread. `--help` shows the parameters.
pub fn run<B, W>(name: &str, specs: Vec<Spec>, build: B) -> ExitCode
where
    B: FnOnce(&mut Node) -> Result<W, NodeError>,
    W: Future<Output = Result<(), NodeError>>,
{
    let ours = std::env::args().skip(1).take_while(|arg| arg != "--ros-args");
    for arg in ours {
        if arg == "--help" || arg == "-h" {
            print!("{}", help(name, &specs));
            return ExitCode::SUCCESS;
        }
        if arg.starts_with("__") {
            continue; // remains of ROS 1 style launchers, which rcl ignores as well
        }
        eprintln!(
            "{name}: unknown argument '{arg}'; ROS arguments stand after --ros-args, --help shows the parameters"
        );
        return ExitCode::FAILURE;
    }
    match live(name, specs, build) {
        Ok(code) => code,
        Err(error) => {
            error.to_string().lines().for_each(|line| log::error!("{line}"));
            // Before the node has its name there is no logger.
            if log::max_level() == log::LevelFilter::Off {
                eprintln!("{name}: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn help(name: &str, specs: &[Spec]) -> String {
    format!(
        "{name}: a ROS 2 node of embodied_fm.\n\nusage: {name} [--ros-args -p NAME:=VALUE --params-file FILE -r FROM:=TO --log-level LEVEL]\n\n\
         Parameters (read at the start unless marked dynamic):\n{}",
        Params::describe(specs)
    )
}

fn live<B, W>(name: &str, specs: Vec<Spec>, build: B) -> Result<ExitCode, NodeError>
where
    B: FnOnce(&mut Node) -> Result<W, NodeError>,
    W: Future<Output = Result<(), NodeError>>,
{
    r2r::assert_compiled_with_use_sim_time_support!();
    // Two threads: moving messages must go on while somebody's task computes.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let guard = runtime.enter();
    let shutdown = Shutdown::default();
    shutdown.on_signals()?;

    let context = create_context()?;
    let ros = r2r::Node::create(context, name, "").map_err(refused("cannot create node", name))?;
    let name = ros.name()?; // may have been remapped
    logging::init(&name, logging::level_from_args(&name, std::env::args()));
    let failed = end_on_panic(&shutdown);

    let overrides: Vec<_> = match ros.params.lock() {
        Ok(params) => params.iter().map(|(name, parameter)| (name.clone(), parameter.value.clone())).collect(),
        Err(_) => return Err("r2r's parameters are lost".into()),
    };
    let params = Params::new(specs, &overrides).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;

    let (clock, feed) = if params.bool("use_sim_time") {
        let (clock, feed) = RosClock::simulated();
        (clock, Some(feed))
    } else {
        (RosClock::wall(), None)
    };
    let mut node = Node {
        full_name: ros.fully_qualified_name()?,
        diagnostics: Diagnostics::new(&name, "embodied_fm"),
        shutdown: shutdown.clone(),
        farewells: Vec::new(),
        patience: PATIENCE,
        ros,
        name,
        params,
        clock,
    };
    if let Some(feed) = feed {
        feed_clock(&mut node, feed)?;
    }
    params::serve(&mut node)?;
    publish_diagnostics(&mut node)?;
    let work = build(&mut node)?;

    let Node { ros, farewells, patience, .. } = node;
    let spinner = spin(ros, shutdown.clone());
    let outcome = runtime.block_on(async {
        tokio::select! {
            biased;
            () = shutdown.wait() => Ok(()),
            outcome = work => outcome,
        }
    });
    if let Err(error) = &outcome {
        log::error!("{error}");
    }
    let ok = |failed: &AtomicBool| outcome.is_ok() && !failed.load(Ordering::SeqCst);
    force_the_end_after(patience, if ok(&failed) { 0 } else { 1 });
    for farewell in farewells {
        farewell();
    }
    shutdown.request();
    if spinner.join().is_err() {
        failed.store(true, Ordering::SeqCst);
    }
    drop(guard);
    runtime.shutdown_timeout(Duration::from_millis(200));
    Ok(if ok(&failed) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// r2r panics where rcl refuses the arguments (an unreadable parameter file, a malformed remapping); the panic's text is rcl's
/// message, which is what the user needs.
fn create_context() -> Result<r2r::Context, NodeError> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let context = std::panic::catch_unwind(r2r::Context::create);
    std::panic::set_hook(hook);
    match context {
        Ok(context) => Ok(context?),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map_or("unknown reason", String::as_str);
            Err(format!("ROS refuses the arguments: {text}").into())
        }
    }
}

/// A panic in any thread or task ends the node with code 1, instead of leaving half of it at work.
fn end_on_panic(shutdown: &Shutdown) -> Arc<AtomicBool> {
    let failed = Arc::new(AtomicBool::new(false));
    let (shutdown, seen) = (shutdown.clone(), failed.clone());
    std::panic::set_hook(Box::new(move |info| {
        log::error!("{info}");
        seen.store(true, Ordering::SeqCst);
        shutdown.request();
    }));
    failed
}

fn feed_clock(node: &mut Node, feed: time::ClockFeed) -> Result<(), RosError> {
    use futures::StreamExt;
    let mut stream = node
        .ros
        .subscribe::<r2r::rosgraph_msgs::msg::Clock>("/clock", qos::clock())
        .map_err(refused("cannot subscribe to", "/clock"))?;
    tokio::spawn(async move {
        while let Some(msg) = stream.next().await {
            feed.set(crate::convert::stamp(&msg.clock));
        }
    });
    Ok(())
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

/// Spins on a thread of its own until the end is asked for, then takes the node off the graph. The wait set is never empty: the
/// parameter services are in it.
fn spin(mut ros: r2r::Node, shutdown: Shutdown) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while !shutdown.is_requested() {
            ros.spin_once(SPIN);
        }
    })
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
