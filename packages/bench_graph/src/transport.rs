//! What each way of taking a camera's picture from one process to another costs.
//!
//! A picture's stamp is the time just before its publication, after it was encoded where it is. So latency is known from what the subscriber notes
//! alone, and encoding and decoding are told apart from the way between.

use crate::ends::{End, Got, Sent, Work, is_warm, written};
use crate::overhead::{Spread, spread};
use crate::robot::now;
use crate::stack;
use anyhow::{Context, Result, bail};
use efm_bench::section::{Section, Table};
use efm_bench::usage::{cpu_seconds, memory_mb};
use efm_core::reading;
use efm_demo::processes::Processes;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Columns and rows of the pictures; the first alone where it is to be short.
const SIZES: [(u32, u32); 2] = [(640, 480), (1280, 720)];
/// As `recorder` has it where nothing else is asked for.
const QUALITY: u8 = 85;
/// Until the processes have found each other.
const PATIENCE: Duration = Duration::from_secs(60);
/// Until a subscriber has heard as many pictures as were sent to it: what is still missing then is lost by the way itself.
const LOSSY: Duration = Duration::from_secs(4);
/// Until a picture of the last moment counts as lost.
const LATE: Duration = Duration::from_millis(500);

/// Options of the measurement.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folder with config/.
    #[arg(long, default_value = ".")]
    pub root: PathBuf,
    /// Shorter: 3 s a way, and pictures of 640x480 only.
    #[arg(long)]
    pub quick: bool,
    /// Seconds a way (10 where nothing is said).
    #[arg(long, conflicts_with = "quick", value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: Option<u64>,
    /// Writes this part of the report here.
    #[arg(long)]
    pub section: Option<PathBuf>,
    /// Keeps the logs of all processes here.
    #[arg(long)]
    pub logs: Option<PathBuf>,
}

/// A way from process to process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    Udp,
    SmallSegment,
    SmallSegmentReliable,
    LargeSegment,
    Compressed,
    OneProcess,
}

impl Way {
    const ALL: [Self; 6] = [
        Self::Udp,
        Self::SmallSegment,
        Self::SmallSegmentReliable,
        Self::LargeSegment,
        Self::Compressed,
        Self::OneProcess,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP on loopback",
            Self::SmallSegment => "shared memory, default segment (512 kB)",
            Self::SmallSegmentReliable => "the same, lost pictures sent again",
            Self::LargeSegment => "shared memory, large segment (16 MB)",
            Self::Compressed => "JPEG, over the large segment",
            Self::OneProcess => "both in one process",
        }
    }

    /// Where a process looks for others. Fast DDS's rmw adds shared memory with a default segment of its own accord to whoever looks on this machine
    /// only; that without it still stays on it, by its list of interfaces.
    fn range(self) -> &'static str {
        if self == Self::Udp { "SUBNET" } else { "LOCALHOST" }
    }

    fn ends(self) -> &'static [End] {
        if self == Self::OneProcess { &[End::Both] } else { &[End::Subscriber, End::Publisher] }
    }
}

/// What a process costs.
#[derive(Debug, Clone, Copy, Serialize)]
struct Cost {
    /// ms of a core a picture that was sent.
    cpu: f64,
    /// PSS, MB.
    memory: f64,
}

/// What a way needs.
#[derive(Debug, Clone, Serialize)]
struct Measured {
    way: Way,
    #[serde(flatten)]
    found: Found,
    /// Of one process with both ends: its whole, as the publisher's.
    publisher: Cost,
    subscriber: Option<Cost>,
    message_bytes: usize,
    can_loan: bool,
    can_loan_bounded_type: bool,
    /// Whether a process has a segment of Fast DDS's data sharing.
    data_sharing: bool,
}

/// What became of the pictures of a time.
#[derive(Debug, Clone, Serialize)]
struct Found {
    sent: usize,
    lost: usize,
    /// From just before publication until the bytes are there, ms.
    latency: Spread,
    /// ms.
    encoding: Spread,
    /// ms.
    decoding: Spread,
    /// From the raw picture to the decoded one, ms.
    whole: Spread,
    /// ms of a core a picture.
    encoding_cpu: f64,
    /// ms of a core a picture that was sent.
    decoding_cpu: f64,
}

