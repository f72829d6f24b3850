//! Damaged pictures are refused: nothing of them is made up.
#![allow(clippy::unwrap_used)]

use efm_vision::Decoder;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

const WIDTH: u16 = 160;
const HEIGHT: u16 = 120;

/// A scene of smooth and sharp parts, with some noise.
fn scene(channels: usize) -> Vec<u8> {
    let mut state = 7u32;
    let (width, height) = (usize::from(WIDTH), usize::from(HEIGHT));
    let mut pixels = Vec::with_capacity(width * height * channels);
    for y in 0..height {
        for x in 0..width {
            for c in 0..channels {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (state >> 28) as usize;
                let block = if (x / 24 + y / 20) % 2 == 0 { 60 } else { 0 };
                pixels.push((40 + x * 100 / width + y * (20 + 10 * c) / height + block + noise) as u8);
            }
        }
    }
    pixels
}

fn jpeg(colours: ColorType, sampling: SamplingFactor, progressive: bool, restart: u16) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 85);
    encoder.set_sampling_factor(sampling);
    encoder.set_progressive(progressive);
    encoder.set_restart_interval(restart);
    let channels = if colours == ColorType::Luma { 1 } else { 3 };
    encoder.encode(&scene(channels), WIDTH, HEIGHT, colours).unwrap();
    file
}

/// As cameras and recorders write them.
fn all() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("4:4:4", jpeg(ColorType::Rgb, SamplingFactor::F_1_1, false, 0)),
        ("4:2:2", jpeg(ColorType::Rgb, SamplingFactor::F_2_1, false, 0)),
        ("4:2:0", jpeg(ColorType::Rgb, SamplingFactor::F_2_2, false, 0)),
        ("restarts", jpeg(ColorType::Rgb, SamplingFactor::F_2_2, false, 5)),
        ("grey", jpeg(ColorType::Luma, SamplingFactor::F_1_1, false, 0)),
        ("progressive", jpeg(ColorType::Rgb, SamplingFactor::F_2_2, true, 0)),
        ("progressive restarts", jpeg(ColorType::Rgb, SamplingFactor::F_1_1, true, 7)),
    ]
}

fn png() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, WIDTH.into(), HEIGHT.into());
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&scene(3)).unwrap();
    writer.finish().unwrap();
    file
}

fn refused(file: &[u8], what: &str) -> String {
    match Decoder::new().decode("jpeg", file) {
        Ok(_) => panic!("{what} is taken"),
        Err(error) => error.to_string(),
    }
}

/// Where the data of the (first) scan begin.
fn scan_begins(file: &[u8]) -> usize {
    let sos = file.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    sos + 2 + usize::from(u16::from_be_bytes([file[sos + 2], file[sos + 3]]))
}

/// Where its height lies.
fn height_at(file: &[u8]) -> usize {
    file.windows(2).position(|pair| matches!(pair, [0xff, 0xc0 | 0xc2])).unwrap() + 5
}

#[test]
fn whole_pictures_are_taken() {
    for (kind, file) in all() {
        Decoder::new().decode("jpeg", &file).unwrap_or_else(|e| panic!("{kind}: {e}"));
        // Some drivers send their whole buffer.
        let padded = [&file[..], &[0; 500]].concat();
        Decoder::new().decode("jpeg", &padded).unwrap_or_else(|e| panic!("{kind}, padded: {e}"));
    }
    Decoder::new().decode("png", &png()).unwrap();
}

#[test]
fn a_picture_that_is_cut_anywhere_is_refused() {
    for (kind, file) in all().into_iter().chain([("png", png())]) {
        for part in [20, 50, 90, 99] {
            let error = refused(&file[..file.len() * part / 100], &format!("{kind} cut at {part} %"));
            assert!(error.contains("cannot be read"), "{error}");
        }
        for left in 1..4 {
            refused(&file[..file.len() - left], &format!("{kind} without its last {left} bytes"));
        }
    }
}

#[test]
fn an_end_mark_behind_a_cut_does_not_make_it_whole() {
    for (kind, file) in all() {
        for part in [20, 50, 90, 98] {
            let cut = [&file[..file.len() * part / 100], &[0xff, 0xd9]].concat();
            refused(&cut, &format!("{kind} cut at {part} % and closed"));
        }
    }
}

#[test]
fn a_hole_and_data_of_zeros_are_refused() {
    for (kind, file) in all() {
        let (begin, end) = (scan_begins(&file), file.len() - 2);
        let at = begin + (end - begin) / 2;
        let hole = [&file[..at], &file[at + 40..]].concat();
        refused(&hole, &format!("{kind} with a hole"));
        let mut zeros = file.clone();
        zeros[at..end].fill(0);
        refused(&zeros, &format!("{kind} with a half of zeros"));
        let twice = [&file[..at], &file[at - 60..]].concat();
        refused(&twice, &format!("{kind} with a part twice"));
    }
}

