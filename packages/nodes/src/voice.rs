//! What the publisher of trajectories says.

use efm_core::Stamp;
use efm_ros::r2r::trajectory_msgs::msg::JointTrajectory;
use efm_ros::{NodeError, Publisher};
use efm_safety::{Execution, VerifiedWindow};
use efm_wire::cdr::CdrWriter;

/// Publishes what goes out, written as CDR into memory that is used again and again: r2r's messages would be copied into C's first, which
/// allocates for every list of every point.
pub struct Voice {
    /// One a controller, in their order, and what it is about to say.
    windows: Vec<(Publisher<JointTrajectory>, CdrWriter)>,
    /// Where `execution_state` goes.
    execution: Publisher<JointTrajectory>,
    /// The joints that `execution_state` names, once they are known.
    joints: Vec<String>,
    message: CdrWriter,
    values: Vec<f64>,
}

impl Voice {
    /// For the controllers' topics, in their order, and `execution_state`.
    pub fn new(windows: Vec<Publisher<JointTrajectory>>, execution: Publisher<JointTrajectory>) -> Self {
        let windows = windows.into_iter().map(|publisher| (publisher, CdrWriter::new())).collect();
        Self { windows, execution, joints: Vec::new(), message: CdrWriter::new(), values: Vec::new() }
    }

    /// Writes the windows, for [`Self::send`].
    pub fn write(&mut self, windows: &[VerifiedWindow]) {
        for ((_, out), window) in self.windows.iter_mut().zip(windows) {
            begin(out, window.stamp(), window.joints().as_slice(), window.len());
            for k in 0..window.len() {
                point(out, window.positions(k), window.velocities(k), window.time_from_start(k));
            }
        }
    }

    /// Publishes what was written for a controller, by its place.
    ///
    /// # Errors
    /// When ROS refuses.
    pub fn send(&mut self, controller: usize) -> Result<(), NodeError> {
        if let Some((publisher, out)) = self.windows.get(controller) {
            publisher.publish_bytes(out.bytes())?;
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
        let points = match (execution.chunk, windows.first()) {
            (Some(_), Some(first)) => first.committed().min(first.len()),
            _ => 0,
        };
        let now = windows.first().map_or(stamp, VerifiedWindow::stamp);
        begin(&mut self.message, stamp, &self.joints, points);
        for k in 0..points {
            self.values.clear();
            windows.iter().for_each(|window| self.values.extend_from_slice(window.positions(k)));
            let positions = self.values.len();
            windows.iter().for_each(|window| self.values.extend_from_slice(window.velocities(k)));
            let at = windows.last().map_or(stamp, |window| window.stamp().offset_nanos(window.time_from_start(k)));
            let (positions, velocities) = self.values.split_at(positions);
            point(&mut self.message, positions, velocities, execution.on_chunk(at, now).nanos_since(stamp));
        }
        self.execution.publish_bytes(self.message.bytes())?;
        Ok(())
    }

    /// No chunk is followed any more.
    ///
    /// # Errors
    /// When ROS refuses.
    pub fn rest(&mut self) -> Result<(), NodeError> {
        begin(&mut self.message, Stamp::ZERO, &self.joints, 0);
        self.execution.publish_bytes(self.message.bytes())?;
        Ok(())
    }

    /// For which controllers somebody listens beside our own subscriptions (`own`), in their order.
    pub fn listened_to(&self, own: &[usize], listening: &mut Vec<bool>) {
        listening.clear();
        listening.extend(self.windows.iter().zip(own).map(|((publisher, _), own)| publisher.subscribers() > *own));
    }
}

/// Begins a trajectory_msgs/JointTrajectory of so many points.
fn begin(out: &mut CdrWriter, stamp: Stamp, joints: &[String], points: usize) {
    out.restart();
    out.stamp(stamp);
    out.string("");
    out.strings(joints);
    out.count(points);
}

/// One of its points, `nanos` from its stamp.
fn point(out: &mut CdrWriter, positions: &[f64], velocities: &[f64], nanos: i64) {
    out.f64_sequence(positions);
    out.f64_sequence(velocities);
    out.count(0);
    out.count(0);
    // A builtin_interfaces/Duration lies as a Time does.
    out.stamp(Stamp::from_nanos(nanos));
}
