//! How evenly trajectories come.

use crate::Options;
use crate::overhead::{Spread, spread};
use crate::pauses;
use crate::robot::{Robot, Says};
use crate::stack::{Stack, publisher_arguments};
use anyhow::{Context, Result, bail};
use efm_bench::section::{Section, Table, Target};
use efm_demo::processes::Processes;
use serde::Serialize;
use std::time::Duration;

const RATES: [f64; 3] = [100.0, 500.0, 1000.0];
const PATIENCE: Duration = Duration::from_secs(60);

/// How a stream of messages came.
#[derive(Debug, Clone, Copy, Serialize)]
struct Evenness {
    messages: usize,
    /// Periods in which nothing came.
    missed: usize,
    /// Of all that should have come.
    missed_share: f64,
    /// Absolute error of the period, ms.
    p50: f64,
    p99: f64,
    max: f64,
}

fn evenness(published: &[i64], rate: f64) -> Evenness {
    let period = 1e3 / rate;
    let gaps: Vec<f64> = published.windows(2).map(|pair| (pair[1] - pair[0]) as f64 * 1e-6).collect();
    let missed: usize = gaps.iter().map(|gap| ((gap / period).round() as usize).saturating_sub(1)).sum();
    let Spread { p50, p99, max } = spread(gaps.iter().map(|gap| (gap - period).abs()).collect());
    let messages = published.len();
    let missed_share = missed as f64 / (messages + missed).max(1) as f64;
    Evenness { messages, missed, missed_share, p50, p99, max }
}

/// What else the machine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Machine {
    /// Nothing: its cores sleep between ticks.
    Asleep,
    /// Nothing that would not give way at once.
    Awake,
    /// A model on every core.
    Loaded,
}

impl Machine {
    fn name(self) -> &'static str {
        match self {
            Self::Asleep => "idle",
            Self::Awake => "idle, cores kept awake",
            Self::Loaded => "a model on every core",
        }
    }
}

fn measure(stack: Stack, options: &Options, rate: f64, machine: Machine, length: Duration) -> Result<Evenness> {
    let out = tempfile::tempdir()?;
    let logs = options.logs.clone().unwrap_or_else(|| out.path().to_owned());
    std::fs::create_dir_all(&logs)?;
    let bin = std::env::current_exe()?.parent().context("this program lies nowhere")?.to_owned();
    let policy = options.root.join("models/panda_tabletop_chunk");
    let mut processes = Processes::default();
    let text = |path: &std::path::Path| path.display().to_string();
    match stack {
        Stack::Rclpy => {
            let script = options.root.join("packages/bench/rivals/rclpy_nodes.py");
            let python = options.python.as_ref().context("--python is missing")?;
            let out = out.path().join("times.json");
            let arguments =
                vec![text(&script), "trajectory_publisher".to_owned(), text(&policy), text(&out), rate.to_string()];
            processes.add("trajectory_publisher", python, arguments, &logs)?;
        }
        Stack::Floor => {
            let arguments = vec!["beat".to_owned(), "--rate".to_owned(), rate.to_string()];
            processes.add("beat", &std::env::current_exe()?, arguments, &logs)?;
        }
        _ => {
            let arguments = publisher_arguments(&options.root, rate);
            processes.add("trajectory_publisher", &bin.join("trajectory_publisher"), arguments, &logs)?;
        }
    }
    let robot = Robot::start(Says { cameras: Vec::new(), joint_rate: rate.min(500.0), proposes: true })?;
    robot.until("the first trajectory", PATIENCE, |heard| heard.windows.len() > 20)?;
    let models = text(&options.root.join("models"));
    let beside = match machine {
        Machine::Asleep => vec![],
        Machine::Awake => vec!["awake".to_owned()],
        Machine::Loaded => ["saturate", "--policy", &text(&policy), "--models", &models].map(str::to_owned).to_vec(),
    };
    if !beside.is_empty() {
        processes.add("beside", &std::env::current_exe()?, beside, &logs)?;
        std::thread::sleep(Duration::from_secs(1));
    }
    std::thread::sleep(Duration::from_secs(1));
    robot.forget();
    std::thread::sleep(length);
    processes.check()?;
    let heard = robot.stop()?;
    processes.stop();
    if heard.windows.len() < 100 {
        bail!("only {} trajectories came at {rate} Hz", heard.windows.len());
    }
    Ok(evenness(&heard.windows, rate))
}

