//! What a sweep promises holds between its samples: against distances by parry at a thousand points of each motion.
#![allow(clippy::unwrap_used)]

use efm_collision::{Checker, CollisionModel, CollisionObject, CollisionOptions, Obstacles};
use efm_core::JointNames;
use efm_robot::{Primitive, RobotModel, Shape, TreeKinematics};
use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use parry3d_f64::math::{Pose, Rotation, Vector};
use parry3d_f64::query;
use parry3d_f64::shape::{Capsule, Cuboid, SharedShape};
use proptest::prelude::*;
use std::fmt::Write;

/// A random arm: joints of random kinds and axes one after the other (every third branches off from the link before the last), and a follower. In every
/// second arm some of the joints are others that stand anywhere, and are not among the positions.
#[derive(Debug, Clone)]
struct Arm {
    joints: Vec<(u8, [f64; 3], [f64; 3])>,
    /// Where a joint stands that is no given one.
    others: Vec<Option<f64>>,
    shapes: Vec<(bool, [f64; 3], f64)>,
    obstacles: Vec<([f64; 3], [f64; 3], [f64; 3])>,
}

fn arm() -> impl Strategy<Value = Arm> {
    let joint = (0..4_u8, prop::array::uniform3(-0.25..0.25_f64), prop::array::uniform3(-1.0..1.0_f64));
    let shape = (any::<bool>(), prop::array::uniform3(0.02..0.25_f64), 0.01..0.06_f64);
    let obstacle = (
        prop::array::uniform3(-0.9..0.9_f64),
        prop::array::uniform3(-2.0..2.0_f64),
        prop::array::uniform3(0.01..0.3_f64),
    );
    let other = prop::option::weighted(0.4, -1.0..1.0_f64);
    let others = prop_oneof![Just(vec![None; 7]), prop::collection::vec(other, 7)];
    (prop::collection::vec(joint, 3..7), others, prop::collection::vec(shape, 7), prop::collection::vec(obstacle, 0..4))
        .prop_map(|(joints, mut others, shapes, obstacles)| {
            // One at least is given, and it is none that follows.
            let last = joints.len().min(3) - 1;
            if others[..joints.len()].iter().enumerate().all(|(i, other)| i == 3 || other.is_some()) {
                others[last] = None;
            }
            Arm { joints, others, shapes, obstacles }
        })
}

struct Scene {
    robot: RobotModel,
    joints: JointNames,
    model: CollisionModel,
    /// Link and shape of the robot, or the root and an obstacle.
    bodies: Vec<(usize, Isometry3<f64>, SharedShape, String)>,
    tree: TreeKinematics,
    pairs: Vec<(usize, usize)>,
}

