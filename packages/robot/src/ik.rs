//! Inverse kinematics by damped least squares, seeded by where the arm is.
//!
//! Each iteration takes the step dq = J^T (J J^T + l^2 I)^-1 e + N g (rest - q): e is the pose error (position, and rotation as a
//! rotation vector, both in the base frame), the damping l^2 grows with |e|^2 (Sugihara, "Solvability-unconcerned inverse kinematics
//! by the Levenberg-Marquardt method", T-RO 2011), and N projects the pull towards the rest posture into the null space of J. A joint
//! that would be driven over its limit is held there and the step is solved again without it, so that the others take over.
//!
//! The same target and seed give the same answer, always; nothing is random and nothing is remembered.

use crate::chain::Chain;
use crate::limits::LimitSet;
use nalgebra::{Isometry3, Matrix6, Vector3, Vector6};

/// How exact and how eager the solver is.
#[derive(Debug, Clone, PartialEq)]
pub struct IkSettings {
    /// Largest distance from the target that counts as there, metres.
    pub position_tolerance: f64,
    /// Largest angle from the target that counts as there, radians.
    pub rotation_tolerance: f64,
    /// Iterations before giving up.
    pub max_iterations: usize,
    /// Largest motion of a joint in one iteration, radians or metres.
    pub max_step: f64,
    /// Share of the way to the rest posture that the null space is used for at the first iteration; it halves with each further one,
    /// so that it cannot keep the solver from converging. 0 switches it off.
    pub rest_gain: f64,
    /// Largest pull of a joint towards the rest posture, radians or metres a solve: keeps densely sampled paths slow in the null space.
    pub max_rest_step: f64,
}

impl Default for IkSettings {
    fn default() -> Self {
        Self {
            position_tolerance: 1e-5,
            rotation_tolerance: 1e-5,
            max_iterations: 100,
            max_step: 0.3,
            rest_gain: 0.02,
            max_rest_step: 0.005,
        }
    }
}

/// How a solution was reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IkReport {
    /// Steps taken.
    pub iterations: usize,
    /// Distance from the target, metres.
    pub position_error: f64,
    /// Angle from the target, radians.
    pub rotation_error: f64,
}

/// Why there is no solution.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IkError {
    /// The target could not be reached from the seed.
    #[error(
        "no joint positions found for the pose: after {iterations} iterations {position_error:.4} m and \
         {rotation_error:.4} rad remain{}",
        at_limit.as_deref().map(|j| format!("; joint '{j}' is at its limit")).unwrap_or_default()
    )]
    NotConverged {
        /// Steps taken.
        iterations: usize,
        /// Distance that remains, metres.
        position_error: f64,
        /// Angle that remains, radians.
        rotation_error: f64,
        /// The first joint of the chain that ended at a position limit.
        at_limit: Option<String>,
    },
    /// The target or the seed has a value that is NaN or infinite.
    #[error("the {0} is not finite")]
    NotFinite(&'static str),
    /// An array has another length than the chain has joints.
    #[error("{what}: {found} values for {wanted} joints")]
    Size {
        /// Which array.
        what: &'static str,
        /// How many joints there are.
        wanted: usize,
        /// How many values came.
        found: usize,
    },
    /// The limits do not cover a joint of the chain.
    #[error("joint '{0}' of the chain has no position limits in the limit set")]
    NoLimits(String),
}

/// A solver for one chain. Holds scratch memory, so that [`InverseKinematics::solve`] allocates nothing unless it fails.
#[derive(Debug, Clone)]
pub struct InverseKinematics {
    chain: Chain,
    lower: Vec<f64>,
    upper: Vec<f64>,
    rest: Vec<f64>,
    settings: IkSettings,
    columns: Vec<Vector6<f64>>,
    held: Vec<bool>,
    pull: Vec<f64>,
    step: Vec<f64>,
}

