//! What is refused, and whether the refusal names its culprit.

#![allow(clippy::unwrap_used)]

#[path = "support/fixture.rs"]
mod fixture;

use efm_policy::{Manifest, PolicyPackage};
use efm_robot::RobotModel;
use fixture::{Fixture, edit_yaml, gantry, names};
use proptest::prelude::*;
use serde_yaml::Value;
use std::path::{Path, PathBuf};

#[test]
fn sound_packages_are_accepted_and_fit_their_robot() {
    for name in ["flow", "single", "recurrent"] {
        let package = Fixture::new(name).load().unwrap();
        package.check_robot(&gantry()).unwrap();
        package.check_cameras(&["wrist", "front"]).unwrap();
        assert_eq!(package.hash().len(), 64);
    }
}

#[test]
fn a_changed_byte_is_named_with_file_and_both_hashes() {
    for file in ["encode.onnx", "step.onnx", "golden.json"] {
        let fixture = Fixture::new("flow");
        let path = fixture.folder.join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let expected = fixture::sha256(&bytes);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        names(&fixture.refusal(), &[file, "has changed", &expected, &fixture::sha256(&bytes)]);
    }
    for file in ["model.onnx", "tokenizer.json"] {
        let fixture = Fixture::new("flow");
        let path = fixture.encoder().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[10] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        names(&fixture.refusal(), &[file, "has changed", &fixture::sha256(&bytes)]);
    }
}

#[test]
fn a_missing_file_is_named() {
    for file in ["policy.yaml", "step.onnx", "golden.json"] {
        let fixture = Fixture::new("flow");
        std::fs::remove_file(fixture.folder.join(file)).unwrap();
        names(&fixture.refusal(), &[file, "No such file"]);
    }
}

#[test]
fn a_tensor_that_a_graph_lacks_is_named() {
    let fixture = Fixture::new("flow").swap_graph("encode", "encode_renamed.onnx");
    names(&fixture.refusal(), &["encode.onnx", "no input 'state'", "proprio"]);
    let fixture = Fixture::new("flow").edit(|m| m["graphs"]["step"]["outputs"][0] = "velocity".into());
    names(&fixture.refusal(), &["step.onnx", "no output 'velocity'", "\"v\""]);
    let fixture = Fixture::new("flow").edit(|m| {
        m["graphs"]["encode"]["inputs"].as_sequence_mut().unwrap().retain(|i| i.as_str() != Some("text"));
    });
    names(&fixture.refusal(), &["policy.yaml", "graphs.encode.inputs", "'text'"]);
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let fixture = Fixture::new("flow").swap_graph("encode", "encode_wide.onnx");
    names(&fixture.refusal(), &["encode.onnx", "'image_front'", "[1, 3, 2, 8]", "[1, 3, 2, 4]"]);
    let fixture = Fixture::new("flow").edit(|m| m["observation"]["images"][0]["layout"] = "NHWC".into());
    names(&fixture.refusal(), &["'image_front'", "[1, 2, 4, 3]"]);
    let fixture = Fixture::new("flow").edit(|m| m["action"]["horizon"] = 5.into());
    names(&fixture.refusal(), &["step.onnx", "'x'", "[1, 3, 4]", "[1, 5, 4]"]);
}

#[test]
fn a_graph_that_is_no_graph_is_named() {
    let fixture = Fixture::new("single");
    std::fs::write(fixture.folder.join("policy.onnx"), b"not a graph").unwrap();
    let hash = fixture::sha256(b"not a graph");
    let fixture = fixture.edit(|m| m["graphs"]["policy"]["sha256"] = hash.as_str().into());
    names(&fixture.refusal(), &["policy.onnx"]);
}

#[test]
fn a_wrong_joint_order_is_named() {
    let fixture = Fixture::new("flow").edit(|m| m["robot"]["joints"].as_sequence_mut().unwrap().swap(0, 1));
    let refusal = fixture.load().unwrap().check_robot(&gantry()).unwrap_err().to_string();
    names(&refusal, &["another order", "'slide_y' stands where the chain has 'slide_x'"]);
}

