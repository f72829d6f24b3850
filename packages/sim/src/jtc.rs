//! What the real `joint_trajectory_controller` does with trajectories that come over its topic, without ROS.
//!
//! Models ros2_controllers 4.42 (Jazzy) with a position command interface, tolerances and `cmd_timeout` at their defaults
//! (off): what it refuses, what it lets through, how it interpolates, and its quirks, which a stream of windows meets:
//!
//! - A message *replaces* the plan. What lies before its first point is bridged by a spline from "the state before": the last
//!   command, which belongs to one period after the update that made it but is dated at that update. So a first point in the
//!   future makes the command leap by up to one period of motion, and again at every message.
//! - Stamp 0 starts the plan at whichever update first sees the message.
//! - NaN, leaps, repeated joint names, a negative first time and a last point without velocities are let through. So are
//!   accelerations without velocities, which are commanded as position zero (read in its source, not measured).
//!
//! `tests/jtc_conformance.rs` replays what was measured on the real controller.

use efm_core::{JointNames, Stamp, Trajectory};
use std::time::Duration;

/// End velocities up to this count as zero, as in the real controller (`std::numeric_limits<float>::epsilon()`).
pub const END_VELOCITY_TOLERANCE: f64 = f32::EPSILON as f64;

/// Parameters, named as the real ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JtcConfig {
    /// Joints, in the order of the commands.
    pub joints: JointNames,
    /// Time between updates. The command of an update is the plan one period later.
    pub period: Duration,
    /// Whether the last point may have a velocity.
    pub allow_nonzero_velocity_at_trajectory_end: bool,
    /// Bridge from the last command (true) or from the measured state (false; the real default, but no way to stream).
    pub interpolate_from_desired_state: bool,
    /// Whether a message may leave out joints; they then hold their command.
    pub allow_partial_joints_goal: bool,
}

impl JtcConfig {
    /// What is recommended for streaming: 500 Hz, `interpolate_from_desired_state`, everything else as by default.
    pub fn new(joints: JointNames) -> Self {
        Self {
            joints,
            period: Duration::from_millis(2),
            allow_nonzero_velocity_at_trajectory_end: false,
            interpolate_from_desired_state: true,
            allow_partial_joints_goal: false,
        }
    }
}

/// Why a message is refused. The real controller only writes these to its log; the publisher learns nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Another number of joints than the controller's.
    #[error("the trajectory names {got} joints, the controller has {wanted}")]
    JointCount {
        /// In the message.
        got: usize,
        /// In the controller.
        wanted: usize,
    },
    /// No joint names (with partial goals allowed).
    #[error("the trajectory names no joints")]
    NoJoints,
    /// No points.
    #[error("the trajectory has no points")]
    NoPoints,
    /// A joint that the controller does not have.
    #[error("joint '{0}' is not one of the controller's")]
    UnknownJoint(String),
    /// The last point moves.
    #[error("joint '{joint}' ends with velocity {velocity}; it must be zero (at most 1.2e-7)")]
    EndVelocity {
        /// Joint.
        joint: String,
        /// Velocity of the last point.
        velocity: f64,
    },
    /// The stamp lies before the epoch. (The real controller's process ends here: rclcpp throws.)
    #[error("the stamp is negative ({0} ns)")]
    NegativeStamp(i64),
    /// It is over already.
    #[error("the trajectory ended {late_nanos} ns ago")]
    EndsInThePast {
        /// Nanoseconds since its end.
        late_nanos: i64,
    },
    /// `time_from_start` does not grow.
    #[error("the time of point {point} ({time_from_start} ns) is not after that of the point before ({before} ns)")]
    TimeNotIncreasing {
        /// The point.
        point: usize,
        /// Its time.
        time_from_start: i64,
        /// Time of the point before.
        before: i64,
    },
    /// An array whose length is not the number of joints (`positions` must not be empty either).
    #[error("point {point} has {got} {field} for {wanted} joints")]
    Size {
        /// The point.
        point: usize,
        /// Which array.
        field: &'static str,
        /// Its length.
        got: usize,
        /// Number of joints in the message.
        wanted: usize,
    },
    /// Efforts, which a position controller does not take.
    #[error("point {point} carries efforts; only an effort controller takes them")]
    Effort {
        /// The point.
        point: usize,
    },
}

