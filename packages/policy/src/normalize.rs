//! Normalisation of state and action vectors.
//!
//! One formula serves the published ones, which differ in where their eps stands. To write them down in a manifest:
//!
//! | from | kind | eps | unnormalize_eps | eps_rule | clip | mask |
//! |---|---|---|---|---|---|---|
//! | LeRobot `MEAN_STD` | `mean_std` | 1e-8 | 0 | | | |
//! | LeRobot `MIN_MAX`, `QUANTILES` | `min_max`, `quantiles` | 1e-8 | | `zero_range` | | |
//! | openpi, z-score and quantiles | `mean_std`, `quantiles` | 1e-6 | | | | |
//! | Octo `normal` | `mean_std` | 1e-8 | 0 | | | gripper false |
//! | Octo, OpenVLA `bounds` | `min_max`, `quantiles` | 1e-8 | 0 | | true | gripper false |
//!
//! `tests/data/normalization.json` holds vectors computed from those formulas; `tests/make_normalization_vectors.py` names where they are published.

use crate::ranges::Stat;
use serde::Deserialize;

/// How a vector of physical values (radians, metres) becomes one of order one, and back. All lists have one value an entry; an entry whose
/// `mask` is false is left alone both ways (Octo and OpenVLA do not normalise the gripper). `unnormalize_eps` is the eps of the way back;
/// without it, it is `eps`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum VectorNormalization {
    /// Nothing is done.
    Identity {},
    /// `(v - mean) / (std + eps)`, and back `v * (std + eps) + mean`.
    MeanStd {
        /// Subtracted.
        mean: Vec<f64>,
        /// Divides; not negative, and zero only where `eps` is not.
        std: Vec<f64>,
        /// Added to `std`.
        eps: f64,
        /// Added to `std` on the way back.
        #[serde(default)]
        unnormalize_eps: Option<f64>,
        /// False: left alone.
        #[serde(default)]
        mask: Option<Vec<bool>>,
    },
    /// `2 * (v - min) / (max - min + eps) - 1`, and back `(v + 1) / 2 * (max - min + eps) + min`.
    MinMax {
        /// Becomes -1.
        min: Vec<f64>,
        /// Becomes 1 (but for `eps`); not below `min`, and the same only where `eps` is not zero.
        max: Vec<f64>,
        /// Added to the range as `eps_rule` says.
        eps: f64,
        /// Added to the range on the way back.
        #[serde(default)]
        unnormalize_eps: Option<f64>,
        /// To which ranges `eps` is added.
        #[serde(default)]
        eps_rule: EpsRule,
        /// Normalised values are cut to -1 and 1. The way back is not: what a network gives is not cut by any of the published ones.
        #[serde(default)]
        clip: bool,
        /// False: left alone.
        #[serde(default)]
        mask: Option<Vec<bool>>,
    },
    /// As `min_max`, between quantiles. Others than the 1st and 99th percentile (LeRobot's `QUANTILE10`) stand in the same places.
    Quantiles {
        /// Becomes -1.
        q01: Vec<f64>,
        /// Becomes 1 (but for `eps`); not below `q01`, and the same only where `eps` is not zero.
        q99: Vec<f64>,
        /// Added to the range as `eps_rule` says.
        eps: f64,
        /// Added to the range on the way back.
        #[serde(default)]
        unnormalize_eps: Option<f64>,
        /// To which ranges `eps` is added.
        #[serde(default)]
        eps_rule: EpsRule,
        /// Normalised values are cut to -1 and 1. The way back is not.
        #[serde(default)]
        clip: bool,
        /// False: left alone.
        #[serde(default)]
        mask: Option<Vec<bool>>,
    },
}

/// To which ranges an eps is added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpsRule {
    /// To all (openpi, Octo, OpenVLA).
    #[default]
    Added,
    /// To those that are zero (LeRobot).
    ZeroRange,
}

