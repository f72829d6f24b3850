//! Many episodes: in parallel, in an order that does not depend on the number of threads, and resumable.

use crate::arm::Panda;
use crate::episode::{Outcome, play};
use crate::rivals::RIVALS;
use crate::rng::episode_seed;
use crate::stimulus::{EPISODE, SCENARIOS};
use crate::tally::Measured;
use anyhow::{Context, Result, bail};
use efm_core::reading;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Everything that a run counted so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Seed of the run.
    pub seed: u64,
    /// Fingerprint of the executable: results of different builds are not mixed.
    pub build: u64,
    /// Episodes played.
    pub episodes: u64,
    /// The filter.
    pub filter: Measured,
    /// The filter by scenario.
    pub scenarios: Vec<Measured>,
    /// The filter in the episodes with the Panda's limits.
    pub panda: Measured,
    /// The rules compared.
    pub rivals: Vec<Measured>,
}

impl Totals {
    /// Of a run that has not begun.
    pub fn new(seed: u64, build: u64) -> Self {
        Self {
            seed,
            build,
            episodes: 0,
            filter: Measured::default(),
            scenarios: vec![Measured::default(); SCENARIOS.len()],
            panda: Measured::default(),
            rivals: vec![Measured::default(); RIVALS.len()],
        }
    }

    fn add(&mut self, outcome: &Outcome) {
        self.episodes += 1;
        self.filter.merge(&outcome.filter);
        self.scenarios[outcome.scenario].merge(&outcome.filter);
        if outcome.panda {
            self.panda.merge(&outcome.filter);
        }
        for (mine, theirs) in self.rivals.iter_mut().zip(&outcome.rivals) {
            mine.merge(theirs);
        }
    }

    /// Reads a checkpoint; a run that has not begun where there is none.
    ///
    /// # Errors
    /// When the file is no checkpoint, or one of another seed or build.
    pub fn load(file: &Path, seed: u64, build: u64) -> Result<Self> {
        if !file.exists() {
            return Ok(Self::new(seed, build));
        }
        let text = reading::text(file, reading::REPORT).with_context(|| format!("cannot read {}", file.display()))?;
        let totals: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is no checkpoint", file.display()))?;
        if totals.seed != seed {
            bail!("{} belongs to seed {}, not {seed}", file.display(), totals.seed);
        }
        if totals.build != build {
            bail!("{} was written by another build; remove it to begin anew", file.display());
        }
        Ok(totals)
    }

    /// Writes a checkpoint; whoever dies meanwhile leaves the one before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, serde_json::to_string(self)?)
            .and_then(|()| std::fs::rename(&fresh, file))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Fingerprint of the running executable (FNV-1a).
pub fn build() -> u64 {
    let bytes = std::env::current_exe().and_then(|exe| reading::bytes(exe, u64::MAX)).unwrap_or_default();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// How many episodes have at least this many ticks.
pub fn episodes_for(ticks: u64) -> u64 {
    ticks.div_ceil(EPISODE)
}

/// Calls a function for 0 to count - 1 on some threads; the results in that order.
///
/// # Errors
/// When a call ended without a result.
pub fn parallel<T: Send>(count: u64, threads: usize, call: impl Fn(u64) -> T + Sync) -> Result<Vec<T>> {
    let next = AtomicU64::new(0);
    let done: Mutex<Vec<Option<T>>> = Mutex::new((0..count).map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= count {
                        return;
                    }
                    let result = call(i);
                    if let Ok(mut done) = done.lock() {
                        done[i as usize] = Some(result);
                    }
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_default();
    done.into_iter().collect::<Option<Vec<T>>>().context("a call ended without a result")
}

/// Plays episodes until `episodes` are done, where `scenario` names one of that only. `progress` is told the totals after every batch; `file` gets them too.
///
/// # Errors
/// When an episode cannot be set up or the checkpoint cannot be written.
pub fn run(
    totals: &mut Totals,
    episodes: u64,
    threads: usize,
    panda: &Panda,
    scenario: Option<&str>,
    file: Option<&Path>,
    mut progress: impl FnMut(&Totals),
) -> Result<()> {
    const BATCH: u64 = 24;
    while totals.episodes < episodes {
        let first = totals.episodes;
        let batch = BATCH.min(episodes - first);
        for outcome in parallel(batch, threads, |i| play(episode_seed(totals.seed, first + i), scenario, panda, false))?
        {
            totals.add(&outcome?);
        }
        if let Some(file) = file {
            totals.save(file)?;
        }
        progress(totals);
    }
    Ok(())
}
