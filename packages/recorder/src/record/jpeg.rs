//! Pictures as JPEG, as image_transport's `compressed` has them.

use efm_bag::cdr::{CdrWriter, Decode, Encode};
use efm_bag::msgs::{CompressedImage, Header, ImageView};
use efm_vision::formats::{Formats, Pixel, PixelFormat};
use jpeg_encoder::{ColorType, Encoder};

/// Turns `sensor_msgs/msg/Image` into `sensor_msgs/msg/CompressedImage`.
#[derive(Debug)]
pub struct Jpeg {
    quality: u8,
    pixels: Vec<u8>,
    message: CompressedImage,
    cdr: CdrWriter,
}

/// How a JPEG encoder has the pixels of a format, where it has: others are turned into red, green and blue before.
fn layout(format: &dyn PixelFormat) -> Option<ColorType> {
    let Pixel { bytes, rgb } = format.pixel()?;
    match (bytes, rgb) {
        (1, [0, 0, 0]) => Some(ColorType::Luma),
        (3, [0, 1, 2]) => Some(ColorType::Rgb),
        (3, [2, 1, 0]) => Some(ColorType::Bgr),
        (4, [0, 1, 2]) => Some(ColorType::Rgba),
        (4, [2, 1, 0]) => Some(ColorType::Bgra),
        _ => None,
    }
}

impl Jpeg {
    /// With a quality from 1 to 100.
    pub fn new(quality: u8) -> Self {
        Self { quality, pixels: Vec::new(), message: CompressedImage::default(), cdr: CdrWriter::new() }
    }

    /// The message as `sensor_msgs/msg/CompressedImage`, both in CDR. `None` where it cannot be one: formats of more than 8 bits or that are not
    /// read (depth), what may be a mask, whose values a JPEG would blur, and what is no image; such messages are recorded as they are.
    pub fn compress(&mut self, cdr: &[u8]) -> Option<&[u8]> {
        let image = ImageView::from_cdr(cdr).ok()?;
        let format = Formats::new().get(image.encoding)?;
        if format.bits() > 8 || format.is_doubtful(image.encoding) {
            return None;
        }
        // A JPEG has at most 65,535 rows and columns.
        let (width, height) = (u16::try_from(image.width).ok()?, u16::try_from(image.height).ok()?);
        // More bytes than its rows take are what some drivers send.
        let bytes = usize::try_from(format.byte_rows(image.height).checked_mul(image.step.into())?).ok()?;
        let data = image.data.get(..bytes)?;
        let view = efm_vision::ImageView::with_format(format, image.width, image.height, image.step, data).ok()?;
        let row = usize::try_from(format.row_bytes(image.width)).ok()?;
        let (pixels, colours) = match layout(format) {
            Some(colours) if row == image.step as usize => (data, colours),
            Some(colours) => {
                self.pixels.clear();
                (0..image.height).for_each(|y| self.pixels.extend_from_slice(view.row(y)));
                (&self.pixels[..], colours)
            }
            None => {
                view.with_big_endian(image.is_bigendian != 0).to_rgb8(&mut self.pixels);
                (&self.pixels[..], ColorType::Rgb)
            }
        };
        self.message.data.clear();
        let encoder = Encoder::new(&mut self.message.data, self.quality);
        encoder.encode(pixels, width, height, colours).ok()?;
        self.message.header = Header::new(image.stamp, image.frame_id);
        // image_transport's words: the encoding of the source, then what decoders give.
        let compressed = match colours {
            ColorType::Luma => "jpeg compressed mono8",
            _ => "jpeg compressed bgr8",
        };
        self.message.format = format!("{}; {compressed}", image.encoding);
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
    fn pictures_of_every_format_of_eight_bits_are_compressed_as_what_they_show() {
        let (width, height) = (32u32, 16u32);
        for format in Formats::new().iter() {
            let encoding = format.names()[0];
            let step = u32::try_from(format.row_bytes(width)).unwrap() + 4;
            // The same byte everywhere: grey, or with YUV some colour, without an edge.
            let data = vec![150u8; step as usize * format.byte_rows(height) as usize];
            let image = ImageView {
                stamp: Stamp::default(),
                frame_id: "eye",
                height,
                width,
                encoding,
                is_bigendian: 0,
                step,
                data: &data,
            };
            let mut jpeg = Jpeg::new(95);
            let compressed = jpeg.compress(&image.to_cdr()).map(|cdr| CompressedImage::from_cdr(cdr).unwrap());
            assert_eq!(compressed.is_some(), format.bits() == 8, "{encoding}");
            let Some(message) = compressed else { continue };
            let found = image::load_from_memory(&message.data).unwrap().to_rgb8();
            let mut expected = Vec::new();
            efm_vision::ImageView::new(encoding, width, height, step, &data).unwrap().to_rgb8(&mut expected);
            let most = found.as_raw().iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(most <= 4 && found.dimensions() == (width, height), "{encoding}: {most}");
        }
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
        // The same bytes as mono8, but they may be a mask.
        let mask = ImageView { encoding: "8UC1", ..ImageView::rgb8(Stamp::default(), "eye", 2, 6, &[0; 12]) };
        assert!(jpeg.compress(&ImageView { step: 2, ..mask }.to_cdr()).is_none());
    }
}
