//! What policies do: against answers worked out by hand, and against the exporter's own run.

#![allow(clippy::unwrap_used)]

#[path = "support/fixture.rs"]
mod fixture;

use approx::assert_abs_diff_eq;
use efm_core::{JointSample, Stamp};
use efm_policy::{
    Embedding, Goal, Guide, Observation, OpenError, Policy, PolicyError, RuntimeOptions, SentenceError, fill_normal,
};
use fixture::{Fixture, JOINTS, gantry, limits, names};

fn sample(positions: [f64; 4]) -> JointSample {
    JointSample { stamp: Stamp::from_nanos(1), positions: positions.to_vec(), velocities: vec![0.0; 4] }
}

const Q: [f64; 4] = [0.1, -0.2, 0.3, 0.03];

fn act(policy: &mut Policy, picture: &[u8], goal: &Goal, seed: u64) -> Result<efm_core::ActionChunk, PolicyError> {
    let joints = sample(Q);
    policy.act(
        &Observation { stamp: Stamp::from_nanos(5), images: &[("front", picture)], joints: &joints, earlier: &[] },
        goal,
        seed,
    )
}

/// The manifest's normalisation, once more, from its numbers: (v - 0.1 i) / (0.5 + 0.1 i + 1e-6).
fn normalized(state: &[f64]) -> Vec<f64> {
    state.iter().enumerate().map(|(i, v)| (v - 0.1 * i as f64) / (0.5 + 0.1 * i as f64 + 1e-6)).collect()
}

#[test]
fn the_exporters_own_run_is_repeated() {
    for name in &fixture::fixtures() {
        let parity = Fixture::new(name).open().verify_golden().unwrap();
        assert!(parity.holds(), "{name}: {parity:?}");
        assert!(parity.actions_max_abs < 1e-6 && parity.embedding_cosine > 1.0 - 1e-6, "{name}: {parity:?}");
    }
}

#[test]
fn a_run_that_differs_from_the_exporters_does_not_hold() {
    let spoilt = |field: &str| {
        let fixture = Fixture::new("flow").edit_golden(|g| g[field][0] = (g[field][0].as_f64().unwrap() + 2e-4).into());
        fixture.open().verify_golden().unwrap()
    };
    assert!(!spoilt("actions").holds());
    assert!(!spoilt("context").holds());
    let other = Fixture::new("flow").edit_golden(|g| g["sentence"] = "push the blue ball".into());
    let parity = other.open().verify_golden().unwrap();
    assert!(!parity.holds() && parity.actions_max_abs < 1e-6, "{parity:?}");
}

/// 52 tokens, chosen over the whole sequence there and with a cache here: one that differs makes all after it differ.
#[test]
fn a_token_that_differs_from_the_exporters_is_counted() {
    let fixture = Fixture::new("tokens").edit_golden(|g| {
        let last = g["tokens"].as_array().unwrap().len() - 1;
        g["tokens"][last] = 39.into();
    });
    let parity = fixture.open().verify_golden().unwrap();
    assert!(parity.tokens_wrong <= 1 && parity.actions_max_abs < 1e-6, "{parity:?}");
    let fixture = Fixture::new("tokens").edit(|m| m["runner"]["first_token"] = 4.into());
    let parity = fixture.open().verify_golden().unwrap();
    assert!(parity.tokens_wrong > 10 && !parity.holds(), "{parity:?}");
}

/// The state of the fixture, by hand: h' = 0.5 h + joints (normalised), and a count of runs; row k = (k + 1) 0.1 h' + 0.01 count + 0.05 in the first run
/// + text[1].
#[test]
fn a_policy_that_remembers_carries_its_state_from_chunk_to_chunk_until_it_is_reset() {
    let mut policy = Fixture::new("recurrent").open();
    let goal = policy.embed("push the blue ball").unwrap();
    let Goal::Embedding(text) = goal.clone() else { panic!("{goal:?}") };
    let seen = normalized(&Q);
    for episode in 0..2 {
        let mut h = [0.0; 4];
        for run in 0..5 {
            act(&mut policy, &[7; 18], &goal, 0).unwrap();
            for (i, found) in policy.last_actions().iter().enumerate() {
                let (row, joint) = (i / 4, i % 4);
                if row == 0 {
                    h[joint] = 0.5 * h[joint] + seen[joint];
                }
                let first = if run == 0 { 0.05 } else { 0.0 };
                let rest = 0.01 * f64::from(run) + first + f64::from(text.values()[1]);
                assert_abs_diff_eq!(*found, 0.1 * (row + 1) as f64 * h[joint] + rest, epsilon = 1e-6);
            }
        }
        if episode == 0 {
            policy.reset();
        }
    }
    // The worked example leaves no memory behind.
    assert!(policy.verify_golden().unwrap().holds());
    let after = act(&mut policy, &[7; 18], &goal, 0).unwrap();
    assert_eq!(after, act(&mut Fixture::new("recurrent").open(), &[7; 18], &goal, 0).unwrap());
}

