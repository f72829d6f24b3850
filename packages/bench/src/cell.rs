//! Random goals among random obstacles: does the arm touch anything, and does it stop where nothing is in the way?
//!
//! A run is a pure function of its seed. The Panda stands among one to six random boxes, balls, cylinders and capsules and on its table; a "policy"
//! sends chunks of the time-optimal motion to random goals, straight through whatever is in the way; the filter
//! ([`efm_safety::TrajectoryStreamer`] with a [`efm_safety::CollisionSpace`]) streams windows to the model of the real controllers
//! ([`efm_sim::jtc`]), and the arm follows, in MuJoCo's physics or exactly. Two judges that share no code with the filter's checks look on:
//! MuJoCo's list of contacts, and parry at the commanded positions.
//!
//! A goal is *clear* when the expert's own motion keeps the filter's least distance all along, measured by parry every millisecond. A clear
//! goal that the command has not reached (within [`play::ARRIVED`]) in twice the expert's time after the first chunk came was stopped needlessly.

pub mod command;
pub mod judge;
pub mod play;
pub mod policy;
pub mod scene;
pub mod totals;

pub use command::Args;
pub use play::{Outcome, Settings, play};
