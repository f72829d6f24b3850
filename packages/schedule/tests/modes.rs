//! What the modes do at the seam between two chunks, and what does not depend on them.
#![allow(clippy::unwrap_used)]

use efm_core::{ActionChunk, JointNames, Stamp};
use efm_schedule::*;
use proptest::prelude::*;

const T0: i64 = 1_700_000_000_000_000_000;

fn at(seconds: f64) -> Stamp {
    Stamp::from_nanos(T0).offset_seconds(seconds)
}

fn joints() -> JointNames {
    JointNames::new(["a", "grip"]).unwrap()
}

fn scheduler(mode: Mode) -> Scheduler {
    let config = SchedulerConfig { straight_joints: vec!["grip".into()], mode, ..SchedulerConfig::default() };
    Scheduler::new(joints(), config, None).unwrap()
}

fn ensemble(m: f64) -> Scheduler {
    scheduler(Mode::TemporalEnsemble { m })
}

/// Sixteen rows at 10 Hz.
fn chunk(observed: f64, position: impl Fn(f64) -> f64) -> ActionChunk {
    let values = (1..=16).flat_map(|k| [position(observed + 0.1 * k as f64), 0.0]).collect();
    ActionChunk::new(at(observed), 0.1, joints(), values).unwrap()
}

fn position(s: &Scheduler, t: f64) -> f64 {
    s.of_joint(0, at(t)).unwrap().position
}

/// Observed at `observed`, in use `latency` later, following the reference itself (or rest at `from` in the beginning).
fn follow(s: &mut Scheduler, chunk: &ActionChunk, from: f64, latency: f64) {
    let now = chunk.observed_at().offset_seconds(latency);
    s.offer(chunk, now).unwrap();
    let before = s.of_joint(0, now).unwrap_or(Reference { position: from, ..Reference::default() });
    assert!(s.take_over(now, |joint| if joint == 0 { before } else { Reference::default() }));
}

#[test]
fn a_queue_goes_on_from_the_first_row_however_late_the_chunk_is_and_so_leaps_back() {
    let mut s = scheduler(Mode::Fifo);
    follow(&mut s, &chunk(0.0, |t| 0.5 * t), 0.0, 0.3);
    // Row k is due k + 1 steps after the chunk came.
    for k in 0..16 {
        assert!((position(&s, 0.3 + 0.1 * (k + 1) as f64) - 0.05 * (k + 1) as f64).abs() < 1e-9, "row {k}");
    }
    assert_eq!(s.ends_at(), Some(at(1.9)));
    assert_eq!(s.seams().0, 0, "the first chunk takes over from nobody");
    // The next is made at 0.6 s from where the arm is (0.15) and comes at 0.9 s, when the arm is at 0.3: it is sent back to 0.15.
    follow(&mut s, &chunk(0.6, |t| 0.15 + 0.5 * (t - 0.6)), 0.0, 0.3);
    let (count, seam) = s.seams();
    let seam = seam.unwrap();
    assert_eq!((count, seam.at, consumed(seam.delay_s, 0.1)), (1, at(0.9), 3));
    assert!((seam.jump - 0.15).abs() < 1e-6 && (seam.gap - 0.15).abs() < 1e-6, "{seam:?}");
    assert!(seam.jerk > 0.15 / 1e-6, "{seam:?}");
    assert!((position(&s, 0.9) - 0.15).abs() < 1e-6);
}

#[test]
fn the_leap_is_told_from_the_old_reference_however_far_behind_the_robot_is() {
    for mode in [Mode::Fifo, Mode::TemporalEnsemble { m: 0.0 }] {
        let mut s = scheduler(mode);
        follow(&mut s, &chunk(0.0, |_| 1.0), 1.0, 0.0);
        s.offer(&chunk(0.4, |_| 1.1), at(0.4)).unwrap();
        // Whoever follows is far off: no matter.
        assert!(s.take_over(at(0.4), |_| Reference { position: 0.3, ..Reference::default() }));
        let expected = if mode == Mode::Fifo { 0.1 } else { 0.05 };
        assert!((s.seams().1.unwrap().jump - expected).abs() < 1e-6, "{mode}: {:?}", s.seams());
    }
}

#[test]
fn a_queue_takes_a_chunk_all_of_whose_rows_are_over_but_not_one_that_is_too_old() {
    let mut s = scheduler(Mode::Fifo);
    let short = |observed: f64| ActionChunk::new(at(observed), 0.1, joints(), vec![0.1, 0.0, 0.2, 0.0]).unwrap();
    assert_eq!(s.offer(&short(0.0), at(0.5)).unwrap().first_row, 0);
    assert!(s.take_over(at(0.5), |_| Reference::default()));
    assert!(matches!(s.offer(&short(0.1), at(1.2)), Err(ChunkRefusal::TooOld { .. })));
    let mut s = scheduler(Mode::Blend);
    assert!(matches!(s.offer(&short(0.0), at(0.5)), Err(ChunkRefusal::Elapsed { .. })));
}

