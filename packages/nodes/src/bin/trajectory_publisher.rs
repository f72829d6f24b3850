//! Streams what a policy proposes to the robot's controllers, within limits and always with an end at rest.
//!
//! `action_chunk` and `joint_states` -> `<controller>/joint_trajectory` (all with one stamp) and `execution_state`. Starts
//! disarmed unless told otherwise: then it takes nothing until `~/arm`.

use efm_collision::Obstacles;
use efm_core::{ChunkError, JointNames, Stamp};
use efm_nodes::controller_state::ControllerState;
use efm_nodes::controller_watch::ControllerWatches;
use efm_nodes::cores::Cores;
use efm_nodes::files;
use efm_nodes::filter_state::{self, Known, Slowed};
use efm_nodes::goal_change::{Change, GoalChange};
use efm_nodes::joint_feed::JointFeed;
use efm_nodes::motion_report::{Around, Phase, explain};
use efm_nodes::percentiles::Percentiles;
use efm_nodes::planning_scene::PlanningScene;
use efm_nodes::scene_feed::{self, Outcome, SceneFeed};
use efm_nodes::streaming_params::{
    TaskRule, on_new_goal, specs, stream_config, task_limits, task_rules, tick_period, tightest,
};
use efm_nodes::surroundings::{obstacles, semantic_file, surroundings};
use efm_nodes::voice::Voice;
use efm_nodes::wiring::{ReceiptClock, next_of, robot_description};
use efm_robot::{LimitSet, LimitsFile, RobotModel};
use efm_ros::convert::ChunkMsgError;
use efm_ros::r2r::action_msgs::msg::GoalStatusArray;
use efm_ros::r2r::sensor_msgs::msg::JointState;
use efm_ros::r2r::std_msgs::msg::{Bool, Float64, String as Text};
use efm_ros::r2r::std_srvs::srv::{SetBool, Trigger};
use efm_ros::r2r::trajectory_msgs::msg::JointTrajectory;
use efm_ros::{Latest, NodeError, Params, Publisher, Received, RosClock, Task, Value, convert, qos};
use efm_safety::{
    ControllerFault, ControllerSpec, IdleReason, Limits, StopReason, StreamConfig, TaskLimits, Tick, TrajectoryStreamer,
};
use efm_schedule::MotionNow;
use futures::StreamExt;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver};

/// Latencies kept for the percentiles.
const LATENCIES: usize = 1000;
/// States of action_msgs/GoalStatus in which a goal moves the robot: accepted, executing, canceling.
const ACTIVE_GOAL: [i8; 3] = [1, 2, 3];
const NO_ROBOT: &str = "no robot_description yet";

/// What a streamer is made of once the robot is known.
struct Maker {
    limits: LimitsFile,
    joints: JointNames,
    controllers: Vec<ControllerSpec>,
    config: StreamConfig,
    obstacles: Obstacles,
    params: Params,
    urdf: Option<String>,
    srdf: Option<String>,
}

impl Maker {
    fn streamer(&self) -> Result<TrajectoryStreamer, NodeError> {
        let urdf = self.urdf.as_deref().ok_or(NO_ROBOT)?;
        let model = RobotModel::from_urdf(urdf)?;
        let set = LimitSet::new(&model, &self.limits, &self.joints)?;
        let limits = Limits::new(set.names, set.lower, set.upper, set.velocity, set.acceleration, set.jerk)?;
        let around = surroundings(&model, self.srdf.as_deref(), &self.joints, &self.obstacles, &self.params)?;
        let mut streamer = TrajectoryStreamer::within(around, limits, self.controllers.clone(), self.config.clone())?;
        streamer.set_speed_scale(self.params.double("speed_scale"))?;
        Ok(streamer)
    }
}

/// The node between two messages.
struct Publishing {
    clock: RosClock,
    receipts: ReceiptClock,
    joints: JointNames,
    feed: JointFeed,
    maker: Maker,
    streamer: Result<TrajectoryStreamer, String>,
    voice: Voice,
    watches: ControllerWatches,
    filter: (Publisher<JointState>, JointState),
    slowed: Slowed,
    task_rules: Vec<TaskRule>,
    goal: GoalChange,
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
    /// Observation time of the chunk that came last.
    chunk_seen: Option<Stamp>,
    taken: u64,
    refused: u64,
    latency: Percentiles,
    /// From an instruction until a chunk for it is followed.
    change: Percentiles,
    scenes: Option<SceneFeed>,
    motion: Task,
    joint_health: Task,
    scene_health: Task,
}

