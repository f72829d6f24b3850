//! The rows of one chunk as smooth functions of time, one a joint.

use crate::scheduler::Reference;
use efm_core::Stamp;

/// Rows of a chunk with a velocity at each, so that cubic Hermite pieces between them are smooth.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub observed_at: Stamp,
    /// Time of row 0.
    pub first: Stamp,
    /// Time of the last row.
    pub last: Stamp,
    step: f64,
    joints: usize,
    positions: Vec<f64>,
    velocities: Vec<f64>,
    /// The cubic after each row but the last, row-major.
    pieces: Vec<Cubic>,
    /// Of [`Self::smooth`].
    upper: Vec<f64>,
}

/// p + v t + c2 t^2 + c3 t^3, t seconds after a row.
#[derive(Debug, Clone, Copy)]
struct Cubic {
    p: f64,
    v: f64,
    c2: f64,
    c3: f64,
}

impl Cubic {
    /// Velocity and acceleration.
    fn rates(&self, t: f64) -> (f64, f64) {
        (self.v + t * (2.0 * self.c2 + t * 3.0 * self.c3), 2.0 * self.c2 + 6.0 * self.c3 * t)
    }
}

/// A time among the rows of a chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Seconds after the first row.
    seconds: f64,
    /// Seconds after the last row, zero before it.
    late: f64,
    /// The row before, and the seconds after it, between the first row and the last.
    row: usize,
    after_row: f64,
}

impl Rows {
    /// `positions` is row-major `[rows x joints]`, `step` in seconds. For joints with `straight` rows are joined by straight
    /// lines: a gripper's open/closed command must not ring.
    pub fn new(
        observed_at: Stamp,
        first: Stamp,
        last: Stamp,
        step: f64,
        straight: &[bool],
        positions: Vec<f64>,
    ) -> Self {
        let joints = straight.len();
        let velocities = vec![0.0; positions.len()];
        let n = positions.len() / joints;
        let (pieces, upper) = (Vec::with_capacity(n.saturating_sub(1) * joints), vec![0.0; n]);
        let mut rows = Self { observed_at, first, last, step, joints, positions, velocities, pieces, upper };
        rows.rebuild(straight);
        rows
    }

    /// Moves a row; takes effect with [`Self::rebuild`].
    pub fn set(&mut self, row: usize, joint: usize, position: f64) {
        self.positions[row * self.joints + joint] = position;
    }

    /// Whether all positions of a joint stay within a range when they are moved by so much.
    pub fn fits(&self, joint: usize, by: f64, min: f64, max: f64) -> bool {
        (0..self.len()).all(|row| (min..=max).contains(&(self.position(row, joint) + by)))
    }

    /// Moves all positions of a joint by whole turns: the motion stays as it is.
    pub fn turn(&mut self, joint: usize, by: f64) {
        self.positions.iter_mut().skip(joint).step_by(self.joints).for_each(|position| *position += by);
        self.pieces.iter_mut().skip(joint).step_by(self.joints).for_each(|piece| piece.p += by);
    }

    /// Joins the rows anew. Allocates nothing.
    pub fn rebuild(&mut self, straight: &[bool]) {
        for (joint, straight) in straight.iter().enumerate() {
            if !straight {
                self.smooth(joint);
            }
        }
        self.pieces.clear();
        for k in 0..self.len().saturating_sub(1) {
            for joint in 0..self.joints {
                let piece = self.between(k, joint);
                self.pieces.push(piece);
            }
        }
    }

    /// Time of a row.
    pub fn time_of(&self, row: usize) -> Stamp {
        self.first.offset_seconds(row as f64 * self.step)
    }

    /// Moves all rows in time, so that row 0 is one step after `at`.
    pub fn begin_at(&mut self, at: Stamp) {
        let by = at.offset_seconds(self.step).nanos_since(self.first);
        (self.first, self.last) = (self.first.offset_nanos(by), self.last.offset_nanos(by));
    }

    pub fn len(&self) -> usize {
        self.positions.len() / self.joints
    }

    fn position(&self, row: usize, joint: usize) -> f64 {
        self.positions[row * self.joints + joint]
    }

    /// Velocities that make the piecewise cubic twice differentiable: `v[k-1] + 4 v[k] + v[k+1] = 3 (p[k+1] - p[k-1]) / h`,
    /// with the one-sided second-order difference at both ends. Solved by forward elimination and back substitution; the
    /// matrix is diagonally dominant, so this is stable.
    fn smooth(&mut self, joint: usize) {
        let (n, h, joints) = (self.len(), self.step, self.joints);
        let Self { positions, velocities, upper, .. } = self;
        let p = |k: usize| positions[k * joints + joint];
        let v = |k: usize| k * joints + joint;
        match n {
            0 | 1 => {}
            2 => (velocities[v(0)], velocities[v(1)]) = ((p(1) - p(0)) / h, (p(1) - p(0)) / h),
            _ => {
                velocities[v(0)] = (-3.0 * p(0) + 4.0 * p(1) - p(2)) / (2.0 * h);
                velocities[v(n - 1)] = (3.0 * p(n - 1) - 4.0 * p(n - 2) + p(n - 3)) / (2.0 * h);
                upper.fill(0.0);
                for k in 1..n - 1 {
                    let pivot = 4.0 - upper[k - 1];
                    upper[k] = 1.0 / pivot;
                    velocities[v(k)] = (3.0 * (p(k + 1) - p(k - 1)) / h - velocities[v(k - 1)]) / pivot;
                }
                for k in (1..n - 1).rev() {
                    velocities[v(k)] -= upper[k] * velocities[v(k + 1)];
                }
            }
        }
    }

