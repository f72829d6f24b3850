//! Where goals are taken in, without its topics: what comes is put to the [`GoalDesk`], and what follows is told in the right order to a [`Host`].
//!
//! The node's host is the graph.

use crate::Failure;
use crate::goals::arm::{ArmWatch, Line};
use crate::goals::kept::KeptGoals;
use crate::goals::{GoalDesk, Hold, News, Status, TaskReport, shorten};
use crate::reasons::{self, coded};
use crate::setup::{policy_manifest, stays_with_wrong_policy};
use crate::trace::Asked;
use efm_config::Params;
use efm_core::goal::MAX_GOAL_BYTES;
use efm_core::words::{Lexicon, StopWords};
use efm_core::{Level, Reason, Stamp};
use std::borrow::Cow;

/// Bytes of a message on `task_status` that are read at most.
const LONGEST_REPORT: usize = 16 * 1024;

/// Where goals are taken in: what is decided and said goes there.
pub trait Host {
    /// ROS time now.
    fn now(&self) -> Stamp;

    /// Time now by a clock that nobody sets, for durations: monotonic, or ROS time under simulation.
    fn steady(&self) -> Stamp;

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
    kept: KeptGoals,
    arm: ArmWatch,
    /// The reason of the last refusal, until the next goal that is taken.
    refused: Option<Reason>,
}

impl Intake {
    /// Around a desk, with what was kept of the goals before, beside the nodes of a robot. Ids go on from those.
    pub fn new(desk: GoalDesk, kept: KeptGoals, arm: ArmWatch) -> Self {
        Self { desk: desk.after(kept.last()), kept, arm, refused: None }
    }

    /// From the parameters of `goal_intake`; reads the manifest of the policy package that they name.
    ///
    /// # Errors
    /// When a phrase of `stop_words` is none, or the policy is wrong and the parameter `wrong_policy` says that the node ends then.
    pub fn from_params(params: &Params, kept: KeptGoals, arm: ArmWatch) -> Result<Self, Failure> {
        let mut stop_words = params.texts("stop_words");
        // How an empty list is written where lists must not be empty.
        stop_words.retain(|phrase| !phrase.is_empty());
        let stops = StopWords::new(&stop_words).map_err(|error| format!("parameter 'stop_words': {error}"))?;
        let lexicon = lexicon(params).map_err(|reason| reason.of("parameter 'policy': "));
        if let Err(reason) = &lexicon
            && !stays_with_wrong_policy(params)
        {
            return Err(reason.clone().into());
        }
        Ok(Self::new(GoalDesk::new(params.double("goal_timeout")).with_words(stops, lexicon), kept, arm))
    }

