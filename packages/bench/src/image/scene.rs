//! Pictures to measure with.

use crate::rng::Rng;
use anyhow::{Context, Result};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// Quality of the JPEGs, with colour at half the resolution each way: what most cameras and image_transport send.
pub const QUALITY: u8 = 90;

/// What a message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// sensor_msgs/Image.
    Rgb8,
    /// sensor_msgs/Image.
    Bgr8,
    /// sensor_msgs/CompressedImage.
    Jpeg,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 3] = [Self::Rgb8, Self::Bgr8, Self::Jpeg];

    /// As in a message; also as the rivals know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rgb8 => "rgb8",
            Self::Bgr8 => "bgr8",
            Self::Jpeg => "jpeg",
        }
    }
}

/// A scene as rgb8 (`width * height * 3` bytes): a lit background, wavy textures, boxes with hard edges, and the noise of a sensor.
pub fn rgb8(width: u32, height: u32, seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let (w, h) = (f64::from(width), f64::from(height));
    let waves: Vec<[f64; 4]> = (0..3)
        .map(|_| {
            [rng.between(5.0, 60.0) / w, rng.between(5.0, 60.0) / h, rng.between(0.0, 6.0), rng.between(5.0, 20.0)]
        })
        .collect();
    let boxes: Vec<([f64; 4], [f64; 3])> = (0..40)
        .map(|_| {
            let (x, y) = (rng.between(-0.1, 1.0) * w, rng.between(-0.1, 1.0) * h);
            let place = [x, y, x + rng.between(0.02, 0.2) * w, y + rng.between(0.02, 0.2) * h];
            (place, [rng.between(0.0, 255.0), rng.between(0.0, 255.0), rng.between(0.0, 255.0)])
        })
        .collect();
    let mut out = Vec::with_capacity(width as usize * height as usize * 3);
    for y in (0..height).map(f64::from) {
        for x in (0..width).map(f64::from) {
            let light = 60.0 + 120.0 * (x / w) * (1.0 - 0.5 * y / h);
            let mut pixel = [light, light * 0.9, light * 0.8];
            if let Some((_, colour)) = boxes.iter().rfind(|([l, t, r, b], _)| x >= *l && x < *r && y >= *t && y < *b) {
                pixel = colour.map(|c| 0.7 * c + 0.3 * light);
            }
            let wave: f64 =
                waves.iter().map(|[fx, fy, phase, size]| size * (6.3 * (fx * x + fy * y) + phase).sin()).sum();
            let noise = rng.bits();
            out.extend(pixel.iter().enumerate().map(|(c, value)| {
                // The sum of two dice, about -3.5 to 3.5.
                let dice = [noise >> (16 * c), noise >> (16 * c + 8)].map(|bits| (bits & 0xff) as f64 / 73.0);
                (value + wave + dice[0] - dice[1]) as u8
            }));
        }
    }
    out
}

/// The bytes of a message's data that shows an rgb8 picture.
///
/// # Errors
/// When there is no such JPEG.
pub fn message(kind: Kind, width: u32, height: u32, rgb: &[u8]) -> Result<Vec<u8>> {
    Ok(match kind {
        Kind::Rgb8 => rgb.to_vec(),
        Kind::Bgr8 => rgb.chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]]).collect(),
        Kind::Jpeg => {
            let mut bytes = Vec::new();
            let mut encoder = Encoder::new(&mut bytes, QUALITY);
            encoder.set_sampling_factor(SamplingFactor::F_2_2);
            let (width, height) = (u16::try_from(width)?, u16::try_from(height)?);
            encoder.encode(rgb, width, height, ColorType::Rgb).context("a scene as JPEG")?;
            bytes
        }
    })
}
