//! Streams what a policy proposes to the robot's controllers, within limits and always with an end at rest.
//!
//! `action_chunk` and `joint_states` -> `<controller>/joint_trajectory` (all with one stamp) and `execution_state`. Starts
//! disarmed unless told otherwise: then it takes nothing until `~/arm`.

use efm_core::{JointNames, Stamp};
use efm_nodes::files;
use efm_nodes::joint_feed::JointFeed;
use efm_nodes::motion_report::{Around, Phase, explain};
use efm_nodes::percentiles::Percentiles;
use efm_nodes::wiring::{ReceiptClock, robot_description, robot_specs};
use efm_robot::{LimitSet, LimitsFile, RobotModel};
use efm_ros::r2r::action_msgs::msg::GoalStatusArray;
use efm_ros::r2r::sensor_msgs::msg::JointState;
use efm_ros::r2r::std_msgs::msg::String as Text;
use efm_ros::r2r::std_srvs::srv::{SetBool, Trigger};
use efm_ros::r2r::trajectory_msgs::msg::{JointTrajectory, JointTrajectoryPoint};
use efm_ros::{Latest, NodeError, Params, Publisher, Received, RosClock, Spec, Task, convert, qos};
use efm_safety::{
    ControllerSpec, Execution, Limits, StopReason, StreamConfig, Tick, TrajectoryStreamer, VerifiedWindow,
};
use futures::StreamExt;
use std::process::ExitCode;
use std::time::Duration;

/// Latencies kept for the percentiles.
const LATENCIES: usize = 1000;
/// States of action_msgs/GoalStatus in which a goal moves the robot: accepted, executing, canceling.
const ACTIVE_GOAL: [i8; 3] = [1, 2, 3];

fn specs() -> Vec<Spec> {
    let mut specs = robot_specs();
    specs.extend([
        Spec::lists("controllers", &[], "Joints of each controller; it is commanded on <name>/joint_trajectory.")
            .required(),
        Spec::texts("gripper_joints", &[], "Joints that open and close a gripper: no jerk limit, may hold something."),
        Spec::double("rate", 100.0, "Windows a second, and points a second within them, Hz.").range(50.0, 1000.0),
        Spec::bool(
            "armed_at_start",
            false,
            "Whether motion is allowed at once. On a real robot: false, and call ~/arm.",
        ),
        Spec::double("max_chunk_age", 1.0, "Oldest observation whose action chunk is still taken, s.")
            .range(0.01, 60.0),
        Spec::double("max_joint_state_age", 0.1, "Oldest joint state that motion relies on, s.").range(0.001, 10.0),
        Spec::double("max_future", 0.05, "How far in the future a stamp may lie, s.").range(0.0, 1.0),
        Spec::double(
            "max_tracking_error",
            0.2,
            "Largest distance of a joint from its command, rad or m; beyond it the arm stops.",
        )
        .range(1e-3, 10.0),
        Spec::double(
            "max_start_error",
            0.05,
            "Largest distance from where the last motion ended, to begin there again, rad or m.",
        )
        .range(0.0, 1.0),
        Spec::double("max_start_speed", 0.05, "Largest speed that counts as rest, rad/s or m/s.").range(0.0, 10.0),
        Spec::double(
            "max_clock_jump",
            0.05,
            "A tick later than the usual spacing by more than this brings the arm to rest, s.",
        )
        .range(1e-3, 10.0),
        Spec::double("window", 0.2, "How far a window reaches before its stop tail begins, s.").range(0.05, 2.0),
        Spec::double(
            "committed",
            0.05,
            "How far ahead a window is final, s: longer than transport plus two control periods.",
        )
        .range(0.0, 2.0),
        Spec::double("clock_skew", 0.0, "How far the controllers' clock may be behind ours, s.").range(0.0, 0.1),
        Spec::double("limit_share", 0.95, "Part of the limits that following may use; the rest is for braking.")
            .range(0.05, 0.99),
        Spec::double("blend_time", 0.15, "Shortest time in which a new chunk is blended in, s.").range(0.0, 2.0),
    ]);
    specs
}

