//! Flow matching in two phases (pi0, SmolVLA): `encode` sees the observation once, `step` is evaluated many times.
//!
//! Training draws x_t = t * noise + (1 - t) * actions and regresses v = noise - actions, so following v backwards in time leads from
//! noise to actions. Here, as in openpi's `sample_actions`, by Euler's method: x += dt * v(x, t), dt = -1/steps, t = 1 - k/steps.
//!
//! A chunk that is to continue another is guided (Black, Galliker, Levine, "Real-Time Execution of Action Chunking Flow Policies", arXiv
//! 2506.07339, eq. 2 to 4): with the clean chunk a = x - t v that each step predicts, and the rows y to continue, weighted by w,
//! v is lessened by g w (y - a), where g = min(b, t / (1 - t) * ((1 - t)^2 + t^2) / t^2) and b = 10. (The paper's time is 1 - t. Its Jacobian
//! of a by x is taken as one, so that no gradient of the graph is needed.) Rows of weight one are what the robot will do in the meantime;
//! they end as they were.

use super::parts::{Encode, ObservationTensors, Stepper, TensorProblem, Tensors};
use super::{Bare, Family, FieldProblem, GoldenShape, Prefix, RunError, Runner, Section, Trace};
use crate::manifest::Manifest;
use crate::noise::fill_normal;
use crate::package::PolicyPackage;
use crate::runtime::{RuntimeError, RuntimeOptions};
use serde::Deserialize;

/// Largest weight of the guidance (the paper's beta).
const MOST_GUIDANCE: f32 = 10.0;

/// `encode` once, then `step` many times: `x += dt * v(x, t)`, `dt = -1/steps`, `t` from 1 (noise) to 0.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowMatchingSpec {
    /// Integration steps.
    pub steps: usize,
    /// Standard deviation of the starting noise; 0 starts at the mean and makes the policy deterministic.
    #[serde(default = "super::parts::one")]
    pub noise_scale: f64,
}

impl Section for FlowMatchingSpec {
    const TYPE: &'static str = "flow_matching";
}

impl Family for FlowMatchingSpec {
    fn graphs(&self) -> &'static [&'static str] {
        &["encode", "step"]
    }

    fn check(&self, _manifest: &Manifest) -> Result<(), FieldProblem> {
        if !(1..=1000).contains(&self.steps) {
            return Err(FieldProblem::of("steps", format!("is {}; expected 1 to 1000", self.steps)));
        }
        if !(0.0..=10.0).contains(&self.noise_scale) {
            return Err(FieldProblem::of("noise_scale", format!("is {}; expected 0 to 10", self.noise_scale)));
        }
        Ok(())
    }

    fn wires(&self, manifest: &Manifest) -> Result<(), FieldProblem> {
        Stepper::wires(manifest)
    }

    fn tensors(&self, tensors: &mut Tensors<'_>) -> Result<(), TensorProblem> {
        Stepper::tensors(tensors);
        Ok(())
    }

    fn noise_len(&self, sample: usize) -> usize {
        sample
    }

    fn draw(&self, seed: u64, _sample: usize, noise: &mut [f32]) {
        fill_normal(seed, self.noise_scale, noise);
    }

    fn noise_scale(&self) -> Option<f64> {
        Some(self.noise_scale)
    }

    fn golden(&self) -> GoldenShape {
        GoldenShape { context: Some("encode"), tokens: None }
    }

    fn continues(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        format!("flow matching in {} steps", self.steps)
    }

    fn bare(&self) -> Option<Bare> {
        Some(Bare { once: "encode", then: Some(("step", self.steps)) })
    }

    fn open(&self, package: &PolicyPackage, options: RuntimeOptions) -> Result<Box<dyn Runner>, RuntimeError> {
        Ok(Box::new(FlowMatching::open(package, self.steps, options)?))
    }
}

#[derive(Debug)]
struct FlowMatching {
    encode: Encode,
    stepper: Stepper,
    steps: usize,
}

impl FlowMatching {
    fn open(package: &PolicyPackage, steps: usize, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let encode = Encode::open(package, options)?;
        let stepper = Stepper::open(package, &encode, options)?;
        Ok(Self { encode, stepper, steps })
    }
}

impl Runner for FlowMatching {
    fn observation(&mut self) -> &mut ObservationTensors {
        &mut self.encode.observation
    }

    fn run(
        &mut self,
        noise: &[f32],
        prefix: Option<Prefix<'_>>,
        actions: &mut [f32],
        trace: Option<&mut Trace>,
    ) -> Result<(), RunError> {
        let Self { encode, stepper, steps } = self;
        let context = encode.run(trace)?;
        stepper.begin(noise);
        let dt = -1.0 / *steps as f32;
        for k in 0..*steps {
            // From k and not by adding up dt, so that the last time is not off by the sum of its roundings; in double precision, as networks that
            // are shown sines of 250 t (pi0, SmolVLA) see single roundings too.
            let now = (1.0 - k as f64 / *steps as f64) as f32;
            stepper.advance(&context, now, |x, v| match prefix {
                None => x.iter_mut().zip(v).for_each(|(x, v)| *x += dt * v),
                Some(prefix) => guided_step(x, v, now, dt, prefix),
            })?;
        }
        actions.copy_from_slice(stepper.sample());
        if let Some(prefix) = prefix {
            prefix.keep_frozen(actions);
        }
        Ok(())
    }
}

/// One step of Euler's method, guided; see the module.
fn guided_step(x: &mut [f32], v: &[f32], t: f32, dt: f32, prefix: Prefix<'_>) {
    let past = 1.0 - t;
    // At t = 1 the quotient is infinite, and the least of it and b is b.
    let guidance =
        if past > 0.0 { (t / past * (past * past + t * t) / (t * t)).min(MOST_GUIDANCE) } else { MOST_GUIDANCE };
    let columns = x.len() / prefix.weights.len();
    for (i, (x, v)) in x.iter_mut().zip(v).enumerate() {
        let missing = prefix.actions[i] - (*x - t * v);
        *x += dt * (v - guidance * prefix.weights[i / columns] * missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network that always wants `to` draws straight lines; guided, it ends between that and the prefix, the nearer to the prefix
    /// the more that counts, and where it does not count exactly where it would have ended.
    #[test]
    fn guidance_draws_each_row_towards_the_prefix_as_much_as_it_counts() {
        const STEPS: usize = 10;
        let (to, weights) = (1.0, [1.0, 0.9, 0.5, 0.1, 0.0]);
        let prefix = Prefix { actions: &[-1.0; 5], weights: &weights };
        let mut x = [0.3; 5];
        for k in 0..STEPS {
            let t = 1.0 - k as f32 / STEPS as f32;
            let v: Vec<f32> = x.iter().map(|x| (x - to) / t).collect();
            guided_step(&mut x, &v, t, -1.0 / STEPS as f32, prefix);
        }
        assert!((x[4] - to).abs() < 1.0e-6, "{x:?}");
        assert!(x.is_sorted(), "{x:?}");
        assert!((x[0] + 1.0).abs() < 0.3 && x[3] > 0.5, "{x:?}");
        prefix.keep_frozen(&mut x);
        assert_eq!(x[0], -1.0);
        assert!(x[1] > -1.0);
    }
}
