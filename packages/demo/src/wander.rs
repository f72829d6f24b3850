//! Random motion through the graph, for [`efm_harness::control::Control::Random`]: which chunk is proposed when, in the place of
//! `vla_inference`. Without ROS: joint states come in, chunks go out.

use crate::seen::Joints;
use efm_core::{ActionChunk, JointNames, JointSample, JointSampleError, Stamp};
use efm_harness::planner::{PlanError, RobotFiles, chunk_joints};
use efm_harness::random::{PERIOD, RandomPlanner};

/// Why nothing can be proposed.
#[derive(Debug, thiserror::Error)]
pub enum WanderError {
    /// The robot's files, or the chunk.
    #[error("random motion: {0}")]
    Plan(#[from] PlanError),
    /// The joint state does not hold what a chunk moves.
    #[error("random motion: joint_states: {0}")]
    Joints(#[from] JointSampleError),
}

/// Proposes random motion, every [`PERIOD`] on the time axis of the joint states' stamps. That is the axis on which a chunk's rows
/// are due, so the chunks of an episode join into one motion.
pub struct Wanderer {
    planner: RandomPlanner,
    joints: JointNames,
    /// Stamp of the joint state that the episode's first chunk was made from.
    began: Option<Stamp>,
    /// The period since then that was proposed for last.
    period: i64,
}

impl Wanderer {
    /// Reads the robot's files.
    ///
    /// # Errors
    /// When a file cannot be read or lacks something.
    pub fn new(files: &RobotFiles) -> Result<Self, WanderError> {
        let joints = chunk_joints().map_err(PlanError::from)?;
        Ok(Self { planner: RandomPlanner::new(files)?, joints, began: None, period: 0 })
    }

    /// Begins an episode in the scene of this seed. Its time begins with the joint state of the first chunk.
    pub fn begin(&mut self, seed: u64) {
        self.planner.begin(seed);
        self.began = None;
    }

    /// Whether a joint state of this stamp is one to propose from.
    pub fn is_due(&self, stamp: Stamp) -> bool {
        self.began.is_none_or(|began| period(began, stamp) > self.period)
    }

    /// A chunk, stamped with the joint state's stamp. `None` when none is due, or where it is out of the arm's reach.
    ///
    /// # Errors
    /// When the joint state lacks a joint or holds what is no number.
    pub fn propose(&mut self, measured: &Joints) -> Result<Option<ActionChunk>, WanderError> {
        let stamp = measured.stamp;
        if !self.is_due(stamp) {
            return Ok(None);
        }
        let sample = JointSample::pick(&self.joints, stamp, &measured.names, &measured.positions, &[])?;
        let began = *self.began.get_or_insert(stamp);
        self.period = period(began, stamp);
        match self.planner.chunk(&sample.positions, stamp.seconds_since(began), stamp) {
            Ok(chunk) => Ok(Some(chunk)),
            Err(error @ PlanError::Unreachable { .. }) => {
                log::debug!("no chunk: {error}");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whole periods from one stamp to another.
fn period(began: Stamp, stamp: Stamp) -> i64 {
    stamp.nanos_since(began).div_euclid((PERIOD * 1e9) as i64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_sim::tasks::READY;
    use std::path::Path;

    const MS: i64 = 1_000_000;

    fn wanderer(seed: u64) -> Wanderer {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut wanderer = Wanderer::new(&RobotFiles::under(&root)).unwrap();
        wanderer.begin(seed);
        wanderer
    }

    /// The arm where every scene begins, in another order than a chunk's, with a joint that no chunk moves.
    fn measured(ms: i64) -> Joints {
        let mut all: Vec<(String, f64)> = chunk_joints().unwrap().iter().map(str::to_owned).zip(READY).collect();
        all.push(("panda_finger_joint1".to_owned(), 0.04));
        all.push(("panda_finger_joint2".to_owned(), 0.04));
        all.reverse();
        let (names, positions) = all.into_iter().unzip();
        Joints { stamp: Stamp::from_nanos(1_000_000 * MS + ms * MS), names, positions, at_rest: true }
    }

    /// All chunks from joint states every `every` ms, with the ms at which they came.
    fn chunks(wanderer: &mut Wanderer, every: i64, until: i64) -> Vec<(i64, ActionChunk)> {
        let times = (0..until).step_by(every as usize);
        times.filter_map(|ms| Some((ms, wanderer.propose(&measured(ms)).unwrap()?))).collect()
    }

    #[test]
    fn a_chunk_comes_every_period_at_once_and_carries_the_stamp_of_its_joint_state() {
        let all = chunks(&mut wanderer(3), 7, 1000);
        // The first joint state of each 200 ms.
        assert_eq!(all.iter().map(|(ms, _)| *ms).collect::<Vec<_>>(), [0, 203, 406, 602, 805]);
        for (ms, chunk) in &all {
            assert_eq!(chunk.observed_at(), measured(*ms).stamp);
            assert_eq!(chunk.joints(), &chunk_joints().unwrap());
        }
    }

    #[test]
    fn joints_are_read_by_name_and_the_motion_begins_where_the_arm_is() {
        let (_, chunk) = chunks(&mut wanderer(3), 10, 10).remove(0);
        for (value, ready) in chunk.row(0).iter().zip(READY.iter().chain(&[0.04])) {
            assert!((value - ready).abs() < 0.1, "{:?}", chunk.row(0));
        }
        let last = chunk.row(chunk.horizon() - 1);
        assert!(last.iter().zip(&READY).any(|(a, b)| (a - b).abs() > 0.1), "it goes somewhere: {last:?}");
    }

    #[test]
    fn chunks_of_an_arm_that_follows_are_parts_of_one_motion() {
        let mut wanderer = wanderer(3);
        let mut joints = measured(0);
        let mut before = wanderer.propose(&joints).unwrap().unwrap();
        for ms in (200..5000).step_by(200) {
            joints.stamp = measured(ms).stamp;
            joints.names = before.joints().iter().map(str::to_owned).collect();
            joints.positions = before.row(1).to_vec();
            let after = wanderer.propose(&joints).unwrap().unwrap();
            // Both are due 0.3 s after the first of the two. The solver starts elsewhere, so an elbow may differ by a little.
            let (was, is) = (before.row(2), after.row(0));
            assert!(was.iter().zip(is).all(|(a, b)| (a - b).abs() < 0.02), "{ms} ms: {was:?} {is:?}");
            before = after;
        }
    }

    #[test]
    fn the_seed_alone_decides_and_every_episode_begins_anew() {
        let motion = |all: &[(i64, ActionChunk)]| all.iter().map(|(_, c)| c.row(9).to_vec()).collect::<Vec<_>>();
        let first = motion(&chunks(&mut wanderer(3), 10, 2000));
        assert_ne!(first, motion(&chunks(&mut wanderer(4), 10, 2000)));
        let mut again = wanderer(4);
        chunks(&mut again, 10, 700);
        again.begin(3);
        assert_eq!(first, motion(&chunks(&mut again, 10, 2000)));
    }

    #[test]
    fn a_joint_that_is_missing_is_named() {
        let mut joints = measured(0);
        let place = joints.names.iter().position(|name| name == "panda_joint4").unwrap();
        joints.names[place] = "elbow".to_owned();
        let error = wanderer(3).propose(&joints).unwrap_err().to_string();
        assert!(error.contains("joint_states") && error.contains("'panda_joint4'"), "{error}");
    }
}
