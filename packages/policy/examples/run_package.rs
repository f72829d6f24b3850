//! Runs a policy package on observations from standard input, for comparison with whoever made it: one JSON object a line in, one out.
//!
//! `cargo run -p efm_policy --example run_package -- PACKAGE ROBOT.urdf JOINT_LIMITS.yaml`
//!
//! In: `{"sentence", "images": [a list of rgb8 values a camera, in the manifest's order], "joints", "noise"}`, with a history each of all its
//! observations, the oldest first. Out: `{"actions": [rows x columns, un-normalised]}`. First of all comes `{"parity": ...}` with the worked example.
//! Only for state vectors that are the joints alone.

use efm_policy::{Policy, PolicyPackage, RuntimeOptions};
use efm_robot::{LimitSet, RobotModel};
use serde::Deserialize;
use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;

#[derive(Deserialize)]
struct Query {
    sentence: String,
    images: Vec<Vec<u8>>,
    joints: Vec<f64>,
    noise: Vec<f32>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let mut next = |what| arguments.next().ok_or(format!("which {what}?"));
    let (folder, robot, limits) = (next("package")?, next("robot description")?, next("joint limits")?);
    let robot = RobotModel::load(robot)?;
    let package = PolicyPackage::load(&folder, &[])?;
    let limits = LimitSet::load(&robot, limits, &package.manifest().joints()?)?;
    let mut policy = Policy::open(package, &robot, &limits, RuntimeOptions::default())?;
    let mut out = std::io::stdout().lock();
    let parity = policy.verify_golden()?;
    let said = serde_json::json!({
        "actions_max_abs": parity.actions_max_abs,
        "context_max_abs": parity.context_max_abs,
        "embedding_cosine": parity.embedding_cosine,
        "holds": parity.holds(),
    });
    writeln!(out, "{}", serde_json::json!({ "parity": said }))?;
    for line in std::io::stdin().lock().lines() {
        let query: Query = serde_json::from_str(&line?)?;
        let goal = policy.embed(&query.sentence)?;
        let images: Vec<&[u8]> = query.images.iter().map(Vec::as_slice).collect();
        let actions = policy.infer_raw(&images, &query.joints, &goal, &query.noise)?;
        writeln!(out, "{}", serde_json::json!({ "actions": actions }))?;
    }
    Ok(())
}
