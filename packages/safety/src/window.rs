//! Windows of trajectory points, and the independent check that every one of them passes before it leaves.
//!
//! The check looks at nothing but the numbers of the message: positions and velocities at grid times. It rebuilds the cubic pieces
//! that a controller draws between them, and with them every velocity and acceleration on the way.

use crate::limits::Limits;
use efm_core::figure::Figure;
use efm_core::{JointLimits, JointNames, Stamp, Trajectory, TrajectoryPoint};

/// Relative tolerance of the check on velocities, accelerations and jerks.
pub(crate) const RELATIVE_TOLERANCE: f64 = 1.0e-6;
/// Tolerance of the check on positions, in radians or metres.
pub(crate) const POSITION_TOLERANCE: f64 = 1.0e-8;

/// Why a window may not leave. Each of these is a mistake in this package, not of its input.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Violation {
    /// Not a finite number.
    #[error("point {point} of joint '{joint}' is not a finite number")]
    NotFinite {
        /// Joint.
        joint: String,
        /// Point.
        point: usize,
    },
    /// A limit is exceeded.
    #[error("{quantity} of joint '{joint}' is {} near point {point}, beyond its limit of {limit}", Figure(*.value))]
    Limit {
        /// "position", "velocity", "acceleration" or "jerk".
        quantity: &'static str,
        /// Joint.
        joint: String,
        /// Point.
        point: usize,
        /// What it is.
        value: f64,
        /// What it may be.
        limit: f64,
    },
    /// It does not end at rest.
    #[error("the window does not end at rest: joint '{0}' still moves")]
    NotAtRest(String),
    /// It disagrees with the window before in the part that was committed.
    #[error("the window changes point {point} of joint '{joint}', which was committed")]
    Changed {
        /// Joint.
        joint: String,
        /// Point.
        point: usize,
    },
    /// It has fewer than two points.
    #[error("the window has {0} points")]
    TooShort(usize),
}

/// Points on their way to a controller, not yet checked.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub controller: String,
    pub joints: JointNames,
    /// For each joint of the controller, its place in the limits.
    pub places: Vec<usize>,
    /// For each joint of the controller, whether its jerk is limited.
    pub jerk_limited: Vec<bool>,
    pub stamp: Stamp,
    pub period: i64,
    pub committed: usize,
    /// Whether its controller got it, as far as is known: the next one of the motion has to agree with it.
    pub given: bool,
    /// Whether it is no part of the plan but rests where the robot stands, wherever that is.
    pub stands: bool,
    /// Row-major `[points x joints]`.
    pub positions: Vec<f64>,
    pub velocities: Vec<f64>,
}

impl Draft {
    pub fn len(&self) -> usize {
        self.positions.len() / self.joints.len()
    }

    pub fn clear(&mut self) {
        self.positions.clear();
        self.velocities.clear();
    }
}

/// A window of trajectory points for one controller that passed every check.
///
/// Positions and velocities of a controller's joints at evenly spaced times; the first at [`Self::stamp`], the last at rest. Only
/// this package makes it.
#[derive(Debug, Clone)]
pub struct VerifiedWindow(Draft);

impl VerifiedWindow {
    /// The place of a window before the first was checked. Never handed out.
    pub(crate) fn from_empty(draft: Draft) -> Self {
        Self(draft)
    }

    /// Name of the controller.
    pub fn controller(&self) -> &str {
        &self.0.controller
    }

    /// The controller's joints, in the order of the columns.
    pub fn joints(&self) -> &JointNames {
        &self.0.joints
    }

    /// Header stamp: the time of the first point.
    pub fn stamp(&self) -> Stamp {
        self.0.stamp
    }

    /// Number of points; at least two.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Nanoseconds after the stamp of a point.
    pub fn time_from_start(&self, point: usize) -> i64 {
        point as i64 * self.0.period
    }

    /// Number of points, from the first, that no later window changes.
    pub fn committed(&self) -> usize {
        self.0.committed
    }

    /// Positions of a point, radians or metres. Panics when there is no such point.
    pub fn positions(&self, point: usize) -> &[f64] {
        let n = self.0.joints.len();
        &self.0.positions[point * n..(point + 1) * n]
    }

    /// Velocities of a point, by second. Panics when there is no such point.
    pub fn velocities(&self, point: usize) -> &[f64] {
        let n = self.0.joints.len();
        &self.0.velocities[point * n..(point + 1) * n]
    }