fn stream_config(params: &Params) -> StreamConfig {
    let mut config = StreamConfig {
        period_s: 1.0 / params.double("rate"),
        window_s: params.double("window"),
        committed_s: params.double("committed"),
        clock_skew_s: params.double("clock_skew"),
        max_joint_state_age_s: params.double("max_joint_state_age"),
        max_tracking_error: params.double("max_tracking_error"),
        max_start_error: params.double("max_start_error"),
        max_start_speed: params.double("max_start_speed"),
        max_clock_jump_s: params.double("max_clock_jump"),
        share: params.double("limit_share"),
        gripper_joints: params.texts("gripper_joints"),
        ..StreamConfig::default()
    };
    config.schedule.max_chunk_age_s = params.double("max_chunk_age");
    config.schedule.future_tolerance_s = params.double("max_future");
    config.schedule.blend_s = params.double("blend_time");
    config.schedule.max_blend_s = config.schedule.max_blend_s.max(config.schedule.blend_s);
    config
}

/// What is made once the robot is known.
fn streamer(
    urdf: &str,
    limits: &LimitsFile,
    joints: &JointNames,
    controllers: &[ControllerSpec],
    config: &StreamConfig,
) -> Result<TrajectoryStreamer, NodeError> {
    let model = RobotModel::from_urdf(urdf)?;
    let set = LimitSet::new(&model, limits, joints)?;
    let limits = Limits::new(set.names, set.lower, set.upper, set.velocity, set.acceleration, set.jerk)?;
    Ok(TrajectoryStreamer::new(limits, controllers.to_vec(), config.clone())?)
}

/// The messages that go out, made once and filled again and again.
struct Voice {
    windows: Vec<(Publisher<JointTrajectory>, JointTrajectory)>,
    execution: Publisher<JointTrajectory>,
    state: JointTrajectory,
    told: Option<Stamp>,
    /// Where the last windows end: one position a joint, in the order of the controllers.
    ends: Vec<f64>,
}

impl Voice {
    fn send(&mut self, windows: &[VerifiedWindow]) -> Result<(), NodeError> {
        self.ends.clear();
        for ((publisher, message), window) in self.windows.iter_mut().zip(windows) {
            self.ends.extend_from_slice(window.positions(window.len() - 1));
            message.header.stamp = convert::time(window.stamp());
            if message.joint_names.is_empty() {
                message.joint_names = window.joints().as_slice().to_vec();
            }
            message.points.resize_with(window.len(), JointTrajectoryPoint::default);
            for (k, point) in message.points.iter_mut().enumerate() {
                point.positions.clear();
                point.positions.extend_from_slice(window.positions(k));
                point.velocities.clear();
                point.velocities.extend_from_slice(window.velocities(k));
                point.time_from_start = convert::duration(window.time_from_start(k));
            }
            publisher.publish(message)?;
        }
        Ok(())
    }

    /// What is committed and not yet executed, on the time axis of the chunk that it comes from. Returns the chunk when it is
    /// another one than before.
    fn tell(&mut self, execution: &Execution, windows: &[VerifiedWindow]) -> Result<Option<Stamp>, NodeError> {
        let stamp = execution.chunk.unwrap_or(Stamp::ZERO);
        self.state.header.stamp = convert::time(stamp);
        if self.state.joint_names.is_empty() {
            self.state.joint_names = windows.iter().flat_map(|w| w.joints().iter().map(str::to_owned)).collect();
        }
        let points = match (execution.chunk, windows.first()) {
            (Some(_), Some(first)) => first.committed().min(first.len()),
            _ => 0,
        };
        self.state.points.resize_with(points, JointTrajectoryPoint::default);
        for (k, point) in self.state.points.iter_mut().enumerate() {
            point.positions.clear();
            point.velocities.clear();
            for window in windows {
                point.positions.extend_from_slice(window.positions(k));
                point.velocities.extend_from_slice(window.velocities(k));
                let at = window.stamp().offset_nanos(window.time_from_start(k));
                point.time_from_start = convert::duration(at.nanos_since(stamp));
            }
        }
        self.execution.publish(&self.state)?;
        let news = execution.chunk.filter(|_| self.told != execution.chunk);
        self.told = execution.chunk;
        Ok(news)
    }

    /// No chunk is followed any more.
    fn rest(&mut self) -> Result<(), NodeError> {
        if self.told.take().is_some() {
            self.state.header.stamp = convert::time(Stamp::ZERO);
            self.state.points.clear();
            self.execution.publish(&self.state)?;
        }
        Ok(())
    }
}

