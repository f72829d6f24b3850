//! What the filter knows of the robot's surroundings, from parameters and descriptions.

use crate::param_rules as rules;
use crate::state_file::AUTO;
use crate::{Failure, reasons};
use efm_collision::{CollisionModel, CollisionOptions, MeshFiles, Obstacles};
use efm_config::codes::{contradict, wrong};
use efm_config::files;
use efm_config::{Params, Spec};
use efm_core::reading::{self, listed};
use efm_core::{JointNames, Level, Reason};
use efm_robot::{RobotModel, Srdf, other_joints};
use efm_safety::bounds::LEAST_TOOL_SPEED;
use efm_safety::{CollisionSpace, Surroundings, Tool, ToolBounds, Workspace};
use nalgebra::Point3;
use std::collections::BTreeMap;
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
        Spec::double("clearance", 0.01, "Distance that is kept between the robot and everything.")
            .unit("m")
            .range(0.0, 1.0),
        Spec::double("padding", 0.0, "Added to every body of the robot.").unit("m").range(0.0, 1.0),
        Spec::integer(
            "mesh_parts",
            12,
            "Convex parts at most that a collision mesh is cut into where it is not convex. 1: each mesh counts as its convex hull, as faster checkers have it, \
             and what reaches into a hollow of it is refused.",
        )
        .range(1.0, 64.0),
        Spec::text(
            "mesh_cache",
            AUTO,
            "Folder that keeps the convex parts of meshes between starts: cutting takes up to a second a mesh. auto: $XDG_CACHE_HOME/embodied_fm/meshes or \
             ~/.cache/embodied_fm/meshes. Empty: none.",
        ),
        Spec::texts(
            "fixed_joints",
            &[],
            "Joints of the robot that no controller moves and nobody tells in joint_states, with where they are fixed: name=position (rad or \
             m), as 'rail=0.35'. Every other joint that moves what is checked must be told before anything moves. With the robot description it is seen \
             whether they are there, and within their limits.",
        )
        .rule(rules::FIXED_JOINTS)
        .rule(rules::FIXED_IS_NOT_MOVED),
        Spec::text(
            "tool_link",
            "",
            "Link that workspace and max_tool_speed hold for. With the robot description it is seen whether it is there.",
        )
        .rule(rules::TOOL_LINK),
        Spec::doubles(
            "workspace",
            &[],
            "Where the tool may be, in the root link's frame: least x, y, z, greatest x, y, z. Empty: anywhere.",
        )
        .unit("m")
        .rule(rules::WORKSPACE)
        .rule(rules::WORKSPACE_IS_CHECKED),
        Spec::double("max_tool_speed", 0.0, "Greatest speed of the tool (0.25 is usual beside people).")
            .unit("m/s")
            .range(LEAST_TOOL_SPEED, 100.0)
            .or_zero("any"),
    ]
}

/// The parameter `fixed_joints`.
///
/// # Errors
/// When an entry of it is no name with a position: which one, and what is wanted.
pub fn fixed_joints(params: &Params) -> Result<BTreeMap<String, f64>, Reason> {
    let mut fixed = BTreeMap::new();
    for entry in params.texts("fixed_joints") {
        let wrong =
            |what: &str| wrong(format!("parameter 'fixed_joints': '{entry}' {what}"), "wanted: <joint>=<rad or m>");
        let (name, position) = entry.split_once('=').ok_or_else(|| wrong("has no '='"))?;
        if name.trim().is_empty() {
            return Err(wrong("has no joint before the '='"));
        }
        let position = position.trim().parse::<f64>().ok().filter(|p| p.is_finite());
        let position = position.ok_or_else(|| wrong("has no finite number behind the '='"))?;
        if fixed.insert(name.trim().to_owned(), position).is_some() {
            return Err(wrong("names a joint for the second time"));
        }
    }
    Ok(fixed)
}

