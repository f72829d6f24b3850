//! Chunks, clocks and joint states, whatever they hold, against the filter; what it publishes is judged.

use efm_core::{ActionChunk, JointLimits, JointNames, JointSample, Stamp};
use efm_safety::{
    ControllerFault, ControllerSpec, IdleReason, Limits, Outgoing, StopReason, StreamConfig, Tick, TrajectoryStreamer,
};

const PERIOD: i64 = 10_000_000;
const DT: f64 = 0.01;
const T0: i64 = 1_700_000_000_000_000_000;
/// Lowest and highest position, velocity, acceleration, jerk: an arm's joint, a continuous one, a gripper.
const LIMITS: [[f64; 5]; 3] =
    [[-1.0, 2.0, 2.0, 6.0, 120.0], [f64::NEG_INFINITY, f64::INFINITY, 3.0, 10.0, 300.0], [0.0, 0.04, 0.1, 1.0, 20.0]];
const NAMES: [&str; 3] = ["elbow", "roll", "finger"];

/// Bytes as a source of numbers; 0 when they are used up.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let n = N.min(self.0.len());
        let (head, tail) = self.0.split_at(n);
        bytes[..n].copy_from_slice(head);
        self.0 = tail;
        bytes
    }

    fn byte(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }

    /// A small number, or any at all: NaN, infinities, denormals.
    fn number(&mut self, scale: f64) -> f64 {
        match self.byte() {
            0..=239 => f64::from(i16::from_le_bytes(self.take())) / f64::from(i16::MAX) * scale,
            _ => f64::from_bits(u64::from_le_bytes(self.take())),
        }
    }

    /// Nanoseconds: some milliseconds, or any at all.
    fn nanos(&mut self) -> i64 {
        match self.byte() {
            0..=239 => i64::from(i16::from_le_bytes(self.take())) * 100_000,
            _ => i64::from_le_bytes(self.take()),
        }
    }
}

struct Cell {
    streamer: TrajectoryStreamer,
    names: JointNames,
    now: i64,
    positions: Vec<f64>,
}

impl Cell {
    fn new() -> Self {
        let names = JointNames::new(NAMES).expect("three names");
        let limits = LIMITS.map(|[lower, upper, velocity, acceleration, jerk]| JointLimits {
            lower,
            upper,
            velocity,
            acceleration,
            jerk,
        });
        let limits = Limits::new(names.clone(), &limits);
        let controllers = vec![
            ControllerSpec { name: "arm".into(), joints: JointNames::new(["elbow", "roll"]).expect("two") },
            ControllerSpec { name: "hand".into(), joints: JointNames::new(["finger"]).expect("one") },
        ];
        let config = StreamConfig { gripper_joints: vec!["finger".into()], ..StreamConfig::default() };
        let mut streamer =
            TrajectoryStreamer::new(limits.expect("limits"), controllers, config).expect("a sound set-up");
        streamer.arm(true, Stamp::from_nanos(T0));
        Self { streamer, names, now: T0, positions: vec![0.1, 0.0, 0.02] }
    }

    fn stamp(&self) -> Stamp {
        Stamp::from_nanos(self.now)
    }

    /// A chunk near the robot, or far from anything.
    fn offer(&mut self, bytes: &mut Bytes<'_>) {
        let (kind, rows) = (bytes.byte(), 1 + usize::from(bytes.byte() % 12));
        let observed = if kind & 1 == 0 { self.stamp() } else { self.stamp().offset_nanos(bytes.nanos()) };
        let step = if kind & 2 == 0 { 0.1 } else { bytes.number(0.3) };
        let joints = match kind >> 6 {
            0 | 1 => self.names.clone(),
            2 => JointNames::new(["finger", "elbow", "roll"]).expect("names"),
            _ => JointNames::new(["elbow", "roll", "wrist"]).expect("names"),
        };
        let ragged = usize::from(kind & 60 == 60);
        let values = (0..rows * 3 - ragged).map(|i| {
            let here = self.positions[i % 3];
            if kind & 4 == 0 { here + bytes.number(1.0) * 0.3 } else { bytes.number(5.0) }
        });
        let values: Vec<f64> = values.collect();
        match ActionChunk::new(observed, step, joints, values) {
            Ok(chunk) => {
                let _ = self.streamer.offer_chunk(&chunk, self.stamp());
            }
            Err(_) => self.streamer.reject_chunk(self.stamp()),
        }
    }

    fn tick(&mut self, measured: Option<(&JointSample, f64)>) {
        let now = self.stamp();
        match self.streamer.tick(now, measured) {
            Tick::Send(out) => {
                judge(&out, now);
                // An ideal robot: where the windows say that it is now.
                for window in out.windows {
                    let due = now.nanos_since(window.stamp()) / PERIOD;
                    let row = window.positions((due.max(0) as usize).min(window.len() - 1));
                    for (name, p) in window.joints().iter().zip(row) {
                        self.positions[self.names.index_of(name).expect("its own joint")] = *p;
                    }
                }
            }
            Tick::Hold => {}
            Tick::Idle(reason) => {
                let wrong = matches!(reason, IdleReason::Latched(StopReason::Internal(_)));
                assert!(!wrong, "{reason:?}");
            }
        }
    }

