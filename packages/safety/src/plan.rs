//! The plan of all joints: along one path, and always with a verified stop behind it.

use crate::motion::State;
use crate::planner::{JointKind, JointPlanner};
use crate::progress::{Path, PathLimit, Progress, asked};
use crate::sent::Sent;
use crate::space::{Intrusion, Space, Step, Tool};
use efm_core::Stamp;
use efm_schedule::{Moment, Reference, Scheduler};
use nalgebra::Point3;

/// Farther than this from the path, in radians (or metres), progress waits for the joints; nearer than the first it does not.
const WAITS: (f64, f64) = (0.01, 0.06);
/// Longest time between two configurations that are shown to the space, seconds.
const SHOWN: f64 = 0.02;
/// Seconds in which the trust that a refused motion cost comes back.
const TRUST: f64 = 0.5;
/// Below this rate what a joint does beside the path is not blown up any further.
const SLOWEST: f64 = 0.3;
/// Rate at which a motion that was refused at rest is tried again.
const CREEP: f64 = 0.1;

/// Measures the tool's way on the path.
#[derive(Debug)]
pub(crate) struct ToolOnPath {
    tool: Tool,
    last: Option<(f64, Point3<f64>)>,
}

impl ToolOnPath {
    pub fn new(tool: Tool) -> Self {
        Self { tool, last: None }
    }
}

struct OnPath<'a> {
    scheduler: &'a Scheduler,
    axis: Stamp,
    tool: Option<&'a mut ToolOnPath>,
}

impl Path for OnPath<'_> {
    type Moment = Moment;

    fn moment(&self, tau: f64) -> Moment {
        self.scheduler.moment(self.axis.offset_seconds(tau))
    }

    fn joint(&self, joint: usize, at: &Moment) -> Reference {
        self.scheduler.of_joint_at(joint, at).unwrap_or_default()
    }

    fn rates(&self, joint: usize, at: &Moment) -> (f64, f64) {
        self.scheduler.rates_at(joint, at).unwrap_or_default()
    }

    fn tool_travel(&mut self, from: f64, to: f64) -> Option<f64> {
        let (scheduler, axis) = (self.scheduler, self.axis);
        let tool = self.tool.as_deref_mut()?;
        let at = |tau: f64| {
            let moment = scheduler.moment(axis.offset_seconds(tau));
            move |joint: usize| scheduler.of_joint_at(joint, &moment).unwrap_or_default().position
        };
        let begin = match tool.last {
            Some((tau, point)) if tau == from => point,
            _ => tool.tool.at(at(from)),
        };
        let end = tool.tool.at(at(to));
        tool.last = Some((to, end));
        Some((end - begin).norm())
    }
}

/// What the last steps of the plan met.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PlanReport {
    /// Rate of progress along the path at the end of the plan, 0 to 1.
    pub rate: f64,
    /// What keeps it below 1.
    pub limited: Option<PathLimit>,
    /// Seconds that plan time is behind the clock.
    pub lag_s: f64,
    /// Largest distance of a joint from the path, radians or metres.
    pub deviation: f64,
    /// Smallest clearance along the last motion that was looked at, metres; none where nothing is known of obstacles.
    pub clearance: Option<f64>,
    /// Why the newest proposal was refused, if it was; then the last verified tail is followed.
    pub refused: Option<Intrusion>,
    /// Whether the stop behind the plan lies on the path.
    pub stops_on_path: bool,
}

/// States of all joints and of progress on one grid, and a verified way to rest after them.
pub(crate) struct Plan {
    dt: f64,
    period: i64,
    /// Time of grid index 0.
    axis: Stamp,
    /// Grid index of the first state that is kept.
    base: i64,
    planners: Vec<JointPlanner>,
    progress: Progress,
    space: Option<Box<dyn Space>>,
    tool: Option<ToolOnPath>,
    /// Configurations between two that are shown to the space.
    stride: usize,
    q: Vec<f64>,
    travel: Vec<f64>,
    off: Vec<f64>,
    /// Where a new path begins.
    followed: Vec<Reference>,
    /// Progress, and the path's time, along the brake that the joints shall follow.
    stop_at: Vec<(State, Moment)>,
    /// Rate that refused motions leave.
    trust: f64,
    /// Whether the parting stops were verified for the plan as it is, and are sent in the place of the way out.
    parted: bool,
    report: PlanReport,
}