impl InverseKinematics {
    /// A solver with the position limits of `limits` (which may hold more joints, in any order) and a rest posture in the chain's order;
    /// the rest posture is moved into the limits.
    ///
    /// # Errors
    /// When `limits` lacks a joint of the chain, or `rest` has the wrong length or is not finite.
    pub fn new(chain: Chain, limits: &LimitSet, rest: &[f64], settings: IkSettings) -> Result<Self, IkError> {
        let n = chain.dof();
        check("the rest posture", rest, n)?;
        let (mut lower, mut upper) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for name in chain.joint_names().iter() {
            let place = limits.names.index_of(name).and_then(|place| limits.joint(place));
            let joint = place.ok_or_else(|| IkError::NoLimits(name.to_owned()))?;
            lower.push(joint.lower);
            upper.push(joint.upper);
        }
        let rest = rest.iter().zip(lower.iter().zip(&upper)).map(|(q, (lo, hi))| q.clamp(*lo, *hi)).collect();
        let (columns, held) = (vec![Vector6::zeros(); n], vec![false; n]);
        Ok(Self { chain, lower, upper, rest, settings, columns, held, pull: vec![0.0; n], step: vec![0.0; n] })
    }

    /// The chain that is solved.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The rest posture, within the limits.
    pub fn rest(&self) -> &[f64] {
        &self.rest
    }

    /// Finds joint positions `q` with `chain.fk(q)` = `target` (pose of the tip in the base frame), starting from `seed`: the nearest
    /// solution, roughly, which is what a path wants. At least one iteration is made. `q` is within the limits even when the seed is not.
    ///
    /// # Errors
    /// When it does not converge (`q` then holds the last iterate, which must not be used as a solution), a value is not finite, or an
    /// array has the wrong length.
    pub fn solve(&mut self, target: &Isometry3<f64>, seed: &[f64], q: &mut [f64]) -> Result<IkReport, IkError> {
        let n = self.chain.dof();
        check("the seed", seed, n)?;
        if q.len() != n {
            return Err(IkError::Size { what: "the solution", wanted: n, found: q.len() });
        }
        if !target.translation.vector.iter().chain(target.rotation.coords.iter()).all(|v| v.is_finite()) {
            return Err(IkError::NotFinite("target"));
        }
        for (i, (q, seed)) in q.iter_mut().zip(seed).enumerate() {
            *q = seed.clamp(self.lower[i], self.upper[i]);
        }
        let mut rest_gain = self.settings.rest_gain;
        let mut iterations = 0;
        loop {
            let tip = self.chain.jacobian_into(q, &mut self.columns);
            let linear = target.translation.vector - tip.translation.vector;
            let angular = (target.rotation * tip.rotation.inverse()).scaled_axis();
            let (position_error, rotation_error) = (linear.norm(), angular.norm());
            let there = position_error <= self.settings.position_tolerance
                && rotation_error <= self.settings.rotation_tolerance;
            if there && iterations > 0 {
                return Ok(IkReport { iterations, position_error, rotation_error });
            }
            if iterations >= self.settings.max_iterations {
                let at_limit = self.chain.joint_names().iter().zip(q.iter().enumerate());
                let at_limit = at_limit.filter(|(_, (i, q))| **q <= self.lower[*i] || **q >= self.upper[*i]);
                let at_limit = at_limit.map(|(name, _)| name.to_owned()).next();
                return Err(IkError::NotConverged { iterations, position_error, rotation_error, at_limit });
            }
            self.step_towards(linear, angular, rest_gain, q);
            rest_gain *= 0.5;
            iterations += 1;
        }
    }

