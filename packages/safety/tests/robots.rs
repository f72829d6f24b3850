//! The whole filter on robots that it was not tuned for, built from their files, judged by differences of what it publishes and by parry.
#![allow(clippy::unwrap_used)]

#[path = "support/fleet.rs"]
mod fleet;

use efm_core::{ActionChunk, JointNames};
use efm_safety::{Activity, Intrusion, StreamConfig};
use fleet::*;

#[test]
fn the_tightest_of_what_the_files_say_holds_followers_included() {
    for robot in fleet() {
        let names = robot.names();
        let set = robot.limit_set(&names);
        assert_eq!(names.len(), robot.expected.len(), "{}", robot.name);
        for (j, expected) in robot.expected.iter().enumerate() {
            let l = set.joint(j).unwrap();
            let found = [l.lower, l.upper, l.velocity, l.acceleration, l.jerk];
            let same = found.iter().zip(expected).all(|(a, b)| a == b || (a - b).abs() < 1e-12);
            assert!(same, "{}: {} has {found:?}", robot.name, names.as_slice()[j]);
        }
    }
}

#[test]
fn every_home_is_clear_and_the_judge_sees_what_the_filter_sees() {
    for robot in fleet() {
        let (judge, names) = (Judge::new(&robot), robot.names());
        let bodies = robot.bodies(&names);
        let mut checker = efm_collision::Checker::new(&bodies);
        let home = judge.clearance(&robot.home);
        assert!(home > D_MIN + 0.005, "{}: {home}", robot.name);
        let mut random = Random(3);
        let mut touching = 0;
        for _ in 0..400 {
            let scatter = robot.expected.iter().map(|[low, high, ..]| {
                if low.is_finite() {
                    0.5 * (low + high) + 0.5 * (high - low) * random.signed()
                } else {
                    9.0 * random.signed()
                }
            });
            let q: Vec<f64> = scatter.collect();
            let (ours, parrys) = (checker.clearance(&bodies, &q).distance, judge.clearance(&q));
            touching += usize::from(parrys <= 0.0);
            // Parry calls everything that touches 0.
            let pair = bodies.pair_names(checker.clearance(&bodies, &q).pair);
            assert!((ours.max(0.0) - parrys).abs() < 5e-5, "{}: {ours} {parrys} at {q:?} {pair:?}", robot.name);
        }
        println!("{}: {} pairs, {touching} of 400 postures touch", robot.name, bodies.pairs());
        assert!(touching > 0, "{}: nothing to collide with", robot.name);
    }
}

#[test]
fn smooth_chunks_are_followed_as_they_are() {
    for robot in fleet() {
        let (names, wanted) = (robot.names(), robot.swing(0.45));
        // The last continuous joint goes round and round on top; there is room for that.
        let endless = robot.expected.iter().rposition(|l| l[0].is_infinite());
        let path = |t: f64| -> Vec<f64> {
            let mut q = wanted(t);
            endless.iter().for_each(|j| q[*j] += 0.4 * robot.expected[*j][2] * gently(t));
            q
        };
        let clear = StreamConfig { max_observation_age_s: 2.0, ..robot.config() };
        let mut run = Run::new(&robot, clear);
        for k in 0..800 {
            if k % 25 == 0 {
                let chunk = chunk_of(&names, run.seconds(), 16, 0.05, path);
                run.streamer.offer_chunk(&chunk, run.now()).unwrap();
            }
            assert!(run.tick(0) || k == 0, "{}: silent at {k}", robot.name);
        }
        let least = run.verdict();
        assert!(least >= D_MIN - 1e-5, "{}: {least}", robot.name);
        let other = run.said.iter().find(|(a, _)| *a != Activity::Following);
        assert!(other.is_none(), "{}: {other:?}", robot.name);
        let mut worst = 0.0_f64;
        for (k, row) in run.controllers.went.iter().enumerate().skip(30) {
            let wanted = path(k as f64 * DT);
            for (j, p) in row.positions.iter().enumerate() {
                if run.streamer.config().gripper_joints.is_empty() || j != 3 {
                    worst = worst.max((p - wanted[j]).abs());
                }
            }
        }
        let farthest = run.controllers.now().positions.iter().fold(0.0_f64, |m, p| m.max(p.abs()));
        println!("{}: off by {:.2} mrad, least clearance {least:.3}, farthest {farthest:.1}", robot.name, 1e3 * worst);
        assert!(worst < 5e-3, "{}: {worst}", robot.name);
        if endless.is_some() {
            assert!(farthest > 2.0 * std::f64::consts::PI, "{}: a continuous joint stopped at {farthest}", robot.name);
        }
    }
}

