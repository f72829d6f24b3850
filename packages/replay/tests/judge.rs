//! The judge: runs of the real graph, recorded once (test/judge), come to the same commands and chunks to the last bit. See test/judge/README.md.
#![allow(clippy::unwrap_used)]

use efm_bag::msgs::DiagnosticArray;
use efm_bag::{BagOptions, BagReader, BagWriter};
use efm_core::Trajectory;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One bag, and what it proves.
struct Case {
    name: &'static str,
    /// Windows in it; of these: sent by somebody else than the publisher.
    commands: (usize, usize),
    /// Chunks in it; of these: of somebody else than `vla_inference`.
    chunks: (usize, usize),
    /// What happened to the publisher: these events are in its trace, in this order, maybe with others between.
    events: &'static [&'static str],
    /// What it did then: these words are in its phases, in this order, maybe with others between.
    phases: &'static [&'static str],
}

const FOLLOWS: &str = "following action chunks";
const STOPPED: &str = "at rest: stopped on request";
const CHANGED: &str = "coming to rest: the instruction has changed or ended";
const DISARMED: &str = "at rest: disarmed";

/// What is in a bag.
struct Held {
    report: Value,
    /// Of each node: set-up and events.
    traces: BTreeMap<String, (Value, Vec<Value>)>,
    /// By controller.
    commands: BTreeMap<String, Vec<Trajectory>>,
    chunks: usize,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn bags() -> PathBuf {
    root().join("test/judge/bags")
}

fn bag(name: &str) -> PathBuf {
    bags().join(name).with_extension("mcap")
}

/// Replays a bag, as `efm replay` does.
fn replay(bag: &Path) -> (Value, String) {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_efm-replay"));
    // The parameters name files of this checkout.
    command.current_dir(root()).arg(bag).arg("--json").arg(&report);
    let library = root().join(".efm/lib/libonnxruntime.so");
    if std::env::var_os(efm_policy::LIBRARY_VARIABLE).is_none() && library.exists() {
        command.env(efm_policy::LIBRARY_VARIABLE, library);
    }
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    let report =
        std::fs::read_to_string(report).unwrap_or_else(|_| panic!("{} cannot be replayed: {said}", bag.display()));
    (serde_json::from_str(&report).unwrap(), said)
}

/// Reads a bag without any of what replays it.
fn held(name: &str, report: Value) -> Held {
    let mut reader = BagReader::open(bag(name)).unwrap();
    let mut held = Held { report, traces: BTreeMap::new(), commands: BTreeMap::new(), chunks: 0 };
    while let Some(message) = reader.next_message().unwrap() {
        let parts: Vec<&str> = message.topic().trim_matches('/').split('/').collect();
        match parts[..] {
            [node, "trace"] => {
                let array = message.decode::<DiagnosticArray>().unwrap();
                let (setup, events) = held.traces.entry(node.to_owned()).or_default();
                for (key, value) in &array.status[0].values {
                    match key.as_str() {
                        "setup" => *setup = serde_json::from_str(value).unwrap(),
                        "events" => {
                            events.extend(value.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()))
                        }
                        _ => {}
                    }
                }
            }
            [controller, "joint_trajectory"] => {
                held.commands.entry(controller.to_owned()).or_default().push(message.decode().unwrap());
            }
            ["action_chunk"] => held.chunks += 1,
            _ => {}
        }
    }
    held
}

impl Held {
    /// In its order; nothing of a node that has no trace.
    fn events(&self, node: &str) -> &[Value] {
        self.traces.get(node).map_or(&[], |(_, events)| events)
    }

    /// A node's parameter.
    fn parameter(&self, node: &str, name: &str) -> Value {
        self.traces[node].0["params"][name].clone()
    }