/// A commanded state, in the order of the controller's joints.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Desired {
    /// Radians or metres.
    pub positions: Vec<f64>,
    /// Radians or metres a second.
    pub velocities: Vec<f64>,
    /// Radians or metres a second squared.
    pub accelerations: Vec<f64>,
}

impl Desired {
    fn at_rest(positions: &[f64]) -> Self {
        let zeros = vec![0.0; positions.len()];
        Self { positions: positions.to_vec(), velocities: zeros.clone(), accelerations: zeros }
    }

    fn set_at_rest(&mut self, positions: &[f64]) {
        self.positions.copy_from_slice(positions);
        self.velocities.fill(0.0);
        self.accelerations.fill(0.0);
    }
}

/// See the module. Call [`Self::reset`] with the robot's position (the real one's activation), then [`Self::accept`] whatever
/// arrives and [`Self::update`] once a period.
#[derive(Debug, Clone)]
pub struct JointTrajectoryController {
    config: JtcConfig,
    period: i64,
    /// The plan that is followed, the newest message that no update has seen, and a used one whose memory is kept.
    plan: Plan,
    arrived: Option<Plan>,
    spare: Option<Plan>,
    sampled: bool,
    /// What [`Plan::sort`] last wrote for each joint: a joint that a message with a repeated name leaves out keeps it. The real
    /// controller's buffer is static, so that the value may even come from another field of an earlier message.
    sorted: Vec<f64>,
    measured: Desired,
    measured_velocity: bool,
    before: Before,
    command: Desired,
    /// Scratch of [`Self::update`].
    next: Desired,
    commanded_at: Stamp,
}

/// "The state before": where the bridge to the first point starts.
#[derive(Debug, Clone)]
struct Before {
    at: Stamp,
    state: Desired,
    has_velocity: bool,
    has_acceleration: bool,
}

/// A trajectory message in flat memory: row `k` of each array is point `k`, all joints.
#[derive(Debug, Clone, Default)]
struct Plan {
    stamp: Stamp,
    times: Vec<i64>,
    positions: Vec<f64>,
    velocities: Vec<f64>,
    accelerations: Vec<f64>,
    /// Which points have velocities, accelerations. Their rows exist either way.
    has_velocity: Vec<bool>,
    has_acceleration: Vec<bool>,
    /// Joint of each column of the message, then of the joints that the message leaves out. `None`: not to be sorted.
    columns: Option<Vec<usize>>,
    /// How many of the columns the message itself has.
    given: usize,
    /// Where the last search ended; the real controller never looks back.
    segment: usize,
}

impl JointTrajectoryController {
    /// An inactive-looking controller that holds all joints at zero: [`Self::reset`] it before the first update.
    pub fn new(config: JtcConfig) -> Self {
        let n = config.joints.len();
        let state = Desired::at_rest(&vec![0.0; n]);
        let mut made = Self {
            period: i64::try_from(config.period.as_nanos()).unwrap_or(i64::MAX),
            plan: Plan::default(),
            arrived: None,
            spare: None,
            sampled: false,
            sorted: vec![0.0; n],
            measured: state.clone(),
            measured_velocity: true,
            before: Before { at: Stamp::ZERO, state: state.clone(), has_velocity: true, has_acceleration: true },
            command: state.clone(),
            next: state,
            commanded_at: Stamp::ZERO,
            config,
        };
        made.reset(&vec![0.0; n]);
        made
    }

    /// The configuration.
    pub fn config(&self) -> &JtcConfig {
        &self.config
    }

    /// Activates the controller anew: every plan is dropped, `positions` are held.
    ///
    /// # Panics
    /// When there are not as many positions as joints.
    pub fn reset(&mut self, positions: &[f64]) {
        self.measured.set_at_rest(positions);
        self.command.set_at_rest(positions);
        if let Some(plan) = self.arrived.take() {
            self.spare = Some(plan);
        }
        self.plan.hold(positions);
        self.sampled = false;
        self.commanded_at = Stamp::ZERO;
    }

    /// Tells the measured state, which matters only without `interpolate_from_desired_state`. No velocities: the hardware has
    /// no velocity interface.
    ///
    /// # Panics
    /// When there are not as many positions (or velocities, if any) as joints.
    pub fn measure(&mut self, positions: &[f64], velocities: &[f64]) {
        self.measured.positions.copy_from_slice(positions);
        self.measured_velocity = !velocities.is_empty();
        if self.measured_velocity {
            self.measured.velocities.copy_from_slice(velocities);
        }
    }

