//! What was counted before, and what may be counted now.

use anyhow::{Context, Result, ensure};
use efm_core::reading;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where it lies, below the root of the repository.
pub const FILE: &str = "packages/bench/instructions.json";
/// By how much a path may be above its baseline, per cent.
pub const ALLOWED_PERCENT: u64 = 5;

/// What a count depends on beside the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// `rustc --version` of the build.
    pub rustc: String,
    /// Architecture that it was built for.
    pub arch: String,
    /// Profile and optimisation of the build.
    pub profile: String,
    /// What the counted program saw of the processor: `avx2`, `sse`.
    pub processor: String,
    /// `valgrind --version`.
    pub valgrind: String,
    /// Version of the C library.
    pub libc: String,
}

impl Made {
    /// What makes counts of another one incomparable with these, in words; nothing where nothing does.
    pub fn incomparable(&self, now: &Self) -> Vec<String> {
        let pairs = [
            ("rustc", &self.rustc, &now.rustc),
            ("arch", &self.arch, &now.arch),
            ("profile", &self.profile, &now.profile),
            ("processor", &self.processor, &now.processor),
        ];
        Self::told(&pairs)
    }

    /// What may make them differ a little, in words.
    pub fn doubtful(&self, now: &Self) -> Vec<String> {
        Self::told(&[("valgrind", &self.valgrind, &now.valgrind), ("libc", &self.libc, &now.libc)])
    }

    fn told(pairs: &[(&str, &String, &String)]) -> Vec<String> {
        let differ = pairs.iter().filter(|(_, before, now)| before != now);
        differ
            .map(|(field, before, now)| format!("{field}: the baseline's is '{before}', here it is '{now}'"))
            .collect()
    }
}

/// The baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// With what it was counted.
    pub made: Made,
    /// Instructions a call, by path.
    pub instructions_per_call: BTreeMap<String, u64>,
}

impl Baseline {
    /// Reads one.
    ///
    /// # Errors
    /// Names the file that cannot be read, and the field that is wrong.
    pub fn load(file: &Path) -> Result<Self> {
        let text = reading::text(file, reading::REPORT)
            .with_context(|| format!("cannot read the baseline {} (--update makes one)", file.display()))?;
        Self::parse(&text).with_context(|| format!("{}: not a baseline (--update makes a new one)", file.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let baseline: Self = serde_json::from_str(text)?;
        for (name, count) in &baseline.instructions_per_call {
            ensure!(*count > 0, "instructions_per_call.{name} is 0; it must be at least 1");
        }
        Ok(baseline)
    }

    /// Writes it.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        std::fs::write(file, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// What is counted now beside it, in the order of `now`.
    pub fn compare(&self, now: &[(&str, u64)]) -> Comparison {
        let row = |(name, count): &(&str, u64)| Row {
            name: (*name).to_owned(),
            before: self.instructions_per_call.get(*name).copied(),
            now: *count,
        };
        let counted: BTreeSet<&str> = now.iter().map(|(name, _)| *name).collect();
        let gone = self.instructions_per_call.keys().filter(|name| !counted.contains(name.as_str()));
        Comparison { rows: now.iter().map(row).collect(), gone: gone.cloned().collect() }
    }
}

/// A path, now and before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Instructions a call of the baseline; None where that does not know it.
    pub before: Option<u64>,
    /// Instructions a call.
    pub now: u64,
}

impl Row {
    /// By how many per cent there are more than before.
    pub fn percent(&self) -> Option<f64> {
        self.before.map(|before| 100.0 * (self.now as f64 / before as f64 - 1.0))
    }

    fn is_dearer(&self) -> bool {
        let limit = |before: u64| u128::from(before) * u128::from(100 + ALLOWED_PERCENT);
        self.before.is_some_and(|before| u128::from(self.now) * 100 > limit(before))
    }

    fn is_cheaper(&self) -> bool {
        let limit = |before: u64| u128::from(before) * u128::from(100 - ALLOWED_PERCENT);
        self.before.is_some_and(|before| u128::from(self.now) * 100 < limit(before))
    }
}

/// All paths, now and before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// One a path that is counted.
    pub rows: Vec<Row>,
    /// Names of the baseline that nothing counts any more.
    pub gone: Vec<String>,
}

