//! Makes a demonstration jerk-limited: where it asks for no more than the limits it is taken as it is; where it asks for more, Ruckig's
//! jerk-limited motion leads to the first place of it that can be met in time.

use crate::transparent::compare::ARM;
use anyhow::{Result, anyhow};
use efm_safety::Limits;
use efm_schedule::Reference;
use rsruckig::prelude::*;

/// It is met again within so many steps.
const MEETS: usize = 300;
/// Nearer than this to what is followed it is there.
const THERE: f64 = 1.0e-9;

/// One joint of the motion.
struct Axis {
    otg: Ruckig<1, IgnoreErrorHandler>,
    input: InputParameter<1>,
    way: Trajectory<1>,
    dt: f64,
    /// Velocity, acceleration, jerk.
    limits: [f64; 3],
}

/// A motion, `dt` seconds from row to row, held to `share` of the velocity, acceleration and jerk limits of the arm's joints. It begins at rest.
///
/// # Errors
/// When Ruckig finds no way back to it.
pub fn limited(motion: &[[f64; ARM]], dt: f64, limits: &Limits, share: f64) -> Result<Vec<[f64; ARM]>> {
    let mut made = motion.to_vec();
    for j in 0..ARM {
        let wanted: Vec<f64> = motion.iter().map(|row| row[j]).collect();
        for (row, value) in made.iter_mut().zip(Axis::new(limits, j, share, dt).limited(&wanted)?) {
            row[j] = value;
        }
    }
    Ok(made)
}

impl Axis {
    fn new(limits: &Limits, j: usize, share: f64, dt: f64) -> Self {
        let of = |values: &[f64]| share * values[j];
        let limits = [of(limits.velocity()), of(limits.acceleration()), of(limits.jerk())];
        let mut input = InputParameter::<1>::new(None);
        input.max_velocity[0] = limits[0];
        input.max_acceleration[0] = limits[1];
        input.max_jerk[0] = limits[2];
        Self { otg: Ruckig::new(None, dt), input, way: Trajectory::new(None), dt, limits }
    }

    fn limited(&mut self, wanted: &[f64]) -> Result<Vec<f64>> {
        let at = |k: usize| wanted[k.min(wanted.len() - 1)];
        // Central differences; beyond the end it stands still.
        let state = |k: usize| Reference {
            position: at(k),
            velocity: (at(k + 1) - at(k - 1)) / (2.0 * self.dt),
            acceleration: (at(k + 1) - 2.0 * at(k) + at(k - 1)) / (self.dt * self.dt),
        };
        let path: Vec<Reference> = (1..wanted.len() + MEETS).map(state).collect();
        let mut last = Reference { position: at(0), ..Reference::default() };
        let mut made = vec![at(0)];
        while made.len() < wanted.len() {
            let k = made.len() - 1;
            if self.allows(&last, &path[k]) {
                last = path[k];
                made.push(last.position);
                continue;
            }
            let steps = self.meet(&last, &path[k..])?;
            for step in 1..=steps {
                let mut p = DataArrayOrVec::<f64, 1>::new(None, 0.0);
                self.way.at_time(self.dt * step as f64, &mut Some(&mut p), &mut None, &mut None, &mut None, &mut None);
                made.push(p[0]);
            }
            last = path[k + steps - 1];
        }
        made.truncate(wanted.len());
        Ok(made)
    }

    /// Whether one step leads from a state to the next within the limits.
    fn allows(&self, from: &Reference, to: &Reference) -> bool {
        let ([_, _, jerk], dt) = (self.limits, self.dt);
        let (a, b) = (from.acceleration, to.acceleration);
        let position = from.position + dt * (from.velocity + dt * (2.0 * a + b) / 6.0);
        let velocity = from.velocity + 0.5 * dt * (a + b);
        // Differences of a smooth motion are off by no more than this.
        (position - to.position).abs() < THERE + 0.2 * jerk * dt.powi(3)
            && (velocity - to.velocity).abs() < THERE + 0.2 * jerk * dt * dt
            && self.can_be(to)
            && (b - a).abs() <= jerk * dt
    }

    fn can_be(&self, state: &Reference) -> bool {
        let [velocity, acceleration, jerk] = self.limits;
        // Where the acceleration can be taken back before the velocity limit.
        let later = state.velocity + 0.5 * state.acceleration * state.acceleration.abs() / jerk;
        state.velocity.abs() <= velocity && later.abs() <= velocity && state.acceleration.abs() <= acceleration
    }

    /// The first place of the path that can be met at its own time, in steps; the way there is in `way`.
    fn meet(&mut self, from: &Reference, path: &[Reference]) -> Result<usize> {
        self.input.current_position[0] = from.position;
        self.input.current_velocity[0] = from.velocity;
        self.input.current_acceleration[0] = from.acceleration;
        for steps in 2..=path.len().min(MEETS) {
            let (to, seconds) = (&path[steps - 1], steps as f64 * self.dt);
            if !self.can_be(to) {
                continue;
            }
            self.input.target_position[0] = to.position;
            self.input.target_velocity[0] = to.velocity;
            self.input.target_acceleration[0] = to.acceleration;
            self.input.minimum_duration = Some(seconds);
            let found = self.otg.calculate(&self.input, &mut self.way);
            if matches!(found, Ok(RuckigResult::Working)) && (self.way.get_duration() - seconds).abs() < 1.0e-6 {
                return Ok(steps);
            }
        }
        Err(anyhow!("no way back to the motion within {MEETS} steps from {from:?}"))
    }
}
