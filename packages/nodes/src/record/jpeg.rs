//! Pictures as JPEG, as image_transport's `compressed` has them.

use efm_bag::cdr::{CdrWriter, Decode, Encode};
use efm_bag::msgs::{CompressedImage, Header, ImageView};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

/// Turns `sensor_msgs/msg/Image` into `sensor_msgs/msg/CompressedImage`.
#[derive(Debug)]
pub struct Jpeg {
    quality: u8,
    pixels: Vec<u8>,
    message: CompressedImage,
    cdr: CdrWriter,
}

/// How the pixels of an encoding become those of a JPEG.
struct Layout {
    channels: usize,
    /// Where red, green and blue lie; none for grey.
    colours: Option<[usize; 3]>,
}

fn layout(encoding: &str) -> Option<Layout> {
    let (channels, colours) = match encoding {
        "rgb8" => (3, Some([0, 1, 2])),
        "bgr8" => (3, Some([2, 1, 0])),
        "rgba8" => (4, Some([0, 1, 2])),
        "bgra8" => (4, Some([2, 1, 0])),
        "mono8" => (1, None),
        _ => return None,
    };
    Some(Layout { channels, colours })
}

impl Jpeg {
    /// With a quality from 1 to 100.
    pub fn new(quality: u8) -> Self {
        Self { quality, pixels: Vec::new(), message: CompressedImage::default(), cdr: CdrWriter::new() }
    }

    /// The message as `sensor_msgs/msg/CompressedImage`, both in CDR. `None` where it cannot be one: other encodings (depth, Bayer), and what is
    /// no image; such messages are recorded as they are.
    pub fn compress(&mut self, cdr: &[u8]) -> Option<&[u8]> {
        let image = ImageView::from_cdr(cdr).ok()?;
        let layout = layout(image.encoding)?;
        let (width, height) = (usize::try_from(image.width).ok()?, usize::try_from(image.height).ok()?);
        let (step, row) = (usize::try_from(image.step).ok()?, width.checked_mul(layout.channels)?);
        if row == 0 || step < row || image.data.len() < step.checked_mul(height)? {
            return None;
        }
        self.pixels.clear();
        for line in image.data.chunks_exact(step).take(height) {
            match layout.colours {
                None | Some([0, 1, 2]) if layout.channels != 4 => self.pixels.extend_from_slice(&line[..row]),
                None => return None,
                Some([r, g, b]) => {
                    self.pixels.extend(line[..row].chunks_exact(layout.channels).flat_map(|p| [p[r], p[g], p[b]]))
                }
            }
        }
        let colour = if layout.colours.is_some() { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
        self.message.data.clear();
        JpegEncoder::new_with_quality(&mut self.message.data, self.quality)
            .encode(&self.pixels, image.width, image.height, colour)
            .ok()?;
        self.message.header = Header::new(image.stamp, image.frame_id);
        // image_transport's words: the encoding of the source, then what decoders give.
        self.message.format = match layout.colours {
            Some(_) => format!("{}; jpeg compressed bgr8", image.encoding),
            None => "mono8; jpeg compressed mono8".to_owned(),
        };
        self.cdr.restart();
        self.message.encode(&mut self.cdr);
        Some(self.cdr.bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_core::Stamp;

    /// Red on the left, blue on the right.
    fn picture(encoding: &str, padding: u32) -> Vec<u8> {
        let (width, height) = (32u32, 16u32);
        let pixel = |left: bool| match (encoding, left) {
            ("rgb8", true) | ("bgr8", false) => vec![255, 0, 0],
            ("rgb8", false) | ("bgr8", true) => vec![0, 0, 255],
            ("rgba8", true) | ("bgra8", false) => vec![255, 0, 0, 9],
            ("rgba8", false) | ("bgra8", true) => vec![0, 0, 255, 9],
            ("mono8", left) => vec![if left { 200 } else { 20 }],
            (other, _) => panic!("{other}"),
        };
        let row: Vec<u8> = (0..width).flat_map(|x| pixel(x < width / 2)).chain((0..padding).map(|_| 99)).collect();
        let step = u32::try_from(row.len()).unwrap();
        let data = row.repeat(height as usize);
        let stamp = Stamp::from_nanos(77);
        ImageView { stamp, frame_id: "eye", height, width, encoding, is_bigendian: 0, step, data: &data }.to_cdr()
    }

    #[test]
    fn colours_stamp_and_frame_survive_in_every_encoding() {
        for encoding in ["rgb8", "bgr8", "rgba8", "bgra8"] {
            let mut jpeg = Jpeg::new(90);
            let message = CompressedImage::from_cdr(jpeg.compress(&picture(encoding, 5)).unwrap()).unwrap();
            assert_eq!(message.header, Header::new(Stamp::from_nanos(77), "eye"));
            assert_eq!(message.format, format!("{encoding}; jpeg compressed bgr8"));
            let image = image::load_from_memory(&message.data).unwrap().to_rgb8();
            assert_eq!(image.dimensions(), (32, 16));
            let (left, right) = (image.get_pixel(3, 8).0, image.get_pixel(28, 8).0);
            assert!(left[0] > 220 && left[2] < 35 && right[2] > 220 && right[0] < 35, "{encoding}: {left:?} {right:?}");
        }
    }

    #[test]
    fn grey_pictures_stay_grey() {
        let mut jpeg = Jpeg::new(90);
        let message = CompressedImage::from_cdr(jpeg.compress(&picture("mono8", 0)).unwrap()).unwrap();
        let image = image::load_from_memory(&message.data).unwrap().to_luma8();
        assert!(image.get_pixel(3, 8).0[0].abs_diff(200) < 8 && image.get_pixel(28, 8).0[0].abs_diff(20) < 8);
    }

    #[test]
    fn what_is_no_picture_for_a_jpeg_is_left_alone() {
        let mut jpeg = Jpeg::new(90);
        let depth =
            ImageView { encoding: "16UC1", ..ImageView::rgb8(Stamp::default(), "eye", 2, 2, &[0; 12]) }.to_cdr();
        assert!(jpeg.compress(&depth).is_none());
        let short = ImageView { height: 3, ..ImageView::rgb8(Stamp::default(), "eye", 2, 2, &[0; 12]) }.to_cdr();
        assert!(jpeg.compress(&short).is_none());
        assert!(jpeg.compress(b"none").is_none());
    }
}
