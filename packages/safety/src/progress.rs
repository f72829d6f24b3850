//! How fast the reference path is run through: slowing down along the path instead of clipping each joint.
//!
//! The scheduler's reference is a path q(tau) over plan time tau. Progress is the state (tau, s, s') with s = d tau / dt in \[0, 1\]:
//! 1 is as the policy meant it, less is slower along the very same path. By the chain rule the joints then ask for
//!
//! ```text
//! v = q' s        a = q'' s^2 + q' s'
//! ```
//!
//! (Bobrow, Dubowsky, Gibson 1985, the usual path parametrisation). Progress is taken as fast as these keep the limits, and a step
//! is taken only if, from its end, braking to s = 0 along the path keeps them as well. So there is always a way to stop on the path
//! that asks nothing impossible: the same argument as for the joints' stops, one level up.

use crate::limits::exceeds;
use crate::motion::{State, ramp_stop, ramp_stop_seen};
use efm_core::JointLimits;
use efm_schedule::Reference;

/// Part of what following may use that the path itself may ask for; the rest is for taking back what is left of an error.
const PATH_SHARE: f64 = 0.99;
/// The same for a brake. It is more, and more than following uses: a path that asks for all that it may would else leave nothing to brake with,
/// and would have to be run through slower for that alone.
const BRAKE_SHARE: f64 = 1.015;
/// Seconds at full jerk that a joint's acceleration may stay behind the path's: a spline through the rows of a motion that keeps its jerk limit
/// rings a little where the jerk changes. It moves the joint by some hundredths of a milliradian, which is taken back.
const BEHIND: f64 = 0.004;
/// Seconds that a brake may wait where the path is too rough for it to begin at once.
const WAITS: [f64; 8] = [0.05, 0.1, 0.16, 0.24, 0.34, 0.46, 0.6, 0.8];
/// Seconds in which the quickest brake takes s from 1 to 0.
const QUICKEST: f64 = 0.05;
/// How much longer each rung of the ladder of brakes takes than the one before.
const RATIO: f64 = 1.12;
/// The slowest brake in terms of the slowest joint's own stop from its top speed.
const SLOWEST: f64 = 1.4;
/// Seconds in which s goes from 0 to 1 where no joint minds.
const GATHER: f64 = 0.2;
/// Rate that a brake may reach where its path is left anyway.
const FASTEST: f64 = 1.3;
/// How often the step between braking and the wish is halved where the wish asks too much.
const HALVINGS: usize = 2;
/// How many brakes that begin at once are looked at in a tick for going on, and for each new path that is tried. Where they do not suffice the way
/// out is followed.
const LOOKED_AT: usize = 12;
/// Rates, and changes of it, nearer than this are the same.
const THERE: f64 = 1.0e-9;
/// Coarsest spacing at which a brake is looked at, seconds.
const LOOK: f64 = 0.01;

/// What keeps progress below what was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathLimit {
    /// A joint's velocity.
    Velocity {
        /// Place of the joint in the limits' order.
        joint: usize,
    },
    /// A joint's acceleration.
    Acceleration {
        /// Place of the joint in the limits' order.
        joint: usize,
    },
    /// A joint's jerk.
    Jerk {
        /// Place of the joint in the limits' order.
        joint: usize,
    },
    /// The speed of the tool.
    ToolSpeed,
    /// The speed scale that was set.
    Scale,
    /// The newest observation is old.
    StaleObservation,
    /// Too near to an obstacle, to the robot itself or to the edge of the workspace.
    Space,
    /// The joints are off the path and find back first.
    Rejoining,
    /// A [`Monitor`](crate::Monitor), by its name.
    Monitor(&'static str),
}

/// The path, and how fast the tool moves on it.
pub(crate) trait Path {
    /// A plan time, looked up once for all joints.
    type Moment;
    /// Plan time `tau`, seconds after the motion's axis.
    fn moment(&self, tau: f64) -> Self::Moment;
    /// Reference of a joint then; derivatives by plan time.
    fn joint(&self, joint: usize, at: &Self::Moment) -> Reference;
    /// Its velocity and acceleration alone.
    fn rates(&self, joint: usize, at: &Self::Moment) -> (f64, f64);
    /// Distance that the tool goes from the one plan time to the other, metres, where that is limited.
    fn tool_travel(&mut self, from: f64, to: f64) -> Option<f64>;
}

