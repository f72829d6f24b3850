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
    /// [`Self::count`] a target pixel.
    weights: Vec<f32>,
    count: usize,
    /// Each target pixel is one source pixel.
    pub identity: bool,
}

/// The source pixels of a target pixel, without those at the ends whose weight is zero: they change no sum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// First source pixel.
    pub start: usize,
    /// How many.
    taps: usize,
}

impl Taps {
    /// The part `[from, from + length)` of `source` pixels, to `target` pixels.
    pub fn compute(&mut self, filter: Filter, source: usize, from: f64, length: f64, target: usize) {
        self.spans.clear();
        self.weights.clear();
        let scale = length / target as f64;
        self.identity = scale == 1.0 && from == from.round();
        if self.identity {
            self.count = 1;
            self.weights.resize(target, 1.0);
            self.spans.extend((0..target).map(|i| Span { start: from as usize + i, taps: 1 }));
            return;
        }
        // A kernel in source pixels: widened when shrinking (that is the antialiasing).
        let widening = if filter == Filter::Bilinear { 1.0 } else { scale.max(1.0) };
        // Most pixels that a span can touch; how many it does is known at the end.
        let width = filter.radius().map_or(scale.max(1.0), |radius| 2.0 * radius * widening);
        let room = width.ceil() as usize + 1;
        self.weights.resize(target * room, 0.0);
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
            let share = |x: usize| (weight(x) / total) as f32;
            let weights = &mut self.weights[i * room..(i + 1) * room];
            let Some(first) = (start..end).find(|x| share(*x) != 0.0).filter(|_| total > 0.0) else {
                // Cannot happen for a centre inside the source; a pixel is better than a division by zero.
                weights[0] = 1.0;
                self.spans.push(Span { start, taps: 1 });
                continue;
            };
            let last = (first..end).rfind(|x| share(*x) != 0.0).unwrap_or(first);
            weights.iter_mut().zip(first..=last).for_each(|(weight, x)| *weight = share(x));
            self.spans.push(Span { start: first, taps: last + 1 - first });
        }
        self.count = self.spans.iter().map(|span| span.taps).max().unwrap_or(1);
        for i in 0..target {
            self.weights.copy_within(i * room..i * room + self.count, i * self.count);
        }
        self.weights.truncate(target * self.count);
    }

    /// Weights of each target pixel.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Target pixels.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// The source pixels that matter: first, and one behind the last.
    pub fn range(&self) -> (usize, usize) {
        let first = self.spans.iter().map(|span| span.start).min().unwrap_or(0);
        (first, self.spans.iter().map(|span| span.start + span.taps).max().unwrap_or(first))
    }

    /// First source pixel of target pixel `i` when the picture starts at `offset`, and the weights of this and the following ones; none in the
    /// border.
    pub fn at(&self, i: usize, offset: usize) -> Option<(usize, &[f32])> {
        let i = i.checked_sub(offset)?;
        let span = self.spans.get(i)?;
        Some((span.start, &self.weights[i * self.count..][..span.taps]))
    }

    /// For all target pixels in order: the first source pixel, and [`Self::count`] weights of this and the following ones. Weights of zero fill
    /// up, also beyond the end of the source.
    pub fn even(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.spans.iter().map(|span| span.start).zip(self.weights.chunks_exact(self.count.max(1)))
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
