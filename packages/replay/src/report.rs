//! What came of a replay, for people and programs.

use crate::compare::{Comparison, Off};
use crate::policy::seconds;
use serde::Serialize;
use std::collections::BTreeMap;

/// A chunk that the filter judges otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OtherVerdict {
    /// Of the chunk, ns.
    pub stamp: i64,
    /// Then.
    pub recorded: String,
    /// Now.
    pub again: String,
}

/// All of it. Written by `--json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// The bag.
    pub bag: String,
    /// Recorded commands that could be compared (see `compared`).
    pub commands: usize,
    /// Of these: the same to the last bit.
    pub identical: usize,
    /// rad and m, rad/s and m/s: what counts as the same although bits differ.
    pub tolerance: f64,
    /// Commands against the recording.
    pub compared: Comparison,
    /// Chunks of the policy against the recording; none where it was not run.
    pub chunks: Option<Comparison>,
    /// Where something was changed: the run without the change against the recording.
    pub unchanged: Option<Comparison>,
    /// What is not as it was: parameters, files, packages.
    pub changes: Vec<String>,
    /// What stands in the way: what the bag lacks.
    pub problems: Vec<String>,
    /// Chunks that are judged otherwise.
    pub verdicts: Vec<OtherVerdict>,
    /// Chunks that were taken, and refused: then, and now.
    pub taken: (usize, usize),
    /// What the arm is doing now, from when on (ns), in the words of the diagnostics.
    pub phases: Vec<(i64, String)>,
    /// Ticks slowed down by each limit, then and now.
    pub slowed: BTreeMap<String, (u64, u64)>,
    /// Pictures that the policy saw, and how many of them are in the bag as they were seen.
    pub pictures: (usize, usize),
    /// Seconds of the recording.
    pub recorded_s: f64,
    /// Seconds of the replay without reading the bag, and of these the policy's.
    pub took_s: (f64, f64),
    /// Seconds for reading the bag.
    pub reading_s: f64,
}

impl Report {
    /// Whether the run was done again as it was, and came out as it was recorded.
    pub fn holds(&self) -> bool {
        self.compared.holds()
            && self.chunks.as_ref().is_none_or(Comparison::holds)
            && self.problems.is_empty()
            && self.changes.is_empty()
            && self.verdicts.is_empty()
    }

    /// For people.
    pub fn in_words(&self) -> String {
        let mut text = String::new();
        let mut line = |what: String| text.push_str(&format!("{what}\n"));
        line(format!("{}: {:.1} s", self.bag, self.recorded_s));
        for change in &self.changes {
            line(format!("changed: {change}"));
        }
        if let Some(unchanged) = &self.unchanged {
            line(format!("without the change: {}", told(unchanged, "commands")));
        }
        if let Some(chunks) = &self.chunks {
            line(told(chunks, "chunks"));
            line(format!(
                "pictures: {} that the policy saw, {} in the bag as they were seen",
                self.pictures.0, self.pictures.1
            ));
        }
        line(told(&self.compared, "commands"));
        for problem in &self.problems {
            line(format!("problem: {problem}"));
        }
        if let Some(first) = &self.compared.first {
            line(format!(
                "first difference: {} at {}, point {}, joint '{}': recorded {}, now {}",
                first.what,
                seconds(first.stamp),
                first.point,
                first.joint,
                first.recorded,
                first.again
            ));
        }
        for (joint, Off { by, stamp }) in &self.compared.joints {
            line(format!("  joint '{joint}' is off by {by:.3e} at most (command of {})", seconds(*stamp)));
        }
        if self.taken.0 != self.taken.1 || !self.verdicts.is_empty() {
            line(format!(
                "chunks taken: recorded {}, now {}; {} judged otherwise",
                self.taken.0,
                self.taken.1,
                self.verdicts.len()
            ));
        }
        for other in self.verdicts.iter().take(10) {
            line(format!("  chunk of {}: recorded: {}; now: {}", seconds(other.stamp), other.recorded, other.again));
        }
        for (limit, (before, now)) in self.slowed.iter().filter(|(_, (before, now))| before != now) {
            line(format!("slowed down by {limit}: recorded in {before} ticks, now in {now}"));
        }
        let (took, policy) = self.took_s;
        line(format!(
            "took {took:.2} s ({:.0} times real time), of these {policy:.2} s in the policy; reading the bag {:.2} s",
            self.recorded_s / took.max(1e-9),
            self.reading_s
        ));
        line(if self.holds() { "as it was recorded" } else { "NOT as it was recorded" }.to_owned());
        text
    }
}

fn told(of: &Comparison, what: &str) -> String {
    let mut text = format!("{what}: {} compared, {} identical", of.commands, of.identical);
    for (count, how) in [
        (of.within_tolerance, "within the tolerance"),
        (of.missing, "not there now"),
        (of.additional, "not in the bag"),
        (of.outside_of_trace, "outside of the trace's time"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {how}"));
        }
    }
    text
}
