//! Runs the policy: the newest pictures, the joints at their time and the instruction -> `action_chunk`.
//!
//! Inference has a thread of its own (`efm_app::inference::engine`); intake goes on meanwhile, and each run works on the newest observation.
//! A package that does not fit is refused with its reason; the node stays and proposes nothing.

use crate::trace::{self, Inferred, Look, Seen, SeenPicture, Trace};
use crate::wiring::{ReceiptClock, robot_description};
use efm_app::cores::Cores;
use efm_app::inference::engine::{Acted, Answer, Engine, Job, Opened, Pictures, Setup, Sight};
use efm_app::inference::execution::ExecutionFeed;
use efm_app::inference::inference_params::joint_memory;
pub use efm_app::inference::inference_params::specs;
use efm_app::inference::pairing::Pairing;
use efm_app::inference::picture_ring::PictureRing;
use efm_app::inference::replan::Replan;
use efm_app::setup::policy_manifest;
use efm_app::surroundings::named_file;
use efm_config::files;
use efm_core::freshness::FreshnessBounds;
use efm_core::percentiles::Percentiles;
use efm_core::words::{Heard, Lexicon, StopWords, hear};
use efm_core::{JointNames, JointSample, Stamp};
use efm_policy::{ImageSpec, Manifest};
use efm_ros::r2r::sensor_msgs::msg::{Image, JointState};
use efm_ros::r2r::std_msgs::msg::String as Text;
use efm_ros::r2r::std_srvs::srv::SetBool;
use efm_ros::r2r::trajectory_msgs::msg::JointTrajectory;
use efm_ros::{Graph, Latest, Level, NodeError, Plan, Publisher, Received, RosClock, Task, convert, qos};
use efm_safety::{Contradiction, JointFeed};
use efm_schedule::Mode;
use futures::StreamExt;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// The engine's job in hand may take so long to end when the node does.
const PATIENCE: Duration = Duration::from_millis(1200);

/// One camera of the policy.
struct CameraInput {
    spec: ImageSpec,
    images: Latest<Image>,
    health: Task,
}

/// What the engine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Busy {
    No,
    Opening,
    Embedding,
    /// Works on a chunk for the instruction of this number.
    Acting(u64),
}

struct Inference {
    clock: RosClock,
    receipts: ReceiptClock,
    bounds: FreshnessBounds,
    max_joint_state_age: f64,
    joint_states: Receiver<Received<JointState>>,
    /// Where the mode asks for it: what is being followed.
    executions: Option<Receiver<Received<JointTrajectory>>>,
    cameras: Vec<CameraInput>,
    pairing: Pairing,
    graph: Graph,
    feed: JointFeed,
    /// What was seen before, for a policy that looks at it.
    seen: PictureRing,
    jobs: Sender<Job>,
    trace: Trace,
    busy: Busy,
    /// The URDF that the policy is to be opened for.
    to_open: Option<String>,
    /// The open policy, or why there is none.
    policy: Result<String, String>,
    instruction: String,
    /// What asks to stop, and what the policy knows by name.
    stops: StopWords,
    lexicon: Option<Lexicon>,
    /// What the policy's package keeps from being compared with the robot's limits.
    not_compared: Vec<String>,
    /// Counts instructions, so that a chunk for an old one is known.
    instruction_number: u64,
    /// Whether the engine holds the embedding of the instruction; or why not.
    embedded: Result<bool, String>,
    enabled: bool,
    replan: Replan,
    noise_seed: u64,
    mode: Mode,
    /// What is followed, where that guides.
    execution: ExecutionFeed,
    chunks: Publisher<JointTrajectory>,
    proposed: u64,
    guided: u64,
    /// Actions that the policy is expected to take.
    expected: Option<usize>,
    failed: u64,
    failure: Option<String>,
    inference: Percentiles,
    age: Percentiles,
    frame: String,
    health: Task,
    joint_health: Task,
    /// Where the package has joints that are not compared with the robot's limits.
    ranges_health: Option<Task>,
}

