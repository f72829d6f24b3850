//! Action chunks: what a policy proposes.

use crate::{JointNames, Stamp};

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
    /// No rows.
    #[error("the action chunk has no steps")]
    Empty,
    /// The step time is not a positive, finite number of seconds.
    #[error("the action chunk's step time is {0} s; it must be positive and finite")]
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
    #[error("the action chunk's step {step} wants joint '{joint}' at {value}; it must be a finite number")]
    NotFinite {
        /// Row.
        step: usize,
        /// Joint.
        joint: String,
        /// What it was.
        value: f64,
    },
}

impl ActionChunk {
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
        if let Some(i) = positions.iter().position(|v| !v.is_finite()) {
            return Err(ChunkError::NotFinite {
                step: i / joints.len(),
                joint: joints.as_slice()[i % joints.len()].clone(),
                value: positions[i],
            });
        }
        Ok(Self { observed_at, step, joints, positions })
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
        let err = make(0.1, &[1.0, 2.0, 3.0, f64::NAN]).unwrap_err();
        assert!(err.to_string().contains("step 1") && err.to_string().contains("'b'"), "{err}");
    }
}
