//! What golden files say besides the chunk: where the tool was seen, how much noise there was, which camera and joint is meant; and in which forms.

#![allow(clippy::unwrap_used)]

#[path = "support/comparing.rs"]
mod comparing;
#[path = "support/fixture.rs"]
mod fixture;

use comparing::{PANDA, checked, of_gantry, of_panda, one, panda, repository, shipped, whole, yaml};
use efm_policy::{ConversionReport, Policy, PolicyPackage, RuntimeOptions, Setup, check};
use efm_robot::{LimitSet, RobotModel};
use fixture::{Fixture, names};
use serde_json::{Value as Json, json};
use serde_yaml::Value;

type Change = fn(&mut Json);
type Edit = fn(&mut Value);

/// The panda with one number of its description changed, as calibration does.
fn calibrated(from: &str, to: &str) -> RobotModel {
    assert!(PANDA.contains(from), "{from}");
    RobotModel::from_urdf(&PANDA.replace(from, to)).unwrap()
}

fn without(golden: &mut Json, path: &[&str]) {
    let (last, parts) = path.split_last().unwrap();
    let part = parts.iter().fold(golden, |part, key| &mut part[key]);
    part.as_object_mut().unwrap().remove(*last).unwrap();
}

fn opened(fixture: &Fixture, robot: &RobotModel) -> Policy {
    let package = PolicyPackage::load(&fixture.folder, &[repository().join("models")]).unwrap();
    let joints = package.manifest().joints().unwrap();
    let limits = LimitSet::load(robot, repository().join("config/joint_limits.yaml"), &joints).unwrap();
    Policy::open(package, robot, &limits, RuntimeOptions::default()).unwrap()
}

/// The networks are judged apart from the description, and the description apart from the networks.
#[test]
fn a_calibrated_robot_repeats_the_example_of_a_policy_that_is_shown_its_tool() {
    let limits = repository().join("config/joint_limits.yaml");
    // Of the tool, of a link in the middle, of the shoulder, a turned joint; a real calibration moves a little of each.
    for (from, to) in [
        ("0 0 0.1034", "0 0 0.10341"),
        ("0 0 0.1034", "0.002 -0.003 0.1084"),
        ("0 -0.316 0", "0.0004 -0.3165 0.0003"),
        ("0 0 0.333", "0.001 0 0.334"),
        ("0 0 -0.7853981633974483", "0 0 -0.775"),
        ("\"0.0825 0 0\" rpy=\"1.5707963267948966", "\"0.0825 0 0\" rpy=\"1.5507963267948966"),
        ("\"-0.0825 0.384 0\" rpy=\"-1.57", "\"-0.0812 0.391 0.004\" rpy=\"-1.58"),
    ] {
        let robot = calibrated(from, to);
        let found = checked(&whole(), &robot, &limits);
        assert_eq!(found.problems, [""; 0], "{to}");
        let parity = found.parity.unwrap();
        assert!(parity.holds() && parity.context_max_abs < 2e-5, "{to}: {parity:?}");
        // What the policy is shown at run time is what this robot measures.
        let policy = found.policy.unwrap();
        let seen = policy.package().golden();
        let here = policy.tool_at(&seen.newest().joints).translation.vector;
        assert_ne!(here, seen.observed_tools[0].translation.vector, "{to}");
    }
    // An older golden file cannot be judged so, and what may be behind it is said.
    let old = || whole().edit_golden(|g| without(g, &["observed_tools"]));
    let search = [repository().join("models")];
    let look = |fixture: &Fixture, robot: &RobotModel| {
        check(&fixture.folder, &search, Some(Setup { robot, joint_limits: &limits, cameras: None }))
    };
    let found = look(&old(), &calibrated("0 0 0.1034", "0 0 0.1084"));
    names(&found.problems.join("; "), &["does not repeat", "likely cause is the robot description", "observed_tools"]);
    assert!(checked(&old(), &panda(), &limits).problems.is_empty());
    // Networks that give something else are not said to be another description, where that was taken out.
    let other = whole().edit_golden(|g| g["context"][0] = (g["context"][0].as_f64().unwrap() + 0.01).into());
    let found = look(&other, &panda());
    let said = found.problems.join("; ");
    assert!(said.contains("does not repeat") && !said.contains("description"), "{said}");
}

