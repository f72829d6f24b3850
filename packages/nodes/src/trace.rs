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

/// Notes events and publishes them, on a task of its own.
#[derive(Debug)]
pub struct Trace(Option<Noting>);

#[derive(Debug)]
struct Noting {
    events: Vec<u8>,
    /// To who publishes, and back.
    full: tokio::sync::mpsc::UnboundedSender<Vec<u8>>,
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
        let (full, mut to_tell) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
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
            while let Some(mut events) = to_tell.recv().await {
                if teller.tell(&events).is_err() {
                    return; // the node is gone
                }
                events.clear();
                // Where nobody wants it back the node is ending.
                let _ = back.send(events);
            }
        });
        Ok(Self(Some(Noting { events: Vec::with_capacity(ROOM), full, empty })))
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
            Ok(()) => noting.events.push(b'\n'),
            Err(error) => {
                noting.events.truncate(before);
                log::error!("the trace lacks an event: {error}");
            }
        }
    }

    /// Has what was noted published. To be called every [`PERIOD`].
    pub fn flush(&mut self) {
        let Some(noting) = &mut self.0 else { return };
        if noting.events.is_empty() {
            return;
        }
        let next = noting.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(ROOM));
        // Who publishes ends with the node only.
        let _ = noting.full.send(std::mem::replace(&mut noting.events, next));
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
    fn tell(&mut self, events: &[u8]) -> Result<(), NodeError> {
        let value = |key: &str, value: String| KeyValue { key: key.to_owned(), value };
        let mut values = vec![
            value("format", FORMAT.to_owned()),
            value("sequence", self.sequence.to_string()),
            value("events", String::from_utf8_lossy(events).into_owned()),
        ];
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
