//! What the arguments of the process say of parameters.
//!
//! rcl reads each file and each `-p` by itself, and [`Sayings`] puts them together: rcl's own sum forgets which of two values of different
//! types came later.

use crate::entities::{OK, RosError, rcl_error, text_of};
use efm_config::given::Sayings;
use efm_core::reading;
use r2r_rcl as rcl;
use std::ffi::CString;

const FILE: &str = "--params-file";

/// Reads what arguments that rcl has taken say.
///
/// # Errors
/// Naming the file or the argument: it cannot be read, it says nothing to nobody, or the same thing twice.
pub(crate) fn sayings(args: &[String]) -> Result<Sayings, RosError> {
    let mut sayings = Sayings::default();
    sources(args).into_iter().try_for_each(|(flag, text)| read(flag, text, &mut sayings))?;
    Ok(sayings)
}

/// The parameter files and parameters among the arguments, in their order.
fn sources(args: &[String]) -> Vec<(&str, &str)> {
    const WITH_VALUE: [&str; 7] =
        ["-r", "--remap", "-e", "--enclave", "--log-level", "--log-config-file", "--log-file-name"];
    let (mut found, mut of_ros) = (Vec::new(), false);
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        match arg {
            "--ros-args" => of_ros = true,
            "--" => of_ros = false,
            "-p" | "--param" | FILE if of_ros => found.extend(args.next().map(|text| (arg, text))),
            _ if of_ros && WITH_VALUE.contains(&arg) => drop(args.next()),
            _ => {}
        }
    }
    found
}

/// Has rcl read one of them.
fn read(flag: &str, text: &str, sayings: &mut Sayings) -> Result<(), RosError> {
    let wrong = |reason: String| RosError::new("cannot read the parameters of", text, reason);
    let text_c = CString::new(text).map_err(|e| wrong(e.to_string()))?;
    // SAFETY: the texts outlive the calls; rcl's structures are read within their lengths, and freed.
    unsafe {
        let allocator = rcl::rcutils_get_default_allocator();
        if flag == FILE {
            let params = rcl::rcl_yaml_node_struct_init(allocator);
            let named = match rcl::rcl_parse_yaml_file(text_c.as_ptr(), params) {
                true => params.as_ref().map_or(Ok(0), |all| take(all, None, sayings)),
                false => Err(rcl_error()),
            };
            rcl::rcl_yaml_node_struct_fini(params);
            return match named.map_err(wrong)? {
                0 if says_something(text) => {
                    Err(wrong("it names no node (wanted: NODE: {ros__parameters: {NAME: VALUE}})".to_owned()))
                }
                _ => Ok(()),
            };
        }
        let args = [c"--ros-args".as_ptr(), c"-p".as_ptr(), text_c.as_ptr()];
        let mut parsed = rcl::rcl_get_zero_initialized_arguments();
        if rcl::rcl_parse_arguments(3, args.as_ptr(), allocator, &raw mut parsed) != OK {
            return Err(wrong(rcl_error()));
        }
        let mut params: *mut rcl::rcl_params_t = std::ptr::null_mut();
        let taken = match rcl::rcl_arguments_get_param_overrides(&raw const parsed, &raw mut params) {
            OK => params.as_ref().map_or(Ok(0), |all| take(all, Some(written(text)), sayings)),
            _ => Err(rcl_error()),
        };
        if !params.is_null() {
            rcl::rcl_yaml_node_struct_fini(params);
        }
        rcl::rcl_arguments_fini(&raw mut parsed);
        taken.map(|_| ()).map_err(wrong)
    }
}

/// The value of `[NODE:]NAME:=VALUE`, as it is written.
fn written(text: &str) -> &str {
    text.split_once(":=").map_or("", |(_, value)| value.trim())
}

/// Whether there is more in a file than comments.
fn says_something(file: &str) -> bool {
    let is_nothing = |line: &str| ["", "{}"].contains(&line) || line.starts_with('#');
    reading::text(file, reading::SETTINGS).is_ok_and(|text| !text.lines().map(str::trim).all(is_nothing))
}

/// Takes over all that is in a structure of rcl's; how many nodes it names, or what is wrong.
///
/// # Safety
/// Its pointers are null or valid for the numbers that it gives.
unsafe fn take(all: &rcl::rcl_params_t, by_hand: Option<&str>, sayings: &mut Sayings) -> Result<usize, String> {
    // SAFETY: the caller's promise.
    unsafe {
        let nodes = if all.node_names.is_null() || all.params.is_null() { 0 } else { all.num_nodes };
        for i in 0..nodes {
            let (key, of) = (text_of(*all.node_names.add(i)), &*all.params.add(i));
            let is_empty = of.parameter_names.is_null() || of.parameter_values.is_null();
            for k in 0..if is_empty { 0 } else { of.num_params } {
                let (name, value) = (text_of(*of.parameter_names.add(k)), &*of.parameter_values.add(k));
                if kinds(value) > 1 {
                    return Err(format!(
                        "parameter '{name}' of '{key}' is given twice, as different types; give it once"
                    ));
                }
                sayings.add(&key, name, value_of(value), by_hand);
            }
        }
        Ok(nodes)
    }
}

/// How many values of different types there are: more than one where a file gives a parameter twice.
fn kinds(value: &rcl::rcl_variant_t) -> usize {
    [
        value.bool_value.is_null(),
        value.integer_value.is_null(),
        value.double_value.is_null(),
        value.string_value.is_null(),
        value.byte_array_value.is_null(),
        value.bool_array_value.is_null(),
        value.integer_array_value.is_null(),
        value.double_array_value.is_null(),
        value.string_array_value.is_null(),
    ]
    .into_iter()
    .filter(|is_null| !is_null)
    .count()
}

/// # Safety
/// The value is one of rcl's, whose pointers are null or valid.
unsafe fn value_of(value: &rcl::rcl_variant_t) -> efm_config::ParameterValue {
    use efm_config::ParameterValue as Ros;
    // SAFETY: of every array rcl gives values and their number.
    unsafe fn list<'a, T>(values: *const T, size: usize) -> &'a [T] {
        if values.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(values, size) } }
    }
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(v) = value.bool_value.as_ref() {
            Ros::Bool(*v)
        } else if let Some(v) = value.integer_value.as_ref() {
            Ros::Integer(*v)
        } else if let Some(v) = value.double_value.as_ref() {
            Ros::Double(*v)
        } else if !value.string_value.is_null() {
            Ros::String(text_of(value.string_value))
        } else if let Some(v) = value.byte_array_value.as_ref() {
            Ros::ByteArray(list(v.values, v.size).to_vec())
        } else if let Some(v) = value.bool_array_value.as_ref() {
            Ros::BoolArray(list(v.values, v.size).to_vec())
        } else if let Some(v) = value.integer_array_value.as_ref() {
            Ros::IntegerArray(list(v.values, v.size).to_vec())
        } else if let Some(v) = value.double_array_value.as_ref() {
            Ros::DoubleArray(list(v.values, v.size).to_vec())
        } else if let Some(v) = value.string_array_value.as_ref() {
            Ros::StringArray(list(v.data.cast_const(), v.size).iter().map(|text| text_of(*text)).collect())
        } else {
            Ros::NotSet
        }
    }
}

#[cfg(test)]
mod tests;
