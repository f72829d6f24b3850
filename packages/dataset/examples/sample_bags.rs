//! Writes the two bags of the tests to a folder, for checks by other programs: `cargo run -p efm_dataset --example sample_bags -- FOLDER`.

#[path = "../tests/sample/mod.rs"]
mod sample;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::path::PathBuf::from(std::env::args().nth(1).ok_or("give a folder")?);
    sample::write(&folder.join("first"), sample::first());
    sample::write(&folder.join("second"), sample::second());
    Ok(())
}
