//! Whether anything got into training that evaluation is made of.
//!
//! The splits are fixed in `efm_sim`; this looks at what was really recorded, so that a mistake in between (a wrong seed, an edited
//! bag, a sentence file from elsewhere) cannot go unnoticed.

use efm_bag::{BagError, BagReader, msgs::StringMsg};
use efm_core::reading;
use efm_sim::tasks::{BENCHMARK, BENCHMARK_VERSION, GOALS, sentences};
use efm_sim::{ObjectKind, Scene, Split, Task};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What matters of a demonstration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demonstration {
    /// Seed of its scene.
    pub seed: u64,
    /// Name of its task.
    pub task: String,
    /// What was said.
    pub sentence: String,
}

/// The sentences that training may use: the file between this program and the training scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentenceFile {
    /// Name of the benchmark.
    pub benchmark: String,
    /// Its version.
    pub version: u32,
    /// Name of the split.
    pub split: String,
    /// Objects, in the order of the classes.
    pub objects: Vec<String>,
    /// Goals, in the order of the classes.
    pub goals: Vec<String>,
    /// Every sentence.
    pub sentences: Vec<TaskSentence>,
}

/// A sentence and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSentence {
    /// Name of the task.
    pub task: String,
    /// Its object, in words.
    pub object: String,
    /// Its goal.
    pub goal: String,
    /// How it is said.
    pub sentence: String,
}

impl SentenceFile {
    /// Of a split.
    pub fn of(split: Split) -> Self {
        let tasks = Task::all().filter(|t| t.is_novel() == (split == Split::Novel));
        let all = tasks.flat_map(|task| {
            sentences(task, split).into_iter().map(move |sentence| TaskSentence {
                task: task.name(),
                object: task.object().words().to_owned(),
                goal: task.goal().to_owned(),
                sentence,
            })
        });
        Self {
            benchmark: BENCHMARK.to_owned(),
            version: BENCHMARK_VERSION,
            split: split.name().to_owned(),
            objects: ObjectKind::ALL.map(|k| k.words().to_owned()).to_vec(),
            goals: GOALS.map(str::to_owned).to_vec(),
            sentences: all.collect(),
        }
    }
}

/// Something that must not be in training.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Leak {
    /// The seed belongs to another split.
    #[error("seed {seed} belongs to the split '{split}'; training seeds end at {}", Split::Train.seeds().end - 1)]
    Seed {
        /// Which one.
        seed: u64,
        /// Whose.
        split: String,
    },
    /// The combination of object and goal is held out.
    #[error("task '{0}' is one of the held-out combinations of object and goal (split 'novel')")]
    Combination(String),
    /// The sentence is none of training's.
    #[error("'{sentence}' is not a sentence of training for task '{task}'{}", if *.paraphrase { ": it belongs to the split 'paraphrase'" } else { "" })]
    Sentence {
        /// Task.
        task: String,
        /// What was said.
        sentence: String,
        /// Whether the paraphrase split has it.
        paraphrase: bool,
    },
    /// No such task.
    #[error("the benchmark has no task '{0}'")]
    Task(String),
    /// The demonstration is not what its seed gives.
    #[error(
        "seed {seed} gives task '{expected}', not '{found}': recorded with another version of the benchmark, or edited"
    )]
    Altered {
        /// Seed.
        seed: u64,
        /// The benchmark's task.
        expected: String,
        /// The recorded one.
        found: String,
    },
}

/// Why the check could not be made or what it found.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A leak.
    #[error("{place}: {leak}")]
    Leak {
        /// Folder, or file and line.
        place: String,
        /// What.
        leak: Leak,
    },
    /// A bag cannot be read.
    #[error("{}: {source}", folder.display())]
    Bag {
        /// Folder.
        folder: PathBuf,
        /// Why.
        source: BagError,
    },
    /// A bag lacks something.
    #[error("{}: {what}", folder.display())]
    Missing {
        /// Folder.
        folder: PathBuf,
        /// What.
        what: String,
    },
    /// A file cannot be read.
    #[error("{}: {reason}", file.display())]
    File {
        /// Which one.
        file: PathBuf,
        /// Why.
        reason: String,
    },
}

fn known(name: &str) -> Result<Task, Leak> {
    Task::all().find(|t| t.name() == name).ok_or_else(|| Leak::Task(name.to_owned()))
}

/// Whether training may have this sentence for this task.
///
/// # Errors
/// The leak.
pub fn check_sentence(task: &str, sentence: &str) -> Result<(), Leak> {
    let task = known(task)?;
    if task.is_novel() {
        return Err(Leak::Combination(task.name()));
    }
    if sentences(task, Split::Train).iter().any(|s| s == sentence) {
        return Ok(());
    }
    let paraphrase = Task::all().any(|t| sentences(t, Split::Paraphrase).iter().any(|s| s == sentence));
    Err(Leak::Sentence { task: task.name(), sentence: sentence.to_owned(), paraphrase })
}

