//! Each format reads its fixture, `tests/formats/NAME.txt`, and nothing outside `src/formats/` knows one by name.
#![allow(clippy::unwrap_used)]

use efm_vision::formats::{Fixture, Formats, Pixel, RGB8};
use efm_vision::{ImageView, PixelFormat, ResizeMode, Resizer};
use proptest::prelude::*;
use std::fs;
use std::ops::Range;
use std::path::Path;

#[test]
fn every_format_reads_its_fixture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    let formats = Formats::new();
    for format in formats.iter() {
        let file = folder.join(format!("{}.txt", format.names()[0]));
        let text =
            fs::read_to_string(&file).unwrap_or_else(|e| panic!("{format:?} has no fixture {}: {e}", file.display()));
        let fixture = Fixture::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        fixture.check(&formats, format).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), formats.iter().count(), "a fixture of no format");
}

/// What lies as rgb8 and is read wrongly in some way.
#[derive(Debug)]
struct Wrong(&'static str);

impl PixelFormat for Wrong {
    fn names(&self) -> &'static [&'static str] {
        &["wrong"]
    }
    fn row_bytes(&self, width: u32) -> u64 {
        u64::from(width) * 3 - u64::from(self.0 == "short rows")
    }
    fn byte_rows(&self, height: u32) -> u64 {
        u64::from(height) - u64::from(self.0 == "few rows")
    }
    fn rgb_rows(&self, image: &ImageView<'_>, rows: Range<u32>, out: &mut [u8]) {
        let row = image.width() as usize * 3;
        for (place, y) in rows.clone().enumerate() {
            let y = if self.0 == "always from the first" { place as u32 } else { y };
            if u64::from(y) < self.byte_rows(image.height()) {
                let bytes = image.row(y);
                out[place * row..][..bytes.len()].copy_from_slice(bytes);
            }
        }
        if self.0 == "a wrong last byte" && rows.end == image.height() {
            out[row * rows.len() - 1] ^= 1;
        }
    }
    fn pixel(&self) -> Option<Pixel> {
        (self.0 == "red and blue in place").then_some(Pixel { bytes: 3, rgb: [2, 1, 0] })
    }
}

#[test]
fn a_format_that_reads_wrongly_does_not_pass_its_fixture() {
    let text = include_str!("formats/rgb8.txt");
    let fixture = Fixture::parse(text).unwrap();
    static RIGHT: Wrong = Wrong("right");
    fixture.check(&Formats::new().with(&RIGHT).unwrap(), &RIGHT).unwrap();
    static WRONG: [Wrong; 5] = [
        Wrong("short rows"),
        Wrong("few rows"),
        Wrong("always from the first"),
        Wrong("a wrong last byte"),
        Wrong("red and blue in place"),
    ];
    for wrong in &WRONG {
        let error = fixture.check(&Formats::new().with(wrong).unwrap(), wrong).unwrap_err();
        println!("{error}");
    }
}

