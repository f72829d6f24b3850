//! Nothing that judges a policy gets into its training unnoticed.

#![allow(clippy::unwrap_used)]

use efm_harness::leaks::{Demonstration, Leak, ScanError, SentenceFile, check, scan, scan_list, scan_sentences};
use efm_harness::recorder::EpisodeRecorder;
use efm_harness::rig::START;
use efm_sim::tasks::sentences;
use efm_sim::{Scene, Split, Task};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn demonstration(seed: u64) -> Demonstration {
    let scene = Scene::sample(seed);
    Demonstration { seed, task: scene.task.name(), sentence: scene.sentence }
}

/// A bag with what a demonstration says of itself; pictures do not matter here.
fn record(folder: &Path, what: &Demonstration) {
    let mut bag = EpisodeRecorder::create(&folder.join(format!("episode_{}", what.seed))).unwrap();
    bag.instruction(&what.sentence, START).unwrap();
    bag.status(&serde_json::json!({"seed": what.seed, "task": what.task}), START).unwrap();
    bag.finish().unwrap();
}

/// Ten honest demonstrations and a planted one.
fn planted(what: &Demonstration) -> Result<Vec<Demonstration>, ScanError> {
    let folder = tempfile::tempdir().unwrap();
    (0..10).map(demonstration).chain([what.clone()]).for_each(|d| record(folder.path(), &d));
    scan(folder.path())
}

fn leak(result: Result<Vec<Demonstration>, ScanError>, place: &str) -> Leak {
    match result.unwrap_err() {
        ScanError::Leak { place: found, leak } => {
            assert!(found.contains(place), "{found}");
            leak
        }
        other => panic!("{other}"),
    }
}

#[test]
fn honest_demonstrations_pass_and_are_all_seen() {
    let all = planted(&demonstration(77)).unwrap();
    assert_eq!(all.len(), 11);
    assert!(all.contains(&demonstration(77)));
}

#[test]
fn a_planted_scene_of_evaluation_is_found() {
    for split in Split::EVALUATION {
        let seed = split.seeds().start + 5;
        let what = demonstration(seed);
        let found = leak(planted(&what), &format!("episode_{seed}"));
        assert_eq!(found, Leak::Seed { seed, split: split.name().to_owned() });
    }
}

#[test]
fn a_planted_held_out_combination_is_found_even_under_a_training_seed() {
    let task = Task::all().find(|t| t.is_novel()).unwrap();
    let what = Demonstration { seed: 40, task: task.name(), sentence: sentences(task, Split::Train)[0].clone() };
    assert_eq!(leak(planted(&what), "episode_40"), Leak::Combination(task.name()));
}

#[test]
fn a_planted_paraphrase_is_found() {
    let scene = Scene::sample(41);
    let sentence = sentences(scene.task, Split::Paraphrase)[3].clone();
    let what = Demonstration { sentence: sentence.clone(), ..demonstration(41) };
    let expected = Leak::Sentence { task: scene.task.name(), sentence, paraphrase: true };
    assert_eq!(leak(planted(&what), "episode_41"), expected);
}

#[test]
fn a_demonstration_that_is_not_what_its_seed_gives_is_found() {
    let other = (50..).map(demonstration).find(|d| d.task != demonstration(42).task).unwrap();
    let what = Demonstration { seed: 42, ..other };
    assert!(matches!(leak(planted(&what), "episode_42"), Leak::Altered { seed: 42, .. }));
}

#[test]
fn a_planted_sentence_in_the_sentence_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sentences.json");
    let write = |content: &SentenceFile| std::fs::write(&file, serde_json::to_string(content).unwrap()).unwrap();
    write(&SentenceFile::of(Split::Train));
    assert_eq!(scan_sentences(&file).unwrap().sentences.len(), 24 * 40);
    for split in [Split::Novel, Split::Paraphrase] {
        let mut bad = SentenceFile::of(Split::Train);
        bad.sentences.push(SentenceFile::of(split).sentences[7].clone());
        write(&bad);
        assert!(matches!(scan_sentences(&file), Err(ScanError::Leak { .. })), "{split}");
    }
}

#[test]
fn what_the_shipped_policy_was_trained_on_leaks_nothing() {
    let list: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/panda_tabletop_flow/demonstrations.jsonl");
    let all = scan_list(&list).unwrap();
    assert!(all.len() > 1000, "{}", all.len());
    // The same file with one line from evaluation is refused.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("list.jsonl");
    let text = std::fs::read_to_string(&list).unwrap();
    let bad = serde_json::to_string(&demonstration(Split::Novel.seeds().start)).unwrap();
    std::fs::write(&copy, format!("{text}{bad}\n")).unwrap();
    assert!(matches!(scan_list(&copy), Err(ScanError::Leak { leak: Leak::Seed { .. }, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_training_seed_passes(seed in Split::Train.seeds()) {
        prop_assert_eq!(check(&demonstration(seed)), Ok(()));
    }

    #[test]
    fn no_evaluation_seed_passes(seed in Split::Heldout.seeds().start..Split::Shifted.seeds().end) {
        let is_seed = matches!(check(&demonstration(seed)), Err(Leak::Seed { .. }));
        prop_assert!(is_seed);
    }
}
