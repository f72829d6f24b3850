//! A policy package is tried out before it is opened: loaded, opened and its worked example repeated, in a process of its own with bounds
//! ([`crate::bounded`]). A graph that has no end, or takes all memory, ends there and not here.

use crate::bounded::{self, Bounds};
use crate::inference::engine::Setup;
use crate::inference::inference_params::specs;
use crate::inference::local;
use crate::reasons::{self, wrong};
use efm_config::Params;
use efm_core::{JointSample, Reason, Stamp};
use efm_policy::{Manifest, Observation, Policy, PolicyPackage, Provider};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

/// What raises the bounds of memory, processor time and time, in the node's words.
pub const RAISED_BY: [&str; 3] = ["parameter 'trial_memory'", "parameter 'trial_cpu_time'", "parameter 'trial_time'"];

/// Says that a policy is to be tried out, with what the process needs to be told.
#[derive(Debug, Clone)]
pub struct Trial {
    params: BTreeMap<String, serde_json::Value>,
    limits: String,
    /// Those that were chosen, in MB and s; 0: by the size of the files.
    chosen: [u64; 3],
}

/// What the process is told.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    params: BTreeMap<String, serde_json::Value>,
    folder: PathBuf,
    limits: String,
    urdf: String,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    /// The package's hash; or why it is refused.
    hash: Result<String, String>,
    /// What is odd about it, for people.
    odd: Option<String>,
}

impl Trial {
    /// As the parameters of `vla_inference` have it; none where they want none. `limits` is the text of `joint_limits_file`.
    pub fn new(params: &Params, limits: &str) -> Option<Self> {
        let number = |name: &str| u64::try_from(params.integer(name)).unwrap_or(0);
        params.bool("try_policy").then(|| Self {
            params: params.to_json(),
            limits: limits.to_owned(),
            chosen: ["trial_memory", "trial_cpu_time", "trial_time"].map(number),
        })
    }

    /// Tries the package of a set-up for a robot. Gives its hash: what is opened must be what was tried.
    ///
    /// # Errors
    /// Why it is refused, or which bound it did not keep, in words.
    pub fn of(&self, setup: &Setup, urdf: &str) -> Result<String, Reason> {
        let refuse = |why: String| wrong(reasons::POLICY_DOES_NOT_FIT, why, "");
        let manifest = Manifest::read(&setup.folder).map_err(|e| refuse(e.to_string()))?;
        let [memory, cpu, time] = self.chosen;
        let size = PolicyPackage::size_of(&setup.folder, &manifest, &setup.models_path);
        let bounds = Bounds::of_files(size).or(memory, cpu, time);
        let name = &manifest.policy.name;
        let failed = |why: &str| {
            let text = format!("policy '{name}' was tried out before it is used: {why}");
            wrong(reasons::POLICY_OUT_OF_BOUNDS, text, "")
        };
        let (params, folder) = (self.params.clone(), setup.folder.clone());
        let order = Order { params, folder, limits: self.limits.clone(), urdf: urdf.to_owned() };
        let order = serde_json::to_vec(&order).map_err(|e| failed(&e.to_string()))?;
        let done =
            bounded::run(&bounds, &[], order, true).map_err(|broken| failed(&broken.in_words(&bounds, RAISED_BY)))?;
        let Ok(answer) = serde_json::from_slice::<Answer>(&done.said) else {
            return Err(failed(&format!("it ends without an answer ({})", done.status)));
        };
        if let Some(odd) = answer.odd {
            log::warn!("policy '{name}': {odd}");
        }
        match answer.hash {
            Err(why) if bounded::is_about_memory(&why) => {
                Err(failed(&format!("{} ({why})", bounded::Broken::Memory.in_words(&bounds, RAISED_BY))))
            }
            other => other.map_err(refuse),
        }
    }
}

/// To be called first of all in an executable with `vla_inference`. In a process of [`Trial::of`] it does the work and does not come back.
pub fn serve_if_asked() {
    let Some((_, bounds)) = bounded::heed() else { return };
    // ONNX Runtime itself is no part of what is tried. That it is not there is told when it is looked for again.
    let _ = efm_policy::load_library();
    bounds.confine();
    /// Bytes of an order: the largest description of a robot, and the rest.
    const MOST: u64 = 64 << 20;
    let mut order = Vec::new();
    let read = std::io::stdin().take(MOST).read_to_end(&mut order).map_err(|e| e.to_string());
    let order = read.and_then(|_| serde_json::from_slice::<Order>(&order).map_err(|e| e.to_string()));
    let answer = match order.and_then(|order| attempt(&order)) {
        Ok((hash, odd)) => Answer { hash: Ok(hash), odd },
        Err(why) => Answer { hash: Err(why), odd: None },
    };
    println!("{}", serde_json::to_string(&answer).unwrap_or_default());
    bounded::leave(0)
}

/// Loads, opens and runs.
fn attempt(order: &Order) -> Result<(String, Option<String>), String> {
    let all =
        |errors: Vec<efm_config::ParamError>| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let params = Params::from_json(specs(), &order.params).map_err(all)?;
    let words = |reason: Reason| reason.in_words();
    let mut setup = Setup::new(&params, order.folder.clone(), &order.limits).map_err(words)?;
    // The bounds are for the processor's memory, and one thread has the same result.
    (setup.threads, setup.provider) = (1, Provider::Cpu);
    let mut policy = local::open(&setup, &order.urdf).map_err(words)?;
    let parity = policy.verify_golden().map_err(|e| format!("its worked example does not run: {e}"))?;
    let mismatch = policy
        .mismatch(&parity)
        .map(|why| format!("it does not repeat its exporter's run here; look at it with `efm policy check`: {why}"));
    let not_used = policy.not_used().iter().map(|sentence| format!("NOT CHECKED: {sentence}"));
    let odd: Vec<String> = mismatch.into_iter().chain(not_used).collect();
    let odd = (!odd.is_empty()).then(|| odd.join("; "));
    other_pictures(&mut policy);
    Ok((policy.package().hash().to_owned(), odd))
}

/// Looks at black and at white as well: what a graph takes may depend on what it sees. That there is no chunk for it is no trouble.
fn other_pictures(policy: &mut Policy) {
    let golden = policy.package().golden().clone();
    let names: Vec<String> = policy.manifest().cameras().map(str::to_owned).collect();
    let positions = golden.newest().joints.clone();
    let joints = JointSample { stamp: Stamp::ZERO, velocities: vec![0.0; positions.len()], positions };
    for brightness in [0, 255] {
        let pictures: Vec<Vec<u8>> = golden.newest().images.iter().map(|image| vec![brightness; image.len()]).collect();
        let images: Vec<_> = names.iter().map(String::as_str).zip(pictures.iter().map(Vec::as_slice)).collect();
        let observation = Observation { stamp: Stamp::ZERO, images: &images, joints: &joints, earlier: &[] };
        if let Err(error) = policy.act(&observation, &golden.goal, 0) {
            log::debug!("a picture all {brightness}: {error}");
        }
    }
}
