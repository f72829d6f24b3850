//! The plan of one joint: states at grid times, each of which a verified stop follows.

use crate::motion::{SLACK, State, glide_stop, glide_stop_steps, glide_within, longest_stop, ramp_stop, ramp_within};
use efm_core::JointLimits;
use efm_schedule::Reference;
use rsruckig::prelude::*;

/// Nearer to the reference than this, radians or metres, a joint need not find back to it.
const CLOSE: f64 = 5.0e-4;
/// How much more jerk than it may have a joint near its reference may be asked for, to be given what it may.
const RINGS: f64 = 2.0;

/// How a joint is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JointKind {
    /// Jerk-limited.
    Arm,
    /// Velocity- and acceleration-limited only: an open/closed command is to be followed as fast as it may.
    Gripper,
}

/// Plans one joint. Holds the planned states and, always, a verified way to rest from the last of them ("the way out").
///
/// A step is taken only if a stop from its end was built and keeps every limit; otherwise the joint goes one step along the way out
/// that it has. So a verified stop exists at every moment, by construction.
pub(crate) struct JointPlanner {
    kind: JointKind,
    limits: JointLimits,
    /// What following may use of the limits; the rest is for braking and for rounding to the grid.
    inner: JointLimits,
    dt: f64,
    gains: [f64; 3],
    states: Vec<State>,
    way_out: Vec<State>,
    way_out_at: usize,
    /// The quickest stop of this joint alone from the last state, for who is left without us; see [`Self::part`].
    parting: Vec<State>,
    /// Whether the way out is a stop, and not the rest of an earlier plan.
    braking: bool,
    scratch: Vec<State>,
    /// The end of a stop along the path, which `scratch` holds.
    ending: Vec<State>,
    /// The plan to go back to: its way out and its number of states.
    saved: Vec<State>,
    saved_braking: bool,
    saved_len: usize,
    ruckig: Ruckig<1, IgnoreErrorHandler>,
    input: InputParameter<1>,
    approach: Trajectory<1>,
}

impl JointPlanner {
    /// `share`: part of velocity, acceleration and jerk that following may use; `bandwidth` in rad/s: how fast small errors go;
    /// `room`: number of states kept.
    /// `brake`: steps of the longest stop along the path.
    pub fn new(
        kind: JointKind,
        limits: JointLimits,
        share: f64,
        bandwidth: f64,
        dt: f64,
        room: usize,
        brake: usize,
    ) -> Self {
        let inner = limits.shared(share);
        let stop = room + longest_stop(dt, &limits) + brake;
        let mut input = InputParameter::new(None);
        input.synchronization = Synchronization::None;
        input.max_velocity[0] = inner.velocity;
        input.max_acceleration[0] = inner.acceleration;
        input.max_jerk[0] = inner.jerk;
        // Error feedback that puts the three poles of the discrete triple integrator at exp(-bandwidth * dt); m = 1 - pole.
        let m = -(-bandwidth * dt).exp_m1();
        let gains = [
            m.powi(3) / dt.powi(3),
            (3.0 * m.powi(2) - m.powi(3)) / dt.powi(2),
            (3.0 * m - 1.5 * m.powi(2) + m.powi(3) / 3.0) / dt,
        ];
        Self {
            kind,
            limits,
            inner,
            dt,
            gains,
            states: Vec::with_capacity(room),
            way_out: Vec::with_capacity(stop),
            way_out_at: 0,
            parting: Vec::with_capacity(stop),
            braking: true,
            scratch: Vec::with_capacity(stop),
            ending: Vec::with_capacity(stop),
            saved: Vec::with_capacity(stop),
            saved_braking: true,
            saved_len: 0,
            ruckig: Ruckig::new(None, dt),
            input,
            approach: Trajectory::new(None),
        }
    }

    pub fn limits(&self) -> &JointLimits {
        &self.limits
    }

    pub fn kind(&self) -> JointKind {
        self.kind
    }

    /// From a state at `position` on, a joint that stands outside of its positions goes no farther out.
    fn confine(&mut self, position: f64) {
        // What checks allow for rounding must not add up from step to step.
        const HAIR: f64 = 0.999 * SLACK;
        self.limits.lower = self.inner.lower.min(position + HAIR);
        self.limits.upper = self.inner.upper.max(position - HAIR);
    }