/// Whether the joints that are declared to be fixed are joints of the robot that no controller moves, within their limits.
///
/// # Errors
/// The first that is not, and what would be right.
pub fn check_fixed(fixed: &BTreeMap<String, f64>, model: &RobotModel, joints: &JointNames) -> Result<(), Reason> {
    let others = other_joints(model, joints);
    for (name, position) in fixed {
        if joints.index_of(name).is_some() {
            let text = format!("parameter 'fixed_joints': '{name}' is moved by a controller");
            return Err(contradict(text, "take it out"));
        }
        if !others.contains(name) {
            let known = listed(&others, "there is none");
            let text = format!(
                "parameter 'fixed_joints': the robot has no joint '{name}' of its own that no controller moves (those are: {known})"
            );
            return Err(wrong(text, ""));
        }
        let limit = model.joint(name).map(|joint| joint.limit).unwrap_or_default();
        let (lower, upper) = (limit.lower.unwrap_or(f64::NEG_INFINITY), limit.upper.unwrap_or(f64::INFINITY));
        if *position < lower || *position > upper {
            let text = format!(
                "parameter 'fixed_joints': joint '{name}' is at {position}, outside of its limits {lower} to {upper} in the robot description"
            );
            return Err(wrong(text, ""));
        }
    }
    Ok(())
}

/// The limit of the tool's speed, m/s.
pub fn max_tool_speed(params: &Params) -> f64 {
    let speed = params.double("max_tool_speed");
    if speed > 0.0 { speed } else { f64::INFINITY }
}

/// Whether the link is named that `workspace` and `max_tool_speed` hold for.
///
/// # Errors
/// When it is not, and one of them is set.
pub fn tool_is_named(params: &Params) -> Result<(), Reason> {
    let (workspace, speed) = (params.doubles("workspace"), max_tool_speed(params));
    if !params.text("tool_link").is_empty() || workspace.is_empty() && speed.is_infinite() {
        return Ok(());
    }
    let for_what = match workspace.as_slice() {
        [] => format!("'max_tool_speed' is {speed} m/s"),
        corners => format!("'workspace' is {corners:?}"),
    };
    let text = format!("parameter 'tool_link' is empty, but {for_what}");
    Err(contradict(text, "it must name the link that this holds for"))
}

/// Whether there is collision checking where there is a workspace, as that looks at both.
///
/// # Errors
/// When there is none.
pub fn workspace_is_checked(params: &Params) -> Result<(), Reason> {
    let corners = params.doubles("workspace");
    if corners.is_empty() || params.bool("check_collisions") {
        return Ok(());
    }
    let text = format!("parameter 'workspace' is {corners:?}, but 'check_collisions' is false");
    Err(contradict(text, "it must be true for a workspace"))
}

/// The text of the file that a parameter names; `None` where it names none.
///
/// # Errors
/// When the file cannot be read.
pub fn named_file(params: &Params, parameter: &str) -> Result<Option<String>, Reason> {
    let named = params.text(parameter);
    if named.is_empty() {
        return Ok(None);
    }
    let path = files::find(&named);
    let text = reading::text(&path, reading::DESCRIPTION).map_err(|error| {
        let text = format!("parameter '{parameter}': cannot read '{}': {error}", path.display());
        Reason::new(reasons::FILE_UNREADABLE, Level::Error, text, "")
    })?;
    Ok(Some(text))
}

/// What the filter knows of the robot's surroundings, to make such of it as often as is wanted.
#[derive(Debug, Clone)]
pub struct Around {
    /// The bodies that are kept apart; none: not checked.
    pub bodies: Option<CollisionModel>,
    tool: Option<Tool>,
    bounds: Option<ToolBounds>,
}

impl Around {
    /// For a streamer.
    pub fn surroundings(&self) -> Surroundings {
        let Self { bodies, tool, bounds } = self.clone();
        let Some(bodies) = bodies else { return Surroundings { space: None, tool } };
        Surroundings { space: Some(Box::new(CollisionSpace::new(bodies, bounds))), tool }
    }
}

