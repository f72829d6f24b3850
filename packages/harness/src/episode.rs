//! One episode from reset to verdict.

use crate::agent::{Agent, AgentError};
use crate::recorder::{failure_text, task_kind};
use crate::report::EpisodeOutcome;
use crate::rig::{Rig, RigError};
use efm_core::{ActionChunk, Stamp};
use efm_sim::tasks::TIME_LIMIT;
use efm_sim::world::STEP_NANOS;
use efm_sim::{Scene, World};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::time::Duration;

/// Why an episode broke off.
#[derive(Debug, thiserror::Error)]
pub enum EpisodeError {
    /// The agent.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The rig.
    #[error(transparent)]
    Rig(#[from] RigError),
}

/// How an episode is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpisodeOptions {
    /// Simulated time from an observation until its chunk reaches the streamer: what camera, transport and inference cost in the
    /// graph.
    pub delay: Duration,
    /// Longest episode, s.
    pub time_limit: f64,
}

impl Default for EpisodeOptions {
    fn default() -> Self {
        Self { delay: Duration::from_millis(60), time_limit: TIME_LIMIT }
    }
}

/// Runs the scene to success, to a final failure, or to the time limit.
///
/// # Errors
/// When agent or rig are broken; a failed task is not an error.
pub fn run(
    rig: &mut Rig,
    agent: &mut Agent,
    scene: Scene,
    options: EpisodeOptions,
) -> Result<EpisodeOutcome, EpisodeError> {
    let (seed, goal, task) = (scene.seed, scene.sentence.clone(), scene.task);
    agent.begin(&scene)?;
    rig.reset(scene)?;
    let period = agent.period().as_nanos() as i64;
    let mut under_way: VecDeque<(Stamp, ActionChunk)> = VecDeque::new();
    loop {
        let (t, verdict) = (rig.cell().elapsed(), *rig.cell().verdict());
        let over = verdict.success() || verdict.is_final() || t >= options.time_limit;
        if over {
            return Ok(EpisodeOutcome {
                seed,
                goal,
                kind: task_kind(task).to_owned(),
                object: task.object().words().to_owned(),
                success: verdict.success(),
                reason: failure_text(&verdict),
                seconds: t,
                state_hash: state_hash(rig.cell().world()),
            });
        }
        if rig.cell().world().time_nanos() % period < STEP_NANOS
            && let Some(chunk) = agent.act(rig)?
        {
            under_way.push_back((rig.cell().now() + options.delay, chunk));
        }
        while under_way.front().is_some_and(|(due, _)| *due <= rig.cell().now()) {
            if let Some((_, chunk)) = under_way.pop_front()
                && let Err(refusal) = rig.offer(&chunk)
            {
                log::debug!("seed {seed}, {t:.2} s: chunk refused: {refusal}");
            }
        }
        rig.step()?;
    }
}

/// A fingerprint of the whole physical state.
fn state_hash(world: &World) -> String {
    let (positions, velocities) = world.raw_state();
    let mut hash = Sha256::new();
    for value in positions.iter().chain(velocities) {
        hash.update(value.to_bits().to_le_bytes());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
