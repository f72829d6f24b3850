//! The proposer `policy`: a policy package, run in this process.

use crate::inference::engine::{ActError, Acted, Opened, Pictures, Setup, Sight, described};
use crate::inference::execution::OnChunk;
use crate::inference::proposer::{Named, Proposer};
use crate::reasons::{self, wrong};
use efm_core::{ActionChunk, Reason};
use efm_policy::{Chunking, Goal, LoadOptions, Observation, Policy, PolicyPackage, RuntimeOptions, SentenceError};
use efm_robot::LimitSet;
use efm_schedule::Mode;
use std::fmt::Display;
use std::time::Instant;

/// A policy package, run in this process.
pub struct LocalPolicy {
    setup: Setup,
    policy: Option<Policy>,
    goal: Option<Goal>,
    chunking: Option<Chunking>,
}

impl Named for LocalPolicy {
    const NAME: &'static str = "policy";

    fn new(setup: &Setup) -> Self {
        Self { setup: setup.clone(), policy: None, goal: None, chunking: None }
    }
}

impl Proposer for LocalPolicy {
    fn open(&mut self, urdf: &str) -> Result<Opened, Reason> {
        let policy = open(&self.setup, urdf)?;
        let package = policy.package();
        let (info, hash) = (&package.manifest().policy, package.hash().to_owned());
        let name = format!("{} {} (sha256 {hash:.12})", info.name, info.version);
        let guides = policy.can_continue();
        self.chunking = (guides && self.setup.mode == Mode::Rtc).then(|| Chunking::of(package.manifest(), 0.0));
        let (not_compared, remarks) = (policy.not_compared(), policy.remarks().to_vec());
        self.policy = Some(policy);
        Ok(Opened { name, hash, guides, not_compared, remarks })
    }

    fn tell(&mut self, sentence: &str) -> Result<(), Reason> {
        self.goal = None;
        let policy = self.policy.as_mut().ok_or(ActError::Closed)?;
        // Every goal begins with a sentence.
        policy.reset();
        let refuse = |error: SentenceError| wrong(reasons::INSTRUCTION_NOT_EMBEDDED, error.to_string(), "");
        self.goal = Some(policy.embed(sentence).map_err(refuse)?);
        Ok(())
    }

    fn propose(&mut self, sight: &Sight) -> Result<Acted, ActError> {
        let began = Instant::now();
        let policy = self.policy.as_mut().ok_or(ActError::Closed)?;
        let goal = self.goal.as_ref().ok_or(ActError::Untold)?;
        let images = views(&sight.pictures);
        let before: Vec<Vec<_>> = sight.earlier.iter().map(|(_, pictures, _)| views(pictures)).collect();
        let earlier: Vec<_> = sight
            .earlier
            .iter()
            .zip(&before)
            .map(|((stamp, _, joints), images)| Observation { stamp: *stamp, images, joints, earlier: &[] })
            .collect();
        let observation = Observation { stamp: sight.stamp, images: &images, joints: &sight.joints, earlier: &earlier };
        let (chunk, guided) = match &mut self.chunking {
            None => (policy.act(&observation, goal, sight.noise_seed)?, None),
            Some(chunking) => {
                if let Some(delay) = sight.delay {
                    chunking.followed(delay);
                }
                guided(policy, chunking, &observation, goal, sight.noise_seed, sight.following)?
            }
        };
        Ok(Acted { chunk, seconds: began.elapsed().as_secs_f64(), guided })
    }

    fn forget(&mut self) {
        if let (Some(chunking), Some(policy)) = (&mut self.chunking, &self.policy) {
            *chunking = Chunking::of(policy.manifest(), 0.0);
        }
    }

    fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }
}

/// A chunk that goes on from the one that is followed, and the actions that the policy is expected to take.
fn guided(
    policy: &mut Policy,
    chunking: &mut Chunking,
    observation: &Observation<'_>,
    goal: &Goal,
    noise_seed: u64,
    following: Option<OnChunk>,
) -> Result<(ActionChunk, Option<usize>), ActError> {
    let joints = &observation.joints.positions;
    chunking.runs(following.map(|on| on.chunk));
    let expected = chunking.predicted();
    let guide = match following {
        Some(on) => chunking.guide(policy, on.at, joints)?,
        None => None,
    };
    let guided = guide.is_some().then_some(expected);
    let chunk = policy.act_guided(observation, goal, noise_seed, guide)?;
    chunking.made(policy, observation.stamp, joints);
    Ok((chunk, guided))
}

fn views(pictures: &Pictures) -> Vec<(&str, &[u8])> {
    pictures.iter().map(|(name, data)| (name.as_str(), data.as_slice())).collect()
}

/// The policy of a set-up, for the robot of this URDF.
pub(crate) fn open(setup: &Setup, urdf: &str) -> Result<Policy, Reason> {
    let robot = described(urdf)?;
    // What is opened here is what kept its bounds elsewhere.
    let hash = setup.trial.as_ref().map(|trial| trial.of(setup, urdf)).transpose()?;
    let options = LoadOptions { operators: setup.operators.clone(), hash };
    let package = PolicyPackage::load_with(&setup.folder, &setup.models_path, &options).map_err(misfit)?;
    package.check_robot(&robot).map_err(misfit)?;
    if !setup.cameras.is_empty() {
        package.check_cameras(&setup.cameras).map_err(misfit)?;
    }
    let joints = package.manifest().joints().map_err(misfit)?;
    let limits = LimitSet::new(&robot, &setup.limits, &joints).map_err(misfit)?;
    let options = RuntimeOptions { intra_threads: setup.threads, provider: setup.provider };
    Policy::open(package, &robot, &limits, options).map_err(misfit)
}

/// The package does not fit the robot, or cannot be loaded.
fn misfit(error: impl Display) -> Reason {
    wrong(reasons::POLICY_DOES_NOT_FIT, reasons::in_passing(&error.to_string()), "")
}