    /// [`InverseKinematics::solve`], and where that fails the same from the rest posture and then from `restarts` postures spread over
    /// the limits (a Halton sequence: always the same). For goals; a path must not jump like this.
    ///
    /// # Errors
    /// As [`InverseKinematics::solve`]; when nothing converges, the failure from `seed`.
    pub fn solve_with_restarts(
        &mut self,
        target: &Isometry3<f64>,
        seed: &[f64],
        restarts: usize,
        q: &mut [f64],
    ) -> Result<IkReport, IkError> {
        let first = match self.solve(target, seed, q) {
            Err(error @ IkError::NotConverged { .. }) => error,
            other => return other,
        };
        let mut posture = self.rest.clone();
        for restart in 0..=restarts {
            if restart > 0 {
                for (i, q) in posture.iter_mut().enumerate() {
                    let (lower, upper) =
                        (self.lower[i].max(-std::f64::consts::PI), self.upper[i].min(std::f64::consts::PI));
                    *q = lower + (upper - lower) * halton(restart, i);
                }
            }
            if let Ok(report) = self.solve(target, &posture, q) {
                return Ok(report);
            }
        }
        Err(first)
    }

    /// One damped step of `q`, kept within the limits.
    fn step_towards(&mut self, linear: Vector3<f64>, angular: Vector3<f64>, rest_gain: f64, q: &mut [f64]) {
        let mut error = Vector6::zeros();
        error.fixed_rows_mut::<3>(0).copy_from(&linear);
        error.fixed_rows_mut::<3>(3).copy_from(&angular);
        // Far away the linear model is only good for so much: ask for a part of the way.
        let far = (error.norm() / 0.5).max(1.0);
        error /= far;
        let damping = 0.1 * error.norm_squared() + 1e-9;
        for (i, pull) in self.pull.iter_mut().enumerate() {
            let limit = self.settings.max_rest_step;
            *pull = (rest_gain * (self.rest[i] - q[i])).clamp(-limit, limit);
        }
        self.held.fill(false);
        // Each round holds at least one more joint, or is the last.
        for _ in 0..=q.len() {
            self.solve_step(&error, damping);
            let mut over = false;
            for (i, &position) in q.iter().enumerate() {
                let outwards = (position <= self.lower[i] && self.step[i] < 0.0)
                    || (position >= self.upper[i] && self.step[i] > 0.0);
                if !self.held[i] && outwards {
                    self.held[i] = true;
                    over = true;
                }
            }
            if !over {
                break;
            }
        }
        let largest = self.step.iter().fold(0.0_f64, |m, s| m.max(s.abs()));
        let scale = if largest > self.settings.max_step { self.settings.max_step / largest } else { 1.0 };
        for (i, q) in q.iter_mut().enumerate() {
            *q = (*q + scale * self.step[i]).clamp(self.lower[i], self.upper[i]);
        }
    }

    /// step = pull + J^T (J J^T + damping I)^-1 (error - J pull), over the joints that are not held. (This is the damped step plus the
    /// projected pull, in one solve.)
    fn solve_step(&mut self, error: &Vector6<f64>, damping: f64) {
        let mut a = Matrix6::identity() * damping;
        let mut b = *error;
        for (i, column) in self.columns.iter().enumerate() {
            if !self.held[i] {
                a.ger(1.0, column, column, 1.0);
                b -= column * self.pull[i];
            }
        }
        // Positive definite by its damping; where rounding says otherwise, the step is left out and only the pull remains.
        let y = a.cholesky().map_or_else(Vector6::zeros, |c| c.solve(&b));
        for (i, column) in self.columns.iter().enumerate() {
            self.step[i] = if self.held[i] { 0.0 } else { self.pull[i] + column.dot(&y) };
        }
    }
}

fn check(what: &'static str, values: &[f64], wanted: usize) -> Result<(), IkError> {
    if values.len() != wanted {
        return Err(IkError::Size { what, wanted, found: values.len() });
    }
    if values.iter().any(|v| !v.is_finite()) {
        return Err(IkError::NotFinite(what));
    }
    Ok(())
}

