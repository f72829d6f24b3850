//! From one instruction to the next: which chunks may be followed, and what is to be done about the motion meanwhile.
//!
//! Chunks do not say which instruction they were made for. `vla_inference` makes none for an old one from an observation that is newer than the
//! new one, so the time of a chunk's observation tells.

use crate::reasons::{self, refused};
use efm_core::{Reason, Stamp};
use efm_schedule::{Duty, GoalId, GoalRefusal, GoalSwitch, MotionNow, OnNewGoal};

/// Until it is known how often chunks come, this long before the end of a chunk that is to be finished one for the next instruction is
/// taken, s.
const LEAD: f64 = 0.2;
/// However seldom chunks come, no longer before, s.
const LONGEST_LEAD: f64 = 1.0;

/// What an instruction is to the motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is the one that there was.
    Same,
    /// Nothing of before may be followed any more: the arm comes to rest, unless a chunk for this one comes first.
    Anew,
    /// The motion for the one before goes on, as the rule has it.
    Ruled,
}

/// Knows the instruction, and the one before as long as that is followed.
#[derive(Debug)]
pub struct GoalChange {
    switch: GoalSwitch,
    text: Option<String>,
    /// Counts instructions; zero before the first.
    goal: GoalId,
    /// When the instruction came.
    asked_at: Stamp,
    /// The one before, until a chunk for the new one is followed.
    before: Option<String>,
    /// Whether a chunk for the instruction has yet to be followed.
    awaited: bool,
    /// Chunks of earlier observations are void.
    from: Stamp,
    stopping: bool,
    last_chunk: Option<Stamp>,
}

impl GoalChange {
    /// Nothing was said yet: then everything may be followed.
    pub fn new(rule: OnNewGoal) -> Self {
        Self {
            switch: GoalSwitch::new(rule, LEAD),
            text: None,
            goal: 0,
            asked_at: Stamp::ZERO,
            before: None,
            awaited: false,
            from: Stamp::ZERO,
            stopping: false,
            last_chunk: None,
        }
    }

    /// The instruction; empty where there is no goal, none before the first.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The instruction before, as long as motion for it may go on.
    pub fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// An instruction came.
    pub fn ask(&mut self, text: &str, motion: MotionNow, now: Stamp) -> Change {
        if self.text.as_deref() == Some(text) {
            return Change::Same;
        }
        let before = self.text.replace(text.to_owned()).filter(|before| !before.is_empty());
        (self.awaited, self.stopping) = (false, false);
        if text.is_empty() {
            self.switch.clear();
            self.before = None;
            return Change::Anew;
        }
        self.goal += 1;
        (self.asked_at, self.awaited) = (now, true);
        self.switch.ask(self.goal, motion, now);
        if before.is_none() || motion.at_rest {
            self.before = None;
            return Change::Anew;
        }
        // Of several that come in a row the first is still what the arm moves for.
        if self.before.is_none() {
            self.before = before;
        }
        Change::Ruled
    }

    /// To be asked in each tick. True when the arm has to be brought to rest now.
    pub fn must_stop(&mut self, motion: MotionNow, now: Stamp) -> bool {
        self.heed_clock(now);
        let duty = self.switch.update(motion, now);
        let begun = duty == Duty::Stop && !self.stopping;
        if self.stopping && duty != Duty::Stop {
            // The policy looks again from here, not on the way.
            self.from = now;
        }
        self.stopping = duty == Duty::Stop;
        begun
    }

    /// Whether a chunk of this observation may be followed.
    ///
    /// # Errors
    /// When it may not: why.
    pub fn admit(&mut self, observed: Stamp, motion: MotionNow, now: Stamp) -> Result<(), Reason> {
        match self.text.as_deref() {
            None => return Ok(()),
            Some("") => return Err(refused(reasons::NO_GOAL, "there is no goal", "")),
            Some(_) => {}
        }
        self.heed_clock(now);
        if let Some(last) = self.last_chunk.replace(observed)
            && observed > last
        {
            // The next one would come after the end.
            self.switch.set_lead(observed.seconds_since(last).min(LONGEST_LEAD));
        }
        if observed < self.from {
            let words = "the chunk was made from an observation before the arm came to rest";
            return Err(refused(reasons::CHUNK_BEFORE_REST, words, ""));
        }
        self.switch.update(motion, now);
        let made_for = if observed >= self.asked_at { self.goal } else { self.goal - 1 };
        self.switch.admit(made_for, now).map(|_| ()).map_err(|refusal| refused(code(&refusal), refusal.to_string(), ""))
    }