impl Inference {
    /// What came since the last time of what makes no observation by itself: nobody is woken for each of these.
    fn hear(&mut self) {
        while let Ok(message) = self.joint_states.try_recv() {
            let (msg, at) = (&message.msg, self.receipts.of(&message));
            let stamp = convert::stamp(&msg.header.stamp);
            self.feed.update(message.sender, stamp, &msg.name, &msg.position, &msg.velocity, at);
        }
        while let Some(Ok(message)) = self.executions.as_mut().map(Receiver::try_recv) {
            let stamp = convert::stamp(&message.msg.header.stamp);
            let times = message.msg.points.iter().map(|point| convert::duration_nanos(&point.time_from_start));
            self.execution.heard((stamp != Stamp::ZERO).then_some(stamp), times, message.ros_at);
        }
    }

    /// Whether joint states may be relied on now.
    fn fresh_joints(&mut self) -> Result<(), String> {
        let received_now = self.receipts.now();
        let (max_age, max_future) = (self.max_joint_state_age, self.bounds.max_future);
        let graph = &self.graph;
        let name = |sender| graph.name_of("joint_states", sender);
        self.feed
            .fresh(self.clock.now(), received_now, max_age, max_future)
            .map_err(|trouble| trouble.in_words(name))?;
        match self.feed.contradiction(received_now) {
            Some(two @ Contradiction::Senders { joint, .. }) => {
                let joint = self.feed.wanted().as_slice().get(joint).map_or("?", String::as_str);
                Err(two.in_words(joint, name))
            }
            _ => Ok(()),
        }
    }

    fn on_instruction(&mut self, text: &str) {
        if text == self.instruction {
            return;
        }
        text.clone_into(&mut self.instruction);
        self.instruction_number += 1;
        self.failure = None;
        self.replan.restart(self.clock.now());
        // goal_intake checks goals; whoever publishes an instruction by other means is checked here.
        self.embedded = match hear(text, &self.stops, self.lexicon.as_ref()) {
            Heard::Goal(..) => Ok(false),
            _ if text.is_empty() => Ok(false),
            Heard::Stop(said) => Err(format!("the instruction is refused: '{said}' asks to stop")),
            Heard::Refused(refusal) => Err(format!("the instruction is refused: {refusal}")),
        };
        if let Err(reason) = &self.embedded {
            log::error!("{reason}");
        }
    }

    fn on_answer(&mut self, answer: Answer) -> Result<(), NodeError> {
        let busy = std::mem::replace(&mut self.busy, Busy::No);
        match answer {
            Answer::Opened(outcome) => {
                let policy = outcome.as_ref().map(|opened| opened.hash.clone()).map_err(String::clone);
                self.trace.note(&Inferred::Opened { policy });
                match &outcome {
                    Ok(Opened { name, guides, not_compared, .. }) => {
                        log::info!("policy {name} is active");
                        self.not_compared.clone_from(not_compared);
                        if self.mode == Mode::Rtc && !guides {
                            log::warn!(
                                "parameter 'mode' is rtc, but policies of this kind cannot be guided: their chunks are blended"
                            );
                        }
                    }
                    Err(reason) => {
                        log::error!("the policy is refused: {reason}");
                        self.not_compared.clear();
                    }
                }
                self.policy =
                    outcome.map(|opened| opened.name).map_err(|reason| format!("the policy is refused: {reason}"));
                if self.embedded.is_ok() {
                    self.embedded = Ok(false);
                }
            }
            Answer::Embedded(sentence, outcome) if sentence == self.instruction => {
                self.embedded = match outcome {
                    Ok(()) => Ok(true),
                    Err(reason) => {
                        log::error!("the instruction cannot be embedded: {reason}");
                        Err(format!("the instruction cannot be embedded: {reason}"))
                    }
                };
            }
            Answer::Embedded(..) => {} // for an instruction that is gone
            Answer::Acted(Ok(Acted { chunk, seconds, guided })) => {
                self.inference.add(seconds);
                self.guided += u64::from(guided.is_some());
                self.expected = guided.or(self.expected);
                let for_this = busy == Busy::Acting(self.instruction_number);
                let wanted = for_this && self.enabled && self.policy.is_ok() && !self.instruction.is_empty();
                self.trace.note(&Inferred::Acted { now: self.clock.now().nanos(), seconds, outcome: Ok(wanted) });
                if wanted {
                    self.chunks.publish(&convert::chunk_msg(&chunk, &self.frame))?;
                    self.proposed += 1;
                    self.failure = None;
                    self.age.add(self.clock.now().seconds_since(chunk.observed_at()));
                }
            }
            Answer::Acted(Err(reason)) => {
                let (now, outcome) = (self.clock.now().nanos(), Err(reason.clone()));
                self.trace.note(&Inferred::Acted { now, seconds: 0.0, outcome });
                if self.failure.is_none() {
                    log::warn!("no chunk: {reason}");
                }
                self.failed += 1;
                self.failure = Some(reason);
            }
        }
        Ok(())
    }