#[test]
fn wrong_units_are_named_with_the_joint_and_its_kind() {
    let fixture = Fixture::new("flow").edit(|m| m["robot"]["units"][1] = "rad".into());
    let refusal = fixture.load().unwrap().check_robot(&gantry()).unwrap_err().to_string();
    names(&refusal, &["'slide_y'", "in rad", "prismatic", "expected m"]);
    let fixture = Fixture::new("flow").edit(|m| m["robot"]["units"][1] = "deg".into());
    names(&fixture.refusal(), &["policy.yaml", "deg"]);
    let fixture = Fixture::new("flow").edit(|m| m["action"]["units"][2] = "rad".into());
    names(&fixture.refusal(), &["action.units", "'z' is in rad", "expected m"]);
}

#[test]
fn a_camera_that_is_not_there_is_named() {
    let package = Fixture::new("flow").load().unwrap();
    let refusal = package.check_cameras(&["wrist", "top"]).unwrap_err().to_string();
    names(&refusal, &["'front'", "wrist, top"]);
    names(&package.check_cameras::<&str>(&[]).unwrap_err().to_string(), &["'front'", "none"]);
}

#[test]
fn joints_and_links_that_the_robot_lacks_are_named() {
    let check = |change: fn(&mut Value)| {
        Fixture::new("flow").edit(change).load().unwrap().check_robot(&gantry()).unwrap_err().to_string()
    };
    names(&check(|m| m["robot"]["joints"][2] = "slide_w".into()), &["'slide_w'", "does not exist"]);
    names(&check(|m| m["robot"]["tip_link"] = "hand".into()), &["'hand'"]);
    names(&check(|m| m["robot"]["base_link"] = "left".into()), &["'tool'", "'left'"]);
    let package = Fixture::new("flow").load().unwrap();
    let xml = std::fs::read_to_string(fixture::data().join("gantry.urdf")).unwrap();
    let stiff = RobotModel::from_urdf(&xml.replacen(
        "name=\"slide_x\" type=\"prismatic\"",
        "name=\"slide_x\" type=\"fixed\"",
        1,
    ));
    names(&package.check_robot(&stiff.unwrap()).unwrap_err().to_string(), &["'slide_x'", "is fixed"]);
}

