//! Robots that the filter was not tuned for, an ideal controller behind them, and a judge that shares no code with the filter.
#![allow(clippy::unwrap_used, dead_code)]

use efm_collision::{CollisionModel, CollisionOptions, Obstacles};
use efm_core::{ActionChunk, JointNames, JointSample, Stamp};
use efm_robot::{LimitSet, LimitsFile, Primitive, RobotModel, Shape, Srdf};
use efm_safety::{
    CollisionSpace, ControllerSpec, Limits, Outgoing, StreamConfig, Surroundings, Tick, TrajectoryStreamer,
};
use nalgebra::{Isometry3, UnitQuaternion, Vector3};
use parry3d_f64::math::{Pose, Rotation, Vector};
use parry3d_f64::shape::{Ball, Capsule, Cuboid, Cylinder, Shape as ParryShape};
use std::collections::{HashMap, HashSet};

pub const PERIOD: i64 = 10_000_000;
pub const DT: f64 = 0.01;
pub const T0: i64 = 1_700_000_000_000_000_000;
/// Least distance that the filter is told to keep, metres.
pub const D_MIN: f64 = 0.02;
const INF: f64 = f64::INFINITY;

/// A robot as its files describe it, and what they mean.
pub struct Robot {
    pub name: &'static str,
    pub group: &'static str,
    pub controllers: Vec<(&'static str, Vec<String>)>,
    pub grippers: Vec<&'static str>,
    pub default_jerk: Option<f64>,
    pub obstacles: &'static str,
    /// In the order of the group.
    pub home: Vec<f64>,
    /// Lowest and highest position, velocity, acceleration, jerk: what the files say, worked out by hand.
    pub expected: Vec<[f64; 5]>,
}

/// All robots of the fixtures.
pub fn fleet() -> Vec<Robot> {
    let strings = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let arm = |side: &str| (1..=7).map(|i| format!("{side}_joint{i}")).collect::<Vec<_>>();
    let seven = |v: f64, a: f64, reach: [f64; 7]| {
        reach
            .into_iter()
            .enumerate()
            .map(|(i, r)| if i < 4 { [-r, r, v, a, 20.0 * a] } else { [-r, r, 2.6, 9.0, 180.0] })
            .collect::<Vec<_>>()
    };
    let reach = [2.8, 1.9, 2.8, 2.4, 2.8, 2.0, 2.8];
    vec![
        Robot {
            name: "six_joints",
            group: "arm",
            controllers: vec![("arm_controller", strings(&["pan", "lift", "elbow", "roll_1", "roll_2", "roll_3"]))],
            grippers: vec![],
            default_jerk: Some(90.0),
            obstacles: "collision_objects:\n- id: post\n  frame_id: world\n  primitives: [{type: box, dimensions: [0.1, 0.1, 1.2]}]\n  primitive_poses: [{position: [0.1, 0.75, 0.6]}]\n",
            home: vec![0.0, 0.4, 1.3, 0.3, 0.0, 0.0],
            expected: vec![
                [-6.2, 6.2, 1.8, 4.0, 90.0],
                [-3.1, 3.1, 2.1, 4.0, 90.0],
                [-2.6, 2.7, 3.1, 6.0, 90.0],
                [-INF, INF, 3.1, 8.0, 90.0],
                [-INF, INF, 3.1, 8.0, 90.0],
                [-INF, INF, 3.1, 8.0, 90.0],
            ],
        },
        Robot {
            name: "two_arms",
            group: "both",
            controllers: vec![("right_controller", arm("right")), ("left_controller", arm("left"))],
            grippers: vec![],
            default_jerk: None,
            obstacles: "",
            home: [0.0, 0.7, 0.0, 1.0, 0.0, 0.5, 0.0].repeat(2),
            expected: [seven(1.8, 5.0, reach), seven(1.8, 5.0, reach)].concat(),
        },
        Robot {
            name: "rail_scara",
            group: "all",
            controllers: vec![
                ("rail_controller", strings(&["slide"])),
                ("scara_controller", strings(&["shoulder", "elbow", "plunge", "turn"])),
            ],
            grippers: vec![],
            default_jerk: None,
            obstacles: "collision_objects:\n- id: bin\n  frame_id: rail\n  primitives: [{type: box, dimensions: [0.3, 0.3, 0.25]}]\n  primitive_poses: [{position: [1.0, 0.5, 0.0]}]\n",
            home: vec![0.3, 0.6, 0.6, 0.0, 0.0],
            expected: vec![
                [0.0, 1.5, 1.0, 2.0, 30.0],
                [-3.0, 3.0, 4.0, 12.0, 300.0],
                [-2.7, 2.7, 6.0, 20.0, 500.0],
                [-0.05, 0.2, 0.8, 5.0, 150.0],
                [-INF, INF, 8.0, 40.0, 1000.0],
            ],
        },
        Robot {
            name: "coupled_gripper",
            group: "all",
            controllers: vec![
                ("arm_controller", strings(&["swing", "boom", "stick"])),
                ("gripper_controller", strings(&["finger"])),
            ],
            grippers: vec!["finger"],
            default_jerk: None,
            obstacles: "collision_objects:\n- id: shelf\n  frame_id: world\n  primitives: [{type: cylinder, dimensions: [0.5, 0.08]}]\n  primitive_poses: [{position: [0.2, 0.2, 0.25]}]\n",
            home: vec![0.0, 0.2, 0.9, 0.02],
            expected: vec![
                [-INF, INF, 2.0, 5.0, 100.0],
                [-1.2, 1.6, 1.5, 3.0, 60.0],
                // The linkage goes half as far the other way, from 0.1 on: within -1.1 and 1.3 at 0.6 rad/s and 2 rad/s2.
                [-2.4, 2.4, 1.2, 4.0, 120.0],
                [0.0, 0.04, 0.15, 1.5, 50.0],
            ],
        },
    ]
}

pub fn robot(name: &str) -> Robot {
    fleet().into_iter().find(|r| r.name == name).unwrap()
}

impl Robot {
    fn file(&self, ending: &str) -> String {
        format!("{}/tests/robots/{}.{ending}", env!("CARGO_MANIFEST_DIR"), self.name)
    }