#[test]
fn another_tool_is_refused_by_where_it_was_seen_alone() {
    let seen = || {
        shipped("panda_tabletop_flow").edit_golden(|g| {
            without(g, &["outgoing", "tools"]);
        })
    };
    let found = of_panda(&seen(), &panda());
    assert_eq!((found.problems.len(), found.not_checked.len()), (0, 1), "{found:?}");
    one(&of_panda(&seen(), &calibrated("0 0 0.1034", "0 0 0.1834")), "robot.tip_link", &["0.080 m", "another tool"]);
    let hand = seen().edit(|m| m["robot"]["tip_link"] = "panda_hand".into());
    one(&of_panda(&hand, &panda()), "robot.tip_link", &["with 'panda_hand_tcp' it is there"]);
    // Without the chunk as it goes out.
    let alone = shipped("panda_tabletop_flow").edit_golden(|g| without(g, &["outgoing"]));
    let hand = alone.edit(|m| m["robot"]["tip_link"] = "panda_hand".into());
    one(&of_panda(&hand, &panda()), "robot.tip_link", &["with 'panda_hand_tcp' it is there"]);
    // An exporter that does not agree with itself.
    let odd = shipped("panda_tabletop_flow").edit_golden(|g| g["observed_tools"][3] = 0.9.into());
    one(&of_panda(&odd, &panda()), "golden file's observed_tools", &["do not agree"]);
    let short = shipped("panda_tabletop_flow").edit_golden(|g| g["observed_tools"] = json!([1, 0, 0]));
    names(&refused(&short), &["'observed_tools'", "3 numbers; expected 12"]);
}

fn refused(fixture: &Fixture) -> String {
    let manifest = efm_policy::Manifest::read(&fixture.folder).unwrap();
    let golden = std::fs::read(fixture.folder.join("golden.json")).unwrap();
    efm_policy::Golden::parse(&golden, &manifest).unwrap_err().to_string()
}

#[test]
fn the_scale_of_noise_is_what_the_example_was_run_with() {
    const FIELD: &str = "runner.noise_scale";
    let scale = |name: &str, scale: f64| {
        let fixture = if name.starts_with("panda") { shipped(name) } else { Fixture::new(name) };
        fixture.edit(move |m| m["runner"]["noise_scale"] = scale.into())
    };
    // The shipped one starts from the mean.
    one(&of_panda(&scale("panda_tabletop_flow", 1.0), &panda()), FIELD, &["is 1", "all zero"]);
    one(&of_panda(&scale("panda_tabletop_flow", 0.01), &panda()), FIELD, &["is 0.01", "all zero"]);
    let left_out =
        shipped("panda_tabletop_flow").edit(|m| drop(m["runner"].as_mapping_mut().unwrap().remove("noise_scale")));
    one(&of_panda(&left_out, &panda()), FIELD, &["is 1", "all zero"]);
    // The others draw.
    one(&of_panda(&scale("panda_tabletop_diffusion", 0.0), &panda()), FIELD, &["is 0", "standard deviation of"]);
    for wrong in [0.3, 0.5, 2.0, 10.0] {
        one(
            &of_panda(&scale("panda_tabletop_diffusion", wrong), &panda()),
            FIELD,
            &["64 numbers", "standard deviation"],
        );
    }
    for right in [0.95, 1.1] {
        assert_eq!(of_panda(&scale("panda_tabletop_diffusion", right), &panda()).problems, [], "{right}");
    }
    one(&of_gantry(&scale("lerobot_diffusion", 0.4)), FIELD, &["is 0.4"]);
    one(&of_gantry(&scale("lerobot_smolvla", 2.0)), FIELD, &["60 numbers"]);
    // A dozen numbers do not tell half of it, but zero, and ten times as much.
    let few = of_gantry(&scale("flow", 0.7));
    assert_eq!(few.problems, []);
    names(&few.not_checked.join("; "), &["runner.noise_scale", "12 numbers, too few", "48 would do"]);
    one(&of_gantry(&scale("flow", 0.0)), FIELD, &["is 0"]);
    one(&of_gantry(&scale("flow", 10.0)), FIELD, &["is 10"]);
    // Fresh noise that is left away shows nothing of how much of it there is.
    let quiet = Fixture::new("ddpm").edit_golden(|g| g["noise"].as_array_mut().unwrap()[12..].fill(0.into()));
    names(&of_gantry(&quiet).not_checked.join("; "), &["runner.variance"]);
}

