//! Motion of one joint on a grid of time steps: what happens within a step, and how to stop.
//!
//! Within a step the jerk is constant (the acceleration is, for grippers). A controller that joins points with positions and
//! velocities by cubic pieces then draws exactly the curve that was planned, so a limit kept here is kept there.

use efm_core::JointLimits;
use std::convert::Infallible;

/// State of a joint at a grid time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct State {
    /// Radians or metres.
    pub p: f64,
    /// By second.
    pub v: f64,
    /// By second squared; always zero for a gripper, whose acceleration jumps from step to step.
    pub a: f64,
}

impl State {
    pub fn rest(p: f64) -> Self {
        Self { p, v: 0.0, a: 0.0 }
    }

    pub fn is_rest(&self) -> bool {
        self.v == 0.0 && self.a == 0.0
    }

    /// The state after `dt` seconds in which the acceleration goes linearly to `a`.
    pub fn ramp_to(&self, a: f64, dt: f64) -> Self {
        Self { p: self.p + dt * (self.v + dt * (2.0 * self.a + a) / 6.0), v: self.v + dt * 0.5 * (self.a + a), a }
    }

    /// The state after `dt` seconds in which the velocity goes linearly to `v`.
    pub fn glide_to(&self, v: f64, dt: f64) -> Self {
        Self { p: self.p + dt * 0.5 * (self.v + v), v, a: 0.0 }
    }
}

/// Room for rounding in planning; the verifier's tolerance is wider.
pub(crate) const SLACK: f64 = 1.0e-9;

/// Whether the step from `s` to `e`, with constant jerk, keeps the limits at every moment.
pub(crate) fn ramp_within(s: &State, e: &State, dt: f64, limits: &JointLimits) -> bool {
    if !(e.p.is_finite() && e.v.is_finite() && e.a.is_finite()) {
        return false;
    }
    let within_a = e.a.abs() <= limits.acceleration * (1.0 + SLACK);
    let within_j = (e.a - s.a).abs() <= limits.jerk * dt * (1.0 + SLACK);
    let mut peak = e.v.abs();
    if s.a * e.a < 0.0 {
        // The velocity turns where the acceleration crosses zero.
        peak = peak.max((s.v + 0.5 * s.a * (s.a / (s.a - e.a)) * dt).abs());
    }
    let within_v = peak <= limits.velocity * (1.0 + SLACK);
    let (low, high) = ramp_extent(s, e, dt);
    within_a && within_j && within_v && low >= limits.lower - SLACK && high <= limits.upper + SLACK
}

/// Lowest and highest position in a step of constant jerk.
pub(crate) fn ramp_extent(s: &State, e: &State, dt: f64) -> (f64, f64) {
    let (mut low, mut high) = (s.p.min(e.p), s.p.max(e.p));
    let turns_twice = s.a * e.a < 0.0;
    if s.v * e.v < 0.0 || turns_twice {
        // v + a t + j t^2 / 2 = 0
        let j = (e.a - s.a) / dt;
        let mut at = |t: f64| {
            if t > 0.0 && t < dt {
                let p = s.p + t * (s.v + t * (0.5 * s.a + t * j / 6.0));
                low = low.min(p);
                high = high.max(p);
            }
        };
        let disc = s.a * s.a - 2.0 * j * s.v;
        if disc >= 0.0 {
            // The form that does not cancel.
            let q = -(s.a + disc.sqrt().copysign(s.a));
            if q != 0.0 {
                at(2.0 * s.v / q);
            }
            if j != 0.0 {
                at(q / j);
            }
        }
    }
    (low, high)
}

