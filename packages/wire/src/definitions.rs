//! Definitions of message types, for bags of topics that are not the suite's own: built in ([`crate::schema`]), or as installed ROS
//! packages have them in `share/<package>/msg`.

use crate::schema::{schema_text, type_info};
use efm_core::reading;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What a bag says about a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// `package/msg/Type`.
    pub name: String,
    /// Its `ros2msg` text with that of all types that it needs; empty where it was not found.
    pub text: String,
    /// REP 2011 hash; empty where it is not known.
    pub hash: String,
}

/// Where definitions are looked for.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    prefixes: Vec<PathBuf>,
}

/// The longest definition file that is read.
const LONGEST: u64 = 1 << 20;

impl Definitions {
    /// Built-in ones only.
    pub fn built_in() -> Self {
        Self::default()
    }

    /// Built-in ones and those below these install prefixes, the first one first.
    pub fn below(prefixes: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { prefixes: prefixes.into_iter().collect() }
    }

    /// As [`Self::below`], with the prefixes of `AMENT_PREFIX_PATH`.
    pub fn installed() -> Self {
        let path = std::env::var_os("AMENT_PREFIX_PATH").unwrap_or_default();
        Self::below(std::env::split_paths(&path).filter(|prefix| !prefix.as_os_str().is_empty()))
    }

    /// What is known of a type (`package/msg/Type`). A hash that is known from elsewhere, as from its publisher, is taken as it is.
    pub fn find(&self, type_name: &str, hash: Option<&str>) -> Definition {
        let known = type_info(type_name).filter(|known| hash.is_none_or(|hash| hash == known.hash));
        if let Some(known) = known {
            let text = schema_text(type_name).unwrap_or_default();
            return Definition { name: type_name.to_owned(), text, hash: known.hash.to_owned() };
        }
        let hash = hash.map(str::to_owned).or_else(|| self.installed_hash(type_name)).unwrap_or_default();
        Definition { name: type_name.to_owned(), text: self.complete_text(type_name).unwrap_or_default(), hash }
    }

    /// The text of a type and of all that it needs; `None` where any of them is missing.
    fn complete_text(&self, type_name: &str) -> Option<String> {
        let mut text = self.own_text(type_name)?;
        let mut seen = BTreeSet::from([type_name.to_owned()]);
        let mut missing: Vec<String> = needs(&text, type_name);
        missing.reverse();
        while let Some(name) = missing.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let own = self.own_text(&name)?;
            let line = "=".repeat(80);
            text.push_str(&format!("\n{line}\nMSG: {}\n{own}", name.replacen("/msg/", "/", 1)));
            missing.extend(needs(&own, &name).into_iter().rev());
        }
        Some(text)
    }

    fn own_text(&self, type_name: &str) -> Option<String> {
        let mut text = self.file(type_name, "msg").or_else(|| Some(type_info(type_name)?.text.to_owned()))?;
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Some(text)
    }

    fn installed_hash(&self, type_name: &str) -> Option<String> {
        let text = self.file(type_name, "json")?;
        let json: serde_json::Value = serde_json::from_str(&text).ok()?;
        let hashes = json.get("type_hashes")?.as_array()?;
        let own =
            hashes.iter().find(|entry| entry.get("type_name").and_then(|name| name.as_str()) == Some(type_name))?;
        Some(own.get("hash_string")?.as_str()?.to_owned())
    }

    fn file(&self, type_name: &str, extension: &str) -> Option<String> {
        let mut parts = type_name.split('/');
        let (package, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
        let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if parts.next().is_some() || kind != "msg" || !word(package) || !word(name) {
            return None;
        }
        self.prefixes.iter().find_map(|prefix| {
            let path = prefix.join("share").join(package).join("msg").join(format!("{name}.{extension}"));
            reading::text(path, LONGEST).ok()
        })
    }
}

/// The types that the fields of a definition mention, in order.
fn needs(text: &str, of: &str) -> Vec<String> {
    let package = of.split('/').next().unwrap_or_default();
    text.lines().filter_map(|line| field_type(line, package)).collect()
}

