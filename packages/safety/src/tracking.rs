//! How far a robot may be from its command, by what it was seen to do; and whether it does what it is told at all.
//!
//! **The bound.** Every joint's error (command minus measured, at the time that it was measured) is held against the speed of its command. The lag is the least
//! squares of error by speed, `sum(e v) / sum(v v)`, forgotten within some ten seconds of motion; the spread is the largest that is left of the error then
//! (backlash, noise, sag), which fades as slowly. With the largest speed `v` of the last third of a second,
//!
//! ```text
//! bound = BASE max_tracking_error + 4 spread + 3 lag v,   at most max_tracking_error
//! ```
//!
//! and before half a second of motion was seen it is `max_tracking_error`. What is learned is a quarter of a second old: a robot that stops following does
//! not widen its own bound.
//!
//! **Standing still.** A controller that was switched off leaves its joints where they are, all at once, while their command goes on. Held against each other
//! are the ways of all arm joints of a controller within a span, measured and commanded (by its lag, and half as much again, earlier), in terms of their
//! top speeds.

use crate::measured::way;
use efm_core::Stamp;

/// Of `max_tracking_error`, what is allowed whatever is measured: a simulator on a busy machine that is late for a moment, and an arm that is pushed, are off by
/// more than a third of it (seen: 0.08 rad).
const BASE: f64 = 0.5;
/// Of `max_tracking_error`, how far a robot of which nothing is known yet may be from its command, to count as where it was commanded.
const NEAR: f64 = 0.25;
/// How many times the spread, and the lag times speed, are allowed.
const SPREADS: f64 = 4.0;
const LAGS: f64 = 3.0;
/// Seconds of motion before anything is known.
const ENOUGH: f64 = 0.5;
/// Seconds of motion before its lag is known well enough to say that it stands.
const SOON: f64 = 0.12;
/// Seconds of motion in which what was learned fades to a third.
const MEMORY: f64 = 10.0;
/// A joint that is slower, in parts of its top speed, says nothing of its lag.
const MOVES: f64 = 0.03;
/// Seconds that are learned at once, and how many of them wait before they are.
const BIN: f64 = 0.04;
const WAIT: usize = 7;
/// Longest lag, seconds; as long it may be before anything is known.
const LONGEST: f64 = 0.15;
/// States of a joint that are remembered.
const KEPT: usize = 64;
/// Spans in which the ways are compared, seconds, and how many states have to lie in one.
const SPANS: [f64; 5] = [0.018, 0.045, 0.09, 0.18, 0.36];
const STATES: usize = 3;

/// How much has to be seen.
#[derive(Debug, Clone, Copy)]
struct Asks {
    /// The command's way, in seconds at top speed.
    way: f64,
    /// Part of it that a robot that stands still may have gone.
    gone: f64,
    /// How far it is off, in seconds at top speed, beside two spreads.
    off: f64,
}

/// Of a robot of which nothing else is known.
const UNKNOWN: Asks = Asks { way: 0.005, gone: 0.1, off: 0.005 };
/// Of one whose controller has fallen silent.
const SILENT: Asks = Asks { way: 0.0, gone: 0.25, off: 0.0015 };
/// Without a controller that has fallen silent nothing less is off, radians or metres: a slow joint's noise.
const LEAST_OFF: f64 = 0.01;
/// A joint that is slower, in parts of its top speed, stands.
const STANDS: f64 = 0.01;
/// A joint that was commanded to go so far within a span, radians or metres, and has gone so much of it, follows.
const FOLLOWS: (f64, f64) = (1.5e-3, 0.3);
/// So long, seconds, a controller is known to live after one of its joints followed while another did not.
const LIVES: f64 = 1.0;
/// A joint that says so, does.
const STILL: f64 = 0.02;
/// One that was faster a state before was halted.
const HALTED: f64 = 0.05;

/// What the speeds are worth that joints tell of themselves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    /// Somebody tells them.
    pub told: bool,
    /// They stood still before while they were commanded on, and have not moved since.
    pub suspect: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    ev: f64,
    vv: f64,
    left: f64,
    seconds: f64,
    speed: f64,
}

