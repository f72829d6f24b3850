//! Runs the policy: the newest pictures, the joints at their time and the instruction -> `action_chunk`.
//!
//! What it decides is in [`efm_app::inference`]; here are the topics. Inference has a thread of its own. A package that does not fit is refused with
//! its reason: the node ends, or stays and proposes nothing, as the parameter `wrong_policy` says.

use crate::trace::{self, Inferred, Trace};
use crate::wiring::{HEARTBEAT, ReceiptClock, robot_description};
use efm_app::cores::Cores;
use efm_app::inference::brain::{Host, Inferring, Line, Picture};
use efm_app::inference::engine::{Engine, Job, Setup};
pub use efm_app::inference::inference_params::specs;
use efm_app::inference::trial::{self, Trial};
use efm_app::joint_states::Stamps;
use efm_app::publisher::publishing::{At, JOINT_STATES};
use efm_app::setup::{policy_manifest, stays_with_wrong_policy};
use efm_app::surroundings::named_file;
use efm_config::files;
use efm_core::{ActionChunk, Level, SenderId, Stamp};
use efm_policy::Manifest;
use efm_ros::qos::Hearing;
use efm_ros::r2r::sensor_msgs::msg::{Image, JointState};
use efm_ros::r2r::std_msgs::msg::{Bool, String as Text};
use efm_ros::r2r::std_srvs::srv::SetBool;
use efm_ros::r2r::trajectory_msgs::msg::JointTrajectory;
use efm_ros::{Graph, Latest, NodeError, Plan, Publisher, Received, RosClock, Task, bounds, convert, qos};
use efm_schedule::Mode;
use futures::StreamExt;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// The engine's job in hand may take so long to end when the node does.
const PATIENCE: Duration = Duration::from_millis(1200);

/// A picture from a topic.
struct FromTopic {
    image: Arc<Received<Image>>,
    clock: RosClock,
}

impl Picture for FromTopic {
    fn stamp(&self) -> Stamp {
        convert::stamp(&self.image.msg.header.stamp)
    }

    fn age_s(&self) -> f64 {
        self.image.age(&self.clock).as_secs_f64()
    }

    fn encoding(&self) -> &str {
        &self.image.msg.encoding
    }

    fn size(&self) -> (u32, u32) {
        (self.image.msg.width, self.image.msg.height)
    }

    fn pixels(&self) -> &[u8] {
        &self.image.msg.data
    }

    fn frame(&self) -> &str {
        &self.image.msg.header.frame_id
    }
}

/// The graph, as the policy meets it.
struct Topics {
    clock: RosClock,
    receipts: ReceiptClock,
    graph: Graph,
    images: Vec<Latest<Image>>,
    jobs: Sender<Job>,
    trace: Trace,
    chunks: Publisher<JointTrajectory>,
    health: Task,
    cameras: Vec<Task>,
    joint_health: Task,
    /// Where the package has joints that are not compared with the robot's limits.
    ranges_health: Option<Task>,
}

impl Host for Topics {
    type Picture = FromTopic;

    fn at(&self) -> At {
        At { now: self.clock.now(), received: self.receipts.now() }
    }

    fn notes(&self) -> bool {
        self.trace.is_on()
    }

    fn note(&mut self, event: &Inferred<'_>) {
        self.trace.note(event);
    }

    fn newest(&self, camera: usize) -> Option<FromTopic> {
        Some(FromTopic { image: self.images.get(camera)?.get()?, clock: self.clock.clone() })
    }

    fn give(&mut self, job: Job) -> bool {
        self.jobs.send(job).is_ok()
    }

    fn propose(&mut self, chunk: &ActionChunk, frame: &str) -> Result<(), NodeError> {
        Ok(self.chunks.publish(&convert::chunk_msg(chunk, frame))?)
    }

    fn name_of(&self, topic: &str, sender: SenderId) -> String {
        self.graph.name_of(topic, sender)
    }

    fn report(&mut self, line: Line, level: Level, text: String, values: Vec<(String, String)>) {
        let task = match line {
            Line::Policy => Some(&self.health),
            Line::Camera(place) => self.cameras.get(place),
            Line::JointStates => Some(&self.joint_health),
            Line::Ranges => self.ranges_health.as_ref(),
        };
        task.map(|task| task.report(level, text, values));
    }
}

/// Messages that make no observation by themselves: nobody is woken for each of these.
struct Waiting {
    joint_states: Receiver<Received<JointState>>,
    stamps: Stamps,
    /// Where the mode asks for it: what is being followed.
    executions: Option<Receiver<Received<JointTrajectory>>>,
}

impl Waiting {
    /// What came since the last time.
    fn hear(&mut self, this: &mut Inferring, topics: &Topics) {
        while let Ok(message) = self.joint_states.try_recv() {
            let (msg, at) = (&message.msg, topics.receipts.of(&message));
            let stamp = self.stamps.measured_at(convert::stamp(&msg.header.stamp), message.ros_at);
            this.on_joint_states(message.sender, stamp, &msg.name, &msg.position, &msg.velocity, at);
        }
        while let Some(Ok(message)) = self.executions.as_mut().map(Receiver::try_recv) {
            let stamp = convert::stamp(&message.msg.header.stamp);
            let times = message.msg.points.iter().map(|point| convert::duration_nanos(&point.time_from_start));
            this.on_execution((stamp != Stamp::ZERO).then_some(stamp), times, message.ros_at);
        }
    }
}

/// The next picture of any camera.
async fn next_picture(images: &mut [Latest<Image>]) {
    if images.is_empty() {
        std::future::pending::<()>().await;
    }
    let nexts = images.iter_mut().map(|latest| Box::pin(latest.next()));
    futures::future::select_all(nexts).await;
}

