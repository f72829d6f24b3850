//! Takes goals in words and keeps at most one of them active.
//!
//! `goal` -> `instruction` (latched; empty: no goal) and `goal_status` (JSON). `cancel_goal` ends the active goal, and so does a text that asks to
//! stop (parameter `stop_words`); `task_status` may report its success. Where the policy's package (parameter `policy`) lists what it knows by name, a text
//! that names nothing of it is refused; what was understood is told on `goal_status` before the instruction is given.

use crate::trace::{self, Asked, Setup, Trace};
use efm_app::goals::{GoalDesk, News, Status, TaskReport};
use efm_app::param_rules as rules;
use efm_app::setup::policy_manifest;
use efm_core::Stamp;
use efm_core::words::{Lexicon, STOP_WORDS, StopWords};
use efm_ros::r2r::std_msgs::msg::String as Text;
use efm_ros::r2r::std_srvs::srv::Trigger;
use efm_ros::{Params, Plan, Publisher, Spec, Task, bounds, qos};
use futures::StreamExt;
use std::borrow::Cow;
use std::time::Duration;

struct Voice {
    instruction: Publisher<Text>,
    status: Publisher<Text>,
    health: Task,
}

impl Voice {
    fn tell(&self, news: News) -> Result<(), efm_ros::NodeError> {
        let News { instruction, statuses } = news;
        // Rest first: whoever hears that a goal has ended must find that the instruction is gone, too. Motion last: what was understood is told before
        // anything moves, and "active" is what is so by then.
        let (rest, motion) = match instruction {
            Some(text) if text.is_empty() => (Some(text), None),
            other => (None, other),
        };
        if let Some(data) = rest {
            self.instruction.publish(&Text { data })?;
        }
        let (after, before): (Vec<_>, Vec<_>) = statuses.iter().partition(|status| status.state == "active");
        self.tell_statuses(&before)?;
        if let Some(data) = motion {
            self.instruction.publish(&Text { data })?;
        }
        self.tell_statuses(&after)
    }

    fn tell_statuses(&self, statuses: &[&Status]) -> Result<(), efm_ros::NodeError> {
        for status in statuses {
            let id = status.id.map_or("a goal".to_owned(), |id| format!("goal {id}"));
            let line = format!("{id} ({:?}) {}: {}", status.goal, status.state, status.reason);
            if status.state == "refused" {
                log::warn!("{line}")
            } else {
                log::info!("{line}")
            }
            self.status.publish(&Text { data: status.json() })?;
        }
        Ok(())
    }

    fn report(&self, desk: &GoalDesk, refused: Option<&str>) {
        let state = match desk.active() {
            Some(goal) => format!("goal {} is active: {:?}", goal.id, goal.sentence.as_str()),
            None => "no goal is active".to_owned(),
        };
        match (desk.trouble(), refused) {
            (Some(trouble), _) => self.health.error(format!("every goal is refused: {trouble}; {state}")),
            (None, Some(reason)) => self.health.warn(format!("the last goal was refused: {reason}; {state}")),
            (None, None) => self.health.ok(state),
        };
    }
}

/// Another instruction is worth a line in the trace.
fn note(trace: &mut Trace, news: &News, now: Stamp) {
    if let Some(instruction) = &news.instruction {
        trace.note(&Asked::Instruct { now: now.nanos(), text: Cow::Borrowed(instruction) });
    }
}

/// What the policy's package knows by name; nothing where no policy is named.
fn lexicon(params: &Params) -> Result<Option<Lexicon>, String> {
    if params.text("policy").is_empty() {
        return Ok(None);
    }
    policy_manifest(params).map(|(_, manifest)| manifest.lexicon())
}

/// Parameters of `goal_intake`.
pub fn specs() -> Vec<Spec> {
    vec![
        Spec::double("goal_timeout", 60.0, "How long a goal may be active before it ends as timed_out.")
            .unit("s")
            .range(0.0, 86_400.0)
            .or_zero("for ever"),
        Spec::text(
            "policy",
            "",
            "The policy package whose vocabulary goals are compared with: its name within models_path, or a path. Empty: nothing is compared.",
        ),
        Spec::texts("models_path", &["models"], "Folders that are searched for policy packages."),
        Spec::texts(
            "stop_words",
            STOP_WORDS,
            "What asks to stop: a goal that says only this is answered by cancelling; with three dots behind it, one that begins or ends so. [\"\"]: nothing.",
        )
        .rule(rules::STOP),
        trace::spec(),
    ]
}

