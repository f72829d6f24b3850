//! The independent judge: it sees the published messages, the clock, what the operator asked for and what was measured, and knows
//! the loaded limits. It shares no code with the filter.
//!
//! What it holds the stream to:
//! - limits: of every cubic that a controller draws from every window, of the differences of the published points, and of the
//!   differences of the command, sampled every millisecond from whichever window is the newest;
//! - every window is finite, ends exactly at rest, begins at most a step in the past (one and a half, since points lie on a grid and
//!   ticks between), never in the future, has the same stamp for all controllers, and would be taken by a controller;
//! - windows of one motion lie on one grid and agree to the last bit up to publication plus the committed horizon;
//! - a motion begins only while armed and not stopped, from rest, where the robot is held; where nobody can know that (at first, after
//!   the clock went back, after `forget_rest`), at the measured pose;
//! - after `stop` or disarming all motion ends within three times the longest stop of the limits, plus 0.6 s.

use crate::arm::Arm;
use crate::follower::Follower;
use crate::meter::{Meter, RELATIVE, exceeds};
use crate::tally::Quantity;
use crate::track::{Rounding, Track};
use efm_core::{JointSample, Trajectory};

/// What an operator or another node asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Allow or forbid motion.
    Arm(bool),
    /// Stop until resume.
    Stop,
    /// Allow motion after a stop.
    Resume,
    /// Come to rest and forget the chunks.
    Cancel,
    /// The robot may have been moved by something else.
    Forget,
}

/// How far from where the robot is held a motion may begin, radians or metres: more than rounding, less than any encoder sees.
const NEAR: f64 = 2.0e-9;

/// Judges one stream.
#[derive(Debug)]
pub struct Checker {
    arm: Arm,
    follower: Follower,
    spare: Vec<Track>,
    scratch: Vec<f64>,
    period: i64,
    committed: i64,
    /// Nothing was published since the last motion.
    silent: bool,
    armed: bool,
    stopped: bool,
    /// When a stop was asked for, and when all must be at rest.
    deadline: Option<(i64, i64)>,
    /// Whether where the robot is held is known.
    held_known: bool,
    now: i64,
}

impl Checker {
    /// For a robot that rests at its starting pose.
    pub fn new(arm: &Arm, now: i64) -> Self {
        let places = || arm.controllers.iter().map(|(_, places)| places.clone());
        let nanos = |seconds: f64| (seconds * 1.0e9).round() as i64;
        Self {
            follower: Follower::new(places(), &arm.start, now, arm.config.period_s),
            spare: places().map(Track::new).collect(),
            scratch: Vec::new(),
            period: nanos(arm.config.period_s),
            committed: nanos(arm.config.committed_s),
            arm: arm.clone(),
            silent: true,
            armed: false,
            stopped: false,
            deadline: None,
            held_known: false,
            now,
        }
    }

    /// The controllers, as the robot follows them.
    pub fn follower(&self) -> &Follower {
        &self.follower
    }

    /// Time passes, on the controllers' clock; `passed` is how much of it really did.
    pub fn advance(&mut self, now: i64, passed: i64, meter: &mut Meter) {
        let expected = self.now.saturating_add(passed);
        if now < self.now {
            // The controllers' windows lie in the future now; the robot comes to rest as if they went on.
            self.follower.rebase(now, now.saturating_sub(expected));
            self.held_known = false;
            self.silent = true;
        } else {
            self.follower.advance(now, &self.arm.bounds, meter);
        }
        self.now = now;
    }

    /// Something was asked for, before this tick.
    pub fn command(&mut self, command: Command) {
        match command {
            Command::Arm(armed) => {
                if self.armed && !armed {
                    self.must_end();
                }
                self.armed = armed;
            }
            Command::Stop => {
                self.must_end();
                self.stopped = true;
            }
            Command::Resume => self.stopped = false,
            Command::Cancel => {}
            Command::Forget => self.held_known = false,
        }
    }

    fn must_end(&mut self) {
        if !self.silent && self.deadline.is_none() {
            let seconds = 0.6 + 3.0 * self.arm.bounds.longest_stop();
            self.deadline = Some((self.now, self.now.saturating_add((seconds * 1.0e9) as i64)));
        }
    }

    /// Whether nothing was published in the last tick.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Nothing was published.
    pub fn quiet(&mut self) {
        self.silent = true;
    }

    /// The filter's own check failed and it says that it does not know any more where the robot is held.
    pub fn internal(&mut self, what: String, meter: &mut Meter) {
        self.held_known = false;
        meter.violate(Quantity::Internal, || what);
    }