    /// Keeps what the cameras see, where the policy will look back at it.
    fn remember(&mut self) {
        if !self.seen.looks_back() {
            return;
        }
        let newest: Option<Vec<_>> = self.cameras.iter().map(|camera| camera.images.get()).collect();
        let Some(newest) = newest else { return };
        let stamps = newest.iter().map(|image| convert::stamp(&image.msg.header.stamp));
        let Some(stamp) = stamps.clone().min() else { return };
        // Pictures of another size would be refused with the present one, and are no past either.
        let fit = self.cameras.iter().zip(&newest).all(|(camera, image)| image.msg.data.len() == camera.spec.len());
        if fit && self.seen.wants(stamp) && self.pairing.fit(stamps) {
            self.seen.push(stamp, self.pictures(&newest));
        }
    }

    fn pictures(&self, newest: &[Arc<Received<Image>>]) -> Pictures {
        self.cameras.iter().zip(newest).map(|(c, image)| (c.spec.name.clone(), image.msg.data.clone())).collect()
    }

    /// Gives the engine its next job, if it is free and there is one.
    fn give_work(&mut self) {
        if self.busy != Busy::No {
            return;
        }
        if let Some(urdf) = self.to_open.take() {
            self.trace.note(&Inferred::Open { urdf: Cow::Borrowed(&urdf) });
            self.give(Job::Open(urdf), Busy::Opening);
        } else if self.policy.is_err() || self.instruction.is_empty() || !self.enabled {
        } else if self.embedded == Ok(false) {
            self.trace.note(&Inferred::Embed { sentence: Cow::Borrowed(&self.instruction) });
            self.give(Job::Embed(self.instruction.clone()), Busy::Embedding);
        } else if self.embedded == Ok(true)
            && let Some((stamp, stamps, pictures)) = self.observe()
            && let Some(joints) = self.feed.at(stamp)
        {
            self.replan.begun(stamp);
            let noise_seed = self.noise_seed;
            self.noise_seed = self.noise_seed.wrapping_add(1);
            let now = self.clock.now();
            let (following, delay) = (self.execution.at(stamp, now), self.execution.take_delay());
            let earlier = self.seen.before(stamp).into_iter();
            let earlier: Vec<_> =
                earlier.filter_map(|(at, pictures)| Some((*at, pictures.clone(), self.feed.at(*at)?))).collect();
            if self.trace.is_on() {
                self.trace.note(&Inferred::Act(Box::new(Look {
                    now: now.nanos(),
                    stamp: stamp.nanos(),
                    seen: noted(stamp, &stamps, &pictures, &joints),
                    earlier: earlier.iter().map(|(at, pictures, joints)| noted(*at, &[], pictures, joints)).collect(),
                    noise_seed,
                    following: following.map(|on| (on.chunk.nanos(), on.at.nanos())),
                    delay,
                })));
            }
            let job = Job::Act(Sight { stamp, pictures, joints, earlier, noise_seed, following, delay });
            self.give(job, Busy::Acting(self.instruction_number));
        }
    }

    fn give(&mut self, job: Job, busy: Busy) {
        if self.jobs.send(job).is_ok() {
            self.busy = busy;
        }
    }

