//! Random motion as a source of action chunks, for the control [`crate::control::Control::Random`].
//!
//! The tool wanders between places drawn uniformly from the part of the workspace that the tasks are done in, each reached
//! in about a second by a smooth motion, while the gripper goes to a random opening. The chunks have the form of every policy's
//! chunks on this robot (absolute joint positions of arm and finger, by inverse kinematics with the tool pointing down), so they take the
//! same way through the streamer. The motion is a function of the scene's seed alone.

use crate::planner::{PlanError, RobotFiles, ToolRows};
use efm_core::{ActionChunk, Stamp};
use nalgebra::Vector3;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// Rows of a chunk.
const HORIZON: usize = 16;
/// Seconds between rows.
const STEP: f64 = 0.1;
/// Seconds between two chunks.
pub const PERIOD: f64 = 0.2;
/// Places of the tool, m in the base frame.
const X: Range<f64> = 0.32..0.66;
const Y: Range<f64> = -0.34..0.34;
const Z: Range<f64> = 0.02..0.30;
/// Farther than this from the base's axis the arm does not reach everywhere, m.
const REACH: f64 = 0.70;
/// Opening of a finger, m.
const FINGER: Range<f64> = 0.0..0.04;
/// Shortest time from place to place, s.
const LEAST: f64 = 1.0;
/// Mean speed of the tool at most, m/s.
const SPEED: f64 = 0.3;

/// From one place to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Leg {
    from: (Vector3<f64>, f64),
    to: (Vector3<f64>, f64),
    begins: f64,
    ends: f64,
}

/// An endless smooth random motion of tool and finger.
#[derive(Debug, Clone)]
struct Wandering {
    rng: ChaCha8Rng,
    legs: Vec<Leg>,
}

impl Wandering {
    fn new(seed: u64, tool: Vector3<f64>, finger: f64) -> Self {
        let start = (tool, finger);
        // A seed of its own, so that it has nothing to do with how the scene was drawn.
        let rng = ChaCha8Rng::seed_from_u64(seed ^ 0x7261_6e64_6f6d_2121);
        Self { rng, legs: vec![Leg { from: start, to: start, begins: 0.0, ends: 0.0 }] }
    }

    /// Where tool and finger shall be at `t` seconds. `t` may go back only within what a chunk reaches ahead.
    fn at(&mut self, t: f64) -> (Vector3<f64>, f64) {
        while let Some(last) = self.legs.last().copied()
            && last.ends < t
        {
            let to = self.place();
            let lasts = LEAST.max((to.0 - last.to.0).norm() / SPEED);
            self.legs.push(Leg { from: last.to, to, begins: last.ends, ends: last.ends + lasts });
            let old = self.legs.partition_point(|leg| leg.ends < t - 2.0 * HORIZON as f64 * STEP);
            self.legs.drain(..old.min(self.legs.len() - 1));
        }
        let next = self.legs.partition_point(|leg| leg.ends < t).min(self.legs.len() - 1);
        let leg = self.legs[next];
        let s = ((t - leg.begins) / (leg.ends - leg.begins).max(1e-9)).clamp(0.0, 1.0);
        // Minimum jerk (Flash, Hogan 1985): at rest at both ends.
        let share = s * s * s * (10.0 - 15.0 * s + 6.0 * s * s);
        let mix = |a: f64, b: f64| a + (b - a) * share;
        (leg.from.0.lerp(&leg.to.0, share), mix(leg.from.1, leg.to.1))
    }

    fn place(&mut self) -> (Vector3<f64>, f64) {
        let rng = &mut self.rng;
        loop {
            let tool = Vector3::new(rng.random_range(X), rng.random_range(Y), rng.random_range(Z));
            if tool.xy().norm() <= REACH {
                return (tool, rng.random_range(FINGER));
            }
        }
    }
}

/// Proposes random chunks.
pub struct RandomPlanner {
    rows: ToolRows,
    wandering: Option<Wandering>,
    seed: u64,
}

impl RandomPlanner {
    /// Reads the robot's files.
    ///
    /// # Errors
    /// When a file cannot be read or lacks something.
    pub fn new(files: &RobotFiles) -> Result<Self, PlanError> {
        Ok(Self { rows: ToolRows::new(files)?, wandering: None, seed: 0 })
    }

    /// Begins an episode.
    pub fn begin(&mut self, seed: u64) {
        self.seed = seed;
        self.wandering = None;
    }

    /// The next chunk, `elapsed` seconds after the episode's start, from the measured positions of the chunk's joints.
    ///
    /// # Errors
    /// When a row is out of reach.
    pub fn chunk(&mut self, measured: &[f64], elapsed: f64, stamp: Stamp) -> Result<ActionChunk, PlanError> {
        let mut arm = [0.0; 7];
        arm.copy_from_slice(&measured[..7]);
        let wandering =
            self.wandering.get_or_insert_with(|| Wandering::new(self.seed, self.rows.tool_at(&arm), measured[7]));
        let rows = (0..HORIZON).map(|row| wandering.at(elapsed + (row + 1) as f64 * STEP));
        self.rows.chunk(arm, stamp, STEP, rows)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn path(seed: u64) -> Vec<(Vector3<f64>, f64)> {
        let mut wandering = Wandering::new(seed, Vector3::new(0.31, 0.0, 0.49), 0.04);
        (0..500).map(|i| wandering.at(0.05 * f64::from(i))).collect()
    }

    #[test]
    fn it_wanders_through_the_whole_workspace_without_a_jump() {
        let (mut low, mut high) = (Vector3::repeat(9.0), Vector3::repeat(-9.0));
        for seed in 0..10 {
            let path = path(seed);
            for pair in path.windows(2) {
                // Mean speed times the peak of a minimum-jerk motion, 1.875.
                assert!((pair[1].0 - pair[0].0).norm() <= 1.9 * SPEED * 0.05, "{pair:?}");
                assert!((pair[1].1 - pair[0].1).abs() <= 1.9 * 0.04 * 0.05, "{pair:?}");
            }
            for (tool, finger) in &path[20..] {
                (low, high) = (low.inf(tool), high.sup(tool));
                assert!(FINGER.contains(finger) || *finger == 0.04, "{finger}");
            }
        }
        assert!(low.x < 0.36 && high.x > 0.6 && low.y < -0.28 && high.y > 0.28 && low.z < 0.05, "{low} {high}");
    }

    #[test]
    fn the_motion_depends_on_the_seed_alone_and_not_on_how_often_it_is_looked_at() {
        assert_eq!(path(3), path(3));
        assert_ne!(path(3), path(4));
        let mut other = Wandering::new(3, Vector3::new(0.31, 0.0, 0.49), 0.04);
        let ahead: Vec<_> =
            (0..500).map(|i| (other.at(0.05 * f64::from(i) + 1.6), other.at(0.05 * f64::from(i))).1).collect();
        assert_eq!(ahead, path(3));
    }
}