    fn measured(&self) -> JointSample {
        JointSample { stamp: self.stamp(), positions: self.positions.clone(), velocities: vec![0.0; 3] }
    }
}

/// Nothing but what a controller takes and the limits allow.
fn judge(out: &Outgoing<'_>, now: Stamp) {
    let stamp = out.windows[0].stamp();
    assert!(stamp <= now, "a window begins in the future");
    for window in out.windows {
        assert!(window.stamp() == stamp && window.len() >= 2 && window.time_from_start(1) == PERIOD);
        assert!(window.velocities(window.len() - 1).iter().all(|v| *v == 0.0), "no rest at the end");
        for (i, name) in window.joints().iter().enumerate() {
            let joint = NAMES.iter().position(|n| *n == name).expect("a joint of the robot");
            let [low, high, v, a, jerk] = LIMITS[joint];
            let p = |k: usize| window.positions(k)[i];
            for k in 0..window.len() {
                assert!(p(k).is_finite() && p(k) >= low - 1e-8 && p(k) <= high + 1e-8, "{name} at {}", p(k));
                // The n-th difference, an average of the n-th derivative, and what rounding may add.
                let keeps = |order: i32, value: f64, limit: f64| {
                    let rounding = 4.0 * f64::EPSILON * (1.0 + p(k).abs()) * f64::from(1 << order) / DT.powi(order);
                    assert!(value.abs() <= limit * (1.0 + 1e-6) + rounding, "{name}, {order}: {value}");
                };
                keeps(1, window.velocities(k)[i], v);
                if k >= 1 {
                    keeps(1, (p(k) - p(k - 1)) / DT, v);
                }
                if k >= 2 {
                    keeps(2, (p(k) - 2.0 * p(k - 1) + p(k - 2)) / (DT * DT), a);
                }
                if k >= 3 && joint != 2 {
                    keeps(3, (p(k) - 3.0 * p(k - 1) + 3.0 * p(k - 2) - p(k - 3)) / DT.powi(3), jerk);
                }
            }
        }
    }
}

/// Chunks of any content, on a clock that goes as it should.
pub fn chunks(data: &[u8]) {
    let (mut bytes, mut cell) = (Bytes(data), Cell::new());
    for _ in 0..24 {
        if bytes.0.is_empty() {
            break;
        }
        cell.offer(&mut bytes);
        match bytes.byte() {
            0..=7 => cell.streamer.resume(),
            8 => cell.streamer.cancel(cell.stamp()),
            9 => cell.streamer.set_speed_scale(bytes.number(1.0)).unwrap_or_default(),
            _ => {}
        }
        for _ in 0..1 + bytes.byte() % 30 {
            cell.now += PERIOD;
            let measured = cell.measured();
            cell.tick(Some((&measured, 0.0)));
        }
    }
}

/// Clocks and joint states of any content, with chunks in between.
pub fn clock(data: &[u8]) {
    let (mut bytes, mut cell) = (Bytes(data), Cell::new());
    for _ in 0..160 {
        if bytes.0.is_empty() {
            break;
        }
        match bytes.byte() {
            0..=99 => cell.now = cell.now.saturating_add(PERIOD),
            100..=159 => {
                for _ in 0..bytes.byte() % 20 {
                    cell.now = cell.now.saturating_add(PERIOD);
                    let measured = cell.measured();
                    cell.tick(Some((&measured, 0.0)));
                }
            }
            160..=189 => cell.now = cell.now.saturating_add(bytes.nanos()),
            190..=229 => cell.offer(&mut bytes),
            230 => cell.streamer.cancel(cell.stamp()),
            231 => cell.streamer.stop(cell.stamp()),
            232..=235 => cell.streamer.resume(),
            236 => cell.streamer.arm(bytes.byte() % 2 == 0, cell.stamp()),
            237..=239 => cell.streamer.arm(true, cell.stamp()),
            240 => cell.streamer.emergency_stop(),
            241 => cell.streamer.forget_rest(),
            242 => cell.streamer.controller_failed(usize::from(bytes.byte()), ControllerFault::Missing, cell.stamp()),
            243 => cell.streamer.lower_speed_scale(bytes.number(1.0)).unwrap_or_default(),
            _ => {
                // A joint state that says anything.
                let mut sample = cell.measured();
                sample.stamp = sample.stamp.offset_nanos(bytes.nanos());
                sample.positions.iter_mut().for_each(|p| *p += bytes.number(0.2));
                sample.velocities.iter_mut().for_each(|v| *v = bytes.number(1.0));
                if bytes.byte() % 8 == 0 {
                    sample.positions.pop();
                }
                let age = bytes.number(0.2);
                cell.tick(Some((&sample, age)));
                continue;
            }
        }
        let measured = cell.measured();
        let seen = bytes.byte() % 16 != 0;
        cell.tick(seen.then_some((&measured, 0.0)));
    }
}
