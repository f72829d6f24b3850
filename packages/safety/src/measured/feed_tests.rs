#![allow(clippy::unwrap_used)]
use super::*;

const A: SenderId = SenderId([1; 16]);
const B: SenderId = SenderId([2; 16]);
const C: SenderId = SenderId([3; 16]);

fn names(n: &[&str]) -> Vec<String> {
    n.iter().map(|s| s.to_string()).collect()
}

fn at(seconds: f64) -> Stamp {
    Stamp::from_nanos(1_700_000_000_000_000_000).offset_seconds(seconds)
}

fn feed() -> JointFeed {
    let mut feed = JointFeed::new(JointNames::new(["a", "b"]).unwrap(), 1.0);
    feed.bound(&[2.0, 2.0], &[false, true]);
    feed
}

/// Both joints of a sender at a time, on receipt.
fn tell(feed: &mut JointFeed, sender: SenderId, seconds: f64, positions: [f64; 2]) {
    assert!(feed.update(sender, at(seconds), &names(&["a", "b"]), &positions, &[], seconds));
}

fn fresh(feed: &mut JointFeed, seconds: f64) -> Result<Fresh<'_>, JointTrouble> {
    feed.fresh(at(seconds), seconds, 0.1, 0.05)
}

#[test]
fn joints_of_two_publishers_in_any_order_become_one_sample_each_with_its_stamp() {
    let mut feed = feed();
    assert_eq!(fresh(&mut feed, 1.0), Err(JointTrouble::Nothing));
    assert!(feed.update(A, at(1.0), &names(&["x", "b"]), &[9.0, 2.0], &[0.0, 0.5], 1.0));
    assert_eq!(fresh(&mut feed, 1.0), Err(JointTrouble::Missing("a".into())));
    assert!(feed.update(B, at(1.02), &names(&["a"]), &[1.0], &[], 1.03));
    let told = fresh(&mut feed, 1.03).unwrap();
    assert_eq!(
        (told.sample.positions.as_slice(), told.sample.velocities.as_slice()),
        (&[1.0, 2.0][..], &[0.0, 0.5][..])
    );
    assert_eq!((told.stamps, told.sample.stamp), (&[at(1.02), at(1.0)][..], at(1.02)));
    assert!(told.sources[0] != told.sources[1] && (told.age_s - 0.03).abs() < 1e-6, "{told:?}");
    assert!(!feed.update(A, at(1.03), &names(&["x"]), &[9.0], &[], 1.03));
    assert_eq!((feed.contradiction(1.03), feed.twin(1.03)), (None, None));
}

#[test]
fn a_joint_that_vanishes_while_others_go_on_is_named() {
    let mut feed = feed();
    tell(&mut feed, A, 1.0, [1.0, 2.0]);
    feed.update(A, at(1.2), &names(&["a"]), &[1.0], &[], 1.2);
    let trouble = fresh(&mut feed, 1.2).unwrap_err().to_string();
    assert!(trouble.contains("'b'") && trouble.contains("missing"), "{trouble}");
    assert!(matches!(fresh(&mut feed, 1.5), Err(JointTrouble::Silent(_))));
}

#[test]
fn old_future_and_missing_stamps_are_told_apart() {
    let both = names(&["a", "b"]);
    for (stamp, expected) in [(at(1.0), "past"), (at(9.0), "future"), (Stamp::ZERO, "no stamp")] {
        let mut feed = feed();
        feed.update(A, stamp, &both, &[1.0, 2.0], &[], 5.0);
        let trouble = fresh(&mut feed, 5.0).unwrap_err().to_string();
        assert!(trouble.contains(expected), "{trouble}");
    }
}