    /// The least and the greatest position from a state on, the way out included.
    pub fn extent(&self, from: usize) -> (f64, f64) {
        let ahead = self.states.iter().skip(from).chain(&self.way_out[self.way_out_at..]);
        let last = self.states.last().map_or(0.0, |state| state.p);
        ahead.fold((last, last), |(low, high), state| (low.min(state.p), high.max(state.p)))
    }

    /// Starts a new plan: `count` states at rest.
    pub fn restart(&mut self, position: f64, count: usize) {
        self.states.clear();
        self.states.resize(count, State::rest(position));
        self.way_out.clear();
        self.way_out_at = 0;
        self.braking = true;
    }

    /// Number of planned states.
    pub fn planned(&self) -> usize {
        self.states.len()
    }

    /// Number of states up to and with the first one at rest at the end of the way out.
    pub fn len_to_rest(&self) -> usize {
        self.states.len() + self.way_out.len() - self.way_out_at
    }

    /// Index of the state from which on nothing moves.
    pub fn rests_from(&self) -> usize {
        let end = self.len_to_rest() - 1;
        let rest = self.at(end);
        if self.way_out_at < self.way_out.len() {
            return end;
        }
        let moving = self.states.iter().rposition(|s| !s.is_rest() || s.p != rest.p);
        moving.map_or(0, |index| index + 1)
    }

    /// The planned state, beyond the plan the way out, beyond that the rest.
    pub fn at(&self, index: usize) -> State {
        let n = self.states.len();
        if index < n {
            return self.states[index];
        }
        let left = &self.way_out[self.way_out_at..];
        let state = left.get(index.saturating_sub(n)).or(left.last()).or(self.states.last());
        state.copied().unwrap_or_default()
    }

    /// Builds the quickest stop of this joint alone from the last state; where none keeps the limits, the way out is taken.
    pub fn part(&mut self) {
        let last = self.at(self.states.len() - 1);
        if self.kind == JointKind::Arm && self.stop_from(&last) {
            std::mem::swap(&mut self.scratch, &mut self.parting);
        } else {
            self.parting.clear();
            self.parting.extend_from_slice(&self.way_out[self.way_out_at..]);
        }
    }

    /// As [`Self::at`], with the parting stop in the place of the way out.
    pub fn at_parting(&self, index: usize) -> State {
        let n = self.states.len();
        if index < n {
            return self.states[index];
        }
        let state = self.parting.get(index - n).or(self.parting.last()).or(self.states.last());
        state.copied().unwrap_or_default()
    }

    /// As [`Self::len_to_rest`], with the parting stop.
    pub fn len_to_parting_rest(&self) -> usize {
        self.states.len() + self.parting.len()
    }

    /// Makes the parting stop the way out: whoever was left alone has taken it.
    pub fn adopt_parting(&mut self) {
        self.way_out.clear();
        self.way_out.extend_from_slice(&self.parting);
        self.way_out_at = 0;
        self.braking = true;
    }

    /// Forgets the first `count` states.
    pub fn forget(&mut self, count: usize) {
        self.states.drain(..count.min(self.states.len().saturating_sub(1)));
    }

    /// Keeps the first `count` states (at least one); the rest of the plan becomes the way out.
    pub fn keep(&mut self, count: usize) {
        let count = count.max(1);
        while self.states.len() < count {
            self.follow_way_out();
        }
        if self.states.len() == count {
            return;
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.states[count..]);
        self.scratch.extend_from_slice(&self.way_out[self.way_out_at..]);
        std::mem::swap(&mut self.scratch, &mut self.way_out);
        self.way_out_at = 0;
        self.braking = false;
        self.states.truncate(count);
    }

    /// Keeps the first `count` states (at least one), which `way_out` follows from then on: that is what was sent.
    pub fn go_back(&mut self, count: usize, way_out: &[State]) {
        self.keep(count);
        self.way_out.clear();
        self.way_out.extend_from_slice(way_out);
        self.way_out_at = 0;
        self.braking = false;
    }

    /// Goes one step along the way out.
    pub fn follow_way_out(&mut self) {
        let next = self.at(self.states.len());
        self.way_out_at = (self.way_out_at + 1).min(self.way_out.len());
        self.states.push(next);
    }

    /// Remembers the plan as it is.
    pub fn checkpoint(&mut self) {
        self.saved.clear();
        self.saved.extend_from_slice(&self.way_out[self.way_out_at..]);
        self.saved_braking = self.braking;
        self.saved_len = self.states.len();
    }

