//! JPEG and PNG bytes into an image, of whole files only: a picture with a part made up is worse than none.

use crate::formats::{MONO8, PixelFormat, RGB8, RGBA8};
use crate::jpeg::Checker;
use crate::view::{MAX_SIDE, shorten};
use crate::{ImageView, OTHER_PIXELS, VisionError};
use std::io::Cursor;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Most bytes that a compressed image may take when unpacked: 64 megapixels of colour.
const MAX_BYTES: u64 = 64 * 1024 * 1024 * 3;

/// Unpacks compressed images, reusing one pixel buffer.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    pixels: Vec<u8>,
    checker: Checker,
}

impl Decoder {
    /// With an empty buffer, which grows with the first image.
    pub fn new() -> Self {
        Self::default()
    }

    /// For the pictures of one camera, one after the other: what is known of the picture before tells more of a damaged JPEG.
    pub fn following() -> Self {
        Self { checker: Checker::following(), ..Self::default() }
    }

    /// From the fields of a `sensor_msgs/CompressedImage`. What is in `data` counts, not what `format` says, with one exception:
    /// `compressedDepth` is refused by name (its PNG holds 16-bit distances behind a private header).
    ///
    /// # Errors
    /// When the bytes are neither JPEG nor PNG, are damaged or not all there, larger than 64 megapixels, or hold 16-bit or CMYK pixels. A
    /// PNG has checksums; of a JPEG all is told that its codes tell.
    pub fn decode(&mut self, format: &str, data: &[u8]) -> Result<ImageView<'_>, VisionError> {
        let (format, width, height) = self.unpack(format, data, true)?;
        // Sides are checked already: no row is longer than an u32 can say.
        ImageView::with_format(format, width, height, format.row_bytes(width) as u32, &self.pixels)
    }

    /// Width and height in pixels of what [`Self::decode`] takes, in less time: a JPEG is read through, but makes no pixels.
    ///
    /// # Errors
    /// As there.
    pub fn check(&mut self, format: &str, data: &[u8]) -> Result<(u32, u32), VisionError> {
        self.unpack(format, data, false).map(|(_, width, height)| (width, height))
    }

    fn unpack(&mut self, format: &str, data: &[u8], pixels: bool) -> Result<Unpacked, VisionError> {
        let refuse = |reason: String| VisionError::Compressed { format: shorten(format), reason };
        if format.contains("compressedDepth") {
            return Err(refuse("it is a depth image".into()));
        }
        let read = if data.starts_with(&[0xff, 0xd8, 0xff]) {
            self.jpeg(data, pixels)
        } else if data.starts_with(b"\x89PNG\r\n\x1a\n") {
            self.png(data)
        } else {
            Err(KINDS.iter().find(|(begin, _)| data.starts_with(begin)).map_or_else(
                || format!("{} bytes of an unknown kind", data.len()),
                |(_, name)| format!("the bytes are {name}"),
            ))
        };
        read.map_err(|reason| refuse(reason.chars().take(200).collect()))
    }

    fn jpeg(&mut self, data: &[u8], pixels: bool) -> Result<Unpacked, String> {
        let side = MAX_SIDE as usize;
        let options = DecoderOptions::default().set_strict_mode(true).set_max_width(side).set_max_height(side);
        let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(data), options);
        decoder.decode_headers().map_err(|e| e.to_string())?;
        let (width, height) = decoder.dimensions().ok_or("it has no size")?;
        let (format, colours): (&'static dyn PixelFormat, _) = match decoder.input_colorspace() {
            Some(ColorSpace::Luma) => (&MONO8, ColorSpace::Luma),
            Some(ColorSpace::YCbCr | ColorSpace::RGB) => (&RGB8, ColorSpace::RGB),
            // Not CMYK: no camera sends it, and some of its subsamplings make the decoder panic, which would end the node.
            other => return Err(format!("{OTHER_PIXELS} {other:?}")),
        };
        decoder.set_options(options.jpeg_set_out_colorspace(colours));
        self.make_room(format, width as u32, height as u32)?;
        // The decoder itself fills up what is missing, and does not see what is left over.
        self.checker.check(data)?;
        if pixels {
            decoder.decode_into(&mut self.pixels).map_err(|e| e.to_string())?;
        }
        Ok((format, width as u32, height as u32))
    }

    fn png(&mut self, data: &[u8]) -> Result<Unpacked, String> {
        let limits = png::Limits { bytes: 2 * MAX_BYTES as usize };
        let mut decoder = png::Decoder::new_with_limits(Cursor::new(data), limits);
        decoder.set_ignore_text_chunk(true);
        // Palettes and few bits become bytes; sixteen bits stay, to be refused.
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
        let (width, height) = reader.info().size();
        let format: &'static dyn PixelFormat = match reader.output_color_type() {
            (png::ColorType::Grayscale, png::BitDepth::Eight) => &MONO8,
            (png::ColorType::Rgb, png::BitDepth::Eight) => &RGB8,
            (png::ColorType::Rgba, png::BitDepth::Eight) => &RGBA8,
            (colours, bits) => return Err(format!("{OTHER_PIXELS} {}-bit {colours:?}", bits as u8)),
        };
        self.make_room(format, width, height)?;
        reader.next_frame(&mut self.pixels).map_err(|e| e.to_string())?;
        // To the end mark, with the checksums on the way.
        reader.finish().map_err(|e| e.to_string())?;
        Ok((format, width, height))
    }

    /// For a picture; before anything is allocated its sides are checked.
    fn make_room(&mut self, format: &dyn PixelFormat, width: u32, height: u32) -> Result<(), String> {
        let bytes = format.row_bytes(width) * u64::from(height);
        if width > MAX_SIDE || height > MAX_SIDE || bytes > MAX_BYTES {
            return Err(format!("{width}x{height} pixels are too many"));
        }
        self.pixels.resize(bytes as usize, 0);
        Ok(())
    }
}

/// Format, width and height.
type Unpacked = (&'static dyn PixelFormat, u32, u32);

/// What else cameras and files have, told by its name.
const KINDS: [(&[u8], &str); 5] = [
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, RgbImage};
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
        assert_eq!((view.width(), view.height(), view.encoding()), (16, 8, "rgb8"));
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
        assert!(err.contains("16-bit Grayscale"), "{err}");
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
