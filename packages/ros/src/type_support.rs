//! Type supports of messages, out of the message packages that are installed.

use libloading::Library;
use r2r_rcl as rcl;
use std::collections::HashMap;
use std::ffi::c_void;
use std::path::PathBuf;

/// The message package is not installed, or has no such type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{type_name} is not installed: {reason} (source its package's setup file, or install the package)")]
pub struct NoTypeSupport {
    /// `package/msg/Type`.
    pub type_name: String,
    /// What the loader said.
    pub reason: String,
}

struct TypeSupport {
    handle: *const rcl::rosidl_message_type_support_t,
    // The handle lies in it.
    _library: Library,
}

/// Those that were asked for so far.
#[derive(Default)]
pub(crate) struct TypeSupports(HashMap<String, TypeSupport>);

impl TypeSupports {
    /// That of `package/msg/Type`, out of the message package's library, which is loaded once. It lives as long as `self`.
    ///
    /// # Errors
    /// When the package is not installed or has no such type.
    pub fn of(&mut self, type_name: &str) -> Result<*const rcl::rosidl_message_type_support_t, NoTypeSupport> {
        if let Some(known) = self.0.get(type_name) {
            return Ok(known.handle);
        }
        let missing = |reason: String| NoTypeSupport { type_name: type_name.to_owned(), reason };
        let (package, name) = message_name(type_name).ok_or_else(|| missing("not a message type".to_owned()))?;
        let file = format!("lib{package}__rosidl_typesupport_c.so");
        let library = load(&file).map_err(|error| missing(error.to_string()))?;
        let symbol = format!("rosidl_typesupport_c__get_message_type_support_handle__{package}__msg__{name}");
        // SAFETY: rosidl generates this function for every message, with this signature.
        let handle = unsafe {
            let get = library
                .get::<unsafe extern "C" fn() -> *const c_void>(symbol.as_bytes())
                .map_err(|error| missing(error.to_string()))?;
            get().cast::<rcl::rosidl_message_type_support_t>()
        };
        if handle.is_null() {
            return Err(missing(format!("{file} has none")));
        }
        self.0.insert(type_name.to_owned(), TypeSupport { handle, _library: library });
        Ok(handle)
    }
}

/// Package and name of `package/msg/Type`, of letters, digits and underscores only: they become names of a file and a symbol.
fn message_name(type_name: &str) -> Option<(&str, &str)> {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let (package, rest) = type_name.split_once("/msg/")?;
    (word(package) && word(rest)).then_some((package, rest))
}

/// Loads a library as the system finds it, or from the `lib` folders of the installed prefixes.
fn load(file: &str) -> Result<Library, libloading::Error> {
    // SAFETY: message libraries of ROS have no initialisers that do anything.
    let first = match unsafe { Library::new(file) } {
        Ok(library) => return Ok(library),
        Err(error) => error,
    };
    let path = std::env::var_os("AMENT_PREFIX_PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path).map(|prefix| prefix.join("lib").join(file)).collect();
    // SAFETY: as above.
    places.iter().find_map(|place| unsafe { Library::new(place) }.ok()).ok_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_messages_become_names_of_libraries() {
        assert_eq!(message_name("sensor_msgs/msg/Image"), Some(("sensor_msgs", "Image")));
        for wrong in
            ["", "sensor_msgs/srv/SetCameraInfo", "../evil/msg/Image", "a/msg/b/msg/c", "a/msg/", "sensor_msgs"]
        {
            assert_eq!(message_name(wrong), None, "{wrong}");
        }
    }
}
