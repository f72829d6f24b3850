//! Normalisation of state and action vectors.

use serde::Deserialize;

/// How a vector of physical values (radians, metres) becomes one of order one, and back. All lists have one value an entry.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum VectorNormalization {
    /// Nothing is done.
    Identity {},
    /// `(v - mean) / (std + eps)`, and back `v * (std + eps) + mean`.
    MeanStd {
        /// Subtracted.
        mean: Vec<f64>,
        /// Divides; positive.
        std: Vec<f64>,
        /// Added to `std` both ways.
        eps: f64,
    },
    /// `2 * (v - min) / (max - min + eps) - 1`, and back.
    MinMax {
        /// Becomes -1.
        min: Vec<f64>,
        /// Becomes 1 (but for `eps`); above `min`.
        max: Vec<f64>,
        /// Added to the range both ways.
        eps: f64,
    },
    /// As `min_max`, between quantiles: `2 * (v - q01) / (q99 - q01 + eps) - 1`, and back (openpi, OpenVLA). Values beyond them are not cut.
    Quantiles {
        /// Becomes -1.
        q01: Vec<f64>,
        /// Becomes 1 (but for `eps`); above `q01`.
        q99: Vec<f64>,
        /// Added to the range both ways.
        eps: f64,
    },
}

impl VectorNormalization {
    /// Checks lengths and values; errors are (field, problem).
    pub(crate) fn check(&self, field: &str, len: usize) -> Result<(), (String, String)> {
        let (lists, eps): ([(&str, &[f64]); 2], f64) = match self {
            Self::Identity {} => return Ok(()),
            Self::MeanStd { mean, std, eps } => ([("mean", mean), ("std", std)], *eps),
            Self::MinMax { min, max, eps } => ([("min", min), ("max", max)], *eps),
            Self::Quantiles { q01, q99, eps } => ([("q01", q01), ("q99", q99)], *eps),
        };
        for (name, list) in lists {
            if list.len() != len {
                return Err((format!("{field}.{name}"), format!("has {} values; expected {len}", list.len())));
            }
            if let Some(i) = list.iter().position(|v| !v.is_finite()) {
                return Err((format!("{field}.{name}[{i}]"), format!("is {}; expected a finite number", list[i])));
            }
        }
        if !(eps.is_finite() && eps >= 0.0) {
            return Err((format!("{field}.eps"), format!("is {eps}; expected a finite number, not negative")));
        }
        for i in 0..len {
            match self {
                Self::MeanStd { std, .. } if std[i] <= 0.0 => {
                    return Err((format!("{field}.std[{i}]"), format!("is {}; expected a positive number", std[i])));
                }
                Self::MinMax { min, max, .. } if max[i] <= min[i] => {
                    let problem = format!("is {}; expected more than min ({})", max[i], min[i]);
                    return Err((format!("{field}.max[{i}]"), problem));
                }
                Self::Quantiles { q01, q99, .. } if q99[i] <= q01[i] => {
                    let problem = format!("is {}; expected more than q01 ({})", q99[i], q01[i]);
                    return Err((format!("{field}.q99[{i}]"), problem));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Entry `i` of a physical vector, normalised.
    pub fn apply(&self, i: usize, value: f64) -> f64 {
        match self {
            Self::Identity {} => value,
            Self::MeanStd { mean, std, eps } => (value - mean[i]) / (std[i] + eps),
            Self::MinMax { min: low, max: high, eps } | Self::Quantiles { q01: low, q99: high, eps } => {
                2.0 * (value - low[i]) / (high[i] - low[i] + eps) - 1.0
            }
        }
    }

    /// Entry `i` of a normalised vector, as a physical value.
    pub fn undo(&self, i: usize, value: f64) -> f64 {
        match self {
            Self::Identity {} => value,
            Self::MeanStd { mean, std, eps } => value * (std[i] + eps) + mean[i],
            Self::MinMax { min: low, max: high, eps } | Self::Quantiles { q01: low, q99: high, eps } => {
                (value + 1.0) / 2.0 * (high[i] - low[i] + eps) + low[i]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn impossible_statistics_are_refused_by_field() {
        let check = |n: VectorNormalization| n.check("n", 2).unwrap_err();
        let (field, problem) = check(VectorNormalization::MeanStd { mean: vec![0.0], std: vec![1.0; 2], eps: 0.0 });
        assert_eq!((field.as_str(), problem.as_str()), ("n.mean", "has 1 values; expected 2"));
        let (field, _) = check(VectorNormalization::MeanStd { mean: vec![0.0; 2], std: vec![1.0, 0.0], eps: 1.0 });
        assert_eq!(field, "n.std[1]");
        let (field, _) = check(VectorNormalization::MeanStd { mean: vec![f64::NAN; 2], std: vec![1.0; 2], eps: 0.0 });
        assert_eq!(field, "n.mean[0]");
        let (field, _) = check(VectorNormalization::MinMax { min: vec![0.0; 2], max: vec![1.0, 0.0], eps: 0.0 });
        assert_eq!(field, "n.max[1]");
    }

    proptest! {
        #[test]
        fn undo_reverses_apply(v in -10.0..10.0f64, mean in -5.0..5.0f64, std in 1e-3..5.0f64, eps in 0.0..1e-3f64) {
            let all = [
                VectorNormalization::Identity {},
                VectorNormalization::MeanStd { mean: vec![mean], std: vec![std], eps },
                VectorNormalization::MinMax { min: vec![mean - std], max: vec![mean + std], eps },
                VectorNormalization::Quantiles { q01: vec![mean - std], q99: vec![mean + std], eps },
            ];
            for n in all {
                prop_assert!((n.undo(0, n.apply(0, v)) - v).abs() < 1e-9);
            }
        }
    }
}
