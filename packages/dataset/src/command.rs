//! What a controller was told to do at a moment: the reference that a stream of joint trajectories stands for.
//!
//! By the rules of `joint_trajectory_controller`: a message replaces the one before it from its own start on, leads from what was commanded then
//! to its first point, and its last point is held. Between points the spline is of degree 5, 3 or 1, by what the points give.

use crate::align::{Missing, Rule};
use efm_core::{JointNames, Stamp, Trajectory, TrajectoryPoint};

/// Where a message of a command topic lies in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its stamp: from here on it is what is commanded.
    pub start: Stamp,
    /// Its place among the topic's messages in the bag.
    pub ordinal: u32,
    /// Its first point.
    pub first: Stamp,
    /// Its last point.
    pub last: Stamp,
}

/// What is commanded at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// The message.
    pub ordinal: u32,
    /// The one that it replaced, where the moment lies before its first point.
    pub before: Option<u32>,
}

/// The message that is in force at a moment. `spans` are in order. A message whose last point lies further back than the rule allows, or, where
/// that is limited, before `since`, is over.
///
/// # Errors
/// When there is none.
pub fn in_force(spans: &[Span], rule: &Rule, at: Stamp, since: Option<Stamp>) -> Result<InForce, Missing> {
    let after = spans.partition_point(|span| span.start <= at);
    let newest = after.checked_sub(1).ok_or(Missing::None)?;
    let span = spans[newest];
    if !rule.allows(at.nanos_since(span.last).max(0)) {
        return Err(Missing::TooFar);
    }
    if rule.within_s.is_finite() && since.is_some_and(|since| span.last < since) {
        return Err(Missing::None);
    }
    let before = (at < span.first).then(|| newest.checked_sub(1).map(|i| spans[i].ordinal)).flatten();
    Ok(InForce { ordinal: span.ordinal, before })
}

/// A message of a command topic, reduced to the joints of the data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    start: Stamp,
    points: Vec<TrajectoryPoint>,
}

impl Command {
    /// Picks joints out of a message; its stamp is `start` where it has none of its own.
    ///
    /// # Errors
    /// In words, when there are no points, a joint is missing, arrays have other lengths than the joints, a value is not finite, or times go back.
    pub fn new(message: &Trajectory, joints: &JointNames, start: Stamp) -> Result<Self, String> {
        let places = joints
            .places_in(&message.joint_names)
            .map_err(|joint| format!("joint '{joint}' is missing from the trajectory"))?;
        if message.points.is_empty() {
            return Err("the trajectory has no points".into());
        }
        let count = message.joint_names.len();
        let pick = |values: &[f64], what: &str, k: usize| -> Result<Vec<f64>, String> {
            if values.is_empty() {
                return Ok(Vec::new());
            }
            if values.len() != count {
                return Err(format!("point {k} has {} {what} for {count} joints", values.len()));
            }
            let picked: Vec<f64> = places.iter().map(|place| values[*place]).collect();
            if picked.iter().all(|value| value.is_finite()) {
                Ok(picked)
            } else {
                Err(format!("point {k} has {what} that are not finite numbers"))
            }
        };
        let mut points: Vec<TrajectoryPoint> = Vec::with_capacity(message.points.len());
        for (k, point) in message.points.iter().enumerate() {
            if point.positions.is_empty() {
                return Err(format!("point {k} has no positions"));
            }
            if points.last().is_some_and(|last| point.time_from_start < last.time_from_start) {
                return Err(format!("point {k} lies before the point before it"));
            }
            points.push(TrajectoryPoint {
                positions: pick(&point.positions, "positions", k)?,
                velocities: pick(&point.velocities, "velocities", k)?,
                accelerations: pick(&point.accelerations, "accelerations", k)?,
                effort: Vec::new(),
                time_from_start: point.time_from_start,
            });
        }
        Ok(Self { start, points })
    }

    /// Where it lies in time, as message `ordinal` of its topic.
    pub fn span(&self, ordinal: u32) -> Span {
        let at = |point: Option<&TrajectoryPoint>| self.start.offset_nanos(point.map_or(0, |p| p.time_from_start));
        Span { start: self.start, ordinal, first: at(self.points.first()), last: at(self.points.last()) }
    }

