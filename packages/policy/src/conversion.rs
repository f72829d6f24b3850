//! Whether what comes after the networks, and before them, is what the exporter had: references, inverse kinematics, times, pictures.
//!
//! A worked example of networks alone says nothing of the conversions in which people err most. So the golden file may also have the chunk as it goes
//! out, by the exporter's own kinematics, and pictures at the camera's own size. Here the golden file's own actions go through what
//! `vla_inference` uses ([`ActionDecoder`]), and the outcome is compared row by row.
//!
//! # Why these bounds
//!
//! - Times to [`TIME`] and [`TIME_SHARE`] of themselves: they are products of a row's number and the step, in two languages; some are written as float32.
//! - Joint positions that are only added up, and the gripper, to [`JOINT`], and that share of themselves.
//! - The tool's pose to [`AT`] and [`TURNED`]: our inverse kinematics ends within 1e-5 m and 1e-5 rad, exporters' within what they ask for. Wrong
//!   references and orientations are off by centimetres and tenths of radians.
//! - The arm's joints behind the same pose to [`POSTURE`] and [`POSTURE_ROW`] more a row: the freedom that is left is used in another way by each
//!   solver, and what differs adds up along a chunk. Another branch (an elbow on the other side) is more than half a radian off.
//! - A robot may be described a little otherwise than the exporter's was (calibrated ones are): see [`described`].
//!
//! What differs is explained only where another value of a field makes all rows agree.

use crate::actions::{ActionDecoder, ActionError};
use crate::described::{self, Described};
use crate::golden::Golden;
use crate::idle;
use crate::manifest::{ActionSpace, Manifest, Reference, Rpy};
use crate::outgoing::{OUTGOING, Outgoing};
use crate::pictures;
use crate::spread;
use efm_core::JointNames;
use efm_robot::{Chain, LimitSet, RobotModel};
use nalgebra::{Isometry3, Vector3};
use std::fmt;

/// Times agree within this, s.
const TIME: f64 = 1e-9;
/// And within this share of themselves.
const TIME_SHARE: f64 = 1e-6;
/// Joints that are not solved for agree within this, rad or m.
const JOINT: f64 = 1e-6;
/// Positions of the tool agree within this, m.
pub(crate) const AT: f64 = 1e-3;
/// Orientations of the tool agree within this, rad.
pub(crate) const TURNED: f64 = 1e-2;
/// The arm's joints agree within this, rad or m, at the first row.
const POSTURE: f64 = 0.1;
/// And within so much more at each further row.
const POSTURE_ROW: f64 = 0.015;
/// Postures that inverse kinematics leans to agree within this, rad or m: what it makes of that is far smaller than [`POSTURE`].
const REST: f64 = 1e-3;
/// A common factor of numbers that are only in other units is exact to this share.
const FACTOR: f64 = 0.01;

/// Chunks of a long example that another manifest is tried on first.
const FEW: usize = 3;

/// How what is missing can be had.
const REMEDY: &str = "make the package anew, or put the part in (docs/policy_package.md, \"The golden file\")";

/// A field that does something else than the exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversionProblem {
    /// Where to look in the manifest, as in `action.reference`.
    pub field: String,
    /// What differs, by how much, and with what it would not, where that is known.
    pub problem: String,
}

impl ConversionProblem {
    pub(crate) fn of(field: &str, problem: String) -> Self {
        Self { field: field.to_owned(), problem }
    }
}

impl fmt::Display for ConversionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

/// The package is not converted as its exporter did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversionMismatch(pub Vec<ConversionProblem>);

impl fmt::Display for ConversionMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if place == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConversionMismatch {}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConversionReport {
    /// Why it is refused; none: it is not.
    pub problems: Vec<ConversionProblem>,
    /// What could not be compared, and how it can be, one sentence each.
    pub not_checked: Vec<String>,
    /// What agrees and is odd all the same, one sentence each.
    pub warnings: Vec<String>,
}

