//! The thread that computes: it has a [`Proposer`] opened, told sentences and asked for chunks, one job at a time.
//!
//! It is an operating system's thread, fed by a channel, so that nothing it does holds up the intake of messages.

use crate::cores::Cores;
use crate::inference::execution::OnChunk;
use crate::inference::proposer::Proposer;
use crate::inference::proposers;
use crate::inference::trial::Trial;
use crate::reasons::{self, wrong};
use crate::setup::{joint_limits, models_path};
use efm_config::Params;
use efm_config::codes::wrong as parameter;
use efm_core::{ActionChunk, JointSample, Reason, Stamp};
use efm_policy::{Operators, Policy, PolicyError, Provider, imagine};
use efm_robot::{LimitsFile, ModelError, RobotModel};
use efm_schedule::{Mode, RtcError};
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// How the engine opens a policy.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The package.
    pub folder: PathBuf,
    /// Folders that are searched for the sentence encoder.
    pub models_path: Vec<PathBuf>,
    /// Cameras that the robot has; empty: not compared.
    pub cameras: Vec<String>,
    /// Limits of the joints.
    pub limits: LimitsFile,
    /// Threads that a graph may use.
    pub threads: usize,
    /// What runs the graphs.
    pub provider: Provider,
    /// How one chunk follows another: whether the policy is guided by the one before.
    pub mode: Mode,
    /// Who makes chunks.
    pub proposer: proposers::Entry,
    /// Chunks that a proposer which compares some has made for each look.
    pub candidates: usize,
    /// What such a proposer imagines their outcome with.
    pub world_model: imagine::Entry,
    /// Operators that its graphs may have.
    pub operators: Operators,
    /// Whether and how the package is tried out before it is opened.
    pub trial: Option<Trial>,
    /// Cores that the thread and those of ONNX Runtime keep to; all, where there are none.
    pub cores: Option<Cores>,
}

impl Setup {
    /// From the parameters of `vla_inference`, for the package in `folder`; `limits` is the text of `joint_limits_file`. On all cores.
    ///
    /// # Errors
    /// When a limit, a mode, a proposer or a world model is none.
    pub fn new(params: &Params, folder: PathBuf, limits: &str) -> Result<Self, Reason> {
        let none = |name: &str, error: &dyn Display| parameter(format!("parameter '{name}': {error}"), "");
        Ok(Self {
            folder,
            models_path: models_path(params),
            cameras: params.texts("cameras"),
            limits: joint_limits(params, limits)?,
            threads: usize::try_from(params.integer("threads")).unwrap_or(1),
            provider: Provider::named(&params.text("execution_provider")).unwrap_or_default(),
            mode: params.text("mode").parse::<Mode>().map_err(|e| none("mode", &e))?,
            proposer: proposers::named(&params.text("proposer")).map_err(|e| none("proposer", &e))?,
            candidates: usize::try_from(params.integer("candidates")).unwrap_or(1),
            world_model: imagine::named(&params.text("world_model")).map_err(|e| none("world_model", &e))?,
            operators: Operators::also(&params.texts("allow_operators")).map_err(|e| none("allow_operators", &e))?,
            trial: None,
            cores: None,
        })
    }
}

/// A picture by camera: rgb8 at the policy's size.
pub type Pictures = Vec<(String, Vec<u8>)>;

/// What the engine is asked for: it asks the proposer.
#[derive(Debug)]
pub enum Job {
    /// Open the proposer of the set-up for the robot of this URDF. Closes the one before.
    Open(String),
    /// Turn a sentence into an embedding, which is used from then on. A policy that remembers begins anew.
    Embed(String),
    /// Make a chunk.
    Act(Sight),
}

/// What a chunk is made from.
#[derive(Debug, Clone)]
pub struct Sight {
    /// Time of the observation.
    pub stamp: Stamp,
    /// Of every camera of the policy.
    pub pictures: Pictures,
    /// Joints at that time, in the order of the policy's.
    pub joints: JointSample,
    /// What was seen before, `action.step` apart, the newest last, for a policy that looks at it.
    pub earlier: Vec<(Stamp, Pictures, JointSample)>,
    /// Of the flow's noise.
    pub noise_seed: u64,
    /// Where the robot was then on the chunk that is followed.
    pub following: Option<OnChunk>,
    /// Seconds that a chunk was late, where that is news.
    pub delay: Option<f64>,
}

