//! State that a graph is given back.

use crate::families::FieldProblem;
use crate::runtime::TensorSpec;
use serde::Deserialize;
use std::collections::BTreeSet;

/// A part of the state of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheBinding {
    /// Name of the input. Of a cache of tokens its open dimension is the number of tokens so far.
    pub input: String,
    /// Name of the output that it is next.
    pub output: String,
}

/// Each input and each output once; `field` is where the bindings stand in the section.
///
/// # Errors
/// Naming what is bound twice.
pub fn check_bindings(field: &str, bindings: &[CacheBinding]) -> Result<(), FieldProblem> {
    let (mut inputs, mut outputs) = (BTreeSet::new(), BTreeSet::new());
    for (i, binding) in bindings.iter().enumerate() {
        if !inputs.insert(&binding.input) {
            return Err(FieldProblem::of(
                &format!("{field}[{i}].input"),
                format!("'{}' is bound twice", binding.input),
            ));
        }
        if !outputs.insert(&binding.output) {
            return Err(FieldProblem::of(
                &format!("{field}[{i}].output"),
                format!("'{}' is bound twice", binding.output),
            ));
        }
    }
    Ok(())
}

/// Values that a tensor may have that a graph is given back: a wrong graph is not to make us ask for more.
const MOST_CARRIED: i64 = 1 << 28;

/// Shape of a tensor that is carried from run to run; an open first dimension is the batch, which is 1.
pub(crate) fn carried_shape(inputs: &[TensorSpec], name: &str) -> Result<Vec<i64>, String> {
    let Some(input) = inputs.iter().find(|t| t.name == name) else { return Err(format!("has no input '{name}'")) };
    let mut shape = input.shape.clone();
    if let Some(batch) = shape.first_mut().filter(|batch| **batch < 0) {
        *batch = 1;
    }
    if shape.iter().any(|d| *d < 0) {
        return Err(format!("input '{name}' is {input}; the shape of a state must be fixed"));
    }
    if shape.iter().try_fold(1i64, |product, d| product.checked_mul(*d)).is_none_or(|values| values > MOST_CARRIED) {
        return Err(format!("input '{name}' is {input}; that is more than {MOST_CARRIED} values"));
    }
    Ok(shape)
}

/// Shape of a part of a cache, whose one open dimension, if any, is the number of tokens so far.
pub(crate) fn cache_shape(inputs: &[TensorSpec], name: &str, tokens: usize) -> Result<Vec<i64>, String> {
    let Some(input) = inputs.iter().find(|t| t.name == name) else { return Err(format!("has no input '{name}'")) };
    let open = input.shape.iter().filter(|d| **d < 0).count();
    if open > 1 {
        return Err(format!("input '{name}' is {input}; of a cache only the number of tokens so far may be open"));
    }
    let fixed = input.shape.iter().filter(|d| **d >= 0);
    let values = fixed.chain([&(tokens as i64)]).try_fold(1i64, |product, d| product.checked_mul(*d));
    if values.is_none_or(|values| values > MOST_CARRIED) {
        return Err(format!("input '{name}' is {input}; with {tokens} tokens that is more than {MOST_CARRIED} values"));
    }
    Ok(input.shape.clone())
}
