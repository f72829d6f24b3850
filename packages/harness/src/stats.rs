//! Statistics of success rates and latencies.

use serde::Serialize;

/// An interval of proportions, both ends in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
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