#[test]
fn every_impossible_field_is_refused_by_name() {
    type Change = fn(&mut Value);
    let cases: &[(Change, &[&str])] = &[
        (|m| m["schema"] = "policy_package/2.0".into(), &["schema", "policy_package/2.0"]),
        (|m| m["action"]["horizon"] = 0.into(), &["action.horizon", "0"]),
        (|m| m["action"]["step"] = 0.0.into(), &["action.step"]),
        (|m| m["action"]["step"] = f64::NAN.into(), &["action.step"]),
        (|m| m["runner"]["steps"] = 0.into(), &["runner.steps"]),
        (|m| m["runner"]["noise_scale"] = (-1.0).into(), &["runner.noise_scale"]),
        (|m| m["runner"]["type"] = "telepathy".into(), &["telepathy"]),
        (|m| m["execution"]["replan_steps"] = 4.into(), &["execution.replan_steps", "4"]),
        (|m| m["robot"]["joints"][1] = "slide_x".into(), &["robot.joints", "'slide_x'", "twice"]),
        (|m| drop(m["robot"]["units"].as_sequence_mut().unwrap().pop()), &["robot.units", "3"]),
        (|m| m["observation"]["images"][0]["width"] = 0.into(), &["observation.images[0].width"]),
        (|m| m["observation"]["images"][0]["encoding"] = "bgr8".into(), &["images[0].encoding", "bgr8"]),
        (|m| m["observation"]["images"][0]["std"][1] = 0.0.into(), &["images[0].mean/std", "channel 1"]),
        (|m| m["observation"]["images"][0]["resize"] = "zoom".into(), &["zoom"]),
        (|m| m["observation"]["images"][0]["filter"] = "blurry".into(), &["blurry"]),
        (
            |m| m["observation"]["images"][0]["camera"] = serde_yaml::from_str("{width: 0}").unwrap(),
            &["images[0].camera.width", "is 0"],
        ),
        (
            |m| m["observation"]["images"][0]["camera"] = serde_yaml::from_str("{crop: [0, 0, 9, 0]}").unwrap(),
            &["camera.crop", "[0, 0, 9, 0]"],
        ),
        (
            |m| m["observation"]["images"][0]["camera"] = serde_yaml::from_str("{binning: [2, 0]}").unwrap(),
            &["camera.binning", "[2, 0]"],
        ),
        (|m| m["observation"]["images"][0]["camera"] = serde_yaml::from_str("{lens: 6}").unwrap(), &["lens"]),
        (
            |m| m["observation"]["images"][0]["pad"] = serde_yaml::from_str("{value: 0}").unwrap(),
            &["images[0].pad", "resize"],
        ),
        (|m| m["observation"]["images"][0]["name"] = "a/b".into(), &["images[0].name", "a/b"]),
        (|m| m["observation"]["state"]["normalization"]["std"][3] = (-0.1).into(), &["normalization.std[3]"]),
        (|m| m["action"]["normalization"]["mask"] = vec![true].into(), &["action.normalization.mask", "1 values", "4"]),
        (|m| m["action"]["normalization"]["eps_rule"] = "zero_range".into(), &["eps_rule"]),
        (
            |m| drop(m["action"]["normalization"]["mean"].as_sequence_mut().unwrap().pop()),
            &["action.normalization.mean", "3"],
        ),
        (|m| m["action"]["names"][0] = "left".into(), &["action.names", "'left'"]),
        (|m| m["action"]["names"].as_sequence_mut().unwrap().swap(0, 1), &["action.names", "order"]),
        (|m| m["action"]["gripper_joint"] = "thumb".into(), &["action.gripper_joint", "'thumb'"]),
        (|m| drop(m["action"].as_mapping_mut().unwrap().remove("orientation")), &["action.orientation", "missing"]),
        (|m| m["action"]["rest_posture"] = vec![0.0].into(), &["action.rest_posture"]),
        (|m| m["action"]["sapce"] = 1.into(), &["sapce"]),
        (|m| drop(m["graphs"].as_mapping_mut().unwrap().remove("step")), &["graphs.step", "missing"]),
        (|m| m["graphs"]["extra"] = m["graphs"]["step"].clone(), &["graphs.extra"]),
        (|m| m["graphs"]["step"]["file"] = "../step.onnx".into(), &["graphs.step.file", "../step.onnx"]),
        (|m| m["graphs"]["step"]["sha256"] = "abc".into(), &["graphs.step.sha256", "abc"]),
        (|m| drop(m.as_mapping_mut().unwrap().remove("golden")), &["golden"]),
        (|m| m["observation"]["language"]["encoder"]["dim"] = 0.into(), &["language.encoder.dim"]),
    ];
    for (change, parts) in cases {
        let refusal = Fixture::new("flow").edit(*change).refusal();
        names(&refusal, &["policy.yaml"]);
        names(&refusal, parts);
    }
}

#[test]
fn unknown_top_level_keys_are_let_be() {
    Fixture::new("flow").edit(|m| m["notes"] = "anything".into()).load().unwrap();
}

