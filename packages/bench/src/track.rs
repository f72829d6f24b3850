//! One controller's window as flat numbers: what a joint_trajectory_controller draws from it, and its limits.
//!
//! # What the differences can show, and their errors
//!
//! A controller joins points with positions and velocities by cubics. Over one cubic of length h with ends (p0, v0), (p1, v1) and
//! m = (p1 - p0)/h: a0 = (6m - 4 v0 - 2 v1)/h, a1 = (-6m + 2 v0 + 4 v1)/h, jerk = (a1 - a0)/h, all exact. Published numbers are
//! doubles: a position is off by at most E = 2uP (u = 2^-53, P its magnitude: one rounding of the number itself and one of the sum
//! that made it), a velocity by E_v = 2uV. So a is off by at most 12E/h^2 + 6E_v/h and the jerk by 24E/h^3 + 12E_v/h^2.
//!
//! The n-th difference of samples of a curve, divided by h^n, is an average of its n-th derivative: by Peano's theorem it is the
//! integral of the derivative times a B-spline, which is not negative and has integral 1. So it never exceeds the limit that the
//! derivative keeps, whatever the grid, as long as the derivative before is continuous. Its errors are 2E/h, 4E/h^2 and 8E/h^3.
//! A jump d of the acceleration (rounding leaves one at each point) adds at most 3d/(4h) to the third difference.

use crate::arm::Bounds;
use crate::meter::{Meter, RELATIVE, UNIT};
use crate::tally::Quantity;
use efm_core::Trajectory;

/// Points of a controller; row `k` of each array is point `k`.
#[derive(Debug, Clone, Default)]
pub struct Track {
    /// Place of each column in the bounds.
    pub places: Vec<usize>,
    /// Nanoseconds of each point on the controller's clock.
    pub times: Vec<i64>,
    /// Positions.
    pub p: Vec<f64>,
    /// Velocities.
    pub v: Vec<f64>,
    cursor: usize,
}

/// Errors that rounding leaves in derivatives over a step `h`, for positions up to `p` and velocities up to `v`.
#[derive(Debug, Clone, Copy)]
pub struct Rounding {
    /// Of an acceleration.
    pub a: f64,
    /// Of a jerk.
    pub j: f64,
}

impl Rounding {
    /// See the module.
    pub fn of(p: f64, v: f64, h: f64) -> Self {
        let (e, ev) = (2.0 * UNIT * p, 2.0 * UNIT * v);
        Self { a: (12.0 * e / h + 6.0 * ev) / h, j: (24.0 * e / h + 12.0 * ev) / (h * h) }
    }
}

impl Track {
    /// An empty one.
    pub fn new(places: Vec<usize>) -> Self {
        Self { places, ..Self::default() }
    }

    /// Number of points.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Time of the last point; the smallest number where there is none.
    pub fn ends(&self) -> i64 {
        self.times.last().copied().unwrap_or(i64::MIN)
    }

    /// Reads a message, in the way of a controller that has these joints; what it would refuse is told.
    pub fn read(&mut self, message: &Trajectory, bounds: &Bounds, now: i64) -> Result<(), String> {
        let n = self.places.len();
        self.times.clear();
        self.p.clear();
        self.v.clear();
        self.cursor = 0;
        if message.joint_names.len() != n
            || !message.joint_names.iter().zip(&self.places).all(|(name, place)| *name == bounds.names[*place])
        {
            return Err(format!("joint names {:?}", message.joint_names));
        }
        if message.points.len() < 2 {
            return Err(format!("{} points", message.points.len()));
        }
        for (k, point) in message.points.iter().enumerate() {
            if point.positions.len() != n || point.velocities.len() != n {
                return Err(format!(
                    "point {k}: {} positions, {} velocities",
                    point.positions.len(),
                    point.velocities.len()
                ));
            }
            if !(point.accelerations.is_empty() && point.effort.is_empty()) {
                return Err(format!("point {k} carries accelerations or efforts"));
            }
            let time = message.stamp.nanos().saturating_add(point.time_from_start);
            if point.time_from_start < 0 || self.times.last().is_some_and(|before| time <= *before) {
                return Err(format!("point {k} at {} ns is not after the one before", point.time_from_start));
            }
            self.times.push(time);
            self.p.extend_from_slice(&point.positions);
            self.v.extend_from_slice(&point.velocities);
        }
        if self.ends() < now {
            return Err(format!("it ended {} ns ago", now - self.ends()));
        }
        Ok(())
    }

    /// Whether all numbers are finite.
    pub fn is_finite(&self) -> bool {
        self.p.iter().chain(&self.v).all(|x| x.is_finite())
    }

