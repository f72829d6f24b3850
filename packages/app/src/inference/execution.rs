//! What `execution_state` says of the chunk that is followed: how far it has got, and how late chunks are.
//!
//! Its points are stamped by the time that the chunk meant for them. Where the arm is slowed down that time passes more slowly than the clock,
//! and fewer actions are consumed than the clock says.

use efm_core::Stamp;
use efm_safety::{Execution, VerifiedWindow};

/// So long after the last word, s, nothing is taken to be followed any more: whoever executed has gone.
const SILENCE: f64 = 0.3;

/// Where the robot is on a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnChunk {
    /// The chunk that is followed, by the time of its observation.
    pub chunk: Stamp,
    /// The time on it: what its rows later than this have is still to come.
    pub at: Stamp,
}

/// What was heard last.
#[derive(Debug, Clone, Copy)]
struct Heard {
    chunk: Stamp,
    /// Nanoseconds after the observation, on the chunk's time: where the robot was then.
    begin: i64,
    now: Stamp,
}

/// Listens to `execution_state`.
#[derive(Debug, Default)]
pub struct ExecutionFeed {
    heard: Option<Heard>,
    delay: Option<f64>,
}

impl ExecutionFeed {
    /// A message: the chunk that is followed (none: the arm is at rest), the times of what is committed in nanoseconds after its
    /// observation, the first of which is that of now.
    pub fn heard(&mut self, chunk: Option<Stamp>, committed: impl IntoIterator<Item = i64>, now: Stamp) {
        let mut committed = committed.into_iter();
        let before = self.heard;
        self.heard = chunk.zip(committed.next()).map(|(chunk, begin)| Heard { chunk, begin, now });
        let Some(heard) = self.heard else { return };
        // Where another chunk went on until then, the new one is followed from the end of what was committed.
        if before.is_some_and(|before| before.chunk < heard.chunk) {
            self.delay = Some(committed.last().unwrap_or(heard.begin) as f64 * 1.0e-9);
        }
    }

    /// As `execution_state` says it: what of the chunk is committed, of these windows that were sent at `now`.
    pub fn told(&mut self, execution: &Execution, windows: &[VerifiedWindow], now: Stamp) {
        let Some((chunk, first)) = execution.chunk.zip(windows.first()) else { return self.heard(None, [], now) };
        let points = first.committed().min(first.len());
        let last = windows.last().unwrap_or(first);
        let time = |k| {
            let at = last.stamp().offset_nanos(last.time_from_start(k));
            execution.on_chunk(at, first.stamp()).nanos_since(chunk)
        };
        self.heard(Some(chunk), (0..points).map(time), now);
    }

    /// Where the robot was on the chunk that is followed now, when something was observed; now is `now`.
    pub fn at(&self, observed: Stamp, now: Stamp) -> Option<OnChunk> {
        let heard = self.heard.filter(|heard| now.seconds_since(heard.now).abs() <= SILENCE)?;
        let at = heard.chunk.offset_nanos(heard.begin).offset_seconds(observed.seconds_since(heard.now));
        Some(OnChunk { chunk: heard.chunk, at })
    }

    /// Seconds from the observation of a chunk until it was followed in the place of another one, on its own time. Said once.
    pub fn take_delay(&mut self) -> Option<f64> {
        self.delay.take()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MS: i64 = 1_000_000;

    fn ms(ms: i64) -> Stamp {
        Stamp::from_nanos(1_000_000_000_000 + ms * MS)
    }

    #[test]
    fn a_robot_that_is_slowed_down_has_consumed_less_than_the_clock_says() {
        let mut feed = ExecutionFeed::default();
        assert_eq!(feed.at(ms(0), ms(0)), None);
        // Observed 500 ms ago, but only 200 ms of it are executed.
        feed.heard(Some(ms(0)), [200 * MS, 210 * MS, 220 * MS], ms(500));
        let told = feed.at(ms(480), ms(505)).unwrap();
        assert_eq!((told.chunk, told.at), (ms(0), ms(180)));
        assert_eq!(feed.take_delay(), None, "nothing went on before it");
    }

    #[test]
    fn the_delay_of_a_chunk_that_takes_over_is_told_once() {
        let mut feed = ExecutionFeed::default();
        feed.heard(Some(ms(0)), [300 * MS, 330 * MS], ms(300));
        feed.heard(Some(ms(200)), [120 * MS, 130 * MS, 150 * MS], ms(320));
        assert_eq!(feed.take_delay().map(|s| (1e3 * s).round()), Some(150.0));
        feed.heard(Some(ms(200)), [130 * MS, 160 * MS], ms(330));
        assert_eq!(feed.take_delay(), None);
        feed.heard(None, [], ms(340));
        assert_eq!(feed.at(ms(340), ms(340)), None);
        feed.heard(Some(ms(400)), [100 * MS], ms(500));
        assert_eq!(feed.take_delay(), None, "from rest nothing was consumed");
    }

    #[test]
    fn after_a_silence_and_when_the_clock_was_set_nothing_is_followed() {
        let mut feed = ExecutionFeed::default();
        feed.heard(Some(ms(0)), [300 * MS], ms(300));
        assert!(feed.at(ms(570), ms(590)).is_some());
        assert!(feed.at(ms(590), ms(601)).is_none() && feed.at(ms(-500), ms(-500)).is_none());
    }
}