/// Draws of all sizes and scales are not refused.
#[test]
fn what_is_drawn_with_a_scale_agrees_with_it() {
    for (seed, scale) in [(1, 1.0), (2, 0.1), (3, 7.5), (4, 1e-3), (5, 1.0), (6, 2.5), (7, 0.5), (8, 10.0)] {
        for name in ["flow", "lerobot_smolvla"] {
            let drawn =
                Fixture::new(name).edit(move |m| m["runner"]["noise_scale"] = scale.into()).edit_golden(move |g| {
                    let mut noise = vec![0.0; g["noise"].as_array().unwrap().len()];
                    efm_policy::fill_normal(seed, scale, &mut noise);
                    g["noise"] = noise.into();
                });
            assert_eq!(of_gantry(&drawn).problems, [], "{name} {scale}");
        }
    }
}

#[test]
fn exchanged_cameras_are_refused() {
    let exchange = |m: &mut Value| {
        m["observation"]["images"][0]["name"] = "wrist".into();
        m["observation"]["images"][1]["name"] = "front".into();
    };
    let found = of_panda(&shipped("panda_tabletop_flow").edit(exchange), &panda());
    let fields: Vec<&str> = found.problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["observation.images[0].name", "observation.images[1].name"]);
    names(&found.problems[0].to_string(), &["is 'wrist'", "'image_front'", "camera 'front'", "images[1]", "exchanged"]);
    // The tensors instead, which have another size, and those of the same.
    let found = of_gantry(&Fixture::new("lerobot_act").edit(|m| {
        m["observation"]["images"][0]["tensor"] = "image_wrist".into();
        m["observation"]["images"][1]["tensor"] = "image_top".into();
    }));
    assert_eq!(found.problems.len(), 2, "{found:?}");
    // Another camera; and one that is called otherwise now, which is said.
    let renamed = Fixture::new("single").edit(|m| m["observation"]["images"][0]["name"] = "overhead".into());
    one(&of_gantry(&renamed), "observation.images[0].name", &["camera 'front'", "only its name", "golden file"]);
    // Where nothing is said of it.
    let silent = shipped("panda_tabletop_flow").edit_golden(|g| without(g, &["cameras", "image_wrist", "name"]));
    let found = of_panda(&silent.edit(exchange), &panda());
    assert_eq!(found.problems.len(), 1);
    names(&found.not_checked.join("; "), &["observation.images[1].name", "cameras.image_wrist.name"]);
}

