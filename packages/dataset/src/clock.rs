//! The moments at which a data set has frames.

use crate::align::Stamped;
use efm_core::Stamp;

/// A moment of the frame clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// When.
    pub at: Stamp,
    /// Whether it is one period after the tick before it; false: a gap lies between, and an episode cannot go on over it.
    pub follows: bool,
}

/// Where the moments come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// Stamps of the first camera.
    #[default]
    Camera,
    /// Equally spaced from the first picture of the first camera on.
    Grid,
}

/// The moments that the pictures of a camera give at a rate. Pictures are in the order of their stamps.
///
/// After each taken picture the one that is nearest to one period later is taken; where none lies within half a period of that, there is a gap
/// and the next picture begins anew. So a camera that runs faster is thinned out, one that trembles is followed, and one that pauses makes gaps.
pub fn camera_ticks(pictures: &[Stamped], period_s: f64) -> Vec<Tick> {
    let period = nanos(period_s);
    let mut ticks: Vec<Tick> = Vec::new();
    let mut i = 0;
    while let Some(picture) = pictures.get(i) {
        let Some(last) = ticks.last() else {
            ticks.push(Tick { at: picture.stamp, follows: false });
            i += 1;
            continue;
        };
        let off = |picture: &Stamped| picture.stamp.nanos_since(last.at) - period;
        if 2 * off(picture) < -period {
            // Too early: a picture that is not needed at this rate.
            i += 1;
            continue;
        }
        let follows = 2 * off(picture) <= period;
        while follows && pictures.get(i + 1).is_some_and(|next| off(next).abs() < off(&pictures[i]).abs()) {
            i += 1;
        }
        ticks.push(Tick { at: pictures[i].stamp, follows });
        i += 1;
    }
    ticks
}

/// Equally spaced moments from `first` to `last`.
pub fn grid_ticks(first: Stamp, last: Stamp, period_s: f64) -> Vec<Tick> {
    let count = (last.seconds_since(first) / period_s + 1e-6).floor().max(0.0) as u64 + 1;
    let tick = |i: u64| Tick { at: first.offset_seconds(i as f64 * period_s), follows: i > 0 };
    (0..count).map(tick).collect()
}

/// Median distance of neighbouring stamps, in seconds; none with fewer than two.
pub fn median_period_s(pictures: &[Stamped]) -> Option<f64> {
    let mut steps: Vec<i64> = pictures.windows(2).map(|pair| pair[1].stamp.nanos_since(pair[0].stamp)).collect();
    let middle = steps.len() / 2;
    (!steps.is_empty()).then(|| *steps.select_nth_unstable(middle).1 as f64 * 1e-9)
}

/// The whole number of frames a second that a period stands for; none when it is further than 2 % from any.
pub fn whole_fps(period_s: f64) -> Option<u32> {
    let rate = 1.0 / period_s;
    let whole = rate.round();
    let fits = (1.0..=1000.0).contains(&whole) && (rate / whole - 1.0).abs() <= 0.02;
    fits.then_some(whole as u32)
}

fn nanos(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(ms: &[i64], period_s: f64) -> Vec<(i64, bool)> {
        let pictures: Vec<_> = ms
            .iter()
            .enumerate()
            .map(|(i, t)| Stamped { stamp: Stamp::from_nanos(t * 1_000_000), ordinal: i as u32 })
            .collect();
        camera_ticks(&pictures, period_s).iter().map(|t| (t.at.nanos() / 1_000_000, t.follows)).collect()
    }

    #[test]
    fn a_camera_that_trembles_is_followed_and_one_that_pauses_makes_a_gap() {
        assert_eq!(
            ticks(&[0, 104, 190, 305, 505, 600], 0.1),
            [(0, false), (104, true), (190, true), (305, true), (505, false), (600, true)]
        );
    }

    #[test]
    fn a_faster_camera_is_thinned_out_to_the_pictures_that_are_nearest() {
        assert_eq!(ticks(&[0, 33, 67, 100, 133, 167, 200], 0.1), [(0, false), (100, true), (200, true)]);
        // Without the picture at 100 ms the one 33 ms beside it serves.
        assert_eq!(ticks(&[0, 33, 67, 133, 167, 200], 0.1), [(0, false), (67, true), (167, true)]);
    }

    #[test]
    fn a_picture_that_came_twice_counts_once() {
        assert_eq!(ticks(&[0, 0, 100, 100, 200], 0.1), [(0, false), (100, true), (200, true)]);
    }

    #[test]
    fn a_grid_reaches_to_the_last_picture() {
        let s = |s: f64| Stamp::ZERO.offset_seconds(s);
        let at: Vec<i64> = grid_ticks(s(1.0), s(1.31), 0.1).iter().map(|t| t.at.nanos()).collect();
        assert_eq!(at, [1_000_000_000, 1_100_000_000, 1_200_000_000, 1_300_000_000]);
        assert_eq!(grid_ticks(s(1.0), s(1.0), 0.1).len(), 1);
    }

    #[test]
    fn a_rate_is_rounded_where_it_is_nearly_whole_and_not_guessed_otherwise() {
        assert_eq!((whole_fps(0.2), whole_fps(1.0 / 29.97), whole_fps(1.0 / 12.5)), (Some(5), Some(30), None));
        assert_eq!(whole_fps(0.0), None);
    }
}
