//! A policy package on disk: loaded whole, and refused unless everything in it agrees.

use crate::encoder::{EncoderError, EncoderPackage};
use crate::families::parts::{TensorProblem, Tensors};
use crate::files::{self, FileError};
use crate::goal::LanguagePackage;
use crate::golden::{Golden, GoldenError};
use crate::manifest::{JointUnit, LanguageSpec, MANIFEST_FILE, Manifest, ManifestError};
use crate::operators::Operators;
use crate::ranges::{RangeReport, compare_ranges};
use crate::runtime::{self, RuntimeError, RuntimeOptions};
use efm_core::reading::listed;
use efm_robot::{Chain, ChainError, JointKind, RobotModel};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why a package was refused.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Its manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file is missing or changed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A graph does not have the tensors that the manifest says.
    #[error("{} (graph '{role}'): {problem}", file.display())]
    Tensor {
        /// The graph's file.
        file: PathBuf,
        /// Its role in the manifest.
        role: String,
        /// Naming the tensor, what it is and what it should be.
        problem: String,
    },
    /// The worked example is malformed.
    #[error("{}: {source}", file.display())]
    Golden {
        /// The golden file.
        file: PathBuf,
        /// Naming the field.
        source: GoldenError,
    },
    /// Its sentence encoder or tokenizer cannot be used.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// Why a package does not fit a robot.
#[derive(Debug, thiserror::Error)]
pub enum RobotMismatch {
    /// A joint is not there.
    #[error("the policy's joint '{0}' does not exist in the robot description")]
    NoJoint(String),
    /// A joint cannot be commanded.
    #[error("the policy's joint '{joint}' cannot be commanded: in the robot description it {why}")]
    NotActive {
        /// Which.
        joint: String,
        /// "is fixed" or "follows another".
        why: String,
    },
    /// Unit against kind.
    #[error(
        "the policy's joint '{joint}' is in {found}, but it is {kind} in the robot description; expected {expected}"
    )]
    Unit {
        /// Which.
        joint: String,
        /// In the manifest.
        found: JointUnit,
        /// In the robot description.
        kind: &'static str,
        /// That fits.
        expected: JointUnit,
    },
    /// Base, tip, or what lies between.
    #[error("the policy's base_link and tip_link do not fit the robot: {0}")]
    Chain(#[from] ChainError),
    /// A joint between base and tip that the policy does not know.
    #[error("joint '{joint}' between '{base}' and '{tip}' is not in the policy's robot.joints")]
    Unlisted {
        /// Which.
        joint: String,
        /// Base link.
        base: String,
        /// Tip link.
        tip: String,
    },
    /// The arm's joints in another order than in the kinematic chain.
    #[error(
        "the policy's robot.joints are in another order than the robot's: '{found}' stands where the chain has '{expected}'"
    )]
    Order {
        /// In the manifest.
        found: String,
        /// In the robot description.
        expected: String,
    },
    /// The gripper's limits are needed to keep commands within them.
    #[error("the policy's gripper joint '{0}' has no position limits in the robot description")]
    GripperLimits(String),
}

/// Cameras that a policy needs and a set-up lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy needs a camera '{missing}'; there are: {}", listed(available, "none"))]
pub struct CameraMismatch {
    /// The first that is missing.
    pub missing: String,
    /// What is there.
    pub available: Vec<String>,
}

/// What is taken of a package.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Operators that its graphs may have.
    pub operators: Operators,
    /// Its hash ([`PolicyPackage::hash`]), where it is known which one it must be.
    pub hash: Option<String>,
}

/// Where sentence encoders are looked for.
fn places(folder: &Path, search_path: &[PathBuf]) -> Vec<PathBuf> {
    let mut places = search_path.to_vec();
    if let Some(beside) = folder.canonicalize().ok().and_then(|f| f.parent().map(Path::to_owned)) {
        let known = places.iter().any(|p| p.canonicalize().is_ok_and(|p| p == beside));
        if !known {
            places.push(beside);
        }
    }
    places
}

/// A package whose files, graphs, encoder and golden example were checked against its manifest. All bytes are in memory, so what
/// was hashed is what runs.
#[derive(Debug, Clone)]
pub struct PolicyPackage {
    pub(crate) folder: PathBuf,
    pub(crate) manifest: Manifest,
    pub(crate) graphs: BTreeMap<String, Vec<u8>>,
    pub(crate) language: LanguagePackage,
    pub(crate) golden: Golden,
    hash: String,
}

