//! The judge finds what is wrong with a stream, and nothing in one that is right.
#![allow(clippy::unwrap_used)]

use efm_bench::arm::{Arm, Bounds};
use efm_bench::checker::{Checker, Command};
use efm_bench::meter::Meter;
use efm_bench::tally::Quantity;
use efm_core::{SenderId, Stamp, Trajectory, TrajectoryPoint};
use efm_safety::StreamConfig;

const STEP: i64 = 10_000_000;
const DT: f64 = 0.01;
const T0: i64 = 5_000_000_000;

/// Two joints of one controller and a gripper of another.
fn arm() -> Arm {
    let bounds = Bounds {
        names: vec!["a".into(), "b".into(), "g".into()],
        min: vec![-1.0, f64::NEG_INFINITY, 0.0],
        max: vec![1.0, f64::INFINITY, 0.08],
        velocity: vec![1.0, 2.0, 0.1],
        acceleration: vec![5.0, 10.0, 1.0],
        jerk: vec![100.0, 200.0, 20.0],
        gripper: vec![false, false, true],
    };
    Arm {
        bounds,
        controllers: vec![("arm".into(), vec![1, 0]), ("hand".into(), vec![2])],
        config: StreamConfig { gripper_joints: vec!["g".into()], committed_s: 0.05, ..StreamConfig::default() },
        start: vec![0.2, 3.0, 0.04],
    }
}

/// A motion at exactly the limits of joint a (b and the gripper in step): rest, up to speed, on, to rest. Rows of (p, v) of the joints.
fn motion() -> Vec<[(f64, f64); 3]> {
    let mut jerks = vec![0.0; 4];
    // 50 ms up to 5 rad/s2, 150 ms there, 50 ms down: 1 rad/s.
    jerks.extend([100.0; 5].iter().chain(&[0.0; 15]).chain(&[-100.0; 5]));
    jerks.extend([0.0; 20]);
    jerks.extend([-100.0; 5].iter().chain(&[0.0; 15]).chain(&[100.0; 5]));
    let (mut p, mut v, mut a) = (0.2, 0.0, 0.0);
    let (mut g, mut gv) = (0.04, 0.0f64);
    let mut rows = vec![[(p, v), (3.0, 0.0), (g, gv)]];
    let count = jerks.len();
    for (k, jerk) in jerks.into_iter().enumerate() {
        p += DT * (v + DT * (0.5 * a + DT * jerk / 6.0));
        v += DT * (a + 0.5 * DT * jerk);
        a += DT * jerk;
        if k + 1 == count {
            v = 0.0;
        }
        // The gripper: a triangle of velocity at its acceleration limit, and back.
        let next = match k {
            4..=9 => gv + 0.01,
            10..=15 => gv - 0.01,
            _ => 0.0,
        };
        g += 0.5 * DT * (gv + next);
        gv = next;
        rows.push([(p, v), (3.0 - 2.0 * (p - 0.2), -2.0 * v), (g, gv)]);
    }
    for _ in 0..20 {
        rows.push([(p, 0.0), (3.0 - 2.0 * (p - 0.2), 0.0), (g, 0.0)]);
    }
    rows
}

/// The messages of the window that begins with row `first`.
fn window(rows: &[[(f64, f64); 3]], first: usize) -> Vec<Trajectory> {
    let message = |joints: &[usize]| Trajectory {
        stamp: Stamp::from_nanos(T0 + first as i64 * STEP),
        frame_id: String::new(),
        joint_names: joints.iter().map(|j| ["a", "b", "g"][*j].to_owned()).collect(),
        points: rows[first..]
            .iter()
            .enumerate()
            .map(|(k, row)| TrajectoryPoint {
                positions: joints.iter().map(|j| row[*j].0).collect(),
                velocities: joints.iter().map(|j| row[*j].1).collect(),
                time_from_start: k as i64 * STEP,
                ..TrajectoryPoint::default()
            })
            .collect(),
    };
    vec![message(&[1, 0]), message(&[2])]
}