#[derive(Debug, Clone)]
struct Joint {
    top: f64,
    continuous: bool,
    /// Newest last, as a ring: stamp, position, speed that was told.
    states: [(Stamp, f64, f64); KEPT],
    count: usize,
    bins: [Bin; WAIT],
    bin: usize,
    ev: f64,
    vv: f64,
    spread: f64,
    seen: f64,
    /// How often the speed that is told was what the positions do, and was not.
    agrees: u32,
    differs: u32,
    /// Of a controller's first joint: when some of its joints followed and others did not.
    lives: Option<Stamp>,
}

/// What the joints of a controller did within a span.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ways {
    /// All of them stood, though they were commanded on.
    Stand,
    /// Some followed, and some stood.
    Apart,
    /// Neither.
    Unclear,
}

impl Joint {
    fn new(top: f64, continuous: bool) -> Self {
        Self {
            top,
            continuous,
            states: [(Stamp::ZERO, 0.0, 0.0); KEPT],
            count: 0,
            bins: [Bin::default(); WAIT],
            bin: 0,
            ev: 0.0,
            vv: 0.0,
            spread: 0.0,
            seen: 0.0,
            agrees: 0,
            differs: 0,
            lives: None,
        }
    }

    /// The state so many before the newest.
    fn state(&self, back: usize) -> Option<&(Stamp, f64, f64)> {
        (back < self.count.min(KEPT)).then(|| &self.states[(self.count - 1 - back) % KEPT])
    }

    fn knows(&self) -> bool {
        self.seen >= ENOUGH
    }

    fn lag(&self) -> f64 {
        if self.vv > 0.0 { (self.ev / self.vv).clamp(0.0, LONGEST) } else { 0.0 }
    }

    /// By how much earlier its command is looked at.
    fn allowed_lag(&self) -> f64 {
        // (Sooner than the bound: what is not noticed in time is a leap.)
        if self.seen >= SOON { self.lag() + (0.5 * self.lag()).max(0.02) } else { LONGEST }
    }

    fn learn(&mut self, seconds: f64, error: f64, speed: f64) {
        let left = (error - self.lag() * speed).abs();
        let moves = speed.abs() > MOVES * self.top;
        let bin = &mut self.bins[self.bin];
        if moves {
            bin.ev += error * speed * seconds;
            bin.vv += speed * speed * seconds;
            bin.left = bin.left.max(left);
        }
        bin.speed = bin.speed.max(speed.abs());
        bin.seconds += seconds;
        if bin.seconds < BIN {
            return;
        }
        self.bin = (self.bin + 1) % WAIT;
        let old = std::mem::take(&mut self.bins[self.bin]);
        if old.vv > 0.0 {
            let fades = (-old.seconds / MEMORY).exp();
            (self.ev, self.vv) = (fades * self.ev + old.ev, fades * self.vv + old.vv);
            // What was left while the lag was not known says nothing of what is left.
            self.spread = if self.seen < 0.5 * ENOUGH { 0.0 } else { (fades * self.spread).max(old.left) };
            self.seen += old.seconds;
        }
    }

    fn bound(&self, most: f64) -> f64 {
        if !self.knows() {
            return most;
        }
        let speed = self.bins.iter().map(|bin| bin.speed).fold(0.0, f64::max);
        (BASE * most + SPREADS * self.spread + LAGS * self.lag() * speed).min(most)
    }
}

/// What is known of a joint's following.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tracking {
    /// Seconds that it is behind its command; none before enough was seen.
    pub lag_s: Option<f64>,
    /// How far it may be from its command now, radians or metres.
    pub bound: f64,
}

/// Follows all joints of a robot.
#[derive(Debug)]
pub(crate) struct Follows {
    joints: Vec<Joint>,
    most: f64,
}

impl Follows {
    /// Joints by their velocity limits and whether they turn on without end; `most`: the largest error allowed.
    pub fn new(velocity: &[f64], continuous: &[bool], most: f64) -> Self {
        let joints = velocity.iter().zip(continuous).map(|(top, turns)| Joint::new(*top, *turns)).collect();
        Self { joints, most }
    }

    /// A motion begins, or the clock leapt: states before are of no use. What was learned stays.
    pub fn restart(&mut self) {
        for joint in &mut self.joints {
            joint.count = 0;
            joint.bins = [Bin::default(); WAIT];
        }
    }

    /// What was seen last was seen of a robot that does not follow.
    pub fn forget_newest(&mut self) {
        self.joints.iter_mut().for_each(|joint| joint.bins = [Bin::default(); WAIT]);
    }