/// Compares the conversions of a manifest with its golden file: pictures, noise, times, and with a robot (whose limits cover the package's joints) the rows.
pub fn compare_conversion(
    manifest: &Manifest,
    golden: &Golden,
    robot: Option<(&RobotModel, &LimitSet)>,
) -> ConversionReport {
    let mut report = ConversionReport::default();
    pictures::compare(manifest, golden, &mut report);
    spread::compare(manifest, golden, &mut report);
    match &golden.outgoing {
        None => {
            let what = "the chunk as it goes out (action.space, reference, orientation, units, step, gripper_joint, rest_posture, robot.joints, \
                        tip_link, execution.replan_steps)";
            report.not_checked.push(format!("{what}: the golden file has no part '{OUTGOING}'"));
            if let Some((model, _)) = robot {
                described::compare(manifest, golden, false, model, &mut report);
            }
        }
        Some(given) => outgoing(manifest, golden, given, robot, &mut report),
    }
    for sentence in &mut report.not_checked {
        sentence.push_str("; ");
        sentence.push_str(REMEDY);
    }
    report.warnings.extend(idle::keys(manifest));
    let (replan, horizon) = (manifest.execution.replan_steps, manifest.action.horizon);
    let refused = report.problems.iter().any(|problem| problem.field == REPLAN);
    if replan >= horizon && !refused {
        let hint =
            if horizon > 1 { format!("; {} would leave half of it", horizon.div_ceil(2)) } else { String::new() };
        report.warnings.push(format!(
            "{REPLAN} is {replan}, the whole horizon: nothing of a chunk is left while the next one is made, so the arm comes to rest between \
             chunks{hint}"
        ));
    }
    report
}

const REPLAN: &str = "execution.replan_steps";

fn outgoing(
    manifest: &Manifest,
    golden: &Golden,
    given: &Outgoing,
    robot: Option<(&RobotModel, &LimitSet)>,
    report: &mut ConversionReport,
) {
    let mut wrong = |field: &str, problem: String| report.problems.push(ConversionProblem::of(field, problem));
    let replan = manifest.execution.replan_steps;
    if replan != given.replan_steps {
        let there = given.replan_steps;
        wrong(REPLAN, format!("is {replan}; the golden file has {there}, which it was trained or evaluated with"));
    }
    if let Some((field, problem)) = times(manifest, &given.times) {
        wrong(field, problem);
    }
    let joints = &manifest.robot.joints;
    if *joints != given.joint_names {
        let place = joints.iter().zip(&given.joint_names).position(|(a, b)| a != b);
        let problem = match place {
            Some(place) => {
                format!("'{}' stands where the golden file has '{}'", joints[place], given.joint_names[place])
            }
            None => format!("are {}; the golden file has {}", joints.len(), given.joint_names.len()),
        };
        wrong("robot.joints", problem);
        return;
    }
    stated(manifest, golden, given, report);
    if given.times.len() != manifest.action.horizon {
        return;
    }
    let Some((model, limits)) = robot else {
        let what = "the rows of the chunk as it goes out (action.reference, orientation, units, gripper_joint, robot.tip_link)";
        report.not_checked.push(format!("{what}: no robot description was given"));
        return;
    };
    // What cannot be made of manifest and robot is told by whoever opens the package.
    let Some(rows) = Rows::new(manifest, golden, given, model, limits) else { return };
    rows.compare(report);
}