/// The node between two messages.
struct Publishing {
    clock: RosClock,
    receipts: ReceiptClock,
    joints: JointNames,
    feed: JointFeed,
    streamer: Result<TrajectoryStreamer, String>,
    voice: Voice,
    armed: bool,
    owners: Vec<(String, bool)>,
    phase: Phase,
    around: Around,
    /// For each joint, whether it belongs to a gripper.
    grippers: Vec<bool>,
    max_start_error: f64,
    max_joint_state_age: f64,
    max_future: f64,
    chunk_came: Option<f64>,
    taken: u64,
    refused: u64,
    latency: Percentiles,
    motion: Task,
    joint_health: Task,
}

impl Publishing {
    fn on_chunk(&mut self, message: &Received<JointTrajectory>) {
        self.chunk_came = Some(self.receipts.of(message));
        let outcome = self.offer(&message.msg);
        match outcome {
            Ok(()) => {
                self.taken += 1;
                self.around.refused = None;
            }
            Err(reason) => {
                self.refused += 1;
                if self.around.refused.as_ref() != Some(&reason) {
                    log::debug!("action chunk refused: {reason}");
                }
                self.around.refused = Some(reason);
            }
        }
    }

    fn offer(&mut self, message: &JointTrajectory) -> Result<(), String> {
        let chunk = convert::chunk(message).map_err(|e| e.to_string())?;
        if self.around.instruction.as_deref() == Some("") {
            return Err("there is no goal".to_owned());
        }
        if let Some(owner) = self.owner() {
            return Err(format!("a goal of somebody else is active on {owner}"));
        }
        let streamer = self.streamer.as_mut().map_err(|e| e.clone())?;
        streamer.offer_chunk(&chunk, self.clock.now()).map(|_| ()).map_err(|e| e.to_string())
    }

    fn on_instruction(&mut self, text: &str) {
        // Whatever was proposed for another goal must not be followed any more; a chunk for the new one takes over at once.
        if self.around.instruction.as_deref() != Some(text)
            && let Ok(streamer) = &mut self.streamer
        {
            streamer.cancel(self.clock.now());
        }
        self.around.instruction = Some(text.to_owned());
    }

    fn on_joints(&mut self, message: &Received<JointState>) {
        let (msg, at) = (&message.msg, self.receipts.of(message));
        self.feed.update(convert::stamp(&msg.header.stamp), &msg.name, &msg.position, &msg.velocity, at);
    }

    fn owner(&self) -> Option<&str> {
        self.owners.iter().find(|(_, owned)| *owned).map(|(name, _)| name.as_str())
    }

    fn on_goal_status(&mut self, controller: usize, message: &GoalStatusArray) {
        let before = self.owner().is_some();
        self.owners[controller].1 = message.status_list.iter().any(|goal| ACTIVE_GOAL.contains(&goal.status));
        let after = self.owner().is_some();
        let Ok(streamer) = &mut self.streamer else { return };
        if after && !before {
            // From here on the plan is void: nothing of it is published, and the robot will stand elsewhere afterwards.
            streamer.arm(false, self.clock.now());
        } else if before && !after {
            streamer.forget_rest();
            streamer.arm(self.armed, self.clock.now());
        }
    }

