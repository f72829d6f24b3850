//! What `efm-bench image` tells.

use crate::image::command::{Blocks, Case, Ratio, TheirWay};
use crate::image::rival::Group;
use crate::image::scene::{Kind, QUALITY};
use crate::section::{Section, Table, Target};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many times as fast as OpenCV with `INTER_AREA` raw pictures are to be.
const RAW: f64 = 2.0;
/// And JPEGs.
const JPEG: f64 = 1.0;

/// What was found, from all cases.
pub fn section(cases: &[Case], versions: Option<&BTreeMap<String, String>>, rounds: usize, count: usize) -> Section {
    let mut tables = Vec::new();
    if versions.is_some() {
        tables.push(ratios(cases));
        tables.push(rivals(cases));
    }
    tables.push(parts(cases));
    if versions.is_some() {
        tables.push(differences(cases));
    }
    Section {
        name: "image".into(),
        title: "From a camera's message to the policy's tensor".into(),
        text: words(versions, rounds, count),
        targets: targets(cases),
        tables,
        plots: Vec::new(),
        figures: json!({
            "versions": versions, "profile": profile(), "rounds": rounds, "pictures_a_block": count,
            "cases": cases.iter().map(figures).collect::<Vec<_>>(),
        }),
    }
}

fn profile() -> &'static str {
    if cfg!(debug_assertions) { "dev (opt-level 3, with overflow checks and debug assertions)" } else { "release" }
}

fn words(versions: Option<&BTreeMap<String, String>>, rounds: usize, count: usize) -> String {
    let rivals = match versions {
        Some(versions) => {
            let list: Vec<String> = versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
            format!(
                "Rivals: {}, one thread. Ours and theirs take turns, {count} pictures each, {rounds} rounds after one that warms up; a ratio is that of the \
                 medians of a round, told as the median of the rounds (least to greatest). Of the ways from a small picture to a tensor \
                 (`blobFromImage`; a float table and `split`; `extractChannel` and a table; NumPy) the fastest counts. ",
                list.join(", ")
            )
        }
        None => "OpenCV and Pillow were left out: `--python` was not given. ".to_owned(),
    };
    format!(
        "One picture at a time on one thread, through the code of the nodes: check or unpack the message, resize to rgb8 (`camera_ingest`), normalise to \
         float32 [1, 3, side, side] (`vla_inference`). Publishing is not in it. Times are the thread's CPU time. Build profile: {}; CPU features: the target's baseline, no dispatch at run time but in \
         the JPEG decoder.\n\n{rivals}\n\n\
         Filters: ours by default is a triangle that widens with the reduction (`bilinear_antialias`), which is Pillow's `BILINEAR`; `area` is the mean of what a \
         pixel covers, which is OpenCV's `INTER_AREA`. The triangle is twice as wide, so it is more work than `INTER_AREA`. OpenCV's `INTER_LINEAR` looks at \
         four pixels and aliases; it is told beside. Raw pictures of the same filter differ by one grey level at most, or the run fails.\n\n\
         Pictures are synthetic scenes with a sensor's noise, four in turn; JPEG is baseline of quality {QUALITY} with colour at half the resolution. \
         OpenCV decodes it with libjpeg-turbo. The floor of memory is the time to read the message once and to write the tensor once.",
        profile(),
    )
}

