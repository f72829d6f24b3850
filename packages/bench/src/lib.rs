//! What the safety filter is measured with.
//!
//! - [`run::run`]: adversarial streams of chunks, joint states, clocks and commands, against the filter and against the rules of others,
//!   judged by [`checker::Checker`], which knows only what is published and what the limits are. `./efm bench safety`.
//! - [`kill`]: the publisher dies at a random moment; how the arm comes to rest. `./efm bench kill`.
//! - [`cell`]: random goals among random obstacles, judged by MuJoCo's contacts and by parry. `./efm bench cell`.
//! - [`tick`]: how long a tick takes. `./efm bench tick`.
//! - [`growth`]: what a call costs as its work grows. `./efm bench growth`.
//! - [`instructions`]: how many instructions the [`hot`] paths take, beside a baseline. `./efm bench instructions`.
//! - [`transparent`]: what the filter changes where nothing has to be changed. `./efm bench transparent`.
//! - [`image`]: from a camera's message to the policy's tensor, beside OpenCV and Pillow. `./efm bench image`.
//! - [`lerobot`]: from an observation to an action, beside LeRobot's own loop. `./efm bench lerobot`.
//!
//! An episode is a pure function of its seed. What each difference can show, and its error, is derived in [`track`].

pub mod arm;
pub mod cell;
pub mod checker;
pub mod chunks;
pub mod counting;
pub mod driven;
pub mod episode;
pub mod evaluation;
pub mod follower;
pub mod growth;
pub mod hearing;
pub mod histogram;
pub mod hot;
pub mod image;
pub mod instructions;
pub mod kill;
pub mod lerobot;
pub mod meter;
pub mod page;
pub mod policy;
pub mod report;
pub mod rivals;
pub mod rng;
pub mod robot;
pub mod run;
pub mod section;
pub mod stimulus;
pub mod tally;
pub mod tick;
pub mod told;
pub mod track;
pub mod transparent;
pub mod usage;
