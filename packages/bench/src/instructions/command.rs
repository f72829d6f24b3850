//! `efm-bench instructions`.

use crate::hot::{HotPath, PATHS};
use crate::instructions::baseline::{ALLOWED_PERCENT, Baseline, Comparison, FILE, Made, Row};
use crate::instructions::valgrind::{count, version};
use crate::run::parallel;
use crate::section::{Section, Table, Target};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Options of `efm-bench instructions`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Fails where a path takes more than 5 % more instructions than the baseline says.
    #[arg(long)]
    pub check: bool,
    /// Writes what is counted as the new baseline.
    #[arg(long, conflicts_with = "check")]
    pub update: bool,
    /// How often each is counted; the least is told, and how far they are apart.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub runs: u64,
    /// Writes the results here, as a part of the report.
    #[arg(long)]
    pub section: Option<PathBuf>,
}

/// A path, counted.
struct Counts {
    least: u64,
    most: u64,
}

/// Does what the options say; false where `--check` found something.
///
/// # Errors
/// When valgrind is missing or fails, or the baseline cannot be read or written.
pub fn bench(root: &Path, args: &Args) -> Result<bool> {
    let file = root.join(FILE);
    let before = if args.update { None } else { Some(Baseline::load(&file)?) };
    let (rustc, arch) = (env!("EFM_BENCH_RUSTC").to_owned(), std::env::consts::ARCH.to_owned());
    if let Some(before) = before.as_ref().filter(|_| args.check && args.section.is_none()) {
        // What is known without counting saves the time, and valgrind.
        let here = Made { rustc: rustc.clone(), arch: arch.clone(), profile: profile(), ..before.made.clone() };
        let incomparable = before.made.incomparable(&here);
        if !incomparable.is_empty() {
            skip(&file, &incomparable);
            return Ok(true);
        }
    }
    let valgrind = version()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let paths = PATHS.len() as u64;
    let found = parallel(paths * args.runs, threads, |i| count(root, &PATHS[(i % paths) as usize]))?;
    let found = found.into_iter().collect::<Result<Vec<_>>>()?;
    let made = Made {
        rustc,
        arch,
        profile: profile(),
        processor: found.first().context("nothing was counted")?.processor.clone(),
        valgrind,
        libc: libc_version(),
    };
    let counts_of = |path: usize| {
        let all = || found.iter().skip(path).step_by(PATHS.len()).map(|counted| counted.per_call);
        Counts { least: all().min().unwrap_or(0), most: all().max().unwrap_or(0) }
    };
    let counts: Vec<Counts> = (0..PATHS.len()).map(counts_of).collect();
    let now: Vec<(&str, u64)> = PATHS.iter().zip(&counts).map(|(path, counts)| (path.name, counts.least)).collect();

    let fresh = Baseline {
        made: made.clone(),
        instructions_per_call: now.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
    };
    let comparison = before.as_ref().unwrap_or(&fresh).compare(&now);
    let incomparable = before.as_ref().map_or(vec![], |before| before.made.incomparable(&made));
    let section = section(args, &made, &counts, &comparison, &incomparable);
    section.deliver(args.section.as_deref())?;
    let Some(before) = before else {
        fresh.save(&file)?;
        println!("written: {}", file.display());
        return Ok(true);
    };
    if !incomparable.is_empty() {
        skip(&file, &incomparable);
        return Ok(true);
    }
    let faults = comparison.faults();
    faults.iter().for_each(|line| println!("{line}"));
    if faults.is_empty() {
        println!("no path takes more than {ALLOWED_PERCENT} % more instructions than the baseline");
    } else {
        before.made.doubtful(&made).iter().for_each(|line| println!("perhaps because of this: {line}"));
        println!("Where that is as it should be, `efm-bench instructions --update` renews {}.", file.display());
    }
    let cheaper = comparison.cheaper();
    if !cheaper.is_empty() {
        println!("more than {ALLOWED_PERCENT} % fewer than before, worth an --update: {}", cheaper.join(", "));
    }
    Ok(!args.check || faults.is_empty())
}

fn skip(file: &Path, incomparable: &[String]) {
    println!("SKIPPED: counts of other tools cannot be compared with the baseline {}:", file.display());
    incomparable.iter().for_each(|line| println!("  {line}"));
    println!("  `efm-bench instructions --update` makes a baseline for these.");
}

fn profile() -> String {
    let asserts = if cfg!(debug_assertions) { ", debug assertions" } else { "" };
    format!("{}{asserts}", env!("EFM_BENCH_PROFILE"))
}

#[cfg(target_env = "gnu")]
fn libc_version() -> String {
    // SAFETY: a string that ends with a zero and lives as long as the program.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}

#[cfg(not(target_env = "gnu"))]
fn libc_version() -> String {
    "not glibc".into()
}

fn section(args: &Args, made: &Made, counts: &[Counts], comparison: &Comparison, incomparable: &[String]) -> Section {
    let row = |((row, path), counts): ((&Row, &HotPath), &Counts)| {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        vec![
            row.name.clone(),
            row.now.to_string(),
            format!("{:.3}", 100.0 * (counts.most as f64 / counts.least.max(1) as f64 - 1.0)),
            or_none(row.before.map(|before| before.to_string())),
            or_none(row.percent().map(|percent| format!("{percent:+.2}"))),
            path.what.to_owned(),
        ]
    };
    let rows = comparison.rows.iter().zip(&PATHS).zip(counts);
    let columns = ["path", "instructions a call", "spread of the runs, %", "baseline", "change, %", "a call"];
    let faults = comparison.faults();
    let judged = args.check && incomparable.is_empty();
    let target = Target {
        asked: format!("no hot path takes more than {ALLOWED_PERCENT} % more instructions than the baseline in {FILE}"),
        measured: if faults.is_empty() { "none does".into() } else { faults.join("; ") },
        met: faults.is_empty(),
    };
    let skipped = if incomparable.is_empty() {
        String::new()
    } else {
        format!("\n\nThe baseline is not compared with: {}.", incomparable.join("; "))
    };
    Section {
        name: "instructions".into(),
        title: "Instructions of the hot paths".into(),
        text: format!(
            "Counted by {} (callgrind) in the program that was built with `{}` for {} (cargo's profile: {}), {} run(s); only the calls themselves, neither \
             start nor set-up. The program sees a processor with {}, whatever the machine has: valgrind shows AVX2 at most. {} is part of it where it is \
             called.{skipped}",
            made.valgrind, made.rustc, made.arch, made.profile, args.runs, made.processor, made.libc
        ),
        targets: if judged { vec![target] } else { vec![] },
        tables: vec![Table {
            title: "Instructions a call".into(),
            columns: columns.map(str::to_owned).to_vec(),
            rows: rows.map(row).collect(),
        }],
        plots: vec![],
        figures: json!({
            "made": made,
            "paths": comparison.rows.iter().map(|row| json!({ "name": row.name, "now": row.now, "before": row.before })).collect::<Value>(),
        }),
    }
}
