//! The desk where goals are handed in: from events to what `instruction` and `goal_status` must say.

use efm_core::Stamp;
use efm_core::goal::{Goal, GoalEnd, GoalKeeper};
use serde::Serialize;

/// Longest part of a refused goal that is repeated in its status, characters.
const SHOWN: usize = 80;

/// One message on `goal_status`, as JSON: `{"id": 3, "goal": "...", "state": "succeeded", "reason": "..."}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Counts accepted goals, from 1; `null` for a refused one.
    pub id: Option<u64>,
    /// The sentence. Shortened when it was refused.
    pub goal: String,
    /// accepted, active, succeeded, cancelled, replaced, timed_out or refused.
    pub state: &'static str,
    /// Why, in words; may be empty.
    pub reason: String,
}

impl Status {
    /// As JSON.
    pub fn json(&self) -> String {
        // Strings and a number always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn of(goal: &Goal, state: &'static str, reason: impl Into<String>) -> Self {
        Self { id: Some(goal.id), goal: goal.sentence.to_string(), state, reason: reason.into() }
    }
}

/// What must be told after an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct News {
    /// What `instruction` must say from now on; `None` when it stays as it is. Empty: no goal.
    pub instruction: Option<String>,
    /// For `goal_status`, in this order.
    pub statuses: Vec<Status>,
}

/// What a task reports about itself on `task_status`. Other fields are left alone.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct TaskReport {
    /// The sentence that the task belongs to.
    pub instruction: String,
    /// Whether it is done.
    pub success: bool,
}

/// Keeps the goal and tells what follows from each event.
#[derive(Debug)]
pub struct GoalDesk {
    keeper: GoalKeeper,
    timeout: f64,
}

impl GoalDesk {
    /// `timeout`: seconds after which an active goal ends; 0 means never.
    pub fn new(timeout: f64) -> Self {
        Self { keeper: GoalKeeper::new(timeout), timeout }
    }

    /// The active goal.
    pub fn active(&self) -> Option<&Goal> {
        self.keeper.active()
    }

    /// Somebody hands in a text. When it is refused, the active goal stays as it is.
    pub fn submit(&mut self, text: &str, now: Stamp) -> News {
        let replaced = match self.keeper.submit(text, now) {
            Ok(replaced) => replaced,
            Err(reason) => {
                let goal = shorten(text);
                let refused = Status { id: None, goal, state: "refused", reason: reason.to_string() };
                return News { instruction: None, statuses: vec![refused] };
            }
        };
        let mut news = News::default();
        if let (Some((old, end)), Some(new)) = (replaced, self.keeper.active()) {
            news.statuses.push(Status::of(&old, end.word(), format!("goal {} came", new.id)));
        }
        if let Some(goal) = self.keeper.active() {
            news.statuses.push(Status::of(goal, "accepted", ""));
            news.statuses.push(Status::of(goal, "active", ""));
            news.instruction = Some(goal.sentence.to_string());
        }
        news
    }

    /// The owner takes the goal back. `None` when there is none.
    pub fn cancel(&mut self) -> Option<News> {
        self.keeper.cancel().map(|ended| Self::ended(&ended, "cancel_goal was called".to_owned()))
    }

    /// A task reports. Reports from before the goal was accepted, and about other sentences, change nothing.
    pub fn report(&mut self, report: &TaskReport, received: Stamp) -> Option<News> {
        if !report.success || received < self.keeper.active()?.accepted_at {
            return None;
        }
        let ended = self.keeper.report_success(&report.instruction)?;
        Some(Self::ended(&ended, "task_status reports success".to_owned()))
    }

    /// Time passes.
    pub fn tick(&mut self, now: Stamp) -> Option<News> {
        let ended = self.keeper.tick(now)?;
        Some(Self::ended(&ended, format!("not done within {} s (parameter goal_timeout)", self.timeout)))
    }

    fn ended((goal, end): &(Goal, GoalEnd), reason: String) -> News {
        News { instruction: Some(String::new()), statuses: vec![Status::of(goal, end.word(), reason)] }
    }
}

/// The beginning of a text, for people; control characters are left to the JSON to escape.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn states(news: &News) -> Vec<&str> {
        news.statuses.iter().map(|s| s.state).collect()
    }

    fn at(seconds: i64) -> Stamp {
        Stamp::from_nanos(seconds * 1_000_000_000)
    }

    fn report(instruction: &str, success: bool) -> TaskReport {
        TaskReport { instruction: instruction.into(), success }
    }

    #[test]
    fn a_goal_is_accepted_active_and_succeeds_when_its_task_says_so() {
        let mut desk = GoalDesk::new(0.0);
        let news = desk.submit("put it left", at(1));
        assert_eq!((states(&news), news.instruction.as_deref()), (vec!["accepted", "active"], Some("put it left")));
        assert_eq!(desk.report(&report("put it left", false), at(2)), None);
        assert_eq!(desk.report(&report("something else", true), at(2)), None);
        let news = desk.report(&report("put it left", true), at(2)).unwrap();
        assert_eq!((states(&news), news.instruction.as_deref()), (vec!["succeeded"], Some("")));
        assert_eq!(news.statuses[0].id, Some(1));
    }

    #[test]
    fn a_report_from_before_the_goal_does_not_fulfil_it() {
        let mut desk = GoalDesk::new(0.0);
        desk.submit("put it left", at(5));
        assert_eq!(desk.report(&report("put it left", true), at(4)), None);
        assert!(desk.active().is_some());
    }

    #[test]
    fn a_refused_goal_is_reported_with_its_reason_and_the_active_one_stays() {
        let mut desk = GoalDesk::new(0.0);
        desk.submit("put it left", at(1));
        for (text, word) in [("", "empty"), (&*"x".repeat(100_000), "100000 bytes"), ("a\u{0}b", "U+0000")] {
            let news = desk.submit(text, at(2));
            assert_eq!((states(&news), news.instruction.clone()), (vec!["refused"], None));
            assert!(news.statuses[0].reason.contains(word), "{:?}", news.statuses[0]);
            let json = news.statuses[0].json();
            assert!(json.len() < 400 && !json.contains('\0'), "{json}");
        }
        assert_eq!(desk.active().unwrap().sentence.as_str(), "put it left");
    }

    #[test]
    fn replaced_cancelled_and_timed_out_goals_say_so() {
        let mut desk = GoalDesk::new(10.0);
        desk.submit("a", at(0));
        let news = desk.submit("b", at(1));
        assert_eq!((states(&news), news.instruction.as_deref()), (vec!["replaced", "accepted", "active"], Some("b")));
        assert_eq!(desk.tick(at(10)), None);
        let news = desk.tick(at(11)).unwrap();
        assert_eq!((states(&news), news.instruction.as_deref()), (vec!["timed_out"], Some("")));
        assert_eq!(desk.cancel(), None);
        desk.submit("c", at(12));
        assert_eq!(states(&desk.cancel().unwrap()), ["cancelled"]);
    }
}
