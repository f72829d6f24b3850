//! Our way from a message to a tensor.

use crate::image::scene::Kind;
use crate::tick::play::thread_nanos;
use anyhow::Result;
use efm_vision::{Decoder, Filter, Fit, ImageView, Layout, Normalization, ResizeMode, Resizer, to_tensor};
use std::hint::black_box;

/// Nanoseconds of a picture, of the thread's CPU time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// All of it.
    pub total: u64,
    /// Of it, the check of the message and the unpacking of a JPEG.
    pub decode: u64,
    /// Of it, to rgb8 at the policy's size.
    pub resize: u64,
    /// Of it, to the tensor.
    pub tensor: u64,
}

/// What `camera_ingest` and `vla_inference` keep from picture to picture.
#[derive(Debug)]
pub struct Ours {
    decoder: Decoder,
    resizer: Resizer,
    picture: Vec<u8>,
    tensor: Vec<f32>,
}

impl Ours {
    /// For a square target, stretched, with this filter.
    ///
    /// # Errors
    /// When the size is not possible.
    pub fn new(target: u32, filter: Filter) -> Result<Self> {
        let resizer = Resizer::new(target, target, Fit { filter, ..Fit::from(ResizeMode::Stretch) })?;
        let length = resizer.output_len();
        Ok(Self { decoder: Decoder::new(), resizer, picture: vec![0; length], tensor: vec![0.0; length] })
    }

    /// Makes the tensor of a message's data.
    ///
    /// # Errors
    /// When it is no such picture.
    pub fn run(&mut self, kind: Kind, (width, height): (u32, u32), data: &[u8]) -> Result<Times> {
        let begun = thread_nanos();
        let view = match kind {
            Kind::Jpeg => self.decoder.decode("rgb8; jpeg compressed bgr8", data)?,
            raw => ImageView::new(raw.name(), width, height, width * 3, data)?,
        };
        let decoded = thread_nanos();
        self.resizer.resize(&view, &mut self.picture)?;
        let resized = thread_nanos();
        to_tensor(&self.picture, Layout::Nchw, &Normalization::CENTRED, &mut self.tensor)?;
        let done = thread_nanos();
        black_box(&mut self.tensor);
        Ok(Times { total: done - begun, decode: decoded - begun, resize: resized - decoded, tensor: done - resized })
    }

    /// Float32 [3, target, target] of the last picture: value / 127.5 - 1.
    pub fn tensor(&self) -> &[f32] {
        &self.tensor
    }

    /// The least that memory asks for: nanoseconds to read a message's data once and to write a tensor once.
    pub fn floor(&mut self, data: &[u8]) -> u64 {
        let begun = thread_nanos();
        let sum = data.as_chunks::<8>().0.iter().fold(0u64, |sum, bytes| sum.wrapping_add(u64::from_le_bytes(*bytes)));
        self.tensor.fill(black_box(sum) as f32);
        black_box(&mut self.tensor);
        thread_nanos() - begun
    }
}