    /// Goes back to the remembered plan.
    pub fn rollback(&mut self) {
        self.states.truncate(self.saved_len);
        std::mem::swap(&mut self.saved, &mut self.way_out);
        self.way_out_at = 0;
        self.braking = self.saved_braking;
    }

    /// Builds, aside, a stop that follows `reference(0..=steps)` from the last state on and ends at rest, and says whether it keeps
    /// the limits. [`Self::adopt_stop`] makes it the way out.
    pub fn build_stop_along(&mut self, steps: usize, reference: impl Fn(usize) -> Reference) -> bool {
        self.scratch.clear();
        let mut last = self.at(self.states.len() - 1);
        let mut now = self.clip(reference(0));
        for k in 0..steps {
            let next = self.clip(reference(k + 1));
            self.confine(last.p);
            let jerk = self.feedback_jerk(&last, &now, &next).clamp(-self.limits.jerk, self.limits.jerk);
            let state = last.ramp_to(last.a + jerk * self.dt, self.dt);
            if self.scratch.len() == self.scratch.capacity() || !ramp_within(&last, &state, self.dt, &self.limits) {
                return false;
            }
            self.scratch.push(state);
            (last, now) = (state, next);
        }
        let room = self.scratch.capacity() - self.scratch.len();
        self.confine(last.p);
        if !ramp_stop(&last, self.dt, &self.limits, &mut self.ending) || self.ending.len() > room {
            return false;
        }
        self.scratch.extend_from_slice(&self.ending);
        self.comes_in(self.states[self.states.len() - 1].p)
    }

    /// Makes the stop that was built aside the way out.
    pub fn adopt_stop(&mut self) {
        std::mem::swap(&mut self.scratch, &mut self.way_out);
        self.way_out_at = 0;
        self.braking = true;
    }

    /// Steps of the quickest stop of this joint alone, where one keeps the limits.
    pub fn quickest_stop(&mut self) -> Option<usize> {
        let last = self.at(self.states.len() - 1);
        self.stop_from(&last).then_some(self.scratch.len())
    }

    /// Makes the quickest stop of this joint alone the way out, if one keeps the limits; else it stays what it is.
    pub fn adopt_quickest_stop(&mut self) {
        self.braking = false;
        self.prefer_stop();
    }

    /// Goes one step towards a stop.
    #[cfg(test)]
    pub fn brake(&mut self) {
        self.prefer_stop();
        self.follow_way_out();
    }

    /// Replaces the rest of an earlier plan by a stop from the last state, if one keeps the limits.
    fn prefer_stop(&mut self) {
        if self.braking {
            return;
        }
        let last = self.at(self.states.len() - 1);
        if self.stop_from(&last) {
            std::mem::swap(&mut self.scratch, &mut self.way_out);
            self.way_out_at = 0;
            self.braking = true;
        }
    }

    /// Goes one step towards a reference, given by the seconds after the last state.
    pub fn follow(&mut self, reference: impl Fn(f64) -> Reference) {
        let last = self.at(self.states.len() - 1);
        let Some(wanted) = self.candidate(&last, &reference) else {
            self.prefer_stop();
            return self.follow_way_out();
        };
        if let Some(next) = self.try_step(&last, wanted) {
            self.states.push(next);
            return;
        }
        // As near to it as a verified stop allows: bisection between the way out and the wish.
        self.prefer_stop();
        let out = self.at(self.states.len());
        let (mut safe, mut wish) = (self.control_of(&out), wanted);
        let mut best = None;
        for _ in 0..5 {
            let middle = 0.5 * (safe + wish);
            match self.try_step(&last, middle) {
                Some(next) => {
                    best = Some(next);
                    safe = middle;
                }
                None => wish = middle,
            }
        }
        match best {
            Some(next) => self.states.push(next),
            None => self.follow_way_out(),
        }
    }

    /// What a step is chosen by: the acceleration at its end, for a gripper the velocity.
    fn control_of(&self, state: &State) -> f64 {
        match self.kind {
            JointKind::Arm => state.a,
            JointKind::Gripper => state.v,
        }
    }

