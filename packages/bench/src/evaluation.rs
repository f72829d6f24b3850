//! How fast policies are evaluated in this process's simulator, and how that grows with the cores.

use crate::section::{Line, Plot, Section, Table};
use anyhow::{Context, Result, bail};
use efm_core::reading;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Without a policy the simulator and its cameras remain.
const POLICIES: [(&str, &str); 2] =
    [("nothing", "simulation and cameras alone"), ("panda_tabletop_chunk", "with a policy")];

/// Options of `efm-bench evaluation`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Fewer episodes.
    #[arg(long)]
    pub quick: bool,
    /// Writes this part of the report here.
    #[arg(long)]
    pub section: Option<PathBuf>,
}

/// Threads to try: powers of two up to the cores, and all of them.
fn jobs(cores: usize) -> Vec<usize> {
    let mut jobs: Vec<usize> = std::iter::successors(Some(1), |n| Some(n * 2)).take_while(|n| *n < cores).collect();
    jobs.push(cores.max(1));
    jobs
}

/// Seconds simulated per second and thread, from what `efm-eval --json` wrote.
fn times_real_time(text: &str) -> Result<f64> {
    let document: Value = serde_json::from_str(text)?;
    let times = document["runs"][0]["times_real_time"].as_f64();
    times.filter(|times| *times > 0.0).context("runs[0].times_real_time is no speed")
}

/// Measures; nothing is asked of it.
///
/// # Errors
/// When `efm-eval`, which lies beside this program, fails.
pub fn bench(root: &Path, args: &Args) -> Result<bool> {
    let eval = std::env::current_exe()?.with_file_name("efm-eval");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("eval.json");
    let (mut rows, mut lines, mut figures) = (Vec::new(), Vec::new(), Vec::new());
    for (policy, what) in POLICIES {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for jobs in jobs(cores) {
            let episodes = jobs * if args.quick { 2 } else { 8 };
            eprintln!("{what}, {jobs} threads, {episodes} episodes ...");
            let ran = Command::new(&eval)
                .args(["--policy", policy, "--split", "heldout", "--strips", "0"])
                .args(["--jobs", &jobs.to_string(), "--episodes", &episodes.to_string()])
                .arg("--root")
                .arg(root)
                .arg("--json")
                .arg(&file)
                .output()
                .with_context(|| format!("cannot run {}", eval.display()))?;
            if !ran.status.success() {
                bail!("{} with {policy}: {}", eval.display(), String::from_utf8_lossy(&ran.stderr).trim());
            }
            let text =
                reading::text(&file, reading::REPORT).with_context(|| format!("cannot read {}", file.display()))?;
            let each = times_real_time(&text).with_context(|| format!("{} with {policy}", eval.display()))?;
            let all = each * jobs as f64;
            points.push((jobs as f64, all));
            rows.push(vec![
                what.to_owned(),
                jobs.to_string(),
                format!("{each:.1}"),
                format!("{all:.1}"),
                format!("{:.2}", all / points[0].1),
            ]);
            figures.push(json!({"policy": policy, "threads": jobs, "episodes": episodes, "times_real_time": all}));
        }
        lines.push(Line { name: what.to_owned(), points });
    }
    let section = Section {
        name: "evaluation".to_owned(),
        title: "Simulation and evaluation in one process".to_owned(),
        text: "Episodes of `./efm eval` (split `heldout`): MuJoCo, two cameras drawn by the processor, controllers, filter and schedule, with a \
               policy and without one (then every episode lasts until its time is over). Seconds simulated per second."
            .to_owned(),
        tables: vec![Table {
            title: "Times real time".to_owned(),
            columns: ["what", "threads", "each", "all", "gain over one"].map(str::to_owned).to_vec(),
            rows,
        }],
        plots: vec![Plot {
            title: "Evaluation over threads".to_owned(),
            x: "threads".to_owned(),
            y: "seconds simulated per second".to_owned(),
            log_x: false,
            log_y: false,
            lines,
        }],
        figures: figures.into(),
        ..Section::default()
    };
    section.deliver(args.section.as_deref())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn all_cores_are_tried_and_half_of_them() {
        assert_eq!(jobs(1), [1]);
        assert_eq!(jobs(2), [1, 2]);
        assert_eq!(jobs(6), [1, 2, 4, 6]);
    }

    #[test]
    fn a_report_without_a_speed_is_refused() {
        assert_eq!(times_real_time(r#"{"runs":[{"times_real_time":2.5}]}"#).unwrap(), 2.5);
        for text in [r#"{"runs":[]}"#, r#"{"runs":[{"times_real_time":0}]}"#, "{}"] {
            assert!(times_real_time(text).unwrap_err().to_string().contains("times_real_time"));
        }
    }
}
