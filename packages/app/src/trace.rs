//! What nodes worked on, in their order, so that a run can be done again from its bag: what is in a trace (`~/trace`).
//!
//! A `diagnostic_msgs/DiagnosticArray` ten times a second, one status with the node's name. Its values: `format`, `sequence` (so that a message that a
//! recorder missed is known), `events` (one JSON object a line) and, every so often, what the node was started with ([`Setup`], as JSON). The
//! topic is latched with a history of a minute: a recorder that comes a little later than the node hears all of it.

use efm_config::{Params, Spec};
use efm_core::reading;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Version of what is in the values.
pub const FORMAT: &str = "1";

/// The value that says how many events are not in a message, where some are not.
pub const LEFT_OUT: &str = "left_out";

/// What a node was started with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Executable.
    pub node: String,
    /// Version of embodied_fm.
    pub version: String,
    /// All parameters, as JSON values.
    pub params: BTreeMap<String, serde_json::Value>,
    /// Text of the files that parameters name, by parameter.
    pub files: BTreeMap<String, String>,
    /// SHA-256 of files that are too large to be in here, by name.
    pub hashes: BTreeMap<String, String>,
    /// What computed: library versions, the processor.
    pub platform: BTreeMap<String, String>,
}

impl Setup {
    /// Of a node with these parameters.
    pub fn new(node: &str, params: &Params) -> Self {
        let platform = BTreeMap::from([
            ("arch".to_owned(), std::env::consts::ARCH.to_owned()),
            ("processor".to_owned(), processor()),
        ]);
        Self {
            node: node.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            params: params.to_json(),
            platform,
            ..Self::default()
        }
    }
}

/// The processor's name, where the operating system tells it: arithmetic libraries choose their code by it.
fn processor() -> String {
    let text = reading::text("/proc/cpuinfo", reading::SYSTEM).unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or("unknown", |(_, name)| name.trim()).to_owned()
}

/// What `vla_inference` worked on. Times in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inferred<'a> {
    /// The policy was to be opened for a robot.
    Open {
        /// URDF.
        urdf: Cow<'a, str>,
    },
    /// It was, or not.
    Opened {
        /// SHA-256 of the package; or why it is refused.
        policy: Result<String, String>,
    },
    /// A sentence was embedded.
    Embed {
        /// It.
        sentence: Cow<'a, str>,
    },
    /// A chunk was to be made.
    Act(Box<Look>),
    /// There is a chunk, or not.
    Acted {
        /// Time at which it was there.
        now: i64,
        /// Seconds that the policy took.
        seconds: f64,
        /// Whether it was published; why not.
        outcome: Result<bool, String>,
    },
}

/// What a chunk was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Time at which it was given to the policy.
    pub now: i64,
    /// Time of the observation; the chunk's stamp.
    pub stamp: i64,
    /// What was seen and measured then.
    pub seen: Seen,
    /// What was seen before, for a policy that looks back, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Seen>,
    /// Of the noise.
    pub noise_seed: u64,
    /// The chunk that was followed, by its stamp, and the time on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub following: Option<(i64, i64)>,
    /// Seconds that a chunk was late, where that was news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<f64>,
}

/// What was seen and measured at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Time of the observation.
    pub stamp: i64,
    /// A picture a camera, in the policy's order.
    pub pictures: Vec<SeenPicture>,
    /// rad or m, in the order of the policy's joints, at that time.
    pub positions: Vec<f64>,
    /// rad/s or m/s.
    pub velocities: Vec<f64>,
}

/// A picture that was worked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeenPicture {
    /// Camera.
    pub camera: String,
    /// Header stamp of `observation/<camera>/image`.
    pub stamp: i64,
    /// CRC-32 of its pixels.
    pub crc: u32,
}

/// What `camera_ingest` passed on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PassedOn<'a> {
    /// Camera.
    pub camera: Cow<'a, str>,
    /// Time of receipt.
    pub received: i64,
    /// Time of publication.
    pub published: i64,
    /// Header stamp.
    pub stamp: i64,
    /// CRC-32 of the pixels that were published.
    pub crc: u32,
}

/// What `goal_intake` heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked<'a> {
    /// A goal in words.
    Goal {
        /// Time.
        now: i64,
        /// The words; of a text that is too long for a goal the beginning.
        text: Cow<'a, str>,
        /// How many bytes it had, where these are not all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<usize>,
    },
    /// The active goal was cancelled.
    Cancel {
        /// Time.
        now: i64,
    },
    /// `task_status` was heard.
    Report {
        /// Time.
        now: i64,
        /// JSON.
        text: Cow<'a, str>,
    },
    /// The instruction from now on.
    Instruct {
        /// Time.
        now: i64,
        /// Empty: none.
        text: Cow<'a, str>,
    },
}

/// CRC-32 of bytes, as the trace has it.
pub fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// The parameter that every node with a trace has.
pub fn spec() -> Spec {
    Spec::bool(
        "trace",
        true,
        "Whether what is worked on is told on ~/trace, from which `efm replay` does a recorded run again.",
    )
}

/// Why a message is no trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTrace {
    /// More or fewer statuses than one.
    #[error("{0} statuses in one message; a trace has one")]
    Statuses(usize),
    /// A value is not there.
    #[error("the value '{0}' is missing")]
    Missing(String),
    /// Another format.
    #[error("it is of format {0}; this version reads format {FORMAT}")]
    Format(String),
    /// Events were left out.
    #[error("it lacks {0} events, of which more came than it could hold: what came of them cannot be done again")]
    Lacks(String),
    /// What should count does not.
    #[error("'sequence' is '{0}', which is no count")]
    Sequence(String),
}

/// A message of a trace, read from a bag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceMessage {
    /// Node, with its namespace.
    pub node: String,
    /// Counts from zero, from the node's start.
    pub sequence: u64,
    /// [`Setup`] as JSON, where it is in this one.
    pub setup: Option<String>,
    /// One JSON object a line.
    pub events: String,
}

impl TraceMessage {
    /// From a message of a bag.
    ///
    /// # Errors
    /// When it is no trace, or one of another format.
    pub fn read(message: &efm_wire::msgs::DiagnosticArray) -> Result<Self, NoTrace> {
        let [status] = message.status.as_slice() else { return Err(NoTrace::Statuses(message.status.len())) };
        let value = |key: &str| status.values.iter().find(|(k, _)| k == key).map(|(_, value)| value);
        let wanted = |key: &str| value(key).ok_or_else(|| NoTrace::Missing(key.to_owned()));
        let format = wanted("format")?;
        if format != FORMAT {
            return Err(NoTrace::Format(format.clone()));
        }
        if let Some(number) = value(LEFT_OUT) {
            return Err(NoTrace::Lacks(number.clone()));
        }
        let sequence = wanted("sequence")?;
        Ok(Self {
            node: status.name.clone(),
            sequence: sequence.parse().map_err(|_| NoTrace::Sequence(sequence.clone()))?,
            setup: value("setup").cloned(),
            events: wanted("events")?.clone(),
        })
    }
}
