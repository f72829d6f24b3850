//! One run.

use crate::arm::deployed_panda;
use crate::cell::judge::{Judge, is_declared};
use crate::cell::policy::{ARM, Expert, Followed, Manner, State, Way};
use crate::cell::scene::{self, Goal, Scene};
use crate::histogram::Histogram;
use crate::rng::Rng;
use anyhow::{Context, Result, anyhow};
use efm_collision::{CollisionModel, CollisionOptions, Obstacles};
use efm_core::{ActionChunk, JointNames, JointSample, Stamp, Trajectory};
use efm_harness::deployed::Deployed;
use efm_harness::planner::RobotFiles;
use efm_robot::{RobotModel, Srdf};
use efm_safety::{Activity, IdleReason, Limits, Tick, TrajectoryStreamer};
use efm_sim::WorldFiles;
use efm_sim::jtc::{JointTrajectoryController, JtcConfig};
use efm_sim::world::{ARM_JOINTS, FINGER_JOINTS, ObstacleWorld};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

/// Within this of its goal, in every joint, the command has arrived, radians.
pub const ARRIVED: f64 = 5.0e-3;
/// How much of the expert's time a clear goal may take.
pub const PATIENCE: f64 = 2.0;
/// Seconds after the expert's time after which a goal that is not clear is given up.
const GIVEN_UP_S: f64 = 1.0;
/// Farther than this from its way the policy plans another one, radians.
const LOST: f64 = 0.1;
/// Spacing at which the expert's motion is looked at, seconds.
const LOOK_S: f64 = 1.0e-3;

const T0: i64 = 1_700_000_000_000_000_000;
/// Time between updates of the controllers, and between physics steps.
const UPDATE: i64 = 2_000_000;
/// Updates between two looks of MuJoCo at a run without physics.
const LOOK_EVERY: i64 = 2;
/// Farther than this nothing is measured, metres.
const HORIZON: f64 = 0.05;

/// The robot and its files, read once.
pub struct Robot {
    files: WorldFiles,
    model: RobotModel,
    srdf: Srdf,
    joints: JointNames,
    limits: Limits,
    table: Obstacles,
    disabled: Vec<(String, String)>,
    deployed: Deployed,
}

impl Robot {
    /// The Panda, as its nodes' parameters have it.
    ///
    /// # Errors
    /// When a file cannot be read or does not fit, or the parameters are those of another robot.
    pub fn load(files: &RobotFiles) -> Result<Self> {
        let deployed = deployed_panda(files)?;
        let (model, limits) = (deployed.cell().model().clone(), deployed.cell().limits().clone());
        let srdf = Srdf::parse(deployed.semantics().context("no SRDF is named")?, &model)?;
        let mut table = deployed.obstacles()?;
        // That the fingers may touch the table is for grasping. A goal in the table would push the arm off its command for real.
        table.allowed.clear();
        let disabled = srdf.disabled_pairs().iter().map(|p| (p.link1.clone(), p.link2.clone())).collect();
        let (files, joints) = (WorldFiles { urdf: files.urdf.clone() }, limits.joints().clone());
        Ok(Self { files, model, srdf, joints, limits, table, disabled, deployed })
    }

    fn streamer(&self, scene: &Scene, space: bool) -> Result<TrajectoryStreamer> {
        let mut obstacles = self.table.clone();
        obstacles.objects.extend(Obstacles::parse(&scene::yaml(&scene.obstacles))?.objects);
        let options = CollisionOptions { clearance: scene.d_min, ..CollisionOptions::default() };
        let bodies = CollisionModel::new(&self.model, Some(&self.srdf), &self.joints, &obstacles, &options)?;
        let cell = self.deployed.cell().clone().with_bodies(space.then_some(bodies));
        cell.streamer().map_err(|e| anyhow!("{e}"))
    }
}

/// How a run is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// MuJoCo's physics moves the arm; else it is exactly where it is commanded.
    pub physics: bool,
    /// The filter knows the obstacles. Without: what the judges are good for.
    pub space: bool,
    /// Part of the joints' limits that the expert uses; none: as much as the filter may.
    pub share: Option<f64>,
    /// Tells what happens, to standard output.
    pub tell: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { physics: false, space: true, share: None, tell: false }
    }
}

