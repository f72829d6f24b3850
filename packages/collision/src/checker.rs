//! Clearance at a configuration and along a motion.

use crate::distance::Gap;
use crate::model::{CollisionModel, CollisionOptions};
use crate::sweep::{Frame, Motion, Piece};
use nalgebra::{Isometry3, Vector3};

/// The smallest distance among all pairs, or a lower bound of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clearance {
    /// Metres; negative inside; infinite where there is no pair.
    pub distance: f64,
    /// Which pair: see [`CollisionModel::pair_names`].
    pub pair: usize,
}

/// A pair that may come closer than it must.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TooClose {
    /// Which pair: see [`CollisionModel::pair_names`].
    pub pair: usize,
    /// The lower bound of its distance that was found, metres; negative infinity for input that is not finite.
    pub clearance: f64,
    /// Where in the step, from 0 to 1.
    pub at: f64,
}

/// Two that touch or penetrate.
#[derive(Debug, Clone, PartialEq)]
pub struct Touching {
    /// A link, obstacle or held object.
    pub a: String,
    /// The other one.
    pub b: String,
    /// How deep they are in each other, metres: a lower bound for bodies that are not boxes or capsules.
    pub depth: f64,
}

/// What a distance that did not change may differ by from one configuration to the next, metres: rounding, and the tolerance of the iterative
/// distances. It is added nowhere: see [`Checker::resume`].
const ROUNDING: f64 = 1e-6;
const NOWHERE: TooClose = TooClose { pair: 0, clearance: f64::NEG_INFINITY, at: 0.0 };
/// A piece is never shorter than 2^-12 of its step.
const DEEPEST: usize = 12;

/// What is known of a pair's distance at one configuration.
#[derive(Debug, Clone, Copy)]
struct Near {
    /// The distance, or a lower bound.
    gap: Gap,
    exact: bool,
}

/// How far apart a pair is at least, without looking: `distance`, less all the way of its bodies since the sweep began.
#[derive(Debug, Clone, Copy)]
struct Far {
    distance: f64,
    /// Whether it was not looked at in the last step, so that nothing else is known.
    skipped: bool,
}

/// As [`Far`], of a run of pairs: `distance` is the least of theirs.
#[derive(Debug, Clone, Copy)]
struct FarRun {
    distance: f64,
    /// Whether none of them was looked at in the last step. What its pairs say of themselves is older then.
    skipped: bool,
}

/// A pair whose distance is not certain within a piece of the step.
#[derive(Debug, Clone, Copy)]
struct Open {
    pair: usize,
    start: Gap,
    end: Gap,
    middle: Gap,
}

/// What a pair has to keep, metres.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Limit {
    /// At the configurations that are shown.
    shown: f64,
    /// At every moment.
    always: f64,
}

/// What is remembered of a pair from one sweep to the next.
#[derive(Debug, Clone, Copy)]
struct Floor {
    /// What it may not come closer than at any configuration: at most d_min and the slack. Not a number: it was never measured.
    shown: f64,
    /// It was seen so far away that it has to keep the same as all others.
    away: bool,
}

const UNKNOWN: Floor = Floor { shown: f64::NAN, away: false };

/// Scratch space of one thread, and what is remembered from one configuration of a sweep to the next. Calls do not allocate, except the first after
/// a change of the model ([`Checker::fit`] does that beforehand).
///
/// Every result is a function of the calls before it on this checker, to the bit; [`Checker::clearance`] is one of its arguments alone.
#[derive(Debug, Clone)]
pub struct Checker {
    revision: u64,
    placing: u64,
    /// The last configuration, the next, then one for each depth of halving.
    frames: Vec<Frame>,
    near: Vec<Near>,
    next: Vec<Near>,
    far: Vec<Far>,
    /// By body, metres: upper bounds of the ways since the sweep began, and the same a step earlier.
    ways: Vec<f64>,
    ways_before: Vec<f64>,
    /// By run of pairs, and by owner of bodies: the longest of the ways.
    far_runs: Vec<FarRun>,
    owner_ways: Vec<f64>,
    motion: Motion,
    /// What each pair must keep in this sweep.
    limits: Vec<Limit>,
    /// Outlives the sweep.
    floors: Vec<Floor>,
    /// Pairs in this sweep that may be closer than d_min.
    leaving: usize,
    /// The pair that was closest last; looked at first, it spares work on others.
    closest: usize,
    open: Vec<Vec<Open>>,
    splits: usize,
    begun: bool,
    /// Other joints have moved since a sweep began last.
    moved: bool,
}

