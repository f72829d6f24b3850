//! The desk where goals are handed in: from events to what `instruction` and `goal_status` must say.
//!
//! A text is looked at before it becomes a goal ([`efm_core::words`]): one that asks to stop cancels, one that forbids something or names nothing that the
//! policy knows is refused. Whatever it is, it is told once: accepted, refused or cancelled.

pub mod arm;
pub mod intake;
pub mod kept;

use efm_core::goal::{Goal, GoalEnd, GoalKeeper};
use efm_core::reading::beginning;
use efm_core::words::{Heard, Lexicon, StopWords, Understood, hear};
use efm_core::{Reason, Stamp};
use serde::Serialize;
use std::borrow::Cow;

/// Longest part of a refused goal that is repeated in its status, characters.
const SHOWN: usize = 80;

/// One message on `goal_status`, as JSON: `{"id": 3, "goal": "...", "state": "succeeded", "reason": "...", "code": null, "remedy": "", "understood": null}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Counts accepted goals, over restarts too; `null` for a refused one, and for a stop while no goal was active.
    pub id: Option<u64>,
    /// The sentence. Shortened when it was refused.
    pub goal: String,
    /// accepted, active, held, succeeded, cancelled, replaced, timed_out, aborted or refused.
    pub state: &'static str,
    /// Why, in words, and what to do; may be empty.
    pub reason: String,
    /// Of refused, held and aborted: why, for machines. `null` in other states.
    pub code: Option<Cow<'static, str>>,
    /// Of refused, held and aborted: what to do, as the reason says it, too; may be empty.
    pub remedy: String,
    /// With accepted and active: what was understood, in the words of the policy's package; `null` where it lists none.
    pub understood: Option<Understood>,
}

impl Status {
    /// As JSON.
    pub fn json(&self) -> String {
        // Strings and a number always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn of(goal: &Goal, state: &'static str, reason: impl Into<String>) -> Self {
        let (id, goal, reason) = (Some(goal.id), goal.sentence.to_string(), reason.into());
        Self { id, goal, state, reason, code: None, remedy: String::new(), understood: None }
    }

    /// Of no goal.
    fn of_text(text: &str, state: &'static str, reason: String) -> Self {
        let goal = shorten(text);
        Self { id: None, goal, state, reason, code: None, remedy: String::new(), understood: None }
    }

    /// Of a goal of this id that nobody keeps any more.
    pub fn aborted(id: u64, goal: &str, why: &Reason) -> Self {
        Self {
            id: Some(id),
            goal: goal.to_owned(),
            state: GoalEnd::Aborted.word(),
            reason: why.in_words(),
            code: Some(why.code.into()),
            remedy: why.remedy.to_string(),
            understood: None,
        }
    }

    /// Whether the goal goes on; nothing where this is of none.
    pub fn goes_on(&self) -> Option<bool> {
        self.id.map(|_| matches!(self.state, "accepted" | "active" | "held"))
    }
}

/// Why nothing moves for a goal, although it is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// For machines, as the diagnostics have it.
    pub code: String,
    /// In words, with what to do.
    pub words: String,
    /// What to do; may be empty.
    pub remedy: String,
}

/// What must be told after an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct News {
    /// What `instruction` must say from now on; `None` when it stays as it is. Empty: no goal.
    pub instruction: Option<String>,
    /// For `goal_status`, in this order.
    pub statuses: Vec<Status>,
    /// Why the text was refused, where it was.
    pub refused: Option<Reason>,
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
    stops: StopWords,
    /// What the policy knows; an error where that cannot be told, and nothing is taken.
    lexicon: Result<Option<Lexicon>, Reason>,
    /// Why nothing moves, whether there is a goal or not.
    hold: Option<Hold>,
    /// The code with which it was told that the active goal is held, while it is.
    held: Option<String>,
}

impl GoalDesk {
    /// `timeout`: seconds after which an active goal ends; 0 means never. The usual words stop, and no package is asked what it knows.
    pub fn new(timeout: f64) -> Self {
        Self {
            keeper: GoalKeeper::new(timeout),
            timeout,
            stops: StopWords::default(),
            lexicon: Ok(None),
            hold: None,
            held: None,
        }
    }

    /// With goals up to this id behind it, which another one took.
    #[must_use]
    pub fn after(self, last: u64) -> Self {
        Self { keeper: self.keeper.after(last), ..self }
    }

    /// With these words of stopping, for a policy that knows this; where that is an error, every goal is refused with it.
    #[must_use]
    pub fn with_words(self, stops: StopWords, lexicon: Result<Option<Lexicon>, Reason>) -> Self {
        Self { stops, lexicon, ..self }
    }

