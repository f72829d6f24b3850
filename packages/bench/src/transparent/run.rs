//! One demonstration of the scripted expert, as demonstrations are recorded, and a motion played again as chunks: with the filter and without
//! on the same chunks.

use crate::transparent::compare::{ARM, Trace};
use anyhow::{Context, Result, anyhow};
use efm_core::{ActionChunk, JointSample, Stamp, Trajectory};
use efm_harness::deployed::Deployed;
use efm_harness::planner::{ExpertPlanner, PlanError, RobotFiles, chunk_joints};
use efm_harness::rig::START;
use efm_harness::unfiltered::Unfiltered;
use efm_safety::{Limits, Outgoing, StreamConfig, Tick, TrajectoryStreamer};
use efm_schedule::{Reference, Scheduler, SchedulerConfig};
use efm_sim::tasks::TIME_LIMIT;
use efm_sim::world::STEP_NANOS;
use efm_sim::{Cell, Scene, WorldFiles};
use nalgebra::Vector3;
use std::collections::VecDeque;

/// Ticks between two chunks: the expert demonstrates at 5 Hz.
const EVERY: i64 = 20;
/// Seconds shown after success, as demonstrations have them.
const AFTER: f64 = 1.2;

/// Seconds that a chunk reaches ahead, as the expert's do.
const AHEAD: f64 = 1.6;
const FINGER: f64 = 0.02;

/// Ticks from an observation until its chunk is offered, in motions that are played again: as much as camera and inference take in the graph.
/// Without a delay the first moments would have to be guessed: a chunk begins one step after its observation.
const DELAY: usize = 6;
/// Ticks that such a motion stands still at first.
const STILL: usize = 30;
/// Ticks of what is committed.
const COMMITTED: usize = 3;

/// The filter, and what follows the same chunks without it.
struct Both {
    filter: TrajectoryStreamer,
    bare: Unfiltered,
    joined: Joined,
    message: Trajectory,
    period: i64,
    trace: Trace,
}

/// The chunks joined where and as the filter joins them, and nothing else of it.
struct Joined {
    scheduler: Scheduler,
    period: i64,
    /// From now on, what is committed.
    ahead: VecDeque<[f64; ARM]>,
}

impl Joined {
    fn new(limits: &Limits, config: &StreamConfig, period: i64) -> Result<Self> {
        let schedule = SchedulerConfig { straight_joints: config.gripper_joints.clone(), ..config.schedule.clone() };
        let scheduler = Scheduler::new(limits.joints().clone(), schedule, Some(limits.shared(0.5 * config.share)))?;
        Ok(Self { scheduler, period, ahead: VecDeque::new() })
    }

    fn row(&self, at: Stamp) -> [f64; ARM] {
        std::array::from_fn(|j| self.scheduler.of_joint(j, at).unwrap_or_default().position)
    }

    /// What is meant for now.
    fn tick(&mut self, now: Stamp, measured: &[f64]) -> [f64; ARM] {
        let later = |ticks: usize| now.offset_nanos(ticks as i64 * self.period);
        if self.scheduler.has_pending() {
            let begins = self.scheduler.in_use().is_none();
            let at = if begins { now } else { later(COMMITTED) };
            let rest = |j: usize| Reference { position: measured[j], ..Reference::default() };
            let from: Vec<Reference> = (0..measured.len())
                .map(|j| self.scheduler.of_joint(j, at).filter(|_| !begins).unwrap_or_else(|| rest(j)))
                .collect();
            self.scheduler.take_over(at, |j| from[j]);
            if begins {
                self.ahead = (0..COMMITTED).map(|ticks| self.row(later(ticks))).collect();
            }
        }
        self.ahead.push_back(self.row(later(COMMITTED)));
        self.ahead.pop_front().unwrap_or_default()
    }
}

impl Both {
    fn new(deployed: &Deployed) -> Result<Self> {
        let limits = deployed.cell().limits();
        let mut filter = deployed.cell().streamer().map_err(|e| anyhow!("{e}"))?;
        filter.arm(true, START);
        let period = (filter.config().period_s * 1.0e9).round() as i64;
        let bare = Unfiltered::new(chunk_joints()?)?;
        let joined = Joined::new(limits, filter.config(), period)?;
        Ok(Self { filter, bare, joined, message: Trajectory::default(), period, trace: Trace::default() })
    }

    /// The robot was at rest up to now, and seen there for as long as a start asks.
    fn rested(&mut self, sample: &JointSample, now: Stamp) {
        let period_s = self.period as f64 * 1.0e-9;
        let ticks = (self.filter.config().start_agreement_s / period_s).ceil() as i64 + 2;
        for before in (1..=ticks).rev() {
            let then = JointSample { stamp: now.offset_nanos(-before * self.period), ..sample.clone() };
            self.filter.tick(then.stamp, Some((&then, 0.0)));
        }
    }

    /// Offers a chunk to both; whether the filter takes it.
    fn offer(&mut self, chunk: &ActionChunk, now: Stamp) -> Result<bool> {
        if self.filter.offer_chunk(chunk, now).is_err() {
            return Ok(false);
        }
        self.bare.offer(chunk, now)?;
        self.joined.scheduler.offer(chunk, now)?;
        Ok(true)
    }

