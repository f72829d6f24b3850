//! Random configurations of a robot and what is closest there, as JSON, to be compared with another library's distances of the true meshes:
//! `free_poses URDF COUNT SEED PARTS [package=folder ...]`. No SRDF: pairs are those that no joint joins.
#![allow(clippy::unwrap_used, reason = "a measuring tool")]

use efm_collision::{Checker, CollisionModel, CollisionOptions, MeshFiles, Obstacles};
use efm_core::JointNames;
use efm_robot::RobotModel;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Instant;

/// SplitMix64 (Steele et al., 2014), from 0 to 1.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn main() {
    let mut args = std::env::args().skip(1);
    let file = args.next().expect("a URDF");
    let mut number = || args.next().unwrap().parse::<u64>().unwrap();
    let (count, mut seed, parts) = (number(), number(), number() as usize);
    let packages: BTreeMap<String, PathBuf> =
        args.map(|arg| arg.split_once('=').map(|(name, folder)| (name.to_owned(), folder.into())).unwrap()).collect();
    let robot = RobotModel::from_urdf(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let moved: Vec<_> = robot.joints().iter().filter(|joint| joint.is_active()).collect();
    let joints = JointNames::new(moved.iter().map(|joint| joint.name.as_str())).unwrap();
    let mesh_files = MeshFiles::new(move |name: &str| match name.strip_prefix("package://") {
        None => Ok(PathBuf::from(name.trim_start_matches("file://"))),
        Some(rest) => {
            let (package, path) = rest.split_once('/').ok_or("no path")?;
            packages.get(package).map(|folder| folder.join(path)).ok_or_else(|| format!("package {package}"))
        }
    });
    let options = CollisionOptions { mesh_files, mesh_parts: parts, ..CollisionOptions::default() };
    let began = Instant::now();
    let model = CollisionModel::new(&robot, None, &joints, &Obstacles::default(), &options).unwrap();
    eprintln!("{} bodies, {} pairs, {:.2} s", model.bodies(), model.pairs(), began.elapsed().as_secs_f64());
    for (name, fit) in model.mesh_fits() {
        let name = name.rsplit('/').next().unwrap();
        eprintln!("  {name}: {} parts, off {:.2} mm, {:.2} mm", fit.parts, 1e3 * fit.off_p99, 1e3 * fit.off_most);
    }
    let pairs: BTreeSet<_> = (0..model.pairs()).map(|pair| model.pair_names(pair)).collect();
    let mut checker = Checker::new(&model);
    let mut poses = Vec::new();
    let mut q = vec![0.0; joints.len()];
    let mut spent = 0.0;
    for _ in 0..count {
        for (q, joint) in q.iter_mut().zip(&moved) {
            let (low, high) = (joint.limit.lower.unwrap_or(-3.0), joint.limit.upper.unwrap_or(3.0));
            *q = low + (high - low) * uniform(&mut seed);
        }
        let began = Instant::now();
        let found = checker.clearance(&model, &q);
        spent += began.elapsed().as_secs_f64();
        let (a, b) = model.pair_names(found.pair);
        let mut pose = String::new();
        write!(pose, "{{\"q\": {q:?}, \"distance\": {:.6}, \"pair\": [{a:?}, {b:?}]}}", found.distance).unwrap();
        poses.push(pose);
    }
    eprintln!("{:.1} us a pose", 1e6 * spent / count as f64);
    let names: Vec<_> = joints.iter().collect();
    let pairs: Vec<_> = pairs.iter().map(|(a, b)| format!("[{a:?}, {b:?}]")).collect();
    let meshes = model.convex_parts().map(|(name, scale, parts)| {
        let parts = parts.iter().map(|part| {
            let points: Vec<[f64; 3]> = part.points.iter().map(|p| [p.x, p.y, p.z]).collect();
            let centre: [f64; 3] = part.centre.into();
            format!("{{\"centre\": {centre:?}, \"points\": {points:?}, \"inflation\": {:?}}}", part.inflation)
        });
        format!("{{\"name\": {name:?}, \"scale\": {scale:?}, \"parts\": [{}]}}", parts.collect::<Vec<_>>().join(", "))
    });
    println!("{{\"meshes\": [{}],", meshes.collect::<Vec<_>>().join(",\n"));
    println!("\"joints\": {names:?}, \"pairs\": [{}],\n\"poses\": [{}]}}", pairs.join(", "), poses.join(",\n"));
}