impl PolicyPackage {
    /// Loads the package in a folder. Its sentence encoder is looked for in `<folder>/encoders/*` for each folder of
    /// `search_path`, then beside the package itself.
    ///
    /// # Errors
    /// When anything disagrees: the first disagreement, naming its file and field or tensor.
    pub fn load(folder: &Path, search_path: &[PathBuf]) -> Result<Self, PackageError> {
        Self::load_with(folder, search_path, &LoadOptions::default())
    }

    /// As [`Self::load`], with more said of what is taken.
    ///
    /// # Errors
    /// As [`Self::load`], or when the package is another one than expected.
    pub fn load_with(folder: &Path, search_path: &[PathBuf], options: &LoadOptions) -> Result<Self, PackageError> {
        let file = folder.join(MANIFEST_FILE);
        let text = files::read_settings(folder, MANIFEST_FILE)
            .map_err(|source| FileError::Read { file: file.clone(), source })?;
        let hash = files::hash(text.as_bytes());
        if let Some(expected) = options.hash.as_ref().filter(|expected| **expected != hash) {
            return Err(FileError::Changed { file, expected: expected.clone(), found: hash }.into());
        }
        let manifest = Manifest::parse(&text, &file)?;
        let mut graphs = BTreeMap::new();
        for (role, graph) in &manifest.graphs {
            graphs.insert(role.clone(), files::read_graph(folder, &graph.file, &graph.sha256, &options.operators)?);
        }
        check_graphs(folder, &manifest, &graphs)?;

        let golden = files::read_checked(folder, &manifest.golden.file, &manifest.golden.sha256, files::JSON)?;
        let golden = Golden::parse(&golden, &manifest)
            .map_err(|source| PackageError::Golden { file: folder.join(&manifest.golden.file), source })?;

        let language = LanguagePackage::load(folder, &manifest, &places(folder, search_path), &options.operators)?;
        Ok(Self { folder: folder.to_owned(), manifest, graphs, language, golden, hash })
    }

    /// Bytes of the files that a manifest names, those of its sentence encoder included. What is not there counts nothing.
    pub fn size_of(folder: &Path, manifest: &Manifest, search_path: &[PathBuf]) -> u64 {
        let graphs = manifest.graphs.values().map(|graph| graph.file.as_str());
        let mut names: Vec<&str> = graphs.chain([manifest.golden.file.as_str(), MANIFEST_FILE]).collect();
        let mut encoder = 0;
        match &manifest.observation.language {
            None => {}
            Some(LanguageSpec::Tokens(spec)) => names.push(&spec.tokenizer.file),
            Some(LanguageSpec::Embedding { encoder: wanted, .. }) => {
                encoder = EncoderPackage::size(wanted, &places(folder, search_path));
            }
        }
        files::size(folder, &names) + encoder
    }

    /// What the package says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sha256 of the manifest. As the manifest holds the hashes of everything else, this identifies the policy.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The worked example.
    pub fn golden(&self) -> &Golden {
        &self.golden
    }

    /// Whether the package fits a robot; see [`check_robot`].
    ///
    /// # Errors
    /// Naming the joint, unit or link that does not fit.
    pub fn check_robot(&self, robot: &RobotModel) -> Result<(), RobotMismatch> {
        check_robot(&self.manifest, robot)
    }

    /// How its numbers compare with the position limits of a robot; see [`compare_ranges`].
    pub fn ranges(&self, robot: &RobotModel) -> RangeReport {
        compare_ranges(&self.manifest, Some(&self.golden), robot)
    }

    /// Whether all its cameras are there.
    ///
    /// # Errors
    /// Naming the first that is not.
    pub fn check_cameras<S: AsRef<str>>(&self, available: &[S]) -> Result<(), CameraMismatch> {
        check_cameras(&self.manifest, available)
    }
}

/// Whether all cameras of a manifest are there.
///
/// # Errors
/// Naming the first that is not.
pub fn check_cameras<S: AsRef<str>>(manifest: &Manifest, available: &[S]) -> Result<(), CameraMismatch> {
    match manifest.cameras().find(|camera| !available.iter().any(|a| a.as_ref() == *camera)) {
        None => Ok(()),
        Some(missing) => Err(CameraMismatch {
            missing: missing.to_owned(),
            available: available.iter().map(|a| a.as_ref().to_owned()).collect(),
        }),
    }
}