/// Why there is no chunk.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// No policy.
    #[error("no policy is open")]
    Closed,
    /// No sentence.
    #[error("there is no embedded instruction")]
    Untold,
    /// The policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The guide of real-time chunking.
    #[error("real-time chunking: {0}")]
    Rtc(#[from] RtcError),
    /// Another reason of the proposer's.
    #[error(transparent)]
    Reason(#[from] Reason),
}

impl From<ActError> for Reason {
    fn from(error: ActError) -> Self {
        let code = match error {
            ActError::Closed => reasons::NO_POLICY_OPEN,
            ActError::Untold => reasons::INSTRUCTION_NOT_EMBEDDED,
            ActError::Policy(_) | ActError::Rtc(_) => reasons::INFERENCE_FAILED,
            ActError::Reason(reason) => return reason,
        };
        wrong(code, error.to_string(), "")
    }
}

/// The robot of a URDF.
///
/// # Errors
/// When it is none.
pub(crate) fn described(urdf: &str) -> Result<RobotModel, Reason> {
    let refuse = |error: ModelError| {
        wrong(reasons::DESCRIPTION_DOES_NOT_FIT, reasons::in_passing(&format!("robot_description: {error}")), "")
    };
    RobotModel::from_urdf(urdf).map_err(refuse)
}

/// A chunk, and how it came about.
#[derive(Debug)]
pub struct Acted {
    /// It.
    pub chunk: ActionChunk,
    /// Seconds that it took.
    pub seconds: f64,
    /// Actions that the policy is expected to take, where it was guided by the chunk that was followed meanwhile.
    pub guided: Option<usize>,
}

/// An open policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Name, version and the beginning of the hash.
    pub name: String,
    /// SHA-256 of the package.
    pub hash: String,
    /// Whether it can be guided by the chunk before.
    pub guides: bool,
    /// What its package keeps from being compared with the robot's limits, a sentence a joint.
    pub not_compared: Vec<String>,
    /// What its golden file does not show of how its numbers become motion, and what is odd, a sentence each.
    pub remarks: Vec<String>,
}

/// What it answers, one answer a job.
#[derive(Debug)]
pub enum Answer {
    /// To [`Job::Open`]; or why it is refused.
    Opened(Result<Opened, Reason>),
    /// To [`Job::Embed`], with the sentence.
    Embedded(String, Result<(), Reason>),
    /// To [`Job::Act`]: the chunk; or why there is none.
    Acted(Result<Acted, Reason>),
}

/// The way to the engine's thread. When it is dropped, the thread ends after its job.
#[derive(Debug)]
pub struct Engine {
    jobs: Sender<Job>,
    ended: Receiver<()>,
}

/// What waits for the engine's thread to end.
#[derive(Debug)]
pub struct EngineEnd(Receiver<()>);

impl EngineEnd {
    /// Waits until the job in hand is over; at most so long. Says whether it is.
    pub fn wait(self, patience: Duration) -> bool {
        !matches!(self.0.recv_timeout(patience), Err(std::sync::mpsc::RecvTimeoutError::Timeout))
    }
}

impl Engine {
    /// Starts the thread; `answer` is called on it.
    ///
    /// # Errors
    /// When the operating system refuses a thread or its cores.
    pub fn start(setup: Setup, answer: impl FnMut(Answer) + Send + 'static) -> std::io::Result<Self> {
        let (jobs, inbox) = channel();
        let (end, ended) = channel();
        let (begin, begun) = channel();
        std::thread::Builder::new().name("inference".into()).spawn(move || {
            let confined = setup.cores.as_ref().map_or(Ok(()), Cores::confine_this_thread);
            let goes_on = confined.is_ok();
            // Who waits for it is below.
            let _ = begin.send(confined);
            if goes_on {
                serve(&setup, &inbox, answer);
            }
            drop(end);
        })?;
        begun.recv().map_err(std::io::Error::other)??;
        Ok(Self { jobs, ended })
    }

    /// The job channel, and what waits for the end once all senders are dropped.
    pub fn split(self) -> (Sender<Job>, EngineEnd) {
        (self.jobs, EngineEnd(self.ended))
    }
}

fn serve(setup: &Setup, inbox: &Receiver<Job>, mut answer: impl FnMut(Answer)) {
    let mut worker = Worker::default();
    while let Ok(job) = inbox.recv() {
        answer(worker.work(setup, job));
    }
}

/// Does the jobs, one after the other, on the thread that asks: what comes of them depends on them and on the set-up only.
#[derive(Default)]
pub struct Worker {
    proposer: Option<Box<dyn Proposer>>,
}