    /// A joint was measured. With `learns` it is learned from how it follows. `commanded` tells where it was commanded to be at a time.
    pub fn see(
        &mut self,
        joint: usize,
        at: Stamp,
        position: f64,
        speed: f64,
        learns: bool,
        commanded: impl Fn(Stamp) -> f64,
    ) {
        /// Over which speeds of the command are taken, seconds.
        const OVER: f64 = 0.01;
        let joint = &mut self.joints[joint];
        if let Some((last, before, _)) = joint.state(0).copied() {
            let seconds = at.seconds_since(last);
            if seconds <= 0.0 {
                return;
            }
            let went = way(joint.continuous, before, position) / seconds;
            if went.abs() > MOVES * joint.top {
                if (speed - went).abs() <= 0.5 * went.abs() {
                    joint.agrees = joint.agrees.saturating_add(1);
                } else {
                    joint.differs = joint.differs.saturating_add(1);
                }
            }
            let wanted = commanded(at);
            let wanted_speed = (wanted - commanded(at.offset_seconds(-OVER))) / OVER;
            if learns {
                joint.learn(seconds.min(2.0 * BIN), way(joint.continuous, position, wanted), wanted_speed);
            }
        }
        joint.states[joint.count % KEPT] = (at, position, speed);
        joint.count += 1;
        if joint.count >= 2 * KEPT * 1024 {
            // Never full turns of the ring lost, never an overflow.
            joint.count -= KEPT * 1024;
        }
    }

    /// What is known of a joint.
    pub fn of(&self, joint: usize) -> Tracking {
        let known = &self.joints[joint];
        Tracking { lag_s: known.knows().then(|| known.lag()), bound: known.bound(self.most) }
    }

    /// How far a joint that stands still may be from its command to count as where it was commanded, radians or metres.
    pub fn near(&self, joint: usize, silent: bool) -> f64 {
        let joint = &self.joints[joint];
        let asks = if silent { SILENT } else { UNKNOWN };
        if joint.knows() {
            let least = if silent { 0.0 } else { LEAST_OFF };
            (asks.off * joint.top + 2.0 * joint.spread).max(least).min(self.most)
        } else if silent {
            (UNKNOWN.off * joint.top).min(self.most)
        } else {
            NEAR * self.most
        }
    }

    /// Whether these joints (those of a controller that are no gripper's) stand still where they are, though they were commanded on. `silent`: their
    /// controller was heard, and is not any more; `word`: what their own speeds are worth. `commanded` tells where a joint was commanded to be at a time.
    pub fn stand(
        &mut self,
        joints: &[usize],
        silent: bool,
        word: Word,
        commanded: impl Fn(usize, Stamp) -> f64,
    ) -> bool {
        let asks = if silent { SILENT } else { UNKNOWN };
        let is_off = |place: &usize| {
            let joint = &self.joints[*place];
            joint.state(0).is_some_and(|(at, position, _)| {
                let then = commanded(*place, at.offset_seconds(-joint.allowed_lag()));
                let now = commanded(*place, *at);
                // By both: a command that turns back comes to where the robot is by itself.
                let off = |wanted: f64| way(joint.continuous, *position, wanted).abs();
                off(then).min(off(now)) > self.near(*place, silent)
            })
        };
        let Some(first) = joints.first().copied().filter(|_| joints.iter().any(is_off)) else { return false };
        let ways = SPANS.map(|span| self.ways_within(joints, span, &asks, silent, &commanded));
        let newest = self.joints[first].state(0).map(|state| state.0);
        // One joint that is stuck while others follow is no controller that is off; at the end of the stop they all stand.
        let apart = ways.contains(&Ways::Apart);
        let lived = self.joints[first].lives.zip(newest).is_some_and(|(then, now)| now.seconds_since(then) < LIVES);
        let known = |this: &Self| {
            silent || (!apart && !lived && (this.jitter(joints, word, is_off) || this.say_so(joints, word)))
        };
        let stand = ways.contains(&Ways::Stand) && known(self);
        if apart {
            self.joints[first].lives = newest;
        }
        stand
    }