/// What the joints ask for in a state of progress.
pub(crate) fn asked(at: Reference, s: &State) -> Reference {
    let (velocity, acceleration) = asked_rates((at.velocity, at.acceleration), s);
    Reference { position: at.position, velocity, acceleration }
}

/// Velocity and acceleration of it.
fn asked_rates((velocity, acceleration): (f64, f64), s: &State) -> (f64, f64) {
    (velocity * s.v, acceleration * s.v * s.v + velocity * s.a)
}

/// Plans progress on the grid, as [`crate::planner::JointPlanner`] plans a joint: states, and a way out after them.
#[derive(Debug)]
pub(crate) struct Progress {
    dt: f64,
    stride: usize,
    states: Vec<State>,
    way_out: Vec<State>,
    way_out_at: usize,
    scratch: Vec<State>,
    saved: Vec<State>,
    saved_len: usize,
    rung: usize,
    rungs: usize,
    /// Brakes that may still be looked at, and whether one that waits may be looked for.
    left: usize,
    may_search: bool,
    /// Steps that the brake in use still waits, and its rung: where one that waits is needed again, it is the first that is tried.
    waits_for: usize,
    waits_rung: usize,
    /// What a brake that waits goes along first.
    ahead: Vec<State>,
    /// Steps for which a brake may wait, the fewest first; see [`WAITS`].
    waits: [usize; WAITS.len()],
    /// Joints that follow the path, and what the path may ask of them.
    limits: Vec<(usize, JointLimits)>,
    /// The same for a brake.
    brake_limits: Vec<(usize, JointLimits)>,
    tool_speed: f64,
    /// Accelerations of the joints in `limits` at the last state, at the next one, while a brake waits, and along a brake.
    now: Vec<f64>,
    next: Vec<f64>,
    waiting: Vec<f64>,
    along: Vec<f64>,
    limited: Option<PathLimit>,
}

impl Progress {
    /// `limits`: of the joints that are held to the path, what following may use. `tool_speed` in m/s, infinite for none.
    pub fn new(limits: Vec<(usize, JointLimits)>, tool_speed: f64, dt: f64, room: usize) -> Self {
        let shared = |share: f64| limits.iter().map(|(joint, l)| (*joint, l.shared(share))).collect();
        let brake_limits: Vec<(usize, JointLimits)> = shared(BRAKE_SHARE);
        let limits: Vec<(usize, JointLimits)> = shared(PATH_SHARE);
        let slowest = SLOWEST * longest_joint_stop(limits.iter().map(|(_, l)| l));
        let rungs = 1 + ((slowest / QUICKEST).ln() / RATIO.ln()).ceil().max(1.0) as usize;
        let stop = longest_brake(limits.iter().map(|(_, l)| l), dt);
        let count = limits.len();
        Self {
            dt,
            stride: ((LOOK / dt).round() as usize).max(1),
            states: Vec::with_capacity(room),
            way_out: Vec::with_capacity(room + stop),
            way_out_at: 0,
            scratch: Vec::with_capacity(room + stop),
            saved: Vec::with_capacity(room + stop),
            saved_len: 0,
            rung: 0,
            rungs,
            left: 0,
            may_search: false,
            waits_for: 0,
            waits_rung: 0,
            ahead: Vec::with_capacity(room + stop),
            waits: WAITS.map(|seconds| (seconds / dt).ceil() as usize),
            limits,
            brake_limits,
            tool_speed: PATH_SHARE * tool_speed,
            now: vec![0.0; count],
            next: vec![0.0; count],
            waiting: vec![0.0; count],
            along: vec![0.0; count],
            limited: None,
        }
    }

    /// More states than any way out has, with the one that it begins at.
    pub fn longest(&self) -> usize {
        self.way_out.capacity() + 1
    }

    /// Starts a new plan: `count` states on the motion's time axis, plan time being the clock's so far, then going on at rate `s`.
    pub fn restart(&mut self, s: f64, count: usize) {
        self.states.clear();
        self.states.extend((0..count).map(|k| State { p: k as f64 * self.dt, v: s, a: 0.0 }));
        self.way_out.clear();
        self.way_out_at = 0;
        self.limited = None;
    }

    /// Changes the limit of the tool's speed, m/s; what is planned stays.
    pub fn limit_tool(&mut self, speed: f64) {
        self.tool_speed = PATH_SHARE * speed;
    }

    /// Whether the tool's speed is limited.
    pub fn limits_tool(&self) -> bool {
        self.tool_speed.is_finite()
    }

