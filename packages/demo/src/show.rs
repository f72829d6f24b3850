//! The sequence of a demo or an evaluation: wait for the graph, then one goal after the other.

use crate::busy::Speed;
use crate::episode::{Done, End, Judge};
use crate::film;
use crate::seen::{SILENCE, Seen};
use crate::stage::Stage;
use crate::wander::Wanderer;
use anyhow::{Context as _, Result, anyhow, bail};
use efm_harness::control::{Control, shuffled_sentences};
use efm_harness::planner::RobotFiles;
use efm_sim::Scene;
use efm_sim::tasks::{Split, TIME_LIMIT};
use image::RgbImage;
use std::convert::Infallible;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// How long the graph may take to be ready.
const READY: Duration = Duration::from_secs(60);
/// How long the arm may take to come to rest after a goal.
const REST: Duration = Duration::from_secs(5);
/// How long a reset may take until everybody sees the new scene.
const NEW_SCENE: Duration = Duration::from_secs(5);
/// How long `goal_intake` may take to answer.
const ACCEPTED: Duration = Duration::from_secs(3);
/// How long an episode may take on the wall, where the machine is too slow for the simulator.
const EPISODE: Duration = Duration::from_secs(3 * TIME_LIMIT as u64);

/// The node that proposes. Where random motion is proposed from here, it is not started.
pub const PROPOSER: &str = "vla_inference";

/// What is shown.
#[derive(Debug, Clone)]
pub struct Programme {
    /// Nodes that must be well before the first goal.
    pub nodes: Vec<String>,
    /// Number of goals.
    pub episodes: usize,
    /// Where the scenes come from.
    pub split: Split,
    /// The scenes are those of the split's seeds, counted from here.
    pub seed: u64,
    /// What is done instead of giving each scene's own goal to a policy: nothing; another scene's goal is given; or the goal is given,
    /// and random motion is proposed from here.
    pub control: Option<Control>,
    /// The robot's files, for random motion.
    pub robot: RobotFiles,
    /// Whether pictures are kept: all of the first so many episodes; of the others as many as a strip shows.
    pub filmed: Option<usize>,
    /// How the graph's time runs.
    pub speed: Speed,
    /// When the program began.
    pub began: Instant,
}

/// What has come of it so far.
#[derive(Debug, Clone, Default)]
pub struct Played {
    /// The episodes, in order.
    pub done: Vec<Done>,
    /// Their pictures.
    pub scenes: Vec<film::Scene>,
    /// Seconds from the beginning of the program to the first motion.
    pub first_motion: Option<f64>,
    /// What the nodes complained of when the last goal failed.
    pub troubles: Vec<String>,
}

impl Programme {
    /// Plays it. What is done goes to `played` as it is done, so that nothing is lost when this is broken off.
    ///
    /// # Errors
    /// When a part of the graph does not work. A failed task is not an error.
    pub async fn play(&self, stage: &Stage, played: &mut Played) -> Result<()> {
        let first = self.split.seeds().start + self.seed;
        let scenes: Vec<Scene> = (first..).take(self.episodes).map(Scene::sample).collect();
        let (mut told, mut wanderer) = (None, None);
        match self.control {
            Some(Control::Shuffled) => told = Some(shuffled_sentences(&scenes)?),
            Some(Control::Random) => wanderer = Some(Wanderer::new(&self.robot)?),
            Some(Control::Nothing) | None => {}
        }
        self.wait_until_ready(stage).await?;
        for (i, scene) in scenes.iter().enumerate() {
            let told = told.as_ref().map(|told| told[i].as_str());
            print!("[{:>3}/{}] {:<44} ", i + 1, self.episodes, told.unwrap_or(&scene.sentence));
            // A line that cannot be shown is no reason to stop.
            let _ = std::io::stdout().flush();
            let outcome = self.episode(stage, scene, told, wanderer.as_mut(), played).await;
            let moved = stage.look(|seen| seen.moved_at);
            let first = played.first_motion.is_none().then_some(moved).flatten();
            if let Some(first) = first {
                played.first_motion = Some(first.duration_since(self.began).as_secs_f64());
            }
            match &outcome {
                Ok(()) => println!("{}", played.done.last().map(in_a_line).unwrap_or_default()),
                Err(_) => println!(),
            }
            played.troubles.drain(..).for_each(|trouble| println!("          {trouble}"));
            if let (Some(_), Some(seconds)) = (first, played.first_motion) {
                println!("          first motion {seconds:.1} s after the start");
            }
            outcome.with_context(|| format!("goal {} ({})", i + 1, scene.sentence))?;
        }
        Ok(())
    }