    /// What these joints did over a span, against what they were commanded to.
    fn ways_within(
        &self,
        joints: &[usize],
        span: f64,
        asks: &Asks,
        silent: bool,
        commanded: &impl Fn(usize, Stamp) -> f64,
    ) -> Ways {
        let (mut gone, mut wanted) = (0.0, 0.0);
        let (mut follows, mut stuck) = (false, false);
        for place in joints {
            let joint = &self.joints[*place];
            let Some((end, _, _)) = joint.state(0) else { return Ways::Unclear };
            // The span that is just as long as asked for.
            let Some(states) = (STATES - 1..KEPT)
                .find(|back| joint.state(*back).is_none_or(|(at, _, _)| end.seconds_since(*at) >= span))
            else {
                return Ways::Unclear;
            };
            let Some((begin, from, _)) = joint.state(states) else { return Ways::Unclear };
            let seconds = end.seconds_since(*begin);
            // The farthest that it went from where it was, not only where it came to.
            let went = (0..states)
                .filter_map(|back| joint.state(back))
                .map(|(_, to, _)| way(joint.continuous, *from, *to).abs())
                .fold(0.0, f64::max);
            if silent && went > STANDS * joint.top * seconds + 1.0e-4 * joint.top {
                return Ways::Unclear;
            }
            let lag = joint.allowed_lag();
            let way = commanded(*place, end.offset_seconds(-lag)) - commanded(*place, begin.offset_seconds(-lag));
            follows |= way.abs() > FOLLOWS.0 && went > FOLLOWS.1 * way.abs();
            stuck |= way.abs() > 3.0 * FOLLOWS.0 && went <= asks.gone * way.abs();
            gone += went / joint.top;
            wanted += way.abs() / joint.top;
        }
        match (follows && !silent, stuck) {
            (true, true) => Ways::Apart,
            (true, false) => Ways::Unclear,
            // A silent one that stands needs no command that goes on: it may have come to its end meanwhile.
            (false, _) if silent || (wanted >= asks.way && gone <= asks.gone * wanted) => Ways::Stand,
            (false, _) => Ways::Unclear,
        }
    }

    /// Whether these joints stand, by their last positions and by their speeds.
    pub fn still(&self, joints: &[usize]) -> bool {
        let stays = |place: &usize| {
            let joint = &self.joints[*place];
            let Some((_, newest, _)) = joint.state(0) else { return false };
            (1..STATES).all(|back| {
                let near = 5.0e-4 * joint.top;
                joint.state(back).is_none_or(|(_, was, _)| way(joint.continuous, *was, *newest).abs() <= near)
            })
        };
        joints.iter().all(stays) && self.newest_speeds_are_zero(joints)
    }

    fn newest_speeds_are_zero(&self, joints: &[usize]) -> bool {
        joints.iter().all(|place| {
            let joint = &self.joints[*place];
            joint.state(0).is_some_and(|(_, _, speed)| speed.abs() <= STILL * joint.top)
        })
    }

    /// Whether states that stay are measured ones, and not those of somebody who repeats himself under fresh stamps (then the robot may be anywhere, and
    /// follow): what is measured jitters, each joint that is off its command by itself, as an encoder may be dead; and speeds that are told are none.
    fn jitter(&self, joints: &[usize], word: Word, is_off: impl Fn(&usize) -> bool) -> bool {
        let jitters = |place: &usize| {
            let joint = &self.joints[*place];
            let newest = joint.state(0).map(|state| state.1);
            (1..STATES).any(|back| joint.state(back).map(|state| state.1) != newest)
        };
        joints.iter().filter(|place| is_off(place)).all(jitters) && (!word.told || self.newest_speeds_are_zero(joints))
    }

    /// Whether these joints say themselves that they stand: their speeds, which were true so far, are zero, and were not in the last state that was another one. A
    /// repeated state tells the old speeds as well; and states that are repeated since the robot rested say nothing of what it does now.
    pub fn say_so(&self, joints: &[usize], word: Word) -> bool {
        let tells = joints.iter().any(|place| {
            let joint = &self.joints[*place];
            joint.agrees >= 10 && joint.agrees > joint.differs
        });
        let halted = || {
            joints.iter().any(|place| {
                let joint = &self.joints[*place];
                let newest = joint.state(0).map(|state| state.1);
                let other = (1..KEPT).map_while(|back| joint.state(back)).find(|state| Some(state.1) != newest);
                other.is_some_and(|(_, _, speed)| speed.abs() > HALTED * joint.top)
            })
        };
        word.told && tells && self.newest_speeds_are_zero(joints) && (word.suspect || halted())
    }
}