    /// The first point from which on nothing moves.
    pub fn rests_from(&self) -> usize {
        let n = self.places.len();
        let last = self.len() - 1;
        let still = |k: usize| (0..n).all(|c| self.v[k * n + c] == 0.0 && self.p[k * n + c] == self.p[last * n + c]);
        (0..last).rev().find(|k| !still(*k)).map_or(0, |k| k + 1)
    }

    /// Writes positions and velocities at a time into the joints' places. Before the first point it writes nothing and says false.
    pub fn sample(&mut self, at: i64, p: &mut [f64], v: &mut [f64]) -> bool {
        let n = self.places.len();
        let Some(first) = self.times.first() else { return false };
        if at < *first {
            return false;
        }
        let last = self.len() - 1;
        if self.times[self.cursor] > at {
            self.cursor = 0;
        }
        while self.cursor < last && self.times[self.cursor + 1] <= at {
            self.cursor += 1;
        }
        let k = self.cursor;
        if k == last {
            for (c, place) in self.places.iter().enumerate() {
                (p[*place], v[*place]) = (self.p[k * n + c], 0.0);
            }
            return true;
        }
        let per = 1.0e9 / (self.times[k + 1] - self.times[k]) as f64;
        let t = (at - self.times[k]) as f64 * 1.0e-9;
        for (c, place) in self.places.iter().enumerate() {
            let (i, e) = (k * n + c, (k + 1) * n + c);
            let (v0, v1) = (self.v[i], self.v[e]);
            let mean = (self.p[e] - self.p[i]) * per;
            let c2 = (3.0 * mean - 2.0 * v0 - v1) * per;
            let c3 = (v0 + v1 - 2.0 * mean) * per * per;
            p[*place] = self.p[i] + t * (v0 + t * (c2 + t * c3));
            v[*place] = v0 + t * (2.0 * c2 + t * 3.0 * c3);
        }
        true
    }

    /// Place, velocity and acceleration of each joint at a time within the window (from the right, where it jumps).
    pub fn moving_at(&self, at: i64) -> Vec<(usize, f64, f64)> {
        let n = self.places.len();
        let k = self.times.partition_point(|t| *t <= at);
        if k == 0 || k == self.len() {
            return self.places.iter().map(|place| (*place, 0.0, 0.0)).collect();
        }
        let h = (self.times[k] - self.times[k - 1]) as f64 * 1.0e-9;
        let t = (at - self.times[k - 1]) as f64 * 1.0e-9;
        let of = |c: usize| {
            let (i, e) = ((k - 1) * n + c, k * n + c);
            let mean = (self.p[e] - self.p[i]) / h;
            let (v0, v1) = (self.v[i], self.v[e]);
            let a0 = (6.0 * mean - 4.0 * v0 - 2.0 * v1) / h;
            let jerk = 6.0 * (v0 + v1 - 2.0 * mean) / (h * h);
            (self.places[c], v0 + t * (a0 + 0.5 * t * jerk), a0 + t * jerk)
        };
        (0..n).map(of).collect()
    }

    /// Moves the window in time, after the clock went back under it.
    pub fn shift(&mut self, by: i64) {
        self.times.iter_mut().for_each(|t| *t = t.saturating_add(by));
        self.cursor = 0;
    }

    /// How many points of this window say the same, to the last bit, as an earlier one did for their times; beyond its end the earlier
    /// one says "rest". `None`: its points lie on other times.
    pub fn agrees_with(&self, before: &Track) -> Option<usize> {
        let n = self.places.len();
        let last = before.len() - 1;
        let shift = before.times.partition_point(|t| *t < self.times[0]);
        for k in 0..self.len() {
            let at = shift + k;
            let row = k * n..(k + 1) * n;
            let same = if at > last {
                let end = last * n..(last + 1) * n;
                self.p[row.clone()] == before.p[end] && self.v[row].iter().all(|v| *v == 0.0)
            } else if before.times[at] != self.times[k] {
                return None;
            } else {
                let then = at * n..(at + 1) * n;
                self.p[row.clone()] == before.p[then.clone()] && self.v[row] == before.v[then]
            };
            if !same {
                return Some(k);
            }
        }
        Some(self.len())
    }

