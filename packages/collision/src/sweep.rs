//! Lower bounds of a pair's distance during a motion between two configurations.
//!
//! Notation, for one pair in the frame of the link below which only the pair's own joints move: joint j turns (or slides) by at most T_j, and stays
//! within e_j of the straight line between the configurations (see [`crate::Checker::advance`]). r_j is the distance of the farthest point of
//! the body from axis j.
//!
//! * **Lever.** Joint j itself does not change r_j; the joints between it and the body change it by at most the path M_{>j} that they move the body
//!   along. Coming from both ends, r_j <= (r_j(start) + r_j(end) + M_{>j}) / 2 =: L_j all along, and M_j = M_{>j} + L_j T_j.
//! * **First order.** Two points whose paths have the lengths M_a and M_b come closer by at most that; from both ends,
//!   distance >= (d(start) + d(end) - M_a - M_b) / 2.
//! * **Second order.** Let n be the direction in which the bodies are apart at one end, and g0, g1 their separations along n at the two ends. Along
//!   the straight line between the configurations every point p has |d2p/ds2| <= C = sum_j L_j D_j (D_j + 2 sum_{i above j} D_i), D the
//!   joints' changes, i over turning joints, the first D_j only where j turns. So n.(p_b - p_a) lies above its chord minus s (1 - s) C / 2 for each
//!   pair of points, and the distance at s is at least (1 - s) g0 + s g1 - s (1 - s) (C_a + C_b) / 2, minus what the deviations e add:
//!   E = sum_j (L_j + E_{>j}) e_j, or 4 s (1 - s) of it where they are known to grow from both ends like that.

use crate::body::Placed;
use crate::distance::Gap;
use crate::model::{CollisionModel, Pair};
use nalgebra::Isometry3;

/// One configuration with everything in its place.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub q: Vec<f64>,
    pub poses: Vec<Isometry3<f64>>,
    pub placed: Vec<Placed>,
}

impl Frame {
    pub fn new(model: &CollisionModel) -> Self {
        let nowhere = Placed { centre: Default::default(), half: Default::default(), rotation: Default::default() };
        let mut placed = vec![nowhere; model.moving];
        placed.extend_from_slice(&model.standing);
        let poses = vec![Isometry3::identity(); model.tree.links()];
        Self { q: vec![0.0; model.joints().len()], poses, placed }
    }

    /// Puts everything in its place for `q`.
    pub fn place(&mut self, model: &CollisionModel) {
        model.tree.link_poses(&self.q, &mut self.poses);
        let mut link = usize::MAX;
        let (mut rotation, mut translation) = Default::default();
        for (body, placed) in model.bodies[..model.moving].iter().zip(&mut self.placed) {
            if body.link != link {
                link = body.link;
                rotation = self.poses[link].rotation.to_rotation_matrix().into_inner();
                translation = self.poses[link].translation.vector;
            }
            body.place(&rotation, &translation, placed);
        }
    }
}

/// How each axis moves in one step, radians or metres.
#[derive(Debug, Clone, Default)]
pub(crate) struct Motion {
    /// Upper bound of its speed times the step's duration.
    pub travel: Vec<f64>,
    /// Upper bound of its distance from the straight line at every moment.
    pub deviation: Vec<f64>,
    /// What it changes by.
    pub change: Vec<f64>,
    /// Whether the deviation at s is at most 4 s (1 - s) of `deviation`.
    pub bowed: bool,
    /// Whether sliding joints are within what the constant levers were made for.
    within: bool,
    /// By body, as the chains: first-order path bounds by constant levers of the first 0, 1, 2... axes.
    pub paths: Vec<f64>,
}

impl Motion {
    pub fn new(model: &CollisionModel) -> Self {
        let axes = vec![0.0; model.axes.axes.len()];
        let paths = vec![0.0; model.chains.len() + model.bodies.len()];
        Self { travel: axes.clone(), deviation: axes.clone(), change: axes, bowed: false, within: true, paths }
    }

    /// Fills in everything for the step from `last` to `next`. False where a number is not finite.
    pub fn set(
        &mut self,
        model: &CollisionModel,
        last: &[f64],
        next: &[f64],
        travel: &[f64],
        deviation: Option<&[f64]>,
    ) -> bool {
        let (mut finite, mut within) = (true, true);
        self.bowed = deviation.is_some();
        for (k, axis) in model.axes.axes.iter().enumerate() {
            let (j, gain) = (axis.place, axis.multiplier.abs());
            let change = gain * (next[j] - last[j]).abs();
            let travel = gain * travel[j];
            finite &= change.is_finite() && travel.is_finite();
            let travel = travel.max(change);
            self.change[k] = change;
            self.travel[k] = travel;
            self.deviation[k] = match deviation {
                Some(given) => {
                    finite &= given[j].is_finite() && given[j] >= 0.0;
                    gain * given[j]
                }
                // No faster than `travel` and at both ends on the line: farthest off when it goes at full speed and then waits or returns.
                None if travel > 0.0 => (travel * travel - change * change) / (2.0 * travel),
                None => 0.0,
            };
            if !axis.turns {
                let at = |q: f64| (axis.multiplier * q + axis.offset).abs();
                within &= at(last[j]).max(at(next[j])) + travel <= axis.extent;
            }
        }
        self.within = within;
        for body in 0..model.moving {
            let start = model.chain_starts[body];
            let chain = &model.chains[start..model.chain_starts[body + 1]];
            let paths = &mut self.paths[start + body..];
            let mut path = 0.0;
            for (link, sum) in chain.iter().zip(&mut paths[1..]) {
                // The constant levers hold while sliding joints are within their limits.
                path += if within { link.lever * self.travel[link.axis] } else { f64::INFINITY };
                *sum = path;
            }
        }
        finite
    }

