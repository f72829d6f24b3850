//! Resizing against what Pillow, torch, OpenCV and JAX make of the same picture, and the functions of openpi, LeRobot and Octo that are built on
//! them: `make_vectors.py` has the sources.
#![allow(clippy::unwrap_used)]

use efm_vision::{Filter, Fit, ImageView, Pad, ResizeMode, Resizer};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    width: u32,
    height: u32,
    rgb8: Vec<u8>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    fit: FitSpec,
    width: u32,
    height: u32,
    /// Grey levels, not rounded but where the original rounds.
    values: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FitSpec {
    mode: ResizeMode,
    filter: Filter,
    #[serde(default)]
    pad: Pad,
}

#[test]
fn every_filter_gives_the_nearest_grey_level_to_its_original() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/resize.json");
    let vectors: Vectors = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let view = ImageView::rgb8(vectors.width, vectors.height, &vectors.rgb8).unwrap();
    assert_eq!(vectors.cases.len(), 40);
    for case in vectors.cases {
        let FitSpec { mode, filter, pad } = case.fit;
        let mut resizer = Resizer::new(case.width, case.height, Fit { mode, filter, pad }).unwrap();
        let mut out = vec![0; resizer.output_len()];
        resizer.resize(&view, &mut out).unwrap();
        // Half a grey level is our own rounding, of numbers that float32 and the file keep to some digits. Pillow rounds bytes twice.
        let within = if case.name.starts_with("openpi") { 1.0 } else { 0.502 };
        for (i, (found, expected)) in out.iter().zip(&case.values).enumerate() {
            let (x, y, name) = (i / 3 % case.width as usize, i / 3 / case.width as usize, &case.name);
            let far = (f64::from(*found) - expected).abs();
            assert!(
                far <= within,
                "{name} to {}x{}, pixel {x}, {y}: {found} and not {expected}",
                case.width,
                case.height
            );
        }
        assert_eq!(out.len(), case.values.len());
    }
}