    pub fn model(&self) -> RobotModel {
        RobotModel::load(self.file("urdf")).unwrap()
    }

    pub fn srdf(&self) -> Srdf {
        Srdf::load(self.file("srdf"), &self.model()).unwrap()
    }

    /// The joints, controller by controller: those of the SRDF's group, which has them in the order of the tree.
    pub fn names(&self) -> JointNames {
        let names: Vec<String> = self.controllers.iter().flat_map(|(_, joints)| joints.clone()).collect();
        let (mut mine, mut theirs) = (names.clone(), self.srdf().group(self.group).unwrap().joints.clone());
        mine.sort();
        theirs.sort();
        assert_eq!(mine, theirs);
        JointNames::new(names).unwrap()
    }

    pub fn limit_set(&self, names: &JointNames) -> LimitSet {
        let mut file = LimitsFile::load(self.file("yaml")).unwrap();
        if let Some(jerk) = self.default_jerk {
            file = file.with_default_jerk(jerk);
        }
        LimitSet::new(&self.model(), &file, names).unwrap()
    }

    pub fn limits(&self, names: &JointNames) -> Limits {
        let set = self.limit_set(names);
        let limits = Limits::new(set.names, &set.joints).unwrap();
        limits.turning(set.continuous).unwrap()
    }

    pub fn bodies(&self, names: &JointNames) -> CollisionModel {
        let options = CollisionOptions { clearance: D_MIN, ..CollisionOptions::default() };
        let obstacles = Obstacles::parse(self.obstacles).unwrap();
        CollisionModel::new(&self.model(), Some(&self.srdf()), names, &obstacles, &options).unwrap()
    }

    pub fn config(&self) -> StreamConfig {
        let gripper_joints = self.grippers.iter().map(|g| (*g).to_owned()).collect();
        StreamConfig { gripper_joints, ..StreamConfig::default() }
    }

