//! What is in a bag, and what is wrong with it.

use crate::contents::{Contents, Wrong};
use crate::damage::Damage;
use crate::error::BagError;
use crate::files;
use crate::reader::{BagMessage, BagReader};
use crate::stamps::Stamps;
use efm_core::Stamp;
use std::collections::BTreeMap;
use std::path::Path;

/// What counts as wrong. Seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectations {
    /// Topics that must be there and hold messages; a leading `/` makes no difference.
    pub topics: Vec<String>,
    /// A pause on a topic is a gap when it is longer than this many times its median interval ...
    pub gap_factor: f64,
    /// ... and than this.
    pub min_gap_s: f64,
    /// A message that was recorded by so much before its own stamp comes from a clock that is off.
    pub max_ahead_s: f64,
    /// Whether messages are looked into: pictures are unpacked, numbers compared.
    pub contents: bool,
}

impl Default for Expectations {
    fn default() -> Self {
        Self { topics: Vec::new(), gap_factor: 5.0, min_gap_s: 0.5, max_ahead_s: 0.05, contents: false }
    }
}

/// A topic of a bag.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicReport {
    /// As recorded.
    pub name: String,
    /// `package/msg/Type`.
    pub type_name: String,
    /// REP 2011 hash of the type; empty when the bag does not say.
    pub type_hash: String,
    /// Of the type, with those that it needs; empty when it is not known.
    pub definition: String,
    /// `ros2msg` or `ros2idl`; empty without a definition.
    pub definition_encoding: String,
    /// The profiles that its publishers offered, in rosbag2's YAML; empty when the bag does not say.
    pub offered_qos: String,
    /// Messages.
    pub messages: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Log times of the first and the last.
    pub span: (Stamp, Stamp),
    /// Median and longest interval between messages, in seconds, and when the longest began; none with fewer than two.
    pub intervals: Option<(f64, f64, Stamp)>,
    /// Whether it comes all the time, so that a pause is a gap: not what is said when something happens (goals, commands, events), nor what has
    /// no usual interval.
    pub steady: bool,
    /// Messages that are wrong inside, where they were looked into.
    pub wrong: Vec<Wrong>,
    /// Gaps by the [`Expectations`] of what comes all the time: beginning and length in seconds.
    pub gaps: Vec<(Stamp, f64)>,
    /// Of types with a header: how often a stamp was before the one before it, and the largest step back in seconds.
    pub steps_back: (u64, f64),
    /// Of types with a header: what else is wrong with their stamps, in words.
    pub wrong_stamps: Vec<String>,
    /// Of types with a header: median and largest time from stamp to log time in seconds, of stamps that are not zero.
    pub age: Option<(f64, f64)>,
    /// Smallest time from stamp to log time, in seconds: below zero where the stamp lies in the future.
    pub least_age: f64,
}

/// What is in a bag.
#[derive(Debug, Clone, PartialEq)]
pub struct BagReport {
    /// By name.
    pub topics: Vec<TopicReport>,
    /// Log times of the first and the last message; zero where there are none.
    pub span: (Stamp, Stamp),
    /// Whether it is a folder without `metadata.yaml`.
    pub without_metadata: bool,
    /// Messages that `metadata.yaml` counts, where there are others.
    pub counted: Option<u64>,
    /// Messages that were recorded before one that stands before them in the bag.
    pub out_of_order: u64,
    /// Whether a file ends in the middle.
    pub truncated: bool,
    /// What could not be read.
    pub damages: Vec<Damage>,
    /// How many records could not be read.
    pub damaged: u64,
    /// Files that could not be read at all.
    pub unreadable: Vec<String>,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

struct Tally {
    /// The first message, without its bytes: it says what all are.
    first: BagMessage,
    has_header: bool,
    bytes: u64,
    times: Vec<i64>,
    stamps: Stamps,
}

impl Tally {
    fn new(message: &BagMessage) -> Self {
        let first = message.without_data();
        let has_header =
            first.encoding() == "cdr" && (HEADED.contains(&first.type_name()) || has_header(&first.schema_text()));
        Self { first, has_header, bytes: 0, times: Vec::new(), stamps: Stamps::default() }
    }

    fn see(&mut self, message: &BagMessage) {
        self.times.push(message.log_time().nanos());
        self.bytes += message.data().len() as u64;
        if self.has_header {
            self.stamps.see(message, self.first.type_name());
        }
    }

