//! Does a recorded run again, from its bag: the policy looks again at what it saw, the filter decides again on what it was told, at the times of
//! the trace, as fast as the machine can. With the same package and parameters the commands come out bit by bit as they were recorded; with
//! others it is told what would have been different.
//!
//! [`recorded`] reads the bag, [`policy`] and [`safety`] are the two halves of the run, [`compare`] holds them against each other, [`report`] and
//! [`picture`] tell people and programs. The logic is that of the nodes ([`efm_app::publisher::streaming`], [`efm_app::inference::engine`]); nothing of ROS runs.

pub mod changes;
pub mod compare;
pub mod picture;
pub mod policy;
pub mod recorded;
pub mod report;
pub mod safety;
pub mod scenes;
