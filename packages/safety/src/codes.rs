//! Reasons of the filter for machines: stable words, one for each; and what the arm is slowed down by, in words, by number and by code.

use crate::measured::Contradiction;
use crate::progress::PathLimit;
use crate::streamer::{ControllerFault, IdleReason, OfferRefusal, StopReason};
use efm_core::limited::{LIMITED_BY, Limited};
use efm_schedule::ChunkRefusal;

efm_core::codes! {
    CHUNKS_EXHAUSTED = "chunks_exhausted", "the last action chunk is over and no new one came";
    CANCELLED = "cancelled", "the instruction has changed or ended, or what it needs is not known any more";
    STOP_REQUESTED = "stop_requested", "stopped on request; `~/resume` ends it";
    DISARMED = "disarmed", "motion is not allowed; `~/arm` allows it";
    EMERGENCY_STOP = "emergency_stop", "the emergency stop; only `~/arm` ends it";
    JOINT_STATE_MISSING = "joint_state_missing", "there is no joint state";
    JOINT_STATE_STALE = "joint_state_stale", "the joint state is too old";
    JOINT_STATE_INVALID = "joint_state_invalid", "the joint state has another number of joints, or a value that is no number";
    JOINT_STATE_JUMP = "joint_state_jump", "a joint is told to be where it cannot have come to";
    JOINT_STATE_TWO_SENDERS = "joint_state_two_senders", "two nodes tell different positions of one joint";
    JOINT_STATE_FROZEN = "joint_state_frozen", "positions are repeated under fresh stamps while the arm is commanded on";
    JOINT_STATE_UNCONFIRMED = "joint_state_unconfirmed", "joint states do not agree for long enough yet";
    OTHER_JOINT_LOST = "other_joint_lost", "a joint that no controller moves, and on which it depends what comes close, is not told any more";
    OTHER_JOINT_UNKNOWN = "other_joint_unknown", "nobody tells where a joint stands that no controller moves, and on which it depends what comes close";
    TRACKING = "tracking", "a joint is too far from where it was commanded to be";
    CLOCK_JUMP = "clock_jump", "the clock went backwards or leapt";
    BAD_CHUNKS = "bad_chunks", "action chunks in a row that nobody could follow: values that are no numbers or absurd, other joints, sizes or times";
    CONTROLLER_MISSING = "controller_missing", "nobody listens to a controller's trajectories";
    CONTROLLER_NOT_FOLLOWING = "controller_not_following", "a controller's own state does not follow what it is sent";
    CONTROLLER_STANDS_STILL = "controller_stands_still", "the joints of a controller stand still while they are commanded on";
    CONTROLLER_CONTESTED = "controller_contested", "somebody else commands a controller as well";
    CONTROLLER_SILENT = "controller_silent", "a controller that told its state does not any more";
    INTERNAL_ERROR = "internal_error", "a window failed its own check: a mistake in the filter; nothing was sent";
    NO_CHUNK = "no_chunk", "at rest, and no action chunk waits";
    ROBOT_ELSEWHERE = "robot_elsewhere", "the robot stands elsewhere than where it was left and held";
    SETTLING = "settling", "the controllers come to the end of what they were sent last";
    NOT_AT_REST = "not_at_rest", "a joint still moves; motion begins from standstill";
    OBSTACLE = "obstacle", "an obstacle, the robot itself or the edge of the workspace is in the way";
    OUTSIDE_LIMITS = "outside_limits", "a joint stands outside of its position limits";
    CHUNK_JOINT_MISSING = "chunk_joint_missing", "the action chunk lacks a joint";
    CHUNK_JOINT_UNKNOWN = "chunk_joint_unknown", "the action chunk moves a joint that is not configured";
    CHUNK_TOO_OLD = "chunk_too_old", "the action chunk was made from an observation that is too old";
    CHUNK_FROM_THE_FUTURE = "chunk_from_the_future", "the action chunk's observation lies in the future: the clocks do not agree";
    CHUNK_NOT_NEWER = "chunk_not_newer", "the action chunk's observation is not newer than that of the chunk in use";
    CHUNK_BEFORE_STOP = "chunk_before_stop", "the action chunk was made from an observation before the last cancel or stop";
    CHUNK_ELAPSED = "chunk_elapsed", "all steps of the action chunk are over";
    CHUNK_STEP_TIME = "chunk_step_time", "the step time of the action chunk cannot be used";
    CHUNK_OUT_OF_REACH = "chunk_out_of_reach", "the action chunk wants a joint where no joint reaches";
    MONITOR_PANICKED = "monitor_panicked", "a monitor panicked; the log has where";
    MONITOR_NO_NUMBER = "monitor_no_number", "the speed that a monitor asks for is no number";
}

