//! The world model `kinematic`: joints go where they are sent, at once or after a lag of first order. Nothing else is in its world: no limits, no
//! contacts, no objects. It knows no value, no end and no spread.

use super::{Before, Belief, Imagine, Imagined, Named, Space};
use crate::Observation;
use efm_core::{Level, Reason};

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Kinematic {
    joints: usize,
    /// What remains of the way to the goal after a step, 0 to 1.
    remains: f64,
}

impl Kinematic {
    /// Joints that come nearer to where they are sent with this time constant, s; 0: at once.
    ///
    /// # Errors
    /// When the lag is no time, or a step none above 0.
    pub fn with_lag(space: &Space, lag: f64) -> Result<Self, Reason> {
        let is_time = |time: f64| time.is_finite() && time >= 0.0;
        if !is_time(lag) || !is_time(space.step) || space.step == 0.0 {
            let text = format!("the world model 'kinematic' has a lag of {lag} s and steps of {} s", space.step);
            let remedy = "give a lag of 0 s or more, and steps above 0 s";
            return Err(Reason::new("world_model_time", Level::Error, text, remedy));
        }
        let remains = if lag > 0.0 { (-space.step / lag).exp() } else { 0.0 };
        Ok(Self { joints: space.joints.len(), remains })
    }

    fn fits(&self, what: &str, values: &[f64]) -> Result<(), Reason> {
        if values.len() == self.joints && values.iter().all(|value| value.is_finite()) {
            return Ok(());
        }
        let text = format!("{what} has {} values, {values:?}, for {} joints", values.len(), self.joints);
        Err(Reason::new("world_model_values", Level::Error, text, "give one finite number a joint"))
    }
}

impl Named for Kinematic {
    const NAME: &'static str = "kinematic";

    fn new(space: &Space) -> Result<Self, Reason> {
        Self::with_lag(space, 0.0)
    }
}

impl Imagine for Kinematic {
    fn observe(&mut self, _before: Option<Before<'_>>, observation: &Observation<'_>) -> Result<Belief, Reason> {
        let joints = observation.joints.positions.clone();
        self.fits("the observation", &joints)?;
        Ok(Belief { joints, latent: Vec::new() })
    }

    fn step(&mut self, belief: &Belief, action: &[f64]) -> Result<Imagined, Reason> {
        self.fits("the belief", &belief.joints)?;
        self.fits("the action", action)?;
        let ways = belief.joints.iter().zip(action);
        let joints = ways.map(|(at, to)| to + self.remains * (at - to)).collect();
        Ok(Imagined { belief: Belief { joints, latent: Vec::new() }, value: None, end: None, spread: None })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_core::{JointNames, JointSample, Stamp};

    fn space(step: f64) -> Space {
        Space { joints: JointNames::new(["a", "b"]).unwrap(), limits: Vec::new(), step }
    }

    fn seen(model: &mut Kinematic, positions: &[f64]) -> Result<Belief, Reason> {
        let joints = JointSample { stamp: Stamp::ZERO, positions: positions.to_vec(), velocities: Vec::new() };
        let observation = Observation { stamp: Stamp::ZERO, images: &[], joints: &joints, earlier: &[] };
        model.observe(None, &observation)
    }

    #[test]
    fn without_a_lag_joints_are_where_they_are_sent_a_step_later() {
        let mut model = Kinematic::new(&space(0.1)).unwrap();
        let belief = seen(&mut model, &[0.5, -0.5]).unwrap();
        assert_eq!(belief, Belief { joints: vec![0.5, -0.5], latent: vec![] });
        let next = model.step(&belief, &[0.7, -1.0]).unwrap();
        assert_eq!(next.belief.joints, [0.7, -1.0]);
        assert_eq!((next.value, next.end, next.spread), (None, None, None));
    }

    #[test]
    fn with_a_lag_they_come_nearer_as_first_order_does_whatever_the_steps() {
        let (mut coarse, mut fine) =
            (Kinematic::with_lag(&space(0.2), 0.1).unwrap(), Kinematic::with_lag(&space(0.1), 0.1).unwrap());
        let start = seen(&mut coarse, &[0.0, 1.0]).unwrap();
        let once = coarse.step(&start, &[1.0, 1.0]).unwrap().belief;
        let half = fine.step(&start, &[1.0, 1.0]).unwrap().belief;
        let twice = fine.step(&half, &[1.0, 1.0]).unwrap().belief;
        assert!((once.joints[0] - (1.0 - (-2.0_f64).exp())).abs() < 1e-12 && once.joints[1] == 1.0);
        assert!((once.joints[0] - twice.joints[0]).abs() < 1e-12);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_what_it_is() {
        let mut model = Kinematic::new(&space(0.1)).unwrap();
        let belief = seen(&mut model, &[0.5, -0.5]).unwrap();
        assert!(seen(&mut model, &[0.5]).unwrap_err().text.contains("the observation has 1 values"));
        assert!(seen(&mut model, &[0.5, f64::NAN]).unwrap_err().text.contains("NaN"));
        assert!(model.step(&belief, &[0.0; 3]).unwrap_err().text.contains("the action has 3 values"));
        let short = Belief { joints: vec![], latent: vec![] };
        assert!(model.step(&short, &[0.0; 2]).unwrap_err().text.contains("the belief has 0 values"));
        for (step, lag) in [(0.0, 0.0), (-0.1, 0.0), (0.1, -1.0), (0.1, f64::NAN), (f64::INFINITY, 0.0)] {
            assert_eq!(Kinematic::with_lag(&space(step), lag).unwrap_err().code, "world_model_time", "{step} {lag}");
        }
    }
}