#[test]
fn the_joint_of_the_gripper_is_compared_in_joint_space() {
    const FIELD: &str = "action.gripper_joint";
    let drop_it: Edit = |m| drop(m["action"].as_mapping_mut().unwrap().remove("gripper_joint"));
    let another: Edit = |m| m["action"]["gripper_joint"] = "slide_x".into();
    // Said in so many words.
    let open = || {
        Fixture::new("single").edit_golden(|g| {
            for (row, at) in [0.01, 0.02].into_iter().enumerate() {
                (g["actions"][4 * row + 3], g["outgoing"]["joints"][row][3]) = (at.into(), at.into());
            }
        })
    };
    one(&of_gantry(&open().edit(drop_it)), FIELD, &["is none", "the golden file has 'finger'"]);
    one(&of_gantry(&open().edit(another)), FIELD, &["is 'slide_x'", "'finger'"]);
    let none = open().edit_golden(|g| g["outgoing"]["gripper_joint"] = "".into());
    one(&of_gantry(&none), FIELD, &["is 'finger'", "has none"]);
    assert_eq!(
        of_gantry(&open().edit_golden(|g| g["outgoing"]["gripper_joint"] = "".into()).edit(drop_it)).problems,
        []
    );
    // By the rows, where it is pressed beyond its limits; not where it is not.
    let silent: Change = |g| without(g, &["outgoing", "gripper_joint"]);
    let pressed = || Fixture::new("single").edit_golden(silent);
    one(&of_gantry(&pressed().edit(drop_it)), FIELD, &["'finger'", "with 'finger' it is the same"]);
    one(&of_gantry(&pressed().edit(another)), FIELD, &["'finger'", "with 'finger' it is the same"]);
    let sound = of_gantry(&pressed());
    assert_eq!(sound.problems, []);
    assert!(!sound.not_checked.join("; ").contains("gripper_joint"), "{:?}", sound.not_checked);
    for edit in [drop_it, another] {
        let found = of_gantry(&open().edit_golden(silent).edit(edit));
        assert_eq!(found.problems, []);
        names(&found.not_checked.join("; "), &["action.gripper_joint", "'finger'", "outgoing.gripper_joint"]);
    }
    // Rows beyond the limits here are told, as they show nothing.
    let beyond = open().edit_golden(|g| {
        (g["actions"][3], g["outgoing"]["joints"][0][3]) = (0.07.into(), 0.07.into());
    });
    let found = of_gantry(&beyond);
    assert_eq!(found.problems, []);
    names(&found.warnings.join("; "), &["'finger' at 0.02 to 0.07", "0 to 0.04", "kept"]);
    // Of end-effector actions too.
    let hand = shipped("panda_tabletop_flow").edit_golden(|g| g["outgoing"]["gripper_joint"] = "".into());
    one(&of_panda(&hand, &panda()), FIELD, &["'panda_finger_joint1'", "none"]);
}

#[test]
fn the_rest_posture_is_compared() {
    const FIELD: &str = "action.rest_posture";
    let rest = |edit: Edit| of_panda(&shipped("panda_tabletop_flow").edit(edit), &panda());
    one(
        &rest(|m| m["action"]["rest_posture"][3] = (-1.3568).into()),
        FIELD,
        &["'panda_joint4' at -1.3568", "at -2.3568"],
    );
    one(&rest(|m| m["action"]["rest_posture"][7] = 0.0.into()), FIELD, &["'panda_finger_joint1'"]);
    one(&rest(|m| drop(m["action"].as_mapping_mut().unwrap().remove("rest_posture"))), FIELD, &["is missing"]);
    assert_eq!(rest(|m| m["action"]["rest_posture"][3] = (-2.3571).into()), ConversionReport::default());
    let silent = shipped("panda_tabletop_flow").edit_golden(|g| without(g, &["outgoing", "rest_posture"]));
    let found = of_panda(&silent, &panda());
    assert_eq!((found.problems.len(), found.not_checked.len()), (0, 1));
    names(&found.not_checked[0], &["action.rest_posture", "outgoing.rest_posture"]);
    // An exporter that leans to the example's own joints.
    let own = shipped("panda_tabletop_flow")
        .edit(|m| drop(m["action"].as_mapping_mut().unwrap().remove("rest_posture")))
        .edit_golden(|g| g["outgoing"]["rest_posture"] = g["joints"].clone());
    assert!(!of_panda(&own, &panda()).problems.iter().any(|problem| problem.problem.contains("missing")));
}

