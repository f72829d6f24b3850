//! Streams what a policy proposes to the robot's controllers, within limits and always with an end at rest.
//!
//! `action_chunk` and `joint_states` -> `<controller>/joint_trajectory` (all with one stamp) and `execution_state`. Starts
//! disarmed unless told otherwise: then it takes nothing until `~/arm`. What it decides is in [`efm_app::publisher::streaming`]; here are the topics.

use crate::punctual::Punctual;
use crate::senders::Senders;
use crate::trace::{self, Setup, Trace};
use crate::voice::Voice;
use crate::wiring::{ReceiptClock, robot_description};
use efm_app::cores::{Cores, run_in_real_time};
use efm_app::publisher::controller_watch::ControllerWatches;
use efm_app::publisher::emergency::{Heartbeat, KeptStop};
use efm_app::publisher::filter_state::{self, Known, Slowed};
use efm_app::publisher::motion_report::{Around, Phase, SlowBy, explain};
use efm_app::publisher::planning_scene::PlanningScene;
use efm_app::publisher::scene_feed::{self, Outcome, SceneFeed};
use efm_app::publisher::streaming::{Event, Files, Measured, NO_ROBOT, Outlet, Streaming, Ticked};
use efm_app::publisher::streaming_params::{specs, tick_period};
use efm_app::seldom::Seldom;
use efm_core::percentiles::Percentiles;
use efm_core::{SenderId, Stamp};
use efm_ros::r2r::action_msgs::msg::GoalStatusArray;
use efm_ros::r2r::sensor_msgs::msg::JointState;
use efm_ros::r2r::std_msgs::msg::{Bool, Float64, String as Text};
use efm_ros::r2r::std_srvs::srv::{SetBool, Trigger};
use efm_ros::r2r::trajectory_msgs::msg::JointTrajectory;
use efm_ros::{
    Bytes, Graph, Latest, NodeError, Params, Plan, Publisher, Received, RosClock, RosError, Task, Value, convert, qos,
};
use efm_safety::{
    Contradiction, Execution, JointFeed, JointTrouble, Monitor, OtherJoints, TrajectoryStreamer, Twin, VerifiedWindow,
};
use efm_wire::cdr::{CdrWriter, Encode};
use efm_wire::controller_state::ControllerState;
use efm_wire::msgs::JointState as FilterState;
use futures::StreamExt;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, channel};

const DESCRIPTION: &str = "robot_description";
const SEMANTICS: &str = "robot_description_semantic";
/// Latencies kept for the percentiles.
const LATENCIES: usize = 1000;
/// Messages of controllers and scenes that may wait.
const QUEUE: usize = 256;
const JOINT_STATES: &str = "joint_states";
/// States of action_msgs/GoalStatus in which a goal moves the robot: accepted, executing, canceling.
const ACTIVE_GOAL: [i8; 3] = [1, 2, 3];

/// Says what is decided, and remembers it for those who watch the controllers.
struct Says {
    voice: Voice,
    watches: ControllerWatches,
    punctual: Punctual,
}

impl Outlet for Says {
    fn send(&mut self, windows: &[VerifiedWindow], leave_by: Stamp) -> Result<usize, NodeError> {
        // Written first, so that nothing is left to do between a look at the clock and sending.
        self.voice.write(windows);
        let mut left = 0;
        while left < windows.len() && self.punctual.is_in_time(leave_by) {
            self.voice.send(left)?;
            left += 1;
        }
        if left > 0 {
            // Who got nothing new keeps what it has; the watch forgives what is late for a moment.
            self.watches.sent(&windows[..left]);
        }
        Ok(left)
    }

    fn tell(&mut self, execution: &Execution, windows: &[VerifiedWindow]) -> Result<(), NodeError> {
        self.voice.tell(execution, windows)
    }

    fn rest(&mut self) -> Result<(), NodeError> {
        self.voice.rest()
    }
}

/// The node between two messages.
struct Publishing {
    clock: RosClock,
    receipts: ReceiptClock,
    params: Params,
    joint_states: Receiver<Received<JointState>>,
    controller_states: Receiver<Received<(usize, Bytes)>>,
    /// Seconds between two ticks.
    usual: f64,
    feed: JointFeed,
    others: OtherJoints,
    /// So that a tick allocates nothing.
    stamps: Vec<i64>,
    graph: Graph,
    /// Topic and sender of those that were told of before the names of their nodes were known.
    unnamed: Vec<(&'static str, SenderId)>,
    streaming: Streaming,
    trace: Trace,
    says: Says,
    /// For which controllers somebody listens now.
    listening: Vec<bool>,
    filter: (Publisher<JointState>, FilterState),
    filter_message: CdrWriter,
    slowed: Slowed,
    phase: Phase,
    around: Around,
    /// For values of the topic `speed_scale` that are none.
    bad_scales: Seldom,
    max_joint_state_age: f64,
    max_future: f64,
    chunk_came: Option<f64>,
    /// Observation time of the chunk that came last.
    chunk_seen: Option<Stamp>,
    taken: u64,
    refused: u64,
    /// Ticks whose windows would have left too late.
    late: u64,
    late_told: u64,
    latency: Percentiles,
    /// From an instruction until a chunk for it is followed.
    change: Percentiles,
    scenes: Option<SceneFeed>,
    motion: Task,
    joint_health: Task,
    scene_health: Task,
    senders: Senders,
    kept_stop: KeptStop,
    heartbeat: Heartbeat,
    emergency_health: Task,
    description: Descriptions,
    description_health: Task,
}

/// Who described the robot, and what became of that.
#[derive(Debug, Default)]
struct Descriptions {
    /// What is refused, and why, until it is taken.
    refused: [Option<String>; 2],
    /// What was taken after the first one, until the robot is armed.
    taken: Option<String>,
    /// Who sent what came last.
    by: String,
    /// Who sent what waits.
    waits_of: Option<String>,
    /// Of which kinds there was one.
    known: [bool; 2],
}

impl Publishing {
    /// Something happens: it is noted, and worked on.
    fn on(&mut self, event: &Event<'_>) -> Result<String, String> {
        self.trace.note(event);
        self.streaming.on(event)
    }

