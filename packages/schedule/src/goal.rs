//! What happens to the motion when another instruction comes in its midst.

use efm_core::Stamp;

/// The rule for an instruction that comes while another one is being followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnNewGoal {
    /// The policy hears it at its next look; until its chunk comes, the old one is followed, and the two are joined like any others.
    #[default]
    Blend,
    /// The chunk in use is followed to its end; the policy hears the instruction in time for a chunk from there on.
    FinishChunk,
    /// The arm comes to rest first; then the policy looks, and hears the new instruction only.
    StopFirst,
}

impl OnNewGoal {
    /// All of them.
    pub const ALL: [OnNewGoal; 3] = [OnNewGoal::Blend, OnNewGoal::FinishChunk, OnNewGoal::StopFirst];

    /// The names of all.
    pub const NAMES: [&'static str; 3] = [Self::ALL[0].name(), Self::ALL[1].name(), Self::ALL[2].name()];

    /// Name, as in settings.
    pub const fn name(&self) -> &'static str {
        match self {
            OnNewGoal::Blend => "blend",
            OnNewGoal::FinishChunk => "finish_chunk",
            OnNewGoal::StopFirst => "stop_first",
        }
    }
}

impl std::fmt::Display for OnNewGoal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no rule '{0}' for a new instruction; there are blend, finish_chunk and stop_first")]
pub struct UnknownRule(String);

impl std::str::FromStr for OnNewGoal {
    type Err = UnknownRule;

    fn from_str(name: &str) -> Result<Self, UnknownRule> {
        OnNewGoal::ALL.into_iter().find(|rule| rule.name() == name).ok_or_else(|| UnknownRule(name.to_owned()))
    }
}

/// Which instruction: the caller counts them.
pub type GoalId = u64;

/// What is to be done about the motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Nothing: look and follow, for this instruction.
    Follow(GoalId),
    /// Follow what there is, and do not look: a chunk made now would take the place of the one that is to be finished.
    Finish,
    /// Bring the arm to rest (the streamer's cancel), and do not look.
    Stop,
    /// There is no instruction: nothing to look for.
    Nothing,
}

/// Why a chunk is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GoalRefusal {
    /// It was made for an instruction that is not followed any more.
    #[error("the chunk was made for instruction {made_for}; instruction {wanted} is followed by now")]
    Replaced {
        /// Which it was made for.
        made_for: GoalId,
        /// Which is followed.
        wanted: GoalId,
    },
    /// The chunk in use is to be finished first.
    #[error("the chunk in use is followed to its end before instruction {next} is")]
    Finishing {
        /// Which comes then.
        next: GoalId,
    },
    /// The arm comes to rest first.
    #[error("the arm comes to rest before instruction {next} is followed")]
    Stopping {
        /// Which comes then.
        next: GoalId,
    },
    /// There is no instruction.
    #[error("there is no instruction")]
    None,
}

/// The motion, as the switch has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MotionNow {
    /// When the chunk in use is over; none where none is in use.
    pub ends_at: Option<Stamp>,
    /// Whether the arm rests and nothing is sent.
    pub at_rest: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Following,
    Finishing { next: GoalId },
    Stopping { next: GoalId },
}

/// Follows the rule: which instruction the policy is to be told, and which chunks may be followed. Knows no clock; time is passed in.
///
/// Call [`Self::ask`] when an instruction comes, [`Self::update`] before each look and each tick, [`Self::admit`] for each chunk before it is offered.
#[derive(Debug, Clone)]
pub struct GoalSwitch {
    rule: OnNewGoal,
    /// How long before the end of a chunk that is finished the policy looks again, nanoseconds.
    lead: i64,
    goal: Option<GoalId>,
    phase: Phase,
    /// When the newest instruction came, until its first chunk is admitted.
    asked_at: Option<Stamp>,
}

impl GoalSwitch {
    /// A switch without an instruction. `lead_s`: how many seconds before the end of a chunk that is to be finished the policy shall look
    /// for the next one: as long as it takes (see [`crate::DelayEstimator`]). A lead that is no time counts as none.
    pub fn new(rule: OnNewGoal, lead_s: f64) -> Self {
        let mut switch = Self { rule, lead: 0, goal: None, phase: Phase::Following, asked_at: None };
        switch.set_lead(lead_s);
        switch
    }

    /// Changes the lead, see [`Self::new`].
    pub fn set_lead(&mut self, lead_s: f64) {
        self.lead = if lead_s > 0.0 { (lead_s * 1.0e9).round() as i64 } else { 0 };
    }

