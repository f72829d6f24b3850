//! What runs a policy on a robot, without topics: which observation is worked on, when, and what becomes of the chunk.
//!
//! Inference has a thread of its own ([`crate::inference::engine`]); intake goes on meanwhile, and each run works on the newest observation. A package
//! that does not fit is refused with its reason, and nothing is proposed.

use crate::Failure;
use crate::inference::engine::{Acted, Answer, Job, Opened, Pictures, Sight};
use crate::inference::execution::ExecutionFeed;
use crate::inference::frozen::{FrozenCameras, REVIVE};
use crate::inference::inference_params::joint_memory;
use crate::inference::pairing::Pairing;
use crate::inference::picture_ring::PictureRing;
use crate::inference::replan::Replan;
use crate::joint_states::allowance;
use crate::publisher::publishing::{At, DESCRIPTION, JOINT_STATES};
use crate::reasons::{self, coded, unfresh, wrong};
use crate::setup::stays_with_wrong_policy;
use crate::supervisor::Supervisor;
use crate::trace::{self, Inferred, Look, Seen, SeenPicture};
use efm_config::Params;
use efm_core::freshness::FreshnessBounds;
use efm_core::percentiles::Percentiles;
use efm_core::words::codes::GOAL_ASKS_TO_STOP;
use efm_core::words::{Heard, Lexicon, StopWords, hear};
use efm_core::{ActionChunk, JointNames, JointSample, Level, Reason, SenderId, Stamp};
use efm_policy::{ImageSpec, Manifest};
use efm_safety::{Contradiction, JointFeed, JointTrouble};
use efm_schedule::Mode;
use std::borrow::Cow;

/// A picture that came from a camera.
pub trait Picture {
    /// Header stamp.
    fn stamp(&self) -> Stamp;

    /// Seconds since it was received.
    fn age_s(&self) -> f64;

    /// Encoding, as sensor_msgs names it.
    fn encoding(&self) -> &str;

    /// Width and height, pixels.
    fn size(&self) -> (u32, u32);

    /// Its bytes.
    fn pixels(&self) -> &[u8];

    /// Frame of the header.
    fn frame(&self) -> &str;
}

/// A line of the diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// The policy: whether it proposes.
    Policy,
    /// A camera, by its place.
    Camera(usize),
    /// Joint states.
    JointStates,
    /// Joints that are not compared with the robot's limits.
    Ranges,
}

/// Where a policy is run: what it sees comes from there, what it proposes goes there.
pub trait Host {
    /// A camera's picture.
    type Picture: Picture;

    /// The time now.
    fn at(&self) -> At;

    /// Whether events are noted.
    fn notes(&self) -> bool;

