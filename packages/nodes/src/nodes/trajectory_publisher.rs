//! Streams what a policy proposes to the robot's controllers, within limits and always with an end at rest.
//!
//! `action_chunk` and `joint_states` -> `<controller>/joint_trajectory` (all with one stamp) and `execution_state`. Starts
//! disarmed unless told otherwise: then it takes nothing until `~/arm`. What it decides is in [`efm_app::publisher`]; here are the topics.

use crate::punctual::Punctual;
use crate::senders::Senders;
use crate::trace::{self, Setup, Trace};
use crate::voice::Voice;
use crate::wiring::{HEARTBEAT, ReceiptClock, WINDOWS, controller_topic, robot_description};
use efm_app::cores::{Cores, run_in_real_time};
use efm_app::joint_states::Stamps;
use efm_app::publisher::emergency::KeptStop;
use efm_app::publisher::planning_scene::PlanningScene;
use efm_app::publisher::publishing::{At, Host, JOINT_STATES, Line, Publishing, SEMANTICS};
use efm_app::publisher::scene_feed::{Outcome, SceneFeed};
use efm_app::publisher::streaming::{Event, Files, Outlet, Streaming};
pub use efm_app::publisher::streaming_params::specs;
use efm_app::publisher::streaming_params::tick_period;
use efm_core::{Level, Reason, SenderId, Stamp};
use efm_ros::bounds;
use efm_ros::r2r::action_msgs::msg::GoalStatusArray;
use efm_ros::r2r::sensor_msgs::msg::JointState;
use efm_ros::r2r::std_msgs::msg::{Bool, Float64, String as Text};
use efm_ros::r2r::std_srvs::srv::{SetBool, Trigger};
use efm_ros::r2r::trajectory_msgs::msg::JointTrajectory;
use efm_ros::{
    Bytes, Diagnostics, Latest, NodeError, Params, Plan, Publisher, Received, RosError, Task, Value, convert, qos,
};
use efm_safety::{Execution, Monitor, VerifiedWindow};
use efm_wire::CdrOf;
use efm_wire::controller_state::ControllerState;
use efm_wire::msgs::JointState as FilterState;
use futures::StreamExt;
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, channel};

/// Messages of controllers and scenes that may wait.
const QUEUE: usize = 256;
/// States of action_msgs/GoalStatus in which a goal moves the robot: accepted, executing, canceling.
const ACTIVE_GOAL: [i8; 3] = [1, 2, 3];

/// The graph, as the publisher meets it.
struct Graph {
    receipts: ReceiptClock,
    params: Params,
    trace: Trace,
    voice: Voice,
    punctual: Punctual,
    senders: Senders,
    filter: (Publisher<JointState>, CdrOf<FilterState>),
    health: Health,
}

struct Health {
    motion: Task,
    joint_states: Task,
    surroundings: Task,
    emergency_stop: Task,
    robot_description: Task,
}

impl Health {
    fn new(diagnostics: &Diagnostics) -> Self {
        Self {
            motion: diagnostics.task("motion"),
            joint_states: diagnostics.task("joint_states"),
            surroundings: diagnostics.task("surroundings"),
            emergency_stop: diagnostics.task("emergency_stop"),
            robot_description: diagnostics.task("robot_description"),
        }
    }

    fn of(&self, line: Line) -> &Task {
        match line {
            Line::Motion => &self.motion,
            Line::JointStates => &self.joint_states,
            Line::Surroundings => &self.surroundings,
            Line::EmergencyStop => &self.emergency_stop,
            Line::RobotDescription => &self.robot_description,
        }
    }
}