/// Element `index` (from 1) of the Halton sequence of a dimension, in 0..1.
fn halton(index: usize, dimension: usize) -> f64 {
    const PRIMES: [usize; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    let base = PRIMES[dimension % PRIMES.len()];
    let (mut rest, mut share, mut value) = (index, 1.0, 0.0);
    while rest > 0 {
        share /= base as f64;
        value += share * (rest % base) as f64;
        rest /= base;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RobotModel;
    use crate::path::tool_down;
    use nalgebra::Translation3;
    use proptest::prelude::*;
    use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};
    use std::sync::LazyLock;

    const READY: [f64; 7] = [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4];

    /// Read once: parsing a URDF takes longer than thousands of solutions.
    static SOLVER: LazyLock<InverseKinematics> = LazyLock::new(|| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let panda = RobotModel::load(format!("{root}/urdf/panda.urdf")).unwrap();
        let chain = Chain::new(&panda, "panda_link0", "panda_hand_tcp").unwrap();
        let limits = LimitSet::load(&panda, format!("{root}/config/joint_limits.yaml"), chain.joint_names()).unwrap();
        InverseKinematics::new(chain, &limits, &READY, IkSettings::default()).unwrap()
    });

    fn solver() -> InverseKinematics {
        SOLVER.clone()
    }

    fn above_table(x: f64, y: f64, z: f64, yaw: f64) -> Isometry3<f64> {
        Isometry3::from_parts(Translation3::new(x, y, z), tool_down(yaw))
    }

    /// Distance of the wrist's centre from the shoulder with the tool down, at its least: the 88 mm between the wrist and the flange's
    /// axis point inwards. The arm reaches 0.719 m (|(0.316, 0.0825)| + |(0.384, 0.0825)|).
    fn stretch(x: f64, y: f64, z: f64) -> f64 {
        (x.hypot(y) - 0.088).hypot(z + 0.1034 + 0.107 - 0.333)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_pose_above_the_table_within_reach_is_found_from_the_ready_pose(
            x in 0.3..0.7, y in -0.35..0.35, z in 0.0..0.5, yaw in -0.5..0.5,
        ) {
            prop_assume!(stretch(x, y, z) < 0.7);
            let mut solver = solver();
            let target = above_table(x, y, z, yaw);
            let mut q = [0.0; 7];
            let report = solver.solve(&target, &READY, &mut q);
            prop_assert!(report.is_ok(), "{report:?}");
            let found = solver.chain().fk(&q);
            prop_assert!((found.translation.vector - target.translation.vector).norm() <= 1e-5);
            prop_assert!(found.rotation.angle_to(&target.rotation) <= 1.1e-5);
            for (i, q) in q.iter().enumerate() {
                prop_assert!((solver.lower[i]..=solver.upper[i]).contains(q));
            }
        }

        #[test]
        fn a_posture_is_found_again_from_nearby(
            offsets in prop::collection::vec(-0.3..0.3, 7), nudge in prop::collection::vec(-0.05..0.05, 7),
        ) {
            let mut solver = solver();
            let posture: Vec<f64> = READY.iter().zip(offsets).map(|(q, d)| q + d).collect();
            let seed: Vec<f64> = posture.iter().zip(nudge).map(|(q, d)| q + d).collect();
            let target = solver.chain().fk(&posture);
            let mut q = [0.0; 7];
            let report = solver.solve(&target, &seed, &mut q);
            prop_assert!(report.is_ok(), "{report:?}");
            // Nearby, not just anywhere: seven joints have a line of solutions, of which the one next to the seed is wanted.
            let moved = q.iter().zip(&seed).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            prop_assert!(moved < 0.25, "moved {moved}");
        }

        #[test]
        fn a_pose_out_of_reach_is_an_error_that_names_what_remains(x in 0.95..2.0, y in -1.0..1.0) {
            let mut q = [0.0; 7];
            let error = solver().solve(&above_table(x, y, 0.3, 0.0), &READY, &mut q).unwrap_err();
            let IkError::NotConverged { position_error, .. } = error else { panic!("{error}") };
            prop_assert!(position_error > 0.05);
            prop_assert!(error.to_string().contains(" m and "));
        }
    }

    #[test]
    fn the_same_question_has_the_same_answer() {
        let mut solver = solver();
        let target = above_table(0.5, 0.2, 0.1, 0.3);
        let (mut first, mut second, mut other) = ([0.0; 7], [1.0; 7], [0.0; 7]);
        solver.solve(&target, &READY, &mut first).unwrap();
        solver.solve(&above_table(0.4, -0.2, 0.3, 0.0), &READY, &mut other).unwrap();
        solver.solve(&target, &READY, &mut second).unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn the_elbow_returns_to_the_rest_posture_while_the_tool_stays() {
        let target = solver().chain().fk(&READY);
        let hold = |rest: &[f64], mut q: [f64; 7]| {
            let mut solver = InverseKinematics { rest: rest.to_vec(), ..solver() };
            for _ in 0..1000 {
                let seed = q;
                solver.solve(&target, &seed, &mut q).unwrap();
            }
            q
        };
        let largest = |q: [f64; 7]| q.iter().zip(READY).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let mut elbow_out = READY;
        (elbow_out[0], elbow_out[2]) = (-0.8, 0.8);
        let out = hold(&elbow_out, READY);
        assert!(largest(out) > 0.2, "{out:?}");
        let back = hold(&READY, out);
        assert!(largest(back) < 1e-3, "{back:?}");
    }

    #[test]
    fn a_small_step_takes_a_few_iterations() {
        let mut solver = solver();
        let start = solver.chain().fk(&READY);
        let target = Translation3::new(0.003, -0.002, 0.001) * start;
        let mut q = [0.0; 7];
        let report = solver.solve(&target, &READY, &mut q).unwrap();
        assert!(report.iterations <= 4, "{report:?}");
    }

    #[test]
    fn restarts_find_what_a_bad_seed_does_not() {
        let mut solver = solver();
        let target = above_table(0.465, 0.224, 0.149, 0.0);
        let mut q = [0.0; 7];
        // About half of all postures are in another basin; take the first of them.
        let spread = |k: usize| -> Vec<f64> {
            let share = |i: usize| halton(k, i + 5);
            (0..7).map(|i| solver.lower[i] + (solver.upper[i] - solver.lower[i]) * share(i)).collect()
        };
        let seeds: Vec<Vec<f64>> = (1..=50).map(spread).collect();
        let seed = seeds.into_iter().find(|seed| solver.solve(&target, seed, &mut q).is_err()).unwrap();
        solver.solve_with_restarts(&target, &seed, 8, &mut q).unwrap();
        assert!((solver.chain().fk(&q).translation.vector - target.translation.vector).norm() <= 1e-5);
    }

    #[test]
    fn wrong_sizes_and_values_are_named() {
        let mut solver = solver();
        let target = above_table(0.5, 0.0, 0.2, 0.0);
        let mut q = [0.0; 7];
        let error = solver.solve(&target, &READY[..6], &mut q).unwrap_err();
        assert_eq!(error.to_string(), "the seed: 6 values for 7 joints");
        let error = solver.solve(&target, &[f64::NAN; 7], &mut q).unwrap_err();
        assert_eq!(error, IkError::NotFinite("the seed"));
        let nowhere = Translation3::new(f64::INFINITY, 0.0, 0.0) * target;
        assert_eq!(solver.solve(&nowhere, &READY, &mut q), Err(IkError::NotFinite("target")));
        let few = LimitSet { names: efm_core::JointNames::new(["x"]).unwrap(), ..limits_of_one() };
        let chain = solver.chain().clone();
        let error = InverseKinematics::new(chain, &few, &READY, IkSettings::default()).unwrap_err();
        assert_eq!(error, IkError::NoLimits("panda_joint1".into()));
    }

    fn limits_of_one() -> LimitSet {
        let one = efm_core::JointLimits { lower: -1.0, upper: 1.0, velocity: 1.0, acceleration: 1.0, jerk: 1.0 };
        LimitSet {
            names: efm_core::JointNames::new(["x"]).unwrap(),
            joints: vec![one],
            continuous: vec![false],
            notes: Vec::new(),
        }
    }
}
