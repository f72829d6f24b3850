//! Who else sends to whom `trajectory_publisher` sends and whom it hears: found out beside its work, by the graph's names.

use crate::wiring::WINDOWS;
use efm_core::{SenderId, Stamp};
use efm_ros::r2r::trajectory_msgs::msg::JointTrajectory;
use efm_ros::{Endpoint, Graph, Level, Node, NodeError, Publisher, Task, qos};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Time between two looks at the graph.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Another's commands are noted so often at most, s, where they change nothing.
const NOTED_EVERY_S: f64 = 0.05;
/// The names of a refused sender are asked for again after so long.
const NAMED_FOR: Duration = Duration::from_millis(500);
/// For so long a refused sender of chunks is told of after its last chunk.
const TOLD_FOR: Duration = Duration::from_secs(2);

/// Who is on the topics, as of the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// Publishers of the controllers' topics that are not ours: node and topic.
    pub commands: Vec<(String, String)>,
    /// Publishers of `action_chunk`.
    pub chunks: Vec<SenderId>,
    /// Nodes that publish `instruction`.
    pub instruction: Vec<String>,
    /// Nodes that publish `emergency_stop`.
    pub emergency: Vec<String>,
    /// Publishers of `/clock` by their nodes, where time is taken from it.
    pub clock: Vec<String>,
    /// What controllers should tell and nobody publishes, each with the topic on which somebody takes trajectories.
    pub unheard: Vec<(String, String)>,
}

/// Others that have sent to a controller since somebody looked.
#[derive(Debug)]
struct Seen {
    any: AtomicBool,
    by_controller: Mutex<Vec<Option<SenderId>>>,
}

/// Another one that commands a controller.
#[derive(Debug, Clone)]
struct Other {
    sender: SenderId,
    noted: Stamp,
    words: String,
    named: bool,
}

/// Keeps an eye on the others.
pub struct Senders {
    graph: Graph,
    /// By controller.
    topics: Vec<String>,
    /// Our own subscriptions on each of them.
    own: Vec<usize>,
    seen: Arc<Seen>,
    others: Vec<Option<Other>>,
    neighbours: watch::Receiver<Neighbours>,
    refused: Option<(String, Instant)>,
    health: Task,
}

impl Senders {
    /// By controller: `windows` are our own publishers, `states` where its state is listened to, if it is.
    ///
    /// # Errors
    /// When ROS refuses a subscription.
    pub fn start(
        node: &mut Node,
        windows: &[Publisher<JointTrajectory>],
        names: &[String],
        states: &[Option<String>],
    ) -> Result<Self, NodeError> {
        let graph = node.graph().clone();
        let topics: Vec<String> = names.iter().map(|name| graph.full_name(&format!("{name}/{WINDOWS}"))).collect();
        let ours: Arc<[SenderId]> = windows.iter().map(Publisher::sender).collect();
        let seen = Arc::new(Seen { any: AtomicBool::new(false), by_controller: Mutex::new(vec![None; names.len()]) });
        if ours.contains(&SenderId::UNKNOWN) {
            log::warn!("the middleware does not say who sends, so others that command the controllers are not noticed");
        } else {
            for (controller, name) in names.iter().enumerate() {
                let (ours, seen) = (ours.clone(), seen.clone());
                let each = move |sender| {
                    if !ours.contains(&sender) {
                        seen.note(controller, sender);
                    }
                };
                // By its own name, so that it is remapped as what we publish is.
                let topic = format!("{name}/{WINDOWS}");
                node.senders::<JointTrajectory>(&topic, qos::trajectory_watch(), each)?;
            }
        }
        let listens = !ours.contains(&SenderId::UNKNOWN);
        let on = |topic: &String| topics.iter().filter(|other| *other == topic).count();
        let own: Vec<usize> = topics.iter().map(|topic| if listens { on(topic) } else { 0 }).collect();
        let (tell, neighbours) = watch::channel(Neighbours::default());
        let look = Look {
            graph: graph.clone(),
            topics: topics.clone(),
            states: states.iter().map(|state| state.as_deref().map(|topic| graph.full_name(topic))).collect(),
            own: own.clone(),
            ours,
            simulated: node.clock().is_simulated(),
        };
        node.spawn(look.on(tell));
        Ok(Self {
            graph,
            others: vec![None; topics.len()],
            topics,
            own,
            seen,
            neighbours,
            refused: None,
            health: node.diagnostics().task("senders"),
        })
    }

    /// How many of those who listen to a controller's topic are ourselves.
    pub fn own_subscriptions(&self) -> &[usize] {
        &self.own
    }

    /// Who is on the topics.
    pub fn neighbours(&self) -> Neighbours {
        self.neighbours.borrow().clone()
    }