    /// A tick of both; `send` gets what the filter sends.
    fn tick(
        &mut self,
        now: Stamp,
        sample: &JointSample,
        mut send: impl FnMut(&Outgoing<'_>, &mut Trajectory) -> Result<()>,
    ) -> Result<()> {
        self.bare.tick(now, &sample.positions);
        let joined = self.joined.tick(now, &sample.positions);
        let Tick::Send(out) = self.filter.tick(now, Some((sample, 0.0))) else { return Ok(()) };
        send(&out, &mut self.message)?;
        let (mut commanded, mut meant) = ([0.0; ARM], [0.0; ARM]);
        let arm = out.windows.iter().find(|w| w.joints().len() == ARM).context("no window of the arm")?;
        let due = (now.nanos_since(arm.stamp()) / self.period).clamp(0, arm.len() as i64 - 1);
        commanded.copy_from_slice(arm.positions(due as usize));
        if self.bare.write(now, 0..ARM, &mut self.message) {
            // Its windows begin one tick back.
            let due = self.message.points.get(1).context("the comparison has no point for now")?;
            meant.copy_from_slice(&due.positions);
            self.trace.commanded.push(commanded);
            self.trace.meant.push(meant);
            self.trace.joined.push(joined);
            self.trace.rates.push((out.report.rate, out.report.limited));
            self.trace.refused += u64::from(out.report.refused.is_some());
        }
        Ok(())
    }
}

/// Plays the scene of a seed.
///
/// # Errors
/// When a file cannot be read or something does not fit.
pub fn play(deployed: &Deployed, files: &RobotFiles, seed: u64) -> Result<Trace> {
    let scene = Scene::sample(seed);
    let mut both = Both::new(deployed)?;
    let mut planner = ExpertPlanner::new(files)?;
    let mut cell = Cell::new(&WorldFiles { urdf: files.urdf.clone() }, scene.clone(), START)?;
    let mut sample = JointSample { stamp: START, positions: vec![0.0; 8], velocities: vec![0.0; 8] };
    let mut done_at = None;
    for tick in 0_i64.. {
        let (t, verdict) = (cell.elapsed(), *cell.verdict());
        if verdict.success() {
            done_at.get_or_insert(t);
        }
        if t > TIME_LIMIT || verdict.is_final() || done_at.is_some_and(|done| t > done + AFTER) {
            break;
        }
        let now = cell.now();
        let state = cell.world().joint_state();
        sample.stamp = now;
        sample.positions.copy_from_slice(&state.positions[..8]);
        sample.velocities.copy_from_slice(&state.velocities[..8]);
        if tick == 0 {
            both.rested(&sample, now);
        }
        if tick % EVERY == 0 {
            let rollout = planner.rollout(cell.world(), &scene);
            match planner.to_chunk(&rollout, cell.world(), now, |_| Vector3::zeros()) {
                Ok(chunk) if both.offer(&chunk, now)? => {}
                Ok(_) | Err(PlanError::Unreachable { .. }) => break,
                Err(error) => return Err(error.into()),
            }
        }
        both.tick(now, &sample, |out, message| {
            for window in out.windows {
                window.write_to(message);
                cell.command(window.controller(), message)?;
            }
            Ok(())
        })?;
        for _ in 0..both.period / STEP_NANOS {
            cell.step();
        }
    }
    both.trace.success = done_at.is_some();
    Ok(both.trace)
}

/// Plays a motion, one row a tick, again as chunks whose rows are `stride` ticks apart, before an ideal robot.
///
/// # Errors
/// When a file cannot be read or something does not fit.
pub fn replay(deployed: &Deployed, motion: &[[f64; ARM]], stride: usize) -> Result<Trace> {
    let mut both = Both::new(deployed)?;
    let (joints, dt) = (chunk_joints()?, both.period as f64 * 1.0e-9);
    let pose = |tick: usize| {
        motion.get(tick.saturating_sub(STILL)).or(motion.last()).into_iter().flatten().copied().chain([FINGER])
    };
    let rows = (AHEAD / (dt * stride as f64)).round() as usize;
    let mut sample = JointSample { stamp: START, positions: pose(0).collect(), velocities: vec![0.0; ARM + 1] };
    both.rested(&sample, START);
    for tick in 0..motion.len() + STILL {
        let now = START.offset_nanos(tick as i64 * both.period);
        if let Some(seen) = tick.checked_sub(DELAY).filter(|seen| *seen as i64 % EVERY == 0) {
            let rows = (1..=rows).flat_map(|row| pose(seen + row * stride)).collect();
            let observed = START.offset_nanos(seen as i64 * both.period);
            let chunk = ActionChunk::new(observed, dt * stride as f64, joints.clone(), rows)?;
            if !both.offer(&chunk, now)? {
                break;
            }
        }
        sample.stamp = now;
        both.tick(now, &sample.clone(), |_, _| Ok(()))?;
        if let Some(commanded) = both.trace.commanded.last() {
            sample.positions[..ARM].copy_from_slice(commanded);
        }
    }
    both.trace.success = both.trace.commanded.len() + DELAY + 2 >= motion.len() + STILL;
    Ok(both.trace)
}