/// Whether training may have this demonstration.
///
/// # Errors
/// The first leak.
pub fn check(demonstration: &Demonstration) -> Result<(), Leak> {
    let Demonstration { seed, task, sentence } = demonstration;
    if Split::of(*seed) != Some(Split::Train) {
        let split = Split::of(*seed).map_or("none", Split::name).to_owned();
        return Err(Leak::Seed { seed: *seed, split });
    }
    check_sentence(task, sentence)?;
    let expected = Scene::sample(*seed).task.name();
    if expected != *task {
        return Err(Leak::Altered { seed: *seed, expected, found: task.clone() });
    }
    Ok(())
}

/// Reads what matters of a recorded demonstration.
///
/// # Errors
/// When the bag cannot be read, or lacks the sentence or the state of the task.
pub fn read(folder: &Path) -> Result<Demonstration, ScanError> {
    let bag = |source| ScanError::Bag { folder: folder.to_owned(), source };
    let missing = |what: &str| ScanError::Missing { folder: folder.to_owned(), what: what.to_owned() };
    let (mut sentence, mut status) = (None, None);
    for message in BagReader::open(folder).map_err(bag)? {
        let message = message.map_err(bag)?;
        if message.topic_is("instruction") {
            sentence = Some(message.decode::<StringMsg>().map_err(bag)?.data);
        } else if message.topic_is("task_status") && status.is_none() {
            status = Some(message.decode::<StringMsg>().map_err(bag)?.data);
        }
        if sentence.is_some() && status.is_some() {
            break;
        }
    }
    let sentence = sentence.ok_or_else(|| missing("no message on 'instruction'"))?;
    let status = status.ok_or_else(|| missing("no message on 'task_status'"))?;
    let status: serde_json::Value =
        serde_json::from_str(&status).map_err(|e| missing(&format!("'task_status' is not JSON: {e}")))?;
    let seed = status["seed"].as_u64().ok_or_else(|| missing("'task_status' names no seed"))?;
    let task = status["task"].as_str().ok_or_else(|| missing("'task_status' names no task"))?.to_owned();
    Ok(Demonstration { seed, task, sentence })
}

/// Folders of whole episodes under `folder`, by name.
///
/// # Errors
/// When the folder cannot be listed or holds none.
pub fn episodes(folder: &Path) -> Result<Vec<PathBuf>, ScanError> {
    let wrong = |reason: String| ScanError::File { file: folder.to_owned(), reason };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| wrong(e.to_string()))? {
        let path = entry.map_err(|e| wrong(e.to_string()))?.path();
        if path.join("metadata.yaml").exists() {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(wrong("no episodes in it".to_owned()));
    }
    found.sort();
    Ok(found)
}

/// Reads and checks every episode under `folder`.
///
/// # Errors
/// The first leak, or what cannot be read.
pub fn scan(folder: &Path) -> Result<Vec<Demonstration>, ScanError> {
    let folders = episodes(folder)?;
    folders
        .iter()
        .map(|folder| {
            let demonstration = read(folder)?;
            check(&demonstration).map_err(|leak| ScanError::Leak { place: folder.display().to_string(), leak })?;
            Ok(demonstration)
        })
        .collect()
}

/// Reads and checks a list of demonstrations, one JSON object a line.
///
/// # Errors
/// The first leak, or what cannot be read.
pub fn scan_list(file: &Path) -> Result<Vec<Demonstration>, ScanError> {
    let wrong = |reason: String| ScanError::File { file: file.to_owned(), reason };
    let text = reading::text(file, reading::REPORT).map_err(|e| wrong(e.to_string()))?;
    text.lines()
        .enumerate()
        .map(|(i, line)| {
            let place = format!("{}, line {}", file.display(), i + 1);
            let demonstration = serde_json::from_str(line).map_err(|e| wrong(format!("line {}: {e}", i + 1)))?;
            check(&demonstration).map_err(|leak| ScanError::Leak { place, leak })?;
            Ok(demonstration)
        })
        .collect()
}

/// Reads and checks a file of sentences.
///
/// # Errors
/// The first leak, or what cannot be read.
pub fn scan_sentences(file: &Path) -> Result<SentenceFile, ScanError> {
    let wrong = |reason: String| ScanError::File { file: file.to_owned(), reason };
    let text = reading::text(file, reading::REPORT).map_err(|e| wrong(e.to_string()))?;
    let found: SentenceFile = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    for entry in &found.sentences {
        check_sentence(&entry.task, &entry.sentence)
            .map_err(|leak| ScanError::Leak { place: file.display().to_string(), leak })?;
    }
    Ok(found)
}

/// How many demonstrations each task has.
pub fn counts(demonstrations: &[Demonstration]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for demonstration in demonstrations {
        *counts.entry(demonstration.task.clone()).or_default() += 1;
    }
    counts
}
