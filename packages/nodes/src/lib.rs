//! The nodes ([`nodes`]): parameters, topics and clocks around what decides, which is in [`efm_app`] and knows no ROS. The executables in `src/bin`
//! only run them.

pub mod nodes;
pub mod punctual;
pub mod senders;
pub mod trace;
pub mod voice;
pub mod wiring;
