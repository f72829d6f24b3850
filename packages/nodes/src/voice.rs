//! What the publisher of trajectories says.

use efm_core::{Stamp, Trajectory};
use efm_ros::r2r::trajectory_msgs::msg::JointTrajectory;
use efm_ros::{NodeError, Publisher};
use efm_safety::{Execution, VerifiedWindow};
use efm_wire::{CdrOf, PointView};

/// Publishes what goes out, written as CDR into memory that is used again and again: r2r's messages would be copied into C's first, which
/// allocates for every list of every point.
pub struct Voice {
    /// One a controller, in their order, and what it is about to say.
    windows: Vec<(Publisher<JointTrajectory>, CdrOf<Trajectory>)>,
    /// Where `execution_state` goes.
    execution: Publisher<JointTrajectory>,
    /// The joints that `execution_state` names, once they are known.
    joints: Vec<String>,
    message: CdrOf<Trajectory>,
    values: Vec<f64>,
}

impl Voice {
    /// For the controllers' topics, in their order, and `execution_state`.
    pub fn new(windows: Vec<Publisher<JointTrajectory>>, execution: Publisher<JointTrajectory>) -> Self {
        let windows = windows.into_iter().map(|publisher| (publisher, CdrOf::new())).collect();
        Self { windows, execution, joints: Vec::new(), message: CdrOf::new(), values: Vec::new() }
    }

    /// Writes the windows, for [`Self::send`].
    pub fn write(&mut self, windows: &[VerifiedWindow]) {
        for ((_, out), window) in self.windows.iter_mut().zip(windows) {
            let mut points = out.begin(window.stamp(), window.joints().as_slice());
            for k in 0..window.len() {
                points.push(PointView {
                    positions: window.positions(k),
                    velocities: window.velocities(k),
                    time_from_start: window.time_from_start(k),
                });
            }
        }
    }

    /// Publishes what was written for a controller, by its place.
    ///
    /// # Errors
    /// When ROS refuses.
    pub fn send(&mut self, controller: usize) -> Result<(), NodeError> {
        if let Some((publisher, out)) = self.windows.get(controller) {
            publisher.publish_cdr(out)?;
        }
        Ok(())
    }

    /// What is committed and not yet executed, at the times that the chunk meant for it (where the arm is slowed down they pass more
    /// slowly than the clock).
    ///
    /// # Errors
    /// When ROS refuses.
    pub fn tell(&mut self, execution: &Execution, windows: &[VerifiedWindow]) -> Result<(), NodeError> {
        let stamp = execution.chunk.unwrap_or(Stamp::ZERO);
        if self.joints.is_empty() {
            self.joints = windows.iter().flat_map(|w| w.joints().iter().map(str::to_owned)).collect();
        }
        let committed = match (execution.chunk, windows.first()) {
            (Some(_), Some(first)) => first.committed().min(first.len()),
            _ => 0,
        };
        let now = windows.first().map_or(stamp, VerifiedWindow::stamp);
        let mut points = self.message.begin(stamp, &self.joints);
        for k in 0..committed {
            self.values.clear();
            windows.iter().for_each(|window| self.values.extend_from_slice(window.positions(k)));
            let positions = self.values.len();
            windows.iter().for_each(|window| self.values.extend_from_slice(window.velocities(k)));
            let at = windows.last().map_or(stamp, |window| window.stamp().offset_nanos(window.time_from_start(k)));
            let (positions, velocities) = self.values.split_at(positions);
            let time_from_start = execution.on_chunk(at, now).nanos_since(stamp);
            points.push(PointView { positions, velocities, time_from_start });
        }
        self.execution.publish_cdr(&self.message)?;
        Ok(())
    }

    /// No chunk is followed any more.
    ///
    /// # Errors
    /// When ROS refuses.
    pub fn rest(&mut self) -> Result<(), NodeError> {
        self.message.begin(Stamp::ZERO, &self.joints);
        self.execution.publish_cdr(&self.message)?;
        Ok(())
    }

    /// For which controllers somebody listens beside our own subscriptions (`own`), in their order.
    pub fn listened_to(&self, own: &[usize], listening: &mut Vec<bool>) {
        listening.clear();
        listening.extend(self.windows.iter().zip(own).map(|((publisher, _), own)| publisher.subscribers() > *own));
    }
}
