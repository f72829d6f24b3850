//! What the header stamps of a topic say: whether they go on, stand, go back, are missing or are no times at all.

use crate::reader::BagMessage;
use efm_core::Stamp;
use efm_wire::cdr::CdrReader;
use efm_wire::msgs::Header;
use efm_wire::{CdrError, Decode};
use std::collections::BTreeMap;

/// Messages of a sender before it can be told that its clock stands.
const FEW: u64 = 10;
/// A simulated clock may begin at zero: a first stamp of zero is followed by one that is not later than this, in nanoseconds.
const FIRST_STEP: i64 = 1_000_000_000;

/// Stamps of a topic, message by message.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    /// By who sends, as far as a message tells: several may share a topic, and overtake each other.
    senders: BTreeMap<(String, String), Sender>,
    /// From stamp to log time, of stamps that are not zero, in nanoseconds.
    ages: Vec<i64>,
    /// How often a stamp was before the one before it, and by how much at most, in nanoseconds.
    back: (u64, i64),
    /// Times that are none: how many, and the first in words.
    invalid: (u64, String),
}

#[derive(Debug, Default)]
struct Sender {
    messages: u64,
    last: i64,
    /// How often a stamp that is not zero was the one before it again.
    repeated: u64,
    zeros: u64,
    /// Whether the first was zero, and no other has come since.
    began_at_zero: bool,
}

impl Stamps {
    /// Notes the stamp of a message of a type that begins with a header.
    pub fn see(&mut self, message: &BagMessage, type_name: &str) {
        let Some((sec, nanosec)) = fields(message.data()) else { return };
        if nanosec >= 1_000_000_000 {
            self.no_time(|| format!("a header stamp has nanosec {nanosec}, which is below 1000000000 in a time"));
            return;
        }
        if sec < 0 {
            self.no_time(|| format!("a header stamp has sec {sec}, which is before 1970"));
            return;
        }
        let stamp = Stamp::from_sec_nanosec(sec, nanosec).nanos();
        // Those that cannot be read count as one.
        let sender = self.senders.entry(source(type_name, message.data()).unwrap_or_default()).or_default();
        sender.messages += 1;
        if stamp == 0 {
            sender.began_at_zero = sender.messages == 1;
            sender.zeros += 1;
            return;
        }
        if sender.messages > 1 {
            sender.repeated += u64::from(stamp == sender.last);
            if stamp < sender.last {
                self.back = (self.back.0 + 1, self.back.1.max(sender.last - stamp));
            }
            if std::mem::take(&mut sender.began_at_zero) && stamp <= FIRST_STEP {
                sender.zeros = 0;
            }
        }
        sender.last = stamp;
        self.ages.push(message.log_time().nanos().saturating_sub(stamp));
    }

    fn no_time(&mut self, what: impl FnOnce() -> String) {
        if self.invalid.0 == 0 {
            self.invalid.1 = what();
        }
        self.invalid.0 += 1;
    }

    /// How often a stamp was before the one before it, and the largest step back in nanoseconds.
    pub fn back(&self) -> (u64, i64) {
        self.back
    }

    /// From stamp to log time, in nanoseconds, of stamps that are not zero.
    pub fn ages(&mut self) -> &mut [i64] {
        &mut self.ages
    }

    /// What is wrong with them, in words. `measured`: whether the type is one of measurements, each at a time of its own; the stamp of a
    /// command may be zero, and mean "now".
    pub fn wrong(&self, measured: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        let first_of = |count: u64| if count > 1 { format!(", the first of {count}") } else { String::new() };
        if self.invalid.0 > 0 {
            wrong.push(format!("{}{}", self.invalid.1, first_of(self.invalid.0)));
        }
        let messages: u64 = self.senders.values().map(|sender| sender.messages).sum();
        let zeros: u64 = self.senders.values().map(|sender| sender.zeros).sum();
        if measured && zeros > 0 {
            wrong.push(format!("{zeros} of {messages} messages have no header stamp"));
        }
        let stands = |sender: &&Sender| {
            let stamped = sender.messages - sender.zeros;
            stamped > FEW && sender.repeated * 10 >= stamped * 9
        };
        if measured && let Some(sender) = self.senders.values().find(stands) {
            let (repeated, messages) = (sender.repeated, sender.messages);
            wrong.push(format!(
                "{repeated} of {messages} header stamps are the one before them again: the clock of its sender stands (is use_sim_time set \
                 where nobody publishes /clock?)"
            ));
        }
        wrong
    }
}

/// The two fields of the stamp that CDR bytes begin with.
fn fields(cdr: &[u8]) -> Option<(i32, u32)> {
    let little = match cdr.get(..4)? {
        [_, 1, ..] => true,
        [_, 0, ..] => false,
        _ => return None,
    };
    let word = |at: usize| -> Option<[u8; 4]> { cdr.get(at..at + 4)?.try_into().ok() };
    Some(match little {
        true => (i32::from_le_bytes(word(4)?), u32::from_le_bytes(word(8)?)),
        false => (i32::from_be_bytes(word(4)?), u32::from_be_bytes(word(8)?)),
    })
}

/// Who may have sent a message that begins with a header: its frame, and the first joint or the first status where several sources share a topic.
fn source(type_name: &str, cdr: &[u8]) -> Result<(String, String), CdrError> {
    let mut reader = CdrReader::new(cdr, "a message with a header")?;
    let frame = Header::decode(&mut reader)?.frame_id;
    let first = match type_name {
        "sensor_msgs/msg/JointState" if reader.count(1)? > 0 => reader.string()?,
        "diagnostic_msgs/msg/DiagnosticArray" if reader.count(1)? > 0 => {
            let _level = reader.u8()?;
            reader.string()?
        }
        _ => String::new(),
    };
    Ok((frame, first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_in_either_byte_order_and_short_messages_have_none() {
        let little = [0, 1, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0];
        let big = [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 7];
        assert_eq!((fields(&little), fields(&big)), (Some((2, 7)), Some((2, 7))));
        assert_eq!((fields(&little[..11]), fields(&[0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])), (None, None));
    }
}
