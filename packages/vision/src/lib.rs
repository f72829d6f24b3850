//! From a camera's message to the picture a policy sees.
//!
//! ```
//! use efm_vision::{ImageView, Layout, Normalization, ResizeMode, Resizer};
//!
//! // The fields of a sensor_msgs/Image, borrowed.
//! let data = vec![200u8; 4 * 8 * 3];
//! let view = ImageView::new("bgr8", 8, 4, 24, &data)?;
//! // Once a camera; reuses its tables and buffers from frame to frame.
//! let mut resizer = Resizer::new(4, 2, ResizeMode::Stretch)?;
//! let mut rgb = vec![0u8; resizer.output_len()];
//! resizer.resize(&view, &mut rgb)?;
//! // What the network takes: float32 [1, 3, 2, 4].
//! let mut tensor = vec![0f32; rgb.len()];
//! efm_vision::to_tensor(&rgb, Layout::Nchw, &Normalization::CENTRED, &mut tensor)?;
//! # Ok::<(), efm_vision::VisionError>(())
//! ```
//!
//! - [`formats`]: how pixels lie in bytes, one file a kind.
//! - [`ImageView`]: an uncompressed image message, checked and borrowed.
//! - [`Decoder`]: JPEG and PNG bytes into an [`ImageView`] over a buffer it reuses.
//! - [`Resizer`]: any [`ImageView`] to rgb8 at the policy's size.
//! - [`to_tensor`]: rgb8 to normalised float32, NCHW or NHWC, in one pass.
//!
//! # Determinism
//!
//! Resizing and normalising are plain IEEE float32 operations in a fixed order, without fused multiply-add, run-time CPU dispatch
//! or threads: the same input gives the same bytes on every machine. Decoding PNG is exact by its nature. Decoding JPEG is not
//! fixed by its standard to the last bit, and the decoder used here picks its inverse transform by CPU: the same machine repeats
//! itself, two kinds of CPU may differ by a grey level.

mod decode;
mod filter;
pub mod formats;
mod jpeg;
mod resize;
mod tensor;
mod view;

pub use decode::Decoder;
pub use filter::Filter;
pub use formats::{Formats, PixelFormat};
pub use resize::{Border, Fit, Pad, ResizeMode, Resizer};
pub use tensor::{Layout, Normalization, to_tensor};
pub use view::{ImageView, MAX_SIDE};

/// Why an image was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VisionError {
    /// An encoding that is not read.
    #[error("image encoding '{encoding}' is not supported{hint}; expected {expected}")]
    Encoding {
        /// As it came (shortened).
        encoding: String,
        /// More about this one in parentheses, or nothing.
        hint: String,
        /// What somebody can say that it is ([`Formats::read_as`]).
        may_be: &'static [&'static str],
        /// The names of those that are read.
        expected: String,
    },
    /// A format that cannot be added.
    #[error("pixel format: {reason}")]
    Format {
        /// What is wrong.
        reason: String,
    },
    /// Width or height zero, or beyond [`MAX_SIDE`].
    #[error("an image of {width}x{height} pixels cannot be used; each side must be 1 to {MAX_SIDE} pixels")]
    Sides {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// Sides that no picture of its format has.
    #[error("an image of {width}x{height} {encoding} pixels cannot be used: {expected}")]
    Shape {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Of the pixels.
        encoding: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// The row step is too small for the width.
    #[error("the image's step is {step} bytes, but a row of {width} {encoding} pixels takes at least {expected}")]
    Step {
        /// Bytes a row, as it came.
        step: u32,
        /// Pixels.
        width: u32,
        /// Of the pixels.
        encoding: &'static str,
        /// Least bytes a row.
        expected: u64,
    },
    /// The number of bytes is not rows times step.
    #[error("the image carries {found} bytes, expected {expected} ({rows} rows of {step} bytes)")]
    Bytes {
        /// Bytes that came.
        found: usize,
        /// Bytes that its fields promise.
        expected: u64,
        /// Rows of bytes.
        rows: u64,
        /// Bytes a row.
        step: u32,
    },
    /// A buffer given by the caller has the wrong length.
    #[error("the {buffer} buffer holds {found} values, expected {expected}")]
    Buffer {
        /// Which one.
        buffer: &'static str,
        /// Its length.
        found: usize,
        /// The length that fits.
        expected: usize,
    },
    /// A standard deviation is not a positive, finite number, or a mean is not finite.
    #[error("normalisation of channel {channel} by mean {mean} and standard deviation {std} is not possible")]
    Normalization {
        /// 0 red, 1 green, 2 blue.
        channel: usize,
        /// Of value/255.
        mean: f32,
        /// Of value/255.
        std: f32,
    },
    /// Compressed bytes that are neither JPEG nor PNG, or a kind of them that is not read.
    #[error("compressed image (format '{format}') cannot be read: {reason}; expected 8-bit JPEG or PNG")]
    Compressed {
        /// The message's format field (shortened).
        format: String,
        /// What is wrong.
        reason: String,
    },
}

/// How a refusal of a whole file of another kind begins.
const OTHER_PIXELS: &str = "its pixels are";

impl VisionError {
    /// Whether an image is damaged, not only of a kind that is not read.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Encoding { .. } | Self::Format { .. } | Self::Normalization { .. } | Self::Buffer { .. } => false,
            Self::Compressed { reason, .. } => !reason.starts_with(OTHER_PIXELS),
            Self::Sides { .. } | Self::Shape { .. } | Self::Step { .. } | Self::Bytes { .. } => true,
        }
    }
}
