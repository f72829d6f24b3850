//! Counting by valgrind.

use crate::hot::{COUNTED, CPU_PREFIX, HotPath};
use anyhow::{Context, Result, bail, ensure};
use efm_core::reading;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output};

/// What one run counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Instructions a call, rounded.
    pub per_call: u64,
    /// What the program saw of the processor.
    pub processor: String,
}

fn output(command: &mut Command) -> Result<Output> {
    match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("valgrind is not there: `apt-get install valgrind` (`./efm setup` does it)")
        }
        found => found.context("valgrind cannot be run"),
    }
}

/// `valgrind --version`.
///
/// # Errors
/// When it is not installed.
pub fn version() -> Result<String> {
    let found = output(Command::new("valgrind").arg("--version"))?;
    ensure!(found.status.success(), "valgrind --version: {}", found.status);
    Ok(String::from_utf8_lossy(&found.stdout).trim().to_owned())
}

/// Counts the calls of a path in this very program.
///
/// # Errors
/// When valgrind or the path fails, or nothing was counted.
pub fn count(root: &Path, path: &HotPath) -> Result<Counted> {
    let folder = tempfile::tempdir().context("no temporary folder for valgrind's results")?;
    let file = folder.path().join("callgrind.out");
    let program = std::env::current_exe().context("this program does not know its own file")?;
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--read-inline-info=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .arg("--root")
        .arg(root)
        .args(["hot", path.name, "--calls", &path.calls.to_string()]);
    let found = output(&mut command).with_context(|| format!("hot path {}", path.name))?;
    if !found.status.success() {
        let told = String::from_utf8_lossy(&found.stderr);
        let end: Vec<&str> = told.lines().rev().take(12).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        bail!("hot path {} under valgrind: {}\n{}", path.name, found.status, end.join("\n"));
    }
    let text = reading::text(&file, reading::REPORT)
        .with_context(|| format!("hot path {}: valgrind left no {}", path.name, file.display()))?;
    let total = total(&text).with_context(|| format!("hot path {}: {}", path.name, file.display()))?;
    ensure!(total >= path.calls, "hot path {}: {total} instructions were counted in {} calls", path.name, path.calls);
    let told = String::from_utf8_lossy(&found.stdout);
    let processor = told.lines().find_map(|line| line.strip_prefix(CPU_PREFIX));
    let processor = processor.with_context(|| format!("hot path {}: it does not say '{CPU_PREFIX}'", path.name))?;
    Ok(Counted { per_call: (total + path.calls / 2) / path.calls, processor: processor.to_owned() })
}

/// The sum of a file of callgrind's.
fn total(text: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("totals:")).context("no line 'totals:'")?;
    line.trim().parse().with_context(|| format!("totals: '{}'; expected a number", line.trim()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_total_is_read_and_what_is_none_is_refused() {
        assert_eq!(total("version: 1\nevents: Ir\nsummary: 12\n\ntotals: 4711\n").unwrap(), 4711);
        assert!(total("summary: 12\n").unwrap_err().to_string().contains("totals:"));
        assert!(format!("{:#}", total("totals: many\n").unwrap_err()).contains("'many'"));
    }
}