fn targets(cases: &[Case]) -> Vec<Target> {
    let ratio = |raw: bool, asked: f64, name: &str| {
        let of_kind = || cases.iter().filter(|case| (case.kind != Kind::Jpeg) == raw);
        let range = |filter: usize| {
            let all: Vec<f64> =
                of_kind().filter_map(|c| c.ratio(Group::OpencvArea, filter)).map(|r| r.median).collect();
            (all.iter().copied().reduce(f64::min), all.iter().copied().reduce(f64::max))
        };
        let (default, same) = (range(0), range(1));
        let (measured, met) = match (default, same) {
            ((Some(a), Some(b)), (Some(c), Some(d))) => (
                format!(
                    "{c:.2} to {d:.2} times with the same filter; {a:.2} to {b:.2} times with our default, wider filter"
                ),
                a.min(c) >= asked,
            ),
            _ => ("not measured: --python was not given".to_owned(), false),
        };
        Target { asked: format!("{name} OpenCV's speed (INTER_AREA)"), measured, met }
    };
    let allocates = |raw: bool| {
        let of_kind = cases.iter().filter(move |case| (case.kind != Kind::Jpeg) == raw);
        of_kind.flat_map(|case| &case.ours).map(|way| way.allocations).fold(0.0, f64::max)
    };
    vec![
        ratio(true, RAW, "raw at least 2 times"),
        ratio(false, JPEG, "JPEG at least equal to"),
        Target {
            asked: "one pass from message to tensor (raw)".into(),
            measured: format!(
                "yes: the message is read in one pass over its rows, {} allocations; between the two nodes lies only the rgb8 picture at the \
                 policy's size, written once and read once",
                allocates(true)
            ),
            met: allocates(true) == 0.0,
        },
        Target {
            asked: "one pass from message to tensor (JPEG)".into(),
            measured: format!(
                "no: the decoder unpacks the whole picture first ({} allocations), then as raw",
                allocates(false)
            ),
            met: false,
        },
    ]
}

fn place(case: &Case) -> Vec<String> {
    let side = case.target;
    vec![format!("{} {}x{}", case.kind.name(), case.source.0, case.source.1), format!("{side}x{side}")]
}

fn table(title: &str, columns: &[&str], cases: &[Case], cells: impl Fn(&Case) -> Vec<String>) -> Table {
    let columns = ["message", "to"].iter().chain(columns).map(|c| (*c).to_owned()).collect();
    let rows = cases.iter().map(|case| [place(case), cells(case)].concat()).collect();
    Table { title: title.to_owned(), columns, rows }
}

fn ratio(ratio: Option<Ratio>) -> String {
    ratio.map_or_else(|| "-".into(), |r| format!("{:.2} ({:.2} to {:.2})", r.median, r.least, r.greatest))
}

fn ratios(cases: &[Case]) -> Table {
    let columns = [
        "area / OpenCV INTER_AREA",
        "default / OpenCV INTER_AREA",
        "default / Pillow BILINEAR",
        "noted: default / OpenCV INTER_LINEAR",
        "noted: default / OpenCV reduced JPEG",
        "noted: default / Pillow draft or reducing_gap",
    ];
    table("How many times as fast ours is (ours, by its filter / theirs)", &columns, cases, |case| {
        vec![
            ratio(case.ratio(Group::OpencvArea, 1)),
            ratio(case.ratio(Group::OpencvArea, 0)),
            ratio(case.ratio(Group::PillowBilinear, 0)),
            ratio(case.ratio(Group::OpencvLinear, 0)),
            ratio(case.ratio(Group::OpencvReduced, 0)),
            ratio(case.ratio(Group::PillowQuick, 0)),
        ]
    })
}

fn micros(nanos: f64) -> String {
    format!("{:.0}", nanos * 1e-3)
}

fn half_and_most(blocks: &Blocks) -> String {
    format!("{} / {}", micros(blocks.quantile(0.5)), micros(blocks.quantile(0.99)))
}

fn rivals(cases: &[Case]) -> Table {
    let columns: Vec<&str> = Group::ALL.iter().map(|group| group.label()).collect();
    table("The rivals' fastest ways, us a picture (p50 / p99)", &columns, cases, |case| {
        let cell = |way: &TheirWay| format!("{} ({})", half_and_most(&way.total), way.method.form());
        Group::ALL.iter().map(|group| case.fastest(*group).map_or_else(|| "-".into(), cell)).collect()
    })
}

