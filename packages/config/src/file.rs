//! Parameter files (`NODE: {ros__parameters: {NAME: VALUE}}`), read without ROS, by rcl's rules ([`crate::given`]).

use crate::{Params, Spec, declares, is_for};
use serde_json::Value;
use std::collections::BTreeMap;

const PARAMETERS: &str = "ros__parameters";

/// What stands under a key of a file: names of parameters, with dots, and their values.
pub type Said = BTreeMap<String, Value>;

/// What a file says, key by key, in its order. A namespace may be written as a level of its own.
///
/// # Errors
/// In words, when it is no parameter file.
pub fn read(text: &str) -> Result<Vec<(String, Said)>, String> {
    let root = serde_yaml::from_str(text).map_err(|e| e.to_string())?;
    let mut all = Vec::new();
    nodes("", &root, &mut all)?;
    Ok(all)
}

/// What of it is for a node, by the node's full name, key by key in the order in which it holds; `specs` are what the node declares. What is said to
/// many nodes is none of the business of one that does not know it.
///
/// # Errors
/// In words, when keys name such a node, but all of them in other namespaces: most likely they were meant.
pub fn for_node(all: Vec<(String, Said)>, full_name: &str, specs: &[Spec]) -> Result<Vec<Said>, String> {
    let last = |name: &str| name.rsplit('/').next().map(str::to_owned);
    let named: Vec<_> = all.iter().map(|(key, _)| key.as_str()).filter(|key| last(key) == last(full_name)).collect();
    if !named.is_empty() && !named.iter().any(|key| is_for(key, full_name)) {
        return Err(format!("'{}' is not for '{full_name}'", named.join("', '")));
    }
    let for_it = all.into_iter().filter(|(key, _)| is_for(key, full_name));
    Ok(for_it
        .map(|(key, mut said)| {
            said.retain(|name, _| !key.contains('*') || declares(specs, name));
            said
        })
        .collect())
}

/// Puts what is said later over what was said before. An empty list empties a list of lists.
pub fn put(over: &mut Said, name: &str, value: Value) -> Option<Value> {
    if value.as_array().is_some_and(Vec::is_empty) {
        let under = format!("{name}.");
        over.retain(|known, _| !known.starts_with(&under));
    }
    over.insert(name.to_owned(), value)
}

/// Puts what the text of a file says to a node over what was said before.
///
/// # Errors
/// In words: what is no parameter file, or none for this node where it is for one of its name.
pub fn put_all(over: &mut Said, text: &str, full_name: &str, specs: &[Spec]) -> Result<(), String> {
    for said in for_node(read(text)?, full_name, specs)? {
        said.into_iter().for_each(|(name, value)| drop(put(over, &name, value)));
    }
    Ok(())
}

/// The parameters of which this is said, the others as declared.
///
/// # Errors
/// In words: all that is wrong with them.
pub fn params(said: &Said, specs: Vec<Spec>) -> Result<Params, String> {
    Params::from_json(specs, said)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn nodes(prefix: &str, value: &serde_yaml::Value, out: &mut Vec<(String, Said)>) -> Result<(), String> {
    let Some(fields) = value.as_mapping() else {
        return Err(match prefix {
            "" => "it names no node (wanted: NODE: {ros__parameters: {NAME: VALUE}})".to_owned(),
            key => format!("'{key}' has no ros__parameters"),
        });
    };
    for (key, value) in fields {
        let key = key.as_str().ok_or_else(|| format!("{key:?} is no name of a node"))?;
        match key {
            PARAMETERS if prefix.is_empty() => return Err(format!("{PARAMETERS} stands under no node")),
            PARAMETERS => {
                let mut flat = Said::new();
                flatten("", &serde_json::to_value(value).map_err(|e| e.to_string())?, &mut flat);
                out.push((prefix.to_owned(), flat));
            }
            _ if prefix.is_empty() => nodes(key, value, out)?,
            _ => nodes(&format!("{prefix}/{key}"), value, out)?,
        }
    }
    Ok(())
}

/// Lists of parameters under names of their own, as ROS has them: `controllers.arm`.
pub fn flatten(prefix: &str, value: &Value, out: &mut Said) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&name, value, out);
            }
        }
        other => drop(out.insert(prefix.to_owned(), other.clone())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn specs() -> Vec<Spec> {
        vec![
            Spec::double("rate", 100.0, "Hz.").range(1.0, 500.0),
            Spec::lists("controllers", &[("arm", &["a"])], "Joints."),
            Spec::texts("grippers", &[], "Joints."),
        ]
    }

    fn of(texts: &[&str]) -> Result<Params, String> {
        let mut said = Said::new();
        texts.iter().try_for_each(|text| put_all(&mut said, text, "/left/arm", &specs()))?;
        params(&said, specs())
    }

    #[test]
    fn later_files_and_keys_hold_and_wildcards_do_not_name_what_a_node_does_not_know() {
        let first = "/**: {ros__parameters: {rate: 5, nothing: 1}}\nleft: {arm: {ros__parameters: {rate: 6.5}}}";
        assert_eq!(of(&[]).unwrap().double("rate"), 100.0);
        assert_eq!(of(&[first]).unwrap().double("rate"), 6.5);
        assert_eq!(of(&[first, "/*/*: {ros__parameters: {rate: 7}}"]).unwrap().double("rate"), 7.0);
        let lists = of(&["/**/arm: {ros__parameters: {controllers: {b: [x]}}}"]).unwrap().lists("controllers");
        assert_eq!(lists, [("b".to_owned(), vec!["x".to_owned()])]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("rate: 5", "'rate' has no ros__parameters"),
            ("ros__parameters: {rate: 5}", "stands under no node"),
            ("/right/arm: {ros__parameters: {rate: 5}}", "'/right/arm' is not for '/left/arm'"),
            ("/left/arm: {ros__parameters: {rat: 5}}", "rat"),
            ("/left/arm: {ros__parameters: {rate: 5000}}", "'rate' is 5000"),
            ("[1, 2]", "names no node"),
        ] {
            let error = of(&[text]).map(drop).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
