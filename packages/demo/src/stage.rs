//! The demo's own node: it hears what the graph says, records it, gives goals and calls services.

use crate::busy::Speed;
use crate::clock::GraphClock;
use crate::graph::message_type;
use crate::record::{Ear, Heard};
use crate::seen::{Meaning, Seen};
use anyhow::{Context as _, Result, anyhow, bail};
use efm_bag::cdr::CdrReader;
use efm_core::{ActionChunk, Stamp};
use efm_ros::r2r::rcl_interfaces::msg::{Parameter, ParameterValue};
use efm_ros::r2r::rcl_interfaces::srv::SetParameters;
use efm_ros::r2r::std_msgs::msg::String as Text;
use efm_ros::r2r::std_srvs::srv::{SetBool, Trigger};
use efm_ros::r2r::trajectory_msgs::msg::JointTrajectory;
use efm_ros::r2r::{self, Client, Publisher, QosProfile, WrappedServiceTypeSupport};
use efm_ros::{convert, qos};
use futures::{Stream, StreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Longest wait of the spinning thread, which cannot be woken.
const SPIN: Duration = Duration::from_millis(20);
/// Longest wait for the answer of a service.
const ANSWER: Duration = Duration::from_secs(5);

/// Topics that the demo looks at.
const LOOKED_AT: [(&str, Meaning); 6] = [
    ("task_status", Meaning::Task),
    ("goal_status", Meaning::Goal),
    ("joint_states", Meaning::Joints),
    ("observation/front/image", Meaning::Observation),
    ("execution_state", Meaning::Execution),
    ("/diagnostics", Meaning::Health),
];
/// The pictures of the film. Not recorded: 27 MB a second.
const PICTURES: &str = "front/image_raw";
/// The graph's time, where it is simulated.
const CLOCK: &str = "/clock";
/// What is proposed.
const CHUNKS: &str = "action_chunk";

/// The demo's node on the graph. Dropping it takes it off.
pub struct Stage {
    speed: Speed,
    clock: GraphClock,
    seen: watch::Receiver<Seen>,
    change: watch::Sender<Seen>,
    goal: Publisher<Text>,
    chunks: Option<Publisher<JointTrajectory>>,
    cancel: Client<Trigger::Service>,
    reset: Client<Trigger::Service>,
    set: Client<SetParameters::Service>,
    arm: Client<SetBool::Service>,
    resume: Client<Trigger::Service>,
    end: Arc<AtomicBool>,
    spinner: Option<std::thread::JoinHandle<()>>,
}

impl Stage {
    /// Enters the graph. Must be called within a tokio runtime. With an `ear`, the topics `record` are recorded; with
    /// `pictures`, the film's camera is listened to; with `proposes`, action chunks can be proposed. Where time is slowed, it is that of `/clock`.
    ///
    /// # Errors
    /// When ROS refuses.
    pub fn enter(record: &[String], ear: Option<Ear>, pictures: bool, proposes: bool, speed: Speed) -> Result<Self> {
        let context = r2r::Context::create().context("ROS cannot be initialised")?;
        let mut node = r2r::Node::create(context, "efm_demo", "").context("cannot create a node")?;
        let (change, seen) = watch::channel(Seen::default());
        let slowed = speed != Speed::Real;
        let clock = if slowed { GraphClock::simulated() } else { GraphClock::Wall };
        for (topic, meaning, recorded) in topics(record, ear.is_some(), pictures, slowed) {
            let type_name = message_type(&topic).with_context(|| format!("the type of '{topic}' is not known"))?;
            let stream = node
                .subscribe_raw(&topic, type_name, profile(&topic))
                .with_context(|| format!("cannot subscribe to '{topic}'"))?;
            let ear = ear.clone().filter(|_| recorded);
            tokio::spawn(listen(stream, topic.as_str().into(), type_name, meaning, change.clone(), ear, clock.clone()));
        }
        // Nobody who looks at the graph of a policy shall find a second one there who proposes.
        let chunks = match proposes {
            true => Some(node.create_publisher(CHUNKS, qos::trajectory()).context("cannot advertise 'action_chunk'")?),
            false => None,
        };
        let mut stage = Self {
            speed,
            clock,
            chunks,
            seen,
            change,
            goal: node.create_publisher("goal", qos::event()).context("cannot advertise 'goal'")?,
            cancel: client(&mut node, "cancel_goal")?,
            reset: client(&mut node, "sim/reset")?,
            set: client(&mut node, "sim/set_parameters")?,
            arm: client(&mut node, "trajectory_publisher/arm")?,
            resume: client(&mut node, "trajectory_publisher/resume")?,
            end: Arc::default(),
            spinner: None,
        };
        let end = stage.end.clone();
        stage.spinner = Some(std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                node.spin_once(SPIN);
            }
        }));
        Ok(stage)
    }

    /// The time of the graph's nodes.
    pub fn now(&self) -> Stamp {
        self.clock.now()
    }

    /// How the graph's time runs.
    pub fn speed(&self) -> Speed {
        self.speed
    }

    /// Looks at what was heard.
    pub fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.seen.borrow())
    }

    /// Changes what is noted of what is heard.
    pub fn note<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        let mut given = None;
        self.change.send_modify(|seen| given = Some(change(seen)));
        // send_modify always calls its closure.
        given.unwrap_or_else(|| unreachable!("the closure was called"))
    }

    /// Waits until `wanted` finds something in what was heard. `None` when it has not after `limit`, which is stretched where time is
    /// slowed.
    pub async fn until<T>(&self, limit: Duration, wanted: impl FnMut(&Seen) -> Option<T>) -> Option<T> {
        self.until_by(Instant::now() + self.speed.wall(limit), wanted).await
    }

    /// As [`Self::until`], to a time of the wall's.
    pub async fn until_by<T>(&self, end: Instant, mut wanted: impl FnMut(&Seen) -> Option<T>) -> Option<T> {
        let mut seen = self.seen.clone();
        let mut found = None;
        let waiting = seen.wait_for(|seen| {
            found = wanted(seen);
            found.is_some()
        });
        let _ = tokio::time::timeout_at(end.into(), waiting).await;
        found
    }

    /// Waits until everything that the demo calls is there and somebody listens to `goal`; names what is missing at `end`.
    ///
    /// # Errors
    /// When ROS refuses.
    pub async fn services(&self, end: Instant) -> Result<()> {
        there("service sim/reset", end, r2r::Node::is_available(&self.reset)).await?;
        there("service sim/set_parameters", end, r2r::Node::is_available(&self.set)).await?;
        there("service cancel_goal", end, r2r::Node::is_available(&self.cancel)).await?;
        there("service trajectory_publisher/arm", end, r2r::Node::is_available(&self.arm)).await?;
        there("service trajectory_publisher/resume", end, r2r::Node::is_available(&self.resume)).await?;
        there("a subscriber of 'goal' (goal_intake)", end, self.goal.wait_for_inter_process_subscribers()).await?;
        match &self.chunks {
            Some(chunks) => {
                let listens = chunks.wait_for_inter_process_subscribers();
                there("a subscriber of 'action_chunk' (trajectory_publisher)", end, listens).await
            }
            None => Ok(()),
        }
    }

    /// Gives a goal.
    ///
    /// # Errors
    /// When ROS refuses.
    pub fn give(&self, sentence: &str) -> Result<()> {
        self.goal.publish(&Text { data: sentence.to_owned() }).context("cannot publish on 'goal'")
    }

    /// Proposes a chunk.
    ///
    /// # Errors
    /// When ROS refuses, or this stage was not entered to propose.
    pub fn propose(&self, chunk: &ActionChunk) -> Result<()> {
        let chunks = self.chunks.as_ref().context("this stage does not propose")?;
        // Nothing but joints was looked at, so there is no camera to name.
        chunks.publish(&convert::chunk_msg(chunk, "")).context("cannot publish on 'action_chunk'")
    }

    /// Ends the active goal, if there is one.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn cancel(&self) -> Result<()> {
        // "no goal is active" is no success, and no failure here.
        ask("cancel_goal", &self.cancel, &Trigger::Request::default()).await.map(|_| ())
    }

    /// Puts the simulator into the scene of a seed. The arm stands elsewhere afterwards, so the publisher of trajectories is
    /// disarmed meanwhile: it then forgets where it left the arm. A stop from the episode before is resolved.
    ///
    /// # Errors
    /// When a service refuses or does not answer.
    pub async fn reset(&self, seed: u64) -> Result<()> {
        self.arm(false).await?;
        let integer_value = i64::try_from(seed).context("the seed is too large")?;
        let value = ParameterValue { type_: 2, integer_value, ..ParameterValue::default() };
        let request = SetParameters::Request { parameters: vec![Parameter { name: "seed".to_owned(), value }] };
        let answer = ask("sim/set_parameters", &self.set, &request).await?;
        if let Some(refusal) = answer.results.iter().find(|result| !result.successful) {
            bail!("the simulator refuses the seed {seed}: {}", refusal.reason);
        }
        let answer = ask("sim/reset", &self.reset, &Trigger::Request::default()).await?;
        if !answer.success {
            bail!("the simulator refuses to reset: {}", answer.message);
        }
        Ok(())
    }

    /// Allows motion.
    ///
    /// # Errors
    /// When a service refuses or does not answer.
    pub async fn ready(&self) -> Result<()> {
        let answer = ask("trajectory_publisher/resume", &self.resume, &Trigger::Request::default()).await?;
        if !answer.success {
            bail!("trajectory_publisher refuses to resume: {}", answer.message);
        }
        self.arm(true).await
    }

    async fn arm(&self, data: bool) -> Result<()> {
        let answer = ask("trajectory_publisher/arm", &self.arm, &SetBool::Request { data }).await?;
        if !answer.success {
            bail!("trajectory_publisher refuses to be {}: {}", if data { "armed" } else { "disarmed" }, answer.message);
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        // With the spinning thread goes the node, with the node go the streams, and with those the ears of the recording.
        if let Some(spinner) = self.spinner.take()
            && spinner.join().is_err()
        {
            log::error!("the thread of the demo's node has panicked");
        }
    }
}

