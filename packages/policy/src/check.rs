//! Whether a package will run on a robot, and what is missing, in words: every problem that can be found, not only the first.

use crate::conversion::compare_conversion;
use crate::golden::Parity;
use crate::manifest::{ActionSpace, LanguageSpec, Manifest, Negations, Reference};
use crate::package::{LoadOptions, PolicyPackage, check_cameras, check_robot};
use crate::policy::Policy;
use crate::ranges::compare_ranges;
use crate::runtime::RuntimeOptions;
use efm_core::reading::listed;
use efm_core::words::Names;
use efm_robot::{LimitSet, RobotModel};
use std::path::{Path, PathBuf};

/// The robot that a package is to run on.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// Its description.
    pub robot: &'a RobotModel,
    /// Joint limits in MoveIt's format, beside those of the description.
    pub joint_limits: &'a Path,
    /// Names of its cameras, where they are known.
    pub cameras: Option<&'a [String]>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Check {
    /// What the package is and needs, one sentence each.
    pub facts: Vec<String>,
    /// Why it will not run as it is, one sentence each; none: it will.
    pub problems: Vec<String>,
    /// What could not be checked, and how it can be, one sentence each; none: all that there is to check was.
    pub not_checked: Vec<String>,
    /// What agrees and is odd all the same, one sentence each.
    pub warnings: Vec<String>,
    /// The policy, where it could be opened.
    pub policy: Option<Policy>,
    /// How far it is from its exporter's run, where that could be repeated.
    pub parity: Option<Parity>,
}

/// Looks at the package in a folder and, where `setup` is given, at whether it fits. Sentence encoders are looked for as
/// [`PolicyPackage::load`] does.
pub fn check(folder: &Path, search_path: &[PathBuf], setup: Option<Setup<'_>>) -> Check {
    check_with(folder, search_path, setup, &LoadOptions::default())
}

/// As [`check`], with more said of what is taken.
pub fn check_with(folder: &Path, search_path: &[PathBuf], setup: Option<Setup<'_>>, options: &LoadOptions) -> Check {
    let mut found = Check::default();
    let manifest = match Manifest::read(folder) {
        Ok(manifest) => manifest,
        Err(error) => {
            found.problems.push(error.to_string());
            return found;
        }
    };
    found.facts = facts(&manifest);
    if let Some(setup) = &setup {
        if let Err(error) = check_robot(&manifest, setup.robot) {
            found.problems.push(error.to_string());
        }
        if let Some(Err(error)) = setup.cameras.map(|cameras| check_cameras(&manifest, cameras)) {
            found.problems.push(error.to_string());
        }
    }
    let package = PolicyPackage::load_with(folder, search_path, options);
    if let Some(setup) = &setup {
        let golden = package.as_ref().ok().map(PolicyPackage::golden);
        let ranges = compare_ranges(&manifest, golden, setup.robot);
        found.problems.extend(ranges.problems.iter().map(ToString::to_string));
        let waived = ranges.waived.iter().map(|problem| format!("robot.ranges_not_compared LETS IT PASS: {problem}"));
        found.facts.extend(waived);
    }
    let package = match package {
        Ok(package) => package,
        Err(error) => {
            found.problems.push(error.to_string());
            return found;
        }
    };
    let limits = setup.as_ref().and_then(|setup| {
        // What is wrong with them is told when it is opened.
        let joints = manifest.joints().ok()?;
        LimitSet::load(setup.robot, setup.joint_limits, &joints).ok()
    });
    let robot = setup.as_ref().map(|setup| setup.robot).zip(limits.as_ref());
    let conversion = compare_conversion(&manifest, package.golden(), robot);
    found.problems.extend(conversion.problems.iter().map(ToString::to_string));
    (found.not_checked, found.warnings) = (conversion.not_checked, conversion.warnings);
    let Some(setup) = setup else { return found };
    if !found.problems.is_empty() {
        return found;
    }
    match open(package, setup) {
        Ok((policy, parity)) => {
            let mismatch = policy.mismatch(&parity).map(|why| format!("it does not repeat its exporter's run: {why}"));
            found.problems.extend(mismatch);
            found.not_checked.extend_from_slice(policy.not_used());
            (found.policy, found.parity) = (Some(policy), Some(parity));
        }
        Err(problem) => found.problems.push(problem),
    }
    found
}

