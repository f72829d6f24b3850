//! The publisher of trajectories whole, without its topics: what comes to it is believed here, by the rules of [`crate::publisher`], and worked on by
//! [`Streaming`]; what it decides and says goes to a [`Host`].
//!
//! The node's host is the graph, evaluation's is the simulated cell. Replay drives [`Streaming`] itself, with the events that the host was told.

use crate::Failure;
use crate::joint_states::allowance;
use crate::publisher::controller_watch::ControllerWatches;
use crate::publisher::emergency::{Heartbeat, KeptStop};
use crate::publisher::filter_state::{self, Known, Slowed};
use crate::publisher::motion_report::{Around, Phase, SlowBy, explain};
use crate::publisher::scene_feed::{self, Outcome, SceneFeed};
use crate::publisher::steady::Steady;
use crate::publisher::streaming::{Event, Measured, Outlet, Streaming, Ticked, no_robot};
use crate::publisher::streaming_params::tick_period;
use crate::reasons::{self, refused};
use crate::seldom::Seldom;
use crate::supervisor::Supervisor;
use efm_config::Params;
use efm_core::percentiles::Percentiles;
use efm_core::reading::{beginning, listed};
use efm_core::{Level, Reason, SenderId, Stamp, Trajectory};
use efm_safety::{
    Contradiction, Execution, JointFeed, JointTrouble, OtherJoints, TrajectoryStreamer, Twin, Untold, VerifiedWindow,
};
use efm_wire::msgs::JointState as FilterState;
use std::borrow::Cow;

/// The topic of the robot description.
pub const DESCRIPTION: &str = "robot_description";
/// Notes on its files that are repeated on /diagnostics.
const MOST_NOTES: usize = 20;
/// Characters of one of them.
const LONGEST_VALUE: usize = 450;
/// The topic of the semantic robot description.
pub const SEMANTICS: &str = "robot_description_semantic";
/// The topic of the joint states.
pub const JOINT_STATES: &str = "joint_states";
/// Latencies kept for the percentiles.
const LATENCIES: usize = 1000;

/// A moment: it is handed in with all that happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct At {
    /// ROS time.
    pub now: Stamp,
    /// Seconds of the clock by which receipts are timed: monotonic, or ROS time where that is simulated.
    pub received: f64,
}

/// A line of the diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// What the arm does, or why it does nothing.
    Motion,
    /// Joint states.
    JointStates,
    /// What stands around.
    Surroundings,
    /// The emergency stop.
    EmergencyStop,
    /// Who described the robot.
    RobotDescription,
}

/// Where a publisher of trajectories runs: what it decides and says goes there, and who is whom is known there. What has a default is so where nobody
/// else is.
pub trait Host: Outlet {
    /// The time now: after what was decided has been sent, too.
    fn at(&self) -> At;

    /// An event that is worked on: in the order in which they are noted they make the run.
    fn note(&mut self, event: &Event<'_>);

    /// Deciding begins, for ROS time `now`.
    fn begin(&mut self, _now: Stamp) {}

    /// Writes for which controllers somebody listens, in their order.
    fn listening(&self, listening: &mut Vec<bool>);

    /// A sender of a topic, in words.
    fn name_of(&self, _topic: &str, sender: SenderId) -> String {
        format!("publisher {sender}")
    }

    /// The node that a sender of a topic belongs to, once that is known.
    fn node_of(&self, _topic: &str, _sender: SenderId) -> Option<String> {
        None
    }

    /// Another one that has sent to a controller since the last call, in words. `heeded`: each of them matters now.
    fn other(&mut self, _now: Stamp, _heeded: bool) -> Option<(usize, String)> {
        None
    }

    /// Chunks of `sender` are refused, since `held` is held to: in words.
    fn refuse_chunk(&mut self, sender: SenderId, held: SenderId) -> String {
        format!("action chunks of publisher {sender} are refused: those of publisher {held} are followed")
    }

    /// Whether a sender of chunks is there; true where that is not known.
    fn sends_chunks(&self, _sender: SenderId) -> bool {
        true
    }

    /// Nodes that publish `emergency_stop`.
    fn publishers_of_emergency_stop(&self) -> Vec<String> {
        Vec::new()
    }

    /// Seconds for which `/clock` is silent, where time comes from there.
    fn clock_silence(&self) -> Option<f64> {
        None
    }

    /// A chunk for the instruction is followed for the first time, so many seconds after that came.
    fn instruction_followed(&mut self, _seconds: f64) {}

    /// The speed scale that holds from now on, other than by the parameter.
    fn speed_scale_is(&mut self, _scale: f64) {}

    /// What the filter did in a tick.
    ///
    /// # Errors
    /// When it cannot be told.
    fn filter_state(&mut self, _message: &FilterState) -> Result<(), Failure> {
        Ok(())
    }

    /// Health.
    fn report(&mut self, _line: Line, _level: Level, _text: String, _values: Vec<(String, String)>) {}
}

/// Remembers for the watches what has been sent.
struct Watched<'a, H> {
    host: &'a mut H,
    watches: &'a mut ControllerWatches,
}