    async fn wait_until_ready(&self, stage: &Stage) -> Result<()> {
        let patience = stage.speed().wall(READY);
        let end = Instant::now() + patience;
        let wait = async |what: &str, wanted: fn(&Seen) -> Option<Result<()>>| {
            stage.until_by(end, wanted).await.ok_or_else(|| waited_in_vain(stage, what, patience))??;
            println!("{:>7.1} s  {what}", self.began.elapsed().as_secs_f64());
            anyhow::Ok(())
        };
        wait("the simulator runs", |seen| seen.task.as_ref().map(|_| Ok(()))).await?;
        wait("the joints are measured", |seen| seen.joints.as_ref().map(|_| Ok(()))).await?;
        if self.control != Some(Control::Random) {
            wait("the policy is active", policy).await?;
        }
        stage.services(end).await?;
        stage
            .until_by(end, |seen| self.all_well(seen).then_some(()))
            .await
            .ok_or_else(|| waited_in_vain(stage, "all nodes are well", patience))?;
        println!("{:>7.1} s  all nodes are well", self.began.elapsed().as_secs_f64());
        Ok(())
    }

    fn all_well(&self, seen: &Seen) -> bool {
        // A warning is no obstacle: a slow machine warns.
        let well = |node: &String| {
            let mut tasks = seen.health_of(node).peekable();
            tasks.peek().is_some() && tasks.all(|(_, health)| health.level <= 1)
        };
        self.nodes.iter().all(well)
    }

    async fn episode(
        &self,
        stage: &Stage,
        scene: &Scene,
        told: Option<&str>,
        wanderer: Option<&mut Wanderer>,
        played: &mut Played,
    ) -> Result<()> {
        stage.cancel().await?;
        // What is still sent after the reset would pull the arm back. Where it never rests (it is pushed), the reset helps.
        let silence = stage.speed().wall(SILENCE);
        stage.until(REST, |seen| seen.at_rest(Instant::now(), silence).then_some(())).await;
        stage.reset(scene.seed).await?;
        let after = stage.now();
        let status = stage
            .until(NEW_SCENE, |seen| {
                let task = seen.task.as_ref().filter(|task| task.seed == scene.seed)?;
                // Whoever works on older pictures or joints works on the scene before.
                (seen.observed > after && seen.joints.as_ref()?.stamp > after).then(|| task.clone())
            })
            .await
            .with_context(|| format!("the scene of seed {} was not seen by everybody after the reset", scene.seed))?;
        if status.instruction != scene.sentence {
            bail!(
                "the simulator's scene of seed {} is not the one known here ('{}' instead of '{}'): they were built from \
                 different sources",
                scene.seed,
                status.instruction,
                scene.sentence
            );
        }
        stage.ready().await?;
        let given_at = stage.note(|seen| {
            seen.goal = None;
            seen.latencies.take();
            seen.expect_motion();
            if self.filmed.is_some() {
                seen.camera.roll(Instant::now(), stage.speed().wall(film::SPACING));
            }
            seen.task.as_ref().map_or(0.0, |task| task.elapsed)
        });
        let judge = Judge::new(scene.clone(), given_at);
        let given = self.control != Some(Control::Nothing);
        let end = if given {
            stage.give(told.unwrap_or(&scene.sentence))?;
            match accepted(stage).await? {
                Err(refusal) => End::failure(format!("refused: {refusal}"), 0.0),
                Ok(()) => match wanderer {
                    Some(wanderer) => {
                        wanderer.begin(scene.seed);
                        tokio::select! {
                            end = watch(stage, judge) => end,
                            broken = wander(stage, wanderer) => match broken? {},
                        }
                    }
                    None => watch(stage, judge).await,
                },
            }
        } else {
            watch(stage, judge).await
        };
        let (latencies, pictures) = stage.note(|seen| (seen.latencies.take(), seen.camera.cut()));
        if end.success && given && told.is_none() {
            // goal_intake ends the goal by itself.
            stage
                .until(ACCEPTED, |seen| {
                    (!matches!(seen.goal.as_ref()?.state.as_str(), "active" | "held")).then_some(())
                })
                .await;
        } else {
            if !end.success {
                played.troubles = stage.look(Seen::troubles);
            }
            stage.cancel().await?;
        }
        let done = Done::new(scene, told, end, latencies);
        if let Some(whole) = self.filmed {
            let whole = played.scenes.len() < whole;
            played.scenes.push(film::Scene {
                label: done.outcome.goal.clone(),
                outcome: in_a_word(&done),
                success: done.outcome.success,
                pictures: if whole { pictures } else { some(&pictures) },
            });
        }
        played.done.push(done);
        Ok(())
    }
}

fn some(pictures: &[RgbImage]) -> Vec<RgbImage> {
    film::evenly(pictures, film::COLUMNS).into_iter().cloned().collect()
}