#[test]
fn a_state_that_is_no_number_is_refused_and_the_one_before_it_kept() {
    let mut policy = Fixture::new("recurrent").swap_graph("policy", "recurrent_nan.onnx").open();
    let goal = policy.embed("push the blue ball").unwrap();
    let mut episode = || -> Vec<f64> {
        for _ in 0..3 {
            act(&mut policy, &[7; 18], &goal, 0).unwrap();
        }
        // The fourth gives a square root of less than nothing, and again as long as the state is that of the third.
        for _ in 0..2 {
            let error = act(&mut policy, &[7; 18], &goal, 0).unwrap_err().to_string();
            names(&error, &["policy.onnx", "NaN", "'h_next'", "left as it was"]);
        }
        policy.reset();
        policy.last_actions().to_vec()
    };
    assert_eq!(episode(), episode());
}

/// One chunk says nothing about a state.
#[test]
fn the_worked_example_of_a_policy_that_remembers_has_three_chunks_at_least_and_all_are_compared() {
    let cut = |chunks: usize| {
        Fixture::new("recurrent").old().edit_golden(|g| {
            for (key, one) in [("actions", 8), ("joints", 4), ("image_front", 18)] {
                g[key].as_array_mut().unwrap().truncate(chunks * one);
            }
        })
    };
    assert!(cut(3).open().verify_golden().unwrap().holds());
    names(&cut(2).refusal(), &["golden.json", "'actions'", "16 numbers", "3 to 1000 chunks of 8"]);
    let spoilt = Fixture::new("recurrent").edit_golden(|g| {
        g["actions"][31] = (g["actions"][31].as_f64().unwrap() + 2e-4).into();
    });
    assert!(!spoilt.open().verify_golden().unwrap().holds());
}

#[test]
fn a_policy_that_samples_gives_the_same_chunk_for_the_same_seed_and_another_for_another() {
    let picture: Vec<u8> = (0..24).map(|i| i * 10).collect();
    for name in ["flow", "ddpm", "ddim"] {
        let mut policy = Fixture::new(name).open();
        let goal = policy.embed("pick the red cube").unwrap();
        let mut chunk = |seed| act(&mut policy, &picture, &goal, seed).unwrap();
        assert_eq!(chunk(3), chunk(3), "{name}");
        assert_ne!(chunk(3), chunk(4), "{name}");
    }
}

#[test]
fn a_chunk_that_continues_another_keeps_the_rows_that_are_done_meanwhile() {
    let picture: Vec<u8> = (0..24).map(|i| i * 10).collect();
    for name in ["flow", "ddpm", "ddim"] {
        let mut policy = Fixture::new(name).open();
        assert!(policy.can_continue());
        let goal = policy.embed("pick the red cube").unwrap();
        act(&mut policy, &picture, &goal, 3).unwrap();
        let (free, joints) = (policy.last_actions().to_vec(), sample(Q));
        let mut before = free.clone();
        before.iter_mut().for_each(|v| *v += 0.004);
        let observation =
            Observation { stamp: Stamp::from_nanos(5), images: &[("front", &picture)], joints: &joints, earlier: &[] };
        let mut guided = |actions: &[f64], weights: &[f64]| {
            policy
                .act_guided(&observation, &goal, 3, Some(Guide { actions, weights }))
                .map(|_| policy.last_actions().to_vec())
        };
        let after = guided(&before, &[1.0, 0.0, 0.0]).unwrap();
        for i in 0..4 {
            assert_abs_diff_eq!(after[i], before[i], epsilon = 1e-6);
        }
        assert_abs_diff_eq!(&after[4..], &free[4..], epsilon = 1e-6);
        assert_abs_diff_eq!(guided(&before, &[0.0; 3]).unwrap()[..], free[..], epsilon = 1e-9);
        // Rows that do not count may be anything; those that count may not.
        before[11] = f64::NAN;
        guided(&before, &[1.0, 0.5, 0.0]).unwrap();
        names(&guided(&before, &[1.0, 0.5, 0.1]).unwrap_err().to_string(), &["'gripper' in row 2"]);
        names(&guided(&free, &[1.0, 1.5, 0.0]).unwrap_err().to_string(), &["weight", "1.5"]);
        names(&guided(&free[1..], &[1.0, 0.5, 0.0]).unwrap_err().to_string(), &["guide", "11", "12"]);
    }
    for name in ["single", "tokens"] {
        assert!(!Fixture::new(name).open().can_continue());
    }
}

