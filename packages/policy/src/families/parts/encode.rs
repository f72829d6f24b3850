//! The graph `encode`: it sees the observation once, and what it gives is shown to every step after it.

use super::{Graph, ObservationTensors};
use crate::families::{RunError, Trace};
use crate::package::PolicyPackage;
use crate::runtime::{RuntimeError, RuntimeOptions};
use ort::session::SessionOutputs;
use ort::value::DynValue;

/// The graph with the role `encode`.
#[derive(Debug)]
pub struct Encode {
    /// Its inputs.
    pub observation: ObservationTensors,
    graph: Graph,
    order: Vec<usize>,
    /// Names of its outputs.
    context: Vec<String>,
}

/// What `encode` gave, with its names.
#[derive(Debug)]
pub struct Context<'a> {
    file: &'a str,
    names: &'a [String],
    outputs: SessionOutputs<'a>,
}

impl Encode {
    /// Makes its session and tensors.
    ///
    /// # Errors
    /// From ONNX Runtime.
    pub fn open(package: &PolicyPackage, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let graph = Graph::open(package, "encode", options)?;
        let observation = ObservationTensors::new(&package.manifest)?;
        let order = graph.order(&observation.names());
        Ok(Self { observation, graph, order, context: package.manifest.graphs["encode"].outputs.clone() })
    }

    /// Names of its outputs.
    pub fn context(&self) -> &[String] {
        &self.context
    }

    /// Runs on the observation. Copies the outputs when asked to.
    ///
    /// # Errors
    /// From ONNX Runtime, or when an output is missing.
    pub fn run(&mut self, trace: Option<&mut Trace>) -> Result<Context<'_>, RunError> {
        let Self { observation, graph, order, context: names } = self;
        let inputs = observation.ordered(order);
        let (file, outputs) = graph.run(&inputs)?;
        let context = Context { file, names, outputs };
        if let Some(trace) = trace {
            trace.context.clear();
            for name in context.names {
                let value = context.value(name)?;
                let (_, values) = value
                    .try_extract_tensor::<f32>()
                    .map_err(|source| RuntimeError::Graph { graph: context.file.to_owned(), source })?;
                trace.context.push(values.to_vec());
            }
        }
        Ok(context)
    }
}

impl Context<'_> {
    fn value(&self, name: &str) -> Result<&DynValue, RunError> {
        let problem = || RunError::Output { graph: self.file.to_owned(), problem: format!("no output '{name}'") };
        self.outputs.get(name).ok_or_else(problem)
    }

    /// The output at a place in the manifest.
    ///
    /// # Errors
    /// When it is missing.
    pub fn at(&self, place: usize) -> Result<&DynValue, RunError> {
        self.value(&self.names[place])
    }
}
