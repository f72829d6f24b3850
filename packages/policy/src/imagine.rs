//! What an action would lead to: the door for world models.
//!
//! A world model is one file in `imagine/`, and one line in the list of `imagine/registry.rs`. A crate of its own can add one with [`register`];
//! `packages/examples/src/toy_world.rs` does. What is shipped is not learned: [`kinematic`] says that joints go where they are sent.

pub mod kinematic;
mod registry;

pub use registry::{Entry, Make, Named, named, names, register};

use crate::Observation;
use efm_core::{JointLimits, JointNames, Reason};

/// What a world model is made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    /// Joints of observations and actions, in order.
    pub joints: JointNames,
    /// Their limits, one a joint: rad or m, and seconds.
    pub limits: Vec<JointLimits>,
    /// Seconds that an action lasts.
    pub step: f64,
}

/// What is believed of the world at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Belief {
    /// Where the joints are, rad or m, one a joint of [`Space::joints`].
    pub joints: Vec<f64>,
    /// What else the kind of world model carries from moment to moment, of a length and a meaning of its own. Empty where it carries nothing.
    pub latent: Vec<f32>,
}

/// The moment before an observation.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// What was believed then.
    pub belief: &'a Belief,
    /// What was done since, as [`Imagine::step`] takes it, where that is known.
    pub action: Option<&'a [f64]>,
}

/// What an action leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Imagined {
    /// What would be believed a step later.
    pub belief: Belief,
    /// How good that is, the more the better, in a unit of the kind's own: only values of one kind can be compared. `None`: it has no opinion.
    pub value: Option<f64>,
    /// Chance that the episode is over by then, 0 to 1. `None`: it has no opinion.
    pub end: Option<f64>,
    /// How unsure that is: standard deviation of a joint's position, rad or m, of the least certain joint; 0 or more. `None`: it does not know, which is
    /// not 0.
    pub spread: Option<f64>,
}

/// A world model. The same calls in the same order give the same beliefs, bit by bit: no clock, no file, no random numbers but from a fixed seed.
pub trait Imagine {
    /// What is believed with this observation. `before` is the moment one step before it, `None` where nothing is known of it.
    ///
    /// # Errors
    /// When the observation does not fit: a camera or a joint, by name.
    fn observe(&mut self, before: Option<Before<'_>>, observation: &Observation<'_>) -> Result<Belief, Reason>;

    /// What an action would lead to a step later. `action`: where each joint is sent, rad or m, one a joint of [`Space::joints`]; a row of a chunk.
    ///
    /// # Errors
    /// When belief or action do not fit.
    fn step(&mut self, belief: &Belief, action: &[f64]) -> Result<Imagined, Reason>;
}
