//! Reasons for machines: the stable words of what nodes refuse, and of what the arm does. Those of the filter are in [`efm_safety::codes`].
//!
//! `docs/codes.md` is written from both lists.

use efm_core::{Level, Reason, Text};

efm_core::codes! {
    FOLLOWING = "following", "action chunks are followed";
    FOLLOWING_SLOWLY = "following_slowly", "action chunks are followed, but hardly anything moves: a scale or a monitor holds the speed down";
    HELD_WHERE_IT_STANDS = "held_where_it_stands", "the robot did not do what it was sent: it is sent to where it stands";
    GOAL_OF_ANOTHER = "goal_of_another", "a goal of somebody else is active on a controller";
    NO_ROBOT_DESCRIPTION = "no_robot_description", "no robot description has come yet";
    DESCRIPTION_DOES_NOT_FIT = "description_does_not_fit", "the robot description, or what is configured for it, does not fit";
    DESCRIPTION_WAITS = "description_waits", "another robot description is not taken while armed or in motion";
    JOINT_STATES_UNUSABLE = "joint_states_unusable", "joint states are missing, old, incomplete or contradictory; the text has the joint and the sender";
    SURROUNDINGS_UNKNOWN = "surroundings_unknown", "it is not known what stands around";
    CLOCK_SILENT = "clock_silent", "`/clock` is silent, from which time comes";
    NO_GOAL = "no_goal", "there is no instruction";
    NO_CHUNK_YET = "no_chunk_yet", "no action chunk has come yet";
    CHUNKS_REFUSED = "chunks_refused", "action chunks come and are refused: see `last refusal code`";
    CHUNKS_SILENT = "chunks_silent", "no action chunk has come for a second or longer";
    NO_NEWER_CHUNK = "no_newer_chunk", "no newer action chunk can be followed";
    CHUNK_MALFORMED = "chunk_malformed", "the message is no action chunk: names, widths or times do not fit together";
    CHUNK_NOT_FINITE = "chunk_not_finite", "the action chunk holds a value that is no number";
    CHUNK_OF_ANOTHER_SENDER = "chunk_of_another_sender", "the action chunks of another publisher are followed";
    CHUNK_BEFORE_REST = "chunk_before_rest", "the action chunk was made from an observation before the arm came to rest";
    CHUNK_OF_ANOTHER_GOAL = "chunk_of_another_goal", "the action chunk was made for an instruction that is not followed any more";
    GOAL_FINISHES_FIRST = "goal_finishes_first", "the chunk in use is followed to its end before the next instruction is";
    GOAL_STOPS_FIRST = "goal_stops_first", "the arm comes to rest before the next instruction is followed";
    SPEED_SCALE = "speed_scale", "the speed scale is no part of one";
    TASK_LIMITS = "task_limits", "the task limits of an instruction cannot be kept";
    HEARTBEAT_SILENT = "heartbeat_silent", "`emergency_stop` must be heard regularly, and is not";
    NOT_RECORDED = "not_recorded", "in a replay: the action chunk is not in the bag";
}

/// Whether a code is in one of the lists: here, or of the filter. Monitors of others have their own.
pub fn is_listed(code: &str) -> bool {
    CODES.iter().chain(efm_safety::codes::CODES).any(|known| known.code == code)
}

/// Whether a chunk was refused as nobody could follow it, whenever it came: `max_bad_chunks` of them in a row stop the robot.
pub fn is_nonsense(code: &str) -> bool {
    use efm_safety::codes::{CHUNK_JOINT_MISSING, CHUNK_JOINT_UNKNOWN, CHUNK_OUT_OF_REACH, CHUNK_STEP_TIME};
    [CHUNK_MALFORMED, CHUNK_NOT_FINITE, CHUNK_JOINT_MISSING, CHUNK_JOINT_UNKNOWN, CHUNK_STEP_TIME, CHUNK_OUT_OF_REACH]
        .contains(&code)
}

/// Why something that was asked for is not done; the text says what to do as well.
pub fn refused(code: &'static str, text: impl Into<Text>) -> Reason {
    Reason::new(code, Level::Warn, text, Text::default())
}

/// What cannot work before somebody has changed something; the text says what.
pub fn wrong(code: &'static str, text: impl Into<Text>) -> Reason {
    Reason::new(code, Level::Error, text, Text::default())
}
