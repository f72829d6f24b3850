//! Two runs side by side, command by command.

use efm_core::Trajectory;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Messages that a recorder may miss, however short the recording is: two windows of two controllers.
pub const A_FEW: usize = 4;

/// Where two commands differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Controller, or `action_chunk`.
    pub what: String,
    /// Header stamp, ns.
    pub stamp: i64,
    /// Which point of it.
    pub point: usize,
    /// Which joint.
    pub joint: String,
    /// rad or m.
    pub recorded: f64,
    /// rad or m.
    pub again: f64,
}

/// How far a joint is off at most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Off {
    /// rad or m.
    pub by: f64,
    /// Of which command, ns.
    pub stamp: i64,
}

/// What comes of comparing messages by their stamps.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// Messages of the recording that this run can be held against.
    pub commands: usize,
    /// Of these: the same to the last bit.
    pub identical: usize,
    /// Of these: not identical, but no position or velocity farther off than the tolerance.
    pub within_tolerance: usize,
    /// Of these: this run has none of that stamp.
    pub missing: usize,
    /// Messages of this run that the recording has none for: the recorder missed them, or they were not sent then.
    pub additional: usize,
    /// Messages of the recording before the trace begins or after it ends: they are not compared.
    pub outside_of_trace: usize,
    /// The first that is farther off than the tolerance.
    pub first: Option<Difference>,
    /// By joint, where it is off at all.
    pub joints: BTreeMap<String, Off>,
}

impl Comparison {
    /// Whether everything that was recorded is as it was. Recorders miss single messages (of two windows within a period the middleware may keep
    /// the newer one only), so this run may have [`A_FEW`] and one in a hundred that the recording has not.
    pub fn holds(&self) -> bool {
        self.identical + self.within_tolerance == self.commands && self.additional <= A_FEW + self.commands / 100
    }

    /// Adds the messages of one topic. `span`: the time of the trace, ns.
    pub fn add(
        &mut self,
        what: &str,
        recorded: &[Trajectory],
        again: &[Trajectory],
        span: Option<(i64, i64)>,
        tolerance: f64,
    ) {
        // Two windows of one stamp: something happened within a period, and it was decided anew.
        let mut theirs: HashMap<i64, Vec<&Trajectory>> = HashMap::new();
        for message in again {
            theirs.entry(message.stamp.nanos()).or_default().push(message);
        }
        for message in recorded {
            let stamp = message.stamp.nanos();
            if span.is_some_and(|(first, last)| !(first..=last).contains(&stamp)) {
                self.outside_of_trace += 1;
                continue;
            }
            self.commands += 1;
            let of_then = theirs.entry(stamp).or_default();
            if let Some(place) = of_then.iter().position(|other| same(message, other)) {
                of_then.remove(place);
                self.identical += 1;
            } else if of_then.is_empty() {
                self.missing += 1;
            } else {
                self.differ(what, message, of_then.remove(0), tolerance);
            }
        }
        let begun = recorded.first().map(|message| message.stamp.nanos());
        let ended = recorded.last().map(|message| message.stamp.nanos());
        // What was sent before the recorder listened, or after it had ended, is nothing to wonder at.
        let heard = |stamp: &i64| begun.is_none_or(|first| *stamp >= first) && ended.is_none_or(|last| *stamp <= last);
        self.additional += theirs.iter().filter(|(stamp, _)| heard(stamp)).map(|(_, left)| left.len()).sum::<usize>();
    }

    fn differ(&mut self, what: &str, recorded: &Trajectory, again: &Trajectory, tolerance: f64) {
        let stamp = recorded.stamp.nanos();
        let alike = recorded.joint_names == again.joint_names
            && recorded.points.len() == again.points.len()
            && recorded.points.iter().zip(&again.points).all(|(a, b)| a.time_from_start == b.time_from_start);
        let mut worst: f64 = if alike { 0.0 } else { f64::INFINITY };
        let mut first = None;
        for (point, (a, b)) in recorded.points.iter().zip(&again.points).enumerate() {
            for (joint, name) in recorded.joint_names.iter().enumerate() {
                let of = |values: &[f64]| values.get(joint).copied();
                if let (Some(p), Some(q)) = (of(&a.positions), of(&b.positions)) {
                    let by = if p.to_bits() == q.to_bits() { 0.0 } else { (p - q).abs() };
                    let by = if by.is_nan() { f64::INFINITY } else { by };
                    worst = worst.max(by);
                    if by > 0.0 {
                        let off = self.joints.entry(name.clone()).or_insert(Off { by: 0.0, stamp });
                        if by > off.by {
                            *off = Off { by, stamp };
                        }
                    }
                    if by > tolerance && first.is_none() {
                        first = Some(Difference {
                            what: what.to_owned(),
                            stamp,
                            point,
                            joint: name.clone(),
                            recorded: p,
                            again: q,
                        });
                    }
                }
                if let (Some(p), Some(q)) = (of(&a.velocities), of(&b.velocities)) {
                    worst = worst.max(if p.to_bits() == q.to_bits() { 0.0 } else { (p - q).abs() });
                }
            }
        }
        if worst <= tolerance {
            self.within_tolerance += 1;
        } else if self.first.is_none() {
            self.first = first;
        }
    }
}