/// A stream: what the operator asks before a tick, the messages of each tick.
struct Stream {
    checker: Checker,
    meter: Meter,
    tick: usize,
    /// What is told of the joints before every tick.
    told: Vec<f64>,
}

impl Stream {
    fn new() -> Self {
        Self::at(arm().start)
    }

    /// A robot that rests somewhere.
    fn at(start: Vec<f64>) -> Self {
        let arm = Arm { start, ..arm() };
        let mut checker = Checker::new(&arm, T0);
        checker.command(Command::Arm(true));
        Self { checker, meter: Meter::new(0, "planted"), tick: 0, told: arm.start }
    }

    fn now(&self) -> i64 {
        T0 + (self.tick as i64 + 1) * STEP
    }

    fn tick(&mut self, messages: Option<&[Trajectory]>) {
        self.tick_late(messages, 0);
    }

    /// A tick whose messages leave so many nanoseconds after they were decided on.
    fn tick_late(&mut self, messages: Option<&[Trajectory]>, late: i64) {
        let decided = self.now();
        // (The first call makes up for what the tests skipped.)
        let passed = decided + late - T0 - self.checker.received();
        self.checker.advance(decided + late, passed, &mut self.meter);
        let told: Vec<(usize, f64)> = self.told.iter().copied().enumerate().collect();
        let received = self.checker.received();
        self.checker.heard(SenderId([1; 16]), received, received, &told);
        match messages {
            Some(messages) => self.checker.published(messages, decided, &mut self.meter),
            None => self.checker.quiet(),
        }
        self.meter.close();
        self.tick += 1;
    }

    /// So many ticks without a motion.
    fn rest(&mut self, ticks: usize) {
        (0..ticks).for_each(|_| self.tick(None));
    }

    /// Violations by quantity, after the rest of what was sent was followed.
    fn verdict(mut self) -> Vec<(Quantity, u64)> {
        self.tick += 300;
        self.tick(None);
        let counts = &self.meter.tally.violations;
        Quantity::ALL.into_iter().zip(counts.iter().copied()).filter(|(_, n)| *n > 0).collect()
    }
}

/// Plays the motion with a change of the messages of one tick.
fn planted(at: usize, change: impl Fn(&mut Vec<Trajectory>)) -> Vec<(Quantity, u64)> {
    let (rows, mut stream) = (motion(), Stream::new());
    for first in 0..rows.len() - 12 {
        let mut messages = window(&rows, first);
        if first == at {
            change(&mut messages);
        }
        stream.tick(Some(&messages));
    }
    stream.verdict()
}

fn names(found: &[(Quantity, u64)]) -> Vec<Quantity> {
    found.iter().map(|f| f.0).collect()
}

#[test]
fn a_stream_at_the_limits_is_right_and_its_excess_is_nothing_but_rounding() {
    let (rows, mut stream) = (motion(), Stream::new());
    for first in 0..rows.len() - 12 {
        stream.tick(Some(&window(&rows, first)));
    }
    let excess = stream.meter.tally.max_excess.clone();
    assert_eq!(stream.verdict(), vec![]);
    // Joint a reaches its velocity, acceleration and jerk limits, and not its position limits.
    assert!(excess[1..].iter().all(|e| e.abs() < 1e-9), "{excess:?}");
    assert!(excess[0] < -0.1, "{excess:?}");
}

#[test]
fn two_parts_in_a_million_beyond_a_limit_are_found_and_a_half_is_not() {
    // The whole motion stretched in amplitude: velocity, acceleration and jerk grow by the same part.
    for (part, wanted) in [(2.0e-6, true), (0.5e-6, false)] {
        let mut rows = motion();
        for row in &mut rows {
            row[0] = (0.2 + (row[0].0 - 0.2) * (1.0 + part), row[0].1 * (1.0 + part));
        }
        let mut stream = Stream::new();
        (0..rows.len() - 12).for_each(|first| stream.tick(Some(&window(&rows, first))));
        let found = names(&stream.verdict());
        let all = [Quantity::Velocity, Quantity::Acceleration, Quantity::Jerk];
        assert_eq!(found, if wanted { all.to_vec() } else { vec![] }, "{part}");
    }
}

