//! Where goals are taken in, without its topics: what comes is put to the [`GoalDesk`], and what follows is told in the right order to a [`Host`].
//!
//! The node's host is the graph.

use crate::Failure;
use crate::goals::{GoalDesk, News, Status, TaskReport};
use crate::reasons::{self, coded};
use crate::setup::policy_manifest;
use crate::trace::Asked;
use efm_config::Params;
use efm_core::words::{Lexicon, StopWords};
use efm_core::{Level, Reason, Stamp};
use std::borrow::Cow;

/// Where goals are taken in: what is decided and said goes there.
pub trait Host {
    /// ROS time now.
    fn now(&self) -> Stamp;

    /// An event that is worked on: in the order in which they are noted they make the run.
    fn note(&mut self, event: &Asked<'_>);

    /// The instruction from now on; empty: no goal.
    ///
    /// # Errors
    /// When it cannot be told.
    fn instruct(&mut self, text: &str) -> Result<(), Failure>;

    /// What became of a goal.
    ///
    /// # Errors
    /// When it cannot be told.
    fn tell(&mut self, status: &Status) -> Result<(), Failure>;

    /// Health.
    fn report(&mut self, level: Level, text: String, values: Vec<(String, String)>);

    /// A line for the log.
    fn log(&mut self, level: log::Level, line: &str) {
        log::log!(level, "{line}");
    }
}

/// The intake between two messages.
#[derive(Debug)]
pub struct Intake {
    desk: GoalDesk,
    /// The reason of the last refusal, until the next goal that is taken.
    refused: Option<Reason>,
}

impl Intake {
    /// Around a desk.
    pub fn new(desk: GoalDesk) -> Self {
        Self { desk, refused: None }
    }

    /// From the parameters of `goal_intake`; reads the manifest of the policy package that they name.
    ///
    /// # Errors
    /// When a phrase of `stop_words` is none.
    pub fn from_params(params: &Params) -> Result<Self, Failure> {
        let mut stop_words = params.texts("stop_words");
        // How an empty list is written where lists must not be empty.
        stop_words.retain(|phrase| !phrase.is_empty());
        let stops = StopWords::new(&stop_words).map_err(|error| format!("parameter 'stop_words': {error}"))?;
        let lexicon = lexicon(params).map_err(|reason| reason.of("parameter 'policy': "));
        Ok(Self::new(GoalDesk::new(params.double("goal_timeout")).with_words(stops, lexicon)))
    }

    /// It begins: nothing is instructed.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn begin(&mut self, host: &mut impl Host) -> Result<(), Failure> {
        match (self.desk.trouble(), self.desk.compares()) {
            (Some(trouble), _) => host.log(log::Level::Error, &format!("every goal is refused: {trouble}")),
            (None, false) => host.log(log::Level::Info, "no package lists words that goals are compared with"),
            (None, true) => {}
        }
        host.instruct("")?;
        self.report(host);
        Ok(())
    }

    /// Somebody hands in a text.
    ///
    /// # Errors
    /// When what became of it cannot be told.
    pub fn on_goal(&mut self, host: &mut impl Host, text: &str) -> Result<(), Failure> {
        let now = host.now();
        host.note(&Asked::Goal { now: now.nanos(), text: Cow::Borrowed(text) });
        let news = self.desk.submit(text, now);
        self.refused.clone_from(&news.refused);
        self.tell(host, Some(news))
    }

    /// A task tells how it is, in JSON ([`TaskReport`]), received at this ROS time. What is no such report changes nothing.
    ///
    /// # Errors
    /// When what became of the goal cannot be told.
    pub fn on_task_status(&mut self, host: &mut impl Host, text: &str, received: Stamp) -> Result<(), Failure> {
        let news = match serde_json::from_str::<TaskReport>(text) {
            Ok(report) => {
                host.note(&Asked::Report { now: received.nanos(), text: Cow::Borrowed(text) });
                self.desk.report(&report, received)
            }
            Err(error) => {
                host.log(log::Level::Debug, &format!("task_status is not understood: {error}"));
                None
            }
        };
        self.tell(host, news)
    }

    /// The service `cancel_goal`. Returns whether there was a goal, and what there is to say to who asked, who is answered when all others know.
    ///
    /// # Errors
    /// When what became of the goal cannot be told.
    pub fn cancel(&mut self, host: &mut impl Host) -> Result<(bool, String), Failure> {
        host.note(&Asked::Cancel { now: host.now().nanos() });
        let (active, news) = (self.desk.active().map(|goal| goal.id), self.desk.cancel());
        let answer = active.map_or("no goal is active".to_owned(), |id| format!("goal {id} is cancelled"));
        let done = news.is_some();
        self.tell(host, news)?;
        Ok((done, answer))
    }

    /// Time passes.
    ///
    /// # Errors
    /// When what became of the goal cannot be told.
    pub fn tick(&mut self, host: &mut impl Host, now: Stamp) -> Result<(), Failure> {
        let news = self.desk.tick(now);
        self.tell(host, news)
    }