    fn now(&self) -> i64 {
        self.clock.now().nanos()
    }

    fn streamer(&self) -> Option<&TrajectoryStreamer> {
        self.streaming.streamer().ok()
    }

    fn on_chunk(&mut self, message: Received<JointTrajectory>) {
        let (now, stamp) = (self.clock.now(), convert::stamp(&message.msg.header.stamp));
        self.chunk_came = Some(self.receipts.of(&message));
        let sender = message.sender;
        self.chunk_seen = Some(stamp);
        self.trace.note(&Event::Chunk { now: now.nanos(), stamp: stamp.nanos(), sender });
        match self.streaming.on_chunk(&convert::trajectory(message.msg), sender, now) {
            Ok(()) => {
                self.taken += 1;
                self.around.refused = None;
            }
            Err(reason) => {
                self.refused += 1;
                let held = self.streaming.chunks_of().map(|(held, _)| held).filter(|held| *held != sender);
                let reason = held.map_or(reason, |held| self.senders.refuse_chunk(sender, held));
                if self.around.refused.as_ref() != Some(&reason) {
                    log::debug!("action chunk refused: {reason}");
                }
                self.around.refused = Some(reason);
            }
        }
    }

    /// What came of controllers' states since the last time: before silence is counted.
    fn hear_controllers(&mut self, now: Stamp) -> Result<(), String> {
        for _ in 0..self.controller_states.len() {
            let Ok(message) = self.controller_states.try_recv() else { break };
            let (controller, bytes) = message.msg;
            self.on_controller_state(controller, &bytes)?;
        }
        if let Some((controller, seconds)) = self.says.watches.tick(now, self.usual) {
            self.on(&Event::Silent { now: now.nanos(), controller, seconds: Some(seconds) })?;
        }
        Ok(())
    }

    /// What must not wait for a report: a controller that has gone while others move.
    fn watch_controllers(&mut self, now: Stamp) -> Result<(), String> {
        self.heed_others(now)?;
        self.heed_heartbeat()?;
        self.says.voice.listened_to(self.senders.own_subscriptions(), &mut self.listening);
        if self.listening != self.streaming.listening() {
            let event = Event::Listeners { now: now.nanos(), listening: Cow::Borrowed(&self.listening) };
            self.trace.note(&event);
            self.streaming.on(&event)?;
            self.around.controller = self.streaming.missing();
        }
        Ok(())
    }

    /// A controller tells what it wants; `bytes` hold its state.
    fn on_controller_state(&mut self, controller: usize, bytes: &[u8]) -> Result<(), String> {
        let heard = self.says.watches.heard(controller, bytes);
        if heard.voice.is_some() {
            self.on(&Event::Silent { now: self.now(), controller, seconds: None })?;
        }
        let Some(off) = heard.off else { return Ok(()) };
        if self.streamer().is_some_and(TrajectoryStreamer::is_streaming) {
            log::error!("{off}");
            self.around.not_following = Some(off);
            self.on(&Event::NotFollowing { now: self.now(), controller })?;
        }
        Ok(())
    }

    /// Somebody else sends to a controller.
    fn heed_others(&mut self, now: Stamp) -> Result<(), String> {
        while let Some((controller, by)) = self.senders.other(now, self.streaming.heeds_others()) {
            self.around.contested = Some(by.clone());
            self.on(&Event::OtherCommands { now: now.nanos(), controller, by: Cow::Owned(by) })?;
        }
        Ok(())
    }

    fn heed_heartbeat(&mut self) -> Result<(), String> {
        let silent = self.heartbeat.silence(self.receipts.now()).filter(|_| self.streaming.armed());
        match silent {
            Some(silent) => self.emergency(&format!("topic emergency_stop is silent for {silent:.2} s")),
            None => Ok(()),
        }
    }

    /// The topic: whoever sends, and whatever it says, it is heard.
    fn on_emergency(&mut self, message: &Received<Bool>) -> Result<(), String> {
        self.heartbeat.heard(self.receipts.of(message));
        if !message.msg.data {
            return Ok(());
        }
        if self.streaming.is_emergency() && !self.streaming.armed() {
            return Ok(());
        }
        // First of all; who it was is found out then.
        self.on(&Event::EmergencyStop)?;
        let who = self.senders.name_of("emergency_stop", message.sender);
        self.name_later("emergency_stop", message.sender);
        self.tell_emergency(&format!("topic emergency_stop, {who}"));
        Ok(())
    }

