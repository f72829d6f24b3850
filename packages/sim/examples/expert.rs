//! Runs the expert on many seeds and prints how often it succeeds, by task; draws film strips of some.
//! Usage: expert <first seed> <episodes> [<film strips> <folder>]
#![allow(clippy::unwrap_used)]
use efm_sim::{Camera, Expert, ExpertView, Referee, Scene, Verdict, World, WorldFiles, expert, tasks};
use nalgebra::*;
use std::collections::BTreeMap;

fn fk(q: &[f64]) -> (Vector3<f64>, Matrix3<f64>, Vec<(Vector3<f64>, Vector3<f64>)>) {
    use std::f64::consts::FRAC_PI_2 as H;
    let dh = [(0., 0., 0.333), (0., -H, 0.), (0., H, 0.316), (0.0825, H, 0.), (-0.0825, -H, 0.384), (0., H, 0.), (0.088, H, 0.)];
    let mut t = Isometry3::identity();
    let mut axes = vec![];
    for (i, (a, al, d)) in dh.iter().enumerate() {
        t *= Isometry3::new(Vector3::new(*a, 0., 0.), Vector3::new(*al, 0., 0.));
        t *= Isometry3::new(Vector3::new(0., 0., *d), Vector3::new(0., 0., q[i]));
        axes.push((t.translation.vector, t.rotation * Vector3::z()));
    }
    t *= Isometry3::new(Vector3::new(0., 0., 0.107 + 0.1034), Vector3::new(0., 0., -H / 2.));
    (t.translation.vector, *t.rotation.to_rotation_matrix().matrix(), axes)
}

/// Damped least squares with a pull to the ready pose in the null space.
fn ik(seed: &[f64; 7], p: Vector3<f64>) -> [f64; 7] {
    let want = Matrix3::from_diagonal(&Vector3::new(1., -1., -1.));
    let mut q = *seed;
    for _ in 0..30 {
        let (x, r, axes) = fk(&q);
        let e = p - x;
        let er = 0.5 * (0..3).map(|i| r.column(i).cross(&want.column(i))).fold(Vector3::zeros(), |a, b| a + b);
        let err = Vector6::new(e.x, e.y, e.z, er.x, er.y, er.z);
        let mut j = SMatrix::<f64, 6, 7>::zeros();
        for (i, (o, z)) in axes.iter().enumerate() {
            let l = z.cross(&(x - o));
            j.set_column(i, &Vector6::new(l.x, l.y, l.z, z.x, z.y, z.z));
        }
        let inv = j.transpose() * (j * j.transpose() + Matrix6::identity() * 1e-6).try_inverse().unwrap();
        let pull = SVector::<f64, 7>::from_fn(|i, _| 0.02 * (tasks::READY[i] - q[i]));
        let dq = inv * err + (SMatrix::<f64, 7, 7>::identity() - inv * j) * pull;
        for i in 0..7 {
            q[i] += dq[i];
        }
        if err.norm() < 1e-6 {
            break;
        }
    }
    q
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let first: u64 = args[1].parse().unwrap();
    let n: u64 = args[2].parse().unwrap();
    let strips: u64 = args.get(3).map_or(0, |a| a.parse().unwrap());
    let mut world = World::new(&WorldFiles { urdf: "urdf/panda.urdf".into() }).unwrap();
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
        let mut log = vec![];
        while steps < (tasks::TIME_LIMIT / 0.002) as i64 {
            if steps % 100 == 0 {
                let view = ExpertView::of(&world, &scene);
                let t = std::time::Instant::now();
                let roll = expert.plan(&view);
                plan_time += t.elapsed();
                plans += 1;
                log.push(format!("{:.1} {:?} tool {:.3?} obj {:.3?} f {:.4}", steps as f64 * 0.002, roll.phase, view.tool.as_slice(), view.object.as_slice(), view.finger));
                rows = vec![q_last];
                fingers = vec![*fingers.get(2).unwrap_or(&scene.finger)];
                for k in 0..expert::HORIZON.min(4) {
                    let q = ik(rows.last().unwrap(), Vector3::from(roll.tool[k]));
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
        let e = table.entry(scene.task.name()).or_default();
        e.1 += 1;
        if done_at.is_some() {
            e.0 += 1;
            e.2 += done_at.unwrap();
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
