//! A hundred broken descriptions, generated from one seed: whatever is wrong with the files of a robot and its cell is told with file, element and cure,
//! all of it, in bounded time, and nothing panics.
#![allow(clippy::unwrap_used)]

use efm_app::cell::{CellPlan, Files};
use efm_app::publisher::streaming_params;
use efm_config::Params;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Which files are those of a fault.
const URDF: &str = "robot.urdf";
const LIMITS: &str = "joint_limits.yaml";
const SRDF: &str = "robot.srdf";
const CELL: &str = "cell.yaml";

struct Dice(u64);

impl Dice {
    /// From 0 up to it.
    fn roll(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// The files of a robot of a few joints, `j0` and so on, and of its cell.
#[derive(Default)]
struct Robot {
    joints: usize,
    urdf: String,
    /// What stands in the limits of a joint, by joint; others are whole.
    limits: BTreeMap<String, String>,
    srdf: String,
    objects: String,
}

const LIMIT: &str = "<limit lower='-1' upper='1' velocity='2' effort='1'/>";
const WHOLE: &str = "{max_acceleration: 3, max_jerk: 30}";
const BALL: &str = "<collision><geometry><sphere radius='0.01'/></geometry></collision>";

impl Robot {
    fn new(joints: usize) -> Self {
        let mut urdf = format!("<link name='l0'>{BALL}</link>\n");
        for k in 0..joints {
            let child = k + 1;
            urdf += &format!("<link name='l{child}'>{BALL}</link>\n");
            urdf += &format!(
                "<joint name='j{k}' type='revolute'><origin xyz='0 0 1'/><parent link='l{k}'/><child link='l{child}'/><axis xyz='0 1 0'/>{LIMIT}</joint>\n"
            );
        }
        Self { joints, urdf, ..Self::default() }
    }

    /// One more link on a joint of its own below the first one, with what is said of both.
    fn leaf(&mut self, k: usize, kind: &str, of_joint: &str, of_link: &str) {
        self.urdf += &format!(
            "<link name='b{k}'>{of_link}</link>\n<joint name='f{k}' {kind}><parent link='l0'/><child link='b{k}'/>{of_joint}</joint>\n"
        );
    }

    fn write(&self, folder: &Path) {
        let names: Vec<String> = (0..self.joints).map(|k| format!("j{k}")).collect();
        let mut limits = "joint_limits:\n".to_owned();
        for name in names.iter().filter(|name| !self.limits.contains_key(*name)) {
            limits += &format!("  {name}: {WHOLE}\n");
        }
        for (name, text) in &self.limits {
            limits += &format!("  {name}: {text}\n");
        }
        let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
        write(LIMITS, limits);
        write(URDF, format!("<?xml version='1.0'?>\n<robot name='r'>\n{}</robot>\n", self.urdf));
        write(SRDF, format!("<robot name='r'>\n{}</robot>\n", self.srdf));
        write(
            CELL,
            format!(
                "collision_objects:\n{}  - {{id: wall, primitives: [{{type: box, dimensions: [1, 1, 1]}}], primitive_poses: [{{position: [9, 9, 9]}}]}}\n",
                self.objects
            ),
        );
        write(
            "junk.stl",
            "neither solid nor anything else, but long enough to have a header and a count behind it: 0123456789"
                .to_owned(),
        );
        write("large.obj", "v 0 0 0\nv 200 0 0\nv 0 50 0\nv 0 0 30\nf 1 2 3\nf 1 2 4\n".to_owned());
        write("arm.step", "ISO-10303-21;".to_owned());
    }

    /// What is said of the files, errors or notes; and whether they are refused.
    fn said(&self, folder: &Path) -> (bool, String) {
        let path = |name: &str| folder.join(name).display().to_string();
        let joints: Vec<String> = (0..self.joints).map(|k| format!("j{k}")).collect();
        let params = BTreeMap::from([
            ("robot_description_file".to_owned(), json!(path(URDF))),
            ("robot_description_semantic_file".to_owned(), json!(path(SRDF))),
            ("joint_limits_file".to_owned(), json!(path(LIMITS))),
            ("obstacles_file".to_owned(), json!(path(CELL))),
            ("controllers.arm".to_owned(), json!(joints)),
        ]);
        let params = Params::from_json(streaming_params::specs(), &params).unwrap();
        let files = Files::read(&params).unwrap();
        let urdf = std::fs::read_to_string(folder.join(URDF)).unwrap();
        let cell = CellPlan::new(&params, &files).and_then(|plan| plan.of(&urdf, files.semantics.as_deref()));
        match cell {
            Ok(cell) => (false, cell.notes().join("\n")),
            Err(error) => (true, error.to_string()),
        }
    }
}

/// A kind of fault: which file, whether it is refused (else noted), what is done, and the element and the cure that are told. `#` is its number.
type Fault = (&'static str, bool, fn(&mut Robot, usize), &'static str, &'static str);

fn object(robot: &mut Robot, k: usize, inner: &str) {
    robot.objects += &format!("  - {{id: o{k}, {inner}}}\n");
}

const FIXED: &str = "type='fixed'";
const TURNS: &str = "type='revolute'";

const FAULTS: &[Fault] = &[
    // Numbers.
    (URDF, true, |r, k| r.leaf(k, FIXED, "<origin xyz='nan 0 0'/>", ""), "joint 'f#'", "3 finite numbers"),
    (URDF, true, |r, k| r.leaf(k, FIXED, "<origin xyz='0 1e12 0'/>", ""), "joint 'f#'", "at most 1e9"),
    (URDF, true, |r, k| r.leaf(k, FIXED, "<origin rpy='0 0'/>", ""), "joint 'f#'", "3 finite numbers"),
    (URDF, true, |r, k| r.leaf(k, FIXED, "<origin xyz='0 0 ${h}'/>", ""), "joint 'f#'", "expand this xacro first"),
    (URDF, true, |r, k| r.leaf(k, TURNS, "<axis xyz='0 0 0'/>", ""), "joint 'f#'", "a unit vector is wanted"),
    (
        URDF,
        true,
        |r, k| r.leaf(k, TURNS, "<limit lower='2' upper='1' velocity='1'/>", ""),
        "joint 'f#'",
        "exchange them",
    ),
    (URDF, true, |r, k| r.leaf(k, TURNS, "<limit velocity='-1'/>", ""), "joint 'f#'", "must be 0 or above"),
    (URDF, true, |r, k| r.leaf(k, TURNS, "<limit velocity='1' effort='-3'/>", ""), "joint 'f#'", "must be 0 or above"),
    (URDF, true, |r, k| r.leaf(k, TURNS, "<limit lower='-1' upper='1'/>", ""), "joint 'f#'", "which URDF requires"),
    (URDF, true, |r, k| r.leaf(k, TURNS, "<limit velocity='fast'/>", ""), "joint 'f#'", "not a finite number"),
    (URDF, true, |r, k| r.leaf(k, TURNS, "<dynamics damping='-1'/>", ""), "joint 'f#'", "not negative"),
    (
        URDF,
        true,
        |r, k| {
            r.leaf(
                k,
                FIXED,
                "",
                "<inertial><mass value='inf'/><inertia ixx='1' ixy='0' ixz='0' iyy='1' iyz='0' izz='1'/></inertial>",
            )
        },
        "link 'b#'",
        "a finite number",
    ),
    (
        URDF,
        true,
        |r, k| {
            r.leaf(
                k,
                FIXED,
                "",
                "<inertial><mass value='-1'/><inertia ixx='1' ixy='0' ixz='0' iyy='1' iyz='0' izz='1'/></inertial>",
            )
        },
        "link 'b#'",
        "the mass not negative",
    ),
    (URDF, true, |r, k| r.leaf(k, FIXED, "", "<inertial><mass value='1'/></inertial>"), "link 'b#'", "<inertia ixx="),
    // What is missing, or there twice.
    (URDF, true, |r, k| r.leaf(k, FIXED, "<origin/><origin/>", ""), "joint 'f#'", "keep one"),
    (URDF, true, |r, k| r.leaf(k, TURNS, &LIMIT.repeat(2), ""), "joint 'f#'", "keep one"),
    (URDF, true, |r, k| r.leaf(k, "", "", ""), "joint 'f#'", "revolute, continuous, prismatic or fixed"),
    (
        URDF,
        true,
        |r, k| r.leaf(k, "type='screw'", "", ""),
        "joint 'f#'",
        "revolute, continuous, prismatic and fixed are",
    ),
    (
        URDF,
        true,
        |r, k| r.urdf += &format!("<joint name='f{k}' type='fixed'><parent link='l0'/></joint>\n"),
        "joint 'f#'",
        "<child link=",
    ),
    (
        URDF,
        true,
        |r, k| {
            r.urdf += &format!(
                "<link name='b{k}'/>\n<joint name='f{k}' type='fixed'><parent link='none'/><child link='b{k}'/></joint>\n"
            )
        },
        "joint 'f#'",
        "correct its name",
    ),
    (
        URDF,
        true,
        |r, k| {
            r.urdf += &format!("<joint name='f{k}' type='fixed'><parent link='l0'/><child link='none{k}'/></joint>\n")
        },
        "joint 'f#'",
        "correct its name",
    ),
    (URDF, true, |r, _| r.urdf += "<link/>\n", "link in line", "give it one"),
    (URDF, true, |r, _| r.urdf += "<joint type='fixed'/>\n", "joint in line", "give it one"),
    (
        URDF,
        true,
        |r, k| {
            r.leaf(k, FIXED, "", "");
            r.urdf += &format!("<link name='b{k}'/>\n");
        },
        "link 'b#'",
        "rename one of them",
    ),
    (
        URDF,
        true,
        |r, k| {
            r.leaf(k, FIXED, "", "");
            r.urdf += &format!(
                "<link name='c{k}'/>\n<joint name='f{k}' type='fixed'><parent link='l0'/><child link='c{k}'/></joint>\n"
            );
        },
        "joint 'f#'",
        "rename one of them",
    ),
    (URDF, true, |r, k| r.leaf(k, FIXED, "", "<collision/>"), "link 'b#'", "give it one, or take it out"),
    (
        URDF,
        true,
        |r, k| r.leaf(k, FIXED, "", "<visual><geometry><torus/></geometry></visual>"),
        "link 'b#'",
        "a box, a cylinder, a sphere",
    ),
    (
        URDF,
        true,
        |r, k| r.leaf(k, FIXED, "", "<collision><geometry><sphere radius='-1'/></geometry></collision>"),
        "link 'b#'",
        "finite and positive",
    ),
    (
        URDF,
        true,
        |r, k| r.leaf(k, FIXED, "", "<collision><geometry><box size='1 1'/></geometry></collision>"),
        "link 'b#'",
        "3 finite numbers",
    ),
    (
        URDF,
        true,
        |r, k| r.leaf(k, FIXED, "", "<collision><geometry><cylinder radius='1'/></geometry></collision>"),
        "link 'b#'",
        "give length=",
    ),
    (
        URDF,
        true,
        |r, k| r.leaf(k, FIXED, "", "<collision><geometry><mesh/></geometry></collision>"),
        "link 'b#'",
        "give filename=",
    ),
    // Followers.
    (URDF, true, |r, k| r.leaf(k, TURNS, "<mimic/>", ""), "joint 'f#'", "which joint it follows"),
    (URDF, true, |r, k| r.leaf(k, TURNS, &format!("<mimic joint='f{k}'/>"), ""), "joint 'f#'", "leave out <mimic>"),
    (URDF, true, |r, k| r.leaf(k, TURNS, "<mimic joint='nobody'/>", ""), "joint 'f#'", "name the joint that leads"),
    (
        URDF,
        true,
        |r, k| {
            r.leaf(k, TURNS, &format!("<mimic joint='f{k}9'/>"), "");
            r.leaf(10 * k + 9, TURNS, &format!("<mimic joint='f{k}'/>"), "");
        },
        "joint 'f#9'",
        "leads them all",
    ),
    // No tree.
    (
        URDF,
        true,
        |r, k| r.urdf += &format!("<link name='alone{k}'/>\n"),
        "'alone#'",
        "by fixed joints, or take them out",
    ),
    (
        URDF,
        true,
        |r, k| {
            r.urdf += &format!(
                "<link name='p{k}'/><link name='q{k}'/>\n<joint name='pq{k}' type='fixed'><parent link='p{k}'/><child link='q{k}'/></joint>\n<joint name='qp{k}' type='fixed'><parent link='q{k}'/><child link='p{k}'/></joint>\n"
            )
        },
        "'p#', 'q#' hangs in a ring of joints ('qp#', 'pq#')",
        "take out one of them",
    ),
    (
        URDF,
        true,
        |r, k| {
            r.leaf(k, FIXED, "", "");
            r.urdf += &format!("<joint name='g{k}' type='fixed'><parent link='l1'/><child link='b{k}'/></joint>\n");
        },
        "link 'b#' is carried by 'f#' and by 'g#'",
        "keep one of them",
    ),
    (
        URDF,
        true,
        |r, k| {
            r.urdf += &format!(
                "<link name='b{k}'/>\n<joint name='f{k}' type='floating'><parent link='l1'/><child link='b{k}'/></joint>\n"
            )
        },
        "joint 'f#'",
        "make it fixed",
    ),
    // Likely another unit.
    (
        URDF,
        false,
        |r, k| r.leaf(k, TURNS, "<limit lower='-170' upper='170' velocity='2'/>", ""),
        "joint 'f#'",
        "divide by 57.29578",
    ),
    (
        URDF,
        false,
        |r, k| r.leaf(k, TURNS, "<limit lower='-1' upper='1' velocity='180'/>", ""),
        "joint 'f#'",
        "divide by 57.29578",
    ),
    (URDF, false, |r, k| r.leaf(k, FIXED, "<origin rpy='0 90 0'/>", ""), "joint 'f#'", "divide by 57.29578"),
    (URDF, false, |r, k| r.leaf(k, FIXED, "<origin xyz='0 0 333'/>", ""), "joint 'f#'", "divide by 1000"),
    (
        URDF,
        false,
        |r, k| r.leaf(k, FIXED, "", "<visual><geometry><box size='120 60 60'/></geometry></visual>"),
        "link 'b#'",
        "divide by 1000",
    ),
    (URDF, false, |r, k| r.leaf(k, "type='planar'", "", ""), "joint 'f#'", "taken for fixed"),
    // Meshes.
    (
        URDF,
        true,
        |r, k| {
            r.leaf(k, FIXED, "", &format!("<collision><geometry><mesh filename='gone{k}.stl'/></geometry></collision>"))
        },
        "link 'b#': mesh 'gone#.stl'",
        "name it by its full path",
    ),
    (
        URDF,
        true,
        |r, k| {
            r.leaf(
                k,
                FIXED,
                "",
                &format!("<collision><geometry><mesh filename='package://nobody/m{k}.dae'/></geometry></collision>"),
            )
        },
        "link 'b#': mesh 'package://nobody/m#.dae'",
        "parameter 'packages'",
    ),
    (
        URDF,
        true,
        |r, k| r.leaf(k, FIXED, "", "<collision><geometry><mesh filename='junk.stl'/></geometry></collision>"),
        "link 'b#': mesh 'junk.stl'",
        "export it anew",
    ),
    (
        URDF,
        true,
        |r, k| r.leaf(k, FIXED, "", "<collision><geometry><mesh filename='arm.step'/></geometry></collision>"),
        "link 'b#': mesh 'arm.step'",
        "convert it",
    ),
    (
        URDF,
        false,
        |r, k| r.leaf(k, FIXED, "", "<collision><geometry><mesh filename='large.obj'/></geometry></collision>"),
        "link 'b#': mesh 'large.obj'",
        "scale=\"0.001 0.001 0.001\"",
    ),
    // Limits.
    (
        LIMITS,
        true,
        |r, k| {
            r.limits.insert(format!("j{k}"), "{max_velocity: -1, max_acceleration: 3, max_jerk: 30}".into());
        },
        "max_velocity of joint 'j#'",
        "finite and above 0",
    ),
    (
        LIMITS,
        true,
        |r, k| {
            r.limits.insert(format!("j{k}"), "{max_acceleration: 3, max_jerk: .nan}".into());
        },
        "max_jerk of joint 'j#'",
        "finite and above 0",
    ),
    (
        LIMITS,
        true,
        |r, k| {
            r.limits.insert(format!("j{k}"), "{max_speed: 3}".into());
        },
        "joint 'j#'",
        "known are has_position_limits",
    ),
    (
        LIMITS,
        true,
        |r, k| {
            r.limits.insert(format!("j{k}"), "{max_velocity: fast}".into());
        },
        "joint 'j#'",
        "a number is wanted",
    ),
    (
        LIMITS,
        true,
        |r, k| {
            r.limits.insert(format!("knee{k}"), WHOLE.into());
        },
        "'knee#'",
        "correct the name, or take it out",
    ),
    (
        LIMITS,
        true,
        |r, k| {
            r.limits.insert(format!("j{k}"), "{max_acceleration: 3}".into());
        },
        "'j#'",
        "parameter 'default_jerk'",
    ),
    (
        LIMITS,
        true,
        |r, k| {
            r.limits
                .insert(format!("j{k}"), "{has_acceleration_limits: false, max_acceleration: 3, max_jerk: 30}".into());
        },
        "'j#'",
        "parameter 'default_acceleration'",
    ),
    (
        LIMITS,
        true,
        |r, k| {
            r.limits.insert(
                format!("j{k}"),
                "{min_position: 0.5, max_position: 0.1, max_acceleration: 3, max_jerk: 30}".into(),
            );
        },
        "joint 'j#'",
        "mend min_position and max_position",
    ),
    (
        LIMITS,
        false,
        |r, k| {
            r.limits.insert(format!("j{k}"), "{max_velocity: 120, max_acceleration: 3, max_jerk: 30}".into());
        },
        "joint 'j#'",
        "!degrees",
    ),
    // Semantics.
    (SRDF, true, |r, k| r.srdf += &format!("<group name='g{k}'/><group name='g{k}'/>\n"), "group 'g#'", "keep one"),
    (
        SRDF,
        true,
        |r, k| r.srdf += &format!("<group name='g{k}'><group name='none{k}'/></group>\n"),
        "group 'none#'",
        "take it out of 'g#'",
    ),
    (
        SRDF,
        true,
        |r, k| r.srdf += &format!("<group name='g{k}'><group name='g{k}'/></group>\n"),
        "group 'g#' contains itself",
        "take it out",
    ),
    (
        SRDF,
        true,
        |r, k| r.srdf += &format!("<group name='g{k}'><chain base_link='l2' tip_link='l0'/></group>\n"),
        "group 'g#'",
        "exchange base_link and tip_link",
    ),
    (SRDF, true, |r, k| r.srdf += &format!("<group_state name='s{k}' group='none'/>\n"), "state 's#'", "add the group"),
    (
        SRDF,
        true,
        |r, k| {
            r.srdf += &format!(
                "<group name='g{k}'/><group_state name='s{k}' group='g{k}'><joint name='j0' value='nan'/></group_state>\n"
            )
        },
        "state 's#'",
        "a finite number",
    ),
    (SRDF, true, |r, _| r.srdf += "<disable_collisions link1='l0'/>\n", "<disable_collisions>", "give link2="),
    (
        SRDF,
        false,
        |r, k| r.srdf += &format!("<disable_collisions link1='l0' link2='none{k}'/>\n"),
        "no link 'none#'",
        "left out",
    ),
    (
        SRDF,
        false,
        |r, k| r.srdf += &format!("<virtual_joint name='v{k}' type='floating' parent_frame='odom' child_link='l0'/>\n"),
        "virtual joint 'v#'",
        "taken for fixed",
    ),
    // The cell.
    (
        CELL,
        true,
        |r, k| object(r, k, "primitives: [{type: box, dimensions: [1, 1]}], primitive_poses: [{position: [9, 9, 9]}]"),
        "object 'o#'",
        "3 finite positive numbers",
    ),
    (
        CELL,
        true,
        |r, k| {
            object(r, k, "primitives: [{type: pyramid, dimensions: [1, 1]}], primitive_poses: [{position: [9, 9, 9]}]")
        },
        "object 'o#'",
        "expected one of `box`",
    ),
    (
        CELL,
        true,
        |r, k| {
            object(r, k, "primitives: [{type: sphere, dimensions: [1]}], primitive_poses: [{position: [9, .nan, 9]}]")
        },
        "object 'o#'",
        "must be finite",
    ),
    (
        CELL,
        true,
        |r, k| {
            object(
                r,
                k,
                "primitives: [{type: sphere, dimensions: [1]}], primitive_poses: [{position: [9, 9, 9], orientation: [0, 0, 0, 5]}]",
            )
        },
        "object 'o#'",
        "unit quaternion",
    ),
    (
        CELL,
        true,
        |r, k| object(r, k, "primitives: [{type: sphere, dimensions: [1]}], primitive_poses: []"),
        "object 'o#'",
        "give one each",
    ),
    (
        CELL,
        true,
        |r, k| {
            object(
                r,
                k,
                "frame_id: desk, primitives: [{type: sphere, dimensions: [1]}], primitive_poses: [{position: [9, 9, 9]}]",
            )
        },
        "object 'o#'",
        "name one that does",
    ),
    (
        CELL,
        true,
        |r, k| {
            object(
                r,
                k,
                "frame_id: l2, primitives: [{type: sphere, dimensions: [1]}], primitive_poses: [{position: [9, 9, 9]}]",
            )
        },
        "object 'o#'",
        "is attached to it instead",
    ),
    (CELL, true, |r, k| object(r, k, "frame_id: world"), "object 'o#'", "give at least one"),
    (
        CELL,
        true,
        |r, k| object(r, k, "meshes: [{resource: gone.obj}], mesh_poses: [{position: [9, 9, 9]}]"),
        "object 'o#': mesh 'gone.obj'",
        "name it by its full path",
    ),
];

/// Faults of these are told when the robot is put together with its files, so only where each of them can be read.
fn is_told_late((file, refused, _, element, cure): &Fault) -> bool {
    let late = ["mesh '", "'knee#'", "'j#'", "joint 'j#'", "object 'o#'"];
    !refused
        || cure.contains("exchange base_link")
        || (*file != URDF || element.contains("mesh '")) && late.iter().any(|words| element.contains(words))
}

/// Whether one of the files cannot be read by itself because of it.
fn hides_what_is_late((file, refused, _, element, cure): &Fault) -> bool {
    let fits_by_itself = [
        "correct the name",
        "'default_",
        "mend min_position",
        "name one that does",
        "attached to it",
        "give at least one",
        "full path",
    ];
    *refused && !element.contains("mesh '") && *file != SRDF && !fits_by_itself.iter().any(|words| cure.contains(words))
}

fn breaks(seed: u64, faults: &[(usize, &Fault)]) {
    let mut dice = Dice(seed);
    let mut robot = Robot::new(4 + dice.roll(4));
    for (k, fault) in faults {
        (fault.2)(&mut robot, *k);
    }
    let folder = tempfile::tempdir().unwrap();
    robot.write(folder.path());
    let began = Instant::now();
    let (refused, said) = robot.said(folder.path());
    assert!(began.elapsed() < Duration::from_secs(20), "{seed}: {:?}", began.elapsed());
    assert!(said.len() < 40_000, "{seed}: {} bytes", said.len());
    assert_eq!(refused, faults.iter().any(|(_, fault)| fault.1), "{seed}: {said}");
    let late = !faults.iter().any(|(_, fault)| hides_what_is_late(fault));
    for (k, fault) in faults {
        // A note is no part of what a refusal says.
        if refused && !fault.1 || is_told_late(fault) && !late && faults.len() > 1 {
            continue;
        }
        for part in [fault.0, &*fault.3.replace('#', &k.to_string()), &*fault.4.replace('#', &k.to_string())] {
            assert!(said.contains(part), "{seed}: of {:?} '{said}' should say '{part}'", (fault.0, fault.3));
        }
    }
}

#[test]
fn each_kind_of_fault_is_told_by_itself() {
    for (seed, fault) in (0..).zip(FAULTS) {
        breaks(seed, &[(1, fault)]);
    }
}

#[test]
fn a_hundred_broken_descriptions_are_told_with_file_element_and_cure() {
    for seed in 1000..1100 {
        let mut dice = Dice(seed);
        let faults: Vec<(usize, &Fault)> =
            (1..3 + dice.roll(2)).map(|k| (k, &FAULTS[dice.roll(FAULTS.len())])).collect();
        breaks(seed, &faults);
    }
}

#[test]
fn a_description_that_ends_or_begins_anywhere_is_told_or_taken() {
    let robot = Robot::new(3);
    let folder = tempfile::tempdir().unwrap();
    robot.write(folder.path());
    let whole: BTreeMap<&str, String> = [URDF, LIMITS, SRDF, CELL]
        .map(|name| (name, std::fs::read_to_string(folder.path().join(name)).unwrap()))
        .into();
    let mut dice = Dice(7);
    for _ in 0..100 {
        let (name, text) = whole.iter().nth(dice.roll(4)).unwrap();
        let cut = dice.roll(text.len());
        std::fs::write(folder.path().join(name), if dice.roll(2) == 0 { &text[..cut] } else { &text[cut..] }).unwrap();
        let (refused, said) = robot.said(folder.path());
        assert!(!refused || said.contains(name) || said.contains("joint 'j"), "{name} {cut}: {said}");
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    assert!(!robot.said(folder.path()).0);
}
