//! The safety tick over joints, and over pairs of bodies.

use crate::growth::series::{Case, Group, Measure, Sample};
use crate::tick::play::{Pace, Stream, play};
use crate::tick::robot::{Cell, Robot};
use anyhow::Result;
use efm_harness::planner::RobotFiles;
use std::path::Path;

/// As shipped: a tick for every point, so that every tick plans.
pub const SHIPPED: Pace = Pace { period_s: 0.01, ticks: 1 };
/// Ticks at 1 kHz: those of which `efm-bench tick` says how long they may take.
pub const FAST: Pace = Pace { period_s: 0.01, ticks: 10 };
/// Joints of the chains.
const JOINTS: [usize; 4] = [6, 7, 14, 28];
/// Pairs that the chains are given: about as many as those of 28 joints have among themselves.
const CHAIN_PAIRS: usize = 300;
/// Pairs that the Panda is given.
const PAIRS: [usize; 6] = [50, 100, 200, 500, 1000, 2000];
const STREAMS: [Stream; 2] = [Stream::Smooth, Stream::Hostile];

/// A robot and, perhaps, what is around it.
pub struct Setup {
    robot: Robot,
    cell: Option<Cell>,
}

impl Setup {
    fn pairs(&self) -> usize {
        self.cell.as_ref().map_or(0, |cell| cell.bodies.pairs())
    }

    /// A stream of `ticks` ticks at a pace; its seed is the same in every round, so that each tick has the same to do again.
    fn measure(&self, stream: Stream, pace: Pace, ticks: usize) -> Measure<'_> {
        Box::new(move |_| {
            let bodies = self.cell.as_ref().map(|cell| &cell.bodies);
            let played = play(&self.robot, bodies, pace, (stream, 1, ticks), |_, _, _| ())?;
            let micros: Vec<f64> = played.cpu.iter().map(|nanos| *nanos as f64 * 1e-3).collect();
            Ok(Sample { calls: micros.len() as u64, micros, allocations: played.allocations })
        })
    }
}

/// Chains of joints, each without any bodies and with about [`CHAIN_PAIRS`] pairs of them.
///
/// # Errors
/// When there is no room for the bodies.
pub fn chains() -> Result<[Vec<Setup>; 2]> {
    let alone = |joints| Ok(Setup { robot: Robot::chain(joints)?, cell: None });
    let among = |joints| {
        let robot = Robot::chain(joints)?;
        Ok(Setup { cell: Some(robot.cell(CHAIN_PAIRS, 3)?), robot })
    };
    let both: (Result<_>, Result<_>) =
        (JOINTS.into_iter().map(alone).collect(), JOINTS.into_iter().map(among).collect());
    Ok([both.0?, both.1?])
}

/// The shipped Panda over its table, among so many boxes that there are about [`PAIRS`] pairs.
///
/// # Errors
/// When its files cannot be read, or there is no room for the boxes.
pub fn pandas(root: &Path) -> Result<Vec<Setup>> {
    let with = |pairs| {
        let robot = Robot::panda(&RobotFiles::under(root))?;
        Ok(Setup { cell: Some(robot.cell(pairs, 7)?), robot })
    };
    PAIRS.into_iter().map(with).collect()
}

fn group<'a>(
    title: &'static str,
    size: &'static str,
    setups: &'a [Setup],
    ticks: usize,
    of: fn(&Setup) -> usize,
) -> Group<'a> {
    let mut cases = Vec::new();
    for stream in STREAMS {
        for setup in setups {
            cases.push(Case {
                line: stream.name().to_owned(),
                size: of(setup) as f64,
                notes: vec![format!("{} joints, {} pairs", setup.robot.home.len(), setup.pairs())],
                measure: setup.measure(stream, SHIPPED, ticks),
            });
        }
    }
    Group { title, line: "stream", size, notes: vec!["robot"], cases }
}

/// The tick over the joints of chains.
pub fn over_joints<'a>(title: &'static str, setups: &'a [Setup], ticks: usize) -> Group<'a> {
    group(title, "joints", setups, ticks, |setup| setup.robot.home.len())
}

/// The tick over the pairs of bodies.
pub fn over_pairs<'a>(title: &'static str, setups: &'a [Setup], ticks: usize) -> Group<'a> {
    group(title, "pairs", setups, ticks, Setup::pairs)
}

/// What `efm-bench tick` judges by: the Panda with the pairs nearest to `pairs`, at 1 kHz, every stream.
pub fn at_one_kilohertz<'a>(title: &'static str, setups: &'a [Setup], pairs: usize, ticks: usize) -> Group<'a> {
    let nearest = setups.iter().min_by_key(|setup| setup.pairs().abs_diff(pairs));
    let cases = nearest.into_iter().flat_map(|setup| {
        Stream::ALL.into_iter().map(move |stream| Case {
            line: stream.name().to_owned(),
            size: setup.pairs() as f64,
            notes: vec![],
            measure: setup.measure(stream, FAST, ticks),
        })
    });
    Group { title, line: "stream", size: "pairs", notes: vec![], cases: cases.collect() }
}
