//! The last pictures, for policies that look at more than the present.

use crate::inference::engine::Pictures;
use efm_core::Stamp;
use std::collections::VecDeque;

/// Sets of pictures kept at most, however fast they come.
const MOST: usize = 128;

/// Sets of pictures that were seen together, in the order of their stamps, as far back as the policy looks.
#[derive(Debug, Clone, Default)]
pub struct PictureRing {
    earlier: usize,
    step: f64,
    seen: VecDeque<(Stamp, Pictures)>,
}

impl PictureRing {
    /// For a policy that looks at so many observations before the present one, `step` seconds apart.
    pub fn new(earlier: usize, step: f64) -> Self {
        Self { earlier, step, seen: VecDeque::new() }
    }

    /// Whether the policy looks at more than the present at all.
    pub fn looks_back(&self) -> bool {
        self.earlier > 0
    }

    /// Whether a set of this time is worth keeping: it is another one than the newest, and the policy looks back at all.
    pub fn wants(&self, stamp: Stamp) -> bool {
        self.looks_back() && self.seen.back().is_none_or(|(newest, _)| *newest != stamp)
    }

    /// Adds a set. Where time went back, everything from its time on is forgotten.
    pub fn push(&mut self, stamp: Stamp, pictures: Pictures) {
        while self.seen.back().is_some_and(|(newest, _)| *newest >= stamp) {
            self.seen.pop_back();
        }
        self.seen.push_back((stamp, pictures));
        // Half a step more than the oldest that is asked for: the nearest to it may be before it.
        let span = (self.earlier as f64 + 0.5) * self.step;
        while self.seen.len() > MOST || self.seen.front().is_some_and(|(oldest, _)| stamp.seconds_since(*oldest) > span)
        {
            self.seen.pop_front();
        }
    }

    /// The sets that the policy is to see with one of this time, the newest last: at each step back the nearest one, if it is within half a step.
    /// Fewer where there are no more, as at the start or behind a gap.
    pub fn before(&self, stamp: Stamp) -> Vec<&(Stamp, Pictures)> {
        let at = |k: usize| {
            let wanted = stamp.offset_seconds(-(k as f64) * self.step);
            let off = |seen: &Stamp| seen.seconds_since(wanted).abs();
            let nearest = self.seen.iter().min_by(|(a, _), (b, _)| off(a).total_cmp(&off(b)));
            nearest.filter(|(seen, _)| off(seen) <= 0.5 * self.step)
        };
        let mut found: Vec<_> = (1..=self.earlier).map_while(at).collect();
        found.reverse();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: i64) -> Stamp {
        Stamp::from_nanos(ms * 1_000_000)
    }

    fn seen(ring: &PictureRing, at: i64) -> Vec<i64> {
        ring.before(ms(at)).iter().map(|(stamp, _)| stamp.nanos() / 1_000_000).collect()
    }

    #[test]
    fn the_nearest_to_each_step_back_is_taken_the_newest_last() {
        let mut ring = PictureRing::new(2, 0.1);
        for t in (0..1000).step_by(33) {
            ring.push(ms(t), Vec::new());
        }
        assert_eq!(seen(&ring, 990), [792, 891]);
        assert!(ring.seen.len() < 10, "{}", ring.seen.len());
        assert!(!ring.wants(ms(990)) && ring.wants(ms(1023)));
    }

    #[test]
    fn at_the_start_and_behind_a_gap_there_are_fewer() {
        let mut ring = PictureRing::new(2, 0.1);
        assert_eq!(seen(&ring, 0), [0i64; 0]);
        ring.push(ms(0), Vec::new());
        ring.push(ms(100), Vec::new());
        assert_eq!(seen(&ring, 100), [0]);
        assert_eq!(seen(&ring, 200), [0, 100]);
        // What is missing right before the present is not made up for by what is older.
        assert_eq!(seen(&ring, 290), [0i64; 0]);
        ring.push(ms(50), Vec::new());
        assert_eq!(seen(&ring, 145), [50], "time went back");
    }

    #[test]
    fn whoever_does_not_look_back_keeps_nothing() {
        assert!(!PictureRing::new(0, 0.1).wants(ms(1)));
    }
}
