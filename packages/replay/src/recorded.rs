//! What a bag tells of a run: what its nodes worked on, what was proposed, what was commanded.

use anyhow::{Context, Result, bail};
use efm_app::publisher::planning_scene::PlanningScene;
use efm_app::publisher::streaming::Event;
use efm_app::trace::{Inferred, Setup, TraceMessage};
use efm_bag::msgs::DiagnosticArray;
use efm_bag::{BagMessage, BagReader};
use efm_core::{Stamp, Trajectory};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The trace of one node.
#[derive(Debug, Clone)]
pub struct NodeTrace<E> {
    /// With its namespace.
    pub node: String,
    /// What it was started with.
    pub setup: Setup,
    /// In its order.
    pub events: Vec<E>,
    /// Messages of the trace that are not in the bag: the numbers of the first and the last of each gap.
    pub gaps: Vec<(u64, u64)>,
}

/// Lines of one node's trace before they are understood.
#[derive(Debug, Default)]
struct Lines {
    node: String,
    setup: Option<String>,
    events: String,
    next: u64,
    gaps: Vec<(u64, u64)>,
}

impl Lines {
    fn add(&mut self, message: TraceMessage) -> Result<()> {
        if message.sequence == 0 && self.next > 0 {
            bail!("node '{}' was started anew during the recording; cut the bag there (bag slice)", message.node);
        }
        // A latched message that came twice.
        if message.sequence < self.next {
            return Ok(());
        }
        if message.sequence > self.next {
            self.gaps.push((self.next, message.sequence - 1));
        }
        self.next = message.sequence + 1;
        self.node = message.node;
        self.setup = self.setup.take().or(message.setup);
        self.events.push_str(&message.events);
        Ok(())
    }

    fn understood<E: serde::de::DeserializeOwned>(self) -> Result<NodeTrace<E>> {
        let node = self.node;
        let setup =
            self.setup.with_context(|| format!("the trace of '{node}' does not tell what it was started with"))?;
        let setup = serde_json::from_str(&setup).with_context(|| format!("set-up in the trace of '{node}'"))?;
        let mut events = Vec::new();
        for (number, line) in self.events.lines().enumerate() {
            let event = serde_json::from_str(line).with_context(|| {
                format!("event {number} in the trace of '{node}': {}", line.get(..80).unwrap_or(line))
            })?;
            events.push(event);
        }
        Ok(NodeTrace { node, setup, events, gaps: self.gaps })
    }
}

/// A recorded run. Commands and chunks are held in memory, some 2 kB each; pictures are not.
#[derive(Debug)]
pub struct Recorded {
    /// The bag.
    pub bag: PathBuf,
    /// From the first to the last message, s.
    pub seconds: f64,
    /// Of `trajectory_publisher`, if it is there.
    pub streaming: Option<NodeTrace<Event<'static>>>,
    /// Of `vla_inference`, if it is there.
    pub inference: Option<NodeTrace<Inferred<'static>>>,
    /// What was proposed, by stamp in ns.
    pub chunks: BTreeMap<i64, Trajectory>,
    /// What was commanded, by controller, in the order of the bag.
    pub commands: BTreeMap<String, Vec<Trajectory>>,
    /// What was told of the surroundings: moveit_msgs/PlanningScene in CDR, in the order of the bag.
    pub scenes: Vec<Vec<u8>>,
    /// What was damaged or missing in the bag, in words.
    pub damage: Vec<String>,
}

impl Recorded {
    /// Reads everything but the pictures.
    ///
    /// # Errors
    /// When the bag cannot be read, or holds no trace.
    pub fn read(bag: &Path) -> Result<Self> {
        let mut reader = BagReader::open(bag)?;
        let mut traces: HashMap<&'static str, Lines> = HashMap::new();
        let (mut chunks, mut commands, mut damage) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut scenes = Vec::new();
        let mut span: Option<(Stamp, Stamp)> = None;
        loop {
            let message = match reader.next_message() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => {
                    damage.push(error.to_string());
                    continue;
                }
            };
            let at = message.log_time();
            span = Some(span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
            let read = (|| -> Result<()> {
                let topic = message.topic();
                if let Some(node) =
                    ["trajectory_publisher", "vla_inference"].into_iter().find(|n| is_of(topic, n, "trace"))
                {
                    let array = message.decode::<DiagnosticArray>()?;
                    let told = TraceMessage::read(&array)?;
                    traces.entry(node).or_default().add(told)?;
                } else if last_part(topic) == "action_chunk" {
                    let chunk: Trajectory = message.decode()?;
                    chunks.insert(chunk.stamp.nanos(), chunk);
                } else if let Some(controller) = controller_of(topic) {
                    let command: Trajectory = message.decode()?;
                    commands.entry(controller.to_owned()).or_insert_with(Vec::new).push(command);
                } else if last_part(topic) == "planning_scene" && message.type_name() == PlanningScene::TYPE {
                    scenes.push(message.data().to_vec());
                }
                Ok(())
            })();
            read.with_context(|| format!("{}: topic '{}'", bag.display(), message.topic()))?;
        }
        damage.extend(reader.damages().iter().map(ToString::to_string));
        if reader.truncated() {
            damage.push("the bag ends in the middle".to_owned());
        }
        let streaming = traces.remove("trajectory_publisher").map(Lines::understood).transpose()?;
        let inference = traces.remove("vla_inference").map(Lines::understood).transpose()?;
        if streaming.is_none() && inference.is_none() {
            bail!(
                "{}: no topic of it is a trace (<node>/trace); record it too, with the nodes' parameter 'trace' true",
                bag.display()
            );
        }
        let seconds = span.map_or(0.0, |(first, last)| last.seconds_since(first));
        Ok(Self { bag: bag.to_owned(), seconds, streaming, inference, chunks, commands, scenes, damage })
    }
}

