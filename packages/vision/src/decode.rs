//! JPEG and PNG bytes into an image.

use crate::view::{MAX_SIDE, shorten};
use crate::{Encoding, ImageView, VisionError};
use image::{ColorType, ImageDecoder, ImageFormat, Limits};
use std::io::Cursor;

/// Most bytes that a compressed image may take when unpacked: 64 megapixels of colour.
const MAX_BYTES: u64 = 64 * 1024 * 1024 * 3;

/// Unpacks compressed images, reusing one pixel buffer.
#[derive(Debug, Default)]
pub struct Decoder {
    pixels: Vec<u8>,
}

impl Decoder {
    /// With an empty buffer, which grows with the first image.
    pub fn new() -> Self {
        Self::default()
    }

    /// From the fields of a `sensor_msgs/CompressedImage`. What is in `data` counts, not what `format` says, with one exception:
    /// `compressedDepth` is refused by name (its PNG holds 16-bit distances behind a private header).
    ///
    /// # Errors
    /// When the bytes are neither JPEG nor PNG, are damaged, larger than 64 megapixels, or hold 16-bit or CMYK pixels.
    pub fn decode(&mut self, format: &str, data: &[u8]) -> Result<ImageView<'_>, VisionError> {
        let refuse = |reason: String| VisionError::Compressed { format: shorten(format), reason };
        if format.contains("compressedDepth") {
            return Err(refuse("it is a depth image".into()));
        }
        let cursor = Cursor::new(data);
        let read = match image::guess_format(data) {
            Ok(ImageFormat::Jpeg) => image::codecs::jpeg::JpegDecoder::new(cursor).map(|d| self.unpack(d)),
            Ok(ImageFormat::Png) => {
                image::codecs::png::PngDecoder::with_limits(cursor, limits()).map(|d| self.unpack(d))
            }
            Ok(other) => return Err(refuse(format!("the bytes are {}", other.to_mime_type()))),
            Err(_) => return Err(refuse(format!("{} bytes of an unknown kind", data.len()))),
        };
        let (encoding, width, height) =
            read.map_err(|e| refuse(shorten_error(&e)))?.map_err(|e| refuse(shorten_error(&e)))?;
        let step = width * encoding.bytes_per_pixel() as u32;
        ImageView::with_encoding(encoding, width, height, step, &self.pixels)
    }

    fn unpack(&mut self, mut decoder: impl ImageDecoder) -> Result<(Encoding, u32, u32), image::ImageError> {
        decoder.set_limits(limits())?;
        let (width, height) = decoder.dimensions();
        let unsupported = |what: String| {
            image::ImageError::Decoding(image::error::DecodingError::new(image::error::ImageFormatHint::Unknown, what))
        };
        let colour = decoder.color_type();
        let encoding = match colour {
            ColorType::L8 => Encoding::Mono8,
            ColorType::Rgb8 => Encoding::Rgb8,
            ColorType::Rgba8 => Encoding::Rgba8,
            other => return Err(unsupported(format!("its pixels are {other:?}"))),
        };
        let bytes = decoder.total_bytes();
        if bytes > MAX_BYTES {
            return Err(unsupported(format!("{width}x{height} pixels are too many")));
        }
        self.pixels.resize(bytes as usize, 0);
        decoder.read_image(&mut self.pixels)?;
        Ok((encoding, width, height))
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(2 * MAX_BYTES);
    limits
}

fn shorten_error(error: &image::ImageError) -> String {
    error.to_string().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use image::{DynamicImage, GrayImage, ImageBuffer, Luma, RgbImage};
    use proptest::prelude::*;

    fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn picture() -> RgbImage {
        RgbImage::from_fn(16, 8, |x, y| image::Rgb([16 * x as u8, 32 * y as u8, 128]))
    }

    #[test]
    fn png_comes_back_exactly_and_jpeg_nearly() {
        let picture = picture();
        let mut decoder = Decoder::new();
        let png = encode(picture.clone(), ImageFormat::Png);
        let view = decoder.decode("rgb8; png compressed rgb8", &png).unwrap();
        assert_eq!((view.width(), view.height(), view.encoding()), (16, 8, Encoding::Rgb8));
        assert_eq!(view.row(3), &picture.as_raw()[3 * 48..4 * 48]);

        let jpeg = encode(picture.clone(), ImageFormat::Jpeg);
        let view = decoder.decode("jpeg", &jpeg).unwrap();
        let sum: i64 = (0..8)
            .flat_map(|y| view.row(y).iter().zip(&picture.as_raw()[y as usize * 48..]).collect::<Vec<_>>())
            .map(|(a, b)| (i64::from(*a) - i64::from(*b)).abs())
            .sum();
        assert!(sum < 384 * 8, "mean difference {}", sum as f64 / 384.0);
    }

    #[test]
    fn a_grey_image_is_read_and_a_sixteen_bit_or_depth_one_refused() {
        let mut decoder = Decoder::new();
        let grey = encode(GrayImage::from_pixel(3, 2, Luma([7])), ImageFormat::Png);
        assert_eq!(decoder.decode("png", &grey).unwrap().row(1), [7, 7, 7]);
        let deep: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(3, 2, Luma([7000]));
        let err = decoder.decode("png", &encode(deep, ImageFormat::Png)).unwrap_err().to_string();
        assert!(err.contains("L16"), "{err}");
        let err = decoder.decode("16UC1; compressedDepth png", &grey).unwrap_err().to_string();
        assert!(err.contains("compressedDepth") && err.contains("depth image"), "{err}");
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(
            jpeg in any::<bool>(),
            cut in 0..2000usize,
            flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        ) {
            let mut bytes = encode(picture(), if jpeg { ImageFormat::Jpeg } else { ImageFormat::Png });
            for (at, to) in flips {
                let at = at.index(bytes.len());
                bytes[at] = to;
            }
            bytes.truncate(cut.max(1));
            let mut decoder = Decoder::new();
            if let Ok(view) = decoder.decode("", &bytes) {
                prop_assert!(view.width() <= MAX_SIDE && view.height() <= MAX_SIDE);
            }
        }
    }
}