#[test]
fn blending_leaves_no_leap_whatever_the_chunks_say_and_tells_how_far_they_were_apart() {
    for mode in [Mode::Blend, Mode::Rtc] {
        let mut s = scheduler(mode);
        follow(&mut s, &chunk(0.0, |t| 0.5 * t), 0.0, 0.1);
        follow(&mut s, &chunk(0.4, |t| 0.5 * t + 0.02), 0.0, 0.2);
        let seam = *s.seams().1.unwrap();
        assert!(seam.jump < 1e-12 && (seam.gap - 0.02).abs() < 1e-6, "{seam:?}");
        // That of the chunks, wherever whoever follows them is.
        s.offer(&chunk(0.8, |t| 0.5 * t - 0.01), at(0.9)).unwrap();
        assert!(s.take_over(at(0.9), |_| Reference { position: 7.0, ..Reference::default() }));
        assert!((s.seams().1.unwrap().gap - 0.03).abs() < 1e-6, "{:?}", s.seams());
        // 60 h / T^3 is the largest jerk of the quintic that takes h back within T.
        assert!(seam.jerk < 60.0 * 0.02 / 0.15_f64.powi(3) * 1.01, "{seam:?}");
    }
}

#[test]
fn rtc_and_blend_are_the_same_to_the_last_bit_but_for_what_the_policy_is_told() {
    let run = |mode| {
        let mut s = scheduler(mode);
        let mut seen = Vec::new();
        for i in 0..6 {
            follow(&mut s, &chunk(0.3 * i as f64, |t| (1.3 * t).sin() + 0.01 * i as f64), 0.0, 0.13);
            seen.extend((0..30).map(|k| position(&s, 0.3 * i as f64 + 0.13 + 0.01 * k as f64).to_bits()));
        }
        seen
    };
    assert_eq!(run(Mode::Blend), run(Mode::Rtc));
}

#[test]
fn where_chunks_overlap_the_reference_is_their_weighted_mean_the_oldest_first() {
    for m in [0.0, ACT_DECAY, 0.7] {
        let mut s = ensemble(m);
        for (observed, value) in [(0.0, 1.0), (0.2, 2.0), (0.4, 6.0)] {
            follow(&mut s, &chunk(observed, |_| value), 1.0, 0.0);
        }
        let w = |i: f64| (-m * i).exp();
        let expected = [
            // All three cover this, then the last two, then the last one.
            (1.5, (w(0.0) + 2.0 * w(1.0) + 6.0 * w(2.0)) / (w(0.0) + w(1.0) + w(2.0))),
            (1.8, (2.0 * w(0.0) + 6.0 * w(1.0)) / (w(0.0) + w(1.0))),
            (2.0, 6.0),
        ];
        for (t, value) in expected {
            assert!((position(&s, t) - value).abs() < 1e-9, "m {m}, {t} s: {} instead of {value}", position(&s, t));
        }
    }
}

#[test]
fn chunks_whose_rows_lie_between_each_others_are_averaged_in_time_not_by_number() {
    let mut s = ensemble(0.0);
    let motion = |t: f64| (1.3 * t).sin();
    for i in 0..8 {
        follow(&mut s, &chunk(0.13 * i as f64, motion), 0.0, 0.05);
        for k in 5..20 {
            let t = 0.13 * i as f64 + 0.05 + 0.01 * k as f64;
            assert!((position(&s, t) - motion(t)).abs() < 2e-4, "chunks that agree are not changed: {t}");
        }
    }
}

#[test]
fn an_ensemble_forgets_what_is_over_and_what_was_made_before_a_stop() {
    let mut s = ensemble(0.0);
    follow(&mut s, &chunk(0.0, |_| 1.0), 1.0, 0.0);
    follow(&mut s, &chunk(1.7, |_| 3.0), 1.0, 0.0);
    assert!((position(&s, 1.8) - 3.0).abs() < 1e-9, "the first was over");
    s.retire(at(2.0));
    follow(&mut s, &chunk(2.1, |_| 5.0), 3.0, 0.0);
    assert!((position(&s, 2.2) - 5.0).abs() < 1e-9, "the second was stopped");
}

