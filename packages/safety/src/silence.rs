//! A controller that told its state and does not any more.
//!
//! A joint_trajectory_controller that is deactivated keeps its subscription, so that it seems to listen, and falls silent on `<controller>/controller_state`
//! alone. Counted is only the time in which we could have heard it: who was paused, or is late, has heard nothing of anybody.

use efm_core::Stamp;

/// Periods of its own that it may be silent.
const PERIODS: f64 = 3.0;
/// Silence that is none, seconds: a busy machine.
const LEAST: f64 = 0.02;
/// Messages from which its period is measured.
const INTERVALS: usize = 16;
/// Ticks and messages are seldom on the nanosecond, seconds.
const ROUNDING: f64 = 1.0e-6;
/// So many intervals have to be known before silence means anything.
const KNOWN: usize = 6;

/// Follows one controller.
#[derive(Debug, Clone, Default)]
pub struct Silence {
    last: Option<Stamp>,
    /// Seconds between messages, by their stamps; the newest at `next - 1`.
    intervals: [f64; INTERVALS],
    next: usize,
    known: usize,
    /// Seconds in which nothing came though we listened.
    quiet: f64,
    /// Something came since the last tick.
    heard: bool,
    ticked: Option<Stamp>,
    silent: bool,
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Voice {
    /// It is silent, for so many seconds; it spoke every so many before.
    Silent {
        /// Seconds.
        silent_s: f64,
        /// Seconds.
        period_s: f64,
    },
    /// It speaks, for the first time or again.
    Speaks,
}

impl Silence {
    /// A message came, for a time of the controller's clock.
    pub fn heard(&mut self, stamp: Stamp) -> Option<Voice> {
        if let Some(last) = self.last.replace(stamp) {
            let seconds = stamp.seconds_since(last);
            // What comes after a silence says nothing of its period.
            if (1.0e-4..1.0).contains(&seconds) && !self.silent {
                self.intervals[self.next % INTERVALS] = seconds;
                self.next = (self.next + 1) % INTERVALS;
                self.known = (self.known + 1).min(INTERVALS);
            }
        }
        self.heard = true;
        let first = self.known == KNOWN && self.next == KNOWN;
        (std::mem::take(&mut self.silent) || first).then_some(Voice::Speaks)
    }

    /// Time passes: a tick, the usual time between two of which is `usual_s`. To be called after what has come was heard.
    pub fn tick(&mut self, now: Stamp, usual_s: f64) -> Option<Voice> {
        if let Some(before) = self.ticked.replace(now) {
            // A longer gap between two ticks is our own pause.
            self.quiet += now.seconds_since(before).clamp(0.0, 1.5 * usual_s);
        }
        if std::mem::take(&mut self.heard) {
            self.quiet = 0.0;
        }
        let period_s = self.period()?;
        if self.silent || self.quiet <= (PERIODS * period_s).max(LEAST) + ROUNDING {
            return None;
        }
        self.silent = true;
        Some(Voice::Silent { silent_s: self.quiet, period_s })
    }

    /// Seconds between its messages, once enough of them came: the median.
    pub fn period(&self) -> Option<f64> {
        if self.known < KNOWN {
            return None;
        }
        let mut sorted = self.intervals;
        let known = &mut sorted[..self.known];
        known.sort_unstable_by(f64::total_cmp);
        Some(known[self.known / 2])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ms(ms: i64) -> Stamp {
        Stamp::from_nanos(1_000_000_000 + ms * 1_000_000)
    }

    /// Ticks every 10 ms; messages at the times that `speaks` says, heard before the tick. What was told, and when.
    fn told(ticks: impl Iterator<Item = i64>, speaks: impl Fn(i64) -> bool) -> Vec<(i64, Voice)> {
        let mut silence = Silence::default();
        let (mut told, mut heard) = (Vec::new(), 0);
        for tick in ticks {
            for at in (heard..=tick).filter(|at| speaks(*at)) {
                told.extend(silence.heard(ms(at)).map(|voice| (tick, voice)));
            }
            heard = tick + 1;
            told.extend(silence.tick(ms(tick), 0.01).map(|voice| (tick, voice)));
        }
        told
    }

    fn every(step: usize) -> impl Iterator<Item = i64> {
        (0..2000).step_by(step)
    }

    #[test]
    fn three_periods_of_silence_are_told_once_and_so_is_its_end() {
        let told = told(every(10), |at| at % 20 == 0 && !(500..900).contains(&at));
        assert!(matches!(told[0], (120, Voice::Speaks)), "{told:?}");
        assert!(matches!(told[1], (550, Voice::Silent { period_s, .. }) if (period_s - 0.02).abs() < 1e-9), "{told:?}");
        assert_eq!((told[2], told.len()), ((900, Voice::Speaks), 3));
    }

    #[test]
    fn a_quick_one_is_given_a_fiftieth_of_a_second() {
        let told = told(every(10), |at| at % 2 == 0 && at < 501);
        assert!(matches!(told[1], (530, Voice::Silent { .. })), "{told:?}");
    }

    #[test]
    fn who_was_never_heard_or_once_only_is_not_silent_and_a_lost_message_is_nothing() {
        assert!(told(every(10), |_| false).is_empty());
        assert!(told(every(10), |at| at == 40).is_empty());
        assert_eq!(told(every(10), |at| at % 20 == 0 && !(500..540).contains(&at)).len(), 1);
    }

    #[test]
    fn our_own_pause_is_not_its_silence() {
        // Nothing is heard for 300 ms because nobody asks; then all of it at once, or what is left of it.
        let ticks = || every(10).filter(|at| !(500..800).contains(at));
        assert_eq!(told(ticks(), |at| at % 20 == 0).len(), 1);
        assert_eq!(told(ticks(), |at| at % 20 == 0 && !(480..800).contains(&at)).len(), 1);
        // Ticks that are each late: a busy machine.
        assert_eq!(told(every(40), |at| at % 10 == 0 && at % 120 != 0).len(), 1);
    }
}
