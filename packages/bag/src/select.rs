//! Parts of bags as bags of their own, and bags that were never completed as whole ones.

use crate::damage::Damage;
use crate::error::BagError;
use crate::reader::{BagMessage, BagReader};
use crate::writer::{BagOptions, BagSummary, BagWriter};
use efm_core::Stamp;
use std::collections::BTreeMap;
use std::path::Path;

/// What is taken from a bag.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selection {
    /// From so many seconds after the first message on; none: from the beginning.
    pub from_s: Option<f64>,
    /// Until so many seconds after the first message; none: to the end.
    pub to_s: Option<f64>,
    /// Topics; empty: all. A leading `/` makes no difference.
    pub topics: Vec<String>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The new bag.
    pub summary: BagSummary,
    /// What could not be read of the old one.
    pub damages: Vec<Damage>,
    /// How many records could not be read.
    pub damaged: u64,
    /// Files that could not be read at all, with the reason.
    pub unreadable: Vec<String>,
    /// Topics with messages that no bag can hold (impossible names, types or times, other encodings), with the first reason and how many there were.
    pub left_out: BTreeMap<String, (String, u64)>,
    /// Whether a file of the old one ended in the middle.
    pub truncated: bool,
}

/// Copies a part of a bag to a new folder: messages with their bytes, times and profiles. Of latched topics the last message before the
/// part is its first, so that whoever plays it is told what was known.
///
/// # Errors
/// When there is no bag, a topic is asked for that it has not, or the new bag cannot be written, as on a full disk. Then nothing is left of it.
pub fn copy(from: &Path, to: &Path, selection: &Selection, options: BagOptions) -> Result<Copied, BagError> {
    let reader = BagReader::open(from)?;
    let there = to.is_dir();
    let mut bag = BagWriter::create(to, options)?;
    let copied = fill(reader, from, &mut bag, selection);
    if copied.is_err()
        && let Err(error) = bag.discard(there)
    {
        log::warn!("{}: half a bag is left there: {error}", to.display());
    }
    copied
}

fn fill(mut reader: BagReader, from: &Path, bag: &mut BagWriter, selection: &Selection) -> Result<Copied, BagError> {
    let bare = |name: &str| name.trim_start_matches('/').to_owned();
    let mut missing: Vec<String> = selection.topics.iter().map(|topic| bare(topic)).collect();
    let wanted = missing.clone();
    let mut unreadable = Vec::new();
    let mut left_out = BTreeMap::new();
    let mut first: Option<Stamp> = None;
    // The last messages of latched topics, until the part begins.
    let mut latched: Option<BTreeMap<String, BagMessage>> = Some(BTreeMap::new());
    loop {
        let message = match reader.next_message() {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(error) => {
                unreadable.push(error.to_string());
                continue;
            }
        };
        let begin = *first.get_or_insert(message.log_time());
        let topic = bare(message.topic());
        missing.retain(|name| *name != topic);
        if !wanted.is_empty() && !wanted.contains(&topic) {
            continue;
        }
        let at = message.log_time().nanos_since(begin);
        if selection.from_s.is_some_and(|from| at < nanos(from)) {
            if let Some(latched) = latched.as_mut().filter(|_| is_latched(message.offered_qos())) {
                latched.insert(topic, message);
            }
            continue;
        }
        for (_, before) in latched.take().into_iter().flatten() {
            note(bag.copy_at(&before, message.log_time()), &before, &mut left_out)?;
        }
        if selection.to_s.is_none_or(|to| at <= nanos(to)) {
            note(bag.copy(&message), &message, &mut left_out)?;
        }
    }
    if let Some(topic) = missing.into_iter().next() {
        return Err(BagError::NoTopic { path: from.to_owned(), topic });
    }
    Ok(Copied {
        damages: reader.damages().to_vec(),
        damaged: reader.damaged(),
        unreadable,
        left_out,
        truncated: reader.truncated(),
        summary: bag.complete()?,
    })
}

/// What cannot be in a bag is left out; a disk that cannot be written is the end.
fn note(
    written: Result<(), BagError>,
    message: &BagMessage,
    left_out: &mut BTreeMap<String, (String, u64)>,
) -> Result<(), BagError> {
    match written {
        Err(
            error @ (BagError::Topic(_)
            | BagError::TypeName { .. }
            | BagError::TypeChanged { .. }
            | BagError::NegativeTime { .. }
            | BagError::Encoding { .. }),
        ) => {
            let entry = left_out.entry(message.topic().to_owned()).or_insert_with(|| (error.to_string(), 0));
            entry.1 += 1;
            Ok(())
        }
        other => other,
    }
}

fn nanos(seconds: f64) -> i64 {
    (seconds * 1.0e9).round() as i64
}

/// Whether all profiles of rosbag2's YAML keep messages for late subscribers. Older versions write the durability as a number.
fn is_latched(qos: &str) -> bool {
    let mut durabilities =
        qos.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("durability:"));
    let first = durabilities.next();
    first.into_iter().chain(durabilities).all(|d| matches!(d.trim(), "transient_local" | "1")) && first.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Qos;

    #[test]
    fn a_topic_is_latched_when_its_publishers_keep_messages() {
        assert!(is_latched(&Qos::LATCHED.to_yaml("")) && !is_latched(&Qos::DEFAULT.to_yaml("")));
        assert!(is_latched("- history: 1\n  depth: 1\n  reliability: 1\n  durability: 1\n"));
        assert!(!is_latched("") && !is_latched("- durability: transient_local\n- durability: volatile\n"));
    }
}
