//! How late the ticks of a control loop are while a policy is inferred without pause, with and without cores of their own.
//!
//! ```text
//! cargo run --workspace --example lateness -- POLICY_FOLDER URDF JOINT_LIMITS [ROUNDS [SECONDS]]
//! ```
//!
//! The loop is that of trajectory_publisher (tokio, two threads, 100 Hz) with nothing to do in it; inference is that of vla_inference. `idle`:
//! nobody infers. `shared`: inference may use all cores, with a thread each. `apart`: the loop keeps to the first core, inference to the others
//! with a thread each. Turn by turn, so that other work on the machine meets all alike.

use efm_app::cores::{Cores, available};
use efm_core::percentiles::Percentiles;
use efm_core::{JointSample, Stamp};
use efm_policy::{Observation, Policy, PolicyPackage, RuntimeOptions};
use efm_robot::{LimitSet, RobotModel};
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// That of trajectory_publisher's default rate.
const PERIOD: Duration = Duration::from_millis(10);

struct Load {
    package: PolicyPackage,
    robot: RobotModel,
    limits: LimitSet,
}

impl Load {
    fn read(folder: &str, urdf: &str, limits: &str) -> Outcome<Self> {
        let package = PolicyPackage::load(Path::new(folder), &[])?;
        let robot = RobotModel::load(urdf)?;
        let limits = LimitSet::load(&robot, limits, &package.manifest().joints()?)?;
        Ok(Self { package, robot, limits })
    }

    /// Makes chunks of the worked example until told to stop.
    fn infer(&self, cores: Option<&Cores>, threads: usize, stop: &AtomicBool, chunks: &AtomicU64) -> Outcome<()> {
        if let Some(cores) = cores {
            cores.confine_this_thread()?;
        }
        let options = RuntimeOptions { intra_threads: threads, ..RuntimeOptions::default() };
        let mut policy = Policy::open(self.package.clone(), &self.robot, &self.limits, options)?;
        let (golden, seen) = (self.package.golden(), self.package.golden().newest());
        let goal = policy.embed(&golden.sentence)?;
        let joints = JointSample {
            stamp: Stamp::ZERO,
            positions: seen.joints.clone(),
            velocities: vec![0.0; seen.joints.len()],
        };
        let images: Vec<(&str, &[u8])> =
            self.package.manifest().cameras().zip(seen.images.iter().map(Vec::as_slice)).collect();
        let observation = Observation { stamp: Stamp::ZERO, images: &images, joints: &joints, earlier: &[] };
        while !stop.load(Ordering::Relaxed) {
            policy.act(&observation, &goal, 0)?;
            chunks.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Ticks for so long; how late each tick was, s.
fn tick(cores: Option<&Cores>, duration: Duration) -> Outcome<Vec<f64>> {
    if let Some(cores) = cores {
        cores.confine_this_thread()?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    Ok(runtime.block_on(async {
        let (mut interval, began) = (tokio::time::interval(PERIOD), Instant::now());
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut late = Vec::new();
        while began.elapsed() < duration {
            let due = interval.tick().await;
            late.push(due.elapsed().as_secs_f64());
        }
        late
    }))
}

/// One turn: lateness of the ticks, and chunks a second.
fn turn(
    load: Option<&Load>,
    control: Option<&Cores>,
    inference: Option<&Cores>,
    threads: usize,
    duration: Duration,
) -> Outcome<(Vec<f64>, f64)> {
    let (stop, chunks) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let inferring = load.map(|load| scope.spawn(|| load.infer(inference, threads, &stop, &chunks)));
        let made = || chunks.load(Ordering::Relaxed);
        // Not while the policy is opened.
        while inferring.as_ref().is_some_and(|thread| !thread.is_finished()) && made() < 3 {
            std::thread::sleep(PERIOD);
        }
        let before = made();
        let ticked = scope.spawn(|| tick(control, duration)).join();
        let rate = (made() - before) as f64 / duration.as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        if let Some(thread) = inferring {
            thread.join().map_err(|_| "inference panicked")??;
        }
        Ok((ticked.map_err(|_| "the loop panicked")??, rate))
    })
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, urdf, limits, rest @ ..] = arguments.as_slice() else {
        return Err("arguments: POLICY_FOLDER URDF JOINT_LIMITS [ROUNDS [SECONDS]]".into());
    };
    let rounds: usize = rest.first().map_or(Ok(5), |text| text.parse())?;
    let duration = Duration::from_secs_f64(rest.get(1).map_or(Ok(10.0), |text| text.parse())?);
    let load = Load::read(folder, urdf, limits)?;

    let all: Vec<i64> = available()?.into_iter().map(|core| core as i64).collect();
    let (first, others) = all.split_at(1);
    let (control, inference) = (Cores::named(first)?, Cores::named(others)?);
    let Some(inference) = inference else { return Err("there is one core only: nothing can be kept apart".into()) };

    let names = ["idle", "shared", "apart"];
    let (mut late, mut rates) = ([const { Vec::new() }; 3], [0.0; 3]);
    for _ in 0..rounds {
        let turns = [
            turn(None, None, None, 1, duration)?,
            turn(Some(&load), None, None, all.len(), duration)?,
            turn(Some(&load), control.as_ref(), Some(&inference), inference.len(), duration)?,
        ];
        for (i, (values, rate)) in turns.into_iter().enumerate() {
            late[i].extend(values);
            rates[i] += rate / rounds as f64;
        }
    }
    println!(
        "{} cores, {rounds} rounds of {:.0} s each; lateness of ticks every {PERIOD:?}:",
        all.len(),
        duration.as_secs_f64()
    );
    for ((name, values), rate) in names.iter().zip(&late).zip(rates) {
        let mut kept = Percentiles::new(values.len());
        values.iter().for_each(|value| kept.add(*value));
        let ms = |q| kept.at(q).unwrap_or(f64::NAN) * 1e3;
        println!(
            "  {name:<7} p50 {:7.3} ms  p99 {:7.3} ms  p99.9 {:7.3} ms  max {:7.3} ms  of {} ticks; {rate:.1} chunks a second",
            ms(0.5),
            ms(0.99),
            ms(0.999),
            ms(1.0),
            kept.count(),
        );
    }
    Ok(())
}