#[test]
fn what_is_not_a_number_is_not_taken_and_joint_and_sender_are_named_until_a_good_message_comes() {
    let mut feed = feed();
    let both = names(&["a", "b"]);
    let named = |trouble: JointTrouble| trouble.in_words(|sender| format!("node '/{}'", sender.0[0]));
    tell(&mut feed, A, 1.0, [1.0, 2.0]);
    for (positions, velocities, wrong) in [
        (&[1.0, f64::NAN][..], &[][..], "position NaN of joint 'b'"),
        (&[1.0, f64::NEG_INFINITY], &[], "position -inf of joint 'b'"),
        (&[1.0, 2.0], &[0.0, f64::INFINITY], "velocity inf of joint 'b'"),
        (&[1.0], &[], "carry 1 positions"),
        (&[1.0, 2.0, 3.0], &[], "carry 3 positions"),
        // A last bit is too much for small steps.
        (&[1.0, 6.283e12], &[], "'b' at 6.283e12: numbers are 1e-3 apart there"),
        (&[-2.0e6, 0.0], &[], "'a' at -2.000e6"),
    ] {
        assert!(!feed.update(A, at(1.01), &both, positions, velocities, 1.01));
        let trouble = named(fresh(&mut feed, 1.01).unwrap_err());
        assert!(trouble.contains(wrong) && trouble.contains("node '/1'"), "{trouble}");
        tell(&mut feed, A, 1.02, [1.0, 2.0]);
        assert!(fresh(&mut feed, 1.02).is_ok());
    }
    feed.update(A, at(1.03), &names(&["a", "b", "a"]), &[1.0, 2.0, 1.5], &[], 1.03);
    let trouble = named(fresh(&mut feed, 1.03).unwrap_err());
    assert!(trouble.contains("'a' twice") && trouble.contains("node '/1'"), "{trouble}");
    // Another one that tells a single one of its joints does not make the others good.
    feed.update(A, at(1.04), &names(&["a"]), &[1.0], &[], 1.04);
    assert!(matches!(fresh(&mut feed, 1.04), Err(JointTrouble::Malformed { .. })));
    tell(&mut feed, A, 1.05, [1.0, 2.5]);
    assert_eq!(fresh(&mut feed, 1.05).unwrap().sample.positions, [1.0, 2.5]);
}

#[test]
fn who_tells_no_position_of_ours_stops_nobody() {
    let (both, other, none) = (names(&["a", "b"]), names(&["wheel", "wheel"]), names(&[]));
    let nan = f64::NAN;
    for (what, sender, names, positions, velocities) in [
        ("velocities of wheels", B, &other, &[][..], &[0.1, 0.2][..]),
        ("velocities of ours", B, &both, &[], &[0.1, 0.2]),
        ("efforts of ours", B, &both, &[], &[]),
        ("efforts of ours by who tells the positions as well", A, &both, &[], &[]),
        ("nothing", B, &none, &[], &[]),
        ("values without names", B, &none, &[1.0, 2.0], &[]),
        ("others, too few", B, &other, &[1.0], &[]),
        ("others, NaN and twice", B, &other, &[nan, nan], &[]),
        ("others, at the end of the world", B, &other, &[1.0e300, f64::INFINITY], &[]),
    ] {
        let mut feed = feed();
        // Before anybody told anything, and in between.
        assert!(!feed.update(sender, at(0.99), names, positions, velocities, 0.99));
        assert_eq!(fresh(&mut feed, 0.99), Err(JointTrouble::Missing("a".into())), "{what}");
        for k in 0..10 {
            let t = 1.0 + 0.01 * f64::from(k);
            tell(&mut feed, A, t, [1.0, 2.0]);
            assert!(!feed.update(sender, at(t + 0.005), names, positions, velocities, t + 0.005), "{what}");
            assert_eq!(fresh(&mut feed, t + 0.005).map(|told| told.age_s < 0.0051), Ok(true), "{what}");
            assert_eq!((feed.contradiction(t + 0.005), feed.left_out(t + 0.005)), (None, None), "{what}");
        }
    }
}

