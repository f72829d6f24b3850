//! JPEG and PNG come out to the bit as the `image` crate unpacks them: what stands behind it is asked here without it.
#![allow(clippy::unwrap_used)]

use efm_vision::Decoder;
use image::{DynamicImage, ImageFormat};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use std::io::Cursor;

/// Smooth in one corner, noisy in the other.
fn pixels(count: usize) -> Vec<u8> {
    let mut state = 7u32;
    (0..count)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 24) as usize * i / count;
            (i * 200 / count + noise / 4) as u8
        })
        .collect()
}

fn same(decoder: &mut Decoder, file: &[u8], what: &str) {
    let view = decoder.decode("", file).unwrap_or_else(|e| panic!("{what}: {e}"));
    let expected = image::load_from_memory(file).unwrap();
    assert_eq!((view.width(), view.height()), (expected.width(), expected.height()), "{what}");
    let mut rgb = Vec::new();
    view.to_rgb8(&mut rgb);
    assert!(rgb == expected.clone().into_rgb8().into_raw(), "{what}: other pixels");
    let grey = matches!(expected, DynamicImage::ImageLuma8(_));
    assert_eq!(view.encoding() == "mono8", grey, "{what}");
}

#[test]
fn every_kind_of_jpeg_comes_out_as_before_and_cmyk_is_refused() {
    let mut decoder = Decoder::new();
    let samplings = [
        SamplingFactor::F_1_1,
        SamplingFactor::F_2_1,
        SamplingFactor::F_1_2,
        SamplingFactor::F_2_2,
        SamplingFactor::F_4_1,
        SamplingFactor::R_4_4_4,
        SamplingFactor::R_4_2_0,
    ];
    for (width, height) in [(64u16, 48u16), (37, 23), (8, 8), (1, 1), (17, 1), (1, 19), (320, 180)] {
        for (colours, channels) in [
            (ColorType::Rgb, 3),
            (ColorType::Luma, 1),
            (ColorType::Ycbcr, 3),
            (ColorType::Cmyk, 4),
            (ColorType::CmykAsYcck, 4),
        ] {
            for sampling in samplings {
                for (quality, progressive, restart) in [(90, false, 0), (30, true, 0), (100, false, 3)] {
                    let mut file = Vec::new();
                    let mut encoder = Encoder::new(&mut file, quality);
                    encoder.set_sampling_factor(sampling);
                    encoder.set_progressive(progressive);
                    encoder.set_restart_interval(restart);
                    let data = pixels(usize::from(width) * usize::from(height) * channels);
                    encoder.encode(&data, width, height, colours).unwrap();
                    let what = format!("{width}x{height} {colours:?} {sampling:?} {quality} {progressive} {restart}");
                    if channels == 4 {
                        // Some of these make the decoder panic.
                        let error = decoder.decode("", &file).unwrap_err().to_string();
                        assert!(error.contains("CMYK") || error.contains("YCCK"), "{what}: {error}");
                    } else {
                        same(&mut decoder, &file, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn every_kind_of_png_comes_out_as_before_or_is_refused_as_before() {
    let mut decoder = Decoder::new();
    for (width, height) in [(64u32, 48u32), (37, 23), (1, 1)] {
        for bits in [1u8, 2, 4, 8, 16] {
            for colours in [0u8, 2, 3, 4, 6] {
                let depth = png::BitDepth::from_u8(bits).unwrap();
                let colour = png::ColorType::from_u8(colours).unwrap();
                let mut file = Vec::new();
                let mut encoder = png::Encoder::new(&mut file, width, height);
                encoder.set_color(colour);
                encoder.set_depth(depth);
                if colours == 3 {
                    encoder.set_palette(pixels(3 << bits.min(8)));
                    if bits == 4 {
                        encoder.set_trns(vec![0, 128]);
                    }
                }
                let Ok(mut writer) = encoder.write_header() else { continue };
                let samples = [1, 0, 3, 1, 2, 0, 4][usize::from(colours)];
                let row = (width as usize * samples * usize::from(bits)).div_ceil(8);
                writer.write_image_data(&pixels(row * height as usize)).unwrap();
                writer.finish().unwrap();
                let what = format!("{width}x{height} {colour:?} {bits}");
                match image::load_from_memory(&file).unwrap() {
                    DynamicImage::ImageLuma8(_) | DynamicImage::ImageRgb8(_) | DynamicImage::ImageRgba8(_) => {
                        same(&mut decoder, &file, &what);
                    }
                    _ => {
                        let error = decoder.decode("", &file).unwrap_err().to_string();
                        assert!(
                            error.contains("its pixels are") && error.contains("8-bit JPEG or PNG"),
                            "{what}: {error}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn other_files_and_cut_ones_are_refused_by_name() {
    let mut decoder = Decoder::new();
    let mut gif = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(3, 2).write_to(&mut gif, ImageFormat::Gif).unwrap();
    for (bytes, part) in [
        (&gif.into_inner()[..], "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
        (b"BM\x00\x00", "image/bmp"),
        (b"II*\x00", "image/tiff"),
        (b"", "0 bytes of an unknown kind"),
        (b"none", "4 bytes of an unknown kind"),
        (b"\xff\xd8\xff", "cannot be read"),
        (b"\x89PNG\r\n\x1a\n", "cannot be read"),
    ] {
        let error = decoder.decode("jpeg", bytes).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("'jpeg'"), "{error}");
    }
}

#[test]
fn sides_that_are_too_long_are_refused_before_anything_is_made_for_them() {
    let mut decoder = Decoder::new();
    // A picture of one row; its header is then made to promise more.
    let mut file = Vec::new();
    let mut writer = png::Encoder::new(&mut file, 1, 1).write_header().unwrap();
    writer.write_image_data(&[0]).unwrap();
    writer.finish().unwrap();
    for (width, height) in [(16_385u32, 1u32), (1, 16_385), (16_384, 16_384)] {
        file[16..20].copy_from_slice(&width.to_be_bytes());
        file[20..24].copy_from_slice(&height.to_be_bytes());
        let sum = crc(&file[12..29]);
        file[29..33].copy_from_slice(&sum.to_be_bytes());
        let error = decoder.decode("png", &file).unwrap_err().to_string();
        assert!(error.contains(&format!("{width}x{height} pixels are too many")), "{error}");
    }
    let mut file = Vec::new();
    Encoder::new(&mut file, 90).encode(&[0], 1, 1, ColorType::Luma).unwrap();
    let sof = file.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    for (width, height) in [(16_385u16, 1u16), (1, 16_385), (16_384, 16_384)] {
        file[sof + 5..sof + 7].copy_from_slice(&height.to_be_bytes());
        file[sof + 7..sof + 9].copy_from_slice(&width.to_be_bytes());
        let error = decoder.decode("jpeg", &file).unwrap_err().to_string();
        assert!(error.contains("16385") || error.contains("too many"), "{error}");
    }
}

/// That of PNG's chunks.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    })
}
