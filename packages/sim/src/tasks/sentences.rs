//! The words that ask for a task.
//!
//! Training and the paraphrase split share the nouns and no template. Templates are written by hand: how people ask, not what a
//! grammar can make.

use super::{Form, ObjectKind, Split, Task};

const PUT: [&str; 20] = [
    "put the {object} in the {side} zone",
    "move the {object} to the {side}",
    "place the {object} in the {side} square",
    "pick up the {object} and put it on the {side}",
    "bring the {object} to the {side} side",
    "take the {object} and drop it off in the {side} zone",
    "please put the {object} on the {side} side",
    "grab the {object} and place it to the {side}",
    "the {object} goes in the {side} zone",
    "i want the {object} on the {side}",
    "can you put the {object} to the {side}",
    "set the {object} down on the {side} side",
    "{side} zone for the {object}",
    "carry the {object} over to the {side} square",
    "lift the {object} and set it in the {side} zone",
    "the {object} should be on the {side}",
    "transfer the {object} to the {side} zone",
    "{object} to the {side}",
    "would you move the {object} into the {side} square please",
    "get the {object} and leave it on the {side} side",
];
const PLATE: [&str; 20] = [
    "put the {object} on the plate",
    "move the {object} to the plate",
    "place the {object} onto the plate",
    "pick up the {object} and put it on the plate",
    "bring the {object} to the white plate",
    "take the {object} and drop it off on the plate",
    "please put the {object} on the white plate",
    "grab the {object} and place it on the plate",
    "the {object} goes on the plate",
    "i want the {object} on the plate",
    "can you put the {object} onto the white plate",
    "set the {object} down on the plate",
    "the plate for the {object}",
    "carry the {object} over to the plate",
    "lift the {object} and set it on the plate",
    "the {object} should be on the plate",
    "transfer the {object} to the plate",
    "{object} onto the plate",
    "would you move the {object} onto the plate please",
    "get the {object} and leave it on the white plate",
];
const PUSH: [&str; 20] = [
    "push the {object} to the far line",
    "push the {object} forward to the line",
    "slide the {object} away to the far line",
    "shove the {object} to the line at the back",
    "please push the {object} away from the robot",
    "push the {object} up to the line",
    "slide the {object} forward until the line",
    "move the {object} to the far line by pushing it",
    "the {object} has to slide to the line",
    "i want the {object} pushed to the far line",
    "can you push the {object} to the line",
    "push the {object} straight ahead to the far line",
    "far line for the {object}",
    "slide the {object} over to the line",
    "give the {object} a push to the far line",
    "the {object} should be pushed to the line",
    "shove the {object} forward",
    "push {object}",
    "would you slide the {object} to the far line please",
    "push the {object} and leave it on the line",
];

const PUT_PARAPHRASED: [&str; 10] = [
    "could you relocate the {object} so that it ends up at the {side}-hand area",
    "have the {object} sit inside the {side} box marked on the table",
    "let's get that {object} across to the {side} patch",
    "deliver the {object} to the {side}-hand spot",
    "make sure the {object} finishes on the {side}",
    "i'd like you to shift the {object} over to your {side}",
    "the {side} patch is where the {object} belongs",
    "find the {object} and park it in the {side} area",
    "deposit the {object} at the {side}",
    "see the {object}? it lives on the {side}-hand side",
];
const PLATE_PARAPHRASED: [&str; 10] = [
    "could you relocate the {object} so that it ends up upon the plate",
    "have the {object} sit on top of the dish",
    "let's get that {object} onto the dish",
    "serve the {object} on the round plate",
    "make sure the {object} finishes on top of the plate",
    "i'd like you to lay the {object} upon the dish",
    "the plate is where the {object} belongs",
    "find the {object} and park it on top of the plate",
    "deposit the {object} on that white dish",
    "see the {object}? it lives on the plate",
];
const PUSH_PARAPHRASED: [&str; 10] = [
    "nudge the {object} along until it reaches the stripe",
    "drive the {object} forwards as far as the marked line",
    "without lifting it, get the {object} to the far line",
    "make the {object} glide away from you to the stripe",
    "propel the {object} towards the back of the table where the line is",
    "i'd like you to scoot the {object} away towards the line",
    "the far stripe is where the {object} has to be pushed",
    "advance the {object} along the table up to the back line",
    "keep the {object} on the table and press it onward to the line",
    "see the {object}? shove it back to the stripe",
];

/// What people call a form; the first is the usual word.
fn nouns(form: Form) -> [&'static str; 2] {
    match form {
        Form::Cube => ["cube", "block"],
        Form::Puck => ["puck", "disc"],
        Form::Brick => ["brick", "bar"],
        Form::Cylinder => ["cylinder", "can"],
    }
}

/// What an object is called: the usual word, then another.
fn names(object: ObjectKind) -> [String; 2] {
    let words = object.words();
    let colour = words.split(' ').next().unwrap_or(words);
    nouns(object.form()).map(|noun| format!("{colour} {noun}"))
}

fn templates(task: Task, split: Split) -> &'static [&'static str] {
    match (task, split) {
        (Task::Put { .. }, Split::Paraphrase) => &PUT_PARAPHRASED,
        (Task::PutOnPlate { .. }, Split::Paraphrase) => &PLATE_PARAPHRASED,
        (Task::Push { .. }, Split::Paraphrase) => &PUSH_PARAPHRASED,
        (Task::Put { .. }, _) => &PUT,
        (Task::PutOnPlate { .. }, _) => &PLATE,
        (Task::Push { .. }, _) => &PUSH,
    }
}

/// How many templates a split has for a task.
pub fn template_count(task: Task, split: Split) -> usize {
    templates(task, split).len()
}

/// Every sentence that asks for a task in a split; the combinations of [`Split::Novel`] are asked for in the words of training.
pub fn sentences(task: Task, split: Split) -> Vec<String> {
    let side = match task {
        Task::Put { zone, .. } => zone.words(),
        Task::PutOnPlate { .. } | Task::Push { .. } => "",
    };
    let names = names(task.object());
    templates(task, split)
        .iter()
        .flat_map(|text| names.iter().map(move |name| text.replace("{object}", name).replace("{side}", side)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_sentence_asks_for_two_tasks() {
        let all: Vec<String> =
            Task::all().flat_map(|t| [sentences(t, Split::Train), sentences(t, Split::Paraphrase)].concat()).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert!(all.iter().all(|s| !s.contains(['{', '}'])));
    }

    #[test]
    fn a_paraphrase_shares_no_template_with_training() {
        let plain = |text: &str| -> Vec<String> {
            let text = text.replace("{object}", "object").replace("{side}", "side");
            text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
        };
        let trained: HashSet<Vec<String>> = [PUT, PLATE, PUSH].iter().flatten().map(|t| plain(t)).collect();
        for text in [PUT_PARAPHRASED, PLATE_PARAPHRASED, PUSH_PARAPHRASED].iter().flatten() {
            assert!(!trained.contains(&plain(text)), "{text}");
        }
    }
}
