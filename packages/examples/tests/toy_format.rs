//! The toy pixel format passes what the shipped ones pass, and a camera takes it.
#![allow(clippy::unwrap_used)]

use efm_app::camera::{CameraStream, Picture};
use efm_core::Stamp;
use efm_core::freshness::FreshnessBounds;
use efm_examples::toy_format::GRAY4;
use efm_vision::formats::Fixture;
use efm_vision::{Formats, ResizeMode};

#[test]
fn the_toy_reads_its_fixture() {
    let formats = Formats::new().with(&GRAY4).unwrap();
    Fixture::parse(include_str!("gray4.txt")).unwrap().check(&formats, &GRAY4).unwrap();
}

#[test]
fn a_camera_takes_the_toy_once_it_is_added_and_names_it_otherwise() {
    let bounds = FreshnessBounds { max_silence: 1.0, max_age: 1.0, max_future: 0.05 };
    let now = Stamp::from_nanos(5_000_000_000);
    let stream = || CameraStream::new("front", 2, 1, ResizeMode::Stretch, bounds).unwrap();
    let picture = Picture::Raw { encoding: "gray4", width: 2, height: 1, step: 1, big_endian: false, data: &[0x3f] };
    let mut out = Vec::new();
    let error = stream().process(now, now, picture, &mut out).unwrap_err().to_string();
    assert!(error.contains("'front'") && error.contains("'gray4'") && error.contains("mono8"), "{error}");
    let mut added = stream().with_formats(Formats::new().with(&GRAY4).unwrap());
    added.process(now, now, picture, &mut out).unwrap();
    assert_eq!(out, [51, 51, 51, 255, 255, 255]);
}
