//! Whether the noise of the worked example is what `runner.noise_scale` says.
//!
//! The golden file's noise is the sample that the exporter's run started from, scaled already. So its spread is the scale that the exporter had.
//!
//! # Why these bounds
//!
//! Of n normal numbers the mean square, over the variance, is distributed as chi-squared over n; its cube root is nearly normal with mean `1 - 2/(9n)`
//! and variance `2/(9n)` (Wilson and Hilferty, 1931). [`UNLIKELY`] standard deviations happen by chance once in two million packages. What is that unlikely
//! and nearer than [`FAR`] is let be, as some draw from a cut normal distribution. With fewer than [`ENOUGH`] numbers half the scale is not that
//! unlikely, so there nothing is known.

use crate::conversion::{ConversionProblem, ConversionReport};
use crate::golden::Golden;
use crate::manifest::Manifest;

const UNLIKELY: f64 = 5.0;
/// A factor.
const FAR: f64 = 1.25;
const ENOUGH: usize = 48;

const FIELD: &str = "runner.noise_scale";

/// Compares the sample that the worked example starts from with what would be drawn.
pub(crate) fn compare(manifest: &Manifest, golden: &Golden, report: &mut ConversionReport) {
    let Some(scale) = manifest.runner.noise_scale() else { return };
    let (first, fresh) = golden.noise.split_at(manifest.sample_len().min(golden.noise.len()));
    if !fresh.is_empty() && fresh.iter().all(|value| *value == 0.0) {
        report.not_checked.push(
            "runner.variance (how much fresh noise each step adds): all of it is zero in the golden file's noise"
                .to_owned(),
        );
    }
    if first.is_empty() {
        return;
    }
    let square = first.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / first.len() as f64;
    let found = square.sqrt();
    let mut wrong = |problem: String| report.problems.push(ConversionProblem::of(FIELD, problem));
    match (scale == 0.0, found == 0.0) {
        (true, true) => return,
        (true, false) => {
            wrong(format!(
                "is 0, which starts from the mean; the golden file's noise has a standard deviation of {found:.3}"
            ));
            return;
        }
        (false, true) => {
            wrong(format!(
                "is {scale}; the golden file's noise is all zero, which is a scale of 0 (it is scaled already)"
            ));
            return;
        }
        (false, false) => {}
    }
    let (n, ratio) = (first.len() as f64, found / scale);
    let spread = 2.0 / (9.0 * n);
    let unlikely = ((ratio * ratio).cbrt() - (1.0 - spread)).abs() / spread.sqrt() > UNLIKELY;
    if unlikely && !(1.0 / FAR..=FAR).contains(&ratio) {
        wrong(format!(
            "is {scale}; the {} numbers of the golden file's noise have a standard deviation of {found:.3} (they are scaled already)",
            first.len()
        ));
    } else if first.len() < ENOUGH {
        report.not_checked.push(format!(
            "{FIELD}: the golden file's noise has {} numbers, too few to tell {scale} from half of it ({ENOUGH} would do)",
            first.len()
        ));
    }
}
