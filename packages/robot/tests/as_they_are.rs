//! Files as vendors ship them and as MoveIt 2 loads them.
#![allow(clippy::unwrap_used)]

use efm_core::JointNames;
use efm_robot::{JointKind, LimitSet, LimitsFile, RobotModel, Srdf};

const ENDS: &str = "<parent link='a'/><child link='b'/>";

/// base -- shoulder (revolute) -- arm -- slide (prismatic) -- hand
fn arm() -> RobotModel {
    RobotModel::from_urdf(
        "<robot name='r'><link name='base'/><link name='arm'/><link name='hand'/>\
         <joint name='shoulder' type='revolute'><parent link='base'/><child link='arm'/><limit lower='-1' upper='1' velocity='2' effort='1'/></joint>\
         <joint name='slide' type='prismatic'><parent link='arm'/><child link='hand'/><limit lower='0' upper='0.3' velocity='0.5' effort='1'/></joint>\
         </robot>",
    )
    .unwrap()
}

fn names() -> JointNames {
    JointNames::new(["shoulder", "slide"]).unwrap()
}

fn limits(yaml: &str) -> Result<LimitSet, String> {
    let file = LimitsFile::parse(yaml, "arm.yaml").map_err(|e| e.to_string())?;
    LimitSet::new(&arm(), &file, &names()).map_err(|e| e.to_string())
}

const BOTH: &str = "{shoulder: {max_acceleration: 3, max_jerk: 9}, slide: {max_acceleration: 1, max_jerk: 5}}";

#[test]
fn joint_limits_are_found_in_all_that_moveit_2_wraps_them_in() {
    let plain = limits(&format!("joint_limits: {BOTH}")).unwrap();
    for wrapped in [
        format!("robot_description_planning:\n  joint_limits: {BOTH}"),
        format!("/**:\n  ros__parameters:\n    joint_limits: {BOTH}"),
        format!(
            "/**:\n  ros__parameters:\n    robot_description_planning:\n      default_velocity_scaling_factor: 0.1\n      joint_limits: {BOTH}"
        ),
        format!("move_group:\n  ros__parameters:\n    robot_description_planning:\n      joint_limits: {BOTH}"),
        format!("/cell/move_group:\n  ros__parameters:\n    joint_limits: {BOTH}"),
        format!("cell:\n  move_group:\n    ros__parameters:\n      joint_limits: {BOTH}"),
        format!("default_velocity_scaling_factor: 0.1\ndefault_acceleration_scaling_factor: 0.1\njoint_limits: {BOTH}"),
    ] {
        assert_eq!(limits(&wrapped).unwrap().joints, plain.joints, "{wrapped}");
    }
    let twice =
        format!("a:\n  ros__parameters:\n    joint_limits: {BOTH}\nb:\n  ros__parameters:\n    joint_limits: {BOTH}");
    let error = limits(&twice).unwrap_err();
    assert!(error.contains("a/ros__parameters/joint_limits") && error.contains("keep one"), "{error}");
}

#[test]
fn a_switch_that_is_off_makes_the_file_silent_on_that() {
    let with = |switches: &str| {
        limits(&format!(
            "joint_limits: {{shoulder: {{{switches}, max_acceleration: 3, max_jerk: 9}}, slide: {{max_acceleration: 1, max_jerk: 5}}}}"
        ))
    };
    let off = with(
        "has_velocity_limits: false, max_velocity: 0, has_position_limits: false, min_position: 0, max_position: 0",
    )
    .unwrap();
    assert_eq!((off.joints[0].lower, off.joints[0].upper, off.joints[0].velocity), (-1.0, 1.0, 2.0));
    let on = with("has_velocity_limits: true, max_velocity: 1.5, has_position_limits: true, min_position: -0.5, max_position: 0.5").unwrap();
    assert_eq!((on.joints[0].lower, on.joints[0].upper, on.joints[0].velocity), (-0.5, 0.5, 1.5));
    for (quantity, key) in [("acceleration", "max_acceleration"), ("jerk", "max_jerk")] {
        let error = with(&format!("has_{quantity}_limits: false")).unwrap_err();
        assert!(error.contains("joint 'shoulder' has no") && error.contains(key), "{error}");
    }
}