    /// Events of one kind.
    fn of<'a>(&'a self, node: &str, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events(node).iter().filter_map(move |event| event.get(kind))
    }

    fn ticks(&self) -> Vec<i64> {
        self.of("trajectory_publisher", "tick").map(|tick| tick["now"].as_i64().unwrap()).collect()
    }

    /// Times of the policy's looks, ns.
    fn looks(&self) -> Vec<i64> {
        self.of("vla_inference", "act").map(|look| look["now"].as_i64().unwrap()).collect()
    }

    /// Where a joint was commanded to be, window by window.
    fn path(&self, joint: &str) -> Vec<f64> {
        let (_, windows) = self.commands.iter().find(|(_, w)| w[0].joint_names.iter().any(|n| n == joint)).unwrap();
        let place = windows[0].joint_names.iter().position(|name| name == joint).unwrap();
        windows.iter().map(|window| window.points[0].positions[place]).collect()
    }

    /// Ticks in which a limit slowed the arm down.
    fn slowed(&self, limit: &str) -> u64 {
        self.report["slowed"][limit][1].as_u64().unwrap_or_default()
    }
}

/// The name of an event, as the trace has it.
fn kind(event: &Value) -> &str {
    event.as_str().or_else(|| event.as_object()?.keys().next().map(String::as_str)).unwrap()
}

/// Whether all of `wanted` are found among `told`, in their order.
fn in_order<'a>(
    wanted: &[&str],
    told: impl Iterator<Item = &'a str>,
    fits: impl Fn(&str, &str) -> bool,
) -> Result<(), String> {
    let mut left = wanted.iter().peekable();
    for one in told {
        left.next_if(|wanted| fits(wanted, one));
    }
    left.next().map_or(Ok(()), |missing| Err((*missing).to_owned()))
}

/// Every command and every chunk is as it was, nothing is left out, and what the bag is for is in it.
fn judge(case: &Case) -> Held {
    let Case { name, commands: (commands, others_commands), chunks: (chunks, others_chunks), events, phases } = *case;
    let (report, said) = replay(&bag(name));
    println!("{said}{:#}", report["phases"]);
    assert_eq!(report["problems"], json!([]), "{name}");
    assert_eq!(report["changes"], json!([]), "{name}");
    for (what, part, recorded, others) in
        [("commands", "compared", commands, others_commands), ("chunks", "chunks", chunks, others_chunks)]
    {
        let part = &report[part];
        let count = |what: &str| usize::try_from(part[what].as_u64().unwrap_or_default()).unwrap();
        if part.is_null() {
            assert_eq!(recorded, others, "{name}: {what} that nobody here makes");
            continue;
        }
        // A stranger's is after the end of the trace, or this run has none of its stamp.
        let (compared, outside) = (count("commands"), count("outside_of_trace"));
        assert_eq!(compared + outside, recorded, "{name}: {what} that are in the bag");
        let as_they_were = (count("identical"), recorded - others);
        assert_eq!(as_they_were.0, as_they_were.1, "{name}: {what} that are as they were, to the last bit\n{said}");
        assert_eq!(count("missing") + outside, others, "{name}: {what} that this run has none for");
        assert_eq!(count("additional"), 0, "{name}: {what} that the bag has none for");
    }
    assert_eq!(report["pictures"][0], report["pictures"][1], "{name}: pictures that the policy saw");
    let held = held(name, report);
    // By another way than the replay's: what is in the bag is what was compared, and each chunk that was published is there.
    assert_eq!(held.commands.values().map(Vec::len).sum::<usize>(), commands, "{name}");
    assert_eq!(held.chunks, chunks, "{name}");
    let published = held.of("vla_inference", "acted").filter(|acted| acted["outcome"] == json!({"Ok": true})).count();
    assert_eq!(published, chunks - others_chunks, "{name}: chunks that were published");
    assert!(held.ticks().len() > 50 && commands > 50 && chunks > 1, "{name} holds next to nothing");
    let told = held.events("trajectory_publisher").iter().map(kind);
    let missing = in_order(events, told, |wanted, event| wanted == event);
    assert_eq!(missing, Ok(()), "{name}: this event is not in the bag, or not in this order");
    let told: Vec<_> =
        held.report["phases"].as_array().unwrap().iter().map(|phase| phase[1].as_str().unwrap()).collect();
    let missing = in_order(phases, told.iter().copied(), |wanted, phase| phase.contains(wanted));
    assert_eq!(missing, Ok(()), "{name}: this is not what the arm did, or not in this order: {told:#?}");
    held
}