/// Waits for a part of the graph until `end`.
async fn there(what: &str, end: Instant, available: r2r::Result<impl Future<Output = r2r::Result<()>>>) -> Result<()> {
    let available = available.with_context(|| format!("cannot wait for {what}"))?;
    tokio::time::timeout_at(end.into(), available)
        .await
        .map_err(|_| anyhow!("{what} is not there"))?
        .with_context(|| format!("cannot wait for {what}"))
}

/// What is subscribed to: topic, what it means here, and whether it is recorded.
fn topics(record: &[String], recording: bool, pictures: bool, slowed: bool) -> Vec<(String, Meaning, bool)> {
    let bare = |topic: &str| topic.trim_start_matches('/').to_owned();
    let mut all: BTreeMap<String, (String, Meaning, bool)> =
        LOOKED_AT.iter().map(|(topic, meaning)| (bare(topic), ((*topic).to_owned(), *meaning, false))).collect();
    for topic in record.iter().filter(|_| recording) {
        all.entry(bare(topic)).or_insert((topic.clone(), Meaning::Nothing, true)).2 = true;
    }
    if slowed {
        all.insert(bare(CLOCK), (CLOCK.to_owned(), Meaning::Clock, false));
    }
    if pictures {
        all.insert(PICTURES.to_owned(), (PICTURES.to_owned(), Meaning::Picture, false));
    }
    all.into_values().collect()
}

