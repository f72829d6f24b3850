//! Definitions of the standard messages that the suite writes, as a bag carries them.
//!
//! The texts hold the fields and constants of ROS 2 Jazzy's definitions without their comments; the hashes are Jazzy's
//! (REP 2011). [`schema_text`] joins a definition with those that it needs, in rosbag2's form.

/// A message definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeInfo {
    /// `package/msg/Type`.
    pub name: &'static str,
    /// REP 2011 hash.
    pub hash: &'static str,
    /// Fields and constants.
    pub text: &'static str,
    /// Names of the types that the fields mention, in order.
    needs: &'static [&'static str],
}

const TIME: &str = "builtin_interfaces/msg/Time";
const DURATION: &str = "builtin_interfaces/msg/Duration";
const HEADER: &str = "std_msgs/msg/Header";
const ROI: &str = "sensor_msgs/msg/RegionOfInterest";
const POINT: &str = "trajectory_msgs/msg/JointTrajectoryPoint";
const STATUS: &str = "diagnostic_msgs/msg/DiagnosticStatus";
const KEY_VALUE: &str = "diagnostic_msgs/msg/KeyValue";

/// Every definition known here.
pub const TYPES: &[TypeInfo] = &[
    TypeInfo {
        name: TIME,
        hash: "RIHS01_b106235e25a4c5ed35098aa0a61a3ee9c9b18d197f398b0e4206cea9acf9c197",
        text: "int32 sec\nuint32 nanosec\n",
        needs: &[],
    },
    TypeInfo {
        name: DURATION,
        hash: "RIHS01_e8d009f659816f758b75334ee1a9ca5b5c0b859843261f14c7f937349599d93b",
        text: "int32 sec\nuint32 nanosec\n",
        needs: &[],
    },
    TypeInfo {
        name: "std_msgs/msg/String",
        hash: "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18",
        text: "string data\n",
        needs: &[],
    },
    TypeInfo {
        name: "std_msgs/msg/Bool",
        hash: "RIHS01_feb91e995ff9ebd09c0cb3d2aed18b11077585839fb5db80193b62d74528f6c9",
        text: "bool data\n",
        needs: &[],
    },
    TypeInfo {
        name: "std_msgs/msg/Float64",
        hash: "RIHS01_705ba9c3d1a09df43737eb67095534de36fd426c0587779bda2bc51fe790182a",
        text: "float64 data\n",
        needs: &[],
    },
    TypeInfo {
        name: HEADER,
        hash: "RIHS01_f49fb3ae2cf070f793645ff749683ac6b06203e41c891e17701b1cb597ce6a01",
        text: "builtin_interfaces/Time stamp\nstring frame_id\n",
        needs: &[TIME],
    },
    TypeInfo {
        name: "sensor_msgs/msg/Image",
        hash: "RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47",
        text: "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\n\
               uint8[] data\n",
        needs: &[HEADER],
    },
    TypeInfo {
        name: "sensor_msgs/msg/CompressedImage",
        hash: "RIHS01_15640771531571185e2efc8a100baf923961a4d15d5569652e6cb6691e8e371a",
        text: "std_msgs/Header header\nstring format\nuint8[] data\n",
        needs: &[HEADER],
    },
    TypeInfo {
        name: "sensor_msgs/msg/CameraInfo",
        hash: "RIHS01_b3dfd68ff46c9d56c80fd3bd4ed22c7a4ddce8c8348f2f59c299e73118e7e275",
        text: "std_msgs/Header header\nuint32 height\nuint32 width\nstring distortion_model\nfloat64[] d\nfloat64[9] k\n\
               float64[9] r\nfloat64[12] p\nuint32 binning_x\nuint32 binning_y\nRegionOfInterest roi\n",
        needs: &[HEADER, ROI],
    },
    TypeInfo {
        name: ROI,
        hash: "RIHS01_ad16bcba5f9131dcdba6fbded19f726f5440e3c513b4fb586dd3027eeed8abb1",
        text: "uint32 x_offset\nuint32 y_offset\nuint32 height\nuint32 width\nbool do_rectify\n",
        needs: &[],
    },
    TypeInfo {
        name: "sensor_msgs/msg/JointState",
        hash: "RIHS01_a13ee3a330e346c9d87b5aa18d24e11690752bd33a0350f11c5882bc9179260e",
        text: "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort\n",
        needs: &[HEADER],
    },
    TypeInfo {
        name: "trajectory_msgs/msg/JointTrajectory",
        hash: "RIHS01_179b33eba59d676f6d967ac71fe35e7ca2f64b2f3928f4a018cec115e213796e",
        text: "std_msgs/Header header\nstring[] joint_names\nJointTrajectoryPoint[] points\n",
        needs: &[HEADER, POINT],
    },
    TypeInfo {
        name: POINT,
        hash: "RIHS01_de8907036d8bd45aac6f30cc9044a3d4a329c42cbf719aff7d95a584cfa532d7",
        text: "float64[] positions\nfloat64[] velocities\nfloat64[] accelerations\nfloat64[] effort\n\
               builtin_interfaces/Duration time_from_start\n",
        needs: &[DURATION],
    },
    TypeInfo {
        name: "diagnostic_msgs/msg/DiagnosticArray",
        hash: "RIHS01_5a8a36efb05fb25070fa0fb3810290c0e6cd4862b54a8fb975a1ee8dc55a333e",
        text: "std_msgs/Header header\nDiagnosticStatus[] status\n",
        needs: &[HEADER, STATUS],
    },
    TypeInfo {
        name: STATUS,
        hash: "RIHS01_b0e3e692ea2d54a8af2f4ef1930e81556a2db55216b771f8a7d2724ed47bf0e4",
        text: "byte OK=0\nbyte WARN=1\nbyte ERROR=2\nbyte STALE=3\nbyte level\nstring name\nstring message\n\
               string hardware_id\nKeyValue[] values\n",
        needs: &[KEY_VALUE],
    },
    TypeInfo {
        name: KEY_VALUE,
        hash: "RIHS01_d68081eaa540288c5440753baecef0c4e16e81a5f78ad68902ded5100413bb42",
        text: "string key\nstring value\n",
        needs: &[],
    },
    TypeInfo {
        name: "rosgraph_msgs/msg/Clock",
        hash: "RIHS01_692f7a66e93a3c83e71765d033b60349ba68023a8c689a79e48078bcb5c58564",
        text: "builtin_interfaces/Time clock\n",
        needs: &[TIME],
    },
];