    /// Why no goal can be taken.
    pub fn trouble(&self) -> Option<&Reason> {
        self.lexicon.as_ref().err()
    }

    /// Whether goals are compared with what a policy knows.
    pub fn compares(&self) -> bool {
        matches!(self.lexicon, Ok(Some(_)))
    }

    /// The active goal.
    pub fn active(&self) -> Option<&Goal> {
        self.keeper.active()
    }

    /// Why the active goal is held, where that was told.
    pub fn held(&self) -> Option<&Hold> {
        self.held.as_ref().and(self.hold.as_ref())
    }

    /// The id of the goal that was accepted last.
    pub fn last(&self) -> u64 {
        self.keeper.last()
    }

    /// Why nothing moves from now on; none: nothing that is known. The same reason with other figures is no news.
    pub fn hold(&mut self, hold: Option<Hold>) -> Option<News> {
        self.hold = hold;
        self.tell_hold()
    }

    fn tell_hold(&mut self) -> Option<News> {
        let goal = self.keeper.active()?;
        let status = match &self.hold {
            Some(hold) if self.held.as_deref() == Some(&hold.code) => return None,
            Some(hold) => Status {
                code: Some(hold.code.clone().into()),
                remedy: hold.remedy.clone(),
                ..Status::of(goal, "held", hold.words.clone())
            },
            None if self.held.is_none() => return None,
            None => Status::of(goal, "active", "it goes on"),
        };
        self.held = self.hold.as_ref().map(|hold| hold.code.clone());
        Some(News { statuses: vec![status], ..News::default() })
    }

    /// Somebody hands in a text. When it is refused, the active goal stays as it is; when it asks to stop, that is cancelled.
    pub fn submit(&mut self, text: &str, now: Stamp) -> News {
        let lexicon = self.lexicon.as_ref().ok().and_then(Option::as_ref);
        let refuse = |reason: Reason| {
            let status = Status::of_text(text, "refused", reason.in_words());
            let statuses = vec![Status { code: Some(reason.code.into()), remedy: reason.remedy.to_string(), ..status }];
            News { instruction: None, statuses, refused: Some(reason) }
        };
        let (sentence, understood) = match hear(text, &self.stops, lexicon) {
            Heard::Stop(said) => return self.stop(text, &said),
            Heard::Refused(refusal) => return refuse(refusal.reason()),
            Heard::Goal(sentence, understood) => (sentence, understood),
        };
        if let Err(trouble) = &self.lexicon {
            return refuse(trouble.clone());
        }
        let replaced = self.keeper.take(sentence, now);
        let mut news = News::default();
        if let (Some((old, end)), Some(new)) = (replaced, self.keeper.active()) {
            news.statuses.push(Status::of(&old, end.word(), format!("goal {} came", new.id)));
        }
        if let Some(goal) = self.keeper.active() {
            for state in ["accepted", "active"] {
                news.statuses.push(Status { understood: understood.clone(), ..Status::of(goal, state, "") });
            }
            news.instruction = Some(goal.sentence.to_string());
        }
        // Of this one it was not told yet.
        self.held = None;
        news.statuses.extend(self.tell_hold().into_iter().flat_map(|told| told.statuses));
        news
    }

    /// Cancels, and answers where there is nothing to cancel. The empty instruction is said again in any case: whoever wants the robot to stop is not to
    /// depend on what we think that it does.
    fn stop(&mut self, text: &str, said: &str) -> News {
        let reason = format!("\"{}\" was said, and '{said}' asks to stop (parameter stop_words)", shorten(text));
        match self.keeper.cancel() {
            Some(ended) => self.ended(&ended, reason),
            None => {
                let status = Status::of_text(text, "cancelled", format!("{reason}; no goal was active"));
                News { instruction: Some(String::new()), statuses: vec![status], refused: None }
            }
        }
    }

    /// The owner takes the goal back. `None` when there is none.
    pub fn cancel(&mut self) -> Option<News> {
        self.keeper.cancel().map(|ended| self.ended(&ended, "cancel_goal was called".to_owned()))
    }

    /// A task reports, received at this time of the clock that goals are submitted by. Reports from before the goal was accepted, and about other sentences, change nothing.
    pub fn report(&mut self, report: &TaskReport, received: Stamp) -> Option<News> {
        if !report.success || received < self.keeper.active()?.accepted_at {
            return None;
        }
        let ended = self.keeper.report_success(&report.instruction)?;
        Some(self.ended(&ended, "task_status reports success".to_owned()))
    }

    /// Time passes.
    pub fn tick(&mut self, now: Stamp) -> Option<News> {
        let ended = self.keeper.tick(now)?;
        Some(self.ended(&ended, format!("not done within {} s (parameter goal_timeout)", self.timeout)))
    }