    /// The whole filter, from the files, for joints in this order.
    pub fn streamer_for(&self, names: &JointNames, config: StreamConfig) -> TrajectoryStreamer {
        let space = CollisionSpace::new(self.bodies(names), None);
        let controllers = self.controllers.iter().map(|(name, joints)| ControllerSpec {
            name: (*name).to_owned(),
            joints: JointNames::new(joints.clone()).unwrap(),
        });
        let around = Surroundings { space: Some(Box::new(space)), tool: None };
        let mut streamer =
            TrajectoryStreamer::within(around, self.limits(names), controllers.collect(), config).unwrap();
        streamer.arm(true, at(0.0));
        // It is seen at rest at home before the time begins, for as long as a start asks for.
        let home = self.in_order(names, &self.home);
        for k in -12..0 {
            let now = at(0.01 * f64::from(k));
            let sample = JointSample { stamp: now, positions: home.clone(), velocities: vec![0.0; home.len()] };
            assert!(matches!(streamer.tick(now, Some((&sample, 0.0))), Tick::Idle(_)));
        }
        streamer
    }

    /// Positions that are in the order of the group, for joints in another order.
    fn in_order(&self, names: &JointNames, positions: &[f64]) -> Vec<f64> {
        let mine = self.names();
        names.iter().map(|name| positions[mine.index_of(name).unwrap()]).collect()
    }

    pub fn streamer(&self, config: StreamConfig) -> TrajectoryStreamer {
        self.streamer_for(&self.names(), config)
    }

    /// Where every joint swings about home, at most with these shares of its velocity and acceleration; it begins gently.
    pub fn swing(&self, share: f64) -> impl Fn(f64) -> Vec<f64> + use<> {
        let (home, expected) = (self.home.clone(), self.expected.clone());
        move |t| {
            let t = gently(t);
            let joints = home.iter().zip(&expected).enumerate();
            joints
                .map(|(j, (home, [lower, upper, v, a, jerk]))| {
                    let w = 1.0 + 0.11 * j as f64;
                    let room = if lower.is_finite() { (upper - home).min(home - lower).min(0.25) } else { 0.25 };
                    let far = room.min(share * v / w).min(share * a / (w * w)).min(share * jerk / (w * w * w));
                    home + if j % 2 == 0 { 0.5 } else { -0.5 } * far * (1.0 - (w * t).cos())
                })
                .collect()
        }
    }
}

/// Time that begins to pass smoothly, up to its second derivative.
pub fn gently(t: f64) -> f64 {
    t * t * t / (1.0 + t * t)
}

pub fn at(seconds: f64) -> Stamp {
    Stamp::from_nanos(T0).offset_seconds(seconds)
}

/// Rows of a function of time (seconds since `T0`), as a chunk observed at `observed`.
pub fn chunk_of(
    names: &JointNames,
    observed: f64,
    rows: usize,
    step: f64,
    wanted: impl Fn(f64) -> Vec<f64>,
) -> ActionChunk {
    let values = (1..=rows).flat_map(|k| wanted(observed + k as f64 * step)).collect();
    ActionChunk::new(at(observed), step, names.clone(), values).unwrap()
}

pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From -1 to 1.
    pub fn signed(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }
}

/// A row of the command: all joints, in the filter's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub positions: Vec<f64>,
    pub velocities: Vec<f64>,
}

/// The ideal controllers: what they hold, and where they have been on the grid of the windows.
pub struct Controllers {
    names: JointNames,
    /// The window that holds, and the time of its first row.
    held: Option<(i64, Vec<Row>)>,
    /// From the first time on, one row every period, without a gap.
    pub went: Vec<Row>,
    time: i64,
    pub windows: usize,
}

impl Controllers {
    pub fn new(names: &JointNames, home: &[f64]) -> Self {
        let rest = Row { positions: home.to_vec(), velocities: vec![0.0; home.len()] };
        Self { names: names.clone(), held: None, went: vec![rest], time: 0, windows: 0 }
    }

    pub fn now(&self) -> &Row {
        self.went.last().unwrap()
    }

