//! Any image to rgb8 at the policy's size.
//!
//! A separable convolution, with the filter that the policy was trained with. Unless it says otherwise that is a triangle whose support
//! grows with the reduction, as Pillow's `BILINEAR` (and so openpi's `resize_with_pad`) does it: a sampling bilinear filter, as
//! OpenCV's default, drops most of the pixels of a 640x480 camera and shows the policy aliased edges. Unlike Pillow the value between the two
//! passes is not rounded to a byte; results agree to one grey level. `tests/vectors.rs` compares all filters with their originals.
//!
//! Own code and not a crate, for two promises that `fast_image_resize` does not give: filter tables are computed once a source
//! size, so that a frame allocates nothing, and the code path does not depend on the CPU.

use crate::filter::{Filter, Taps};
use crate::formats::Pixel;
use crate::{ImageView, MAX_SIDE, VisionError};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What to do when the camera's aspect ratio is not the policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResizeMode {
    /// Fill the target; the picture is distorted.
    Stretch,
    /// Fit inside the target (letterbox), with a border as [`Pad`] says.
    Pad,
    /// Fill the target from the largest centred part of the picture with the target's aspect ratio.
    Crop,
}

/// The border of a picture that does not fill the target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pad {
    /// Where it lies.
    pub border: Border,
    /// Its red, green and blue.
    pub value: u8,
}

/// Where the border of a picture lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Border {
    /// On both sides; of an odd number of pixels the last is right or below (openpi's `resize_with_pad`).
    #[default]
    Both,
    /// On the left or above: the picture lies in the corner at the bottom right (LeRobot's SmolVLA).
    LeftTop,
    /// On the right or below: the picture lies in the corner at the top left.
    RightBottom,
}

/// How a camera's picture is brought to a policy's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fit {
    /// What happens to the aspect ratio.
    pub mode: ResizeMode,
    /// How pixels are interpolated.
    pub filter: Filter,
    /// The border ([`ResizeMode::Pad`] only).
    pub pad: Pad,
}

impl From<ResizeMode> for Fit {
    fn from(mode: ResizeMode) -> Self {
        Self { mode, filter: Filter::default(), pad: Pad::default() }
    }
}

/// Resizes the images of one camera to one size. Keeps its filter tables while the source size stays.
#[derive(Debug, Clone)]
pub struct Resizer {
    width: u32,
    height: u32,
    fit: Fit,
    /// Source size that the tables are for.
    source: (u32, u32),
    columns: Taps,
    rows: Taps,
    /// Where the picture lies in the target: left, top (not zero with [`ResizeMode::Pad`] only).
    offset: (usize, usize),
    /// Target rows at source width, in the source's channels; zeros behind them.
    lines: Lines,
    /// Target rows, not rounded yet.
    sums: Lines,
    /// As many places for rows of the source as a group of target rows is made of.
    places: Vec<usize>,
    /// These rows in red, green and blue, where the source does not lie in one of the usual ways.
    rgb: Vec<u8>,
}

/// The rows of a source, from above to below.
trait Source {
    /// These will be asked for next.
    fn prepare(&mut self, rows: Range<usize>);

    /// The bytes of a row.
    fn row(&self, y: usize) -> &[u8];
}

/// Rows that are resized as they lie.
struct InPlace<'a>(&'a ImageView<'a>);

impl Source for InPlace<'_> {
    fn prepare(&mut self, _: Range<usize>) {}

    fn row(&self, y: usize) -> &[u8] {
        self.0.row(y as u32)
    }
}

/// Rows in red, green and blue, made when they are first needed: the whole picture is never there.
struct Made<'a> {
    image: &'a ImageView<'a>,
    /// Row `y` is in place `y % window`, until another one takes it.
    rgb: &'a mut [u8],
    /// The row of each place.
    places: &'a mut [usize],
}

impl Made<'_> {
    fn bytes(&self, y: usize) -> Range<usize> {
        let row = self.image.width() as usize * 3;
        let place = y % self.places.len();
        place * row..(place + 1) * row
    }
}

