//! The one door to ONNX Runtime: finding the shared library, making deterministic sessions, reading what a graph really takes
//! and gives.

use ort::environment::Environment;
use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{Outlet, TensorElementType, ValueType};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Environment variable with the path of the shared library.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Why ONNX Runtime cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The shared library cannot be loaded.
    #[error(
        "ONNX Runtime cannot be loaded from {}: {problem}; set {LIBRARY_VARIABLE} to the path of libonnxruntime.so (1.24 or newer)",
        path.display()
    )]
    Library {
        /// Where it was looked for.
        path: PathBuf,
        /// What the loader said.
        problem: String,
    },
    /// The library was built without what is to run the graphs.
    #[error("ONNX Runtime here has no execution provider {wanted}; build or install one that has it, or use cpu")]
    Provider {
        /// Which.
        wanted: Provider,
    },
    /// A graph cannot be loaded or run.
    #[error("ONNX graph {graph}: {source}")]
    Graph {
        /// File.
        graph: String,
        /// From ONNX Runtime.
        source: ort::Error,
    },
}

/// Settings of a policy's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// Threads that one graph may use. The result of a graph may depend on this number in its last digits; it is the same from
    /// run to run for the same number.
    pub intra_threads: usize,
    /// What runs the graphs. On anything but the CPU results differ in their last digits from the exporter's.
    pub provider: Provider,
}

impl Default for RuntimeOptions {
    /// One thread on the CPU.
    fn default() -> Self {
        Self { intra_threads: 1, provider: Provider::Cpu }
    }
}

/// What runs the graphs: an execution provider of ONNX Runtime, where the library that is loaded has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Provider {
    /// The processor.
    #[default]
    Cpu,
    /// NVIDIA's CUDA.
    Cuda,
    /// NVIDIA's TensorRT; what it cannot run goes to CUDA, then to the processor.
    TensorRt,
    /// Intel's OpenVINO.
    OpenVino,
}

