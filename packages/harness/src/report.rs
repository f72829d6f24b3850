//! What evaluations found, for programs (JSON) and for people (lines of text; the page is in [`crate::page`]).
//!
//! A [`Document`] holds runs. A [`Run`] is one actor on one split: outcomes episode by episode, and sums of them.

use crate::control::Control;
use crate::failure::Category;
use crate::flow::ScheduleFigures;
use crate::stats::{Interval, mcnemar_exact, quantile, wilson95};
use efm_core::reading;
use efm_sim::Scene;
use efm_sim::tasks::{BENCHMARK, BENCHMARK_VERSION, Split};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// One episode's end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpisodeOutcome {
    /// Seed of scene, task and noise.
    pub seed: u64,
    /// The sentence that was given.
    pub goal: String,
    /// The scene's own sentence, where another one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_goal: Option<String>,
    /// The task, for example "put_red_cube_left". This and what follows are the scene's own, whatever sentence was given.
    pub task: String,
    /// Kind of the task, for example "put".
    pub kind: String,
    /// What is wanted of the object: "left", "right", "plate" or "push".
    pub target: String,
    /// The object that the task is about, in words.
    pub object: String,
    /// Whether object and goal never come together in training.
    pub novel: bool,
    /// Whether the referee saw success within the time limit.
    pub success: bool,
    /// What went wrong; none on success.
    pub failure: Option<Category>,
    /// Why not, in words and figures; empty on success.
    pub reason: String,
    /// Seconds of simulated time until success or the end.
    pub seconds: f64,
    /// In-process: how often the actor looked.
    #[serde(default)]
    pub looks: usize,
    /// In-process: how many looks led to no motion, because what was wanted was out of reach or refused by the streamer.
    #[serde(default)]
    pub refused: usize,
    /// Hash of the physics state at the end: equal for equal runs. Empty where the state is not known.
    pub state_hash: String,
    /// From observation to command in this episode, through the graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Quantiles>,
}

impl EpisodeOutcome {
    /// Of a scene, before anything happened; `told` where that is not the scene's own sentence.
    pub fn of(scene: &Scene, told: Option<&str>) -> Self {
        Self {
            seed: scene.seed,
            goal: told.unwrap_or(&scene.sentence).to_owned(),
            original_goal: told.map(|_| scene.sentence.clone()),
            task: scene.task.name(),
            kind: scene.task.kind().to_owned(),
            target: scene.task.goal().to_owned(),
            object: scene.task.object().words().to_owned(),
            novel: scene.task.is_novel(),
            success: false,
            failure: None,
            reason: String::new(),
            seconds: 0.0,
            looks: 0,
            refused: 0,
            state_hash: String::new(),
            latency_ms: None,
        }
    }
}

/// Quantiles of a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
}

impl Quantiles {
    /// Of values; `None` without values.
    pub fn of(values: &mut [f64]) -> Option<Self> {
        Some(Self { p50: quantile(values, 0.5)?, p90: quantile(values, 0.9)?, p99: quantile(values, 0.99)? })
    }
}

/// Successes of a group of episodes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Episodes.
    pub n: usize,
    /// How many succeeded.
    pub successes: usize,
    /// Their share.
    pub success_rate: f64,
    /// 95 % Wilson interval of the share.
    pub wilson95: Interval,
}

impl Rate {
    /// So many of so many. Without episodes the share is 0, and its interval all there is.
    pub fn new(successes: usize, n: usize) -> Self {
        let success_rate = if n == 0 { 0.0 } else { successes as f64 / n as f64 };
        Self { n, successes, success_rate, wilson95: wilson95(successes, n) }
    }

    /// Of some episodes.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a EpisodeOutcome>) -> Self {
        let (mut successes, mut n) = (0, 0);
        for outcome in outcomes {
            successes += usize::from(outcome.success);
            n += 1;
        }
        Self::new(successes, n)
    }

    /// By a key of the episodes.
    pub fn by<'a>(
        outcomes: &'a [EpisodeOutcome],
        key: impl Fn(&'a EpisodeOutcome) -> &'a str,
    ) -> BTreeMap<String, Self> {
        let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for outcome in outcomes {
            let group = groups.entry(key(outcome)).or_default();
            *group = (group.0 + usize::from(outcome.success), group.1 + 1);
        }
        groups.into_iter().map(|(key, (successes, n))| (key.to_owned(), Self::new(successes, n))).collect()
    }

    /// The share for people: `91 %`. What is not all is never rounded to all, nor what is something to nothing.
    pub fn percent(&self) -> String {
        let percent = 100.0 * self.success_rate;
        let decimals = usize::from((percent > 0.0 && percent < 0.95) || (percent > 99.05 && percent < 100.0));
        format!("{percent:.decimals$} %")
    }

    /// `91 of 100 (91.0 %, 95 % interval 83.8 to 95.2 %)`.
    pub fn in_words(&self) -> String {
        let Interval { low, high } = self.wilson95;
        format!(
            "{} of {} ({:.1} %, 95 % interval {:.1} to {:.1} %)",
            self.successes,
            self.n,
            100.0 * self.success_rate,
            100.0 * low,
            100.0 * high
        )
    }
}

