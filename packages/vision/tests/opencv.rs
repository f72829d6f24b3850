//! Every format is read as OpenCV (and so cv_bridge) reads it, at 640x480 and at an odd size: `tests/make_opencv.py` wrote down what OpenCV makes
//! of it.
#![allow(clippy::unwrap_used)]

use efm_vision::{Decoder, Formats, ImageView};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
    mjpeg: Vec<Mjpeg>,
}

#[derive(Deserialize)]
struct Case {
    encoding: String,
    width: u32,
    height: u32,
    big_endian: bool,
    adler32: u32,
    sample: Vec<[u8; 3]>,
}

#[derive(Deserialize)]
struct Mjpeg {
    file: String,
    width: u32,
    height: u32,
    grid: usize,
    rgb: String,
}

fn file() -> File {
    serde_json::from_str(include_str!("data/opencv.json")).unwrap()
}

/// The same bytes as there.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..count).map(|_| next()).collect()
}

fn adler32(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((1u32, 0u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    high << 16 | low
}

#[test]
fn every_format_gives_opencvs_pixels() {
    let formats = Formats::new();
    let mut seen = BTreeSet::from(["rgb8"]);
    for case in file().cases {
        let format = formats.find(&case.encoding).unwrap();
        let (width, height) = (case.width, case.height);
        let what = format!("{} {width}x{height}", case.encoding);
        let step = u32::try_from(format.row_bytes(width)).unwrap();
        let data = noise(step as usize * format.byte_rows(height) as usize);
        for name in format.names() {
            let image = formats.image(name, width, height, step, &data).unwrap().with_big_endian(case.big_endian);
            let mut rgb = Vec::new();
            image.to_rgb8(&mut rgb);
            let sample = |i: usize| rgb.as_chunks::<3>().0[i * 9973 % (width * height) as usize];
            for (i, expected) in case.sample.iter().enumerate() {
                assert_eq!(sample(i), *expected, "{what}, pixel {i}");
            }
            assert_eq!(adler32(&rgb), case.adler32, "{what}");
        }
        seen.insert(format.names()[0]);
    }
    let all: BTreeSet<_> = formats.iter().map(|format| format.names()[0]).collect();
    assert_eq!(seen, all, "formats without a reference");
}

#[test]
fn sizes_that_opencv_refuses_are_refused_with_what_would_be_right() {
    for (encoding, width, height, words) in [
        ("yuv422", 37, 24, "its width must be even"),
        ("yuv422_yuy2", 37, 24, "its width must be even"),
        ("nv12", 37, 24, "must be even"),
        ("nv21", 38, 23, "must be even"),
        ("bayer_rggb8", 2, 24, "at least 3x3"),
        ("bayer_gbrg16", 24, 1, "at least 3x3"),
    ] {
        let error = ImageView::new(encoding, width, height, 8 * width, &[]).unwrap_err().to_string();
        assert!(error.contains(&format!("{width}x{height}")) && error.contains(words), "{error}");
    }
}

/// A file's part from its marker on.
fn part(file: &[u8], marker: u8) -> usize {
    file.windows(2).position(|pair| pair == [0xff, marker]).unwrap()
}

#[test]
fn mjpeg_without_huffman_tables_is_read_as_libjpeg_reads_it_with_them() {
    for picture in file().mjpeg {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let data = std::fs::read(folder.join(&picture.file)).unwrap();
        assert!(!data.windows(2).any(|pair| pair == [0xff, 0xc4]), "it has tables");
        let digits = picture.rgb.as_bytes().as_chunks::<2>().0;
        let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let expected: Vec<u8> = digits.iter().map(byte).collect();
        for format in ["jpeg", "mjpeg", "MJPG", "rgb8; jpeg compressed bgr8", ""] {
            let mut decoder = Decoder::following();
            let view = decoder.decode(format, &data).unwrap();
            assert_eq!((view.width(), view.height()), (picture.width, picture.height));
            let mut rgb = Vec::new();
            view.to_rgb8(&mut rgb);
            let (pixels, width) = (rgb.as_chunks::<3>().0, picture.width as usize);
            let grid = (0..picture.height as usize)
                .step_by(picture.grid)
                .flat_map(|y| (0..width).step_by(picture.grid).flat_map(move |x| pixels[y * width + x]));
            let apart: Vec<u8> = grid.zip(&expected).map(|(a, b)| a.abs_diff(*b)).collect();
            assert_eq!(apart.len(), expected.len());
            // The standard lets decoders round the inverse transform and the colours between two samples in their own way: by one level each in
            // Y, Cb and Cr, of which 1.8 times as much is seen in blue.
            let (most, sum) = (apart.iter().max().unwrap(), apart.iter().map(|a| u64::from(*a)).sum::<u64>());
            let mean = sum as f64 / apart.len() as f64;
            println!("{}: at most {most}, {mean:.3} in the mean", picture.file);
            assert!(*most <= 3 && mean < 0.5, "{}: {most} grey levels, {mean} in the mean", picture.file);
        }
        // What is damaged in it is found all the same.
        let mut cut = data.clone();
        cut.drain(part(&data, 0xda) + 60..part(&data, 0xda) + 100);
        let error = Decoder::new().decode("mjpeg", &cut).unwrap_err();
        assert!(error.is_damage(), "{error}");
        let error = Decoder::new().decode("mjpeg", &data[..data.len() - 40]).unwrap_err();
        assert!(error.is_damage(), "{error}");
    }
}