#[test]
fn a_header_that_promises_more_or_less_than_there_is_is_refused() {
    for (kind, file) in all() {
        let at = height_at(&file);
        for (height, width) in
            [(HEIGHT + 16, WIDTH), (HEIGHT * 2, WIDTH * 2), (HEIGHT / 2, WIDTH), (HEIGHT, WIDTH / 2), (3000, 4000)]
        {
            let mut other = file.clone();
            other[at..at + 2].copy_from_slice(&height.to_be_bytes());
            other[at + 2..at + 4].copy_from_slice(&width.to_be_bytes());
            refused(&other, &format!("{kind} as {width}x{height}"));
        }
    }
}

#[test]
fn restart_marks_that_are_missing_or_exchanged_are_refused() {
    let file = jpeg(ColorType::Rgb, SamplingFactor::F_2_2, false, 5);
    let marks: Vec<_> = (scan_begins(&file)..file.len() - 1)
        .filter(|i| file[*i] == 0xff && matches!(file[*i + 1], 0xd0..=0xd7))
        .collect();
    let mut exchanged = file.clone();
    exchanged[marks[1] + 1] = file[marks[2] + 1];
    refused(&exchanged, "an exchanged mark");
    let lost = [&file[..marks[1]], &file[marks[2]..]].concat();
    refused(&lost, "a lost part between marks");
}

/// A scene as a camera shows it from picture to picture: other noise, and something that moves.
fn frame(number: u32) -> Vec<u8> {
    let mut pixels = scene(3);
    let mut state = number.wrapping_mul(7919) | 1;
    for (i, value) in pixels.iter_mut().enumerate() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (x, y) = (i / 3 % usize::from(WIDTH), i / 3 / usize::from(WIDTH));
        let moving = (40 + 2 * number as usize..60 + 2 * number as usize).contains(&x) && (30..70).contains(&y);
        *value = if moving { 230 } else { value.wrapping_add((state >> 30) as u8) };
    }
    pixels
}

fn encoded(pixels: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 85);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(pixels, WIDTH, HEIGHT, ColorType::Rgb).unwrap();
    file
}

#[test]
fn what_a_camera_shows_is_taken_whatever_moves_and_however_the_light_changes() {
    let mut decoder = Decoder::following();
    for number in 0..20 {
        let mut pixels = frame(number);
        if number % 6 > 3 {
            pixels.iter_mut().for_each(|value| *value = value.saturating_add(50));
        }
        decoder.decode("jpeg", &encoded(&pixels)).unwrap_or_else(|e| panic!("picture {number}: {e}"));
    }
    // Another camera's, and the first again.
    decoder.decode("jpeg", &jpeg(ColorType::Luma, SamplingFactor::F_1_1, false, 0)).unwrap();
    decoder.decode("jpeg", &encoded(&frame(3))).unwrap();
    // A whole other scene.
    let upside_down: Vec<u8> = frame(4).rchunks(3).flatten().copied().collect();
    decoder.decode("jpeg", &encoded(&upside_down)).unwrap();
}

/// A JPEG has no checksum: a byte may change a few values and nothing else. What it may not do is to spoil the picture.
#[test]
fn a_changed_byte_is_refused_or_changes_little_and_in_a_png_it_is_refused() {
    let file = png();
    for at in (33..file.len()).step_by(97) {
        let mut other = file.clone();
        other[at] ^= 0x10;
        refused(&other, &format!("png with byte {at} changed"));
    }
    let (before, file) = (encoded(&frame(0)), encoded(&frame(1)));
    let (begin, end) = (scan_begins(&file), file.len() - 2);
    let mut whole = Vec::new();
    Decoder::new().decode("jpeg", &file).unwrap().to_rgb8(&mut whole);
    let (mut tried, mut taken, mut spoilt) = (0, 0, 0);
    for at in (begin..end).step_by(7) {
        for flip in [0x01u8, 0x10, 0x80, 0x5a] {
            let mut other = file.clone();
            other[at] ^= flip;
            let (mut decoder, mut found) = (Decoder::following(), Vec::new());
            decoder.decode("jpeg", &before).unwrap();
            tried += 1;
            let Ok(view) = decoder.decode("jpeg", &other) else { continue };
            taken += 1;
            view.to_rgb8(&mut found);
            let other = whole.iter().zip(&found).filter(|(a, b)| a.abs_diff(**b) > 16).count();
            spoilt += usize::from(other * 20 > whole.len());
        }
    }
    println!("{taken} of {tried} taken, {spoilt} spoilt");
    assert!(spoilt * 50 <= tried, "{spoilt} of {tried} are spoilt and taken");
}

#[test]
fn ten_changed_bytes_are_refused() {
    let (mut taken, mut tried) = (0, 0);
    for (_, file) in all() {
        let (begin, end) = (scan_begins(&file), file.len() - 2);
        for round in 0..40usize {
            let mut other = file.clone();
            for i in 0..10 {
                other[begin + (round * 7919 + i * 104_729) % (end - begin)] ^= 1 << (i % 8);
            }
            tried += 1;
            taken += usize::from(Decoder::new().decode("jpeg", &other).is_ok());
        }
    }
    println!("{taken} of {tried} taken");
    assert!(taken * 10 <= tried, "{taken} of {tried}");
}