impl StopReason {
    /// For machines: one of [`CODES`], or the one that a monitor gives.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exhausted => CHUNKS_EXHAUSTED,
            Self::Cancelled => CANCELLED,
            Self::Requested => STOP_REQUESTED,
            Self::Disarmed => DISARMED,
            Self::JointStateMissing => JOINT_STATE_MISSING,
            Self::JointStateStale { .. } => JOINT_STATE_STALE,
            Self::JointStateInvalid => JOINT_STATE_INVALID,
            Self::OtherJointLost { .. } => OTHER_JOINT_LOST,
            Self::Tracking { .. } => TRACKING,
            Self::Contradiction(contradiction) => contradiction.code(),
            Self::ClockJump { .. } => CLOCK_JUMP,
            Self::BadChunks { .. } => BAD_CHUNKS,
            Self::Controller { fault, .. } => fault.code(),
            Self::Silent { .. } => CONTROLLER_SILENT,
            Self::Emergency => EMERGENCY_STOP,
            Self::Monitor { reason, .. } => reason.code,
            Self::Internal(_) => INTERNAL_ERROR,
        }
    }
}

impl IdleReason {
    /// For machines: one of [`CODES`], or the one that a monitor gives.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disarmed => DISARMED,
            Self::Latched(reason) => reason.code(),
            Self::NoChunk(_) => NO_CHUNK,
            Self::JointStateMissing => JOINT_STATE_MISSING,
            Self::JointStateStale { .. } => JOINT_STATE_STALE,
            Self::JointStateInvalid => JOINT_STATE_INVALID,
            Self::OtherJointUnknown { .. } => OTHER_JOINT_UNKNOWN,
            Self::Contradiction(contradiction) => contradiction.code(),
            Self::Unconfirmed(_) => JOINT_STATE_UNCONFIRMED,
            Self::Elsewhere { .. } => ROBOT_ELSEWHERE,
            Self::Settling => SETTLING,
            Self::NotAtRest { .. } => NOT_AT_REST,
            Self::ControllerSilent { .. } => CONTROLLER_SILENT,
            Self::Space(_) => OBSTACLE,
            Self::Monitor { reason, .. } => reason.code,
            Self::OutsideLimits { .. } => OUTSIDE_LIMITS,
        }
    }
}

impl ControllerFault {
    /// For machines: one of [`CODES`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => CONTROLLER_MISSING,
            Self::NotFollowing => CONTROLLER_NOT_FOLLOWING,
            Self::StandsStill => CONTROLLER_STANDS_STILL,
            Self::Contested => CONTROLLER_CONTESTED,
        }
    }
}

impl Contradiction {
    /// For machines: one of [`CODES`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Jump { .. } => JOINT_STATE_JUMP,
            Self::Senders { .. } => JOINT_STATE_TWO_SENDERS,
            Self::Frozen { .. } => JOINT_STATE_FROZEN,
        }
    }
}

impl OfferRefusal {
    /// For machines: one of [`CODES`], or the one that a monitor gives. After a stop, that of the stop.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disarmed => DISARMED,
            Self::Stopped(reason) => reason.code(),
            Self::Chunk(refusal) => match refusal {
                ChunkRefusal::MissingJoint(_) => CHUNK_JOINT_MISSING,
                ChunkRefusal::UnknownJoint(_) => CHUNK_JOINT_UNKNOWN,
                ChunkRefusal::TooOld { .. } => CHUNK_TOO_OLD,
                ChunkRefusal::FromTheFuture { .. } => CHUNK_FROM_THE_FUTURE,
                ChunkRefusal::NotNewer { .. } => CHUNK_NOT_NEWER,
                ChunkRefusal::BeforeClear => CHUNK_BEFORE_STOP,
                ChunkRefusal::Elapsed { .. } => CHUNK_ELAPSED,
                ChunkRefusal::StepTime(_) => CHUNK_STEP_TIME,
                ChunkRefusal::Absurd { .. } => CHUNK_OUT_OF_REACH,
            },
            Self::Monitor { reason, .. } => reason.code,
        }
    }
}