/// Finds a definition by its full name, `package/msg/Type`.
pub fn type_info(name: &str) -> Option<&'static TypeInfo> {
    TYPES.iter().find(|t| t.name == name)
}

/// The complete `ros2msg` text of a known type: its definition, then every other one that it needs, each once.
pub fn schema_text(name: &str) -> Option<String> {
    let root = type_info(name)?;
    let mut text = root.text.to_owned();
    let mut seen = Vec::new();
    append_needs(root, &mut text, &mut seen);
    Some(text)
}

fn append_needs(of: &TypeInfo, text: &mut String, seen: &mut Vec<&'static str>) {
    for info in of.needs.iter().filter_map(|name| type_info(name)) {
        if seen.contains(&info.name) {
            continue;
        }
        seen.push(info.name);
        text.push('\n');
        text.push_str(&"=".repeat(80));
        text.push_str("\nMSG: ");
        text.push_str(&info.name.replace("/msg/", "/"));
        text.push('\n');
        text.push_str(info.text);
        append_needs(info, text, seen);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_definition_brings_along_all_that_it_needs_once() {
        let text = schema_text("diagnostic_msgs/msg/DiagnosticArray").unwrap();
        let line = "=".repeat(80);
        let expected = format!(
            "std_msgs/Header header\nDiagnosticStatus[] status\n\n{line}\nMSG: std_msgs/Header\n\
             builtin_interfaces/Time stamp\nstring frame_id\n\n{line}\nMSG: builtin_interfaces/Time\nint32 sec\n\
             uint32 nanosec\n\n{line}\nMSG: diagnostic_msgs/DiagnosticStatus\nbyte OK=0\nbyte WARN=1\nbyte ERROR=2\n\
             byte STALE=3\nbyte level\nstring name\nstring message\nstring hardware_id\nKeyValue[] values\n\n{line}\n\
             MSG: diagnostic_msgs/KeyValue\nstring key\nstring value\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn every_type_that_a_field_mentions_is_known() {
        for info in TYPES {
            for need in info.needs {
                assert!(type_info(need).is_some(), "{} needs {need}", info.name);
            }
        }
        assert_eq!(schema_text("geometry_msgs/msg/Pose"), None);
    }
}