    /// It begins: nothing is instructed, and a goal that a process before this one had taken is told to have ended.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn begin(&mut self, host: &mut impl Host) -> Result<(), Failure> {
        match (self.desk.trouble(), self.desk.compares()) {
            (Some(trouble), _) => host.log(log::Level::Error, &format!("every goal is refused: {trouble}")),
            (None, false) => host.log(log::Level::Info, "no package lists words that goals are compared with"),
            (None, true) => {}
        }
        if let Some(trouble) = self.kept.trouble() {
            host.log(log::Level::Error, &trouble);
        }
        host.instruct("")?;
        if let Some(goal) = self.kept.active() {
            let status = Status::aborted(goal.id, &goal.goal, &orphaned());
            self.tell_statuses(host, &[&status])?;
        }
        self.kept.keep(self.desk.last(), None);
        self.report(host);
        Ok(())
    }

    /// What there is to tell when the node ends, beside that nothing is instructed any more.
    pub fn will(&self) -> Option<Status> {
        self.desk.active().map(|goal| Status::aborted(goal.id, goal.sentence.as_str(), &orphaned()))
    }

    /// A line of `/diagnostics` came.
    pub fn on_health(&mut self, line: Line<'_>) {
        self.arm.hear(line);
    }

    /// A tenth of a second passes, in wall time.
    ///
    /// # Errors
    /// When what becomes of the goal cannot be told.
    pub fn every_tenth(&mut self, host: &mut impl Host) -> Result<(), Failure> {
        self.arm.tick();
        let news = self.desk.hold(self.arm.hold().cloned());
        if news.is_some() { self.tell(host, news) } else { Ok(()) }
    }

    /// Somebody hands in a text.
    ///
    /// # Errors
    /// When what became of it cannot be told.
    pub fn on_goal(&mut self, host: &mut impl Host, text: &str) -> Result<(), Failure> {
        // What is too long for a goal is refused for that, whatever it says: only its beginning is worth keeping.
        let bytes = (text.len() > MAX_GOAL_BYTES).then_some(text.len());
        let noted = bytes.map_or(Cow::Borrowed(text), |_| Cow::Owned(shorten(text)));
        host.note(&Asked::Goal { now: host.now().nanos(), text: noted, bytes });
        let news = self.desk.submit(text, host.steady());
        self.refused.clone_from(&news.refused);
        self.tell(host, Some(news))
    }

    /// A task tells how it is, in JSON ([`TaskReport`]), received at this time of the clock that nobody sets. What is no such report changes nothing.
    ///
    /// # Errors
    /// When what became of the goal cannot be told.
    pub fn on_task_status(&mut self, host: &mut impl Host, text: &str, received: Stamp) -> Result<(), Failure> {
        if text.len() > LONGEST_REPORT {
            host.log(log::Level::Debug, &format!("task_status of {} bytes is not read", text.len()));
            return self.tell(host, None);
        }
        let news = match serde_json::from_str::<TaskReport>(text) {
            // No goal has such a sentence, and nothing is kept of it.
            Ok(report) if report.instruction.len() > MAX_GOAL_BYTES => None,
            Ok(report) => {
                host.note(&Asked::Report { now: host.now().nanos(), text: Cow::Borrowed(text) });
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
    pub fn tick(&mut self, host: &mut impl Host) -> Result<(), Failure> {
        let news = self.desk.tick(host.steady());
        self.tell(host, news)
    }

    /// Tells what is new, and how it is.
    fn tell(&mut self, host: &mut impl Host, news: Option<News>) -> Result<(), Failure> {
        if let Some(News { instruction, statuses, .. }) = news {
            if let Some(text) = &instruction {
                host.note(&Asked::Instruct { now: host.now().nanos(), text: Cow::Borrowed(text) });
            }
            // Before anybody is told, so that what was told is known after a death.
            self.kept.keep(self.desk.last(), self.desk.active().map(|goal| (goal.id, goal.sentence.as_str())));
            // Rest first: whoever hears that a goal has ended must find that the instruction is gone, too. Motion last: what was understood is told
            // before anything moves, and "active" is what is so by then.
            let (rest, motion) = match instruction {
                Some(text) if text.is_empty() => (Some(text), None),
                other => (None, other),
            };
            if let Some(text) = rest {
                host.instruct(&text)?;
            }
            let goes_on = |status: &&Status| matches!(status.state, "active" | "held");
            let (after, before): (Vec<_>, Vec<_>) = statuses.iter().partition(goes_on);
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
            let warns = matches!(status.state, "refused" | "held" | "aborted");
            let level = if warns { log::Level::Warn } else { log::Level::Info };
            host.log(level, &format!("{id} (\"{}\") {}: {}", status.goal, status.state, status.reason));
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
            (None, None) => match (self.desk.held(), self.kept.trouble()) {
                (Some(Hold { code, words, .. }), _) => {
                    let values = vec![coded(code)];
                    return host.report(Level::Warn, format!("{state}, but nothing moves for it: {words}"), values);
                }
                (None, Some(trouble)) => (reasons::GOALS_NOT_KEPT, Level::Warn, format!("{trouble}; {state}")),
                (None, None) => (code, Level::Ok, state),
            },
        };
        host.report(level, text, vec![coded(code)]);
    }
}

/// Why a goal ends with the process that kept it.
fn orphaned() -> Reason {
    let text = "goal_intake ended while the goal was active, and nobody keeps it any more";
    Reason::new(reasons::GOAL_ORPHANED, Level::Warn, text, "give it again, if it is still wanted")
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
        /// Seconds by which the clock was set.
        set: i64,
        /// Bytes of what was noted.
        noted: usize,
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
            Stamp::from_nanos((self.now + self.set) * 1_000_000_000)
        }

        fn steady(&self) -> Stamp {
            Stamp::from_nanos(self.now * 1_000_000_000)
        }

        fn note(&mut self, event: &Asked<'_>) {
            self.noted += serde_json::to_string(event).unwrap().len();
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

    fn around(desk: GoalDesk) -> Intake {
        Intake::new(desk, KeptGoals::default(), ArmWatch::beside("/goal_intake"))
    }

    fn begun(timeout: f64) -> (Intake, Desk) {
        let (mut intake, mut host) = (around(GoalDesk::new(timeout)), Desk::default());
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
            ("timed_out", |intake, host| {
                host.now = 9;
                intake.tick(host).unwrap();
            }),
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
        intake.tick(&mut host).unwrap();
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
        let mut intake = around(GoalDesk::new(0.0).with_words(StopWords::default(), lexicon));
        let mut host = Desk::default();
        intake.begin(&mut host).unwrap();
        assert!(host.heard()[0].starts_with("log ERROR every goal is refused: parameter 'policy'"));
        let (level, text, code) = host.reports.last().unwrap();
        assert!(*level == Level::Error && text.contains("every goal is refused"), "{text}");
        assert_eq!(code, reasons::POLICY_NOT_FOUND);
        intake.on_goal(&mut host, "push it").unwrap();
        assert!(said(&mut host).contains(&"0 refused".to_owned()));
    }

    /// States that were told.
    fn told_states(host: &mut Desk) -> Vec<String> {
        said(host).into_iter().filter(|line| !line.starts_with("note ") && !line.starts_with("instruction ")).collect()
    }

    #[test]
    fn a_clock_that_is_set_neither_ends_a_goal_nor_keeps_it() {
        for set in [120, -3600, 1_000_000_000, -1] {
            let (mut intake, mut host) = begun(60.0);
            host.now = 10_000;
            intake.on_goal(&mut host, "push it").unwrap();
            host.heard();
            (host.set, host.now) = (set, 10_059);
            intake.tick(&mut host).unwrap();
            assert!(told_states(&mut host).is_empty(), "{set}");
            host.now = 10_060;
            intake.tick(&mut host).unwrap();
            assert_eq!(told_states(&mut host), ["1 timed_out"], "{set}");
        }
    }

    #[test]
    fn a_report_counts_by_the_clock_that_nobody_sets_too() {
        let json = r#"{"instruction": "push it", "success": true}"#;
        for set in [120, -3600] {
            let (mut intake, mut host) = begun(0.0);
            host.now = 10_000;
            intake.on_goal(&mut host, "push it").unwrap();
            host.set = set;
            host.heard();
            intake.on_task_status(&mut host, json, Stamp::from_nanos(9_999_000_000_000)).unwrap();
            assert!(told_states(&mut host).is_empty(), "it is of before");
            let now = host.steady();
            intake.on_task_status(&mut host, json, now).unwrap();
            assert_eq!(told_states(&mut host), ["1 succeeded"], "{set}");
        }
    }

    #[test]
    fn of_what_is_refused_for_its_length_only_the_beginning_is_noted_told_and_kept() {
        let (mut intake, mut host) = begun(0.0);
        for text in
            ["x".repeat(30_000_000), "\u{1}".repeat(1_000_000), "\u{1F600}".repeat(1_000_000), " ".repeat(2_000_000)]
        {
            intake.on_goal(&mut host, &text).unwrap();
            assert!(host.noted < 2_000, "{}", host.noted);
            assert!(host.heard().iter().all(|line| line.len() < 2_000));
            host.noted = 0;
        }
        let long = "y".repeat(3_000_000);
        for sentence in [&long, &long[..10_000]] {
            let report = format!(r#"{{"instruction": "{sentence}", "success": true}}"#);
            intake.on_task_status(&mut host, &report, Stamp::ZERO).unwrap();
        }
        intake.on_task_status(&mut host, &long, Stamp::ZERO).unwrap();
        assert!(host.noted == 0 && host.heard().iter().all(|line| line.len() < 2_000));
        // What is good goes through afterwards.
        intake.on_goal(&mut host, "push it").unwrap();
        assert_eq!(told_states(&mut host), ["1 accepted", "1 active"]);
    }

    fn file(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("efm_intake_{}_{name}.goals", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    fn started(path: &std::path::Path) -> (Intake, Desk) {
        let kept = KeptGoals::read(path.to_str().unwrap(), "/goal_intake", 5, |_| None);
        let mut intake = Intake::new(GoalDesk::new(0.0), kept, ArmWatch::beside("/goal_intake"));
        let mut host = Desk::default();
        intake.begin(&mut host).unwrap();
        (intake, host)
    }

    #[test]
    fn a_goal_that_a_dead_process_left_is_told_to_have_ended_once_and_its_id_does_not_come_again() {
        let path = file("orphan");
        let (mut intake, mut host) = started(&path);
        intake.on_goal(&mut host, "push it").unwrap();
        assert_eq!(intake.will().unwrap().state, "aborted");
        drop(intake); // as kill -9 leaves it
        let (mut intake, mut host) = started(&path);
        assert_eq!(said(&mut host), [r#"instruction """#, "1 aborted"], "rest first");
        assert_eq!(intake.will(), None);
        intake.on_goal(&mut host, "push it").unwrap();
        assert_eq!(told_states(&mut host), ["2 accepted", "2 active"]);
        intake.cancel(&mut host).unwrap();
        drop(intake);
        let (mut intake, mut host) = started(&path);
        assert!(told_states(&mut host).is_empty(), "what ended has ended");
        intake.on_goal(&mut host, "push it").unwrap();
        drop(intake);
        assert_eq!(told_states(&mut started(&path).1), ["3 aborted"]);
        assert!(told_states(&mut started(&path).1).is_empty(), "once");
        std::fs::remove_file(path).unwrap();
    }

    fn health(level: u8, code: &'static str) -> Line<'static> {
        let message = "at rest: it is off; call ~/resume";
        Line { name: "trajectory_publisher: motion", level, message, code, remedy: "call ~/resume" }
    }

    #[test]
    fn a_goal_is_held_while_the_arm_is_latched_and_the_diagnostics_say_so() {
        let (mut intake, mut host) = begun(0.0);
        let second = |intake: &mut Intake, host: &mut Desk| (0..10).for_each(|_| intake.every_tenth(host).unwrap());
        intake.on_goal(&mut host, "push it").unwrap();
        host.heard();
        let latched = efm_safety::codes::TRACKING;
        intake.on_health(health(2, latched));
        second(&mut intake, &mut host);
        assert_eq!(told_states(&mut host), ["1 held"]);
        let (level, text, code) = host.reports.last().unwrap();
        let words = text.contains("goal 1 is active") && text.contains("call ~/resume");
        assert!(*level == Level::Warn && words && code == latched, "{text}");
        intake.on_goal(&mut host, "push that").unwrap();
        assert_eq!(told_states(&mut host), ["1 replaced", "2 accepted", "2 active", "2 held"]);
        intake.on_health(health(0, reasons::FOLLOWING));
        second(&mut intake, &mut host);
        assert_eq!(told_states(&mut host), ["2 active"]);
        assert_eq!(host.reports.last().unwrap().0, Level::Ok);
    }

    #[test]
    fn what_cannot_be_told_ends_the_node() {
        let (mut intake, mut host) = begun(0.0);
        host.gone = true;
        assert!(intake.on_goal(&mut host, "push it").is_err());
        assert!(intake.cancel(&mut host).is_err());
    }
}
