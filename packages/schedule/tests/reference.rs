//! The reference that chunks become.
#![allow(clippy::unwrap_used)]

use efm_core::{ActionChunk, JointLimits, JointNames, Stamp};
use efm_schedule::*;
use proptest::prelude::*;

const T0: i64 = 1_700_000_000_000_000_000;

fn at(seconds: f64) -> Stamp {
    Stamp::from_nanos(T0).offset_seconds(seconds)
}

fn joints() -> JointNames {
    JointNames::new(["a", "b", "grip"]).unwrap()
}

fn config() -> SchedulerConfig {
    SchedulerConfig { straight_joints: vec!["grip".into()], ..SchedulerConfig::default() }
}

fn scheduler() -> Scheduler {
    Scheduler::new(joints(), config(), None).unwrap()
}

fn limited() -> Scheduler {
    let limits = [(-2.0, 2.0), (-2.0, 2.0), (0.0, 0.04)]
        .map(|(lower, upper)| JointLimits { lower, upper, velocity: 1.0, acceleration: 3.0, jerk: 50.0 })
        .to_vec();
    Scheduler::new(joints(), config(), Some(limits)).unwrap()
}

fn chunk(observed: f64, rows: usize, step: f64, position: impl Fn(f64) -> [f64; 3]) -> ActionChunk {
    let values = (1..=rows).flat_map(|k| position(observed + k as f64 * step)).collect();
    ActionChunk::new(at(observed), step, joints(), values).unwrap()
}

fn rest(position: f64) -> Reference {
    Reference { position, ..Reference::default() }
}

fn smooth(t: f64) -> [f64; 3] {
    [(1.3 * t).sin(), 0.5 * (0.9 * t).cos(), if t.fract() < 0.5 { 0.0 } else { 0.04 }]
}

#[test]
fn rows_are_met_at_their_times_and_the_curve_between_them_is_smooth() {
    let mut s = scheduler();
    s.offer(&chunk(0.0, 16, 0.1, smooth), at(0.0)).unwrap();
    assert!(s.take_over(at(0.05), |_| Reference::default()));
    // After the blend, the rows themselves.
    for k in 3..16 {
        let t = 0.1 * k as f64;
        for j in 0..2 {
            let r = s.of_joint(j, at(t)).unwrap();
            assert!((r.position - smooth(t)[j]).abs() < 1e-9, "row {k} of joint {j}: {}", r.position);
            let (before, after) = (s.of_joint(j, at(t - 1e-6)).unwrap(), s.of_joint(j, at(t + 1e-6)).unwrap());
            assert!(k == 15 || (before.velocity - after.velocity).abs() < 1e-4);
            assert!(k == 15 || (before.acceleration - after.acceleration).abs() < 1e-3);
        }
    }
    // And between them the motion that they were taken from.
    for i in 400..1300 {
        let t = i as f64 * 1e-3;
        let r = s.of_joint(0, at(t)).unwrap();
        assert!((r.position - smooth(t)[0]).abs() < 2e-5 && (r.velocity - 1.3 * (1.3 * t).cos()).abs() < 2e-3, "{t}");
    }
}

#[test]
fn with_a_fixed_latency_every_moment_is_what_the_policy_meant_for_it() {
    // Observed at 0, 0.2, 0.4, ...; offered 0.13 s later, in use 0.06 s after that. Were the first row followed on arrival, the
    // reference would be 0.09 s late: some 0.1 rad.
    let mut s = scheduler();
    let mut worst = 0.0f64;
    for i in 0..400 {
        let t = i as f64 * 0.01;
        if i >= 13 && (i - 13) % 20 == 0 {
            let accepted = s.offer(&chunk(t - 0.13, 16, 0.1, smooth), at(t)).unwrap();
            assert_eq!(accepted.first_row, 1);
            let from = t + 0.06;
            let old: Vec<Reference> =
                (0..3).map(|j| s.of_joint(j, at(from)).unwrap_or_else(|| rest(smooth(from)[j]))).collect();
            assert!(s.take_over(at(from), |j| old[j]));
        }
        if i > 60 {
            let ahead = t + 0.05;
            let (mut p, mut v) = ([0.0; 3], [0.0; 3]);
            let status = s.reference(at(ahead), &mut p, &mut v);
            assert!(matches!(status, ReferenceStatus::Active { .. }));
            worst = worst.max((p[0] - smooth(ahead)[0]).abs()).max((p[1] - smooth(ahead)[1]).abs());
        }
    }
    println!("worst difference from what was meant: {:.3} mrad", worst * 1e3);
    assert!(worst < 1e-3, "{worst}");
}