/// What was run, before its outcomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// A package's name and version, or "nothing", "random", "expert".
    pub policy: String,
    /// Hash of the policy's manifest, when there is one.
    pub policy_sha256: Option<String>,
    /// Where the scenes come from.
    pub split: Split,
    /// Whether it is a control.
    pub control: Option<Control>,
    /// "in-process" or "graph".
    pub how: String,
    /// Place of the first scene in its split.
    pub seed: u64,
}

/// One actor on one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Name of the benchmark.
    pub benchmark: String,
    /// Its version: figures of different versions cannot be compared.
    pub version: u32,
    /// Who acted: a package's name and version, or "nothing", "random", "expert".
    pub policy: String,
    /// Hash of the policy's manifest, when there is one.
    pub policy_sha256: Option<String>,
    /// Split of the scenes.
    pub split: String,
    /// Whether it is a control: "nothing", "random", "shuffled".
    pub control: Option<Control>,
    /// "in-process" or "graph".
    pub how: String,
    /// Place of the first scene in its split: the scene of episode i has the split's first seed + this + i.
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
    /// In-process: simulated milliseconds from an observation until its chunk reached the streamer.
    #[serde(default)]
    pub delay_ms: Option<f64>,
    /// How motion flowed from chunk to chunk, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleFigures>,
    /// Simulated seconds until success, of the episodes that succeeded.
    pub seconds_to_success: Option<Quantiles>,
    /// By kind of task.
    pub by_kind: BTreeMap<String, Rate>,
    /// By what is wanted of the object.
    pub by_goal: BTreeMap<String, Rate>,
    /// By object.
    pub by_object: BTreeMap<String, Rate>,
    /// How often what went wrong.
    pub failures: BTreeMap<Category, usize>,
    /// Every episode, in the order of the seeds.
    pub outcomes: Vec<EpisodeOutcome>,
}

impl Run {
    /// Sums up.
    pub fn new(subject: Subject, outcomes: Vec<EpisodeOutcome>) -> Self {
        let Rate { n, successes, success_rate, wilson95 } = Rate::of(&outcomes);
        let mut failures = BTreeMap::new();
        for category in outcomes.iter().filter_map(|o| o.failure) {
            *failures.entry(category).or_insert(0) += 1;
        }
        let mut seconds: Vec<f64> = outcomes.iter().filter(|o| o.success).map(|o| o.seconds).collect();
        Self {
            benchmark: BENCHMARK.to_owned(),
            version: BENCHMARK_VERSION,
            policy: subject.policy,
            policy_sha256: subject.policy_sha256,
            split: subject.split.name().to_owned(),
            control: subject.control,
            how: subject.how,
            seed: subject.seed,
            episodes: n,
            successes,
            success_rate,
            wilson95,
            latency_ms: None,
            times_real_time: None,
            delay_ms: None,
            schedule: None,
            seconds_to_success: Quantiles::of(&mut seconds),
            by_kind: Rate::by(&outcomes, |o| &o.kind),
            by_goal: Rate::by(&outcomes, |o| &o.target),
            by_object: Rate::by(&outcomes, |o| &o.object),
            failures,
            outcomes,
        }
    }

    /// Successes of all episodes.
    pub fn rate(&self) -> Rate {
        Rate::new(self.successes, self.episodes)
    }

    /// Whether `other` is the same actor: a package by its hash, the others by name.
    pub fn same_policy(&self, other: &Run) -> bool {
        (&self.policy, &self.policy_sha256) == (&other.policy, &other.policy_sha256)
    }

    /// Success by goal and by object, and what went wrong how often; one line each.
    pub fn breakdown(&self) -> String {
        let mut text = String::new();
        for (what, groups) in [("kind", &self.by_kind), ("goal", &self.by_goal), ("object", &self.by_object)] {
            for (key, rate) in groups {
                let key = format!("{what} {key}");
                let percent = 100.0 * rate.success_rate;
                // Writing to a string cannot fail.
                let _ = writeln!(text, "  {key:<24} {:>4}/{:<4} {percent:>5.1} %", rate.successes, rate.n);
            }
        }
        for (category, n) in by_count(&self.failures) {
            let _ = writeln!(text, "  {n:>4} x {}", category.words());
        }
        text
    }