fn open(package: PolicyPackage, setup: Setup<'_>) -> Result<(Policy, Parity), String> {
    let joints = package.manifest().joints().map_err(|e| e.to_string())?;
    let limits = LimitSet::load(setup.robot, setup.joint_limits, &joints).map_err(|e| e.to_string())?;
    let mut policy =
        Policy::open(package, setup.robot, &limits, RuntimeOptions::default()).map_err(|e| e.to_string())?;
    let parity = policy.verify_golden().map_err(|e| format!("its worked example does not run: {e}"))?;
    Ok((policy, parity))
}

fn facts(manifest: &Manifest) -> Vec<String> {
    let (info, robot, action) = (&manifest.policy, &manifest.robot, &manifest.action);
    let cameras = manifest.observation.images.iter().map(|i| format!("'{}' ({}x{})", i.name, i.width, i.height));
    let cameras: Vec<String> = cameras.collect();
    let cameras = if cameras.is_empty() { "no camera".to_owned() } else { format!("cameras {}", listed(&cameras, "")) };
    let space = match action.space {
        ActionSpace::EndEffector => format!("poses of '{}' in '{}'", robot.tip_link, robot.base_link),
        ActionSpace::JointPosition => "joint positions".to_owned(),
    };
    let relative: Vec<&str> = (action.names.iter().zip(&action.reference))
        .filter(|(_, reference)| **reference == Reference::Relative)
        .map(|(name, _)| name.as_str())
        .collect();
    let relative = if relative.is_empty() {
        "all absolute".to_owned()
    } else {
        format!("{} relative to the observation", listed(&relative, "none"))
    };
    let runner = manifest.runner.describe();
    let continues = if manifest.runner.continues() { "can" } else { "cannot" };
    let told = match &manifest.observation.language {
        None => " and hears nothing: it does its one task whatever it is told".to_owned(),
        Some(LanguageSpec::Embedding { encoder, .. }) => format!(" and a sentence ({})", encoder.name),
        Some(LanguageSpec::Tokens(spec)) => format!(" and a sentence (of {} tokens at most)", spec.max_tokens),
    };
    let history = match manifest.observation.history {
        1 => String::new(),
        n => format!(", now and at the {} steps before", n - 1),
    };
    let names = |names: &Names| listed(&names.keys().collect::<Vec<_>>(), "none");
    let knows = match &manifest.vocabulary {
        None => "lists no words: sentences are not compared with anything, those with negations are refused".to_owned(),
        Some(words) => {
            let negations =
                if words.negations == Negations::Understood { "understands" } else { "does not understand" };
            let (objects, goals) = (names(&words.objects), names(&words.goals));
            format!("knows the objects {objects}; the goals {goals}; {negations} negations")
        }
    };
    let ranges = match robot.ranges_not_compared.as_slice() {
        [] => String::new(),
        joints => format!(" (the numbers of {} are not compared with the limits)", listed(joints, "none")),
    };
    vec![
        format!("{} {} ({})", info.name, info.version, info.family),
        format!("sees {cameras}, {} joints{history}{told}", robot.joints.len()),
        knows,
        format!("moves {}{ranges}", listed(&robot.joints, "nothing")),
        format!("gives {space} ({}; {relative})", listed(&action.names, "nothing")),
        format!(
            "chunks of {} rows, {} s apart ({:.2} s), looked for anew every {:.2} s",
            action.horizon,
            action.step,
            manifest.chunk_seconds(),
            action.step * manifest.execution.replan_steps as f64
        ),
        format!("is run by {runner}; {continues} continue the chunk in use (real-time chunking)"),
    ]
}
