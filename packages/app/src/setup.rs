//! What nodes, evaluation and replay are set up from: parameters that several of them have, and what those name.

use crate::param_rules as rules;
use crate::reasons::{self, wrong};
use efm_config::files::Packages;
use efm_config::{Params, Spec};
use efm_core::{Level, Reason, reading};
use efm_policy::{MANIFEST_FILE, Manifest};
use efm_robot::LimitsFile;
use std::path::PathBuf;

/// The parameter that names a robot description file.
fn robot_description_spec() -> Spec {
    Spec::text(
        "robot_description_file",
        "",
        "URDF file of the robot, or a xacro file, which is expanded where the program xacro is installed. Empty: the topic robot_description is listened \
         to (latched).",
    )
}

/// Parameters by which a node finds the files that it is told.
pub fn file_specs() -> Vec<Spec> {
    vec![
        Spec::texts(
            "packages",
            &[],
            "Where packages lie that package:// and model:// name, in parameters and in descriptions: NAME=DIR. Others are looked for in AMENT_PREFIX_PATH, \
             ROS_PACKAGE_PATH, GZ_SIM_RESOURCE_PATH and GAZEBO_MODEL_PATH, and around the description's own file.",
        )
        .rule(rules::PACKAGES),
        Spec::texts(
            "xacro_arguments",
            &[],
            "What xacro is given to expand a description's file.",
        )
        .rule(rules::XACRO_ARGUMENTS),
    ]
}

/// Parameters of a node that needs the robot with its limits.
pub fn robot_specs() -> Vec<Spec> {
    let mut specs = vec![
        robot_description_spec(),
        Spec::text("joint_limits_file", "", "File with velocity, acceleration and jerk limits, in MoveIt's format.")
            .required()
            .example(r#""config/joint_limits.yaml""#),
        Spec::double(
            "default_acceleration",
            0.0,
            "Acceleration limit of joints to which the file gives none (sliding joints in m/s2). What the file gives holds. Motions will use all of it: low is \
             gentle, and stops take longer. 1 is slow for any arm.",
        )
        .unit("rad/s2 or m/s2")
        .range(0.01, 1e4)
        .or_zero("that is an error"),
        Spec::double(
            "default_jerk",
            0.0,
            "Jerk limit of joints to which the file gives none (sliding joints in m/s3). What the file gives holds. Motions will use all of it: low is smooth. \
             5 to 10 times the acceleration limit is usual.",
        )
        .unit("rad/s3 or m/s3")
        .range(0.01, 1e6)
        .or_zero("that is an error"),
    ];
    specs.extend(file_specs());
    specs
}

/// The text of the file that a parameter names, and where the file is; `None` where it names none. A file of xacro is expanded.
///
/// # Errors
/// When the file is not found, cannot be read or expanded.
pub fn named_text(params: &Params, parameter: &str) -> Result<Option<(String, PathBuf)>, Reason> {
    let named = params.text(parameter);
    if named.is_empty() {
        return Ok(None);
    }
    let arguments = params.spec_of("xacro_arguments").map(|_| params.texts("xacro_arguments")).unwrap_or_default();
    let read = Packages::of(params)?.text(&named, reading::DESCRIPTION, &arguments).map_err(|why| {
        Reason::new(reasons::FILE_UNREADABLE, Level::Error, format!("parameter '{parameter}': {why}"), "")
    })?;
    Ok(Some(read))
}

/// The robot description, where a parameter names its file.
///
/// # Errors
/// As [`named_text`].
pub fn description_file(params: &Params) -> Result<Option<String>, Reason> {
    Ok(named_text(params, "robot_description_file")?.map(|(text, _)| text))
}

/// The joint limits from the text of `joint_limits_file`, with `default_acceleration` and `default_jerk` where the file gives none.
///
/// # Errors
/// When something in it is wrong.
pub fn joint_limits(params: &Params, text: &str) -> Result<LimitsFile, Reason> {
    let limits = LimitsFile::parse(text, &params.text("joint_limits_file"))
        .map_err(|error| wrong(reasons::JOINT_LIMITS_WRONG, format!("parameter 'joint_limits_file': {error}"), ""))?;
    let (acceleration, jerk) = (params.double("default_acceleration"), params.double("default_jerk"));
    let limits = if acceleration > 0.0 { limits.with_default_acceleration(acceleration) } else { limits };
    Ok(if jerk > 0.0 { limits.with_default_jerk(jerk) } else { limits })
}

/// The parameters that name a policy package.
pub fn policy_specs() -> Vec<Spec> {
    vec![
        Spec::text("policy", "", "The policy package: its name within models_path, or a path to its folder.")
            .required()
            .example(r#""panda_tabletop_flow""#),
        Spec::texts("models_path", &["models"], "Folders that are searched for policy packages and sentence encoders."),
        wrong_policy_spec(),
    ]
}

/// The parameter that says what becomes of a node whose policy is wrong.
pub fn wrong_policy_spec() -> Spec {
    Spec::text(
        "wrong_policy",
        "exit",
        "What becomes of the node where the policy package cannot be used: exit (it ends with code 1, which ends the launch, too), or stay (it tells \
         so on /diagnostics, and does nothing).",
    )
    .choices(&["exit", "stay"])
}

/// The parameter of a node that follows instructions, by which it watches over who gives them.
pub fn instruction_heartbeat_spec() -> Spec {
    Spec::double(
        "instruction_heartbeat",
        2.0,
        "How long goal_intake may be silent on instruction_heartbeat, where it was heard there, until its instruction counts as taken back.",
    )
    .unit("s")
    .range(0.5, 60.0)
    .or_zero("for ever")
}

/// Whether a node stays although its policy cannot be used.
pub fn stays_with_wrong_policy(params: &Params) -> bool {
    params.text("wrong_policy") == "stay"
}

/// The folders of `models_path`.
pub fn models_path(params: &Params) -> Vec<PathBuf> {
    // What is no list of packages is refused by its rule.
    let packages = Packages::of(params).unwrap_or_default();
    params.texts("models_path").iter().map(|folder| packages.find(folder)).collect()
}

/// The folder of the policy package of this name: of `folders` the first that has it, else the first of `places` that is one.
///
/// # Errors
/// Where it was looked for, when there is no manifest in any.
pub fn policy_package(named: &str, folders: &[PathBuf], places: &[PathBuf]) -> Result<PathBuf, Vec<String>> {
    let mut all: Vec<PathBuf> = folders.iter().map(|folder| folder.join(named)).collect();
    all.extend_from_slice(places);
    let found = all.iter().find(|place| place.join(MANIFEST_FILE).is_file()).cloned();
    found.ok_or_else(|| all.iter().map(|place| place.display().to_string()).collect())
}

/// The folder of the policy package that the parameters name, and its manifest.
///
/// # Errors
/// Where it was looked for, or what is wrong with the manifest.
pub fn policy_manifest(params: &Params) -> Result<(PathBuf, Manifest), Reason> {
    let named = params.text("policy");
    let folder =
        policy_package(&named, &models_path(params), &[Packages::of(params)?.find(&named)]).map_err(|looked| {
            let text = format!("there is no {MANIFEST_FILE} for policy '{named}'; looked in: {}", looked.join(", "));
            wrong(reasons::POLICY_NOT_FOUND, text, "")
        })?;
    let manifest =
        Manifest::read(&folder).map_err(|error| wrong(reasons::POLICY_MANIFEST_WRONG, error.to_string(), ""))?;
    Ok((folder, manifest))
}