    /// Time passes, nanoseconds since `T0`, a whole number of periods; what is held is followed, to its end.
    pub fn pass(&mut self, to: i64) {
        while self.time < to {
            self.time += PERIOD;
            let next = match &self.held {
                None => Row { velocities: vec![0.0; self.names.len()], ..self.now().clone() },
                Some((start, rows)) => {
                    let k = ((self.time - start) / PERIOD).clamp(0, rows.len() as i64 - 1);
                    rows[k as usize].clone()
                }
            };
            self.went.push(next);
        }
    }

    /// Takes the windows of one tick: for each controller one, with one stamp; all must agree with what is committed, and end at rest.
    pub fn take(&mut self, out: &Outgoing<'_>) {
        self.windows += 1;
        let first = &out.windows[0];
        assert!(out.windows.iter().all(|w| w.stamp() == first.stamp()), "one stamp for all controllers");
        assert!(out.windows.iter().all(|w| w.len() == first.len()), "windows of one length");
        let start = first.stamp().nanos() - T0;
        let mut rows = Vec::new();
        for k in 0..first.len() {
            let mut row =
                Row { positions: vec![f64::NAN; self.names.len()], velocities: vec![f64::NAN; self.names.len()] };
            for window in out.windows {
                for (i, name) in window.joints().iter().enumerate() {
                    let joint = self.names.index_of(name).unwrap();
                    row.positions[joint] = window.positions(k)[i];
                    row.velocities[joint] = window.velocities(k)[i];
                }
            }
            rows.push(row);
        }
        if let Some((before, old)) = &self.held {
            let shift = (start - before) / PERIOD;
            for (k, row) in rows.iter().enumerate().take(first.committed()) {
                let same = (k as i64 + shift).clamp(0, old.len() as i64 - 1);
                assert_eq!(row, &old[same as usize], "a committed row was changed");
            }
        }
        assert!(rows.last().unwrap().velocities.iter().all(|v| *v == 0.0), "the window does not end at rest");
        self.held = Some((start, rows));
    }

    /// What is held, row by row.
    pub fn held(&self) -> &[Row] {
        self.held.as_ref().map_or(&[], |(_, rows)| rows)
    }

    /// Nothing more comes for this motion.
    pub fn done(&mut self) {
        self.held = None;
    }
}

/// The filter before ideal controllers.
pub struct Run {
    pub streamer: TrajectoryStreamer,
    pub controllers: Controllers,
    pub judge: Judge,
    pub tick: i64,
    /// What each tick said: the activity and the rate of progress.
    pub said: Vec<(efm_safety::Activity, efm_safety::PlanReport)>,
}

impl Run {
    pub fn new(robot: &Robot, config: StreamConfig) -> Self {
        let (names, streamer) = (robot.names(), robot.streamer(config));
        let judge = Judge::new(robot);
        Self { streamer, controllers: Controllers::new(&names, &robot.home), judge, tick: 0, said: Vec::new() }
    }

    pub fn seconds(&self) -> f64 {
        self.tick as f64 * DT
    }

    pub fn now(&self) -> Stamp {
        Stamp::from_nanos(T0 + self.tick * PERIOD)
    }

    /// One tick, after `missed` that did not come. True when something was sent.
    pub fn tick(&mut self, missed: i64) -> bool {
        self.tick += missed;
        let now = self.now();
        self.controllers.pass(self.tick * PERIOD);
        self.tick += 1;
        let row = self.controllers.now();
        let measured = JointSample { stamp: now, positions: row.positions.clone(), velocities: row.velocities.clone() };
        match self.streamer.tick(now, Some((&measured, 0.0))) {
            Tick::Send(out) => {
                self.controllers.take(&out);
                self.said.push((out.activity.clone(), out.report));
                self.judge.differences(self.controllers.held());
                true
            }
            Tick::Hold => true,
            Tick::Idle(_) => {
                self.controllers.done();
                false
            }
        }
    }

    pub fn go(&mut self, ticks: usize) {
        (0..ticks).for_each(|_| {
            self.tick(0);
        });
    }

    /// What the judge says of everywhere that the robot went.
    pub fn verdict(&mut self) -> f64 {
        self.judge.differences(&self.controllers.went);
        self.judge.least_clearance(&self.controllers.went)
    }
}

