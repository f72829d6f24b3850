//! CPU time and memory of processes, from /proc.

use anyhow::{Context, Result};

/// CPU seconds that a process has used.
///
/// # Errors
/// When it is gone.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let file = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    // The name, in brackets, may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let (user, system) = (ticks(11).context("no user time")?, ticks(12).context("no system time")?);
    // SAFETY: a plain question.
    let rate = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Ok((user + system) / rate as f64)
}

/// Proportional memory of a process (its own, and its part of what is shared), MB.
///
/// # Errors
/// When it is gone.
pub fn memory_mb(pid: u32) -> Result<f64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).with_context(|| format!("{file}: no Pss"))?;
    let kb: f64 =
        line.split_whitespace().next().and_then(|kb| kb.parse().ok()).with_context(|| format!("{file}: Pss"))?;
    Ok(kb / 1024.0)
}