/// Who sent chunks.
fn senders(held: &Held) -> BTreeSet<String> {
    held.of("trajectory_publisher", "chunk").map(|chunk| chunk["sender"].to_string()).collect()
}

#[test]
fn stop_and_resume() {
    judge(&Case {
        name: "stop_and_resume",
        commands: (238, 0),
        chunks: (9, 0),
        events: &["arm", "instruction", "stop", "resume"],
        phases: &[FOLLOWS, STOPPED, FOLLOWS, CHANGED, DISARMED],
    });
}

#[test]
fn emergency_stop_and_arm() {
    let held = judge(&Case {
        name: "emergency_stop_and_arm",
        commands: (214, 0),
        chunks: (11, 0),
        events: &["arm", "emergency_stop", "arm"],
        phases: &[FOLLOWS, "at rest: emergency stop", FOLLOWS],
    });
    // At once, without a way to rest.
    let phases = held.report["phases"].as_array().unwrap();
    let stop = phases.iter().position(|phase| phase[1].as_str().unwrap().contains("emergency stop")).unwrap();
    assert_eq!(phases[stop - 1][1], FOLLOWS);
}

#[test]
fn cancel() {
    let held = judge(&Case {
        name: "cancel",
        commands: (126, 0),
        chunks: (3, 0),
        events: &["arm", "instruction", "instruction", "arm"],
        phases: &[FOLLOWS, CHANGED, "at rest", DISARMED],
    });
    assert_eq!(held.of("goal_intake", "cancel").count(), 2, "cancel_goal in motion, and once more at the end");
    let last = held.of("trajectory_publisher", "instruction").last().unwrap();
    assert_eq!(last["text"], "", "no goal any more");
}

/// Another goal comes while the arm moves to the left: it goes to the right in the end.
fn new_goal(case: &Case, rule: &str) -> Held {
    let held = judge(case);
    assert_eq!(held.parameter("trajectory_publisher", "on_new_goal"), rule);
    let path = held.path("panda_joint1");
    let farthest = path.iter().copied().fold(f64::MIN, f64::max);
    assert!(farthest > path[0] + 0.1 && *path.last().unwrap() < farthest - 0.05, "to the left, and back");
    held
}

#[test]
fn new_goal_blend() {
    new_goal(
        &Case {
            name: "new_goal_blend",
            commands: (256, 0),
            chunks: (7, 0),
            events: &["instruction", "chunk", "instruction", "chunk", "instruction"],
            phases: &[FOLLOWS, CHANGED],
        },
        "blend",
    );
}

#[test]
fn new_goal_finish_chunk() {
    let held = new_goal(
        &Case {
            name: "new_goal_finish_chunk",
            commands: (366, 0),
            chunks: (10, 0),
            events: &["instruction", "chunk", "instruction", "chunk", "instruction"],
            phases: &[FOLLOWS, CHANGED],
        },
        "finish_chunk",
    );
    assert_eq!(held.report["taken"][0], 7, "three chunks have to wait for the end of the one before");
}

#[test]
fn new_goal_stop_first() {
    new_goal(
        &Case {
            name: "new_goal_stop_first",
            commands: (278, 0),
            chunks: (8, 0),
            events: &["instruction", "chunk", "instruction", "chunk", "instruction"],
            phases: &[FOLLOWS, CHANGED, "at rest", FOLLOWS, CHANGED],
        },
        "stop_first",
    );
}

/// Chunks follow each other for a second and a half.
fn mode(case: &Case, mode: &str) -> Held {
    let held = judge(case);
    assert_eq!(held.parameter("trajectory_publisher", "mode"), mode);
    assert!(held.report["taken"][0].as_u64().unwrap() >= 9, "chunks follow each other");
    held
}

#[test]
fn mode_blend() {
    mode(
        &Case {
            name: "mode_blend",
            commands: (364, 0),
            chunks: (10, 0),
            events: &["chunk", "chunk"],
            phases: &[FOLLOWS],
        },
        "blend",
    );
}

#[test]
fn mode_fifo() {
    mode(
        &Case {
            name: "mode_fifo",
            commands: (360, 0),
            chunks: (9, 0),
            events: &["chunk", "chunk"],
            phases: &[FOLLOWS],
        },
        "fifo",
    );
}

