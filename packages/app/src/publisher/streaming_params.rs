//! Parameters of the publisher of trajectories, and what they mean to the filter.

use crate::cores::MOST_CORES;
use crate::joint_states;
use crate::param_rules as rules;
use crate::setup::{instruction_heartbeat_spec, robot_specs};
use crate::surroundings::{self, max_tool_speed};
use crate::trace;
use efm_config::codes::wrong;
use efm_config::{Params, Spec};
use efm_core::Reason;
use efm_safety::{StreamConfig, TaskLimits, bounds};
use efm_schedule::{ACT_DECAY, LEAST_BLEND_S, Mode, OnNewGoal};
use std::time::Duration;

/// Parameters of `trajectory_publisher`.
pub fn specs() -> Vec<Spec> {
    let mut specs = robot_specs();
    specs.extend(surroundings::specs());
    specs.push(trace::spec());
    specs.extend(joint_states::specs());
    // Of a pair: what `StreamConfig` takes.
    let within = |spec: Spec, (least, most): (f64, f64)| spec.range(least, most);
    specs.extend([
        Spec::lists("controllers", &[], "Joints of each controller; it is commanded on <name>/joint_trajectory.")
            .required()
            .example(r#"{"arm_controller": ["joint_1", "joint_2", "joint_3", "joint_4", "joint_5", "joint_6"]}"#)
            .rule(rules::CONTROLLERS),
        Spec::texts("gripper_joints", &[], "Joints that open and close a gripper: no jerk limit, may hold something.")
            .rule(rules::GRIPPER_JOINTS),
        Spec::double("rate", 100.0, "Windows a second, and points a second within them.")
            .unit("Hz")
            .range(1.0 / bounds::PERIOD_S.1, 1.0 / bounds::PERIOD_S.0),
        Spec::bool(
            "armed_at_start",
            false,
            "Whether motion is allowed at once. On a real robot: false, and call ~/arm.",
        ),
        instruction_heartbeat_spec(),
        Spec::text(
            "emergency_stop_file",
            crate::state_file::AUTO,
            "File that keeps an emergency stop until ~/arm, so that it outlives this process. auto: one for this node in $XDG_STATE_HOME/embodied_fm \
             or ~/.local/state/embodied_fm. Empty: none.",
        ),
        Spec::double(
            "emergency_stop_heartbeat",
            0.0,
            "Longest silence of the topic emergency_stop while armed: a longer one is an emergency stop.",
        )
        .unit("s")
        .range(0.01, 60.0)
        .or_zero("any"),
        Spec::double("max_chunk_age", 1.0, "Oldest observation whose action chunk is still taken.")
            .unit("s")
            .range(0.01, 60.0),
        within(
            Spec::double("max_joint_state_age", 0.1, "Oldest joint state that motion relies on.").unit("s"),
            bounds::MAX_JOINT_STATE_AGE_S,
        ),
        within(
            Spec::double(
                "max_joint_state_gap",
                0.5,
                "Longest time without joint states in motion (since the last were measured) that ends by itself: the arm rests, and once they agree that it is \
                 where it was commanded, the next chunk is followed. A longer one is latched until ~/resume, and so is the third within 10 s.",
            )
            .unit("s"),
            (0.01, bounds::MAX_JOINT_STATE_GAP_S.1),
        )
        .or_zero("every one is latched"),
        Spec::double("max_future", 0.05, "How far in the future a stamp may lie.").unit("s").range(0.0, 1.0),
        within(
            Spec::double(
                "max_tracking_error",
                0.2,
                "Largest distance of a joint from its command; beyond it the arm stops.",
            )
            .unit("rad or m"),
            bounds::MAX_TRACKING_ERROR,
        ),
        Spec::double(
            "max_reference_error",
            0.01,
            "Largest distance of a controller's own reference (<controller>/controller_state) from what it was sent, for 0.1 s; beyond it the \
             controller has failed.",
        )
        .unit("rad or m")
        .range(1e-6, 10.0)
        .or_zero("not listened to"),
        within(
            Spec::double(
                "max_start_error",
                0.05,
                "Largest distance from where the last motion ended, to begin there again; and how far outside of its position limits a joint may stand at a start.",
            )
            .unit("rad or m"),
            bounds::MAX_START_ERROR,
        ),
        within(
            Spec::double("max_start_speed", 0.05, "Largest speed that counts as rest.").unit("rad/s or m/s"),
            bounds::MAX_START_SPEED,
        ),
        within(
            Spec::double(
                "max_clock_jump",
                0.05,
                "A tick later than the usual spacing by more than this brings the arm to rest.",
            )
            .unit("s"),
            bounds::MAX_CLOCK_JUMP_S,
        ),
        within(
            Spec::double(
                "window",
                0.06,
                "How far a window goes on before its stop tail begins; a point longer than `committed` where it is not. The arm bridges a silence of this less \
                 `committed` without braking.",
            )
            .unit("s"),
            bounds::WINDOW_S,
        ),
        Spec::integer(
            "ticks_per_point",
            1,
            "Decisions in the time of a point: above 1 chunks and faults take effect sooner; more is sent only where something is new.",
        )
        .range(1.0, 10.0),
        within(
            Spec::double(
                "committed",
                0.03,
                "How far ahead a window is final: longer than transport plus two control periods.",
            )
            .unit("s"),
            bounds::COMMITTED_S,
        )
        .rule(rules::COMMITTED),
        within(
            Spec::double("clock_skew", 0.0, "How far the controllers' clock may be behind ours.").unit("s"),
            bounds::CLOCK_SKEW_S,
        ),
        within(
            Spec::double("limit_share", 0.98, "Part of the limits that following may use; the rest is for braking."),
            bounds::SHARE,
        ),
        within(
            Spec::double(
                "max_observation_age",
                1.0,
                "Age of the observation behind the chunk that is followed, beyond which the arm slows down, to stand still at the chunk's end: two camera \
                 frames and the time that the policy takes.",
            )
            .unit("s"),
            bounds::MAX_OBSERVATION_AGE_S,
        ),
        Spec::integers(
            "control_cores",
            &[],
            "Processor cores that this node keeps to, as the operating system counts them; best others than vla_inference's inference_cores. \
             Each once, and one that is there. Empty: all.",
        )
        .range(0.0, MOST_CORES)
        .rule(rules::CONTROL_CORES),
        Spec::integer(
            "realtime_priority",
            40,
            "Priority among what runs in real time (SCHED_FIFO), where the operating system permits it, so that no load delays what moves the \
             robot; below that of ros2_control's controller manager, which is 50.",
        )
        .range(0.0, 98.0)
        .or_zero("none"),
        within(
            Spec::integer("max_bad_chunks", 3, "Chunks in a row that nobody could follow (values that are no numbers or absurd, other joints, sizes or times), before motion stops for good."),
            bounds::MAX_BAD_CHUNKS,
        ),
        Spec::double(
            "speed_scale",
            1.0,
            "Part of the policy's own speed. Set it to raise or lower; the topic speed_scale only lowers it.",
        )
        .range(0.0, 1.0)
        .dynamic(),
        Spec::lists(
            "task_limits",
            &[],
            "Tighter limits of tasks: <name>: [words of the instruction, speed_scale=<0..1>, max_tool_speed=<m/s above 0>], one limit or both.",
        )
        .example(r#"{"careful": ["pour", "speed_scale=0.3"]}"#)
        .rule(rules::TASK_LIMITS)
        .rule(rules::TASK_LIMITS_OF_A_TOOL),
        Spec::text(
            "mode",
            "blend",
            "How one chunk follows another: blend (by the times that its rows were meant for), rtc (the same; tell vla_inference, too), \
             temporal_ensemble (the mean of all chunks, as ACT has it) or fifo (from its first row on; to compare with).",
        )
        .choices(&Mode::NAMES),
        Spec::double("ensemble_decay", ACT_DECAY, "Mode temporal_ensemble: weight of a chunk over that of the next younger one is e^this.")
            .range(0.0, 10.0),
        Spec::text(
            "on_new_goal",
            "blend",
            "What becomes of the motion when another instruction comes: blend (it goes on until a chunk for the new one takes over), \
             finish_chunk (the chunk in use is followed to its end first) or stop_first (the arm comes to rest first).",
        )
        .choices(&OnNewGoal::NAMES),
        Spec::double("blend_time", 0.15, "Shortest time in which a new chunk is blended in.")
            .unit("s")
            .range(LEAST_BLEND_S, 2.0),
    ]);
    specs
}

/// Time from decision to decision.
pub fn tick_period(params: &Params) -> Duration {
    Duration::from_secs_f64(1.0 / (params.double("rate") * params.integer("ticks_per_point") as f64))
}

/// What the parameters say of planning and streaming.
pub fn stream_config(params: &Params) -> StreamConfig {
    let mut config = StreamConfig {
        period_s: 1.0 / params.double("rate"),
        window_s: params.double("window"),
        committed_s: params.double("committed"),
        clock_skew_s: params.double("clock_skew"),
        max_joint_state_age_s: params.double("max_joint_state_age"),
        max_joint_state_gap_s: params.double("max_joint_state_gap"),
        max_tracking_error: params.double("max_tracking_error"),
        max_start_error: params.double("max_start_error"),
        max_start_speed: params.double("max_start_speed"),
        max_clock_jump_s: params.double("max_clock_jump"),
        share: params.double("limit_share"),
        max_observation_age_s: params.double("max_observation_age"),
        max_bad_chunks: u32::try_from(params.integer("max_bad_chunks")).unwrap_or(u32::MAX),
        max_tool_speed: max_tool_speed(params),
        gripper_joints: params.texts("gripper_joints"),
        ..StreamConfig::default()
    };
    // Declared with choices: no other name gets here.
    config.schedule.mode = match params.text("mode").parse().unwrap_or_default() {
        Mode::TemporalEnsemble { .. } => Mode::TemporalEnsemble { m: params.double("ensemble_decay") },
        mode => mode,
    };
    config.schedule.max_chunk_age_s = params.double("max_chunk_age");
    config.schedule.future_tolerance_s = params.double("max_future");
    config.schedule.blend_s = params.double("blend_time");
    config.schedule.max_blend_s = config.schedule.max_blend_s.max(config.schedule.blend_s);
    config
}

/// The rule for an instruction that comes while another one is followed.
pub fn on_new_goal(params: &Params) -> OnNewGoal {
    params.text("on_new_goal").parse().unwrap_or_default()
}

/// Limits for instructions that hold certain words.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRule {
    words: String,
    limits: TaskLimits,
}

/// The rules of the parameter `task_limits`.
///
/// # Errors
/// When one is not of the form that the parameter's description gives: which one, and why.
pub fn task_rules(params: &Params) -> Result<Vec<TaskRule>, Reason> {
    params.lists("task_limits").into_iter().map(|(name, list)| task_rule(&name, &list)).collect()
}

fn task_rule(name: &str, list: &[String]) -> Result<TaskRule, Reason> {
    let wrong = |what: String| {
        let wanted = "wanted: [words, speed_scale=<0 to 1>, max_tool_speed=<m/s above 0>]";
        wrong(format!("parameter 'task_limits.{name}': {what}"), wanted)
    };
    let [words, limits @ ..] = list else { return Err(wrong("it is empty".to_owned())) };
    if words.trim().is_empty() || limits.is_empty() {
        return Err(wrong(format!("{list:?} lacks words or a limit")));
    }
    let mut rule = TaskRule { words: words.trim().to_lowercase(), limits: TaskLimits::default() };
    for limit in limits {
        let (key, value) = limit.split_once('=').ok_or_else(|| wrong(format!("'{limit}' is no limit")))?;
        let number: f64 = value.trim().parse().map_err(|_| wrong(format!("'{value}' is no number")))?;
        match key.trim() {
            "speed_scale" if (0.0..=1.0).contains(&number) => rule.limits.speed_scale = number,
            "max_tool_speed" if number > 0.0 && number.is_finite() => rule.limits.max_tool_speed = number,
            _ => return Err(wrong(format!("'{limit}' is no limit"))),
        }
    }
    Ok(rule)
}

/// What holds for an instruction: the tightest of all rules whose words it holds, as whole words.
pub fn task_limits(rules: &[TaskRule], instruction: &str) -> TaskLimits {
    let spaced = |text: &str| {
        let words: Vec<String> = text
            .to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect();
        format!(" {} ", words.join(" "))
    };
    let heard = spaced(instruction);
    let fitting = rules.iter().filter(|rule| heard.contains(&spaced(&rule.words)));
    fitting.fold(TaskLimits::default(), |least, rule| tightest(least, rule.limits))
}

/// What holds where two tasks are under way: the tighter of each.
pub fn tightest(one: TaskLimits, other: TaskLimits) -> TaskLimits {
    TaskLimits {
        speed_scale: one.speed_scale.min(other.speed_scale),
        max_tool_speed: one.max_tool_speed.min(other.max_tool_speed),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rule(list: &[&str]) -> Result<TaskRule, Reason> {
        task_rule("r", &list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_tightest_rule_whose_words_are_said_holds() {
        let rules = [
            rule(&["pour", "speed_scale=0.3"]).unwrap(),
            rule(&["the cup", "speed_scale = 0.5", "max_tool_speed=0.1"]).unwrap(),
        ];
        let limits = |scale, speed| TaskLimits { speed_scale: scale, max_tool_speed: speed };
        assert_eq!(task_limits(&rules, "Pour it into the cup!"), limits(0.3, 0.1));
        assert_eq!(task_limits(&rules, "push the cup"), limits(0.5, 0.1));
        assert_eq!(task_limits(&rules, "pouring into the cupboard"), TaskLimits::default());
    }

    #[test]
    fn a_rule_that_is_wrong_is_named() {
        for list in [
            &[][..],
            &["pour"],
            &["", "speed_scale=0.1"],
            &["pour", "speed_scale=2"],
            &["pour", "fast"],
            &["pour", "max_tool_speed=0"],
            &["pour", "max_tool_speed=inf"],
        ] {
            let error = rule(list).unwrap_err();
            assert!(error.text.contains("task_limits.r") && error.remedy.contains("wanted"), "{error}");
        }
    }
}