impl Source for Made<'_> {
    fn prepare(&mut self, rows: Range<usize>) {
        for y in rows {
            let place = y % self.places.len();
            if self.places[place] != y {
                let bytes = self.bytes(y);
                self.image.format().rgb_rows(self.image, y as u32..y as u32 + 1, &mut self.rgb[bytes]);
                self.places[place] = y;
            }
        }
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.rgb[self.bytes(y)]
    }
}

/// Target rows that are made together: a weight of a column is loaded once for all of them.
const LINES: usize = 2;
type Lines = [Vec<f32>; LINES];

/// Values that are summed side by side: a pixel and what lies behind it.
const LANES: usize = 4;
/// Source rows that are added to a line at a time: each is one load and one store less a value, and one register more.
const ROWS: usize = 6;

/// Makes a line of the weighted sums of rows, which are given by number. At each place the rows are added in their order.
fn add_rows<'a>(row: impl Fn(usize) -> &'a [u8], weights: &[f32], line: &mut [f32]) {
    for (group, weights) in weights.chunks(ROWS).enumerate() {
        let row = |k: usize| row(group * ROWS + k);
        let begin = group == 0;
        match *weights {
            [a] => add([row(0)], [a], line, begin),
            [a, b] => add([row(0), row(1)], [a, b], line, begin),
            [a, b, c] => add([row(0), row(1), row(2)], [a, b, c], line, begin),
            [a, b, c, d] => add([row(0), row(1), row(2), row(3)], [a, b, c, d], line, begin),
            [a, b, c, d, e] => add([row(0), row(1), row(2), row(3), row(4)], [a, b, c, d, e], line, begin),
            [a, b, c, d, e, f] => {
                add([row(0), row(1), row(2), row(3), row(4), row(5)], [a, b, c, d, e, f], line, begin);
            }
            _ => {}
        }
    }
}

/// Adds weighted rows of the line's length to it, or to zero where the line begins.
#[inline(never)]
fn add<const K: usize>(rows: [&[u8]; K], weights: [f32; K], line: &mut [f32], begin: bool) {
    let rows = rows.map(|row| &row[..line.len()]);
    let sum = |i: usize, mut sum: f32| {
        for k in 0..K {
            sum += weights[k] * f32::from(rows[k][i]);
        }
        sum
    };
    if begin {
        line.iter_mut().enumerate().for_each(|(i, place)| *place = sum(i, 0.0));
    } else {
        line.iter_mut().enumerate().for_each(|(i, place)| *place = sum(i, *place));
    }
}

/// Weighted sums of the pixels of each line, whose first is the source's pixel `first`, as red, green and blue. A pixel has `STRIDE` values, of which
/// `RED`, 1 and `BLUE` are taken.
fn blend_colour<const STRIDE: usize, const RED: usize, const BLUE: usize>(
    columns: &Taps,
    lines: &Lines,
    first: usize,
    sums: &mut Lines,
) {
    for (x, (start, weights)) in columns.even().enumerate() {
        let mut rest = lines.each_ref().map(|line| &line[(start - first) * STRIDE..]);
        let mut sum = [[0f32; LANES]; LINES];
        // Two weights at a time: one check of a slice's length for both.
        let (pairs, last) = weights.as_chunks::<2>();
        for [one, other] in pairs {
            for (sum, rest) in sum.iter_mut().zip(&mut rest) {
                let Some(pixels) = rest.first_chunk::<{ 2 * LANES }>() else { break };
                for lane in 0..LANES {
                    sum[lane] += one * pixels[lane];
                }
                for lane in 0..LANES {
                    sum[lane] += other * pixels[STRIDE + lane];
                }
                *rest = &rest[2 * STRIDE..];
            }
        }
        for weight in last {
            for (sum, rest) in sum.iter_mut().zip(&rest) {
                let Some(pixel) = rest.first_chunk::<LANES>() else { break };
                for lane in 0..LANES {
                    sum[lane] += weight * pixel[lane];
                }
            }
        }
        for (sum, sums) in sum.iter().zip(sums.iter_mut()) {
            // All lanes, the last one too, or it would not be kept as one vector; the next pixel overwrites it.
            if let Some(place) = sums[x * 3..].first_chunk_mut::<LANES>() {
                *place = [sum[RED], sum[1], sum[BLUE], sum[3]];
            }
        }
    }
}

