//! One sender at a time: proposals of two at once would have the robot do what neither of them means.

use efm_core::{SenderId, Stamp};

/// A sender that has been silent for so long, s, and for three of its usual intervals, is none any more.
const SILENCE_S: f64 = 1.0;
const INTERVALS: f64 = 3.0;
/// A longer interval, s, is a pause (no goal, somebody's turn) and says nothing of how often messages usually come.
const PAUSE_S: f64 = 5.0;
/// What the newest interval counts in the usual one.
const NEWEST: f64 = 0.25;

/// The sender that is held to, from the first of its messages that was taken until it falls silent or is gone.
#[derive(Debug, Clone, Default)]
pub struct SoleSender(Option<Held>);

#[derive(Debug, Clone)]
struct Held {
    sender: SenderId,
    last: Stamp,
    /// s; zero before there are two messages.
    usual_s: f64,
}

impl SoleSender {
    /// Who is held to.
    pub fn held(&self) -> Option<SenderId> {
        self.0.as_ref().map(|held| held.sender)
    }

    /// When the sender that is held to was heard last.
    pub fn heard_at(&self) -> Option<Stamp> {
        self.0.as_ref().map(|held| held.last)
    }

    /// A message came. Whom another one than its sender is held to, where that is so: then it must not be taken.
    ///
    /// # Errors
    /// The sender that is held to.
    pub fn admits(&mut self, sender: SenderId, now: Stamp) -> Result<(), SenderId> {
        let Some(held) = &mut self.0 else { return Ok(()) };
        if held.sender == sender {
            return Ok(());
        }
        let silent = now.seconds_since(held.last);
        if silent < 0.0 {
            // The clock went back: counted anew.
            held.last = now;
        } else if silent > SILENCE_S.max(INTERVALS * held.usual_s) {
            self.0 = None;
            return Ok(());
        }
        Err(held.sender)
    }

    /// What became of a message that was admitted. A sender none of whose messages can be used is not held to.
    pub fn heard(&mut self, sender: SenderId, now: Stamp, taken: bool) {
        match &mut self.0 {
            Some(held) if held.sender == sender => {
                let interval = now.seconds_since(held.last);
                if (0.0..=PAUSE_S).contains(&interval) {
                    let newest = if held.usual_s == 0.0 { 1.0 } else { NEWEST };
                    held.usual_s += newest * (interval - held.usual_s);
                }
                held.last = now;
            }
            Some(_) => {}
            None if taken => self.0 = Some(Held { sender, last: now, usual_s: 0.0 }),
            None => {}
        }
    }

    /// A sender is not there any more.
    pub fn gone(&mut self, sender: SenderId) {
        if self.held() == Some(sender) {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SenderId = SenderId([1; 16]);
    const B: SenderId = SenderId([2; 16]);

    fn at(seconds: f64) -> Stamp {
        Stamp::from_nanos(1_000_000_000).offset_seconds(seconds)
    }

    fn offered(sole: &mut SoleSender, sender: SenderId, seconds: f64) -> bool {
        let admitted = sole.admits(sender, at(seconds)).is_ok();
        if admitted {
            sole.heard(sender, at(seconds), true);
        }
        admitted
    }

    #[test]
    fn the_first_whose_message_is_taken_is_held_to_until_it_is_silent() {
        let mut sole = SoleSender::default();
        sole.heard(B, at(0.0), false);
        assert_eq!(sole.held(), None, "nothing of it could be used");
        for k in 0..20 {
            let now = 0.1 * f64::from(k);
            assert!(offered(&mut sole, A, now) && !offered(&mut sole, B, now + 0.05), "{k}");
        }
        assert_eq!(sole.admits(B, at(1.9 + 0.99)), Err(A));
        assert!(offered(&mut sole, B, 1.9 + 1.01));
        assert_eq!(sole.admits(A, at(3.0)), Err(B), "and the other way round");
    }

    #[test]
    fn one_that_speaks_seldom_has_three_of_its_usual_intervals() {
        let mut sole = SoleSender::default();
        for k in 0..5 {
            assert!(offered(&mut sole, A, 2.0 * f64::from(k)));
        }
        assert!(!offered(&mut sole, B, 8.0 + 5.9));
        assert!(offered(&mut sole, B, 8.0 + 6.1));
        // After one message nothing is usual yet.
        assert!(!offered(&mut sole, A, 14.5) && offered(&mut sole, A, 15.2));
    }

    #[test]
    fn one_that_is_gone_is_not_waited_for_and_others_that_go_do_not_matter() {
        let mut sole = SoleSender::default();
        assert!(offered(&mut sole, A, 0.0));
        sole.gone(B);
        assert!(!offered(&mut sole, B, 0.1));
        sole.gone(A);
        assert!(offered(&mut sole, B, 0.1));
    }

    #[test]
    fn a_clock_that_goes_back_begins_the_silence_anew() {
        let mut sole = SoleSender::default();
        assert!(offered(&mut sole, A, 100.0) && !offered(&mut sole, B, 5.0));
        assert!(!offered(&mut sole, B, 5.9) && offered(&mut sole, B, 6.1));
    }

    #[test]
    fn a_pause_does_not_keep_others_waiting_for_longer_than_three_of_the_longest_intervals() {
        let mut sole = SoleSender::default();
        assert!(offered(&mut sole, A, 0.0));
        // It had nothing to do for a minute.
        assert!(offered(&mut sole, A, 60.0) && !offered(&mut sole, B, 60.9));
        assert!(offered(&mut sole, B, 61.1), "as much as nothing is known of its intervals");
        // A slow one is given its time, and no more.
        let mut sole = SoleSender::default();
        (0..5).for_each(|k| assert!(offered(&mut sole, A, 4.9 * f64::from(k))));
        assert!(!offered(&mut sole, B, 19.6 + 14.6) && offered(&mut sole, B, 19.6 + 14.8));
    }
}
