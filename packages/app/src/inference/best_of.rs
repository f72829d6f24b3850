//! The proposer `best_of`: it has several chunks made for one look, from other noise, imagines where each leads, and takes the best.
//!
//! What is shipped to judge by is poor: [`least_travel`], with a world model that knows joints only. It tells a calm chunk from a restless one, and
//! nothing of whether the task is done. It is here so that a better world model finds its place.

use crate::inference::engine::{ActError, Acted, Opened, Setup, Sight, described};
use crate::inference::proposer::{Named, Proposer};
use crate::reasons::{self, wrong};
use efm_core::{ActionChunk, JointLimits, Reason};
use efm_policy::imagine::{Belief, Imagine, Imagined, Space};
use efm_policy::{Observation, Policy};
use efm_robot::{LimitError, LimitSet};
use efm_schedule::Mode;
use std::time::Instant;

/// What a chunk costs, the less the better: from what is believed now, and what its rows lead to one after another.
pub type Cost = Box<dyn FnMut(&Belief, &[Imagined]) -> f64>;

/// See the module.
pub struct BestOf<P> {
    setup: Setup,
    asked: P,
    judge: Option<Judge>,
}

/// What imagines and judges.
struct Judge {
    model: Box<dyn Imagine>,
    cost: Cost,
}

impl<P: Named> Named for BestOf<P> {
    const NAME: &'static str = "best_of";

    fn new(setup: &Setup) -> Self {
        Self { setup: setup.clone(), asked: P::new(setup), judge: None }
    }
}

impl<P: Proposer> Proposer for BestOf<P> {
    fn open(&mut self, urdf: &str) -> Result<Opened, Reason> {
        self.judge = None;
        let opened = self.asked.open(urdf)?;
        let refuse = |why: &str| {
            let text = format!("proposer 'best_of': {why}");
            wrong(reasons::PROPOSER_DOES_NOT_FIT, text, "set parameter 'proposer' to policy")
        };
        let asks = || refuse("it needs a proposer that asks a policy of this process");
        let policy = self.asked.policy().ok_or_else(asks)?;
        if policy.manifest().runner.remembers() {
            return Err(refuse(
                "this policy remembers what it was asked, and would remember chunks that nobody follows",
            ));
        }
        if opened.guides && self.setup.mode == Mode::Rtc {
            return Err(refuse("in mode rtc a chunk continues the one that was made last, not the one that was taken"));
        }
        let space = space(&self.setup, policy, urdf)?;
        let model = (self.setup.world_model.make())(&space).map_err(|reason| refuse(&reason.in_words()))?;
        self.judge = Some(Judge { model, cost: least_travel(space.limits) });
        Ok(opened)
    }

    fn tell(&mut self, sentence: &str) -> Result<(), Reason> {
        self.asked.tell(sentence)
    }

    fn propose(&mut self, sight: &Sight) -> Result<Acted, ActError> {
        let began = Instant::now();
        let judge = self.judge.as_mut().ok_or(ActError::Closed)?;
        let mut look = sight.clone();
        let mut made = |seed| {
            look.noise_seed = seed;
            self.asked.propose(&look)
        };
        let acted = best(self.setup.candidates, sight.noise_seed, &mut made, |acted| judge.cost(sight, &acted.chunk))?;
        Ok(Acted { seconds: began.elapsed().as_secs_f64(), ..acted })
    }

    fn forget(&mut self) {
        self.asked.forget();
    }

    fn policy(&self) -> Option<&Policy> {
        self.asked.policy()
    }
}

impl Judge {
    fn cost(&mut self, sight: &Sight, chunk: &ActionChunk) -> Result<f64, Reason> {
        let images: Vec<_> = sight.pictures.iter().map(|(name, data)| (name.as_str(), data.as_slice())).collect();
        let observation = Observation { stamp: sight.stamp, images: &images, joints: &sight.joints, earlier: &[] };
        let now = self.model.observe(None, &observation)?;
        let mut path: Vec<Imagined> = Vec::with_capacity(chunk.horizon());
        for row in 0..chunk.horizon() {
            let before = path.last().map_or(&now, |imagined| &imagined.belief);
            path.push(self.model.step(before, chunk.row(row))?);
        }
        Ok((self.cost)(&now, &path))
    }
}