#[test]
fn all_missing_limits_of_all_joints_are_told_at_once_with_what_cures_them() {
    let error = limits("joint_limits: {shoulder: {max_velocity: 1}}").unwrap_err();
    for part in [
        "arm.yaml",
        "joints 'shoulder', 'slide' have no acceleration limit",
        "'max_acceleration'",
        "parameter 'default_acceleration'",
        "joints 'shoulder', 'slide' have no jerk limit",
        "parameter 'default_jerk'",
    ] {
        assert!(error.contains(part), "'{error}' should say '{part}'");
    }
    let file = LimitsFile::parse("joint_limits: {shoulder: {max_acceleration: 3}}", "arm.yaml").unwrap();
    let set = LimitSet::new(&arm(), &file.with_default_acceleration(1.0).with_default_jerk(8.0), &names()).unwrap();
    assert_eq!([set.joints[0].acceleration, set.joints[1].acceleration], [3.0, 1.0], "what the file says holds");
    assert_eq!([set.joints[0].jerk, set.joints[1].jerk], [8.0, 8.0]);
    assert_eq!(set.notes.len(), 2, "{:?}", set.notes);
    assert!(
        set.notes[0].contains("acceleration limit of slide") && set.notes[1].contains("shoulder, slide"),
        "{:?}",
        set.notes
    );
}

#[test]
fn every_wrong_value_is_told_and_not_the_first_one() {
    let error = limits(
        "joint_limits: {shoulder: {max_speed: 3, max_acceleration: fast}, slide: {max_velocity: 0, max_jerk: .nan}, knee: 3}",
    )
    .unwrap_err();
    let wanted = [
        "'max_speed' is no limit",
        "joint 'shoulder': max_acceleration is the word 'fast'; a number is wanted",
        "max_velocity of joint 'slide' is 0; it must be finite and above 0",
        "max_jerk of joint 'slide' is NaN",
        "joint 'knee': is 3",
    ];
    for part in wanted {
        assert!(error.contains(part), "'{error}' should say '{part}'");
    }
    let error = limits("joint_limits: {knee: {}, ankle: {max_jerk: 1}, shoulder: {}}").unwrap_err();
    assert!(error.contains("'ankle', 'knee' does not exist") && error.contains("have no jerk limit"), "{error}");
}

#[test]
fn degrees_are_understood_where_they_are_marked_and_suspected_where_not() {
    let set = limits(
        "joint_limits: {shoulder: {max_velocity: !degrees 90, min_position: !degrees -30.0, max_acceleration: !radians 3, max_jerk: 9}, slide: {max_acceleration: 1, max_jerk: 5}}",
    )
    .unwrap();
    assert!((set.joints[0].velocity - std::f64::consts::FRAC_PI_2).abs() < 1e-12, "{:?}", set.joints[0]);
    assert!((set.joints[0].lower + std::f64::consts::FRAC_PI_6).abs() < 1e-12);
    assert!(set.notes.is_empty());
    let error = limits("joint_limits: {shoulder: {max_velocity: !furlongs 90}}").unwrap_err();
    assert!(error.contains("'shoulder'") && error.contains("furlongs"), "{error}");
    let set = limits("joint_limits: {shoulder: {max_velocity: 120, max_acceleration: 3, max_jerk: 9}, slide: {max_acceleration: 1, max_jerk: 5}}").unwrap();
    assert!(set.notes[0].contains("'shoulder'") && set.notes[0].contains("degrees"), "{:?}", set.notes);
}

