//! Where the robot truly is: behind what its controllers command, and where a hand or gravity has put it beside that.

use crate::follower::Follower;
use std::collections::VecDeque;

/// Ticks for which it is remembered where the robot was beside its command.
const KEPT: usize = 256;

/// A robot that follows its controllers.
#[derive(Debug, Clone)]
pub struct Robot {
    /// Milliseconds by which it is behind.
    lag: f64,
    /// How far it was beside its command, by time (nanoseconds on the clock of receipts): straight lines between.
    beside: VecDeque<(i64, Vec<f64>)>,
    /// What a gripper holds: it closes no farther.
    holds: Vec<Option<f64>>,
}

impl Robot {
    /// One that is so many milliseconds behind.
    pub fn new(joints: usize, lag: f64) -> Self {
        Self { lag, beside: VecDeque::from([(i64::MIN, vec![0.0; joints])]), holds: vec![None; joints] }
    }

    /// A gripper closes on something.
    pub fn hold(&mut self, joint: usize, width: Option<f64>) {
        self.holds[joint] = width;
    }

    /// A joint's true position at a time `at`, where `now` is that of the controllers' newest sample; both on the clock of receipts.
    pub fn position(&self, follower: &Follower, now: i64, at: i64, joint: usize) -> f64 {
        let back = (now - at).max(0) as f64 * 1.0e-6 + self.lag;
        let whole = back.floor();
        let (newer, older) = (follower.earlier(whole as usize)[joint], follower.earlier(whole as usize + 1)[joint]);
        let commanded = newer + (back - whole) * (older - newer);
        let position = commanded + self.beside(at, joint);
        self.holds[joint].map_or(position, |width| position.max(width))
    }

    fn beside(&self, at: i64, joint: usize) -> f64 {
        // It is as far behind in this as in the rest.
        let at = at - (self.lag * 1.0e6) as i64;
        let after = self.beside.partition_point(|(t, _)| *t <= at);
        let before = &self.beside[after.saturating_sub(1)];
        let Some(next) = self.beside.get(after) else { return before.1[joint] };
        if before.0 == i64::MIN {
            return before.1[joint];
        }
        let part = (at - before.0) as f64 / (next.0 - before.0) as f64;
        before.1[joint] + part * (next.1[joint] - before.1[joint])
    }

    /// Somebody moves joints by so much, until `now`.
    pub fn push(&mut self, now: i64, since: i64, by: &[(usize, f64)]) {
        if by.is_empty() {
            return;
        }
        let mut there = self.beside.back().map(|(_, beside)| beside.clone()).unwrap_or_default();
        // It stood still up to the last tick.
        self.put(since, there.clone());
        by.iter().for_each(|(joint, by)| there[*joint] += by);
        self.put(now, there);
    }

    fn put(&mut self, at: i64, beside: Vec<f64>) {
        if self.beside.len() >= KEPT {
            self.beside.pop_front();
        }
        self.beside.push_back((at, beside));
    }

    /// A joint is commanded to where it is: nothing is beside from here on.
    pub fn taken(&mut self, now: i64, joint: usize) {
        let mut there = self.beside.back().map(|(_, beside)| beside.clone()).unwrap_or_default();
        if there[joint] != 0.0 {
            self.put(now, there.clone());
            there[joint] = 0.0;
            self.put(now, there);
        }
    }
}
