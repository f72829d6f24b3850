//! An uncompressed image message, checked once and borrowed.

use crate::VisionError;
use crate::formats::{Formats, Pixel, PixelFormat, RGB8};

/// Longest side of an image that is accepted, in pixels. Keeps a corrupt header from asking for gigabytes.
pub const MAX_SIDE: u32 = 16_384;

/// At most 40 characters of a text from outside, control characters escaped: fit for a log line.
pub(crate) fn shorten(text: &str) -> String {
    let mut out: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        out.push_str("...");
    }
    out
}

/// A borrowed image whose fields agree with each other. Rows may be padded.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    format: &'static dyn PixelFormat,
    width: u32,
    height: u32,
    step: usize,
    big_endian: bool,
    data: &'a [u8],
}

impl Formats {
    /// An image of one of these formats, from the fields of a `sensor_msgs/Image`. `step` is the length of a row in bytes and may exceed
    /// the pixels' own bytes.
    ///
    /// # Errors
    /// When the encoding is not read, a side is zero, absurd or none that the encoding can have, the step too small, or `data` is not
    /// exactly as many bytes long as its rows of `step` bytes.
    pub fn image<'a>(
        &self,
        encoding: &str,
        width: u32,
        height: u32,
        step: u32,
        data: &'a [u8],
    ) -> Result<ImageView<'a>, VisionError> {
        ImageView::with_format(self.find(encoding)?, width, height, step, data)
    }
}

impl<'a> ImageView<'a> {
    /// [`Formats::image`] of the formats of this crate.
    ///
    /// # Errors
    /// As there.
    pub fn new(encoding: &str, width: u32, height: u32, step: u32, data: &'a [u8]) -> Result<Self, VisionError> {
        Formats::new().image(encoding, width, height, step, data)
    }

    /// [`Formats::image`] with a format known already.
    ///
    /// # Errors
    /// As there.
    pub fn with_format(
        format: &'static dyn PixelFormat,
        width: u32,
        height: u32,
        step: u32,
        data: &'a [u8],
    ) -> Result<Self, VisionError> {
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(VisionError::Sides { width, height });
        }
        let encoding = name(format);
        format.check(width, height).map_err(|expected| VisionError::Shape { width, height, encoding, expected })?;
        let row = format.row_bytes(width);
        if u64::from(step) < row {
            return Err(VisionError::Step { step, width, encoding, expected: row });
        }
        let rows = format.byte_rows(height);
        let expected = u64::from(step) * rows;
        if data.len() as u64 != expected {
            return Err(VisionError::Bytes { found: data.len(), expected, rows, step });
        }
        Ok(Self { format, width, height, step: step as usize, big_endian: false, data })
    }

    /// An rgb8 image without row padding.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn rgb8(width: u32, height: u32, data: &'a [u8]) -> Result<Self, VisionError> {
        Self::with_format(&RGB8, width, height, width.saturating_mul(3), data)
    }

    /// With the message's `is_bigendian`, which says nothing about pixels of bytes; without it numbers begin with their low byte.
    #[must_use]
    pub fn with_big_endian(self, big_endian: bool) -> Self {
        Self { big_endian, ..self }
    }

    /// Whether numbers of several bytes begin with the high one.
    pub fn big_endian(&self) -> bool {
        self.big_endian
    }

    /// How its pixels lie in its bytes.
    pub fn format(&self) -> &'static dyn PixelFormat {
        self.format
    }

    /// The first name of its format.
    pub fn encoding(&self) -> &'static str {
        name(self.format)
    }

    /// [`PixelFormat::pixel`] of its format.
    pub fn pixel(&self) -> Option<Pixel> {
        self.format.pixel()
    }

    /// Pixels a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes of row `y` without padding. Panics when `y` is not below the format's rows of bytes.
    pub fn row(&self, y: u32) -> &'a [u8] {
        let start = y as usize * self.step;
        &self.data[start..start + self.format.row_bytes(self.width) as usize]
    }

    /// Writes the picture as `[height x width x 3]` red, green and blue bytes without padding; what `out` held is gone.
    pub fn to_rgb8(&self, out: &mut Vec<u8>) {
        out.resize(self.height as usize * self.width as usize * 3, 0);
        self.format.rgb_rows(self, 0..self.height, out);
    }
}

/// What a format is called.
fn name(format: &'static dyn PixelFormat) -> &'static str {
    format.names().first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wrong_size_names_what_was_expected() {
        let err = ImageView::new("rgb8", 4, 2, 12, &[0; 23]).unwrap_err().to_string();
        assert!(err.contains("23 bytes, expected 24"), "{err}");
        let err = ImageView::new("rgba8", 4, 2, 12, &[0; 24]).unwrap_err().to_string();
        assert!(err.contains("step is 12") && err.contains("at least 16"), "{err}");
        assert_eq!(ImageView::new("rgb8", 0, 2, 12, &[]).unwrap_err(), VisionError::Sides { width: 0, height: 2 });
        assert!(ImageView::new("mono8", u32::MAX, u32::MAX, u32::MAX, &[]).is_err());
    }

    #[test]
    fn row_padding_is_skipped() {
        let data = [1, 2, 3, 99, 4, 5, 6, 99];
        let view = ImageView::new("rgb8", 1, 2, 4, &data).unwrap();
        assert_eq!((view.row(0), view.row(1)), (&[1, 2, 3][..], &[4, 5, 6][..]));
    }

    proptest! {
        #[test]
        fn malformed_fields_never_panic_and_accepted_ones_have_all_rows(
            encoding in prop_oneof!["rgb8|bgr8|rgba8|bgra8|mono8|mono16|mono12|uyvy|yuyv|nv12|nv21|bayer_(rggb|bggr|gbrg|grbg)(8|16)", ".*"],
            width in prop_oneof![0..9u32, any::<u32>()],
            height in prop_oneof![0..9u32, any::<u32>()],
            step in prop_oneof![0..40u32, any::<u32>()],
            data in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            if let Ok(view) = ImageView::new(&encoding, width, height, step, &data) {
                for y in 0..view.format().byte_rows(height) {
                    prop_assert_eq!(view.row(y as u32).len() as u64, view.format().row_bytes(width));
                }
                let mut rgb = Vec::new();
                view.to_rgb8(&mut rgb);
                prop_assert_eq!(rgb.len(), (width * height * 3) as usize);
            }
        }
    }
}
