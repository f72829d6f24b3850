//! Records an episode as a rosbag2 MCAP folder with the graph's own topics.

use efm_bag::{BagError, BagOptions, BagSummary, BagWriter, msgs};
use efm_core::{ActionChunk, Stamp, Trajectory, TrajectoryPoint};
use efm_sim::tasks::Failure;
use efm_sim::{ObjectKind, Scene, Task, Verdict, World};
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
        ObjectKind::ALL.into_iter().map(|kind| (kind.words().to_owned(), place(kind))).collect();
    json!({
        "seed": scene.seed,
        "instruction": scene.sentence,
        "task": scene.task.name(),
        "kind": task_kind(scene.task),
        "object": object.words(),
        "target": scene.target(),
        "object_position": place(object),
        "objects": objects,
        "success": verdict.success(),
        "distance": verdict.distance,
        "others_moved": verdict.others_moved,
        "detail": failure_text(verdict),
    })
}

/// The kind of a task, in a word.
pub fn task_kind(task: Task) -> &'static str {
    match task {
        Task::Put { .. } => "put",
        Task::Push { .. } => "push",
    }
}

/// What still keeps an episode from success, in words; empty on success.
pub fn failure_text(verdict: &Verdict) -> String {
    match verdict.failure {
        None => String::new(),
        Some(Failure::OtherMoved(kind)) => {
            format!("the {} was moved by {:.0} mm", kind.words(), 1000.0 * verdict.others_moved)
        }
        Some(Failure::NotThere) => format!("{:.0} mm from the target", 1000.0 * verdict.distance),
        Some(Failure::NotStanding) => "tilted or not on the table".to_owned(),
        Some(Failure::NotReleased) => "not let go".to_owned(),
        Some(Failure::NotAtRest) => "not at rest yet".to_owned(),
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