/// What became of the pictures that were sent between two times, ns.
fn follow(sent: &Sent, got: &Got, (from, to): (i64, i64)) -> Result<Found> {
    let there: HashMap<i64, (i64, Work)> =
        got.pictures.iter().map(|&(stamp, here, work)| (stamp, (here, work))).collect();
    let within: Vec<_> = sent.pictures.iter().filter(|(stamp, _)| (from..to).contains(stamp)).collect();
    if within.is_empty() {
        bail!("no picture was sent");
    }
    let (mut latency, mut encoding, mut decoding, mut whole) = (vec![], vec![], vec![], vec![]);
    let (mut encoding_cpu, mut decoding_cpu) = (0.0, 0.0);
    for (stamp, encoded) in &within {
        encoding.push(encoded.wall * 1e3);
        encoding_cpu += encoded.cpu * 1e3;
        let Some((here, decoded)) = there.get(stamp) else { continue };
        let took = (here - stamp) as f64 * 1e-6;
        latency.push(took);
        decoding.push(decoded.wall * 1e3);
        decoding_cpu += decoded.cpu * 1e3;
        whole.push(took + (encoded.wall + decoded.wall) * 1e3);
    }
    let number = within.len();
    Ok(Found {
        sent: number,
        lost: number - latency.len(),
        latency: spread(latency),
        encoding: spread(encoding),
        decoding: spread(decoding),
        whole: spread(whole),
        encoding_cpu: encoding_cpu / number as f64,
        decoding_cpu: decoding_cpu / number as f64,
    })
}

