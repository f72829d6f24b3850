//! Parameters of the recorder.

use super::Selection;
use efm_config::codes::wrong;
use efm_core::Reason;
use efm_ros::{Params, Rule, Spec};

/// Names and expressions that can be read.
const TOPICS: Rule = Rule::new(
    "",
    &[],
    |params| is_selection(params, "topics"),
    &[r#"{"topics": ["joint_states", "/camera_(front"]}"#, r#"{"topics": ["*?"]}"#, r#"{"topics": ["/a[b"]}"#],
);
const EXCLUDE: Rule =
    Rule::new("", &[], |params| is_selection(params, "exclude"), &[r#"{"exclude": ["/camera_(front"]}"#]);

fn is_selection(params: &Params, name: &str) -> Result<(), Reason> {
    let selection = Selection::new(&named(params, name), &[], "/").map(drop);
    selection.map_err(|error| wrong(format!("parameter '{name}': {error}"), ""))
}

/// A list without the empty text that stands for an empty list.
pub fn named(params: &Params, name: &str) -> Vec<String> {
    params.texts(name).into_iter().filter(|text| !text.is_empty()).collect()
}

/// Parameters of `recorder`.
pub fn specs() -> Vec<Spec> {
    vec![
        Spec::texts(
            "topics",
            &[],
            "Topics to record: names (relative ones are in the node's namespace; * is any one part), regular expressions for whole names, or 'all'. \
             Default: those that config/graph.yaml lists under 'record'.",
        )
        .rule(TOPICS),
        Spec::texts(
            "nodes",
            &[],
            "Nodes whose topics are recorded besides, by whatever name their parameters and remappings gave them: all that they publish and subscribe to \
             but the cameras' own pictures. Relative names are in the node's namespace. Default, where `topics` names none: those of the graph \
             (config/graph.yaml) that run on a robot.",
        ),
        Spec::texts("exclude", &[], "Topics to leave out: names or regular expressions for whole names.").rule(EXCLUDE),
        Spec::text(
            "folder",
            "",
            "New folder of the bag. Default: recording_ and the time (UTC), in the working directory.",
        ),
        Spec::text("images", "raw", "raw: as they come. compressed: as JPEG on <topic>/compressed.")
            .choices(&["raw", "compressed"]),
        Spec::integer("jpeg_quality", 85, "Quality of the JPEGs.").range(1.0, 100.0),
        Spec::integer("zstd_level", 1, "Compression of the bag: 1 (fast) to 22 (small).").range(0.0, 22.0).or_zero("none"),
        Spec::integer("max_file_mb", 4096, "Size after which the next file of the bag is begun.")
            .unit("MB")
            .range(0.0, 1e6)
            .or_zero("never"),
        Spec::double("max_file_s", 3600.0, "Time after which the next file of the bag is begun.")
            .unit("s")
            .range(0.001, 1e6)
            .or_zero("never"),
        Spec::integer("queue_mb", 128, "Messages that may wait to be written. More are lost, which is told.")
            .unit("MB")
            .range(1.0, 65_536.0),
        Spec::integer("min_free_mb", 500, "The recording ends before the disk has less than this left.")
            .unit("MB")
            .range(0.0, 1e9),
        Spec::bool(
            "end_on_error",
            false,
            "Whether the node ends with code 1 when the recording ends by itself (a full disk). \
             Otherwise it stays, idle, and tells it in /diagnostics.",
        ),
    ]
}
