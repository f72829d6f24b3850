//! On numbers as they are found in data sets. The same cases are read by importers/lerobot/tests/test_ranges.py, so that import and activation say the same.

#![allow(clippy::unwrap_used)]
use super::*;
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().map_or(Vec::new(), |list| list.iter().map(|v| v.as_f64().unwrap()).collect())
}

fn stat(value: &Value) -> Option<Stat> {
    let pair = numbers(&value["of"]);
    match value["kind"].as_str()? {
        "mean_std" => Some(Stat::Moments(pair[0], pair[1])),
        "min_max" => Some(Stat::Extremes(pair[0], pair[1])),
        "quantiles" => Some(Stat::Quantiles(pair[0], pair[1])),
        other => panic!("{other}"),
    }
}

fn column(value: &Value) -> Column {
    let limits = numbers(&value["limits"]);
    Column {
        name: value["name"].as_str().unwrap().to_owned(),
        unit: if value["unit"] == "m" { JointUnit::Metre } else { JointUnit::Radian },
        limits: (!limits.is_empty()).then(|| (limits[0], limits[1])),
        limits_of: "its limits are",
        waived: value["waived"].as_bool().unwrap_or(false),
        state: stat(&value["state"]),
        action: stat(&value["action"]),
        change: stat(&value["change"]),
        seen: numbers(&value["seen"]),
        done: numbers(&value["done"]),
        rest: value["rest"].as_f64(),
    }
}

#[test]
fn numbers_that_are_no_positions_are_refused_by_joint_and_honest_ones_pass() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ranges.json");
    let cases: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    for case in cases.as_array().unwrap() {
        let columns: Vec<Column> = case["joints"].as_array().unwrap().iter().map(column).collect();
        let report = compare(&columns, columns.len());
        let joints = |problems: &[RangeProblem]| problems.iter().map(|p| p.joint.clone()).collect::<Vec<_>>();
        let expected = |key: &str| -> Vec<String> {
            case[key].as_array().map_or(Vec::new(), |l| l.iter().map(|v| v.as_str().unwrap().to_owned()).collect())
        };
        let told: Vec<String> = report.problems.iter().chain(&report.waived).map(ToString::to_string).collect();
        let name = case["name"].as_str().unwrap();
        println!("{name}: {}", told.join("\n    "));
        assert_eq!(joints(&report.problems), expected("refused"), "{name}: {told:#?}");
        assert_eq!(joints(&report.waived), expected("waived"), "{name}: {told:#?}");
        for part in expected("says") {
            assert!(told.iter().any(|text| text.contains(&part)), "{name}: '{part}' is not in {told:#?}");
        }
    }
}
