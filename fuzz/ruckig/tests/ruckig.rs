//! Time-optimal motion of one joint: rsruckig against the C++ original, on the problems that the filter poses, and the filter's own stops against
//! the optimum.
#![allow(clippy::unwrap_used, dead_code)]

#[path = "../../../packages/safety/src/limits.rs"]
mod limits;
#[path = "../../../packages/safety/src/motion.rs"]
mod motion;

use efm_core::JointLimits;
use motion::{State, longest_stop, ramp_stop, ramp_within};
use rsruckig::prelude as rs;

/// splitmix64
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn signed(&mut self) -> f64 {
        2.0 * self.unit() - 1.0
    }

    /// Evenly on a logarithmic scale.
    fn log(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.unit())
    }

    /// From a slow heavy axis to a quick light one; full acceleration within 1 ms to 0.5 s, full speed within 20 ms to 4 s.
    fn limits(&mut self) -> JointLimits {
        let velocity = self.log(0.05, 10.0);
        let acceleration = velocity / self.log(0.02, 4.0);
        let jerk = acceleration / self.log(0.001, 0.5);
        JointLimits { lower: f64::NEG_INFINITY, upper: f64::INFINITY, velocity, acceleration, jerk }
    }
}

/// A problem of the filter's planner: from a state within limits to a position with a velocity, or to rest wherever that is.
#[derive(Debug, Clone, Copy)]
struct Problem {
    from: State,
    to: Option<(f64, f64)>,
    limits: JointLimits,
}

/// Duration, and position, velocity and acceleration at some times. None where it gives up.
type Answer = Option<(f64, Vec<[f64; 3]>)>;

fn by_rsruckig(problem: &Problem, times: impl Fn(f64) -> Vec<f64>) -> Answer {
    let mut otg = rs::Ruckig::<1, rs::IgnoreErrorHandler>::new(None, 0.01);
    let mut input = rs::InputParameter::<1>::new(None);
    input.synchronization = rs::Synchronization::None;
    input.current_position[0] = problem.from.p;
    input.current_velocity[0] = problem.from.v;
    input.current_acceleration[0] = problem.from.a;
    match problem.to {
        Some((p, v)) => (input.target_position[0], input.target_velocity[0]) = (p, v),
        None => input.control_interface = rs::ControlInterface::Velocity,
    }
    input.max_velocity[0] = problem.limits.velocity;
    input.max_acceleration[0] = problem.limits.acceleration;
    input.max_jerk[0] = problem.limits.jerk;
    let mut way = rs::Trajectory::new(None);
    if !matches!(otg.calculate(&input, &mut way), Ok(rs::RuckigResult::Working)) {
        return None;
    }
    let duration = way.get_duration();
    let at = |t: f64| {
        let zero = || rs::DataArrayOrVec::<f64, 1>::new(None, 0.0);
        let (mut p, mut v, mut a) = (zero(), zero(), zero());
        way.at_time(t, &mut Some(&mut p), &mut Some(&mut v), &mut Some(&mut a), &mut None, &mut None);
        [p[0], v[0], a[0]]
    };
    Some((duration, times(duration).into_iter().map(at).collect()))
}

fn by_cpp(problem: &Problem, times: impl Fn(f64) -> Vec<f64>) -> Answer {
    let mut otg = ruckig::Ruckig::new_direct(1, 0.01);
    let mut input = ruckig::InputParameter::new(1);
    input.synchronization = ruckig::Synchronization::None;
    input.current_position = vec![problem.from.p];
    input.current_velocity = vec![problem.from.v];
    input.current_acceleration = vec![problem.from.a];
    match problem.to {
        Some((p, v)) => (input.target_position, input.target_velocity) = (vec![p], vec![v]),
        None => input.control_interface = ruckig::ControlInterface::Velocity,
    }
    input.max_velocity = vec![problem.limits.velocity];
    input.max_acceleration = vec![problem.limits.acceleration];
    input.max_jerk = vec![problem.limits.jerk];
    let mut way = ruckig::Trajectory::new_direct(1);
    if otg.calculate(&mut input, &mut way) != ruckig::Result::Working {
        return None;
    }
    let duration = way.get_duration();
    let at = |t: f64| {
        let (p, v, a) = way.at_time(t);
        [p[0], v[0], a[0]]
    };
    Some((duration, times(duration).into_iter().map(at).collect()))
}

/// The step that the filter takes, and the rest of the way.
fn looked_at(duration: f64) -> Vec<f64> {
    [0.01_f64.min(duration)].into_iter().chain((1..=4).map(|i| duration * f64::from(i) / 4.0)).collect()
}

