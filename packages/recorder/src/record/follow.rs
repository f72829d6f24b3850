//! Nodes whose topics are recorded: whatever they say and hear, by the names that their parameters and remappings gave it. A robot's controllers,
//! grippers and cameras are so in a recording whatever they are called.

use super::selection::qualified;
use std::collections::{BTreeMap, BTreeSet};

/// Types of pictures and point clouds: as they come from a camera they are most of a graph's bytes, and what the policy saw of them is said by
/// `camera_ingest`.
const LARGE: [&str; 3] = ["sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/PointCloud2"];
/// Types without which a node of the suite has nothing to do: silence is worth a warning.
const NEEDED: [&str; 3] = ["sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/JointState"];
/// Topics that every node has and that tell nothing of a run.
const NOBODYS: [&str; 2] = ["/parameter_events", "/clock"];

/// Topics of a node, with their types.
pub type Topics = BTreeMap<String, Vec<String>>;

/// The nodes, and what they were seen to say and hear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Follow {
    /// Full names.
    nodes: Vec<String>,
    /// Nodes that have been on the graph.
    seen: BTreeSet<String>,
    /// Topics to record.
    topics: BTreeSet<String>,
    /// What the nodes hear and need: topic and node.
    needed: BTreeMap<String, String>,
}

impl Follow {
    /// Nodes by name, relative ones in a namespace.
    pub fn new(nodes: &[String], namespace: &str) -> Self {
        Self { nodes: nodes.iter().map(|node| qualified(node, namespace)).collect(), ..Self::default() }
    }

    /// Their full names.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// A node is on the graph with these topics. What it had before stays: a node that is started anew has it again.
    pub fn see(&mut self, node: &str, says: &Topics, hears: &Topics) {
        self.seen.insert(node.to_owned());
        let has = |types: &[String], of: &[&str]| types.iter().any(|name| of.contains(&name.as_str()));
        for (topic, types) in hears {
            if !has(types, &LARGE) {
                self.topics.insert(topic.clone());
            }
            if has(types, &NEEDED) {
                self.needed.insert(topic.clone(), node.to_owned());
            }
        }
        self.topics.extend(says.keys().cloned());
        self.topics.retain(|topic| !NOBODYS.contains(&topic.as_str()));
    }

    /// Whether a topic is one of theirs.
    pub fn wants(&self, topic: &str) -> bool {
        self.topics.contains(topic)
    }

    /// Nodes that were not on the graph yet.
    pub fn absent(&self) -> Vec<String> {
        self.nodes.iter().filter(|node| !self.seen.contains(*node)).cloned().collect()
    }

    /// What they need and nobody publishes: topic and node.
    pub fn silent(&self, is_published: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let silent = self.needed.iter().filter(|(topic, _)| !is_published(topic));
        silent.map(|(topic, node)| (topic.clone(), node.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(of: &[(&str, &str)]) -> Topics {
        of.iter().map(|(name, type_name)| ((*name).to_owned(), vec![(*type_name).to_owned()])).collect()
    }

    const TRAJECTORY: &str = "trajectory_msgs/msg/JointTrajectory";
    const IMAGE: &str = "sensor_msgs/msg/Image";

    #[test]
    fn what_nodes_say_and_hear_is_recorded_by_whatever_name_but_not_the_cameras_own_pictures() {
        let mut follow = Follow::new(&["trajectory_publisher".to_owned(), "/eyes/camera_ingest".to_owned()], "/cell");
        assert_eq!(follow.absent(), ["/cell/trajectory_publisher", "/eyes/camera_ingest"]);
        follow.see(
            "/cell/trajectory_publisher",
            &topics(&[
                ("/ur/scaled/joint_trajectory", TRAJECTORY),
                ("/cell/trajectory_publisher/trace", "t"),
                ("/parameter_events", "t"),
            ]),
            &topics(&[
                ("/ur/joint_states", "sensor_msgs/msg/JointState"),
                ("/ur/gripper/gripper_cmd/_action/status", "action_msgs/msg/GoalStatusArray"),
                ("/clock", "rosgraph_msgs/msg/Clock"),
            ]),
        );
        follow.see(
            "/eyes/camera_ingest",
            &topics(&[("/eyes/observation/head/image", IMAGE)]),
            &topics(&[("/head/color/image_raw", IMAGE), ("/head/color/camera_info", "sensor_msgs/msg/CameraInfo")]),
        );
        for topic in [
            "/ur/scaled/joint_trajectory",
            "/ur/gripper/gripper_cmd/_action/status",
            "/ur/joint_states",
            "/cell/trajectory_publisher/trace",
            "/eyes/observation/head/image",
            "/head/color/camera_info",
        ] {
            assert!(follow.wants(topic), "{topic}");
        }
        for topic in ["/head/color/image_raw", "/clock", "/parameter_events", "/weather"] {
            assert!(!follow.wants(topic), "{topic}");
        }
        assert!(follow.absent().is_empty());
        // What is needed and silent is told with who needs it; what is not needed is not.
        let silent = follow.silent(|topic| topic == "/ur/joint_states");
        assert_eq!(silent, [("/head/color/image_raw".to_owned(), "/eyes/camera_ingest".to_owned())]);
    }

    #[test]
    fn what_a_node_had_stays_when_it_is_started_anew() {
        let mut follow = Follow::new(&["a".to_owned()], "/");
        follow.see("/a", &topics(&[("/x", "t")]), &Topics::new());
        follow.see("/a", &Topics::new(), &Topics::new());
        assert!(follow.wants("/x"));
    }
}