    /// What kept the last step below what was wanted.
    pub fn limited(&self) -> Option<PathLimit> {
        self.limited
    }

    pub fn planned(&self) -> usize {
        self.states.len()
    }

    /// The planned state, beyond the plan the way out, beyond that rest.
    pub fn at(&self, index: usize) -> State {
        let n = self.states.len();
        if index < n {
            return self.states[index];
        }
        let left = &self.way_out[self.way_out_at..];
        match left.get(index - n).or(left.last()) {
            Some(state) => *state,
            // Nowhere to go: the path stands still.
            None => State::rest(self.states.last().map_or(0.0, |s| s.p)),
        }
    }

    /// States of the way out.
    pub fn braking_steps(&self) -> usize {
        self.way_out.len() - self.way_out_at
    }

    pub fn forget(&mut self, count: usize) {
        self.states.drain(..count.min(self.states.len().saturating_sub(1)));
    }

    /// Keeps the first `count` states (at least one); the rest of the plan becomes the way out.
    pub fn keep(&mut self, count: usize) {
        let count = count.max(1);
        while self.states.len() < count {
            self.follow_way_out();
        }
        if self.states.len() > count {
            self.scratch.clear();
            self.scratch.extend_from_slice(&self.states[count..]);
            self.scratch.extend_from_slice(&self.way_out[self.way_out_at..]);
            std::mem::swap(&mut self.scratch, &mut self.way_out);
            self.way_out_at = 0;
            self.states.truncate(count);
        }
    }

    pub fn follow_way_out(&mut self) {
        self.waits_for = self.waits_for.saturating_sub(1);
        let next = self.at(self.states.len());
        self.way_out_at = (self.way_out_at + 1).min(self.way_out.len());
        self.states.push(next);
    }

    /// Remembers the plan as it is.
    pub fn checkpoint(&mut self) {
        self.saved.clear();
        self.saved.extend_from_slice(&self.way_out[self.way_out_at..]);
        self.saved_len = self.states.len();
    }

    /// Goes back to the remembered plan.
    pub fn rollback(&mut self) {
        self.states.truncate(self.saved_len);
        std::mem::swap(&mut self.saved, &mut self.way_out);
        self.way_out_at = 0;
    }

    /// Builds the brake anew from the last state, after the path has changed. False when no brake keeps the limits on this path;
    /// then a slow one is kept, and the joints will leave the path. `search`: whether one that waits may be looked for, beside the one in use.
    pub fn brake_on(&mut self, path: &mut impl Path, search: bool) -> bool {
        let last = self.at(self.states.len() - 1);
        accelerations(&self.limits, path, &last, &mut self.next);
        self.begin();
        self.may_search = search;
        let found = self.brake(path, &last).is_ok() || self.brake_later(path, &last, last.v).is_ok();
        if !found {
            // The joints will leave this path whatever is done: as slowly as it goes, but never backwards.
            let forwards = |states: &[State]| states.iter().all(|s| (0.0..=FASTEST).contains(&s.v));
            let rung = (0..self.rungs)
                .rev()
                .find(|rung| brake_of(*rung, &last, self.dt, &mut self.scratch) && forwards(&self.scratch));
            if rung.is_none() {
                self.scratch.clear();
            }
        }
        std::mem::swap(&mut self.scratch, &mut self.way_out);
        self.way_out_at = 0;
        found
    }

    /// Changes the last state. The path has to give what the joints do there at its rate. There is no way out then, until
    /// [`Self::brake_on`].
    pub fn set_last(&mut self, state: State) {
        if let Some(last) = self.states.last_mut() {
            *last = state;
        }
        self.way_out.clear();
        self.way_out_at = 0;
    }

    /// To be called before the steps of a tick.
    pub fn begin(&mut self) {
        (self.left, self.may_search) = (LOOKED_AT, true);
    }

