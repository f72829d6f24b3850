//! Settings of the streamer.

use efm_core::JointNames;
use efm_schedule::{SchedulerConfig, SchedulerError};

/// One controller and the joints it moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerSpec {
    /// Name, as in `<name>/joint_trajectory`.
    pub name: String,
    /// Its joints, in the order of its messages.
    pub joints: JointNames,
}

/// What the numbers of [`StreamConfig`] may be: the least and the greatest. Whoever declares parameters for them declares these.
pub mod bounds {
    /// [`super::StreamConfig::period_s`], seconds.
    pub const PERIOD_S: (f64, f64) = (0.001, 0.02);
    /// [`super::StreamConfig::window_s`], seconds.
    pub const WINDOW_S: (f64, f64) = (0.02, 2.0);
    /// [`super::StreamConfig::committed_s`] in periods, at least: what is final must not end before the next window can come.
    pub const COMMITTED_PERIODS: f64 = 1.5;
    /// [`super::StreamConfig::committed_s`], seconds; the least is that of the shortest period.
    pub const COMMITTED_S: (f64, f64) = (COMMITTED_PERIODS * PERIOD_S.0, 0.5);
    /// [`super::StreamConfig::clock_skew_s`], seconds.
    pub const CLOCK_SKEW_S: (f64, f64) = (0.0, 0.1);
    /// [`super::StreamConfig::max_joint_state_age_s`], seconds.
    pub const MAX_JOINT_STATE_AGE_S: (f64, f64) = (0.001, 10.0);
    /// [`super::StreamConfig::max_joint_state_gap_s`], seconds.
    pub const MAX_JOINT_STATE_GAP_S: (f64, f64) = (0.0, 60.0);
    /// [`super::StreamConfig::max_tracking_error`], rad or m.
    pub const MAX_TRACKING_ERROR: (f64, f64) = (1.0e-3, 10.0);
    /// [`super::StreamConfig::max_start_error`], rad or m.
    pub const MAX_START_ERROR: (f64, f64) = (0.0, 1.0);
    /// [`super::StreamConfig::max_start_speed`], rad/s or m/s.
    pub const MAX_START_SPEED: (f64, f64) = (0.0, 10.0);
    /// [`super::StreamConfig::max_clock_jump_s`], seconds.
    pub const MAX_CLOCK_JUMP_S: (f64, f64) = (0.001, 10.0);
    /// [`super::StreamConfig::share`].
    pub const SHARE: (f64, f64) = (0.05, 0.99);
    /// [`super::StreamConfig::max_observation_age_s`], seconds.
    pub const MAX_OBSERVATION_AGE_S: (f64, f64) = (0.01, 60.0);
    /// [`super::StreamConfig::max_bad_chunks`].
    pub const MAX_BAD_CHUNKS: (f64, f64) = (1.0, 1000.0);
    /// [`super::StreamConfig::max_tool_speed`] at least, m/s.
    pub const LEAST_TOOL_SPEED: f64 = 1.0e-3;
}

/// How motion is planned and streamed. Seconds, radians (metres for prismatic joints).
#[derive(Debug, Clone, PartialEq)]
pub struct StreamConfig {
    /// Time between points. [`crate::TrajectoryStreamer::tick`] may be called more often.
    pub period_s: f64,
    /// How far past its publication a window goes on before its stop tail begins; not less than what is committed. What is longer
    /// tolerates longer silence without braking, and lets a dead publisher's arm move on for longer.
    pub window_s: f64,
    /// Shortest time that a window covers past its publication, stop tail and rest included.
    pub least_window_s: f64,
    /// How far past its publication a window is final: longer than the transport takes, plus two control periods.
    pub committed_s: f64,
    /// How far the controller's clock may be behind ours.
    pub clock_skew_s: f64,
    /// Oldest joint state that motion relies on.
    pub max_joint_state_age_s: f64,
    /// Longest time without a joint state in motion, since the last was measured, after which the next chunk is followed by itself, once states agree that the
    /// robot is where it was commanded. A longer one is latched, and so is the third within ten seconds; 0: every one.
    pub max_joint_state_gap_s: f64,
    /// Largest difference between measured and planned position of any joint but grippers. Well above velocity times the robot's
    /// lag.
    pub max_tracking_error: f64,
    /// Largest difference between the measured pose and the pose where the last motion ended, for the next one to begin there. With a larger one it
    /// begins at the measured pose where the robot was let go of meanwhile, and not at all where it was held.
    pub max_start_error: f64,
    /// Largest measured speed of any joint but grippers that counts as rest.
    pub max_start_speed: f64,
    /// For how long measured states have to agree with each other, four at least, before a motion begins on them, seconds.
    pub start_agreement_s: f64,
    /// The same after a jump that the joint cannot have done.
    pub start_agreement_after_jump_s: f64,
    /// How much more than the usual spacing between two ticks is a jump of the clock.
    pub max_clock_jump_s: f64,
    /// Part of the velocity, acceleration and jerk limits that following may use; the rest is for braking.
    pub share: f64,
    /// How fast small differences from the reference are taken back, in rad/s.
    pub bandwidth: f64,
    /// Joints that are velocity- and acceleration-limited only.
    pub gripper_joints: Vec<String>,
    /// Age, in seconds, of the observation behind the chunk in use from which on progress is slowed down, to stand still at the
    /// chunk's end: two frames and the time that the policy may take.
    pub max_observation_age_s: f64,
    /// Chunks in a row with a value that is no number, after which motion stops for good.
    pub max_bad_chunks: u32,
    /// Largest speed of the tool, m/s; infinite for none. Needs a [`crate::Tool`], see
    /// [`crate::Surroundings`].
    pub max_tool_speed: f64,
    /// How chunks are taken. Its straight joints are the gripper joints, whatever it says.
    pub schedule: SchedulerConfig,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            period_s: 0.01,
            window_s: 0.06,
            least_window_s: 0.2,
            committed_s: 0.03,
            clock_skew_s: 0.0,
            max_joint_state_age_s: 0.1,
            max_joint_state_gap_s: 0.5,
            max_tracking_error: 0.2,
            max_start_error: 0.05,
            max_start_speed: 0.05,
            start_agreement_s: 0.1,
            start_agreement_after_jump_s: 0.5,
            max_clock_jump_s: 0.05,
            share: 0.98,
            bandwidth: 25.0,
            gripper_joints: Vec::new(),
            max_observation_age_s: 1.0,
            max_bad_chunks: 3,
            max_tool_speed: f64::INFINITY,
            schedule: SchedulerConfig::default(),
        }
    }
}

