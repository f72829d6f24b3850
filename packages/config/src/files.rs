//! Where files of the suite lie: beside the sources, or installed.

use std::path::{Path, PathBuf};

/// A file or folder that a parameter names. An absolute path, or one that exists from the working directory, is taken as it is.
/// Otherwise it is looked for in the folder of the environment variable `EFM_ROOT`, then from the executable upwards, in each folder
/// and its `share/embodied_fm`: that finds `config/`, `models/` and `urdf/` both in a checkout and where colcon installs them. What is
/// found nowhere is returned as it is, so that the error names what the user wrote.
pub fn find(named: &str) -> PathBuf {
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

#[cfg(test)]
mod tests {
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
    }
}
