//! Denoising diffusion in two phases (Octo, Diffusion Policy): `encode` sees the observation once, `step` is evaluated many times.
//!
//! With abar_k the product of the alphas up to k, training draws x_k = sqrt(abar_k) a + sqrt(1 - abar_k) e and regresses e (`epsilon`), a (`sample`)
//! or v = sqrt(abar_k) e - sqrt(1 - abar_k) a (`velocity`; Salimans and Ho, arXiv 2202.00512). Each is turned into e here.
//!
//! Steps are taken at every T/steps-th k (rounded down; `leading` in the diffusers package), from the highest down to 0. With abar_next that of
//! the step after it (1 in the end), alpha_k = abar_k / abar_next and beta_k = 1 - alpha_k:
//!
//! * **DDPM** (Ho, Jain, Abbeel, arXiv 2006.11239, algorithm 2): x <- (x - beta_k / sqrt(1 - abar_k) e) / sqrt(alpha_k) + sigma_k z, without z in
//!   the last; sigma_k^2 is beta_k (Octo's `action_heads.py`) or that of the posterior, (1 - abar_next) / (1 - abar_k) beta_k (diffusers).
//! * **DDIM** (Song, Meng, Ermon, arXiv 2010.02502, eq. 12 with sigma 0): x <- sqrt(abar_next) a + sqrt(1 - abar_next) e.
//!
//! Cut to +-clip is either the x that a step gives, or the a that it predicts: then e is what remains of x, or (diffusers' DDIM) stays as predicted.
//!
//! Cosine schedule (Nichol and Dhariwal, arXiv 2102.09672, eq. 17): beta_k = min(1 - f((k+1)/T) / f(k/T), 0.999),
//! f(u) = cos^2((u + 0.008) / 1.008 pi / 2). Linear: beta_k in equal steps from beta_start to beta_end; scaled linear: their square roots.
//!
//! A chunk that is to continue another is drawn to it in its clean form: a <- a + w (y - a) at each step, as inpainting does.

use super::parts::{Encode, ObservationTensors, Stepper, TensorProblem, Tensors};
use super::{Bare, Family, FieldProblem, GoldenShape, Prefix, RunError, Runner, Section, Trace};
use crate::manifest::Manifest;
use crate::noise::fill_normal;
use crate::package::PolicyPackage;
use crate::runtime::{RuntimeError, RuntimeOptions};
use serde::Deserialize;

/// How a diffusion policy is sampled.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffusionSpec {
    /// The way from noise to actions.
    pub scheduler: Sampler,
    /// Steps of noise in training.
    pub train_steps: usize,
    /// Steps of sampling, at every `train_steps / steps`-th (rounded down) of training.
    pub steps: usize,
    /// How much noise each step of training adds.
    pub schedule: NoiseSchedule,
    /// First beta of a schedule that goes from one to another.
    #[serde(default)]
    pub beta_start: Option<f64>,
    /// Its last.
    #[serde(default)]
    pub beta_end: Option<f64>,
    /// What the network was trained to tell.
    pub prediction: Prediction,
    /// Normalised values are cut to plus or minus this. None: not cut.
    #[serde(default)]
    pub clip: Option<f64>,
    /// What is cut; without it the sample by DDPM, the clean value by DDIM.
    #[serde(default)]
    pub clip_of: Option<ClipOf>,
    /// How much fresh noise DDPM adds.
    #[serde(default)]
    pub variance: Variance,
    /// Standard deviation of the sample that it starts from.
    #[serde(default = "super::parts::one")]
    pub noise_scale: f64,
}

/// The way from noise to actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// With fresh noise in each step.
    Ddpm,
    /// Without.
    Ddim,
}

/// How much noise each step of training adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseSchedule {
    /// `squaredcos_cap_v2`.
    Cosine,
    /// Betas in equal steps from `beta_start` to `beta_end`.
    Linear,
    /// Square roots of the betas in equal steps.
    ScaledLinear,
}

/// What is cut in a step of diffusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipOf {
    /// What the step gives (Octo).
    Sample,
    /// The clean value that the step predicts; the noise is what then remains (DDPM of the diffusers package).
    Clean,
    /// The clean value that the step predicts; the noise stays as predicted (DDIM of the diffusers package).
    CleanOnly,
}

