//! Files that are wrong are refused in words that lead to the mistake: which joint, which field, what would be right.
#![allow(clippy::unwrap_used)]

use efm_core::JointNames;
use efm_robot::{LimitSet, LimitsFile, RobotModel, Srdf};
use std::io::Write;

const ENDS: &str = "<parent link='a'/><child link='b'/>";
const LIMIT: &str = "<limit lower='-1' upper='1' velocity='2' effort='1'/>";

fn urdf(body: &str) -> String {
    format!("<robot name='r'>{body}</robot>")
}

/// Two links and what stands in the joint between them, 'elbow'.
fn elbow(kind: &str, inner: &str) -> String {
    urdf(&format!("<link name='a'/><link name='b'/>\n<joint name='elbow' type='{kind}'>{inner}</joint>"))
}

fn refusal(xml: &str) -> String {
    RobotModel::from_urdf(xml).map(|_| ()).expect_err(xml).to_string()
}

fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "'{message}' should say '{part}'");
    }
}

#[test]
fn a_description_that_is_no_tree_of_finite_numbers_is_refused_by_joint_and_line() {
    let arm = |inner: &str| elbow("revolute", &format!("{ENDS}{LIMIT}{inner}"));
    for (xml, parts) in [
        (String::new(), vec!["not well-formed XML"]),
        ("joint_limits: {}".to_owned(), vec!["not well-formed XML"]),
        ("<sdf version='1.9'/>".to_owned(), vec!["<sdf>", "<robot>"]),
        (urdf(""), vec!["there is no link"]),
        (urdf("<link name='a'/><link name='b'/>"), vec!["'a' and 'b' are both carried by nothing"]),
        (urdf("<link/>"), vec!["link in line 1 has no name"]),
        (urdf("<link name=''/>"), vec!["link in line 1 has no name"]),
        (urdf("<link name='a'/><link name='a'/>"), vec!["link 'a'", "used twice"]),
        (
            urdf(&format!(
                "<link name='a'/><link name='b'/><link name='c'/><joint name='j' type='fixed'>{ENDS}</joint>\
                 <joint name='j' type='fixed'><parent link='b'/><child link='c'/></joint>"
            )),
            vec!["joint 'j'", "used twice"],
        ),
        // Rings: all of it, and beside a root.
        (
            urdf(&format!(
                "<link name='a'/><link name='b'/><joint name='i' type='fixed'>{ENDS}</joint>\
                 <joint name='k' type='fixed'><parent link='b'/><child link='a'/></joint>"
            )),
            vec!["every link is carried by another"],
        ),
        (
            urdf(&format!(
                "<link name='root'/><link name='a'/><link name='b'/><joint name='i' type='fixed'>{ENDS}</joint>\
                 <joint name='k' type='fixed'><parent link='b'/><child link='a'/></joint>"
            )),
            vec!["hangs in a ring"],
        ),
        (elbow("fixed", "<parent link='a'/><child link='a'/>"), vec!["not form one tree"]),
        (arm("<origin xyz='nan 0 0'/>"), vec!["joint 'elbow'", "line 2", "origin xyz=\"nan 0 0\"", "3 finite numbers"]),
        (arm("<origin xyz='0 0 inf'/>"), vec!["joint 'elbow'", "origin xyz"]),
        (arm("<origin xyz='0 0'/>"), vec!["joint 'elbow'", "3 finite numbers"]),
        (arm("<origin rpy='0 0 a'/>"), vec!["joint 'elbow'", "origin rpy=\"0 0 a\""]),
        (arm("<origin xyz='1e200 0 0'/>"), vec!["joint 'elbow'", "origin xyz", "at most 1e9"]),
        (arm("<axis xyz='nan 0 1'/>"), vec!["joint 'elbow'", "axis xyz"]),
        (arm("<axis xyz='0 0 0'/>"), vec!["joint 'elbow'", "no direction", "unit vector"]),
        (arm("<axis xyz='1e-200 0 0'/>"), vec!["joint 'elbow'", "no direction"]),
        (arm("<dynamics damping='-1'/>"), vec!["joint 'elbow'", "damping -1"]),
        (arm("<dynamics damping='nan'/>"), vec!["joint 'elbow'", "damping"]),
        (arm(LIMIT), vec!["joint 'elbow'", "more than one <limit>"]),
        (arm("<mimic joint='wrist'/>"), vec!["joint 'elbow'", "mimics 'wrist'", "does not exist"]),
        (arm("<mimic joint='elbow'/>"), vec!["joint 'elbow'", "mimics itself"]),
        (arm("<mimic/>"), vec!["joint 'elbow'", "which joint"]),
        (arm("<mimic joint='elbow' multiplier='inf'/>"), vec!["joint 'elbow'", "mimic multiplier=\"inf\""]),
        (elbow("revolute", "<child link='b'/>"), vec!["joint 'elbow'", "line 2", "<parent link="]),
        (elbow("revolute", "<parent link='a'/><child/>"), vec!["joint 'elbow'", "<child link="]),
        (elbow("revolute", "<parent link='a'/><child link='z'/>"), vec!["joint 'elbow'", "child link 'z'"]),
        (elbow("spherical", ENDS), vec!["joint 'elbow'", "revolute, continuous, prismatic and fixed"]),
        (
            elbow("revolute", &format!("{ENDS}<limit lower='2' upper='1' velocity='1'/>")),
            vec!["joint 'elbow'", "2", "1"],
        ),
        (elbow("revolute", &format!("{ENDS}<limit upper='1'/>")), vec!["joint 'elbow'", "no velocity"]),
        (
            elbow("revolute", &format!("{ENDS}<limit velocity='fast'/>")),
            vec!["joint 'elbow'", "limit velocity=\"fast\""],
        ),
        (elbow("revolute", &format!("{ENDS}<limit velocity='-1'/>")), vec!["joint 'elbow'", "velocity -1", "negative"]),
        (
            urdf("<link name='a'><collision><geometry><sphere radius='-1'/></geometry></collision></link>"),
            vec!["link 'a'", "positive"],
        ),
        (
            urdf(
                "<link name='a'><collision><origin xyz='0 nan 0'/><geometry><sphere radius='1'/></geometry></collision></link>",
            ),
            vec!["link 'a'", "origin xyz"],
        ),
        (urdf("<link name='a'><inertial><mass value='inf'/></inertial></link>"), vec!["link 'a'", "mass value"]),
    ] {
        says(&refusal(&xml), &parts);
    }
}