#[test]
fn what_cannot_be_read_of_a_stranger_counts_for_nothing_and_is_told_with_its_name() {
    let (nan, both) = (f64::NAN, names(&["a", "b"]));
    let one = names(&["b"]);
    for (what, names, positions) in [
        ("NaN", &one, &[nan][..]),
        ("NaN for all", &both, &[nan, nan]),
        ("too few", &both, &[1.0]),
        ("far", &one, &[1.0e9]),
    ] {
        let mut feed = feed();
        feed.update(B, at(0.99), names, positions, &[], 0.99);
        // Nobody else tells it: that is what is wrong.
        let trouble = fresh(&mut feed, 0.99).unwrap_err().in_words(|sender| format!("node {}", sender.0[0]));
        assert!(trouble.contains("node 2"), "{what}: {trouble}");
        for k in 0..10 {
            let t = 1.0 + 0.01 * f64::from(k);
            tell(&mut feed, A, t, [1.0, 2.0]);
            feed.update(B, at(t), names, positions, &[], t + 0.005);
            assert!(fresh(&mut feed, t + 0.005).is_ok() && feed.contradiction(t + 0.005).is_none(), "{what}");
            let told = feed.left_out(t + 0.005).unwrap().in_words(|sender| format!("node {}", sender.0[0]));
            assert!(told.contains("node 2") && told.contains('\''), "{told}");
        }
        assert_eq!(feed.left_out(3.0), None);
        // What the one who has the word says stays what it was: wrong, or missing.
        feed.update(A, at(1.1), &both, &[nan, 2.0], &[], 1.1);
        feed.update(B, at(1.1), names, positions, &[], 1.1);
        let trouble = fresh(&mut feed, 1.1).unwrap_err().in_words(|sender| format!("node {}", sender.0[0]));
        assert!(trouble.contains("node 1") && trouble.contains("'a'"), "{what}: {trouble}");
    }
}

#[test]
fn arm_and_hand_fail_apart() {
    let mut feed = feed();
    let (arm, hand) = (names(&["a"]), names(&["b"]));
    feed.update(A, at(1.0), &arm, &[1.0], &[], 1.0);
    feed.update(B, at(1.0), &hand, &[2.0], &[], 1.0);
    feed.update(B, at(1.01), &hand, &[f64::NAN], &[], 1.01);
    // The arm's good word does not hide what is wrong with the hand.
    feed.update(A, at(1.02), &arm, &[1.0], &[], 1.02);
    let trouble = fresh(&mut feed, 1.02).unwrap_err();
    assert!(
        matches!(&trouble, JointTrouble::Malformed { joint, what } if joint == "b" && what.sender == B),
        "{trouble}"
    );
    // Another driver of the hand takes over.
    feed.update(A, at(1.2), &arm, &[1.0], &[], 1.2);
    feed.update(C, at(1.2), &hand, &[2.1], &[], 1.2);
    assert_eq!(fresh(&mut feed, 1.2).unwrap().sample.positions, [1.0, 2.1]);
}

#[test]
fn velocities_that_are_missing_or_nan_are_not_told_and_come_from_the_positions() {
    for velocities in [&[][..], &[f64::NAN, f64::NAN][..]] {
        let mut feed = feed();
        for k in 0..10 {
            let t = 0.01 * f64::from(k);
            feed.update(A, at(t), &names(&["a", "b"]), &[0.5 * t, 3.0 + t], velocities, t);
        }
        let told = fresh(&mut feed, 0.09).unwrap();
        assert!((told.sample.velocities[0] - 0.5).abs() < 1e-6 && (told.sample.velocities[1] - 1.0).abs() < 1e-6);
    }
}

#[test]
fn two_senders_of_a_joint_that_do_not_agree_are_a_contradiction_that_names_joint_values_and_both() {
    let mut feed = feed();
    for k in 0..4 {
        let t = 0.01 * f64::from(k);
        tell(&mut feed, A, t, [1.0, 0.0]);
        assert_eq!(feed.contradiction(t).is_some(), k > 0, "{k}");
        tell(&mut feed, B, t + 0.005, [2.0, 0.0]);
        // The first has the word.
        assert_eq!(fresh(&mut feed, t + 0.005).unwrap().sample.positions, [1.0, 0.0]);
    }
    let Some(Contradiction::Senders { joint: 0, positions, senders }) = feed.contradiction(0.035) else { panic!() };
    assert!((positions.0 - positions.1).abs() == 1.0 && senders.0 != senders.1);
    // For as long as both speak, and half a second.
    assert!(feed.contradiction(0.4).is_some() && feed.contradiction(0.6).is_none());
}

#[test]
fn however_slowly_and_with_however_many_voices_they_speak_they_are_found() {
    // A driver and a stranger at 4 Hz; three that take turns.
    for (senders, every) in [(&[A, B][..], 0.125), (&[A, B, C][..], 0.05)] {
        let mut feed = feed();
        let mut found = false;
        for k in 0..12 {
            let (t, sender) = (every * f64::from(k), senders[k as usize % senders.len()]);
            tell(&mut feed, sender, t, [if sender == B { 1.3 } else { 1.0 }, 0.0]);
            found |= matches!(feed.contradiction(t), Some(Contradiction::Senders { .. }));
        }
        assert!(found, "{senders:?}");
    }
}

