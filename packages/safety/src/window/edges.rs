//! The check of windows at the edge of each limit, with two controllers and in every part that was committed. `docs/mutants.md` says
//! which changes to the code these tests see.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::motion::State;

const PERIOD: i64 = 10_000_000;
const DT: f64 = 0.01;

fn limit() -> JointLimits {
    JointLimits { lower: -1.0, upper: 1.0, velocity: 1.0, acceleration: 5.0, jerk: 100.0 }
}

/// The piece of a motion from a state, with the acceleration going to `a`.
fn piece(s: State, a: f64) -> Piece {
    let e = s.ramp_to(a, DT);
    Piece::new((s.p, s.v), (e.p, e.v), DT)
}

type Found = Result<(), (&'static str, f64, f64)>;

/// What the check finds, which has to be the same in the mirror.
fn found((p, v, a): (f64, f64, f64), to: f64) -> Found {
    let there = piece(State { p, v, a }, to).check(&limit());
    let mirror = piece(State { p: -p, v: -v, a: -a }, -to).check(&limit());
    match (there, mirror) {
        (Ok(()), Ok(())) => {}
        (Err(a), Err(b)) => {
            assert_eq!((a.0, a.1), (b.0, -b.1));
            assert_eq!(a.2, if a.0 == "position" { -b.2 } else { b.2 });
        }
        other => panic!("{other:?}"),
    }
    there
}

#[track_caller]
fn beyond(found: Found, quantity: &str, value: f64, limit: f64) {
    let Err((what, is, may)) = found else { panic!("nothing is found") };
    assert_eq!((what, may), (quantity, limit));
    assert!((is - value).abs() < 1.0e-5 * value.abs(), "{is}, not {value}");
}

#[test]
fn the_cubic_between_two_points_is_the_step_that_was_planned() {
    let s = State { p: 0.3, v: -0.4, a: 2.0 };
    let piece = piece(s, 1.5);
    assert!((piece.a0 - 2.0).abs() < 1.0e-9 && (piece.a1 - 1.5).abs() < 1.0e-9, "{} {}", piece.a0, piece.a1);
    assert_eq!((piece.p0, piece.v0, piece.dt), (0.3, -0.4, DT));
    assert_eq!((piece.p1, piece.v1), (s.ramp_to(1.5, DT).p, s.ramp_to(1.5, DT).v));
}

#[test]
fn velocities_and_accelerations_may_touch_their_limits_and_not_cross_them() {
    // At the end, at the start, and two thirds through, where the acceleration changes its sign.
    assert_eq!(found((0.0, 0.99, 1.0), 1.0), Ok(()));
    beyond(found((0.0, 0.99 + 3.0e-6, 1.0), 1.0), "velocity", 1.0, 1.0);
    assert_eq!(found((0.0, 1.0, -1.0), -1.0), Ok(()));
    beyond(found((0.0, 1.0 + 3.0e-6, -1.0), -1.0), "velocity", 1.0, 1.0);
    assert_eq!(found((0.0, 0.998, 0.6), -0.3), Ok(()));
    beyond(found((0.0, 0.998 + 3.0e-6, 0.6), -0.3), "velocity", 1.0, 1.0);
    // The peak is what is told, also where the start is too fast already.
    beyond(found((0.0, 1.05, 0.5), -4.5), "velocity", 1.05 + 0.5 * 0.5 * 0.1 * DT, 1.0);
    for (from, to) in [(5.0, 4.5), (4.5, 5.0)] {
        assert_eq!(found((0.0, 0.0, from), to), Ok(()));
        beyond(found((0.0, 0.0, from * (1.0 + 3.0e-6)), to * (1.0 + 3.0e-6)), "acceleration", 5.0, 5.0);
    }
    // Half the tolerance is no violation.
    assert_eq!(found((0.0, 1.0 + 0.5e-6, 0.0), 0.0), Ok(()));
    assert_eq!(found((0.0, 0.0, 5.0 + 2.5e-6), 5.0), Ok(()));
}

#[test]
fn positions_may_touch_the_range_at_either_end_and_between_and_not_leave_it() {
    // Both ends.
    for (p, v) in [(1.0 - 0.001, 0.1), (1.0, -0.1)] {
        assert_eq!(found((p + 0.5e-8, v, 0.0), 0.0), Ok(()));
        let Err((what, is, may)) = found((p + 2.0e-8, v, 0.0), 0.0) else { panic!("nothing is found") };
        assert_eq!((what, may), ("position", 1.0));
        assert!((is - (1.0 + 2.0e-8)).abs() < 1.0e-12);
    }
    // Turning a quarter, a half and three quarters through, while the acceleration goes from -4 to -5.
    let jerk = -1.0 / DT;
    for part in [0.25, 0.5, 0.75] {
        let t = part * DT;
        let v = 4.0 * t - 0.5 * jerk * t * t;
        let rise = v * t - 2.0 * t * t + jerk * t * t * t / 6.0;
        assert_eq!(found((1.0 - rise + 0.5e-8, v, -4.0), -5.0), Ok(()), "{part}");
        let Err((what, is, may)) = found((1.0 - rise + 2.0e-8, v, -4.0), -5.0) else { panic!("{part}: nothing found") };
        assert_eq!((what, may), ("position", 1.0));
        assert!((is - (1.0 + 2.0e-8)).abs() < 1.0e-10);
    }
}

/// Far from both ends of the range nothing between two points is looked at. A range that does not hold zero shows that "far" is a distance.
#[test]
fn what_turns_outside_of_a_range_on_one_side_of_zero_is_found() {
    let (t, jerk) = (0.5 * DT, -1.0 / DT);
    let v = 4.0 * t - 0.5 * jerk * t * t;
    let rise = v * t - 2.0 * t * t + jerk * t * t * t / 6.0;
    for sign in [1.0, -1.0] {
        let (low, high) = (2.0, 3.0);
        let limit = JointLimits {
            lower: f64::min(sign * low, sign * high),
            upper: f64::max(sign * low, sign * high),
            ..limit()
        };
        for (edge, way) in [(high, 1.0), (low, -1.0)] {
            let beyond = |by: f64| {
                let s = State { p: sign * (edge + way * (by - rise)), v: sign * way * v, a: -sign * way * 4.0 };
                piece(s, -sign * way * 5.0).check(&limit)
            };
            assert_eq!(beyond(0.0), Ok(()));
            let Err((what, is, may)) = beyond(2.0e-8) else { panic!("nothing is found") };
            assert_eq!((what, may), ("position", sign * edge));
            assert!((is - sign * (edge + way * 2.0e-8)).abs() < 1.0e-10);
        }
    }
}

#[test]
fn the_jerk_and_the_jump_of_the_acceleration_may_touch_their_limits_and_not_cross_them() {
    for sign in [1.0, -1.0] {
        let of = |from: f64, to: f64| piece(State { p: 0.0, v: 0.1, a: sign * from }, sign * to);
        for (from, to) in [(2.0, 3.0), (3.0, 2.0), (0.6, -0.4)] {
            let over = to + (to - from) * 3.0e-6;
            assert_eq!(of(from, to).check_jerk(None, &limit()), Ok(()));
            beyond(of(from, over).check_jerk(None, &limit()), "jerk", sign * (to - from) / DT, 100.0);
        }
        // A jump of a millionth of the largest acceleration is rounding, twice that is not.
        let next = of(2.0, 2.0);
        for by in [4.0e-6, -4.0e-6] {
            assert_eq!(next.check_jerk(Some(next.a0 - by), &limit()), Ok(()));
            beyond(next.check_jerk(Some(next.a0 - 2.0 * by), &limit()), "jerk", 2.0 * by / DT, 100.0);
        }
    }
}

#[test]
fn a_value_that_has_just_the_tolerance_passes() {
    let l = limit();
    // A step by which divisions are exact.
    let dt = 1.0 / 128.0;
    let still = Piece { p0: 0.0, v0: 0.0, p1: 0.0, v1: 0.0, a0: 0.0, a1: 0.0, dt };
    let rounding = still.rounding();
    let up = |x: f64| if x > 0.0 { x.next_up() } else { x.next_down() };
    for sign in [1.0, -1.0] {
        let p = sign * (l.upper + POSITION_TOLERANCE);
        assert_eq!(Piece { p0: p, p1: p, ..still }.check(&l), Ok(()));
        assert!(Piece { p0: up(p), p1: p, ..still }.check(&l).is_err());
        let v = sign * l.velocity * (1.0 + RELATIVE_TOLERANCE);
        assert_eq!(Piece { v0: v, ..still }.check(&l), Ok(()));
        assert!(Piece { v0: up(v), ..still }.check(&l).is_err());
        let a = sign * (l.acceleration * (1.0 + RELATIVE_TOLERANCE) + rounding);
        assert_eq!(Piece { a0: a, ..still }.check(&l), Ok(()));
        assert!(Piece { a0: up(a), ..still }.check(&l).is_err());
        let jerk = sign * (l.jerk * (1.0 + RELATIVE_TOLERANCE) + 2.0 * rounding / dt);
        assert_eq!(Piece { a1: jerk * dt, ..still }.check_jerk(None, &l), Ok(()));
        assert!(Piece { a1: up(jerk) * dt, ..still }.check_jerk(None, &l).is_err());
        let jump = sign * (l.acceleration * RELATIVE_TOLERANCE + 2.0 * rounding);
        assert_eq!(still.check_jerk(Some(jump), &l), Ok(()));
        assert!(still.check_jerk(Some(up(jump)), &l).is_err());
    }
}

#[test]
fn what_rounding_of_positions_makes_of_accelerations_is_not_held_against_a_window() {
    // At a million radians and 1 kHz the last bit of a position weighs more than the tolerance.
    let wide = JointLimits { lower: -1.0e7, upper: 1.0e7, ..limit() };
    let points: Vec<State> =
        std::iter::successors(Some(State { p: 1.0e3, v: 0.0, a: 5.0 }), |s| Some(s.ramp_to(5.0, 0.001)))
            .take(50)
            .collect();
    for (s, e) in points.iter().zip(&points[1..]) {
        let piece = Piece::new((s.p, s.v), (e.p, e.v), 0.001);
        assert_eq!(piece.check(&wide), Ok(()));
        // 32 halves of the last bit of 1 + p, by dt^2.
        assert!((piece.rounding() - 32.0 * f64::EPSILON * (1.0 + s.p) * 1.0e6).abs() < 1.0e-12);
        let off = JointLimits { acceleration: 5.0 - 2.0 * piece.rounding() - 1.0e-4, ..wide };
        assert!(piece.check(&off).is_err());
        assert_eq!(Piece::new((-s.p, -s.v), (-e.p, -e.v), 0.001).rounding(), piece.rounding());
    }
}

fn two() -> Limits {
    let joints = JointNames::new(["a", "b", "c"]).unwrap();
    let low = JointLimits { lower: -1.0, upper: 1.0, velocity: 1.0, acceleration: 5.0, jerk: 100.0 };
    let wide = JointLimits { lower: -9.0, upper: 9.0, velocity: 9.0, acceleration: 50.0, jerk: 1000.0 };
    let slow = JointLimits { velocity: 0.2, ..low };
    Limits::new(joints, &[low, wide, slow]).unwrap()
}

/// A window that rests, moves up by a few millimetres and rests again; each joint a decimetre beside the one before.
fn draft(joints: &[&str], places: Vec<usize>, jerk_limited: bool) -> Draft {
    let n = joints.len();
    let mut states = vec![State::rest(0.1); 3];
    let way = [0.5, 1.0, 1.5, 1.0, 0.5, 0.0, -0.5, -1.0, -1.5, -1.0, -0.5, 0.0];
    for a in way.into_iter().chain([0.0; 3]) {
        let last = *states.last().unwrap();
        let mut next = last.ramp_to(a, DT);
        if a == 0.0 && next.v.abs() < 1.0e-12 {
            next.v = 0.0;
        }
        states.push(next);
    }
    Draft {
        controller: joints.concat(),
        joints: JointNames::new(joints.iter().copied()).unwrap(),
        places,
        jerk_limited: vec![jerk_limited; n],
        stamp: Stamp::from_nanos(1000),
        period: PERIOD,
        committed: 7,
        given: true,
        stands: false,
        positions: states.iter().flat_map(|s| (0..n).map(move |j| s.p + 0.1 * j as f64)).collect(),
        velocities: states.iter().flat_map(|s| std::iter::repeat_n(s.v, n)).collect(),
    }
}

fn arm() -> Draft {
    draft(&["c", "a"], vec![2, 0], true)
}

fn hand() -> Draft {
    draft(&["b"], vec![1], false)
}

fn verdict(change: impl Fn(&mut Draft, &mut Draft)) -> Result<(), Violation> {
    let mut drafts = [arm(), hand()];
    let [first, second] = &mut drafts;
    change(first, second);
    let mut sent = [VerifiedWindow::from_empty(arm()), VerifiedWindow::from_empty(hand())];
    let found = seal(&mut drafts, &mut sent, &two(), true);
    if found.is_err() {
        assert_eq!(sent[0].0.positions, arm().positions, "a refused window replaces nothing");
        assert_eq!(sent[1].0.positions, hand().positions, "a refused window replaces nothing");
    }
    found
}

#[test]
fn a_mistake_of_any_joint_at_any_point_is_named() {
    assert_eq!(verdict(|_, _| ()), Ok(()));
    let points = arm().len();
    assert_eq!(points, 18);
    for joint in 0..2 {
        let name = ["c", "a"][joint];
        for point in 0..points {
            let at = point * 2 + joint;
            let found = verdict(|arm, _| arm.velocities[at] = f64::NAN);
            assert_eq!(found, Err(Violation::NotFinite { joint: name.into(), point }));
            let found = verdict(|arm, _| arm.positions[at] = f64::INFINITY);
            assert_eq!(found, Err(Violation::NotFinite { joint: name.into(), point }));
            // A jolt shows in the piece before it.
            let found = verdict(|arm, _| arm.positions[at] += 0.5);
            let Err(Violation::Limit { joint, point: seen, .. }) = found else { panic!("{found:?}") };
            assert_eq!((joint.as_str(), seen), (name, point.saturating_sub(1)));
        }
    }
    // Each joint has its own limits: the speed of 0.6 that `a` may have is too much for `c`, which is at its second place.
    let found = verdict(|arm, _| arm.positions.iter_mut().for_each(|p| *p += 0.75));
    assert_eq!(found, Ok(()));
    let found = verdict(|arm, _| arm.positions.iter_mut().for_each(|p| *p += 0.85));
    let Err(Violation::Limit { quantity: "position", joint, value, limit: 1.0, .. }) = found else {
        panic!("{found:?}")
    };
    assert!(joint == "a" && value > 1.0);
    let found = verdict(|arm, _| arm.places = vec![0, 2]);
    assert_eq!(found, Ok(()));
    assert_eq!(
        verdict(|_, hand| hand.velocities[2] = f64::NAN),
        Err(Violation::NotFinite { joint: "b".into(), point: 2 })
    );
}

#[test]
fn only_what_has_a_jerk_limit_is_held_to_it() {
    // A gripper goes from rest to 0.1 in one step and back in another: that is 10, of 50 that it may.
    let jolt = |hand: &mut Draft| {
        let mut s = State::rest(0.1);
        for k in 0..hand.len() {
            (hand.positions[k], hand.velocities[k]) = (s.p, s.v);
            s = s.glide_to(if (5..10).contains(&k) { 0.1 } else { 0.0 }, DT);
        }
    };
    assert_eq!(verdict(|_, hand| jolt(hand)), Ok(()));
    let found = verdict(|_, hand| {
        jolt(hand);
        hand.jerk_limited = vec![true];
    });
    assert!(matches!(found, Err(Violation::Limit { quantity: "jerk", .. })), "{found:?}");
}

#[test]
fn a_window_ends_with_velocity_and_acceleration_at_zero() {
    let last = arm().len() - 1;
    let found = verdict(|_, hand| hand.velocities[last] = 1.0e-12);
    assert_eq!(found, Err(Violation::NotAtRest("b".into())));
    let found = verdict(|arm, _| arm.velocities[last * 2 + 1] = 1.0e-12);
    assert_eq!(found, Err(Violation::NotAtRest("a".into())));
    // It comes to rest with a deceleration that has to end at once: an arm may not, a gripper may. A thousandth of the limit is rounding.
    let ends_with = |d: &mut Draft, a: f64| {
        let n = d.joints.len();
        // Backwards in time from rest, with the jerk of the way up.
        let mut s = State { p: 0.1, v: 0.0, a };
        for k in (0..d.len()).rev() {
            for j in 0..n {
                (d.positions[k * n + j], d.velocities[k * n + j]) = (s.p, -s.v);
            }
            s = s.ramp_to(s.a, DT);
        }
    };
    assert_eq!(verdict(|_, hand| ends_with(hand, 0.1)), Ok(()));
    assert_eq!(verdict(|arm, _| ends_with(arm, 0.1)), Err(Violation::NotAtRest("c".into())));
    assert_eq!(verdict(|arm, _| ends_with(arm, -0.1)), Err(Violation::NotAtRest("c".into())));
    assert_eq!(verdict(|arm, _| ends_with(arm, 0.006)), Err(Violation::NotAtRest("c".into())));
    assert_eq!(verdict(|arm, _| ends_with(arm, 0.004)), Ok(()));
}

#[test]
fn a_window_has_two_points_at_least() {
    let cut = |points: usize| {
        verdict(|arm, _| {
            arm.positions.truncate(points * 2);
            arm.velocities.truncate(points * 2);
        })
    };
    assert_eq!(cut(0), Err(Violation::TooShort(0)));
    assert_eq!(cut(1), Err(Violation::TooShort(1)));
    assert_eq!(cut(2), Ok(()));
}

fn later(mut draft: Draft, by: usize) -> Draft {
    let n = draft.joints.len();
    draft.stamp = draft.stamp.offset_nanos(by as i64 * PERIOD);
    draft.positions.drain(..by * n);
    draft.velocities.drain(..by * n);
    draft
}

#[test]
fn what_was_committed_keeps_every_bit_of_every_joint_and_what_follows_is_free() {
    let before = arm();
    let same = later(arm(), 2);
    assert_eq!(check_overlap(&same, &before), Ok(()));
    for joint in 0..2 {
        let name = ["c", "a"][joint];
        for point in 0..same.len() {
            let at = point * 2 + joint;
            let mut moved = same.clone();
            moved.positions[at] = moved.positions[at].next_up();
            let mut faster = same.clone();
            faster.velocities[at] = faster.velocities[at].next_up();
            let expected = if point < 7 { Err(Violation::Changed { joint: name.into(), point }) } else { Ok(()) };
            assert_eq!(check_overlap(&moved, &before), expected);
            assert_eq!(check_overlap(&faster, &before), expected);
        }
    }
}

#[test]
fn beyond_its_end_the_window_before_says_stay() {
    let before = arm();
    // Only the last two points are left of it; what is committed after them has to stay there.
    let mut stays = later(arm(), before.len() - 2);
    let (end, none) = (stays.positions[2..4].to_vec(), [0.0, 0.0]);
    for _ in 0..6 {
        stays.positions.extend_from_slice(&end);
        stays.velocities.extend_from_slice(&none);
    }
    assert_eq!(check_overlap(&stays, &before), Ok(()));
    let mut leaves = stays.clone();
    leaves.positions[10] += 1.0e-9;
    assert_eq!(check_overlap(&leaves, &before), Err(Violation::Changed { joint: "c".into(), point: 5 }));
    // Fewer points than are committed are no mistake of this check.
    assert_eq!(check_overlap(&later(arm(), before.len() - 2), &before), Ok(()));
}

#[test]
fn a_window_off_the_grid_or_before_the_last_is_refused() {
    let shifted = |nanos: i64| {
        let mut draft = arm();
        draft.positions.iter_mut().for_each(|p| *p = 0.1);
        draft.velocities.iter_mut().for_each(|v| *v = 0.0);
        let before = draft.clone();
        draft.stamp = draft.stamp.offset_nanos(nanos);
        check_overlap(&draft, &before)
    };
    let changed = Err(Violation::Changed { joint: "c".into(), point: 0 });
    assert_eq!(shifted(0), Ok(()));
    assert_eq!(shifted(PERIOD), Ok(()));
    assert_eq!(shifted(100 * PERIOD), Ok(()));
    for nanos in [1, -1, PERIOD / 2, PERIOD + 1, -PERIOD, -3 * PERIOD] {
        assert_eq!(shifted(nanos), changed, "{nanos}");
    }
}

#[test]
fn a_message_carries_each_point_of_each_joint_and_nothing_of_the_message_before() {
    let window = VerifiedWindow::from_empty(arm());
    assert_eq!((window.controller(), window.joints(), window.len()), ("ca", &arm().joints, 18));
    assert_eq!((window.committed(), window.stamp()), (7, Stamp::from_nanos(1000)));
    let mut message = VerifiedWindow::from_empty(draft(&["b"], vec![1], false)).to_trajectory();
    message.frame_id = "base".into();
    message.points.resize_with(40, TrajectoryPoint::default);
    for point in &mut message.points {
        point.accelerations = vec![1.0];
        point.effort = vec![1.0];
    }
    window.write_to(&mut message);
    assert_eq!(message, window.to_trajectory());
    assert!(message.frame_id.is_empty());
    assert_eq!(message.joint_names, ["c", "a"]);
    assert_eq!(message.points.len(), 18);
    for (k, point) in message.points.iter().enumerate() {
        assert_eq!(point.positions, arm().positions[2 * k..2 * k + 2]);
        assert_eq!(point.velocities, arm().velocities[2 * k..2 * k + 2]);
        assert_eq!(point.time_from_start, k as i64 * PERIOD);
        assert!(point.accelerations.is_empty() && point.effort.is_empty());
    }
}
