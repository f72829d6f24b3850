//! Brightness and two colour differences. Which matrix and which range they are in is not in the message: none is read.

use super::Kind;

pub(super) const KIND: Kind = Kind {
    formats: &[],
    unread: |name| {
        let yuv = ["yuv", "nv"].iter().any(|prefix| name.starts_with(prefix));
        yuv.then_some("YUV: let the camera driver or image_proc convert it")
    },
};
