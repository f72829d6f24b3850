//! Runs many episodes on all cores: who acts, on which scenes, told what.
//!
//! Every episode starts from nothing but its scene, its sentence and its actor, so what comes out does not depend on the number of
//! workers or on who did what before.

use crate::agent::{Agent, AgentError, PolicyAgent, policy_folder};
use crate::control::{Control, TooFew, shuffled_sentences};
use crate::episode::{self, EpisodeError, EpisodeOptions};
use crate::flow::{Flow, ScheduleFigures};
use crate::planner::{ExpertPlanner, RobotFiles};
use crate::random::RandomPlanner;
use crate::report::{EpisodeOutcome, Quantiles, Run, Subject};
use crate::rig::{Filter, Rig, RigError};
use efm_schedule::Mode;
use efm_sim::Scene;
use efm_sim::tasks::Split;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Why an evaluation broke off.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// An actor cannot be made.
    #[error("policy '{policy}': {source}")]
    Open {
        /// As it was named.
        policy: String,
        /// Why.
        source: Box<AgentError>,
    },
    /// The simulated cell cannot be made.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// An episode broke off; a failed task is no error.
    #[error("episode of seed {seed}: {source}")]
    Episode {
        /// Its seed.
        seed: u64,
        /// Why.
        source: EpisodeError,
    },
    /// Seeds that leave the split.
    #[error("split {split} has {size} seeds; episodes {seed} to {} are not all among them", seed + episodes)]
    Seeds {
        /// Which.
        split: Split,
        /// How many it has.
        size: u64,
        /// First wanted, counted from the split's first.
        seed: u64,
        /// How many are wanted.
        episodes: u64,
    },
    /// One episode cannot be shuffled.
    #[error(transparent)]
    TooFew(#[from] TooFew),
    /// A mistake of ours.
    #[error("a worker panicked")]
    Panicked,
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Nobody.
    Nothing,
    /// Chance.
    Random,
    /// The scripted expert, which knows the true state.
    Expert,
    /// A policy package in this folder.
    Package(PathBuf),
}

impl Actor {
    /// "nothing", "random", "expert", or a policy package (see [`policy_folder`]).
    ///
    /// # Errors
    /// When it is none of these.
    pub fn named(name: &str, root: &Path) -> Result<Self, AgentError> {
        Ok(match name {
            "nothing" => Actor::Nothing,
            "random" => Actor::Random,
            "expert" => Actor::Expert,
            folder => Actor::Package(policy_folder(folder, root)?),
        })
    }

    /// Ready to act. Give the folder of all packages for `models`: sentence encoders are looked for there too. A policy that can be guided is where `mode`
    /// says so.
    ///
    /// # Errors
    /// Naming what does not fit.
    pub fn open(&self, files: &RobotFiles, models: &Path, mode: Mode) -> Result<Agent, AgentError> {
        Ok(match self {
            Actor::Nothing => Agent::Nothing,
            Actor::Random => Agent::Random(Box::new(RandomPlanner::new(files)?)),
            Actor::Expert => Agent::Expert(Box::new(ExpertPlanner::new(files)?)),
            Actor::Package(folder) => {
                Agent::Policy(Box::new(PolicyAgent::open(folder, &[models.to_owned()], files, mode)?))
            }
        })
    }

    /// The control that this actor is by nature.
    pub fn control(&self) -> Option<Control> {
        match self {
            Actor::Nothing => Some(Control::Nothing),
            Actor::Random => Some(Control::Random),
            Actor::Expert | Actor::Package(_) => None,
        }
    }

    /// Name and hash, as reports have them.
    ///
    /// # Errors
    /// When a package cannot be opened.
    pub fn identity(&self, files: &RobotFiles, models: &Path) -> Result<(String, Option<String>), AgentError> {
        Ok(match self.open(files, models, Mode::default())? {
            Agent::Policy(agent) => {
                let (name, hash) = agent.identity();
                (name, Some(hash))
            }
            Agent::Nothing => ("nothing".to_owned(), None),
            Agent::Random(_) => ("random".to_owned(), None),
            Agent::Expert(_) => ("expert".to_owned(), None),
        })
    }
}