#[test]
fn layouts_of_others_are_known_by_name() {
    for (yaml, whose) in [
        (
            "joint1:\n  limit:\n    lower: -2.7\n    upper: 2.7\n    velocity: 2.6\n    effort: 87.0\n",
            "franka_description",
        ),
        (
            "joint1: {limit: {lower: -1, upper: 3, effort: 40, velocity: 16}}\njoint2: {limit: {lower: -1, upper: 3}}\n",
            "openarm_description",
        ),
        ("A1:\n  lower: -169\n  upper: 169\n  velocity: 98\n  effort: 200\n", "iiwa"),
        ("joint_limits_parameters: {joint_1: {}}\n", "kortex"),
        ("shoulder: {max_velocity: 1, max_acceleration: 2}\n", "without a heading"),
    ] {
        let error = limits(yaml).unwrap_err();
        assert!(
            error.starts_with("arm.yaml: this is ") && error.contains(whose) && error.contains("joint_limits"),
            "{error}"
        );
    }
    assert!(limits("rate: 100\n").unwrap_err().contains("there is no 'joint_limits'"));
}

#[test]
fn a_semantic_description_may_speak_of_what_this_build_lacks() {
    let model = arm();
    let srdf = Srdf::parse(
        "<robot name='r'>\n\
         <virtual_joint name='world_joint' type='fixed' parent_frame='world' child_link='base'/>\n\
         <group name='arm'><joint name='world_joint'/><joint name='shoulder'/><joint name='slide'/></group>\n\
         <group name='gripper'><link name='finger'/><joint name='finger_joint'/></group>\n\
         <group name='tool'><chain base_link='hand' tip_link='camera'/></group>\n\
         <group_state name='home' group='arm'><joint name='world_joint' value='0'/><joint name='shoulder' value='0.5'/><joint name='finger_joint' value='0'/></group_state>\n\
         <end_effector name='e' parent_link='hand' group='gripper'/>\n\
         <passive_joint name='finger_joint'/>\n\
         <disable_collisions link1='base' link2='arm' reason='Adjacent'/>\n\
         <disable_collisions link1='base' link2='finger' reason='Never'/>\n\
         <disable_default_collisions link='hand'/>\n\
         <disable_default_collisions link='camera'/>\n\
         <enable_collisions link1='hand' link2='base'/>\n\
         </robot>",
        &model,
    )
    .unwrap();
    assert_eq!(srdf.group("arm").unwrap().joints, ["shoulder", "slide"]);
    assert!(srdf.group("gripper").unwrap().joints.is_empty());
    assert_eq!(srdf.group("tool").unwrap().chain, None);
    assert_eq!(srdf.state("arm", "home").unwrap().positions, [("shoulder".to_owned(), 0.5)]);
    assert_eq!((srdf.disabled_pairs().len(), srdf.is_disabled("arm", "base")), (1, true));
    assert_eq!(srdf.unchecked_links(), ["hand"]);
    assert_eq!((srdf.enabled_pairs()[0].link1.as_str(), srdf.enabled_pairs()[0].link2.as_str()), ("hand", "base"));
    assert_eq!(srdf.virtual_joints()[0].parent_frame, "world");
    let notes = srdf.notes().join("\n");
    for part in
        ["line 4: group 'gripper': the robot description has no link 'finger'", "'finger_joint'", "'camera'", "line 10"]
    {
        assert!(notes.contains(part), "{notes}");
    }
    assert!(!notes.contains("world_joint"), "{notes}");
    let floating =
        "<robot name='r'><virtual_joint name='v' type='floating' parent_frame='odom' child_link='base'/></robot>";
    let notes = Srdf::parse(floating, &model).unwrap().notes().join("\n");
    assert!(notes.contains("'v' is floating") && notes.contains("fixed"), "{notes}");
}

