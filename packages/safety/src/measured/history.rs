//! What one source told, by its own stamps.

use efm_core::Stamp;
use std::collections::VecDeque;

/// Longest gap that is bridged by a straight line, seconds, where states do not usually come more slowly. In a longer one the nearer state is taken.
const BRIDGED: f64 = 0.1;
/// States kept at most, whatever their stamps.
const MOST: usize = 4096;
/// So many states in a row that are older than the newest are no stragglers: the source's clock was set back.
const SET_BACK: u32 = 3;

/// A state of all joints of a source.
#[derive(Debug, Clone)]
struct State {
    stamp: Stamp,
    /// Positions, then velocities (NaN: not told).
    values: Vec<f64>,
}

/// A short history of one source's states, in the order of their stamps.
#[derive(Debug, Clone)]
pub(super) struct History {
    states: VecDeque<State>,
    joints: usize,
    span: f64,
    /// Longest gap that is bridged by a straight line, seconds.
    bridged: f64,
    /// The newest of the states in a row that came with old stamps, and how many.
    old: Option<(Stamp, u32)>,
}

impl History {
    /// Of so many joints; `span` seconds are kept.
    pub fn new(joints: usize, span: f64) -> Self {
        Self { states: VecDeque::new(), joints, span, bridged: BRIDGED, old: None }
    }

    /// How often its source speaks, seconds: a gap that is usual is bridged, however long.
    pub fn comes_every(&mut self, usual: f64) {
        self.bridged = BRIDGED.max(1.5 * usual);
    }

    /// Adds a state. One that is not newer than the newest is left out: it is late, or a repetition. False then.
    pub fn push(
        &mut self,
        stamp: Stamp,
        positions: impl Iterator<Item = f64>,
        velocities: impl Iterator<Item = f64>,
    ) -> bool {
        if self.states.back().is_some_and(|newest| stamp <= newest.stamp) {
            let before = self.old.filter(|(old, _)| stamp > *old);
            let count = before.map_or(1, |(_, count)| count + 1);
            self.old = Some((stamp, count));
            if count < SET_BACK {
                return false;
            }
            self.states.clear();
        }
        self.old = None;
        let oldest = stamp.offset_seconds(-self.span);
        let mut spare = None;
        // One beyond the span stays, so that there is one before every time within it.
        while self.states.len() >= MOST || self.states.get(1).is_some_and(|second| second.stamp < oldest) {
            spare = self.states.pop_front();
        }
        let mut values = spare.map_or_else(|| Vec::with_capacity(2 * self.joints), |state| state.values);
        values.clear();
        values.extend(positions);
        values.extend(velocities);
        self.states.push_back(State { stamp, values });
        true
    }

    /// When the newest state was measured.
    pub fn newest(&self) -> Option<Stamp> {
        self.states.back().map(|state| state.stamp)
    }

    /// Newest position of a joint (by its place in the source).
    pub fn position(&self, joint: usize) -> Option<f64> {
        self.states.back().map(|state| state.values[joint])
    }

    /// Whether the newest state tells the velocity of a joint.
    pub fn tells_velocity(&self, joint: usize) -> bool {
        self.states.back().is_some_and(|state| state.values[self.joints + joint].is_finite())
    }

    /// Newest velocity of a joint: as told, else from its positions over at least `over` seconds; 0 where there is but one.
    pub fn velocity(&self, joint: usize, over: f64, way: impl Fn(f64, f64) -> f64) -> f64 {
        let Some(newest) = self.states.back() else { return 0.0 };
        let told = newest.values[self.joints + joint];
        if told.is_finite() {
            return told;
        }
        // The newest that is old enough, else the oldest.
        let before = self.states.iter().rev().skip(1).find(|state| newest.stamp.seconds_since(state.stamp) >= over);
        let Some(before) = before.or(self.states.front()).filter(|state| state.stamp < newest.stamp) else {
            return 0.0;
        };
        way(before.values[joint], newest.values[joint]) / newest.stamp.seconds_since(before.stamp)
    }

