//! Real-time chunking (Black, Galliker, Levine 2025, arXiv 2506.07339): what a policy is told of the chunk that goes on while it
//! thinks, so that its new chunk continues the old one.
//!
//! The policy's own actions are guided, before references and inverse kinematics; this module knows neither, only rows of numbers.

use crate::rows::Rows;
use efm_core::Stamp;

/// How the weights fall from the frozen rows to the end of the soft mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decay {
    /// c (e^c - 1) / (e - 1), as in the paper, equation 5.
    #[default]
    Exponential,
    /// c itself.
    Linear,
}

/// The weights of a new chunk's `horizon` rows, 0 to 1: how much each shall be what the previous chunk has for its time.
///
/// arXiv 2506.07339, equation 5, with H the horizon, d `frozen` and s `execute`: w_i = 1 for i < d; then
/// w_i = c_i (e^{c_i} - 1) / (e - 1) with c_i = (H - s - i) / (H - s - d + 1); 0 from i = H - s on. Where more rows are frozen than
/// H - s, those that are frozen are, and nothing else is asked for.
pub fn prefix_weights(horizon: usize, frozen: usize, execute: usize, decay: Decay) -> Vec<f64> {
    let end = horizon.saturating_sub(execute);
    let weight = |i: usize| {
        if i < frozen {
            return 1.0;
        }
        if i >= end {
            return 0.0;
        }
        let c = (end - i) as f64 / (end - frozen + 1) as f64;
        match decay {
            Decay::Exponential => c * c.exp_m1() / 1.0_f64.exp_m1(),
            Decay::Linear => c,
        }
    };
    (0..horizon).map(weight).collect()
}

/// A chunk in the policy's own numbers: un-normalised actions before references and inverse kinematics.
#[derive(Debug, Clone, PartialEq)]
pub struct RawChunk {
    /// Time of its observation, in plan time where the robot is slowed down.
    pub observed_at: Stamp,
    /// Row-major `[rows x columns]`; row k is due (k + 1) steps after the observation.
    pub actions: Vec<f64>,
    /// Values of a row.
    pub columns: usize,
}

/// What real-time chunking needs to know of the policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RtcPlan {
    /// Rows of a chunk: H.
    pub horizon: usize,
    /// Seconds between rows.
    pub step: f64,
    /// Rows that are executed at least between two inferences: s. Where more are consumed while the policy thinks, so many.
    pub execute: usize,
    /// How the weights fall.
    pub decay: Decay,
}

/// Why nothing can be planned with.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum RtcError {
    /// The time between rows.
    #[error("the time between actions is {0} s; it must be positive and finite")]
    Step(f64),
    /// The rows executed.
    #[error("{execute} actions are to be executed of {horizon}; it must be at least one, and fewer than all")]
    Execute {
        /// How many.
        execute: usize,
        /// Of how many.
        horizon: usize,
    },
    /// A chunk that is none.
    #[error("the previous chunk has {values} values, which is not a whole number of rows of {columns}")]
    Ragged {
        /// Its values.
        values: usize,
        /// Values of a row.
        columns: usize,
    },
}

/// What the policy is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Guide {
    /// The previous chunk's actions, shifted so that row 0 is the new chunk's row 0: row-major `[rows x columns]`. Rows beyond its end
    /// are missing.
    pub previous: Vec<f64>,
    /// One a row of the new chunk, 0 to 1; zero for missing rows.
    pub weights: Vec<f64>,
    /// Rows that are consumed before the new chunk is there: d.
    pub frozen: usize,
    /// Row from which on the new chunk is free: H - s, or the end of the previous chunk.
    pub free_from: usize,
}

impl RtcPlan {
    /// # Errors
    /// When the step is not positive and finite, or not some but fewer than all rows are executed.
    pub fn check(&self) -> Result<(), RtcError> {
        if !(self.step.is_finite() && self.step > 0.0) {
            return Err(RtcError::Step(self.step));
        }
        if self.execute == 0 || self.execute >= self.horizon {
            return Err(RtcError::Execute { execute: self.execute, horizon: self.horizon });
        }
        Ok(())
    }