impl Publishing {
    fn on_chunk(&mut self, message: &Received<JointTrajectory>) {
        self.chunk_came = Some(self.receipts.of(message));
        self.chunk_seen = Some(convert::stamp(&message.msg.header.stamp));
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
        let chunk = convert::chunk(message).map_err(|error| {
            if let (ChunkMsgError::Chunk(ChunkError::NotFinite { .. }), Ok(streamer)) = (&error, &mut self.streamer) {
                streamer.reject_chunk(self.clock.now());
            }
            error.to_string()
        })?;
        let (motion, now) = (self.motion_now(), self.clock.now());
        self.goal.admit(chunk.observed_at(), motion, now)?;
        if let Some(owner) = self.owner() {
            return Err(format!("a goal of somebody else is active on {owner}"));
        }
        if let Some(controller) = self.voice.missing() {
            return Err(self.missing(controller));
        }
        if let Some(trouble) = self.scenes.as_ref().and_then(SceneFeed::trouble) {
            return Err(trouble.to_owned());
        }
        let streamer = self.streamer.as_mut().map_err(|e| e.clone())?;
        streamer.offer_chunk(&chunk, now).map(|_| ()).map_err(|e| e.to_string())
    }

    fn missing(&self, controller: usize) -> String {
        format!("nobody listens to '{}/joint_trajectory': is the controller active?", self.owners[controller].0)
    }

    /// What must not wait for a report: a controller that has gone while others move.
    fn watch_controllers(&mut self) {
        let now = self.clock.now();
        let missing = self.voice.missing();
        // In words only once: this is asked in every tick.
        match missing {
            None => self.around.controller = None,
            Some(controller) => {
                let told = |told: &String| told.contains(self.owners[controller].0.as_str());
                if !self.around.controller.as_ref().is_some_and(told) {
                    self.around.controller = Some(self.missing(controller));
                }
            }
        }
        if let (Some(controller), Ok(streamer)) = (missing, &mut self.streamer)
            && streamer.is_streaming()
        {
            streamer.controller_failed(controller, ControllerFault::Missing, now);
        }
    }

    /// A controller tells what it wants; `bytes` hold its state.
    fn on_controller_state(&mut self, controller: usize, bytes: &[u8]) {
        let Err(off) = self.watches.heard(controller, bytes) else { return };
        if let Ok(streamer) = &mut self.streamer
            && streamer.is_streaming()
        {
            log::error!("{off}");
            self.around.not_following = Some(off);
            streamer.controller_failed(controller, ControllerFault::NotFollowing, self.clock.now());
        }
    }

    fn emergency(&mut self, why: &str) {
        if let Ok(streamer) = &mut self.streamer {
            streamer.emergency_stop();
        }
        self.armed = false;
        log::error!("emergency stop ({why}): nothing is sent any more; call ~/arm when it is safe");
    }

    fn lower_speed_scale(&mut self, scale: f64) {
        let Ok(streamer) = &mut self.streamer else { return };
        let before = streamer.speed_scale();
        match streamer.lower_speed_scale(scale) {
            Ok(()) if streamer.speed_scale() < before => {
                // The parameter tells what holds, so that setting it to what it was raises it again.
                self.maker.params.adopt("speed_scale", Value::Double(scale));
                log::info!("speed_scale lowered to {scale}");
            }
            Ok(()) => {}
            Err(error) => log::warn!("topic 'speed_scale': {error}"),
        }
    }

    /// The motion, as the rule for a new instruction has to know it.
    fn motion_now(&self) -> MotionNow {
        let streamer = self.streamer.as_ref().ok();
        MotionNow {
            ends_at: streamer.and_then(|s| s.scheduler().ends_at()),
            at_rest: !streamer.is_some_and(TrajectoryStreamer::is_streaming),
        }
    }