    fn arm(&mut self, armed: bool) -> Result<&'static str, String> {
        let owned = self.owner().is_some();
        let streamer = self.streamer.as_mut().map_err(|e| e.clone())?;
        if armed && !self.armed {
            // While disarmed anything may have moved the robot.
            streamer.forget_rest();
        }
        self.armed = armed;
        streamer.arm(armed && !owned, self.clock.now());
        log::info!("{}", if armed { "armed" } else { "disarmed" });
        Ok(if armed { "armed" } else { "disarmed" })
    }

    fn on_description(&mut self, urdf: &str, make: impl FnOnce(&str) -> Result<TrajectoryStreamer, NodeError>) {
        if self.streamer.as_ref().is_ok_and(|s| s.is_streaming()) {
            log::error!(
                "a new robot description came while the arm moves; it is left aside until this node is started anew"
            );
            return;
        }
        self.streamer = make(urdf).map_err(|e| e.to_string());
        match &mut self.streamer {
            Ok(streamer) => streamer.arm(self.armed, self.clock.now()),
            Err(error) => log::error!("the robot description does not fit: {error}"),
        }
    }

    fn tick(&mut self, now: Stamp) -> Result<(), NodeError> {
        let received_now = self.receipts.now();
        let state = self.feed.fresh(now, received_now, self.max_joint_state_age, self.max_future);
        let (measured, trouble) = match state {
            Ok(fresh) => (Some(fresh), None),
            Err(trouble) => (None, Some(trouble)),
        };
        let owner = self.owners.iter().find(|(_, owned)| *owned).map(|(name, _)| name);
        let mut heard = None;
        let phase = match &mut self.streamer {
            Err(why) => Phase::NoRobot(why.clone()),
            Ok(streamer) => {
                // Somebody has moved the arm since (by hand, or by a simulator's reset): then what the gripper was told last is void
                // as well, and the next motion begins at what is measured.
                if !streamer.is_streaming()
                    && let Some((sample, _)) = measured
                    && !self.voice.ends.is_empty()
                    && stands_elsewhere(&sample.positions, &self.voice.ends, &self.grippers, self.max_start_error)
                {
                    streamer.forget_rest();
                    self.voice.ends.clear();
                }
                let tick = streamer.tick(now, measured);
                match (owner, &tick) {
                    (Some(owner), _) => Phase::Owned(owner.clone()),
                    (None, Tick::Idle(_)) => {
                        self.voice.rest()?;
                        Phase::of(&tick)
                    }
                    (None, Tick::Send(outgoing)) => {
                        self.voice.send(outgoing.windows)?;
                        heard = self.voice.tell(&outgoing.execution, outgoing.windows)?;
                        Phase::of(&tick)
                    }
                }
            }
        };
        if let Some(chunk) = heard {
            self.latency.add(self.clock.now().seconds_since(chunk));
        }
        let changed = !self.phase.is_like(&phase);
        self.phase = phase;
        if changed || trouble.is_some() != self.around.joints.is_some() {
            self.around.joints = trouble.map(|t| t.to_string());
            self.report(changed);
        }
        Ok(())
    }

    fn report(&mut self, log_it: bool) {
        let (now, received_now) = (self.clock.now(), self.receipts.now());
        self.around.chunk_silence = self.chunk_came.map(|came| (received_now - came).max(0.0));
        self.around.joints =
            self.feed.fresh(now, received_now, self.max_joint_state_age, self.max_future).err().map(|t| t.to_string());
        match &self.around.joints {
            Some(trouble) => self.joint_health.error(trouble.clone()),
            None => self.joint_health.ok("fresh and complete"),
        };
        let (mut level, mut text) = explain(&self.phase, &self.around, &self.joints);
        if let Some(silence) = self.clock.silence().filter(|s| *s > Duration::from_secs(1)) {
            (level, text) =
                (efm_ros::Level::Error, format!("at rest: /clock is silent for {:.1} s", silence.as_secs_f64()));
        }
        if log_it {
            log::info!("{text}");
        }
        let mut values = vec![
            ("armed".to_owned(), self.armed.to_string()),
            ("chunks taken".to_owned(), self.taken.to_string()),
            ("chunks refused".to_owned(), self.refused.to_string()),
            ("last refusal".to_owned(), self.around.refused.clone().unwrap_or_default()),
        ];
        values.extend(self.latency.shown_ms("observation to command"));
        values.push(("observation to command count".to_owned(), self.latency.count().to_string()));
        self.motion.report(level, text, values);
    }
}

