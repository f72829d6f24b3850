//! CPU time and memory of processes.

use anyhow::{Context, Result, bail};
use efm_core::reading;

/// CPU seconds that a process has used, to the nanosecond (/proc counts hundredths).
///
/// # Errors
/// When it is gone.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    let id = libc::pid_t::try_from(pid).context("no process id")?;
    // SAFETY: writes one clock's number.
    let code = unsafe { libc::clock_getcpuclockid(id, &raw mut clock) };
    // SAFETY: writes one timespec.
    if code != 0 || unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        bail!("process {pid} is gone");
    }
    Ok(time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9)
}

/// Proportional memory of a process (its own, and its part of what is shared), MB.
///
/// # Errors
/// When it is gone.
pub fn memory_mb(pid: u32) -> Result<f64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = reading::text(&file, reading::SYSTEM).with_context(|| format!("cannot read {file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).with_context(|| format!("{file}: no Pss"))?;
    let kb: f64 =
        line.split_whitespace().next().and_then(|kb| kb.parse().ok()).with_context(|| format!("{file}: Pss"))?;
    Ok(kb / 1024.0)
}
