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
    /// The chunk that it told of.
    pub told: Option<Stamp>,
    /// Where the last windows end: one position a joint, in the order of the controllers.
    pub ends: Vec<f64>,
}

impl Voice {
    /// Publishes the windows.
    ///
    /// # Errors
    /// When ROS refuses.
    pub fn send(&mut self, windows: &[VerifiedWindow]) -> Result<(), NodeError> {
        self.ends.clear();
        for ((publisher, message), window) in self.windows.iter_mut().zip(windows) {
            self.ends.extend_from_slice(window.positions(window.len() - 1));
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
    /// slowly than the clock). Returns the chunk when it is another one than before.
    ///
    /// # Errors
    /// When ROS refuses.
    pub fn tell(&mut self, execution: &Execution, windows: &[VerifiedWindow]) -> Result<Option<Stamp>, NodeError> {
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
        let news = execution.chunk.filter(|_| self.told != execution.chunk);
        self.told = execution.chunk;
        Ok(news)
    }

    /// No chunk is followed any more.
    ///
    /// # Errors
    /// When ROS refuses.
    pub fn rest(&mut self) -> Result<(), NodeError> {
        if self.told.take().is_some() {
            self.state.header.stamp = convert::time(Stamp::ZERO);
            self.state.points.clear();
            self.execution.publish(&self.state)?;
        }
        Ok(())
    }

    /// The first controller that nobody listens for, if there is one.
    pub fn missing(&self) -> Option<usize> {
        self.windows.iter().position(|(publisher, _)| publisher.subscribers() == 0)
    }

    /// How many controllers somebody listens for.
    pub fn listened_to(&self) -> usize {
        self.windows.iter().filter(|(publisher, _)| publisher.subscribers() > 0).count()
    }
}
