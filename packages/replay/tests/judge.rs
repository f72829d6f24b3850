//! The judge: runs of the real graph, recorded once (test/judge), come to the same commands and chunks to the last bit. See test/judge/README.md.
#![allow(clippy::unwrap_used)]

use efm_bag::BagReader;
use efm_bag::msgs::DiagnosticArray;
use efm_core::Trajectory;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
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

/// Replays a bag, as `efm replay` does.
fn replay(name: &str) -> (Value, String) {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_efm-replay"));
    // The parameters name files of this checkout.
    command.current_dir(root()).arg(bags().join(name).with_extension("mcap")).arg("--json").arg(&report);
    let library = root().join(".efm/lib/libonnxruntime.so");
    if std::env::var_os(efm_policy::LIBRARY_VARIABLE).is_none() && library.exists() {
        command.env(efm_policy::LIBRARY_VARIABLE, library);
    }
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    let report = std::fs::read_to_string(report).unwrap_or_else(|_| panic!("{name} cannot be replayed: {said}"));
    (serde_json::from_str(&report).unwrap(), said)
}

/// Reads a bag without any of what replays it.
fn held(name: &str, report: Value) -> Held {
    let mut reader = BagReader::open(&bags().join(name).with_extension("mcap")).unwrap();
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
                        "events" => events.extend(value.lines().map(|line| serde_json::from_str::<Value>(line).unwrap())),
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
    fn events(&self, node: &str) -> &[Value] {
        &self.traces[node].1
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
fn in_order<'a>(wanted: &[&str], told: impl Iterator<Item = &'a str>, fits: impl Fn(&str, &str) -> bool) -> Result<(), String> {
    let mut left = wanted.iter().peekable();
    for one in told {
        left.next_if(|wanted| fits(wanted, one));
    }
    left.next().map_or(Ok(()), |missing| Err((*missing).to_owned()))
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// Every command and every chunk is as it was, nothing is left out, and what the bag is for is in it.
fn judge(case: &Case) -> Held {
    let Case { name, commands: (commands, others_commands), chunks: (chunks, others_chunks), events, phases } = *case;
    let (report, said) = replay(name);
    println!("{said}{:#}", report["phases"]);
    assert_eq!(report["problems"], json!([]), "{name}");
    assert_eq!(report["changes"], json!([]), "{name}");
    for (what, part, recorded, others) in
        [("commands", "compared", commands, others_commands), ("chunks", "chunks", chunks, others_chunks)]
    {
        let part = &report[part];
        // A stranger's is after the end of the trace, or this run has none of its stamp.
        let (compared, outside) = (number(&part["commands"]), number(&part["outside_of_trace"]));
        assert_eq!(compared + outside, recorded, "{name}: {what} that are in the bag");
        assert_eq!(number(&part["identical"]), recorded - others, "{name}: {what} that are as they were, to the last bit\n{said}");
        assert_eq!(number(&part["missing"]) + outside, others, "{name}: {what} that this run has none for");
        assert_eq!(number(&part["additional"]), 0, "{name}: {what} that the bag has none for");
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
    let told: Vec<_> = held.report["phases"].as_array().unwrap().iter().map(|phase| phase[1].as_str().unwrap()).collect();
    let missing = in_order(phases, told.iter().copied(), |wanted, phase| phase.contains(wanted));
    assert_eq!(missing, Ok(()), "{name}: this is not what the arm did, or not in this order: {told:#?}");
    held
}

/// Who sent chunks.
fn senders(held: &Held) -> BTreeSet<String> {
    held.of("trajectory_publisher", "chunk").map(|chunk| chunk["sender"].to_string()).collect()
}