    /// The sender of a message, in words.
    pub fn name_of(&self, topic: &str, sender: SenderId) -> String {
        self.graph.name_of(topic, sender)
    }

    /// The node of a sender, where it is known.
    pub fn node_of(&self, topic: &str, sender: SenderId) -> Option<String> {
        self.graph.node_of(topic, sender)
    }

    /// Another one that has sent to a controller since the last call, in words. `heeded`: each of them matters now.
    pub fn other(&mut self, now: Stamp, heeded: bool) -> Option<(usize, String)> {
        if !self.seen.any.load(Ordering::Acquire) {
            return None;
        }
        let (controller, sender) = self.seen.take()?;
        let before = self.others[controller].as_ref().filter(|other| other.sender == sender);
        let lately = |at: Stamp| (0.0..NOTED_EVERY_S).contains(&now.seconds_since(at));
        if !heeded && before.is_some_and(|other| lately(other.noted)) {
            return None;
        }
        let topic = &self.topics[controller];
        let (words, named) = match before.filter(|other| other.named) {
            Some(other) => (other.words.clone(), true),
            None => {
                let name = self.graph.name_of(topic, sender);
                let words = format!("{name} sends on '{topic}' too");
                log::error!("{words}");
                (words, name.starts_with("node"))
            }
        };
        self.others[controller] = Some(Other { sender, noted: now, words: words.clone(), named });
        Some((controller, words))
    }

    /// Chunks of a sender are refused, since another one is held to. In words.
    pub fn refuse_chunk(&mut self, sender: SenderId, held: SenderId) -> String {
        // Asked for once in a while: a flood of them must not ask each time.
        if let Some((words, at)) = &mut self.refused
            && at.elapsed() < NAMED_FOR
            && words.contains(&sender.to_string())
        {
            return words.clone();
        }
        let (who, other) = (self.name_of("action_chunk", sender), self.name_of("action_chunk", held));
        let words = format!(
            "action chunks of {who} are refused (publisher {sender}): those of {other} are followed, until it is silent or gone"
        );
        self.refused = Some((words.clone(), Instant::now()));
        words
    }

    /// Tells of the others.
    pub fn report(&mut self) {
        let neighbours = self.neighbours();
        let refused = self.refused.as_ref().filter(|(_, at)| at.elapsed() < TOLD_FOR).map(|(words, _)| words.as_str());
        let (level, text) = explain(&neighbours, refused);
        let values = [
            ("publishers of action_chunk", neighbours.chunks.len()),
            ("publishers of instruction", neighbours.instruction.len()),
            ("others on the controllers' topics", neighbours.commands.len()),
        ];
        self.health.report(level, text, values);
    }
}

impl Seen {
    fn note(&self, controller: usize, sender: SenderId) {
        self.by_controller.lock().unwrap_or_else(PoisonError::into_inner)[controller] = Some(sender);
        self.any.store(true, Ordering::Release);
    }

    fn take(&self) -> Option<(usize, SenderId)> {
        let mut all = self.by_controller.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.iter_mut().enumerate().find_map(|(controller, seen)| Some((controller, seen.take()?)));
        self.any.store(all.iter().any(Option::is_some), Ordering::Release);
        found
    }
}

/// How bad it is, and what to know.
fn explain(neighbours: &Neighbours, refused: Option<&str>) -> (Level, String) {
    let mut told: Vec<String> = refused.map(str::to_owned).into_iter().collect();
    for (node, topic) in &neighbours.commands {
        told.push(format!("{node} can send on '{topic}' too; as soon as it does, the robot is stopped"));
    }
    if neighbours.instruction.len() > 1 {
        let nodes = neighbours.instruction.join(", ");
        told.push(format!("several nodes publish 'instruction': {nodes}; what came last holds"));
    }
    if neighbours.clock.len() > 1 {
        let nodes = neighbours.clock.join(", ");
        let many = neighbours.clock.len();
        told.push(format!("{many} publishers of /clock: {nodes}; time jumps between them, so end all but one"));
    }
    for (state, windows) in &neighbours.unheard {
        told.push(format!(
            "nobody publishes '{state}', though somebody takes '{windows}': that a controller refuses or does not follow is seen late. If it \
             has another name, remap '{state}' to it"
        ));
    }
    if told.is_empty() {
        (Level::Ok, "nobody else sends to the controllers".to_owned())
    } else {
        (Level::Warn, told.join("; "))
    }
}

/// What is looked at beside the node's work.
struct Look {
    graph: Graph,
    topics: Vec<String>,
    /// What the controllers tell, where it is listened to.
    states: Vec<Option<String>>,
    /// Our own subscriptions on each of `topics`.
    own: Vec<usize>,
    ours: Arc<[SenderId]>,
    /// Time is taken from `/clock`.
    simulated: bool,
}

