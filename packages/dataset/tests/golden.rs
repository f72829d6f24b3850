//! What is written for two bags is what LeRobot itself writes for the same frames (`importers/dataset/make_golden.py`).
#![allow(clippy::unwrap_used)]

mod sample;
mod table;

use efm_dataset::{Options, convert};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn written(folder: &Path) -> PathBuf {
    let bags = [
        sample::write(&folder.join("first"), sample::first()),
        sample::write(&folder.join("second"), sample::second()),
    ];
    let options = Options {
        joints: Some(sample::JOINTS.map(str::to_owned).into()),
        robot_type: Some("sample".into()),
        ..Options::default()
    };
    let out = folder.join("out");
    convert(&bags, &out, &options, &mut |_| {}).unwrap();
    out
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Numbers of both, value by value; everything else must be equal.
fn assert_close(ours: &Value, theirs: &Value, what: &str) {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{what}: {a} is not LeRobot's {b}");
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{what}");
            a.iter().zip(b).enumerate().for_each(|(i, (a, b))| assert_close(a, b, &format!("{what}[{i}]")));
        }
        (Value::Object(a), Value::Object(b)) => {
            assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "{what}");
            a.iter().for_each(|(key, a)| assert_close(a, &b[key], &format!("{what}.{key}")));
        }
        (a, b) => assert_eq!(a, b, "{what}"),
    }
}

#[test]
fn info_is_lerobots_to_the_letter() {
    let folder = tempfile::tempdir().unwrap();
    let out = written(folder.path());
    assert_eq!(read_json(&out.join("meta/info.json")), golden()["info"]);
}

fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    (values.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// Standard deviations from the values themselves: of the pictures' colours, and of the stamps.
fn deviations() -> Vec<(String, Value)> {
    let pictures: Vec<i64> = sample::EPISODES.iter().flat_map(|(_, first, last, ..)| *first..=*last).collect();
    let colour = |camera: usize, colour: usize| {
        let levels: Vec<u8> = pictures.iter().flat_map(|picture| sample::rgb(camera, *picture)).collect();
        deviation(levels.iter().skip(colour).step_by(3).map(|level| f64::from(*level) / 255.0))
    };
    let mut all = vec![(
        "header_stamp".to_owned(),
        serde_json::json!([deviation(pictures.iter().map(|picture| *picture as f64 * 1e8))]),
    )];
    for (camera, (name, ..)) in sample::CAMERAS.iter().enumerate() {
        let colours: Vec<Value> = (0..3).map(|c| serde_json::json!([[colour(camera, c)]])).collect();
        all.push((format!("observation.images.{name}"), colours.into()));
    }
    all
}

#[test]
fn statistics_are_those_that_lerobot_computes() {
    let folder = tempfile::tempdir().unwrap();
    let out = written(folder.path());
    let (mut ours, mut theirs) = (read_json(&out.join("meta/stats.json")), golden()["stats"].take());
    // LeRobot 0.4.4 squares 8-bit pixels in 8 bits and nanoseconds since 1970 in 64, so that its deviations of both overflow. Ours must be right.
    for (feature, expected) in deviations() {
        let std = ours[&feature]["std"].take();
        theirs[&feature]["std"].take();
        assert_close(&std, &expected, &feature);
    }
    assert_close(&ours, &theirs, "stats");
}

#[test]
fn tables_have_lerobots_columns_and_types() {
    let folder = tempfile::tempdir().unwrap();
    let out = written(folder.path());
    let golden = golden();
    for (path, columns) in golden["columns"].as_object().unwrap() {
        let ours = serde_json::to_value(table::read(&out.join(path)).columns).unwrap();
        assert_eq!(&ours, columns, "{path}");
    }
    for path in golden["files"].as_array().unwrap() {
        assert!(out.join(path.as_str().unwrap()).is_file(), "{path} is missing");
    }
}

#[test]
fn tasks_and_episodes_are_lerobots_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let out = written(folder.path());
    let golden = golden();
    let tasks: Vec<Value> = table::read(&out.join("meta/tasks.parquet")).rows.iter().map(table::row_json).collect();
    assert_eq!(Value::from(tasks), golden["tasks"]);
    let episodes = table::read(&out.join("meta/episodes/chunk-000/file-000.parquet"));
    let mut rows: Vec<Value> = episodes.rows.iter().map(table::row_json).collect();
    for row in &mut rows {
        row.as_object_mut().unwrap().retain(|key, _| !key.starts_with("stats/"));
    }
    assert_eq!(Value::from(rows), golden["episodes"]);
}