/// Bit by bit, but for the frame, which says nothing of joints.
fn same(a: &Trajectory, b: &Trajectory) -> bool {
    let bits = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
    a.stamp == b.stamp
        && a.joint_names == b.joint_names
        && a.points.len() == b.points.len()
        && a.points.iter().zip(&b.points).all(|(a, b)| {
            a.time_from_start == b.time_from_start
                && bits(&a.positions, &b.positions)
                && bits(&a.velocities, &b.velocities)
                && bits(&a.accelerations, &b.accelerations)
                && bits(&a.effort, &b.effort)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use efm_core::{Stamp, TrajectoryPoint};

    fn command(stamp: i64, position: f64) -> Trajectory {
        let point = TrajectoryPoint {
            positions: vec![position],
            velocities: vec![0.5],
            time_from_start: 10,
            ..TrajectoryPoint::default()
        };
        let stamp = Stamp::from_nanos(stamp);
        Trajectory { stamp, joint_names: vec!["j1".into()], points: vec![point], ..Trajectory::default() }
    }

    fn compared(recorded: &[Trajectory], again: &[Trajectory], tolerance: f64) -> Comparison {
        let mut comparison = Comparison::default();
        comparison.add("arm", recorded, again, Some((0, 100)), tolerance);
        comparison
    }

    #[test]
    fn the_last_bit_counts_and_the_first_difference_is_named() {
        let recorded = [command(1, 0.25), command(2, 0.5), command(3, 0.75)];
        let mut again = recorded.clone();
        assert!(compared(&recorded, &again, 0.0).holds());
        let next = f64::from_bits(0.5_f64.to_bits() + 1);
        again[1] = command(2, next);
        let off = compared(&recorded, &again, 0.0);
        assert_eq!((off.commands, off.identical, off.holds()), (3, 2, false));
        assert_eq!(off.first.map(|d| (d.stamp, d.joint, d.again)), Some((2, "j1".to_owned(), next)));
        let within = compared(&recorded, &again, 1e-9);
        assert_eq!((within.identical, within.within_tolerance, within.holds()), (2, 1, true));
    }

    #[test]
    fn what_one_run_has_and_the_other_has_not_is_counted() {
        let recorded = [command(1, 0.1), command(3, 0.1), command(200, 0.1)];
        let off = compared(&recorded, &[command(1, 0.1), command(2, 0.1)], 0.0);
        assert_eq!((off.commands, off.identical, off.missing, off.additional, off.outside_of_trace), (2, 1, 1, 1, 1));
        assert!(!off.holds());
    }

    #[test]
    fn two_decisions_within_a_period_have_one_stamp_and_are_both_compared() {
        let twice = [command(1, 0.1), command(1, 0.2), command(2, 0.3)];
        assert!(compared(&twice, &twice, 0.0).holds());
        let off = compared(&twice, &[command(1, 0.1), command(1, 0.25), command(2, 0.3)], 0.0);
        assert_eq!((off.commands, off.identical, off.missing, off.additional), (3, 2, 0, 0));
        assert_eq!(off.first.map(|d| d.again), Some(0.25));
    }

    #[test]
    fn a_recorder_may_miss_a_few_and_one_in_a_hundred_but_not_more() {
        let sent: Vec<_> = (0..=100).map(|stamp| command(stamp, 0.1)).collect();
        let without = |gone: &[i64]| {
            let heard: Vec<_> = sent.iter().filter(|c| !gone.contains(&c.stamp.nanos())).cloned().collect();
            compared(&heard, &sent, 0.0)
        };
        assert!(without(&[50]).holds() && without(&[50]).additional == 1);
        assert!(without(&[10, 20, 30, 40]).holds());
        assert!(!without(&[10, 20, 30, 40, 50]).holds());
    }

    #[test]
    fn another_shape_is_a_difference_within_no_tolerance() {
        let mut longer = command(1, 0.1);
        longer.points.push(longer.points[0].clone());
        assert!(!compared(&[command(1, 0.1)], &[longer], 10.0).holds());
    }
}
