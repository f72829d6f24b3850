//! A picture comes out of the resizer to the bit as it always did: policies are trained on, and golden files hold, what it gave.
#![allow(clippy::unwrap_used)]

use efm_vision::{Filter, Fit, ImageView, Pad, ResizeMode, Resizer};

const FILTERS: [Filter; 6] = [
    Filter::BilinearAntialias,
    Filter::Bilinear,
    Filter::BicubicAntialias,
    Filter::Lanczos3,
    Filter::Area,
    Filter::Nearest,
];

/// Source and target sizes: cameras' own, smaller, larger, odd, and one pixel.
const SIZES: [[u32; 4]; 8] = [
    [640, 480, 224, 224],
    [320, 180, 64, 64],
    [64, 48, 64, 48],
    [37, 23, 50, 9],
    [128, 72, 32, 33],
    [17, 11, 40, 41],
    [1, 9, 3, 2],
    [300, 2, 1, 1],
];

/// FNV-1a.
fn hash(mut sum: u64, bytes: &[u8]) -> u64 {
    for byte in bytes {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    sum
}

#[test]
fn every_filter_mode_and_encoding_gives_the_bits_that_it_gave_when_this_was_written() {
    let mut found = Vec::new();
    for filter in FILTERS {
        let mut sum = 0xcbf2_9ce4_8422_2325;
        let mut state = 1u64;
        for [width, height, target_width, target_height] in SIZES {
            for (encoding, stride) in [("rgb8", 3), ("bgr8", 3), ("rgba8", 4), ("bgra8", 4), ("mono8", 1)] {
                // Rows have padding, which must not matter.
                let step = width * stride + 5;
                let data: Vec<u8> = (0..step * height)
                    .map(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        (state >> 56) as u8
                    })
                    .collect();
                let view = ImageView::new(encoding, width, height, step, &data).unwrap();
                for mode in [ResizeMode::Stretch, ResizeMode::Pad, ResizeMode::Crop] {
                    let pad = Pad { value: 7, ..Pad::default() };
                    let mut resizer = Resizer::new(target_width, target_height, Fit { mode, filter, pad }).unwrap();
                    let mut out = vec![0; resizer.output_len()];
                    resizer.resize(&view, &mut out).unwrap();
                    sum = hash(sum, &out);
                }
            }
        }
        found.push(format!("{filter:?} {sum:016x}"));
    }
    let expected = [
        "BilinearAntialias e51cd57230c632b2",
        "Bilinear f0c818ad3d30db79",
        "BicubicAntialias 27ca959213b3f776",
        "Lanczos3 ad3a368047e188b6",
        "Area edb33ab4003c5bd1",
        "Nearest c3b3911175bdf788",
    ];
    assert_eq!(found, expected);
}