/// What became of a goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoalOutcome {
    /// The expert's motion keeps the least distance.
    pub clear: bool,
    /// Whether it is held against the filter if it is not reached in time: clear, without noise, not left before its time, by a policy that
    /// keeps to its way ([`Manner::plans_anew`]).
    pub judged: bool,
    /// The same of a policy that plans anew; only counted.
    pub planned_anew: bool,
    /// The arm stood still when the policy first saw the goal.
    pub from_rest: bool,
    /// Seconds that the expert needs.
    pub expert_s: f64,
    /// Smallest distance of the expert's motion, less the least distance, metres (as far as it was looked at).
    pub spare_m: f64,
    /// Seconds from the first chunk to arrival.
    pub took_s: Option<f64>,
    /// Seconds during which the way was refused.
    pub blocked_s: f64,
    /// What was in the way last, and what limited progress how long.
    pub why: String,
}

impl GoalOutcome {
    /// Clear, but not reached in time.
    pub fn is_needless(&self) -> bool {
        self.judged && self.is_late()
    }

    /// Not reached in [`PATIENCE`] times the expert's time.
    pub fn is_late(&self) -> bool {
        self.took_s.is_none_or(|s| s > PATIENCE * self.expert_s)
    }
}

/// A contact that is not declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// "mujoco" or "parry".
    pub judge: String,
    /// The two.
    pub pair: (String, String),
    /// Seconds after the start of the run.
    pub at_s: f64,
    /// Metres; below zero.
    pub distance: f64,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Seed.
    pub seed: u64,
    /// Whether with physics.
    pub physics: bool,
    /// Goals, in order.
    pub goals: Vec<GoalOutcome>,
    /// Undeclared contacts: the first of each pair and judge.
    pub contacts: Vec<Contact>,
    /// Smallest distance that MuJoCo saw, metres, if below 3 cm.
    pub least_mujoco: f64,
    /// Smallest distance that parry saw at commanded positions, metres, if below [`HORIZON`].
    pub least_parry: f64,
    /// The same, less the filter's least distance.
    pub least_spare: f64,
    /// Latched stops, refused chunks and other oddities: how often.
    pub odd: BTreeMap<String, u64>,
    /// Seconds of the run's own time.
    pub seconds: f64,
    /// Durations of ticks.
    pub time: Histogram,
}

/// A goal that is being sought.
struct Quest {
    goal: Goal,
    set_at: i64,
    expert: Option<Known>,
    followed: Option<Followed>,
    first_chunk: Option<i64>,
    arrived: Option<i64>,
    blocked: i64,
    last_blocked: String,
    limited: BTreeMap<String, u32>,
}

/// What the expert says of a goal.
struct Known {
    duration: f64,
    spare: f64,
    from_rest: bool,
}

impl Quest {
    fn new(goal: Goal, now: i64) -> Self {
        Self {
            goal,
            set_at: now,
            expert: None,
            followed: None,
            first_chunk: None,
            arrived: None,
            blocked: 0,
            last_blocked: String::new(),
            limited: BTreeMap::new(),
        }
    }

    /// When it is over, whatever became of it.
    fn ends(&self) -> i64 {
        let (Some(first), Some(expert)) = (self.first_chunk, &self.expert) else { return i64::MAX };
        let after = |s: f64| first + (s * 1.0e9) as i64;
        if let Some(part) = self.goal.left_at {
            return after(part * expert.duration);
        }
        match self.arrived {
            Some(at) => at + (self.goal.pause_s * 1.0e9) as i64,
            None if expert.spare >= 0.0 => after(PATIENCE * expert.duration),
            None => after(expert.duration + GIVEN_UP_S),
        }
    }

    fn outcome(&self, manner: &Manner) -> Option<GoalOutcome> {
        let (first, expert) = (self.first_chunk?, self.expert.as_ref()?);
        let clear = expert.spare >= 0.0;
        let in_full = clear && manner.noise == 0.0 && (self.goal.left_at.is_none() || self.arrived.is_some());
        let limited = self.limited.iter().map(|(why, n)| format!("{why} {n}")).collect::<Vec<_>>().join(", ");
        Some(GoalOutcome {
            clear,
            judged: in_full && !manner.plans_anew,
            planned_anew: in_full && manner.plans_anew,
            from_rest: expert.from_rest,
            expert_s: expert.duration,
            spare_m: expert.spare,
            took_s: self.arrived.map(|at| (at - first) as f64 * 1.0e-9),
            blocked_s: self.blocked as f64 * 1.0e-9,
            why: format!("{}; ticks: {limited}", self.last_blocked),
        })
    }
}

/// Everything that moves in a run.
struct Run<'a> {
    robot: &'a Robot,
    settings: Settings,
    rng: Rng,
    scene: Scene,
    manner: Manner,
    expert: Expert,
    judge: Judge,
    world: ObstacleWorld,
    streamer: TrajectoryStreamer,
    arm: JointTrajectoryController,
    hand: JointTrajectoryController,
    messages: [Trajectory; 2],
    sample: JointSample,
    /// Where the last observation's chunk is, and for which goal.
    on_its_way: Option<(i64, ActionChunk, usize)>,
    next_look: i64,
    last_said: String,
    out: Outcome,
}