/// Variance of the fresh noise of a step of DDPM, with beta that step's (Ho, Jain, Abbeel, arXiv 2006.11239, section 3.2: both do).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variance {
    /// beta (Octo).
    #[default]
    Beta,
    /// `(1 - abar_next) / (1 - abar) beta`: `fixed_small` of the diffusers package.
    Posterior,
}

/// What a denoising network tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// The clean sample.
    Sample,
    /// `sqrt(abar) noise - sqrt(1 - abar) sample`.
    Velocity,
}

impl Section for DiffusionSpec {
    const TYPE: &'static str = "diffusion";
}

impl Family for DiffusionSpec {
    fn graphs(&self) -> &'static [&'static str] {
        &["encode", "step"]
    }

    fn check(&self, _manifest: &Manifest) -> Result<(), FieldProblem> {
        let wrong = |field: &str, problem: String| Err(FieldProblem::of(field, problem));
        if !(1..=1000).contains(&self.train_steps) {
            return wrong("train_steps", format!("is {}; expected 1 to 1000", self.train_steps));
        }
        if !(1..=self.train_steps).contains(&self.steps) {
            return wrong("steps", format!("is {}; expected 1 to train_steps ({})", self.steps, self.train_steps));
        }
        match (self.schedule, self.beta_start, self.beta_end) {
            (NoiseSchedule::Cosine, None, None) => {}
            (NoiseSchedule::Cosine, start, _) => {
                let field = if start.is_some() { "beta_start" } else { "beta_end" };
                return wrong(field, "is not for the schedule cosine; expected none".into());
            }
            (_, start, end) => {
                for (field, beta) in [("beta_start", start), ("beta_end", end)] {
                    match beta {
                        None => {
                            return wrong(
                                field,
                                "is missing, but the schedule goes from beta_start to beta_end".into(),
                            );
                        }
                        // NaN is neither.
                        Some(beta) if !(beta > 0.0 && beta < 1.0) => {
                            return wrong(field, format!("is {beta}; expected a number between 0 and 1"));
                        }
                        Some(_) => {}
                    }
                }
            }
        }
        if self.clip_of.is_some() && self.clip.is_none() {
            return wrong("clip_of", "says what is cut, but `clip`, how far, is missing".into());
        }
        if self.variance != Variance::Beta && self.scheduler != Sampler::Ddpm {
            return wrong("variance", "is only for ddpm: ddim adds no noise".into());
        }
        if let Some(clip) = self.clip.filter(|clip| !(clip.is_finite() && *clip > 0.0)) {
            return wrong("clip", format!("is {clip}; expected a positive number"));
        }
        if !(0.0..=10.0).contains(&self.noise_scale) {
            return wrong("noise_scale", format!("is {}; expected 0 to 10", self.noise_scale));
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
        sample + z_values(self, sample)
    }

    fn draw(&self, seed: u64, sample: usize, noise: &mut [f32]) {
        // Only changes the numbers: any other function of the seed would do.
        const FRESH: u64 = 0x5851_f42d_4c95_7f2d;
        let (first, fresh) = noise.split_at_mut(sample);
        fill_normal(seed, self.noise_scale, first);
        fill_normal(seed ^ FRESH, 1.0, fresh);
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
        let scheduler = if self.scheduler == Sampler::Ddpm { "DDPM" } else { "DDIM" };
        format!("diffusion ({scheduler}) in {} of {} steps", self.steps, self.train_steps)
    }

    fn bare(&self) -> Option<Bare> {
        Some(Bare { once: "encode", then: Some(("step", self.steps)) })
    }

    fn open(&self, package: &PolicyPackage, options: RuntimeOptions) -> Result<Box<dyn Runner>, RuntimeError> {
        Ok(Box::new(Diffusion::open(package, self, options)?))
    }
}

#[derive(Debug)]
struct Diffusion {
    encode: Encode,
    stepper: Stepper,
    spec: DiffusionSpec,
    plan: Vec<Stage>,
}

/// One step of the sampler.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stage {
    /// The integer that `step` is told.
    time: usize,
    abar: f64,
    /// Of the step after it; 1 in the last.
    abar_next: f64,
    /// abar / abar_next, rounded as the abars are.
    alpha: f64,
}

/// How many values of fresh noise the steps of a sampler draw beside the first sample, for chunks of `chunk` values.
fn z_values(spec: &DiffusionSpec, chunk: usize) -> usize {
    match spec.scheduler {
        Sampler::Ddpm => (spec.steps - 1) * chunk,
        Sampler::Ddim => 0,
    }
}