/// One run that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Who acts.
    pub actor: Actor,
    /// Where, as what, and under which name.
    pub subject: Subject,
}

/// How it is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The robot.
    pub files: RobotFiles,
    /// Folder of all packages.
    pub models: PathBuf,
    /// Episodes of each run.
    pub episodes: usize,
    /// Workers; each simulates on its own.
    pub jobs: usize,
    /// Of every episode.
    pub options: EpisodeOptions,
    /// What stands between the chunks and the controllers.
    pub filter: Filter,
}

/// How far an evaluation is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Episodes that are over, of all runs.
    pub done: usize,
    /// Episodes of all runs.
    pub total: usize,
    /// The run of the last one that ended.
    pub run: String,
    /// Of that run: episodes that are over, and successes among them.
    pub of_run: (usize, usize),
    /// Whether that run is over.
    pub run_over: bool,
    /// Seconds left, as far as one can tell.
    pub seconds_left: f64,
}

/// The seed of the first of `episodes` scenes, `seed` places after the first of a split.
///
/// # Errors
/// When they are not all in the split.
pub fn first_seed(split: Split, seed: u64, episodes: usize) -> Result<u64, EvaluateError> {
    let seeds = split.seeds();
    let (size, episodes) = (seeds.end - seeds.start, episodes as u64);
    match seed.checked_add(episodes) {
        Some(end) if end <= size => Ok(seeds.start + seed),
        _ => Err(EvaluateError::Seeds { split, size, seed, episodes }),
    }
}

/// What has come of a run so far.
#[derive(Debug, Default)]
struct Collected {
    outcomes: Vec<EpisodeOutcome>,
    inference: Vec<f64>,
    /// How motion flowed, and how many chunks were guided.
    flows: Vec<Flow>,
    guided: u64,
    /// Seconds that workers spent in its episodes, added up.
    busy: f64,
}

impl Collected {
    fn into_run(mut self, subject: Subject, options: &EpisodeOptions) -> Run {
        // Workers finish in any order.
        self.outcomes.sort_by_key(|o| o.seed);
        let simulated: f64 = self.outcomes.iter().map(|o| o.seconds).sum();
        let mut run = Run::new(subject, self.outcomes);
        run.latency_ms = Quantiles::of(&mut self.inference);
        run.times_real_time = Some(simulated / self.busy.max(1e-9));
        let latency_ms = options.delay.as_secs_f64() * 1e3;
        run.delay_ms = Some(latency_ms);
        if options.one_at_a_time {
            let figures = ScheduleFigures::new(options.mode, latency_ms, &self.flows, self.guided);
            run.schedule = Some(match options.new_goal {
                Some(new) => figures.with_new_goal(new.rule, &self.flows),
                None => figures,
            });
        }
        run
    }
}