/// `(value + 0.5) as u8`: half up, and saturating. In operations that every CPU has for vectors, which it has not for that cast.
fn round(value: f32) -> u8 {
    /// From here on a float32 holds whole numbers only, and those below 2^23 in its lowest bits.
    const WHOLE: f32 = 8_388_608.0;
    let raised = value + 0.5;
    let raised = if raised > 0.0 { raised } else { 0.0 };
    let raised = if raised < 255.0 { raised } else { 255.0 };
    let nearest = raised + WHOLE;
    let above = nearest - WHOLE > raised;
    (nearest.to_bits() as u8).wrapping_sub(u8::from(above))
}

/// [`blend_colour`] of grey.
fn blend_grey(columns: &Taps, lines: &Lines, first: usize, sums: &mut Lines) {
    for (line, sums) in lines.iter().zip(sums) {
        for ((start, weights), sums) in columns.even().zip(sums.as_chunks_mut::<3>().0) {
            let values = &line[start - first..][..weights.len()];
            *sums = [values.iter().zip(weights).fold(0.0, |sum, (value, weight)| sum + weight * value); 3];
        }
    }
}

impl Resizer {
    /// To `width` x `height` pixels.
    ///
    /// # Errors
    /// When a side is zero or beyond [`MAX_SIDE`].
    pub fn new(width: u32, height: u32, fit: impl Into<Fit>) -> Result<Self, VisionError> {
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(VisionError::Sides { width, height });
        }
        Ok(Self {
            width,
            height,
            fit: fit.into(),
            source: (0, 0),
            columns: Taps::default(),
            rows: Taps::default(),
            offset: (0, 0),
            lines: Lines::default(),
            sums: Lines::default(),
            places: Vec::new(),
            rgb: Vec::new(),
        })
    }

    /// Pixels a row of the result.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows of the result.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Bytes of the result: width * height * 3.
    pub fn output_len(&self) -> usize {
        self.width as usize * self.height as usize * 3
    }

    /// Writes the picture as rgb8, row-major without padding, into `out` ([`Self::output_len`] bytes). Allocates only when the
    /// source size (or the number of its channels) grows beyond what was seen before.
    ///
    /// # Errors
    /// When `out` has another length.
    pub fn resize(&mut self, image: &ImageView<'_>, out: &mut [u8]) -> Result<(), VisionError> {
        if out.len() != self.output_len() {
            return Err(VisionError::Buffer { buffer: "rgb8 output", found: out.len(), expected: self.output_len() });
        }
        self.prepare(image.width(), image.height());
        let usual = image.pixel().filter(|pixel| is_usual(*pixel));
        if let Some(pixel) = usual {
            self.resize_rows(&mut InPlace(image), pixel, out);
            return Ok(());
        }
        let (mut rgb, mut places) = (std::mem::take(&mut self.rgb), std::mem::take(&mut self.places));
        rgb.resize(places.len() * image.width() as usize * 3, 0);
        places.fill(usize::MAX);
        let mut made = Made { image, rgb: &mut rgb, places: &mut places };
        self.resize_rows(&mut made, Pixel { bytes: 3, rgb: [0, 1, 2] }, out);
        (self.rgb, self.places) = (rgb, places);
        Ok(())
    }

    /// Resizes rows whose pixels lie in one of the usual ways.
    fn resize_rows(&mut self, source: &mut impl Source, pixel: Pixel, out: &mut [u8]) {
        let Pixel { bytes, rgb } = pixel;
        if self.columns.identity && self.rows.identity {
            match bytes {
                1 => self.copy::<1>(source, rgb, out),
                3 => self.copy::<3>(source, rgb, out),
                _ => self.copy::<4>(source, rgb, out),
            }
            return;
        }
        match (bytes, rgb) {
            (1, _) => self.filter(source, bytes, out, blend_grey),
            (3, [0, 1, 2]) => self.filter(source, bytes, out, blend_colour::<3, 0, 2>),
            (3, _) => self.filter(source, bytes, out, blend_colour::<3, 2, 0>),
            (_, [0, 1, 2]) => self.filter(source, bytes, out, blend_colour::<4, 0, 2>),
            (_, _) => self.filter(source, bytes, out, blend_colour::<4, 2, 0>),
        }
    }

    /// Every target pixel is a source pixel, or border.
    fn copy<const STRIDE: usize>(&self, source: &mut impl Source, rgb: [usize; 3], out: &mut [u8]) {
        let (left, top) = self.offset;
        let border = self.fit.pad.value;
        let (first, end) = self.columns.range();
        for (y, target) in out.chunks_exact_mut(self.width as usize * 3).enumerate() {
            let Some((row, _)) = self.rows.at(y, top) else {
                target.fill(border);
                continue;
            };
            source.prepare(row..row + 1);
            let source = &source.row(row)[first * STRIDE..end * STRIDE];
            let (before, rest) = target.split_at_mut(left * 3);
            let (picture, after) = rest.split_at_mut((end - first) * 3);
            before.fill(border);
            after.fill(border);
            if (STRIDE, rgb) == (3, [0, 1, 2]) {
                picture.copy_from_slice(source);
                continue;
            }
            for (target, pixel) in picture.as_chunks_mut::<3>().0.iter_mut().zip(source.as_chunks::<STRIDE>().0) {
                *target = rgb.map(|channel| pixel[channel]);
            }
        }
    }

    /// The source rows of a group of target rows.
    fn rows_of(&self, group: usize) -> Range<usize> {
        let lines = (0..LINES).filter_map(|i| self.rows.at(group * LINES + i, 0));
        let spans = lines.map(|(start, weights)| start..start + weights.len());
        spans.reduce(|all, span| all.start.min(span.start)..all.end.max(span.end)).unwrap_or_default()
    }

    /// Every target pixel is a weighted sum, or border. Sums are in the order of the source's rows, then of its columns, so that how they are
    /// spread over the lanes of a CPU does not show.
    fn filter(
        &mut self,
        source: &mut impl Source,
        stride: usize,
        out: &mut [u8],
        blend: impl Fn(&Taps, &Lines, usize, &mut Lines),
    ) {
        let (left, top) = self.offset;
        let border = self.fit.pad.value;
        let (first, end) = self.columns.range();
        let length = (end - first) * stride;
        for (line, sums) in self.lines.iter_mut().zip(&mut self.sums) {
            // Behind the pixels come zeros, for weights that fill up and for lanes that are not used.
            line.clear();
            line.resize(length + self.columns.count() * stride + 2 * LANES, 0.0);
            sums.resize(self.columns.len() * 3 + LANES, 0.0);
        }
        let row_len = self.width as usize * 3;
        let bytes = left * 3..(left + self.columns.len()) * 3;
        let (above, rest) = out.split_at_mut(top * row_len);
        let (picture, below) = rest.split_at_mut(self.rows.len() * row_len);
        above.fill(border);
        below.fill(border);
        for (group, targets) in picture.chunks_mut(LINES * row_len).enumerate() {
            source.prepare(self.rows_of(group));
            // Rows first: this pass runs over contiguous bytes, which the compiler turns into vector code, and shrinks the
            // picture before the scattered one.
            for (i, line) in self.lines.iter_mut().enumerate() {
                // None is where the picture ends in the middle of a group: what is in that line goes nowhere.
                let Some((start, weights)) = self.rows.at(group * LINES + i, 0) else { break };
                let row = |k: usize| &source.row(start + k)[first * stride..end * stride];
                add_rows(row, weights, &mut line[..length]);
            }
            blend(&self.columns, &self.lines, first, &mut self.sums);
            for (target, sums) in targets.chunks_exact_mut(row_len).zip(&self.sums) {
                target[..bytes.start].fill(border);
                target[bytes.end..].fill(border);
                for (byte, sum) in target[bytes.clone()].iter_mut().zip(sums) {
                    *byte = round(*sum);
                }
            }
        }
    }

    /// Makes the tables for a source size.
    fn prepare(&mut self, width: u32, height: u32) {
        if self.source == (width, height) {
            return;
        }
        let (w, h) = (f64::from(width), f64::from(height));
        let (tw, th) = (f64::from(self.width), f64::from(self.height));
        // Part of the source that is used (left, top, width, height), and size of the picture in the target.
        let (part, picture) = match self.fit.mode {
            ResizeMode::Stretch => ((0.0, 0.0, w, h), (self.width, self.height)),
            ResizeMode::Pad => {
                let ratio = (w / tw).max(h / th);
                let fit = |side: f64, target: u32| ((side / ratio) as u32).clamp(1, target);
                ((0.0, 0.0, w, h), (fit(w, self.width), fit(h, self.height)))
            }
            ResizeMode::Crop => {
                let ratio = (w / tw).min(h / th);
                let (pw, ph) = ((tw * ratio).min(w), (th * ratio).min(h));
                (((w - pw) / 2.0, (h - ph) / 2.0, pw, ph), (self.width, self.height))
            }
        };
        let free = ((self.width - picture.0) as usize, (self.height - picture.1) as usize);
        self.offset = match self.fit.pad.border {
            Border::Both => (free.0 / 2, free.1 / 2),
            Border::LeftTop => free,
            Border::RightBottom => (0, 0),
        };
        let filter = self.fit.filter;
        self.columns.compute(filter, width as usize, part.0, part.2, picture.0 as usize);
        self.rows.compute(filter, height as usize, part.1, part.3, picture.1 as usize);
        let groups = 0..self.rows.len().div_ceil(LINES);
        let most = groups.map(|group| self.rows_of(group).len()).max().unwrap_or(1).max(1);
        self.places.resize(most, usize::MAX);
        self.source = (width, height);
    }
}

