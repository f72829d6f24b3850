//! Action chunks: what a policy proposes.

use crate::figure::{Brief, Figure};
use crate::{JointNames, JointNamesError, Stamp, Trajectory, TrajectoryPoint};

/// A proposal of a policy: desired joint positions at evenly spaced times after an observation.
///
/// Row `k` is the desired state at `observed_at + (k + 1) * step`. It is a *proposal*: nothing in it was checked against the
/// robot's limits. Finite and well-formed by construction.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionChunk {
    observed_at: Stamp,
    step: f64,
    joints: JointNames,
    positions: Vec<f64>,
}

/// Why numbers do not make an action chunk.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChunkError {
    /// More rows than any policy looks ahead.
    #[error("the action chunk has {rows} rows (points); at most {} are taken", ActionChunk::MOST_ROWS)]
    TooManyRows {
        /// How many.
        rows: usize,
    },
    /// No rows.
    #[error("the action chunk has no steps")]
    Empty,
    /// The step time is not a positive, finite number of seconds.
    #[error("the action chunk's step time is {} s; it must be positive and finite", Figure(*.0))]
    StepTime(f64),
    /// The number of values is not a multiple of the number of joints.
    #[error("the action chunk holds {values} values, which is not a whole number of steps of {joints} joints")]
    Ragged {
        /// Number of values.
        values: usize,
        /// Number of joints.
        joints: usize,
    },
    /// A value is NaN or infinite.
    #[error("the action chunk's step {step} wants joint '{}' at {value}; it must be a finite number", Brief(.joint))]
    NotFinite {
        /// Row.
        step: usize,
        /// Joint.
        joint: String,
        /// What it was.
        value: f64,
    },
}

/// Why a trajectory is not an action chunk.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrajectoryChunkError {
    /// The joint names.
    #[error("the action chunk's joint_names: {0}")]
    Names(#[from] JointNamesError),
    /// A point has not one position a joint.
    #[error("point {point} of the action chunk has {positions} positions for {joints} joints")]
    Width {
        /// Which point.
        point: usize,
        /// How many positions.
        positions: usize,
        /// How many joints.
        joints: usize,
    },
    /// The points are not evenly spaced from one step after the stamp on.
    #[error(
        "point {point} of the action chunk is due {due} s after its stamp; with the first point at {step} s it must be {expected} s"
    )]
    Spacing {
        /// Which point.
        point: usize,
        /// Its time, in seconds.
        due: f64,
        /// The first point's time, in seconds.
        step: f64,
        /// What it must be, in seconds.
        expected: f64,
    },
    /// The values.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
}

impl ActionChunk {
    /// Rows of a chunk at most, of a manifest and on a topic. Policies give some 10 to 100; each row costs time wherever a chunk is checked.
    pub const MOST_ROWS: usize = 1000;

    /// Reads an action chunk from its message: the header stamp is the observation's, point k is due (k + 1) steps later.
    ///
    /// # Errors
    /// When names, sizes, spacing (to a microsecond) or values are not those of a chunk.
    pub fn from_trajectory(message: &Trajectory) -> Result<Self, TrajectoryChunkError> {
        // Before anything that takes longer with more of them.
        Self::bounded(message.points.len())?;
        let joints = JointNames::new(message.joint_names.iter().cloned())?;
        let step = message.points.first().map_or(0, |point| point.time_from_start);
        let mut positions = Vec::with_capacity(message.points.len() * joints.len());
        for (k, point) in message.points.iter().enumerate() {
            if point.positions.len() != joints.len() {
                let positions = point.positions.len();
                return Err(TrajectoryChunkError::Width { point: k, positions, joints: joints.len() });
            }
            let (due, expected) = (point.time_from_start, step.saturating_mul(k as i64 + 1));
            if due.abs_diff(expected) > 1_000 {
                let seconds = |nanos| nanos as f64 * 1e-9;
                return Err(TrajectoryChunkError::Spacing {
                    point: k,
                    due: seconds(due),
                    step: seconds(step),
                    expected: seconds(expected),
                });
            }
            positions.extend_from_slice(&point.positions);
        }
        if positions.is_empty() {
            return Err(ChunkError::Empty.into());
        }
        Ok(Self::new(message.stamp, step as f64 * 1e-9, joints, positions)?)
    }

