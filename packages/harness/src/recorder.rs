//! Records an episode as a rosbag2 MCAP folder with the graph's own topics.

use efm_bag::{BagError, BagOptions, BagSummary, BagWriter, msgs};
use efm_core::{ActionChunk, Stamp, Trajectory, TrajectoryPoint};
use efm_sim::tasks::{BENCHMARK, BENCHMARK_VERSION, Failure};
use efm_sim::world::{HEIGHT, WIDTH};
use efm_sim::{Camera, Cell, ObjectKind, Scene, Verdict, World, WorldError};
use efm_vision::{ImageView, ResizeMode, Resizer, VisionError};
use serde_json::{Value, json};
use std::path::Path;

/// A chunk in the form in which it travels on `action_chunk`.
pub fn chunk_message(chunk: &ActionChunk) -> Trajectory {
    let step_nanos = (chunk.step() * 1e9).round() as i64;
    Trajectory {
        stamp: chunk.observed_at(),
        frame_id: String::new(),
        joint_names: chunk.joints().as_slice().to_vec(),
        points: (0..chunk.horizon())
            .map(|k| TrajectoryPoint {
                positions: chunk.row(k).to_vec(),
                time_from_start: (k as i64 + 1) * step_nanos,
                ..TrajectoryPoint::default()
            })
            .collect(),
    }
}

/// What the simulator says about the task, as on `task_status`: the sentence, what it means, where everything truly is, and how
/// it stands.
pub fn task_status(world: &World, scene: &Scene, verdict: &Verdict) -> Value {
    let object = scene.task.object();
    let place = |kind: ObjectKind| {
        let p = world.object_pose(kind).position;
        json!([p.x, p.y, p.z])
    };
    let objects: serde_json::Map<String, Value> =
        scene.present().map(|(kind, _)| (kind.words().to_owned(), place(kind))).collect();
    json!({
        "benchmark": BENCHMARK,
        "version": BENCHMARK_VERSION,
        "seed": scene.seed,
        "split": scene.split.name(),
        "instruction": scene.sentence,
        "task": scene.task.name(),
        "kind": scene.task.kind(),
        "goal": scene.task.goal(),
        "object": object.words(),
        "target": scene.target(),
        "plate": scene.plate,
        "object_position": place(object),
        "objects": objects,
        "success": verdict.success(),
        "distance": verdict.distance,
        "others_moved": verdict.others_moved,
        "detail": failure_text(verdict),
    })
}

/// What still keeps an episode from success, in words; empty on success.
pub fn failure_text(verdict: &Verdict) -> String {
    match verdict.failure {
        None => String::new(),
        Some(Failure::OtherMoved(kind)) => {
            format!("the {} was moved by {:.0} mm", kind.words(), 1000.0 * verdict.others_moved)
        }
        Some(Failure::NotThere) => format!("{:.0} mm from the target", 1000.0 * verdict.distance),
        Some(Failure::NotStanding) => "tilted, or not on what it should stand on".to_owned(),
        Some(Failure::NotReleased) => "not let go".to_owned(),
        Some(Failure::NotAtRest) => "not at rest yet".to_owned(),
    }
}

/// Time between two frames of a training episode, s: how often a policy looks.
pub const FRAME_SECONDS: f64 = 0.2;

/// Size of the recorded pictures, pixels: those that the shipped policy takes.
pub const FRONT_SIZE: (u32, u32) = (96, 72);
/// See [`FRONT_SIZE`].
pub const WRIST_SIZE: (u32, u32) = (64, 48);

