//! The policy once more: each look of the recording, with the recorded pictures, joints and noise, gives a chunk.

use crate::recorded::{NodeTrace, Pictures, Recorded};
use anyhow::{Context, Result, anyhow};
use efm_app::inference::engine::{Answer, Job, Setup, Sight, Worker};
use efm_app::inference::execution::OnChunk;
use efm_app::setup::policy_manifest;
use efm_app::trace::{self, Inferred, Look, Seen};
use efm_config::Params;
use efm_core::{JointSample, Stamp, Trajectory};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// What came of all looks.
#[derive(Debug, Default)]
pub struct Thought {
    /// By stamp in ns: the chunks, as messages.
    pub chunks: BTreeMap<i64, Trajectory>,
    /// Looks of the recording.
    pub looks: usize,
    /// Pictures that they saw.
    pub pictures: usize,
    /// Of these: how many are in the bag, as they were seen.
    pub found: usize,
    /// Looks for which the recording has a chunk and this run has none, or the other way round, in words.
    pub differences: Vec<String>,
    /// What stands in the way of doing the run again as it was: pictures that are missing.
    pub problems: Vec<String>,
    /// What is another package, or other files of it, than in the recording.
    pub other_package: Vec<String>,
    /// SHA-256 of the package.
    pub package: String,
    /// Seconds that the policy took, all in all.
    pub seconds: f64,
}

/// How the policy is run.
#[derive(Debug, Clone, Default)]
pub struct How {
    /// Another package than that of the recording.
    pub policy: Option<PathBuf>,
    /// Other threads.
    pub threads: Option<usize>,
}

/// Has the policy look again. `files`: text of the files that the parameters name, by parameter.
///
/// # Errors
/// When the recording does not hold what is needed, or the policy cannot be opened.
pub fn think(
    recorded: &Recorded,
    trace: &NodeTrace<Inferred<'static>>,
    files: &BTreeMap<String, String>,
    params: &Params,
    how: &How,
) -> Result<Thought> {
    let setup = setup(files, params, how)?;
    let mut thought = Thought::default();
    thought.other_package.extend(other_files(trace, &setup));
    let mut pictures = Pictures::of(&recorded.bag)?;
    let mut worker = Worker::default();
    // A look is followed by what came of it: one job at a time.
    let mut looked: Option<(i64, Option<Trajectory>)> = None;
    for event in &trace.events {
        match event {
            Inferred::Open { urdf } => match worker.work(&setup, Job::Open(urdf.clone().into_owned())) {
                Answer::Opened(Ok(opened)) => thought.package = opened.hash,
                Answer::Opened(Err(reason)) => {
                    return Err(anyhow!("{}: the policy is refused: {reason}", setup.folder.display()));
                }
                _ => {}
            },
            Inferred::Opened { policy } => {
                if let Ok(hash) = policy
                    && *hash != thought.package
                {
                    thought.other_package.push(format!(
                        "the policy package is another one: recorded with sha256 {hash}, now {} ({})",
                        thought.package,
                        setup.folder.display()
                    ));
                }
            }
            Inferred::Embed { sentence } => {
                if let Answer::Embedded(_, Err(reason)) = worker.work(&setup, Job::Embed(sentence.clone().into_owned()))
                {
                    thought.differences.push(format!("the instruction {sentence:?} cannot be embedded: {reason}"));
                }
            }
            Inferred::Act(look) => {
                thought.looks += 1;
                let job = match job(look, &mut pictures, &mut thought) {
                    Ok(job) => job,
                    Err(problem) => {
                        thought.problems.push(problem.to_string());
                        looked = None;
                        continue;
                    }
                };
                let began = Instant::now();
                let answer = worker.work(&setup, job);
                thought.seconds += began.elapsed().as_secs_f64();
                looked = match answer {
                    Answer::Acted(Ok(acted)) => Some((look.stamp, Some(acted.chunk.to_trajectory("")))),
                    Answer::Acted(Err(reason)) => {
                        thought
                            .differences
                            .push(format!("chunk of {}: none is made now: {reason}", seconds(look.stamp)));
                        Some((look.stamp, None))
                    }
                    _ => None,
                };
            }
            Inferred::Acted { outcome, .. } => {
                let Some((stamp, chunk)) = looked.take() else { continue };
                match (chunk, outcome) {
                    // What was not published (another instruction had come) is not offered to anybody now either.
                    (Some(chunk), Ok(true)) => drop(thought.chunks.insert(stamp, chunk)),
                    (Some(_), Err(reason)) => thought
                        .differences
                        .push(format!("chunk of {}: there is one now; recorded was: {reason}", seconds(stamp))),
                    _ => {}
                }
            }
        }
    }
    Ok(thought)
}