/// The node `goal_intake`.
pub fn plan() -> Plan {
    Plan::new("goal_intake", specs(), |node| {
        let mut goals = node.every::<Text>("goal", qos::event_input().at_most(bounds::WORDS))?;
        let mut reports = node.every::<Text>("task_status", qos::event_input().at_most(bounds::WORDS))?;
        let mut cancels = node.service::<Trigger::Service>("cancel_goal")?;
        let voice = Voice {
            instruction: node.publisher("instruction", qos::latched())?,
            status: node.publisher("goal_status", qos::event())?,
            health: node.diagnostics().task("goal"),
        };
        let clock = node.clock().clone();
        let mut ticker = clock.ticker(Duration::from_millis(100));
        let started = Setup::new("goal_intake", node.params());
        let mut trace = Trace::start(node, &started)?;
        let mut stop_words = node.params().texts("stop_words");
        // How an empty list is written where lists must not be empty.
        stop_words.retain(|phrase| !phrase.is_empty());
        let stops = StopWords::new(&stop_words).map_err(|error| format!("parameter 'stop_words': {error}"))?;
        let lexicon = lexicon(node.params()).map_err(|reason| format!("parameter 'policy': {reason}"));
        match &lexicon {
            Err(reason) => log::error!("every goal is refused: {reason}"),
            Ok(None) => log::info!("no package lists words that goals are compared with"),
            Ok(Some(_)) => {}
        }
        let mut desk = GoalDesk::new(node.params().double("goal_timeout")).with_words(stops, lexicon);

        // Without this node nobody could end a goal any more, so it takes the goal with it.
        let last_word = voice.instruction.clone();
        node.on_shutdown(move || {
            if let Err(error) = last_word.publish(&Text::default()) {
                log::warn!("{error}");
            }
        });

        Ok(async move {
            voice.instruction.publish(&Text::default())?;
            voice.report(&desk, None);
            // The reason of the last refusal, until the next goal that is taken.
            let mut refused: Option<String> = None;
            loop {
                let news = tokio::select! {
                    Some(goal) = goals.recv() => {
                        trace.note(&Asked::Goal { now: clock.now().nanos(), text: Cow::Borrowed(&goal.msg.data) });
                        let news = desk.submit(&goal.msg.data, clock.now());
                        refused = news.statuses.iter().find(|s| s.state == "refused").map(|s| s.reason.clone());
                        Some(news)
                    }
                    Some(text) = reports.recv() => match serde_json::from_str::<TaskReport>(&text.msg.data) {
                        Ok(report) => {
                            trace.note(&Asked::Report { now: text.ros_at.nanos(), text: Cow::Borrowed(&text.msg.data) });
                            desk.report(&report, text.ros_at)
                        }
                        Err(error) => {
                            log::debug!("task_status is not understood: {error}");
                            None
                        }
                    },
                    Some(request) = cancels.next() => {
                        trace.note(&Asked::Cancel { now: clock.now().nanos() });
                        let (active, news) = (desk.active().map(|goal| goal.id), desk.cancel());
                        let message = active.map_or("no goal is active".to_owned(), |id| format!("goal {id} is cancelled"));
                        let answer = Trigger::Response { success: news.is_some(), message };
                        if let Some(news) = news {
                            note(&mut trace, &news, clock.now());
                            voice.tell(news)?;
                        }
                        if let Err(error) = request.respond(answer) {
                            log::debug!("cancel_goal: {error}");
                        }
                        None
                    }
                    now = ticker.tick() => {
                        trace.flush();
                        desk.tick(now)
                    }
                };
                if let Some(news) = news {
                    note(&mut trace, &news, clock.now());
                    voice.tell(news)?;
                }
                voice.report(&desk, refused.as_deref());
            }
        })
    })
}