#[test]
fn mode_temporal_ensemble() {
    mode(
        &Case {
            name: "mode_temporal_ensemble",
            commands: (350, 0),
            chunks: (9, 0),
            events: &["chunk", "chunk"],
            phases: &[FOLLOWS],
        },
        "temporal_ensemble",
    );
}

#[test]
fn mode_rtc() {
    let held = mode(
        &Case {
            name: "mode_rtc",
            commands: (364, 0),
            chunks: (10, 0),
            events: &["chunk", "chunk"],
            phases: &[FOLLOWS],
        },
        "rtc",
    );
    assert_eq!(held.parameter("vla_inference", "mode"), "rtc");
    let guided = held.of("vla_inference", "act").filter(|look| look.get("following").is_some()).count();
    assert!(guided >= 8, "{guided} looks know what is followed");
}

#[test]
fn clock_jump() {
    let held = judge(&Case {
        name: "clock_jump",
        commands: (262, 0),
        chunks: (9, 0),
        events: &["arm", "chunk"],
        phases: &[FOLLOWS, "the clock moved by 0.510 s", FOLLOWS, "the clock moved by -0.491 s", FOLLOWS],
    });
    let steps: Vec<_> = held.ticks().windows(2).map(|two| two[1] - two[0]).collect();
    assert!(steps.iter().any(|step| *step > 400_000_000) && steps.iter().any(|step| *step < -400_000_000));
}

#[test]
fn obstacle() {
    let held = judge(&Case {
        name: "obstacle",
        commands: (426, 0),
        chunks: (12, 0),
        events: &["instruction", "chunk", "instruction", "chunk"],
        phases: &[FOLLOWS, "stopped before an obstacle: 'panda_hand' would come within", FOLLOWS, CHANGED],
    });
    assert!(held.slowed("obstacle, itself or workspace") > 50, "{:#}", held.report["slowed"]);
    let path = held.path("panda_joint1");
    assert!(path.iter().copied().fold(f64::MAX, f64::min) > -0.6, "the pillar stands there");
}

#[test]
fn dead_camera() {
    let held = judge(&Case {
        name: "dead_camera",
        commands: (382, 0),
        chunks: (6, 0),
        events: &["chunk", "chunk"],
        phases: &[FOLLOWS, "the last action chunk is over", FOLLOWS],
    });
    let pause = held.looks().windows(2).map(|two| two[1] - two[0]).max().unwrap();
    assert!(pause > 1_000_000_000, "the policy sees nothing for {pause} ns");
}

#[test]
fn another_robot() {
    let held = judge(&Case {
        name: "another_robot",
        commands: (119, 0),
        chunks: (6, 0),
        events: &["description", "arm", "instruction", "chunk"],
        phases: &["no robot_description yet", FOLLOWS, CHANGED, FOLLOWS],
    });
    assert_eq!(held.commands.keys().collect::<Vec<_>>(), ["arm_controller"]);
    let path = held.path("pan");
    assert!(path.last().unwrap() - path[0] > 0.05, "it moves");
}

#[test]
fn frozen_joint_states() {
    judge(&Case {
        name: "frozen_joint_states",
        commands: (224, 0),
        chunks: (11, 0),
        events: &["chunk", "resume", "chunk"],
        phases: &[
            FOLLOWS,
            "coming to rest: joint_states are frozen: joint 'panda_joint1'",
            "at rest: joint_states are frozen",
            FOLLOWS,
        ],
    });
}

#[test]
fn stale_joint_states() {
    let held = judge(&Case {
        name: "stale_joint_states",
        commands: (216, 0),
        chunks: (10, 0),
        events: &["chunk", "resume", "chunk"],
        phases: &[FOLLOWS, "joint_states were lost while the arm moved", FOLLOWS],
    });
    assert!(held.of("trajectory_publisher", "tick").filter(|tick| tick.get("joints").is_none()).count() > 20);
}