#[test]
fn a_malformed_golden_example_is_named_by_field() {
    let refusal = Fixture::new("flow").edit_golden(|g| g["noise"][0] = "x".into()).refusal();
    names(&refusal, &["golden.json", "'noise'"]);
    let refusal = Fixture::new("flow").edit_golden(|g| drop(g["joints"].as_array_mut().unwrap().pop())).refusal();
    names(&refusal, &["golden.json", "'joints'", "3 numbers; expected 4"]);
    let refusal = Fixture::new("flow").edit_golden(|g| g["image_front"][3] = 256.into()).refusal();
    names(&refusal, &["'image_front'", "256"]);
    let refusal = Fixture::new("flow").edit_golden(|g| drop(g.as_object_mut().unwrap().remove("actions"))).refusal();
    names(&refusal, &["'actions'", "missing"]);
}

#[test]
fn an_encoder_is_found_by_hash_or_what_is_there_is_listed() {
    let fixture = Fixture::new("flow");
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::create_dir(elsewhere.path().join("encoders")).unwrap();
    std::fs::rename(fixture.encoder(), elsewhere.path().join("encoders/other_name")).unwrap();
    PolicyPackage::load(&fixture.folder, &[elsewhere.path().to_owned()]).unwrap();

    let fixture =
        Fixture::new("flow").edit(|m| m["observation"]["language"]["encoder"]["sha256"] = "0".repeat(64).into());
    names(&fixture.refusal(), &["'tiny'", &"0".repeat(64), "found: tiny (sha256 "]);
    let fixture = Fixture::new("flow");
    edit_yaml(&fixture.encoder().join("encoder.yaml"), |e| e["dim"] = 5.into());
    names(&fixture.refusal(), &["encoder.yaml", "is 5", "expects 4"]);
}

proptest! {
    #[test]
    fn no_text_makes_the_manifest_reader_panic(
        cut in 0..2000usize,
        at in 0..2000usize,
        insert in "[ -~\n]{0,12}",
    ) {
        let mut text = std::fs::read_to_string(fixture::data().join("flow/policy.yaml")).unwrap();
        let at = at.min(text.len());
        text.insert_str(at, &insert);
        text.truncate(cut.max(at));
        let file: PathBuf = Path::new("policy.yaml").into();
        if let Err(e) = Manifest::parse(&text, &file) {
            prop_assert!(e.to_string().starts_with("policy.yaml: "));
        }
    }
}

/// A change of a manifest, and what the refusal names.
type Case = (fn(&mut serde_yaml::Value), &'static [&'static str]);

#[test]
fn samplers_and_tokens_that_cannot_be_are_refused_by_name() {
    let diffusion: &[Case] = &[
        (|m| m["runner"]["steps"] = 7.into(), &["runner.steps", "6"]),
        (|m| m["runner"]["beta_start"] = 0.1.into(), &["runner.beta_start", "cosine"]),
        (|m| m["runner"]["schedule"] = "linear".into(), &["runner.beta_start", "missing"]),
        (
            |m| {
                m["runner"]["scheduler"] = "ddim".into();
                m["runner"]["variance"] = "posterior".into();
            },
            &["runner.variance", "ddim"],
        ),
        (
            |m| {
                m["runner"].as_mapping_mut().unwrap().remove("clip");
                m["runner"]["clip_of"] = "clean".into();
            },
            &["runner.clip_of", "clip"],
        ),
        (|m| m["runner"]["variance"] = "huge".into(), &["huge"]),
        (|m| m["runner"]["train_steps"] = 0.into(), &["runner.train_steps"]),
        (|m| m["runner"]["clip"] = 0.0.into(), &["runner.clip"]),
        (|m| m["runner"]["noise_scale"] = (-1.0).into(), &["runner.noise_scale"]),
        (|m| m["runner"]["prediction"] = "score".into(), &["score"]),
        (|m| m["runner"]["seed"] = 1.into(), &["seed"]),
        (|m| m["graphs"]["step"]["inputs"] = vec!["x", "t"].into(), &["graphs.step.inputs", "context"]),
    ];
    let tokens: &[Case] = &[
        (|m| m["runner"]["tokens"] = 51.into(), &["runner.tokens", "52"]),
        (|m| m["runner"]["vocab"] = 41.into(), &["decode", "logits", "41"]),
        (|m| m["runner"]["bins"] = 41.into(), &["runner.bins"]),
        (|m| m["runner"]["centres"] = 14.into(), &["runner.centres", "16"]),
        (|m| m["runner"]["first_token"] = 40.into(), &["runner.first_token"]),
        // A state that is nobody's output, one that is bound to a tensor of the observation, one bound twice.
        (|m| m["runner"]["cache"] = serde_yaml::Value::Sequence(vec![]), &["graphs.decode.inputs", "cache"]),
        (|m| m["runner"]["cache"][0]["output"] = "logits".into(), &["graphs.decode.outputs"]),
        (|m| m["runner"]["cache"][0]["input"] = "context".into(), &["graphs.decode.inputs"]),
        (
            |m| {
                let first = m["runner"]["cache"][0].clone();
                m["runner"]["cache"].as_sequence_mut().unwrap().push(first);
            },
            &["runner.cache[1].input", "twice"],
        ),
    ];
    for (name, cases) in [("ddpm", diffusion), ("tokens", tokens)] {
        for (change, parts) in cases {
            names(&Fixture::new(name).edit(*change).refusal(), parts);
        }
    }
}

