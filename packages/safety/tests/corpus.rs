//! What the fuzzers of `fuzz/` kept, played again: nothing of it makes the readers of descriptions or the filter panic.
#![allow(clippy::unwrap_used)]

#[path = "../../../fuzz/src/descriptions.rs"]
mod descriptions;
#[path = "../../../fuzz/src/streams.rs"]
mod streams;

fn play(target: &str, run: fn(&[u8])) {
    let folder = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        run(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 10, "the corpus of {target} is gone");
}

#[test]
fn robot_descriptions() {
    play("urdf", descriptions::urdf);
}

#[test]
fn semantic_descriptions() {
    play("srdf", descriptions::srdf);
}

#[test]
fn limits_files() {
    play("limits", descriptions::limits);
}

#[test]
fn obstacle_files() {
    play("obstacles", descriptions::obstacles);
}

#[test]
fn chunks() {
    play("chunks", streams::chunks);
}

#[test]
fn clocks_and_joint_states() {
    play("clock", streams::clock);
}
