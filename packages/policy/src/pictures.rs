//! Whether a camera's picture is resized as the exporter's own means do it.
//!
//! The golden file has a picture at the camera's own size beside what the exporter made of it. It is resized here by what `camera_ingest` uses.
//!
//! # Why two grey levels
//!
//! Our filters agree with the libraries that they are named after to half a grey level, which is the rounding; with Pillow, which rounds between the
//! two passes, to one (`efm_vision`'s tests). An exporter that rounds twice is at most one further off. What is fitted or filtered otherwise differs by
//! tens of grey levels somewhere in a picture with edges and noise.

use crate::conversion::{ConversionProblem, ConversionReport};
use crate::golden::Golden;
use crate::manifest::{ImageSpec, Manifest};
use crate::outgoing::CameraPicture;
use efm_vision::{Border, Filter, Fit, ImageView, Pad, ResizeMode, Resizer, VisionError};

/// Most that a pixel may differ by, grey levels.
pub(crate) const MOST_LEVELS: u8 = 2;

const MODES: [(ResizeMode, &str); 3] =
    [(ResizeMode::Stretch, "stretch"), (ResizeMode::Pad, "pad"), (ResizeMode::Crop, "crop")];
const FILTERS: [(Filter, &str); 6] = [
    (Filter::BilinearAntialias, "bilinear_antialias"),
    (Filter::Bilinear, "bilinear"),
    (Filter::BicubicAntialias, "bicubic_antialias"),
    (Filter::Lanczos3, "lanczos3"),
    (Filter::Area, "area"),
    (Filter::Nearest, "nearest"),
];
const BORDERS: [(Border, &str); 3] =
    [(Border::Both, "both"), (Border::LeftTop, "left_top"), (Border::RightBottom, "right_bottom")];

