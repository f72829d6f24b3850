//! What the golden file may hold besides the run of the networks: pictures at a camera's own size, and the chunk as it goes out.
//!
//! Both are made by the exporter with its own means. What is compared with them is [`crate::conversion`]'s and [`crate::pictures`]'.

use crate::golden::{GoldenError, field, numbers, sizes};
use crate::manifest::{ImageSpec, Manifest};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use efm_vision::MAX_SIDE;
use nalgebra::{Isometry3, Matrix3, Rotation3, Translation3, UnitQuaternion};
use serde_json::{Map, Value};

/// Name of the part with the pictures.
pub(crate) const CAMERAS: &str = "cameras";
/// Name of the part with the chunk.
pub(crate) const OUTGOING: &str = "outgoing";
/// Name of the poses of the tool at the observations.
pub(crate) const OBSERVED_TOOLS: &str = "observed_tools";

/// A camera's picture at its own size, and what the exporter's resizing makes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraPicture {
    /// Of the camera in training. None: not given.
    pub name: Option<String>,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Row-major without padding.
    pub rgb8: Vec<u8>,
    /// The same at the policy's size.
    pub resized: Vec<u8>,
}

/// The actions of the worked example as they go out, by the exporter's own conversion and kinematics.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// Order of [`Self::joints`].
    pub joint_names: Vec<String>,
    /// When each row of a chunk is due, seconds after its observation.
    pub times: Vec<f64>,
    /// Joint positions, rad or m, row-major `[chunks x rows x joints]`.
    pub joints: Vec<f64>,
    /// Pose of the tool in the base link, one a row of [`Self::joints`]. Empty: not given.
    pub tools: Vec<Isometry3<f64>>,
    /// Rows after which the policy looked again where it was trained for it or evaluated.
    pub replan_steps: usize,
    /// Joint that is kept within its limits as the gripper's; empty where the exporter has none. None: not given.
    pub gripper_joint: Option<String>,
    /// Posture that the exporter's inverse kinematics leans to, in the order of [`Self::joint_names`], rad or m. None: not given.
    pub rest_posture: Option<Vec<f64>>,
}

fn is_tensor(manifest: &Manifest, name: &str) -> bool {
    let tensor = |names: &[String]| names.iter().any(|known| known == name);
    manifest.graphs.values().any(|graph| tensor(&graph.inputs) || tensor(&graph.outputs))
}

/// A part of the golden file that may be missing. Where a graph has a tensor of this name, it is that tensor.
fn part<'a>(
    fields: &'a Map<String, Value>,
    manifest: &Manifest,
    name: &str,
) -> Result<Option<&'a Map<String, Value>>, GoldenError> {
    if is_tensor(manifest, name) {
        return Ok(None);
    }
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(part)) => Ok(Some(part)),
        Some(_) => Err(field(name, "is not an object".into())),
    }
}

/// A problem of a field, named with what it is in.
fn inside<T>(of: &str, found: Result<T, GoldenError>) -> Result<T, GoldenError> {
    found.map_err(|error| match error {
        GoldenError::Field { field, problem } => GoldenError::Field { field: format!("{of}.{field}"), problem },
        other => other,
    })
}

fn whole(fields: &Map<String, Value>, name: &str, most: u64) -> Result<u64, GoldenError> {
    // Python's divisions and numpy's lengths are written as 152.0.
    let float =
        |value: &Value| value.as_f64().filter(|v| v.fract() == 0.0 && (1.0..=1e9).contains(v)).map(|v| v as u64);
    let value = fields.get(name).and_then(|value| value.as_u64().or_else(|| float(value)));
    let value = value.filter(|value| (1..=most).contains(value));
    value.ok_or_else(|| field(name, format!("is missing or not a whole number from 1 to {most}")))
}

/// Grey levels, as numbers or as the base64 of their bytes.
fn grey(fields: &Map<String, Value>, name: &str, len: usize) -> Result<Vec<u8>, GoldenError> {
    if let Some(Value::String(text)) = fields.get(name) {
        let bytes = base64(text).map_err(|error| field(name, format!("is no base64: {error}")))?;
        return match bytes.len() {
            found if found == len => Ok(bytes),
            found => Err(field(name, format!("has {found} bytes; expected {len}"))),
        };
    }
    let values = numbers(fields, name, Some(len))?;
    match values.iter().find(|v| v.fract() != 0.0 || !(0.0..=255.0).contains(*v)) {
        Some(v) => Err(field(name, format!("holds {v}; expected integers from 0 to 255"))),
        None => Ok(values.into_iter().map(|v| v as u8).collect()),
    }
}

/// Bytes of a text of base64: with line ends in it (MIME), with or without padding, with the alphabet for addresses.
fn base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let standard = |byte: u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    let plain: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(standard).collect();
    ANY_PADDING.decode(plain)
}

/// A name that may be missing.
fn name(fields: &Map<String, Value>, key: &str) -> Result<Option<String>, GoldenError> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.clone())),
        Some(_) => Err(field(key, "is not a name".into())),
    }
}