/// A recording must not lose messages, and the last instruction counts although it came before us.
fn profile(topic: &str) -> QosProfile {
    match topic {
        "instruction" | "robot_description" => qos::latched(),
        // With what was told before we were there.
        trace if trace.ends_with("/trace") => QosProfile::default().keep_last(1000).transient_local(),
        CLOCK => qos::clock(),
        PICTURES => QosProfile::sensor_data().keep_last(1),
        _ => QosProfile::default().keep_last(100),
    }
}

async fn listen(
    mut stream: impl Stream<Item = Vec<u8>> + Unpin,
    topic: Arc<str>,
    type_name: &'static str,
    meaning: Meaning,
    change: watch::Sender<Seen>,
    ear: Option<Ear>,
    clock: GraphClock,
) {
    let mut complained = false;
    while let Some(bytes) = stream.next().await {
        if meaning == Meaning::Clock {
            // The message is nothing but the time.
            match CdrReader::new(&bytes, "rosgraph_msgs/msg/Clock").and_then(|mut reader| reader.stamp()) {
                Ok(time) => clock.tell(time),
                Err(error) => log::debug!("{topic}: {error}"),
            }
        }
        let (at, now) = (Instant::now(), clock.now());
        if !matches!(meaning, Meaning::Nothing | Meaning::Clock) {
            let mut outcome = Ok(());
            change.send_if_modified(|seen| {
                outcome = seen.hear(meaning, &bytes, now, at);
                // Pictures are nothing to wait for.
                meaning != Meaning::Picture
            });
            if let Err(error) = outcome
                && !complained
            {
                complained = true;
                log::warn!("{topic}: {error}");
            }
        }
        if let Some(ear) = &ear
            && ear.send(Heard { topic: topic.clone(), type_name, bytes: bytes.into(), at: now }).is_err()
        {
            return; // the recorder tells by itself why it has ended
        }
    }
}

