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

#[test]
fn what_is_no_number_is_refused_by_joint_whatever_is_waived() {
    type Spoil = fn(&mut Column, f64);
    let spoilers: [Spoil; 5] = [
        |c, bad| c.state = Some(Stat::Moments(bad, 0.1)),
        |c, bad| c.action = Some(Stat::Extremes(-0.1, bad)),
        |c, bad| c.seen = vec![0.1, bad],
        |c, bad| c.done = vec![bad],
        |c, bad| c.rest = Some(bad),
    ];
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for spoil in spoilers {
            let joint = |name: &str| {
                let state = serde_json::json!({"kind": "min_max", "of": [-0.5, 0.5]});
                column(
                    &serde_json::json!({"name": name, "unit": "rad", "limits": [-2.0, 2.0], "state": state, "waived": true}),
                )
            };
            let mut columns: Vec<Column> = ["a", "b", "c", "d"].map(joint).to_vec();
            spoil(&mut columns[2], bad);
            let report = compare(&columns, 4);
            assert!(report.problems.len() == 1 && report.problems[0].joint == "c", "{report:?}");
            let told = report.problems[0].to_string();
            assert!(told.contains("it must be a finite number") && told.len() < 200, "{told}");
        }
    }
}