    /// Goes one step, as near to the rate `wanted` as the path allows. `why`: what keeps `wanted` below 1. `followed`: how the joint at a place
    /// of the limits accelerates at the last state.
    pub fn step(&mut self, path: &mut impl Path, wanted: f64, why: Option<PathLimit>, followed: impl Fn(usize) -> f64) {
        let last = self.at(self.states.len() - 1);
        let out = self.at(self.states.len());
        accelerations(&self.limits, path, &last, &mut self.now);
        for ((joint, limit), now) in self.limits.iter().zip(&mut self.now) {
            // A joint that finds back to the path is another matter: then the path is what it will do.
            let (behind, asked) = (limit.jerk * BEHIND, *now);
            *now = followed(*joint).clamp(asked - behind, asked + behind);
        }
        self.limited = why.filter(|_| wanted < 1.0);
        let wish = self.towards(&last, wanted);
        let (mut best, limit) = match self.try_step(path, &last, wish, Self::brake) {
            Ok(next) => (Some(next), None),
            Err(limit) => (None, Some(limit)),
        };
        if best.is_none() {
            if (out.v - wish.v).abs() < THERE && (out.a - wish.a).abs() < THERE {
                // The way out goes on like that itself before it brakes.
                return self.follow_way_out();
            }
            best = self.try_step(path, &last, wish, |this, path, next| this.brake_later(path, next, wanted)).ok();
        }
        if best.is_none() {
            self.limited = limit;
            let (mut safe, mut wish) = (out.a, wish.a);
            for _ in 0..HALVINGS {
                let middle = 0.5 * (safe + wish);
                match self.try_step(path, &last, last.ramp_to(middle, self.dt), Self::brake) {
                    Ok(next) => {
                        best = Some(next);
                        safe = middle;
                    }
                    Err(_) => wish = middle,
                }
            }
        }
        match best {
            Some(next) => self.states.push(next),
            None => self.follow_way_out(),
        }
    }

    /// The state after one step on the quickest smooth way to a rate.
    fn towards(&mut self, last: &State, wanted: f64) -> State {
        if (last.v - wanted).abs() < THERE && last.a.abs() < THERE {
            return State { p: last.p + self.dt * wanted, v: wanted, a: 0.0 };
        }
        if self.way_to(last, wanted)
            && let Some(first) = self.scratch.first()
        {
            return shifted(last, first, wanted, self.dt);
        }
        last.ramp_to(0.0, self.dt)
    }

    /// Writes into `scratch` how the difference to a rate goes to zero on the quickest smooth way.
    fn way_to(&mut self, last: &State, wanted: f64) -> bool {
        // The difference in rate is brought to zero as a velocity is.
        let gap = State { p: 0.0, v: last.v - wanted, a: last.a };
        let seconds = if gap.v > 0.0 { rung_seconds(self.rung) } else { GATHER };
        let (acceleration, jerk) = (2.0 / seconds, 4.0 / (seconds * seconds));
        let limits = JointLimits {
            lower: f64::NEG_INFINITY,
            upper: f64::INFINITY,
            velocity: 2.0,
            acceleration: acceleration.max(last.a.abs()),
            jerk,
        };
        ramp_stop(&gap, self.dt, &limits, &mut self.scratch)
    }

    /// Takes a step if it and a brake after it, as `brake` finds one, ask nothing impossible of the joints.
    fn try_step<P: Path>(
        &mut self,
        path: &mut P,
        last: &State,
        next: State,
        brake: impl Fn(&mut Self, &mut P, &State) -> Result<(), PathLimit>,
    ) -> Result<State, PathLimit> {
        if !(next.v >= 0.0 && next.v <= 1.0 + 1.0e-9) {
            return Err(PathLimit::Scale);
        }
        self.next.copy_from_slice(&self.now);
        look(&self.limits, self.tool_speed, path, last, &next, &mut self.next, self.dt)?;
        brake(self, path, &next)?;
        std::mem::swap(&mut self.scratch, &mut self.way_out);
        self.way_out_at = 0;
        Ok(next)
    }

    /// Writes into `scratch` the quickest brake of the ladder, from a state where the joints accelerate with `next`, that asks nothing
    /// impossible of them.
    ///
    /// Begins at the rung below the last one that was right and goes on in strides that grow, so that it looks at few; where no slower one
    /// will do, for the path becomes rough farther on, a quicker one is looked at as well.
    fn brake(&mut self, path: &mut impl Path, from: &State) -> Result<(), PathLimit> {
        if from.is_rest() {
            self.scratch.clear();
            return Ok(());
        }
        let first = self.rung.saturating_sub(1);
        let last = self.rungs - 1;
        let slower = [0, 1, 4, 10].map(|stride| first + stride);
        let mut outcome = Err(PathLimit::Scale);
        for rung in slower.into_iter().filter(|rung| *rung < last).chain([last, first / 2]) {
            self.left = self.left.checked_sub(1).ok_or(PathLimit::Scale)?;
            match self.look_at_brake(path, rung, from, false) {
                Ok(true) => {
                    (self.rung, self.waits_for) = (rung, 0);
                    return Ok(());
                }
                Ok(false) => {}
                Err(limit) => outcome = Err(limit),
            }
        }
        outcome
    }

