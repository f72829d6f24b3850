//! The words that the shipped packages list are those of the benchmark that they were trained for: no sentence of any split is refused or taken for a stop.

#![allow(clippy::unwrap_used)]

use efm_core::words::{Heard, Refusal, StopWords, hear};
use efm_policy::{MANIFEST_FILE, Manifest};
use efm_sim::tasks::{Split, Task, sentences};
use std::path::{Path, PathBuf};

fn shipped() -> Vec<Manifest> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let folders = std::fs::read_dir(models).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = folders.filter(|folder| folder.join(MANIFEST_FILE).is_file()).collect();
    found.sort();
    assert!(found.len() >= 4, "{found:?}");
    found.iter().map(|folder| Manifest::read(folder).unwrap()).collect()
}

#[test]
fn every_sentence_of_every_split_is_taken_and_its_object_and_goal_are_understood() {
    let stops = StopWords::default();
    for manifest in shipped() {
        let (name, lexicon) = (&manifest.policy.name, manifest.lexicon().unwrap());
        let mut count = 0;
        for (task, split) in Task::all().flat_map(|task| Split::ALL.map(|split| (task, split))) {
            for sentence in sentences(task, split) {
                for said in [sentence.clone(), format!("{}!", sentence.to_uppercase())] {
                    match hear(&said, &stops, Some(&lexicon)) {
                        Heard::Goal(_, Some(understood)) => {
                            assert_eq!(understood.objects, [task.object().words()], "{name}: {said}");
                            assert!(
                                understood.goals.iter().any(|goal| goal == task.goal()),
                                "{name}: {said}: {understood:?}"
                            );
                        }
                        other => panic!("{name}: '{said}': {other:?}"),
                    }
                }
                count += 1;
            }
        }
        assert!(count > 3000, "{count}");
    }
}

/// What pushed a cube before: measured with the shipped policies.
#[test]
fn what_is_no_task_of_the_benchmark_moves_nothing() {
    let stops = StopWords::default();
    for manifest in shipped() {
        let lexicon = manifest.lexicon().unwrap();
        for text in ["stop", "halt", "wait", "do nothing"] {
            assert!(matches!(hear(text, &stops, Some(&lexicon)), Heard::Stop(_)), "{text}");
        }
        for text in ["hello", "dance", "what can you do?", "bring me a coffee"] {
            assert!(matches!(hear(text, &stops, Some(&lexicon)), Heard::Refused(Refusal::NamesNothing(_))), "{text}");
        }
        let negated = hear("do not put the yellow cube in the left zone", &stops, Some(&lexicon));
        assert!(matches!(negated, Heard::Refused(Refusal::Negated(_))), "{negated:?}");
    }
}