/// Why a streamer cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SetupError {
    /// A value is out of range.
    #[error("{field} is {value:?}; it must lie between {least} and {most}")]
    Value {
        /// Field of [`StreamConfig`].
        field: &'static str,
        /// What it was.
        value: f64,
        /// Smallest allowed.
        least: f64,
        /// Largest allowed.
        most: f64,
    },
    /// No controller.
    #[error("no controller is configured")]
    NoController,
    /// Two controllers have the same name.
    #[error("controller '{0}' is configured twice")]
    ControllerTwice(String),
    /// A controller moves a joint without limits.
    #[error("controller '{controller}' moves joint '{joint}', which has no limits")]
    NoLimits {
        /// Controller.
        controller: String,
        /// Joint.
        joint: String,
    },
    /// A joint belongs to no controller.
    #[error("joint '{0}' belongs to no controller")]
    NoControllerFor(String),
    /// A joint belongs to two controllers.
    #[error("joint '{0}' belongs to two controllers")]
    TwoControllersFor(String),
    /// A gripper joint is not among the joints.
    #[error("gripper joint '{0}' is not among the joints")]
    UnknownGripper(String),
    /// A tool speed is limited, but it is not known what the tool is.
    #[error("the tool's speed is limited to {0} m/s, but no tool link is configured")]
    NoTool(f64),
    /// The scheduler cannot be made.
    #[error(transparent)]
    Schedule(#[from] SchedulerError),
}

impl StreamConfig {
    pub(crate) fn check(&self) -> Result<(), SetupError> {
        let of = |field, value, (least, most)| (field, value, least, most);
        let least_committed_s = bounds::COMMITTED_PERIODS * self.period_s;
        let ranges = [
            of("period_s", self.period_s, bounds::PERIOD_S),
            of("window_s", self.window_s, bounds::WINDOW_S),
            ("least_window_s", self.least_window_s, 0.05, 4.0),
            of("max_observation_age_s", self.max_observation_age_s, bounds::MAX_OBSERVATION_AGE_S),
            of("max_bad_chunks", f64::from(self.max_bad_chunks), bounds::MAX_BAD_CHUNKS),
            ("max_tool_speed", self.max_tool_speed, bounds::LEAST_TOOL_SPEED, f64::INFINITY),
            ("committed_s", self.committed_s, least_committed_s, bounds::COMMITTED_S.1),
            of("clock_skew_s", self.clock_skew_s, bounds::CLOCK_SKEW_S),
            of("max_joint_state_age_s", self.max_joint_state_age_s, bounds::MAX_JOINT_STATE_AGE_S),
            of("max_joint_state_gap_s", self.max_joint_state_gap_s, bounds::MAX_JOINT_STATE_GAP_S),
            of("max_tracking_error", self.max_tracking_error, bounds::MAX_TRACKING_ERROR),
            of("max_start_error", self.max_start_error, bounds::MAX_START_ERROR),
            of("max_start_speed", self.max_start_speed, bounds::MAX_START_SPEED),
            ("start_agreement_s", self.start_agreement_s, 0.0, 10.0),
            ("start_agreement_after_jump_s", self.start_agreement_after_jump_s, self.start_agreement_s, 60.0),
            of("max_clock_jump_s", self.max_clock_jump_s, bounds::MAX_CLOCK_JUMP_S),
            of("share", self.share, bounds::SHARE),
            ("bandwidth", self.bandwidth, 0.1, 1.0 / self.period_s),
        ];
        for (field, value, least, most) in ranges {
            if !(value >= least && value <= most) {
                return Err(SetupError::Value { field, value, least, most });
            }
        }
        Ok(())
    }
}
