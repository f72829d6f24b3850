//! What the fuzzer of manifests began with and kept, played again: whatever bytes come, reading them ends in a manifest that can be relied on or in an
//! error.
#![allow(clippy::unwrap_used)]

#[path = "../../../fuzz/src/packages.rs"]
mod packages;

#[test]
fn manifests() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/manifest");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        packages::manifest(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 5, "the corpus is gone");
}