impl Checker {
    /// Room for one thread's checks of the model.
    pub fn new(model: &CollisionModel) -> Self {
        let mut this = Self {
            revision: 0,
            placing: 0,
            frames: Vec::new(),
            near: Vec::new(),
            next: Vec::new(),
            far: Vec::new(),
            ways: Vec::new(),
            ways_before: Vec::new(),
            far_runs: Vec::new(),
            owner_ways: Vec::new(),
            motion: Motion::default(),
            limits: Vec::new(),
            floors: Vec::new(),
            leaving: 0,
            closest: 0,
            open: Vec::new(),
            splits: 0,
            begun: false,
            moved: false,
        };
        this.fit(model);
        this
    }

    /// Makes room for a model that has changed (does nothing otherwise). What was remembered is forgotten: a sweep has to begin anew. Where
    /// only other joints have moved ([`CollisionModel::place_others`]), a sweep has to begin anew as well, but what each pair has to keep is
    /// remembered, and nothing is allocated.
    pub fn fit(&mut self, model: &CollisionModel) {
        if self.placing == model.placing {
            return;
        }
        self.placing = model.placing;
        if self.revision == model.revision {
            let carried = &model.standing[..model.carried];
            for frame in &mut self.frames {
                frame.placed[model.moving..][..model.carried].copy_from_slice(carried);
            }
            (self.begun, self.moved) = (false, true);
            return;
        }
        let pairs = model.pairs();
        let unknown = Near { gap: Gap { distance: f64::NEG_INFINITY, normal: Vector3::z() }, exact: false };
        *self = Self {
            revision: model.revision,
            placing: model.placing,
            frames: vec![Frame::new(model); DEEPEST + 2],
            near: vec![unknown; pairs],
            next: vec![unknown; pairs],
            far: vec![Far { distance: f64::NEG_INFINITY, skipped: false }; pairs],
            ways: vec![0.0; model.bodies.len()],
            ways_before: vec![0.0; model.bodies.len()],
            far_runs: vec![FarRun { distance: f64::NEG_INFINITY, skipped: false }; model.runs.len()],
            owner_ways: vec![0.0; model.owners()],
            motion: Motion::new(model),
            limits: vec![usual(model); pairs],
            floors: vec![UNKNOWN; pairs],
            leaving: 0,
            closest: 0,
            open: (0..=DEEPEST).map(|_| Vec::with_capacity(pairs)).collect(),
            splits: 0,
            begun: false,
            moved: false,
        };
    }

    /// The smallest distance of all pairs at a configuration. A number in `q` that is not finite gives negative infinity. Ends a sweep.
    ///
    /// # Panics
    /// When `q` has another length than the model's joints.
    pub fn clearance(&mut self, model: &CollisionModel, q: &[f64]) -> Clearance {
        self.fit(model);
        self.begun = false;
        if !q.iter().all(|v| v.is_finite()) {
            return Clearance { distance: f64::NEG_INFINITY, pair: 0 };
        }
        self.survey(model, q, f64::NEG_INFINITY)
    }

    /// What touches or penetrates at a configuration, as [`Checker::touching`]. Ends a sweep. Allocates.
    ///
    /// # Panics
    /// When `q` has another length than the model's joints.
    pub fn contacts(&mut self, model: &CollisionModel, q: &[f64]) -> Vec<Touching> {
        self.fit(model);
        self.begun = false;
        self.survey(model, q, 0.0);
        self.touching(model)
    }