impl Worker {
    /// Does one.
    pub fn work(&mut self, setup: &Setup, job: Job) -> Answer {
        match job {
            Job::Open(urdf) => {
                // A refused package leaves nothing behind that could propose.
                self.proposer = None;
                let mut proposer = (setup.proposer.make())(setup);
                Answer::Opened(proposer.open(&urdf).inspect(|_| self.proposer = Some(proposer)))
            }
            Job::Embed(sentence) => {
                let told = match &mut self.proposer {
                    None => Err(ActError::Closed.into()),
                    Some(proposer) => proposer.tell(&sentence),
                };
                Answer::Embedded(sentence, told)
            }
            Job::Act(sight) => Answer::Acted(self.act(&sight).map_err(Reason::from)),
        }
    }

    /// Nothing of what was made before guides what is made from now on, and nothing is known of how long it takes: as after opening.
    pub fn forget(&mut self) {
        if let Some(proposer) = &mut self.proposer {
            proposer.forget();
        }
    }

    /// The policy that is open, where the proposer asks one.
    pub fn policy(&self) -> Option<&Policy> {
        self.proposer.as_ref()?.policy()
    }

    /// Makes a chunk.
    ///
    /// # Errors
    /// When there is none: why.
    pub fn act(&mut self, sight: &Sight) -> Result<Acted, ActError> {
        let acted = self.proposer.as_mut().ok_or(ActError::Closed)?.propose(sight)?;
        match misfit(sight, &acted.chunk) {
            None => Ok(acted),
            Some(what) => {
                let text = format!("the proposer's chunk {what}");
                let remedy = "mend the proposer: a chunk is for the look that it was asked for";
                Err(wrong(reasons::CHUNK_OF_NO_LOOK, text, remedy).into())
            }
        }
    }
}