impl Plan {
    pub fn new(
        planners: Vec<JointPlanner>,
        progress: Progress,
        space: Option<Box<dyn Space>>,
        tool: Option<ToolOnPath>,
        dt: f64,
    ) -> Self {
        let n = planners.len();
        let longest = progress.longest();
        Self {
            dt,
            period: (dt * 1.0e9).round() as i64,
            axis: Stamp::ZERO,
            base: 0,
            planners,
            progress,
            space,
            tool,
            stride: ((SHOWN / dt).round() as usize).max(1),
            q: vec![0.0; n],
            travel: vec![0.0; n],
            off: vec![0.0; n],
            followed: vec![Reference::default(); n],
            stop_at: Vec::with_capacity(longest),
            trust: 1.0,
            parted: false,
            report: PlanReport::default(),
        }
    }

    pub fn planners(&self) -> &[JointPlanner] {
        &self.planners
    }

    pub fn has_tool(&self) -> bool {
        self.tool.is_some()
    }

    /// Changes the limit of the tool's speed on the path, m/s.
    pub fn limit_tool(&mut self, speed: f64) {
        self.progress.limit_tool(speed);
    }

    pub fn report(&self) -> &PlanReport {
        &self.report
    }

    pub fn space(&self) -> Option<&dyn Space> {
        self.space.as_deref()
    }

    /// The other joints: those of the space or, without one, of the tool.
    pub fn others(&self) -> &[String] {
        let of_tool = self.tool.as_ref().map_or(&[][..], |tool| tool.tool.others());
        self.space.as_ref().map(|space| space.others()).filter(|others| !others.is_empty()).unwrap_or(of_tool)
    }

    /// Whether nothing can be planned while it is not known where one of the others stands.
    pub fn asks_for(&self, other: usize) -> bool {
        let by_space = self.space.as_ref().is_some_and(|space| other < space.others().len() && space.asks_for(other));
        let limited = self.progress.limits_tool();
        by_space || limited && self.tool.as_ref().is_some_and(|tool| tool.tool.is_bent_by(other))
    }

    /// Says where the other joints stand. What is planned already was verified before; what follows is judged anew.
    pub fn place_others(&mut self, positions: &[Option<f64>]) {
        if let Some(space) = &mut self.space {
            space.place_others(positions);
        }
        if let Some(tool) = &mut self.tool
            && tool.tool.place_others(positions)
        {
            tool.last = None;
        }
    }

    pub fn space_mut(&mut self) -> Option<&mut Box<dyn Space>> {
        self.space.as_mut()
    }

    /// Starts anew: `count` states at rest at `positions`, the first at `axis`, plan time being the clock's.
    ///
    /// # Errors
    /// When the space does not allow to move from there.
    pub fn restart(&mut self, axis: Stamp, positions: &[f64], count: usize, rate: f64) -> Result<(), Intrusion> {
        if let Some(space) = &mut self.space {
            space.begin(positions)?;
        }
        self.axis = axis;
        self.base = 0;
        self.trust = 1.0;
        self.parted = false;
        for (planner, position) in self.planners.iter_mut().zip(positions) {
            planner.restart(*position, count);
        }
        self.progress.restart(rate, count);
        self.report = PlanReport { rate, ..PlanReport::default() };
        Ok(())
    }

    /// The least and the greatest position of a joint from a grid index on, its way to rest included.
    pub fn extent(&self, joint: usize, from: i64) -> (f64, f64) {
        self.planners[joint].extent((from - self.base).max(0) as usize)
    }

    pub fn axis(&self) -> Stamp {
        self.axis
    }

    /// Time of a grid index.
    pub fn time_of(&self, index: i64) -> Stamp {
        self.axis.offset_nanos(index.saturating_mul(self.period))
    }

    /// Grid index of the last planned state.
    pub fn planned_to(&self) -> i64 {
        self.base + self.planners[0].planned() as i64 - 1
    }

    /// Plan time of the last planned state.
    pub fn plan_time(&self) -> Stamp {
        self.axis.offset_seconds(self.progress.at(self.progress.planned() - 1).p)
    }

    /// Planned position of a joint at a time, on the straight line between grid states.
    pub fn position_at(&self, joint: usize, at: Stamp) -> f64 {
        let place = (at.seconds_since(self.axis) / self.dt - self.base as f64).max(0.0);
        let (k, part) = (place.floor() as usize, place.fract());
        let (a, b) = (self.planners[joint].at(k).p, self.planners[joint].at(k + 1).p);
        a + (b - a) * part
    }

