//! `efm-bench image`.

use crate::counting::allocations;
use crate::image::ours::{Ours, Times};
use crate::image::report;
use crate::image::rival::{Group, Job, Method, Rival};
use crate::image::scene::{self, Kind};
use crate::rng::episode_seed;
use anyhow::{Context, Result, bail};
use efm_core::reading;
use efm_vision::Filter;
use std::path::{Path, PathBuf};

/// Widths and heights of cameras.
const SOURCES: [(u32, u32); 2] = [(640, 480), (1280, 720)];
/// Sides of what policies see.
const TARGETS: [u32; 2] = [224, 64];
/// Pictures of a case, one after the other: a camera does not send the same bytes again.
const PICTURES: u64 = 4;
/// Grey levels by which raw pictures may differ at most from those of a rival with the same filter: each rounds in its own way, Pillow twice.
const RAW_LEVELS: f64 = 1.01;
/// Grey levels by which pictures from a JPEG may differ in the mean: decoders are free to the last bit, and in how they enlarge colour.
const JPEG_LEVELS: f64 = 1.0;

/// Options of `efm-bench image`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Few pictures: shows that it works.
    #[arg(long)]
    pub quick: bool,
    /// Python interpreter with cv2, numpy and PIL, for OpenCV and Pillow; without it ours is measured alone.
    #[arg(long)]
    pub python: Option<PathBuf>,
    /// Writes the part of the report here.
    #[arg(long, value_name = "FILE.json")]
    pub section: Option<PathBuf>,
}

/// Our filters that are measured: the policies' default, and the one that OpenCV's `INTER_AREA` is.
pub const FILTERS: [Filter; 2] = [Filter::BilinearAntialias, Filter::Area];

/// Nanoseconds of pictures, round by round.
#[derive(Debug, Clone, Default)]
pub struct Blocks(Vec<Vec<u64>>);

impl Blocks {
    /// One more round.
    pub fn push(&mut self, block: Vec<u64>) {
        self.0.push(block);
    }

    /// Nanoseconds that a part of all pictures does not exceed; 0 where there are none.
    pub fn quantile(&self, part: f64) -> f64 {
        quantile(self.0.iter().flatten().copied().collect(), part)
    }

    /// How many times as long as `other` it takes, round by round.
    pub fn ratio(&self, other: &Self) -> Ratio {
        let half = |block: &Vec<u64>| quantile(block.clone(), 0.5);
        let mut rounds: Vec<f64> = self.0.iter().zip(&other.0).map(|(a, b)| half(a) / half(b)).collect();
        rounds.sort_by(f64::total_cmp);
        let at = |i: usize| rounds.get(i).copied().unwrap_or(f64::NAN);
        Ratio { median: at(rounds.len() / 2), least: at(0), greatest: at(rounds.len().saturating_sub(1)) }
    }
}

fn quantile(mut nanos: Vec<u64>, part: f64) -> f64 {
    nanos.sort_unstable();
    let rank = (part * nanos.len() as f64).ceil().max(1.0) as usize - 1;
    nanos.get(rank).map_or(0.0, |n| *n as f64)
}

/// How many times as long something takes: the median of the rounds, the least and the greatest.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Ratio {
    /// Of the rounds.
    pub median: f64,
    /// Of the rounds.
    pub least: f64,
    /// Of the rounds.
    pub greatest: f64,
}

/// Grey levels between two tensors.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Difference {
    /// At the worst place.
    pub greatest: f64,
    /// Over all.
    pub mean: f64,
}

/// One of our filters, measured.
#[derive(Debug, Clone, Default)]
pub struct OurWay {
    /// All of a picture.
    pub total: Blocks,
    /// Of it, the check of the message and the unpacking of a JPEG.
    pub decode: Blocks,
    /// Of it, to rgb8 at the policy's size.
    pub resize: Blocks,
    /// Of it, to the tensor.
    pub tensor: Blocks,
    /// Allocations a picture.
    pub allocations: f64,
}

/// A method of a rival, measured.
#[derive(Debug, Clone)]
pub struct TheirWay {
    /// Which.
    pub method: Method,
    /// All of a picture.
    pub total: Blocks,
    /// From ours with the same filter; none where we have none such.
    pub difference: Option<Difference>,
}