fn setup(files: &BTreeMap<String, String>, params: &Params, how: &How) -> Result<Setup> {
    let folder = match &how.policy {
        Some(folder) => folder.clone(),
        None => policy_manifest(params)?.0,
    };
    let text = files.get("joint_limits_file").context("the trace of vla_inference lacks joint_limits_file")?;
    let mut setup = Setup::new(params, folder, text)?;
    setup.threads = how.threads.unwrap_or(setup.threads);
    Ok(setup)
}

/// Which files of the package are others than those of the recording.
fn other_files(trace: &NodeTrace<Inferred<'static>>, setup: &Setup) -> Vec<String> {
    let Ok(manifest) = efm_policy::Manifest::read(&setup.folder) else { return Vec::new() };
    let now: BTreeMap<_, _> = manifest.graphs.values().map(|graph| (&graph.file, &graph.sha256)).collect();
    let mut others = Vec::new();
    for (file, hash) in &trace.setup.hashes {
        match now.get(file) {
            Some(same) if *same == hash => {}
            Some(other) => {
                others.push(format!("{}: recorded with sha256 {hash}, now {other}", setup.folder.join(file).display()));
            }
            None => others.push(format!("the policy of the recording has a file '{file}', the one of now has not")),
        }
    }
    others
}

fn job(look: &Look, pictures: &mut Pictures, thought: &mut Thought) -> Result<Job> {
    let now = Stamp::from_nanos(look.now);
    let mut observed = |seen: &Seen| -> Result<_> {
        let mut shown = Vec::new();
        for picture in &seen.pictures {
            thought.pictures += 1;
            let name = format!("observation/{}/image stamped {}", picture.camera, seconds(picture.stamp));
            let pixels = pictures.get(&picture.camera, Stamp::from_nanos(picture.stamp), now).ok_or_else(|| {
                anyhow!("{name} is not in the bag, but the policy saw it (chunk of {})", seconds(look.stamp))
            })?;
            if trace::crc(pixels) != picture.crc {
                return Err(anyhow!("{name} is not what the policy saw (chunk of {})", seconds(look.stamp)));
            }
            thought.found += 1;
            shown.push((picture.camera.clone(), pixels.to_vec()));
        }
        let stamp = Stamp::from_nanos(seen.stamp);
        let joints = JointSample { stamp, positions: seen.positions.clone(), velocities: seen.velocities.clone() };
        Ok((stamp, shown, joints))
    };
    let earlier = look.earlier.iter().map(&mut observed).collect::<Result<Vec<_>>>()?;
    let (stamp, shown, joints) = observed(&look.seen)?;
    let following =
        look.following.map(|(chunk, at)| OnChunk { chunk: Stamp::from_nanos(chunk), at: Stamp::from_nanos(at) });
    let (noise_seed, delay) = (look.noise_seed, look.delay);
    Ok(Job::Act(Sight { stamp, pictures: shown, joints, earlier, noise_seed, following, delay }))
}

/// A stamp for people.
pub fn seconds(nanos: i64) -> String {
    format!("{}.{:09}", nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000))
}
