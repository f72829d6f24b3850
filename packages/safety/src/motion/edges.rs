//! Each limit, from both sides: what just keeps it passes, what just does not is refused. `docs/mutants.md` says which changes to
//! the code these tests see.
#![allow(clippy::unwrap_used)]
use super::*;
use rsruckig::prelude::*;

const DT: f64 = 0.01;
/// Well above the slack of planning, well below anything that matters.
const HAIR: f64 = 1.0e-7;

fn limits() -> JointLimits {
    JointLimits { lower: -10.0, upper: 10.0, velocity: 2.0, acceleration: 5.0, jerk: 100.0 }
}

fn gripper() -> JointLimits {
    JointLimits { lower: -1.0, upper: 1.0, velocity: 0.1, acceleration: 1.0, jerk: 1.0 }
}

fn mirrored(s: State) -> State {
    State { p: -s.p, v: -s.v, a: -s.a }
}

/// Whether the step from a state, with the acceleration going to `a`, is allowed; the same in the mirror.
fn ramps((p, v, a): (f64, f64, f64), to: f64) -> bool {
    let s = State { p, v, a };
    let e = s.ramp_to(to, DT);
    let kept = ramp_within(&s, &e, DT, &limits());
    assert_eq!(kept, ramp_within(&mirrored(s), &mirrored(e), DT, &limits()), "{s:?} to {e:?}");
    kept
}

fn glides((p, v): (f64, f64), to: f64) -> bool {
    let s = State { p, v, a: 0.0 };
    let e = s.glide_to(to, DT);
    let kept = glide_within(&s, &e, DT, &gripper());
    assert_eq!(kept, glide_within(&mirrored(s), &mirrored(e), DT, &gripper()), "{s:?} to {e:?}");
    kept
}

#[test]
fn a_step_of_constant_jerk_may_touch_each_limit_and_not_cross_it() {
    // Acceleration.
    assert!(ramps((0.0, 0.0, 4.5), 5.0));
    assert!(!ramps((0.0, 0.0, 4.5), 5.0 + HAIR));
    // Jerk: 1 m/s^2 in 10 ms, up, down and across zero.
    assert!(ramps((0.0, 0.0, 0.0), 1.0) && ramps((0.0, 0.0, 2.0), 1.0) && ramps((0.0, 0.0, 0.6), -0.4));
    assert!(!ramps((0.0, 0.0, 0.0), 1.0 + HAIR));
    assert!(!ramps((0.0, 0.0, 2.0), 1.0 - HAIR));
    assert!(!ramps((0.0, 0.0, 0.6), -0.4 - HAIR));
    // Velocity at the end of the step.
    assert!(ramps((0.0, 1.99, 1.0), 1.0));
    assert!(!ramps((0.0, 1.99 + HAIR, 1.0), 1.0));
    // Velocity within the step, two thirds through: 2 mm/s above both ends' mean.
    assert!(ramps((0.0, 1.998, 0.6), -0.3));
    assert!(!ramps((0.0, 1.998 + HAIR, 0.6), -0.3));
    // Position at the end of the step, and where it turns a fifth through.
    assert!(ramps((10.0 - 0.01, 1.0, 0.0), 0.0));
    assert!(!ramps((10.0 - 0.01 + HAIR, 1.0, 0.0), 0.0));
    assert!(ramps((10.0 - 1.0e-5, 0.01, -5.0), -5.0));
    assert!(!ramps((10.0 - 1.0e-5 + HAIR, 0.01, -5.0), -5.0));
}

#[test]
fn a_step_of_constant_acceleration_may_touch_each_limit_and_not_cross_it() {
    assert!(glides((0.0, 0.095), 0.1));
    assert!(!glides((0.0, 0.095), 0.1 + HAIR));
    // Acceleration: 10 mm/s in 10 ms, up, down and across zero.
    assert!(glides((0.0, 0.05), 0.06) && glides((0.0, 0.05), 0.04) && glides((0.0, 0.006), -0.004));
    assert!(!glides((0.0, 0.05), 0.06 + HAIR));
    assert!(!glides((0.0, 0.05), 0.04 - HAIR));
    assert!(!glides((0.0, 0.006), -0.004 - HAIR));
    // Position at the end, and where it turns two thirds through.
    assert!(glides((1.0 - 5.0e-4, 0.05), 0.05));
    assert!(!glides((1.0 - 5.0e-4 + HAIR, 0.05), 0.05));
    assert!(glides((1.0 - 2.0e-5, 0.006), -0.003));
    assert!(!glides((1.0 - 2.0e-5 + HAIR, 0.006), -0.003));
}