fn seconds(nanos: i64) -> f64 {
    nanos as f64 * 1.0e-9
}

/// Plays a run.
///
/// # Errors
/// When it cannot be set up, Ruckig finds no way, or a controller refuses a window.
pub fn play(seed: u64, robot: &Robot, settings: Settings) -> Result<Outcome> {
    let mut rng = Rng::new(seed);
    let mut judge = Judge::new(&robot.model, &robot.srdf, &robot.joints)?;
    let scene = Scene::random(&robot.limits, &mut judge, &mut rng);
    let manner = Manner::random(&mut rng);
    let mut streamer = robot.streamer(&scene, settings.space)?;
    streamer.arm(true, Stamp::from_nanos(T0));
    let expert = Expert::new(&robot.limits, settings.share.unwrap_or(streamer.config().share));
    let bodies: Vec<_> =
        std::iter::once(scene::table()).chain(scene.obstacles.iter().map(scene::Obstacle::fixed)).collect();
    let mut world = ObstacleWorld::new(&robot.files, &bodies, &robot.disabled, 0.03)?;
    world.reset(&scene.start, scene.finger);
    let mut arm = JointTrajectoryController::new(JtcConfig::new(JointNames::new(ARM_JOINTS)?));
    let mut hand = JointTrajectoryController::new(JtcConfig::new(JointNames::new([FINGER_JOINTS[0]])?));
    arm.reset(&scene.start);
    hand.reset(&[scene.finger]);
    if settings.tell {
        println!("{manner:?}, d_min {}\n{}", scene.d_min, scene::yaml(&scene.obstacles));
    }
    let mut run = Run {
        robot,
        settings,
        rng,
        manner,
        expert,
        judge,
        world,
        streamer,
        arm,
        hand,
        messages: Default::default(),
        sample: JointSample { stamp: Stamp::from_nanos(T0), positions: vec![0.0; 8], velocities: vec![0.0; 8] },
        on_its_way: None,
        next_look: T0,
        last_said: String::new(),
        out: Outcome {
            seed,
            physics: settings.physics,
            goals: vec![],
            contacts: vec![],
            least_mujoco: f64::INFINITY,
            least_parry: HORIZON,
            least_spare: f64::INFINITY,
            odd: BTreeMap::new(),
            seconds: 0.0,
            time: Histogram::default(),
        },
        scene,
    };
    run.go()?;
    Ok(run.out)
}