    /// Grid index from which on nothing moves.
    pub fn rests_from(&self) -> i64 {
        self.base + self.planners.iter().map(JointPlanner::rests_from).max().unwrap_or(0) as i64
    }

    /// Grid index of the last state, at rest, behind the plan.
    pub fn ends_at(&self) -> i64 {
        self.base + self.planners.iter().map(JointPlanner::len_to_rest).max().unwrap_or(0) as i64 - 1
    }

    /// Forgets states before a grid index; a few at a time, so that it costs little.
    pub fn forget_before(&mut self, index: i64) {
        const AT_ONCE: i64 = 32;
        let old = (index - self.base).min(self.planners[0].planned() as i64 - 1);
        if old >= AT_ONCE {
            self.planners.iter_mut().for_each(|p| p.forget(old as usize));
            self.progress.forget(old as usize);
            self.base += old;
        }
    }

    /// Makes what is planned up to a grid index final; the rest of the plan is the way out from there. Where the plan is shorter,
    /// its way out is followed.
    pub fn keep(&mut self, index: i64) {
        let count = (index - self.base + 1).max(1) as usize;
        self.planners.iter_mut().for_each(|p| p.keep(count));
        self.progress.keep(count);
    }

    /// To be called first of all in a tick, with the grid index up to which what was sent is final by now. Where the plan ends before it,
    /// whoever follows it was left without us for so long that the end of what was sent holds, which may be the parting stop.
    pub fn left_alone_until(&mut self, index: i64) {
        if self.parted && self.planned_to() < index {
            self.planners.iter_mut().for_each(JointPlanner::adopt_parting);
            self.report.stops_on_path = false;
            self.parted = false;
        }
    }

    /// Readies the plan for being sent: with the way out as its end or, where that is quicker and as safe, with each joint's own quickest
    /// stop. While we live the way out is taken, which stays on the path; who is left without us has to stop soon.
    pub fn part(&mut self) {
        self.planners.iter_mut().for_each(JointPlanner::part);
        let own = self.planners.iter().map(JointPlanner::len_to_parting_rest).max().unwrap_or(0) as i64 - 1 + self.base;
        let last = self.planners[0].planned() - 1;
        self.parted = own < self.ends_at() && self.verify_from(last, JointPlanner::at_parting, own).is_ok();
    }

    /// State of a joint at a grid index, as it is sent.
    pub fn sent_state(&self, joint: usize, index: i64) -> State {
        let k = (index - self.base).max(0) as usize;
        if self.parted { self.planners[joint].at_parting(k) } else { self.planners[joint].at(k) }
    }

    /// Grid index of the last state, at rest, of what is sent.
    pub fn sent_to(&self) -> i64 {
        if !self.parted {
            return self.ends_at();
        }
        self.base + self.planners.iter().map(JointPlanner::len_to_parting_rest).max().unwrap_or(0) as i64 - 1
    }

    /// Goes back to what was sent last, where what was planned since was not: joint by joint, as their controllers have it. What follows is
    /// planned from there.
    pub fn go_back(&mut self, sent: &Sent) {
        let count = (sent.first() - self.base + 1).max(1) as usize;
        for (joint, planner) in self.planners.iter_mut().enumerate() {
            planner.go_back(count, sent.of(joint).get(1..).unwrap_or_default());
        }
        // Progress is the same up to what was final; from there on the joints find back to it.
        self.progress.keep(count);
        self.report.stops_on_path = false;
        self.parted = false;
    }

    /// Goes on along the way out up to a grid index.
    pub fn follow_way_out(&mut self, index: i64) {
        while self.planned_to() < index {
            self.planners.iter_mut().for_each(JointPlanner::follow_way_out);
            self.progress.follow_way_out();
        }
    }

    /// By how many nanoseconds plan time was behind the clock at a time.
    pub fn lag_at(&self, at: Stamp) -> i64 {
        let place = at.seconds_since(self.axis) / self.dt - self.base as f64;
        if place + self.base as f64 <= 0.0 {
            return 0;
        }
        let (k, part) = (place.max(0.0).floor() as usize, place.max(0.0).fract());
        let (a, b) = (self.progress.at(k).p, self.progress.at(k + 1).p);
        let on_grid = (self.base as f64 + k as f64 + part) * self.dt;
        (((on_grid - (a + (b - a) * part)) * 1.0e9).round() as i64).max(0)
    }