#[test]
fn a_follower_of_a_follower_is_refused_by_name() {
    let joint = |name: &str, parent: &str, child: &str, mimic: &str| {
        format!(
            "<joint name='{name}' type='revolute'><parent link='{parent}'/><child link='{child}'/>{LIMIT}{mimic}</joint>"
        )
    };
    let links: String = ["a", "b", "c", "d"].iter().map(|l| format!("<link name='{l}'/>")).collect();
    let chain = [
        links,
        joint("i", "a", "b", ""),
        joint("j", "b", "c", "<mimic joint='i'/>"),
        joint("k", "c", "d", "<mimic joint='j'/>"),
    ];
    says(&refusal(&urdf(&chain.concat())), &["joint 'k'", "mimics 'j'", "leads them all"]);
}

#[test]
fn deep_and_repeated_elements_end_in_an_error_and_not_in_the_stack() {
    let deep = format!("<robot name='r'>{}{}</robot>", "<a>".repeat(150_000), "</a>".repeat(150_000));
    says(&refusal(&deep), &["line 1", "elements within each other"]);
    let endless = format!("<robot name='r'>{}</robot>", "<a/>".repeat(300_000));
    says(&refusal(&endless), &["more than 200000 elements"]);
    let wide = format!("<robot name='r'><link name='a'>{}</link></robot>", "<b/><b><c/></b>".repeat(1_000));
    RobotModel::from_urdf(&wide).unwrap();
    // Groups of groups, each twice in the next: 2^40 ways to the last.
    let model = RobotModel::from_urdf(&urdf("<link name='a'/>")).unwrap();
    let groups = (0..40).map(|i| format!("<group name='{i}'><group name='{0}'/><group name='{0}'/></group>", i + 1));
    let srdf = urdf(&(groups.collect::<String>() + "<group name='40'/>"));
    assert_eq!(Srdf::parse(&srdf, &model).unwrap().groups().len(), 41);
}

#[test]
fn a_file_is_named_in_what_is_said_of_it() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"<robot name='r'>").unwrap();
    let name = file.path().display().to_string();
    says(&RobotModel::load(file.path()).unwrap_err().to_string(), &[&name, "not well-formed"]);
    let model = RobotModel::from_urdf(&urdf("<link name='a'/>")).unwrap();
    says(&Srdf::load(file.path(), &model).unwrap_err().to_string(), &[&name, "not well-formed"]);
    says(&LimitsFile::load(file.path()).unwrap_err().to_string(), &[&name, "joint_limits"]);
}