/// What a person reads before a policy is let near a robot.
#[test]
fn a_check_says_what_a_package_is_and_everything_that_is_missing() {
    let robot = fixture::gantry();
    let limits = tempfile::NamedTempFile::new().unwrap();
    let joint = |name: &str| {
        format!(
            "  {name}: {{has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, max_jerk: 50.0}}\n"
        )
    };
    let yaml: String = ["joint_limits:\n".to_owned()].into_iter().chain(fixture::JOINTS.map(joint)).collect();
    std::fs::write(limits.path(), yaml).unwrap();
    let cameras = ["front".to_owned()];
    let setup = efm_policy::Setup { robot: &robot, joint_limits: limits.path(), cameras: Some(&cameras) };

    for (name, words) in [
        ("flow", ["flow matching in 4 steps", "can continue"]),
        ("ddim", ["diffusion (DDIM) in 5 of 10 steps", "can continue"]),
        ("tokens", ["52 action tokens of 16 bins", "cannot continue"]),
        ("single", ["one pass", "joint positions"]),
    ] {
        let found = efm_policy::check(&Fixture::new(name).folder, &[], Some(setup));
        assert_eq!(found.problems, [""; 0], "{name}");
        assert!(found.parity.unwrap().holds() && found.policy.is_some(), "{name}");
        names(&found.facts.join("; "), &words);
    }

    let broken = Fixture::new("flow").edit(|m| {
        m["robot"]["joints"][0] = "slide_w".into();
        m["observation"]["images"][0]["name"] = "side".into();
    });
    std::fs::remove_file(broken.folder.join("step.onnx")).unwrap();
    let found = efm_policy::check(&broken.folder, &[], Some(setup));
    names(&found.problems.join("; "), &["slide_w", "'side'", "front", "step.onnx"]);
    assert_eq!(found.problems.len(), 3);

    let drifted =
        Fixture::new("flow").edit_golden(|g| g["actions"][0] = (g["actions"][0].as_f64().unwrap() + 5e-4).into());
    let found = efm_policy::check(&drifted.folder, &[], Some(setup));
    names(&found.problems.join("; "), &["exporter", "actions"]);
    let nothing = efm_policy::check(std::path::Path::new("/nowhere"), &[], Some(setup));
    names(&nothing.problems.join("; "), &["/nowhere/policy.yaml"]);
}

