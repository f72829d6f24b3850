//! `efm bag`: looks into rosbags, cuts parts out of them, and makes whole ones of those that were never completed.

use clap::{Parser, Subcommand};
use efm_bag::inspect::{BagReport, Expectations, TopicReport, inspect};
use efm_bag::plot;
use efm_bag::select::{Copied, Selection, copy};
use efm_bag::timeline::{Timeline, Window};
use efm_bag::{BagError, BagOptions, BagReader, Compression};
use efm_core::Stamp;
use serde_json::json;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Looks into rosbags: rosbag2 folders or single files, MCAP or sqlite3, compressed with zstd or not.
#[derive(Parser)]
#[command(name = "efm-bag", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What is in a bag: topics, types, rates, gaps, ages of messages.
    Info {
        /// Bag folder, or one file of a bag.
        bag: PathBuf,
        /// As JSON, with definitions and quality of service.
        #[arg(long)]
        json: bool,
    },
    /// All messages, each a line of JSON: topic, type, times in nanoseconds, bytes.
    Cat {
        /// Bag folder, or one file of a bag.
        bag: PathBuf,
        /// Only this topic. May be given several times.
        #[arg(long = "topic", value_name = "TOPIC")]
        topics: Vec<String>,
        /// With the bytes of the message (CDR) in hexadecimal.
        #[arg(long)]
        data: bool,
    },
    /// What is wrong with a bag: damage, an end in the middle, missing topics, gaps of what comes all the time, stamps that go back or lie in the
    /// future, messages whose bytes, numbers or pictures are none, cameras that are frozen. Exit code 1 if anything is.
    Check {
        /// Bag folder, or one file of a bag.
        bag: PathBuf,
        /// A topic that must be there. May be given several times.
        #[arg(long = "expect", value_name = "TOPIC")]
        expect: Vec<String>,
        /// A pause is a gap when it is longer than this many times the topic's median interval (and than --min-gap).
        #[arg(long, default_value_t = 5.0, value_name = "N")]
        gap_factor: f64,
        /// Seconds that a gap lasts at least.
        #[arg(long, default_value_t = 0.5, value_name = "S")]
        min_gap: f64,
        /// Seconds that a stamp may lie in the future of the recorder's clock.
        #[arg(long, default_value_t = 0.05, value_name = "S")]
        max_ahead: f64,
        /// Do not look into messages: faster.
        #[arg(long)]
        outside: bool,
    },
    /// Copies a part of a bag to a new folder.
    Slice {
        /// Bag folder, or one file of a bag.
        bag: PathBuf,
        /// New folder.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Seconds after the first message.
        #[arg(long, value_name = "S")]
        from: Option<f64>,
        /// Seconds after the first message.
        #[arg(long, value_name = "S")]
        to: Option<f64>,
        /// Only this topic. May be given several times.
        #[arg(long = "topic", value_name = "TOPIC")]
        topics: Vec<String>,
        /// zstd level from 1 to 22; 0: not compressed.
        #[arg(long, default_value_t = 1, value_name = "LEVEL")]
        zstd: u32,
    },
    /// Draws a bag along time (SVG): instructions, camera frames and gaps between them, action chunks, what the safety filter did, joints.
    Plot {
        /// Bag folder, or one file of a bag.
        bag: PathBuf,
        /// File to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Seconds after the first message.
        #[arg(long, value_name = "S")]
        from: Option<f64>,
        /// Seconds after the first message.
        #[arg(long, value_name = "S")]
        to: Option<f64>,
    },
    /// Makes a whole bag of one whose recorder was killed or whose files are damaged: all that can be read, with index and metadata.yaml. The
    /// old one is left as it is.
    Repair {
        /// Bag folder, or one file of a bag.
        bag: PathBuf,
        /// New folder [default: the bag's name with _repaired].
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(&Args::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("efm-bag: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<ExitCode, BagError> {
    match command {
        Command::Info { bag, json } => {
            let report = inspect(bag, &Expectations::default())?;
            if *json {
                println!("{:#}", as_json(&report));
            } else {
                show(bag, &report);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Cat { bag, topics, data } => cat(bag, topics, *data),
        Command::Check { bag, expect, gap_factor, min_gap, max_ahead, outside } => {
            let expected = Expectations {
                topics: expect.clone(),
                gap_factor: *gap_factor,
                min_gap_s: *min_gap,
                max_ahead_s: *max_ahead,
                contents: !outside,
            };
            let report = inspect(bag, &expected)?;
            for problem in &report.problems {
                println!("{problem}");
            }
            let messages: u64 = report.topics.iter().map(|topic| topic.messages).sum();
            let found = match report.problems.len() {
                0 => "nothing wrong".to_owned(),
                1 => "1 problem".to_owned(),
                n => format!("{n} problems"),
            };
            println!("{}: {messages} messages on {} topics, {found}", bag.display(), report.topics.len());
            Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Slice { bag, out, from, to, topics, zstd } => {
            let compression = if *zstd == 0 { Compression::None } else { Compression::Zstd(*zstd) };
            let selection = Selection { from_s: *from, to_s: *to, topics: topics.clone() };
            let options = BagOptions { compression, ..BagOptions::default() };
            tell(&copy(bag, out, &selection, options)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Plot { bag, out, from, to } => {
            if !out.extension().is_some_and(|end| end.eq_ignore_ascii_case("svg")) {
                let problem =
                    "the drawing is SVG, so its name ends in .svg; browsers, Inkscape and rsvg-convert open it";
                return Err(BagError::Name { path: out.clone(), problem });
            }
            let timeline = Timeline::read(bag, &Window { from_s: *from, to_s: *to }, plot::COLUMNS)?;
            let title = bag.canonicalize().unwrap_or_else(|_| bag.clone());
            let title = title.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let drawing = plot::svg(&timeline, &title);
            std::fs::write(out, drawing).map_err(|source| BagError::Io { path: out.clone(), source })?;
            println!("{}", out.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Repair { bag, out } => {
            let out = out.clone().unwrap_or_else(|| repaired(bag));
            tell(&copy(bag, &out, &Selection::default(), BagOptions::default())?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Writes all messages. Exit code 1 where something could not be read.
fn cat(bag: &Path, topics: &[String], data: bool) -> Result<ExitCode, BagError> {
    let mut reader = BagReader::open(bag)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut whole = true;
    loop {
        let message = match reader.next_message() {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(error) => {
                eprintln!("{error}");
                whole = false;
                continue;
            }
        };
        if !topics.is_empty() && !topics.iter().any(|topic| message.topic_is(topic)) {
            continue;
        }
        let mut line = json!({
            "topic": message.topic(),
            "type": message.type_name(),
            "log_time": message.log_time().nanos(),
            "publish_time": message.publish_time().nanos(),
            "size": message.data().len(),
        });
        if data {
            let hex = message.data().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            line["data"] = hex.into();
        }
        // Whoever reads may have enough.
        if writeln!(out, "{line}").is_err() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let _ = out.flush();
    for damage in reader.damages() {
        eprintln!("{damage}");
    }
    if reader.truncated() {
        eprintln!("a file ends in the middle");
    }
    whole &= reader.damaged() == 0 && !reader.truncated();
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_json(report: &BagReport) -> serde_json::Value {
    let topic = |topic: &TopicReport| {
        json!({
            "name": topic.name,
            "type": topic.type_name,
            "type_hash": topic.type_hash,
            "definition": topic.definition,
            "definition_encoding": topic.definition_encoding,
            "offered_qos": topic.offered_qos,
            "messages": topic.messages,
            "bytes": topic.bytes,
            "first": topic.span.0.nanos(),
            "last": topic.span.1.nanos(),
            "median_interval_s": topic.intervals.map(|i| i.0),
            "longest_interval_s": topic.intervals.map(|i| i.1),
            "gaps": topic.gaps.iter().map(|(at, length)| json!({"from": at.nanos(), "seconds": length})).collect::<Vec<_>>(),
            "steps_back": topic.steps_back.0,
            "largest_step_back_s": topic.steps_back.1,
            "median_age_s": topic.age.map(|a| a.0),
            "largest_age_s": topic.age.map(|a| a.1),
        })
    };
    json!({
        "first": report.span.0.nanos(),
        "last": report.span.1.nanos(),
        "out_of_order": report.out_of_order,
        "truncated": report.truncated,
        "damaged": report.damaged,
        "problems": report.problems,
        "topics": report.topics.iter().map(topic).collect::<Vec<_>>(),
    })
}

/// Where a repaired bag goes.
fn repaired(bag: &Path) -> PathBuf {
    let bag = bag.canonicalize().unwrap_or_else(|_| bag.to_owned());
    let name = bag.file_stem().map_or_else(|| "bag".to_owned(), |name| name.to_string_lossy().into_owned());
    bag.with_file_name(format!("{name}_repaired"))
}

fn tell(copied: &Copied) {
    for problem in copied.unreadable.iter().cloned().chain(copied.damages.iter().map(ToString::to_string)) {
        eprintln!("{problem}");
    }
    for (problem, count) in copied.left_out.values() {
        eprintln!("{count} messages are left out: {problem}");
    }
    if copied.truncated {
        eprintln!("a file ends in the middle; what was written before is there");
    }
    let summary = &copied.summary;
    let length = summary.span.1.seconds_since(summary.span.0);
    println!(
        "{}: {} messages, {length:.3} s, {:.1} MB",
        summary.dir.display(),
        summary.messages,
        summary.bytes as f64 * 1.0e-6
    );
}

fn show(bag: &Path, report: &BagReport) {
    let (first, last) = report.span;
    let messages: u64 = report.topics.iter().map(|topic| topic.messages).sum();
    let bytes: u64 = report.topics.iter().map(|topic| topic.bytes).sum();
    println!(
        "{}: {messages} messages, {:.1} MB before compression, {:.3} s from {} s on",
        bag.display(),
        bytes as f64 * 1.0e-6,
        last.seconds_since(first),
        seconds(first)
    );
    if report.out_of_order > 0 {
        println!("{} messages stand behind later ones", report.out_of_order);
    }
    let name = report.topics.iter().map(|topic| topic.name.len()).max().unwrap_or(5).max(5);
    let kind = report.topics.iter().map(|topic| topic.type_name.len()).max().unwrap_or(4).max(4);
    println!(
        "{:name$}  {:kind$}  {:>8}  {:>9}  {:>8}  {:>10}  {:>8}  {:>8}",
        "topic", "type", "messages", "MB", "Hz", "longest ms", "age ms", "to ms"
    );
    for topic in &report.topics {
        let ms = |s: f64| format!("{:.1}", 1.0e3 * s);
        let (rate, longest) = topic.intervals.map_or((String::new(), String::new()), |(median, longest, _)| {
            (if median > 0.0 { format!("{:.1}", 1.0 / median) } else { String::new() }, ms(longest))
        });
        let (age, oldest) =
            topic.age.map_or((String::new(), String::new()), |(median, largest)| (ms(median), ms(largest)));
        println!(
            "{:name$}  {:kind$}  {:>8}  {:>9.3}  {rate:>8}  {longest:>10}  {age:>8}  {oldest:>8}",
            topic.name,
            topic.type_name,
            topic.messages,
            topic.bytes as f64 * 1.0e-6,
        );
    }
    if !report.problems.is_empty() {
        println!();
        for problem in &report.problems {
            println!("! {problem}");
        }
    }
}

fn seconds(at: Stamp) -> String {
    let (sec, nanosec) = at.to_sec_nanosec();
    format!("{sec}.{:03}", nanosec / 1_000_000)
}