fn last_part(topic: &str) -> &str {
    topic.rsplit('/').next().unwrap_or(topic)
}

/// Whether a topic is `.../<node>/<name>`.
fn is_of(topic: &str, node: &str, name: &str) -> bool {
    let mut parts = topic.rsplit('/');
    parts.next() == Some(name) && parts.next() == Some(node)
}

/// The controller of `.../<controller>/joint_trajectory`.
fn controller_of(topic: &str) -> Option<&str> {
    let mut parts = topic.rsplit('/');
    (parts.next() == Some("joint_trajectory")).then(|| parts.next())?
}

/// The pictures that the policy saw, read once more and in their order, so that only those of a few seconds are in memory.
pub struct Pictures {
    reader: BagReader,
    /// By camera and stamp.
    held: HashMap<(String, i64), Held>,
    over: bool,
}

struct Held {
    pixels: Vec<u8>,
    at: Stamp,
}

/// Pictures recorded so long before what is asked for last, s, are forgotten: longer than any policy looks back.
const LOOK_BACK: f64 = 15.0;
/// A picture that was worked on is in the bag at most so much later than the look at it, s: the recorder may lag.
const LATE: f64 = 2.0;

impl Pictures {
    /// Of a bag.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(bag: &Path) -> Result<Self> {
        Ok(Self { reader: BagReader::open(bag)?, held: HashMap::new(), over: false })
    }

    /// The pixels of `observation/<camera>/image` with this header stamp, for a look at `now`; `None` where they are not in the bag.
    pub fn get(&mut self, camera: &str, stamp: Stamp, now: Stamp) -> Option<&[u8]> {
        let key = (camera.to_owned(), stamp.nanos());
        while !self.held.contains_key(&key) && !self.over {
            let Some(message) = self.next() else { break };
            let at = message.log_time();
            let parts: Vec<&str> = message.topic().rsplit('/').collect();
            if let ["image", camera, "observation", ..] = parts[..]
                && let Ok(image) = message.decode::<efm_bag::msgs::Image>()
            {
                self.held.insert((camera.to_owned(), image.header.stamp.nanos()), Held { pixels: image.data, at });
            }
            if at.seconds_since(now) > LATE {
                break;
            }
        }
        self.held.retain(|_, held| now.seconds_since(held.at) < LOOK_BACK);
        self.held.get(&key).map(|held| held.pixels.as_slice())
    }

    fn next(&mut self) -> Option<BagMessage> {
        loop {
            match self.reader.next_message() {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {
                    self.over = true;
                    return None;
                }
                // Told of by who read it first.
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn told(sequence: u64, events: &str) -> TraceMessage {
        let setup = (sequence == 0).then(|| serde_json::to_string(&Setup::default()).unwrap());
        TraceMessage { node: "/n".into(), sequence, setup, events: events.into() }
    }

    #[test]
    fn a_trace_is_put_together_in_its_order_and_what_is_missing_is_known() {
        let mut lines = Lines::default();
        lines.add(told(0, "\"resume\"\n")).unwrap();
        lines.add(told(1, "{\"stop\":{\"now\":5}}\n")).unwrap();
        lines.add(told(1, "{\"stop\":{\"now\":5}}\n")).unwrap();
        lines.add(told(4, "\"emergency_stop\"\n")).unwrap();
        let trace: NodeTrace<Event<'static>> = lines.understood().unwrap();
        assert_eq!(trace.events, [Event::Resume, Event::Stop { now: 5 }, Event::EmergencyStop]);
        assert_eq!(trace.gaps, [(2, 3)]);
    }

    #[test]
    fn a_node_that_was_started_anew_is_told_of() {
        let mut lines = Lines::default();
        lines.add(told(0, "")).unwrap();
        lines.add(told(1, "")).unwrap();
        assert!(lines.add(told(0, "")).unwrap_err().to_string().contains("started anew"));
    }

    #[test]
    fn topics_are_known_in_any_namespace() {
        assert_eq!(controller_of("/arm/joint_trajectory"), Some("arm"));
        assert_eq!(controller_of("/cell/arm/joint_trajectory"), Some("arm"));
        assert_eq!(controller_of("/arm/state"), None);
        assert!(is_of("/cell/vla_inference/trace", "vla_inference", "trace"));
        assert!(!is_of("/other/trace", "vla_inference", "trace"));
    }
}
