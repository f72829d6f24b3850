//! Takes goals in words and keeps at most one of them active.
//!
//! `goal` -> `instruction` (latched; empty: no goal) and `goal_status` (JSON). `cancel_goal` ends the active goal, `task_status`
//! may report its success.

use crate::goals::{GoalDesk, News, TaskReport};
use crate::trace::{self, Asked, Setup, Trace};
use efm_core::Stamp;
use efm_ros::r2r::std_msgs::msg::String as Text;
use efm_ros::r2r::std_srvs::srv::Trigger;
use efm_ros::{Plan, Publisher, Spec, Task, qos};
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
        // Rest first: whoever hears that a goal has ended must find that the instruction is gone, too.
        if let Some(data) = news.instruction {
            self.instruction.publish(&Text { data })?;
        }
        for status in &news.statuses {
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
        match refused {
            Some(reason) => self.health.warn(format!("the last goal was refused: {reason}; {state}")),
            None => self.health.ok(state),
        };
    }
}

/// Another instruction is worth a line in the trace.
fn note(trace: &mut Trace, news: &News, now: Stamp) {
    if let Some(instruction) = &news.instruction {
        trace.note(&Asked::Instruct { now: now.nanos(), text: Cow::Borrowed(instruction) });
    }
}

/// The node `goal_intake`.
pub fn plan() -> Plan {
    let specs = vec![
        Spec::double("goal_timeout", 60.0, "Seconds after which an active goal ends as timed_out; 0: never.")
            .range(0.0, 86_400.0),
        trace::spec(),
    ];
    Plan::new("goal_intake", specs, |node| {
        let mut goals = node.every::<Text>("goal", qos::event_input())?;
        let mut reports = node.every::<Text>("task_status", qos::event_input())?;
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
        let mut desk = GoalDesk::new(node.params().double("goal_timeout"));

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