#[test]
fn relative_actions_are_counted_from_another_observation() {
    let policy = Fixture::new("flow").open();
    let to = [0.15, -0.25, 0.4, 0.01];
    let mut actions = vec![0.1, 0.2, 0.3, 0.02];
    policy.rebase(&mut actions, &Q, &to);
    // x and y are relative to the tool, z and the gripper are not.
    assert_abs_diff_eq!(actions[..], [0.05, 0.25, 0.3, 0.02][..], epsilon = 1e-12);
    let policy = Fixture::new("single").open();
    let mut actions = vec![0.1, 0.2, 0.3, 0.02];
    policy.rebase(&mut actions, &Q, &to);
    assert_abs_diff_eq!(actions[..], [0.05, 0.2, 0.3, 0.02][..], epsilon = 1e-12);
}

#[test]
fn flow_matching_integrates_from_noise_to_the_known_answer() {
    let mut policy = Fixture::new("flow").open();
    let goal = policy.embed("pick the red cube").unwrap();
    let picture: Vec<u8> = (0..24).map(|i| i * 10).collect();
    let state = [Q[0], Q[1], Q[2], Q[3], Q[0], Q[1], Q[2] + 0.1];
    let noise: Vec<f32> = (0..12).map(|i| i as f32 * 0.25 - 1.0).collect();
    let actions = policy.infer_raw(&[&picture], &state, &goal, &noise).unwrap();

    let s = normalized(&state);
    let channel = |c: usize, mean: f64, std: f64| {
        (0..8).map(|p| (f64::from(picture[p * 3 + c]) / 255.0 - mean) / std).sum::<f64>() / 8.0
    };
    let image = (channel(0, 0.5, 0.5) + channel(1, 0.25, 1.0) + channel(2, 0.0, 0.25)) / 3.0;
    let a = [0.1 * s[4], 0.1 * s[5], 0.1 * s[6], f64::from(goal.embedding().unwrap().values()[0]) + image];
    let (mean, std) = ([0.0, 0.1, 0.3, 0.02], [0.2, 0.1, 0.05, 0.01]);
    for row in 0..3 {
        for column in 0..4 {
            let x = if column < 3 {
                a[column] - 0.5 / 4.0
            } else {
                a[3] + 0.75f64.powi(4) * (f64::from(noise[row * 4 + 3]) - a[3])
            };
            let expected = x * (std[column] + 1e-6) + mean[column];
            assert_abs_diff_eq!(actions[row * 4 + column], expected, epsilon = 1e-6);
        }
    }
}

#[test]
fn end_effector_actions_become_joint_positions_by_reference() {
    let mut policy = Fixture::new("flow").open();
    let goal = policy.embed("pick the red cube").unwrap();
    let picture = [128u8; 24];
    let chunk = act(&mut policy, &picture, &goal, 3).unwrap();
    assert_eq!((chunk.observed_at(), chunk.step(), chunk.horizon()), (Stamp::from_nanos(5), 0.1, 3));

    let mut noise = [0f32; 12];
    fill_normal(3, 1.0, &mut noise);
    let state = [Q[0], Q[1], Q[2], Q[3], Q[0], Q[1], Q[2] + 0.1];
    let actions = policy.infer_raw(&[&picture], &state, &goal, &noise).unwrap();
    for k in 0..3 {
        let (row, action) = (chunk.row(k), &actions[k * 4..]);
        // x and y relative to the measured tool, z absolute (the tool hangs 0.1 m above the slide), the gripper within 0 to 0.04 m.
        let expected = [Q[0] + action[0], Q[1] + action[1], action[2] - 0.1, action[3].clamp(0.0, 0.04)];
        for (found, expected) in row.iter().zip(expected) {
            assert_abs_diff_eq!(*found, expected, epsilon = 1e-4);
        }
    }
}

