//! What was heard from the graph: the latest of everything that a demo looks at. Knows message bytes, not ROS.

use crate::episode::{GoalStatus, Latencies, TaskStatus};
use crate::film::Camera;
use efm_bag::msgs::{DiagnosticArray, Header, ImageView, JointState, StringMsg};
use efm_bag::{CdrError, Decode, cdr::CdrReader};
use efm_core::Stamp;
use image::RgbImage;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A motion of any joint by more than this counts as one, rad or m.
const MOTION: f64 = 0.01;
/// A joint that is slower than this rests, rad/s or m/s.
const REST: f64 = 0.02;
/// Silence after which streaming is over, of the graph's time. Windows come every 10 ms.
pub const SILENCE: Duration = Duration::from_millis(150);

/// What a topic means to the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// `task_status`.
    Task,
    /// `goal_status`.
    Goal,
    /// `joint_states`.
    Joints,
    /// `observation/<camera>/image`.
    Observation,
    /// `execution_state`.
    Execution,
    /// `/diagnostics`.
    Health,
    /// `front/image_raw`.
    Picture,
    /// `/clock`.
    Clock,
    /// Only recorded.
    Nothing,
}

/// Health of a task of a node, as its level (0 ok, 1 warning, 2 error, 3 stale) and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Level.
    pub level: u8,
    /// Message.
    pub message: String,
}

/// Measured joints.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Joints {
    /// When they were measured.
    pub stamp: Stamp,
    /// Their names.
    pub names: Vec<String>,
    /// Position of each.
    pub positions: Vec<f64>,
    /// Whether all of them are slower than what counts as rest.
    pub at_rest: bool,
}

/// The latest of everything.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// State of the task.
    pub task: Option<TaskStatus>,
    /// Latest words about a goal.
    pub goal: Option<GoalStatus>,
    /// Latest joint state.
    pub joints: Option<Joints>,
    /// Stamp of the latest observation; zero before the first.
    pub observed: Stamp,
    /// By "node: task".
    pub health: BTreeMap<String, Health>,
    /// When something was last sent to the controllers: `execution_state` comes with every window.
    pub streamed_at: Option<Instant>,
    /// Of the chunks that were executed.
    pub latencies: Latencies,
    /// Pictures of the episode.
    pub camera: Camera,
    /// Where the joints were when [`Self::expect_motion`] was called.
    still: Option<Vec<f64>>,
    /// When they moved from there.
    pub moved_at: Option<Instant>,
}

impl Seen {
    /// Takes in a message.
    ///
    /// # Errors
    /// When it is malformed; it changes nothing then.
    pub fn hear(&mut self, meaning: Meaning, bytes: &[u8], now: Stamp, at: Instant) -> Result<(), HearError> {
        match meaning {
            // The graph's clock is kept where messages come in, which all wait for it.
            Meaning::Nothing | Meaning::Clock => {}
            Meaning::Task => self.task = Some(serde_json::from_str(&StringMsg::from_cdr(bytes)?.data)?),
            Meaning::Goal => self.goal = Some(serde_json::from_str(&StringMsg::from_cdr(bytes)?.data)?),
            Meaning::Joints => self.joints(JointState::from_cdr(bytes)?, at),
            Meaning::Observation => self.observed = header(bytes)?.stamp,
            Meaning::Execution => {
                self.latencies.execution(header(bytes)?.stamp, now);
                self.streamed_at = Some(at);
            }
            Meaning::Health => {
                for status in DiagnosticArray::from_cdr(bytes)?.status {
                    self.health.insert(status.name, Health { level: status.level, message: status.message });
                }
            }
            Meaning::Picture => {
                if self.camera.wants(at)
                    && let Some(picture) = picture(&ImageView::from_cdr(bytes)?)
                {
                    self.camera.keep(picture, at);
                }
            }
        }
        Ok(())
    }

    fn joints(&mut self, msg: JointState, at: Instant) {
        // A speed that is NaN is not told, like one that is missing.
        let at_rest = msg.velocity.iter().all(|v| v.is_nan() || v.abs() < REST);
        if let Some(still) = &self.still
            && still.len() == msg.position.len()
            && still.iter().zip(&msg.position).any(|(a, b)| (a - b).abs() > MOTION)
        {
            self.moved_at = Some(at);
            self.still = None;
        }
        self.joints = Some(Joints { stamp: msg.header.stamp, names: msg.name, positions: msg.position, at_rest });
    }