    fn emergency(&mut self, why: &str) -> Result<(), String> {
        self.on(&Event::EmergencyStop)?;
        self.tell_emergency(why);
        Ok(())
    }

    fn tell_emergency(&mut self, why: &str) {
        self.around.emergency = Some(why.to_owned());
        self.kept_stop.keep(why);
        log::error!("emergency stop ({why}): nothing is sent any more; call ~/arm when it is safe");
        self.report(false);
    }

    /// An emergency stop that a process before this one had heard.
    fn emergency_from_before(&mut self) -> Result<(), String> {
        let Some(why) = self.kept_stop.read() else { return Ok(()) };
        self.on(&Event::EmergencyStop)?;
        log::error!("the emergency stop from before still holds ({why}): disarmed; call ~/arm when it is safe");
        self.around.emergency = Some(why);
        Ok(())
    }

    fn lower_speed_scale(&mut self, scale: f64) {
        let before = self.streaming.speed_scale();
        match self.on(&Event::LowerSpeedScale(scale)) {
            Ok(_) if self.streaming.speed_scale() < before => {
                // The parameter tells what holds, so that setting it to what it was raises it again.
                self.params.adopt("speed_scale", Value::Double(scale));
                log::info!("speed_scale lowered to {scale:?}");
            }
            Ok(_) => {}
            Err(error) => {
                let say = self
                    .bad_scales
                    .say(self.receipts.now(), || format!("topic 'speed_scale': {error}; it is left out"));
                say.into_iter().for_each(|words| log::warn!("{words}"));
            }
        }
    }

    fn on_instruction(&mut self, text: &str) -> Result<(), String> {
        self.around.instruction = Some(text.to_owned());
        self.on(&Event::Instruction { now: self.now(), text: Cow::Borrowed(text) })?;
        Ok(())
    }

    /// What came of joint states since the last time.
    fn hear_joints(&mut self) {
        // Those that wait now: who sends them faster than they can be looked at must not keep us here.
        for _ in 0..self.joint_states.len() {
            let Ok(message) = self.joint_states.try_recv() else { return };
            let (msg, at) = (&message.msg, self.receipts.of(&message));
            let stamp = convert::stamp(&msg.header.stamp);
            self.others.update(message.sender, stamp, &msg.name, &msg.position, at);
            self.feed.update(message.sender, stamp, &msg.name, &msg.position, &msg.velocity, at);
        }
    }

    /// Remembers who a sender is, while it is there.
    fn name_sender(&mut self, sender: SenderId) {
        /// Senders that are remembered.
        const MOST: usize = 16;
        if self.around.senders.iter().all(|(known, _)| *known != sender) {
            if self.around.senders.len() >= MOST {
                self.around.senders.remove(0);
            }
            self.around.senders.push((sender, self.graph.name_of(JOINT_STATES, sender)));
            self.name_later(JOINT_STATES, sender);
        }
    }

    /// Remembers to look for the name of a sender again: its publisher may be known before its node is.
    fn name_later(&mut self, topic: &'static str, sender: SenderId) {
        if sender != SenderId::UNKNOWN && self.graph.node_of(topic, sender).is_none() && self.unnamed.len() < 16 {
            self.unnamed.push((topic, sender));
        }
    }

    /// Names those whose names were not known when they were told of.
    fn name_the_unnamed(&mut self) {
        let (graph, around) = (&self.graph, &mut self.around);
        self.unnamed.retain(|(topic, sender)| {
            let Some(node) = graph.node_of(topic, *sender) else { return true };
            let name = format!("node '{node}'");
            for known in around.senders.iter_mut().filter(|known| known.0 == *sender) {
                known.1.clone_from(&name);
            }
            if let Some(why) = around.emergency.as_mut().filter(|why| why.contains(&sender.to_string())) {
                *why = format!("topic {topic}, {name}");
                log::info!("emergency stop: it was {name}");
            }
            false
        });
    }

    fn on_scene(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        self.hear_joints();
        let Some(scenes) = &mut self.scenes else { return Ok(()) };
        scenes.came(bytes);
        let (now, received_now) = (self.clock.now(), self.receipts.now());
        let others = self.others.look(now, received_now, self.max_joint_state_age, self.max_future);
        let fresh = self.feed.fresh(now, received_now, self.max_joint_state_age, self.max_future).ok();
        scenes.pass_on(fresh.map(|fresh| fresh.sample.positions.as_slice()), others);
        self.heed_scenes()
    }

    fn on_surroundings(&mut self, outcome: Outcome) -> Result<(), String> {
        self.trace.note(&Event::SceneTaken);
        if let (Some(scenes), Some(streamer)) = (&mut self.scenes, self.streaming.streamer_mut()) {
            scenes.take_over(outcome, streamer);
        }
        self.heed_scenes()
    }

    /// Something is there and nobody knows where: no motion, until that is known.
    fn heed_scenes(&mut self) -> Result<(), String> {
        let trouble = self.scenes.as_ref().and_then(SceneFeed::trouble);
        if self.around.surroundings.as_deref() == trouble {
            return Ok(());
        }
        self.around.surroundings = trouble.map(str::to_owned);
        match trouble {
            Some(trouble) if self.streaming.streamer().is_ok() => log::warn!("{trouble}"),
            Some(_) => {}
            None => log::info!("the planning scene is known"),
        }
        let trouble = self.around.surroundings.clone().map(Cow::Owned);
        self.on(&Event::Surroundings { now: self.now(), trouble })?;
        self.report(false);
        Ok(())
    }

