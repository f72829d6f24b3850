//! Which links touch in every configuration, or in none, found by sampling as MoveIt's setup assistant does: what an SRDF says, for a robot that has none.

use crate::checker::Checker;
use crate::error::CollisionError;
use crate::model::{CollisionModel, CollisionOptions};
use crate::obstacles::Obstacles;
use efm_core::JointNames;
use efm_robot::{RobotModel, Srdf};
use std::collections::BTreeMap;

/// How configurations are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// How many, at least 1. MoveIt's assistant takes 10,000.
    pub samples: usize,
    /// The same seed gives the same configurations.
    pub seed: u64,
    /// Share of the samples in which two links touch from which on they are said to do so always. MoveIt's assistant: 0.95.
    pub always: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { samples: 10_000, seed: 1, always: 0.95 }
    }
}

/// How two links stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meeting {
    /// One joint joins them.
    Adjacent,
    /// They touch where all joints stand at zero, or as near to it as their limits let them.
    Default,
    /// They touch in (nearly) all samples.
    Always,
    /// They touch in no sample.
    Never,
    /// They touch in some.
    Sometimes,
}

impl Meeting {
    /// As an SRDF gives its reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Adjacent => "Adjacent",
            Self::Default => "Default",
            Self::Always => "Always",
            Self::Never => "Never",
            Self::Sometimes => "Sometimes",
        }
    }
}

/// Two links that have bodies, and how often they touch.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledPair {
    /// The one that comes first in the description.
    pub link1: String,
    /// The other.
    pub link2: String,
    /// In how many samples they touched.
    pub touched: usize,
    /// What follows.
    pub meeting: Meeting,
}

/// Draws configurations of all joints of a robot within their limits (continuous ones within half a turn) and counts which links touch. Links that are
/// welded together, and pairs that `srdf` disables, are left out; pairs that one joint joins are [`Meeting::Adjacent`] without a look.
///
/// # Errors
/// When the robot has nothing that moves, or its bodies cannot be made: see [`CollisionModel::new`].
pub fn sampled_pairs(
    robot: &RobotModel,
    srdf: Option<&Srdf>,
    options: &CollisionOptions,
    sampling: &Sampling,
) -> Result<Vec<SampledPair>, CollisionError> {
    let moved: Vec<_> = robot.joints().iter().filter(|joint| joint.is_active()).collect();
    let joints = JointNames::new(moved.iter().map(|joint| joint.name.as_str()))
        .map_err(|error| CollisionError::Joint(error.to_string()))?;
    let model = CollisionModel::new(robot, srdf, &joints, &Obstacles::default(), options)?;
    let mut checker = Checker::new(&model);
    let ranges: Vec<_> = moved
        .iter()
        .map(|joint| {
            let (low, high) = (joint.limit.lower, joint.limit.upper);
            (low.unwrap_or(-std::f64::consts::PI), high.unwrap_or(std::f64::consts::PI))
        })
        .collect();
    let mut touched: BTreeMap<(String, String), usize> = BTreeMap::new();
    for pair in 0..model.pairs() {
        let (a, b) = model.pair_names(pair);
        touched.entry((a.to_owned(), b.to_owned())).or_default();
    }
    let mut q: Vec<f64> = ranges.iter().map(|(low, high)| 0.0_f64.max(*low).min(*high)).collect();
    let pair_of = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let at_zero: Vec<_> = checker.contacts(&model, &q).into_iter().map(|found| pair_of(&found.a, &found.b)).collect();
    let mut random = sampling.seed;
    for _ in 0..sampling.samples {
        for (q, (low, high)) in q.iter_mut().zip(&ranges) {
            *q = low + (high - low) * uniform(&mut random);
        }
        for found in checker.contacts(&model, &q) {
            if let Some(count) = touched.get_mut(&pair_of(&found.a, &found.b)) {
                *count += 1;
            }
        }
    }
    let place = |name: &str| robot.link_index(name).unwrap_or(usize::MAX);
    let mut pairs: Vec<SampledPair> = touched
        .into_iter()
        .map(|((a, b), touched)| {
            let meeting = match touched {
                _ if at_zero.contains(&(a.clone(), b.clone())) => Meeting::Default,
                0 => Meeting::Never,
                n if n as f64 >= sampling.always * sampling.samples as f64 => Meeting::Always,
                _ => Meeting::Sometimes,
            };
            let (link1, link2) = if place(&a) <= place(&b) { (a, b) } else { (b, a) };
            SampledPair { link1, link2, touched, meeting }
        })
        .collect();
    for (a, b) in model.adjacent_links() {
        pairs.push(SampledPair { link1: a, link2: b, touched: 0, meeting: Meeting::Adjacent });
    }
    pairs.sort_by_key(|pair| (place(&pair.link1), place(&pair.link2)));
    Ok(pairs)
}

/// From 0 to 1: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
