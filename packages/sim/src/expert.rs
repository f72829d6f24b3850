//! The scripted expert: from the true state now to the next 1.6 s of tool motion.
//!
//! It keeps no memory: what to do follows from where things are, so it recovers from pushes, misses and drops by itself, and a
//! policy that sees only the present can imitate it. Its rollout is that same rule played forward with a simple model of the
//! world (a held object moves with the tool, a pushed one ahead of it).
//!
//! Motion flows: the rule names a place to go, jerk-limited motion goes there ([`rsruckig`]), and the place moves smoothly with
//! the state (funnels instead of way-points), so the tool does not stop on the way.

mod motion;
mod rule;

use crate::tasks::{ObjectKind, Scene, Task};
use crate::world::World;
use motion::Motion;
use nalgebra::Vector3;
use rule::Imagined;

/// Rows of a rollout.
pub const HORIZON: usize = 16;
/// Seconds between rows.
pub const STEP: f64 = 0.1;
/// The rule is played forward in steps of this, s.
const TICK: f64 = 0.02;
const TICKS_PER_STEP: usize = 5;
/// Speed of a finger, m/s: opening or closing fully takes 0.3 s.
const FINGER_SPEED: f64 = 0.04 / 0.3;

/// What the expert looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpertView {
    /// Tool centre in `panda_link0`, m.
    pub tool: Vector3<f64>,
    /// Its velocity, m/s.
    pub velocity: Vector3<f64>,
    /// Position of a finger, m.
    pub finger: f64,
    /// Centre of the task's object, m.
    pub object: Vector3<f64>,
    /// Its turn about the vertical, rad.
    pub yaw: f64,
    /// What is asked.
    pub task: Task,
    /// Where the object shall go in the plane, m ([`Scene::target`]).
    pub target: [f64; 2],
}

impl ExpertView {
    /// Everything as measured in `world` now.
    pub fn of(world: &World, scene: &Scene) -> Self {
        let object = world.object_pose(scene.task.object());
        Self {
            tool: world.tool_pose().position,
            velocity: world.tool_velocity(),
            finger: world.joint_state().positions[7],
            object: object.position,
            yaw: object.rotation.euler_angles().2,
            task: scene.task,
            target: scene.target(),
        }
    }
}

/// Where the tool and the fingers should be; row `k` is due `(k + 1) * STEP` after the view.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rollout {
    /// Tool centre in `panda_link0`, m. The tool points down, the fingers open along y.
    pub tool: [[f64; 3]; HORIZON],
    /// Commanded position of a finger, m.
    pub finger: [f64; HORIZON],
    /// What it is about now, for people.
    pub phase: Phase,
}

/// What the rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// To the object.
    Approach,
    /// Closing the fingers around it.
    Grasp,
    /// Carrying it to the zone and lowering it.
    Carry,
    /// Opening the fingers and leaving.
    Release,
    /// Pushing.
    Push,
    /// Done; going to or staying at rest.
    Rest,
}

/// The expert.
#[derive(Debug, Default)]
pub struct Expert {
    motion: Motion,
}

impl Expert {
    /// A new one. It is the same after any number of plans: buffers only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Plays its rule forward from `view`.
    pub fn plan(&mut self, view: &ExpertView) -> Rollout {
        let mut state = Imagined::of(view);
        let first = rule::intent(view.task, view.target, &state);
        let mut rollout = Rollout { tool: [[0.0; 3]; HORIZON], finger: [0.0; HORIZON], phase: first.phase };
        for row in 0..HORIZON {
            for _ in 0..TICKS_PER_STEP {
                let intent = rule::intent(view.task, view.target, &state);
                let from = state.tool;
                self.motion.advance(&mut state, &intent, TICK);
                state.follow(view.task, state.tool - from, FINGER_SPEED * TICK, intent.finger);
            }
            rollout.tool[row] = state.tool.into();
            rollout.finger[row] = state.command;
        }
        rollout
    }
}

/// Half the width that the fingers meet, m.
fn half_width(kind: ObjectKind) -> f64 {
    kind.half_extents()[1]
}