impl PathLimit {
    /// Its place in [`LIMITED_BY`]: the number that `~/filter_state` has for it.
    pub fn number(&self) -> u8 {
        match self {
            Self::Velocity { .. } => 1,
            Self::Acceleration { .. } => 2,
            Self::Jerk { .. } => 3,
            Self::ToolSpeed => 4,
            Self::Scale => 5,
            Self::StaleObservation => 6,
            Self::Space => 7,
            Self::Rejoining => 8,
            Self::Monitor(_) => 9,
        }
    }

    fn kind(&self) -> &'static Limited {
        &LIMITED_BY[usize::from(self.number())]
    }

    /// For machines, as in [`LIMITED_BY`].
    pub fn code(&self) -> &'static str {
        self.kind().code
    }

    /// In words; `name` has the name of a joint by its place in the limits' order.
    pub fn in_words<N: std::fmt::Display>(&self, name: impl FnOnce(usize) -> N) -> String {
        let words = self.kind().words;
        match self {
            Self::Velocity { joint } | Self::Acceleration { joint } | Self::Jerk { joint } => {
                format!("{words} of '{}'", name(*joint))
            }
            Self::Monitor(name) => format!("monitor '{name}'"),
            _ => words.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::Doubt;
    use crate::monitor::Latch;
    use crate::window::Violation;
    use efm_core::{Code, Level, Reason, SenderId};
    use std::collections::BTreeSet;

    fn contradictions() -> [Contradiction; 3] {
        [
            Contradiction::Jump { joint: 0, from: 0.0, to: 1.0, seconds: 0.1 },
            Contradiction::Senders { joint: 0, positions: (0.0, 1.0), senders: (SenderId([1; 16]), SenderId([2; 16])) },
            Contradiction::Frozen { joint: 0, position: 0.0, moved: 0.1, looped: false },
        ]
    }

    const FAULTS: [ControllerFault; 4] = [
        ControllerFault::Missing,
        ControllerFault::NotFollowing,
        ControllerFault::StandsStill,
        ControllerFault::Contested,
    ];

    fn own() -> Reason {
        Reason::new("of_its_own", Level::Warn, "it says so", "")
    }

    fn stops() -> Vec<StopReason> {
        let mut all = vec![
            StopReason::Exhausted,
            StopReason::Cancelled,
            StopReason::Requested,
            StopReason::Disarmed,
            StopReason::JointStateMissing,
            StopReason::JointStateStale { age_s: 1.0 },
            StopReason::JointStateInvalid,
            StopReason::OtherJointLost { other: 0 },
            StopReason::Tracking { joint: 0, error: 0.1 },
            StopReason::ClockJump { step_s: 1.0 },
            StopReason::BadChunks { count: 3 },
            StopReason::Silent { controller: 0, seconds: 1.0, over: false },
            StopReason::Emergency,
            StopReason::Internal(Violation::TooShort(1)),
        ];
        all.extend(contradictions().map(StopReason::Contradiction));
        all.extend(FAULTS.map(|fault| StopReason::Controller { controller: 0, fault }));
        all
    }

    fn chunks() -> Vec<ChunkRefusal> {
        vec![
            ChunkRefusal::MissingJoint("a".into()),
            ChunkRefusal::UnknownJoint("a".into()),
            ChunkRefusal::TooOld { age_s: 1.0, max_s: 0.5 },
            ChunkRefusal::FromTheFuture { ahead_s: 1.0, max_s: 0.5 },
            ChunkRefusal::NotNewer { behind_s: 0.0 },
            ChunkRefusal::BeforeClear,
            ChunkRefusal::Elapsed { late_s: 1.0 },
            ChunkRefusal::StepTime(0.0),
            ChunkRefusal::Absurd { step: 0, joint: "a".into(), value: 1e9 },
        ]
    }

    #[test]
    fn codes_are_declared_once_and_well_formed() {
        let mut seen = BTreeSet::new();
        for code in CODES {
            assert!(Code::is_well_formed(code.code) && !code.means.is_empty() && seen.insert(code.code), "{code:?}");
        }
        for wrong in ["", "a__b", "_a", "a_", "Disarmed", "not armed", "a-b"] {
            assert!(!Code::is_well_formed(wrong), "{wrong}");
        }
    }

    #[test]
    fn every_stop_has_a_code_of_its_own() {
        let codes: BTreeSet<_> = stops().iter().map(StopReason::code).collect();
        assert_eq!(codes.len(), stops().len());
        assert!(codes.iter().all(|code| CODES.iter().any(|known| known.code == *code)));
    }

    #[test]
    fn every_refusal_of_a_chunk_has_a_code_of_its_own() {
        let codes: BTreeSet<_> = chunks().into_iter().map(|refusal| OfferRefusal::Chunk(refusal).code()).collect();
        assert_eq!(codes.len(), chunks().len());
        assert!(codes.iter().all(|code| CODES.iter().any(|known| known.code == *code)));
    }

    #[test]
    fn why_nothing_is_sent_has_its_code_and_a_latch_that_of_its_stop() {
        let idle = [
            IdleReason::Disarmed,
            IdleReason::NoChunk(Some(StopReason::Cancelled)),
            IdleReason::JointStateMissing,
            IdleReason::JointStateStale { age_s: 1.0 },
            IdleReason::JointStateInvalid,
            IdleReason::OtherJointUnknown { other: 0 },
            IdleReason::Unconfirmed(Doubt { joint: 0, states: 1, seconds: 0.1, needs_s: 0.2, because: None }),
            IdleReason::Elsewhere { joint: 0, measured: 0.0, held: 1.0 },
            IdleReason::Settling,
            IdleReason::NotAtRest { joint: 0, speed: 1.0 },
            IdleReason::ControllerSilent { controller: 0, seconds: 1.0 },
            IdleReason::OutsideLimits { joint: 0, position: 9.0 },
        ];
        let codes: BTreeSet<_> = idle.iter().map(IdleReason::code).collect();
        assert_eq!(codes.len(), idle.len());
        assert!(codes.iter().all(|code| CODES.iter().any(|known| known.code == *code)));
        for stop in stops() {
            let code = stop.code();
            assert_eq!(IdleReason::Latched(stop.clone()).code(), code);
            assert_eq!(OfferRefusal::Stopped(stop).code(), code);
        }
    }

    #[test]
    fn a_monitor_has_the_code_that_it_gives() {
        let monitor = "m";
        assert_eq!(StopReason::Monitor { monitor, reason: own(), latch: Latch::UntilRest }.code(), "of_its_own");
        assert_eq!(IdleReason::Monitor { monitor, reason: own() }.code(), "of_its_own");
        assert_eq!(OfferRefusal::Monitor { monitor, reason: own() }.code(), "of_its_own");
    }

    #[test]
    fn what_slows_down_reads_the_same_for_all_who_tell_of_it() {
        let all = [
            PathLimit::Velocity { joint: 1 },
            PathLimit::Acceleration { joint: 1 },
            PathLimit::Jerk { joint: 1 },
            PathLimit::ToolSpeed,
            PathLimit::Scale,
            PathLimit::StaleObservation,
            PathLimit::Space,
            PathLimit::Rejoining,
            PathLimit::Monitor("m"),
        ];
        for (i, limit) in all.iter().enumerate() {
            // The numbers that bags have: never given anew.
            assert_eq!(usize::from(limit.number()), i + 1, "{limit:?}");
            assert_eq!(limit.code(), LIMITED_BY[i + 1].code);
        }
        let words: Vec<String> = all.iter().map(|limit| limit.in_words(|joint| format!("j{joint}"))).collect();
        assert_eq!(words[0], "velocity of 'j1'");
        assert_eq!((words[3].as_str(), words[4].as_str()), ("speed of the tool", "speed_scale"));
        assert_eq!(words[8], "monitor 'm'");
    }
}
