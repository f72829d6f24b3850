//! `~/trace`: what is in it is in [`efm_app::trace`].

pub use efm_app::trace::*;
use efm_ros::r2r::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus, KeyValue};
use efm_ros::{Node, NodeError, Publisher, RosClock, convert, qos};
use serde::Serialize;
use std::sync::mpsc;
use std::time::Duration;

/// Time from message to message.
pub const PERIOD: Duration = Duration::from_millis(100);
/// Messages that late recorders are given: a minute.
const HISTORY: usize = 600;
/// What the node was started with goes with every one of so many messages.
const SETUP_EVERY: u64 = 300;
/// Bytes of events that are set aside, so that noting one allocates nothing: four times what a tenth of a second holds at 1 kHz.
const ROOM: usize = 256 * 1024;

/// Bytes of events that the history may hold at once.
const HISTORY_BYTES: usize = 64 << 20;

/// What may still be noted: at once as much as the history may hold, and in the long run so much a message that the history never holds more than
/// twice that. Whoever floods a node fills its trace, not its memory.
#[derive(Debug)]
struct Room {
    left: usize,
    /// Events that were not noted, since it was told.
    left_out: u64,
}

impl Room {
    /// Whether there is room for an event; one that is left out is counted.
    fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => self.left_out += 1,
        }
        self.left_out == 0
    }

    /// A message is published; says how many events it lacks.
    fn renew(&mut self) -> u64 {
        self.left = HISTORY_BYTES.min(self.left + HISTORY_BYTES / HISTORY);
        std::mem::take(&mut self.left_out)
    }
}

/// Notes events and publishes them, on a task of its own.
#[derive(Debug)]
pub struct Trace(Option<Noting>);

#[derive(Debug)]
struct Noting {
    events: Vec<u8>,
    room: Room,
    /// To who publishes, and back.
    full: tokio::sync::mpsc::UnboundedSender<(Vec<u8>, u64)>,
    empty: mpsc::Receiver<Vec<u8>>,
}

impl Trace {
    /// For a node that was started with `setup`; notes nothing where the parameter `trace` is false.
    ///
    /// # Errors
    /// When ROS refuses the topic, or the set-up cannot be written.
    pub fn start(node: &mut Node, setup: &Setup) -> Result<Self, NodeError> {
        if !node.params().bool("trace") {
            return Ok(Self(None));
        }
        let publisher = node.publisher::<DiagnosticArray>("~/trace", qos::latched().keep_last(HISTORY))?;
        let (full, mut to_tell) = tokio::sync::mpsc::unbounded_channel::<(Vec<u8>, u64)>();
        let (back, empty) = mpsc::channel();
        let teller = Teller {
            name: node.full_name().to_owned(),
            setup: serde_json::to_string(setup)?,
            clock: node.clock().clone(),
            publisher,
            sequence: 0,
        };
        node.spawn(async move {
            let mut teller = teller;
            while let Some((mut events, left_out)) = to_tell.recv().await {
                if teller.tell(&events, left_out).is_err() {
                    return; // the node is gone
                }
                events.clear();
                events.shrink_to(ROOM);
                // Where nobody wants it back the node is ending.
                let _ = back.send(events);
            }
        });
        Ok(Self(Some(Noting {
            events: Vec::with_capacity(ROOM),
            room: Room { left: HISTORY_BYTES, left_out: 0 },
            full,
            empty,
        })))
    }

    /// Whether anything is noted.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Notes an event. Allocates nothing for itself.
    pub fn note(&mut self, event: &impl Serialize) {
        let Some(noting) = &mut self.0 else { return };
        let before = noting.events.len();
        match serde_json::to_writer(&mut noting.events, event) {
            Ok(()) if noting.room.take(noting.events.len() - before) => noting.events.push(b'\n'),
            // What follows is left out as well, until the next message: a trace with a hole in the middle says less than one that says where it ends.
            Ok(()) => noting.events.truncate(before),
            Err(error) => {
                noting.events.truncate(before);
                log::error!("the trace lacks an event: {error}");
            }
        }
    }

    /// Has what was noted published. To be called every [`PERIOD`].
    pub fn flush(&mut self) {
        let Some(noting) = &mut self.0 else { return };
        if noting.events.is_empty() && noting.room.left_out == 0 {
            return;
        }
        let left_out = noting.room.renew();
        let next = noting.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(ROOM));
        // Who publishes ends with the node only.
        let _ = noting.full.send((std::mem::replace(&mut noting.events, next), left_out));
    }
}

struct Teller {
    name: String,
    setup: String,
    clock: RosClock,
    publisher: Publisher<DiagnosticArray>,
    sequence: u64,
}

impl Teller {
    fn tell(&mut self, events: &[u8], left_out: u64) -> Result<(), NodeError> {
        let value = |key: &str, value: String| KeyValue { key: key.to_owned(), value };
        let mut values = vec![
            value("format", FORMAT.to_owned()),
            value("sequence", self.sequence.to_string()),
            value("events", String::from_utf8_lossy(events).into_owned()),
        ];
        if left_out > 0 {
            log::warn!("the trace lacks {left_out} events: more came than its history may hold");
            values.push(value(LEFT_OUT, left_out.to_string()));
        }
        if self.sequence.is_multiple_of(SETUP_EVERY) {
            values.push(value("setup", self.setup.clone()));
        }
        self.sequence += 1;
        let status = DiagnosticStatus { name: self.name.clone(), values, ..DiagnosticStatus::default() };
        let header = convert::header(self.clock.now(), "");
        self.publisher.publish(&DiagnosticArray { header, status: vec![status] })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_of_a_trace_is_bounded_in_bytes_whatever_comes() {
        let mut room = Room { left: HISTORY_BYTES, left_out: 0 };
        let (mut kept, mut lost) = (std::collections::VecDeque::new(), 0);
        for flood in [1_000, 64 << 10, 16 << 20, 1, 200 << 20].into_iter().cycle().take(3000) {
            let message: usize = (0..200).map(|_| if room.take(flood) { flood } else { 0 }).sum();
            kept.push_back(message);
            if kept.len() > HISTORY {
                kept.pop_front();
            }
            assert!(kept.iter().sum::<usize>() <= 2 * HISTORY_BYTES + (1 << 20));
            lost += room.renew();
        }
        assert!(lost > 0);
        // What a healthy node notes is not near it: 10 kB in a tenth of a second.
        assert!((0..100_000).all(|_| room.renew() == 0 && room.take(10_000)));
    }
}
