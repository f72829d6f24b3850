//! A Python process that makes tensors with OpenCV and Pillow, a block at a time.

use crate::driven::{Driven, Script, command};
use crate::image::scene::Kind;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What it runs; its head says how one talks to it.
const SCRIPT: Script = Script { name: "rivals/image.py", text: include_str!("../../rivals/image.py") };

/// What is to be done.
#[derive(Debug, Serialize)]
pub struct Job<'a> {
    /// Which library and how, as `rivals/image.py` names it.
    pub method: &'a str,
    /// A [`Kind`]'s name.
    pub kind: &'static str,
    /// Data of messages.
    pub files: &'a [PathBuf],
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pixels of each side of the result.
    pub target: u32,
    /// How many pictures.
    pub count: usize,
    /// Where to write the first file's tensor.
    pub tensor: Option<&'a Path>,
}

/// What it says.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Versions(BTreeMap<String, String>),
    Nanos(Vec<u64>),
}

/// The process. It ends with its input, when this is dropped.
#[derive(Debug)]
pub struct Rival {
    driven: Driven,
    versions: BTreeMap<String, String>,
}

impl Rival {
    /// Starts it on an interpreter that has cv2, numpy and PIL.
    ///
    /// # Errors
    /// When the interpreter cannot be started, or a module is missing.
    pub fn start(python: &Path) -> Result<Self> {
        // One thread, as ours.
        let mut driven = Driven::start(python, SCRIPT, command(python, SCRIPT, [""; 0], 1))?;
        match driven.read()? {
            Answer::Versions(versions) => Ok(Self { driven, versions }),
            other => bail!("--python {}: began with {other:?} and not with its versions", python.display()),
        }
    }

    /// Of the interpreter and the libraries.
    pub fn versions(&self) -> &BTreeMap<String, String> {
        &self.versions
    }

    /// Nanoseconds of each picture of a job.
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn run(&mut self, job: &Job<'_>) -> Result<Vec<u64>> {
        match self.driven.ask(job).with_context(|| job.method.to_owned())? {
            Answer::Nanos(nanos) if nanos.len() == job.count => Ok(nanos),
            other => bail!("{}: {} pictures were asked for, the answer is {other:?}", job.method, job.count),
        }
    }
}

/// A way of a rival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// As `rivals/image.py` names it.
    pub name: &'static str,
    /// What it is compared as.
    pub group: Group,
    /// For JPEG, raw pictures, or both.
    kinds: &'static [Kind],
}

/// Methods that resample in the same way. Of a group the fastest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The mean of what a target pixel covers.
    OpencvArea,
    /// A triangle that widens with the reduction, as ours.
    PillowBilinear,
    /// The two nearest pixels an axis: aliases, less work.
    OpencvLinear,
    /// Unpacked at half the resolution, then as [`Self::OpencvArea`].
    OpencvReduced,
    /// First a mean of whole pixels, then as [`Self::PillowBilinear`]; of a JPEG, unpacked at a lower resolution.
    PillowQuick,
}

impl Group {
    /// All.
    pub const ALL: [Self; 5] =
        [Self::OpencvArea, Self::PillowBilinear, Self::OpencvLinear, Self::OpencvReduced, Self::PillowQuick];

    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            Self::OpencvArea => "OpenCV INTER_AREA",
            Self::PillowBilinear => "Pillow BILINEAR",
            Self::OpencvLinear => "OpenCV INTER_LINEAR (no antialiasing)",
            Self::OpencvReduced => "OpenCV IMREAD_REDUCED_COLOR_2, INTER_AREA (less quality)",
            Self::PillowQuick => "Pillow draft or reducing_gap (less quality)",
        }
    }
}

impl Method {
    /// All of the kinds of messages.
    pub fn of(kind: Kind) -> impl Iterator<Item = Self> {
        METHODS.into_iter().filter(move |method| method.kinds.contains(&kind))
    }

    /// The last part of its name: how the tensor is made, or how the work is made less.
    pub fn form(self) -> &'static str {
        self.name.rsplit('/').next().unwrap_or(self.name)
    }
}

const METHODS: [Method; 10] = {
    const fn method(name: &'static str, group: Group, kinds: &'static [Kind]) -> Method {
        Method { name, group, kinds }
    }
    [
        method("opencv/area/blob", Group::OpencvArea, &Kind::ALL),
        method("opencv/area/lut", Group::OpencvArea, &Kind::ALL),
        method("opencv/area/numpy", Group::OpencvArea, &Kind::ALL),
        method("opencv/area/extract", Group::OpencvArea, &Kind::ALL),
        method("opencv/linear/lut", Group::OpencvLinear, &Kind::ALL),
        method("opencv/linear/extract", Group::OpencvLinear, &Kind::ALL),
        method("opencv/area-reduced/lut", Group::OpencvReduced, &[Kind::Jpeg]),
        method("pillow/bilinear/whole", Group::PillowBilinear, &Kind::ALL),
        method("pillow/bilinear/gap", Group::PillowQuick, &[Kind::Rgb8, Kind::Bgr8]),
        method("pillow/bilinear/draft", Group::PillowQuick, &[Kind::Jpeg]),
    ]
};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(line: &str) -> Result<Answer> {
        crate::driven::parse(SCRIPT, line)
    }

    #[test]
    fn answers_are_read_and_troubles_are_told() {
        assert_eq!(parse("{\"nanos\": [5, 7]}\n").unwrap(), Answer::Nanos(vec![5, 7]));
        let versions = BTreeMap::from([("OpenCV".to_owned(), "4.12.0".to_owned())]);
        assert_eq!(parse("{\"versions\": {\"OpenCV\": \"4.12.0\"}}").unwrap(), Answer::Versions(versions));
        let error = parse("{\"error\": \"No module named 'cv2'\"}").unwrap_err().to_string();
        assert!(error.contains("rivals/image.py") && error.contains("cv2"), "{error}");
        let error = parse(&format!("Traceback {}", "x".repeat(9999))).unwrap_err().to_string();
        assert!(error.contains("Traceback") && error.len() < 300, "{error}");
    }

    #[test]
    fn a_python_that_is_none_is_told() {
        let error = format!("{:#}", Rival::start(Path::new("/nowhere/python3")).unwrap_err());
        assert!(error.contains("--python /nowhere/python3: cannot be started"), "{error}");
        let error = format!("{:#}", Rival::start(Path::new("/bin/true")).unwrap_err());
        assert!(error.contains("--python /bin/true: ended without an answer"), "{error}");
        let error = format!("{:#}", Rival::start(Path::new("/bin/echo")).unwrap_err());
        assert!(error.contains("--python /bin/echo") && error.contains("not an answer"), "{error}");
    }

    #[test]
    fn a_job_is_written_as_the_script_reads_it() {
        let files = [PathBuf::from("/tmp/a")];
        let job = Job {
            method: "opencv/area/lut",
            kind: "bgr8",
            files: &files,
            width: 640,
            height: 480,
            target: 224,
            count: 3,
            tensor: None,
        };
        let value = serde_json::to_value(&job).unwrap();
        for key in ["method", "kind", "files", "width", "height", "target", "count", "tensor"] {
            assert!(value.get(key).is_some() && SCRIPT.text.contains(&format!("job[\"{key}\"]")), "{key}");
        }
    }
}
