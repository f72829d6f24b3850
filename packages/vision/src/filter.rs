//! Which source pixels a target pixel is made of.

use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// How pixels are interpolated. Where a picture is enlarged or kept, `bilinear` and `bilinear_antialias` are the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// A triangle that widens with the reduction: Pillow's `BILINEAR`, `jax.image.resize` and `tf.image.resize` with antialiasing, torch's
    /// `interpolate(mode="bilinear", antialias=True)`.
    #[default]
    BilinearAntialias,
    /// The two nearest pixels of an axis, with pixel centres at halves, however much the picture shrinks: OpenCV's `INTER_LINEAR`, torch's
    /// `interpolate(mode="bilinear", align_corners=False)`, `tf.image.resize` without antialiasing.
    Bilinear,
    /// Keys' cubic with a = -0.5 that widens with the reduction: Pillow's `BICUBIC`, `tf.image.resize(method="bicubic", antialias=True)`.
    BicubicAntialias,
    /// A sinc under a sinc of three lobes that widens with the reduction: `tf.image.resize(method="lanczos3", antialias=True)`, Pillow's `LANCZOS`.
    Lanczos3,
    /// The mean of what a target pixel covers, parts of pixels by their share: OpenCV's `INTER_AREA` where the picture shrinks.
    Area,
    /// The pixel under the middle of the target pixel: Pillow's `NEAREST`, torch's `nearest-exact`. (OpenCV's and torch's `nearest` look at its
    /// corner instead.)
    Nearest,
}

impl Filter {
    /// Half the width of the kernel, in target or source pixels, whichever are larger; `None` where there is no kernel.
    fn radius(self) -> Option<f64> {
        match self {
            Self::BilinearAntialias | Self::Bilinear => Some(1.0),
            Self::BicubicAntialias => Some(2.0),
            Self::Lanczos3 => Some(3.0),
            Self::Area | Self::Nearest => None,
        }
    }

    /// The kernel at a distance from its middle; not normalised.
    fn kernel(self, distance: f64) -> f64 {
        let t = distance.abs();
        match self {
            Self::BilinearAntialias | Self::Bilinear => (1.0 - t).max(0.0),
            Self::BicubicAntialias if t < 1.0 => (1.5 * t - 2.5) * t * t + 1.0,
            Self::BicubicAntialias if t < 2.0 => ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0,
            Self::Lanczos3 if t < 1.0e-8 => 1.0,
            Self::Lanczos3 if t < 3.0 => 3.0 * libm::sin(PI * t) * libm::sin(PI * t / 3.0) / (PI * PI * t * t),
            _ => 0.0,
        }
    }
}

/// For each target pixel of one axis: which source pixels it is made of, and with what weights (they sum to one).
#[derive(Debug, Clone, Default)]
pub(crate) struct Taps {
    spans: Vec<Span>,
    weights: Vec<f32>,
    /// Each target pixel is one source pixel.
    pub identity: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// First source pixel.
    pub start: usize,
    /// Its weights: from, to.
    weights: (usize, usize),
}

impl Taps {
    /// The part `[from, from + length)` of `source` pixels, to `target` pixels.
    pub fn compute(&mut self, filter: Filter, source: usize, from: f64, length: f64, target: usize) {
        self.spans.clear();
        self.weights.clear();
        let scale = length / target as f64;
        self.identity = scale == 1.0 && from == from.round();
        if self.identity {
            self.weights.push(1.0);
            self.spans.extend((0..target).map(|i| Span { start: from as usize + i, weights: (0, 1) }));
            return;
        }
        // A kernel in source pixels: widened when shrinking (that is the antialiasing).
        let widening = if filter == Filter::Bilinear { 1.0 } else { scale.max(1.0) };
        for i in 0..target {
            let centre = from + (i as f64 + 0.5) * scale;
            let (low, high) = match filter.radius() {
                Some(radius) => (centre - radius * widening, centre + radius * widening),
                None if filter == Filter::Nearest => (centre.floor(), centre.floor() + 1.0),
                None => (from + i as f64 * scale, from + (i as f64 + 1.0) * scale),
            };
            let start = (low.floor().max(0.0) as usize).min(source - 1);
            let end = (high.ceil() as usize).clamp(start + 1, source);
            let weight = |x: usize| match filter.radius() {
                Some(_) => filter.kernel((x as f64 + 0.5 - centre) / widening),
                None if filter == Filter::Nearest => 1.0,
                None => (high.min(x as f64 + 1.0) - low.max(x as f64)).max(0.0),
            };
            let total: f64 = (start..end).map(weight).sum();
            let first = self.weights.len();
            if total > 0.0 {
                self.weights.extend((start..end).map(|x| (weight(x) / total) as f32));
            } else {
                // Cannot happen for a centre inside the source; a pixel is better than a division by zero.
                self.weights.push(1.0);
            }
            self.spans.push(Span { start, weights: (first, self.weights.len()) });
        }
    }

    /// The span of target pixel `i` when the picture starts at `offset`; none in the border.
    pub fn span_of(&self, i: usize, offset: usize) -> Option<Span> {
        self.spans.get(i.checked_sub(offset)?).copied()
    }

    pub fn weights_of(&self, span: Span) -> &[f32] {
        &self.weights[span.weights.0..span.weights.1]
    }

    /// Addresses of its buffers.
    #[cfg(test)]
    pub fn buffers(&self) -> [usize; 2] {
        [self.weights.as_ptr() as usize, self.spans.as_ptr() as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of an interpolating kernel, without which the same size would not be exact.
    #[test]
    fn kernels_are_one_at_their_middle_and_nothing_at_other_pixels() {
        for filter in [Filter::BilinearAntialias, Filter::Bilinear, Filter::BicubicAntialias, Filter::Lanczos3] {
            assert_eq!(filter.kernel(0.0), 1.0);
            for distance in 1..5 {
                assert!(filter.kernel(f64::from(distance)).abs() < 1.0e-15, "{filter:?} {distance}");
            }
        }
    }
}
