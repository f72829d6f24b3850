//! Statistics of a feature over an episode and over the data set, by the formulas of LeRobot (`compute_stats.py` of 0.4.4), so that a policy is
//! normalised by the numbers that LeRobot itself would have computed.
//!
//! Its quantiles are those of a histogram of 5000 bins between the least and the greatest value; those of the data set are means of the episodes'.
//! One thing is not as there: LeRobot squares pixels in 8 bits, so its deviations of pictures overflow; these do not.
//! Pictures are thinned out: at most 10,000 of an episode, and large ones to every so many-th pixel.

/// The quantiles, with LeRobot's names for them.
pub const QUANTILES: [(&str, f64); 5] = [("q01", 0.01), ("q10", 0.10), ("q50", 0.50), ("q90", 0.90), ("q99", 0.99)];

const BINS: usize = 5000;
const EDGE: f64 = 1e-10;

/// Statistics of one feature: a value for each of its dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// Least.
    pub min: Vec<f64>,
    /// Greatest.
    pub max: Vec<f64>,
    /// Mean.
    pub mean: Vec<f64>,
    /// Standard deviation of the values themselves, not of a sample.
    pub std: Vec<f64>,
    /// Frames.
    pub count: u64,
    /// Of each of [`QUANTILES`].
    pub quantiles: [Vec<f64>; 5],
}

impl Stats {
    /// Of frames that hold `dims` values each, one frame after the other. Without frames all is zero.
    pub fn of_vectors(values: &[f32], dims: usize) -> Self {
        let column = |d: usize| values.iter().skip(d).step_by(dims.max(1)).map(|v| f64::from(*v));
        Self::of_columns((0..dims).map(column))
    }

    /// Of frames that hold one value each.
    pub fn of_values(values: &[f64]) -> Self {
        Self::of_columns(std::iter::once(values.iter().copied()))
    }

    fn of_columns<C: Iterator<Item = f64> + Clone>(columns: impl Iterator<Item = C>) -> Self {
        let mut stats = Self::empty();
        for column in columns {
            let weighted = column.clone().map(|value| (value, 1));
            stats.count = column.count() as u64;
            stats.push(weighted);
        }
        stats
    }

    fn empty() -> Self {
        Self {
            min: Vec::new(),
            max: Vec::new(),
            mean: Vec::new(),
            std: Vec::new(),
            count: 0,
            quantiles: std::array::from_fn(|_| Vec::new()),
        }
    }

    /// Adds a dimension that has each value so many times.
    fn push(&mut self, values: impl Iterator<Item = (f64, u64)> + Clone) {
        let (mut count, mut sum, mut min, mut max) = (0u64, 0.0, f64::INFINITY, f64::NEG_INFINITY);
        for (value, times) in values.clone() {
            count += times;
            sum += value * times as f64;
            (min, max) = (min.min(value), max.max(value));
        }
        if count == 0 {
            (min, max) = (0.0, 0.0);
        }
        let n = count.max(1) as f64;
        let mean = sum / n;
        let variance = values.clone().map(|(value, times)| (value - mean).powi(2) * times as f64).sum::<f64>() / n;
        self.min.push(min);
        self.max.push(max);
        self.mean.push(mean);
        self.std.push(variance.sqrt());
        if count < 2 {
            self.quantiles.iter_mut().for_each(|quantile| quantile.push(mean));
            return;
        }
        let (low, high) = (min - EDGE, max + EDGE);
        let width = (high - low) / BINS as f64;
        let mut bins = vec![0u64; BINS];
        for (value, times) in values {
            let bin = if width > 0.0 { ((value - low) / width) as usize } else { 0 };
            bins[bin.min(BINS - 1)] += times;
        }
        for (to, (_, share)) in self.quantiles.iter_mut().zip(QUANTILES) {
            to.push(quantile(&bins, low, width, share * n));
        }
    }

    /// Of a data set, from those of its episodes; none without any.
    pub fn of_episodes(episodes: &[Stats]) -> Option<Self> {
        let first = episodes.first()?;
        let dims = first.mean.len();
        let count: u64 = episodes.iter().map(|e| e.count).sum();
        let n = count.max(1) as f64;
        let weighted = |get: &dyn Fn(&Stats) -> f64| episodes.iter().map(|e| get(e) * e.count as f64).sum::<f64>() / n;
        let mut all = Self { count, ..Self::empty() };
        for d in 0..dims {
            let mean = weighted(&|e| e.mean[d]);
            all.min.push(episodes.iter().map(|e| e.min[d]).fold(f64::INFINITY, f64::min));
            all.max.push(episodes.iter().map(|e| e.max[d]).fold(f64::NEG_INFINITY, f64::max));
            all.mean.push(mean);
            all.std.push(weighted(&|e| e.std[d].powi(2) + (e.mean[d] - mean).powi(2)).sqrt());
            for (q, to) in all.quantiles.iter_mut().enumerate() {
                to.push(weighted(&|e| e.quantiles[q][d]));
            }
        }
        Some(all)
    }
}

/// Where a histogram reaches `target`, linear within the bin.
fn quantile(bins: &[u64], low: f64, width: f64, target: f64) -> f64 {
    let mut before = 0.0;
    for (bin, count) in bins.iter().enumerate() {
        let until = before + *count as f64;
        if until >= target {
            // The first bin gives its lower edge, as in LeRobot.
            let share = if bin == 0 { 0.0 } else { (target - before) / *count as f64 };
            return low + (bin as f64 + share) * width;
        }
        before = until;
    }
    low + bins.len() as f64 * width
}