    /// Writes the window into a message, whose buffers are used again.
    pub fn write_to(&self, message: &mut Trajectory) {
        message.stamp = self.stamp();
        message.frame_id.clear();
        if message.joint_names != self.0.joints.as_slice() {
            message.joint_names = self.0.joints.as_slice().to_vec();
        }
        message.points.resize_with(self.len(), TrajectoryPoint::default);
        for (k, point) in message.points.iter_mut().enumerate() {
            point.positions.clear();
            point.positions.extend_from_slice(self.positions(k));
            point.velocities.clear();
            point.velocities.extend_from_slice(self.velocities(k));
            point.accelerations.clear();
            point.effort.clear();
            point.time_from_start = self.time_from_start(k);
        }
    }

    /// The window as a message of its own.
    pub fn to_trajectory(&self) -> Trajectory {
        let mut message = Trajectory::default();
        self.write_to(&mut message);
        message
    }
}

/// Checks all drafts and, only if all pass, puts them in the place of the windows sent before (whose buffers the drafts get).
///
/// `limits` holds every joint; with `fresh` there is no earlier window on this time axis to agree with.
pub(crate) fn seal(
    drafts: &mut [Draft],
    sent: &mut [VerifiedWindow],
    limits: &Limits,
    fresh: bool,
) -> Result<(), Violation> {
    for (draft, before) in drafts.iter().zip(sent.iter()) {
        check(draft, limits)?;
        if !fresh && before.0.given && !draft.stands {
            check_overlap(draft, &before.0)?;
        }
    }
    for (draft, before) in drafts.iter_mut().zip(sent.iter_mut()) {
        std::mem::swap(draft, &mut before.0);
        before.0.given = true;
    }
    Ok(())
}

/// Takes windows back that did not leave: those before are again the last that were sent. `fresh`: there are none before.
pub(crate) fn unseal(drafts: &mut [Draft], sent: &mut [VerifiedWindow], fresh: bool) {
    for (draft, window) in drafts.iter_mut().zip(sent) {
        std::mem::swap(draft, &mut window.0);
        window.0.given &= !fresh;
    }
}

fn check(draft: &Draft, limits: &Limits) -> Result<(), Violation> {
    let (n, points) = (draft.joints.len(), draft.len());
    if points < 2 {
        return Err(Violation::TooShort(points));
    }
    let dt = draft.period as f64 * 1.0e-9;
    if draft.stands {
        return check_stands(draft);
    }
    for (joint, name) in draft.joints.iter().enumerate() {
        let limit = limits.of(draft.places[joint]);
        let mut before: Option<f64> = None;
        let at = |k: usize| (draft.positions[k * n + joint], draft.velocities[k * n + joint]);
        let finite = |k: usize| at(k).0.is_finite() && at(k).1.is_finite();
        if let Some(point) = (0..points).find(|k| !finite(*k)) {
            return Err(Violation::NotFinite { joint: name.to_owned(), point });
        }
        for point in 0..points - 1 {
            let piece = Piece::new(at(point), at(point + 1), dt);
            let exceeded =
                |(quantity, value, limit)| Violation::Limit { quantity, joint: name.to_owned(), point, value, limit };
            piece.check(&limit).map_err(exceeded)?;
            if draft.jerk_limited[joint] {
                piece.check_jerk(before, &limit).map_err(exceeded)?;
            }
            before = Some(piece.a1);
        }
        let end_a = before.unwrap_or(0.0);
        let at_rest = !draft.jerk_limited[joint] || end_a.abs() <= limit.acceleration * RELATIVE_TOLERANCE.sqrt();
        if at(points - 1).1 != 0.0 || !at_rest {
            return Err(Violation::NotAtRest(name.to_owned()));
        }
    }
    Ok(())
}

/// What rests where the robot stands has no limits to keep but this: it rests.
fn check_stands(draft: &Draft) -> Result<(), Violation> {
    let n = draft.joints.len();
    for (k, (position, velocity)) in draft.positions.iter().zip(&draft.velocities).enumerate() {
        let name = &draft.joints.as_slice()[k % n];
        if !position.is_finite() {
            return Err(Violation::NotFinite { joint: name.clone(), point: k / n });
        }
        if *velocity != 0.0 || *position != draft.positions[k % n] {
            return Err(Violation::NotAtRest(name.clone()));
        }
    }
    Ok(())
}

/// The cubic between two points.
struct Piece {
    p0: f64,
    v0: f64,
    p1: f64,
    v1: f64,
    a0: f64,
    a1: f64,
    dt: f64,
}

impl Piece {
    fn new((p0, v0): (f64, f64), (p1, v1): (f64, f64), dt: f64) -> Self {
        let mean = (p1 - p0) / dt;
        Self {
            p0,
            v0,
            p1,
            v1,
            a0: (6.0 * mean - 4.0 * v0 - 2.0 * v1) / dt,
            a1: (-6.0 * mean + 2.0 * v0 + 4.0 * v1) / dt,
            dt,
        }
    }