#[test]
fn a_position_limit_between_two_points_is_found() {
    // Thrown up within one step, in free fall: the points are inside, the cubic between them is not. Gripper: no jerk limit.
    let mut arm = arm();
    arm.bounds.max[2] = 0.040_011;
    let mut checker = Checker::new(&arm, T0);
    checker.command(Command::Arm(true));
    let mut meter = Meter::new(0, "planted");
    let mut rows = vec![[(0.2, 0.0), (3.0, 0.0), (0.04, 0.0)]; 30];
    rows[5][2] = (0.04, 0.0);
    // 1 m/s2: from +5 mm/s to -5 mm/s in a step, 12.5 um up.
    rows[6][2] = (0.04, 0.005);
    rows[7][2] = (0.04, -0.005);
    rows[6][2].0 = 0.04;
    checker.advance(T0 + STEP, STEP, &mut meter);
    let told: Vec<(usize, f64)> = arm.start.iter().copied().enumerate().collect();
    checker.heard(SenderId([1; 16]), STEP, STEP, &told);
    checker.published(&window(&rows, 0), T0 + STEP, &mut meter);
    meter.close();
    let count = meter.tally.violations[Quantity::Position as usize];
    assert_eq!(count, 1, "{:?}", meter.tally.found);
    assert!((meter.tally.max_excess[0] * 0.040_011 - 1.5e-6).abs() < 1e-7, "{:?}", meter.tally.max_excess);
}

#[test]
fn a_number_that_is_none_is_found_wherever_it_is() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for point in [0, 7, 30] {
            let found = planted(10, |m| m[0].points[point].positions[1] = bad);
            assert!(names(&found).contains(&Quantity::NotFinite), "{found:?}");
            let found = planted(10, |m| m[1].points[point].velocities[0] = bad);
            assert!(names(&found).contains(&Quantity::NotFinite), "{found:?}");
        }
    }
}

#[test]
fn a_window_that_does_not_end_at_rest_is_found() {
    let cut = |m: &mut Vec<Trajectory>| m.iter_mut().for_each(|m| m.points.truncate(30));
    assert!(names(&planted(10, cut)).contains(&Quantity::NotAtRest));
    // A velocity that is put to zero in the last point does not make a stop.
    let faked = planted(10, |m| {
        cut(m);
        m.iter_mut().for_each(|m| m.points.last_mut().unwrap().velocities.fill(0.0));
    });
    assert!(names(&faked).contains(&Quantity::NotAtRest) && names(&faked).contains(&Quantity::Jerk), "{faked:?}");
}

#[test]
fn a_committed_point_that_changes_by_a_bit_is_found_and_a_later_one_may_change() {
    let nudge = |point: usize| {
        move |m: &mut Vec<Trajectory>| {
            let p = &mut m[0].points[point].positions[0];
            *p = f64::from_bits(p.to_bits() + 1);
        }
    };
    // Point 1 of the window is due at publication, point 6 at 50 ms later.
    for point in [1, 3, 6] {
        assert!(names(&planted(10, nudge(point))).contains(&Quantity::Overlap), "point {point}");
    }
    // Point 7 is committed by the next window, which says something else; point 8 is not committed before it is changed back.
    assert!(names(&planted(10, nudge(7))).contains(&Quantity::Overlap));
    let found = planted(10, nudge(8));
    assert_eq!(names(&found), [], "a bit beyond what is committed is no violation: {found:?}");
    let found = planted(10, |m| m.iter_mut().for_each(|m| m.stamp = m.stamp.offset_nanos(-1000)));
    assert!(names(&found).contains(&Quantity::Overlap), "off the grid: {found:?}");
}