/// Counts the grey levels of a camera's pictures over an episode; memory does not grow.
#[derive(Debug, Clone)]
pub struct Levels {
    counts: [[u64; 256]; 3],
    pictures: u64,
    chosen: Chosen,
}

impl Levels {
    /// For an episode of so many frames.
    pub fn new(frames: u64) -> Self {
        Self { counts: [[0; 256]; 3], pictures: 0, chosen: Chosen::of(frames) }
    }

    /// Looks at the picture of a frame, `[height x width x 3]`, if it is one of those that count.
    pub fn see(&mut self, frame: u64, width: u32, height: u32, rgb: &[u8]) {
        let times = self.chosen.times(frame);
        if times == 0 {
            return;
        }
        self.pictures += times;
        let every = thinning(width, height);
        let row = width as usize * 3;
        for line in rgb.chunks_exact(row).step_by(every) {
            for pixel in line.chunks_exact(3).step_by(every) {
                for (counts, level) in self.counts.iter_mut().zip(pixel) {
                    counts[usize::from(*level)] += times;
                }
            }
        }
    }

    /// The statistics of the three colours, from 0 to 1.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats { count: self.pictures, ..Stats::empty() };
        for counts in &self.counts {
            let levels = counts.iter().enumerate().filter(|(_, times)| **times > 0);
            stats.push(levels.map(|(level, times)| (level as f64, *times)));
        }
        let one = |values: &mut Vec<f64>| values.iter_mut().for_each(|value| *value /= 255.0);
        [&mut stats.min, &mut stats.max, &mut stats.mean, &mut stats.std].into_iter().for_each(one);
        stats.quantiles.iter_mut().for_each(one);
        stats
    }
}

/// Which frames of an episode count for the statistics of pictures: evenly spread, all of a short one.
#[derive(Debug, Clone)]
struct Chosen {
    frames: u64,
    samples: u64,
}

impl Chosen {
    fn of(frames: u64) -> Self {
        let samples = ((frames as f64).powf(0.75) as u64).min(10_000).max(frames.min(100));
        Self { frames, samples }
    }

    /// The frame of the k-th sample: `round(linspace(0, frames - 1, samples))` of numpy, which rounds halves to even.
    fn frame(&self, k: u64) -> u64 {
        if self.samples < 2 {
            return 0;
        }
        let step = (self.frames - 1) as f64 / (self.samples - 1) as f64;
        (k as f64 * step).round_ties_even() as u64
    }

    fn times(&self, frame: u64) -> u64 {
        if self.samples == 0 || frame >= self.frames {
            return 0;
        }
        let share = frame as f64 * self.samples.saturating_sub(1) as f64 / self.frames.saturating_sub(1).max(1) as f64;
        let near = share.round() as u64;
        let around = near.saturating_sub(1)..=(near + 1).min(self.samples - 1);
        around.filter(|k| self.frame(*k) == frame).count() as u64
    }
}

/// LeRobot takes every so many-th pixel of pictures of 300 pixels or more.
fn thinning(width: u32, height: u32) -> usize {
    if width.max(height) < 300 { 1 } else { (width.max(height) / 150) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pictures_are_thinned_out_to_evenly_spread_frames_and_all_of_a_short_episode_count() {
        let count = |frames| {
            let chosen = Chosen::of(frames);
            (0..frames).map(|f| chosen.times(f)).sum::<u64>()
        };
        // The numbers that LeRobot's own comment gives.
        assert_eq!([1, 99, 400, 1000, 2000, 5000].map(count), [1, 99, 100, 177, 299, 594]);
        assert_eq!(Chosen::of(300_000).samples, 10_000);
        assert_eq!((thinning(299, 200), thinning(640, 480), thinning(480, 640)), (1, 4, 4));
    }

    proptest! {
        #[test]
        fn the_statistics_of_episodes_together_are_those_of_all_their_values(
            episodes in proptest::collection::vec(proptest::collection::vec(-10.0..10.0f64, 1..40), 1..6),
        ) {
            let each: Vec<Stats> = episodes.iter().map(|values| Stats::of_values(values)).collect();
            let together = Stats::of_episodes(&each).expect("there are episodes");
            let all = Stats::of_values(&episodes.concat());
            prop_assert_eq!(together.count, all.count);
            for (a, b) in [(&together.min, &all.min), (&together.max, &all.max), (&together.mean, &all.mean), (&together.std, &all.std)] {
                prop_assert!((a[0] - b[0]).abs() < 1e-9, "{} is not {}", a[0], b[0]);
            }
        }

        #[test]
        fn a_quantile_lies_within_a_bin_of_the_value_that_it_stands_for(values in proptest::collection::vec(-10.0..10.0f64, 2..200)) {
            let stats = Stats::of_values(&values);
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let bin = (stats.max[0] - stats.min[0] + 2.0 * EDGE) / BINS as f64;
            for ((_, share), quantile) in QUANTILES.iter().zip(&stats.quantiles) {
                let rank = (share * values.len() as f64).ceil().max(1.0) as usize - 1;
                prop_assert!((quantile[0] - sorted[rank]).abs() <= 1.0001 * bin, "{share}: {} is not {}", quantile[0], sorted[rank]);
            }
        }
    }
}
