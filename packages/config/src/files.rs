//! Where files lie that somebody names: beside the sources, installed, in packages.
//!
//! [`Packages::locate`] is the one place that makes a path of a name, for parameters, for command lines, and for the meshes that a description names.

use crate::{Params, codes};
use efm_core::{Reason, child, reading};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A file or folder that a parameter names. An absolute path, or one that exists from the working directory, is taken as it is.
/// Otherwise it is looked for in the folder of the environment variable `EFM_ROOT`, then from the executable upwards, in each folder
/// and its `share/embodied_fm`: that finds `config/`, `models/` and `urdf/` both in a checkout and where colcon installs them. What lies in a package
/// (`package://`, `model://`) is looked for as [`Packages::locate`] does. What is found nowhere is returned as it is, so that the error names what the
/// user wrote.
pub fn find(named: &str) -> PathBuf {
    Packages::default().find(named)
}

fn find_plain(named: &str) -> PathBuf {
    let path = PathBuf::from(named);
    if path.is_absolute() || path.exists() {
        return path;
    }
    let root = std::env::var_os("EFM_ROOT").map(PathBuf::from);
    let exe = std::env::current_exe().ok();
    places(root.as_deref(), exe.as_deref()).map(|place| place.join(named)).find(|p| p.exists()).unwrap_or(path)
}

fn places<'a>(root: Option<&'a Path>, exe: Option<&'a Path>) -> impl Iterator<Item = PathBuf> {
    let upwards = exe.into_iter().flat_map(|exe| exe.ancestors().skip(1));
    root.map(Path::to_owned).into_iter().chain(upwards.flat_map(|up| [up.to_owned(), up.join("share/embodied_fm")]))
}

/// Where packages lie that somebody said so of; the environment knows others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Packages {
    named: BTreeMap<String, PathBuf>,
}

/// What cures that a package is not found.
const CURE: &str =
    "source the workspace that has it, or say where it is: parameter 'packages' (or --package), NAME=DIR";
/// Folders of a workspace's sources that are looked into.
const MOST_FOLDERS: usize = 2000;

impl Packages {
    /// From entries `NAME=DIR`.
    ///
    /// # Errors
    /// The first that is none.
    pub fn new<S: AsRef<str>>(entries: &[S]) -> Result<Self, String> {
        let mut named = BTreeMap::new();
        for entry in entries {
            let entry = entry.as_ref();
            let parts = entry.split_once('=').map(|(name, folder)| (name.trim(), folder.trim()));
            let Some((name, folder)) = parts.filter(|(name, folder)| !name.is_empty() && !folder.is_empty()) else {
                return Err(format!(
                    "'{}' is no package with its folder: NAME=DIR is wanted",
                    reading::beginning(entry, 80)
                ));
            };
            if named.insert(name.to_owned(), PathBuf::from(folder)).is_some() {
                return Err(format!("package '{}' is named twice; keep one", reading::beginning(name, 80)));
            }
        }
        Ok(Self { named })
    }

    /// From the parameter `packages`, where it is declared.
    ///
    /// # Errors
    /// The first entry that is none.
    pub fn of(params: &Params) -> Result<Self, Reason> {
        if params.spec_of("packages").is_none() {
            return Ok(Self::default());
        }
        Self::new(&params.texts("packages"))
            .map_err(|problem| codes::wrong(format!("parameter 'packages': {problem}"), ""))
    }

    /// As [`Self::locate`], beside nothing; what is found nowhere is returned as it is, so that the error names what the user wrote.
    pub fn find(&self, named: &str) -> PathBuf {
        self.locate(named, &[]).unwrap_or_else(|_| PathBuf::from(named))
    }

    /// The file or folder that a name means: a path (a relative one from one of the folders `beside`, else as [`find`] looks for it), `file://`, or
    /// * `package://NAME/path`: where this says that NAME is, else `share/NAME` of `AMENT_PREFIX_PATH`, a package of that name in a folder of
    ///   `ROS_PACKAGE_PATH`, or a folder of that name around or next to one of `beside`;
    /// * `model://NAME/path`: the same, but the folders of `GZ_SIM_RESOURCE_PATH`, `IGN_GAZEBO_RESOURCE_PATH` and `GAZEBO_MODEL_PATH` come first.
    ///
    /// # Errors
    /// Where it was looked for, if it is in none, and what cures that.
    pub fn locate(&self, named: &str, beside: &[PathBuf]) -> Result<PathBuf, String> {
        self.locate_in(named, beside, &|variable| std::env::var_os(variable))
    }

