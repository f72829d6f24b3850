//! When the next chunk is due.

use efm_core::Stamp;

/// An image this much earlier than due, s, is taken all the same: cameras are not exact, and waiting for the next one costs more.
const EARLY: f64 = 0.02;

/// Everybody has heard of an instruction so long, s, after one has.
const HEARD: f64 = 0.01;

/// Longest wait for an observation that is new enough, s.
const PATIENCE: f64 = 1.0;

/// Spaces observations by the policy's replan period.
#[derive(Debug, Clone)]
pub struct Replan {
    period: f64,
    last: Option<Stamp>,
    not_before: Option<Stamp>,
}

impl Replan {
    /// `period`: seconds between two observations that are worked on.
    pub fn new(period: f64) -> Self {
        Self { period, last: None, not_before: None }
    }

    /// Whether an observation of this time is to be worked on. Time that goes back starts anew.
    pub fn is_due(&self, observed: Stamp) -> bool {
        // Not for good, where the clock was set back.
        if self.not_before.is_some_and(|from| observed < from && from.seconds_since(observed) < PATIENCE) {
            return false;
        }
        let Some(last) = self.last else { return true };
        let passed = observed.seconds_since(last);
        passed < 0.0 || (passed > 0.0 && passed >= self.period - EARLY.min(self.period / 2.0))
    }

    /// Work on an observation of this time has begun.
    pub fn begun(&mut self, observed: Stamp) {
        (self.last, self.not_before) = (Some(observed), None);
    }

    /// The first observation from `now` on is due at once, as after a new instruction: one of before would be refused by whoever has
    /// heard of the instruction.
    pub fn restart(&mut self, now: Stamp) {
        (self.last, self.not_before) = (None, Some(now.offset_seconds(HEARD)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: i64) -> Stamp {
        Stamp::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn at_thirty_images_a_second_every_sixth_is_worked_on() {
        let mut replan = Replan::new(0.2);
        let mut taken = Vec::new();
        for i in 0..20 {
            if replan.is_due(ms(i * 100 / 3)) {
                replan.begun(ms(i * 100 / 3));
                taken.push(i);
            }
        }
        assert_eq!(taken, [0, 6, 12, 18]);
    }

    #[test]
    fn the_same_image_is_never_worked_on_twice_and_a_step_back_starts_anew() {
        let mut replan = Replan::new(0.0);
        replan.begun(ms(500));
        assert!(!replan.is_due(ms(500)) && replan.is_due(ms(501)) && replan.is_due(ms(400)));
        let mut replan = Replan::new(10.0);
        replan.begun(ms(500));
        assert!(!replan.is_due(ms(5000)));
        replan.restart(ms(5000));
        assert!(!replan.is_due(ms(4990)) && !replan.is_due(ms(5005)) && replan.is_due(ms(5010)));
        assert!(replan.is_due(ms(500)), "the clock was set back");
        replan.begun(ms(5020));
        assert!(!replan.is_due(ms(5100)));
    }
}
