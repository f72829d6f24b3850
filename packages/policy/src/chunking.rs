//! Policies that can be told what of the running chunk goes on while they think (real-time chunking).

use crate::manifest::Manifest;
use crate::policy::{Guide, Policy};
use efm_core::Stamp;
use efm_schedule::{Decay, DelayEstimator, RawChunk, RtcError, RtcPlan, consumed};
use std::collections::VecDeque;

/// Chunks that are remembered: the one that is followed, those that are under way, and some that were refused.
const REMEMBERED: usize = 8;

/// A policy that may be guided. What cannot be guided has no last actions, and then there never is a guide.
pub trait GuidedPolicy {
    /// Un-normalised actions of the last chunk, row-major `[horizon x columns]`; empty where it cannot be guided.
    fn last_actions(&self) -> &[f64];

    /// Makes actions that were meant relative to the joints `from` relative to the joints `to`: where the tool has moved between two
    /// observations, its old targets have other offsets.
    fn rebase(&self, actions: &mut [f64], from: &[f64], to: &[f64]);
}

impl GuidedPolicy for Policy {
    fn last_actions(&self) -> &[f64] {
        if self.can_continue() { Policy::last_actions(self) } else { &[] }
    }

    fn rebase(&self, actions: &mut [f64], from: &[f64], to: &[f64]) {
        Policy::rebase(self, actions, from, to);
    }
}

/// Remembers the running chunk and how long the policy takes, and makes guides of them.
///
/// A chunk is known by the time of its observation. All times are those that the running chunk meant for its rows: where the robot is
/// slowed down, plan time.
#[derive(Debug)]
pub struct Chunking {
    plan: RtcPlan,
    /// Of each column, whether its rows are joined by straight lines (a gripper's).
    straight: Vec<bool>,
    delays: DelayEstimator,
    /// The last chunks, and the joints that each was made at.
    made: VecDeque<(RawChunk, Vec<f64>)>,
    /// The chunk that is followed.
    running: Option<Stamp>,
    guided: u64,
    /// The guide that was made last: all rows of the new chunk, and their weights.
    actions: Vec<f64>,
    weights: Vec<f64>,
}

impl Chunking {
    /// For a policy with `horizon` rows of columns that are `straight` or not, `step` seconds apart, of which `execute` are followed before it
    /// looks again. `latency` (seconds) is what it is expected to take until more is known.
    pub fn new(horizon: usize, step: f64, execute: usize, straight: Vec<bool>, latency: f64) -> Self {
        let execute = execute.clamp(1, horizon.saturating_sub(1).max(1));
        let plan = RtcPlan { horizon, step, execute, decay: Decay::Exponential };
        let delays = DelayEstimator::expecting(consumed(latency, step));
        let made = VecDeque::with_capacity(REMEMBERED);
        Self { plan, straight, delays, made, running: None, guided: 0, actions: Vec::new(), weights: Vec::new() }
    }

    /// For the policy of a manifest.
    pub fn of(manifest: &Manifest, latency: f64) -> Self {
        let action = &manifest.action;
        let gripper = |name: &String| name == "gripper" || Some(name) == action.gripper_joint.as_ref();
        let straight = action.names.iter().map(gripper).collect();
        Self::new(action.horizon, action.step, manifest.execution.replan_steps, straight, latency)
    }

