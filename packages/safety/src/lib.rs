//! What reaches the controllers: limits, stop tails and the stream of trajectory windows.
//!
//! [`TrajectoryStreamer`] takes action chunks and measured joint states and says, tick by tick, which window of points every
//! controller gets. Its promises, whatever is offered and whenever it is called:
//!
//! - nothing but finite numbers leaves it, inside the position, velocity, acceleration and jerk limits, and on every curve that a
//!   controller draws between the points as well;
//! - every window ends exactly at rest: whoever dies, the arm comes to a planned stop;
//! - consecutive windows lie on one time axis and agree, bit by bit, up to publish time plus the committed horizon;
//! - motion starts only from rest, at the measured pose, while armed and with a fresh joint state; and while it is known where every
//!   joint stands that nobody here moves and on which it depends what comes close.
//!
//! It keeps limits, and away from what its [`Space`] knows ([`CollisionSpace`]: the robot itself, its cell, its workspace); without one it
//! knows no obstacles, and it sees nothing itself. `docs/safety.md` has what holds when. It is not a safety-rated function (ISO 10218,
//! ISO 13849).
//!
//! Time is passed in; a tick does not allocate.

pub mod codes;
mod collision_space;
mod limits;
mod measured;
mod monitor;
mod monitors;
mod motion;
mod plan;
mod planner;
mod progress;
mod sent;
mod silence;
mod space;
mod streamer;
mod tracking;
mod window;

pub use collision_space::{CollisionSpace, ToolBounds};
pub use limits::{Limits, LimitsError};
pub use measured::{
    Allowance, Contradiction, Doubt, Flaw, Fresh, JointFeed, JointTrouble, Malformed, Measured, OtherJoints,
    OtherTrouble, Twin,
};
pub use monitor::{Cause, InUse, Latch, Moment, Monitor, Occasion, Tracked, Untold, Verdict};
pub use plan::PlanReport;
pub use progress::PathLimit;
pub use silence::{Silence, Voice};
pub use space::{Intrusion, Space, Step, Tool, Workspace};
pub use streamer::config::{ControllerSpec, SetupError, StreamConfig, bounds};
pub use streamer::{
    Activity, ControllerFault, Execution, IdleReason, Names, OfferRefusal, Outgoing, StopReason, Surroundings,
    TaskLimits, Tick, TrajectoryStreamer,
};
pub use tracking::Tracking;
pub use window::{VerifiedWindow, Violation};
