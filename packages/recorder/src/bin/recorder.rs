//! Records topics into a rosbag2 folder (MCAP).
//!
//! Topics are found as they appear and subscribed to as their publishers offer; messages go into the bag as the middleware has them.

use efm_bag::{BagOptions, Compression};
use efm_config::files;
use efm_core::reading;
use efm_recorder::record::params::{self, named};
use efm_recorder::record::subscriptions::{Heard, Subscriptions};
use efm_recorder::record::{BagOfTopics, Follow, RecordOptions, Selection, Status};
use efm_ros::raw::RawError;
use efm_ros::{Level, NodeError, Params, Task};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const GRAPH: &str = "config/graph.yaml";
/// For what waits to be written at the end. `ros2 launch` sends SIGKILL 15 s after SIGINT.
const TO_COMPLETE_THE_BAG: Duration = Duration::from_secs(10);

fn options(params: &Params) -> Result<RecordOptions, NodeError> {
    let bytes = |name: &str| params.integer(name).unsigned_abs() << 20;
    let seconds = Duration::from_secs_f64(params.double("max_file_s"));
    let dir = match params.text("folder") {
        folder if folder.is_empty() => {
            PathBuf::from(jiff::Timestamp::now().strftime("recording_%Y_%m_%d-%H_%M_%S").to_string())
        }
        folder => PathBuf::from(folder),
    };
    let level = u32::try_from(params.integer("zstd_level"))?;
    Ok(RecordOptions {
        dir,
        bag: BagOptions {
            compression: if level == 0 { Compression::None } else { Compression::Zstd(level) },
            chunk_size: 4 << 20,
            max_file_bytes: Some(bytes("max_file_mb")).filter(|&bytes| bytes > 0),
            max_file_duration: Some(seconds).filter(|time| !time.is_zero()),
            ros_distro: std::env::var("ROS_DISTRO").unwrap_or_else(|_| efm_ros::r2r::ROS_DISTRO.to_owned()),
            ..BagOptions::default()
        },
        queue_bytes: usize::try_from(bytes("queue_mb"))?,
        min_free_bytes: bytes("min_free_mb"),
        jpeg_quality: (params.text("images") == "compressed")
            .then(|| u8::try_from(params.integer("jpeg_quality")))
            .transpose()?,
    })
}

/// What is asked for.
struct Wanted {
    topics: Vec<String>,
    nodes: Vec<String>,
    /// Whether the user named the topics.
    by_name: bool,
}

/// The topics and nodes that are asked for; those of the graph file where no topics are.
fn wanted(params: &Params) -> Result<Wanted, NodeError> {
    #[derive(serde::Deserialize)]
    struct Process {
        name: String,
        when: String,
    }
    #[derive(serde::Deserialize)]
    struct Graph {
        record: Vec<String>,
        processes: Vec<Process>,
    }
    let (topics, nodes) = (named(params, "topics"), named(params, "nodes"));
    if !topics.is_empty() {
        return Ok(Wanted { topics, nodes, by_name: true });
    }
    let file = files::find(GRAPH);
    let text = reading::text(&file, reading::SETTINGS)
        .map_err(|error| format!("{}: {error}; name the topics by the parameter 'topics'", file.display()))?;
    let graph: Graph = serde_yaml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let of_graph = graph.processes.into_iter().filter(|process| process.when == "always").map(|process| process.name);
    let nodes = if nodes.is_empty() { of_graph.collect() } else { nodes };
    Ok(Wanted { topics: graph.record, nodes, by_name: false })
}

/// How long a graph may take to come up before what is missing is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells how the recording goes, once a second.
struct Teller {
    began: Instant,
    /// Whether what is missing has been told.
    told_missing: bool,
    /// Whether the user named the topics.
    by_name: bool,
    health: Task,
    dir: PathBuf,
    recording: BagOfTopics,
    heard: Arc<Mutex<Heard>>,
    before: Status,
}

impl Teller {
    /// Warns, once, of what is not in the recording although somebody counts on it.
    fn tell_missing(&mut self, heard: &Heard) {
        if self.told_missing || self.began.elapsed() < PATIENCE {
            return;
        }
        self.told_missing = true;
        let s = PATIENCE.as_secs();
        for node in &heard.absent {
            log::warn!(
                "node '{node}' is not there after {s} s, so nothing of it is recorded; parameter 'nodes' names others"
            );
        }
        for (topic, node) in &heard.silent {
            log::warn!("nobody publishes '{topic}' after {s} s, which node '{node}' listens to by its parameters");
        }
        // Of the graph's own list most need not be there.
        for topic in heard.missing.iter().filter(|_| self.by_name) {
            log::warn!(
                "nobody publishes '{topic}' after {s} s, which parameter 'topics' names; it is recorded once somebody does"
            );
        }
    }

