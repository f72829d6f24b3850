//! Whether the tensors that a manifest lists for its graphs fit together: from the observation into the first graph, from there into the one that is
//! repeated, and out of the last. For [`Family::wires`](crate::families::Family::wires), where all roles are there.

use super::CacheBinding;
use crate::families::FieldProblem;
use crate::manifest::Manifest;
use std::collections::BTreeSet;

/// Whether the graph of a role takes the tensors of the observation, those named `beside` it, and no others.
///
/// # Errors
/// Naming the tensor.
pub fn observes<'a>(
    manifest: &'a Manifest,
    role: &str,
    beside: impl IntoIterator<Item = &'a str>,
) -> Result<(), FieldProblem> {
    let wrong = |problem| Err(FieldProblem { field: format!("graphs.{role}.inputs"), problem });
    let mut known = manifest.observation_tensors();
    known.extend(beside);
    let inputs = &manifest.graphs[role].inputs;
    for tensor in &known {
        if !inputs.iter().any(|i| i == tensor) {
            return wrong(format!("lacks the tensor '{tensor}' of the observation or state"));
        }
    }
    for tensor in inputs {
        if !known.contains(&tensor.as_str()) {
            return wrong(format!("'{tensor}' is not a tensor of the observation or state; expected {known:?}"));
        }
    }
    Ok(())
}

/// Whether the graph of a role takes two tensors of its own, which stand first in its list (`leading`: what they are, in words), then in any order the
/// outputs of `encode` and the inputs of its cache.
///
/// # Errors
/// Naming the inputs.
pub fn repeats(
    manifest: &Manifest,
    role: &str,
    leading: &str,
    encode: &str,
    cache: &[CacheBinding],
) -> Result<(), FieldProblem> {
    let (inputs, context) = (&manifest.graphs[role].inputs, &manifest.graphs[encode].outputs);
    let rest: BTreeSet<_> = context.iter().chain(cache.iter().map(|binding| &binding.input)).collect();
    let given: BTreeSet<_> = inputs.iter().skip(2).collect();
    if rest != given || inputs.len() != 2 + given.len() || given.len() != context.len() + cache.len() {
        let problem = format!(
            "is {inputs:?}; expected {leading}, then the outputs of graphs.{encode} and the inputs of the cache {rest:?}"
        );
        return Err(FieldProblem { field: format!("graphs.{role}.inputs"), problem });
    }
    Ok(())
}

/// Whether the graph of a role gives one tensor first, then in any order the outputs of its cache, and nothing else (`what`: these, in words).
///
/// # Errors
/// Naming the outputs.
pub fn gives(manifest: &Manifest, role: &str, what: &str, cache: &[CacheBinding]) -> Result<(), FieldProblem> {
    let outputs = &manifest.graphs[role].outputs;
    let rest: BTreeSet<_> = cache.iter().map(|binding| &binding.output).collect();
    let given: BTreeSet<_> = outputs.iter().skip(1).collect();
    if outputs.len() != 1 + cache.len() || rest != given {
        let problem = format!("is {outputs:?}; expected {what}");
        return Err(FieldProblem { field: format!("graphs.{role}.outputs"), problem });
    }
    Ok(())
}