    fn ended(&mut self, (goal, end): &(Goal, GoalEnd), reason: String) -> News {
        self.held = None;
        let statuses = vec![Status::of(goal, end.word(), reason)];
        News { instruction: Some(String::new()), statuses, refused: None }
    }
}

/// The beginning of a text, for people.
pub(crate) fn shorten(text: &str) -> String {
    beginning(text, SHOWN)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::reasons::{self, wrong};
    use efm_core::words::codes;
    use proptest::prelude::*;

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
        for (text, word, code) in [
            ("", "empty", codes::GOAL_EMPTY),
            (&*"x".repeat(100_000), "100000 bytes", codes::GOAL_TOO_LONG),
            ("a\u{0}b", "U+0000", codes::GOAL_CONTROL_CHARACTER),
        ] {
            let news = desk.submit(text, at(2));
            assert_eq!((states(&news), news.instruction.clone()), (vec!["refused"], None));
            assert!(news.statuses[0].reason.contains(word), "{:?}", news.statuses[0]);
            let json = news.statuses[0].json();
            assert!(json.len() < 400 && !json.contains('\0'), "{json}");
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            let refused = news.refused.as_ref().unwrap();
            assert_eq!((&json["code"], refused.code), (&code.into(), code));
            assert_eq!(json["remedy"], *refused.remedy);
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

    fn knowing() -> GoalDesk {
        let names = |of: &[&str]| of.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
        let lexicon =
            Lexicon::new(&names(&["red cube", "blue can"]), &names(&["left", "push"]), &names(&["put"]), false)
                .unwrap();
        GoalDesk::new(0.0).with_words(StopWords::default(), Ok(Some(lexicon)))
    }

    #[test]
    fn who_asks_to_stop_cancels_the_goal_and_is_answered_where_there_is_none() {
        for mut desk in [GoalDesk::new(0.0), knowing()] {
            desk.submit("push the red cube", at(1));
            let news = desk.submit("STOP!!!", at(2));
            assert_eq!((states(&news), news.instruction.as_deref()), (vec!["cancelled"], Some("")));
            let status = &news.statuses[0];
            assert_eq!((status.id, status.goal.as_str()), (Some(1), "push the red cube"));
            assert!(status.reason.contains("STOP!!!") && status.reason.contains("stop_words"), "{}", status.reason);
            assert_eq!(desk.active(), None);
            let news = desk.submit("do nothing", at(3));
            assert_eq!((states(&news), news.instruction.as_deref()), (vec!["cancelled"], Some("")));
            assert_eq!((news.statuses[0].id, news.statuses[0].goal.as_str()), (None, "do nothing"));
            assert!(news.statuses[0].reason.contains("no goal was active"));
        }
    }

    #[test]
    fn what_was_understood_is_told_and_what_was_not_is_refused_and_changes_nothing() {
        let mut desk = knowing();
        let news = desk.submit("put the red cube left", at(1));
        assert_eq!(states(&news), ["accepted", "active"]);
        let json: serde_json::Value = serde_json::from_str(&news.statuses[0].json()).unwrap();
        let understood = serde_json::json!({"objects": ["red cube"], "goals": ["left"], "verbs": ["put"]});
        assert_eq!(json["understood"], understood);
        assert_eq!((&json["code"], news.refused), (&serde_json::Value::Null, None));
        for (text, word, code) in [
            ("hello", "red cube", codes::GOAL_NAMES_NOTHING),
            ("do not push the red cube", "'not'", codes::GOAL_NEGATED),
            ("push the r\u{435}d cube", "alphabets", codes::GOAL_TWO_ALPHABETS),
            ("push the red\u{200B} cube", "U+200B", codes::GOAL_INVISIBLE_CHARACTER),
            ("is the red cube heavy?", "question", codes::GOAL_QUESTION),
            ("???", "no words", codes::GOAL_WITHOUT_WORDS),
        ] {
            let news = desk.submit(text, at(2));
            assert_eq!((states(&news), news.instruction.clone()), (vec!["refused"], None), "{text}");
            let status = &news.statuses[0];
            let told = status.code.as_deref();
            assert!(status.reason.contains(word) && told == Some(code), "{text}: {status:?}");
            let refused = news.refused.unwrap();
            assert!(!refused.remedy.is_empty() && status.reason.ends_with(&*refused.remedy), "{refused:?}");
            assert_eq!(desk.active().unwrap().sentence.as_str(), "put the red cube left");
        }
    }

    #[test]
    fn where_it_cannot_be_known_what_the_policy_knows_goals_are_refused_and_a_stop_still_stops() {
        let mut desk = GoalDesk::new(0.0)
            .with_words(StopWords::default(), Err(wrong(reasons::POLICY_NOT_FOUND, "there is no policy", "name one")));
        let news = desk.submit("push the red cube", at(1));
        assert_eq!((states(&news), news.instruction.clone()), (vec!["refused"], None));
        assert_eq!(news.statuses[0].reason, "there is no policy; name one");
        assert_eq!(news.statuses[0].code.as_deref(), Some(reasons::POLICY_NOT_FOUND));
        assert_eq!(states(&desk.submit("stop", at(2))), ["cancelled"]);
    }

    fn hold(code: &str) -> Option<Hold> {
        let (words, remedy) = (format!("at rest: {code}; call ~/resume"), "call ~/resume".to_owned());
        Some(Hold { code: code.to_owned(), words, remedy })
    }

    #[test]
    fn a_goal_for_which_nothing_moves_is_held_with_why_and_what_to_do_and_active_again_after() {
        let mut desk = GoalDesk::new(10.0);
        assert_eq!(desk.hold(None), None);
        desk.submit("push it", at(1));
        let news = desk.hold(hold("tracking")).unwrap();
        assert_eq!((states(&news), news.instruction.as_deref()), (vec!["held"], None));
        let json: serde_json::Value = serde_json::from_str(&news.statuses[0].json()).unwrap();
        assert_eq!((&json["id"], &json["goal"]), (&1.into(), &"push it".into()));
        assert_eq!((&json["code"], &json["remedy"]), (&"tracking".into(), &"call ~/resume".into()));
        assert_eq!(json["reason"], "at rest: tracking; call ~/resume");
        assert_eq!(desk.hold(hold("tracking")), None, "it was told");
        assert_eq!(states(&desk.hold(hold("emergency_stop")).unwrap()), ["held"], "another reason is news");
        let news = desk.hold(None).unwrap();
        assert_eq!((states(&news), news.statuses[0].code.as_deref()), (vec!["active"], None));
        assert_eq!(desk.hold(None), None);
        // It ends as any other.
        desk.hold(hold("tracking"));
        assert_eq!(states(&desk.tick(at(11)).unwrap()), ["timed_out"]);
        assert_eq!((desk.hold(None), desk.hold(hold("tracking"))), (None, None), "there is no goal");
    }

    #[test]
    fn who_gives_a_goal_while_nothing_moves_is_told_at_once_and_each_goal_by_itself() {
        let mut desk = GoalDesk::new(0.0);
        assert_eq!(desk.hold(hold("disarmed")), None);
        assert_eq!(states(&desk.submit("push it", at(1))), ["accepted", "active", "held"]);
        assert_eq!(states(&desk.submit("push that", at(2))), ["replaced", "accepted", "active", "held"]);
        assert_eq!(states(&desk.submit("", at(3))), ["refused"]);
        assert_eq!(states(&desk.cancel().unwrap()), ["cancelled"]);
        assert_eq!(desk.hold(None), None);
    }

    proptest! {
        /// Whatever comes, it is told exactly once what became of it, in JSON of a bounded length, and a refused text changes nothing.
        #[test]
        fn of_any_text_exactly_one_of_accepted_refused_and_cancelled_is_told(
            texts in prop::collection::vec(prop_oneof![
                ".{0,60}",
                "(stop|halt|not|never|red cube|left|push|hello|[[:punct:]]|\\s|\\PC){0,12}",
                prop::collection::vec(any::<char>(), 0..40).prop_map(|text| text.into_iter().collect::<String>()),
                "\\PC{900,1100}",
            ], 1..12),
        ) {
            for mut desk in [GoalDesk::new(0.0), knowing()] {
                for text in &texts {
                    let before = desk.active().cloned();
                    let news = desk.submit(text, at(1));
                    let told: Vec<&str> =
                        states(&news).into_iter().filter(|s| ["accepted", "refused", "cancelled"].contains(s)).collect();
                    prop_assert_eq!(told.len(), 1, "{:?}: {:?}", text, told);
                    match told[0] {
                        "accepted" => prop_assert_eq!(news.instruction.as_deref(), Some(text.trim())),
                        "cancelled" => {
                            prop_assert_eq!(news.instruction.as_deref(), Some(""));
                            prop_assert!(desk.active().is_none());
                        }
                        _ => {
                            prop_assert!(news.instruction.is_none());
                            prop_assert_eq!(desk.active(), before.as_ref());
                        }
                    }
                    for status in &news.statuses {
                        let json = status.json();
                        prop_assert!(json.len() < 16_000);
                        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
                    }
                }
            }
        }
    }
}