/// A kind of message of a size, to a target.
#[derive(Debug, Clone)]
pub struct Case {
    /// Of the message.
    pub kind: Kind,
    /// Pixels.
    pub source: (u32, u32),
    /// Pixels of each side.
    pub target: u32,
    /// Of a message, the mean of the pictures.
    pub bytes: usize,
    /// One of each of [`FILTERS`].
    pub ours: [OurWay; 2],
    /// Nothing without `--python`.
    pub theirs: Vec<TheirWay>,
    /// Reading the message and writing the tensor.
    pub floor: Blocks,
}

impl Case {
    /// The fastest method of a group.
    pub fn fastest(&self, group: Group) -> Option<&TheirWay> {
        let of_group = self.theirs.iter().filter(|way| way.method.group == group);
        of_group.min_by(|a, b| a.total.quantile(0.5).total_cmp(&b.total.quantile(0.5)))
    }

    /// How many times as long as ours with the filter of this number the fastest method of a group takes.
    pub fn ratio(&self, group: Group, filter: usize) -> Option<Ratio> {
        Some(self.fastest(group)?.total.ratio(&self.ours[filter].total))
    }
}

/// Does what the options say.
///
/// # Errors
/// When the rivals cannot be run, their pictures are others than ours, or a file cannot be written.
pub fn bench(args: &Args) -> Result<bool> {
    let mut rival = args.python.as_deref().map(Rival::start).transpose()?;
    let folder = tempfile::tempdir()?;
    let (rounds, count) = if args.quick { (3, 4) } else { (9, 12) };
    let mut cases = Vec::new();
    for source in SOURCES {
        let scenes: Vec<Vec<u8>> = (0..PICTURES).map(|i| scene::rgb8(source.0, source.1, episode_seed(7, i))).collect();
        for kind in Kind::ALL {
            let messages: Vec<Vec<u8>> =
                scenes.iter().map(|rgb| scene::message(kind, source.0, source.1, rgb)).collect::<Result<_>>()?;
            let files = write(&messages, folder.path())?;
            for target in TARGETS {
                eprintln!("{} {}x{} to {target}x{target}", kind.name(), source.0, source.1);
                let pictures = Pictures { kind, source, target, messages: &messages, files: &files };
                cases.push(pictures.measure(rival.as_mut(), &folder.path().join("tensor"), rounds, count)?);
            }
        }
    }
    let versions = rival.as_ref().map(|rival| rival.versions().clone());
    let section = report::section(&cases, versions.as_ref(), rounds, count);
    section.deliver(args.section.as_deref())?;
    Ok(true)
}

/// The pictures of a case.
struct Pictures<'a> {
    kind: Kind,
    source: (u32, u32),
    target: u32,
    messages: &'a [Vec<u8>],
    files: &'a [PathBuf],
}

impl Pictures<'_> {
    fn job<'b>(&'b self, method: Method, count: usize, tensor: Option<&'b Path>) -> Job<'b> {
        Job {
            method: method.name,
            kind: self.kind.name(),
            files: self.files,
            width: self.source.0,
            height: self.source.1,
            target: self.target,
            count,
            tensor,
        }
    }

    fn measure(&self, mut rival: Option<&mut Rival>, file: &Path, rounds: usize, count: usize) -> Result<Case> {
        let mut runners = [Ours::new(self.target, FILTERS[0])?, Ours::new(self.target, FILTERS[1])?];
        let mut case = Case {
            kind: self.kind,
            source: self.source,
            target: self.target,
            bytes: self.messages.iter().map(Vec::len).sum::<usize>() / self.messages.len(),
            ours: Default::default(),
            theirs: Vec::new(),
            floor: Blocks::default(),
        };
        if let Some(rival) = rival.as_deref_mut() {
            for method in Method::of(self.kind) {
                rival.run(&self.job(method, 0, Some(file)))?;
                let difference = self.difference(method, file)?;
                case.theirs.push(TheirWay { method, total: Blocks::default(), difference });
            }
        }
        for round in 0..=rounds {
            // The first round warms up; what is allocated is counted after it.
            for (runner, way) in runners.iter_mut().zip(&mut case.ours) {
                let before = allocations();
                let mut times = Vec::with_capacity(count);
                for message in self.messages.iter().cycle().take(count) {
                    times.push(runner.run(self.kind, self.source, message)?);
                }
                if round > 0 {
                    // One is the list of times itself.
                    way.allocations = (allocations() - before - 1) as f64 / count as f64;
                    let block = |part: fn(&Times) -> u64| times.iter().map(part).collect();
                    way.total.push(block(|t| t.total));
                    way.decode.push(block(|t| t.decode));
                    way.resize.push(block(|t| t.resize));
                    way.tensor.push(block(|t| t.tensor));
                }
            }
            if let Some(rival) = rival.as_deref_mut() {
                for way in &mut case.theirs {
                    let nanos = rival.run(&self.job(way.method, count, None))?;
                    if round > 0 {
                        way.total.push(nanos);
                    }
                }
            }
            let messages = self.messages.iter().cycle().take(count);
            let floor = messages.map(|message| runners[0].floor(message)).collect();
            if round > 0 {
                case.floor.push(floor);
            }
        }
        Ok(case)
    }

    /// Between the tensor that a rival wrote and ours with the same filter.
    fn difference(&self, method: Method, file: &Path) -> Result<Option<Difference>> {
        let filter = match method.group {
            Group::OpencvArea => Filter::Area,
            Group::PillowBilinear => Filter::BilinearAntialias,
            Group::OpencvLinear => Filter::Bilinear,
            Group::OpencvReduced | Group::PillowQuick => return Ok(None),
        };
        let bytes = reading::bytes(file, reading::REPORT).with_context(|| format!("cannot read {}", file.display()))?;
        let theirs: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_ne_bytes(*b)).collect();
        let mut ours = Ours::new(self.target, filter)?;
        ours.run(self.kind, self.source, &self.messages[0])?;
        let found = compare(ours.tensor(), &theirs).with_context(|| method.name)?;
        let far = if self.kind == Kind::Jpeg { found.mean > JPEG_LEVELS } else { found.greatest > RAW_LEVELS };
        if far {
            bail!(
                "{} of {} {}x{} to {}: another picture than ours, by {:.2} grey levels at most and {:.3} in the mean; times would say nothing",
                method.name,
                self.kind.name(),
                self.source.0,
                self.source.1,
                self.target,
                found.greatest,
                found.mean
            );
        }
        Ok(Some(found))
    }
}

