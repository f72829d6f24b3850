//! What others do with the same streams, written small from their published rules.
//!
//! They get every chunk that names the right joints, whatever its numbers, and follow its rows from the moment it comes; no arming,
//! no stop, no wrong stamps. After an output that is no number (which Servo's filters would repeat for ever) they are restarted where the
//! robot is. They are judged by the differences of their own output at their own rate, which shows less than ours
//! (averages over 33 ms) and is in their favour.

use crate::arm::Bounds;
use crate::counting::allocations;
use crate::histogram::Histogram;
use crate::meter::{Meter, UNIT};
use crate::stimulus::{Event, Fault};
use crate::tally::Quantity;
use crate::told::{Form, Message};
use crate::track::differences;
use rsruckig::prelude::*;
use std::time::Instant;

/// A rule from goal to command, called at a fixed rate.
trait Rule: Send {
    /// Writes the next command; false: nothing is published. `left`: seconds until the goal is due.
    fn step(&mut self, goal: &[f64], left: f64, present: &[f64], bounds: &Bounds, out: &mut [f64]) -> bool;

    /// Begins anew at a pose, as after a restart.
    fn restart(&mut self, pose: &[f64], bounds: &Bounds);
}

/// LeRobot's `max_relative_target`: `safe = present + max(min(goal - present, cap), -cap)`, joint by joint and call by call
/// (`ensure_safe_goal_position` in `src/lerobot/robots/utils.py`). Its default is no cap at all; here it is what the velocity limit
/// allows in a call. Comparisons as Python's `min` and `max` do them: a goal that is NaN stays NaN.
struct RelativeTarget;

/// A command beyond this counts as no number: it says nothing about limits.
const ABSURD: f64 = 1.0e6;

/// Calls a second: the default of LeRobot's control loops.
const LEROBOT_PERIOD: f64 = 1.0 / 30.0;

impl Rule for RelativeTarget {
    fn step(&mut self, goal: &[f64], _: f64, present: &[f64], bounds: &Bounds, out: &mut [f64]) -> bool {
        for j in 0..goal.len() {
            let cap = bounds.velocity[j] * LEROBOT_PERIOD;
            let diff = goal[j] - present[j];
            // Python: min(a, b) is b if b < a, else a.
            let low = if cap < diff { cap } else { diff };
            let safe = if -cap > low { -cap } else { low };
            out[j] = present[j] + safe;
        }
        true
    }

    fn restart(&mut self, _: &[f64], _: &Bounds) {}
}

/// Which smoothing plugin Servo uses.
enum Smoother {
    /// `ButterworthFilterPlugin`, the default: y = (x + x_before - (1 - c) y_before) / (1 + c), c = 1.5, on positions.
    Butterworth { x: Vec<f64>, y: Vec<f64> },
    /// `RuckigFilterPlugin`: jerk-limited towards the checked position, at rest there.
    Ruckig(Vec<Axis>),
}

struct Axis {
    otg: Ruckig<1, IgnoreErrorHandler>,
    input: InputParameter<1>,
    output: OutputParameter<1>,
}

/// MoveIt Servo with joint jog commands (`Servo::getNextJointState` in `moveit_servo/src/servo.cpp`): the velocity that reaches the goal
/// when it is due; all joints scaled by the smallest factor that keeps every velocity limit; if a joint comes within the margin
/// of a position limit, all halt where they are; THEN the smoothing plugin, and nothing is looked at again. Open loop from the last
/// command, as its node runs. A command with a NaN is invalid and nothing is published; infinite ones pass that test.
struct Servo {
    last: Vec<f64>,
    target: Vec<f64>,
    smoother: Smoother,
}

/// Servo's default `publish_period`.
const SERVO_PERIOD: f64 = 0.034;
/// Servo's default `joint_limit_margin`, radians.
const SERVO_MARGIN: f64 = 0.1;

impl Servo {
    fn butterworth(start: &[f64]) -> Self {
        let smoother = Smoother::Butterworth { x: start.to_vec(), y: start.to_vec() };
        Self { last: start.to_vec(), target: start.to_vec(), smoother }
    }

    fn ruckig(start: &[f64], bounds: &Bounds) -> Self {
        let axes = start.iter().enumerate().map(|(j, p)| {
            let mut input = InputParameter::new(None);
            input.current_position[0] = *p;
            input.target_position[0] = *p;
            input.max_velocity[0] = bounds.velocity[j];
            input.max_acceleration[0] = bounds.acceleration[j];
            input.max_jerk[0] = bounds.jerk[j];
            Axis { otg: Ruckig::new(None, SERVO_PERIOD), input, output: OutputParameter::new(None) }
        });
        Self { last: start.to_vec(), target: start.to_vec(), smoother: Smoother::Ruckig(axes.collect()) }
    }
}