/// Compares what the golden file says of the exporter in so many words.
fn stated(manifest: &Manifest, golden: &Golden, given: &Outgoing, report: &mut ConversionReport) {
    let action = &manifest.action;
    let mut wrong = |field: &str, problem: String| report.problems.push(ConversionProblem::of(field, problem));
    let named = |joint: &str| if joint.is_empty() { "none".to_owned() } else { format!("'{joint}'") };
    let here = action.gripper_joint.as_deref().unwrap_or_default();
    if let Some(there) = &given.gripper_joint
        && there != here
    {
        let problem =
            format!("is {}; the golden file has {}, which its exporter keeps within limits", named(here), named(there));
        wrong("action.gripper_joint", problem);
    }
    if action.space == ActionSpace::JointPosition {
        return;
    }
    const FIELD: &str = "action.rest_posture";
    match (&given.rest_posture, &action.rest_posture) {
        (Some(there), stated) => {
            let used = golden.rest(manifest).iter().zip(there).enumerate();
            if let Some((joint, (a, b))) = used.into_iter().find(|(_, (a, b))| (*a - *b).abs() > REST) {
                let name = &manifest.robot.joints[joint];
                let (here, there) = apart(*a, *b);
                let whose = if stated.is_some() { "has" } else { "is missing, and the golden example's joints have" };
                wrong(FIELD, format!("{whose} joint '{name}' at {here}; the golden file at {there}"));
            }
        }
        (None, Some(_)) => {
            report.not_checked.push(format!("{FIELD}: the golden file has no {OUTGOING}.rest_posture (what it does is less than what solvers differ by)"));
        }
        (None, None) => {}
    }
}

/// The field of the first time that differs.
fn times(manifest: &Manifest, times: &[f64]) -> Option<(&'static str, String)> {
    let (step, horizon) = (manifest.action.step, manifest.action.horizon);
    if times.len() != horizon {
        return Some(("action.horizon", format!("is {horizon}; the golden file's chunk has {} rows", times.len())));
    }
    let due = |row: usize| (row + 1) as f64 * step;
    let row = (0..horizon).find(|row| (times[*row] - due(*row)).abs() > TIME + TIME_SHARE * due(*row))?;
    let (here, told) = apart(due(row), times[row]);
    let there = format!("row {row} goes out {here} s after its observation; in the golden file {told} s");
    let between: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Of times that are rounded the differences are as rough as the times.
    let rough = TIME + TIME_SHARE * times.iter().fold(0.0, |most: f64, time| most.max(time.abs()));
    let within = rough.min(0.1 * step);
    let even = between.iter().all(|found| (found - step).abs() <= within);
    if even && horizon > 1 && (times[0] - step).abs() > within {
        let rows = (times[0] - step) / step;
        let problem = format!("{there}: its rows are the right time apart, but {} rows later", short(rows));
        return Some(("action.skip_rows", problem));
    }
    let one = between.first().copied().unwrap_or(times[0]);
    let steady = between.iter().all(|found| (found - one).abs() <= within);
    let (here, one) = apart(step, one);
    let hint = if steady { format!(", whose step is {one} s") } else { String::new() };
    Some(("action.step", format!("is {here} s: {there}{hint}")))
}

/// What one row is compared by.
struct Rows<'a> {
    manifest: &'a Manifest,
    golden: &'a Golden,
    given: &'a Outgoing,
    model: &'a RobotModel,
    /// Those of the robot, and for the arm's joints as far as the exporter's rows go.
    limits: LimitSet,
    joints: JointNames,
    chain: Chain,
    /// Place of each joint of the chain in `joints`.
    places: Vec<usize>,
    /// How far the description may put the tool from where the exporter's did, m and rad, one a row; nothing where the golden file does not say.
    described: Vec<(f64, f64)>,
}

/// How rows differ from the golden file's.
#[derive(Debug, Default)]
struct Differences {
    /// Why they could not be made.
    refused: Option<String>,
    /// Row, way (m) and angle (rad) of the tool that is furthest off.
    tool: Option<(usize, Vector3<f64>, f64)>,
    /// Row and place of the joint that is furthest off, with both positions.
    joint: Option<(usize, usize, f64, f64)>,
    /// The same of the arm's joints where the tool is where it should be.
    posture: Option<(usize, usize, f64, f64)>,
}

impl Differences {
    fn none(&self) -> bool {
        self.refused.is_none() && self.tool.is_none() && self.joint.is_none() && self.posture.is_none()
    }
}

/// Another manifest, and in words how it is another.
struct Other {
    manifest: Manifest,
    fields: Vec<&'static str>,
    with: Vec<String>,
}