/// Whether the step from `s` to `e`, with constant acceleration, keeps the limits (a gripper has no jerk limit).
pub(crate) fn glide_within(s: &State, e: &State, dt: f64, limits: &JointLimits) -> bool {
    if !(e.p.is_finite() && e.v.is_finite()) {
        return false;
    }
    let mut turn = e.p;
    if s.v * e.v < 0.0 {
        turn = s.p + 0.5 * s.v * (s.v / (s.v - e.v)) * dt;
    }
    e.v.abs() <= limits.velocity * (1.0 + SLACK)
        && (e.v - s.v).abs() <= limits.acceleration * dt * (1.0 + SLACK)
        && e.p.min(turn) >= limits.lower - SLACK
        && e.p.max(turn) <= limits.upper + SLACK
}

/// Writes into `tail` the states of a stop from `s`, at the grid times after it, and says whether one was found that keeps the
/// limits all the way. The last state is exactly at rest. A state at rest needs no tail.
///
/// It is the time-optimal stop (ramp to a peak deceleration, hold, ramp to zero) with its three times rounded up to the grid and
/// the peak solved anew, so that the jerk is constant in every step.
pub(crate) fn ramp_stop(s: &State, dt: f64, limits: &JointLimits, tail: &mut Vec<State>) -> bool {
    let found: Result<bool, Infallible> = ramp_stop_seen(s, dt, limits, tail, |_, _| Ok(()));
    found == Ok(true)
}