#[test]
fn keys_that_the_example_did_not_use_are_told_once_it_was_run() {
    let told = |fixture: Fixture| {
        let mut policy = fixture.open();
        assert!(policy.not_used().is_empty());
        policy.verify_golden().unwrap();
        policy.not_used().to_vec()
    };
    for name in ["ddim", "ddpm", "lerobot_diffusion"] {
        println!("{name}: {:?}", told(Fixture::new(name)));
        for clip_of in ["sample", "clean", "clean_only"] {
            let narrow = Fixture::new(name).edit(|m| {
                m["runner"]["clip"] = 0.01.into();
                m["runner"]["clip_of"] = clip_of.into();
            });
            assert_eq!(told(narrow), [""; 0], "{name} {clip_of}");
        }
    }
    for (name, clip_of) in [("ddim", "clean_only"), ("ddim", "clean"), ("ddpm", "sample")] {
        let wide = Fixture::new(name).edit(|m| {
            m["runner"]["clip"] = 1e4.into();
            m["runner"]["clip_of"] = clip_of.into();
        });
        names(&told(wide).join("; "), &["runner.clip and runner.clip_of", "nothing is cut"]);
    }
    assert_eq!(
        told(Fixture::new("ddim").edit(|m| drop(m["runner"].as_mapping_mut().unwrap().remove("clip")))),
        [""; 0]
    );
    // The state's own.
    let state = |from: f64, to: f64| {
        Fixture::new("lerobot_diffusion").edit(move |m| {
            let normalization = &mut m["observation"]["state"]["normalization"];
            normalization["clip"] = true.into();
            (normalization["min"], normalization["max"]) = (vec![from; 4].into(), vec![to; 4].into());
        })
    };
    names(&told(state(-1.4, 1.4)).join("; "), &["observation.state.normalization.clip"]);
    assert_eq!(told(state(0.0, 0.1)), [""; 0]);
    // And so says the check of the shipped one, whose range is wide.
    fixture::onnxruntime();
    let folder = repository().join("models/panda_tabletop_diffusion");
    let mut policy = opened(&Fixture::of(&folder, |_| true), &panda());
    assert!(policy.verify_golden().unwrap().holds());
    println!("{:?}", policy.not_used());
}

#[test]
fn times_that_are_rounded_agree_and_others_are_told_apart_in_words() {
    let rounded = Fixture::new("lerobot_act").edit_golden(|g| {
        for time in g["outgoing"]["times"].as_array_mut().unwrap() {
            *time = f64::from(time.as_f64().unwrap() as f32).into();
        }
        for joint in
            g["outgoing"]["joints"].as_array_mut().unwrap().iter_mut().flat_map(|row| row.as_array_mut().unwrap())
        {
            *joint = f64::from(joint.as_f64().unwrap() as f32).into();
        }
    });
    assert_eq!(of_gantry(&rounded).problems, []);
    // 30 rows a second for a minute, written as float32.
    for (step, parts) in [
        (0.100_000_3, &["is 0.1000003 s", "in the golden file 0.1000000 s", "step is 0.1000000 s"][..]),
        (0.099_999, &["is 0.099999 s", "in the golden file 0.1 s"]),
        (0.100_01, &["is 0.10001 s", "0.1 s"]),
    ] {
        let found = of_gantry(&Fixture::new("lerobot_act").edit(|m| m["action"]["step"] = step.into()));
        one(&found, "action.step", parts);
    }
    let found = of_gantry(&Fixture::new("lerobot_act").edit(|m| m["action"]["step"] = 0.100_000_01.into()));
    assert_eq!(found.problems, []);
    // Joints too.
    let apart = Fixture::new("recurrent").edit_golden(|g| {
        g["outgoing"]["joints"][7][0] = (g["outgoing"]["joints"][7][0].as_f64().unwrap() + 4e-6).into();
    });
    let said = of_gantry(&apart).problems[0].to_string();
    let (here, there) = said.split_once(" at ").unwrap().1.split_once(", its exporter at ").unwrap();
    assert_ne!(here, there.trim(), "{said}");
}

