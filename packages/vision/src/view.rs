//! An uncompressed image message, checked once and borrowed.

use crate::VisionError;
use std::fmt;

/// Longest side of an image that is accepted, in pixels. Keeps a corrupt header from asking for gigabytes.
pub const MAX_SIDE: u32 = 16_384;

/// How a pixel is laid out in bytes. Named as in ROS `sensor_msgs/image_encodings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Red, green, blue.
    Rgb8,
    /// Blue, green, red.
    Bgr8,
    /// Red, green, blue, alpha; alpha is ignored.
    Rgba8,
    /// Blue, green, red, alpha; alpha is ignored.
    Bgra8,
    /// One grey value, copied into all three channels.
    Mono8,
}

impl Encoding {
    /// By its ROS name (`8UC1` counts as `mono8`).
    ///
    /// # Errors
    /// When the encoding is not one of the five. Sixteen-bit images are refused: what their values mean (millimetres, counts of
    /// a 12-bit sensor) is not in the message, and a guess would feed the policy a wrong brightness.
    pub fn from_name(name: &str) -> Result<Self, VisionError> {
        let hint = match name {
            "rgb8" => return Ok(Self::Rgb8),
            "bgr8" => return Ok(Self::Bgr8),
            "rgba8" => return Ok(Self::Rgba8),
            "bgra8" => return Ok(Self::Bgra8),
            "mono8" | "8UC1" => return Ok(Self::Mono8),
            "mono16" | "16UC1" | "16SC1" => " (16-bit grey or depth: its brightness scale is not known)",
            "rgb16" | "bgr16" | "rgba16" | "bgra16" => " (16-bit colour)",
            "8UC3" | "8UC4" => " (the order of its channels is not known)",
            n if n.starts_with("bayer_") => " (a raw sensor mosaic: run image_proc's debayer first)",
            n if n.starts_with("yuv") || n.starts_with("nv") => {
                " (YUV: let the camera driver or image_proc convert it)"
            }
            n if n.starts_with("32F") || n.starts_with("64F") => " (floating point, probably depth)",
            _ => "",
        };
        Err(VisionError::Encoding { encoding: shorten(name), hint })
    }

    /// Bytes a pixel.
    pub const fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Mono8 => 1,
            Self::Rgb8 | Self::Bgr8 => 3,
            Self::Rgba8 | Self::Bgra8 => 4,
        }
    }

    /// Where red, green and blue lie in a pixel.
    pub(crate) const fn rgb_offsets(self) -> [usize; 3] {
        match self {
            Self::Mono8 => [0, 0, 0],
            Self::Rgb8 | Self::Rgba8 => [0, 1, 2],
            Self::Bgr8 | Self::Bgra8 => [2, 1, 0],
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rgb8 => "rgb8",
            Self::Bgr8 => "bgr8",
            Self::Rgba8 => "rgba8",
            Self::Bgra8 => "bgra8",
            Self::Mono8 => "mono8",
        })
    }
}

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
    encoding: Encoding,
    width: u32,
    height: u32,
    step: usize,
    data: &'a [u8],
}

impl<'a> ImageView<'a> {
    /// From the fields of a `sensor_msgs/Image`. `step` is the length of a row in bytes and may exceed the pixels' own bytes.
    /// (`is_bigendian` says nothing about 8-bit pixels, so it is not asked for.)
    ///
    /// # Errors
    /// When the encoding is not read, a side is zero or absurd, the step too small, or `data` is not exactly `height * step`
    /// bytes long.
    pub fn new(encoding: &str, width: u32, height: u32, step: u32, data: &'a [u8]) -> Result<Self, VisionError> {
        Self::with_encoding(Encoding::from_name(encoding)?, width, height, step, data)
    }

