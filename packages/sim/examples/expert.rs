//! Runs the expert on many seeds and prints how often it succeeds, by task; draws film strips of some.
//!
//! The shortest loop there is: rollout, inverse kinematics, targets in straight lines between the rows. From the repository's root.
//! With DISTURB set, the hand opens and the arm is pulled aside for 0.3 s in the middle of each episode.
//! Usage: expert <first seed> <episodes> [<film strips> <folder>]
#![allow(clippy::unwrap_used, clippy::print_stdout)]
use efm_robot::{Chain, IkSettings, InverseKinematics, LimitSet, RobotModel, tool_down};
use efm_sim::{Camera, Expert, ExpertView, Referee, Scene, Verdict, World, WorldFiles, expert, tasks};
use nalgebra::{Isometry3, Translation3};
use std::collections::BTreeMap;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let first: u64 = args[1].parse().unwrap();
    let n: u64 = args[2].parse().unwrap();
    let disturb = std::env::var_os("DISTURB").is_some();
    let strips: u64 = args.get(3).map_or(0, |a| a.parse().unwrap());
    let mut world = World::new(&WorldFiles { urdf: "urdf/panda.urdf".into() }).unwrap();
    let robot = RobotModel::load("urdf/panda.urdf").unwrap();
    let chain = Chain::new(&robot, "panda_link0", "panda_hand_tcp").unwrap();
    let limits = LimitSet::load(&robot, "config/joint_limits.yaml", chain.joint_names()).unwrap();
    let mut ik = InverseKinematics::new(chain, &limits, &tasks::READY, IkSettings::default()).unwrap();
    let mut expert = Expert::new();
    let mut table: BTreeMap<String, (u32, u32, f64)> = BTreeMap::new();
    let mut plan_time = std::time::Duration::ZERO;
    let mut plans = 0u32;
    for seed in first..first + n {
        let scene = Scene::sample(seed);
        world.reset(&scene);
        let mut referee = Referee::new(&scene);
        let mut frames: Vec<Vec<u8>> = vec![];
        let mut verdict: Option<Verdict> = None;
        let mut q_last = scene.joints;
        let mut rows: Vec<[f64; 7]> = vec![];
        let mut fingers: Vec<f64> = vec![];
        let (mut steps, mut t0) = (0i64, 0i64);
        let mut max_effort = 0f64;
        let mut done_at = None;
        let mut unreachable: Option<String> = None;
        let mut log = vec![];
        while steps < (tasks::TIME_LIMIT / 0.002) as i64 {
            if steps % 100 == 0 {
                let view = ExpertView::of(&world, &scene);
                let t = std::time::Instant::now();
                let roll = expert.plan(&view);
                plan_time += t.elapsed();
                plans += 1;
                log.push(format!(
                    "{:.1} {:?} tool {:.3?} obj {:.3?} f {:.4}",
                    steps as f64 * 0.002,
                    roll.phase,
                    view.tool.as_slice(),
                    view.object.as_slice(),
                    view.finger
                ));
                rows = vec![q_last];
                fingers = vec![*fingers.get(2).unwrap_or(&scene.finger)];
                for k in 0..expert::HORIZON.min(4) {
                    let target = Isometry3::from_parts(Translation3::from(roll.tool[k]), tool_down(0.0));
                    let mut q = [0.0; 7];
                    if let Err(e) = ik.solve(&target, rows.last().unwrap(), &mut q) {
                        unreachable.get_or_insert(format!(
                            "at {:.1} s, {:.3?}: {e}",
                            steps as f64 * 0.002,
                            roll.tool[k]
                        ));
                        q = *rows.last().unwrap();
                    }
                    rows.push(q);
                    fingers.push(roll.finger[k]);
                }
                t0 = steps;
            }
            if strips > seed - first && steps % 350 == 0 {
                let mut p = vec![];
                world.render(Camera::Front, &mut p).unwrap();
                frames.push(p);
            }
            let s = (steps - t0) as f64 * 0.002 / expert::STEP;
            let (k, a) = (s as usize, s.fract());
            let mut v = [0.0; 7];
            for i in 0..7 {
                v[i] = (rows[k + 1][i] - rows[k][i]) / expert::STEP;
                q_last[i] = rows[k][i] + a * (rows[k + 1][i] - rows[k][i]);
            }
            world.set_arm_target(&q_last, &v);
            world.set_finger_target(fingers[k] + a * (fingers[k + 1] - fingers[k]));
            if disturb && (1300..1450).contains(&steps) {
                // In the middle of things the hand opens by itself and the arm is pulled aside.
                world.set_finger_target(0.04);
                world.set_arm_target(&q_last.map(|q| q + 0.03), &v);
            }
            world.step();
            steps += 1;
            if steps % 10 == 0 {
                let st = world.joint_state();
                for i in 0..9 {
                    max_effort = max_effort.max(st.efforts[i].abs() / world.effort_limits()[i]);
                }
                let now = referee.update(&world);
                if now.success() && done_at.is_none() {
                    done_at = Some(steps as f64 * 0.002);
                }
                verdict = Some(now);
                if done_at.is_some_and(|t| steps as f64 * 0.002 > t + 0.5) {
                    break;
                }
            }
        }
        let verdict = verdict.unwrap();
        if let Some(what) = unreachable {
            println!("seed {seed} {}: {what}", scene.task.name());
        }
        let e = table.entry(scene.task.name()).or_default();
        e.1 += 1;
        if let Some(seconds) = done_at {
            e.0 += 1;
            e.2 += seconds;
        } else {
            println!("seed {seed} {} {verdict:?} effort {max_effort:.2}", scene.task.name());
            if n < 5 {
                println!("{}", log.join("\n"));
            }
        }
        if strips > seed - first {
            let cols = frames.len().min(8);
            let mut strip = image::RgbImage::new(320 * 4, 480);
            for (i, f) in frames.iter().take(cols).enumerate() {
                let im = image::RgbImage::from_raw(640, 480, f.clone()).unwrap();
                let im = image::imageops::resize(&im, 320, 240, image::imageops::FilterType::Triangle);
                image::imageops::replace(&mut strip, &im, (i % 4) as i64 * 320, (i / 4) as i64 * 240);
            }
            strip.save(format!("{}/strip_{seed}_{}.png", args[4], scene.task.name())).unwrap();
        }
    }
    let (mut s, mut t) = (0, 0);
    for (name, (a, b, secs)) in &table {
        println!("{name:32} {a}/{b} mean {:.1} s", secs / f64::from(*a));
        s += a;
        t += b;
    }
    println!("{s}/{t}; plan {:?}", plan_time / plans);
}
