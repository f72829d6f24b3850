//! Goals in words: which sentences are taken, and the life of the one that is followed.
//!
//! A goal is *active* from the moment it is accepted until something reports its success, somebody cancels it, a newer goal
//! replaces it, or its time is up. In every state but active the instruction is empty, which brings the robot to rest.

use crate::words::{codes, is_invisible};
use crate::{Stamp, Text};

/// Longest accepted goal, in bytes of UTF-8. Sentence encoders read some hundred tokens; more is a mistake upstream.
pub const MAX_GOAL_BYTES: usize = 1000;

/// A sentence that was checked: trimmed, not empty, at most [`MAX_GOAL_BYTES`] long, without control characters and
/// without characters that are not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence(String);

/// Why a text is not a goal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GoalRefusal {
    /// Nothing but white space.
    #[error("the goal is empty")]
    Empty,
    /// Longer than [`MAX_GOAL_BYTES`].
    #[error("the goal is {0} bytes long")]
    TooLong(usize),
    /// A control character.
    #[error("the goal has the control character U+{code:04X} at byte {at}")]
    ControlCharacter {
        /// Code point.
        code: u32,
        /// Byte offset.
        at: usize,
    },
    /// A character that is not seen, or that changes the order in which others are shown.
    #[error("the goal has the invisible character U+{code:04X} at byte {at}, which may hide a word")]
    Invisible {
        /// Code point.
        code: u32,
        /// Byte offset.
        at: usize,
    },
}

impl GoalRefusal {
    /// For machines: one of [`codes::CODES`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => codes::GOAL_EMPTY,
            Self::TooLong(_) => codes::GOAL_TOO_LONG,
            Self::ControlCharacter { .. } => codes::GOAL_CONTROL_CHARACTER,
            Self::Invisible { .. } => codes::GOAL_INVISIBLE_CHARACTER,
        }
    }

    /// What to do, for people.
    pub fn remedy(&self) -> Text {
        match self {
            Self::Empty => "say in a sentence what the robot should do (call cancel_goal to stop)".into(),
            Self::TooLong(_) => format!("at most {MAX_GOAL_BYTES} are taken").into(),
            Self::ControlCharacter { .. } | Self::Invisible { .. } => "plain text is taken".into(),
        }
    }
}

impl Sentence {
    /// Checks a text.
    ///
    /// # Errors
    /// See [`GoalRefusal`].
    pub fn new(text: &str) -> Result<Self, GoalRefusal> {
        // Length first, so that a hostile message costs nothing.
        if text.len() > MAX_GOAL_BYTES {
            return Err(GoalRefusal::TooLong(text.len()));
        }
        let text = text.trim();
        if let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_control()) {
            return Err(GoalRefusal::ControlCharacter { code: c.into(), at });
        }
        let hidden = |&(at, c): &(usize, char)| is_invisible(c) && !joins_letters(&text[..at], c);
        if let Some((at, c)) = text.char_indices().find(hidden) {
            return Err(GoalRefusal::Invisible { code: c.into(), at });
        }
        if text.is_empty() {
            return Err(GoalRefusal::Empty);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether it is one of the joiners that Arabic, Persian and the scripts of India write with, behind one of their letters.
fn joins_letters(before: &str, c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
        && before.chars().next_back().is_some_and(|c| ('\u{600}'..'\u{E00}').contains(&c))
}

impl std::fmt::Display for Sentence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a goal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoalEnd {
    /// Something that can tell reported success.
    Succeeded,
    /// Cancelled by its owner.
    Cancelled,
    /// Replaced by a newer goal.
    Replaced,
    /// Its time was up.
    TimedOut,
    /// Whoever kept it ended before it did.
    Aborted,
}

impl GoalEnd {
    /// The word used on `goal_status`.
    pub fn word(self) -> &'static str {
        match self {
            GoalEnd::Succeeded => "succeeded",
            GoalEnd::Cancelled => "cancelled",
            GoalEnd::Replaced => "replaced",
            GoalEnd::TimedOut => "timed_out",
            GoalEnd::Aborted => "aborted",
        }
    }
}

/// An accepted goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// Counts accepted goals.
    pub id: u64,
    /// What was asked.
    pub sentence: Sentence,
    /// When it was accepted, by the clock that the keeper is asked with.
    pub accepted_at: Stamp,
}

/// Keeps at most one active goal. The clock that it is asked with must not be set meanwhile, or goals end too early or too late.
#[derive(Debug)]
pub struct GoalKeeper {
    timeout_nanos: Option<i64>,
    accepted: u64,
    active: Option<Goal>,
}

impl GoalKeeper {
    /// `timeout`: seconds after which an active goal ends; zero or less means never.
    pub fn new(timeout: f64) -> Self {
        let timeout_nanos = (timeout > 0.0).then(|| Stamp::ZERO.offset_seconds(timeout).nanos());
        Self { timeout_nanos, accepted: 0, active: None }
    }

    /// Counts on from here: the goals up to `last` were accepted before this keeper was there.
    #[must_use]
    pub fn after(self, last: u64) -> Self {
        Self { accepted: self.accepted.max(last), ..self }
    }