fn scene(arm: &Arm, options: &CollisionOptions) -> Scene {
    let mut urdf = String::from("<robot name='random'><link name='l0'/>");
    for (i, (kind, [x, y, z], [u, v, w])) in arm.joints.iter().enumerate() {
        let parent = if i % 3 == 2 { i - 1 } else { i };
        let (kind, limit) = match kind {
            0 | 1 => ("continuous", ""),
            2 => ("prismatic", "<limit lower='-0.2' upper='0.2' velocity='1' effort='1'/>"),
            _ => ("revolute", "<limit lower='-3' upper='3' velocity='1' effort='1'/>"),
        };
        // A follower, where there is one to follow.
        let mimic = if i == 3 { "<mimic joint='j0' multiplier='-0.7' offset='0.1'/>" } else { "" };
        let (boxed, [a, b, c], radius) = &arm.shapes[i];
        let shape = if *boxed {
            format!("<box size='{a} {b} {c}'/>")
        } else {
            format!("<capsule radius='{radius}' length='{a}'/>")
        };
        write!(
            urdf,
            "<link name='l{n}'><collision><origin xyz='{b} 0 {c}' rpy='{u} {v} 0'/><geometry>{shape}</geometry></collision></link>\
             <joint name='j{i}' type='{kind}'><parent link='l{parent}'/><child link='l{n}'/><origin xyz='{x} {y} {z}' rpy='{w} {u} {v}'/>\
             <axis xyz='{u} {v} {}'/>{limit}{mimic}</joint>",
            w + 1.5,
            n = i + 1,
        )
        .unwrap();
    }
    urdf.push_str("</robot>");
    let robot = RobotModel::from_urdf(&urdf).unwrap();
    let active = robot.joints().iter().zip(&arm.others).filter(|(joint, other)| joint.is_active() && other.is_none());
    let joints = JointNames::new(active.map(|(joint, _)| joint.name.clone()).collect::<Vec<_>>()).unwrap();
    let mut cell = Obstacles::default();
    for (i, ([x, y, z], turn, size)) in arm.obstacles.iter().enumerate() {
        let origin = Translation3::new(*x, *y, *z) * UnitQuaternion::new(Vector3::from(*turn));
        let shape = Shape::Box { size: Vector3::from(*size) };
        let shapes = vec![Primitive { origin, shape, colour: None }];
        cell.objects.push(CollisionObject { id: format!("o{i}"), shapes, ..CollisionObject::default() });
    }
    let mut model = CollisionModel::new(&robot, None, &joints, &cell, options).unwrap();
    let stand = stand(&robot, model.others(), &arm.others);
    model.place_others(&stand);
    let mut bodies = Vec::new();
    let owners = robot
        .links()
        .iter()
        .enumerate()
        .flat_map(|(i, link)| link.collisions.iter().map(move |c| (i, c, link.name.clone())));
    let standing = cell.objects.iter().flat_map(|object| object.shapes.iter().map(|c| (0, c, object.id.clone())));
    for (link, primitive, name) in owners.chain(standing) {
        let shape = match &primitive.shape {
            Shape::Capsule { radius, length } => SharedShape::new(Capsule::new_z(length / 2.0, *radius)),
            Shape::Box { size } => SharedShape::new(Cuboid::new(Vector::new(size.x, size.y, size.z) / 2.0)),
            other => panic!("{other:?}"),
        };
        bodies.push((link, primitive.origin, shape, name));
    }
    let mut tree = TreeKinematics::new(&robot, &joints).unwrap();
    stand.iter().enumerate().for_each(|(other, stands)| tree.place_other(other, stands.unwrap()));
    let place = |name: &str| bodies.iter().position(|body| body.3 == name).unwrap();
    let pairs = (0..model.pairs()).map(|i| model.pair_names(i)).map(|(a, b)| (place(a), place(b))).collect();
    Scene { robot, joints, model, bodies, tree, pairs }
}

/// Where the others stand, in their order, from shares of what each joint may do.
fn stand(robot: &RobotModel, others: &[String], shares: &[Option<f64>]) -> Vec<Option<f64>> {
    let one = |name: &String| {
        let place = robot.joints().iter().position(|joint| joint.name == *name).unwrap();
        let slides = robot.joints()[place].limit.upper == Some(0.2);
        Some(shares[place].unwrap_or(0.0) * if slides { 0.2 } else { 3.0 })
    };
    others.iter().map(one).collect()
}

impl Scene {
    /// The others move.
    fn place_others(&mut self, shares: &[f64]) {
        // In steps that the model does not leave out as too small (1e-5 of a joint's own unit).
        let shares: Vec<Option<f64>> = shares.iter().map(|share| Some((share * 1e3).round() * 1e-3)).collect();
        let stand = stand(&self.robot, self.model.others(), &shares);
        self.model.place_others(&stand);
        stand.iter().enumerate().for_each(|(other, stands)| self.tree.place_other(other, stands.unwrap()));
    }

    /// Smallest distance by parry; 0 inside.
    fn true_clearance(&self, q: &[f64]) -> f64 {
        self.true_distances(q).into_iter().fold(f64::INFINITY, f64::min)
    }