#[test]
fn the_row_in_use_and_the_end_of_a_chunk_are_told() {
    let mut s = scheduler();
    assert_eq!(s.status(at(0.0)), ReferenceStatus::Idle);
    s.offer(&chunk(0.0, 4, 0.1, smooth), at(0.0)).unwrap();
    assert_eq!(s.status(at(0.0)), ReferenceStatus::Idle, "a waiting chunk is not in use");
    assert!(s.take_over(at(0.0), |j| rest(smooth(0.0)[j])));
    let row = |t: f64| match s.status(at(t)) {
        ReferenceStatus::Active { chunk, row } => {
            assert_eq!(chunk, at(0.0));
            row
        }
        other => panic!("{other:?} at {t}"),
    };
    assert_eq!([row(0.0), row(0.05), row(0.1), row(0.11), row(0.2), row(0.39), row(0.4)], [0, 0, 0, 1, 1, 3, 3]);
    assert_eq!(s.status(at(0.401)), ReferenceStatus::Exhausted);
    let (mut p, mut v) = ([9.0; 3], [9.0; 3]);
    assert_eq!(s.reference(at(0.5), &mut p, &mut v), ReferenceStatus::Exhausted);
    assert_eq!(p, [9.0; 3], "an exhausted chunk wants nothing");
    s.clear(at(0.5));
    assert_eq!(s.status(at(0.2)), ReferenceStatus::Idle);
}

#[test]
fn a_gripper_command_does_not_ring_and_is_not_blended() {
    let mut s = scheduler();
    let binary = |t: f64| [0.0, 0.0, if t < 0.55 { 0.0 } else { 0.04 }];
    s.offer(&chunk(0.0, 16, 0.1, binary), at(0.0)).unwrap();
    assert!(s.take_over(at(0.0), |_| rest(0.02)));
    for i in 0..1600 {
        let r = s.of_joint(2, at(i as f64 * 1e-3)).unwrap();
        assert!((0.0..=0.04).contains(&r.position));
    }
    assert_eq!(s.of_joint(2, at(0.0)).unwrap().position, 0.0);
    assert_eq!(s.of_joint(2, at(0.65)).unwrap().position, 0.04);
}

#[test]
fn rows_beyond_the_position_limits_are_moved_to_them() {
    let mut s = limited();
    s.offer(&chunk(0.0, 16, 0.1, |_| [5.0, -5.0, 0.1]), at(0.0)).unwrap();
    assert!(s.take_over(at(0.0), |_| rest(0.0)));
    let late: Vec<f64> = (0..3).map(|j| s.of_joint(j, at(1.5)).unwrap().position).collect();
    assert_eq!(late, [2.0, -2.0, 0.04]);
}