    /// What ran, in a few words: `heldout, shuffled (in-process)`.
    pub fn title(&self) -> String {
        let control = self.control.map(|c| format!(", {c}")).unwrap_or_default();
        format!("{}{control} ({})", self.split, self.how)
    }

    /// The closing line for people.
    pub fn summary(&self) -> String {
        // Controls that are actors of their own are named once.
        let named = self.control.is_some_and(|control| control.name() == self.policy);
        let who = if named { String::new() } else { format!("{}, ", self.policy) };
        let mut text = format!("{who}{}: {}", self.title(), self.rate().in_words());
        if let Some(q) = self.latency_ms {
            let _ = write!(text, "; latency p50 {:.1} ms, p99 {:.1} ms", q.p50, q.p99);
        }
        if let Some(x) = self.times_real_time {
            let _ = write!(text, "; {x:.1} times real time a worker");
        }
        if let Some(figures) = &self.schedule {
            let _ = write!(text, "; {}", figures.in_words());
        }
        text
    }
}

/// Failure categories, the most frequent first; equally frequent ones in their own order.
pub fn by_count(failures: &BTreeMap<Category, usize>) -> Vec<(Category, usize)> {
    let mut all: Vec<_> = failures.iter().map(|(category, n)| (*category, *n)).collect();
    all.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    all
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Who acted.
    pub policy: String,
    /// Its hash.
    pub policy_sha256: Option<String>,
    /// Whether it is a control.
    pub control: Option<Control>,
    /// "in-process" or "graph".
    pub how: String,
}

impl Side {
    fn of(run: &Run) -> Self {
        Self {
            policy: run.policy.clone(),
            policy_sha256: run.policy_sha256.clone(),
            control: run.control,
            how: run.how.clone(),
        }
    }
}

/// Two runs on the same scenes, episode by episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Split of the scenes.
    pub split: String,
    /// One.
    pub a: Side,
    /// The other.
    pub b: Side,
    /// Scenes that both ran.
    pub pairs: usize,
    /// Both succeeded.
    pub both: usize,
    /// Only the first succeeded.
    pub only_a: usize,
    /// Only the second succeeded.
    pub only_b: usize,
    /// None succeeded.
    pub neither: usize,
    /// Two-sided p-value of McNemar's exact test.
    pub p: f64,
}

impl Comparison {
    /// Of the scenes that both ran; `None` where there are none, or where splits or benchmarks differ.
    pub fn of(a: &Run, b: &Run) -> Option<Self> {
        if (&a.benchmark, a.version, &a.split) != (&b.benchmark, b.version, &b.split) {
            return None;
        }
        let second: BTreeMap<u64, bool> = b.outcomes.iter().map(|o| (o.seed, o.success)).collect();
        let mut counts = [0; 4];
        for outcome in &a.outcomes {
            if let Some(other) = second.get(&outcome.seed) {
                counts[2 * usize::from(outcome.success) + usize::from(*other)] += 1;
            }
        }
        let [neither, only_b, only_a, both] = counts;
        let pairs = counts.iter().sum();
        let (split, p) = (a.split.clone(), mcnemar_exact(only_a, only_b));
        (pairs > 0).then(|| Self { split, a: Side::of(a), b: Side::of(b), pairs, both, only_a, only_b, neither, p })
    }

    /// All that are of interest: two policies, the same policy with its own sentences and with others', and the same policy
    /// in-process and through the graph.
    pub fn among(runs: &[Run]) -> Vec<Self> {
        let mut all = Vec::new();
        for (i, a) in runs.iter().enumerate() {
            for b in &runs[i + 1..] {
                let policies = a.control.is_none() && b.control.is_none() && a.how == b.how && !a.same_policy(b);
                let listening = a.same_policy(b)
                    && a.how == b.how
                    && a.control.is_none() != b.control.is_none()
                    && a.control.or(b.control) == Some(Control::Shuffled);
                let ways = a.same_policy(b) && a.control == b.control && a.how != b.how;
                if policies || listening || ways {
                    all.extend(Self::of(a, b));
                }
            }
        }
        all
    }

    /// The two sides by what they differ in.
    pub fn names(&self) -> (String, String) {
        let name = |side: &Side, other: &Side| {
            if side.control != other.control {
                side.control.map_or("its own sentences".to_owned(), |_| "other episodes' sentences".to_owned())
            } else if side.how != other.how {
                side.how.clone()
            } else if side.policy == other.policy {
                let hash = side.policy_sha256.as_deref().unwrap_or("");
                format!("{} ({})", side.policy, &hash[..hash.len().min(8)])
            } else {
                side.policy.clone()
            }
        };
        (name(&self.a, &self.b), name(&self.b, &self.a))
    }

