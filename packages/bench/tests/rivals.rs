//! The rules of others do what their projects publish: what they keep and what they let through.
#![allow(clippy::unwrap_used)]

use efm_bench::arm::Bounds;
use efm_bench::chunks::RawChunk;
use efm_bench::kill::shortest_stop;
use efm_bench::rivals::Rival;
use efm_bench::stimulus::{Event, Fault, T0};
use efm_bench::tally::{Quantity, Tally};

const LEROBOT: usize = 0;
const BUTTERWORTH: usize = 1;
const RUCKIG: usize = 2;

fn bounds() -> Bounds {
    Bounds {
        names: vec!["a".into(), "b".into()],
        min: vec![-2.0; 2],
        max: vec![2.0; 2],
        velocity: vec![1.0; 2],
        acceleration: vec![5.0; 2],
        jerk: vec![100.0; 2],
        gripper: vec![false; 2],
    }
}

/// Ten seconds in which each chunk is one place for joint b, offered every second; joint a stays.
fn play(which: usize, goal: impl Fn(usize) -> f64) -> Tally {
    let bounds = bounds();
    let mut rival = Rival::new(which, &bounds, &[0.0, 0.0], 1, "test");
    for tick in 0..1000 {
        let chunk = (tick % 100 == 0).then(|| RawChunk {
            observed_at: T0,
            step: 0.1,
            names: bounds.names.clone(),
            positions: [0.0, goal(tick / 100)].repeat(10),
        });
        let event = Event {
            now: T0 + tick as i64 * 10_000_000,
            passed: 10_000_000,
            commands: vec![],
            chunk,
            fault: Fault::None,
            lag: 0,
            noise: (0, 0.0),
            told: None,
            lying: false,
            hand: vec![],
            late: 0,
            late_from: 0,
        };
        rival.event(&event, tick as f64 * 0.01, &bounds);
    }
    rival.meter.tally
}

fn count(tally: &Tally, quantity: Quantity) -> u64 {
    tally.violations[quantity as usize]
}

#[test]
fn a_relative_target_keeps_the_speed_and_lets_acceleration_positions_and_nan_through() {
    let tally = play(LEROBOT, |k| if k % 2 == 0 { 1.0 } else { -1.0 });
    assert_eq!(count(&tally, Quantity::Velocity), 0, "{:?}", tally.found);
    // From rest to 1 rad/s in a call: 30 rad/s2.
    assert!(tally.max_excess[2] > 4.9, "{:?}", tally.max_excess);
    assert!(count(&tally, Quantity::Acceleration) >= 10 && count(&tally, Quantity::Jerk) >= 10);
    assert!(count(&play(LEROBOT, |_| 5.0), Quantity::Position) > 100);
    assert!(count(&play(LEROBOT, |_| f64::NAN), Quantity::NotFinite) > 100);
    // An infinite goal is clamped like any other.
    assert_eq!(count(&play(LEROBOT, |_| f64::INFINITY), Quantity::NotFinite), 0);
}

#[test]
fn servo_scales_and_halts_before_it_smooths_and_looks_no_more() {
    for which in [BUTTERWORTH, RUCKIG] {
        let tally = play(which, |k| if k % 2 == 0 { 1.0 } else { -1.0 });
        assert_eq!(count(&tally, Quantity::Velocity) + count(&tally, Quantity::Position), 0, "{:?}", tally.found);
        // A goal out of reach halts it short of the limit.
        assert_eq!(count(&play(which, |_| 5.0), Quantity::Position), 0);
        // NaN is told and not published; infinity passes that test and turns into NaN.
        let nan = play(which, |_| f64::NAN);
        assert_eq!((nan.sent, count(&nan, Quantity::NotFinite)), (0, 0));
        assert!(count(&play(which, |_| f64::INFINITY), Quantity::NotFinite) > 0);
    }
    let tally = play(BUTTERWORTH, |k| if k % 2 == 0 { 1.0 } else { -1.0 });
    assert!(count(&tally, Quantity::Acceleration) >= 10 && count(&tally, Quantity::Jerk) >= 10, "{:?}", tally.found);
}

#[test]
fn the_shortest_stop_is_the_textbook_one() {
    let mut b = bounds();
    // Deceleration ramps to 5 rad/s2 in 50 ms and back: v / a + a / j.
    assert!((shortest_stop(1.0, 0.0, &b, 0).unwrap() - (1.0 / 5.0 + 5.0 / 100.0)).abs() < 1e-9);
    // Too slow for the full deceleration: 2 sqrt(v / j).
    assert!((shortest_stop(-0.04, 0.0, &b, 0).unwrap() - 2.0 * (0.04f64 / 100.0).sqrt()).abs() < 1e-9);
    // Braking already, exactly enough: a / j.
    assert!((shortest_stop(0.125, -5.0, &b, 0).unwrap() - 0.05).abs() < 1e-9);
    b.gripper[0] = true;
    assert!((shortest_stop(0.5, 0.0, &b, 0).unwrap() - 0.1).abs() < 1e-12);
}
