//! Planning scenes beside the control loop: a thread of its own builds the new geometry, which may take long, the loop takes it over.

use crate::cores::run_as_ordinary;
use crate::publisher::scene_keeper::{SceneKeeper, SceneStatus};
use crate::reasons::{self, wrong};
use efm_collision::CollisionModel;
use efm_core::{Level, Reason};
use efm_safety::{CollisionSpace, TrajectoryStreamer};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Messages that wait for the robot to be known, or to be put together, and their bytes; more are lost, which is told.
const WAITING: usize = 1000;
const WAITING_BYTES: usize = 64 << 20;

const OCTOMAP: &str = "the octomap of the planning scene is not checked: what is in it is not there for the filter";
const PADDED: &str = "link_padding and link_scale of the planning scene are not used: set the parameters 'clearance' and 'padding' instead";

enum Job {
    Robot(u64, Box<CollisionModel>),
    /// With where the joints are, and the other joints.
    Scene(Vec<u8>, Vec<f64>, Vec<Option<f64>>),
    Lost(String),
}

/// Bytes and number of the messages that are with the thread.
#[derive(Debug, Default)]
struct AtWork {
    bytes: AtomicUsize,
    messages: AtomicUsize,
}

/// What came of a message.
#[derive(Debug)]
pub struct Outcome {
    /// For which of the robots that were told.
    robot: u64,
    model: CollisionModel,
    status: SceneStatus,
}

/// The control loop's side.
#[derive(Debug)]
pub struct SceneFeed {
    jobs: mpsc::Sender<Job>,
    waiting: Vec<Vec<u8>>,
    waiting_bytes: usize,
    at_work: Arc<AtWork>,
    overflowed: bool,
    /// The robots that were told, and the last whose surroundings are known.
    told: u64,
    known: u64,
    status: SceneStatus,
}

impl SceneFeed {
    /// Starts the thread. What it finds comes out of the receiver, for [`Self::take_over`].
    pub fn start() -> (Self, UnboundedReceiver<Outcome>) {
        let ((jobs, to_do), (results, outcomes)) = (mpsc::channel(), unbounded_channel());
        let at_work = Arc::<AtWork>::default();
        let theirs = at_work.clone();
        std::thread::spawn(move || {
            // Putting a scene together may take long, and must not keep the machine from what is urgent. Who may raise a priority may lower it.
            if let Err(error) = run_as_ordinary() {
                log::debug!("the thread of the planning scene keeps its priority: {error}");
            }
            work(&to_do, &results, &theirs);
        });
        let status = SceneStatus::default();
        let waiting = Vec::new();
        (Self { jobs, waiting, waiting_bytes: 0, at_work, overflowed: false, told: 0, known: 0, status }, outcomes)
    }

    /// A robot is known, by the streamer that was made for it.
    pub fn robot(&mut self, streamer: &mut TrajectoryStreamer) {
        if let Some(space) = collision_space(streamer) {
            self.told += 1;
            self.send(Job::Robot(self.told, Box::new(space.model().clone())));
        }
    }

    /// A message came.
    pub fn came(&mut self, bytes: Vec<u8>) {
        let messages = self.waiting.len() + self.at_work.messages.load(Ordering::Relaxed);
        if messages < WAITING && self.waiting_bytes() + bytes.len() <= WAITING_BYTES {
            self.waiting_bytes += bytes.len();
            self.waiting.push(bytes);
        } else {
            self.overflowed = true;
        }
    }

