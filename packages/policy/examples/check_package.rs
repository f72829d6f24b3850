//! Loads a policy package for this repository's robot, repeats its exporter's run, and times it.
//!
//! `cargo run -p efm_policy --example check_package -- models/NAME [urdf/panda.urdf config/joint_limits.yaml]`

use efm_core::{JointSample, Stamp};
use efm_policy::{Observation, Policy, PolicyPackage, RuntimeOptions};
use efm_robot::{LimitSet, RobotModel};
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("which package? give its folder")?);
    let robot = RobotModel::load(arguments.next().unwrap_or_else(|| "urdf/panda.urdf".into()))?;
    let limits_file = arguments.next().unwrap_or_else(|| "config/joint_limits.yaml".into());

    let start = Instant::now();
    let package = PolicyPackage::load(&folder, &[])?;
    let limits = LimitSet::load(&robot, limits_file, &package.manifest().joints()?)?;
    let golden = package.golden().clone();
    let mut policy = Policy::open(package, &robot, &limits, RuntimeOptions::default())?;
    println!("{} opened in {:.2} s", policy.manifest().policy.name, start.elapsed().as_secs_f64());
    let parity = policy.verify_golden()?;
    println!("{parity:?}: {}", if parity.holds() { "holds" } else { "DOES NOT HOLD" });

    let (mut sentences, mut chunks, mut refused) = (Vec::new(), Vec::new(), 0);
    let goal = policy.embed(&golden.sentence)?;
    let names: Vec<String> = policy.manifest().cameras().map(str::to_owned).collect();
    let images: Vec<(&str, &[u8])> =
        names.iter().map(String::as_str).zip(golden.newest().images.iter().map(Vec::as_slice)).collect();
    let joints = JointSample { stamp: Stamp::ZERO, positions: golden.newest().joints.clone(), velocities: Vec::new() };
    for seed in 0..100 {
        let start = Instant::now();
        policy.embed(&golden.sentence)?;
        sentences.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        let observation = Observation { stamp: Stamp::ZERO, images: &images, joints: &joints, earlier: &[] };
        if let Err(e) = policy.act(&observation, &goal, seed) {
            println!("seed {seed}: {e}");
            refused += 1;
        }
        chunks.push(start.elapsed().as_secs_f64() * 1e3);
    }
    for (what, mut times) in [("sentence", sentences), ("chunk", chunks)] {
        times.sort_by(f64::total_cmp);
        println!(
            "{what}: {:.2} ms median, {:.2} ms worst of {}",
            times[times.len() / 2],
            times[times.len() - 1],
            times.len()
        );
    }
    println!("{refused} chunks refused");
    if parity.holds() { Ok(()) } else { Err("the package does not repeat its exporter's run".into()) }
}
