//! Other parameters than those of the recording, and what is different about them.

use anyhow::{Context, Result, anyhow};
use efm_app::trace::Setup;
use efm_config::Spec;
use efm_config::file::{flatten, for_node, put};
use efm_config::files::Packages;
use efm_core::reading;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Puts the parameters that a ROS parameter file has for a node (by its full name, which takes those of `specs`) over those of the recording,
/// and reads the files that it names. Returns what is different, in words.
///
/// # Errors
/// When the file cannot be read, or names the node in other namespaces only.
pub fn apply(setup: &mut Setup, full_name: &str, specs: &[Spec], file: &Path) -> Result<Vec<String>> {
    let text = reading::text(file, reading::REPORT).with_context(|| format!("cannot read {}", file.display()))?;
    let named = |what: String| anyhow!("{}: {what}", file.display());
    let all = efm_config::file::read(&text).map_err(named)?;
    let mut told = Vec::new();
    // As ROS reads it: of what stands under two keys the later one holds.
    for said in for_node(all, full_name, specs).map_err(|what| named(format!("{what}, the recorded node")))? {
        for (name, value) in said {
            let before = put(&mut setup.params, &name, value.clone());
            if before.as_ref().is_some_and(|before| alike(before, &value)) {
                continue;
            }
            let before = before.map_or("not set".to_owned(), |before| before.to_string());
            told.push(format!("parameter '{name}' of {}: recorded {before}, now {value}", setup.node));
            let names_a_file = name.ends_with("_file");
            if let (true, Some(path)) = (names_a_file, value.as_str().filter(|path| !path.is_empty())) {
                let (now, _) = Packages::default()
                    .text(path, reading::REPORT, &[])
                    .map_err(|why| anyhow!("parameter '{name}': {why}"))?;
                told.extend(different_lines(&name, setup.files.get(&name).map(String::as_str), &now));
                setup.files.insert(name, now);
            }
        }
    }
    Ok(told)
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

    fn specs() -> Vec<Spec> {
        vec![
            Spec::double("rate", 100.0, "Hz."),
            Spec::double("speed_scale", 1.0, "Part."),
            Spec::text("joint_limits_file", "", "File."),
            Spec::lists("controllers", &[], "Joints."),
        ]
    }

    fn applied(text: &str, full_name: &str) -> Result<BTreeMap<String, Value>> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("params.yaml");
        std::fs::write(&file, text).unwrap();
        let mut setup = Setup { node: "arm".into(), ..Setup::default() };
        setup.params = BTreeMap::from([
            ("rate".to_owned(), Value::from(100)),
            ("controllers.hand".to_owned(), Value::from(vec!["f"])),
        ]);
        apply(&mut setup, full_name, &specs(), &file)?;
        Ok(setup.params)
    }

    #[test]
    fn keys_are_for_the_node_as_ros_has_it() {
        for (text, rate) in [
            ("/**/arm: {ros__parameters: {rate: 5}}", 5),
            ("/*/arm: {ros__parameters: {rate: 5}}", 5),
            ("left: {arm: {ros__parameters: {rate: 5}}}", 5),
            ("/left/**: {ros__parameters: {rate: 5, nothing_of_ours: 1}}", 5),
            ("/*: {ros__parameters: {rate: 5}}", 100),
            ("/left/arm: {ros__parameters: {rate: 5}}\n/**: {ros__parameters: {rate: 6}}", 6),
            ("/**: {ros__parameters: {rate: 5}}\nleft/arm: {ros__parameters: {rate: 6}}", 6),
        ] {
            assert_eq!(applied(text, "/left/arm").unwrap()["rate"], Value::from(rate), "{text}");
        }
        let error = applied("arm: {ros__parameters: {rate: 5}}", "/left/arm").unwrap_err().to_string();
        assert!(error.contains("'arm' is not for") && error.contains("'/left/arm'"), "{error}");
        for text in ["arm", "[arm]", "arm: {rate: 5}", "ros__parameters: {rate: 5}"] {
            let error = applied(text, "/arm").unwrap_err().to_string();
            assert!(error.contains("params.yaml") && error.contains("ros__parameters"), "{text}: {error}");
        }
    }

    #[test]
    fn an_empty_list_empties_a_list_of_lists() {
        let params = applied("arm: {ros__parameters: {controllers: []}}", "/arm").unwrap();
        let params = efm_config::Params::from_json(specs(), &params).unwrap();
        assert_eq!(params.lists("controllers"), []);
    }

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
        let told = apply(&mut setup, "/trajectory_publisher", &specs(), &file).unwrap();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told.iter().any(|t| t.contains("j1.max_velocity: recorded 1.5, now 1.0")), "{told:?}");
        assert!(
            told.iter().any(|t| t.contains("'speed_scale' of trajectory_publisher: recorded 1.0, now 0.5")),
            "{told:?}"
        );
        assert_eq!(setup.params["rate"], Value::from(100));
    }
}
