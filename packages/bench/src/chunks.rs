//! Chunks to throw at a filter.

use crate::arm::Bounds;
use crate::rng::Rng;
use efm_core::{ActionChunk, JointNames, Stamp};
use std::f64::consts::TAU;

/// A chunk as it came, checked by nobody.
#[derive(Debug, Clone)]
pub struct RawChunk {
    /// Nanoseconds.
    pub observed_at: i64,
    /// Seconds between rows.
    pub step: f64,
    /// Joint of each column.
    pub names: Vec<String>,
    /// Row-major.
    pub positions: Vec<f64>,
}

impl RawChunk {
    /// As a chunk for the filter; `Err` with what its own check said.
    ///
    /// # Errors
    /// When names repeat, or the chunk refuses the numbers.
    pub fn to_chunk(&self) -> Result<ActionChunk, String> {
        let names = JointNames::new(self.names.clone()).map_err(|e| e.to_string())?;
        ActionChunk::new(Stamp::from_nanos(self.observed_at), self.step, names, self.positions.clone())
            .map_err(|e| e.to_string())
    }

    /// The rows in the bounds' order, whatever the numbers; `None` when the columns are not exactly those joints.
    pub fn rows(&self, bounds: &Bounds) -> Option<Vec<f64>> {
        let n = bounds.len();
        if self.names.len() != n || self.positions.is_empty() || !self.positions.len().is_multiple_of(n) {
            return None;
        }
        let places: Option<Vec<usize>> =
            bounds.names.iter().map(|name| self.names.iter().position(|other| other == name)).collect();
        let places = places?;
        Some(self.positions.chunks(n).flat_map(|row| places.iter().map(|p| row[*p]).collect::<Vec<_>>()).collect())
    }
}

/// What the rows look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// On one smooth curve, the same from chunk to chunk.
    Smooth,
    /// A walk from the place of the stimulus, at up to three times the speed limits.
    Walk,
    /// Anywhere, also outside the limits.
    White,
    /// At one end of the range or the other, switched at random.
    BangBang,
    /// From one end to the other with every row.
    Alternating,
    /// One random place.
    Step,
    /// A straight line at 0.1 to 4 times the speed limits, that goes out of the range.
    Ramp,
    /// Far outside.
    Beyond,
    /// On a position limit, or a hair beside it.
    Edge,
    /// A smooth one with a number that is none, or that no joint reaches.
    Odd,
    /// Stays where it is.
    Hold,
}

/// A curve that an expert could have made: two sines a joint, within the range and 0.6 of velocity and acceleration.
#[derive(Debug, Clone)]
pub struct Curve(Vec<[f64; 7]>, Vec<f64>);

impl Curve {
    /// A random one through `start` at time 0.
    pub fn new(bounds: &Bounds, start: &[f64], rng: &mut Rng) -> Self {
        let of = |j: usize| {
            let (low, high) = bounds.range(j);
            let (v, a, jerk) = (bounds.velocity[j], bounds.acceleration[j], bounds.jerk[j]);
            let frequency = rng.between(0.4, 3.0);
            let most = (0.5 * (high - low)).min(0.6 * v / frequency).min(0.6 * a / frequency.powi(2));
            let size = most.min(0.6 * jerk / frequency.powi(3)) * rng.between(0.1, 1.0);
            let (one, two) = (0.6 * size, 0.4 * size);
            let (phase, other) = (rng.between(0.0, TAU), rng.between(0.0, TAU));
            let middle = start[j] - one * phase.sin() - two * other.sin();
            [
                middle.clamp(low + size, (high - size).max(low + size)),
                one,
                frequency,
                phase,
                two,
                0.7 * frequency,
                other,
            ]
        };
        Self((0..bounds.len()).map(of).collect(), vec![0.0; bounds.len()])
    }

    /// Joints without end go on and on, at up to a third of their speed.
    pub fn go_on(&mut self, bounds: &Bounds, rng: &mut Rng) {
        for j in (0..bounds.len()).filter(|j| bounds.is_continuous(*j)) {
            self.1[j] = rng.between(-0.33, 0.33) * bounds.velocity[j];
        }
    }

    /// Place of a joint at a time.
    pub fn at(&self, joint: usize, t: f64) -> f64 {
        let [middle, one, f1, p1, two, f2, p2] = self.0[joint];
        middle + self.1[joint] * t + one * (f1 * t + p1).sin() + two * (f2 * t + p2).sin()
    }
}

/// Numbers that are none, or that no joint reaches.
const ODD: [f64; 14] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1.0e300,
    -1.0e300,
    f64::MAX,
    f64::MIN,
    5.0e-324,
    f64::MIN_POSITIVE,
    -0.0,
    1.0e3,
    -1_000.000_001,
    1.0e16,
    -f64::NAN,
];

/// Rows of a shape: `seconds` is the time of the observation, `at` where the stimulus is.
#[allow(clippy::too_many_arguments)]
pub fn rows(
    shape: Shape,
    bounds: &Bounds,
    curve: &Curve,
    at: &mut [f64],
    seconds: f64,
    step: f64,
    count: usize,
    rng: &mut Rng,
) -> Vec<f64> {
    let n = bounds.len();
    let mut out = vec![0.0; n * count];
    let dt = if step.is_finite() { step.clamp(1.0e-3, 10.0) } else { 0.1 };
    for j in 0..n {
        let (low, high) = bounds.range(j);
        let (v, width) = (bounds.velocity[j], high - low);
        let speed = v * rng.scale(0.1, 4.0) * rng.sign();
        let mut end = rng.chance(0.5);
        let switch = rng.pick(&[0.02, 0.1, 0.3]);
        let place = bounds.position(j, rng.unit());
        let hair = rng.pick(&[0.0, 1.0e-12, -1.0e-12, 1.0e-9, -1.0e-9, 1.0e-6, -1.0e-6]);
        let start = at[j];
        let mut walk = start;
        for k in 0..count {
            let t = seconds + (k + 1) as f64 * dt;
            let value = match shape {
                Shape::Smooth | Shape::Odd => curve.at(j, t),
                Shape::Walk => {
                    walk = (walk + 3.0 * v * dt * rng.between(-1.0, 1.0)).clamp(low - 0.2, high + 0.2);
                    walk
                }
                Shape::White => rng.between(low - 0.2 * width, high + 0.2 * width),
                Shape::BangBang => {
                    end ^= rng.chance(switch);
                    if end { high } else { low }
                }
                Shape::Alternating => {
                    end = !end;
                    if end { high } else { low }
                }
                Shape::Step => place,
                Shape::Ramp => start + speed * (k + 1) as f64 * dt,
                Shape::Beyond => {
                    if end {
                        high + 900.0
                    } else {
                        low - 900.0
                    }
                }
                Shape::Edge => {
                    if end {
                        high + hair
                    } else {
                        low + hair
                    }
                }
                Shape::Hold => start,
            };
            out[k * n + j] = value;
        }
        if !matches!(shape, Shape::Smooth | Shape::Odd | Shape::Hold) {
            // Where the next chunk of a walk begins: one that is renewed soon.
            let reached = out[(count / 3) * n + j];
            at[j] = (start + (reached - start).clamp(-0.2 * v, 0.2 * v)).clamp(low, high);
        }
    }
    if shape == Shape::Odd {
        for _ in 0..1 + rng.below(3) {
            let place = rng.below(out.len());
            out[place] = rng.pick(&ODD);
        }
    }
    out
}
