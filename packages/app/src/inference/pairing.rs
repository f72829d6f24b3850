//! Pictures of several cameras that show the same moment.

use efm_core::Stamp;

/// So long a set of pictures of one moment is waited for, s; cameras that never agree are taken as they come after that.
const PATIENCE: f64 = 0.1;

/// Decides whether the newest pictures of all cameras are one observation.
///
/// While the arm moves at 0.35 m/s, pictures 33 ms apart disagree by a centimetre about where the hand is.
#[derive(Debug, Clone)]
pub struct Pairing {
    max_skew: f64,
    waiting_since: Option<Stamp>,
}

impl Pairing {
    /// `max_skew`: how far apart, in seconds, pictures of one moment may be stamped.
    pub fn new(max_skew: f64) -> Self {
        Self { max_skew, waiting_since: None }
    }

    /// Whether pictures with these stamps are of one moment.
    pub fn fit(&self, stamps: impl Iterator<Item = Stamp> + Clone) -> bool {
        let bounds = stamps.clone().min().zip(stamps.max());
        bounds.is_some_and(|(oldest, newest)| newest.seconds_since(oldest) <= self.max_skew)
    }

    /// The time of the observation (that of its oldest picture) when these newest pictures are one; `None` while it is worth
    /// waiting for a picture that is under way, or without cameras.
    pub fn take(&mut self, now: Stamp, stamps: impl Iterator<Item = Stamp> + Clone) -> Option<Stamp> {
        let (oldest, newest) = (stamps.clone().min()?, stamps.max()?);
        if newest.seconds_since(oldest) <= self.max_skew {
            self.waiting_since = None;
            return Some(oldest);
        }
        let since = *self.waiting_since.get_or_insert(now);
        let waited = now.seconds_since(since);
        // Time that goes back starts anew.
        if waited < 0.0 {
            self.waiting_since = Some(now);
        }
        (waited >= PATIENCE).then(|| {
            self.waiting_since = None;
            oldest
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: i64) -> Stamp {
        Stamp::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn pictures_of_one_moment_are_taken_at_once_and_their_time_is_the_oldest() {
        let mut pairing = Pairing::new(0.02);
        assert_eq!(pairing.take(ms(120), [ms(100), ms(85)].into_iter()), Some(ms(85)));
        assert_eq!(pairing.take(ms(120), [ms(100)].into_iter()), Some(ms(100)));
        assert_eq!(pairing.take(ms(120), std::iter::empty()), None);
    }

    #[test]
    fn a_picture_that_is_under_way_is_waited_for() {
        let mut pairing = Pairing::new(0.02);
        assert_eq!(pairing.take(ms(140), [ms(133), ms(100)].into_iter()), None);
        assert_eq!(pairing.take(ms(145), [ms(133), ms(133)].into_iter()), Some(ms(133)));
    }

    #[test]
    fn cameras_that_never_agree_are_taken_as_they_come_after_a_while() {
        let mut pairing = Pairing::new(0.02);
        let mut taken = Vec::new();
        for t in (0..1000).step_by(10) {
            // 10 Hz and 9 Hz of other phase.
            let pictures = [ms(t / 100 * 100), ms(t / 111 * 111 - 50)];
            if let Some(stamp) = pairing.take(ms(t), pictures.into_iter()) {
                taken.push(stamp);
            }
        }
        assert!(taken.len() >= 8, "{taken:?}");
    }

    #[test]
    fn time_that_goes_back_does_not_block() {
        let mut pairing = Pairing::new(0.02);
        assert_eq!(pairing.take(ms(50_000), [ms(49_900), ms(49_990)].into_iter()), None);
        assert_eq!(pairing.take(ms(1000), [ms(900), ms(990)].into_iter()), None);
        assert_eq!(pairing.take(ms(1100), [ms(900), ms(990)].into_iter()), Some(ms(900)));
    }
}
