//! What comes from outside, as bytes. Each target is a function of bytes that must not panic; libFuzzer looks for bytes that make it (`./efm fuzz`), and
//! `cargo test` plays the kept corpus again.

pub mod bags;
pub mod descriptions;
pub mod messages;
pub mod packages;
pub mod streams;