    fn on_goal_status(&mut self, controller: usize, message: &GoalStatusArray) -> Result<(), String> {
        let active = message.status_list.iter().any(|goal| ACTIVE_GOAL.contains(&goal.status));
        let (before, now) = (self.streaming.is_owned(), self.now());
        self.on(&Event::Goal { now, controller, active })?;
        if self.streaming.is_owned() != before {
            self.says.watches.forget();
        }
        Ok(())
    }

    fn arm(&mut self, armed: bool) -> Result<String, String> {
        if armed && let Some(why) = self.heartbeat.forbids(self.receipts.now()) {
            return Err(why);
        }
        let said = self.on(&Event::Arm { now: self.now(), armed })?;
        log::info!("{said}");
        if armed {
            self.kept_stop.forget();
            self.around.emergency = None;
            self.description.taken = None;
        }
        self.heed_description(false);
        Ok(said)
    }

    /// A description has come; `what` is its topic.
    fn describe(&mut self, event: &Event<'_>, what: &'static str, sender: SenderId) -> Result<(), String> {
        let by = match sender {
            SenderId::UNKNOWN => "a file".to_owned(),
            sender => self.senders.name_of(what, sender),
        };
        let place = usize::from(what == SEMANTICS);
        match self.on(event) {
            Ok(_) => {
                self.description.refused[place] = None;
                self.description.by = by;
            }
            Err(why) => {
                let words = format!("{what} of {by}: {why}");
                log::warn!("{words}");
                self.description.refused[place] = Some(words);
                self.description.waits_of = Some(by);
            }
        }
        let first = !std::mem::replace(&mut self.description.known[place], self.streaming.streamer().is_ok());
        self.heed_description(first);
        self.adopt_robot()
    }

    /// Tells what became of descriptions, now or once they were waited for. A `first` one takes no other one's place.
    fn heed_description(&mut self, first: bool) {
        let waits: [bool; 2] = self.streaming.description_waits().into();
        for (refused, waits) in self.description.refused.iter_mut().zip(waits) {
            refused.take_if(|_| !waits);
        }
        if waits == [false; 2]
            && let Some(by) = self.description.waits_of.take()
        {
            self.description.by = by;
        }
        let Some(change) = self.streaming.take_redescribed() else { return };
        let words = format!("the robot is described by {}: {change}", self.description.by);
        if first {
            log::info!("{words}");
        } else {
            log::warn!("{words}");
            self.description.taken = Some(words);
        }
    }

    /// After the robot may have become another one.
    fn adopt_robot(&mut self) -> Result<(), String> {
        if let Ok(streamer) = self.streaming.streamer() {
            self.feed.bound(streamer.limits().velocity(), streamer.limits().continuous());
        }
        let others = self.streaming.other_joints();
        if others.names() != self.others.names() {
            self.around.others = others.names().to_vec();
            self.others = others;
        }
        if let (Some(scenes), Some(streamer)) = (&mut self.scenes, self.streaming.streamer_mut())
            && !streamer.is_streaming()
        {
            scenes.robot(streamer);
        }
        self.heed_scenes()
    }

    fn tick(&mut self, now: Stamp) -> Result<(), NodeError> {
        self.says.punctual.begin(now);
        self.watch_controllers(now)?;
        self.hear_controllers(now)?;
        let received_now = self.receipts.now();
        let contradiction = self.feed.contradiction(received_now);
        if let Some(Contradiction::Senders { senders: (one, other), .. }) = contradiction {
            self.name_sender(one);
            self.name_sender(other);
        }
        let others = self.others.look(now, received_now, self.max_joint_state_age, self.max_future);
        let state = self.feed.fresh(now, received_now, self.max_joint_state_age, self.max_future);
        let (measured, trouble) = match state {
            Ok(fresh) => (Some(fresh), None),
            Err(trouble) => (None, Some(trouble)),
        };
        let troubled = trouble.is_some();
        let known = Known {
            armed: self.streaming.armed(),
            controllers: self.listening.iter().filter(|listening| **listening).count(),
            joint_state_age_s: measured.map(|fresh| fresh.age_s),
            chunk_age_s: self.chunk_seen.map(|seen| now.seconds_since(seen)),
        };
        if let Some(scenes) = &mut self.scenes {
            scenes.pass_on(measured.map(|fresh| fresh.sample.positions.as_slice()), others);
        }
        let joints = measured.map(|fresh| {
            // What is the same for all joints need not be told of each.
            let apart = fresh.stamps.iter().any(|stamp| *stamp != fresh.sample.stamp);
            let several = fresh.sources.iter().any(|source| *source != fresh.sources[0]);
            self.stamps.clear();
            self.stamps.extend(fresh.stamps.iter().filter(|_| apart).map(|stamp| stamp.nanos()));
            Measured {
                stamp: fresh.sample.stamp.nanos(),
                age: fresh.age_s,
                positions: Cow::Borrowed(&fresh.sample.positions),
                velocities: Cow::Borrowed(&fresh.sample.velocities),
                stamps: Cow::Borrowed(&self.stamps),
                sources: Cow::Borrowed(if several { fresh.sources } else { &[] }),
                velocity_told: fresh.velocity_told,
                contradiction,
            }
        });
        let event = Event::Tick { now: now.nanos(), joints, others: Cow::Borrowed(others) };
        self.trace.note(&event);
        let Event::Tick { joints, .. } = &event else { return Ok(()) };
        let waited = self.streaming.description_waits() != (false, false);
        let (phase, news, report, change) = match self.streaming.tick(now, joints.as_ref(), others, &mut self.says)? {
            Ticked::Held => return Ok(()),
            Ticked::Decided { late: Some(left), .. } => {
                self.late += 1;
                self.on(&Event::NotSent { now: self.now(), left })?;
                return Ok(());
            }
            Ticked::Decided { phase, news, report, instruction_to_motion, late: None } => {
                (phase, news, report, instruction_to_motion)
            }
        };
        if waited && self.streaming.description_waits() == (false, false) {
            self.heed_description(false);
            self.adopt_robot()?;
        }
        if let Some(report) = &report {
            self.slowed.note(report);
        }
        if let Some(chunk) = news {
            self.latency.add(self.clock.now().seconds_since(chunk));
        }
        if let Some(seconds) = change {
            self.change.add(seconds);
        }
        let changed = !self.phase.is_like(&phase);
        self.phase = phase;
        if let Ok(streamer) = self.streaming.streamer() {
            filter_state::write(streamer.report(), streamer.speed_scale(), &known, now, &mut self.filter.1);
            self.filter_message.restart();
            self.filter.1.encode(&mut self.filter_message);
            self.filter.0.publish_bytes(self.filter_message.bytes())?;
        }
        match trouble {
            // The first word of it is kept: a node that said it may be gone when somebody looks.
            Some(trouble) if self.around.lost.is_none() => self.around.lost = Some(self.joint_words(&trouble)),
            None if self.phase == Phase::Following => self.around.lost = None,
            _ => {}
        }
        let troubled = troubled || self.streaming.unknown_other_joint().is_some();
        if changed || troubled != self.around.joints.is_some() {
            self.report(changed);
        }
        Ok(())
    }