impl<H: Host> Outlet for Watched<'_, H> {
    fn send(&mut self, windows: &[VerifiedWindow], leave_by: Stamp) -> Result<usize, Failure> {
        let left = self.host.send(windows, leave_by)?;
        if left > 0 {
            // Who got nothing new keeps what it has; the watch forgives what is late for a moment.
            self.watches.sent(&windows[..left]);
        }
        Ok(left)
    }

    fn tell(&mut self, execution: &Execution, windows: &[VerifiedWindow]) -> Result<(), Failure> {
        self.host.tell(execution, windows)
    }

    fn rest(&mut self) -> Result<(), Failure> {
        self.host.rest()
    }
}

/// The publisher between two messages.
pub struct Publishing {
    /// Seconds between two ticks.
    usual: f64,
    feed: JointFeed,
    others: OtherJoints,
    /// So that a tick allocates nothing.
    stamps: Vec<i64>,
    /// Topic and sender of those that were told of before the names of their nodes were known.
    unnamed: Vec<(&'static str, SenderId)>,
    streaming: Streaming,
    watches: ControllerWatches,
    /// For which controllers somebody listens now.
    listening: Vec<bool>,
    filter: FilterState,
    slowed: Slowed,
    phase: Phase,
    /// What is told in the place of that, where it is something else.
    told: Option<Phase>,
    steady: Steady,
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
    kept_stop: KeptStop,
    heartbeat: Heartbeat,
    /// Of who gives instructions.
    supervisor: Supervisor,
    description: Descriptions,
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
    /// Around what works on events, with the same parameters. `kept_stop` holds an emergency stop from before; `tells` says whether controllers tell
    /// their state; `scenes` are put together where planning scenes are listened to.
    pub fn new(
        streaming: Streaming,
        params: &Params,
        at: At,
        kept_stop: KeptStop,
        tells: bool,
        scenes: Option<SceneFeed>,
    ) -> Self {
        let controllers = streaming.controllers();
        let around = Around {
            controllers: controllers.iter().map(|controller| controller.name.clone()).collect(),
            controller: streaming.missing(),
            ..Around::default()
        };
        Self {
            usual: tick_period(params).as_secs_f64(),
            feed: JointFeed::new(streaming.joints().clone(), 0.0)
                .allowing(&allowance(params, params.texts("gripper_joints"))),
            others: streaming.other_joints(),
            stamps: Vec::with_capacity(streaming.joints().len()),
            unnamed: Vec::new(),
            // What was sent is remembered only where somebody tells what became of it.
            watches: ControllerWatches::new(
                if tells { controllers } else { &[] },
                params.double("max_reference_error"),
            ),
            listening: Vec::with_capacity(controllers.len()),
            filter: filter_state::message(),
            slowed: Slowed::default(),
            phase: Phase::NoRobot(no_robot()),
            told: None,
            steady: Steady::default(),
            around,
            bad_scales: Seldom::default(),
            max_joint_state_age: params.double("max_joint_state_age"),
            max_future: params.double("max_future"),
            chunk_came: None,
            chunk_seen: None,
            taken: 0,
            refused: 0,
            late: 0,
            late_told: 0,
            latency: Percentiles::new(LATENCIES),
            change: Percentiles::new(LATENCIES),
            scenes,
            kept_stop,
            heartbeat: Heartbeat::new(params.double("emergency_stop_heartbeat"), at.received),
            supervisor: Supervisor::of(params.double("instruction_heartbeat")),
            description: Descriptions::default(),
            streaming,
        }
    }

    /// What is believed is worked on by it.
    pub fn streaming(&self) -> &Streaming {
        &self.streaming
    }

    /// What the arm is doing.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// What is told of it.
    fn told(&self) -> &Phase {
        self.told.as_ref().unwrap_or(&self.phase)
    }

    /// Something happens: it is noted, and worked on.
    fn on(&mut self, host: &mut impl Host, event: &Event<'_>) -> Result<String, Reason> {
        host.note(event);
        self.streaming.on(event)
    }

    fn streamer(&self) -> Option<&TrajectoryStreamer> {
        self.streaming.streamer().ok()
    }

    /// A chunk came, at `at.received`.
    ///
    /// # Errors
    /// Why it is not followed, which is told in the diagnostics, too.
    pub fn on_chunk(
        &mut self,
        host: &mut impl Host,
        at: At,
        message: &Trajectory,
        sender: SenderId,
    ) -> Result<(), Reason> {
        let (now, stamp) = (at.now, message.stamp);
        self.chunk_came = Some(at.received);
        self.chunk_seen = Some(stamp);
        host.note(&Event::Chunk { now: now.nanos(), stamp: stamp.nanos(), sender });
        if let Err(reason) = self.streaming.on_chunk(message, sender, now) {
            self.refused += 1;
            let held = self.streaming.chunks_of().map(|(held, _)| held).filter(|held| *held != sender);
            let reason = held
                .map_or(reason, |held| refused(reasons::CHUNK_OF_ANOTHER_SENDER, host.refuse_chunk(sender, held), ""));
            if reasons::is_nonsense(reason.code) {
                self.around.nonsense = Some(reason.text.to_string());
            }
            if self.around.refused.as_ref() != Some(&reason) {
                log::debug!("action chunk refused: {reason}");
            }
            self.around.refused = Some(reason.clone());
            return Err(reason);
        }
        self.taken += 1;
        self.around.refused = None;
        Ok(())
    }

    /// Silence of controllers, after what came of their states.
    fn hear_controllers(&mut self, host: &mut impl Host, now: Stamp) -> Result<(), Reason> {
        if let Some((controller, seconds)) = self.watches.tick(now, self.usual) {
            self.on(host, &Event::Silent { now: now.nanos(), controller, seconds: Some(seconds) })?;
        }
        Ok(())
    }

    /// What must not wait for a report: a controller that has gone while others move.
    fn watch_controllers(&mut self, host: &mut impl Host, at: At) -> Result<(), Reason> {
        let now = at.now;
        self.heed_others(host, now)?;
        self.heed_heartbeat(host, at)?;
        host.listening(&mut self.listening);
        if self.listening != self.streaming.listening() {
            let event = Event::Listeners { now: now.nanos(), listening: Cow::Borrowed(&self.listening) };
            host.note(&event);
            self.streaming.on(&event)?;
            self.around.controller = self.streaming.missing();
        }
        Ok(())
    }

    /// A controller tells what it wants; `bytes` hold its state, in CDR.
    ///
    /// # Errors
    /// Never, but for a mistake of ours.
    pub fn on_controller_state(
        &mut self,
        host: &mut impl Host,
        at: At,
        controller: usize,
        bytes: &[u8],
    ) -> Result<(), Reason> {
        let heard = self.watches.heard(controller, bytes);
        if heard.voice.is_some() {
            self.on(host, &Event::Silent { now: at.now.nanos(), controller, seconds: None })?;
        }
        let Some(off) = heard.off else { return Ok(()) };
        if self.streamer().is_some_and(TrajectoryStreamer::is_streaming) {
            log::error!("{off}");
            self.around.not_following = Some(off);
            self.on(host, &Event::NotFollowing { now: at.now.nanos(), controller })?;
        }
        Ok(())
    }

    /// Somebody else sends to a controller.
    fn heed_others(&mut self, host: &mut impl Host, now: Stamp) -> Result<(), Reason> {
        while let Some((controller, by)) = host.other(now, self.streaming.heeds_others()) {
            self.around.contested = Some(by.clone());
            self.on(host, &Event::OtherCommands { now: now.nanos(), controller, by: Cow::Owned(by) })?;
        }
        Ok(())
    }

    fn heed_heartbeat(&mut self, host: &mut impl Host, at: At) -> Result<(), Reason> {
        let silent = self.heartbeat.silence(at.received).filter(|_| self.streaming.armed());
        match silent {
            Some(silent) => self.emergency(host, at, &format!("topic emergency_stop is silent for {silent:.2} s")),
            None => Ok(()),
        }
    }

    /// The topic `emergency_stop`: whoever sends, and whatever it says, it is heard, at `at.received`.
    ///
    /// # Errors
    /// Never, but for a mistake of ours.
    pub fn on_emergency(&mut self, host: &mut impl Host, at: At, stop: bool, sender: SenderId) -> Result<(), Reason> {
        self.heartbeat.heard(at.received);
        if !stop || (self.streaming.is_emergency() && !self.streaming.armed()) {
            return Ok(());
        }
        // First of all; who it was is found out then.
        self.on(host, &Event::EmergencyStop)?;
        let who = host.name_of("emergency_stop", sender);
        self.name_later(host, "emergency_stop", sender);
        self.tell_emergency(host, at, &format!("topic emergency_stop, {who}"));
        Ok(())
    }

    /// The emergency stop was asked for; `why` says by what.
    ///
    /// # Errors
    /// Never, but for a mistake of ours.
    pub fn emergency(&mut self, host: &mut impl Host, at: At, why: &str) -> Result<(), Reason> {
        self.on(host, &Event::EmergencyStop)?;
        self.tell_emergency(host, at, why);
        Ok(())
    }

    fn tell_emergency(&mut self, host: &mut impl Host, at: At, why: &str) {
        self.around.emergency = Some(why.to_owned());
        self.kept_stop.keep(why);
        log::error!("emergency stop ({why}): nothing is sent any more; call ~/arm when it is safe");
        self.report(host, at, false);
    }

    /// An emergency stop that a process before this one had heard.
    ///
    /// # Errors
    /// Never, but for a mistake of ours.
    pub fn emergency_from_before(&mut self, host: &mut impl Host) -> Result<(), Reason> {
        let Some(why) = self.kept_stop.read() else { return Ok(()) };
        self.on(host, &Event::EmergencyStop)?;
        log::error!("the emergency stop from before still holds ({why}): disarmed; call ~/arm when it is safe");
        self.around.emergency = Some(why);
        Ok(())
    }

    /// The topic `speed_scale`, which lowers it only.
    pub fn lower_speed_scale(&mut self, host: &mut impl Host, at: At, scale: f64) {
        let before = self.streaming.speed_scale();
        match self.on(host, &Event::LowerSpeedScale(scale)) {
            Ok(_) if self.streaming.speed_scale() < before => {
                // The parameter tells what holds, so that setting it to what it was raises it again.
                host.speed_scale_is(scale);
                log::info!("speed_scale lowered to {scale:?}");
            }
            Ok(_) => {}
            Err(error) => {
                let say = self.bad_scales.say(at.received, || format!("topic 'speed_scale': {error}; it is left out"));
                say.into_iter().for_each(|words| log::warn!("{words}"));
            }
        }
    }

    /// An instruction came; empty: no goal any more.
    ///
    /// # Errors
    /// Never, but for a mistake of ours.
    pub fn on_instruction(&mut self, host: &mut impl Host, at: At, text: &str) -> Result<(), Reason> {
        self.supervisor.instructed();
        self.instruct(host, at, text)
    }

    fn instruct(&mut self, host: &mut impl Host, at: At, text: &str) -> Result<(), Reason> {
        self.around.instruction = Some(text.to_owned());
        self.on(host, &Event::Instruction { now: at.now.nanos(), text: Cow::Borrowed(text) })?;
        Ok(())
    }

    /// Who gives instructions says that it is there (true), or that it ends (false).
    ///
    /// # Errors
    /// Never, but for a mistake of ours.
    pub fn on_instruction_heartbeat(
        &mut self,
        host: &mut impl Host,
        at: At,
        alive: bool,
        sender: SenderId,
    ) -> Result<(), Reason> {
        self.around.unsupervised = None;
        match self.supervisor.beat(alive, sender) {
            Some(text) => self.instruct(host, at, &text),
            None => Ok(()),
        }
    }

    /// Whom nobody could cancel any more must not go on.
    fn watch_supervisor(&mut self, host: &mut impl Host, at: At) -> Result<(), Reason> {
        let instruction = self.around.instruction.as_deref().unwrap_or_default();
        let Some(why) = self.supervisor.tick(instruction) else { return Ok(()) };
        log::error!("{why}");
        self.around.unsupervised = Some(why);
        self.instruct(host, at, "")
    }

    /// Joint states of a sender came, at `received` seconds; positions in rad or m, velocities empty or one a joint.
    pub fn on_joint_states(
        &mut self,
        sender: SenderId,
        stamp: Stamp,
        names: &[String],
        positions: &[f64],
        velocities: &[f64],
        received: f64,
    ) {
        self.others.update(sender, stamp, names, positions, received);
        self.feed.update(sender, stamp, names, positions, velocities, received);
    }

    /// Remembers who a sender is, while it is there.
    fn name_sender(&mut self, host: &impl Host, sender: SenderId) {
        /// Senders that are remembered.
        const MOST: usize = 16;
        if self.around.senders.iter().all(|(known, _)| *known != sender) {
            if self.around.senders.len() >= MOST {
                self.around.senders.remove(0);
            }
            self.around.senders.push((sender, host.name_of(JOINT_STATES, sender)));
            self.name_later(host, JOINT_STATES, sender);
        }
    }

    /// Remembers to look for the name of a sender again: its publisher may be known before its node is.
    fn name_later(&mut self, host: &impl Host, topic: &'static str, sender: SenderId) {
        if sender != SenderId::UNKNOWN && host.node_of(topic, sender).is_none() && self.unnamed.len() < 16 {
            self.unnamed.push((topic, sender));
        }
    }

    /// Names those whose names were not known when they were told of.
    fn name_the_unnamed(&mut self, host: &impl Host) {
        let around = &mut self.around;
        self.unnamed.retain(|(topic, sender)| {
            let Some(node) = host.node_of(topic, *sender) else { return true };
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

    /// A planning scene came, in CDR.
    ///
    /// # Errors
    /// Never, but for a mistake of ours.
    pub fn on_scene(&mut self, host: &mut impl Host, at: At, bytes: Vec<u8>) -> Result<(), Reason> {
        let Some(scenes) = &mut self.scenes else { return Ok(()) };
        scenes.came(bytes);
        let others = self.others.look(at.now, at.received, self.max_joint_state_age, self.max_future);
        let fresh = self.feed.fresh(at.now, at.received, self.max_joint_state_age, self.max_future).ok();
        scenes.pass_on(fresh.map(|fresh| fresh.sample.positions.as_slice()), others);
        self.heed_scenes(host, at)
    }

    /// A planning scene was put together.
    ///
    /// # Errors
    /// Never, but for a mistake of ours.
    pub fn on_surroundings(&mut self, host: &mut impl Host, at: At, outcome: Outcome) -> Result<(), Reason> {
        host.note(&Event::SceneTaken);
        if let (Some(scenes), Some(streamer)) = (&mut self.scenes, self.streaming.streamer_mut()) {
            scenes.take_over(outcome, streamer);
        }
        self.heed_scenes(host, at)
    }

    /// Something is there and nobody knows where: no motion, until that is known.
    fn heed_scenes(&mut self, host: &mut impl Host, at: At) -> Result<(), Reason> {
        let trouble = self.scenes.as_ref().and_then(SceneFeed::trouble).map(|trouble| trouble.in_words());
        if self.around.surroundings == trouble {
            return Ok(());
        }
        self.around.surroundings.clone_from(&trouble);
        match trouble {
            Some(trouble) if self.streaming.streamer().is_ok() => log::warn!("{trouble}"),
            Some(_) => {}
            None => log::info!("the planning scene is known"),
        }
        let trouble = self.around.surroundings.clone().map(Cow::Owned);
        self.on(host, &Event::Surroundings { now: at.now.nanos(), trouble })?;
        self.report(host, at, false);
        Ok(())
    }

    /// Whether a goal of somebody else runs on a controller.
    ///
    /// # Errors
    /// Never, but for a mistake of ours.
    pub fn on_goal(&mut self, host: &mut impl Host, at: At, controller: usize, active: bool) -> Result<(), Reason> {
        let before = self.streaming.is_owned();
        self.on(host, &Event::Goal { now: at.now.nanos(), controller, active })?;
        if self.streaming.is_owned() != before {
            self.watches.forget();
        }
        Ok(())
    }

    /// The service `~/stop`. Returns what there is to say to who asked.
    ///
    /// # Errors
    /// Never, but for a mistake of ours.
    pub fn stop(&mut self, host: &mut impl Host, at: At) -> Result<String, Reason> {
        self.on(host, &Event::Stop { now: at.now.nanos() })
    }

    /// The service `~/resume`. Returns what there is to say to who asked.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub fn resume(&mut self, host: &mut impl Host) -> Result<String, Reason> {
        self.on(host, &Event::Resume)
    }

    /// The parameter `speed_scale` was set.
    ///
    /// # Errors
    /// When it is no part of one.
    pub fn set_speed_scale(&mut self, host: &mut impl Host, scale: f64) -> Result<(), Reason> {
        self.on(host, &Event::SpeedScale(scale)).map(drop)
    }

    /// A robot description came, by its topic ([`SenderId::UNKNOWN`]: from a file). The same once more (its publisher was started anew) changes
    /// nothing.
    ///
    /// # Errors
    /// Never, but for a mistake of ours.
    pub fn on_description(&mut self, host: &mut impl Host, at: At, urdf: &str, sender: SenderId) -> Result<(), Reason> {
        if self.streaming.is_described_by(urdf) {
            return Ok(());
        }
        let event = Event::Description { now: at.now.nanos(), urdf: Cow::Borrowed(urdf) };
        self.describe(host, at, &event, DESCRIPTION, sender)
    }

    /// As [`Self::on_description`], a semantic description.
    ///
    /// # Errors
    /// Never, but for a mistake of ours.
    pub fn on_semantics(&mut self, host: &mut impl Host, at: At, srdf: &str, sender: SenderId) -> Result<(), Reason> {
        if self.streaming.is_explained_by(srdf) {
            return Ok(());
        }
        let event = Event::Semantics { now: at.now.nanos(), srdf: Cow::Borrowed(srdf) };
        self.describe(host, at, &event, SEMANTICS, sender)
    }

    /// The service `~/arm`. Returns what there is to say to who asked.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub fn arm(&mut self, host: &mut impl Host, at: At, armed: bool) -> Result<String, Reason> {
        if armed && let Some(why) = self.heartbeat.forbids(at.received) {
            return Err(why);
        }
        let said = self.on(host, &Event::Arm { now: at.now.nanos(), armed })?;
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
    fn describe(
        &mut self,
        host: &mut impl Host,
        at: At,
        event: &Event<'_>,
        what: &'static str,
        sender: SenderId,
    ) -> Result<(), Reason> {
        let by = match sender {
            SenderId::UNKNOWN => "a file".to_owned(),
            sender => host.name_of(what, sender),
        };
        let place = usize::from(what == SEMANTICS);
        match self.on(host, event) {
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
        self.adopt_robot(host, at)
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
    fn adopt_robot(&mut self, host: &mut impl Host, at: At) -> Result<(), Reason> {
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
        self.heed_scenes(host, at)
    }

    /// Time to decide, after joint states and states of controllers that have come were handed over. Returns whether anything was decided: otherwise all
    /// is as it was.
    ///
    /// # Errors
    /// When what is decided cannot be sent.
    pub fn tick(&mut self, host: &mut impl Host, at: At) -> Result<bool, Failure> {
        let now = at.now;
        host.begin(now);
        self.watch_controllers(host, at)?;
        self.hear_controllers(host, now)?;
        let received_now = at.received;
        let contradiction = self.feed.contradiction(received_now);
        if let Some(Contradiction::Senders { senders: (one, other), .. }) = contradiction {
            self.name_sender(host, one);
            self.name_sender(host, other);
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
            joint_state_age_s: measured.map(|fresh| fresh.oldest_s),
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
        let unreadable = matches!(trouble, Some(JointTrouble::Malformed { .. }));
        let event = Event::Tick { now: now.nanos(), joints, others: Cow::Borrowed(others), unreadable };
        host.note(&event);
        let Event::Tick { joints, .. } = &event else { return Ok(false) };
        let joints = joints.as_ref().ok_or(if unreadable { Untold::Invalid } else { Untold::Missing });
        let waited = self.streaming.description_waits() != (false, false);
        let mut outlet = Watched { host, watches: &mut self.watches };
        let ticked = self.streaming.tick_told(now, joints, others, &mut outlet)?;
        let (phase, news, report, change) = match ticked {
            Ticked::Held => return Ok(false),
            Ticked::Decided { late: Some(left), .. } => {
                self.late += 1;
                self.on(host, &Event::NotSent { now: host.at().now.nanos(), left })?;
                return Ok(false);
            }
            Ticked::Decided { phase, news, report, instruction_to_motion, late: None } => {
                (phase, news, report, instruction_to_motion)
            }
        };
        if waited && self.streaming.description_waits() == (false, false) {
            self.heed_description(false);
            self.adopt_robot(host, at)?;
        }
        if let Some(report) = &report {
            self.slowed.note(report);
        }
        if let Some(chunk) = news {
            self.latency.add(host.at().now.seconds_since(chunk));
        }
        if let Some(seconds) = change {
            host.instruction_followed(seconds);
            self.change.add(seconds);
        }
        let told = self.steady.in_place_of(&phase, now);
        let changed = !self.told().is_like(told.as_ref().unwrap_or(&phase));
        (self.phase, self.told) = (phase, told);
        if let Ok(streamer) = self.streaming.streamer() {
            filter_state::write(streamer.report(), streamer.speed_scale(), &known, now, &mut self.filter);
            host.filter_state(&self.filter)?;
        }
        match trouble {
            // The first word of it is kept: a node that said it may be gone when somebody looks.
            Some(trouble) if self.around.lost.is_none() => self.around.lost = Some(joint_words(host, &trouble)),
            None if self.phase == Phase::Following => self.around.lost = None,
            _ => {}
        }
        let troubled = troubled || self.streaming.unknown_other_joint().is_some();
        if changed || troubled != self.around.joints.is_some() {
            self.report(host, at, changed);
        }
        Ok(true)
    }

    /// Why nothing may move before one of the other joints is known.
    fn other_trouble(&self, host: &impl Host) -> Option<String> {
        let other = self.streaming.unknown_other_joint()?;
        let name = self.others.names().get(other)?;
        // What came since the last tick is heard by the next one.
        let trouble = self.others.trouble(other)?;
        Some(trouble.in_words(name, |sender| host.name_of(JOINT_STATES, sender)))
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
    fn report_others(&mut self, host: &mut impl Host, at: At) {
        let publishers = host.publishers_of_emergency_stop();
        let mut told = vec![match publishers.as_slice() {
            [] => "nobody publishes emergency_stop (the service ~/emergency_stop is there)".to_owned(),
            nodes => format!("emergency_stop is published by {}", listed(nodes, "nobody")),
        }];
        let mut level = Level::Ok;
        if let Some(why) = self.heartbeat.forbids(at.received) {
            (level, told) = (Level::Error, vec![why.in_words()]);
        }
        if let Some(trouble) = self.kept_stop.trouble() {
            level = level.max(Level::Warn);
            told.push(trouble.to_owned());
        }
        if self.streaming.is_emergency() {
            level = Level::Error;
            let why = self.around.emergency.as_deref().unwrap_or("the emergency stop holds");
            told.insert(0, format!("emergency stop ({why}); call ~/arm when it is safe"));
        }
        let path = self.kept_stop.path().map_or(String::new(), |path| path.display().to_string());
        let values = vec![("publishers".to_owned(), publishers.len().to_string()), ("kept in".to_owned(), path)];
        host.report(Line::EmergencyStop, level, told.join("; "), values);

        let refused = self.description.refused.iter().flatten().cloned();
        let told: Vec<String> = refused.chain(self.description.taken.clone()).collect();
        let (level, text) = match (told.is_empty(), self.streaming.described()) {
            (false, _) => (Level::Warn, told.join("; ")),
            (true, Some(words)) => (Level::Ok, words),
            (true, None) => {
                let why = self.streaming.streamer().err().cloned().unwrap_or_else(no_robot);
                (Level::Warn, why.in_words())
            }
        };
        let notes = self.streaming.description_notes().iter().take(MOST_NOTES).enumerate();
        let notes = notes.map(|(k, note)| (format!("note {}", k + 1), beginning(note, LONGEST_VALUE)));
        // One by one what may be too long for a line.
        let wrong = self.streaming.description_wrong();
        let wrong = wrong.split("; (").enumerate().filter(|_| wrong.len() > text.len()).take(MOST_NOTES);
        let wrong = wrong.map(|(k, one)| (format!("wrong {}", k + 1), beginning(one, LONGEST_VALUE)));
        let values = wrong.chain(notes).collect();
        host.report(Line::RobotDescription, level, text, values);
    }

    /// Senders of chunks that are not on the graph any more.
    fn heed_the_gone(&mut self, host: &mut impl Host, at: At) -> Result<(), Reason> {
        let Some((held, heard)) = self.streaming.chunks_of() else { return Ok(()) };
        // One that spoke a moment ago may be newer than what is known of the graph.
        let silent = at.now.seconds_since(heard) > 1.0;
        if silent && held != SenderId::UNKNOWN && !host.sends_chunks(held) {
            self.on(host, &Event::ChunkSenderGone { sender: held })?;
        }
        Ok(())
    }

    /// Ten times a second, in wall time, as under simulation ticks may be slow, or stand still.
    ///
    /// # Errors
    /// Never, but for a mistake of ours.
    pub fn every_tenth(&mut self, host: &mut impl Host, at: At) -> Result<(), Reason> {
        self.watch_controllers(host, at)?;
        self.heed_the_gone(host, at)?;
        self.watch_supervisor(host, at)?;
        self.report(host, at, false);
        Ok(())
    }

    fn report(&mut self, host: &mut impl Host, at: At, log_it: bool) {
        self.name_the_unnamed(host);
        let At { now, received: received_now } = at;
        self.around.chunk_silence = self.chunk_came.map(|came| (received_now - came).max(0.0));
        self.others.look(now, received_now, self.max_joint_state_age, self.max_future);
        let trouble = self.feed.fresh(now, received_now, self.max_joint_state_age, self.max_future).err();
        self.around.joints = trouble.map(|trouble| joint_words(host, &trouble)).or_else(|| self.other_trouble(host));
        self.around.latched = self.streamer().is_some_and(|streamer| streamer.latched().is_some());
        let slow = self.streamer().and_then(SlowBy::now);
        self.around.slow = self.steady.slow(slow, now);
        let left_out = self.feed.left_out(received_now).map(|left_out| joint_words(host, &left_out));
        let (level, text) = match (&self.around.joints, self.feed.twin(received_now)) {
            (Some(trouble), _) => (Level::Error, trouble.clone()),
            (None, Some(Twin { joint, senders: (one, other) })) => {
                let name = self.streaming.joints().as_slice().get(joint).map_or("?", String::as_str);
                let sender = |sender| host.name_of(JOINT_STATES, sender);
                let (one, other) = (sender(one), sender(other));
                let text = format!(
                    "{one} and {other} both publish joint '{name}'; they agree, and the first is listened to, but only one should"
                );
                (Level::Warn, text)
            }
            (None, None) => match left_out {
                Some(what) => (Level::Warn, format!("{what}; it is left out, as another node tells that joint")),
                None => (Level::Ok, "fresh and complete".to_owned()),
            },
        };
        host.report(Line::JointStates, level, text, self.other_values());
        let (level, text, values) = scene_feed::explain(self.streaming.streamer_mut(), self.scenes.as_ref());
        host.report(Line::Surroundings, level, text, values);
        self.report_others(host, at);
        self.around.obstacle = self.streaming.obstacle(self.told());
        let said = explain(self.told(), &self.around, self.streaming.joints());
        let (mut code, mut level, mut text, mut remedy) = (said.code, said.severity, said.in_words(), &*said.remedy);
        if let Some(silence) = host.clock_silence().filter(|silence| *silence > 1.0) {
            let words = format!("at rest: /clock is silent for {silence:.1} s");
            (code, level, text, remedy) = (reasons::CLOCK_SILENT, Level::Error, words, "");
        }
        let held_back = self.late - std::mem::replace(&mut self.late_told, self.late);
        if held_back > 0 {
            level = level.max(Level::Warn);
            text += &format!(
                "; {held_back} windows just now were held back, as they would have left too late: this machine is busy"
            );
        }
        if log_it {
            log::info!("{text}");
        }
        let refusal = self.around.refused.as_ref();
        let mut values = vec![
            ("armed".to_owned(), self.streaming.armed().to_string()),
            ("chunks taken".to_owned(), self.taken.to_string()),
            ("chunks refused".to_owned(), self.refused.to_string()),
            ("code".to_owned(), code.to_owned()),
            ("remedy".to_owned(), remedy.to_owned()),
            ("last refusal".to_owned(), refusal.map_or(String::new(), Reason::in_words)),
            ("last refusal code".to_owned(), refusal.map_or("", |why| why.code).to_owned()),
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
        host.report(Line::Motion, level, text, values);
    }
}

/// What is wrong with the joint states, in words, with the names of nodes.
fn joint_words(host: &impl Host, trouble: &JointTrouble) -> String {
    trouble.in_words(|sender| host.name_of(JOINT_STATES, sender))
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