    /// The guide for a chunk made from an observation at `observed_at` (in the same time as the previous chunk's), when the policy
    /// takes `delay` actions (see [`crate::DelayEstimator`]). None where the previous chunk says nothing about the new one: it is over, or
    /// was made from a later observation.
    ///
    /// Between its rows the previous chunk is the curve that the scheduler joins them by; `straight` says of each column whether that is a straight line.
    ///
    /// # Errors
    /// When the plan or the previous chunk makes no sense.
    pub fn guide(
        &self,
        previous: &RawChunk,
        observed_at: Stamp,
        delay: usize,
        straight: &[bool],
    ) -> Result<Option<Guide>, RtcError> {
        self.check()?;
        let RawChunk { actions, columns, .. } = previous;
        if *columns == 0 || straight.len() != *columns || actions.is_empty() || !actions.len().is_multiple_of(*columns)
        {
            return Err(RtcError::Ragged { values: actions.len(), columns: *columns });
        }
        let passed = observed_at.nanos_since(previous.observed_at);
        if passed < 0 {
            return Ok(None);
        }
        let first = previous.observed_at.offset_seconds(self.step);
        let last = previous.observed_at.offset_seconds((actions.len() / columns) as f64 * self.step);
        let old = Rows::new(previous.observed_at, first, last, self.step, straight, actions.clone());
        let mut shifted = Vec::with_capacity(actions.len());
        for row in 0..self.horizon {
            // Stamps are rounded to nanoseconds.
            let at = observed_at.offset_seconds((row + 1) as f64 * self.step);
            if at.nanos_since(last) > 1_000 {
                break;
            }
            let place = old.place(at.min(last));
            shifted.extend(straight.iter().enumerate().map(|(c, straight)| old.at(c, *straight, &place).position));
        }
        let rows = shifted.len() / columns;
        if rows == 0 {
            return Ok(None);
        }
        let frozen = delay.min(rows);
        // As many as are consumed while the policy thinks are executed whatever one wants.
        let execute = self.execute.max(delay).min(self.horizon);
        let mut weights = prefix_weights(self.horizon, frozen, execute, self.decay);
        weights[rows..].fill(0.0);
        let free_from = weights.iter().rposition(|w| *w > 0.0).map_or(0, |last| last + 1);
        Ok((free_from > 0).then_some(Guide { previous: shifted, weights, frozen, free_from }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const PLAN: RtcPlan = RtcPlan { horizon: 16, step: 0.1, execute: 2, decay: Decay::Exponential };

    fn at(seconds: f64) -> Stamp {
        Stamp::from_nanos(1_700_000_000_000_000_000).offset_seconds(seconds)
    }

    /// Two columns: a straight motion, and an open/closed command. Row k is due k + 1 steps after 0.
    fn previous() -> RawChunk {
        let actions = (1..=16).flat_map(|k| [0.1 * k as f64, if k < 8 { 0.0 } else { 0.04 }]).collect();
        RawChunk { observed_at: at(0.0), actions, columns: 2 }
    }

    #[test]
    fn the_weights_are_those_of_the_paper() {
        // H = 5, d = 1, s = 1: c = 3/4, 2/4, 1/4 for i = 1, 2, 3.
        let weights = prefix_weights(5, 1, 1, Decay::Exponential);
        let e = std::f64::consts::E;
        let w = |c: f64| c * (c.exp() - 1.0) / (e - 1.0);
        for (found, expected) in weights.iter().zip([1.0, w(0.75), w(0.5), w(0.25), 0.0]) {
            assert!((found - expected).abs() < 1e-15, "{weights:?}");
        }
        assert_eq!(prefix_weights(5, 1, 1, Decay::Linear), [1.0, 0.75, 0.5, 0.25, 0.0]);
        assert_eq!(prefix_weights(4, 3, 3, Decay::Exponential), [1.0, 1.0, 1.0, 0.0], "nothing between");
        assert_eq!(prefix_weights(3, 0, 3, Decay::Exponential), [0.0, 0.0, 0.0]);
    }

    #[test]
    fn the_old_rows_are_moved_to_the_times_of_the_new_ones() {
        let guide = PLAN.guide(&previous(), at(0.3), 2, &[false, true]).unwrap().unwrap();
        assert_eq!((guide.previous.len(), guide.weights.len()), (2 * 13, 16));
        for (row, pair) in guide.previous.chunks(2).enumerate() {
            let old = row + 3;
            assert!((pair[0] - 0.1 * (old + 1) as f64).abs() < 1e-9);
            assert!((pair[1] - if old + 1 < 8 { 0.0 } else { 0.04 }).abs() < 1e-12);
        }
        assert_eq!((guide.frozen, guide.free_from), (2, 13));
        assert_eq!(guide.weights[..2], [1.0, 1.0]);
        assert!(guide.weights[12] > 0.0 && guide.weights[13..].iter().all(|w| *w == 0.0), "{:?}", guide.weights);
    }

    #[test]
    fn between_rows_the_old_chunk_is_the_curve_that_was_followed() {
        let actions = (1..=16).map(|k| (0.1 * k as f64 * 2.0).sin()).collect();
        let previous = RawChunk { observed_at: at(0.0), actions, columns: 1 };
        let guide = PLAN.guide(&previous, at(0.28), 3, &[false]).unwrap().unwrap();
        for (row, value) in guide.previous.iter().enumerate() {
            let t = 0.28 + 0.1 * (row + 1) as f64;
            assert!((value - (2.0 * t).sin()).abs() < 5e-4, "row {row}");
        }
    }

    #[test]
    fn a_chunk_that_is_over_or_from_later_guides_nothing() {
        assert_eq!(PLAN.guide(&previous(), at(1.55), 1, &[false, true]).unwrap(), None);
        assert_eq!(PLAN.guide(&previous(), at(-0.1), 1, &[false, true]).unwrap(), None);
        // Its very last row still does.
        let guide = PLAN.guide(&previous(), at(1.5), 4, &[false, true]).unwrap().unwrap();
        assert_eq!((guide.frozen, guide.free_from, guide.previous.len()), (1, 1, 2));
    }

    #[test]
    fn plans_and_chunks_that_make_no_sense_are_refused_by_name() {
        let error = |plan: RtcPlan| plan.guide(&previous(), at(0.2), 1, &[false, true]).unwrap_err();
        assert!(matches!(error(RtcPlan { step: 0.0, ..PLAN }), RtcError::Step(_)));
        assert!(matches!(error(RtcPlan { step: f64::NAN, ..PLAN }), RtcError::Step(_)));
        assert!(matches!(error(RtcPlan { execute: 0, ..PLAN }), RtcError::Execute { .. }));
        assert!(matches!(error(RtcPlan { execute: 16, ..PLAN }), RtcError::Execute { .. }));
        let ragged = RawChunk { columns: 3, ..previous() };
        let error = PLAN.guide(&ragged, at(0.2), 1, &[false; 3]).unwrap_err();
        assert_eq!(error, RtcError::Ragged { values: 32, columns: 3 });
    }

    proptest! {
        #[test]
        fn weights_fall_from_one_to_zero(
            horizon in 1_usize..60, frozen in 0_usize..70, execute in 0_usize..70, linear: bool,
        ) {
            let decay = if linear { Decay::Linear } else { Decay::Exponential };
            let weights = prefix_weights(horizon, frozen, execute, decay);
            prop_assert_eq!(weights.len(), horizon);
            prop_assert!(weights.iter().all(|w| (0.0..=1.0).contains(w)));
            prop_assert!(weights.windows(2).all(|w| w[1] <= w[0]));
            prop_assert!(weights.iter().take(frozen).all(|w| *w == 1.0));
            let end = horizon.saturating_sub(execute).max(frozen);
            prop_assert!(weights.iter().skip(end).all(|w| *w == 0.0));
            prop_assert!(weights.iter().take(end).all(|w| *w > 0.0));
        }

        #[test]
        fn whatever_the_times_are_rows_and_weights_agree(
            shift in 0.0..2.5_f64, delay in 0_usize..30, rows in 1_usize..40, execute in 1_usize..15,
        ) {
            let previous = RawChunk { observed_at: at(0.0), actions: vec![0.5; rows], columns: 1 };
            let plan = RtcPlan { execute, ..PLAN };
            if let Some(guide) = plan.guide(&previous, at(shift), delay, &[false]).unwrap() {
                prop_assert!(guide.free_from > 0 && guide.free_from <= guide.previous.len());
                prop_assert!(guide.frozen <= guide.previous.len().min(delay));
                prop_assert!(guide.weights[guide.free_from..].iter().all(|w| *w == 0.0));
                prop_assert!(guide.weights[..guide.free_from].iter().all(|w| *w > 0.0));
                // The curve through equal rows is flat: nothing rings.
                prop_assert!(guide.previous.iter().all(|v| (v - 0.5).abs() < 1e-9));
            }
        }
    }
}