/// Statistics that are no positions of the gantry's slides (-1 to 1 m, 0 to 1 m), in every place where they can stand.
#[test]
fn numbers_in_another_unit_are_refused_by_a_check_and_when_it_is_opened() {
    let robot = gantry();
    let limits = tempfile::NamedTempFile::new().unwrap();
    let joint = |name: &str| {
        format!(
            "  {name}: {{has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, max_jerk: 50.0}}\n"
        )
    };
    let yaml: String = ["joint_limits:\n".to_owned()].into_iter().chain(fixture::JOINTS.map(joint)).collect();
    std::fs::write(limits.path(), yaml).unwrap();
    let setup = efm_policy::Setup { robot: &robot, joint_limits: limits.path(), cameras: None };
    let refused = |spoilt: &Fixture, parts: &[&str]| {
        let found = efm_policy::check(&spoilt.folder, &[], Some(setup));
        names(&found.problems.join("; "), parts);
        assert!(found.policy.is_none());
        let set = fixture::limits(&robot, &fixture::JOINTS);
        let opened =
            efm_policy::Policy::open(spoilt.load().unwrap(), &robot, &set, efm_policy::RuntimeOptions::default());
        names(&opened.unwrap_err().to_string(), parts);
    };
    let millimetres = |m: &mut Value| m["observation"]["state"]["normalization"]["mean"][1] = (-350.0).into();
    refused(
        &Fixture::new("single").edit(millimetres),
        &["'slide_y'", "mean of its states", "-350", "-1 to 1 m", "millimetres"],
    );
    refused(
        &Fixture::new("flow").edit(|m| m["observation"]["state"]["normalization"]["std"][2] = 400.0.into()),
        &["'slide_z'", "standard deviation", "400", "0 to 1 m"],
    );
    // The tool's coordinates, and actions of the tool that are absolute (z) or relative (x).
    refused(
        &Fixture::new("flow").edit(|m| m["observation"]["state"]["normalization"]["mean"][4] = 400.0.into()),
        &["'x'", "400", "the tool reaches"],
    );
    refused(
        &Fixture::new("flow").edit(|m| m["action"]["normalization"]["mean"][2] = 300.0.into()),
        &["'z'", "mean of its actions", "300"],
    );
    refused(
        &Fixture::new("flow").edit(|m| m["action"]["normalization"]["std"][0] = 200.0.into()),
        &["'x'", "changes", "200"],
    );
    refused(
        &Fixture::new("flow").edit(|m| m["action"]["rest_posture"] = serde_yaml::from_str("[0, 300, 0, 0]").unwrap()),
        &["'slide_y'", "rest_posture", "300"],
    );
    // The worked example: where the robot was, and where it shall go.
    refused(
        &Fixture::new("single").edit_golden(|g| g["joints"][2] = 310.0.into()),
        &["'slide_z'", "worked example", "310", "0 to 1 m"],
    );
    refused(
        &Fixture::new("single").edit_golden(|g| {
            for row in 0..2 {
                g["actions"][4 * row + 1] = (-250.0).into();
            }
        }),
        &["'slide_y'", "actions in the worked example", "-250"],
    );

    // Only what names the joint passes, and it is told.
    let other = Fixture::new("single").edit(millimetres);
    refused(
        &other.edit(|m| m["robot"]["ranges_not_compared"] = serde_yaml::from_str("[finger, slide_z]").unwrap()),
        &["'slide_y'"],
    );
    let named = Fixture::new("single").edit(millimetres).edit(|m| {
        m["robot"]["ranges_not_compared"] = serde_yaml::from_str("[finger, slide_y]").unwrap();
    });
    let told = named.open().not_compared();
    assert_eq!(told.len(), 2);
    names(&told[1], &["'slide_y'", "-350", "-1 to 1 m", "ranges_not_compared"]);
    let found = efm_policy::check(&named.folder, &[], Some(setup));
    names(&found.facts.join("; "), &["LETS IT PASS", "'slide_y'", "-350", "the numbers of finger, slide_y"]);
    for (names_given, parts) in
        [("[thumb]", ["robot.ranges_not_compared[0]", "'thumb'"]), ("[finger, finger]", ["[1]", "twice"])]
    {
        let spoilt = Fixture::new("single")
            .edit(|m| m["robot"]["ranges_not_compared"] = serde_yaml::from_str(names_given).unwrap());
        names(&spoilt.refusal(), &parts);
    }
}

