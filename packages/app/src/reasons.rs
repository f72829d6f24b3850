//! Reasons for machines: the stable words of what nodes refuse, and of what the arm does. Those of the filter are in [`efm_safety::codes`], those of
//! sentences in [`efm_core::words::codes`], those of parameters in [`efm_config::codes`].
//!
//! `docs/codes.md` is written from all lists.

use efm_core::freshness::Unfresh;
use efm_core::{Code, Level, Reason, Text};
use efm_safety::{Names, OfferRefusal};

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
    FILE_UNREADABLE = "file_unreadable", "a file that a parameter names cannot be read";
    JOINT_LIMITS_WRONG = "joint_limits_wrong", "`joint_limits_file` cannot be used";
    POLICY_NOT_FOUND = "policy_not_found", "there is no such policy package";
    POLICY_MANIFEST_WRONG = "policy_manifest_wrong", "the manifest of the policy package cannot be used";
    POLICY_DOES_NOT_FIT = "policy_does_not_fit", "the policy package cannot be loaded, or does not fit the robot";
    POLICY_OUT_OF_BOUNDS = "policy_out_of_bounds", "the policy package was tried out and took more than it may, or did not end well";
    POLICY_BEING_OPENED = "policy_being_opened", "the policy is being opened";
    POLICY_IS_KNOWN = "policy_is_known", "the manifest of the policy package is read";
    POLICY_NOT_ACTIVE = "policy_not_active", "the policy is not active";
    RANGES_NOT_COMPARED = "ranges_not_compared", "the policy package keeps joints from being compared with the robot's limits";
    PROPOSER_DOES_NOT_FIT = "proposer_does_not_fit", "the proposer cannot be used with this policy";
    PROPOSING = "proposing", "action chunks are proposed";
    INFERENCE_DISABLED = "inference_disabled", "no action chunks are proposed; `~/enable` allows it";
    INFERENCE_FAILED = "inference_failed", "the policy made no action chunk";
    NO_POLICY_OPEN = "no_policy_open", "no policy is open";
    NO_CANDIDATE = "no_candidate", "of several action chunks none could be made";
    CHUNK_OF_NO_LOOK = "chunk_of_no_look", "the proposer's action chunk is not for the look that it was asked for";
    INSTRUCTION_NOT_EMBEDDED = "instruction_not_embedded", "the policy has no embedding of the instruction";
    FRESH = "fresh", "what comes is fresh and complete";
    IMAGE_MISSING = "image_missing", "no picture of the camera has come yet";
    IMAGE_SILENT = "image_silent", "the camera is silent";
    IMAGE_OLD = "image_old", "the camera's picture is too old";
    IMAGE_FROM_THE_FUTURE = "image_from_the_future", "the camera's picture lies in the future: the clocks do not agree";
    IMAGE_UNSTAMPED = "image_unstamped", "the camera's picture has no stamp";
    IMAGE_OF_ANOTHER_FORM = "image_of_another_form", "the camera's picture has another encoding or size than the policy takes";
    IMAGE_UNREADABLE = "image_unreadable", "the camera's picture cannot be read";
    IMAGE_ENCODING_CHANGED = "image_encoding_changed", "the camera changed its encoding";
    IMAGE_SIZE_CHANGED = "image_size_changed", "the camera changed the size of its pictures";
    IMAGE_GREY = "image_grey", "the camera's pictures have no colours, and the policy takes colour";
    IMAGES_MIXED = "images_mixed", "several cameras send on one topic";
    IMAGE_FROZEN = "image_frozen", "the camera's picture stays the same to the bit while joints move";
    IMAGE_SCALE_UNKNOWN = "image_scale_unknown", "the camera's pictures have more than 8 bits, and nobody said how bright they are";
    CAMERA_DIFFERS = "camera_differs", "the camera is not as the one that the policy was trained with";
    CAMERA_INFO_MISSING = "camera_info_missing", "nobody publishes the camera's `camera_info`, so that it cannot be compared with what the policy was trained with";
    IMAGE_PASSED_ON = "image_passed_on", "the camera's pictures are passed on";
    MESSAGE_UNREADABLE = "message_unreadable", "what came is no message of its type";
    SILENT = "silent", "nothing has come for longer than may be";
    GOAL_ACTIVE = "goal_active", "a goal is active";
    GOAL_ORPHANED = "goal_orphaned", "`goal_intake` ended while the goal was active, and keeps it no more";
    GOALS_NOT_KEPT = "goals_not_kept", "the file of `goal_intake` cannot be used: a goal that is active when it dies is not told of";
    SUPERVISOR_SILENT = "supervisor_silent", "`goal_intake` is not heard any more, so that nobody could cancel: its goal counts as taken back";
    SCENE_UNREADABLE = "scene_unreadable", "a planning scene cannot be read, or is lost";
    SCENE_UNCLEAR = "scene_unclear", "a planning scene has something that cannot be placed or understood; the text names it";
    SCENE_WAITS = "scene_waits", "a planning scene waits to be put together";
    NOT_RECORDED = "not_recorded", "in a replay: the action chunk is not in the bag";
}

