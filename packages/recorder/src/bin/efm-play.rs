//! `efm play`: publishes what a bag holds, as it was offered, at the pace of its log times.

use clap::Parser;
use efm_bag::msgs::Clock;
use efm_bag::{BagMessage, BagReader, Encode, OfferedQos, Qos};
use efm_core::Stamp;
use efm_recorder::play::{Contents, Pace, Remaps, is_input};
use efm_recorder::record::Selection;
use efm_recorder::record::subscriptions::to_offer;
use efm_ros::raw::{PublisherId, RawNode, RawQos};
use efm_ros::{NodeError, Shutdown};
use std::collections::{BTreeMap, HashMap};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// Messages that are read ahead: a chunk that is unpacked must not hold others up.
const AHEAD: usize = 64;
/// Longest sleep: how fast the player ends.
const NAP: Duration = Duration::from_millis(50);

/// For subscribers that are behind at the end.
const TO_DELIVER: Duration = Duration::from_secs(1);

/// Plays a bag onto the ROS graph: the recorded bytes with the recorded profiles, at the pace of the recording. Ctrl-C ends it.
///
/// Only what sensors say is played (sensor_msgs, tf, robot_description), so that a bag moves no robot. Goals, commands, chunks, stops and whatever
/// cannot be told apart from these are named, and played where they are asked for: by --topics, --remap or --all.
#[derive(Parser)]
#[command(name = "efm-play", version)]
struct Args {
    /// Bag folder or .mcap file.
    bag: PathBuf,
    /// How many times as fast as it was recorded.
    #[arg(long, default_value_t = 1.0, value_name = "R")]
    rate: f64,
    /// Begin again at the end, until Ctrl-C.
    #[arg(long)]
    r#loop: bool,
    /// Publish a topic under another name. May be given several times.
    #[arg(long, value_name = "FROM:=TO")]
    remap: Vec<String>,
    /// Publish the bag's time on /clock so often, Hz, for nodes under use_sim_time. A recorded /clock is then left out.
    #[arg(long, value_name = "HZ", num_args = 0..=1, default_missing_value = "100")]
    clock: Option<f64>,
    /// These topics, whatever they are: names, or regular expressions for whole names.
    #[arg(long, value_name = "TOPIC", num_args = 1..)]
    topics: Vec<String>,
    /// All topics: also goals, commands and stops. A robot that listens will move.
    #[arg(long, conflicts_with = "topics")]
    all: bool,
    /// Begin so many seconds into the bag. Latched messages from before are published at once.
    #[arg(long, default_value_t = 0.0, value_name = "S")]
    start: f64,
    /// Seconds to wait after advertising, so that subscribers are there for the first messages.
    #[arg(long, default_value_t = 1.0, value_name = "S")]
    delay: f64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match play(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("efm-play: {error}");
            ExitCode::FAILURE
        }
    }
}

fn positive(name: &str, value: f64, most: f64) -> Result<(), NodeError> {
    if value > 0.0 && value <= most {
        return Ok(());
    }
    Err(format!("{name} {value}: must be more than 0 and at most {most}").into())
}

fn play(args: &Args) -> Result<ExitCode, NodeError> {
    positive("--rate", args.rate, 1000.0)?;
    args.clock.map_or(Ok(()), |hz| positive("--clock", hz, 10_000.0))?;
    for (name, seconds, most) in [("--start", args.start, 1e9), ("--delay", args.delay, 1e4)] {
        if !(0.0..=most).contains(&seconds) {
            return Err(format!("{name} {seconds}: must be from 0 to {most} seconds").into());
        }
    }
    let remaps = Remaps::parse(&args.remap)?;
    let all = ["/.*".to_owned()];
    let selection = Selection::new(if args.topics.is_empty() { &all } else { &args.topics }, &[], "/")?;
    let contents = Contents::of(&args.bag)?;
    let Some((first, last)) = contents.span else { return Err(format!("{} is empty", args.bag.display()).into()) };

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let guard = runtime.enter();
    let shutdown = Shutdown::default();
    shutdown.on_signals()?;

    let mut player = Player {
        node: RawNode::create("player", "/")?,
        publishers: HashMap::new(),
        clock: None,
        shutdown,
        progress: Progress { shown: None, length: last.nanos_since(first) as f64 * 1e-9 },
        published: 0,
    };
    let contents = if args.all || !args.topics.is_empty() { contents } else { inputs(contents, &remaps)? };
    player.advertise(&contents, &selection, &remaps, args.clock)?;
    let start = Stamp::from_nanos(first.nanos().saturating_add((args.start * 1e9) as i64));
    player.wait(start, Duration::from_secs_f64(args.delay))?;
    loop {
        player.once(&args.bag, first, start, args.rate)?;
        if !args.r#loop || player.shutdown.is_requested() {
            break;
        }
    }
    player.node.wait_for_delivery(TO_DELIVER);
    player.progress.end();
    println!("{}: {} messages were published", args.bag.display(), player.published);
    drop(guard);
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(ExitCode::SUCCESS)
}