#[test]
fn a_window_that_jumps_under_the_controller_is_seen_in_the_command() {
    // From tick 30 on, everything a micrometre further: each window is fine in itself.
    let (rows, mut stream) = (motion(), Stream::new());
    let moved: Vec<_> = rows.iter().map(|r| [(r[0].0 + 1e-6, r[0].1), r[1], r[2]]).collect();
    for first in 0..rows.len() - 12 {
        stream.tick(Some(&window(if first < 30 { &rows } else { &moved }, first)));
    }
    let found = names(&stream.verdict());
    // At full speed: a micrometre more in a millisecond.
    assert_eq!(found, [Quantity::Velocity, Quantity::Jerk, Quantity::Overlap]);
}

#[test]
fn wrong_stamps_are_found() {
    for by in [-25_000_000, 11_000_000, 100_000_000] {
        let found = planted(0, |m| m.iter_mut().for_each(|m| m.stamp = m.stamp.offset_nanos(by)));
        assert!(names(&found).contains(&Quantity::Stamp), "{by}: {found:?}");
    }
    let found = planted(10, |m| m[1].stamp = m[1].stamp.offset_nanos(STEP));
    assert!(names(&found).contains(&Quantity::Stamp), "{found:?}");
}

#[test]
fn what_a_controller_refuses_is_found() {
    let changes: [fn(&mut Vec<Trajectory>); 7] = [
        |m| m[0].joint_names.swap(0, 1),
        |m| m[0].joint_names[0] = "c".into(),
        |m| m[0].points[3].positions.truncate(1),
        |m| m[0].points[3].velocities.clear(),
        |m| m[0].points[3].time_from_start = m[0].points[2].time_from_start,
        |m| m[0].points.clear(),
        |m| m.iter_mut().for_each(|m| m.stamp = Stamp::from_nanos(1)),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        assert!(names(&planted(10, change)).contains(&Quantity::Refused), "change {i}");
    }
}

#[test]
fn motion_while_disarmed_or_stopped_is_found() {
    for command in [Command::Arm(false), Command::Stop] {
        let (rows, mut stream) = (motion(), Stream::new());
        stream.checker.command(command);
        stream.tick(Some(&window(&rows, 0)));
        assert_eq!(names(&stream.verdict()), [Quantity::Disarmed], "{command:?}");
    }
    // Disarmed on the way, and a motion that goes on and on.
    let (mut rows, mut stream) = (motion(), Stream::new());
    let end = *rows.last().unwrap();
    let mut there_and_back = rows.clone();
    there_and_back.reverse();
    there_and_back.iter_mut().for_each(|row| row.iter_mut().for_each(|x| x.1 = 0.0 - x.1));
    assert_eq!(there_and_back[0][0].0, end[0].0);
    rows.extend(there_and_back.iter().skip(1));
    rows.extend(motion().iter().skip(1));
    for first in 0..rows.len() - 12 {
        if first == 20 {
            stream.checker.command(Command::Arm(false));
        }
        stream.tick(Some(&window(&rows, first)));
    }
    assert_eq!(names(&stream.verdict()), [Quantity::Disarmed]);
}

/// A window of a robot that stands still, but for the joints in `rows`, from tick `first` on.
fn later(first: usize, rows: &[[(f64, f64); 3]]) -> Vec<[(f64, f64); 3]> {
    let mut all = vec![rows[0]; first];
    all.extend_from_slice(rows);
    all
}

/// The motion, moved and turned: joint a from `a`, the others as they are.
fn moved(a: f64, factor: f64) -> Vec<[(f64, f64); 3]> {
    motion().iter().map(|row| [(a + factor * (row[0].0 - 0.2), factor * row[0].1), row[1], row[2]]).collect()
}