    /// An event that was worked on.
    fn note(&mut self, event: &Inferred<'_>);

    /// The newest picture of a camera, by its place in the manifest.
    fn newest(&self, camera: usize) -> Option<Self::Picture>;

    /// Hands a job to the engine; whether it takes it.
    fn give(&mut self, job: Job) -> bool;

    /// Proposes.
    ///
    /// # Errors
    /// When it cannot be said.
    fn propose(&mut self, chunk: &ActionChunk, frame: &str) -> Result<(), Failure>;

    /// A sender of a topic, in words.
    fn name_of(&self, topic: &str, sender: SenderId) -> String;

    /// Health.
    fn report(&mut self, line: Line, level: Level, text: String, values: Vec<(String, String)>);
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

/// The runner of a policy between two events.
pub struct Inferring {
    bounds: FreshnessBounds,
    max_joint_state_age: f64,
    cameras: Vec<ImageSpec>,
    pairing: Pairing,
    feed: JointFeed,
    /// What was seen before, for a policy that looks at it.
    seen: PictureRing,
    frozen: FrozenCameras,
    busy: Busy,
    /// Whether there is a package that may be opened.
    usable: bool,
    described: Option<String>,
    /// The URDF that the policy is to be opened for.
    to_open: Option<String>,
    /// The open policy, or why there is none.
    policy: Result<String, Reason>,
    instruction: String,
    /// What asks to stop, and what the policy knows by name.
    stops: StopWords,
    lexicon: Option<Lexicon>,
    /// What the policy's package keeps from being compared with the robot's limits; none: nothing does.
    not_compared: Option<Vec<String>>,
    /// What was not checked of how the policy's numbers become motion, and what is odd.
    remarks: Vec<String>,
    /// Counts instructions, so that a chunk for an old one is known.
    instruction_number: u64,
    /// Whether the engine holds the embedding of the instruction; or why not.
    embedded: Result<bool, Reason>,
    /// Of who gives instructions.
    supervisor: Supervisor,
    /// Whether the node stays where its policy is refused.
    stays: bool,
    /// Whether a policy was open once.
    was_open: bool,
    enabled: bool,
    replan: Replan,
    noise_seed: u64,
    mode: Mode,
    /// What is followed, where that guides.
    execution: ExecutionFeed,
    proposed: u64,
    guided: u64,
    /// Actions that the policy is expected to take.
    expected: Option<usize>,
    failed: u64,
    failure: Option<Reason>,
    inference: Percentiles,
    age: Percentiles,
    frame: String,
}

impl Inferring {
    /// From the parameters of `vla_inference`, for a package's manifest, or why there is none.
    ///
    /// # Errors
    /// When its joints are none, or a mode is none.
    pub fn new(params: &Params, manifest: Result<&Manifest, Reason>) -> Result<Self, Failure> {
        let known = manifest.as_ref().ok().copied();
        // Without a manifest there is nothing to look for; the names below are never used then.
        let hands = known.and_then(|manifest| manifest.action.gripper_joint.clone()).into_iter().collect();
        let joints = match known {
            Some(manifest) => manifest.joints()?,
            None => JointNames::new(["unknown"])?,
        };
        let (period, chunk_seconds) =
            known.map_or((1.0, 0.0), |m| (m.execution.replan_steps as f64 * m.action.step, m.chunk_seconds()));
        log::debug!("a chunk every {period} s, {chunk_seconds} s long");
        let (earlier, step) = known.map_or((0, 1.0), |m| (m.observation.history - 1, m.action.step));
        let look_back = earlier as f64 * step;
        Ok(Self {
            bounds: FreshnessBounds {
                max_silence: params.double("max_image_silence"),
                max_age: params.double("max_image_age"),
                max_future: params.double("max_future"),
            },
            max_joint_state_age: params.double("max_joint_state_age"),
            cameras: known.map(|m| m.observation.images.clone()).unwrap_or_default(),
            pairing: Pairing::new(params.double("max_image_skew")),
            frozen: FrozenCameras::new(
                known.map_or(0, |m| m.observation.images.len()),
                joints.clone(),
                params.double("max_unseen_motion"),
            ),
            feed: JointFeed::new(joints, joint_memory(params, look_back)).allowing(&allowance(params, hands)),
            seen: PictureRing::new(earlier, step),
            busy: Busy::No,
            usable: known.is_some(),
            described: None,
            to_open: None,
            not_compared: known.filter(|m| !m.robot.ranges_not_compared.is_empty()).map(|_| Vec::new()),
            remarks: Vec::new(),
            lexicon: known.and_then(Manifest::lexicon),
            policy: Err(manifest
                .err()
                .unwrap_or_else(|| wrong(reasons::NO_ROBOT_DESCRIPTION, "waiting for robot_description", ""))),
            instruction: String::new(),
            stops: StopWords::default(),
            instruction_number: 0,
            embedded: Ok(false),
            supervisor: Supervisor::of(params.double("instruction_heartbeat")),
            stays: stays_with_wrong_policy(params),
            was_open: false,
            enabled: params.bool("enabled_at_start"),
            replan: Replan::new(period),
            noise_seed: u64::try_from(params.integer("noise_seed")).unwrap_or_default(),
            mode: params.text("mode").parse::<Mode>()?,
            execution: ExecutionFeed::default(),
            proposed: 0,
            guided: 0,
            expected: None,
            failed: 0,
            failure: None,
            inference: Percentiles::new(1000),
            age: Percentiles::new(1000),
            frame: String::new(),
        })
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
        self.feed.update(sender, stamp, names, positions, velocities, received);
    }

    /// What is followed, see [`ExecutionFeed::heard`].
    pub fn on_execution(&mut self, chunk: Option<Stamp>, committed: impl IntoIterator<Item = i64>, now: Stamp) {
        self.execution.heard(chunk, committed, now);
    }

    /// A robot description came. The same text of whomever is no news.
    pub fn on_description(&mut self, host: &impl Host, urdf: &str, sender: SenderId) {
        let other = self.described.replace(urdf.to_owned());
        if other.as_deref() == Some(urdf) {
            return;
        }
        if other.is_some() {
            let by = host.name_of(DESCRIPTION, sender);
            log::warn!("{by} describes another robot; the policy is opened for that one");
        }
        if self.usable {
            self.policy = Err(wrong(reasons::POLICY_BEING_OPENED, "the policy is being opened", ""));
            self.to_open = Some(urdf.to_owned());
        }
    }

    /// The service `~/enable`. Returns what there is to say to who asked.
    pub fn enable(&mut self, enabled: bool) -> &'static str {
        if enabled && !self.enabled && self.embedded.is_ok() {
            // The arm was somebody else's: a policy that remembers begins anew.
            self.embedded = Ok(false);
        }
        self.enabled = enabled;
        let word = if enabled { "enabled" } else { "disabled" };
        log::info!("{word}");
        word
    }

    /// Whether joint states may be relied on now.
    fn fresh_joints(&mut self, host: &impl Host) -> Result<(), Reason> {
        let At { now, received: received_now } = host.at();
        let (max_age, max_future) = (self.max_joint_state_age, self.bounds.max_future);
        let name = |sender| host.name_of(JOINT_STATES, sender);
        let unusable = |trouble: JointTrouble| wrong(reasons::JOINT_STATES_UNUSABLE, trouble.in_words(name), "");
        self.feed.fresh(now, received_now, max_age, max_future).map_err(unusable)?;
        match self.feed.contradiction(received_now) {
            Some(two @ Contradiction::Senders { joint, .. }) => {
                let joint = self.feed.wanted().as_slice().get(joint).map_or("?", String::as_str);
                Err(wrong(two.code(), two.in_words(joint, name), ""))
            }
            _ => Ok(()),
        }
    }

    /// An instruction came; empty: no goal any more.
    pub fn on_instruction(&mut self, at: At, text: &str) {
        self.supervisor.instructed();
        self.instruct(at, text);
    }

    fn instruct(&mut self, at: At, text: &str) {
        if text == self.instruction {
            return;
        }
        text.clone_into(&mut self.instruction);
        self.instruction_number += 1;
        self.failure = None;
        self.replan.restart(at.now);
        // goal_intake checks goals; whoever publishes an instruction by other means is checked here.
        self.embedded = match hear(text, &self.stops, self.lexicon.as_ref()) {
            Heard::Goal(..) => Ok(false),
            _ if text.is_empty() => Ok(false),
            Heard::Stop(said) => {
                let text = format!("the instruction is refused: '{said}' asks to stop");
                Err(wrong(GOAL_ASKS_TO_STOP, text, ""))
            }
            Heard::Refused(refusal) => {
                let reason = refusal.reason().of("the instruction is refused: ");
                Err(Reason { severity: Level::Error, ..reason })
            }
        };
        if let Err(reason) = &self.embedded {
            log::error!("{reason}");
        }
    }

    /// Who gives instructions says that it is there (true), or that it ends (false).
    pub fn on_instruction_heartbeat(&mut self, at: At, alive: bool, sender: SenderId) {
        if let Some(text) = self.supervisor.beat(alive, sender) {
            self.instruct(at, &text);
        }
    }

    /// The engine answered.
    ///
    /// # Errors
    /// When a chunk cannot be proposed, or the policy is refused: unless the parameter `wrong_policy` says that the node stays, or one was open before.
    pub fn on_answer(&mut self, host: &mut impl Host, answer: Answer) -> Result<(), Failure> {
        let busy = std::mem::replace(&mut self.busy, Busy::No);
        match answer {
            Answer::Opened(outcome) => {
                let policy = outcome.as_ref().map(|opened| opened.hash.clone()).map_err(Reason::in_words);
                host.note(&Inferred::Opened { policy });
                match &outcome {
                    Ok(Opened { name, guides, not_compared, remarks, .. }) => {
                        match remarks.len() {
                            0 => log::info!("policy {name} is active"),
                            n => log::warn!(
                                "policy {name} is active; {n} things about it are to be looked at, told above"
                            ),
                        }
                        self.remarks.clone_from(remarks);
                        if let Some(known) = &mut self.not_compared {
                            known.clone_from(not_compared);
                        }
                        if self.mode == Mode::Rtc && !guides {
                            log::warn!(
                                "parameter 'mode' is rtc, but policies of this kind cannot be guided: their chunks are blended"
                            );
                        }
                    }
                    Err(reason) => {
                        log::error!("the policy is refused: {reason}");
                        self.not_compared.iter_mut().for_each(Vec::clear);
                        self.remarks.clear();
                    }
                }
                self.policy = outcome.map(|opened| opened.name).map_err(|reason| reason.of("the policy is refused: "));
                self.was_open |= self.policy.is_ok();
                // Another description may come yet; another package does not.
                if let Err(reason) = &self.policy
                    && reason.code != reasons::DESCRIPTION_DOES_NOT_FIT
                    && !self.stays
                    && !self.was_open
                {
                    let reason = reason.clone();
                    self.report(host);
                    return Err(reason.into());
                }
                if self.embedded.is_ok() {
                    self.embedded = Ok(false);
                }
            }
            Answer::Embedded(sentence, outcome) if sentence == self.instruction => {
                self.embedded = match outcome {
                    Ok(()) => Ok(true),
                    Err(reason) => {
                        let reason = reason.of("the instruction cannot be embedded: ");
                        log::error!("{reason}");
                        Err(reason)
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
                host.note(&Inferred::Acted { now: host.at().now.nanos(), seconds, outcome: Ok(wanted) });
                if wanted {
                    host.propose(&chunk, &self.frame)?;
                    self.proposed += 1;
                    self.failure = None;
                    self.age.add(host.at().now.seconds_since(chunk.observed_at()));
                }
            }
            Answer::Acted(Err(reason)) => {
                let (now, outcome) = (host.at().now.nanos(), Err(reason.in_words()));
                host.note(&Inferred::Acted { now, seconds: 0.0, outcome });
                if self.failure.is_none() {
                    log::warn!("no chunk: {reason}");
                }
                self.failed += 1;
                self.failure = Some(reason);
            }
        }
        Ok(())
    }

    /// The newest picture of each camera; none before each has sent one.
    fn newest<H: Host>(&self, host: &H) -> Option<Vec<H::Picture>> {
        (0..self.cameras.len()).map(|camera| host.newest(camera)).collect()
    }

    /// Pictures came: looks whether they change while the arm moves, and keeps what the cameras see where the policy will look back at it.
    pub fn remember(&mut self, host: &impl Host) {
        let cameras = if self.frozen.looks() { self.cameras.len() } else { 0 };
        for camera in 0..cameras {
            let Some(picture) = host.newest(camera) else { continue };
            if !self.frozen.knows(camera, picture.stamp()) {
                let joints = self.feed.at(picture.stamp());
                let joints = joints.as_ref().map(|joints| joints.positions.as_slice());
                self.frozen.see(camera, picture.stamp(), trace::crc(picture.pixels()), joints);
            }
        }
        if !self.seen.looks_back() {
            return;
        }
        let Some(newest) = self.newest(host) else { return };
        let stamps = newest.iter().map(Picture::stamp);
        let Some(stamp) = stamps.clone().min() else { return };
        // Pictures of another size would be refused with the present one, and are no past either.
        let fit = self.cameras.iter().zip(&newest).all(|(spec, picture)| picture.pixels().len() == spec.len());
        if fit && self.seen.wants(stamp) && self.pairing.fit(stamps) {
            self.seen.push(stamp, self.pictures(&newest));
        }
    }

    fn pictures(&self, newest: &[impl Picture]) -> Pictures {
        self.cameras.iter().zip(newest).map(|(spec, picture)| (spec.name.clone(), picture.pixels().to_vec())).collect()
    }

    /// Gives the engine its next job, if it is free and there is one.
    pub fn give_work(&mut self, host: &mut impl Host) {
        if self.busy != Busy::No {
            return;
        }
        if let Some(urdf) = self.to_open.take() {
            host.note(&Inferred::Open { urdf: Cow::Borrowed(&urdf) });
            self.give(host, Job::Open(urdf), Busy::Opening);
        } else if self.policy.is_err() || self.instruction.is_empty() || !self.enabled {
        } else if self.embedded == Ok(false) {
            host.note(&Inferred::Embed { sentence: Cow::Borrowed(&self.instruction) });
            self.give(host, Job::Embed(self.instruction.clone()), Busy::Embedding);
        } else if self.embedded == Ok(true)
            && let Some((stamp, stamps, pictures)) = self.observe(host)
            && let Some(joints) = self.feed.at(stamp)
        {
            self.replan.begun(stamp);
            let noise_seed = self.noise_seed;
            self.noise_seed = self.noise_seed.wrapping_add(1);
            let now = host.at().now;
            let (following, delay) = (self.execution.at(stamp, now), self.execution.take_delay());
            let earlier = self.seen.before(stamp).into_iter();
            let earlier: Vec<_> =
                earlier.filter_map(|(at, pictures)| Some((*at, pictures.clone(), self.feed.at(*at)?))).collect();
            if host.notes() {
                host.note(&Inferred::Act(Box::new(Look {
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
            self.give(host, job, Busy::Acting(self.instruction_number));
        }
    }

    fn give(&mut self, host: &mut impl Host, job: Job, busy: Busy) {
        if host.give(job) {
            self.busy = busy;
        }
    }

    /// The newest observation, if it is due and everything in it is fresh: its time, which is that of the oldest picture, and the pictures with
    /// their stamps.
    fn observe(&mut self, host: &impl Host) -> Option<(Stamp, Vec<Stamp>, Pictures)> {
        let newest = self.newest(host)?;
        let stamps = newest.iter().map(Picture::stamp);
        if !self.replan.is_due(stamps.clone().min()?)
            || self.fresh_joints(host).is_err()
            || !(0..self.cameras.len()).all(|camera| self.check(host, camera).is_ok())
        {
            return None;
        }
        let stamp = self.pairing.take(host.at().now, stamps.clone())?;
        newest.first()?.frame().clone_into(&mut self.frame);
        Some((stamp, stamps.collect(), self.pictures(&newest)))
    }

    /// Whether a camera's newest picture may be worked on.
    fn check(&self, host: &impl Host, camera: usize) -> Result<(), Reason> {
        let (newest, spec) = (host.newest(camera), &self.cameras[camera]);
        let seen = newest.as_ref().map(|picture| (picture.stamp(), picture.age_s()));
        let name = &spec.name;
        self.bounds
            .check(seen, host.at().now)
            .map_err(|why| unfresh(format!("camera '{name}' (observation/{name}/image): "), &why))?;
        if let Some(trouble) = self.frozen.trouble(camera) {
            let text = format!("camera '{name}' (observation/{name}/image) {trouble}");
            return Err(wrong(reasons::IMAGE_FROZEN, text, REVIVE));
        }
        let Some(picture) = newest else { return Ok(()) };
        let ((width, height), bytes) = (picture.size(), picture.pixels().len());
        if picture.encoding() == "rgb8" && (width, height) == (spec.width, spec.height) && bytes == spec.len() {
            return Ok(());
        }
        let encoding: String = picture.encoding().chars().take(40).collect();
        let text =
            format!("camera '{name}' (observation/{name}/image) sends {encoding} {width}x{height} in {bytes} bytes");
        let takes = format!("the policy takes rgb8 {}x{} in {}", spec.width, spec.height, spec.len());
        Err(wrong(reasons::IMAGE_OF_ANOTHER_FORM, text, takes))
    }

    /// A tenth of a second passes.
    pub fn every_tenth(&mut self, host: &mut impl Host) {
        if let Some(why) = self.supervisor.tick(&self.instruction) {
            log::error!("{why}");
            self.instruct(host.at(), "");
        }
        self.report(host);
    }

    /// Tells how it is.
    fn report(&mut self, host: &mut impl Host) {
        // Whoever let a joint's numbers pass is reminded of it for as long as they are used.
        if let Some(sentences) = &self.not_compared {
            let (code, level, text) = match sentences.as_slice() {
                [] => (reasons::POLICY_NOT_ACTIVE, Level::Ok, "the policy is not active".to_owned()),
                sentences => (reasons::RANGES_NOT_COMPARED, Level::Warn, sentences.join("; ")),
            };
            host.report(Line::Ranges, level, text, vec![coded(code)]);
        }
        let mut trouble = None;
        let mut tell = |host: &mut _, line, outcome: Result<(), Reason>, well: &str| {
            let (code, level, text) = match outcome {
                Ok(()) => (reasons::FRESH, Level::Ok, well.to_owned()),
                Err(reason) => {
                    let (code, text) = (reason.code, reason.in_words());
                    trouble.get_or_insert(reason);
                    (code, Level::Error, text)
                }
            };
            Host::report(host, line, level, text, vec![coded(code)]);
        };
        for camera in 0..self.cameras.len() {
            let outcome = self.check(host, camera);
            tell(host, Line::Camera(camera), outcome, "fresh");
        }
        let outcome = self.fresh_joints(host);
        tell(host, Line::JointStates, outcome, "fresh and complete");
        let said = self.explain(trouble);
        let mut values = vec![
            coded(said.code),
            ("remedy".to_owned(), said.remedy.to_string()),
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
        if !self.remarks.is_empty() {
            values.push(("remarks".to_owned(), self.remarks.join("; ")));
        }
        values.extend(self.inference.shown_ms("inference"));
        values.extend(self.age.shown_ms("observation to chunk"));
        host.report(Line::Policy, said.severity, said.in_words(), values);
    }

    /// What it does and, when it proposes nothing, why; `trouble` is what is wrong with what it sees.
    fn explain(&self, trouble: Option<Reason>) -> Reason {
        let well = |code, text: &'static str| Reason::new(code, Level::Ok, text, "");
        match (&self.policy, &self.embedded) {
            (Err(reason), _) => reason.clone(),
            (Ok(_), _) if !self.enabled => {
                Reason::new(reasons::INFERENCE_DISABLED, Level::Warn, "disabled", "call ~/enable")
            }
            (Ok(_), Err(reason)) => reason.clone(),
            (Ok(_), Ok(_)) if self.instruction.is_empty() => {
                self.supervisor.trouble().unwrap_or_else(|| well(reasons::NO_GOAL, "no instruction"))
            }
            (Ok(_), Ok(_)) => match (trouble, &self.failure) {
                (Some(reason), _) => reason.of("no chunk: "),
                (None, Some(reason)) => Reason { severity: Level::Warn, ..reason.clone().of("no chunk: ") },
                (None, None) => well(reasons::PROPOSING, "proposing"),
            },
        }
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