    /// The rule.
    pub fn rule(&self) -> OnNewGoal {
        self.rule
    }

    /// An instruction comes. The same one again changes nothing; of several that come while the first has to wait, the last counts.
    pub fn ask(&mut self, goal: GoalId, motion: MotionNow, now: Stamp) {
        let newest = match self.phase {
            Phase::Following => self.goal,
            Phase::Finishing { next } | Phase::Stopping { next } => Some(next),
        };
        if newest == Some(goal) {
            return;
        }
        self.asked_at = Some(now);
        // Nothing to finish and nothing to stop.
        let idle = self.goal.is_none() || (motion.at_rest && motion.ends_at.is_none());
        match (self.rule, self.phase) {
            (OnNewGoal::FinishChunk, Phase::Finishing { .. }) => self.phase = Phase::Finishing { next: goal },
            (OnNewGoal::StopFirst, Phase::Stopping { .. }) => self.phase = Phase::Stopping { next: goal },
            (OnNewGoal::FinishChunk, _) if !idle => self.phase = Phase::Finishing { next: goal },
            (OnNewGoal::StopFirst, _) if !idle => self.phase = Phase::Stopping { next: goal },
            _ => self.follow(goal),
        }
    }

    fn follow(&mut self, goal: GoalId) {
        self.goal = Some(goal);
        self.phase = Phase::Following;
    }

    /// There is no instruction any more: it was done, or taken back.
    pub fn clear(&mut self) {
        self.goal = None;
        self.phase = Phase::Following;
        self.asked_at = None;
    }

    /// What is to be done now.
    pub fn update(&mut self, motion: MotionNow, now: Stamp) -> Duty {
        match self.phase {
            Phase::Finishing { next } => {
                if motion.ends_at.is_none_or(|end| now.offset_nanos(self.lead) >= end) {
                    self.follow(next);
                }
            }
            Phase::Stopping { next } if motion.at_rest => self.follow(next),
            Phase::Stopping { .. } | Phase::Following => {}
        }
        match (self.phase, self.goal) {
            (Phase::Finishing { .. }, _) => Duty::Finish,
            (Phase::Stopping { .. }, _) => Duty::Stop,
            (Phase::Following, Some(goal)) => Duty::Follow(goal),
            (Phase::Following, None) => Duty::Nothing,
        }
    }