    /// A message arrives at `now`. The next update takes it up; if another one arrives before, it is never seen.
    ///
    /// # Errors
    /// When the real controller would refuse it; nothing changes then.
    pub fn accept(&mut self, message: &Trajectory, now: Stamp) -> Result<(), Refusal> {
        self.validate(message, now)?;
        let mut plan = self.arrived.take().or_else(|| self.spare.take()).unwrap_or_default();
        plan.fill(message, &self.config.joints);
        self.arrived = Some(plan);
        Ok(())
    }

    /// One control cycle at `now`. Returns the command: the plan at `now` plus one period. Allocates nothing.
    pub fn update(&mut self, now: Stamp) -> &Desired {
        if let Some(mut plan) = self.arrived.take() {
            plan.sort(&mut self.sorted, &self.command.positions);
            std::mem::swap(&mut plan, &mut self.plan);
            self.spare = Some(plan);
            self.sampled = false;
        }
        if !self.sampled {
            self.take_state_before(now);
            if self.plan.stamp == Stamp::ZERO {
                self.plan.stamp = now;
            }
            self.sampled = true;
        }
        // The desired state of now, then the command of the next cycle. Only the first search moves the plan on, but running
        // past the end moves it in either.
        self.plan.sample(now, &self.before, &mut self.next, true);
        if self.plan.sample(now.offset_nanos(self.period), &self.before, &mut self.next, false) {
            std::mem::swap(&mut self.command, &mut self.next);
            // Dated at the update that made it, although it belongs to one period later: the real controller's quirk.
            self.commanded_at = now;
        }
        &self.command
    }

    /// The last command.
    pub fn command(&self) -> &Desired {
        &self.command
    }

    /// When the plan that is followed ends (its start is known from the first update on). Commands at and after it are at its
    /// last point.
    pub fn ends_at(&self) -> Stamp {
        self.plan.stamp.offset_nanos(self.plan.times.last().copied().unwrap_or(0))
    }

    fn take_state_before(&mut self, now: Stamp) {
        if self.config.interpolate_from_desired_state {
            if (self.commanded_at.nanos() as f64 * 1e-9).abs() < f64::from(f32::EPSILON) {
                self.commanded_at = now;
            }
            self.before.at = self.commanded_at;
            self.before.state.copy_from(&self.command);
            (self.before.has_velocity, self.before.has_acceleration) = (true, true);
        } else {
            self.before.at = now;
            self.before.state.copy_from(&self.measured);
            self.before.has_velocity = self.measured_velocity;
            self.before.has_acceleration = false;
            if !self.measured_velocity && self.plan.has_velocity.first() == Some(&true) {
                self.before.state.velocities.fill(0.0);
                self.before.has_velocity = true;
            }
            if self.plan.has_acceleration.first() == Some(&true) {
                self.before.state.accelerations.fill(0.0);
                self.before.has_acceleration = true;
            }
        }
    }

    /// The real controller's checks, in its order.
    fn validate(&self, message: &Trajectory, now: Stamp) -> Result<(), Refusal> {
        let (got, wanted) = (message.joint_names.len(), self.config.joints.len());
        if !self.config.allow_partial_joints_goal && got != wanted {
            return Err(Refusal::JointCount { got, wanted });
        }
        if got == 0 {
            return Err(Refusal::NoJoints);
        }
        let Some(last) = message.points.last() else { return Err(Refusal::NoPoints) };
        if let Some(name) = message.joint_names.iter().find(|name| self.config.joints.index_of(name).is_none()) {
            return Err(Refusal::UnknownJoint(name.clone()));
        }
        if !self.config.allow_nonzero_velocity_at_trajectory_end
            && let Some((i, velocity)) =
                last.velocities.iter().enumerate().find(|(_, v)| v.abs() > END_VELOCITY_TOLERANCE)
        {
            // More velocities than joints make the real controller throw here; a refusal by size is as good.
            let joint = message.joint_names.get(i).cloned().unwrap_or_default();
            return Err(Refusal::EndVelocity { joint, velocity: *velocity });
        }
        if message.stamp < Stamp::ZERO {
            return Err(Refusal::NegativeStamp(message.stamp.nanos()));
        }
        let end = message.stamp.offset_nanos(last.time_from_start);
        if message.stamp != Stamp::ZERO && end < now {
            return Err(Refusal::EndsInThePast { late_nanos: now.nanos_since(end) });
        }
        let mut before = 0;
        for (i, point) in message.points.iter().enumerate() {
            if i > 0 && point.time_from_start <= before {
                return Err(Refusal::TimeNotIncreasing { point: i, time_from_start: point.time_from_start, before });
            }
            before = point.time_from_start;
            for (field, values, needed) in [
                ("positions", &point.positions, true),
                ("velocities", &point.velocities, false),
                ("accelerations", &point.accelerations, false),
            ] {
                if values.len() != got && (needed || !values.is_empty()) {
                    return Err(Refusal::Size { point: i, field, got: values.len(), wanted: got });
                }
            }
            if !point.effort.is_empty() {
                return Err(Refusal::Effort { point: i });
            }
        }
        Ok(())
    }
}

