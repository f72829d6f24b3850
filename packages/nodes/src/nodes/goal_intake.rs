//! Takes goals in words and keeps at most one of them active.
//!
//! `goal` -> `instruction` (latched; empty: no goal) and `goal_status` (JSON). `cancel_goal` ends the active goal, and so does a text that asks to
//! stop (parameter `stop_words`); `task_status` may report its success. Where the policy's package (parameter `policy`) lists what it knows by name, a text
//! that names nothing of it is refused; what was understood is told on `goal_status` before the instruction is given. What it decides is in
//! [`efm_app::goals`]; here are the topics.

use crate::trace::{self, Asked, Setup, Trace};
use crate::wiring::HEARTBEAT;
use efm_app::goals::Status;
use efm_app::goals::arm::{ArmWatch, Line};
use efm_app::goals::intake::{Host, Intake};
use efm_app::goals::kept::KeptGoals;
use efm_app::param_rules as rules;
use efm_app::setup::wrong_policy_spec;
use efm_app::state_file::AUTO;
use efm_core::words::STOP_WORDS;
use efm_core::{Level, Stamp};
use efm_ros::r2r::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus};
use efm_ros::r2r::std_msgs::msg::{Bool, String as Text};
use efm_ros::r2r::std_srvs::srv::Trigger;
use efm_ros::{NodeError, Plan, Publisher, RosClock, Spec, Task, bounds, qos};
use futures::StreamExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Statuses that late listeners are told: a refusal of one goal must not hide what became of another.
const HISTORY: usize = 20;
/// A heartbeat is sent at every one of so many tenths of a second.
const BEAT: u32 = 5;

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

    fn steady(&self) -> Stamp {
        self.clock.steady()
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

/// A line of the diagnostics.
fn line(status: &DiagnosticStatus) -> Line<'_> {
    let value =
        |key: &str| status.values.iter().find(|value| value.key == key).map_or("", |value| value.value.as_str());
    let (code, remedy) = (value("code"), value("remedy"));
    Line { name: &status.name, level: status.level, message: &status.message, code, remedy }
}

/// What was kept of goals by a process before this one.
fn kept(setting: &str, full_name: &str) -> KeptGoals {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    KeptGoals::read(setting, full_name, since.as_secs(), |name| std::env::var_os(name))
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
        wrong_policy_spec(),
        Spec::text(
            "goal_file",
            AUTO,
            "File that keeps the last goal's id and the active goal, so that ids do not repeat after a restart and a goal that was left is told to have \
             ended. auto: in the user's state directory, one a node and ROS domain. Empty: none; ids then begin at the seconds since 1970.",
        ),
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
        let mut healths = node.every::<DiagnosticArray>("/diagnostics", qos::event_input())?;
        let clock = node.clock().clone();
        let mut ticker = clock.ticker(Duration::from_millis(100));
        let started = Setup::new("goal_intake", node.params());
        let mut topics = Topics {
            trace: Trace::start(node, &started)?,
            instruction: node.publisher("instruction", qos::latched())?,
            status: node.publisher("goal_status", qos::latched().keep_last(HISTORY))?,
            health: node.diagnostics().task("goal"),
            clock,
        };
        let (file, name) = (node.params().text("goal_file"), node.full_name().to_owned());
        let mut this = Intake::from_params(node.params(), kept(&file, &name), ArmWatch::beside(&name))?;
        let beat = node.publisher::<Bool>(HEARTBEAT, qos::event())?;

        // Without this node nobody could end a goal any more, so it takes the goal with it.
        let will: Arc<Mutex<Option<Status>>> = Arc::default();
        let (last_word, last_status, last_beat) = (topics.instruction.clone(), topics.status.clone(), beat.clone());
        let last_will = will.clone();
        node.on_shutdown(move || {
            let told = last_word.publish(&Text::default()).and_then(|()| {
                let will = last_will.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(status) = will {
                    last_status.publish(&Text { data: status.json() })?;
                    // It need not be told again.
                    let mut kept = kept(&file, &name);
                    kept.keep(kept.last(), None);
                }
                last_beat.publish(&Bool { data: false })
            });
            if let Err(error) = told {
                log::warn!("{error}");
            }
        });

        Ok(async move {
            let topics = &mut topics;
            // Wall time: who stands still with /clock is there all the same.
            let mut tenth = tokio::time::interval(trace::PERIOD);
            tenth.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut tenths = 0;
            this.begin(topics)?;
            loop {
                tokio::select! {
                    Some(goal) = goals.recv() => this.on_goal(topics, &goal.msg.data)?,
                    Some(text) = reports.recv() => {
                        let at = text.steady_at(&topics.clock);
                        this.on_task_status(topics, &text.msg.data, at)?;
                    }
                    Some(request) = cancels.next() => {
                        let (success, message) = this.cancel(topics)?;
                        if let Err(error) = request.respond(Trigger::Response { success, message }) {
                            log::debug!("cancel_goal: {error}");
                        }
                    }
                    Some(health) = healths.recv() => health.msg.status.iter().for_each(|status| this.on_health(line(status))),
                    _ = tenth.tick() => {
                        this.every_tenth(topics)?;
                        if tenths % BEAT == 0 {
                            beat.publish(&Bool { data: true })?;
                        }
                        tenths += 1;
                    }
                    _ = ticker.tick() => {
                        topics.trace.flush();
                        this.tick(topics)?;
                    }
                }
                *will.lock().unwrap_or_else(PoisonError::into_inner) = this.will();
            }
        })
    })
}
