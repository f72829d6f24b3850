//! What somebody says that an encoding is whose name does not tell it: the parameter `read_as` of `camera_ingest`.

use efm_config::codes::wrong;
use efm_config::{Params, Rule};
use efm_core::Reason;
use efm_core::reading::beginning;
use efm_vision::Formats;

const NAME: &str = "read_as";

/// The form of `read_as`.
pub const READ_AS: Rule = Rule::new(
    "CAMERA:ENCODING=FORMAT, as `front:8UC3=bgr8`.",
    &[],
    |params| all(params).map(drop),
    &[
        r#"{"read_as": ["front"]}"#,
        r#"{"read_as": ["front:8UC3"]}"#,
        r#"{"read_as": ["8UC3=bgr8"]}"#,
        r#"{"read_as": ["front:8UC3=mono8"]}"#,
        r#"{"read_as": ["front:rgb8=bgr8"]}"#,
        r#"{"read_as": ["front:8UC3=bgr8", "front:8UC3=rgb8"]}"#,
    ],
);

/// What is said, by camera.
fn all(params: &Params) -> Result<Vec<(String, Formats)>, Reason> {
    let refuse = |text: &str, problem: &str| {
        let text = format!("parameter '{NAME}': '{}': {problem}", beginning(text, 60));
        wrong(text, "expected CAMERA:ENCODING=FORMAT, as front:8UC3=bgr8")
    };
    let mut said: Vec<(String, Formats)> = Vec::new();
    for text in params.texts(NAME).iter().filter(|text| !text.is_empty()) {
        let parts = text.split_once(':').and_then(|(camera, rest)| Some((camera, rest.split_once('=')?)));
        let Some((camera, (encoding, meant))) = parts.filter(|(camera, _)| !camera.is_empty()) else {
            return Err(refuse(text, "it has not this form"));
        };
        let formats = said.iter().position(|(name, _)| name == camera).map(|at| said.swap_remove(at).1);
        let formats = formats.unwrap_or_default().read_as(encoding, meant).map_err(|e| refuse(text, &e.to_string()))?;
        said.push((camera.to_owned(), formats));
    }
    Ok(said)
}

/// The formats that a camera's pictures are read by. `read_as` has been checked.
pub fn formats_of(params: &Params, camera: &str) -> Formats {
    let said = all(params).unwrap_or_default().into_iter().find(|(name, _)| name == camera);
    said.map(|(_, formats)| formats).unwrap_or_default()
}

/// What to do about an encoding that may be one of several.
pub(super) fn remedy(camera: &str, encoding: &str, may_be: &[&str]) -> String {
    let (example, all) = (may_be.first().unwrap_or(&""), may_be.join(", "));
    format!(
        "say what they are by the parameter '{NAME}', as {camera}:{encoding}={example} (it may be one of: {all}), or let the camera's driver send rgb8"
    )
}
