//! How fast something grows: the slope of its logarithm over the logarithm of the size.

/// Slope of the straight line nearest to the points (size, value) when both are drawn by their logarithms (least squares): 1 where the value grows as
/// the size does, 0 where it does not grow. None where there are not two sizes, or a number is not positive.
pub fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    if points.iter().any(|(x, y)| !(*x > 0.0 && *y > 0.0)) {
        return None;
    }
    let n = points.len() as f64;
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let (x, y) = logs.iter().fold((0.0, 0.0), |(x, y), (a, b)| (x + a / n, y + b / n));
    let (over, under) = logs.iter().fold((0.0, 0.0), |(o, u), (a, b)| (o + (a - x) * (b - y), u + (a - x) * (a - x)));
    (under > 0.0).then(|| over / under)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_power_has_its_exponent_as_slope() {
        let of = |power: f64| [6.0, 7.0, 14.0, 28.0_f64].map(|x| (x, 3.0 * x.powf(power)));
        for power in [0.0, 0.5, 1.0, 2.0] {
            assert!((exponent(&of(power)).unwrap() - power).abs() < 1e-12);
        }
    }

    #[test]
    fn one_size_or_a_time_of_zero_has_no_slope() {
        assert_eq!(exponent(&[]), None);
        assert_eq!(exponent(&[(7.0, 1.0), (7.0, 2.0)]), None);
        assert_eq!(exponent(&[(7.0, 1.0), (14.0, 0.0)]), None);
    }
}
