//! What is told at the end: a table for people, JSON for programs.

use crate::episode::Done;
use crate::show::Played;
use efm_harness::report::{Comparison, Document, Quantiles, Run, Subject, write_json};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Share of the goals that must succeed for a demo to be called a success, in tenths.
const TENTHS: usize = 7;

/// A report in the form of every evaluation's (`runs`, here one), with what only the running graph has.
#[derive(Debug, Clone, Serialize)]
pub struct GraphReport {
    /// The command line.
    pub command: String,
    /// The one run.
    pub runs: [Run; 1],
    /// None: there is one run.
    pub comparisons: [Comparison; 0],
    /// Seconds from the start of the program to the first motion.
    pub first_motion_seconds: Option<f64>,
    /// The recording.
    pub bag: Option<PathBuf>,
    /// The pictures.
    pub pictures: Vec<PathBuf>,
}

impl GraphReport {
    /// Sums up.
    pub fn new(subject: Subject, played: &Played) -> Self {
        let outcomes = played.done.iter().map(|done| done.outcome.clone()).collect();
        let mut run = Run::new(subject, outcomes);
        let mut latencies: Vec<f64> = played.done.iter().flat_map(|done| done.latencies_ms.iter().copied()).collect();
        run.latency_ms = Quantiles::of(&mut latencies);
        Self {
            command: efm_harness::report::command_line(),
            runs: [run],
            comparisons: [],
            first_motion_seconds: played.first_motion,
            bag: None,
            pictures: Vec::new(),
        }
    }

    /// Without what only the graph has.
    pub fn document(&self) -> Document {
        Document::new(self.command.clone(), self.runs.to_vec())
    }

    /// The run.
    pub fn run(&self) -> &Run {
        &self.runs[0]
    }

    /// Whether so many succeeded that a demo of `goals` goals is a success: at least 70 %.
    pub fn is_success(&self, goals: usize) -> bool {
        10 * self.run().successes >= TENTHS * goals
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> std::io::Result<()> {
        write_json(self, file)
    }
}

/// One row a goal.
pub fn table(done: &[Done]) -> String {
    let width = done.iter().map(|d| d.outcome.goal.chars().count()).max().unwrap_or(4).clamp(4, 60);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{:>3}  {:<width$}  {:<9}  {:>7}  {:>10}  {:>10}  note",
        "#", "goal", "outcome", "seconds", "p50 ms", "p99 ms"
    );
    for (i, done) in done.iter().enumerate() {
        let o = &done.outcome;
        let (p50, p99) = done
            .latency()
            .map_or(("-".to_owned(), "-".to_owned()), |q| (format!("{:.1}", q.p50), format!("{:.1}", q.p99)));
        let word = if o.success { "succeeded" } else { "failed" };
        let line = format!(
            "{:>3}  {:<width$}  {word:<9}  {:>7.1}  {p50:>10}  {p99:>10}  {}",
            i + 1,
            o.goal,
            o.seconds,
            o.reason
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::episode::End;
    use efm_sim::Scene;
    use efm_sim::tasks::Split;

    fn played(successes: usize, failures: usize) -> Played {
        let end = |success| match success {
            true => End { success, failure: None, reason: String::new(), seconds: 7.0 },
            false => End::failure("time was up: not let go", 25.0),
        };
        let ends = std::iter::repeat_n(true, successes).chain(std::iter::repeat_n(false, failures));
        let done = ends.enumerate().map(|(i, success)| {
            let latencies = if success { vec![60.0, 80.0] } else { vec![] };
            Done::new(&Scene::sample(1_000_000_000 + i as u64), None, end(success), latencies)
        });
        Played { done: done.collect(), first_motion: Some(4.5), ..Played::default() }
    }

    fn report(played: &Played) -> GraphReport {
        let subject = Subject {
            policy: "p 1".into(),
            policy_sha256: Some("ab".into()),
            split: Split::Heldout,
            control: None,
            how: "graph".into(),
            seed: 0,
        };
        GraphReport::new(subject, played)
    }

    #[test]
    fn seven_of_ten_are_a_success_and_six_are_not() {
        for (successes, goals, passed) in [(7, 10, true), (6, 10, false), (10, 10, true), (2, 3, false), (3, 4, true)] {
            assert_eq!(
                report(&played(successes, goals - successes)).is_success(goals),
                passed,
                "{successes} of {goals}"
            );
        }
    }

    #[test]
    fn goals_that_were_never_reached_count_as_failed() {
        assert!(!report(&played(6, 0)).is_success(10));
    }

    #[test]
    fn the_json_has_what_every_evaluation_has_and_the_latency() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("report.json");
        report(&played(2, 1)).write(&file).unwrap();
        let whole: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(whole["first_motion_seconds"], 4.5);
        let json = &whole["runs"][0];
        assert_eq!((json["episodes"].as_u64(), json["successes"].as_u64()), (Some(3), Some(2)));
        assert_eq!((json["how"].as_str(), json["policy_sha256"].as_str()), (Some("graph"), Some("ab")));
        assert_eq!((json["latency_ms"]["p50"].as_f64(), json["latency_ms"]["p99"].as_f64()), (Some(70.0), Some(80.0)));
        let latency = |i: usize| &json["outcomes"][i]["latency_ms"];
        assert!(latency(2).is_null() && latency(0)["p50"] == 70.0);
        assert!(json["wilson95"]["low"].is_number() && json["outcomes"][2]["reason"].is_string());
        // What makes the page reads it too.
        let read = Document::read(&[file]).unwrap();
        assert_eq!(read.runs[0].outcomes, report(&played(2, 1)).runs[0].outcomes);
    }

    #[test]
    fn the_table_has_a_row_for_every_goal() {
        let text = table(&played(1, 1).done);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains("succeeded") && lines[1].contains("70.0") && lines[1].contains("79.8"), "{text}");
        assert!(lines[2].contains("failed") && lines[2].contains("25.0") && lines[2].ends_with("not let go"), "{text}");
    }
}