fn main() -> ExitCode {
    efm_ros::run("trajectory_publisher", specs(), |node| {
        let params = node.params().clone();
        let config = stream_config(&params);
        let limits_path = files::find(&params.text("joint_limits_file"));
        let mut limits = LimitsFile::load(&limits_path).map_err(|e| format!("parameter 'joint_limits_file': {e}"))?;
        if params.double("default_jerk") > 0.0 {
            limits = limits.with_default_jerk(params.double("default_jerk"));
        }
        let mut controllers = Vec::new();
        for (name, joints) in params.lists("controllers") {
            let joints = JointNames::new(joints).map_err(|e| format!("parameter 'controllers.{name}': {e}"))?;
            controllers.push(ControllerSpec { name, joints });
        }
        let joints = JointNames::new(controllers.iter().flat_map(|c| c.joints.iter().map(str::to_owned)))
            .map_err(|e| format!("parameter 'controllers': {e}"))?;

        let mut description: Latest<Text> = robot_description(node)?;
        let mut joint_states = node.every::<JointState>("joint_states", qos::joint_states())?;
        let mut chunks = node.every::<JointTrajectory>("action_chunk", qos::trajectory())?;
        let mut instructions = node.every::<Text>("instruction", qos::latched())?;
        let (status_sender, mut statuses) = tokio::sync::mpsc::channel(64);
        let mut windows = Vec::new();
        for (place, controller) in controllers.iter().enumerate() {
            let name = &controller.name;
            windows.push((
                node.publisher(&format!("{name}/joint_trajectory"), qos::trajectory())?,
                JointTrajectory::default(),
            ));
            let mut status = node
                .every::<GoalStatusArray>(&format!("{name}/follow_joint_trajectory/_action/status"), qos::latched())?;
            let sender = status_sender.clone();
            node.spawn(async move {
                while let Some(message) = status.recv().await {
                    if sender.send((place, message.msg)).await.is_err() {
                        break;
                    }
                }
            });
        }
        let mut arms = node.service::<SetBool::Service>("~/arm")?;
        let mut stops = node.service::<Trigger::Service>("~/stop")?;
        let mut resumes = node.service::<Trigger::Service>("~/resume")?;

        let clock = node.clock().clone();
        let no_robot = "no robot_description yet";
        let mut this = Publishing {
            receipts: ReceiptClock::new(&clock),
            feed: JointFeed::new(joints.clone()),
            joints: joints.clone(),
            streamer: Err(no_robot.to_owned()),
            voice: Voice {
                windows,
                execution: node.publisher("execution_state", qos::trajectory())?,
                state: JointTrajectory::default(),
                told: None,
                ends: Vec::new(),
            },
            armed: params.bool("armed_at_start"),
            owners: controllers.iter().map(|c| (c.name.clone(), false)).collect(),
            phase: Phase::NoRobot(no_robot.to_owned()),
            around: Around::default(),
            grippers: joints.iter().map(|joint| config.gripper_joints.iter().any(|g| g == joint)).collect(),
            max_start_error: config.max_start_error,
            max_joint_state_age: params.double("max_joint_state_age"),
            max_future: params.double("max_future"),
            chunk_came: None,
            taken: 0,
            refused: 0,
            latency: Percentiles::new(LATENCIES),
            motion: node.diagnostics().task("motion"),
            joint_health: node.diagnostics().task("joint_states"),
            clock: clock.clone(),
        };
        let mut ticker = clock.ticker(Duration::from_secs_f64(config.period_s));

        Ok(async move {
            // Wall time: it must be told also that /clock stands still.
            let mut tenth = tokio::time::interval(Duration::from_millis(100));
            tenth.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    Some(message) = joint_states.recv() => this.on_joints(&message),
                    now = ticker.tick() => this.tick(now)?,
                    Some(message) = instructions.recv() => this.on_instruction(&message.msg.data),
                    Some(message) = chunks.recv() => this.on_chunk(&message),
                    Some((controller, message)) = statuses.recv() => this.on_goal_status(controller, &message),
                    Some(request) = arms.next() => {
                        let (success, message) = match this.arm(request.message.data) {
                            Ok(word) => (true, word.to_owned()),
                            Err(why) => (false, why),
                        };
                        answer(request.respond(SetBool::Response { success, message }));
                    }
                    Some(request) = stops.next() => {
                        if let Ok(streamer) = &mut this.streamer {
                            streamer.stop(clock.now());
                        }
                        answer(request.respond(Trigger::Response { success: true, message: "stopping; ~/resume ends it".into() }));
                    }
                    Some(request) = resumes.next() => {
                        let message = match &mut this.streamer {
                            Ok(streamer) => {
                                let was = streamer.latched().map_or("nothing was stopped".to_owned(), StopReason::to_string);
                                streamer.resume();
                                format!("resumed; before: {was}")
                            }
                            Err(why) => why.clone(),
                        };
                        answer(request.respond(Trigger::Response { success: this.streamer.is_ok(), message }));
                    }
                    urdf = description.next() => this.on_description(&urdf.msg.data, |urdf| {
                        streamer(urdf, &limits, &joints, &controllers, &config)
                    }),
                    _ = tenth.tick() => this.report(false),
                }
            }
        })
    })
}

/// Whether any joint but those of grippers, which may hold something, is farther than `error` from where it was sent.
fn stands_elsewhere(measured: &[f64], sent: &[f64], grippers: &[bool], error: f64) -> bool {
    measured.iter().zip(sent).zip(grippers).any(|((m, s), gripper)| !gripper && (m - s).abs() > error)
}

fn answer(outcome: efm_ros::r2r::Result<()>) {
    if let Err(error) = outcome {
        log::debug!("the client of a service is gone: {error}");
    }
}
