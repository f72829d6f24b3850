//! The texts of a manifest: what it calls things is shown to people and compared with other names, so it must be what it looks like.

use crate::manifest::ManifestError;
use efm_core::reading::{hidden, said_by_parser, too_many_brackets, wrong_name};
use serde::de::DeserializeOwned;
use serde_yaml::Value;
use std::path::Path;

/// Longest text that is no name, bytes: a description, or what whoever exported it wrote down.
const LONGEST_TEXT: usize = 64 << 10;

/// Where lines may be: texts for people, and what is put behind a sentence.
const TEXTS: [&str; 5] =
    ["policy.description", "policy.license", "training", "observation.language.suffix", "description"];

/// Reads the text of a manifest; `file` is its name in messages.
pub(crate) fn read<T: DeserializeOwned>(text: &str, file: &Path) -> Result<T, ManifestError> {
    // Some writers put a byte order mark before a text in UTF-8.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(problem) = too_many_brackets(text) {
        return Err(ManifestError::Form { file: file.to_owned(), problem });
    }
    let form = |e: serde_yaml::Error| ManifestError::Form { file: file.to_owned(), problem: said_by_parser(&e) };
    let manifest = serde_yaml::from_str(text).map_err(form)?;
    let whole: Value = serde_yaml::from_str(text).map_err(form)?;
    match wrong(&whole, &mut String::new()) {
        None => Ok(manifest),
        Some((field, problem)) => Err(ManifestError::Field { file: file.to_owned(), field, problem }),
    }
}

/// The first text that is not what it looks like, with its field. The parser has bounded how deep values lie.
fn wrong(value: &Value, field: &mut String) -> Option<(String, String)> {
    match value {
        Value::String(text) => {
            let text_for_people = TEXTS.iter().any(|known| {
                field.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            });
            let problem = if !text_for_people {
                wrong_name(text)?
            } else if text.len() > LONGEST_TEXT {
                format!("has {} bytes; at most {LONGEST_TEXT} are taken", text.len())
            } else {
                format!("holds {:?}, which does not show as what it is; leave it out", hidden(text, true)?)
            };
            Some((field.clone(), problem))
        }
        Value::Sequence(items) => items.iter().enumerate().find_map(|(i, item)| within(field, &format!("[{i}]"), item)),
        Value::Mapping(entries) => entries.iter().find_map(|(key, value)| {
            let key = match key {
                Value::String(key) => match wrong_name(key) {
                    Some(problem) => return Some((field.clone(), format!("has a key that cannot be: {problem}"))),
                    None => key.clone(),
                },
                other => serde_yaml::to_string(other).unwrap_or_default().trim().to_owned(),
            };
            within(field, &if field.is_empty() { key } else { format!(".{key}") }, value)
        }),
        Value::Tagged(tagged) => wrong(&tagged.value, field),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn within(field: &mut String, part: &str, value: &Value) -> Option<(String, String)> {
    let length = field.len();
    field.push_str(part);
    let found = wrong(value, field);
    field.truncate(length);
    found
}
