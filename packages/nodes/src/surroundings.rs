//! What the filter knows of the robot's surroundings, from parameters and descriptions.

use crate::files;
use efm_collision::{CollisionModel, CollisionOptions, MeshFiles, Obstacles};
use efm_core::JointNames;
use efm_robot::{RobotModel, Srdf};
use efm_ros::{NodeError, Params, Spec};
use efm_safety::{CollisionSpace, Surroundings, Tool, ToolBounds, Workspace};
use nalgebra::Point3;
use std::path::PathBuf;

/// Parameters of collision checking and of the tool's bounds.
pub fn specs() -> Vec<Spec> {
    vec![
        Spec::bool(
            "check_collisions",
            true,
            "Whether motions are checked against the robot itself and the obstacles, the stop after them included.",
        ),
        Spec::text(
            "robot_description_semantic_file",
            "",
            "SRDF with the pairs of links that need no check. Empty: the topic robot_description_semantic is listened to (latched).",
        ),
        Spec::text(
            "obstacles_file",
            "",
            "Obstacles of the cell, in the words of MoveIt's planning scene. Empty: none.",
        ),
        Spec::double("clearance", 0.01, "Distance that is kept between the robot and everything, m.").range(0.0, 1.0),
        Spec::double("padding", 0.0, "Added to every body of the robot, m.").range(0.0, 1.0),
        Spec::text("tool_link", "", "Link that workspace and max_tool_speed hold for."),
        Spec::doubles(
            "workspace",
            &[],
            "Where the tool may be, in the root link's frame, m: least x, y, z, greatest x, y, z. Empty: anywhere.",
        ),
        Spec::double("max_tool_speed", 0.0, "Greatest speed of the tool, m/s (0.25 is usual beside people). 0: any.")
            .range(0.0, 100.0),
    ]
}

/// The limit of the tool's speed, m/s.
pub fn max_tool_speed(params: &Params) -> f64 {
    let speed = params.double("max_tool_speed");
    if speed > 0.0 { speed } else { f64::INFINITY }
}

/// The text of the file that a parameter names; `None` where it names none.
///
/// # Errors
/// When the file cannot be read.
pub fn named_file(params: &Params, parameter: &str) -> Result<Option<String>, NodeError> {
    let named = params.text(parameter);
    if named.is_empty() {
        return Ok(None);
    }
    let path = files::find(&named);
    let text = std::fs::read_to_string(&path)
        .map_err(|e| format!("parameter '{parameter}': cannot read '{}': {e}", path.display()))?;
    Ok(Some(text))
}

/// Puts together what the filter is to know. `srdf` is the text of an SRDF, where there is one.
///
/// # Errors
/// When a description or a parameter does not fit the robot: which one, and why.
pub fn surroundings(
    model: &RobotModel,
    srdf: Option<&str>,
    joints: &JointNames,
    obstacles: &Obstacles,
    params: &Params,
) -> Result<Surroundings, NodeError> {
    let (link, max_speed) = (params.text("tool_link"), max_tool_speed(params));
    let workspace = workspace(&params.doubles("workspace"))?;
    if link.is_empty() && (workspace.is_some() || max_speed.is_finite()) {
        return Err("parameter 'tool_link' must name the link that 'workspace' and 'max_tool_speed' hold for".into());
    }
    let tool = match link.as_str() {
        "" => None,
        link => Some(Tool::new(model, link, joints).map_err(|e| format!("parameter 'tool_link': {e}"))?),
    };
    let bounds = tool.clone().map(|tool| ToolBounds { tool, workspace, max_speed });
    if !params.bool("check_collisions") {
        if workspace.is_some() {
            return Err("parameter 'workspace' needs 'check_collisions'".into());
        }
        return Ok(Surroundings { space: None, tool });
    }
    let srdf = srdf.map(|text| Srdf::parse(text, model)).transpose().map_err(|e| format!("SRDF: {e}"))?;
    let options = CollisionOptions {
        clearance: params.double("clearance"),
        padding: params.double("padding"),
        mesh_files: MeshFiles::new(mesh_file),
        ..CollisionOptions::default()
    };
    let bodies = CollisionModel::new(model, srdf.as_ref(), joints, obstacles, &options)?;
    for name in bodies.unknown_names() {
        log::warn!("a declared contact names '{name}', which is no link, obstacle or held object (so far)");
    }
    log::info!("{} pairs of bodies are kept {} m apart", bodies.pairs(), options.clearance);
    Ok(Surroundings { space: Some(Box::new(CollisionSpace::new(bodies, bounds))), tool })
}

fn workspace(corners: &[f64]) -> Result<Option<Workspace>, NodeError> {
    match corners {
        [] => Ok(None),
        [a, b, c, d, e, f] if a < d && b < e && c < f => {
            Ok(Some(Workspace { min: Point3::new(*a, *b, *c), max: Point3::new(*d, *e, *f) }))
        }
        other => Err(format!(
            "parameter 'workspace' is {other:?}; it must be six numbers, least x, y, z and greatest x, y, z, each greatest above its least"
        )
        .into()),
    }
}

/// `package://name/path` in the packages that are sourced, `file://` and plain paths.
fn mesh_file(resource: &str) -> Result<PathBuf, String> {
    if let Some(path) = resource.strip_prefix("file://") {
        return Ok(PathBuf::from(path));
    }
    let Some(rest) = resource.strip_prefix("package://") else { return Ok(files::find(resource)) };
    let prefixes = std::env::var_os("AMENT_PREFIX_PATH").unwrap_or_default();
    std::env::split_paths(&prefixes)
        .map(|prefix| prefix.join("share").join(rest))
        .find(|path| path.exists())
        .ok_or_else(|| format!("no package of AMENT_PREFIX_PATH holds '{rest}'"))
}