    /// Position and velocity of a joint at a time: between two states on the straight line, outside of the history (or in a gap) the nearest
    /// state as it is. None without states.
    pub fn at(&self, joint: usize, stamp: Stamp, over: f64, way: impl Fn(f64, f64) -> f64) -> Option<(f64, f64)> {
        let after = self.states.partition_point(|s| s.stamp < stamp);
        let of = |state: &State| {
            let told = state.values[self.joints + joint];
            (state.values[joint], if told.is_finite() { told } else { self.velocity(joint, over, &way) })
        };
        let (Some(before), Some(next)) =
            (after.checked_sub(1).and_then(|i| self.states.get(i)), self.states.get(after))
        else {
            return self.states.get(after).or(self.states.back()).map(of);
        };
        let gap = next.stamp.seconds_since(before.stamp);
        let part = stamp.seconds_since(before.stamp) / gap;
        if gap > self.bridged {
            return Some(of(if part < 0.5 { before } else { next }));
        }
        let by = way(before.values[joint], next.values[joint]);
        let (a, b) = (before.values[self.joints + joint], next.values[self.joints + joint]);
        let velocity = if a.is_finite() && b.is_finite() { a + part * (b - a) } else { by / gap };
        Some((before.values[joint] + part * by, velocity))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.states.clear();
        self.old = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::iter::once;

    fn ms(ms: i64) -> Stamp {
        Stamp::from_nanos(ms * 1_000_000)
    }

    fn history(span: f64, states: &[(i64, f64)]) -> History {
        let mut history = History::new(1, span);
        for (at, position) in states {
            history.push(ms(*at), once(*position), once(f64::NAN));
        }
        history
    }

    fn at(history: &History, stamp: i64) -> f64 {
        history.at(0, ms(stamp), 0.02, |a, b| b - a).unwrap().0
    }

    #[test]
    fn between_states_the_line_counts_and_outside_the_nearest() {
        let history = history(1.0, &[(100, 1.0), (110, 2.0), (120, 4.0)]);
        assert_eq!((at(&history, 105), at(&history, 115), at(&history, 110)), (1.5, 3.0, 2.0));
        assert_eq!((at(&history, 50), at(&history, 500)), (1.0, 4.0));
        assert_eq!(History::new(1, 1.0).at(0, ms(1), 0.02, |a, b| b - a), None);
    }

    #[test]
    fn a_long_gap_is_not_bridged() {
        let history = history(10.0, &[(100, 1.0), (400, 2.0)]);
        assert_eq!((at(&history, 200), at(&history, 300)), (1.0, 2.0));
    }

    #[test]
    fn a_straggler_deletes_nothing_and_a_clock_that_was_set_back_begins_anew() {
        let mut history = history(1.0, &[(100, 1.0), (110, 2.0), (120, 4.0)]);
        for straggler in [105, 120, 119] {
            assert!(!history.push(ms(straggler), once(9.0), once(0.0)), "{straggler}");
        }
        assert_eq!((at(&history, 105), history.position(0)), (1.5, Some(4.0)));
        for (stamp, taken) in [(20, false), (30, false), (40, true), (50, true)] {
            assert_eq!(history.push(ms(stamp), once(7.0), once(0.0)), taken, "{stamp}");
        }
        assert_eq!((history.newest(), history.position(0)), (Some(ms(50)), Some(7.0)));
    }

    #[test]
    fn old_states_go() {
        let history = history(0.05, &[(100, 1.0), (140, 2.0), (180, 3.0), (220, 5.0)]);
        assert_eq!((at(&history, 0), history.states.len()), (2.0, 3));
    }

    #[test]
    fn a_velocity_that_nobody_tells_comes_from_the_positions() {
        let mut history = history(1.0, &[(100, 1.0), (110, 1.01), (120, 1.02), (130, 1.03)]);
        let way = |a: f64, b: f64| b - a;
        assert!((history.velocity(0, 0.02, way) - 1.0).abs() < 1e-9);
        assert!((history.at(0, ms(115), 0.02, way).unwrap().1 - 1.0).abs() < 1e-9);
        history.push(ms(140), once(1.04), once(0.25));
        assert_eq!(history.velocity(0, 0.02, way), 0.25);
    }
}
