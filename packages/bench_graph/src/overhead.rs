//! From a camera's message to the first trajectory that follows from it, and what every process costs meanwhile.
//!
//! The picture's stamp is the time just before it is published. A tick tells, on `filter_state`, which chunk it knew; a chunk's stamp is its
//! picture's. So with the time at which the first tick with a picture's chunk told of it, the whole way is known from outside. From the way are
//! taken the wait for that tick (from the chunk's arrival) and the time in the policy; what a policy spends beside its graphs is added again.
//! What remains of the floor is what the middleware takes.

use crate::Options;
use crate::relay::Bare;
use crate::robot::{Heard, Robot, Says};
use crate::stack::{self, Package, Stack};
use anyhow::{Context, Result, bail};
use efm_app::publisher::streaming::Event;
use efm_app::trace::{Inferred, PassedOn};
use efm_bench::section::{Section, Table, Target};
use efm_bench::usage::{cpu_seconds, memory_mb};
use efm_core::reading;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

/// Policies: one with one camera, which does next to nothing, and one with two that people would use.
const POLICIES: [&str; 2] = ["test/models/panda_drift", "models/panda_tabletop_chunk"];
/// Until processes found each other, loaded what they need and filled their caches.
const PATIENCE: Duration = Duration::from_secs(90);
const SETTLE: Duration = Duration::from_secs(3);

/// What happened within the nodes.
#[derive(Debug, Default)]
struct Inside {
    /// Seconds in the policy, by observation, ns.
    acts: HashMap<i64, f64>,
    /// When a chunk reached who follows it, by observation, ns.
    chunks: HashMap<i64, i64>,
    /// Of our nodes: when a picture reached `camera_ingest` and left it (the last of several), by its stamp; when the policy was given an
    /// observation and when its chunk was there. ns.
    passed: HashMap<i64, (i64, i64)>,
    looked: HashMap<i64, (i64, i64)>,
}

/// Quantiles, ms.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Spread {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The greatest.
    pub max: f64,
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.p50.is_nan() {
            return f.write_str("none");
        }
        write!(f, "{:.2} / {:.2} / {:.2}", self.p50, self.p99, self.max)
    }
}

/// Quantiles of values; no numbers where there are none.
pub fn spread(mut values: Vec<f64>) -> Spread {
    values.sort_by(f64::total_cmp);
    let at =
        |part: f64| values.get(((values.len() as f64 * part) as usize).min(values.len().saturating_sub(1))).copied();
    Spread { p50: at(0.5).unwrap_or(f64::NAN), p99: at(0.99).unwrap_or(f64::NAN), max: at(1.0).unwrap_or(f64::NAN) }
}

/// What a process costs.
#[derive(Debug, Clone, Serialize)]
struct Cost {
    name: String,
    /// Cores.
    cpu: f64,
    /// MB.
    memory: f64,
}