/// What sensors say, and what is given another name, which is to ask for it. Tells what is left out.
fn inputs(contents: Contents, remaps: &Remaps) -> Result<Contents, NodeError> {
    let (topics, others): (BTreeMap<_, _>, BTreeMap<_, _>) = contents
        .topics
        .into_iter()
        .partition(|(name, topic)| is_input(name, &topic.type_name) || remaps.name(name) != name);
    let others: Vec<String> = others.into_keys().collect();
    if !others.is_empty() {
        let names = others.join(" ");
        if topics.is_empty() {
            return Err(format!("the bag has no topic of a sensor; to play the others, which may move a robot, give --all or --topics {names}").into());
        }
        eprintln!(
            "efm-play: left out, as it may move a robot or answer for one (--all, or --topics, plays it): {names}"
        );
    }
    Ok(Contents { topics, ..contents })
}

struct Player {
    node: RawNode,
    /// By the name in the bag, with whether late subscribers get old messages.
    publishers: HashMap<String, (PublisherId, bool)>,
    clock: Option<BagClock>,
    shutdown: Shutdown,
    progress: Progress,
    published: u64,
}

/// `/clock`.
struct BagClock {
    publisher: PublisherId,
    period: Duration,
    due: Instant,
}

impl Player {
    fn advertise(
        &mut self,
        contents: &Contents,
        selection: &Selection,
        remaps: &Remaps,
        clock: Option<f64>,
    ) -> Result<(), NodeError> {
        for (name, topic) in &contents.topics {
            if !selection.wants(name) || (clock.is_some() && name == "/clock") {
                continue;
            }
            let qos = to_offer(topic.offered.unwrap_or(OfferedQos::from(Qos::DEFAULT)));
            match self.node.advertise(remaps.name(name), &topic.type_name, qos) {
                Ok(publisher) => {
                    self.publishers.insert(name.clone(), (publisher, qos.transient_local));
                }
                // A bag of somebody else's robot plays without what is not installed here.
                Err(error) => eprintln!("efm-play: {name} is left out: {error}"),
            }
        }
        if self.publishers.is_empty() {
            let names: Vec<&str> = contents.topics.keys().map(String::as_str).collect();
            return Err(format!("there is nothing to play; the bag has: {}", names.join(" ")).into());
        }
        if let Some(hz) = clock {
            let publisher = self.node.advertise("/clock", "rosgraph_msgs/msg/Clock", RawQos::new(true, false, 10))?;
            self.clock = Some(BagClock { publisher, period: Duration::from_secs_f64(1.0 / hz), due: Instant::now() });
        }
        Ok(())
    }

    /// Waits with the bag's time standing still.
    fn wait(&mut self, at: Stamp, time: Duration) -> Result<(), NodeError> {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.shutdown.is_requested() {
            self.tell_time(at)?;
            self.sleep_until(end);
        }
        Ok(())
    }

    /// Plays the bag from its beginning (of log time `first`) to its end.
    fn once(&mut self, bag: &Path, first: Stamp, start: Stamp, rate: f64) -> Result<(), NodeError> {
        let messages = read_ahead(bag)?;
        let (pace, began) = (Pace::new(start, rate), Instant::now());
        for message in messages {
            let at = message.log_time();
            let Some(&(publisher, latched)) = self.publishers.get(message.topic()) else { continue };
            if at < start && !latched {
                continue;
            }
            let due = began + pace.due(at);
            loop {
                if self.shutdown.is_requested() {
                    return Ok(());
                }
                let now = pace.now(began.elapsed());
                self.tell_time(now)?;
                self.progress.show(now.nanos_since(first) as f64 * 1e-9, self.published);
                if Instant::now() >= due {
                    break;
                }
                self.sleep_until(due);
            }
            self.node.publish(publisher, message.data())?;
            self.published += 1;
        }
        Ok(())
    }

    /// Publishes the bag's time where it is due.
    fn tell_time(&mut self, at: Stamp) -> Result<(), NodeError> {
        let Some(clock) = &mut self.clock else { return Ok(()) };
        let now = Instant::now();
        if now < clock.due {
            return Ok(());
        }
        // After a stall it goes on from now, not faster.
        clock.due = (clock.due + clock.period).max(now);
        self.node.publish(clock.publisher, &Clock { clock: at }.to_cdr())?;
        Ok(())
    }

    fn sleep_until(&self, due: Instant) {
        let next = self.clock.as_ref().map_or(due, |clock| clock.due.min(due));
        std::thread::sleep(next.saturating_duration_since(Instant::now()).min(NAP));
    }
}

/// Reads on a thread of its own.
fn read_ahead(bag: &Path) -> Result<Receiver<BagMessage>, NodeError> {
    let reader = BagReader::open(bag)?;
    let (sender, receiver) = sync_channel(AHEAD);
    std::thread::Builder::new().name("reader".to_owned()).spawn(move || {
        for message in reader {
            match message {
                Ok(message) => {
                    if sender.send(message).is_err() {
                        break; // nobody plays any more
                    }
                }
                Err(error) => eprintln!("efm-play: {error}"),
            }
        }
    })?;
    Ok(receiver)
}

/// A line that is written over.
struct Progress {
    shown: Option<Instant>,
    /// Of the bag, s.
    length: f64,
}

impl Progress {
    fn show(&mut self, at: f64, published: u64) {
        let now = Instant::now();
        if self.shown.is_some_and(|shown| now - shown < Duration::from_millis(200)) || !std::io::stderr().is_terminal()
        {
            return;
        }
        self.shown = Some(now);
        eprint!("\r{at:8.1} / {:.1} s, {published} messages ", self.length);
        // It is only for the eye.
        let _shown = std::io::stderr().flush();
    }

    fn end(&self) {
        if self.shown.is_some() {
            eprintln!();
        }
    }
}
