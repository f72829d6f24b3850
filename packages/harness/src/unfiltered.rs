//! Chunks straight to the controllers, as it is done without a safety filter: what the filter is compared with.
//!
//! Rows are joined by the scheduler's spline and blends, sampled at the spacing of the filter's windows, and sent on. No limit, no
//! obstacle, no stop but an abrupt one at the last row. For simulation only.

use efm_core::{ActionChunk, JointNames, Stamp, Trajectory, TrajectoryPoint};
use efm_schedule::{ChunkRefusal, Mode, Reference, ReferenceStatus, Scheduler, SchedulerConfig, SchedulerError};
use std::ops::Range;

/// Spacing of points, and points of a window.
const STEP_NANOS: i64 = 10_000_000;
const POINTS: i64 = 25;

/// Follows chunks without looking.
#[derive(Debug)]
pub struct Unfiltered {
    joints: JointNames,
    scheduler: Scheduler,
}

impl Unfiltered {
    /// Of joints, the last of which is the gripper.
    ///
    /// # Errors
    /// Never for joints that are a set.
    pub fn new(joints: JointNames) -> Result<Self, SchedulerError> {
        Self::scheduled(joints, Mode::default())
    }

    /// As [`Self::new`], with a choice of how one chunk follows another.
    ///
    /// # Errors
    /// As [`Self::new`], and when the mode's numbers are none.
    pub fn scheduled(joints: JointNames, mode: Mode) -> Result<Self, SchedulerError> {
        let straight_joints = joints.iter().last().map(str::to_owned).into_iter().collect();
        let config = SchedulerConfig { straight_joints, mode, ..SchedulerConfig::default() };
        Ok(Self { scheduler: Scheduler::new(joints.clone(), config, None)?, joints })
    }

    /// What chunks became.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Follows nothing more.
    pub fn cancel(&mut self, now: Stamp) {
        self.scheduler.clear(now);
    }

    /// Takes a chunk.
    ///
    /// # Errors
    /// As [`Scheduler::offer`].
    pub fn offer(&mut self, chunk: &ActionChunk, now: Stamp) -> Result<(), ChunkRefusal> {
        self.scheduler.offer(chunk, now).map(|_| ())
    }

    /// Puts a waiting chunk in use. Its path begins at what is followed, or at `measured`.
    pub fn tick(&mut self, now: Stamp, measured: &[f64]) {
        if !self.scheduler.has_pending() {
            return;
        }
        let at = now.offset_nanos(-STEP_NANOS);
        let active = matches!(self.scheduler.status(at), ReferenceStatus::Active { .. });
        let from: Vec<Reference> = (0..self.joints.len())
            .map(|joint| match self.scheduler.of_joint(joint, at) {
                Some(reference) if active => reference,
                _ => Reference { position: measured[joint], ..Reference::default() },
            })
            .collect();
        self.scheduler.take_over(at, |joint| from[joint]);
    }

    /// Writes the window of some of the joints; false while there is nothing to follow.
    pub fn write(&self, now: Stamp, joints: Range<usize>, message: &mut Trajectory) -> bool {
        let Some(end) = self.scheduler.ends_at() else { return false };
        let stamp = now.offset_nanos(-STEP_NANOS);
        let points = ((end.nanos_since(stamp)) / STEP_NANOS).min(POINTS);
        if points < 1 {
            return false;
        }
        message.stamp = stamp;
        message.joint_names = self.joints.as_slice()[joints.clone()].to_vec();
        message.points.clear();
        for k in 0..=points {
            let states: Vec<Reference> = joints
                .clone()
                .filter_map(|joint| self.scheduler.of_joint(joint, stamp.offset_nanos(k * STEP_NANOS)))
                .collect();
            let still = if k == points { 0.0 } else { 1.0 };
            message.points.push(TrajectoryPoint {
                positions: states.iter().map(|s| s.position).collect(),
                velocities: states.iter().map(|s| still * s.velocity).collect(),
                accelerations: Vec::new(),
                effort: Vec::new(),
                time_from_start: k * STEP_NANOS,
            });
        }
        true
    }
}