#[test]
fn what_python_writes_is_read() {
    use base64::Engine;
    let plain = of_gantry(&Fixture::new("flow"));
    let same = |change: Change| assert_eq!(of_gantry(&Fixture::new("flow").edit_golden(change)), plain);
    same(|g| g["cameras"]["image_front"]["width"] = g["cameras"]["image_front"]["width"].as_f64().into());
    same(|g| g["outgoing"]["replan_steps"] = 2.0.into());
    same(|g| {
        let text = g["cameras"]["image_front"]["rgb8"].as_str().unwrap().to_owned();
        let lines: Vec<String> =
            text.as_bytes().chunks(19).map(|part| String::from_utf8(part.to_vec()).unwrap()).collect();
        g["cameras"]["image_front"]["rgb8"] = (lines.join("\n") + "\r\n").into();
    });
    same(|g| {
        for key in ["rgb8", "resized"] {
            let bytes =
                base64::prelude::BASE64_STANDARD.decode(g["cameras"]["image_front"][key].as_str().unwrap()).unwrap();
            let engine =
                if key == "rgb8" { base64::prelude::BASE64_URL_SAFE } else { base64::prelude::BASE64_URL_SAFE_NO_PAD };
            g["cameras"]["image_front"][key] = engine.encode(bytes).into();
        }
    });
    same(|g| g["outgoing"]["tools"] = json!(g["outgoing"]["tools"].as_array().unwrap().to_vec()));
    same(|g| g["extra"] = Json::Null);
    // Not given, in so many words.
    let null = of_gantry(&Fixture::new("flow").edit_golden(|g| g["cameras"]["image_front"] = Json::Null));
    assert_eq!(null.problems, []);
    names(&null.not_checked.join("; "), &["no cameras.image_front"]);
    let null = of_gantry(&Fixture::new("flow").edit_golden(|g| {
        g["observed_tools"] = Json::Null;
        g["cameras"]["image_front"]["name"] = Json::Null;
        g["outgoing"]["gripper_joint"] = Json::Null;
        g["outgoing"]["rest_posture"] = Json::Null;
    }));
    assert_eq!(null.problems, []);
    // A byte order mark, of the golden file and of the manifest.
    let marked = Fixture::new("flow");
    let file = marked.folder.join("golden.json");
    let bytes = [b"\xef\xbb\xbf", std::fs::read(&file).unwrap().as_slice()].concat();
    std::fs::write(&file, &bytes).unwrap();
    let marked = marked.edit(|m| m["golden"]["sha256"] = fixture::sha256(&bytes).into());
    let text = std::fs::read_to_string(marked.folder.join("policy.yaml")).unwrap();
    std::fs::write(marked.folder.join("policy.yaml"), format!("\u{feff}{text}")).unwrap();
    assert_eq!(of_gantry(&marked), plain);
    assert!(marked.open().verify_golden().unwrap().holds());
    // And what nobody can mean is refused all the same.
    let cases: &[(Change, &[&str])] = &[
        (|g| g["cameras"]["image_front"]["width"] = 6.5.into(), &["'cameras.image_front.width'"]),
        (|g| g["cameras"]["image_front"]["width"] = 1e300.into(), &["'cameras.image_front.width'"]),
        (|g| g["outgoing"]["replan_steps"] = (-2.0).into(), &["'outgoing.replan_steps'"]),
        (|g| g["cameras"]["image_front"]["rgb8"] = "ab=c".into(), &["'cameras.image_front.rgb8'", "base64"]),
        (|g| g["cameras"]["image_front"]["name"] = 5.into(), &["'cameras.image_front.name'"]),
        (|g| g["outgoing"]["gripper_joint"] = 5.into(), &["'outgoing.gripper_joint'"]),
        (|g| g["outgoing"]["rest_posture"] = json!([0.0]), &["'outgoing.rest_posture'", "1 numbers; expected 4"]),
        (|g| g["outgoing"]["tools"][0][3] = 1e308.into(), &["'outgoing.tools'", "1e308"]),
        (|g| g["outgoing"]["joints"][1][2] = (-1e308).into(), &["'outgoing.joints'", "-1e308"]),
        (|g| g["outgoing"]["times"][0] = 1e12.into(), &["'outgoing.times'", "1000000000000"]),
        (|g| g["joints"][0] = 1e308.into(), &["'joints'", "1e308", "radians"]),
        (|g| g["actions"][0] = 1e308.into(), &["'actions'", "1e308"]),
        (|g| g["observed_tools"][3] = 1e308.into(), &["'observed_tools'", "1e308"]),
        (|g| g["noise"][0] = 1e308.into(), &["'noise'", "1e308", "float32"]),
        (|g| g["context"][0] = 1e39.into(), &["'context'", "float32"]),
    ];
    for (spoil, parts) in cases {
        names(&Fixture::new("flow").edit_golden(*spoil).refusal(), parts);
    }
}