    fn check(&self, limit: &JointLimits) -> Result<(), (&'static str, f64, f64)> {
        // Positions: the ends and, where they are so near to the range's that it matters, places between them. A cubic goes no farther beyond its
        // ends than it would at the speeds that it has there.
        let jerk = (self.a1 - self.a0) / self.dt;
        let beyond = self.dt * (self.v0.abs() + self.v1.abs());
        let inside = self.p0.min(self.p1) - beyond >= limit.lower && self.p0.max(self.p1) + beyond <= limit.upper;
        for i in (0..=4).filter(|_| !inside) {
            let t = self.dt * f64::from(i) / 4.0;
            let p = match i {
                0 => self.p0,
                4 => self.p1,
                _ => self.p0 + t * (self.v0 + t * (0.5 * self.a0 + t * jerk / 6.0)),
            };
            if p < limit.lower - POSITION_TOLERANCE {
                return Err(("position", p, limit.lower));
            }
            if p > limit.upper + POSITION_TOLERANCE {
                return Err(("position", p, limit.upper));
            }
        }
        let mut peak = if self.v0.abs() > self.v1.abs() { self.v0 } else { self.v1 };
        if self.a0 * self.a1 < 0.0 {
            let turn = self.v0 + 0.5 * self.a0 * (self.a0 / (self.a0 - self.a1)) * self.dt;
            if turn.abs() > peak.abs() {
                peak = turn;
            }
        }
        if peak.abs() > limit.velocity * (1.0 + RELATIVE_TOLERANCE) {
            return Err(("velocity", peak, limit.velocity));
        }
        let peak = if self.a0.abs() > self.a1.abs() { self.a0 } else { self.a1 };
        // Rounding of positions around 1 weighs 6 / dt^2 in an acceleration.
        if self.exceeds(peak.abs(), limit.acceleration * (1.0 + RELATIVE_TOLERANCE), Self::rounding) {
            return Err(("acceleration", peak, limit.acceleration));
        }
        Ok(())
    }

    /// Whether a value is beyond a limit by more than rounding, which is dear and seldom needed.
    fn exceeds(&self, value: f64, limit: f64, rounding: impl Fn(&Self) -> f64) -> bool {
        value > limit && value > limit + rounding(self)
    }

    fn rounding(&self) -> f64 {
        32.0 * f64::EPSILON * (1.0 + self.p0.abs()) / (self.dt * self.dt)
    }

    /// Jerk within the piece, and no jump of the acceleration from the piece before.
    fn check_jerk(&self, before: Option<f64>, limit: &JointLimits) -> Result<(), (&'static str, f64, f64)> {
        let jerk = (self.a1 - self.a0) / self.dt;
        if self.exceeds(jerk.abs(), limit.jerk * (1.0 + RELATIVE_TOLERANCE), |p| 2.0 * p.rounding() / p.dt) {
            return Err(("jerk", jerk, limit.jerk));
        }
        let jump = before.map_or(0.0, |a| self.a0 - a);
        if self.exceeds(jump.abs(), limit.acceleration * RELATIVE_TOLERANCE, |p| 2.0 * p.rounding()) {
            return Err(("jerk", jump / self.dt, limit.jerk));
        }
        Ok(())
    }
}

