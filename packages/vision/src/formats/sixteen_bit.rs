//! Sixteen bits a channel. What the values mean (millimetres, counts of a 12-bit sensor) is often not in the message, and a guess would feed
//! the policy a wrong brightness: grey by its name is read over its whole range, as cv_bridge does (`v * 255 / 65535`), and over that of a
//! sensor of fewer bits where somebody says so; a camera's pictures are passed on only where somebody says so ([`super::Formats::read_as`]).

use super::{Kind, PixelFormat};
use crate::ImageView;
use std::ops::Range;

/// Grey in the low bits of two bytes.
#[derive(Debug)]
pub struct Grey {
    names: &'static [&'static str],
    /// The value that is white.
    white: u16,
}

const fn grey(names: &'static [&'static str], bits: u32) -> Grey {
    Grey { names, white: (u16::MAX as u32 >> (16 - bits)) as u16 }
}

static MONO16: Grey = grey(&["mono16"], 16);
static MONO14: Grey = grey(&["mono14"], 14);
static MONO12: Grey = grey(&["mono12"], 12);
static MONO10: Grey = grey(&["mono10"], 10);

pub(super) const KIND: Kind = Kind {
    formats: &[&MONO16, &MONO14, &MONO12, &MONO10],
    unread: |name| match name {
        "16UC1" => {
            Some("16-bit grey, a sensor's mosaic or depth: which of them it is, and its brightness scale, is not known")
        }
        "16SC1" => Some("numbers with a sign, most often depth"),
        "rgb16" | "bgr16" | "rgba16" | "bgra16" => Some("16-bit colour: let the camera's driver send 8 bits"),
        _ => None,
    },
    may_be: |name| match name {
        "16UC1" => {
            &["mono16", "mono14", "mono12", "mono10", "bayer_rggb16", "bayer_bggr16", "bayer_gbrg16", "bayer_grbg16"]
        }
        "mono16" => &["mono16", "mono14", "mono12", "mono10"],
        _ => &[],
    },
};

/// Of two bytes.
pub(super) fn word(pair: [u8; 2], big_endian: bool) -> u16 {
    if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
}

/// To a byte, where `white` is 255; half up.
pub(super) fn to_byte(value: u32, white: u32) -> u8 {
    ((value.min(white) * 255 + white / 2) / white) as u8
}

impl PixelFormat for Grey {
    fn names(&self) -> &'static [&'static str] {
        self.names
    }

    fn row_bytes(&self, width: u32) -> u64 {
        u64::from(width) * 2
    }

    fn rgb_rows(&self, image: &ImageView<'_>, rows: Range<u32>, out: &mut [u8]) {
        let (white, big) = (u32::from(self.white), image.big_endian());
        let pairs = rows.flat_map(|y| image.row(y).as_chunks::<2>().0);
        for (out, pair) in out.as_chunks_mut::<3>().0.iter_mut().zip(pairs) {
            *out = [to_byte(word(*pair, big).into(), white); 3];
        }
    }

    fn is_grey(&self) -> bool {
        true
    }

    fn bits(&self) -> u32 {
        16 - self.white.leading_zeros()
    }
}