/// Runs all of `plans`. `told` hears of every episode that ends, with the runs that are over, in the order in which they ended.
///
/// # Errors
/// The first error of any worker; the others stop after their episodes.
pub fn evaluate(
    settings: &Settings,
    plans: &[Plan],
    told: &mut (dyn FnMut(&Progress, &[Run]) + Send),
) -> Result<Vec<Run>, EvaluateError> {
    let mut sentences = Vec::new();
    for plan in plans {
        let first = first_seed(plan.subject.split, plan.subject.seed, settings.episodes)?;
        let scenes = || (first..).take(settings.episodes).map(Scene::sample).collect::<Vec<_>>();
        // Where the own sentence comes later, another one's comes first.
        let shuffled = plan.subject.control == Some(Control::Shuffled) || settings.options.new_goal.is_some();
        sentences.push(if shuffled { Some(shuffled_sentences(&scenes())?) } else { None });
    }
    let total = plans.len() * settings.episodes;
    let next = AtomicUsize::new(0);
    let state = Mutex::new(State {
        settings,
        plans,
        collected: plans.iter().map(|_| Collected::default()).collect(),
        seen: vec![(0, 0.0); plans.len()],
        over: Vec::new(),
        told,
    });
    let work = || -> Result<(), EvaluateError> {
        let mut worker = Worker { settings, rig: None, agents: Vec::new() };
        loop {
            let item = next.fetch_add(1, Ordering::Relaxed);
            if item >= total {
                return Ok(());
            }
            let (plan, index) = (item / settings.episodes, item % settings.episodes);
            let subject = &plans[plan].subject;
            let scene = Scene::sample(subject.split.seeds().start + subject.seed + index as u64);
            let told = sentences[plan].as_ref().map(|all| all[index].as_str());
            let began = Instant::now();
            let done = worker.episode(&plans[plan], scene, told)?;
            let busy = began.elapsed().as_secs_f64();
            state.lock().unwrap_or_else(PoisonError::into_inner).take(plan, done, busy);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..settings.jobs.clamp(1, total.max(1)))
            .map(|_| {
                scope.spawn(|| {
                    let outcome = work();
                    if outcome.is_err() {
                        next.store(total, Ordering::Relaxed);
                    }
                    outcome
                })
            })
            .collect();
        // All of them, before the first error is told.
        let ends: Vec<_> = workers.into_iter().map(|w| w.join().map_err(|_| EvaluateError::Panicked)).collect();
        ends.into_iter().try_for_each(|end| end?)
    })?;
    let mut runs = state.into_inner().unwrap_or_else(PoisonError::into_inner).over;
    // In the order of the plans.
    let place = |run: &Run| plans.iter().position(|plan| is_of(run, &plan.subject));
    runs.sort_by_key(place);
    Ok(runs)
}

fn is_of(run: &Run, subject: &Subject) -> bool {
    run.policy == subject.policy
        && run.policy_sha256 == subject.policy_sha256
        && run.split == subject.split.name()
        && run.control == subject.control
}

struct State<'a> {
    settings: &'a Settings,
    plans: &'a [Plan],
    collected: Vec<Collected>,
    /// Of each run: episodes that are over, and the seconds they took.
    seen: Vec<(usize, f64)>,
    over: Vec<Run>,
    told: &'a mut (dyn FnMut(&Progress, &[Run]) + Send),
}

impl State<'_> {
    fn take(&mut self, plan: usize, mut done: Done, busy: f64) {
        let collected = &mut self.collected[plan];
        collected.outcomes.push(done.outcome);
        collected.inference.append(&mut done.inference);
        collected.flows.push(done.flow);
        collected.guided += done.guided;
        collected.busy += busy;
        self.seen[plan] = (collected.outcomes.len(), collected.busy);
        let of_run = (collected.outcomes.len(), collected.outcomes.iter().filter(|o| o.success).count());
        let run_over = of_run.0 == self.settings.episodes;
        let subject = &self.plans[plan].subject;
        if run_over {
            let run = std::mem::take(collected);
            self.over.push(run.into_run(subject.clone(), &self.settings.options));
        }
        let control = subject.control.map(|c| format!(" {c}")).unwrap_or_default();
        let progress = Progress {
            done: self.seen.iter().map(|(n, _)| n).sum(),
            total: self.plans.len() * self.settings.episodes,
            run: format!("{}{control}", subject.split),
            of_run,
            run_over,
            seconds_left: time_left(&self.seen, self.settings.episodes, self.settings.jobs),
        };
        (self.told)(&progress, &self.over);
    }
}