/// Products of the alphas up to each k, rounded to float32 where torch (diffusers) and JAX (Octo) do: where little noise is left, 1 - abar is of the
/// order of those roundings, and networks were trained with them.
fn abars(spec: &DiffusionSpec) -> Vec<f64> {
    let steps = spec.train_steps;
    let f = |u: f64| ((u + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
    let at = |k: usize| f(k as f64 / steps as f64);
    // Given for the schedules that use them: the manifest was checked.
    let (start, end) = (spec.beta_start.unwrap_or_default(), spec.beta_end.unwrap_or_default());
    let between = |from: f64, to: f64, k: usize| from + (to - from) * k as f64 / (steps - 1).max(1) as f64;
    let beta = |k: usize| match spec.schedule {
        NoiseSchedule::Cosine => (1.0 - at(k + 1) / at(k)).min(0.999),
        NoiseSchedule::Linear => between(start, end, k),
        NoiseSchedule::ScaledLinear => between(start.sqrt(), end.sqrt(), k).powi(2),
    };
    let alphas = (0..steps).map(|k| f64::from(1.0 - beta(k) as f32));
    alphas
        .scan(1.0, |product, alpha| {
            *product *= alpha;
            Some(f64::from(*product as f32))
        })
        .collect()
}

fn plan(spec: &DiffusionSpec) -> Vec<Stage> {
    let abars = abars(spec);
    let times: Vec<usize> = (0..spec.steps).rev().map(|i| i * (spec.train_steps / spec.steps)).collect();
    let stage = |i: usize, time: usize| {
        let (abar, abar_next) = (abars[time], times.get(i + 1).map_or(1.0, |next| abars[*next]));
        Stage { time, abar, abar_next, alpha: f64::from((abar / abar_next) as f32) }
    };
    times.iter().enumerate().map(|(i, time)| stage(i, *time)).collect()
}

impl Stage {
    /// The clean value and the noise in `x`, from what the network predicts.
    fn parts(&self, prediction: Prediction, x: f64, predicted: f64) -> (f64, f64) {
        let (signal, noise) = (self.abar.sqrt(), (1.0 - self.abar).sqrt());
        match prediction {
            Prediction::Epsilon => ((x - noise * predicted) / signal, predicted),
            Prediction::Sample => (predicted, (x - signal * predicted) / noise),
            Prediction::Velocity => (signal * x - noise * predicted, signal * predicted + noise * x),
        }
    }

    /// The noise in `x` where its clean value is `clean`.
    fn noise_of(&self, x: f64, clean: f64) -> f64 {
        (x - self.abar.sqrt() * clean) / (1.0 - self.abar).sqrt()
    }

    /// Takes one value a step further, as [`Self::next_or_cut`] without saying whether it was cut.
    #[cfg(test)]
    fn next(&self, spec: &DiffusionSpec, x: f64, predicted: f64, drawn: Option<(f64, f64)>, z: f64) -> f64 {
        self.next_or_cut(spec, x, predicted, drawn, z).0
    }

    /// Takes one value a step further, and says whether anything was cut. `drawn`: what it is to continue, and how much that counts. `z`: fresh noise.
    fn next_or_cut(
        &self,
        spec: &DiffusionSpec,
        x: f64,
        predicted: f64,
        drawn: Option<(f64, f64)>,
        z: f64,
    ) -> (f64, bool) {
        let (mut clean, mut noise) = self.parts(spec.prediction, x, predicted);
        if let Some((to, weight)) = drawn {
            clean += weight * (to - clean);
            noise = self.noise_of(x, clean);
        }
        let clip = spec.clip.unwrap_or(f64::INFINITY);
        let clip_of = spec.clip_of.unwrap_or(match spec.scheduler {
            Sampler::Ddpm => ClipOf::Sample,
            Sampler::Ddim => ClipOf::Clean,
        });
        let mut cut = clip_of != ClipOf::Sample && clean.abs() > clip;
        if cut {
            clean = clean.clamp(-clip, clip);
            if clip_of == ClipOf::Clean {
                noise = self.noise_of(x, clean);
            }
        }
        let next = match spec.scheduler {
            Sampler::Ddpm => {
                let beta = 1.0 - self.alpha;
                let variance = match spec.variance {
                    Variance::Beta => beta,
                    Variance::Posterior => (1.0 - self.abar_next) / (1.0 - self.abar) * beta,
                };
                (x - beta / (1.0 - self.abar).sqrt() * noise) / self.alpha.sqrt() + variance.sqrt() * z
            }
            Sampler::Ddim => self.abar_next.sqrt() * clean + (1.0 - self.abar_next).sqrt() * noise,
        };
        if clip_of != ClipOf::Sample {
            return (next, cut);
        }
        cut = next.abs() > clip;
        (next.clamp(-clip, clip), cut)
    }
}

impl Diffusion {
    fn open(package: &PolicyPackage, spec: &DiffusionSpec, options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let encode = Encode::open(package, options)?;
        let stepper = Stepper::open(package, &encode, options)?;
        Ok(Self { encode, stepper, plan: plan(spec), spec: spec.clone() })
    }
}

impl Runner for Diffusion {
    fn observation(&mut self) -> &mut ObservationTensors {
        &mut self.encode.observation
    }

    fn run(
        &mut self,
        noise: &[f32],
        prefix: Option<Prefix<'_>>,
        actions: &mut [f32],
        mut trace: Option<&mut Trace>,
    ) -> Result<(), RunError> {
        let Self { encode, stepper, spec, plan } = self;
        let context = encode.run(trace.as_deref_mut())?;
        let mut any_cut = false;
        let (first, fresh) = noise.split_at(actions.len());
        let mut fresh = fresh.chunks(actions.len());
        let columns = prefix.map_or(1, |p| actions.len() / p.weights.len());
        stepper.begin(first);
        for stage in plan.iter() {
            // DDPM draws for every step but the last, for which nothing is left.
            let z = fresh.next();
            stepper.advance(&context, stage.time as f32, |x, predicted| {
                for (i, x) in x.iter_mut().enumerate() {
                    let drawn = prefix.map(|p| (f64::from(p.actions[i]), f64::from(p.weights[i / columns])));
                    let z = z.map_or(0.0, |z| f64::from(z[i]));
                    let (next, cut) = stage.next_or_cut(spec, f64::from(*x), f64::from(predicted[i]), drawn, z);
                    any_cut |= cut;
                    *x = next as f32;
                }
            })?;
        }
        if let Some(trace) = trace
            && spec.clip.is_some()
            && !any_cut
        {
            trace.idle.push("runner.clip and runner.clip_of");
        }
        actions.copy_from_slice(stepper.sample());
        if let Some(prefix) = prefix {
            prefix.keep_frozen(actions);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn spec(scheduler: Sampler, steps: usize, prediction: Prediction) -> DiffusionSpec {
        DiffusionSpec {
            scheduler,
            train_steps: 20,
            steps,
            schedule: NoiseSchedule::Cosine,
            beta_start: None,
            beta_end: None,
            prediction,
            clip: Some(5.0),
            clip_of: None,
            variance: Variance::Beta,
            noise_scale: 1.0,
        }
    }

    /// Values of `betas_for_alpha_bar` of the diffusers package's formula, computed apart from this code with 50 digits.
    #[test]
    fn the_cosine_schedule_has_the_published_values() {
        let abars = abars(&spec(Sampler::Ddpm, 20, Prediction::Epsilon));
        assert_eq!(abars.len(), 20);
        let f = |u: f64| {
            ((u + 0.008) / 1.008 * std::f64::consts::PI / 2.0).cos().powi(2)
                / f64::cos(0.008 / 1.008 * std::f64::consts::PI / 2.0).powi(2)
        };
        // Where no beta was cut the product telescopes to f(k) / f(0).
        for (k, abar) in abars.iter().enumerate().take(19) {
            assert!((abar - f((k + 1) as f64 / 20.0)).abs() < 1.0e-6, "{k}");
        }
        assert!((abars[19] / abars[18] - 0.001).abs() < 1.0e-7, "the last beta is cut to 0.999");
        assert!((abars[9] - 0.493_8).abs() < 1.0e-3, "{}", abars[9]);
    }

    #[test]
    fn ddim_looks_at_evenly_spaced_times_and_ends_clean() {
        let stages = plan(&spec(Sampler::Ddim, 5, Prediction::Epsilon));
        assert_eq!(stages.iter().map(|s| s.time).collect::<Vec<_>>(), [16, 12, 8, 4, 0]);
        assert_eq!(stages[4].abar_next, 1.0);
        assert!(stages.windows(2).all(|w| w[0].abar_next == w[1].abar));
        // 20 by 6 is 3 and something: the highest steps are left out, as the diffusers package does.
        let stages = plan(&spec(Sampler::Ddim, 6, Prediction::Epsilon));
        assert_eq!(stages.iter().map(|s| s.time).collect::<Vec<_>>(), [15, 12, 9, 6, 3, 0]);
    }

    /// One step of `DDPMScheduler` and `DDIMScheduler` of diffusers 0.35.2 from t = 14 of 20, sampled in 10, with betas from 1e-4 to 0.02,
    /// clip_sample_range = 1 and (DDPM) the fresh noise 0.5: for x = 0.7 where the network says -2.0 (which is cut), and x = 0.3 where it says 0.4.
    #[test]
    fn a_step_cut_as_in_the_diffusers_package_has_its_values() {
        let (ddpm, ddim) = ((Sampler::Ddpm, ClipOf::Clean), (Sampler::Ddim, ClipOf::CleanOnly));
        let (linear, scaled) = (NoiseSchedule::Linear, NoiseSchedule::ScaledLinear);
        for ((scheduler, clip_of), schedule, cut, uncut) in [
            (ddpm, linear, 0.849_588_75, 0.342_126_16),
            (ddpm, scaled, 0.859_411_12, 0.328_837_84),
            (ddim, linear, 0.393_554_27, 0.285_348_15),
            (ddim, scaled, 0.566_825_51, 0.284_297_79),
        ] {
            let spec = DiffusionSpec {
                schedule,
                beta_start: Some(1e-4),
                beta_end: Some(0.02),
                clip: Some(1.0),
                clip_of: Some(clip_of),
                variance: if scheduler == Sampler::Ddpm { Variance::Posterior } else { Variance::Beta },
                ..spec(scheduler, 10, Prediction::Epsilon)
            };
            let stage = plan(&spec)[2];
            assert_eq!(stage.time, 14);
            for (x, says, expected) in [(0.7, -2.0, cut), (0.3, 0.4, uncut)] {
                let next = stage.next(&spec, x, says, None, 0.5);
                assert!((next - expected).abs() < 2e-6, "{scheduler:?} {schedule:?}: {next} {expected}");
            }
        }
    }

    proptest! {
        /// Whatever a network is trained to predict, a perfect one leads a sampler to the same place.
        #[test]
        fn all_kinds_of_prediction_are_the_same(x in -3.0..3.0f64, clean in -2.0..2.0f64, z in -2.0..2.0f64, k in 0usize..20) {
            for scheduler in [Sampler::Ddpm, Sampler::Ddim] {
                let stage = plan(&spec(scheduler, 20, Prediction::Epsilon))[k];
                let (signal, noise) = (stage.abar.sqrt(), (1.0 - stage.abar).sqrt());
                let epsilon = (x - signal * clean) / noise;
                let velocity = signal * epsilon - noise * clean;
                let ends = [(Prediction::Epsilon, epsilon), (Prediction::Sample, clean), (Prediction::Velocity, velocity)]
                    .map(|(prediction, says)| stage.next(&spec(scheduler, 20, prediction), x, says, None, z));
                prop_assert!((ends[0] - ends[1]).abs() < 1e-6 && (ends[0] - ends[2]).abs() < 1e-6, "{:?}", ends);
            }
        }

        /// A network that knows the clean value leads there from any noise: by DDIM exactly.
        #[test]
        fn a_perfect_network_is_followed_to_its_end(start in -3.0..3.0f64, clean in -2.0..2.0f64, steps in 1usize..20) {
            let spec = spec(Sampler::Ddim, steps, Prediction::Sample);
            let end = plan(&spec).iter().fold(start, |x, stage| stage.next(&spec, x, clean, None, 0.0));
            prop_assert!((end - clean).abs() < 1e-9);
        }

        /// What is to be continued is reached where it counts fully, and does nothing where it does not.
        #[test]
        fn a_prefix_draws_the_clean_value(start in -3.0..3.0f64, clean in -2.0..2.0f64, to in -2.0..2.0f64) {
            for scheduler in [Sampler::Ddpm, Sampler::Ddim] {
                let spec = spec(scheduler, 20, Prediction::Sample);
                let end = |weight| plan(&spec).iter().fold(start, |x, stage| stage.next(&spec, x, clean, Some((to, weight)), 0.0));
                let free = plan(&spec).iter().fold(start, |x, stage| stage.next(&spec, x, clean, None, 0.0));
                prop_assert!((end(1.0) - to).abs() < 1e-6 && (end(0.0) - free).abs() < 1e-9);
            }
        }
    }
}
