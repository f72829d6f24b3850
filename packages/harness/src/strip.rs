//! Film strips: what an episode looked like, made by running it again and drawing.

use crate::episode::{self, EpisodeError};
use crate::evaluate::{EvaluateError, Plan, Settings, Worker};
use crate::report::{EpisodeOutcome, Run, by_count};
use efm_sim::Scene;
use efm_sim::world::{Camera, HEIGHT, WIDTH};
use efm_vision::{ImageView, ResizeMode, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::replace;
use image::{ImageError, Rgb, RgbImage};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Pictures in a strip, in rows of [`COLUMNS`].
pub const FRAMES: usize = 6;
/// Pictures in a row.
const COLUMNS: u32 = 3;
/// Size of a picture, pixels.
const SIZE: (u32, u32) = (213, 160);
/// Between two pictures, pixels.
const GAP: u32 = 2;
const JPEG_QUALITY: u8 = 82;

/// Why a strip could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StripError {
    /// The episode.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The picture file.
    #[error("{file}: {source}")]
    Write {
        /// Which.
        file: String,
        /// Why.
        source: ImageError,
    },
}

/// A strip that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Strip {
    /// Place of the run in the document.
    pub run: usize,
    /// Place of the episode in the run.
    pub episode: usize,
    /// Name of the picture file.
    pub file: String,
    /// Simulated times of the pictures, s.
    pub times: Vec<f64>,
    /// Whether the episode ended exactly as reported: what is shown is then what was counted.
    pub same: bool,
}

/// The episodes of a run that are worth a look: for each of the most frequent things that went wrong the case that ended worst
/// (the longest one; of equal ones the first), up to `failures`; then the first success.
pub fn worth_a_look(run: &Run, failures: usize) -> Vec<usize> {
    let mut chosen = Vec::new();
    let categories = by_count(&run.failures);
    // Round by round, so that one frequent failure is shown several times only when there are few kinds.
    for round in 0..failures {
        for (category, _) in &categories {
            let mut of_it: Vec<usize> =
                (0..run.outcomes.len()).filter(|i| run.outcomes[*i].failure == Some(*category)).collect();
            of_it.sort_by(|a, b| run.outcomes[*b].seconds.total_cmp(&run.outcomes[*a].seconds));
            if let Some(episode) = of_it.get(round)
                && chosen.len() < failures
            {
                chosen.push(*episode);
            }
        }
    }
    chosen.extend(run.outcomes.iter().position(|o| o.success));
    chosen
}

/// Runs some episodes of some runs again, all on `settings.jobs` workers, and puts their strips as JPEG files into `folder`.
/// `wanted` holds the plan of the run, its place in the document, the place of the episode in the run, and its outcome.
///
/// # Errors
/// When an episode cannot be run or a file cannot be written.
pub fn film(
    settings: &Settings,
    wanted: &[(Plan, usize, usize, EpisodeOutcome)],
    folder: &Path,
    told: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Strip>, StripError> {
    let next = AtomicUsize::new(0);
    let made: Mutex<Vec<Strip>> = Mutex::default();
    let work = || -> Result<(), StripError> {
        let mut worker = Worker { settings, rig: None, agents: Vec::new() };
        while let Some((plan, run, episode, outcome)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (sheet, times, same) = draw(&mut worker, plan, outcome)?;
            let file = format!("run{run}_{}_{}.jpg", plan.subject.split, outcome.seed);
            save(&sheet, &folder.join(&file))?;
            let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
            made.push(Strip { run: *run, episode: *episode, file, times, same });
            told(made.len());
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..settings.jobs.clamp(1, wanted.len().max(1))).map(|_| scope.spawn(work)).collect();
        let ends: Vec<_> = workers.into_iter().map(|w| w.join().map_err(|_| EvaluateError::Panicked)).collect();
        ends.into_iter().try_for_each(|end| end?)
    })?;
    let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    // In the order in which they are wanted, whoever was first.
    made.sort_by_key(|s| wanted.iter().position(|(_, run, episode, _)| (*run, *episode) == (s.run, s.episode)));
    Ok(made)
}

fn save(sheet: &RgbImage, file: &Path) -> Result<(), StripError> {
    let failed = |source| StripError::Write { file: file.display().to_string(), source };
    let out = std::fs::File::create(file).map_err(|e| failed(e.into()))?;
    JpegEncoder::new_with_quality(std::io::BufWriter::new(out), JPEG_QUALITY).encode_image(sheet).map_err(failed)
}

