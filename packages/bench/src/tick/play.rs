//! One stream through the filter, each tick timed.

use crate::counting::allocations;
use crate::hot::counted_by_callgrind;
use crate::rng::Rng;
use crate::tick::robot::Robot;
use anyhow::Result;
use efm_collision::{Checker, CollisionModel};
use efm_core::{ActionChunk, JointSample, Stamp};
use efm_safety::{Activity, Tick, VerifiedWindow};
use std::time::Instant;

const T0: Stamp = Stamp::from_nanos(1_700_000_000_000_000_000);
/// Rows of a chunk, and seconds between them.
const ROWS: usize = 16;
const STEP: f64 = 0.1;
/// Seconds between chunks of those that are not hostile.
const EVERY: f64 = 0.2;

/// What is asked of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Sinusoids that can be followed, a new chunk at 5 Hz.
    Smooth,
    /// From one end of the range to the other at random, a new chunk every third tick.
    Hostile,
    /// Towards poses in an obstacle or in the robot itself, at 5 Hz: most of the time something is in the way.
    Blocked,
}

impl Stream {
    /// All.
    pub const ALL: [Self; 3] = [Self::Smooth, Self::Hostile, Self::Blocked];

    /// Name, as in the results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smooth => "smooth",
            Self::Hostile => "hostile",
            Self::Blocked => "blocked",
        }
    }
}

/// Where the chunks lead.
struct Source<'a> {
    robot: &'a Robot,
    stream: Stream,
    rng: Rng,
    goals: Vec<Vec<f64>>,
    ends: Vec<bool>,
}

impl<'a> Source<'a> {
    fn new(robot: &'a Robot, bodies: Option<&CollisionModel>, stream: Stream, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut goals = Vec::new();
        let mut checker = bodies.map(Checker::new);
        for _ in 0..10_000 {
            let q = robot.pose(&mut rng);
            let inside = match (&mut checker, bodies) {
                (Some(checker), Some(bodies)) => checker.clearance(bodies, &q).distance < -0.01,
                _ => true,
            };
            if inside {
                goals.push(q);
            }
            if goals.len() >= 16 {
                break;
            }
        }
        let ends = vec![false; robot.home.len()];
        Self { robot, stream, rng, goals, ends }
    }

    /// The chunk that is offered at a tick, if one is.
    fn chunk(&mut self, tick: usize, period: f64, place: &[f64]) -> Result<Option<ActionChunk>> {
        let every = if self.stream == Stream::Hostile { 3 } else { (EVERY / period).round() as usize };
        if !tick.is_multiple_of(every) {
            return Ok(None);
        }
        let (n, t) = (place.len(), tick as f64 * period);
        let limits = &self.robot.limits;
        let mut rows = Vec::with_capacity(ROWS * n);
        for k in 1..=ROWS {
            let ahead = k as f64 * STEP;
            for j in 0..n {
                let (low, high) = (limits.min_position()[j], limits.max_position()[j]);
                rows.push(match self.stream {
                    Stream::Smooth => self.robot.smooth(t + ahead, j),
                    Stream::Hostile => {
                        self.ends[j] ^= self.rng.chance(0.3);
                        if self.ends[j] { high } else { low }
                    }
                    Stream::Blocked => {
                        // Another goal every 4 s, at three quarters of the joints' speed.
                        let goal = &self.goals[(t / 4.0) as usize % self.goals.len()];
                        let way = 0.75 * limits.velocity()[j] * ahead;
                        place[j] + (goal[j] - place[j]).clamp(-way, way)
                    }
                });
            }
        }
        Ok(Some(ActionChunk::new(T0.offset_seconds(t), STEP, limits.joints().clone(), rows)?))
    }
}

/// What a tick had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A new chunk was waiting: what is not committed is planned anew.
    NewChunk,
    /// The space refused what was planned.
    Refused,
    /// A step along the path.
    Step,
    /// Between two points, and nothing new.
    Hold,
    /// No motion.
    Idle,
}

/// How often there is a tick, and how far the points are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Seconds between points.
    pub period_s: f64,
    /// Ticks in that time.
    pub ticks: u32,
}

impl Pace {
    /// Seconds between ticks.
    pub fn tick_s(self) -> f64 {
        self.period_s / f64::from(self.ticks)
    }
}