fn client<S: WrappedServiceTypeSupport + 'static>(node: &mut r2r::Node, name: &str) -> Result<Client<S>> {
    node.create_client::<S>(name, qos::service()).with_context(|| format!("cannot use service '{name}'"))
}

async fn ask<S: WrappedServiceTypeSupport + 'static>(
    name: &str,
    client: &Client<S>,
    request: &S::Request,
) -> Result<S::Response> {
    let answer = client.request(request).with_context(|| format!("cannot call '{name}'"))?;
    tokio::time::timeout(ANSWER, answer)
        .await
        .map_err(|_| anyhow!("'{name}' has not answered within {} s", ANSWER.as_secs()))?
        .with_context(|| format!("'{name}' gave no answer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_at_and_recorded_is_subscribed_to_once() {
        let record = ["/joint_states", "action_chunk", "/diagnostics"].map(str::to_owned);
        let all = topics(&record, true, true, true);
        let of =
            |name: &str| all.iter().filter(|(topic, ..)| topic.trim_start_matches('/') == name).collect::<Vec<_>>();
        assert!(matches!(of("joint_states")[..], [(_, Meaning::Joints, true)]), "{all:?}");
        assert!(matches!(of("action_chunk")[..], [(_, Meaning::Nothing, true)]), "{all:?}");
        assert!(matches!(of("diagnostics")[..], [(_, Meaning::Health, true)]), "{all:?}");
        assert!(matches!(of(PICTURES)[..], [(_, Meaning::Picture, false)]), "{all:?}");
        let quiet = topics(&record, false, false, false);
        assert_eq!(quiet.len(), LOOKED_AT.len());
        assert!(quiet.iter().all(|(_, meaning, recorded)| !recorded && *meaning != Meaning::Nothing));
    }

    #[test]
    fn the_type_of_everything_that_is_looked_at_is_known() {
        for (topic, _) in LOOKED_AT {
            assert!(message_type(topic).is_some(), "{topic}");
        }
        assert!(message_type(PICTURES).is_some());
    }
}