    /// [`Self::new`] with an encoding known already.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_encoding(
        encoding: Encoding,
        width: u32,
        height: u32,
        step: u32,
        data: &'a [u8],
    ) -> Result<Self, VisionError> {
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(VisionError::Sides { width, height });
        }
        let row = u64::from(width) * encoding.bytes_per_pixel() as u64;
        if u64::from(step) < row {
            return Err(VisionError::Step { step, width, encoding, expected: row });
        }
        let expected = u64::from(step) * u64::from(height);
        if data.len() as u64 != expected {
            return Err(VisionError::Bytes { found: data.len(), expected, height, step });
        }
        Ok(Self { encoding, width, height, step: step as usize, data })
    }

    /// An rgb8 image without row padding.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn rgb8(width: u32, height: u32, data: &'a [u8]) -> Result<Self, VisionError> {
        Self::with_encoding(Encoding::Rgb8, width, height, width.saturating_mul(3), data)
    }

    /// Of the pixels.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Pixels a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels of row `y` without padding. Panics when `y` is not below the height.
    pub fn row(&self, y: u32) -> &'a [u8] {
        let start = y as usize * self.step;
        &self.data[start..start + self.width as usize * self.encoding.bytes_per_pixel()]
    }

    /// Writes the picture as `[height x width x 3]` red, green and blue bytes without padding; what `out` held is gone.
    pub fn to_rgb8(&self, out: &mut Vec<u8>) {
        out.clear();
        out.reserve(self.width as usize * self.height as usize * 3);
        let [r, g, b] = self.encoding.rgb_offsets();
        for y in 0..self.height {
            if self.encoding == Encoding::Rgb8 {
                out.extend_from_slice(self.row(y));
            } else {
                let pixels = self.row(y).chunks_exact(self.encoding.bytes_per_pixel());
                out.extend(pixels.flat_map(|pixel| [pixel[r], pixel[g], pixel[b]]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_encoding_becomes_red_green_and_blue_without_the_padding_of_its_rows() {
        let mut rgb = vec![9; 40];
        for (encoding, row) in [
            ("rgb8", vec![1, 2, 3, 4, 5, 6, 0]),
            ("bgr8", vec![3, 2, 1, 6, 5, 4, 0]),
            ("rgba8", vec![1, 2, 3, 99, 4, 5, 6, 99, 0]),
            ("bgra8", vec![3, 2, 1, 99, 6, 5, 4, 99, 0]),
        ] {
            let data = [row.clone(), row.clone()].concat();
            ImageView::new(encoding, 2, 2, row.len() as u32, &data).unwrap().to_rgb8(&mut rgb);
            assert_eq!(rgb, [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6], "{encoding}");
        }
        ImageView::new("mono8", 2, 1, 2, &[7, 8]).unwrap().to_rgb8(&mut rgb);
        assert_eq!(rgb, [7, 7, 7, 8, 8, 8]);
    }

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
    fn sixteen_bit_and_unknown_encodings_are_refused_by_name() {
        for (name, part) in [("mono16", "16-bit grey"), ("16UC1", "depth"), ("bayer_rggb8", "debayer"), ("", "''")] {
            let err = ImageView::new(name, 1, 1, 8, &[0; 8]).unwrap_err().to_string();
            assert!(err.contains(&format!("'{name}'")) && err.contains(part), "{err}");
        }
        let err = ImageView::new(&"\n".repeat(1000), 1, 1, 8, &[0; 8]).unwrap_err().to_string();
        assert!(err.len() < 300 && !err.contains('\n'), "{err}");
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
            encoding in prop_oneof!["rgb8|bgr8|rgba8|bgra8|mono8|mono16", ".*"],
            width in prop_oneof![0..9u32, any::<u32>()],
            height in prop_oneof![0..9u32, any::<u32>()],
            step in prop_oneof![0..40u32, any::<u32>()],
            data in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            if let Ok(view) = ImageView::new(&encoding, width, height, step, &data) {
                for y in 0..height {
                    prop_assert_eq!(view.row(y).len(), width as usize * view.encoding().bytes_per_pixel());
                }
            }
        }
    }
}
