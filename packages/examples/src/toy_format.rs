//! A pixel format: `gray4`, two pixels a byte, the left one in the high half. It is let in by [`Formats::with`]:
//!
//! ```
//! use efm_examples::toy_format::GRAY4;
//! use efm_vision::Formats;
//!
//! let formats = Formats::new().with(&GRAY4)?;
//! let picture = formats.image("gray4", 3, 1, 2, &[0x0f, 0x70])?;
//! let mut rgb = Vec::new();
//! picture.to_rgb8(&mut rgb);
//! assert_eq!(rgb, [0, 0, 0, 255, 255, 255, 119, 119, 119]);
//! # Ok::<(), efm_vision::VisionError>(())
//! ```
//!
//! [`Formats::with`]: efm_vision::Formats::with

use efm_vision::{ImageView, PixelFormat};
use std::ops::Range;

/// Grey of 4 bits.
#[derive(Debug)]
pub struct Gray4;

/// What is added.
pub static GRAY4: Gray4 = Gray4;

impl PixelFormat for Gray4 {
    fn names(&self) -> &'static [&'static str] {
        &["gray4"]
    }

    fn row_bytes(&self, width: u32) -> u64 {
        u64::from(width.div_ceil(2))
    }

    fn rgb_rows(&self, image: &ImageView<'_>, rows: Range<u32>, out: &mut [u8]) {
        let width = image.width() as usize;
        for (y, out) in rows.zip(out.chunks_exact_mut(width * 3)) {
            let row = image.row(y);
            for (x, rgb) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let half = if x % 2 == 0 { row[x / 2] >> 4 } else { row[x / 2] & 0xf };
                // 0 to 15 become 0 to 255.
                *rgb = [half * 17; 3];
            }
        }
    }
}