    /// Takes a step if it and a stop after it keep the limits; the way out is then that stop.
    fn try_step(&mut self, last: &State, control: f64) -> Option<State> {
        let next = match self.kind {
            JointKind::Arm => last.ramp_to(control, self.dt),
            JointKind::Gripper => last.glide_to(control, self.dt),
        };
        self.confine(last.p);
        let within = match self.kind {
            JointKind::Arm => ramp_within(last, &next, self.dt, &self.limits),
            JointKind::Gripper => glide_within(last, &next, self.dt, &self.limits),
        };
        if !(within && self.stop_from(&next)) {
            return None;
        }
        std::mem::swap(&mut self.scratch, &mut self.way_out);
        self.way_out_at = 0;
        self.braking = true;
        Some(next)
    }

    /// Builds a stop into `scratch`.
    fn stop_from(&mut self, state: &State) -> bool {
        self.confine(state.p);
        let stops = match self.kind {
            JointKind::Arm => ramp_stop(state, self.dt, &self.limits, &mut self.scratch),
            JointKind::Gripper => glide_stop(state, self.dt, &self.limits, &mut self.scratch),
        };
        stops && self.comes_in(state.p)
    }

    /// Whether what is in `scratch`, from `position` on, never goes out where it is outside of its positions: not even back to where it was.
    fn comes_in(&self, position: f64) -> bool {
        let beyond = |p: f64| (p - self.inner.upper).max(self.inner.lower - p);
        let mut before = beyond(position);
        // Nearly always it is inside.
        before <= SLACK
            || self.scratch.iter().all(|state| {
                let now = beyond(state.p);
                std::mem::replace(&mut before, now) + SLACK >= now || now <= SLACK
            })
    }

    fn clip(&self, wanted: Reference) -> Reference {
        if wanted.position < self.inner.lower {
            Reference { position: self.inner.lower, ..Reference::default() }
        } else if wanted.position > self.inner.upper {
            Reference { position: self.inner.upper, ..Reference::default() }
        } else {
            wanted
        }
    }

    /// The wish for the next step; None where the reference is no number.
    fn candidate(&mut self, last: &State, reference: &impl Fn(f64) -> Reference) -> Option<f64> {
        let (now, next) = (self.clip(reference(0.0)), self.clip(reference(self.dt)));
        let sum = now.position + now.velocity + now.acceleration + next.position + next.velocity + next.acceleration;
        if !sum.is_finite() {
            return None;
        }
        match self.kind {
            JointKind::Gripper => Some(self.glide_candidate(last, next.position)),
            JointKind::Arm => {
                // On or near the reference: follow it, with feedback on what is left of the error.
                let jerk = self.feedback_jerk(last, &now, &next);
                let a = last.a + jerk * self.dt;
                if jerk.abs() <= self.inner.jerk && a.abs() <= self.inner.acceleration {
                    return Some(a);
                }
                // A reference that asks for a little more for a moment is followed a little later.
                if (last.p - now.position).abs() <= CLOSE && jerk.abs() <= RINGS * self.inner.jerk {
                    let most = self.inner.jerk * self.dt;
                    let a = last.a + (jerk * self.dt).clamp(-most, most);
                    return Some(a.clamp(-self.inner.acceleration, self.inner.acceleration));
                }
                self.approach(last, reference)
            }
        }
    }

    /// The jerk that follows the reference and takes back what is left of the error.
    fn feedback_jerk(&self, last: &State, now: &Reference, next: &Reference) -> f64 {
        (next.acceleration - now.acceleration) / self.dt
            - self.gains[0] * (last.p - now.position)
            - self.gains[1] * (last.v - now.velocity)
            - self.gains[2] * (last.a - now.acceleration)
    }

    /// Far from the reference: the first step of the time-optimal way to the point where it is met.
    fn approach(&mut self, last: &State, reference: &impl Fn(f64) -> Reference) -> Option<f64> {
        self.input.current_position[0] = last.p;
        self.input.current_velocity[0] = last.v;
        self.input.current_acceleration[0] = last.a;
        let mut ahead = self.dt;
        let mut found = None;
        for _ in 0..3 {
            let target = self.clip(reference(ahead));
            self.input.target_position[0] = target.position;
            self.input.target_velocity[0] = target.velocity.clamp(-self.inner.velocity, self.inner.velocity);
            if !matches!(self.ruckig.calculate(&self.input, &mut self.approach), Ok(RuckigResult::Working)) {
                break;
            }
            let duration = self.approach.get_duration();
            let mut a = DataArrayOrVec::<f64, 1>::new(None, 0.0);
            self.approach.at_time(self.dt, &mut None, &mut None, &mut Some(&mut a), &mut None, &mut None);
            found = Some(a[0].clamp(last.a - self.limits.jerk * self.dt, last.a + self.limits.jerk * self.dt));
            if (duration - ahead).abs() < 0.5 * self.dt {
                break;
            }
            ahead = duration.min(1.0);
        }
        found
    }

