//! What the simulated cell promises: honest physics, exact repetition, pictures that agree with the geometry, tasks that can be done.
#![allow(clippy::unwrap_used)]

use efm_robot::{Chain, IkSettings, InverseKinematics, LimitSet, RobotModel, tool_down};
use efm_sim::world::{HEIGHT, WIDTH};
use efm_sim::{
    Camera, Expert, ExpertView, ObjectKind, Referee, Scene, Split, Task, Verdict, World, WorldFiles, expert, tasks,
};
use mujoco_rs::prelude::*;
use nalgebra::{Isometry3, Translation3};
use std::path::PathBuf;

fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn world() -> World {
    World::new(&WorldFiles { urdf: root("urdf/panda.urdf") }).unwrap()
}

/// The first scene for a task.
fn scene_for(task: Task) -> Scene {
    let split = if task.is_novel() { Split::Novel } else { Split::Train };
    split.seeds().map(Scene::sample).find(|s| s.task == task).unwrap()
}

/// Lets the expert do a scene; calls `look` after each step. Returns the first success or the last verdict.
fn episode(world: &mut World, scene: &Scene, mut look: impl FnMut(&World)) -> Verdict {
    let robot = RobotModel::load(root("urdf/panda.urdf")).unwrap();
    let chain = Chain::new(&robot, "panda_link0", "panda_hand_tcp").unwrap();
    let limits = LimitSet::load(&robot, root("config/joint_limits.yaml"), chain.joint_names()).unwrap();
    let mut ik = InverseKinematics::new(chain, &limits, &tasks::READY, IkSettings::default()).unwrap();
    let mut expert = Expert::new();
    let mut referee = Referee::new(scene);
    world.reset(scene);
    let mut from = (scene.joints, scene.finger);
    let mut verdict = referee.update(world);
    while (world.time_nanos() as f64) < tasks::TIME_LIMIT * 1e9 && !verdict.success() {
        let plan = expert.plan(&ExpertView::of(world, scene));
        for row in 0..2 {
            let pose = Isometry3::from_parts(Translation3::from(plan.tool[row]), tool_down(0.0));
            let mut to = [0.0; 7];
            ik.solve(&pose, &from.0, &mut to).unwrap();
            let velocity = std::array::from_fn(|i| (to[i] - from.0[i]) / expert::STEP);
            for tick in 1..=50 {
                let share = f64::from(tick) / 50.0;
                world.set_arm_target(&std::array::from_fn(|i| from.0[i] + share * (to[i] - from.0[i])), &velocity);
                world.set_finger_target(from.1 + share * (plan.finger[row] - from.1));
                world.step();
                look(world);
            }
            verdict = referee.update(world);
            from = (to, plan.finger[row]);
        }
    }
    verdict
}

#[test]
fn nothing_in_the_model_cheats() {
    let world = world();
    let model = world.model();
    // The mimic joint of the fingers is the only equality constraint.
    assert_eq!(model.eq_type(), [MjtEq::mjEQ_JOINT]);
    assert!(model.body_mocapid().iter().all(|id| *id == -1));
    assert!(model.geom_adhesion().iter().all(|a| *a == 0.0));
    assert!(model.actuator_trntype().iter().all(|t| *t == MjtTrn::mjTRN_JOINT));
    for friction in model.geom_friction() {
        assert!(friction.iter().all(|mu| *mu <= 1.0), "{friction:?}");
    }
    let robot = RobotModel::load(root("urdf/panda.urdf")).unwrap();
    let names = World::joint_names();
    assert_eq!(model.actuator_forcerange().len(), names.len());
    for (name, range) in names.iter().zip(model.actuator_forcerange()) {
        let effort = robot.joint(name).unwrap().limit.effort.unwrap();
        assert!(range[1] <= effort && range[0] >= -effort, "{name}: {range:?} against {effort}");
    }
    assert_eq!(world.effort_limits(), names.map(|n| robot.joint(n).unwrap().limit.effort.unwrap()));
}

