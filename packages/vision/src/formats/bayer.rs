//! Raw sensor mosaics. How colours are made of one is a choice that the policy was trained with: none is read.

use super::Kind;

pub(super) const KIND: Kind = Kind {
    formats: &[],
    unread: |name| name.starts_with("bayer_").then_some("a raw sensor mosaic: run image_proc's debayer first"),
};