fn picture(fields: &Map<String, Value>, spec: &ImageSpec) -> Result<CameraPicture, GoldenError> {
    let side = |name| whole(fields, name, u64::from(MAX_SIDE)).map(|side| side as u32);
    let (width, height) = (side("width")?, side("height")?);
    let len = width as usize * height as usize * 3;
    let (rgb8, resized) = (grey(fields, "rgb8", len)?, grey(fields, "resized", spec.len())?);
    Ok(CameraPicture { name: name(fields, "name")?, width, height, rgb8, resized })
}

/// One a camera, in the manifest's order.
pub(crate) fn pictures(
    fields: &Map<String, Value>,
    manifest: &Manifest,
) -> Result<Vec<Option<CameraPicture>>, GoldenError> {
    let images = &manifest.observation.images;
    let Some(part) = part(fields, manifest, CAMERAS)? else { return Ok(vec![None; images.len()]) };
    if let Some(unknown) = part.keys().find(|name| !images.iter().any(|image| image.tensor == **name)) {
        let known: Vec<&str> = images.iter().map(|image| image.tensor.as_str()).collect();
        let problem = format!("is no image tensor of the manifest; those are {}", known.join(", "));
        return inside(CAMERAS, Err(field(unknown, problem)));
    }
    let one = |image: &ImageSpec| match part.get(&image.tensor) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(fields)) => inside(CAMERAS, inside(&image.tensor, picture(fields, image))).map(Some),
        Some(_) => inside(CAMERAS, Err(field(&image.tensor, "is not an object".into()))),
    };
    images.iter().map(one).collect()
}

/// The chunk as it goes out; `chunks` are those of the worked example.
pub(crate) fn outgoing(
    fields: &Map<String, Value>,
    manifest: &Manifest,
    chunks: usize,
) -> Result<Option<Outgoing>, GoldenError> {
    match part(fields, manifest, OUTGOING)? {
        None => Ok(None),
        Some(part) => inside(OUTGOING, chunk(part, chunks)).map(Some),
    }
}

fn chunk(fields: &Map<String, Value>, chunks: usize) -> Result<Outgoing, GoldenError> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let names = fields.get("joint_names").and_then(Value::as_array);
    let names = names.and_then(|names| names.iter().map(text).collect::<Option<Vec<String>>>());
    let joint_names = names.filter(|names| !names.is_empty());
    let joint_names =
        joint_names.ok_or_else(|| field("joint_names", "is missing or not a list of joints' names".into()))?;
    let times = sizes(fields, "times", None)?;
    if times.is_empty() {
        return Err(field("times", "is empty; expected the seconds of each row".into()));
    }
    let rows = chunks * times.len();
    let joints = sizes(fields, "joints", Some(rows * joint_names.len()))?;
    let tools = match fields.get("tools") {
        None | Some(Value::Null) => Vec::new(),
        Some(_) => poses(fields, "tools", rows)?,
    };
    let rest_posture = match fields.get("rest_posture") {
        None | Some(Value::Null) => None,
        Some(_) => Some(sizes(fields, "rest_posture", Some(joint_names.len()))?),
    };
    let gripper_joint = name(fields, "gripper_joint")?;
    let replan_steps = whole(fields, "replan_steps", 1_000_000)? as usize;
    Ok(Outgoing { joint_names, times, joints, tools, replan_steps, gripper_joint, rest_posture })
}

/// Where the exporter had the tool at each observation.
pub(crate) fn observed_tools(
    fields: &Map<String, Value>,
    manifest: &Manifest,
    frames: usize,
) -> Result<Vec<Isometry3<f64>>, GoldenError> {
    match fields.get(OBSERVED_TOOLS) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(_) if is_tensor(manifest, OBSERVED_TOOLS) => Ok(Vec::new()),
        Some(_) => poses(fields, OBSERVED_TOOLS, frames),
    }
}

/// So many poses, one after another.
fn poses(fields: &Map<String, Value>, name: &str, count: usize) -> Result<Vec<Isometry3<f64>>, GoldenError> {
    let values = sizes(fields, name, Some(12 * count))?;
    values.chunks_exact(12).enumerate().map(|(row, values)| pose(name, row, values)).collect()
}

/// A pose of three rows of four numbers: the rotation, and behind it the translation in metres.
fn pose(name: &str, row: usize, values: &[f64]) -> Result<Isometry3<f64>, GoldenError> {
    /// Rounding to some digits passes; what is no rotation does not.
    const ORTHONORMAL: f64 = 1e-3;
    let m = Matrix3::from_fn(|i, j| values[4 * i + j]);
    if (m * m.transpose() - Matrix3::identity()).abs().max() > ORTHONORMAL || m.determinant() < 0.0 {
        let problem = format!("row {row} is no pose: the first three columns of its 3x4 numbers are no rotation");
        return Err(field(name, problem));
    }
    let rotation = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix(&m));
    Ok(Isometry3::from_parts(Translation3::new(values[3], values[7], values[11]), rotation))
}
