//! A host of the publisher that remembers what it was told.
#![allow(dead_code)]

use crate::gantry::at;
use efm_app::Failure;
use efm_app::publisher::publishing::{At, Host, Line};
use efm_app::publisher::streaming::{Event, Outlet};
use efm_core::{Level, SenderId, Stamp};
use efm_safety::{Execution, VerifiedWindow};
use efm_wire::msgs::JointState;
use serde_json::Value;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

/// What was said last on a line: how bad it is, the words, and the values.
pub type Said = (Level, String, BTreeMap<String, String>);

/// Where it runs: remembers what it was told, and knows what the test lets it know.
#[derive(Default)]
pub struct Graph {
    pub now: i64,
    /// Where the joints are before anything is sent.
    pub start: Vec<f64>,
    pub windows: Vec<VerifiedWindow>,
    pub sent: usize,
    /// The next sending leaves for so many controllers only.
    pub late: Option<usize>,
    pub told: usize,
    pub rested: usize,
    pub events: Vec<Value>,
    pub lines: Vec<(Line, Said)>,
    pub listening: Vec<bool>,
    pub nodes: BTreeMap<SenderId, String>,
    /// How often it was asked for the node of a sender.
    pub asked: Cell<usize>,
    pub others: VecDeque<(usize, String)>,
    pub heeded: Vec<bool>,
    pub policy_is_gone: bool,
    pub publishers: Vec<String>,
    pub clock_silence: Option<f64>,
    pub instruction_followed: Vec<f64>,
    pub speed_scales: Vec<f64>,
    pub filter: Option<JointState>,
}

impl Outlet for Graph {
    fn send(&mut self, windows: &[VerifiedWindow], _: Stamp) -> Result<usize, Failure> {
        let left = self.late.take().unwrap_or(windows.len());
        if left == windows.len() {
            self.windows = windows.to_vec();
            self.sent += 1;
        }
        Ok(left)
    }

    fn tell(&mut self, _: &Execution, _: &[VerifiedWindow]) -> Result<(), Failure> {
        self.told += 1;
        Ok(())
    }

    fn rest(&mut self) -> Result<(), Failure> {
        self.rested += 1;
        Ok(())
    }
}

impl Host for Graph {
    fn at(&self) -> At {
        at(self.now)
    }

    fn note(&mut self, event: &Event<'_>) {
        self.events.push(serde_json::to_value(event).unwrap());
    }

    fn listening(&self, listening: &mut Vec<bool>) {
        listening.clone_from(&self.listening);
    }

    fn name_of(&self, _: &str, sender: SenderId) -> String {
        self.nodes.get(&sender).map_or_else(|| format!("publisher {sender}"), |node| format!("node '{node}'"))
    }

    fn node_of(&self, _: &str, sender: SenderId) -> Option<String> {
        self.asked.set(self.asked.get() + 1);
        self.nodes.get(&sender).cloned()
    }

    fn other(&mut self, _: Stamp, heeded: bool) -> Option<(usize, String)> {
        self.heeded.push(heeded);
        self.others.pop_front()
    }

    fn sends_chunks(&self, _: SenderId) -> bool {
        !self.policy_is_gone
    }

    fn publishers_of_emergency_stop(&self) -> Vec<String> {
        self.publishers.clone()
    }

    fn clock_silence(&self) -> Option<f64> {
        self.clock_silence
    }

    fn instruction_followed(&mut self, seconds: f64) {
        self.instruction_followed.push(seconds);
    }

    fn speed_scale_is(&mut self, scale: f64) {
        self.speed_scales.push(scale);
    }

    fn filter_state(&mut self, message: &JointState) -> Result<(), Failure> {
        self.filter = Some(message.clone());
        Ok(())
    }

    fn report(&mut self, line: Line, level: Level, text: String, values: Vec<(String, String)>) {
        self.lines.push((line, (level, text, values.into_iter().collect())));
    }
}

impl Graph {
    /// Where the controllers are sent to now, by what they got last.
    pub fn place(&self) -> Vec<f64> {
        if self.windows.is_empty() {
            return self.start.clone();
        }
        let of = |window: &VerifiedWindow| {
            let time = |k: usize| window.stamp().nanos() + window.time_from_start(k);
            let k = (1..window.len() - 1).find(|k| time(*k) > self.now).unwrap_or(window.len() - 1);
            let share = ((self.now - time(k - 1)) as f64 / (time(k) - time(k - 1)) as f64).clamp(0.0, 1.0);
            let ends = window.positions(k - 1).iter().zip(window.positions(k));
            ends.map(|(a, b)| a + share * (b - a)).collect::<Vec<_>>()
        };
        self.windows.iter().flat_map(of).collect()
    }

    /// How often an event of a kind happened.
    pub fn count(&self, kind: &str) -> usize {
        self.events.iter().filter(|event| event.as_str() == Some(kind) || event.get(kind).is_some()).count()
    }

    pub fn newest(&self, kind: &str) -> &Value {
        self.events.iter().rev().find_map(|event| event.get(kind)).unwrap()
    }

    pub fn line(&self, line: Line) -> &Said {
        &self.lines.iter().rev().find(|(of, _)| *of == line).unwrap().1
    }

    pub fn reports(&self) -> usize {
        self.lines.iter().filter(|(line, _)| *line == Line::Motion).count()
    }
}
