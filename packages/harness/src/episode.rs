//! One episode from reset to verdict.

use crate::agent::{Agent, AgentError};
use crate::failure::{Observer, category};
use crate::recorder::failure_text;
use crate::report::EpisodeOutcome;
use crate::rig::{Rig, RigError};
use efm_core::{ActionChunk, Stamp};
use efm_schedule::{Mode, OnNewGoal};
use efm_sim::tasks::TIME_LIMIT;
use efm_sim::world::STEP_NANOS;
use efm_sim::{Scene, World, WorldError};
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
    /// A picture of whoever watches.
    #[error(transparent)]
    World(#[from] WorldError),
}

/// An instruction that replaces the first one in mid-episode.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewGoal {
    /// When it is given: seconds after the start.
    pub at: f64,
    /// What happens to the motion.
    pub rule: OnNewGoal,
}

/// How an episode is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpisodeOptions {
    /// Simulated time from an observation until its chunk reaches the streamer: what camera, transport and inference cost in the
    /// graph.
    pub delay: Duration,
    /// Longest episode, s.
    pub time_limit: f64,
    /// How one chunk follows another.
    pub mode: Mode,
    /// Whether the agent looks again only after its last chunk has reached the streamer, as a policy does that can think of one thing at a
    /// time; the arm moves on meanwhile. Otherwise it looks every period, however many chunks are under way.
    pub one_at_a_time: bool,
    /// Where the agent is told something else first: when it is told the scene's own sentence.
    pub new_goal: Option<NewGoal>,
}

impl Default for EpisodeOptions {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(60),
            time_limit: TIME_LIMIT,
            mode: Mode::default(),
            one_at_a_time: false,
            new_goal: None,
        }
    }
}

/// What a policy looks back at is seen every so many nanoseconds: 30 Hz, as cameras do.
const CAMERA_NANOS: i64 = 33_333_333;
/// The observer looks every so many steps: every 10 ms.
const OBSERVE_NANOS: i64 = 5 * STEP_NANOS;

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
    run_watched(rig, agent, scene, None, options, &mut |_| Ok(()))
}

/// As [`run`]. The agent is told `told` where that is given, and judged by the scene's own task all the same. `watch` is called
/// before every physics step and once at the end; it may draw, which changes nothing.
///
/// # Errors
/// When agent, rig or `watch` are broken.
pub fn run_watched(
    rig: &mut Rig,
    agent: &mut Agent,
    scene: Scene,
    told: Option<&str>,
    options: EpisodeOptions,
    watch: &mut dyn FnMut(&mut Rig) -> Result<(), EpisodeError>,
) -> Result<EpisodeOutcome, EpisodeError> {
    let mut outcome = EpisodeOutcome::of(&scene, told);
    agent.begin_told(&scene, &outcome.goal)?;
    let own_sentence = scene.sentence.clone();
    if let Some(new) = options.new_goal {
        rig.on_new_goal(new.rule)?;
    }
    rig.reset(scene)?;
    let mut observer = Observer::new(rig.cell().world(), rig.cell().scene());
    let period = agent.period().as_nanos() as i64;
    let delay = options.delay.as_nanos() as i64;
    let mut next_look = 0;
    let mut deliveries = Deliveries::default();
    let mut heard = FIRST;
    rig.instruct(&outcome.goal)?;
    loop {
        watch(rig)?;
        let (t, verdict) = (rig.cell().elapsed(), *rig.cell().verdict());
        let nanos = rig.cell().world().time_nanos();
        let over = verdict.success() || verdict.is_final() || t >= options.time_limit;
        if over || nanos % OBSERVE_NANOS == 0 {
            observer.look(rig.cell().world(), &verdict);
        }
        if over {
            outcome.success = verdict.success();
            outcome.failure = category(verdict.failure, verdict.distance, observer.observed());
            outcome.reason = failure_text(&verdict);
            if let Some(stop) = deliveries.stopped.filter(|_| !outcome.success) {
                outcome.reason += &format!("; {stop}");
            }
            outcome.seconds = t;
            outcome.state_hash = state_hash(rig.cell().world());
            return Ok(outcome);
        }
        if heard == FIRST && options.new_goal.is_some_and(|new| t >= new.at) {
            heard = SECOND;
            rig.instruct(&own_sentence)?;
            agent.tell(&own_sentence)?;
        }
        if agent.looks_back() && nanos % CAMERA_NANOS < STEP_NANOS {
            agent.remember(rig)?;
        }
        let look = if options.one_at_a_time { nanos >= next_look } else { nanos % period < STEP_NANOS };
        if look {
            if options.one_at_a_time {
                // What comes in this moment is there before the agent looks again.
                deliveries.deliver(rig, heard, &mut observer, &mut outcome);
                next_look = nanos + period.max(delay);
            }
            outcome.looks += 1;
            match agent.act(rig)? {
                Some(chunk) => deliveries.under_way.push_back((rig.cell().now() + options.delay, heard, chunk)),
                None => outcome.refused += 1,
            }
        }
        deliveries.deliver(rig, heard, &mut observer, &mut outcome);
        rig.step()?;
    }
}

/// Number of the instruction that an episode begins with, and of the one that may come later.
const FIRST: u64 = 1;
const SECOND: u64 = 2;

/// Chunks between agent and publisher.
#[derive(Default)]
struct Deliveries {
    /// When each is there, and for which instruction it was made.
    under_way: VecDeque<(Stamp, u64, ActionChunk)>,
    /// The first stop that lasted.
    stopped: Option<String>,
}

impl Deliveries {
    /// Hands over what is there by now. What was made for an instruction that is over is not published, as by the node.
    fn deliver(&mut self, rig: &mut Rig, heard: u64, observer: &mut Observer, outcome: &mut EpisodeOutcome) {
        let (t, now) = (rig.cell().elapsed(), rig.cell().now());
        while self.under_way.front().is_some_and(|(due, ..)| *due <= now) {
            let Some((_, goal, chunk)) = self.under_way.pop_front() else { return };
            if goal != heard {
                outcome.refused += 1;
                continue;
            }
            let offered = rig.offer(&chunk);
            if let Err(refusal) = offered {
                log::debug!("seed {}, {t:.2} s: chunk refused: {refusal}", outcome.seed);
                outcome.refused += 1;
                if rig.latched().is_some() {
                    observer.stopped();
                    self.stopped.get_or_insert_with(|| format!("{refusal} (at {t:.1} s)"));
                }
            }
        }
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