/// Measures all rates; whether what was to be reached is.
///
/// # Errors
/// When a node does not run, or a file cannot be written.
pub fn bench(options: &Options) -> Result<bool> {
    let length = Duration::from_secs(if options.quick { 4 } else { 15 });
    let root = options.root.canonicalize().with_context(|| format!("--root {}", options.root.display()))?;
    let options = &Options { root, ..options.clone() };
    let mut stacks = vec![Stack::Ours];
    stacks.extend(options.python.is_some().then_some(Stack::Rclpy));
    stacks.push(Stack::Floor);
    let mut rows = Vec::new();
    let mut section = Section {
        name: "stream".to_owned(),
        title: "How evenly commands come".to_owned(),
        text: TEXT.to_owned(),
        ..Section::default()
    };
    let mut figures = Vec::new();
    eprintln!("pauses of the machine ...");
    let taken = pauses::watch(if options.quick { Duration::from_secs(4) } else { length })?;
    section.tables.push(pauses::table(&taken));
    for machine in [Machine::Asleep, Machine::Awake, Machine::Loaded] {
        for rate in RATES {
            if options.quick && (machine == Machine::Asleep || rate == 500.0) {
                continue;
            }
            let mut ours = None;
            for &stack in &stacks {
                eprintln!("{} at {rate} Hz, {} ...", stack.name(), machine.name());
                let e = measure(stack, options, rate, machine, length)?;
                rows.push(vec![
                    format!("{rate:.0}"),
                    machine.name().to_owned(),
                    stack.name().to_owned(),
                    format!("{:.3} / {:.3} / {:.3}", e.p50, e.p99, e.max),
                    format!("{} of {} ({:.2} %)", e.missed, e.messages + e.missed, 100.0 * e.missed_share),
                ]);
                figures.push(serde_json::json!({"rate": rate, "machine": machine, "graph": stack.name(), "found": e}));
                if machine != Machine::Loaded {
                    continue;
                }
                if stack == Stack::Ours {
                    ours = Some(e);
                }
                // The last of its rate: what the machine lets anybody do is told beside.
                let (Stack::Floor, Some(ours)) = (stack, ours) else { continue };
                let (floor, e) = (e, ours);
                if rate == 100.0 {
                    section.targets.push(Target {
                        asked:
                            "100 Hz under full inference load: no missed tick, p99 of the period's error at most 1 ms"
                                .to_owned(),
                        measured: format!("{} missed of {}, {:.2} ms", e.missed, e.messages + e.missed, e.p99),
                        met: e.missed == 0 && e.p99 <= 1.0,
                    });
                }
                if rate == 1000.0 {
                    section.targets.push(Target {
                        asked: "1 kHz under full inference load: at most 0.1 % missed".to_owned(),
                        measured: format!(
                            "{:.3} %; a bare thread that publishes the same, {:.3} %",
                            100.0 * e.missed_share,
                            100.0 * floor.missed_share
                        ),
                        met: e.missed_share <= 1e-3,
                    });
                }
            }
        }
    }
    section.tables.push(Table {
        title: "Error of the period between two trajectories".to_owned(),
        columns: ["rate, Hz", "machine", "node", "p50 / p99 / max, ms", "missed"].map(str::to_owned).to_vec(),
        rows,
    });
    section.figures = serde_json::json!({"pauses": taken, "streams": figures});
    section.deliver(options.section.as_deref())
}

const TEXT: &str = "`trajectory_publisher` alone, with joint states and ten chunks a second; the times are those that the middleware notes at \
publication, so nobody's listening shows in them. The load runs the bare graphs of `panda_tabletop_chunk` on one thread a core, without a pause. The \
node in rclpy is the one of the comparison above, at the same rates. `floor` is a thread in real time (SCHED_FIFO) that does nothing but sleep until \
the next period and publish trajectories of the same size: what it misses, the machine takes from whoever runs on it. `idle` says more of the machine than of the nodes: a core that sleeps wakes up \
late, in a virtual machine by milliseconds, which a busy one does not.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_counts_as_the_messages_that_did_not_come() {
        let ms = 1_000_000;
        let even: Vec<i64> = (0..100).map(|k| k * 10 * ms).collect();
        let e = evenness(&even, 100.0);
        assert_eq!((e.messages, e.missed), (100, 0));
        assert!(e.max < 1e-9);
        // Without two in a row; another is late by 3 ms, which is no miss.
        let mut uneven = even;
        uneven.drain(50..52);
        uneven[20] += 3 * ms;
        let e = evenness(&uneven, 100.0);
        assert_eq!((e.messages, e.missed), (98, 2));
        assert!((e.max - 20.0).abs() < 1e-9 && (e.p50).abs() < 1e-9, "{e:?}");
        assert!((e.missed_share - 0.02).abs() < 1e-9);
    }
}