/// The cheapest of so many; of those that cost the same the first, which is what would be made without comparing. A cost that is no number is worse
/// than any. What cannot be made is left out; the first reason counts where none can.
fn best<T, E>(
    candidates: usize,
    seed: u64,
    make: &mut dyn FnMut(u64) -> Result<T, E>,
    mut cost: impl FnMut(&T) -> Result<f64, Reason>,
) -> Result<T, E>
where
    E: From<Reason>,
{
    let mut best: Option<(f64, T)> = None;
    let mut refused: Option<E> = None;
    for k in 0..candidates.max(1) as u64 {
        // The first is the seed itself. A node's next look has the next seed, so these lie far apart.
        match make(seed.wrapping_add(k.wrapping_mul(0x9e37_79b9_7f4a_7c15))) {
            Ok(made) => {
                let cost = cost(&made)?;
                let cost = if cost.is_nan() { f64::INFINITY } else { cost };
                if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                    best = Some((cost, made));
                }
            }
            Err(error) => drop(refused.get_or_insert(error)),
        }
    }
    let none = || wrong(reasons::NO_CANDIDATE, "no chunk was made", "").into();
    best.map(|(_, made)| made).ok_or_else(|| refused.unwrap_or_else(none))
}

/// How far the joints go, all in all: in seconds at each joint's highest speed.
pub fn least_travel(limits: Vec<JointLimits>) -> Cost {
    Box::new(move |now, path| {
        let mut from = &now.joints;
        let mut seconds = 0.0;
        for Imagined { belief, .. } in path {
            let ways = belief.joints.iter().zip(from).zip(&limits);
            seconds += ways.map(|((to, from), limits)| (to - from).abs() / limits.velocity).sum::<f64>();
            from = &belief.joints;
        }
        seconds
    })
}

/// The joints of the policy, as the robot has them.
fn space(setup: &Setup, policy: &Policy, urdf: &str) -> Result<Space, Reason> {
    let robot = described(urdf)?;
    let joints = policy.joints().clone();
    let misfit = |error: LimitError| wrong(reasons::POLICY_DOES_NOT_FIT, reasons::in_passing(&error.to_string()), "");
    let limits = LimitSet::new(&robot, &setup.limits, &joints).map_err(misfit)?;
    let limits = (0..joints.len()).filter_map(|place| limits.joint(place)).collect();
    Ok(Space { joints, limits, step: policy.manifest().action.step })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_core::Level;

    const LIMITS: JointLimits = JointLimits { lower: -1.0, upper: 1.0, velocity: 2.0, acceleration: 1.0, jerk: 1.0 };

    fn at(joints: &[f64]) -> Imagined {
        let belief = Belief { joints: joints.to_vec(), latent: vec![] };
        Imagined { belief, value: None, end: None, spread: None }
    }

    fn pick(costs: &[f64]) -> Result<usize, ActError> {
        let (mut asked, mut seeds) = (0, Vec::new());
        let picked = best(
            costs.len(),
            7,
            &mut |seed| {
                seeds.push(seed);
                asked += 1;
                if costs[asked - 1] < 0.0 { Err(ActError::Untold) } else { Ok(asked - 1) }
            },
            |k| Ok(costs[*k]),
        );
        assert_eq!(seeds[0], 7);
        seeds.dedup();
        assert_eq!(seeds.len(), costs.len());
        picked
    }

    #[test]
    fn the_cheapest_is_taken_and_of_equals_the_first() {
        assert_eq!(pick(&[3.0, 1.0, 2.0]).unwrap(), 1);
        assert_eq!(pick(&[1.0, 1.0]).unwrap(), 0);
        assert_eq!(pick(&[f64::NAN, 5.0]).unwrap(), 1);
        assert_eq!(pick(&[f64::NAN, f64::NAN]).unwrap(), 0);
    }

    #[test]
    fn what_cannot_be_made_is_left_out_and_none_is_a_reason() {
        assert_eq!(pick(&[-1.0, 4.0, -1.0]).unwrap(), 1);
        assert!(matches!(pick(&[-1.0, -1.0]), Err(ActError::Untold)));
        let broken = |_: &u64| Err(Reason::new("world_model_values", Level::Error, "no world", ""));
        let error = best(2, 0, &mut Ok::<_, ActError>, broken).unwrap_err();
        assert!(matches!(error, ActError::Reason(reason) if reason.code == "world_model_values"));
    }

    #[test]
    fn travel_counts_every_way_there_and_back_at_each_joints_own_speed() {
        let mut cost = least_travel(vec![LIMITS, JointLimits { velocity: 0.5, ..LIMITS }]);
        let now = at(&[0.0, 0.0]).belief;
        assert_eq!(cost(&now, &[]), 0.0);
        assert_eq!(cost(&now, &[at(&[1.0, 0.0]), at(&[0.0, 0.0])]), 1.0);
        assert_eq!(cost(&now, &[at(&[0.0, -1.0])]), 2.0);
    }
}