    /// Writes the commanded positions at a moment, one a joint. `before` is the message that this one replaced.
    pub fn sample(&self, at: Stamp, before: Option<&Command>, out: &mut [f64]) {
        let t = at.nanos_since(self.start);
        let next = self.points.partition_point(|point| point.time_from_start <= t);
        match (next.checked_sub(1).map(|i| &self.points[i]), self.points.get(next)) {
            (Some(from), Some(to)) => between(from, to, t, out),
            (Some(last), None) => out.copy_from_slice(&last.positions),
            (None, Some(first)) => match before {
                Some(before) => {
                    before.sample(self.start, None, out);
                    let share = (t as f64 / first.time_from_start as f64).clamp(0.0, 1.0);
                    for (value, goal) in out.iter_mut().zip(&first.positions) {
                        *value += share * (goal - *value);
                    }
                }
                None => out.copy_from_slice(&first.positions),
            },
            // There is always a point.
            (None, None) => {}
        }
    }
}

/// The controller's spline between two points; `t` counts from the trajectory's start, in nanoseconds.
fn between(from: &TrajectoryPoint, to: &TrajectoryPoint, t: i64, out: &mut [f64]) {
    let span = (to.time_from_start - from.time_from_start) as f64 * 1e-9;
    let t = (t - from.time_from_start) as f64 * 1e-9;
    let has = |a: &[f64], b: &[f64]| !a.is_empty() && !b.is_empty();
    let cubic = has(&from.velocities, &to.velocities);
    let quintic = cubic && has(&from.accelerations, &to.accelerations);
    for (j, value) in out.iter_mut().enumerate() {
        let p = from.positions[j];
        let dp = to.positions[j] - p;
        let c: [f64; 5] = if quintic {
            let (v0, v1, a0, a1) = (from.velocities[j], to.velocities[j], from.accelerations[j], to.accelerations[j]);
            // What is left of position, velocity and acceleration at the end.
            let x = (dp - (v0 + 0.5 * a0 * span) * span) / span.powi(3);
            let v = (v1 - v0 - a0 * span) / span.powi(2);
            let a = (a1 - a0) / span;
            [
                v0,
                0.5 * a0,
                10.0 * x - 4.0 * v + 0.5 * a,
                (-15.0 * x + 7.0 * v - a) / span,
                (6.0 * x - 3.0 * v + 0.5 * a) / span.powi(2),
            ]
        } else if cubic {
            let (v0, v1) = (from.velocities[j], to.velocities[j]);
            [v0, (3.0 * dp / span - 2.0 * v0 - v1) / span, (v0 + v1 - 2.0 * dp / span) / span.powi(2), 0.0, 0.0]
        } else {
            [dp / span, 0.0, 0.0, 0.0, 0.0]
        };
        *value = p + t * (c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * c[4]))));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Stamp {
        Stamp::from_nanos(ms * 1_000_000)
    }

    fn trajectory(points: &[(i64, f64)]) -> Trajectory {
        let points = points.iter().map(|(ms, position)| TrajectoryPoint {
            positions: vec![99.0, *position],
            time_from_start: ms * 1_000_000,
            ..Default::default()
        });
        Trajectory { joint_names: vec!["other".into(), "joint".into()], points: points.collect(), ..Default::default() }
    }

    fn command(start_ms: i64, points: &[(i64, f64)]) -> Command {
        Command::new(&trajectory(points), &JointNames::new(["joint"]).unwrap(), at(start_ms)).unwrap()
    }

    fn sampled(command: &Command, ms: i64, before: Option<&Command>) -> f64 {
        let mut out = [0.0];
        command.sample(at(ms), before, &mut out);
        out[0]
    }

    #[test]
    fn between_points_it_leads_from_one_to_the_other_and_holds_the_last() {
        let c = command(1000, &[(0, 1.0), (100, 2.0), (200, 0.0)]);
        let all: Vec<f64> = [1000, 1050, 1100, 1150, 1200, 5000].iter().map(|ms| sampled(&c, *ms, None)).collect();
        assert_eq!(all, [1.0, 1.5, 2.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn before_its_first_point_a_command_leads_there_from_what_was_commanded_before() {
        let before = command(0, &[(0, 1.0)]);
        let c = command(1000, &[(200, 3.0)]);
        assert_eq!(sampled(&c, 1050, Some(&before)), 1.5);
        assert_eq!(sampled(&c, 1000, Some(&before)), 1.0);
        assert_eq!(sampled(&c, 1000, None), 3.0);
    }

    #[test]
    fn a_message_is_in_force_from_its_start_until_the_next_or_until_it_is_too_old() {
        let spans = [command(0, &[(0, 1.0), (100, 1.0)]).span(4), command(1000, &[(200, 3.0)]).span(7)];
        let rule = Rule::hold(0.5);
        let found = |ms, since| in_force(&spans, &rule, at(ms), since);
        assert_eq!(found(600, None), Ok(InForce { ordinal: 4, before: None }));
        assert_eq!(found(601, None), Err(Missing::TooFar));
        assert_eq!(found(1100, None), Ok(InForce { ordinal: 7, before: Some(4) }));
        assert_eq!(found(1200, None), Ok(InForce { ordinal: 7, before: None }));
        assert_eq!(found(-1, None), Err(Missing::None));
        // It was over when the instruction came.
        assert_eq!(found(600, Some(at(101))), Err(Missing::None));
        assert_eq!(found(600, Some(at(100))), Ok(InForce { ordinal: 4, before: None }));
        let forever = Rule::hold(f64::INFINITY);
        assert_eq!(in_force(&spans, &forever, at(999), Some(at(900))), Ok(InForce { ordinal: 4, before: None }));
    }

    #[test]
    fn what_is_no_trajectory_of_the_joints_is_refused_in_words() {
        let joints = JointNames::new(["joint"]).unwrap();
        let refused = |change: fn(&mut Trajectory)| {
            let mut message = trajectory(&[(0, 1.0), (100, 2.0)]);
            change(&mut message);
            Command::new(&message, &joints, at(0)).unwrap_err()
        };
        assert!(refused(|m| m.joint_names[1] = "else".into()).contains("'joint' is missing"));
        assert!(refused(|m| m.points.clear()).contains("no points"));
        assert!(refused(|m| m.points[1].positions.truncate(1)).contains("point 1 has 1 positions for 2 joints"));
        assert!(refused(|m| m.points[1].velocities = vec![0.0; 3]).contains("3 velocities"));
        assert!(refused(|m| m.points[0].positions[1] = f64::NAN).contains("not finite"));
        assert!(refused(|m| m.points[1].time_from_start = -1).contains("before the point before it"));
    }

    proptest! {
        /// A polynomial of degree 5 is its own spline, whatever the segment.
        #[test]
        fn points_with_velocities_and_accelerations_give_back_the_motion_that_they_were_taken_from(
            c in proptest::array::uniform6(-1.0..1.0f64), t0 in 0.0..1.0f64, span in 0.05..1.0f64, share in 0.0..1.0f64,
        ) {
            let p = |t: f64| c.iter().rev().fold(0.0, |sum, c| sum * t + c);
            let v = |t: f64| (1..6).rev().fold(0.0, |sum, k| sum * t + k as f64 * c[k]);
            let a = |t: f64| (2..6).rev().fold(0.0, |sum, k| sum * t + (k * (k - 1)) as f64 * c[k]);
            let point = |t: f64| TrajectoryPoint {
                positions: vec![p(t)],
                velocities: vec![v(t)],
                accelerations: vec![a(t)],
                effort: vec![],
                time_from_start: (t * 1e9).round() as i64,
            };
            let message = Trajectory {
                joint_names: vec!["joint".into()], points: vec![point(t0), point(t0 + span)], ..Default::default()
            };
            let command = Command::new(&message, &JointNames::new(["joint"]).unwrap(), Stamp::ZERO).unwrap();
            let t = t0 + share * span;
            let mut out = [0.0];
            command.sample(Stamp::ZERO.offset_seconds(t), None, &mut out);
            prop_assert!((out[0] - p(t)).abs() < 1e-6, "{} is not {}", out[0], p(t));
        }
    }
}