    /// The newest observation, if it is due and everything in it is fresh: its time, which is that of the oldest picture, and the pictures with
    /// their stamps.
    fn observe(&mut self) -> Option<(Stamp, Vec<Stamp>, Pictures)> {
        let newest: Vec<_> = self.cameras.iter().map(|camera| camera.images.get()).collect::<Option<_>>()?;
        let stamps = newest.iter().map(|image| convert::stamp(&image.msg.header.stamp));
        if !self.replan.is_due(stamps.clone().min()?)
            || self.fresh_joints().is_err()
            || !self.cameras.iter().all(|c| self.check(c).is_ok())
        {
            return None;
        }
        let stamp = self.pairing.take(self.clock.now(), stamps.clone())?;
        self.frame.clone_from(&newest.first()?.msg.header.frame_id);
        Some((stamp, stamps.collect(), self.pictures(&newest)))
    }

    /// Whether a camera's newest picture may be worked on.
    fn check(&self, camera: &CameraInput) -> Result<(), String> {
        let newest = camera.images.get();
        let seen = newest
            .as_ref()
            .map(|image| (convert::stamp(&image.msg.header.stamp), image.age(&self.clock).as_secs_f64()));
        let name = &camera.spec.name;
        self.bounds
            .check(seen, self.clock.now())
            .map_err(|why| format!("camera '{name}' (observation/{name}/image): {why}"))?;
        let (Some(image), spec) = (newest, &camera.spec) else { return Ok(()) };
        let msg = &image.msg;
        let fits = msg.encoding == "rgb8"
            && (msg.width, msg.height) == (spec.width, spec.height)
            && msg.data.len() == spec.len();
        if fits {
            return Ok(());
        }
        Err(format!(
            "camera '{name}' (observation/{name}/image) sends {} {}x{} in {} bytes; the policy takes rgb8 {}x{} in {}",
            msg.encoding.chars().take(40).collect::<String>(),
            msg.width,
            msg.height,
            msg.data.len(),
            spec.width,
            spec.height,
            spec.len()
        ))
    }

    fn report(&mut self) {
        // Whoever let a joint's numbers pass is reminded of it for as long as they are used.
        if let Some(health) = &self.ranges_health {
            match self.not_compared.as_slice() {
                [] => health.ok("the policy is not active"),
                sentences => health.warn(sentences.join("; ")),
            };
        }
        let mut trouble = None;
        for camera in &self.cameras {
            match self.check(camera) {
                Ok(()) => camera.health.ok("fresh"),
                Err(reason) => {
                    trouble.get_or_insert_with(|| reason.clone());
                    camera.health.error(reason)
                }
            };
        }
        match self.fresh_joints() {
            Ok(()) => self.joint_health.ok("fresh and complete"),
            Err(reason) => {
                trouble.get_or_insert_with(|| reason.clone());
                self.joint_health.error(reason)
            }
        };
        let (level, text) = match (&self.policy, &self.embedded) {
            (Err(reason), _) => (Level::Error, reason.clone()),
            (Ok(_), _) if !self.enabled => (Level::Warn, "disabled; call ~/enable".to_owned()),
            (Ok(_), Err(reason)) => (Level::Error, reason.clone()),
            (Ok(_), Ok(_)) if self.instruction.is_empty() => (Level::Ok, "no instruction".to_owned()),
            (Ok(_), Ok(_)) => match (trouble, &self.failure) {
                (Some(reason), _) => (Level::Error, format!("no chunk: {reason}")),
                (None, Some(reason)) => (Level::Warn, format!("no chunk: {reason}")),
                (None, None) => (Level::Ok, "proposing".to_owned()),
            },
        };
        let mut values = vec![
            ("policy".to_owned(), self.policy.clone().unwrap_or_default()),
            ("instruction".to_owned(), self.instruction.chars().take(200).collect()),
            ("chunks".to_owned(), self.proposed.to_string()),
            ("failures".to_owned(), self.failed.to_string()),
            ("next noise seed".to_owned(), self.noise_seed.to_string()),
        ];
        if self.mode == Mode::Rtc {
            values.push(("guided chunks".to_owned(), self.guided.to_string()));
            values.extend(self.expected.map(|d| ("expected delay (actions)".to_owned(), d.to_string())));
        }
        values.extend(self.inference.shown_ms("inference"));
        values.extend(self.age.shown_ms("observation to chunk"));
        self.health.report(level, text, values);
    }
}

