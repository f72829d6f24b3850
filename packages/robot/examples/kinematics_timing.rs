//! How long the kinematics take, and from how many seeds a pose is found: `cargo run --release -p efm_robot --example kinematics_timing`.

use efm_robot::{Chain, IkSettings, InverseKinematics, LimitSet, RobotModel, Srdf, tool_down};
use nalgebra::{Isometry3, Translation3, Vector6};
use std::hint::black_box;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let model = RobotModel::load(format!("{root}/urdf/panda.urdf"))?;
    let srdf = Srdf::load(format!("{root}/urdf/panda.srdf"), &model)?;
    let chain = Chain::new(&model, "panda_link0", "panda_hand_tcp")?;
    let limits = LimitSet::load(&model, format!("{root}/config/joint_limits.yaml"), chain.joint_names())?;
    let ready = srdf.state("panda_arm", "ready").ok_or("no ready state")?.in_order_of(chain.joint_names().iter())?;
    let mut solver = InverseKinematics::new(chain.clone(), &limits, &ready, IkSettings::default())?;

    let mut columns = vec![Vector6::zeros(); chain.dof()];
    time("forward kinematics", || {
        black_box(chain.fk(black_box(&ready)));
    });
    time("Jacobian", || {
        black_box(chain.jacobian_into(black_box(&ready), &mut columns));
    });
    let start = chain.fk(&ready);
    let mut q = ready.clone();
    for millimetres in [0.5, 3.0, 10.0, 30.0] {
        let target = Translation3::new(0.8e-3 * millimetres, 0.6e-3 * millimetres, 0.0) * start;
        let iterations = solver.solve(&target, &ready, &mut q)?.iterations;
        time(&format!("inverse kinematics, {millimetres} mm from the seed, {iterations} iterations"), || {
            let _ = black_box(solver.solve(black_box(&target), &ready, &mut q));
        });
    }

    // Tool down over the table: from the ready pose, and from seeds all over the joint limits.
    let (mut reachable, mut from_ready, mut from_anywhere, mut with_restarts, mut iterations) = (0, 0, 0, 0, 0);
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut uniform = |low: f64, high: f64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        low + (high - low) * ((random >> 11) as f64 / (1_u64 << 53) as f64)
    };
    while reachable < 2000 {
        let (x, y, z) = (uniform(0.3, 0.7), uniform(-0.35, 0.35), uniform(0.0, 0.5));
        let target = Isometry3::from_parts(Translation3::new(x, y, z), tool_down(uniform(-0.8, 0.8)));
        let seed: Vec<f64> = limits.joints.iter().map(|joint| uniform(joint.lower, joint.upper)).collect();
        if (x.hypot(y) - 0.088).hypot(z + 0.2104 - 0.333) > 0.7 {
            continue;
        }
        reachable += 1;
        if let Ok(report) = solver.solve(&target, &ready, &mut q) {
            from_ready += 1;
            iterations += report.iterations;
        }
        from_anywhere += usize::from(solver.solve(&target, &seed, &mut q).is_ok());
        with_restarts += usize::from(solver.solve_with_restarts(&target, &seed, 8, &mut q).is_ok());
    }
    println!(
        "of {reachable} poses: {from_ready} from the ready pose ({:.1} iterations), {from_anywhere} from random seeds, \
         {with_restarts} with restarts",
        iterations as f64 / from_ready.max(1) as f64
    );
    Ok(())
}

fn time(what: &str, mut work: impl FnMut()) {
    const BATCH: u32 = 100;
    let mut batches: Vec<f64> = (0..300)
        .map(|_| {
            let start = Instant::now();
            (0..BATCH).for_each(|_| work());
            start.elapsed().as_secs_f64() / f64::from(BATCH) * 1e6
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    println!("{what}: {:.2} us (p50), {:.2} us (p99)", batches[150], batches[297]);
}