/// Two tensors in grey levels.
fn compare(ours: &[f32], theirs: &[f32]) -> Result<Difference> {
    if ours.len() != theirs.len() {
        bail!("a tensor of {} values, expected {}", theirs.len(), ours.len());
    }
    let levels = || ours.iter().zip(theirs).map(|(a, b)| f64::from((a - b).abs()) * 127.5);
    Ok(Difference { greatest: levels().fold(0.0, f64::max), mean: levels().sum::<f64>() / ours.len() as f64 })
}

/// Writes messages into a folder, a file each.
fn write(messages: &[Vec<u8>], folder: &Path) -> Result<Vec<PathBuf>> {
    let write = |(i, message): (usize, &Vec<u8>)| {
        let file = folder.join(format!("message{i}"));
        std::fs::write(&file, message).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    };
    messages.iter().enumerate().map(write).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_ratio_is_that_of_the_rounds_and_not_of_the_whole() {
        let blocks = |rounds: &[[u64; 3]]| Blocks(rounds.iter().map(|b| b.to_vec()).collect());
        // The machine is five times slower in the last round, for both.
        let (ours, theirs) =
            (blocks(&[[10, 10, 99], [10, 9, 11], [50, 50, 50]]), blocks(&[[20; 3], [30; 3], [100; 3]]));
        assert_eq!(theirs.ratio(&ours), Ratio { median: 2.0, least: 2.0, greatest: 3.0 });
        assert_eq!(ours.quantile(0.5), 11.0);
        assert!(Blocks::default().ratio(&ours).median.is_nan());
    }

    #[test]
    fn another_picture_is_seen() {
        let found = compare(&[0.0, 0.5], &[0.0, 0.5 + 2.0 / 127.5]).unwrap();
        assert!((found.greatest - 2.0).abs() < 1e-4 && (found.mean - 1.0).abs() < 1e-4, "{found:?}");
        assert!(compare(&[0.0], &[]).unwrap_err().to_string().contains("0 values, expected 1"));
    }

    #[test]
    fn messages_of_every_kind_become_the_same_tensor_or_nearly() {
        let rgb = scene::rgb8(96, 64, 3);
        let mut tensors = Vec::new();
        for kind in Kind::ALL {
            let mut ours = Ours::new(32, Filter::Area).unwrap();
            ours.run(kind, (96, 64), &scene::message(kind, 96, 64, &rgb).unwrap()).unwrap();
            tensors.push(ours.tensor().to_vec());
        }
        assert_eq!(tensors[0], tensors[1]);
        assert!(compare(&tensors[0], &tensors[2]).unwrap().mean < 6.0);
    }
}
