//! Tells the program what it was compiled with: counted instructions mean nothing without that.

use std::env::var;
use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let version = Command::new(var("RUSTC")?).arg("--version").output()?;
    println!("cargo::rustc-env=EFM_BENCH_RUSTC={}", String::from_utf8(version.stdout)?.trim());
    let (profile, level) = (var("PROFILE")?, var("OPT_LEVEL")?);
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().replace('\u{1f}', " ");
    println!("cargo::rustc-env=EFM_BENCH_PROFILE={}", format!("{profile}, opt-level {level} {flags}").trim());
    Ok(())
}