#[test]
fn each_refusal_says_what_is_wrong_and_changes_nothing() {
    let mut s = scheduler();
    let good = chunk(10.0, 16, 0.1, smooth);
    s.offer(&good, at(10.0)).unwrap();
    assert!(s.take_over(at(10.05), |_| rest(0.0)));
    let before = s.of_joint(0, at(10.5));

    let named = |names: &[&str]| {
        let joints = JointNames::new(names.iter().copied()).unwrap();
        ActionChunk::new(at(10.1), 0.1, joints, vec![0.0; names.len()]).unwrap()
    };
    let mut refusal = |chunk: &ActionChunk| s.offer(chunk, at(10.1)).unwrap_err();
    assert_eq!(refusal(&named(&["a", "grip"])), ChunkRefusal::MissingJoint("b".into()));
    assert_eq!(refusal(&named(&["a", "b", "grip", "x"])), ChunkRefusal::UnknownJoint("x".into()));
    assert!(matches!(refusal(&chunk(8.9, 40, 0.1, smooth)), ChunkRefusal::TooOld { .. }));
    assert!(matches!(refusal(&chunk(10.3, 16, 0.1, smooth)), ChunkRefusal::FromTheFuture { .. }));
    assert!(matches!(refusal(&chunk(9.9, 16, 0.1, smooth)), ChunkRefusal::NotNewer { .. }));
    assert!(matches!(refusal(&good), ChunkRefusal::NotNewer { behind_s } if behind_s == 0.0));
    assert!(matches!(refusal(&chunk(10.05, 1, 0.01, smooth)), ChunkRefusal::Elapsed { .. }));
    assert!(matches!(refusal(&chunk(10.1, 16, 1e-9, |_| [0.0; 3])), ChunkRefusal::StepTime(_)));
    assert!(matches!(refusal(&chunk(10.1, 16, 1e200, |_| [0.0; 3])), ChunkRefusal::StepTime(_)));
    let absurd = refusal(&chunk(10.1, 16, 0.1, |t| [0.0, if t > 10.25 { -1e300 } else { 0.0 }, 0.0]));
    assert_eq!(absurd, ChunkRefusal::Absurd { step: 1, joint: "b".into(), value: -1e300 });
    assert!(absurd.to_string().contains("'b'"), "{absurd}");

    assert!(!s.has_pending());
    assert_eq!(s.of_joint(0, at(10.5)), before);
    s.clear(at(10.2));
    assert_eq!(s.offer(&chunk(10.15, 16, 0.1, smooth), at(10.25)), Err(ChunkRefusal::BeforeClear));
    s.offer(&chunk(10.2, 16, 0.1, smooth), at(10.25)).unwrap();
}