    /// Holds every cubic from point `from` on, and the differences of the points, against the limits.
    pub fn check(&self, from: usize, bounds: &Bounds, meter: &mut Meter) {
        let n = self.places.len();
        for (c, place) in self.places.iter().enumerate() {
            let j = *place;
            let (lim_v, lim_a, lim_j) = (bounds.velocity[j], bounds.acceleration[j], bounds.jerk[j]);
            let smooth = !bounds.gripper[j];
            let mut before = f64::NAN;
            for k in from..self.len() - 1 {
                let (i, e) = (k * n + c, (k + 1) * n + c);
                let (p0, v0, p1, v1) = (self.p[i], self.v[i], self.p[e], self.v[e]);
                let h = (self.times[k + 1] - self.times[k]) as f64 * 1.0e-9;
                if v0 == 0.0 && v1 == 0.0 && p0 == p1 {
                    meter.position(bounds, j, p0, 0.0, "point");
                    if smooth && before.abs() > 2.0 * Rounding::of(p0.abs(), lim_v, h).a + RELATIVE * lim_j * h {
                        self.jump(k, j, before, bounds, meter);
                    }
                    before = 0.0;
                    continue;
                }
                let per = 1.0 / h;
                let mean = (p1 - p0) * per;
                let a0 = (6.0 * mean - 4.0 * v0 - 2.0 * v1) * per;
                let a1 = (2.0 * v0 + 4.0 * v1 - 6.0 * mean) * per;
                let jerk = (a1 - a0) * per;
                let most = p0.abs().max(p1.abs());
                let error = Rounding::of(most, lim_v, h);
                // The velocity turns where the acceleration crosses zero.
                let mut peak = v0.abs().max(v1.abs());
                if a0 * a1 < 0.0 {
                    peak = peak.max((v0 + 0.5 * a0 * (a0 / (a0 - a1)) * h).abs());
                }
                meter.limit(Quantity::Velocity, peak, lim_v, 8.0 * UNIT * (most * per + lim_v), || (j, "cubic"));
                let a = a0.abs().max(a1.abs());
                meter.limit(Quantity::Acceleration, a, lim_a, error.a, || (j, "cubic"));
                if smooth {
                    meter.limit(Quantity::Jerk, jerk, lim_j, error.j, || (j, "cubic"));
                    let jump = (a0 - before).abs();
                    if jump > 2.0 * error.a + RELATIVE * lim_j * h {
                        self.jump(k, j, a0 - before, bounds, meter);
                    }
                }
                before = a1;
                meter.position(bounds, j, p1, 0.0, "point");
                if v0 * v1 < 0.0 || a0 * a1 < 0.0 {
                    // Where v0 + a0 t + jerk t^2 / 2 = 0, in the form that does not cancel.
                    let root = a0 * a0 - 2.0 * jerk * v0;
                    if root >= 0.0 {
                        let q = -(a0 + root.sqrt().copysign(a0));
                        for t in [2.0 * v0 / q, q / jerk] {
                            if t > 0.0 && t < h {
                                let p = p0 + t * (v0 + t * (0.5 * a0 + t * jerk / 6.0));
                                meter.position(bounds, j, p, 8.0 * UNIT * most, "cubic");
                            }
                        }
                    }
                }
            }
            self.differences(c, from, bounds, meter);
        }
    }

    #[cold]
    fn jump(&self, point: usize, joint: usize, jump: f64, bounds: &Bounds, meter: &mut Meter) {
        let limit = bounds.jerk[joint];
        meter.violate(Quantity::Jerk, || {
            format!("joint {joint}: the acceleration jumps by {jump:.3e} at point {point} (jerk limit {limit})")
        });
    }

    /// Differences of the published positions alone, where four points in a row are evenly spaced.
    fn differences(&self, c: usize, from: usize, bounds: &Bounds, meter: &mut Meter) {
        let (n, j) = (self.places.len(), self.places[c]);
        for k in from + 3..self.len() {
            let step = self.times[k] - self.times[k - 1];
            if self.times[k - 1] - self.times[k - 2] != step || self.times[k - 2] - self.times[k - 3] != step {
                continue;
            }
            let h = step as f64 * 1.0e-9;
            let p = [self.p[(k - 3) * n + c], self.p[(k - 2) * n + c], self.p[(k - 1) * n + c], self.p[k * n + c]];
            differences(p, h, 2.0 * UNIT * p[3].abs().max(p[0].abs()), bounds, j, meter, "points");
        }
    }
}

/// First, second and third difference of four evenly spaced positions, each off by at most `e`, against the limits.
#[inline]
pub fn differences(p: [f64; 4], h: f64, e: f64, bounds: &Bounds, j: usize, meter: &mut Meter, how: &'static str) {
    let (d1, d2, d3) = (p[1] - p[0], p[2] - p[1], p[3] - p[2]);
    if d1 == 0.0 && d2 == 0.0 && d3 == 0.0 {
        return;
    }
    let per = 1.0 / h;
    meter.limit(Quantity::Velocity, d3 * per, bounds.velocity[j], 2.0 * e * per, || (j, how));
    let (a, b) = ((d3 - d2) * per * per, (d2 - d1) * per * per);
    meter.limit(Quantity::Acceleration, a, bounds.acceleration[j], 4.0 * e * per * per, || (j, how));
    if !bounds.gripper[j] {
        meter.limit(Quantity::Jerk, (a - b) * per, bounds.jerk[j], 8.0 * e * per * per * per, || (j, how));
    }
}
