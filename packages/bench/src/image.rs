//! From a camera's message to the policy's tensor: how long it takes, and how long OpenCV and Pillow take. `efm-bench image`.
//!
//! What is measured are the libraries' own steps, one after the other, as the nodes do them: `camera_ingest` checks the message, unpacks a JPEG and
//! makes an rgb8 picture at the policy's size, and `vla_inference` makes that picture a normalised float32 tensor. Publishing is not in it.
//!
//! Others use the machine too. Times are CPU time of the thread, which does not count what others do with our core; caches and clock rates that they
//! spoil are in it all the same, so ours and theirs take turns, a block of pictures each. A ratio is that of two blocks' medians beside each other, and
//! what is told is the median of the rounds' ratios with the least and the greatest.

pub mod command;
pub mod ours;
pub mod report;
pub mod rival;
pub mod scene;

pub use command::{Args, bench};