#[test]
fn blocked_joint() {
    judge(&Case {
        name: "blocked_joint",
        commands: (746, 0),
        chunks: (25, 0),
        events: &["chunk", "resume", "chunk"],
        phases: &[FOLLOWS, "joint 'panda_joint1' is 0.2004 from where it was commanded to be", FOLLOWS],
    });
}

#[test]
fn two_senders_of_joint_states() {
    let held = judge(&Case {
        name: "two_senders_of_joint_states",
        commands: (212, 0),
        chunks: (10, 0),
        events: &["chunk", "resume", "chunk"],
        phases: &[FOLLOWS, "two nodes publish joint 'panda_joint1'", FOLLOWS],
    });
    let contradicted =
        held.of("trajectory_publisher", "tick").filter(|tick| tick["joints"].get("contradiction").is_some());
    assert!(contradicted.count() > 0);
}

#[test]
fn two_senders_of_chunks() {
    let held = judge(&Case {
        name: "two_senders_of_chunks",
        commands: (488, 0),
        chunks: (13, 8),
        events: &["chunk", "chunk_sender_gone", "chunk"],
        phases: &[FOLLOWS, "the last action chunk is over", FOLLOWS],
    });
    assert_eq!(senders(&held).len(), 2);
    assert_eq!(
        held.report["taken"][0], 8,
        "five of the second policy are refused, and three taken once the first one is gone"
    );
}

#[test]
fn another_commander() {
    judge(&Case {
        name: "another_commander",
        commands: (227, 1),
        chunks: (15, 0),
        events: &["chunk", "other_commands", "resume", "chunk"],
        phases: &[FOLLOWS, "somebody else commands a controller", FOLLOWS],
    });
}

#[test]
fn goal_of_somebody_else() {
    judge(&Case {
        name: "goal_of_somebody_else",
        commands: (194, 0),
        chunks: (7, 0),
        events: &["chunk", "goal", "chunk", "goal", "chunk"],
        phases: &[FOLLOWS, "a goal of somebody else is active on panda_arm_controller", FOLLOWS],
    });
}

#[test]
fn slower() {
    let held = judge(&Case {
        name: "slower",
        commands: (312, 0),
        chunks: (9, 0),
        events: &["lower_speed_scale", "speed_scale", "instruction"],
        phases: &[FOLLOWS],
    });
    assert!(held.slowed("speed_scale") > 50 && held.slowed("speed of the tool") > 5, "{:#}", held.report["slowed"]);
}

#[test]
fn faster_again() {
    let held = judge(&Case {
        name: "faster_again",
        commands: (248, 0),
        chunks: (7, 0),
        events: &["instruction", "chunk", "instruction", "chunk", "instruction"],
        phases: &[FOLLOWS, CHANGED],
    });
    let fastest =
        |way: f64| held.path("panda_joint1").windows(2).map(|two| way * (two[1] - two[0])).fold(0.0, f64::max);
    assert!(fastest(1.0) > 1.3 * fastest(-1.0), "to the right with care, to the left without");
}

#[test]
fn bad_chunks() {
    judge(&Case {
        name: "bad_chunks",
        commands: (234, 0),
        chunks: (14, 14),
        events: &["instruction", "chunk", "resume", "chunk"],
        phases: &[FOLLOWS, "at rest: 3 action chunks in a row could not be used", FOLLOWS],
    });
}

#[test]
fn another_description() {
    let held = judge(&Case {
        name: "another_description",
        commands: (344, 0),
        chunks: (11, 0),
        events: &["description", "arm", "chunk", "description", "chunk", "arm", "arm", "chunk"],
        phases: &[FOLLOWS, "coming to rest: disarmed", DISARMED, FOLLOWS],
    });
    assert!(held.slowed("velocity of 'panda_joint1'") > 5, "the second description's joints are slower");
    assert_eq!(held.of("vla_inference", "open").count(), 2);
}

#[test]
fn two_decisions_a_point() {
    let held = judge(&Case {
        name: "two_decisions_a_point",
        commands: (200, 0),
        chunks: (5, 0),
        events: &["chunk", "stop", "resume", "chunk"],
        phases: &[FOLLOWS, STOPPED, FOLLOWS],
    });
    assert_eq!(held.parameter("trajectory_publisher", "ticks_per_point"), 2);
    let close = held.ticks().windows(2).filter(|two| two[1] - two[0] == 5_000_000).count();
    assert!(close > 200, "200 decisions a second");
}