/// What keeps a chunk from being one for this look, in words: proposers come from anywhere, and nodes, replay and evaluation rely on it.
fn misfit(sight: &Sight, chunk: &ActionChunk) -> Option<String> {
    let (joints, wanted) = (chunk.joints().len(), sight.joints.positions.len());
    if chunk.observed_at() != sight.stamp {
        let (of, seen) = (chunk.observed_at().nanos(), sight.stamp.nanos());
        return Some(format!("counts from {of} ns; the look was at {seen} ns"));
    }
    (joints != wanted).then(|| format!("moves {joints} joints; the look shows {wanted}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn setup() -> Setup {
        Setup {
            folder: "no/such/policy".into(),
            models_path: Vec::new(),
            cameras: Vec::new(),
            limits: LimitsFile::parse("joint_limits: {}", "test").unwrap(),
            threads: 1,
            provider: Provider::Cpu,
            mode: Mode::Blend,
            proposer: proposers::named("policy").unwrap(),
            candidates: 1,
            world_model: imagine::named("kinematic").unwrap(),
            operators: Operators::default(),
            trial: None,
            cores: None,
        }
    }

    /// An observation, the first of all.
    fn seen(pictures: Pictures, joints: JointSample) -> Job {
        let stamp = Stamp::ZERO;
        Job::Act(Sight { stamp, pictures, joints, earlier: vec![], noise_seed: 0, following: None, delay: None })
    }

    /// An engine with a tiny policy of efm_policy's tests, opened.
    fn opened(policy: &str, setup: Setup) -> (Sender<Job>, Receiver<Answer>) {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let (data, library) = (root.join("packages/policy/tests/data"), root.join(".efm/lib/libonnxruntime.so"));
        if std::env::var_os(efm_policy::LIBRARY_VARIABLE).is_none() && library.exists() {
            efm_policy::use_library(&library).unwrap();
        }
        let limit = "{has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, max_jerk: 50.0}";
        let joints = ["slide_x", "slide_y", "slide_z", "finger"].map(|joint| format!("  {joint}: {limit}\n")).concat();
        let limits = LimitsFile::parse(&format!("joint_limits:\n{joints}"), "test").unwrap();
        let (sender, answers) = channel();
        let setup = Setup { folder: data.join(policy), models_path: vec![data.clone()], limits, ..setup };
        let (jobs, _) = Engine::start(setup, move |answer| drop(sender.send(answer))).unwrap().split();
        jobs.send(Job::Open(std::fs::read_to_string(data.join("gantry.urdf")).unwrap())).unwrap();
        assert!(matches!(answers.recv().unwrap(), Answer::Opened(Ok(_))));
        (jobs, answers)
    }

    #[test]
    fn a_policy_that_remembers_begins_anew_with_each_sentence() {
        let (jobs, answers) = opened("recurrent", setup());
        let act = || {
            let joints =
                JointSample { stamp: Stamp::ZERO, positions: vec![0.1, -0.2, 0.3, 0.03], velocities: vec![0.0; 4] };
            let pictures = vec![("front".to_owned(), vec![7; 18])];
            jobs.send(seen(pictures, joints)).unwrap();
            match answers.recv().unwrap() {
                Answer::Acted(Ok(Acted { chunk, .. })) => chunk,
                other => panic!("{other:?}"),
            }
        };
        let tell = || {
            jobs.send(Job::Embed("pick the red cube".into())).unwrap();
            assert!(matches!(answers.recv().unwrap(), Answer::Embedded(_, Ok(()))));
        };
        tell();
        let first = act();
        assert_ne!(act(), first);
        tell();
        assert_eq!(act(), first);
    }

    /// Two threads on one core: the node refuses that, but it shows on any machine that ONNX Runtime's own thread keeps to the core as well.
    #[test]
    #[cfg(target_os = "linux")]
    fn inference_and_the_threads_of_onnx_runtime_keep_to_their_cores() {
        let core = *crate::cores::available().unwrap().last().unwrap();
        let cores = Cores::named(&[core as i64]).unwrap();
        let (_jobs, _answers) = opened("flow", Setup { threads: 2, cores, ..setup() });
        let mut kept = 0;
        for thread in std::fs::read_dir("/proc/self/task").unwrap() {
            let thread = thread.unwrap().path();
            // A thread of another test may have ended meanwhile.
            let Ok(status) = std::fs::read_to_string(thread.join("status")) else { continue };
            let value = |key| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim();
            // Those that the engine's thread starts inherit its name. Engines of other tests have all cores.
            if value("Name:") == "inference" && value("Cpus_allowed_list:") == core.to_string() {
                kept += 1;
            }
        }
        // The engine's, and one a session of its own: three graphs.
        assert!(kept >= 4, "{kept} threads on core {core}");
    }

    /// Proposes what it was made with.
    struct Fixed(ActionChunk);

    impl Proposer for Fixed {
        fn open(&mut self, _urdf: &str) -> Result<Opened, Reason> {
            Err(ActError::Closed.into())
        }

        fn tell(&mut self, _sentence: &str) -> Result<(), Reason> {
            Ok(())
        }

        fn propose(&mut self, _sight: &Sight) -> Result<Acted, ActError> {
            Ok(Acted { chunk: self.0.clone(), seconds: 0.0, guided: None })
        }
    }

    #[test]
    fn a_chunk_that_is_not_for_the_look_is_refused() {
        let chunk = |nanos, names: &[&str]| {
            let joints = efm_core::JointNames::new(names.iter().copied()).unwrap();
            let rows = vec![0.0; 2 * names.len()];
            ActionChunk::new(Stamp::from_nanos(nanos), 0.1, joints, rows).unwrap()
        };
        let act = |chunk| {
            let mut worker = Worker { proposer: Some(Box::new(Fixed(chunk))) };
            let joints = JointSample { stamp: Stamp::ZERO, positions: vec![0.0; 2], velocities: vec![] };
            let (stamp, pictures, earlier) = (Stamp::from_nanos(5), vec![], vec![]);
            let sight = Sight { stamp, pictures, joints, earlier, noise_seed: 0, following: None, delay: None };
            worker.act(&sight).map(drop).map_err(|e| e.to_string())
        };
        assert_eq!(act(chunk(5, &["a", "b"])), Ok(()));
        for (chunk, words) in [
            (chunk(4, &["a", "b"]), "counts from 4 ns; the look was at 5 ns"),
            (chunk(6, &["a", "b"]), "counts from 6 ns"),
            (chunk(5, &["a"]), "moves 1 joints; the look shows 2"),
            (chunk(5, &["a", "b", "c"]), "moves 3 joints"),
        ] {
            assert!(act(chunk).is_err_and(|said| said.contains(words)), "{words}");
        }
    }

    #[test]
    fn without_an_open_policy_there_is_no_chunk_but_always_an_answer() {
        let (sender, answers) = channel();
        let engine = Engine::start(setup(), move |answer| sender.send(answer).unwrap()).unwrap();
        let (jobs, end) = engine.split();
        jobs.send(Job::Open("<robot".into())).unwrap();
        jobs.send(Job::Embed("go".into())).unwrap();
        let joints = JointSample { stamp: Stamp::ZERO, positions: vec![], velocities: vec![] };
        jobs.send(seen(vec![], joints)).unwrap();
        assert!(matches!(answers.recv().unwrap(), Answer::Opened(Err(e)) if e.text.contains("robot_description")));
        assert!(matches!(answers.recv().unwrap(), Answer::Embedded(_, Err(_))));
        assert!(matches!(answers.recv().unwrap(), Answer::Acted(Err(e)) if e.code == reasons::NO_POLICY_OPEN));
        drop(jobs);
        assert!(end.wait(Duration::from_secs(60)));
    }
}
