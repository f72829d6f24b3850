//! Other parameters than those of the recording, and what is different about them.

use anyhow::{Context, Result, anyhow, bail};
use efm_nodes::files;
use efm_nodes::trace::Setup;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Puts the parameters that a ROS parameter file has for a node over those of the recording, and reads the files that it names. Returns what is
/// different, in words.
///
/// # Errors
/// When the file cannot be read.
pub fn apply(setup: &mut Setup, file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let root: BTreeMap<String, Value> = serde_yaml::from_str(&text).with_context(|| format!("{}", file.display()))?;
    let mut told = Vec::new();
    // As ROS reads it: what stands for all nodes, then what stands for this one.
    for (nodes, of) in root.iter().filter(|(nodes, _)| is_for(nodes, &setup.node)) {
        let Some(given) = of.get("ros__parameters") else {
            bail!("{}: '{nodes}' has no ros__parameters", file.display());
        };
        let mut flat = BTreeMap::new();
        flatten("", given, &mut flat);
        for (name, value) in flat {
            let before = setup.params.insert(name.clone(), value.clone());
            if before.as_ref().is_some_and(|before| alike(before, &value)) {
                continue;
            }
            let before = before.map_or("not set".to_owned(), |before| before.to_string());
            told.push(format!("parameter '{name}' of {}: recorded {before}, now {value}", setup.node));
            let names_a_file = name.ends_with("_file");
            if let (true, Some(path)) = (names_a_file, value.as_str().filter(|path| !path.is_empty())) {
                let path = files::find(path);
                let now = std::fs::read_to_string(&path)
                    .map_err(|e| anyhow!("parameter '{name}': cannot read '{}': {e}", path.display()))?;
                told.extend(different_lines(&name, setup.files.get(&name).map(String::as_str), &now));
                setup.files.insert(name, now);
            }
        }
    }
    Ok(told)
}

/// Whether a key of a parameter file is for a node: its name, with any namespace, or `/**`.
fn is_for(key: &str, node: &str) -> bool {
    key == "/**" || key.rsplit('/').next() == Some(node)
}

/// Lists of parameters under names of their own, as ROS has them: `controllers.arm`.
fn flatten(prefix: &str, value: &Value, out: &mut BTreeMap<String, Value>) {
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

/// 1 and 1.0 are the same number.
fn alike(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

/// What two YAML files say differently, value by value.
pub fn different_lines(name: &str, before: Option<&str>, now: &str) -> Vec<String> {
    let flat = |text: &str| {
        let mut out = BTreeMap::new();
        if let Ok(value) = serde_yaml::from_str::<Value>(text) {
            flatten("", &value, &mut out);
        }
        out
    };
    let (before, now) = (flat(before.unwrap_or_default()), flat(now));
    let keys: std::collections::BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let said = |value: Option<&Value>| value.map_or("not there".to_owned(), Value::to_string);
    let differ = keys.into_iter().filter(|key| match (before.get(*key), now.get(*key)) {
        (Some(a), Some(b)) => !alike(a, b),
        _ => true,
    });
    differ.map(|key| format!("{name}: {key}: recorded {}, now {}", said(before.get(key)), said(now.get(key)))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_changed_limit_is_named_with_joint_and_values() {
        let dir = tempfile::tempdir().unwrap();
        let limits = dir.path().join("limits.yaml");
        std::fs::write(&limits, "joint_limits: {j1: {max_velocity: 1.0}, j2: {max_velocity: 2}}").unwrap();
        let file = dir.path().join("params.yaml");
        let text = format!(
            "/**: {{ros__parameters: {{rate: 100}}}}\nother: {{ros__parameters: {{rate: 5}}}}\n\
             trajectory_publisher: {{ros__parameters: {{speed_scale: 0.5, joint_limits_file: '{}'}}}}\n",
            limits.display()
        );
        std::fs::write(&file, text).unwrap();
        let mut setup = Setup { node: "trajectory_publisher".into(), ..Setup::default() };
        setup.params = BTreeMap::from([
            ("rate".to_owned(), Value::from(100.0)),
            ("speed_scale".to_owned(), Value::from(1.0)),
            ("joint_limits_file".to_owned(), Value::from("limits.yaml")),
        ]);
        setup.files.insert(
            "joint_limits_file".into(),
            "joint_limits: {j1: {max_velocity: 1.5}, j2: {max_velocity: 2.0}}".into(),
        );
        let told = apply(&mut setup, &file).unwrap();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told.iter().any(|t| t.contains("j1.max_velocity: recorded 1.5, now 1.0")), "{told:?}");
        assert!(
            told.iter().any(|t| t.contains("'speed_scale' of trajectory_publisher: recorded 1.0, now 0.5")),
            "{told:?}"
        );
        assert_eq!(setup.params["rate"], Value::from(100));
    }
}