impl Comparison {
    /// What is wrong, one a line; nothing where all is well.
    pub fn faults(&self) -> Vec<String> {
        let of_row = |row: &Row| match row.before {
            None => Some(format!("{}: the baseline does not know it", row.name)),
            Some(before) if row.is_dearer() => Some(format!(
                "{}: {} instructions a call, {:+.1} % beside the baseline's {before}; at most {ALLOWED_PERCENT} % more are allowed",
                row.name,
                row.now,
                row.percent().unwrap_or_default()
            )),
            Some(_) => None,
        };
        let gone = self.gone.iter().map(|name| format!("{name}: in the baseline, but there is no such path"));
        self.rows.iter().filter_map(of_row).chain(gone).collect()
    }

    /// Paths that got so much cheaper that a later loss of it would not be seen.
    pub fn cheaper(&self) -> Vec<&str> {
        self.rows.iter().filter(|row| row.is_cheaper()).map(|row| row.name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn made() -> Made {
        let of = str::to_owned;
        Made {
            rustc: of("rustc 1.95.0"),
            arch: of("x86_64"),
            profile: of("debug, opt-level 3"),
            processor: of("avx2"),
            valgrind: of("valgrind-3.19.0"),
            libc: of("glibc 2.36"),
        }
    }

    fn baseline(counts: &[(&str, u64)]) -> Baseline {
        let counts = counts.iter().map(|(name, count)| ((*name).to_owned(), *count));
        Baseline { made: made(), instructions_per_call: counts.collect() }
    }

    #[test]
    fn five_per_cent_more_is_allowed_and_one_instruction_beyond_is_not() {
        let before = baseline(&[("a", 100_000), ("b", 100_000), ("c", 100_000), ("d", 7)]);
        let now = before.compare(&[("a", 105_000), ("b", 105_001), ("c", 94_999), ("d", 7)]);
        let faults = now.faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("b: 105001 instructions a call, +5.0 %"), "{}", faults[0]);
        assert_eq!(now.cheaper(), ["c"]);
        assert!(before.compare(&[("a", u64::MAX), ("b", 1), ("c", 1), ("d", 1)]).faults()[0].starts_with("a: "));
    }

    #[test]
    fn a_path_that_only_one_side_knows_is_a_fault() {
        let faults = baseline(&[("a", 10), ("old", 10)]).compare(&[("a", 10), ("new", 10)]).faults();
        assert_eq!(faults, ["new: the baseline does not know it", "old: in the baseline, but there is no such path"]);
    }

    #[test]
    fn another_compiler_architecture_profile_or_processor_is_not_compared() {
        assert!(made().incomparable(&made()).is_empty() && made().doubtful(&made()).is_empty());
        let other = Made { rustc: "rustc 1.96.0".into(), processor: "sse".into(), ..made() };
        assert_eq!(
            made().incomparable(&other),
            [
                "rustc: the baseline's is 'rustc 1.95.0', here it is 'rustc 1.96.0'",
                "processor: the baseline's is 'avx2', here it is 'sse'"
            ]
        );
        let newer = Made { libc: "glibc 2.39".into(), valgrind: "valgrind-3.22.0".into(), ..made() };
        assert!(made().incomparable(&newer).is_empty());
        assert_eq!(made().doubtful(&newer).len(), 2);
    }

    #[test]
    fn a_baseline_comes_back_as_it_was_and_what_is_none_is_refused_by_its_field() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("instructions.json");
        let kept = baseline(&[("a", 12_345)]);
        kept.save(&file).unwrap();
        assert_eq!(Baseline::load(&file).unwrap(), kept);
        let text = std::fs::read_to_string(&file).unwrap();
        for (from, to, told) in [
            ("\"rustc\"", "\"rustk\"", "rustk"),
            ("12345", "-3", "-3"),
            ("12345", "0", "instructions_per_call.a is 0"),
            ("12345", "1.5", "1.5"),
            ("instructions_per_call", "per_call", "per_call"),
            ("}\n", "\n", "EOF"),
        ] {
            assert!(text.contains(from));
            std::fs::write(&file, text.replacen(from, to, 1)).unwrap();
            let error = format!("{:#}", Baseline::load(&file).unwrap_err());
            assert!(
                error.contains("instructions.json") && error.contains("--update") && error.contains(told),
                "{error}"
            );
        }
        let error = format!("{:#}", Baseline::load(&folder.path().join("none.json")).unwrap_err());
        assert!(error.contains("none.json") && error.contains("--update"), "{error}");
    }
}