#[test]
fn short_goal_of_somebody_else() {
    let held = judge(&Case {
        name: "short_goal_of_somebody_else",
        commands: (194, 0),
        chunks: (6, 0),
        events: &["chunk", "goal", "goal", "chunk"],
        phases: &[FOLLOWS, "a goal of somebody else is active on panda_arm_controller", "at rest", FOLLOWS],
    });
    let active: Vec<_> =
        held.of("trajectory_publisher", "goal").map(|goal| goal["active"].as_bool().unwrap()).collect();
    assert!(active.ends_with(&[true, false]), "{active:?}");
}

#[test]
fn stops_upon_stops() {
    judge(&Case {
        name: "stops_upon_stops",
        commands: (240, 0),
        chunks: (13, 0),
        events: &["stop", "emergency_stop", "resume", "arm", "chunk", "stop", "arm", "arm", "resume", "chunk"],
        phases: &[FOLLOWS, "coming to rest: stopped on request", "at rest: emergency stop", FOLLOWS, STOPPED, FOLLOWS],
    });
}

#[test]
fn described_while_stopped() {
    let held = judge(&Case {
        name: "described_while_stopped",
        commands: (182, 0),
        chunks: (9, 0),
        events: &["description", "stop", "arm", "description", "arm", "chunk", "resume", "chunk"],
        phases: &[FOLLOWS, STOPPED, FOLLOWS],
    });
    assert!(held.slowed("velocity of 'panda_joint1'") > 0, "the second description's joints are slower");
}

#[test]
fn goals_in_a_row() {
    let held = new_goal(
        &Case {
            name: "goals_in_a_row",
            commands: (384, 0),
            chunks: (11, 0),
            events: &[
                "instruction",
                "chunk",
                "instruction",
                "instruction",
                "instruction",
                "chunk",
                "instruction",
                "chunk",
            ],
            phases: &[FOLLOWS, CHANGED],
        },
        "finish_chunk",
    );
    assert_eq!(held.of("trajectory_publisher", "instruction").count(), 7);
}

/// Of the publisher's own logic, without a graph and without a policy, as nobody here has moveit_msgs.
#[test]
fn scene_change() {
    let held = judge(&Case {
        name: "scene_change",
        commands: (480, 0),
        chunks: (13, 13),
        events: &["scene_taken", "chunk", "scene_taken", "chunk", "scene_taken", "chunk"],
        phases: &[FOLLOWS, "stopped before an obstacle: 'panda_hand' would come within", "'pillar'", FOLLOWS],
    });
    assert!(held.slowed("obstacle, itself or workspace") > 20, "{:#}", held.report["slowed"]);
}

#[test]
fn scenes_that_are_not_in_the_bag_are_missed() {
    let dir = tempfile::tempdir().unwrap();
    let without = dir.path().join("bag");
    let mut reader = BagReader::open(bag("scene_change")).unwrap();
    let mut writer = BagWriter::create(&without, BagOptions::default()).unwrap();
    while let Some(message) = reader.next_message().unwrap() {
        if !message.topic_is("planning_scene") {
            writer.copy(&message).unwrap();
        }
    }
    writer.finish().unwrap();
    let (report, said) = replay(&without);
    let problem = report["problems"][0].as_str().unwrap();
    assert!(problem.contains("2 planning scenes") && problem.contains("topic planning_scene"), "{said}");
    assert!(report["identical"].as_u64().unwrap() < 480, "the arm goes through the pillar");
}

/// A bag without its case would judge nothing, and a bag that grew would be cloned by everybody for ever.
#[test]
fn each_bag_is_judged_and_all_of_them_are_small() {
    let source = include_str!("judge.rs");
    let mut bytes = 0;
    for entry in std::fs::read_dir(bags()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(source.contains(&format!("fn {name}() {{")), "{} is of no test", path.display());
        bytes += path.metadata().unwrap().len();
    }
    assert!(bytes < 5 << 20, "{bytes} bytes");
}