    /// Whether all joints that follow the path rest at the end of the plan. What is so slow that it comes to rest within a fraction of a
    /// milliradian counts: what is left of an error fades for ever, and a path that stands still would never begin anew.
    fn rests(&self) -> bool {
        const SLOW: (f64, f64) = (1.0e-3, 2.0e-2);
        self.planners.iter().all(|planner| {
            let state = planner.at(planner.planned() - 1);
            planner.kind() == JointKind::Gripper || (state.v.abs() <= SLOW.0 && state.a.abs() <= SLOW.1)
        })
    }

    /// Puts the waiting chunk in use from the end of the plan on, to be gone on with at `rate` at most. False when it is not taken.
    pub fn take_over(&mut self, scheduler: &mut Scheduler, rate: f64) -> bool {
        let rests = self.rests();
        for joint in 0..self.planners.len() {
            self.followed[joint] = self.followed(joint, scheduler, rests);
        }
        let at = self.plan_time();
        let followed = std::mem::take(&mut self.followed);
        let taken = scheduler.take_over_late(at, |observed| self.lag_at(observed), |joint| followed[joint]);
        self.followed = followed;
        if taken {
            self.path_changed(scheduler, rate, rests);
        }
        taken
    }

    /// The state at the end of the plan as a new path has to begin: in plan time, so that path and progress together give it. At rest
    /// the path begins with rest, at whatever rate.
    fn followed(&self, joint: usize, scheduler: &Scheduler, rests: bool) -> Reference {
        let planner = &self.planners[joint];
        let state = planner.at(planner.planned() - 1);
        let s = self.progress.at(self.progress.planned() - 1);
        let old = scheduler.of_joint(joint, self.plan_time()).filter(|_| !rests);
        let Some(old) = old else {
            return Reference { position: state.p, velocity: state.v, acceleration: state.a };
        };
        let now = asked(old, &s);
        let rate = s.v.max(SLOWEST);
        Reference {
            position: state.p,
            velocity: old.velocity + (state.v - now.velocity) / rate,
            acceleration: old.acceleration + (state.a - now.acceleration) / (rate * rate),
        }
    }

    /// The path has changed: it begins at the end of the plan. `rate` is what to go on with at most.
    fn path_changed(&mut self, scheduler: &mut Scheduler, rate: f64, rests: bool) {
        /// Rates nearer than this to what is wanted are left as they are.
        const NEAR: f64 = 0.02;
        if let Some(tool) = &mut self.tool {
            tool.last = None;
        }
        let rate = rate.min(self.trust);
        let old = self.progress.at(self.progress.planned() - 1);
        if rests {
            // From rest any rate will do: the highest from which the new path can be braked on.
            let mut rate = rate;
            while !self.begin_at(scheduler, rate) {
                rate = if rate > 0.1 { 0.5 * rate } else { 0.0 };
            }
            return;
        }
        // A path that begins with what the joints do now may be gone on with at the full rate, where the old one had to be slow. (How
        // fast a path is run through is free where it begins.)
        if old.v + NEAR < rate {
            let at = self.plan_time();
            for rate in [rate, 0.5 * (rate + old.v)].into_iter().filter(|rate| *rate > SLOWEST) {
                let planners = &self.planners;
                scheduler.blend_from(at, |joint| {
                    let state = planners[joint].at(planners[joint].planned() - 1);
                    let (velocity, acceleration) = (state.v / rate, state.a / (rate * rate));
                    Reference { position: state.p, velocity, acceleration }
                });
                if self.begin_at(scheduler, rate) {
                    return;
                }
            }
            scheduler.blend_from(at, |joint| self.followed[joint]);
            self.progress.set_last(old);
        }
        let mut path = OnPath { scheduler, axis: self.axis, tool: self.tool.as_mut() };
        self.progress.brake_on(&mut path, true);
    }

    /// Sets the rate at the end of the plan, and says whether the path can be braked on from there. In motion this is one of several tries: a
    /// brake that waits is then not looked for.
    fn begin_at(&mut self, scheduler: &Scheduler, rate: f64) -> bool {
        self.progress.set_last(State { v: rate, a: 0.0, ..self.progress.at(self.progress.planned() - 1) });
        if let Some(tool) = &mut self.tool {
            tool.last = None;
        }
        let rests = self.rests();
        let mut path = OnPath { scheduler, axis: self.axis, tool: self.tool.as_mut() };
        self.progress.brake_on(&mut path, rests)
    }