    fn on_instruction(&mut self, text: &str) {
        let (motion, now) = (self.motion_now(), self.clock.now());
        let change = self.goal.ask(text, motion, now);
        self.around.instruction = Some(text.to_owned());
        if change == Change::Same {
            return;
        }
        if change == Change::Anew
            && let Ok(streamer) = &mut self.streamer
        {
            streamer.cancel(now);
        }
        self.limit_task();
    }

    /// What the instruction asks to be careful with; of two that are under way the more careful.
    fn care(&self) -> TaskLimits {
        let under_way = [self.goal.text(), self.goal.before()].into_iter().flatten();
        under_way.map(|text| task_limits(&self.task_rules, text)).reduce(tightest).unwrap_or_default()
    }

    fn limit_task(&mut self) {
        let limits = self.care();
        let Ok(streamer) = &mut self.streamer else { return };
        if let Err(error) = streamer.set_task_limits(limits) {
            log::error!("parameter 'task_limits': {error}; the arm is stopped");
            streamer.stop(self.clock.now());
        }
    }

    fn on_joints(&mut self, message: &Received<JointState>) {
        let (msg, at) = (&message.msg, self.receipts.of(message));
        self.feed.update(convert::stamp(&msg.header.stamp), &msg.name, &msg.position, &msg.velocity, at);
    }

    fn on_scene(&mut self, bytes: Vec<u8>) {
        let Some(scenes) = &mut self.scenes else { return };
        scenes.came(bytes);
        let fresh =
            self.feed.fresh(self.clock.now(), self.receipts.now(), self.max_joint_state_age, self.max_future).ok();
        scenes.pass_on(fresh.map(|(sample, _)| sample.positions.as_slice()));
        self.heed_scenes();
    }

    fn on_surroundings(&mut self, outcome: Outcome) {
        if let (Some(scenes), Ok(streamer)) = (&mut self.scenes, &mut self.streamer) {
            scenes.take_over(outcome, streamer);
        }
        self.heed_scenes();
    }

    /// Something is there and nobody knows where: no motion, until that is known.
    fn heed_scenes(&mut self) {
        let trouble = self.scenes.as_ref().and_then(SceneFeed::trouble);
        if self.around.surroundings.as_deref() == trouble {
            return;
        }
        self.around.surroundings = trouble.map(str::to_owned);
        match (&self.around.surroundings, &mut self.streamer) {
            (Some(trouble), Ok(streamer)) => {
                log::warn!("{trouble}");
                streamer.cancel(self.clock.now());
            }
            (Some(_), Err(_)) => {}
            (None, _) => log::info!("the planning scene is known"),
        }
        self.report(false);
    }

    fn owner(&self) -> Option<&str> {
        self.owners.iter().find(|(_, owned)| *owned).map(|(name, _)| name.as_str())
    }