impl Desired {
    fn copy_from(&mut self, other: &Desired) {
        self.positions.copy_from_slice(&other.positions);
        self.velocities.copy_from_slice(&other.velocities);
        self.accelerations.copy_from_slice(&other.accelerations);
    }
}

impl Plan {
    fn hold(&mut self, positions: &[f64]) {
        self.stamp = Stamp::ZERO;
        self.segment = 0;
        self.times.clear();
        self.times.push(0);
        for flags in [&mut self.has_velocity, &mut self.has_acceleration] {
            flags.clear();
            flags.push(false);
        }
        for values in [&mut self.positions, &mut self.velocities, &mut self.accelerations] {
            values.clear();
            values.extend_from_slice(positions);
        }
        self.velocities.fill(0.0);
        self.accelerations.fill(0.0);
    }

    /// Copies a validated message. Rows get a column for each joint of the controller; those that the message leaves out come
    /// last and are filled by [`Self::sort`].
    fn fill(&mut self, message: &Trajectory, joints: &JointNames) {
        let n = joints.len();
        self.stamp = message.stamp;
        self.segment = 0;
        self.given = message.joint_names.len().min(n);
        let mut columns: Vec<usize> = message.joint_names.iter().filter_map(|name| joints.index_of(name)).collect();
        if columns.len() != n {
            for j in 0..n {
                if !columns[..message.joint_names.len()].contains(&j) {
                    columns.push(j);
                }
            }
        }
        // Too many columns (a repeated name in a partial message): the real controller warns and leaves them unsorted.
        self.columns = (columns.len() == n).then_some(columns);
        self.times.clear();
        self.has_velocity.clear();
        self.has_acceleration.clear();
        for values in [&mut self.positions, &mut self.velocities, &mut self.accelerations] {
            values.clear();
        }
        for point in &message.points {
            self.times.push(point.time_from_start);
            self.has_velocity.push(!point.velocities.is_empty());
            self.has_acceleration.push(!point.accelerations.is_empty());
            for (to, from) in [
                (&mut self.positions, &point.positions),
                (&mut self.velocities, &point.velocities),
                (&mut self.accelerations, &point.accelerations),
            ] {
                let end = to.len() + n;
                to.extend(from.iter().take(n));
                to.resize(end, 0.0);
            }
        }
    }

    /// Fills in the joints that the message left out (they hold their command) and brings the columns into the controller's
    /// order. `sorted` is the real controller's static buffer.
    fn sort(&mut self, sorted: &mut [f64], command: &[f64]) {
        let Some(columns) = &self.columns else { return };
        let n = sorted.len();
        for k in 0..self.times.len() {
            for (values, present, hold) in [
                (&mut self.positions, true, Some(command)),
                (&mut self.velocities, self.has_velocity[k], None),
                (&mut self.accelerations, self.has_acceleration[k], None),
            ] {
                // Absent arrays stay absent and leave the buffer alone.
                if !present {
                    continue;
                }
                let row = &mut values[k * n..(k + 1) * n];
                for (column, &joint) in columns.iter().enumerate().skip(self.given) {
                    row[column] = hold.map_or(0.0, |command| command[joint]);
                }
                for (value, &joint) in row.iter().zip(columns) {
                    sorted[joint] = *value;
                }
                row.copy_from_slice(sorted);
            }
        }
    }

