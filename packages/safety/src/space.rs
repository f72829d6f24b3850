//! Where the robot may be: the face of what knows obstacles to what plans motion.

use crate::collision_space::CollisionSpace;
use efm_core::JointNames;
use efm_robot::{ChainError, RobotModel, TipKinematics};
use nalgebra::Point3;

/// What a motion would come too close to, or leave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Intrusion {
    /// Two bodies come too close.
    TooClose {
        /// Which two, as the space counts its pairs.
        pair: usize,
        /// Distance that is left at least, metres.
        clearance: f64,
    },
    /// The tool leaves the workspace.
    OutsideWorkspace {
        /// How far outside, metres.
        by: f64,
    },
    /// The tool would be faster than it may.
    ToolSpeed {
        /// m/s.
        speed: f64,
    },
}

impl std::fmt::Display for Intrusion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooClose { pair, clearance } => write!(f, "pair {pair} would come within {:.1} mm", 1e3 * clearance),
            Self::OutsideWorkspace { by } => write!(f, "the tool would leave the workspace by {:.1} mm", 1e3 * by),
            Self::ToolSpeed { speed } => write!(f, "the tool would move at {speed:.3} m/s"),
        }
    }
}

/// How a motion goes from one configuration to the next.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// How long it takes.
    pub seconds: f64,
    /// Highest speed of each joint on the way times `seconds`.
    pub travel: &'a [f64],
    /// How far each joint is at most, halfway, from where a steady motion would have it: from `4 s (1 - s)` times this at the part s of the
    /// step. An acceleration below a gives a t^2 / 8.
    pub deviation: &'a [f64],
}

/// Judges motions by where they lead. All positions are in the order of the streamer's limits.
///
/// A motion is shown as a chain of configurations with the way that each joint goes between them; the answer must hold for every
/// moment in between. Called in the control tick: no implementation may allocate or wait.
pub trait Space: Send {
    /// A motion from rest begins here. A robot that already stands too close may get out, but no closer.
    ///
    /// # Errors
    /// When it may not move from here at all.
    fn begin(&mut self, positions: &[f64]) -> Result<f64, Intrusion>;

    /// The next chain starts at this configuration, which lies on a motion that was found good.
    fn resume(&mut self, positions: &[f64]);

    /// The chain goes on to `positions`. Returns the smallest clearance on the way, metres.
    ///
    /// # Errors
    /// When it leads where the robot may not be.
    fn advance(&mut self, positions: &[f64], step: &Step<'_>) -> Result<f64, Intrusion>;

    /// Joints of the robot that nobody here moves, whose positions are inputs of their own.
    fn others(&self) -> &[String] {
        &[]
    }

    /// Whether there is no answer while it is not known where one of the others, by its place, stands.
    fn asks_for(&self, _other: usize) -> bool {
        false
    }

    /// Says where the others stand, in their order, radians or metres; `None`: that is not known, and what is remembered stays. What has been
    /// found good before was found so with the others where they stood; the next chain is judged by where they are now.
    fn place_others(&mut self, _positions: &[Option<f64>]) {}

    /// What is too close, in words.
    fn describe(&self, intrusion: &Intrusion) -> String {
        intrusion.to_string()
    }

    /// Itself, where it is a [`CollisionSpace`] whose bodies can be changed.
    fn as_collision_space(&mut self) -> Option<&mut CollisionSpace> {
        None
    }
}

/// A box in the frame of the robot's root link that the tool stays in, metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workspace {
    /// Lowest corner.
    pub min: Point3<f64>,
    /// Highest corner.
    pub max: Point3<f64>,
}

impl Workspace {
    /// How far a point lies outside; zero or less inside.
    pub fn outside(&self, p: &Point3<f64>) -> f64 {
        let per_axis = |i: usize| (self.min[i] - p[i]).max(p[i] - self.max[i]);
        per_axis(0).max(per_axis(1)).max(per_axis(2))
    }
}

/// The tool on its way from the root, which may hang on a part of the joints that are planned, and on others.
#[derive(Debug, Clone)]
pub struct Tool {
    tip: TipKinematics,
}

impl Tool {
    /// The frame `tip` seen from the root of the robot, for positions in the order of `joints`. Joints on the way to it that are not among them
    /// stand where [`Tool::place_others`] says.
    ///
    /// # Errors
    /// When there is no such link, or none of the joints moves it.
    pub fn new(model: &RobotModel, tip: &str, joints: &JointNames) -> Result<Self, ChainError> {
        Ok(Self { tip: TipKinematics::new(model, tip, joints)? })
    }

    /// Where it is, in the frame of the root link, when joint j (in the order of `joints`) stands at `position(j)`.
    pub fn at(&self, position: impl Fn(usize) -> f64) -> Point3<f64> {
        Point3::from(self.tip.pose(position).translation.vector)
    }

    /// The joints of the robot that are not among `joints`: see [`efm_robot::other_joints`].
    pub fn others(&self) -> &[String] {
        self.tip.others()
    }

    /// Whether one of the others, by its place, has a part in where it is.
    pub fn hangs_on(&self, other: usize) -> bool {
        self.tip.hangs_on(other)
    }

    /// Whether one of the others, by its place, has a part in how fast it is while that joint stands.
    pub fn is_bent_by(&self, other: usize) -> bool {
        self.tip.is_bent_by(other)
    }

    /// Says where the others stand, in their order, radians or metres; `None`: that is not known, and it stays where it was. Whether that moves
    /// the tool.
    pub fn place_others(&mut self, positions: &[Option<f64>]) -> bool {
        let mut moved = false;
        for (other, position) in positions.iter().enumerate().take(self.tip.others().len()) {
            if let Some(position) = position.filter(|p| p.is_finite()) {
                moved |= self.tip.hangs_on(other) && self.tip.other(other) != position;
                self.tip.place_other(other, position);
            }
        }
        moved
    }
}