impl Provider {
    /// All, by their names in configuration.
    pub const NAMED: [(&'static str, Self); 4] =
        [("cpu", Self::Cpu), ("cuda", Self::Cuda), ("tensorrt", Self::TensorRt), ("openvino", Self::OpenVino)];

    /// By its name in configuration.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|(known, _)| *known == name).map(|(_, provider)| provider)
    }

    /// What a session is told, the most wanted first; the processor is always there. The error of one that the library lacks is ours, as
    /// ONNX Runtime would only warn and take the processor.
    fn dispatches(self) -> Result<Vec<ExecutionProviderDispatch>, RuntimeError> {
        let there = match self {
            Self::Cpu => Ok(true),
            Self::Cuda => ep::CUDA::is_available(),
            Self::TensorRt => ep::TensorRT::is_available(),
            Self::OpenVino => ep::OpenVINO::is_available(),
        };
        if !there.unwrap_or(false) {
            return Err(RuntimeError::Provider { wanted: self });
        }
        Ok(match self {
            Self::Cpu => Vec::new(),
            Self::Cuda => vec![ep::CUDA::default().build().error_on_failure()],
            Self::TensorRt => vec![ep::TensorRT::default().build().error_on_failure(), ep::CUDA::default().build()],
            Self::OpenVino => vec![ep::OpenVINO::default().build().error_on_failure()],
        })
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMED.iter().find(|(_, provider)| provider == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Loads ONNX Runtime from a file, for programs that know where it is. Does nothing when it is loaded already: a process has one.
///
/// # Errors
/// When the file cannot be loaded or is too old.
pub fn use_library(path: &Path) -> Result<(), RuntimeError> {
    load(|| path.to_owned()).map(drop)
}

/// The process-wide environment; loads the library named by `ORT_DYLIB_PATH` (or `libonnxruntime.so` on the loader's path) at
/// the first call.
fn environment() -> Result<Environment, RuntimeError> {
    load(|| match std::env::var_os(LIBRARY_VARIABLE) {
        Some(path) if !path.is_empty() => PathBuf::from(path),
        _ => PathBuf::from("libonnxruntime.so"),
    })
}

/// Loads the library where it is not loaded yet, from [`LIBRARY_VARIABLE`] or by its name: tensors can be made without a session, but not without it.
///
/// # Errors
/// When it cannot be loaded or is too old.
pub fn load_library() -> Result<(), RuntimeError> {
    environment().map(drop)
}

fn load(path: impl FnOnce() -> PathBuf) -> Result<Environment, RuntimeError> {
    let mut slot = ENVIRONMENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(environment) = &*slot {
        return Ok(environment.clone());
    }
    let path = path();
    let failed = |problem: String| RuntimeError::Library { path: path.clone(), problem };
    let environment = ort::init_from(&path)
        .map_err(|e| failed(e.to_string()))?
        .with_telemetry(false)
        .build()
        .map_err(|e| failed(e.to_string()))?;
    // What goes wrong comes back as an error; its warnings are about graphs that people cannot change.
    environment.set_log_level(LogLevel::Error);
    log::debug!("ONNX Runtime from {}", path.display());
    *slot = Some(environment.clone());
    Ok(environment)
}

/// A session over the bytes of a graph: sequential, a fixed number of threads, no spinning, so that it neither varies nor
/// starves its neighbours on a small machine.
pub(crate) fn session(
    bytes: &[u8],
    graph: &Path,
    options: RuntimeOptions,
    optimize: bool,
) -> Result<Session, RuntimeError> {
    let failed = |source: ort::Error| RuntimeError::Graph { graph: graph.display().to_string(), source };
    let level = if optimize { GraphOptimizationLevel::All } else { GraphOptimizationLevel::Disable };
    let environment = environment()?;
    let providers = options.provider.dispatches()?;
    let build = |builder: SessionBuilder| -> ort::Result<SessionBuilder> {
        Ok(builder
            .with_execution_providers(&providers)?
            .with_intra_threads(options.intra_threads.max(1))?
            .with_parallel_execution(false)?
            .with_deterministic_compute(true)?
            .with_intra_op_spinning(false)?
            .with_optimization_level(level)?)
    };
    let builder = Session::builder(&environment).map_err(failed)?;
    build(builder).and_then(|mut b| b.commit_from_memory(bytes)).map_err(failed)
}

/// What a graph says about one of its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    /// Name in the graph.
    pub name: String,
    /// Element type as ONNX Runtime names it; `not a tensor` for anything else.
    pub dtype: String,
    /// Dimensions; -1 is not fixed by the graph.
    pub shape: Vec<i64>,
}

impl TensorSpec {
    fn of(outlet: &Outlet) -> Self {
        let (dtype, shape) = match outlet.dtype() {
            ValueType::Tensor { ty, shape, .. } => (dtype_name(*ty), shape.to_vec()),
            _ => ("not a tensor".to_owned(), Vec::new()),
        };
        Self { name: outlet.name().to_owned(), dtype, shape }
    }

    /// Whether a tensor of this type and shape can be given or taken: same rank, each dimension equal or open.
    pub fn accepts(&self, dtype: &str, shape: &[i64]) -> bool {
        self.dtype == dtype
            && self.shape.len() == shape.len()
            && self.shape.iter().zip(shape).all(|(a, b)| *a == *b || *a < 0 || *b < 0)
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.dtype, self.shape)
    }
}

fn dtype_name(ty: TensorElementType) -> String {
    match ty {
        TensorElementType::Float32 => "float32".into(),
        TensorElementType::Int64 => "int64".into(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Inputs and outputs of a graph as it really is.
pub(crate) fn signature(session: &Session) -> (Vec<TensorSpec>, Vec<TensorSpec>) {
    let read = |outlets: &[Outlet]| outlets.iter().map(TensorSpec::of).collect();
    (read(session.inputs()), read(session.outputs()))
}