    /// Distance of every pair by parry; 0 inside.
    fn true_distances(&self, q: &[f64]) -> Vec<f64> {
        let mut poses = vec![Isometry3::identity(); self.robot.links().len()];
        self.tree.link_poses(q, &mut poses);
        let placed: Vec<Pose> = self
            .bodies
            .iter()
            .map(|(link, at, ..)| {
                let pose = poses[*link] * at;
                let (t, r) = (pose.translation.vector, pose.rotation.coords);
                Pose::from_parts(Vector::new(t.x, t.y, t.z), Rotation::from_xyzw(r.x, r.y, r.z, r.w))
            })
            .collect();
        let distance = |&(a, b): &(usize, usize)| {
            query::distance(&placed[a], &*self.bodies[a].2, &placed[b], &*self.bodies[b].2).unwrap().distance
        };
        self.pairs.iter().map(distance).collect()
    }

    fn random(&self, shares: &[f64], scale: f64) -> Vec<f64> {
        let slides = |name: &str| self.robot.joint(name).unwrap().limit.upper == Some(0.2);
        self.joints.iter().zip(shares).map(|(name, s)| s * scale * if slides(name) { 0.06 } else { 1.0 }).collect()
    }
}

/// A path of a joint between 0 and 1 that starts at 0 and ends at `change`: a cubic with these speeds at its ends.
fn cubic(change: f64, start: f64, end: f64, s: f64) -> f64 {
    let (a, b) = (start - change, change - end);
    s * change + s * (1.0 - s) * ((1.0 - s) * a + s * b)
}