#[test]
fn a_semantic_description_of_another_robot_is_refused_by_line() {
    let model = RobotModel::from_urdf(&elbow("revolute", &format!("{ENDS}{LIMIT}"))).unwrap();
    for (body, parts) in [
        ("\n<group name='g'><joint/></group>", vec!["line 2", "<joint> has no attribute 'name'"]),
        ("<group name='g'><chain base_link='b' tip_link='a'/></group>", vec!["'a' is not below link 'b'"]),
        ("<group name='g'><group name='g'/></group>", vec!["contains itself"]),
        ("<group name='g'/><group name='g'/>", vec!["'g' is defined twice"]),
        ("<disable_collisions link1='a'/>", vec!["link2"]),
        ("<group_state name='s' group='g'/>", vec!["'s'", "'g'"]),
        (
            "<group name='g'/><group_state name='s' group='g'><joint name='elbow' value='nan'/></group_state>",
            vec!["'elbow'", "nan", "finite number"],
        ),
    ] {
        says(&Srdf::parse(&urdf(body), &model).unwrap_err().to_string(), &parts);
    }
}

/// Limits of 'elbow' by a description and a file.
fn limits(xml: &str, yaml: &str, default_jerk: Option<f64>) -> Result<efm_core::JointLimits, String> {
    let model = RobotModel::from_urdf(xml).unwrap();
    let file = LimitsFile::parse(yaml, "arm.yaml").map_err(|e| e.to_string())?;
    let file = if let Some(jerk) = default_jerk { file.with_default_jerk(jerk) } else { file };
    let set = LimitSet::new(&model, &file, &JointNames::new(["elbow"]).unwrap()).map_err(|e| e.to_string())?;
    Ok(set.joint(0).unwrap())
}

const FULL: &str = "joint_limits: {elbow: {max_velocity: 1, max_acceleration: 3, max_jerk: 9}}";

#[test]
fn a_limit_that_nobody_states_names_the_joint_the_key_and_the_file() {
    let bare = elbow("revolute", ENDS);
    let whole = elbow("revolute", &format!("{ENDS}{LIMIT}"));
    // Absent positions are absent, and no zeros.
    says(&limits(&bare, FULL, None).unwrap_err(), &["'elbow'", "lower position", "min_position", "arm.yaml"]);
    let half = elbow("revolute", &format!("{ENDS}<limit lower='-1' velocity='1'/>"));
    says(&limits(&half, FULL, None).unwrap_err(), &["'elbow'", "upper position", "max_position"]);
    let still = elbow("revolute", &format!("{ENDS}<limit lower='-1' upper='1' velocity='0'/>"));
    let wheel = elbow("continuous", ENDS);
    for xml in [&still, &wheel] {
        let error = limits(xml, "joint_limits: {elbow: {max_acceleration: 3, max_jerk: 9}}", None).unwrap_err();
        says(&error, &["'elbow'", "velocity", "max_velocity", "arm.yaml"]);
        limits(xml, FULL, None).unwrap();
    }
    let without = |key: &str| FULL.replace(key, "max_effort");
    says(
        &limits(&whole, &without("max_acceleration"), None).unwrap_err(),
        &["'elbow'", "acceleration", "max_acceleration"],
    );
    says(&limits(&whole, &without("max_jerk"), None).unwrap_err(), &["'elbow'", "jerk", "max_jerk"]);
    assert_eq!(limits(&whole, &without("max_jerk"), Some(50.0)).unwrap().jerk, 50.0);
    assert_eq!(limits(&whole, FULL, Some(50.0)).unwrap().jerk, 9.0, "what the file says holds");
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        says(&limits(&whole, &without("max_jerk"), Some(wrong)).unwrap_err(), &["default_jerk", "above 0"]);
    }
}