impl Rule for Servo {
    fn step(&mut self, goal: &[f64], left: f64, _: &[f64], bounds: &Bounds, out: &mut [f64]) -> bool {
        let n = goal.len();
        let time = left.max(SERVO_PERIOD);
        let wanted = |j: usize| (goal[j] - self.last[j]) / time;
        if (0..n).any(|j| wanted(j).is_nan()) {
            return false;
        }
        let mut scale = 1.0f64;
        for j in 0..n {
            let v = wanted(j);
            if v != 0.0 {
                // std::min_element keeps what it has when the comparison is false.
                let factor = v.clamp(-bounds.velocity[j], bounds.velocity[j]) / v;
                if factor < scale {
                    scale = factor;
                }
            }
        }
        let mut halt = false;
        for j in 0..n {
            let v = wanted(j) * scale;
            self.target[j] = self.last[j] + v * SERVO_PERIOD;
            // A margin wider than the range would never let it move.
            let margin = SERVO_MARGIN.min(0.2 * (bounds.max[j] - bounds.min[j]));
            halt |= v < 0.0 && self.target[j] < bounds.min[j] + margin;
            halt |= v > 0.0 && self.target[j] > bounds.max[j] - margin;
        }
        if halt {
            self.target.copy_from_slice(&self.last);
        }
        match &mut self.smoother {
            Smoother::Butterworth { x, y } => {
                const C: f64 = 1.5;
                for j in 0..n {
                    y[j] = (self.target[j] + x[j] - (1.0 - C) * y[j]) / (1.0 + C);
                    x[j] = self.target[j];
                    out[j] = y[j];
                }
            }
            Smoother::Ruckig(axes) => {
                for (j, axis) in axes.iter_mut().enumerate() {
                    axis.input.target_position[0] = self.target[j];
                    match axis.otg.update(&axis.input, &mut axis.output) {
                        Ok(RuckigResult::Working | RuckigResult::Finished) => {
                            axis.output.pass_to_input(&mut axis.input);
                            out[j] = axis.output.new_position[0];
                        }
                        // Its plugin reports the error and leaves the position as it was checked.
                        _ => out[j] = self.target[j],
                    }
                }
            }
        }
        self.last.copy_from_slice(out);
        true
    }

    fn restart(&mut self, pose: &[f64], bounds: &Bounds) {
        *self = match self.smoother {
            Smoother::Butterworth { .. } => Self::butterworth(pose),
            Smoother::Ruckig(_) => Self::ruckig(pose, bounds),
        };
    }
}

/// One rule in an episode, with the robot that it moves.
pub struct Rival {
    rule: Box<dyn Rule>,
    period: f64,
    /// What was counted.
    pub meter: Meter,
    /// How long its calls took.
    pub time: Histogram,
    due: f64,
    rows: Vec<f64>,
    received: f64,
    step: f64,
    goal: Vec<f64>,
    present: Vec<f64>,
    out: Vec<f64>,
    /// The last commands, newest last, four of them: what differences are taken of.
    chain: Vec<f64>,
}

/// Names of the rules that are compared.
pub const RIVALS: [&str; 3] = ["LeRobot max_relative_target", "MoveIt Servo, Butterworth", "MoveIt Servo, Ruckig"];

impl Rival {
    /// One of [`RIVALS`].
    pub fn new(which: usize, bounds: &Bounds, start: &[f64], seed: u64, scenario: &'static str) -> Self {
        let (rule, period): (Box<dyn Rule>, f64) = match which {
            0 => (Box::new(RelativeTarget), LEROBOT_PERIOD),
            1 => (Box::new(Servo::butterworth(start)), SERVO_PERIOD),
            _ => (Box::new(Servo::ruckig(start, bounds)), SERVO_PERIOD),
        };
        Self {
            rule,
            period,
            meter: Meter::new(seed, scenario),
            time: Histogram::default(),
            due: 0.0,
            rows: vec![],
            received: 0.0,
            step: 0.1,
            goal: start.to_vec(),
            present: start.to_vec(),
            out: start.to_vec(),
            chain: start.repeat(4),
        }
    }

