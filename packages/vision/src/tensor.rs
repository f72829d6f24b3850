//! rgb8 pixels to the float tensor that a network takes.

use crate::VisionError;
use serde::{Deserialize, Serialize};

/// Order of the axes of an image tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Layout {
    /// `[1, 3, height, width]`: planes of red, green and blue.
    Nchw,
    /// `[1, height, width, 3]`: pixel after pixel.
    Nhwc,
}

/// `(value / 255 - mean) / std`, channel by channel. Checked: finite, and `std` positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    mean: [f32; 3],
    std: [f32; 3],
}

impl Normalization {
    /// To [-1, 1].
    pub const CENTRED: Self = Self { mean: [0.5; 3], std: [0.5; 3] };
    /// To [0, 1].
    pub const UNIT: Self = Self { mean: [0.0; 3], std: [1.0; 3] };

    /// Mean and standard deviation of red, green and blue on the scale 0 to 1.
    ///
    /// # Errors
    /// When a value is not finite or a standard deviation not positive.
    pub fn new(mean: [f32; 3], std: [f32; 3]) -> Result<Self, VisionError> {
        for channel in 0..3 {
            let (mean, std) = (mean[channel], std[channel]);
            if !(mean.is_finite() && std.is_finite() && std > 0.0) {
                return Err(VisionError::Normalization { channel, mean, std });
            }
        }
        Ok(Self { mean, std })
    }
}

/// Writes the normalised float32 tensor of an rgb8 picture. `rgb` is row-major HWC without padding; `out` has the same number
/// of values, in the order of `layout`. One pass, nothing allocated.
///
/// Computed as `(value / 255 - mean) / std` in float32, in this order of operations, as NumPy and torch do.
///
/// # Errors
/// When the lengths disagree or are not a whole number of pixels.
pub fn to_tensor(
    rgb: &[u8],
    layout: Layout,
    normalization: &Normalization,
    out: &mut [f32],
) -> Result<(), VisionError> {
    let pixels = rgb.len() / 3;
    if !rgb.len().is_multiple_of(3) {
        return Err(VisionError::Buffer { buffer: "rgb8 input", found: rgb.len(), expected: pixels * 3 });
    }
    if out.len() != rgb.len() {
        return Err(VisionError::Buffer { buffer: "tensor", found: out.len(), expected: rgb.len() });
    }
    let Normalization { mean, std } = *normalization;
    // 256 possible values a channel: the divisions are done once, the pass only looks up.
    let mut table = [[0f32; 256]; 3];
    for channel in 0..3 {
        for (value, entry) in table[channel].iter_mut().enumerate() {
            *entry = (value as f32 / 255.0 - mean[channel]) / std[channel];
        }
    }
    match layout {
        Layout::Nhwc => {
            for (pixel, out) in rgb.chunks_exact(3).zip(out.chunks_exact_mut(3)) {
                for channel in 0..3 {
                    out[channel] = table[channel][usize::from(pixel[channel])];
                }
            }
        }
        Layout::Nchw => {
            let (red, rest) = out.split_at_mut(pixels);
            let (green, blue) = rest.split_at_mut(pixels);
            for (((pixel, r), g), b) in rgb.chunks_exact(3).zip(red).zip(green).zip(blue) {
                *r = table[0][usize::from(pixel[0])];
                *g = table[1][usize::from(pixel[1])];
                *b = table[2][usize::from(pixel[2])];
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_layouts_hold_the_same_normalised_values() {
        let rgb = [0, 255, 51, 102, 153, 204];
        let n = Normalization::new([0.0, 0.5, 0.2], [1.0, 0.5, 0.1]).unwrap();
        let (mut nhwc, mut nchw) = ([0.0; 6], [0.0; 6]);
        to_tensor(&rgb, Layout::Nhwc, &n, &mut nhwc).unwrap();
        to_tensor(&rgb, Layout::Nchw, &n, &mut nchw).unwrap();
        assert_eq!(nhwc[0], 0.0);
        assert_eq!(nhwc[1], 1.0);
        assert_eq!(nhwc[2], (51.0f32 / 255.0 - 0.2) / 0.1);
        assert_eq!(nchw, [nhwc[0], nhwc[3], nhwc[1], nhwc[4], nhwc[2], nhwc[5]]);
    }

    #[test]
    fn wrong_lengths_and_impossible_statistics_are_refused() {
        let err = to_tensor(&[0; 6], Layout::Nchw, &Normalization::UNIT, &mut [0.0; 5]).unwrap_err();
        assert!(err.to_string().contains("5 values, expected 6"), "{err}");
        assert!(to_tensor(&[0; 4], Layout::Nchw, &Normalization::UNIT, &mut [0.0; 4]).is_err());
        let err = Normalization::new([0.0; 3], [1.0, 0.0, 1.0]).unwrap_err();
        assert!(err.to_string().contains("channel 1"), "{err}");
        assert!(Normalization::new([f32::NAN, 0.0, 0.0], [1.0; 3]).is_err());
    }
}