    /// Checks and keeps a chunk. `positions` is row-major, `[horizon x joints]`, radians or metres; `step` in seconds.
    ///
    /// # Errors
    /// When it is empty, ragged, not finite, or its step time is not positive.
    pub fn new(observed_at: Stamp, step: f64, joints: JointNames, positions: Vec<f64>) -> Result<Self, ChunkError> {
        if !(step.is_finite() && step > 0.0) {
            return Err(ChunkError::StepTime(step));
        }
        if positions.is_empty() {
            return Err(ChunkError::Empty);
        }
        if !positions.len().is_multiple_of(joints.len()) {
            return Err(ChunkError::Ragged { values: positions.len(), joints: joints.len() });
        }
        Self::bounded(positions.len() / joints.len())?;
        if let Some(i) = positions.iter().position(|v| !v.is_finite()) {
            return Err(ChunkError::NotFinite {
                step: i / joints.len(),
                joint: joints.as_slice()[i % joints.len()].clone(),
                value: positions[i],
            });
        }
        Ok(Self { observed_at, step, joints, positions })
    }

    fn bounded(rows: usize) -> Result<(), ChunkError> {
        if rows > Self::MOST_ROWS { Err(ChunkError::TooManyRows { rows }) } else { Ok(()) }
    }

    /// As it travels: a point a row, each due so long after the observation. `frame_id` is that of the observation.
    pub fn to_trajectory(&self, frame_id: &str) -> Trajectory {
        let point = |k| TrajectoryPoint {
            positions: self.row(k).to_vec(),
            time_from_start: self.time_of(k).nanos_since(self.observed_at),
            ..TrajectoryPoint::default()
        };
        Trajectory {
            stamp: self.observed_at,
            frame_id: frame_id.to_owned(),
            joint_names: self.joints.as_slice().to_vec(),
            points: (0..self.horizon()).map(point).collect(),
        }
    }

    /// Time of the observation that the chunk was made from.
    pub fn observed_at(&self) -> Stamp {
        self.observed_at
    }

    /// Seconds between rows.
    pub fn step(&self) -> f64 {
        self.step
    }

    /// The joints, in the order of the columns.
    pub fn joints(&self) -> &JointNames {
        &self.joints
    }

    /// Number of rows.
    pub fn horizon(&self) -> usize {
        self.positions.len() / self.joints.len()
    }

    /// Row `k`: desired positions at [`Self::time_of`]`(k)`. Panics when `k` is not below the horizon.
    pub fn row(&self, k: usize) -> &[f64] {
        let n = self.joints.len();
        &self.positions[k * n..(k + 1) * n]
    }

    /// Time of row `k`.
    pub fn time_of(&self, k: usize) -> Stamp {
        self.observed_at.offset_seconds((k + 1) as f64 * self.step)
    }

    /// Time of the last row.
    pub fn ends_at(&self) -> Stamp {
        self.time_of(self.horizon() - 1)
    }

    /// All values, row-major.
    pub fn positions(&self) -> &[f64] {
        &self.positions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_k_is_due_k_plus_one_steps_after_the_observation() {
        let joints = JointNames::new(["a", "b"]).unwrap();
        let chunk = ActionChunk::new(Stamp::from_nanos(5), 0.1, joints, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(chunk.horizon(), 2);
        assert_eq!(chunk.row(1), [3.0, 4.0]);
        assert_eq!(chunk.time_of(1).nanos(), 200_000_005);
    }

    #[test]
    fn nothing_malformed_becomes_a_chunk() {
        let joints = JointNames::new(["a", "b"]).unwrap();
        let make = |step, values: &[f64]| ActionChunk::new(Stamp::ZERO, step, joints.clone(), values.to_vec());
        assert_eq!(make(0.1, &[]), Err(ChunkError::Empty));
        assert_eq!(make(0.0, &[1.0, 2.0]), Err(ChunkError::StepTime(0.0)));
        assert_eq!(make(0.1, &[1.0]), Err(ChunkError::Ragged { values: 1, joints: 2 }));
        assert!(make(0.1, &[0.0; 2000]).is_ok());
        assert_eq!(make(0.1, &[0.0; 2002]), Err(ChunkError::TooManyRows { rows: 1001 }));
        let err = make(0.1, &[1.0, 2.0, 3.0, f64::NAN]).unwrap_err();
        assert!(err.to_string().contains("step 1") && err.to_string().contains("'b'"), "{err}");
    }
}