    /// An event of the stream; `seconds`: time since the start of the episode, as it really passed.
    pub fn event(&mut self, event: &Event, seconds: f64, bounds: &Bounds) {
        let n = self.out.len();
        if let Some(chunk) = &event.chunk
            && let Some(rows) = chunk.rows(bounds)
        {
            self.rows = rows;
            self.received = seconds;
            self.step = if (1.0e-3..=10.0).contains(&chunk.step) { chunk.step } else { self.period };
        }
        if let Some(messages) = &event.told {
            self.hear(messages, (seconds * 1.0e9) as i64, bounds);
        }
        // Calls that were missed in a gap: the command is held.
        while seconds - self.due > self.period {
            self.judge(bounds);
            self.due += self.period;
        }
        if seconds < self.due || self.rows.is_empty() {
            return;
        }
        self.due += self.period;
        let rows = self.rows.len() / n;
        let row = (((seconds - self.received) / self.step) as usize).min(rows - 1);
        let left = self.received + (row + 1) as f64 * self.step - seconds;
        self.goal.copy_from_slice(&self.rows[row * n..(row + 1) * n]);
        if !self.measure(event, bounds) {
            self.judge(bounds);
            return;
        }
        let allocated = allocations();
        let start = Instant::now();
        let mut out = std::mem::take(&mut self.out);
        let published = self.rule.step(&self.goal, left, &self.present, bounds, &mut out);
        self.time.add(start.elapsed().as_nanos() as u64);
        self.meter.tally.allocations += allocations() - allocated;
        self.out = out;
        self.meter.tally.sent += u64::from(published);
        self.judge(bounds);
    }

    /// The robot's position at a time so many calls ago.
    fn place(&self, joint: usize, ago: f64, bounds: &Bounds) -> f64 {
        let n = self.out.len();
        let late = ago.clamp(0.0, 2.0);
        let (back, part) = (late.floor() as usize, late.fract());
        // What was not finite did not move it, and no robot goes far beyond its limits.
        let at = |back: usize| self.chain[3usize.saturating_sub(back) * n + joint];
        (at(back) + (at(back + 1) - at(back)) * part).clamp(bounds.min[joint] - 0.1, bounds.max[joint] + 0.1)
    }

    /// The newest that was told of each joint.
    fn hear(&mut self, messages: &[Message], now: i64, bounds: &Bounds) {
        for message in messages.iter().filter(|message| message.form == Form::Sound) {
            let ago = (now - message.measured) as f64 * 1.0e-9 / self.period;
            for (joint, say) in &message.says {
                let truth = self.place(*joint, ago, bounds);
                let told = message.position(*joint, *say, truth, self.present[*joint], bounds.is_continuous(*joint));
                self.present[*joint] = told;
            }
        }
    }

    /// The robot's position, late and noisy; false where there is none.
    fn measure(&mut self, event: &Event, bounds: &Bounds) -> bool {
        if event.told.is_some() {
            return true;
        }
        let n = self.out.len();
        for j in 0..n {
            let place = self.place(j, event.lag as f64 * 1.0e-3 / self.period, bounds);
            self.present[j] = place + crate::episode::noise(event.noise, j);
        }
        match event.fault {
            Fault::Missing | Fault::Short | Fault::Old(_) => return false,
            Fault::Position(j, value) => self.present[j] = value,
            Fault::Off(j, by) => self.present[j] += by,
            Fault::None | Fault::Velocity(..) | Fault::Stamp(_) => {}
        }
        true
    }

    /// One sample of the output.
    fn judge(&mut self, bounds: &Bounds) {
        let n = self.out.len();
        self.chain.copy_within(n.., 0);
        let mut finite = true;
        for j in 0..n {
            let p = self.out[j];
            if p.abs() <= ABSURD {
                self.chain[3 * n + j] = p;
            } else {
                finite = false;
                for k in 0..4 {
                    self.chain[k * n + j] = self.chain[2 * n + j];
                }
            }
        }
        if !finite {
            self.meter.violate(Quantity::NotFinite, || format!("command {:?}", self.out));
            self.out.copy_from_slice(&self.chain[3 * n..]);
            self.rule.restart(&self.out, bounds);
        }
        for j in 0..n {
            let p = [self.chain[j], self.chain[n + j], self.chain[2 * n + j], self.chain[3 * n + j]];
            self.meter.position(bounds, j, p[3], 0.0, "output");
            differences(p, self.period, 2.0 * UNIT * p[3].abs(), bounds, j, &mut self.meter, "output");
        }
        self.meter.close();
    }
}