impl<'a> Rows<'a> {
    fn new(
        manifest: &'a Manifest,
        golden: &'a Golden,
        given: &'a Outgoing,
        model: &'a RobotModel,
        limits: &LimitSet,
    ) -> Option<Self> {
        let limits = limits.clone();
        let joints = manifest.joints().ok()?;
        let chain = Chain::new(model, &manifest.robot.base_link, &manifest.robot.tip_link).ok()?;
        let places = chain.joint_names().iter().map(|name| joints.index_of(name)).collect::<Option<Vec<_>>>()?;
        Some(Self { manifest, golden, given, model, limits, joints, chain, places, described: Vec::new() })
    }

    fn compare(mut self, report: &mut ConversionReport) {
        let solves = self.manifest.action.space == ActionSpace::EndEffector;
        if solves && self.given.tools.is_empty() {
            let what = "robot.base_link and robot.tip_link";
            report.not_checked.push(format!("{what}: the golden file has no poses of the tool ({OUTGOING}.tools)"));
        }
        let Some(described) = described::compare(self.manifest, self.golden, solves, self.model, report) else {
            return;
        };
        if solves {
            self.described = self.allowed(&described);
            self.widen(report);
        }
        self.kept(report);
        let found = self.differences(self.manifest, usize::MAX);
        if !found.none() {
            report.problems.push(self.explain(&found));
            return;
        }
        // What would go out the same with another reference, the example does not tell.
        let silent: Vec<String> = (self.single_references().into_iter())
            .filter(|other| self.agrees(&other.manifest))
            .flat_map(|other| other.with)
            .collect();
        if !silent.is_empty() {
            report.not_checked.push(format!(
                "action.reference: in the worked example all rows are the same with {} (take one in which these are not zero)",
                silent.join(", ")
            ));
        }
        // Where the exporter says which one it is, that was compared.
        let grippers = if self.given.gripper_joint.is_none() { self.grippers() } else { Vec::new() };
        let silent: Vec<String> =
            grippers.into_iter().filter(|other| self.agrees(&other.manifest)).flat_map(|other| other.with).collect();
        if !silent.is_empty() {
            report.not_checked.push(format!(
                "action.gripper_joint: in the worked example all rows are the same with {} (the golden file has no {OUTGOING}.gripper_joint)",
                silent.join(", ")
            ));
        }
    }

    /// Pose of the tool with the joints of a row, in robot order.
    fn tool(&self, chain: &Chain, row: &[f64]) -> Option<Isometry3<f64>> {
        let names = chain.joint_names().iter();
        let q = names.map(|name| self.joints.index_of(name).map(|place| row[place])).collect::<Option<Vec<f64>>>()?;
        Some(chain.fk(&q))
    }

    /// How far each row may be off by the description: by where it has the tool there, and for relative actions by where it had it at the observation.
    fn allowed(&self, described: &Described) -> Vec<(f64, f64)> {
        let action = &self.manifest.action;
        let (history, horizon) = (self.manifest.observation.history, action.horizon);
        let relative =
            self.columns().iter().any(|c| action.reference[*c] == Reference::Relative && action.names[*c] != "gripper");
        let start = |row: usize| described.observed.get((row / horizon + 1) * history - 1).filter(|_| relative);
        let rows = described.rows.iter().enumerate();
        rows.map(|(row, (way, turned))| (way + start(row).map_or(0.0, |(way, _)| *way), *turned)).collect()
    }

