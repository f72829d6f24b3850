//! `efm-benchmark`: says what the benchmark consists of, and whether training kept to its part.

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use efm_harness::leaks::{self, SentenceFile};
use efm_sim::tasks::{BENCHMARK, BENCHMARK_VERSION, template_count};
use efm_sim::{Split, Task};
use std::io::Write;
use std::path::PathBuf;

/// The benchmark panda_tabletop: its splits and sentences, and the check that training saw nothing of what judges it.
#[derive(Parser)]
#[command(name = "efm-benchmark", version)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Splits, seeds, combinations.
    Describe,
    /// Every sentence of a split with its meaning, as JSON: what the training scripts read.
    Sentences {
        /// train, heldout, novel, paraphrase or shifted.
        #[arg(long, default_value = "train")]
        split: Split,
        /// File to write; standard output otherwise.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Reads recorded demonstrations and fails when one of them belongs to evaluation: by its seed, by its combination of object and
    /// goal, or by its sentence.
    Leaks {
        /// Folder with the episodes.
        #[arg(long, required_unless_present = "list")]
        episodes: Option<PathBuf>,
        /// A list of demonstrations instead, as written by --write-list.
        #[arg(long)]
        list: Option<PathBuf>,
        /// File of the sentences that training uses beside those of the episodes.
        #[arg(long)]
        sentences: Option<PathBuf>,
        /// Writes the list of what was found, one JSON object a line: the proof that stays when the episodes are gone.
        #[arg(long)]
        write_list: Option<PathBuf>,
    },
}

fn main() -> Result<()> {
    env_logger::init();
    match Args::parse().what {
        What::Describe => describe(),
        What::Sentences { split, out } => {
            let text = serde_json::to_string_pretty(&SentenceFile::of(split))? + "\n";
            match out {
                Some(file) => {
                    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?
                }
                None => print!("{text}"),
            }
        }
        What::Leaks { episodes, list, sentences, write_list } => {
            let mut found = Vec::new();
            if let Some(folder) = episodes {
                found.extend(leaks::scan(&folder)?);
            }
            if let Some(file) = list {
                found.extend(leaks::scan_list(&file)?);
            }
            let words = sentences.map(|file| leaks::scan_sentences(&file)).transpose()?;
            if let Some(file) = write_list {
                let mut text = Vec::new();
                for demonstration in &found {
                    serde_json::to_writer(&mut text, demonstration)?;
                    writeln!(text)?;
                }
                std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            }
            let counts = leaks::counts(&found);
            println!(
                "{} demonstrations of {} tasks{}: no leak of {BENCHMARK} {BENCHMARK_VERSION}",
                found.len(),
                counts.len(),
                words.map_or_else(String::new, |w| format!(" and {} sentences", w.sentences.len()))
            );
        }
    }
    Ok(())
}

fn describe() {
    println!("{BENCHMARK} {BENCHMARK_VERSION}");
    for split in Split::ALL {
        let seeds = split.seeds();
        let tasks: Vec<Task> = Task::all().filter(|t| t.is_novel() == (split == Split::Novel)).collect();
        let templates: usize = tasks.iter().map(|t| template_count(*t, split)).sum::<usize>() / tasks.len().max(1);
        println!(
            "  {split:<11} seeds {:>10} to {:>10}  {:>2} combinations of object and goal, {templates} templates each",
            seeds.start,
            seeds.end - 1,
            tasks.len()
        );
    }
    println!("held out of training (split 'novel'):");
    for task in Task::all().filter(|t| t.is_novel()) {
        println!("  {}", task.name());
    }
}
