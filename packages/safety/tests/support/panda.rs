//! A Panda, an ideal robot behind ideal controllers, and a recorder that holds every promise of the stream to account.
#![allow(clippy::unwrap_used, dead_code)]

use efm_core::{ActionChunk, JointLimits, JointNames, JointSample, Stamp};
use efm_safety::{ControllerSpec, Limits, Outgoing, StreamConfig, Tick, TrajectoryStreamer};

pub const PERIOD: i64 = 10_000_000;
pub const T0: i64 = 1_700_000_000_000_000_000;
pub const HOME: [f64; 8] = [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785, 0.02];
pub const FINGER: usize = 7;

pub fn names() -> JointNames {
    let arm = (1..=7).map(|i| format!("panda_joint{i}"));
    JointNames::new(arm.chain(["panda_finger_joint1".to_owned()])).unwrap()
}

/// The Panda's limits as in `config/joint_limits.yaml` and the URDF.
pub fn limits() -> Limits {
    let of = |(lower, upper): (f64, f64), velocity, acceleration, jerk| JointLimits {
        lower,
        upper,
        velocity,
        acceleration,
        jerk,
    };
    let each = [
        of((-2.8973, 2.8973), 2.175, 7.5, 150.0),
        of((-1.7628, 1.7628), 2.175, 3.75, 75.0),
        of((-2.8973, 2.8973), 2.175, 5.0, 100.0),
        of((-3.0718, -0.0698), 2.175, 6.25, 125.0),
        of((-2.8973, 2.8973), 2.61, 7.5, 150.0),
        of((-0.0175, 3.7525), 2.61, 10.0, 200.0),
        of((-2.8973, 2.8973), 2.61, 10.0, 200.0),
        of((0.0, 0.04), 0.1, 1.0, 20.0),
    ];
    Limits::new(names(), &each).unwrap()
}

/// The same with other velocities, accelerations and jerks.
pub fn scaled_limits(velocity: f64, acceleration: f64, jerk: f64) -> Limits {
    let scaled = |l: JointLimits| JointLimits {
        velocity: l.velocity * velocity,
        acceleration: l.acceleration * acceleration,
        jerk: l.jerk * jerk,
        ..l
    };
    let each: Vec<JointLimits> = limits().shared(1.0).into_iter().map(scaled).collect();
    Limits::new(names(), &each).unwrap()
}

pub fn config() -> StreamConfig {
    StreamConfig { gripper_joints: vec!["panda_finger_joint1".into()], ..StreamConfig::default() }
}

pub fn streamer_with(limits: Limits, config: StreamConfig) -> TrajectoryStreamer {
    let controllers = vec![
        ControllerSpec {
            name: "panda_arm_controller".into(),
            joints: JointNames::new((1..=7).map(|i| format!("panda_joint{i}"))).unwrap(),
        },
        ControllerSpec {
            name: "panda_hand_controller".into(),
            joints: JointNames::new(["panda_finger_joint1"]).unwrap(),
        },
    ];
    let mut streamer = TrajectoryStreamer::new(limits, controllers, config).unwrap();
    watch(&mut streamer);
    streamer
}

/// The robot is seen at rest at home before the time begins, for as long as a start asks for.
pub fn watch(streamer: &mut TrajectoryStreamer) {
    for k in -12..0 {
        let now = at(0.01 * f64::from(k));
        assert!(matches!(streamer.tick(now, Some((&sample(now, &HOME), 0.0))), Tick::Idle(_)));
    }
}

pub fn streamer() -> TrajectoryStreamer {
    streamer_with(limits(), config())
}

pub fn at(seconds: f64) -> Stamp {
    Stamp::from_nanos(T0).offset_seconds(seconds)
}

/// Rows of a function of time (seconds since `T0`), as a chunk observed at `observed`.
pub fn chunk_of(observed: f64, rows: usize, step: f64, position: impl Fn(f64) -> [f64; 8]) -> ActionChunk {
    let positions = (1..=rows).flat_map(|k| position(observed + k as f64 * step)).collect();
    ActionChunk::new(at(observed), step, names(), positions).unwrap()
}

pub fn sample(stamp: Stamp, positions: &[f64]) -> JointSample {
    JointSample { stamp, positions: positions.to_vec(), velocities: vec![0.0; positions.len()] }
}

/// Follows the windows like an ideal controller, and checks each of them on its own terms, apart from the crate's own verifier.
pub struct Recorder {
    pub limits: Limits,
    /// Committed points by time since T0: (nanoseconds, positions, velocities).
    pub followed: Vec<(i64, [f64; 8], [f64; 8])>,
    /// The plan as last sent, from its first point.
    last: Vec<(i64, [f64; 8], [f64; 8])>,
    axis: Option<i64>,
    pub sent: usize,
}

impl Recorder {
    pub fn new() -> Self {
        Self { limits: limits(), followed: Vec::new(), last: Vec::new(), axis: None, sent: 0 }
    }

