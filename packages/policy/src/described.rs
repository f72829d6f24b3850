//! Whether the robot description here has the tool where the exporter's had it.
//!
//! Real robots are described a little otherwise than the exporter's was: calibration moves joints and links by hundredths of a millimetre to some
//! millimetres. Up to [`DESCRIBED_AT`] and [`DESCRIBED_TURNED`] that is told and allowed for. More is another tool, or another link.

use crate::conversion::{AT, ConversionProblem, ConversionReport, TURNED};
use crate::golden::Golden;
use crate::manifest::Manifest;
use crate::outgoing::{OBSERVED_TOOLS, OUTGOING};
use efm_core::JointNames;
use efm_robot::{Chain, RobotModel};
use nalgebra::Isometry3;

/// As far as a description may put the tool elsewhere than the exporter's did, m.
const DESCRIBED_AT: f64 = 0.02;
/// The same, rad.
const DESCRIBED_TURNED: f64 = 0.05;

/// How far the tool is from where the exporter's description had it with the same joints: m and rad.
type Off = (f64, f64);

/// What was found; lists are empty where the golden file does not say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Described {
    /// Of each row of the chunk as it goes out.
    pub rows: Vec<Off>,
    /// Of each observation.
    pub observed: Vec<Off>,
}

/// Compares both, and tells what differs. None: that is another link or tool. `rows`: whether those of the chunk are looked at; the joints of both have
/// the order of the manifest's.
pub(crate) fn compare(
    manifest: &Manifest,
    golden: &Golden,
    rows: bool,
    model: &RobotModel,
    report: &mut ConversionReport,
) -> Option<Described> {
    // What cannot be made of manifest and robot is told by whoever opens the package.
    let Ok(joints) = manifest.joints() else { return Some(Described::default()) };
    let (base, tip) = (manifest.robot.base_link.as_str(), manifest.robot.tip_link.as_str());
    let given = golden.outgoing.as_ref().filter(|_| rows);
    let sent = given.map_or(&[][..], |given| &given.joints).chunks_exact(joints.len());
    let sent: Pairs<'_> = sent.zip(given.map_or(&[][..], |given| &given.tools)).collect();
    let seen: Pairs<'_> = golden.frames.iter().map(|f| f.joints.as_slice()).zip(&golden.observed_tools).collect();

    let chain = Chain::new(model, base, tip).ok();
    let here = |pairs| chain.as_ref().and_then(|chain| off(chain, &joints, pairs));
    let (Some(rows), Some(observed)) = (here(&sent), here(&seen)) else { return Some(Described::default()) };
    let (way, angle) = most(rows.iter().chain(&observed));
    if near((way, angle)) {
        if way > AT || angle > TURNED {
            report.warnings.push(format!(
                "the robot description puts the tool up to {way:.4} m and {angle:.4} rad from where the exporter's did with the same joints"
            ));
        }
        return Some(Described { rows, observed });
    }
    let mut wrong = |field: &str, problem: String| report.problems.push(ConversionProblem::of(field, problem));
    if !rows.is_empty() && !observed.is_empty() && near(most(rows.iter())) != near(most(observed.iter())) {
        let field = if near(most(rows.iter())) { OBSERVED_TOOLS } else { "outgoing.tools" };
        wrong(
            &format!("golden file's {field}"),
            format!(
                "with its joints '{tip}' is {way:.3} m and {angle:.3} rad from there in '{base}'; by its other poses \
                 ({OBSERVED_TOOLS}, {OUTGOING}.tools) it is where it should be, so the exporter's own do not agree"
            ),
        );
        return None;
    }
    let fits = |base: &str, tip: &str| {
        let chain = Chain::new(model, base, tip).ok();
        let all = |pairs| chain.as_ref().and_then(|chain| off(chain, &joints, pairs));
        let found = all(&sent).zip(all(&seen)).map(|(rows, observed)| most(rows.iter().chain(&observed)));
        found.is_some_and(|(way, angle)| way <= AT && angle <= TURNED)
    };
    let links = || model.links().iter().map(|link| link.name.as_str());
    let (field, hint) = if let Some(link) = links().find(|link| fits(base, link)) {
        ("robot.tip_link", format!("with '{link}' it is there"))
    } else if let Some(link) = links().find(|link| fits(link, tip)) {
        ("robot.base_link", format!("with '{link}' it is there"))
    } else {
        ("robot.tip_link", "no other link is there, so the robot description may be of another tool".to_owned())
    };
    wrong(
        field,
        format!(
            "with the joints of the golden file '{tip}' is {way:.3} m and {angle:.3} rad from where its exporter had the tool in '{base}'; {hint}"
        ),
    );
    None
}

/// Joints in the manifest's order, and where the exporter had the tool with them.
type Pairs<'a> = Vec<(&'a [f64], &'a Isometry3<f64>)>;

/// None: the chain has a joint that the package lacks.
fn off(chain: &Chain, joints: &JointNames, pairs: &Pairs<'_>) -> Option<Vec<Off>> {
    let places = chain.joint_names().iter().map(|name| joints.index_of(name)).collect::<Option<Vec<usize>>>()?;
    let one = |(row, tool): &(&[f64], &Isometry3<f64>)| {
        let here = chain.fk(&places.iter().map(|place| row[*place]).collect::<Vec<f64>>());
        ((here.translation.vector - tool.translation.vector).norm(), here.rotation.angle_to(&tool.rotation))
    };
    Some(pairs.iter().map(one).collect())
}

fn most<'a>(all: impl Iterator<Item = &'a Off>) -> Off {
    all.fold((0.0, 0.0), |a: Off, b| (a.0.max(b.0), a.1.max(b.1)))
}

fn near((way, angle): Off) -> bool {
    way <= DESCRIBED_AT && angle <= DESCRIBED_TURNED
}