    /// From now on a motion of the joints away from where they are is noted in [`Self::moved_at`].
    pub fn expect_motion(&mut self) {
        self.still = self.joints.as_ref().map(|joints| joints.positions.clone());
        self.moved_at = None;
    }

    /// Whether the arm is at rest and nothing is sent to its controllers any more: the end of a stop is so slow that a look at
    /// the joints alone is not enough. Streaming is over after `silence` ([`SILENCE`] of the graph's time).
    pub fn at_rest(&self, now: Instant, silence: Duration) -> bool {
        let silent = self.streamed_at.is_none_or(|at| now.saturating_duration_since(at) > silence);
        silent && self.joints.as_ref().is_some_and(|joints| joints.at_rest)
    }

    /// How the tasks of a node are.
    pub fn health_of<'a>(&'a self, node: &'a str) -> impl Iterator<Item = (&'a str, &'a Health)> {
        self.health
            .iter()
            .filter(move |(name, _)| name.strip_prefix(node).is_some_and(|rest| rest.starts_with(':')))
            .map(|(name, health)| (name.as_str(), health))
    }

    /// Everything that is not well, in words.
    pub fn troubles(&self) -> Vec<String> {
        let not_well = self.health.iter().filter(|(_, health)| health.level > 0);
        not_well.map(|(name, health)| format!("{name}: {}", health.message)).collect()
    }
}

