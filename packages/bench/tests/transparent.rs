//! What `efm bench transparent` counts, and what it plays.
#![allow(clippy::unwrap_used)]

use efm_bench::transparent::compare::{ARM, Totals, Trace};
use efm_bench::transparent::limiter::limited;
use efm_bench::transparent::run::{play, replay};
use efm_harness::deployed::Deployed;
use efm_harness::planner::RobotFiles;
use efm_safety::Limits;
use efm_sim::Split;
use std::path::Path;

fn files() -> RobotFiles {
    RobotFiles::under(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")))
}

fn deployed() -> Deployed {
    Deployed::read(&files()).unwrap()
}

fn limits() -> Limits {
    deployed().cell().limits().clone()
}

const HOME: [f64; 8] = [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785, 0.02];

/// Highest share of velocity, acceleration and jerk limits in rows, by differences.
fn asked(rows: &[[f64; ARM]], dt: f64) -> [f64; 3] {
    let limits = limits();
    let mut most = [0.0_f64; 3];
    for (j, velocity) in limits.velocity().iter().enumerate().take(ARM) {
        for p in rows.windows(4) {
            let of = [
                (p[1][j] - p[0][j]) / dt / velocity,
                (p[2][j] - 2.0 * p[1][j] + p[0][j]) / dt.powi(2) / limits.acceleration()[j],
                (p[3][j] - 3.0 * p[2][j] + 3.0 * p[1][j] - p[0][j]) / dt.powi(3) / limits.jerk()[j],
            ];
            most.iter_mut().zip(of).for_each(|(most, now)| *most = most.max(now.abs()));
        }
    }
    most
}

fn motion(wanted: impl Fn(f64, usize) -> f64) -> Vec<[f64; ARM]> {
    (0..400).map(|k| std::array::from_fn(|j| wanted(0.01 * f64::from(k), j))).collect()
}

#[test]
fn what_asks_too_much_is_made_jerk_limited_and_arrives_all_the_same() {
    let limits = limits();
    // Half a radian at once, and back.
    let steps = motion(|t, j| HOME[j] + if (1.0..2.5).contains(&t) { 0.5 } else { 0.0 });
    let rows = limited(&steps, 0.01, &limits, 0.8).unwrap();
    let [v, a, jerk] = asked(&rows, 0.01);
    assert!(v <= 0.8 + 1e-6 && a <= 0.8 + 1e-6 && jerk <= 0.8 + 1e-6, "{v} {a} {jerk}");
    assert!(a > 0.7, "it was not asked too much: {a}");
    for j in 0..ARM {
        assert!((rows[240][j] - steps[240][j]).abs() < 1e-3 && (rows[399][j] - steps[399][j]).abs() < 1e-3);
    }
}

#[test]
fn what_keeps_the_limits_is_left_as_it_is() {
    let smooth = motion(|t, j| HOME[j] + 0.2 * (1.0 - (1.5 * t).cos()));
    let rows = limited(&smooth, 0.01, &limits(), 0.95).unwrap();
    // It begins at rest, and the motion with an acceleration; it ends at rest too.
    for (k, (row, wanted)) in rows.iter().zip(&smooth).enumerate().skip(20).take(360) {
        assert_eq!(row, wanted, "{k}");
    }
}

#[test]
fn a_constant_shift_is_no_difference_and_a_milliradian_more_is_one() {
    let limits = limits();
    let trace = |late: f64, off: f64| {
        let at = |t: f64| [0.3 * (2.0 * t).sin(); ARM];
        let ticks: Vec<f64> = (0..500).map(|k| 0.01 * f64::from(k)).collect();
        let mut commanded: Vec<[f64; ARM]> = ticks.iter().map(|t| at(t - late)).collect();
        commanded.iter_mut().skip(250).for_each(|q| q[3] += off);
        Trace { commanded, meant: ticks.iter().map(|t| at(*t)).collect(), ..Trace::default() }
    };
    let count = |late, off| {
        let mut totals = Totals::default();
        totals.add(&trace(late, off), &limits, 0.01);
        (totals.best(), totals.share(totals.best()), totals.share_beyond(3))
    };
    assert_eq!(count(0.0, 0.0), (2, 0.0, 0.0));
    // Two ticks late: held against what was meant two ticks before.
    assert_eq!(count(0.02, 0.0), (0, 0.0, 0.0));
    let (_, share, _) = count(0.0, 1.1e-3);
    assert!((share - 0.5).abs() < 0.01, "{share}");
    let (_, share, _) = count(0.05, 0.0);
    assert!(share > 0.8, "three ticks are more than is forgiven: {share}");
}

#[test]
fn a_demonstration_is_done_with_the_filter_and_gives_the_same_again() {
    let seed = Split::Train.seeds().start + 3;
    let (one, other) = (play(&deployed(), &files(), seed).unwrap(), play(&deployed(), &files(), seed).unwrap());
    assert!(one.success && one.commanded.len() > 200);
    assert_eq!(one.commanded.len(), one.meant.len());
    assert_eq!((&one.commanded, &one.meant), (&other.commanded, &other.meant));
}

#[test]
fn a_motion_that_is_easy_passes_as_it_is() {
    let easy = motion(|t, j| HOME[j] + 0.1 * (1.0 - (1.2 * t).cos()));
    let trace = replay(&deployed(), &easy, 2).unwrap();
    assert!(trace.success && trace.refused == 0);
    let mut totals = Totals::default();
    totals.add(&trace, &limits(), 0.01);
    // A few ticks at the start, where it gets going.
    assert!(totals.share(totals.best()) < 0.05, "{}", totals.share(totals.best()));
    // And it is the motion that was asked for: 30 ticks later, seen from the sixth on.
    let pairs = trace.meant[100..300].iter().zip(&easy[76..]);
    let off = pairs.flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(off < 1e-4, "{off}");
}