impl Run<'_> {
    fn go(&mut self) -> Result<()> {
        let goals = self.scene.goals.clone();
        let mut now = T0;
        for (number, goal) in goals.iter().enumerate() {
            let mut quest = Quest::new(*goal, now);
            self.say(now, || format!("goal {number}: {:.3?}, finger {:.3}", goal.q, goal.finger));
            while now < quest.ends() {
                self.policy(now, number, &mut quest)?;
                self.step(now, Some(&mut quest))?;
                now += UPDATE;
            }
            self.say(now, || format!("goal {number}: {:?}", quest.outcome(&self.manner)));
            self.out.goals.extend(quest.outcome(&self.manner));
        }
        // The policy is silent: the rest of its last chunk, and the stop.
        self.on_its_way = None;
        let ends = now + 5_000_000_000;
        while now < ends && (self.streamer.is_streaming() || now % 100_000_000 != 0) {
            self.step(now, None)?;
            now += UPDATE;
        }
        if self.streamer.is_streaming() {
            *self.out.odd.entry("still streaming 5 s after the last chunk".to_owned()).or_default() += 1;
        }
        self.out.seconds = seconds(now - T0);
        Ok(())
    }

    fn say(&self, now: i64, what: impl FnOnce() -> String) {
        if self.settings.tell {
            println!("{:7.3} {}", seconds(now - T0), what());
        }
    }

    /// The state that the policy observes: measured, with the acceleration that the controller wants.
    fn observed(&self) -> State {
        let command = self.arm.command();
        let mut state = State { p: [0.0; ARM], v: [0.0; ARM], a: [0.0; ARM] };
        state.p.copy_from_slice(&command.positions);
        state.v.copy_from_slice(&command.velocities);
        state.a.copy_from_slice(&command.accelerations);
        if self.settings.physics {
            let measured = self.world.joint_state();
            state.p.copy_from_slice(&measured.positions[..ARM]);
            state.v.copy_from_slice(&measured.velocities[..ARM]);
        }
        state
    }

    fn policy(&mut self, now: i64, number: usize, quest: &mut Quest) -> Result<()> {
        if let Some((at, chunk, of)) = self.on_its_way.take_if(|(at, ..)| *at <= now) {
            if let Err(refusal) = self.streamer.offer_chunk(&chunk, Stamp::from_nanos(now)) {
                *self.out.odd.entry(format!("chunk refused: {}", refusal.code())).or_default() += 1;
            }
            if of == number && quest.first_chunk.is_none() {
                quest.first_chunk = Some(at);
            }
        }
        if self.on_its_way.is_some() || now < self.next_look {
            return Ok(());
        }
        let state = self.observed();
        let along = quest.followed.as_mut().map(|followed| followed.observe(now, &state));
        let along = match along {
            Some((along, off)) if off <= LOST && !self.manner.plans_anew => along,
            _ => {
                quest.followed = Some(Followed::new(self.expert.way(&state, &quest.goal.q)?, now));
                0.0
            }
        };
        let Some(Followed { way, .. }) = &quest.followed else { return Ok(()) };
        if quest.expert.is_none() {
            let finger = self.hand.command().positions[0];
            let spare = spare(&mut self.judge, self.scene.d_min, way, [finger, quest.goal.finger]);
            let from_rest = state.v.iter().all(|v| v.abs() < 1.0e-3);
            quest.expert = Some(Known { duration: way.duration().max(1.0e-3), spare, from_rest });
            self.say(now, || {
                format!(
                    "expert {:.3} s, spare {spare:.4} m, {:.3} s after the goal",
                    way.duration(),
                    seconds(now - quest.set_at)
                )
            });
        }
        let chunk = self.manner.chunk(
            Stamp::from_nanos(now),
            (way, along),
            quest.goal.finger,
            &self.robot.joints,
            &mut self.rng,
        )?;
        let late = (self.rng.between(0.5, 1.0) * self.manner.latency_s * 1.0e9) as i64;
        let arrives = now + late / UPDATE * UPDATE;
        self.on_its_way = Some((arrives, chunk, number));
        self.next_look = arrives.max(now + (self.manner.every_s * 1.0e9) as i64);
        Ok(())
    }

    /// One update of everything but the policy.
    fn step(&mut self, now: i64, quest: Option<&mut Quest>) -> Result<()> {
        let period = (self.streamer.config().period_s * 1.0e9) as i64;
        let mut quest = quest;
        if (now - T0) % period == 0 {
            self.tick(now, quest.as_deref_mut())?;
        }
        let stamp = Stamp::from_nanos(now);
        let (mut p, mut v) = ([0.0; ARM], [0.0; ARM]);
        let command = self.arm.update(stamp);
        p.copy_from_slice(&command.positions);
        v.copy_from_slice(&command.velocities);
        let finger = self.hand.update(stamp).positions[0];
        if self.settings.physics {
            self.world.set_target(&p, &v, finger);
            self.world.step();
            self.look(now);
        } else if (now - T0) / UPDATE % LOOK_EVERY == 0 {
            self.world.place(&p, finger);
            self.look(now);
        }
        if (now - T0) % period == 0 {
            let q: [f64; ARM + 1] = std::array::from_fn(|j| if j < ARM { p[j] } else { finger });
            let closest = self.judge.closest(&q, HORIZON);
            self.out.least_parry = self.out.least_parry.min(closest.distance);
            self.out.least_spare = self.out.least_spare.min(closest.distance - self.scene.d_min);
            if let Some(pair) = closest.pair.filter(|_| closest.distance <= 0.0) {
                let (a, b) = self.judge.names(pair);
                note(&mut self.out.contacts, "parry", a, b, seconds(now - T0), closest.distance);
            }
        }
        if let Some(quest) = quest {
            let off = p.iter().zip(&quest.goal.q).map(|(p, q)| (p - q).abs()).fold(0.0, f64::max);
            if off <= ARRIVED && quest.arrived.is_none() && quest.first_chunk.is_some() {
                quest.arrived = Some(now);
                self.say(now, || "arrived".to_owned());
            }
        }
        Ok(())
    }

    /// MuJoCo's list.
    fn look(&mut self, now: i64) {
        for near in self.world.near() {
            if is_declared(&self.robot.disabled, near.a, near.b) {
                continue;
            }
            self.out.least_mujoco = self.out.least_mujoco.min(near.distance);
            if near.distance < 0.0 {
                note(&mut self.out.contacts, "mujoco", near.a, near.b, seconds(now - T0), near.distance);
            }
        }
    }

    fn tick(&mut self, now: i64, quest: Option<&mut Quest>) -> Result<()> {
        let stamp = Stamp::from_nanos(now);
        self.sample.stamp = stamp;
        if self.settings.physics {
            let state = self.world.joint_state();
            self.sample.positions.copy_from_slice(&state.positions[..8]);
            self.sample.velocities.copy_from_slice(&state.velocities[..8]);
        } else {
            for (controller, from) in [(&self.arm, 0), (&self.hand, ARM)] {
                let command = controller.command();
                let to = from + command.positions.len();
                self.sample.positions[from..to].copy_from_slice(&command.positions);
                self.sample.velocities[from..to].copy_from_slice(&command.velocities);
            }
        }
        let begun = Instant::now();
        let tick = self.streamer.tick(stamp, Some((&self.sample, 0.0)));
        let took = begun.elapsed();
        let (mut blocked, mut fault) = (None, None);
        let limited;
        let mut said = String::new();
        match tick {
            Tick::Send(outgoing) => {
                self.out.time.add(took.as_nanos() as u64);
                for (window, message) in outgoing.windows.iter().zip(&mut self.messages) {
                    window.write_to(message);
                }
                self.arm.accept(&self.messages[0], stamp).context("a window was refused")?;
                self.hand.accept(&self.messages[1], stamp).context("a window was refused")?;
                if let Activity::Blocked(intrusion) = outgoing.activity {
                    blocked = Some(intrusion);
                }
                limited = outgoing.report.limited.map_or("none", |limit| limit.code()).to_owned();
                if self.settings.tell {
                    let r = outgoing.report;
                    said = format!(
                        "{:?}, rate {:.2}, {limited}, off {:.4}, clearance {:.4?}, on path {}",
                        outgoing.activity, r.rate, r.deviation, r.clearance, r.stops_on_path
                    );
                }
            }
            Tick::Hold => limited = "hold".to_owned(),
            Tick::Idle(reason) => {
                if let IdleReason::Space(intrusion) = reason {
                    blocked = Some(intrusion);
                }
                if let IdleReason::Latched(_) | IdleReason::NotAtRest { .. } | IdleReason::OutsideLimits { .. } = reason
                {
                    fault = Some(format!("{reason:?}"));
                }
                limited = "idle".to_owned();
                said = format!("idle: {reason:?}");
            }
        }
        if let Some(fault) = fault {
            *self.out.odd.entry(fault).or_default() += 1;
            self.streamer.resume();
        }
        let blocked = blocked.map(|intrusion| self.streamer.describe(&intrusion));
        if self.settings.tell && (now - T0) % 10_000_000 == 0 || said != self.last_said && said.starts_with("idle") {
            self.say(now, || format!("{said} {}", blocked.as_deref().unwrap_or_default()));
        }
        self.last_said = said;
        if let Some(quest) = quest {
            if let Some(what) = blocked {
                quest.blocked += (self.streamer.config().period_s * 1.0e9) as i64;
                quest.last_blocked = what;
            }
            if quest.first_chunk.is_some() && quest.arrived.is_none() {
                *quest.limited.entry(limited).or_default() += 1;
            }
        }
        Ok(())
    }
}

