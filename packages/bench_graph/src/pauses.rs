//! What the machine takes from whoever runs on it: a virtual one's cores stand still while the host does something else.

use anyhow::{Context, Result};
use efm_app::cores::{Cores, run_this_thread_in_real_time};
use efm_bench::section::Table;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Pauses that are counted, ms: longer than these.
const LONGER_THAN: [f64; 3] = [0.1, 0.3, 1.0];
/// As trajectory_publisher's `realtime_priority`.
const PRIORITY: i32 = 40;
/// Time on end in which the clock is read, and a rest for others: the kernel stops a thread in real time that takes more than 95 of 100.
const WATCH: Duration = Duration::from_millis(90);
const REST: Duration = Duration::from_millis(10);

/// Pauses of a core.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Pauses {
    /// Core.
    core: usize,
    /// Pauses a second, longer than each of 0.1, 0.3 and 1 ms.
    a_second: [f64; 3],
    /// ms.
    longest: f64,
    /// Part of the time that went in pauses longer than 0.1 ms.
    share: f64,
    /// Whether nothing ordinary could take the core.
    real_time: bool,
}

impl Pauses {
    /// From pauses, ms, within so many seconds.
    fn of(core: usize, pauses: &[f64], seconds: f64, real_time: bool) -> Self {
        Self {
            core,
            a_second: LONGER_THAN.map(|least| pauses.iter().filter(|pause| **pause > least).count() as f64 / seconds),
            longest: pauses.iter().copied().fold(0.0, f64::max),
            share: pauses.iter().filter(|pause| **pause > LONGER_THAN[0]).sum::<f64>() * 1e-3 / seconds,
            real_time,
        }
    }
}

/// Reads the clock on every core at once.
///
/// # Errors
/// When a thread cannot be started or kept to its core.
pub fn watch(length: Duration) -> Result<Vec<Pauses>> {
    let cores = std::thread::available_parallelism()?.get();
    let threads: Vec<_> = (0..cores).map(|core| std::thread::spawn(move || watch_core(core, length))).collect();
    threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?).collect()
}

fn watch_core(core: usize, length: Duration) -> Result<Pauses> {
    let named = Cores::named(&[i64::try_from(core)?])?.context("no core")?;
    named.confine_this_thread()?;
    let real_time = run_this_thread_in_real_time(PRIORITY).is_ok();
    let (mut pauses, mut watched) = (Vec::with_capacity(1 << 16), Duration::ZERO);
    while watched < length {
        let begun = Instant::now();
        let mut last = begun;
        while last - begun < WATCH {
            let now = Instant::now();
            let pause = (now - last).as_secs_f64() * 1e3;
            if pause > LONGER_THAN[0] {
                pauses.push(pause);
            }
            last = now;
        }
        watched += last - begun;
        std::thread::sleep(REST);
    }
    Ok(Pauses::of(core, &pauses, watched.as_secs_f64(), real_time))
}

/// As a table.
pub fn table(found: &[Pauses]) -> Table {
    Table {
        title: "What the machine takes by itself: pauses of a thread in real time that does nothing but read the clock, one a core, nothing else running"
            .to_owned(),
        columns: ["core", "longer than 0.1 ms, a second", "than 0.3 ms", "than 1 ms", "longest, ms", "part of the time"]
            .map(str::to_owned)
            .to_vec(),
        rows: found
            .iter()
            .map(|pauses| {
                let mut row = vec![pauses.core.to_string()];
                row.extend(pauses.a_second.map(|number| format!("{number:.1}")));
                row.extend([format!("{:.1}", pauses.longest), format!("{:.2} %", 100.0 * pauses.share)]);
                row
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_counted_by_their_length() {
        let found = Pauses::of(1, &[0.05, 0.2, 0.5, 4.0], 2.0, true);
        assert_eq!(found.a_second, [1.5, 1.0, 0.5]);
        assert_eq!(found.longest, 4.0);
        assert!((found.share - 0.002_35).abs() < 1e-12, "{found:?}");
    }
}