    fn on_goal_status(&mut self, controller: usize, message: &GoalStatusArray) {
        let before = self.owner().is_some();
        self.owners[controller].1 = message.status_list.iter().any(|goal| ACTIVE_GOAL.contains(&goal.status));
        let after = self.owner().is_some();
        let Ok(streamer) = &mut self.streamer else { return };
        if after != before {
            self.watches.forget();
        }
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

    /// After a description has come.
    fn make(&mut self) {
        if self.streamer.as_ref().is_ok_and(|s| s.is_streaming()) {
            log::error!(
                "a new robot description came while the arm moves; it is left aside until this node is started anew"
            );
            return;
        }
        let latched = self.streamer.as_ref().ok().and_then(|before| before.latched().cloned());
        self.streamer = self.maker.streamer().map_err(|e| e.to_string());
        let limits = self.care();
        if let Ok(streamer) = &mut self.streamer
            && let Err(error) = streamer.set_task_limits(limits)
        {
            self.streamer = Err(format!("parameter 'task_limits': {error}"));
        }
        match &mut self.streamer {
            Ok(streamer) => {
                // Another description is no reason to go on after a stop. An emergency stop has disarmed already.
                if latched.is_some_and(|reason| reason != StopReason::Emergency) {
                    streamer.stop(self.clock.now());
                }
                streamer.arm(self.armed, self.clock.now());
                if let Some(scenes) = &mut self.scenes {
                    scenes.robot(streamer);
                }
            }
            Err(error) if error == NO_ROBOT => {}
            Err(error) => log::error!("the robot description does not fit: {error}"),
        }
        self.heed_scenes();
    }

    fn tick(&mut self, now: Stamp) -> Result<(), NodeError> {
        self.watch_controllers();
        let received_now = self.receipts.now();
        let state = self.feed.fresh(now, received_now, self.max_joint_state_age, self.max_future);
        let (measured, trouble) = match state {
            Ok(fresh) => (Some(fresh), None),
            Err(trouble) => (None, Some(trouble)),
        };
        let known = Known {
            armed: self.armed,
            controllers: self.voice.listened_to(),
            joint_state_age_s: measured.map(|(_, age)| age),
            chunk_age_s: self.chunk_seen.map(|seen| now.seconds_since(seen)),
        };
        if let Some(scenes) = &mut self.scenes {
            scenes.pass_on(measured.map(|(sample, _)| sample.positions.as_slice()));
        }
        let motion = self.motion_now();
        if self.goal.must_stop(motion, now)
            && let Ok(streamer) = &mut self.streamer
        {
            streamer.cancel(now);
        }
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
                match (owner, &streamer.tick(now, measured)) {
                    (Some(owner), _) => Phase::Owned(owner.clone()),
                    // Between two points, and nothing new.
                    (None, Tick::Hold) => return Ok(()),
                    (None, Tick::Idle(reason)) => {
                        self.voice.rest()?;
                        Phase::Idle(reason.clone())
                    }
                    (None, Tick::Send(outgoing)) => {
                        self.slowed.note(&outgoing.report);
                        self.voice.send(outgoing.windows)?;
                        self.watches.sent(outgoing.windows);
                        heard = self.voice.tell(&outgoing.execution, outgoing.windows)?;
                        Phase::of(&outgoing.activity)
                    }
                }
            }
        };
        if let Some(chunk) = heard {
            self.latency.add(self.clock.now().seconds_since(chunk));
            if let Some(seconds) = self.goal.follows(chunk, now) {
                self.change.add(seconds);
                // The one before is over, and what it asked for.
                self.limit_task();
            }
        }
        let changed = !self.phase.is_like(&phase);
        self.phase = phase;
        if let Ok(streamer) = &self.streamer {
            filter_state::write(streamer.report(), streamer.speed_scale(), &known, now, &mut self.filter.1);
            self.filter.0.publish(&self.filter.1)?;
        }
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
        let (level, text, values) = scene_feed::explain(self.streamer.as_mut().ok(), self.scenes.as_ref());
        self.scene_health.report(level, text, values);
        self.around.obstacle = match (&self.streamer, &self.phase) {
            (Ok(streamer), Phase::Blocked(intrusion)) => Some(streamer.describe(intrusion)),
            (Ok(streamer), Phase::Idle(IdleReason::Space(intrusion))) => Some(streamer.describe(intrusion)),
            _ => None,
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
        values.extend(self.change.shown_ms("instruction to motion"));
        values.extend(self.latency.shown_ms("observation to command"));
        values.push(("observation to command count".to_owned(), self.latency.count().to_string()));
        if let Ok(streamer) = &self.streamer {
            let report = streamer.report();
            values.push(("speed scale".to_owned(), format!("{:.2}", streamer.speed_scale())));
            values.push(("rate on the path".to_owned(), format!("{:.2}", report.rate)));
            let clearance = report.clearance.map_or("not checked".to_owned(), |c| format!("{:.1} mm", 1e3 * c));
            values.push(("clearance of the plan".to_owned(), clearance));
        }
        let name = |joint: usize| self.joints.as_slice().get(joint).map_or("?", String::as_str).to_owned();
        values.extend(self.slowed.in_words(name));
        self.motion.report(level, text, values);
    }
}