/// Seconds left: each run has episodes that are over and the seconds they took. A run of which nothing is known yet counts as the
/// mean of the others.
fn time_left(runs: &[(usize, f64)], episodes: usize, jobs: usize) -> f64 {
    let (n, busy) = runs.iter().fold((0, 0.0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    if n == 0 {
        return 0.0;
    }
    let mean = |run: &(usize, f64)| if run.0 > 0 { run.1 / run.0 as f64 } else { busy / n as f64 };
    runs.iter().map(|run| mean(run) * episodes.saturating_sub(run.0) as f64).sum::<f64>() / jobs.max(1) as f64
}

/// What an episode came to.
struct Done {
    outcome: EpisodeOutcome,
    /// Milliseconds of each inference.
    inference: Vec<f64>,
    flow: Flow,
    /// For how many chunks the policy was guided.
    guided: u64,
}

/// Cell and agents of a thread.
pub(crate) struct Worker<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) rig: Option<Rig>,
    pub(crate) agents: Vec<(Actor, Agent)>,
}

impl Worker<'_> {
    /// Cell and agent, made when they are first needed.
    pub(crate) fn ready(&mut self, plan: &Plan, scene: &Scene) -> Result<(&mut Rig, &mut Agent), EvaluateError> {
        let place = match self.agents.iter().position(|(actor, _)| *actor == plan.actor) {
            Some(place) => place,
            None => {
                let agent = plan.actor.open(&self.settings.files, &self.settings.models, self.settings.options.mode);
                let agent = agent.map_err(|source| EvaluateError::Open {
                    policy: plan.subject.policy.clone(),
                    source: Box::new(source),
                })?;
                self.agents.push((plan.actor.clone(), agent));
                self.agents.len() - 1
            }
        };
        let rig = match &mut self.rig {
            Some(rig) => rig,
            empty => {
                let Settings { files, filter, options, .. } = self.settings;
                empty.insert(Rig::scheduled(files, scene.clone(), *filter, options.mode)?)
            }
        };
        Ok((rig, &mut self.agents[place].1))
    }

    fn episode(&mut self, plan: &Plan, scene: Scene, told: Option<&str>) -> Result<Done, EvaluateError> {
        let (seed, options) = (scene.seed, self.settings.options);
        let (rig, agent) = self.ready(plan, &scene)?;
        let outcome = episode::run_watched(rig, agent, scene, told, options, &mut |_| Ok(()))
            .map_err(|source| EvaluateError::Episode { seed, source })?;
        let (inference, guided) = (agent.take_inference_times(), agent.take_guided());
        Ok(Done { outcome, inference, flow: rig.take_flow(), guided })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_scenes_of_an_evaluation_are_all_of_its_split() {
        assert_eq!(first_seed(Split::Novel, 7, 100).unwrap(), Split::Novel.seeds().start + 7);
        let last = Split::Novel.seeds().end - Split::Novel.seeds().start;
        assert!(first_seed(Split::Novel, last - 100, 100).is_ok());
        for (seed, episodes) in [(last - 99, 100), (u64::MAX, 1)] {
            assert!(matches!(first_seed(Split::Novel, seed, episodes), Err(EvaluateError::Seeds { .. })));
        }
    }

    #[test]
    fn the_time_left_counts_slow_and_fast_runs_apart() {
        assert_eq!(time_left(&[(0, 0.0), (0, 0.0)], 10, 2), 0.0);
        // 5 of 10 at 4 s, and 10 at the same mean, on two workers.
        assert_eq!(time_left(&[(5, 20.0), (0, 0.0)], 10, 2), 30.0);
        // 5 at 4 s and 8 at 1 s.
        assert_eq!(time_left(&[(5, 20.0), (2, 2.0)], 10, 1), 28.0);
    }

    #[test]
    fn who_acts_is_a_word_or_a_folder_with_a_manifest() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        assert_eq!(Actor::named("expert", &root).unwrap(), Actor::Expert);
        let folder = root.join("models/panda_tabletop_flow");
        assert_eq!(Actor::named("panda_tabletop_flow", &root).unwrap(), Actor::Package(folder.clone()));
        assert_eq!(Actor::named(folder.to_str().unwrap(), &root).unwrap(), Actor::Package(folder));
        assert!(Actor::named("no/such", &root).unwrap_err().to_string().contains("no/such"));
    }
}
