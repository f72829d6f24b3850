//! What the fuzzer of messages kept, played again: whatever bytes come, reading them ends in a message or an error.
#![allow(clippy::unwrap_used)]

#[path = "../../../fuzz/src/messages.rs"]
mod messages;

#[test]
fn messages() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/messages");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        messages::messages(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 10, "the corpus is gone");
}