#[test]
fn a_waiting_chunk_whose_time_is_over_is_not_put_in_use() {
    let mut s = scheduler();
    s.offer(&chunk(0.0, 3, 0.1, smooth), at(0.0)).unwrap();
    assert!(!s.take_over(at(0.3), |_| rest(0.0)));
    assert!(!s.has_pending());
    assert_eq!(s.status(at(0.1)), ReferenceStatus::Idle);
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let with = |change: fn(&mut SchedulerConfig)| {
        let mut c = config();
        change(&mut c);
        Scheduler::new(joints(), c, None).err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert!(with(|c| c.max_chunk_age_s = f64::NAN).contains("max_chunk_age_s"));
    assert!(with(|c| c.blend_s = 0.0).contains("blend_s"));
    assert!(with(|c| c.max_blend_s = 0.01).contains("max_blend_s"));
    assert!(with(|c| c.straight_joints = vec!["claw".into()]).contains("'claw'"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Chunks that disagree wildly, put in use at any time: the reference starts exactly in the state that was followed and has no
    /// jump in position, velocity or acceleration afterwards.
    #[test]
    fn the_reference_is_continuous_up_to_acceleration(
        chunks in prop::collection::vec((0.05..0.6f64, prop::collection::vec(-2.0..2.0f64, 2..30), 0.0..0.3f64), 1..8),
    ) {
        let mut s = limited();
        let mut state = [rest(0.1), rest(-0.2), rest(0.0)];
        let mut t = 0.0;
        for (gap, values, latency) in chunks {
            let n = values.len() / 2;
            let rows = (0..n).flat_map(|k| [values[2 * k], values[2 * k + 1], 0.02]).collect();
            let chunk = ActionChunk::new(at(t - latency), 0.1, joints(), rows).unwrap();
            if s.offer(&chunk, at(t)).is_err() || !s.take_over(at(t), |j| state[j]) {
                t += gap;
                continue;
            }
            for (j, state) in state.iter().enumerate().take(2) {
                let r = s.of_joint(j, at(t)).unwrap();
                prop_assert!((r.position - state.position).abs() < 1e-9);
                prop_assert!((r.velocity - state.velocity).abs() < 1e-7);
                prop_assert!((r.acceleration - state.acceleration).abs() < 1e-4);
            }
            let end = (t + gap).min(chunk.ends_at().seconds_since(at(0.0)));
            let h = 1e-4;
            let mut before: Vec<Reference> = (0..2).map(|j| s.of_joint(j, at(t)).unwrap()).collect();
            let mut i = 1;
            while t + i as f64 * h <= end {
                for (j, before) in before.iter_mut().enumerate() {
                    let now = s.of_joint(j, at(t + i as f64 * h)).unwrap();
                    // Rows up to 4 rad apart every 0.1 s: a spline with a jerk of some 1e5 rad/s^3.
                    prop_assert!((now.acceleration - before.acceleration).abs() < 30.0);
                    prop_assert!((now.velocity - before.velocity - h * before.acceleration).abs() < 2e-3);
                    prop_assert!((now.position - before.position - h * before.velocity).abs() < 1e-4);
                    *before = now;
                }
                i += 1;
            }
            for (j, state) in state.iter_mut().enumerate() {
                *state = s.of_joint(j, at(end)).unwrap();
            }
            t = end;
        }
    }

    /// However the joints of a chunk are ordered, the reference is the same.
    #[test]
    fn the_order_of_the_joints_does_not_matter(order in Just(vec![0usize, 1, 2]).prop_shuffle()) {
        let plain = chunk(0.0, 8, 0.1, smooth);
        let names = JointNames::new(order.iter().map(|j| joints().as_slice()[*j].clone())).unwrap();
        let rows = (0..8).flat_map(|k| order.iter().map(move |j| (k, *j))).map(|(k, j)| plain.row(k)[j]).collect();
        let shuffled = ActionChunk::new(at(0.0), 0.1, names, rows).unwrap();
        let (mut s, mut other) = (scheduler(), scheduler());
        s.offer(&plain, at(0.0)).unwrap();
        let accepted = other.offer(&shuffled, at(0.0)).unwrap();
        prop_assert_eq!(accepted.reordered, order != [0, 1, 2]);
        s.take_over(at(0.05), |j| rest(j as f64));
        other.take_over(at(0.05), |j| rest(j as f64));
        for i in 5..80 {
            for j in 0..3 {
                prop_assert_eq!(s.of_joint(j, at(i as f64 * 0.01)), other.of_joint(j, at(i as f64 * 0.01)));
            }
        }
    }

    /// A blend stays within what it was given, as long as the longest blend is long enough for that.
    #[test]
    fn a_blend_asks_for_no_more_than_it_may(offset in -0.1..0.1f64, speed in -0.1..0.1f64) {
        let mut s = limited();
        s.offer(&chunk(0.0, 30, 0.1, |_| [0.5, 0.5, 0.02]), at(0.0)).unwrap();
        let from = Reference { position: 0.5 + offset, velocity: speed, acceleration: 0.0 };
        s.take_over(at(0.05), |_| from);
        for i in 0..2000 {
            let r = s.of_joint(0, at(0.05 + i as f64 * 1e-3)).unwrap();
            prop_assert!(r.velocity.abs() <= 1.0 && r.acceleration.abs() <= 3.0 + 1e-9);
        }
        prop_assert!((s.of_joint(0, at(0.7)).unwrap().position - 0.5).abs() < 1e-12);
    }
}
