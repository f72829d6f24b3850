//! Errors of conversion: what a golden file shows of references, kinematics, times and pictures, and what is said where it shows nothing.

#![allow(clippy::unwrap_used)]

#[path = "support/comparing.rs"]
mod comparing;
#[path = "support/fixture.rs"]
mod fixture;

use comparing::{PANDA, checked, of_gantry, of_panda, one, panda, report, repository, shipped, whole, yaml};
use efm_policy::{ConversionReport, check};
use efm_robot::{Chain, IkSettings, InverseKinematics, LimitSet, LimitsFile, RobotModel};
use fixture::{Fixture, names};
use serde_yaml::Value;

type Case = (fn(&mut Value), &'static str, &'static [&'static str]);

/// The conversions in which people err most, on a shipped package whose actions are poses of the tool.
#[test]
fn each_error_of_conversion_of_an_end_effector_package_is_refused_by_name() {
    let cases: &[Case] = &[
        (
            |m| m["action"]["reference"] = yaml("[absolute, absolute, absolute, absolute]"),
            "action.reference",
            &["with x, y, z relative it is the same"],
        ),
        (|m| m["action"]["reference"][2] = "absolute".into(), "action.reference", &["with z relative"]),
        (
            |m| m["action"]["reference"][3] = "relative".into(),
            "action.reference",
            &["'panda_finger_joint1'", "with gripper absolute"],
        ),
        (
            |m| m["action"]["orientation"] = yaml("{roll: 0, pitch: 0, yaw: 0}"),
            "action.orientation",
            &["with roll", "3.14"],
        ),
        (
            |m| m["action"]["orientation"]["yaw"] = 0.1.into(),
            "action.orientation",
            &["0.100 rad", "yaw 0.0000 it is the same"],
        ),
        (|m| m["action"]["step"] = 0.033.into(), "action.step", &["is 0.033 s", "row 0", "whose step is 0.1 s"]),
        (
            |m| m["observation"]["images"][0]["resize"] = "pad".into(),
            "observation.images[0].resize",
            &["'front'", "grey levels", "with `resize: stretch` it is the same"],
        ),
        (
            |m| m["observation"]["images"][1]["resize"] = "crop".into(),
            "observation.images[1].resize",
            &["'wrist'", "grey levels", "with `resize: stretch`"],
        ),
        (
            |m| m["observation"]["images"][1]["filter"] = "bilinear".into(),
            "observation.images[1].filter",
            &["'wrist'", "with `filter: bilinear_antialias`"],
        ),
        (
            |m| m["observation"]["images"][0]["filter"] = "nearest".into(),
            "observation.images[0].filter",
            &["'front'", "with `filter: bilinear_antialias`"],
        ),
        (|m| m["execution"]["replan_steps"] = 6.into(), "execution.replan_steps", &["is 6", "the golden file has 2"]),
        // Of the kind.
        (
            |m| m["robot"]["tip_link"] = "panda_hand".into(),
            "robot.tip_link",
            &["'panda_hand' is 0.103 m", "with 'panda_hand_tcp' it is there"],
        ),
        (
            |m| {
                m["action"]["reference"] = yaml("[absolute, absolute, absolute, absolute]");
                m["action"]["orientation"] = yaml("{roll: 0, pitch: 0, yaw: 0}");
            },
            "action.orientation and action.reference",
            &["x, y, z relative", "3.14"],
        ),
    ];
    let limits = repository().join("config/joint_limits.yaml");
    for name in ["panda_tabletop_flow", "panda_tabletop_chunk", "panda_tabletop_diffusion", "panda_tabletop_tokens"] {
        let sound = of_panda(&shipped(name), &panda());
        assert_eq!(sound, ConversionReport::default(), "{name}");
        for (change, field, parts) in cases {
            one(&of_panda(&shipped(name).edit(*change), &panda()), field, parts);
        }
    }
    // And so a check says, and nothing opens it.
    let found = checked(&whole().edit(cases[0].0), &panda(), &limits);
    names(&found.problems.join("; "), &["action.reference", "with x, y, z relative"]);
    assert!(found.policy.is_none());
    let found = checked(&whole(), &panda(), &limits);
    assert!(found.policy.is_some() && found.not_checked.is_empty() && found.warnings.is_empty());
}

#[test]
fn each_error_of_conversion_of_a_joint_position_package_is_refused_by_name() {
    // "single" counts slide_x from the observation.
    let cases: &[Case] = &[
        (
            |m| m["action"]["reference"][0] = "absolute".into(),
            "action.reference",
            &["'slide_x'", "with slide_x relative it is the same"],
        ),
        (
            |m| m["action"]["reference"] = yaml("[relative, relative, relative, absolute]"),
            "action.reference",
            &["with slide_y absolute, slide_z absolute it is the same"],
        ),
        (|m| m["action"]["reference"][3] = "relative".into(), "action.reference", &["'finger'", "finger absolute"]),
        (
            |m| m["action"]["step"] = 0.1.into(),
            "action.step",
            &["is 0.1 s", "in the golden file 0.05 s", "step is 0.05 s"],
        ),
        (
            |m| m["observation"]["images"][0]["resize"] = "pad".into(),
            "observation.images[0].resize",
            &["'front'", "with `resize: stretch`"],
        ),
        (
            |m| m["observation"]["images"][0]["resize"] = "crop".into(),
            "observation.images[0].resize",
            &["'front'", "with `resize: stretch`"],
        ),
        (|m| m["execution"]["replan_steps"] = 1.into(), "execution.replan_steps", &["is 1", "the golden file has 2"]),
        // Of the kind.
        (
            |m| {
                for key in ["robot", "action"] {
                    let list = if key == "robot" { "joints" } else { "names" };
                    m[key][list] = yaml("[slide_x, slide_z, slide_y, finger]");
                }
            },
            "robot.joints",
            &["'slide_z' stands where the golden file has 'slide_y'"],
        ),
        (
            |m| m["observation"]["images"][0]["filter"] = "nearest".into(),
            "observation.images[0].filter",
            &["with `filter: bilinear_antialias`"],
        ),
    ];
    // The fixture's network presses the finger shut, where it is the same whatever it counts from.
    let open = || {
        Fixture::new("single").edit_golden(|g| {
            for (row, at) in [0.01, 0.02].into_iter().enumerate() {
                (g["actions"][4 * row + 3], g["outgoing"]["joints"][row][3]) = (at.into(), at.into());
            }
        })
    };
    let sound = of_gantry(&open());
    assert_eq!((sound.problems.len(), sound.not_checked.len()), (0, 0));
    names(&sound.warnings.join("; "), &["execution.replan_steps is 2, the whole horizon"]);
    for (change, field, parts) in cases {
        one(&of_gantry(&open().edit(*change)), field, parts);
    }
    // One with a history, and one of LeRobot's with two cameras.
    one(
        &of_gantry(
            &Fixture::new("lerobot_diffusion")
                .edit(|m| m["action"]["reference"] = yaml("[relative, relative, relative, relative]")),
        ),
        "action.reference",
        &["with slide_x, slide_y, slide_z absolute"],
    );
    one(
        &of_gantry(&Fixture::new("lerobot_act").edit(|m| m["observation"]["images"][1]["resize"] = "pad".into())),
        "observation.images[1].resize",
        &["'wrist'", "with `resize: stretch`"],
    );
    one(
        &of_gantry(&Fixture::new("lerobot_act").edit(|m| m["execution"]["replan_steps"] = 10.into())),
        "execution.replan_steps",
        &["is 10", "the golden file has 6"],
    );
    // A memory: chunks from the beginning of an episode, each from its own observation.
    one(
        &of_gantry(&Fixture::new("recurrent").edit(|m| m["action"]["reference"][1] = "relative".into())),
        "action.reference",
        &["'slide_y'", "chunk", "with slide_y absolute"],
    );
    one(
        &of_gantry(&Fixture::new("recurrent").edit_golden(|g| g["outgoing"]["joints"][7][0] = 0.5.into())),
        "action",
        &["row 1 of chunk 3", "'slide_x'", "its exporter at 0.5"],
    );
}

#[test]
fn what_all_fixtures_have_is_fully_checked() {
    for name in
        [fixture::fixtures(), ["lerobot_act", "lerobot_diffusion", "lerobot_smolvla"].map(str::to_owned).to_vec()]
            .concat()
    {
        let found = of_gantry(&Fixture::new(&name));
        assert_eq!(found.problems, [], "{name}");
        // Made-up networks press the finger beyond its limits, and there it is the same whatever it counts from.
        let pressed = |sentence: &String| sentence.contains("all rows are the same with finger relative");
        let known = ["single", "recurrent"].contains(&name.as_str()) || name.starts_with("lerobot_");
        // And their samples are small.
        let small =
            |sentence: &String| sentence.starts_with("runner.noise_scale: the golden file's noise has 12 numbers");
        let few = ["flow", "ddim", "ddpm"].contains(&name.as_str());
        let told = |sentence: &String| (known && pressed(sentence)) || (few && small(sentence));
        assert!(found.not_checked.iter().all(told), "{name}: {:?}", found.not_checked);
    }
}

/// What the exporter got wrong, or another one means: told with the factor, the row, the channel.
#[test]
fn units_time_and_colours_of_an_exporter_are_told_by_what_its_numbers_show() {
    let scaled = |factor: f64| {
        Fixture::new("single").edit_golden(move |g| {
            for value in g["actions"].as_array_mut().unwrap() {
                *value = (value.as_f64().unwrap() * factor).into();
            }
        })
    };
    // Millimetres and degrees where the chunk was made of metres and radians; not in "ranges", which come before.
    for (factor, words) in [(1000.0, "1 / 1000 of the actions"), (57.295_779_513_082_32, "1 / 57.296 of the actions")] {
        one(&of_gantry(&scaled(factor)), "action.units", &["'slide_x'", words]);
    }
    one(
        &of_gantry(&Fixture::new("lerobot_act").edit_golden(|g| {
            let rows: Vec<f64> = (0..10).map(|row| 0.1 * f64::from(row)).collect();
            g["outgoing"]["times"] = rows.into();
        })),
        "action.skip_rows",
        &["row 0", "0.1 s", "in the golden file 0 s", "-1 rows later"],
    );
    one(
        &of_gantry(&Fixture::new("lerobot_act").edit_golden(|g| {
            let rows = g["outgoing"]["times"].as_array_mut().unwrap();
            let _ = rows.split_off(8);
            let joints = g["outgoing"]["joints"].as_array_mut().unwrap();
            let _ = joints.split_off(8);
        })),
        "action.horizon",
        &["is 10", "8 rows"],
    );
    let swap = |g: &mut serde_json::Value| {
        use base64::Engine;
        let engine = &base64::prelude::BASE64_STANDARD;
        let text = g["cameras"]["image_top"]["resized"].as_str().unwrap();
        let mut bytes = engine.decode(text).unwrap();
        bytes.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
        g["cameras"]["image_top"]["resized"] = engine.encode(bytes).into();
    };
    one(
        &of_gantry(&Fixture::new("lerobot_act").edit_golden(swap)),
        "observation.images[0].encoding",
        &["'top'", "red and blue exchanged", "bgr8"],
    );
}

/// An end effector's units, gripper joint and posture.
#[test]
fn an_end_effector_chunk_of_another_unit_posture_or_hand_is_told() {
    let robot = panda();
    let millimetres = shipped("panda_tabletop_flow").edit_golden(|g| {
        for value in g["actions"].as_array_mut().unwrap() {
            *value = (value.as_f64().unwrap() * 1000.0).into();
        }
    });
    one(&of_panda(&millimetres, &robot), "action.units", &["'x'", "1 / 1000 of the actions"]);
    // The elbow elsewhere behind the same pose: one more degree of freedom permits it.
    let elsewhere = shipped("panda_tabletop_flow").edit_golden(|g| {
        let chain = Chain::new(&robot, "panda_link0", "panda_hand_tcp").unwrap();
        let file = LimitsFile::load(repository().join("config/joint_limits.yaml")).unwrap();
        let limits = LimitSet::new(&robot, &file, chain.joint_names()).unwrap();
        let row: Vec<f64> = (0..7).map(|i| g["outgoing"]["joints"][15][i].as_f64().unwrap()).collect();
        let mut ik = InverseKinematics::new(chain.clone(), &limits, &row, IkSettings::default()).unwrap();
        let mut seed = row.clone();
        (seed[0], seed[2]) = (row[0] - 0.6, row[2] + 0.6);
        let mut other = vec![0.0; 7];
        ik.solve(&chain.fk(&row), &seed, &mut other).unwrap();
        other.iter().enumerate().for_each(|(i, q)| g["outgoing"]["joints"][15][i] = (*q).into());
    });
    one(
        &of_panda(&elsewhere, &robot),
        "action.rest_posture",
        &["row 15", "joint 'panda_joint", "with the tool at the same place"],
    );
}

/// Robots are calibrated: what the description explains is told and allowed for, another tool is not.
#[test]
fn a_calibrated_description_is_told_and_another_tool_refused() {
    let with_tool_at = |z: &str| RobotModel::from_urdf(&PANDA.replace("0 0 0.1034", &format!("0 0 {z}"))).unwrap();
    assert!(PANDA.contains("0 0 0.1034"));
    let calibrated = of_panda(&shipped("panda_tabletop_flow"), &with_tool_at("0.1084"));
    assert_eq!((calibrated.problems.len(), calibrated.not_checked.len()), (0, 0), "{calibrated:?}");
    names(&calibrated.warnings.join("; "), &["robot description", "0.0050 m"]);
    let other = of_panda(&shipped("panda_tabletop_flow"), &with_tool_at("0.1834"));
    one(&other, "robot.tip_link", &["0.080 m", "another tool"]);
    // It hides nothing: a wrong reference is told all the same.
    let wrong = shipped("panda_tabletop_flow").edit(|m| m["action"]["reference"][2] = "absolute".into());
    let found = of_panda(&wrong, &with_tool_at("0.1084"));
    one(&found, "action.reference", &["with z relative"]);
}

/// Narrower limits of a gripper are kept, and no other conversion.
#[test]
fn narrower_limits_of_a_gripper_are_no_other_conversion() {
    let narrow = RobotModel::from_urdf(&PANDA.replace("upper=\"0.04\"", "upper=\"0.03\"")).unwrap();
    assert_eq!(narrow.joint("panda_finger_joint1").unwrap().limit.upper, Some(0.03));
    assert_eq!(of_panda(&shipped("panda_tabletop_flow"), &narrow).problems, []);
}

/// Nor are those of the arm, if somebody keeps it from a wall: they are told, and hide no error.
#[test]
fn narrower_limits_of_the_arm_are_told_and_hide_nothing() {
    let file = std::fs::read_to_string(repository().join("config/joint_limits.yaml")).unwrap();
    let within = "  panda_joint1: {has_position_limits: true, min_position: -0.1, max_position: 0.1, ";
    let narrow = file.replacen("  panda_joint1: {", within, 1);
    assert_ne!(narrow, file);
    let narrow = LimitsFile::parse(&narrow, "test").unwrap();
    let found = report(&shipped("panda_tabletop_flow"), &panda(), &narrow);
    assert_eq!((found.problems.len(), found.not_checked.len()), (0, 0), "{found:?}");
    names(&found.warnings.join("; "), &["'panda_joint1'", "beyond its limits here (-0.1 to 0.1)", "refused"]);
    let wrong = shipped("panda_tabletop_flow").edit(|m| m["action"]["reference"][0] = "absolute".into());
    one(&report(&wrong, &panda(), &narrow), "action.reference", &["with x relative"]);
}

/// What a package of before has not got is said, with how to get it; it still runs.
#[test]
fn a_golden_file_without_the_parts_runs_and_is_not_called_fully_checked() {
    let limits = repository().join("config/joint_limits.yaml");
    let old = whole().old();
    let found = checked(&old, &panda(), &limits);
    assert!(found.policy.is_some() && found.problems.is_empty());
    assert_eq!(found.not_checked.len(), 3);
    for (sentence, parts) in found.not_checked.iter().zip([
        ["observation.images[0]", "'front'", "cameras.image_front"],
        ["observation.images[1]", "'wrist'", "cameras.image_wrist"],
        ["action.space, reference, orientation", "replan_steps", "'outgoing'"],
    ]) {
        names(sentence, &parts);
        names(sentence, &["docs/policy_package.md"]);
    }
    // One camera alone; no poses of the tool; no description.
    let part = shipped("panda_tabletop_flow").edit_golden(|g| {
        g["cameras"].as_object_mut().unwrap().remove("image_wrist");
        g["outgoing"].as_object_mut().unwrap().remove("tools");
    });
    let found = of_panda(&part, &panda());
    assert_eq!((found.problems.len(), found.not_checked.len()), (0, 2));
    names(&found.not_checked.join("; "), &["'wrist'", "robot.tip_link", "outgoing.tools"]);
    let found = check(&whole().folder, &[repository().join("models")], None);
    names(&found.not_checked.join("; "), &["no robot description"]);
    let wrong = whole().edit(|m| m["action"]["step"] = 0.2.into());
    let found = check(&wrong.folder, &[repository().join("models")], None);
    names(&found.problems.join("; "), &["action.step", "0.2 s"]);
}

#[test]
fn an_example_that_does_not_tell_one_reading_from_another_is_said_to() {
    // Joints at zero, and pictures of the policy's own aspect ratio, without anything to see.
    let silent = Fixture::new("single").edit_golden(|g| {
        g["joints"][1] = 0.0.into();
        g["cameras"]["image_front"] = serde_json::json!({
            "width": 9, "height": 6, "rgb8": vec![100; 162], "resized": vec![100; 18],
        });
    });
    let found = of_gantry(&silent);
    assert_eq!(found.problems, []);
    names(
        &found.not_checked.join("; "),
        &["'front'", "`resize: pad`", "`resize: crop`", "`filter: nearest`", "action.reference", "slide_y relative"],
    );
}

#[test]
fn a_whole_horizon_between_two_looks_is_a_warning_where_the_golden_file_has_it_too() {
    let whole = |fixture: Fixture, steps: usize| {
        fixture
            .edit(move |m| m["execution"]["replan_steps"] = steps.into())
            .edit_golden(move |g| g["outgoing"]["replan_steps"] = steps.into())
    };
    let found = of_panda(&whole(shipped("panda_tabletop_flow"), 16), &panda());
    assert_eq!((found.problems.len(), found.not_checked.len()), (0, 0));
    names(
        &found.warnings.join("; "),
        &["execution.replan_steps is 16", "comes to rest between chunks", "8 would leave half"],
    );
    let less = of_panda(&whole(shipped("panda_tabletop_flow"), 15), &panda());
    assert_eq!(less, ConversionReport::default());
    // Without a golden file that says so, it is told as well.
    let old = Fixture::new("lerobot_act").edit(|m| m["execution"]["replan_steps"] = 10.into());
    let old = old.edit_golden(|g| drop(g.as_object_mut().unwrap().remove("outgoing")));
    names(&of_gantry(&old).warnings.join("; "), &["execution.replan_steps is 10"]);
}

/// Other borders, grey levels and filters of a picture that is padded, as openpi and SmolVLA have it.
#[test]
fn borders_of_a_padded_picture_are_told() {
    use base64::Engine;
    use efm_vision::{Border, Filter, Fit, ImageView, Pad, ResizeMode, Resizer};
    let engine = &base64::prelude::BASE64_STANDARD;
    let padded = |fit: Fit| {
        Fixture::new("lerobot_act").edit_golden(move |g| {
            let camera = &mut g["cameras"]["image_top"];
            let data = engine.decode(camera["rgb8"].as_str().unwrap()).unwrap();
            let side = |name: &str| camera[name].as_u64().unwrap() as u32;
            let mut resizer = Resizer::new(64, 48, fit).unwrap();
            let mut out = vec![0; resizer.output_len()];
            resizer.resize(&ImageView::rgb8(side("width"), side("height"), &data).unwrap(), &mut out).unwrap();
            camera["resized"] = engine.encode(out).into();
        })
    };
    let filter = Filter::Bilinear;
    for (pad, words) in [
        (
            Pad { border: Border::LeftTop, value: 0 },
            "`resize: pad` and `filter: bilinear` and `pad: {border: left_top, value: 0}`",
        ),
        (
            Pad { border: Border::Both, value: 128 },
            "`resize: pad` and `filter: bilinear` and `pad: {border: both, value: 128}`",
        ),
    ] {
        let found = of_gantry(&padded(Fit { mode: ResizeMode::Pad, filter, pad }));
        assert_eq!(found.problems.len(), 1);
        names(
            &found.problems[0].to_string(),
            &["images[0].resize and", "images[0].filter and", "images[0].pad", words],
        );
    }
    let right = padded(Fit { mode: ResizeMode::Pad, filter, pad: Pad::default() }).edit(|m| {
        m["observation"]["images"][0]["resize"] = "pad".into();
        m["observation"]["images"][0]["filter"] = "bilinear".into();
    });
    assert_eq!(of_gantry(&right).problems, []);
}

#[test]
fn malformed_parts_are_named_by_field() {
    type Spoil = fn(&mut serde_json::Value);
    let cases: &[(Spoil, &[&str])] = &[
        (|g| g["outgoing"] = 5.into(), &["'outgoing'", "object"]),
        (|g| g["outgoing"]["times"] = vec![0.0; 0].into(), &["'outgoing.times'", "empty"]),
        (|g| g["outgoing"]["times"] = "soon".into(), &["'outgoing.times'"]),
        (|g| g["outgoing"]["joints"][0][0] = "x".into(), &["'outgoing.joints'"]),
        (
            |g| drop(g["outgoing"]["joints"].as_array_mut().unwrap().pop()),
            &["'outgoing.joints'", "8 numbers; expected 12"],
        ),
        (|g| g["outgoing"]["joint_names"] = vec![1, 2].into(), &["'outgoing.joint_names'"]),
        (|g| g["outgoing"]["replan_steps"] = 0.into(), &["'outgoing.replan_steps'"]),
        (|g| g["outgoing"]["replan_steps"] = 1.5.into(), &["'outgoing.replan_steps'"]),
        (|g| g["outgoing"]["tools"][1][0] = 2.0.into(), &["'outgoing.tools'", "row 1", "no rotation"]),
        (|g| g["cameras"] = vec![1].into(), &["'cameras'", "object"]),
        (|g| g["cameras"]["image_side"] = 1.into(), &["'cameras.image_side'", "image_front"]),
        (|g| g["cameras"]["image_front"]["width"] = 0.into(), &["'cameras.image_front.width'", "16384"]),
        (|g| g["cameras"]["image_front"]["height"] = 99999.into(), &["'cameras.image_front.height'"]),
        (|g| g["cameras"]["image_front"]["width"] = 7.into(), &["'cameras.image_front.rgb8'", "bytes; expected"]),
        (|g| g["cameras"]["image_front"]["rgb8"] = "*".into(), &["'cameras.image_front.rgb8'", "base64"]),
        (|g| g["cameras"]["image_front"]["resized"] = vec![300; 24].into(), &["'cameras.image_front.resized'", "300"]),
    ];
    for (spoil, parts) in cases {
        let refusal = Fixture::new("flow").edit_golden(*spoil).refusal();
        names(&refusal, &["golden.json"]);
        names(&refusal, parts);
    }
}

/// What training's own kinematics make of made-up actions all over the table (`make_outgoing_vectors.py`) is what goes out; and nothing else is.
#[test]
fn chunks_of_another_implementation_are_what_goes_out() {
    let text = std::fs::read(fixture::data().join("outgoing.json")).unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
    assert!(cases.len() >= 16);
    for case in cases {
        let of = |case: serde_json::Value| {
            shipped("panda_tabletop_flow").edit_golden(move |g| {
                for key in ["joints", "actions", "outgoing"] {
                    g[key] = case[key].clone();
                }
                g.as_object_mut().unwrap().remove("observed_tools");
            })
        };
        assert_eq!(of_panda(&of(case.clone()), &panda()), ConversionReport::default(), "{case}");
        // Two millimetres, or two hundredths of a radian, of one row.
        let mut other = case.clone();
        other["actions"][7][1] = (case["actions"][7][1].as_f64().unwrap() + 0.002).into();
        assert_eq!(of_panda(&of(other), &panda()).problems.len(), 1);
        let turned = of(case).edit(|m| m["action"]["orientation"]["pitch"] = 0.02.into());
        one(&of_panda(&turned, &panda()), "action.orientation", &["0.020 rad", "pitch 0.0000"]);
    }
}