    /// The highest velocity towards a position from which the gripper still stops before it.
    fn glide_candidate(&self, last: &State, target: f64) -> f64 {
        let way = target - last.p;
        let (dt, a) = (self.dt, self.inner.acceleration);
        if way.abs() < 1.0e-9 && last.v.abs() <= a * dt {
            return 0.0;
        }
        let sign = if way == 0.0 { 1.0 } else { way.signum() };
        let (v, way) = (last.v * sign, way * sign);
        let arrival = |next: f64| {
            let stop = if next > 0.0 { 0.5 * next * glide_stop_steps(next, dt, a) as f64 * dt } else { 0.0 };
            0.5 * dt * (v + next) + stop
        };
        let (mut low, mut high) = ((v - a * dt).max(-self.inner.velocity), (v + a * dt).min(self.inner.velocity));
        low = low.min(high);
        if arrival(high) <= way {
            return high * sign;
        }
        if low < 0.0 && v >= 0.0 {
            low = 0.0;
        }
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if arrival(middle) <= way { low = middle } else { high = middle }
        }
        low * sign
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planner(kind: JointKind) -> JointPlanner {
        let limits = JointLimits { lower: -1.0, upper: 1.0, velocity: 2.0, acceleration: 5.0, jerk: 100.0 };
        JointPlanner::new(kind, limits, 0.95, 25.0, 0.01, 256, 64)
    }

    fn moving(t: f64) -> Reference {
        Reference { position: 0.5 * t * t, velocity: t, acceleration: 1.0 }
    }

    #[test]
    fn what_is_cut_off_a_plan_becomes_the_way_out_to_the_last_bit() {
        for kind in [JointKind::Arm, JointKind::Gripper] {
            let mut p = planner(kind);
            p.restart(0.0, 2);
            for k in 0..60 {
                p.follow(|t| moving(0.01 * f64::from(k) + t));
            }
            let before: Vec<State> = (0..200).map(|k| p.at(k)).collect();
            assert!(before[60].v > 0.3 && before[199].is_rest());
            p.keep(20);
            assert_eq!(p.planned(), 20);
            assert_eq!((0..200).map(|k| p.at(k)).collect::<Vec<_>>(), before);
            // Further than the plan reaches: along the way out.
            p.keep(120);
            assert_eq!(p.planned(), 120);
            assert_eq!((0..200).map(|k| p.at(k)).collect::<Vec<_>>(), before);
        }
    }

    #[test]
    fn braking_leaves_the_rest_of_the_old_plan_at_once() {
        let mut p = planner(JointKind::Arm);
        p.restart(0.0, 2);
        for k in 0..60 {
            p.follow(|t| moving(0.01 * f64::from(k) + t));
        }
        let old_end = p.len_to_rest();
        p.keep(40);
        p.brake();
        assert!(p.len_to_rest() < old_end - 15, "{} of {old_end}", p.len_to_rest());
        assert!(p.at(p.len_to_rest() - 1).is_rest());
    }

    #[test]
    fn a_reference_that_is_no_number_is_answered_with_a_stop() {
        let mut p = planner(JointKind::Arm);
        p.restart(0.0, 2);
        for k in 0..60 {
            p.follow(|t| moving(0.01 * f64::from(k) + t));
        }
        for _ in 0..100 {
            p.follow(|_| Reference { position: f64::NAN, ..Reference::default() });
        }
        assert!(p.at(p.planned() - 1).is_rest());
    }

    #[test]
    fn a_gripper_arrives_exactly_and_stays() {
        let mut p = planner(JointKind::Gripper);
        p.restart(0.0, 1);
        for _ in 0..200 {
            p.follow(|_| Reference { position: 0.5, ..Reference::default() });
        }
        let end = p.at(p.planned() - 1);
        assert!((end.p - 0.5).abs() < 1e-8 && end.v == 0.0, "{end:?}");
        assert!((0..p.planned()).all(|k| p.at(k).p <= 0.5 + 1e-9));
    }
}
