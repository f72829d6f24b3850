//! Joint states that repeat themselves under fresh stamps while the command goes on.

use super::{Contradiction, Measured, way};
use efm_core::Stamp;

/// How far the command of a joint goes on, radians or metres, beyond what the robot lags anyway.
const BLIND: f64 = 0.05;
/// As many of a joint's own smallest steps, where that is more.
const ENCODER_STEPS: f64 = 2.0;

#[derive(Debug, Clone, Copy, Default)]
struct Joint {
    /// What was told when that last changed, radians or metres.
    position: f64,
    /// What was commanded for that time.
    commanded: f64,
    /// The farthest that the command has been from there since, beyond the lag.
    moved: f64,
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
        Self { joints: vec![Joint::default(); continuous.len()], continuous: continuous.to_vec(), fresh: true }
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
            if self.fresh || position != joint.position {
                *joint = Joint { position, commanded: command, moved: 0.0 };
                continue;
            }
            if !watched(j) {
                continue;
            }
            joint.moved = joint.moved.max((command - joint.commanded).abs());
            let lag = way(self.continuous[j], joint.position, joint.commanded).abs();
            let bound = lag + BLIND.max(ENCODER_STEPS * step(j));
            let farther = worst.is_none_or(|w| matches!(w, Contradiction::Frozen { moved, .. } if joint.moved > moved));
            if joint.moved > bound && farther {
                worst = Some(Contradiction::Frozen { joint: j, position, moved: joint.moved });
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
