//! Policies imported from LeRobot checkpoints (`./efm import lerobot`), against LeRobot's own run: the golden files hold what its classes gave for these
//! rgb8 pictures, joints, words and noise. The checkpoints have random weights; `importers/lerobot/tests/make_fixtures.py` writes them.

#![allow(clippy::unwrap_used)]

#[path = "support/fixture.rs"]
mod fixture;

use approx::assert_abs_diff_eq;
use efm_core::{JointSample, Stamp};
use efm_policy::{Goal, Guide, Observation, Parity, Policy, PolicyError, SentenceError};
use fixture::{Fixture, names};
use serde_yaml::Value;

const ALL: [&str; 3] = ["lerobot_act", "lerobot_diffusion", "lerobot_smolvla"];

fn joints(positions: &[f64]) -> JointSample {
    JointSample { stamp: Stamp::ZERO, positions: positions.to_vec(), velocities: vec![0.0; positions.len()] }
}

/// What a policy does on the observations of its worked example, the oldest first, told by `choose`: the un-normalised rows.
fn act(
    policy: &mut Policy,
    choose: &[usize],
    goal: &Goal,
    seed: u64,
    guide: Option<Guide<'_>>,
) -> Result<Vec<f64>, PolicyError> {
    let golden = policy.package().golden().clone();
    let cameras: Vec<String> = policy.manifest().cameras().map(str::to_owned).collect();
    let frames: Vec<_> = choose.iter().map(|frame| &golden.frames[*frame]).collect();
    let samples: Vec<JointSample> = frames.iter().map(|frame| joints(&frame.joints)).collect();
    let images: Vec<Vec<(&str, &[u8])>> = (frames.iter())
        .map(|frame| cameras.iter().map(String::as_str).zip(frame.images.iter().map(Vec::as_slice)).collect())
        .collect();
    let seen: Vec<Observation<'_>> = (samples.iter().zip(&images))
        .map(|(joints, images)| Observation { stamp: Stamp::ZERO, images, joints, earlier: &[] })
        .collect();
    let (newest, earlier) = seen.split_last().unwrap();
    policy.act_guided(&Observation { earlier, ..*newest }, goal, seed, guide)?;
    Ok(policy.last_actions().to_vec())
}

#[test]
fn lerobots_own_chunk_is_repeated() {
    for name in ALL {
        let parity = Fixture::new(name).open().verify_golden().unwrap();
        println!("{name}: {parity:?}");
        assert!(parity.holds(), "{name}: {parity:?}");
        assert!(parity.actions_max_abs < Parity::MAX_ABS / 10.0, "{name}: {parity:?}");
    }
}

#[test]
fn every_input_counts() {
    for name in ALL {
        let parity = |change: &dyn Fn(&mut serde_json::Value)| {
            Fixture::new(name).edit_golden(change).open().verify_golden().unwrap().actions_max_abs
        };
        let picture = parity(&|g| {
            for value in g["image_top"].as_array_mut().unwrap() {
                *value = (255 - value.as_u64().unwrap()).into();
            }
        });
        let joint = parity(&|g| g["joints"][1] = (g["joints"][1].as_f64().unwrap() + 1.0).into());
        let seen = 3.0 * Parity::MAX_ABS;
        assert!(picture > seen && joint > seen, "{name}: {picture} {joint}");
        if name != "lerobot_act" {
            let noise = parity(&|g| g["noise"][5] = 2.0.into());
            assert!(noise > seen, "{name}: {noise}");
        }
    }
}

#[test]
fn a_policy_that_looks_back_sees_the_past_in_its_order_and_repeats_the_first_at_the_start() {
    let mut policy = Fixture::new("lerobot_diffusion").open();
    assert_eq!(policy.manifest().observation.history, 2);
    let goal = policy.embed("anything").unwrap();
    let mut rows = |frames: &[usize]| act(&mut policy, frames, &goal, 5, None).unwrap();
    let (forth, back, alone) = (rows(&[0, 1]), rows(&[1, 0]), rows(&[1]));
    assert_ne!(forth, back);
    assert_ne!(forth, alone);
    assert_eq!(alone, rows(&[1, 1]));
    // What is further back than it looks does not matter.
    assert_eq!(forth, rows(&[1, 0, 1]));
}