/// Puts together what the filter is to know. `srdf` is the text of an SRDF, where there is one.
///
/// # Errors
/// When a description or a parameter does not fit the robot: which one, and why.
pub fn around(
    model: &RobotModel,
    srdf: Option<&str>,
    joints: &JointNames,
    obstacles: &Obstacles,
    params: &Params,
) -> Result<Around, Failure> {
    let (link, max_speed) = (params.text("tool_link"), max_tool_speed(params));
    let workspace = named_workspace(params)?;
    // Rules of the parameters, so that nobody gets here with less; a bound that were not heeded would be worse than an error.
    tool_is_named(params)?;
    workspace_is_checked(params)?;
    let tool = match link.as_str() {
        "" => None,
        link => Some(Tool::new(model, link, joints).map_err(|e| format!("parameter 'tool_link': {e}"))?),
    };
    let bounds = tool.clone().map(|tool| ToolBounds { tool, workspace, max_speed });
    if !params.bool("check_collisions") {
        return Ok(Around { bodies: None, tool, bounds });
    }
    let srdf = srdf.map(|text| Srdf::parse(text, model)).transpose().map_err(|e| format!("SRDF: {e}"))?;
    let options = CollisionOptions {
        clearance: params.double("clearance"),
        padding: params.double("padding"),
        mesh_parts: usize::try_from(params.integer("mesh_parts")).unwrap_or(1).max(1),
        mesh_cache: mesh_cache(&params.text("mesh_cache"), |name| std::env::var_os(name)),
        mesh_files: MeshFiles::new(|resource| mesh_file(resource).map_err(|why| why.to_string())),
        ..CollisionOptions::default()
    };
    let bodies = CollisionModel::new(model, srdf.as_ref(), joints, obstacles, &options)?;
    for name in bodies.unknown_names() {
        log::warn!("a declared contact names '{name}', which is no link, obstacle or held object (so far)");
    }
    log::info!("{} pairs of bodies are kept {} m apart", bodies.pairs(), options.clearance);
    if let Some(told) = loose_meshes(&bodies) {
        log::info!("{told}");
    }
    Ok(Around { bodies: Some(bodies), tool, bounds })
}

/// Meshes whose convex parts stand off them by more than is usual, in words.
fn loose_meshes(bodies: &CollisionModel) -> Option<String> {
    /// Of 99 of 100 places on the surface, metres.
    const USUAL: f64 = 3e-3;
    /// More than a person reads.
    const MOST: usize = 8;
    let mut loose: Vec<_> = bodies.mesh_fits().filter(|(_, fit)| fit.off_p99 > USUAL).collect();
    loose.sort_by(|one, other| other.1.off_p99.total_cmp(&one.1.off_p99));
    let told = loose.iter().take(MOST).map(|(name, fit)| {
        let (p99, most) = (1e3 * fit.off_p99, 1e3 * fit.off_most);
        format!("'{name}' in {} parts by {p99:.1} mm (p99 of its surface, at most {most:.1} mm)", fit.parts)
    });
    let told = told.collect::<Vec<_>>().join(", ");
    let more = loose.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let cure = "more 'mesh_parts' follow a mesh more closely, and what is not closed counts as full where it cannot be seen into";
    (!loose.is_empty()).then(|| format!("collision bodies stand off their meshes: {told}{more}; {cure}"))
}

/// The folder that the parameter `mesh_cache` means; `variable` looks into the environment.
fn mesh_cache(setting: &str, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match setting {
        "" => None,
        AUTO => {
            let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
            Some(cache.join("embodied_fm/meshes"))
        }
        path => Some(PathBuf::from(path)),
    }
}

/// The parameter `workspace`.
///
/// # Errors
/// When it is no box.
pub fn named_workspace(params: &Params) -> Result<Option<Workspace>, Reason> {
    match params.doubles("workspace").as_slice() {
        [] => Ok(None),
        [a, b, c, d, e, f] if a < d && b < e && c < f => {
            Ok(Some(Workspace { min: Point3::new(*a, *b, *c), max: Point3::new(*d, *e, *f) }))
        }
        other => Err(wrong(
            format!("parameter 'workspace' is {other:?}"),
            "it must be six numbers, least x, y, z and greatest x, y, z, each greatest above its least",
        )),
    }
}