impl Outlet for Graph {
    fn send(&mut self, windows: &[VerifiedWindow], leave_by: Stamp) -> Result<usize, NodeError> {
        // Written first, so that nothing is left to do between a look at the clock and sending.
        self.voice.write(windows);
        let mut left = 0;
        while left < windows.len() && self.punctual.is_in_time(leave_by) {
            self.voice.send(left)?;
            left += 1;
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

impl Host for Graph {
    fn at(&self) -> At {
        At { now: self.receipts.ros_now(), received: self.receipts.now() }
    }

    fn note(&mut self, event: &Event<'_>) {
        self.trace.note(event);
    }

    fn begin(&mut self, now: Stamp) {
        self.punctual.begin(now);
    }

    fn listening(&self, listening: &mut Vec<bool>) {
        self.voice.listened_to(self.senders.own_subscriptions(), listening);
    }

    fn name_of(&self, topic: &str, sender: SenderId) -> String {
        self.senders.name_of(topic, sender)
    }

    fn node_of(&self, topic: &str, sender: SenderId) -> Option<String> {
        self.senders.node_of(topic, sender)
    }

    fn other(&mut self, now: Stamp, heeded: bool) -> Option<(usize, String)> {
        self.senders.other(now, heeded)
    }

    fn refuse_chunk(&mut self, sender: SenderId, held: SenderId) -> String {
        self.senders.refuse_chunk(sender, held)
    }

    fn sends_chunks(&self, sender: SenderId) -> bool {
        self.senders.neighbours().chunks.contains(&sender)
    }

    fn publishers_of_emergency_stop(&self) -> Vec<String> {
        self.senders.neighbours().emergency
    }

    fn clock_silence(&self) -> Option<f64> {
        self.receipts.silence()
    }

    fn speed_scale_is(&mut self, scale: f64) {
        // The parameter tells what holds, so that setting it to what it was raises it again.
        self.params.adopt("speed_scale", Value::Double(scale));
    }

    fn filter_state(&mut self, message: &FilterState) -> Result<(), NodeError> {
        let (publisher, cdr) = &mut self.filter;
        cdr.write(message);
        publisher.publish_cdr(cdr)?;
        Ok(())
    }

    fn report(&mut self, line: Line, level: Level, text: String, values: Vec<(String, String)>) {
        self.health.of(line).report(level, text, values);
    }
}

impl Graph {
    /// The moment at which a message came.
    fn came<T>(&self, message: &Received<T>) -> At {
        At { received: self.receipts.of(message), ..self.at() }
    }
}

/// Messages that are looked at when they matter; nobody is woken for each.
struct Waiting {
    joint_states: Receiver<Received<JointState>>,
    stamps: Stamps,
    controller_states: Receiver<Received<(usize, Bytes)>>,
}

impl Waiting {
    /// What came of joint states since the last time.
    fn hear_joints(&mut self, this: &mut Publishing, graph: &Graph) {
        // Those that wait now: who sends them faster than they can be looked at must not keep us here.
        for _ in 0..self.joint_states.len() {
            let Ok(message) = self.joint_states.try_recv() else { return };
            let (msg, at) = (&message.msg, graph.receipts.of(&message));
            let stamp = self.stamps.measured_at(convert::stamp(&msg.header.stamp), message.ros_at);
            this.on_joint_states(message.sender, stamp, &msg.name, &msg.position, &msg.velocity, at);
        }
    }

    /// What came of controllers' states since the last time.
    fn hear_controllers(&mut self, this: &mut Publishing, graph: &mut Graph) -> Result<(), Reason> {
        for _ in 0..self.controller_states.len() {
            let Ok(message) = self.controller_states.try_recv() else { break };
            let (controller, bytes) = &message.msg;
            this.on_controller_state(graph, graph.at(), *controller, bytes)?;
        }
        Ok(())
    }
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
            None => Some(node.latest::<Text>(SEMANTICS, qos::latched_input().at_most(bounds::DESCRIPTION))?),
        };
        let mut scales = node.every::<Float64>("speed_scale", qos::changes_input().at_most(bounds::SMALL))?;
        let mut emergencies = node.every::<Bool>("emergency_stop", qos::emergency_input().at_most(bounds::SMALL))?;
        let (scene_sender, mut scene_messages) = channel(QUEUE);
        let topic = "planning_scene";
        let looks = params.bool("check_collisions")
            && node.every_bytes_into(
                topic,
                PlanningScene::TYPE,
                qos::changes_input().at_most(bounds::SCENE),
                &scene_sender,
                |bytes| bytes.to_vec(),
            )?;
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
        let mut chunks =
            node.every::<JointTrajectory>("action_chunk", qos::chunk_input().at_most(bounds::TRAJECTORY))?;
        let mut instructions = node.every::<Text>("instruction", qos::latched_input().at_most(bounds::WORDS))?;
        let mut heartbeats = node.every::<Bool>(HEARTBEAT, qos::event_input().at_most(bounds::SMALL))?;
        let (status_sender, mut statuses) = channel(QUEUE);
        let (state_sender, controller_states) = channel(QUEUE);
        let tolerance = params.double("max_reference_error");
        let mut listens = tolerance > 0.0;
        let (mut windows, mut states) = (Vec::new(), Vec::new());
        for (place, controller) in controllers.iter().enumerate() {
            let name = &controller.name;
            windows.push(node.publisher(&format!("{name}/{WINDOWS}"), qos::trajectory())?);
            let topic = controller_topic(node.graph(), name, "follow_joint_trajectory/_action/status");
            let with_place = move |message: GoalStatusArray| (place, message);
            node.every_into(&topic, qos::latched(), &status_sender, with_place)?;
            let topic = controller_topic(node.graph(), name, "controller_state");
            let with_place = move |message: Bytes| (place, message);
            listens = listens
                && node.every_bytes_into(
                    &topic,
                    ControllerState::TYPE,
                    qos::controller_state(),
                    &state_sender,
                    with_place,
                )?;
            states.push(listens.then_some(topic));
        }
        let names: Vec<String> = controllers.iter().map(|controller| controller.name.clone()).collect();
        let senders = Senders::start(node, &windows, &names, &states)?;
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
        let mut graph = Graph {
            trace: Trace::start(node, &setup)?,
            receipts: ReceiptClock::new(&clock),
            voice: Voice::new(windows, node.publisher("execution_state", qos::trajectory())?),
            punctual: Punctual::new(&clock),
            senders,
            filter: (node.publisher("~/filter_state", qos::event())?, CdrOf::new()),
            health: Health::new(node.diagnostics()),
            params: params.clone(),
        };
        let mut this = Publishing::new(streaming, &params, graph.at(), kept_stop, listens, scenes);
        this.emergency_from_before(&mut graph)?;
        let mut waiting = Waiting { joint_states, stamps: Stamps::of(&params), controller_states };
        let mut ticker = clock.ticker(tick_period(&params));

        Ok(async move {
            // Wall time: it must be told also that /clock stands still.
            let mut tenth = tokio::time::interval(trace::PERIOD);
            tenth.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let graph = &mut graph;
            loop {
                tokio::select! {
                    biased;
                    // First, so that no load delays it.
                    Some(message) = emergencies.recv() => {
                        this.on_emergency(graph, graph.came(&message), message.msg.data, message.sender)?;
                    }
                    Some(request) = emergency_calls.next() => {
                        this.emergency(graph, graph.at(), "~/emergency_stop")?;
                        answer(request.respond(Trigger::Response { success: true, message: "nothing is sent any more; ~/arm ends it".into() }));
                    }
                    now = ticker.tick() => {
                        waiting.hear_joints(&mut this, graph);
                        waiting.hear_controllers(&mut this, graph)?;
                        this.tick(graph, At { now, ..graph.at() })?;
                    }
                    Some(message) = instructions.recv() => this.on_instruction(graph, graph.at(), &message.msg.data)?,
                    // What stands around comes before what is proposed.
                    Some(message) = scene_messages.recv() => {
                        waiting.hear_joints(&mut this, graph);
                        this.on_scene(graph, graph.at(), message.msg)?;
                    }
                    Some(outcome) = next_outcome(&mut outcomes) => this.on_surroundings(graph, graph.at(), outcome)?,
                    Some(message) = chunks.recv() => {
                        let at = graph.came(&message);
                        // Why it is not followed is told by the diagnostics.
                        let _ = this.on_chunk(graph, at, &convert::trajectory(message.msg), message.sender);
                    }
                    Some(Received { msg: (controller, message), .. }) = waiting.controller_states.recv() => {
                        this.on_controller_state(graph, graph.at(), controller, &message)?;
                    }
                    Some(Received { msg: (controller, message), .. }) = statuses.recv() => {
                        let active = message.status_list.iter().any(|goal| ACTIVE_GOAL.contains(&goal.status));
                        this.on_goal(graph, graph.at(), controller, active)?;
                    }
                    Some(request) = arms.next() => {
                        let (success, message) = said(this.arm(graph, graph.at(), request.message.data));
                        answer(request.respond(SetBool::Response { success, message }));
                    }
                    Some(request) = stops.next() => {
                        let (success, message) = said(this.stop(graph, graph.at()));
                        answer(request.respond(Trigger::Response { success, message }));
                    }
                    Some(request) = resumes.next() => {
                        let (success, message) = said(this.resume(graph));
                        answer(request.respond(Trigger::Response { success, message }));
                    }
                    Some(message) = scales.recv() => this.lower_speed_scale(graph, graph.at(), message.msg.data),
                    // Declared from 0 to 1, so it cannot be refused.
                    Ok(()) = changes.changed() => this.set_speed_scale(graph, params.double("speed_scale"))?,
                    urdf = description.next() => this.on_description(graph, graph.at(), &urdf.msg.data, urdf.sender)?,
                    srdf = next(&mut semantics) => this.on_semantics(graph, graph.at(), &srdf.msg.data, srdf.sender)?,
                    Some(message) = heartbeats.recv() => {
                        this.on_instruction_heartbeat(graph, graph.at(), message.msg.data, message.sender)?;
                    }
                    _ = tenth.tick() => {
                        waiting.hear_joints(&mut this, graph);
                        // What has come is heard before silence is counted.
                        while let Ok(message) = heartbeats.try_recv() {
                            this.on_instruction_heartbeat(graph, graph.at(), message.msg.data, message.sender)?;
                        }
                        this.every_tenth(graph, graph.at())?;
                        graph.senders.report();
                        graph.trace.flush();
                    }
                }
            }
        })
    })
}

/// What a service answers.
fn said(outcome: Result<String, Reason>) -> (bool, String) {
    match outcome {
        Ok(words) => (true, words),
        Err(why) => (false, why.text.to_string()),
    }
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