/// An observation as the trace has it. Where the pictures' own stamps are not known, that of the observation stands for them.
fn noted(stamp: Stamp, stamps: &[Stamp], pictures: &Pictures, joints: &JointSample) -> Seen {
    let picture = |(place, (camera, pixels)): (usize, &(String, Vec<u8>))| SeenPicture {
        camera: camera.clone(),
        stamp: stamps.get(place).unwrap_or(&stamp).nanos(),
        crc: trace::crc(pixels),
    };
    Seen {
        stamp: stamp.nanos(),
        pictures: pictures.iter().enumerate().map(picture).collect(),
        positions: joints.positions.clone(),
        velocities: joints.velocities.clone(),
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

fn inputs(node: &mut efm_ros::Node, manifest: Option<&Manifest>) -> Result<Vec<CameraInput>, NodeError> {
    let mut cameras = Vec::new();
    for spec in manifest.iter().flat_map(|m| &m.observation.images) {
        cameras.push(CameraInput {
            // Best effort matches whoever publishes; camera_ingest offers more.
            images: node.latest(&format!("observation/{}/image", spec.name), qos::image_input())?,
            health: node.diagnostics().task(&format!("camera {}", spec.name)),
            spec: spec.clone(),
        });
    }
    Ok(cameras)
}

/// The node `vla_inference`.
pub fn plan() -> Plan {
    Plan::new("vla_inference", specs(), |node| {
        let params = node.params().clone();
        let limits_text = named_file(&params, "joint_limits_file")?.unwrap_or_default();
        let (manifest, folder, refusal) = match policy_manifest(&params) {
            Ok((folder, manifest)) => (Some(manifest), folder, None),
            Err(reason) => {
                (None, files::find(&params.text("policy")), Some(format!("the policy is refused: {reason}")))
            }
        };
        if let Some(refusal) = &refusal {
            log::error!("{refusal}");
        }
        // Without a manifest there is nothing to look for; the names below are never used then.
        let joints = match &manifest {
            Some(manifest) => manifest.joints()?,
            None => JointNames::new(["unknown"])?,
        };
        let cameras = inputs(node, manifest.as_ref())?;
        let mut description = robot_description(node)?;
        let (mut described, graph) = (None::<String>, node.graph().clone());
        let joint_states = node.every::<JointState>("joint_states", qos::joint_states_input())?;
        let mut instructions = node.every::<Text>("instruction", qos::latched_input())?;
        let mode = params.text("mode").parse::<Mode>()?;
        let executions = match mode {
            Mode::Rtc => Some(node.every::<JointTrajectory>("execution_state", qos::trajectory())?),
            _ => None,
        };
        let mut enables = node.service::<SetBool::Service>("~/enable")?;

        let cores = Cores::named(&params.integers("inference_cores"))
            .map_err(|error| format!("parameter 'inference_cores': {error}"))?;
        let mut started = trace::Setup::new("vla_inference", &params);
        started.files.insert("joint_limits_file".to_owned(), limits_text.clone());
        if let Some(manifest) = &manifest {
            started.hashes.extend(manifest.graphs.values().map(|graph| (graph.file.clone(), graph.sha256.clone())));
        }
        let mut setup = Setup::new(&params, folder, &limits_text)?;
        setup.cores = cores;
        let (answer, mut answers) = tokio::sync::mpsc::unbounded_channel();
        let engine = Engine::start(setup, move |given| {
            // When nobody listens any more, the node is ending.
            let _ = answer.send(given);
        })?;
        let (jobs, end) = engine.split();

        let clock = node.clock().clone();
        let (period, chunk_seconds) = manifest
            .as_ref()
            .map_or((1.0, 0.0), |m| (m.execution.replan_steps as f64 * m.action.step, m.chunk_seconds()));
        log::debug!("a chunk every {period} s, {chunk_seconds} s long");
        let (earlier, step) = manifest.as_ref().map_or((0, 1.0), |m| (m.observation.history - 1, m.action.step));
        let look_back = earlier as f64 * step;
        let usable = manifest.is_some();
        let mut this = Inference {
            receipts: ReceiptClock::new(&clock),
            bounds: FreshnessBounds {
                max_silence: params.double("max_image_silence"),
                max_age: params.double("max_image_age"),
                max_future: params.double("max_future"),
            },
            max_joint_state_age: params.double("max_joint_state_age"),
            joint_states,
            executions,
            cameras,
            pairing: Pairing::new(params.double("max_image_skew")),
            feed: JointFeed::new(joints, joint_memory(&params, look_back)),
            graph: node.graph().clone(),
            seen: PictureRing::new(earlier, step),
            jobs,
            trace: Trace::start(node, &started)?,
            busy: Busy::No,
            to_open: None,
            policy: Err(refusal.unwrap_or_else(|| "waiting for robot_description".to_owned())),
            instruction: String::new(),
            stops: StopWords::default(),
            lexicon: manifest.as_ref().and_then(Manifest::lexicon),
            not_compared: Vec::new(),
            instruction_number: 0,
            embedded: Ok(false),
            enabled: params.bool("enabled_at_start"),
            replan: Replan::new(period),
            noise_seed: u64::try_from(params.integer("noise_seed")).unwrap_or_default(),
            mode,
            execution: ExecutionFeed::default(),
            chunks: node.publisher("action_chunk", qos::trajectory())?,
            proposed: 0,
            guided: 0,
            expected: None,
            failed: 0,
            failure: None,
            inference: Percentiles::new(1000),
            age: Percentiles::new(1000),
            frame: String::new(),
            health: node.diagnostics().task("policy"),
            joint_health: node.diagnostics().task("joint_states"),
            ranges_health: (manifest.as_ref())
                .filter(|m| !m.robot.ranges_not_compared.is_empty())
                .map(|_| node.diagnostics().task("ranges")),
            clock,
        };
        let mut images: Vec<_> = this.cameras.iter().map(|camera| camera.images.clone()).collect();
        // ONNX Runtime must not be put away while its graph runs. The main work (and with it the way to the engine) is gone by now.
        node.on_shutdown(move || {
            if !end.wait(PATIENCE) {
                log::warn!("inference did not end in time");
            }
        });

        Ok(async move {
            let mut tenth = tokio::time::interval(trace::PERIOD);
            tenth.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = next_picture(&mut images) => {
                        this.hear();
                        this.remember();
                    }
                    Some(answer) = answers.recv() => {
                        this.hear();
                        this.on_answer(answer)?;
                    }
                    Some(message) = instructions.recv() => this.on_instruction(&message.msg.data),
                    urdf = description.next() => {
                        // The same text of whomever is no news.
                        let other = described.replace(urdf.msg.data.clone());
                        if other.as_ref() == Some(&urdf.msg.data) {
                            continue;
                        }
                        if other.is_some() {
                            let by = graph.name_of("robot_description", urdf.sender);
                            log::warn!("{by} describes another robot; the policy is opened for that one");
                        }
                        if usable {
                            this.policy = Err("the policy is being opened".to_owned());
                            this.to_open = Some(urdf.msg.data.clone());
                        }
                    }
                    Some(request) = enables.next() => {
                        if request.message.data && !this.enabled && this.embedded.is_ok() {
                            // The arm was somebody else's: a policy that remembers begins anew.
                            this.embedded = Ok(false);
                        }
                        this.enabled = request.message.data;
                        let message = if this.enabled { "enabled" } else { "disabled" }.to_owned();
                        log::info!("{message}");
                        if let Err(error) = request.respond(SetBool::Response { success: true, message }) {
                            log::debug!("~/enable: {error}");
                        }
                    }
                    _ = tenth.tick() => {
                        this.hear();
                        this.report();
                        this.trace.flush();
                    }
                }
                this.give_work();
            }
        })
    })
}
