//! What must hold of the nodes' parameters together, beyond what each of them may be by itself. What depends on the robot (whether a link or a joint is
//! there, and within which limits) is judged with its description.

use crate::publisher::streaming_params::task_rules;
use crate::surroundings::{fixed_joints, named_workspace, tool_is_named, workspace_is_checked};
use efm_config::codes::{contradict, wrong};
use efm_config::files::Packages;
use efm_config::{Params, Rule};
use efm_core::reading::listed;
use efm_core::words::StopWords;
use efm_core::{JointNames, Reason};
use efm_policy::Operators;
use efm_safety::bounds::COMMITTED_PERIODS;

/// What is committed and the spacing of points.
pub const COMMITTED: Rule = Rule::new(
    "At least one and a half times the spacing of points, which is 1 / `rate`.",
    &["rate"],
    |params| {
        let (committed, rate) = (params.double("committed"), params.double("rate"));
        let least = COMMITTED_PERIODS * (1.0 / rate);
        if committed >= least {
            return Ok(());
        }
        let remedy = format!(
            "with 'rate' at {rate} Hz it must be at least {least} s, one and a half times the spacing of points"
        );
        Err(contradict(format!("parameter 'committed' is {committed} s"), remedy))
    },
    &[r#"{"committed": 0.014}"#, r#"{"committed": 0.0299, "rate": 50.0}"#, r#"{"committed": 0.0015, "rate": 999.0}"#],
);

/// The link of what holds for the tool.
pub const TOOL_LINK: Rule = Rule::new(
    "Must be named where `workspace` or `max_tool_speed` is set.",
    &["workspace", "max_tool_speed"],
    tool_is_named,
    &[r#"{"max_tool_speed": 0.25}"#, r#"{"workspace": [-1.0, -1.0, 0.0, 1.0, 1.0, 1.0]}"#],
);

/// The form of the workspace.
pub const WORKSPACE: Rule = Rule::new(
    "Six numbers, each greatest above its least.",
    &[],
    |params| named_workspace(params).map(drop),
    &[
        r#"{"workspace": [0.0, 0.0, 0.0, 1.0, 1.0], "tool_link": "tool"}"#,
        r#"{"workspace": [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0], "tool_link": "tool"}"#,
        r#"{"workspace": [0.0, 0.0, 1.0, 1.0, 1.0, 0.0], "tool_link": "tool"}"#,
        r#"{"workspace": [0.0, 0.5, 0.0, 1.0, 0.5, 1.0], "tool_link": "tool"}"#,
    ],
);

/// Without collision checking nothing looks at the workspace.
pub const WORKSPACE_IS_CHECKED: Rule = Rule::new(
    "Needs `check_collisions`.",
    &["check_collisions"],
    workspace_is_checked,
    &[r#"{"workspace": [0.0, 0.0, 0.0, 1.0, 1.0, 1.0], "tool_link": "tool", "check_collisions": false}"#],
);

/// The names of operators.
pub const OPERATORS: Rule = Rule::new(
    "Names of operators, or *.",
    &[],
    |params| {
        let named = Operators::also(&params.texts("allow_operators"));
        named.map(drop).map_err(|problem| wrong(format!("parameter 'allow_operators': {problem}"), ""))
    },
    &[r#"{"allow_operators": ["a loop"]}"#, r#"{"allow_operators": ["com.microsoft:"]}"#],
);

/// The form of packages.
pub const PACKAGES: Rule = Rule::new(
    "Each name once, with a folder behind the '='.",
    &[],
    |params| Packages::of(params).map(drop),
    &[
        r#"{"packages": ["arm"]}"#,
        r#"{"packages": ["=/opt"]}"#,
        r#"{"packages": ["arm="]}"#,
        r#"{"packages": ["arm=/a", "arm=/b"]}"#,
    ],
);

/// The form of arguments of xacro.
pub const XACRO_ARGUMENTS: Rule = Rule::new(
    "NAME:=VALUE.",
    &[],
    |params| {
        let is_one = |argument: &String| {
            argument.split_once(":=").is_some_and(|(name, _)| !name.is_empty() && !name.starts_with('-'))
        };
        match params.texts("xacro_arguments").iter().find(|argument| !is_one(argument)) {
            Some(other) => {
                let other = efm_core::reading::beginning(other, 80);
                Err(wrong(
                    format!("parameter 'xacro_arguments': '{other}' is no argument of xacro"),
                    "wanted: NAME:=VALUE",
                ))
            }
            None => Ok(()),
        }
    },
    &[
        r#"{"xacro_arguments": ["ur5e"]}"#,
        r#"{"xacro_arguments": ["-o:=/tmp/a"]}"#,
        r#"{"xacro_arguments": [":=ur5e"]}"#,
    ],
);

/// The form of fixed joints.
pub const FIXED_JOINTS: Rule = Rule::new(
    "Each once, with a finite number.",
    &[],
    |params| fixed_joints(params).map(drop),
    &[
        r#"{"fixed_joints": ["rail"]}"#,
        r#"{"fixed_joints": ["rail=up"]}"#,
        r#"{"fixed_joints": ["rail=nan"]}"#,
        r#"{"fixed_joints": ["rail=inf"]}"#,
        r#"{"fixed_joints": ["=0.1"]}"#,
        r#"{"fixed_joints": ["rail=0.1", " rail = 0.1"]}"#,
    ],
);

/// A joint is fixed, or it is moved.
pub const FIXED_IS_NOT_MOVED: Rule = Rule::new(
    "None that a controller moves.",
    &["controllers"],
    |params| {
        // What is no form of it is said by another rule.
        let fixed = fixed_joints(params).unwrap_or_default();
        match moved(params).into_iter().find(|joint| fixed.contains_key(joint)) {
            Some(joint) => Err(contradict(
                format!("parameter 'fixed_joints': '{joint}' is moved by a controller (parameter 'controllers')"),
                "take it out",
            )),
            None => Ok(()),
        }
    },
    &[r#"{"controllers.arm_controller": ["j1", "j2"], "fixed_joints": ["rail=0.0", "j2=0.0"]}"#],
);

/// Names of joints and of controllers.
pub const CONTROLLERS: Rule = Rule::new(
    "No joint stands twice. A name is one of a topic: letters, digits, `_` and `/`.",
    &[],
    |params| {
        let mut seen: Vec<(String, String)> = Vec::new();
        for (name, joints) in params.lists("controllers") {
            let of = |what: String| format!("parameter 'controllers.{name}': {what}");
            if !is_of_a_topic(&name) {
                let text = of("it is commanded on a topic, so its name must be of letters, digits, '_' and '/', without a digit at the beginning".to_owned());
                return Err(wrong(text, ""));
            }
            for joint in JointNames::new(joints).map_err(|error| wrong(of(error.to_string()), ""))?.iter() {
                if let Some((_, other)) = seen.iter().find(|(known, _)| known == joint) {
                    let text = of(format!("joint '{joint}' is moved by '{other}' already"));
                    return Err(wrong(text, "each joint has one controller"));
                }
                seen.push((joint.to_owned(), name.clone()));
            }
        }
        Ok(())
    },
    &[
        r#"{"controllers.arm_controller": ["j1", "j1"]}"#,
        r#"{"controllers.arm_controller": ["j1", ""]}"#,
        r#"{"controllers.arm_controller": ["j1"], "controllers.hand": ["j2", "j1"]}"#,
        r#"{"controllers.my-arm": ["j1"]}"#,
        r#"{"controllers.2nd": ["j1"]}"#,
    ],
);

/// Grippers are moved, too.
pub const GRIPPER_JOINTS: Rule = Rule::new(
    "Each of them a joint of `controllers`.",
    &["controllers"],
    |params| {
        let moved = moved(params);
        match params.texts("gripper_joints").into_iter().find(|joint| !moved.contains(joint)) {
            Some(joint) => Err(contradict(
                format!("parameter 'gripper_joints': '{joint}' is moved by no controller"),
                format!("the joints of 'controllers' are: {}", listed(&moved, "none")),
            )),
            None => Ok(()),
        }
    },
    &[
        r#"{"controllers.arm_controller": ["j1"], "gripper_joints": ["finger"]}"#,
        r#"{"controllers.arm_controller": ["j1"], "gripper_joints": ["j1", ""]}"#,
    ],
);

/// The form of tasks' limits.
pub const TASK_LIMITS: Rule = Rule::new(
    "",
    &[],
    |params| task_rules(params).map(drop),
    &[
        r#"{"task_limits.pour": ["pour"]}"#,
        r#"{"task_limits.pour": ["", "speed_scale=0.1"]}"#,
        r#"{"task_limits.pour": ["pour", "speed_scale=1.1"]}"#,
        r#"{"task_limits.pour": ["pour", "speed_scale=nan"]}"#,
        r#"{"task_limits.pour": ["pour", "max_tool_speed=0", "speed_scale=1"], "tool_link": "tool"}"#,
        r#"{"task_limits.pour": ["pour", "max_tool_speed=inf"], "tool_link": "tool"}"#,
        r#"{"task_limits.pour": ["pour", "slowly"]}"#,
    ],
);

/// The tool whose speed a task limits.
pub const TASK_LIMITS_OF_A_TOOL: Rule = Rule::new(
    "A `max_tool_speed` needs the parameter `tool_link`.",
    &["tool_link"],
    |params| {
        let of_a_tool = |(_, list): &(String, Vec<String>)| {
            list.iter().any(|limit| limit.trim_start().starts_with("max_tool_speed"))
        };
        let limited = params.lists("task_limits").into_iter().find(of_a_tool);
        match limited.filter(|_| params.text("tool_link").is_empty()) {
            Some((name, _)) => Err(contradict(
                format!("parameter 'task_limits.{name}' has a max_tool_speed, but 'tool_link' is empty"),
                "it must name the link that this holds for",
            )),
            None => Ok(()),
        }
    },
    &[r#"{"task_limits.pour": ["pour", "max_tool_speed=0.1"]}"#],
);

/// A list of processor cores without repetition. Whether they are there is seen by the node, as it depends on the machine.
fn distinct(params: &Params, name: &str) -> Result<(), Reason> {
    let cores = params.integers(name);
    match cores.iter().enumerate().find(|(place, core)| cores[..*place].contains(core)) {
        Some((_, core)) => {
            let remedy = format!("it must list each core once, and core {core} stands there twice");
            Err(wrong(format!("parameter '{name}' is {cores:?}"), remedy))
        }
        None => Ok(()),
    }
}

/// Cores of the node that moves the robot.
pub const CONTROL_CORES: Rule =
    Rule::new("", &[], |params| distinct(params, "control_cores"), &[r#"{"control_cores": [0, 1, 0]}"#]);

/// Cores of inference.
pub const INFERENCE_CORES: Rule =
    Rule::new("", &[], |params| distinct(params, "inference_cores"), &[r#"{"inference_cores": [3, 3]}"#]);

/// Threads have a core each.
pub const THREADS: Rule = Rule::new(
    "At most as many as `inference_cores` lists, where it lists any.",
    &["inference_cores"],
    |params| {
        let (threads, cores) = (params.integer("threads"), params.integers("inference_cores").len());
        if cores == 0 || usize::try_from(threads).is_ok_and(|threads| threads <= cores) {
            return Ok(());
        }
        let remedy = format!("it must be at most {cores}, as 'inference_cores' lists so many");
        Err(contradict(format!("parameter 'threads' is {threads}"), remedy))
    },
    &[r#"{"threads": 2, "inference_cores": [0]}"#, r#"{"threads": 64, "inference_cores": [0, 1, 2]}"#],
);

/// The phrases that ask to stop.
pub const STOP: Rule = Rule::new(
    "",
    &[],
    |params| match StopWords::new(
        &params.texts("stop_words").into_iter().filter(|phrase| !phrase.is_empty()).collect::<Vec<_>>(),
    ) {
        Ok(_) => Ok(()),
        Err(error) => {
            let remedy = "a phrase is one or more words, three dots may follow";
            Err(wrong(format!("parameter 'stop_words': {error}"), remedy))
        }
    },
    &[r#"{"stop_words": ["stop", "..."]}"#, r#"{"stop_words": ["stop", "!?"]}"#, r#"{"stop_words": ["  ", "stop"]}"#],
);

/// All joints of the controllers.
fn moved(params: &Params) -> Vec<String> {
    params.lists("controllers").into_iter().flat_map(|(_, joints)| joints).collect()
}

/// Whether a topic's name may begin with it.
fn is_of_a_topic(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    name.strip_prefix('/').unwrap_or(name).split('/').all(is_part)
}