    /// Plans up to a grid index along the path, at most at `rate`; `why` says what keeps that below 1. What the space does not allow
    /// is not planned: then the verified way out is followed.
    pub fn follow(&mut self, index: i64, scheduler: &Scheduler, rate: f64, why: Option<PathLimit>) {
        if self.planned_to() >= index {
            return;
        }
        self.checkpoint();
        let verified = self.planners[0].planned() - 1;
        let waits = ((WAITS.1 - self.deviation(scheduler)) / (WAITS.1 - WAITS.0)).clamp(0.0, 1.0);
        let trust = self.trust.max(CREEP);
        let (wanted, why) = [(waits, Some(PathLimit::Rejoining)), (trust, Some(PathLimit::Space))]
            .into_iter()
            .fold((rate, why), |least, other| if other.0 < least.0 { other } else { least });
        self.progress.begin();
        while self.planned_to() < index {
            let mut path = OnPath { scheduler, axis: self.axis, tool: self.tool.as_mut() };
            let from = self.progress.at(self.progress.planned() - 1);
            let planners = &self.planners;
            self.progress.step(&mut path, wanted, why, |joint| planners[joint].at(planners[joint].planned() - 1).a);
            let to = self.progress.at(self.progress.planned() - 1);
            let dt = self.dt;
            let (begin, end) = (path.moment(from.p), path.moment(to.p));
            for (joint, planner) in self.planners.iter_mut().enumerate() {
                let path = &path;
                planner.follow(|t| {
                    if t <= 0.0 {
                        asked(path.joint(joint, &begin), &from)
                    } else if t <= dt {
                        asked(path.joint(joint, &end), &to)
                    } else {
                        let on = State { p: to.p + (t - dt) * to.v, v: to.v, a: 0.0 };
                        asked(path.joint(joint, &path.moment(on.p)), &on)
                    }
                });
            }
        }
        self.report.stops_on_path = self.stop_along(scheduler);
        match self.verify(verified) {
            Ok(clearance) => {
                self.report.clearance = clearance;
                self.report.refused = None;
                self.trust = (self.trust + self.dt / TRUST).min(1.0);
            }
            Err(intrusion) => {
                self.report.refused = Some(intrusion);
                self.rollback();
                self.trust = (0.5 * self.progress.at(self.progress.planned() - 1).v).min(self.trust);
                if self.rests() {
                    // Nothing moves: the path must not run away from the joints.
                    self.progress.set_last(State::rest(self.progress.at(self.progress.planned() - 1).p));
                }
                self.follow_way_out(index);
            }
        }
        let end = self.progress.at(self.progress.planned() - 1);
        self.report.rate = end.v;
        self.report.limited =
            if self.report.refused.is_some() { Some(PathLimit::Space) } else { self.progress.limited() };
        self.report.lag_s = (self.planned_to() as f64 * self.dt - end.p).max(0.0);
        self.report.deviation = self.deviation(scheduler);
    }

    /// Plans a stop from the end of the plan: along the path; where that cannot be, each joint for itself; where the space does not
    /// allow that either, the way out stays what it was.
    pub fn stop(&mut self, scheduler: &Scheduler) {
        self.checkpoint();
        let verified = self.planners[0].planned() - 1;
        let mut path = OnPath { scheduler, axis: self.axis, tool: self.tool.as_mut() };
        let on_path = self.progress.brake_on(&mut path, true) && self.stop_along(scheduler);
        let steps = (self.ends_at() - self.planned_to()) as usize;
        // What stops so much later that it is no stop any more gives way to each joint's own.
        let quickest: Option<usize> =
            self.planners.iter_mut().map(JointPlanner::quickest_stop).try_fold(0, |most, n| Some(most.max(n?)));
        let in_time = quickest.is_none_or(|quickest| steps <= 2 * quickest + 5);
        if on_path && in_time && self.verify(verified).is_ok() {
            self.report.stops_on_path = true;
            return;
        }
        self.rollback();
        self.checkpoint();
        self.planners.iter_mut().for_each(JointPlanner::adopt_quickest_stop);
        self.report.stops_on_path = false;
        if self.verify(verified).is_err() {
            self.rollback();
        }
    }

    fn checkpoint(&mut self) {
        self.planners.iter_mut().for_each(JointPlanner::checkpoint);
        self.progress.checkpoint();
    }