    fn tell(&mut self) {
        let status = self.recording.status();
        let heard = lock(&self.heard).clone();
        self.tell_missing(&heard);
        let mut values = vec![
            ("folder".to_owned(), self.dir.display().to_string()),
            ("topics".to_owned(), heard.topics.to_string()),
            ("messages".to_owned(), status.written.to_string()),
            ("MB a second".to_owned(), format!("{:.2}", (status.bytes - self.before.bytes) as f64 * 1e-6)),
            ("MB waiting".to_owned(), format!("{:.2}", status.waiting_bytes as f64 * 1e-6)),
            ("messages lost".to_owned(), status.lost.iter().map(|(_, number)| number).sum::<u64>().to_string()),
        ];
        values.extend(status.lost.iter().map(|(topic, number)| (format!("lost {topic}"), number.to_string())));
        values
            .extend(status.unfit.iter().map(|(topic, n, reason)| (format!("unfit {topic}"), format!("{n}: {reason}"))));
        values.extend(heard.refused.iter().map(|(topic, reason)| (format!("not recorded {topic}"), reason.clone())));
        if !heard.absent.is_empty() {
            values.push(("nodes that are not there yet".to_owned(), heard.absent.join(" ")));
        }
        if !heard.silent.is_empty() {
            let silent: Vec<_> = heard.silent.iter().map(|(topic, node)| format!("{topic} ({node})")).collect();
            values.push(("listened to, and nobody publishes it".to_owned(), silent.join(" ")));
        }
        if !heard.missing.is_empty() {
            values.push(("no publisher yet".to_owned(), heard.missing.join(" ")));
        }
        // What was waiting when the recording ended is lost as well, but not for this reason.
        let losing = status.lost != self.before.lost && self.recording.ended().is_none();
        let (level, message) = if let Some(ended) = self.recording.ended() {
            (Level::Error, ended.reason.clone())
        } else if losing {
            (Level::Warn, "messages are lost: the disk (or the compression) is too slow".to_owned())
        } else if !heard.refused.is_empty() || !status.unfit.is_empty() {
            (Level::Warn, "recording, without some of the topics".to_owned())
        } else {
            (Level::Ok, "recording".to_owned())
        };
        if losing {
            let lost: Vec<String> = status.lost.iter().map(|(topic, number)| format!("{topic} {number}")).collect();
            log::warn!("too many messages wait to be written; lost so far: {}", lost.join(", "));
        }
        for (topic, _, reason) in &status.unfit {
            if self.before.unfit.iter().all(|(known, ..)| known != topic) {
                log::warn!("'{topic}' cannot be recorded: {reason}");
            }
        }
        self.health.report(level, message, values);
        self.before = status;
    }
}

fn main() -> ExitCode {
    efm_ros::run("recorder", params::specs(), |node| {
        let params = node.params().clone();
        let namespace = node.full_name().strip_suffix(node.name()).unwrap_or("/").to_owned();
        let Wanted { topics, nodes, by_name } = wanted(&params)?;
        let selection = Selection::new(&topics, &named(&params, "exclude"), &namespace)?;
        let follow = Follow::new(&nodes, &namespace);
        let besides = if nodes.is_empty() {
            String::new()
        } else {
            format!(
                "; and what these nodes publish and listen to, but the cameras' own pictures: {}",
                follow.nodes().join(", ")
            )
        };
        let options = options(&params)?;
        let dir = options.dir.clone();
        let recording = BagOfTopics::begin(options)?;
        // Hidden, as it is no node of its own to people.
        let listener = format!("_{}_ears", node.name());
        let namespace = if namespace.len() > 1 { namespace.trim_end_matches('/') } else { "/" };
        let subscriptions =
            Subscriptions::new(&listener, namespace, (selection, follow), recording.clone(), node.clock().clone())?;
        let heard = subscriptions.heard();
        let mut teller = Teller {
            began: Instant::now(),
            told_missing: false,
            by_name,
            health: node.diagnostics().task("recording"),
            dir: dir.clone(),
            recording: recording.clone(),
            heard,
            before: Status::default(),
        };
        log::info!("recording into {}: {}{besides}", dir.display(), topics.join(", "));

        let shutdown = node.shutdown().clone();
        let over = shutdown.clone();
        let ears = std::thread::Builder::new()
            .name("ears".to_owned())
            .spawn(move || subscriptions.run(|| over.is_requested()))?;
        let ears = Arc::new(Mutex::new(Some(ears)));
        node.be_patient(TO_COMPLETE_THE_BAG);
        let (closing, listening) = (recording.clone(), ears.clone());
        node.on_shutdown(move || {
            // The middleware must not be taken down under a thread that uses it.
            shutdown.request();
            if let Some(Err(error)) = ended(&listening) {
                log::error!("{error}");
            }
            complete(&closing);
        });
        let end_on_error = params.bool("end_on_error");
        Ok(async move {
            let mut told = false;
            let mut second = tokio::time::interval(Duration::from_secs(1));
            loop {
                second.tick().await;
                teller.tell();
                let finished = lock(&ears).as_ref().is_some_and(JoinHandle::is_finished);
                if finished && let Some(outcome) = ended(&ears) {
                    outcome?;
                }
                if let Some(ended) = recording.ended() {
                    // A second later, so that /diagnostics has told it.
                    if told && end_on_error {
                        return Err(ended.reason.clone().into());
                    }
                    if !told && !end_on_error {
                        log::error!("{}", ended.reason);
                    }
                    told = true;
                }
            }
        })
    })
}

type Ears = Mutex<Option<JoinHandle<Result<(), RawError>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the thread that listens; `None` when that was done before. A panic in it has been told and has asked for the end.
fn ended(ears: &Ears) -> Option<Result<(), RawError>> {
    let ears = lock(ears).take()?;
    Some(ears.join().unwrap_or(Ok(())))
}

fn complete(recording: &BagOfTopics) {
    match recording.finish() {
        Some(Ok(summary)) => {
            log::info!(
                "{} messages ({:.1} MB) are in {}",
                summary.messages,
                summary.bytes as f64 * 1e-6,
                summary.dir.display()
            );
            let lost = recording.status().lost;
            if !lost.is_empty() {
                let lost: Vec<String> = lost.iter().map(|(topic, number)| format!("{topic} {number}")).collect();
                let why =
                    if recording.ended().is_some() { "when the recording ended" } else { "to be written, too many" };
                log::warn!("lost, as they were waiting {why}: {}", lost.join(", "));
            }
        }
        Some(Err(error)) => log::error!("the bag could not be completed ({error}); `efm bag repair` does it"),
        None => {}
    }
}
