//! The last measured joint states, to be asked for the one at the time of an image.

use efm_core::{JointSample, Stamp};
use std::collections::VecDeque;

/// Longest gap that is bridged by a straight line, ns. Over a longer one the nearer sample is taken.
const BRIDGED: i64 = 100_000_000;

/// A short history of joint samples, in the order of their stamps.
#[derive(Debug, Clone, Default)]
pub struct JointRing {
    samples: VecDeque<JointSample>,
    span_nanos: i64,
}

impl JointRing {
    /// Keeps `span` seconds.
    pub fn new(span: f64) -> Self {
        Self { samples: VecDeque::new(), span_nanos: Stamp::ZERO.offset_seconds(span).nanos() }
    }

    /// Adds a sample. One that is older than the newest means that time went back, or that two publishers disagree about it:
    /// everything from its time on is forgotten.
    pub fn push(&mut self, sample: JointSample) {
        while self.samples.back().is_some_and(|last| last.stamp >= sample.stamp) {
            self.samples.pop_back();
        }
        let oldest = sample.stamp.offset_nanos(-self.span_nanos);
        self.samples.push_back(sample);
        while self.samples.front().is_some_and(|first| first.stamp < oldest) {
            self.samples.pop_front();
        }
    }

    /// The newest sample.
    pub fn newest(&self) -> Option<&JointSample> {
        self.samples.back()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.samples.clear();
    }

    /// The joints at a time: between two samples on the straight line, outside of the history (or in a gap) the nearest sample
    /// as it is. `None` without samples.
    pub fn at(&self, stamp: Stamp) -> Option<JointSample> {
        let after = self.samples.partition_point(|s| s.stamp < stamp);
        let (Some(before), Some(next)) =
            (after.checked_sub(1).and_then(|i| self.samples.get(i)), self.samples.get(after))
        else {
            return self.samples.get(after).or(self.samples.back()).cloned();
        };
        let gap = next.stamp.nanos_since(before.stamp);
        let part = stamp.nanos_since(before.stamp) as f64 / gap as f64;
        if gap > BRIDGED {
            return Some(if part < 0.5 { before } else { next }.clone());
        }
        let mix = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + part * (b - a)).collect();
        Some(JointSample {
            stamp,
            positions: mix(&before.positions, &next.positions),
            velocities: mix(&before.velocities, &next.velocities),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample(ms: i64, position: f64) -> JointSample {
        JointSample { stamp: Stamp::from_nanos(ms * 1_000_000), positions: vec![position], velocities: vec![0.0] }
    }

    fn at(ring: &JointRing, ms: i64) -> f64 {
        ring.at(Stamp::from_nanos(ms * 1_000_000)).unwrap().positions[0]
    }

    #[test]
    fn between_samples_the_line_counts_and_outside_the_nearest() {
        let mut ring = JointRing::new(1.0);
        assert_eq!(ring.at(Stamp::ZERO), None);
        [sample(100, 1.0), sample(110, 2.0), sample(120, 4.0)].into_iter().for_each(|s| ring.push(s));
        assert_eq!((at(&ring, 105), at(&ring, 115), at(&ring, 110)), (1.5, 3.0, 2.0));
        assert_eq!((at(&ring, 50), at(&ring, 500)), (1.0, 4.0));
    }

    #[test]
    fn a_long_gap_is_not_bridged() {
        let mut ring = JointRing::new(10.0);
        [sample(100, 1.0), sample(400, 2.0)].into_iter().for_each(|s| ring.push(s));
        assert_eq!((at(&ring, 200), at(&ring, 300)), (1.0, 2.0));
    }

    #[test]
    fn old_samples_go_and_a_step_back_in_time_forgets_the_future() {
        let mut ring = JointRing::new(0.05);
        [sample(100, 1.0), sample(140, 2.0), sample(180, 3.0)].into_iter().for_each(|s| ring.push(s));
        assert_eq!(at(&ring, 0), 2.0);
        ring.push(sample(20, 9.0));
        assert_eq!((at(&ring, 180), ring.newest().unwrap().positions[0]), (9.0, 9.0));
    }
}
