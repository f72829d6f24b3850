//! Sixteen bits a channel. What the values mean (millimetres, counts of a 12-bit sensor) is not in the message, and a guess would feed the
//! policy a wrong brightness: none is read.

use super::Kind;

pub(super) const KIND: Kind = Kind {
    formats: &[],
    unread: |name| match name {
        "mono16" | "16UC1" | "16SC1" => Some("16-bit grey or depth: its brightness scale is not known"),
        "rgb16" | "bgr16" | "rgba16" | "bgra16" => Some("16-bit colour"),
        _ => None,
    },
};
