//! What an evaluation found, for people (a table) and for programs (JSON).

use crate::stats::{Interval, quantile, wilson95};
use serde::Serialize;
use std::fmt::Write as _;

/// One episode's end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpisodeOutcome {
    /// Seed of scene, task and noise.
    pub seed: u64,
    /// The sentence that was given.
    pub goal: String,
    /// Kind of the task, for example "put".
    pub kind: String,
    /// The object that the sentence speaks of.
    pub object: String,
    /// Whether the referee saw success within the time limit.
    pub success: bool,
    /// Why not, in words; empty on success.
    pub reason: String,
    /// Seconds of simulated time until success or the end.
    pub seconds: f64,
    /// Hash of the physics state at the end: equal for equal runs.
    pub state_hash: String,
}

/// Quantiles of a latency in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

impl Quantiles {
    /// Of values in milliseconds; `None` without values.
    pub fn of(values: &mut [f64]) -> Option<Self> {
        Some(Self { p50: quantile(values, 0.5)?, p99: quantile(values, 0.99)? })
    }
}

/// A whole evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What was evaluated: a package's name and version, or "nothing", "expert".
    pub policy: String,
    /// Hash of the policy's manifest, when there is one.
    pub policy_sha256: Option<String>,
    /// "in-process" or "graph".
    pub how: String,
    /// First seed.
    pub seed: u64,
    /// Number of episodes.
    pub episodes: usize,
    /// How many succeeded.
    pub successes: usize,
    /// Their share.
    pub success_rate: f64,
    /// 95 % Wilson interval of the share.
    pub wilson95: Interval,
    /// Observation to command, milliseconds of wall time; in-process: the time inference took.
    pub latency_ms: Option<Quantiles>,
    /// Simulated seconds per wall second and worker.
    pub times_real_time: Option<f64>,
    /// Every episode, in the order of the seeds.
    pub outcomes: Vec<EpisodeOutcome>,
}

impl Report {
    /// Sums up.
    pub fn new(policy: impl Into<String>, how: impl Into<String>, seed: u64, outcomes: Vec<EpisodeOutcome>) -> Self {
        let successes = outcomes.iter().filter(|o| o.success).count();
        let episodes = outcomes.len();
        Self {
            policy: policy.into(),
            policy_sha256: None,
            how: how.into(),
            seed,
            episodes,
            successes,
            success_rate: if episodes == 0 { 0.0 } else { successes as f64 / episodes as f64 },
            wilson95: wilson95(successes, episodes),
            latency_ms: None,
            times_real_time: None,
            outcomes,
        }
    }

    /// Success by task kind and by object, one line each.
    pub fn breakdown(&self) -> String {
        let mut groups: std::collections::BTreeMap<String, (usize, usize)> = Default::default();
        for o in &self.outcomes {
            for key in [format!("kind {}", o.kind), format!("object {}", o.object)] {
                let group = groups.entry(key).or_default();
                group.0 += usize::from(o.success);
                group.1 += 1;
            }
        }
        let mut text = String::new();
        for (key, (successes, n)) in groups {
            let _ = writeln!(text, "  {key:<24} {successes:>4}/{n:<4} {:>5.1} %", 100.0 * successes as f64 / n as f64);
        }
        text
    }

    /// The closing line for people.
    pub fn summary(&self) -> String {
        let Interval { low, high } = self.wilson95;
        let mut text = format!(
            "{}: {} of {} succeeded ({}): {:.1} %, 95 % interval {:.1} to {:.1} %",
            self.policy,
            self.successes,
            self.episodes,
            self.how,
            100.0 * self.success_rate,
            100.0 * low,
            100.0 * high
        );
        if let Some(q) = self.latency_ms {
            let _ = write!(text, "; latency p50 {:.1} ms, p99 {:.1} ms", q.p50, q.p99);
        }
        if let Some(x) = self.times_real_time {
            let _ = write!(text, "; {x:.1} times real time a worker");
        }
        text
    }
}

/// The table of a demo: one row a goal.
pub fn table(outcomes: &[EpisodeOutcome]) -> String {
    let width = outcomes.iter().map(|o| o.goal.chars().count()).max().unwrap_or(4).clamp(4, 60);
    let mut text = String::new();
    let _ = writeln!(text, "{:>3}  {:<width$}  {:<9} {:>7}  note", "#", "goal", "outcome", "seconds");
    for (i, o) in outcomes.iter().enumerate() {
        let _ = writeln!(
            text,
            "{:>3}  {:<width$}  {:<9} {:>7.1}  {}",
            i + 1,
            o.goal,
            if o.success { "succeeded" } else { "failed" },
            o.seconds,
            o.reason
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(seed: u64, success: bool) -> EpisodeOutcome {
        EpisodeOutcome {
            seed,
            goal: "put the red cube in the left zone".into(),
            kind: "put".into(),
            object: "red cube".into(),
            success,
            reason: if success { String::new() } else { "time was up".into() },
            seconds: 7.0,
            state_hash: "00".into(),
        }
    }

    #[test]
    fn the_json_carries_what_the_issue_tracker_and_scripts_read() {
        let report = Report::new("p 1", "in-process", 3, vec![outcome(3, true), outcome(4, false)]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["episodes"], 2);
        assert_eq!(json["successes"], 1);
        assert!(json["wilson95"]["low"].as_f64().unwrap() < 0.5);
        assert!(report.breakdown().contains("object red cube"), "{}", report.breakdown());
    }

    #[test]
    fn an_empty_evaluation_is_zero_not_nan() {
        let report = Report::new("p", "graph", 0, vec![]);
        assert_eq!(report.success_rate, 0.0);
        assert_eq!(report.wilson95.high, 1.0);
    }
}