    /// Where a time lies among the rows; the same for all joints.
    pub fn place(&self, at: Stamp) -> Place {
        let (n, h) = (self.len(), self.step);
        let seconds = at.seconds_since(self.first);
        let late = if at > self.last { at.seconds_since(self.last) } else { 0.0 };
        let row = ((seconds.max(0.0) / h) as usize).min(n.saturating_sub(2));
        Place { seconds, late, row, after_row: (seconds - row as f64 * h).min(h) }
    }

    /// Desired state of a joint at a time. Before row 0 the first piece is continued with constant acceleration for at most one
    /// step. After the last row a straight joint rests there; any other runs out: within one step its acceleration goes linearly to
    /// zero, after that its velocity stays. So a stop that begins near the end of a chunk has a smooth path to brake on.
    pub fn at(&self, joint: usize, straight: bool, place: &Place) -> Reference {
        let (n, h) = (self.len(), self.step);
        let Place { seconds, late, row, after_row } = *place;
        let resting = |row: usize| Reference { position: self.position(row, joint), ..Reference::default() };
        if n == 1 || (straight && late > 0.0) {
            return resting(n - 1);
        }
        if late > 0.0 {
            let end = self.piece(n - 2, joint, h);
            let t = late.min(h);
            let velocity = end.velocity + end.acceleration * t * (1.0 - 0.5 * t / h);
            return Reference {
                position: end.position
                    + t * (end.velocity + end.acceleration * t * (0.5 - t / (6.0 * h)))
                    + velocity * (late - t),
                velocity,
                acceleration: end.acceleration * (1.0 - t / h),
            };
        }
        if straight {
            if seconds < 0.0 {
                return resting(0);
            }
            let (p0, p1) = (self.position(row, joint), self.position(row + 1, joint));
            let velocity = (p1 - p0) / h;
            return Reference { position: p0 + velocity * after_row, velocity, acceleration: 0.0 };
        }
        if seconds < 0.0 {
            let start = self.piece(0, joint, 0.0);
            let t = seconds.max(-h);
            return Reference {
                position: start.position + start.velocity * t + 0.5 * start.acceleration * t * t,
                velocity: start.velocity + start.acceleration * t,
                acceleration: start.acceleration,
            };
        }
        self.piece(row, joint, after_row)
    }

    /// The cubic Hermite piece between rows `k` and `k + 1`.
    fn between(&self, k: usize, joint: usize) -> Cubic {
        let by_step = 1.0 / self.step;
        let (p0, p1) = (self.position(k, joint), self.position(k + 1, joint));
        let (v0, v1) = (self.velocities[k * self.joints + joint], self.velocities[(k + 1) * self.joints + joint]);
        let mean = (p1 - p0) * by_step;
        let c2 = (3.0 * mean - 2.0 * v0 - v1) * by_step;
        let c3 = (v0 + v1 - 2.0 * mean) * by_step * by_step;
        Cubic { p: p0, v: v0, c2, c3 }
    }

    /// Its state `t` seconds after row `k`.
    fn piece(&self, k: usize, joint: usize, t: f64) -> Reference {
        let piece = &self.pieces[k * self.joints + joint];
        let (velocity, acceleration) = piece.rates(t);
        Reference { position: piece.p + t * (piece.v + t * (piece.c2 + t * piece.c3)), velocity, acceleration }
    }

    /// As [`Self::at`] of a joint that is not straight, without the position.
    pub fn rates(&self, joint: usize, place: &Place) -> (f64, f64) {
        if place.late > 0.0 || place.seconds < 0.0 || self.pieces.is_empty() {
            let at = self.at(joint, false, place);
            return (at.velocity, at.acceleration);
        }
        self.pieces[place.row * self.joints + joint].rates(place.after_row)
    }

    /// The row that is due next at a time.
    pub fn row_at(&self, at: Stamp) -> usize {
        let seconds = at.seconds_since(self.first);
        ((seconds / self.step - 1.0e-6).ceil().max(0.0) as usize).min(self.len() - 1)
    }

    pub fn is_finite(&self) -> bool {
        self.velocities.iter().all(|v| v.is_finite())
    }
}
