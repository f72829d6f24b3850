//! Our way from an observation to an action.

use crate::lerobot::Recorded;
use crate::lerobot::command::Sizes;
use anyhow::{Context, Result, bail};
use efm_core::reading;
use efm_core::{JointSample, Stamp};
use efm_harness::planner::RobotFiles;
use efm_policy::{BareGraphs, Goal, Observation, Policy, PolicyPackage, RuntimeOptions};
use efm_robot::{LimitSet, RobotModel};
use efm_vision::{ImageView, Resizer};
use std::path::Path;
use std::time::{Duration, Instant};

/// An observation in memory.
#[derive(Debug, Clone)]
pub struct Seen {
    images: Vec<Vec<u8>>,
    joints: JointSample,
}

impl Seen {
    /// Reads one.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn read(recorded: &Recorded) -> Result<Self> {
        let read = |file: &std::path::PathBuf| {
            reading::bytes(file, reading::REPORT).with_context(|| format!("cannot read {}", file.display()))
        };
        let (positions, velocities) = (recorded.joints.clone(), vec![0.0; recorded.joints.len()]);
        let joints = JointSample { stamp: Stamp::ZERO, positions, velocities };
        Ok(Self { images: recorded.images.iter().map(read).collect::<Result<_>>()?, joints })
    }
}

struct Camera {
    name: String,
    /// Width and height of what it sends, in pixels.
    size: (u32, u32),
    resizer: Resizer,
    picture: Vec<u8>,
}

/// What `camera_ingest` and `vla_inference` keep from observation to observation.
pub struct Ours {
    policy: Policy,
    goal: Goal,
    cameras: Vec<Camera>,
    resized: Duration,
}

impl Ours {
    /// Opens a package for a robot. `sizes`: width and height of what its cameras send, in the manifest's order; those that the policy sees where
    /// there are none.
    ///
    /// # Errors
    /// When the package cannot be run on the robot, or has another number of cameras.
    pub fn open(folder: &Path, robot: &RobotFiles, sizes: Option<&[(u32, u32)]>, threads: usize) -> Result<Self> {
        let package = PolicyPackage::load(folder, &[])?;
        let model = RobotModel::load(&robot.urdf)?;
        let limits = LimitSet::load(&model, &robot.joint_limits, &package.manifest().joints()?)?;
        let mut policy = Policy::open(package, &model, &limits, options(threads))?;
        let goal = policy.embed("go")?;
        let images = &policy.manifest().observation.images;
        if sizes.is_some_and(|sizes| sizes.len() != images.len()) {
            bail!("{}: has {} cameras, the checkpoint has others", folder.display(), images.len());
        }
        let camera = |(k, image): (usize, &efm_policy::ImageSpec)| {
            let resizer = Resizer::new(image.width, image.height, image.fit())?;
            let size = sizes.map_or((image.width, image.height), |sizes| sizes[k]);
            let picture = vec![0; resizer.output_len()];
            Ok(Camera { name: image.name.clone(), size, resizer, picture })
        };
        let cameras = images.iter().enumerate().map(camera).collect::<Result<_>>()?;
        Ok(Self { policy, goal, cameras, resized: Duration::ZERO })
    }

    /// The cameras, in the policy's order.
    pub fn cameras(&self) -> impl Iterator<Item = Sizes> {
        let images = &self.policy.manifest().observation.images;
        self.cameras.iter().zip(images).map(|(camera, image)| Sizes {
            name: camera.name.clone(),
            sent: camera.size,
            seen: (image.width, image.height),
        })
    }

    /// Rows of a chunk.
    pub fn horizon(&self) -> usize {
        self.policy.manifest().action.horizon
    }

    /// The first action of a new chunk: positions of the policy's joints, rad or m.
    ///
    /// # Errors
    /// When the observation does not fit the policy.
    pub fn action(&mut self, seen: &Seen) -> Result<Vec<f64>> {
        let begun = Instant::now();
        for (camera, data) in self.cameras.iter_mut().zip(&seen.images) {
            let (width, height) = camera.size;
            let view = ImageView::new("rgb8", width, height, width * 3, data)?;
            camera.resizer.resize(&view, &mut camera.picture)?;
        }
        self.resized = begun.elapsed();
        let images: Vec<(&str, &[u8])> = self.cameras.iter().map(|c| (&*c.name, &*c.picture)).collect();
        let observation = Observation { stamp: Stamp::ZERO, images: &images, joints: &seen.joints, earlier: &[] };
        Ok(self.policy.act(&observation, &self.goal, 0)?.row(0).to_vec())
    }

    /// Of the last action, what it took to bring the pictures to the policy's size.
    pub fn resized(&self) -> Duration {
        self.resized
    }

    /// Nanoseconds of an action, wall time.
    ///
    /// # Errors
    /// As [`Self::action`].
    pub fn time(&mut self, seen: &Seen) -> Result<u64> {
        let begun = Instant::now();
        std::hint::black_box(self.action(seen)?);
        Ok(begun.elapsed().as_nanos() as u64)
    }
}

fn options(threads: usize) -> RuntimeOptions {
    RuntimeOptions { intra_threads: threads, ..RuntimeOptions::default() }
}

/// The graphs of a package and nothing else.
///
/// # Errors
/// When it is not of a single pass.
pub fn bare(folder: &Path, threads: usize) -> Result<BareGraphs> {
    let package = PolicyPackage::load(folder, &[])?;
    BareGraphs::open(&package, options(threads))?
        .with_context(|| format!("{}: no policy of a single pass", folder.display()))
}