    /// Bytes of the messages that wait, here or with the thread.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes + self.at_work.bytes.load(Ordering::Relaxed)
    }

    /// Passes on what came, as soon as the robot is known and where its joints are. `others` are where its other joints stand.
    pub fn pass_on(&mut self, positions: Option<&[f64]>, others: &[Option<f64>]) {
        let nothing = self.waiting.is_empty() && !self.overflowed;
        let (false, Some(positions)) = (nothing || self.told == 0, positions) else { return };
        self.waiting_bytes = 0;
        for bytes in std::mem::take(&mut self.waiting) {
            self.at_work.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
            self.at_work.messages.fetch_add(1, Ordering::Relaxed);
            self.send(Job::Scene(bytes, positions.to_vec(), others.to_vec()));
        }
        if std::mem::take(&mut self.overflowed) {
            self.send(Job::Lost(format!(
                "planning scenes came faster than they can be put together, or before the robot was known (at most {WAITING} with {WAITING_BYTES} bytes wait)"
            )));
        }
    }

    /// Takes over what came of a message. What is planned already is judged anew by the next tick.
    pub fn take_over(&mut self, outcome: Outcome, streamer: &mut TrajectoryStreamer) {
        if outcome.robot != self.told {
            return;
        }
        if let Some(space) = collision_space(streamer) {
            space.change(|model| *model = outcome.model);
            self.known = outcome.robot;
            for (there, before, what) in [
                (outcome.status.octomap, self.status.octomap, OCTOMAP),
                (outcome.status.padded, self.status.padded, PADDED),
            ] {
                if there && !before {
                    log::warn!("{what}");
                }
            }
            self.status = outcome.status;
        }
    }

    /// Why the robot must not move, where that is so: something is there, and it is not known where.
    pub fn trouble(&self) -> Option<Reason> {
        if !self.waiting.is_empty() || self.overflowed {
            return Some(wrong(reasons::SCENE_WAITS, "a planning scene waits for joint_states", ""));
        }
        if self.known != self.told {
            return Some(wrong(reasons::SCENE_WAITS, "the planning scene is being put together", ""));
        }
        self.status.trouble.clone()
    }

    fn send(&self, job: Job) {
        if self.jobs.send(job).is_err() {
            // It ends by a panic only, and a panic ends the node.
            log::error!("planning scenes are not worked on any more");
        }
    }
}

fn collision_space(streamer: &mut TrajectoryStreamer) -> Option<&mut CollisionSpace> {
    streamer.space_mut()?.as_collision_space()
}

/// What is known of the surroundings, in words and figures, for diagnostics.
pub fn explain(
    streamer: Option<&mut TrajectoryStreamer>,
    scenes: Option<&SceneFeed>,
) -> (Level, String, Vec<(String, String)>) {
    let status = scenes.map(|scenes| &scenes.status);
    let (level, text) = if let Some(trouble) = scenes.and_then(SceneFeed::trouble) {
        (Level::Error, trouble.in_words())
    } else if status.is_some_and(|status| status.octomap) {
        (Level::Warn, OCTOMAP.to_owned())
    } else if status.is_some_and(|status| status.padded) {
        (Level::Warn, PADDED.to_owned())
    } else {
        (Level::Ok, "as the files and the planning scenes say".to_owned())
    };
    let mut values = vec![("planning_scene listened to".to_owned(), scenes.is_some().to_string())];
    let space = streamer.and_then(collision_space);
    let (checked, counts) = match &space {
        Some(space) => (true, (space.model().obstacles().len(), space.model().attached().len())),
        None => (false, (0, 0)),
    };
    values.push(("collisions checked".to_owned(), checked.to_string()));
    values.push(("obstacles".to_owned(), counts.0.to_string()));
    values.push(("held objects".to_owned(), counts.1.to_string()));
    (level, text, values)
}

fn work(jobs: &mpsc::Receiver<Job>, results: &UnboundedSender<Outcome>, at_work: &AtWork) {
    let (mut keeper, mut robot) = (SceneKeeper::default(), 0);
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Robot(number, base) => {
                robot = number;
                keeper.robot(*base);
            }
            Job::Scene(bytes, positions, others) => {
                let length = bytes.len();
                keeper.scene(bytes, positions, others);
                at_work.bytes.fetch_sub(length, Ordering::Relaxed);
                at_work.messages.fetch_sub(1, Ordering::Relaxed);
            }
            Job::Lost(reason) => keeper.lost(reason),
        }
        let Some(model) = keeper.model().cloned() else { continue };
        if results.send(Outcome { robot, model, status: keeper.status() }).is_err() {
            break;
        }
    }
}
