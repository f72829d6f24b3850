//! Planning scenes once more: what stood around after each of them, from the messages in the bag.
//!
//! The node has another thread put scenes together, in the order in which robots and scenes came, and notes when it takes over what came of one. So
//! each note in the trace is answered by the next robot, or else the next message of the bag. What the robot holds is placed by the joints of the
//! decision before, as those of the very moment are not in the trace.

use efm_app::publisher::scene_keeper::SceneKeeper;
use efm_app::publisher::streaming::{Measured, Streaming};
use efm_collision::CollisionModel;
use efm_safety::{CollisionSpace, TrajectoryStreamer};
use std::collections::VecDeque;

/// Scenes of a recording, as its trace goes on.
#[derive(Debug)]
pub struct Scenes<'a> {
    messages: std::slice::Iter<'a, Vec<u8>>,
    keeper: SceneKeeper,
    /// Robots that were told and not answered yet.
    robots: VecDeque<CollisionModel>,
    positions: Vec<f64>,
    others: Vec<Option<f64>>,
    missing: usize,
}

impl<'a> Scenes<'a> {
    /// Of these messages (moveit_msgs/PlanningScene in CDR), in the order in which they came.
    pub fn of(messages: &'a [Vec<u8>]) -> Self {
        Self {
            messages: messages.iter(),
            keeper: SceneKeeper::default(),
            robots: VecDeque::new(),
            positions: Vec::new(),
            others: Vec::new(),
            missing: 0,
        }
    }

    /// A robot may have been described.
    pub fn described(&mut self, streaming: &mut Streaming) {
        let at_rest = |streamer: &&mut TrajectoryStreamer| !streamer.is_streaming();
        if let Some(space) = streaming.streamer_mut().filter(at_rest).and_then(collision_space) {
            self.robots.push_back(space.model().clone());
        }
    }

    /// Where the joints are, rad or m, and the robot's other joints.
    pub fn stands(&mut self, joints: &Measured<'_>, others: &[Option<f64>]) {
        self.positions.clear();
        self.positions.extend_from_slice(&joints.positions);
        self.others.clear();
        self.others.extend_from_slice(others);
    }

    /// What came of the next one is taken over.
    pub fn taken(&mut self, streaming: &mut Streaming) {
        if let Some(robot) = self.robots.pop_front() {
            self.keeper.robot(robot);
        } else if let Some(message) = self.messages.next() {
            self.keeper.scene(message.clone(), self.positions.clone(), self.others.clone());
        } else {
            self.missing += 1;
        }
        // What was put together for the robot before is of no use.
        if let (true, Some(known)) = (self.robots.is_empty(), self.keeper.model())
            && let Some(space) = streaming.streamer_mut().and_then(collision_space)
        {
            space.change(|model| model.clone_from(known));
        }
    }

    /// What stands in the way of doing the run again as it was, in words.
    pub fn problem(&self) -> Option<String> {
        let missing = self.missing;
        (missing > 0).then(|| {
            format!("{missing} planning scenes were taken that are not in the bag (topic planning_scene): what they changed is not done again")
        })
    }
}

fn collision_space(streamer: &mut TrajectoryStreamer) -> Option<&mut CollisionSpace> {
    streamer.space_mut()?.as_collision_space()
}