/// Knows the limits as a person worked them out, and the shapes as parry sees them.
pub struct Judge {
    names: JointNames,
    expected: Vec<[f64; 5]>,
    jerk_counts: Vec<bool>,
    model: RobotModel,
    shapes: Vec<(usize, Isometry3<f64>, Box<dyn ParryShape>)>,
    standing: Vec<(Isometry3<f64>, Box<dyn ParryShape>)>,
    pairs: Vec<(usize, usize)>,
}

/// A shape for parry, and how its frame is turned in ours: cylinders lie along y there.
fn parry_of(shape: &Primitive) -> (Isometry3<f64>, Box<dyn ParryShape>) {
    let turned = UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::FRAC_PI_2);
    match &shape.shape {
        Shape::Box { size } => {
            (shape.origin, Box::new(Cuboid::new(Vector::new(size.x / 2.0, size.y / 2.0, size.z / 2.0))))
        }
        Shape::Sphere { radius } => (shape.origin, Box::new(Ball::new(*radius))),
        Shape::Capsule { radius, length } => (shape.origin, Box::new(Capsule::new_z(length / 2.0, *radius))),
        Shape::Cylinder { radius, length } => (shape.origin * turned, Box::new(Cylinder::new(length / 2.0, *radius))),
        Shape::Mesh { .. } => panic!("no fixture has a mesh"),
    }
}

fn parry_pose(pose: &Isometry3<f64>) -> Pose {
    let (t, q) = (pose.translation.vector, pose.rotation.coords);
    Pose::from_parts(Vector::new(t.x, t.y, t.z), Rotation::from_xyzw(q.x, q.y, q.z, q.w))
}

impl Judge {
    pub fn new(robot: &Robot) -> Self {
        let (model, srdf, names) = (robot.model(), robot.srdf(), robot.names());
        let jerk_counts = names.iter().map(|n| !robot.grippers.contains(&n)).collect();
        let mut shapes = Vec::new();
        for (i, link) in model.links().iter().enumerate() {
            shapes.extend(link.collisions.iter().map(parry_of).map(|(pose, shape)| (i, pose, shape)));
        }
        // Links that fixed joints weld are one; those that one joint joins are neighbours.
        let mut body: Vec<usize> = (0..model.links().len()).collect();
        for joint in model.joints_root_first().filter(|j| j.kind == efm_robot::JointKind::Fixed) {
            body[joint.child] = body[joint.parent];
        }
        let joined: HashSet<(usize, usize)> = model
            .joints()
            .iter()
            .map(|j| (body[j.parent], body[j.child]))
            .flat_map(|(a, b)| [(a, b), (b, a)])
            .collect();
        let mut pairs = Vec::new();
        for (a, (one, ..)) in shapes.iter().enumerate() {
            for (b, (other, ..)) in shapes.iter().enumerate().skip(a + 1) {
                let (p, q) = (body[*one], body[*other]);
                let off = srdf.is_disabled(&model.links()[*one].name, &model.links()[*other].name);
                if p != q && !joined.contains(&(p, q)) && !off {
                    pairs.push((a, b));
                }
            }
        }
        let mut standing = Vec::new();
        for object in Obstacles::parse(robot.obstacles).unwrap().objects {
            standing.extend(object.shapes.iter().map(parry_of).map(|(pose, shape)| (object.pose * pose, shape)));
        }
        Self { names, expected: robot.expected.clone(), jerk_counts, model, shapes, standing, pairs }
    }