fn name_of<T: PartialEq>(list: &[(T, &'static str)], value: &T) -> &'static str {
    list.iter().find(|(known, _)| known == value).map_or("?", |(_, name)| name)
}

/// Compares the pictures of the worked example, camera by camera.
pub(crate) fn compare(manifest: &Manifest, golden: &Golden, report: &mut ConversionReport) {
    for (place, (spec, given)) in manifest.observation.images.iter().zip(&golden.cameras).enumerate() {
        let at = format!("observation.images[{place}]");
        let camera = &spec.name;
        let Some(given) = given else {
            let what = format!("{at} (name, resize, filter, pad) of camera '{camera}'");
            let lacks = format!("the golden file has no cameras.{}: a picture at the camera's own size", spec.tensor);
            report.not_checked.push(format!("{what}: {lacks}"));
            continue;
        };
        named(manifest, place, given, report);
        if let Err(error) = one(spec, &at, given, report) {
            report.problems.push(ConversionProblem::of(&at, format!("camera '{camera}': {error}")));
        }
    }
}

/// Whether the tensor is given the pictures of the camera that it was trained with.
fn named(manifest: &Manifest, place: usize, given: &CameraPicture, report: &mut ConversionReport) {
    let images = &manifest.observation.images;
    let ImageSpec { name, tensor, .. } = &images[place];
    let field = format!("observation.images[{place}].name");
    match &given.name {
        None => report.not_checked.push(format!(
            "{field} ('{name}', whose pictures '{tensor}' gets): the golden file has no cameras.{tensor}.name, the camera in training"
        )),
        Some(there) if there == name => {}
        Some(there) => {
            let other = images.iter().position(|image| image.name == *there);
            let hint = match other {
                Some(other) => format!("that is the name of images[{other}] here, as if both were exchanged"),
                None => "if the camera is the same and only its name is another, write that into the golden file too".to_owned(),
            };
            let problem = format!("is '{name}'; in the golden file '{tensor}' has the pictures of camera '{there}': {hint}");
            report.problems.push(ConversionProblem::of(&field, problem));
        }
    }
}

fn one(spec: &ImageSpec, at: &str, given: &CameraPicture, report: &mut ConversionReport) -> Result<(), VisionError> {
    let made = resized(spec, given, spec.fit())?;
    if same(&made, &given.resized) {
        let others = not_told(spec, given)?;
        if !others.is_empty() {
            let what = format!("{at} of camera '{}'", spec.name);
            let why = format!("its picture in the golden file is the same with {}", others.join(", "));
            report.not_checked.push(format!("{what}: {why} (take one of another aspect ratio, with edges)"));
        }
        return Ok(());
    }
    let (field, hint) = match explained(spec, given)? {
        Some((fields, as_with)) => {
            let fields = fields.iter().map(|field| format!("{at}.{field}")).collect::<Vec<_>>().join(" and ");
            (fields, format!("; with {as_with} it is the same"))
        }
        None => (at.to_owned(), "; no other `resize`, `filter` or `pad` makes it the same".to_owned()),
    };
    let problem = format!("camera '{}': {}{hint}", spec.name, difference(spec, given, &made));
    report.problems.push(ConversionProblem::of(&field, problem));
    Ok(())
}

fn resized(spec: &ImageSpec, given: &CameraPicture, fit: Fit) -> Result<Vec<u8>, VisionError> {
    let mut resizer = Resizer::new(spec.width, spec.height, fit)?;
    let mut out = vec![0; resizer.output_len()];
    resizer.resize(&ImageView::rgb8(given.width, given.height, &given.rgb8)?, &mut out)?;
    Ok(out)
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= MOST_LEVELS)
}

/// How far the picture is from the exporter's, and where.
fn difference(spec: &ImageSpec, given: &CameraPicture, made: &[u8]) -> String {
    let row_len = spec.width as usize * 3;
    let mut largest = 0;
    let (mut first, mut last) = (None, 0);
    for (row, (a, b)) in made.chunks(row_len).zip(given.resized.chunks(row_len)).enumerate() {
        let most = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        if most > MOST_LEVELS {
            (first, last) = (first.or(Some(row)), row);
        }
        largest = largest.max(most);
    }
    let (width, height, first) = (given.width, given.height, first.unwrap_or(0));
    format!(
        "the picture of {width}x{height} pixels in the golden file comes out {largest} grey levels (at most {MOST_LEVELS}) from what its \
         exporter made of it, in rows {first} to {last} of {}, with `resize: {}` and `filter: {}`",
        spec.height,
        name_of(&MODES, &spec.resize),
        name_of(&FILTERS, &spec.filter),
    )
}

/// The fields to be changed, and how, so that the picture is the exporter's: as few as possible.
fn explained(spec: &ImageSpec, given: &CameraPicture) -> Result<Option<(Vec<&'static str>, String)>, VisionError> {
    let stated = spec.fit();
    let mut best: Option<(Vec<&'static str>, String)> = None;
    for (filter, filter_name) in FILTERS {
        for (mode, mode_name) in MODES {
            let borders = if mode == ResizeMode::Pad { &BORDERS[..] } else { &BORDERS[..1] };
            for (border, border_name) in borders {
                // Where a border lies, the exporter's picture has its grey level.
                let corner = match border {
                    Border::Both | Border::LeftTop => given.resized.first(),
                    Border::RightBottom => given.resized.last(),
                };
                let value = if mode == ResizeMode::Pad { corner.copied().unwrap_or(0) } else { 0 };
                let fit = Fit { mode, filter, pad: Pad { border: *border, value } };
                let (mut fields, mut words) = (Vec::new(), Vec::new());
                if mode != stated.mode {
                    fields.push("resize");
                    words.push(format!("`resize: {mode_name}`"));
                }
                if filter != stated.filter {
                    fields.push("filter");
                    words.push(format!("`filter: {filter_name}`"));
                }
                if mode == ResizeMode::Pad && fit.pad != stated.pad {
                    fields.push("pad");
                    words.push(format!("`pad: {{border: {border_name}, value: {value}}}`"));
                }
                let fewer = best.as_ref().is_none_or(|(known, _)| fields.len() < known.len());
                if !fields.is_empty() && fewer && same(&resized(spec, given, fit)?, &given.resized) {
                    best = Some((fields, words.join(" and ")));
                }
            }
        }
    }
    if best.is_none() {
        let swapped: Vec<u8> = given.resized.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*b, *g, *r]).collect();
        if same(&resized(spec, given, stated)?, &swapped) {
            best = Some((
                vec!["encoding"],
                "red and blue exchanged (the exporter's is bgr8; all of ours are rgb8)".to_owned(),
            ));
        }
    }
    Ok(best)
}

/// Other ways of resizing, one field apart, that the picture does not tell from the stated one.
fn not_told(spec: &ImageSpec, given: &CameraPicture) -> Result<Vec<String>, VisionError> {
    let stated = spec.fit();
    let mut found = Vec::new();
    for (mode, name) in MODES.iter().filter(|(mode, _)| *mode != stated.mode) {
        if same(&resized(spec, given, Fit { mode: *mode, ..stated })?, &given.resized) {
            found.push(format!("`resize: {name}`"));
        }
    }
    for (filter, name) in FILTERS.iter().filter(|(filter, _)| *filter != stated.filter) {
        if same(&resized(spec, given, Fit { filter: *filter, ..stated })?, &given.resized) {
            found.push(format!("`filter: {name}`"));
        }
    }
    Ok(found)
}
