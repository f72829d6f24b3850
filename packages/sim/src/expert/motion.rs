//! Jerk-limited motion of the imagined tool.

use super::rule::{Imagined, Intent};
use nalgebra::Vector3;
use rsruckig::prelude::*;

/// m/s^2 and m/s^3 along each axis.
const ACCELERATION: f64 = 1.5;
const JERK: f64 = 15.0;

#[derive(Debug)]
pub(super) struct Motion {
    input: InputParameter<3>,
}

impl Default for Motion {
    fn default() -> Self {
        let mut input = InputParameter::new(None);
        for axis in 0..3 {
            input.max_acceleration[axis] = ACCELERATION;
            input.max_jerk[axis] = JERK;
        }
        Self { input }
    }
}

impl Motion {
    /// Moves the tool for `dt` seconds on the fastest jerk-limited way to where the intent points.
    pub(super) fn advance(&mut self, state: &mut Imagined, intent: &Intent, dt: f64) {
        let mut ruckig = Ruckig::<3, ThrowErrorHandler>::new(None, dt);
        let mut output = OutputParameter::new(None);
        for axis in 0..3 {
            self.input.current_position[axis] = state.tool[axis];
            self.input.current_velocity[axis] = state.velocity[axis];
            self.input.current_acceleration[axis] = state.acceleration[axis];
            self.input.target_position[axis] = intent.tool[axis];
            self.input.max_velocity[axis] = intent.speed;
        }
        match ruckig.update(&self.input, &mut output) {
            Ok(_) => {
                for axis in 0..3 {
                    state.tool[axis] = output.new_position[axis];
                    state.velocity[axis] = output.new_velocity[axis];
                    state.acceleration[axis] = output.new_acceleration[axis];
                }
            }
            // No profile within the limits (a state far outside of them): coast to rest.
            Err(_) => {
                let brake = (1.0 - ACCELERATION * dt / state.velocity.norm().max(1e-9)).max(0.0);
                state.velocity *= brake;
                state.tool += state.velocity * dt;
                state.acceleration = Vector3::zeros();
            }
        }
    }
}
