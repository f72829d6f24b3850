//! What the filter commanded against what the chunks mean, tick by tick.

use crate::tick::quantiles::Quantiles;
use efm_safety::{Limits, PathLimit};
use serde_json::{Value, json};

/// A larger difference of any joint counts, radians.
pub const DIFFERENT: f64 = 1.0e-3;
/// Largest shift that is tried, ticks.
pub const SHIFT: usize = 2;
/// Joints of the arm.
pub const ARM: usize = 7;

/// One episode, tick by tick.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// What the filter commands for now.
    pub commanded: Vec<[f64; ARM]>,
    /// What the chunks mean for now, joined at once.
    pub meant: Vec<[f64; ARM]>,
    /// What they mean when each is joined where the filter may join it: behind what is committed, in blends that keep half of the limits.
    pub joined: Vec<[f64; ARM]>,
    /// Rate of progress and what kept it below 1.
    pub rates: Vec<(f64, Option<PathLimit>)>,
    /// Ticks in which the space refused what was wanted.
    pub refused: u64,
    /// Whether the task was done.
    pub success: bool,
}

/// Counts over episodes.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Episodes.
    pub episodes: u64,
    /// Of which the task was done.
    pub successes: u64,
    /// Ticks compared, for each shift from -[`SHIFT`] on.
    pub ticks: [u64; 2 * SHIFT + 1],
    /// Of which a joint differed by more than [`DIFFERENT`].
    pub different: [u64; 2 * SHIFT + 1],
    /// Largest difference of each tick, nanoradians.
    differences: [Vec<u64>; 2 * SHIFT + 1],
    /// Ticks of what the chunks mean, as differences are taken of it.
    pub meant: u64,
    /// Of which it is beyond the loaded limits of velocity, acceleration, jerk, and any of them.
    pub beyond: [u64; 4],
    /// Ticks that were slowed down, because of velocity, acceleration, jerk, rejoining, the space, and anything else.
    pub slowed: [u64; 6],
    /// Ticks in which the space refused what was wanted.
    pub refused: u64,
}

fn largest(a: &[f64; ARM], b: &[f64; ARM]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

impl Totals {
    /// Counts an episode against [`Trace::joined`], see [`Self::add`].
    pub fn add_joined(&mut self, trace: &Trace, limits: &Limits, dt: f64) {
        self.add(&Trace { meant: trace.joined.clone(), ..trace.clone() }, limits, dt);
    }

    /// Counts an episode, whose ticks are `dt` seconds apart.
    pub fn add(&mut self, trace: &Trace, limits: &Limits, dt: f64) {
        self.episodes += 1;
        self.successes += u64::from(trace.success);
        self.refused += trace.refused;
        let n = trace.commanded.len().min(trace.meant.len());
        for slot in 0..=2 * SHIFT {
            // The command at k is held against what was meant `slot - SHIFT` ticks later.
            for k in SHIFT..n.saturating_sub(SHIFT) {
                let by = largest(&trace.commanded[k], &trace.meant[k + slot - SHIFT]);
                self.ticks[slot] += 1;
                self.different[slot] += u64::from(by > DIFFERENT);
                self.differences[slot].push((by * 1.0e9) as u64);
            }
        }
        for p in trace.meant.windows(4) {
            let over = |j: usize| {
                [
                    (p[3][j] - p[2][j]).abs() / dt > limits.velocity()[j],
                    (p[3][j] - 2.0 * p[2][j] + p[1][j]).abs() / (dt * dt) > limits.acceleration()[j],
                    (p[3][j] - 3.0 * p[2][j] + 3.0 * p[1][j] - p[0][j]).abs() / dt.powi(3) > limits.jerk()[j],
                ]
            };
            let any = (0..ARM).map(over).fold([false; 3], |a, b| [a[0] | b[0], a[1] | b[1], a[2] | b[2]]);
            self.meant += 1;
            any.iter().zip(&mut self.beyond).for_each(|(over, count)| *count += u64::from(*over));
            self.beyond[3] += u64::from(any.contains(&true));
        }
        for (rate, limit) in &trace.rates {
            if *rate < 1.0 - 1.0e-6 {
                self.slowed[match limit {
                    Some(PathLimit::Velocity { .. }) => 0,
                    Some(PathLimit::Acceleration { .. }) => 1,
                    Some(PathLimit::Jerk { .. }) => 2,
                    Some(PathLimit::Rejoining) => 3,
                    Some(PathLimit::Space) => 4,
                    _ => 5,
                }] += 1;
            }
        }
    }

    /// Place of the shift with the fewest ticks that differ.
    pub fn best(&self) -> usize {
        (0..=2 * SHIFT).min_by_key(|slot| (self.different[*slot], slot.abs_diff(SHIFT))).unwrap_or(SHIFT)
    }

    /// Part of the ticks that differ at a shift.
    pub fn share(&self, slot: usize) -> f64 {
        self.different[slot] as f64 / self.ticks[slot].max(1) as f64
    }

    /// Part of the ticks of what the chunks mean that is beyond the limits.
    pub fn share_beyond(&self, which: usize) -> f64 {
        self.beyond[which] as f64 / self.meant.max(1) as f64
    }

    /// Part of the ticks that were slowed down.
    pub fn share_slowed(&self) -> f64 {
        self.slowed.iter().sum::<u64>() as f64 / self.ticks[SHIFT].max(1) as f64
    }

    /// Quantiles of the largest difference at the best shift, milliradians.
    pub fn differences(&self) -> Quantiles {
        let of = Quantiles::of(&mut self.differences[self.best()].clone());
        // Those of nanoseconds are told in microseconds.
        let milli = |value: f64| value * 1.0e-3;
        Quantiles { p50: milli(of.p50), p99: milli(of.p99), p999: milli(of.p999), max: milli(of.max) }
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let best = self.best();
        json!({
            "episodes": self.episodes, "successes": self.successes, "ticks": self.ticks[best],
            "different": self.different[best], "share": self.share(best), "shift_ticks": best as i64 - SHIFT as i64,
            "share_unshifted": self.share(SHIFT), "difference_mrad": self.differences().to_json(),
            "meant_beyond_limits": {
                "velocity": self.share_beyond(0), "acceleration": self.share_beyond(1), "jerk": self.share_beyond(2),
                "any": self.share_beyond(3)
            },
            "slowed_ticks": {
                "velocity": self.slowed[0], "acceleration": self.slowed[1], "jerk": self.slowed[2],
                "rejoining": self.slowed[3], "space": self.slowed[4], "other": self.slowed[5]
            },
            "slowed_share": self.share_slowed(), "refused_ticks": self.refused,
        })
    }
}
