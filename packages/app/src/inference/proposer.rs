//! Who makes chunks: the door for proposers.
//!
//! A proposer is one file, and one line in the list of [`proposers`](super::proposers). The parameter `proposer` of `vla_inference` chooses it;
//! node, evaluation and replay drive it through [`Worker`](super::engine::Worker). A toy is `packages/examples/src/toy_proposer.rs`.

use crate::inference::engine::{ActError, Acted, Opened, Setup, Sight};
use efm_core::Reason;
use efm_policy::Policy;

/// Makes chunks from what is seen. It lives on one thread, from [`Self::open`] on, and is asked for one thing at a time.
///
/// What it answers must follow from what it was asked since it was opened, and from the set-up: no clock decides, no file that changes, no random numbers
/// but from [`Sight::noise_seed`]. Then a recording can be replayed. Whatever it proposes, the filter of `trajectory_publisher` has the last word.
pub trait Proposer {
    /// Gets ready for the robot of this URDF. What is looked at (cameras, joints, history) is what the manifest of the package in `Setup::folder` says.
    ///
    /// # Errors
    /// When the package or anything else does not fit: the text names it. Nothing more is asked of it then.
    fn open(&mut self, urdf: &str) -> Result<Opened, Reason>;

    /// Begins a goal, in words. Until the first one nothing is proposed.
    ///
    /// # Errors
    /// When the sentence cannot be taken, and why. Nothing is proposed until the next one.
    fn tell(&mut self, sentence: &str) -> Result<(), Reason>;

    /// A chunk for what is seen: positions in rad or m, of the joints of the package in their order; row `k` is due `k + 1` steps after `sight.stamp`.
    ///
    /// # Errors
    /// When there is none, and why. It is asked again with the next look.
    fn propose(&mut self, sight: &Sight) -> Result<Acted, ActError>;

    /// Nothing of what was made before guides what is made from now on, and nothing is known of how long it takes: as after opening. The goal stays.
    fn forget(&mut self) {}

    /// The policy that it asks, where that is one of this process.
    fn policy(&self) -> Option<&Policy> {
        None
    }
}

/// A proposer that can be chosen by its name.
pub trait Named: Proposer + Sized + 'static {
    /// As the parameter `proposer` has it.
    const NAME: &'static str;

    /// One that is not open yet. What can be wrong is told by [`Proposer::open`].
    fn new(setup: &Setup) -> Self;
}