/// The pictures that the policy sees, and the health of each camera.
fn inputs(node: &mut efm_ros::Node, manifest: Option<&Manifest>) -> Result<(Vec<Latest<Image>>, Vec<Task>), NodeError> {
    let (mut images, mut health) = (Vec::new(), Vec::new());
    for spec in manifest.iter().flat_map(|m| &m.observation.images) {
        // Best effort matches whoever publishes; camera_ingest offers more.
        images.push(node.latest(
            &format!("observation/{}/image", spec.name),
            Hearing::from(qos::image_input()).at_most(bounds::PICTURE),
        )?);
        health.push(node.diagnostics().task(&format!("camera {}", spec.name)));
    }
    Ok((images, health))
}

/// The node `vla_inference`.
pub fn plan() -> Plan {
    trial::serve_if_asked();
    Plan::new("vla_inference", specs(), |node| {
        let params = node.params().clone();
        let limits_text = named_file(&params, "joint_limits_file")?.unwrap_or_default();
        let (folder, manifest) = match policy_manifest(&params) {
            Ok((folder, manifest)) => (folder, Ok(manifest)),
            Err(reason) if !stays_with_wrong_policy(&params) => {
                return Err(reason.of("the policy is refused: ").into());
            }
            Err(reason) => (files::find(&params.text("policy")), Err(reason.of("the policy is refused: "))),
        };
        if let Err(refusal) = &manifest {
            log::error!("{refusal}");
        }
        let (images, camera_health) = inputs(node, manifest.as_ref().ok())?;
        let mut description = robot_description(node)?;
        let joint_states = node.every::<JointState>(JOINT_STATES, qos::joint_states_input())?;
        let mut instructions = node.every::<Text>("instruction", qos::latched_input().at_most(bounds::WORDS))?;
        let mut heartbeats = node.every::<Bool>(HEARTBEAT, qos::event_input().at_most(bounds::SMALL))?;
        let mode = params.text("mode").parse::<Mode>()?;
        let executions = match mode {
            Mode::Rtc => Some(node.every::<JointTrajectory>(
                "execution_state",
                Hearing::from(qos::trajectory()).at_most(bounds::TRAJECTORY),
            )?),
            _ => None,
        };
        let mut enables = node.service::<SetBool::Service>("~/enable")?;

        let cores = Cores::named(&params.integers("inference_cores"))
            .map_err(|error| format!("parameter 'inference_cores': {error}"))?;
        let mut started = trace::Setup::new("vla_inference", &params);
        started.files.insert("joint_limits_file".to_owned(), limits_text.clone());
        if let Ok(manifest) = &manifest {
            started.hashes.extend(manifest.graphs.values().map(|graph| (graph.file.clone(), graph.sha256.clone())));
        }
        let mut setup = Setup::new(&params, folder, &limits_text)?;
        setup.cores = cores;
        setup.trial = Trial::new(&params, &limits_text);
        let (answer, mut answers) = tokio::sync::mpsc::unbounded_channel();
        let engine = Engine::start(setup, move |given| {
            // When nobody listens any more, the node is ending.
            let _ = answer.send(given);
        })?;
        let (jobs, end) = engine.split();

        let clock = node.clock().clone();
        let mut this = Inferring::new(&params, manifest.as_ref().map_err(Clone::clone))?;
        let diagnostics = node.diagnostics().clone();
        let mut topics = Topics {
            receipts: ReceiptClock::new(&clock),
            graph: node.graph().clone(),
            images: images.clone(),
            jobs,
            trace: Trace::start(node, &started)?,
            chunks: node.publisher("action_chunk", qos::trajectory())?,
            health: diagnostics.task("policy"),
            cameras: camera_health,
            joint_health: diagnostics.task("joint_states"),
            ranges_health: (manifest.as_ref().ok())
                .filter(|m| !m.robot.ranges_not_compared.is_empty())
                .map(|_| diagnostics.task("ranges")),
            clock,
        };
        let mut waiting = Waiting { joint_states, stamps: Stamps::of(&params), executions };
        let mut images = images;
        // ONNX Runtime must not be put away while its graph runs. The main work (and with it the way to the engine) is gone by now.
        node.on_shutdown(move || {
            if !end.wait(PATIENCE) {
                log::warn!("inference did not end in time");
            }
        });

        Ok(async move {
            let mut tenth = tokio::time::interval(trace::PERIOD);
            tenth.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let topics = &mut topics;
            loop {
                tokio::select! {
                    () = next_picture(&mut images) => {
                        waiting.hear(&mut this, topics);
                        this.remember(topics);
                    }
                    Some(answer) = answers.recv() => {
                        waiting.hear(&mut this, topics);
                        this.on_answer(topics, answer)?;
                    }
                    Some(message) = instructions.recv() => this.on_instruction(topics.at(), &message.msg.data),
                    urdf = description.next() => this.on_description(topics, &urdf.msg.data, urdf.sender),
                    Some(request) = enables.next() => {
                        let message = this.enable(request.message.data).to_owned();
                        if let Err(error) = request.respond(SetBool::Response { success: true, message }) {
                            log::debug!("~/enable: {error}");
                        }
                    }
                    Some(message) = heartbeats.recv() => {
                        this.on_instruction_heartbeat(topics.at(), message.msg.data, message.sender);
                    }
                    _ = tenth.tick() => {
                        waiting.hear(&mut this, topics);
                        // What has come is heard before silence is counted.
                        while let Ok(message) = heartbeats.try_recv() {
                            this.on_instruction_heartbeat(topics.at(), message.msg.data, message.sender);
                        }
                        this.every_tenth(topics);
                        topics.trace.flush();
                    }
                }
                this.give_work(topics);
            }
        })
    })
}
