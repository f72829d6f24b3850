//! The words that ask for a task.

use super::{ObjectKind, Task, Zone};

const PUT: [&str; 8] = [
    "put the {object} in the {side} zone",
    "move the {object} to the {side}",
    "place the {object} in the {side} square",
    "pick up the {object} and put it on the {side}",
    "bring the {object} to the {side} side",
    "take the {object} and drop it off in the {side} zone",
    "please put the {object} on the {side} side",
    "grab the {object} and place it to the {side}",
];
const PUSH: [&str; 8] = [
    "push the {object} to the far line",
    "push the {object} forward to the line",
    "slide the {object} away to the far line",
    "shove the {object} to the line at the back",
    "please push the {object} away from the robot",
    "push the {object} up to the line",
    "slide the {object} forward until the line",
    "move the {object} to the far line by pushing it",
];

/// Every sentence that may ask for a task.
pub fn templates(task: Task) -> Vec<String> {
    let fill = |text: &str, object: ObjectKind, zone: Option<Zone>| {
        text.replace("{object}", object.words()).replace("{side}", zone.map_or("", Zone::words))
    };
    match task {
        Task::Put { object, zone } => PUT.iter().map(|t| fill(t, object, Some(zone))).collect(),
        Task::Push { object } => PUSH.iter().map(|t| fill(t, object, None)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_sentence_asks_for_two_tasks() {
        let all: Vec<String> = Task::all().flat_map(templates).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert!(all.iter().all(|s| !s.contains(['{', '}'])));
    }
}