/// Whether there is code that resizes such pixels as they lie.
fn is_usual(Pixel { bytes, rgb }: Pixel) -> bool {
    match bytes {
        1 => rgb == [0, 0, 0],
        3 | 4 => matches!(rgb, [0, 1, 2] | [2, 1, 0]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::formats::{Formats, PixelFormat};
    use proptest::prelude::*;

    fn resize(view: &ImageView<'_>, width: u32, height: u32, fit: impl Into<Fit>) -> Vec<u8> {
        let mut resizer = Resizer::new(width, height, fit).unwrap();
        let mut out = vec![1; resizer.output_len()];
        resizer.resize(view, &mut out).unwrap();
        out
    }

    /// What a resizer that has seen `view` makes of it, value by value.
    fn plain(resizer: &Resizer, view: &ImageView<'_>) -> Vec<u8> {
        let (pixel, (left, top)) = (view.pixel().unwrap(), resizer.offset);
        let stride = pixel.bytes;
        let mut out = Vec::new();
        for (y, x) in (0..resizer.height as usize).flat_map(|y| (0..resizer.width as usize).map(move |x| (y, x))) {
            let (Some((row, of_rows)), Some((column, of_columns))) =
                (resizer.rows.at(y, top), resizer.columns.at(x, left))
            else {
                out.extend([resizer.fit.pad.value; 3]);
                continue;
            };
            for offset in pixel.rgb {
                let mut sum = 0f32;
                for (j, weight) in of_columns.iter().enumerate() {
                    let mut line = 0f32;
                    for (k, weight) in of_rows.iter().enumerate() {
                        line += weight * f32::from(view.row((row + k) as u32)[(column + j) * stride + offset]);
                    }
                    sum += weight * line;
                }
                out.push((sum + 0.5) as u8);
            }
        }
        out
    }

    const MODES: [ResizeMode; 3] = [ResizeMode::Stretch, ResizeMode::Pad, ResizeMode::Crop];
    const FILTERS: [Filter; 6] = [
        Filter::BilinearAntialias,
        Filter::Bilinear,
        Filter::BicubicAntialias,
        Filter::Lanczos3,
        Filter::Area,
        Filter::Nearest,
    ];

    #[test]
    fn channels_are_reordered_and_grey_is_spread() {
        for (encoding, data, rgb) in [
            ("bgr8", &[1, 2, 3][..], [3, 2, 1]),
            ("rgba8", &[1, 2, 3, 200][..], [1, 2, 3]),
            ("bgra8", &[1, 2, 3, 200][..], [3, 2, 1]),
            ("mono8", &[9][..], [9, 9, 9]),
        ] {
            let view = ImageView::new(encoding, 1, 1, data.len() as u32, data).unwrap();
            for mode in MODES {
                assert_eq!(resize(&view, 1, 1, mode), rgb, "{encoding}");
                assert_eq!(resize(&view, 2, 2, mode), rgb.repeat(4), "{encoding}");
            }
        }
    }

    #[test]
    fn rounding_is_half_up_and_saturating() {
        let near = |value: f32| [value.next_down(), value, value.next_up()];
        let values =
            (-600..=1200).flat_map(|i| near(i as f32 * 0.25)).chain([f32::MAX, f32::MIN, f32::NAN, f32::INFINITY]);
        for value in values {
            assert_eq!(round(value), (value + 0.5) as u8, "{value}");
        }
    }

    #[test]
    fn what_needs_no_scaling_is_copied_with_its_crop_and_its_border() {
        for encoding in ["rgb8", "bgr8", "rgba8", "bgra8", "mono8"] {
            let step = 8 * 4 + 3;
            let data: Vec<u8> = (0..step * 6).map(|i| (i * 37 % 251) as u8).collect();
            let view = ImageView::new(encoding, 8, 6, step, &data).unwrap();
            for (width, height, mode) in [
                (8, 6, ResizeMode::Stretch),
                (12, 6, ResizeMode::Pad),
                (8, 10, ResizeMode::Pad),
                (4, 6, ResizeMode::Crop),
                (8, 2, ResizeMode::Crop),
            ] {
                let mut resizer = Resizer::new(width, height, mode).unwrap();
                let mut out = vec![1; resizer.output_len()];
                resizer.resize(&view, &mut out).unwrap();
                assert!(resizer.columns.identity && resizer.rows.identity, "{encoding} {width}x{height}");
                assert_eq!(out, plain(&resizer, &view), "{encoding} {width}x{height}");
            }
        }
    }

    #[test]
    fn halving_takes_the_triangle_weighted_mean() {
        // Support 2 pixels: weights of target pixel 0 (centre 1.0) are 0.75, 0.75, 0.25 of pixels 0, 1, 2.
        let view = ImageView::new("mono8", 4, 1, 4, &[70, 0, 0, 0]).unwrap();
        let out = resize(&view, 2, 1, ResizeMode::Stretch);
        assert_eq!(out, [30, 30, 30, 0, 0, 0]);
    }

    #[test]
    fn a_fine_checkerboard_becomes_grey_and_not_an_alias() {
        let data: Vec<u8> = (0..64 * 64).map(|i| if (i % 64 + i / 64) % 2 == 0 { 255 } else { 0 }).collect();
        let view = ImageView::new("mono8", 64, 64, 64, &data).unwrap();
        let out = resize(&view, 9, 9, ResizeMode::Stretch);
        // The outermost pixels see a cut filter; the inner ones must be flat.
        let inner: Vec<u8> = (1..8).flat_map(|y| (1..8).map(move |x| (y * 9 + x) * 3)).map(|i| out[i]).collect();
        assert!(inner.iter().all(|v| (123..=132).contains(v)), "{inner:?}");
    }

    #[test]
    fn padding_centres_the_picture_on_black() {
        let data = [200u8; 4 * 2 * 3];
        let view = ImageView::rgb8(4, 2, &data).unwrap();
        let out = resize(&view, 4, 4, ResizeMode::Pad);
        let rows: Vec<u8> = out.chunks(12).map(|row| row[0]).collect();
        assert_eq!(rows, [0, 200, 200, 0]);
    }

    #[test]
    fn a_border_lies_where_it_is_asked_for_in_the_value_asked_for() {
        let data = [200u8; 5 * 2 * 3];
        let view = ImageView::rgb8(5, 2, &data).unwrap();
        for (border, expected) in [
            (Border::Both, [9, 200, 200, 9, 9]),
            (Border::LeftTop, [9, 9, 9, 200, 200]),
            (Border::RightBottom, [200, 200, 9, 9, 9]),
        ] {
            let fit = Fit { pad: Pad { border, value: 9 }, ..Fit::from(ResizeMode::Pad) };
            let rows: Vec<u8> = resize(&view, 5, 5, fit).chunks(15).map(|row| row[14]).collect();
            assert_eq!(rows, expected);
        }
    }

    #[test]
    fn cropping_takes_the_centre() {
        let data: Vec<u8> = [10, 20, 30, 40].iter().flat_map(|v| [*v; 3]).collect();
        let view = ImageView::rgb8(4, 1, &data).unwrap();
        assert_eq!(resize(&view, 2, 1, ResizeMode::Stretch).len(), 6);
        let view = ImageView::rgb8(4, 1, &data).unwrap();
        let out = resize(&view, 1, 1, ResizeMode::Crop);
        assert!((20..=30).contains(&out[0]), "{out:?}");
    }

    #[test]
    fn row_padding_never_shows_in_the_result() {
        let tight: Vec<u8> = (0..5 * 4 * 3).map(|i| (i * 7) as u8).collect();
        let padded: Vec<u8> = tight.chunks(15).flat_map(|row| row.iter().copied().chain([255; 9])).collect();
        let a = ImageView::rgb8(5, 4, &tight).unwrap();
        let b = ImageView::new("rgb8", 5, 4, 24, &padded).unwrap();
        for mode in MODES {
            assert_eq!(resize(&a, 3, 7, mode), resize(&b, 3, 7, mode));
        }
    }

    #[test]
    fn a_resizer_gives_the_same_after_a_change_of_source_size_and_encoding() {
        let big = vec![77u8; 20 * 10 * 4];
        let small: Vec<u8> = (0..6 * 5).map(|i| (i * 5) as u8).collect();
        let small = ImageView::new("mono8", 6, 5, 6, &small).unwrap();
        let mut resizer = Resizer::new(4, 3, ResizeMode::Pad).unwrap();
        let mut out = vec![0; resizer.output_len()];
        resizer.resize(&ImageView::new("bgra8", 20, 10, 80, &big).unwrap(), &mut out).unwrap();
        resizer.resize(&small, &mut out).unwrap();
        assert_eq!(out, resize(&small, 4, 3, ResizeMode::Pad));
    }

    #[test]
    fn a_steady_source_allocates_nothing() {
        // Capacity and address of every buffer stay: no allocator hook needed to see it.
        let data = vec![3u8; 64 * 48 * 3];
        let view = ImageView::rgb8(64, 48, &data).unwrap();
        let mut resizer = Resizer::new(9, 7, ResizeMode::Crop).unwrap();
        let mut out = vec![0; resizer.output_len()];
        resizer.resize(&view, &mut out).unwrap();
        let buffers = |r: &Resizer| {
            (
                r.lines.each_ref().map(Vec::as_ptr),
                r.sums.each_ref().map(Vec::as_ptr),
                r.rows.buffers(),
                r.columns.buffers(),
            )
        };
        let before = buffers(&resizer);
        resizer.resize(&view, &mut out).unwrap();
        assert_eq!(before, buffers(&resizer));
    }

    fn image() -> impl Strategy<Value = (&'static dyn PixelFormat, u32, u32, Vec<u8>)> {
        let packed: Vec<_> = Formats::new().iter().filter(|format| format.pixel().is_some()).collect();
        (prop::sample::select(packed), 1..40u32, 1..40u32).prop_flat_map(|(e, w, h)| {
            let bytes = w as usize * h as usize * e.pixel().unwrap().bytes;
            (Just(e), Just(w), Just(h), proptest::collection::vec(any::<u8>(), bytes))
        })
    }

    fn fit() -> impl Strategy<Value = Fit> {
        (prop::sample::select(&MODES[..]), prop::sample::select(&FILTERS[..]))
            .prop_map(|(mode, filter)| Fit { filter, ..Fit::from(mode) })
    }

    proptest! {
        #[test]
        fn the_same_size_is_exact((e, w, h, data) in image(), fit in fit()) {
            let view = ImageView::with_format(e, w, h, e.row_bytes(w) as u32, &data).unwrap();
            let pixel = e.pixel().unwrap();
            let expected: Vec<u8> = data.chunks(pixel.bytes).flat_map(|p| pixel.rgb.map(|o| p[o])).collect();
            prop_assert_eq!(resize(&view, w, h, fit), expected);
        }

        #[test]
        fn a_constant_image_stays_constant(
            w in 1..700u32, h in 1..60u32, tw in 1..120u32, th in 1..120u32, value: u8, fit in fit(),
        ) {
            let data = vec![value; (w * h) as usize];
            let view = ImageView::new("mono8", w, h, w, &data).unwrap();
            let out = resize(&view, tw, th, fit);
            prop_assert!(out.iter().all(|v| *v == value || (fit.mode == ResizeMode::Pad && *v == 0)));
            prop_assert!(out.contains(&value));
        }

        #[test]
        fn values_stay_within_those_of_the_source((e, w, h, data) in image(), tw in 1..50u32, th in 1..50u32) {
            let view = ImageView::with_format(e, w, h, e.row_bytes(w) as u32, &data).unwrap();
            let (low, high) = (data.iter().min().unwrap(), data.iter().max().unwrap());
            prop_assert!(resize(&view, tw, th, ResizeMode::Stretch).iter().all(|v| v >= low && v <= high));
        }

        #[test]
        fn many_lanes_give_the_bits_of_one((e, w, h, data) in image(), tw in 1..50u32, th in 1..50u32, fit in fit()) {
            let view = ImageView::with_format(e, w, h, e.row_bytes(w) as u32, &data).unwrap();
            let mut resizer = Resizer::new(tw, th, fit).unwrap();
            let mut out = vec![1; resizer.output_len()];
            resizer.resize(&view, &mut out).unwrap();
            prop_assert_eq!(&out, &plain(&resizer, &view));
        }

        #[test]
        fn mirroring_before_or_after_is_the_same((_, w, h, data) in image(), tw in 1..50u32, th in 1..50u32, crop: bool) {
            // Not `Pad`: an odd border has no centre.
            let mode = if crop { ResizeMode::Crop } else { ResizeMode::Stretch };
            let grey = &data[..(w * h) as usize];
            let mirrored: Vec<u8> = grey.chunks(w as usize).flat_map(|row| row.iter().rev().copied()).collect();
            let a = resize(&ImageView::new("mono8", w, h, w, grey).unwrap(), tw, th, mode);
            let b = resize(&ImageView::new("mono8", w, h, w, &mirrored).unwrap(), tw, th, mode);
            for (row_a, row_b) in a.chunks(tw as usize * 3).zip(b.chunks(tw as usize * 3)) {
                for x in 0..tw as usize {
                    let (l, r) = (row_a[x * 3], row_b[(tw as usize - 1 - x) * 3]);
                    prop_assert!(l.abs_diff(r) <= 1, "{l} {r}");
                }
            }
        }
    }
}