/// What one graph needed with one policy.
#[derive(Debug, Clone, Serialize)]
struct Measured {
    samples: usize,
    /// Picture to trajectory, ms.
    whole: Spread,
    /// Chunk to tick, ms.
    wait: Spread,
    /// In the policy, ms.
    act: Spread,
    /// What remains, ms.
    overhead: Spread,
    costs: Vec<Cost>,
    /// Cores that the graphs of the policy took of that.
    model_cpu: f64,
    /// Chunks a second.
    rate: f64,
    /// Seconds from the start of the processes to the first trajectory.
    first_motion: f64,
    /// Where the way of our nodes goes, ms.
    stages: Vec<(&'static str, Spread)>,
}

/// Steps of the way through our nodes; the wait for the tick lies before the last.
const STAGES: [&str; 6] = [
    "picture to camera_ingest",
    "resized and published",
    "to the policy",
    "policy, with the ways to its thread and back",
    "chunk to trajectory_publisher",
    "tick to the stand-in",
];

fn parse(heard: &Heard) -> Result<Inside> {
    let mut inside = Inside::default();
    let mut looking = None;
    for trace in &heard.traces {
        for line in trace.events.lines() {
            if trace.node.ends_with("vla_inference") {
                match serde_json::from_str(line).context("a trace of vla_inference")? {
                    Inferred::Act(look) => looking = Some((look.stamp, look.now)),
                    Inferred::Acted { seconds, now, .. } => {
                        if let Some((stamp, began)) = looking.take() {
                            inside.acts.insert(stamp, seconds);
                            inside.looked.insert(stamp, (began, now));
                        }
                    }
                    _ => {}
                }
            } else if trace.node.ends_with("camera_ingest") {
                let passed: PassedOn<'_> = serde_json::from_str(line).context("a trace of camera_ingest")?;
                let times = inside.passed.entry(passed.stamp).or_insert((passed.received, passed.published));
                *times = (times.0.max(passed.received), times.1.max(passed.published));
            } else if let Event::Chunk { now, stamp, .. } =
                serde_json::from_str(line).context("a trace of trajectory_publisher")?
            {
                inside.chunks.insert(stamp, now);
            }
        }
    }
    Ok(inside)
}

/// What the processes of rclpy and of the floor have written at their end.
fn written(stack: Stack, out: &Path, heard: &Heard) -> Result<(Inside, Option<Bare>)> {
    let read = |name: &str| -> Result<serde_json::Value> {
        let file = out.join(name);
        let text = reading::text(&file, reading::REPORT).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(serde_json::from_str(&text)?)
    };
    match stack {
        Stack::Ours | Stack::Composed => Ok((parse(heard)?, None)),
        Stack::Floor => {
            let bare: Bare = serde_json::from_value(read("vla_inference.json")?)?;
            // It does not wait.
            let chunks = heard.told.iter().map(|told| (told.chunk, told.tick)).collect();
            Ok((Inside { acts: bare.runs.iter().copied().collect(), chunks, ..Inside::default() }, Some(bare)))
        }
        Stack::Rclpy => {
            let runs: Vec<(i64, f64)> = serde_json::from_value(read("vla_inference.json")?["runs"].take())?;
            let chunks: Vec<(i64, i64)> = serde_json::from_value(read("trajectory_publisher.json")?["chunks"].take())?;
            Ok((
                Inside { acts: runs.into_iter().collect(), chunks: chunks.into_iter().collect(), ..Inside::default() },
                None,
            ))
        }
    }
}

/// Has one graph run with one policy.
fn measure(stack: Stack, options: &Options, package: &Package, length: Duration) -> Result<(Measured, Option<Bare>)> {
    let out = tempfile::tempdir()?;
    let begun = crate::robot::now();
    let mut processes = stack::start(stack, options, package, out.path())?;
    let robot = Robot::start(Says { cameras: package.cameras.clone(), joint_rate: 100.0, proposes: false })?;
    let going =
        robot.until("the first trajectory", PATIENCE, |heard| heard.told.len() > 3 && !heard.windows.is_empty());
    processes.check()?;
    going.with_context(|| format!("{} with {}", stack.name(), package.name))?;
    let first = robot.look(|heard| heard.windows.first().copied()).unwrap_or_default();
    std::thread::sleep(SETTLE);
    robot.forget();
    let ids: Vec<_> = processes.ids().map(|(name, id)| (name.to_owned(), id)).collect();
    let used = || ids.iter().map(|(_, id)| cpu_seconds(*id)).collect::<Result<Vec<_>>>();
    let (before, start) = (used()?, Instant::now());
    std::thread::sleep(length);
    let (after, lasted) = (used()?, start.elapsed().as_secs_f64());
    let mut costs = Vec::new();
    for (((name, id), before), after) in ids.iter().zip(before).zip(after) {
        costs.push(Cost { name: name.clone(), cpu: (after - before) / lasted, memory: memory_mb(*id)? });
    }
    // Traces come ten times a second.
    std::thread::sleep(Duration::from_millis(300));
    processes.check()?;
    let heard = robot.stop()?;
    for unkind in processes.stop() {
        eprintln!("{}: {unkind}", stack.name());
    }
    let (inside, bare) = written(stack, out.path(), &heard)?;
    let (mut whole, mut wait, mut act, mut overhead) = (vec![], vec![], vec![], vec![]);
    let mut stages: [Vec<f64>; STAGES.len()] = Default::default();
    let mut last = heard.told.first().map_or(0, |told| told.chunk);
    for told in &heard.told {
        if std::mem::replace(&mut last, told.chunk) == told.chunk {
            continue;
        }
        let (Some(seconds), Some(came)) = (inside.acts.get(&told.chunk), inside.chunks.get(&told.chunk)) else {
            continue;
        };
        let ms = |nanos: i64| nanos as f64 * 1e-6;
        if let (Some(passed), Some(looked)) = (inside.passed.get(&told.chunk), inside.looked.get(&told.chunk)) {
            let ends = [told.chunk, passed.0, passed.1, looked.0, looked.1, *came];
            for (stage, pair) in stages.iter_mut().zip(ends.windows(2)) {
                stage.push(ms(pair[1] - pair[0]));
            }
            stages[STAGES.len() - 1].push(ms(told.received - told.tick));
        }
        whole.push(ms(told.received - told.chunk));
        wait.push(ms(told.tick - came));
        act.push(seconds * 1e3);
        overhead.push(ms(told.received - told.chunk) - ms(told.tick - came) - seconds * 1e3);
    }
    if whole.len() < 20 {
        bail!(
            "{} with {}: only {} chunks of {} ticks can be told apart",
            stack.name(),
            package.name,
            whole.len(),
            heard.told.len()
        );
    }
    let samples = whole.len();
    let measured = Measured {
        samples,
        whole: spread(whole),
        wait: spread(wait),
        act: spread(act),
        overhead: spread(overhead),
        costs,
        model_cpu: 0.0,
        rate: samples as f64 / lasted,
        first_motion: (first - begun.nanos()) as f64 * 1e-9,
        stages: STAGES
            .into_iter()
            .zip(stages)
            .filter(|(_, ms)| !ms.is_empty())
            .map(|(name, ms)| (name, spread(ms)))
            .collect(),
    };
    Ok((measured, bare))
}

/// Measures all graphs; whether what was to be reached is.
///
/// # Errors
/// When a graph does not run, or a file cannot be written.
pub fn bench(options: &Options) -> Result<bool> {
    let length = Duration::from_secs(if options.quick { 12 } else { 40 });
    let root = options.root.canonicalize().with_context(|| format!("--root {}", options.root.display()))?;
    let options = &Options { root: root.clone(), ..options.clone() };
    let models = vec![root.join("models"), root.join("test/models"), root.join("packages/policy/tests/data")];
    let stacks: Vec<_> = match options.python {
        Some(_) => vec![Stack::Ours, Stack::Composed, Stack::Rclpy, Stack::Floor],
        None => vec![Stack::Ours, Stack::Composed, Stack::Floor],
    };
    let copies = tempfile::tempdir()?;
    let logs = options.logs.clone().unwrap_or_else(|| copies.path().to_owned());
    std::fs::create_dir_all(&logs)?;
    let _awake = stack::keep_awake(&logs)?;
    let mut section = Section {
        name: "overhead".to_owned(),
        title: "From an observation to a command, and what the nodes cost".to_owned(),
        text: TEXT.to_owned(),
        ..Section::default()
    };
    let mut figures = BTreeMap::new();
    for policy in POLICIES {
        let package = Package::copy(&root.join(policy), models.clone(), copies.path())?;
        let mut found = Vec::new();
        let mut floor = Bare::default();
        for &stack in &stacks {
            // Once is enough where it is to be short.
            if stack == Stack::Composed && options.quick && package.cameras.len() == 1 {
                continue;
            }
            eprintln!("{} with {}, {} s ...", stack.name(), package.name, length.as_secs());
            let (measured, bare) = measure(stack, options, &package, length)?;
            floor = bare.unwrap_or(floor);
            found.push((stack, measured));
        }
        judge(&mut section, &package, &mut found, &floor);
        let by_name: BTreeMap<_, _> = found.into_iter().map(|(stack, measured)| (stack.name(), measured)).collect();
        figures.insert(package.name, serde_json::json!({"graphs": by_name, "model_memory_mb": floor.memory}));
    }
    section.figures = serde_json::to_value(figures)?;
    section.deliver(options.section.as_deref())
}

const TEXT: &str = "The same stand-in of a robot (pictures of 640x480 at 30 Hz a camera, joint states at 100 Hz) speaks to these graphs in turn: our nodes, \
the same in one process (`composed`), the same split written in rclpy (`packages/bench/rivals/rclpy_nodes.py`: OpenCV, onnxruntime with one thread; no safety but a \
clamp, no kinematics) and the *floor*: relays that pass on messages of the same sizes over bare rcl, with the bare graphs in the middle. `whole` is \
from just before the picture is published until the first command that follows from it is here. `overhead` is that without the wait for the control \
tick and without the bare model; the floor's median, which is what the middleware takes, is then taken off as well. A picture that is used finds the \
policy idle (ten chunks a second), so the wait for inference is none. The cores are kept awake by work that gives way to any other (SCHED_IDLE), for all \
three graphs: one that sleeps wakes up late by milliseconds in a virtual machine, whoever is to run.";

/// Tables and targets of one policy.
fn judge(section: &mut Section, package: &Package, found: &mut [(Stack, Measured)], floor: &Bare) {
    let Some(base) = found.iter().find(|(stack, _)| *stack == Stack::Floor).map(|(_, measured)| measured.clone())
    else {
        return;
    };
    let model_cpu = floor.cpu / floor.runs.len().max(1) as f64;
    for (_, measured) in found.iter_mut() {
        // What the policy does beside its graphs is no model's time.
        let own = measured.act.p50 - base.act.p50;
        let less = base.overhead.p50 - own;
        for value in [&mut measured.overhead.p50, &mut measured.overhead.p99, &mut measured.overhead.max] {
            *value -= less;
        }
        measured.model_cpu = model_cpu * measured.rate;
    }
    let cameras = match package.cameras.len() {
        1 => "1 camera".to_owned(),
        several => format!("{several} cameras"),
    };
    section.tables.push(Table {
        title: format!("{}, {cameras}: p50 / p99 / max, ms", package.name),
        columns: [
            "graph",
            "chunks",
            "whole",
            "wait for the tick",
            "in the policy",
            "overhead",
            "first motion after, s",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: found
            .iter()
            .map(|(stack, m)| {
                let cells = [m.whole, m.wait, m.act, m.overhead].map(|spread| spread.to_string());
                let mut row = vec![stack.name().to_owned(), m.samples.to_string()];
                row.extend(cells);
                row.push(format!("{:.1}", m.first_motion));
                row
            })
            .collect(),
    });
    if let Some((_, ours)) = found.iter().find(|(_, measured)| !measured.stages.is_empty()) {
        section.tables.push(Table {
            title: format!(
                "{}, {cameras}: where the way through embodied_fm goes (without the wait for the tick)",
                package.name
            ),
            columns: ["from and to", "p50 / p99 / max, ms"].map(str::to_owned).to_vec(),
            rows: ours.stages.iter().map(|(name, spread)| vec![(*name).to_owned(), spread.to_string()]).collect(),
        });
    }
    let costs = |m: &Measured, of: fn(&Cost) -> f64| m.costs.iter().map(of).sum::<f64>();
    let mut rows = Vec::new();
    for (stack, m) in found.iter() {
        for cost in &m.costs {
            rows.push(vec![
                stack.name().to_owned(),
                cost.name.clone(),
                format!("{:.3}", cost.cpu),
                format!("{:.1}", cost.memory),
            ]);
        }
        rows.push(vec![
            stack.name().to_owned(),
            "all, without the model".to_owned(),
            format!("{:.3}", costs(m, |c| c.cpu) - m.model_cpu),
            format!("{:.1}", costs(m, |c| c.memory) - floor.memory),
        ]);
    }
    section.tables.push(Table {
        title: format!(
            "{}, {cameras}: what each process costs meanwhile (model and text encoder alone: {:.1} ms of CPU a chunk, {:.1} MB)",
            package.name,
            model_cpu * 1e3,
            floor.memory
        ),
        columns: ["graph", "process", "CPU, cores", "memory (PSS), MB"].map(str::to_owned).to_vec(),
        rows,
    });
    let of = |wanted: Stack| found.iter().find(|(stack, _)| *stack == wanted).map(|(_, m)| m);
    let Some(ours) = of(Stack::Ours) else { return };
    let mut target = |asked: String, measured: String, met: bool| section.targets.push(Target { asked, measured, met });
    let p99 = ours.overhead.p99;
    let alone = base.overhead.p99 - base.overhead.p50;
    let measured = format!("{p99:.2} ms; the floor's own lies {alone:.2} ms above its median");
    target(format!("{cameras}: overhead p99 at most 2 ms"), measured, p99 <= 2.0);
    let Some(rclpy) = of(Stack::Rclpy) else { return };
    for (name, ours, theirs, most) in [
        ("overhead p50", ours.overhead.p50, rclpy.overhead.p50, 1.0 / 5.0),
        ("overhead p99", p99, rclpy.overhead.p99, 1.0 / 5.0),
        (
            "CPU without the model",
            costs(ours, |c| c.cpu) - ours.model_cpu,
            costs(rclpy, |c| c.cpu) - rclpy.model_cpu,
            1.0 / 3.0,
        ),
        (
            "memory without the model",
            costs(ours, |c| c.memory) - floor.memory,
            costs(rclpy, |c| c.memory) - floor.memory,
            1.0 / 2.0,
        ),
    ] {
        let ratio = ours / theirs;
        let asked = format!("{cameras}: {name} at most 1/{:.0} of rclpy's", 1.0 / most);
        target(asked, format!("1/{:.1} ({ours:.2} against {theirs:.2})", 1.0 / ratio), ratio <= most);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_app::trace::TraceMessage;

    fn trace(node: &str, events: &str) -> TraceMessage {
        TraceMessage { node: node.to_owned(), sequence: 0, setup: None, events: events.to_owned() }
    }

    #[test]
    fn the_time_in_the_policy_belongs_to_the_observation_that_it_looked_at() {
        let look = r#"{"act":{"now":5,"stamp":3,"seen":{"stamp":3,"pictures":[],"positions":[],"velocities":[]},"noise_seed":0}}"#;
        let heard = Heard {
            traces: vec![
                // An answer to what was asked before anybody listened.
                trace("/vla_inference", r#"{"acted":{"now":2,"seconds":9.0,"outcome":{"Ok":true}}}"#),
                trace("/vla_inference", look),
                trace("/vla_inference", r#"{"acted":{"now":8,"seconds":0.004,"outcome":{"Ok":true}}}"#),
                trace("/trajectory_publisher", "{\"chunk\":{\"now\":9,\"stamp\":3}}\n{\"tick\":{\"now\":11}}"),
            ],
            ..Heard::default()
        };
        let inside = parse(&heard).unwrap();
        assert_eq!(inside.acts, HashMap::from([(3, 0.004)]));
        assert_eq!(inside.chunks, HashMap::from([(3, 9)]));
        let broken = Heard { traces: vec![trace("/vla_inference", "{")], ..Heard::default() };
        assert!(parse(&broken).is_err());
    }

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let s = spread((1..=100).rev().map(f64::from).collect());
        assert_eq!((s.p50, s.p99, s.max), (51.0, 100.0, 100.0));
        assert!(spread(vec![]).p50.is_nan());
    }
}