#[test]
fn a_vocabulary_is_read_and_one_that_cannot_be_is_refused_by_name() {
    let with = |text: &str| {
        let text = text.to_owned();
        Fixture::new("flow").edit(move |m| m["vocabulary"] = serde_yaml::from_str(&text).unwrap())
    };
    let good = with("{objects: {red cube: [red block]}, goals: {left: []}, negations: understood}").load().unwrap();
    assert!(good.manifest().lexicon().unwrap().names_something());
    assert!(Fixture::new("flow").load().unwrap().manifest().lexicon().is_none());
    for (text, parts) in [
        ("{objects: {red cube: [block], blue cube: [block]}}", ["vocabulary", "'blue cube' and of 'red cube'"]),
        ("{objects: {'?!': []}}", ["vocabulary", "has no words"]),
        ("{object: {}}", ["vocabulary", "object"]),
        ("{negations: perhaps}", ["vocabulary", "perhaps"]),
    ] {
        names(&with(text).refusal(), &parts);
    }
}

/// A package from elsewhere is not to make us read other files of this machine, nor more than there is memory for.
#[test]
fn states_that_cannot_be_are_refused_by_name() {
    let cases: &[Case] = &[
        (|m| m["runner"]["state"] = Value::Sequence(vec![]), &["runner.state", "single_pass"]),
        (|m| m["runner"]["state"][1]["input"] = "h".into(), &["runner.state[1].input", "'h'", "twice"]),
        (|m| m["runner"]["state"][1]["output"] = "h_next".into(), &["runner.state[1].output", "'h_next'", "twice"]),
        (|m| m["runner"]["state"][0]["input"] = "state".into(), &["runner.state", "'state'", "observation"]),
        (|m| m["runner"]["reset"] = "n".into(), &["runner.reset", "'n'"]),
        (|m| drop(m["runner"].as_mapping_mut().unwrap().remove("reset")), &["graphs.policy.inputs", "'is_first'"]),
        (|m| drop(m["runner"]["state"].as_sequence_mut().unwrap().pop()), &["graphs.policy.inputs", "'n'"]),
        (|m| m["graphs"]["policy"]["outputs"] = vec!["actions", "h_next"].into(), &["graphs.policy.outputs", "state"]),
        (|m| m["observation"]["history"] = 2.into(), &["observation.history", "recurrent"]),
    ];
    for (change, parts) in cases {
        let refusal = Fixture::new("recurrent").edit(*change).refusal();
        names(&refusal, &["policy.yaml"]);
        names(&refusal, parts);
    }
    let open = Fixture::new("recurrent").swap_graph("policy", "recurrent_open.onnx");
    names(&open.refusal(), &["policy.onnx", "'h'", "[-1, -1]", "fixed"]);
}

#[test]
fn graphs_that_reach_out_or_grow_without_a_bound_are_refused() {
    let outside = Fixture::new("flow").swap_graph("encode", "encode_external.onnx");
    std::fs::write(outside.folder.join("../weights.bin"), [0u8; 4 * 28]).unwrap();
    names(&outside.refusal(), &["encode.onnx", "another file"]);
    let open = Fixture::new("tokens").swap_graph("decode", "decode_open.onnx");
    names(&open.refusal(), &["decode.onnx", "past_key_values.0.key", "open"]);

    let huge = Fixture::new("flow");
    let file = std::fs::OpenOptions::new().write(true).open(huge.folder.join("step.onnx")).unwrap();
    file.set_len(3 << 30).unwrap();
    names(&huge.refusal(), &["step.onnx", "3221225472", "2147483648"]);
    #[cfg(unix)]
    {
        let endless = Fixture::new("flow");
        std::fs::remove_file(endless.folder.join("step.onnx")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", endless.folder.join("step.onnx")).unwrap();
        names(&endless.refusal(), &["step.onnx", "/dev/zero", "outside of its package"]);
    }
}