/// What the kinds have in common: an origin and a spread, by their names in the manifest.
struct Parts<'a> {
    origin: (&'static str, &'a [f64]),
    /// The standard deviation, or the upper end of the range.
    extent: (&'static str, &'a [f64]),
    eps: f64,
    unnormalize_eps: f64,
    eps_rule: EpsRule,
    clip: bool,
    mask: Option<&'a [bool]>,
    /// Between two values and not about one.
    is_range: bool,
}

impl Parts<'_> {
    /// Whether entry `i` is left alone.
    fn skips(&self, i: usize) -> bool {
        self.mask.is_some_and(|mask| !mask[i])
    }

    /// Standard deviation or range of entry `i`, before any eps.
    fn spread(&self, i: usize) -> f64 {
        if self.is_range { self.extent.1[i] - self.origin.1[i] } else { self.extent.1[i] }
    }

    /// What entry `i` is divided by, or multiplied by on the way back.
    fn scale(&self, i: usize, eps: f64) -> f64 {
        let spread = self.spread(i);
        if self.eps_rule == EpsRule::ZeroRange && spread != 0.0 { spread } else { spread + eps }
    }

    fn check(&self, field: &str, len: usize) -> Result<(), (String, String)> {
        for (name, list) in [self.origin, self.extent] {
            if list.len() != len {
                return Err((format!("{field}.{name}"), format!("has {} values; expected {len}", list.len())));
            }
            if let Some(i) = list.iter().position(|v| !v.is_finite()) {
                return Err((format!("{field}.{name}[{i}]"), format!("is {}; expected a finite number", list[i])));
            }
        }
        if let Some(mask) = self.mask.filter(|mask| mask.len() != len) {
            return Err((format!("{field}.mask"), format!("has {} values; expected {len}", mask.len())));
        }
        for (name, eps) in [("eps", self.eps), ("unnormalize_eps", self.unnormalize_eps)] {
            if !(eps.is_finite() && eps >= 0.0) {
                return Err((format!("{field}.{name}"), format!("is {eps}; expected a finite number, not negative")));
            }
        }
        let (origin, extent) = (self.origin, self.extent);
        for i in (0..len).filter(|i| !self.skips(*i)) {
            let (value, spread) = (extent.1[i], self.spread(i));
            let expected = match (self.is_range, self.eps > 0.0) {
                (false, false) => "a positive number (zero needs an eps)".to_owned(),
                (false, true) => "a number that is not negative".to_owned(),
                (true, false) => format!("more than {} ({}), as eps is 0", origin.0, origin.1[i]),
                (true, true) => format!("at least {} ({})", origin.0, origin.1[i]),
            };
            let (scale, back) = (self.scale(i, self.eps), self.scale(i, self.unnormalize_eps));
            if spread < 0.0 || scale <= 0.0 || !scale.is_finite() || !back.is_finite() {
                return Err((format!("{field}.{}[{i}]", extent.0), format!("is {value}; expected {expected}")));
            }
        }
        Ok(())
    }
}