#[test]
fn a_fixture_that_is_none_says_which_line() {
    for (text, parts) in [
        ("width two", ["line 1", "whole number"]),
        ("\nheigth 2", ["line 2", "height"]),
        ("data 123", ["line 1", "hexadecimal"]),
        ("rgb 0g", ["line 1", "hexadecimal"]),
        ("big_endian 1", ["line 1", "true or false"]),
    ] {
        let error = Fixture::parse(text).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

/// Two pixels a byte pair, grey in the high half of what is big-endian: a format whose rows are made.
#[derive(Debug)]
struct Made;

impl PixelFormat for Made {
    fn names(&self) -> &'static [&'static str] {
        &["made"]
    }
    fn row_bytes(&self, width: u32) -> u64 {
        u64::from(width) * 2
    }
    fn rgb_rows(&self, image: &ImageView<'_>, rows: Range<u32>, out: &mut [u8]) {
        let high = usize::from(!image.big_endian());
        let values = rows.flat_map(|y| image.row(y).as_chunks::<2>().0.iter().map(move |pair| pair[high]));
        out.as_chunks_mut::<3>().0.iter_mut().zip(values).for_each(|(rgb, value)| *rgb = [value; 3]);
    }
}

proptest! {
    #[test]
    fn a_made_row_is_resized_as_the_same_in_rgb8(
        (w, h, data) in (1..40u32, 1..40u32).prop_flat_map(|(w, h)| {
            (Just(w), Just(h), proptest::collection::vec(any::<u8>(), (w * h * 2) as usize))
        }),
        tw in 1..50u32,
        th in 1..50u32,
        big: bool,
    ) {
        static MADE: Made = Made;
        let view = ImageView::with_format(&MADE, w, h, w * 2, &data).unwrap().with_big_endian(big);
        let rgb: Vec<u8> = data.chunks(2).flat_map(|pair| [pair[usize::from(!big)]; 3]).collect();
        let rgb = ImageView::with_format(&RGB8, w, h, w * 3, &rgb).unwrap();
        for mode in [ResizeMode::Stretch, ResizeMode::Pad, ResizeMode::Crop] {
            let mut resizer = Resizer::new(tw, th, mode).unwrap();
            let (mut found, mut expected) = (vec![0; resizer.output_len()], vec![0; resizer.output_len()]);
            resizer.resize(&view, &mut found).unwrap();
            resizer.resize(&rgb, &mut expected).unwrap();
            prop_assert_eq!(found, expected);
        }
    }
}

/// Bytes for red, green and blue where no shipped format has them.
#[derive(Debug)]
struct Odd(Pixel);

impl PixelFormat for Odd {
    fn names(&self) -> &'static [&'static str] {
        &["odd"]
    }
    fn row_bytes(&self, width: u32) -> u64 {
        u64::from(width) * self.0.bytes as u64
    }
    fn rgb_rows(&self, image: &ImageView<'_>, rows: Range<u32>, out: &mut [u8]) {
        let pixels = rows.flat_map(|y| image.row(y).chunks_exact(self.0.bytes));
        out.as_chunks_mut::<3>()
            .0
            .iter_mut()
            .zip(pixels)
            .for_each(|(rgb, pixel)| *rgb = self.0.rgb.map(|at| pixel[at]));
    }
    fn pixel(&self) -> Option<Pixel> {
        Some(self.0)
    }
}

#[test]
fn pixels_that_lie_in_no_usual_way_are_read_all_the_same() {
    static ODD: [Odd; 6] = [
        Odd(Pixel { bytes: 4, rgb: [1, 2, 3] }),
        Odd(Pixel { bytes: 4, rgb: [3, 2, 1] }),
        Odd(Pixel { bytes: 3, rgb: [1, 0, 2] }),
        Odd(Pixel { bytes: 3, rgb: [2, 2, 2] }),
        Odd(Pixel { bytes: 2, rgb: [1, 1, 1] }),
        Odd(Pixel { bytes: 6, rgb: [5, 0, 3] }),
    ];
    for odd in &ODD {
        let (width, height, Pixel { bytes, rgb }) = (5, 4, odd.0);
        let data: Vec<u8> = (0..width as usize * height as usize * bytes).map(|i| (i * 83 % 251) as u8).collect();
        let rgb = data.chunks(bytes).flat_map(|pixel| rgb.map(|at| pixel[at])).collect();
        let fixture = Fixture { width, height, step: width * bytes as u32, big_endian: false, data, rgb };
        fixture.check(&Formats::new().with(odd).unwrap(), odd).unwrap_or_else(|e| panic!("{odd:?}: {e}"));
    }
}

/// Sources that may name an encoding: they make pictures for measurements, or are the formats.
const ALLOWED: [&str; 3] = ["vision/src/formats", "vision/src/formats.rs", "bench/src/image"];

#[test]
fn no_source_outside_knows_an_encoding_by_its_name() {
    // What rgb8 is called stands in messages of our own; a layout is decided by no name at all.
    let names: Vec<&str> =
        Formats::new().iter().flat_map(PixelFormat::names).copied().filter(|name| *name != "rgb8").collect();
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    let mut folders: Vec<_> = fs::read_dir(packages).unwrap().map(|entry| entry.unwrap().path().join("src")).collect();
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if ALLOWED.iter().any(|allowed| path.starts_with(packages.join(allowed))) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                // Tests may.
                let code = text.split("#[cfg(test)]").next().unwrap();
                let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                let named = code.filter(|line| names.iter().any(|name| line.contains(&format!("\"{name}\""))));
                found.extend(named.map(|line| format!("{}: {}", path.display(), line.trim())));
                files += 1;
            }
        }
    }
    assert!(files > 100, "{files}");
    assert!(found.is_empty(), "{found:#?}");
}