    /// Tells what is new, and how it is.
    fn tell(&mut self, host: &mut impl Host, news: Option<News>) -> Result<(), Failure> {
        if let Some(News { instruction, statuses, .. }) = news {
            if let Some(text) = &instruction {
                host.note(&Asked::Instruct { now: host.now().nanos(), text: Cow::Borrowed(text) });
            }
            // Rest first: whoever hears that a goal has ended must find that the instruction is gone, too. Motion last: what was understood is told
            // before anything moves, and "active" is what is so by then.
            let (rest, motion) = match instruction {
                Some(text) if text.is_empty() => (Some(text), None),
                other => (None, other),
            };
            if let Some(text) = rest {
                host.instruct(&text)?;
            }
            let (after, before): (Vec<_>, Vec<_>) = statuses.iter().partition(|status| status.state == "active");
            self.tell_statuses(host, &before)?;
            if let Some(text) = motion {
                host.instruct(&text)?;
            }
            self.tell_statuses(host, &after)?;
        }
        self.report(host);
        Ok(())
    }

    fn tell_statuses(&self, host: &mut impl Host, statuses: &[&Status]) -> Result<(), Failure> {
        for status in statuses {
            let id = status.id.map_or("a goal".to_owned(), |id| format!("goal {id}"));
            let level = if status.state == "refused" { log::Level::Warn } else { log::Level::Info };
            host.log(level, &format!("{id} ({:?}) {}: {}", status.goal, status.state, status.reason));
            host.tell(status)?;
        }
        Ok(())
    }

    fn report(&self, host: &mut impl Host) {
        let (code, state) = match self.desk.active() {
            Some(goal) => (reasons::GOAL_ACTIVE, format!("goal {} is active: {:?}", goal.id, goal.sentence.as_str())),
            None => (reasons::NO_GOAL, "no goal is active".to_owned()),
        };
        let (code, level, text) = match (self.desk.trouble(), &self.refused) {
            (Some(trouble), _) => (trouble.code, Level::Error, format!("every goal is refused: {trouble}; {state}")),
            (None, Some(reason)) => (reason.code, Level::Warn, format!("the last goal was refused: {reason}; {state}")),
            (None, None) => (code, Level::Ok, state),
        };
        host.report(level, text, vec![coded(code)]);
    }
}