    /// A chunk of this observation is followed now. For the first of an instruction, the seconds since that came.
    pub fn follows(&mut self, observed: Stamp, now: Stamp) -> Option<f64> {
        if !self.awaited || observed < self.asked_at {
            return None;
        }
        self.awaited = false;
        self.before = None;
        Some(now.seconds_since(self.asked_at))
    }

    /// Where the clock was set back, what was remembered of times is void.
    fn heed_clock(&mut self, now: Stamp) {
        if now < self.asked_at.max(self.from) {
            (self.asked_at, self.from, self.last_chunk) = (Stamp::ZERO, Stamp::ZERO, None);
        }
    }
}

/// For machines: why a chunk is dropped.
fn code(refusal: &GoalRefusal) -> &'static str {
    match refusal {
        GoalRefusal::Replaced { .. } => reasons::CHUNK_OF_ANOTHER_GOAL,
        GoalRefusal::Finishing { .. } => reasons::GOAL_FINISHES_FIRST,
        GoalRefusal::Stopping { .. } => reasons::GOAL_STOPS_FIRST,
        GoalRefusal::None => reasons::NO_GOAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: i64) -> Stamp {
        Stamp::from_nanos(1_000_000_000_000 + ms * 1_000_000)
    }

    /// Milliseconds from the instruction to motion.
    fn took(change: &mut GoalChange, observed: i64, now: i64) -> Option<i64> {
        change.follows(ms(observed), ms(now)).map(|s| (1e3 * s).round() as i64)
    }

    const RESTS: MotionNow = MotionNow { ends_at: None, at_rest: true };

    fn moves(end: i64) -> MotionNow {
        MotionNow { ends_at: Some(ms(end)), at_rest: false }
    }

    /// Moves for the instruction "one" since 0; a chunk came every 200 ms.
    fn moving(rule: OnNewGoal) -> GoalChange {
        let mut change = GoalChange::new(rule);
        assert_eq!(change.admit(ms(-5), RESTS, ms(-1)), Ok(()), "without instructions all is followed");
        assert_eq!(change.ask("one", RESTS, ms(0)), Change::Anew);
        assert!(change.admit(ms(-1), RESTS, ms(10)).is_err(), "observed before");
        assert_eq!(change.admit(ms(10), RESTS, ms(50)), Ok(()));
        assert_eq!(took(&mut change, 10, 60), Some(60));
        assert_eq!(change.follows(ms(10), ms(70)), None);
        assert_eq!(change.admit(ms(210), moves(1600), ms(250)), Ok(()));
        assert_eq!(change.ask("one", moves(1800), ms(300)), Change::Same);
        change
    }

    #[test]
    fn blended_the_old_motion_goes_on_until_a_chunk_for_the_new_instruction_is_followed() {
        let mut change = moving(OnNewGoal::Blend);
        assert_eq!(change.ask("two", moves(1800), ms(400)), Change::Ruled);
        assert!(!change.must_stop(moves(1800), ms(410)));
        assert_eq!(change.before(), Some("one"));
        let refusal = change.admit(ms(390), moves(1800), ms(430)).unwrap_err();
        assert!(refusal.text.contains("instruction") && refusal.code == reasons::CHUNK_OF_ANOTHER_GOAL, "{refusal:?}");
        assert_eq!(change.admit(ms(420), moves(1800), ms(460)), Ok(()));
        assert_eq!((took(&mut change, 210, 465), took(&mut change, 420, 470)), (None, Some(70)));
        assert_eq!(change.before(), None);
    }

    #[test]
    fn a_chunk_that_is_to_be_finished_is_replaced_by_the_last_that_comes_in_time() {
        let mut change = moving(OnNewGoal::FinishChunk);
        assert_eq!(change.ask("two", moves(1800), ms(400)), Change::Ruled);
        for k in 0..6 {
            let at = 420 + 200 * k;
            assert!(change.admit(ms(at), moves(1800), ms(at + 40)).is_err(), "{at}");
            assert!(!change.must_stop(moves(1800), ms(at + 50)));
        }
        assert_eq!(change.admit(ms(1620), moves(1800), ms(1660)), Ok(()));
        assert_eq!(took(&mut change, 1620, 1670), Some(1270));
    }

    #[test]
    fn stopped_first_the_arm_follows_what_was_seen_at_rest() {
        let mut change = moving(OnNewGoal::StopFirst);
        assert_eq!(change.ask("two", moves(1800), ms(400)), Change::Ruled);
        let stopping = MotionNow { ends_at: None, at_rest: false };
        assert!(change.must_stop(moves(1800), ms(410)) && !change.must_stop(stopping, ms(420)));
        assert!(change.admit(ms(420), stopping, ms(460)).is_err());
        assert!(!change.must_stop(RESTS, ms(700)));
        let refusal = change.admit(ms(640), RESTS, ms(710)).unwrap_err();
        assert!(refusal.text.contains("came to rest") && refusal.code == reasons::CHUNK_BEFORE_REST, "{refusal:?}");
        assert_eq!(change.admit(ms(720), RESTS, ms(760)), Ok(()));
        assert_eq!(took(&mut change, 720, 770), Some(370));
    }

    #[test]
    fn an_instruction_that_is_taken_back_ends_all_motion_whatever_the_rule() {
        for rule in OnNewGoal::ALL {
            let mut change = moving(rule);
            assert_eq!(change.ask("", moves(1800), ms(400)), Change::Anew);
            let refusal = change.admit(ms(410), moves(1800), ms(450)).unwrap_err();
            assert_eq!((&*refusal.text, refusal.code), ("there is no goal", reasons::NO_GOAL));
            assert_eq!(change.ask("two", RESTS, ms(900)), Change::Anew);
            assert_eq!(change.admit(ms(910), RESTS, ms(950)), Ok(()));
        }
    }

    #[test]
    fn after_the_clock_was_set_back_chunks_are_followed_again() {
        let mut change = moving(OnNewGoal::StopFirst);
        change.ask("two", moves(1800), ms(400));
        assert_eq!(change.admit(ms(-90_000), RESTS, ms(-89_960)), Ok(()));
    }

    #[test]
    fn of_several_instructions_in_a_row_the_last_counts_and_the_limits_of_what_moves_hold() {
        let mut change = moving(OnNewGoal::FinishChunk);
        assert_eq!(change.ask("two", moves(1800), ms(400)), Change::Ruled);
        assert_eq!(change.ask("three", moves(1800), ms(500)), Change::Ruled);
        assert_eq!((change.before(), change.text()), (Some("one"), Some("three")));
        assert_eq!(change.admit(ms(1790), moves(1800), ms(1795)), Ok(()));
        assert_eq!(took(&mut change, 1790, 1800), Some(1300));
    }

    #[test]
    fn at_rest_or_without_an_instruction_before_the_next_one_begins_anew_whatever_the_rule() {
        for rule in OnNewGoal::ALL {
            let mut change = moving(rule);
            assert_eq!(change.ask("two", RESTS, ms(2000)), Change::Anew);
            assert_eq!(change.before(), None);
            let mut change = GoalChange::new(rule);
            assert_eq!(change.ask("one", moves(1800), ms(0)), Change::Anew);
            assert_eq!(change.before(), None);
        }
    }

    #[test]
    fn how_long_before_its_end_a_chunk_is_replaced_is_how_far_apart_chunks_are() {
        // They come every half second: the one of 1400 is the last that comes in time.
        let mut change = moving(OnNewGoal::FinishChunk);
        for at in [700, 1200] {
            assert_eq!(change.admit(ms(at), moves(1800), ms(at + 40)), Ok(()), "of the instruction before");
        }
        assert_eq!(change.ask("two", moves(1800), ms(1250)), Change::Ruled);
        assert!(change.admit(ms(1260), moves(1800), ms(1290)).is_err());
        // The same one once more, and an older one: they say nothing of how far apart chunks are.
        assert!(change.admit(ms(1260), moves(1800), ms(1300)).is_err());
        assert!(change.admit(ms(1255), moves(1800), ms(1310)).is_err());
        assert_eq!(change.admit(ms(1755), moves(1800), ms(1790)), Ok(()));
    }

    #[test]
    fn what_was_seen_in_the_moment_of_rest_or_of_the_instruction_counts() {
        let mut change = moving(OnNewGoal::StopFirst);
        change.ask("two", moves(1800), ms(400));
        // The clock stands still for a tick: it was not set back.
        assert!(change.must_stop(moves(1800), ms(400)));
        assert!(!change.must_stop(RESTS, ms(700)));
        assert!(change.admit(ms(699), RESTS, ms(705)).is_err());
        assert_eq!(change.admit(ms(700), RESTS, ms(710)), Ok(()));
        assert_eq!(took(&mut change, 700, 720), Some(320));
        let mut change = moving(OnNewGoal::Blend);
        change.ask("two", moves(1800), ms(400));
        assert_eq!(change.admit(ms(400), moves(1800), ms(430)), Ok(()));
        assert_eq!(took(&mut change, 400, 440), Some(40));
    }
}
