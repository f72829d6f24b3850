//! Numbers with a fraction, most often distances. None is a picture.

use super::Kind;

pub(super) const KIND: Kind = Kind {
    formats: &[],
    unread: |name| {
        let floating = ["32F", "64F"].iter().any(|prefix| name.starts_with(prefix));
        floating.then_some("floating point, probably depth")
    },
    may_be: |_| &[],
};