/// What the policy's package knows by name; nothing where no policy is named.
fn lexicon(params: &Params) -> Result<Option<Lexicon>, Reason> {
    if params.text("policy").is_empty() {
        return Ok(None);
    }
    policy_manifest(params).map(|(_, manifest)| manifest.lexicon())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Writes down what it is told, in its order.
    #[derive(Default)]
    struct Desk {
        now: i64,
        told: Vec<String>,
        reports: Vec<(Level, String, String)>,
        /// Nothing can be told any more.
        gone: bool,
    }

    impl Desk {
        fn put(&mut self, line: String) -> Result<(), Failure> {
            if self.gone {
                return Err("the node is gone".into());
            }
            self.told.push(line);
            Ok(())
        }

        fn heard(&mut self) -> Vec<String> {
            std::mem::take(&mut self.told)
        }
    }

    impl Host for Desk {
        fn now(&self) -> Stamp {
            Stamp::from_nanos(self.now * 1_000_000_000)
        }

        fn note(&mut self, event: &Asked<'_>) {
            let word = match event {
                Asked::Goal { .. } => "goal".to_owned(),
                Asked::Cancel { .. } => "cancel".to_owned(),
                Asked::Report { .. } => "report".to_owned(),
                Asked::Instruct { text, .. } => format!("instruct {text:?}"),
            };
            self.told.push(format!("note {word}"));
        }

        fn instruct(&mut self, text: &str) -> Result<(), Failure> {
            self.put(format!("instruction {text:?}"))
        }

        fn tell(&mut self, status: &Status) -> Result<(), Failure> {
            self.put(format!("{} {}", status.id.unwrap_or_default(), status.state))
        }

        fn report(&mut self, level: Level, text: String, values: Vec<(String, String)>) {
            let [(key, code)] = values.as_slice() else { panic!("{values:?}") };
            assert!(key == "code" && reasons::is_listed(code), "{values:?}");
            self.reports.push((level, text, code.clone()));
        }

        fn log(&mut self, level: log::Level, line: &str) {
            self.told.push(format!("log {level} {line}"));
        }
    }

    /// Told, without what is for the log.
    fn said(host: &mut Desk) -> Vec<String> {
        host.heard().into_iter().filter(|line| !line.starts_with("log ")).collect()
    }

    fn begun(timeout: f64) -> (Intake, Desk) {
        let (mut intake, mut host) = (Intake::new(GoalDesk::new(timeout)), Desk::default());
        intake.begin(&mut host).unwrap();
        assert_eq!(said(&mut host), [r#"instruction """#]);
        (intake, host)
    }

    #[test]
    fn what_was_understood_is_told_before_anything_moves_and_that_it_is_active_after() {
        let (mut intake, mut host) = begun(0.0);
        intake.on_goal(&mut host, "push it").unwrap();
        let order = ["note goal", r#"note instruct "push it""#, "1 accepted", r#"instruction "push it""#, "1 active"];
        assert_eq!(said(&mut host), order);
        let report = (Level::Ok, r#"goal 1 is active: "push it""#.to_owned(), reasons::GOAL_ACTIVE.to_owned());
        assert_eq!(host.reports.last(), Some(&report));
    }

    #[test]
    fn rest_is_told_before_that_the_goal_has_ended_however_it_ends() {
        type End = fn(&mut Intake, &mut Desk);
        let ends: [(&str, End); 4] = [
            ("cancelled", |intake, host| assert!(intake.cancel(host).unwrap().0)),
            ("cancelled", |intake, host| intake.on_goal(host, "stop").unwrap()),
            ("timed_out", |intake, host| intake.tick(host, Stamp::from_nanos(9_000_000_000)).unwrap()),
            ("succeeded", |intake, host| {
                let json = r#"{"instruction": "push it", "success": true}"#;
                intake.on_task_status(host, json, Stamp::from_nanos(1)).unwrap();
            }),
        ];
        for (state, end) in ends {
            let (mut intake, mut host) = begun(5.0);
            intake.on_goal(&mut host, "push it").unwrap();
            host.heard();
            end(&mut intake, &mut host);
            let told: Vec<_> = said(&mut host).into_iter().filter(|line| !line.starts_with("note ")).collect();
            assert_eq!(told, [r#"instruction """#.to_owned(), format!("1 {state}")]);
            let report = (Level::Ok, "no goal is active".to_owned(), reasons::NO_GOAL.to_owned());
            assert_eq!(host.reports.last(), Some(&report));
        }
    }

    #[test]
    fn the_last_refusal_is_reported_until_a_goal_is_taken() {
        let (mut intake, mut host) = begun(0.0);
        intake.on_goal(&mut host, "push it").unwrap();
        intake.on_goal(&mut host, " ").unwrap();
        let refused = |host: &Desk| {
            let (level, text, code) = host.reports.last().unwrap();
            let words = text.contains("empty") && text.contains("goal 1 is active");
            *level == Level::Warn && words && code == "goal_empty"
        };
        assert!(refused(&host), "{:?}", host.reports);
        // What is no goal leaves it.
        intake.tick(&mut host, Stamp::ZERO).unwrap();
        intake.on_task_status(&mut host, "no json", Stamp::ZERO).unwrap();
        assert!(refused(&host), "{:?}", host.reports);
        intake.on_goal(&mut host, "push that").unwrap();
        assert_eq!(host.reports.last().unwrap().0, Level::Ok);
    }

    #[test]
    fn a_refusal_is_a_warning_in_the_log_and_nothing_is_instructed() {
        let (mut intake, mut host) = begun(0.0);
        intake.on_goal(&mut host, "").unwrap();
        let heard = host.heard();
        assert_eq!(heard.iter().filter(|line| line.starts_with("log WARN")).count(), 1, "{heard:?}");
        assert!(!heard.iter().any(|line| line.contains("instruct")), "{heard:?}");
    }

    #[test]
    fn who_cancels_hears_which_goal_it_was_and_that_there_was_none() {
        let (mut intake, mut host) = begun(0.0);
        assert_eq!(intake.cancel(&mut host).unwrap(), (false, "no goal is active".to_owned()));
        assert_eq!(said(&mut host), ["note cancel"]);
        intake.on_goal(&mut host, "push it").unwrap();
        assert_eq!(intake.cancel(&mut host).unwrap(), (true, "goal 1 is cancelled".to_owned()));
    }

    #[test]
    fn without_a_policy_that_is_named_every_goal_is_refused_and_it_is_told_at_once() {
        let lexicon = Err(reasons::wrong(reasons::POLICY_NOT_FOUND, "parameter 'policy': there is none", ""));
        let mut intake = Intake::new(GoalDesk::new(0.0).with_words(StopWords::default(), lexicon));
        let mut host = Desk::default();
        intake.begin(&mut host).unwrap();
        assert!(host.heard()[0].starts_with("log ERROR every goal is refused: parameter 'policy'"));
        let (level, text, code) = host.reports.last().unwrap();
        assert!(*level == Level::Error && text.contains("every goal is refused"), "{text}");
        assert_eq!(code, reasons::POLICY_NOT_FOUND);
        intake.on_goal(&mut host, "push it").unwrap();
        assert!(said(&mut host).contains(&"0 refused".to_owned()));
    }

    #[test]
    fn what_cannot_be_told_ends_the_node() {
        let (mut intake, mut host) = begun(0.0);
        host.gone = true;
        assert!(intake.on_goal(&mut host, "push it").is_err());
        assert!(intake.cancel(&mut host).is_err());
    }
}