    /// What is wrong with the joint states, in words, with the names of nodes.
    fn joint_words(&self, trouble: &JointTrouble) -> String {
        trouble.in_words(|sender| self.graph.name_of(JOINT_STATES, sender))
    }

    /// Why nothing may move before one of the other joints is known.
    fn other_trouble(&self) -> Option<String> {
        let other = self.streaming.unknown_other_joint()?;
        let name = self.others.names().get(other)?;
        // What came since the last tick is heard by the next one.
        let trouble = self.others.trouble(other)?;
        Some(trouble.in_words(name, |sender| self.graph.name_of(JOINT_STATES, sender)))
    }

    /// The other joints for the diagnostics: where they stand, and by whose word.
    fn other_values(&self) -> Vec<(String, String)> {
        let (others, streamer) = (&self.others, self.streaming.streamer().ok());
        let value = |(place, name): (usize, &String)| {
            let stands = others.positions().get(place).copied().flatten().map_or("?".to_owned(), |p| format!("{p:.4}"));
            let by = if others.fixed(place).is_some() { " (parameter fixed_joints)" } else { "" };
            let asked = streamer.is_some_and(|streamer| streamer.asks_for_other_joint(place));
            let needless = if asked { "" } else { " (moves nothing that is checked)" };
            (format!("other joint '{name}'"), format!("{stands}{by}{needless}"))
        };
        others.names().iter().enumerate().map(value).collect()
    }

    /// What others do that this node depends on.
    fn report_others(&mut self) {
        self.senders.report();
        let neighbours = self.senders.neighbours();
        let publishers = &neighbours.emergency;
        let mut told = vec![match publishers.as_slice() {
            [] => "nobody publishes emergency_stop (the service ~/emergency_stop is there)".to_owned(),
            nodes => format!("emergency_stop is published by {}", nodes.join(", ")),
        }];
        let mut level = efm_ros::Level::Ok;
        if let Some(why) = self.heartbeat.forbids(self.receipts.now()) {
            (level, told) = (efm_ros::Level::Error, vec![why]);
        }
        if let Some(trouble) = self.kept_stop.trouble() {
            level = level.max(efm_ros::Level::Warn);
            told.push(trouble.to_owned());
        }
        if self.streaming.is_emergency() {
            level = efm_ros::Level::Error;
            let why = self.around.emergency.as_deref().unwrap_or("the emergency stop holds");
            told.insert(0, format!("emergency stop ({why}); call ~/arm when it is safe"));
        }
        let path = self.kept_stop.path().map_or(String::new(), |path| path.display().to_string());
        let values = [("publishers", publishers.len().to_string()), ("kept in", path)];
        self.emergency_health.report(level, told.join("; "), values);

        let refused = self.description.refused.iter().flatten().cloned();
        let told: Vec<String> = refused.chain(self.description.taken.clone()).collect();
        match (told.is_empty(), self.streaming.described()) {
            (false, _) => self.description_health.warn(told.join("; ")),
            (true, Some(words)) => self.description_health.ok(words),
            (true, None) => self.description_health.warn(self.streaming.streamer().err().unwrap_or(NO_ROBOT)),
        };
    }