    /// What touched or penetrated at the configuration of the last [`Checker::clearance`] or [`Checker::begin`], deepest first: each two links, obstacles
    /// or held objects once. (After `clearance` only the deepest is sure to be there; after `begin` all are.) Allocates.
    pub fn touching(&self, model: &CollisionModel) -> Vec<Touching> {
        let mut found: Vec<Touching> = Vec::new();
        for (i, near) in self.near.iter().enumerate().filter(|(_, near)| near.exact && near.gap.distance <= 0.0) {
            let (depth, (a, b)) = (-near.gap.distance, model.pair_names(i));
            match found.iter_mut().find(|known| known.a == a && known.b == b) {
                Some(known) => known.depth = known.depth.max(depth),
                None => found.push(Touching { a: a.to_owned(), b: b.to_owned(), depth }),
            }
        }
        found.sort_by(|one, other| other.depth.total_cmp(&one.depth));
        found
    }

    /// The configuration of the last [`Checker::clearance`], [`Checker::begin`], or of the end of the last [`Checker::advance`] that did not fail.
    pub fn configuration(&self) -> &[f64] {
        &self.frames[0].q
    }

    /// Pose of a link, by its place in [`efm_robot::RobotModel::links`], in the root link's frame, at the last configuration: that of
    /// [`Checker::clearance`], [`Checker::begin`], or the end of the last [`Checker::advance`] that did not fail.
    ///
    /// # Panics
    /// When there is no such link.
    pub fn link_pose(&self, link_index: usize) -> &Isometry3<f64> {
        &self.frames[0].poses[link_index]
    }

    /// Places everything and finds the smallest distance; pairs closer than `certain` are known exactly afterwards.
    fn survey(&mut self, model: &CollisionModel, q: &[f64], certain: f64) -> Clearance {
        let frame = &mut self.frames[0];
        frame.q.copy_from_slice(q);
        frame.place(model);
        let mut best = Clearance { distance: f64::INFINITY, pair: 0 };
        for i in closest_first(self.closest, model.pairs.len()) {
            let pair = &model.pairs[i];
            let distance = model.at_least(pair, &frame.placed);
            if distance > best.distance && distance >= certain {
                let gap = Gap { distance, normal: Vector3::z() };
                self.near[i] = Near { gap, exact: false };
                continue;
            }
            let gap = model.gap(pair, &frame.placed);
            self.near[i] = Near { gap, exact: true };
            // Equal ones by their number, so that it does not matter which came first.
            if gap.distance < best.distance || gap.distance == best.distance && i < best.pair {
                best = Clearance { distance: gap.distance, pair: i };
            }
        }
        self.closest = best.pair;
        self.ways.fill(0.0);
        for (far, near) in self.far.iter_mut().zip(&self.near) {
            *far = Far { distance: near.gap.distance, skipped: false };
        }
        for (run, far) in model.runs.iter().zip(&mut self.far_runs) {
            *far = FarRun { distance: least(&self.far[run.pairs.clone()]), skipped: false };
        }
        best
    }

    /// Begins a sweep where the robot was found at rest, and gives the smallest distance there.
    ///
    /// In a sweep every pair keeps d_min at every moment. At the configurations that are shown it keeps the slack of the options on top, so that
    /// what comes to rest at its limit still has room to leave, and to move along it: the bound between two configurations is always below the
    /// truth, and needs some.
    ///
    /// A pair that is closer than that here may not come closer than here at the configurations that are shown, and between them by no more than
    /// the slack. Once it was seen beyond d_min and twice the slack, it has to keep the same as all others. Beginning again where a verified motion
    /// rests does not lower this: that is one of the configurations that were shown.
    ///
    /// # Errors
    /// A pair that touches or penetrates, or a number that is not finite.
    ///
    /// # Panics
    /// When `q` has another length than the model's joints.
    pub fn begin(&mut self, model: &CollisionModel, q: &[f64]) -> Result<Clearance, TooClose> {
        self.start(model, q, true)
    }

