//! Statistics of success rates and latencies.

use serde::{Deserialize, Serialize};

/// An interval of proportions, both ends in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The 95 % Wilson score interval of `successes` out of `trials` (Wilson 1927, equation as in Brown, Cai, DasGupta 2001,
/// eq. 4). Without trials nothing is known: [0, 1].
pub fn wilson95(successes: usize, trials: usize) -> Interval {
    const Z: f64 = 1.959_963_984_540_054;
    if trials == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (n, p) = (trials as f64, successes as f64 / trials as f64);
    let z2 = Z * Z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

/// The two-sided p-value of McNemar's exact test: how likely a split of the discordant pairs at least as uneven as this one is if
/// neither side is better. `only_a` pairs succeeded only with the first of two treatments, `only_b` only with the second; pairs
/// in which both did the same say nothing about a difference and are not counted.
///
/// Given `n = only_a + only_b` discordant pairs, `only_a` is binomial(n, 1/2) under the null hypothesis (McNemar 1947,
/// Psychometrika 12, 153-157; "exact conditional test" in Fagerland, Lydersen, Laake 2013, BMC Medical Research Methodology
/// 13:91): `p = min(1, 2 * sum over k = 0..=min(only_a, only_b) of C(n, k) / 2^n)`. Always in (0, 1].
pub fn mcnemar_exact(only_a: usize, only_b: usize) -> f64 {
    let n = only_a + only_b;
    // In logarithms, since 2^-n leaves the range of a double beyond a thousand pairs.
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = log_term.exp();
    for k in 0..only_a.min(only_b) {
        log_term += ((n - k) as f64 / (k + 1) as f64).ln();
        tail += log_term.exp();
    }
    (2.0 * tail).clamp(f64::MIN_POSITIVE, 1.0)
}

/// The `q` quantile (0 to 1) by linear interpolation between order statistics; `None` without values. Sorts in place.
pub fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let place = q.clamp(0.0, 1.0) * (values.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    Some(values[low] + (values[high] - values[low]) * (place - low as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;
    use proptest::prelude::*;

    #[test]
    fn mcnemar_agrees_with_sums_by_hand() {
        // 2 * 1 / 2^5; 2 * (1 + 10) / 2^10; 2 * (1 + 10 + 45 + 120) / 2^10.
        for (a, b, p) in [(0, 5, 0.0625), (1, 9, 0.021_484_375), (3, 7, 0.343_75), (4, 4, 1.0), (0, 1, 1.0)] {
            assert_abs_diff_eq!(mcnemar_exact(a, b), p, epsilon = 1e-12);
        }
        // Fagerland, Lydersen, Laake 2013, table 1 (Bentur et al. 2009): 1 and 7 discordant pairs, p = 0.070.
        assert_abs_diff_eq!(mcnemar_exact(1, 7), 0.070, epsilon = 5e-4);
    }

    #[test]
    fn two_that_never_differ_are_not_told_apart() {
        assert_eq!(mcnemar_exact(0, 0), 1.0);
    }

    proptest! {
        #[test]
        fn mcnemar_is_symmetric_and_a_probability(a in 0_usize..3000, b in 0_usize..3000) {
            let p = mcnemar_exact(a, b);
            prop_assert_eq!(p, mcnemar_exact(b, a));
            prop_assert!(p > 0.0 && p <= 1.0, "{}", p);
        }

        #[test]
        fn a_more_uneven_split_is_less_likely(n in 2_usize..400, less in 0_usize..199) {
            let less = less.min(n / 2);
            let even = mcnemar_exact(less, n - less);
            if less > 0 {
                prop_assert!(mcnemar_exact(less - 1, n - less + 1) < even);
            }
        }

        #[test]
        fn wilson_holds_the_rate_and_narrows_with_more_trials(k in 0_usize..50, more in 0_usize..50) {
            let n = k + more + 1;
            let (one, ten) = (wilson95(k, n), wilson95(10 * k, 10 * n));
            let rate = k as f64 / n as f64;
            prop_assert!(one.low <= rate + 1e-12 && rate <= one.high + 1e-12);
            prop_assert!(ten.high - ten.low < one.high - one.low);
        }
    }

    #[test]
    fn wilson_agrees_with_published_values() {
        // Newcombe 1998, table I: 81 of 263, and 0 of 20.
        let a = wilson95(81, 263);
        assert_abs_diff_eq!(a.low, 0.2553, epsilon = 1e-4);
        assert_abs_diff_eq!(a.high, 0.3662, epsilon = 1e-4);
        let b = wilson95(0, 20);
        assert_abs_diff_eq!(b.low, 0.0, epsilon = 1e-12);
        assert_abs_diff_eq!(b.high, 0.1611, epsilon = 1e-4);
    }

    #[test]
    fn nothing_tried_means_nothing_known() {
        assert_eq!(wilson95(0, 0), Interval { low: 0.0, high: 1.0 });
        assert_eq!(quantile(&mut [], 0.5), None);
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(quantile(&mut [0.0, 10.0], 0.99), Some(9.9));
    }
}