#[test]
fn a_limits_file_that_does_not_mean_what_it_says_is_refused() {
    let whole = elbow("revolute", &format!("{ENDS}{LIMIT}"));
    let elbow = |inner: &str| format!("joint_limits: {{elbow: {{{inner}}}}}");
    for (yaml, parts) in [
        (String::new(), vec!["arm.yaml", "no 'joint_limits'"]),
        ("# nothing".to_owned(), vec!["arm.yaml", "no 'joint_limits'"]),
        ("joint_limits: [1]".to_owned(), vec!["arm.yaml", "joint_limits"]),
        ("joint_limits: {elbow: 3}".to_owned(), vec!["arm.yaml", "'elbow'"]),
        ("<robot/>".to_owned(), vec!["arm.yaml", "joint_limits"]),
        ("a: b: c".to_owned(), vec!["arm.yaml"]),
        (
            "joint_limits: {elbo: {max_velocity: 1}}".to_owned(),
            vec!["arm.yaml", "joint 'elbo'", "does not exist", "elbow"],
        ),
        (elbow("max_velocity: -1"), vec!["arm.yaml", "max_velocity", "'elbow'", "-1", "above 0"]),
        (elbow("max_velocity: 0"), vec!["max_velocity", "'elbow'", "above 0"]),
        (elbow("max_deceleration: -1"), vec!["max_deceleration", "'elbow'"]),
        (elbow("max_acceleration: .nan"), vec!["max_acceleration", "'elbow'", "NaN"]),
        (elbow("max_jerk: .inf"), vec!["max_jerk", "'elbow'", "inf"]),
        (elbow("min_position: -.inf"), vec!["min_position", "'elbow'", "finite"]),
        (elbow("max_velocity: fast"), vec!["arm.yaml", "elbow", "max_velocity", "fast"]),
        (elbow("max_velocity: '1.5'"), vec!["arm.yaml", "elbow", "max_velocity"]),
        (elbow("max_velocty: 1.5"), vec!["arm.yaml", "'elbow'", "max_velocty"]),
        (elbow("max_velocity: 1, max_velocity: 2"), vec!["arm.yaml", "elbow", "max_velocity"]),
        ("joint_limits: {elbow: {}, elbow: {max_velocity: 9}}".to_owned(), vec!["'elbow'", "listed twice"]),
        (
            "joint_limits: {}\nrobot_description_planning: {joint_limits: {}}".to_owned(),
            vec!["arm.yaml", "robot_description_planning", "keep one"],
        ),
        (
            elbow("min_position: 2, max_velocity: 1, max_acceleration: 1, max_jerk: 1"),
            vec!["'elbow'", "no position is left", "2", "1"],
        ),
    ] {
        says(&limits(&whole, &yaml, None).unwrap_err(), &parts);
    }
}

#[test]
fn soft_limits_and_decelerations_limit_too() {
    let soft = elbow(
        "revolute",
        &format!("{ENDS}{LIMIT}<safety_controller soft_lower_limit='-0.8' k_position='1' k_velocity='1'/>"),
    );
    let yaml = "joint_limits: {elbow: {max_acceleration: 3, max_deceleration: 2, max_jerk: 9, has_soft_limits: true, soft_upper_limit: 0.5}}";
    let found = limits(&soft, yaml, None).unwrap();
    assert_eq!((found.lower, found.upper, found.acceleration), (-0.8, 0.5, 2.0));
}

#[test]
fn a_follower_limits_the_joint_that_leads_it() {
    let pair = |mimic: &str| {
        urdf(&format!(
            "<link name='a'/><link name='b'/><link name='c'/><joint name='elbow' type='revolute'>{ENDS}{LIMIT}</joint>\
             <joint name='rod' type='revolute'><parent link='b'/><child link='c'/>\
             <limit lower='-1' upper='0.5' velocity='1'/>{mimic}</joint>"
        ))
    };
    let yaml = "joint_limits: {elbow: {max_acceleration: 3, max_jerk: 9}, rod: {max_acceleration: 2}}";
    let found = limits(&pair("<mimic joint='elbow' multiplier='-2'/>"), yaml, None).unwrap();
    assert_eq!((found.lower, found.upper, found.velocity), (-0.25, 0.5, 0.5));
    assert_eq!((found.acceleration, found.jerk), (1.0, 9.0));
    let still = limits(&pair("<mimic joint='elbow' multiplier='0'/>"), yaml, None).unwrap();
    assert_eq!((still.lower, still.upper, still.velocity), (-1.0, 1.0, 2.0));
    let error = limits(&pair("<mimic joint='elbow' offset='9'/>"), yaml, None).unwrap_err();
    says(&error, &["'elbow'", "'rod'", "no position", "offset"]);
}
