//! Wiring that several nodes share.

use efm_app::setup::description_file;
use efm_core::Stamp;
use efm_ros::r2r::std_msgs::msg::String as Text;
use efm_ros::{Graph, Latest, Node, NodeError, Received, RosClock, bounds, qos};
use std::time::Instant;

/// The robot description: from the file of the parameter, else from the topic.
///
/// # Errors
/// When the file cannot be read, or ROS refuses the subscription.
pub fn robot_description(node: &mut Node) -> Result<Latest<Text>, NodeError> {
    let Some(data) = description_file(node.params())? else {
        return Ok(node.latest("robot_description", qos::latched_input().at_most(bounds::DESCRIPTION))?);
    };
    let (mut feed, latest) = Latest::slot();
    feed.put(Text { data }, node.clock());
    Ok(latest)
}

/// Where who gives instructions says twice a second that it is there (true), and that it ends (false).
pub const HEARTBEAT: &str = "instruction_heartbeat";

/// Where a controller takes its trajectories, below its name.
pub const WINDOWS: &str = "joint_trajectory";

/// A topic of a controller's, as `controller_state`: beside its `joint_trajectory`, wherever that is remapped to, unless it is remapped itself.
pub fn controller_topic(graph: &Graph, controller: &str, topic: &str) -> String {
    let (plain, windows) = (format!("{controller}/{topic}"), format!("{controller}/{WINDOWS}"));
    if !graph.is_remapped(&windows) || graph.is_remapped(&plain) {
        return plain;
    }
    beside(&graph.full_name(&windows), topic).unwrap_or(plain)
}

/// What lies beside a controller's trajectories; nothing where they go to what is no controller's topic.
fn beside(windows: &str, topic: &str) -> Option<String> {
    let controller = windows.strip_suffix(WINDOWS)?;
    (controller.len() > 1 && controller.ends_with('/')).then(|| format!("{controller}{topic}"))
}

/// Tells times of receipt in seconds: monotonic, or ROS time under simulation (where ages stand still with the clock).
#[derive(Debug, Clone)]
pub struct ReceiptClock {
    clock: RosClock,
    start: Instant,
}

impl ReceiptClock {
    /// Over the node's clock.
    pub fn new(clock: &RosClock) -> Self {
        Self { clock: clock.clone(), start: Instant::now() }
    }

    /// ROS time.
    pub fn ros_now(&self) -> Stamp {
        self.clock.now()
    }

    /// Seconds for which `/clock` is silent, where time comes from there.
    pub fn silence(&self) -> Option<f64> {
        self.clock.silence().map(|silence| silence.as_secs_f64())
    }

    /// Now.
    pub fn now(&self) -> f64 {
        if self.clock.is_simulated() {
            self.clock.now().nanos() as f64 * 1e-9
        } else {
            self.start.elapsed().as_secs_f64()
        }
    }

    /// When a message came.
    pub fn of<T>(&self, received: &Received<T>) -> f64 {
        if self.clock.is_simulated() {
            received.ros_at.nanos() as f64 * 1e-9
        } else {
            received.at.saturating_duration_since(self.start).as_secs_f64()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_controller_tells_lies_beside_what_it_is_sent() {
        let state = |windows| beside(windows, "controller_state");
        assert_eq!(state("/cell/left_arm/joint_trajectory").as_deref(), Some("/cell/left_arm/controller_state"));
        let action = beside("/arm/joint_trajectory", "follow_joint_trajectory/_action/status");
        assert_eq!(action.as_deref(), Some("/arm/follow_joint_trajectory/_action/status"));
        // To a relay, or to no controller's namespace: nobody knows where it tells.
        for elsewhere in ["/mux/input", "/joint_trajectory", "/arm/my_joint_trajectory", "joint_trajectory"] {
            assert_eq!(state(elsewhere), None, "{elsewhere}");
        }
    }
}
