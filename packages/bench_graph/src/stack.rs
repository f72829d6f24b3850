//! The graphs that are compared, as processes.

use crate::Options;
use anyhow::{Context, Result, bail};
use efm_core::reading;
use efm_demo::processes::Processes;
use efm_policy::LanguageSpec;
use std::path::{Path, PathBuf};

/// Who runs the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stack {
    /// Our nodes.
    Ours,
    /// Our nodes in one process.
    Composed,
    /// The same split in rclpy.
    Rclpy,
    /// Relays and the bare model.
    Floor,
}

impl Stack {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "embodied_fm",
            Self::Composed => "embodied_fm, one process",
            Self::Rclpy => "rclpy",
            Self::Floor => "floor",
        }
    }
}

/// A policy package, as a copy that looks at the world ten times a second, so that there is much to measure.
pub struct Package {
    /// Name.
    pub name: String,
    /// Its cameras.
    pub cameras: Vec<String>,
    /// The copy.
    pub folder: PathBuf,
    /// Where text encoders are.
    pub models: Vec<PathBuf>,
    /// Its text encoder.
    pub encoder: PathBuf,
}

impl Package {
    /// Copies a package into `to`.
    ///
    /// # Errors
    /// When it cannot be read, or is no package.
    pub fn copy(from: &Path, models: Vec<PathBuf>, to: &Path) -> Result<Self> {
        let name = from.file_name().context("the policy has no name")?.to_string_lossy().into_owned();
        let folder = to.join(&name);
        std::fs::create_dir_all(&folder)?;
        for entry in std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
            let file = entry?.path();
            if let Some(name) = file.file_name().filter(|_| file.is_file()) {
                std::fs::copy(&file, folder.join(name))?;
            }
        }
        let file = folder.join("policy.yaml");
        let text = reading::text(&file, reading::REPORT).with_context(|| format!("cannot read {}", file.display()))?;
        let mut manifest: serde_yaml::Value = serde_yaml::from_str(&text)?;
        let steps = manifest.get_mut("execution").and_then(|e| e.get_mut("replan_steps"));
        *steps.with_context(|| format!("{}: no execution.replan_steps", file.display()))? = 1.into();
        std::fs::write(&file, serde_yaml::to_string(&manifest)?)?;
        let package = efm_policy::PolicyPackage::load(&folder, &models)?;
        let cameras = package.manifest().cameras().map(str::to_owned).collect();
        let encoder = &package.manifest().observation.language;
        let Some(LanguageSpec::Embedding { encoder, .. }) = encoder else {
            bail!("{name} has no text encoder of its own")
        };
        let encoder = Path::new("encoders").join(&encoder.name);
        let encoder = models.iter().map(|folder| folder.join(&encoder)).find(|folder| folder.is_dir());
        let encoder = encoder.with_context(|| format!("the text encoder of {name} is not there"))?;
        Ok(Self { name, cameras, folder, models, encoder })
    }
}

/// Keeps every core awake until what it returns is dropped.
///
/// # Errors
/// When the process cannot be started.
pub fn keep_awake(logs: &Path) -> Result<Processes> {
    let mut awake = Processes::default();
    awake.add("awake", &std::env::current_exe()?, vec!["awake".to_owned()], logs)?;
    Ok(awake)
}

const NODES: [&str; 4] = ["camera_ingest", "goal_intake", "vla_inference", "trajectory_publisher"];

fn begin_arguments(root: &Path) -> Vec<String> {
    let file = root.join("config/panda.yaml").display().to_string();
    vec!["--ros-args".to_owned(), "--params-file".to_owned(), file]
}

