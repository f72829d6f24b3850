//! A Python process that runs LeRobot's loop, a block at a time.

use crate::driven::{Driven, Script, command};
use crate::lerobot::Recorded;
use crate::usage::memory_mb;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// What it runs; its head says how one talks to it.
pub const SCRIPT: Script =
    Script { name: "rivals/lerobot_loop.py", text: include_str!("../../rivals/lerobot_loop.py") };

/// What it is.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    /// Of the interpreter and the libraries.
    pub versions: BTreeMap<String, String>,
    /// Width and height that the policy was trained on, in pixels.
    pub cameras: Vec<(u32, u32)>,
    /// How many.
    pub joints: usize,
}

#[derive(Serialize)]
struct Job<'a> {
    observations: &'a [Recorded],
    count: usize,
    hollow: bool,
}

#[derive(Deserialize)]
struct Answer {
    actions: Vec<Vec<f64>>,
    whole: Vec<u64>,
    bare: Vec<u64>,
}

/// The process.
#[derive(Debug)]
pub struct Theirs {
    driven: Driven,
    ready: Ready,
}

impl Theirs {
    /// Opens a checkpoint on an interpreter that has LeRobot.
    ///
    /// # Errors
    /// When the interpreter cannot be started, a module is missing, or the checkpoint is not an ACT's.
    pub fn start(python: &Path, root: &Path, checkpoint: &Path, threads: usize) -> Result<Self> {
        let arguments = ["run".as_ref(), checkpoint.as_os_str(), threads.to_string().as_ref()].map(ToOwned::to_owned);
        let command = offline(command(python, SCRIPT, arguments, threads), root);
        let mut driven = Driven::start(python, SCRIPT, command)?;
        let ready = driven.read()?;
        Ok(Self { driven, ready })
    }

    /// What it is.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Proportional memory of the process, MB.
    ///
    /// # Errors
    /// When it is gone.
    pub fn memory_mb(&self) -> Result<f64> {
        memory_mb(self.driven.pid())
    }

    /// The first action for each of these, which are kept for what follows.
    ///
    /// # Errors
    /// When the loop cannot be run on them.
    pub fn actions(&mut self, observations: &[Recorded]) -> Result<Vec<Vec<f64>>> {
        let answer: Answer = self.driven.ask(&Job { observations, count: 0, hollow: false })?;
        if answer.actions.len() != observations.len() {
            bail!("{}: {} actions for {} observations", SCRIPT.name, answer.actions.len(), observations.len());
        }
        Ok(answer.actions)
    }

    /// Nanoseconds of so many chunks: all of each, and the network alone, which is nothing for one that does nothing.
    ///
    /// # Errors
    /// When the loop cannot be run.
    pub fn run(&mut self, count: usize, hollow: bool) -> Result<(Vec<u64>, Vec<u64>)> {
        let answer: Answer = self.driven.ask(&Job { observations: &[], count, hollow })?;
        if answer.whole.len() != count || answer.bare.len() != if hollow { 0 } else { count } {
            bail!("{}: {count} chunks were asked for, it told of {}", SCRIPT.name, answer.whole.len());
        }
        Ok((answer.whole, answer.bare))
    }
}

/// Without the network, with the repository's own Python and nobody else's.
pub fn offline(mut command: Command, root: &Path) -> Command {
    command.env("HF_HUB_OFFLINE", "1").env("PYTHONPATH", root);
    command
}

/// Waits for a command that makes something; what it prints goes to the standard error.
///
/// # Errors
/// When it cannot be started or fails.
pub fn finish(mut command: Command, what: &str) -> Result<()> {
    eprintln!("{what}");
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = status.with_context(|| format!("{what}: {:?} cannot be started", command.get_program()))?;
    if !status.success() {
        bail!(
            "{what}: {status} (has {:?} LeRobot and what importers/lerobot/requirements.txt lists?)",
            command.get_program()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_job_is_written_and_an_answer_read_as_the_script_has_it() {
        let value = serde_json::to_value(Job { observations: &[], count: 1, hollow: true }).unwrap();
        for key in ["observations", "count", "hollow"] {
            assert!(value.get(key).is_some() && SCRIPT.text.contains(&format!("job[\"{key}\"]")), "{key}");
        }
        let recorded = serde_json::to_value(Recorded { images: vec![], joints: vec![] }).unwrap();
        for key in ["images", "joints"] {
            assert!(recorded.get(key).is_some() && SCRIPT.text.contains(&format!("observation[\"{key}\"]")), "{key}");
        }
        let answer: Answer =
            crate::driven::parse(SCRIPT, r#"{"actions": [[0.5]], "whole": [3], "bare": [2]}"#).unwrap();
        assert_eq!((answer.actions, answer.whole, answer.bare), (vec![vec![0.5]], vec![3], vec![2]));
        assert!(SCRIPT.text.contains(r#"{"actions": actions, "whole": whole, "bare": bare}"#));
    }

    #[test]
    fn a_python_without_lerobot_is_told() {
        let error =
            format!("{:#}", Theirs::start(Path::new("/bin/true"), Path::new("."), Path::new("x"), 1).unwrap_err());
        assert!(error.contains("--python /bin/true: ended without an answer"), "{error}");
    }
}
