//! Values held against limits, with the tolerance of the benchmark and the stated error of each difference.

use crate::arm::Bounds;
use crate::tally::{Found, Quantity, TOLD_OF_EACH, Tally};

/// How much a value may exceed its limit, relative to the limit (positions: to the joint's range).
pub const RELATIVE: f64 = 1.0e-6;
/// Relative rounding of a double.
pub const UNIT: f64 = f64::EPSILON / 2.0;

/// Whether a value is above a bound, or no number.
pub fn exceeds(value: f64, bound: f64) -> bool {
    value.is_nan() || value > bound
}

/// Collects what one tick showed; [`Meter::close`] adds it to the tally.
#[derive(Debug, Clone)]
pub struct Meter {
    /// What was counted so far.
    pub tally: Tally,
    seed: u64,
    scenario: &'static str,
    tick: u64,
    hit: [bool; Quantity::ALL.len()],
    /// Print every violation as it is found.
    pub loud: bool,
}

impl Meter {
    /// An empty one for an episode.
    pub fn new(seed: u64, scenario: &'static str) -> Self {
        Self { tally: Tally::default(), seed, scenario, tick: 0, hit: [false; Quantity::ALL.len()], loud: false }
    }

    /// A violation in words.
    pub fn violate(&mut self, quantity: Quantity, what: impl FnOnce() -> String) {
        let first = !std::mem::replace(&mut self.hit[quantity as usize], true);
        // Of a long row of the same, the first are told.
        if first && (self.loud || self.tally.violations[quantity as usize] < TOLD_OF_EACH as u64) {
            let what = what();
            if self.loud {
                println!("tick {}: {}: {what}", self.tick, quantity.name());
            }
            let (seed, scenario, tick) = (self.seed, self.scenario.to_owned(), self.tick);
            self.tally.found.push(Found { seed, scenario, tick, quantity, what });
        }
    }

    /// A magnitude and its limit; `error`: what the way of measuring may add.
    #[inline]
    pub fn limit(
        &mut self,
        quantity: Quantity,
        value: f64,
        limit: f64,
        error: f64,
        place: impl FnOnce() -> (usize, &'static str),
    ) {
        let value = value.abs();
        let excess = (value - error.min(value)) / limit - 1.0;
        if excess > self.tally.max_excess[quantity as usize] {
            self.tally.max_excess[quantity as usize] = excess;
        }
        if exceeds(value, limit * (1.0 + RELATIVE) + error) {
            let (joint, how) = place();
            self.violate(quantity, || format!("joint {joint}: {value:.12} exceeds {limit} by {excess:.3e} ({how})"));
        }
    }

    /// A position and its range.
    #[inline]
    pub fn position(&mut self, bounds: &Bounds, joint: usize, value: f64, error: f64, how: &'static str) {
        let (min, max) = (bounds.min[joint], bounds.max[joint]);
        let range = max - min;
        if range.is_finite() {
            let beyond = (value - max).max(min - value);
            let excess = (beyond - error) / range;
            if excess > self.tally.max_excess[0] {
                self.tally.max_excess[0] = excess;
            }
            if exceeds(beyond, RELATIVE * range + error) {
                self.violate(Quantity::Position, || {
                    format!("joint {joint} at {value:.12} outside [{min}, {max}] by {beyond:.3e} ({how})")
                });
            }
        } else if !value.is_finite() {
            self.violate(Quantity::Position, || format!("joint {joint} at {value} ({how})"));
        }
    }

    /// Ends the tick.
    pub fn close(&mut self) {
        for (count, hit) in self.tally.violations.iter_mut().zip(&mut self.hit) {
            *count += u64::from(std::mem::take(hit));
        }
        self.tick += 1;
        self.tally.ticks += 1;
    }
}