    /// In a sentence.
    pub fn in_words(&self) -> String {
        let (a, b) = self.names();
        format!(
            "{}, {} scenes: both {}, only {a} {}, only {b} {}, neither {}; McNemar's exact p = {}",
            self.split,
            self.pairs,
            self.both,
            self.only_a,
            self.only_b,
            self.neither,
            p_value(self.p)
        )
    }
}

/// A p-value with as many digits as mean something.
pub fn p_value(p: f64) -> String {
    if p < 1e-4 { format!("{p:.0e}") } else { format!("{p:.4}") }
}

/// The command line of this process, as one might type it: the program by its name.
pub fn command_line() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let program = Path::new(&program).file_name().map_or(program.clone(), |name| name.to_string_lossy().into_owned());
    let quoted = |word: String| {
        let plain = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_./=:,+@%".contains(c));
        if plain { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
    };
    std::iter::once(program).chain(words.map(quoted)).collect::<Vec<_>>().join(" ")
}

/// Why a report cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such file, or not readable.
    #[error("{file}: {source}")]
    Read {
        /// Which.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not such a report.
    #[error("{file}: not a report of './efm eval --json': {source}")]
    Json {
        /// Which.
        file: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// What a command found: what `--json` writes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The command line.
    #[serde(default)]
    pub command: String,
    /// Every run.
    pub runs: Vec<Run>,
    /// Pairs of runs.
    #[serde(default)]
    pub comparisons: Vec<Comparison>,
}

impl Document {
    /// Of runs; compares them.
    pub fn new(command: String, runs: Vec<Run>) -> Self {
        let comparisons = Comparison::among(&runs);
        Self { command, runs, comparisons }
    }

    /// Reads several files as one; a run that is in two of them is taken once.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn read<P: AsRef<Path>>(files: &[P]) -> Result<Self, ReadError> {
        let (mut commands, mut runs) = (Vec::new(), Vec::new());
        for file in files {
            let name = || file.as_ref().display().to_string();
            let text =
                reading::text(file, reading::REPORT).map_err(|source| ReadError::Read { file: name(), source })?;
            let one: Document =
                serde_json::from_str(&text).map_err(|source| ReadError::Json { file: name(), source })?;
            commands.extend(Some(one.command).filter(|c| !c.is_empty()));
            for run in one.runs {
                if !runs.contains(&run) {
                    runs.push(run);
                }
            }
        }
        Ok(Self::new(commands.join("\n"), runs))
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> std::io::Result<()> {
        write_json(self, file)
    }
}

/// Writes JSON so that the file is whole or as it was before.
///
/// # Errors
/// When the file cannot be written.
pub fn write_json(value: &impl Serialize, file: &Path) -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(".partial");
    std::fs::write(&unfinished, text)?;
    std::fs::rename(&unfinished, file)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(crate) fn subject(split: Split, control: Option<Control>) -> Subject {
        Subject {
            policy: "p 1".into(),
            policy_sha256: Some("ab".into()),
            split,
            control,
            how: "in-process".into(),
            seed: 0,
        }
    }

    /// Episodes of a split; the places in `failed` failed.
    pub(crate) fn outcomes(split: Split, n: u64, failed: &[u64]) -> Vec<EpisodeOutcome> {
        let outcome = |i: u64| {
            let success = !failed.contains(&i);
            EpisodeOutcome {
                success,
                failure: (!success).then_some(Category::CloseButNotIn),
                reason: if success { String::new() } else { "70 mm from the target".into() },
                seconds: if success { 7.0 } else { 25.0 },
                ..EpisodeOutcome::of(&Scene::sample(split.seeds().start + i), None)
            }
        };
        (0..n).map(outcome).collect()
    }

    pub(crate) fn run(split: Split, control: Option<Control>, n: u64, failed: &[u64]) -> Run {
        Run::new(subject(split, control), outcomes(split, n, failed))
    }

    #[test]
    fn the_json_carries_what_scripts_read() {
        let document = Document::new("efm eval".into(), vec![run(Split::Heldout, None, 4, &[1])]);
        let json = serde_json::to_value(&document).unwrap();
        let run = &json["runs"][0];
        assert_eq!((run["episodes"].as_u64(), run["successes"].as_u64()), (Some(4), Some(3)));
        assert_eq!((run["benchmark"].as_str(), run["version"].as_u64()), (Some("panda_tabletop"), Some(1)));
        assert_eq!((run["split"].as_str(), run["control"].is_null()), (Some("heldout"), true));
        assert_eq!(run["failures"]["close_but_not_in"], 1);
        assert!(run["wilson95"]["low"].as_f64().unwrap() < 0.75);
        let by_object: u64 = run["by_object"].as_object().unwrap().values().map(|g| g["n"].as_u64().unwrap()).sum();
        assert_eq!(by_object, 4);
        assert_eq!(run["outcomes"][1]["failure"], "close_but_not_in");
        assert!(run["outcomes"][0]["failure"].is_null() && run["outcomes"][0].get("original_goal").is_none());
    }

    #[test]
    fn a_report_that_is_read_again_is_the_same_and_a_run_in_two_files_counts_once() {
        let tmp = tempfile::tempdir().unwrap();
        let (a, b) = (tmp.path().join("a.json"), tmp.path().join("b.json"));
        let shuffled = run(Split::Novel, Some(Control::Shuffled), 5, &[0, 1, 2, 3]);
        let document = Document::new("one".into(), vec![run(Split::Novel, None, 5, &[2]), shuffled]);
        document.write(&a).unwrap();
        Document::new("two".into(), vec![document.runs[0].clone()]).write(&b).unwrap();
        let again = Document::read(&[&a]).unwrap();
        // Figures may differ in their last bit.
        let sums =
            |d: &Document| d.runs.iter().map(|r| (r.outcomes.clone(), r.control, r.rate().n)).collect::<Vec<_>>();
        assert_eq!((sums(&again), &again.command), (sums(&document), &document.command));
        assert_eq!((again.comparisons.len(), again.comparisons[0].only_a), (1, 3));
        let both = Document::read(&[&a, &b]).unwrap();
        assert_eq!((both.runs.len(), both.command.as_str()), (2, "one\ntwo"));
        std::fs::write(&b, "{\"runs\": 3}").unwrap();
        assert!(Document::read(&[&a, &b]).unwrap_err().to_string().contains("b.json"));
    }

    #[test]
    fn an_empty_evaluation_is_zero_not_nan() {
        let empty = run(Split::Heldout, None, 0, &[]);
        assert_eq!((empty.success_rate, empty.wilson95.high), (0.0, 1.0));
        assert!(empty.seconds_to_success.is_none());
    }

    #[test]
    fn nearly_all_is_not_rounded_to_all_nor_hardly_any_to_none() {
        for (successes, percent) in
            [(0, "0 %"), (1, "0.2 %"), (250, "50 %"), (498, "99.6 %"), (499, "99.8 %"), (500, "100 %")]
        {
            assert_eq!(Rate::new(successes, 500).percent(), percent);
        }
    }

    #[test]
    fn two_policies_are_compared_scene_by_scene() {
        let a = run(Split::Heldout, None, 10, &[0, 1]);
        let mut b = run(Split::Heldout, None, 8, &[1, 2, 3, 4]);
        b.policy_sha256 = Some("cd".into());
        let comparison = Comparison::of(&a, &b).unwrap();
        assert_eq!(
            (comparison.pairs, comparison.both, comparison.only_a, comparison.only_b, comparison.neither),
            (8, 3, 3, 1, 1)
        );
        assert_eq!(comparison.p, mcnemar_exact(3, 1));
        assert_eq!(comparison.names(), ("p 1 (ab)".into(), "p 1 (cd)".into()));
        assert_eq!(Comparison::of(&a, &run(Split::Novel, None, 8, &[])), None);
    }

    #[test]
    fn only_what_differs_in_one_thing_is_compared() {
        let own = run(Split::Heldout, None, 6, &[]);
        let shuffled = run(Split::Heldout, Some(Control::Shuffled), 6, &[0, 1, 2, 3, 4, 5]);
        let nothing = run(Split::Heldout, Some(Control::Nothing), 6, &[0]);
        let graph = Run { how: "graph".into(), ..own.clone() };
        let among = Comparison::among(&[own.clone(), shuffled, nothing, graph]);
        assert_eq!(among.len(), 2, "{among:?}");
        assert_eq!((among[0].only_a, p_value(among[0].p).as_str()), (6, "0.0313"));
        assert_eq!(among[1].names(), ("in-process".into(), "graph".into()));
    }

    #[test]
    fn the_breakdown_names_objects_goals_and_failures() {
        let text = run(Split::Heldout, None, 60, &[3, 4]).breakdown();
        assert!(text.contains("goal plate") && text.contains("object red cube"), "{text}");
        assert!(text.contains("2 x close, but not in"), "{text}");
    }
}
