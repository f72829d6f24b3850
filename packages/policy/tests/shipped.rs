//! What lies in `models/`: it must load, fit the robot of this repository, and repeat its exporter's run.

#![allow(clippy::unwrap_used)]

#[path = "support/fixture.rs"]
mod fixture;

use efm_core::JointNames;
use efm_policy::{EncoderPackage, Parity, Policy, PolicyPackage, RuntimeOptions, SentenceEncoder, SentenceError};
use efm_robot::{LimitSet, RobotModel};
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Folders in a folder that hold a file, sorted.
fn folders(of: PathBuf, with: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(of).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|f| f.join(with).is_file()).collect();
    found.sort();
    found
}

#[test]
fn every_shipped_sentence_encoder_agrees_with_the_model_it_was_made_from() {
    fixture::onnxruntime();
    let found = folders(repository().join("models/encoders"), efm_policy::ENCODER_FILE);
    assert!(!found.is_empty());
    for folder in found {
        let package = EncoderPackage::load(&folder).unwrap();
        let golden = package.golden().unwrap();
        assert!(!golden.is_empty(), "{}", folder.display());
        let mut encoder = SentenceEncoder::open(&package, RuntimeOptions::default()).unwrap();
        for example in golden {
            if example.sentence.trim().is_empty() {
                // The model has an answer to silence; a robot is not to act on it.
                assert!(matches!(encoder.embed(&example.sentence), Err(SentenceError::Empty)));
                continue;
            }
            assert_eq!(encoder.tokens(&example.sentence).unwrap(), example.input_ids, "{}", example.sentence);
            let original = efm_policy::Embedding::new(example.embedding).unwrap();
            let cosine = encoder.embed(&example.sentence).unwrap().cosine(&original);
            println!("{cosine:.5} {}", example.sentence);
            assert!(cosine >= Parity::MIN_COSINE, "{cosine} for '{}'", example.sentence);
        }
    }
}

#[test]
fn every_shipped_policy_fits_the_panda_and_repeats_its_exporters_run() {
    fixture::onnxruntime();
    let robot = RobotModel::load(repository().join("urdf/panda.urdf")).unwrap();
    let found = folders(repository().join("models"), efm_policy::MANIFEST_FILE);
    assert!(!found.is_empty(), "no policy is shipped");
    for folder in found {
        let package = PolicyPackage::load(&folder, &[]).unwrap();
        let joints = JointNames::new(package.manifest().robot.joints.clone()).unwrap();
        let limits = LimitSet::load(&robot, repository().join("config/joint_limits.yaml"), &joints).unwrap();
        let mut policy = Policy::open(package, &robot, &limits, RuntimeOptions::default()).unwrap();
        let parity = policy.verify_golden().unwrap();
        println!("{}: {parity:?}", folder.display());
        assert!(parity.holds(), "{}: {parity:?}", folder.display());
    }
}
