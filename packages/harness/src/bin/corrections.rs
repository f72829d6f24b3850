//! `efm-corrections`: lets a policy act in the simulator and records what the scripted expert would have done instead.
//!
//! The expert keeps no memory, so it has an answer wherever the policy gets itself. Trained on these episodes too, a policy
//! learns to get out of its own mistakes (dataset aggregation: Ross, Gordon, Bagnell, AISTATS 2011).

use anyhow::{Context, Result};
use clap::Parser;
use efm_harness::agent::{Agent, PolicyAgent};
use efm_harness::batch::{Unfinished, training_seeds_end};
use efm_harness::planner::{ExpertPlanner, PlanError, RobotFiles};
use efm_harness::recorder::{EpisodeRecorder, FRAME_SECONDS, Pictures};
use efm_harness::rig::{Rig, START};
use efm_sim::world::STEP_NANOS;
use efm_sim::{Scene, Split};
use nalgebra::Vector3;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Records episodes in which a policy acts and the expert is asked what it would do.
///
/// The episodes have the same topics as demonstrations; whether they succeed does not matter. In part of the time the expert acts,
/// so that the policy is not only seen where it is stuck.
#[derive(Parser)]
#[command(name = "efm-corrections", version)]
struct Args {
    /// Policy package that acts.
    #[arg(long)]
    policy: PathBuf,
    /// Folder for the episodes (correction_<seed>/).
    #[arg(long)]
    out: PathBuf,
    /// How many episodes.
    #[arg(long, default_value_t = 400)]
    episodes: u64,
    /// Seed of the first episode, within the training seeds.
    #[arg(long, default_value_t = Split::Train.seeds().start + 100_000)]
    seed: u64,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Longest episode, s: what is stuck teaches little more.
    #[arg(long, default_value_t = 12.0)]
    seconds: f64,
    /// Share of the time in which the expert acts (0 to 1).
    #[arg(long, default_value_t = 0.25)]
    expert: f64,
    /// Simulated milliseconds from an observation until its chunk reaches the streamer.
    #[arg(long, default_value_t = 60)]
    delay_ms: u64,
    /// Folder with urdf/, config/ and models/.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

fn main() -> Result<()> {
    env_logger::init();
    let args = Args::parse();
    let last = training_seeds_end(args.seed, args.episodes)?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    let next = AtomicU64::new(args.seed);
    let totals = Mutex::new((0_u64, 0_u64, 0_u64));
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..args.jobs.max(1)).map(|_| scope.spawn(|| work(&args, &next, last, &totals))).collect();
        workers.into_iter().try_for_each(|w| w.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
    })?;
    let (episodes, successes, frames) = totals.into_inner().unwrap_or_default();
    println!("{episodes} episodes, {successes} of them successes, {frames} frames");
    Ok(())
}

fn work(args: &Args, next: &AtomicU64, last: u64, totals: &Mutex<(u64, u64, u64)>) -> Result<()> {
    let files = RobotFiles::under(&args.root);
    let rig = Rig::new(&files, Scene::sample(args.seed))?;
    let mut worker = Worker {
        args,
        planner: ExpertPlanner::new(&files)?,
        agent: Agent::Policy(Box::new(
            PolicyAgent::open(&args.policy, &[args.root.join("models")], &files, rig.mode())
                .with_context(|| format!("policy package '{}'", args.policy.display()))?,
        )),
        rig,
        pictures: Pictures::new()?,
    };
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= last {
            return Ok(());
        }
        let Some(bag) = Unfinished::begin(&args.out, &format!("correction_{seed:09}"))? else { continue };
        let (frames, success) = worker.episode(seed, &bag.dir).with_context(|| format!("episode of seed {seed}"))?;
        bag.keep()?;
        let mut totals = totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *totals = (totals.0 + 1, totals.1 + u64::from(success), totals.2 + frames);
        if totals.0.is_multiple_of(50) {
            eprintln!("{}/{} episodes, {} of them successes", totals.0, args.episodes, totals.1);
        }
    }
}

struct Worker<'a> {
    args: &'a Args,
    planner: ExpertPlanner,
    agent: Agent,
    rig: Rig,
    pictures: Pictures,
}

impl Worker<'_> {
    /// Runs and records one episode: how many frames, and whether the task was done.
    fn episode(&mut self, seed: u64, dir: &Path) -> Result<(u64, bool)> {
        let step_ms = STEP_NANOS as u64 / 1_000_000;
        let steps_a_frame = (FRAME_SECONDS * 1e3) as u64 / step_ms;
        let scene = Scene::sample(seed);
        self.agent.begin(&scene)?;
        self.rig.reset(scene.clone())?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x517c_c1b7_2722_0a95);
        let mut bag = EpisodeRecorder::create(dir)?;
        bag.instruction(&scene.sentence, START)?;
        let frames_a_look = (self.agent.period().as_millis() as u64 / (steps_a_frame * step_ms)).max(1);
        let delay = (self.args.delay_ms / step_ms).min(steps_a_frame - 1);
        let (mut frames, mut expert_acts, mut turn_ends, mut done_at) = (0, false, 0.0, None);
        loop {
            let t = self.rig.cell().elapsed();
            let verdict = *self.rig.cell().verdict();
            if verdict.success() && done_at.is_none() {
                done_at = Some(t);
            }
            if t > self.args.seconds || verdict.is_final() || done_at.is_some_and(|done| t > done + 0.5) {
                break;
            }
            if t >= turn_ends {
                expert_acts = rng.random_bool(self.args.expert.clamp(0.0, 1.0));
                turn_ends = t + rng.random_range(0.8..2.4);
            }
            let now = self.rig.cell().now();
            let world = self.rig.cell().world();
            let rollout = self.planner.rollout(world, &scene);
            let wanted = match self.planner.to_chunk(&rollout, world, now, |_| Vector3::zeros()) {
                Ok(wanted) => wanted,
                // Where the expert has no answer, the lesson ends.
                Err(PlanError::Unreachable { .. }) => break,
                Err(error) => return Err(error.into()),
            };
            bag.frame(self.rig.cell_mut(), &mut self.pictures, &wanted)?;
            let acted = if expert_acts {
                Some(wanted)
            } else if frames % frames_a_look == 0 {
                self.agent.act(&mut self.rig)?
            } else {
                None
            };
            frames += 1;
            for step in 0..steps_a_frame {
                if step == delay
                    && let Some(chunk) = &acted
                    && let Err(refusal) = self.rig.offer(chunk)
                {
                    log::debug!("seed {seed}, {t:.2} s: chunk refused: {refusal}");
                }
                self.rig.step()?;
            }
        }
        bag.finish()?;
        Ok((frames, done_at.is_some()))
    }
}