    /// A new time axis is expected from the next window on.
    pub fn new_motion(&mut self) {
        self.axis = None;
        self.last.clear();
    }

    /// Where an ideal robot is at a time.
    pub fn position(&self, now: Stamp, home: &[f64; 8]) -> [f64; 8] {
        let t = now.nanos() - T0;
        let Some(first) = self.last.first() else {
            return self.followed.last().map_or(*home, |f| f.1);
        };
        if t < first.0 {
            return self.followed.iter().rev().find(|f| f.0 <= t).map_or(*home, |f| f.1);
        }
        let k = self.last.iter().rposition(|p| p.0 <= t).unwrap();
        self.last[k].1
    }

    pub fn take(&mut self, now: Stamp, out: &Outgoing<'_>) {
        self.sent += 1;
        let now = now.nanos() - T0;
        let stamp = out.windows[0].stamp().nanos() - T0;
        assert!(out.windows.iter().all(|w| w.stamp() == out.windows[0].stamp()), "one stamp for all controllers");
        let axis = *self.axis.get_or_insert(stamp);
        assert_eq!((stamp - axis) % PERIOD, 0, "one time axis");
        assert!(stamp < now && now - stamp <= 2 * PERIOD, "first point {} ns before publishing", now - stamp);

        let points = out.windows[0].len();
        let mut plan = Vec::new();
        for k in 0..points {
            let (mut p, mut v) = ([0.0; 8], [0.0; 8]);
            p[..7].copy_from_slice(out.windows[0].positions(k));
            v[..7].copy_from_slice(out.windows[0].velocities(k));
            p[7] = out.windows[1].positions(k)[0];
            v[7] = out.windows[1].velocities(k)[0];
            assert_eq!(out.windows[0].time_from_start(k), k as i64 * PERIOD);
            plan.push((stamp + k as i64 * PERIOD, p, v));
        }
        assert!(plan.last().unwrap().0 - now >= 180_000_000, "the window is too short");
        assert!(plan.last().unwrap().2.iter().all(|v| *v == 0.0), "the window does not end at rest");
        self.check_limits(&plan);
        // What was published holds up to publish time and 30 ms.
        if !self.last.is_empty() {
            for (t, p, v) in plan.iter().filter(|x| x.0 <= now + 30_000_000) {
                let before = self.last.iter().find(|x| x.0 == *t).or(self.last.last()).unwrap();
                assert_eq!((p, v), (&before.1, &before.2), "committed point at {t} changed");
            }
        }
        for x in &plan {
            if x.0 <= now + 30_000_000 && self.followed.last().is_none_or(|f| x.0 > f.0) {
                self.followed.push(*x);
            }
        }
        self.last = plan;
    }

    /// The rest of the last plan is followed to its end.
    pub fn finish(&mut self) {
        let from = self.followed.last().map_or(i64::MIN, |f| f.0);
        self.followed.extend(self.last.iter().filter(|x| x.0 > from).copied());
    }

    /// Differences of the sampled stream against the limits.
    pub fn check_limits(&self, plan: &[(i64, [f64; 8], [f64; 8])]) {
        let dt = PERIOD as f64 * 1e-9;
        let l = &self.limits;
        for j in 0..8 {
            let mut before: Option<f64> = None;
            for pair in plan.windows(2) {
                let (p0, v0, p1, v1) = (pair[0].1[j], pair[0].2[j], pair[1].1[j], pair[1].2[j]);
                assert!(p0.is_finite() && v0.is_finite() && p1.is_finite() && v1.is_finite());
                // What began outside comes in.
                let (low, high) = (l.min_position()[j].min(p0), l.max_position()[j].max(p0));
                assert!(p1 >= low - 1e-7 && p1 <= high + 1e-7, "joint {j} at {p1}");
                assert!(v1.abs() <= l.velocity()[j] * 1.000_01, "joint {j} moves at {v1}");
                assert!((p1 - p0).abs() / dt <= l.velocity()[j] * 1.000_01, "joint {j} steps {}", p1 - p0);
                let a = (v1 - v0) / dt;
                assert!(a.abs() <= l.acceleration()[j] * 1.000_01, "joint {j} accelerates with {a}");
                if j != FINGER
                    && let Some(before) = before
                {
                    let jerk = (a - before) / dt;
                    assert!(jerk.abs() <= l.jerk()[j] * 1.001, "joint {j} jerks with {jerk}");
                }
                before = Some(a);
            }
        }
    }
}

/// One tick against an ideal robot. True when something was sent.
pub fn step(streamer: &mut TrajectoryStreamer, recorder: &mut Recorder, now: Stamp) -> bool {
    let measured = sample(now, &recorder.position(now, &HOME));
    match streamer.tick(now, Some((&measured, 0.002))) {
        Tick::Send(out) => {
            recorder.take(now, &out);
            true
        }
        Tick::Hold => false,
        Tick::Idle(_) => {
            if !recorder.last.is_empty() {
                recorder.finish();
                recorder.new_motion();
            }
            false
        }
    }
}