    /// Upper bound of how far a body moves in the frame of the root link, by the constant levers.
    pub fn whole_path(&self, model: &CollisionModel, body: usize) -> f64 {
        self.paths[model.chain_starts[body + 1] + body]
    }

    /// Whether the constant levers hold, so that paths are finite.
    pub fn bounded(&self) -> bool {
        self.within
    }

    /// Upper bound of how far the bodies of a pair move relative to each other, by the constant levers.
    pub fn path(&self, model: &CollisionModel, pair: &Pair) -> f64 {
        self.paths[model.chain_starts[pair.a] + pair.a + pair.axes_a]
            + self.paths[model.chain_starts[pair.b] + pair.b + pair.axes_b]
    }
}

/// What the motion of one body adds up to: see the module.
#[derive(Debug, Clone, Copy, Default)]
struct Side {
    /// M.
    path: f64,
    /// Deviation at the start and at the end.
    start: f64,
    end: f64,
    /// E, deviation anywhere.
    anywhere: f64,
    /// C.
    bend: f64,
}

/// A piece of a step: from one placed configuration to another on the straight line of the step.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub model: &'a CollisionModel,
    pub motion: &'a Motion,
    pub start: &'a Frame,
    pub end: &'a Frame,
    /// Whether the true path goes through the configuration exactly, as it does through the ends of the step.
    pub start_exact: bool,
    pub end_exact: bool,
    /// Share of the step.
    pub share: f64,
}

impl Piece<'_> {
    fn side(&self, body: usize, axes: usize) -> Side {
        let (model, motion) = (self.model, self.motion);
        let mut side = Side::default();
        // Path of the body along the straight line, by the axes so far.
        let mut straight = 0.0;
        let first = model.chain_starts[body];
        for link in &model.chains[first..first + axes] {
            let axis = &model.axes.axes[link.axis];
            let (travel, change) = (motion.travel[link.axis] * self.share, motion.change[link.axis] * self.share);
            let deviation = motion.deviation[link.axis];
            let lever_in = |frame: &Frame| {
                let pose = &frame.poses[axis.child];
                let direction = pose.rotation * axis.direction;
                model.seen(body, &frame.placed).lever(&pose.translation.vector, &direction)
            };
            let lever = if axis.turns {
                let (start, end) = (lever_in(self.start) + side.start, lever_in(self.end) + side.end);
                let lever = (start + end + side.path) / 2.0;
                if !self.start_exact {
                    side.start += start * deviation;
                }
                if !self.end_exact {
                    side.end += end * deviation;
                }
                side.bend += (lever * change + 2.0 * straight) * change;
                lever
            } else {
                side.start += if self.start_exact { 0.0 } else { deviation };
                side.end += if self.end_exact { 0.0 } else { deviation };
                1.0
            };
            let further = if axis.turns { side.anywhere } else { 0.0 };
            side.anywhere += (lever + further) * deviation;
            straight += lever * change;
            side.path += lever * travel;
        }
        side
    }

    /// Lower bound of the pair's distance all along the piece, from its distance at both ends.
    pub fn at_least(&self, pair: &Pair, start: &Gap, end: &Gap) -> f64 {
        let (a, b) = (self.side(pair.a, pair.axes_a), self.side(pair.b, pair.axes_b));
        let lost = a.path + b.path + a.start + b.start + a.end + b.end;
        let first_order = (start.distance + end.distance - lost) / 2.0;
        // Along the direction at the closer end; where that end is free to choose, either would do.
        let (near, far, normal, there) = if start.distance <= end.distance {
            (self.start, self.end, start.normal, start.distance)
        } else {
            (self.end, self.start, end.normal, end.distance)
        };
        let normal = near.poses[pair.base].rotation.inverse_transform_vector(&normal);
        let normal = far.poses[pair.base].rotation * normal;
        let (one, other) = (self.model.seen(pair.a, &far.placed), self.model.seen(pair.b, &far.placed));
        let separation = -other.reach(&-normal) - one.reach(&normal);
        let (bend, off) = ((a.bend + b.bend) / 2.0, a.anywhere + b.anywhere);
        let bowed = self.motion.bowed && self.start_exact && self.end_exact;
        let second_order =
            if bowed { sagging(there, separation, bend + 4.0 * off) } else { sagging(there, separation, bend) - off };
        first_order.max(second_order)
    }

    /// Upper bound of what the deviation of the true path at the end of the piece changes the pair's distance by.
    pub fn deviation_at_end(&self, pair: &Pair) -> f64 {
        self.side(pair.a, pair.axes_a).end + self.side(pair.b, pair.axes_b).end
    }
}

/// The least value of (1 - s) a + s b - s (1 - s) c between 0 and 1.
fn sagging(a: f64, b: f64, c: f64) -> f64 {
    let (least, rise) = (a.min(b), (b - a).abs());
    if c > rise { least - (c - rise) * (c - rise) / (4.0 * c) } else { least }
}