#[test]
fn a_motion_that_begins_in_motion_or_without_states_is_found() {
    // Where the robot stands, but not at rest.
    let rows = motion();
    let mut stream = Stream::at((0..3).map(|j| rows[10][j].0).collect());
    stream.tick = 10;
    stream.tick(Some(&window(&rows, 10)));
    let found = names(&stream.verdict());
    assert!(found.contains(&Quantity::Start) && found.contains(&Quantity::Velocity), "{found:?}");
    // Nothing was told of the robot for a while.
    let mut stream = Stream::new();
    stream.rest(20);
    stream.told.truncate(1);
    stream.rest(20);
    stream.tick(Some(&window(&later(stream.tick, &rows), stream.tick)));
    assert_eq!(names(&stream.verdict()), [Quantity::Start]);
}

#[test]
fn a_motion_that_begins_a_hair_from_where_the_last_one_ended_is_found() {
    let (rows, mut stream) = (motion(), Stream::new());
    stream.tick(Some(&window(&rows, 0)));
    stream.tick += 200;
    let end = rows.last().unwrap();
    stream.told = end.iter().map(|x| x.0).collect();
    stream.rest(100);
    let still = [(end[0].0 + 1e-6, 0.0), end[1], end[2]];
    let first = stream.tick;
    stream.tick(Some(&window(&later(first, &[still; 60]), first)));
    assert_eq!(names(&stream.verdict()), [Quantity::Start]);
}

/// A motion begins 0.3 rad from the robot, for which that is told for so many ticks before; whether anybody let go of the robot since the last one.
fn false_start(ticks: usize, let_go: bool) -> (Vec<Quantity>, u64) {
    let mut stream = Stream::new();
    stream.rest(100);
    if !let_go {
        let still = [(0.2, 0.0), (3.0, 0.0), (0.04, 0.0)];
        let first = stream.tick;
        stream.tick(Some(&window(&later(first, &[still; 30]), first)));
        stream.rest(50);
    }
    stream.told[0] += 0.3;
    stream.rest(ticks);
    let first = stream.tick;
    stream.tick(Some(&window(&later(first, &moved(0.5, 1.0)), first)));
    let unknowable = stream.meter.tally.unknowable;
    (names(&stream.verdict()), unknowable)
}

#[test]
fn a_start_at_a_false_pose_is_found_and_one_that_nothing_contradicts_is_counted_apart() {
    // One message, or not enough of them to outlive the leap.
    for ticks in [1, 12, 40] {
        assert_eq!(false_start(ticks, true), (vec![Quantity::Start], 0), "{ticks} messages");
    }
    assert_eq!(false_start(60, true), (vec![], 1));
    // While it is held nothing that is told moves it.
    assert_eq!(false_start(60, false), (vec![Quantity::Start], 0));
    assert_eq!(false_start(400, false), (vec![Quantity::Start], 0));
}

#[test]
fn what_two_senders_contradict_is_no_excuse() {
    let mut stream = Stream::new();
    stream.told[0] += 0.3;
    for _ in 0..100 {
        stream.tick(None);
        let received = stream.checker.received();
        stream.checker.heard(SenderId([2; 16]), received, received, &[(0, 0.2)]);
    }
    let first = stream.tick;
    stream.tick(Some(&window(&later(first, &moved(0.5, 1.0)), first)));
    assert_eq!((stream.meter.tally.unknowable, names(&stream.verdict())), (0, vec![Quantity::Start]));
}

#[test]
fn where_a_hand_has_put_it_it_may_begin_and_where_it_was_held_it_may_not() {
    for (at, wanted) in [(0.6, vec![]), (0.2, vec![Quantity::Start])] {
        let mut stream = Stream::new();
        stream.rest(20);
        let received = stream.checker.received();
        stream.checker.robot.push(received, received - STEP, &[(0, 0.4)]);
        stream.told[0] = 0.6;
        stream.rest(20);
        let first = stream.tick;
        stream.tick(Some(&window(&later(first, &moved(at, 0.5)), first)));
        assert_eq!(names(&stream.verdict()), wanted, "{at}");
    }
}

