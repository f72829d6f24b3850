//! The independent judge: it sees the published messages, the clock, what the operator asked for and what was told of the robot, and knows the
//! loaded limits and where the robot truly is. It shares no code with the filter.
//!
//! What it holds the stream to:
//! - limits: of every cubic that a controller draws from every window, of the differences of the published points, and of the
//!   differences of the command, sampled every millisecond from whichever window is the newest;
//! - every window is finite, ends exactly at rest, begins at most a step in the past (one and a half, since points lie on a grid and
//!   ticks between), never in the future, has the same stamp for all controllers, and would be taken by a controller;
//! - windows of one motion lie on one grid and agree to the last bit up to publication plus the committed horizon;
//! - a motion begins only while armed and not stopped, from rest, where the controllers hold the robot; where somebody let go of it since the last
//!   one (at first, after arming, `resume`, `forget_rest`, or when the clock went back), there or within [`TRUE`] of where it truly is. A false
//!   pose that could not be known to be false (the rule is in [`crate::hearing`]) is counted apart;
//! - a window lies outside of the position limits only where the robot does, and never goes farther out;
//! - windows are followed from the moment they leave; one that leaves late changes nothing that is followed by then;
//! - a joint that turns on without end takes the shorter way round from row to row;
//! - after `stop` or disarming all motion ends within three times the longest stop of the limits, plus 0.6 s.