/// No package that is sourced has such a file.
#[derive(Debug, thiserror::Error)]
#[error("no package of AMENT_PREFIX_PATH holds '{0}'")]
struct NotSourced(String);

/// `package://name/path` in the packages that are sourced, `file://` and plain paths.
fn mesh_file(resource: &str) -> Result<PathBuf, NotSourced> {
    if let Some(path) = resource.strip_prefix("file://") {
        return Ok(PathBuf::from(path));
    }
    let Some(rest) = resource.strip_prefix("package://") else { return Ok(files::find(resource)) };
    let prefixes = std::env::var_os("AMENT_PREFIX_PATH").unwrap_or_default();
    std::env::split_paths(&prefixes)
        .map(|prefix| prefix.join("share").join(rest))
        .find(|path| path.exists())
        .ok_or_else(|| NotSourced(rest.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parts_of_meshes_are_kept_where_caches_are() {
        let of = |setting: &str, variables: &[(&str, &str)]| {
            mesh_cache(setting, |name| variables.iter().find(|known| known.0 == name).map(|known| known.1.into()))
        };
        let (home, cache) = (("HOME", "/home/me"), ("XDG_CACHE_HOME", "/cache"));
        assert_eq!(of(AUTO, &[home, cache]), Some("/cache/embodied_fm/meshes".into()));
        assert_eq!(of(AUTO, &[home, ("XDG_CACHE_HOME", "cache")]), Some("/home/me/.cache/embodied_fm/meshes".into()));
        assert_eq!((of(AUTO, &[]), of("", &[home]), of("/a", &[home])), (None, None, Some("/a".into())));
    }

    const URDF: &str = "<robot name='r'><link name='a'/><link name='b'/><link name='c'/>\
        <joint name='rail' type='prismatic'><parent link='a'/><child link='b'/><limit lower='0' upper='1' velocity='1' effort='1'/></joint>\
        <joint name='elbow' type='continuous'><parent link='b'/><child link='c'/></joint></robot>";

    fn read(entries: &[&str]) -> Result<BTreeMap<String, f64>, String> {
        let params = BTreeMap::from([
            ("fixed_joints".to_owned(), serde_json::json!(entries)),
            ("joint_limits_file".to_owned(), "limits.yaml".into()),
            ("controllers.arm".to_owned(), serde_json::json!(["j1"])),
        ]);
        let params =
            Params::from_json(crate::publisher::streaming_params::specs(), &params).map_err(|e| e[0].to_string())?;
        fixed_joints(&params).map_err(|e| e.to_string())
    }

    #[test]
    fn joints_that_nobody_tells_can_be_declared() {
        let (robot, joints) = (RobotModel::from_urdf(URDF).unwrap(), JointNames::new(["elbow"]).unwrap());
        let check = |entries: &[&str]| check_fixed(&read(entries).unwrap(), &robot, &joints).map_err(|e| e.to_string());
        assert_eq!(read(&[" rail = 0.35 "]).unwrap(), BTreeMap::from([("rail".to_owned(), 0.35)]));
        assert_eq!((check(&["rail=0.35"]), check(&[])), (Ok(()), Ok(())));
        for (entries, said) in
            [(&["lift=0"][..], "'lift'"), (&["elbow=0"], "controller"), (&["rail=1.5"], "outside of its limits 0 to 1")]
        {
            let error = check(entries).unwrap_err();
            assert!(error.contains("fixed_joints") && error.contains(said), "{error}");
        }
        for (entries, said) in [
            (&["rail"][..], "no '='"),
            (&["rail=up"], "number"),
            (&["rail=nan"], "number"),
            (&["rail=0", "rail=1"], "second"),
        ] {
            let error = read(entries).unwrap_err();
            assert!(error.contains("fixed_joints") && error.contains("'rail") && error.contains(said), "{error}");
        }
    }
}
