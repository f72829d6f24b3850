//! A Python script of `rivals/` that is driven from here, a line of JSON each way.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A script: its name, for messages, and its text.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// As `rivals/image.py`.
    pub name: &'static str,
    /// Of the file.
    pub text: &'static str,
}

/// An answer of a script, which is `{"error": "..."}` where it cannot be given.
///
/// # Errors
/// What the script tells, or that a line is no answer.
pub fn parse<A: DeserializeOwned>(script: Script, line: &str) -> Result<A> {
    let start: String = line.chars().take(200).collect();
    let none = || format!("not an answer of {}: '{}'", script.name, start.trim());
    let value: serde_json::Value = serde_json::from_str(line).with_context(none)?;
    if let Some(error) = value.get("error").and_then(serde_json::Value::as_str) {
        bail!("{}: {error}", script.name);
    }
    serde_json::from_value(value).with_context(none)
}

/// A command that runs a script on an interpreter, with so many threads for whatever computes there.
pub fn command<S: AsRef<OsStr>>(
    python: &Path,
    script: Script,
    arguments: impl IntoIterator<Item = S>,
    threads: usize,
) -> Command {
    let mut command = Command::new(python);
    command.args(["-c", script.text]).args(arguments);
    let names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];
    command.envs(names.map(|name| (name, threads.to_string())));
    command
}

/// The process. It ends with its input, when this is dropped.
#[derive(Debug)]
pub struct Driven {
    script: Script,
    python: PathBuf,
    child: Child,
    jobs: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Driven {
    /// Starts a [`command`] on this interpreter.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(python: &Path, script: Script, mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("--python {}: cannot be started", python.display()))?;
        let (jobs, answers) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        let answers = answers.context("a process without output")?;
        Ok(Self { script, python: python.to_owned(), child, jobs, answers })
    }

    /// Of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its next answer.
    ///
    /// # Errors
    /// What it tells, or that it ended or gave no such answer.
    pub fn read<A: DeserializeOwned>(&mut self) -> Result<A> {
        let mut line = String::new();
        let python = self.python.display();
        self.answers.read_line(&mut line).with_context(|| format!("--python {python}: cannot be read from"))?;
        if line.is_empty() {
            bail!("--python {python}: ended without an answer (is it a Python 3 interpreter?)");
        }
        parse(self.script, &line).with_context(|| format!("--python {python}"))
    }

    /// The answer to a job.
    ///
    /// # Errors
    /// When it takes none, and as [`Self::read`].
    pub fn ask<A: DeserializeOwned>(&mut self, job: &impl Serialize) -> Result<A> {
        let line = serde_json::to_string(job)? + "\n";
        let jobs = self.jobs.as_mut().context("a process without input")?;
        jobs.write_all(line.as_bytes())
            .and_then(|()| jobs.flush())
            .with_context(|| format!("--python {}: takes no job", self.python.display()))?;
        self.read()
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        // The end of its input is its end.
        self.jobs = None;
        let _ = self.child.wait();
    }
}