impl VectorNormalization {
    /// None: nothing is done.
    fn parts(&self) -> Option<Parts<'_>> {
        match self {
            Self::Identity {} => None,
            Self::MeanStd { mean, std, eps, unnormalize_eps, mask } => Some(Parts {
                origin: ("mean", mean),
                extent: ("std", std),
                eps: *eps,
                unnormalize_eps: unnormalize_eps.unwrap_or(*eps),
                eps_rule: EpsRule::Added,
                clip: false,
                mask: mask.as_deref(),
                is_range: false,
            }),
            Self::MinMax { min: low, max: high, eps, unnormalize_eps, eps_rule, clip, mask }
            | Self::Quantiles { q01: low, q99: high, eps, unnormalize_eps, eps_rule, clip, mask } => {
                let names = if matches!(self, Self::MinMax { .. }) { ("min", "max") } else { ("q01", "q99") };
                Some(Parts {
                    origin: (names.0, low),
                    extent: (names.1, high),
                    eps: *eps,
                    unnormalize_eps: unnormalize_eps.unwrap_or(*eps),
                    eps_rule: *eps_rule,
                    clip: *clip,
                    mask: mask.as_deref(),
                    is_range: true,
                })
            }
        }
    }

    /// Checks lengths and values; errors are (field, problem).
    pub(crate) fn check(&self, field: &str, len: usize) -> Result<(), (String, String)> {
        self.parts().map_or(Ok(()), |parts| parts.check(field, len))
    }

    /// The eps of the way back, where it is given.
    pub(crate) fn unnormalize_eps(&self) -> Option<f64> {
        match self {
            Self::Identity {} => None,
            Self::MeanStd { unnormalize_eps, .. }
            | Self::MinMax { unnormalize_eps, .. }
            | Self::Quantiles { unnormalize_eps, .. } => *unnormalize_eps,
        }
    }

    /// Whether normalised values are cut.
    pub(crate) fn clips(&self) -> bool {
        self.parts().is_some_and(|parts| parts.clip)
    }

    /// Whether this value of entry `i` is cut.
    pub(crate) fn cuts(&self, i: usize, value: f64) -> bool {
        self.parts().is_some_and(|parts| {
            let normalized = 2.0 * (value - parts.origin.1[i]) / parts.scale(i, parts.eps) - 1.0;
            parts.clip && !parts.skips(i) && normalized.abs() > 1.0
        })
    }

    /// What is known of the values of entry `i`. Not everything of this form is a statistic: an importer writes a change of units, or nothing at all, in the
    /// same way.
    pub(crate) fn statistics(&self, i: usize) -> Option<Stat> {
        const TO_RADIANS: f64 = std::f64::consts::PI / 180.0;
        let parts = self.parts().filter(|parts| !parts.skips(i))?;
        let (a, b) = (parts.origin.1[i], parts.extent.1[i]);
        match self {
            Self::Identity {} => None,
            Self::MeanStd { eps, .. } => {
                let unit = (a == 0.0 && b == 1.0) || (*eps == 0.0 && (b - TO_RADIANS).abs() < 1e-12);
                (!unit).then_some(Stat::Moments(a, b))
            }
            Self::MinMax { .. } => ((a, b) != (-1.0, 1.0)).then_some(Stat::Extremes(a, b)),
            Self::Quantiles { .. } => Some(Stat::Quantiles(a, b)),
        }
    }

    /// Entry `i` of a physical vector, normalised. Computed in float64: the published ones that compute in float32 differ from it by their own
    /// rounding.
    pub fn apply(&self, i: usize, value: f64) -> f64 {
        let Some(parts) = self.parts().filter(|parts| !parts.skips(i)) else { return value };
        let normalized = (value - parts.origin.1[i]) / parts.scale(i, parts.eps);
        match (parts.is_range, parts.clip) {
            (false, _) => normalized,
            (true, false) => 2.0 * normalized - 1.0,
            (true, true) => (2.0 * normalized - 1.0).clamp(-1.0, 1.0),
        }
    }

    /// Entry `i` of a normalised vector, as a physical value.
    pub fn undo(&self, i: usize, value: f64) -> f64 {
        let Some(parts) = self.parts().filter(|parts| !parts.skips(i)) else { return value };
        let normalized = if parts.is_range { (value + 1.0) / 2.0 } else { value };
        normalized * parts.scale(i, parts.unnormalize_eps) + parts.origin.1[i]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn mean_std(mean: &[f64], std: &[f64], eps: f64) -> VectorNormalization {
        VectorNormalization::MeanStd { mean: mean.into(), std: std.into(), eps, unnormalize_eps: None, mask: None }
    }

    fn min_max(min: &[f64], max: &[f64], eps: f64, eps_rule: EpsRule) -> VectorNormalization {
        let (min, max, unnormalize_eps) = (min.into(), max.into(), None);
        VectorNormalization::MinMax { min, max, eps, unnormalize_eps, eps_rule, clip: false, mask: None }
    }

    #[test]
    fn impossible_statistics_are_refused_by_field() {
        let check = |n: VectorNormalization| n.check("n", 2).unwrap_err();
        let (field, problem) = check(mean_std(&[0.0], &[1.0; 2], 0.0));
        assert_eq!((field.as_str(), problem.as_str()), ("n.mean", "has 1 values; expected 2"));
        assert_eq!(check(mean_std(&[0.0; 2], &[1.0, -0.1], 1.0)).0, "n.std[1]");
        assert_eq!(check(mean_std(&[0.0; 2], &[1.0, 0.0], 0.0)).0, "n.std[1]");
        assert_eq!(check(mean_std(&[f64::NAN; 2], &[1.0; 2], 0.0)).0, "n.mean[0]");
        assert_eq!(check(mean_std(&[0.0; 2], &[1.0; 2], f64::NAN)).0, "n.eps");
        let rules = [EpsRule::Added, EpsRule::ZeroRange];
        for rule in rules {
            let (field, problem) = check(min_max(&[0.0; 2], &[1.0, 0.0], 0.0, rule));
            assert_eq!((field.as_str(), problem.contains("eps is 0")), ("n.max[1]", true), "{problem}");
            assert_eq!(check(min_max(&[0.0; 2], &[1.0, -0.5], 1.0, rule)).0, "n.max[1]");
            // The range is not a number of float64.
            assert_eq!(check(min_max(&[-1.7e308; 2], &[1.7e308; 2], 0.0, rule)).0, "n.max[0]");
        }
        let mut masked = mean_std(&[0.0; 2], &[1.0; 2], 0.0);
        if let VectorNormalization::MeanStd { mask, unnormalize_eps, .. } = &mut masked {
            *mask = Some(vec![true; 3]);
            *unnormalize_eps = Some(-1.0);
        }
        assert_eq!(check(masked.clone()).0, "n.mask");
        if let VectorNormalization::MeanStd { mask, .. } = &mut masked {
            *mask = None;
        }
        assert_eq!(check(masked).0, "n.unnormalize_eps");
    }

    /// LeRobot's and openpi's checkpoints hold columns that never moved.
    #[test]
    fn a_column_that_never_moved_is_accepted_where_an_eps_keeps_it_from_dividing_by_zero() {
        for n in [
            mean_std(&[0.3], &[0.0], 1.0e-8),
            min_max(&[0.3], &[0.3], 1.0e-6, EpsRule::Added),
            min_max(&[0.3], &[0.3], 1.0e-8, EpsRule::ZeroRange),
        ] {
            n.check("n", 1).unwrap();
            assert!(n.apply(0, 0.3).abs() <= 1.0 && (n.undo(0, n.apply(0, 0.3)) - 0.3).abs() < 1.0e-12, "{n:?}");
        }
    }

    #[test]
    fn statistics_of_a_column_that_is_left_alone_do_not_matter() {
        let mut n = mean_std(&[0.5; 2], &[2.0, 0.0], 0.0);
        assert!(n.check("n", 2).is_err());
        if let VectorNormalization::MeanStd { mask, .. } = &mut n {
            *mask = Some(vec![true, false]);
        }
        n.check("n", 2).unwrap();
        assert_eq!((n.apply(0, 4.5), n.apply(1, 4.5)), (2.0, 4.5));
        assert_eq!((n.undo(0, 2.0), n.undo(1, 2.0)), (4.5, 2.0));
    }

    proptest! {
        #[test]
        fn undo_reverses_apply(v in -10.0..10.0f64, mean in -5.0..5.0f64, std in 1e-3..5.0f64, eps in 0.0..1e-3f64) {
            let (low, high) = (mean - std, mean + std);
            let all = [
                VectorNormalization::Identity {},
                mean_std(&[mean], &[std], eps),
                min_max(&[low], &[high], eps, EpsRule::Added),
                min_max(&[low], &[high], eps, EpsRule::ZeroRange),
                VectorNormalization::Quantiles {
                    q01: vec![low],
                    q99: vec![high],
                    eps,
                    unnormalize_eps: None,
                    eps_rule: EpsRule::Added,
                    clip: false,
                    mask: None,
                },
            ];
            for n in all {
                prop_assert!((n.undo(0, n.apply(0, v)) - v).abs() < 1e-9);
            }
        }
    }
}