    /// Begins a sweep at a configuration on a motion that was verified, and gives the smallest distance there.
    ///
    /// What each pair has to keep is what [`Checker::begin`] found, however often sweeps are taken up, wherever on verified motions, in whatever order,
    /// and however they end: a distance that was verified is never the measure of what may be verified next. Only a pair that is closer here
    /// than every verified motion keeps it was moved by something else (an obstacle that has come), and is taken from here; so is every pair
    /// after a change of the model. A pair that was seen away, by a motion that was then given up on its way out, has back what it had. Where other
    /// joints have moved a pair apart it has to keep what it has now.
    ///
    /// # Errors
    /// As [`Checker::begin`].
    ///
    /// # Panics
    /// As [`Checker::begin`].
    pub fn resume(&mut self, model: &CollisionModel, q: &[f64]) -> Result<Clearance, TooClose> {
        self.start(model, q, false)
    }

    fn start(&mut self, model: &CollisionModel, q: &[f64], anew: bool) -> Result<Clearance, TooClose> {
        self.fit(model);
        self.begun = false;
        if !q.iter().all(|v| v.is_finite()) {
            return Err(NOWHERE);
        }
        let (usual, slack) = (usual(model), model.options.slack);
        let best = self.survey(model, q, usual.shown + slack);
        if !exceeds(best.distance, 0.0) {
            return Err(TooClose { pair: best.pair, clearance: best.distance, at: 0.0 });
        }
        (self.leaving, self.splits) = (0, 0);
        let moved = std::mem::take(&mut self.moved);
        for (((near, floor), limit), pair) in
            self.near.iter().zip(&mut self.floors).zip(&mut self.limits).zip(&model.pairs)
        {
            let distance = near.gap.distance;
            let here = Floor { shown: distance.min(usual.shown), away: false };
            // Within rounding of what it has to keep it keeps that, or a million beginnings would wear it down.
            let found_there = (floor.shown - ROUNDING..floor.shown).contains(&distance);
            if floor.shown.is_nan() || anew && !found_there {
                *floor = here;
            } else if moved && pair.others {
                // What another joint has brought out of the way counts from here on. (Only upwards: what it brings closer is below.)
                floor.shown = floor.shown.max(here.shown);
            }
            let kept = |floor: &Floor| distance >= floor.limit(usual, slack).always - ROUNDING;
            floor.away |= distance >= usual.shown + slack;
            if !kept(floor) {
                floor.away = false;
            }
            if !kept(floor) {
                *floor = here;
            }
            // Between two configurations that were shown it may be closer than at them, and a stop on the way to an obstacle that has come ends where
            // it ends: from there on, no closer.
            *limit = floor.limit(usual, slack);
            if distance < limit.shown - ROUNDING {
                limit.shown = distance + ROUNDING;
            }
            self.leaving += usize::from(limit.shown < usual.shown);
        }
        self.begun = true;
        Ok(best)
    }

    /// The motion from the last configuration to `q_next`: does every pair keep d_min all along (or what [`Checker::begin`] asks of it)? Gives
    /// the smallest lower bound of a distance during the motion.
    ///
    /// `travel[j]` is an upper bound of joint j's speed during the step times the step's duration, so at least |dq_j| (smaller values are raised
    /// to it). Nothing else is asked of the path: while no joint is faster than that, joint j is within (travel_j^2 - dq_j^2) / (2 travel_j) of
    /// the straight line at every moment, which is at most travel_j - |dq_j| and is taken off. Where more is known, use
    /// [`Checker::advance_within`].
    ///
    /// A step that is refused ends the sweep, as does a change of the model.
    ///
    /// # Errors
    /// The pair that may come too close, a number that is not finite, or no sweep that has begun.
    ///
    /// # Panics
    /// When a slice has another length than the model's joints.
    pub fn advance(&mut self, model: &CollisionModel, q_next: &[f64], travel: &[f64]) -> Result<Clearance, TooClose> {
        self.step(model, q_next, travel, None)
    }