fn parameters(name: &str, options: &Options, package: &Package) -> Vec<String> {
    let mut set = match name {
        "goal_intake" => vec!["goal_timeout:=3600.0".to_owned()],
        "trajectory_publisher" => return publisher_parameters(&options.root),
        _ => vec![],
    };
    if matches!(name, "camera_ingest" | "vla_inference") {
        let models: Vec<_> = package.models.iter().map(|path| format!("'{}'", path.display())).collect();
        set.push(format!("policy:={}", package.folder.display()));
        set.push(format!("models_path:=[{}]", models.join(", ")));
    }
    if name == "vla_inference" {
        set.push(description(&options.root));
    }
    set.into_iter().flat_map(|value| ["-p".to_owned(), value]).collect()
}

fn description(root: &Path) -> String {
    format!("robot_description_file:={}", root.join("urdf/panda.urdf").display())
}

/// Parameters of trajectory_publisher, as arguments.
fn publisher_parameters(root: &Path) -> Vec<String> {
    vec!["-p".to_owned(), description(root), "-p".to_owned(), "armed_at_start:=true".to_owned()]
}

/// Arguments of trajectory_publisher by itself, at so many ticks a second.
pub fn publisher_arguments(root: &Path, rate: f64) -> Vec<String> {
    let mut arguments = begin_arguments(root);
    arguments.extend(publisher_parameters(root));
    arguments.extend(["-p".to_owned(), format!("rate:={rate:.1}")]);
    arguments
}

/// Starts the processes of a graph. What they write at their end comes into `out`.
///
/// # Errors
/// When one cannot be started.
pub fn start(stack: Stack, options: &Options, package: &Package, out: &Path) -> Result<Processes> {
    let bin = std::env::current_exe()?.parent().context("this program lies nowhere")?.to_owned();
    let logs = options.logs.clone().unwrap_or_else(|| out.to_owned()).join(stack.name());
    std::fs::create_dir_all(&logs)?;
    let mut processes = Processes::default();
    let text = |path: &Path| path.display().to_string();
    // They send nothing large; the stand-in, as cameras do, does, and has the other one.
    let small =
        format!("FASTRTPS_DEFAULT_PROFILES_FILE={}", options.root.join("config/fastdds_local_small.xml").display());
    let mut add = |name: &str, executable: &Path, mut arguments: Vec<String>| {
        arguments.splice(0..0, [small.clone(), text(executable)]);
        processes.add(name, Path::new("/usr/bin/env"), arguments, &logs)
    };
    match stack {
        Stack::Ours => {
            for name in NODES {
                let mut arguments = begin_arguments(&options.root);
                arguments.extend(parameters(name, options, package));
                add(name, &bin.join(name), arguments)?;
            }
        }
        Stack::Composed => {
            let mut arguments = NODES.map(str::to_owned).to_vec();
            arguments.extend(begin_arguments(&options.root));
            arguments.extend(NODES.iter().flat_map(|name| parameters(name, options, package)));
            add("composed", &bin.join("composed"), arguments)?;
        }
        Stack::Rclpy => {
            let python = options.python.as_ref().context("--python is missing")?;
            let script = options.root.join("packages/bench/rivals/rclpy_nodes.py");
            for name in NODES {
                let out = out.join(format!("{name}.json"));
                let mut arguments = vec![text(&script), name.to_owned(), text(&package.folder), text(&out)];
                arguments.extend((name == "vla_inference").then(|| text(&package.encoder)));
                add(name, python, arguments)?;
            }
        }
        Stack::Floor => {
            let relays =
                [("camera_ingest", "camera"), ("vla_inference", "inference"), ("trajectory_publisher", "publisher")];
            for (name, place) in relays {
                let mut arguments = vec!["relay".to_owned(), place.to_owned()];
                arguments.extend(["--policy".to_owned(), text(&package.folder)]);
                for folder in &package.models {
                    arguments.extend(["--models".to_owned(), text(folder)]);
                }
                arguments.extend(["--out".to_owned(), text(&out.join(format!("{name}.json")))]);
                add(name, &std::env::current_exe()?, arguments)?;
            }
        }
    }
    Ok(processes)
}