fn main() -> ExitCode {
    efm_ros::run("trajectory_publisher", specs(), |node| {
        let params = node.params().clone();
        let wrong_cores = |why: String| format!("parameter 'control_cores': {why}");
        if let Some(cores) = Cores::named(&params.integers("control_cores")).map_err(|e| wrong_cores(e.to_string()))? {
            // All of them: ticks come by way of the runtime's threads, messages by way of the middleware's.
            cores.confine_this_process().map_err(|e| wrong_cores(e.to_string()))?;
        }
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
        let srdf = semantic_file(&params)?;
        let mut semantics = match &srdf {
            Some(_) => None,
            None => Some(node.latest::<Text>("robot_description_semantic", qos::latched())?),
        };
        let maker = Maker {
            limits,
            joints: joints.clone(),
            controllers: controllers.clone(),
            config: config.clone(),
            obstacles: obstacles(&params)?,
            params: params.clone(),
            urdf: None,
            srdf,
        };
        let mut scales = node.every::<Float64>("speed_scale", qos::event())?;
        let mut emergencies = node.every::<Bool>("emergency_stop", qos::event())?;
        let mut scene_messages = match params.bool("check_collisions") {
            true => node.every_raw("planning_scene", PlanningScene::TYPE, qos::event())?,
            false => None,
        };
        if scene_messages.is_none() {
            let why = match params.bool("check_collisions") {
                true => "moveit_msgs was not found when this was built",
                false => "parameter 'check_collisions' is false",
            };
            log::info!("topic 'planning_scene' is not listened to: {why}");
        }
        let (scenes, mut outcomes) = scene_messages.is_some().then(SceneFeed::start).unzip();
        let mut changes = params.changes();
        let mut joint_states = node.every::<JointState>("joint_states", qos::joint_states_input())?;
        let mut chunks = node.every::<JointTrajectory>("action_chunk", qos::trajectory())?;
        let mut instructions = node.every::<Text>("instruction", qos::latched())?;
        let (status_sender, mut statuses) = tokio::sync::mpsc::channel(64);
        let (state_sender, mut states) = tokio::sync::mpsc::channel(64);
        let tolerance = params.double("max_reference_error");
        let mut listens = tolerance > 0.0;
        let mut windows = Vec::new();
        for (place, controller) in controllers.iter().enumerate() {
            let name = &controller.name;
            windows.push((
                node.publisher(&format!("{name}/joint_trajectory"), qos::trajectory())?,
                JointTrajectory::default(),
            ));
            let status = node
                .every::<GoalStatusArray>(&format!("{name}/follow_joint_trajectory/_action/status"), qos::latched())?;
            node.spawn(pass_on(place, status, status_sender.clone()));
            let state = match listens {
                true => {
                    node.every_raw(&format!("{name}/controller_state"), ControllerState::TYPE, qos::controller_state())?
                }
                false => None,
            };
            match state {
                Some(state) => node.spawn(pass_on(place, state, state_sender.clone())),
                None => listens = false,
            };
        }
        if !listens {
            let why = match tolerance > 0.0 {
                true => "control_msgs was not found when this was built",
                false => "parameter 'max_reference_error' is 0",
            };
            log::info!("topics '<controller>/controller_state' are not listened to: {why}");
        }
        let mut arms = node.service::<SetBool::Service>("~/arm")?;
        let mut stops = node.service::<Trigger::Service>("~/stop")?;
        let mut resumes = node.service::<Trigger::Service>("~/resume")?;
        let mut emergency_calls = node.service::<Trigger::Service>("~/emergency_stop")?;

        let clock = node.clock().clone();
        let mut this = Publishing {
            receipts: ReceiptClock::new(&clock),
            feed: JointFeed::new(joints.clone()),
            joints: joints.clone(),
            maker,
            filter: (node.publisher("~/filter_state", qos::event())?, filter_state::message()),
            slowed: Slowed::default(),
            task_rules: task_rules(&params)?,
            goal: GoalChange::new(on_new_goal(&params)),
            streamer: Err(NO_ROBOT.to_owned()),
            voice: Voice {
                windows,
                execution: node.publisher("execution_state", qos::trajectory())?,
                state: JointTrajectory::default(),
                told: None,
                ends: Vec::new(),
            },
            // What was sent is remembered only where somebody tells what became of it.
            watches: ControllerWatches::new(if listens { &controllers } else { &[] }, tolerance),
            armed: params.bool("armed_at_start"),
            owners: controllers.iter().map(|c| (c.name.clone(), false)).collect(),
            phase: Phase::NoRobot(NO_ROBOT.to_owned()),
            around: Around::default(),
            grippers: joints.iter().map(|joint| config.gripper_joints.iter().any(|g| g == joint)).collect(),
            max_start_error: config.max_start_error,
            max_joint_state_age: params.double("max_joint_state_age"),
            max_future: params.double("max_future"),
            chunk_came: None,
            chunk_seen: None,
            taken: 0,
            refused: 0,
            latency: Percentiles::new(LATENCIES),
            change: Percentiles::new(LATENCIES),
            scenes,
            motion: node.diagnostics().task("motion"),
            joint_health: node.diagnostics().task("joint_states"),
            scene_health: node.diagnostics().task("surroundings"),
            clock: clock.clone(),
        };
        let mut ticker = clock.ticker(tick_period(&params));

        Ok(async move {
            // Wall time: it must be told also that /clock stands still.
            let mut tenth = tokio::time::interval(Duration::from_millis(100));
            tenth.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    // First, so that no load delays it.
                    Some(message) = emergencies.recv() => if message.msg.data { this.emergency("topic emergency_stop") },
                    Some(request) = emergency_calls.next() => {
                        this.emergency("~/emergency_stop");
                        answer(request.respond(Trigger::Response { success: true, message: "nothing is sent any more; ~/arm ends it".into() }));
                    }
                    Some(message) = joint_states.recv() => this.on_joints(&message),
                    now = ticker.tick() => this.tick(now)?,
                    Some(message) = instructions.recv() => this.on_instruction(&message.msg.data),
                    // What stands around comes before what is proposed.
                    Some(message) = next_of(&mut scene_messages) => this.on_scene(message.msg),
                    Some(outcome) = next_outcome(&mut outcomes) => this.on_surroundings(outcome),
                    Some(message) = chunks.recv() => this.on_chunk(&message),
                    Some((controller, message)) = states.recv() => this.on_controller_state(controller, &message),
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
                    Some(message) = scales.recv() => this.lower_speed_scale(message.msg.data),
                    Ok(()) = changes.changed() => if let Ok(streamer) = &mut this.streamer {
                        // Declared from 0 to 1, so it cannot be refused.
                        streamer.set_speed_scale(this.maker.params.double("speed_scale"))?;
                    },
                    // The same once more (its publisher was started anew) changes nothing.
                    urdf = description.next() => if this.maker.urdf.as_ref() != Some(&urdf.msg.data) {
                        this.maker.urdf = Some(urdf.msg.data.clone());
                        this.make();
                    },
                    srdf = next(&mut semantics) => if this.maker.srdf.as_ref() != Some(&srdf) {
                        this.maker.srdf = Some(srdf);
                        this.make();
                    },
                    _ = tenth.tick() => {
                        // Under simulation ticks may be slow, or stand still.
                        this.watch_controllers();
                        this.report(false);
                    }
                }
            }
        })
    })
}

/// Passes on what comes from a controller, with its place.
async fn pass_on<T>(place: usize, mut from: Receiver<Received<T>>, to: Sender<(usize, T)>) {
    while let Some(message) = from.recv().await {
        if to.send((place, message.msg)).await.is_err() {
            break;
        }
    }
}

/// The next semantic description; never, where it came from a file.
async fn next(semantics: &mut Option<Latest<Text>>) -> String {
    match semantics {
        Some(latest) => latest.next().await.msg.data.clone(),
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

/// Whether any joint but those of grippers, which may hold something, is farther than `error` from where it was sent.
fn stands_elsewhere(measured: &[f64], sent: &[f64], grippers: &[bool], error: f64) -> bool {
    measured.iter().zip(sent).zip(grippers).any(|((m, s), gripper)| !gripper && (m - s).abs() > error)
}

fn answer(outcome: efm_ros::r2r::Result<()>) {
    if let Err(error) = outcome {
        log::debug!("the client of a service is gone: {error}");
    }
}