    /// As [`Checker::advance`], where the accelerations are bounded: by a_j during a step of h seconds, `deviation[j]` is a_j h^2 / 8. (At the share
    /// s of the step joint j is then within 4 s (1 - s) `deviation[j]` of q + s dq, which is what is used.)
    ///
    /// This is four times tighter than what `advance` can know of the same motion, and it lets a pair that stands at its limit leave.
    ///
    /// # Errors
    /// As [`Checker::advance`].
    ///
    /// # Panics
    /// As [`Checker::advance`].
    pub fn advance_within(
        &mut self,
        model: &CollisionModel,
        q_next: &[f64],
        travel: &[f64],
        deviation: &[f64],
    ) -> Result<Clearance, TooClose> {
        self.step(model, q_next, travel, Some(deviation))
    }

    fn step(
        &mut self,
        model: &CollisionModel,
        q_next: &[f64],
        travel: &[f64],
        deviation: Option<&[f64]>,
    ) -> Result<Clearance, TooClose> {
        self.fit(model);
        if !std::mem::take(&mut self.begun) {
            return Err(NOWHERE);
        }
        let [last, next, ..] = self.frames.as_mut_slice() else { return Err(NOWHERE) };
        next.q.copy_from_slice(q_next);
        if !self.motion.set(model, &last.q, q_next, travel, deviation) {
            return Err(NOWHERE);
        }
        next.place(model);
        let mut best = Clearance { distance: f64::INFINITY, pair: 0 };
        let mut nearest = best;
        self.open[0].clear();
        let usually = usual(model).shown;
        self.ways_before.copy_from_slice(&self.ways);
        // Without bounds every pair is looked at, and begins anew.
        let bounded = self.motion.bounded();
        if bounded {
            let ways = self.ways.iter_mut().take(model.moving).enumerate();
            ways.for_each(|(body, way)| *way += self.motion.whole_path(model, body));
        }
        // That of the whole run of pairs of two links is for when all of them have to keep the same.
        let runs = bounded && self.leaving == 0;
        if runs {
            self.owner_ways.fill(0.0);
            for (owner, way) in model.owners.iter().zip(&self.ways) {
                self.owner_ways[*owner] = self.owner_ways[*owner].max(*way);
            }
        }
        let first = self.closest;
        let first_run = model.runs.partition_point(|run| run.pairs.end <= first);
        if first_run < model.runs.len() {
            self.unskip(model, first_run);
            self.consider(model, first, bounded, usually, &mut best, &mut nearest)?;
        }
        for (number, run) in model.runs.iter().enumerate() {
            let way = self.owner_ways[run.owners.0] + self.owner_ways[run.owners.1];
            let far = self.far_runs[number].distance - way;
            if runs && number != first_run && far > usual(model).always.max(best.distance) && far >= usually {
                self.far_runs[number].skipped = true;
                continue;
            }
            self.unskip(model, number);
            for i in run.pairs.clone().filter(|i| *i != first) {
                self.consider(model, i, bounded, usually, &mut best, &mut nearest)?;
            }
            self.far_runs[number].distance = least(&self.far[run.pairs.clone()]);
        }
        self.closest = nearest.pair;
        if !self.open[0].is_empty() {
            self.halve(model, 0, (0, 0.0), (1, 1.0), &mut best)?;
        }
        self.frames.swap(0, 1);
        std::mem::swap(&mut self.near, &mut self.next);
        if self.leaving > 0 {
            self.let_go(usual(model), model.options.slack);
        }
        self.begun = true;
        Ok(best)
    }

    /// A run of pairs that was passed over is looked at again: nothing else is known of its pairs.
    fn unskip(&mut self, model: &CollisionModel, run: usize) {
        if std::mem::take(&mut self.far_runs[run].skipped) {
            self.far[model.runs[run].pairs.clone()].iter_mut().for_each(|far| far.skipped = true);
        }
    }

