//! Controllers that follow the newest window by the time of its publication: points joined by cubics, sampled each millisecond. They share no code
//! with the crate, and say when what they follow leaps.
#![allow(dead_code)]

use efm_safety::{Limits, VerifiedWindow};

const STEP: i64 = 1_000_000;
/// So much beyond a limit is a leap.
const LEAP: f64 = 1.05;

#[derive(Debug, Clone, Default)]
struct Held {
    times: Vec<i64>,
    points: Vec<(Vec<f64>, Vec<f64>)>,
}

impl Held {
    fn at(&self, t: i64, column: usize) -> Option<f64> {
        let k = self.times.partition_point(|x| *x <= t).checked_sub(1)?;
        let (p0, v0) = (self.points[k].0[column], self.points[k].1[column]);
        let Some(next) = self.points.get(k + 1) else { return Some(p0) };
        let (p1, v1) = (next.0[column], next.1[column]);
        let h = (self.times[k + 1] - self.times[k]) as f64 * 1e-9;
        let s = (t - self.times[k]) as f64 * 1e-9 / h;
        let (s2, s3) = (s * s, s * s * s);
        Some(
            (2.0 * s3 - 3.0 * s2 + 1.0) * p0
                + (s3 - 2.0 * s2 + s) * h * v0
                + (3.0 * s2 - 2.0 * s3) * p1
                + (s3 - s2) * h * v1,
        )
    }
}

/// See the module.
pub struct Followers {
    limits: Limits,
    places: Vec<Vec<usize>>,
    held: Vec<Held>,
    now: i64,
    /// The last three samples.
    samples: [Vec<f64>; 3],
    travelled: f64,
    /// The largest step of a joint within a millisecond in terms of what it may.
    pub fastest: f64,
    /// Whether a leap ends the run.
    pub strict: bool,
}

impl Followers {
    pub fn new(limits: Limits, places: Vec<Vec<usize>>, start: &[f64], now: i64) -> Self {
        let held = vec![Held::default(); places.len()];
        let samples = [start.to_vec(), start.to_vec(), start.to_vec()];
        Self { limits, places, held, now, samples, travelled: 0.0, fastest: 0.0, strict: true }
    }

    pub fn positions(&self) -> Vec<f64> {
        self.samples[2].clone()
    }

    pub fn travelled(&self) -> f64 {
        self.travelled
    }

    /// A window comes at a time.
    pub fn take(&mut self, controller: usize, window: &VerifiedWindow, at: i64) {
        assert!(at >= self.now);
        let held = &mut self.held[controller];
        held.times = (0..window.len()).map(|k| window.stamp().nanos() + window.time_from_start(k)).collect();
        held.points =
            (0..window.len()).map(|k| (window.positions(k).to_vec(), window.velocities(k).to_vec())).collect();
    }

    /// Where a controller wants its joints at a time, by the newest window; the others are where they are.
    pub fn wanted(&self, controller: usize, t: i64) -> Vec<f64> {
        let mut wanted = self.positions();
        for (column, place) in self.places[controller].iter().enumerate() {
            if let Some(p) = self.held[controller].at(t, column) {
                wanted[*place] = p;
            }
        }
        wanted
    }

    /// A controller comes back: it goes to the newest window in one step, which is no leap of ours.
    pub fn jump(&mut self, controller: usize, t: i64) {
        let wanted = self.wanted(controller, t);
        self.samples = [wanted.clone(), wanted.clone(), wanted];
    }

    /// As [`Self::until`], where one controller is switched off.
    pub fn until_without(&mut self, t: i64, controller: usize) -> Result<(), String> {
        let off = std::mem::take(&mut self.held[controller]);
        let followed = self.until(t);
        self.held[controller] = off;
        followed
    }

    /// Follows up to a time.
    pub fn until(&mut self, t: i64) -> Result<(), String> {
        while self.now + STEP <= t {
            self.now += STEP;
            self.samples.rotate_left(1);
            self.samples[2] = self.samples[1].clone();
            for (places, held) in self.places.iter().zip(&self.held) {
                for (column, place) in places.iter().enumerate() {
                    if let Some(p) = held.at(self.now, column) {
                        self.samples[2][*place] = p;
                    }
                }
            }
            let h = STEP as f64 * 1e-9;
            for j in 0..self.samples[0].len() {
                let [a, b, c] = [0, 1, 2].map(|k| self.samples[k][j]);
                let (v, acc) = ((c - b) / h, (c - 2.0 * b + a) / (h * h));
                let (most_v, most_a) = (self.limits.velocity()[j], self.limits.acceleration()[j]);
                self.fastest = self.fastest.max(v.abs() / most_v);
                if self.strict && (v.abs() > LEAP * most_v || acc.abs() > LEAP * most_a + 1e-7) {
                    return Err(format!(
                        "joint {j} leaps at {} ms: {v:.4} a second of {most_v}, {acc:.3} a second squared of {most_a}",
                        self.now / STEP
                    ));
                }
                self.travelled += (c - b).abs();
            }
        }
        Ok(())
    }
}