use crate::arm::{Arm, Bounds};
use crate::follower::Follower;
use crate::hearing::{Hearing, way};
use crate::meter::{Meter, RELATIVE, exceeds};
use crate::robot::Robot;
use crate::tally::Quantity;
use crate::track::{Rounding, Track};
use efm_core::{SenderId, Trajectory};

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
/// How far from where it truly is a motion may begin where nobody held it, radians or metres.
pub const TRUE: f64 = 5.0e-3;
/// How far, in radians, a joint without end may be from the way that it was asked to go: splines and blends swing, and half a turn is still the
/// shorter way round.
const ASTRAY: f64 = 2.8;

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
    /// By controller: whether it got a window of this motion. And whether it was held when the first did.
    begun: Vec<bool>,
    began_held: bool,
    /// How far the time of the next tick has passed already, while something waited to be sent.
    ahead: i64,
    armed: bool,
    stopped: bool,
    /// When a stop was asked for, and when all must be at rest.
    deadline: Option<(i64, i64)>,
    /// Whether where the robot is held is known.
    held_known: bool,
    /// Nobody else may have moved it since.
    held: bool,
    now: i64,
    /// The same on the clock of receipts.
    received: i64,
    /// The robot.
    pub robot: Robot,
    hearing: Hearing,
    /// The limits, where positions include where a joint began outside of them.
    allowed: Bounds,
    /// Rows of the last chunk taken, where their ways round are judged.
    rows: Vec<f64>,
    /// Where each joint may be by them.
    astray: Vec<(f64, f64)>,
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
            begun: vec![false; arm.controllers.len()],
            began_held: false,
            ahead: 0,
            armed: false,
            stopped: false,
            deadline: None,
            held_known: false,
            held: false,
            now,
            received: 0,
            robot: Robot::new(arm.bounds.len(), 0.0),
            hearing: Hearing::new(
                &arm.bounds.velocity,
                (0..arm.bounds.len()).map(|j| arm.bounds.is_continuous(j)).collect(),
            ),
            allowed: arm.bounds.clone(),
            rows: Vec::new(),
            astray: Vec::new(),
        }
    }

    /// The controllers, as the robot follows them.
    pub fn follower(&self) -> &Follower {
        &self.follower
    }

    /// Time passes, on the controllers' clock; `passed` is how much of it really did.
    pub fn advance(&mut self, now: i64, passed: i64, meter: &mut Meter) {
        let passed = passed - std::mem::take(&mut self.ahead);
        let expected = self.now.saturating_add(passed);
        self.received += passed;
        if now < self.now {
            // The controllers' windows lie in the future now; the robot comes to rest as if they went on.
            self.follower.rebase(now, now.saturating_sub(expected));
            self.let_go();
            self.silent = true;
        } else {
            self.follower.advance(now, &self.allowed, meter);
        }
        self.now = now;
    }

    /// What was decided on is sent so many nanoseconds later.
    pub fn wait(&mut self, nanos: i64, meter: &mut Meter) {
        self.advance(self.now.saturating_add(nanos), nanos, meter);
        self.ahead = nanos;
    }

    fn let_go(&mut self) {
        self.held_known = false;
        self.held = false;
    }

    /// The robot's limits.
    pub fn bounds(&self) -> &Bounds {
        &self.arm.bounds
    }

    /// Time on the clock of receipts, nanoseconds.
    pub fn received(&self) -> i64 {
        self.received
    }

    /// Where a joint truly was at a time on the clock of receipts.
    pub fn truth(&self, joint: usize, at: i64) -> f64 {
        self.robot.position(&self.follower, self.received, at, joint)
    }

    /// Joint states came: `told` of joints. Times are of the clock of receipts.
    pub fn heard(&mut self, sender: SenderId, measured: i64, received: i64, told: &[(usize, f64)]) {
        self.hearing.hear(sender, measured, received, told, self.follower.command());
    }

    /// A chunk was taken whose rows (in the bounds' order) ask for less than half a turn each.
    pub fn asked(&mut self, rows: &[f64]) {
        self.rows.clear();
        self.rows.extend_from_slice(rows);
        self.follower.command_at(self.now, &mut self.scratch);
        self.widen(true);
    }

    /// Where the joints may be by the rows, from where they are in `scratch`.
    fn widen(&mut self, with_tracks: bool) {
        let n = self.arm.bounds.len();
        self.astray.clear();
        for j in 0..n {
            let (mut low, mut high) = (self.scratch[j], self.scratch[j]);
            if with_tracks {
                for track in &self.follower.tracks {
                    let of = track.places.iter().position(|place| *place == j);
                    for p in of.into_iter().flat_map(|c| track.p.iter().skip(c).step_by(track.places.len())) {
                        (low, high) = (low.min(*p), high.max(*p));
                    }
                }
            }
            let (mut at, mut from) = (self.scratch[j], None);
            for row in self.rows.chunks_exact(n) {
                let by = way(true, from.unwrap_or(at), row[j]);
                from = Some(row[j]);
                at += by;
                (low, high) = (low.min(at), high.max(at));
                if by.abs() > 2.0 {
                    // As far one way round as the other, nearly.
                    (low, high) = (low.min(at - std::f64::consts::TAU), high.max(at + std::f64::consts::TAU));
                }
            }
            self.astray.push((low - ASTRAY, high + ASTRAY));
        }
    }

    /// Something was asked for, before this tick.
    pub fn command(&mut self, command: Command) {
        match command {
            Command::Arm(armed) => {
                if self.armed && !armed {
                    self.must_end();
                }
                if self.armed != armed {
                    self.held = false;
                    self.hearing.armed();
                }
                self.armed = armed;
            }
            Command::Stop => {
                self.must_end();
                self.stopped = true;
            }
            Command::Resume => {
                self.stopped = false;
                self.held = false;
            }
            Command::Cancel => {}
            Command::Forget => self.let_go(),
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
        self.let_go();
        meter.violate(Quantity::Internal, || what);
    }

    /// Messages were published, one a controller (or to the first of them only, when the others would have got theirs too late), now. They were `decided` on at this time of the controllers' clock.
    pub fn published(&mut self, messages: &[Trajectory], decided: i64, meter: &mut Meter) {
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
        if messages.len() > self.spare.len() || messages.iter().any(|m| m.stamp != stamp) {
            meter.violate(Quantity::Stamp, || "the controllers get different stamps".to_owned());
        }
        let old = decided.saturating_sub(stamp.nanos());
        let oldest = self.period + self.period / 2 + (self.arm.config.clock_skew_s * 1.0e9) as i64 + 1000;
        if old < 0 || old > oldest {
            meter.violate(Quantity::Stamp, || format!("the first point lies {old} ns before publication"));
        }
        if self.silent {
            self.begun.fill(false);
        }
        if (0..messages.len()).any(|i| !self.begun[i]) {
            self.begin(messages.len(), meter);
        }
        self.come_in(messages.len());
        for i in 0..messages.len() {
            let (track, held) = (&self.spare[i], &self.follower.tracks[i]);
            let mut from = 0;
            if self.begun[i] {
                let same = track.agrees_with(held);
                let final_until = now.max(decided.saturating_add(self.committed));
                let needed = track.times.partition_point(|t| *t <= final_until);
                match same {
                    // Up to now it was followed, so much is sure.
                    Some(k) if now > decided && k < track.times.partition_point(|t| *t <= now) => {
                        meter.violate(Quantity::Late, || {
                            let late = (now - decided) as f64 * 1.0e-6;
                            format!("a window left {late:.1} ms after it was decided on and changes what was followed by then")
                        });
                    }
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
                track.check(from, &self.allowed, meter);
            }
            check_end(track, &self.arm, meter);
            check_outside(track, &self.arm.bounds, meter);
            for (c, place) in track.places.iter().enumerate().filter(|_| !self.astray.is_empty()) {
                if !self.arm.bounds.is_continuous(*place) {
                    continue;
                }
                let (low, high) = self.astray[*place];
                let n = track.places.len();
                if let Some(p) = track.p.iter().skip(c).step_by(n).find(|p| !(low..=high).contains(*p)) {
                    meter.violate(Quantity::Round, || {
                        format!("joint {place} is sent to {p:.3}; by the shorter ways from row to row it stays within {low:.3} and {high:.3}")
                    });
                }
            }
        }
        if let Some((asked, deadline)) = self.deadline {
            let ends = self.spare[..messages.len()].iter().map(|t| t.times[t.rests_from()]).max().unwrap_or(0);
            if ends > deadline {
                meter.violate(Quantity::Disarmed, || {
                    let seconds = |nanos: i64| nanos as f64 * 1.0e-9;
                    let (takes, may) = (seconds(ends - asked), seconds(deadline - asked));
                    format!("stopped or disarmed, but it rests {takes:.3} s later only; {may:.3} s are allowed")
                });
            }
        }
        for i in 0..messages.len() {
            std::mem::swap(&mut self.spare[i], &mut self.follower.tracks[i]);
            self.begun[i] = true;
        }
        self.silent = false;
    }

    /// What began outside of its positions may be no farther out than it is.
    fn come_in(&mut self, sent: usize) {
        for track in self.spare[..sent].iter().zip(&self.begun).filter(|(_, begun)| **begun).map(|(track, _)| track) {
            for (c, place) in track.places.iter().enumerate() {
                let (whole, j, p) = (&self.arm.bounds, *place, track.p[c]);
                self.allowed.min[j] = whole.min[j].min(self.allowed.min[j].max(p));
                self.allowed.max[j] = whole.max[j].max(self.allowed.max[j].min(p));
            }
        }
    }

    /// A motion begins, of those of the first `sent` controllers that got nothing of it yet.
    fn begin(&mut self, sent: usize, meter: &mut Meter) {
        if self.silent {
            meter.tally.starts += 1;
            self.deadline = None;
            self.began_held = self.held;
        }
        let fresh: Vec<usize> = (0..sent).filter(|i| !self.begun[*i]).collect();
        if !self.armed || self.stopped {
            let (armed, stopped) = (self.armed, self.stopped);
            meter.violate(Quantity::Disarmed, || format!("a motion begins; armed: {armed}, stopped: {stopped}"));
        }
        let rests = self.follower.command_at(self.now, &mut self.scratch);
        let mut broken = None;
        if !rests {
            broken = Some("the controllers still move when a new motion begins".to_owned());
        }
        // As held, or as it truly stands: one joint that stands elsewhere puts the whole arm elsewhere.
        let (mut as_held, mut as_true): (Option<String>, Option<(f64, String)>) = (None, None);
        let (mut moved, mut unknowable) = (false, true);
        for track in fresh.iter().map(|i| &self.spare[*i]) {
            let n = track.places.len();
            // At rest up to now.
            let until = track.times.partition_point(|t| *t <= self.now);
            let still = |k: usize| (0..n).all(|c| track.p[k * n + c] == track.p[c] && track.v[k * n + c] == 0.0);
            if !(0..until).all(still) {
                broken = Some("a motion does not begin at rest".to_owned());
            }
            for (c, place) in track.places.iter().enumerate() {
                let (start, held, joint) = (track.p[c], self.scratch[*place], *place);
                let continuous = self.arm.bounds.is_continuous(joint);
                let truth = self.robot.position(&self.follower, self.received, self.received, joint);
                let (step, off) = ((start - held).abs(), way(continuous, truth, start).abs());
                meter.tally.start_step = meter.tally.start_step.max(way(continuous, held, start).abs());
                moved |= step != 0.0;
                let credible = self.hearing.is_credible(joint, start, self.received);
                let age = self.hearing.age(joint, self.received);
                if age > self.arm.config.max_joint_state_age_s + 1.0e-6 {
                    broken = Some(format!("a motion begins, but joint {joint} was not told of for {age:.3} s"));
                }
                if step > NEAR {
                    let what = format!("joint {joint} begins {step:.3e} from where it is held");
                    if self.arm.bounds.gripper[joint] {
                        // A hand is never let go of but where nobody knows what it was sent.
                        if self.held_known {
                            broken = Some(what);
                        } else if off > TRUE && !credible {
                            broken = Some(format!("gripper joint {joint} begins at {start}, but stands at {truth}"));
                        }
                        continue;
                    }
                    as_held = Some(what);
                }
                if !self.arm.bounds.gripper[joint] && off > TRUE {
                    unknowable &= credible;
                    if as_true.as_ref().is_none_or(|(most, _)| off > *most) {
                        let what = format!(
                            "joint {joint} begins {off:.3e} from where it truly is, {step:.3e} from where it is held"
                        );
                        as_true = Some((off, what));
                    }
                }
            }
        }
        match (as_held, as_true) {
            (Some(held), _) if self.began_held => broken = Some(held),
            // Where it is held it may sag, or stand a little elsewhere: nothing leaps.
            (None, Some((off, _))) if off <= self.arm.config.max_start_error + TRUE => {}
            (_, Some(_)) if unknowable => meter.tally.unknowable += 1,
            (_, Some((_, what))) => broken = Some(what),
            (_, None) => {}
        }
        if let Some(what) = broken {
            meter.violate(Quantity::Start, || what);
        }
        self.held_known = true;
        self.held = true;
        for track in fresh.iter().map(|i| &self.spare[*i]) {
            for (c, place) in track.places.iter().enumerate() {
                let (whole, j, p) = (&self.arm.bounds, *place, track.p[c]);
                self.allowed.min[j] = whole.min[j].min(p);
                self.allowed.max[j] = whole.max[j].max(p);
                if (p - self.scratch[j]).abs() > NEAR && !whole.gripper[j] {
                    self.robot.taken(self.received, j);
                }
                self.scratch[j] = p;
            }
        }
        if !self.astray.is_empty() {
            self.widen(false);
        }
        if moved {
            self.follower.cut();
        }
    }
}

/// What is outside of its positions comes in and goes no farther out.
fn check_outside(track: &Track, bounds: &Bounds, meter: &mut Meter) {
    let n = track.places.len();
    for (c, place) in track.places.iter().enumerate() {
        let (min, max) = (bounds.min[*place], bounds.max[*place]);
        let error = RELATIVE * if (max - min).is_finite() { max - min } else { 1.0 };
        let beyond = |k: usize| (track.p[k * n + c] - max).max(min - track.p[k * n + c]).max(0.0);
        // Nearly always it is inside.
        if beyond(0) == 0.0 {
            continue;
        }
        if let Some(k) = (1..track.len()).find(|k| beyond(*k) > beyond(k - 1) + error) {
            meter.violate(Quantity::Position, || {
                format!("joint {place} is {:.3e} outside and goes out to {:.3e}", beyond(k - 1), beyond(k))
            });
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
