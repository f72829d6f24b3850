//! Who decides in an episode: a policy package, the scripted expert, chance, or nobody.

use crate::deployed::{DeployError, inference, read};
use crate::planner::{ExpertPlanner, PlanError, RobotFiles};
use crate::random::{PERIOD, RandomPlanner};
use crate::rig::Rig;
use efm_app::inference::engine::{ActError, Answer, Job, Pictures, Setup, Sight, Worker};
use efm_app::inference::picture_ring::PictureRing;
use efm_app::reasons::{self, wrong};
use efm_app::setup::policy_package;
use efm_app::surroundings::named_file;
use efm_core::{ActionChunk, JointSample, Reason, Stamp};
use efm_policy::{MANIFEST_FILE, Manifest, PolicyError};
use efm_schedule::Mode;
use efm_sim::world::{HEIGHT, WIDTH};
use efm_sim::{Camera, Expert, ExpertView, Scene, WorldError};
use efm_vision::{ImageView, Resizer, VisionError};
use nalgebra::Vector3;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why an agent cannot be made or cannot act.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The package, or the package against the robot.
    #[error("the policy is refused: {0}")]
    Refused(Reason),
    /// Parameters of `vla_inference`.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// Robot files, or the expert.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Inference.
    #[error(transparent)]
    Act(#[from] ActError),
    /// The sentence.
    #[error("the instruction cannot be embedded: {0}")]
    Sentence(Reason),
    /// Drawing.
    #[error(transparent)]
    World(#[from] WorldError),
    /// Resizing.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// A camera that the simulator has not.
    #[error("the policy needs a camera '{0}'; the simulator has front and wrist")]
    Camera(String),
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
    // By the nodes' rule.
    policy_package(named, &[root.join("models")], &[PathBuf::from(named), root.join(named)])
        .map_err(|looked| AgentError::NotFound { named: named.to_owned(), looked })
}

struct CameraView {
    name: String,
    camera: Camera,
    resizer: Resizer,
}

/// A policy between the simulator's cameras and a chunk, as `vla_inference` runs it: its [`Worker`] and the proposer that its parameters
/// choose.
pub struct PolicyAgent {
    worker: Worker,
    setup: Setup,
    manifest: Manifest,
    hash: String,
    cameras: Vec<CameraView>,
    picture: Vec<u8>,
    /// What was seen before, for a policy that looks back, and the joints then.
    seen: PictureRing,
    joints: Vec<(Stamp, JointSample)>,
    seed: u64,
    count: u64,
    guided: u64,
    inference: Vec<f64>,
}

impl PolicyAgent {
    /// Opens a package for the robot of `files`. Chunks continue each other as `mode` has it.
    ///
    /// # Errors
    /// Naming what does not fit.
    pub fn open(folder: &Path, search_path: &[PathBuf], files: &RobotFiles, mode: Mode) -> Result<Self, AgentError> {
        let params = inference(files, folder, search_path)?;
        let limits = named_file(&params, "joint_limits_file").map_err(AgentError::Refused)?;
        let setup = Setup::new(&params, folder.to_owned(), &limits.unwrap_or_default()).map_err(AgentError::Refused)?;
        let setup = Setup { mode, ..setup };
        let urdf = read(&files.urdf)?;
        let mut worker = Worker::default();
        let hash = match worker.work(&setup, Job::Open(urdf)) {
            Answer::Opened(opened) => opened.map_err(AgentError::Refused)?.hash,
            _ => return Err(AgentError::Refused(wrong(reasons::NO_POLICY_OPEN, "it was not opened", ""))),
        };
        let manifest = match worker.policy() {
            Some(policy) => policy.manifest().clone(),
            // A proposer that asks no policy of this process looks at what the manifest says all the same.
            None => Manifest::read(folder)
                .map_err(|e| AgentError::Refused(wrong(reasons::POLICY_MANIFEST_WRONG, e.to_string(), "")))?,
        };
        let mut cameras = Vec::new();
        for image in &manifest.observation.images {
            let camera = match image.name.as_str() {
                "front" => Camera::Front,
                "wrist" => Camera::Wrist,
                other => return Err(AgentError::Camera(other.to_owned())),
            };
            let resizer = Resizer::new(image.width, image.height, image.fit())?;
            cameras.push(CameraView { name: image.name.clone(), camera, resizer });
        }
        let seen = PictureRing::new(manifest.observation.history - 1, manifest.action.step);
        let (picture, inference, joints) = (Vec::new(), Vec::new(), Vec::new());
        let (seed, count, guided) = (0, 0, 0);
        Ok(Self { worker, setup, manifest, hash, cameras, picture, seen, joints, seed, count, guided, inference })
    }

    /// Name, version and hash of the package.
    pub fn identity(&self) -> (String, String) {
        let info = &self.manifest.policy;
        (format!("{} {}", info.name, info.version), self.hash.clone())
    }

    /// Begins a goal. What was seen before it stays seen.
    fn tell(&mut self, sentence: &str) -> Result<(), AgentError> {
        match self.worker.work(&self.setup, Job::Embed(sentence.to_owned())) {
            Answer::Embedded(_, embedded) => embedded.map_err(AgentError::Sentence),
            _ => Ok(()),
        }
    }

    /// Begins an episode, of which nothing is known yet.
    fn begin(&mut self, sentence: &str, seed: u64) -> Result<(), AgentError> {
        self.seen = PictureRing::new(self.manifest.observation.history - 1, self.manifest.action.step);
        self.joints.clear();
        (self.seed, self.count) = (seed, 0);
        // Nothing of the episode before guides its chunks.
        self.worker.forget();
        self.tell(sentence)
    }

    /// Says beside each other what the policy and the expert want, for whoever looks for the cause of a failure.
    fn trace(&self, rig: &Rig, chunk: &ActionChunk) {
        let Some(policy) = self.worker.policy() else { return };
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
            let tool = policy.tool_at(chunk.row(k)).translation.vector - view.tool;
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

    /// What the policy's cameras see now.
    fn look(&mut self, rig: &mut Rig) -> Result<Pictures, AgentError> {
        let mut pictures = Vec::with_capacity(self.cameras.len());
        for CameraView { name, camera, resizer } in &mut self.cameras {
            rig.cell_mut().world_mut().render(*camera, &mut self.picture)?;
            let mut small = vec![0; resizer.output_len()];
            resizer.resize(&ImageView::rgb8(WIDTH as u32, HEIGHT as u32, &self.picture)?, &mut small)?;
            pictures.push((name.clone(), small));
        }
        Ok(pictures)
    }

    /// Keeps what is seen now, where the policy will look back at it: called as often as cameras see something.
    fn remember(&mut self, rig: &mut Rig) -> Result<(), AgentError> {
        let stamp = rig.cell().now();
        if !self.seen.wants(stamp) {
            return Ok(());
        }
        let pictures = self.look(rig)?;
        self.seen.push(stamp, pictures);
        self.joints.push((stamp, rig.measured().clone()));
        // Behind what the ring keeps nothing is asked for.
        let span = self.manifest.observation.history as f64 * self.manifest.action.step;
        self.joints.retain(|(at, _)| stamp.seconds_since(*at) <= span);
        Ok(())
    }

    fn act(&mut self, rig: &mut Rig) -> Result<ActionChunk, AgentError> {
        let (stamp, pictures) = (rig.cell().now(), self.look(rig)?);
        let joints_at =
            |at: &Stamp| self.joints.iter().find(|(stamp, _)| stamp == at).map(|(_, joints)| joints.clone());
        let earlier = self.seen.before(stamp).into_iter();
        let earlier = earlier.filter_map(|(at, pictures)| Some((*at, pictures.clone(), joints_at(at)?))).collect();
        // Any fixed function of episode and count does; a multiplier spreads them over the generator's seeds.
        let noise_seed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(self.count);
        let execution = rig.execution();
        let (following, delay) = (execution.at(stamp, stamp), execution.take_delay());
        let joints = rig.measured().clone();
        let sight = Sight { stamp, pictures, joints, earlier, noise_seed, following, delay };
        let acted = self.worker.act(&sight)?;
        self.count += 1;
        self.guided += u64::from(acted.guided.is_some());
        self.inference.push(acted.seconds * 1e3);
        if log::log_enabled!(log::Level::Trace) {
            self.trace(rig, &acted.chunk);
        }
        Ok(acted.chunk)
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
                agent.begin(sentence, scene.seed)?;
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

    /// Whether the agent looks back at what it saw between two looks: then [`Self::remember`] is to be called as often as cameras see something.
    pub fn looks_back(&self) -> bool {
        matches!(self, Agent::Policy(agent) if agent.seen.looks_back())
    }

    /// Keeps what is seen now, where the agent will look back at it.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn remember(&mut self, rig: &mut Rig) -> Result<(), AgentError> {
        match self {
            Agent::Policy(agent) => agent.remember(rig),
            _ => Ok(()),
        }
    }

    /// For how many chunks the policy was guided so far; forgets it.
    pub fn take_guided(&mut self) -> u64 {
        match self {
            Agent::Policy(agent) => std::mem::take(&mut agent.guided),
            _ => 0,
        }
    }

    /// Time between two looks.
    pub fn period(&self) -> Duration {
        match self {
            // The rate at which it demonstrates. Asked more often, it does worse: each plan begins where the arm is, which lags.
            Agent::Nothing | Agent::Expert(_) => Duration::from_millis(200),
            Agent::Random(_) => Duration::from_secs_f64(PERIOD),
            Agent::Policy(agent) => {
                let manifest = &agent.manifest;
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
                Err(AgentError::Act(ActError::Policy(error @ PolicyError::Action(_)))) => {
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