fn shares() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-1.0..1.0_f64, 7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Straight and curved motions, small and large: what `advance` says is never above the truth, and what it lets pass keeps d_min.
    #[test]
    fn the_bound_is_never_above_the_smallest_distance_on_the_way(
        arm in arm(), from in shares(), change in shares(), scale in 0.01..1.0_f64, bends in (shares(), shares()), curved in any::<bool>(),
        accelerations in any::<bool>()
    ) {
        let options = CollisionOptions { clearance: 0.005, ..CollisionOptions::default() };
        let scene = scene(&arm, &options);
        let mut checker = Checker::new(&scene.model);
        let from = scene.random(&from, 3.0);
        let change = scene.random(&change, scale);
        let next: Vec<f64> = from.iter().zip(&change).map(|(q, d)| q + d).collect();
        prop_assume!(checker.begin(&scene.model, &from).is_ok());
        let bent = |j: usize| if curved { (change[j] * (1.0 + bends.0[j]), change[j] * (1.0 + bends.1[j])) } else { (change[j], change[j]) };
        let at = |s: f64| -> Vec<f64> {
            (0..from.len()).map(|j| from[j] + cubic(change[j], bent(j).0, bent(j).1, s)).collect()
        };
        // The fastest that each joint is on the way, as the caller has to know.
        let travel: Vec<f64> = (0..from.len())
            .map(|j| {
                let speed = |k: u32| {
                    let (s, step) = (f64::from(k) / 4000.0, 1e-6);
                    (cubic(change[j], bent(j).0, bent(j).1, s + step) - cubic(change[j], bent(j).0, bent(j).1, s)).abs() / step
                };
                (0..=4000).map(speed).fold(0.0, f64::max) * 1.000_1 + 1e-9
            })
            .collect();
        // A cubic's acceleration is greatest at one of its ends.
        let deviation: Vec<f64> = (0..from.len())
            .map(|j| {
                let (a, b) = (bent(j).0 - change[j], change[j] - bent(j).1);
                (4.0 * a - 2.0 * b).abs().max((4.0 * b - 2.0 * a).abs()) / 8.0 + 1e-12
            })
            .collect();
        let said = if accelerations {
            checker.advance_within(&scene.model, &next, &travel, &deviation)
        } else {
            checker.advance(&scene.model, &next, &travel)
        };
        let wanted = options.clearance;
        let begun = scene.true_clearance(&from);
        let truth = (0..=1000).map(|k| scene.true_clearance(&at(f64::from(k) / 1000.0))).fold(f64::INFINITY, f64::min);
        match said {
            Ok(bound) => {
                prop_assert!(bound.distance <= truth + 1e-7, "{} above {truth}", bound.distance);
                prop_assert!(truth >= wanted.min(begun - options.slack) - 1e-7, "{truth}");
            }
            Err(stop) => prop_assert!(stop.clearance < wanted + options.slack),
        }
    }

    /// Sweeps are taken up anywhere on motions that were verified, each looks for a way closer to what is closest and back again, and is kept when it
    /// was found good, as a plan that is pushed against something for ever: no pair comes closer than was promised at the beginning.
    #[test]
    fn however_often_sweeps_are_taken_up_nothing_comes_closer_than_promised(
        arm in arm(), from in shares(), d_min in 0.001..0.3_f64,
        pushes in prop::collection::vec((shares(), 0.0..1.0_f64, 0.0..1.0_f64, any::<bool>()), 60)
    ) {
        let options = CollisionOptions { clearance: d_min, ..CollisionOptions::default() };
        let scene = scene(&arm, &options);
        let mut checker = Checker::new(&scene.model);
        let from = scene.random(&from, 3.0);
        prop_assume!(checker.begin(&scene.model, &from).is_ok());
        let promised: Vec<f64> =
            scene.true_distances(&from).into_iter().map(|d| d_min.min(d - options.slack) - 2e-6).collect();
        let between = |a: &[f64], b: &[f64], s: f64| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a + s * (b - a)).collect() };
        // The motion that was verified last: straight from one to the next.
        let mut motion = vec![from];
        for (direction, share, size, rests) in pushes {
            let direction = scene.random(&direction, 1.0);
            let places = motion.windows(2).flat_map(|w| [between(&w[0], &w[1], share), w[1].clone()]);
            let places: Vec<Vec<f64>> = std::iter::once(motion[0].clone()).chain(places).collect();
            let nearest = |a: &&Vec<f64>, b: &&Vec<f64>| scene.true_clearance(a).total_cmp(&scene.true_clearance(b));
            let Some(at) = places.iter().min_by(nearest).cloned() else { continue };
            // What follows is planned from the end first, then from where it is nearest.
            for place in places.last().into_iter().chain([&at]) {
                prop_assert!(checker.resume(&scene.model, place).is_ok());
            }
            let moved = |by: f64| -> Vec<f64> { at.iter().zip(&direction).map(|(q, d)| q + by * d).collect() };
            let slope = (scene.true_clearance(&moved(1e-6)) - scene.true_clearance(&moved(-1e-6))) / 2e-6;
            let closer = -1.5 * size * options.slack / if slope.abs() > 1e-3 { slope } else { 1e-3 };
            let mut next = vec![at.clone()];
            let mut last = at.clone();
            let good = [0.5, 1.0, 0.0, -2.0].iter().all(|part| {
                let to = moved(part * closer);
                let travel: Vec<f64> = to.iter().zip(&last).map(|(a, b)| (a - b).abs()).collect();
                let good = checker.advance(&scene.model, &to, &travel).is_ok();
                last.clone_from(&to);
                next.push(to);
                good
            });
            if good {
                motion = next;
            } else {
                motion = vec![at];
            }
            for w in motion.windows(2) {
                for k in 0..=8 {
                    let now = scene.true_distances(&between(&w[0], &w[1], f64::from(k) / 8.0));
                    for (pair, (now, promised)) in now.iter().zip(&promised).enumerate() {
                        prop_assert!(now >= promised, "pair {pair}: {now} of {promised}");
                    }
                }
            }
            if rests && let Some(end) = motion.last().cloned() {
                // Found again where it rests, which was shown.
                if motion.len() > 1 {
                    prop_assert!(checker.begin(&scene.model, &end).is_ok());
                    motion = vec![end];
                }
            }
        }
    }

    /// The other joints move between sweeps, which are taken up where the robot is: what is said of each is true of the geometry as it is then, as it
    /// would be of a model that was built for it, and a sweep is not gone on with across such a change.
    #[test]
    fn when_other_joints_move_the_next_sweep_is_judged_by_where_they_are(
        arm in arm(), from in shares(), moves in prop::collection::vec((shares(), shares(), 0.001..0.3_f64), 12)
    ) {
        let options = CollisionOptions { clearance: 0.005, ..CollisionOptions::default() };
        let mut scene = scene(&arm, &options);
        let mut checker = Checker::new(&scene.model);
        let mut at = scene.random(&from, 3.0);
        prop_assume!(checker.begin(&scene.model, &at).is_ok());
        // By pair: the closest that it was found since another joint has moved it.
        let mut found = scene.true_distances(&at);
        for (others, change, scale) in moves {
            let before = scene.true_distances(&at);
            scene.place_others(&others);
            let now = scene.true_distances(&at);
            for ((found, before), now) in found.iter_mut().zip(&before).zip(&now) {
                *found = if (before - now).abs() > 1e-6 { *now } else { found.min(*now) };
            }
            let change = scene.random(&change, scale);
            let next: Vec<f64> = at.iter().zip(&change).map(|(q, d)| q + d).collect();
            let travel: Vec<f64> = change.iter().map(|d| d.abs()).collect();
            if before != now {
                prop_assert!(checker.advance(&scene.model, &next, &travel).is_err(), "it went on with another geometry");
            }
            let mut anew = Checker::new(&scene.model.clone());
            let there = now.iter().copied().fold(f64::INFINITY, f64::min);
            let (begun, taken_up) = (anew.begin(&scene.model, &at), checker.resume(&scene.model, &at));
            match (begun, taken_up) {
                (Ok(a), Ok(b)) => {
                    let near = |d: f64, wanted: f64| (d - wanted).abs() < 1e-4 || d == wanted;
                    prop_assert!(a.distance == b.distance && near(a.distance, there), "{a:?} {b:?} {there}");
                }
                (Err(_), Err(_)) => {
                    prop_assert!(there < 1e-5, "{there}");
                    continue;
                }
                (a, b) => return Err(TestCaseError::fail(format!("{a:?} and {b:?} for {there}"))),
            }
            let Ok(bound) = checker.advance(&scene.model, &next, &travel) else { continue };
            for k in 0..=200 {
                let s = f64::from(k) / 200.0;
                let on: Vec<f64> = at.iter().zip(&change).map(|(q, d)| q + d * s).collect();
                for (pair, (truth, found)) in scene.true_distances(&on).into_iter().zip(&found).enumerate() {
                    prop_assert!(bound.distance <= truth + 1e-7, "{} above {truth}", bound.distance);
                    let kept = options.clearance.min(found - options.slack);
                    prop_assert!(truth >= kept - 1e-5, "pair {pair}: {truth} where {kept} is kept");
                }
            }
            at = next;
        }
    }

    /// A small step far from everything is not refused, and the bound is close to the truth.
    #[test]
    fn a_small_step_with_room_is_accepted_and_its_bound_is_tight(arm in arm(), from in shares(), change in shares()) {
        let scene = scene(&arm, &CollisionOptions::default());
        let mut checker = Checker::new(&scene.model);
        let (from, change) = (scene.random(&from, 3.0), scene.random(&change, 0.02));
        let at = |s: f64| -> Vec<f64> { from.iter().zip(&change).map(|(q, d)| q + d * s).collect() };
        let truth = (0..=100).map(|k| scene.true_clearance(&at(f64::from(k) / 100.0))).fold(f64::INFINITY, f64::min);
        prop_assume!(truth > 0.015 && truth.is_finite());
        checker.begin(&scene.model, &from).unwrap();
        let travel: Vec<f64> = change.iter().map(|d| d.abs()).collect();
        let said = checker.advance(&scene.model, &at(1.0), &travel);
        let Ok(bound) = said else { return Err(TestCaseError::fail(format!("{said:?} with {truth}"))) };
        prop_assert!(bound.distance > truth - 0.006, "{} for {truth}", bound.distance);
    }

    /// Whatever begins on one side of a thin wall and ends on the other is refused, however long the step.
    #[test]
    fn no_step_is_long_enough_to_jump_over_a_wall(start in 0.15..3.0_f64, end in 0.15..3.0_f64, thickness in 1e-6..0.01_f64, sign in any::<bool>()) {
        let urdf = "<robot name='r'><link name='a'/><link name='b'><collision><origin xyz='0.5 0 0'/><geometry>\
            <sphere radius='0.05'/></geometry></collision></link><joint name='j' type='continuous'><parent link='a'/>\
            <child link='b'/><axis xyz='0 0 1'/></joint></robot>";
        let robot = RobotModel::from_urdf(urdf).unwrap();
        let joints = JointNames::new(["j"]).unwrap();
        let wall = Primitive {
            origin: Isometry3::translation(0.5, 0.0, 0.0),
            shape: Shape::Box { size: Vector3::new(0.4, thickness, 0.4) },
            colour: None,
        };
        let object = CollisionObject { id: "wall".into(), shapes: vec![wall], ..CollisionObject::default() };
        let cell = Obstacles { objects: vec![object], ..Obstacles::default() };
        let model = CollisionModel::new(&robot, None, &joints, &cell, &CollisionOptions::default()).unwrap();
        let mut checker = Checker::new(&model);
        let (from, to) = if sign { (-start, end) } else { (start, -end) };
        checker.begin(&model, &[from]).unwrap();
        let stop = checker.advance(&model, &[to], &[start + end]).unwrap_err();
        prop_assert!(stop.clearance < 0.0105 && (0.0..=1.0).contains(&stop.at));
    }
}