    /// The guide for an observation now. None where no chunk that is known goes on meanwhile.
    ///
    /// # Errors
    /// When the policy's last actions do not fit its columns.
    pub fn guide(
        &mut self,
        policy: &impl GuidedPolicy,
        now: Stamp,
        joints: &[f64],
    ) -> Result<Option<Guide<'_>>, RtcError> {
        // A chunk of one row has no rest to go on with.
        let Some(running) = self.running.filter(|_| self.plan.horizon > 1) else { return Ok(None) };
        let Some((raw, from)) = self.made.iter().find(|(raw, _)| raw.observed_at == running) else { return Ok(None) };
        let mut raw = raw.clone();
        policy.rebase(&mut raw.actions, from, joints);
        let guide = self.plan.guide(&raw, now, self.delays.predicted(), &self.straight)?;
        let Some(guide) = guide else { return Ok(None) };
        self.guided += 1;
        (self.actions, self.weights) = (guide.previous, guide.weights);
        // Rows that the old chunk has not are there, but weigh nothing.
        self.actions.resize(self.plan.horizon * self.straight.len(), 0.0);
        Ok(Some(Guide { actions: &self.actions, weights: &self.weights }))
    }

    /// The policy made a chunk, of an observation at `observed_at`. It guides once it is said to run.
    pub fn made(&mut self, policy: &impl GuidedPolicy, observed_at: Stamp, joints: &[f64]) {
        let actions = policy.last_actions();
        if actions.is_empty() {
            return;
        }
        // The buffers of the oldest serve the newest.
        let (mut raw, mut from) = match self.made.len() {
            REMEMBERED.. => self.made.pop_front().unwrap_or_else(Self::nothing),
            _ => Self::nothing(),
        };
        raw.observed_at = observed_at;
        raw.columns = self.straight.len();
        raw.actions.clear();
        raw.actions.extend_from_slice(actions);
        from.clear();
        from.extend_from_slice(joints);
        self.made.push_back((raw, from));
    }

    fn nothing() -> (RawChunk, Vec<f64>) {
        (RawChunk { observed_at: Stamp::ZERO, actions: Vec::new(), columns: 0 }, Vec::new())
    }

    /// Which chunk is followed; none where the robot stands still, so that nothing goes on while the policy thinks.
    pub fn runs(&mut self, chunk: Option<Stamp>) {
        self.running = chunk;
    }

    /// A chunk took over from another one, `delay` seconds after its observation: says how late the next will be.
    pub fn followed(&mut self, delay: f64) {
        self.delays.learn(consumed(delay, self.plan.step));
    }

    /// Actions that the policy is expected to take.
    pub fn predicted(&self) -> usize {
        self.delays.predicted()
    }

    /// How many guides there were; forgets it.
    pub fn take_guided(&mut self) -> u64 {
        std::mem::take(&mut self.guided)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Actions are relative to the first joint.
    struct Fake {
        last: Vec<f64>,
    }

    impl GuidedPolicy for Fake {
        fn last_actions(&self) -> &[f64] {
            &self.last
        }

        fn rebase(&self, actions: &mut [f64], from: &[f64], to: &[f64]) {
            actions.iter_mut().for_each(|a| *a += from[0] - to[0]);
        }
    }

    fn at(seconds: f64) -> Stamp {
        Stamp::from_nanos(1_000_000_000).offset_seconds(seconds)
    }

    fn chunking(latency: f64) -> Chunking {
        Chunking::new(16, 0.1, 2, vec![false], latency)
    }

    fn fake() -> Fake {
        Fake { last: (1..=16).map(|k| 0.01 * k as f64).collect() }
    }

    #[test]
    fn the_guide_is_the_rest_of_the_running_chunk_seen_from_where_the_tool_is_now() {
        let (mut chunking, policy) = (chunking(0.28), fake());
        assert!(chunking.guide(&policy, at(0.0), &[0.5]).unwrap().is_none(), "nothing runs yet");
        chunking.made(&policy, at(0.0), &[0.5]);
        assert!(chunking.guide(&policy, at(0.3), &[0.5]).unwrap().is_none(), "made, but not there yet");
        chunking.runs(Some(at(0.0)));
        let guide = chunking.guide(&policy, at(0.3), &[0.53]).unwrap().unwrap();
        // The tool has moved by 0.03, and so has the row that is due next.
        for (k, action) in guide.actions.iter().take(13).enumerate() {
            assert!((action - 0.01 * (k + 1) as f64).abs() < 1e-9, "row {k}: {action}");
        }
        assert_eq!((guide.actions.len(), guide.weights.len()), (16, 16));
        assert!(guide.weights[13..].iter().all(|w| *w == 0.0), "what the old chunk has not weighs nothing");
        // 280 ms are three actions, until more is known.
        assert!(guide.weights[2] == 1.0 && guide.weights[3] < 1.0, "{:?}", guide.weights);
        assert_eq!((chunking.take_guided(), chunking.take_guided()), (1, 0));
    }

    #[test]
    fn delays_are_learnt_from_seams() {
        let (mut chunking, policy) = (chunking(0.1), fake());
        // The first is left out.
        (0..2).for_each(|_| chunking.followed(0.45));
        chunking.made(&policy, at(0.0), &[0.0]);
        chunking.runs(Some(at(0.0)));
        let guide = chunking.guide(&policy, at(0.2), &[0.0]).unwrap().unwrap();
        assert!(guide.weights[4] == 1.0 && guide.weights[5] < 1.0, "{:?}", guide.weights);
    }

    #[test]
    fn what_is_not_followed_guides_nothing() {
        let (mut chunking, policy) = (chunking(0.1), fake());
        chunking.made(&policy, at(0.0), &[0.0]);
        chunking.runs(None);
        assert!(chunking.guide(&policy, at(0.2), &[0.0]).unwrap().is_none(), "refused");
        chunking.runs(Some(at(0.0)));
        chunking.runs(None);
        assert!(chunking.guide(&policy, at(0.2), &[0.0]).unwrap().is_none(), "stopped");
        let mut chunking = self::chunking(0.1);
        chunking.made(&Fake { last: Vec::new() }, at(0.0), &[0.0]);
        chunking.runs(Some(at(0.0)));
        assert!(chunking.guide(&policy, at(0.2), &[0.0]).unwrap().is_none(), "a policy that cannot be guided");
    }

    #[test]
    fn a_chunk_that_goes_on_guides_although_later_ones_were_made_and_refused() {
        let (mut chunking, policy) = (chunking(0.1), fake());
        chunking.made(&policy, at(0.0), &[0.0]);
        for k in 1..REMEMBERED {
            chunking.made(&policy, at(0.01 * k as f64), &[0.0]);
        }
        chunking.runs(Some(at(0.0)));
        assert!(chunking.guide(&policy, at(0.2), &[0.0]).unwrap().is_some());
        chunking.made(&policy, at(0.1), &[0.0]);
        assert!(chunking.guide(&policy, at(0.2), &[0.0]).unwrap().is_none(), "too many since");
        chunking.runs(Some(at(7.0)));
        assert!(chunking.guide(&policy, at(0.2), &[0.0]).unwrap().is_none(), "somebody else's");
    }
}
