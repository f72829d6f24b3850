//! A world model that holds every joint within its limits: it goes where it is sent, as far as its speed and its range let it. The less of the way is
//! left undone, the better it finds that.
//!
//! Added by `efm_policy::imagine::register::<Clamped>()` where a program starts, and chosen by name (`world_model: clamped`); one of this repository
//! stands in `packages/policy/src/imagine/` instead and has its line in `registry.rs`.

use efm_core::{Level, Reason};
use efm_policy::Observation;
use efm_policy::imagine::{Before, Belief, Imagine, Imagined, Named, Space};

/// See the module.
#[derive(Debug, Clone)]
pub struct Clamped {
    space: Space,
}

impl Named for Clamped {
    const NAME: &'static str = "clamped";

    fn new(space: &Space) -> Result<Self, Reason> {
        let (joints, limits) = (space.joints.len(), space.limits.len());
        if joints != limits {
            let text = format!("the world model 'clamped' has {limits} limits for {joints} joints");
            return Err(Reason::new("world_model_limits", Level::Error, text, "give the limits of every joint"));
        }
        Ok(Self { space: space.clone() })
    }
}

impl Imagine for Clamped {
    fn observe(&mut self, _before: Option<Before<'_>>, observation: &Observation<'_>) -> Result<Belief, Reason> {
        Ok(Belief { joints: observation.joints.positions.clone(), latent: Vec::new() })
    }

    fn step(&mut self, belief: &Belief, action: &[f64]) -> Result<Imagined, Reason> {
        let wanted = self.space.joints.len();
        if belief.joints.len() != wanted || action.len() != wanted {
            let text = format!("{} joints are sent to {} places, of {wanted}", belief.joints.len(), action.len());
            return Err(Reason::new("world_model_values", Level::Error, text, "give one number a joint"));
        }
        let (mut joints, mut undone) = (Vec::with_capacity(wanted), 0.0);
        for ((at, to), limits) in belief.joints.iter().zip(action).zip(&self.space.limits) {
            let far = limits.velocity * self.space.step;
            // Not `clamp`, which panics where an end is none.
            let reached = to.max(at - far).min(at + far).max(limits.lower).min(limits.upper);
            undone += (to - reached).abs();
            joints.push(reached);
        }
        let belief = Belief { joints, latent: Vec::new() };
        Ok(Imagined { belief, value: Some(-undone), end: None, spread: None })
    }
}
