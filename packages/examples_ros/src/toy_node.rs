//! A toy node: it hears `/diagnostics` and says on `~/worst` what is worst of all that was heard, each time that this changes.
//!
//! Its executable is `src/bin/efm-toy-node.rs`. A node of this repository stands in `packages/nodes/src/nodes/` instead and has its line in `nodes.rs`.

use efm_ros::r2r::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus};
use efm_ros::r2r::std_msgs::msg::String as Text;
use efm_ros::{Plan, Spec, qos};
use std::collections::BTreeMap;

/// What it decides, without ROS: the last word of each task.
#[derive(Debug, Default)]
pub struct Board {
    /// Level and message, by task.
    tasks: BTreeMap<String, (u8, String)>,
}

impl Board {
    /// A task says how it is.
    pub fn hear(&mut self, task: &str, level: u8, message: &str) {
        self.tasks.insert(task.to_owned(), (level, message.to_owned()));
    }

    /// The task that is worst, of several the first by name: in words.
    pub fn worst(&self) -> Option<String> {
        let worst = self.tasks.values().map(|(level, _)| *level).max()?;
        self.tasks
            .iter()
            .find(|(_, (level, _))| *level == worst)
            .map(|(task, (_, message))| format!("{task}: {message}"))
    }
}

/// Parameters of `toy_node`.
pub fn specs() -> Vec<Spec> {
    vec![
        Spec::integer("at_least", 0, "Level from which on a task counts: 0 ok, 1 warning, 2 error, 3 stale.")
            .range(0.0, 3.0),
    ]
}

/// The node `toy_node`.
pub fn plan() -> Plan {
    Plan::new("toy_node", specs(), |node| {
        let at_least = node.params().integer("at_least");
        let own = format!("{}: ", node.name());
        let mut heard = node.every::<DiagnosticArray>("/diagnostics", qos::event_input())?;
        let said = node.publisher::<Text>("~/worst", qos::latched())?;
        let health = node.diagnostics().task("board");
        health.warn("no diagnostics were heard yet");
        Ok(async move {
            let (mut board, mut last) = (Board::default(), None);
            // It ends with the node: work is dropped where the end is asked for.
            while let Some(array) = heard.recv().await {
                for DiagnosticStatus { name, level, message, .. } in &array.msg.status {
                    if i64::from(*level) >= at_least && !name.starts_with(&own) {
                        board.hear(name, *level, message);
                    }
                }
                let worst = board.worst();
                if worst != last {
                    said.publish(&Text { data: worst.clone().unwrap_or_default() })?;
                    last = worst;
                }
                health.ok("listening");
            }
            Ok(())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_told_and_of_equals_the_first_by_name() {
        let mut board = Board::default();
        assert_eq!(board.worst(), None);
        board.hear("b: policy", 1, "disabled");
        board.hear("a: goal", 0, "no goal is active");
        assert_eq!(board.worst().as_deref(), Some("b: policy: disabled"));
        board.hear("b: policy", 0, "proposing");
        assert_eq!(board.worst().as_deref(), Some("a: goal: no goal is active"));
    }
}