fn compare(name: &str, count: usize, mut problem: impl FnMut(&mut Random) -> Problem) {
    let mut random = Random(7);
    let (mut neither, mut worst_time, mut worst) = (0, 0.0_f64, [0.0_f64; 3]);
    for i in 0..count {
        let problem = problem(&mut random);
        let l = &problem.limits;
        match (by_rsruckig(&problem, looked_at), by_cpp(&problem, looked_at)) {
            (None, None) => neither += 1,
            (Some((ours, here)), Some((theirs, there))) => {
                let time = (ours - theirs).abs() / (1.0 + theirs);
                assert!(time < 1e-9, "{i}: {ours} s and {theirs} s for {problem:?}");
                worst_time = worst_time.max(time);
                // Positions count by the way there, the others by their limit.
                let far = (problem.to.map_or(0.0, |to| to.0) - problem.from.p).abs() + l.velocity * theirs;
                for (a, b) in here.iter().zip(&there) {
                    for (k, scale) in [far, l.velocity, l.acceleration].into_iter().enumerate() {
                        let off = (a[k] - b[k]).abs() / scale;
                        assert!(off < 1e-6, "{i}: {here:?} and {there:?} for {problem:?}");
                        worst[k] = worst[k].max(off);
                    }
                }
            }
            (ours, theirs) => panic!("{i}: {ours:?} and {theirs:?} for {problem:?}"),
        }
    }
    println!(
        "{name}: {count} problems, {neither} unsolved by both, durations within {worst_time:.1e}, states within {:.1e}",
        worst.into_iter().fold(0.0, f64::max)
    );
    assert!(neither * 1000 < count);
}

#[test]
fn the_ways_back_to_the_path_are_those_of_the_original() {
    compare("position", 120_000, |random| {
        let limits = random.limits();
        let from = State {
            p: random.signed(),
            v: limits.velocity * random.signed(),
            a: limits.acceleration * random.signed(),
        };
        // From a hair's breadth to a radian away.
        let p = from.p + random.log(1e-6, 1.0) * random.signed().signum();
        let v = limits.velocity * if random.unit() < 0.2 { 0.0 } else { 0.999 * random.signed() };
        Problem { from, to: Some((p, v)), limits }
    });
}

#[test]
fn the_quickest_stops_are_those_of_the_original() {
    compare("stop", 60_000, |random| {
        let limits = random.limits();
        let (v, a) = (limits.velocity * random.signed(), limits.acceleration * random.signed());
        Problem { from: State { p: random.signed(), v, a }, to: None, limits }
    });
}

#[test]
fn stops_on_the_grid_keep_the_limits_and_take_little_longer_than_the_optimum() {
    /// Grid steps beyond the optimum.
    const LONGER: f64 = 5.0;
    let mut random = Random(11);
    let (mut found, mut refused, mut longest) = (0, 0, 0.0_f64);
    for _ in 0..120_000 {
        let (limits, dt) = (random.limits(), [0.001, 0.005, 0.01, 0.02][(random.unit() * 4.0) as usize]);
        let from = State { p: 0.0, v: limits.velocity * random.signed(), a: limits.acceleration * random.signed() };
        let mut tail = Vec::with_capacity(longest_stop(dt, &limits));
        if !ramp_stop(&from, dt, &limits, &mut tail) {
            refused += 1;
            // Only where the speed will pass its limit before the acceleration has gone, or nearly: within what rounding to the grid costs.
            let peak = (from.v + 0.5 * from.a * from.a.abs() / limits.jerk).abs().max(from.v.abs());
            let cost = limits.acceleration * dt;
            assert!(peak + 3.0 * cost > limits.velocity, "no stop from {from:?} within {limits:?} at {dt}");
            continue;
        }
        found += 1;
        let mut last = from;
        for next in &tail {
            assert!(ramp_within(&last, next, dt, &limits), "{last:?} to {next:?} within {limits:?}");
            last = *next;
        }
        assert!(last.is_rest());
        let (optimal, _) = by_cpp(&Problem { from, to: None, limits }, |_| Vec::new()).unwrap();
        let longer = tail.len() as f64 - optimal / dt;
        assert!(
            longer > -1e-3 && longer <= LONGER,
            "{} steps instead of {}: {from:?} {limits:?} at {dt}",
            tail.len(),
            optimal / dt
        );
        longest = longest.max(longer);
    }
    println!("{found} stops, at most {longest:.2} steps longer than the optimum; {refused} refused");
    assert!(refused * 4 < found);
}