impl Kind {
    /// All.
    pub const ALL: [Self; 5] = [Self::NewChunk, Self::Refused, Self::Step, Self::Hold, Self::Idle];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::NewChunk => "with a new chunk",
            Self::Refused => "refused by the space",
            Self::Step => "a step along the path",
            Self::Hold => "nothing new",
            Self::Idle => "no motion",
        }
    }
}

/// What a stream came to.
#[derive(Debug, Clone, Default)]
pub struct Played {
    /// Nanoseconds of thread CPU time of each tick.
    pub cpu: Vec<u64>,
    /// Nanoseconds of each tick.
    pub wall: Vec<u64>,
    /// What each tick had to do.
    pub kinds: Vec<Kind>,
    /// Allocations within ticks.
    pub allocations: u64,
    /// Ticks that sent windows.
    pub sent: u64,
    /// Ticks in which the space refused what the chunk wanted.
    pub blocked: u64,
    /// Points of the windows, altogether.
    pub points: u64,
    /// Of every bit of every window, FNV-1a.
    pub hash: u64,
}

/// Nanoseconds that this thread has used of a core.
pub fn thread_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

fn mix(hash: &mut u64, bits: u64) {
    for byte in bits.to_le_bytes() {
        *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
}

/// Plays `ticks` ticks of a stream before an ideal robot. `seen` is shown the windows of each tick, untimed, with the nanoseconds of thread CPU
/// time that the tick took.
///
/// # Errors
/// When the filter cannot be made.
pub fn play(
    robot: &Robot,
    bodies: Option<&CollisionModel>,
    pace: Pace,
    (stream, seed, ticks): (Stream, u64, usize),
    mut seen: impl FnMut(usize, &[VerifiedWindow], u64),
) -> Result<Played> {
    let (mut streamer, period_s) = (robot.streamer(bodies, pace.period_s)?, pace.tick_s());
    streamer.arm(true, T0);
    let mut source = Source::new(robot, bodies, stream, seed);
    let columns = robot.columns();
    let mut place = robot.home.clone();
    let mut sample = JointSample { stamp: T0, positions: place.clone(), velocities: vec![0.0; place.len()] };
    // It was seen at rest for as long as a start asks.
    let seen_s = streamer.config().start_agreement_s + 2.0 * period_s;
    for before in (1..=(seen_s / period_s).ceil() as i64).rev() {
        sample.stamp = T0.offset_seconds(-(before as f64) * period_s);
        streamer.tick(sample.stamp, Some((&sample, 0.0)));
    }
    let mut out = Played { hash: 0xcbf2_9ce4_8422_2325, ..Played::default() };
    out.cpu.reserve(ticks);
    out.wall.reserve(ticks);
    out.kinds.reserve(ticks);
    for tick in 0..ticks {
        let now = T0.offset_seconds(tick as f64 * period_s);
        let mut kind = Kind::Step;
        if let Some(chunk) = source.chunk(tick, period_s, &place)?
            && streamer.offer_chunk(&chunk, now).is_ok()
        {
            kind = Kind::NewChunk;
        }
        sample.stamp = now;
        sample.positions.copy_from_slice(&place);
        let allocated = allocations();
        let (wall, cpu) = (Instant::now(), thread_nanos());
        let said = counted_by_callgrind(|| streamer.tick(now, Some((&sample, 0.0))));
        let cpu = thread_nanos() - cpu;
        let wall = wall.elapsed().as_nanos() as u64;
        out.allocations += allocations() - allocated;
        out.cpu.push(cpu);
        out.wall.push(wall);
        let sent = match said {
            Tick::Send(sent) => sent,
            nothing => {
                out.kinds.push(if matches!(nothing, Tick::Hold) { Kind::Hold } else { Kind::Idle });
                continue;
            }
        };
        out.kinds.push(if kind == Kind::Step && sent.report.refused.is_some() { Kind::Refused } else { kind });
        out.sent += 1;
        out.blocked += u64::from(matches!(sent.activity, Activity::Blocked(_)));
        for (window, columns) in sent.windows.iter().zip(&columns) {
            mix(&mut out.hash, window.stamp().nanos() as u64);
            for k in 0..window.len() {
                let numbers = window.positions(k).iter().chain(window.velocities(k));
                numbers.for_each(|value| mix(&mut out.hash, value.to_bits()));
            }
            for (column, joint) in columns.iter().enumerate() {
                place[*joint] = window.positions(1)[column];
            }
        }
        out.points += sent.windows.first().map_or(0, |w| w.len() as u64);
        seen(tick, sent.windows, cpu);
    }
    Ok(out)
}