/// Smallest distance of the expert's motion less the least distance; as soon as it is below zero it is looked at no further.
fn spare(judge: &mut Judge, d_min: f64, way: &Way, fingers: [f64; 2]) -> f64 {
    let steps = (way.duration() / LOOK_S).ceil() as usize;
    let fingers = if fingers[0] == fingers[1] { &fingers[..1] } else { &fingers[..] };
    let mut least = HORIZON;
    // Coarse first: most that is in the way is seen at once.
    for stride in [25, 1] {
        for k in (0..=steps).step_by(stride) {
            let q = way.at(k as f64 * LOOK_S);
            for finger in fingers {
                let q: [f64; ARM + 1] = std::array::from_fn(|j| if j < ARM { q[j] } else { *finger });
                least = least.min(judge.closest(&q, least).distance);
            }
            if least < d_min {
                return least - d_min;
            }
        }
    }
    least - d_min
}

/// Keeps the first of each pair and judge.
fn note(contacts: &mut Vec<Contact>, judge: &str, a: &str, b: &str, at_s: f64, distance: f64) {
    if contacts.iter().any(|c| c.judge == judge && c.pair.0 == a && c.pair.1 == b) {
        return;
    }
    contacts.push(Contact { judge: judge.to_owned(), pair: (a.to_owned(), b.to_owned()), at_s, distance });
}