/// Rows that nobody who means well would send, in some order of the joints; `here` is where the robot is.
fn hostile(robot: &Robot, names: &JointNames, random: &mut Random, now: f64, here: &[f64]) -> ActionChunk {
    let mut order: Vec<usize> = (0..names.len()).collect();
    (0..order.len()).for_each(|i| order.swap(i, i + random.below(names.len() - i)));
    let (kind, rows) = (random.below(7), 1 + random.below(20));
    let step = [0.02, 0.05, 0.1, 0.2][random.below(4)];
    let wild = [1.3, 0.3, 0.05][random.below(3)];
    let to: Vec<f64> = robot.expected.iter().map(|_| random.signed()).collect();
    let mut values = Vec::new();
    for k in 0..rows {
        for j in &order {
            let [low, high, speed, ..] = robot.expected[*j];
            // Up to a third beyond the ends, or a bit around home.
            let half = wild * if low.is_finite() { 0.5 * (high - low) } else { 20.0 };
            let middle = if low.is_finite() && wild > 1.0 { 0.5 * (low + high) } else { robot.home[*j] };
            values.push(match kind {
                0 => middle + half * random.signed(),
                1 => middle + half * to[*j],
                2 => middle + half * to[*j] * if k % 2 == 0 { 1.0 } else { -1.0 },
                // Straight on at about full speed, into whatever is there.
                _ => here[*j] + 1.2 * speed * to[*j] * step * (k + 1) as f64,
            });
        }
    }
    let joints = JointNames::new(order.iter().map(|j| names.as_slice()[*j].clone())).unwrap();
    ActionChunk::new(at(now - 0.05 * random.below(3) as f64), step, joints, values).unwrap()
}

#[test]
fn hostile_chunks_move_every_robot_within_its_limits_and_clear_of_everything() {
    for robot in fleet() {
        let names = robot.names();
        let (mut travelled, mut blocked, mut least) = (0.0, 0, f64::INFINITY);
        for seed in 0..4 {
            let (mut run, mut random) = (Run::new(&robot, robot.config()), Random(seed));
            let mut next = 0;
            while run.tick < 1200 {
                if run.tick >= next {
                    next = run.tick + [1, 7, 20, 60][random.below(4)];
                    let now = run.now();
                    // Refused or not, for whatever reason: it must stay safe.
                    let here = run.controllers.now().positions.clone();
                    let chunk = hostile(&robot, &names, &mut random, run.seconds(), &here);
                    let _ = run.streamer.offer_chunk(&chunk, now);
                    if random.below(8) == 0 {
                        run.streamer.set_speed_scale(random.signed().abs()).unwrap();
                    }
                    match random.below(40) {
                        0 => run.streamer.cancel(now),
                        1 => run.streamer.stop(now),
                        _ => run.streamer.resume(),
                    }
                }
                let missed = if random.below(50) == 0 { random.below(4) as i64 } else { 0 };
                run.tick(missed);
            }
            run.streamer.resume();
            run.streamer.cancel(run.now());
            run.go(300);
            assert!(!run.streamer.is_streaming(), "{}: it never comes to rest", robot.name);
            assert_eq!(run.streamer.latched(), None);
            least = least.min(run.verdict());
            blocked += run.said.iter().filter(|(a, _)| matches!(a, Activity::Blocked(_))).count();
            let ways = run.controllers.went.windows(2);
            travelled += ways.map(|w| (w[1].positions[0] - w[0].positions[0]).abs()).sum::<f64>();
        }
        println!("{}: first joint went {travelled:.1}, {blocked} ticks blocked, clearance {least:.4}", robot.name);
        assert!(least >= D_MIN - 1e-5, "{}: {least}", robot.name);
        assert!(travelled > 1.0 && blocked > 0, "{}: {travelled} {blocked}", robot.name);
    }
}

