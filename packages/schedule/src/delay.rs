//! How long the policy takes, counted in actions.

/// Actions of a chunk with `step` seconds between rows whose execution began within `seconds`: what is consumed of the running chunk
/// between an observation and the moment its chunk is followed. Give plan time, which stands still when the robot does: then fewer
/// actions are consumed than the clock says. A time that is a whole number of steps (but for rounding) consumes exactly so many; one
/// that is no time or a negative one consumes none.
pub fn consumed(seconds: f64, step: f64) -> usize {
    const ROUNDING: f64 = 1.0e-6;
    let actions = seconds / step - ROUNDING;
    // Also where something is no number.
    if actions > 0.0 { actions.ceil() as usize } else { 0 }
}

/// How delays are predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DelayConfig {
    /// Delays that are remembered: the last so many.
    pub window: usize,
    /// Delays left out at the beginning: what is loaded, compiled or cached at first tells nothing of what comes.
    pub cold: usize,
    /// Predicted while nothing is known, in actions.
    pub initial: usize,
    /// Quantile that is predicted, 0 to 1.
    pub quantile: f64,
}

impl Default for DelayConfig {
    fn default() -> Self {
        Self { window: 50, cold: 1, initial: 1, quantile: 0.95 }
    }
}

/// Why delays cannot be predicted.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum DelayError {
    /// Nothing would be remembered.
    #[error("the window of delays is 0; it must hold at least one")]
    Window,
    /// No quantile.
    #[error("the quantile of delays is {0}; it must lie between 0 and 1")]
    Quantile(f64),
}

/// Predicts from the delays that were, in actions consumed, how many actions the next inference will cost: their quantile (nearest
/// rank) over a sliding window. Allocates only when it is made.
#[derive(Debug, Clone)]
pub struct DelayEstimator {
    config: DelayConfig,
    /// The last delays; the next one goes to `next`.
    seen: Vec<usize>,
    next: usize,
    sorted: Vec<usize>,
    left_out: usize,
}

impl DelayEstimator {
    /// One that knows nothing yet.
    ///
    /// # Errors
    /// When the window is empty, or the quantile none.
    pub fn new(config: DelayConfig) -> Result<Self, DelayError> {
        if config.window == 0 {
            return Err(DelayError::Window);
        }
        if !(0.0..=1.0).contains(&config.quantile) {
            return Err(DelayError::Quantile(config.quantile));
        }
        let (seen, sorted) = (Vec::with_capacity(config.window), Vec::with_capacity(config.window));
        Ok(Self { config, seen, next: 0, sorted, left_out: 0 })
    }

    /// One with the usual settings that predicts `initial` actions until it knows better.
    pub fn expecting(initial: usize) -> Self {
        let config = DelayConfig { initial, ..DelayConfig::default() };
        let (seen, sorted) = (Vec::with_capacity(config.window), Vec::with_capacity(config.window));
        Self { config, seen, next: 0, sorted, left_out: 0 }
    }

    /// Learns what an inference has cost, in actions (see [`consumed`]).
    pub fn learn(&mut self, actions: usize) {
        if self.left_out < self.config.cold {
            self.left_out += 1;
            return;
        }
        if self.seen.len() < self.config.window {
            self.seen.push(actions);
        } else {
            self.seen[self.next] = actions;
            self.next = (self.next + 1) % self.config.window;
        }
        self.sorted.clear();
        self.sorted.extend_from_slice(&self.seen);
        self.sorted.sort_unstable();
    }

    /// What the next inference will cost, in actions.
    pub fn predicted(&self) -> usize {
        let n = self.sorted.len();
        if n == 0 {
            return self.config.initial;
        }
        // The smallest that at least this share of the delays does not exceed.
        let rank = (self.config.quantile * n as f64 - 1.0e-9).ceil().max(1.0) as usize;
        self.sorted[rank.min(n) - 1]
    }

    /// Delays that the prediction rests on.
    pub fn known(&self) -> usize {
        self.seen.len()
    }

    /// A policy was loaded anew: its first inferences are cold again, and what was learnt of another one is forgotten.
    pub fn reset(&mut self) {
        self.seen.clear();
        self.sorted.clear();
        self.next = 0;
        self.left_out = 0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn estimator(window: usize, cold: usize) -> DelayEstimator {
        DelayEstimator::new(DelayConfig { window, cold, ..DelayConfig::default() }).unwrap()
    }

    #[test]
    fn an_action_that_has_begun_is_consumed() {
        for (seconds, actions) in [(0.0, 0), (0.001, 1), (0.1, 1), (0.100_000_01, 1), (0.101, 2), (0.35, 4), (-1.0, 0)]
        {
            assert_eq!(consumed(seconds, 0.1), actions, "{seconds} s");
        }
        for (seconds, step) in [(f64::NAN, 0.1), (0.0, 0.0), (1.0, f64::NAN)] {
            assert_eq!(consumed(seconds, step), 0);
        }
    }

    #[test]
    fn the_cold_start_is_left_out() {
        let mut delays = estimator(10, 2);
        assert_eq!(delays.predicted(), 1);
        delays.learn(90);
        delays.learn(40);
        assert_eq!((delays.predicted(), delays.known()), (1, 0));
        delays.learn(3);
        assert_eq!((delays.predicted(), delays.known()), (3, 1));
        delays.reset();
        delays.learn(90);
        assert_eq!((delays.predicted(), delays.known()), (1, 0), "cold again after a reset");
    }

    #[test]
    fn one_slow_inference_in_fifty_is_not_planned_for_but_one_in_ten_is() {
        let mut delays = estimator(50, 0);
        (0..49).for_each(|_| delays.learn(2));
        delays.learn(9);
        assert_eq!(delays.predicted(), 2);
        (0..50).for_each(|i| delays.learn(if i % 10 == 0 { 9 } else { 2 }));
        assert_eq!(delays.predicted(), 9);
        (0..50).for_each(|_| delays.learn(3));
        assert_eq!(delays.predicted(), 3, "what left the window is forgotten");
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let made = |window, quantile| DelayEstimator::new(DelayConfig { window, quantile, ..DelayConfig::default() });
        assert_eq!(made(0, 0.95).unwrap_err(), DelayError::Window);
        for quantile in [-0.1, 1.1] {
            assert_eq!(made(5, quantile).unwrap_err(), DelayError::Quantile(quantile));
        }
        assert!(matches!(made(5, f64::NAN), Err(DelayError::Quantile(_))));
    }

    proptest! {
        #[test]
        fn the_prediction_is_exceeded_by_at_most_one_in_twenty_of_the_window(
            delays in prop::collection::vec(0_usize..40, 1..200), window in 1_usize..60,
        ) {
            let mut estimator = estimator(window, 0);
            delays.iter().for_each(|d| estimator.learn(*d));
            let last = &delays[delays.len().saturating_sub(window)..];
            let predicted = estimator.predicted();
            let over = last.iter().filter(|d| **d > predicted).count();
            prop_assert!(over as f64 <= 0.05 * last.len() as f64 + 1e-9);
            prop_assert!(last.contains(&predicted));
            // And it is the least that does.
            let without = last.iter().filter(|d| **d >= predicted).count();
            prop_assert!(without as f64 > 0.05 * last.len() as f64 - 1e-9);
        }
    }
}
