//! `efm-demonstrations`: lets the scripted expert do tasks in the simulator and records every episode as a rosbag.

use anyhow::{Context, Result};
use clap::Parser;
use efm_harness::batch::{Unfinished, training_seeds_end};
use efm_harness::planner::{ExpertPlanner, PlanError, RobotFiles};
use efm_harness::recorder::{EpisodeRecorder, FRAME_SECONDS, Pictures, failure_text};
use efm_harness::rig::{Rig, START};
use efm_sim::expert::STEP;
use efm_sim::tasks::TIME_LIMIT;
use efm_sim::world::STEP_NANOS;
use efm_sim::{Scene, Split};
use nalgebra::Vector3;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Records demonstrations of the scripted expert as rosbag2 MCAP episodes.
///
/// Only episodes that succeed are kept. An episode that is there already is not made again, so the command can be repeated.
#[derive(Parser)]
#[command(name = "efm-demonstrations", version)]
struct Args {
    /// Folder for the episodes (episode_<seed>/).
    #[arg(long)]
    out: PathBuf,
    /// How many episodes to try.
    #[arg(long, default_value_t = 1000)]
    episodes: u64,
    /// Seed of the first episode; seeds of other splits than train are refused.
    #[arg(long, default_value_t = Split::Train.seeds().start)]
    seed: u64,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Share of episodes with pushes of the tool off the expert's path, to teach recovery (0 to 1).
    #[arg(long, default_value_t = 0.7)]
    disturbed: f64,
    /// Folder with urdf/ and config/.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

fn main() -> Result<()> {
    env_logger::init();
    let args = Args::parse();
    let last = training_seeds_end(args.seed, args.episodes)?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    let next = AtomicU64::new(args.seed);
    let totals = Mutex::new(Totals::default());
    let began = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..args.jobs.max(1)).map(|_| scope.spawn(|| work(&args, &next, last, &totals, began))).collect();
        workers.into_iter().try_for_each(|w| w.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
    })?;
    let totals = totals.into_inner().unwrap_or_default();
    println!(
        "{} episodes kept, {} failed, {} frames, {:.1} MB, in {:.0} s",
        totals.kept,
        totals.failed,
        totals.frames,
        totals.bytes as f64 * 1e-6,
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

#[derive(Debug, Default, Clone)]
struct Totals {
    kept: u64,
    failed: u64,
    frames: u64,
    bytes: u64,
}

fn work(args: &Args, next: &AtomicU64, last: u64, totals: &Mutex<Totals>, began: Instant) -> Result<()> {
    let files = RobotFiles::under(&args.root);
    let mut planner = ExpertPlanner::new(&files)?;
    let mut rig = Rig::new(&files, Scene::sample(args.seed))?;
    let mut pictures = Pictures::new()?;
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= last {
            return Ok(());
        }
        let Some(bag) = Unfinished::begin(&args.out, &format!("episode_{seed:07}"))? else { continue };
        let made = episode(args, seed, &mut planner, &mut rig, &mut pictures, &bag.dir)
            .with_context(|| format!("episode of seed {seed}"))?;
        let mut totals = totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match made {
            Some((frames, bytes)) => {
                bag.keep()?;
                totals.kept += 1;
                totals.frames += frames;
                totals.bytes += bytes;
            }
            None => {
                bag.discard()?;
                totals.failed += 1;
            }
        }
        let done = totals.kept + totals.failed;
        if done.is_multiple_of(20) {
            let rate = done as f64 / began.elapsed().as_secs_f64();
            eprintln!("{done}/{} episodes, {} failed, {rate:.2} a second", args.episodes, totals.failed);
        }
    }
}

/// A push off the path: a velocity of the tool for a while.
struct Push {
    from: f64,
    until: f64,
    velocity: Vector3<f64>,
}

fn pushes(rng: &mut ChaCha8Rng, disturbed: f64) -> Vec<Push> {
    if !rng.random_bool(disturbed.clamp(0.0, 1.0)) {
        return Vec::new();
    }
    let mut t = rng.random_range(0.2..2.0);
    let mut all = Vec::new();
    while t < TIME_LIMIT {
        let lasts = rng.random_range(0.2..0.7);
        let mut part = |v: f64| rng.random_range(-v..v);
        let velocity = Vector3::new(part(0.09), part(0.09), part(0.06));
        all.push(Push { from: t, until: t + lasts, velocity });
        t += lasts + rng.random_range(0.4..2.5);
    }
    all
}

/// Runs and records one episode; `None` when it did not succeed.
fn episode(
    args: &Args,
    seed: u64,
    planner: &mut ExpertPlanner,
    rig: &mut Rig,
    pictures: &mut Pictures,
    dir: &std::path::Path,
) -> Result<Option<(u64, u64)>> {
    let steps_a_frame = (FRAME_SECONDS * 1e9) as i64 / STEP_NANOS;
    let scene = Scene::sample(seed);
    rig.reset(scene.clone())?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x9e37_79b9_7f4a_7c15);
    let pushes = pushes(&mut rng, args.disturbed);
    let mut bag = EpisodeRecorder::create(dir)?;
    bag.instruction(&scene.sentence, START)?;
    let mut frames = 0;
    let mut done_at = None;
    loop {
        let t = rig.cell().elapsed();
        let verdict = *rig.cell().verdict();
        if t > TIME_LIMIT || verdict.is_final() {
            log::info!("seed {seed}: {} failed: {}", scene.task.name(), failure_text(&verdict));
            return Ok(None);
        }
        if verdict.success() && done_at.is_none() {
            done_at = Some(t);
        }
        // A little longer, so that the end is shown too: away and at rest.
        if done_at.is_some_and(|done| t > done + 1.2) {
            break;
        }
        let now = rig.cell().now();
        let world = rig.cell().world();
        let rollout = planner.rollout(world, &scene);
        let clean = match planner.to_chunk(&rollout, world, now, |_| Vector3::zeros()) {
            Ok(clean) => clean,
            // Pushed to where the arm cannot follow: not something to learn from.
            Err(error @ PlanError::Unreachable { .. }) => {
                log::info!("seed {seed}: {} given up in {:?}: {error}", scene.task.name(), rollout.phase);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let push = pushes.iter().find(|p| p.from <= t && t < p.until);
        let executed = match push {
            Some(push) => planner
                .to_chunk(&rollout, world, now, |row| {
                    // Gentler near the table: the point is to learn to come back, not to knock things over.
                    let gentle = (rollout.tool[0][2] / 0.12).clamp(0.2, 1.0);
                    let mut shift = push.velocity * gentle * STEP * (row + 1) as f64;
                    // Neither into the table nor out of reach.
                    let [x, y, z] = rollout.tool[row];
                    shift.x = shift.x.clamp((0.29 - x).min(0.0), (0.68 - x).max(0.0));
                    shift.y = shift.y.clamp((-0.36 - y).min(0.0), (0.36 - y).max(0.0));
                    shift.z = shift.z.clamp((0.012 - z).min(0.0), 0.1);
                    shift
                })
                .unwrap_or_else(|_| clean.clone()),
            None => clean.clone(),
        };
        bag.frame(rig.cell_mut(), pictures, &clean)?;
        frames += 1;
        // Pressed against something by a push, the arm may stop for good.
        if let Err(refusal) = rig.offer(&executed) {
            log::info!("seed {seed}: {} given up at {t:.2} s: {refusal}", scene.task.name());
            return Ok(None);
        }
        for _ in 0..steps_a_frame {
            rig.step()?;
        }
    }
    Ok(Some((frames, bag.finish()?.bytes)))
}