    /// Narrower limits of the gripper than the exporter's are no other conversion either. Where its rows are beyond them they show nothing of it, so that
    /// is told.
    fn kept(&self, report: &mut ConversionReport) {
        let gripper = self.manifest.action.gripper_joint.as_deref();
        let Some(joint) = gripper.and_then(|joint| self.joints.index_of(joint)) else { return };
        let Some((lower, upper)) = self.limits_of(joint) else { return };
        let at = self.given.joints.chunks_exact(self.joints.len()).map(|row| row[joint]);
        let (least, most) = at.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), q| (a.min(q), b.max(q)));
        if least >= lower - JOINT && most <= upper + JOINT {
            return;
        }
        report.warnings.push(format!(
            "the worked example has the gripper's joint '{}' at {} to {}, beyond its limits here ({} to {}), within which it is kept",
            self.joints.as_slice()[joint],
            short(least),
            short(most),
            short(lower),
            short(upper)
        ));
    }

    /// Narrower limits than the exporter's are no other conversion: told, and here as wide as its rows are.
    fn widen(&mut self, report: &mut ConversionReport) {
        let width = self.joints.len();
        for joint in &self.places {
            let name = &self.joints.as_slice()[*joint];
            let Some(limit) = self.limits.names.index_of(name).and_then(|place| self.limits.joints.get_mut(place))
            else {
                continue;
            };
            let at = self.given.joints.chunks_exact(width).map(|row| row[*joint]);
            let (least, most) = at.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), q| (a.min(q), b.max(q)));
            if least >= limit.lower - JOINT && most <= limit.upper + JOINT {
                continue;
            }
            report.warnings.push(format!(
                "the worked example has joint '{name}' at {} to {}, beyond its limits here ({} to {}): chunks that go there are refused",
                short(least),
                short(most),
                short(limit.lower),
                short(limit.upper)
            ));
            (limit.lower, limit.upper) = (limit.lower.min(least - POSTURE), limit.upper.max(most + POSTURE));
        }
    }

    /// Whether another manifest makes the exporter's rows. Of many chunks a few are looked at first.
    fn agrees(&self, manifest: &Manifest) -> bool {
        self.differences(manifest, FEW).none() && self.differences(manifest, usize::MAX).none()
    }

    /// The rows of the first chunks, as they would go out; or why not.
    fn made(&self, manifest: &Manifest, chunks: usize) -> Result<Vec<f64>, String> {
        let rest = self.golden.rest(manifest);
        let mut decoder =
            ActionDecoder::new(manifest, &self.joints, &self.chain, &self.limits, rest).map_err(|e| e.to_string())?;
        let (mut all, mut rows) = (Vec::new(), Vec::new());
        let every = self.golden.actions.chunks_exact(manifest.action.horizon * manifest.action_len());
        for (actions, frames) in every.take(chunks).zip(self.golden.frames.chunks(manifest.observation.history)) {
            // There is one at least.
            let Some(frame) = frames.last() else { continue };
            decoder.decode(actions, &frame.joints, &mut rows).map_err(|error: ActionError| error.to_string())?;
            all.extend_from_slice(&rows);
        }
        Ok(all)
    }

    fn differences(&self, manifest: &Manifest, chunks: usize) -> Differences {
        let mut found = Differences::default();
        let made = match self.made(manifest, chunks) {
            Ok(made) => made,
            Err(why) => return Differences { refused: Some(why), ..found },
        };
        let width = self.joints.len();
        let solves = manifest.action.space == ActionSpace::EndEffector;
        let gripper = manifest.action.gripper_joint.as_deref().and_then(|joint| self.joints.index_of(joint));
        let further = |known: Option<(usize, usize, f64, f64)>, here: f64, there: f64| {
            known.is_none_or(|(_, _, a, b)| (here - there).abs() > (a - b).abs())
        };
        for (row, (here, there)) in made.chunks_exact(width).zip(self.given.joints.chunks_exact(width)).enumerate() {
            let mut off = false;
            if solves && let (Some(a), Some(b)) = (self.tool(&self.chain, here), self.tool(&self.chain, there)) {
                let (at, turned) = self.described.get(row).copied().unwrap_or_default();
                let (way, angle) = (a.translation.vector - b.translation.vector, a.rotation.angle_to(&b.rotation));
                off = way.norm() > AT + at || angle > TURNED + turned;
                let size = |way: &Vector3<f64>, angle: f64| way.norm() + 0.1 * angle;
                if off && found.tool.is_none_or(|(_, w, t)| size(&way, angle) > size(&w, t)) {
                    found.tool = Some((row, way, angle));
                }
            }
            for joint in 0..width {
                let (here, mut there) = (here[joint], there[joint]);
                if solves && self.places.contains(&joint) {
                    let within = POSTURE + POSTURE_ROW * (row % manifest.action.horizon) as f64;
                    if !off && (here - there).abs() > within && further(found.posture, here, there) {
                        found.posture = Some((row, joint, here, there));
                    }
                    continue;
                }
                if gripper == Some(joint)
                    && let Some(limit) = self.limits_of(joint)
                {
                    // Narrower limits than the exporter's are kept.
                    there = there.clamp(limit.0, limit.1);
                }
                if (here - there).abs() > JOINT * (1.0 + there.abs()) && further(found.joint, here, there) {
                    found.joint = Some((row, joint, here, there));
                }
            }
        }
        found
    }

    /// Lower and upper limit of a joint.
    fn limits_of(&self, joint: usize) -> Option<(f64, f64)> {
        let place = self.limits.names.index_of(&self.joints.as_slice()[joint])?;
        self.limits.joint(place).map(|limit| (limit.lower, limit.upper)).filter(|(lower, upper)| lower <= upper)
    }

    /// What differs, and the field where it would not.
    fn explain(&self, found: &Differences) -> ConversionProblem {
        let what = self.in_words(found);
        for other in self.others() {
            if self.agrees(&other.manifest) {
                let with = other.with.join(" and ");
                return ConversionProblem::of(
                    &other.fields.join(" and "),
                    format!("{what}; with {with} it is the same"),
                );
            }
        }
        if let Some((column, factor)) = self.factor() {
            let times = |factor: f64| short((factor * 1e3).round() / 1e3);
            let name = if factor > 1.0 {
                format!("{} times", times(factor))
            } else {
                format!("1 / {} of", times(1.0 / factor))
            };
            let problem = format!(
                "{what}; for '{column}' the exporter's numbers are {name} the actions, as if those were in another unit"
            );
            return ConversionProblem::of("action.units", problem);
        }
        let field = if found.refused.is_none() && found.tool.is_none() && found.joint.is_none() {
            "action.rest_posture"
        } else {
            "action"
        };
        ConversionProblem::of(field, what)
    }

    fn in_words(&self, found: &Differences) -> String {
        let mut parts = Vec::new();
        let horizon = self.manifest.action.horizon;
        let row_of = |row: usize| match row / horizon {
            0 => format!("row {row} of the worked example"),
            chunk => format!("row {} of chunk {chunk} of the worked example", row % horizon),
        };
        if let Some(why) = &found.refused {
            parts.push(format!("the worked example cannot be done: {why}; its exporter could"));
        }
        if let Some((row, way, angle)) = &found.tool {
            let axis = ["x", "y", "z"][way.iamax()];
            parts.push(format!(
                "{} puts the tool {:.3} m (most in {axis}) and {angle:.3} rad from where its exporter had it",
                row_of(*row),
                way.norm()
            ));
        }
        for (joint, why) in [(&found.joint, ""), (&found.posture, " with the tool at the same place")] {
            if let Some((row, joint, here, there)) = joint {
                let name = &self.joints.as_slice()[*joint];
                let (here, there) = apart(*here, *there);
                parts.push(format!("{} has joint '{name}' at {here}, its exporter at {there}{why}", row_of(*row)));
            }
        }
        parts.join("; ")
    }

    /// Manifests in which one column, or some that belong together, counts from something else.
    fn references(&self, sets: &[Vec<usize>]) -> Vec<Other> {
        let action = &self.manifest.action;
        let mut known = vec![action.reference.clone()];
        let mut others = Vec::new();
        for set in sets {
            for (reference, word) in [(Reference::Absolute, "absolute"), (Reference::Relative, "relative")] {
                let mut references = action.reference.clone();
                let changed: Vec<usize> =
                    set.iter().copied().filter(|column| references[*column] != reference).collect();
                changed.iter().for_each(|column| references[*column] = reference);
                if known.contains(&references) {
                    continue;
                }
                known.push(references.clone());
                let names: Vec<&str> = changed.iter().map(|column| action.names[*column].as_str()).collect();
                let mut manifest = self.manifest.clone();
                manifest.action.reference = references;
                others.push(Other {
                    manifest,
                    fields: vec!["action.reference"],
                    with: vec![format!("{} {word}", names.join(", "))],
                });
            }
        }
        others
    }

    /// Columns that count from something: not those of rotations.
    fn columns(&self) -> Vec<usize> {
        let names = &self.manifest.action.names;
        let solves = self.manifest.action.space == ActionSpace::EndEffector;
        (0..names.len()).filter(|i| !(solves && ["roll", "pitch", "yaw"].contains(&names[*i].as_str()))).collect()
    }

    fn single_references(&self) -> Vec<Other> {
        let single: Vec<Vec<usize>> = self.columns().into_iter().map(|column| vec![column]).collect();
        self.references(&single)
    }

    /// Manifests that people would have meant, those with the fewest changes first.
    fn others(&self) -> Vec<Other> {
        let action = &self.manifest.action;
        let all = self.columns();
        let hand = match action.space {
            ActionSpace::JointPosition => action.gripper_joint.as_deref(),
            ActionSpace::EndEffector => Some("gripper"),
        };
        let arm: Vec<usize> = all.iter().copied().filter(|i| Some(action.names[*i].as_str()) != hand).collect();
        let mut sets: Vec<Vec<usize>> = all.iter().map(|column| vec![*column]).collect();
        sets.extend([arm, all]);
        let mut references = self.references(&sets);
        references.extend(self.shown());

        let mut others: Vec<Other> = self.orientation().into_iter().collect();
        others.extend(self.grippers());
        let both: Vec<Other> = (others.iter())
            .flat_map(|one| {
                references.iter().map(|other| {
                    let mut manifest = one.manifest.clone();
                    manifest.action.reference.clone_from(&other.manifest.action.reference);
                    let fields = one.fields.iter().chain(&other.fields).copied().collect();
                    Other { manifest, fields, with: one.with.iter().chain(&other.with).cloned().collect() }
                })
            })
            .collect();
        references.into_iter().chain(others).chain(both).collect()
    }

    /// With the orientation of the golden file's first row, where the policy gives none.
    fn orientation(&self) -> Option<Other> {
        let action = &self.manifest.action;
        let given = ["roll", "pitch", "yaw"].iter().all(|angle| action.names.iter().any(|name| name == angle));
        if action.space != ActionSpace::EndEffector || given {
            return None;
        }
        let tool = self.tool(&self.chain, self.given.joints.get(..self.joints.len())?)?;
        let (roll, pitch, yaw) = tool.rotation.euler_angles();
        let mut manifest = self.manifest.clone();
        manifest.action.orientation = Some(Rpy { roll, pitch, yaw });
        let with = vec![format!("roll {}, pitch {}, yaw {}", angle(roll), angle(pitch), angle(yaw))];
        Some(Other { manifest, fields: vec!["action.orientation"], with })
    }

    /// With another joint for the gripper. Of joint positions it may be none: then no joint is kept within its limits.
    fn grippers(&self) -> Vec<Other> {
        let action = &self.manifest.action;
        let solves = action.space == ActionSpace::EndEffector;
        if solves && !action.names.iter().any(|name| name == "gripper") {
            return Vec::new();
        }
        let free = |place: &usize| !solves || !self.places.contains(place);
        let names = (0..self.joints.len()).filter(free).map(|place| Some(&self.joints.as_slice()[place]));
        let none = (!solves).then_some(None);
        let others = names.chain(none).filter(|name| action.gripper_joint.as_ref() != *name);
        others
            .map(|name| {
                let mut manifest = self.manifest.clone();
                manifest.action.gripper_joint = name.cloned();
                let with = name.map_or_else(|| "none".to_owned(), |name| format!("'{name}'"));
                Other { manifest, fields: vec!["action.gripper_joint"], with: vec![with] }
            })
            .collect()
    }

    /// The coordinate that a column of the actions is of, with the joints of a row; nothing for rotations.
    fn value(&self, column: usize, row: &[f64]) -> Option<f64> {
        let action = &self.manifest.action;
        let name = action.names[column].as_str();
        let joint = match (action.space, name) {
            (ActionSpace::EndEffector, "x" | "y" | "z") => {
                let at = self.tool(&self.chain, row)?.translation.vector;
                return ["x", "y", "z"].iter().position(|axis| *axis == name).map(|axis| at[axis]);
            }
            (ActionSpace::EndEffector, "gripper") => action.gripper_joint.as_deref()?,
            (ActionSpace::EndEffector, _) => return None,
            (ActionSpace::JointPosition, name) => name,
        };
        self.joints.index_of(joint).map(|joint| row[joint])
    }

    /// Of each row a column's action, what it was at the observation, and what the exporter made of it.
    fn column(&self, column: usize) -> Option<Vec<[f64; 3]>> {
        let (history, horizon) = (self.manifest.observation.history, self.manifest.action.horizon);
        let newest = |chunk: usize| self.golden.frames.get((chunk + 1) * history - 1);
        let rows = self.given.joints.chunks_exact(self.joints.len()).enumerate();
        rows.map(|(row, there)| {
            let action = *self.golden.actions.get(row * self.manifest.action_len() + column)?;
            Some([action, self.value(column, &newest(row / horizon)?.joints)?, self.value(column, there)?])
        })
        .collect()
    }

    /// With what the exporter's rows show each column to count from, where that is another reference.
    fn shown(&self) -> Option<Other> {
        let action = &self.manifest.action;
        let within = if action.space == ActionSpace::EndEffector { AT } else { JOINT };
        let mut manifest = self.manifest.clone();
        let mut with = Vec::new();
        for column in self.columns() {
            let Some(rows) = self.column(column) else { continue };
            let fits = |reference| {
                let origin = |at: f64| if reference == Reference::Relative { at } else { 0.0 };
                rows.iter().all(|[action, at, there]| (origin(*at) + action - there).abs() <= within)
            };
            let (other, word) = match action.reference[column] {
                Reference::Absolute => (Reference::Relative, "relative"),
                Reference::Relative => (Reference::Absolute, "absolute"),
            };
            if fits(other) && !fits(action.reference[column]) {
                manifest.action.reference[column] = other;
                with.push(format!("{} {word}", action.names[column]));
            }
        }
        let fields = vec!["action.reference"];
        (!with.is_empty()).then(|| Other { manifest, fields, with: vec![with.join(", ")] })
    }

    /// A column of the actions, and the factor between it and what the exporter made of it, where that is one between units.
    fn factor(&self) -> Option<(&str, f64)> {
        const UNITS: [f64; 3] = [180.0 / std::f64::consts::PI, 1000.0, 100.0];
        let action = &self.manifest.action;
        for (column, name) in action.names.iter().enumerate() {
            let Some(rows) = self.column(column) else { continue };
            let relative = action.reference[column] == Reference::Relative;
            let made = |[_, at, there]: &[f64; 3]| if relative { there - at } else { *there };
            let square: f64 = rows.iter().map(|row| row[0] * row[0]).sum();
            let factor = rows.iter().map(|row| row[0] * made(row)).sum::<f64>() / square;
            let largest = rows.iter().fold(0.0, |most: f64, row| most.max(made(row).abs()));
            let steady = rows.iter().all(|row| (factor * row[0] - made(row)).abs() <= FACTOR * largest);
            let is = |unit: f64| (factor / unit - 1.0).abs() < FACTOR;
            if largest > 0.0 && steady && UNITS.iter().any(|unit| is(*unit) || is(1.0 / unit)) {
                return Some((name, factor));
            }
        }
        None
    }
}

/// An angle, of which the rounding of a way through matrices is not told.
fn angle(value: f64) -> String {
    let value = if value.abs() < 5e-5 { 0.0 } else { value };
    format!("{value:.4}")
}

/// Two numbers in as few digits as tell them apart.
fn apart(a: f64, b: f64) -> (String, String) {
    let (mut one, mut other) = (short(a), short(b));
    // As many as make a number of order one what it is.
    for digits in 7..=17 {
        if one != other || a == b {
            break;
        }
        (one, other) = (format!("{a:.digits$}"), format!("{b:.digits$}"));
    }
    (one, other)
}

/// A number in as few digits as say it.
fn short(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