/// What was committed stays, to the last bit.
fn check_overlap(draft: &Draft, before: &Draft) -> Result<(), Violation> {
    let n = draft.joints.len();
    let ahead = draft.stamp.nanos_since(before.stamp);
    let shift = (ahead / draft.period) as usize;
    if ahead < 0 || ahead % draft.period != 0 {
        return Err(Violation::Changed { joint: draft.joints.as_slice()[0].clone(), point: 0 });
    }
    // The earlier window ends at rest: beyond its end it says "stay".
    let last = before.len() - 1;
    for point in 0..draft.committed.min(draft.len()) {
        for joint in 0..n {
            let k = (point + shift).min(last) * n + joint;
            let same = draft.positions[point * n + joint] == before.positions[k]
                && draft.velocities[point * n + joint] == before.velocities[k];
            if !same {
                return Err(Violation::Changed { joint: draft.joints.as_slice()[joint].clone(), point });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::motion::{State, longest_stop, ramp_stop};

    const PERIOD: i64 = 10_000_000;
    const DT: f64 = 0.01;

    fn limits() -> Limits {
        let joints = JointNames::new(["a"]).unwrap();
        let a = JointLimits { lower: -1.0, upper: 1.0, velocity: 1.0, acceleration: 5.0, jerk: 100.0 };
        Limits::new(joints, &[a]).unwrap()
    }

    /// A start, ten steps at speed, a stop.
    fn draft() -> Draft {
        let mut states = vec![State::rest(0.1); 3];
        for a in [0.5, 1.0, 1.5, 1.5, 1.0, 0.5, 0.0].into_iter().chain([0.0; 10]) {
            let last = *states.last().unwrap();
            states.push(last.ramp_to(a, DT));
        }
        let mut tail = Vec::with_capacity(longest_stop(DT, &limits().of(0)));
        assert!(ramp_stop(states.last().unwrap(), DT, &limits().of(0), &mut tail));
        states.extend(tail);
        Draft {
            controller: "c".into(),
            joints: JointNames::new(["a"]).unwrap(),
            places: vec![0],
            jerk_limited: vec![true],
            stamp: Stamp::from_nanos(1000),
            period: PERIOD,
            committed: 7,
            given: true,
            stands: false,
            positions: states.iter().map(|s| s.p).collect(),
            velocities: states.iter().map(|s| s.v).collect(),
        }
    }

    fn verdict(change: impl Fn(&mut Draft)) -> Result<(), Violation> {
        let mut drafts = [draft()];
        change(&mut drafts[0]);
        let mut sent = [VerifiedWindow::from_empty(draft())];
        seal(&mut drafts, &mut sent, &limits(), true)
    }

    #[test]
    fn a_sound_window_passes_and_carries_what_was_drafted() {
        let mut drafts = [draft()];
        let mut sent = [VerifiedWindow::from_empty(Draft { positions: vec![], velocities: vec![], ..draft() })];
        seal(&mut drafts, &mut sent, &limits(), true).unwrap();
        let message = sent[0].to_trajectory();
        assert_eq!(message.points.len(), draft().len());
        assert_eq!(message.points[5].positions, [draft().positions[5]]);
        assert_eq!(message.points[5].time_from_start, 5 * PERIOD);
        assert!(message.points[5].accelerations.is_empty() && message.points[5].effort.is_empty());
        assert_eq!(message.stamp, Stamp::from_nanos(1000));
    }

    #[test]
    fn every_number_that_is_off_is_found() {
        let quantity = |v: Result<(), Violation>| match v {
            Err(Violation::Limit { quantity, .. }) => quantity,
            other => panic!("{other:?}"),
        };
        for bad in [f64::NAN, f64::INFINITY] {
            assert!(matches!(verdict(|d| d.positions[4] = bad), Err(Violation::NotFinite { point: 4, .. })));
            assert!(matches!(verdict(|d| d.velocities[4] = bad), Err(Violation::NotFinite { point: 4, .. })));
        }
        // A micrometre out of place is a jolt.
        assert_eq!(quantity(verdict(|d| d.positions[8] += 1e-6)), "jerk");
        assert_eq!(quantity(verdict(|d| d.positions[8] += 1e-3)), "acceleration");
        assert_eq!(quantity(verdict(|d| d.velocities[8] += 1e-4)), "jerk");
        assert_eq!(quantity(verdict(|d| d.velocities[8] = 1.1)), "velocity");
        assert_eq!(quantity(verdict(|d| d.positions.iter_mut().for_each(|p| *p += 0.9))), "position");
        // The same motion ten times as fast.
        assert_eq!(quantity(verdict(|d| d.period /= 10)), "acceleration");
        let cut = verdict(|d| {
            d.positions.truncate(12);
            d.velocities.truncate(12);
        });
        assert!(matches!(cut, Err(Violation::NotAtRest(_))), "{cut:?}");
        assert!(matches!(verdict(Draft::clear), Err(Violation::TooShort(0))));
    }

    #[test]
    fn a_window_that_changes_what_was_committed_is_found_and_replaces_nothing() {
        let shifted = |by: usize| {
            let mut d = draft();
            d.stamp = d.stamp.offset_nanos(by as i64 * PERIOD);
            d.positions.drain(..by);
            d.velocities.drain(..by);
            d
        };
        let mut sent = [VerifiedWindow::from_empty(draft())];
        seal(&mut [shifted(2)], &mut sent, &limits(), false).unwrap();
        // The whole motion a nanoradian further on.
        let mut moved = shifted(3);
        moved.positions.iter_mut().for_each(|p| *p += 1e-9);
        let found = seal(&mut [moved], &mut sent, &limits(), false);
        assert!(matches!(found, Err(Violation::Changed { point: 0, .. })), "{found:?}");
        // Off the grid, or back in time.
        let mut skewed = shifted(3);
        skewed.stamp = skewed.stamp.offset_nanos(1);
        assert!(matches!(seal(&mut [skewed], &mut sent, &limits(), false), Err(Violation::Changed { .. })));
        assert!(matches!(seal(&mut [shifted(1)], &mut sent, &limits(), false), Err(Violation::Changed { .. })));
        assert_eq!(sent[0].stamp(), shifted(2).stamp);
        seal(&mut [shifted(3)], &mut sent, &limits(), false).unwrap();
    }
}

#[cfg(test)]
mod edges;
