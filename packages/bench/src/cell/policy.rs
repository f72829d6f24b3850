//! The "policy": the time-optimal motion to the goal, as chunks.

use crate::rng::Rng;
use anyhow::{Result, bail};
use efm_core::{ActionChunk, JointNames, Stamp};
use efm_safety::Limits;
use rsruckig::prelude::*;

/// Joints of the arm; the finger is the eighth.
pub const ARM: usize = 7;

/// A state of the arm, radians and seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// Positions.
    pub p: [f64; ARM],
    /// Velocities.
    pub v: [f64; ARM],
    /// Accelerations.
    pub a: [f64; ARM],
}

/// A time-optimal motion of the arm to rest.
pub struct Way(Trajectory<ARM>);

impl Way {
    /// Seconds that it takes.
    pub fn duration(&self) -> f64 {
        self.0.get_duration()
    }

    /// Positions `t` seconds after its start.
    pub fn at(&self, t: f64) -> [f64; ARM] {
        let mut p = DataArrayOrVec::<f64, ARM>::new(None, 0.0);
        self.0.at_time(t.clamp(0.0, self.duration()), &mut Some(&mut p), &mut None, &mut None, &mut None, &mut None);
        std::array::from_fn(|j| p[j])
    }
}

/// A way that is followed.
pub struct Followed {
    /// The way.
    pub way: Way,
    /// How far along the arm was when it was observed last, seconds.
    along: f64,
    /// When that was, nanoseconds.
    at: i64,
}

impl Followed {
    /// At its start.
    pub fn new(way: Way, now: i64) -> Self {
        Self { way, along: 0.0, at: now }
    }

    /// Where on the way the arm is that is observed at a state, seconds after its start: at the nearest place between where it was
    /// and where it would be if nothing had slowed it down. Also how far off it is, radians.
    pub fn observe(&mut self, now: i64, state: &State) -> (f64, f64) {
        const STEP: f64 = 0.005;
        let most = (now - self.at) as f64 * 1.0e-9;
        let off = |t: f64| self.way.at(t).iter().zip(&state.p).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let mut best = (self.along, off(self.along));
        for k in 1..=(most / STEP) as usize {
            let t = self.along + k as f64 * STEP;
            let here = off(t);
            if here < best.1 {
                best = (t, here);
            }
        }
        (self.along, self.at) = (best.0, now);
        best
    }
}

/// Plans motions within the limits.
pub struct Expert {
    input: InputParameter<ARM>,
}

impl Expert {
    /// `share`: part of the limits that it uses.
    pub fn new(limits: &Limits, share: f64) -> Self {
        let mut input = InputParameter::new(None);
        // From rest the motion is a straight line in the joints, and stays one when it is planned anew on the way.
        input.synchronization = Synchronization::Phase;
        for j in 0..ARM {
            input.max_velocity[j] = share * limits.velocity()[j];
            input.max_acceleration[j] = share * limits.acceleration()[j];
            input.max_jerk[j] = share * limits.jerk()[j];
        }
        Self { input }
    }

    /// The time-optimal motion from a state to rest at a goal.
    ///
    /// # Errors
    /// When Ruckig finds none, even from the state without its acceleration.
    pub fn way(&mut self, from: &State, goal: &[f64; ARM]) -> Result<Way> {
        for still in [false, true] {
            for (j, goal) in goal.iter().enumerate() {
                self.input.current_position[j] = from.p[j];
                self.input.current_velocity[j] = from.v[j];
                self.input.current_acceleration[j] = if still { 0.0 } else { from.a[j] };
                self.input.target_position[j] = *goal;
            }
            let mut way = Trajectory::new(None);
            let mut otg = Ruckig::<ARM, IgnoreErrorHandler>::new(None, 0.01);
            if matches!(otg.calculate(&self.input, &mut way), Ok(RuckigResult::Working | RuckigResult::Finished)) {
                return Ok(Way(way));
            }
        }
        bail!("Ruckig finds no way from {from:?} to {goal:?}")
    }
}

/// How a policy speaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Manner {
    /// Seconds between two observations, at least.
    pub every_s: f64,
    /// Longest time from an observation to its chunk, seconds.
    pub latency_s: f64,
    /// Rows of a chunk.
    pub rows: usize,
    /// Seconds between rows.
    pub step_s: f64,
    /// Standard deviation of the noise on every value, radians; none in most runs.
    pub noise: f64,
    /// Plans a new time-optimal motion from every state that it observes, instead of going on along the one that it began. With the
    /// time that passes until its chunk is followed, and no reserve to brake with, it may circle around its goal for good, whoever follows it.
    pub plans_anew: bool,
}

impl Manner {
    /// 2 to 10 Hz, up to 0.2 s late.
    pub fn random(rng: &mut Rng) -> Self {
        let (rows, step_s) = rng.pick(&[(16, 0.1), (16, 0.1), (16, 0.1), (20, 0.05), (10, 0.1), (50, 0.02)]);
        let most = (rows as f64 * step_s - 0.3).min(0.5);
        let latency_s = rng.between(0.0, 0.2);
        let noise = if rng.chance(0.2) { rng.pick(&[0.001, 0.003, 0.01]) } else { 0.0 };
        let plans_anew = rng.chance(0.25);
        Self { every_s: rng.between(0.1, most.max(0.1)), latency_s, rows, step_s, noise, plans_anew }
    }

    /// The chunk of an observation, which was made `along` seconds after the start of the way.
    ///
    /// # Errors
    /// Never: what Ruckig plans is finite.
    pub fn chunk(
        &self,
        observed: Stamp,
        (way, along): (&Way, f64),
        finger: f64,
        joints: &JointNames,
        rng: &mut Rng,
    ) -> Result<ActionChunk> {
        let mut positions = Vec::with_capacity(self.rows * (ARM + 1));
        for k in 1..=self.rows {
            let q = way.at(along + k as f64 * self.step_s);
            positions.extend(q.iter().map(|q| q + if self.noise > 0.0 { self.noise * normal(rng) } else { 0.0 }));
            positions.push(finger);
        }
        Ok(ActionChunk::new(observed, self.step_s, joints.clone(), positions)?)
    }
}

/// A standard normal number (Box and Muller).
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.unit()).cos()
}