fn parts(cases: &[Case]) -> Table {
    let columns = [
        "default filter, us (p50 / p99)",
        "area, us (p50 / p99)",
        "default: unpack, resize, normalise, us (p50)",
        "floor of memory, us (p50)",
        "times the floor",
        "allocations",
        "kB: message, rgb8, tensor",
    ];
    table("Ours", &columns, cases, |case| {
        let [default, area] = &case.ours;
        let (total, floor) = (default.total.quantile(0.5), case.floor.quantile(0.5));
        let parts = [&default.decode, &default.resize, &default.tensor].map(|part| micros(part.quantile(0.5)));
        let pixels = f64::from(case.target * case.target);
        vec![
            half_and_most(&default.total),
            half_and_most(&area.total),
            parts.join(", "),
            format!("{:.1}", floor * 1e-3),
            format!("{:.1}", total / floor),
            format!("{:.0}", default.allocations),
            format!("{:.0}, {:.0}, {:.0}", case.bytes as f64 * 1e-3, pixels * 3e-3, pixels * 12e-3),
        ]
    })
}

fn differences(cases: &[Case]) -> Table {
    let groups = [Group::OpencvArea, Group::PillowBilinear, Group::OpencvLinear];
    let columns: Vec<&str> = groups.iter().map(|group| group.label()).collect();
    table("Grey levels from ours with the same filter (greatest, mean)", &columns, cases, |case| {
        let worst = |group: Group| {
            let all = case.theirs.iter().filter(|way| way.method.group == group).filter_map(|way| way.difference);
            let worst = all.max_by(|a, b| a.greatest.total_cmp(&b.greatest));
            worst.map_or_else(|| "-".into(), |d| format!("{:.2}, {:.3}", d.greatest, d.mean))
        };
        groups.map(worst).to_vec()
    })
}

fn figures(case: &Case) -> Value {
    let blocks = |blocks: &Blocks| json!({ "p50_ns": blocks.quantile(0.5), "p99_ns": blocks.quantile(0.99) });
    let [default, area] = &case.ours;
    let theirs = case.theirs.iter().map(|way| {
        json!({
            "method": way.method.name, "time": blocks(&way.total), "difference": way.difference,
            "ratio_to_default": way.total.ratio(&default.total), "ratio_to_area": way.total.ratio(&area.total),
        })
    });
    json!({
        "kind": case.kind.name(), "width": case.source.0, "height": case.source.1, "target": case.target, "message_bytes": case.bytes,
        "default": blocks(&default.total), "area": blocks(&area.total),
        "default_parts": {"decode": blocks(&default.decode), "resize": blocks(&default.resize), "tensor": blocks(&default.tensor)},
        "allocations": default.allocations, "floor": blocks(&case.floor), "rivals": theirs.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::command::OurWay;
    use crate::image::rival::Method;

    fn case(kind: Kind, theirs: u64) -> Case {
        let blocks = |nanos: u64| {
            let mut blocks = Blocks::default();
            blocks.push(vec![nanos; 4]);
            blocks
        };
        let way = |nanos: u64| OurWay { total: blocks(nanos), ..OurWay::default() };
        let theirs = Method::of(kind)
            .filter(|_| theirs > 0)
            .enumerate()
            .map(|(i, method)| TheirWay { method, total: blocks(theirs + i as u64), difference: None })
            .collect();
        let ours = [way(200), way(100)];
        Case { kind, source: (640, 480), target: 224, bytes: 9, ours, theirs, floor: blocks(10) }
    }

    #[test]
    fn the_slowest_case_with_either_filter_decides() {
        let targets = |raw: u64| {
            let section = section(&[case(Kind::Rgb8, raw), case(Kind::Jpeg, 210)], Some(&BTreeMap::new()), 1, 4);
            section.targets.iter().map(|t| t.met).collect::<Vec<_>>()
        };
        assert_eq!(targets(401), [true, true, true, false]);
        assert_eq!(targets(399), [false, true, true, false]);
    }

    #[test]
    fn without_rivals_the_section_says_so() {
        let section = section(&[case(Kind::Rgb8, 0)], None, 1, 4);
        assert!(section.text.contains("`--python` was not given"));
        assert!(section.targets[0].measured.contains("not measured") && !section.targets[0].met);
        assert_eq!(section.tables.len(), 1);
        for table in &section.tables {
            assert!(table.rows.iter().all(|row| row.len() == table.columns.len()));
        }
        assert!(section.text().contains("MISSED raw at least 2 times"));
    }
}
