//! Who decides in an episode: a policy package, the scripted expert, chance, or nobody.

use crate::planner::{ExpertPlanner, PlanError, RobotFiles};
use crate::random::{PERIOD, RandomPlanner};
use crate::rig::Rig;
use efm_core::ActionChunk;
use efm_policy::{
    Chunking, Goal, MANIFEST_FILE, Observation, OpenError, PackageError, Policy, PolicyError, PolicyPackage,
    RuntimeOptions, SentenceError,
};
use efm_robot::{LimitSet, RobotModel};
use efm_schedule::{Mode, RtcError, Seam};
use efm_sim::world::{HEIGHT, WIDTH};
use efm_sim::{Camera, Expert, ExpertView, Scene, WorldError};
use efm_vision::{ImageView, Resizer, VisionError};
use nalgebra::Vector3;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Why an agent cannot be made or cannot act.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The package.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The package against the robot.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Robot files, or the expert.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Inference.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The sentence.
    #[error(transparent)]
    Sentence(#[from] SentenceError),
    /// The guide of real-time chunking.
    #[error("real-time chunking: {0}")]
    Rtc(#[from] RtcError),
    /// Drawing.
    #[error(transparent)]
    World(#[from] WorldError),
    /// Resizing.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// A camera that the simulator has not.
    #[error("the policy needs a camera '{0}'; the simulator has front and wrist")]
    Camera(String),
    /// The past is not kept here.
    #[error("the policy looks at {0} observations at a time; the in-process simulator shows it one")]
    History(usize),
    /// No episode was begun.
    #[error("no episode was begun")]
    NotBegun,
    /// No such package.
    #[error("there is no {MANIFEST_FILE} for policy '{named}'; looked in: {}", looked.join(", "))]
    NotFound {
        /// What was asked for.
        named: String,
        /// Folders that were looked into.
        looked: Vec<String>,
    },
}

/// The folder of a policy package: one in `root/models` by its name, or a path from here or from `root`.
///
/// # Errors
/// When none of them holds a manifest.
pub fn policy_folder(named: &str, root: &Path) -> Result<PathBuf, AgentError> {
    // Where the nodes look for it, in their order.
    let places = [root.join("models").join(named), PathBuf::from(named), root.join(named)];
    let found = places.iter().find(|folder| folder.join(MANIFEST_FILE).is_file()).cloned();
    found.ok_or_else(|| AgentError::NotFound {
        named: named.to_owned(),
        looked: places.iter().map(|place| place.display().to_string()).collect(),
    })
}

/// A policy with everything that it needs between the simulator's cameras and a chunk.
pub struct PolicyAgent {
    policy: Policy,
    cameras: Vec<(String, Camera, Resizer, Vec<u8>)>,
    picture: Vec<u8>,
    goal: Option<Goal>,
    seed: u64,
    count: u64,
    inference: Vec<f64>,
    /// Where chunks continue each other.
    chunking: Option<Chunking>,
}

impl PolicyAgent {
    /// Opens a package for the robot of `files`.
    ///
    /// # Errors
    /// Naming what does not fit.
    pub fn open(folder: &Path, search_path: &[PathBuf], files: &RobotFiles) -> Result<Self, AgentError> {
        let package = PolicyPackage::load(folder, search_path)?;
        let model = RobotModel::load(&files.urdf).map_err(PlanError::from)?;
        let joints = package.manifest().joints().map_err(PlanError::from)?;
        let limits = LimitSet::load(&model, &files.joint_limits, &joints).map_err(PlanError::from)?;
        let policy = Policy::open(package, &model, &limits, RuntimeOptions::default())?;
        if policy.manifest().observation.history > 1 {
            return Err(AgentError::History(policy.manifest().observation.history));
        }
        let mut cameras = Vec::new();
        for image in &policy.manifest().observation.images {
            let camera = match image.name.as_str() {
                "front" => Camera::Front,
                "wrist" => Camera::Wrist,
                other => return Err(AgentError::Camera(other.to_owned())),
            };
            let resizer = Resizer::new(image.width, image.height, image.fit())?;
            let small = vec![0; resizer.output_len()];
            cameras.push((image.name.clone(), camera, resizer, small));
        }
        let (picture, inference) = (Vec::new(), Vec::new());
        Ok(Self { policy, cameras, picture, goal: None, seed: 0, count: 0, inference, chunking: None })
    }

    /// The policy.
    pub fn policy_mut(&mut self) -> &mut Policy {
        &mut self.policy
    }

    /// Name, version and hash of the package.
    pub fn identity(&self) -> (String, String) {
        let info = &self.policy.manifest().policy;
        (format!("{} {}", info.name, info.version), self.policy.package().hash().to_owned())
    }

    /// Begins a goal.
    fn tell(&mut self, sentence: &str) -> Result<(), AgentError> {
        self.policy.reset();
        self.goal = Some(self.policy.embed(sentence)?);
        Ok(())
    }

    /// Says beside each other what the policy and the expert want, for whoever looks for the cause of a failure.
    fn trace(&self, rig: &Rig, chunk: &ActionChunk) {
        let (world, scene) = (rig.cell().world(), rig.cell().scene());
        let view = ExpertView::of(world, scene);
        let rollout = Expert::new().plan(&view);
        let mm = |v: Vector3<f64>| format!("{:4.0} {:4.0} {:4.0}", 1e3 * v.x, 1e3 * v.y, 1e3 * v.z);
        let mut line = format!(
            "{:5.2} s tool {} v {} finger {:4.1} object {} {:?}:",
            rig.cell().elapsed(),
            mm(view.tool),
            mm(view.velocity),
            1e3 * view.finger,
            mm(view.object),
            rollout.phase
        );
        for k in [0, 3, 7, 15] {
            let tool = self.policy.tool_at(chunk.row(k)).translation.vector - view.tool;
            let wanted = Vector3::from(rollout.tool[k]) - view.tool;
            line += &format!(
                "\n      row {k:2}: policy {} {:4.1}  expert {} {:4.1}",
                mm(tool),
                1e3 * chunk.row(k)[7],
                mm(wanted),
                1e3 * rollout.finger[k]
            );
        }
        log::trace!("{line}");
    }

    fn act(&mut self, rig: &mut Rig) -> Result<ActionChunk, AgentError> {
        for (_, camera, resizer, small) in &mut self.cameras {
            rig.cell_mut().world_mut().render(*camera, &mut self.picture)?;
            resizer.resize(&ImageView::rgb8(WIDTH as u32, HEIGHT as u32, &self.picture)?, small)?;
        }
        let stamp = rig.cell().now();
        let began = Instant::now();
        let images: Vec<(&str, &[u8])> =
            self.cameras.iter().map(|(n, _, _, small)| (n.as_str(), small.as_slice())).collect();
        let plan_time = rig.plan_time();
        let observation = Observation { stamp, images: &images, joints: rig.measured(), earlier: &[] };
        let goal = self.goal.as_ref().ok_or(AgentError::NotBegun)?;
        // Any fixed function of episode and count does; a multiplier spreads them over the generator's seeds.
        let noise = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(self.count);
        let chunk = match &mut self.chunking {
            None => self.policy.act(&observation, goal, noise)?,
            Some(chunking) => {
                let joints = &observation.joints.positions;
                let guide = chunking.guide(&self.policy, plan_time, joints)?;
                let chunk = self.policy.act_guided(&observation, goal, noise, guide);
                if chunk.is_ok() {
                    chunking.made(&self.policy, plan_time, joints);
                }
                chunk?
            }
        };
        self.count += 1;
        self.inference.push(began.elapsed().as_secs_f64() * 1e3);
        if log::log_enabled!(log::Level::Trace) {
            self.trace(rig, &chunk);
        }
        Ok(chunk)
    }
}

/// Who decides.
pub enum Agent {
    /// Never moves: what success is worth must be zero for it.
    Nothing,
    /// Moves at random.
    Random(Box<RandomPlanner>),
    /// The scripted expert, which knows the true state.
    Expert(Box<ExpertPlanner>),
    /// A policy package.
    Policy(Box<PolicyAgent>),
}

impl Agent {
    /// Begins an episode.
    ///
    /// # Errors
    /// When the sentence cannot be embedded.
    pub fn begin(&mut self, scene: &Scene) -> Result<(), AgentError> {
        self.begin_told(scene, &scene.sentence)
    }

    /// Begins an episode with a sentence that need not be the scene's own. The expert does not listen.
    ///
    /// # Errors
    /// When the sentence cannot be embedded.
    pub fn begin_told(&mut self, scene: &Scene, sentence: &str) -> Result<(), AgentError> {
        match self {
            Agent::Policy(agent) => {
                agent.tell(sentence)?;
                agent.seed = scene.seed;
                agent.count = 0;
            }
            Agent::Random(planner) => planner.begin(scene.seed),
            Agent::Nothing | Agent::Expert(_) => {}
        }
        Ok(())
    }

    /// Gives another instruction in mid-episode. The expert does not listen.
    ///
    /// # Errors
    /// When the sentence cannot be embedded.
    pub fn tell(&mut self, sentence: &str) -> Result<(), AgentError> {
        if let Agent::Policy(agent) = self {
            agent.tell(sentence)?;
        }
        Ok(())
    }

    /// How one chunk follows another in the episode that begins, and how many seconds the policy is expected to take. Whoever cannot be
    /// guided does not care.
    pub fn schedule(&mut self, mode: Mode, latency: f64) {
        if let Agent::Policy(agent) = self {
            agent.chunking = (mode == Mode::Rtc).then(|| Chunking::of(agent.policy.manifest(), latency));
        }
    }

    fn chunking(&mut self) -> Option<&mut Chunking> {
        match self {
            Agent::Policy(agent) => agent.chunking.as_mut(),
            _ => None,
        }
    }

    /// The last chunk reached the scheduler, which takes it or does not.
    pub fn arrived(&mut self, taken: bool) {
        if let Some(chunking) = self.chunking() {
            chunking.arrived(taken);
        }
    }

    /// A chunk is followed in the place of another one.
    pub fn followed(&mut self, seam: &Seam) {
        if let Some(chunking) = self.chunking() {
            chunking.followed(seam.delay_s);
        }
    }

    /// The arm stands still: nothing goes on while the policy thinks.
    pub fn ended(&mut self) {
        if let Some(chunking) = self.chunking() {
            chunking.runs(None);
        }
    }

    /// For how many chunks the policy was guided so far; forgets it.
    pub fn take_guided(&mut self) -> u64 {
        self.chunking().map_or(0, Chunking::take_guided)
    }

    /// Time between two looks.
    pub fn period(&self) -> Duration {
        match self {
            // The rate at which it demonstrates. Asked more often, it does worse: each plan begins where the arm is, which lags.
            Agent::Nothing | Agent::Expert(_) => Duration::from_millis(200),
            Agent::Random(_) => Duration::from_secs_f64(PERIOD),
            Agent::Policy(agent) => {
                let manifest = agent.policy.manifest();
                Duration::from_secs_f64(manifest.action.step * manifest.execution.replan_steps as f64)
            }
        }
    }

    /// A chunk from what is seen now; `None` when there is nothing to propose.
    ///
    /// # Errors
    /// When the agent is broken. A policy whose chunk is out of reach only proposes nothing.
    pub fn act(&mut self, rig: &mut Rig) -> Result<Option<ActionChunk>, AgentError> {
        match self {
            Agent::Nothing => Ok(None),
            Agent::Expert(planner) => {
                let (now, world) = (rig.cell().now(), rig.cell().world());
                let rollout = planner.rollout(world, rig.cell().scene());
                reachable(planner.to_chunk(&rollout, world, now, |_| Vector3::zeros()))
            }
            Agent::Random(planner) => {
                let (now, elapsed) = (rig.cell().now(), rig.cell().elapsed());
                reachable(planner.chunk(&rig.measured().positions, elapsed, now))
            }
            Agent::Policy(agent) => match agent.act(rig) {
                Ok(chunk) => Ok(Some(chunk)),
                Err(AgentError::Policy(error @ PolicyError::Action(_))) => {
                    log::debug!("chunk rejected: {error}");
                    Ok(None)
                }
                Err(error) => Err(error),
            },
        }
    }

    /// Milliseconds that each inference took so far; forgets them.
    pub fn take_inference_times(&mut self) -> Vec<f64> {
        match self {
            Agent::Policy(agent) => std::mem::take(&mut agent.inference),
            _ => Vec::new(),
        }
    }
}

/// A plan that is out of reach is no plan.
fn reachable(chunk: Result<ActionChunk, PlanError>) -> Result<Option<ActionChunk>, AgentError> {
    match chunk {
        Ok(chunk) => Ok(Some(chunk)),
        Err(PlanError::Unreachable { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