/// The type of a field, unless it is a primitive one.
fn field_type(line: &str, package: &str) -> Option<String> {
    let word = line.split('#').next()?.split_whitespace().next()?;
    // Arrays and bounds: Type[], Type[3], Type[<=3], string<=5.
    let word = word.split(['[', '<']).next()?;
    const PRIMITIVE: [&str; 15] = [
        "bool", "byte", "char", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64",
        "uint64", "string", "wstring",
    ];
    if word.is_empty() || PRIMITIVE.contains(&word) {
        return None;
    }
    let parts: Vec<&str> = word.split('/').collect();
    match parts[..] {
        ["Header"] => Some("std_msgs/msg/Header".to_owned()),
        [name] => Some(format!("{package}/msg/{name}")),
        [package, name] | [package, "msg", name] => Some(format!("{package}/msg/{name}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::path::Path;

    fn install(root: &Path, package: &str, name: &str, text: &str) {
        let dir = root.join("share").join(package).join("msg");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(name), text).unwrap();
    }

    #[test]
    fn an_installed_type_brings_along_all_that_it_needs_once() {
        let tmp = tempfile::tempdir().unwrap();
        install(
            tmp.path(),
            "cell_msgs",
            "Part.msg",
            "# A part.\nuint8 KIND=3 # constant\nstd_msgs/Header header\nPose[<=3] poses  # near to far\nPose last\nstring<=8 name 'none'\n",
        );
        install(tmp.path(), "cell_msgs", "Pose.msg", "float64[3] at\nbuiltin_interfaces/Time when");
        let hash = r#"{"type_hashes": [{"type_name": "cell_msgs/msg/Pose", "hash_string": "RIHS01_b"},
            {"type_name": "cell_msgs/msg/Part", "hash_string": "RIHS01_a"}]}"#;
        install(tmp.path(), "cell_msgs", "Part.json", hash);
        let found = Definitions::below([tmp.path().to_owned()]).find("cell_msgs/msg/Part", None);
        assert_eq!(found.hash, "RIHS01_a");
        let parts: Vec<&str> = found.text.split(&"=".repeat(80)).collect();
        let heads: Vec<&str> = parts[1..].iter().filter_map(|part| part.trim().lines().next()).collect();
        assert_eq!(
            heads,
            ["MSG: std_msgs/Header", "MSG: builtin_interfaces/Time", "MSG: cell_msgs/Pose"],
            "{}",
            found.text
        );
        assert!(parts[0].starts_with("# A part.\n"), "the text is the package's own");
    }

    #[test]
    fn a_definition_with_a_part_missing_is_no_definition() {
        let tmp = tempfile::tempdir().unwrap();
        install(tmp.path(), "cell_msgs", "Part.msg", "gone_msgs/Thing thing\n");
        let found = Definitions::below([tmp.path().to_owned()]).find("cell_msgs/msg/Part", Some("RIHS01_c"));
        assert_eq!((found.text.as_str(), found.hash.as_str()), ("", "RIHS01_c"));
        assert_eq!(Definitions::below([tmp.path().to_owned()]).find("../msg/Part", None).text, "");
    }

    #[test]
    fn a_built_in_type_is_taken_unless_the_publisher_has_another_version_of_it() {
        let built_in = Definitions::built_in();
        let known = built_in.find("std_msgs/msg/String", None);
        assert_eq!(known.text, "string data\n");
        assert_eq!(built_in.find("std_msgs/msg/String", Some(&known.hash)), known);
        let other = built_in.find("std_msgs/msg/String", Some("RIHS01_other"));
        assert_eq!(other.hash, "RIHS01_other");
    }

    #[test]
    fn definitions_that_contain_each_other_end() {
        let tmp = tempfile::tempdir().unwrap();
        install(tmp.path(), "cell_msgs", "A.msg", "B[] b\n");
        install(tmp.path(), "cell_msgs", "B.msg", "A[] a\n");
        let found = Definitions::below([tmp.path().to_owned()]).find("cell_msgs/msg/A", None);
        assert_eq!(found.text.matches("MSG: ").count(), 1);
    }
}