#[test]
fn an_ensemble_is_bounded() {
    // A hundred chunks a second: only the newest MAX_ENSEMBLE count.
    let mut s = ensemble(0.0);
    let n = MAX_ENSEMBLE + 40;
    for i in 0..n {
        let value = if i < 40 { 1.0e3 } else { 1.0 };
        follow(&mut s, &chunk(0.01 * i as f64, |_| value), 1.0, 0.0);
    }
    assert!((position(&s, 0.01 * n as f64 + 0.3) - 1.0).abs() < 1e-9);
}

#[test]
fn the_members_of_an_ensemble_keep_their_times_where_the_robot_was_slowed_down() {
    // The plan was 0.2 s behind when the second chunk was observed: its rows, meant for the clock, lie 0.2 s earlier in plan time.
    let mut s = ensemble(0.0);
    let motion = |t: f64| 0.5 * t;
    follow(&mut s, &chunk(0.0, motion), 0.0, 0.0);
    let second = chunk(0.4, |t| motion(t - 0.2));
    s.offer(&second, at(0.4)).unwrap();
    assert!(s.take_over_late(at(0.2), |_| 200_000_000, |_| Reference { position: 0.1, ..Reference::default() }));
    for k in 0..10 {
        let t = 0.3 + 0.1 * k as f64;
        assert!((position(&s, t) - motion(t)).abs() < 1e-9, "{t}: {}", position(&s, t));
    }
}

#[test]
fn a_chunk_that_comes_too_late_to_be_used_is_dropped_with_the_reason() {
    let mut s = scheduler(Mode::Blend);
    follow(&mut s, &chunk(0.0, |_| 1.0), 1.0, 0.0);
    assert_eq!(s.dropped(), (0, None));
    s.offer(&chunk(0.1, |_| 2.0), at(0.2)).unwrap();
    assert!(!s.take_over(at(1.6), |_| Reference::default()));
    assert!(matches!(s.dropped(), (1, Some(ChunkRefusal::TooOld { .. }))), "{:?}", s.dropped());
    let short = ActionChunk::new(at(0.2), 0.1, joints(), vec![0.1, 0.0, 0.2, 0.0]).unwrap();
    s.offer(&short, at(0.3)).unwrap();
    assert!(!s.take_over(at(0.5), |_| Reference::default()));
    assert!(matches!(s.dropped(), (2, Some(ChunkRefusal::Elapsed { .. }))));
    assert_eq!(s.in_use(), Some((at(0.0), 16)), "what was followed still is");
}

#[test]
fn a_gripper_command_is_no_seam() {
    let mut s = scheduler(Mode::Fifo);
    let grip =
        |observed: f64, value: f64| ActionChunk::new(at(observed), 0.1, joints(), [0.5, value].repeat(16)).unwrap();
    let rest = |_| Reference { position: 0.5, ..Reference::default() };
    s.offer(&grip(0.0, 0.0), at(0.0)).unwrap();
    assert!(s.take_over(at(0.0), rest));
    s.offer(&grip(0.2, 0.04), at(0.2)).unwrap();
    assert!(s.take_over(at(0.2), rest));
    let seam = s.seams().1.unwrap();
    assert!(seam.jump < 1e-12 && seam.jerk < 1e-6, "{seam:?}");
}

#[test]
fn weights_that_are_none_are_refused_by_name() {
    let mode = Mode::TemporalEnsemble { m: f64::NAN };
    let error = Scheduler::new(joints(), SchedulerConfig { mode, ..SchedulerConfig::default() }, None).unwrap_err();
    assert!(error.to_string().contains("temporal ensembling"), "{error}");
}

proptest! {
    #[test]
    fn an_ensemble_stays_between_the_least_and_the_most_of_its_chunks_at_their_rows(
        values in prop::collection::vec(-1.0..1.0_f64, 2..12), m in 0.0..2.0_f64,
    ) {
        let mut s = ensemble(m);
        for (i, value) in values.iter().enumerate() {
            follow(&mut s, &chunk(0.1 * i as f64, |_| *value), 0.0, 0.0);
        }
        let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
        for k in 1..=16 {
            let p = position(&s, 0.1 * (values.len() - 1 + k) as f64);
            prop_assert!(p >= low - 1e-6 && p <= high + 1e-6);
        }
    }

    #[test]
    fn in_every_mode_a_single_chunk_is_what_it_is(latency in 0.0..0.5_f64, which in 0_usize..4) {
        let mode = Mode::ALL[which];
        let mut s = scheduler(mode);
        follow(&mut s, &chunk(0.0, |t| t.sin()), latency.sin(), latency);
        let shift = if mode == Mode::Fifo { latency } else { 0.0 };
        for k in 8..16 {
            let t = 0.1 * k as f64;
            prop_assert!((position(&s, t + shift) - t.sin()).abs() < 1e-6, "{} at {}", mode, t);
        }
    }
}
