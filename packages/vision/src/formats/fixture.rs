//! A small picture in a format and in red, green and blue, and the checks that every format passes.

use super::{Formats, PixelFormat, RGB8};
use crate::{ImageView, ResizeMode, Resizer};

/// A small picture in a format and in red, green and blue.
///
/// As a text: lines of a word and values; `data` and `rgb` are bytes in hexadecimal, spaces as one likes, and may have several lines. `#`
/// begins a comment.
///
/// ```text
/// width 2
/// height 1
/// step 3
/// data 0a14 ff        # the last is padding
/// rgb 0a0a0a 141414
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fixture {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bytes a row.
    pub step: u32,
    /// Whether numbers of several bytes begin with the high one.
    pub big_endian: bool,
    /// The picture in its format.
    pub data: Vec<u8>,
    /// The picture in red, green and blue.
    pub rgb: Vec<u8>,
}

impl Fixture {
    /// From its text.
    ///
    /// # Errors
    /// The line, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut fixture = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (word, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let at = |expected: &str| format!("line {}, '{line}': expected {expected}", number + 1);
            let whole = || value.trim().parse::<u32>().map_err(|_| at("a whole number"));
            match word {
                "width" => fixture.width = whole()?,
                "height" => fixture.height = whole()?,
                "step" => fixture.step = whole()?,
                "big_endian" => fixture.big_endian = value.trim().parse().map_err(|_| at("true or false"))?,
                "data" | "rgb" => {
                    let bytes = hexadecimal(value).ok_or_else(|| at("pairs of hexadecimal digits"))?;
                    if word == "data" { fixture.data.extend(bytes) } else { fixture.rgb.extend(bytes) }
                }
                _ => return Err(at("width, height, step, big_endian, data or rgb")),
            }
        }
        Ok(fixture)
    }

    /// Whether a format reads it: by each of its names, rows at once and alone, with any padding, resized as the same picture in rgb8 is,
    /// and nothing that is too short.
    ///
    /// # Errors
    /// The first that is not so, in words.
    pub fn check(&self, formats: &Formats, format: &'static dyn PixelFormat) -> Result<(), String> {
        let step = self.step;
        let rows = usize::try_from(format.byte_rows(self.height)).unwrap_or(usize::MAX);
        let row = usize::try_from(format.row_bytes(self.width)).unwrap_or(usize::MAX);
        for name in format.names() {
            let view = self.image(formats, name, step, &self.data)?;
            self.check_pixels(&view).map_err(|e| format!("{name}: {e}"))?;
            for padding in [0, 1, 13] {
                let padded: Vec<u8> = (0..rows)
                    .flat_map(|y| view.row(y as u32).iter().copied().chain(std::iter::repeat_n(0xa5, padding)))
                    .collect();
                self.check_pixels(&self.image(formats, name, (row + padding) as u32, &padded)?)
                    .map_err(|e| format!("{name}, rows with {padding} bytes of padding: {e}"))?;
            }
            let short = self.data.get(..self.data.len() - 1).unwrap_or_default();
            if self.image(formats, name, step, short).is_ok() {
                return Err(format!("{name}: a byte too few is taken"));
            }
            if row > 0 && self.image(formats, name, row as u32 - 1, &vec![0; (row - 1) * rows]).is_ok() {
                return Err(format!("{name}: rows that are a byte too short are taken"));
            }
        }
        Ok(())
    }

    fn image<'a>(&self, formats: &Formats, name: &str, step: u32, data: &'a [u8]) -> Result<ImageView<'a>, String> {
        let image = formats.image(name, self.width, self.height, step, data);
        image.map(|image| image.with_big_endian(self.big_endian)).map_err(|e| e.to_string())
    }

    fn check_pixels(&self, view: &ImageView<'_>) -> Result<(), String> {
        let mut found = Vec::new();
        view.to_rgb8(&mut found);
        same("all rows", &found, &self.rgb)?;
        let row = self.width as usize * 3;
        for y in 0..self.height {
            let mut alone = vec![0; row];
            view.format().rgb_rows(view, y..y + 1, &mut alone);
            same(&format!("row {y} alone"), &alone, &self.rgb[y as usize * row..][..row])?;
        }
        let rgb = ImageView::with_format(&RGB8, self.width, self.height, self.width * 3, &self.rgb);
        let rgb = rgb.map_err(|e| format!("its rgb: {e}"))?;
        for (width, height) in [(self.width, self.height), (5, 3), (1, 1), (self.width * 2, self.height)] {
            for mode in [ResizeMode::Stretch, ResizeMode::Pad, ResizeMode::Crop] {
                let resized = |view: &ImageView<'_>| {
                    let mut resizer = Resizer::new(width, height, mode)?;
                    let mut out = vec![0; resizer.output_len()];
                    resizer.resize(view, &mut out).map(|()| out)
                };
                let found = resized(view).map_err(|e| e.to_string())?;
                same(&format!("{width}x{height} {mode:?}"), &found, &resized(&rgb).map_err(|e| e.to_string())?)?;
            }
        }
        Ok(())
    }
}

fn same(what: &str, found: &[u8], expected: &[u8]) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: rgb is {found:02x?}, expected {expected:02x?}")) }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect::<Option<Vec<_>>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| (high * 16 + low) as u8).collect())
}
