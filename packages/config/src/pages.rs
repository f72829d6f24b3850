//! The page of parameters and the example files, from the declarations.

use crate::{Spec, Value, common, shown};
use serde_json::Value as Json;

/// Columns of prose.
const WIDTH: usize = 100;

/// Words in lines of at most `WIDTH` columns, the first behind `first`, the others behind `next`.
fn wrapped(text: &str, first: &str, next: &str) -> String {
    let (mut out, mut line, mut is_empty) = (String::new(), first.to_owned(), true);
    for word in text.split_whitespace() {
        let more = word.chars().count() + usize::from(!is_empty);
        if !is_empty && line.chars().count() + more > WIDTH {
            out += line.trim_end();
            out.push('\n');
            (line, is_empty) = (next.to_owned(), true);
        }
        if !is_empty {
            line.push(' ');
        }
        line += word;
        is_empty = false;
    }
    out + line.trim_end() + "\n"
}

/// So that Markdown shows it as it is, but for what stands between backticks.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for (place, part) in text.split('`').enumerate() {
        if place > 0 {
            out.push('`');
        }
        if place % 2 == 1 {
            out += part;
            continue;
        }
        for c in part.chars() {
            if matches!(c, '<' | '*' | '~') {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}

impl Spec {
    /// Its type, and whether it may change: in words.
    pub fn kind(&self) -> String {
        format!("{}{}", self.default.type_name(), if self.dynamic { ", dynamic" } else { "" })
    }

    /// What holds where nothing is said.
    pub fn default_in_words(&self) -> String {
        let default = if self.is_family {
            self.family.iter().map(|(key, texts)| format!("{key}: {texts:?}")).collect::<Vec<_>>().join(", ")
        } else {
            self.default.to_string()
        };
        match default.as_str() {
            _ if self.must_be_set() => "must be set".to_owned(),
            "" => "default none".to_owned(),
            default => format!("default {default}"),
        }
    }

    /// Whether it may not be empty, and is by default.
    fn must_be_set(&self) -> bool {
        self.required && (self.is_family || self.check(self.name, &self.default).is_err())
    }
}

/// A value as YAML that ROS reads.
fn yaml(value: &Json) -> String {
    match value {
        Json::Array(items) => format!("[{}]", items.iter().map(yaml).collect::<Vec<_>>().join(", ")),
        Json::Number(number) => number.to_string(),
        other => other.to_string(),
    }
}

/// The page of all parameters of these nodes, in Markdown. `head` stands above them.
pub fn page(head: &str, nodes: &[(&str, Vec<Spec>)]) -> String {
    let mut text = head.to_owned();
    let entry = |spec: &Spec| {
        let default = spec.default_in_words();
        let default = if default.len() > WIDTH { "default: see the example file" } else { default.as_str() };
        let first = format!("- **`{}`** ({}; {})", shown(spec), spec.kind(), escaped(default));
        wrapped(&first, "", "  ") + &wrapped(&escaped(&spec.help()), "  ", "  ")
    };
    text += "\n## All nodes\n\n";
    text.extend(common().iter().map(entry));
    for (node, specs) in nodes {
        text += &format!("\n## {node}\n\nExample file: `config/parameters/{node}.yaml`.\n\n");
        text.extend(specs.iter().map(entry));
    }
    text
}

/// A parameter file for a node with everything in it: what it does by default, and an example where there is no default.
pub fn example_file(head: &str, node: &str, specs: &[Spec]) -> String {
    let mut text = String::new();
    text += &wrapped(head, "# ", "# ");
    text += &format!("\n/**/{node}:\n  ros__parameters:\n");
    for spec in specs {
        text += &wrapped(
            &format!(
                "{}: {}{}. {}",
                shown(spec),
                spec.kind(),
                if spec.must_be_set() { "; must be set" } else { "" },
                spec.help()
            ),
            "    # ",
            "    # ",
        );
        let example = spec.example.and_then(|example| serde_json::from_str::<Json>(example).ok());
        let value = match (&spec.default, example) {
            (_, Some(Json::Object(lists))) => {
                // Others than the required ones would do something that the node does not do by default.
                let off = if spec.required { "" } else { "# " };
                text += &format!("    {off}{}:\n", spec.name);
                lists.iter().for_each(|(key, list)| text += &format!("    {off}  {key}: {}\n", yaml(list)));
                continue;
            }
            (_, Some(example)) if spec.required => example,
            (_, None) if spec.is_family => continue,
            (Value::Bool(v), _) => Json::from(*v),
            (Value::Integer(v), _) => Json::from(*v),
            (Value::Double(v), _) => Json::from(*v),
            (Value::Text(v), _) => Json::from(v.clone()),
            (Value::Texts(v), _) => Json::from(v.clone()),
            (Value::Doubles(v), _) => Json::from(v.clone()),
            (Value::Integers(v), _) => Json::from(v.clone()),
        };
        text += &format!("    {}: {}\n", spec.name, yaml(&value));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_no_longer_than_they_may_be_and_nothing_is_lost() {
        let words: Vec<String> = (0..200).map(|n| "x".repeat(n % 17 + 1)).collect();
        let text = wrapped(&words.join(" "), "- ", "  ");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH && line == line.trim_end()));
        assert_eq!(text.trim_start_matches("- ").split_whitespace().collect::<Vec<_>>(), words);
    }

    #[test]
    fn what_markdown_would_eat_is_kept_from_it() {
        assert_eq!(escaped("<name>, ~/arm, * and `a_b*c`"), "\\<name>, \\~/arm, \\* and `a_b*c`");
    }
}