/// One episode again: its pictures on a sheet, their times, and whether it ended as `outcome` says.
fn draw(
    worker: &mut Worker<'_>,
    plan: &Plan,
    outcome: &EpisodeOutcome,
) -> Result<(RgbImage, Vec<f64>, bool), EvaluateError> {
    let scene = Scene::sample(outcome.seed);
    let told = (outcome.goal != scene.sentence).then_some(outcome.goal.as_str());
    let options = worker.settings.options;
    let (rig, agent) = worker.ready(plan, &scene)?;
    let failed = |source| EvaluateError::Episode { seed: outcome.seed, source };
    let mut resizer =
        Resizer::new(SIZE.0, SIZE.1, ResizeMode::Stretch).map_err(|e| failed(EpisodeError::Agent(e.into())))?;
    let (mut picture, mut small) = (Vec::new(), vec![0; resizer.output_len()]);
    let mut sheet = blank();
    let mut times = Vec::new();
    let again = episode::run_watched(rig, agent, scene, told, options, &mut |rig| {
        let t = rig.cell().elapsed();
        let due = outcome.seconds * times.len() as f64 / (FRAMES - 1) as f64;
        if times.len() < FRAMES && t >= due - 1e-9 {
            rig.cell_mut().world_mut().render(Camera::Front, &mut picture)?;
            let view =
                ImageView::rgb8(WIDTH as u32, HEIGHT as u32, &picture).map_err(|e| EpisodeError::Agent(e.into()))?;
            resizer.resize(&view, &mut small).map_err(|e| EpisodeError::Agent(e.into()))?;
            if let Some(frame) = RgbImage::from_raw(SIZE.0, SIZE.1, small.clone()) {
                let (left, top) = place(times.len() as u32);
                replace(&mut sheet, &frame, left, top);
            }
            times.push(t);
        }
        Ok(())
    })
    .map_err(failed)?;
    // Its own times do not matter here.
    let _ = agent.take_inference_times();
    let same = (again.success, &again.state_hash) == (outcome.success, &outcome.state_hash);
    Ok((sheet, times, same))
}

fn blank() -> RgbImage {
    let rows = (FRAMES as u32).div_ceil(COLUMNS);
    RgbImage::from_pixel(COLUMNS * (SIZE.0 + GAP) - GAP, rows * (SIZE.1 + GAP) - GAP, Rgb([255; 3]))
}

/// Left and top of a picture on the sheet.
fn place(frame: u32) -> (i64, i64) {
    (i64::from(frame % COLUMNS * (SIZE.0 + GAP)), i64::from(frame / COLUMNS * (SIZE.1 + GAP)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Category;
    use crate::report::tests::run;
    use efm_sim::tasks::Split;

    #[test]
    fn the_most_frequent_failures_are_shown_one_of_each_kind_first_and_a_success() {
        let mut run = run(Split::Heldout, None, 12, &[1, 2, 3, 4, 5, 6]);
        for (i, category) in [(5, Category::NotReached), (6, Category::NotReached)] {
            run.outcomes[i].failure = Some(category);
        }
        run.outcomes[2].seconds = 30.0;
        let run = crate::report::Run::new(crate::report::tests::subject(Split::Heldout, None), run.outcomes);
        assert_eq!(worth_a_look(&run, 3), [2, 5, 1, 0]);
        assert_eq!(worth_a_look(&run, 1), [2, 0]);
    }

    #[test]
    fn a_run_without_failures_shows_a_success_and_one_without_successes_none() {
        assert_eq!(worth_a_look(&run(Split::Heldout, None, 3, &[]), 3), [0]);
        assert_eq!(worth_a_look(&run(Split::Heldout, None, 2, &[0, 1]), 3), [0, 1]);
    }

    #[test]
    fn pictures_fill_the_sheet_without_touching() {
        let sheet = blank();
        let (left, top) = place(FRAMES as u32 - 1);
        assert_eq!((left as u32 + SIZE.0, top as u32 + SIZE.1), sheet.dimensions());
        assert_eq!(place(1), (i64::from(SIZE.0 + GAP), 0));
    }
}