#[test]
fn two_senders_that_agree_are_a_warning_at_rest_and_in_motion_and_round_a_turn() {
    let mut feed = feed();
    for k in 0..20 {
        let t = 0.01 * f64::from(k);
        tell(&mut feed, A, t, [1.5 * t, 3.0]);
        tell(&mut feed, B, t + 0.004, [1.5 * t, 3.0 - std::f64::consts::TAU]);
        assert_eq!(feed.contradiction(t + 0.004), None, "{k}");
    }
    assert!(matches!(feed.twin(0.2), Some(Twin { senders: (A, B) | (B, A), .. })));
    assert_eq!(feed.twin(3.0), None);
}

#[test]
fn a_driver_that_was_started_anew_goes_on_and_arm_and_hand_apart_are_fine() {
    let mut feed = feed();
    (0..5).for_each(|k| tell(&mut feed, A, 0.01 * f64::from(k), [1.0, 0.0]));
    for k in 0..5 {
        let t = 0.3 + 0.01 * f64::from(k);
        tell(&mut feed, B, t, [1.1, 0.0]);
        assert_eq!((feed.contradiction(t), feed.twin(t)), (None, None));
        assert_eq!(fresh(&mut feed, t).unwrap().sample.positions[0], 1.1);
    }
    // One that comes back after all is one of two.
    tell(&mut feed, A, 0.345, [1.0, 0.0]);
    tell(&mut feed, B, 0.35, [1.1, 0.0]);
    assert!(feed.contradiction(0.35).is_some());
}

#[test]
fn a_jump_between_two_messages_is_told_even_if_nobody_looked_in_between() {
    let mut feed = feed();
    (0..5).for_each(|k| tell(&mut feed, A, 0.01 * f64::from(k), [1.0, 0.0]));
    tell(&mut feed, A, 0.041, [2.0, 0.0]);
    tell(&mut feed, A, 0.05, [1.0, 0.0]);
    let Some(Contradiction::Jump { joint: 0, from: 1.0, to: 2.0, .. }) = feed.contradiction(0.05) else { panic!() };
    assert_eq!(feed.contradiction(0.05), None);
    // A whole turn of a joint without end is none, nor is a stamp that repeats itself.
    tell(&mut feed, A, 0.06, [1.0, std::f64::consts::TAU]);
    feed.update(A, at(0.06), &names(&["a", "b"]), &[1.5, 0.0], &[], 0.061);
    assert_eq!((feed.contradiction(0.061), fresh(&mut feed, 0.061).unwrap().sample.positions[0]), (None, 1.0));
}

#[test]
fn each_source_is_interpolated_by_its_own_stamps() {
    let mut feed = feed();
    // The arm at 100 Hz, the hand at 25 Hz and 30 ms late: at 1 and 0.1 a second.
    for k in 0..40 {
        let t = 0.01 * f64::from(k);
        feed.update(A, at(t), &names(&["a"]), &[t], &[], t);
        if k % 4 == 0 {
            feed.update(B, at(t - 0.03), &names(&["b"]), &[0.1 * (t - 0.03)], &[], t);
        }
    }
    for t in [0.1, 0.2005, 0.317] {
        let sample = feed.at(at(t)).unwrap();
        assert!((sample.positions[0] - t).abs() < 1e-6 && (sample.positions[1] - 0.1 * t).abs() < 1e-6, "{sample:?}");
    }
    // One that vanishes from the messages of another publisher: the rest of its history stays.
    assert_eq!(feed.at(at(10.0)).unwrap().positions[0], 0.39);
}

#[test]
fn a_stranger_who_makes_up_names_and_senders_fills_nothing() {
    let mut feed = feed();
    tell(&mut feed, A, 0.0, [1.0, 0.0]);
    for k in 0..1000_u16 {
        let mut sender = [9; 16];
        sender[..2].copy_from_slice(&k.to_le_bytes());
        let t = 1.0e-4 * f64::from(k);
        feed.update(SenderId(sender), at(t), &names(&[&format!("x{k}")]), &[0.0], &[], t);
        if k % 20 == 0 {
            tell(&mut feed, A, t + 1.0e-5, [1.0, 0.0]);
        }
    }
    assert!(feed.sources.len() <= SOURCES);
    assert_eq!(fresh(&mut feed, 0.1).unwrap().sample.positions, [1.0, 0.0]);
}

