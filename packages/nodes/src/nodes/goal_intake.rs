//! Takes goals in words and keeps at most one of them active.
//!
//! `goal` -> `instruction` (latched; empty: no goal) and `goal_status` (JSON). `cancel_goal` ends the active goal, and so does a text that asks to
//! stop (parameter `stop_words`); `task_status` may report its success. Where the policy's package (parameter `policy`) lists what it knows by name, a text
//! that names nothing of it is refused; what was understood is told on `goal_status` before the instruction is given. What it decides is in
//! [`efm_app::goals`]; here are the topics.

use crate::trace::{self, Asked, Setup, Trace};
use efm_app::goals::Status;
use efm_app::goals::intake::{Host, Intake};
use efm_app::param_rules as rules;
use efm_core::words::STOP_WORDS;
use efm_core::{Level, Stamp};
use efm_ros::r2r::std_msgs::msg::String as Text;
use efm_ros::r2r::std_srvs::srv::Trigger;
use efm_ros::{NodeError, Plan, Publisher, RosClock, Spec, Task, bounds, qos};
use futures::StreamExt;
use std::time::Duration;

/// The graph, as the intake meets it.
struct Topics {
    clock: RosClock,
    trace: Trace,
    instruction: Publisher<Text>,
    status: Publisher<Text>,
    health: Task,
}

impl Host for Topics {
    fn now(&self) -> Stamp {
        self.clock.now()
    }

    fn note(&mut self, event: &Asked<'_>) {
        self.trace.note(event);
    }

    fn instruct(&mut self, text: &str) -> Result<(), NodeError> {
        Ok(self.instruction.publish(&Text { data: text.to_owned() })?)
    }

    fn tell(&mut self, status: &Status) -> Result<(), NodeError> {
        Ok(self.status.publish(&Text { data: status.json() })?)
    }

    fn report(&mut self, level: Level, text: String, values: Vec<(String, String)>) {
        self.health.report(level, text, values);
    }
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
        let clock = node.clock().clone();
        let mut ticker = clock.ticker(Duration::from_millis(100));
        let started = Setup::new("goal_intake", node.params());
        let mut topics = Topics {
            trace: Trace::start(node, &started)?,
            instruction: node.publisher("instruction", qos::latched())?,
            status: node.publisher("goal_status", qos::event())?,
            health: node.diagnostics().task("goal"),
            clock,
        };
        let mut this = Intake::from_params(node.params())?;

        // Without this node nobody could end a goal any more, so it takes the goal with it.
        let last_word = topics.instruction.clone();
        node.on_shutdown(move || {
            if let Err(error) = last_word.publish(&Text::default()) {
                log::warn!("{error}");
            }
        });

        Ok(async move {
            let topics = &mut topics;
            this.begin(topics)?;
            loop {
                tokio::select! {
                    Some(goal) = goals.recv() => this.on_goal(topics, &goal.msg.data)?,
                    Some(text) = reports.recv() => this.on_task_status(topics, &text.msg.data, text.ros_at)?,
                    Some(request) = cancels.next() => {
                        let (success, message) = this.cancel(topics)?;
                        if let Err(error) = request.respond(Trigger::Response { success, message }) {
                            log::debug!("cancel_goal: {error}");
                        }
                    }
                    now = ticker.tick() => {
                        topics.trace.flush();
                        this.tick(topics, now)?;
                    }
                }
            }
        })
    })
}