    /// Senders of chunks that are not on the graph any more.
    fn heed_the_gone(&mut self) -> Result<(), String> {
        let Some((held, heard)) = self.streaming.chunks_of() else { return Ok(()) };
        // One that spoke a moment ago may be newer than what is known of the graph.
        let silent = self.clock.now().seconds_since(heard) > 1.0;
        if silent && held != SenderId::UNKNOWN && !self.senders.neighbours().chunks.contains(&held) {
            self.on(&Event::ChunkSenderGone { sender: held })?;
        }
        Ok(())
    }

    fn report(&mut self, log_it: bool) {
        self.hear_joints();
        self.name_the_unnamed();
        let (now, received_now) = (self.clock.now(), self.receipts.now());
        self.around.chunk_silence = self.chunk_came.map(|came| (received_now - came).max(0.0));
        self.others.look(now, received_now, self.max_joint_state_age, self.max_future);
        let trouble = self.feed.fresh(now, received_now, self.max_joint_state_age, self.max_future).err();
        self.around.joints = trouble.map(|trouble| self.joint_words(&trouble)).or_else(|| self.other_trouble());
        self.around.slow = self.streamer().and_then(SlowBy::now);
        let left_out = self.feed.left_out(received_now).map(|left_out| self.joint_words(&left_out));
        let (level, text) = match (&self.around.joints, self.feed.twin(received_now)) {
            (Some(trouble), _) => (efm_ros::Level::Error, trouble.clone()),
            (None, Some(Twin { joint, senders: (one, other) })) => {
                let name = self.streaming.joints().as_slice().get(joint).map_or("?", String::as_str);
                let sender = |sender| self.graph.name_of(JOINT_STATES, sender);
                let (one, other) = (sender(one), sender(other));
                let text = format!(
                    "{one} and {other} both publish joint '{name}'; they agree, and the first is listened to, but only one should"
                );
                (efm_ros::Level::Warn, text)
            }
            (None, None) => match left_out {
                Some(what) => {
                    (efm_ros::Level::Warn, format!("{what}; it is left out, as another node tells that joint"))
                }
                None => (efm_ros::Level::Ok, "fresh and complete".to_owned()),
            },
        };
        self.joint_health.report(level, text, self.other_values());
        let (level, text, values) = scene_feed::explain(self.streaming.streamer_mut(), self.scenes.as_ref());
        self.scene_health.report(level, text, values);
        self.report_others();
        self.around.obstacle = self.streaming.obstacle(&self.phase);
        let (mut level, mut text) = explain(&self.phase, &self.around, self.streaming.joints());
        if let Some(silence) = self.clock.silence().filter(|s| *s > Duration::from_secs(1)) {
            (level, text) =
                (efm_ros::Level::Error, format!("at rest: /clock is silent for {:.1} s", silence.as_secs_f64()));
        }
        let held_back = self.late - std::mem::replace(&mut self.late_told, self.late);
        if held_back > 0 {
            level = level.max(efm_ros::Level::Warn);
            text += &format!(
                "; {held_back} windows just now were held back, as they would have left too late: this machine is busy"
            );
        }
        if log_it {
            log::info!("{text}");
        }
        let mut values = vec![
            ("armed".to_owned(), self.streaming.armed().to_string()),
            ("chunks taken".to_owned(), self.taken.to_string()),
            ("chunks refused".to_owned(), self.refused.to_string()),
            ("last refusal".to_owned(), self.around.refused.clone().unwrap_or_default()),
        ];
        values.push(("held back, too late to send".to_owned(), self.late.to_string()));
        values.extend(self.change.shown_ms("instruction to motion"));
        values.extend(self.latency.shown_ms("observation to command"));
        values.push(("observation to command count".to_owned(), self.latency.count().to_string()));
        if let Ok(streamer) = self.streaming.streamer() {
            let report = streamer.report();
            values.push(("may be off its command by".to_owned(), tracking_in_words(streamer)));
            values.push(("speed scale".to_owned(), format!("{:.2}", streamer.speed_scale())));
            values.push(("rate on the path".to_owned(), format!("{:.2}", report.rate)));
            let clearance = report.clearance.map_or("not checked".to_owned(), |c| format!("{:.1} mm", 1e3 * c));
            values.push(("clearance of the plan".to_owned(), clearance));
        }
        let joints = self.streaming.joints();
        let name = |joint: usize| joints.as_slice().get(joint).map_or("?", String::as_str).to_owned();
        values.extend(self.slowed.in_words(name));
        self.motion.report(level, text, values);
    }
}

/// How far each joint may be from its command, and how far it is behind it.
fn tracking_in_words(streamer: &TrajectoryStreamer) -> String {
    let of = |(joint, name): (usize, &str)| {
        let tracking = streamer.tracking(joint);
        match tracking.lag_s {
            Some(lag) => format!("{name} {:.3} ({:.0} ms behind)", tracking.bound, 1e3 * lag),
            None => format!("{name} {:.3}", tracking.bound),
        }
    };
    let gripper = |name: &str| streamer.config().gripper_joints.iter().any(|gripper| gripper == name);
    let joints = streamer.joints().iter().enumerate().filter(|(_, name)| !gripper(name));
    joints.map(of).collect::<Vec<_>>().join(", ")
}

/// The node `trajectory_publisher`.
pub fn plan() -> Plan {
    plan_watched_by(Vec::new)
}

/// The same with monitors besides those that every robot has: for a robot whose executable is another crate's.
pub fn plan_watched_by(monitors: fn() -> Vec<Box<dyn Monitor + Send>>) -> Plan {
    Plan::new("trajectory_publisher", specs(), move |node| {
        let params = node.params().clone();
        let wrong_cores = |why: String| format!("parameter 'control_cores': {why}");
        let alone = !node.shares_process();
        if let Some(cores) = Cores::named(&params.integers("control_cores")).map_err(|e| wrong_cores(e.to_string()))? {
            // All threads: messages come by way of the middleware's. Where others share them, this one, on which ticks come.
            let confined = if alone { cores.confine_this_process() } else { cores.confine_this_thread() };
            confined.map_err(|e| wrong_cores(e.to_string()))?;
        }
        let priority = i32::try_from(params.integer("realtime_priority"))?;
        if priority > 0
            && let Err(error) = run_in_real_time(priority, alone)
        {
            log::info!(
                "runs without real-time priority ({error}): a busy machine may delay what is sent. To permit it, give the user an \
                 'rtprio' of at least {priority} in /etc/security/limits.d, as ros2_control asks for as well"
            );
        }
        let files = Files::read(&params)?;
        let streaming = Streaming::new(&params, &files)?.watched_by(monitors());
        let controllers = streaming.controllers().to_vec();
        let mut setup = Setup::new("trajectory_publisher", &params);
        setup.files = files.by_parameter();

        let mut description: Latest<Text> = robot_description(node)?;
        let mut semantics = match &files.semantics {
            Some(_) => None,
            None => Some(node.latest::<Text>(SEMANTICS, qos::latched_input())?),
        };
        let mut scales = node.every::<Float64>("speed_scale", qos::changes_input())?;
        let mut emergencies = node.every::<Bool>("emergency_stop", qos::emergency_input())?;
        let (scene_sender, mut scene_messages) = channel(QUEUE);
        let topic = "planning_scene";
        let looks = params.bool("check_collisions")
            && node.every_bytes_into(topic, PlanningScene::TYPE, qos::changes_input(), &scene_sender, |bytes| {
                bytes.to_vec()
            })?;
        if !looks {
            let why = match params.bool("check_collisions") {
                true => "moveit_msgs is not installed",
                false => "parameter 'check_collisions' is false",
            };
            log::info!("topic '{topic}' is not listened to: {why}");
        }
        let (scenes, mut outcomes) = looks.then(SceneFeed::start).unzip();
        let mut changes = params.changes();
        let joint_states = node.every::<JointState>(JOINT_STATES, qos::joint_states_input())?;
        let mut chunks = node.every::<JointTrajectory>("action_chunk", qos::chunk_input())?;
        let mut instructions = node.every::<Text>("instruction", qos::latched_input())?;
        let (status_sender, mut statuses) = channel(QUEUE);
        let (state_sender, controller_states) = channel(QUEUE);
        let tolerance = params.double("max_reference_error");
        let mut listens = tolerance > 0.0;
        let mut windows = Vec::new();
        for (place, controller) in controllers.iter().enumerate() {
            let name = &controller.name;
            windows.push(node.publisher(&format!("{name}/joint_trajectory"), qos::trajectory())?);
            let topic = format!("{name}/follow_joint_trajectory/_action/status");
            let with_place = move |message: GoalStatusArray| (place, message);
            node.every_into(&topic, qos::latched(), &status_sender, with_place)?;
            let topic = format!("{name}/controller_state");
            let with_place = move |message: Bytes| (place, message);
            listens = listens
                && node.every_bytes_into(
                    &topic,
                    ControllerState::TYPE,
                    qos::controller_state(),
                    &state_sender,
                    with_place,
                )?;
        }
        let names: Vec<String> = controllers.iter().map(|controller| controller.name.clone()).collect();
        let senders = Senders::start(node, &windows, &names)?;
        let variable = |name: &str| std::env::var_os(name);
        let kept_stop = KeptStop::new(&params.text("emergency_stop_file"), node.full_name(), variable);
        if let Some(trouble) = kept_stop.trouble() {
            log::error!("{trouble}");
        }
        if !listens {
            let why = match tolerance > 0.0 {
                true => "control_msgs is not installed",
                false => "parameter 'max_reference_error' is 0",
            };
            log::info!("topics '<controller>/controller_state' are not listened to: {why}");
        }
        let mut arms = node.service::<SetBool::Service>("~/arm")?;
        let mut stops = node.service::<Trigger::Service>("~/stop")?;
        let mut resumes = node.service::<Trigger::Service>("~/resume")?;
        let mut emergency_calls = node.service::<Trigger::Service>("~/emergency_stop")?;

        let clock = node.clock().clone();
        let receipts = ReceiptClock::new(&clock);
        let mut this = Publishing {
            trace: Trace::start(node, &setup)?,
            heartbeat: Heartbeat::new(params.double("emergency_stop_heartbeat"), receipts.now()),
            receipts,
            senders,
            kept_stop,
            joint_states,
            controller_states,
            usual: tick_period(&params).as_secs_f64(),
            bad_scales: Seldom::default(),
            others: streaming.other_joints(),
            feed: JointFeed::new(streaming.joints().clone(), 0.0),
            stamps: Vec::with_capacity(streaming.joints().len()),
            graph: node.graph().clone(),
            unnamed: Vec::new(),
            streaming,
            filter: (node.publisher("~/filter_state", qos::event())?, filter_state::message()),
            filter_message: CdrWriter::new(),
            slowed: Slowed::default(),
            says: Says {
                voice: Voice::new(windows, node.publisher("execution_state", qos::trajectory())?),
                // What was sent is remembered only where somebody tells what became of it.
                watches: ControllerWatches::new(if listens { &controllers } else { &[] }, tolerance),
                punctual: Punctual::new(&clock),
            },
            listening: Vec::with_capacity(controllers.len()),
            phase: Phase::NoRobot(NO_ROBOT.to_owned()),
            around: Around::default(),
            max_joint_state_age: params.double("max_joint_state_age"),
            max_future: params.double("max_future"),
            params,
            chunk_came: None,
            chunk_seen: None,
            taken: 0,
            refused: 0,
            late: 0,
            late_told: 0,
            latency: Percentiles::new(LATENCIES),
            change: Percentiles::new(LATENCIES),
            scenes,
            motion: node.diagnostics().task("motion"),
            joint_health: node.diagnostics().task("joint_states"),
            scene_health: node.diagnostics().task("surroundings"),
            emergency_health: node.diagnostics().task("emergency_stop"),
            description: Descriptions::default(),
            description_health: node.diagnostics().task("robot_description"),
            clock: clock.clone(),
        };
        this.around.controllers = controllers.iter().map(|controller| controller.name.clone()).collect();
        this.around.controller = this.streaming.missing();
        this.emergency_from_before()?;
        let mut ticker = clock.ticker(tick_period(&this.params));

        Ok(async move {
            // Wall time: it must be told also that /clock stands still.
            let mut tenth = tokio::time::interval(trace::PERIOD);
            tenth.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    // First, so that no load delays it.
                    Some(message) = emergencies.recv() => this.on_emergency(&message)?,
                    Some(request) = emergency_calls.next() => {
                        this.emergency("~/emergency_stop")?;
                        answer(request.respond(Trigger::Response { success: true, message: "nothing is sent any more; ~/arm ends it".into() }));
                    }
                    // Joint states are looked at when they matter; nobody is woken for each.
                    now = ticker.tick() => {
                        this.hear_joints();
                        this.tick(now)?;
                    }
                    Some(message) = instructions.recv() => this.on_instruction(&message.msg.data)?,
                    // What stands around comes before what is proposed.
                    Some(message) = scene_messages.recv() => this.on_scene(message.msg)?,
                    Some(outcome) = next_outcome(&mut outcomes) => this.on_surroundings(outcome)?,
                    Some(message) = chunks.recv() => this.on_chunk(message),
                    Some(Received { msg: (controller, message), .. }) = this.controller_states.recv() => this.on_controller_state(controller, &message)?,
                    Some(Received { msg: (controller, message), .. }) = statuses.recv() => this.on_goal_status(controller, &message)?,
                    Some(request) = arms.next() => {
                        let (success, message) = match this.arm(request.message.data) {
                            Ok(word) => (true, word),
                            Err(why) => (false, why),
                        };
                        answer(request.respond(SetBool::Response { success, message }));
                    }
                    Some(request) = stops.next() => {
                        let message = this.on(&Event::Stop { now: this.now() })?;
                        answer(request.respond(Trigger::Response { success: true, message }));
                    }
                    Some(request) = resumes.next() => {
                        let (success, message) = match this.on(&Event::Resume) {
                            Ok(message) => (true, message),
                            Err(why) => (false, why),
                        };
                        answer(request.respond(Trigger::Response { success, message }));
                    }
                    Some(message) = scales.recv() => this.lower_speed_scale(message.msg.data),
                    Ok(()) = changes.changed() => {
                        // Declared from 0 to 1, so it cannot be refused.
                        this.on(&Event::SpeedScale(this.params.double("speed_scale")))?;
                    }
                    // The same once more (its publisher was started anew) changes nothing.
                    urdf = description.next() => if !this.streaming.is_described_by(&urdf.msg.data) {
                        let event = Event::Description { now: this.now(), urdf: Cow::Borrowed(&urdf.msg.data) };
                        this.describe(&event, DESCRIPTION, urdf.sender)?;
                    },
                    srdf = next(&mut semantics) => if !this.streaming.is_explained_by(&srdf.msg.data) {
                        let event = Event::Semantics { now: this.now(), srdf: Cow::Borrowed(&srdf.msg.data) };
                        this.describe(&event, SEMANTICS, srdf.sender)?;
                    },
                    _ = tenth.tick() => {
                        // Under simulation ticks may be slow, or stand still.
                        this.watch_controllers(clock.now())?;
                        this.heed_the_gone()?;
                        this.report(false);
                        this.trace.flush();
                    }
                }
            }
        })
    })
}

/// The next semantic description; never, where it came from a file.
async fn next(semantics: &mut Option<Latest<Text>>) -> Arc<Received<Text>> {
    match semantics {
        Some(latest) => latest.next().await,
        None => std::future::pending().await,
    }
}

/// What came of the next planning scene; never, where they are not listened to.
async fn next_outcome(outcomes: &mut Option<UnboundedReceiver<Outcome>>) -> Option<Outcome> {
    match outcomes {
        Some(outcomes) => outcomes.recv().await,
        None => std::future::pending().await,
    }
}

fn answer(outcome: Result<(), RosError>) {
    if let Err(error) = outcome {
        log::debug!("the client of a service is gone: {error}");
    }
}