impl Look {
    async fn on(self, tell: watch::Sender<Neighbours>) {
        let mut beat = tokio::time::interval(LOOK_EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !tell.is_closed() {
            beat.tick().await;
            let seen = self.now();
            tell.send_if_modified(|told| {
                *told != seen && {
                    *told = seen;
                    true
                }
            });
        }
    }

    fn now(&self) -> Neighbours {
        let nodes = |topic: &str| -> Vec<String> {
            let found: BTreeSet<String> = self.graph.publishers_of(topic).iter().map(called).collect();
            found.into_iter().collect()
        };
        // By publisher: two of one node are two clocks, too.
        let mut clock: Vec<String> = match self.simulated {
            true => self.graph.publishers_of("/clock").iter().map(called).collect(),
            false => Vec::new(),
        };
        clock.sort_unstable();
        let topics: BTreeSet<&String> = self.topics.iter().collect();
        let commands = topics.into_iter().flat_map(|topic| {
            let others = self.graph.publishers_of(topic).into_iter().filter(|p| !self.ours.contains(&p.sender));
            others.map(|other| (called(&other), topic.clone())).collect::<BTreeSet<_>>()
        });
        Neighbours {
            commands: commands.collect(),
            chunks: self.graph.publishers_of("action_chunk").iter().map(|publisher| publisher.sender).collect(),
            instruction: nodes("instruction"),
            emergency: nodes("emergency_stop"),
            clock,
            unheard: self.unheard(),
        }
    }
}

impl Look {
    fn unheard(&self) -> Vec<(String, String)> {
        let silent = |((state, windows), own): ((&Option<String>, &String), &usize)| {
            let state = state.as_ref()?;
            let taken = self.graph.subscriptions_of(windows).len() > *own;
            (taken && self.graph.publishers_of(state).is_empty()).then(|| (state.clone(), windows.clone()))
        };
        self.states.iter().zip(&self.topics).zip(&self.own).filter_map(silent).collect()
    }
}

fn called(endpoint: &Endpoint) -> String {
    if endpoint.node.is_empty() { "an unnamed node".to_owned() } else { format!("node '{}'", endpoint.node) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn others_that_can_send_to_a_controller_are_told_by_name_before_they_do() {
        let mut seen = Neighbours { instruction: vec!["node '/goal_intake'".into()], ..Neighbours::default() };
        assert_eq!(explain(&seen, None).0, Level::Ok);
        seen.commands = vec![("node '/rqt'".into(), "/arm/joint_trajectory".into())];
        let (level, text) = explain(&seen, Some("action chunks of node '/b' are refused"));
        assert!(level == Level::Warn && text.contains("'/rqt'") && text.contains("'/arm/joint_trajectory'"), "{text}");
        assert!(text.contains("'/b'"), "{text}");
        seen = Neighbours { instruction: vec!["node '/a'".into(), "node '/b'".into()], ..Neighbours::default() };
        let (level, text) = explain(&seen, None);
        assert!(level == Level::Warn && text.contains("node '/a', node '/b'"), "{text}");
        for nodes in [&["/a", "/b"][..], &["/a", "/a"], &["/a", "/b", "/c"]] {
            let clock = nodes.iter().map(|node| format!("node '{node}'")).collect();
            let (level, text) = explain(&Neighbours { clock, ..Neighbours::default() }, None);
            assert!(level == Level::Warn && nodes.iter().all(|node| text.contains(node)), "{text}");
            assert!(text.contains("publishers of /clock"), "{text}");
        }
        let unheard = vec![("/arm/controller_state".to_owned(), "/arm/joint_trajectory".to_owned())];
        let (level, text) = explain(&Neighbours { unheard, ..Neighbours::default() }, None);
        assert!(level == Level::Warn && text.contains("nobody publishes '/arm/controller_state'"), "{text}");
        let clock = vec!["node '/sim'".into()];
        assert_eq!(explain(&Neighbours { clock, ..Neighbours::default() }, None).0, Level::Ok);
    }

    #[test]
    fn what_others_send_is_kept_until_somebody_looks_one_a_controller() {
        let seen = Seen { any: AtomicBool::new(false), by_controller: Mutex::new(vec![None; 3]) };
        assert!(seen.take().is_none());
        let (a, b) = (SenderId([1; 16]), SenderId([2; 16]));
        (0..100).for_each(|_| seen.note(2, a));
        seen.note(0, a);
        seen.note(0, b);
        assert_eq!(seen.take(), Some((0, b)));
        assert!(seen.any.load(Ordering::Relaxed));
        assert_eq!(seen.take(), Some((2, a)));
        assert!(!seen.any.load(Ordering::Relaxed) && seen.take().is_none());
    }
}
