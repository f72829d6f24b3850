//! Action tokens (RT-2, OpenVLA): `encode` sees the observation once, `decode` gives one token after another with a cache of keys and values.
//!
//! Each column of the actions is cut into bins, and the last ids of the vocabulary stand for them from the highest id down (OpenVLA's
//! `action_tokenizer.py`): bin = clip(vocabulary - id - 1, 0, centres - 1), value = -1 + (2 bin + 1) / centres. With 256 edges from -1 to 1 there
//! are 255 centres between them (OpenVLA); with 256 bins of equal width there are 256 (RT-2). Decoding is greedy among the ids that stand for
//! actions; of two that are alike it takes the lower.

use super::parts::{
    CacheBinding, Encode, Graph, Inputs, ObservationTensors, TensorProblem, Tensors, cache_shape, check_bindings,
    output, wires, zeros,
};
use super::{Family, FieldProblem, GoldenShape, GoldenTokens, Prefix, RunError, Runner, Section, Trace};
use crate::manifest::Manifest;
use crate::package::PolicyPackage;
use crate::runtime::{self, RuntimeError, RuntimeOptions};
use ort::value::{DynValue, Tensor};
use serde::Deserialize;

/// How action tokens are decoded.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// Tokens of a chunk: one an action and row, row by row.
    pub tokens: usize,
    /// Ids that `decode` gives logits for. The last `bins` of them stand for actions, from the highest down.
    pub vocab: usize,
    /// Ids that stand for actions.
    pub bins: usize,
    /// Values that they stand for: `bins`, or one less where they are the middles between as many edges (OpenVLA).
    pub centres: usize,
    /// Id that `decode` is shown first.
    pub first_token: i64,
    /// State of `decode`: what each output becomes an input of for the next token.
    #[serde(default)]
    pub cache: Vec<CacheBinding>,
}

impl Section for TokenSpec {
    const TYPE: &'static str = "action_tokens";
}

impl Family for TokenSpec {
    fn graphs(&self) -> &'static [&'static str] {
        &["encode", "decode"]
    }

    fn check(&self, manifest: &Manifest) -> Result<(), FieldProblem> {
        let wrong = |field: &str, problem: String| Err(FieldProblem::of(field, problem));
        let chunk = manifest.sample_len();
        if self.tokens != chunk || self.tokens > 4096 {
            let problem =
                format!("is {}; expected one a row and column of the actions, {chunk}, at most 4096", self.tokens);
            return wrong("tokens", problem);
        }
        if !(2..=10_000_000).contains(&self.vocab) {
            return wrong("vocab", format!("is {}; expected 2 to 10000000", self.vocab));
        }
        if !(2..=self.vocab).contains(&self.bins) {
            return wrong("bins", format!("is {}; expected 2 to vocab ({})", self.bins, self.vocab));
        }
        if self.centres != self.bins && self.centres + 1 != self.bins {
            return wrong("centres", format!("is {}; expected bins ({}) or one less", self.centres, self.bins));
        }
        if !(0..self.vocab as i64).contains(&self.first_token) {
            return wrong(
                "first_token",
                format!("is {}; expected an id below vocab ({})", self.first_token, self.vocab),
            );
        }
        check_bindings("cache", &self.cache)
    }

    fn wires(&self, manifest: &Manifest) -> Result<(), FieldProblem> {
        wires::observes(manifest, "encode", [])?;
        wires::repeats(manifest, "decode", "the token, its position", "encode", &self.cache)?;
        let what = if self.cache.is_empty() { "one tensor" } else { "the logits, then the outputs of the cache" };
        wires::gives(manifest, "decode", what, &self.cache)
    }

    fn tensors(&self, tensors: &mut Tensors<'_>) -> Result<(), TensorProblem> {
        let decode = &tensors.manifest().graphs["decode"];
        tensors.input("decode", &decode.inputs[0], "int64", vec![1, 1]);
        tensors.input("decode", &decode.inputs[1], "int64", vec![1, 1]);
        tensors.output("decode", &decode.outputs[0], "float32", vec![1, 1, self.vocab as i64]);
        for binding in &self.cache {
            let shape = cache_shape(tensors.inputs_of("decode"), &binding.input, self.tokens)
                .map_err(|problem| TensorProblem { role: "decode", problem })?;
            tensors.input("decode", &binding.input, "float32", shape.clone());
            tensors.output("decode", &binding.output, "float32", shape);
        }
        tensors.context("encode", "decode");
        tensors.observation("encode");
        Ok(())
    }

    fn golden(&self) -> GoldenShape {
        let tokens = GoldenTokens { count: self.tokens, below: self.vocab, below_field: "runner.vocab" };
        GoldenShape { context: Some("encode"), tokens: Some(tokens) }
    }

    fn describe(&self) -> String {
        format!("{} action tokens of {} bins, one after another", self.tokens, self.bins)
    }

    fn open(&self, package: &PolicyPackage, options: RuntimeOptions) -> Result<Box<dyn Runner>, RuntimeError> {
        Ok(Box::new(ActionTokens::open(package, self, options)?))
    }
}

#[derive(Debug)]
struct ActionTokens {
    encode: Encode,
    decode: Graph,
    spec: TokenSpec,
    /// Its inputs in turn, by their places among the token, its position, what `encode` gives, and the cache.
    order: Vec<usize>,
    /// Name of the logits.
    gives: String,
    token: Tensor<i64>,
    position: Tensor<i64>,
    /// What the cache is before the first token, in the order of the bindings: nothing, of the right width.
    empty: Vec<Tensor<f32>>,
}