/// A feed of an arm `a` and a hand `b` as the node makes it.
fn allowing() -> JointFeed {
    let allowance = Allowance { slow_s: 0.35, hands: (vec!["b".into()], 1.0), on_receipt: false };
    feed().allowing(&allowance)
}

/// Joint states that come every so many seconds (and later or earlier by `jitter` of that), looked at every 10 ms: the share of the looks after the
/// first second at which they are fresh, what is wrong in the last of the others, and the greatest age that counts.
fn heard(mut feed: JointFeed, arm: f64, hand: f64, jitter: f64) -> (f64, Option<JointTrouble>, f64) {
    let (mut next, mut nth) = ([0.0, 0.0], [0_u32; 2]);
    let (mut good, mut all, mut wrong, mut age) = (0, 0, None, 0.0f64);
    for k in 0..1000 {
        let now = 0.01 * f64::from(k) + 0.003;
        for (place, (sender, name, every)) in [(A, "a", arm), (B, "b", hand)].into_iter().enumerate() {
            while next[place] <= now {
                let t: f64 = next[place];
                feed.update(sender, at(t), &names(&[name]), &[1.0], &[], t);
                nth[place] += 1;
                // A little later and a little earlier by turns, as timers do.
                let off = [0.0, 1.0, -0.5, 0.7, -1.0][nth[place] as usize % 5] * jitter;
                next[place] = every * (f64::from(nth[place]) + off);
            }
        }
        let looked = fresh(&mut feed, now);
        if now > 5.0 {
            all += 1;
            match looked {
                Ok(told) => {
                    good += 1;
                    age = age.max(told.age_s);
                }
                Err(trouble) => wrong = Some(trouble),
            }
        }
    }
    (f64::from(good) / f64::from(all), wrong, age)
}

#[test]
fn slow_sources_of_which_nothing_is_lost_are_fresh_all_the_time_and_those_that_are_too_slow_are_told_with_what_to_set()
{
    for (what, arm, hand, jitter) in [
        ("an arm at 10 Hz", 0.1, 0.1, 0.0),
        ("with jitter", 0.1, 0.1, 0.3),
        ("8 Hz", 0.125, 0.01, 0.2),
        ("5 Hz", 0.2, 0.01, 0.0),
        ("a slow hand beside a fast arm", 0.002, 0.1, 0.3),
        ("a hand at 2 Hz", 0.01, 0.5, 0.2),
        ("a hand at 1.25 Hz", 0.01, 0.8, 0.0),
        ("as usual", 0.01, 0.01, 0.3),
    ] {
        let (share, wrong, age) = heard(allowing(), arm, hand, jitter);
        assert!(share == 1.0, "{what}: {share} {wrong:?}");
        // What a slow one may be more is not counted.
        assert!(age <= 0.1, "{what}: {age}");
    }
    for (what, arm, hand, joint, parameter, least) in [
        ("an arm at 3 Hz", 0.33, 0.01, "a", "max_joint_state_age", 0.99),
        ("an arm at 1 Hz", 1.0, 0.01, "a", "max_joint_state_age", 3.0),
        ("a hand every two seconds", 0.01, 2.0, "b", "max_gripper_state_age", 6.0),
    ] {
        let (share, wrong, _) = heard(allowing(), arm, hand, 0.0);
        let Some(JointTrouble::Slow { joint: slow, needs, .. }) = wrong.clone() else { panic!("{what}: {wrong:?}") };
        assert!((share - 0.0).abs() < 0.01 && slow == joint && (needs - least).abs() < 0.02, "{what}: {share} {needs}");
        let words = wrong.unwrap().to_string();
        assert!(words.contains(parameter) && words.contains(&format!("{needs:.2}")), "{words}");
    }
    // Without an allowance the age that is set holds; and with an age that fits them they are fresh.
    assert!(heard(feed(), 0.1, 0.01, 0.3).0 < 1.0);
    let mut slow = allowing();
    for k in 0..20 {
        tell(&mut slow, A, f64::from(k), [1.0, 2.0]);
    }
    assert!(slow.fresh(at(19.5), 19.5, 3.0, 0.05).is_ok());
}

