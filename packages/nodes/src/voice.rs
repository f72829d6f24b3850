//! What the publisher of trajectories says.

use efm_core::Stamp;
use efm_ros::r2r::trajectory_msgs::msg::{JointTrajectory, JointTrajectoryPoint};
use efm_ros::{NodeError, Publisher, convert};
use efm_safety::{Execution, VerifiedWindow};

/// The messages that go out, made once and filled again and again.
pub struct Voice {
    /// One a controller, in their order.
    pub windows: Vec<(Publisher<JointTrajectory>, JointTrajectory)>,
    /// Where `execution_state` goes.
    pub execution: Publisher<JointTrajectory>,
    /// The last `execution_state`.
    pub state: JointTrajectory,
}

impl Voice {
    /// Publishes the windows.
    ///
    /// # Errors
    /// When ROS refuses.
    pub fn send(&mut self, windows: &[VerifiedWindow]) -> Result<(), NodeError> {
        for ((publisher, message), window) in self.windows.iter_mut().zip(windows) {
            message.header.stamp = convert::time(window.stamp());
            if message.joint_names.is_empty() {
                message.joint_names = window.joints().as_slice().to_vec();
            }
            message.points.resize_with(window.len(), JointTrajectoryPoint::default);
            for (k, point) in message.points.iter_mut().enumerate() {
                point.positions.clear();
                point.positions.extend_from_slice(window.positions(k));
                point.velocities.clear();
                point.velocities.extend_from_slice(window.velocities(k));
                point.time_from_start = convert::duration(window.time_from_start(k));
            }
            publisher.publish(message)?;
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
        self.state.header.stamp = convert::time(stamp);
        if self.state.joint_names.is_empty() {
            self.state.joint_names = windows.iter().flat_map(|w| w.joints().iter().map(str::to_owned)).collect();
        }
        let points = match (execution.chunk, windows.first()) {
            (Some(_), Some(first)) => first.committed().min(first.len()),
            _ => 0,
        };
        let now = windows.first().map_or(stamp, VerifiedWindow::stamp);
        self.state.points.resize_with(points, JointTrajectoryPoint::default);
        for (k, point) in self.state.points.iter_mut().enumerate() {
            point.positions.clear();
            point.velocities.clear();
            for window in windows {
                point.positions.extend_from_slice(window.positions(k));
                point.velocities.extend_from_slice(window.velocities(k));
                let at = window.stamp().offset_nanos(window.time_from_start(k));
                point.time_from_start = convert::duration(execution.on_chunk(at, now).nanos_since(stamp));
            }
        }
        self.execution.publish(&self.state)?;
        Ok(())
    }

    /// No chunk is followed any more.
    ///
    /// # Errors
    /// When ROS refuses.
    pub fn rest(&mut self) -> Result<(), NodeError> {
        self.state.header.stamp = convert::time(Stamp::ZERO);
        self.state.points.clear();
        self.execution.publish(&self.state)?;
        Ok(())
    }

    /// For which controllers somebody listens, in their order.
    pub fn listened_to(&self, listening: &mut Vec<bool>) {
        listening.clear();
        listening.extend(self.windows.iter().map(|(publisher, _)| publisher.subscribers() > 0));
    }
}