    /// Positions, their first, second and third differences, and the velocities, against the limits. The n-th difference over h^n is an
    /// average of the n-th derivative, so no curve that keeps the limit exceeds it; what is allowed beyond 1e-6 is rounding.
    pub fn differences(&self, rows: &[Row]) {
        for (j, [lower, upper, v, a, jerk]) in self.expected.iter().enumerate() {
            let p = |k: usize| rows[k].positions[j];
            let name = self.names.as_slice()[j].as_str();
            for (k, row) in rows.iter().enumerate() {
                let speed = row.velocities[j].abs();
                assert!(p(k).is_finite() && speed.is_finite(), "{name}");
                assert!(p(k) >= lower - 1e-8 && p(k) <= upper + 1e-8, "{name} at {}", p(k));
                let rounding = 2.0 * f64::EPSILON * (1.0 + p(k).abs());
                let keeps = |order: i32, value: f64, limit: f64| {
                    value.abs() <= limit * (1.0 + 1e-6) + f64::from(1 << order) * rounding / DT.powi(order)
                };
                assert!(keeps(1, speed, *v), "{name} moves with {speed}");
                if k >= 1 {
                    let d = (p(k) - p(k - 1)) / DT;
                    assert!(keeps(1, d, *v), "{name} steps with {d}");
                }
                if k >= 2 {
                    let d = (p(k) - 2.0 * p(k - 1) + p(k - 2)) / (DT * DT);
                    assert!(keeps(2, d, *a), "{name} accelerates with {d}");
                }
                if k >= 3 && self.jerk_counts[j] {
                    let d = (p(k) - 3.0 * p(k - 1) + 3.0 * p(k - 2) - p(k - 3)) / DT.powi(3);
                    assert!(keeps(3, d, *jerk), "{name} jerks with {d}");
                }
            }
        }
    }

    /// Least distance of two things that must keep apart, everywhere on the cubics between the rows (looked at in five places each).
    pub fn least_clearance(&self, rows: &[Row]) -> f64 {
        let mut least = f64::INFINITY;
        for pair in rows.windows(2) {
            if pair[0].positions == pair[1].positions {
                continue;
            }
            for i in 0..5 {
                let s = f64::from(i) / 5.0;
                let q: Vec<f64> = (0..self.names.len()).map(|j| cubic(&pair[0], &pair[1], j, s)).collect();
                least = least.min(self.clearance(&q));
            }
        }
        least
    }

    /// The same at one configuration.
    pub fn clearance(&self, q: &[f64]) -> f64 {
        let position: HashMap<&str, f64> = self.names.iter().zip(q.iter().copied()).collect();
        let mut poses = vec![Isometry3::identity(); self.model.links().len()];
        for joint in self.model.joints_root_first() {
            let value = match &joint.mimic {
                Some(mimic) => mimic.multiplier * position[mimic.joint.as_str()] + mimic.offset,
                None => position.get(joint.name.as_str()).copied().unwrap_or(0.0),
            };
            poses[joint.child] = poses[joint.parent] * joint.transform(value);
        }
        let placed: Vec<Pose> = self.shapes.iter().map(|(link, pose, _)| parry_pose(&(poses[*link] * pose))).collect();
        // Not `query::distance`: for two cuboids it tells too much, by centimetres (0.31.1).
        let apart = |a: usize, pose: &Pose, other: &dyn ParryShape| {
            let (one, other) = (self.shapes[a].2.as_support_map().unwrap(), other.as_support_map().unwrap());
            parry3d_f64::query::details::distance_support_map_support_map(&placed[a].inv_mul(pose), one, other)
        };
        let own = self.pairs.iter().map(|(a, b)| apart(*a, &placed[*b], &*self.shapes[*b].2));
        let root = self.model.link_index(&self.model.root().name).unwrap();
        let moving = (0..self.shapes.len()).filter(|a| self.shapes[*a].0 != root);
        let cell = moving.flat_map(|a| self.standing.iter().map(move |(pose, s)| (a, parry_pose(pose), s)));
        own.chain(cell.map(|(a, pose, s)| apart(a, &pose, &**s))).fold(f64::INFINITY, f64::min)
    }
}

fn cubic(a: &Row, b: &Row, j: usize, s: f64) -> f64 {
    let (p0, p1) = (a.positions[j], b.positions[j]);
    let (v0, v1) = (a.velocities[j] * DT, b.velocities[j] * DT);
    let (s2, s3) = (s * s, s * s * s);
    p0 * (2.0 * s3 - 3.0 * s2 + 1.0) + v0 * (s3 - 2.0 * s2 + s) + p1 * (3.0 * s2 - 2.0 * s3) + v1 * (s3 - s2)
}