/// Why a message was not understood.
#[derive(Debug, thiserror::Error)]
pub enum HearError {
    /// Not the bytes of its type.
    #[error(transparent)]
    Cdr(#[from] CdrError),
    /// Not the JSON that it should hold.
    #[error("not the expected JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The header of a message that begins with one.
fn header(bytes: &[u8]) -> Result<Header, CdrError> {
    Header::decode(&mut CdrReader::new(bytes, "a message with a header")?)
}

/// An rgb8 image; `None` for another encoding or too few bytes. The demo's own simulator sends rgb8 without padding.
fn picture(view: &ImageView<'_>) -> Option<RgbImage> {
    (view.encoding == "rgb8" && view.step == 3 * view.width)
        .then(|| RgbImage::from_raw(view.width, view.height, view.data.to_vec()))
        .flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_bag::Encode;
    use efm_bag::msgs::DiagnosticStatus;
    use efm_core::Trajectory;

    fn hear(seen: &mut Seen, meaning: Meaning, message: &impl Encode) -> Result<(), HearError> {
        seen.hear(meaning, &message.to_cdr(), Stamp::from_nanos(2_000_000_000), Instant::now())
    }

    fn joints(positions: [f64; 2], velocity: f64) -> JointState {
        JointState {
            header: Header::new(Stamp::from_nanos(9), ""),
            name: vec!["a".into(), "b".into()],
            position: positions.to_vec(),
            velocity: vec![0.0, velocity],
            effort: vec![],
        }
    }

    #[test]
    fn a_motion_counts_once_it_is_expected() {
        let mut seen = Seen::default();
        hear(&mut seen, Meaning::Joints, &joints([0.0, 1.0], 0.5)).unwrap();
        hear(&mut seen, Meaning::Joints, &joints([0.0, 2.0], 0.0)).unwrap();
        assert!(seen.moved_at.is_none() && seen.joints.as_ref().unwrap().at_rest);
        seen.expect_motion();
        hear(&mut seen, Meaning::Joints, &joints([0.0, 2.005], 0.1)).unwrap();
        assert!(seen.moved_at.is_none() && !seen.joints.as_ref().unwrap().at_rest);
        hear(&mut seen, Meaning::Joints, &joints([0.0, 2.02], 0.1)).unwrap();
        assert!(seen.moved_at.is_some());
    }

    #[test]
    fn speeds_that_nobody_tells_keep_no_arm_from_being_at_rest() {
        for velocities in [vec![], vec![f64::NAN; 2], vec![f64::NAN, 0.0]] {
            let mut seen = Seen::default();
            hear(&mut seen, Meaning::Joints, &JointState { velocity: velocities, ..joints([0.0, 1.0], 0.0) }).unwrap();
            assert!(seen.joints.as_ref().unwrap().at_rest);
        }
        let mut seen = Seen::default();
        hear(&mut seen, Meaning::Joints, &JointState { velocity: vec![f64::NAN, 0.1], ..joints([0.0, 1.0], 0.0) })
            .unwrap();
        assert!(!seen.joints.as_ref().unwrap().at_rest);
    }

    #[test]
    fn an_arm_that_is_still_commanded_is_not_at_rest() {
        let mut seen = Seen::default();
        let now = Instant::now();
        assert!(!seen.at_rest(now, SILENCE), "nothing is known of it");
        hear(&mut seen, Meaning::Joints, &joints([0.0, 1.0], 0.0)).unwrap();
        assert!(seen.at_rest(now, SILENCE));
        seen.hear(Meaning::Execution, &Trajectory::default().to_cdr(), Stamp::ZERO, now).unwrap();
        assert!(!seen.at_rest(now + Duration::from_millis(20), SILENCE));
        assert!(seen.at_rest(now + Duration::from_millis(200), SILENCE));
        hear(&mut seen, Meaning::Joints, &joints([0.0, 1.0], 0.1)).unwrap();
        assert!(!seen.at_rest(now + Duration::from_millis(200), SILENCE));
    }

    #[test]
    fn the_latency_comes_from_the_stamp_of_the_executed_chunk() {
        let mut seen = Seen::default();
        let chunk = Trajectory { stamp: Stamp::from_nanos(1_940_000_000), ..Trajectory::default() };
        hear(&mut seen, Meaning::Execution, &chunk).unwrap();
        hear(&mut seen, Meaning::Execution, &Trajectory::default()).unwrap();
        assert_eq!(seen.latencies.take(), [60.0]);
    }

    #[test]
    fn pictures_are_kept_only_while_an_episode_is_filmed() {
        let mut seen = Seen::default();
        let image = efm_bag::msgs::ImageView::rgb8(Stamp::ZERO, "front", 640, 480, &[7; 640 * 480 * 3]).into_owned();
        hear(&mut seen, Meaning::Picture, &image).unwrap();
        assert!(seen.camera.cut().is_empty());
        seen.camera.roll(Instant::now(), crate::film::SPACING);
        hear(&mut seen, Meaning::Picture, &image).unwrap();
        let grey = efm_bag::msgs::Image { encoding: "mono8".into(), ..image };
        hear(&mut seen, Meaning::Picture, &grey).unwrap();
        assert_eq!(seen.camera.cut().len(), 1);
    }

    #[test]
    fn health_is_kept_by_task_and_told_when_it_is_not_well() {
        let status = |name: &str, level| DiagnosticStatus {
            level,
            name: name.into(),
            message: format!("message {level}"),
            hardware_id: "x".into(),
            values: vec![],
        };
        let mut seen = Seen::default();
        let array = |status| DiagnosticArray { header: Header::new(Stamp::ZERO, ""), status };
        hear(&mut seen, Meaning::Health, &array(vec![status("sim: physics", 0), status("sim: cameras", 2)])).unwrap();
        hear(&mut seen, Meaning::Health, &array(vec![status("simulator: physics", 1)])).unwrap();
        assert_eq!(seen.health_of("sim").count(), 2);
        assert_eq!(seen.troubles(), ["sim: cameras: message 2", "simulator: physics: message 1"]);
        hear(&mut seen, Meaning::Health, &array(vec![status("sim: cameras", 0)])).unwrap();
        assert_eq!(seen.troubles().len(), 1);
    }

    #[test]
    fn a_malformed_message_changes_nothing() {
        let mut seen = Seen::default();
        assert!(hear(&mut seen, Meaning::Task, &StringMsg::new("no json")).is_err());
        assert!(hear(&mut seen, Meaning::Task, &StringMsg::new("{\"seed\": 1}")).is_err());
        assert!(seen.hear(Meaning::Joints, &[0, 1, 0], Stamp::ZERO, Instant::now()).is_err());
        assert!(seen.task.is_none() && seen.joints.is_none());
    }
}