impl ActionTokens {
    fn open(package: &PolicyPackage, spec: &TokenSpec, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let encode = Encode::open(package, options)?;
        let decode = Graph::open(package, "decode", options)?;
        let graph = &package.manifest.graphs["decode"];
        let (inputs, _) = runtime::signature(&decode.session);
        let failed = |source| decode.failed(source);
        let empty = spec.cache.iter().map(|binding| {
            let known = inputs.iter().find(|t| t.name == binding.input);
            // An open dimension is that of the tokens so far: none. The package was checked to have one at most.
            let shape: Vec<i64> = known.map_or(Vec::new(), |t| t.shape.iter().map(|d| (*d).max(0)).collect());
            zeros(&shape)
        });
        let empty = empty.collect::<ort::Result<_>>().map_err(failed)?;
        let single = || Tensor::from_array(([1i64, 1], vec![0i64]));
        let (token, position) = (single().map_err(failed)?, single().map_err(failed)?);
        let cached = spec.cache.iter().map(|binding| &binding.input);
        let names = graph.inputs[..2].iter().chain(encode.context()).chain(cached);
        let order = decode.order(&names.map(String::as_str).collect::<Vec<_>>());
        let gives = graph.outputs[0].clone();
        Ok(Self { encode, spec: spec.clone(), order, gives, token, position, empty, decode })
    }
}

/// The most likely id among those that stand for actions.
fn most_likely(spec: &TokenSpec, logits: &[f32]) -> i64 {
    let first = spec.vocab - spec.bins;
    let mut best = first;
    for id in first..spec.vocab {
        if logits[id] > logits[best] {
            best = id;
        }
    }
    best as i64
}

/// The normalised action, -1 to 1, that an id stands for.
fn value_of(spec: &TokenSpec, id: i64) -> f32 {
    let bin = (spec.vocab as i64 - id - 1).clamp(0, spec.centres as i64 - 1);
    (-1.0 + (2 * bin + 1) as f64 / spec.centres as f64) as f32
}

impl Runner for ActionTokens {
    fn observation(&mut self) -> &mut ObservationTensors {
        &mut self.encode.observation
    }

    fn run(
        &mut self,
        _noise: &[f32],
        _prefix: Option<Prefix<'_>>,
        actions: &mut [f32],
        mut trace: Option<&mut Trace>,
    ) -> Result<(), RunError> {
        let Self { encode, decode, spec, order, gives, token, position, empty } = self;
        let contexts = encode.context().len();
        let context = encode.run(trace.as_deref_mut())?;
        if let Some(trace) = &mut trace {
            trace.tokens.clear();
        }
        let mut cache: Vec<DynValue> = Vec::with_capacity(spec.cache.len());
        let mut last = spec.first_token;
        for (k, action) in actions.iter_mut().enumerate() {
            token.extract_tensor_mut().1[0] = last;
            position.extract_tensor_mut().1[0] = k as i64;
            let mut inputs = Inputs::new();
            for place in order.iter() {
                inputs.push(match *place {
                    0 => (&*token).into(),
                    1 => (&*position).into(),
                    place if place < 2 + contexts => context.at(place - 2)?.into(),
                    place => {
                        let part = place - 2 - contexts;
                        cache.get(part).map_or_else(|| (&empty[part]).into(), |past| past.into())
                    }
                });
            }
            let (file, mut outputs) = decode.run(&inputs)?;
            drop(inputs);
            last = most_likely(spec, output(file, &outputs, gives, spec.vocab)?);
            *action = value_of(spec, last);
            if let Some(trace) = &mut trace {
                trace.tokens.push(last);
            }
            cache.clear();
            for binding in &spec.cache {
                let problem =
                    || RunError::Output { graph: file.to_owned(), problem: format!("no output '{}'", binding.output) };
                cache.push(outputs.remove(&binding.output).ok_or_else(problem)?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(centres: usize) -> TokenSpec {
        TokenSpec { tokens: 4, vocab: 32_000, bins: 256, centres, first_token: 1, cache: Vec::new() }
    }

    /// OpenVLA: `bins = linspace(-1, 1, 256)`, `centres = (bins[:-1] + bins[1:]) / 2`, index = clip(vocab - id - 1, 0, 254).
    #[test]
    fn ids_stand_for_the_centres_of_openvlas_bins() {
        let edges: Vec<f64> = (0..256).map(|i| -1.0 + 2.0 * f64::from(i) / 255.0).collect();
        for id in 31_744..32_000i64 {
            let index = (32_000 - id - 1).clamp(0, 254) as usize;
            let centre = 0.5 * (edges[index] + edges[index + 1]);
            assert!((f64::from(value_of(&spec(255), id)) - centre).abs() < 1.0e-6, "{id}");
        }
        // The two lowest ids stand for the last centre.
        assert_eq!(value_of(&spec(255), 31_744), value_of(&spec(255), 31_745));
    }

    /// RT-2: 256 bins of equal width.
    #[test]
    fn with_256_centres_each_id_stands_for_its_own_bin() {
        for (id, bin) in [(31_999, 0), (31_998, 1), (31_744, 255)] {
            let centre = -1.0 + (2.0 * f64::from(bin) + 1.0) / 256.0;
            assert!((f64::from(value_of(&spec(256), id)) - centre).abs() < 1.0e-6);
        }
    }

    #[test]
    fn only_ids_that_stand_for_actions_are_taken_and_of_equals_the_lower() {
        let mut logits = vec![0.0; 32_000];
        logits[5] = 9.0;
        logits[31_800] = 1.0;
        logits[31_900] = 1.0;
        assert_eq!(most_likely(&spec(255), &logits), 31_800);
    }
}