/// A ball on an arm of 0.5 m swings towards a floor and back within one step: start and end are the same.
#[test]
fn what_a_path_strays_from_the_straight_line_is_taken_off_and_hardly_more() {
    let urdf = "<robot name='r'><link name='a'/><link name='b'><collision><origin xyz='0.5 0 0'/><geometry>\
        <sphere radius='0.05'/></geometry></collision></link><joint name='j' type='continuous'><parent link='a'/>\
        <child link='b'/><axis xyz='0 -1 0'/></joint></robot>";
    let robot = RobotModel::from_urdf(urdf).unwrap();
    let joints = JointNames::new(["j"]).unwrap();
    let floor =
        "collision_objects: [{id: floor, planes: [{coef: [0, 0, 1, 0.2]}], plane_poses: [{position: [0, 0, 0]}]}]";
    let model =
        CollisionModel::new(&robot, None, &joints, &Obstacles::parse(floor).unwrap(), &CollisionOptions::default())
            .unwrap();
    let mut checker = Checker::new(&model);
    // 0.15 m apart where the arm is level; lower by 0.5 sin(q) at -q.
    for stray in [0.01, 0.05, 0.1] {
        let truth = 0.15 - 0.5 * f64::sin(stray);
        // As fast as it may down and up again: it strays by half of the travel.
        checker.begin(&model, &[0.0]).unwrap();
        let plain = checker.advance(&model, &[0.0], &[2.0 * stray]).unwrap().distance;
        // With constant acceleration down: by a h^2 / 8.
        checker.begin(&model, &[0.0]).unwrap();
        let bent = checker.advance_within(&model, &[0.0], &[4.0 * stray], &[stray]).unwrap().distance;
        for bound in [plain, bent] {
            // The ball's own radius is counted as lever, 10 %.
            assert!(bound <= truth && bound > 0.15 - 0.56 * stray - 1e-9, "{stray}: {bound} for {truth}");
        }
    }
    // Moving away all the time at a growing speed nothing is taken off.
    checker.begin(&model, &[0.0]).unwrap();
    let away = checker.advance_within(&model, &[0.04], &[0.08], &[0.005]).unwrap().distance;
    assert!((away - 0.15).abs() < 1e-3, "{away}");
}
