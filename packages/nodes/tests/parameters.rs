//! What the nodes declare of their parameters holds: every wrong value is refused by name, by the function that a node calls at its start and the one
//! behind `ros2 param set`; what is taken there is not refused later; and the page and the example files say what is declared.
//!
//! After a declaration has changed, `EFM_UPDATE=1 cargo test -p efm_nodes --test parameters` writes page and files anew.
#![allow(clippy::unwrap_used)]

use efm_app::publisher::streaming::{Event, Files, Streaming};
use efm_app::publisher::streaming_params;
use efm_config::ParameterValue as Ros;
use efm_config::pages;
use efm_config::{Params, Spec, Value};
use efm_nodes::nodes::{NODES, camera_ingest};
use efm_recorder::record;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// All nodes with parameters, by their executables. `efm-play` has none: its options are judged in test/test_params.py.
fn nodes() -> Vec<(&'static str, Vec<Spec>)> {
    let mut nodes: Vec<_> = NODES.iter().map(|node| (node.name, (node.specs)())).collect();
    nodes.push(("sim", efm_sim_node::params::specs()));
    nodes.push(("recorder", record::params::specs()));
    nodes
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What must be set, from the examples.
fn needed(specs: &[Spec]) -> BTreeMap<String, Json> {
    let mut needed = BTreeMap::new();
    for spec in specs.iter().filter(|spec| spec.is_required()) {
        let example =
            spec.needed_example().unwrap_or_else(|| panic!("'{}' must be set and has no example", spec.name()));
        match serde_json::from_str(example).unwrap() {
            Json::Object(lists) => {
                lists.into_iter().for_each(|(key, list)| drop(needed.insert(format!("{}.{key}", spec.name()), list)));
            }
            value => drop(needed.insert(spec.name().to_owned(), value)),
        }
    }
    needed
}

fn ros(json: &Json) -> Ros {
    match json {
        Json::String(text) => Ros::String(text.clone()),
        Json::Array(items) => Ros::StringArray(items.iter().map(|item| item.as_str().unwrap().to_owned()).collect()),
        other => panic!("no example is {other}"),
    }
}

/// What a node with these parameters says at its start.
fn refusals(specs: Vec<Spec>, given: &BTreeMap<String, Ros>) -> Vec<String> {
    let given: Vec<_> = given.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    Params::new(specs, &given).map_or_else(|errors| errors.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

#[test]
fn every_wrong_value_of_every_parameter_is_refused_by_name() {
    let (mut cases, mut kinds) = (0, BTreeSet::new());
    for (node, specs) in nodes() {
        let needed: BTreeMap<_, _> = needed(&specs).iter().map(|(name, value)| (name.clone(), ros(value))).collect();
        assert_eq!(refusals(specs.clone(), &needed), [""; 0], "{node}");
        let running = Params::new(specs.clone(), &needed.clone().into_iter().collect::<Vec<_>>()).unwrap();
        let before = running.to_json();
        for spec in &specs {
            for wrong in spec.wrong_values() {
                let case = format!("{node}: {} ({}): {:?}", wrong.name, wrong.kind, wrong.value);
                let mut given = needed.clone();
                given.insert(wrong.name.clone(), wrong.value.clone());
                let said = refusals(specs.clone(), &given);
                assert!(
                    said.len() == 1 && said[0].contains(&format!("parameter '{}", spec.name())),
                    "{case}: {said:?}"
                );
                // Nothing takes a parameter away, so that is said in other words.
                let set = running.set(&[(wrong.name.clone(), wrong.value.clone())]).expect_err(&case).to_string();
                assert!(set == said[0] || wrong.value == Ros::NotSet, "{case}: '{set}' is not '{}'", said[0]);
                cases += 1;
                kinds.insert(wrong.kind);
            }
        }
        assert_eq!(running.to_json(), before, "{node}: what is refused changes nothing");
    }
    assert!(cases > 1200, "only {cases} cases");
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        ["above", "below", "choice", "empty", "infinite", "no number", "type"]
    );
}

#[test]
fn what_contradicts_is_refused_by_name_before_any_robot_description() {
    let mut rules = 0;
    for (node, specs) in nodes() {
        for spec in &specs {
            for rule in spec.rules() {
                assert!(
                    !rule.refuses().is_empty(),
                    "{node}: a rule of '{}' has no example that it refuses",
                    spec.name()
                );
                for refused in rule.refuses() {
                    let mut given = needed(&specs);
                    let contradiction: BTreeMap<String, Json> = serde_json::from_str(refused).unwrap();
                    // A family is given as a whole.
                    for name in contradiction
                        .keys()
                        .filter_map(|name| name.split_once('.'))
                        .map(|(family, _)| format!("{family}."))
                    {
                        given.retain(|known, _| !known.starts_with(&name));
                    }
                    given.extend(contradiction);
                    let said = Params::from_json(specs.clone(), &given).expect_err(refused);
                    let said: Vec<_> = said.iter().map(ToString::to_string).collect();
                    let named = format!("parameter '{}", spec.name());
                    assert!(said.len() == 1 && said[0].starts_with(&named), "{node}: {refused}: {said:?}");
                }
                rules += 1;
            }
        }
    }
    assert!(rules >= 17, "only {rules} rules");
}

/// Those of the issue: they were accepted, and the robot description was blamed for them.
#[test]
fn what_was_blamed_on_the_robot_is_refused_at_the_start_with_what_would_be_right() {
    for (given, words) in [
        (json!({"committed": 0.0}), "'committed' is 0 s; it must be from 0.0015 to 0.5"),
        (json!({"committed": 0.6}), "'committed' is 0.6 s; it must be from 0.0015 to 0.5"),
        (
            json!({"committed": 0.02, "rate": 50.0}),
            "'committed' is 0.02 s; with 'rate' at 50 Hz it must be at least 0.03 s",
        ),
        (json!({"blend_time": 0.0}), "'blend_time' is 0 s; it must be from 0.001 to 2"),
        (
            json!({"max_tool_speed": 0.0005, "tool_link": "hand"}),
            "'max_tool_speed' is 0.0005 m/s; it must be from 0.001 to 100, or 0 (any)",
        ),
        (
            json!({"max_tool_speed": 0.25}),
            "'tool_link' is empty, but 'max_tool_speed' is 0.25 m/s; it must name the link",
        ),
        (json!({"gripper_joints": ["finger"]}), "'gripper_joints': 'finger' is moved by no controller"),
        (json!({"fixed_joints": ["joint_3=0"]}), "'fixed_joints': 'joint_3' is moved by a controller"),
        (
            json!({"task_limits.pour": ["pour", "max_tool_speed=0.1"]}),
            "'task_limits.pour' has a max_tool_speed, but 'tool_link' is empty",
        ),
        (json!({"default_jerk": 1e-300}), "'default_jerk' is 0."),
    ] {
        let mut all = needed(&streaming_params::specs());
        all.extend(serde_json::from_value::<BTreeMap<_, _>>(given.clone()).unwrap());
        let errors = Params::from_json(streaming_params::specs(), &all).expect_err(&given.to_string());
        assert!(errors.len() == 1 && errors[0].to_string().contains(words), "{given}: {errors:?}");
    }
    // A camera's rate that would have been a pause without end, and a panic.
    let mut all = needed(&camera_ingest::specs());
    all.insert("max_rate".to_owned(), json!(1e-300));
    assert!(Params::from_json(camera_ingest::specs(), &all).unwrap_err()[0].to_string().contains("'max_rate'"));
}

#[test]
fn what_help_promises_is_taken() {
    for (node, specs) in nodes() {
        for spec in &specs {
            for edge in spec.edges() {
                let mut given: BTreeMap<_, _> =
                    needed(&specs).iter().map(|(name, value)| (name.clone(), ros(value))).collect();
                // With others that leave as much room as there is.
                match spec.name() {
                    "committed" => drop(given.insert("rate".to_owned(), Ros::Double(1000.0))),
                    "max_tool_speed" => drop(given.insert("tool_link".to_owned(), Ros::String("hand".to_owned()))),
                    _ => {}
                }
                given.insert(spec.name().to_owned(), edge.clone());
                assert_eq!(refusals(specs.clone(), &given), [""; 0], "{node}: {} {edge:?}", spec.name());
            }
        }
    }
}

#[test]
fn every_number_has_a_range_and_what_measures_something_a_unit() {
    const PURE: [&str; 4] = ["limit_share", "speed_scale", "ensemble_decay", "real_time_factor"];
    for (node, specs) in nodes() {
        for spec in &specs {
            let name = spec.name();
            match spec.default_value() {
                Value::Double(_) => {
                    assert!(!spec.edges().is_empty(), "{node}: '{name}' has no range");
                    let (unit, pure) = (spec.unit_of(), PURE.contains(&name));
                    assert!(pure || !unit.is_empty(), "{node}: '{name}' has no unit: give it one, or name it in PURE");
                    assert!(!pure || unit.is_empty(), "{node}: '{name}' has the unit {unit}: take it out of PURE");
                }
                Value::Integer(_) | Value::Integers(_) => {
                    assert!(!spec.edges().is_empty(), "{node}: '{name}' has no range");
                }
                _ => {}
            }
        }
    }
}

/// Numbers from 0 to 1, the same ones each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[test]
fn a_filter_for_the_panda_is_made_of_whatever_parameters_are_taken() {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).unwrap();
    let (urdf, limits) = (read("urdf/panda.urdf"), read("config/joint_limits.yaml"));
    let files = BTreeMap::from([
        ("joint_limits_file".to_owned(), limits),
        ("obstacles_file".to_owned(), read("config/panda_obstacles.yaml")),
        ("robot_description_semantic_file".to_owned(), read("urdf/panda.srdf")),
    ]);
    let arm: Vec<String> = (1..=7).map(|n| format!("panda_joint{n}")).collect();
    let text = |text: &str| Ros::String(text.to_owned());
    let base = [
        ("joint_limits_file".to_owned(), text("config/joint_limits.yaml")),
        ("controllers.panda_arm_controller".to_owned(), Ros::StringArray(arm)),
        ("controllers.panda_hand_controller".to_owned(), Ros::StringArray(vec!["panda_finger_joint1".to_owned()])),
    ];
    let (mut chance, mut taken, mut refused) = (Chance(7), 0, 0);
    let specs = streaming_params::specs();
    while taken < 300 {
        // One of them, a few or nearly all: of many at random some contradict each other.
        let often = [0.03, 0.1, 0.9][taken % 3];
        let mut given = BTreeMap::from(base.clone());
        for spec in &specs {
            let (told, which) = (chance.next() < often, chance.next());
            if told && let Some(value) = spec.some_value(which) {
                given.insert(spec.name().to_owned(), value);
            }
        }
        if chance.next() < 0.5 {
            given.insert("gripper_joints".to_owned(), Ros::StringArray(vec!["panda_finger_joint1".to_owned()]));
        }
        if chance.next() < 0.5 {
            given.insert("tool_link".to_owned(), text("panda_hand"));
            given.insert("workspace".to_owned(), Ros::DoubleArray(vec![-1.0, -1.0, 0.0, 1.0, 1.0, 1.5]));
            given.insert(
                "task_limits.pour".to_owned(),
                Ros::StringArray(vec!["pour".to_owned(), "max_tool_speed=0.1".to_owned()]),
            );
        }
        let Ok(params) = Params::new(specs.clone(), &given.clone().into_iter().collect::<Vec<_>>()) else {
            refused += 1;
            assert!(refused < 10_000, "nothing is taken");
            continue;
        };
        let mut streaming =
            Streaming::new(&params, &Files::from_record(&files)).unwrap_or_else(|e| panic!("{given:?}: {e}"));
        let described = streaming.on(&Event::Description { now: 1_000_000_000, urdf: urdf.as_str().into() });
        assert!(described.is_ok() && streaming.streamer().is_ok(), "{given:?}: {described:?}");
        taken += 1;
    }
}

/// As a parameter file has it.
fn flat(prefix: &str, value: &Json, out: &mut BTreeMap<String, Json>) {
    match value {
        Json::Object(fields) => {
            for (key, value) in fields {
                flat(&if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") }, value, out);
            }
        }
        other => drop(out.insert(prefix.to_owned(), other.clone())),
    }
}

#[test]
fn the_page_and_the_example_files_say_what_is_declared() {
    const PAGE: &str = "# Parameters\n\n\
        All parameters of all nodes, as `<executable> --help` shows them. This page and the example files\n\
        in `config/parameters` are written from the declarations by\n\
        `EFM_UPDATE=1 cargo test -p efm_nodes --test parameters`; a test fails where they differ.\n\n\
        A parameter is read when its node starts, unless it is marked dynamic: those may be changed by\n\
        `ros2 param set`. A value of another type, out of its range, or one that contradicts others ends\n\
        the node at its start with exit code 1 and one line that names the parameter, the value and what\n\
        would be right; while the node runs it is refused in the same words. That is before any robot\n\
        description comes. What depends on the robot (whether a joint or a link is there) is told with\n\
        its description. Which key of a file is for which node: ROS's rules, see `config/panda.yaml`.\n";
    const FILE: &str = "Everything that can be set, with what holds by default (and an example where something must be set): to copy from. \
        Leave out what shall keep its default. Written from the declarations, as is docs/parameters.md.";
    let mut wanted = vec![(PathBuf::from("docs/parameters.md"), pages::page(PAGE, &nodes()))];
    for (node, specs) in nodes() {
        let text = pages::example_file(FILE, node, &specs);
        let file: Json = serde_yaml::from_str(&text).unwrap();
        let mut given = BTreeMap::new();
        flat("", &file[format!("/**/{node}")]["ros__parameters"], &mut given);
        let (example, default) = (
            Params::from_json(specs.clone(), &given).unwrap_or_else(|errors| panic!("{node}: {errors:?}")),
            Params::from_json(specs.clone(), &needed(&specs)).unwrap(),
        );
        assert_eq!(example.to_json(), default.to_json(), "{node}");
        for spec in &specs {
            assert!(
                text.contains(&format!("\n    {}:", spec.name()))
                    || text.contains(&format!("\n    # {}:", spec.name()))
            );
        }
        wanted.push((PathBuf::from(format!("config/parameters/{node}.yaml")), text));
    }
    let mut old = Vec::new();
    for (path, text) in wanted {
        let full = root().join(&path);
        if std::fs::read_to_string(&full).ok().as_ref() == Some(&text) {
            continue;
        }
        if std::env::var_os("EFM_UPDATE").is_some() {
            std::fs::create_dir_all(full.parent().unwrap()).unwrap();
            std::fs::write(&full, text).unwrap();
        } else {
            old.push(path);
        }
    }
    assert!(old.is_empty(), "{old:?} differ from the declarations; EFM_UPDATE=1 writes them anew");
}