    fn point(&self, k: usize, n: usize) -> Knot<'_> {
        let row = k * n..(k + 1) * n;
        Knot {
            at: self.stamp.offset_nanos(self.times[k]),
            positions: &self.positions[row.clone()],
            velocities: self.has_velocity[k].then(|| &self.velocities[row.clone()]),
            accelerations: self.has_acceleration[k].then(|| &self.accelerations[row]),
        }
    }

    /// The state at `at`; false, leaving `out` alone, when that lies before the state before. `search_on`: remember the segment.
    fn sample(&mut self, at: Stamp, before: &Before, out: &mut Desired, search_on: bool) -> bool {
        if at < before.at {
            return false;
        }
        let n = out.positions.len();
        let first = self.point(0, n);
        if at < first.at {
            before.knot().interpolate(&first, at, out);
            return true;
        }
        let last = self.times.len() - 1;
        for k in self.segment..last {
            let (a, b) = (self.point(k, n), self.point(k + 1, n));
            if at >= a.at && at < b.at {
                a.interpolate(&b, at, out);
                if search_on {
                    self.segment = k;
                }
                return true;
            }
        }
        self.segment = last;
        let end = self.point(last, n);
        out.positions.copy_from_slice(end.positions);
        for (to, from) in [(&mut out.velocities, end.velocities), (&mut out.accelerations, end.accelerations)] {
            match from {
                Some(values) => to.copy_from_slice(values),
                None => to.fill(0.0),
            }
        }
        true
    }
}

impl Before {
    fn knot(&self) -> Knot<'_> {
        Knot {
            at: self.at,
            positions: &self.state.positions,
            velocities: self.has_velocity.then_some(&self.state.velocities),
            accelerations: self.has_acceleration.then_some(&self.state.accelerations),
        }
    }
}

/// One end of a segment.
struct Knot<'a> {
    at: Stamp,
    positions: &'a [f64],
    velocities: Option<&'a [f64]>,
    accelerations: Option<&'a [f64]>,
}

impl Knot<'_> {
    /// The spline from `self` to `end` at `at`: of degree 5 when both ends have velocities and accelerations, 3 when both have
    /// velocities, 1 when they have neither.
    fn interpolate(&self, end: &Knot, at: Stamp, out: &mut Desired) {
        let span = end.at.seconds_since(self.at);
        let mut t = at.seconds_since(self.at);
        let mut velocities = self.velocities.zip(end.velocities);
        let mut accelerations = self.accelerations.zip(end.accelerations);
        if !(0.0..=span).contains(&t) {
            t = t.clamp(0.0, span.max(0.0));
            (velocities, accelerations) = (None, None);
        }
        // A span of zero leaves the higher coefficients out.
        let per = if span == 0.0 { 0.0 } else { 1.0 / span };
        for j in 0..out.positions.len() {
            let (p, dp) = (self.positions[j], end.positions[j] - self.positions[j]);
            let mut c = [p, 0.0, 0.0, 0.0, 0.0, 0.0];
            match (velocities, accelerations) {
                (Some((v0, v1)), Some((a0, a1))) => {
                    let (v0, v1, a0, a1) = (v0[j], v1[j], a0[j], a1[j]);
                    c[1] = v0;
                    c[2] = 0.5 * a0;
                    // Hermite quintic: what is left of position, velocity and acceleration at the end.
                    let x = (dp - (v0 + 0.5 * a0 * span) * span) * per * per * per;
                    let v = (v1 - v0 - a0 * span) * per * per;
                    let a = (a1 - a0) * per;
                    c[3] = 10.0 * x - 4.0 * v + 0.5 * a;
                    c[4] = (-15.0 * x + 7.0 * v - a) * per;
                    c[5] = (6.0 * x - 3.0 * v + 0.5 * a) * per * per;
                }
                (Some((v0, v1)), None) => {
                    let (v0, v1) = (v0[j], v1[j]);
                    c[1] = v0;
                    c[2] = (3.0 * dp * per - 2.0 * v0 - v1) * per;
                    c[3] = (v0 + v1 - 2.0 * dp * per) * per * per;
                }
                (None, None) => c[1] = dp * per,
                // Accelerations without velocities fall through all branches of the real controller: it commands zeros.
                (None, Some(_)) => c[0] = 0.0,
            }
            out.positions[j] = c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * (c[4] + t * c[5]))));
            out.velocities[j] = c[1] + t * (2.0 * c[2] + t * (3.0 * c[3] + t * (4.0 * c[4] + t * 5.0 * c[5])));
            out.accelerations[j] = 2.0 * c[2] + t * (6.0 * c[3] + t * (12.0 * c[4] + t * 20.0 * c[5]));
        }
    }
}