    /// The cheapest look at a pair: it was so far apart that, whatever its bodies have moved since, it is neither too close nor the closest now.
    /// Otherwise a better one. (A pair that leaves has to be known better.)
    fn consider(
        &mut self,
        model: &CollisionModel,
        i: usize,
        bounded: bool,
        usually: f64,
        best: &mut Clearance,
        nearest: &mut Clearance,
    ) -> Result<(), TooClose> {
        let (limit, pair) = (self.limits[i], &model.pairs[i]);
        let far = self.far[i].distance - (self.ways[pair.a] + self.ways[pair.b]);
        if bounded && far > limit.always.max(best.distance) && far >= limit.shown && limit.shown >= usually {
            self.far[i].skipped = true;
            return Ok(());
        }
        self.look_at(model, i, best, nearest)
    }

    /// Looks at one pair in the step from the first frame to the second: from cheap to dear, until it is certain that it is neither too close nor
    /// the closest.
    fn look_at(
        &mut self,
        model: &CollisionModel,
        i: usize,
        best: &mut Clearance,
        nearest: &mut Clearance,
    ) -> Result<(), TooClose> {
        let (limit, pair) = (self.limits[i], &model.pairs[i]);
        let way_of = |ways: &[f64]| ways[pair.a] + ways[pair.b];
        let (way_before, way) = (way_of(&self.ways_before), way_of(&self.ways));
        let wanted = limit.always.max(best.distance);
        let (last, next) = (&self.frames[0], &self.frames[1]);
        let path = self.motion.path(model, pair);
        let before = &mut self.near[i];
        if self.far[i].skipped {
            let gap = Gap { distance: self.far[i].distance - way_before, normal: Vector3::z() };
            *before = Near { gap, exact: false };
        }
        let distance = model.at_least(pair, &next.placed);
        self.next[i] = Near { gap: Gap { distance, normal: Vector3::z() }, exact: false };
        self.far[i] = Far { distance: distance + way, skipped: false };
        if distance >= limit.shown && (before.gap.distance + distance - path) / 2.0 > wanted {
            return Ok(());
        }
        let after = model.gap(pair, &next.placed);
        self.next[i] = Near { gap: after, exact: true };
        self.far[i].distance = after.distance + way;
        if after.distance < nearest.distance {
            *nearest = Clearance { distance: after.distance, pair: i };
        }
        if !keeps(after.distance, limit.shown - ROUNDING) {
            return Err(TooClose { pair: i, clearance: after.distance, at: 1.0 });
        }
        if (before.gap.distance + after.distance - path) / 2.0 > wanted {
            return Ok(());
        }
        if !before.exact {
            *before = Near { gap: model.gap(pair, &last.placed), exact: true };
        }
        let before = before.gap;
        let mut bound = (before.distance + after.distance - path) / 2.0;
        if bound <= wanted {
            bound = bound.max(self.piece(model, (0, 0.0), (1, 1.0)).at_least(pair, &before, &after));
        }
        if !keeps(bound, limit.always) {
            self.open[0].push(Open { pair: i, start: before, end: after, middle: after });
        } else if bound < best.distance {
            *best = Clearance { distance: bound, pair: i };
        }
        Ok(())
    }

    /// Pairs that have left keep the same as all others in what follows of the sweep.
    fn let_go(&mut self, usual: Limit, slack: f64) {
        for (near, limit) in self.near.iter().zip(&mut self.limits) {
            if limit.shown < usual.shown && near.gap.distance >= usual.shown + slack {
                *limit = usual;
                self.leaving -= 1;
            }
        }
    }

