//! Durations in fixed buckets: counting one allocates nothing.

use serde::{Deserialize, Serialize};

/// Sixteen buckets an octave of nanoseconds: a quantile is off by at most 6 %.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    longest: u64,
}

const PART: u32 = 4;

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; 64 << PART], count: 0, longest: 0 }
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < 1 << PART {
        return nanos as usize;
    }
    let octave = 63 - nanos.leading_zeros();
    let part = (nanos >> (octave - PART)) & ((1 << PART) - 1);
    (((octave - PART + 1) << PART) as u64 + part) as usize
}

/// Upper end of a bucket.
fn upper(bucket: usize) -> u64 {
    if bucket < 1 << PART {
        return bucket as u64;
    }
    let octave = (bucket >> PART) as u32 - 1 + PART;
    let part = (bucket & ((1 << PART) - 1)) as u64;
    ((1 << PART) + part + 1) << (octave - PART)
}

impl Histogram {
    /// Counts a duration.
    pub fn add(&mut self, nanos: u64) {
        self.buckets[bucket(nanos)] += 1;
        self.count += 1;
        self.longest = self.longest.max(nanos);
    }

    /// Takes in what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Microseconds that this part of the durations does not exceed (upper end of the bucket); 0 when nothing was counted.
    pub fn quantile_us(&self, part: f64) -> f64 {
        let rank = (part * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (i, n) in self.buckets.iter().enumerate() {
            seen += n;
            if seen >= rank {
                return upper(i).min(self.longest) as f64 * 1e-3;
            }
        }
        self.longest as f64 * 1e-3
    }

    /// The longest, in microseconds.
    pub fn longest_us(&self) -> f64 {
        self.longest as f64 * 1e-3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_durations_within_a_bucket() {
        let mut h = Histogram::default();
        (1..=10_000u64).for_each(|n| h.add(n * 7));
        for part in [0.01, 0.5, 0.99, 0.999, 1.0] {
            let exact = part * 70_000.0 * 1e-3;
            let said = h.quantile_us(part);
            assert!(said >= exact * 0.999 && said <= exact * 1.07, "{part}: {said} for {exact}");
        }
        assert_eq!(h.count(), 10_000);
        assert_eq!(h.longest_us(), 70.0);
    }

    #[test]
    fn merging_counts_both_and_every_duration_has_a_bucket() {
        let (mut a, mut b, mut both) = (Histogram::default(), Histogram::default(), Histogram::default());
        for n in [0, 1, 15, 16, 17, 1 << 20, u64::MAX] {
            a.add(n);
            b.add(n / 3);
            both.add(n);
            both.add(n / 3);
        }
        a.merge(&b);
        assert_eq!(a, both);
    }
}
