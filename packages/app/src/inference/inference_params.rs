//! Parameters of the node that runs the policy.

use crate::cores::MOST_CORES;
use crate::inference::proposers;
use crate::joint_states;
use crate::param_rules as rules;
use crate::setup::{instruction_heartbeat_spec, policy_specs, robot_specs};
use crate::trace;
use efm_config::{Params, Spec};
use efm_policy::imagine;
use efm_schedule::Mode;

/// Parameters of `vla_inference`.
pub fn specs() -> Vec<Spec> {
    let mut specs = policy_specs();
    specs.extend(robot_specs());
    specs.push(trace::spec());
    specs.extend(joint_states::specs());
    specs.extend([
        Spec::texts(
            "cameras",
            &[],
            "Cameras that this robot has; a policy that needs another one is refused. Empty: not compared.",
        ),
        instruction_heartbeat_spec(),
        Spec::bool("enabled_at_start", true, "Whether chunks are proposed at once; ~/enable changes it."),
        Spec::double("max_image_age", 0.5, "Oldest picture that is worked on.").unit("s").range(0.01, 10.0),
        Spec::double("max_image_silence", 0.5, "Longest silence of a camera.").unit("s").range(0.01, 10.0),
        Spec::double(
            "max_image_skew",
            0.02,
            "How far apart the pictures of several cameras may be stamped; after 0.1 s without such a set they are taken as they come.",
        )
        .unit("s")
        .range(0.0, 1.0),
        Spec::double(
            "max_unseen_motion",
            0.1,
            "How far a joint may move while a camera's picture stays the same to the bit: a camera that hangs is refused by it. More, or 0, \
             where a camera without noise does not see the arm.",
        )
        .unit("rad or m")
        .range(0.001, 10.0)
        .or_zero("any"),
        Spec::double("max_joint_state_age", 0.2, "Oldest joint state that is worked on.").unit("s").range(0.001, 10.0),
        Spec::double("max_future", 0.05, "How far in the future a stamp may lie.").unit("s").range(0.0, 1.0),
        Spec::integer("threads", 1, "Threads that inference may use.").range(1.0, 64.0).rule(rules::THREADS),
        Spec::integers(
            "inference_cores",
            &[],
            "Processor cores that inference keeps to, as the operating system counts them. Each once, and one that is there. Empty: all.",
        )
        .range(0.0, MOST_CORES)
        .rule(rules::INFERENCE_CORES),
        Spec::text("execution_provider", "cpu", "What runs the graphs, where ONNX Runtime here has it.")
            .choices(&["cpu", "cuda", "tensorrt", "openvino"]),
        Spec::text(
            "mode",
            "blend",
            "How one chunk follows another, as trajectory_publisher is told: in rtc a policy that denoises is guided by what is left of the \
             chunk that is followed (from execution_state), so that the new one goes on from it.",
        )
        .choices(&Mode::NAMES),
        Spec::text(
            "proposer",
            "policy",
            "Who makes chunks: policy asks the policy once; best_of asks it for several (candidates), has their outcome imagined (world_model) \
             and takes the one that moves the joints least, which is a smoother motion and not a better one.",
        )
        .choices(proposers::names()),
        Spec::integer("candidates", 4, "Chunks that best_of chooses from; each takes as long as one of policy.").range(1.0, 64.0),
        Spec::text("world_model", "kinematic", "What best_of imagines the outcome of a chunk with; kinematic: joints go where they are sent.")
            .choices(imagine::names()),
        Spec::bool(
            "try_policy",
            true,
            "Whether a policy is tried out before it is used: loaded and its worked example run in a process of its own, with bounds. Without that an \
             endless graph hangs this node.",
        ),
        Spec::integer("trial_memory", 0, "Memory that a policy may take while it is tried out.")
            .unit("MB")
            .range(16.0, 1e6)
            .or_zero("three times the size of its files, and 1 GiB"),
        Spec::integer("trial_cpu_time", 0, "Processor time that a policy may take while it is tried out.")
            .unit("s")
            .range(1.0, 1e5)
            .or_zero("6 s, and 1 s for each 20 MiB of its files"),
        Spec::integer("trial_time", 0, "Time that a policy may take while it is tried out; waiting for a core does not count.")
            .unit("s")
            .range(1.0, 1e5)
            .or_zero("9 s, and 1 s for each 10 MiB of its files"),
        Spec::texts(
            "allow_operators",
            &[],
            "Operators of ONNX that a policy's graphs may have besides those that end by themselves: Loop, or domain:name; * for any.",
        )
        .rule(rules::OPERATORS),
        Spec::integer("noise_seed", 0, "Seed of the noise of the first chunk; each further chunk adds 1.")
            .range(0.0, 9e15),
    ]);
    specs
}

/// For how long joint states are kept, s: those at the time of the oldest picture that is worked on, and `look_back` seconds before it, are asked for.
pub fn joint_memory(params: &Params, look_back: f64) -> f64 {
    /// At least.
    const USUAL: f64 = 3.0;
    USUAL.max(look_back + params.double("max_image_age") + 1.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn joint_states_are_kept_for_as_long_as_a_picture_may_be_old() {
        let memory = |age: f64, look_back| {
            let params = json!({"policy": "p", "joint_limits_file": "l", "max_image_age": age});
            let params = Params::from_json(specs(), &serde_json::from_value(params).unwrap()).unwrap();
            joint_memory(&params, look_back)
        };
        assert_eq!(memory(0.5, 0.0), 3.0);
        for (age, look_back) in [(5.0, 0.0), (10.0, 2.0), (0.5, 4.0)] {
            assert!(memory(age, look_back) > age + look_back);
        }
    }
}