#[test]
fn a_robot_without_an_effort_limit_is_refused_by_joint() {
    let text = std::fs::read_to_string(root("urdf/panda.urdf")).unwrap();
    let folder = std::env::temp_dir().join(format!("efm_sim_{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let urdf = folder.join("weak.urdf");
    std::fs::write(&urdf, text.replacen("effort=\"12\"", "effort=\"0\"", 1)).unwrap();
    let message = World::new(&WorldFiles { urdf: urdf.clone() }).err().unwrap().to_string();
    assert!(message.contains("panda_joint5") && message.contains("effort"), "{message}");
    std::fs::write(&urdf, text.replace("<mimic joint=\"panda_finger_joint1\"", "<mimic joint=\"panda_joint1\""))
        .unwrap();
    let message = World::new(&WorldFiles { urdf }).err().unwrap().to_string();
    assert!(message.contains("panda_finger_joint2"), "{message}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn closing_the_fingers_on_air_moves_nothing() {
    let mut world = world();
    let scene = Scene::sample(5);
    world.reset(&scene);
    let before = ObjectKind::ALL.map(|k| world.object_pose(k).position);
    world.set_finger_target(0.0);
    for _ in 0..1000 {
        world.step();
    }
    assert!(world.joint_state().positions[7] < 0.001);
    for (kind, start) in ObjectKind::ALL.into_iter().zip(before) {
        assert!((world.object_pose(kind).position - start).norm() < 1e-3, "{kind:?}");
    }
}

#[test]
fn the_arm_holds_still_against_gravity() {
    let mut world = world();
    world.reset(&Scene::sample(5));
    let before = world.tool_pose().position;
    for _ in 0..1000 {
        world.step();
    }
    assert!((world.tool_pose().position - before).norm() < 1e-4);
}

#[test]
fn the_expert_does_every_task_within_the_motors_limits() {
    let mut world = world();
    let limits = world.effort_limits();
    for task in Task::all() {
        let scene = scene_for(task);
        let verdict = episode(&mut world, &scene, |world| {
            let state = world.joint_state();
            for (force, limit) in state.efforts.iter().zip(&limits) {
                assert!(force.abs() <= limit + 1e-9, "{task:?}: {force} against {limit}");
            }
        });
        assert!(verdict.success(), "{task:?}: {verdict:?}");
    }
}

#[test]
fn an_object_leaves_its_place_only_when_something_touches_it() {
    let mut world = world();
    let scene = scene_for(Task::Put { object: ObjectKind::RedCube, zone: efm_sim::Zone::Left });
    let mut touched = false;
    let start = scene.placement(ObjectKind::RedCube).unwrap();
    episode(&mut world, &scene, |world| {
        touched |= world.finger_touches(ObjectKind::RedCube);
        let at = world.object_pose(ObjectKind::RedCube).position;
        assert!(touched || (at.x - start.x).hypot(at.y - start.y) < 1e-4);
    });
    assert!(touched);
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let run = || {
        let mut world = world();
        // A scene before it must leave no trace.
        world.reset(&Scene::sample(1));
        for _ in 0..50 {
            world.step();
        }
        let scene = Scene::sample(7);
        let mut trace: Vec<u64> = vec![];
        episode(&mut world, &scene, |world| {
            let (q, v) = world.raw_state();
            trace.extend(q.iter().chain(v).map(|x| x.to_bits()));
        });
        trace
    };
    let fresh = {
        let mut world = world();
        let mut trace: Vec<u64> = vec![];
        episode(&mut world, &Scene::sample(7), |world| {
            let (q, v) = world.raw_state();
            trace.extend(q.iter().chain(v).map(|x| x.to_bits()));
        });
        trace
    };
    assert!(run() == fresh);
}

#[test]
fn nothing_is_done_at_the_start_nor_by_waiting() {
    let mut world = world();
    for seed in Split::EVALUATION.into_iter().flat_map(|s| s.seeds().take(250)) {
        let scene = Scene::sample(seed);
        world.reset(&scene);
        let mut referee = Referee::new(&scene);
        assert!(!referee.update(&world).success(), "seed {seed}");
        if seed % 50 == 0 {
            for _ in 0..500 {
                world.step();
                assert!(!referee.update(&world).success(), "seed {seed}");
            }
        }
    }
}

/// Where a camera whose optical frame stands so sees a point, pixels.
fn pixel(
    position: nalgebra::Vector3<f64>,
    rotation: nalgebra::UnitQuaternion<f64>,
    at: nalgebra::Vector3<f64>,
) -> (f64, f64) {
    let (lens, seen) = (Camera::Front.intrinsics(), rotation.inverse() * (at - position));
    (lens.cx + lens.fx * seen.x / seen.z, lens.cy + lens.fy * seen.y / seen.z)
}

fn is_of_colour(kind: ObjectKind, [r, g, b]: [i32; 3]) -> bool {
    match kind {
        ObjectKind::RedCube | ObjectKind::RedPuck => r > g + 60 && r > b + 60,
        ObjectKind::GreenBrick | ObjectKind::GreenCylinder => g > r + 30 && g > b + 30,
        ObjectKind::BlueBrick | ObjectKind::BlueCylinder => b > r + 60 && b > g + 40,
        ObjectKind::YellowCube | ObjectKind::YellowPuck => r > b + 80 && g > b + 60,
    }
}

fn colour_at(picture: &[u8], (u, v): (f64, f64)) -> [i32; 3] {
    let at = (v.round() as usize * WIDTH + u.round() as usize) * 3;
    [0, 1, 2].map(|i| i32::from(picture[at + i]))
}

#[test]
fn pictures_agree_with_the_cameras_geometry_and_its_shift() {
    let mut world = world();
    let mut picture = vec![];
    for split in [Split::Train, Split::Shifted] {
        for seed in split.seeds().take(10) {
            let scene = Scene::sample(seed);
            world.reset(&scene);
            world.render(Camera::Front, &mut picture).unwrap();
            assert_eq!(picture.len(), WIDTH * HEIGHT * 3);
            let (mount, shift) = (Camera::Front.mount(), scene.look.cameras[0]);
            let position = nalgebra::Vector3::from(mount.position) + nalgebra::Vector3::from(shift.position);
            let turn = nalgebra::UnitQuaternion::from_scaled_axis(shift.rotation.into());
            for (kind, _) in scene.present() {
                let at = world.object_pose(kind).position;
                let place = pixel(position, mount.rotation * turn, at);
                let colour = colour_at(&picture, place);
                assert!(is_of_colour(kind, colour), "seed {seed} {kind:?} at {place:?}: {colour:?}");
            }
        }
    }
}

#[test]
fn a_world_that_is_shown_what_another_is_like_is_drawn_as_that_one() {
    let (mut simulated, mut shown) = (world(), world());
    let (mut one, mut other) = (vec![], vec![]);
    for seed in [0, 1, Split::Shifted.seeds().start] {
        let scene = Scene::sample(seed);
        simulated.reset(&scene);
        shown.reset(&scene);
        let _ = episode(&mut simulated, &scene, |world| {
            if world.time_nanos() % 1_000_000_000 == 0 {
                shown.show(world.raw_state().0);
            }
        });
        shown.show(simulated.raw_state().0);
        for camera in Camera::ALL {
            simulated.render(camera, &mut one).unwrap();
            shown.render(camera, &mut other).unwrap();
            assert!(one == other, "seed {seed}, {}", camera.name());
        }
    }
}

#[test]
fn what_is_not_in_a_scene_is_neither_seen_nor_felt() {
    let mut world = world();
    let mut picture = vec![];
    let mut expert_runs = 0;
    for seed in 0..6 {
        let scene = Scene::sample(seed);
        world.reset(&scene);
        let absent: Vec<ObjectKind> = ObjectKind::ALL.into_iter().filter(|k| scene.placement(*k).is_none()).collect();
        assert!(!absent.is_empty());
        for camera in Camera::ALL {
            world.render(camera, &mut picture).unwrap();
            // A colour that no object of the scene has is nowhere in the picture.
            for kind in absent.iter().filter(|k| scene.present().all(|(p, _)| p.rgba() != k.rgba())) {
                let spots =
                    picture.chunks(3).filter(|p| is_of_colour(*kind, [0, 1, 2].map(|i| i32::from(p[i])))).count();
                assert_eq!(spots, 0, "seed {seed} {kind:?} {}", camera.name());
            }
        }
        let before: Vec<_> = absent.iter().map(|k| world.object_pose(*k)).collect();
        if expert_runs < 2 {
            assert!(episode(&mut world, &scene, |_| {}).success());
            expert_runs += 1;
        }
        assert_eq!(absent.iter().map(|k| world.object_pose(*k)).collect::<Vec<_>>(), before, "seed {seed}");
    }
}

#[test]
fn the_look_of_a_scene_changes_the_pictures_and_nothing_else() {
    let mut world = world();
    let scene = Scene::sample(3);
    let mut seen = vec![];
    let mut states = vec![];
    for look in [scene.look.clone(), tasks::Look::plain(), Scene::sample(Split::Shifted.seeds().start).look] {
        world.reset(&Scene { look, ..scene.clone() });
        let mut picture = vec![];
        world.render(Camera::Front, &mut picture).unwrap();
        seen.push(picture);
        (0..200).for_each(|_| world.step());
        let (q, v) = world.raw_state();
        states.push((q.to_vec(), v.to_vec()));
    }
    assert!(seen[0] != seen[1] && seen[1] != seen[2]);
    assert!(states[0] == states[1] && states[1] == states[2]);
}

#[test]
fn the_expert_keeps_no_memory() {
    let mut world = world();
    let (a, b) = (Scene::sample(11), Scene::sample(12));
    world.reset(&a);
    let first = ExpertView::of(&world, &a);
    world.reset(&b);
    let second = ExpertView::of(&world, &b);
    let mut used = Expert::new();
    used.plan(&second);
    assert_eq!(used.plan(&first), Expert::new().plan(&first));
}

#[test]
fn a_rollout_starts_where_the_tool_is_and_flows() {
    for seed in 0..20 {
        let mut world = world();
        let scene = Scene::sample(seed);
        world.reset(&scene);
        let plan = Expert::new().plan(&ExpertView::of(&world, &scene));
        let mut from = world.tool_pose().position;
        for row in plan.tool {
            let to = nalgebra::Vector3::from(row);
            // Each axis keeps to the cruising speed.
            assert!((to - from).amax() <= 0.35 * expert::STEP + 1e-6, "seed {seed}: {from} {to}");
            assert!(to.z > 0.005);
            from = to;
        }
    }
}

/// FNV-1a, 64 bit.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn the_benchmark_is_what_it_was_when_its_version_was_given() {
    // Whoever changes what a seed gives has made another benchmark: raise BENCHMARK_VERSION, then write down the new numbers.
    let found = Split::ALL.map(|split| {
        let all: Vec<String> = split.seeds().take(200).map(|seed| format!("{:?}", Scene::sample(seed))).collect();
        (split.name(), fingerprint(&all.join("\n")))
    });
    assert_eq!((tasks::BENCHMARK, tasks::BENCHMARK_VERSION), ("panda_tabletop", 1));
    let expected = [
        ("train", 142_790_299_229_851_393),
        ("heldout", 11_159_623_139_182_170_298),
        ("novel", 6_363_156_345_082_721_379),
        ("paraphrase", 661_262_188_065_791_026),
        ("shifted", 3_393_964_488_297_570_831),
    ];
    assert_eq!(found, expected);
}
