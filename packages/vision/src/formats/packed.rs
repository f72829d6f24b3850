//! Pixels that lie side by side, with a byte for each of their channels.

use super::{Kind, Pixel, PixelFormat};
use crate::ImageView;
use std::ops::Range;

/// A format of such pixels.
#[derive(Debug)]
pub struct Packed {
    names: &'static [&'static str],
    pixel: Pixel,
}

const fn packed(names: &'static [&'static str], bytes: usize, rgb: [usize; 3]) -> Packed {
    Packed { names, pixel: Pixel { bytes, rgb } }
}

/// Red, green, blue.
pub static RGB8: Packed = packed(&["rgb8"], 3, [0, 1, 2]);
/// Blue, green, red.
static BGR8: Packed = packed(&["bgr8"], 3, [2, 1, 0]);
/// Red, green, blue, alpha; alpha is ignored.
pub static RGBA8: Packed = packed(&["rgba8"], 4, [0, 1, 2]);
/// Blue, green, red, alpha; alpha is ignored.
static BGRA8: Packed = packed(&["bgra8"], 4, [2, 1, 0]);
/// One grey value for all three channels.
pub static MONO8: Packed = packed(&["mono8", "8UC1"], 1, [0, 0, 0]);

pub(super) const KIND: Kind = Kind {
    formats: &[&RGB8, &BGR8, &RGBA8, &BGRA8, &MONO8],
    unread: |name| match name {
        "8UC2" => Some("what its two bytes a pixel are is not known"),
        "8UC3" | "8UC4" => Some("the order of its channels is not known"),
        _ => None,
    },
    may_be: |name| match name {
        "8UC1" => &["mono8", "bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"],
        "8UC3" => &["bgr8", "rgb8"],
        "8UC4" => &["bgra8", "rgba8"],
        _ => &[],
    },
};

impl PixelFormat for Packed {
    fn names(&self) -> &'static [&'static str] {
        self.names
    }

    fn row_bytes(&self, width: u32) -> u64 {
        u64::from(width) * self.pixel.bytes as u64
    }

    fn rgb_rows(&self, image: &ImageView<'_>, rows: Range<u32>, out: &mut [u8]) {
        let Pixel { bytes, rgb: [r, g, b] } = self.pixel;
        for (y, out) in rows.zip(out.chunks_exact_mut(image.width() as usize * 3)) {
            let row = image.row(y);
            if self.pixel == RGB8.pixel {
                out.copy_from_slice(row);
                continue;
            }
            for (out, pixel) in out.as_chunks_mut::<3>().0.iter_mut().zip(row.chunks_exact(bytes)) {
                *out = [pixel[r], pixel[g], pixel[b]];
            }
        }
    }

    fn pixel(&self) -> Option<Pixel> {
        Some(self.pixel)
    }

    fn is_doubtful(&self, name: &str) -> bool {
        // A mask, or the numbers of objects.
        name == "8UC1"
    }
}