    /// The id of the goal that was accepted last; 0 before the first.
    pub fn last(&self) -> u64 {
        self.accepted
    }

    /// The active goal.
    pub fn active(&self) -> Option<&Goal> {
        self.active.as_ref()
    }

    /// Takes a goal. Returns the one that it replaces. A refused text changes nothing.
    ///
    /// # Errors
    /// See [`GoalRefusal`].
    pub fn submit(&mut self, text: &str, now: Stamp) -> Result<Option<(Goal, GoalEnd)>, GoalRefusal> {
        Ok(self.take(Sentence::new(text)?, now))
    }

    /// Takes a sentence. Returns the goal that it replaces.
    pub fn take(&mut self, sentence: Sentence, now: Stamp) -> Option<(Goal, GoalEnd)> {
        self.accepted = self.accepted.saturating_add(1);
        let replaced = self.active.replace(Goal { id: self.accepted, sentence, accepted_at: now });
        replaced.map(|goal| (goal, GoalEnd::Replaced))
    }

    /// Ends the active goal at its owner's wish.
    pub fn cancel(&mut self) -> Option<(Goal, GoalEnd)> {
        self.active.take().map(|goal| (goal, GoalEnd::Cancelled))
    }

    /// Something reports that `instruction` was fulfilled. Reports about other sentences are left alone.
    pub fn report_success(&mut self, instruction: &str) -> Option<(Goal, GoalEnd)> {
        if self.active.as_ref()?.sentence.as_str() != instruction.trim() {
            return None;
        }
        self.active.take().map(|goal| (goal, GoalEnd::Succeeded))
    }

    /// Ends the active goal when its time is up.
    pub fn tick(&mut self, now: Stamp) -> Option<(Goal, GoalEnd)> {
        let (timeout, goal) = (self.timeout_nanos?, self.active.as_ref()?);
        if now.nanos_since(goal.accepted_at) < timeout {
            return None;
        }
        self.active.take().map(|goal| (goal, GoalEnd::TimedOut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_huge_and_control_character_goals_are_refused_and_change_nothing() {
        let mut keeper = GoalKeeper::new(0.0);
        keeper.submit("put the red cube left", Stamp::ZERO).unwrap();
        assert_eq!(keeper.submit(" \t ", Stamp::ZERO), Err(GoalRefusal::Empty));
        assert_eq!(keeper.submit(&"a".repeat(100_000), Stamp::ZERO), Err(GoalRefusal::TooLong(100_000)));
        assert_eq!(keeper.submit("stop\u{7}now", Stamp::ZERO), Err(GoalRefusal::ControlCharacter { code: 7, at: 4 }));
        assert_eq!(keeper.active().unwrap().sentence.as_str(), "put the red cube left");
    }

    #[test]
    fn a_goal_ends_by_report_cancel_replacement_or_time() {
        let mut keeper = GoalKeeper::new(10.0);
        keeper.submit("a", Stamp::ZERO).unwrap();
        assert_eq!(keeper.report_success("something else"), None);
        assert_eq!(keeper.report_success("a").unwrap().1, GoalEnd::Succeeded);
        keeper.submit("b", Stamp::ZERO).unwrap();
        let (old, end) = keeper.submit("c", Stamp::ZERO).unwrap().unwrap();
        assert_eq!((old.sentence.as_str(), end), ("b", GoalEnd::Replaced));
        assert_eq!(keeper.tick(Stamp::from_nanos(9_999_999_999)), None);
        assert_eq!(keeper.tick(Stamp::from_nanos(10_000_000_000)).unwrap().1, GoalEnd::TimedOut);
        assert_eq!(keeper.cancel(), None);
    }

    #[test]
    fn ids_go_on_where_a_keeper_before_this_one_ended() {
        let mut keeper = GoalKeeper::new(0.0).after(41);
        keeper.submit("a", Stamp::ZERO).unwrap();
        assert_eq!((keeper.active().unwrap().id, keeper.last()), (42, 42));
        let mut full = GoalKeeper::new(0.0).after(u64::MAX);
        full.submit("a", Stamp::ZERO).unwrap();
        assert_eq!(full.last(), u64::MAX);
    }

    #[test]
    fn what_is_not_seen_is_refused_and_what_a_script_needs_is_taken() {
        for (text, code, at) in
            [("put\u{200B} it left", 0x200B, 3), ("\u{202E}tfel ti tup", 0x202E, 0), ("red \u{E0041}cube", 0xE0041, 4)]
        {
            assert_eq!(Sentence::new(text), Err(GoalRefusal::Invisible { code, at }));
        }
        // Persian "I want" is written with a joiner that is not seen.
        assert!(Sentence::new("\u{645}\u{6CC}\u{200C}\u{62E}\u{648}\u{627}\u{647}\u{645}").is_ok());
    }

    #[test]
    fn non_ascii_sentences_are_taken() {
        assert_eq!(
            Sentence::new(" lege den roten Würfel nach links ").unwrap().as_str(),
            "lege den roten Würfel nach links"
        );
    }
}