/// As [`ramp_stop`], where `see` is shown the tail after each state that comes to it, with whether that is the last one. Its error ends the
/// search. A tail that has one state is a new attempt: what was seen before it is void.
pub(crate) fn ramp_stop_seen<E>(
    s: &State,
    dt: f64,
    limits: &JointLimits,
    tail: &mut Vec<State>,
    mut see: impl FnMut(&[State], bool) -> Result<(), E>,
) -> Result<bool, E> {
    tail.clear();
    if s.is_rest() {
        return Ok(s.p >= limits.lower - SLACK && s.p <= limits.upper + SLACK);
    }
    let (a_max, j_max) = (limits.acceleration, limits.jerk);
    // The velocity that is left when the acceleration has been taken to zero: its sign says which way to brake.
    let left = s.v + 0.5 * s.a * s.a.abs() / j_max;
    let sign = if left == 0.0 { s.v.signum() } else { left.signum() };
    let (v, a) = (s.v * sign, s.a * sign);
    let peak = (j_max * v + 0.5 * a * a).max(0.0).sqrt();
    let (peak, hold) =
        if peak > a_max { (a_max, ((v + 0.5 * a * a / j_max) / a_max - a_max / j_max).max(0.0)) } else { (peak, 0.0) };
    let steps = |t: f64| (t.max(0.0) / dt - 1.0e-6).ceil().max(0.0) as usize;
    let (down, hold, up) = (steps((a + peak) / j_max), steps(hold), steps(peak / j_max));
    // Where the present acceleration alone nearly stops the joint, rounding may call for a little of the opposite one.
    let relax = steps(a.abs() / j_max) + 1;
    if (down + hold + up).max(relax + 1) + 6 > tail.capacity() {
        return Ok(false);
    }
    let families = [(down, hold, up), (relax, 0, 1)];
    for ((down, hold, up), (more_down, more_hold, more_up)) in
        families.into_iter().flat_map(|f| NEAR_BY.iter().map(move |m| (f, *m)))
    {
        let all =
            (down.checked_add_signed(more_down), hold.checked_add_signed(more_hold), up.checked_add_signed(more_up));
        let (Some(down), Some(hold), Some(up @ 1..)) = all else { continue };
        let (d, h, u) = (down as f64, hold as f64, up as f64);
        // Peak deceleration that takes the velocity to zero in these steps.
        let peak = (v / dt + 0.5 * d * a) / (0.5 * d + h + 0.5 * u);
        let peak = if down == 0 {
            // Nothing but the way up: it has to start from the present acceleration.
            if hold > 0 || (peak + a).abs() > 1.0e-12 {
                continue;
            }
            -a
        } else {
            peak
        };
        let jerk_ok =
            (peak + a).abs() <= d * j_max * dt * (1.0 + SLACK) && peak.abs() <= u * j_max * dt * (1.0 + SLACK);
        if !jerk_ok || peak.abs() > a_max * (1.0 + SLACK) {
            continue;
        }
        tail.clear();
        let mut last = *s;
        let mut within = true;
        for i in 1..=down + hold + up {
            let a_next = if i <= down {
                a - (a + peak) * (i as f64 / d)
            } else if i <= down + hold {
                -peak
            } else {
                -peak * ((down + hold + up - i) as f64 / u)
            };
            let mut next = last.ramp_to(a_next * sign, dt);
            if i == down + hold + up {
                // What is left is rounding.
                next = State::rest(next.p);
            }
            if !ramp_within(&last, &next, dt, limits) {
                within = false;
                break;
            }
            tail.push(next);
            see(tail, i == down + hold + up)?;
            last = next;
        }
        if within {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Steps more of the three phases, (down, hold, up).
type Rounding = (isize, isize, isize);

/// Roundings to try, those with the fewest steps first.
const NEAR_BY: [Rounding; NEAR_BY_COUNT] = near_by();
const NEAR_BY_COUNT: usize = 47;

/// Down and up from -1 to 2 and hold from -1 to 1, without the one that takes a step from each: it never fits.
const fn near_by() -> [Rounding; NEAR_BY_COUNT] {
    let mut all = [(0, 0, 0); NEAR_BY_COUNT];
    let mut count = 0;
    let mut sum = -2;
    while sum <= 5 {
        let mut down = -1;
        while down <= 2 {
            let mut hold = -1;
            while hold <= 1 {
                let up = sum - down - hold;
                if -1 <= up && up <= 2 {
                    all[count] = (down, hold, up);
                    count += 1;
                }
                hold += 1;
            }
            down += 1;
        }
        sum += 1;
    }
    all
}

/// The same for a gripper: the velocity goes linearly to zero in the fewest steps.
pub(crate) fn glide_stop(s: &State, dt: f64, limits: &JointLimits, tail: &mut Vec<State>) -> bool {
    tail.clear();
    if s.v == 0.0 {
        return s.p >= limits.lower - SLACK && s.p <= limits.upper + SLACK;
    }
    let steps = glide_stop_steps(s.v, dt, limits.acceleration);
    if steps + 2 > tail.capacity() {
        return false;
    }
    let mut last = *s;
    for i in 1..=steps {
        let next = last.glide_to(s.v * ((steps - i) as f64 / steps as f64), dt);
        if !glide_within(&last, &next, dt, limits) {
            return false;
        }
        tail.push(next);
        last = next;
    }
    true
}

/// Steps that a gripper needs to stop.
pub(crate) fn glide_stop_steps(v: f64, dt: f64, acceleration: f64) -> usize {
    (v.abs() / (acceleration * dt) - 1.0e-6).ceil().max(1.0) as usize
}

/// More steps than any stop within these limits can take.
pub(crate) fn longest_stop(dt: f64, limits: &JointLimits) -> usize {
    let seconds = limits.velocity / limits.acceleration
        + 4.0 * limits.acceleration / limits.jerk
        + 4.0 * (limits.velocity / limits.jerk).sqrt();
    (seconds / dt).ceil() as usize + 16
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use rsruckig::prelude::*;

    const DT: f64 = 0.01;

    fn limits() -> JointLimits {
        JointLimits { lower: -10.0, upper: 10.0, velocity: 2.0, acceleration: 5.0, jerk: 100.0 }
    }

    /// Lowest and highest position of a step, by looking.
    fn seen_extent(s: &State, e: &State) -> (f64, f64) {
        let j = (e.a - s.a) / DT;
        (0..=1000).map(|i| DT * f64::from(i) / 1000.0).fold((f64::MAX, f64::MIN), |(low, high), t| {
            let p = s.p + t * (s.v + t * (0.5 * s.a + t * j / 6.0));
            (low.min(p), high.max(p))
        })
    }

    /// How long the time-optimal stop takes, on no grid.
    fn optimal_stop(s: &State, limits: &JointLimits) -> f64 {
        let mut otg = Ruckig::<1, ThrowErrorHandler>::new(None, DT);
        let mut input = InputParameter::<1>::new(None);
        input.control_interface = ControlInterface::Velocity;
        input.current_position[0] = s.p;
        input.current_velocity[0] = s.v;
        input.current_acceleration[0] = s.a;
        input.max_acceleration[0] = limits.acceleration;
        input.max_jerk[0] = limits.jerk;
        let mut way = Trajectory::new(None);
        otg.calculate(&input, &mut way).unwrap();
        way.get_duration()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_extent_of_a_step_is_exact(v in -0.05..0.05f64, a in -5.0..5.0f64, b in -5.0..5.0f64) {
            let s = State { p: 0.3, v, a };
            let e = s.ramp_to(b, DT);
            let (low, high) = ramp_extent(&s, &e, DT);
            let (seen_low, seen_high) = seen_extent(&s, &e);
            prop_assert!((low - seen_low).abs() < 1e-8 && (high - seen_high).abs() < 1e-8);
        }

        #[test]
        fn every_state_from_which_a_stop_is_possible_has_one_that_is_nearly_optimal(v in -1.9..1.9f64, a in -4.9..4.9f64) {
            let limits = limits();
            let s = State { p: 0.0, v, a };
            // The velocity where the acceleration has gone must be allowed, with room for the grid.
            prop_assume!((v + 0.5 * a * a.abs() / limits.jerk).abs() < limits.velocity - 0.06);
            let mut tail = Vec::with_capacity(longest_stop(DT, &limits));
            prop_assert!(ramp_stop(&s, DT, &limits, &mut tail));
            let mut last = s;
            for next in &tail {
                prop_assert!(ramp_within(&last, next, DT, &limits));
                last = *next;
            }
            prop_assert_eq!((last.v, last.a), (0.0, 0.0));
            let optimal = optimal_stop(&s, &limits) / DT;
            prop_assert!((tail.len() as f64) < optimal + 5.0, "{} steps instead of {}", tail.len(), optimal);
        }

        #[test]
        fn a_stop_that_would_leave_the_limits_is_not_offered(room in 0.0..0.5f64, v in 0.1..1.9f64, a in -4.0..4.0f64) {
            let limits = JointLimits { upper: room, ..limits() };
            let s = State { p: 0.0, v, a };
            let mut tail = Vec::with_capacity(longest_stop(DT, &limits));
            if ramp_stop(&s, DT, &limits, &mut tail) {
                let mut last = s;
                for next in &tail {
                    prop_assert!(seen_extent(&last, next).1 <= room + 1e-8);
                    last = *next;
                }
            } else {
                // Then even the time-optimal stop comes close to the limit, or crosses it, or the velocity is too high.
                let wide = super::tests::limits();
                let possible = ramp_stop(&s, DT, &wide, &mut tail);
                prop_assert!(!possible || tail.iter().any(|x| x.p > room - 0.01));
            }
        }

        #[test]
        fn a_gripper_stops_within_its_limits(v in -0.1..0.1f64) {
            let limits = JointLimits { lower: -1.0, upper: 1.0, velocity: 0.1, acceleration: 1.0, jerk: 1.0 };
            let s = State { p: 0.0, v, a: 0.0 };
            let mut tail = Vec::with_capacity(longest_stop(DT, &limits));
            prop_assert!(glide_stop(&s, DT, &limits, &mut tail));
            let mut last = s;
            for next in &tail {
                prop_assert!(glide_within(&last, next, DT, &limits));
                last = *next;
            }
            prop_assert!(last.v == 0.0);
        }
    }
}

// The path is for fuzz/ruckig, which has this file as a module of its own.
#[cfg(test)]
#[path = "motion/edges.rs"]
mod edges;
