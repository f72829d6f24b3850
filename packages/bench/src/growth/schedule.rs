//! The scheduler over the rows of a chunk, in every mode.

use crate::counting::allocations;
use crate::growth::series::{Case, Group, Measure, Sample};
use crate::tick::play::thread_nanos;
use crate::tick::robot::Robot;
use anyhow::{Context, Result, bail};
use efm_core::{ActionChunk, Stamp};
use efm_schedule::{Mode, Reference, ReferenceStatus, Scheduler, SchedulerConfig};

const T0: Stamp = Stamp::from_nanos(1_700_000_000_000_000_000);
/// Seconds between the rows of a chunk.
const STEP: f64 = 0.1;
/// Seconds between ticks.
const PERIOD: f64 = 0.01;
/// Ticks between chunks.
pub const EVERY: usize = 20;
/// Rows of a chunk.
const HORIZONS: [usize; 3] = [16, 50, 100];

/// A scheduler that follows smooth chunks as the filter would, but for the filter itself.
pub struct Scheduled<'a> {
    robot: &'a Robot,
    scheduler: Scheduler,
    horizon: usize,
    positions: Vec<f64>,
    velocities: Vec<f64>,
    followed: Vec<Reference>,
}

impl<'a> Scheduled<'a> {
    /// For the joints of a robot, with chunks of `horizon` rows.
    ///
    /// # Errors
    /// When the scheduler refuses its settings.
    pub fn new(robot: &'a Robot, mode: Mode, horizon: usize) -> Result<Self> {
        let joints = robot.limits.joints();
        let straight = (0..joints.len()).filter(|j| robot.is_gripper(*j)).map(|j| joints.as_slice()[j].clone());
        let config = SchedulerConfig { straight_joints: straight.collect(), mode, ..SchedulerConfig::default() };
        // Half of what the joints may, as the filter gives it.
        let scheduler = Scheduler::new(joints.clone(), config, Some(robot.limits.shared(0.5)))?;
        let at_rest = |position: &f64| Reference { position: *position, ..Reference::default() };
        Ok(Self {
            scheduler,
            horizon,
            positions: robot.home.clone(),
            velocities: vec![0.0; joints.len()],
            followed: robot.home.iter().map(at_rest).collect(),
            robot,
        })
    }

    /// When a tick is.
    pub fn time(&self, tick: usize) -> Stamp {
        T0.offset_seconds(tick as f64 * PERIOD)
    }

    /// The chunk of an observation at a tick. Every other one is a little beside the one before, so that there is something to blend.
    ///
    /// # Errors
    /// Never for a horizon of one or more.
    pub fn chunk(&self, tick: usize) -> Result<ActionChunk> {
        let (t, joints) = (tick as f64 * PERIOD, self.robot.limits.joints());
        let beside = if (tick / EVERY).is_multiple_of(2) { 0.0 } else { 0.01 };
        let mut rows = Vec::with_capacity(self.horizon * joints.len());
        for row in 1..=self.horizon {
            for joint in 0..joints.len() {
                rows.push(self.robot.smooth(t + row as f64 * STEP, joint) + beside);
            }
        }
        Ok(ActionChunk::new(self.time(tick), STEP, joints.clone(), rows)?)
    }

    /// Looks up in what states the joints are followed at a tick; for [`Self::take_over`].
    pub fn look(&mut self, tick: usize) {
        let now = self.time(tick);
        for (joint, followed) in self.followed.iter_mut().enumerate() {
            if let Some(state) = self.scheduler.of_joint(joint, now) {
                *followed = state;
            }
        }
    }

    /// Offers a chunk.
    ///
    /// # Errors
    /// When it is refused.
    pub fn offer(&mut self, chunk: &ActionChunk, tick: usize) -> Result<()> {
        self.scheduler.offer(chunk, self.time(tick)).context("the scheduler refuses a chunk that is good")?;
        Ok(())
    }

    /// Puts the chunk that waits in use.
    ///
    /// # Errors
    /// When it was dropped.
    pub fn take_over(&mut self, tick: usize) -> Result<()> {
        let Self { scheduler, followed, .. } = self;
        if !scheduler.take_over(T0.offset_seconds(tick as f64 * PERIOD), |joint| followed[joint]) {
            bail!("the scheduler drops a chunk that is good: {:?}", scheduler.dropped());
        }
        Ok(())
    }

    /// The tick itself: the reference of all joints. Whether there is one.
    pub fn tick(&mut self, tick: usize) -> bool {
        let now = T0.offset_seconds(tick as f64 * PERIOD);
        let status = self.scheduler.reference(now, &mut self.positions, &mut self.velocities);
        matches!(status, ReferenceStatus::Active { .. })
    }
}

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    /// [`EVERY`] ticks, of which one takes less than reading the clock does.
    Tick,
    TakeOver,
    Offer,
}

/// Nanoseconds that reading the clock twice takes.
pub fn clock_nanos() -> u64 {
    let mut found: Vec<u64> = (0..1000)
        .map(|_| {
            let begun = thread_nanos();
            thread_nanos() - begun
        })
        .collect();
    *found.select_nth_unstable(500).1
}

fn once(robot: &Robot, mode: Mode, horizon: usize, part: Part, chunks: usize, clock: u64) -> Result<Sample> {
    let mut scheduled = Scheduled::new(robot, mode, horizon)?;
    let mut sample = Sample { micros: Vec::with_capacity(chunks), ..Sample::default() };
    let mut timed = |wanted: Part, calls: usize, work: &mut dyn FnMut() -> Result<()>| {
        let (before, begun) = (allocations(), thread_nanos());
        work()?;
        let (took, allocated) = (thread_nanos() - begun, allocations() - before);
        if wanted == part {
            sample.micros.push(took.saturating_sub(clock) as f64 * 1e-3 / calls as f64);
            sample.calls += calls as u64;
            sample.allocations += allocated;
        }
        anyhow::Ok(())
    };
    for first in (0..chunks).map(|chunk| chunk * EVERY) {
        let chunk = scheduled.chunk(first)?;
        scheduled.look(first);
        timed(Part::Offer, 1, &mut || scheduled.offer(&chunk, first))?;
        timed(Part::TakeOver, 1, &mut || scheduled.take_over(first))?;
        let mut active = true;
        timed(Part::Tick, EVERY, &mut || {
            (first..first + EVERY).for_each(|tick| active &= scheduled.tick(tick));
            Ok(())
        })?;
        if !active {
            bail!("the scheduler ({mode}, {horizon} rows) has no reference in mid chunk");
        }
    }
    Ok(sample)
}

/// The parts of what the scheduler does, in every mode, over the rows of a chunk: a tick, putting a chunk in use, taking it. `clock` nanoseconds are
/// taken from every time.
pub fn groups(robot: &Robot, chunks: usize, clock: u64) -> [Group<'_>; 3] {
    [
        ("Scheduler: a tick (mean of 20), by mode", Part::Tick),
        ("Scheduler: putting a chunk in use, by mode", Part::TakeOver),
        ("Scheduler: taking a chunk, by mode", Part::Offer),
    ]
    .map(|(title, part)| {
        let of_mode = |mode: Mode| {
            HORIZONS.into_iter().map(move |horizon| Case {
                line: mode.name().to_owned(),
                size: horizon as f64,
                notes: vec![],
                measure: Box::new(move |_| once(robot, mode, horizon, part, chunks, clock)) as Measure<'_>,
            })
        };
        let cases = Mode::ALL.into_iter().flat_map(of_mode).collect();
        Group { title, line: "mode", size: "rows of a chunk", notes: vec![], cases }
    })
}
