//! A session with what is known of its tensors.

use crate::families::RunError;
use crate::package::PolicyPackage;
use crate::runtime::{self, RuntimeError, RuntimeOptions};
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::{Outlet, Tensor};
use smallvec::SmallVec;

/// Inputs of a graph in its own order; few enough to need no allocation.
pub type Inputs<'a> = SmallVec<[SessionInputValue<'a>; 16]>;

/// A tensor of zeros.
///
/// # Errors
/// From ONNX Runtime.
pub fn zeros(shape: &[i64]) -> ort::Result<Tensor<f32>> {
    let len = shape.iter().product::<i64>().max(0) as usize;
    Tensor::from_array((shape.to_vec(), vec![0f32; len]))
}

/// A session with the name of its file, for messages.
#[derive(Debug)]
pub struct Graph {
    /// Its file.
    pub file: String,
    /// What runs it.
    pub session: Session,
}

impl Graph {
    /// Makes the session of the graph with a role. Panics when the package has none with that role: it was checked.
    ///
    /// # Errors
    /// From ONNX Runtime.
    pub fn open(package: &PolicyPackage, role: &str, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let file = package.folder.join(&package.manifest.graphs[role].file);
        let session = runtime::session(&package.graphs[role], &file, options, true)?;
        Ok(Self { file: file.display().to_string(), session })
    }

    /// An error of ONNX Runtime, with its file.
    pub fn failed(&self, source: ort::Error) -> RuntimeError {
        RuntimeError::Graph { graph: self.file.clone(), source }
    }

    /// For each of its inputs in turn, the place of its name in `names`. The package was checked to have no others.
    pub fn order(&self, names: &[&str]) -> Vec<usize> {
        let place = |input: &Outlet| names.iter().position(|name| *name == input.name());
        self.session.inputs().iter().filter_map(place).collect()
    }

    /// Runs on inputs in the order of [`Self::order`]; gives its file, for messages, and its outputs.
    ///
    /// # Errors
    /// From ONNX Runtime.
    pub fn run(&mut self, inputs: &[SessionInputValue<'_>]) -> Result<(&str, SessionOutputs<'_>), RunError> {
        let Self { file, session } = self;
        match session.run(inputs) {
            Ok(outputs) => Ok((file, outputs)),
            Err(source) => Err(RuntimeError::Graph { graph: file.clone(), source }.into()),
        }
    }
}

/// Values of one output, of a known number.
///
/// # Errors
/// When it is missing or has another number.
pub fn output<'a>(file: &str, outputs: &'a SessionOutputs<'_>, name: &str, len: usize) -> Result<&'a [f32], RunError> {
    let wrong = |problem| RunError::Output { graph: file.to_owned(), problem };
    let value = outputs.get(name).ok_or_else(|| wrong(format!("no output '{name}'")))?;
    let (_, values) =
        value.try_extract_tensor::<f32>().map_err(|source| RuntimeError::Graph { graph: file.to_owned(), source })?;
    if values.len() != len {
        return Err(wrong(format!("{} values in '{name}'; expected {len}", values.len())));
    }
    Ok(values)
}
