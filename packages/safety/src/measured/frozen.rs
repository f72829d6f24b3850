//! Joint states that repeat themselves under fresh stamps while the command goes on.

use super::{Contradiction, Measured, way};
use efm_core::Stamp;

/// How far the command of a joint goes on, radians or metres, beyond what the robot lags anyway.
const BLIND: f64 = 0.05;
/// As many of a joint's own smallest steps, where that is more.
const ENCODER_STEPS: f64 = 2.0;
/// So many positions of a joint are remembered: what comes back to one of them to the last bit, at speed, is told again and not measured.
const REMEMBERED: usize = 16;
/// A joint that is slower, radians or metres a second, may come back to a position: it stands, and its encoder has few steps.
const AT_SPEED: f64 = 0.05;

#[derive(Debug, Clone, Copy)]
struct Joint {
    /// The last position that was not told before, radians or metres.
    position: f64,
    /// The last ones like that, as a ring, and where the next one goes.
    told: [f64; REMEMBERED],
    next: usize,
    /// Older positions than the last came back since.
    looped: bool,
    /// What was commanded for that time.
    commanded: f64,
    /// The farthest that the command has been from there since, beyond the lag.
    moved: f64,
}

impl Joint {
    const NEW: Self =
        Self { position: f64::NAN, told: [f64::NAN; REMEMBERED], next: 0, looped: false, commanded: 0.0, moved: 0.0 };

    /// Something that was never told before, or not for long.
    fn lives(&mut self, position: f64, commanded: f64) {
        self.told[self.next] = position;
        self.next = (self.next + 1) % REMEMBERED;
        (self.position, self.commanded, self.moved, self.looped) = (position, commanded, 0.0, false);
    }
}

/// Follows one motion.
#[derive(Debug)]
pub(crate) struct Frozen {
    joints: Vec<Joint>,
    continuous: Vec<bool>,
    /// Nothing was seen of this motion yet.
    fresh: bool,
}

impl Frozen {
    /// For joints of which some turn on without end.
    pub fn new(continuous: &[bool]) -> Self {
        Self { joints: vec![Joint::NEW; continuous.len()], continuous: continuous.to_vec(), fresh: true }
    }

    /// A motion begins.
    pub fn restart(&mut self) {
        self.fresh = true;
    }