#[test]
fn keys_that_do_nothing_where_they_stand_are_told_and_run() {
    let cases: &[(&str, Edit, &str)] = &[
        (
            "single",
            |m| m["observation"]["state"]["normalization"]["unnormalize_eps"] = 0.0.into(),
            "observation.state.normalization.unnormalize_eps",
        ),
        ("single", |m| m["action"]["orientation"] = yaml("{roll: 0.0, pitch: 0.0, yaw: 0.0}"), "action.orientation"),
        ("single", |m| m["action"]["rest_posture"] = yaml("[0.0, 0.0, 0.0, 0.0]"), "action.rest_posture"),
        ("tokens", |m| m["action"]["normalization"]["clip"] = true.into(), "action.normalization.clip"),
    ];
    for (name, edit, key) in cases {
        let before = of_gantry(&Fixture::new(name)).warnings;
        let found = of_gantry(&Fixture::new(name).edit(*edit));
        assert_eq!(found.problems, [], "{key}");
        let news: Vec<&String> = found.warnings.iter().filter(|warning| !before.contains(warning)).collect();
        assert_eq!(news.len(), 1, "{news:?}");
        names(news[0], &[key, "does nothing here", "take it out"]);
        assert!(Fixture::new(name).edit(*edit).open().verify_golden().unwrap().holds());
    }
    // A tool that the policy turns itself, and a hand that it does not move: no example of these is at hand.
    let turned = "x, y, z, roll, pitch, yaw";
    let held = Fixture::new("flow").old().edit(|m| {
        m["action"]["names"] = yaml(&format!("[{turned}]"));
        m["action"]["units"] = yaml("[m, m, m, rad, rad, rad]");
        m["action"]["reference"] = yaml("[relative, relative, absolute, absolute, absolute, absolute]");
        m["action"]["normalization"] = yaml("{kind: identity}");
    });
    let held = held.edit_golden(|g| {
        g["actions"] = vec![0.1; 18].into();
        g["noise"] = vec![0.5; 18].into();
        without(g, &["observed_tools"]);
    });
    let said = of_gantry(&held).warnings.join("; ");
    names(&said, &["action.orientation does nothing", "roll, pitch and yaw", "action.gripper_joint does nothing"]);
    // Shipped packages, and what importers write, have none.
    for name in ["panda_tabletop_flow", "panda_tabletop_chunk", "panda_tabletop_diffusion", "panda_tabletop_tokens"] {
        assert_eq!(of_panda(&shipped(name), &panda()).warnings, [""; 0], "{name}");
    }
    for name in ["lerobot_act", "lerobot_diffusion", "lerobot_smolvla"] {
        assert!(!of_gantry(&Fixture::new(name)).warnings.iter().any(|said| said.contains("does nothing")), "{name}");
    }
    // Those that are unknown are refused as ever.
    names(&Fixture::new("single").edit(|m| m["action"]["rest_postures"] = 1.into()).refusal(), &["rest_postures"]);
}

#[test]
fn a_horizon_has_a_bound() {
    let horizon = |rows: u64| Fixture::new("single").edit(move |m| m["action"]["horizon"] = rows.into()).refusal();
    names(&horizon(1001), &["action.horizon", "is 1001; expected 1 to 1000 rows"]);
    names(&horizon(20_000), &["action.horizon", "20000"]);
    assert!(!horizon(1000).contains("action.horizon"), "{}", horizon(1000));
}