#[test]
fn no_step_to_what_is_no_number_is_allowed() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        // A step that turns, where a comparison alone would look past it.
        let s = State { p: 0.0, v: 0.001, a: -0.2 };
        let e = s.ramp_to(-0.3, DT);
        assert!(ramp_within(&s, &e, DT, &limits()));
        for e in [State { p: bad, ..e }, State { v: bad, ..e }, State { a: bad, ..e }] {
            assert!(!ramp_within(&s, &e, DT, &limits()), "{e:?}");
        }
        let s = State { p: 0.0, v: 0.001, a: 0.0 };
        let e = s.glide_to(-0.001, DT);
        assert!(glide_within(&s, &e, DT, &gripper()));
        for e in [State { p: bad, ..e }, State { v: bad, ..e }] {
            assert!(!glide_within(&s, &e, DT, &gripper()), "{e:?}");
        }
    }
}

#[test]
fn at_rest_within_the_range_and_only_there_nothing_has_to_be_done() {
    for stop in [ramp_stop, glide_stop] {
        let stops = |p: f64| {
            let mut tail = vec![State::rest(0.0); 3];
            let found = stop(&State::rest(p), DT, &limits(), &mut tail);
            assert!(tail.is_empty());
            found
        };
        assert!(stops(0.0) && stops(10.0) && stops(-10.0));
        assert!(!stops(10.0 + HAIR) && !stops(-10.0 - HAIR));
    }
}

/// How long the time-optimal stop takes, on no grid.
fn optimal_stop(s: &State, limits: &JointLimits) -> f64 {
    let mut otg = Ruckig::<1, ThrowErrorHandler>::new(None, DT);
    let mut input = InputParameter::<1>::new(None);
    input.control_interface = ControlInterface::Velocity;
    input.current_velocity[0] = s.v;
    input.current_acceleration[0] = s.a;
    input.max_acceleration[0] = limits.acceleration;
    input.max_jerk[0] = limits.jerk;
    let mut way = Trajectory::new(None);
    otg.calculate(&input, &mut way).unwrap();
    way.get_duration()
}

/// States all over the allowed speeds and accelerations.
fn states(limits: JointLimits) -> impl Iterator<Item = State> {
    let at = move |v: i32, a: i32| State {
        p: 0.0,
        v: limits.velocity * f64::from(v) / 40.0,
        a: limits.acceleration * f64::from(a) / 20.0,
    };
    (-38..=38)
        .flat_map(move |v| (-19..=19).map(move |a| at(v, a)))
        .filter(move |s| !s.is_rest() && (s.v + 0.5 * s.a * s.a.abs() / limits.jerk).abs() <= 0.97 * limits.velocity)
}

#[test]
fn rounding_a_stop_to_the_grid_costs_little_on_average() {
    // The averages are what the search of roundings reaches now: what finds longer stops anywhere is seen.
    let slow = JointLimits { velocity: 0.4, acceleration: 4.0, jerk: 61.0, ..limits() };
    for (limits, average) in [(limits(), 0.5995), (slow, 0.7112)] {
        let mut tail = Vec::with_capacity(longest_stop(DT, &limits));
        let (mut count, mut late, mut most) = (0.0, 0.0, 0.0_f64);
        for s in states(limits) {
            assert!(ramp_stop(&s, DT, &limits, &mut tail), "{s:?}");
            let behind = tail.len() as f64 - optimal_stop(&s, &limits) / DT;
            assert!(behind > -1.0e-3, "{s:?} stops sooner than anything can");
            count += 1.0;
            late += behind;
            most = most.max(behind);
        }
        assert!(late / count < average, "{} steps on average", late / count);
        assert!(most < 3.0, "{most} steps");
    }
}

#[test]
fn a_stop_that_the_grid_allows_to_the_step_is_found() {
    let limits = limits();
    let mut tail = Vec::with_capacity(longest_stop(DT, &limits));
    for (v, a, steps) in [
        // The acceleration is on its way to zero just as it should be.
        (0.005, -1.0, 1),
        (0.02, -2.0, 2),
        // Down to the largest deceleration and up again, without and with time between.
        (0.25, 0.0, 10),
        (0.5, 0.0, 15),
        (0.155, 1.0, 9),
        (1.5, 0.0, 35),
    ] {
        for s in [State { p: 0.0, v, a }, State { p: 0.0, v: -v, a: -a }] {
            assert!(ramp_stop(&s, DT, &limits, &mut tail));
            assert_eq!(tail.len(), steps, "{s:?}");
        }
    }
}