    fn rollback(&mut self) {
        self.planners.iter_mut().for_each(JointPlanner::rollback);
        self.progress.rollback();
    }

    /// Largest distance of a joint from the path at the end of the plan.
    fn deviation(&self, scheduler: &Scheduler) -> f64 {
        let s = self.progress.at(self.progress.planned() - 1);
        let at = scheduler.moment(self.axis.offset_seconds(s.p));
        let mut worst = 0.0_f64;
        for (joint, planner) in self.planners.iter().enumerate() {
            if planner.kind() == JointKind::Arm
                && let Some(wanted) = scheduler.of_joint_at(joint, &at)
            {
                let limits = planner.limits();
                let wanted = wanted.position.clamp(limits.lower, limits.upper);
                worst = worst.max((planner.at(planner.planned() - 1).p - wanted).abs());
            }
        }
        worst
    }

    /// Replaces the ways out of the arm's joints by a stop along the path, if that keeps the limits of all of them.
    fn stop_along(&mut self, scheduler: &Scheduler) -> bool {
        let last = self.progress.planned() - 1;
        let steps = self.progress.braking_steps();
        self.stop_at.clear();
        for k in 0..=steps {
            let s = self.progress.at(last + k);
            self.stop_at.push((s, scheduler.moment(self.axis.offset_seconds(s.p))));
        }
        let stop_at = &self.stop_at;
        let arm = |p: &JointPlanner| p.kind() == JointKind::Arm;
        for (joint, planner) in self.planners.iter_mut().enumerate().filter(|(_, p)| arm(p)) {
            let found = planner.build_stop_along(steps, |k| {
                let (s, moment) = &stop_at[k];
                asked(scheduler.of_joint_at(joint, moment).unwrap_or_default(), s)
            });
            if !found {
                return false;
            }
        }
        self.planners.iter_mut().filter(|p| arm(p)).for_each(JointPlanner::adopt_stop);
        true
    }

    /// Shows the space everything that comes after a state (counted from the first that is kept) up to rest.
    fn verify(&mut self, from: usize) -> Result<Option<f64>, Intrusion> {
        self.verify_from(from, JointPlanner::at, self.ends_at())
    }

    /// As [`Self::verify`], with the states that `at` tells, up to a grid index.
    fn verify_from(
        &mut self,
        from: usize,
        state: impl Fn(&JointPlanner, usize) -> State,
        end: i64,
    ) -> Result<Option<f64>, Intrusion> {
        let Some(space) = &mut self.space else { return Ok(None) };
        let end = (end - self.base) as usize + 1;
        for (q, planner) in self.q.iter_mut().zip(&self.planners) {
            *q = state(planner, from).p;
        }
        space.resume(&self.q);
        let mut least = f64::INFINITY;
        let mut at = from;
        while at + 1 < end {
            // The same states of the grid wherever it begins: what was shown once is not judged by others the next time.
            let beyond = (self.base as usize + at) % self.stride;
            let to = (at + self.stride - beyond).min(end - 1);
            let seconds = (to - at) as f64 * self.dt;
            for (joint, planner) in self.planners.iter().enumerate() {
                let (mut speed, mut acceleration) = (0.0_f64, 0.0_f64);
                let mut s = state(planner, at);
                for k in at..to {
                    let e = state(planner, k + 1);
                    speed = speed.max(top_speed(&s, &e, self.dt));
                    acceleration = acceleration.max(match planner.kind() {
                        JointKind::Arm => s.a.abs().max(e.a.abs()),
                        JointKind::Gripper => (e.v - s.v).abs() / self.dt,
                    });
                    s = e;
                }
                self.q[joint] = s.p;
                self.travel[joint] = speed * seconds;
                // The farthest that a curve with this second derivative gets from its chord.
                self.off[joint] = acceleration * seconds * seconds / 8.0;
            }
            let step = Step { seconds, travel: &self.travel, deviation: &self.off };
            least = least.min(space.advance(&self.q, &step)?);
            at = to;
        }
        Ok(Some(least))
    }
}

/// Highest speed of a joint within a step of constant jerk.
fn top_speed(s: &State, e: &State, dt: f64) -> f64 {
    let ends = s.v.abs().max(e.v.abs());
    if s.a * e.a >= 0.0 {
        return ends;
    }
    // The velocity turns where the acceleration crosses zero.
    ends.max((s.v + 0.5 * s.a * (s.a / (s.a - e.a)) * dt).abs())
}