#[test]
fn a_chunk_that_continues_another_follows_it_as_much_as_it_counts() {
    for name in ["lerobot_diffusion", "lerobot_smolvla"] {
        let mut policy = Fixture::new(name).open();
        assert!(policy.can_continue());
        let goal = policy.embed("put the red cube on the left pad").unwrap();
        let frames: Vec<usize> = (0..policy.manifest().observation.history).collect();
        let (rows, columns) = (policy.manifest().action.horizon, policy.manifest().action_len());
        let free = act(&mut policy, &frames, &goal, 3, None).unwrap();
        // Another sample of the same policy is something that it could be doing.
        let before = act(&mut policy, &frames, &goal, 4, None).unwrap();
        let mut weights = vec![0.0; rows];
        weights[..5].copy_from_slice(&[1.0, 1.0, 0.75, 0.5, 0.25]);
        let guide = Guide { actions: &before, weights: &weights };
        let guided = act(&mut policy, &frames, &goal, 3, Some(guide)).unwrap();
        let off = |chunk: &[f64], row: usize| {
            let at = row * columns..(row + 1) * columns;
            chunk[at.clone()].iter().zip(&before[at]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        for row in 0..2 {
            assert!(off(&guided, row) < 1e-6 && off(&free, row) > 1e-3, "{name} row {row}");
        }
        assert!(off(&guided, 2) < 0.5 * off(&free, 2), "{name}: {} {}", off(&guided, 2), off(&free, 2));
        let nothing = Guide { actions: &before, weights: &vec![0.0; rows] };
        assert_abs_diff_eq!(act(&mut policy, &frames, &goal, 3, Some(nothing)).unwrap()[..], free[..], epsilon = 1e-9);
    }
    assert!(!Fixture::new("lerobot_act").open().can_continue());
}

#[test]
fn words_reach_a_policy_that_reads_them_as_its_training_had_them() {
    let mut policy = Fixture::new("lerobot_smolvla").open();
    let golden = policy.package().golden().clone();
    assert_eq!(policy.embed(&golden.sentence).unwrap(), golden.goal);
    // The line feed is put behind once.
    assert_eq!(policy.embed(&format!("{}\n", golden.sentence)).unwrap(), golden.goal);
    let long = policy.embed(&"push the green cylinder ".repeat(40)).unwrap();
    assert!(matches!(&long, Goal::Tokens(ids) if ids.len() == 16), "{long:?}");
    let frames = [0];
    let first = act(&mut policy, &frames, &golden.goal, 3, None).unwrap();
    assert_eq!(first, act(&mut policy, &frames, &golden.goal, 3, None).unwrap());
    assert_ne!(first, act(&mut policy, &frames, &long, 3, None).unwrap());
    assert_eq!(
        first,
        act(&mut policy, &frames, &golden.goal, 3, None).unwrap(),
        "nothing of the longer sentence is left"
    );
    assert!(matches!(policy.embed(" "), Err(SentenceError::Empty)));
}

#[test]
fn a_goal_that_was_made_for_another_policy_is_refused() {
    let (mut deaf, mut reads) = (Fixture::new("lerobot_act").open(), Fixture::new("lerobot_smolvla").open());
    assert_eq!(deaf.embed("stop").unwrap(), Goal::Unheard);
    assert!(deaf.embed("").is_err(), "no instruction is none for it either");
    let words = reads.embed("stop").unwrap();
    names(&act(&mut deaf, &[0], &words, 0, None).unwrap_err().to_string(), &["tokens", "expected", "nothing"]);
    names(&act(&mut reads, &[0], &Goal::Unheard, 0, None).unwrap_err().to_string(), &["nothing", "at most 16 tokens"]);
}

/// A change of a manifest, and what the refusal names.
type Case = (fn(&mut Value), &'static [&'static str]);

fn remove(tree: &mut Value, key: &str) {
    tree.as_mapping_mut().unwrap().remove(key);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let diffusion: &[Case] = &[
        (|m| m["observation"]["history"] = 0.into(), &["observation.history", "0"]),
        (|m| m["observation"]["history"] = 3.into(), &["encode", "image_top", "[1, 3, 3, 32, 40]"]),
        (|m| m["action"]["skip_rows"] = 0.into(), &["step", "'x'", "[1, 15, 4]"]),
        (|m| m["action"]["pad_columns"] = 2000.into(), &["action.pad_columns", "2000"]),
        (|m| remove(&mut m["runner"], "clip"), &["runner.clip_of", "clip"]),
    ];
    let smolvla: &[Case] = &[
        (|m| m["action"]["pad_columns"] = 1.into(), &["step", "'x'", "[1, 10, 5]"]),
        (
            |m| remove(&mut m["observation"]["language"], "pad_id"),
            &["observation", "language", "`pad_id`", "`tokenizer`"],
        ),
        (|m| m["observation"]["language"]["max_tokens"] = 0.into(), &["observation.language.max_tokens"]),
        (|m| m["observation"]["language"]["max_tokens"] = 17.into(), &["encode", "input_ids", "[1, 17]"]),
        (|m| m["observation"]["language"]["tensor"] = "text".into(), &["observation", "language", "`tensor`"]),
        (|m| m["observation"]["language"]["input_ids"] = "state".into(), &["observation.language", "'state'"]),
        (
            |m| remove(&mut m["observation"]["language"], "tokenizer"),
            &["observation", "language", "`encoder`", "`tokenizer`"],
        ),
        (
            |m| m["observation"]["language"]["tokenizer"]["sha256"] = "0".repeat(64).into(),
            &["tokenizer.json", "has changed"],
        ),
        (|m| remove(&mut m["observation"], "language"), &["graphs.encode.inputs", "input_ids"]),
    ];
    for (name, cases) in [("lerobot_diffusion", diffusion), ("lerobot_smolvla", smolvla)] {
        for (change, parts) in cases {
            names(&Fixture::new(name).edit(*change).refusal(), parts);
        }
    }
    let spoilt = Fixture::new("lerobot_smolvla");
    std::fs::write(spoilt.folder.join("tokenizer.json"), b"{}").unwrap();
    let spoilt = spoilt.edit(|m| m["observation"]["language"]["tokenizer"]["sha256"] = fixture::sha256(b"{}").into());
    names(&spoilt.refusal(), &["tokenizer.json"]);
    let long = Fixture::new("lerobot_smolvla").edit_golden(|g| g["input_ids"] = vec![1; 17].into());
    names(&long.refusal(), &["golden.json", "'input_ids'", "17", "16"]);
}

/// The worked example of a large model is too large with all that `encode` gives.
#[test]
fn context_may_be_left_out_of_the_golden_file_but_not_forgotten() {
    let left_out = Fixture::new("lerobot_smolvla").edit_golden(|g| g["keys"] = serde_json::Value::Null);
    assert!(left_out.open().verify_golden().unwrap().holds());
    let forgotten = Fixture::new("lerobot_smolvla").edit_golden(|g| drop(g.as_object_mut().unwrap().remove("keys")));
    names(&forgotten.refusal(), &["'keys'", "missing"]);
}