#[test]
fn a_robot_outside_of_its_limits_that_begins_at_the_limit_is_found_and_one_that_comes_in_is_right() {
    let start = |a: f64| vec![a, 3.0, 0.04];
    let play = |rows: &[[(f64, f64); 3]]| {
        let mut stream = Stream::at(start(1.04));
        stream.rest(20);
        let first = stream.tick;
        let rows = later(first, rows);
        (first..rows.len() - 12).for_each(|first| stream.tick(Some(&window(&rows, first))));
        names(&stream.verdict())
    };
    assert_eq!(play(&moved(1.04, -1.0)), []);
    // At the limit, 40 mrad from where it is.
    assert_eq!(play(&moved(1.0, -1.0)), [Quantity::Start]);
    // Farther out, and back out again.
    assert!(play(&moved(1.04, 1.0)).contains(&Quantity::Position));
    let mut there_and_back = moved(1.04, -0.02);
    let back: Vec<_> = there_and_back.iter().rev().map(|r| [(r[0].0, 0.0 - r[0].1), r[1], r[2]]).collect();
    there_and_back.extend_from_slice(&back[1..]);
    let end = *there_and_back.last().unwrap();
    there_and_back.extend([end; 20]);
    assert!(play(&there_and_back).contains(&Quantity::Position));
}

#[test]
fn the_long_way_round_is_found() {
    // Joint b goes on from 3.0 over the seam: to 3.4, or to the same place five radians back.
    for (by, wanted) in [(0.4, vec![]), (0.4 - std::f64::consts::TAU, vec![Quantity::Round])] {
        let mut stream = Stream::new();
        stream.rest(20);
        let first = stream.tick;
        // As far as the motion goes, which is slow enough to be stretched.
        let far = 2.0 * (motion().last().unwrap()[0].0 - 0.2);
        let slow = |k: f64| 3.0 + by * (1.0 - (std::f64::consts::PI * k / 600.0).cos()) / 2.0;
        assert!(far > 0.0);
        let rate = |k: f64| by * (std::f64::consts::PI * k / 600.0).sin() / 2.0 * std::f64::consts::PI / 6.0;
        let rows: Vec<_> = (0..=600)
            .map(|k| [(0.2, 0.0), (slow(k as f64), rate(k as f64)), (0.04, 0.0)])
            .chain(std::iter::repeat_n([(0.2, 0.0), (3.0 + by, 0.0), (0.04, 0.0)], 20))
            .collect();
        let rows = later(first, &rows);
        stream.checker.asked(&[0.2, 3.1, 0.04, 0.2, -3.083, 0.04, 0.2, -2.883, 0.04]);
        stream.tick(Some(&window(&rows, first)));
        let found = names(&stream.verdict());
        let found: Vec<Quantity> = found.into_iter().filter(|q| *q == Quantity::Round).collect();
        assert_eq!(found, wanted, "{by}");
    }
}

#[test]
fn a_window_that_leaves_late_is_found_where_it_changes_what_was_followed_by_then() {
    // A stop from tick 20 on, of which the next windows know nothing: decided in time it would be an overlap, sent late it is a leap.
    let rows = motion();
    let play = |late_ms: i64| {
        let mut stream = Stream::new();
        for first in 0..30 {
            stream.tick(Some(&window(&rows, first)));
        }
        let first = stream.tick;
        let mut changed = rows.clone();
        // From 70 ms after the decision on, everything is a micrometre further.
        changed.iter_mut().skip(first + 8).for_each(|row| row[0].0 += 1.0e-6);
        stream.tick_late(Some(&window(&changed, first)), late_ms * 1_000_000);
        names(&stream.verdict())
    };
    let found = play(100);
    assert!(found.contains(&Quantity::Late) && found.contains(&Quantity::Jerk), "{found:?}");
    assert!(!play(30).contains(&Quantity::Late), "it says the same as the one before for so long");
}