    fn report(mut self, name: String, expected: &Expectations, wrong: Vec<Wrong>) -> TopicReport {
        let span = self.times.iter().fold((i64::MAX, i64::MIN), |(a, b), t| (a.min(*t), b.max(*t)));
        self.times.sort_unstable();
        let steps: Vec<(i64, i64)> = self.times.windows(2).map(|pair| (pair[1] - pair[0], pair[0])).collect();
        let mut lengths: Vec<i64> = steps.iter().map(|(length, _)| *length).collect();
        let middle = median(&mut lengths);
        let longest = steps.iter().copied().max();
        let s = |nanos: i64| nanos as f64 * 1.0e-9;
        let least = middle.map_or(f64::INFINITY, |m| (expected.gap_factor * s(m)).max(expected.min_gap_s));
        let steady =
            is_steady(&name, self.first.type_name()) && middle.is_some_and(|middle| are_even(&lengths, middle));
        let gaps = steps
            .iter()
            .filter(|(length, _)| steady && s(*length) > least)
            .map(|(length, begin)| (Stamp::from_nanos(*begin), s(*length)));
        let measured = self.first.type_name().starts_with("sensor_msgs/");
        let (back, wrong_stamps) = (self.stamps.back(), self.stamps.wrong(measured));
        let ages = self.stamps.ages();
        let age = median(ages).map(|middle| (s(middle), s(ages.iter().copied().max().unwrap_or_default())));
        let least_age = s(ages.iter().copied().min().unwrap_or_default());
        TopicReport {
            name,
            type_name: self.first.type_name().to_owned(),
            type_hash: self.first.type_hash().to_owned(),
            definition: self.first.schema_text().into_owned(),
            definition_encoding: self.first.schema_encoding().to_owned(),
            offered_qos: self.first.offered_qos().to_owned(),
            messages: self.times.len() as u64,
            bytes: self.bytes,
            span: (Stamp::from_nanos(span.0), Stamp::from_nanos(span.1)),
            intervals: middle.zip(longest).map(|(m, (l, at))| (s(m), s(l), Stamp::from_nanos(at))),
            steady,
            wrong,
            gaps: gaps.collect(),
            steps_back: (back.0, s(back.1)),
            wrong_stamps,
            age,
            least_age,
        }
    }
}

/// Reads a whole bag, and says what is in it. Memory grows by 16 bytes a message.
///
/// # Errors
/// When there is no bag. What is wrong inside is in the report.
pub fn inspect(path: &Path, expected: &Expectations) -> Result<BagReport, BagError> {
    let mut reader = BagReader::open(path)?;
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let (mut latest, mut out_of_order, mut unreadable) = (i64::MIN, 0, Vec::new());
    let mut contents = Contents::default();
    loop {
        match reader.next_message() {
            Ok(Some(message)) => {
                if expected.contents {
                    contents.look(&message);
                }
                let at = message.log_time().nanos();
                out_of_order += u64::from(at < latest);
                latest = latest.max(at);
                if let Some(tally) = tallies.get_mut(message.topic()) {
                    tally.see(&message);
                } else {
                    let tally = tallies.entry(message.topic().to_owned()).or_insert_with(|| Tally::new(&message));
                    tally.see(&message);
                }
            }
            Ok(None) => break,
            Err(error) => unreadable.push(error.to_string()),
        }
    }
    let topics = tallies.into_iter().map(|(name, tally)| {
        let wrong = contents.of(&name);
        tally.report(name, expected, wrong)
    });
    let topics: Vec<_> = topics.collect();
    let found: u64 = topics.iter().map(|topic| topic.messages).sum();
    let yaml = path.join("metadata.yaml");
    let spans = topics.iter().map(|topic| topic.span);
    let span = spans.reduce(|(a, b), (c, d)| (a.min(c), b.max(d))).unwrap_or_default();
    let mut report = BagReport {
        topics,
        span,
        without_metadata: path.is_dir() && !yaml.exists(),
        counted: files::message_count(path).filter(|counted| *counted != found),
        out_of_order,
        truncated: reader.truncated(),
        damages: reader.damages().to_vec(),
        damaged: reader.damaged(),
        unreadable,
        problems: Vec::new(),
    };
    report.problems = problems(&report, expected);
    Ok(report)
}

fn problems(report: &BagReport, expected: &Expectations) -> Vec<String> {
    let mut problems = report.unreadable.clone();
    problems.extend(report.damages.iter().map(Damage::to_string));
    let more = report.damaged.saturating_sub(report.damages.len() as u64);
    if more > 0 {
        problems.push(format!("{more} more records could not be read"));
    }
    if report.truncated {
        problems.push(
            "a file ends in the middle: its recorder was killed, or the disk was full; `efm bag repair` makes a whole bag of it".to_owned(),
        );
    }
    if report.without_metadata {
        problems.push(
            "metadata.yaml is missing: its recorder was killed, or files were copied without it; other tools do not open it; `efm bag repair` \
             makes a whole bag of it"
                .to_owned(),
        );
    }
    let found: u64 = report.topics.iter().map(|topic| topic.messages).sum();
    if let Some(counted) = report.counted {
        problems.push(format!("metadata.yaml counts {counted} messages; there are {found}"));
    }
    if report.topics.is_empty() {
        problems.push("there is no message in it".to_owned());
    }
    let bare = |name: &str| name.trim_start_matches('/').to_owned();
    for wanted in &expected.topics {
        if !report.topics.iter().any(|topic| bare(&topic.name) == bare(wanted)) {
            problems.push(format!("topic '{wanted}' has no message"));
        }
    }
    let after = |at: &Stamp| at.seconds_since(report.span.0);
    for topic in &report.topics {
        let name = &topic.name;
        if let Some((begin, length)) = topic.gaps.iter().max_by(|a, b| a.1.total_cmp(&b.1)) {
            let median = topic.intervals.map_or(0.0, |i| i.0);
            problems.push(format!(
                "topic '{name}' pauses {} times for long (usual interval {:.1} ms), longest {length:.2} s at {:.2} s",
                topic.gaps.len(),
                1e3 * median,
                after(begin)
            ));
        }
        for Wrong { what, count, at } in &topic.wrong {
            let more = if *count > 1 { format!(", the first of {count} such messages") } else { String::new() };
            problems.push(format!("topic '{name}': at {:.2} s: {what}{more}", after(at)));
        }
        let (steps, largest) = topic.steps_back;
        if steps > 0 {
            problems.push(format!("topic '{name}': stamps go back {steps} times, by up to {largest:.3} s"));
        }
        problems.extend(topic.wrong_stamps.iter().map(|wrong| format!("topic '{name}': {wrong}")));
        if topic.least_age < -expected.max_ahead_s {
            problems.push(format!(
                "topic '{name}': stamps lie up to {:.3} s in the future of the recorder's clock",
                -topic.least_age
            ));
        }
    }
    problems
}

/// Whether a topic comes all the time while its publisher lives, by what it is. Commands pause when the arm rests, and events are said when
/// something happens.
fn is_steady(name: &str, type_name: &str) -> bool {
    const EVENTS: [&str; 9] = [
        "std_msgs",
        "trajectory_msgs",
        "action_msgs",
        "diagnostic_msgs",
        "moveit_msgs",
        "rcl_interfaces",
        "lifecycle_msgs",
        "visualization_msgs",
        "unique_identifier_msgs",
    ];
    let package = type_name.split('/').next().unwrap_or_default();
    let said = ["_action", "event", "events", "cmd_vel", "joy"];
    !EVENTS.contains(&package) && !name.split('/').any(|part| said.contains(&part))
}

/// Whether nine of ten intervals are about the middle one: then that is the usual one. A few cannot tell.
fn are_even(intervals: &[i64], middle: i64) -> bool {
    const FEW: usize = 10;
    let even = intervals.iter().filter(|i| i.saturating_mul(3) >= middle && **i <= middle.saturating_mul(3)).count();
    intervals.len() >= FEW && even * 10 >= intervals.len() * 9
}

/// Types that are known to begin with a header, whether or not the bag has their definition.
const HEADED: [&str; 3] = ["sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/JointState"];

/// Whether a message definition begins with a header.
fn has_header(schema: &str) -> bool {
    let fields = schema.lines().map(|line| line.split('#').next().unwrap_or("").trim());
    let first = fields.filter(|line| !line.is_empty()).find(|line| !line.contains('='));
    first.is_some_and(|field| {
        let mut words = field.split_whitespace();
        matches!(words.next(), Some("std_msgs/Header" | "std_msgs/msg/Header" | "Header"))
            && words.next() == Some("header")
    })
}

/// The middle value (the upper of two), in time linear in their number.
fn median(values: &mut [i64]) -> Option<i64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable(middle).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_seen_where_a_definition_begins_with_one() {
        assert!(has_header("# a comment\nint8 A=1\nstd_msgs/Header header\nfloat64 x\n"));
        assert!(!has_header("float64 x\nstd_msgs/Header header\n") && !has_header("std_msgs/Header[] header\n"));
        assert!(!has_header("") && !has_header("string data"));
    }
}