/// Why a frame could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Drawing.
    #[error(transparent)]
    World(#[from] WorldError),
    /// Reducing.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// Writing.
    #[error(transparent)]
    Bag(#[from] BagError),
}

/// Draws the pictures of both cameras at the size at which they are recorded.
pub struct Pictures {
    cameras: [(Camera, Resizer, Vec<u8>); 2],
    picture: Vec<u8>,
}

impl Pictures {
    /// With its buffers.
    ///
    /// # Errors
    /// Never for these sizes.
    pub fn new() -> Result<Self, VisionError> {
        let camera = |camera, (width, height)| -> Result<_, VisionError> {
            let resizer = Resizer::new(width, height, ResizeMode::Stretch)?;
            let small = vec![0; resizer.output_len()];
            Ok((camera, resizer, small))
        };
        let cameras = [camera(Camera::Front, FRONT_SIZE)?, camera(Camera::Wrist, WRIST_SIZE)?];
        Ok(Self { cameras, picture: Vec::new() })
    }
}

/// Writes one episode.
pub struct EpisodeRecorder {
    bag: BagWriter,
    joint_names: Vec<String>,
}

impl EpisodeRecorder {
    /// Starts a bag in the new folder `dir`.
    ///
    /// # Errors
    /// When it exists already or cannot be written.
    pub fn create(dir: &Path) -> Result<Self, BagError> {
        let joint_names = World::joint_names().map(str::to_owned).to_vec();
        Ok(Self { bag: BagWriter::create(dir, BagOptions::default())?, joint_names })
    }

    /// The sentence, as on `instruction`.
    ///
    /// # Errors
    /// When the bag cannot be written.
    pub fn instruction(&mut self, sentence: &str, at: Stamp) -> Result<(), BagError> {
        self.bag.write("instruction", &msgs::StringMsg::new(sentence), at)
    }

    /// Everything of a frame of training: both pictures, the measured joints, what the expert would do, and the truth.
    ///
    /// # Errors
    /// When a camera cannot be drawn or the bag cannot be written.
    pub fn frame(&mut self, cell: &mut Cell, pictures: &mut Pictures, wanted: &ActionChunk) -> Result<(), FrameError> {
        let now = cell.now();
        self.joints(cell.world(), now)?;
        self.chunk(wanted)?;
        self.status(&task_status(cell.world(), cell.scene(), cell.verdict()), now)?;
        for (camera, resizer, small) in &mut pictures.cameras {
            cell.world_mut().render(*camera, &mut pictures.picture)?;
            resizer.resize(&ImageView::rgb8(WIDTH as u32, HEIGHT as u32, &pictures.picture)?, small)?;
            let (width, height) = if *camera == Camera::Front { FRONT_SIZE } else { WRIST_SIZE };
            self.image(camera.name(), width, height, small, now)?;
        }
        Ok(())
    }

    /// A camera's picture at the policy's size, rgb8.
    ///
    /// # Errors
    /// When the bag cannot be written.
    pub fn image(&mut self, camera: &str, width: u32, height: u32, rgb: &[u8], at: Stamp) -> Result<(), BagError> {
        let frame = format!("{camera}_optical_frame");
        let image = msgs::ImageView::rgb8(at, &frame, width, height, rgb);
        self.bag.write(&format!("observation/{camera}/image"), &image, at)
    }

    /// The measured joints.
    ///
    /// # Errors
    /// When the bag cannot be written.
    pub fn joints(&mut self, world: &World, at: Stamp) -> Result<(), BagError> {
        let state = world.joint_state();
        let message = msgs::JointState {
            header: msgs::Header::new(at, ""),
            name: self.joint_names.clone(),
            position: state.positions.to_vec(),
            velocity: state.velocities.to_vec(),
            effort: state.efforts.to_vec(),
        };
        self.bag.write("joint_states", &message, at)
    }

    /// A chunk.
    ///
    /// # Errors
    /// When the bag cannot be written.
    pub fn chunk(&mut self, chunk: &ActionChunk) -> Result<(), BagError> {
        self.bag.write("action_chunk", &chunk_message(chunk), chunk.observed_at())
    }

    /// The state of the task.
    ///
    /// # Errors
    /// When the bag cannot be written.
    pub fn status(&mut self, status: &Value, at: Stamp) -> Result<(), BagError> {
        self.bag.write("task_status", &msgs::StringMsg::new(status.to_string()), at)
    }

    /// Closes the bag.
    ///
    /// # Errors
    /// When the bag cannot be written.
    pub fn finish(self) -> Result<BagSummary, BagError> {
        self.bag.finish()
    }
}
