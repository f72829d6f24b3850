//! The graph `step` of a sampler: it is shown the sample and the time, with what `encode` gave, and says how the sample is to change.

use super::{Context, Encode, Graph, Inputs, Tensors, output, wires, zeros};
use crate::families::{FieldProblem, RunError};
use crate::manifest::Manifest;
use crate::package::PolicyPackage;
use crate::runtime::{RuntimeError, RuntimeOptions};
use ort::value::Tensor;

/// The graph with the role `step`, and the sample.
#[derive(Debug)]
pub struct Stepper {
    step: Graph,
    /// Its inputs in turn, by their places among the sample, the time and what `encode` gives.
    order: Vec<usize>,
    /// Name of its output.
    gives: String,
    x: Tensor<f32>,
    t: Tensor<f32>,
}

impl Stepper {
    /// Whether the tensors that a manifest lists for `encode` and `step` fit together.
    ///
    /// # Errors
    /// Naming the field.
    pub fn wires(manifest: &Manifest) -> Result<(), FieldProblem> {
        wires::observes(manifest, "encode", [])?;
        wires::repeats(manifest, "step", "the sample, the time", "encode", &[])?;
        wires::gives(manifest, "step", "one tensor", &[])
    }

    /// Tells what the tensors of `encode` and `step` must be.
    pub fn tensors(tensors: &mut Tensors<'_>) {
        let step = &tensors.manifest().graphs["step"];
        tensors.input("step", &step.inputs[0], "float32", tensors.chunk());
        tensors.input("step", &step.inputs[1], "float32", vec![1]);
        tensors.output("step", &step.outputs[0], "float32", tensors.chunk());
        tensors.context("encode", "step");
        tensors.observation("encode");
    }

    /// Makes its session and tensors.
    ///
    /// # Errors
    /// From ONNX Runtime.
    pub fn open(package: &PolicyPackage, encode: &Encode, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let manifest = &package.manifest;
        let step = Graph::open(package, "step", options)?;
        let spec = &manifest.graphs["step"];
        let (rows, columns) = manifest.sample_shape();
        let x = zeros(&[1, rows as i64, columns as i64]).map_err(|source| step.failed(source))?;
        let t = zeros(&[1]).map_err(|source| step.failed(source))?;
        let names: Vec<&str> = spec.inputs[..2].iter().chain(encode.context()).map(String::as_str).collect();
        let (order, gives) = (step.order(&names), spec.outputs[0].clone());
        Ok(Self { step, order, gives, x, t })
    }

    /// The sample, row-major.
    pub fn sample(&self) -> &[f32] {
        self.x.extract_tensor().1
    }

    /// Begins with a sample of as many values. Panics when it has others.
    pub fn begin(&mut self, sample: &[f32]) {
        self.x.extract_tensor_mut().1.copy_from_slice(sample);
    }

    /// Runs once, and lets `change` change the sample by what the graph says of it.
    ///
    /// # Errors
    /// From ONNX Runtime, or when the output has another number of values than the sample.
    pub fn advance(
        &mut self,
        context: &Context<'_>,
        time: f32,
        change: impl FnOnce(&mut [f32], &[f32]),
    ) -> Result<(), RunError> {
        let Self { step, order, gives, x, t } = self;
        t.extract_tensor_mut().1[0] = time;
        let mut inputs = Inputs::new();
        for place in order.iter() {
            inputs.push(match *place {
                0 => (&*x).into(),
                1 => (&*t).into(),
                place => context.at(place - 2)?.into(),
            });
        }
        let (file, outputs) = step.run(&inputs)?;
        // The sample is changed in place.
        drop(inputs);
        let x = x.extract_tensor_mut().1;
        change(x, output(file, &outputs, gives, x.len())?);
        Ok(())
    }
}
