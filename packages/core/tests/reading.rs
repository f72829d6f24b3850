//! Whatever opens a file by a name that somebody gave does so within a bound: `efm_core::reading` is the one place that opens files to read them.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// Readers of their own, with why.
const OWN: &[(&str, &str)] = &[
    // A folder, which is not read but written back to the disk.
    ("app/src/state_file.rs", "File::open(folder)?.sync_all()"),
    // The end of a log that this program has written, however long.
    ("demo/src/processes.rs", "File::open(log)"),
];

const READS: &[&str] =
    &["fs::read(", "fs::read)", "fs::read_to_string", "File::open(", ".read(true)", "File::options("];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// Lines of a source that read a file by themselves, tests left out.
fn own_readers(source: &str) -> Vec<&str> {
    let source = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let reads = |line: &&str| {
        let code = line.trim_start();
        let found = READS.iter().any(|read| {
            // `DbFile::open` is another one's.
            code.match_indices(read).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_ascii_alphanumeric()))
        });
        found && !code.starts_with("//")
    };
    source.lines().filter(reads).collect()
}

#[test]
fn files_are_opened_in_one_place() {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for package in std::fs::read_dir(&packages).unwrap() {
        let source = package.unwrap().path().join("src");
        if source.is_dir() {
            sources(&source, &mut found);
        }
    }
    assert!(found.len() > 200, "{}", found.len());
    let mut wrong = Vec::new();
    for file in found {
        let name = file.strip_prefix(&packages).unwrap().to_string_lossy().into_owned();
        if name == "core/src/reading.rs" || name.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        for line in own_readers(&text) {
            if !OWN.iter().any(|(of, what)| name == *of && line.contains(what)) {
                wrong.push(format!("{name}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "use efm_core::reading, which has a bound:\n{}", wrong.join("\n"));
}

#[test]
fn a_reader_of_its_own_is_found() {
    for line in ["let a = std::fs::read(x)?;", "fs::read_to_string(&f)", "a.and_then(std::fs::read)", "  File::open(p)"]
    {
        assert_eq!(own_readers(line), [line]);
    }
    for line in
        ["// File::open(p)", "DbFile::open(p)", "reading::open(p, 1)", "#[cfg(test)]\nmod tests { std::fs::read(p) }"]
    {
        assert!(own_readers(line).is_empty(), "{line}");
    }
}
