//! Poses of all links and the Jacobian of the farthest chain at random configurations, as JSON, to be compared with another library's:
//! `kinematics_dump URDF COUNT SEED`.
#![allow(clippy::unwrap_used, reason = "a measuring tool")]

use efm_core::JointNames;
use efm_robot::{Chain, RobotModel, TreeKinematics};
use nalgebra::Isometry3;

/// From 0 to 1: SplitMix64.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (count, mut seed) = (args[2].parse::<usize>().unwrap(), args[3].parse::<u64>().unwrap());
    let robot = RobotModel::load(&args[1]).unwrap();
    let moved: Vec<_> = robot.joints().iter().filter(|joint| joint.is_active()).collect();
    let joints = JointNames::new(moved.iter().map(|joint| joint.name.as_str())).unwrap();
    let tree = TreeKinematics::new(&robot, &joints).unwrap();
    let root = &robot.root().name;
    let chains = robot.links().iter().filter_map(|link| Chain::new(&robot, root, &link.name).ok());
    let chain = chains.max_by_key(Chain::dof).expect("a chain");
    let mut poses = vec![Isometry3::identity(); tree.links()];
    let mut samples = Vec::new();
    for _ in 0..count {
        let q: Vec<f64> = moved
            .iter()
            .map(|joint| {
                let (low, high) = (joint.limit.lower.unwrap_or(-3.0), joint.limit.upper.unwrap_or(3.0));
                low + (high - low) * uniform(&mut seed)
            })
            .collect();
        tree.link_poses(&q, &mut poses);
        let links: serde_json::Map<_, _> = robot
            .links()
            .iter()
            .zip(&poses)
            .map(|(link, pose)| (link.name.clone(), serde_json::json!(pose.to_homogeneous().transpose().as_slice())))
            .collect();
        let of_chain: Vec<f64> = chain.joint_names().iter().map(|name| q[joints.index_of(name).unwrap()]).collect();
        let jacobian = chain.jacobian(&of_chain);
        samples.push(serde_json::json!({"q": q, "links": links, "jacobian": jacobian.transpose().as_slice()}));
    }
    let names: Vec<_> = joints.iter().collect();
    let along: Vec<_> = chain.joint_names().iter().collect();
    println!("{}", serde_json::json!({"joints": names, "tip": chain.tip(), "chain": along, "samples": samples}));
}