#[test]
fn a_slow_source_that_falls_silent_is_found_and_a_fast_one_as_soon_as_before() {
    for (every, hand_too, silent_after) in [(0.01, true, 0.1), (0.1, true, 0.3), (0.2, true, 0.35), (0.1, false, 0.3)] {
        let mut feed = allowing();
        let mut last = 0.0;
        for k in 0..20 {
            last = every * f64::from(k);
            feed.update(A, at(last), &names(&["a"]), &[1.0], &[], last);
            feed.update(B, at(last), &names(&["b"]), &[1.0], &[], last);
        }
        for (seconds, is_fresh) in [(silent_after - 0.005, true), (silent_after + 0.005, false)] {
            let now = last + seconds;
            if !hand_too {
                feed.update(B, at(now), &names(&["b"]), &[1.0], &[], now);
            }
            assert_eq!(fresh(&mut feed, now).is_ok(), is_fresh, "{every} {seconds}");
        }
    }
    // A hand may be silent for longer than an arm.
    let mut feed = allowing();
    for k in 0..20 {
        let t = 0.01 * f64::from(k);
        feed.update(A, at(t), &names(&["a"]), &[1.0], &[], t);
        feed.update(B, at(t), &names(&["b"]), &[1.0], &[], t);
    }
    for (t, is_fresh) in [(1.1, true), (1.3, false)] {
        feed.update(A, at(t), &names(&["a"]), &[1.0], &[], t);
        assert_eq!(fresh(&mut feed, t).is_ok(), is_fresh, "{t}");
    }
    assert!(matches!(fresh(&mut feed, 1.3), Err(JointTrouble::Gone { joint, .. }) if joint == "b"));
}

#[test]
fn two_slow_senders_do_not_take_the_word_from_each_other() {
    let mut feed = allowing();
    for k in 0..40 {
        let t = 0.1 * f64::from(k) + if k % 3 == 0 { 0.02 } else { 0.0 };
        tell(&mut feed, A, t, [1.0, 2.0]);
        tell(&mut feed, B, t + 0.05, [1.0, 2.0]);
        if k > 6 {
            assert_eq!(feed.sources[feed.owners[0].source.unwrap().0].sender, A, "{k}");
        }
    }
}

#[test]
fn a_slow_source_is_interpolated_between_its_states() {
    let mut feed = allowing();
    for k in 0..20 {
        let t = 0.15 * f64::from(k);
        tell(&mut feed, A, t, [t, 0.0]);
    }
    let sample = feed.at(at(2.0)).unwrap();
    assert!((sample.positions[0] - 2.0).abs() < 1e-6, "{sample:?}");
}

#[test]
fn states_that_come_together_though_they_were_measured_apart_are_no_jump_where_receipts_stand_for_stamps() {
    for on_receipt in [true, false] {
        let allowance = Allowance { on_receipt, slow_s: 0.35, ..Allowance::default() };
        let mut feed = feed().allowing(&allowance);
        // Ten times a second, 1.5 rad/s; then two at once.
        for k in 0..10 {
            tell(&mut feed, A, 0.1 * f64::from(k), [0.15 * f64::from(k), 0.0]);
        }
        tell(&mut feed, A, 1.1, [1.5, 0.0]);
        tell(&mut feed, A, 1.101, [1.65, 0.0]);
        assert_eq!(feed.contradiction(1.101).is_some(), !on_receipt);
        // What it cannot do in the time of a whole interval is one.
        tell(&mut feed, A, 1.2, [2.7, 0.0]);
        assert!(feed.contradiction(1.2).is_some());
    }
}

#[test]
fn a_hand_that_does_not_tell_its_speed_does_not_take_away_the_arms_word() {
    let mut feed = allowing();
    for k in 0..10 {
        let t = 0.01 * f64::from(k);
        feed.update(A, at(t), &names(&["a", "b"]), &[0.5 * t, 0.1 * t], &[0.5, f64::NAN], t);
    }
    let told = fresh(&mut feed, 0.09).unwrap();
    assert!(told.velocity_told && (told.sample.velocities[1] - 0.1).abs() < 1e-6);
}
