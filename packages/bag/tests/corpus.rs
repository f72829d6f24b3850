//! What the fuzzers of messages and bags kept, played again: whatever bytes come, reading them ends in messages or an error.
#![allow(clippy::unwrap_used)]

#[path = "../../../fuzz/src/bags.rs"]
mod bags;
#[path = "../../../fuzz/src/messages.rs"]
mod messages;

fn play(target: &str, on: fn(&[u8])) {
    let folder = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        on(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 10, "the corpus of {target} is gone");
}

#[test]
fn messages() {
    play("messages", messages::messages);
}

#[test]
fn bags() {
    play("bags", bags::bags);
}
