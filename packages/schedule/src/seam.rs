//! How much one chunk differs from what was followed before it.

use crate::scheduler::Reference;
use efm_core::Stamp;

/// Time between samples of which the jerk of a seam is taken, in seconds: that of the usual control rate, 100 Hz.
pub const SEAM_STEP: f64 = 0.01;

/// Where a chunk took over from another one: what whoever follows the reference gets to feel, before any filter. Largest values of
/// all joints but the straight ones, whose commands are meant to be abrupt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seam {
    /// When (plan time).
    pub at: Stamp,
    /// Seconds of plan time from the observation of the chunk that took over: what it was late by (see [`crate::consumed`]).
    pub delay_s: f64,
    /// How far the two chunks are apart, before any blending: rad or m. What real-time chunking makes small, and blending has to take
    /// away. Where the old chunk was over: how far the new one is from what was followed.
    pub gap: f64,
    /// How far the reference leaps: rad or m. Zero where it is blended.
    pub jump: f64,
    /// Largest third difference of the reference by the third power of [`SEAM_STEP`], of samples of which some were followed
    /// before and some after: rad/s^3 or m/s^3. A leap shows in it as the jerk that a follower at that rate would need.
    pub jerk: f64,
}

/// Third differences across a seam: `before` is continued back with its acceleration, `after` are the samples at the seam and one and two
/// steps behind it. Radians or metres, divided by [`SEAM_STEP`]^3.
pub(crate) fn jerk(before: Reference, after: [f64; 3]) -> f64 {
    let back = |steps: f64| {
        let t = -steps * SEAM_STEP;
        before.position + t * (before.velocity + 0.5 * t * before.acceleration)
    };
    let s = [back(3.0), back(2.0), back(1.0), after[0], after[1], after[2]];
    let difference = |k: usize| (s[k + 3] - 3.0 * s[k + 2] + 3.0 * s[k + 1] - s[k]).abs();
    (0..3).map(difference).fold(0.0, f64::max) / (SEAM_STEP * SEAM_STEP * SEAM_STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_with_the_same_acceleration_has_no_jerk_and_a_leap_has_much() {
        let before = Reference { position: 1.0, velocity: 0.5, acceleration: -2.0 };
        let on = |t: f64| 1.0 + t * (0.5 - 1.0 * t);
        assert!(jerk(before, [on(0.0), on(0.01), on(0.02)]) < 1e-6);
        // The third differences of a leap h are h, -2 h and h, whichever way it goes.
        for h in [0.01, -0.01] {
            let found = jerk(before, [on(0.0) + h, on(0.01) + h, on(0.02) + h]);
            assert!((found - 2.0 * 0.01 / 1e-6).abs() < 1e-3, "{found}");
        }
    }

    #[test]
    fn a_constant_jerk_after_the_seam_is_found_as_it_is() {
        let after = |t: f64| 30.0 * t * t * t / 6.0;
        let found = jerk(Reference::default(), [after(0.0), after(0.01), after(0.02)]);
        assert!(found > 10.0 && found <= 30.0, "{found}");
    }
}
