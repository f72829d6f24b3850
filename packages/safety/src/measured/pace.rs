//! How often something comes.

/// Intervals that are looked at.
const INTERVALS: usize = 8;
/// So many of them at least tell that it is too slow: as many as there are between the states that a start asks for. Before that the longest one counts.
const ENOUGH: usize = 3;
/// A longer one is a pause, seconds.
const LONGEST: f64 = 10.0;
/// So many usual intervals may pass before what comes so seldom is missed.
const MISSED: f64 = 3.0;
/// So many of them have to fit into what is allowed at all; with less it is missed again and again though nothing is lost.
const FIT: f64 = 1.2;

/// The last intervals between what came.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Pace {
    last: Option<f64>,
    intervals: [f64; INTERVALS],
    count: usize,
    usual: Option<f64>,
}

impl Pace {
    /// Something came, at a time of a clock that only goes forward, seconds.
    pub fn heard(&mut self, at: f64) {
        let interval = self.last.replace(at).map_or(f64::NAN, |last| at - last);
        if (0.0..LONGEST).contains(&interval) {
            self.intervals[self.count % INTERVALS] = interval;
            self.count += 1;
            if self.count >= 2 * INTERVALS {
                self.count -= INTERVALS;
            }
            self.usual = self.of_intervals();
        }
    }

    /// The usual interval, seconds: a quarter of the last ones were longer. So neither a pause or two nor messages that arrive in pairs change it.
    pub fn usual(&self) -> Option<f64> {
        self.usual
    }

    fn of_intervals(&self) -> Option<f64> {
        let n = self.count.min(INTERVALS);
        let mut sorted = self.intervals;
        let sorted = &mut sorted[..n];
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        sorted.get(n / 4).copied()
    }

    /// How old what came last may be: `usually` at least, and three of its usual intervals, up to `most`; seconds.
    pub fn allowed(&self, usually: f64, most: f64) -> f64 {
        self.usual().map_or(usually, |usual| (MISSED * usual).min(most).max(usually))
    }

    /// The usual interval, where it is too long for what is allowed; and how much would have to be.
    pub fn too_slow(&self, usually: f64, most: f64) -> Option<(f64, f64)> {
        let usual = self.usual().filter(|_| self.count >= ENOUGH)?;
        (FIT * usual > self.allowed(usually, most)).then_some((usual, up(MISSED * usual)))
    }
}

/// Up to hundredths, as it is told.
fn up(seconds: f64) -> f64 {
    (100.0 * seconds - 1.0e-4).ceil() / 100.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pace(intervals: &[f64]) -> Pace {
        let (mut pace, mut at) = (Pace::default(), 100.0);
        pace.heard(at);
        for interval in intervals {
            at += interval;
            pace.heard(at);
        }
        pace
    }

    #[test]
    fn what_is_usual_is_known_from_the_first_interval_on_and_pauses_and_pairs_do_not_change_it() {
        assert_eq!((pace(&[]).usual(), pace(&[0.1]).usual().map(|usual| (usual * 1e6).round())), (None, Some(1e5)));
        assert_eq!(
            (pace(&[1.0; 2]).too_slow(0.1, 0.35), pace(&[1.0; 3]).too_slow(0.1, 0.35)),
            (None, Some((1.0, 3.0)))
        );
        for (what, intervals, usual) in [
            ("steady", &[0.1; 4][..], 0.1),
            ("a pause", &[0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1], 0.1),
            ("two pauses", &[0.1, 0.7, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1], 0.1),
            ("in pairs", &[0.0, 0.2, 0.0, 0.2, 0.0, 0.2, 0.0, 0.2], 0.2),
            ("fast, then slow", &[0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.1, 0.1, 0.1], 0.1),
            ("slow, then fast", &[0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01], 0.01),
        ] {
            let known = pace(intervals).usual().unwrap();
            assert!((known - usual).abs() < 1e-9, "{what}: {known}");
        }
        // A clock that stands still, goes back or pauses tells nothing.
        assert_eq!(pace(&[-1.0, 1.0e6, f64::NAN]).usual(), None);
    }

    #[test]
    fn three_of_its_intervals_are_allowed_within_bounds_and_what_cannot_fit_is_told() {
        for (every, allowed, too_slow) in [
            (0.01, 0.1, false),
            (0.05, 0.15, false),
            (0.1, 0.3, false),
            (0.2, 0.35, false),
            (0.3, 0.35, true),
            (1.0, 0.35, true),
        ] {
            let pace = pace(&[every; 8]);
            assert!((pace.allowed(0.1, 0.35) - allowed).abs() < 1e-6, "{every}");
            assert_eq!(pace.too_slow(0.1, 0.35).is_some(), too_slow, "{every}");
        }
        // What is set may be more than the bound, and nothing is allowed to nobody.
        assert_eq!((pace(&[1.0; 8]).allowed(4.0, 0.35), Pace::default().allowed(0.1, 0.35)), (4.0, 0.1));
        assert!((pace(&[1.0; 8]).too_slow(0.1, 0.0).unwrap().1 - 3.0).abs() < 1e-6);
    }

    #[test]
    fn it_goes_on_counting_for_ever() {
        assert_eq!(pace(&[0.01; 100_000]).count, INTERVALS + 100_000 % INTERVALS);
    }
}
