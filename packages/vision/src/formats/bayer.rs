//! Raw sensor mosaics, of 8 and 16 bits. Colours are made bilinearly: what a pixel has not is the mean of its two or four neighbours that have
//! it, half up; a pixel of the edge is as its neighbour inside. This is OpenCV's `COLOR_Bayer..2RGB` to the bit, and so cv_bridge's. image_proc's
//! debayer node makes them otherwise unless its parameter `debayer` is 0 (its default, 3, is VNG): at edges of objects that is some grey levels.
//!
//! Sixteen bits are read over their whole range, after the colours were made.

use super::sixteen_bit::{to_byte, word};
use super::{Kind, PixelFormat};
use crate::ImageView;
use std::ops::Range;

/// A mosaic.
#[derive(Debug)]
pub struct Bayer {
    names: &'static [&'static str],
    /// Bytes of a value.
    bytes: usize,
    /// Column and row of a red one among each two by two; blue is diagonally opposite.
    red: (u32, u32),
}

const fn bayer(names: &'static [&'static str], bytes: usize, red: (u32, u32)) -> Bayer {
    Bayer { names, bytes, red }
}

static RGGB8: Bayer = bayer(&["bayer_rggb8"], 1, (0, 0));
static BGGR8: Bayer = bayer(&["bayer_bggr8"], 1, (1, 1));
static GBRG8: Bayer = bayer(&["bayer_gbrg8"], 1, (0, 1));
static GRBG8: Bayer = bayer(&["bayer_grbg8"], 1, (1, 0));
static RGGB16: Bayer = bayer(&["bayer_rggb16"], 2, (0, 0));
static BGGR16: Bayer = bayer(&["bayer_bggr16"], 2, (1, 1));
static GBRG16: Bayer = bayer(&["bayer_gbrg16"], 2, (0, 1));
static GRBG16: Bayer = bayer(&["bayer_grbg16"], 2, (1, 0));

pub(super) const KIND: Kind = Kind {
    formats: &[&RGGB8, &BGGR8, &GBRG8, &GRBG8, &RGGB16, &BGGR16, &GBRG16, &GRBG16],
    unread: |name| {
        name.starts_with("bayer_").then_some("a raw sensor mosaic of another kind: run image_proc's debayer first")
    },
    may_be: |_| &[],
};

impl Bayer {
    /// One row, from it and its neighbours.
    #[inline(always)]
    fn row(
        &self,
        y: u32,
        [above, here, below]: [&[u8]; 3],
        out: &mut [u8],
        value: impl Fn(&[u8], usize) -> u32,
        byte: impl Fn(u32) -> u8,
    ) {
        let out = out.as_chunks_mut::<3>().0;
        let last = out.len() - 1;
        // Whether this row has red ones; else it has blue ones.
        let of_red = y & 1 == self.red.1;
        let coloured = (if of_red { self.red.0 } else { self.red.0 ^ 1 }) as usize;
        for (x, out) in (1..last).zip(&mut out[1..]) {
            let beside = value(here, x - 1) + value(here, x + 1);
            let over = value(above, x) + value(below, x);
            let own = value(here, x);
            // The row's own colour, green, and the other row's.
            let (own, green, other) = if x & 1 == coloured {
                let corners = value(above, x - 1) + value(above, x + 1) + value(below, x - 1) + value(below, x + 1);
                (own, (beside + over + 2) >> 2, (corners + 2) >> 2)
            } else {
                ((beside + 1) >> 1, own, (over + 1) >> 1)
            };
            let (red, blue) = if of_red { (own, other) } else { (other, own) };
            *out = [red, green, blue].map(&byte);
        }
        out[0] = out[1];
        out[last] = out[last - 1];
    }
}

impl PixelFormat for Bayer {
    fn names(&self) -> &'static [&'static str] {
        self.names
    }

    fn row_bytes(&self, width: u32) -> u64 {
        u64::from(width) * self.bytes as u64
    }

    fn check(&self, width: u32, height: u32) -> Result<(), &'static str> {
        if width > 2 && height > 2 { Ok(()) } else { Err("a mosaic has at least 3x3 pixels") }
    }

    fn rgb_rows(&self, image: &ImageView<'_>, rows: Range<u32>, out: &mut [u8]) {
        for (y, out) in rows.zip(out.chunks_exact_mut(image.width() as usize * 3)) {
            let y = y.clamp(1, image.height() - 2);
            let three = [image.row(y - 1), image.row(y), image.row(y + 1)];
            let pair = |row: &[u8], x: usize| [row[2 * x], row[2 * x + 1]];
            match (self.bytes, image.big_endian()) {
                (1, _) => self.row(y, three, out, |row, x| row[x].into(), |value| value as u8),
                (_, false) => {
                    self.row(y, three, out, |row, x| word(pair(row, x), false).into(), |v| to_byte(v, 65_535));
                }
                (_, true) => {
                    self.row(y, three, out, |row, x| word(pair(row, x), true).into(), |v| to_byte(v, 65_535));
                }
            }
        }
    }

    fn bits(&self) -> u32 {
        8 * self.bytes as u32
    }
}