/// Whether one of the processes has mapped shared memory with such a name.
fn is_mapped(ids: &[u32], name: &str) -> Result<bool> {
    for id in ids {
        let file = format!("/proc/{id}/maps");
        let text = reading::text(&file, reading::REPORT).with_context(|| format!("cannot read {file}"))?;
        if text.contains(&format!("/dev/shm/{name}")) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Has pictures go one way.
fn measure(way: Way, size: (u32, u32), length: Duration, profile: &Path, logs: &Path) -> Result<Measured> {
    let out = tempfile::tempdir()?;
    let logs = logs.join(format!("transport_{way:?}_{}", size.1).to_lowercase());
    std::fs::create_dir_all(&logs)?;
    let mut processes = Processes::default();
    for &end in way.ends() {
        let end = format!("{end:?}").to_lowercase();
        let mut arguments = vec![
            "--unset=ROS_LOCALHOST_ONLY".to_owned(),
            format!("ROS_AUTOMATIC_DISCOVERY_RANGE={}", way.range()),
            "RMW_IMPLEMENTATION=rmw_fastrtps_cpp".to_owned(),
            format!("FASTRTPS_DEFAULT_PROFILES_FILE={}", profile.display()),
            std::env::current_exe()?.display().to_string(),
            "end".to_owned(),
            end.clone(),
            format!("--width={}", size.0),
            format!("--height={}", size.1),
            format!("--out={}", out.path().display()),
        ];
        arguments.extend((way == Way::Compressed).then(|| format!("--jpeg={QUALITY}")));
        arguments.extend((way == Way::SmallSegmentReliable).then(|| "--reliable".to_owned()));
        processes.add(&end, Path::new("/usr/bin/env"), arguments, &logs)?;
    }
    let end = Instant::now() + PATIENCE;
    let mut lossy = None;
    while !is_warm(out.path(), End::Subscriber) {
        processes.check()?;
        if is_warm(out.path(), End::Publisher) && Instant::now() > *lossy.get_or_insert(Instant::now() + LOSSY) {
            break;
        }
        if Instant::now() > end {
            bail!("publisher and subscriber have not found each other within {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let ids: Vec<u32> = processes.ids().map(|(_, id)| id).collect();
    let used = || ids.iter().map(|id| cpu_seconds(*id)).collect::<Result<Vec<_>>>();
    let (before, from) = (used()?, now());
    std::thread::sleep(length);
    let (after, to) = (used()?, now());
    let memory = ids.iter().map(|id| memory_mb(*id)).collect::<Result<Vec<_>>>()?;
    let data_sharing = is_mapped(&ids, "fast_datasharing")?;
    if way == Way::Udp && is_mapped(&ids, "fastrtps_")? {
        bail!("the processes have shared memory although they shall not");
    }
    std::thread::sleep(LATE);
    processes.check()?;
    for unkind in processes.stop() {
        eprintln!("{}: {unkind}", way.name());
    }
    let sent: Sent = written(out.path(), End::Publisher)?;
    let found = follow(&sent, &written(out.path(), End::Subscriber)?, (from.nanos(), to.nanos()))?;
    let cost = |at: usize| Cost { cpu: (after[at] - before[at]) * 1e3 / found.sent as f64, memory: memory[at] };
    Ok(Measured {
        way,
        publisher: cost(ids.len() - 1),
        subscriber: (ids.len() > 1).then(|| cost(0)),
        message_bytes: sent.bytes,
        can_loan: sent.loans,
        can_loan_bounded_type: sent.loans_bounded,
        data_sharing,
        found,
    })
}

/// Measures all ways. Nothing was to be reached.
///
/// # Errors
/// When a process does not run, or a file cannot be written.
pub fn bench(options: &Options) -> Result<bool> {
    let length = Duration::from_secs(options.seconds.unwrap_or(if options.quick { 3 } else { 10 }));
    let root = options.root.canonicalize().with_context(|| format!("--root {}", options.root.display()))?;
    let scratch = tempfile::tempdir()?;
    let logs = options.logs.clone().unwrap_or_else(|| scratch.path().to_owned());
    std::fs::create_dir_all(&logs)?;
    let udp = scratch.path().join("udp_only.xml");
    std::fs::write(&udp, include_str!("udp_only.xml")).with_context(|| format!("cannot write {}", udp.display()))?;
    let _awake = stack::keep_awake(&logs)?;
    let mut section = Section {
        name: "transport".to_owned(),
        title: "A picture's way from process to process".to_owned(),
        text: TEXT.to_owned(),
        ..Section::default()
    };
    let mut figures = serde_json::Map::new();
    for &size in &SIZES[..if options.quick { 1 } else { SIZES.len() }] {
        let name = format!("{}x{}", size.0, size.1);
        let mut found = Vec::new();
        for way in Way::ALL {
            eprintln!("{name}, {}, {} s ...", way.name(), length.as_secs());
            let profile = match way {
                Way::Udp => udp.clone(),
                Way::SmallSegment | Way::SmallSegmentReliable => root.join("config/fastdds_local_small.xml"),
                _ => root.join("config/fastdds_local.xml"),
            };
            let measured = measure(way, size, length, &profile, &logs);
            found.push(measured.with_context(|| format!("{name}, {}", way.name()))?);
        }
        section.tables.extend(tables(&name, &found));
        figures.insert(name, serde_json::to_value(found)?);
    }
    section.figures = figures.into();
    section.deliver(options.section.as_deref())
}

/// The tables of one size of pictures.
fn tables(size: &str, found: &[Measured]) -> Vec<Table> {
    let mut rows = Vec::new();
    for m in found {
        let other = |figure: fn(&Cost) -> String| m.subscriber.as_ref().map_or("the same".to_owned(), figure);
        let (cpu, memory) = (|cost: &Cost| format!("{:.2}", cost.cpu), |cost: &Cost| format!("{:.1}", cost.memory));
        rows.push(vec![
            m.way.name().to_owned(),
            m.found.latency.to_string(),
            cpu(&m.publisher),
            other(cpu),
            format!("{} of {}", m.found.lost, m.found.sent),
            memory(&m.publisher),
            other(memory),
        ]);
        if m.way == Way::LargeSegment {
            let answer = if m.can_loan { "possible, not measured" } else { "not possible, says rcl" };
            let sharing = if m.data_sharing { "on" } else { "off" };
            let mut row = vec!["loaned messages".to_owned(), format!("{answer}; data sharing is {sharing}")];
            row.resize(rows[0].len(), "-".to_owned());
            rows.push(row);
        }
    }
    let columns = [
        "way",
        "p50 / p99 / max, ms",
        "CPU of the publisher, ms a picture",
        "of the subscriber",
        "lost",
        "memory (PSS) of the publisher, MB",
        "of the subscriber",
    ];
    let mut tables = vec![Table {
        title: format!("{size}: from just before publication until the bytes are there, and what that costs"),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    }];
    if let Some(m) = found.iter().find(|m| m.way == Way::Compressed) {
        let f = &m.found;
        let all = m.publisher.cpu + m.subscriber.map_or(0.0, |cost| cost.cpu);
        let row = |step: &str, took: Spread, cpu: f64| vec![step.to_owned(), took.to_string(), format!("{cpu:.2}")];
        tables.push(Table {
            title: format!("{size} as JPEG of quality {QUALITY} ({} kB a picture)", m.message_bytes / 1000),
            columns: ["step", "p50 / p99 / max, ms", "CPU, ms a picture"].map(str::to_owned).to_vec(),
            rows: vec![
                row("encoding", f.encoding, f.encoding_cpu),
                row("the way", f.latency, all - f.encoding_cpu - f.decoding_cpu),
                row("decoding", f.decoding, f.decoding_cpu),
                row("from the raw picture to the decoded one", f.whole, all),
            ],
        });
    }
    tables
}

const TEXT: &str = "A camera's stand-in publishes pictures (rgb8, 30 a second, reliable, depth 2); a subscriber takes them as sensor data (best effort, \
depth 5). Each is a process, speaks bare rcl in bytes, and does nothing else. Latency is from just before publication until the subscriber has the \
bytes. CPU is that of the whole process, with Fast DDS's threads, over the pictures that were sent; memory counts shared segments by parts (PSS). \
What is not there half a second after the end is lost. Cores are kept awake for all ways alike.\n\n\
- *UDP on loopback*: a profile without shared memory. It takes `ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET` (the profile's list of interfaces still keeps it \
on the machine): with `LOCALHOST`, rmw_fastrtps adds shared memory with a default segment to whatever the profile says, which was seen in the \
processes' maps. Each picture passes the kernel, in parts of 64 kB.\n\
- *shared memory, default segment* (`config/fastdds_local_small.xml`): 512 kB, so a picture does not fit at once. What finds no room is thrown away, and \
a picture of which a part is missing is lost. A subscriber that asks for it again gets most of them late; the publisher keeps two.\n\
- *shared memory, large segment* (`config/fastdds_local.xml`): all parts fit; what the nodes here use. Copied in and out, so not free; the segment is memory.\n\
- *loaned messages* would save the copies. `sensor_msgs/Image` has fields without a bound, and rcl says of its publisher that it cannot lend them (of \
`geometry_msgs/Pose` it says that it can, see the figures); data sharing, which they would go by, is off unless a profile's QoS is asked for.\n\
- *JPEG*: fewer bytes for much work. Latency in the first table is that of the way alone; what encoding and decoding take is in the second. The \
picture is a smooth one with some texture; those of cameras are larger.\n\
- *both in one process*: two nodes with a participant each, on two threads; Fast DDS hands over without a transport, on the publisher's thread, and \
copies still. CPU and memory are of the one process.";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_sent_in_the_time_and_is_not_there_is_lost() {
        let ms = 1_000_000;
        let work = |wall: f64| Work { wall, cpu: wall / 2.0 };
        let sent = Sent { pictures: (0..6).map(|k| (k * 30 * ms, work(0.004))).collect(), ..Sent::default() };
        // The second is lost, the fourth comes after all others; the first and the last are not of the time.
        let got = [(0, 900), (60, 62), (120, 121), (90, 190), (150, 950)];
        let got = Got { pictures: got.map(|(stamp, here)| (stamp * ms, here * ms, work(0.002))).to_vec() };
        let found = follow(&sent, &got, (ms, 150 * ms)).unwrap();
        assert_eq!((found.sent, found.lost), (4, 1));
        assert_eq!((found.latency.p50, found.latency.max), (2.0, 100.0));
        assert_eq!((found.encoding.max, found.decoding.max, found.whole.max), (4.0, 2.0, 106.0));
        assert!((found.encoding_cpu - 2.0).abs() < 1e-9 && (found.decoding_cpu - 0.75).abs() < 1e-9, "{found:?}");
        let none = follow(&sent, &Got::default(), (ms, 150 * ms)).unwrap();
        assert_eq!((none.lost, none.latency.to_string()), (4, "none".to_owned()));
        assert!(follow(&sent, &got, (ms, 2 * ms)).is_err(), "nothing was sent");
    }
}