#[test]
fn all_that_is_wrong_with_a_semantic_description_is_told() {
    let error = Srdf::parse(
        "<robot name='r'>\n<group/>\n<group name='g'><chain base_link='hand' tip_link='base'/><group name='none'/></group>\n\
         <group name='g'/>\n<group name='i'><group name='k'/></group>\n<group name='k'><group name='i'/></group>\n\
         <group_state name='s' group='nobody'/>\n<disable_collisions link1='base'/>\n<virtual_joint name='v' type='ball' child_link='base'/>\n</robot>",
        &arm(),
    )
    .unwrap_err()
    .to_string();
    for part in [
        "line 2 ",
        "not below",
        "'none' does not exist",
        "line 4 ",
        "defined twice",
        "contains itself",
        "'nobody'",
        "no attribute 'link2'",
        "type 'ball'",
    ] {
        assert!(error.contains(part), "'{error}' should say '{part}'");
    }
}

#[test]
fn what_drives_or_floats_above_the_arm_is_fixed_and_told() {
    let mobile = |kind: &str, above: &str| {
        format!(
            "<robot name='r'><link name='odom'/><link name='a'/><link name='b'/>\
             <joint name='drive' type='{kind}'><origin xyz='1 2 0'/><parent link='odom'/><child link='a'/></joint>\
             <joint name='elbow' type='{above}'>{ENDS}<limit lower='-1' upper='1' velocity='1' effort='1'/></joint></robot>"
        )
    };
    for kind in ["planar", "floating"] {
        let model = RobotModel::from_urdf(&mobile(kind, "revolute")).unwrap();
        let drive = model.joint("drive").unwrap();
        assert_eq!((drive.kind, drive.is_active(), drive.origin.translation.x), (JointKind::Fixed, false, 1.0));
        assert!(model.notes()[0].contains("'drive'") && model.notes()[0].contains(kind), "{:?}", model.notes());
        // Below what moves nobody knows where it is.
        let error = RobotModel::from_urdf(&mobile("continuous", kind)).unwrap_err().to_string();
        assert!(error.contains("joint 'elbow'") && error.contains("'drive', which moves"), "{error}");
    }
}

#[test]
fn xacro_is_known_and_it_is_told_what_to_do() {
    let unbound = "<robot name='r'><xacro:property name='w' value='1'/><link name='a'/></robot>";
    let bound =
        "<robot name='r' xmlns:xacro='http://www.ros.org/wiki/xacro'><xacro:include filename='b.xacro'/></robot>";
    for text in [unbound, bound] {
        let error = RobotModel::from_urdf(text).unwrap_err().to_string();
        assert!(
            error.contains("xacro robot.urdf.xacro > robot.urdf") && error.contains("pip install xacro"),
            "{error}"
        );
    }
    // What xacro wrote: the name of its namespace, and comments.
    let expanded =
        "<robot name='r' xmlns:xacro='http://www.ros.org/wiki/xacro'><!-- <xacro:arm/> --><link name='a'/></robot>";
    RobotModel::from_urdf(expanded).unwrap();
    let error = RobotModel::from_urdf(
        "<robot name='r'><link name='a'><collision><geometry><sphere radius='${r}'/></geometry></collision></link></robot>",
    );
    assert!(error.unwrap_err().to_string().contains("xacro"));
    let error = Srdf::parse(bound, &arm()).unwrap_err().to_string();
    assert!(error.contains("xacro robot.srdf.xacro > robot.srdf"), "{error}");
}

#[test]
fn other_units_are_suspected() {
    let model = RobotModel::from_urdf(
        "<robot name='r'><link name='a'><collision><geometry><box size='200 50 50'/></geometry></collision></link><link name='b'/>\
         <joint name='elbow' type='revolute'><origin xyz='0 0 333' rpy='0 90 0'/><parent link='a'/><child link='b'/>\
         <limit lower='-170' upper='170' velocity='180' effort='1'/></joint></robot>",
    )
    .unwrap();
    let notes = model.notes().join("\n");
    for part in [
        "link 'a', line 1: the size of its box 200 m is likely in millimetres",
        "origin xyz 333 m",
        "origin rpy 90 rad",
        "limit upper 170 rad",
        "limit velocity 180 rad/s",
    ] {
        assert!(notes.contains(part), "{notes}");
    }
}