    /// As [`Self::brake`], but the brake may wait: where the path itself asks for all that the joints have, it goes on to the rate `wanted` and
    /// with it to where that is over. A motion that begins and ends within its limits can be braked on at its end at the latest.
    fn brake_later(&mut self, path: &mut impl Path, from: &State, wanted: f64) -> Result<(), PathLimit> {
        self.ahead.clear();
        if self.way_to(from, wanted) {
            let mut last = *from;
            for way in &self.scratch {
                last = shifted(&last, way, wanted, self.dt);
                self.ahead.push(last);
            }
        }
        let longest = self.waits.last().copied().unwrap_or(0);
        while self.ahead.len() < longest {
            let last = self.ahead.last().copied().unwrap_or(State { a: 0.0, ..*from });
            self.ahead.push(State { p: last.p + self.dt * last.v, ..last });
        }
        // The one in use, if it still will do.
        let wait = self.waits_for.min(longest);
        if wait > 0 {
            self.waiting.copy_from_slice(&self.next);
            if self.wait_on(path, *from, 0, wait).is_ok() && self.brake_after(path, wait, self.waits_rung).is_ok() {
                return Ok(());
            }
        }
        if !std::mem::take(&mut self.may_search) {
            return Err(PathLimit::Scale);
        }
        let (mut begin, mut waited) = (*from, 0);
        self.waiting.copy_from_slice(&self.next);
        let mut outcome = Err(PathLimit::Scale);
        for wait in self.waits {
            self.wait_on(path, begin, waited, wait)?;
            (begin, waited) = (self.ahead[wait - 1], wait);
            for quarter in 1..=3 {
                outcome = self.brake_after(path, wait, quarter * (self.rungs - 1) / 4);
                if outcome.is_ok() {
                    return outcome;
                }
            }
        }
        outcome
    }

    /// Looks at what is `ahead` from the one step to the other; `begin` is the state before it. `waiting` becomes how the joints accelerate there.
    fn wait_on(&mut self, path: &mut impl Path, begin: State, from: usize, to: usize) -> Result<(), PathLimit> {
        let how = (&*self.limits, self.tool_speed, self.dt, self.stride);
        look_along(how, path, begin, &self.ahead[from..to], &mut self.waiting)
    }

    /// Writes into `scratch` what is `ahead` for `wait` steps (at least one), and a brake, which is looked at.
    fn brake_after(&mut self, path: &mut impl Path, wait: usize, rung: usize) -> Result<(), PathLimit> {
        let begin = self.ahead[wait - 1];
        if !self.look_at_brake(path, rung, &begin, true)? {
            return Err(PathLimit::Scale);
        }
        self.scratch.extend_from_slice(&self.ahead[..wait]);
        self.scratch.rotate_right(wait);
        (self.waits_for, self.waits_rung) = (wait, rung);
        Ok(())
    }

    /// Writes a brake into `scratch` while looking at it, so that what is impossible costs little: most brakes are refused at their beginning. It
    /// begins where the joints accelerate with `next`, or with `waiting`. False where there is no such brake.
    fn look_at_brake(
        &mut self,
        path: &mut impl Path,
        rung: usize,
        from: &State,
        waits: bool,
    ) -> Result<bool, PathLimit> {
        let Self { next, waiting, along, scratch, brake_limits, tool_speed, dt, stride, .. } = self;
        let begin: &[f64] = if waits { waiting } else { next };
        let mut last = *from;
        brake_seen(rung, from, *dt, scratch, |states, ends| {
            if states.len() == 1 {
                last = *from;
                along.copy_from_slice(begin);
            }
            let beyond = states.len() % *stride;
            if beyond != 0 && !ends {
                return Ok(());
            }
            let steps = if beyond == 0 { *stride } else { beyond };
            look_along((brake_limits, *tool_speed, *dt, steps), path, last, &states[states.len() - steps..], along)?;
            last = states[states.len() - 1];
            Ok(())
        })
    }
}