#[test]
fn two_arms_that_reach_for_each_other_stop_apart() {
    let robot = robot("two_arms");
    let (names, home) = (robot.names(), robot.home.clone());
    let mut run = Run::new(&robot, robot.config());
    let place = |name: &str| names.index_of(name).unwrap();
    let (left, right) = (place("left_joint1"), place("right_joint1"));
    // The left arm turns to the right, the right arm to the left.
    let wanted = |t: f64| {
        let mut q = home.clone();
        (q[left], q[right]) = (-0.6 * t.min(2.0), 0.6 * t.min(2.0));
        q
    };
    for k in 0..350 {
        if k % 20 == 0 {
            run.streamer.offer_chunk(&chunk_of(&names, run.seconds(), 16, 0.1, wanted), run.now()).unwrap();
        }
        run.tick(0);
    }
    let close = |a: &Activity| match a {
        Activity::Blocked(i @ Intrusion::TooClose { .. }) => Some(run.streamer.describe(i)),
        _ => None,
    };
    let said: Vec<String> = run.said.iter().filter_map(|(a, _)| close(a)).collect();
    assert!(said.iter().any(|s| s.contains("'left_") && s.contains("'right_")), "{said:?}");
    let least = run.verdict();
    println!("arm to arm at least {:.1} mm", 1e3 * least);
    assert!((D_MIN - 1e-5..=D_MIN + 0.02).contains(&least), "{least}");
    // Neither goes on alone: the arms keep the proportion of their path.
    let q = &run.controllers.now().positions;
    assert!((q[left] + q[right]).abs() < 5e-3 && q[left] < -0.2, "{} {}", q[left], q[right]);
}

#[test]
fn whatever_the_speed_scale_the_path_is_kept() {
    for robot in fleet() {
        let (names, path) = (robot.names(), robot.swing(0.6));
        let config = StreamConfig { max_observation_age_s: 60.0, ..robot.config() };
        let mut run = Run::new(&robot, config);
        run.streamer.offer_chunk(&chunk_of(&names, 0.0, 120, 0.05, &path), at(0.0)).unwrap();
        let (mut slowest, mut fastest) = (1.0_f64, 0.0_f64);
        for k in 0..1100_usize {
            if k % 40 == 20 {
                run.streamer.set_speed_scale([1.0, 0.3, 0.0, 0.7, 0.05, 1.0, 0.5][(k / 40) % 7]).unwrap();
            }
            if run.tick(0) {
                let rate = run.said.last().unwrap().1.rate;
                (slowest, fastest) = (slowest.min(rate), fastest.max(rate));
            }
        }
        assert!(slowest == 0.0 && fastest == 1.0, "{}: {slowest} {fastest}", robot.name);
        assert!(run.verdict() >= D_MIN - 1e-5);
        let followers: Vec<usize> =
            (0..names.len()).filter(|j| !robot.grippers.contains(&names.as_slice()[*j].as_str())).collect();
        let fine: Vec<Vec<f64>> = (0..6000).map(|i| path(f64::from(i) * 1e-3)).collect();
        let off = |q: &[f64], p: &[f64]| followers.iter().map(|j| (q[*j] - p[*j]).abs()).fold(0.0, f64::max);
        let mut worst = 0.0_f64;
        let mut from = 0;
        for row in run.controllers.went.iter().skip(30) {
            // Progress never goes back: look on from where the last one was.
            let to = (from + 200).min(fine.len());
            let at = (from..to)
                .rev()
                .map(|i| (i, off(&row.positions, &fine[i])))
                .min_by(|a, b| a.1.total_cmp(&b.1))
                .unwrap();
            (from, worst) = (at.0, worst.max(at.1));
        }
        println!("{}: farthest from the path {:.2} mrad", robot.name, 1e3 * worst);
        assert!(worst <= 5e-3, "{}: {worst}", robot.name);
        assert!(from > 3000, "{}: it came no farther than {from} ms", robot.name);
    }
}
