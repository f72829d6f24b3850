//! The judge finds what is wrong with a stream, and nothing in one that is right.
#![allow(clippy::unwrap_used)]

use efm_bench::arm::{Arm, Bounds};
use efm_bench::checker::{Checker, Command};
use efm_bench::meter::Meter;
use efm_bench::tally::Quantity;
use efm_core::{JointSample, Stamp, Trajectory, TrajectoryPoint};
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
    sample: JointSample,
}

impl Stream {
    fn new() -> Self {
        let arm = arm();
        let mut checker = Checker::new(&arm, T0);
        checker.command(Command::Arm(true));
        let sample = JointSample { stamp: Stamp::from_nanos(T0), positions: arm.start, velocities: vec![0.0; 3] };
        Self { checker, meter: Meter::new(0, "planted"), tick: 0, sample }
    }

    fn now(&self) -> i64 {
        T0 + (self.tick as i64 + 1) * STEP
    }

    fn tick(&mut self, messages: Option<&[Trajectory]>) {
        self.checker.advance(self.now(), STEP, &mut self.meter);
        match messages {
            Some(messages) => self.checker.published(messages, Some((&self.sample, 0.01)), &mut self.meter),
            None => self.checker.quiet(),
        }
        self.meter.close();
        self.tick += 1;
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
    let sample = JointSample { stamp: Stamp::from_nanos(T0), positions: arm.start.clone(), velocities: vec![0.0; 3] };
    checker.advance(T0 + STEP, STEP, &mut meter);
    checker.published(&window(&rows, 0), Some((&sample, 0.0)), &mut meter);
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

#[test]
fn a_motion_that_begins_elsewhere_or_in_motion_is_found() {
    // Where the robot stands, but not at rest.
    let rows = motion();
    let mut stream = Stream::new();
    stream.tick = 10;
    stream.sample.positions = (0..3).map(|j| rows[10][j].0).collect();
    stream.tick(Some(&window(&rows, 10)));
    assert_eq!(names(&stream.verdict())[..], [Quantity::Start]);
    // At rest, but where the robot does not stand.
    let mut stream = Stream::new();
    stream.sample.positions[0] += 0.2;
    stream.tick(Some(&window(&rows, 0)));
    assert_eq!(names(&stream.verdict()), [Quantity::Start]);
    // After a motion, a hair from where it ended.
    let mut stream = Stream::new();
    stream.tick(Some(&window(&rows, 0)));
    stream.tick += 200;
    stream.tick(None);
    let end = rows.last().unwrap();
    stream.sample.positions = end.iter().map(|x| x.0).collect();
    let first = stream.tick;
    let still = [(end[0].0 + 1e-6, 0.0), end[1], end[2]];
    let mut later = vec![*end; first];
    later.extend(vec![still; 60]);
    stream.tick(Some(&window(&later, first)));
    assert_eq!(names(&stream.verdict()), [Quantity::Start]);
    // Without a measured pose.
    let mut stream = Stream::new();
    stream.sample.positions[1] = f64::NAN;
    stream.tick(Some(&window(&rows, 0)));
    assert_eq!(names(&stream.verdict()), [Quantity::Start]);
}