    /// Looks at the middle of a piece of the step for the pairs in `open[depth]`, and on in its halves where needed. `start` and `end` are a frame
    /// and the place of it in the step.
    fn halve(
        &mut self,
        model: &CollisionModel,
        depth: usize,
        start: (usize, f64),
        end: (usize, f64),
        best: &mut Clearance,
    ) -> Result<(), TooClose> {
        let options = &model.options;
        let middle = (depth + 2, (start.1 + end.1) / 2.0);
        self.splits += 1;
        if depth >= DEEPEST || self.splits > options.max_splits {
            let open = &self.open[depth][0];
            let clearance = self.piece(model, start, end).at_least(&model.pairs[open.pair], &open.start, &open.end);
            return Err(TooClose { pair: open.pair, clearance, at: start.1 });
        }
        for j in 0..self.frames[0].q.len() {
            let (from, to) = (self.frames[0].q[j], self.frames[1].q[j]);
            self.frames[middle.0].q[j] = from + (to - from) * middle.1;
        }
        self.frames[middle.0].place(model);
        for half in [false, true] {
            let (from, to) = if half { (middle, end) } else { (start, middle) };
            let (above, below) = self.open.split_at_mut(depth + 1);
            below[0].clear();
            let frames = &self.frames;
            let piece = Piece {
                model,
                motion: &self.motion,
                start: &frames[from.0],
                end: &frames[to.0],
                start_exact: from.0 < 2,
                end_exact: to.0 < 2,
                share: to.1 - from.1,
            };
            for open in &mut above[depth] {
                let (pair, limit) = (&model.pairs[open.pair], self.limits[open.pair].always);
                if !half {
                    open.middle = model.gap(pair, &frames[middle.0].placed);
                    let certain = open.middle.distance - piece.deviation_at_end(pair);
                    if !keeps(certain, limit) {
                        return Err(TooClose { pair: open.pair, clearance: certain, at: middle.1 });
                    }
                }
                let (a, b) = if half { (open.middle, open.end) } else { (open.start, open.middle) };
                let bound = piece.at_least(pair, &a, &b);
                if keeps(bound, limit) {
                    if bound < best.distance {
                        *best = Clearance { distance: bound, pair: open.pair };
                    }
                    continue;
                }
                // What stands at its limit has the slack for room, so it is looked at more closely than that.
                let fine = options.resolution.min((options.slack / 4.0).max(options.resolution / 8.0));
                if !exceeds(a.distance.min(b.distance) - bound, fine) {
                    return Err(TooClose { pair: open.pair, clearance: bound, at: from.1 });
                }
                below[0].push(Open { pair: open.pair, start: a, end: b, middle: b });
            }
            if !below[0].is_empty() {
                self.halve(model, depth + 1, from, to, best)?;
            }
        }
        Ok(())
    }

    fn piece<'a>(&'a self, model: &'a CollisionModel, start: (usize, f64), end: (usize, f64)) -> Piece<'a> {
        Piece {
            model,
            motion: &self.motion,
            start: &self.frames[start.0],
            end: &self.frames[end.0],
            start_exact: start.0 < 2,
            end_exact: end.0 < 2,
            share: end.1 - start.1,
        }
    }
}

impl Floor {
    fn limit(&self, usual: Limit, slack: f64) -> Limit {
        if self.away || self.shown >= usual.shown {
            return usual;
        }
        Limit { shown: self.shown, always: (self.shown - slack).max(0.0) }
    }
}

/// What a pair that did not begin too close has to keep.
fn usual(model: &CollisionModel) -> Limit {
    let CollisionOptions { clearance, slack, .. } = model.options;
    Limit { shown: clearance + slack, always: clearance }
}

/// The least distance of some pairs.
fn least(far: &[Far]) -> f64 {
    far.iter().map(|far| far.distance).fold(f64::INFINITY, f64::min)
}

/// False for what is not a number, so that it is refused.
fn keeps(distance: f64, limit: f64) -> bool {
    distance >= limit
}

/// False for what is not a number.
fn exceeds(value: f64, limit: f64) -> bool {
    value > limit
}

/// All numbers below `count`, `first` before the others.
fn closest_first(first: usize, count: usize) -> impl Iterator<Item = usize> {
    std::iter::once(first).filter(move |i| *i < count).chain((0..count).filter(move |i| *i != first))
}