    /// Messages were published, one a controller. `measured`: the joint state that was known, with its age in seconds.
    pub fn published(&mut self, messages: &[Trajectory], measured: Option<(&JointSample, f64)>, meter: &mut Meter) {
        let now = self.now;
        meter.tally.sent += 1;
        for (track, message) in self.spare.iter_mut().zip(messages) {
            if let Err(why) = track.read(message, &self.arm.bounds, now) {
                meter.violate(Quantity::Refused, || why);
                return;
            }
            if !track.is_finite() {
                meter.violate(Quantity::NotFinite, || "a published number is not finite".to_owned());
                return;
            }
        }
        let stamp = messages[0].stamp;
        if messages.len() != self.spare.len() || messages.iter().any(|m| m.stamp != stamp) {
            meter.violate(Quantity::Stamp, || "the controllers get different stamps".to_owned());
        }
        let old = now.saturating_sub(stamp.nanos());
        let oldest = self.period + self.period / 2 + (self.arm.config.clock_skew_s * 1.0e9) as i64 + 1000;
        if old < 0 || old > oldest {
            meter.violate(Quantity::Stamp, || format!("the first point lies {old} ns before publication"));
        }
        if self.silent {
            self.begin(measured, meter);
        }
        for i in 0..self.spare.len() {
            let (track, held) = (&self.spare[i], &self.follower.tracks[i]);
            let mut from = 0;
            if !self.silent {
                let same = track.agrees_with(held);
                let final_until = now.saturating_add(self.committed);
                let needed = track.times.partition_point(|t| *t <= final_until);
                match same {
                    None => meter.violate(Quantity::Overlap, || "the points lie on another grid".to_owned()),
                    Some(k) if k < needed => meter.violate(Quantity::Overlap, || {
                        let n = track.places.len();
                        let by = held.times.iter().position(|t| *t == track.times[k]).map(|at| {
                            (0..n).map(|c| (track.p[k * n + c] - held.p[at * n + c]).abs()).fold(0.0, f64::max)
                        });
                        format!("point {k}, due in {} ns, was changed by {by:?}", track.times[k] - now)
                    }),
                    // What is not new was judged before.
                    Some(k) => from = k.saturating_sub(3),
                }
            }
            if from + 1 < track.len() {
                track.check(from, &self.arm.bounds, meter);
            }
            check_end(track, &self.arm, meter);
        }
        if let Some((asked, deadline)) = self.deadline {
            let ends = self.spare.iter().map(|t| t.times[t.rests_from()]).max().unwrap_or(0);
            if ends > deadline {
                meter.violate(Quantity::Disarmed, || {
                    let seconds = |nanos: i64| nanos as f64 * 1.0e-9;
                    let (takes, may) = (seconds(ends - asked), seconds(deadline - asked));
                    format!("stopped or disarmed, but it rests {takes:.3} s later only; {may:.3} s are allowed")
                });
            }
        }
        std::mem::swap(&mut self.spare, &mut self.follower.tracks);
        self.silent = false;
    }

    /// A motion begins.
    fn begin(&mut self, measured: Option<(&JointSample, f64)>, meter: &mut Meter) {
        meter.tally.starts += 1;
        self.deadline = None;
        if !self.armed || self.stopped {
            let (armed, stopped) = (self.armed, self.stopped);
            meter.violate(Quantity::Disarmed, || format!("a motion begins; armed: {armed}, stopped: {stopped}"));
        }
        let rests = self.follower.command_at(self.now, &mut self.scratch);
        let mut broken = None;
        if !rests {
            broken = Some("the controllers still move when a new motion begins".to_owned());
        }
        let fresh = measured.filter(|(sample, age)| {
            *age <= self.arm.config.max_joint_state_age_s && sample.positions.iter().all(|p| p.is_finite())
        });
        if fresh.is_none() {
            broken = Some("a motion begins without a fresh measured pose".to_owned());
        }
        let near = self.arm.config.max_start_error;
        // One joint that stands elsewhere puts the whole arm elsewhere.
        let stands = |place: usize| {
            fresh.is_none_or(|(sample, _)| (sample.positions[place] - self.scratch[place]).abs() <= near)
        };
        let places = self.spare.iter().flat_map(|track| &track.places);
        let there = places.into_iter().all(|place| self.arm.bounds.gripper[*place] || stands(*place));
        let mut moved = false;
        for track in &self.spare {
            let n = track.places.len();
            // At rest up to now.
            let until = track.times.partition_point(|t| *t <= self.now);
            let still = |k: usize| (0..n).all(|c| track.p[k * n + c] == track.p[c] && track.v[k * n + c] == 0.0);
            if !(0..until).all(still) {
                broken = Some("a motion does not begin at rest".to_owned());
            }
            for (c, place) in track.places.iter().enumerate() {
                let (start, held) = (track.p[c], self.scratch[*place]);
                let step = (start - held).abs();
                meter.tally.start_step = meter.tally.start_step.max(step);
                moved |= step != 0.0;
                let Some((sample, _)) = fresh else { continue };
                let stands = sample.positions[*place];
                if self.arm.bounds.gripper[*place] {
                    if self.held_known && step > NEAR {
                        broken = Some(format!("gripper joint {place} begins {step:.3e} from where it is held"));
                    }
                    continue;
                }
                if (start - stands).abs() > near + 1.0e-9 {
                    broken = Some(format!("joint {place} begins at {start}, but stands at {stands}"));
                } else if self.held_known && there && step > NEAR {
                    broken = Some(format!("joint {place} begins {step:.3e} from where it is held"));
                }
            }
        }
        if let Some(what) = broken {
            meter.violate(Quantity::Start, || what);
        }
        self.held_known = true;
        if moved {
            self.follower.cut();
        }
    }
}

fn check_end(track: &Track, arm: &Arm, meter: &mut Meter) {
    let (n, last) = (track.places.len(), track.len() - 1);
    for (c, place) in track.places.iter().enumerate() {
        let (e, i) = (last * n + c, (last - 1) * n + c);
        if track.v[e] != 0.0 {
            meter.violate(Quantity::NotAtRest, || format!("joint {place} ends with velocity {}", track.v[e]));
        }
        if arm.bounds.gripper[*place] {
            continue;
        }
        let h = (track.times[last] - track.times[last - 1]) as f64 * 1.0e-9;
        let mean = (track.p[e] - track.p[i]) / h;
        let a = (2.0 * track.v[i] + 4.0 * track.v[e] - 6.0 * mean) / h;
        let error = Rounding::of(track.p[e].abs(), arm.bounds.velocity[*place], h).a;
        if exceeds(a.abs(), 2.0 * error + RELATIVE * arm.bounds.jerk[*place] * h) {
            meter.violate(Quantity::NotAtRest, || format!("joint {place} ends with acceleration {a:.3e}"));
        }
    }
}