    /// Takes a tick's states. `commanded` tells what a joint was commanded to for a time, `step` its encoder's step; joints for which `watched` is
    /// false (grippers: what holds an object stays where it is) are left out. Each joint is judged by itself: of a source one encoder may be dead.
    pub fn see(
        &mut self,
        measured: &Measured<'_>,
        commanded: impl Fn(usize, Stamp) -> f64,
        step: impl Fn(usize) -> f64,
        watched: impl Fn(usize) -> bool,
    ) -> Option<Contradiction> {
        let mut worst: Option<Contradiction> = None;
        for (j, joint) in self.joints.iter_mut().enumerate() {
            let (position, command) = (measured.sample.positions[j], commanded(j, measured.stamp_of(j)));
            if self.fresh {
                *joint = Joint::NEW;
            }
            if position != joint.position {
                let again = measured.sample.velocities[j].abs() > AT_SPEED && joint.told.contains(&position);
                if !again {
                    joint.lives(position, command);
                    continue;
                }
                joint.looped = true;
            }
            if !watched(j) {
                continue;
            }
            joint.moved = joint.moved.max((command - joint.commanded).abs());
            let lag = way(self.continuous[j], joint.position, joint.commanded).abs();
            // A coarse encoder that turns round comes by the same positions for as long as it remembers.
            let again = if joint.looped { REMEMBERED as f64 * step(j) } else { 0.0 };
            let bound = lag + BLIND.max(ENCODER_STEPS * step(j)) + again;
            let farther = worst.is_none_or(|w| matches!(w, Contradiction::Frozen { moved, .. } if joint.moved > moved));
            if joint.moved > bound && farther {
                worst = Some(Contradiction::Frozen { joint: j, position, moved: joint.moved, looped: joint.looped });
            }
        }
        self.fresh = false;
        worst
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_core::JointSample;

    fn sample(positions: [f64; 2], ms: i64) -> JointSample {
        JointSample {
            stamp: Stamp::from_nanos(ms * 1_000_000),
            positions: positions.to_vec(),
            velocities: vec![0.0; 2],
        }
    }

    #[test]
    fn states_that_are_told_again_and_again_are_found_and_a_coarse_encoder_that_turns_round_is_none() {
        let at = |speed: f64, positions: &dyn Fn(i64) -> f64| {
            let mut frozen = Frozen::new(&[false]);
            (0..60).map(|k| 10 * k).find_map(|ms| {
                let sample = JointSample {
                    stamp: Stamp::from_nanos(ms * 1_000_000),
                    positions: vec![positions(ms)],
                    velocities: vec![speed],
                };
                let command = |_: usize, at: Stamp| 0.9e-9 * at.nanos() as f64;
                let found = frozen.see(&Measured::from((&sample, 0.0)), command, |_| 0.001, |_| true)?;
                Some((ms, matches!(found, Contradiction::Frozen { looped: true, .. })))
            })
        };
        // It follows for 0.2 s; then the last five states, which tell of its speed, over and over.
        let looped = |ms: i64| 0.9e-3 * if ms < 200 { ms } else { 150 + ms % 50 } as f64;
        assert_eq!(at(0.9, &looped), Some((270, true)));
        // The same where it says that it stands: it may.
        assert_eq!(at(0.0, &looped), None);
        // To and fro over steps of 10 mrad.
        let coarse = |ms: i64| (20.0 * (0.01 * ms as f64).sin()).round() * 0.01;
        assert_eq!(at(0.2, &coarse), None);
        // A cheap servo that turns round, as it was commanded to: 0.29 degrees a step.
        let mut frozen = Frozen::new(&[false]);
        let command = |at: Stamp| 0.3 * (3.0e-9 * at.nanos() as f64).sin();
        for ms in (0..4000).step_by(10) {
            let stamp = Stamp::from_nanos(ms * 1_000_000);
            let lags = command(stamp.offset_seconds(-0.03));
            let sample =
                JointSample { stamp, positions: vec![(lags / 0.00511).round() * 0.00511], velocities: vec![0.9] };
            let found = frozen.see(&Measured::from((&sample, 0.0)), |_, at| command(at), |_| 0.00511, |_| true);
            assert!(found.is_none(), "{ms} ms: {found:?}");
        }
    }

    /// The command of joint 0 goes on at 0.9 rad/s, joint 1 is a gripper; what is told by `positions(ms)`. When it is found, ms.
    fn found(sources: Option<&[usize]>, positions: impl Fn(i64) -> [f64; 2]) -> Option<i64> {
        let mut frozen = Frozen::new(&[false, false]);
        (0..40).map(|k| 10 * k).find(|ms| {
            let sample = sample(positions(*ms), *ms);
            let measured = Measured { sources, ..Measured::from((&sample, 0.0)) };
            let command = |joint: usize, at: Stamp| if joint == 0 { 0.9e-9 * at.nanos() as f64 } else { 0.0 };
            frozen.see(&measured, command, |_| 0.001, |joint| joint == 0).is_some()
        })
    }

    #[test]
    fn states_that_stay_equal_to_the_last_bit_are_found_after_a_twentieth_of_a_radian() {
        assert_eq!(found(None, |_| [0.0, 0.03]), Some(60));
        assert_eq!(found(None, |ms| [0.9e-3 * ms.min(100) as f64, 0.03]), Some(160));
    }

    #[test]
    fn a_robot_that_lags_is_allowed_its_lag_and_any_change_at_all_is_life() {
        assert_eq!(found(None, |ms| [0.9e-3 * ms as f64 - 0.04, 0.03]), None);
        assert_eq!(found(None, |ms| [1.0e-12 * ms as f64, 0.03]), None);
    }

    #[test]
    fn one_dead_encoder_is_found_among_others_that_live_whatever_source_they_have() {
        for sources in [None, Some(&[4, 7][..])] {
            assert_eq!(found(sources, |ms| [0.0, 1.0e-9 * ms as f64]), Some(60));
            assert_eq!(found(sources, |ms| [1.0e-3 * ms as f64, 0.03]), None);
        }
    }
}