    fn locate_in(
        &self,
        named: &str,
        beside: &[PathBuf],
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<PathBuf, String> {
        let shown = || reading::beginning(named, 200);
        let Some((scheme, rest)) = named.split_once("://") else {
            let path = Path::new(named);
            if path.is_absolute() {
                return Ok(path.to_owned());
            }
            let near = beside.iter().map(|folder| folder.join(path)).find(|path| path.exists());
            let found = near.unwrap_or_else(|| find_plain(named));
            if found.exists() {
                return Ok(found);
            }
            let looked: Vec<String> = beside.iter().map(|folder| format!("'{}'", folder.display())).collect();
            let looked = if looked.is_empty() { String::new() } else { format!(" beside {},", looked.join(", ")) };
            return Err(format!(
                "'{}' is not there: looked{looked} in the working directory and where this suite is; name it by its full path",
                shown()
            ));
        };
        let (package, path) = match scheme {
            "file" => {
                return Ok(PathBuf::from(
                    rest.strip_prefix("localhost/").map_or_else(|| rest.to_owned(), |p| format!("/{p}")),
                ));
            }
            "package" | "model" => rest.split_once('/').unwrap_or((rest, "")),
            _ => {
                let scheme = reading::beginning(scheme, 40);
                return Err(format!(
                    "'{}': {scheme}:// cannot be looked up; package://, model://, file:// and paths can",
                    shown()
                ));
            }
        };
        if package.is_empty() {
            return Err(format!("'{}' names no package; {scheme}://NAME/path is wanted", shown()));
        }
        let mut looked = Vec::new();
        if let Some(folder) = self.named.get(package) {
            let found = folder.join(path);
            return match found.exists() {
                true => Ok(found),
                false => Err(format!(
                    "'{}' is not there: package '{package}' was said to be in '{}'; correct that",
                    shown(),
                    folder.display()
                )),
            };
        }
        let folders = |name: &str| -> Vec<PathBuf> {
            let value = variable(name).unwrap_or_default();
            std::env::split_paths(&value).filter(|folder| !folder.as_os_str().is_empty()).collect()
        };
        let is_named = |folder: &Path| folder.file_name().is_some_and(|name| name == package);
        let in_or_below = |folder: &PathBuf| {
            let own = is_named(folder).then(|| folder.join(path));
            own.into_iter().chain([folder.join(package).join(path)]).find(|path| path.exists())
        };
        if scheme == "model" {
            for name in ["GZ_SIM_RESOURCE_PATH", "IGN_GAZEBO_RESOURCE_PATH", "GAZEBO_MODEL_PATH"] {
                if let Some(found) = folders(name).iter().find_map(in_or_below) {
                    return Ok(found);
                }
                looked.push(name);
            }
        }
        let shared =
            |prefix: &PathBuf| Some(prefix.join("share").join(package).join(path)).filter(|path| path.exists());
        if let Some(found) = folders("AMENT_PREFIX_PATH").iter().find_map(shared) {
            return Ok(found);
        }
        looked.push("AMENT_PREFIX_PATH");
        for folder in folders("ROS_PACKAGE_PATH") {
            let found = in_or_below(&folder).or_else(|| {
                // Sources: repositories of packages.
                let inner =
                    std::fs::read_dir(&folder).ok()?.take(MOST_FOLDERS).filter_map(|entry| Some(entry.ok()?.path()));
                inner.map(|repository| repository.join(package).join(path)).find(|path| path.exists())
            });
            if let Some(found) = found {
                return Ok(found);
            }
        }
        looked.push("ROS_PACKAGE_PATH");
        for folder in beside {
            let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
            if let Some(found) = folder.ancestors().find_map(|folder| in_or_below(&folder.to_owned())) {
                return Ok(found);
            }
        }
        let near = if beside.is_empty() { "" } else { " and around the file that names it" };
        Err(format!("'{}' is in no package of {}{near}; {CURE}", shown(), looked.join(", ")))
    }

    /// The text of a file: of `most` bytes, found as [`Self::locate`] finds it; of a file of xacro what xacro makes of it, given `arguments`
    /// (`name:=value`). And the file that it is.
    ///
    /// # Errors
    /// What was not found, could not be read or expanded, and what cures that.
    pub fn text(&self, named: &str, most: u64, arguments: &[String]) -> Result<(String, PathBuf), String> {
        let path = self.locate(named, &[])?;
        let text = reading::text(&path, most).map_err(|error| format!("cannot read '{}': {error}", path.display()))?;
        let is_xacro = path.extension().is_some_and(|end| end == "xacro") || reading::is_xacro(&text);
        let text = if is_xacro { expanded(&path, most, arguments, "xacro")? } else { text };
        Ok((text, path))
    }
}

/// Seconds that expanding a description may take: some are made of hundreds of files.
const XACRO_TIME: Duration = Duration::from_secs(60);

/// What xacro makes of a file.
fn expanded(path: &Path, most: u64, arguments: &[String], program: &str) -> Result<String, String> {
    let shown = path.display();
    let by_hand = format!("`xacro {shown} > robot.urdf`");
    let said = match child::run(Command::new(program).arg(path).args(arguments), XACRO_TIME, most) {
        Ok(said) => said,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!(
                "'{shown}' is xacro, and the program xacro is not on PATH: install it (`pip install xacro`, or ROS's package xacro) or expand the file where \
                 it is, {by_hand}"
            ));
        }
        Err(error) => {
            return Err(format!(
                "'{shown}' is xacro, and the program xacro cannot be started: {error}; expand it by hand, {by_hand}"
            ));
        }
    };
    let failed = |how: String| {
        // The last lines say what, the others where in the program.
        let lines: Vec<&str> = said.complaints.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(3)..].join(" / ");
        let last = reading::beginning(&last, 400);
        Err(format!(
            "xacro makes nothing of '{shown}': {how} ({last}); arguments that it needs are given by the parameter 'xacro_arguments', as \
             [\"name:=value\"]; or expand it by hand, {by_hand}"
        ))
    };
    match said.status {
        None => failed(format!("it takes more than {} s", XACRO_TIME.as_secs())),
        Some(status) if !status.success() => failed(status.to_string()),
        Some(_) if said.output.len() as u64 > most => failed(format!("it makes more than {most} bytes")),
        Some(_) => String::from_utf8(said.output).or_else(|_| failed("what it makes is not UTF-8".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_checkout_and_an_installation_are_both_looked_through() {
        let all: Vec<_> = places(Some(Path::new("/r")), Some(Path::new("/ws/install/lib/embodied_fm/sim"))).collect();
        assert_eq!(all[0], Path::new("/r"));
        assert!(all.contains(&PathBuf::from("/ws/install/share/embodied_fm")), "{all:?}");
        assert!(all.contains(&PathBuf::from("/ws")), "{all:?}");
    }

    #[test]
    fn what_is_nowhere_is_returned_as_it_was_written() {
        assert_eq!(find("no/such/thing.yaml"), Path::new("no/such/thing.yaml"));
        assert_eq!(find("/no/such/thing.yaml"), Path::new("/no/such/thing.yaml"));
        assert_eq!(find("package://no_such_package/a.urdf"), Path::new("package://no_such_package/a.urdf"));
    }

    fn touch(root: &Path, file: &str) -> PathBuf {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, file).unwrap();
        path
    }

    #[test]
    fn packages_and_models_are_found_where_ros_and_gazebo_find_them() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let installed = touch(root, "install/share/arm_description/meshes/a.stl");
        let source = touch(root, "src/tool_description/meshes/t.stl");
        let deeper = touch(root, "src/vendor/hand_description/h.dae");
        let model = touch(root, "models/table/table.obj");
        let own = touch(root, "alone/cell_description/meshes/c.glb");
        let next = touch(root, "alone/other_description/o.obj");
        touch(root, "alone/cell_description/urdf/cell.urdf");
        let said = touch(root, "somewhere/s.stl");
        let variable = |name: &str| match name {
            "AMENT_PREFIX_PATH" => {
                Some(root.join("none").display().to_string() + ":" + &root.join("install").display().to_string())
            }
            "ROS_PACKAGE_PATH" => Some(root.join("src").display().to_string()),
            "GAZEBO_MODEL_PATH" => Some(root.join("models").display().to_string()),
            _ => None,
        };
        let packages = Packages::new(&[format!("said = {}", root.join("somewhere").display())]).unwrap();
        let beside = [root.join("alone/cell_description/urdf")];
        let locate = |name: &str| packages.locate_in(name, &beside, &|v| variable(v).map(OsString::from));
        for (name, wanted) in [
            ("package://arm_description/meshes/a.stl", &installed),
            ("model://arm_description/meshes/a.stl", &installed),
            ("package://tool_description/meshes/t.stl", &source),
            ("package://hand_description/h.dae", &deeper),
            ("model://table/table.obj", &model),
            ("package://cell_description/meshes/c.glb", &own),
            ("package://other_description/o.obj", &next),
            ("package://said/s.stl", &said),
            ("../meshes/c.glb", &own),
            (&*format!("file://{}", own.display()), &own),
            (&*format!("file://localhost{}", own.display()), &own),
        ] {
            let found = locate(name).unwrap();
            assert_eq!(found.canonicalize().unwrap(), wanted.canonicalize().unwrap(), "{name}");
        }
        for (name, parts) in [
            (
                "package://nobody/a.stl",
                &["AMENT_PREFIX_PATH", "ROS_PACKAGE_PATH", "around the file", "'packages'", "--package"][..],
            ),
            ("model://nobody/a.stl", &["GZ_SIM_RESOURCE_PATH", "GAZEBO_MODEL_PATH"]),
            ("package://arm_description/meshes/gone.stl", &["gone.stl"]),
            ("package://said/gone.stl", &["said to be in", "somewhere"]),
            ("package:///a.stl", &["names no package"]),
            ("http://example.com/a.stl", &["http:// cannot be looked up"]),
            ("meshes/gone.stl", &["meshes/gone.stl", "cell_description/urdf", "full path"]),
        ] {
            let error = locate(name).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "'{error}' should say '{part}'");
            }
        }
        for wrong in ["name", "=dir", "name=", " = "] {
            assert!(Packages::new(&[wrong]).unwrap_err().contains("NAME=DIR"));
        }
        assert!(Packages::new(&["a=b", "a=c"]).unwrap_err().contains("twice"));
    }

    /// A program that does what xacro does as far as it is asked for here.
    fn program(folder: &Path, script: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join("xacro");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    #[test]
    fn xacro_is_expanded_where_it_can_be_and_else_it_is_said_how() {
        let folder = tempfile::tempdir().unwrap();
        let file = touch(folder.path(), "robot.urdf.xacro");
        let arguments = ["name:=left".to_owned()];
        let good = program(folder.path(), "echo \"<robot name='$2'/>\"");
        assert_eq!(expanded(&file, 1000, &arguments, &good).unwrap(), "<robot name='name:=left'/>\n");
        let error = expanded(&file, 10, &arguments, &good).unwrap_err();
        assert!(error.contains("more than 10 bytes"), "{error}");
        let bad =
            program(folder.path(), "echo 'Traceback' >&2; echo 'Undefined substitution argument ur_type' >&2; exit 2");
        let error = expanded(&file, 1000, &arguments, &bad).unwrap_err();
        for part in ["robot.urdf.xacro", "ur_type", "xacro_arguments", "> robot.urdf"] {
            assert!(error.contains(part), "'{error}' should say '{part}'");
        }
        let error = expanded(&file, 1000, &[], "/nowhere/xacro").unwrap_err();
        assert!(error.contains("not on PATH") && error.contains("pip install xacro"), "{error}");
    }

    #[test]
    fn a_text_is_read_with_its_place_and_what_cannot_be_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = touch(folder.path(), "a.urdf");
        let none = Packages::default();
        let (text, path) = none.text(&file.display().to_string(), 100, &[]).unwrap();
        assert_eq!((text.as_str(), path), ("a.urdf", file));
        assert!(none.text("/nowhere/a.urdf", 100, &[]).unwrap_err().contains("cannot read '/nowhere/a.urdf'"));
        assert!(none.text("package://nobody/a.urdf", 100, &[]).unwrap_err().contains("AMENT_PREFIX_PATH"));
    }
}