/// Whether the path asks nothing impossible along states `dt` apart that come after `last`, looked at every `stride` of them; see [`look`].
fn look_along(
    (limits, tool_speed, dt, stride): (&[(usize, JointLimits)], f64, f64, usize),
    path: &mut impl Path,
    mut last: State,
    states: &[State],
    accelerations: &mut [f64],
) -> Result<(), PathLimit> {
    for some in states.chunks(stride) {
        let Some(state) = some.last().filter(|s| s.v >= 0.0 && s.v <= 1.0 + 1.0e-6) else {
            return Err(PathLimit::Scale);
        };
        look(limits, tool_speed, path, &last, state, accelerations, some.len() as f64 * dt)?;
        last = *state;
    }
    Ok(())
}

fn accelerations(limits: &[(usize, JointLimits)], path: &impl Path, at: &State, into: &mut [f64]) {
    let moment = path.moment(at.p);
    for ((joint, _), a) in limits.iter().zip(into) {
        *a = asked_rates(path.rates(*joint, &moment), at).1;
    }
}

/// Whether the path asks nothing impossible on the way from one state to another, `seconds` later. `accelerations` are those of
/// joints that follow it, at the first state, and become those at the second: the path's, or a little behind it (see [`BEHIND`]).
fn look(
    limits: &[(usize, JointLimits)],
    tool_speed: f64,
    path: &mut impl Path,
    from: &State,
    to: &State,
    accelerations: &mut [f64],
    seconds: f64,
) -> Result<(), PathLimit> {
    let moment = path.moment(to.p);
    for ((joint, limit), before) in limits.iter().zip(accelerations) {
        let joint = *joint;
        let (velocity, acceleration) = asked_rates(path.rates(joint, &moment), to);
        if exceeds(velocity.abs(), limit.velocity) {
            return Err(PathLimit::Velocity { joint });
        }
        if exceeds(acceleration.abs(), limit.acceleration) {
            return Err(PathLimit::Acceleration { joint });
        }
        let most = limit.jerk * seconds;
        let followed = *before + (acceleration - *before).clamp(-most, most);
        if exceeds((acceleration - followed).abs(), limit.jerk * BEHIND) {
            return Err(PathLimit::Jerk { joint });
        }
        *before = followed;
    }
    if tool_speed == f64::INFINITY {
        return Ok(());
    }
    match path.tool_travel(from.p, to.p) {
        Some(travel) if exceeds(travel, tool_speed * seconds) => Err(PathLimit::ToolSpeed),
        _ => Ok(()),
    }
}

/// The state one step after `last`, where the difference to the rate `wanted` is `way`.
fn shifted(last: &State, way: &State, wanted: f64, dt: f64) -> State {
    State { p: last.p + dt * (last.v + dt * (2.0 * last.a + way.a) / 6.0), v: way.v + wanted, a: way.a }
}

fn rung_seconds(rung: usize) -> f64 {
    QUICKEST * RATIO.powi(rung as i32)
}

/// States to s = 0 on a rung of the ladder: a jerk-limited stop of the rate.
fn brake_of(rung: usize, from: &State, dt: f64, states: &mut Vec<State>) -> bool {
    ramp_stop(from, dt, &brake_limits(rung, from), states)
}

/// As [`brake_of`], shown as it comes to be; see [`ramp_stop_seen`].
fn brake_seen<E>(
    rung: usize,
    from: &State,
    dt: f64,
    states: &mut Vec<State>,
    see: impl FnMut(&[State], bool) -> Result<(), E>,
) -> Result<bool, E> {
    ramp_stop_seen(from, dt, &brake_limits(rung, from), states, see)
}

fn brake_limits(rung: usize, from: &State) -> JointLimits {
    let seconds = rung_seconds(rung);
    JointLimits {
        lower: f64::NEG_INFINITY,
        upper: f64::INFINITY,
        velocity: FASTEST,
        // From rate 1 to 0 in this time, in two ramps.
        acceleration: (2.0 / seconds).max(from.a.abs()),
        jerk: 4.0 / (seconds * seconds),
    }
}

/// Seconds that the slowest of some joints needs to stop from its top speed.
fn longest_joint_stop<'a>(limits: impl Iterator<Item = &'a JointLimits>) -> f64 {
    limits.map(|l| l.velocity / l.acceleration + l.acceleration / l.jerk).fold(QUICKEST, f64::max)
}

/// More steps than any brake of these joints takes.
pub(crate) fn longest_brake<'a>(limits: impl Iterator<Item = &'a JointLimits>, dt: f64) -> usize {
    let wait = WAITS.into_iter().fold(0.0, f64::max);
    ((3.0 * RATIO * SLOWEST * longest_joint_stop(limits) + wait) / dt).ceil() as usize + 32
}