/// Whether a manifest fits a robot: its joints exist and can be commanded, in the units of their kind; its base and tip exist;
/// the joints between them are all listed, in their order along the chain.
///
/// # Errors
/// Naming the joint, unit or link that does not fit.
pub fn check_robot(manifest: &Manifest, robot: &RobotModel) -> Result<(), RobotMismatch> {
    let contract = &manifest.robot;
    for (name, unit) in contract.joints.iter().zip(&contract.units) {
        let joint = robot.joint(name).ok_or_else(|| RobotMismatch::NoJoint(name.clone()))?;
        if let Some(mimic) = &joint.mimic {
            let why = format!("follows '{}'", mimic.joint);
            return Err(RobotMismatch::NotActive { joint: name.clone(), why });
        }
        let (kind, expected) = match joint.kind {
            JointKind::Revolute => ("revolute", JointUnit::Radian),
            JointKind::Continuous => ("continuous", JointUnit::Radian),
            JointKind::Prismatic => ("prismatic", JointUnit::Metre),
            JointKind::Fixed => {
                return Err(RobotMismatch::NotActive { joint: name.clone(), why: "is fixed".into() });
            }
        };
        if *unit != expected {
            return Err(RobotMismatch::Unit { joint: name.clone(), found: *unit, kind, expected });
        }
    }
    let chain = Chain::new(robot, &contract.base_link, &contract.tip_link)?;
    if let Some(joint) = chain.joint_names().iter().find(|j| !contract.joints.iter().any(|c| c == j)) {
        let (base, tip) = (contract.base_link.clone(), contract.tip_link.clone());
        return Err(RobotMismatch::Unlisted { joint: joint.to_owned(), base, tip });
    }
    let listed = contract.joints.iter().filter(|j| chain.joint_names().index_of(j).is_some());
    if let Some((found, expected)) = listed.zip(chain.joint_names().iter()).find(|(found, expected)| found != expected)
    {
        return Err(RobotMismatch::Order { found: found.clone(), expected: expected.to_owned() });
    }
    if let Some(gripper) = &manifest.action.gripper_joint {
        let limit = robot.joint(gripper).map(|j| j.limit);
        if !limit.is_some_and(|l| l.lower.is_some() && l.upper.is_some()) {
            return Err(RobotMismatch::GripperLimits(gripper.clone()));
        }
    }
    Ok(())
}

/// Compares what each graph really takes and gives with what the manifest says.
fn check_graphs(folder: &Path, manifest: &Manifest, graphs: &BTreeMap<String, Vec<u8>>) -> Result<(), PackageError> {
    let mut signatures = BTreeMap::new();
    for (role, bytes) in graphs {
        let spec = &manifest.graphs[role];
        let file = folder.join(&spec.file);
        let session = runtime::session(bytes, &file, RuntimeOptions::default(), false)?;
        let (inputs, outputs) = runtime::signature(&session);
        let wrong = |problem| PackageError::Tensor { file: file.clone(), role: role.clone(), problem };
        for (what, named, real) in [("input", &spec.inputs, &inputs), ("output", &spec.outputs, &outputs)] {
            for name in named {
                if !real.iter().any(|t| t.name == *name) {
                    let names: Vec<String> = real.iter().map(|t| format!("{:?}", t.name)).collect();
                    let known = listed(&names, "none");
                    return Err(wrong(format!("has no {what} '{name}'; its {what}s are [{known}]")));
                }
            }
        }
        if let Some(extra) = inputs.iter().find(|t| !spec.inputs.contains(&t.name)) {
            return Err(wrong(format!("needs an input '{}' that the manifest does not list", extra.name)));
        }
        signatures.insert(role.as_str(), (inputs, outputs));
    }

    let tensor = |TensorProblem { role, problem }: TensorProblem| {
        let spec = manifest.graphs.get(role);
        let file = spec.map_or_else(|| folder.to_owned(), |spec| folder.join(&spec.file));
        PackageError::Tensor { file, role: role.to_owned(), problem }
    };
    let mut tensors = Tensors::new(manifest, &signatures);
    manifest.runner.tensors(&mut tensors).and_then(|()| tensors.compare()).map_err(tensor)
}