/// All codes of the house: those here, of the filter, of sentences, and of parameters.
pub fn all() -> impl Iterator<Item = &'static Code> {
    [CODES, efm_safety::codes::CODES, efm_core::words::codes::CODES, efm_config::codes::CODES].into_iter().flatten()
}

/// Whether a code is one of the house. Monitors and proposers of others have their own.
pub fn is_listed(code: &str) -> bool {
    all().any(|known| known.code == code)
}

/// Whether a chunk was refused as nobody could follow it, whenever it came: `max_bad_chunks` of them in a row stop the robot.
pub fn is_nonsense(code: &str) -> bool {
    use efm_safety::codes::{CHUNK_JOINT_MISSING, CHUNK_JOINT_UNKNOWN, CHUNK_OUT_OF_REACH, CHUNK_STEP_TIME};
    [CHUNK_MALFORMED, CHUNK_NOT_FINITE, CHUNK_JOINT_MISSING, CHUNK_JOINT_UNKNOWN, CHUNK_STEP_TIME, CHUNK_OUT_OF_REACH]
        .contains(&code)
}

/// Why something that was asked for is not done, and what to do.
pub fn refused(code: &'static str, text: impl Into<Text>, remedy: impl Into<Text>) -> Reason {
    Reason::new(code, Level::Warn, text, remedy)
}

/// What cannot work before somebody has changed something, and what.
pub fn wrong(code: &'static str, text: impl Into<Text>, remedy: impl Into<Text>) -> Reason {
    Reason::new(code, Level::Error, text, remedy)
}

/// What is told of several things that are wrong where a person reads it in passing, characters.
const IN_PASSING: usize = 300;

/// The beginning of what is told of several things that are wrong; the whole of it goes to the log.
pub fn in_passing(whole: &str) -> String {
    if whole.chars().count() <= IN_PASSING {
        return whole.to_owned();
    }
    log::error!("{whole}");
    format!("{} (all of it is in the log)", efm_core::reading::beginning(whole, IN_PASSING))
}

/// Why the filter does not take a chunk.
pub fn not_taken(refusal: &OfferRefusal, names: &Names<'_>) -> Reason {
    let remedy = match refusal {
        OfferRefusal::Monitor { monitor, reason } => {
            return refused(reason.code, format!("monitor '{monitor}': {}", reason.text), reason.remedy.clone());
        }
        OfferRefusal::Disarmed => "call ~/arm",
        OfferRefusal::Stopped(_) | OfferRefusal::Chunk(_) => "",
    };
    refused(refusal.code(), refusal.in_words(names), remedy)
}

/// A reason's code as the diagnostics have it: beside the words.
pub fn coded(code: &str) -> (String, String) {
    ("code".to_owned(), code.to_owned())
}

/// A picture that is not fresh; `camera` is who sends it, in words.
pub fn unfresh(camera: impl std::fmt::Display, why: &Unfresh) -> Reason {
    let (code, remedy) = match why {
        Unfresh::Never => (IMAGE_MISSING, ""),
        Unfresh::Silent(_) => (IMAGE_SILENT, ""),
        Unfresh::Stale(_) => (IMAGE_OLD, ""),
        Unfresh::Future(_) => (IMAGE_FROM_THE_FUTURE, "check the clocks of both machines"),
        Unfresh::Unstamped => (IMAGE_UNSTAMPED, ""),
    };
    wrong(code, format!("{camera}{why}"), remedy)
}