#[test]
fn a_stop_for_which_there_is_no_room_is_refused() {
    let limits = limits();
    for s in [State { p: 0.0, v: 1.5, a: 0.0 }, State { p: 0.0, v: 0.005, a: -1.0 }, State { p: 0.0, v: 0.3, a: -4.0 }]
    {
        let mut wide = Vec::with_capacity(longest_stop(DT, &limits));
        assert!(ramp_stop(&s, DT, &limits, &mut wide));
        for room in 0..wide.capacity() {
            let mut tail = Vec::with_capacity(room);
            let found = ramp_stop(&s, DT, &limits, &mut tail);
            assert_eq!(tail.capacity(), room, "it allocates");
            assert!(!found || tail == wide);
            // Some steps of room are kept for roundings.
            assert!(found || room < wide.len() + 14, "{room} for {}", wide.len());
        }
    }
    let s = State { p: 0.0, v: 0.1, a: 0.0 };
    for room in 0..20 {
        let mut tail = Vec::with_capacity(room);
        assert_eq!(glide_stop(&s, DT, &gripper(), &mut tail), room >= 12);
        assert_eq!(tail.capacity(), room, "it allocates");
    }
}

#[test]
fn a_gripper_stops_evenly_in_the_fewest_steps() {
    let mut tail = Vec::with_capacity(40);
    for sign in [1.0, -1.0] {
        let s = State { p: 0.2, v: sign * 0.1, a: 0.0 };
        assert!(glide_stop(&s, DT, &gripper(), &mut tail));
        assert_eq!(tail.len(), 10);
        for (i, state) in tail.iter().enumerate() {
            let left = 0.01 * (9 - i) as f64;
            assert!((state.v - sign * left).abs() < 1.0e-12);
            // What is left of the way is v^2 / 2a.
            assert!((tail[9].p - state.p - sign * 0.5 * left * left).abs() < 1.0e-12);
        }
        assert!((tail[9].p - 0.2 - sign * 0.005).abs() < 1.0e-12);
        // No room to stop.
        let s = State { p: sign * (1.0 - 0.0049), ..s };
        assert!(!glide_stop(&s, DT, &gripper(), &mut tail));
    }
    assert_eq!(glide_stop_steps(0.1, DT, 2.0), 5);
    assert_eq!(glide_stop_steps(-0.1, DT, 1.0), 10);
    assert_eq!(glide_stop_steps(0.1001, DT, 1.0), 11);
    // A rounding above ten steps is ten steps, and whatever moves at all takes one.
    assert_eq!(glide_stop_steps(0.1 * (1.0 + 1.0e-9), DT, 1.0), 10);
    assert_eq!(glide_stop_steps(1.0e-12, DT, 1.0), 1);
}

#[test]
fn room_is_kept_for_the_longest_stop_and_not_much_more() {
    // 2 / 5 + 4 * 5 / 100 + 4 * sqrt(2 / 100) seconds, and 16 steps.
    assert_eq!(longest_stop(DT, &limits()), 117 + 16);
    assert_eq!(longest_stop(0.001, &JointLimits { jerk: 50.0, ..limits() }), 1600 + 16);
}

#[test]
fn roundings_are_tried_with_the_fewest_steps_first_and_each_once() {
    let all = near_by().to_vec();
    assert!(all.iter().all(|(d, h, u)| (-1..=2).contains(d) && (-1..=1).contains(h) && (-1..=2).contains(u)));
    assert!(all.is_sorted_by_key(|(d, h, u)| d + h + u));
    let mut once = all.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!((once.len(), all.len()), (4 * 3 * 4 - 1, 4 * 3 * 4 - 1), "all but the one with three steps less");
}

#[test]
fn who_watches_a_stop_is_shown_each_state_as_it_comes_and_which_one_is_the_last() {
    let (limits, s) = (limits(), State { p: 0.0, v: 0.5, a: 0.3 });
    let (mut tail, mut plain) = (Vec::with_capacity(200), Vec::with_capacity(200));
    let mut seen: Vec<(usize, bool, State)> = Vec::new();
    let found = ramp_stop_seen::<()>(&s, DT, &limits, &mut tail, |states, ends| {
        seen.extend(states.last().map(|last| (states.len(), ends, *last)));
        Ok(())
    });
    assert!(found == Ok(true) && ramp_stop(&s, DT, &limits, &mut plain));
    assert_eq!(tail, plain);
    // What was seen before the last attempt is void.
    let from = seen.iter().rposition(|(len, ..)| *len == 1).unwrap();
    let expected: Vec<_> = tail.iter().enumerate().map(|(i, s)| (i + 1, i + 1 == tail.len(), *s)).collect();
    assert_eq!(seen[from..], expected);
    // An objection ends it.
    let mut count = 0;
    let refused = ramp_stop_seen(&s, DT, &limits, &mut tail, |states, _| {
        count += 1;
        if states.len() == 3 { Err("enough") } else { Ok(()) }
    });
    assert_eq!((refused, count), (Err("enough"), 3));
}
