//! x
use crate::report::Document;
use crate::strip::Strip;
/// x
pub fn html(_: &Document, _: &[Strip]) -> String {
    String::new()
}