    /// Whether a chunk that was made for an instruction may be followed. For the first of a new one, says how many seconds passed since
    /// that was given: what it took from the instruction to motion.
    ///
    /// # Errors
    /// When it may not, with the reason.
    pub fn admit(&mut self, made_for: GoalId, now: Stamp) -> Result<Option<f64>, GoalRefusal> {
        match (self.phase, self.goal) {
            (Phase::Finishing { next }, _) => Err(GoalRefusal::Finishing { next }),
            (Phase::Stopping { next }, _) => Err(GoalRefusal::Stopping { next }),
            (Phase::Following, None) => Err(GoalRefusal::None),
            (Phase::Following, Some(wanted)) if wanted != made_for => Err(GoalRefusal::Replaced { made_for, wanted }),
            (Phase::Following, Some(_)) => Ok(self.asked_at.take().map(|asked| now.seconds_since(asked))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: f64) -> Stamp {
        Stamp::from_nanos(1_700_000_000_000_000_000).offset_seconds(seconds)
    }

    fn moving(ends: f64) -> MotionNow {
        MotionNow { ends_at: Some(at(ends)), at_rest: false }
    }

    const RESTING: MotionNow = MotionNow { ends_at: None, at_rest: true };

    /// A switch that follows instruction 1.
    fn following(rule: OnNewGoal) -> GoalSwitch {
        let mut switch = GoalSwitch::new(rule, 0.2);
        switch.ask(1, RESTING, at(0.0));
        assert_eq!(switch.update(RESTING, at(0.0)), Duty::Follow(1));
        assert_eq!(switch.admit(1, at(0.1)).unwrap().map(|s| (1e3 * s).round()), Some(100.0));
        assert_eq!(switch.admit(1, at(0.3)), Ok(None), "only the first chunk of an instruction says how long it took");
        switch
    }

    #[test]
    fn the_first_instruction_is_followed_at_once_whatever_the_rule() {
        for rule in OnNewGoal::ALL {
            following(rule);
            assert_eq!(rule.to_string().parse::<OnNewGoal>().unwrap(), rule);
        }
        assert!("soon".parse::<OnNewGoal>().unwrap_err().to_string().contains("'soon'"));
    }

    #[test]
    fn blend_tells_the_policy_at_once_and_drops_what_was_made_for_the_old_instruction() {
        let mut switch = following(OnNewGoal::Blend);
        switch.ask(2, moving(2.0), at(1.0));
        assert_eq!(switch.update(moving(2.0), at(1.0)), Duty::Follow(2));
        let refusal = switch.admit(1, at(1.1)).unwrap_err();
        assert_eq!(refusal, GoalRefusal::Replaced { made_for: 1, wanted: 2 });
        assert!((switch.admit(2, at(1.3)).unwrap().unwrap() - 0.3).abs() < 1e-9);
    }

    #[test]
    fn finish_chunk_lets_nothing_replace_the_chunk_in_use_and_looks_in_time_before_its_end() {
        let mut switch = following(OnNewGoal::FinishChunk);
        switch.ask(2, moving(2.0), at(1.0));
        assert_eq!(switch.update(moving(2.0), at(1.0)), Duty::Finish);
        assert_eq!(switch.admit(1, at(1.1)), Err(GoalRefusal::Finishing { next: 2 }));
        assert_eq!(switch.update(moving(2.0), at(1.79)), Duty::Finish);
        assert_eq!(switch.update(moving(2.0), at(1.80)), Duty::Follow(2));
        assert!((switch.admit(2, at(2.0)).unwrap().unwrap() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn stop_first_comes_to_rest_before_anything_else() {
        let mut switch = following(OnNewGoal::StopFirst);
        switch.ask(2, moving(2.0), at(1.0));
        assert_eq!(switch.update(moving(2.0), at(1.0)), Duty::Stop);
        let stopping = MotionNow { ends_at: None, at_rest: false };
        assert_eq!(switch.update(stopping, at(1.2)), Duty::Stop);
        assert_eq!(switch.admit(2, at(1.2)), Err(GoalRefusal::Stopping { next: 2 }));
        assert_eq!(switch.update(RESTING, at(1.4)), Duty::Follow(2));
        assert!((switch.admit(2, at(1.7)).unwrap().unwrap() - 0.7).abs() < 1e-9);
    }

    #[test]
    fn the_last_of_several_instructions_counts_and_its_own_time() {
        for rule in [OnNewGoal::FinishChunk, OnNewGoal::StopFirst] {
            let mut switch = following(rule);
            switch.ask(2, moving(2.0), at(1.0));
            switch.ask(3, moving(2.0), at(1.2));
            switch.ask(3, moving(2.0), at(1.3));
            assert_eq!(switch.update(RESTING, at(1.9)), Duty::Follow(3), "{rule}");
            assert!((switch.admit(3, at(2.0)).unwrap().unwrap() - 0.8).abs() < 1e-9);
        }
    }

    #[test]
    fn an_instruction_that_is_taken_back_leaves_nothing_to_follow() {
        let mut switch = following(OnNewGoal::StopFirst);
        switch.ask(2, moving(2.0), at(1.0));
        switch.clear();
        assert_eq!(switch.update(moving(2.0), at(1.0)), Duty::Nothing);
        assert_eq!(switch.admit(1, at(1.0)), Err(GoalRefusal::None));
    }

    proptest! {
        #[test]
        fn only_chunks_for_the_newest_instruction_are_ever_followed_after_it_was_given(
            rule in prop::sample::select(OnNewGoal::ALL.to_vec()),
            events in prop::collection::vec((0_u8..4, 1_u64..5, any::<bool>()), 1..80),
        ) {
            let mut switch = GoalSwitch::new(rule, 0.1);
            let mut newest = None;
            for (i, (what, goal, rests)) in events.into_iter().enumerate() {
                let now = at(0.05 * i as f64);
                let motion = if rests { RESTING } else { moving(0.05 * i as f64 + 0.3) };
                match what {
                    0 => { switch.ask(goal, motion, now); newest = Some(goal); }
                    1 => { let _ = switch.update(motion, now); }
                    _ => if switch.admit(goal, now).is_ok() { prop_assert_eq!(Some(goal), newest); }
                }
            }
            // And in the end the newest is what is followed.
            if let Some(newest) = newest {
                prop_assert_eq!(switch.update(RESTING, at(100.0)), Duty::Follow(newest));
            }
        }
    }
}
