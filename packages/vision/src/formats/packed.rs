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
    unread: |name| matches!(name, "8UC3" | "8UC4").then_some("the order of its channels is not known"),
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
}