#[test]
fn a_gripper_command_stays_within_its_limits() {
    for (mean, limit) in [(0.5, 0.04), (-0.5, 0.0)] {
        let fixture = Fixture::new("flow").edit(|m| m["action"]["normalization"]["mean"][3] = mean.into());
        let mut policy = fixture.open();
        let goal = policy.embed("push").unwrap();
        let chunk = act(&mut policy, &[0; 24], &goal, 0).unwrap();
        assert!((0..3).all(|k| chunk.row(k)[3] == limit), "{chunk:?}");
    }
}

#[test]
fn joint_actions_of_a_single_pass_follow_their_references() {
    let mut policy = Fixture::new("single").open();
    let goal = policy.embed("push the blue ball").unwrap();
    let chunk = act(&mut policy, &[7; 18], &goal, 0).unwrap();
    let s = normalized(&Q);
    for k in 0..2 {
        for (joint, found) in chunk.row(k).iter().enumerate() {
            let mut expected = 0.1 * (k + 1) as f64 * s[joint] + f64::from(goal.embedding().unwrap().values()[1]);
            if joint == 0 {
                expected += Q[0];
            }
            if joint == 3 {
                expected = expected.clamp(0.0, 0.04);
            }
            assert_abs_diff_eq!(*found, expected, epsilon = 1e-6);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_another_chunk() {
    // The gripper keeps a share of the noise; make room for it between its limits.
    let open = || {
        let fixture = Fixture::new("flow").edit(|m| m["action"]["normalization"]["std"][3] = 0.001.into());
        fixture.open()
    };
    let (mut a, mut b) = (open(), open());
    let goal = a.embed("pick the red cube").unwrap();
    assert_eq!(goal, b.embed("pick the red cube").unwrap());
    let first = act(&mut a, &[9; 24], &goal, 1).unwrap();
    let other = act(&mut a, &[9; 24], &goal, 2).unwrap();
    assert_ne!(first, other);
    // Neither what came before nor which instance runs it matters.
    assert_eq!(act(&mut a, &[9; 24], &goal, 1).unwrap(), first);
    assert_eq!(act(&mut b, &[9; 24], &goal, 1).unwrap(), first);
}

#[test]
fn without_noise_the_seed_does_not_matter() {
    let fixture = Fixture::new("flow").edit(|m| {
        m["runner"]["noise_scale"] = 0.0.into();
        m["action"]["normalization"]["std"][3] = 0.001.into();
    });
    // The exporter's run started from the mean as well.
    let fixture = fixture.edit_golden(|g| g["noise"] = vec![0.0; 12].into());
    let mut policy = fixture.open();
    let goal = policy.embed("pick").unwrap();
    let first = act(&mut policy, &[9; 24], &goal, 1).unwrap();
    assert_eq!(act(&mut policy, &[9; 24], &goal, 2).unwrap(), first);
}

#[test]
fn an_observation_that_does_not_fit_is_refused_by_name() {
    let mut policy = Fixture::new("flow").open();
    let goal = policy.embed("pick").unwrap();
    let picture = [0u8; 24];
    let mut refusal = |images: &[(&str, &[u8])], positions: &[f64], goal: &Goal| {
        let joints = JointSample { stamp: Stamp::ZERO, positions: positions.to_vec(), velocities: vec![] };
        let observation = Observation { stamp: Stamp::ZERO, images, joints: &joints, earlier: &[] };
        policy.act(&observation, goal, 0).unwrap_err().to_string()
    };
    names(&refusal(&[("wrist", &picture)], &Q, &goal), &["'front'"]);
    names(&refusal(&[("front", &picture[1..])], &Q, &goal), &["'front'", "23 bytes", "4x2", "24 bytes"]);
    names(&refusal(&[("front", &picture)], &Q[..3], &goal), &["joint state", "3 values; expected 4"]);
    let broken = [0.1, f64::NAN, 0.3, 0.0];
    names(&refusal(&[("front", &picture)], &broken, &goal), &["'slide_y'", "NaN"]);
    let short = Goal::from(Embedding::new(vec![1.0; 3]).unwrap());
    names(&refusal(&[("front", &picture)], &Q, &short), &["embedding", "3 values", "4 values"]);
}

#[test]
fn what_is_not_finite_never_becomes_a_chunk() {
    let fixture = Fixture::new("flow").swap_graph("step", "step_nan.onnx");
    let mut policy = fixture.open();
    let goal = policy.embed("pick").unwrap();
    let err = act(&mut policy, &[0; 24], &goal, 0).unwrap_err();
    assert!(matches!(err, PolicyError::NotFinite { row: 0, .. }), "{err}");
    names(&err.to_string(), &["NaN", "'x'", "row 0", "refused"]);
}

#[test]
fn a_chunk_with_a_row_out_of_reach_is_refused_by_row() {
    let fixture = Fixture::new("flow").edit(|m| m["action"]["normalization"]["mean"][1] = 5.0.into());
    let mut policy = fixture.open();
    let goal = policy.embed("pick").unwrap();
    let err = act(&mut policy, &[0; 24], &goal, 0).unwrap_err();
    names(&err.to_string(), &["row 0", "out of reach", "slide_y"]);
}

#[test]
fn sentences_are_bounded_and_differ_by_their_words() {
    let mut policy = Fixture::new("flow").open();
    assert!(matches!(policy.embed(""), Err(SentenceError::Empty)));
    assert!(matches!(policy.embed(" \n\t"), Err(SentenceError::Empty)));
    assert!(matches!(policy.embed(&"a".repeat(100_000)), Err(SentenceError::TooLong(100_000))));
    let pick = policy.embed("Pick the red cube").unwrap();
    assert_eq!(pick, policy.embed("pick the red cube").unwrap());
    assert!(pick.cosine(&policy.embed("push the blue ball").unwrap()) < 0.99);
    assert_abs_diff_eq!(pick.cosine(&pick), 1.0, epsilon = 1e-9);
    // Eight tokens are kept, six of them words.
    let long = policy.embed("pick pick pick pick pick pick the blue ball").unwrap();
    assert_eq!(long, policy.embed("pick pick pick pick pick pick").unwrap());
    policy.embed("\u{0}\u{1b}[31m \u{202e}").unwrap();
}

#[test]
fn a_policy_is_not_opened_on_a_robot_that_it_does_not_fit() {
    let fixture = Fixture::new("flow").edit(|m| m["robot"]["units"][0] = "rad".into());
    let robot = gantry();
    let open = |limits| Policy::open(fixture.load().unwrap(), &robot, &limits, RuntimeOptions::default());
    let err = open(limits(&robot, &JOINTS)).unwrap_err();
    assert!(matches!(err, OpenError::Robot(_)));
    let package = Fixture::new("flow").load().unwrap();
    let err = Policy::open(package, &robot, &limits(&robot, &JOINTS[..3]), RuntimeOptions::default()).unwrap_err();
    names(&err.to_string(), &["'finger'", "limits"]);
}

/// A team that asks for its GPU is told that this library has none, and is not served slowly in silence.
#[test]
fn an_execution_provider_that_the_library_lacks_is_refused_by_name() {
    let fixture = Fixture::new("flow");
    let package = fixture.load().unwrap();
    let robot = gantry();
    for (name, provider) in efm_policy::Provider::NAMED {
        assert_eq!(efm_policy::Provider::named(name), Some(provider));
        let options = RuntimeOptions { provider, ..RuntimeOptions::default() };
        match Policy::open(package.clone(), &robot, &limits(&robot, &JOINTS), options) {
            Ok(mut policy) => assert!(policy.verify_golden().unwrap().holds(), "{name}"),
            Err(error) => names(&error.to_string(), &["execution provider", name]),
        }
    }
    assert_eq!(efm_policy::Provider::named("abacus"), None);
}
