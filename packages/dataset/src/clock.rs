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

/// Rates that differ by less are one: so far a camera is followed, and so far what a data set says of its time may be off.
pub const SAME_RATE: f64 = 0.01;

/// How much of a picture's distance from its moment the moments after it follow, where a camera's own rate is followed.
const FOLLOWED: f64 = 0.1;

/// The moments that the pictures of a camera give at a rate. Pictures are in the order of their stamps.
///
/// What is aimed at is the first picture's stamp and a whole number of periods; the picture that is nearest to that is taken, each once. Where
/// none lies within half a period, there is a gap and the next picture begins anew. So a camera that runs faster is thinned out and the time
/// between frames is a period in the mean, whether or not the camera's rate is a multiple and whatever it loses; one that trembles is followed,
/// and one that pauses makes gaps. A camera whose own rate is a multiple of it to [`SAME_RATE`] is followed as its crystal runs.
pub fn camera_ticks(pictures: &[Stamped], period_s: f64) -> Vec<Tick> {
    let period = nanos(period_s);
    let usual = usual_period_s(pictures).unwrap_or(period_s);
    let ratio = period_s / usual;
    let follow = (ratio / ratio.round().max(1.0) - 1.0).abs() <= SAME_RATE;
    // Between two pictures of a camera that runs otherwise, a moment lies up to half of their distance from one, and more where they tremble.
    let near = if follow { 0.5 * period_s } else { f64::max(0.5 * period_s, 0.75 * usual) };
    let near = nanos(near);
    let mut ticks: Vec<Tick> = Vec::new();
    let mut aim: Option<i64> = None;
    let mut i = 0;
    while i < pictures.len() {
        let at = |i: usize| pictures[i].stamp;
        let Some(aimed) = aim else {
            ticks.push(Tick { at: at(i), follows: false });
            aim = Some(at(i).nanos().saturating_add(period));
            i += 1;
            continue;
        };
        let off = |i: usize| at(i).nanos().saturating_sub(aimed);
        while i + 1 < pictures.len() && off(i + 1).saturating_abs() < off(i).saturating_abs() {
            i += 1;
        }
        // Behind the last picture the camera has ended.
        let early = if i + 1 < pictures.len() { near } else { near.min(nanos(0.75 * usual)) };
        if off(i) < -early {
            // Too early: a picture that is not needed at this rate.
            i += 1;
        } else if off(i) <= near {
            ticks.push(Tick { at: at(i), follows: true });
            let drift = if follow { (FOLLOWED * off(i) as f64).round() as i64 } else { 0 };
            aim = Some(aimed.saturating_add(period).saturating_add(drift));
            i += 1;
        } else {
            aim = None;
        }
    }
    ticks
}

/// The mean time between frames that follow each other, in periods: what a data set says of its time is right where it is 1.
pub fn pace(ticks: impl IntoIterator<Item = Tick>, period_s: f64) -> Option<f64> {
    let (mut before, mut sum, mut count) = (None::<Stamp>, 0.0, 0u32);
    for tick in ticks {
        if let Some(before) = before.filter(|_| tick.follows) {
            sum += tick.at.seconds_since(before);
            count += 1;
        }
        before = Some(tick.at);
    }
    (count > 0).then(|| sum / (f64::from(count) * period_s))
}

/// Equally spaced moments from `first` to `last`.
pub fn grid_ticks(first: Stamp, last: Stamp, period_s: f64) -> Vec<Tick> {
    let count = (last.seconds_since(first) / period_s + 1e-6).floor().max(0.0) as u64 + 1;
    let tick = |i: u64| Tick { at: first.offset_seconds(i as f64 * period_s), follows: i > 0 };
    (0..count).map(tick).collect()
}

/// The usual distance of neighbouring stamps, in seconds: the mean of those that are near to the median, so that gaps and rounded stamps change
/// nothing. None with fewer than two pictures.
pub fn usual_period_s(pictures: &[Stamped]) -> Option<f64> {
    let steps = || pictures.windows(2).map(|pair| pair[1].stamp.nanos_since(pair[0].stamp));
    let mut sorted: Vec<i64> = steps().collect();
    let middle = sorted.len() / 2;
    let median = (!sorted.is_empty()).then(|| *sorted.select_nth_unstable(middle).1)?;
    let usual = steps().filter(|step| step.saturating_mul(2) > median && *step < median.saturating_mul(3) / 2);
    let (sum, count) = usual.fold((0.0, 0u32), |(sum, count), step| (sum + step as f64, count + 1));
    Some(if count > 0 { sum / f64::from(count) } else { median as f64 } * 1e-9)
}

/// The whole number of frames a second that a period stands for; none when it is further than [`SAME_RATE`] from any.
pub fn whole_fps(period_s: f64) -> Option<u32> {
    let rate = 1.0 / period_s;
    let whole = rate.round();
    let fits = (1.0..=1000.0).contains(&whole) && (rate / whole - 1.0).abs() <= SAME_RATE;
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
        assert_eq!(ticks(&[0, 33, 67, 133, 167, 200], 0.1), [(0, false), (67, true), (200, true)]);
    }

    /// Ten minutes of a camera: stamps in ns that tremble by up to `trembles` of a period; each picture is lost that `lost` says.
    fn camera(rate: f64, trembles: f64, lost: impl Fn(u32) -> bool) -> Vec<Stamped> {
        let at = |i: u32| {
            let noise = f64::from(i.wrapping_mul(2_654_435_761) >> 8) / f64::from(1u32 << 24) - 0.5;
            Stamp::ZERO.offset_seconds(100.0 + (f64::from(i) + 2.0 * trembles * noise) / rate)
        };
        let count = (600.0 * rate) as u32;
        (0..count).filter(|i| !lost(*i)).map(|i| Stamped { stamp: at(i), ordinal: i }).collect()
    }

    #[test]
    fn the_time_between_frames_is_what_is_said_of_it_at_every_rate() {
        for rate in [30.0, 29.97, 30.2, 31.0, 25.0, 60.0, 24.0, 15.0, 90.0] {
            for fps in [1u32, 3, 5, 7, 10, 12, 13, 15, 20, 24, 25, 29, 30] {
                for (trembles, lost) in [(0.0, 0u32), (0.2, 0), (0.1, 50), (0.0, 7)] {
                    let period = 1.0 / f64::from(fps);
                    if f64::from(fps) > rate * (1.0 + SAME_RATE) {
                        continue;
                    }
                    let pictures = camera(rate, trembles, |i| lost > 0 && i % lost == 3);
                    let ticks = camera_ticks(&pictures, period);
                    let what = format!("{fps} of {rate} Hz, trembling {trembles}, 1 of {lost} lost");
                    assert!(ticks.windows(2).all(|pair| pair[0].at < pair[1].at), "{what}: a picture came twice");
                    // A camera that is followed may run slow or fast by as much as two rates may differ.
                    let ratio = rate / f64::from(fps);
                    let own = (ratio / ratio.round().max(1.0) - 1.0).abs();
                    let own = if own <= SAME_RATE { own } else { 0.0 };
                    for episode in ticks.chunk_by(|_, next| next.follows) {
                        let said = (episode.len() - 1) as f64 * period;
                        let [first, .., last] = episode else { continue };
                        let wrong = (last.at.seconds_since(first.at) - said).abs();
                        assert!(
                            wrong <= own * said + f64::max(0.5 * period, 0.75 / rate) + 1e-6,
                            "{what}: {said} s are wrong by {wrong}"
                        );
                    }
                    if lost == 0 {
                        assert!(ticks.iter().skip(1).all(|t| t.follows), "{what}: gaps");
                    }
                }
            }
        }
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
