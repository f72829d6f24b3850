//! What the tensors of graphs must be, against what they are.

use crate::manifest::{LanguageSpec, Manifest};
use crate::runtime::TensorSpec;
use std::collections::BTreeMap;

/// Inputs and outputs of the graphs as they are, by role.
pub(crate) type Signatures<'a> = BTreeMap<&'a str, (Vec<TensorSpec>, Vec<TensorSpec>)>;

/// A graph does not have the tensors that it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorProblem {
    /// Which graph.
    pub role: &'static str,
    /// Naming the tensor, what it is and what it should be.
    pub problem: String,
}

/// What is expected of the tensors of a package's graphs, gathered by its family.
#[derive(Debug)]
pub struct Tensors<'a> {
    manifest: &'a Manifest,
    signatures: &'a Signatures<'a>,
    expected: Vec<Expected>,
}

#[derive(Debug)]
struct Expected {
    role: &'static str,
    /// Else an input.
    output: bool,
    name: String,
    dtype: &'static str,
    shape: Vec<i64>,
}

impl<'a> Tensors<'a> {
    pub(crate) fn new(manifest: &'a Manifest, signatures: &'a Signatures<'a>) -> Self {
        Self { manifest, signatures, expected: Vec::new() }
    }

    /// The manifest, which was checked; each of its graphs has the tensors that are listed there.
    pub fn manifest(&self) -> &'a Manifest {
        self.manifest
    }

    /// Inputs of a graph as they are; none where there is no such graph.
    pub fn inputs_of(&self, role: &str) -> &'a [TensorSpec] {
        self.signatures.get(role).map_or(&[], |(inputs, _)| inputs)
    }

    /// Shape of a chunk as graphs sample or give it.
    pub fn chunk(&self) -> Vec<i64> {
        let (rows, columns) = self.manifest.sample_shape();
        vec![1, rows as i64, columns as i64]
    }

    /// Expects an input of this type (`float32`, `int64`) and shape.
    pub fn input(&mut self, role: &'static str, name: &str, dtype: &'static str, shape: Vec<i64>) {
        self.expected.push(Expected { role, output: false, name: name.to_owned(), dtype, shape });
    }

    /// Expects an output of this type and shape.
    pub fn output(&mut self, role: &'static str, name: &str, dtype: &'static str, shape: Vec<i64>) {
        self.expected.push(Expected { role, output: true, name: name.to_owned(), dtype, shape });
    }

    /// Expects that a graph takes the observation.
    pub fn observation(&mut self, role: &'static str) {
        let manifest = self.manifest;
        let observation = &manifest.observation;
        for image in &observation.images {
            self.input(role, &image.tensor, "float32", manifest.observed_shape(&image.shape()));
        }
        let state = manifest.observed_shape(&[manifest.state_len() as i64]);
        self.input(role, &observation.state.tensor, "float32", state);
        match &observation.language {
            None => {}
            Some(LanguageSpec::Embedding { tensor, encoder }) => {
                self.input(role, tensor, "float32", vec![1, encoder.dim as i64]);
            }
            Some(LanguageSpec::Tokens(spec)) => {
                for tensor in [&spec.input_ids, &spec.attention_mask] {
                    self.input(role, tensor, "int64", vec![1, spec.max_tokens as i64]);
                }
            }
        }
    }

    /// Expects that one graph takes all that another gives, as that gives it.
    pub fn context(&mut self, from: &'static str, to: &'static str) {
        let manifest = self.manifest;
        let Some((graph, (_, outputs))) = manifest.graphs.get(from).zip(self.signatures.get(from)) else { return };
        for context in &graph.outputs {
            if let Some(given) = outputs.iter().find(|t| t.name == *context) {
                self.output(from, context, "float32", given.shape.clone());
                self.input(to, context, "float32", given.shape.clone());
            }
        }
    }

    /// Whether all is as expected.
    pub(crate) fn compare(&self) -> Result<(), TensorProblem> {
        for Expected { role, output, name, dtype, shape } in &self.expected {
            let tensors = self.signatures.get(role);
            let tensors = tensors.map_or(&[][..], |(inputs, outputs)| if *output { outputs } else { inputs });
            let what = if *output { "output" } else { "input" };
            let found = tensors.iter().find(|t| t.name == *name);
            if !found.is_some_and(|t| t.accepts(dtype, shape)) {
                let found = found.map_or("missing".to_owned(), TensorSpec::to_string);
                let problem = format!("{what} '{name}' is {found}; the manifest expects {dtype} {shape:?}");
                return Err(TensorProblem { role, problem });
            }
        }
        Ok(())
    }
}