/// Whether the policy is active; an error when it never will be.
fn policy(seen: &Seen) -> Option<Result<()>> {
    let health = seen.health.get("vla_inference: policy")?;
    match health.level {
        0 => Some(Ok(())),
        _ if health.message.contains("refused") => Some(Err(anyhow!("{}", health.message))),
        _ => None,
    }
}

fn waited_in_vain(stage: &Stage, what: &str, patience: Duration) -> anyhow::Error {
    let troubles = stage.look(Seen::troubles);
    let troubles = if troubles.is_empty() { "no node reports trouble".to_owned() } else { troubles.join("\n  ") };
    anyhow!("still not so after {} s: {what}\n  {troubles}", patience.as_secs())
}

/// What `goal_intake` says to the goal that was given.
async fn accepted(stage: &Stage) -> Result<Result<(), String>> {
    stage
        .until(ACCEPTED, |seen| {
            let goal = seen.goal.as_ref()?;
            match goal.state.as_str() {
                "refused" => Some(Err(goal.reason.clone())),
                // What comes after it may have come already.
                "active" | "held" | "succeeded" | "timed_out" | "cancelled" => Some(Ok(())),
                _ => None,
            }
        })
        .await
        .with_context(|| format!("goal_intake has not answered on goal_status within {} s", ACCEPTED.as_secs()))
}

/// Watches an active goal to its end.
async fn watch(stage: &Stage, mut judge: Judge) -> End {
    let end = stage
        .until(EPISODE, |seen| {
            let status = seen.task.as_ref()?;
            judge.verdict(status).or_else(|| {
                let goal = seen.goal.as_ref()?;
                matches!(goal.state.as_str(), "cancelled" | "replaced" | "timed_out" | "aborted")
                    .then(|| End::failure(format!("the goal was {}: {}", goal.state, goal.reason), 0.0))
            })
        })
        .await;
    end.unwrap_or_else(|| {
        let seconds = EPISODE.as_secs();
        End::failure(format!("the simulator did not get to the time limit within {seconds} s"), 0.0)
    })
}

/// Proposes random motion for as long as it is polled.
async fn wander(stage: &Stage, wanderer: &mut Wanderer) -> Result<Infallible> {
    loop {
        // Only the look is done here: whoever hears messages waits for it.
        let due = |seen: &Seen| seen.joints.as_ref().filter(|joints| wanderer.is_due(joints.stamp)).cloned();
        if let Some(joints) = stage.until(EPISODE, due).await
            && let Some(chunk) = wanderer.propose(&joints)?
        {
            stage.propose(&chunk)?;
        }
    }
}

fn in_a_word(done: &Done) -> String {
    let (word, seconds) = (if done.outcome.success { "succeeded" } else { "failed" }, done.outcome.seconds);
    format!("{word}, {seconds:.1} s")
}

fn in_a_line(done: &Done) -> String {
    let reason = if done.outcome.reason.is_empty() { String::new() } else { format!(": {}", done.outcome.reason) };
    format!("{}{reason}", in_a_word(done))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::seen::Health;

    fn seen(tasks: &[(&str, u8, &str)]) -> Seen {
        let mut seen = Seen::default();
        for (name, level, message) in tasks {
            seen.health.insert((*name).to_owned(), Health { level: *level, message: (*message).to_owned() });
        }
        seen
    }

    #[test]
    fn a_refused_policy_is_an_error_at_once_and_one_that_is_being_opened_is_waited_for() {
        assert!(policy(&seen(&[])).is_none());
        assert!(policy(&seen(&[("vla_inference: policy", 2, "the policy is being opened")])).is_none());
        assert!(policy(&seen(&[("vla_inference: policy", 0, "no instruction")])).unwrap().is_ok());
        let refused = "the policy is refused: action.joints: order";
        let error = policy(&seen(&[("vla_inference: policy", 2, refused)])).unwrap().unwrap_err();
        assert_eq!(error.to_string(), refused);
    }

    #[test]
    fn every_node_must_have_spoken_and_none_may_be_in_error() {
        let programme = Programme {
            nodes: vec!["sim".into(), "goal_intake".into()],
            episodes: 1,
            split: Split::Heldout,
            seed: 0,
            control: None,
            robot: RobotFiles::under(std::path::Path::new("")),
            filmed: None,
            speed: Speed::Real,
            began: Instant::now(),
        };
        assert!(!programme.all_well(&seen(&[("sim: physics", 0, "")])), "one has not spoken");
        assert!(programme.all_well(&seen(&[("sim: physics", 1, "slow"), ("goal_intake: goal", 0, "")])));
        assert!(!programme.all_well(&seen(&[
            ("sim: physics", 0, ""),
            ("sim: cameras", 3, ""),
            ("goal_intake: goal", 0, "")
        ])));
    }
}
