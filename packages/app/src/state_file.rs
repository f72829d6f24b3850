//! Files in which a node keeps what outlives its process: where they lie, and how they are written.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The setting that stands for a file in the user's state directory.
pub const AUTO: &str = "auto";

/// The file that a parameter of the node `full_name` names: none (empty), one of its own in the user's state directory ([`AUTO`]), or that path;
/// `variable` looks into the environment.
///
/// # Errors
/// When there is no state directory: why.
pub(crate) fn named(
    setting: &str,
    full_name: &str,
    extension: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<PathBuf>, &'static str> {
    match setting {
        "" => Ok(None),
        AUTO => {
            let path = in_state_directory(full_name, extension, variable);
            path.map(Some).ok_or("neither XDG_STATE_HOME nor HOME is set")
        }
        path => Ok(Some(PathBuf::from(path))),
    }
}

/// A file for each node of each ROS domain, so that the robots of one machine do not act for one another.
fn in_state_directory(
    full_name: &str,
    extension: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    let domain = variable("ROS_DOMAIN_ID").map_or("0".to_owned(), |id| id.to_string_lossy().trim().to_owned());
    let domain = domain.parse::<u32>().unwrap_or(0);
    // A node's name has letters, digits and underscores only.
    let name = full_name.trim_matches('/').replace('/', ".");
    Some(state.join("embodied_fm").join(format!("domain{domain}.{name}.{extension}")))
}

/// All of it or nothing.
pub(crate) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let draft = draft_of(path);
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let put = written.and_then(|()| fs::rename(&draft, path));
    if put.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&draft);
    }
    put?;
    File::open(folder)?.sync_all()
}

/// Whether a file could be written, without leaving anything.
pub(crate) fn try_out(path: &Path) -> io::Result<()> {
    fs::create_dir_all(folder_of(path))?;
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    let draft = draft_of(path);
    File::create(&draft)?;
    fs::remove_file(&draft)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.draft", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_node_of_each_domain_has_a_file_of_its_own() {
        let of = |node: &str, set: &[(&str, &str)]| {
            let variable =
                |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
            in_state_directory(node, "estop", variable)
        };
        let home = ("HOME", "/home/me");
        let file = |name: &str| Some(PathBuf::from("/home/me/.local/state/embodied_fm").join(name));
        assert_eq!(of("/trajectory_publisher", &[home]), file("domain0.trajectory_publisher.estop"));
        assert_eq!(of("/left/arm", &[home, ("ROS_DOMAIN_ID", "7")]), file("domain7.left.arm.estop"));
        assert_ne!(of("/left/arm", &[home]), of("/right/arm", &[home]));
        let xdg = ("XDG_STATE_HOME", "/state");
        assert_eq!(of("/a", &[home, xdg]), Some(PathBuf::from("/state/embodied_fm/domain0.a.estop")));
        // As the XDG rules have it, what is not absolute does not count.
        assert_eq!(of("/a", &[home, ("XDG_STATE_HOME", "state")]), file("domain0.a.estop"));
        assert_eq!(of("/a", &[]), None);
        let variable = |_: &str| None;
        assert!(named(AUTO, "/a", "estop", variable).unwrap_err().contains("HOME"));
        assert_eq!(named("", "/a", "estop", variable), Ok(None));
        assert_eq!(named("/x", "/a", "estop", variable), Ok(Some(PathBuf::from("/x"))));
    }
}
