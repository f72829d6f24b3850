//! From an image message to the bytes that a data set stores.

use crate::lerobot::Picture;
use efm_bag::msgs::{CompressedImage, Image, ImageView};
use efm_bag::{BagMessage, RosType};
use image::ImageEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};

/// Makes [`Picture`]s. Colour JPEG is stored as it came; all else as PNG, so that nothing is lost in either case.
#[derive(Debug, Default)]
pub struct PictureMaker {
    decoder: efm_vision::Decoder,
}

impl PictureMaker {
    /// From a message.
    ///
    /// # Errors
    /// In words, when it is no picture of this size (width and height in pixels).
    pub fn make(&mut self, message: &BagMessage, size: (u32, u32)) -> Result<Picture, String> {
        let mut rgb = Vec::new();
        if message.type_name() == Image::TYPE {
            let raw = message.decode::<ImageView>().map_err(|e| e.to_string())?;
            let view = efm_vision::ImageView::new(raw.encoding, raw.width, raw.height, raw.step, raw.data)
                .map_err(|e| e.to_string())?
                .with_big_endian(raw.is_bigendian != 0);
            check_size(&view, size)?;
            view.to_rgb8(&mut rgb);
        } else {
            let compressed = message.decode::<CompressedImage>().map_err(|e| e.to_string())?;
            let view = self.decoder.decode(&compressed.format, &compressed.data).map_err(|e| e.to_string())?;
            check_size(&view, size)?;
            view.to_rgb8(&mut rgb);
            let colour = !view.format().is_grey();
            if colour && is_plain_jpeg(&compressed.data) {
                return Ok(Picture { file: compressed.data.into(), rgb });
            }
        }
        Ok(Picture { file: png(&rgb, size)?.into(), rgb })
    }
}

fn check_size(view: &efm_vision::ImageView, (width, height): (u32, u32)) -> Result<(), String> {
    let found = (view.width(), view.height());
    (found == (width, height)).then_some(()).ok_or_else(|| {
        format!(
            "a picture has {}x{} pixels, those before it {width}x{height}; all of a camera must be of one size",
            found.0, found.1
        )
    })
}

/// JPEG without Exif data: those may ask for a rotation, which Hugging Face's reader obeys and ours does not.
fn is_plain_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8]) && !bytes.windows(6).any(|part| part == b"Exif\0\0")
}

fn png(rgb: &[u8], (width, height): (u32, u32)) -> Result<Vec<u8>, String> {
    let mut file = Vec::new();
    PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Adaptive)
        .write_image(rgb, width, height, image::ExtendedColorType::Rgb8)
        .map_err(|e| format!("it cannot be written as PNG: {e}"))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_png_gives_back_every_pixel() {
        let rgb: Vec<u8> = (0..7 * 5 * 3).map(|i| (i * 37 % 251) as u8).collect();
        let file = png(&rgb, (7, 5)).unwrap();
        assert_eq!(image::load_from_memory(&file).unwrap().into_rgb8().into_raw(), rgb);
    }

    #[test]
    fn a_jpeg_that_may_ask_for_a_rotation_is_not_taken_as_it_is() {
        assert!(is_plain_jpeg(&[0xff, 0xd8, 0xff, 0xe0, 0, 16]));
        assert!(!is_plain_jpeg(b"\xff\xd8\xff\xe1\x00\x20Exif\x00\x00II"));
        assert!(!is_plain_jpeg(b"\x89PNG"));
    }
}
